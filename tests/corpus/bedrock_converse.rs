//! Bedrock Converse: every recorded answer, and every request of the callers' dialects written for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tollgate::chat::{Block, Content, Event, Grammar, Response, Usage};
use tollgate::dialect::{Dialect, Inbound, Label};
use tollgate::wire::frame::{Frame, Framing, Splitter};
use tollgate::wire::json::Fields;

use crate::cases::{Case, Faults, cases};
use crate::event_stream::naive_frames;

const DIALECT: Dialect = Dialect::BedrockConverse;

/// What any reading of an answer must agree upon.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    text: String,
    thinking: String,
    signatures: Vec<String>,
    sealed: Vec<String>,
    calls: Vec<(String, String, Value)>,
    stop: Option<String>,
    usage: Usage,
    is_complete: bool,
}

#[test]
fn every_recorded_stream_says_what_its_bytes_say() {
    let (mut faults, mut read) = (Faults::default(), 0);
    for case in cases("bedrock-converse") {
        let Some(body) = case.body("response.eventstream") else { continue };
        let expected = naive_stream(&body);
        let events = decode(&body, body.len());
        in_order(&events, &case);
        let told = told(&events);
        faults.check(&case, told == expected, || format!("{told:?}\nis not {expected:?}"));
        for size in [1, 7] {
            faults.check(&case, decode(&body, size) == events, || format!("differs in chunks of {size}"));
        }
        for caller in [Inbound::OpenaiChat, Inbound::Anthropic] {
            through(caller, &events, &expected, &case, &mut faults);
        }
        // Cut anywhere before its last two frames, of which one is the stop, it is not complete.
        let frames = naive_frames(&body);
        let cut: usize = frames.iter().rev().take(2).map(|(_, payload)| payload.len()).sum();
        for at in (0..body.len().saturating_sub(cut + 300)).step_by(body.len() / 50 + 1) {
            let is_cut = !decode(&body[..at], 64).contains(&Event::End);
            faults.check(&case, is_cut, || format!("is complete although cut at {at}"));
        }
        read += 1;
    }
    faults.report();
    println!("{read} streams");
}

#[test]
fn every_recorded_answer_says_what_its_bytes_say() {
    let (mut faults, mut read, mut errors) = (Faults::default(), 0, 0);
    for case in cases("bedrock-converse") {
        let Some(body) = case.body("response.json") else { continue };
        let value: Value = serde_json::from_slice(&body).unwrap();
        if case.status >= 400 {
            let message = value["message"].as_str().map(str::to_owned);
            faults.check(&case, message.is_some() && DIALECT.read_error(&body) == message, || "the error".to_owned());
            faults.check(&case, DIALECT.read_response(&body).is_err(), || "is an answer".to_owned());
            errors += 1;
            continue;
        }
        let expected = naive_answer(&value);
        let response = DIALECT.read_response(&body).unwrap_or_else(|why| panic!("{}: {why:?}", case.name));
        let whole = whole(&response);
        faults.check(&case, whole == expected, || format!("{whole:?}\nis not {expected:?}"));
        faults.check(&case, told(&response.events()) == expected, || "its events differ".to_owned());
        for caller in [Inbound::OpenaiChat, Inbound::Anthropic] {
            through(caller, &response.events(), &expected, &case, &mut faults);
        }
        read += 1;
    }
    faults.report();
    println!("{read} answers, {errors} errors");
}

/// Failures as they are documented and reported, in whole answers and in the middle of a stream.
#[test]
fn every_known_failure_is_told_with_its_message() {
    let lines = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/faults").join(name);
        let text = fs::read_to_string(path).unwrap_or_default();
        let faults: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        faults.into_iter().filter(|fault| fault["api"] == "bedrock-converse").collect::<Vec<_>>()
    };
    let (errors, frames) = (lines("errors.jsonl"), lines("midstream.jsonl"));
    for fault in &errors {
        let body = fault["body"].to_string();
        assert_eq!(DIALECT.read_error(body.as_bytes()).as_deref(), fault["body"]["message"].as_str(), "{fault}");
    }
    for fault in &frames {
        let headers = &fault["frame"]["headers"];
        // An error without a model has its words in a header, which the framing moves into the data.
        let (name, data) = match headers[":error-code"].as_str() {
            Some(code) => (code, json!({"message": headers[":error-message"]})),
            None => (headers[":exception-type"].as_str().unwrap(), fault["frame"]["payload"].clone()),
        };
        let (mut decoder, mut events) = (DIALECT.decoder(), Vec::new());
        for (name, data) in [("messageStart", json!({"role": "assistant"})), (name, data.clone())] {
            let data = Some(data.to_string().into());
            decoder.frame(&Frame { event: Some(name), data }, &mut events).unwrap();
        }
        decoder.finish(&mut events);
        let told = matches!(events.last(), Some(Event::Error { message, .. }) if data["message"] == message.as_str());
        assert!(told, "{fault}: {events:?}");
    }
    println!("{} errors, {} frames", errors.len(), frames.len());
}

/// The recorded callers of both dialects, as if their model were on Bedrock: the service's own model must know every field
/// of what is written, and the rules it enforces beyond that must hold.
#[test]
fn every_request_of_a_caller_becomes_one_that_the_service_knows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/schemas/bedrock-runtime.service-2.json");
    let Ok(service) = fs::read(path) else { return };
    let service: Value = serde_json::from_slice(&service).unwrap();
    let (mut faults, mut written) = (Faults::default(), 0);
    let mut lost = BTreeMap::<String, usize>::new();
    for (api, caller) in [("anthropic-messages", Inbound::Anthropic), ("openai-chat", Inbound::OpenaiChat)] {
        for case in cases(api) {
            let Some(body) = case.body("request.json") else { continue };
            let Ok(fields) = Fields::read(&body) else { continue };
            // What is no request of its dialect is that dialect's to say.
            let body = fields.with(&[("model", "\"m\"")]);
            let Ok(mut request) = caller.read_request(&Fields::read(&body).unwrap()) else { continue };
            for model in ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", "mistral.mistral-large-3-675b-instruct"] {
                request.model = model.to_owned();
                let mut losses = Vec::new();
                let value: Value = serde_json::from_slice(&DIALECT.write_request(&request, &mut losses)).unwrap();
                for name in losses {
                    *lost.entry(name).or_default() += 1;
                }
                let mut with_id = value.clone();
                with_id["modelId"] = model.into();
                let mut found = Vec::new();
                conform(&service["shapes"], "ConverseRequest", &with_id, "", &mut found);
                found.extend(enforced(&value, model.starts_with("mistral")));
                faults.check(&case, found.is_empty(), || format!("{model}: {}", found.join("; ")));
                written += 1;
            }
        }
    }
    faults.report();
    println!("{written} requests\nlost: {lost:#?}");
}

fn label() -> Label {
    Label { id: "ours".to_owned(), usage_wanted: true, ..Label::default() }
}

fn decode(body: &[u8], size: usize) -> Vec<Event> {
    let mut decoder = DIALECT.decoder();
    let (mut splitter, mut events) = (Splitter::new(Framing::EventStream), Vec::new());
    for chunk in body.chunks(size.max(1)) {
        let each = |raw: &[u8]| {
            decoder.frame(&Frame::read(Framing::EventStream, raw).unwrap(), &mut events).unwrap();
        };
        splitter.feed(chunk, each).unwrap();
    }
    decoder.finish(&mut events);
    events
}

fn in_order(events: &[Event], case: &Case) {
    let mut at = Grammar::default();
    for event in events {
        at = at.after(event).unwrap_or_else(|_| panic!("{}: {event:?} at {at:?}", case.name));
    }
    assert!(at.is_over(), "{}", case.name);
}

/// Through a caller's dialect and back: text, calls and usage are what they were.
fn through(caller: Inbound, events: &[Event], expected: &Answer, case: &Case, faults: &mut Faults) {
    let (mut encoder, mut encoded) = (caller.encoder(label()), Vec::new());
    events.iter().for_each(|event| encoder.event(event, &mut encoded));
    let mut decoder = caller.dialect().unwrap().decoder();
    let (mut splitter, mut again) = (Splitter::default(), Vec::new());
    splitter
        .feed(&encoded, |raw| decoder.frame(&Frame::read(Framing::Sse, raw).unwrap(), &mut again).unwrap())
        .unwrap();
    decoder.finish(&mut again);
    let again = told(&again);
    let same = again.text == expected.text
        && again.thinking == expected.thinking
        && again.calls == expected.calls
        && again.usage == expected.usage
        && again.is_complete;
    faults.check(case, same, || format!("through {caller:?}: {again:?}\nis not {expected:?}"));
}

fn told(events: &[Event]) -> Answer {
    let (mut answer, mut arguments, mut call) = (Answer::default(), String::new(), None);
    let mut signature = String::new();
    for event in events {
        match event {
            Event::Open(Block::ToolCall { id, name, .. }) => call = Some((id.clone(), name.clone())),
            Event::Open(Block::SealedReasoning(data)) => answer.sealed.push(data.clone()),
            Event::Start { .. } | Event::Open(_) | Event::Ping => {}
            Event::Text(text) => answer.text += text,
            Event::Reasoning(text) => answer.thinking += text,
            Event::Signature(text) => signature += text,
            Event::Arguments(text) => arguments += text,
            Event::Close => {
                answer.signatures.extend(Some(std::mem::take(&mut signature)).filter(|text| !text.is_empty()));
                if let Some((id, name)) = call.take() {
                    answer.calls.push((id, name, parsed(&std::mem::take(&mut arguments))));
                }
            }
            Event::Stop(stop) => answer.stop = stop.native.clone(),
            Event::Usage(usage) => answer.usage = *usage,
            Event::Error { .. } => panic!("no recording has one"),
            Event::End => answer.is_complete = true,
        }
    }
    answer
}

/// The arguments of a call; none are an empty object.
fn parsed(arguments: &str) -> Value {
    if arguments.is_empty() { json!({}) } else { serde_json::from_str(arguments).unwrap_or(Value::Null) }
}

fn whole(response: &Response) -> Answer {
    let mut answer = Answer {
        stop: response.stop.native.clone(),
        usage: response.usage.unwrap_or_default(),
        is_complete: true,
        ..Answer::default()
    };
    for part in &response.parts {
        match &part.content {
            Content::Text(text) => answer.text += text,
            Content::Reasoning { text, signature } => {
                answer.thinking += text;
                answer.signatures.extend(signature.clone());
            }
            Content::SealedReasoning(data) => answer.sealed.push(data.clone()),
            Content::ToolCall(call) => {
                answer.calls.push((call.id.clone(), call.name.clone(), parsed(&call.arguments)));
            }
            other => panic!("{other:?}"),
        }
    }
    answer
}

/// Gathers the pieces by their index as untyped JSON, into the shape of a whole answer.
fn naive_stream(body: &[u8]) -> Answer {
    let mut blocks = BTreeMap::<u64, Value>::new();
    let (mut stop, mut usage) = (Value::Null, Value::Null);
    for (headers, payload) in naive_frames(body) {
        let event: Value = serde_json::from_slice(&payload).unwrap();
        let block = blocks.entry(event["contentBlockIndex"].as_u64().unwrap_or(u64::MAX)).or_insert(json!({}));
        let add = |place: &mut Value, piece: &Value| {
            if let Some(piece) = piece.as_str() {
                *place = json!(place.as_str().unwrap_or_default().to_owned() + piece);
            }
        };
        match headers[":event-type"].as_str().unwrap() {
            "contentBlockStart" => *block = event["start"].clone(),
            "contentBlockDelta" => {
                let delta = &event["delta"];
                add(&mut block["text"], &delta["text"]);
                if delta["toolUse"].is_object() {
                    add(&mut block["toolUse"]["json"], &delta["toolUse"]["input"]);
                }
                let reasoning = &delta["reasoningContent"];
                add(&mut block["reasoningContent"]["reasoningText"]["text"], &reasoning["text"]);
                add(&mut block["reasoningContent"]["reasoningText"]["signature"], &reasoning["signature"]);
                add(&mut block["reasoningContent"]["redactedContent"], &reasoning["redactedContent"]);
            }
            "messageStop" => stop = event["stopReason"].clone(),
            "metadata" => usage = event["usage"].clone(),
            _ => {}
        }
    }
    for block in blocks.values_mut() {
        if let Some(arguments) = block["toolUse"]["json"].as_str() {
            block["toolUse"]["input"] = parsed(arguments);
        }
    }
    let content: Vec<Value> = blocks.into_values().collect();
    naive_answer(&json!({"output": {"message": {"content": content}}, "stopReason": stop, "usage": usage}))
}

fn naive_answer(value: &Value) -> Answer {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let count = |name: &str| value["usage"][name].as_u64().unwrap_or_default();
    let (cached_input, cache_write) = (count("cacheReadInputTokens"), count("cacheWriteInputTokens"));
    let mut answer = Answer {
        stop: value["stopReason"].as_str().map(str::to_owned),
        usage: Usage {
            input: count("inputTokens") + cached_input + cache_write,
            cached_input,
            cache_write,
            output: count("outputTokens"),
            reasoning: 0,
        },
        is_complete: true,
        ..Answer::default()
    };
    for block in value["output"]["message"]["content"].as_array().unwrap() {
        answer.text += &text(&block["text"]);
        for cited in block["citationsContent"]["content"].as_array().into_iter().flatten() {
            answer.text += &text(&cited["text"]);
        }
        let reasoning = &block["reasoningContent"];
        answer.thinking += &text(&reasoning["reasoningText"]["text"]);
        answer.signatures.extend(reasoning["reasoningText"]["signature"].as_str().map(str::to_owned));
        answer.sealed.extend(reasoning["redactedContent"].as_str().map(str::to_owned));
        let call = &block["toolUse"];
        if call["name"].is_string() && call["type"] != "server_tool_use" {
            let arguments = if call["input"].is_null() { json!({}) } else { call["input"].clone() };
            answer.calls.push((text(&call["toolUseId"]), text(&call["name"]), arguments));
        }
    }
    answer
}

/// Names what of `value` the shape does not know, or misses.
fn conform(shapes: &Value, shape: &str, value: &Value, at: &str, found: &mut Vec<String>) {
    let rule = &shapes[shape];
    let mut check = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("{at}: {what}"));
        }
    };
    match rule["type"].as_str().unwrap() {
        "structure" if rule["document"] == true => {}
        "structure" => {
            let Some(fields) = value.as_object() else { return check(false, "not an object") };
            check(rule["union"] != true || fields.len() == 1, "not one of a union");
            for name in rule["required"].as_array().into_iter().flatten() {
                check(fields.contains_key(name.as_str().unwrap()), &format!("without {name}"));
            }
            for (name, value) in fields {
                match rule["members"][name]["shape"].as_str() {
                    Some(shape) => conform(shapes, shape, value, &format!("{at}.{name}"), found),
                    None => found.push(format!("{at}.{name}: unknown")),
                }
            }
        }
        "list" => {
            let Some(items) = value.as_array() else { return check(false, "not a list") };
            let least = rule["min"].as_u64().unwrap_or_default();
            check(items.len() as u64 >= least, "too short");
            let shape = rule["member"]["shape"].as_str().unwrap();
            for (index, item) in items.iter().enumerate() {
                conform(shapes, shape, item, &format!("{at}[{index}]"), found);
            }
        }
        "string" | "blob" => {
            let Some(text) = value.as_str() else { return check(false, "not a string") };
            let length = text.chars().count() as u64;
            check(length >= rule["min"].as_u64().unwrap_or_default(), "too short");
            check(length <= rule["max"].as_u64().unwrap_or(u64::MAX), "too long");
            let words = rule["enum"].as_array();
            check(words.is_none_or(|words| words.contains(value)), "not a known word");
        }
        "integer" | "long" => check(value.is_u64(), "not an integer"),
        "float" | "double" => {
            let (least, most) = (rule["min"].as_f64().unwrap_or(f64::MIN), rule["max"].as_f64().unwrap_or(f64::MAX));
            check(value.as_f64().is_some_and(|number| (least..=most).contains(&number)), "not in its range");
        }
        "boolean" => check(value.is_boolean(), "not true or false"),
        other => panic!("{other}"),
    }
}

/// What the service enforces and its model does not say.
fn enforced(body: &Value, is_mistral: bool) -> Vec<String> {
    let mut found = Vec::new();
    let turns = body["messages"].as_array().unwrap();
    let roles: Vec<&str> = turns.iter().map(|turn| turn["role"].as_str().unwrap()).collect();
    let alternate = roles.windows(2).all(|pair| pair[0] != pair[1]) && roles.first() == Some(&"user");
    found.extend((!alternate).then(|| format!("roles {roles:?}")));
    let fits = |text: &str, more: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let is_id = |id: &str| if is_mistral { id.len() == 9 && fits(id, "", 9) } else { fits(id, "_.:-", 64) };
    let mut has_tools = false;
    for block in turns.iter().flat_map(|turn| turn["content"].as_array().unwrap()) {
        for id in
            [&block["toolUse"]["toolUseId"], &block["toolResult"]["toolUseId"]].iter().filter_map(|id| id.as_str())
        {
            has_tools |= block["toolUse"].is_object();
            found.extend((!is_id(id)).then(|| format!("id {id}")));
        }
        if let Some(name) = block["toolUse"]["name"].as_str() {
            found.extend((!fits(name, "_-", 64)).then(|| format!("name {name}")));
        }
        let is_blank = block["text"].as_str().is_some_and(|text| text.trim().is_empty());
        found.extend(is_blank.then(|| "a blank text".to_owned()));
    }
    for tool in body["toolConfig"]["tools"].as_array().into_iter().flatten() {
        if let Some(name) = tool["toolSpec"]["name"].as_str() {
            found.extend((!fits(name, "_-", 64)).then(|| format!("name {name}")));
            let schema = &tool["toolSpec"]["inputSchema"]["json"];
            found.extend((!schema["type"].is_string()).then(|| format!("schema of {name}")));
        }
    }
    found.extend((has_tools && body["toolConfig"].is_null()).then(|| "calls without tools".to_owned()));
    found
}
