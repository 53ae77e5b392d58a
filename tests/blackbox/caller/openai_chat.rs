//! Reads Chat Completions as the strictest of the known clients do.

use serde_json::{Map, Value};

use super::{Called, Problem, Reading, number, text};
use crate::answer::Usage;
use crate::sse::Event;

pub(crate) fn read_whole(body: &Value) -> Reading {
    assert_eq!(body["object"], "chat.completion", "{body}");
    envelope(body);
    let choice = &body["choices"][0];
    assert_eq!(choice["index"], 0, "{body}");
    assert_eq!(choice["message"]["role"], "assistant", "{body}");
    reading(&choice["message"], text(choice, "finish_reason"), Some(usage(&body["usage"])))
}

pub(crate) fn read_stream(events: &[Event]) -> (Reading, Option<Problem>) {
    let mut message = Value::Object(Map::new());
    let (mut id, mut finish, mut seen_usage) = (None, String::new(), None);
    for (at, event) in events.iter().enumerate() {
        let last = at + 1 == events.len();
        if event.data == "[DONE]" {
            assert!(last, "something follows [DONE]");
            assert!(!finish.is_empty(), "[DONE] without a finish_reason");
            return (reading(&message, &finish, seen_usage), None);
        }
        let chunk = event.json();
        if !chunk["error"].is_null() {
            assert!(last, "something follows the error: {:?}", &events[at + 1..]);
            return (reading(&message, &finish, seen_usage), Some(problem(&chunk)));
        }
        assert_eq!(chunk["object"], "chat.completion.chunk", "{chunk}");
        envelope(&chunk);
        assert_eq!(id.get_or_insert_with(|| chunk["id"].clone()), &chunk["id"], "the id changes in the stream");
        if chunk["usage"].is_object() {
            assert!(seen_usage.replace(usage(&chunk["usage"])).is_none(), "usage twice");
        }
        for choice in chunk["choices"].as_array().expect("choices is a list") {
            assert_eq!(choice["index"], 0, "{chunk}");
            assert!(finish.is_empty(), "a choice goes on after its finish_reason: {chunk}");
            starts_are_complete(&message, &choice["delta"]);
            merge(&mut message, &choice["delta"]);
            choice["finish_reason"].as_str().unwrap_or_default().clone_into(&mut finish);
        }
    }
    panic!("the stream ends with neither [DONE] nor an error after {} events", events.len())
}

pub(crate) fn problem(body: &Value) -> Problem {
    let error = &body["error"];
    assert!(error.get("param").is_some() && error.get("code").is_some(), "not the shape of an error: {body}");
    Problem {
        kind: text(error, "type").to_owned(),
        code: error["code"].as_str().unwrap_or_default().to_owned(),
        message: text(error, "message").to_owned(),
    }
}

fn envelope(body: &Value) {
    text(body, "id");
    text(body, "model");
    number(body, "created");
}

fn reading(message: &Value, finish: &str, usage: Option<Usage>) -> Reading {
    let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| {
        assert_eq!(call["type"], "function", "{call}");
        let arguments = text(&call["function"], "arguments");
        Called {
            id: text(call, "id").to_owned(),
            name: text(&call["function"], "name").to_owned(),
            arguments: serde_json::from_str(arguments).unwrap_or_else(|error| panic!("{error} in {arguments}")),
        }
    });
    let thinking = ["reasoning_content", "reasoning"].into_iter().find_map(|field| message[field].as_str());
    let mut message_back = message.clone();
    if let Some(calls) = message_back["tool_calls"].as_array_mut() {
        for call in calls.iter_mut().filter_map(Value::as_object_mut) {
            call.remove("index");
        }
    }
    Reading {
        text: message["content"].as_str().unwrap_or_default().to_owned(),
        thinking: thinking.unwrap_or_default().to_owned(),
        calls: if finish.is_empty() { Vec::new() } else { calls.collect() },
        stop: finish.to_owned(),
        stop_sequence: Value::Null,
        usage,
        message: message_back,
    }
}

/// The first delta of a call has its id and name.
fn starts_are_complete(message: &Value, delta: &Value) {
    for call in delta["tool_calls"].as_array().into_iter().flatten() {
        let index = number(call, "index");
        let known = message["tool_calls"].as_array().map_or(0, Vec::len) as u64;
        assert!(index <= known, "a call is skipped: {call}");
        if index == known {
            text(call, "id");
            text(&call["function"], "name");
        }
    }
}

/// Adds a delta as the SDKs do: texts grow, lists are matched by `index`, the rest is replaced.
fn merge(whole: &mut Value, delta: &Value) {
    for (field, value) in delta.as_object().into_iter().flatten() {
        match (&mut whole[field.as_str()], value) {
            (_, Value::Null) => {}
            (Value::String(text), Value::String(more))
                if !["role", "type", "id", "name", "format"].contains(&field.as_str()) =>
            {
                text.push_str(more);
            }
            (Value::Array(items), Value::Array(more)) => {
                for (at, item) in more.iter().enumerate() {
                    let index = item["index"].as_u64().map_or(at, |index| index as usize);
                    match items.iter().position(|old| old["index"] == index as u64) {
                        Some(at) => merge(&mut items[at], item),
                        None => items.push(item.clone()),
                    }
                }
            }
            (old @ Value::Object(_), Value::Object(_)) => merge(old, value),
            (old, value) => *old = value.clone(),
        }
    }
}

fn usage(usage: &Value) -> Usage {
    let (input, output) = (number(usage, "prompt_tokens"), number(usage, "completion_tokens"));
    assert_eq!(number(usage, "total_tokens"), input + output, "{usage}");
    Usage {
        input,
        cached: usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or_default(),
        cache_write: 0,
        output,
        reasoning: usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap_or_default(),
    }
}
