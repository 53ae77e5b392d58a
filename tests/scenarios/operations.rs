//! What can be asked besides a chat, and of upstreams whose dialect no caller speaks: what these are sent, and what
//! becomes of their answers.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate::auth::Keyless;
use tollgate::config::{Config, Draft};
use tollgate::host::{Body, Headers, Incoming, ReplyBody};
use tollgate::relay::pump;
use tollgate::serve::{Gateway, serve};

use crate::script::{Act, Script};
use crate::world::{Received, Scripted, Task, World};

/// What the upstreams were sent, and what the caller got.
pub(crate) struct Exchange {
    pub(crate) sent: Vec<(String, Value)>,
    pub(crate) heads: Vec<(&'static str, Headers)>,
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: String,
    pub(crate) line: Value,
}

/// Asks `path` for `model` in a gateway whose provider `up` speaks `dialect` and answers `answer`.
pub(crate) fn exchange(dialect: &str, path: &str, ask: &Value, answer: (u16, &str, &str)) -> Exchange {
    exchange_with(&[], dialect, path, ask, answer)
}

/// The same with more headers.
fn exchange_with(
    headers: &[(&str, &str)],
    dialect: &str,
    path: &str,
    ask: &Value,
    (status, kind, answer): (u16, &str, &str),
) -> Exchange {
    let draft = json!({
        "providers": {
            "up": {"dialect": dialect, "base_url": "http://up/v1", "secret": "the key of up"},
            "deaf": {"dialect": "anthropic", "base_url": "http://deaf", "secret": "the key of deaf"},
        },
        "models": {
            "either": {"targets": ["deaf/m", "tollgate/echo", "up/m"]},
            "neither": {"targets": ["deaf/m", "tollgate/echo"]},
        },
        "callers": {"ci": {"secret": "the key of ci"}},
        "prices": {"up/m": {"input": "1", "output": "10"}},
    });
    played_with(headers, &draft, path, ask, [answers(status, &[("content-type", kind)], answer)])
}

/// An upstream that answers at once.
pub(crate) fn answers(status: u16, headers: &[(&str, &str)], body: &str) -> Script {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let head = Act::Head { status, headers };
    [(0, head), (0, Act::Piece(Bytes::from(body.to_owned()))), (0, Act::Close)].into()
}

/// Asks a gateway of this configuration, whose upstream `up` does one script after the other. A secret holds its name.
pub(crate) fn played<const N: usize>(draft: &Value, path: &str, ask: &Value, scripts: [Script; N]) -> Exchange {
    played_with(&[], draft, path, ask, scripts)
}

/// The same with more headers.
fn played_with<const N: usize>(
    headers: &[(&str, &str)],
    draft: &Value,
    path: &str,
    ask: &Value,
    scripts: [Script; N],
) -> Exchange {
    let draft = Draft::from_json(Some(&draft.to_string())).unwrap();
    let secret = |name: &str| name.starts_with("the key of").then(|| name.to_owned());
    let gateway = Gateway::new(Config::compile(&draft, secret).unwrap(), Keyless::Refused);
    let world = Rc::new(World::default());
    world.targets.borrow_mut().insert("up".to_owned(), scripts.into());
    let host = Scripted::new(world.clone());
    let request = Incoming {
        method: "POST".to_owned(),
        path: path.to_owned(),
        query: None,
        headers: [("authorization", "Bearer the key of ci")].iter().chain(headers).copied().collect(),
        body: Body::Whole(ask.to_string().into()),
    };
    let told = RefCell::new(None);
    let received = RefCell::new(Received::default());
    let task: Task<'_> = Box::pin(async {
        let reply = serve(&gateway, &host, request).await;
        *told.borrow_mut() = Some((reply.status, reply.headers));
        match reply.body {
            ReplyBody::Whole(body) => received.borrow_mut().pieces.push((0, body)),
            ReplyBody::Relayed { upstream, relay, record } => {
                pump(&host, upstream, *relay, *record, host.caller(&received)).await;
            }
        }
    });
    world.run(vec![task]);
    let (status, headers) = told.into_inner().unwrap();
    let pieces: Vec<Bytes> = received.into_inner().pieces.into_iter().map(|(_, piece)| piece).collect();
    // A GET has none.
    let read = |body: &Bytes| serde_json::from_slice(body).unwrap_or_default();
    let sent = world.sent.borrow().iter().map(|(url, body)| (url.clone(), read(body))).collect();
    let line = serde_json::from_str(&host.lines.into_inner()[0]).unwrap();
    let heads = world.heads.take();
    Exchange { sent, heads, status, headers, body: String::from_utf8(pieces.concat()).unwrap(), line }
}

fn json_of(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

const JSON: &str = "application/json";

#[test]
fn embeddings_of_the_callers_own_shape_go_through_as_they_are() {
    let ask = json!({"model": "up/m", "input": ["a"], "truncation": true});
    let answer = r#"{"object":"list","data":[{"object":"embedding","embedding":[0.10],"index":0}],"x":1,"usage":{"total_tokens":7}}"#;
    let told = exchange("openai-chat", "/v1/embeddings", &ask, (200, "application/json; charset=utf-8", answer));
    let sent = json!({"model": "m", "input": ["a"], "truncation": true});
    assert_eq!(told.sent, [("http://up/v1/embeddings".to_owned(), sent)]);
    assert_eq!((told.status, told.body.as_str()), (200, answer));
    assert_eq!(told.headers.get("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(told.headers.get("x-tollgate-cost"), Some("7000000"));
    assert_eq!(told.line["path"], "/v1/embeddings");
}

#[test]
fn wishes_for_the_route_reach_no_upstream_with_what_is_no_chat() {
    let wishes =
        json!({"provider": {"order": ["up"], "quantizations": ["fp8"]}, "models": ["up/m"], "session_id": "s"});
    let embeddings = r#"{"object":"list","data":[{"embedding":[0.10],"index":0}],"usage":{"total_tokens":7}}"#;
    let ranking = r#"{"results":[{"index":0,"relevance_score":0.1}]}"#;
    let cases = [
        ("openai-chat", "/v1/embeddings", json!({"model": "up/m", "input": ["a"]}), embeddings),
        ("cohere", "/v1/rerank", json!({"model": "up/m", "query": "q", "documents": ["a"]}), ranking),
    ];
    for (dialect, path, plain, answer) in cases {
        let mut ask = plain.clone();
        ask.as_object_mut().unwrap().extend(wishes.as_object().unwrap().clone());
        let told = exchange(dialect, path, &ask, (200, JSON, answer));
        let mut sent = plain;
        sent["model"] = "m".into();
        assert_eq!(told.sent[0].1, sent, "{path}");
        assert_eq!((told.status, told.headers.get("x-tollgate-lost")), (200, Some("provider.quantizations")), "{path}");
    }
}

#[test]
fn embeddings_of_another_shape_are_translated_and_packed() {
    let ask =
        json!({"model": "up/m", "input": ["a", "b"], "encoding_format": "base64", "user": "u", "truncate": "END"});
    let cohere = r#"{"id":"1","embeddings":{"float":[[1.50],[-2]]},"meta":{"billed_units":{"input_tokens":3}}}"#;
    let told = exchange("cohere", "/v1/embeddings", &ask, (200, JSON, cohere));
    let sent =
        json!({"model": "m", "texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"]});
    assert_eq!(told.sent, [("http://up/v1/embed".to_owned(), sent)]);
    let expected = json!({
        "object": "list", "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3},
        "data": [{"object": "embedding", "index": 0, "embedding": "AADAPw=="},
            {"object": "embedding", "index": 1, "embedding": "AAAAwA=="}],
    });
    assert_eq!((told.status, json_of(&told.body)), (200, expected));
    assert_eq!(told.headers.get("x-tollgate-lost"), Some("truncate, user"));
    assert_eq!(told.headers.get("x-tollgate-cost"), Some("3000000"));

    let ask = json!({"model": "up/m", "input": "a"});
    let ollama = r#"{"model":"m:latest","embeddings":[[0.10]],"prompt_eval_count":2}"#;
    let told = exchange("ollama", "/v1/embeddings", &ask, (200, JSON, ollama));
    assert_eq!(told.sent, [("http://up/api/embed".to_owned(), json!({"model": "m", "input": ["a"]}))]);
    assert_eq!(
        told.body,
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10]}],"model":"m:latest","usage":{"prompt_tokens":2,"total_tokens":2}}"#
    );
}

#[test]
fn the_ai_sdk_gets_embeddings_and_rankings_in_its_own_shape_from_all() {
    let head = [("ai-model-id", "up/m"), ("ai-embedding-model-specification-version", "4")];
    let openai = r#"{"object":"list","data":[{"embedding":[0.10],"index":0}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}"#;
    let cohere = r#"{"id":"1","embeddings":{"float":[[0.10]]},"meta":{"billed_units":{"input_tokens":7}}}"#;
    for (dialect, answer) in [("openai-chat", openai), ("cohere", cohere)] {
        let ask = json!({"values": ["a"], "providerOptions": {"gateway": {"order": ["azure"]}}});
        let told = exchange_with(&head, dialect, "/v4/ai/embedding-model", &ask, (200, JSON, answer));
        assert_eq!(told.sent[0].1["model"], "m", "{dialect}");
        assert_eq!((told.status, told.body.as_str()), (200, r#"{"embeddings":[[0.10]],"usage":{"tokens":7}}"#));
        assert_eq!(told.headers.get("x-tollgate-lost"), None, "it was heard");
        assert_eq!(told.headers.get("x-tollgate-cost"), Some("7000000"));
    }
    let ask = json!({"documents": {"type": "text", "values": ["a", "b"]}, "query": "q", "topN": 1});
    let ranked = r#"{"results":[{"index":1,"relevance_score":0.9}],"usage":{"total_tokens":12}}"#;
    for dialect in ["openai-chat", "cohere"] {
        let told = exchange_with(&head, dialect, "/v4/ai/reranking-model", &ask, (200, JSON, ranked));
        let sent = json!({"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 1});
        assert_eq!(told.sent[0].1, sent, "{dialect}");
        assert_eq!((told.status, told.body.as_str()), (200, r#"{"ranking":[{"index":1,"relevanceScore":0.9}]}"#));
        assert_eq!(told.headers.get("x-tollgate-cost"), Some("12000000"));
        let told = exchange_with(&head, dialect, "/v4/ai/reranking-model", &ask, (200, JSON, r#"{"x":1}"#));
        assert_eq!(told.status, 502, "{}", told.body);
    }
    let told = exchange("openai-chat", "/v4/ai/embedding-model", &json!({"values": ["a"]}), (200, JSON, openai));
    assert_eq!((told.status, &json_of(&told.body)["error"]["param"]), (400, &json!("ai-model-id")), "{}", told.body);
}

#[test]
fn what_an_upstream_cannot_do_is_refused_without_asking_it() {
    let cases = [
        ("anthropic", "/v1/embeddings", json!({"model": "up/m", "input": "a"}), "model"),
        ("cohere", "/v1/embeddings", json!({"model": "up/m", "input": [1, 2]}), "input"),
        ("cohere", "/v1/embeddings", json!({"model": "up/m"}), "input"),
        ("ollama", "/v1/rerank", json!({"model": "up/m", "query": "q", "documents": ["a"]}), "model"),
        ("openai-chat", "/v1/embeddings", json!({"model": "tollgate/echo", "input": "a"}), "model"),
    ];
    for (dialect, path, ask, param) in cases {
        let told = exchange(dialect, path, &ask, (200, JSON, "{}"));
        assert_eq!((told.status, told.sent.len()), (400, 0), "{dialect}: {}", told.body);
        assert_eq!(json_of(&told.body)["error"]["param"], param, "{}", told.body);
    }
}

#[test]
fn a_target_that_cannot_do_it_is_passed_over_and_is_the_error_where_none_can() {
    let ask = json!({"model": "either", "input": "a"});
    let answer = r#"{"object":"list","data":[],"usage":{"total_tokens":1}}"#;
    let told = exchange("openai-chat", "/v1/embeddings", &ask, (200, JSON, answer));
    let urls: Vec<&str> = told.sent.iter().map(|(url, _)| url.as_str()).collect();
    assert_eq!((urls.as_slice(), told.status), (["http://up/v1/embeddings"].as_slice(), 200), "{}", told.body);
    // Who can and does not says why.
    let failed = exchange("openai-chat", "/v1/embeddings", &ask, (503, JSON, r#"{"error":{"message":"busy"}}"#));
    assert_eq!((failed.status, &json_of(&failed.body)["error"]["message"]), (503, &json!("busy")));
    let ask = json!({"model": "neither", "input": "a"});
    let none = exchange("openai-chat", "/v1/embeddings", &ask, (200, JSON, answer));
    assert_eq!((none.sent.len(), none.status), (0, 400));
    assert_eq!(json_of(&none.body)["error"]["message"], "model: deaf/m does not do embeddings");
}

#[test]
fn an_embedding_that_is_an_error_is_told_in_the_callers_shape() {
    let ask = json!({"model": "up/m", "input": "a"});
    let told = exchange("cohere", "/v1/embeddings", &ask, (404, JSON, r#"{"message":"model 'm' not found"}"#));
    assert_eq!(told.status, 404);
    assert_eq!(json_of(&told.body)["error"]["message"], "model 'm' not found");
    let told = exchange("cohere", "/v1/embeddings", &ask, (200, JSON, r#"{"embeddings":"none"}"#));
    assert_eq!(told.status, 502, "{}", told.body);
}

#[test]
fn documents_are_ordered_by_whoever_can() {
    let ask = json!({"model": "up/m", "query": "q", "documents": ["a", "b"], "top_n": 1});
    let sent = json!({"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 1});
    let cohere =
        r#"{"id":"1","results":[{"index":1,"relevance_score":0.9}],"meta":{"billed_units":{"search_units":1}}}"#;
    let jina = r#"{"results":[{"index":1,"relevance_score":0.9}],"usage":{"total_tokens":12}}"#;
    for (dialect, path, answer, cost) in
        [("cohere", "/v2/rerank", cohere, None), ("openai-chat", "/v1/rerank", jina, Some("12000000"))]
    {
        let told = exchange(dialect, path, &ask, (200, JSON, answer));
        assert_eq!(told.sent, [("http://up/v1/rerank".to_owned(), sent.clone())]);
        assert_eq!((told.status, told.body.as_str()), (200, answer));
        assert_eq!(told.line["path"], path);
        if let Some(cost) = cost {
            assert_eq!(told.headers.get("x-tollgate-cost"), Some(cost));
        }
    }
}

#[test]
fn an_answer_without_a_model_names_the_one_that_was_asked() {
    let stream = concat!(
        r#"data: {"type":"message-start","id":"a","delta":{"message":{"role":"assistant"}}}"#,
        "\n\n",
        r#"data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}"#,
        "\n\n",
        r#"data: {"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#,
        "\n\n",
    );
    let answer = r#"{"id":"a","message":{"role":"assistant","content":[{"type":"text","text":"Hi"}]},"finish_reason":"COMPLETE"}"#;
    for (kind, answer) in [("text/event-stream", stream), (JSON, answer)] {
        let ask = json!({"model": "up/m", "stream": answer == stream, "messages": [{"role": "user", "content": "hi"}]});
        let told = exchange("cohere", "/v1/chat/completions", &ask, (200, kind, answer));
        assert_eq!(told.sent[0].0, "http://up/v1/chat");
        assert!(told.body.contains(r#""model":"m""#), "{}", told.body);
        assert_eq!(told.line["end"], "complete", "{}", told.line);
    }
}

#[test]
fn lines_become_events() {
    let lines = concat!(
        r#"{"model":"m","created_at":"2026","message":{"role":"assistant","content":"Hi"},"done":false}"#,
        "\n",
        r#"{"model":"m","created_at":"2026","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":2,"eval_count":1}"#,
        "\n",
    );
    let ask = json!({"model": "up/m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let told = exchange("ollama", "/v1/chat/completions", &ask, (200, "application/x-ndjson", lines));
    assert_eq!(told.sent[0].0, "http://up/api/chat");
    assert!(told.body.contains(r#""content":"Hi""#) && told.body.ends_with("data: [DONE]\n\n"), "{}", told.body);
    assert_eq!(told.line["end"], "complete", "{}", told.line);
    // Cut before its last line it is told as cut.
    let cut = lines.lines().next().unwrap().to_owned() + "\n";
    let told = exchange("ollama", "/v1/chat/completions", &ask, (200, "application/x-ndjson", &cut));
    assert_eq!(told.line["end"], "cut", "{}", told.line);
}

#[test]
fn a_completion_is_asked_of_models_that_complete_and_of_chats() {
    let ask = json!({"model": "up/davinci-002", "prompt": ["a", "b"], "logprobs": 1});
    let answer = r#"{"id":"c","object":"text_completion","choices":[{"text":"x","index":0,"logprobs":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    let told = exchange("openai-chat", "/v1/completions", &ask, (200, JSON, answer));
    let sent = json!({"model": "davinci-002", "prompt": ["a", "b"], "logprobs": 1});
    assert_eq!(told.sent, [("http://up/v1/completions".to_owned(), sent)]);
    assert_eq!((told.status, told.body.as_str()), (200, answer));

    let ask = json!({"model": "up/m", "prompt": "a", "max_tokens": 5, "logprobs": 1});
    let answer = r#"{"id":"c","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    let told = exchange("openai-chat", "/v1/completions", &ask, (200, JSON, answer));
    let sent = json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "max_tokens": 5});
    assert_eq!(told.sent, [("http://up/v1/chat/completions".to_owned(), sent)]);
    let body = json_of(&told.body);
    assert_eq!((&body["object"], &body["choices"][0]["text"]), (&json!("text_completion"), &json!("x")));
    assert_eq!(told.headers.get("x-tollgate-lost"), Some("logprobs"));
    assert_eq!(told.headers.get("x-tollgate-cost"), Some("11000000"));
}
