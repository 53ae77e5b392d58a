//! Reads Responses as Codex and OpenAI's SDKs do.

use serde_json::Value;

use super::{Called, Problem, Reading, number, text};
use crate::answer::Usage;
use crate::sse::Event;

pub(crate) fn read_whole(body: &Value) -> Reading {
    envelope(body);
    let mut reading = reading(body["output"].as_array().expect("output is a list"));
    text(body, "status").clone_into(&mut reading.stop);
    if reading.stop == "incomplete" {
        assert_eq!(body["incomplete_details"]["reason"], "max_output_tokens", "{body}");
    }
    reading.usage = Some(usage(&body["usage"]));
    reading
}

/// `response.created`, items one at a time, and the whole response again; or a failure anywhere.
pub(crate) fn read_stream(events: &[Event]) -> (Reading, Option<Problem>) {
    let (mut items, mut open, mut words) = (Vec::new(), None::<Value>, String::new());
    let mut sequence = None;
    for (at, event) in events.iter().enumerate() {
        let body = event.json();
        let kind = text(&body, "type");
        assert_eq!(event.name, kind, "the event line and the type differ");
        let number = number(&body, "sequence_number");
        let is_last = at + 1 == events.len();
        if kind == "error" {
            assert!(is_last, "something follows the error: {body}");
            return (told(items, open, &words), Some(failure(&body)));
        }
        // A gateway that only listened to the stream does not know where it stands.
        let fails = kind == "response.failed";
        assert!(fails || sequence.replace(number).is_none_or(|before| before < number), "{body}");
        assert_eq!(at == 0, kind == "response.created", "{body}");
        match kind {
            "response.created" | "response.in_progress" => envelope(&body["response"]),
            "response.output_item.added" => {
                assert_eq!(super::number(&body, "output_index"), items.len() as u64, "{body}");
                text(&body["item"], "id");
                assert!(open.replace(body["item"].clone()).is_none(), "an item starts inside another: {body}");
                words.clear();
            }
            "response.output_item.done" => {
                let begun = open.take().expect("only an open item can be done");
                assert_eq!(begun["id"], body["item"]["id"], "{body}");
                assert_eq!(words, whole(&body["item"]), "the pieces are not the whole: {body}");
                items.push(body["item"].clone());
            }
            "response.completed" | "response.incomplete" => {
                assert!(is_last && open.is_none(), "the end stands in the midst: {body}");
                assert_eq!(body["response"]["output"], Value::Array(items), "{body}");
                return (read_whole(&body["response"]), None);
            }
            "response.failed" => {
                assert!(is_last, "something follows the failure: {body}");
                return (told(items, open, &words), Some(failure(&body["response"]["error"])));
            }
            _ => {
                let item = open.as_ref().unwrap_or_else(|| panic!("{kind} outside of an item"));
                assert_eq!(body["item_id"], item["id"], "{body}");
                if kind.ends_with(".delta") {
                    words.push_str(text(&body, "delta"));
                }
            }
        }
    }
    panic!("the stream ends with neither a response nor an error after {} events", events.len())
}

fn failure(error: &Value) -> Problem {
    let code = text(error, "code").to_owned();
    Problem { kind: code.clone(), code, message: text(error, "message").to_owned() }
}

fn envelope(response: &Value) {
    assert_eq!(response["object"], "response", "{response}");
    text(response, "id");
    text(response, "model");
    number(response, "created_at");
    assert!(response["output"].is_array() && response["tools"].is_array(), "{response}");
}

/// What the deltas of an item make when they are put together.
fn whole(item: &Value) -> String {
    let parts = match item["type"].as_str().unwrap_or_default() {
        "message" => &item["content"],
        "reasoning" => &item["summary"],
        _ => return item["arguments"].as_str().unwrap_or_default().to_owned(),
    };
    crate::upstream::flat(parts)
}

/// What arrived before a failure.
fn told(items: Vec<Value>, open: Option<Value>, words: &str) -> Reading {
    let mut told = reading(&items);
    match open.as_ref().and_then(|item| item["type"].as_str()) {
        Some("message") => told.text.push_str(words),
        Some("reasoning") => told.thinking.push_str(words),
        _ => {}
    }
    told
}

fn reading(items: &[Value]) -> Reading {
    let mut reading = Reading { message: Value::Array(items.to_vec()), ..Reading::default() };
    for item in items {
        text(item, "id");
        match item["type"].as_str().unwrap_or_default() {
            "message" => {
                assert_eq!((&item["role"], &item["status"]), (&"assistant".into(), &"completed".into()), "{item}");
                reading.text.push_str(&whole(item));
            }
            "reasoning" => reading.thinking.push_str(&whole(item)),
            "function_call" => {
                let arguments = text(item, "arguments");
                reading.calls.push(Called {
                    id: text(item, "call_id").to_owned(),
                    name: text(item, "name").to_owned(),
                    arguments: serde_json::from_str(arguments).unwrap_or_else(|error| panic!("{error} in {arguments}")),
                });
            }
            _ => panic!("not an item that was scripted: {item}"),
        }
    }
    reading
}

fn usage(usage: &Value) -> Usage {
    let (input, output) = (number(usage, "input_tokens"), number(usage, "output_tokens"));
    assert_eq!(number(usage, "total_tokens"), input + output, "{usage}");
    Usage {
        input,
        cached: number(&usage["input_tokens_details"], "cached_tokens"),
        cache_write: usage["input_tokens_details"]["cache_write_tokens"].as_u64().unwrap_or_default(),
        output,
        reasoning: number(&usage["output_tokens_details"], "reasoning_tokens"),
    }
}
