//! Cases after the official documentation and after the reports that tests are named after. Streams are told in a short
//! notation, one word per event, see [`word`].

use std::sync::Arc;

use serde_json::{Value, json};

use super::tools::joined;
use super::*;
use crate::chat::{
    Block, Content, Effort, Event, Format, Grammar, Media, Message, Part, Request, Response, Role, Stop, StopReason,
    ToolCall, ToolChoice, Usage,
};
use crate::dialect::{Decode, Dialect, Encode, Inbound, Label, Malformed};
use crate::error::{Error, Kind};
use crate::seal::Seal;
use crate::wire::frame::{Frame, Framing, Splitter};
use crate::wire::json::Fields;

// Streams, read.

fn word(event: &Event) -> String {
    match event {
        Event::Start { id, model } => format!("start({id},{model})"),
        Event::Open(Block::Text) => "text".to_owned(),
        Event::Open(Block::Reasoning) => "reasoning".to_owned(),
        Event::Open(Block::SealedReasoning(sealed)) => format!("sealed({sealed})"),
        Event::Open(Block::ToolCall { id, name, .. }) => format!("call({id},{name})"),
        Event::Text(text) | Event::Reasoning(text) | Event::Arguments(text) => format!("'{text}'"),
        Event::Signature(signature) => format!("signature({signature})"),
        Event::Close => ".".to_owned(),
        Event::Stop(Stop { reason, native, .. }) => format!("stop({reason:?},{})", native.as_deref().unwrap_or("-")),
        Event::Usage(usage) => format!(
            "usage({},{},{},{},{})",
            usage.input, usage.cached_input, usage.cache_write, usage.output, usage.reasoning
        ),
        Event::Ping => "ping".to_owned(),
        Event::Error { kind, message } => format!("error({},{message})", kind.as_deref().unwrap_or("-")),
        Event::End => "end".to_owned(),
    }
}

fn words(events: &[Event]) -> String {
    events.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn decode(frames: &[Value]) -> Result<Vec<Event>, Malformed> {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for frame in frames {
        let raw = format!("event: {}\ndata: {frame}\n\n", frame["type"].as_str().unwrap_or_default());
        decoder.frame(&Frame::read(Framing::Sse, raw.as_bytes()).unwrap(), &mut events)?;
    }
    decoder.finish(&mut events);
    let order = events.iter().try_fold(Grammar::default(), |at, event| at.after(event));
    assert!(order.is_ok(), "out of order: {}", words(&events));
    Ok(events)
}

fn told(frames: &[Value]) -> String {
    let mut all = vec![json!({"type": "response.created", "response": {"id": "r1", "model": "m"}})];
    all.extend_from_slice(frames);
    let told = words(&decode(&all).unwrap());
    told.strip_prefix("start(r1,m)").unwrap().trim().to_owned()
}

fn added(index: u64, item: Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": index, "item": item})
}

fn done(index: u64, item: Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": index, "item": item})
}

fn delta(kind: &str, index: u64, delta: &str) -> Value {
    json!({"type": format!("response.{kind}.delta"), "output_index": index, "content_index": 0, "delta": delta})
}

fn message(text: &str) -> Value {
    json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
}

fn completed() -> Value {
    json!({"type": "response.completed", "response": {"id": "r1", "model": "m", "status": "completed"}})
}

const END: &str = "stop(EndTurn,completed) end";

#[test]
fn text_is_told_as_it_comes() {
    let frames = [
        added(0, json!({"type": "message", "content": []})),
        delta("output_text", 0, "hel"),
        delta("output_text", 0, "lo"),
        done(0, message("hello")),
        completed(),
    ];
    assert_eq!(told(&frames), format!("text 'hel' 'lo' . {END}"));
}

#[test]
fn what_no_delta_told_is_told_by_the_finished_item_or_by_the_end() {
    let frames = [delta("output_text", 0, "hel"), done(0, message("hello")), completed()];
    assert_eq!(told(&frames), format!("text 'hel' 'lo' . {END}"));
    let frames = [done(0, message("hello")), completed()];
    assert_eq!(told(&frames), format!("text 'hello' . {END}"));
    let mut end = completed();
    end["response"]["output"] = json!([message("hello")]);
    assert_eq!(told(&[end]), format!("text 'hello' . {END}"));
}

#[test]
fn an_item_that_begins_before_another_is_done_waits_for_it() {
    let frames = [
        added(0, json!({"type": "function_call", "call_id": "c0", "name": "f"})),
        added(1, json!({"type": "function_call", "call_id": "c1", "name": "g"})),
        delta("function_call_arguments", 1, "{\"b\""),
        delta("function_call_arguments", 0, "{}"),
        delta("function_call_arguments", 1, ":1}"),
        done(1, json!({"type": "function_call", "call_id": "c1", "name": "g", "arguments": "{\"b\":1}"})),
        done(0, json!({"type": "function_call", "call_id": "c0", "name": "f", "arguments": "{}"})),
        completed(),
    ];
    let calls = "call(c0,f) '{}' . call(c1,g) '{\"b\"' ':1}' .";
    assert_eq!(told(&frames), format!("{calls} stop(ToolUse,completed) end"));
}

#[test]
fn reasoning_is_told_with_its_parts_apart_and_its_proof_at_the_end() {
    let summary = |part: u64, text: &str| json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": part, "delta": text});
    let item = json!({"type": "reasoning", "encrypted_content": "sig",
        "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]});
    let frames = [
        added(0, json!({"type": "reasoning", "summary": [], "encrypted_content": "early"})),
        summary(0, "one"),
        summary(1, "two"),
        done(0, item.clone()),
        completed(),
    ];
    assert_eq!(told(&frames), format!("reasoning 'one' '\n\ntwo' signature(sig) . {END}"));
    assert_eq!(told(&[done(0, item), completed()]), format!("reasoning 'one\n\ntwo' signature(sig) . {END}"));
    let sealed = json!({"type": "reasoning", "summary": [], "encrypted_content": "sig"});
    assert_eq!(told(&[done(0, sealed), completed()]), format!("sealed(sig) . {END}"));
    // Nothing to be told of, and nothing to give back.
    let bare = json!({"type": "reasoning", "id": "rs_1", "summary": []});
    assert_eq!(told(&[added(0, bare.clone()), done(0, bare), completed()]), END);
}

#[test]
fn free_text_is_canonically_one_string_in_json() {
    let frames = [
        added(0, json!({"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": ""})),
        delta("custom_tool_call_input", 0, "*** \"Begin\"\n"),
        done(
            0,
            json!({"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "*** \"Begin\"\n+x"}),
        ),
        completed(),
    ];
    let call = r#"call(c,apply_patch) '{"input":"' '*** \"Begin\"\n' '+x' '"}' ."#;
    assert_eq!(told(&frames), format!("{call} stop(ToolUse,completed) end"));
}

#[test]
fn what_the_provider_ran_itself_is_passed_over() {
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
    let frames = [
        added(0, search.clone()),
        json!({"type": "response.web_search_call.searching", "output_index": 0}),
        done(0, search),
        done(1, message("found")),
        completed(),
    ];
    assert_eq!(told(&frames), format!("ping ping ping text 'found' . {END}"));
}

#[test]
fn an_incomplete_answer_says_why() {
    let end = |reason: &str| {
        json!({"type": "response.incomplete",
            "response": {"status": "incomplete", "incomplete_details": {"reason": reason}}})
    };
    assert_eq!(told(&[end("max_output_tokens")]), "stop(Length,max_output_tokens) end");
    assert_eq!(told(&[end("content_filter")]), "stop(Filtered,content_filter) end");
    let frames = [delta("refusal", 0, "I cannot"), completed()];
    assert_eq!(told(&frames), "text 'I cannot' . stop(Filtered,refusal) end");
}

#[test]
fn usage_includes_what_was_cached_and_thought() {
    let mut end = completed();
    end["response"]["usage"] = json!({"input_tokens": 100, "output_tokens": 50, "total_tokens": 150,
        "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10},
        "output_tokens_details": {"reasoning_tokens": 30}});
    assert_eq!(told(&[end]), "stop(EndTurn,completed) usage(100,40,10,50,30) end");
}

#[test]
fn every_shape_of_a_failure_is_one() {
    let cases = [
        (json!({"type": "error", "code": "ERR", "message": "m", "param": null}), "error(ERR,m)"),
        (json!({"type": "error", "error": {"type": "t", "code": null, "message": "m"}}), "error(t,m)"),
        (json!({"error": {"code": "c", "message": "m"}}), "error(c,m)"),
        (json!({"error": "m"}), "error(-,m)"),
        (
            json!({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "m"}}}),
            "error(server_error,m)",
        ),
        (json!({"type": "response.failed", "response": {}}), "error(-,the upstream failed without saying why)"),
    ];
    for (frame, expected) in cases {
        assert_eq!(told(&[frame]), expected);
    }
}

#[test]
fn a_stream_that_merely_ends_is_not_complete() {
    let whole = [delta("output_text", 0, "hello"), done(0, message("hello"))];
    assert_eq!(told(&whole), "text 'hello' .");
}

#[test]
fn after_the_end_nothing_is_read() {
    let frames = [done(0, message("a")), completed(), done(1, message("b")), completed()];
    assert_eq!(told(&frames), format!("text 'a' . {END}"));
}

#[test]
fn a_whole_response_is_read_as_its_stream() {
    let body = json!({"id": "r1", "model": "m", "status": "completed", "output": [
        {"type": "reasoning", "summary": [], "encrypted_content": "sig"},
        message("hello"),
        {"type": "function_call", "call_id": "c", "name": "read", "namespace": "mcp__files", "arguments": "{}"},
    ]});
    let response = read_response(body.to_string().as_bytes()).unwrap();
    assert_eq!(
        words(&response.events()),
        "start(r1,m) sealed(sig) . text 'hello' . call(c,mcp__files__read) '{}' . stop(ToolUse,completed) end"
    );
    for status in ["queued", "in_progress", "failed", "cancelled"] {
        let body = json!({"id": "r1", "status": status, "output": []});
        assert!(read_response(body.to_string().as_bytes()).is_err(), "{status}");
    }
    assert!(read_response(b"{}").is_err());
}

// Requests, read.

fn read(body: &Value) -> Result<Request, Error> {
    read_request(&Fields::read(body.to_string().as_bytes()).unwrap())
}

fn request(mut fields: Value) -> Request {
    fields["model"] = "m".into();
    fields.as_object_mut().unwrap().entry("input").or_insert("hi".into());
    read(&fields).unwrap()
}

#[test]
fn the_items_of_a_turn_are_one_message() {
    let request = request(json!({"instructions": "be brief", "input": [
        {"role": "developer", "content": "rules"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BB"},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
            "content": null, "encrypted_content": "sig"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I see"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
        {"role": "user", "content": "go on"},
    ]}));
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::System, Role::User, Role::Assistant, Role::User, Role::User]);
    assert_eq!(request.messages[2].parts.len(), 3);
    let said = &request.messages[3].parts;
    assert_eq!(said[0].content, Content::Reasoning { text: "hm".into(), signature: Some("sig".into()) });
    assert_eq!(said[1], Part::text("I see"));
    assert!(matches!(&said[3].content, Content::ToolCall(call) if call.id == "c2" && call.name == "g"));
    let result = |call: &str, text: &str| {
        Part::new(Content::ToolResult { call: call.into(), parts: vec![Part::text(text)], is_error: false })
    };
    assert_eq!(request.messages[4].parts, [result("c1", "one"), result("c2", "two")]);
    assert_eq!(request.unread, Vec::<String>::new());
}

#[test]
fn withheld_reasoning_is_told_from_what_only_its_provider_can_read() {
    let reasoning = |summary: Value| {
        let item = json!({"type": "reasoning", "summary": summary, "encrypted_content": "sig"});
        request(json!({"input": [item]})).messages[0].parts[0].content.clone()
    };
    assert_eq!(reasoning(json!([])), Content::SealedReasoning("sig".into()));
    let withheld = Content::Reasoning { text: String::new(), signature: Some("sig".into()) };
    assert_eq!(reasoning(json!([{"type": "summary_text", "text": ""}])), withheld);
    // And so it is written for such a caller.
    let answer = Response { parts: vec![Part::new(withheld)], ..Response::default() };
    let written: Value = serde_json::from_slice(&write_response(&answer, &Label::default())).unwrap();
    assert_eq!(written["output"][0]["summary"], json!([{"type": "summary_text", "text": ""}]));
}

#[test]
fn settings_are_read() {
    let request = request(json!({
        "max_output_tokens": 7, "temperature": 0.70, "top_p": 1, "stream": true, "parallel_tool_calls": false,
        "reasoning": {"effort": "high", "summary": "auto"},
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {}, "strict": true}},
        "safety_identifier": "u", "prompt_cache_key": "k", "service_tier": "flex", "store": false,
        "include": ["reasoning.encrypted_content"], "truncation": "disabled", "metadata": {}, "top_logprobs": 2,
    }));
    assert_eq!((request.max_tokens, request.stream, request.parallel_tools), (Some(7), true, Some(false)));
    assert_eq!(crate::wire::json::to_string(&request.temperature), "0.7");
    assert_eq!((request.reasoning, request.reasoning_told), (Some(Effort::Level("high".into())), Some(true)));
    assert_eq!(request.verbosity.as_deref(), Some("low"));
    assert!(matches!(request.format, Some(Format::Schema { strict: Some(true), .. })));
    assert_eq!(request.user.as_deref(), Some("u"));
    assert_eq!(request.cache_key.as_deref(), Some("k"));
    assert_eq!(request.service_tier.as_deref(), Some("flex"));
    assert_eq!(request.unread, ["metadata", "top_logprobs"]);
    // LangChain sends an empty one.
    assert!(self::request(json!({"text": {}})).format.is_none());
}

#[test]
fn what_points_into_a_memory_is_refused_by_name() {
    for (field, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!({"id": "conv_1"})),
        ("background", json!(true)),
        ("prompt", json!({"id": "pmpt_1"})),
    ] {
        let error = read(&json!({"model": "m", "input": "hi", field: value})).unwrap_err();
        assert_eq!((error.kind, error.param.as_deref()), (Kind::Invalid, Some(field)));
    }
    let error = read(&json!({"model": "m", "input": [{"type": "item_reference", "id": "rs_1"}]})).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("input[0]"));
    assert!(read(&json!({"model": "m", "input": "hi", "background": false, "previous_response_id": null})).is_ok());
}

#[test]
fn a_fault_is_named_by_its_path_and_quotes_nothing() {
    let cases = [
        (json!([{"role": "user", "content": [{"type": "input_text"}]}]), "input[0].content[0].text: is missing"),
        (json!([{"role": "wizard", "content": "x"}]), "input[0].role: must be user, assistant, system or developer"),
        (json!([{"type": "function_call", "name": "f"}]), "input[0].call_id: is missing"),
        (json!([{"type": "function_call_output", "call_id": "c"}]), "input[0].output: is missing"),
        (json!([7]), "input[0]: expected an object"),
        (json!([]), "input: is empty; at least one item is needed"),
        (json!(7), "input: expected a string or an array"),
    ];
    for (input, expected) in cases {
        assert_eq!(read(&json!({"model": "m", "input": input})).unwrap_err().message, expected);
    }
    assert_eq!(read(&json!({"model": "m"})).unwrap_err().message, "input: is missing");
}

#[test]
fn the_forms_of_a_tool_choice_are_read() {
    let choice = |choice: Value| request(json!({"tool_choice": choice})).tool_choice;
    assert_eq!(choice(json!("auto")), Some(ToolChoice::Auto));
    assert_eq!(choice(json!("none")), Some(ToolChoice::None));
    assert_eq!(choice(json!("required")), Some(ToolChoice::Required));
    assert_eq!(choice(json!({"type": "function", "name": "f"})), Some(ToolChoice::Named("f".into())));
    assert_eq!(choice(json!({"type": "custom", "name": "f"})), Some(ToolChoice::Named("f".into())));
    assert_eq!(choice(json!({"type": "allowed_tools", "mode": "required", "tools": []})), Some(ToolChoice::Required));
    assert_eq!(choice(json!({"type": "web_search"})), None);
    assert_eq!(choice(json!(null)), None);
}

// Codex.

/// What Codex sends, as far as other dialects do not know it.
fn codex() -> Request {
    request(json!({
        "stream": true, "store": false, "client_metadata": {"a": "b"},
        "tools": [
            {"type": "function", "name": "exec_command", "parameters": {"type": "object"}, "strict": false},
            {"type": "custom", "name": "apply_patch", "description": "Edits files.",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: \"x\""}},
            {"type": "namespace", "name": "mcp__files__", "description": "Files.", "tools": [
                {"type": "function", "name": "read", "parameters": {"type": "object"}},
                {"type": "function", "name": "write", "parameters": {"type": "object"}},
            ]},
            {"type": "web_search"},
            {"type": "tool_search", "execution": "client", "description": "d", "parameters": {}},
        ],
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "function_call", "call_id": "c1", "name": "read", "namespace": "mcp__files__", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "a \"patch\"\n"},
            {"type": "function_call_output", "call_id": "c1", "output": "text"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "additional_tools", "role": "developer", "tools": [
                {"type": "function", "name": "late", "parameters": {"type": "object"}},
                {"type": "function", "name": "exec_command", "parameters": {"type": "object"}},
            ]},
        ],
    }))
}

/// preloop/preloop#159, jwadow/kiro-gateway#247, jundot/omlx#3371, openai/codex#32318.
#[test]
fn codex_tools_reach_models_of_other_dialects() {
    let request = codex();
    let names: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["exec_command", "apply_patch", "mcp__files__read", "mcp__files__write", "late"]);
    let schema: Value = serde_json::from_str(request.tools[1].schema.as_ref().unwrap().get()).unwrap();
    assert_eq!(schema["required"], json!(["input"]));
    assert!(schema["properties"]["input"]["description"].as_str().unwrap().ends_with("lark grammar:\nstart: \"x\""));
    assert_eq!(
        request.unread,
        ["client_metadata", "tools[3] (web_search)", "tools[4] (tool_search)", "input.web_search_call"]
    );
    let mut lost = Vec::new();
    let written: Value = serde_json::from_slice(&Dialect::OpenaiChat.write_request(&request, &mut lost)).unwrap();
    let calls = &written["messages"][1]["tool_calls"];
    assert_eq!(calls[0]["function"]["name"], "mcp__files__read");
    assert_eq!(calls[1]["function"]["arguments"], r#"{"input":"a \"patch\"\n"}"#);
}

/// openai/codex#23186, openai/codex#20652, router-for-me/CLIProxyAPI#4255.
#[test]
fn codex_gets_its_calls_back_by_namespace_and_kind() {
    let label = Label { id: "req_1".into(), request: Some(Arc::new(codex())), ..Label::default() };
    let events = [
        Event::Start { id: "u1".into(), model: "claude".into() },
        Event::Open(Block::ToolCall { id: "c1".into(), name: "mcp__files__read".into(), signature: None }),
        Event::Arguments("{\"path\":".into()),
        Event::Arguments("\"a\"}".into()),
        Event::Close,
        Event::Open(Block::ToolCall { id: "c2".into(), name: "apply_patch".into(), signature: None }),
        Event::Arguments("{\"input\":\"*** Be".into()),
        Event::Arguments("gin\\n\"}".into()),
        Event::Close,
        Event::Stop(Stop { reason: StopReason::ToolUse, ..Stop::default() }),
        Event::Usage(Usage { input: 10, cached_input: 4, cache_write: 1, output: 5, reasoning: 2 }),
        Event::End,
    ];
    let told = encode(label, &events);
    let items: Vec<&Value> = told.iter().filter(|event| event["type"] == "response.output_item.done").collect();
    assert_eq!(
        items[0]["item"],
        json!({"type": "function_call", "id": "fc_req_1_0", "status": "completed", "call_id": "c1", "name": "read",
            "namespace": "mcp__files__", "arguments": "{\"path\":\"a\"}"})
    );
    assert_eq!(
        items[1]["item"],
        json!({"type": "custom_tool_call", "id": "ctc_req_1_1", "status": "completed", "call_id": "c2",
            "name": "apply_patch", "input": "*** Begin\n"})
    );
    let input: Vec<&Value> =
        told.iter().filter(|event| event["type"] == "response.custom_tool_call_input.delta").collect();
    assert_eq!(input[0]["delta"], "*** Begin\n");
    let end = &told.last().unwrap()["response"];
    assert_eq!(end["output"].as_array().unwrap().len(), 2);
    assert_eq!(
        end["usage"],
        json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
            "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15})
    );
    // The tools of the request, as it had them.
    assert_eq!(end["tools"][1]["type"], "custom");
    assert_eq!(end["tools"][2]["tools"][1]["name"], "write");
}

#[test]
fn a_long_name_is_shortened_and_stays_its_own() {
    assert_eq!(joined("mcp__files__", "read"), "mcp__files__read");
    assert_eq!(joined("mcp__files", "read"), "mcp__files__read");
    assert_eq!(joined("", "read"), "read");
    assert_eq!(joined("read", "read"), "read");
    let (one, other) = (joined(&"é".repeat(60), "one"), joined(&"é".repeat(60), "other"));
    assert!(one.len() <= 64 && one != other, "{one} {other}");
    assert_eq!(one, joined(&"é".repeat(60), "one"));
}

/// BerriAI/litellm#15601, BerriAI/litellm#16893, pydantic/pydantic-ai#3757: what proves another provider's reasoning
/// goes through Codex, which gives finished items back as they came, and returns to that provider only.
#[test]
fn codex_carries_the_reasoning_state_of_other_providers() {
    let call =
        ToolCall { id: "toolu_1".into(), name: "f".into(), arguments: "{}".into(), signature: Some("s3".into()) };
    let parts = vec![
        Part::new(Content::Reasoning { text: "hm".into(), signature: Some("s1".into()) }),
        Part::new(Content::Reasoning { text: String::new(), signature: Some("s2".into()) }),
        Part::new(Content::SealedReasoning("x".into())),
        Part::text("so"),
        Part::new(Content::ToolCall(call)),
    ];
    let seal = Seal([7; 32]);
    let turn = |target| {
        let mut response = Response { parts: parts.clone(), ..Response::default() };
        seal.close_response(&mut response, Dialect::Anthropic, Inbound::OpenaiResponses);
        let written: Value = serde_json::from_slice(&write_response(&response, &Label::default())).unwrap();
        let mut request = request(json!({ "input": written["output"] }));
        let mut lost = Vec::new();
        seal.open_request(&mut request, Inbound::OpenaiResponses, target, &mut lost);
        assert_eq!(request.messages.len(), 1);
        (request.messages.remove(0).parts, lost)
    };
    assert_eq!(turn(Dialect::Anthropic), (parts.clone(), Vec::new()));
    let (elsewhere, lost) = turn(Dialect::OpenaiResponses);
    assert!(!lost.is_empty());
    let is_proof = |part: &&Part| {
        matches!(&part.content, Content::Reasoning { signature: Some(_), .. } | Content::SealedReasoning(_))
    };
    assert_eq!(elsewhere.iter().find(is_proof), None);
}

// Streams, written.

fn encode(label: Label, events: &[Event]) -> Vec<Value> {
    let mut encoder = Encoder::new(label);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    frames(&out)
}

/// The data of each frame, which names its event and counts on.
fn frames(out: &[u8]) -> Vec<Value> {
    let mut frames = Vec::new();
    let each = |raw: &[u8]| {
        let frame = Frame::read(Framing::Sse, raw).unwrap();
        if let Some(data) = &frame.data {
            let value: Value = serde_json::from_str(data).unwrap();
            assert_eq!(value["type"], frame.event.unwrap());
            frames.push(value);
        }
    };
    Splitter::default().feed(out, each).unwrap();
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(frame["sequence_number"], number);
    }
    frames
}

fn thought_and_text() -> Vec<Event> {
    vec![
        Event::Start { id: "u1".into(), model: "claude".into() },
        Event::Open(Block::Reasoning),
        Event::Reasoning("hm".into()),
        Event::Signature("sig".into()),
        Event::Close,
        Event::Open(Block::Text),
        Event::Text("hel".into()),
        Event::Text("lo".into()),
        Event::Close,
        Event::Stop(Stop::default()),
        Event::End,
    ]
}

#[test]
fn every_event_comes_in_the_order_of_the_documentation() {
    let label = Label { id: "req_1".into(), created: 5, ..Label::default() };
    let told = encode(label, &thought_and_text());
    let kinds: Vec<&str> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(told[7]["item"]["encrypted_content"], "sig");
    assert_eq!(told[10]["item_id"], told[8]["item"]["id"]);
    assert_eq!((&told[10]["output_index"], &told[10]["content_index"]), (&json!(1), &json!(0)));
    let end = &told[15]["response"];
    assert_eq!((&end["id"], &end["status"], &end["created_at"]), (&json!("u1"), &json!("completed"), &json!(5)));
    assert_eq!(end["output"][1]["content"][0]["text"], "hello");
    assert_eq!(end["output"][0], told[7]["item"]);
}

#[test]
fn a_written_stream_and_a_written_response_read_as_what_they_were() {
    let events = thought_and_text();
    let again = decode(&encode(Label::default(), &events)).unwrap();
    assert_eq!(
        words(&again),
        "start(u1,claude) reasoning 'hm' signature(sig) . text 'hel' 'lo' . stop(EndTurn,completed) usage(0,0,0,0,0) end"
    );
}

/// Menci/Floway#498: Codex gives up on a stream in which it sees comments only.
#[test]
fn a_ping_is_an_event_that_codex_sees() {
    let start = Event::Start { id: "u1".into(), model: "m".into() };
    let told = encode(Label::default(), &[Event::Ping, start, Event::Ping]);
    let kinds: Vec<&Value> = told.iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds, ["response.created", "response.in_progress", "response.in_progress"]);
    assert_eq!(told[2]["response"]["id"], "u1");
}

#[test]
fn an_answer_cut_short_is_incomplete() {
    for (reason, status, why) in [
        (StopReason::Length, "incomplete", json!({"reason": "max_output_tokens"})),
        (StopReason::Filtered, "incomplete", json!({"reason": "content_filter"})),
        (StopReason::EndTurn, "completed", Value::Null),
        (StopReason::Error, "failed", Value::Null),
    ] {
        let events = [
            Event::Start { id: "u".into(), model: "m".into() },
            Event::Stop(Stop { reason, ..Stop::default() }),
            Event::End,
        ];
        let told = encode(Label::default(), &events);
        let end = told.last().unwrap();
        assert_eq!(end["type"], format!("response.{status}"));
        assert_eq!((&end["response"]["status"], &end["response"]["incomplete_details"]), (&json!(status), &why));
    }
}

#[test]
fn codex_is_told_of_a_failure_by_what_it_acts_upon() {
    let start = Event::Start { id: "u1".into(), model: "m".into() };
    for (kind, code) in [
        (Some("context_length_exceeded"), "context_length_exceeded"),
        (Some("rate_limit_error"), "rate_limit_exceeded"),
        (Some("overloaded_error"), "server_error"),
        (None, "server_error"),
    ] {
        let error = Event::Error { kind: kind.map(str::to_owned), message: "why".into() };
        let told = encode(Label::default(), &[start.clone(), error]);
        let end = told.last().unwrap();
        assert_eq!(end["type"], "response.failed");
        assert_eq!(end["response"]["error"], json!({"code": code, "message": "why"}));
        assert_eq!(end["response"]["id"], "u1");
    }
    // What we find ourselves in the middle of a stream goes on counting.
    let mut encoder = Encoder::new(Label::default());
    let mut out = Vec::new();
    encoder.event(&start, &mut out);
    out.extend(encoder.failure(&Error::new(Kind::Cut, "broke off")).unwrap());
    assert_eq!(frames(&out).last().unwrap()["response"]["error"]["message"], "broke off");
    // And where nothing is known of the stream, it still is one.
    let told = frames(&error_frame(&Error::new(Kind::RateLimited, "slow down")));
    assert_eq!(told[0]["response"]["error"]["code"], "rate_limit_exceeded");
}

// Requests, written.

fn written(request: &Request) -> (Value, Vec<String>) {
    let mut lost = Vec::new();
    (serde_json::from_slice(&write_request(request, &mut lost)).unwrap(), lost)
}

fn asked(model: &str) -> Request {
    let messages = vec![
        Message { role: Role::System, parts: vec![Part::text("rules")] },
        Message { role: Role::User, parts: vec![Part::text("hi")] },
    ];
    Request { model: model.to_owned(), messages, ..Request::default() }
}

#[test]
fn nothing_is_stored_and_reasoning_comes_back_encrypted() {
    let (body, lost) = written(&asked("gpt-5"));
    assert_eq!(
        body,
        json!({"model": "gpt-5", "store": false, "include": ["reasoning.encrypted_content"], "input": [
            {"type": "message", "role": "developer", "content": "rules"},
            {"type": "message", "role": "user", "content": "hi"},
        ]})
    );
    assert_eq!(lost, Vec::<String>::new());
    // Models that cannot think refuse to be asked for it.
    let (body, _) = written(&Request { reasoning: Some(Effort::Level("low".into())), ..asked("gpt-4o") });
    assert_eq!((&body["include"], &body["reasoning"]), (&Value::Null, &Value::Null));
    assert_eq!(body["input"][0]["role"], "system");
}

#[test]
fn sampling_is_left_out_where_it_is_refused() {
    let number = |text: &str| Some(crate::wire::json::parse(text).unwrap());
    let ask = |model: &str, reasoning| Request { temperature: number("0.5"), reasoning, ..asked(model) };
    for (model, reasoning, is_taken) in [
        ("gpt-4.1", None, true),
        ("grok-4", Some(Effort::Level("low".into())), true),
        ("gpt-5-mini", None, false),
        ("openai/o3", None, false),
        ("gpt-5.4-nano", None, true),
        ("gpt-5.4-nano", Some(Effort::Off), true),
        ("gpt-5.4-nano", Some(Effort::Level("low".into())), false),
    ] {
        let (body, lost) = written(&ask(model, reasoning));
        assert_eq!(body["temperature"].is_number(), is_taken, "{model}");
        assert_eq!(lost.contains(&"temperature".to_owned()), !is_taken, "{model}");
    }
    let request = Request { stop: vec!["x".into()], top_k: Some(1), seed: Some(3.into()), ..asked("gpt-4.1") };
    assert_eq!(written(&request).1, ["stop", "top_k", "seed"]);
}

#[test]
fn an_answer_has_at_least_the_bound_that_openai_takes() {
    let ask = |model: &str, most| written(&Request { max_tokens: Some(most), ..asked(model) });
    let (body, lost) = ask("gpt-5", 1);
    assert_eq!((&body["max_output_tokens"], lost), (&json!(16), vec!["max_tokens (below 16)".to_owned()]));
    for (model, most) in [("gpt-5", 16), ("grok-4", 1)] {
        let (body, lost) = ask(model, most);
        assert_eq!((&body["max_output_tokens"], lost), (&json!(most), Vec::new()));
    }
}

/// maximhq/bifrost#5186: encrypted reasoning is bound to the id it had.
#[test]
fn reasoning_goes_back_with_its_proof_and_no_other_id() {
    let mut request = asked("gpt-5");
    let reasoning = |signature: Option<&str>| {
        Part::new(Content::Reasoning { text: "hm".into(), signature: signature.map(str::to_owned) })
    };
    let parts =
        vec![reasoning(Some("sig")), reasoning(None), Part::new(Content::SealedReasoning("x".into())), Part::text("a")];
    request.messages.push(Message { role: Role::Assistant, parts });
    let (body, lost) = written(&request);
    assert_eq!(
        body["input"].as_array().unwrap()[2..],
        [
            json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "sig"}),
            json!({"type": "reasoning", "summary": [], "encrypted_content": "x"}),
            json!({"type": "message", "role": "assistant", "content": "a"}),
        ]
    );
    assert_eq!(lost, ["messages.reasoning"]);
}

#[test]
fn codex_tools_are_written_as_they_came() {
    let request = Request { model: "gpt-5".into(), ..codex() };
    let (body, _) = written(&request);
    let kinds: Vec<&str> =
        body["tools"].as_array().unwrap().iter().map(|tool| tool["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["function", "custom", "namespace", "function"]);
    assert_eq!(body["tools"][1]["format"]["syntax"], "lark");
    let calls = &body["input"].as_array().unwrap()[1..];
    assert_eq!((&calls[0]["name"], &calls[0]["namespace"]), (&json!("read"), &json!("mcp__files__")));
    assert_eq!((&calls[1]["type"], &calls[1]["input"]), (&json!("custom_tool_call"), &json!("a \"patch\"\n")));
    assert_eq!(calls[2]["type"], "function_call_output");
    assert_eq!(calls[3]["type"], "custom_tool_call_output");
}

#[test]
fn images_files_and_errors_have_their_places() {
    let mut request = asked("gpt-5");
    let image = Part::new(Content::Image(Media::Url("https://x/a.png".into())));
    let file = Part::new(Content::Document { media: Media::Url("https://x/a.pdf".into()), name: None });
    let result = |parts, is_error| Part::new(Content::ToolResult { call: "c".into(), parts, is_error });
    request.messages = vec![Message {
        role: Role::User,
        parts: vec![
            result(vec![Part::text("no such file")], true),
            result(vec![Part::text("seen"), image.clone()], false),
            Part::text("look"),
            image,
            file,
        ],
    }];
    let picture = json!({"type": "input_image", "image_url": "https://x/a.png", "detail": "auto"});
    assert_eq!(
        written(&request).0["input"],
        json!([
            {"type": "function_call_output", "call_id": "c", "output": "Error: no such file"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "seen"}, picture]},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "look"}, picture,
                {"type": "input_file", "file_url": "https://x/a.pdf"}]},
        ])
    );
}

// Cursor.

/// router-for-me/CLIProxyAPI#658, Soju06/codex-lb#833.
#[test]
fn cursor_sends_this_dialect_to_the_other_path_and_wants_the_other_answer() {
    let body = json!({"model": "m", "stream": true, "user": "u", "input": [
            {"role": "system", "content": "rules"},
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "x"},
        ], "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]})
    .to_string();
    let fields = Fields::read(body.as_bytes()).unwrap();
    assert!(!Inbound::OpenaiChat.is_own(&fields));
    let request = Inbound::OpenaiChat.read_request(&fields).unwrap();
    assert_eq!((request.messages.len(), request.tools.len()), (4, 1));
    for body in [r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"input":[]}"#, r#"{"model":"m"}"#] {
        assert!(Inbound::OpenaiChat.is_own(&Fields::read(body.as_bytes()).unwrap()));
    }
}

#[test]
fn a_schema_written_over_lines_does_not_break_the_event_that_repeats_it() {
    let body =
        "{\"model\":\"m\",\"input\":\"hi\",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\r\n\n}}]}";
    let request = read_request(&Fields::read(body.as_bytes()).unwrap()).unwrap();
    let label = Label { request: Some(Arc::new(request)), ..Label::default() };
    let (mut encoder, mut out) = (Inbound::OpenaiResponses.encoder(label), Vec::new());
    Response::default().events().iter().for_each(|event| encoder.event(event, &mut out));
    let mut splitter = Splitter::default();
    let read = |raw: &[u8]| {
        let data = Frame::read(Framing::Sse, raw).unwrap().data.unwrap().into_owned();
        let event: Value = serde_json::from_str(&data).unwrap();
        assert!(event["response"].is_null() || event["response"]["tools"][0]["parameters"] == json!({}), "{event}");
    };
    splitter.feed(&out, read).unwrap();
}

#[test]
fn a_comment_after_the_end_says_nothing() {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    let comment = Frame::read(Framing::Sse, b": keepalive\n\n").unwrap();
    decoder.frame(&comment, &mut events).unwrap();
    assert_eq!(words(&events), "ping");
    let end =
        r#"data: {"type":"response.completed","response":{"id":"r1","model":"m","status":"completed","output":[]}}"#;
    decoder.frame(&Frame::read(Framing::Sse, end.as_bytes()).unwrap(), &mut events).unwrap();
    decoder.frame(&comment, &mut events).unwrap();
    assert_eq!(events.last(), Some(&Event::End), "{}", words(&events));
}
