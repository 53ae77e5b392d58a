//! Every pair of a caller and an upstream: whatever the upstream says, the caller reads the same in its own dialect.

use serde_json::{Value, json};

use super::{Pair, add_each, add_pairs};
use crate::answer::{AFTER_TOOLS, Answer};
use crate::caller::{Dialect, Reading};
use crate::suite::{self, Suite};
use crate::test::{Test, Totals, attempts};
use crate::upstream::Provider;
use crate::upstream::script::FAILURE;

pub(crate) fn add(suite: &mut Suite) {
    add_pairs(suite, "pairs", "an_answer_cut_short_by_max_tokens_says_so", |test, pair| stopped(test, pair, "length"));
    add_pairs(suite, "pairs", "a_stop_sequence_ends_the_answer", |test, pair| stopped(test, pair, "stop-sequence"));
    let pairs = Pair::all;
    add_each(suite, pairs(), "pairs", "a_whole_answer_keeps_text_stop_and_usage", whole_answer);
    add_each(suite, pairs(), "pairs", "a_streamed_answer_keeps_text_stop_and_usage", streamed_answer);
    add_each(suite, pairs(), "pairs", "parallel_tools_make_the_round_trip", |test, pair| {
        round_trip(test, pair, "tools", false)
    });
    add_each(suite, pairs(), "pairs", "streamed_parallel_tools_make_the_round_trip", |test, pair| {
        round_trip(test, pair, "tools", true)
    });
    add_each(suite, pairs(), "pairs", "thinking_makes_the_round_trip", |test, pair| {
        round_trip(test, pair, "thinking", false)
    });
    add_each(suite, pairs(), "pairs", "streamed_thinking_makes_the_round_trip", |test, pair| {
        round_trip(test, pair, "thinking", true)
    });
    add_each(suite, pairs(), "pairs", "a_400_of_the_upstream_comes_in_the_callers_dialect", |test, pair| {
        refused(test, pair, false)
    });
    add_each(suite, pairs(), "pairs", "a_400_of_the_upstream_answers_a_streamed_request", |test, pair| {
        refused(test, pair, true)
    });
}

async fn whole_answer(test: Test, pair: Pair) {
    let target = pair.target("text");
    let answer = Answer::of("text");
    let reply = test.answer(pair.caller, &pair.caller.request(&target, &test.prompt())).await;
    pair.check(&pair.caller.read_whole(&reply.body), &answer);

    let usage = pair.upstream.reports(answer.usage);
    let cost = suite::cost("text", usage).expect("text has a price");
    assert_eq!(reply.header("x-tollgate-target"), Some(target.as_str()));
    assert_eq!(reply.header("x-tollgate-cost"), Some(cost.to_string().as_str()));
    assert_eq!(attempts(reply.header("x-tollgate-attempts")), [(target.clone(), "200".to_owned())]);
    let id = reply.header("x-tollgate-id").expect("an answer has an id");
    assert!([Some("req_scripted1"), Some(id)].contains(&reply.header("x-request-id")));
    assert!(id.len() == 36 && id.starts_with("req_") && id[4..].chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    test.settles([(&target, Totals::of(1, "text", usage))]).await;
}

async fn streamed_answer(test: Test, pair: Pair) {
    let target = pair.target("text");
    let answer = Answer::of("text");
    let reply = test.answer(pair.caller, &pair.caller.streamed(&target, &test.prompt())).await;
    assert!(reply.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")));
    assert_eq!(reply.header("x-tollgate-target"), Some(target.as_str()));
    assert_eq!(attempts(reply.header("x-tollgate-attempts")), [(target.clone(), "200".to_owned())]);
    pair.check(&pair.caller.read_stream(&reply.body), &answer);
    test.settles([(&target, Totals::of(1, "text", pair.upstream.reports(answer.usage)))]).await;
}

async fn stopped(test: Test, pair: Pair, model: &'static str) {
    let mut request = pair.caller.request(&pair.target(model), &test.prompt());
    request["max_tokens"] = 77.into();
    let field = if pair.caller == Dialect::Anthropic { "stop_sequences" } else { "stop" };
    request[field] = json!(["END", "\n#"]);
    let reply = test.answer(pair.caller, &request).await;
    pair.check(&pair.caller.read_whole(&reply.body), &Answer::of(model));
    let stream = test.answer(pair.caller, &pair.caller.as_stream(request)).await;
    let reading = pair.caller.read_stream(&stream.body);
    pair.check(&reading, &Answer::of(model));
    if reading.stop == "stop_sequence" {
        assert_eq!(reading.stop_sequence, "END");
    }

    for exchange in test.upstream.exchanges(&test.marker) {
        let asked = exchange.json();
        let (max, stop) = match pair.upstream {
            Provider::Anthropic => (&asked["max_tokens"], &asked["stop_sequences"]),
            _ if asked["max_tokens"].is_null() => (&asked["max_completion_tokens"], &asked["stop"]),
            _ => (&asked["max_tokens"], &asked["stop"]),
        };
        assert_eq!((max, stop), (&json!(77), &json!(["END", "\n#"])));
    }
}

/// Calls come to the caller, who sends them back with their results; the upstream refuses what its dialect
/// forbids, and must find its calls and its proof unchanged.
async fn round_trip(test: Test, pair: Pair, model: &'static str, stream: bool) {
    let mut request = pair.caller.request(&pair.target(model), &test.prompt());
    request["tools"] = pair.caller.tools();
    request = pair.caller.bounded(request, 4096);
    if model == "thinking" {
        request = pair.caller.thinking(request);
    }
    if stream {
        request = pair.caller.as_stream(request);
    }
    let answer = Answer::of(model);
    let mut reading = read(&test, pair, &request, stream).await;
    pair.check(&reading, &answer);

    // Most clients of this dialect drop what its specification does not have.
    if let (Dialect::OpenaiChat, Some(message)) = (pair.caller, reading.message.as_object_mut()) {
        message.remove("reasoning_content");
        message.remove("reasoning_details");
    }
    let texts = ["21 °C", "9 am"];
    let given: Vec<_> = reading.calls.iter().map(|call| call.id.as_str()).zip(texts).collect();
    let request = pair.caller.answered(request, &reading, &given);
    pair.check(&read(&test, pair, &request, stream).await, &AFTER_TOOLS);

    let exchanges = test.upstream.exchanges(&test.marker);
    assert_eq!(exchanges.len(), 2);
    let second = exchanges[1].json();
    let calls = answer.calls.iter().map(|call| if pair.upstream.names_calls() { call.id } else { call.name });
    let results = calls.zip(texts).map(|(call, told)| (call.to_owned(), told.to_owned()));
    assert_eq!(pair.upstream.results(&second), results.collect::<Vec<_>>());
    if let Some(proof) = pair.upstream.proof_of(&answer) {
        let (thought, given) = pair.upstream.proof_in(&second).expect("the proof comes back");
        assert_eq!(given, proof);
        assert_eq!(thought.unwrap_or_else(|| answer.whole_thinking()), answer.whole_thinking());
    }
    test.settles([(&pair.target(model), Totals::of(2, model, pair.upstream.reports(answer.usage)))]).await;
}

async fn read(test: &Test, pair: Pair, request: &Value, stream: bool) -> Reading {
    let reply = test.answer(pair.caller, request).await;
    if stream { pair.caller.read_stream(&reply.body) } else { pair.caller.read_whole(&reply.body) }
}

async fn refused(test: Test, pair: Pair, stream: bool) {
    let mut request = pair.caller.request(&pair.target("status-400"), &test.prompt());
    if stream {
        request = pair.caller.as_stream(request);
    }
    let reply = test.ask(pair.caller, &request).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    let problem = pair.caller.read_error(&reply.body);
    assert_eq!((problem.kind.as_str(), problem.message.as_str()), (pair.caller.invalid(), FAILURE));
    assert_eq!(attempts(reply.header("x-tollgate-attempts")), [(pair.target("status-400"), "400".to_owned())]);
    test.settles([]).await;
}
