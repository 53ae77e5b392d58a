//! The scripted upstream's Responses: what it answers, and what it demands of a request.
//!
//! Source: "Responses" and "Streaming events", OpenAI API reference, read 2026-11.

use serde_json::{Value, json};

use super::Frame;
use super::dialect::flat;
use crate::answer::{Answer, Call, Stop, Usage};

pub(crate) fn whole(answer: &Answer, model: &str) -> Value {
    let (status, details) = match answer.stop {
        Stop::Length => ("incomplete", json!({"reason": "max_output_tokens"})),
        Stop::End | Stop::Sequence(_) | Stop::Tools => ("completed", Value::Null),
    };
    let mut response = begun(model);
    response["status"] = status.into();
    response["incomplete_details"] = details;
    response["output"] = items(answer).into_iter().map(|item| item.whole).collect();
    response["usage"] = usage(answer.usage);
    response
}

pub(crate) fn frames(answer: &Answer, model: &str) -> Vec<Frame> {
    let mut frames = Frames::default();
    frames.add("response.created", json!({"response": begun(model)}));
    frames.add("response.in_progress", json!({"response": begun(model)}));
    for (index, item) in items(answer).into_iter().enumerate() {
        let place = json!({"item_id": item.whole["id"], "output_index": index});
        let at = with(&place, &item.part);
        frames.add("response.output_item.added", json!({"output_index": index, "item": item.empty}));
        for (name, event) in &item.before {
            frames.add(name, with(&at, event));
        }
        for piece in item.pieces {
            frames.content(item.delta, with(&at, &json!({"delta": piece})));
        }
        for (name, event) in &item.after {
            frames.add(name, with(&at, event));
        }
        frames.add("response.output_item.done", json!({"output_index": index, "item": item.whole}));
    }
    let response = whole(answer, model);
    let last = if response["status"] == "completed" { "response.completed" } else { "response.incomplete" };
    frames.add(last, json!({"response": response}));
    frames.0
}

pub(crate) fn error_frame(message: &str) -> Vec<u8> {
    let error = json!({"type": "error", "code": "server_error", "message": message, "param": null});
    format!("event: error\ndata: {error}\n\n").into_bytes()
}

/// What the real API would answer 400 to.
pub(crate) fn check(request: &Value) -> Result<(), String> {
    let input = match &request["input"] {
        Value::String(_) => return Ok(()),
        Value::Array(items) if !items.is_empty() => items,
        _ => return Err("input: neither text nor items".to_owned()),
    };
    let mut owed: Vec<&str> = Vec::new();
    for item in input {
        match item["type"].as_str().unwrap_or("message") {
            "message" if !item["role"].is_string() => return Err(format!("input: not a message: {item}")),
            "function_call" => {
                let arguments = item["arguments"].as_str().ok_or("input: arguments is not a string")?;
                serde_json::from_str::<Value>(arguments).map_err(|error| format!("input: arguments: {error}"))?;
                owed.push(item["call_id"].as_str().ok_or("input: call_id missing")?);
            }
            "function_call_output" => {
                let id = item["call_id"].as_str().ok_or("input: call_id missing")?;
                let at = owed.iter().position(|owed| *owed == id);
                owed.remove(at.ok_or(format!("No tool call found for function call output with call_id {id}."))?);
            }
            _ => {}
        }
    }
    if let Some(id) = owed.first() {
        return Err(format!("No tool output found for function call {id}."));
    }
    for tool in request["tools"].as_array().into_iter().flatten() {
        if tool["type"] == "function" && !(tool["name"].is_string() && tool["parameters"].is_object()) {
            return Err(format!("tools: not a function: {tool}"));
        }
    }
    match ["messages", "max_tokens", "stop", "system"].into_iter().find(|field| !request[field].is_null()) {
        Some(field) => Err(format!("Unknown parameter: '{field}'.")),
        None => Ok(()),
    }
}

pub(crate) fn results(request: &Value) -> Vec<(String, String)> {
    let items = request["input"].as_array().into_iter().flatten();
    let outputs = items.filter(|item| item["type"] == "function_call_output");
    outputs.map(|item| (item["call_id"].as_str().unwrap_or_default().to_owned(), flat(&item["output"]))).collect()
}

/// A response of which nothing has been said yet.
fn begun(model: &str) -> Value {
    json!({
        "id": "resp_scripted1", "object": "response", "created_at": 1_790_000_000, "status": "in_progress",
        "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null, "model": model,
        "output": [], "parallel_tool_calls": true, "previous_response_id": null, "store": false, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": null, "metadata": {},
    })
}

/// One item, whole and as it is first told, and the events between the two.
struct Item {
    whole: Value,
    empty: Value,
    /// Which of its parts the events are about.
    part: Value,
    before: Vec<(&'static str, Value)>,
    delta: &'static str,
    pieces: &'static [&'static str],
    after: Vec<(&'static str, Value)>,
}

fn items(answer: &Answer) -> Vec<Item> {
    let thought = answer.thinking.map(|(pieces, signature)| thought(pieces, signature));
    let text = (!answer.text.is_empty()).then(|| text(answer.text));
    let calls = answer.calls.iter().enumerate().map(|(index, call)| self::call(index, call));
    thought.into_iter().chain(text).chain(calls).collect()
}

fn thought(pieces: &'static [&'static str], signature: &str) -> Item {
    let item = |summary: Value| json!({"id": "rs_scripted1", "type": "reasoning", "summary": summary, "encrypted_content": signature});
    let part = |text: &str| json!({"type": "summary_text", "text": text});
    let whole = part(&pieces.concat());
    Item {
        whole: item(json!([whole])),
        empty: item(json!([])),
        part: json!({"summary_index": 0}),
        before: vec![("response.reasoning_summary_part.added", json!({"part": part("")}))],
        delta: "response.reasoning_summary_text.delta",
        pieces,
        after: vec![
            ("response.reasoning_summary_text.done", json!({"text": whole["text"]})),
            ("response.reasoning_summary_part.done", json!({"part": whole})),
        ],
    }
}

fn text(pieces: &'static [&'static str]) -> Item {
    let item = |status: &str, content: Value| json!({"id": "msg_scripted1", "type": "message", "status": status, "role": "assistant", "content": content});
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    let whole = part(&pieces.concat());
    Item {
        whole: item("completed", json!([whole])),
        empty: item("in_progress", json!([])),
        part: json!({"content_index": 0}),
        before: vec![("response.content_part.added", json!({"part": part("")}))],
        delta: "response.output_text.delta",
        pieces,
        after: vec![
            ("response.output_text.done", json!({"text": whole["text"], "logprobs": []})),
            ("response.content_part.done", json!({"part": whole})),
        ],
    }
}

fn call(index: usize, call: &Call) -> Item {
    let id = format!("fc_scripted{index}");
    let item = |status: &str, arguments: &str| json!({"id": id, "type": "function_call", "status": status, "call_id": call.id, "name": call.name, "arguments": arguments});
    let arguments = call.arguments.concat();
    Item {
        whole: item("completed", &arguments),
        empty: item("in_progress", ""),
        part: json!({}),
        before: vec![],
        delta: "response.function_call_arguments.delta",
        pieces: call.arguments,
        after: vec![("response.function_call_arguments.done", json!({"name": call.name, "arguments": arguments}))],
    }
}

/// The fields of both.
fn with(event: &Value, more: &Value) -> Value {
    let mut event = event.clone();
    for (field, value) in more.as_object().into_iter().flatten() {
        event[field] = value.clone();
    }
    event
}

/// Numbers the events.
#[derive(Default)]
struct Frames(Vec<Frame>);

impl Frames {
    fn add(&mut self, name: &str, event: Value) {
        let text = self.text(name, event);
        self.0.push(Frame::other(text));
    }

    fn content(&mut self, name: &str, event: Value) {
        let text = self.text(name, event);
        self.0.push(Frame::content(text));
    }

    fn text(&self, name: &str, mut event: Value) -> String {
        event["type"] = name.into();
        event["sequence_number"] = self.0.len().into();
        format!("event: {name}\ndata: {event}\n\n")
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input, "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output, "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    })
}
