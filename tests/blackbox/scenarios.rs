//! The scenarios, by what they are about.

mod agents;
mod bytes;
mod clients;
mod fallback;
mod faults;
mod hangup;
mod heartbeats;
mod input;
mod limits;
mod log;
mod pairs;
mod starts;
mod streaming;
mod surface;
mod totals;
mod translation;

use std::net::SocketAddr;

use serde_json::Value;

use crate::answer::Answer;
use crate::caller::{Dialect, Reading};
use crate::client;
use crate::suite::Suite;
use crate::test::Test;
use crate::upstream;
use crate::upstream::script::FAILURE;

pub(crate) fn all() -> Suite {
    let mut suite = Suite::default();
    let modules = [
        pairs::add,
        translation::add,
        bytes::add,
        streaming::add,
        fallback::add,
        faults::add,
        hangup::add,
        heartbeats::add,
        limits::add,
        totals::add,
        input::add,
        surface::add,
        log::add,
        starts::add,
        clients::add,
        agents::add,
    ];
    for add in modules {
        add(&mut suite);
    }
    suite
}

/// The suite's own premise: the scripted upstream and the reading caller agree on both dialects.
pub(crate) async fn without_gateway(upstream: SocketAddr, dialect: Dialect) {
    let pair = Pair { caller: dialect, upstream: dialect };
    let key = upstream::Dialect::from(dialect).key();
    let ask = async |request: Value| {
        let headers = dialect.headers(key);
        let reply = client::send(upstream, "POST", dialect.path(), &headers, request.to_string()).await.whole().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply
    };
    for model in ["text", "tools", "thinking", "length", "stop-sequence", "cheap"] {
        let whole = ask(dialect.request(model, "mk_without_gateway")).await;
        pair.check(&dialect.read_whole(&whole.body), &Answer::of(model));
        for variant in ["", "bytewise-", "crlf-", "comments-", "bytewise-crlf-comments-"] {
            let stream = ask(dialect.streamed(&format!("{variant}{model}"), "mk_without_gateway")).await;
            pair.check(&dialect.read_stream(&stream.body), &Answer::of(model));
        }
    }
    let stream = ask(dialect.streamed("error-event-early", "mk_without_gateway")).await;
    assert_eq!(dialect.read_broken_stream(&stream.body).1.message, FAILURE);
}

/// Caller's and upstream's dialect.
#[derive(Clone, Copy)]
struct Pair {
    caller: Dialect,
    upstream: Dialect,
}

impl Pair {
    fn all() -> impl Iterator<Item = Self> {
        let pair = |caller| Dialect::BOTH.map(|upstream| Self { caller, upstream });
        Dialect::BOTH.into_iter().flat_map(pair)
    }

    fn name(self) -> String {
        format!("{}_to_{}", self.caller.name(), self.upstream.name())
    }

    /// The target that leads to this model of the scripted upstream.
    fn target(self, model: &str) -> String {
        target(self.upstream, model)
    }

    fn carries_state(self) -> bool {
        self.caller == Dialect::OpenaiChat && self.upstream == Dialect::Anthropic
    }

    /// That the caller read what the upstream meant.
    fn check(self, reading: &Reading, answer: &Answer) {
        assert_eq!(reading.text, answer.whole_text());
        assert_eq!(reading.thinking, answer.whole_thinking());
        assert_eq!(reading.calls.len(), answer.calls.len());
        for (index, (told, call)) in reading.calls.iter().zip(answer.calls).enumerate() {
            assert_eq!((told.name.as_str(), &told.arguments), (call.name, &call.value()));
            // Signed reasoning travels in the id of the call after it, where the caller's dialect has no place for it.
            let is_carrier = index == 0 && answer.thinking.is_some();
            match told.id.strip_prefix(call.id) {
                Some(sealed) if is_carrier && self.carries_state() => assert!(sealed.starts_with("-dG9sbGdhdGUx")),
                rest => assert_eq!(rest, Some(""), "{}", told.id),
            }
        }
        assert_eq!(reading.stop, self.caller.stop(self.upstream, answer.stop));
        assert_eq!(reading.usage, Some(answer.usage.through(self.upstream).through(self.caller)));
    }
}

fn target(dialect: impl Into<upstream::Dialect>, model: &str) -> String {
    format!("{}/{model}", dialect.into().provider())
}

/// Adds a scenario for each of the four pairs.
fn add_pairs<F>(
    suite: &mut Suite,
    about: &str,
    sentence: &str,
    run: impl Fn(Test, Pair) -> F + Copy + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    for pair in Pair::all() {
        suite.add(&format!("{about}::{}::{sentence}", pair.name()), move |test| run(test, pair));
    }
}

/// Adds a scenario for each dialect of a caller.
fn add_callers<F>(
    suite: &mut Suite,
    about: &str,
    sentence: &str,
    run: impl Fn(Test, Dialect) -> F + Copy + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    for dialect in Dialect::BOTH {
        suite.add(&format!("{about}::{}::{sentence}", dialect.name()), move |test| run(test, dialect));
    }
}
