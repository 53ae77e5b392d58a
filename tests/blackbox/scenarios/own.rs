//! Callers' own keys: shown to their providers in place of the gateway's, and told nowhere.

use serde_json::{Value, json};

use super::{Pair, add_each, add_pairs};
use crate::caller::Dialect;
use crate::client::{self, Whole};
use crate::suite::Suite;
use crate::test::{Test, attempts};
use crate::upstream::{Exchange, Provider};

const BRINGS: &str = "x-tollgate-provider-key";
const ONLY: (&str, &str) = ("x-tollgate-own-keys-only", "true");

pub(crate) fn add(suite: &mut Suite) {
    let own = [Provider::OpenaiChat, Provider::Anthropic, Provider::OpenaiResponses, Provider::Gemini];
    let pairs = Dialect::ALL.into_iter().zip(own).map(|(caller, upstream)| Pair { caller, upstream });
    add_each(suite, pairs, "own", "a_key_that_a_request_brings_is_shown_and_told_nowhere", brought);
    add_pairs(suite, "own", "one_that_is_not_taken_gives_way_to_the_gateways_unless_no_other_may_be_used", refused);
    let passed = "own::a_subscription_is_passed_through_beside_the_gateways_key_and_to_its_provider_alone";
    suite.add(passed, passed_through);
    suite.add("own::what_a_caller_pays_himself_is_not_the_gateways_to_spend", paid).spend_cap_usd("0.000001");
}

/// By a header and by the body, whole and streamed.
async fn brought(test: Test, pair: Pair) {
    let (provider, key) = (pair.upstream.id(), pair.upstream.own_key());
    let header = format!("{provider}={key}");
    for (number, (streams, by_header)) in
        [(false, true), (true, true), (false, false), (true, false)].into_iter().enumerate()
    {
        let request = if streams { Dialect::streamed } else { Dialect::request };
        let mut request = request(pair.caller, &pair.target("text"), &test.prompt());
        let mut headers = vec![ONLY];
        if by_header {
            headers.push((BRINGS, &header));
        } else {
            request["providerOptions"]["gateway"]["byok"][provider] = json!([{"apiKey": key}]);
        }
        let reply = test.ask_with(pair.caller, &request, &headers).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let tried = attempts(reply.header("x-tollgate-attempts"));
        assert_eq!(tried, [(format!("{}#own", pair.target("text")), "200".to_owned())]);
        let exchanges = test.upstream.exchanges(&test.marker);
        assert_eq!(exchanges.len(), number + 1);
        assert!(shows(&exchanges[number], &key), "{:?}", exchanges[number].headers);
        let body = String::from_utf8_lossy(&exchanges[number].body);
        assert!(!body.contains("byok") && !body.contains(&key), "{body}");
        let line = test.log_line(reply.header("x-tollgate-id")).await;
        assert_eq!((&line["own_key"], &line["attempts"][0]["own_key"]), (&json!(true), &json!(true)));
        tells_nothing(&test, &reply, &key);
    }
}

fn shows(exchange: &Exchange, key: &str) -> bool {
    exchange.headers.iter().any(|(_, value)| value.ends_with(key))
}

fn tells_nothing(test: &Test, reply: &Whole, key: &str) {
    let log = test.host.log();
    assert!(!log.iter().any(|line| line.contains(key)), "the log has {key}");
    assert!(!reply.text().contains(key), "{}", reply.text());
}

async fn refused(test: Test, pair: Pair) {
    let key = format!("bad-{}", test.marker);
    let header = format!("{}={key}", pair.upstream.id());
    let request = pair.caller.request(&pair.target("text"), &test.prompt());
    let reply = test.ask_with(pair.caller, &request, &[(BRINGS, &header)]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let target = pair.target("text");
    let tried = attempts(reply.header("x-tollgate-attempts"));
    assert_eq!(tried, [(format!("{target}#own"), "401".to_owned()), (target.clone(), "200".to_owned())]);
    tells_nothing(&test, &reply, &key);
    let reply = test.ask_with(pair.caller, &request, &[(BRINGS, &header), ONLY]).await;
    assert_eq!(reply.status, 401, "{}", reply.text());
    tells_nothing(&test, &reply, &key);
    let reply = test.ask_with(pair.caller, &request, &[ONLY]).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    let message = pair.caller.read_error(&reply.body).message;
    assert!(message.contains("no key of the caller's own"), "{message}");
    let shown: Vec<bool> = test.upstream.exchanges(&test.marker).iter().map(|one| shows(one, &key)).collect();
    assert_eq!(shown, [true, false, true]);
}

async fn passed_through(test: Test) {
    let (caller, key) = (Dialect::Anthropic, Provider::Anthropic.own_key());
    let ask = |model: &str, more: &[(&'static str, String)]| {
        let (path, body) = caller.sent(&caller.request(model, &test.prompt()));
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("anthropic-version", "2023-06-01".to_owned()),
            ("anthropic-beta", "oauth-2025-04-20".to_owned()),
            ("authorization", format!("Bearer {key}")),
        ];
        headers.extend_from_slice(more);
        let address = test.host.address;
        async move { client::send(address, "POST", &path, &headers, body).await.whole().await }
    };
    let gateways = [("x-tollgate-key", test.key.clone())];
    let reply = ask("up-anthropic/text", &gateways).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let exchange = test.exchange();
    assert_eq!(exchange.header("authorization"), Some(format!("Bearer {key}").as_str()));
    assert_eq!((exchange.header("x-api-key"), exchange.header("x-tollgate-key")), (None, None));
    assert_eq!(exchange.header("anthropic-beta"), Some("oauth-2025-04-20"));
    tells_nothing(&test, &reply, &key);
    // The same dialect elsewhere, and another.
    for model in ["up-anthropic-v1/text", "up-openai/text"] {
        let reply = ask(model, &gateways).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let shown: Vec<bool> = test.upstream.exchanges(&test.marker).iter().map(|one| shows(one, &key)).collect();
    assert_eq!(shown, [true, false, false]);
    assert_eq!(ask("up-anthropic/text", &[]).await.status, 401, "it is no key of the gateway");
    assert_eq!(ask("up-anthropic/text", &[("x-tollgate-key", "wrong".to_owned())]).await.status, 401);
}

async fn paid(test: Test) {
    let dialect = Dialect::OpenaiChat;
    let request = dialect.request("up-openai/text", &test.prompt());
    let header = format!("{}={}", Provider::OpenaiChat.id(), Provider::OpenaiChat.own_key());
    assert_eq!(test.ask(dialect, &request).await.status, 402);
    let reply = test.ask_with(dialect, &request, &[(BRINGS, &header)]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let line = test.log_line(reply.header("x-tollgate-id")).await;
    let cost = line["cost_picodollars"].as_u64().expect("a price");
    assert_eq!(line["own_cost_picodollars"].as_u64(), Some(cost));
    let totals = test.settled_by(|usage| usage["days"][0]["own_cost_picodollars"].as_u64() == Some(cost)).await;
    assert_eq!((&totals["spend_picodollars"], &totals["days"][0]["cost_picodollars"]), (&json!(0), &json!(cost)));
    let key: Value = test.get("/v1/key").await.json();
    assert_eq!((&key["data"]["usage"], &key["data"]["byok_usage"]), (&json!(0), &json!(cost as f64 / 1e12)), "{key}");
}
