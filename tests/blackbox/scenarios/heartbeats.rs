//! A caller who waits for a stream is told that it is on its way, before there is an answer and in its midst.

use super::{Pair, add_pairs, hangup};
use crate::answer::Answer;
use crate::caller::Dialect;
use crate::client::Reply;
use crate::suite::Suite;
use crate::test::{Test, Totals};
use crate::upstream::Provider;
use crate::upstream::script::FAILURE;

pub(crate) fn add(suite: &mut Suite) {
    for model in ["late-paused-text", "late-status-503", "slow-first-byte"] {
        for upstream in Provider::BOTH {
            suite.beating_alias(&alias(upstream.name(), model), &[upstream.target(model)]);
        }
    }
    add_pairs(suite, "heartbeats", "a_caller_who_waits_is_told_so", |test, pair| async move {
        let mut reply = open(&test, pair, "late-paused-text").await;
        let mut body = reply.read_until("ping").await;
        test.upstream.permit(&test.marker);
        body.extend(reply.read_until("Grüße").await);
        body.extend(reply.read_until("ping").await);
        test.upstream.permit(&test.marker);
        let whole = reply.whole_after(body).await;
        pair.check(&pair.caller.read_stream(&whole.body), &Answer::of("text"));
        let usage = pair.upstream.reports(Answer::of("text").usage);
        test.settles([(&pair.target("late-paused-text"), Totals::of(1, "unpriced", usage))]).await;
    });
    for (caller, upstream) in [Dialect::OpenaiResponses, Dialect::Gemini].into_iter().zip(Provider::BOTH) {
        let pair = Pair { caller, upstream };
        suite.add(&format!("heartbeats::{}::a_caller_who_waits_is_told_so", pair.name()), move |test| async move {
            let mut reply = open(&test, pair, "late-paused-text").await;
            // Whatever it is that comes before the upstream has said anything, and while it says nothing more.
            let mut body = reply.next().await.expect("the stream goes on").to_vec();
            test.upstream.permit(&test.marker);
            body.extend(reply.read_until("京").await);
            body.extend(reply.next().await.expect("the stream goes on"));
            body.extend(reply.next().await.expect("the stream goes on"));
            test.upstream.permit(&test.marker);
            let whole = reply.whole_after(body).await;
            pair.check(&pair.caller.read_stream(&whole.body), &Answer::of("text"));
        });
    }
    add_pairs(suite, "heartbeats", "what_fails_after_one_is_told_in_the_stream", |test, pair| async move {
        let mut reply = open(&test, pair, "late-status-503").await;
        let body = reply.read_until("ping").await;
        test.upstream.permit(&test.marker);
        let whole = reply.whole_after(body).await;
        let (reading, problem) = pair.caller.read_broken_stream(&whole.body);
        assert_eq!((reading.text.as_str(), problem.message.as_str()), ("", FAILURE));
        test.settles([]).await;
    });
    add_pairs(suite, "heartbeats", "a_caller_who_leaves_after_one_cancels_the_upstream", |test, pair| async move {
        let request = pair.caller.streamed(&alias(pair.upstream.name(), "slow-first-byte"), &test.prompt());
        let mut reply = test.open_to_reset(pair.caller, &request).await;
        reply.read_until("ping").await;
        drop(reply);
        hangup::upstream_sees_it(&test).await;
        test.settles([]).await;
    });
}

fn alias(upstream: &str, model: &str) -> String {
    format!("beating-{upstream}-{model}")
}

async fn open(test: &Test, pair: Pair, model: &str) -> Reply {
    let request = pair.caller.streamed(&alias(pair.upstream.name(), model), &test.prompt());
    let reply = test.open(pair.caller, &request).await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("x-tollgate-id").is_some());
    reply
}
