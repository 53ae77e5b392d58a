//! The canonical form, as a body for an Anthropic upstream.
//!
//! Anthropic refuses what other dialects take: turns that do not begin with the user, empty texts, sampling
//! beside thinking. What must give way is adapted or listed as lost, so that the upstream accepts the rest.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Number;
use serde_json::value::RawValue;

use super::{input, json};
use crate::chat::{Content, Effort, Format, Json, Media, Message, Part, Request, Role, Tool, ToolCall, ToolChoice};
use crate::wire::json::Fields;

pub fn write_request(request: &Request, lost: &mut Vec<String>) -> Vec<u8> {
    let mut writer = Writer { lost, claude: version(&request.model) };
    let leading = request.messages.iter().take_while(|message| message.role == Role::System).count();
    let (leading, rest) = request.messages.split_at_checked(leading).unwrap_or_default();
    let system = writer.system(leading);
    let messages = writer.turns(rest);
    let choice = writer.tool_choice(request);
    let plan = writer.plan(request, &messages, choice.as_ref());
    let format = writer.format(request);
    let thinks = plan.thinking.as_ref().is_some_and(|thinking| !matches!(thinking, Thinking::Disabled {}));
    let config = OutputConfig { effort: plan.effort, format };
    json(&Body {
        model: &request.model,
        max_tokens: plan.max_tokens,
        temperature: writer.temperature(request, thinks),
        top_p: writer.top_p(request, thinks),
        top_k: writer.top_k(request, thinks),
        system,
        messages,
        tools: request.tools.iter().map(|tool| writer.tool(tool)).collect(),
        tool_choice: choice,
        thinking: plan.thinking,
        output_config: (config.effort.is_some() || config.format.is_some()).then_some(config),
        stop_sequences: writer.stop(request),
        metadata: writer.user(request),
        stream: request.stream,
    })
}

/// What is sent when the caller did not bound the answer, which this protocol demands.
const MAX_TOKENS: u64 = 4096;

/// The smallest budget for thinking that Anthropic takes.
const BUDGET_MIN: u64 = 1024;

/// "maxLength: 256" in the API reference.
const USER_CHARS_MAX: usize = 256;

struct Writer<'l> {
    lost: &'l mut Vec<String>,
    /// `None` where the model is not a Claude: another server that speaks this dialect.
    claude: Option<Version>,
}

type Version = (u32, u32);

/// From this one on, thinking is adaptive only, and sampling is not the caller's.
///
/// Source: "Migrating to Claude 4.7" in reports of refused requests, read 2026-11.
const ADAPTIVE: Version = (4, 7);

/// The first one that takes adaptive thinking.
const ADAPTIVE_TOO: Version = (4, 6);

/// The first one that holds answers and arguments to a schema, and that takes only one of two sampling fields.
const STRICT: Version = (4, 1);

/// The first one that thinks aloud.
const THINKS: Version = (3, 7);

/// The version in a name like `claude-opus-4-7`, `anthropic/claude-haiku-4.5` or `claude-3-7-sonnet-20250219`.
fn version(model: &str) -> Option<Version> {
    let (_, name) = model.rsplit_once("claude")?;
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    // Longer numbers are dates.
    let number = |word: &str| word.parse().ok().filter(|_| word.len() <= 2);
    let major = words.find_map(number)?;
    Some((major, words.next().and_then(number).unwrap_or_default()))
}

/// How the answer is bounded and thought about.
#[derive(Default)]
struct Plan {
    max_tokens: u64,
    thinking: Option<Thinking>,
    effort: Option<&'static str>,
}

impl<'l> Writer<'l> {
    fn lose(&mut self, name: &str) {
        if !self.lost.iter().any(|lost| lost == name) {
            self.lost.push(name.to_owned());
        }
    }

    fn is_claude_before(&self, version: Version) -> bool {
        self.claude.is_some_and(|claude| claude < version)
    }

    fn is_claude_since(&self, version: Version) -> bool {
        self.claude.is_some_and(|claude| claude >= version)
    }

    fn system<'a>(&mut self, messages: &'a [Message]) -> Option<System<'a>> {
        let parts: Vec<&Part> = messages.iter().flat_map(|message| &message.parts).collect();
        if let [Part { content: Content::Text(text), cache: None }] = parts.as_slice() {
            return (!text.trim().is_empty()).then_some(System::Text(text));
        }
        let blocks: Vec<Block<'a>> = parts.into_iter().filter_map(|part| self.told(part)).collect();
        (!blocks.is_empty()).then_some(System::Blocks(blocks))
    }

    fn turns<'a>(&mut self, messages: &'a [Message]) -> Vec<Turn<'a>> {
        let mut turns: Vec<Turn<'a>> = Vec::new();
        for message in messages {
            let (role, blocks): (_, Vec<_>) = match message.role {
                Role::Assistant => ("assistant", message.parts.iter().filter_map(|part| self.answered(part)).collect()),
                Role::User => ("user", message.parts.iter().filter_map(|part| self.asked(part)).collect()),
                // Hoisted to `system` it would change the prefix and spoil the prompt cache
                // (BerriAI/litellm#32578), and as a `system` message older models refuse it.
                Role::System => ("user", message.parts.iter().filter_map(|part| self.told(part)).collect()),
            };
            match turns.last_mut() {
                _ if blocks.is_empty() => {}
                Some(last) if last.role == role => last.content.extend(blocks),
                _ => turns.push(Turn { role, content: blocks }),
            }
        }
        for turn in &mut turns {
            // A stable sort: results first, otherwise as they stood.
            turn.content.sort_by_key(|block| !matches!(block, Block::ToolResult { .. }));
        }
        // "final assistant content cannot end with trailing whitespace"
        if let Some(Turn { role: "assistant", content }) = turns.last_mut()
            && let Some(Block::Text { text, .. }) = content.last_mut()
        {
            *text = text.trim_end();
        }
        // "first message must use the user role": the least that can be said, as LiteLLM does.
        if turns.first().is_none_or(|turn| turn.role != "user") {
            turns.insert(0, Turn { role: "user", content: vec![Block::Text { text: ".", cache_control: None }] });
        }
        turns
    }

    fn asked<'a>(&mut self, part: &'a Part) -> Option<Block<'a>> {
        let cache_control = cache(part);
        match &part.content {
            Content::Image(media) => Some(Block::Image { source: image(media), cache_control }),
            Content::Document { media, name } => {
                let Some(source) = document(media) else {
                    self.lose("messages.content (document)");
                    return None;
                };
                Some(Block::Document { source, title: name.as_deref(), cache_control })
            }
            Content::ToolResult { call, parts, is_error } => {
                let content = match parts.as_slice() {
                    [Part { content: Content::Text(text), cache: None }] if !text.is_empty() => Told::Text(text),
                    parts => match parts.iter().filter_map(|part| self.asked(part)).collect() {
                        // "content cannot be empty if `is_error` is true"
                        blocks if Vec::is_empty(&blocks) => Told::Text(if *is_error { "error" } else { "" }),
                        blocks => Told::Blocks(blocks),
                    },
                };
                Some(Block::ToolResult { tool_use_id: tool_id(call), content, is_error: *is_error, cache_control })
            }
            _ => self.told(part),
        }
    }

    fn answered<'a>(&mut self, part: &'a Part) -> Option<Block<'a>> {
        match &part.content {
            Content::Reasoning { text, signature: Some(signature) } => {
                Some(Block::Thinking { thinking: text, signature })
            }
            // Without its proof a thought is refused: it may be another model's.
            Content::Reasoning { signature: None, .. } => {
                self.lose("messages.reasoning");
                None
            }
            Content::SealedReasoning(data) => Some(Block::RedactedThinking { data }),
            Content::ToolCall(ToolCall { id, name, arguments }) => {
                let (input, is_whole) = input(arguments);
                if !is_whole {
                    self.lose("messages.tool_calls.arguments");
                }
                Some(Block::ToolUse { id: tool_id(id), name, input, cache_control: cache(part) })
            }
            _ => self.told(part),
        }
    }

    /// What every role may say: text, of which Anthropic refuses the blank.
    fn told<'a>(&mut self, part: &'a Part) -> Option<Block<'a>> {
        let name = match &part.content {
            Content::Text(text) => {
                return (!text.trim().is_empty()).then(|| Block::Text { text, cache_control: cache(part) });
            }
            Content::Image(_) => "messages.content (image)",
            Content::Document { .. } => "messages.content (document)",
            Content::Reasoning { .. } | Content::SealedReasoning(_) => "messages.reasoning",
            Content::ToolCall(_) => "messages.tool_calls",
            Content::ToolResult { .. } => "messages.content (tool_result)",
        };
        self.lose(name);
        None
    }

    fn tool<'a>(&mut self, tool: &'a Tool) -> ToolOut<'a> {
        let strict = tool.strict.filter(|strict| *strict);
        if strict.is_some() && self.is_claude_before(STRICT) {
            self.lose("tools.strict");
        }
        ToolOut {
            name: &tool.name,
            description: tool.description.as_deref(),
            input_schema: schema(tool.schema.as_ref()),
            strict: strict.filter(|_| !self.is_claude_before(STRICT)),
            cache_control: tool.cache.as_ref().map(|Json(raw)| &**raw),
        }
    }

    fn tool_choice<'a>(&mut self, request: &'a Request) -> Option<Choice<'a>> {
        if request.tools.is_empty() {
            // "tool_choice may only be specified while providing tools"
            if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) {
                self.lose("tool_choice");
            }
            return None;
        }
        let disable_parallel_tool_use = request.parallel_tools.map(|parallel| !parallel).filter(|single| *single);
        match &request.tool_choice {
            None => disable_parallel_tool_use.map(|_| Choice::Auto { disable_parallel_tool_use }),
            Some(ToolChoice::Auto) => Some(Choice::Auto { disable_parallel_tool_use }),
            Some(ToolChoice::None) => Some(Choice::None {}),
            Some(ToolChoice::Required) => Some(Choice::Any { disable_parallel_tool_use }),
            Some(ToolChoice::Named(name)) => Some(Choice::Tool { name, disable_parallel_tool_use }),
        }
    }

    /// Thinking gives way to everything that it cannot go with: a forced tool and a begun answer are what the
    /// caller wants to see, thinking is how well.
    fn plan(&mut self, request: &Request, turns: &[Turn<'_>], choice: Option<&Choice<'_>>) -> Plan {
        let plain = |thinking| Plan { max_tokens: request.max_tokens.unwrap_or(MAX_TOKENS), thinking, effort: None };
        let budget = match &request.reasoning {
            None => return plain(None),
            Some(effort) => match budget(effort) {
                Ok(budget) => budget,
                // Claude does not think unasked; other models may.
                Err(Unasked::Off) => return plain(self.claude.is_none().then_some(Thinking::Disabled {})),
                Err(Unasked::Unknown) => {
                    self.lose("reasoning");
                    return plain(None);
                }
            },
        };
        let is_forced = matches!(choice, Some(Choice::Any { .. } | Choice::Tool { .. }));
        let is_begun = turns.last().is_some_and(|turn| turn.role == "assistant");
        if is_forced || is_begun || self.is_claude_before(THINKS) {
            self.lose("reasoning");
            return plain(None);
        }
        let roomy = request.max_tokens.unwrap_or(budget.saturating_add(MAX_TOKENS));
        let is_adaptive = request.reasoning == Some(Effort::Adaptive) && !self.is_claude_before(ADAPTIVE_TOO);
        if is_adaptive || self.is_claude_since(ADAPTIVE) {
            let effort = (request.reasoning != Some(Effort::Adaptive)).then(|| level(budget));
            return Plan { max_tokens: roomy, thinking: Some(Thinking::Adaptive {}), effort };
        }
        // "Expected `thinking` or `redacted_thinking`, but found `tool_use`" otherwise (BerriAI/litellm#15601).
        if turns.iter().any(Turn::calls_without_thinking) || roomy <= BUDGET_MIN {
            self.lose("reasoning");
            return plain(None);
        }
        let budget_tokens = budget.min(roomy.saturating_sub(1));
        Plan { max_tokens: roomy, thinking: Some(Thinking::Enabled { budget_tokens }), effort: None }
    }

    fn format<'a>(&mut self, request: &'a Request) -> Option<FormatOut<'a>> {
        match request.format.as_ref()? {
            Format::Schema { schema: Json(schema), .. } if !self.is_claude_before(STRICT) => {
                Some(FormatOut { r#type: "json_schema", schema })
            }
            Format::Schema { .. } | Format::Json => {
                self.lose("response_format");
                None
            }
        }
    }

    /// Anthropic's temperature ends at 1; OpenAI's at 2. With thinking it must be 1.
    fn temperature<'a>(&mut self, request: &'a Request, thinks: bool) -> Option<Cow<'a, Number>> {
        let number = request.temperature.as_ref()?;
        let value = number.as_f64().unwrap_or(1.0);
        if thinks || self.is_claude_since(ADAPTIVE) {
            if value != 1.0 {
                self.lose("temperature");
            }
            return None;
        }
        if (0.0..=1.0).contains(&value) {
            return Some(Cow::Borrowed(number));
        }
        self.lose("temperature");
        Some(Cow::Owned(Number::from(u64::from(value > 1.0))))
    }

    fn top_p<'a>(&mut self, request: &'a Request, thinks: bool) -> Option<&'a Number> {
        let number = request.top_p.as_ref()?;
        let is_free = !thinks || number.as_f64().is_some_and(|value| (0.95..=1.0).contains(&value));
        // Claude 4.1 to 4.6 take one of the two, and later ones none.
        let is_alone = !self.is_claude_since(STRICT) || request.temperature.is_none();
        if is_free && is_alone && !self.is_claude_since(ADAPTIVE) {
            return Some(number);
        }
        self.lose("top_p");
        None
    }

    fn top_k(&mut self, request: &Request, thinks: bool) -> Option<u64> {
        let number = request.top_k?;
        if thinks || self.is_claude_since(ADAPTIVE) {
            self.lose("top_k");
            return None;
        }
        Some(number)
    }

    /// "each stop sequence must contain non-whitespace"
    fn stop<'a>(&mut self, request: &'a Request) -> Vec<&'a str> {
        let kept: Vec<&str> = request.stop.iter().map(String::as_str).filter(|stop| !stop.trim().is_empty()).collect();
        if kept.len() < request.stop.len() {
            self.lose("stop");
        }
        kept
    }

    fn user<'a>(&mut self, request: &'a Request) -> Option<Metadata<'a>> {
        let user_id = request.user.as_deref()?;
        if user_id.chars().count() > USER_CHARS_MAX {
            self.lose("user");
            return None;
        }
        Some(Metadata { user_id })
    }
}

enum Unasked {
    Off,
    Unknown,
}

/// Tokens for thinking. The steps are those of other translators, and none is a promise of the provider's.
fn budget(effort: &Effort) -> Result<u64, Unasked> {
    match effort {
        Effort::Off => Err(Unasked::Off),
        Effort::Budget(tokens) => Ok(BUDGET_MIN.max(*tokens)),
        Effort::Adaptive => Ok(8192),
        Effort::Level(level) => match level.as_str() {
            "none" => Err(Unasked::Off),
            "minimal" => Ok(BUDGET_MIN),
            "low" => Ok(2048),
            "medium" => Ok(8192),
            "high" => Ok(16384),
            "xhigh" | "max" => Ok(32768),
            _ => Err(Unasked::Unknown),
        },
    }
}

/// The nearest word of `output_config.effort`.
fn level(budget: u64) -> &'static str {
    match budget {
        0..=2048 => "low",
        2049..=8192 => "medium",
        8193..=16384 => "high",
        _ => "xhigh",
    }
}

fn cache(part: &Part) -> Option<&RawValue> {
    part.cache.as_ref().map(|Json(raw)| &**raw)
}

fn image(media: &Media) -> Source<'_> {
    match media {
        Media::Url(url) => Source::Url { url },
        Media::Inline { media_type, data } => Source::Base64 { media_type, data },
    }
}

/// Anthropic takes PDF, and text that is not encoded.
fn document(media: &Media) -> Option<Source<'_>> {
    match media {
        Media::Inline { media_type, data } if media_type.starts_with("text/") || media_type == "application/json" => {
            Some(Source::Text { media_type: "text/plain", data: base64_text(data)? })
        }
        Media::Inline { media_type, .. } if media_type != "application/pdf" => None,
        media => Some(image(media)),
    }
}

/// The text in `data`; `None` where it is not base64 or not text.
fn base64_text(data: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(data.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for digit in data.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(held.checked_shr(bits)?.to_le_bytes()[0]);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Ids must match `^[a-zA-Z0-9_-]+$`. Call and result are mapped alike, so that they still meet.
fn tool_id(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.is_empty() {
        Cow::Borrowed("_")
    } else if id.chars().all(fits) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(id.chars().map(|c| if fits(c) { c } else { '_' }).collect())
    }
}

/// The schema must be of an object and say so; OpenAI's may be absent or leave the type out.
fn schema(schema: Option<&Json>) -> Cow<'_, RawValue> {
    let own = |text: String| Cow::Owned(RawValue::from_string(text).unwrap_or_default());
    match schema.map(|Json(raw)| (raw, Fields::read(raw.get().as_bytes()))) {
        Some((raw, Ok(fields))) if fields.raw("type").is_some() => Cow::Borrowed(raw),
        Some((_, Ok(fields))) => own(String::from_utf8(fields.with(&[("type", "\"object\"")])).unwrap_or_default()),
        None | Some((_, Err(_))) => own(r#"{"type":"object","properties":{}}"#.to_owned()),
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<System<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<Cow<'a, Number>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "is_false")]
    stream: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum System<'a> {
    Text(&'a str),
    Blocks(Vec<Block<'a>>),
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

impl Turn<'_> {
    fn calls_without_thinking(&self) -> bool {
        let calls = self.content.iter().any(|block| matches!(block, Block::ToolUse { .. }));
        calls && !matches!(self.content.first(), Some(Block::Thinking { .. } | Block::RedactedThinking { .. }))
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Cow<'a, RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: Told<'a>,
        #[serde(skip_serializing_if = "is_false")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Text(&'a str),
    Blocks(Vec<Block<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
    Text { media_type: &'static str, data: String },
}

#[derive(Serialize)]
struct ToolOut<'a> {
    name: &'a str,
    /// Left out when absent: `null` is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Cow<'a, RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Choice<'a> {
    Auto {
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
    },
    Any {
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
    },
    Tool {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
    },
    None {},
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Thinking {
    Enabled { budget_tokens: u64 },
    Adaptive {},
    Disabled {},
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<FormatOut<'a>>,
}

#[derive(Serialize)]
struct FormatOut<'a> {
    r#type: &'static str,
    schema: &'a RawValue,
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
