//! Cohere's Chat API, version 2. Version 1 (`cohere-chat-v1`) is another protocol, which is not spoken.

use serde_json::Value;
use tollgate::chat::Usage;
use tollgate::dialect::Dialect;
use tollgate::wire::frame::Framing;

use crate::cases::cases;
use crate::told::{Told, asked, decode, is_told_to_every_caller, told, words};

#[test]
fn every_recorded_stream_says_what_its_bytes_say() {
    let mut read = 0;
    for case in cases("cohere-chat") {
        let Some(body) = case.body("response.sse") else { continue };
        let expected = naive_stream(&String::from_utf8(body.clone()).unwrap());
        assert!(expected.is_complete, "{}", case.name);
        let events = decode(Dialect::Cohere, Framing::Sse, &body, body.len());
        assert_eq!(told(&events), expected, "{}", case.name);
        for size in [1, 7] {
            assert_eq!(decode(Dialect::Cohere, Framing::Sse, &body, size), events, "{}", case.name);
        }
        is_told_to_every_caller(&case, &events, &expected);
        // Cut anywhere before the end it is not complete.
        let end = String::from_utf8(body.clone()).unwrap().find("message-end").unwrap();
        for at in (0..end).step_by(end / 50 + 1) {
            assert!(
                !told(&decode(Dialect::Cohere, Framing::Sse, &body[..at], 64)).is_complete,
                "{} at {at}",
                case.name
            );
        }
        read += 1;
    }
    println!("{read} streams");
}

#[test]
fn every_recorded_answer_says_what_its_bytes_say() {
    let mut read = 0;
    for case in cases("cohere-chat") {
        let Some(body) = case.body("response.json") else { continue };
        let value: Value = serde_json::from_slice(&body).unwrap();
        let expected = naive_answer(&value["message"], &value["finish_reason"], &value["usage"]);
        let response = Dialect::Cohere.read_response(&body).unwrap();
        assert_eq!(response.id, value["id"], "{}", case.name);
        assert_eq!(told(&response.events()), expected, "{}", case.name);
        is_told_to_every_caller(&case, &response.events(), &expected);
        read += 1;
    }
    println!("{read} answers");
}

#[test]
fn everything_asked_in_other_dialects_can_be_asked() {
    let asked = asked();
    for (name, request) in &asked {
        let body = Dialect::Cohere.write_request(request, &mut Vec::new());
        let body: Value = serde_json::from_slice(&body).unwrap();
        let mut found = Vec::new();
        for message in body["messages"].as_array().unwrap() {
            found.extend(texts(&message["content"]));
            found.extend(message["tool_plan"].as_str().map(str::to_owned));
            let calls = message["tool_calls"].as_array().into_iter().flatten();
            found.extend(calls.map(|call| format!("call {}", call["function"]["name"].as_str().unwrap())));
        }
        // Words before calls are their plan, or thoughts beside others.
        for word in words(&request.messages) {
            assert!(found.iter().any(|found| found.contains(&word)), "{name}: {word}");
        }
    }
    println!("{} requests", asked.len());
}

fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => {
            let text = |block: &Value| block["text"].as_str().or(block["thinking"].as_str()).map(str::to_owned);
            blocks.iter().filter_map(text).collect()
        }
        _ => Vec::new(),
    }
}

/// Gathers the data lines into one message, as untyped JSON.
fn naive_stream(body: &str) -> Told {
    let mut told = Told::default();
    let mut calls: Vec<(String, String, String)> = Vec::new();
    for data in body.lines().filter_map(|line| line.strip_prefix("data:")).filter(|data| data.trim() != "[DONE]") {
        let event: Value = serde_json::from_str(data).unwrap();
        let message = &event["delta"]["message"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        told.text += &text(&message["content"]["text"]);
        told.text += &text(&message["tool_plan"]);
        told.thinking += &text(&message["content"]["thinking"]);
        let call = &message["tool_calls"];
        if event["type"] == "tool-call-start" {
            calls.push((text(&call["id"]), text(&call["function"]["name"]), String::new()));
        }
        if let Some(last) = calls.last_mut() {
            last.2 += &text(&call["function"]["arguments"]);
        }
        if event["type"] == "message-end" {
            told.is_complete = true;
            told.stop = event["delta"]["finish_reason"].as_str().map(str::to_owned);
            told.usage = naive_usage(&event["delta"]["usage"]);
        }
    }
    told.calls = calls.into_iter().map(|(id, name, text)| (id, name, arguments(&text))).collect();
    told
}

fn naive_answer(message: &Value, finish_reason: &Value, usage: &Value) -> Told {
    let mut told = Told {
        stop: finish_reason.as_str().map(str::to_owned),
        usage: naive_usage(usage),
        is_complete: true,
        ..Told::default()
    };
    for block in message["content"].as_array().into_iter().flatten() {
        told.text += block["text"].as_str().unwrap_or_default();
        told.thinking += block["thinking"].as_str().unwrap_or_default();
    }
    told.text += message["tool_plan"].as_str().unwrap_or_default();
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let function = &call["function"];
        told.calls.push((text(&call["id"]), text(&function["name"]), arguments(&text(&function["arguments"]))));
    }
    told
}

fn arguments(text: &str) -> Value {
    serde_json::from_str(if text.is_empty() { "{}" } else { text }).unwrap()
}

fn naive_usage(usage: &Value) -> Option<Usage> {
    let billed = usage["billed_units"].as_object()?;
    let count = |value: &Value| value.as_f64().unwrap_or_default() as u64;
    Some(Usage {
        input: count(&billed["input_tokens"]),
        output: count(&billed["output_tokens"]),
        reasoning: count(&usage["tokens"]["reasoning_tokens"]).min(count(&billed["output_tokens"])),
        ..Usage::default()
    })
}
