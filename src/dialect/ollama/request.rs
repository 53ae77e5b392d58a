//! The canonical form, as a body for an Ollama upstream.
//!
//! One text to a message; images beside it, inline only. What it has no place for is listed in `lost`.
//!
//! Source: "API" and "Thinking", Ollama documentation, read 2026-11.

use std::collections::HashMap;

use crate::chat::{Content, Effort, Format, Media, Message, Number, Part, Request, Role, Tool, ToolChoice};
use crate::wire::json::{self, Raw, Verbatim, written};

/// The models that are told how much to think; all others only whether.
const GRADED_MODELS: &str = "gpt-oss";

pub fn write_request(request: &Request, lost: &mut Vec<String>) -> Vec<u8> {
    let mut writer = Writer { lost, called: called(&request.messages) };
    for name in ["verbosity", "service_tier", "prompt_cache_key"] {
        writer.lose_if(request.settings().any(|given| given == name), name);
    }
    writer.lose_if(request.user.is_some(), "user");
    writer.lose_if(request.parallel_tools == Some(false), "parallel_tool_calls");
    let options = Options {
        num_predict: request.max_tokens,
        temperature: request.temperature.as_ref(),
        top_p: request.top_p.as_ref(),
        top_k: request.top_k,
        seed: request.seed.as_ref(),
        frequency_penalty: request.frequency_penalty.as_ref(),
        presence_penalty: request.presence_penalty.as_ref(),
        stop: &request.stop,
    };
    let body = Body {
        model: &request.model,
        messages: request.messages.iter().flat_map(|message| writer.message(message)).collect(),
        tools: writer.tools(request),
        format: request.format.as_ref().map(format),
        think: think(request),
        options,
        // Left out, it would be true.
        stream: request.stream,
    };
    json::to_vec(&body)
}

/// The address of a server: that of its OpenAI view has a version at its end.
pub fn root(base: &str) -> &str {
    base.strip_suffix("/v1").unwrap_or(base)
}

struct Writer<'l, 'a> {
    lost: &'l mut Vec<String>,
    /// The names of tools by the ids of their calls: results are told apart by name here.
    called: HashMap<&'a str, &'a str>,
}

fn called(messages: &[Message]) -> HashMap<&str, &str> {
    let parts = messages.iter().flat_map(|message| &message.parts);
    let calls = parts.filter_map(|part| match &part.content {
        Content::ToolCall(call) => Some((call.id.as_str(), call.name.as_str())),
        _ => None,
    });
    calls.collect()
}

fn format(format: &Format) -> FormatOut<'_> {
    match format {
        Format::Json => FormatOut::Word("json"),
        Format::Schema { schema, .. } => FormatOut::Schema(schema.raw()),
    }
}

/// Older servers take no words, and a model that cannot think refuses to be told to: where the caller leaves it to the
/// model, nothing is said.
fn think(request: &Request) -> Option<Think> {
    let level = match request.reasoning.as_ref()? {
        Effort::Off => return Some(Think::Whether(false)),
        Effort::Adaptive => return None,
        Effort::Level(level) => match level.as_str() {
            "none" => return Some(Think::Whether(false)),
            "minimal" | "low" => "low",
            "medium" => "medium",
            _ => "high",
        },
        Effort::Budget(0..4096) => "low",
        Effort::Budget(4096..16384) => "medium",
        Effort::Budget(_) => "high",
    };
    let graded = request.model.contains(GRADED_MODELS);
    Some(if graded { Think::Level(level) } else { Think::Whether(true) })
}

impl<'a> Writer<'_, 'a> {
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

    /// Ollama has no choice of tools: the others than the named one are left out, and all of them where none may be
    /// called. That one must be called cannot be said.
    fn tools(&mut self, request: &'a Request) -> Vec<ToolOut<'a>> {
        let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
        self.lose_if(forced, "tool_choice");
        let is_offered = |tool: &&Tool| match &request.tool_choice {
            Some(ToolChoice::None) => false,
            Some(ToolChoice::Named(name)) => tool.name == *name,
            Some(ToolChoice::Auto | ToolChoice::Required) | None => true,
        };
        request.tools.iter().filter(is_offered).map(|tool| self.tool(tool)).collect()
    }

    fn tool(&mut self, tool: &'a Tool) -> ToolOut<'a> {
        self.lose_if(tool.cache.is_some(), "cache_control");
        self.lose_if(tool.strict == Some(true), "tools.strict");
        let parameters = match &tool.schema {
            Some(schema) => schema.raw().into(),
            None => Raw::of(r#"{"type":"object","properties":{}}"#).into(),
        };
        ToolOut {
            kind: "function",
            function: FunctionOut { name: &tool.name, description: tool.description.as_deref(), parameters },
        }
    }

    fn message(&mut self, message: &'a Message) -> Vec<MessageOut<'a>> {
        let mut out = Vec::new();
        let mut rest = MessageOut::new(match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        });
        for part in &message.parts {
            self.lose_if(part.cache.is_some(), "cache_control");
            match &part.content {
                Content::ToolResult { call, parts, is_error } => {
                    let mut result = self.result(call, parts);
                    // There is no other place to say it.
                    if *is_error && !says_error(&result.content) {
                        result.content = format!("Error: {}", result.content);
                    }
                    out.push(result);
                }
                Content::Reasoning { text, .. } => rest.thinking.push_str(text),
                Content::ToolCall(call) => {
                    let arguments = self.arguments(&call.arguments);
                    let function = CalledOut { name: &call.name, arguments };
                    rest.tool_calls.push(CallOut { id: &call.id, function });
                }
                content => self.say(content, &mut rest),
            }
        }
        let is_empty = rest.content.is_empty() && rest.images.is_empty() && rest.tool_calls.is_empty();
        if !is_empty {
            out.push(rest);
        }
        out
    }

    fn result(&mut self, call: &'a str, parts: &'a [Part]) -> MessageOut<'a> {
        let mut out = MessageOut::new("tool");
        out.tool_call_id = Some(call);
        out.tool_name = self.called.get(call).copied();
        for part in parts {
            self.lose_if(part.cache.is_some(), "cache_control");
            self.say(&part.content, &mut out);
        }
        out
    }

    /// What every role may say.
    fn say(&mut self, content: &'a Content, out: &mut MessageOut<'a>) {
        match content {
            Content::Text(text) if text.is_empty() => {}
            Content::Text(text) => {
                if !out.content.is_empty() {
                    out.content.push('\n');
                }
                out.content.push_str(text);
            }
            Content::Image(Media::Inline { data, .. }) => out.images.push(data),
            // Ollama fetches none, and it was not fetched for it.
            Content::Image(Media::Url(_)) => self.lose("messages.image (by URL)"),
            Content::Audio(_) => self.lose("messages.audio"),
            Content::Video(_) => self.lose("messages.video"),
            Content::Document { .. } => self.lose("messages.document"),
            Content::Reasoning { .. } | Content::SealedReasoning(_) => self.lose("messages.reasoning"),
            Content::ToolCall(_) => self.lose("messages.tool_call"),
            Content::ToolResult { .. } => self.lose("messages.tool_result"),
        }
    }

    /// Arguments must be an object; a text that is none, which a model cut short leaves behind, cannot be kept.
    fn arguments(&mut self, arguments: &'a str) -> Verbatim<'a> {
        match json::parse::<Raw<'_>>(arguments.trim()) {
            Ok(object) if object.get().starts_with('{') => object.into(),
            parsed => {
                self.lose_if(parsed.is_ok() || !arguments.trim().is_empty(), "messages.tool_calls.arguments");
                Raw::EMPTY_OBJECT.into()
            }
        }
    }
}

fn says_error(text: &str) -> bool {
    text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"))
}

written! {
    struct Body<'a> {
        model: &'a str,
        messages: Vec<MessageOut<'a>>,
        tools?: Vec<ToolOut<'a>>,
        format?: Option<FormatOut<'a>>,
        think?: Option<Think>,
        options: Options<'a>,
        stream: bool,
    }

    struct Options<'a> {
        num_predict?: Option<u64>,
        temperature?: Option<&'a Number>,
        top_p?: Option<&'a Number>,
        top_k?: Option<u64>,
        seed?: Option<&'a Number>,
        frequency_penalty?: Option<&'a Number>,
        presence_penalty?: Option<&'a Number>,
        stop?: &'a [String],
    }

    enum Think {
        Whether(bool),
        Level(&'static str),
    }

    enum FormatOut<'a> {
        Word(&'static str),
        Schema(Raw<'a>),
    }

    struct MessageOut<'a> {
        role: &'static str,
        content: String,
        thinking?: String,
        /// Base64.
        images?: Vec<&'a str>,
        tool_calls?: Vec<CallOut<'a>>,
        tool_name?: Option<&'a str>,
        tool_call_id?: Option<&'a str>,
    }
}

impl MessageOut<'_> {
    fn new(role: &'static str) -> Self {
        Self {
            role,
            content: String::new(),
            thinking: String::new(),
            images: Vec::new(),
            tool_calls: Vec::new(),
            tool_name: None,
            tool_call_id: None,
        }
    }
}

written! {
    struct CallOut<'a> {
        /// Older servers pass over it.
        id: &'a str,
        function: CalledOut<'a>,
    }

    struct CalledOut<'a> {
        name: &'a str,
        arguments: Verbatim<'a>,
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
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::ToolCall;

    fn write(request: &Request) -> (Value, Vec<String>) {
        let mut lost = Vec::new();
        (serde_json::from_slice(&write_request(request, &mut lost)).unwrap(), lost)
    }

    fn number(text: &str) -> Option<Number> {
        json::parse(text).ok()
    }

    fn says(role: Role, contents: Vec<Content>) -> Message {
        Message { role, parts: contents.into_iter().map(Part::new).collect() }
    }

    fn text(text: &str) -> Content {
        Content::Text(text.to_owned())
    }

    fn call(id: &str, arguments: &str) -> Content {
        Content::ToolCall(ToolCall { id: id.into(), name: "f".into(), arguments: arguments.into(), signature: None })
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
            format: Some(Format::Json),
            user: Some("u".into()),
            ..asks("qwen3:4b")
        };
        let expected = json!({
            "model": "qwen3:4b", "messages": [{"role": "user", "content": "hi"}], "format": "json",
            "options": {"num_predict": 9, "temperature": 0.70, "top_p": 0.5, "top_k": 3, "seed": 7,
                "frequency_penalty": 0.1, "presence_penalty": 0.2, "stop": ["x"]},
            "stream": true,
        });
        assert_eq!(write(&request), (expected, vec!["user".to_owned()]));
        let plain =
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "options": {}, "stream": false});
        assert_eq!(write(&asks("m")), (plain, vec![]));
    }

    #[test]
    fn a_conversation_with_tools_is_written() {
        let picture = || Content::Image(Media::Inline { media_type: "image/png".into(), data: "AA==".into() });
        let result = |call: &str, contents: Vec<Content>, is_error| Content::ToolResult {
            call: call.into(),
            parts: contents.into_iter().map(Part::new).collect(),
            is_error,
        };
        let request = Request {
            messages: vec![
                says(Role::System, vec![text("be"), text("brief")]),
                says(Role::User, vec![text("look"), picture(), Content::Image(Media::Url("u".into()))]),
                says(
                    Role::Assistant,
                    vec![
                        Content::Reasoning { text: "hm".into(), signature: None },
                        text("I will."),
                        call("a", r#"{"b" :1.0,"a":2}"#),
                        call("b", ""),
                        call("c", "{"),
                    ],
                ),
                says(
                    Role::User,
                    vec![
                        result("a", vec![text("1"), picture()], false),
                        result("b", vec![text("no")], true),
                        text("and?"),
                    ],
                ),
            ],
            ..asks("m")
        };
        let called = |id: &str, arguments: Value| json!({"id": id, "function": {"name": "f", "arguments": arguments}});
        let expected = json!([
            {"role": "system", "content": "be\nbrief"},
            {"role": "user", "content": "look", "images": ["AA=="]},
            {"role": "assistant", "content": "I will.", "thinking": "hm",
                "tool_calls": [called("a", json!({"b": 1.0, "a": 2})), called("b", json!({})), called("c", json!({}))]},
            {"role": "tool", "content": "1", "images": ["AA=="], "tool_name": "f", "tool_call_id": "a"},
            {"role": "tool", "content": "Error: no", "tool_name": "f", "tool_call_id": "b"},
            {"role": "user", "content": "and?"},
        ]);
        let mut lost = Vec::new();
        let written = String::from_utf8(write_request(&request, &mut lost)).unwrap();
        assert!(written.contains(r#"{"b" :1.0,"a":2}"#), "arguments keep their order and number text");
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap()["messages"], expected);
        assert_eq!(lost, ["messages.image (by URL)", "messages.tool_calls.arguments"]);
    }

    #[test]
    fn a_choice_of_tools_is_made_by_leaving_out_the_others() {
        let tool = |name: &str| Tool { name: name.into(), ..Tool::default() };
        let cases = [
            (None, 2, 0),
            (Some(ToolChoice::Auto), 2, 0),
            (Some(ToolChoice::None), 0, 0),
            (Some(ToolChoice::Required), 2, 1),
            (Some(ToolChoice::Named("g".into())), 1, 1),
        ];
        for (tool_choice, count, losses) in cases {
            let (body, lost) = write(&Request { tools: vec![tool("f"), tool("g")], tool_choice, ..asks("m") });
            assert_eq!((body["tools"].as_array().map_or(0, Vec::len), lost.len()), (count, losses));
        }
    }

    #[test]
    fn thinking_is_asked_for_in_the_words_that_the_model_takes() {
        let level = |word: &str| Effort::Level(word.into());
        let cases = [
            (Effort::Off, json!(false), json!(false)),
            (level("none"), json!(false), json!(false)),
            (Effort::Adaptive, json!(null), json!(null)),
            (level("minimal"), json!(true), json!("low")),
            (level("xhigh"), json!(true), json!("high")),
            (Effort::Budget(5000), json!(true), json!("medium")),
        ];
        for (effort, plain, graded) in cases {
            for (model, think) in [("qwen3:4b", plain), ("gpt-oss:20b", graded)] {
                let (body, _) = write(&Request { reasoning: Some(effort.clone()), ..asks(model) });
                assert_eq!(body["think"], think, "{effort:?} for {model}");
            }
        }
    }

    #[test]
    fn a_schema_is_the_format() {
        let schema = json::parse(r#"{"type":"object"}"#).unwrap();
        let format = Some(Format::Schema { name: "n".into(), schema, strict: Some(true) });
        let (body, lost) = write(&Request { format, ..asks("m") });
        assert_eq!((&body["format"], lost.len()), (&json!({"type": "object"}), 0));
    }
}
