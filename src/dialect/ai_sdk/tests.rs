//! Requests as the clients of three versions send them, and answers as they want them.

use serde_json::{Value, json};

use super::*;
use crate::catalog::models::Models;
use crate::chat::{
    Block, Content, Effort, Event, Format, Media, Part, Request, Response, Role, Stop, StopReason, ToolCall,
    ToolChoice, Usage,
};
use crate::dialect::{Encode as _, Label};
use crate::embed::Input;

fn asked(body: Value) -> Result<Request, Error> {
    read_request(&Fields::read(body.to_string().as_bytes()).unwrap())
}

fn ask(prompt: Value, more: Value) -> Request {
    let mut body = json!({"prompt": prompt});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    asked(body).unwrap()
}

fn hi() -> Value {
    json!([{"role": "user", "content": [{"type": "text", "text": "hi"}]}])
}

/// The content of the last message that `parts` of `role` become.
fn contents(role: &str, parts: Value) -> Vec<Content> {
    let request = ask(json!([{"role": role, "content": parts}]), json!({}));
    request.messages.into_iter().flat_map(|message| message.parts).map(|part| part.content).collect()
}

#[test]
fn settings_and_tools_have_their_places() {
    let request = ask(
        hi(),
        json!({
            "maxOutputTokens": 100, "temperature": 0.50, "topP": 1, "topK": 40, "seed": 7, "presencePenalty": 0.1,
            "frequencyPenalty": 0.2, "stopSequences": ["END"], "reasoning": "high", "includeRawChunks": false,
            "headers": {"user-agent": "ai/7"}, "toolChoice": {"type": "tool", "toolName": "look"},
            "tools": [
                {"type": "function", "name": "look", "description": "d", "inputSchema": {"type": "object"}, "strict": true,
                 "inputExamples": [], "providerOptions": {"anthropic": {"cacheControl": {"type": "ephemeral"}}}},
                {"type": "provider", "id": "openai.web_search", "name": "search", "args": {}},
                {"type": "provider-defined", "id": "google.url_context", "name": "url", "args": {}},
            ],
            "responseFormat": {"type": "json", "schema": {"type": "object"}, "name": "n", "description": "d"},
            "surprise": 1,
        }),
    );
    assert_eq!(
        (request.max_tokens, request.top_k, request.stop.as_slice()),
        (Some(100), Some(40), &["END".to_owned()][..])
    );
    let numbers =
        [&request.temperature, &request.top_p, &request.seed, &request.presence_penalty, &request.frequency_penalty];
    assert_eq!(numbers.map(|number| number.as_ref().unwrap().value()), [0.5, 1.0, 7.0, 0.1, 0.2]);
    assert_eq!(request.reasoning, Some(Effort::Level("high".into())));
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("look".into())));
    let [tool] = request.tools.as_slice() else { panic!("{:?}", request.tools) };
    assert_eq!((tool.name.as_str(), tool.description.as_deref(), tool.strict), ("look", Some("d"), Some(true)));
    assert_eq!(tool.cache.as_ref().unwrap().get(), r#"{"type":"ephemeral"}"#);
    assert!(matches!(&request.format, Some(Format::Schema { name, .. }) if name == "n"));
    let unread = [
        "surprise",
        "tools.inputExamples",
        "tools (openai.web_search)",
        "tools (google.url_context)",
        "responseFormat.description",
    ];
    assert_eq!(request.unread, unread);
    let alone = ask(hi(), json!({"toolChoice": {"type": "required"}, "tools": [{"type": "provider", "id": "a.b"}]}));
    assert_eq!((alone.tool_choice, alone.tools.len()), (None, 0));
}

#[test]
fn options_for_providers_have_places_or_names() {
    let effort = |options: Value| ask(hi(), json!({"reasoning": "low", "providerOptions": options})).reasoning;
    let level = |level: &str| Some(Effort::Level(level.to_owned()));
    let cases = [
        (json!({}), level("low")),
        (json!({"openai": {"reasoningEffort": "minimal"}}), level("minimal")),
        (json!({"openai": {"reasoningEffort": "none"}}), Some(Effort::Off)),
        (json!({"anthropic": {"thinking": {"type": "enabled", "budgetTokens": 2000}}}), Some(Effort::Budget(2000))),
        (json!({"anthropic": {"thinking": {"type": "disabled"}}}), Some(Effort::Off)),
        (json!({"anthropic": {"thinking": {"type": "adaptive"}, "effort": "max"}}), level("max")),
        (json!({"anthropic": {"effort": "max", "thinking": {"type": "adaptive"}}}), level("max")),
        (json!({"google": {"thinkingConfig": {"thinkingBudget": 0}}}), Some(Effort::Off)),
        (json!({"google": {"thinkingConfig": {"thinkingBudget": -1}}}), Some(Effort::Adaptive)),
        (json!({"google": {"thinkingConfig": {"thinkingLevel": "high"}}}), level("high")),
    ];
    for (options, expected) in cases {
        assert_eq!(effort(options.clone()), expected, "{options}");
    }
    // Their order counts, which `json!` does not keep.
    let text = r#"{"prompt": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}], "providerOptions": {
        "openai": {"reasoningEffort": "high", "parallelToolCalls": false, "textVerbosity": "low", "serviceTier": "flex",
            "promptCacheKey": "k", "user": "u", "store": false, "include": ["reasoning.encrypted_content"],
            "logprobs": 3, "metadata": null},
        "google": {"thinkingConfig": {"includeThoughts": true}, "safetySettings": []},
        "gateway": {"order": ["bedrock"], "serviceTier": "flex"},
        "anthropic": {"thinking": {"type": "enabled", "budgetTokens": 2000}, "disableParallelToolUse": false}}}"#;
    let request = read_request(&Fields::read(text.as_bytes()).unwrap()).unwrap();
    assert_eq!(request.reasoning, level("high"));
    assert_eq!((request.parallel_tools, request.reasoning_told), (Some(false), Some(true)));
    assert_eq!((request.verbosity.as_deref(), request.service_tier.as_deref()), (Some("low"), Some("flex")));
    assert_eq!((request.cache_key.as_deref(), request.user.as_deref()), (Some("k"), Some("u")));
    assert_eq!(
        request.unread,
        [
            "providerOptions.openai.logprobs",
            "providerOptions.google.safetySettings",
            "providerOptions.gateway.order",
            "providerOptions.anthropic.thinking",
            "providerOptions.anthropic.disableParallelToolUse",
        ]
    );
}

#[test]
fn a_prompt_keeps_its_roles_and_marks() {
    let mark = json!({"anthropic": {"cacheControl": {"type": "ephemeral"}}});
    let request = ask(
        json!([
            {"role": "system", "content": "be brief", "providerOptions": mark},
            {"role": "user", "content": [{"type": "text", "text": "a", "providerOptions": mark}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": []},
            {"role": "assistant", "content": [
                {"type": "reasoning", "text": "hm", "providerOptions": {"tollgate": {"signature": "s"}}},
                {"type": "reasoning", "text": "", "providerOptions": {"tollgate": {"redactedData": "dark"}}},
                {"type": "reasoning", "text": "", "providerOptions": {"openai": {"reasoningEncryptedContent": "theirs"}}},
                {"type": "tool-call", "toolCallId": "1", "toolName": "f", "input": {"a": 1.50},
                 "providerOptions": {"tollgate": {"signature": "t"}, "google": {"thoughtSignature": "theirs"}}},
                {"type": "tool-call", "toolCallId": "2", "toolName": "g", "input": "{\"broken"},
                {"type": "tool-call", "toolCallId": "3", "toolName": "web", "input": {}, "providerExecuted": true},
            ]},
            {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "1", "toolName": "f", "output": {"type": "text", "value": "x"}}]},
            {"role": "tool", "content": [
                {"type": "tool-approval-response", "approvalId": "a", "approved": true},
                {"type": "tool-result", "toolCallId": "2", "toolName": "g", "output": {"type": "error-text", "value": "y"}},
            ]},
        ]),
        json!({}),
    );
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::User]);
    let marked: Vec<bool> =
        request.messages.iter().flat_map(|message| &message.parts).map(|part| part.cache.is_some()).collect();
    assert_eq!(marked[..3], [true, true, false]);
    let call = |id: &str, name: &str, arguments: &str, signature: Option<&str>| {
        let (id, name, arguments) = (id.to_owned(), name.to_owned(), arguments.to_owned());
        Content::ToolCall(ToolCall { id, name, arguments, signature: signature.map(str::to_owned) })
    };
    let said: Vec<Content> = request.messages[2].parts.iter().map(|part| part.content.clone()).collect();
    assert_eq!(
        said,
        [
            Content::Reasoning { text: "hm".into(), signature: Some("s".into()) },
            Content::SealedReasoning("dark".into()),
            call("1", "f", r#"{"a":1.5}"#, Some("t")),
            call("2", "g", "{\"broken", None),
        ]
    );
    let result = |call: &str, text: &str, is_error| Content::ToolResult {
        call: call.to_owned(),
        parts: vec![Part::text(text)],
        is_error,
    };
    let results: Vec<Content> = request.messages[3].parts.iter().map(|part| part.content.clone()).collect();
    assert_eq!(results, [result("1", "x", false), result("2", "y", true)]);
    let unread = [
        "prompt.providerOptions.openai.reasoningEncryptedContent",
        "prompt.providerOptions.google.thoughtSignature",
        "prompt.content (providerExecuted)",
        "prompt.content (tool-approval-response)",
    ];
    assert_eq!(request.unread, unread);
}

#[test]
fn files_of_every_version_are_read() {
    let inline = |media_type: &str, data: &str| Media::Inline { media_type: media_type.into(), data: data.into() };
    let url = || Media::Url("https://a.example/b".into());
    let cases = [
        (
            json!({"mediaType": "image/png", "data": {"type": "data", "data": "aGk="}}),
            Content::Image(inline("image/png", "aGk=")),
        ),
        (json!({"mediaType": "image/*", "data": {"type": "url", "url": "https://a.example/b"}}), Content::Image(url())),
        (json!({"mediaType": "image", "data": {"type": "url", "url": "https://a.example/b"}}), Content::Image(url())),
        (json!({"mediaType": "audio/wav", "data": "aGk="}), Content::Audio(inline("audio/wav", "aGk="))),
        (
            json!({"mediaType": "video/*", "data": "data:video/mp4;base64,aGk="}),
            Content::Video(inline("video/mp4", "aGk=")),
        ),
        (json!({"mediaType": "image/png", "data": "https://a.example/b"}), Content::Image(url())),
        (
            json!({"mediaType": "text/plain", "data": {"type": "text", "text": "hi"}, "filename": "f"}),
            Content::Document { media: inline("text/plain", "aGk="), name: Some("f".into()) },
        ),
    ];
    for (part, expected) in cases {
        let mut part = part;
        part["type"] = json!("file");
        assert_eq!(contents("user", json!([part])), [expected], "{part}");
    }
    let reference = json!({"type": "file", "mediaType": "image/png", "data": {"type": "reference", "reference": {"openai": "file-1"}}});
    let request = ask(json!([{"role": "user", "content": [{"type": "text", "text": "a"}, reference]}]), json!({}));
    assert_eq!(
        (request.messages[0].parts.len(), request.unread),
        (1, vec!["prompt.content.data (reference)".to_owned()])
    );
}

#[test]
fn results_of_every_kind_are_read() {
    let text = |text: &str| vec![Part::text(text)];
    let image = |media| vec![Part::new(Content::Image(media))];
    let inline = || Media::Inline { media_type: "image/png".into(), data: "aGk=".into() };
    let url = || Media::Url("https://a.example/b".into());
    let cases = [
        (json!({"type": "text", "value": "x"}), text("x"), false),
        (json!({"type": "json", "value": {"a": [1]}}), text(r#"{"a":[1]}"#), false),
        (json!({"type": "json", "value": null}), text("null"), false),
        (json!({"type": "error-text", "value": "x"}), text("x"), true),
        (json!({"type": "error-json", "value": "x"}), text("\"x\""), true),
        (json!({"type": "execution-denied", "reason": "no"}), text("no"), false),
        (json!({"type": "execution-denied"}), text("Tool call execution denied."), false),
        (json!({"type": "content", "value": [{"type": "text", "text": "x"}, {"type": "custom"}]}), text("x"), false),
        (
            json!({"type": "content", "value": [{"type": "media", "mediaType": "image/png", "data": "aGk="}]}),
            image(inline()),
            false,
        ),
        (
            json!({"type": "content", "value": [{"type": "image-data", "mediaType": "image/png", "data": "aGk="}]}),
            image(inline()),
            false,
        ),
        (
            json!({"type": "content", "value": [{"type": "image-url", "url": "https://a.example/b"}]}),
            image(url()),
            false,
        ),
        (
            json!({"type": "content", "value": [{"type": "file", "mediaType": "image/png", "data": {"type": "data", "data": "aGk="}}]}),
            image(inline()),
            false,
        ),
    ];
    for (output, parts, is_error) in cases {
        let result = json!([{"type": "tool-result", "toolCallId": "1", "toolName": "f", "output": output}]);
        assert_eq!(contents("tool", result), [Content::ToolResult { call: "1".into(), parts, is_error }], "{output}");
    }
}

#[test]
fn a_fault_is_told_by_its_place() {
    let part = |part: Value| json!({"prompt": [{"role": "user", "content": [{"type": "text", "text": "a"}, part]}]});
    let cases = [
        (json!({}), "prompt"),
        (json!({"prompt": []}), "prompt"),
        (json!({"prompt": "secret"}), "prompt"),
        (json!({"prompt": [{"role": "secret", "content": []}]}), "prompt[0].role"),
        (json!({"prompt": [{"role": "user", "content": "secret"}]}), "prompt[0].content"),
        (part(json!({"type": "text"})), "prompt[0].content[1].text"),
        (part(json!({"type": "secret"})), "prompt[0].content[1].type"),
        (part(json!({"type": "file", "mediaType": "a/b"})), "prompt[0].content[1].data"),
        (part(json!({"type": "file", "mediaType": "a/b", "data": "data:secret"})), "prompt[0].content[1].data"),
        (part(json!({"type": "tool-result", "toolCallId": "1"})), "prompt[0].content[1].output"),
        (
            part(json!({"type": "tool-result", "toolCallId": "1", "output": {"type": "secret"}})),
            "prompt[0].content[1].output.type",
        ),
        (json!({"prompt": hi(), "maxOutputTokens": "secret"}), "maxOutputTokens"),
        (json!({"prompt": hi(), "toolChoice": {"type": "secret"}}), "toolChoice.type"),
        (json!({"prompt": hi(), "tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"prompt": hi(), "responseFormat": {"type": "secret"}}), "responseFormat.type"),
        (json!({"prompt": hi(), "providerOptions": {"openai": "secret"}}), "providerOptions"),
        (
            json!({"prompt": hi(), "providerOptions": {"openai": {"reasoningEffort": 1}}}),
            "providerOptions.openai.reasoningEffort",
        ),
    ];
    for (body, place) in cases {
        let error = asked(body.clone()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(place), "{body}");
        assert!(!error.message.contains("secret"), "{}", error.message);
    }
}

fn answer() -> Response {
    let call = |id: &str, arguments: &str, signature: Option<&str>| {
        let (id, arguments) = (id.to_owned(), arguments.to_owned());
        let signature = signature.map(str::to_owned);
        Part::new(Content::ToolCall(ToolCall { id, name: "look".into(), arguments, signature }))
    };
    Response {
        id: "a1".into(),
        model: "m".into(),
        parts: vec![
            Part::new(Content::Reasoning { text: "hm".into(), signature: Some("s".into()) }),
            Part::new(Content::SealedReasoning("dark".into())),
            Part::text("I look.\nNow."),
            call("c1", r#"{"a":1}"#, Some("t")),
            call("c2", "", None),
        ],
        stop: Stop { reason: StopReason::ToolUse, native: Some("tool_use".into()), sequence: None },
        usage: Some(Usage { input: 10, cached_input: 3, cache_write: 2, output: 5, reasoning: 1 }),
    }
}

fn label() -> Label {
    Label { id: "r".into(), lost: vec!["top_k".into()], ..Label::default() }
}

#[test]
fn a_whole_answer_is_the_result_of_a_call() {
    let written = |version| -> Value { serde_json::from_slice(&write_response(&answer(), &label(), version)).unwrap() };
    let result = written(Version::V4);
    assert_eq!(
        result,
        json!({
            "content": [
                {"type": "reasoning", "text": "hm", "providerMetadata": {"tollgate": {"signature": "s"}}},
                {"type": "reasoning", "text": "", "providerMetadata": {"tollgate": {"redactedData": "dark"}}},
                {"type": "text", "text": "I look.\nNow."},
                {"type": "tool-call", "toolCallId": "c1", "toolName": "look", "input": "{\"a\":1}",
                 "providerMetadata": {"tollgate": {"signature": "t"}}},
                {"type": "tool-call", "toolCallId": "c2", "toolName": "look", "input": "{}"},
            ],
            "finishReason": {"unified": "tool-calls", "raw": "tool_use"},
            "usage": {
                "inputTokens": {"total": 10, "noCache": 5, "cacheRead": 3, "cacheWrite": 2},
                "outputTokens": {"total": 5, "text": 4, "reasoning": 1},
            },
            "warnings": [{"type": "other", "message": "not passed on: top_k"}],
            "response": {"id": "a1", "modelId": "m"},
        })
    );
    assert_eq!(written(Version::V3), result);
    let flat =
        json!({"inputTokens": 10, "outputTokens": 5, "totalTokens": 15, "reasoningTokens": 1, "cachedInputTokens": 3});
    let old = written(Version::V2);
    assert_eq!(
        (&old["finishReason"], &old["usage"], &old["content"]),
        (&json!("tool-calls"), &flat, &result["content"])
    );
    let silent: Value =
        serde_json::from_slice(&write_response(&Response::default(), &Label::default(), Version::V4)).unwrap();
    assert_eq!(silent["usage"], json!({"inputTokens": {}, "outputTokens": {}}), "what is not known is not told");
}

fn streamed(events: &[Event], version: Version) -> Vec<Value> {
    let (mut encoder, mut out) = (Encoder::new(label(), version), Vec::new());
    events.iter().for_each(|event| encoder.event(event, &mut out));
    let text = String::from_utf8(out).unwrap();
    text.split_terminator("\n\n")
        .map(|frame| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

#[test]
fn a_stream_is_parts_in_their_order() {
    let parts = streamed(&answer().events(), Version::V4);
    let finish = json!({"type": "finish", "finishReason": {"unified": "tool-calls", "raw": "tool_use"}, "usage": {
        "inputTokens": {"total": 10, "noCache": 5, "cacheRead": 3, "cacheWrite": 2},
        "outputTokens": {"total": 5, "text": 4, "reasoning": 1},
    }});
    assert_eq!(
        parts,
        [
            json!({"type": "stream-start", "warnings": [{"type": "other", "message": "not passed on: top_k"}]}),
            json!({"type": "response-metadata", "id": "a1", "modelId": "m"}),
            json!({"type": "reasoning-start", "id": "1"}),
            json!({"type": "reasoning-delta", "id": "1", "delta": "hm"}),
            json!({"type": "reasoning-end", "id": "1", "providerMetadata": {"tollgate": {"signature": "s"}}}),
            json!({"type": "reasoning-start", "id": "2", "providerMetadata": {"tollgate": {"redactedData": "dark"}}}),
            json!({"type": "reasoning-end", "id": "2"}),
            json!({"type": "text-start", "id": "3"}),
            json!({"type": "text-delta", "id": "3", "delta": "I look.\nNow."}),
            json!({"type": "text-end", "id": "3"}),
            json!({"type": "tool-input-start", "id": "c1", "toolName": "look"}),
            json!({"type": "tool-input-delta", "id": "c1", "delta": "{\"a\":1}"}),
            json!({"type": "tool-input-end", "id": "c1"}),
            json!({"type": "tool-call", "toolCallId": "c1", "toolName": "look", "input": "{\"a\":1}",
                "providerMetadata": {"tollgate": {"signature": "t"}}}),
            json!({"type": "tool-input-start", "id": "c2", "toolName": "look"}),
            json!({"type": "tool-input-delta", "id": "c2", "delta": ""}),
            json!({"type": "tool-input-end", "id": "c2"}),
            json!({"type": "tool-call", "toolCallId": "c2", "toolName": "look", "input": "{}"}),
            finish,
        ]
    );
    assert_eq!(streamed(&answer().events(), Version::V2).last().unwrap()["finishReason"], "tool-calls");
}

#[test]
fn usage_may_come_after_the_stop_and_an_error_anywhere() {
    let start = || Event::Start { id: String::new(), model: String::new() };
    let usage = Event::Usage(Usage { input: 1, output: 2, ..Usage::default() });
    let parts = streamed(&[start(), Event::Stop(Stop::default()), usage, Event::End], Version::V3);
    assert_eq!(parts[1], json!({"type": "response-metadata", "id": "r"}));
    assert_eq!(parts[2]["finishReason"], json!({"unified": "stop"}));
    assert_eq!(parts[2]["usage"]["outputTokens"]["total"], 2);
    let error = Event::Error { kind: None, message: "it broke".into() };
    let parts = streamed(&[start(), Event::Open(Block::Text), Event::Ping, error], Version::V4);
    let failure = json!({"type": "error", "error": {"message": "it broke", "type": "internal_server_error"}});
    assert_eq!(parts[2..], [json!({"type": "text-start", "id": "1"}), failure]);
}

#[test]
fn an_error_has_the_word_of_its_class() {
    let cases = [
        (Kind::Invalid, "invalid_request_error"),
        (Kind::Unauthenticated, "authentication_error"),
        (Kind::Forbidden, "forbidden"),
        (Kind::UnknownModel, "model_not_found"),
        (Kind::UnknownPath, "not_found"),
        (Kind::RateLimited, "rate_limit_exceeded"),
        (Kind::SpendCapReached, "quota_for_entity_exceeded"),
        (Kind::TooLarge, "invalid_request_error"),
        (Kind::UpstreamTimeout, "internal_server_error"),
        (Kind::Upstream(401), "failed_dependency"),
        (Kind::Upstream(404), "model_not_found"),
        (Kind::Upstream(424), "failed_dependency"),
        (Kind::Upstream(529), "internal_server_error"),
    ];
    for (kind, word) in cases {
        let body: Value = serde_json::from_slice(&error_body(&Error::new(kind, "no"), "req_1")).unwrap();
        assert_eq!(body, json!({"error": {"message": "no", "type": word}, "generationId": "req_1"}));
    }
    let body: Value = serde_json::from_slice(&error_body(&Error::field("topK", "no"), "")).unwrap();
    assert_eq!(body, json!({"error": {"message": "topK: no", "type": "invalid_request_error", "param": "topK"}}));
}

#[test]
fn models_are_listed_as_the_client_describes_them() {
    let known = Models::built_in().get("openai/gpt-5");
    let models = [Model { id: "openai/gpt-5".into(), owner: "openai".into(), known }];
    let body: Value = serde_json::from_slice(&write_models(&models, Version::V3)).unwrap();
    let specification = json!({"specificationVersion": "v3", "provider": "openai", "modelId": "openai/gpt-5"});
    let row = json!({"id": "openai/gpt-5", "name": "openai/gpt-5", "specification": specification,
        "pricing": {"input": "0.00000125", "output": "0.00001", "input_cache_read": "0.000000125"}});
    assert_eq!(body, json!({"models": [&row]}));
    assert_eq!(serde_json::from_slice::<Value>(&write_model(&models[0], Version::V3)).unwrap(), row);
}

#[test]
fn a_ranking_is_asked_for_and_told() {
    let ask = |body: Value| {
        let mut lost = Vec::new();
        let written = write_rerank(&Fields::read(body.to_string().as_bytes()).unwrap(), "m", &mut lost);
        written.map(|body| (serde_json::from_slice::<Value>(&body).unwrap(), lost))
    };
    let documents = json!({"type": "text", "values": ["a", "b"]});
    let asked = ask(json!({"documents": documents, "query": "q", "topN": 1, "providerOptions": {"cohere": {}}}));
    let written = json!({"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 1});
    assert_eq!(asked, Ok((written, vec!["providerOptions".to_owned()])));
    let (written, _) = ask(json!({"documents": {"type": "object", "values": [{"a": 1}]}, "query": "q"})).unwrap();
    assert_eq!(written, json!({"model": "m", "query": "q", "documents": ["{\"a\":1}"]}));
    for body in [json!({}), json!({"documents": documents}), json!({"documents": ["secret"], "query": "q"})] {
        let error = ask(body.clone()).unwrap_err();
        assert!(!error.message.contains("secret"), "{body}: {error}");
    }
    for list in ["results", "data"] {
        let answer = format!(r#"{{"{list}":[{{"index":1,"relevance_score":0.90}}],"usage":{{}}}}"#);
        let told = tell_ranking(answer.as_bytes()).unwrap();
        assert_eq!(told, br#"{"ranking":[{"index":1,"relevanceScore":0.90}]}"#);
    }
    assert!(tell_ranking(b"{}").is_err());
}

#[test]
fn embeddings_are_asked_for_and_told() {
    let read = |body: Value| read_embeddings(&Fields::read(body.to_string().as_bytes()).unwrap());
    let texts = |texts: &[&str]| Input::Texts(texts.iter().map(|text| (*text).to_owned()).collect());
    let options =
        json!({"openai": {"user": "u", "dimensions": 8}, "cohere": {"inputType": "search_query", "truncate": "END"}});
    let request = read(json!({"values": ["a", "b"], "providerOptions": options})).unwrap();
    assert_eq!((request.input, request.dimensions), (texts(&["a", "b"]), Some(8)));
    assert_eq!((request.user.as_deref(), request.input_type.as_deref()), (Some("u"), Some("search_query")));
    assert_eq!(request.unread, ["providerOptions.cohere.truncate"]);
    assert_eq!(read(json!({"input": "a"})).unwrap().input, texts(&["a"]));
    assert_eq!(read(json!({"input": ["a", "b"]})).unwrap().input, texts(&["a", "b"]));
    for body in [json!({}), json!({"values": []}), json!({"values": "secret"}), json!({"input": 1})] {
        let error = read(body.clone()).unwrap_err();
        assert!(!error.message.contains("secret"), "{body}: {error}");
    }
    let vectors = ["[1.50,-2]", "[0]"].map(|text| crate::chat::Json::made(text.into()));
    let usage = Some(Usage { input: 4, ..Usage::default() });
    let response = crate::embed::Response { model: "m".into(), vectors: vectors.into(), usage };
    assert_eq!(write_embeddings(&response), br#"{"embeddings":[[1.50,-2],[0]],"usage":{"tokens":4}}"#);
}
