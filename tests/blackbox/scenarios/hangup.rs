//! A caller who hangs up in mid-stream: the upstream is cancelled at once, and what arrived is counted.

use std::time::Duration;

use super::{Pair, add_each};
use crate::PATIENCE;
use crate::client::Reply;
use crate::host::Kind;
use crate::suite::Suite;
use crate::test::{Test, Totals};
use crate::upstream::Outcome;

pub(crate) fn add(suite: &mut Suite) {
    let pairs = Pair::each_once;
    add_each(suite, pairs(), "hangup", "an_upstream_that_drips_is_cancelled", |test, pair| async move {
        let model = pair.target("drip-100");
        let reply = test.open(pair.caller, &pair.caller.streamed(&model, &test.prompt())).await;
        in_mid_stream(test, &model, reply).await;
    });
    add_each(suite, pairs(), "hangup", "an_upstream_that_is_silent_is_cancelled", |test, pair| async move {
        let model = pair.target("idle");
        let reply = test.open_to_reset(pair.caller, &pair.caller.streamed(&model, &test.prompt())).await;
        in_mid_stream(test, &model, reply).await;
    });
    for pair in pairs() {
        // A caller who closes its side in silence looks to workerd like one who has only finished asking.
        let name = format!("hangup::{}::an_upstream_that_is_silent_is_cancelled_by_a_quiet_close", pair.name());
        let quietly = move |test: Test| async move {
            let model = pair.target("idle");
            let reply = test.open(pair.caller, &pair.caller.streamed(&model, &test.prompt())).await;
            in_mid_stream(test, &model, reply).await;
        };
        suite.add(&name, quietly).only_on(&[Kind::Native, Kind::Spin]);
        // Spin tells its component only when that writes.
        let name = format!("hangup::{}::an_upstream_that_has_not_begun_is_cancelled", pair.name());
        suite.add(&name, move |test| before_the_head(test, pair)).only_on(&[Kind::Native, Kind::Workers]);
    }
}

async fn in_mid_stream(test: Test, model: &str, mut reply: Reply) {
    assert_eq!(reply.status, 200);
    reply.read_until("Grüße").await;
    let id = reply.header("x-tollgate-id").map(str::to_owned);
    drop(reply);
    upstream_sees_it(&test).await;
    test.settles_cut(model).await;
    let line = test.log_line(id.as_deref()).await;
    assert_eq!(line["end"], "hangup", "{line}");
}

async fn before_the_head(test: Test, pair: Pair) {
    let model = pair.target("slow-priced");
    let request = pair.caller.request(&model, &test.prompt());
    let asking = tokio::spawn({
        let test = test.clone();
        async move { test.open_to_reset(pair.caller, &request).await.whole().await }
    });
    while test.upstream.exchanges(&test.marker).is_empty() {
        assert!(!asking.is_finished(), "the gateway answered by itself");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    asking.abort();
    upstream_sees_it(&test).await;
    // Its input is paid, by our estimate, though nobody answered.
    let totals = test.settled_totals().await;
    let row = totals.get(&model).copied().unwrap_or_default();
    assert_eq!((totals.len(), row), (1, Totals { cost: row.cost, ..Totals::default() }), "{totals:?}");
    assert!(row.cost > 0 && row.cost % 1_000 == 0, "{row:?}");
    let line = test.only_log_line().await;
    assert_eq!(line["end"], "hangup", "{line}");
    assert_eq!(line["attempts"][0]["cost_picodollars"], row.cost, "{line}");
}

/// That it was the caller's leaving which ended it, and no deadline, is in the log.
pub(super) async fn upstream_sees_it(test: &Test) {
    let outcome = test.exchange().outcome(PATIENCE).await;
    assert!(matches!(outcome, Some(Outcome::ClosedByGateway)), "the upstream goes on: {outcome:?}");
}
