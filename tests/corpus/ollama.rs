//! Ollama's own chat API.

use serde_json::Value;
use tollgate::chat::Usage;
use tollgate::dialect::Dialect;
use tollgate::wire::frame::Framing;

use crate::cases::cases;
use crate::told::{Told, asked, decode, is_told_to_every_caller, told, words};

#[test]
fn every_recorded_stream_says_what_its_bytes_say() {
    let mut read = 0;
    for case in cases("ollama-chat") {
        let Some(body) = case.body("response.ndjson") else { continue };
        let lines: Vec<Value> =
            String::from_utf8(body.clone()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = naive(&lines);
        assert!(expected.is_complete, "{}", case.name);
        let events = decode(Dialect::Ollama, Framing::Lines, &body, body.len());
        assert_eq!(told(&events), expected, "{}", case.name);
        for size in [1, 7] {
            assert_eq!(decode(Dialect::Ollama, Framing::Lines, &body, size), events, "{}", case.name);
        }
        is_told_to_every_caller(&case, &events, &expected);
        // Cut anywhere before the last line it is not complete.
        let end = body.trim_ascii_end().iter().rposition(|byte| *byte == b'\n').unwrap();
        for at in (0..end).step_by(end / 50 + 1) {
            let events = decode(Dialect::Ollama, Framing::Lines, &body[..at], 64);
            assert!(!told(&events).is_complete, "{} cut at {at}", case.name);
        }
        read += 1;
    }
    println!("{read} streams");
}

#[test]
fn every_recorded_answer_says_what_its_bytes_say() {
    let (mut read, mut errors) = (0, 0);
    for case in cases("ollama-chat") {
        let Some(body) = case.body("response.json") else { continue };
        let value: Value = serde_json::from_slice(&body).unwrap();
        if case.status >= 400 {
            assert_eq!(Dialect::Ollama.read_error(&body).as_deref(), value["error"].as_str(), "{}", case.name);
            assert!(Dialect::Ollama.read_response(&body).is_err(), "{}", case.name);
            errors += 1;
            continue;
        }
        let expected = naive(&[value]);
        let response = Dialect::Ollama.read_response(&body).unwrap();
        assert_eq!(told(&response.events()), expected, "{}", case.name);
        is_told_to_every_caller(&case, &response.events(), &expected);
        read += 1;
    }
    println!("{read} answers, {errors} errors");
}

#[test]
fn everything_asked_in_other_dialects_can_be_asked() {
    let asked = asked();
    for (name, request) in &asked {
        let body = Dialect::Ollama.write_request(request, &mut Vec::new());
        let body: Value = serde_json::from_slice(&body).unwrap();
        let mut found = Vec::new();
        for message in body["messages"].as_array().unwrap() {
            let content = message["content"].as_str().unwrap();
            found.push(content.strip_prefix("Error: ").unwrap_or(content).to_owned());
            let calls = message["tool_calls"].as_array().into_iter().flatten();
            for call in calls {
                assert!(call["function"]["arguments"].is_object(), "{name}");
                found.push(format!("call {}", call["function"]["name"].as_str().unwrap()));
            }
        }
        // Several texts are one here, with a line end between them.
        let letters = |words: &[String]| {
            let mut letters: Vec<char> = words.concat().replace('\n', "").chars().collect();
            letters.sort_unstable();
            letters
        };
        let mut expected = words(&request.messages);
        for word in &mut expected {
            *word = word.strip_prefix("Error: ").unwrap_or(word).to_owned();
        }
        assert_eq!(letters(&found), letters(&expected), "{name}");
    }
    println!("{} requests", asked.len());
}

/// Gathers the lines into one message, as untyped JSON.
fn naive(lines: &[Value]) -> Told {
    let mut told = Told::default();
    for line in lines {
        let message = &line["message"];
        told.text += message["content"].as_str().unwrap_or_default();
        told.thinking += message["thinking"].as_str().unwrap_or_default();
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let function = &call["function"];
            told.calls.push((text(&call["id"]), text(&function["name"]), function["arguments"].clone()));
        }
        if line["done"] == true {
            let count = |name: &str| line[name].as_u64().unwrap();
            told.is_complete = true;
            told.stop = line["done_reason"].as_str().map(str::to_owned);
            let (input, output) = (count("prompt_eval_count"), count("eval_count"));
            told.usage = Some(Usage { input, output, ..Usage::default() });
        }
    }
    told
}
