//! The rest of what a caller sees: models, health, the built-in echo, other spellings of the paths, and who is
//! shown which key.

use serde_json::{Value, json};

use super::{Pair, add_callers, add_each};
use crate::answer::{Answer, Usage};
use crate::caller::Dialect;
use crate::client;
use crate::suite::{BY_SECRET, Suite};
use crate::test::{Test, Totals};
use crate::upstream::{Provider, sigv4};

pub(crate) fn add(suite: &mut Suite) {
    suite.add("surface::health_needs_no_key", |test| async move {
        let reply = client::send(test.host.address, "GET", "/health", &[], "").await.whole().await;
        let health = reply.json();
        assert_eq!((reply.status, &health["status"]), (200, &json!("ok")));
        assert!(health["configuration"].as_str().is_some_and(|version| !version.is_empty()), "{health}");
    });
    suite.add("surface::the_root_says_what_this_is_without_a_key", |test| async move {
        let reply = client::send(test.host.address, "GET", "/", &[], "").await.whole().await;
        assert_eq!(reply.status, 200);
        assert!(reply.text().to_lowercase().contains("tollgate"), "{}", reply.text());
    });
    suite.add("surface::models_are_listed_as_openai_does", openai_models);
    suite.add("surface::models_are_listed_as_anthropic_does_for_its_clients", anthropic_models);
    suite.add("surface::models_need_a_key", |test| async move {
        let reply = client::send(test.host.address, "GET", "/v1/models", &[], "").await.whole().await;
        assert_eq!(reply.status, 401, "{}", reply.text());
    });
    suite.add("surface::usage_needs_a_key", |test| async move {
        let reply = client::send(test.host.address, "GET", "/v1/usage", &[], "").await.whole().await;
        assert_eq!(reply.status, 401, "{}", reply.text());
    });
    add_callers(suite, "surface", "echo_repeats_the_last_user_text", echo);
    for path in ["/v1/v1", "", "/v1"] {
        let spelled = if path.is_empty() { "bare" } else { path };
        add_callers(
            suite,
            "surface",
            &format!("the_path_may_be_spelled::{spelled}"),
            move |test, dialect| async move {
                let path = format!("{path}{}?beta=true", dialect.path().trim_start_matches("/v1"));
                let body = dialect.request("up-openai/text", &test.prompt()).to_string();
                let reply = client::send(test.host.address, "POST", &path, &dialect.headers(&test.key), body)
                    .await
                    .whole()
                    .await;
                assert_eq!(reply.status, 200, "{}", reply.text());
                Pair { caller: dialect, upstream: Provider::OpenaiChat }
                    .check(&dialect.read_whole(&reply.body), &Answer::of("text"));
            },
        );
    }
    add_each(suite, Pair::each_once(), "surface", "each_key_goes_only_where_it_belongs", keys);
    suite.add("surface::a_base_url_may_end_in_v1_for_anthropic_too", |test| async move {
        let dialect = Dialect::Anthropic;
        let reply = test.answer(dialect, &dialect.request("up-anthropic-v1/text", &test.prompt())).await;
        assert_eq!(dialect.read_whole(&reply.body).text, Answer::of("text").whole_text());
    });
    suite.add("surface::a_callers_key_may_be_a_secret_in_either_header", by_secret);
}

async fn openai_models(test: Test) {
    for path in ["/v1/models", "/models"] {
        let list = test.get(path).await.json();
        assert_eq!(list["object"], "list");
        let models = list["data"].as_array().expect("data is a list");
        assert!(
            models
                .iter()
                .all(|model| model["object"] == "model" && model["created"].is_u64() && model["owned_by"].is_string())
        );
        known(models);
    }
}

async fn anthropic_models(test: Test) {
    let headers = Dialect::Anthropic.headers(&test.key);
    let reply = client::send(test.host.address, "GET", "/v1/models?limit=1000", &headers, "").await.whole().await;
    let list = reply.json();
    let models = list["data"].as_array().expect("data is a list");
    assert!(
        models.iter().all(|model| model["type"] == "model"
            && model["display_name"].is_string()
            && model["created_at"].is_string())
    );
    known(models);
    assert_eq!(list["has_more"], false);
    assert_eq!((&list["first_id"], &list["last_id"]), (&models[0]["id"], &models[models.len() - 1]["id"]));
}

fn known(models: &[Value]) {
    for id in ["up-openai/text", "up-openai/tools", "up-anthropic/thinking", "all-dead", "tollgate/echo"] {
        assert_eq!(models.iter().filter(|model| model["id"] == id).count(), 1, "{id} in {models:?}");
    }
}

async fn echo(test: Test, dialect: Dialect) {
    let mut request = dialect.request("tollgate/echo", "");
    let prompt = format!("{} Grüße aus 東京 🙂 \"\\\n", test.prompt());
    request["messages"] = json!([
        {"role": "user", "content": "Not this."},
        {"role": "assistant", "content": "Nor this."},
        {"role": "user", "content": prompt},
    ]);
    let whole = test.answer(dialect, &request).await;
    let stream = test.answer(dialect, &dialect.as_stream(request)).await;
    assert_eq!(whole.header("x-tollgate-cost"), Some("0"));
    for reading in [dialect.read_whole(&whole.body), dialect.read_stream(&stream.body)] {
        assert_eq!(reading.text, prompt);
        assert_eq!(reading.stop, dialect.stop(dialect.own(), Answer::of("text").stop));
    }
    let totals = test.settled_totals().await;
    let row = totals["tollgate/echo"];
    assert_eq!((totals.len(), row.requests, row.cost, row.unpriced, row.cut), (1, 2, 0, 0, 0));
    assert!(row.usage.input > 0 && row.usage.output > 0, "{row:?}");
}

async fn keys(test: Test, pair: Pair) {
    let reply = test.answer(pair.caller, &pair.caller.request(&pair.target("text"), &test.prompt())).await;
    let exchange = test.exchange();
    let presented = |key: &str| exchange.headers.iter().filter(|(_, value)| value.contains(key)).count();
    let own = pair.upstream.key();
    assert!(own.is_none_or(|own| presented(own) == 1), "{:?}", exchange.headers);
    let mut secrets: Vec<&str> = Provider::ALL.into_iter().filter_map(Provider::key).collect();
    secrets.retain(|key| Some(*key) != own);
    secrets.extend([test.key.as_str(), sigv4::SECRET_KEY]);
    for secret in secrets {
        assert_eq!(presented(secret), 0, "{:?}", exchange.headers);
        assert!(!exchange.path.contains(secret), "{}", exchange.path);
    }
    assert_eq!(exchange.header("anthropic-version").is_some(), pair.upstream == Provider::Anthropic);
    assert!(own.is_none_or(|own| !reply.text().contains(own)));
}

async fn by_secret(mut test: Test) {
    (test.caller, test.key) = ("by-secret".to_owned(), BY_SECRET.1.to_owned());
    let target = "up-openai/cheap";
    let body = Dialect::Anthropic.request(target, &test.prompt()).to_string();
    for (name, value) in [("authorization", format!("Bearer {}", test.key)), ("x-api-key", test.key.clone())] {
        let headers = [(name, value), ("content-type", "application/json".to_owned())];
        let reply = client::send(test.host.address, "POST", "/v1/messages", &headers, body.clone()).await.whole().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let usage: Usage = Answer::of("cheap").usage;
    test.settles([(target, Totals::of(2, "cheap", usage))]).await;
}
