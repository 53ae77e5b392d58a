//! What a caller's key is good for, and what pages in browsers are told.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::caller::Dialect;
use crate::client::{self, Whole};
use crate::suite::Suite;
use crate::test::Test;

const PAGE: &str = "https://app.example.com";

pub(crate) fn add(suite: &mut Suite) {
    for dialect in Dialect::ALL {
        for (field, value, why) in [
            ("disabled", json!(true), "disabled"),
            ("expires", json!("2026-01-31"), "expired, at 2026-01-31T00:00:00Z"),
        ] {
            let name = format!("keys::{}::a_key_that_is_{field}_is_refused", dialect.name());
            suite.add(&name, move |test| refused(test, dialect, why)).field(field, value);
        }
        let name = format!("keys::{}::only_the_models_of_a_key_are_answered_and_listed", dialect.name());
        suite.add(&name, move |test| models(test, dialect)).field("models", json!(["up-*text"]));
    }
    let stream = "keys::a_page_of_a_listed_origin_may_read_what_is_streamed";
    suite.add(stream, page).field("origins", json!(["https://*.example.com"]));
    suite.add("keys::one_is_made_used_rotated_and_revoked_while_the_gateway_runs", made).field("admin", json!(true));
}

async fn refused(test: Test, dialect: Dialect, why: &str) {
    let reply = test.ask(dialect, &dialect.request(&dialect.own().target("text"), &test.prompt())).await;
    assert_eq!(reply.status, 401, "{}", reply.text());
    assert!(dialect.read_error(&reply.body).message.contains(why), "{}", reply.text());
    assert!(test.upstream.exchanges(&test.marker).is_empty());
}

async fn models(test: Test, dialect: Dialect) {
    test.answer(dialect, &dialect.request(&dialect.own().target("text"), &test.prompt())).await;
    let reply = test.ask(dialect, &dialect.request(&dialect.own().target("tools"), &test.prompt())).await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert!(dialect.read_error(&reply.body).message.contains("not among those that this key may ask for"));
    let list = test.get("/v1/models").await.json();
    let ids: Vec<&Value> = list["data"].as_array().expect("a list").iter().map(|row| &row["id"]).collect();
    let is_own = |id: &&Value| id.as_str().is_some_and(|id| id.starts_with("up-") && id.ends_with("text"));
    assert!(!ids.is_empty() && ids.iter().all(is_own), "{ids:?}");
    test.exchange();
}

/// The longest until all processes of a host know what was changed in one of them.
const KNOWN: Duration = Duration::from_secs(70);

async fn made(test: Test) {
    let admin = |method: &'static str, path: String, body: Value| {
        let (headers, address) = (Dialect::OpenaiChat.headers(&test.key), test.host.address);
        async move { client::send(address, method, &path, &headers, body.to_string()).await.whole().await }
    };
    let name = format!("made-for-{}", test.caller);
    let one = format!("/v1/keys/{name}");
    let body = json!({"name": name, "models": ["up-openai/*"], "tags": ["made"]});
    let reply = admin("POST", "/v1/keys".to_owned(), body).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let first = reply.json()["key"].as_str().expect("the key is shown").to_owned();
    answers(&test, &first, 200).await;
    let list = admin("GET", "/v1/keys".to_owned(), Value::Null).await;
    assert!(list.text().contains(&name) && !list.text().contains(&first), "{}", list.text());

    let reply = admin("POST", format!("{one}/rotate"), json!({})).await;
    let second = reply.json()["key"].as_str().unwrap_or_else(|| panic!("no key: {}", reply.text())).to_owned();
    answers(&test, &second, 200).await;
    answers(&test, &first, 401).await;
    let reply = admin("PATCH", one.clone(), json!({"models": ["up-anthropic/*"]})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    answers(&test, &second, 403).await;
    let reply = admin("DELETE", one, Value::Null).await;
    assert_eq!((reply.status, reply.json()), (200, json!({"deleted": true})));
    answers(&test, &second, 401).await;
}

/// Asks with a key until it is answered so.
async fn answers(test: &Test, key: &str, status: u16) {
    let dialect = Dialect::OpenaiChat;
    let deadline = Instant::now() + KNOWN;
    loop {
        let (path, body) = dialect.sent(&dialect.request("up-openai/text", &test.prompt()));
        let reply = client::send(test.host.address, "POST", &path, &dialect.headers(key), body).await.whole().await;
        if reply.status == status {
            return;
        }
        assert!(Instant::now() < deadline, "{} and not {status}: {}", reply.status, reply.text());
        sleep(Duration::from_millis(500)).await;
    }
}

async fn send(test: &Test, method: &str, headers: &[(&'static str, &str)], body: String) -> Whole {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    client::send(test.host.address, method, "/v1/chat/completions", &headers, body).await.whole().await
}

async fn page(test: Test) {
    let dialect = Dialect::OpenaiChat;
    let asks = [("access-control-request-method", "POST"), ("access-control-request-headers", "authorization")];
    let before = send(&test, "OPTIONS", &[asks[0], asks[1], ("origin", PAGE)], String::new()).await;
    assert_eq!((before.status, before.header("access-control-allow-origin")), (200, Some(PAGE)), "{}", before.text());
    assert_eq!(before.header("access-control-allow-headers"), Some("authorization"));
    let other = send(&test, "OPTIONS", &[asks[0], ("origin", "https://evil.example")], String::new()).await;
    assert_eq!(other.header("access-control-allow-origin"), None);

    let request = dialect.streamed(&dialect.own().target("text"), &test.prompt());
    let reply = test.ask_with(dialect, &request, &[("origin", PAGE)]).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some(PAGE)), "{}", reply.text());
    assert_eq!(reply.header("vary"), Some("origin"));
    let readable = reply.header("access-control-expose-headers").unwrap_or_default();
    assert!(readable.contains("x-tollgate-target"), "{readable}");
    dialect.read_stream(&reply.body);
    let other = test.ask_with(dialect, &request, &[("origin", "https://evil.example")]).await;
    assert_eq!((other.status, other.header("access-control-allow-origin")), (403, None), "{}", other.text());
    test.exchange();
}
