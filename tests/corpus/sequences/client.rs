//! What clients do with an answer: how they put a stream together, and what they give back of a message in their next
//! request. Written after the official SDKs and the agents that use them, on untyped JSON.

use serde_json::{Value, json};
use tollgate::dialect::Inbound;

use super::turn::Outcome;

/// The whole message that a client has of a stream.
pub(super) fn collected(caller: Inbound, stream: &str) -> Value {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let events: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    match caller {
        Inbound::OpenaiChat | Inbound::OpenaiCompletions => chat(&events),
        Inbound::Anthropic => anthropic(&events),
        Inbound::OpenaiResponses => responses(&events),
        Inbound::Gemini => gemini(&events),
        Inbound::AiSdk(_) => ai_sdk(&events),
    }
}

fn add(to: &mut Value, piece: &Value) {
    if let Some(piece) = piece.as_str() {
        *to = json!(to.as_str().unwrap_or_default().to_owned() + piece);
    }
}

fn chat(events: &[Value]) -> Value {
    let mut message = json!({"role": "assistant", "content": null});
    let mut calls: Vec<Value> = Vec::new();
    for delta in events.iter().map(|event| &event["choices"][0]["delta"]) {
        add(&mut message["content"], &delta["content"]);
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = piece["index"].as_u64().unwrap() as usize;
            if calls.len() <= index {
                calls.resize(
                    index + 1,
                    json!({"type": "function", "id": "", "function": {"name": "", "arguments": ""}}),
                );
            }
            add(&mut calls[index]["id"], &piece["id"]);
            for name in ["name", "arguments"] {
                add(&mut calls[index]["function"][name], &piece["function"][name]);
            }
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    json!({"choices": [{"message": message}]})
}

fn anthropic(events: &[Value]) -> Value {
    let mut content: Vec<Value> = Vec::new();
    for event in events {
        match event["type"].as_str().unwrap() {
            "content_block_start" => content.push(event["content_block"].clone()),
            "content_block_delta" => {
                let block = &mut content[event["index"].as_u64().unwrap() as usize];
                for name in ["text", "thinking", "signature", "partial_json"] {
                    add(&mut block[name], &event["delta"][name]);
                }
            }
            _ => {}
        }
    }
    for block in &mut content {
        let json = block.as_object_mut().unwrap().remove("partial_json");
        if let Some(input) = json.as_ref().and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok()) {
            block["input"] = input;
        }
        for name in ["text", "thinking", "signature"] {
            if block[name].is_null() {
                block.as_object_mut().unwrap().remove(name);
            }
        }
    }
    json!({"content": content})
}

/// As Codex has it, which reads the finished items only.
fn responses(events: &[Value]) -> Value {
    let done = events.iter().filter(|event| event["type"] == "response.output_item.done");
    json!({"output": done.map(|event| event["item"].clone()).collect::<Vec<_>>()})
}

fn gemini(events: &[Value]) -> Value {
    let parts = |event: &Value| event["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default();
    let parts: Vec<Value> = events.iter().flat_map(parts).collect();
    json!({"candidates": [{"content": {"role": "model", "parts": parts}}]})
}

fn ai_sdk(events: &[Value]) -> Value {
    let mut content: Vec<Value> = Vec::new();
    for event in events {
        match event["type"].as_str().unwrap() {
            "text-start" => content.push(json!({"type": "text", "text": ""})),
            "reasoning-start" => content.push(json!({"type": "reasoning", "text": ""})),
            "tool-call" => content.push(event.clone()),
            "text-delta" | "reasoning-delta" => add(&mut content.last_mut().unwrap()["text"], &event["delta"]),
            _ => {}
        }
        let is_of_block = ["text-", "reasoning-"].iter().any(|kind| event["type"].as_str().unwrap().starts_with(kind));
        if is_of_block && !event["providerMetadata"].is_null() {
            content.last_mut().unwrap()["providerMetadata"] = event["providerMetadata"].clone();
        }
    }
    json!({"content": content})
}

/// The request with the message, and with results of its calls in their order.
pub(super) fn next_request(caller: Inbound, message: &Value, results: &[Outcome]) -> Value {
    match caller {
        Inbound::OpenaiChat | Inbound::OpenaiCompletions => {
            let said = &message["choices"][0]["message"];
            // Clients know nothing of reasoning, and drop it.
            let mut turn = json!({"role": "assistant", "content": said["content"]});
            let mut messages = vec![json!({"role": "user", "content": "hi"})];
            let calls = said["tool_calls"].as_array().cloned().unwrap_or_default();
            if !calls.is_empty() {
                turn["tool_calls"] = calls.clone().into();
            }
            messages.push(turn);
            for (call, result) in calls.iter().zip(results) {
                messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result.text}));
            }
            json!({"model": "m", "messages": messages})
        }
        Inbound::Anthropic => {
            let content = message["content"].as_array().unwrap();
            let calls = content.iter().filter(|block| block["type"] == "tool_use");
            let block = |(call, result): (&Value, &Outcome)| json!({"type": "tool_result", "tool_use_id": call["id"], "content": result.text});
            let mut messages =
                vec![json!({"role": "user", "content": "hi"}), json!({"role": "assistant", "content": content})];
            let results: Vec<Value> = calls.zip(results).map(block).collect();
            if !results.is_empty() {
                messages.push(json!({"role": "user", "content": results}));
            }
            json!({"model": "m", "max_tokens": 8000, "messages": messages})
        }
        Inbound::OpenaiResponses => {
            let items = message["output"].as_array().unwrap();
            let mut input = vec![json!({"role": "user", "content": "hi"})];
            for item in items {
                let mut item = item.clone();
                // What nobody stores has no id (Codex).
                item.as_object_mut().unwrap().remove("id");
                input.push(item);
            }
            let calls = items.iter().filter(|item| !item["call_id"].is_null());
            for (call, result) in calls.zip(results) {
                let kind = format!("{}_output", call["type"].as_str().unwrap());
                input.push(json!({"type": kind, "call_id": call["call_id"], "output": result.text}));
            }
            json!({"model": "m", "input": input, "store": false, "include": ["reasoning.encrypted_content"]})
        }
        Inbound::Gemini => {
            let parts = message["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default();
            // Gemini CLI drops thoughts.
            let parts: Vec<Value> = parts.into_iter().filter(|part| part["thought"] != true).collect();
            let calls = parts.iter().filter_map(|part| part.get("functionCall"));
            let answer = |(call, result): (&Value, &Outcome)| {
                let mut answer = json!({"name": call["name"], "response": {"output": result.text}});
                if let Some(id) = call.get("id") {
                    answer["id"] = id.clone();
                }
                json!({"functionResponse": answer})
            };
            let answers: Vec<Value> = calls.zip(results).map(answer).collect();
            let mut contents = vec![json!({"role": "user", "parts": [{"text": "hi"}]})];
            contents.push(json!({"role": "model", "parts": parts}));
            if !answers.is_empty() {
                contents.push(json!({"role": "user", "parts": answers}));
            }
            json!({"model": "m", "contents": contents})
        }
        Inbound::AiSdk(_) => {
            let content = message["content"].as_array().unwrap();
            let mut said = content.clone();
            for part in &mut said {
                let metadata = part.as_object_mut().unwrap().remove("providerMetadata");
                part["providerOptions"] = metadata.unwrap_or_default();
                if let Some(input) = part["input"].as_str().and_then(|text| serde_json::from_str(text).ok()) {
                    part["input"] = input;
                }
            }
            let mut prompt = vec![
                json!({"role": "user", "content": [{"type": "text", "text": "hi"}]}),
                json!({"role": "assistant", "content": said}),
            ];
            let calls = content.iter().filter(|part| part["type"] == "tool-call");
            let answer = |(call, result): (&Value, &Outcome)| {
                let output = json!({"type": "text", "value": result.text});
                json!({"type": "tool-result", "toolCallId": call["toolCallId"], "toolName": call["toolName"], "output": output})
            };
            let answers: Vec<Value> = calls.zip(results).map(answer).collect();
            if !answers.is_empty() {
                prompt.push(json!({"role": "tool", "content": answers}));
            }
            json!({"prompt": prompt})
        }
    }
}
