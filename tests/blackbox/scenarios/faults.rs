//! An upstream that fails after content: the caller keeps what arrived, gets a typed error and no end of the
//! dialect, and the reply is counted as cut.

use std::time::Duration;

use super::{Pair, add_each};
use crate::caller::{Dialect, read_list};
use crate::client;
use crate::suite::Suite;
use crate::test::Test;
use crate::upstream::script::FAILURE;
use crate::upstream::{Outcome, Provider};

pub(crate) fn add(suite: &mut Suite) {
    for upstream in Provider::BOTH {
        suite.hasty_alias(&format!("idle-{}", upstream.id()), &[format!("{}/idle", upstream.id())]);
    }
    for upstream in [Provider::Gemini, Provider::Anthropic, Provider::BedrockConverse] {
        let name = format!("faults::gemini_to_{}::a_list_that_breaks_off_ends_with_the_error", upstream.name());
        suite.add(&name, move |test| broken_list(test, upstream));
    }
    let faults = [
        ("error-event-mid", "upstream_error", "error", true),
        ("reset-after-3", "upstream_cut", "cut", false),
        ("cut-after-3", "upstream_cut", "cut", true),
        ("silent-end", "upstream_cut", "cut", false),
        ("idle", "upstream_timeout", "cut", false),
    ];
    for (model, code, end, everywhere) in faults {
        let pairs: Vec<_> = if everywhere { Pair::all().collect() } else { Pair::four().collect() };
        let sentence = format!("a_stream_never_looks_complete_after::{model}");
        add_each(suite, pairs.into_iter(), "faults", &sentence, move |test, pair| fault(test, pair, model, code, end));
    }
}

/// Gemini's stream without `alt=sse`: what was begun as a list stays one.
async fn broken_list(test: Test, upstream: Provider) {
    let dialect = Dialect::Gemini;
    let target = upstream.target("cut-after-3");
    let (path, body) = dialect.sent(&dialect.streamed(&target, &test.prompt()));
    let path = path.trim_end_matches("?alt=sse");
    let mut reply = client::send(test.host.address, "POST", path, &dialect.headers(&test.key), body).await;
    assert_eq!(reply.status, 200);
    let begun = reply.read_until("京").await;
    test.upstream.permit(&test.marker);
    let whole = reply.whole_after(begun).await;
    let (reading, problem) = read_list(&whole.body);
    assert!(problem.is_some(), "the list must not look complete");
    assert_eq!(reading.text, "Grüße aus 東京 🙂", "what arrived is kept");
    test.settles_cut(&target).await;
}

async fn fault(test: Test, pair: Pair, model: &str, code: &str, end: &str) {
    let name = if model == "idle" { format!("idle-{}", pair.upstream.id()) } else { pair.target(model) };
    let mut reply = test.open(pair.caller, &pair.caller.streamed(&name, &test.prompt())).await;
    assert_eq!(reply.status, 200);
    let begun = reply.read_until("京").await;
    test.upstream.permit(&test.marker);
    let whole = reply.whole_after(begun).await;
    let (reading, problem) = pair.caller.read_broken_stream(&whole.body);
    assert_eq!(reading.text, "Grüße aus 東京 🙂", "what arrived is kept");
    if model == "error-event-mid" {
        assert_eq!(problem.message, FAILURE);
    }
    // The same dialect passes the upstream's own error event on as it is.
    if model != "error-event-mid" || !pair.is_own() {
        match pair.caller {
            Dialect::Anthropic => assert_eq!(problem.kind, "api_error"),
            Dialect::OpenaiChat => assert_eq!((problem.kind.as_str(), problem.code.as_str()), ("server_error", code)),
            Dialect::OpenaiResponses => assert_eq!(problem.kind, "server_error"),
            Dialect::Gemini => assert!(["UNAVAILABLE", "INTERNAL"].contains(&problem.kind.as_str()), "{problem:?}"),
        }
    }
    if model == "idle" {
        let outcome = test.exchange().outcome(Duration::from_secs(1)).await;
        assert!(matches!(outcome, Some(Outcome::ClosedByGateway)), "the silent upstream is let go: {outcome:?}");
    }
    test.settles_cut(&pair.target(model)).await;
    let line = test.log_line(whole.header("x-tollgate-id")).await;
    assert_eq!(line["end"], end, "{line}");
}
