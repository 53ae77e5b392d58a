//! The scripted upstream's Cohere, version 2: what it answers, and what it demands of a request.
//!
//! Source: "Chat" and "Streaming", Cohere API reference, read 2026-11.

use serde_json::{Value, json};

use super::{Frame, openai_chat};
use crate::answer::{Answer, Stop, Usage};

const ID: &str = "c14c80c3-18eb-4519-9460-6c92edd8cfb4";

pub(crate) fn whole(answer: &Answer) -> Value {
    let mut message = json!({"role": "assistant"});
    if answer.calls.is_empty() {
        message["content"] = json!([{"type": "text", "text": answer.whole_text()}]);
    } else {
        message["tool_plan"] = answer.whole_text().into();
        let calls = answer.calls.iter().map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments.concat()});
            json!({"id": call.id, "type": "function", "function": function})
        });
        message["tool_calls"] = calls.collect();
    }
    json!({"id": ID, "finish_reason": reason(answer.stop), "message": message, "usage": usage(answer.usage)})
}

pub(crate) fn frames(answer: &Answer) -> Vec<Frame> {
    let start = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    let mut frames = vec![Frame::other(event("message-start", None, json!({"message": start})))];
    if answer.calls.is_empty() {
        let content = |content: Value| json!({"message": {"content": content}});
        frames.push(Frame::other(event("content-start", Some(0), content(json!({"type": "text", "text": ""})))));
        for piece in answer.text {
            frames.push(Frame::content(event("content-delta", Some(0), content(json!({"text": piece})))));
        }
        frames.push(Frame::other(event("content-end", Some(0), Value::Null)));
    } else {
        for piece in answer.text {
            frames.push(Frame::content(event("tool-plan-delta", None, json!({"message": {"tool_plan": piece}}))));
        }
    }
    for (index, call) in answer.calls.iter().enumerate() {
        let calls = |call: Value| json!({"message": {"tool_calls": call}});
        let function = json!({"name": call.name, "arguments": ""});
        let begun = json!({"id": call.id, "type": "function", "function": function});
        frames.push(Frame::content(event("tool-call-start", Some(index), calls(begun))));
        for piece in call.arguments {
            let more = calls(json!({"function": {"arguments": piece}}));
            frames.push(Frame::content(event("tool-call-delta", Some(index), more)));
        }
        frames.push(Frame::other(event("tool-call-end", Some(index), Value::Null)));
    }
    let end = json!({"finish_reason": reason(answer.stop), "usage": usage(answer.usage)});
    frames.push(Frame::other(event("message-end", None, end)));
    frames
}

pub(crate) fn error(message: &str) -> Value {
    json!({"id": ID, "message": message})
}

pub(crate) fn error_frame(message: &str) -> Vec<u8> {
    event("message-end", None, json!({"finish_reason": "ERROR", "error": message})).into_bytes()
}

/// What the real API would answer 400 to.
pub(crate) fn check(request: &Value) -> Result<(), String> {
    let unknown = ["max_completion_tokens", "stop", "top_p", "stream_options", "parallel_tool_calls"];
    if let Some(field) = unknown.into_iter().find(|field| !request[field].is_null()) {
        return Err(format!("unknown field: parameter '{field}' is not a valid field"));
    }
    openai_chat::conversation(request)
}

fn event(name: &str, index: Option<usize>, delta: Value) -> String {
    let mut event = json!({"type": name});
    if name == "message-start" {
        event["id"] = ID.into();
    }
    if let Some(index) = index {
        event["index"] = index.into();
    }
    if !delta.is_null() {
        event["delta"] = delta;
    }
    format!("event: {name}\ndata: {event}\n\n")
}

fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "COMPLETE",
        Stop::Length => "MAX_TOKENS",
        Stop::Sequence(_) => "STOP_SEQUENCE",
        Stop::Tools => "TOOL_CALL",
    }
}

/// What is billed is less than what the model was given.
fn usage(usage: Usage) -> Value {
    json!({
        "billed_units": {"input_tokens": usage.input, "output_tokens": usage.output},
        "tokens": {"input_tokens": usage.input + 400, "output_tokens": usage.output + 7},
    })
}
