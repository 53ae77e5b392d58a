//! The scripted upstream's Ollama: what its chat answers, and what it demands of a request.
//!
//! Source: "Generate a chat message", "Tool calling" and "Thinking", Ollama documentation, read 2026-11.

use serde_json::{Value, json};

use super::Frame;
use crate::answer::{Answer, Stop, Usage};

const CREATED: &str = "2026-11-20T08:52:19.385406455Z";

pub(crate) fn whole(answer: &Answer, model: &str) -> Value {
    let mut message = json!({"role": "assistant", "content": answer.whole_text()});
    if answer.thinking.is_some() {
        message["thinking"] = answer.whole_thinking().into();
    }
    if !answer.calls.is_empty() {
        message["tool_calls"] = calls(answer);
    }
    done(answer, model, message)
}

/// Lines of JSON. A call comes whole, and without an id.
pub(crate) fn frames(answer: &Answer, model: &str) -> Vec<Frame> {
    let line = |message: Value| {
        let line = json!({"model": model, "created_at": CREATED, "message": message, "done": false});
        Frame::content(format!("{line}\n"))
    };
    let mut frames = vec![Frame { content: false, ..line(json!({"role": "assistant", "content": ""})) }];
    for piece in answer.thinking.map(|(pieces, _)| pieces).unwrap_or_default() {
        frames.push(line(json!({"role": "assistant", "content": "", "thinking": piece})));
    }
    for piece in answer.text {
        frames.push(line(json!({"role": "assistant", "content": piece})));
    }
    if !answer.calls.is_empty() {
        frames.push(line(json!({"role": "assistant", "content": "", "tool_calls": calls(answer)})));
    }
    let last = done(answer, model, json!({"role": "assistant", "content": ""}));
    frames.push(Frame::other(format!("{last}\n")));
    frames
}

pub(crate) fn error(message: &str) -> Value {
    json!({"error": message})
}

pub(crate) fn error_frame(message: &str) -> Vec<u8> {
    format!("{}\n", error(message)).into_bytes()
}

/// What the real server refuses, and what it would silently ignore.
pub(crate) fn check(request: &Value) -> Result<(), String> {
    let fields = ["model", "messages", "tools", "think", "format", "options", "stream", "keep_alive", "logprobs"];
    let unknown = request.as_object().into_iter().flatten().find(|(field, _)| !fields.contains(&field.as_str()));
    if let Some((field, _)) = unknown {
        return Err(format!("{field} would be ignored"));
    }
    if request["model"].as_str().is_none_or(str::is_empty) {
        return Err("model is required".to_owned());
    }
    for tool in request["tools"].as_array().into_iter().flatten() {
        let function = &tool["function"];
        if tool["type"] != "function" || !function["name"].is_string() || !function["parameters"].is_object() {
            return Err(format!("tools: not a function: {tool}"));
        }
    }
    let messages = request["messages"].as_array().filter(|list| !list.is_empty()).ok_or("messages is required")?;
    let mut called: Vec<&str> = Vec::new();
    for message in messages {
        if !message["content"].is_null() && !message["content"].is_string() {
            return Err(
                "json: cannot unmarshal array into Go struct field Message.messages.content of type string".to_owned()
            );
        }
        match message["role"].as_str().unwrap_or_default() {
            "system" | "user" => {}
            "assistant" => {
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    if !call["function"]["arguments"].is_object() {
                        return Err(format!("json: cannot unmarshal {call} into ToolCallFunctionArguments"));
                    }
                    called.push(call["function"]["name"].as_str().ok_or("a call names no function")?);
                }
            }
            "tool" => {
                let name = message["tool_name"].as_str().ok_or("a tool's message does not name it")?;
                let place = called.iter().position(|called| *called == name).ok_or(format!("{name} was not called"))?;
                called.remove(place);
            }
            role => return Err(format!("invalid role: {role}")),
        }
    }
    Ok(())
}

/// Tool and text of every result: calls have no ids.
pub(crate) fn results(request: &Value) -> Vec<(String, String)> {
    let messages = request["messages"].as_array().into_iter().flatten();
    messages
        .filter_map(|message| {
            Some((message["tool_name"].as_str()?.to_owned(), message["content"].as_str()?.to_owned()))
        })
        .collect()
}

fn calls(answer: &Answer) -> Value {
    let call = |(index, call): (usize, &crate::answer::Call)| json!({"function": {"index": index, "name": call.name, "arguments": call.value()}});
    answer.calls.iter().enumerate().map(call).collect()
}

fn done(answer: &Answer, model: &str, message: Value) -> Value {
    let Usage { input, output, .. } = answer.usage;
    let reason = if answer.stop == Stop::Length { "length" } else { "stop" };
    json!({
        "model": model, "created_at": CREATED, "message": message, "done": true, "done_reason": reason,
        "total_duration": 4_883_583_458_u64, "load_duration": 1_334_875_u64, "prompt_eval_count": input,
        "prompt_eval_duration": 342_546_000_u64, "eval_count": output, "eval_duration": 4_535_599_000_u64,
    })
}
