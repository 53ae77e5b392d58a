//! The scripted upstream's Cohere: what its Chat API answers, and what it demands of a request.
//!
//! Source: "Chat", "Chat with streaming" and "Tool use", Cohere API reference, version 2, read 2026-11.

use serde_json::{Value, json};

use super::{Frame, sse};
use crate::answer::{Answer, Stop, Usage};

const ID: &str = "c14c80c3-18eb-4519-9460-6c92edd8cfb4";

pub(crate) fn whole(answer: &Answer) -> Value {
    let mut message = json!({"role": "assistant"});
    let mut content = Vec::new();
    if answer.thinking.is_some() {
        content.push(json!({"type": "thinking", "thinking": answer.whole_thinking()}));
    }
    if answer.calls.is_empty() {
        content.push(json!({"type": "text", "text": answer.whole_text()}));
    } else {
        message["tool_plan"] = answer.whole_text().into();
        let calls = answer.calls.iter().map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments.concat()});
            json!({"id": call.id, "type": "function", "function": function})
        });
        message["tool_calls"] = calls.collect();
    }
    if !content.is_empty() {
        message["content"] = content.into();
    }
    json!({"id": ID, "message": message, "finish_reason": reason(answer.stop), "usage": usage(answer.usage)})
}

pub(crate) fn frames(answer: &Answer) -> Vec<Frame> {
    let start = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    let mut frames = vec![frame(json!({"id": ID, "type": "message-start", "delta": {"message": start}}))];
    let mut index = 0;
    let mut content = |field: &str, pieces: &[&str], frames: &mut Vec<Frame>| {
        let event =
            |kind: &str, said: Value| json!({"type": kind, "index": index, "delta": {"message": {"content": said}}});
        frames.push(frame(event("content-start", json!({"type": field, field: ""}))));
        for piece in pieces {
            frames.push(Frame { content: true, ..frame(event("content-delta", json!({field: piece}))) });
        }
        frames.push(frame(json!({"type": "content-end", "index": index})));
        index += 1;
    };
    if let Some((pieces, _)) = answer.thinking {
        content("thinking", pieces, &mut frames);
    }
    if answer.calls.is_empty() {
        content("text", answer.text, &mut frames);
    } else {
        for piece in answer.text {
            let event = json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}});
            frames.push(Frame { content: true, ..frame(event) });
        }
    }
    for (index, call) in answer.calls.iter().enumerate() {
        let event =
            |kind: &str, call: Value| json!({"type": kind, "index": index, "delta": {"message": {"tool_calls": call}}});
        let function = json!({"name": call.name, "arguments": ""});
        let start = json!({"id": call.id, "type": "function", "function": function});
        frames.push(Frame { content: true, ..frame(event("tool-call-start", start)) });
        for piece in call.arguments {
            let more = json!({"function": {"arguments": piece}});
            frames.push(Frame { content: true, ..frame(event("tool-call-delta", more)) });
        }
        frames.push(frame(json!({"type": "tool-call-end", "index": index})));
    }
    let delta = json!({"finish_reason": reason(answer.stop), "usage": usage(answer.usage)});
    frames.push(frame(json!({"type": "message-end", "id": ID, "delta": delta})));
    frames
}

pub(crate) fn error(message: &str) -> Value {
    json!({"id": ID, "message": message})
}

pub(crate) fn error_frame(message: &str) -> Vec<u8> {
    let delta = json!({"finish_reason": "ERROR", "error": message});
    sse(Some("message-end"), &json!({"type": "message-end", "id": ID, "delta": delta}))
}

const FIELDS: &[&str] = &[
    "model",
    "messages",
    "stream",
    "tools",
    "tool_choice",
    "strict_tools",
    "documents",
    "citation_options",
    "response_format",
    "safety_mode",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "k",
    "p",
    "logprobs",
    "thinking",
    "priority",
];

/// What the real API would answer 400 or 422 to.
pub(crate) fn check(request: &Value) -> Result<(), String> {
    let unknown = request.as_object().into_iter().flatten().find(|(field, _)| !FIELDS.contains(&field.as_str()));
    if let Some((field, _)) = unknown {
        return Err(format!("unknown field: parameter '{field}' is not a valid field"));
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
    let choice = &request["tool_choice"];
    if !choice.is_null() && *choice != "REQUIRED" && *choice != "NONE" {
        return Err(format!("tool_choice must be REQUIRED or NONE: {choice}"));
    }
    let messages = request["messages"].as_array().filter(|list| !list.is_empty()).ok_or("messages is required")?;
    let mut owed: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().ok_or("tool message without tool_call_id")?;
            let place = owed
                .iter()
                .position(|owed| *owed == id)
                .ok_or(format!("tool call id {id} not found in previous tool calls"))?;
            owed.remove(place);
            content(message, &["text", "document"])?;
            continue;
        }
        if let Some(id) = owed.first() {
            return Err(format!("messages[{at}]: the call {id} has no tool message"));
        }
        match role {
            "system" => content(message, &["text"])?,
            "user" => content(message, &["text", "image_url"])?,
            "assistant" => {
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    owed.push(tool_call(call)?);
                }
                match owed.is_empty() {
                    true => content(message, &["text", "thinking"])?,
                    // "cannot specify both content and tool_calls", but for thoughts.
                    false if message["content"].is_null() => {}
                    false => content(message, &["thinking"])?,
                }
            }
            _ => return Err(format!("messages[{at}]: invalid role {role:?}")),
        }
    }
    if owed.is_empty() { Ok(()) } else { Err("the last calls have no results".to_owned()) }
}

fn tool_call(call: &Value) -> Result<&str, String> {
    let arguments = call["function"]["arguments"].as_str().ok_or("tool_calls: arguments is not a string")?;
    let object = serde_json::from_str::<Value>(arguments).is_ok_and(|value| value.is_object());
    match (call["type"].as_str(), call["function"]["name"].as_str(), call["id"].as_str()) {
        (Some("function"), Some(_), Some(id)) if object => Ok(id),
        _ => Err(format!("tool_calls: invalid: {call}")),
    }
}

fn content(message: &Value, kinds: &[&str]) -> Result<(), String> {
    let is_text = |text: &Value| text.as_str().is_some_and(|text| !text.is_empty());
    let good = match &message["content"] {
        text @ Value::String(_) => is_text(text) && kinds.contains(&"text"),
        Value::Array(parts) => parts.iter().all(|part| {
            let kind = part["type"].as_str().unwrap_or_default();
            let there = match kind {
                "image_url" => part["image_url"]["url"].is_string(),
                "document" => part["document"]["data"].is_object() || part["document"]["data"].is_string(),
                kind => is_text(&part[kind]),
            };
            there && kinds.contains(&kind)
        }),
        _ => false,
    };
    if good { Ok(()) } else { Err(format!("invalid content of a {} message: {}", message["role"], message["content"])) }
}

fn frame(event: Value) -> Frame {
    Frame::other(sse(event["type"].as_str(), &event))
}

fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "COMPLETE",
        Stop::Length => "MAX_TOKENS",
        Stop::Sequence(_) => "STOP_SEQUENCE",
        Stop::Tools => "TOOL_CALL",
    }
}

/// What Cohere puts around a prompt counts as tokens, and is not billed.
fn usage(usage: Usage) -> Value {
    json!({
        "billed_units": {"input_tokens": usage.input, "output_tokens": usage.output},
        "tokens": {"input_tokens": usage.input + 61, "output_tokens": usage.output + 3}, "cached_tokens": usage.cached,
    })
}
