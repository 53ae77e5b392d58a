//! Responses, of OpenAI and of those who copied it.

use std::sync::Arc;

use serde_json::Value;
use tollgate::chat::{Block, Content, Event, Grammar, Message, Part, Request, Role, StopReason, Usage};
use tollgate::dialect::{Dialect, Inbound, Label};
use tollgate::wire::frame::{Frame, Framing, Splitter};
use tollgate::wire::json::Fields;

use crate::cases::{Case, Faults, cases};

/// Requests that only a provider with a memory can take, by what we say of them.
const REFUSALS: &[&str] = &[
    "previous_response_id: the target of this model keeps no responses",
    "conversation: the target of this model keeps no conversations",
    "background: the target of this model answers at once",
    "prompt: the target of this model keeps no prompts",
    "refers to what was stored",
];

/// What any reading of an answer must agree upon.
#[derive(Debug, Default, Clone, PartialEq)]
struct Answer {
    id: String,
    model: String,
    texts: Vec<String>,
    thoughts: Vec<String>,
    /// `encrypted_content`, beside thoughts or alone.
    proofs: Vec<String>,
    /// Id, name and arguments.
    calls: Vec<(String, String, String)>,
    reason: Option<StopReason>,
    usage: Option<Usage>,
    is_complete: bool,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Adds one item of an output.
fn add(answer: &mut Answer, item: &Value, refused: &mut bool) {
    match item["type"].as_str().unwrap() {
        "message" => {
            for part in item["content"].as_array().unwrap() {
                *refused |= part["refusal"].is_string();
                answer.texts.push(text(&part["text"]) + &text(&part["refusal"]));
            }
        }
        "reasoning" => {
            let parts = item["summary"].as_array().into_iter().chain(item["content"].as_array()).flatten();
            let texts: Vec<String> = parts.map(|part| text(&part["text"])).filter(|text| !text.is_empty()).collect();
            answer.thoughts.push(texts.join("\n\n"));
            answer.proofs.push(text(&item["encrypted_content"]));
        }
        "function_call" => answer.calls.push((text(&item["call_id"]), name(item), text(&item["arguments"]))),
        "custom_tool_call" => {
            let arguments = serde_json::json!({ "input": item["input"] }).to_string();
            answer.calls.push((text(&item["call_id"]), name(item), arguments));
        }
        _ => {}
    }
}

fn name(item: &Value) -> String {
    match item["namespace"].as_str() {
        Some(namespace) if item["name"] != namespace => format!("{namespace}__{}", text(&item["name"])),
        _ => text(&item["name"]),
    }
}

fn conclude(mut answer: Answer, response: &Value, refused: bool) -> Answer {
    answer.id = text(&response["id"]);
    answer.model = text(&response["model"]);
    answer.reason = Some(match response["incomplete_details"]["reason"].as_str() {
        Some("content_filter") => StopReason::Filtered,
        Some(_) => StopReason::Length,
        None if refused => StopReason::Filtered,
        None if !answer.calls.is_empty() => StopReason::ToolUse,
        None => StopReason::EndTurn,
    });
    let usage = &response["usage"];
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    answer.usage = usage.is_object().then(|| Usage {
        input: count(&usage["input_tokens"]),
        cached_input: count(&usage["input_tokens_details"]["cached_tokens"]),
        cache_write: count(&usage["input_tokens_details"]["cache_write_tokens"]),
        output: count(&usage["output_tokens"]),
        reasoning: count(&usage["output_tokens_details"]["reasoning_tokens"]),
    });
    answer.is_complete = true;
    clean(answer)
}

fn clean(mut answer: Answer) -> Answer {
    for list in [&mut answer.texts, &mut answer.thoughts, &mut answer.proofs] {
        list.retain(|text| !text.is_empty());
    }
    for call in answer.calls.iter_mut().filter(|call| call.2.is_empty()) {
        call.2 = "{}".to_owned();
    }
    answer
}

/// The first response of a recorded stream: its finished items, and its last event. Some recordings hold several.
/// Copilot gives every event another id; the first one counts.
fn naive_stream(body: &[u8]) -> Answer {
    let (mut answer, mut refused, mut id) = (Answer::default(), false, String::new());
    for line in String::from_utf8(body.to_vec()).unwrap().split('\n') {
        let Some(data) = line.trim().strip_prefix("data:").map(str::trim).filter(|data| *data != "[DONE]") else {
            continue;
        };
        let event: Value = serde_json::from_str(data).unwrap();
        match event["type"].as_str().unwrap() {
            "response.created" => id = text(&event["response"]["id"]),
            "response.output_item.done" => add(&mut answer, &event["item"], &mut refused),
            "response.completed" | "response.incomplete" => {
                return Answer { id, ..conclude(answer, &event["response"], refused) };
            }
            _ => {}
        }
    }
    answer
}

fn naive_whole(response: &Value) -> Answer {
    let (mut answer, mut refused) = (Answer::default(), false);
    // Of mistral.rs; elsewhere the settings stand there.
    answer.thoughts.extend(response["reasoning"].as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned));
    response["output"].as_array().unwrap().iter().for_each(|item| add(&mut answer, item, &mut refused));
    conclude(answer, response, refused)
}

fn told(events: &[Event]) -> Answer {
    let mut answer = Answer::default();
    for event in events {
        match event {
            Event::Start { id, model } => (answer.id, answer.model) = (id.clone(), model.clone()),
            Event::Open(Block::Text) => answer.texts.push(String::new()),
            Event::Open(Block::Reasoning) => answer.thoughts.push(String::new()),
            Event::Open(Block::SealedReasoning(sealed)) => answer.proofs.push(sealed.clone()),
            Event::Open(Block::ToolCall { id, name, .. }) => {
                answer.calls.push((id.clone(), name.clone(), String::new()));
            }
            Event::Text(words) => answer.texts.last_mut().unwrap().push_str(words),
            Event::Reasoning(words) => answer.thoughts.last_mut().unwrap().push_str(words),
            Event::Signature(signature) => answer.proofs.push(signature.clone()),
            Event::Arguments(words) => answer.calls.last_mut().unwrap().2.push_str(words),
            Event::Close | Event::Ping => {}
            Event::Stop(stop) => answer.reason = Some(stop.reason),
            Event::Usage(usage) => answer.usage = Some(*usage),
            Event::Error { message, .. } => panic!("{message}"),
            Event::End => answer.is_complete = true,
        }
    }
    clean(answer)
}

fn decode(body: &[u8], size: usize) -> Result<Vec<Event>, String> {
    decode_as(Dialect::OpenaiResponses, body, size)
}

fn decode_as(dialect: Dialect, body: &[u8], size: usize) -> Result<Vec<Event>, String> {
    let (mut splitter, mut decoder) = (Splitter::default(), dialect.decoder());
    let (mut events, mut fault) = (Vec::new(), None);
    for chunk in body.chunks(size.max(1)) {
        let each = |raw: &[u8]| {
            if let Err(error) = decoder.frame(&Frame::read(Framing::Sse, raw).unwrap(), &mut events) {
                fault = Some(error.0);
            }
        };
        splitter.feed(chunk, each).unwrap();
    }
    // A stream that was cut may end inside a frame.
    if let Some(frame) = Frame::read(Framing::Sse, &splitter.take_rest()) {
        let _ = decoder.frame(&frame, &mut events);
    }
    decoder.finish(&mut events);
    events.retain(|event| *event != Event::Ping);
    fault.map_or(Ok(events), Err)
}

fn walk(events: &[Event]) -> Option<Grammar> {
    events.iter().try_fold(Grammar::default(), |at, event| at.after(event)).ok()
}

/// With the request, so that tools get their own names and kinds back.
fn label(case: &Case) -> Label {
    let body = case.body("request.json");
    let request = body.and_then(|body| Inbound::OpenaiResponses.read_request(&Fields::read(&body).ok()?).ok());
    let request = request.map(Arc::new);
    Label { id: "req_1".to_owned(), created: 1, usage_wanted: true, request, ..Label::default() }
}

#[test]
fn every_recorded_stream_says_what_its_bytes_say() {
    let (mut read, mut faults) = (0, Faults::default());
    for case in cases("openai-responses") {
        let Some(body) = case.body("response.sse") else { continue };
        read += 1;
        let expected = naive_stream(&body);
        let whole = match decode(&body, body.len()) {
            Ok(events) => events,
            Err(fault) => {
                faults.check(&case, false, || fault);
                continue;
            }
        };
        faults.check(&case, walk(&whole) == Some(Grammar::Ended), || format!("out of order: {whole:?}"));
        let found = told(&whole);
        faults.check(&case, found == expected, || format!("{found:?}\n instead of {expected:?}"));
        for size in [1, 7] {
            faults.check(&case, decode(&body, size).as_ref() == Ok(&whole), || format!("differs in chunks of {size}"));
        }
        // Through our own encoder and back.
        let mut encoder = Inbound::OpenaiResponses.encoder(label(&case));
        let mut encoded = Vec::new();
        whole.iter().for_each(|event| encoder.event(event, &mut encoded));
        let again = decode(&encoded, encoded.len()).unwrap();
        faults.check(&case, walk(&again) == Some(Grammar::Ended), || format!("out of order: {again:?}"));
        let found = told(&again);
        // A refusal is written as filtered text.
        let expected = Answer { usage: Some(expected.usage.unwrap_or_default()), ..expected };
        faults.check(&case, found == expected, || format!("written {found:?}\n instead of {expected:?}"));
        let found = naive_stream(&encoded);
        faults.check(&case, found == expected, || format!("writes {found:?}\n instead of {expected:?}"));
        // Cut anywhere before the end it is not complete.
        let end = ["\"response.completed\"", "\"response.incomplete\""];
        let cut = end.iter().find_map(|end| String::from_utf8_lossy(&body).find(end)).unwrap();
        for at in (0..cut).step_by(cut / 20 + 1) {
            let is_complete = decode(&body[..at], 64).is_ok_and(|events| events.contains(&Event::End));
            faults.check(&case, !is_complete, || format!("complete when cut at {at}"));
        }
    }
    println!("{read} streams");
    faults.report();
}

#[test]
fn every_recorded_stream_of_another_dialect_says_the_same_in_this_one() {
    let (mut read, mut faults) = (0, Faults::default());
    for (api, dialect) in [("openai-chat", Dialect::OpenaiChat), ("anthropic-messages", Dialect::Anthropic)] {
        for case in cases(api) {
            let Some(body) = case.body("response.sse") else { continue };
            let Ok(events) = decode_as(dialect, &body, body.len()) else { continue };
            // Two recordings of failures, and a few that merely stop.
            if walk(&events) != Some(Grammar::Ended) {
                continue;
            }
            read += 1;
            let mut encoder = Inbound::OpenaiResponses.encoder(Label { id: "req_1".to_owned(), ..Label::default() });
            let mut encoded = Vec::new();
            events.iter().for_each(|event| encoder.event(event, &mut encoded));
            let mut expected = told(&events);
            if expected.id.is_empty() {
                "req_1".clone_into(&mut expected.id);
            }
            expected.usage = Some(expected.usage.unwrap_or_default());
            // What this dialect has no word for is an end, and calls are what a turn ends for.
            expected.reason = expected.reason.map(|reason| match reason {
                StopReason::Length | StopReason::Filtered | StopReason::Error => reason,
                _ if expected.calls.is_empty() => StopReason::EndTurn,
                _ => StopReason::ToolUse,
            });
            match decode(&encoded, 7) {
                Ok(again) => {
                    let found = told(&again);
                    faults.check(&case, found == expected, || format!("{found:?}\n instead of {expected:?}"));
                }
                Err(fault) => faults.check(&case, false, || fault),
            }
            let naive = naive_stream(&encoded);
            faults.check(&case, naive == expected, || format!("writes {naive:?}\n instead of {expected:?}"));
        }
    }
    println!("{read} streams of other dialects");
    faults.report();
}

#[test]
fn a_failure_in_the_middle_of_any_recorded_stream_is_one() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/faults");
    let lines = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|fault| fault["api"] == "openai-responses").collect::<Vec<_>>()
    };
    for error in lines("errors.jsonl") {
        let message = Dialect::OpenaiResponses.read_error(error["body"].to_string().as_bytes());
        assert_eq!(message.as_deref(), error["body"]["error"]["message"].as_str());
    }
    let failures = lines("midstream.jsonl");
    let (mut spliced, mut faults) = (0, Faults::default());
    for case in cases("openai-responses").iter().step_by(7) {
        let Some(body) = case.body("response.sse") else { continue };
        let text = String::from_utf8(body).unwrap().replace("\r\n", "\n");
        let frames: Vec<&str> = text.split_inclusive("\n\n").collect();
        let end = frames.iter().position(|frame| frame.contains("\"type\":\"response.completed\""));
        for at in 0..end.unwrap_or_default().min(40) {
            for failure in &failures {
                let stream = frames[..at].concat() + failure["frame"].as_str().unwrap();
                let events = decode(stream.as_bytes(), 64).unwrap_or_default();
                let failed =
                    matches!(events.last(), Some(Event::Error { .. })) && walk(&events) == Some(Grammar::Failed);
                faults.check(case, failed, || format!("no failure after {at} frames: {events:?}"));
                spliced += 1;
            }
        }
    }
    println!("{spliced} failures");
    faults.report();
}

#[test]
fn every_recorded_answer_says_what_its_bytes_say() {
    let (mut read, mut errors, mut waiting, mut faults) = (0, 0, 0, Faults::default());
    for case in cases("openai-responses") {
        let Some(body) = case.body("response.json") else { continue };
        let value: Value = serde_json::from_slice(&body).unwrap();
        let result = Dialect::OpenaiResponses.read_response(&body);
        if case.status >= 400 || !value["error"].is_null() {
            errors += 1;
            faults.check(&case, result.is_err(), || "an error is an answer".to_owned());
            let message = Dialect::OpenaiResponses.read_error(&body);
            let expected = value["error"]["message"].as_str().or(value["error"].as_str());
            faults.check(&case, message.as_deref() == expected, || format!("{message:?}"));
            continue;
        }
        if value["status"] == "queued" {
            // Of a background request, which is told from an answer.
            waiting += 1;
            faults.check(&case, result.is_err(), || "nothing is an answer".to_owned());
            continue;
        }
        read += 1;
        let expected = naive_whole(&value);
        let response = match result {
            Ok(response) => response,
            Err(fault) => {
                faults.check(&case, false, || fault.0);
                continue;
            }
        };
        let found = told(&response.events());
        faults.check(&case, found == expected, || format!("{found:?}\n instead of {expected:?}"));
        let written = Inbound::OpenaiResponses.write_response(&response, &label(&case));
        let expected = Answer { usage: Some(expected.usage.unwrap_or_default()), ..expected };
        let found = naive_whole(&serde_json::from_slice(&written).unwrap());
        faults.check(&case, found == expected, || format!("writes {found:?}\n instead of {expected:?}"));
        let again = Dialect::OpenaiResponses.read_response(&written).unwrap();
        let found = told(&again.events());
        faults.check(&case, found == expected, || format!("written {found:?}\n instead of {expected:?}"));
    }
    println!("{read} answers, {errors} errors, {waiting} still to be made");
    faults.report();
}

#[test]
fn every_recorded_request_is_read_and_written_back_in_meaning() {
    let (mut read, mut refused, mut faults) = (0, 0, Faults::default());
    let mut unread = std::collections::BTreeMap::<String, usize>::new();
    let mut lost = std::collections::BTreeMap::<String, usize>::new();
    for case in cases("openai-responses") {
        let Some(body) = case.body("request.json") else { continue };
        let fields = Fields::read(&body).unwrap();
        let naive: Value = serde_json::from_slice(&body).unwrap();
        let spliced: Value = serde_json::from_slice(&Inbound::OpenaiResponses.splice(&fields, "another")).unwrap();
        let mut expected = naive.clone();
        expected["model"] = "another".into();
        faults.check(&case, spliced == expected, || "splice changes more than it may".to_owned());
        let request = match Inbound::OpenaiResponses.read_request(&fields) {
            Ok(request) => request,
            Err(error) => {
                refused += 1;
                let known = REFUSALS.iter().any(|says| error.message.contains(says));
                faults.check(&case, known, || format!("{error} (the provider answered {})", case.status));
                continue;
            }
        };
        read += 1;
        request.unread.iter().for_each(|name| *unread.entry(name.clone()).or_default() += 1);
        let (found, expected) = (gist(&request), naive_gist(&naive));
        faults.check(&case, found == expected, || format!("{found:#?}\n instead of {expected:#?}"));
        let mut losses = Vec::new();
        let written = Dialect::OpenaiResponses.write_request(&request, &mut losses);
        losses.iter().for_each(|name| *lost.entry(name.clone()).or_default() += 1);
        let again = match Inbound::OpenaiResponses.read_request(&Fields::read(&written).unwrap()) {
            Ok(again) => again,
            Err(error) => {
                faults.check(&case, false, || format!("written: {error}"));
                continue;
            }
        };
        faults.check(&case, again.unread.is_empty(), || format!("writes {:?}", again.unread));
        let mut meant = request.messages.clone();
        if losses.iter().any(|name| name == "messages.reasoning") {
            meant.iter_mut().for_each(|message| message.parts.retain(is_proven));
            meant.retain(|message| !message.parts.is_empty());
        }
        meant.iter_mut().flat_map(|message| &mut message.parts).for_each(whole);
        faults.check(&case, again.messages == meant, || format!("{:?}\n instead of {meant:?}", again.messages));
        let tools = |request: &Request| {
            let tool = |tool: &tollgate::chat::Tool| {
                let schema = tool.schema.as_ref().map(|schema| schema.get().to_owned());
                (tool.name.clone(), tool.description.clone(), schema, tool.custom.clone(), tool.namespace.clone())
            };
            request.tools.iter().map(tool).collect::<Vec<_>>()
        };
        faults.check(&case, tools(&again) == tools(&request), || "tools change".to_owned());
        let settings = |request: &Request| {
            let effort = request.reasoning.clone().filter(|_| !losses.iter().any(|name| name == "thinking"));
            let format = request.format.as_ref().map(|format| format!("{format:?}"));
            let choice = request.tool_choice.clone().filter(|_| !request.tools.is_empty());
            let told = request.reasoning_told;
            (request.max_tokens, request.stream, format, effort, choice, told, request.verbosity.clone())
        };
        faults.check(&case, settings(&again) == settings(&request), || {
            format!("{:?} instead of {:?}", settings(&again), settings(&request))
        });
    }
    println!("{read} requests, {refused} refused\nunread: {unread:#?}\nlost: {lost:#?}");
    faults.report();
}

fn is_proven(part: &Part) -> bool {
    !matches!(&part.content, Content::Reasoning { signature: None, .. })
}

/// No arguments are written as an empty object.
fn whole(part: &mut Part) {
    if let Content::ToolCall(call) = &mut part.content
        && call.arguments.is_empty()
    {
        call.arguments = "{}".to_owned();
    }
}

/// All that a conversation says, in order.
fn gist(request: &Request) -> Vec<String> {
    let parts = |message: &Message| message.parts.iter().map(|part| say(message.role, part)).collect::<Vec<_>>();
    request.messages.iter().flat_map(parts).collect()
}

fn say(role: Role, part: &Part) -> String {
    match &part.content {
        Content::Text(text) => format!("{role:?} {text}"),
        Content::Image(_) => "image".to_owned(),
        Content::Document { .. } => "file".to_owned(),
        Content::ToolCall(call) => format!("call {} {} {}", call.id, call.name, call.arguments),
        Content::ToolResult { call, parts, .. } => {
            let parts: Vec<String> = parts.iter().map(|part| say(Role::User, part)).collect();
            format!("result {call} {parts:?}")
        }
        Content::Reasoning { text, signature } => {
            format!("thought {text} {}", signature.as_deref().unwrap_or_default())
        }
        Content::SealedReasoning(sealed) => format!("thought  {sealed}"),
        other => panic!("{other:?}"),
    }
}

fn naive_gist(body: &Value) -> Vec<String> {
    let mut says = Vec::new();
    if let Some(text) = body["instructions"].as_str().filter(|text| !text.is_empty()) {
        says.push(format!("System {text}"));
    }
    if let Some(text) = body["input"].as_str() {
        says.push(format!("User {text}"));
    }
    for item in body["input"].as_array().into_iter().flatten() {
        let role = match item["role"].as_str() {
            Some("assistant") => "Assistant",
            Some("user") | None => "User",
            Some(_) => "System",
        };
        match item["type"].as_str().unwrap_or("message") {
            "message" => says.extend(naive_parts(&item["content"], role)),
            "function_call" => {
                let arguments = text(&item["arguments"]);
                says.push(format!("call {} {} {arguments}", text(&item["call_id"]), name(item)));
            }
            "custom_tool_call" => {
                let arguments = serde_json::json!({ "input": item["input"] });
                says.push(format!("call {} {} {arguments}", text(&item["call_id"]), name(item)));
            }
            "function_call_output" | "custom_tool_call_output" => {
                let parts = naive_parts(&item["output"], "User");
                says.push(format!("result {} {parts:?}", text(&item["call_id"])));
            }
            "reasoning" => {
                let parts = item["summary"].as_array().into_iter().chain(item["content"].as_array()).flatten();
                let texts: Vec<String> = parts.map(|part| text(&part["text"])).collect();
                let thought = format!("thought {} {}", texts.join("\n\n"), text(&item["encrypted_content"]));
                says.extend(Some(thought).filter(|thought| thought.trim() != "thought"));
            }
            _ => {}
        }
    }
    says
}

fn naive_parts(content: &Value, role: &str) -> Vec<String> {
    if let Some(text) = content.as_str() {
        return if text.is_empty() { Vec::new() } else { vec![format!("{role} {text}")] };
    }
    let part = |part: &Value| match part["type"].as_str().unwrap() {
        "input_image" => Some("image".to_owned()),
        "input_file" if part["file_id"].is_string() => None,
        "input_file" => Some("file".to_owned()),
        _ => Some(format!("{role} {}", text(&part["text"]))),
    };
    let is_said = |part: &&Value| part["text"] != "";
    content.as_array().unwrap().iter().filter(is_said).filter_map(part).collect()
}
