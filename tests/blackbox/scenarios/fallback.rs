//! Fallback: what makes the gateway go on to the next target, what does not, and what the caller is told when
//! no target is left.

use std::time::{Duration, Instant};

use super::{Pair, add_callers};
use crate::answer::Answer;
use crate::caller::Dialect;
use crate::suite::Suite;
use crate::test::{Test, Totals, attempts};
use crate::upstream::Provider;
use crate::upstream::script::FAILURE;

/// Model of the first target, the outcome of its attempt, and whether it can only happen to a stream.
const FALLS: [(&str, &str, bool); 16] = [
    ("dead", "unreachable", false),
    ("slow-first-byte", "timeout", false),
    ("slow-content", "timeout", true),
    // What another provider may know, or have room for.
    ("status-404", "404", false),
    ("status-413", "413", false),
    ("status-408", "408", false),
    ("status-409", "409", false),
    ("status-500", "500", false),
    ("status-502", "502", false),
    ("status-503", "503", false),
    ("status-504", "504", false),
    ("status-529", "529", false),
    ("error-event-first", "error", true),
    ("error-event-early", "error", true),
    ("end-first", "error", true),
    ("cut-early", "error", false),
];

/// Failures after which a target is left alone for a while, so that no two scenarios may share one: model, outcome.
const RESTS: [(&str, &str); 6] = [
    ("retry-after-1", "429"),
    ("retry-after-3600", "429"),
    ("status-429", "429"),
    ("status-401", "401"),
    ("status-402", "402"),
    ("status-403", "403"),
];

/// Caller; who fails, how, and what that is called; who answers then.
const ACROSS: [(Dialect, Provider, &str, &str, Provider); 8] = [
    (Dialect::Gemini, Provider::Cohere, "status-500", "500", Provider::Anthropic),
    (Dialect::Gemini, Provider::Ollama, "end-first", "error", Provider::AnthropicOnVertex),
    (Dialect::OpenaiResponses, Provider::Gemini, "error-event-first", "error", Provider::AnthropicOnBedrock),
    (Dialect::OpenaiResponses, Provider::OpenaiResponses, "status-503", "503", Provider::Cohere),
    (Dialect::OpenaiChat, Provider::BedrockConverse, "error-event-early", "error", Provider::Gemini),
    (Dialect::OpenaiChat, Provider::OpenaiResponses, "error-event-early", "error", Provider::Ollama),
    (Dialect::Anthropic, Provider::AnthropicOnBedrock, "cut-early", "error", Provider::OpenaiResponses),
    (Dialect::Anthropic, Provider::Cohere, "error-event-early", "error", Provider::BedrockConverse),
];

/// Errors that are the caller's own.
const STAYS: [u16; 2] = [400, 422];

/// What both targets do, the status that the caller gets, and type and code in its own dialect.
const ALL_FAIL: [(&str, u16, &str, &str, &str); 6] = [
    ("dead", 502, "api_error", "server_error", "upstream_error"),
    ("slow-first-byte", 504, "timeout_error", "server_error", "upstream_timeout"),
    ("cut-early", 502, "api_error", "server_error", "upstream_error"),
    ("status-500", 500, "api_error", "server_error", ""),
    ("status-503", 503, "", "server_error", ""),
    ("status-529", 529, "overloaded_error", "server_error", ""),
];

pub(crate) fn add(suite: &mut Suite) {
    for (model, outcome, only_streams) in FALLS {
        for first in Provider::BOTH {
            let alias: &'static str = format!("fall-{model}-{}", first.id()).leak();
            add_alias(suite, alias, model, &[failing(first, model), first.other().target("text")]);
            let about = format!("fallback::{model}_at_{}", first.name());
            add_callers(suite, &about, "the_next_target_answers", move |test, caller| {
                falls(
                    test,
                    Pair { caller, upstream: first.other() },
                    alias,
                    failing(first, model),
                    outcome,
                    only_streams,
                )
            });
        }
    }
    for ((model, outcome), first) in RESTS.into_iter().zip(Provider::BOTH.into_iter().cycle()) {
        for caller in Dialect::BOTH {
            let own: &'static str = format!("{model}-{}", caller.name()).leak();
            let alias: &'static str = format!("fall-{own}").leak();
            suite.alias(alias, &[first.target(own), first.other().target("text")]);
            let name = format!("fallback::{model}_at_{}::{}::nobody_waits", first.name(), caller.name());
            suite.add(&name, move |test| async move {
                let began = Instant::now();
                let pair = Pair { caller, upstream: first.other() };
                falls(test, pair, alias, first.target(own), outcome, true).await;
                assert!(began.elapsed() < Duration::from_secs(10), "the gateway waited for {:?}", began.elapsed());
            });
        }
    }
    for (caller, first, model, outcome, second) in ACROSS {
        let alias: &'static str = format!("across-{}-{}-{model}", caller.name(), first.id()).leak();
        suite.alias(alias, &[first.target(model), second.target("text")]);
        let name = format!("fallback::{model}_at_{}::{}::{} answers", first.name(), caller.name(), second.name());
        let is_whole = model.starts_with("status") || model == "cut-early";
        suite.add(&name.replace(' ', "_"), move |test| {
            falls(test, Pair { caller, upstream: second }, alias, first.target(model), outcome, !is_whole)
        });
    }
    for status in STAYS {
        for first in Provider::BOTH {
            let alias: &'static str = format!("stay-{status}-{}", first.id()).leak();
            suite.alias(alias, &[first.target(&format!("status-{status}")), first.other().target("text")]);
            let about = format!("fallback::{status}_at_{}", first.name());
            add_callers(suite, &about, "the_callers_own_error_does_not_fall", move |test, caller| {
                stays(test, caller, alias, first, status)
            });
        }
    }
    for (model, status, anthropic, openai, code) in ALL_FAIL {
        let alias: &'static str = format!("all-{model}").leak();
        add_alias(suite, alias, model, &Provider::BOTH.map(|provider| failing(provider, model)));
        let about = format!("fallback::{model}_everywhere");
        add_callers(suite, &about, "the_caller_is_told_the_last_failure", move |test, caller| async move {
            let kind = if caller == Dialect::Anthropic { anthropic } else { openai };
            exhausted(test, caller, alias, model, (status, kind, code)).await;
        });
    }
    suite.alias("all-retry-after", &Provider::BOTH.map(|provider| provider.target("retry-after-7")));
    add_callers(
        suite,
        "fallback::retry_after_everywhere",
        "the_caller_is_told_when_to_come_back",
        |test, caller| async move {
            let reply = test.ask(caller, &caller.request("all-retry-after", &test.prompt())).await;
            assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")), "{}", reply.text());
            test.settles([]).await;
        },
    );
    for upstream in Provider::BOTH {
        let pair = Pair {
            caller: if upstream == Provider::Anthropic { Dialect::OpenaiChat } else { Dialect::Anthropic },
            upstream,
        };
        suite.add(
            &format!("fallback::{}::a_reply_that_is_not_json_is_the_upstreams_fault", pair.name()),
            move |test| async move {
                let reply =
                    test.ask(pair.caller, &pair.caller.request(&pair.target("malformed"), &test.prompt())).await;
                assert_eq!(reply.status, 502, "{}", reply.text());
                let kind = if pair.caller == Dialect::Anthropic { "api_error" } else { "server_error" };
                assert_eq!(pair.caller.read_error(&reply.body).kind, kind);
            },
        );
    }
}

fn add_alias(suite: &mut Suite, alias: &str, model: &str, targets: &[String]) {
    if model.starts_with("slow-") {
        suite.hasty_alias(alias, targets);
    } else {
        suite.alias(alias, targets);
    }
}

fn failing(provider: Provider, model: &str) -> String {
    match (model, provider) {
        ("dead", Provider::OpenaiChat) => "dead-openai/text".to_owned(),
        ("dead", Provider::Anthropic) => "dead-anthropic/text".to_owned(),
        _ => provider.target(model),
    }
}

async fn falls(test: Test, pair: Pair, alias: &str, failing: String, outcome: &str, only_streams: bool) {
    let answer = Answer::of("text");
    let expected = [(failing, outcome.to_owned()), (pair.target("text"), "200".to_owned())];
    let stream = test.answer(pair.caller, &pair.caller.streamed(alias, &test.prompt())).await;
    assert_eq!(attempts(stream.header("x-tollgate-attempts")), expected);
    assert_eq!(stream.header("x-tollgate-target"), Some(pair.target("text").as_str()));
    pair.check(&pair.caller.read_stream(&stream.body), &answer);
    let mut requests = 1;
    if !only_streams {
        let reply = test.answer(pair.caller, &pair.caller.request(alias, &test.prompt())).await;
        assert_eq!(attempts(reply.header("x-tollgate-attempts")), expected);
        pair.check(&pair.caller.read_whole(&reply.body), &answer);
        requests += 1;
    }
    let usage = pair.upstream.reports(answer.usage);
    test.settles([(&pair.target("text"), Totals::of(requests, "text", usage))]).await;
}

async fn stays(test: Test, caller: Dialect, alias: &str, first: Provider, status: u16) {
    let reply = test.ask(caller, &caller.request(alias, &test.prompt())).await;
    assert_eq!(reply.status, status, "{}", reply.text());
    let expected = [(first.target(&format!("status-{status}")), status.to_string())];
    assert_eq!(attempts(reply.header("x-tollgate-attempts")), expected);
    assert_eq!(caller.read_error(&reply.body).message, FAILURE);
    test.exchange();
    test.settles([]).await;
}

async fn exhausted(test: Test, caller: Dialect, alias: &str, model: &str, expected: (u16, &str, &str)) {
    for request in [caller.request(alias, &test.prompt()), caller.streamed(alias, &test.prompt())] {
        let reply = test.ask(caller, &request).await;
        let problem = caller.read_error(&reply.body);
        let (status, kind, code) = expected;
        assert_eq!(reply.status, status, "{}", reply.text());
        // Where the last upstream's own error has a type or code, that is not for us to say.
        assert!(kind.is_empty() || problem.kind == kind, "{problem:?}");
        assert!(code.is_empty() || caller == Dialect::Anthropic || problem.code == code, "{problem:?}");
        let targets: Vec<_> =
            attempts(reply.header("x-tollgate-attempts")).into_iter().map(|(target, _)| target).collect();
        assert_eq!(targets, Provider::BOTH.map(|provider| failing(provider, model)));
    }
    test.settles([]).await;
}
