//! What is told of requests that are over, to whom.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate::auth::Keyless;
use tollgate::config::{Config, Draft};
use tollgate::host::{Body, Headers, Incoming, ReplyBody};
use tollgate::serve::{Gateway, serve};

use crate::world::{Scripted, Task, World};

/// Two callers, of whom the first has a budget for the month and one for the day.
fn gateway() -> Gateway {
    let draft = json!({
        "callers": {"ann": {"secret": "ANN", "spend_cap_usd": "5"}, "ben": {"secret": "BEN"}},
        "limits": {"daily": {"per": "caller", "when": {"caller": "ann"}, "usd": "1", "every": "day"}},
        "providers": {"up": {"dialect": "openai-chat", "base_url": "http://up/v1", "auth": "none"}},
        "prices": {"up/m": {"input": "2", "output": "10"}, "up/n": {"input": "1", "output": "1"}},
        "receipts": {"days": 2},
    });
    let draft = Draft::from_json(Some(&draft.to_string())).unwrap();
    let config = Config::compile(&draft, |name| ["ANN", "BEN"].contains(&name).then(|| name.to_lowercase())).unwrap();
    Gateway::new(Config { version: "v1".to_owned(), ..config }, Keyless::Refused)
}

/// What a request comes to: its status, its headers, and its body.
struct Told {
    status: u16,
    headers: Headers,
    body: Bytes,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

struct Place {
    world: Rc<World>,
    gateway: Gateway,
}

impl Place {
    fn new() -> Self {
        Self { world: Rc::default(), gateway: gateway() }
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Told {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query.to_owned())));
        let request = Incoming {
            method: method.to_owned(),
            path: path.to_owned(),
            query,
            headers: headers.iter().copied().collect(),
            body: Body::Whole(body.to_owned().into()),
        };
        let told = RefCell::new(None);
        let task = async {
            let host = Scripted::new(self.world.clone());
            let reply = serve(&self.gateway, &host, request).await;
            let ReplyBody::Whole(body) = reply.body else { panic!("nothing is streamed here") };
            *told.borrow_mut() = Some(Told { status: reply.status, headers: reply.headers, body });
        };
        self.world.run(vec![Box::pin(task) as Task<'_>]);
        told.into_inner().unwrap()
    }

    fn get(&self, key: &str, path: &str) -> Told {
        self.request("GET", path, &[("authorization", &format!("Bearer {key}"))], "")
    }

    /// Asks for an answer of so many tokens, and returns its id.
    fn ask(&self, key: &str, fields: Value, (input, output): (u64, u64)) -> String {
        let usage = json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output});
        let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}]});
        self.world.answer_whole("up", &answer.to_string());
        let mut body = json!({"model": "up/m", "messages": [{"role": "user", "content": "?"}]});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        let key = format!("Bearer {key}");
        let told = self.request("POST", "/v1/chat/completions", &[("authorization", &key)], &body.to_string());
        assert_eq!(told.status, 200, "{}", told.text());
        told.headers.get("x-tollgate-id").unwrap().to_owned()
    }

    fn sleep(&self, ms: u64) {
        let until = self.world.passed() + ms;
        self.world.run(vec![Box::pin(self.world.until(until)) as Task<'_>]);
    }
}

#[test]
fn a_receipt_is_told_to_its_caller_alone_and_as_long_as_it_is_kept() {
    let place = Place::new();
    let id = place.ask("ann", json!({"user": "u1", "stream": false}), (10, 3));
    let told = place.get("ann", &format!("/v1/generation?id={id}")).json();
    let data = &told["data"];
    assert_eq!((data["id"].as_str(), data["model"].as_str()), (Some(id.as_str()), Some("up/m")));
    assert_eq!((&data["total_cost"], &data["usage"]), (&json!(0.00005), &json!(0.00005)));
    assert_eq!((&data["tokens_prompt"], &data["native_tokens_completion"]), (&json!(10), &json!(3)));
    assert_eq!((&data["provider_name"], &data["external_user"]), (&json!("up"), &json!("u1")));
    assert_eq!((&data["created_at"], &data["price_version"]), (&json!("2026-11-21T12:00:00Z"), &json!("v1")));
    assert_eq!(data["provider_responses"], json!([{"provider_name": "up", "status": 200, "latency": 0}]));
    assert_eq!((&data["receipt"]["caller"], &data["receipt"]["cost_picodollars"]), (&json!("ann"), &json!(50_000_000)));
    // Another's is as unknown as one that never was.
    let other = place.get("ben", &format!("/v1/generation?id={id}"));
    let never = format!("req_{}", "0".repeat(32));
    let none = place.get("ben", &format!("/v1/generation?id={never}"));
    assert_eq!((other.status, none.status), (404, 404));
    assert_eq!(other.text().replace(&id, ""), none.text().replace(&never, ""));
    assert_eq!(place.get("ann", "/v1/generation?id=../x").status, 404);
    assert_eq!(place.get("ann", "/v1/generation").status, 400);
    assert_eq!(place.get("nobody", &format!("/v1/generation?id={id}")).status, 401);
    // In the words of the caller's dialect.
    let headers = [("x-api-key", "ben"), ("anthropic-version", "2023-06-01")];
    let told = place.request("GET", &format!("/v1/generation?id={id}"), &headers, "").json();
    assert_eq!(told["error"]["type"], "not_found_error");
    place.sleep(2 * 86_400_000 + 1);
    assert_eq!(place.get("ann", &format!("/v1/generation?id={id}")).status, 404);
}
