//! Writes a request for an upstream that speaks Chat Completions.
//!
//! The least that every server takes: many refuse fields they do not know, and OpenAI's reasoning models
//! refuse some that all others know. What is left out is named in `lost`.

use std::borrow::Cow;

use super::detail::DetailOut;
use super::encode::CallOut;
use crate::chat::{Content, Effort, Format, Lost, Media, Message, Number, Part, Request, Role, Tool, ToolChoice};
use crate::wire::json::{Raw, to_vec, written};

/// Models that want `max_completion_tokens` and refuse sampling parameters and stop sequences, by the
/// start of their name. Source: "Reasoning models", OpenAI API documentation, read 2026-11.
const REASONING_MODELS: &[&str] = &["o1", "o3", "o4", "gpt-5", "gpt-6"];

/// Models that refuse `reasoning_effort`, by the start of their name. Source: as above.
const PLAIN_MODELS: &[&str] = &["gpt-3.5", "gpt-4", "chatgpt"];

/// From this GPT on, OpenAI refuses function tools beside reasoning in Chat Completions, and the later ones reason
/// unless told not to: "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
///
/// Sources: openai/openai-openapi#541, livekit/agents#5088 and #7169, BerriAI/litellm#34569; read 2026-11.
const TOOLS_SILENCE: (u32, u32) = (5, 2);

/// Models that want their reasoning back in `reasoning_content` on tool turns, by the start of their name;
/// other servers refuse the field. Sources: "Thinking mode", DeepSeek API documentation; "Thinking models",
/// Moonshot AI documentation; "Thinking mode", Z.ai documentation; read 2026-11.
const REPLAYING_MODELS: &[&str] = &["deepseek-chat", "deepseek-reasoner", "deepseek-v", "kimi-k", "glm-"];

/// OpenAI's bound on names of end users; Claude Code's are longer.
const USER_BYTES_MAX: usize = 64;

pub fn write_request(request: &Request, lost: &mut Vec<String>) -> Vec<u8> {
    // The organisation may stand before the name: `openai/gpt-5`.
    let name = request.model.rsplit('/').next().unwrap_or_default();
    let is = |models: &[&str]| models.iter().any(|start| name.starts_with(start));
    let mut lost = Lost(lost);
    let reasons = is(REASONING_MODELS);
    let (mut temperature, mut top_p) = (request.temperature.as_ref(), request.top_p.as_ref());
    let mut stop = request.stop.as_slice();
    if reasons {
        lost.note_if(temperature.take().is_some(), "temperature");
        lost.note_if(top_p.take().is_some(), "top_p");
        lost.note_if(!std::mem::take(&mut stop).is_empty(), "stop");
    }
    let (mut frequency_penalty, mut presence_penalty) =
        (request.frequency_penalty.as_ref(), request.presence_penalty.as_ref());
    if reasons {
        lost.note_if(frequency_penalty.take().is_some(), "frequency_penalty");
        lost.note_if(presence_penalty.take().is_some(), "presence_penalty");
    }
    lost.note_if(request.top_k.is_some(), "top_k");
    let user = request.user.as_deref().filter(|user| user.len() <= USER_BYTES_MAX);
    lost.note_if(user.is_none() && request.user.is_some(), "user");
    let has_tools = !request.tools.is_empty();
    // A name with an organisation before it is for another server than OpenAI's, which may know a way.
    let is_silenced = has_tools && gpt(&request.model).is_some_and(|version| version >= TOOLS_SILENCE);
    let reasoning_effort = match &request.reasoning {
        asked if is_silenced => {
            lost.note_if(asked.as_ref().is_some_and(|effort| *effort != Effort::Off), "thinking");
            Some("none")
        }
        asked => {
            let said = asked.as_ref().and_then(effort).filter(|_| !is(PLAIN_MODELS));
            // To be off is what a model that cannot think does anyhow.
            let thinks = asked.as_ref().is_some_and(|effort| reasons || *effort != Effort::Off);
            lost.note_if(thinks && said.is_none(), "thinking");
            said
        }
    };
    let messages =
        Messages { replays: is(REPLAYING_MODELS), out: Vec::new(), lost: &mut lost }.write(&request.messages);
    to_vec(&RequestOut {
        model: &request.model,
        messages,
        tools: request.tools.iter().map(|tool| tool_out(tool, &mut lost)).collect(),
        // Without tools OpenAI refuses both.
        tool_choice: request.tool_choice.as_ref().filter(|_| has_tools).map(choice),
        parallel_tool_calls: request.parallel_tools.filter(|_| has_tools),
        max_tokens: request.max_tokens.filter(|_| !reasons),
        max_completion_tokens: request.max_tokens.filter(|_| reasons),
        temperature,
        top_p,
        stop,
        seed: request.seed.as_ref(),
        frequency_penalty,
        presence_penalty,
        verbosity: request.verbosity.as_deref(),
        service_tier: request.service_tier.as_deref(),
        prompt_cache_key: request.cache_key.as_deref(),
        reasoning_effort,
        response_format: request.format.as_ref().map(format),
        user,
        stream: request.stream,
        stream_options: request.stream.then_some(StreamOptions { include_usage: true }),
    })
}

/// The version in a name like `gpt-5`, `gpt-5.4-mini` or `gpt-6.1-sol`.
fn gpt(model: &str) -> Option<(u32, u32)> {
    // Azure writes 3.5 without the point.
    let name = model.strip_prefix("gpt-").filter(|name| !name.starts_with("35"))?;
    let version = name.split('-').next()?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `reasoning_effort`; `None` where the words of this dialect do not say it.
fn effort(effort: &Effort) -> Option<&str> {
    match effort {
        Effort::Level(level) if level == "max" => Some("high"),
        Effort::Level(level) => Some(level),
        Effort::Budget(tokens) => Some(match tokens {
            0..4096 => "low",
            4096..16384 => "medium",
            _ => "high",
        }),
        // "none" is refused by all but the newest models.
        Effort::Off | Effort::Adaptive => None,
    }
}

fn tool_out<'a>(tool: &'a Tool, lost: &mut Lost<'_>) -> ToolOut<'a> {
    lost.note_if(tool.cache.is_some(), "cache_control");
    ToolOut {
        kind: "function",
        function: FunctionOut {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: tool
                .schema
                .as_ref()
                .map_or(SchemaOut::Empty { kind: "object", properties: Empty {} }, |schema| {
                    SchemaOut::Given(schema.raw())
                }),
            strict: tool.strict,
        },
    }
}

fn choice(choice: &ToolChoice) -> ChoiceOut<'_> {
    match choice {
        ToolChoice::Auto => ChoiceOut::Mode("auto"),
        ToolChoice::None => ChoiceOut::Mode("none"),
        ToolChoice::Required => ChoiceOut::Mode("required"),
        ToolChoice::Named(name) => ChoiceOut::Named { kind: "function", function: NameOut { name } },
    }
}

fn format(format: &Format) -> FormatOut<'_> {
    match format {
        Format::Json => FormatOut { kind: "json_object", json_schema: None },
        Format::Schema { name, schema, strict } => FormatOut {
            kind: "json_schema",
            json_schema: Some(FormatSchema { name, schema: schema.raw(), strict: *strict }),
        },
    }
}

/// Turns our messages into theirs: tool results become messages of their own.
struct Messages<'a, 'l, 'v> {
    replays: bool,
    out: Vec<MessageOut<'a>>,
    lost: &'l mut Lost<'v>,
}

impl<'a> Messages<'a, '_, '_> {
    fn write(mut self, messages: &'a [Message]) -> Vec<MessageOut<'a>> {
        for message in messages {
            let cached = message.parts.iter().any(is_cached);
            self.lost.note_if(cached, "cache_control");
            match message.role {
                Role::System => self.system(&message.parts),
                Role::User => self.user(&message.parts),
                Role::Assistant => self.assistant(&message.parts),
            }
        }
        self.out
    }

    fn system(&mut self, parts: &'a [Part]) {
        let mut content = Vec::new();
        for part in parts {
            match &part.content {
                Content::Text(text) => content.push(PartOut::Text { text }),
                other => self.lost.note(other.wire_name()),
            }
        }
        self.push("system", content);
    }

    fn user(&mut self, parts: &'a [Part]) {
        let mut content = Vec::new();
        // Images of all results come after the last of them: nothing may stand between a call and its result.
        for part in parts {
            if let Content::ToolResult { call, parts, is_error } = &part.content {
                self.tool(call, parts, *is_error, &mut content);
            }
        }
        for part in parts {
            match &part.content {
                Content::ToolResult { .. } => {}
                other => self.input(other, &mut content),
            }
        }
        self.push("user", content);
    }

    fn tool(&mut self, call: &'a str, parts: &'a [Part], is_error: bool, others: &mut Vec<PartOut<'a>>) {
        let mut texts = Vec::new();
        let before = others.len();
        for part in parts {
            match &part.content {
                Content::Text(text) => texts.push(text.as_str()),
                other => self.input(other, others),
            }
        }
        let mut text = match texts.as_slice() {
            [text] => Cow::Borrowed(*text),
            [] if others.len() > before => Cow::Borrowed("The result follows as a file in the next message."),
            texts => Cow::Owned(texts.join("\n")),
        };
        // There is no other place to say it.
        if is_error && !text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error")) {
            text = Cow::Owned(format!("Error: {text}"));
        }
        self.out.push(MessageOut {
            content: Some(ContentOut::Text(text)),
            tool_call_id: Some(call),
            ..MessageOut::new("tool")
        });
    }

    /// What a user message can hold beside tool results.
    fn input(&mut self, content: &'a Content, out: &mut Vec<PartOut<'a>>) {
        match content {
            Content::Text(text) => out.push(PartOut::Text { text }),
            Content::Image(media) => out.push(PartOut::Image { image_url: UrlOut { url: media.url() } }),
            Content::Document { media: media @ Media::Inline { .. }, name } => {
                // OpenAI refuses a file without a name.
                let filename = name.as_deref().unwrap_or("document.pdf");
                out.push(PartOut::File { file: FileOut { filename, file_data: media.url() } });
            }
            other => self.lost.note(other.wire_name()),
        }
    }

    fn assistant(&mut self, parts: &'a [Part]) {
        let (mut content, mut tool_calls, mut reasoning) = (Vec::new(), Vec::new(), String::new());
        let mut details = Vec::new();
        for part in parts {
            let index = details.len() as u64;
            match &part.content {
                // What is proven came from this very server, which knows the field.
                Content::Reasoning { text, signature: Some(proof) } => {
                    details.push(DetailOut::text(text, Some(proof), index));
                }
                Content::SealedReasoning(sealed) => details.push(DetailOut::sealed(sealed, index)),
                Content::Reasoning { text, .. } if self.replays => reasoning.push_str(text),
                Content::Text(text) => content.push(PartOut::Text { text }),
                Content::ToolCall(call) => tool_calls.push(CallOut::whole(call)),
                other => self.lost.note(other.wire_name()),
            }
        }
        if content.is_empty() && tool_calls.is_empty() {
            self.lost.note_if(!details.is_empty(), "messages.reasoning");
            return;
        }
        self.out.push(MessageOut {
            content: contents(content),
            reasoning_content: Some(reasoning).filter(|text| !text.is_empty()),
            reasoning_details: details,
            tool_calls,
            ..MessageOut::new("assistant")
        });
    }

    fn push(&mut self, role: &'static str, parts: Vec<PartOut<'a>>) {
        if !parts.is_empty() {
            self.out.push(MessageOut { content: contents(parts), ..MessageOut::new(role) });
        }
    }
}

fn is_cached(part: &Part) -> bool {
    part.cache.is_some()
        || matches!(&part.content, Content::ToolResult { parts, .. } if parts.iter().any(|part| part.cache.is_some()))
}

/// One text is a string, which every server takes; more are an array, so that their borders stay.
fn contents(mut parts: Vec<PartOut<'_>>) -> Option<ContentOut<'_>> {
    match parts.as_slice() {
        [] => None,
        [PartOut::Text { .. }] => match parts.pop() {
            Some(PartOut::Text { text }) => Some(ContentOut::Text(Cow::Borrowed(text))),
            _ => None,
        },
        _ => Some(ContentOut::Parts(parts)),
    }
}

written! {
    struct RequestOut<'a> {
        model: &'a str,
        messages: Vec<MessageOut<'a>>,
        tools?: Vec<ToolOut<'a>>,
        tool_choice?: Option<ChoiceOut<'a>>,
        parallel_tool_calls?: Option<bool>,
        max_tokens?: Option<u64>,
        max_completion_tokens?: Option<u64>,
        temperature?: Option<&'a Number>,
        top_p?: Option<&'a Number>,
        stop?: &'a [String],
        seed?: Option<&'a Number>,
        frequency_penalty?: Option<&'a Number>,
        presence_penalty?: Option<&'a Number>,
        verbosity?: Option<&'a str>,
        service_tier?: Option<&'a str>,
        prompt_cache_key?: Option<&'a str>,
        reasoning_effort?: Option<&'a str>,
        response_format?: Option<FormatOut<'a>>,
        user?: Option<&'a str>,
        stream?: bool,
        stream_options?: Option<StreamOptions>,
    }

    struct StreamOptions {
        include_usage: bool,
    }

    struct MessageOut<'a> {
        role: &'static str,
        /// Null beside tool calls, as OpenAI has it.
        content: Option<ContentOut<'a>>,
        reasoning_content?: Option<String>,
        reasoning_details?: Vec<DetailOut<'a>>,
        tool_calls?: Vec<CallOut<'a>>,
        tool_call_id?: Option<&'a str>,
    }
}

impl MessageOut<'_> {
    fn new(role: &'static str) -> Self {
        let (reasoning_details, tool_calls) = (Vec::new(), Vec::new());
        Self { role, content: None, reasoning_content: None, reasoning_details, tool_calls, tool_call_id: None }
    }
}

written! {
    enum ContentOut<'a> {
        Text(Cow<'a, str>),
        Parts(Vec<PartOut<'a>>),
    }

    enum PartOut<'a> tagged "type" {
        Text as "text" { text: &'a str },
        Image as "image_url" { image_url: UrlOut<'a> },
        File as "file" { file: FileOut<'a> },
    }

    struct UrlOut<'a> {
        url: Cow<'a, str>,
    }

    struct FileOut<'a> {
        filename: &'a str,
        file_data: Cow<'a, str>,
    }

    struct ToolOut<'a> {
        kind as "type": &'static str,
        function: FunctionOut<'a>,
    }

    struct FunctionOut<'a> {
        name: &'a str,
        /// Left out rather than null, which newer models refuse.
        description?: Option<&'a str>,
        parameters: SchemaOut<'a>,
        strict?: Option<bool>,
    }

    enum SchemaOut<'a> {
        Given(Raw<'a>),
        /// A function without parameters.
        Empty {
            kind as "type": &'static str,
            properties: Empty,
        },
    }

    struct Empty {}

    enum ChoiceOut<'a> {
        Mode(&'static str),
        Named {
            kind as "type": &'static str,
            function: NameOut<'a>,
        },
    }

    struct NameOut<'a> {
        name: &'a str,
    }

    struct FormatOut<'a> {
        kind as "type": &'static str,
        json_schema?: Option<FormatSchema<'a>>,
    }

    struct FormatSchema<'a> {
        name: &'a str,
        schema: Raw<'a>,
        strict?: Option<bool>,
    }
}
