//! The scripted upstream's Gemini: what `generateContent` answers, and what it demands of a request.
//!
//! Source: "Generating content", "Function calling" and "Thought signatures", Gemini API documentation; "ProtoJSON
//! format", Protocol Buffers documentation; read 2026-11.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Frame;
use crate::answer::{Answer, Stop, Usage};

pub(crate) fn whole(answer: &Answer, model: &str) -> Value {
    let mut parts = Vec::new();
    if answer.thinking.is_some() {
        parts.push(json!({"text": answer.whole_thinking(), "thought": true}));
    }
    if !answer.text.is_empty() {
        parts.push(json!({"text": answer.whole_text()}));
    }
    parts.extend(calls(answer));
    let mut response = piece(model, parts, Some(answer));
    response["usageMetadata"] = usage(answer.usage);
    response
}

/// Server-Sent Events, or the elements of one list.
pub(crate) fn frames(answer: &Answer, model: &str, list: bool) -> Vec<Frame> {
    let mut pieces = Vec::new();
    let thoughts = answer.thinking.map(|(pieces, _)| pieces).unwrap_or_default();
    pieces.extend(thoughts.iter().map(|text| json!({"text": text, "thought": true})));
    pieces.extend(answer.text.iter().map(|text| json!({"text": text})));
    pieces.extend(calls(answer));
    let count = pieces.len();
    let mut frames = Vec::new();
    for (at, part) in pieces.into_iter().enumerate() {
        let is_last = at + 1 == count;
        let mut piece = piece(model, vec![part], is_last.then_some(answer));
        if is_last {
            piece["usageMetadata"] = usage(answer.usage);
        }
        let text = match (list, at) {
            (false, _) => format!("data: {piece}\r\n\r\n"),
            (true, 0) => format!("[{piece}"),
            (true, _) => format!("\r\n,\r\n{piece}"),
        };
        frames.push(Frame::content(text));
    }
    if list {
        frames.push(Frame::other("\r\n]\r\n".to_owned()));
    }
    frames
}

pub(crate) fn error(status: u16, message: &str) -> Value {
    let word = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "FAILED_PRECONDITION",
    };
    json!({"error": {"code": status, "message": message, "status": word}})
}

pub(crate) fn error_frame(message: &str) -> Vec<u8> {
    format!("data: {}\r\n\r\n", error(503, message)).into_bytes()
}

const FIELDS: &[&str] = &[
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
    "model",
    "labels",
    "store",
    "serviceTier",
];
const CONFIG: &[&str] = &[
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "thinkingConfig",
    "mediaResolution",
    "speechConfig",
];
const DECLARATION: &[&str] = &["name", "description", "parameters", "parametersJsonSchema", "response", "behavior"];

/// What the real API would answer 400 to.
pub(crate) fn check(request: &Value) -> Result<(), String> {
    known(request, "", FIELDS)?;
    known(&request["generationConfig"], "generation_config", CONFIG)?;
    for tool in request["tools"].as_array().into_iter().flatten() {
        for declaration in tool["functionDeclarations"].as_array().into_iter().flatten() {
            known(declaration, "tools[0].function_declarations[0]", DECLARATION)?;
            if declaration["name"].as_str().is_none_or(str::is_empty) {
                return Err("tools[0].function_declarations[0].name: Name cannot be empty.".to_owned());
            }
        }
    }
    let contents = request["contents"].as_array().filter(|list| !list.is_empty());
    let contents = contents.ok_or("* GenerateContentRequest.contents: contents is not specified")?;
    let mut owed: Vec<&Value> = Vec::new();
    for (at, content) in contents.iter().enumerate() {
        let role = content["role"].as_str().unwrap_or("user");
        if !["user", "model"].contains(&role) {
            return Err(format!("Please use a valid role: user, model. Found {role}"));
        }
        let parts = content["parts"].as_array().filter(|list| !list.is_empty());
        let parts =
            parts.ok_or(format!("* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty."))?;
        for part in parts {
            is_part(part)?;
        }
        let of =
            |kind: &str| parts.iter().map(|part| &part[kind]).filter(|value| value.is_object()).collect::<Vec<_>>();
        let (calls, results) = (of("functionCall"), of("functionResponse"));
        let names =
            |list: &[&Value]| list.iter().map(|value| (value["name"].clone(), value["id"].clone())).collect::<Vec<_>>();
        if names(&results) != names(&owed) {
            return Err("Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.".to_owned());
        }
        // Parallel calls have one signature, on the first.
        let first = parts.iter().find(|part| part["functionCall"].is_object());
        if first.is_some_and(|part| part["thoughtSignature"].is_null()) {
            return Err("Function call is missing a thought_signature in functionCall parts.".to_owned());
        }
        owed = calls;
    }
    if owed.is_empty() { Ok(()) } else { Err("Requests ending with a model turn are not supported.".to_owned()) }
}

/// Call and text of every result in a request; an object of the caller's own as its JSON.
pub(crate) fn results(request: &Value) -> Vec<(String, String)> {
    let result = |part: &Value| {
        let result = &part["functionResponse"];
        let object = &result["response"];
        let text = object["result"].as_str().or(object["output"].as_str());
        Some((result["id"].as_str()?.to_owned(), text.map_or_else(|| object.to_string(), str::to_owned)))
    };
    parts(request).filter_map(result).collect()
}

/// The signature of the first call that came back.
pub(crate) fn signature(request: &Value) -> Option<String> {
    let call = parts(request).find(|part| part["functionCall"].is_object())?;
    Some(call["thoughtSignature"].as_str()?.to_owned())
}

/// These models sign every first call, whether they tell a thought or not.
pub(crate) fn proof(answer: &Answer) -> &'static str {
    answer.thinking.map_or("CiQBY2FsbHMvd2l0aG91dC90aG91Z2h0cw==", |(_, signature)| signature)
}

fn parts(request: &Value) -> impl Iterator<Item = &Value> {
    let contents = request["contents"].as_array().into_iter().flatten();
    contents.flat_map(|content| content["parts"].as_array().into_iter().flatten())
}

fn is_part(part: &Value) -> Result<(), String> {
    if let Some(signature) = part.get("thoughtSignature") {
        // Both alphabets of base64 are taken.
        let standard = signature.as_str().map(|text| text.replace('-', "+").replace('_', "/"));
        let decodes = standard.is_some_and(|text| STANDARD.decode(text).is_ok());
        // The documented word for calls of another model's.
        if !decodes
            && signature != "skip_thought_signature_validator"
            && signature != "context_engineering_is_the_way_to_go"
        {
            return Err("Base64 decoding failed for thought_signature".to_owned());
        }
    }
    let good = match part
        .as_object()
        .into_iter()
        .flatten()
        .map(|(kind, value)| (kind.as_str(), value))
        .find(|(kind, _)| !["thought", "thoughtSignature"].contains(kind))
    {
        Some(("text", text)) => text.is_string(),
        Some(("inlineData", data)) => data["mimeType"].is_string() && data["data"].is_string(),
        Some(("fileData", file)) => file["fileUri"].is_string(),
        Some(("functionCall", call)) => {
            call["name"].is_string() && (call["args"].is_object() || call["args"].is_null())
        }
        Some(("functionResponse", result)) => result["name"].is_string() && result["response"].is_object(),
        _ => false,
    };
    if good { Ok(()) } else { Err(format!("Unable to submit request because it must have a valid part: {part}")) }
}

/// Its JSON has every field in two spellings: `topP`, or `top_p` as in the protocol buffer.
fn known(value: &Value, name: &str, fields: &[&str]) -> Result<(), String> {
    let mut told = value.as_object().into_iter().flatten().map(|(field, _)| field);
    let is_known = |field: &str| fields.iter().any(|known| known.eq_ignore_ascii_case(&field.replace('_', "")));
    let unknown = told.find(|field| !is_known(field));
    let refusal =
        |field| format!("Invalid JSON payload received. Unknown name \"{field}\" at '{name}': Cannot find field.");
    unknown.map_or(Ok(()), |field| Err(refusal(field)))
}

fn calls(answer: &Answer) -> Vec<Value> {
    let mut parts: Vec<_> = answer
        .calls
        .iter()
        .map(|call| json!({"functionCall": {"id": call.id, "name": call.name, "args": call.value()}}))
        .collect();
    if let Some(first) = parts.first_mut() {
        first["thoughtSignature"] = proof(answer).into();
    }
    parts
}

/// `last` where the answer ends with it.
fn piece(model: &str, parts: Vec<Value>, last: Option<&Answer>) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
    if let Some(answer) = last {
        let reason = if answer.stop == Stop::Length { "MAX_TOKENS" } else { "STOP" };
        candidate["finishReason"] = reason.into();
    }
    let counted = json!({"promptTokenCount": 1, "totalTokenCount": 1});
    json!({"candidates": [candidate], "usageMetadata": counted, "modelVersion": model, "responseId": "scripted1"})
}

fn usage(usage: Usage) -> Value {
    json!({
        "promptTokenCount": usage.input, "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": usage.output - usage.reasoning, "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input}],
    })
}
