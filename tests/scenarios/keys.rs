//! What a caller's key is good for: the models and providers that it may ask, and what its requests are tagged with.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use tollgate::auth::Keyless;
use tollgate::config::{Config, Draft};
use tollgate::host::{Body, Headers, Incoming, ReplyBody};
use tollgate::serve::{Gateway, serve};

use crate::world::{START, Scripted, Task, World};

/// A gateway of this configuration, where a secret holds its name.
pub(crate) fn gateway(draft: &Value) -> Gateway {
    let draft = Draft::from_json(Some(&draft.to_string())).unwrap();
    let config = Config::compile(&draft, |name| match name {
        "TOLLGATE_TOKEN_SECRET" => Some("what the gateway signs its tokens with".to_owned()),
        name => name.starts_with("the key of").then(|| name.to_owned()),
    });
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
        ("access-control-request-headers", "authorization,content-type,x-tollgate-key,x-tollgate-provider-key"),
    ];
    for path in ["/v1/chat/completions", "/v1beta/models/m:generateContent", "/v1/models", "/v1/explain", "/v1/usage"] {
        let told = ask(path, &wants);
        let header = |name: &str| told.headers.get(name).map(str::to_owned);
        assert_eq!(
            (told.status, header("access-control-allow-origin").as_deref()),
            (200, Some("https://app.example.com"))
        );
        assert_eq!(header("access-control-allow-headers").as_deref(), Some(wants[2].1));
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

/// A gateway whose caller `ci` makes keys, and its world.
struct Office {
    gateway: Gateway,
    world: Rc<World>,
}

impl Office {
    fn open() -> Self {
        Self { gateway: of_ci(&json!({"admin": true, "models": ["dear"]})), world: Rc::default() }
    }

    /// Another process on the same store.
    fn other(&self) -> Self {
        Self { world: self.world.clone(), ..Self::open() }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Replied {
        ask(&self.gateway, &self.world, (method, path), &KEY, body)
    }

    fn make(&self, body: &Value) -> String {
        let made = self.ask("POST", "/v1/keys", body);
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["key"].as_str().unwrap().to_owned()
    }

    /// The status that a chat with this key has.
    fn chat(&self, key: &str, model: &str) -> (u16, String) {
        let bearer = format!("Bearer {key}");
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        let headers = [("authorization", bearer.as_str())];
        let told = ask(&self.gateway, &self.world, ("POST", "/v1/chat/completions"), &headers, &body);
        (told.status, told.body["error"]["message"].as_str().unwrap_or_default().to_owned())
    }

    /// Looks into the store, as hosts do from time to time.
    fn look(&self) {
        let host = Scripted::new(self.world.clone());
        let task: Task<'_> = Box::pin(async { self.gateway.recall_keys(&host).await.unwrap() });
        self.world.run(vec![task]);
    }

    fn pass(&self, ms: u64) {
        let until = self.world.passed() + ms;
        let task: Task<'_> = Box::pin(self.world.until(until));
        self.world.run(vec![task]);
    }
}

#[test]
fn a_key_is_made_shown_once_and_good_at_once_for_what_it_was_made_for() {
    let office = Office::open();
    let body = json!({"name": "app", "models": ["cheap"], "tags": ["team:app"], "spend_cap_usd": "5", "unpriced": true, "expires_at": "2027-01-31"});
    let made = office.ask("POST", "/v1/keys", &body);
    assert_eq!((made.status, made.headers.get("cache-control")), (201, Some("no-store")), "{}", made.body);
    let key = made.body["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("tg_") && key.len() == 46, "{key}");
    let row = json!({"name": "app", "label": key.get(..9), "disabled": false, "created_at": "2026-11-21T12:00:00Z",
        "updated_at": "2026-11-21T12:00:00Z", "expires_at": "2027-01-31T00:00:00Z", "models": ["cheap"], "tags": ["team:app"],
        "spend_cap_usd": "5", "unpriced": true});
    assert_eq!(made.body["data"], row);
    assert_eq!((office.chat(&key, "cheap").0, office.chat(&key, "dear").0), (200, 403));
    assert_eq!(office.ask("GET", "/v1/keys", &Value::Null).body, json!({"data": [row]}));
    assert_eq!(office.ask("GET", "/v1/keys/app", &Value::Null).body, json!({"data": row}));
    // Nowhere but in that answer.
    assert!(!made.line.to_string().contains(&key) && made.line["done"] == "created", "{}", made.line);
    let kept = office.world.remembered.borrow().get("keys").unwrap().0.clone();
    assert!(!String::from_utf8_lossy(&kept).contains(&key));
    assert_ne!(office.make(&json!({"name": "b"})), key);
}

#[test]
fn a_key_may_be_made_for_callers_who_have_their_own_of_providers() {
    let office = Office::open();
    let key = office.make(&json!({"name": "app", "own_keys": false, "own_keys_only": true}));
    let (status, why) = office.chat(&key, "cheap");
    assert_eq!(status, 400);
    assert!(why.contains("no key of the caller's own"), "{why}");
    let told = office.ask("GET", "/v1/keys/app", &Value::Null).body;
    assert_eq!((&told["data"]["own_keys"], &told["data"]["own_keys_only"]), (&json!(false), &json!(true)));
    let brings = || {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("x-tollgate-provider-key", "openai=a-key")];
        let body = json!({"model": "cheap", "messages": [{"role": "user", "content": "hi"}]});
        ask(&office.gateway, &office.world, ("POST", "/v1/chat/completions"), &headers, &body).status
    };
    assert_eq!(brings(), 403);
    office.ask("PATCH", "/v1/keys/app", &json!({"own_keys": null, "own_keys_only": null}));
    assert_eq!(office.chat(&key, "cheap").0, 200);
    assert_ne!(brings(), 403);
    // By the name of a secret somebody could ask by whichever the host has.
    let named = json!({"name": "b", "provider_keys": [{"provider": "openai", "secret": "OPENAI_API_KEY"}]});
    assert_eq!(office.ask("POST", "/v1/keys", &named).status, 400);
}

#[test]
fn another_process_knows_a_key_when_it_has_looked_and_writes_take_nothing_back() {
    let (here, there) = (Office::open(), Office::open());
    let there = Office { world: here.world.clone(), ..there };
    let key = here.make(&json!({"name": "app"}));
    assert_eq!(there.chat(&key, "cheap").0, 401);
    there.look();
    assert_eq!(there.chat(&key, "cheap").0, 200);
    // Who has a copy from before does not bring back what was revoked, and loses nothing that was made.
    let old = here.world.remembered.borrow().get("keys").unwrap().clone();
    here.pass(10);
    let later = here.make(&json!({"name": "later"}));
    assert_eq!(here.ask("DELETE", "/v1/keys/app", &Value::Null).body, json!({"deleted": true}));
    here.world.remembered.borrow_mut().insert("keys".to_owned(), old);
    let third = here.make(&json!({"name": "third"}));
    let started = here.other();
    started.look();
    let good = |office: &Office| [&key, &later, &third].map(|key| office.chat(key, "cheap").0);
    assert_eq!((good(&here), good(&started)), ([401, 200, 200], [401, 200, 200]));
}

#[test]
fn a_key_is_rotated_with_a_grace_time_changed_and_revoked() {
    let office = Office::open();
    let old = office.make(&json!({"name": "app"}));
    let rotated = office.ask("POST", "/v1/keys/app/rotate", &json!({"grace_seconds": 60}));
    let new = rotated.body["key"].as_str().unwrap().to_owned();
    assert_eq!((office.chat(&old, "cheap").0, office.chat(&new, "cheap").0), (200, 200));
    office.pass(60_000);
    let (status, why) = office.chat(&old, "cheap");
    assert!(status == 401 && why.contains("expired"), "{why}");
    let last = office.ask("POST", "/v1/keys/app/rotate", &Value::Null).body["key"].as_str().unwrap().to_owned();
    assert_eq!(
        (office.chat(&new, "cheap").0, office.chat(&last, "cheap").0),
        (401, 200),
        "without one it ends at once"
    );

    let patch = |body: Value| office.ask("PATCH", "/v1/keys/app", &body).body["data"].clone();
    assert_eq!(patch(json!({"disabled": true, "models": ["cheap"]}))["disabled"], true);
    assert!(office.chat(&last, "cheap").1.contains("disabled"));
    let changed = patch(json!({"disabled": false}));
    assert_eq!((&changed["models"], office.chat(&last, "dear").0), (&json!(["cheap"]), 403), "what is not given stays");
    assert_eq!(patch(json!({"models": null, "providers": ["tollgate"]}))["models"], Value::Null);
    assert_eq!(office.chat(&last, "tollgate/echo").0, 200);
    assert_eq!(office.ask("DELETE", "/v1/keys/app", &Value::Null).status, 200);
    assert_eq!((office.chat(&last, "cheap").0, office.ask("GET", "/v1/keys/app", &Value::Null).status), (401, 404));
    assert_eq!(office.ask("GET", "/v1/keys", &Value::Null).body, json!({"data": []}));
    assert_eq!(office.chat(&office.make(&json!({"name": "app"})), "cheap").0, 200, "its name is free again");
}

#[test]
fn only_an_administrator_makes_keys_and_what_is_wrong_with_one_is_told() {
    let office = Office::open();
    let key = office.make(&json!({"name": "app"}));
    let headers = [("x-api-key", key.as_str())];
    for (method, path) in [("GET", "/v1/keys"), ("POST", "/v1/keys"), ("DELETE", "/v1/keys/app")] {
        let told = ask(&office.gateway, &office.world, (method, path), &headers, &json!({"name": "b"}));
        assert_eq!(told.status, 403, "{method} {path}");
        assert_eq!(ask(&office.gateway, &office.world, (method, path), &[], &Value::Null).status, 401);
    }
    let cases = [
        (json!({}), "name: missing; how the key's caller is called"),
        (json!({"name": "A b"}), "name: a name has 1 to 64 of a-z, 0-9, \"-\", \"_\", \".\""),
        (json!({"name": "ci"}), "name: there is a caller of this name already"),
        (json!({"name": "app"}), "name: there is a caller of this name already"),
        (json!({"name": "b", "admin": true}), "admin: no such field"),
        (json!({"name": "b", "secret": "OPENAI_API_KEY"}), "secret: no such field"),
        (json!({"name": "b", "models": []}), "models: empty; name one, or leave it out to allow all"),
        (json!({"name": "b", "providers": ["upp"]}), "providers[0]: no provider \"upp\"; did you mean \"up\"?"),
        (json!({"name": "b", "expires": "soon"}), "expires: \"soon\" is not a day"),
        (json!({"name": "b", "model": ["x"]}), "model: no such field; did you mean \"models\"?"),
    ];
    for (body, expected) in cases {
        let told = office.ask("POST", "/v1/keys", &body);
        let message = told.body["error"]["message"].as_str().unwrap().to_owned();
        assert!(told.status == 400 && message.starts_with(expected), "{body}: {message}");
    }
    let wrong = [("PUT", "/v1/keys", 405, "GET, POST"), ("POST", "/v1/keys/app", 405, "GET, PATCH, DELETE")];
    for (method, path, status, allow) in wrong {
        let told = office.ask(method, path, &json!({}));
        assert_eq!((told.status, told.headers.get("allow")), (status, Some(allow)));
    }
    assert_eq!(office.ask("PATCH", "/v1/keys/nobody", &json!({"disabled": true})).status, 404);
    assert_eq!(office.ask("PATCH", "/v1/keys/app", &json!({"name": "b"})).status, 400);
}

#[test]
fn a_store_that_is_down_or_cannot_be_read_is_not_written_over() {
    let office = Office::open();
    let key = office.make(&json!({"name": "app"}));
    office.world.store_down.set(true);
    assert_eq!(office.ask("POST", "/v1/keys", &json!({"name": "b"})).status, 500);
    office.world.store_down.set(false);
    office.world.remembered.borrow_mut().insert("keys".to_owned(), ("{".into(), START * 2));
    let told = office.ask("POST", "/v1/keys", &json!({"name": "b"}));
    assert!(told.status == 500 && told.body["error"]["message"].as_str().unwrap().contains("cannot be read"));
    assert_eq!(office.world.remembered.borrow().get("keys").unwrap().0, "{");
    assert_eq!(office.chat(&key, "cheap").0, 200, "what is known goes on");
}
