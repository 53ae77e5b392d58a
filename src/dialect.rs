//! The wire formats: one module each, both ways, pure. They do not know each other.
//!
//! What a dialect must be able to say is this file; adding one is a module and a line in each `match`.

pub mod ai_sdk;
pub mod anthropic;
pub mod bedrock_converse;
pub mod cohere;
pub mod gemini;
pub mod ollama;
pub mod openai_chat;
pub mod openai_responses;

use std::borrow::Cow;
use std::sync::Arc;

use self::openai_chat::completions;
use crate::catalog::models;
use crate::chat;
use crate::embed;
use crate::error::{Error, Kind};
use crate::media::{self, Files, Taken};
use crate::rerank;
use crate::usage::Rule;
use crate::wire::frame::{Frame, Framing};
use crate::wire::json::{Fields, Raw, words};

words! {
    /// What an upstream speaks.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Dialect = "the name of a dialect" {
        OpenaiChat as "openai-chat",
        Anthropic as "anthropic",
        OpenaiResponses as "openai-responses",
        Cohere as "cohere",
        Ollama as "ollama",
        BedrockConverse as "bedrock-converse",
        Gemini as "gemini",
        /// Legacy text completions.
        OpenaiCompletions as "openai-completions",
    }
}

/// What a caller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inbound {
    OpenaiChat,
    Anthropic,
    OpenaiResponses,
    Gemini,
    /// Legacy text completions.
    OpenaiCompletions,
    /// The gateway protocol of the AI SDK, in a version of its specification.
    AiSdk(ai_sdk::Version),
}

/// What a request wants of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Answer,
    Stream(Framing),
    /// How many tokens the request has; nothing is answered.
    TokenCount,
    Embeddings,
    Rerank,
}

/// An upstream's bytes are not of its dialect. Says where, never quotes content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

/// Reads a stream: one frame in, any number of events out, in the order of [`chat::Grammar`].
pub trait Decode: Send {
    fn frame(&mut self, frame: &Frame<'_>, events: &mut Vec<chat::Event>) -> Result<(), Malformed>;

    /// The body ended cleanly. Emits `End` where the dialect allows a stream to end like this.
    fn finish(&mut self, events: &mut Vec<chat::Event>);

    /// Whether the last frame told only what the caller did not ask for (see [`Dialect::splice`]).
    fn is_extra(&self) -> bool {
        false
    }

    /// Whether more is known than the events tell: that the model is done or refuses, or part of what it says besides
    /// text. Then nobody else can go on.
    fn knows_more(&self) -> bool {
        false
    }

    /// As [`Encode::failure`], for a caller who got the frames as they came.
    fn failure(&self, _: &Error) -> Option<Vec<u8>> {
        None
    }
}

/// Writes a stream. Events arrive in the order of [`chat::Grammar`].
pub trait Encode: Send {
    fn event(&mut self, event: &chat::Event, out: &mut Vec<u8>);

    /// The frame that ends the stream with an error, where that depends on what went before; `None` where
    /// [`Inbound::error_frame`] says all.
    fn failure(&mut self, _: &Error) -> Option<Vec<u8>> {
        None
    }
}

/// Asks for embeddings.
pub trait Embed: Sync {
    /// Where requests for `model` go, below a provider's base URL.
    fn url(&self, base: &str, model: &str) -> String;

    /// The body for an upstream. Names of fields that it cannot hold go to `lost`.
    fn write(&self, request: &embed::Request, lost: &mut Vec<String>) -> Result<Vec<u8>, Error>;

    fn read(&self, body: &[u8]) -> Result<embed::Response, Malformed>;
}

/// What a reply says about itself that does not come from the model.
#[derive(Debug, Clone, Default)]
pub struct Label {
    /// Our request id; replies use the upstream's own id where it gave one.
    pub id: String,
    /// Unix seconds.
    pub created: u64,
    /// Whether the caller asked for usage in the stream (OpenAI's `stream_options.include_usage`).
    pub usage_wanted: bool,
    /// How the caller wants a stream framed, in dialects that leave the choice.
    pub framing: Framing,
    /// What was asked, where it was read: some dialects repeat it in the answer, and give tools their own names back.
    pub request: Option<Arc<chat::Request>>,
    /// Names of what was asked and the upstream was not told.
    pub lost: Vec<String>,
}

/// One row of `GET /v1/models`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub id: String,
    pub owner: String,
    /// What is not known is left out of the row.
    pub known: models::Model,
}

impl Dialect {
    /// The body for an upstream of this dialect. Names of fields that it cannot hold go to `lost`.
    pub fn write_request(self, request: &chat::Request, lost: &mut Vec<String>) -> Vec<u8> {
        match self {
            Self::OpenaiChat => openai_chat::write_request(request, lost),
            Self::Anthropic => anthropic::write_request(request, lost),
            Self::OpenaiResponses => openai_responses::write_request(request, lost),
            Self::Cohere => cohere::write_request(request, lost),
            Self::Ollama => ollama::write_request(request, lost),
            Self::BedrockConverse => bedrock_converse::write_request(request, lost),
            Self::Gemini => gemini::write_request(request, lost),
            Self::OpenaiCompletions => completions::write_request(request, lost),
        }
    }

    /// Reads a whole answer whose usage is told as the dialect has it.
    pub fn read_response(self, body: &[u8]) -> Result<chat::Response, Malformed> {
        self.read_response_by(&Rule::default(), body)
    }

    /// Reads a whole answer. Servers of Chat Completions differ in how they count; in other dialects all agree.
    pub fn read_response_by(self, usage: &Rule, body: &[u8]) -> Result<chat::Response, Malformed> {
        match self {
            Self::OpenaiChat => openai_chat::read_response(body, usage),
            Self::Anthropic => anthropic::read_response(body),
            Self::OpenaiResponses => openai_responses::read_response(body),
            Self::Cohere => cohere::read_response(body),
            Self::Ollama => ollama::read_response(body),
            Self::BedrockConverse => bedrock_converse::read_response(body),
            Self::Gemini => gemini::read_response(body),
            Self::OpenaiCompletions => completions::read_response(body, usage),
        }
    }

    /// Whether its answers leave open how they count, so that rules of usage say it.
    pub const fn counts_by_rules(self) -> bool {
        matches!(self, Self::OpenaiChat | Self::OpenaiCompletions)
    }

    /// Reads a streamed answer whose usage is told as the dialect has it.
    pub fn decoder(self) -> Box<dyn Decode> {
        self.decoder_by(&Rule::default())
    }

    /// Reads a streamed answer.
    pub fn decoder_by(self, usage: &Rule) -> Box<dyn Decode> {
        match self {
            Self::OpenaiChat => Box::new(openai_chat::Decoder::by(usage)),
            Self::Anthropic => Box::<anthropic::Decoder>::default(),
            Self::OpenaiResponses => Box::<openai_responses::Decoder>::default(),
            Self::Cohere => Box::<cohere::Decoder>::default(),
            Self::Ollama => Box::<ollama::Decoder>::default(),
            Self::BedrockConverse => Box::<bedrock_converse::Decoder>::default(),
            Self::Gemini => Box::<gemini::Decoder>::default(),
            Self::OpenaiCompletions => Box::new(completions::Decoder::by(usage)),
        }
    }

    /// The message in an upstream's error body, whatever shape it has; `None` where there is none.
    pub fn read_error(self, body: &[u8]) -> Option<String> {
        match self {
            // The two of OpenAI have one shape of error.
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses => openai_chat::read_error(body),
            Self::Anthropic => anthropic::read_error(body),
            Self::Cohere => cohere::read_error(body),
            Self::Ollama => ollama::read_error(body),
            Self::BedrockConverse => bedrock_converse::read_error(body),
            Self::Gemini => gemini::read_error(body),
        }
    }

    /// What an upstream that speaks all of `dialects` is asked in for `caller`: the caller's own, if it can be.
    pub fn towards(dialects: &[Self], caller: Inbound, model: &str) -> Self {
        let speaks = |dialect| dialects.contains(&dialect);
        if let Some(own) = caller.dialect().filter(|own| speaks(*own)) {
            own
        } else if caller == Inbound::OpenaiCompletions && speaks(Self::OpenaiChat) && completions::completes(model) {
            // Some of OpenAI's models complete and do not chat.
            Self::OpenaiCompletions
        } else if speaks(Self::OpenaiResponses) && openai_responses::reasons(model) {
            // Its other dialect does not let these think beside tools, nor tell what they thought.
            Self::OpenaiResponses
        } else {
            dialects.first().copied().unwrap_or(Self::OpenaiChat)
        }
    }

    /// How its upstreams can be given a file, where its servers fetch what they can.
    ///
    /// Sources: "Images and vision" and "File inputs", OpenAI API documentation; "Vision" and "PDF support", Anthropic API
    /// documentation; "File input methods", Gemini API documentation; "Image inputs", Cohere documentation; "Vision",
    /// Ollama documentation; `ImageSource`, `AudioSource`, `VideoSource` and `DocumentSource`, Amazon Bedrock API
    /// reference; read 2026-11. Gemini's models of the second generation fetched nothing, and were shut down in June 2026.
    pub fn takes(self, kind: media::Kind) -> Taken {
        match (self, kind) {
            (Self::OpenaiChat | Self::Cohere, media::Kind::Image)
            | (Self::OpenaiResponses | Self::Anthropic, media::Kind::Image | media::Kind::Document)
            | (Self::Gemini, _) => Taken::Anyhow,
            (Self::OpenaiChat, media::Kind::Document)
            | (Self::Ollama, media::Kind::Image)
            | (Self::BedrockConverse, _) => Taken::Inline,
            (
                Self::OpenaiChat
                | Self::OpenaiCompletions
                | Self::OpenaiResponses
                | Self::Anthropic
                | Self::Cohere
                | Self::Ollama,
                _,
            ) => Taken::Never,
        }
    }

    /// How long an error body says to wait, in seconds as `retry-after` has them; most say it in that header.
    pub fn read_wait(self, body: &[u8]) -> Option<String> {
        match self {
            Self::Gemini => gemini::read_wait(body),
            _ => None,
        }
    }

    /// Where requests for a model go, below a provider's base URL.
    pub fn url(self, base: &str, model: &str, ask: Ask) -> String {
        let base = base.trim_end_matches('/');
        match self {
            Self::OpenaiChat => format!("{base}/chat/completions"),
            // Anthropic's SDKs want the base without a version, others with it; both are taken.
            Self::Anthropic => {
                let path = if ask == Ask::TokenCount { "messages/count_tokens" } else { "messages" };
                format!("{}/v1/{path}", base.strip_suffix("/v1").unwrap_or(base))
            }
            Self::Gemini => gemini::url(base, model, ask),
            Self::OpenaiResponses => format!("{base}/responses"),
            Self::Cohere => format!("{base}/chat"),
            Self::Ollama => format!("{}/api/chat", ollama::root(base)),
            Self::BedrockConverse => bedrock_converse::url(base, model, ask),
            Self::OpenaiCompletions => format!("{base}/completions"),
        }
    }

    /// How its upstreams are asked for embeddings; `None` where they have none.
    pub fn embeddings(self) -> Option<&'static dyn Embed> {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses => Some(&openai_chat::Embeddings),
            Self::Cohere => Some(&cohere::Embeddings),
            Self::Ollama => Some(&ollama::Embeddings),
            Self::Gemini => Some(&gemini::Embeddings),
            Self::Anthropic | Self::BedrockConverse => None,
        }
    }

    /// Where its upstreams order documents, below a provider's base URL; `None` where they do not.
    pub fn rerank_url(self, base: &str) -> Option<String> {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses | Self::Cohere => {
                Some(format!("{}/rerank", base.trim_end_matches('/')))
            }
            Self::Anthropic | Self::Gemini | Self::Ollama | Self::BedrockConverse => None,
        }
    }

    /// Whether the reasoning of its models is worth something to them only with a proof, which comes last.
    pub fn proves_reasoning(self) -> bool {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::Cohere | Self::Ollama => false,
            Self::OpenaiResponses | Self::Anthropic | Self::Gemini | Self::BedrockConverse => true,
        }
    }

    /// The name under which a tool is told; another one than the caller's where that does not fit.
    pub fn tool_name(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::OpenaiChat
            | Self::OpenaiCompletions
            | Self::OpenaiResponses
            | Self::Anthropic
            | Self::Gemini
            | Self::Cohere
            | Self::Ollama => Cow::Borrowed(name),
            Self::BedrockConverse => bedrock_converse::tool_name(name),
        }
    }

    /// The header that carries a provider's key.
    pub fn credential(self, key: &str) -> (&'static str, String) {
        match self {
            Self::OpenaiChat
            | Self::OpenaiCompletions
            | Self::OpenaiResponses
            | Self::Cohere
            | Self::Ollama
            | Self::BedrockConverse => ("authorization", format!("Bearer {key}")),
            Self::Anthropic => ("x-api-key", key.to_owned()),
            Self::Gemini => gemini::credential(key),
        }
    }

    /// Headers that every request of this dialect needs, unless the caller's own were forwarded.
    pub fn required_headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::OpenaiChat
            | Self::OpenaiCompletions
            | Self::OpenaiResponses
            | Self::Gemini
            | Self::Cohere
            | Self::Ollama
            | Self::BedrockConverse => &[],
            // The version that still takes `temperature`, which callers of other dialects send.
            Self::Anthropic => &[("anthropic-version", "2023-06-01")],
        }
    }
}

impl Inbound {
    /// The dialect whose upstreams can be given this caller's bytes; `None` where no upstream speaks it.
    pub fn dialect(self) -> Option<Dialect> {
        Some(match self {
            Self::OpenaiChat => Dialect::OpenaiChat,
            Self::Anthropic => Dialect::Anthropic,
            Self::OpenaiResponses => Dialect::OpenaiResponses,
            Self::Gemini => Dialect::Gemini,
            Self::OpenaiCompletions => Dialect::OpenaiCompletions,
            Self::AiSdk(_) => return None,
        })
    }

    /// A caller's body in this dialect. Everything that is not understood is named in `unread`.
    pub fn read_request(self, body: &Fields<'_>) -> Result<chat::Request, Error> {
        match self {
            Self::OpenaiChat if openai_responses::is_request(body) => openai_responses::read_request(body),
            Self::OpenaiChat => openai_chat::read_request(body),
            Self::Anthropic => anthropic::read_request(body),
            Self::OpenaiResponses => openai_responses::read_request(body),
            Self::Gemini => gemini::read_request(body),
            Self::OpenaiCompletions => completions::read_request(body),
            Self::AiSdk(_) => ai_sdk::read_request(body),
        }
    }

    /// Whether an upstream of the same dialect can be given the body: Cursor sends Responses requests to Chat
    /// Completions, and wants the answers of Chat Completions.
    pub fn is_own(self, body: &Fields<'_>) -> bool {
        self != Self::OpenaiChat || !openai_responses::is_request(body)
    }

    /// The caller's own body for an upstream of the same dialect: only `model` changes, and what is needed
    /// for usage to be reported.
    pub fn splice(self, body: &Fields<'_>, model: &str) -> Vec<u8> {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions => openai_chat::splice(body, model),
            Self::Anthropic => anthropic::splice(body, model),
            Self::OpenaiResponses => openai_responses::splice(body, model),
            Self::Gemini => gemini::splice(body, model),
            // The head names the model, and no upstream is given the body.
            Self::AiSdk(_) => body.with(&[]),
        }
    }

    /// A caller's body that asks for embeddings. Those of all other dialects have OpenAI's shape.
    pub fn read_embeddings(self, body: &Fields<'_>) -> Result<embed::Request, Error> {
        match self {
            Self::AiSdk(_) => ai_sdk::read_embeddings(body),
            _ => openai_chat::read_embeddings(body),
        }
    }

    /// The answer for a caller who asked for embeddings.
    pub fn write_embeddings(self, response: &embed::Response, encoding: embed::Encoding) -> Vec<u8> {
        match self {
            Self::AiSdk(_) => ai_sdk::write_embeddings(response),
            _ => openai_chat::write_embeddings(response, encoding),
        }
    }

    /// The body for an upstream that orders documents: the caller's own with another model, but for callers who have
    /// another shape than Cohere's. Names of fields that it cannot hold go to `lost`.
    pub fn rerank(self, body: &Fields<'_>, model: &str, lost: &mut Vec<String>) -> Result<Vec<u8>, Error> {
        match self {
            Self::AiSdk(_) => ai_sdk::write_rerank(body, model, lost),
            _ => Ok(rerank::splice(body, model)),
        }
    }

    /// An upstream's answer for a caller who has another shape than Cohere's; `None` where it may stay as it is.
    pub fn tell_ranking(self, answer: &[u8]) -> Option<Result<Vec<u8>, Malformed>> {
        match self {
            Self::AiSdk(_) => Some(ai_sdk::tell_ranking(answer)),
            _ => None,
        }
    }

    /// What stands in a body in place of a file's address: of `value`, which is `name` in the object that is `parent`.
    /// `None` where that is no such place, or where more would have to change than the value.
    pub fn inline_file(self, parent: &str, name: &str, value: Raw<'_>, files: &Files) -> Option<String> {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses => {
                openai_chat::inline_file(parent, name, value, files)
            }
            Self::Anthropic => anthropic::inline_file(name, value, files),
            // No server of Google's needs it, and none is given the body of the last.
            Self::Gemini | Self::AiSdk(_) => None,
        }
    }

    /// The most tokens that an answer may have, and how many answers are asked for; each only where it is said.
    pub fn output_asked(self, body: &Fields<'_>) -> (Option<u64>, Option<u64>) {
        let number = |name| body.get::<u64>(name).ok().flatten();
        match self {
            // Which of the two counts is for the upstream to say.
            Self::OpenaiCompletions => (number("max_tokens"), Some(completions::answers(body))),
            // A field of another dialect bounds nothing, however small it is.
            Self::OpenaiChat => (number("max_completion_tokens").max(number("max_tokens")), number("n")),
            Self::OpenaiResponses => (number("max_output_tokens"), None),
            Self::Anthropic => (number("max_tokens"), None),
            Self::Gemini => gemini::output_asked(body),
            Self::AiSdk(_) => (ai_sdk::output_asked(body), None),
        }
    }

    /// The conversation in a body that asks how many tokens it has.
    pub fn read_count(self, body: &Fields<'_>) -> Result<chat::Request, Error> {
        let body = match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses | Self::AiSdk(_) => {
                return self.read_request(body);
            }
            // The one field that this body does not have and others must.
            Self::Anthropic => body.with(&[("max_tokens", "1")]),
            Self::Gemini => gemini::count_body(body),
        };
        self.read_request(&Fields::read(&body).map_err(Error::invalid)?)
    }

    /// Answers how many tokens a request has.
    pub fn write_count(self, tokens: u64) -> Vec<u8> {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses | Self::Anthropic | Self::AiSdk(_) => {
                anthropic::write_count(tokens)
            }
            Self::Gemini => gemini::write_count(tokens),
        }
    }

    /// Whether the caller wants usage told in the stream.
    pub fn usage_wanted(self, body: &Fields<'_>) -> bool {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions => openai_chat::usage_wanted(body),
            Self::Anthropic | Self::OpenaiResponses | Self::Gemini | Self::AiSdk(_) => true,
        }
    }

    /// Writes a whole answer.
    pub fn write_response(self, response: &chat::Response, label: &Label) -> Vec<u8> {
        match self {
            Self::OpenaiChat => openai_chat::write_response(response, label),
            Self::Anthropic => anthropic::write_response(response, label),
            Self::OpenaiResponses => openai_responses::write_response(response, label),
            Self::Gemini => gemini::write_response(response, label),
            Self::OpenaiCompletions => completions::write_response(response, label),
            Self::AiSdk(version) => ai_sdk::write_response(response, label, version),
        }
    }

    /// Writes a streamed answer.
    pub fn encoder(self, label: Label) -> Box<dyn Encode> {
        match self {
            Self::OpenaiChat => Box::new(openai_chat::Encoder::new(label)),
            Self::Anthropic => Box::new(anthropic::Encoder::new(label)),
            Self::OpenaiResponses => Box::new(openai_responses::Encoder::new(label)),
            Self::Gemini => Box::new(gemini::Encoder::new(label)),
            Self::OpenaiCompletions => Box::new(completions::Encoder::new(label)),
            Self::AiSdk(version) => Box::new(ai_sdk::Encoder::new(label, version)),
        }
    }

    /// The status of an answer that is an error. Claude Code knows a budget that is used up by 429 with `billing_error`.
    ///
    /// Source: "Claude apps gateway spend limits", Claude Code's documentation, read 2026-11.
    pub fn error_status(self, error: &Error) -> u16 {
        match (self, error.kind) {
            (Self::Anthropic, Kind::SpendCapReached) => 429,
            _ => error.status(),
        }
    }

    /// The body of an answer that is an error.
    pub fn error_body(self, error: &Error, id: &str) -> Vec<u8> {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses => openai_chat::error_body(error),
            Self::Anthropic => anthropic::error_body(error, id),
            Self::Gemini => gemini::error_body(error),
            Self::AiSdk(_) => ai_sdk::error_body(error, id),
        }
    }

    /// The frame that ends a stream with an error.
    pub fn error_frame(self, error: &Error) -> Vec<u8> {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions => openai_chat::error_frame(error),
            Self::Anthropic => anthropic::error_frame(error),
            Self::OpenaiResponses => openai_responses::error_frame(error),
            Self::Gemini => gemini::error_frame(error),
            Self::AiSdk(_) => ai_sdk::error_frame(error),
        }
    }

    /// A frame that says nothing but that the answer is on its way. It may stand anywhere between two others.
    pub fn heartbeat(self) -> &'static [u8] {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses | Self::AiSdk(_) => b": ping\n\n",
            Self::Anthropic => b"event: ping\ndata: {\"type\":\"ping\"}\n\n",
            // Some of its clients read every line as JSON.
            Self::Gemini => b"\n\n",
        }
    }

    /// A frame that says something to people only, in a line; `None` where clients read every line.
    pub fn remark(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses | Self::AiSdk(_) | Self::Anthropic => {
                Some(format!(": {text}\n\n").into_bytes())
            }
            Self::Gemini => None,
        }
    }

    /// The body of `GET /v1/models`.
    pub fn write_models(self, models: &[Model]) -> Vec<u8> {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses => openai_chat::write_models(models),
            Self::Anthropic => anthropic::write_models(models),
            Self::Gemini => gemini::write_models(models),
            Self::AiSdk(version) => ai_sdk::write_models(models, version),
        }
    }

    /// The body of `GET /v1/models/{id}`: a row of that list.
    pub fn write_model(self, model: &Model) -> Vec<u8> {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses => openai_chat::write_model(model),
            Self::Anthropic => anthropic::write_model(model),
            Self::Gemini => gemini::write_model(model),
            Self::AiSdk(version) => ai_sdk::write_model(model, version),
        }
    }

    /// Whether its clients give reasoning back with its signatures. Gemini CLI drops thoughts from its history.
    pub fn keeps_reasoning(self) -> bool {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::Gemini => false,
            Self::Anthropic | Self::OpenaiResponses | Self::AiSdk(_) => true,
        }
    }

    /// Whether its clients give a signature of a tool call back.
    pub fn keeps_call_signatures(self) -> bool {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::Anthropic | Self::OpenaiResponses => false,
            Self::Gemini | Self::AiSdk(_) => true,
        }
    }

    /// Where this dialect's clients look for the id of a request.
    pub fn id_header(self) -> &'static str {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses | Self::Gemini | Self::AiSdk(_) => {
                "x-request-id"
            }
            Self::Anthropic => "request-id",
        }
    }

    /// Headers of this dialect that a caller may set for an upstream of the same dialect.
    pub fn forwards(self, header: &str) -> bool {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses => header.starts_with("openai-"),
            Self::Anthropic => header.starts_with("anthropic-"),
            // Not `x-goog-api-key`, which is the caller's key here.
            Self::Gemini => header == "x-goog-api-client",
            Self::AiSdk(_) => false,
        }
    }

    /// The headers in which its clients show a provider who they are.
    ///
    /// Sources: Claude Code and Codex as they were observed, 2026-11: an account of ChatGPT stands beside its token.
    pub fn credentials(self) -> &'static [&'static str] {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiResponses => {
                &["authorization", "chatgpt-account-id"]
            }
            Self::Anthropic => &["authorization", "x-api-key"],
            Self::Gemini => &["authorization", "x-goog-api-key"],
            Self::AiSdk(_) => &[],
        }
    }
}
