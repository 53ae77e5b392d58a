//! The scripted upstream's Responses: what it answers, and what it demands of a request.
//!
//! Source: "Responses" and "Streaming events", OpenAI API reference; "Reasoning models", OpenAI API documentation;
//! read 2026-11.

use serde_json::{Value, json};

use super::{Frame, flat, sse};
use crate::answer::{Answer, Stop, Usage};

const ID: &str = "resp_scripted1";

pub(crate) fn whole(answer: &Answer, model: &str, request: &Value) -> Value {
    response(model, items(answer, request), Some(answer))
}

pub(crate) fn frames(answer: &Answer, model: &str, request: &Value) -> Vec<Frame> {
    let mut told = Told::default();
    let begun = response(model, Vec::new(), None);
    told.event("response.created", json!({"response": begun}));
    told.event("response.in_progress", json!({"response": begun}));
    let items = items(answer, request);
    let mut calls = answer.calls.iter();
    for (index, item) in items.iter().enumerate() {
        let mut begun = item.clone();
        let id = &item["id"];
        match item["type"].as_str().unwrap_or_default() {
            "reasoning" => {
                begun["summary"] = json!([]);
                told.event("response.output_item.added", json!({"output_index": index, "item": begun}));
                let at = json!({"item_id": id, "output_index": index, "summary_index": 0});
                let part = json!({"type": "summary_text", "text": ""});
                told.at("response.reasoning_summary_part.added", &at, json!({"part": part}));
                for piece in answer.thinking.map(|(pieces, _)| pieces).unwrap_or_default() {
                    told.at("response.reasoning_summary_text.delta", &at, json!({"delta": piece}));
                }
                told.at("response.reasoning_summary_text.done", &at, json!({"text": answer.whole_thinking()}));
                told.at("response.reasoning_summary_part.done", &at, json!({"part": item["summary"][0]}));
            }
            "message" => {
                (begun["content"], begun["status"]) = (json!([]), "in_progress".into());
                told.event("response.output_item.added", json!({"output_index": index, "item": begun}));
                let at = json!({"item_id": id, "output_index": index, "content_index": 0});
                let part = json!({"type": "output_text", "annotations": [], "logprobs": [], "text": ""});
                told.at("response.content_part.added", &at, json!({"part": part}));
                for piece in answer.text {
                    told.at(
                        "response.output_text.delta",
                        &at,
                        json!({"delta": piece, "logprobs": [], "obfuscation": "x"}),
                    );
                }
                told.at("response.output_text.done", &at, json!({"text": answer.whole_text(), "logprobs": []}));
                told.at("response.content_part.done", &at, json!({"part": item["content"][0]}));
            }
            _ => {
                (begun["arguments"], begun["status"]) = ("".into(), "in_progress".into());
                told.event("response.output_item.added", json!({"output_index": index, "item": begun}));
                let at = json!({"item_id": id, "output_index": index});
                for piece in calls.next().map(|call| call.arguments).unwrap_or_default() {
                    told.at("response.function_call_arguments.delta", &at, json!({"delta": piece}));
                }
                told.at("response.function_call_arguments.done", &at, json!({"arguments": item["arguments"]}));
            }
        }
        told.event("response.output_item.done", json!({"output_index": index, "item": item}));
    }
    let kind = if answer.stop == Stop::Length { "response.incomplete" } else { "response.completed" };
    told.event(kind, json!({"response": response(model, items, Some(answer))}));
    told.frames
}

pub(crate) fn error_frame(message: &str) -> Vec<u8> {
    let error =
        json!({"type": "error", "code": "server_error", "message": message, "param": null, "sequence_number": 9});
    sse(Some("error"), &error)
}

const FIELDS: &[&str] = &[
    "model",
    "input",
    "instructions",
    "stream",
    "stream_options",
    "store",
    "include",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_output_tokens",
    "max_tool_calls",
    "temperature",
    "top_p",
    "top_logprobs",
    "reasoning",
    "text",
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
    "truncation",
    "background",
    "previous_response_id",
    "conversation",
    "prompt",
    // Undocumented, but Codex sends it to OpenAI.
    "client_metadata",
];

/// What the real API would answer 400 to.
pub(crate) fn check(request: &Value) -> Result<(), String> {
    let unknown = request.as_object().into_iter().flatten().find(|(field, _)| !FIELDS.contains(&field.as_str()));
    if let Some((field, _)) = unknown {
        return Err(format!("Unknown parameter: '{field}'."));
    }
    if request["max_output_tokens"].as_u64().is_some_and(|most| most < 16) {
        return Err("Invalid 'max_output_tokens': integer below minimum value.".to_owned());
    }
    if let Some(field) = ["temperature", "top_p"].into_iter().find(|field| !request[field].is_null()) {
        return Err(format!("Unsupported parameter: '{field}' is not supported with this model."));
    }
    for tool in request["tools"].as_array().into_iter().flatten() {
        let good = match tool["type"].as_str().unwrap_or_default() {
            "function" => tool["name"].is_string() && tool["parameters"].is_object(),
            "custom" => tool["name"].is_string(),
            "namespace" => tool["name"].is_string() && tool["tools"].is_array(),
            "web_search" => true,
            _ => false,
        };
        if !good {
            return Err(format!("Missing required parameter: 'tools[0].name': {tool}"));
        }
    }
    let items = match &request["input"] {
        Value::String(text) if !text.is_empty() => return Ok(()),
        Value::Array(items) if !items.is_empty() => items,
        _ => return Err("Missing required parameter: 'input'.".to_owned()),
    };
    let mut owed: Vec<&str> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match item["type"].as_str().unwrap_or("message") {
            "message" => message(item).map_err(|error| format!("input[{at}]: {error}"))?,
            "reasoning" => {
                let proven = item["encrypted_content"].as_str().is_some_and(|text| !text.is_empty());
                // Nothing is stored, so the item is known by its content alone.
                if !proven || !item["summary"].is_array() {
                    return Err(format!(
                        "Item with id '{}' not found. Items are not persisted when `store` is set to false.",
                        item["id"]
                    ));
                }
                let next = items.get(at + 1).map(|item| item["type"].as_str().unwrap_or("message"));
                if !next.is_some_and(|kind| ["message", "function_call", "reasoning"].contains(&kind)) {
                    return Err("Item of type 'reasoning' was provided without its required following item.".to_owned());
                }
            }
            "function_call" => {
                let arguments = item["arguments"].as_str().ok_or("input: arguments is not a string")?;
                if serde_json::from_str::<Value>(arguments).is_err() || !item["name"].is_string() {
                    return Err(format!("input[{at}]: not a call: {item}"));
                }
                owed.push(item["call_id"].as_str().ok_or("Missing required parameter: 'input[0].call_id'.")?);
            }
            "function_call_output" => {
                let id = item["call_id"].as_str().ok_or("Missing required parameter: 'input[0].call_id'.")?;
                let place = owed.iter().position(|owed| *owed == id);
                owed.remove(place.ok_or(format!("No tool call found for function call output with call_id {id}."))?);
                if !item["output"].is_string() && !item["output"].is_array() {
                    return Err("Missing required parameter: 'input[0].output'.".to_owned());
                }
            }
            kind => return Err(format!("Invalid value: '{kind}'.")),
        }
    }
    owed.first().map_or(Ok(()), |id| Err(format!("No tool output found for function call {id}.")))
}

pub(crate) fn results(request: &Value) -> Vec<(String, String)> {
    let outputs = items_of(request).filter(|item| item["type"] == "function_call_output");
    outputs.filter_map(|item| Some((item["call_id"].as_str()?.to_owned(), flat(&item["output"])))).collect()
}

/// The first thought that came back, and its proof.
pub(crate) fn thought(request: &Value) -> Option<(String, String)> {
    let item = items_of(request).find(|item| item["type"] == "reasoning")?;
    Some((flat(&item["summary"]), item["encrypted_content"].as_str()?.to_owned()))
}

fn items_of(request: &Value) -> impl Iterator<Item = &Value> {
    request["input"].as_array().into_iter().flatten()
}

fn message(item: &Value) -> Result<(), String> {
    let kinds: &[&str] = match item["role"].as_str().unwrap_or_default() {
        "assistant" => &["output_text", "refusal"],
        "user" | "system" | "developer" => &["input_text", "input_image", "input_file"],
        role => {
            return Err(format!(
                "Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
            ));
        }
    };
    match &item["content"] {
        Value::String(_) => Ok(()),
        Value::Array(parts) => {
            let wrong = parts.iter().find(|part| !part["type"].as_str().is_some_and(|kind| kinds.contains(&kind)));
            wrong
                .map_or(Ok(()), |part| Err(format!("Invalid value: {}. Supported values are: {kinds:?}", part["type"])))
        }
        _ => Err("Missing required parameter: 'content'.".to_owned()),
    }
}

#[derive(Default)]
struct Told {
    frames: Vec<Frame>,
}

impl Told {
    fn event(&mut self, kind: &str, mut event: Value) {
        event["type"] = kind.into();
        event["sequence_number"] = self.frames.len().into();
        self.frames.push(Frame { content: kind.ends_with(".delta"), ..Frame::other(sse(Some(kind), &event)) });
    }

    fn at(&mut self, kind: &str, place: &Value, mut event: Value) {
        for (field, value) in place.as_object().into_iter().flatten() {
            event[field] = value.clone();
        }
        self.event(kind, event);
    }
}

/// Reasoning is only given to who asks for it, and keeps nothing on the server.
fn items(answer: &Answer, request: &Value) -> Vec<Value> {
    let mut items = Vec::new();
    if let Some((_, signature)) = answer.thinking {
        let summary = json!([{"type": "summary_text", "text": answer.whole_thinking()}]);
        let mut item = json!({"id": "rs_scripted1", "type": "reasoning", "summary": summary});
        if request["include"].as_array().is_some_and(|list| list.contains(&json!("reasoning.encrypted_content"))) {
            item["encrypted_content"] = signature.into();
        }
        items.push(item);
    }
    if !answer.text.is_empty() {
        let part = json!({"type": "output_text", "annotations": [], "logprobs": [], "text": answer.whole_text()});
        items.push(json!({"id": "msg_scripted1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}));
    }
    for call in answer.calls {
        items.push(json!({
            "id": format!("fc_{}", call.id), "type": "function_call", "status": "completed", "call_id": call.id,
            "name": call.name, "arguments": call.arguments.concat(),
        }));
    }
    items
}

/// `answer` where it is over.
fn response(model: &str, output: Vec<Value>, answer: Option<&Answer>) -> Value {
    let cut = answer.is_some_and(|answer| answer.stop == Stop::Length);
    let status = if answer.is_none() {
        "in_progress"
    } else if cut {
        "incomplete"
    } else {
        "completed"
    };
    let details = if cut { json!({"reason": "max_output_tokens"}) } else { Value::Null };
    json!({
        "id": ID, "object": "response", "created_at": 1_790_000_000, "status": status, "background": false,
        "error": null, "incomplete_details": details, "instructions": null, "max_output_tokens": null, "model": model,
        "output": output, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": "medium", "summary": "auto"}, "store": false, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": answer.map(|answer| usage(answer.usage)), "metadata": {},
    })
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input, "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output, "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    })
}
