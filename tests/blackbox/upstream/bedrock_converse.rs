//! The scripted upstream's Converse: what it answers, and what it demands of a request.
//!
//! Source: "Converse" and "ConverseStream", Amazon Bedrock API reference, read 2026-11.

use serde_json::{Value, json};

use super::{Frame, event_stream};
use crate::answer::{Answer, Stop, Usage};

pub(crate) fn whole(answer: &Answer) -> Value {
    let mut content = Vec::new();
    if let Some((_, signature)) = answer.thinking {
        let thought = json!({"text": answer.whole_thinking(), "signature": signature});
        content.push(json!({"reasoningContent": {"reasoningText": thought}}));
    }
    if !answer.text.is_empty() {
        content.push(json!({"text": answer.whole_text()}));
    }
    for call in answer.calls {
        content.push(json!({"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.value()}}));
    }
    json!({
        "output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason(answer.stop),
        "usage": usage(answer.usage), "metrics": {"latencyMs": 412},
    })
}

pub(crate) fn frames(answer: &Answer) -> Vec<Frame> {
    let mut frames = vec![frame("messageStart", json!({"role": "assistant"}))];
    let mut index = 0;
    let mut block = |start: Option<Value>, deltas: Vec<Value>, frames: &mut Vec<Frame>| {
        // Only calls have a start.
        frames
            .extend(start.map(|start| frame("contentBlockStart", json!({"start": start, "contentBlockIndex": index}))));
        for delta in deltas {
            let delta = json!({"delta": delta, "contentBlockIndex": index});
            frames.push(Frame { content: true, ..frame("contentBlockDelta", delta) });
        }
        frames.push(frame("contentBlockStop", json!({"contentBlockIndex": index})));
        index += 1;
    };
    if let Some((pieces, signature)) = answer.thinking {
        let thoughts = pieces.iter().map(|piece| json!({"text": piece})).chain([json!({"signature": signature})]);
        block(None, thoughts.map(|thought| json!({"reasoningContent": thought})).collect(), &mut frames);
    }
    if !answer.text.is_empty() {
        block(None, answer.text.iter().map(|piece| json!({"text": piece})).collect(), &mut frames);
    }
    for call in answer.calls {
        let start = json!({"toolUse": {"toolUseId": call.id, "name": call.name}});
        let deltas = call.arguments.iter().map(|piece| json!({"toolUse": {"input": piece}})).collect();
        block(Some(start), deltas, &mut frames);
    }
    frames.push(frame("messageStop", json!({"stopReason": reason(answer.stop)})));
    frames.push(frame("metadata", json!({"usage": usage(answer.usage), "metrics": {"latencyMs": 412}})));
    frames
}

/// Bedrock names the kind of an error in a header.
pub(crate) fn error(message: &str) -> Value {
    json!({"message": message})
}

pub(crate) fn error_frame(message: &str) -> Vec<u8> {
    event_stream::exception("modelStreamErrorException", &error(message).to_string())
}

/// What the real API would answer 400 to.
pub(crate) fn check(request: &Value) -> Result<(), String> {
    known(request, "", &["messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields"])?;
    known(&request["inferenceConfig"], "inferenceConfig", &["maxTokens", "temperature", "topP", "stopSequences"])?;
    known(&request["toolConfig"], "toolConfig", &["tools", "toolChoice"])?;
    for block in request["system"].as_array().into_iter().flatten() {
        if block["cachePoint"].is_null() {
            filled(&block["text"], "system")?;
        }
    }
    for tool in request["toolConfig"]["tools"].as_array().into_iter().flatten() {
        let spec = &tool["toolSpec"];
        let is_tool = spec["name"].is_string() && spec["inputSchema"]["json"]["type"] == "object";
        if !is_tool && tool["cachePoint"]["type"] != "default" {
            return Err(format!("toolConfig: not a tool: {tool}"));
        }
    }
    let messages = request["messages"].as_array().filter(|list| !list.is_empty()).ok_or("messages: missing")?;
    let mut owed: Vec<&str> = Vec::new();
    let thinks = request["additionalModelRequestFields"]["thinking"]["type"] == "enabled";
    for (at, message) in messages.iter().enumerate() {
        if message["role"] != if at % 2 == 0 { "user" } else { "assistant" } {
            return Err("A conversation must alternate between user and assistant roles.".to_owned());
        }
        let blocks = message["content"].as_array().filter(|list| !list.is_empty()).ok_or("content: empty")?;
        for block in blocks {
            is_block(block)?;
        }
        let ids = |kind: &str| blocks.iter().filter_map(|block| block[kind]["toolUseId"].as_str()).collect::<Vec<_>>();
        let (calls, results) = (ids("toolUse"), ids("toolResult"));
        if results != owed {
            return Err(format!(
                "messages.{at}: the toolResult blocks {results:?} are not for the toolUse blocks {owed:?}"
            ));
        }
        if !(calls.is_empty() && results.is_empty()) && request["toolConfig"]["tools"].is_null() {
            return Err(
                "The toolConfig field must be defined when using toolUse and toolResult content blocks.".to_owned()
            );
        }
        if thinks && !calls.is_empty() && blocks[0]["reasoningContent"].is_null() {
            return Err(format!("messages.{at}: Expected `thinking`, but found `{}`", blocks[0]));
        }
        owed = calls;
    }
    if owed.is_empty() { Ok(()) } else { Err("the last calls have no results".to_owned()) }
}

/// Call and text of every result in a request.
pub(crate) fn results(request: &Value) -> Vec<(String, String)> {
    blocks(request)
        .filter_map(|block| {
            let result = &block["toolResult"];
            Some((result["toolUseId"].as_str()?.to_owned(), crate::upstream::flat(&result["content"])))
        })
        .collect()
}

/// The first thought that came back, and its signature.
pub(crate) fn thought(request: &Value) -> Option<(String, String)> {
    let thought =
        blocks(request).map(|block| &block["reasoningContent"]["reasoningText"]).find(|text| text.is_object())?;
    Some((thought["text"].as_str()?.to_owned(), thought["signature"].as_str()?.to_owned()))
}

fn blocks(request: &Value) -> impl Iterator<Item = &Value> {
    let messages = request["messages"].as_array().into_iter().flatten();
    messages.flat_map(|message| message["content"].as_array().into_iter().flatten())
}

fn is_block(block: &Value) -> Result<(), String> {
    let fields = block.as_object().ok_or("content: not a block")?;
    let (kind, value) =
        fields.iter().next().filter(|_| fields.len() == 1).ok_or(format!("a block is one of: {block}"))?;
    let good = match kind.as_str() {
        "text" => return filled(value, "text"),
        "toolUse" => value["toolUseId"].is_string() && value["name"].is_string() && value["input"].is_object(),
        "toolResult" => value["toolUseId"].is_string() && value["content"].is_array(),
        "reasoningContent" => {
            let thought = &value["reasoningText"];
            thought["text"].is_string() && thought["signature"].as_str().is_some_and(|text| !text.is_empty())
        }
        "image" => value["format"].is_string() && value["source"]["bytes"].is_string(),
        "cachePoint" => value["type"] == "default",
        _ => false,
    };
    if good { Ok(()) } else { Err(format!("bad block {block}")) }
}

fn filled(text: &Value, name: &str) -> Result<(), String> {
    match text.as_str() {
        Some(text) if !text.trim().is_empty() => Ok(()),
        _ => Err(format!("The text field in the ContentBlock object at {name} is blank.")),
    }
}

fn known(value: &Value, name: &str, fields: &[&str]) -> Result<(), String> {
    let unknown =
        value.as_object().into_iter().flatten().map(|(field, _)| field).find(|field| !fields.contains(&field.as_str()));
    unknown.map_or(Ok(()), |field| Err(format!("{name}.{field}: extraneous key is not permitted")))
}

fn frame(name: &str, payload: Value) -> Frame {
    Frame::other(event_stream::event(name, &payload.to_string()))
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
        "totalTokens": usage.input + usage.output,
        "cacheReadInputTokens": usage.cached, "cacheWriteInputTokens": usage.cache_write,
    })
}
