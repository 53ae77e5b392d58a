//! A whole answer, both ways.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::{Label, Malformed};
use super::{Bill, Block, Tally, input, json, read_stop, stop_word};
use crate::chat::{Content, Part, Response, ToolCall};

pub fn read_response(body: &[u8]) -> Result<Response, Malformed> {
    #[derive(Deserialize)]
    struct Message<'a> {
        id: Option<String>,
        model: Option<String>,
        #[serde(borrow)]
        content: Vec<Block<'a>>,
        stop_reason: Option<String>,
        stop_sequence: Option<String>,
        usage: Option<Tally>,
    }
    // The parser's own words would quote the answer.
    let message: Message<'_> = serde_json::from_slice(body).map_err(|error| {
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
    let text = |raw: Option<&RawValue>, name: &str| match raw {
        None => Ok(String::new()),
        Some(raw) => {
            serde_json::from_str(raw.get()).map_err(|_| Malformed(format!("content[{i}].{name} is not a string")))
        }
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
            arguments: block.input.map_or("{}", RawValue::get).to_owned(),
        }),
        _ => return Ok(None),
    }))
}

pub fn write_response(response: &Response, label: &Label) -> Vec<u8> {
    #[derive(Serialize)]
    struct Message<'a> {
        id: &'a str,
        r#type: &'static str,
        role: &'static str,
        model: &'a str,
        content: Vec<Out<'a>>,
        stop_reason: &'static str,
        stop_sequence: Option<&'a str>,
        usage: Bill,
    }
    let content: Vec<Out<'_>> = response.parts.iter().filter_map(|part| Out::of(&part.content)).collect();
    let called = content.iter().any(|block| matches!(block, Out::ToolUse { .. }));
    json(&Message {
        id: if response.id.is_empty() { &label.id } else { &response.id },
        r#type: "message",
        role: "assistant",
        model: &response.model,
        stop_reason: stop_word(&response.stop, called),
        stop_sequence: response.stop.sequence.as_deref(),
        content,
        usage: response.usage.unwrap_or_default().into(),
    })
}

/// A block of an answer, with every field that some client insists on.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Out<'a> {
    Text { text: &'a str },
    Thinking { thinking: &'a str, signature: &'a str },
    RedactedThinking { data: &'a str },
    ToolUse { id: &'a str, name: &'a str, input: Cow<'a, RawValue> },
}

impl<'a> Out<'a> {
    fn of(content: &'a Content) -> Option<Self> {
        Some(match content {
            Content::Text(text) => Self::Text { text },
            Content::Reasoning { text, signature } => {
                Self::Thinking { thinking: text, signature: signature.as_deref().unwrap_or_default() }
            }
            Content::SealedReasoning(data) => Self::RedactedThinking { data },
            Content::ToolCall(ToolCall { id, name, arguments }) => {
                Self::ToolUse { id, name, input: input(arguments).0 }
            }
            Content::Image(_) | Content::Document { .. } | Content::ToolResult { .. } => return None,
        })
    }
}
