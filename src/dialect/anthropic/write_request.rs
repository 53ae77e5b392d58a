//! The canonical form, as a body for an Anthropic upstream.
//!
//! Anthropic refuses what other dialects take: turns that do not begin with the user, empty texts, sampling
//! beside thinking. What must give way is adapted or listed as lost, so that the upstream accepts the rest.

use std::borrow::Cow;

use super::input;
use crate::chat::{
    Content, Effort, Format, Json, Media, Message, Number, Part, Request, Role, Tool, ToolCall, ToolChoice,
};
use crate::wire::json::{Fields, Raw, Verbatim, to_vec, written};

pub fn write_request(request: &Request, lost: &mut Vec<String>) -> Vec<u8> {
    let mut writer = Writer { lost, claude: version(&request.model) };
    let leading = request.messages.iter().take_while(|message| message.role == Role::System).count();
    for name in request.settings().filter(|name| *name != "top_k") {
        writer.lose(name);
    }
    let (leading, rest) = request.messages.split_at_checked(leading).unwrap_or_default();
    let system = writer.system(leading);
    let messages = writer.turns(rest);
    let choice = writer.tool_choice(request);
    let plan = writer.plan(request, &messages, choice.as_ref());
    let format = writer.format(request);
    let thinks = plan.thinking.as_ref().is_some_and(|thinking| !matches!(thinking, Thinking::Disabled {}));
    let config = OutputConfig { effort: plan.effort, format };
    to_vec(&Body {
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
/// Source of these versions: refusals that users reported in public issue threads, read 2026-11.
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
struct Plan {
    max_tokens: u64,
    thinking: Option<Thinking>,
    effort: Option<&'static str>,
}

impl Writer<'_> {
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
            // Results first, otherwise as they stood.
            let is_result = |block: &Block<'_>| matches!(block, Block::ToolResult { .. });
            let (mut content, rest): (Vec<_>, Vec<_>) = turn.content.drain(..).partition(is_result);
            content.extend(rest);
            turn.content = content;
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
            Content::ToolCall(ToolCall { id, name, arguments, .. }) => {
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
            Content::Audio(_) => "messages.content (audio)",
            Content::Video(_) => "messages.content (video)",
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
            cache_control: tool.cache.as_ref().map(Json::raw),
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
            Format::Schema { schema, .. } if !self.is_claude_before(STRICT) => {
                Some(FormatOut { kind: "json_schema", schema: schema.raw() })
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
        let value = number.value();
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
        let is_free = !thinks || (0.95..=1.0).contains(&number.value());
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

fn cache(part: &Part) -> Option<Raw<'_>> {
    part.cache.as_ref().map(Json::raw)
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
fn schema(schema: Option<&Json>) -> Verbatim<'_> {
    match schema.map(|schema| (schema.raw(), Fields::read(schema.get().as_bytes()))) {
        Some((raw, Ok(fields))) if fields.raw("type").is_some() => raw.into(),
        Some((_, Ok(fields))) => {
            Verbatim::made(String::from_utf8(fields.with(&[("type", "\"object\"")])).unwrap_or_default())
        }
        None | Some((_, Err(_))) => Raw::of(r#"{"type":"object","properties":{}}"#).into(),
    }
}

written! {
    struct Body<'a> {
        model: &'a str,
        max_tokens: u64,
        system?: Option<System<'a>>,
        messages: Vec<Turn<'a>>,
        tools?: Vec<ToolOut<'a>>,
        tool_choice?: Option<Choice<'a>>,
        thinking?: Option<Thinking>,
        output_config?: Option<OutputConfig<'a>>,
        stop_sequences?: Vec<&'a str>,
        temperature?: Option<Cow<'a, Number>>,
        top_p?: Option<&'a Number>,
        top_k?: Option<u64>,
        metadata?: Option<Metadata<'a>>,
        stream?: bool,
    }

    enum System<'a> {
        Text(&'a str),
        Blocks(Vec<Block<'a>>),
    }

    struct Turn<'a> {
        role: &'static str,
        content: Vec<Block<'a>>,
    }
}

impl Turn<'_> {
    fn calls_without_thinking(&self) -> bool {
        let calls = self.content.iter().any(|block| matches!(block, Block::ToolUse { .. }));
        calls && !matches!(self.content.first(), Some(Block::Thinking { .. } | Block::RedactedThinking { .. }))
    }
}

written! {
    enum Block<'a> tagged "type" {
        Text as "text" {
            text: &'a str,
            cache_control?: Option<Raw<'a>>,
        },
        Image as "image" {
            source: Source<'a>,
            cache_control?: Option<Raw<'a>>,
        },
        Document as "document" {
            source: Source<'a>,
            title?: Option<&'a str>,
            cache_control?: Option<Raw<'a>>,
        },
        Thinking as "thinking" {
            thinking: &'a str,
            signature: &'a str,
        },
        RedactedThinking as "redacted_thinking" {
            data: &'a str,
        },
        ToolUse as "tool_use" {
            id: Cow<'a, str>,
            name: &'a str,
            input: Verbatim<'a>,
            cache_control?: Option<Raw<'a>>,
        },
        ToolResult as "tool_result" {
            tool_use_id: Cow<'a, str>,
            content: Told<'a>,
            is_error?: bool,
            cache_control?: Option<Raw<'a>>,
        },
    }

    enum Told<'a> {
        Text(&'a str),
        Blocks(Vec<Block<'a>>),
    }

    enum Source<'a> tagged "type" {
        Base64 as "base64" { media_type: &'a str, data: &'a str },
        Url as "url" { url: &'a str },
        Text as "text" { media_type: &'static str, data: String },
    }

    struct ToolOut<'a> {
        name: &'a str,
        /// Left out when absent: `null` is refused.
        description?: Option<&'a str>,
        input_schema: Verbatim<'a>,
        strict?: Option<bool>,
        cache_control?: Option<Raw<'a>>,
    }

    enum Choice<'a> tagged "type" {
        Auto as "auto" {
            disable_parallel_tool_use?: Option<bool>,
        },
        Any as "any" {
            disable_parallel_tool_use?: Option<bool>,
        },
        Tool as "tool" {
            name: &'a str,
            disable_parallel_tool_use?: Option<bool>,
        },
        None as "none" {},
    }

    enum Thinking tagged "type" {
        Enabled as "enabled" { budget_tokens: u64 },
        Adaptive as "adaptive" {},
        Disabled as "disabled" {},
    }

    struct OutputConfig<'a> {
        effort?: Option<&'static str>,
        format?: Option<FormatOut<'a>>,
    }

    struct FormatOut<'a> {
        kind as "type": &'static str,
        schema: Raw<'a>,
    }

    struct Metadata<'a> {
        user_id: &'a str,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn number(value: f64) -> Option<Number> {
        crate::wire::json::parse(&value.to_string()).ok()
    }

    use super::*;

    fn write(request: &Request) -> (Value, Vec<String>) {
        let mut lost = Vec::new();
        let body = write_request(request, &mut lost);
        (serde_json::from_slice(&body).unwrap(), lost)
    }

    fn raw(text: &str) -> Json {
        crate::wire::json::parse(text).unwrap()
    }

    fn says(role: Role, parts: Vec<Part>) -> Message {
        Message { role, parts }
    }

    fn user(text: &str) -> Message {
        says(Role::User, vec![Part::text(text)])
    }

    fn call(id: &str, arguments: &str) -> Part {
        Part::new(Content::ToolCall(ToolCall {
            id: id.into(),
            name: "f".into(),
            arguments: arguments.into(),
            signature: None,
        }))
    }

    fn result(id: &str, parts: Vec<Part>, is_error: bool) -> Part {
        Part::new(Content::ToolResult { call: id.into(), parts, is_error })
    }

    fn thought(signature: Option<&str>) -> Part {
        Part::new(Content::Reasoning { text: "hm".into(), signature: signature.map(str::to_owned) })
    }

    fn tool() -> Tool {
        Tool { name: "f".into(), ..Tool::default() }
    }

    fn request(messages: Vec<Message>) -> Request {
        Request { model: "m".into(), messages, ..Request::default() }
    }

    /// The `messages` that are written, and what is lost.
    fn turns(messages: Vec<Message>) -> (Value, Vec<String>) {
        let (mut body, lost) = write(&request(messages));
        (body["messages"].take(), lost)
    }

    /// The content of the one assistant turn that is written.
    fn answer(parts: Vec<Part>) -> (Value, Vec<String>) {
        let (mut messages, lost) = turns(vec![user("a"), says(Role::Assistant, parts), user("b")]);
        (messages[1]["content"].take(), lost)
    }

    #[test]
    fn the_plain_fields_are_written() {
        let request = Request {
            model: "m".into(),
            messages: vec![user("hi")],
            tools: vec![Tool {
                description: Some("d".into()),
                schema: Some(raw(r#"{"type":"object"}"#)),
                strict: Some(true),
                cache: Some(raw(r#"{"type":"ephemeral"}"#)),
                ..tool()
            }],
            tool_choice: Some(ToolChoice::Named("f".into())),
            parallel_tools: Some(false),
            max_tokens: Some(7),
            temperature: number(0.5),
            top_p: number(0.9),
            top_k: Some(3),
            stop: vec!["x".into()],
            stream: true,
            format: Some(Format::Schema { name: "n".into(), schema: raw(r#"{"a":1}"#), strict: None }),
            user: Some("u".into()),
            ..Request::default()
        };
        let expected = json!({
            "model": "m", "max_tokens": 7,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
            "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true,
                "cache_control": {"type": "ephemeral"}}],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
            "output_config": {"format": {"type": "json_schema", "schema": {"a": 1}}},
            "stop_sequences": ["x"], "temperature": 0.5, "top_p": 0.9, "top_k": 3,
            "metadata": {"user_id": "u"}, "stream": true,
        });
        assert_eq!(write(&request), (expected, vec![]));
    }

    #[test]
    fn what_is_not_said_is_not_written_but_for_the_bound_that_anthropic_demands() {
        let expected = json!({"model": "m", "max_tokens": 4096,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]});
        assert_eq!(write(&request(vec![user("hi")])), (expected, vec![]));
    }

    #[test]
    fn leading_system_messages_are_the_system() {
        let marked = Part { cache: Some(raw("{}")), ..Part::text("c") };
        let cases = [
            (vec![Part::text("s")], json!("s")),
            (vec![Part::text(" ")], Value::Null),
            (vec![Part::text("a"), Part::text("b")], json!([{"type":"text","text":"a"},{"type":"text","text":"b"}])),
            (vec![marked], json!([{"type":"text","text":"c","cache_control":{}}])),
        ];
        for (parts, expected) in cases {
            let (body, _) = write(&request(vec![says(Role::System, parts), user("hi")]));
            assert_eq!(body["system"], expected);
        }
        let two = vec![says(Role::System, vec![Part::text("a")]), says(Role::System, vec![Part::text("b")]), user("c")];
        assert_eq!(write(&request(two)).0["system"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_system_reminder_in_the_middle_stays_in_its_place() {
        let (messages, _) = turns(vec![
            user("a"),
            says(Role::System, vec![Part::text("reminder")]),
            says(Role::Assistant, vec![Part::text("b")]),
        ]);
        assert_eq!(messages[0]["content"][1], json!({"type": "text", "text": "reminder"}));
        assert_eq!(messages[1]["role"], "assistant");
    }

    #[test]
    fn turns_alternate_and_results_come_first() {
        let (messages, _) = turns(vec![
            user("a"),
            says(Role::Assistant, vec![call("1", "{}")]),
            says(Role::Assistant, vec![call("2", "{}")]),
            user("and"),
            says(Role::User, vec![result("1", vec![Part::text("r")], false)]),
            says(Role::User, vec![result("2", vec![], true), Part::text("now")]),
        ]);
        let kinds: Vec<Vec<&str>> = messages
            .as_array()
            .unwrap()
            .iter()
            .map(|turn| turn["content"].as_array().unwrap().iter().map(|b| b["type"].as_str().unwrap()).collect())
            .collect();
        let expected =
            vec![vec!["text"], vec!["tool_use", "tool_use"], vec!["tool_result", "tool_result", "text", "text"]];
        assert_eq!(kinds, expected);
        assert_eq!(messages[2]["content"][0], json!({"type": "tool_result", "tool_use_id": "1", "content": "r"}));
        let failed = json!({"type": "tool_result", "tool_use_id": "2", "content": "error", "is_error": true});
        assert_eq!(messages[2]["content"][1], failed);
    }

    #[test]
    fn a_conversation_begins_with_the_user() {
        let stop = json!({"role": "user", "content": [{"type": "text", "text": "."}]});
        let answer = says(Role::Assistant, vec![Part::text("a")]);
        assert_eq!(turns(vec![answer, user("b")]).0[0], stop);
        assert_eq!(turns(vec![says(Role::System, vec![Part::text("s")])]).0, json!([stop]));
    }

    #[test]
    fn blank_texts_and_the_space_after_a_begun_answer_are_dropped() {
        let answer = says(Role::Assistant, vec![Part::text("The answer: \n")]);
        let (messages, lost) = turns(vec![says(Role::User, vec![Part::text(""), Part::text("a ")]), answer]);
        assert_eq!(messages[0]["content"], json!([{"type": "text", "text": "a "}]));
        assert_eq!(messages[1]["content"], json!([{"type": "text", "text": "The answer:"}]));
        assert!(lost.is_empty());
    }

    #[test]
    fn media_go_as_what_anthropic_takes() {
        let inline = |kind: &str, data: &str| Media::Inline { media_type: kind.into(), data: data.into() };
        let document = |media| Content::Document { media, name: Some("n".into()) };
        let cases = [
            (Content::Image(Media::Url("u".into())), json!({"type": "image", "source": {"type": "url", "url": "u"}})),
            (
                Content::Image(inline("image/png", "QQ==")),
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}}),
            ),
            (
                document(inline("application/pdf", "QQ==")),
                json!({"type": "document", "title": "n",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="}}),
            ),
            (
                document(inline("text/csv", "w6k7YjtjCg==")),
                json!({"type": "document", "title": "n",
                    "source": {"type": "text", "media_type": "text/plain", "data": "é;b;c\n"}}),
            ),
            (
                document(Media::Url("u".into())),
                json!({"type": "document", "title": "n", "source": {"type": "url", "url": "u"}}),
            ),
        ];
        for (content, expected) in cases {
            let (messages, lost) = turns(vec![says(Role::User, vec![Part::new(content)])]);
            assert_eq!(messages[0]["content"], json!([expected]));
            assert!(lost.is_empty());
        }
        for content in [document(inline("application/msword", "QQ==")), document(inline("text/plain", "!"))] {
            let (_, lost) = turns(vec![says(Role::User, vec![Part::new(content)])]);
            assert_eq!(lost, ["messages.content (document)"]);
        }
    }

    #[test]
    fn arguments_become_an_object() {
        let cases: &[(&str, Value, bool)] = &[
            (r#"{"a":1}"#, json!({"a": 1}), true),
            (" {} ", json!({}), true),
            ("", json!({}), true),
            ("null", json!({}), true),
            ("[1]", json!({"value": [1]}), true),
            (r#""a""#, json!({"value": "a"}), true),
            (r#"{"a":"#, json!({}), false),
        ];
        for (arguments, expected, is_whole) in cases {
            let (content, lost) = answer(vec![call("i", arguments)]);
            assert_eq!(content[0]["input"], *expected, "{arguments}");
            assert_eq!(lost.is_empty(), *is_whole, "{arguments}");
        }
    }

    #[test]
    fn arguments_keep_their_order_and_number_text() {
        let request = request(vec![user("a"), says(Role::Assistant, vec![call("i", r#"{"b":1.0,"a": 1e2}"#)])]);
        let body = write_request(&request, &mut Vec::new());
        assert!(String::from_utf8(body).unwrap().contains(r#""input":{"b":1.0,"a": 1e2}"#));
    }

    #[test]
    fn tool_ids_hold_only_what_anthropic_takes_and_still_meet() {
        for (id, expected) in [("toolu_1-A", "toolu_1-A"), ("call:1.é", "call_1__"), ("", "_")] {
            let (messages, _) = turns(vec![
                user("a"),
                says(Role::Assistant, vec![call(id, "{}")]),
                says(Role::User, vec![result(id, vec![], false)]),
            ]);
            assert_eq!(messages[1]["content"][0]["id"], expected);
            assert_eq!(messages[2]["content"][0]["tool_use_id"], expected);
        }
    }

    #[test]
    fn reasoning_without_its_proof_is_stripped() {
        let sealed = Part::new(Content::SealedReasoning("x".into()));
        let (content, lost) = answer(vec![thought(None), thought(Some("s")), sealed, thought(None), Part::text("b")]);
        let expected = json!([{"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "b"}]);
        assert_eq!((content, lost), (expected, vec!["messages.reasoning".to_owned()]));
    }

    #[test]
    fn cache_markers_on_tool_calls_and_results_are_not_lost() {
        let marked = |part: Part| Part { cache: Some(raw(r#"{"type":"ephemeral"}"#)), ..part };
        let (messages, _) = turns(vec![
            user("a"),
            says(Role::Assistant, vec![marked(call("i", "{}"))]),
            says(Role::User, vec![marked(result("i", vec![marked(Part::text("r"))], false))]),
        ]);
        let marker = json!({"type": "ephemeral"});
        assert_eq!(messages[1]["content"][0]["cache_control"], marker);
        assert_eq!(messages[2]["content"][0]["cache_control"], marker);
        assert_eq!(messages[2]["content"][0]["content"][0]["cache_control"], marker);
    }

    #[test]
    fn a_tool_without_description_or_type_is_still_taken() {
        let cases = [
            (None, json!({"type": "object", "properties": {}})),
            (Some("true"), json!({"type": "object", "properties": {}})),
            (Some("{}"), json!({"type": "object"})),
            (Some(r#"{"properties":{"a":{}}}"#), json!({"type": "object", "properties": {"a": {}}})),
            (Some(r#"{"type":"object","$defs":{}}"#), json!({"type": "object", "$defs": {}})),
        ];
        for (schema, expected) in cases {
            let tools = vec![Tool { schema: schema.map(raw), strict: Some(false), ..tool() }];
            let (body, lost) = write(&Request { tools, ..request(vec![user("a")]) });
            assert_eq!((&body["tools"], lost), (&json!([{"name": "f", "input_schema": expected}]), vec![]));
        }
    }

    #[test]
    fn a_choice_of_tools_needs_tools() {
        let cases = [
            (true, Some(ToolChoice::Auto), None, json!({"type": "auto"}), 0),
            (true, Some(ToolChoice::None), Some(false), json!({"type": "none"}), 0),
            (true, Some(ToolChoice::Required), Some(true), json!({"type": "any"}), 0),
            (true, None, Some(false), json!({"type": "auto", "disable_parallel_tool_use": true}), 0),
            (true, None, Some(true), Value::Null, 0),
            (false, Some(ToolChoice::Auto), Some(false), Value::Null, 0),
            (false, Some(ToolChoice::Required), None, Value::Null, 1),
        ];
        for (has_tools, tool_choice, parallel_tools, expected, losses) in cases {
            let tools = if has_tools { vec![tool()] } else { vec![] };
            let request = Request { tools, tool_choice, parallel_tools, ..request(vec![user("a")]) };
            let (body, lost) = write(&request);
            assert_eq!((&body["tool_choice"], lost.len()), (&expected, losses));
        }
    }

    #[test]
    fn sampling_is_bounded_to_what_the_model_takes() {
        let cases = [
            ("m", 2.0, None, json!({"temperature": 1}), vec!["temperature"]),
            ("m", -1.0, None, json!({"temperature": 0}), vec!["temperature"]),
            ("m", 0.7, Some(0.5), json!({"temperature": 0.7, "top_p": 0.5}), vec![]),
            ("claude-sonnet-4-5", 0.7, Some(0.5), json!({"temperature": 0.7}), vec!["top_p"]),
            ("claude-3-5-haiku-20241022", 0.7, Some(0.5), json!({"temperature": 0.7, "top_p": 0.5}), vec![]),
            ("claude-opus-4-7", 0.0, Some(0.5), json!({}), vec!["temperature", "top_p"]),
            ("claude-opus-5", 1.0, None, json!({}), vec![]),
        ];
        for (model, temperature, top_p, expected, lost) in cases {
            let (body, losses) = write(&Request {
                model: model.into(),
                temperature: number(temperature),
                top_p: top_p.and_then(number),
                ..request(vec![user("a")])
            });
            for name in ["temperature", "top_p"] {
                assert_eq!(body[name], expected[name], "{model} {name}");
            }
            assert_eq!(losses, lost, "{model}");
        }
    }

    #[test]
    fn blank_stop_sequences_and_long_user_names_are_listed() {
        let stop = vec!["\n".into(), "x".into()];
        let (body, lost) = write(&Request { stop, user: Some("u".repeat(257)), ..request(vec![user("a")]) });
        assert_eq!((&body["stop_sequences"], &body["metadata"]), (&json!(["x"]), &Value::Null));
        assert_eq!(lost, ["stop", "user"]);
    }

    #[test]
    fn formats_that_the_model_cannot_hold_are_listed() {
        let schema = || Some(Format::Schema { name: "n".into(), schema: raw("{}"), strict: Some(true) });
        for (model, format, is_kept) in [
            ("claude-haiku-4-5", schema(), true),
            ("glm-5", schema(), true),
            ("claude-sonnet-4-20250514", schema(), false),
            ("claude-haiku-4-5", Some(Format::Json), false),
        ] {
            let (body, lost) = write(&Request { model: model.into(), format, ..request(vec![user("a")]) });
            assert_eq!(body["output_config"]["format"].is_object(), is_kept, "{model}");
            assert_eq!(lost.is_empty(), is_kept, "{model}");
        }
    }

    fn level(word: &str) -> Option<Effort> {
        Some(Effort::Level(word.to_owned()))
    }

    #[test]
    fn effort_becomes_a_budget_that_fits_below_the_bound() {
        let enabled = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
        let cases = [
            (None, None, Value::Null, 4096, 0),
            (level("minimal"), None, enabled(1024), 5120, 0),
            (level("low"), None, enabled(2048), 6144, 0),
            (level("medium"), None, enabled(8192), 12288, 0),
            (level("high"), None, enabled(16384), 20480, 0),
            (level("xhigh"), None, enabled(32768), 36864, 0),
            (level("high"), Some(5000), enabled(4999), 5000, 0),
            (level("high"), Some(1025), enabled(1024), 1025, 0),
            (level("high"), Some(1024), Value::Null, 1024, 1),
            (level("divine"), None, Value::Null, 4096, 1),
            (Some(Effort::Budget(10)), None, enabled(1024), 5120, 0),
            (Some(Effort::Budget(u64::MAX)), Some(2000), enabled(1999), 2000, 0),
            (Some(Effort::Off), None, Value::Null, 4096, 0),
            (level("none"), None, Value::Null, 4096, 0),
        ];
        for (reasoning, max_tokens, thinking, bound, losses) in cases {
            let request =
                Request { model: "claude-sonnet-4-5".into(), reasoning, max_tokens, ..request(vec![user("a")]) };
            let (body, lost) = write(&request);
            assert_eq!((&body["thinking"], &body["max_tokens"]), (&thinking, &json!(bound)), "{:?}", request.reasoning);
            assert_eq!(lost.len(), losses);
        }
    }

    #[test]
    fn new_claude_generations_are_asked_for_adaptive_thinking_only() {
        let cases = [
            ("claude-opus-4-7", level("high"), json!({"type": "adaptive"}), json!({"effort": "high"})),
            ("anthropic/claude-opus-4.8", level("minimal"), json!({"type": "adaptive"}), json!({"effort": "low"})),
            ("claude-opus-5", Some(Effort::Budget(9000)), json!({"type": "adaptive"}), json!({"effort": "high"})),
            ("claude-opus-5", Some(Effort::Adaptive), json!({"type": "adaptive"}), Value::Null),
            ("claude-opus-5", Some(Effort::Off), Value::Null, Value::Null),
            ("claude-opus-4-6", Some(Effort::Adaptive), json!({"type": "adaptive"}), Value::Null),
            ("claude-opus-4-5", Some(Effort::Adaptive), json!({"type": "enabled", "budget_tokens": 8192}), Value::Null),
            ("kimi-k3", Some(Effort::Off), json!({"type": "disabled"}), Value::Null),
        ];
        for (model, reasoning, thinking, config) in cases {
            let (body, lost) = write(&Request { model: model.into(), reasoning, ..request(vec![user("a")]) });
            assert_eq!((&body["thinking"], &body["output_config"]), (&thinking, &config), "{model}");
            assert!(lost.is_empty());
        }
    }

    #[test]
    fn a_tool_turn_without_its_thinking_turns_thinking_off() {
        for (model, parts, is_kept) in [
            ("m", vec![thought(None), call("i", "{}")], false),
            ("m", vec![Part::text("a"), call("i", "{}")], false),
            ("m", vec![thought(Some("s")), call("i", "{}")], true),
            ("m", vec![Part::text("a")], true),
            // Adaptive thinking does not demand it.
            ("claude-opus-5", vec![call("i", "{}")], true),
        ] {
            let history =
                vec![user("a"), says(Role::Assistant, parts), says(Role::User, vec![result("i", vec![], false)])];
            let (body, lost) = write(&Request { model: model.into(), reasoning: level("low"), ..request(history) });
            assert_eq!(body["thinking"].is_object(), is_kept);
            assert_eq!(!lost.contains(&"reasoning".to_owned()), is_kept);
        }
    }

    #[test]
    fn thinking_gives_way_to_a_forced_tool_and_to_a_begun_answer() {
        let forced =
            Request { tools: vec![tool()], tool_choice: Some(ToolChoice::Required), ..request(vec![user("a")]) };
        let begun = request(vec![user("a"), says(Role::Assistant, vec![Part::text("b")])]);
        let old = Request { model: "claude-3-5-haiku-20241022".into(), ..request(vec![user("a")]) };
        for request in [forced, begun, old] {
            let (body, lost) = write(&Request { reasoning: level("low"), ..request });
            assert_eq!((&body["thinking"], &lost), (&Value::Null, &vec!["reasoning".to_owned()]));
        }
    }

    #[test]
    fn sampling_gives_way_to_thinking() {
        let (body, lost) = write(&Request {
            temperature: number(0.5),
            top_p: number(0.5),
            top_k: Some(1),
            reasoning: level("low"),
            ..request(vec![user("a")])
        });
        for name in ["temperature", "top_p", "top_k"] {
            assert_eq!(body[name], Value::Null);
        }
        assert_eq!(lost, ["temperature", "top_p", "top_k"]);
    }

    #[test]
    fn a_claude_is_known_by_its_name() {
        let cases = [
            ("claude-opus-4-7", Some((4, 7))),
            ("claude-opus-4-20250514", Some((4, 0))),
            ("claude-3-7-sonnet-20250219", Some((3, 7))),
            ("anthropic/claude-haiku-4.5", Some((4, 5))),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some((4, 5))),
            ("claude-sonnet-5", Some((5, 0))),
            ("claude", None),
            ("gpt-5", None),
        ];
        for (model, expected) in cases {
            assert_eq!(version(model), expected, "{model}");
        }
    }
}
