//! What Bedrock is asked, case by case.

use serde_json::{Value, json};

use super::*;
use crate::chat::{self, Effort};

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn write(request: &Request) -> (Value, Vec<String>) {
    let mut lost = Vec::new();
    let body = write_request(request, &mut lost);
    (serde_json::from_slice(&body).unwrap(), lost)
}

fn raw(text: &str) -> Json {
    json::parse(text).unwrap()
}

fn number(text: &str) -> Option<Number> {
    crate::wire::json::parse(text).ok()
}

fn says(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts }
}

fn user(text: &str) -> Message {
    says(Role::User, vec![Part::text(text)])
}

fn call(id: &str, arguments: &str) -> Part {
    Part::new(Content::ToolCall(ToolCall {
        id: id.into(),
        name: "f".into(),
        arguments: arguments.into(),
        signature: None,
    }))
}

fn result(id: &str, parts: Vec<Part>, is_error: bool) -> Part {
    Part::new(Content::ToolResult { call: id.into(), parts, is_error })
}

fn cached(part: Part) -> Part {
    Part { cache: Some(raw(r#"{"type":"ephemeral"}"#)), ..part }
}

fn inline(media_type: &str) -> chat::Media {
    chat::Media::Inline { media_type: media_type.into(), data: "eA==".into() }
}

fn tool(name: &str) -> Tool {
    Tool { name: name.into(), ..Tool::default() }
}

fn request(model: &str, messages: Vec<Message>) -> Request {
    Request { model: model.into(), messages, ..Request::default() }
}

/// The `messages` that are written for Claude, and what is lost.
fn turns(messages: Vec<Message>) -> (Value, Vec<String>) {
    let (mut body, lost) = write(&request(CLAUDE, messages));
    (body["messages"].take(), lost)
}

#[test]
fn the_plain_fields_are_written() {
    let request = Request {
        messages: vec![says(Role::System, vec![Part::text("be"), Part::text("brief")]), user("a")],
        tools: vec![Tool {
            description: Some("d".into()),
            schema: Some(raw(r#"{"properties":{"b":{},"a":{}}}"#)),
            strict: Some(true),
            ..tool("f")
        }],
        tool_choice: Some(ToolChoice::Required),
        max_tokens: Some(7),
        temperature: number("0.70"),
        stop: vec!["X".into(), String::new()],
        service_tier: Some("priority".into()),
        format: Some(Format::Schema { name: "n".into(), schema: raw(r#"{"type" :"object"}"#), strict: None }),
        seed: number("1"),
        user: Some("u".into()),
        ..request(CLAUDE, Vec::new())
    };
    let (body, lost) = write(&request);
    let schema = json!({"type": "object", "properties": {"b": {}, "a": {}}});
    let expected = json!({
        "system": [{"text": "be"}, {"text": "brief"}],
        "messages": [{"role": "user", "content": [{"text": "a"}]}],
        "inferenceConfig": {"maxTokens": 7, "temperature": 0.70, "stopSequences": ["X"]},
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": schema}, "strict": true}}],
            "toolChoice": {"any": {}},
        },
        "outputConfig": {"textFormat": {"type": "json_schema",
            "structure": {"jsonSchema": {"name": "n", "schema": "{\"type\" :\"object\"}"}}}},
        "serviceTier": {"type": "priority"},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
    });
    assert_eq!(body, expected);
    assert_eq!(lost, ["seed", "user", "stop"]);
}

#[test]
fn turns_alternate_begin_with_the_user_and_have_their_results_first() {
    let (messages, lost) = turns(vec![
        says(Role::Assistant, vec![Part::text("a"), call("t", r#"{"x":1}"#)]),
        user("b"),
        says(
            Role::User,
            vec![result("t", vec![Part::text("r"), Part::new(Content::Image(inline("image/png")))], true)],
        ),
        says(Role::System, vec![Part::text("c")]),
        says(Role::Assistant, vec![Part::text(" "), Part::text("d \n")]),
    ]);
    let expected = json!([
        {"role": "user", "content": [{"text": "."}]},
        {"role": "assistant", "content": [
            {"text": "a"}, {"toolUse": {"toolUseId": "t", "name": "f", "input": {"x": 1}}}]},
        {"role": "user", "content": [
            {"toolResult": {"toolUseId": "t", "status": "error", "content": [
                {"text": "r"}, {"image": {"format": "png", "source": {"bytes": "eA=="}}}]}},
            {"text": "b"}, {"text": "c"}]},
        {"role": "assistant", "content": [{"text": "d"}]},
    ]);
    assert_eq!((messages, lost), (expected, Vec::new()));
}

#[test]
fn media_have_their_own_blocks_and_a_document_has_a_text_beside_it() {
    let (messages, lost) = turns(vec![says(
        Role::User,
        vec![
            Part::new(Content::Document { media: inline("application/pdf"), name: Some("a.pdf".into()) }),
            Part::new(Content::Video(inline("video/mp4"))),
            Part::new(Content::Audio(inline("audio/wav"))),
            Part::new(Content::Image(chat::Media::Url("https://example.com/a.png".into()))),
        ],
    )]);
    let source = json!({"bytes": "eA=="});
    let expected = json!([{"role": "user", "content": [
        {"document": {"format": "pdf", "name": "a pdf", "source": source}},
        {"video": {"format": "mp4", "source": source}},
        {"audio": {"format": "wav", "source": source}},
        {"text": "."}]}]);
    assert_eq!((messages, lost), (expected, vec!["messages.content (image)".to_owned()]));
}

#[test]
fn reasoning_goes_back_with_its_proof_only() {
    let thought = |signature: Option<&str>| {
        Part::new(Content::Reasoning { text: "hm".into(), signature: signature.map(str::to_owned) })
    };
    let sealed = Part::new(Content::SealedReasoning("eA==".into()));
    let (messages, lost) = turns(vec![
        user("a"),
        says(Role::Assistant, vec![thought(Some("s")), sealed, thought(None), Part::text("b")]),
        user("c"),
    ]);
    let expected = json!([
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "eA=="}}, {"text": "b"}]);
    assert_eq!((&messages[1]["content"], lost), (&expected, vec!["messages.reasoning".to_owned()]));
}

/// maximhq/bifrost#1935: without the markers on calls and results Claude Code has next to no cache hits.
#[test]
fn a_cache_marker_on_a_call_or_a_result_is_kept_bifrost_1935() {
    let within = cached(Part::text("r"));
    let hour = Part { cache: Some(raw(r#"{"type":"ephemeral","ttl":"1h"}"#)), ..Part::text("s") };
    let mut asked = request(
        CLAUDE,
        vec![
            says(Role::System, vec![hour]),
            cached_user("a"),
            says(Role::Assistant, vec![cached(call("t", "{}")), call("u", "{}")]),
            says(
                Role::User,
                vec![
                    Part::text("b"),
                    cached(result("t", vec![within.clone()], false)),
                    result("u", vec![within], false),
                ],
            ),
        ],
    );
    asked.tools = vec![Tool { cache: Some(raw(r#"{"type":"ephemeral"}"#)), ..tool("f") }];
    let point = json!({"cachePoint": {"type": "default"}});
    let (body, lost) = write(&asked);
    assert_eq!(body["system"], json!([{"text": "s"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]));
    assert_eq!(body["toolConfig"]["tools"][1], point);
    let uses = |id: &str| json!({"toolUse": {"toolUseId": id, "name": "f", "input": {}}});
    let gives = |id: &str| json!({"toolResult": {"toolUseId": id, "content": [{"text": "r"}]}});
    assert_eq!(body["messages"][0]["content"], json!([{"text": "a"}, point]));
    assert_eq!(body["messages"][1]["content"], json!([uses("t"), point, uses("u")]));
    assert_eq!(body["messages"][2]["content"], json!([gives("t"), point, gives("u"), point, {"text": "b"}]));
    assert_eq!(lost, Vec::<String>::new());
    // A model that caches nothing refuses the point.
    asked.model = "meta.llama3-8b-instruct-v1:0".into();
    let (body, lost) = write(&asked);
    assert!(!body.to_string().contains("cachePoint"), "{body}");
    assert_eq!(lost, ["cache_control"]);
}

fn cached_user(text: &str) -> Message {
    says(Role::User, vec![cached(Part::text(text))])
}

#[test]
fn a_call_and_its_result_meet_under_mistrals_ids() {
    let messages = vec![
        user("a"),
        says(Role::Assistant, vec![call("call_1234567890", "{}"), call("aB3dE6gH9", "{}")]),
        says(Role::User, vec![result("call_1234567890", Vec::new(), false), result("aB3dE6gH9", Vec::new(), false)]),
    ];
    let (body, _) = write(&request("us.mistral.pixtral-large-2502-v1:0", messages));
    let id = |turn: usize, at: usize, block: &str| {
        body["messages"][turn]["content"][at][block]["toolUseId"].as_str().unwrap().to_owned()
    };
    assert_eq!(id(1, 0, "toolUse").len(), 9);
    assert_eq!(id(1, 0, "toolUse"), id(2, 0, "toolResult"));
    assert_eq!((id(1, 1, "toolUse"), id(2, 1, "toolResult")), ("aB3dE6gH9".into(), "aB3dE6gH9".into()));
}

#[test]
fn tools_are_told_where_they_must_be_and_not_where_none_is_wanted() {
    let history = || vec![user("a"), says(Role::Assistant, vec![call("t", "{}")]), user("b")];
    let offered = |choice, messages| {
        let asked = Request { tools: vec![tool("g")], tool_choice: Some(choice), ..request(CLAUDE, messages) };
        let (mut body, lost) = write(&asked);
        (body["toolConfig"].take(), lost)
    };
    let spec = |name: &str| {
        let schema = json!({"type": "object", "properties": {}});
        json!({"toolSpec": {"name": name, "inputSchema": {"json": schema}}})
    };
    assert_eq!(offered(ToolChoice::Auto, vec![user("a")]), (json!({"tools": [spec("g")]}), Vec::new()));
    assert_eq!(offered(ToolChoice::None, vec![user("a")]), (Value::Null, Vec::new()));
    assert_eq!(offered(ToolChoice::None, history()), (json!({"tools": [spec("g")]}), vec!["tool_choice".to_owned()]));
    let named = json!({"tools": [spec("g")], "toolChoice": {"tool": {"name": "g"}}});
    assert_eq!(offered(ToolChoice::Named("g".into()), vec![user("a")]), (named, Vec::new()));
    // What was called and is offered no more.
    let (body, lost) = write(&request(CLAUDE, history()));
    assert_eq!((&body["toolConfig"], lost), (&json!({"tools": [spec("f")]}), Vec::new()));
}

#[test]
fn a_name_that_does_not_fit_is_the_same_wherever_it_stands() {
    let odd = "files.read";
    let mut part = call("t", "{}");
    if let Content::ToolCall(call) = &mut part.content {
        call.name = odd.into();
    }
    let asked = Request {
        tools: vec![tool(odd)],
        tool_choice: Some(ToolChoice::Named(odd.into())),
        ..request(CLAUDE, vec![user("a"), says(Role::Assistant, vec![part]), user("b")])
    };
    let (body, _) = write(&asked);
    let name = tool_name(odd).into_owned();
    assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["name"], name);
    assert_eq!(body["toolConfig"]["toolChoice"]["tool"]["name"], name);
    assert_eq!(body["messages"][1]["content"][0]["toolUse"]["name"], name);
}

#[test]
fn reasoning_is_asked_for_in_each_makers_words() {
    let level = |level: &str| Effort::Level(level.into());
    let cases = [
        (CLAUDE, level("low"), json!({"thinking": {"type": "enabled", "budget_tokens": 2048}}), ""),
        (CLAUDE, Effort::Budget(5000), json!({"thinking": {"type": "enabled", "budget_tokens": 5000}}), ""),
        (CLAUDE, Effort::Off, Value::Null, ""),
        (CLAUDE, level("odd"), Value::Null, "reasoning"),
        ("us.anthropic.claude-sonnet-4-6", Effort::Adaptive, json!({"thinking": {"type": "adaptive"}}), ""),
        (
            "us.anthropic.claude-sonnet-5",
            level("high"),
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
            "",
        ),
        ("anthropic.claude-3-haiku-20240307-v1:0", level("high"), Value::Null, "reasoning"),
        ("openai.gpt-oss-120b-1:0", level("minimal"), json!({"reasoning_effort": "low"}), ""),
        ("qwen.qwen3-32b-v1:0", Effort::Budget(9000), json!({"reasoning_config": "high"}), ""),
        (
            "us.amazon.nova-2-lite-v1:0",
            level("medium"),
            json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}),
            "",
        ),
        ("amazon.nova-lite-v1:0", level("medium"), Value::Null, "reasoning"),
        ("us.deepseek.r1-v1:0", level("none"), Value::Null, ""),
    ];
    for (model, effort, extra, loss) in cases {
        let asked = Request { reasoning: Some(effort.clone()), ..request(model, vec![user("a")]) };
        let (body, lost) = write(&asked);
        assert_eq!(
            (&body["additionalModelRequestFields"], lost.concat().as_str()),
            (&extra, loss),
            "{model} {effort:?}"
        );
    }
}

#[test]
fn claudes_thinking_gives_way_and_sampling_gives_way_to_it() {
    let thinks = |change: fn(&mut Request)| {
        let mut asked = Request { reasoning: Some(Effort::Budget(2000)), ..request(CLAUDE, vec![user("a")]) };
        change(&mut asked);
        let (body, lost) = write(&asked);
        (
            body["additionalModelRequestFields"]["thinking"]["budget_tokens"].as_u64(),
            body["inferenceConfig"].clone(),
            lost,
        )
    };
    assert_eq!(thinks(|_| ()), (Some(2000), json!({"maxTokens": 6096}), Vec::new()));
    assert_eq!(thinks(|asked| asked.max_tokens = Some(1500)), (Some(1499), json!({"maxTokens": 1500}), Vec::new()));
    let none = |name: &str| (None, Value::Null, vec![name.to_owned()]);
    assert_eq!(thinks(|asked| asked.messages.push(says(Role::Assistant, vec![Part::text("b")]))), none("reasoning"));
    assert_eq!(
        thinks(|asked| {
            asked.tools = vec![tool("f")];
            asked.tool_choice = Some(ToolChoice::Required);
        }),
        none("reasoning")
    );
    let (_, inference, lost) = thinks(|asked| {
        asked.temperature = number("0.5");
        asked.top_p = number("0.5");
        asked.top_k = Some(3);
    });
    assert_eq!(
        (inference, lost),
        (json!({"maxTokens": 6096}), vec!["temperature".into(), "top_p".into(), "top_k".into()])
    );
}

#[test]
fn top_k_is_told_in_each_makers_words() {
    let cases = [
        (CLAUDE, json!({"top_k": 3}), ""),
        ("us.amazon.nova-pro-v1:0", json!({"inferenceConfig": {"topK": 3}}), ""),
        ("mistral.mistral-7b-instruct-v0:2", json!({"top_k": 3}), ""),
        ("cohere.command-r-v1:0", json!({"k": 3}), ""),
        ("meta.llama3-8b-instruct-v1:0", Value::Null, "top_k"),
        ("us.anthropic.claude-sonnet-5", Value::Null, "top_k"),
    ];
    for (model, extra, loss) in cases {
        let (body, lost) = write(&Request { top_k: Some(3), ..request(model, vec![user("a")]) });
        assert_eq!((&body["additionalModelRequestFields"], lost.concat().as_str()), (&extra, loss), "{model}");
    }
}

#[test]
fn the_met_stop_sequence_is_asked_for_where_it_is_told() {
    for (stream, path) in [(true, "/delta/stop_sequence"), (false, "/stop_sequence")] {
        let asked = Request { stop: vec!["X".into()], stream, ..request(CLAUDE, vec![user("a")]) };
        assert_eq!(write(&asked).0["additionalModelResponseFieldPaths"], json!([path]));
    }
    let asked = Request { stop: vec!["X".into()], ..request("amazon.nova-lite-v1:0", vec![user("a")]) };
    assert_eq!(write(&asked).0["additionalModelResponseFieldPaths"], Value::Null);
}

#[test]
fn a_hot_temperature_is_the_hottest_there_is() {
    let asked = Request { temperature: number("1.5"), ..request("amazon.nova-lite-v1:0", vec![user("a")]) };
    let (body, lost) = write(&asked);
    assert_eq!((&body["inferenceConfig"], lost), (&json!({"temperature": 1}), vec!["temperature".to_owned()]));
}

#[test]
fn one_call_at_a_time_is_asked_for_in_claudes_words() {
    let single = |model: &str, tool_choice| {
        let asked = Request {
            tools: vec![tool("f")],
            tool_choice,
            parallel_tools: Some(false),
            ..request(model, vec![user("a")])
        };
        let (mut body, lost) = write(&asked);
        (body["additionalModelRequestFields"].take(), lost.concat())
    };
    let extra = json!({"tool_choice": {"type": "auto", "disable_parallel_tool_use": true}});
    assert_eq!(single(CLAUDE, None), (extra.clone(), String::new()));
    assert_eq!(single(CLAUDE, Some(ToolChoice::Auto)), (extra, String::new()));
    assert_eq!(single(CLAUDE, Some(ToolChoice::Required)), (Value::Null, "parallel_tool_calls".to_owned()));
    assert_eq!(single("amazon.nova-lite-v1:0", None), (Value::Null, "parallel_tool_calls".to_owned()));
}

#[test]
fn a_result_that_says_nothing_says_so() {
    let (messages, lost) = turns(vec![
        user("a"),
        says(Role::Assistant, vec![call("t", "{}"), call("u", "{}")]),
        says(Role::User, vec![result("t", vec![Part::text(" ")], false), result("u", Vec::new(), true)]),
    ]);
    let expected = json!([
        {"toolResult": {"toolUseId": "t", "content": [{"text": "(empty)"}]}},
        {"toolResult": {"toolUseId": "u", "content": [{"text": "error"}], "status": "error"}}]);
    assert_eq!((&messages[2]["content"], lost), (&expected, Vec::new()));
}
