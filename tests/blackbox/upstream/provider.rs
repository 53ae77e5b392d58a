//! Who the scripted upstream plays: a dialect at the place where it is served. Each has its own paths, its own key, and
//! its own idea of a good request.

use serde_json::{Value, json};

use super::{Frame, Request, anthropic, bedrock_converse, cohere, event_stream, gemini, ollama, openai_chat};
use super::{openai_responses, sigv4};
use crate::answer::{Answer, Call, Usage};

pub(crate) const OPENAI_KEY: &str = "sk-scripted-openai-5f2c";
pub(crate) const ANTHROPIC_KEY: &str = "sk-ant-scripted-8d1e";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    OpenaiChat,
    Anthropic,
    OpenaiResponses,
    Gemini,
    BedrockConverse,
    /// Anthropic's bodies behind Amazon Bedrock.
    AnthropicOnBedrock,
    /// Anthropic's bodies behind Google Vertex AI.
    AnthropicOnVertex,
    Cohere,
    Ollama,
}

/// What a request is for, as far as its path says.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) provider: Provider,
    /// Where the path names it.
    pub(crate) model: Option<String>,
    /// Where the path says so.
    pub(crate) stream: Option<bool>,
    /// Whether a stream is one list.
    pub(crate) list: bool,
}

impl Provider {
    /// Those that every scenario is played with.
    pub(crate) const BOTH: [Self; 2] = [Self::OpenaiChat, Self::Anthropic];
    pub(crate) const ALL: [Self; 9] = [
        Self::OpenaiChat,
        Self::Anthropic,
        Self::OpenaiResponses,
        Self::Gemini,
        Self::BedrockConverse,
        Self::AnthropicOnBedrock,
        Self::AnthropicOnVertex,
        Self::Cohere,
        Self::Ollama,
    ];

    /// One of each dialect: that a cloud stands before it is no matter of who calls.
    pub(crate) const DIALECTS: [Self; 7] = [
        Self::OpenaiChat,
        Self::Anthropic,
        Self::OpenaiResponses,
        Self::Gemini,
        Self::BedrockConverse,
        Self::Cohere,
        Self::Ollama,
    ];

    /// One that speaks another dialect.
    pub(crate) fn other(self) -> Self {
        if self == Self::Anthropic { Self::OpenaiChat } else { Self::Anthropic }
    }

    /// As test names spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::Anthropic => "anthropic",
            Self::OpenaiResponses => "openai_responses",
            Self::Gemini => "gemini",
            Self::BedrockConverse => "bedrock_converse",
            Self::AnthropicOnBedrock => "anthropic_on_bedrock",
            Self::AnthropicOnVertex => "anthropic_on_vertex",
            Self::Cohere => "cohere",
            Self::Ollama => "ollama",
        }
    }

    /// As the configuration calls it.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::OpenaiChat => "up-openai",
            Self::Anthropic => "up-anthropic",
            Self::OpenaiResponses => "up-responses",
            Self::Gemini => "up-gemini",
            Self::BedrockConverse => "up-converse",
            Self::AnthropicOnBedrock => "up-bedrock",
            Self::AnthropicOnVertex => "up-vertex",
            Self::Cohere => "up-cohere",
            Self::Ollama => "up-ollama",
        }
    }

    /// The target that leads to this model of the script.
    pub(crate) fn target(self, model: &str) -> String {
        format!("{}/{}{model}", self.id(), self.family())
    }

    /// What its models' names begin with, where what they take is known by it.
    pub(crate) fn family(self) -> &'static str {
        match self {
            Self::OpenaiChat | Self::Anthropic | Self::AnthropicOnVertex | Self::Ollama => "",
            Self::OpenaiResponses => "gpt-5-",
            Self::Gemini => "gemini-3-pro-",
            Self::BedrockConverse | Self::AnthropicOnBedrock => "eu.anthropic.claude-sonnet-4-5-v1:0-",
            Self::Cohere => "command-a-reasoning-",
        }
    }

    /// The key that the gateway must present, and must present to nobody else; `None` where it signs, or has none.
    pub(crate) fn key(self) -> Option<&'static str> {
        match self {
            Self::OpenaiChat => Some(OPENAI_KEY),
            Self::Anthropic => Some(ANTHROPIC_KEY),
            Self::OpenaiResponses => Some("sk-scripted-responses-31aa"),
            Self::Gemini => Some("AIza-scripted-gemini-90be"),
            Self::AnthropicOnBedrock => Some("bedrock-api-key-scripted-77c1"),
            Self::AnthropicOnVertex => Some("ya29.scripted-vertex-04d2"),
            Self::Cohere => Some("co-scripted-cohere-e6f3"),
            Self::BedrockConverse | Self::Ollama => None,
        }
    }

    /// A key of a caller's own, which it takes too.
    pub(crate) fn own_key(self) -> String {
        format!("own-key-of-{}", self.id())
    }

    /// The name of the secret that holds it.
    pub(crate) fn secret(self) -> String {
        format!("{}_API_KEY", self.id().to_uppercase().replace('-', "_"))
    }

    /// Its row in the configuration.
    pub(crate) fn config(self, origin: &str) -> Value {
        let base_url = match self {
            Self::OpenaiChat | Self::OpenaiResponses => format!("{origin}/v1"),
            Self::Gemini => format!("{origin}/v1beta"),
            Self::AnthropicOnVertex => format!("{origin}{VERTEX}"),
            Self::Cohere => format!("{origin}/v2"),
            Self::Anthropic | Self::BedrockConverse | Self::AnthropicOnBedrock | Self::Ollama => origin.to_owned(),
        };
        let mut row = match self {
            Self::OpenaiChat => json!({"dialect": "openai-chat", "models": ["text", "tools"]}),
            Self::Anthropic => json!({"dialect": "anthropic", "models": ["thinking"], "pass_through": true}),
            Self::OpenaiResponses => json!({"dialect": "openai-responses"}),
            Self::Gemini => json!({"dialect": "gemini"}),
            Self::BedrockConverse => json!({"dialect": "bedrock-converse", "auth": "sigv4", "region": sigv4::REGION}),
            Self::AnthropicOnBedrock => json!({"dialect": "anthropic", "platform": "bedrock"}),
            Self::AnthropicOnVertex => json!({"dialect": "anthropic", "platform": "vertex"}),
            Self::Cohere => json!({"dialect": "cohere"}),
            Self::Ollama => json!({"dialect": "ollama", "auth": "none"}),
        };
        row["base_url"] = base_url.into();
        row
    }

    /// The proof of reasoning that comes with an answer's calls, and is wanted back with them.
    pub(crate) fn proof_of(self, answer: &Answer) -> Option<&'static str> {
        match self {
            Self::OpenaiChat | Self::Cohere | Self::Ollama => None,
            Self::Gemini => (!answer.calls.is_empty()).then(|| gemini::proof(answer)),
            _ => answer.thinking.map(|(_, signature)| signature),
        }
    }

    /// Whether its models sign their thoughts.
    pub(crate) fn signs(self) -> bool {
        self.proof_of(&Answer::of("thinking")).is_some()
    }

    /// What a result names its call by.
    pub(crate) fn result_of(self, call: &Call) -> &'static str {
        if self.names_calls() { call.id } else { call.name }
    }

    /// Whether its calls have ids.
    pub(crate) fn names_calls(self) -> bool {
        self != Self::Ollama
    }

    /// What is left of a usage when it reports it.
    pub(crate) fn reports(self, usage: Usage) -> Usage {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses | Self::Gemini => Usage { cache_write: 0, ..usage },
            Self::Anthropic | Self::AnthropicOnBedrock | Self::AnthropicOnVertex | Self::BedrockConverse => {
                Usage { reasoning: 0, ..usage }
            }
            Self::Cohere | Self::Ollama => Usage { cached: 0, cache_write: 0, reasoning: 0, ..usage },
        }
    }

    pub(crate) fn stream_type(self, list: bool) -> &'static str {
        match self {
            Self::BedrockConverse | Self::AnthropicOnBedrock => "application/vnd.amazon.eventstream",
            Self::Ollama => "application/x-ndjson",
            Self::Gemini if list => "application/json; charset=UTF-8",
            _ => "text/event-stream; charset=utf-8",
        }
    }

    /// Where it says which request this was.
    pub(crate) fn id_header(self) -> &'static str {
        match self {
            Self::Anthropic | Self::AnthropicOnVertex => "request-id",
            Self::BedrockConverse | Self::AnthropicOnBedrock => "x-amzn-requestid",
            _ => "x-request-id",
        }
    }

    pub(crate) fn whole(self, answer: &Answer, model: &str, request: &Value) -> Value {
        match self {
            Self::OpenaiChat => openai_chat::whole(answer, model),
            Self::Anthropic | Self::AnthropicOnBedrock | Self::AnthropicOnVertex => anthropic::whole(answer, model),
            Self::OpenaiResponses => openai_responses::whole(answer, model, request),
            Self::Gemini => gemini::whole(answer, model),
            Self::BedrockConverse => bedrock_converse::whole(answer),
            Self::Cohere => cohere::whole(answer),
            Self::Ollama => ollama::whole(answer, model),
        }
    }

    pub(crate) fn frames(self, answer: &Answer, model: &str, request: &Value, list: bool) -> Vec<Frame> {
        match self {
            Self::OpenaiChat => openai_chat::frames(answer, model, request["stream_options"]["include_usage"] == true),
            Self::Anthropic | Self::AnthropicOnVertex => anthropic::frames(answer, model),
            Self::AnthropicOnBedrock => anthropic::frames(answer, model).into_iter().map(wrapped).collect(),
            Self::OpenaiResponses => openai_responses::frames(answer, model, request),
            Self::Gemini => gemini::frames(answer, model, list),
            Self::BedrockConverse => bedrock_converse::frames(answer),
            Self::Cohere => cohere::frames(answer),
            Self::Ollama => ollama::frames(answer, model),
        }
    }

    pub(crate) fn error(self, status: u16, message: &str) -> Value {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => openai_chat::error(status, message),
            Self::Anthropic => anthropic::error(status, message),
            Self::Gemini | Self::AnthropicOnVertex => gemini::error(status, message),
            Self::BedrockConverse | Self::AnthropicOnBedrock => bedrock_converse::error(message),
            Self::Cohere => cohere::error(message),
            Self::Ollama => ollama::error(message),
        }
    }

    pub(crate) fn error_frame(self, message: &str) -> Vec<u8> {
        match self {
            Self::OpenaiChat => openai_chat::error_frame(message).into_bytes(),
            Self::Anthropic | Self::AnthropicOnVertex => anthropic::error_frame(message).into_bytes(),
            Self::OpenaiResponses => openai_responses::error_frame(message),
            Self::Gemini => gemini::error_frame(message),
            Self::BedrockConverse | Self::AnthropicOnBedrock => bedrock_converse::error_frame(message),
            Self::Cohere => cohere::error_frame(message),
            Self::Ollama => ollama::error_frame(message),
        }
    }

    /// What the real API would answer 400 to.
    pub(crate) fn check(self, body: &Value, request: &Request, streams: Option<bool>) -> Result<(), String> {
        match self {
            Self::OpenaiChat => openai_chat::check(body),
            Self::Anthropic => anthropic::check(body, request.header("anthropic-version")),
            Self::AnthropicOnBedrock => on_a_cloud(body, "bedrock-2023-05-31", &["model", "stream"]),
            Self::AnthropicOnVertex if body["stream"].as_bool() != streams.filter(|stream| *stream) => {
                Err(format!("stream: {} is not what the path says", body["stream"]))
            }
            Self::AnthropicOnVertex => on_a_cloud(body, "vertex-2023-10-16", &["model"]),
            Self::OpenaiResponses => openai_responses::check(body),
            Self::Gemini => gemini::check(body),
            Self::BedrockConverse => bedrock_converse::check(body),
            Self::Cohere => cohere::check(body),
            Self::Ollama => ollama::check(body),
        }
    }

    /// Whether the request comes with this provider's key or a caller's own, or with its signature.
    pub(crate) fn authorizes(self, request: &Request) -> Result<(), String> {
        let shown = |name: &str, scheme: &str| {
            let key = request.header(name).strip_prefix(scheme);
            let is_good = key.is_some_and(|key| Some(key) == self.key() || key == self.own_key());
            if is_good { Ok(()) } else { Err("the upstream's key is missing".to_owned()) }
        };
        let bearer = || shown("authorization", "Bearer ");
        match self {
            Self::Anthropic => shown("x-api-key", "").or_else(|_| bearer()),
            Self::Gemini => shown("x-goog-api-key", ""),
            Self::BedrockConverse => sigv4::check(request),
            Self::Ollama if request.header("authorization").is_empty() => Ok(()),
            Self::Ollama => Err("somebody's key".to_owned()),
            _ => bearer(),
        }
    }

    /// Call and text of every result in a request; where calls have no ids, the tool.
    pub(crate) fn results(self, request: &Value) -> Vec<(String, String)> {
        match self {
            Self::OpenaiChat | Self::Cohere => openai_chat::results(request),
            Self::Anthropic | Self::AnthropicOnBedrock | Self::AnthropicOnVertex => anthropic::results(request),
            Self::OpenaiResponses => openai_responses::results(request),
            Self::Gemini => gemini::results(request),
            Self::BedrockConverse => bedrock_converse::results(request),
            Self::Ollama => ollama::results(request),
        }
    }

    /// The proof of reasoning that came back, with the thought where it stands beside it.
    pub(crate) fn proof_in(self, request: &Value) -> Option<(Option<String>, String)> {
        let told = |(thought, proof)| (Some(thought), proof);
        match self {
            Self::Anthropic | Self::AnthropicOnBedrock | Self::AnthropicOnVertex => {
                anthropic::thought(request).map(told)
            }
            Self::OpenaiResponses => openai_responses::thought(request).map(told),
            Self::BedrockConverse => bedrock_converse::thought(request).map(told),
            Self::Gemini => gemini::signature(request).map(|proof| (None, proof)),
            Self::OpenaiChat | Self::Cohere | Self::Ollama => None,
        }
    }
}

const VERTEX: &str = "/v1/projects/scripted/locations/us-east5";

impl Asked {
    /// `None` where no provider has such a path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let by_body = |provider| Some(Self { provider, model: None, stream: None, list: false });
        match path {
            "/v1/chat/completions" => return by_body(Provider::OpenaiChat),
            "/v1/responses" => return by_body(Provider::OpenaiResponses),
            "/v1/messages" => return by_body(Provider::Anthropic),
            "/v2/chat" => return by_body(Provider::Cohere),
            "/api/chat" => return by_body(Provider::Ollama),
            _ => {}
        }
        let vertex = format!("{VERTEX}/publishers/anthropic/models/");
        let (provider, rest, separator) = if let Some(rest) = path.strip_prefix("/v1beta/models/") {
            (Provider::Gemini, rest, ':')
        } else if let Some(rest) = path.strip_prefix(vertex.as_str()) {
            (Provider::AnthropicOnVertex, rest, ':')
        } else {
            (Provider::BedrockConverse, path.strip_prefix("/model/")?, '/')
        };
        let (model, verb) = rest.rsplit_once(separator)?;
        let (provider, stream) = match (provider, verb) {
            (Provider::Gemini, "generateContent") | (Provider::AnthropicOnVertex, "rawPredict") => (provider, false),
            (Provider::Gemini, "streamGenerateContent") | (Provider::AnthropicOnVertex, "streamRawPredict") => {
                (provider, true)
            }
            (Provider::BedrockConverse, "converse") => (provider, false),
            (Provider::BedrockConverse, "converse-stream") => (provider, true),
            (Provider::BedrockConverse, "invoke") => (Provider::AnthropicOnBedrock, false),
            (Provider::BedrockConverse, "invoke-with-response-stream") => (Provider::AnthropicOnBedrock, true),
            _ => return None,
        };
        let list = provider == Provider::Gemini && query != "alt=sse";
        Some(Self { provider, model: Some(model.replace("%3A", ":")), stream: Some(stream), list })
    }
}

/// A cloud has the version in the body, and what the path says not.
fn on_a_cloud(body: &Value, version: &str, unwanted: &[&str]) -> Result<(), String> {
    if body["anthropic_version"] != version {
        return Err("anthropic_version: Field required".to_owned());
    }
    if let Some(field) = unwanted.iter().find(|field| !body[**field].is_null()) {
        return Err(format!("{field}: Extra inputs are not permitted"));
    }
    anthropic::check(body, "2023-06-01")
}

/// An event of Anthropic's as Bedrock sends it.
fn wrapped(frame: Frame) -> Frame {
    use base64::Engine as _;
    let text = String::from_utf8_lossy(&frame.bytes).into_owned();
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("an event has data");
    let chunk = json!({"bytes": base64::engine::general_purpose::STANDARD.encode(data), "p": "abcdefg"});
    Frame { bytes: event_stream::event("chunk", &chunk.to_string()), ..frame }
}
