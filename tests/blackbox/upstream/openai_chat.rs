//! The scripted upstream's Chat Completions: what it answers, and what it demands of a request.
//!
//! Source: "Chat Completions" and "Streaming events", OpenAI API reference, read 2026-11-20;
//! `reasoning_content` as DeepSeek documents it.

use serde_json::{Value, json};

use super::{Frame, flat};
use crate::answer::{Answer, Stop, Usage};

const ID: &str = "chatcmpl-scripted1";

pub(crate) fn whole(answer: &Answer, model: &str) -> Value {
    let text = answer.whole_text();
    let mut message = json!({"role": "assistant", "content": text, "refusal": null, "annotations": []});
    if answer.thinking.is_some() {
        message["reasoning_content"] = answer.whole_thinking().into();
    }
    if !answer.calls.is_empty() {
        message["tool_calls"] = answer
            .calls
            .iter()
            .map(|call| {
                let function = json!({"name": call.name, "arguments": call.arguments.concat()});
                json!({"id": call.id, "type": "function", "function": function})
            })
            .collect();
    }
    json!({
        "id": ID, "object": "chat.completion", "created": 1_790_000_000, "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish(answer.stop)}],
        "usage": usage(answer.usage), "service_tier": "default", "system_fingerprint": "fp_scripted",
    })
}

/// The frames of a stream; the last but one holds the usage if the caller asked for it.
pub(crate) fn frames(answer: &Answer, model: &str, include_usage: bool) -> Vec<Frame> {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": ID, "object": "chat.completion.chunk", "created": 1_790_000_000, "model": model,
            "service_tier": "default", "system_fingerprint": "fp_scripted", "choices": choices,
        });
        if include_usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        chunk(json!([choice]), Value::Null)
    };
    let mut frames =
        vec![Frame::other(delta(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null))];
    for piece in answer.thinking.map(|(pieces, _)| pieces).unwrap_or_default() {
        frames.push(Frame::content(delta(json!({"reasoning_content": piece}), Value::Null)));
    }
    for piece in answer.text {
        frames.push(Frame::content(delta(json!({"content": piece}), Value::Null)));
    }
    for call in call_deltas(answer, model) {
        frames.push(Frame::content(delta(json!({"tool_calls": [call]}), Value::Null)));
    }
    frames.push(Frame::other(delta(json!({}), finish(answer.stop))));
    if include_usage {
        frames.push(Frame::other(chunk(json!([]), usage(answer.usage))));
    }
    frames.push(Frame::other("data: [DONE]\n\n".to_owned()));
    frames
}

/// Call after call, each with its id and name first; or as other servers do it.
fn call_deltas(answer: &Answer, model: &str) -> Vec<Value> {
    let mut deltas = Vec::new();
    for (index, call) in answer.calls.iter().enumerate() {
        let function = json!({"name": call.name, "arguments": ""});
        deltas.push((0, json!({"index": index, "id": call.id, "type": "function", "function": function})));
        for (turn, piece) in call.arguments.iter().enumerate() {
            let more = if model == "sloppy-tools" {
                json!({"index": index, "id": "", "type": "function", "function": {"name": "", "arguments": piece}})
            } else {
                json!({"index": index, "function": {"arguments": piece}})
            };
            deltas.push((turn + 1, more));
        }
    }
    if model == "interleaved-tools" {
        deltas.sort_by_key(|(turn, _)| *turn);
    }
    deltas.into_iter().map(|(_, delta)| delta).collect()
}

pub(crate) fn error(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        429 => ("requests", json!("rate_limit_exceeded")),
        500.. => ("server_error", Value::Null),
        404 => ("invalid_request_error", json!("model_not_found")),
        _ => ("invalid_request_error", Value::Null),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

pub(crate) fn error_frame(message: &str) -> String {
    format!("data: {}\n\n", error(500, message))
}

/// What the real API would answer 400 to.
pub(crate) fn check(request: &Value) -> Result<(), String> {
    let messages = request["messages"].as_array().filter(|list| !list.is_empty()).ok_or("messages: not a list")?;
    let mut owed: Vec<&str> = Vec::new();
    for message in messages {
        let role = message["role"].as_str().ok_or("messages: role missing")?;
        if role == "tool" {
            let id = message["tool_call_id"].as_str().ok_or("tool message without tool_call_id")?;
            let at = owed.iter().position(|owed| *owed == id).ok_or(format!("no call {id} precedes its result"))?;
            owed.remove(at);
            content(&message["content"], &["text"])?;
            continue;
        }
        if let Some(id) = owed.first() {
            return Err(format!("tool_call_ids did not have response messages: {id}"));
        }
        match role {
            "system" | "developer" => content(&message["content"], &["text"])?,
            "user" => content(&message["content"], &["text", "image_url"])?,
            "assistant" => {
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    owed.push(tool_call(call)?);
                }
                if !message["content"].is_null() || owed.is_empty() {
                    content(&message["content"], &["text", "refusal"])?;
                }
            }
            _ => return Err(format!("messages: unknown role {role}")),
        }
    }
    if !owed.is_empty() {
        return Err("the last calls have no results".to_owned());
    }
    for tool in request["tools"].as_array().into_iter().flatten() {
        let function = &tool["function"];
        if tool["type"] != "function" || !function["name"].is_string() || !function["parameters"].is_object() {
            return Err(format!("tools: not a function: {tool}"));
        }
    }
    if request["stream"] != true && !request["stream_options"].is_null() {
        return Err("stream_options is only allowed when stream is true".to_owned());
    }
    match ["system", "stop_sequences", "thinking", "top_k"].into_iter().find(|field| !request[field].is_null()) {
        Some(field) => Err(format!("Unrecognized request argument supplied: {field}")),
        None => Ok(()),
    }
}

/// Call and text of every result in a request.
pub(crate) fn results(request: &Value) -> Vec<(String, String)> {
    let messages = request["messages"].as_array().into_iter().flatten();
    let result = |message: &Value| Some((message["tool_call_id"].as_str()?.to_owned(), flat(&message["content"])));
    messages.filter_map(result).collect()
}

fn tool_call(call: &Value) -> Result<&str, String> {
    let arguments = call["function"]["arguments"].as_str().ok_or("tool_calls: arguments is not a string")?;
    serde_json::from_str::<Value>(arguments).map_err(|error| format!("tool_calls: arguments: {error}"))?;
    match (call["type"].as_str(), call["function"]["name"].as_str(), call["id"].as_str()) {
        (Some("function"), Some(_), Some(id)) => Ok(id),
        _ => Err(format!("tool_calls: incomplete: {call}")),
    }
}

fn content(content: &Value, kinds: &[&str]) -> Result<(), String> {
    match content {
        Value::String(_) => Ok(()),
        Value::Array(parts) => parts.iter().try_for_each(|part| part_is(part, kinds)),
        _ => Err(format!("messages: content is neither text nor parts: {content}")),
    }
}

fn part_is(part: &Value, kinds: &[&str]) -> Result<(), String> {
    let kind = part["type"].as_str().unwrap_or_default();
    let there = match kind {
        "image_url" => part["image_url"]["url"].is_string(),
        kind => part[kind].is_string(),
    };
    if there && kinds.contains(&kind) { Ok(()) } else { Err(format!("messages: bad part {part}")) }
}

fn finish(stop: Stop) -> Value {
    json!(match stop {
        Stop::End | Stop::Sequence(_) => "stop",
        Stop::Length => "length",
        Stop::Tools => "tool_calls",
    })
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0},
    })
}
