//! A whole answer, both ways.

use super::super::{Label, Malformed};
use super::{Bill, Block, Tally, input, read_stop, stop_word};
use crate::chat::{Content, Part, Response, ToolCall};
use crate::wire::json::{self, Raw, Verbatim, objects, to_vec, written};

pub fn read_response(body: &[u8]) -> Result<Response, Malformed> {
    objects! {
        struct Message<'a> {
            id: Option<String>,
            model: Option<String>,
            content: Vec<Block<'a>>,
            stop_reason: Option<String>,
            stop_sequence: Option<String>,
            usage: Option<Tally>,
        }
    }
    // The parser's own words would quote the answer.
    let message: Message<'_> = json::read(body).map_err(|error| {
        Malformed(format!("the answer is not a message, at line {} column {}", error.line(), error.column()))
    })?;
    let mut parts = Vec::with_capacity(message.content.len());
    for (i, block) in message.content.iter().enumerate() {
        parts.extend(read_block(block, i)?.map(Part::new));
    }
    Ok(Response {
        id: message.id.unwrap_or_default(),
        model: message.model.unwrap_or_default(),
        parts,
        stop: read_stop(message.stop_reason, message.stop_sequence),
        usage: message.usage.map(Tally::usage),
    })
}

/// `None` for the blocks of tools that the provider runs itself: callers of other dialects cannot use them.
fn read_block(block: &Block<'_>, i: usize) -> Result<Option<Content>, Malformed> {
    let text = |raw: Option<Raw<'_>>, name: &str| match raw {
        None => Ok(String::new()),
        Some(raw) => json::parse(raw.get()).map_err(|_| Malformed(format!("content[{i}].{name} is not a string"))),
    };
    Ok(Some(match &*block.kind {
        "text" => Content::Text(text(block.text, "text")?),
        "thinking" => Content::Reasoning {
            text: text(block.thinking, "thinking")?,
            signature: Some(text(block.signature, "signature")?).filter(|proof| !proof.is_empty()),
        },
        "redacted_thinking" => Content::SealedReasoning(text(block.data, "data")?),
        "tool_use" => Content::ToolCall(ToolCall {
            id: text(block.id, "id")?,
            name: text(block.name, "name")?,
            arguments: block.input.map_or("{}", Raw::get).to_owned(),
            signature: None,
        }),
        _ => return Ok(None),
    }))
}

pub fn write_response(response: &Response, label: &Label) -> Vec<u8> {
    written! {
        struct Message<'a> {
            id: &'a str,
            kind as "type": &'static str,
            role: &'static str,
            model: &'a str,
            content: Vec<Out<'a>>,
            stop_reason: &'static str,
            stop_sequence: Option<&'a str>,
            usage: Bill,
        }
    }
    let content: Vec<Out<'_>> = response.parts.iter().filter_map(|part| Out::of(&part.content)).collect();
    let called = content.iter().any(|block| matches!(block, Out::ToolUse { .. }));
    to_vec(&Message {
        id: if response.id.is_empty() { &label.id } else { &response.id },
        kind: "message",
        role: "assistant",
        model: &response.model,
        stop_reason: stop_word(&response.stop, called),
        stop_sequence: response.stop.sequence.as_deref(),
        content,
        usage: response.usage.unwrap_or_default().into(),
    })
}

written! {
    /// A block of an answer, with every field that some client insists on.
    enum Out<'a> tagged "type" {
        Text as "text" { text: &'a str },
        Thinking as "thinking" { thinking: &'a str, signature: &'a str },
        RedactedThinking as "redacted_thinking" { data: &'a str },
        ToolUse as "tool_use" { id: &'a str, name: &'a str, input: Verbatim<'a> },
    }
}

impl<'a> Out<'a> {
    fn of(content: &'a Content) -> Option<Self> {
        Some(match content {
            Content::Text(text) => Self::Text { text },
            Content::Reasoning { text, signature } => {
                Self::Thinking { thinking: text, signature: signature.as_deref().unwrap_or_default() }
            }
            Content::SealedReasoning(data) => Self::RedactedThinking { data },
            Content::ToolCall(ToolCall { id, name, arguments, .. }) => {
                Self::ToolUse { id, name, input: input(arguments).0 }
            }
            Content::Image(_)
            | Content::Audio(_)
            | Content::Video(_)
            | Content::Document { .. }
            | Content::ToolResult { .. } => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::{Stop, StopReason, Usage};

    fn label() -> Label {
        Label { id: "ours".into(), ..Label::default() }
    }

    #[test]
    fn a_whole_answer_is_read() {
        let body = br#"{"id":"i","type":"message","role":"assistant","model":"m","container":null,"content":[
            {"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"x"},
            {"type":"server_tool_use","id":"s","name":"n","input":{}},
            {"type":"web_search_tool_result","tool_use_id":"s","content":[{"type":"web_search_result","title":"t"}]},
            {"type":"text","text":"a","citations":[{"type":"x"}]},
            {"type":"tool_use","id":"t","name":"f","input":{"b" :1.0,"a":2},"caller":{"type":"direct"}}],
            "stop_reason":"tool_use","stop_sequence":null,
            "usage":{"input_tokens":1,"cache_read_input_tokens":10,"cache_creation_input_tokens":null,
                "output_tokens":5,"output_tokens_details":{"thinking_tokens":2}}}"#;
        let response = read_response(body).unwrap();
        let arguments = r#"{"b" :1.0,"a":2}"#.to_owned();
        let expected = Response {
            id: "i".into(),
            model: "m".into(),
            parts: vec![
                Part::new(Content::Reasoning { text: "hm".into(), signature: Some("s".into()) }),
                Part::new(Content::SealedReasoning("x".into())),
                Part::text("a"),
                Part::new(Content::ToolCall(ToolCall { id: "t".into(), name: "f".into(), arguments, signature: None })),
            ],
            stop: Stop { reason: StopReason::ToolUse, native: Some("tool_use".into()), sequence: None },
            usage: Some(Usage { input: 11, cached_input: 10, cache_write: 0, output: 5, reasoning: 2 }),
        };
        assert_eq!(response, expected);
        assert_eq!(read_response(&write_response(&response, &label())).unwrap().parts[0], expected.parts[0]);
    }

    #[test]
    fn a_whole_answer_is_written_with_all_that_clients_need() {
        let call = ToolCall { id: "t".into(), name: "f".into(), arguments: String::new(), signature: None };
        let response = Response {
            model: "m".into(),
            parts: vec![
                Part::new(Content::Reasoning { text: "hm".into(), signature: None }),
                Part::text("a"),
                Part::new(Content::ToolCall(call)),
            ],
            ..Response::default()
        };
        let written: Value = serde_json::from_slice(&write_response(&response, &label())).unwrap();
        let expected = json!({
            "id": "ours", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "a"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {}}],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                "output_tokens": 0},
        });
        assert_eq!(written, expected);
    }

    #[test]
    fn what_is_not_a_message_is_malformed_and_not_quoted() {
        for body in [
            "",
            "secret",
            r#""secret""#,
            r#"{"type":"error","error":{"message":"secret"}}"#,
            r#"{"content":"secret"}"#,
            r#"{"content":[{"type":"text","text":["secret"]}]}"#,
        ] {
            let Malformed(message) = read_response(body.as_bytes()).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
