//! The scripted upstream's Bedrock Converse: what it answers, in Amazon's binary event stream where it streams, and
//! what it demands of a request.
//!
//! Source: "Converse" and "ConverseStream", Amazon Bedrock API reference; "Amazon Event Stream", Smithy 2.0
//! specification; read 2026-11.

use serde_json::{Value, json};

use super::Frame;
use super::dialect::flat;
use crate::answer::{Answer, Stop, Usage};

pub(crate) fn whole(answer: &Answer) -> Value {
    let mut content = Vec::new();
    if let Some((_, signature)) = answer.thinking {
        let text = json!({"text": answer.whole_thinking(), "signature": signature});
        content.push(json!({"reasoningContent": {"reasoningText": text}}));
    }
    if !answer.text.is_empty() {
        content.push(json!({"text": answer.whole_text()}));
    }
    for call in answer.calls {
        content.push(json!({"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.value()}}));
    }
    json!({
        "output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason(answer.stop),
        "usage": usage(answer.usage), "metrics": {"latencyMs": 12},
    })
}

pub(crate) fn frames(answer: &Answer) -> Vec<Frame> {
    let mut frames = vec![Frame::other(event("messageStart", json!({"role": "assistant"})))];
    let mut index = 0;
    let mut block = |start: Option<Value>, deltas: Vec<Value>| {
        // Only calls are announced.
        if let Some(start) = start {
            frames.push(Frame::other(event("contentBlockStart", json!({"contentBlockIndex": index, "start": start}))));
        }
        for delta in deltas {
            let delta = json!({"contentBlockIndex": index, "delta": delta});
            frames.push(Frame::content(event("contentBlockDelta", delta)));
        }
        frames.push(Frame::other(event("contentBlockStop", json!({"contentBlockIndex": index}))));
        index += 1;
    };
    if let Some((pieces, signature)) = answer.thinking {
        let thoughts = pieces.iter().map(|piece| json!({"reasoningContent": {"text": piece}}));
        block(None, thoughts.chain([json!({"reasoningContent": {"signature": signature}})]).collect());
    }
    if !answer.text.is_empty() {
        block(None, answer.text.iter().map(|piece| json!({"text": piece})).collect());
    }
    for call in answer.calls {
        let start = json!({"toolUse": {"toolUseId": call.id, "name": call.name}});
        block(Some(start), call.arguments.iter().map(|piece| json!({"toolUse": {"input": piece}})).collect());
    }
    frames.push(Frame::other(event("messageStop", json!({"stopReason": reason(answer.stop)}))));
    let metadata = json!({"usage": usage(answer.usage), "metrics": {"latencyMs": 12}});
    frames.push(Frame::other(event("metadata", metadata)));
    frames
}

pub(crate) fn error(message: &str) -> Value {
    json!({"message": message})
}

pub(crate) fn error_frame(message: &str) -> Vec<u8> {
    let headers = [(":message-type", "exception"), (":exception-type", "internalServerException")];
    framed(&headers, &error(message))
}

/// What the real API would answer 400 to.
pub(crate) fn check(request: &Value) -> Result<(), String> {
    let messages = request["messages"].as_array().filter(|list| !list.is_empty()).ok_or("messages: not a list")?;
    let mut role = "assistant";
    let mut owed: Vec<&str> = Vec::new();
    for message in messages {
        let next = message["role"].as_str().unwrap_or_default();
        if !["user", "assistant"].contains(&next) || next == role {
            return Err("A conversation must alternate between user and assistant roles.".to_owned());
        }
        role = next;
        let blocks = message["content"].as_array().filter(|list| !list.is_empty());
        let blocks = blocks.ok_or("The content field is empty.")?;
        let results: Vec<_> = blocks.iter().filter_map(|block| block["toolResult"]["toolUseId"].as_str()).collect();
        if results != owed {
            return Err(format!("Expected toolResult blocks for {owed:?}, found {results:?}"));
        }
        owed = blocks.iter().filter_map(|block| block["toolUse"]["toolUseId"].as_str()).collect();
        if let Some(call) = blocks.iter().find(|block| !block["toolUse"].is_null())
            && !call["toolUse"]["input"].is_object()
        {
            return Err(format!("toolUse.input is not an object: {call}"));
        }
        let cites_tools = !owed.is_empty() || !results.is_empty();
        if cites_tools && request["toolConfig"]["tools"].as_array().is_none_or(Vec::is_empty) {
            return Err("The toolConfig field must be defined when using toolUse and toolResult.".to_owned());
        }
    }
    for tool in request["toolConfig"]["tools"].as_array().into_iter().flatten() {
        let tool = &tool["toolSpec"];
        let named = tool["name"].as_str().is_some_and(|name| (1..=64).contains(&name.len()));
        if !named || tool["inputSchema"]["json"]["type"] != "object" {
            return Err(format!("not a toolSpec: {tool}"));
        }
    }
    let top = ["model", "stream", "max_tokens", "temperature", "tools"];
    match top.into_iter().find(|field| !request[field].is_null()) {
        Some(field) => Err(format!("extraneous key [{field}] is not permitted")),
        None => Ok(()),
    }
}

pub(crate) fn results(request: &Value) -> Vec<(String, String)> {
    let messages = request["messages"].as_array().into_iter().flatten();
    let blocks = messages.filter_map(|message| message["content"].as_array()).flatten();
    let results = blocks.map(|block| &block["toolResult"]).filter(|result| !result.is_null());
    results
        .map(|result| (result["toolUseId"].as_str().unwrap_or_default().to_owned(), flat(&result["content"])))
        .collect()
}

fn event(name: &str, payload: Value) -> Vec<u8> {
    framed(&[(":message-type", "event"), (":event-type", name), (":content-type", "application/json")], &payload)
}

/// Lengths, headers and a payload, under two checksums.
fn framed(headers: &[(&str, &str)], payload: &Value) -> Vec<u8> {
    /// The type of a header's value that is text.
    const TEXT: u8 = 7;
    let short = |length: usize| u8::try_from(length).expect("scripted names are short");
    let long = |length: usize| u32::try_from(length).expect("scripted frames are short").to_be_bytes();
    let mut fields = Vec::new();
    for (name, value) in headers {
        fields.push(short(name.len()));
        fields.extend(name.as_bytes());
        fields.extend([TEXT, 0, short(value.len())]);
        fields.extend(value.as_bytes());
    }
    let payload = payload.to_string();
    let mut frame = Vec::new();
    frame.extend(long(12 + fields.len() + payload.len() + 4));
    frame.extend(long(fields.len()));
    frame.extend(crc32(&frame).to_be_bytes());
    frame.extend(fields);
    frame.extend(payload.as_bytes());
    frame.extend(crc32(&frame).to_be_bytes());
    frame
}

/// CRC-32 as zlib has it, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Sequence(_) => "stop_sequence",
        Stop::Tools => "tool_use",
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "inputTokens": usage.input - usage.cached - usage.cache_write, "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output, "cacheReadInputTokens": usage.cached,
        "cacheWriteInputTokens": usage.cache_write,
    })
}
