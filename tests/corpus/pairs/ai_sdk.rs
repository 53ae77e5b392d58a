//! A client of the AI SDK's gateway protocol, for which no schema is published and no upstream speaks: what it reads of
//! an answer, and what it gives back. Written for this test alone, after the types of the SDK's `provider` package.

use serde_json::{Value, json};
use tollgate::chat::{Block, Content, Event, Part, Request, Response, Role, Stop, StopReason, ToolCall, Usage};

/// What a stream says, or what is wrong with it.
pub(super) fn stream(bytes: &[u8]) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    let (mut open, mut input, mut ids) = (None, String::new(), Vec::new());
    for frame in std::str::from_utf8(bytes).map_err(|error| error.to_string())?.split_terminator("\n\n") {
        let data = frame.strip_prefix("data: ").ok_or_else(|| format!("no data: {frame}"))?;
        let part: Value = serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?;
        let text = |name: &str| part[name].as_str().map(str::to_owned).ok_or_else(|| format!("no {name}: {data}"));
        let kind = text("type")?;
        // A block has one id from its start to its end, which no other has, and only then another begins.
        let is_in_order = match kind.rsplit_once('-') {
            Some((_, "start")) if kind != "stream-start" => {
                let id = text("id")?;
                let is_new = kind == "tool-input-start" || !ids.contains(&id);
                ids.push(id.clone());
                open.replace(id).is_none() && is_new
            }
            Some((_, "delta")) => open == Some(text("id")?),
            Some((_, "end")) => open.take() == Some(text("id")?),
            _ => open.is_none() || kind == "error",
        };
        if !is_in_order {
            return Err(format!("out of order: {data}"));
        }
        let proof = &part["providerMetadata"]["tollgate"];
        match kind.as_str() {
            "stream-start" if part["warnings"].is_array() => {}
            "response-metadata" => {
                let model = part["modelId"].as_str().unwrap_or_default().to_owned();
                events.push(Event::Start { id: text("id")?, model });
            }
            "text-start" => events.push(Event::Open(Block::Text)),
            "text-delta" => events.push(Event::Text(text("delta")?)),
            "reasoning-start" => events.push(Event::Open(match proof["redactedData"].as_str() {
                Some(sealed) => Block::SealedReasoning(sealed.to_owned()),
                None => Block::Reasoning,
            })),
            "reasoning-delta" => events.push(Event::Reasoning(text("delta")?)),
            "reasoning-end" => {
                events.extend(proof["signature"].as_str().map(|signature| Event::Signature(signature.to_owned())));
                events.push(Event::Close);
            }
            "text-end" => events.push(Event::Close),
            "tool-input-start" => input.clear(),
            "tool-input-delta" => input += &text("delta")?,
            "tool-input-end" => {}
            "tool-call" => {
                let ToolCall { id, name, arguments, signature } = call(&part)?;
                if arguments != input && !input.trim().is_empty() {
                    return Err(format!("another input than {input}: {data}"));
                }
                let block = Block::ToolCall { id, name, signature };
                events.extend([Event::Open(block), Event::Arguments(arguments), Event::Close]);
            }
            "finish" => events.extend([Event::Stop(stop(&part)?), Event::Usage(usage(&part)?), Event::End]),
            "error" if part["error"]["message"].is_string() && part["error"]["type"].is_string() => {
                events.push(Event::Error { kind: None, message: String::new() });
            }
            _ => return Err(format!("unknown: {data}")),
        }
    }
    Ok(events)
}

/// What a whole answer says, or what is wrong with it.
pub(super) fn whole(body: &[u8]) -> Result<Response, String> {
    let result: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if !result["warnings"].is_array() {
        return Err("no warnings".to_owned());
    }
    let mut parts = Vec::new();
    for part in result["content"].as_array().ok_or("no content")? {
        let text = || part["text"].as_str().map(str::to_owned).ok_or_else(|| format!("no text: {part}"));
        let proof = &part["providerMetadata"]["tollgate"];
        let given = |name: &str| proof[name].as_str().map(str::to_owned);
        parts.push(Part::new(match (part["type"].as_str(), given("redactedData")) {
            (Some("text"), None) => Content::Text(text()?),
            (Some("reasoning"), Some(sealed)) => Content::SealedReasoning(sealed),
            (Some("reasoning"), None) => Content::Reasoning { text: text()?, signature: given("signature") },
            (Some("tool-call"), None) => Content::ToolCall(call(part)?),
            _ => return Err(format!("unknown: {part}")),
        }));
    }
    Ok(Response { parts, stop: stop(&result)?, usage: Some(usage(&result)?), ..Response::default() })
}

fn call(part: &Value) -> Result<ToolCall, String> {
    let text = |name: &str| part[name].as_str().map(str::to_owned).ok_or_else(|| format!("no {name}: {part}"));
    let signature = part["providerMetadata"]["tollgate"]["signature"].as_str().map(str::to_owned);
    Ok(ToolCall { id: text("toolCallId")?, name: text("toolName")?, arguments: text("input")?, signature })
}

fn stop(part: &Value) -> Result<Stop, String> {
    let reason = match part["finishReason"]["unified"].as_str() {
        Some("stop") => StopReason::EndTurn,
        Some("length") => StopReason::Length,
        Some("tool-calls") => StopReason::ToolUse,
        Some("content-filter") => StopReason::Filtered,
        Some("error") => StopReason::Error,
        _ => return Err(format!("no reason: {part}")),
    };
    Ok(Stop { reason, ..Stop::default() })
}

/// What is not known is nothing here.
fn usage(part: &Value) -> Result<Usage, String> {
    let (input, output) = (&part["usage"]["inputTokens"], &part["usage"]["outputTokens"]);
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let is_told = input.is_object() && output.is_object();
    is_told.then_some(()).ok_or_else(|| format!("no usage: {part}"))?;
    Ok(Usage {
        input: number(&input["total"]),
        cached_input: number(&input["cacheRead"]),
        cache_write: number(&input["cacheWrite"]),
        output: number(&output["total"]),
        reasoning: number(&output["reasoning"]),
    })
}

/// A turn as the SDK sends it: what was told with a part goes back with it.
pub(super) fn turn(request: &Request) -> Vec<u8> {
    let prompt: Vec<Value> = request
        .messages
        .iter()
        .map(|message| {
            let is_result = |part: &Part| matches!(part.content, Content::ToolResult { .. });
            let role = match message.role {
                Role::Assistant => "assistant",
                _ if message.parts.iter().any(is_result) => "tool",
                _ => "user",
            };
            json!({"role": role, "content": message.parts.iter().map(|part| given(&part.content)).collect::<Vec<_>>()})
        })
        .collect();
    json!({"prompt": prompt}).to_string().into_bytes()
}

fn given(content: &Content) -> Value {
    let with = |mut part: Value, name: &str, proof: &Option<String>| {
        if let Some(proof) = proof {
            part["providerOptions"] = json!({"tollgate": {name: proof}});
        }
        part
    };
    match content {
        Content::Text(text) => json!({"type": "text", "text": text}),
        Content::Reasoning { text, signature } => {
            with(json!({"type": "reasoning", "text": text}), "signature", signature)
        }
        Content::SealedReasoning(sealed) => {
            with(json!({"type": "reasoning", "text": ""}), "redactedData", &Some(sealed.clone()))
        }
        Content::ToolCall(ToolCall { id, name, arguments, signature }) => {
            let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
            let call = json!({"type": "tool-call", "toolCallId": id, "toolName": name, "input": input});
            with(call, "signature", signature)
        }
        Content::ToolResult { call, parts, .. } => {
            let Some(Content::Text(text)) = parts.first().map(|part| &part.content) else { panic!("{parts:?}") };
            let output = json!({"type": "text", "value": text});
            json!({"type": "tool-result", "toolCallId": call, "toolName": "any", "output": output})
        }
        other => panic!("{other:?}"),
    }
}
