//! What changes while a host runs, and what outlives it: its configuration, by the means that its operator has, and what it
//! has learned of targets.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::caller::Dialect;
use crate::client;
use crate::host::{Kind, Setup};
use crate::suite::Suite;
use crate::test::{Test, attempts};

/// What is promised of Workers; the others are quicker.
const EFFECT: Duration = Duration::from_secs(60);
const DIALECT: Dialect = Dialect::OpenaiChat;

pub(crate) fn add(suite: &mut Suite) {
    suite.add("changes::a_configuration_takes_effect_without_a_restart", changed);
    suite.add("changes::a_file_that_is_being_written_is_not_taken", half_written).only_on(&[Kind::Native]);
    suite.add("changes::a_configuration_with_a_mistake_is_refused_and_the_last_good_one_goes_on", refused);
    suite
        .add("changes::who_starts_when_it_has_a_mistake_goes_on_with_the_last_good_one", last_good)
        .only_on(&[Kind::Workers, Kind::Spin]);
    suite.add("changes::a_target_that_was_closed_is_closed_to_who_starts_next", health);
    suite.add("changes::prices_are_refreshed_and_kept", prices).only_on(&[Kind::Native, Kind::Spin]);
}

async fn changed(mut test: Test) {
    let setup = start(&mut test).await;
    let before = version(&test).await;
    assert_eq!(ask(&test, "new-name").await, 404);
    test.kind.configure(&setup, &with_targets(&setup, "up-openai/text"));
    let deadline = Instant::now() + EFFECT;
    while ask(&test, "new-name").await != 200 {
        wait(deadline, "the new name is not known").await;
    }
    assert_ne!(version(&test).await, before);
}

/// Each piece of it has a meaning of its own, and none is as it was a second before.
async fn half_written(mut test: Test) {
    let setup = start(&mut test).await;
    let before = version(&test).await;
    let end = Instant::now() + Duration::from_secs(4);
    for piece in 0.. {
        if Instant::now() > end {
            break;
        }
        let mut half = with_targets(&setup, "up-openai/text");
        half["models"][format!("half-{piece}")] = json!({"targets": ["up-openai/text"]});
        half["models"].as_object_mut().expect("a table").remove("new-name");
        test.kind.configure(&setup, &half);
        sleep(Duration::from_millis(250)).await;
        assert_eq!(version(&test).await, before, "a half was taken");
    }
    test.kind.configure(&setup, &with_targets(&setup, "up-openai/text"));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(ask(&test, "new-name").await, 200);
    assert_ne!(version(&test).await, before);
}

async fn refused(mut test: Test) {
    let setup = start(&mut test).await;
    let before = version(&test).await;
    test.kind.configure(&setup, &with_targets(&setup, "up-openia/text"));
    let refusals = || -> Vec<Value> {
        let log = test.host.log();
        // wrangler puts signs of its own around errors.
        let first = |text: &str| serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok();
        let lines = log.iter().filter_map(|line| first(line.get(line.find('{')?..)?));
        lines.filter(|line| line["event"] == "configuration" && !line["refused"].is_null()).collect()
    };
    let deadline = Instant::now() + EFFECT;
    while refusals().is_empty() {
        assert_eq!(ask(&test, "up-openai/text").await, 200, "the last good one goes on");
        wait(deadline, "the log does not say why the bad one is refused").await;
    }
    for line in refusals() {
        assert_eq!(line["mistakes"], json!([MISTAKE]));
        // An instance that has just begun has none that could go on, until it has found the last good one.
        assert!(line["version"] == before || line["version"].is_null() && test.kind == Kind::Spin, "{line}");
    }
    assert_eq!((ask(&test, "up-openai/text").await, version(&test).await), (200, before));
}

async fn last_good(mut test: Test) {
    let good = with_targets(&test.setup, "up-openai/text");
    let setup = Setup { config: None, store: test.scratch.clone(), ..test.setup.clone() };
    std::fs::create_dir_all(&setup.store).expect("the build's own directory can be written");
    test.kind.configure(&setup, &good);
    test.start(&setup).await;
    assert_eq!(ask(&test, "new-name").await, 200);
    let before = version(&test).await;
    // It is kept behind the replies' back.
    sleep(Duration::from_secs(1)).await;
    test.host.kill();
    let mut bad = good;
    bad["models"]["new-name"]["targets"] = json!(["up-openia/text"]);
    test.kind.configure(&setup, &bad);
    test.start(&setup).await;
    assert_eq!((ask(&test, "new-name").await, version(&test).await), (200, before));
}

const MISTAKE: &str = "models.new-name.targets[0]: no provider \"up-openia\"; did you mean \"up-openai\"?";

/// A host of its own, whose configuration can be changed. On Spin it begins with the variable, and goes on with the key in
/// the store.
async fn start(test: &mut Test) -> Setup {
    let config_in_kv = test.kind == Kind::Workers;
    let setup = Setup { store: test.scratch.clone(), config_in_kv, ..test.setup.clone() };
    test.start(&setup).await;
    setup
}

fn with_targets(setup: &Setup, target: &str) -> Value {
    let mut config = setup.config.clone().expect("the suite has a configuration");
    config["models"]["new-name"] = json!({"targets": [target]});
    config
}

async fn health(mut test: Test) {
    let mut config = test.setup.config.clone().expect("the suite has a configuration");
    // Longer than any host takes to start.
    config["models"]["often-down"] =
        json!({"targets": ["dead-openai/text", "up-openai/text"], "policy": {"rest_after": 3, "rest_ms": 240_000}});
    let setup = Setup { config: Some(config), store: test.scratch.clone(), ..test.setup.clone() };
    test.start(&setup).await;
    let before: Vec<usize> = [asked(&test).await, asked(&test).await, asked(&test).await, asked(&test).await].into();
    assert_eq!(before, [2, 2, 2, 1], "three failures close a target");
    // What was learned is kept behind the replies' back.
    sleep(Duration::from_secs(3)).await;
    test.host.kill();

    test.start(&setup).await;
    // The first request of an instance is not kept waiting for what others know.
    version(&test).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(asked(&test).await, 1);
}

/// On Workers a cron asks for it, which a black box has not.
async fn prices(mut test: Test) {
    let mut config = test.setup.config.clone().expect("the suite has a configuration");
    let url = format!("http://{}/files/{}/prices.json", test.upstream.address, test.marker);
    config["catalog"] = json!({"refresh_url": url});
    let setup = Setup { config: Some(config), store: test.scratch.clone(), ..test.setup.clone() };
    test.start(&setup).await;
    let deadline = Instant::now() + EFFECT;
    let refreshed = loop {
        let version = version(&test).await;
        if version.contains('+') {
            break version;
        }
        wait(deadline, "the prices are not refreshed").await;
    };
    // They are kept, and are there again after a start.
    test.host.kill();
    test.start(&setup).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(version(&test).await, refreshed);
}

/// How many targets it takes until one answers.
async fn asked(test: &Test) -> usize {
    let reply = test.answer(DIALECT, &DIALECT.request("often-down", &test.prompt())).await;
    attempts(reply.header("x-tollgate-attempts")).len()
}

async fn ask(test: &Test, model: &str) -> u16 {
    test.ask(DIALECT, &DIALECT.request(model, &test.prompt())).await.status
}

async fn version(test: &Test) -> String {
    let health = client::send(test.host.address, "GET", "/health", &[], "").await.whole().await.json();
    assert_eq!(health["status"], "ok");
    health["configuration"].as_str().expect("the version of the configuration").to_owned()
}

async fn wait(deadline: Instant, what: &str) {
    assert!(Instant::now() < deadline, "{what} in {EFFECT:?}");
    // Long enough for an instance on Spin to end, which lives for a second without a request.
    sleep(Duration::from_millis(1_200)).await;
}
