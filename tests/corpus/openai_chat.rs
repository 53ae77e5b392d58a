//! Chat Completions, of OpenAI and of those who copied it.

use serde_json::Value;
use tollgate::chat::{Block, Content, Event, Grammar, Part, StopReason};
use tollgate::dialect::{Decode, Dialect, Inbound, Label};
use tollgate::wire::frame::{Frame, Framing, Splitter};
use tollgate::wire::json::Fields;

use crate::cases::{Case, Faults, cases};

/// Requests that we refuse, and what we say.
const REFUSED: &[(&str, &str)] = &[
    // Azure has the model in the URL; a gateway cannot route without one. The other two were refused by their servers.
    (
        "openai-chat.azure/dd-trace-py__azure-openai-azure-openai-openai-deployments-gpt-4-1-mini-chat-completions-4e12a79a",
        "model: is missing",
    ),
    ("openai-chat/ai-gateway__testopenai-chat-no-messages", "messages: is empty"),
    ("openai-chat.llamacpp/rig__error-matrix-malformed-request-field", "temperature: expected a number"),
];

#[derive(Debug, Default, Clone, PartialEq)]
struct Told {
    text: String,
    /// Name and arguments.
    calls: Vec<(String, String)>,
}

/// The simple reading of messages or deltas: what is said in the fields that the API documents.
#[derive(Default)]
struct Simple {
    told: Told,
    /// Index and id of each call.
    places: Vec<(Value, Value)>,
}

impl Simple {
    fn add(&mut self, said: &Value) {
        match &said["content"] {
            Value::String(text) => self.told.text.push_str(text),
            Value::Array(parts) => {
                parts.iter().for_each(|part| self.told.text.push_str(part["text"].as_str().unwrap_or("")));
            }
            _ => {}
        }
        self.told.text.push_str(said["refusal"].as_str().unwrap_or(""));
        for call in said["tool_calls"].as_array().into_iter().flatten() {
            let (index, id) = (call["index"].clone(), call["id"].clone());
            let known = self.places.iter().rposition(|(known_index, known_id)| {
                !index.is_null() && *known_index == index && (id.is_null() || id == "" || *known_id == id)
            });
            let at = known.unwrap_or_else(|| {
                self.places.push((index, id));
                self.told.calls.push(Default::default());
                self.places.len() - 1
            });
            self.told.calls[at].0.push_str(call["function"]["name"].as_str().unwrap_or(""));
            self.told.calls[at].1.push_str(call["function"]["arguments"].as_str().unwrap_or(""));
        }
    }
}

fn told_by(events: &[Event]) -> Told {
    let mut told = Told::default();
    for event in events {
        match event {
            Event::Text(text) => told.text.push_str(text),
            Event::Open(Block::ToolCall { name, .. }) => told.calls.push((name.clone(), String::new())),
            Event::Arguments(arguments) => told.calls.last_mut().unwrap().1.push_str(arguments),
            _ => {}
        }
    }
    told
}

fn decode(body: &[u8], chunk: usize) -> Result<Vec<Event>, String> {
    let (mut splitter, mut decoder, mut events) = (Splitter::default(), Dialect::OpenaiChat.decoder(), Vec::new());
    let mut fault = None;
    let mut each = |raw: &[u8], decoder: &mut dyn Decode, events: &mut Vec<Event>| {
        if let Err(error) = decoder.frame(&Frame::read(Framing::Sse, raw).unwrap(), events) {
            fault = Some(error.0);
        }
    };
    for chunk in body.chunks(chunk) {
        splitter.feed(chunk, |raw| each(raw, &mut *decoder, &mut events)).unwrap();
    }
    let rest = splitter.take_rest();
    if !rest.is_empty() {
        each(&rest, &mut *decoder, &mut events);
    }
    decoder.finish(&mut events);
    fault.map_or(Ok(events), Err)
}

fn walk(events: &[Event]) -> Option<Grammar> {
    events.iter().try_fold(Grammar::default(), |at, event| at.after(event)).ok()
}

/// What a recorded stream says by the simple reading.
#[derive(Default)]
struct Recorded {
    simple: Simple,
    ends: bool,
    fails: bool,
    prompt_tokens: Option<u64>,
    finish_reason: Option<String>,
}

fn recorded(body: &[u8]) -> Recorded {
    let mut recorded = Recorded::default();
    for line in String::from_utf8(body.to_vec()).unwrap().lines() {
        let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
        if data == "[DONE]" {
            recorded.ends = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).unwrap();
        if !chunk["error"].is_null() {
            recorded.fails = true;
            break;
        }
        for choice in chunk["choices"].as_array().into_iter().flatten().filter(|choice| choice["index"] == 0) {
            recorded.simple.add(&choice["delta"]);
            if let Some(reason) = choice["finish_reason"].as_str() {
                recorded.ends = true;
                recorded.finish_reason = Some(reason.to_owned());
            }
        }
        for usage in [&chunk["usage"], &chunk["x_groq"]["usage"]] {
            if usage.is_object() {
                recorded.prompt_tokens = usage["prompt_tokens"].as_u64();
            }
        }
    }
    recorded
}

#[test]
fn every_recorded_stream_is_read_in_order_and_whole() {
    let (mut read, mut faults) = (0, Faults::default());
    for case in cases("openai-chat") {
        let Some(body) = case.body("response.sse") else { continue };
        read += 1;
        let events = match decode(&body, body.len()) {
            Ok(events) => events,
            Err(fault) => {
                faults.check(&case, false, || fault);
                continue;
            }
        };
        let recorded = recorded(&body);
        let told = &recorded.simple.told;
        let end = if recorded.fails { Grammar::Failed } else { Grammar::Ended };
        faults.check(&case, walk(&events) == Some(end), || format!("ends at {:?}", walk(&events)));
        faults.check(&case, recorded.ends || recorded.fails, || "has no end".to_owned());
        faults.check(&case, told_by(&events) == *told, || format!("{:?}\n instead of {told:?}", told_by(&events)));
        let input = events.iter().rev().find_map(|event| match event {
            Event::Usage(usage) => Some(usage.input),
            _ => None,
        });
        faults.check(&case, input >= recorded.prompt_tokens, || {
            format!("{input:?} tokens instead of {:?}", recorded.prompt_tokens)
        });
        let stop = events.iter().find_map(|event| match event {
            Event::Stop(stop) => Some(stop.reason),
            _ => None,
        });
        let meant = match recorded.finish_reason.as_deref() {
            Some("tool_calls") => Some(StopReason::ToolUse),
            Some("length") => Some(StopReason::Length),
            Some("stop") if !told.calls.is_empty() => Some(StopReason::ToolUse),
            // A refusal ends so too.
            Some("stop") if stop != Some(StopReason::Filtered) => Some(StopReason::EndTurn),
            _ => stop,
        };
        faults.check(&case, recorded.fails || stop == meant, || format!("{stop:?} instead of {meant:?}"));
        faults.check(&case, decode(&body, 7).as_ref() == Ok(&events), || "depends on the chunks".to_owned());
        written_again(&mut faults, &case, &events, told);
        cut(&mut faults, &case, &body);
    }
    println!("{read} streams read");
    faults.report();
}

/// A stream that was cut before its end is not complete, wherever that was.
fn cut(faults: &mut Faults, case: &Case, body: &[u8]) {
    for quarter in 1..4 {
        let cut = &body[..body.len() * quarter / 4];
        // A last line may be half a character or half a chunk; the relay hands over whole frames only.
        let frames = cut.windows(2).rposition(|two| two == b"\n\n").map_or(0, |at| at + 2);
        let before = recorded(&cut[..frames]);
        let events = decode(&cut[..frames], 1024).unwrap();
        let ended = walk(&events).is_some_and(Grammar::is_over);
        faults.check(case, ended == (before.ends || before.fails), || {
            format!("cut at {quarter}/4, it ends at {:?}", walk(&events))
        });
    }
}

/// What we write of it ourselves says the same.
fn written_again(faults: &mut Faults, case: &Case, events: &[Event], told: &Told) {
    let mut encoder = Inbound::OpenaiChat.encoder(label());
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    let written = decode(&out, out.len()).unwrap();
    let mut expected = told.clone();
    for (_, arguments) in expected.calls.iter_mut().filter(|(_, arguments)| arguments.is_empty()) {
        arguments.push_str("{}");
    }
    let found = told_by(&written);
    faults.check(case, walk(&written) == walk(events), || format!("written, it ends at {:?}", walk(&written)));
    faults.check(case, found == expected, || format!("written {found:?}\n instead of {expected:?}"));
    let (found, expected) = (reasoning(&written), reasoning(events));
    faults.check(case, found == expected, || format!("written {found:?}\n instead of {expected:?}"));
}

/// Text, signatures and sealed parts.
fn reasoning(events: &[Event]) -> [String; 3] {
    let mut all = [String::new(), String::new(), String::new()];
    for event in events {
        match event {
            Event::Reasoning(text) => all[0].push_str(text),
            Event::Signature(signature) => all[1].push_str(signature),
            Event::Open(Block::SealedReasoning(sealed)) => all[2].push_str(sealed),
            _ => {}
        }
    }
    all
}

fn label() -> Label {
    Label { id: "req_1".to_owned(), created: 1, usage_wanted: true, ..Label::default() }
}

#[test]
fn every_recorded_reply_is_read_whole() {
    let (mut replies, mut errors, mut faults) = (0, 0, Faults::default());
    for case in cases("openai-chat") {
        let Some(body) = case.body("response.json") else { continue };
        let value: Value = serde_json::from_slice(&body).unwrap();
        if case.status >= 400 || !value["error"].is_null() {
            errors += 1;
            let message = Dialect::OpenaiChat.read_error(&body);
            faults.check(&case, message.is_some(), || format!("no error found in {value}"));
            continue;
        }
        replies += 1;
        let reply = match Dialect::OpenaiChat.read_response(&body) {
            Ok(reply) => reply,
            Err(fault) => {
                faults.check(&case, false, || fault.0);
                continue;
            }
        };
        let mut simple = Simple::default();
        simple.add(&value["choices"][0]["message"]);
        // Custom tools have no function.
        simple.told.calls.retain(|(name, _)| !name.is_empty());
        let found = told_by(&reply.events());
        faults.check(&case, found == simple.told, || format!("{found:?}\n instead of {:?}", simple.told));
        let prompt_tokens = value["usage"]["prompt_tokens"].as_u64();
        faults.check(&case, reply.usage.map(|usage| usage.input) >= prompt_tokens, || format!("{:?}", reply.usage));
        let written = Inbound::OpenaiChat.write_response(&reply, &label());
        let again = Dialect::OpenaiChat.read_response(&written).unwrap();
        faults.check(&case, again.usage == reply.usage, || format!("{:?} instead of {:?}", again.usage, reply.usage));
        let same = again.stop.reason == reply.stop.reason
            && (again.stop.native == reply.stop.native || reply.stop.native.is_none());
        faults.check(&case, same, || format!("{:?} instead of {:?}", again.stop, reply.stop));
        let (found, expected) = (proofs(&again.parts), proofs(&reply.parts));
        faults.check(&case, found == expected, || format!("{found:?} instead of {expected:?}"));
    }
    println!("{replies} whole replies and {errors} errors read");
    faults.report();
}

fn proofs(parts: &[Part]) -> Vec<&Content> {
    let is_proof = |content: &&Content| {
        matches!(content, Content::SealedReasoning(_) | Content::Reasoning { signature: Some(_), .. })
    };
    parts.iter().map(|part| &part.content).filter(is_proof).collect()
}

#[test]
fn every_recorded_request_is_read() {
    let (mut read, mut faults) = (0, Faults::default());
    for case in cases("openai-chat") {
        let Some(body) = case.body("request.json") else { continue };
        read += 1;
        let fields = Fields::read(&body).unwrap();
        spliced(&mut faults, &case, &fields, &body);
        let request = match Inbound::OpenaiChat.read_request(&fields) {
            Ok(request) => request,
            Err(error) => {
                let known = REFUSED.iter().any(|(name, says)| *name == case.name && error.message.contains(says));
                faults.check(&case, known, || format!("{error} (the provider answered {})", case.status));
                continue;
            }
        };
        let mut lost = Vec::new();
        let written = Dialect::OpenaiChat.write_request(&request, &mut lost);
        let again = Inbound::OpenaiChat.read_request(&Fields::read(&written).unwrap());
        let again = match again {
            Ok(again) => again,
            Err(error) => {
                faults.check(&case, false, || format!("written: {error}"));
                continue;
            }
        };
        let tools = |request: &tollgate::chat::Request| request.tools.iter().map(|tool| tool.name.clone()).collect();
        let (found, expected): (Vec<_>, Vec<_>) = (tools(&again), tools(&request));
        faults.check(&case, found == expected, || "tools change".to_owned());
        faults.check(&case, again.stream == request.stream, || "stream changes".to_owned());
        faults.check(&case, again.max_tokens == request.max_tokens, || "max_tokens changes".to_owned());
        faults.check(&case, again.unread.is_empty(), || format!("writes {:?}", again.unread));
        let changes = lost.iter().any(|name| name.starts_with("messages.") || name == "cache_control");
        if !changes && !request.messages.iter().flat_map(|message| &message.parts).any(is_rearranged) {
            faults.check(&case, again.messages == request.messages, || {
                format!("{:?}\n instead of {:?}", again.messages, request.messages)
            });
        }
    }
    println!("{read} requests read");
    faults.report();
}

/// A tool message has one text; all else in a result goes elsewhere.
fn is_rearranged(part: &Part) -> bool {
    match &part.content {
        Content::ToolResult { parts, .. } => !matches!(parts.as_slice(), [] | [Part { content: Content::Text(_), .. }]),
        // No arguments are written as an empty object.
        Content::ToolCall(call) => call.arguments.is_empty(),
        _ => false,
    }
}

fn spliced(faults: &mut Faults, case: &Case, fields: &Fields<'_>, body: &[u8]) {
    let spliced: Value = serde_json::from_slice(&Inbound::OpenaiChat.splice(fields, "x/y")).unwrap();
    let mut expected: Value = serde_json::from_slice(body).unwrap();
    expected["model"] = "x/y".into();
    if expected["stream"] == true {
        if !expected["stream_options"].is_object() {
            expected["stream_options"] = serde_json::json!({});
        }
        expected["stream_options"]["include_usage"] = true.into();
    }
    faults.check(case, spliced == expected, || "splice changes more than it may".to_owned());
}
