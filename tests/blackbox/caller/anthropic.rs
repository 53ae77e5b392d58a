//! Reads Messages as the strictest of the known clients do.

use serde_json::{Value, json};

use super::{Called, Problem, Reading, number, text};
use crate::answer::Usage;
use crate::sse::Event;

pub(crate) fn read_whole(body: &Value) -> Reading {
    envelope(body);
    text(body, "stop_reason");
    let mut reading = reading(&body["content"]);
    text(body, "stop_reason").clone_into(&mut reading.stop);
    reading.stop_sequence = body["stop_sequence"].clone();
    reading.usage = Some(usage(&body["usage"]));
    reading
}

/// message_start, blocks one at a time with rising indexes, message_delta, message_stop; or an error anywhere.
pub(crate) fn read_stream(events: &[Event]) -> (Reading, Option<Problem>) {
    let (mut message, mut blocks, mut open, mut partial) = (Value::Null, Vec::new(), None, String::new());
    for (at, event) in events.iter().enumerate() {
        let last = at + 1 == events.len();
        let body = event.json();
        let kind = text(&body, "type");
        assert_eq!(event.name, kind, "the event line and the type differ");
        match kind {
            "ping" => continue,
            "error" => {
                assert!(last, "something follows the error: {:?}", &events[at + 1..]);
                return (reading(&Value::Array(blocks)), Some(problem(&body)));
            }
            "message_start" => {
                assert!(message.is_null(), "message_start twice");
                message = body["message"].clone();
                envelope(&message);
                continue;
            }
            _ => assert!(!message.is_null(), "{kind} before message_start"),
        }
        match kind {
            "content_block_start" => {
                assert!(open.is_none(), "a block starts inside another: {body}");
                assert_eq!(number(&body, "index"), blocks.len() as u64, "{body}");
                open = Some(blocks.len());
                starts_empty(&body["content_block"]);
                blocks.push(body["content_block"].clone());
                partial.clear();
            }
            "content_block_delta" => {
                let at = open.expect("a delta belongs to an open block");
                assert_eq!(number(&body, "index"), at as u64, "{body}");
                append(&mut blocks[at], &body["delta"], &mut partial);
            }
            "content_block_stop" => {
                let at = open.take().expect("only an open block can stop");
                assert_eq!(number(&body, "index"), at as u64, "{body}");
                if blocks[at]["type"] == "tool_use" && !partial.is_empty() {
                    blocks[at]["input"] = serde_json::from_str(&partial).expect("the arguments are JSON");
                }
            }
            "message_delta" => {
                assert!(open.is_none(), "message_delta inside a block");
                message["stop_reason"] = text(&body["delta"], "stop_reason").into();
                message["stop_sequence"] = body["delta"]["stop_sequence"].clone();
                number(&body["usage"], "output_tokens");
                for (field, value) in body["usage"].as_object().expect("usage is an object") {
                    message["usage"][field] = value.clone();
                }
            }
            "message_stop" => {
                assert!(last, "something follows message_stop");
                message["content"] = Value::Array(blocks);
                return (read_whole(&message), None);
            }
            _ => panic!("not an event of Messages: {kind}"),
        }
    }
    panic!("the stream ends with neither message_stop nor an error after {} events", events.len())
}

pub(crate) fn problem(body: &Value) -> Problem {
    let error = &body["error"];
    Problem { kind: text(error, "type").to_owned(), code: String::new(), message: text(error, "message").to_owned() }
}

fn envelope(message: &Value) {
    assert_eq!(message["type"], "message", "{message}");
    assert_eq!(message["role"], "assistant", "{message}");
    text(message, "id");
    text(message, "model");
    assert!(message["content"].is_array(), "{message}");
    number(&message["usage"], "input_tokens");
    number(&message["usage"], "output_tokens");
}

fn starts_empty(block: &Value) {
    match block["type"].as_str() {
        Some("text") => assert_eq!(block["text"], "", "{block}"),
        Some("thinking") => assert_eq!(block["thinking"], "", "{block}"),
        Some("tool_use") => {
            text(block, "id");
            text(block, "name");
            assert_eq!(block["input"], json!({}), "{block}");
        }
        _ => panic!("not a block that was scripted: {block}"),
    }
}

fn append(block: &mut Value, delta: &Value, partial: &mut String) {
    let (kind, field) = match delta["type"].as_str().unwrap_or_default() {
        "text_delta" => ("text", "text"),
        "thinking_delta" => ("thinking", "thinking"),
        "signature_delta" => ("thinking", "signature"),
        "input_json_delta" => {
            assert_eq!(block["type"], "tool_use", "{delta}");
            partial.push_str(delta["partial_json"].as_str().expect("partial_json is text"));
            return;
        }
        _ => panic!("not a delta of Messages: {delta}"),
    };
    assert_eq!(block["type"], kind, "{delta} in {block}");
    let more = delta[field].as_str().expect("a delta has its text");
    block[field] = format!("{}{more}", block[field].as_str().unwrap_or_default()).into();
}

fn reading(content: &Value) -> Reading {
    let mut reading = Reading { message: json!({"role": "assistant", "content": content}), ..Reading::default() };
    for block in content.as_array().expect("content is a list") {
        match block["type"].as_str() {
            Some("text") => reading.text.push_str(block["text"].as_str().expect("a text block has text")),
            Some("thinking") => {
                assert!(block["signature"].is_string(), "a thinking block without signature: {block}");
                reading.thinking.push_str(block["thinking"].as_str().expect("a thought has text"));
            }
            Some("tool_use") => reading.calls.push(Called {
                id: text(block, "id").to_owned(),
                name: text(block, "name").to_owned(),
                arguments: block["input"].clone(),
            }),
            _ => panic!("not a block that was scripted: {block}"),
        }
    }
    reading
}

fn usage(usage: &Value) -> Usage {
    let [cached, cache_write] = ["cache_read_input_tokens", "cache_creation_input_tokens"]
        .map(|field| usage[field].as_u64().unwrap_or_default());
    Usage {
        input: number(usage, "input_tokens") + cached + cache_write,
        cached,
        cache_write,
        output: number(usage, "output_tokens"),
        reasoning: 0,
    }
}
