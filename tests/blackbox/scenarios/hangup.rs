//! A caller who hangs up in mid-stream: the upstream is cancelled at once, and what arrived is counted.

use std::time::{Duration, Instant};

use super::{Pair, add_pairs};
use crate::host::Kind;
use crate::suite::Suite;
use crate::test::Test;
use crate::upstream::Outcome;

const AT_ONCE: Duration = Duration::from_secs(1);

pub(crate) fn add(suite: &mut Suite) {
    add_pairs(suite, "hangup", "an_upstream_that_drips_is_cancelled", |test, pair| {
        in_mid_stream(test, pair, "drip-100")
    });
    add_pairs(suite, "hangup", "an_upstream_that_is_silent_is_cancelled", |test, pair| {
        in_mid_stream(test, pair, "idle")
    });
    for pair in Pair::all() {
        // The other two platforms hide a caller who leaves before the head of the reply.
        let name = format!("hangup::{}::an_upstream_that_has_not_begun_is_cancelled", pair.name());
        suite.add(&name, move |test| before_the_head(test, pair)).only_on(&[Kind::Native]);
    }
}

async fn in_mid_stream(test: Test, pair: Pair, model: &str) {
    let mut reply = test.open(pair.caller, &pair.caller.streamed(&pair.target(model), &test.prompt())).await;
    assert_eq!(reply.status, 200);
    reply.read_until("Grüße").await;
    let id = reply.header("x-tollgate-id").expect("an answer has an id").to_owned();
    drop(reply);
    upstream_sees_it(&test).await;
    test.settles_cut(&pair.target(model)).await;
    let lines: Vec<_> = test.log_lines().into_iter().filter(|line| line["id"] == id.as_str()).collect();
    assert_eq!(lines.len(), 1, "one log line for {id}");
    assert_eq!(lines[0]["end"], "hangup", "{}", lines[0]);
}

async fn before_the_head(test: Test, pair: Pair) {
    let request = pair.caller.request(&pair.target("slow-first-byte"), &test.prompt());
    let asking = tokio::spawn({
        let test = test.clone();
        async move { test.ask(pair.caller, &request).await }
    });
    while test.upstream.exchanges(&test.marker).is_empty() {
        assert!(!asking.is_finished(), "the gateway answered by itself");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    asking.abort();
    upstream_sees_it(&test).await;
    test.settles([]).await;
}

async fn upstream_sees_it(test: &Test) {
    let left = Instant::now();
    let outcome = test.exchange().outcome(4 * AT_ONCE).await;
    let Some(Outcome::ClosedByGateway(at)) = outcome else { panic!("the upstream goes on: {outcome:?}") };
    assert!(at.saturating_duration_since(left) < AT_ONCE, "cancelled only after {:?}", at - left);
}
