//! The scripted upstream's Gemini: what it answers, and what it demands of a request.
//!
//! Source: "Generating content" and "Function calling", Gemini API documentation, read 2026-11.

use serde_json::{Value, json};

use super::Frame;
use crate::answer::{Answer, Stop, Usage};

pub(crate) fn whole(answer: &Answer, model: &str) -> Value {
    let mut parts: Vec<Value> = Vec::new();
    if answer.thinking.is_some() {
        parts.push(json!({"text": answer.whole_thinking(), "thought": true}));
    }
    parts.push(json!({"text": answer.whole_text()}));
    parts.extend(calls(answer));
    response(answer, model, parts, Some(reason(answer.stop)))
}

/// Calls come whole; the reason to stop is in the last piece, which says nothing else.
pub(crate) fn frames(answer: &Answer, model: &str) -> Vec<Frame> {
    let thoughts = answer.thinking.map(|(pieces, _)| pieces).unwrap_or_default();
    let thoughts = thoughts.iter().map(|piece| json!({"text": piece, "thought": true}));
    let texts = answer.text.iter().map(|piece| json!({"text": piece}));
    let parts = thoughts.chain(texts).chain(calls(answer));
    let mut frames: Vec<_> =
        parts.map(|part| Frame::content(data(&response(answer, model, vec![part], None)))).collect();
    let last = response(answer, model, vec![json!({"text": ""})], Some(reason(answer.stop)));
    frames.push(Frame::other(data(&last)));
    frames
}

pub(crate) fn error(status: u16, message: &str) -> Value {
    let name = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!({"error": {"code": status, "message": message, "status": name}})
}

pub(crate) fn error_frame(message: &str) -> Vec<u8> {
    data(&error(500, message)).into_bytes()
}

/// What the real API would answer 400 to.
pub(crate) fn check(request: &Value) -> Result<(), String> {
    let contents = request["contents"].as_array().filter(|list| !list.is_empty()).ok_or("contents is not specified")?;
    let mut owed = 0;
    for content in contents {
        let role = content["role"].as_str().unwrap_or("user");
        if !["user", "model"].contains(&role) {
            return Err("Please use a valid role: user, model.".to_owned());
        }
        let parts =
            content["parts"].as_array().filter(|list| !list.is_empty()).ok_or("contents.parts must not be empty.")?;
        let count = |field: &str| parts.iter().filter(|part| part[field].is_object()).count();
        if count("functionResponse") != owed {
            return Err("Please ensure that the number of function response parts is equal to the number of function \
                        call parts of the function call turn."
                .to_owned());
        }
        owed = count("functionCall");
    }
    for tool in request["tools"].as_array().into_iter().flatten() {
        for function in tool["functionDeclarations"].as_array().into_iter().flatten() {
            if !function["name"].is_string() || !function["parameters"]["$schema"].is_null() {
                return Err(format!("Invalid JSON payload received. Unknown name: {function}"));
            }
        }
    }
    let unknown = ["model", "stream", "messages", "temperature"];
    match unknown.into_iter().find(|field| !request[field].is_null()) {
        Some(field) => Err(format!("Invalid JSON payload received. Unknown name \"{field}\": Cannot find field.")),
        None => Ok(()),
    }
}

/// By the names of the calls: ids are of later models only.
pub(crate) fn results(request: &Value) -> Vec<(String, String)> {
    let contents = request["contents"].as_array().into_iter().flatten();
    let parts = contents.filter_map(|content| content["parts"].as_array()).flatten();
    let results = parts.map(|part| &part["functionResponse"]).filter(|result| result.is_object());
    results
        .map(|result| (result["name"].as_str().unwrap_or_default().to_owned(), result["response"].to_string()))
        .collect()
}

fn response(answer: &Answer, model: &str, parts: Vec<Value>, reason: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
    if let Some(reason) = reason {
        candidate["finishReason"] = reason.into();
    }
    json!({
        "candidates": [candidate], "usageMetadata": usage(answer.usage), "modelVersion": model,
        "responseId": "scripted1",
    })
}

/// A thought is signed with the call that follows it.
fn calls(answer: &Answer) -> impl Iterator<Item = Value> {
    let signature = answer.thinking.map(|(_, signature)| signature);
    answer.calls.iter().enumerate().map(move |(index, call)| {
        let mut part = json!({"functionCall": {"id": call.id, "name": call.name, "args": call.value()}});
        if let Some(signature) = signature.filter(|_| index == 0) {
            part["thoughtSignature"] = signature.into();
        }
        part
    })
}

fn data(response: &Value) -> String {
    format!("data: {response}\r\n\r\n")
}

/// Calls have no reason of their own.
fn reason(stop: Stop) -> &'static str {
    if stop == Stop::Length { "MAX_TOKENS" } else { "STOP" }
}

fn usage(usage: Usage) -> Value {
    json!({
        "promptTokenCount": usage.input, "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": usage.output - usage.reasoning, "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
    })
}
