//! A stream that breaks off after content, and that another target goes on with: the caller sees one.

use crate::PATIENCE;
use crate::answer::Answer;
use crate::caller::Dialect;
use crate::client::Reply;
use crate::suite::Suite;
use crate::test::{Test, attempts};
use crate::upstream::{Outcome, Provider};

/// Caller; who breaks off, and how; who goes on.
const CASES: [(Dialect, Provider, &str, Provider); 6] = [
    (Dialect::OpenaiChat, Provider::OpenaiChat, "reset-after-3", Provider::Anthropic),
    (Dialect::Anthropic, Provider::Anthropic, "error-event-mid", Provider::OpenaiChat),
    (Dialect::OpenaiResponses, Provider::Gemini, "cut-after-3", Provider::OpenaiResponses),
    (Dialect::Gemini, Provider::BedrockConverse, "error-event-mid", Provider::Ollama),
    (Dialect::OpenaiChat, Provider::Anthropic, "silent-end", Provider::Gemini),
    (Dialect::Anthropic, Provider::OpenaiChat, "idle", Provider::Anthropic),
];

pub(crate) fn add(suite: &mut Suite) {
    for (caller, first, model, next) in CASES {
        let targets = [first.target(model), next.target("text")];
        let alias = format!("splice-{}-{}-{model}", caller.name(), first.id());
        if model == "idle" {
            suite.hasty_alias(&alias, &targets);
        } else {
            suite.alias(&alias, &targets);
        }
        suite.splice(&alias);
        let about = format!("splice::{}::{model}_at_{}", caller.name(), first.name());
        let name = format!("{about}::{}_goes_on_and_the_caller_sees_one_stream", next.name());
        suite.add(&name, move |test| goes_on(test, caller, alias.clone(), targets.clone()));
    }
    for caller in Dialect::BOTH {
        let targets = [caller.own().target("reset-after-3"), caller.other().own().target("idle")];
        let alias = format!("splice-left-{}", caller.name());
        suite.alias(&alias, &targets);
        suite.splice(&alias);
        let name = format!("splice::{}::a_caller_who_leaves_who_goes_on_is_settled_once", caller.name());
        suite.add(&name, move |test| leaves(test, caller, alias.clone(), targets.clone()));
    }
}

async fn open(test: &Test, caller: Dialect, alias: &str) -> Reply {
    let reply = test.open_to_reset(caller, &caller.streamed(alias, &test.prompt())).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-tollgate-splice"), Some("on"));
    reply
}

/// Who goes on begins anew, as many models do; the caller is told every word once.
async fn goes_on(test: Test, caller: Dialect, alias: String, [first, next]: [String; 2]) {
    let mut reply = open(&test, caller, &alias).await;
    assert_eq!(attempts(reply.header("x-tollgate-attempts")), [(first.clone(), "200".to_owned())]);
    let begun = reply.read_until("京").await;
    test.upstream.permit(&test.marker);
    let whole = reply.whole_after(begun).await;
    let reading = caller.read_stream(&whole.body);
    assert_eq!(reading.text, Answer::of("text").text.concat());
    let remark = format!(": tollgate: {first} broke off; {next} goes on\n\n");
    assert_eq!(whole.text().contains(&remark), caller != Dialect::Gemini, "{}", whole.text());
    let totals = test.settled_totals().await;
    assert_eq!(totals.keys().collect::<Vec<_>>(), sorted([&first, &next]));
    let (cut, complete) = (&totals[&first], &totals[&next]);
    assert_eq!((cut.requests, cut.cut, complete.requests, complete.cut), (1, 1, 1, 0));
    if let Some(usage) = reading.usage {
        let output = cut.usage.output + complete.usage.output;
        assert_eq!((usage.output, usage.input), (output, cut.usage.input + complete.usage.input), "the sum is told");
    }
    let line = test.log_line(whole.header("x-tollgate-id")).await;
    let outcomes: Vec<_> =
        line["attempts"].as_array().into_iter().flatten().map(|one| one["outcome"].clone()).collect();
    assert_eq!((&line["end"], outcomes), (&"complete".into(), vec!["cut".into(), "200".into()]), "{line}");
    assert_eq!(line["parts"].as_array().map(Vec::len), Some(2), "{line}");
}

async fn leaves(test: Test, caller: Dialect, alias: String, [first, next]: [String; 2]) {
    let mut reply = open(&test, caller, &alias).await;
    let id = reply.header("x-tollgate-id").map(str::to_owned);
    reply.read_until("京").await;
    test.upstream.permit(&test.marker);
    reply.read_until("goes on").await;
    drop(reply);
    let last = test.upstream.exchanges(&test.marker).pop().expect("somebody goes on");
    let outcome = last.outcome(PATIENCE).await;
    assert!(matches!(outcome, Some(Outcome::ClosedByGateway)), "the upstream goes on: {outcome:?}");
    let totals = test.settled_totals().await;
    assert_eq!(totals.keys().collect::<Vec<_>>(), sorted([&first, &next]));
    assert!(totals.values().all(|row| (row.requests, row.cut) == (1, 1)), "{totals:?}");
    let line = test.log_line(id.as_deref()).await;
    assert_eq!(line["end"], "hangup", "{line}");
}

fn sorted<T: Ord, const N: usize>(mut all: [T; N]) -> [T; N] {
    all.sort();
    all
}
