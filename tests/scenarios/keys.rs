//! What a caller's key is good for: the models and providers that it may ask, and what its requests are tagged with.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use tollgate::auth::Keyless;
use tollgate::config::{Config, Draft};
use tollgate::host::{Body, Headers, Incoming, ReplyBody};
use tollgate::serve::{Gateway, serve};

use crate::world::{Scripted, Task, World};

/// A gateway of this configuration, where a secret holds its name.
pub(crate) fn gateway(draft: &Value) -> Gateway {
    let draft = Draft::from_json(Some(&draft.to_string())).unwrap();
    let config = Config::compile(&draft, |name| name.starts_with("the key of").then(|| name.to_owned()));
    Gateway::new(config.unwrap(), Keyless::Refused)
}

/// What came of a request: the status, the head and the body.
pub(crate) struct Replied {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Value,
    pub(crate) line: Value,
}

/// Asks with these headers; nothing is asked of an upstream that would have to be scripted.
pub(crate) fn ask(
    gateway: &Gateway,
    world: &Rc<World>,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &Value,
) -> Replied {
    let host = Scripted::new(world.clone());
    let request = Incoming {
        method: method.to_owned(),
        path: path.to_owned(),
        query: None,
        headers: headers.iter().copied().collect(),
        body: Body::Whole(if body.is_null() { Vec::new() } else { body.to_string().into_bytes() }.into()),
    };
    let told = RefCell::new(None);
    let task: Task<'_> = Box::pin(async {
        let reply = serve(gateway, &host, request).await;
        let ReplyBody::Whole(body) = reply.body else { panic!("it is no whole answer") };
        *told.borrow_mut() = Some((reply.status, reply.headers, body));
    });
    world.run(vec![task]);
    let (status, headers, body) = told.into_inner().unwrap();
    let line = host.lines.borrow().first().map_or(Value::Null, |line| serde_json::from_str(line).unwrap_or_default());
    Replied { status, headers, body: serde_json::from_slice(&body).unwrap_or_default(), line }
}

const KEY: [(&str, &str); 1] = [("authorization", "Bearer the key of ci")];

fn of_ci(caller: &Value) -> Gateway {
    let mut own = caller.clone();
    own["secret"] = "the key of ci".into();
    gateway(&json!({
        "providers": {
            "up": {"dialect": "openai-chat", "base_url": "http://up", "auth": "none", "models": ["small", "large"]},
            "far": {"dialect": "openai-chat", "base_url": "http://far", "auth": "none", "models": ["small"]},
        },
        "models": {
            "cheap": {"targets": ["tollgate/echo", "up/small"]},
            "dear": {"targets": ["up/large"]},
        },
        "rules": [{"when": {"model": "old"}, "use": "cheap"}, {"when": {"model": "new"}, "use": "dear"}],
        "limits": {"tagged": {"per": "tag", "requests": 1}, "full": {"when": {"tag": "full"}, "requests": 0, "instead": "dear"}},
        "callers": {"ci": own},
    }))
}

fn chat(caller: &Value, body: &Value) -> Replied {
    let mut asked = json!({"messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in body.as_object().unwrap() {
        asked[name] = value.clone();
    }
    ask(&of_ci(caller), &Rc::default(), ("POST", "/v1/chat/completions"), &KEY, &asked)
}

#[test]
fn a_caller_asks_for_the_models_of_its_key_only_whatever_rules_and_wishes_make_of_the_name() {
    let cases = [
        (json!(["cheap"]), json!({"model": "cheap"}), 200),
        (json!(["ch*"]), json!({"model": "old"}), 200),
        (json!(["old"]), json!({"model": "old"}), 403),
        (json!(["cheap", "new"]), json!({"model": "new"}), 403),
        (json!(["cheap"]), json!({"model": "dear"}), 403),
        (json!(["cheap"]), json!({"model": "no-such-model"}), 403),
        (json!(["cheap"]), json!({"model": "cheap", "models": ["dear"]}), 403),
        // With its provider and without, and whatever its ending.
        (json!(["echo"]), json!({"model": "tollgate/echo"}), 200),
        (json!(["tollgate/*"]), json!({"model": "tollgate/echo"}), 200),
        (json!(["cheap"]), json!({"model": "cheap:floor"}), 200),
        (json!(["up/small"]), json!({"model": "tollgate/echo"}), 403),
        // A limit's other model is no way around it.
        (json!(["cheap"]), json!({"model": "cheap", "provider": {"tags": ["full"]}}), 403),
    ];
    for (models, body, status) in cases {
        let replied = chat(&json!({"models": models}), &body);
        assert_eq!(replied.status, status, "{models} {body}: {}", replied.body);
        if status == 403 {
            assert_eq!(replied.body["error"]["code"], "forbidden");
            let message = replied.body["error"]["message"].as_str().unwrap();
            assert!(message.contains("is not among those that this key may ask for"), "{message}");
        }
    }
}

#[test]
fn what_a_key_may_not_ask_for_is_not_listed() {
    let list = |caller: Value| {
        let replied = ask(&of_ci(&caller), &Rc::default(), ("GET", "/v1/models"), &KEY, &Value::Null);
        let ids = replied.body["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list(json!({})), "cheap dear far/small tollgate/echo up/small up/large");
    assert_eq!(list(json!({"models": ["cheap", "small"]})), "cheap far/small up/small");
    assert_eq!(list(json!({"providers": ["far", "up/large"]})), "dear far/small up/large");
    assert_eq!(list(json!({"providers": ["up"], "models": ["*small", "dear"]})), "dear up/small");
    let show = |caller: Value, model: &str| {
        ask(&of_ci(&caller), &Rc::default(), ("GET", &format!("/v1/models/{model}")), &KEY, &Value::Null).status
    };
    assert_eq!(show(json!({"models": ["cheap"]}), "cheap"), 200);
    assert_eq!(show(json!({"models": ["cheap"]}), "dear"), 403);
    assert_eq!(show(json!({"providers": ["far"]}), "dear"), 403);
}

#[test]
fn only_the_providers_of_a_key_are_asked_for_it_and_explain_says_so() {
    let caller = json!({"providers": ["tollgate"]});
    assert_eq!(chat(&caller, &json!({"model": "cheap"})).status, 200);
    let wished = chat(&caller, &json!({"model": "dear", "provider": {"only": ["up"]}}));
    assert_eq!(wished.status, 400, "{}", wished.body);
    let why = "up/large is not among the providers that this key may ask";
    assert!(wished.body["error"]["message"].as_str().unwrap().contains(why), "{}", wished.body);
    let body = json!({"model": "cheap", "messages": [{"role": "user", "content": "hi"}]});
    let told = ask(&of_ci(&caller), &Rc::default(), ("POST", "/v1/explain"), &KEY, &body);
    let left_out = json!([{"target": "up/small", "why": "is not among the providers that this key may ask"}]);
    assert_eq!(told.body["left_out"], left_out, "{}", told.body);
}

#[test]
fn the_tags_of_a_key_are_those_of_its_requests_and_limits_count_them() {
    let caller = json!({"tags": ["team:a", "own"]});
    let asked = json!({"model": "cheap", "messages": [{"role": "user", "content": "hi"}], "provider": {"tags": ["own", "more"]}});
    let (gateway, world) = (of_ci(&caller), Rc::default());
    let post = || ask(&gateway, &world, ("POST", "/v1/chat/completions"), &KEY, &asked);
    let first = post();
    assert_eq!((first.status, &first.line["tags"]), (200, &json!(["own", "more", "team:a"])));
    let second = post();
    assert_eq!((second.status, second.headers.get("x-tollgate-limit")), (429, Some("tagged")));
    assert_eq!(chat(&json!({"tags": ["full"], "models": ["cheap"]}), &json!({"model": "cheap"})).status, 403);
}

#[test]
fn a_browser_is_told_of_the_origins_that_any_caller_lists_and_needs_no_key_for_it() {
    let gateway = of_ci(&json!({"origins": ["https://*.example.com"]}));
    let ask =
        |path: &str, headers: &[(&str, &str)]| ask(&gateway, &Rc::default(), ("OPTIONS", path), headers, &Value::Null);
    let wants = [
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    for path in ["/v1/chat/completions", "/v1beta/models/m:generateContent", "/v1/models", "/v1/explain", "/v1/usage"] {
        let told = ask(path, &wants);
        let header = |name: &str| told.headers.get(name).map(str::to_owned);
        assert_eq!(
            (told.status, header("access-control-allow-origin").as_deref()),
            (200, Some("https://app.example.com"))
        );
        assert_eq!(header("access-control-allow-headers").as_deref(), Some("authorization,content-type"));
        assert!(header("access-control-allow-methods").unwrap().contains("POST"));
        assert!(header("vary").unwrap().starts_with("origin"));
    }
    let other = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    for (path, headers, status) in [
        ("/v1/chat/completions", &other[..], 405),
        ("/v1/chat/completions", &wants[..1], 405),
        ("/v1/nowhere", &wants[..], 404),
    ] {
        let told = ask(path, headers);
        assert_eq!((told.status, told.headers.get("access-control-allow-origin")), (status, None), "{path}");
    }
}

#[test]
fn a_page_reads_what_its_origins_caller_is_answered_and_no_other_page_is_answered() {
    let asked = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    let of = |caller: &Value, origin: &str, key: &str, body: &Value| {
        let headers = [("authorization", format!("Bearer {key}")), ("origin", origin.to_owned())];
        let headers = [("authorization", headers[0].1.as_str()), ("origin", headers[1].1.as_str())];
        ask(&of_ci(caller), &Rc::default(), ("POST", "/v1/chat/completions"), &headers, body)
    };
    let (listed, key, page) =
        (json!({"origins": ["https://app.example.com"]}), "the key of ci", "https://app.example.com");
    for (model, status) in [("cheap", 200), ("no-such-model", 404)] {
        let told = of(&listed, page, key, &asked(model));
        assert_eq!((told.status, told.headers.get("access-control-allow-origin")), (status, Some(page)));
        assert_eq!(told.headers.get("vary"), Some("origin"));
        let readable = told.headers.get("access-control-expose-headers").unwrap();
        assert!(readable.contains("x-tollgate-id") && readable.contains("x-request-id"), "{readable}");
    }
    let other = of(&listed, "https://evil.example", key, &asked("cheap"));
    assert_eq!((other.status, other.headers.get("access-control-allow-origin")), (403, None), "{}", other.body);
    let unknown = of(&listed, page, "another", &asked("cheap"));
    assert_eq!((unknown.status, unknown.headers.get("access-control-allow-origin")), (401, None));
    // As ever where none is listed.
    let silent = of(&json!({}), page, key, &asked("cheap"));
    assert_eq!((silent.status, silent.headers.get("access-control-allow-origin")), (200, None));
    // What is no browser sends no origin.
    assert_eq!(chat(&listed, &json!({"model": "cheap"})).status, 200);
}
