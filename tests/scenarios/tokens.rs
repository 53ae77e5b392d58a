//! Short-lived tokens in place of a key: whose are believed, what they leave of what their caller may, and when an issuer's
//! keys are looked for.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::Signer as _;
use ring::signature::RsaKeyPair;
use serde_json::{Value, json};
use tollgate::auth::jwks::SET_BYTES_MAX;
use tollgate::auth::key::hs256;
use tollgate::host::native::signatures;
use tollgate::host::{Body, Incoming};
use tollgate::serve::{Gateway, serve};
use tollgate::wire::{der, pem};

use crate::keys::{Replied, ask, gateway};
use crate::script::{Act, Script};
use crate::world::{START, Scripted, Task, World};

const NOW: u64 = START / 1000;
const SECRET: &str = "the key of the app's backend, which is long";
const ISSUER: &str = "https://id.example.com/";

/// The scenarios' gateway: a caller with a key, one that only tokens stand for, and three issuers.
fn office() -> Gateway {
    gateway(&json!({
        "media": {"hosts": ["http://files"]},
        "providers": {"up": {"dialect": "openai-chat", "base_url": "http://up", "auth": "none", "models": ["small", "large"]},
            "own": {"dialect": "openai-chat", "base_url": "http://own", "secret": "no secret", "models": ["large"]}},
        "models": {"cheap": {"targets": ["tollgate/echo"]}, "other": {"targets": ["tollgate/echo"]}, "dear": {"targets": ["up/large"]}},
        "prices": {"up/large": {"input": "0", "output": "1000"}, "own/large": {"input": "0", "output": "1000"}},
        "callers": {
            "app": {"secret": "the key of app", "models": ["cheap", "dear"], "origins": ["https://*.example.com"], "tags": ["own"], "admin": true},
            "mobile": {"models": ["cheap"]},
            "open": {"secret": "the key of open"},
            "off": {"disabled": true},
        },
        "tokens": {
            "backend": {"caller": "app", "secret": SECRET, "keys": [{"id": "old", "secret": "the key of another time, also long"}]},
            "named": {"caller": "app", "audience": ["us"], "keys": [{"id": "ed", "public_key": ed25519()}]},
            "closed": {"caller": "off", "secret": SECRET},
            "id": {"caller": "mobile", "issuer": ISSUER, "audience": ["mine", "ours"], "jwks_url": "http://files/keys"},
        },
        "limits": {"few": {"per": "token", "requests": 1, "when": {"tag": "few"}}, "each": {"per": "user", "requests": 2, "when": {"caller": "mobile"}}},
    }))
}

fn part(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", part(header.to_string().as_bytes()), part(claims.to_string().as_bytes()));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", part(&signature))
}

/// A token of the backend, of these claims besides the usual ones; `null` leaves one out.
fn of_backend(claims: &Value) -> String {
    let claims = with(json!({"iss": "backend", "iat": NOW, "exp": NOW + 600, "sub": "u1"}), claims);
    token(&json!({"alg": "HS256", "typ": "JWT"}), &claims, |signed| hs256(SECRET.as_bytes(), signed).to_vec())
}

fn with(mut usual: Value, claims: &Value) -> Value {
    for (name, value) in claims.as_object().unwrap() {
        match value {
            Value::String(text) if text == "left out" => drop(usual.as_object_mut().unwrap().remove(name)),
            value => usual[name] = value.clone(),
        }
    }
    usual
}

fn signer() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[7; 32])
}

fn ed25519() -> String {
    part(signer().verifying_key().as_bytes())
}

/// A key of P-256 that an issuer calls `id`: as it publishes it, and how it signs a token for somebody with it.
fn p256_key(id: u8) -> (Value, impl Fn(&Value) -> String) {
    let key = p256::ecdsa::SigningKey::from_slice(&[id; 32]).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = (part(point.x().unwrap()), part(point.y().unwrap()));
    let name = format!("key-{id}");
    let published = json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": name, "x": x, "y": y});
    let sign = move |claims: &Value| {
        let usual = json!({"iss": ISSUER, "aud": "mine", "iat": NOW, "exp": NOW + 3000, "sub": "u1"});
        token(&json!({"alg": "ES256", "kid": name}), &with(usual, claims), |signed| {
            let signature: p256::ecdsa::Signature = key.sign(signed);
            signature.to_bytes().to_vec()
        })
    };
    (published, sign)
}

fn chat(gateway: &Gateway, world: &Rc<World>, key: &str, more: &Value) -> Replied {
    let body = with(json!({"model": "cheap", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}), more);
    let bearer = format!("Bearer {key}");
    ask(gateway, world, ("POST", "/v1/chat/completions"), &[("authorization", bearer.as_str())], &body)
}

fn message(replied: &Replied) -> String {
    replied.body["error"]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_token_comes_wherever_a_key_does() {
    let (gateway, world, token) = (office(), Rc::default(), of_backend(&json!({})));
    let body = json!({"model": "cheap", "messages": [{"role": "user", "content": "hi"}]});
    let bearer = format!("Bearer {token}");
    for (name, value) in [("authorization", &bearer), ("x-api-key", &token), ("x-goog-api-key", &token)] {
        let told = ask(&gateway, &world, ("POST", "/v1/chat/completions"), &[(name, value.as_str())], &body);
        assert_eq!(
            (told.status, &told.line["caller"], &told.line["user"]),
            (200, &json!("app"), &json!("u1")),
            "{name}"
        );
    }
}

#[test]
fn each_way_to_be_no_good_token_is_told_apart_and_none_is_repeated() {
    let ed = |header: Value, claims: Value| {
        let usual = json!({"iss": "named", "aud": "us", "exp": NOW + 60});
        token(&header, &with(usual, &claims), |signed| signer().sign(signed).to_bytes().to_vec())
    };
    let good = of_backend(&json!({}));
    let hmac = |secret: Vec<u8>, header: Value, iss: &str| {
        token(&header, &json!({"iss": iss, "aud": "us", "exp": NOW + 60}), move |signed| {
            hs256(&secret, signed).to_vec()
        })
    };
    let public = signer().verifying_key().to_bytes().to_vec();
    let cases = [
        (good.clone(), ""),
        (ed(json!({"alg": "EdDSA", "kid": "ed"}), json!({})), ""),
        (ed(json!({"alg": "EdDSA"}), json!({"aud": ["they", "us"]})), ""),
        (of_backend(&json!({"exp": NOW - 59})), ""),
        (of_backend(&json!({"exp": NOW - 60})), "the token has expired, at 2026-11-21T11:59:00Z"),
        (of_backend(&json!({"nbf": NOW + 60})), ""),
        (of_backend(&json!({"nbf": NOW + 61})), "the token is not good yet, by `nbf` or `iat`"),
        (of_backend(&json!({"iat": NOW + 61})), "the token is not good yet, by `nbf` or `iat`"),
        (of_backend(&json!({"exp": "left out"})), "the token does not say when it ends, by `exp`"),
        (of_backend(&json!({"exp": NOW + 900})), ""),
        (of_backend(&json!({"exp": NOW + 901})), "the token lives for too long; 900 seconds are allowed here"),
        (of_backend(&json!({"iat": NOW - 400})), "the token lives for too long; 900 seconds are allowed here"),
        (
            of_backend(&json!({"iat": "left out", "exp": NOW + 961})),
            "the token lives for too long; 900 seconds are allowed here",
        ),
        (
            of_backend(&json!({"iat": "left out", "exp": 1e300})),
            "the token lives for too long; 900 seconds are allowed here",
        ),
        (of_backend(&json!({"iss": "nobody"})), "the token's issuer is not known here, by `iss`"),
        (of_backend(&json!({"iss": "left out"})), "the token does not say who issued it, by `iss`"),
        (ed(json!({"alg": "EdDSA"}), json!({"aud": "they"})), "the token is for another audience, by `aud`"),
        (ed(json!({"alg": "EdDSA"}), json!({"aud": "left out"})), "the token is for another audience, by `aud`"),
        (ed(json!({"alg": "EdDSA", "kid": "no"}), json!({})), "the token's key is not known here, by its `kid`"),
        (ed(json!({"alg": "ES256", "kid": "ed"}), json!({})), "the token's algorithm is not allowed here"),
        (hmac(Vec::new(), json!({"alg": "none"}), "backend"), "the token's algorithm is not allowed here"),
        (hmac(Vec::new(), json!({"alg": "none"}), "named"), "the token's algorithm is not allowed here"),
        // A public key is no secret.
        (hmac(public, json!({"alg": "HS256"}), "named"), "the token's algorithm is not allowed here"),
        (hmac(b"another".to_vec(), json!({"alg": "HS256"}), "backend"), "the token's signature is not its issuer's"),
        (hmac(Vec::new(), json!({"alg": "HS256"}), "backend"), "the token's signature is not its issuer's"),
        (format!("{good}AAAA"), "the token's signature is not its issuer's"),
        (
            hmac(SECRET.into(), json!({"alg": "HS256", "crit": ["b64"], "b64": false}), "backend"),
            "the token wants what is not understood here, by `crit`",
        ),
        (hmac(SECRET.into(), json!({"alg": "HS256"}), "closed"), "it is disabled"),
        (of_backend(&json!({"more": "x".repeat(9000)})), "the token is longer than 8192 bytes"),
        (of_backend(&json!({"exp": "soon"})), "the token's claim `exp` is wrong: it must be a time in seconds"),
        (of_backend(&json!({"models": "cheap"})), "the token's claim `models` is wrong: it must be a list of texts"),
        (of_backend(&json!({"models": null})), "the token's claim `models` is wrong: it must be a list of texts"),
        (
            of_backend(&json!({"models": []})),
            "the token's claim `models` is wrong: empty; name one, or leave it out to allow all",
        ),
        (of_backend(&json!({"max_tokens": "5"})), "the token's claim `max_tokens` is wrong: it must be a whole number"),
        (of_backend(&json!({"max_tokens": -5})), "the token's claim `max_tokens` is wrong: it must be a whole number"),
        (
            of_backend(&json!({"max_cost": "a lot"})),
            "the token's claim `max_cost_usd` is wrong: it must be dollars, like \"0.50\"",
        ),
        (
            of_backend(&json!({"max_cost_usd": -1})),
            "the token's claim `max_cost_usd` is wrong: it must be dollars, like \"0.50\"",
        ),
        (of_backend(&json!({"rpm": 1.5})), "the token's claim `rpm` is wrong: it must be a whole number"),
        (
            of_backend(&json!({"rpm": 1, "requests_per_minute": 2})),
            "the token has both claims `requests_per_minute` and `rpm`",
        ),
        (of_backend(&json!({"origin": 5})), "the token's claim `origin` is wrong: it must be a list of texts, or one"),
        (
            of_backend(&json!({"origins": ["example.com"]})),
            "the token's claim `origins` is wrong: not an origin like \"https://app.example.com\"",
        ),
        (of_backend(&json!({"tags": {"a": 1}})), "the token's claim `tags` is wrong: it must be a list of texts"),
        (of_backend(&json!({"sub": 7})), "the token's claim `sub` is wrong: it must be a text"),
        (
            of_backend(&json!({"sub": "x".repeat(201)})),
            "the token's claim `sub` is wrong: a name is too long, empty, or has control characters",
        ),
        (of_backend(&json!({"unknown": {"a": [1]}, "email": 5})), ""),
    ];
    let gateway = office();
    for (token, expected) in cases {
        let told = chat(&gateway, &Rc::default(), &token, &json!({}));
        let status = if expected.is_empty() { 200 } else { 401 };
        assert_eq!(told.status, status, "{expected}: {}", told.body);
        if status == 401 {
            assert_eq!(message(&told), format!("Incorrect API key provided: {expected}"));
            assert_eq!(told.body["error"]["code"], "invalid_api_key");
        }
        let signature = token.rsplit_once('.').unwrap().1;
        let shown = format!("{} {} {:?}", told.body, told.line, told.headers);
        assert!(signature.is_empty() || !shown.contains(signature), "{shown}");
    }
}

#[test]
fn whatever_is_damaged_in_a_token_it_is_refused_and_nothing_breaks() {
    let (gateway, world, good) = (office(), Rc::default(), of_backend(&json!({})));
    let refused = |token: &str| {
        let told = chat(&gateway, &world, token, &json!({}));
        assert_eq!(told.status, 401, "{token}: {}", told.body);
    };
    // Every piece of it, and every letter another one.
    for at in (0..good.len()).step_by(3) {
        let (before, rest) = good.split_at(at);
        refused(before);
        let other = if rest.starts_with('A') { "B" } else { "A" };
        refused(&format!("{before}{other}{}", rest.get(1..).unwrap()));
    }
    let deep = part(format!("{}{}", "[".repeat(3000), "]".repeat(3000)).as_bytes());
    let head = part(br#"{"alg":"HS256"}"#);
    for payload in ["", "!!!", "eyJ", &deep, &part(b"{\"iss\":\"backend\""), &part(b"[]"), &part(b"\xff\xff"), &head] {
        refused(&format!("{head}.{payload}."));
        refused(&format!("{head}.{payload}.{}", part(&[0; 32])));
        refused(&format!("eyJ.{payload}.{payload}"));
    }
    refused(&format!("{head}..{}", "A".repeat(100_000)));
    refused(&format!("{good}.{good}"));
    refused("eyJ..");
}

#[test]
fn a_token_allows_what_both_it_and_its_caller_do() {
    let gateway = office();
    let status = |claims: Value, body: Value| chat(&gateway, &Rc::default(), &of_backend(&claims), &body).status;
    // Its caller may ask for cheap and dear.
    let models = [
        (json!({}), "cheap", 200),
        (json!({}), "other", 403),
        (json!({"models": ["cheap"]}), "cheap", 200),
        (json!({"models": ["dear"]}), "cheap", 403),
        (json!({"models": ["*"]}), "other", 403),
        (json!({"models": ["other"]}), "other", 403),
        (json!({"models": ["ch*p"]}), "cheap", 200),
    ];
    for (claims, model, expected) in models {
        assert_eq!(status(claims.clone(), json!({"model": model})), expected, "{claims} {model}");
    }
    let tokens = [
        (json!({"max_tokens": 10}), 200),
        (json!({"max_tokens": 11}), 403),
        (json!({"max_tokens": 5, "n": 3}), 403),
        (json!({"max_tokens": "left out"}), 400),
        (json!({"max_tokens": 0}), 400),
        (json!({"max_tokens": "left out", "max_completion_tokens": 10}), 200),
    ];
    for (body, expected) in tokens {
        assert_eq!(status(json!({"max_tokens": 10}), body.clone()), expected, "{body}");
    }
    let list = |claims: Value| {
        let bearer = format!("Bearer {}", of_backend(&claims));
        let told = ask(&gateway, &Rc::default(), ("GET", "/v1/models"), &[("authorization", &bearer)], &Value::Null);
        let ids = told.body["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>().join(" ")
    };
    assert_eq!((list(json!({})), list(json!({"models": ["dear", "other"]}))), ("cheap dear".into(), "dear".into()));
}

#[test]
fn the_pages_of_a_token_are_among_those_of_its_caller() {
    let (gateway, body) = (office(), json!({"model": "cheap", "messages": [{"role": "user", "content": "hi"}]}));
    let at = |claims: Value, origin: &str| {
        let bearer = format!("Bearer {}", of_backend(&claims));
        let headers = [("authorization", bearer.as_str()), ("origin", origin)];
        let told = ask(&gateway, &Rc::default(), ("POST", "/v1/chat/completions"), &headers, &body);
        (told.status, told.headers.get("access-control-allow-origin").is_some())
    };
    let (app, other) = ("https://app.example.com", "https://other.example.com");
    assert_eq!((at(json!({}), app), at(json!({}), "https://evil.example")), ((200, true), (403, false)));
    let one = json!({"origin": app});
    assert_eq!((at(one.clone(), app), at(one, other)), ((200, true), (403, false)));
    assert_eq!(at(json!({"origins": ["https://evil.example"]}), "https://evil.example"), (403, false));
}

#[test]
fn what_a_token_may_cost_and_how_often_it_may_ask_is_counted_for_it_alone() {
    let (gateway, world): (_, Rc<World>) = (office(), Rc::default());
    // 1000 dollars a million: a tenth of a cent for each token.
    let answer = json!({"id": "a", "object": "chat.completion", "model": "large", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "hi"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}});
    world.answer_whole("up", &answer.to_string());
    let one = of_backend(&json!({"max_cost_usd": 0.009}));
    let dear = |token: &str| chat(&gateway, &world, token, &json!({"model": "dear"}));
    // Five tokens are held for each, and three paid.
    let first = dear(&one);
    assert_eq!((first.status, dear(&one).status), (200, 200), "{}", first.body);
    let third = dear(&one);
    assert_eq!((third.status, third.headers.get("x-tollgate-limit")), (402, Some("token-max-cost")), "{}", third.body);
    assert!(message(&third).starts_with("this token may spend $0.009000 in all; $0.006000 is spent"), "{}", third.body);
    // Another has its own.
    assert_eq!(dear(&of_backend(&json!({"jti": "two", "max_cost": "0.009"}))).status, 200);
    let bearer = format!("Bearer {one}");
    let key = ask(&gateway, &world, ("GET", "/v1/key"), &[("authorization", &bearer)], &Value::Null).body;
    let told = json!({"issuer": "backend", "user": "u1", "max_cost_usd": "0.009"});
    assert_eq!(key["data"]["token"], told, "{key}");
    assert_eq!((&key["data"]["limit"], &key["data"]["usage"]), (&json!(0.009), &json!(0.006)), "{key}");
    assert_eq!(key["data"]["expires_at"], "2026-11-21T12:10:00Z");
    // What is counted of it is forgotten with it.
    let counters = world.counters.borrow();
    let kept = counters.keys().filter(|name| name.contains("token-")).all(|name| name.starts_with("rate/token:app:"));
    assert!(kept, "{counters:?}");
    drop(counters);

    // Whoever pays.
    world.answer_whole("own", &answer.to_string());
    let made = make(&gateway, &world, "the key of open", &json!({"max_cost_usd": "0.006"})).body;
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let own = || {
        let headers = [("authorization", bearer.as_str()), ("x-tollgate-provider-key", "own=sk-brought")];
        let body = json!({"model": "own/large", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
        ask(&gateway, &world, ("POST", "/v1/chat/completions"), &headers, &body)
    };
    let first = own();
    assert_eq!((first.status, &first.line["own_key"]), (200, &json!(true)), "{} {}", first.body, first.line);
    assert_eq!((own().status, own().headers.get("x-tollgate-limit")), (402, Some("token-max-cost")));

    // A limit of the configuration counts each too, and nobody who comes with a key.
    let few = json!({"tags": ["few"]});
    let (one, two) = (of_backend(&few), of_backend(&with(few, &json!({"sub": "u2"}))));
    let statuses = [&one, &one, &two].map(|token| chat(&gateway, &world, token, &json!({})).status);
    assert_eq!(statuses, [200, 429, 200]);
    let keyed = json!({"provider": {"tags": ["few"]}});
    assert_eq!([(); 2].map(|()| chat(&gateway, &world, "the key of app", &keyed).status), [200, 200]);

    let rate = of_backend(&json!({"rpm": 1}));
    let again = of_backend(&json!({"rpm": 1, "iat": NOW - 1}));
    let statuses = [&rate, &rate, &again].map(|token| chat(&gateway, &world, token, &json!({})).status);
    assert_eq!(statuses, [200, 429, 200]);
}

#[test]
fn the_end_user_of_a_token_is_no_choice_of_its_holder() {
    let (published, sign) = p256_key(1);
    let (gateway, world): (_, Rc<World>) = (office(), Rc::default());
    publish(&world, &[&published]);
    let post = |claims: Value, user: &str| {
        let bearer = format!("Bearer {}", sign(&claims));
        let body = json!({"model": "cheap", "user": user, "messages": [{"role": "user", "content": "hi"}]});
        let headers = [("authorization", bearer.as_str()), ("x-tollgate-user", user)];
        ask(&gateway, &world, ("POST", "/v1/chat/completions"), &headers, &body)
    };
    let first = post(json!({}), "a");
    assert_eq!((first.status, &first.line["user"]), (200, &json!("u1")), "{}", first.body);
    // Two a minute for each user, whatever it calls itself and however many tokens it has.
    assert_eq!([post(json!({}), "b").status, post(json!({"jti": "x"}), "c").status], [200, 429]);
    assert_eq!(post(json!({"sub": "u2"}), "u1").status, 200);
    let nameless = post(json!({"sub": "left out"}), "u3");
    assert_eq!((nameless.status, nameless.line.get("user")), (200, None), "{}", nameless.line);

    let id = first.line["id"].as_str().unwrap().to_owned();
    let receipt = |claims: Value| get(&gateway, &world, "/v1/generation", Some(&format!("id={id}")), &sign(&claims));
    let own = receipt(json!({"jti": "y"}));
    assert_eq!((own.0, &own.1["data"]["external_user"]), (200, &json!("u1")), "{}", own.1);
    assert_eq!(receipt(json!({"sub": "u2"})).0, 404);
    assert_eq!(receipt(json!({"sub": "left out"})).0, 404);
}

fn get(gateway: &Gateway, world: &Rc<World>, path: &str, query: Option<&str>, key: &str) -> (u16, Value) {
    let request = Incoming {
        method: "GET".to_owned(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers: [("x-api-key", key)].into_iter().collect(),
        body: Body::Whole(bytes::Bytes::new()),
    };
    let host = Scripted::new(world.clone());
    let told = RefCell::new(None);
    let task: Task<'_> = Box::pin(async {
        let reply = serve(gateway, &host, request).await;
        let tollgate::host::ReplyBody::Whole(body) = reply.body else { panic!("it is no whole answer") };
        *told.borrow_mut() = Some((reply.status, serde_json::from_slice(&body).unwrap_or_default()));
    });
    world.run(vec![task]);
    told.into_inner().unwrap()
}

/// Has the issuer publish these keys, 100 ms after it is asked.
fn publish(world: &World, keys: &[&Value]) {
    answer(world, 200, json!({"keys": keys}).to_string());
}

fn answer(world: &World, status: u16, text: String) {
    let head = Act::Head { status, headers: vec![("content-type".to_owned(), "application/json".to_owned())] };
    let script: Script = [(100, head), (0, Act::Piece(text.into())), (0, Act::Close)].into_iter().collect();
    world.targets.borrow_mut().insert("files".to_owned(), [script].into());
}

fn pass(world: &World, ms: u64) {
    let until = world.passed() + ms;
    world.run(vec![Box::pin(world.until(until)) as Task<'_>]);
}

#[test]
fn an_issuers_keys_are_fetched_once_and_again_for_a_key_that_is_new() {
    let ((first, sign), (second, sign_new), (_, sign_false)) = (p256_key(1), p256_key(2), p256_key(3));
    let (gateway, world): (_, Rc<World>) = (office(), Rc::default());
    publish(&world, &[&first]);
    let post = |token: &str| chat(&gateway, &world, token, &json!({}));
    let fetches = || world.fetched.borrow().len();
    let user = |name: &str| json!({"sub": name});
    assert_eq!((post(&sign(&user("a"))).status, post(&sign(&user("b"))).status, fetches()), (200, 200, 1));
    // Within half a minute nobody is asked again, however many keys are made up.
    for _ in 0..5 {
        assert!(message(&post(&sign_false(&json!({})))).ends_with("the token's key is not known here, by its `kid`"));
    }
    assert_eq!(fetches(), 1);
    pass(&world, 30_000);
    publish(&world, &[&first, &second]);
    assert_eq!((post(&sign_new(&user("c"))).status, fetches()), (200, 2));
    // Who asks in vain is let ask less and less often: before long it is a look every five minutes.
    let made_up = sign_false(&json!({}));
    for _ in 0..6 * 60 * 3 {
        pass(&world, 20_000);
        assert_eq!(post(&made_up).status, 401);
    }
    let looks = fetches();
    assert!((70..82).contains(&looks), "{looks}");
    // A key that is taken off the list is good for another hour at most.
    publish(&world, &[&second]);
    pass(&world, 3_600_000);
    let passed = NOW + world.passed() / 1000;
    let times = json!({"iat": passed, "exp": passed + 60});
    assert_eq!((post(&sign(&times)).status, post(&sign_new(&times)).status), (401, 200));
}

#[test]
fn requests_at_once_wait_for_one_look_and_other_processes_learn_of_it() {
    let (published, sign) = p256_key(1);
    let (one, world): (_, Rc<World>) = (office(), Rc::default());
    publish(&world, &[&published]);
    let hosts: Vec<Scripted> = (0..20).map(|_| Scripted::new(world.clone())).collect();
    let statuses = RefCell::new(Vec::new());
    let tasks = hosts.iter().enumerate().map(|(number, host)| {
        let headers = [("x-api-key", sign(&json!({"sub": format!("u{number}")})))].into_iter().collect();
        let body = json!({"model": "cheap", "messages": [{"role": "user", "content": "hi"}]}).to_string().into_bytes();
        let (method, path) = ("POST".to_owned(), "/v1/chat/completions".to_owned());
        let request = Incoming { method, path, query: None, headers, body: Body::Whole(body.into()) };
        let (one, statuses) = (&one, &statuses);
        Box::pin(async move {
            let reply = serve(one, host, request).await;
            statuses.borrow_mut().push(reply.status);
        }) as Task<'_>
    });
    world.run(tasks.collect());
    assert_eq!((statuses.into_inner(), world.fetched.borrow().len()), (vec![200; 20], 1));
    assert!(world.passed() <= 200, "{}", world.passed());
    // What was fetched is kept for others, and so is that it was in vain.
    let other = office();
    assert_eq!(
        (chat(&other, &world, &sign(&json!({"sub": "v"})), &json!({})).status, world.fetched.borrow().len()),
        (200, 1)
    );
    let (_, sign_false) = p256_key(3);
    let third = office();
    assert_eq!(
        (chat(&third, &world, &sign_false(&json!({})), &json!({})).status, world.fetched.borrow().len()),
        (401, 1)
    );
}

#[test]
fn what_cannot_be_fetched_leaves_the_last_good_keys() {
    let (published, sign) = p256_key(1);
    let set = json!({"keys": [published]}).to_string();
    let cases: [(u16, String); 5] = [
        (503, String::new()),
        (200, "nonsense".to_owned()),
        (200, json!({"keys": []}).to_string()),
        (200, json!({"keys": [{"kty": "oct", "k": "AAAA"}]}).to_string()),
        (200, format!("{set}{}", " ".repeat(SET_BYTES_MAX))),
    ];
    for (status, text) in cases {
        let (gateway, world): (_, Rc<World>) = (office(), Rc::default());
        // With none before, nobody can be told apart: that is no fault of the caller.
        answer(&world, status, text.clone());
        let told = chat(&gateway, &world, &sign(&json!({})), &json!({}));
        assert_eq!(
            (told.status, message(&told).as_str()),
            (502, "the keys of the token's issuer cannot be had just now")
        );
        assert_eq!(chat(&gateway, &world, &sign(&json!({})), &json!({})).status, 502);
        assert_eq!(world.fetched.borrow().len(), 1, "not for each request");
        let line = &told.line;
        assert!(line["event"] == "jwks" && line["issuer"] == "id" && line["failed"].is_string(), "{line}");
        pass(&world, 60_000);
        answer(&world, 200, set.clone());
        assert_eq!(chat(&gateway, &world, &sign(&json!({})), &json!({})).status, 200);
        answer(&world, status, text);
        pass(&world, 3_600_000);
        let passed = NOW + world.passed() / 1000;
        let token = sign(&json!({"iat": passed, "exp": passed + 60}));
        assert_eq!(chat(&gateway, &world, &token, &json!({})).status, 200);
        assert_eq!(world.fetched.borrow().len(), 3);
    }
    // An issuer that says nothing is waited for five seconds, and its keys still stand.
    let (gateway, world): (_, Rc<World>) = (office(), Rc::default());
    world.targets.borrow_mut().insert("files".to_owned(), [[(0, Act::Silence)].into_iter().collect()].into());
    assert_eq!((chat(&gateway, &world, &sign(&json!({})), &json!({})).status, world.passed()), (502, 5_000));
    // A store that is down changes nothing but that others are not told.
    let (gateway, world): (_, Rc<World>) = (office(), Rc::default());
    publish(&world, &[&p256_key(1).0]);
    world.store_down.set(true);
    let bearer = format!("Bearer {}", sign(&json!({})));
    let told = ask(&gateway, &world, ("GET", "/v1/models"), &[("authorization", &bearer)], &Value::Null);
    assert_eq!(told.status, 200, "{}", told.body);
}

#[test]
fn a_good_signature_is_looked_at_once_and_one_that_is_made_up_each_time() {
    let rsa = pem::block(include_str!("../forge/rsa2048.pem"), "PRIVATE KEY").unwrap();
    let public = RsaKeyPair::from_pkcs8(&rsa).unwrap().public().as_ref().to_vec();
    let modulus =
        der::only(&public, der::SEQUENCE).unwrap().of(der::INTEGER).unwrap().strip_prefix(&[0]).unwrap().to_vec();
    let (published, _) = p256_key(1);
    let jwk = |key: &Value| json!({"public_key": key.to_string()});
    let gateway = gateway(&json!({
        "callers": {"app": {"models": ["tollgate/echo"]}},
        "tokens": {"own": {"caller": "app", "public_key": ed25519(), "keys": [
            {"secret": SECRET}, jwk(&published), jwk(&json!({"kty": "RSA", "n": part(&modulus), "e": "AQAB"})),
        ]}},
    }));
    let world: Rc<World> = Rc::default();
    let looks = |token: &str, expected: u16| {
        let before = world.verified.get();
        assert_eq!(chat(&gateway, &world, token, &json!({"model": "tollgate/echo"})).status, expected, "{token}");
        world.verified.get() - before
    };
    let claims = json!({"iss": "own", "exp": NOW + 60});
    let p256 = p256::ecdsa::SigningKey::from_slice(&[1; 32]).unwrap();
    let es256 = |signed: &[u8]| {
        let signature: p256::ecdsa::Signature = p256.sign(signed);
        signature.to_bytes().to_vec()
    };
    type Sign<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let rows: [(&str, u32, Sign<'_>); 4] = [
        ("HS256", 0, &|signed| hs256(SECRET.as_bytes(), signed).to_vec()),
        ("ES256", 1, &es256),
        ("EdDSA", 1, &|signed| signer().sign(signed).to_bytes().to_vec()),
        ("RS256", 1, &|signed| signatures::sign(&rsa, signed).unwrap()),
    ];
    for (algorithm, once, sign) in rows {
        let good = token(&json!({"alg": algorithm}), &claims, sign);
        assert_eq!([looks(&good, 200), looks(&good, 200)], [once, 0], "{algorithm}");
        // What is said otherwise is another signature's, and that of another token none of its own.
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let other = token(&json!({"alg": algorithm}), &json!({"iss": "own", "exp": NOW + 61}), |_| Vec::new());
        for made_up in [format!("{other}{signature}"), format!("{signed}."), format!("{signed}.AAAA")] {
            assert_eq!([looks(&made_up, 401), looks(&made_up, 401)], [once, once], "{algorithm}");
        }
        assert_eq!(looks(&good, 200), 0, "{algorithm}");
    }
}

fn make(gateway: &Gateway, world: &Rc<World>, key: &str, body: &Value) -> Replied {
    ask(gateway, world, ("POST", "/v1/tokens"), &[("x-api-key", key)], body)
}

#[test]
fn a_caller_makes_tokens_for_less_than_it_may() {
    let (gateway, world): (_, Rc<World>) = (office(), Rc::default());
    let body = json!({"user": "u1", "expires_in": 600, "models": ["cheap"], "max_tokens": 10, "max_cost_usd": "0.50",
        "requests_per_minute": 2, "origins": ["https://app.example.com"], "tags": ["t"]});
    let made = make(&gateway, &world, "the key of app", &body);
    assert_eq!((made.status, made.headers.get("cache-control")), (201, Some("no-store")), "{}", made.body);
    assert_eq!(made.body["expires_at"], "2026-11-21T12:10:00Z");
    let token = made.body["token"].as_str().unwrap();
    let first = chat(&gateway, &world, token, &json!({"user": "u2"}));
    assert_eq!(
        (first.status, &first.line["user"], &first.line["tags"]),
        (200, &json!("u1"), &json!(["own", "t"])),
        "{}",
        first.body
    );
    assert_eq!(chat(&gateway, &world, token, &json!({"model": "dear"})).status, 403);
    assert_eq!(chat(&gateway, &world, token, &json!({"max_tokens": 11})).status, 403);
    assert_eq!(
        [chat(&gateway, &world, token, &json!({})).status, chat(&gateway, &world, token, &json!({})).status],
        [200, 429]
    );
    let key = get(&gateway, &world, "/v1/key", None, token).1;
    let bounds = json!({"issuer": "tollgate", "user": "u1", "models": ["cheap"], "max_tokens": 10, "max_cost_usd": "0.5",
        "requests_per_minute": 2, "origins": ["https://app.example.com"], "tags": ["t"]});
    assert_eq!((&key["data"]["token"], &key["data"]["label"]), (&bounds, &json!("app")));
    // Other processes know it too, until it ends.
    assert_eq!(chat(&office(), &Rc::default(), token, &json!({})).status, 200);
    pass(&world, 660_000);
    let over = chat(&gateway, &world, token, &json!({}));
    assert!(over.status == 401 && message(&over).contains("expired, at 2026-11-21T12:10:00Z"), "{}", over.body);
}

#[test]
fn a_token_makes_no_tokens_and_is_told_nothing_of_others() {
    let (gateway, world): (_, Rc<World>) = (office(), Rc::default());
    let made = make(&gateway, &world, "the key of app", &Value::Null);
    let token = made.body["token"].as_str().unwrap();
    assert_eq!(make(&gateway, &world, token, &json!({})).status, 403);
    assert_eq!(make(&gateway, &world, &of_backend(&json!({})), &json!({})).status, 403);
    for path in ["/v1/usage", "/v1/report", "/v1/credits", "/v1/keys", "/v1/keys/x"] {
        let (status, body) = get(&gateway, &world, path, None, token);
        assert_eq!(status, 403, "{path}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains("GET /v1/key tells"), "{body}");
    }
    let id = chat(&gateway, &world, token, &json!({})).line["id"].as_str().unwrap().to_owned();
    let receipt = |key: &str| get(&gateway, &world, "/v1/generation", Some(&format!("id={id}")), key).0;
    assert_eq!((receipt(token), receipt("the key of app")), (404, 200), "it has no end user");
    assert_eq!(get(&gateway, &world, "/v1/models", None, token).0, 200);
}

#[test]
fn what_is_wrong_with_a_token_that_is_asked_for_is_told() {
    let gateway = office();
    let cases = [
        (json!({"expires_in": 901}), 400, "expires_in: from 1 to 900 seconds"),
        (json!({"expires_in": 0}), 400, "expires_in: from 1 to 900 seconds"),
        (json!({"model": ["cheap"]}), 400, "model: no such field; did you mean \"models\"?"),
        (json!({"models": "cheap"}), 400, "models: "),
        (json!({"models": []}), 400, "models: empty"),
        (json!({"models": ["cheap", "other"]}), 403, "models[1]: the model \"other\" is not among"),
        (json!({"max_cost_usd": "much"}), 400, "max_cost_usd: not an amount"),
        (json!({"origins": ["app.example.com"]}), 403, "origins[0]: "),
        (json!({"origins": ["https://*"]}), 201, ""),
        (json!({"origins": ["https://evil.example"]}), 403, "origins[0]: this key is not for pages of this origin"),
        (json!({"user": ""}), 400, "user: "),
        (json!({"user": "a\nb"}), 400, "user: "),
        (json!({"tags": vec!["t"; 101]}), 400, "tags: more than 100"),
        (json!({"models": vec!["cheap"; 101]}), 400, "models: more than 100"),
        (json!({"user": "u", "tags": vec!["t".repeat(200); 100]}), 400, "the token would be longer than 8192 bytes"),
        (json!([]), 400, ""),
    ];
    for (body, status, expected) in cases {
        let told = make(&gateway, &Rc::default(), "the key of app", &body);
        assert_eq!(told.status, status, "{body}: {}", told.body);
        assert!(message(&told).starts_with(expected), "{body}: {}", told.body);
    }
    assert_eq!(make(&gateway, &Rc::default(), "another", &json!({})).status, 401);
    let got = ask(&gateway, &Rc::default(), ("GET", "/v1/tokens"), &[("x-api-key", "the key of app")], &Value::Null);
    assert_eq!((got.status, got.headers.get("allow")), (405, Some("POST")));
}

#[test]
fn a_token_ends_with_the_key_that_it_was_made_with() {
    let (gateway, world): (_, Rc<World>) = (office(), Rc::default());
    let admin = |method: &str, path: &str, body: &Value| {
        ask(&gateway, &world, (method, path), &[("x-api-key", "the key of app")], body)
    };
    let made = admin("POST", "/v1/keys", &json!({"name": "made"})).body;
    let key = made["key"].as_str().unwrap();
    let token = |key: &str| make(&gateway, &world, key, &json!({})).body["token"].as_str().unwrap().to_owned();
    let (first, status) = (token(key), |token: &str| chat(&gateway, &world, token, &json!({})).status);
    assert_eq!(status(&first), 200);
    let rotated = admin("POST", "/v1/keys/made/rotate", &json!({"grace_seconds": 60})).body;
    let second = token(rotated["key"].as_str().unwrap());
    assert_eq!((status(&first), status(&second)), (200, 200));
    pass(&world, 60_000);
    assert_eq!((status(&first), status(&second)), (401, 200));
    admin("PATCH", "/v1/keys/made", &json!({"disabled": true}));
    assert_eq!(status(&second), 401);
    admin("PATCH", "/v1/keys/made", &json!({"disabled": false}));
    assert_eq!(status(&second), 200);
    admin("DELETE", "/v1/keys/made", &Value::Null);
    assert_eq!(status(&second), 401);
    // And is nobody else's.
    let again = admin("POST", "/v1/keys", &json!({"name": "made"}));
    assert_eq!((again.status, status(&second)), (201, 401), "{}", again.body);
}
