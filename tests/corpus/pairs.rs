//! Every recorded answer told to callers of every dialect, as the relay tells it: it conforms to that dialect's published
//! schema, says the same when it is read back, and is the same bytes however the recording arrives. What a client gives
//! back of it in the next turn reaches the provider as it left it.
//!
//! What does not hold stands in `pairs/exceptions.rs`, with its reason.

mod ai_sdk;
mod exceptions;
mod recorded;
mod schema;

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;
use tollgate::chat::{Content, Event, Message, Part, Request, Response, Role, StopReason, ToolCall, Usage};
use tollgate::config::Patience;
use tollgate::dialect::ai_sdk::Version;
use tollgate::dialect::{Dialect, Inbound, Label};
use tollgate::quirks::Reader;
use tollgate::record::End;
use tollgate::relay::{Ends, Relay, Stopped, Write};
use tollgate::seal::Seal;
use tollgate::told::Told;
use tollgate::usage::Rule;
use tollgate::wire::frame::{Frame, Framing, Splitter};
use tollgate::wire::json::Fields;

use self::exceptions::{is_failure_in, is_given_back, parts_in, stop_in, usage_in};
pub(crate) use self::recorded::{APIS, Recorded, caller_of, recorded};

use self::recorded::decode;
use self::schema::Schema;
use crate::cases::Faults;

pub(crate) const CALLERS: [Inbound; 5] =
    [Inbound::OpenaiChat, Inbound::OpenaiResponses, Inbound::Anthropic, Inbound::Gemini, Inbound::AiSdk(Version::V4)];
/// A longer stream is not fed byte by byte.
const SINGLE_BYTES_MAX: usize = 32 * 1024;
pub(crate) const SEAL: Seal = Seal::new([7; 32]);

/// The same for all recordings of an API; a test for each lets them run side by side.
fn check(api: &str) {
    let dialect = APIS.iter().find(|(name, _)| *name == api).unwrap().1;
    let schemas = CALLERS.map(Schema::of);
    let (all, mut faults) = (recorded(api, dialect), Faults::default());
    let (mut told, mut given_back) = (0, 0);
    for recorded in &all {
        for (caller, schema) in CALLERS.into_iter().zip(&schemas) {
            told += 1;
            let framings: &[Framing] =
                if caller == Inbound::Gemini { &[Framing::Sse, Framing::Array] } else { &[Framing::Sse] };
            for framing in framings {
                streamed(recorded, caller, *framing, schema.as_ref(), &mut faults);
            }
            let answer = whole(recorded, caller, schema.as_ref(), &mut faults);
            given_back += usize::from(answer.is_some_and(|answer| replayed(recorded, caller, answer, &mut faults)));
        }
    }
    println!("{} answers of {api}: {told} tellings, {given_back} given back", all.len());
    faults.report();
}

#[test]
fn every_answer_of_chat_completions_reaches_every_caller() {
    check("openai-chat");
}

#[test]
fn every_answer_of_responses_reaches_every_caller() {
    check("openai-responses");
}

#[test]
fn every_answer_of_anthropic_reaches_every_caller() {
    check("anthropic-messages");
    check("bedrock-invoke");
}

#[test]
fn every_answer_of_gemini_reaches_every_caller() {
    check("gemini");
}

#[test]
fn every_answer_of_the_other_dialects_reaches_every_caller() {
    for api in ["bedrock-converse", "cohere-chat", "ollama-chat", "openai-completions"] {
        check(api);
    }
}

fn label(recorded: &Recorded, framing: Framing) -> Label {
    Label {
        id: "req_1".to_owned(),
        created: 1,
        usage_wanted: true,
        framing,
        request: Some(Arc::clone(&recorded.request)),
        lost: Vec::new(),
    }
}

/// What `caller` gets of a recorded stream that comes in pieces; the sizes repeat.
pub(crate) fn relayed(
    recorded: &Recorded,
    from: Framing,
    caller: Inbound,
    to: Framing,
    sizes: &[usize],
) -> (Vec<u8>, End) {
    let ends = Ends {
        upstream: recorded.dialect,
        platform: recorded.platform,
        reader: Reader::default(),
        usage: Rule::default(),
        framing: from,
        caller,
        label: label(recorded, to),
        seal: SEAL,
        input_estimate: 1,
        patience: Patience { first_byte_ms: 1, idle_ms: 1, total_ms: u64::MAX, heartbeat_ms: 1 },
        until: u64::MAX,
    };
    let (mut relay, mut out, mut rest) = (Relay::new(ends, 0), Vec::new(), recorded.body.as_slice());
    for size in sizes.iter().cycle() {
        let Some((piece, after)) = rest.split_at_checked((*size).clamp(1, rest.len().max(1))) else { break };
        rest = after;
        match relay.feed(piece, 0) {
            Write::Unchanged => out.extend_from_slice(piece),
            Write::Bytes(bytes) => out.extend_from_slice(&bytes),
            Write::Nothing => {}
        }
    }
    let (tail, end) = relay.end(Stopped::Closed);
    out.extend_from_slice(&tail);
    (out, end)
}

/// The recording as a stream to `caller`.
fn streamed(recorded: &Recorded, caller: Inbound, framing: Framing, schema: Option<&Schema>, faults: &mut Faults) {
    let is_own = Some(recorded.dialect) == caller.dialect();
    let is_whole = recorded.events.contains(&Event::End);
    let case = &recorded.case;
    let to = format!("streamed to {caller:?} in {framing:?}");
    let bytes = match recorded.framing {
        Some(from) if !is_own => {
            let (bytes, end) = relayed(recorded, from, caller, framing, &[recorded.body.len()]);
            // Single bytes of long streams take long and show nothing that those of the others do not.
            let smallest = if recorded.body.len() < SINGLE_BYTES_MAX { 1 } else { 509 };
            for sizes in [&[smallest][..], &[2, 1, 61, 7, 300, 3, 1024]] {
                let same = relayed(recorded, from, caller, framing, sizes) == (bytes.clone(), end);
                faults.check(case, same, || format!("{to}: other bytes in pieces of {sizes:?}"));
            }
            faults.check(case, (end == End::Complete) == is_whole, || format!("{to}: ends as {end:?}"));
            bytes
        }
        // Within one dialect the relay leaves the bytes alone, and a whole answer does not go through it; both are
        // written by the encoder where another dialect's whole answer is told as a stream.
        _ => told_whole_as_stream(recorded, caller, framing),
    };
    let mut splitter = Splitter::new(framing);
    let fed = splitter.feed(&bytes, |raw| {
        let data = Frame::read(framing, raw).and_then(|frame| frame.data.map(|data| data.into_owned()));
        let Some(data) = data.filter(|data| data != "[DONE]" && !data.is_empty()) else { return };
        let Ok(event) = serde_json::from_str::<Value>(&data) else {
            return faults.check(case, false, || format!("{to}: no JSON: {data}"));
        };
        if !is_whole && event.get("error").is_some() {
            return;
        }
        let held = schema.map_or(Vec::new(), |schema| schema.event(&event));
        faults.check(case, held.is_empty(), || format!("{to}: {held:?} in {data}"));
    });
    faults.check(case, fed.is_ok(), || format!("{to}: no frames"));
    match heard(caller, framing, &bytes) {
        Ok(again) => {
            let ended = again.contains(&Event::End);
            if is_failure_in(caller, recorded.response().stop.reason) {
                let failed = matches!(again.last(), Some(Event::Error { .. }));
                return faults.check(case, failed, || format!("{to}: a failure is told as {:?}", again.last()));
            }
            faults.check(case, ended == is_whole, || format!("{to}: read back, it ends: {ended}"));
            if is_whole {
                compare(recorded, caller, Response::from_events(again), &to, faults);
            }
        }
        Err(fault) => faults.check(case, false, || format!("{to}: cannot be read back: {fault}")),
    }
}

/// The whole recording in the frames of a stream to `caller`.
pub(crate) fn told_whole_as_stream(recorded: &Recorded, caller: Inbound, framing: Framing) -> Vec<u8> {
    let mut encoder = caller.encoder(label(recorded, framing));
    let mut bytes = Vec::new();
    for event in &sealed(recorded, caller).map_or(recorded.events.clone(), |response| response.events()) {
        encoder.event(event, &mut bytes);
    }
    bytes
}

/// The body of the whole recording to `caller`.
pub(crate) fn told_whole(recorded: &Recorded, caller: Inbound) -> Vec<u8> {
    let response = sealed(recorded, caller).unwrap_or_else(|| recorded.response());
    caller.write_response(&response, &label(recorded, Framing::Sse))
}

/// What a client of `caller` reads of a stream, or what is wrong with it.
fn heard(caller: Inbound, framing: Framing, bytes: &[u8]) -> Result<Vec<Event>, String> {
    match caller.dialect() {
        Some(dialect) => decode(dialect, Default::default(), framing, bytes),
        None => ai_sdk::stream(bytes),
    }
}

/// The whole answer as a caller of another dialect gets it; `None` for one of the same.
fn sealed(recorded: &Recorded, caller: Inbound) -> Option<Response> {
    if Some(recorded.dialect) == caller.dialect() {
        return None;
    }
    let mut response = recorded.response();
    Told::new(recorded.dialect, Some(&recorded.request)).response(&mut response);
    SEAL.close_response(&mut response, recorded.dialect, caller);
    Some(response)
}

/// The recording as a whole answer to `caller`, read back.
fn whole(recorded: &Recorded, caller: Inbound, schema: Option<&Schema>, faults: &mut Faults) -> Option<Response> {
    if !recorded.events.contains(&Event::End) {
        return None;
    }
    let to = format!("whole to {caller:?}");
    let case = &recorded.case;
    let body = told_whole(recorded, caller);
    let value: Value = serde_json::from_slice(&body).unwrap();
    let held = schema.map_or(Vec::new(), |schema| schema.whole(&value));
    faults.check(case, held.is_empty(), || format!("{to}: {held:?} in {value}"));
    let read = match caller.dialect() {
        Some(dialect) => dialect.read_response(&body).map_err(|malformed| malformed.0),
        None => ai_sdk::whole(&body),
    };
    match read {
        Ok(again) => {
            compare(recorded, caller, again.clone(), &to, faults);
            Some(again)
        }
        Err(_) if is_failure_in(caller, recorded.response().stop.reason) => None,
        Err(fault) => {
            faults.check(case, false, || format!("{to}: cannot be read back: {fault}"));
            None
        }
    }
}

/// What every reading of an answer must agree upon.
#[derive(Debug, PartialEq)]
struct Gist {
    parts: Vec<Said>,
    reason: StopReason,
    usage: Usage,
}

#[derive(Debug, Clone, PartialEq)]
enum Said {
    Text(String),
    Reasoning(String, Option<String>),
    Sealed(String),
    /// Id, name, arguments, signature.
    Call(String, String, Value, Option<String>),
}

fn said(parts: &[Part]) -> Vec<Said> {
    let said = parts.iter().filter_map(|part| match &part.content {
        Content::Text(text) => Some(Said::Text(text.clone())),
        Content::Reasoning { text, signature } => Some(Said::Reasoning(text.clone(), signature.clone())),
        Content::SealedReasoning(sealed) => Some(Said::Sealed(sealed.clone())),
        Content::ToolCall(ToolCall { id, name, arguments, signature }) => {
            // Some write nothing or `null` where a tool has no parameters.
            let text = if matches!(arguments.trim(), "" | "null") { "{}" } else { arguments };
            let arguments = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
            Some(Said::Call(id.clone(), name.clone(), arguments, signature.clone()))
        }
        _ => None,
    });
    merged(said.collect())
}

/// Text and unproven reasoning in one piece each, and none that is empty.
fn merged(parts: Vec<Said>) -> Vec<Said> {
    let mut merged: Vec<Said> = Vec::new();
    for said in parts {
        match (said, merged.last_mut()) {
            (Said::Text(text), Some(Said::Text(before))) => before.push_str(&text),
            (Said::Reasoning(text, None), Some(Said::Reasoning(before, None))) => before.push_str(&text),
            (Said::Text(text) | Said::Reasoning(text, None), _) if text.is_empty() => {}
            (said, _) => merged.push(said),
        }
    }
    merged
}

/// `again` is what a client of `caller` read; what it would give back of it is put in its place as the gateway does it.
fn compare(recorded: &Recorded, caller: Inbound, again: Response, to: &str, faults: &mut Faults) {
    let mut expected = recorded.response();
    Told::new(recorded.dialect, Some(&recorded.request)).response(&mut expected);
    let expected = Gist {
        parts: parts_in(caller, to.starts_with("streamed"), said(&expected.parts)),
        reason: stop_in(caller, expected.stop.reason),
        usage: usage_in(caller, expected.usage.unwrap_or_default()),
    };
    let mut request =
        Request { messages: vec![Message { role: Role::Assistant, parts: again.parts }], ..Request::default() };
    if Some(recorded.dialect) != caller.dialect() {
        SEAL.open_request(&mut request, caller, recorded.dialect, &mut Vec::new());
    }
    let found = Gist {
        parts: parts_in(caller, to.starts_with("streamed"), said(&request.messages[0].parts)),
        reason: again.stop.reason,
        usage: again.usage.unwrap_or_default(),
    };
    faults.check(&recorded.case, found == expected, || format!("{to}:\n  {found:?}\n  instead of\n  {expected:?}"));
}

/// The next turn: what a client of `caller` gives back of the answer, with a result for each call, as the provider gets
/// it. Whether there was anything to give back.
fn replayed(recorded: &Recorded, caller: Inbound, mut answer: Response, faults: &mut Faults) -> bool {
    let is_call = |part: &Part| matches!(part.content, Content::ToolCall(_));
    if !answer.parts.iter().any(is_call) || recorded.dialect == Dialect::OpenaiCompletions {
        return false;
    }
    let to = format!("given back by {caller:?}");
    // Clients of Chat Completions give back the text and the calls.
    let is_kept =
        |part: &Part| caller != Inbound::OpenaiChat || matches!(part.content, Content::Text(_) | Content::ToolCall(_));
    answer.parts.retain(is_kept);
    let results: Vec<Part> = answer
        .parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::ToolCall(call) => Some(Part::new(Content::ToolResult {
                call: call.id.clone(),
                parts: vec![Part::text(format!("result of {}", call.name))],
                is_error: false,
            })),
            _ => None,
        })
        .collect();
    let mut request = Request {
        model: "m".to_owned(),
        max_tokens: Some(1000),
        messages: vec![
            Message { role: Role::User, parts: vec![Part::text("hi")] },
            Message { role: Role::Assistant, parts: answer.parts },
            Message { role: Role::User, parts: results },
        ],
        ..Request::default()
    };
    request.tools = recorded.request.tools.clone();
    // As such a client would write it, and as the gateway then reads it.
    let body = match caller.dialect() {
        Some(dialect) => dialect.write_request(&request, &mut Vec::new()),
        None => ai_sdk::turn(&request),
    };
    let mut read = match caller.read_request(&Fields::read(&body).unwrap()) {
        Ok(read) => read,
        Err(error) => {
            faults.check(&recorded.case, false, || format!("{to}: {}", error.message));
            return true;
        }
    };
    SEAL.open_request(&mut read, caller, recorded.dialect, &mut Vec::new());
    let body = recorded.dialect.write_request(&read, &mut Vec::new());
    let value: Value = serde_json::from_slice(&body).unwrap();
    let mut strings = HashSet::new();
    gather(&value, &mut strings);
    for (string, what) in owed(recorded, caller) {
        let has = strings.iter().any(|given| given.contains(&string));
        faults.check(&recorded.case, has, || format!("{to}: {what} {string:?} does not arrive in {value}"));
    }
    true
}

/// What a provider must get back of its answer, as strings: each is a JSON string of the next request, or a part of one.
fn owed(recorded: &Recorded, caller: Inbound) -> Vec<(String, &'static str)> {
    let mut owed = Vec::new();
    let parts = recorded.response().parts;
    let last_call = parts.iter().rposition(|part| matches!(part.content, Content::ToolCall(_))).unwrap_or_default();
    for (at, part) in parts.iter().enumerate() {
        // What stands after the last call has no id to go back in.
        let carried = caller != Inbound::OpenaiChat || at < last_call;
        match &part.content {
            Content::ToolCall(call) => {
                owed.push((call.name.clone(), "the name"));
                owed.push((call.id.clone(), "the id"));
                owed.extend(call.signature.clone().map(|signature| (signature, "the signature")));
                owed.push((format!("result of {}", call.name), "the result"));
            }
            Content::Reasoning { signature: Some(signature), .. } if carried => {
                owed.extend(opaque(signature).into_iter().map(|string| (string, "the signature")));
            }
            Content::SealedReasoning(sealed) if carried => {
                owed.extend(opaque(sealed).into_iter().map(|string| (string, "the sealed reasoning")));
            }
            _ => {}
        }
    }
    owed.retain(|(string, what)| is_given_back(recorded.dialect, caller, what, string));
    owed
}

/// What of a proof is the provider's own: of an entry of `reasoning_details` its strings.
pub(crate) fn opaque(proof: &str) -> Vec<String> {
    match serde_json::from_str::<Value>(proof) {
        Ok(Value::Object(entry)) => entry.values().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => vec![proof.to_owned()],
    }
}

fn gather(value: &Value, strings: &mut HashSet<String>) {
    match value {
        Value::String(string) => drop(strings.insert(string.clone())),
        Value::Array(values) => values.iter().for_each(|value| gather(value, strings)),
        Value::Object(fields) => fields.values().for_each(|value| gather(value, strings)),
        _ => {}
    }
}
