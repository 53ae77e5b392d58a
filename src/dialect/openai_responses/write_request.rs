//! Writes a request for an upstream that speaks Responses.
//!
//! Nothing is stored there: reasoning comes back encrypted and is sent again in its place. What the upstream could not
//! take is named in `lost`.

use std::borrow::Cow;

use super::tools::{self, Called, ToolOut, unwrapped};
use crate::chat::{
    Content, Effort, Format, Lost, Media, Message, Number, Part, Request, Role, Tool, ToolCall, ToolChoice,
};
use crate::wire::json::{Raw, to_vec, written};

/// OpenAI's reasoning models, by the start of their name. They want `developer` for `system`, give their reasoning
/// encrypted, and refuse sampling parameters. Source: "Reasoning models", OpenAI API documentation, read 2026-11.
const REASONING_MODELS: &[&str] = &["o1", "o3", "o4", "gpt-5", "gpt-6"];

/// Models that refuse `reasoning` and encrypted reasoning, by the start of their name. Source: as above.
const PLAIN_MODELS: &[&str] = &["gpt-3.5", "gpt-4", "chatgpt", "gpt-5-chat"];

/// From this GPT on reasoning can be off, and then, as without being asked for, sampling parameters are taken.
/// Source: "Using GPT-5.1", OpenAI API documentation, read 2026-11.
const REASONS_AT_WILL: (u32, u32) = (5, 1);

/// Models that give their reasoning in plain text and want it back, by the start of their name; OpenAI refuses
/// reasoning without its proof. Sources: "Thinking mode", DeepSeek API documentation; "How to handle the raw chain of
/// thought in gpt-oss", OpenAI cookbook; read 2026-11.
const REPLAYING_MODELS: &[&str] = &["deepseek", "gpt-oss"];

/// OpenAI's least bound of an answer here; Claude Code asks for one token to learn whether it may ask.
const OUTPUT_TOKENS_MIN: u64 = 16;

/// OpenAI's bound on names of end users; Claude Code's are longer.
const USER_BYTES_MAX: usize = 64;

/// Whether this is one of OpenAI's reasoning models.
pub fn reasons(model: &str) -> bool {
    // The organisation may stand before the name: `openai/gpt-5`.
    let name = model.rsplit('/').next().unwrap_or_default();
    let is = |models: &[&str]| models.iter().any(|start| name.starts_with(start));
    is(REASONING_MODELS) && !is(PLAIN_MODELS)
}

pub fn write_request(request: &Request, lost: &mut Vec<String>) -> Vec<u8> {
    // The organisation may stand before the name: `openai/gpt-5`.
    let name = request.model.rsplit('/').next().unwrap_or_default();
    let is = |models: &[&str]| models.iter().any(|start| name.starts_with(start));
    let mut lost = Lost(lost);
    let is_plain = is(PLAIN_MODELS);
    let reasons = reasons(&request.model);
    let at_will = gpt(name).is_some_and(|version| version >= REASONS_AT_WILL);
    let is_asked = request.reasoning.as_ref().is_some_and(|effort| *effort != Effort::Off);
    let (mut temperature, mut top_p) = (request.temperature.as_ref(), request.top_p.as_ref());
    if reasons && (is_asked || !at_will) {
        lost.note_if(temperature.take().is_some(), "temperature");
        lost.note_if(top_p.take().is_some(), "top_p");
    }
    let is_openai = reasons || is_plain;
    let max_output_tokens = request.max_tokens.map(|most| if is_openai { most.max(OUTPUT_TOKENS_MIN) } else { most });
    lost.note_if(max_output_tokens != request.max_tokens, "max_tokens (below 16)");
    lost.note_if(!request.stop.is_empty(), "stop");
    for setting in request.settings() {
        let is_written = matches!(setting, "verbosity" | "service_tier" | "prompt_cache_key");
        lost.note_if(!is_written, setting);
    }
    let user = request.user.as_deref().filter(|user| user.len() <= USER_BYTES_MAX);
    lost.note_if(user.is_none() && request.user.is_some(), "user");
    let effort = request.reasoning.as_ref().and_then(|asked| effort(asked, reasons, at_will));
    let tells = request.reasoning_told == Some(true) && !is_plain;
    lost.note_if(is_asked && is_plain, "thinking");
    let reasoning = ReasoningOut { effort: effort.filter(|_| !is_plain), summary: tells.then_some("auto") };
    let has_tools = !request.tools.is_empty();
    let items = Items { tools: &request.tools, reasons, replays: is(REPLAYING_MODELS), out: Vec::new() };
    to_vec(&RequestOut {
        model: &request.model,
        input: items.write(&request.messages, &mut lost),
        tools: tools::write(&request.tools),
        // Without tools OpenAI refuses both.
        tool_choice: request.tool_choice.as_ref().filter(|_| has_tools).map(|asked| choice(asked, &request.tools)),
        parallel_tool_calls: request.parallel_tools.filter(|_| has_tools),
        max_output_tokens,
        temperature,
        top_p,
        reasoning: Some(reasoning).filter(|reasoning| reasoning.effort.is_some() || reasoning.summary.is_some()),
        // A server that is not OpenAI's is asked for it where there will be reasoning.
        include: (reasons || (is_asked && !is_plain)).then_some(["reasoning.encrypted_content"]),
        text: Some(text(request)).filter(|text| !text.is_default()),
        prompt_cache_key: request.cache_key.as_deref(),
        service_tier: request.service_tier.as_deref(),
        user,
        store: false,
        stream: request.stream,
    })
}

/// The version in a name like `gpt-5`, `gpt-5.4-mini` or `gpt-6.1-sol`.
fn gpt(name: &str) -> Option<(u32, u32)> {
    let version = name.strip_prefix("gpt-")?.split('-').next()?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `reasoning.effort`; `None` where the words of this dialect do not say it.
fn effort(effort: &Effort, reasons: bool, at_will: bool) -> Option<&str> {
    match effort {
        // The newest know the word.
        Effort::Level(level) if level == "max" && reasons && !at_will => Some("high"),
        Effort::Level(level) => Some(level),
        Effort::Budget(tokens) => Some(match tokens {
            0..4096 => "low",
            4096..16384 => "medium",
            _ => "high",
        }),
        Effort::Off => at_will.then_some("none"),
        Effort::Adaptive => None,
    }
}

pub(super) fn choice<'a>(asked: &'a ToolChoice, tools: &'a [Tool]) -> ChoiceOut<'a> {
    match asked {
        ToolChoice::Auto => ChoiceOut::Mode("auto"),
        ToolChoice::None => ChoiceOut::Mode("none"),
        ToolChoice::Required => ChoiceOut::Mode("required"),
        ToolChoice::Named(name) => {
            let Called { name, namespace, is_custom } = Called::find(tools, name);
            ChoiceOut::Named { kind: if is_custom { "custom" } else { "function" }, name, namespace }
        }
    }
}

pub(super) fn text(request: &Request) -> TextOut<'_> {
    let format = match &request.format {
        None => FormatOut::Text,
        Some(Format::Json) => FormatOut::Object,
        Some(Format::Schema { name, schema, strict }) => {
            FormatOut::Schema { name, schema: schema.raw(), strict: *strict }
        }
    };
    TextOut { format, verbosity: request.verbosity.as_deref() }
}

struct Items<'a> {
    tools: &'a [Tool],
    reasons: bool,
    /// Whether reasoning without proof is sent.
    replays: bool,
    out: Vec<ItemOut<'a>>,
}

impl<'a> Items<'a> {
    fn write(mut self, messages: &'a [Message], lost: &mut Lost<'_>) -> Vec<ItemOut<'a>> {
        // Which of the calls so far had free text: their results say so too.
        let mut custom = Vec::new();
        for message in messages {
            let cached = message.parts.iter().any(is_cached);
            lost.note_if(cached, "cache_control");
            let role = match message.role {
                Role::System if self.reasons => "developer",
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            let mut content = Vec::new();
            for part in &message.parts {
                if let Some(part) = words(&part.content, message.role) {
                    content.push(part);
                    continue;
                }
                // Everything keeps its place among the words.
                self.say(role, std::mem::take(&mut content));
                match &part.content {
                    // What the model said has a shape with an id, but for one text.
                    Content::Text(text) => {
                        self.out.push(ItemOut::Message { role, content: ContentOut::Text(Cow::Borrowed(text)) });
                    }
                    Content::ToolCall(call) if message.role == Role::Assistant => self.call(call, &mut custom),
                    Content::ToolResult { call, parts, is_error } if message.role == Role::User => {
                        let is_custom = custom.contains(&call.as_str());
                        self.result(call, output(parts, *is_error, lost), is_custom);
                    }
                    Content::Reasoning { text, signature } if message.role == Role::Assistant => {
                        self.reasoning(text, signature.as_deref(), lost);
                    }
                    Content::SealedReasoning(sealed) if message.role == Role::Assistant => {
                        self.reasoning("", Some(sealed), lost);
                    }
                    other => lost.note(other.wire_name()),
                }
            }
            self.say(role, content);
        }
        self.out
    }

    fn say(&mut self, role: &'static str, parts: Vec<PartOut<'a>>) {
        let content = match parts.as_slice() {
            [] => return,
            // One text is a string, which every server takes; more are an array, so that their borders stay.
            [PartOut::Input { text }] => ContentOut::Text(Cow::Borrowed(text)),
            _ => ContentOut::Parts(parts),
        };
        self.out.push(ItemOut::Message { role, content });
    }

    fn call(&mut self, call: &'a ToolCall, custom: &mut Vec<&'a str>) {
        let Called { name, namespace, is_custom } = Called::find(self.tools, &call.name);
        let call_id = call.id.as_str();
        self.out.push(if is_custom {
            custom.push(call_id);
            ItemOut::Custom { call_id, name, namespace, input: unwrapped(&call.arguments) }
        } else {
            // No arguments are an empty object; servers parse the text.
            let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
            ItemOut::Function { call_id, name, namespace, arguments }
        });
    }

    fn result(&mut self, call_id: &'a str, output: ContentOut<'a>, is_custom: bool) {
        self.out.push(if is_custom {
            ItemOut::CustomOutput { call_id, output }
        } else {
            ItemOut::FunctionOutput { call_id, output }
        });
    }

    fn reasoning(&mut self, text: &'a str, sealed: Option<&'a str>, lost: &mut Lost<'_>) {
        let is_told = !text.is_empty();
        let (summary, content) = match sealed {
            Some(_) => (is_told.then_some(PartOut::Summary { text }), None),
            None if self.replays && is_told => (None, Some([PartOut::Thought { text }])),
            None => return lost.note_if(is_told, "messages.reasoning"),
        };
        // OpenAI's encrypted reasoning is bound to the id it had, and is taken without one; of reasoning in plain text
        // servers want some id. Sources: maximhq/bifrost#5186 and #6488, read 2026-11.
        let id = sealed.is_none().then(|| format!("rs_{}", self.out.len()));
        self.out.push(ItemOut::Reasoning {
            id,
            summary: summary.into_iter().collect(),
            content,
            encrypted_content: sealed,
        });
    }
}

fn is_cached(part: &Part) -> bool {
    part.cache.is_some()
        || matches!(&part.content, Content::ToolResult { parts, .. } if parts.iter().any(|part| part.cache.is_some()))
}

/// A part of a message; `None` for what is an item of its own, or has no place.
fn words(content: &Content, role: Role) -> Option<PartOut<'_>> {
    Some(match content {
        Content::Text(text) if role != Role::Assistant => PartOut::Input { text },
        _ if role != Role::User => return None,
        Content::Image(media) => PartOut::Image { image_url: media.url(), detail: "auto" },
        Content::Document { media: media @ Media::Inline { .. }, name } => {
            // OpenAI refuses a file without a name.
            PartOut::File { filename: name.as_deref().unwrap_or("document.pdf"), file_data: media.url() }
        }
        Content::Document { media: Media::Url(file_url), .. } => PartOut::LinkedFile { file_url },
        _ => return None,
    })
}

fn output<'a>(parts: &'a [Part], is_error: bool, lost: &mut Lost<'_>) -> ContentOut<'a> {
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        match words(&part.content, Role::User) {
            Some(part) => out.push(part),
            None => lost.note(part.content.wire_name()),
        }
    }
    // There is no other place to say it.
    let says_so = |text: &str| text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"));
    match out.as_slice() {
        [] if is_error => ContentOut::Text("Error".into()),
        [] => ContentOut::Text("".into()),
        [PartOut::Input { text }] if is_error && !says_so(text) => ContentOut::Text(format!("Error: {text}").into()),
        [PartOut::Input { text }] => ContentOut::Text(Cow::Borrowed(text)),
        _ => {
            if is_error {
                out.insert(0, PartOut::Input { text: "Error:" });
            }
            ContentOut::Parts(out)
        }
    }
}

written! {
    struct RequestOut<'a> {
        model: &'a str,
        input: Vec<ItemOut<'a>>,
        tools?: Vec<ToolOut<'a>>,
        tool_choice?: Option<ChoiceOut<'a>>,
        parallel_tool_calls?: Option<bool>,
        max_output_tokens?: Option<u64>,
        temperature?: Option<&'a Number>,
        top_p?: Option<&'a Number>,
        reasoning?: Option<ReasoningOut<'a>>,
        include?: Option<[&'static str; 1]>,
        text?: Option<TextOut<'a>>,
        prompt_cache_key?: Option<&'a str>,
        service_tier?: Option<&'a str>,
        user?: Option<&'a str>,
        store: bool,
        stream?: bool,
    }

    struct ReasoningOut<'a> {
        effort?: Option<&'a str>,
        summary?: Option<&'static str>,
    }

    pub(super) struct TextOut<'a> {
        format: FormatOut<'a>,
        verbosity?: Option<&'a str>,
    }
}

impl TextOut<'_> {
    fn is_default(&self) -> bool {
        matches!(self.format, FormatOut::Text) && self.verbosity.is_none()
    }
}

written! {
    enum FormatOut<'a> tagged "type" {
        Text as "text",
        Object as "json_object",
        Schema as "json_schema" {
            name: &'a str,
            schema: Raw<'a>,
            strict?: Option<bool>,
        },
    }

    pub(super) enum ChoiceOut<'a> {
        Mode(&'static str),
        Named {
            kind as "type": &'static str,
            name: &'a str,
            namespace?: Option<&'a str>,
        },
    }

    enum ItemOut<'a> tagged "type" {
        Message as "message" { role: &'static str, content: ContentOut<'a> },
        Reasoning as "reasoning" {
            id?: Option<String>,
            /// Always there, empty too: OpenAI refuses an item without it.
            summary: Vec<PartOut<'a>>,
            content?: Option<[PartOut<'a>; 1]>,
            encrypted_content?: Option<&'a str>,
        },
        Function as "function_call" {
            call_id: &'a str,
            name: &'a str,
            namespace?: Option<&'a str>,
            arguments: &'a str,
        },
        FunctionOutput as "function_call_output" { call_id: &'a str, output: ContentOut<'a> },
        Custom as "custom_tool_call" {
            call_id: &'a str,
            name: &'a str,
            namespace?: Option<&'a str>,
            input: String,
        },
        CustomOutput as "custom_tool_call_output" { call_id: &'a str, output: ContentOut<'a> },
    }

    enum ContentOut<'a> {
        Text(Cow<'a, str>),
        Parts(Vec<PartOut<'a>>),
    }

    enum PartOut<'a> tagged "type" {
        Input as "input_text" { text: &'a str },
        Image as "input_image" { image_url: Cow<'a, str>, detail: &'static str },
        File as "input_file" { filename: &'a str, file_data: Cow<'a, str> },
        LinkedFile as "input_file" { file_url: &'a str },
        Summary as "summary_text" { text: &'a str },
        Thought as "reasoning_text" { text: &'a str },
    }
}
