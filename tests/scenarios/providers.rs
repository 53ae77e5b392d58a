//! Providers that only the configuration knows, or that want to be asked in their own way: data, and no Rust.

use std::cell::RefCell;

use serde_json::{Value, json};
use tollgate::auth::Keyless;
use tollgate::config::{Config, Draft};
use tollgate::host::{Body, Incoming, ReplyBody};
use tollgate::relay::pump;
use tollgate::serve::{Gateway, serve};

use crate::operations::{Exchange, answers, played};
use crate::script::Act;
use crate::world::{Received, Scripted, World};

const KEY: &str = "the key of up";
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const CHAT: &str = r#"{"id":"c-1","object":"chat.completion","created":1,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}"#;
const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":5}}"#;
const CANDIDATES: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Hello"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5,"totalTokenCount":15}}"#;

/// Asks the provider `name`, written like this, by Chat Completions for `model`.
fn asked(name: &str, provider: &Value, model: &str, answer: &str) -> Exchange {
    let ask = json!({"model": format!("{name}/{model}"), "messages": [{"role": "user", "content": "Hello?"}]});
    played(&draft(name, provider), "/v1/chat/completions", &ask, [answers(200, JSON, answer)])
}

fn draft(name: &str, provider: &Value) -> Value {
    json!({"providers": {name: provider}, "callers": {"ci": {"secret": "the key of ci"}}})
}

impl Exchange {
    /// Where the upstream was asked, and what it was shown under these names.
    fn shown(&self, names: &[&str]) -> (&str, Vec<Option<&str>>) {
        let (url, (_, headers)) = (&self.sent[0].0, &self.heads[0]);
        (url, names.iter().map(|name| headers.get(name)).collect())
    }
}

#[test]
fn any_base_url_that_speaks_a_dialect_is_a_provider() {
    let cases = [
        ("openai-chat", CHAT, "http://up/v1/chat/completions", ["Bearer the key of up", "", ""]),
        ("anthropic", MESSAGE, "http://up/v1/messages", ["", KEY, ""]),
        ("gemini", CANDIDATES, "http://up/v1/models/m:generateContent", ["", "", KEY]),
    ];
    for (dialect, answer, url, keys) in cases {
        let provider = json!({"dialect": dialect, "base_url": "http://up/v1", "secret": KEY});
        let told = asked("mine", &provider, "m", answer);
        let names = ["authorization", "x-api-key", "x-goog-api-key"];
        let keys = keys.map(|key| Some(key).filter(|key| !key.is_empty())).to_vec();
        assert_eq!(told.shown(&names), (url, keys), "{dialect}");
        assert!(told.status == 200 && told.body.contains("Hello"), "{dialect}: {}", told.body);
    }
}

#[test]
fn servers_on_a_laptop_need_an_address_and_no_key() {
    for name in ["vllm", "tgi", "llamacpp", "lmstudio", "sglang"] {
        let told = asked(name, &json!({"base_url": "http://up/v1"}), "org/model", CHAT);
        assert_eq!(told.shown(&["authorization"]), ("http://up/v1/chat/completions", vec![None]), "{name}");
        assert_eq!((told.status, &told.sent[0].1["model"]), (200, &json!("org/model")), "{name}");
        let keyed = asked(name, &json!({"base_url": "http://up/v1", "secret": KEY}), "m", CHAT);
        assert_eq!(keyed.shown(&["authorization"]).1, [Some("Bearer the key of up")], "{name}");
    }
    let answer = r#"{"model":"m","created_at":"2026","message":{"role":"assistant","content":"Hello"},"done":true,"done_reason":"stop"}"#;
    let told = asked("ollama", &json!({"base_url": "http://up/v1"}), "smollm3:3b", answer);
    assert_eq!(told.shown(&[]).0, "http://up/api/chat");
    assert!(told.body.contains("Hello"), "{}", told.body);
}

#[test]
fn a_model_of_hugging_face_keeps_its_suffix() {
    let told = asked(
        "huggingface",
        &json!({"base_url": "http://up/v1", "secret": KEY}),
        "HuggingFaceTB/SmolLM3-3B:hf-inference",
        CHAT,
    );
    assert_eq!(told.sent[0].1["model"], "HuggingFaceTB/SmolLM3-3B:hf-inference");
    assert_eq!(told.shown(&["authorization"]).1, [Some("Bearer the key of up")]);
    assert_eq!(told.headers.get("x-tollgate-target"), Some("huggingface/HuggingFaceTB/SmolLM3-3B:hf-inference"));
}

#[test]
fn a_key_is_shown_as_the_provider_wants_it() {
    let provider =
        |auth: Value| json!({"dialect": "openai-chat", "base_url": "http://up/v1", "secret": KEY, "auth": auth});
    let names = ["authorization", "api-key"];
    let told = asked("mine", &provider(json!({"header": "api-key"})), "m", CHAT);
    assert_eq!(told.shown(&names), ("http://up/v1/chat/completions", vec![None, Some(KEY)]));
    let told = asked("mine", &provider(json!({"query": "key"})), "m", CHAT);
    assert_eq!(told.shown(&names), ("http://up/v1/chat/completions?key=the%20key%20of%20up", vec![None, None]));
    let bearer = json!({"dialect": "anthropic", "base_url": "http://up", "secret": KEY, "auth": "bearer"});
    let told = asked("mine", &bearer, "m", MESSAGE);
    assert_eq!(told.shown(&["authorization", "x-api-key"]).1, [Some("Bearer the key of up"), None]);
}

#[test]
fn a_url_that_holds_a_key_is_not_logged() {
    for (auth, cause) in [(json!("bearer"), json!("up is not there")), (json!({"query": "key"}), Value::Null)] {
        let provider = json!({"dialect": "openai-chat", "base_url": "http://up/v1", "secret": KEY, "auth": auth});
        let ask = json!({"model": "mine/m", "messages": []});
        let told = played(&draft("mine", &provider), "/v1/chat/completions", &ask, [[(0, Act::Refuse)].into()]);
        assert_eq!(
            (&told.line["attempts"][0]["outcome"], &told.line["attempts"][0]["cause"]),
            (&json!("unreachable"), &cause)
        );
    }
}

#[test]
fn a_deployment_of_azure_is_part_of_the_address() {
    let azure =
        json!({"base_url": "http://up/openai/deployments/{model}", "query": "api-version=2024-10-21", "secret": KEY});
    let told = asked("azure", &azure, "my gpt", CHAT);
    let url = "http://up/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21";
    assert_eq!(told.shown(&["api-key", "authorization"]), (url, vec![Some(KEY), None]));
}

#[test]
fn modal_has_two_headers_and_is_waited_for_where_it_says() {
    let headers = json!([{"name": "Modal-Key", "secret": KEY}, {"name": "modal-secret", "value": "public"}]);
    let modal = json!({"dialect": "openai-chat", "base_url": "http://up/v1", "headers": headers});
    let ask = json!({"model": "modal/m", "messages": [{"role": "user", "content": "Hello?"}]});
    let wait = |place: &str| {
        let mut script = answers(303, &[("location", place)], "");
        script[0].0 = 150_000;
        script
    };
    let scripts = [wait("/v1/chat/completions?call=1"), wait("http://up/wait?call=2"), answers(200, JSON, CHAT)];
    let told = played(&draft("modal", &modal), "/v1/chat/completions", &ask, scripts);
    assert!(told.status == 200 && told.body.contains("Hello"), "{}", told.body);
    assert_eq!(told.line["ms"], 300_000);
    let urls: Vec<&str> = told.sent.iter().map(|(url, _)| url.as_str()).collect();
    assert_eq!(
        urls,
        ["http://up/v1/chat/completions", "http://up/v1/chat/completions?call=1", "http://up/wait?call=2"]
    );
    let methods: Vec<&str> = told.heads.iter().map(|(method, _)| *method).collect();
    assert_eq!(methods, ["POST", "GET", "GET"]);
    for (_, headers) in &told.heads {
        assert_eq!((headers.get("modal-key"), headers.get("modal-secret")), (Some(KEY), Some("public")));
    }
    let elsewhere = played(&draft("modal", &modal), "/v1/chat/completions", &ask, [wait("http://other/wait")]);
    assert_eq!((elsewhere.status, elsewhere.sent.len()), (502, 1), "its headers go nowhere else");
}

#[test]
fn a_limit_that_is_used_up_is_told_by_when_it_ends() {
    let limits = [
        ("content-type", "application/json"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "1m2.5s"),
    ];
    let ask = json!({"model": "groq/m", "messages": []});
    let provider = draft("groq", &json!({"base_url": "http://up/v1", "secret": KEY}));
    let refused = answers(429, &limits, r#"{"error":{"message":"slow down"}}"#);
    let told = played(&provider, "/v1/chat/completions", &ask, [refused]);
    assert_eq!((told.status, told.headers.get("retry-after")), (429, Some("63")));
}

/// The reply of another gateway, which knows a model that needs no key.
fn of_another(path: &str, body: &Value) -> (String, String) {
    let gateway = Gateway::new(Config::compile(&Draft::default(), |_| None).unwrap(), Keyless::Loopback);
    let world = std::rc::Rc::new(World::default());
    let told = RefCell::new(None);
    world.run(vec![Box::pin(async {
        let host = Scripted::new(world.clone());
        let request = Incoming {
            method: "POST".to_owned(),
            path: path.to_owned(),
            query: None,
            headers: [("host", "localhost")].into_iter().collect(),
            body: Body::Whole(body.to_string().into()),
        };
        let reply = serve(&gateway, &host, request).await;
        let received = RefCell::new(Received::default());
        match reply.body {
            ReplyBody::Whole(body) => received.borrow_mut().pieces.push((0, body)),
            ReplyBody::Relayed { upstream, relay, record } => {
                pump(&host, upstream, *relay, *record, host.caller(&received)).await;
            }
        }
        let kind = reply.headers.get("content-type").unwrap().to_owned();
        let body: Vec<u8> = received.into_inner().pieces.into_iter().flat_map(|(_, piece)| piece).collect();
        *told.borrow_mut() = Some((kind, String::from_utf8(body).unwrap()));
    })]);
    told.into_inner().unwrap()
}

#[test]
fn a_gateway_may_stand_behind_a_gateway() {
    let messages = json!([{"role": "user", "content": "hello there"}]);
    for (dialect, path) in [("openai-chat", "/v1/chat/completions"), ("anthropic", "/v1/messages")] {
        for stream in [false, true] {
            let other = json!({"dialect": dialect, "base_url": "http://up/v1", "secret": KEY});
            let ask = json!({"model": "other/tollgate/echo", "messages": messages, "stream": stream, "max_tokens": 50});
            let first = played(&draft("other", &other), "/v1/chat/completions", &ask, [answers(500, JSON, "{}")]);
            let (url, sent) = &first.sent[0];
            assert_eq!((url.as_str(), &sent["model"]), (format!("http://up{path}").as_str(), &json!("tollgate/echo")));
            let (kind, body) = of_another(path, sent);
            let script = answers(200, &[("content-type", &kind)], &body);
            let told = played(&draft("other", &other), "/v1/chat/completions", &ask, [script]);
            assert!(told.status == 200 && told.body.contains("hello there"), "{dialect}: {}", told.body);
            assert_eq!(told.line["end"], "complete", "{dialect}");
        }
    }
}

/// One whose prompts leave out what was cached, whose answers leave out reasoning, and that bills in cents: whole and
/// streamed, in its own dialect and in another, tokens and cost are exact.
#[test]
fn how_a_provider_tells_usage_is_written_with_it() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "hits": 30,
        "completion_tokens_details": {"reasoning_tokens": 20}, "bill": {"cents": 1.25}, "cost": 9});
    let answer = json!({"id": "c-1", "object": "chat.completion", "created": 1, "model": "m-1", "usage": usage,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]});
    let chunk = json!({"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "usage": usage,
        "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]});
    let stream = format!("data: {chunk}\n\ndata: [DONE]\n\n");
    let rules = json!([
        {"models": ["m"], "cached": "beside", "cached_at": "hits", "reasoning": "beside",
            "cost": {"at": "bill.cents", "decimals": 2}},
    ]);
    let provider =
        |usage: &Value| json!({"dialect": "openai-chat", "base_url": "http://up/v1", "secret": KEY, "usage": usage});
    let tallied = |rules: &Value, model: &str, streams: bool, path: &str| {
        let mut ask = json!({"model": format!("mine/{model}"), "messages": [{"role": "user", "content": "Hello?"}],
            "max_tokens": 9, "stream": streams});
        if !streams {
            ask.as_object_mut().unwrap().remove("stream");
        }
        let (kind, body) = match streams {
            true => ("text/event-stream", stream.clone()),
            false => ("application/json", answer.to_string()),
        };
        let told =
            played(&draft("mine", &provider(rules)), path, &ask, [answers(200, &[("content-type", kind)], &body)]);
        let line = &told.line;
        let count = |name: &str| line[name].as_u64().unwrap_or_default();
        let tokens = ["input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens"].map(count);
        (tokens, line["cost_picodollars"].as_u64(), line["cost_source"].as_str().map(str::to_owned))
    };
    let reported = Some("reported".to_owned());
    for path in ["/v1/chat/completions", "/v1/messages"] {
        for streams in [false, true] {
            let by_rule = tallied(&rules, "m", streams, path);
            assert_eq!(by_rule, ([130, 30, 70, 20], Some(12_500_000_000), reported.clone()), "{path} {streams}");
            for (rules, model) in [(&rules, "other"), (&json!([]), "m")] {
                let (tokens, cost, _) = tallied(rules, model, streams, path);
                assert_eq!((tokens, cost), ([100, 0, 50, 20], None), "nobody knows what 9 is of: {path} {streams}");
            }
        }
    }
}
