//! The scripted upstream's Messages: what it answers, and what it demands of a request.
//!
//! Source: "Messages", "Streaming messages", "Extended thinking" and "Mid-conversation system messages", Anthropic
//! API documentation, read 2026-11-20; the rule for sampling parameters is that of API version 2026-10-21.

use serde_json::{Value, json};

use super::{Frame, flat};
use crate::answer::{Answer, Stop, Usage};

const ID: &str = "msg_scripted1";

pub(crate) fn whole(answer: &Answer, model: &str) -> Value {
    let mut content = Vec::new();
    if let Some((_, signature)) = answer.thinking {
        content.push(json!({"type": "thinking", "thinking": answer.whole_thinking(), "signature": signature}));
    }
    if !answer.text.is_empty() {
        content.push(json!({"type": "text", "text": answer.whole_text()}));
    }
    for call in answer.calls {
        content.push(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.value()}));
    }
    json!({
        "id": ID, "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": reason(answer.stop), "stop_sequence": sequence(answer.stop), "usage": usage(answer.usage, answer.usage.output),
    })
}

pub(crate) fn frames(answer: &Answer, model: &str) -> Vec<Frame> {
    let message = json!({
        "id": ID, "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage(answer.usage, 1),
    });
    let mut frames = vec![frame(json!({"type": "message_start", "message": message}))];
    let mut index = 0;
    let mut block = |start: Value, deltas: Vec<Value>, frames: &mut Vec<Frame>| {
        frames.push(frame(json!({"type": "content_block_start", "index": index, "content_block": start})));
        if index == 0 {
            frames.push(frame(json!({"type": "ping"})));
        }
        for delta in deltas {
            let event = json!({"type": "content_block_delta", "index": index, "delta": delta});
            frames.push(Frame { content: true, ..frame(event) });
        }
        frames.push(frame(json!({"type": "content_block_stop", "index": index})));
        index += 1;
    };
    if let Some((pieces, signature)) = answer.thinking {
        let thoughts = pieces.iter().map(|piece| json!({"type": "thinking_delta", "thinking": piece}));
        let signed = thoughts.chain([json!({"type": "signature_delta", "signature": signature})]).collect();
        block(json!({"type": "thinking", "thinking": "", "signature": ""}), signed, &mut frames);
    }
    if !answer.text.is_empty() {
        let deltas = answer.text.iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect();
        block(json!({"type": "text", "text": ""}), deltas, &mut frames);
    }
    for call in answer.calls {
        let pieces = std::iter::once(&"").chain(call.arguments);
        let deltas = pieces.map(|piece| json!({"type": "input_json_delta", "partial_json": piece})).collect();
        block(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}), deltas, &mut frames);
    }
    let delta = json!({"stop_reason": reason(answer.stop), "stop_sequence": sequence(answer.stop)});
    frames
        .push(frame(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": answer.usage.output}})));
    frames.push(frame(json!({"type": "message_stop"})));
    frames
}

pub(crate) fn error(status: u16, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_scripted1"})
}

pub(crate) fn error_frame(message: &str) -> String {
    let error = json!({"type": "error", "error": {"details": null, "type": "overloaded_error", "message": message}});
    format!("event: error\ndata: {error}\n\n")
}

/// What the real API would answer 400 to.
pub(crate) fn check(request: &Value, version: &str) -> Result<(), String> {
    if version.is_empty() {
        return Err("anthropic-version: header is required".to_owned());
    }
    if request["max_tokens"].as_u64().is_none_or(|max| max == 0) {
        return Err("max_tokens: Field required".to_owned());
    }
    if let Some(field) = ["temperature", "top_p", "top_k"].into_iter().find(|field| !request[field].is_null())
        && version != "2023-06-01"
    {
        return Err(format!("{field}: Extra inputs are not permitted"));
    }
    if request["thinking"]["type"] == "enabled" {
        let budget = request["thinking"]["budget_tokens"].as_u64().unwrap_or_default();
        if budget < 1024 || request["max_tokens"].as_u64() <= Some(budget) {
            return Err("max_tokens: must be greater than thinking.budget_tokens, itself at least 1024".to_owned());
        }
    }
    for tool in request["tools"].as_array().into_iter().flatten() {
        if !tool["name"].is_string() || tool["input_schema"]["type"] != "object" {
            return Err(format!("tools: not a tool: {tool}"));
        }
    }
    let extra = [
        "stop",
        "messages_",
        "max_completion_tokens",
        "stream_options",
        "parallel_tool_calls",
        "reasoning_effort",
        "n",
    ];
    if let Some(field) = extra.into_iter().find(|field| !request[field].is_null()) {
        return Err(format!("{field}: Extra inputs are not permitted"));
    }
    turns(request["messages"].as_array().filter(|list| !list.is_empty()).ok_or("messages: Field required")?)
}

/// Call and text of every result in a request.
pub(crate) fn results(request: &Value) -> Vec<(String, String)> {
    let result = |block: &Value| Some((block["tool_use_id"].as_str()?.to_owned(), flat(&block["content"])));
    blocks_of(request).filter_map(result).collect()
}

/// The first thought that came back, and its signature.
pub(crate) fn thought(request: &Value) -> Option<(String, String)> {
    let block = blocks_of(request).find(|block| block["type"] == "thinking")?;
    Some((block["thinking"].as_str()?.to_owned(), block["signature"].as_str()?.to_owned()))
}

fn blocks_of(request: &Value) -> impl Iterator<Item = &Value> {
    let messages = request["messages"].as_array().into_iter().flatten();
    messages.flat_map(|message| message["content"].as_array().into_iter().flatten())
}

fn turns(messages: &[Value]) -> Result<(), String> {
    let mut owed: Vec<String> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        let allowed = match role {
            "user" => true,
            "assistant" => at > 0,
            "system" => at.checked_sub(1).is_some_and(|before| messages[before]["role"] == "user"),
            _ => false,
        };
        if !allowed {
            return Err(format!("messages.{at}: role {role:?} is not allowed here"));
        }
        let blocks = blocks(&message["content"]).map_err(|error| format!("messages.{at}: {error}"))?;
        let results: Vec<_> = blocks.iter().filter_map(|block| block["tool_use_id"].as_str()).collect();
        if let Some(id) = owed.iter().find(|id| !results.contains(&id.as_str())) {
            return Err(format!(
                "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}"
            ));
        }
        if let Some(id) = results.iter().find(|id| !owed.iter().any(|owed| owed == **id)) {
            return Err(format!("messages.{at}: unexpected `tool_use_id` {id}"));
        }
        if blocks.iter().skip(results.len()).any(|block| block["type"] == "tool_result") {
            return Err(format!("messages.{at}: tool_result blocks come first"));
        }
        let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
        owed = calls.filter_map(|block| block["id"].as_str()).map(str::to_owned).collect();
        if role == "user" && !owed.is_empty() {
            return Err(format!("messages.{at}: tool_use in a user turn"));
        }
    }
    if owed.is_empty() { Ok(()) } else { Err("messages: the last calls have no results".to_owned()) }
}

fn blocks(content: &Value) -> Result<&[Value], String> {
    let blocks = match content {
        Value::String(text) if !text.is_empty() => return Ok(&[]),
        Value::Array(blocks) if !blocks.is_empty() => blocks,
        _ => return Err(format!("content is empty or not blocks: {content}")),
    };
    for block in blocks {
        let good = match block["type"].as_str().unwrap_or_default() {
            "text" => block["text"].as_str().is_some_and(|text| !text.is_empty()),
            "image" => ["base64", "url"].iter().any(|kind| block["source"]["type"] == *kind),
            "tool_use" => block["id"].is_string() && block["name"].is_string() && block["input"].is_object(),
            "tool_result" => block["tool_use_id"].is_string(),
            "thinking" => {
                block["thinking"].is_string() && block["signature"].as_str().is_some_and(|text| !text.is_empty())
            }
            _ => false,
        };
        if !good {
            return Err(format!("bad block {block}"));
        }
    }
    Ok(blocks)
}

fn frame(event: Value) -> Frame {
    let name = event["type"].as_str().expect("every event has a type");
    Frame::other(format!("event: {name}\ndata: {event}\n\n"))
}

fn reason(stop: Stop) -> Value {
    json!(match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Sequence(_) => "stop_sequence",
        Stop::Tools => "tool_use",
    })
}

fn sequence(stop: Stop) -> Value {
    if let Stop::Sequence(text) = stop { json!(text) } else { Value::Null }
}

fn usage(usage: Usage, output: u64) -> Value {
    json!({
        "input_tokens": usage.input - usage.cached - usage.cache_write, "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": usage.cache_write, "output_tokens": output, "service_tier": "standard",
    })
}
