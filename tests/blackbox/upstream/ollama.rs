//! The scripted upstream's Ollama: what it answers, a line at a time where it streams, and what it demands of a request.
//!
//! Source: "API", Ollama documentation, read 2026-11.

use serde_json::{Value, json};

use super::Frame;
use crate::answer::{Answer, Stop};

pub(crate) fn whole(answer: &Answer, model: &str) -> Value {
    let mut message = json!({"role": "assistant", "content": answer.whole_text()});
    if answer.thinking.is_some() {
        message["thinking"] = answer.whole_thinking().into();
    }
    if !answer.calls.is_empty() {
        message["tool_calls"] = calls(answer);
    }
    ended(answer, model, message)
}

pub(crate) fn frames(answer: &Answer, model: &str) -> Vec<Frame> {
    let line = |message: Value| {
        let line = json!({"model": model, "created_at": CREATED, "message": message, "done": false});
        format!("{line}\n")
    };
    let mut frames = Vec::new();
    for piece in answer.thinking.map(|(pieces, _)| pieces).unwrap_or_default() {
        let message = json!({"role": "assistant", "content": "", "thinking": piece});
        frames.push(Frame::content(line(message)));
    }
    for piece in answer.text {
        frames.push(Frame::content(line(json!({"role": "assistant", "content": piece}))));
    }
    if !answer.calls.is_empty() {
        frames.push(Frame::content(line(json!({"role": "assistant", "content": "", "tool_calls": calls(answer)}))));
    }
    let last = ended(answer, model, json!({"role": "assistant", "content": ""}));
    frames.push(Frame::other(format!("{last}\n")));
    frames
}

pub(crate) fn error(message: &str) -> Value {
    json!({"error": message})
}

pub(crate) fn error_frame(message: &str) -> Vec<u8> {
    format!("{}\n", error(message)).into_bytes()
}

/// What a real server would answer 400 to.
pub(crate) fn check(request: &Value) -> Result<(), String> {
    let messages = request["messages"].as_array().filter(|list| !list.is_empty()).ok_or("messages: not a list")?;
    for message in messages {
        if !["system", "user", "assistant", "tool"].contains(&message["role"].as_str().unwrap_or_default()) {
            return Err(format!("invalid role: {}", message["role"]));
        }
        if !message["content"].is_string() && !message["content"].is_null() {
            return Err("cannot unmarshal array into Go struct field Message.content of type string".to_owned());
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            if !call["function"]["arguments"].is_object() {
                return Err("cannot unmarshal string into Go struct field ToolCallFunction.arguments".to_owned());
            }
        }
    }
    Ok(())
}

const CREATED: &str = "2026-11-20T08:00:00.123456Z";

/// Calls come whole, their arguments as objects.
fn calls(answer: &Answer) -> Value {
    let calls = answer.calls.iter().enumerate().map(|(index, call)| {
        let function = json!({"index": index, "name": call.name, "arguments": call.value()});
        json!({"id": call.id, "function": function})
    });
    calls.collect()
}

fn ended(answer: &Answer, model: &str, message: Value) -> Value {
    let reason = if answer.stop == Stop::Length { "length" } else { "stop" };
    json!({
        "model": model, "created_at": CREATED, "message": message, "done": true, "done_reason": reason,
        "total_duration": 4_883_583, "prompt_eval_count": answer.usage.input, "eval_count": answer.usage.output,
    })
}
