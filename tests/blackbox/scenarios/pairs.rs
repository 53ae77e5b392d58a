//! The four pairs of dialects: whatever the upstream says, the caller reads the same in its own dialect.

use serde_json::{Value, json};

use super::{Pair, add_pairs};
use crate::answer::{AFTER_TOOLS, Answer};
use crate::caller::{Dialect, Reading};
use crate::suite::{self, Suite};
use crate::test::{Test, Totals, attempts};
use crate::upstream::{self, script::FAILURE};

pub(crate) fn add(suite: &mut Suite) {
    add_pairs(suite, "pairs", "a_whole_answer_keeps_text_stop_and_usage", whole_answer);
    add_pairs(suite, "pairs", "a_streamed_answer_keeps_text_stop_and_usage", streamed_answer);
    add_pairs(suite, "pairs", "an_answer_cut_short_by_max_tokens_says_so", |test, pair| stopped(test, pair, "length"));
    add_pairs(suite, "pairs", "a_stop_sequence_ends_the_answer", |test, pair| stopped(test, pair, "stop-sequence"));
    add_pairs(suite, "pairs", "parallel_tools_make_the_round_trip", |test, pair| {
        round_trip(test, pair, "tools", false)
    });
    add_pairs(suite, "pairs", "streamed_parallel_tools_make_the_round_trip", |test, pair| {
        round_trip(test, pair, "tools", true)
    });
    add_pairs(suite, "pairs", "thinking_makes_the_round_trip", |test, pair| round_trip(test, pair, "thinking", false));
    add_pairs(suite, "pairs", "streamed_thinking_makes_the_round_trip", |test, pair| {
        round_trip(test, pair, "thinking", true)
    });
    add_pairs(suite, "pairs", "a_400_of_the_upstream_comes_in_the_callers_dialect", error_400);
    add_pairs(suite, "pairs", "a_400_of_the_upstream_answers_a_streamed_request", error_400_to_a_stream);
}

async fn whole_answer(test: Test, pair: Pair) {
    let target = pair.target("text");
    let answer = Answer::of("text");
    let reply = test.answer(pair.caller, &pair.caller.request(&target, &test.prompt())).await;
    pair.check(&pair.caller.read_whole(&reply.body), &answer);

    let usage = answer.usage.through(pair.upstream);
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
    test.settles([(&target, Totals::of(1, "text", answer.usage.through(pair.upstream)))]).await;
}

async fn stopped(test: Test, pair: Pair, model: &'static str) {
    let mut request = pair.caller.request(&pair.target(model), &test.prompt());
    request["max_tokens"] = 77.into();
    request[match pair.caller {
        Dialect::OpenaiChat => "stop",
        Dialect::Anthropic => "stop_sequences",
    }] = json!(["END", "\n#"]);
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
            Dialect::OpenaiChat if asked["max_tokens"].is_null() => (&asked["max_completion_tokens"], &asked["stop"]),
            Dialect::OpenaiChat => (&asked["max_tokens"], &asked["stop"]),
            Dialect::Anthropic => (&asked["max_tokens"], &asked["stop_sequences"]),
        };
        assert_eq!((max, stop), (&json!(77), &json!(["END", "\n#"])));
    }
}

/// Calls come to the caller, who sends them back with their results; the upstream refuses what its dialect
/// forbids, and must find its calls and its signature unchanged.
async fn round_trip(test: Test, pair: Pair, model: &'static str, stream: bool) {
    let mut request = pair.caller.request(&pair.target(model), &test.prompt());
    request["tools"] = pair.caller.tools();
    request["max_tokens"] = 4096.into();
    if model == "thinking" {
        match pair.caller {
            Dialect::OpenaiChat => request["reasoning_effort"] = "low".into(),
            Dialect::Anthropic => request["thinking"] = json!({"type": "enabled", "budget_tokens": 1024}),
        }
    }
    if stream {
        request = pair.caller.as_stream(request);
    }
    let answer = Answer::of(model);
    let mut reading = read(&test, pair, &request, stream).await;
    pair.check(&reading, &answer);

    let given = [(reading.calls[0].id.as_str(), "21 °C"), (reading.calls[1].id.as_str(), "9 am")];
    let results = [(answer.calls[0].id, "21 °C"), (answer.calls[1].id, "9 am")];
    // Most clients of this dialect drop what its specification does not have.
    if let (Dialect::OpenaiChat, Some(message)) = (pair.caller, reading.message.as_object_mut()) {
        message.remove("reasoning_content");
        message.remove("reasoning_details");
    }
    let messages = request["messages"].as_array_mut().expect("a request has messages");
    messages.push(reading.message);
    messages.extend(pair.caller.results(&given));
    pair.check(&read(&test, pair, &request, stream).await, &AFTER_TOOLS);

    let exchanges = test.upstream.exchanges(&test.marker);
    assert_eq!(exchanges.len(), 2);
    let second = exchanges[1].json();
    let messages = second["messages"].as_array().expect("a request has messages");
    assert_eq!(
        upstream::Dialect::from(pair.upstream).results(&second),
        results.map(|(id, text)| (id.to_owned(), text.to_owned()))
    );
    if let (Dialect::Anthropic, Some((_, signature))) = (pair.upstream, answer.thinking) {
        let thinking = json!({"type": "thinking", "thinking": answer.whole_thinking(), "signature": signature});
        assert_eq!(messages[1]["content"][0], thinking, "the thought comes back first and signed");
    }
    test.settles([(&pair.target(model), Totals::of(2, model, answer.usage.through(pair.upstream)))]).await;
}

async fn read(test: &Test, pair: Pair, request: &Value, stream: bool) -> Reading {
    let reply = test.answer(pair.caller, request).await;
    if stream { pair.caller.read_stream(&reply.body) } else { pair.caller.read_whole(&reply.body) }
}

async fn error_400(test: Test, pair: Pair) {
    refused(test, pair, pair.caller.request(&pair.target("status-400"), "")).await;
}

async fn error_400_to_a_stream(test: Test, pair: Pair) {
    refused(test, pair, pair.caller.streamed(&pair.target("status-400"), "")).await;
}

async fn refused(test: Test, pair: Pair, mut request: Value) {
    request["messages"][0]["content"] = test.prompt().into();
    let reply = test.ask(pair.caller, &request).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    let problem = pair.caller.read_error(&reply.body);
    assert_eq!((problem.kind.as_str(), problem.message.as_str()), ("invalid_request_error", FAILURE));
    assert_eq!(attempts(reply.header("x-tollgate-attempts")), [(pair.target("status-400"), "400".to_owned())]);
    test.settles([]).await;
}
