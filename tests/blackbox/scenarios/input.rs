//! Bad input: a clear error in the dialect of the path, no upstream asked, nothing counted.

use serde_json::json;

use super::add_callers;
use crate::caller::Dialect;
use crate::client::{self, Whole};
use crate::suite::{BODY_BYTES_MAX, Suite};
use crate::test::Test;

/// Status, type and code for Chat Completions, type for Messages.
type Refusal = (u16, &'static str, &'static str, &'static str);

const INVALID: Refusal = (400, "invalid_request_error", "", "invalid_request_error");
const NO_MODEL: Refusal = (404, "invalid_request_error", "model_not_found", "not_found_error");
const NO_KEY: Refusal = (401, "invalid_request_error", "invalid_api_key", "authentication_error");
const TOO_LARGE: Refusal = (413, "invalid_request_error", "request_too_large", "request_too_large");
const METHOD: Refusal = (405, "invalid_request_error", "method_not_allowed", "invalid_request_error");

/// Bodies in which `MARKER` is this scenario's.
const BODIES: [(&str, &str, Refusal); 10] = [
    ("an_empty_body", "", INVALID),
    ("a_body_that_is_not_json", "model=text&prompt=MARKER", INVALID),
    (
        "a_body_that_breaks_off",
        r#"{"model": "up-openai/text", "messages": [{"role": "user", "content": "MARKER"#,
        INVALID,
    ),
    ("a_body_followed_by_another", r#"{"model": "up-openai/text", "messages": []} {"a": "MARKER"}"#, INVALID),
    ("a_body_that_is_a_list", r#"[{"model": "up-openai/text", "content": "MARKER"}]"#, INVALID),
    ("a_body_without_model", r#"{"messages": [{"role": "user", "content": "MARKER"}], "max_tokens": 9}"#, INVALID),
    ("a_model_that_is_a_number", r#"{"model": 7, "messages": [{"role": "user", "content": "MARKER"}]}"#, INVALID),
    ("a_stream_that_is_a_text", r#"{"model": "up-openai/text", "stream": "MARKER", "messages": []}"#, INVALID),
    ("an_unknown_model", r#"{"model": "nowhere-near", "messages": [{"role": "user", "content": "MARKER"}]}"#, NO_MODEL),
    (
        "an_unknown_provider",
        r#"{"model": "xyzzy/text", "messages": [{"role": "user", "content": "MARKER"}]}"#,
        NO_MODEL,
    ),
];

/// A model that is almost there, and what the message must suggest.
const NEAR: [(&str, &str); 2] = [("all-status-530", "all-status-5"), ("up-opena/text", "up-openai")];

pub(crate) fn add(suite: &mut Suite) {
    for (what, body, refusal) in BODIES {
        add_callers(suite, "input", &format!("{what}_is_refused"), move |test, dialect| async move {
            let body = body.replace("MARKER", &test.marker);
            let reply = test.open_bytes(dialect, body).await.whole().await;
            refused(&test, dialect, &reply, refusal).await;
        });
    }
    for (model, suggestion) in NEAR {
        add_callers(
            suite,
            "input",
            &format!("the_nearest_name_is_suggested::{suggestion}"),
            move |test, dialect| async move {
                let reply = test.ask(dialect, &dialect.request(model, &test.prompt())).await;
                let message = dialect.read_error(&reply.body).message;
                assert!(message.contains(suggestion), "{message}");
                refused(&test, dialect, &reply, NO_MODEL).await;
            },
        );
    }
    add_callers(suite, "input", "a_body_over_the_limit_is_refused", |test, dialect| async move {
        let padding = "x".repeat(BODY_BYTES_MAX);
        let reply = test.ask(dialect, &dialect.request("up-openai/text", &(test.prompt() + &padding))).await;
        refused(&test, dialect, &reply, TOO_LARGE).await;
    });
    add_callers(suite, "input", "a_body_under_the_limit_is_answered", |test, dialect| async move {
        let padding = "x".repeat(BODY_BYTES_MAX - 1000);
        test.answer(dialect, &dialect.request("up-anthropic/text", &(test.prompt() + &padding))).await;
    });
    add_callers(suite, "input", "a_body_nested_without_end_does_no_harm", nested);
    add_callers(suite, "input", "a_field_of_the_wrong_type_is_named_and_not_repeated", wrong_types);
    add_callers(suite, "input", "bytes_that_are_not_utf8_are_refused", |test, dialect| async move {
        let mut body = dialect.request("up-openai/text", &test.prompt()).to_string().into_bytes();
        let at = body.iter().position(|byte| *byte == b'S').expect("the prompt begins with S");
        body[at] = 0xff;
        let reply = test.open_bytes(dialect, body).await.whole().await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert_eq!(dialect.read_error(&reply.body).kind, "invalid_request_error");
        test.settles([]).await;
    });
    add_callers(suite, "input", "a_get_is_refused_with_the_method_to_use", |test, dialect| async move {
        let reply =
            client::send(test.host.address, "GET", dialect.path(), &dialect.headers(&test.key), "").await.whole().await;
        assert_eq!(reply.header("allow"), Some("POST"));
        refused(&test, dialect, &reply, METHOD).await;
    });
    for (what, key) in [("a_wrong_key", Some("tg-scripted-wrong")), ("a_missing_key", None), ("an_empty_key", Some(""))]
    {
        add_callers(suite, "input", &format!("{what}_is_refused"), move |test, dialect| async move {
            let mut headers = dialect.headers(key.unwrap_or_default());
            headers.retain(|(name, _)| key.is_some() || !["authorization", "x-api-key"].contains(name));
            let body = dialect.request("up-openai/text", &test.prompt()).to_string();
            let reply = client::send(test.host.address, "POST", dialect.path(), &headers, body).await.whole().await;
            assert!(!reply.text().contains("tg-scripted"), "a key is repeated: {}", reply.text());
            refused(&test, dialect, &reply, NO_KEY).await;
        });
    }
    suite.add("input::an_unknown_path_is_not_found", |test| async move {
        let reply = test.get("/v1/nothing/here").await;
        assert_eq!(reply.status, 404, "{}", reply.text());
        let problem = Dialect::OpenaiChat.read_error(&reply.body);
        assert_eq!((problem.kind.as_str(), problem.code.as_str()), ("invalid_request_error", "not_found"));
    });
    suite.add("input::a_post_to_the_models_is_refused", |test| async move {
        let headers = Dialect::OpenaiChat.headers(&test.key);
        let reply = client::send(test.host.address, "POST", "/v1/models", &headers, "{}").await.whole().await;
        assert_eq!(reply.status, 405, "{}", reply.text());
        assert!(reply.header("allow").is_some_and(|methods| methods.starts_with("GET")), "{:?}", reply.header("allow"));
    });
}

/// Who translates a request must understand it; who passes it on need not.
async fn wrong_types(test: Test, dialect: Dialect) {
    for field in ["messages", "max_tokens", "temperature", "tools", "tool_choice"] {
        let mut request = dialect.request(&dialect.own().other().target("text"), "Hello.");
        request[field] = json!([test.marker]);
        let reply = test.ask(dialect, &request).await;
        let message = dialect.read_error(&reply.body).message;
        assert!(message.contains(field), "{field} is not named: {message}");
        refused(&test, dialect, &reply, INVALID).await;
    }
}

async fn refused(test: &Test, dialect: Dialect, reply: &Whole, (status, kind, code, anthropic): Refusal) {
    assert_eq!(reply.status, status, "{}", reply.text());
    let problem = dialect.read_error(&reply.body);
    match dialect {
        Dialect::Anthropic => assert_eq!(problem.kind, anthropic, "{problem:?}"),
        _ => assert_eq!((problem.kind.as_str(), problem.code.as_str()), (kind, code), "{problem:?}"),
    }
    assert!(!reply.text().contains(&test.marker), "the prompt is repeated: {}", reply.text());
    assert!(test.upstream.exchanges(&test.marker).is_empty(), "the upstream was asked");
    test.settles([]).await;
}

/// Deeper than any stack; who translates refuses it, who passes it on has the upstream refuse it.
async fn nested(test: Test, dialect: Dialect) {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for provider in [dialect.own(), dialect.own().other()] {
        let body = format!(
            r#"{{"model":"{}/text","max_tokens":9,"messages":[{{"role":"user","content":"{}"}},{{"role":"user","content":{deep}}}]}}"#,
            provider.id(),
            test.prompt()
        );
        let reply = test.open_bytes(dialect, body).await.whole().await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert_eq!(dialect.read_error(&reply.body).kind, "invalid_request_error");
    }
    test.settles([]).await;
}
