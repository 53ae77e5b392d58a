//! Routing: who is asked first, who is left out, and what a failing or slow target costs, on real hosts. Every case of it
//! stands in `tests/scenarios/routing.txt` and `resilience.txt`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::add_callers;
use crate::PATIENCE;
use crate::answer::Answer;
use crate::caller::Dialect;
use crate::client::Whole;
use crate::host::Kind;
use crate::suite::Suite;
use crate::test::{Test, Totals, attempts};
use crate::upstream::{Outcome, Provider};

const FIRST: &str = "up-openai/text";
const SECOND: &str = "up-anthropic/text";

pub(crate) fn add(suite: &mut Suite) {
    let both = [FIRST, SECOND].map(str::to_owned);
    suite.alias("route-two", &both);
    add_callers(suite, "routing", "wishes_in_the_body_are_followed_and_reach_no_upstream", in_the_body);
    add_callers(suite, "routing", "wishes_in_headers_are_followed_and_count_more", in_headers);
    add_callers(suite, "routing", "where_nobody_is_left_the_caller_is_told_why", nobody_left);
    add_callers(suite, "routing", "models_named_behind_the_first_are_asked_then", models_behind);

    suite.alias("route-priced", &["up-openai/text", "up-openai/cheap"].map(str::to_owned));
    add_callers(suite, "routing", "the_cheapest_goes_first_where_that_is_wished", cheapest);

    suite.rule(json!({"when": {"headers": {"x-env": "prod"}}, "deny": "evaluations do not go to production"}));
    suite.rule(json!({"when": {"model": "route-split"}, "split": {"route-half": 1, "route-other-half": 1}}));
    suite.alias("route-half", &both[..1]);
    suite.alias("route-other-half", &both[1..]);
    add_callers(suite, "routing", "a_rule_divides_requests_by_chance", divided);
    add_callers(suite, "routing", "a_rule_denies_and_nothing_is_counted", denied);

    suite.policed_alias(
        "route-sticky",
        &[FIRST, SECOND, "up-responses/text"].map(str::to_owned),
        json!({"order": "weighted", "sticky": "conversation"}),
    );
    add_callers(suite, "routing", "a_session_keeps_to_its_target", sticky);

    let slow = ["up-openai/slow-first-byte", SECOND].map(str::to_owned);
    suite.policed_alias("route-hedged", &slow, json!({"hedge_ms": 200}));
    add_callers(suite, "routing", "a_second_target_answers_while_the_first_hangs_and_that_is_cancelled", hedged);

    let failing = ["up-openai/status-503", SECOND].map(str::to_owned);
    suite.policed_alias("route-again", &failing, json!({"retries": 1, "retry_ms": 100}));
    add_callers(suite, "routing", "a_failing_target_is_asked_again_before_the_next", again);

    for caller in Dialect::BOTH {
        let model = format!("up-openai/status-500-{}", caller.name());
        let alias: &'static str = format!("route-breaker-{}", caller.name()).leak();
        let policy = json!({"rest_after": 2, "rest_ms": 60_000});
        suite.policed_alias(alias, &[model.clone(), SECOND.to_owned()], policy);
        let name = format!("routing::{}::a_target_that_fails_in_a_row_is_not_asked", caller.name());
        let model: &'static str = model.leak();
        // On Spin any request may meet another instance, which has learned nothing yet.
        suite.add(&name, move |test| breaker(test, caller, alias, model)).only_on(&[Kind::Native, Kind::Workers]);
    }
}

fn asked(reply: &Whole) -> Vec<(String, String)> {
    attempts(reply.header("x-tollgate-attempts"))
}

fn answered(targets: &[(&str, &str)]) -> Vec<(String, String)> {
    targets.iter().map(|(target, outcome)| ((*target).to_owned(), (*outcome).to_owned())).collect()
}

fn with(mut request: Value, field: &str, value: Value) -> Value {
    request[field] = value;
    request
}

async fn in_the_body(test: Test, caller: Dialect) {
    for (wish, target) in [
        (json!({"order": ["up-anthropic"]}), SECOND),
        (json!({"only": ["up-anthropic"]}), SECOND),
        (json!({"ignore": ["up-anthropic"]}), FIRST),
    ] {
        for request in [caller.request("route-two", &test.prompt()), caller.streamed("route-two", &test.prompt())] {
            let reply = test.answer(caller, &with(request, "provider", wish.clone())).await;
            assert_eq!(asked(&reply), answered(&[(target, "200")]), "{wish}");
            assert_eq!(reply.header("x-tollgate-lost"), None);
        }
    }
    let exchanges = test.upstream.exchanges(&test.marker);
    assert_eq!(exchanges.len(), 6);
    for exchange in exchanges {
        assert_eq!(exchange.json().get("provider"), None, "the wish went along");
    }
}

async fn in_headers(test: Test, caller: Dialect) {
    let request = caller.request("route-two", &test.prompt());
    for (header, target) in [
        (("x-tollgate-order", "up-anthropic"), SECOND),
        (("x-tollgate-only", "up-anthropic"), SECOND),
        (("x-tollgate-ignore", "up-openai"), SECOND),
        (("x-tollgate-no-fallback", "true"), FIRST),
    ] {
        let reply = test.ask_with(caller, &request, &[header]).await;
        assert_eq!((reply.status, asked(&reply)), (200, answered(&[(target, "200")])), "{header:?}");
    }
    let body = with(request, "provider", json!({"order": ["up-openai"]}));
    let reply = test.ask_with(caller, &body, &[("x-tollgate-order", "up-anthropic")]).await;
    assert_eq!(asked(&reply), answered(&[(SECOND, "200")]));
}

async fn nobody_left(test: Test, caller: Dialect) {
    let request = with(caller.request("route-two", &test.prompt()), "provider", json!({"only": ["nobody"]}));
    let reply = test.ask(caller, &request).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    let problem = caller.read_error(&reply.body);
    assert_eq!(problem.kind, caller.invalid());
    for target in [FIRST, SECOND] {
        let why = format!("{target} is not among the providers that may be asked");
        assert!(problem.message.contains(&why), "{}", problem.message);
    }
    assert!(test.upstream.exchanges(&test.marker).is_empty());
    test.settles([]).await;
}

async fn models_behind(test: Test, caller: Dialect) {
    let failing = "up-openai/status-503";
    let request = with(caller.request(failing, &test.prompt()), "models", json!([failing, SECOND]));
    let reply = test.answer(caller, &request).await;
    assert_eq!(asked(&reply), answered(&[(failing, "503"), (SECOND, "200")]));
    assert_eq!(reply.header("x-tollgate-target"), Some(SECOND));
    let request = with(caller.request(FIRST, &test.prompt()), "models", json!(["route-tow"]));
    let reply = test.ask(caller, &request).await;
    let message = caller.read_error(&reply.body).message;
    assert_eq!(reply.status, 404, "{message}");
    assert_eq!(message, "models[0]: there is no model \"route-tow\"; did you mean \"route-two\"?");
}

async fn cheapest(test: Test, caller: Dialect) {
    let request = caller.request("route-priced", &test.prompt());
    let plain = test.answer(caller, &request).await;
    assert_eq!(plain.header("x-tollgate-target"), Some("up-openai/text"));
    for (request, headers) in [
        (with(request.clone(), "provider", json!({"sort": "price"})), &[][..]),
        (request, &[("x-tollgate-sort", "price")]),
        (caller.request("route-priced:floor", &test.prompt()), &[]),
    ] {
        let reply = test.ask_with(caller, &request, headers).await;
        assert_eq!((reply.status, asked(&reply)), (200, answered(&[("up-openai/cheap", "200")])));
    }
}

/// By chance one of the halves gets nothing of thirty once in half a billion times.
async fn divided(test: Test, caller: Dialect) {
    let mut targets = BTreeSet::new();
    for _ in 0..30 {
        let reply = test.answer(caller, &caller.request("route-split", &test.prompt())).await;
        targets.insert(reply.header("x-tollgate-target").map(str::to_owned));
    }
    assert_eq!(targets, [SECOND, FIRST].map(|target| Some(target.to_owned())).into());
}

async fn denied(test: Test, caller: Dialect) {
    for request in [caller.request("route-two", &test.prompt()), caller.streamed("route-two", &test.prompt())] {
        let reply = test.ask_with(caller, &request, &[("x-env", "prod")]).await;
        assert_eq!(reply.status, 403, "{}", reply.text());
        assert_eq!(caller.read_error(&reply.body).message, "evaluations do not go to production");
    }
    assert!(test.upstream.exchanges(&test.marker).is_empty());
    test.settles([]).await;
}

async fn sticky(test: Test, caller: Dialect) {
    let mut targets = BTreeSet::new();
    for session in 0..12 {
        let name = format!("{}-{session}", test.marker);
        let headers = [("x-session-id", name.as_str())];
        let mut of_session = BTreeSet::new();
        for _ in 0..3 {
            let reply = test.ask_with(caller, &caller.request("route-sticky", &test.prompt()), &headers).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            of_session.insert(reply.header("x-tollgate-target").map(str::to_owned));
        }
        assert_eq!(of_session.len(), 1, "{of_session:?}");
        targets.append(&mut of_session);
    }
    assert!(targets.len() > 1, "all sessions keep to {targets:?}");
}

async fn hedged(test: Test, caller: Dialect) {
    let answer = Answer::of("text");
    let began = Instant::now();
    let reply = test.answer(caller, &caller.streamed("route-hedged", &test.prompt())).await;
    assert!(began.elapsed() < Duration::from_secs(10), "the first was waited for: {:?}", began.elapsed());
    assert_eq!(caller.read_stream(&reply.body).text, answer.whole_text());
    assert_eq!(asked(&reply), answered(&[(SECOND, "200"), ("up-openai/slow-first-byte", "outrun")]));
    let exchanges = test.upstream.exchanges(&test.marker);
    let slow = exchanges.iter().find(|exchange| exchange.json()["model"] == "slow-first-byte");
    let outcome = slow.expect("it was asked first").outcome(PATIENCE).await;
    assert!(matches!(outcome, Some(Outcome::ClosedByGateway)), "the upstream goes on: {outcome:?}");
    // The slow one's provider bills what it has read too, but its price is not known.
    let usage = Provider::Anthropic.reports(answer.usage);
    test.settles([(SECOND, Totals::of(1, "text", usage))]).await;
}

async fn again(test: Test, caller: Dialect) {
    let reply = test.answer(caller, &caller.request("route-again", &test.prompt())).await;
    let failing = "up-openai/status-503";
    assert_eq!(asked(&reply), answered(&[(failing, "503"), (failing, "503"), (SECOND, "200")]));
    assert_eq!(test.upstream.exchanges(&test.marker).len(), 3);
}

async fn breaker(test: Test, caller: Dialect, alias: &str, failing: &str) {
    for _ in 0..2 {
        let reply = test.answer(caller, &caller.request(alias, &test.prompt())).await;
        assert_eq!(asked(&reply), answered(&[(failing, "500"), (SECOND, "200")]));
    }
    for _ in 0..3 {
        let reply = test.answer(caller, &caller.request(alias, &test.prompt())).await;
        assert_eq!(asked(&reply), answered(&[(SECOND, "200")]));
    }
    assert_eq!(test.upstream.exchanges(&test.marker).len(), 2 + 2 + 3);
}
