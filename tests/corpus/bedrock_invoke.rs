//! Anthropic's bodies behind Bedrock's InvokeModel and Vertex: what is sent, and how streams are unwrapped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tollgate::config::Patience;
use tollgate::dialect::{Ask, Dialect, Inbound, Label};
use tollgate::host::Headers;
use tollgate::platform::Platform;
use tollgate::quirks::Reader;
use tollgate::record::End;
use tollgate::relay::{Ends, Relay, Stopped, Write};
use tollgate::seal::Seal;
use tollgate::usage::Rule;
use tollgate::wire::frame::Framing;
use tollgate::wire::json::Fields;

use crate::cases::{Case, Faults, cases};
use crate::event_stream::naive_frames;

const DIALECT: Dialect = Dialect::Anthropic;

/// Recordings of other bodies than Anthropic's Messages, by a field of the request, and why they are passed over.
const OTHERS: &[(&str, &str)] = &[
    ("prompt", "text completions of Claude 2, Llama and Command, which no caller's dialect has"),
    ("inferenceConfig", "Nova's own body; Converse is the way to these models"),
    ("message", "Command R's own body; Converse is the way to these models"),
];

/// The recordings that are in the dialect.
fn own() -> Vec<(Case, Value)> {
    let mut own = Vec::new();
    let mut passed = 0;
    for case in cases("bedrock-invoke") {
        let request =
            case.body("request.json").and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or(Value::Null);
        if request["anthropic_version"].is_string() {
            own.push((case, request));
        } else {
            // One has an empty request, refused for its model.
            let known = OTHERS.iter().any(|(field, _)| !request[*field].is_null()) || case.status >= 400;
            assert!(known, "{}: {request}", case.name);
            passed += 1;
        }
    }
    println!("{} in Anthropic's dialect, {passed} in others", own.len());
    own
}

#[test]
fn every_recorded_stream_is_unwrapped_byte_by_byte() {
    let (mut faults, mut read) = (Faults::default(), 0);
    for (case, _) in own() {
        let Some(body) = case.body("response.eventstream") else { continue };
        let expected = naive(&body);
        for size in [body.len(), 1, 7] {
            let (out, end, output) = relayed(Inbound::Anthropic, &body, size);
            faults.check(&case, out == expected && end == End::Complete, || format!("differs in chunks of {size}"));
            faults.check(&case, output > 0, || "no usage".to_owned());
        }
        let (out, end, _) = relayed(Inbound::OpenaiChat, &body, 7);
        faults.check(&case, end == End::Complete && out.ends_with("data: [DONE]\n\n"), || "not translated".to_owned());
        for at in (0..body.len() - body.len() / 20).step_by(body.len() / 20 + 1) {
            let (_, end, _) = relayed(Inbound::Anthropic, &body[..at], 64);
            faults.check(&case, end == End::Cut, || format!("{end:?} although cut at {at}"));
        }
        for at in (0..body.len()).step_by(body.len() / 20 + 1) {
            let mut broken = body.clone();
            broken[at] ^= 1;
            for caller in [Inbound::Anthropic, Inbound::OpenaiChat] {
                let (_, end, _) = relayed(caller, &broken, 64);
                faults.check(&case, end != End::Complete, || format!("{end:?} although byte {at} is broken"));
            }
        }
        read += 1;
    }
    faults.report();
    println!("{read} streams");
}

#[test]
fn every_recorded_answer_and_error_is_read() {
    let (mut faults, mut read, mut errors) = (Faults::default(), 0, 0);
    for (case, _) in own() {
        let Some(body) = case.body("response.json") else { continue };
        let value: Value = serde_json::from_slice(&body).unwrap();
        if case.status >= 400 {
            faults
                .check(&case, DIALECT.read_error(&body).as_deref() == value["message"].as_str(), || "error".to_owned());
            faults.check(&case, !Platform::Bedrock.is_of_dialect(&body), || "passed on".to_owned());
            errors += 1;
            continue;
        }
        let response = DIALECT.read_response(&body).unwrap();
        let output = response.usage.unwrap_or_default().output;
        faults.check(&case, Some(output) == value["usage"]["output_tokens"].as_u64(), || "usage".to_owned());
        read += 1;
    }
    faults.report();
    println!("{read} answers, {errors} errors");
}

/// A caller of Anthropic's own API would have named the model and the stream in the body, and the version in a header.
#[test]
fn every_recorded_request_is_what_becomes_of_a_native_one() {
    let (mut faults, mut written) = (Faults::default(), 0);
    let clouds = cases("anthropic-messages").into_iter().filter_map(|case| {
        let body = case.body("request.json")?;
        Some((case, serde_json::from_slice(&body).ok()?))
    });
    for (case, recorded) in own().into_iter().chain(clouds) {
        let version = recorded["anthropic_version"].as_str().unwrap_or_default();
        let platform = match version {
            "bedrock-2023-05-31" => Platform::Bedrock,
            "vertex-2023-10-16" => Platform::Vertex,
            _ => continue,
        };
        let meta: Value = serde_json::from_slice(&case.body("meta.json").unwrap()).unwrap();
        let model = meta["model"].as_str().unwrap();
        let endpoint = meta["endpoint"].as_str().unwrap();
        let stream = endpoint.contains("stream") || recorded["stream"] == true;
        let mut native = recorded.as_object().unwrap().clone();
        native.remove("anthropic_version");
        native.insert("model".to_owned(), "an-alias".into());
        native.insert("stream".to_owned(), stream.into());
        let native = serde_json::to_vec(&native).unwrap();
        let body = Inbound::Anthropic.splice(&Fields::read(&native).unwrap(), model);
        let mut headers = Headers::from_iter([("anthropic-version", "2023-06-01")]);
        let mut written_body: Value =
            serde_json::from_slice(&platform.dress(body, &mut headers, &mut Vec::new())).unwrap();
        let mut expected = recorded.clone();
        // Said twice on Vertex, and on Bedrock not at all.
        for body in [&mut written_body, &mut expected] {
            body.as_object_mut().unwrap().remove("stream");
        }
        faults.check(&case, written_body == expected, || format!("{written_body}\nis not {expected}"));
        faults.check(&case, headers.get("anthropic-version").is_none(), || "the header".to_owned());
        // Some recordings had their path made up, and some clients leave the colon as it is.
        if endpoint.contains("/model") {
            let url = platform
                .url(DIALECT, "", model, if stream { Ask::Stream(Framing::Sse) } else { Ask::Answer })
                .replace("%3A", ":");
            faults.check(&case, endpoint.replace("%3A", ":").ends_with(&url), || format!("{endpoint} is not {url}"));
        }
        written += 1;
    }
    faults.report();
    println!("{written} requests");
}

fn naive(body: &[u8]) -> String {
    let mut out = String::new();
    for (_, payload) in naive_frames(body) {
        let chunk: Value = serde_json::from_slice(&payload).unwrap();
        let data = String::from_utf8(STANDARD.decode(chunk["bytes"].as_str().unwrap()).unwrap()).unwrap();
        let kind: Value = serde_json::from_str(&data).unwrap();
        out += &format!("event: {}\ndata: {data}\n\n", kind["type"].as_str().unwrap());
    }
    out
}

/// What the caller gets, how it ended, and the tokens of the answer.
fn relayed(caller: Inbound, body: &[u8], size: usize) -> (String, End, u64) {
    let ends = Ends {
        upstream: DIALECT,
        platform: Platform::Bedrock,
        reader: Reader::default(),
        usage: Rule::default(),
        framing: Framing::EventStream,
        caller,
        label: Label { id: "ours".to_owned(), ..Label::default() },
        seal: Seal::default(),
        input_estimate: 1,
        patience: Patience { first_byte_ms: 1, idle_ms: 1, total_ms: u64::MAX, heartbeat_ms: 1 },
        until: u64::MAX,
    };
    let (mut relay, mut out) = (Relay::new(ends, 0), Vec::new());
    for chunk in body.chunks(size.max(1)) {
        match relay.feed(chunk, 0) {
            Write::Unchanged => out.extend_from_slice(chunk),
            Write::Bytes(bytes) => out.extend_from_slice(&bytes),
            Write::Nothing => {}
        }
    }
    let (tail, end) = relay.end(Stopped::Closed);
    out.extend_from_slice(&tail);
    (String::from_utf8(out).unwrap(), end, relay.tally().usage.output)
}
