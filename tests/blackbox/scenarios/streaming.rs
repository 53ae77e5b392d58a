//! Streams arrive as they are made, and in the same events however the network cuts them up.

use serde_json::Value;

use super::{Pair, add_each};
use crate::answer::Answer;
use crate::sse;
use crate::suite::Suite;
use crate::test::Test;

pub(crate) fn add(suite: &mut Suite) {
    add_each(suite, Pair::each_once(), "streaming", "each_piece_arrives_before_the_next_is_made", incremental);
    for model in ["text", "tools", "thinking"] {
        for variant in ["bytewise", "crlf", "comments", "bytewise-crlf-comments"] {
            let sentence = format!("events_do_not_depend_on_framing::{variant}-{model}");
            let (variant, model) = (format!("{variant}-{model}"), model);
            let variant: &'static str = variant.leak();
            for pair in Pair::four().filter(|pair| !pair.is_own()) {
                suite.add(&format!("streaming::{}::{sentence}", pair.name()), move |test| {
                    framing(test, pair, model, variant)
                });
            }
        }
    }
}

/// The upstream makes a piece only when the caller has seen the one before: a gateway that holds one back
/// waits for ever.
async fn incremental(test: Test, pair: Pair) {
    let request = pair.caller.streamed(&pair.target("gated-text"), &test.prompt());
    let answer = Answer::of("text");
    test.upstream.permit(&test.marker);
    let mut reply = test.open(pair.caller, &request).await;
    assert_eq!(reply.status, 200);
    let mut body = Vec::new();
    for piece in answer.text {
        let text = Value::from(*piece).to_string();
        let told = text.trim_matches('"').replace('\u{2028}', "");
        body.extend(reply.read_until(&told).await);
        test.upstream.permit(&test.marker);
    }
    let whole = reply.whole_after(body).await;
    pair.check(&pair.caller.read_stream(&whole.body), &answer);
}

async fn framing(test: Test, pair: Pair, model: &'static str, variant: &'static str) {
    let mut bodies = Vec::new();
    for model in [model, variant] {
        let reply = test.answer(pair.caller, &pair.caller.streamed(&pair.target(model), &test.prompt())).await;
        pair.check(&pair.caller.read_stream(&reply.body), &Answer::of(variant.rsplit('-').next().unwrap_or(model)));
        bodies.push(events(&reply.body));
    }
    assert_eq!(bodies[0], bodies[1]);
}

/// The events without what differs between any two requests, and without pings, which are free to come.
fn events(body: &[u8]) -> Vec<(String, Value)> {
    let event = |event: &sse::Event| {
        let mut value = serde_json::from_str(&event.data).unwrap_or(Value::Null);
        for holder in ["", "/message"] {
            if let Some(object) = value.pointer_mut(holder).and_then(Value::as_object_mut) {
                for field in ["id", "created", "model"] {
                    object.remove(field);
                }
            }
        }
        (event.name.clone(), value)
    };
    sse::events(body).iter().map(event).filter(|(name, _)| name != "ping").collect()
}
