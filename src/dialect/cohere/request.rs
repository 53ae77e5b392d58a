//! The canonical form, as a body for a Cohere upstream.
//!
//! What Cohere bounds more tightly than others is bounded, and what it has no place for is listed in `lost`: a field
//! that it does not know is refused at every depth (OpenRouterTeam/openrouter-examples#71, BerriAI/litellm#24031).
//!
//! Sources: "Chat", Cohere API reference; "Parameter types for tool use" and "Reasoning Capabilities", Cohere
//! documentation; cohere-ai/cohere-developer-experience#523, on temperature; read 2026-11.

use std::borrow::Cow;

use crate::chat::{Content, Effort, Format, Json, Message, Number, Part, Request, Role, Tool, ToolChoice};
use crate::wire::json::{self, Ignored, Raw, Verbatim, objects, written};

/// Models that do not think, by the start of their name. They refuse to be told how.
const PLAIN_MODELS: &[&str] = &[
    "command-r",
    "command-light",
    "command-nightly",
    "command-a-03",
    "command-a-vision",
    "command-a-translate",
    "c4ai-",
];

/// "A list of up to 5 strings".
const STOP_MAX: usize = 5;

const TOP_K_MAX: u64 = 500;

pub fn write_request(request: &Request, lost: &mut Vec<String>) -> Vec<u8> {
    let thinks = !PLAIN_MODELS.iter().any(|start| request.model.starts_with(start));
    let mut writer = Writer { lost, thinks, replays: thinks && !is_off(request.reasoning.as_ref()) };
    for name in ["verbosity", "service_tier", "prompt_cache_key"] {
        writer.lose_if(request.settings().any(|given| given == name), name);
    }
    writer.lose_if(request.user.is_some(), "user");
    writer.lose_if(request.parallel_tools == Some(false), "parallel_tool_calls");
    writer.lose_if(request.top_k.is_some_and(|k| k > TOP_K_MAX), "top_k");
    writer.lose_if(request.stop.len() > STOP_MAX, "stop");
    let (tools, tool_choice) = writer.tools(request);
    let body = Body {
        stream: request.stream,
        model: &request.model,
        messages: writer.messages(&request.messages),
        strict_tools: writer.strict(&tools),
        tools: tools.into_iter().map(|tool| writer.tool(tool)).collect(),
        tool_choice,
        response_format: writer.format(request),
        max_tokens: request.max_tokens,
        stop_sequences: request.stop.get(..STOP_MAX).unwrap_or(&request.stop),
        temperature: writer.bounded("temperature", request.temperature.as_ref(), "0", "1"),
        seed: request.seed.as_ref(),
        frequency_penalty: writer.bounded("frequency_penalty", request.frequency_penalty.as_ref(), "0", "1"),
        presence_penalty: writer.bounded("presence_penalty", request.presence_penalty.as_ref(), "0", "1"),
        k: request.top_k.map(|k| k.min(TOP_K_MAX)),
        p: writer.nucleus(request.top_p.as_ref()),
        thinking: writer.thinking(request),
    };
    json::to_vec(&body)
}

struct Writer<'l> {
    lost: &'l mut Vec<String>,
    /// Whether the model may be one that thinks.
    thinks: bool,
    /// Whether it takes its thoughts back.
    replays: bool,
}

fn is_off(effort: Option<&Effort>) -> bool {
    match effort {
        Some(Effort::Off) => true,
        Some(Effort::Level(level)) => level == "none",
        Some(Effort::Budget(_) | Effort::Adaptive) | None => false,
    }
}

impl Writer<'_> {
    fn lose(&mut self, name: &str) {
        if !self.lost.iter().any(|lost| lost == name) {
            self.lost.push(name.to_owned());
        }
    }

    fn lose_if(&mut self, lost: bool, name: &str) {
        if lost {
            self.lose(name);
        }
    }

    /// One of several tools cannot be named, so that the others are left out instead.
    fn tools<'a>(&mut self, request: &'a Request) -> (Vec<&'a Tool>, Option<&'static str>) {
        let all: Vec<&Tool> = request.tools.iter().collect();
        if all.is_empty() {
            let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
            self.lose_if(forced, "tool_choice");
            return (all, None);
        }
        match &request.tool_choice {
            None | Some(ToolChoice::Auto) => (all, None),
            Some(ToolChoice::None) => (all, Some("NONE")),
            Some(ToolChoice::Required) => (all, Some("REQUIRED")),
            Some(ToolChoice::Named(name)) => {
                let named: Vec<&Tool> = all.iter().copied().filter(|tool| tool.name == *name).collect();
                if named.is_empty() {
                    self.lose("tool_choice");
                    return (all, None);
                }
                (named, Some("REQUIRED"))
            }
        }
    }

    /// Cohere holds all tools to their schemas or none, and then each must have a required parameter.
    fn strict(&mut self, tools: &[&Tool]) -> bool {
        let can = |tool: &&Tool| tool.strict == Some(true) && tool.schema.as_ref().is_some_and(requires);
        let strict = !tools.is_empty() && tools.iter().all(can);
        self.lose_if(!strict && tools.iter().any(|tool| tool.strict == Some(true)), "tools.strict");
        strict
    }

    fn tool<'a>(&mut self, tool: &'a Tool) -> ToolOut<'a> {
        self.lose_if(tool.cache.is_some(), "cache_control");
        let parameters = match &tool.schema {
            Some(schema) => schema.raw().into(),
            None => Raw::of(r#"{"type":"object","properties":{}}"#).into(),
        };
        ToolOut {
            kind: "function",
            function: FunctionOut { name: &tool.name, description: tool.description.as_deref(), parameters },
        }
    }

    /// Cohere refuses a format beside tools.
    fn format<'a>(&mut self, request: &'a Request) -> Option<FormatOut<'a>> {
        let format = request.format.as_ref()?;
        if !request.tools.is_empty() {
            self.lose("response_format");
            return None;
        }
        let schema = match format {
            Format::Json => None,
            Format::Schema { schema, .. } => Some(schema.raw()),
        };
        Some(FormatOut { kind: "json_object", schema })
    }

    /// `number` between two others, which are given as their text.
    fn bounded<'a>(
        &mut self,
        name: &str,
        number: Option<&'a Number>,
        least: &'static str,
        most: &'static str,
    ) -> Option<Cow<'a, Number>> {
        let number = number?;
        let bound = |text: &str| json::parse::<Number>(text).ok();
        let (least, most) = (bound(least)?, bound(most)?);
        let value = number.value();
        if (least.value()..=most.value()).contains(&value) {
            return Some(Cow::Borrowed(number));
        }
        self.lose(name);
        Some(Cow::Owned(if value > most.value() { most } else { least }))
    }

    /// 1 is everyone else's word for no bound; here 0.99 is the most that can be said, and means the same.
    fn nucleus<'a>(&mut self, number: Option<&'a Number>) -> Option<Cow<'a, Number>> {
        let (least, most) = ("0.01", "0.99");
        if number.is_some_and(|number| (0.99..=1.0).contains(&number.value())) {
            return json::parse(most).ok().map(Cow::Owned);
        }
        self.bounded("top_p", number, least, most)
    }

    /// The steps of a budget are those of other translators, and none is a promise of the provider's.
    fn thinking(&mut self, request: &Request) -> Option<Thinking> {
        let effort = request.reasoning.as_ref()?;
        let budget = (!is_off(Some(effort))).then_some(match effort {
            Effort::Off | Effort::Adaptive => None,
            Effort::Budget(tokens) => Some(*tokens),
            Effort::Level(level) => match level.as_str() {
                "minimal" => Some(1024),
                "low" => Some(2048),
                "medium" => Some(8192),
                "high" => Some(16384),
                _ => None,
            },
        });
        if !self.thinks {
            // To be off is what a model that cannot think does anyhow.
            self.lose_if(budget.is_some(), "reasoning");
            return None;
        }
        Some(match budget {
            None => Thinking { kind: "disabled", token_budget: None },
            Some(tokens) => {
                // Thoughts count into `max_tokens`, and some of it must be left for the answer.
                let most = request.max_tokens.map_or(u64::MAX, |most| most.saturating_sub(1)).max(1);
                Thinking { kind: "enabled", token_budget: tokens.map(|tokens| tokens.clamp(1, most)) }
            }
        })
    }

    fn messages<'a>(&mut self, messages: &'a [Message]) -> Vec<MessageOut<'a>> {
        let mut out = Vec::new();
        for message in messages {
            self.lose_if(message.parts.iter().any(is_cached), "cache_control");
            match message.role {
                Role::System => self.push("system", &message.parts, &mut out),
                Role::User => self.user(&message.parts, &mut out),
                Role::Assistant => out.extend(self.assistant(&message.parts)),
            }
        }
        out
    }

    fn user<'a>(&mut self, parts: &'a [Part], out: &mut Vec<MessageOut<'a>>) {
        let mut content = Vec::new();
        // A result holds text only; the images of all results come after the last of them.
        for part in parts {
            if let Content::ToolResult { call, parts, is_error } = &part.content {
                let (mut texts, images): (Vec<_>, Vec<_>) = parts
                    .iter()
                    .filter_map(|part| self.block(&part.content))
                    .partition(|block| matches!(block, Block::Text { .. }));
                // There is no other place to say it.
                if *is_error && !texts.first().is_some_and(says_error) {
                    texts.insert(0, Block::Text { text: "Error:" });
                }
                let content_out = contents(texts).unwrap_or(ContentOut::Text(""));
                out.push(MessageOut {
                    content: Some(content_out),
                    tool_call_id: Some(call),
                    ..MessageOut::new("tool")
                });
                content.extend(images);
            }
        }
        let said = parts.iter().filter(|part| !matches!(part.content, Content::ToolResult { .. }));
        content.extend(said.filter_map(|part| self.block(&part.content)));
        if let Some(content) = contents(content) {
            out.push(MessageOut { content: Some(content), ..MessageOut::new("user") });
        }
    }

    fn push<'a>(&mut self, role: &'static str, parts: &'a [Part], out: &mut Vec<MessageOut<'a>>) {
        let blocks = parts.iter().filter_map(|part| self.block(&part.content)).collect();
        if let Some(content) = contents(blocks) {
            out.push(MessageOut { content: Some(content), ..MessageOut::new(role) });
        }
    }

    fn assistant<'a>(&mut self, parts: &'a [Part]) -> Option<MessageOut<'a>> {
        let mut tool_calls = Vec::new();
        let (mut thoughts, mut texts) = (Vec::new(), Vec::new());
        for part in parts {
            match &part.content {
                Content::Reasoning { text, .. } if self.replays => thoughts.push(Block::Thinking { thinking: text }),
                Content::ToolCall(call) => tool_calls.push(CallOut {
                    id: &call.id,
                    kind: "function",
                    function: CalledOut {
                        name: &call.name,
                        arguments: if call.arguments.is_empty() { "{}" } else { &call.arguments },
                    },
                }),
                Content::Text(text) if text.is_empty() => {}
                Content::Text(text) => texts.push(text.as_str()),
                other => self.lose(other.wire_name()),
            }
        }
        // "text content is not allowed when tool_calls are provided. If you wish to pass a tool plan, either pass
        // thinking content (with thinking enabled) or use 'tool_plan'" (vercel/ai#5794)
        let mut tool_plan = None;
        match (tool_calls.is_empty(), thoughts.is_empty()) {
            (true, _) => thoughts.extend(texts.into_iter().map(|text| Block::Text { text })),
            (false, true) => tool_plan = Some(texts.join("\n")).filter(|plan| !plan.is_empty()),
            (false, false) => thoughts.extend(texts.into_iter().map(|thinking| Block::Thinking { thinking })),
        }
        let content = contents(thoughts);
        (content.is_some() || !tool_calls.is_empty()).then(|| MessageOut {
            content,
            tool_plan,
            tool_calls,
            ..MessageOut::new("assistant")
        })
    }

    fn block<'a>(&mut self, content: &'a Content) -> Option<Block<'a>> {
        match content {
            // Of a message Cohere wants at least one token.
            Content::Text(text) if text.is_empty() => None,
            Content::Text(text) => Some(Block::Text { text }),
            Content::Image(media) => Some(Block::ImageUrl { image_url: UrlOut { url: media.url() } }),
            other => {
                self.lose(other.wire_name());
                None
            }
        }
    }
}

/// Whether the schema has a parameter that must be given.
fn requires(schema: &Json) -> bool {
    objects! {
        struct Wire {
            required: Option<Vec<Ignored>>,
        }
    }
    json::parse::<Wire>(schema.get()).is_ok_and(|schema| schema.required.is_some_and(|names| !names.is_empty()))
}

fn says_error(block: &Block<'_>) -> bool {
    let Block::Text { text } = block else { return false };
    text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"))
}

fn is_cached(part: &Part) -> bool {
    part.cache.is_some()
        || matches!(&part.content, Content::ToolResult { parts, .. } if parts.iter().any(|part| part.cache.is_some()))
}

/// One text is a string; anything else an array.
fn contents(blocks: Vec<Block<'_>>) -> Option<ContentOut<'_>> {
    match blocks.as_slice() {
        [] => None,
        [Block::Text { text }] => Some(ContentOut::Text(text)),
        _ => Some(ContentOut::Blocks(blocks)),
    }
}

written! {
    struct Body<'a> {
        stream: bool,
        model: &'a str,
        messages: Vec<MessageOut<'a>>,
        tools?: Vec<ToolOut<'a>>,
        strict_tools?: bool,
        tool_choice?: Option<&'static str>,
        response_format?: Option<FormatOut<'a>>,
        max_tokens?: Option<u64>,
        stop_sequences?: &'a [String],
        temperature?: Option<Cow<'a, Number>>,
        seed?: Option<&'a Number>,
        frequency_penalty?: Option<Cow<'a, Number>>,
        presence_penalty?: Option<Cow<'a, Number>>,
        k?: Option<u64>,
        p?: Option<Cow<'a, Number>>,
        thinking?: Option<Thinking>,
    }

    struct MessageOut<'a> {
        role: &'static str,
        content?: Option<ContentOut<'a>>,
        tool_plan?: Option<String>,
        tool_calls?: Vec<CallOut<'a>>,
        tool_call_id?: Option<&'a str>,
    }
}

impl MessageOut<'_> {
    fn new(role: &'static str) -> Self {
        Self { role, content: None, tool_plan: None, tool_calls: Vec::new(), tool_call_id: None }
    }
}

written! {
    enum ContentOut<'a> {
        Text(&'a str),
        Blocks(Vec<Block<'a>>),
    }

    enum Block<'a> tagged "type" {
        Text as "text" { text: &'a str },
        Thinking as "thinking" { thinking: &'a str },
        ImageUrl as "image_url" { image_url: UrlOut<'a> },
    }

    struct UrlOut<'a> {
        url: Cow<'a, str>,
    }

    struct CallOut<'a> {
        id: &'a str,
        kind as "type": &'static str,
        function: CalledOut<'a>,
    }

    struct CalledOut<'a> {
        name: &'a str,
        arguments: &'a str,
    }

    struct ToolOut<'a> {
        kind as "type": &'static str,
        function: FunctionOut<'a>,
    }

    struct FunctionOut<'a> {
        name: &'a str,
        description?: Option<&'a str>,
        parameters: Verbatim<'a>,
    }

    struct FormatOut<'a> {
        kind as "type": &'static str,
        schema?: Option<Raw<'a>>,
    }

    struct Thinking {
        kind as "type": &'static str,
        token_budget?: Option<u64>,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::Media;
    use crate::chat::ToolCall;

    fn write(request: &Request) -> (Value, Vec<String>) {
        let mut lost = Vec::new();
        (serde_json::from_slice(&write_request(request, &mut lost)).unwrap(), lost)
    }

    fn number(text: &str) -> Option<Number> {
        json::parse(text).ok()
    }

    fn raw(text: &str) -> Json {
        json::parse(text).unwrap()
    }

    fn says(role: Role, contents: Vec<Content>) -> Message {
        Message { role, parts: contents.into_iter().map(Part::new).collect() }
    }

    fn text(text: &str) -> Content {
        Content::Text(text.to_owned())
    }

    fn call(id: &str) -> Content {
        Content::ToolCall(ToolCall { id: id.into(), name: "f".into(), arguments: String::new(), signature: None })
    }

    fn asks(model: &str) -> Request {
        Request { model: model.into(), messages: vec![says(Role::User, vec![text("hi")])], ..Request::default() }
    }

    #[test]
    fn the_plain_fields_are_written() {
        let request = Request {
            max_tokens: Some(9),
            temperature: number("0.70"),
            top_p: number("0.5"),
            top_k: Some(3),
            stop: vec!["x".into()],
            seed: number("7"),
            frequency_penalty: number("0.1"),
            presence_penalty: number("0.2"),
            stream: true,
            format: Some(Format::Schema { name: "n".into(), schema: raw(r#"{"type":"object"}"#), strict: None }),
            ..asks("command-a-03-2025")
        };
        let expected = json!({
            "stream": true, "model": "command-a-03-2025", "messages": [{"role": "user", "content": "hi"}],
            "response_format": {"type": "json_object", "schema": {"type": "object"}},
            "max_tokens": 9, "stop_sequences": ["x"], "temperature": 0.70, "seed": 7,
            "frequency_penalty": 0.1, "presence_penalty": 0.2, "k": 3, "p": 0.5,
        });
        assert_eq!(write(&request), (expected, vec![]));
    }

    #[test]
    fn a_conversation_with_tools_is_written() {
        let result = |call: &str, parts: Vec<Content>, is_error| Content::ToolResult {
            call: call.into(),
            parts: parts.into_iter().map(Part::new).collect(),
            is_error,
        };
        let picture = || Content::Image(Media::Inline { media_type: "image/png".into(), data: "AA==".into() });
        let thought = Content::Reasoning { text: "hm".into(), signature: None };
        let request = Request {
            model: "command-a-reasoning-08-2025".into(),
            messages: vec![
                says(Role::System, vec![text("be"), text("brief")]),
                says(Role::User, vec![text("look"), picture()]),
                says(Role::Assistant, vec![thought, text("I will."), call("a"), call("b")]),
                says(
                    Role::User,
                    vec![
                        text("and?"),
                        result("a", vec![text("1"), picture()], false),
                        result("b", vec![text("no")], true),
                        Content::Audio(Media::Url("u".into())),
                    ],
                ),
                says(Role::Assistant, vec![text("one"), text("two")]),
            ],
            ..Request::default()
        };
        let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
        let words = |text: &str| json!({"type": "text", "text": text});
        let called = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let expected = json!([
            {"role": "system", "content": [words("be"), words("brief")]},
            {"role": "user", "content": [words("look"), image]},
            {"role": "assistant",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "thinking", "thinking": "I will."}],
                "tool_calls": [called("a"), called("b")]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": [words("Error:"), words("no")]},
            {"role": "user", "content": [image, words("and?")]},
            {"role": "assistant", "content": [words("one"), words("two")]},
        ]);
        let (body, lost) = write(&request);
        assert_eq!(body["messages"], expected);
        assert_eq!(lost, ["messages.audio"]);
        // A model that does not think takes no thoughts, and words before calls as their plan.
        let (body, lost) = write(&Request { model: "command-a-03-2025".into(), ..request });
        let planned = json!({"role": "assistant", "tool_plan": "I will.", "tool_calls": [called("a"), called("b")]});
        assert_eq!(body["messages"][2], planned);
        assert_eq!(lost, ["messages.reasoning", "messages.audio"]);
    }

    #[test]
    fn a_choice_of_tools_is_said_in_coheres_words() {
        let tool = |name: &str| Tool { name: name.into(), ..Tool::default() };
        let cases = [
            (None, json!(null), 2),
            (Some(ToolChoice::Auto), json!(null), 2),
            (Some(ToolChoice::None), json!("NONE"), 2),
            (Some(ToolChoice::Required), json!("REQUIRED"), 2),
            (Some(ToolChoice::Named("g".into())), json!("REQUIRED"), 1),
        ];
        for (tool_choice, word, count) in cases {
            let request = Request { tools: vec![tool("f"), tool("g")], tool_choice, ..asks("command-r") };
            let (body, lost) = write(&request);
            assert_eq!((&body["tool_choice"], body["tools"].as_array().unwrap().len()), (&word, count));
            assert_eq!(lost, [""; 0]);
        }
        let unknown =
            Request { tools: vec![tool("f")], tool_choice: Some(ToolChoice::Named("h".into())), ..asks("command-r") };
        assert_eq!(write(&unknown).1, ["tool_choice"]);
        assert_eq!(write(&Request { tool_choice: Some(ToolChoice::Required), ..asks("m") }).1, ["tool_choice"]);
    }

    #[test]
    fn tools_are_strict_together_or_not_at_all() {
        let tool = |strict, schema: &str| Tool { strict, schema: Some(raw(schema)), ..Tool::default() };
        let needs = r#"{"type":"object","required":["a"]}"#;
        let cases = [
            (vec![tool(Some(true), needs)], json!(true), 0),
            (vec![tool(Some(true), needs), tool(Some(true), "{}")], json!(null), 1),
            (vec![tool(Some(true), needs), tool(None, needs)], json!(null), 1),
            (vec![tool(Some(false), needs)], json!(null), 0),
        ];
        for (tools, strict, losses) in cases {
            let (body, lost) = write(&Request { tools, ..asks("command-r") });
            assert_eq!((&body["strict_tools"], lost.len()), (&strict, losses));
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_bounded_and_listed() {
        let request = Request {
            temperature: number("1.5"),
            top_p: number("0"),
            frequency_penalty: number("-1"),
            presence_penalty: number("2"),
            top_k: Some(501),
            stop: vec!["s".into(); 6],
            parallel_tools: Some(false),
            user: Some("u".into()),
            verbosity: Some("low".into()),
            ..asks("command-r")
        };
        let (body, lost) = write(&request);
        let numbers = ["temperature", "p", "frequency_penalty", "presence_penalty", "k"].map(|name| body[name].clone());
        assert_eq!(numbers, [json!(1), json!(0.01), json!(0), json!(1), json!(500)]);
        assert_eq!(body["stop_sequences"].as_array().unwrap().len(), 5);
        let expected = [
            "verbosity",
            "user",
            "parallel_tool_calls",
            "top_k",
            "stop",
            "temperature",
            "frequency_penalty",
            "presence_penalty",
            "top_p",
        ];
        assert_eq!(lost, expected);
        let (body, lost) = write(&Request { top_p: number("1"), ..asks("command-r") });
        assert_eq!((&body["p"], lost.len()), (&json!(0.99), 0));
    }

    #[test]
    fn effort_is_a_budget_where_the_model_thinks() {
        let level = |word: &str| Effort::Level(word.into());
        let enabled = |tokens: u64| json!({"type": "enabled", "token_budget": tokens});
        let cases = [
            (Effort::Off, json!({"type": "disabled"})),
            (level("none"), json!({"type": "disabled"})),
            (level("low"), enabled(2048)),
            (level("max"), json!({"type": "enabled"})),
            (Effort::Adaptive, json!({"type": "enabled"})),
            (Effort::Budget(500), enabled(500)),
            (Effort::Budget(9000), enabled(3999)),
        ];
        for (effort, thinking) in cases {
            let losses = usize::from(thinking["type"] == "enabled");
            let request =
                Request { max_tokens: Some(4000), reasoning: Some(effort), ..asks("command-a-reasoning-08-2025") };
            let (body, lost) = write(&request);
            assert_eq!((&body["thinking"], lost.len()), (&thinking, 0));
            let (body, lost) = write(&Request { model: "command-r7b-12-2024".into(), ..request });
            assert_eq!((&body["thinking"], lost.len()), (&json!(null), losses));
        }
    }

    #[test]
    fn empty_messages_are_left_out() {
        let messages =
            vec![says(Role::User, vec![text("")]), says(Role::Assistant, vec![]), says(Role::User, vec![text("hi")])];
        let (body, lost) = write(&Request { messages, ..asks("m") });
        assert_eq!((&body["messages"], lost.len()), (&json!([{"role": "user", "content": "hi"}]), 0));
    }

    #[test]
    fn a_format_gives_way_to_tools() {
        let request = Request { tools: vec![Tool::default()], format: Some(Format::Json), ..asks("command-r") };
        let (body, lost) = write(&request);
        assert_eq!((&body["response_format"], lost), (&json!(null), vec!["response_format".to_owned()]));
    }
}
