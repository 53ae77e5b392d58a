//! What a caller's key is good for, and what pages in browsers are told.

use serde_json::{Value, json};

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
