//! What broke other gateways, by their public reports: a test for each, named after it. What is about time and fallback
//! stands in `tests/scenarios/pitfalls.txt`; what one dialect's own tests show is not told twice:
//!
//! - maximhq/bifrost#1935 (cache markers on calls and results): `platform.rs`, `dialect/bedrock_converse/request/tests.rs`.
//! - pydantic/pydantic-ai#3757 (signatures of another provider): `seal.rs`.
//! - preloop/preloop#159, jwadow/kiro-gateway#247 (Codex's tools): `dialect/openai_responses/tests.rs`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tollgate::config::Patience;
use tollgate::dialect::ai_sdk::Version;
use tollgate::dialect::{Dialect, Inbound, Label};
use tollgate::platform::Platform;
use tollgate::quirks::Reader;
use tollgate::record::End;
use tollgate::relay::{Ends, Relay, Stopped, Write};
use tollgate::seal::Seal;
use tollgate::usage::Rule;
use tollgate::wire::frame::Framing;
use tollgate::wire::json::Fields;

const SEAL: Seal = Seal::new([7; 32]);

/// The events that a caller gets of the upstream's, each with the number of the upstream's event that it came of.
fn told(upstream: Dialect, caller: Inbound, events: &[Value]) -> Vec<(usize, Value)> {
    let label = Label { id: "req_1".into(), usage_wanted: true, ..Label::default() };
    let patience = Patience { first_byte_ms: 1, idle_ms: 1, total_ms: u64::MAX, heartbeat_ms: 1 };
    let (platform, framing) = (Platform::Native, Framing::Sse);
    let ends = Ends {
        upstream,
        platform,
        reader: Reader::default(),
        usage: Rule::default(),
        framing,
        caller,
        label,
        seal: SEAL,
        input_estimate: 1,
        patience,
        until: u64::MAX,
    };
    let (mut relay, mut told) = (Relay::new(ends, 0), Vec::new());
    let mut take = |at: usize, bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        told.extend(data.map(|data| (at, serde_json::from_str(data).unwrap())));
    };
    for (at, event) in events.iter().enumerate() {
        let raw = format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or("message"));
        if let Write::Bytes(bytes) = relay.feed(raw.as_bytes(), 0) {
            take(at, &bytes);
        }
    }
    let (tail, end) = relay.end(Stopped::Closed);
    take(events.len(), &tail);
    assert_eq!(end, End::Complete);
    told
}

fn delta(delta: Value) -> Value {
    json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &str) -> Value {
    json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}})
}

fn fragment(index: u64, id: Value, name: Value, arguments: &str) -> Value {
    let function = json!({"name": name, "arguments": arguments});
    delta(json!({"content": "", "tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}))
}

/// What `caller` asks, as an upstream of `dialect` is asked for `model`.
fn asked(caller: Inbound, dialect: Dialect, model: &str, body: &Value) -> Value {
    let body = body.to_string();
    let mut request = caller.read_request(&Fields::read(body.as_bytes()).unwrap()).unwrap();
    request.model = model.to_owned();
    SEAL.open_request(&mut request, caller, dialect, &mut Vec::new());
    serde_json::from_slice(&dialect.write_request(&request, &mut Vec::new())).unwrap()
}

/// The next turn of a client of Chat Completions, who gives back the text and the calls of an answer, with results.
fn next_turn(answer: &Value, issuer: Dialect, model: &str) -> Value {
    let mut response = issuer.read_response(answer.to_string().as_bytes()).unwrap();
    SEAL.close_response(&mut response, issuer, Inbound::OpenaiChat);
    let told: Value =
        serde_json::from_slice(&Inbound::OpenaiChat.write_response(&response, &Label::default())).unwrap();
    let message = &told["choices"][0]["message"];
    let call = &message["tool_calls"][0];
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": message["content"], "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "sunny"},
    ], "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]});
    asked(Inbound::OpenaiChat, issuer, model, &body)
}

#[test]
fn blocks_open_and_close_one_at_a_time_in_order_litellm_13373() {
    let events = [
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"reasoning_content": "hm"})),
        delta(json!({"content": "I look."})),
        fragment(0, json!("c0"), json!("look"), "{\"a\""),
        fragment(0, Value::Null, Value::Null, ":1}"),
        fragment(1, json!("c1"), json!("look"), "{}"),
        finish("tool_calls"),
    ];
    let (mut open, mut next) = (None, 0);
    for (_, event) in told(Dialect::OpenaiChat, Inbound::Anthropic, &events) {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((open, &event["index"]), (None, &json!(next)), "{event}");
                open = Some(next);
                next += 1;
            }
            "content_block_delta" => assert_eq!(event["index"].as_u64(), open, "{event}"),
            "content_block_stop" => assert_eq!(event["index"].as_u64(), open.take(), "{event}"),
            _ => assert_eq!(open, None, "{event}"),
        }
    }
    assert_eq!(next, 4);
}

#[test]
fn the_first_event_counts_input_and_cache_litellm_24176() {
    let events = [delta(json!({"role": "assistant", "content": "Hi"})), finish("stop")];
    let told = told(Dialect::OpenaiChat, Inbound::Anthropic, &events);
    let usage = &told[0].1["message"]["usage"];
    for count in ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"] {
        assert!(usage[count].is_u64(), "{count}: {usage}");
    }
}

#[test]
fn empty_names_and_texts_between_fragments_lose_no_arguments_litellm_29491() {
    for empty in [json!(""), Value::Null] {
        let events = [
            fragment(0, json!("c0"), json!("look"), ""),
            fragment(0, empty.clone(), empty.clone(), "{\"city\":"),
            delta(json!({"content": ""})),
            fragment(0, empty.clone(), empty.clone(), "\"Oslo\"}"),
            finish("tool_calls"),
        ];
        let told = told(Dialect::OpenaiChat, Inbound::Anthropic, &events);
        let pieces = told.iter().filter_map(|(_, event)| event["delta"]["partial_json"].as_str());
        assert_eq!(pieces.collect::<String>(), r#"{"city":"Oslo"}"#);
        let starts = told.iter().filter(|(_, event)| event["type"] == "content_block_start");
        assert_eq!(starts.count(), 1);
    }
}

#[test]
fn a_ping_of_the_upstream_is_a_sign_of_life_for_the_caller_frontman_731() {
    let start = json!({"type": "message_start", "message": {"id": "m", "model": "m", "role": "assistant",
        "content": [], "usage": {"input_tokens": 1, "output_tokens": 0}}});
    let block = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let (stopped, stop) = (json!({"type": "content_block_stop", "index": 0}), json!({"type": "message_stop"}));
    let reason = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}});
    let events = [start, json!({"type": "ping"}), block, json!({"type": "ping"}), stopped, reason, stop];
    let label = Label { id: "req_1".into(), ..Label::default() };
    let newest = Inbound::AiSdk(Version::V4);
    for caller in [Inbound::Anthropic, Inbound::OpenaiChat, Inbound::OpenaiResponses, Inbound::Gemini, newest] {
        let patience = Patience { first_byte_ms: 1, idle_ms: 1_000, total_ms: u64::MAX, heartbeat_ms: 1_000 };
        let (upstream, platform, framing) = (Dialect::Anthropic, Platform::Native, Framing::Sse);
        let (seal, label) = (SEAL, label.clone());
        let ends = Ends {
            upstream,
            platform,
            reader: Reader::default(),
            usage: Rule::default(),
            framing,
            caller,
            label,
            seal,
            input_estimate: 1,
            patience,
            until: u64::MAX,
        };
        let mut relay = Relay::new(ends, 0);
        for (at, event) in events.iter().enumerate() {
            let raw = format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
            let now = 900 * at as u64;
            // Silence is counted from the last thing heard, pings included.
            assert!(relay.deadline() > now, "{caller:?} at {at}");
            relay.feed(raw.as_bytes(), now);
        }
        assert_eq!(relay.end(Stopped::Closed).1, End::Complete, "{caller:?}");
    }
}

#[test]
fn a_structured_answer_goes_on_piece_by_piece_vercel_ai_11556() {
    let events = [
        delta(json!({"role": "assistant", "content": "{\"a\""})),
        delta(json!({"content": ":[1,"})),
        delta(json!({"content": "2]}"})),
        fragment(0, json!("c0"), json!("look"), "{\"b\""),
        fragment(0, Value::Null, Value::Null, ":1}"),
        finish("tool_calls"),
    ];
    for caller in [Inbound::Anthropic, Inbound::OpenaiResponses] {
        let told = told(Dialect::OpenaiChat, caller, &events);
        // All but the finish reason, which may wait for the usage.
        for at in 0..5 {
            assert!(told.iter().any(|(from, _)| *from == at), "{caller:?}: nothing went on with {at}: {told:?}");
        }
    }
}

#[test]
fn thinking_stands_before_the_call_again_litellm_15601() {
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {}},
    ], "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}});
    let body = next_turn(&answer, Dialect::Anthropic, "claude-opus-4-5");
    let content = &body["messages"][1]["content"];
    assert_eq!(content[0], json!({"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"}), "{body}");
    assert_eq!((&content[1]["type"], &content[1]["id"]), (&json!("tool_use"), &json!("t1")));
}

#[test]
fn gemini_gets_the_signature_of_its_call_back_litellm_16893() {
    let answer = json!({"responseId": "r", "modelVersion": "m", "candidates": [{"finishReason": "STOP", "content": {
        "role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}, "thoughtSignature": "c2lnbmVk"}]}}]});
    let body = next_turn(&answer, Dialect::Gemini, "gemini-3-pro-preview");
    assert_eq!(body["contents"][1]["parts"][0]["thoughtSignature"], "c2lnbmVk", "{body}");
    // Streamed, the id carries it as well.
    let told = told(Dialect::Gemini, Inbound::OpenaiChat, &[answer]);
    let id = told.iter().find_map(|(_, event)| event["choices"][0]["delta"]["tool_calls"][0]["id"].as_str()).unwrap();
    assert!(tollgate::seal::is_in(id.replace('-', "").as_bytes()), "{id}");
}

#[test]
fn new_claudes_think_adaptively_and_tools_have_no_empty_description_experiential_658() {
    let body = json!({"model": "m", "reasoning_effort": "high", "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": {"name": "look", "description": null}}]});
    for (model, kind) in [("claude-opus-4-7", "adaptive"), ("claude-opus-4-5", "enabled")] {
        let asked = asked(Inbound::OpenaiChat, Dialect::Anthropic, model, &body);
        assert_eq!(asked["thinking"]["type"], kind, "{asked}");
        assert!(asked["tools"][0].get("description").is_none(), "{asked}");
    }
}

#[test]
fn references_are_resolved_in_schemas_and_harmless_in_results_gemini_cli_13326_litellm_38223() {
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "{\"$ref\":\"#/$defs/A\",\"$defs\":{}}"},
    ], "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string", "description": "kept"}}}}}]});
    let asked = asked(Inbound::OpenaiChat, Dialect::Gemini, "gemini-2.5-pro", &body);
    fn names(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                found.push(name.clone());
                names(value, found);
            }),
            Value::Array(values) => values.iter().for_each(|value| names(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    names(&asked, &mut found);
    assert!(!found.iter().any(|name| name.starts_with('$')), "{asked}");
    assert!(asked["tools"].to_string().contains("kept"), "{asked}");
}

#[test]
fn a_reminder_in_the_middle_stays_where_it_was_litellm_32578() {
    let body = json!({"model": "m", "messages": [
        {"role": "system", "content": "rules"}, {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello"}, {"role": "system", "content": "reminder"},
        {"role": "user", "content": "go on"},
    ]});
    for model in ["claude-opus-4-7", "claude-3-5-sonnet-20241022"] {
        let asked = asked(Inbound::OpenaiChat, Dialect::Anthropic, model, &body);
        assert_eq!(asked["system"], "rules", "{asked}");
        assert!(asked["messages"][2].to_string().contains("reminder"), "{asked}");
        let roles = asked["messages"].as_array().unwrap().iter().map(|turn| turn["role"].as_str().unwrap());
        assert!(!roles.collect::<Vec<_>>().contains(&"system"), "{asked}");
    }
}
