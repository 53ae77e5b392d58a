//! A caller's limits: requests per minute and the spending cap, refused in the caller's dialect with what a
//! client needs to know, and nothing counted for what was refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::add_callers;
use crate::answer::Answer;
use crate::caller::Dialect;
use crate::client::Whole;
use crate::suite::{Suite, TOKEN_SECRET};
use crate::test::{Test, Totals};
use crate::upstream::Provider;
use crate::upstream::files::HOOK;

pub(crate) fn add(suite: &mut Suite) {
    for dialect in Dialect::BOTH {
        let name = |sentence: &str| format!("limits::{}::{sentence}", dialect.name());
        suite
            .add(&name("the_request_above_the_limit_is_refused"), move |test| rate(test, dialect))
            .requests_per_minute(3);
        suite
            .add(&name("the_rate_limit_holds_for_requests_at_once"), move |test| rate_at_once(test, dialect))
            .requests_per_minute(10);
        suite.add(&name("the_spending_cap_stops_the_caller"), move |test| cap(test, dialect)).spend_cap_usd(CAP);
        suite
            .add(&name("the_spending_cap_holds_for_requests_at_once"), move |test| cap_at_once(test, dialect))
            .spend_cap_usd(CAP);
        suite
            .add(&name("a_request_that_failed_takes_nothing_from_the_cap"), move |test| {
                failures_are_free(test, dialect)
            })
            .spend_cap_usd(CAP);
    }
    for dialect in Dialect::BOTH {
        let name = |sentence: &str| format!("limits::{}::{sentence}", dialect.name());
        suite
            .add(&name("all_limits_must_have_room_and_a_refusal_takes_of_none"), move |test| all_or_none(test, dialect))
            .limit("tagged", json!({"per": "tag", "when": {"tag": "batch"}, "requests": 2, "every": "day"}))
            .limit("own", json!({"per": "caller", "requests": 3, "every": "day"}))
            .limit("user", json!({"per": "user", "requests": 9, "every": "hour", "sliding": true}));
        suite
            .add(&name("so_many_requests_are_under_way_and_no_more"), move |test| concurrent(test, dialect))
            .limit("few", json!({"per": "caller", "concurrent": 2}));
        let tokens = Answer::of("text").usage.output;
        suite.add(&name("another_model_is_asked_where_a_pool_is_used_up"), move |test| pool(test, dialect)).limit(
            "pool",
            json!({"per": "caller", "when": {"model": "up-openai/text"}, "output_tokens": 2 * tokens + 1,
                    "every": "month", "instead": "up-anthropic/cheap"}),
        );
    }
    suite
        .add("limits::a_thousand_streams_at_once_pass_a_budget_as_often_as_it_has_room", crowd)
        .spend_cap_usd(CROWD_CAP)
        .alone();
    suite
        .add("limits::a_provider_without_room_is_passed_over_for_the_next", next_provider)
        .limit("one", json!({"per": "provider", "providers": ["up-openai"], "requests": 1, "every": "day"}));
    add_callers(suite, "limits", "a_caller_without_a_limit_gets_no_limit_headers", |test, dialect| async move {
        let reply = test.answer(dialect, &dialect.request("up-openai/text", &test.prompt())).await;
        assert_eq!(reply.header("x-ratelimit-limit-requests"), None);
    });
}

async fn rate(test: Test, dialect: Dialect) {
    early_in_a_minute().await;
    for remaining in ["2", "1", "0"] {
        let reply = test.answer(dialect, &dialect.request("up-openai/text", &test.prompt())).await;
        assert_eq!(reply.header("x-ratelimit-limit-requests"), Some("3"));
        assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some(remaining));
        reset(&reply);
    }
    for dialect in [dialect, dialect.other()] {
        let reply = test.ask(dialect, &dialect.streamed("up-openai/text", &test.prompt())).await;
        refused_for_rate(dialect, &reply);
    }
    let usage = Provider::OpenaiChat.reports(Answer::of("text").usage);
    test.settles([("up-openai/text", Totals::of(3, "text", usage))]).await;
}

/// The counters of a tag and of a caller are kept in different places on some hosts.
async fn all_or_none(test: Test, dialect: Dialect) {
    let request = dialect.request("up-openai/text", &test.prompt());
    let tagged = || test.ask_with(dialect, &request, &[("x-tollgate-tags", "batch")]);
    for left in ["1", "0"] {
        let reply = tagged().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some(left));
    }
    for _ in 0..3 {
        let reply = tagged().await;
        assert_eq!(reply.status, 429, "{}", reply.text());
        let limit = reply.header("x-tollgate-limit").expect("which limit");
        assert!(limit.starts_with("tagged-"), "{limit}");
        assert_eq!(reply.header("x-should-retry"), Some("false"), "a day is long");
    }
    test.answer(dialect, &request).await;
    let reply = test.ask(dialect, &request).await;
    let limit = reply.header("x-tollgate-limit").unwrap_or_default();
    assert!(reply.status == 429 && limit.starts_with("own-"), "{limit}: {}", reply.text());
    let usage = Provider::OpenaiChat.reports(Answer::of("text").usage);
    test.settles([("up-openai/text", Totals::of(3, "text", usage))]).await;
    let usage = test.get("/v1/usage").await.json();
    let own = usage["limits"].as_array().expect("limits").iter().find(|limit| limit["most"] == 3).expect("its own");
    assert_eq!((&own["used"], &own["unit"], &own["every"]), (&json!(3), &json!("requests"), &json!("day")));
}

async fn concurrent(test: Test, dialect: Dialect) {
    let stream = dialect.streamed("up-openai/cut-after-3", &test.prompt());
    let first = test.open(dialect, &stream).await;
    let second = test.open(dialect, &stream).await;
    let request = dialect.request("up-openai/text", &test.prompt());
    let reply = test.ask(dialect, &request).await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert!(reply.header("x-tollgate-limit").is_some_and(|limit| limit.starts_with("few-")));
    // Who hangs up makes room.
    drop(first);
    let mut status = reply.status;
    for _ in 0..300 {
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        status = test.ask(dialect, &request).await.status;
    }
    assert_eq!(status, 200);
    drop(second);
}

async fn pool(test: Test, dialect: Dialect) {
    // Other hosts have told the same before.
    let before = test.upstream.exchanges("none").len();
    let tokens = Answer::of("text").usage.output;
    let request = dialect.bounded(dialect.request("up-openai/text", &test.prompt()), tokens);
    for _ in 0..2 {
        let reply = test.answer(dialect, &request).await;
        assert_eq!(reply.header("x-tollgate-target"), Some("up-openai/text"));
    }
    let usage = Provider::OpenaiChat.reports(Answer::of("text").usage);
    test.settles([("up-openai/text", Totals::of(2, "text", usage))]).await;
    let reply = test.ask(dialect, &request).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-tollgate-target"), Some("up-anthropic/cheap"));
    assert!(reply.header("x-tollgate-limit").is_some_and(|limit| limit.starts_with("pool-")));
    let line = test.log_line(reply.header("x-tollgate-id")).await;
    let limits = line["limits"].as_array().expect("limits");
    assert_eq!(limits.len(), 1);
    assert_eq!(test.answer(dialect, &request).await.header("x-tollgate-target"), Some("up-anthropic/cheap"));
    told_once(&test, &limits[0], before).await;
}

/// The webhook hears that a limit is reached, however many requests find it so.
async fn told_once(test: &Test, limit: &Value, before: usize) {
    let heard = || -> Vec<Value> {
        let hooks = test.upstream.exchanges("none").into_iter().skip(before).filter(|exchange| exchange.path == HOOK);
        let told = hooks.filter(|hook| hook.json()["data"]["limit"] == *limit).map(|hook| {
            let header = |name| hook.header(name).expect("webhooks are signed").to_owned();
            let mut mac = Hmac::<Sha256>::new_from_slice(TOKEN_SECRET.1.as_bytes()).expect("a key");
            mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
            mac.update(&hook.body);
            assert_eq!(header("webhook-signature"), format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
            (header("webhook-id"), hook.json())
        });
        // What was not answered in time comes again, by the same id.
        let told: BTreeMap<String, Value> = told.filter(|(_, told)| told["type"] == "limit.reached").collect();
        told.into_values().collect()
    };
    let deadline = Instant::now() + Duration::from_secs(15);
    while heard().is_empty() {
        assert!(Instant::now() < deadline, "nobody told of {limit}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let told = heard();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["data"]["share"], &told[0]["data"]["owner"]), (&json!(100), &json!(test.caller)));
}

async fn rate_at_once(test: Test, dialect: Dialect) {
    early_in_a_minute().await;
    let request = dialect.request("up-openai/text", &test.prompt());
    let replies = join_all((0..20).map(|_| test.ask(dialect, &request))).await;
    let (answered, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((answered.len(), refused.len()), (10, 10));
    refused.into_iter().for_each(|reply| refused_for_rate(dialect, reply));
    let usage = Provider::OpenaiChat.reports(Answer::of("text").usage);
    test.settles([("up-openai/text", Totals::of(10, "text", usage))]).await;
}

fn refused_for_rate(dialect: Dialect, reply: &Whole) {
    assert_eq!(reply.status, 429, "{}", reply.text());
    let problem = dialect.read_error(&reply.body);
    match dialect {
        Dialect::Anthropic => assert_eq!(problem.kind, "rate_limit_error"),
        _ => {
            assert_eq!((problem.kind.as_str(), problem.code.as_str()), ("requests", "rate_limit_exceeded"))
        }
    }
    assert_eq!(reply.header("x-tollgate-limit"), Some("requests-per-minute"));
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some("0"));
    assert!(reply.header("x-ratelimit-limit-requests").is_some());
    reset(reply);
    let wait: u64 = reply.header("retry-after").and_then(|wait| wait.parse().ok()).expect("retry-after in seconds");
    assert!((1..=60).contains(&wait), "{wait}");
}

fn reset(reply: &Whole) {
    let reset = reply.header("x-ratelimit-reset-requests").expect("a limited caller is told the reset");
    let seconds: f64 = reset.strip_suffix('s').and_then(|seconds| seconds.parse().ok()).expect("as in `12s`");
    assert!((0.0..=60.0).contains(&seconds), "{reset}");
}

/// Five replies of `cheap` fit into it, and not a sixth.
const CAP: &str = "0.0011";

async fn cap(test: Test, dialect: Dialect) {
    for count in 1..=5 {
        test.answer(dialect, &cheap(&test, dialect)).await;
        // Each reply is settled before the next is reserved.
        test.settles([("up-anthropic/cheap", Totals::of(count, "cheap", Answer::of("cheap").usage))]).await;
    }
    for dialect in [dialect, dialect.other()] {
        refused_for_spend(dialect, &test.ask(dialect, &cheap(&test, dialect)).await);
    }
    test.settles([("up-anthropic/cheap", Totals::of(5, "cheap", Answer::of("cheap").usage))]).await;
}

/// A cap that is looked at instead of reserved would let all of them through.
async fn cap_at_once(test: Test, dialect: Dialect) {
    let request = cheap(&test, dialect);
    let replies = join_all((0..12).map(|_| test.ask(dialect, &request))).await;
    let (answered, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((answered.len(), refused.len()), (5, 7));
    refused.into_iter().for_each(|reply| refused_for_spend(dialect, reply));
    test.settles([("up-anthropic/cheap", Totals::of(5, "cheap", Answer::of("cheap").usage))]).await;
    let usage = test.get("/v1/usage").await.json();
    let cap = &usage["limits"][0];
    assert_eq!((&cap["name"], &cap["most"]), (&json!("spend-cap"), &json!(1_100_000_000)));
    assert_eq!(cap["used"], usage["spend_picodollars"]);
}

/// Room for 437 replies of `cheap`, and not for one more.
const CROWD_CAP: &str = "0.0875";
const CROWD: (usize, usize) = (1000, 437);

/// As many as there is room for are answered, none besides, and what is counted is what they cost.
async fn crowd(test: Test) {
    let dialect = Dialect::OpenaiChat;
    let request = dialect.as_stream(cheap(&test, dialect));
    let replies = join_all((0..CROWD.0).map(|_| test.ask(dialect, &request))).await;
    let (answered, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((answered.len(), refused.len()), (CROWD.1, CROWD.0 - CROWD.1));
    refused.into_iter().for_each(|reply| refused_for_spend(dialect, reply));
    for reply in answered {
        assert_eq!(dialect.read_stream(&reply.body).text, Answer::of("cheap").whole_text());
    }
    let count = CROWD.1 as u64;
    test.settles([("up-anthropic/cheap", Totals::of(count, "cheap", Answer::of("cheap").usage))]).await;
}

async fn next_provider(test: Test) {
    let dialect = Dialect::OpenaiChat;
    let mut request = dialect.request("up-openai/text", &test.prompt());
    request["models"] = json!(["up-anthropic/text"]);
    for (target, is_full) in [("up-openai/text", false), ("up-anthropic/text", true), ("up-anthropic/text", true)] {
        let reply = test.answer(dialect, &request).await;
        assert_eq!(reply.header("x-tollgate-target"), Some(target));
        assert_eq!(reply.header("x-tollgate-limit").is_some_and(|limit| limit.starts_with("one-")), is_full);
    }
    let reply = test.ask(dialect, &dialect.request("up-openai/text", &test.prompt())).await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert!(reply.text().contains("all who are answered by up-openai may make 1 request"), "{}", reply.text());
    assert!(reply.header("retry-after").is_some() && test.upstream.exchanges(&test.marker).len() == 3);
}

/// Ten failures in a row, each of which might have cost as much as an answer.
async fn failures_are_free(test: Test, dialect: Dialect) {
    for provider in ["up-openai", "up-anthropic"].repeat(5) {
        let mut request = cheap(&test, dialect);
        request["model"] = format!("{provider}/status-500").into();
        assert_eq!(test.ask(dialect, &request).await.status, 500);
    }
    test.settles([]).await;
    test.answer(dialect, &cheap(&test, dialect)).await;
    test.settles([("up-anthropic/cheap", Totals::of(1, "cheap", Answer::of("cheap").usage))]).await;
}

fn cheap(test: &Test, dialect: Dialect) -> serde_json::Value {
    let mut request = dialect.request("up-anthropic/cheap", &test.prompt());
    request["max_tokens"] = Answer::of("cheap").usage.output.into();
    request
}

fn refused_for_spend(dialect: Dialect, reply: &Whole) {
    // As Claude Code knows it.
    let status = if dialect == Dialect::Anthropic { 429 } else { 402 };
    assert_eq!(reply.status, status, "{}", reply.text());
    assert!(reply.text().contains("it begins anew at 20"), "{}", reply.text());
    let problem = dialect.read_error(&reply.body);
    match dialect {
        Dialect::Anthropic => assert_eq!(problem.kind, "billing_error"),
        _ => {
            assert_eq!((problem.kind.as_str(), problem.code.as_str()), ("insufficient_quota", "insufficient_quota"));
        }
    }
    assert_eq!(reply.header("x-tollgate-limit"), Some("spend-cap"));
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    assert!(reply.header("retry-after").is_some());
}

/// Limits may count by the minute of the clock: what follows must not see one end.
async fn early_in_a_minute() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let second = now.as_secs() % 60;
    if second >= 50 {
        tokio::time::sleep(Duration::from_secs(60 - second)).await;
    }
}
