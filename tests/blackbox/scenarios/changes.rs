//! What changes while a host runs: its configuration, by the means that its operator has.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::caller::Dialect;
use crate::client;
use crate::host::{Kind, Setup};
use crate::suite::Suite;
use crate::test::Test;

/// What is promised of Workers; the others are quicker.
const EFFECT: Duration = Duration::from_secs(60);
const DIALECT: Dialect = Dialect::OpenaiChat;

pub(crate) fn add(suite: &mut Suite) {
    suite.add("changes::a_configuration_takes_effect_without_a_restart_and_a_bad_one_is_refused", configuration);
}

async fn configuration(mut test: Test) {
    // On Spin it begins with the variable, and goes on with the key in the store.
    let config_in_kv = test.kind == Kind::Workers;
    let setup = Setup { store: test.scratch.clone(), config_in_kv, ..test.setup.clone() };
    test.start(&setup).await;
    let first = version(&test).await;
    assert_eq!(ask(&test, "new-name").await, 404);

    let mut config = setup.config.clone().expect("the suite has a configuration");
    config["models"]["new-name"] = json!({"targets": ["up-openai/text"]});
    test.kind.configure(&setup, &config);
    let deadline = Instant::now() + EFFECT;
    while ask(&test, "new-name").await != 200 {
        wait(deadline, "the new name is not known").await;
    }
    let second = version(&test).await;
    assert_ne!(first, second);

    let mut bad = config.clone();
    bad["models"]["new-name"] = json!({"targets": ["up-openia/text"]});
    test.kind.configure(&setup, &bad);
    let refusals = || -> Vec<Value> {
        let log = test.host.log();
        let lines = log.iter().filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok());
        lines.filter(|line| line["event"] == "configuration" && !line["refused"].is_null()).collect()
    };
    let deadline = Instant::now() + EFFECT;
    while refusals().is_empty() {
        assert_eq!(ask(&test, "new-name").await, 200, "the last good one goes on");
        wait(deadline, "the log does not say why the bad one is refused").await;
    }
    let mistake = "models.new-name.targets[0]: no provider \"up-openia\"; did you mean \"up-openai\"?";
    for line in refusals() {
        assert_eq!(line["mistakes"], json!([mistake]));
        // An instance that has just begun has none that could go on, until it has found the last good one.
        assert!(line["version"] == second || line["version"].is_null() && test.kind == Kind::Spin, "{line}");
    }
    assert_eq!(version(&test).await, second);
    if test.kind == Kind::Native {
        return;
    }

    // What starts anew finds the bad one, and goes on with the last good one.
    test.host.kill();
    test.start(&Setup { config: None, ..setup }).await;
    assert_eq!(ask(&test, "new-name").await, 200);
    assert_eq!(version(&test).await, second);
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
