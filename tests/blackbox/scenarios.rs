//! The scenarios, by what they are about.

mod agents;
mod apps;
mod bytes;
mod changes;
mod clients;
mod fallback;
mod faults;
mod hangup;
mod heartbeats;
mod input;
mod keys;
mod limits;
mod log;
mod media;
mod operations;
mod own;
mod pairs;
mod receipts;
mod routing;
mod splice;
mod starts;
mod streaming;
mod surface;
mod tokens;
mod totals;
mod translation;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::Value;

use crate::answer::Answer;
use crate::caller::{Dialect, Reading};
use crate::client;
use crate::suite::Suite;
use crate::test::Test;
use crate::upstream::Provider;
use crate::upstream::script::FAILURE;

pub(crate) fn all() -> Suite {
    let mut suite = Suite::default();
    let modules = [
        pairs::add,
        translation::add,
        media::add,
        bytes::add,
        streaming::add,
        fallback::add,
        routing::add,
        faults::add,
        splice::add,
        hangup::add,
        keys::add,
        apps::add,
        tokens::add,
        heartbeats::add,
        limits::add,
        totals::add,
        input::add,
        surface::add,
        log::add,
        receipts::add,
        operations::add,
        own::add,
        starts::add,
        changes::add,
        clients::add,
        agents::add,
    ];
    for add in modules {
        add(&mut suite);
    }
    suite
}

/// The suite's own premise: the scripted upstream and the reading caller agree on every dialect that callers speak.
pub(crate) async fn without_gateway(upstream: SocketAddr, dialect: Dialect) {
    let pair = Pair { caller: dialect, upstream: dialect.own() };
    let family = pair.upstream.family();
    let ask = async |request: Value| {
        let headers = dialect.headers(pair.upstream.key().unwrap_or_default());
        let (path, body) = dialect.sent(&request);
        let reply = client::send(upstream, "POST", &path, &headers, body).await.whole().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply
    };
    for model in ["text", "tools", "thinking", "length", "stop-sequence", "cheap"] {
        let whole = ask(dialect.request(&format!("{family}{model}"), "mk_without_gateway")).await;
        pair.check(&dialect.read_whole(&whole.body), &Answer::of(model));
        for variant in ["", "bytewise-", "crlf-", "comments-", "bytewise-crlf-comments-"] {
            let stream = ask(dialect.streamed(&format!("{family}{variant}{model}"), "mk_without_gateway")).await;
            pair.check(&dialect.read_stream(&stream.body), &Answer::of(model));
        }
    }
    let stream = ask(dialect.streamed(&format!("{family}error-event-early"), "mk_without_gateway")).await;
    assert_eq!(dialect.read_broken_stream(&stream.body).1.message, FAILURE);
}

/// The caller's dialect, and who answers.
#[derive(Clone, Copy)]
struct Pair {
    caller: Dialect,
    upstream: Provider,
}

impl Pair {
    /// The four pairs of Chat Completions and Messages, with which every scenario is played.
    fn four() -> impl Iterator<Item = Self> {
        let pair = |caller| Provider::BOTH.map(|upstream| Self { caller, upstream });
        Dialect::BOTH.into_iter().flat_map(pair)
    }

    fn all() -> impl Iterator<Item = Self> {
        let pair = |caller| Provider::ALL.map(|upstream| Self { caller, upstream });
        Dialect::ALL.into_iter().flat_map(pair)
    }

    /// The four; every other provider once, with callers by turns; and every other caller at least twice.
    fn each_once() -> impl Iterator<Item = Self> {
        let others = Provider::ALL.into_iter().zip(Dialect::ALL.into_iter().cycle()).skip(Provider::BOTH.len());
        let crossed = [(Provider::OpenaiChat, Dialect::Gemini), (Provider::Anthropic, Dialect::OpenaiResponses)];
        Self::four().chain(others.chain(crossed).map(|(upstream, caller)| Self { caller, upstream }))
    }

    /// Whether both speak one dialect, so that what the upstream says goes through as it is.
    fn is_own(self) -> bool {
        let is_cloud = matches!(self.upstream, Provider::AnthropicOnBedrock | Provider::AnthropicOnVertex);
        self.upstream == self.caller.own() || (is_cloud && self.caller == Dialect::Anthropic)
    }

    fn name(self) -> String {
        format!("{}_to_{}", self.caller.name(), self.upstream.name())
    }

    /// The target that leads to this model of the scripted upstream.
    fn target(self, model: &str) -> String {
        self.upstream.target(model)
    }

    /// Whether the proof of reasoning travels in the id of the call after it: where the caller's dialect has no place
    /// for it, be it a thought's or, as Gemini has it, a call's.
    fn carries_state(self) -> bool {
        match self.caller {
            Dialect::OpenaiChat => self.upstream != Provider::OpenaiChat,
            Dialect::Anthropic | Dialect::OpenaiResponses => self.upstream == Provider::Gemini,
            Dialect::Gemini => false,
        }
    }

    /// That the caller read what the upstream meant.
    fn check(self, reading: &Reading, answer: &Answer) {
        assert_eq!(reading.text, answer.whole_text());
        assert_eq!(reading.thinking, answer.whole_thinking());
        assert_eq!(reading.calls.len(), answer.calls.len());
        for (index, (told, call)) in reading.calls.iter().zip(answer.calls).enumerate() {
            assert_eq!((told.name.as_str(), &told.arguments), (call.name, &call.value()));
            let is_carrier = index == 0 && self.upstream.proof_of(answer).is_some();
            match told.id.strip_prefix(call.id) {
                // The id is the gateway's own.
                _ if !self.upstream.names_calls() => assert!(!told.id.is_empty()),
                Some(sealed) if is_carrier && self.carries_state() => assert!(sealed.starts_with("-dG9sbGdhdGUx")),
                rest => assert_eq!(rest, Some(""), "{}", told.id),
            }
        }
        let ids: BTreeSet<_> = reading.calls.iter().map(|call| call.id.as_str()).collect();
        assert_eq!(ids.len(), reading.calls.len(), "two calls have one id: {ids:?}");
        assert_eq!(reading.stop, self.caller.stop(self.upstream, answer.stop));
        assert_eq!(reading.usage, Some(self.caller.tells(self.upstream.reports(answer.usage))));
    }
}

/// Adds a scenario for each of the four pairs of Chat Completions and Messages.
fn add_pairs<F>(
    suite: &mut Suite,
    about: &str,
    sentence: &str,
    run: impl Fn(Test, Pair) -> F + Copy + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    add_each(suite, Pair::four(), about, sentence, run);
}

/// Adds a scenario for each of these pairs.
fn add_each<F>(
    suite: &mut Suite,
    pairs: impl Iterator<Item = Pair>,
    about: &str,
    sentence: &str,
    run: impl Fn(Test, Pair) -> F + Copy + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    for pair in pairs {
        suite.add(&format!("{about}::{}::{sentence}", pair.name()), move |test| run(test, pair));
    }
}

/// Adds a scenario for callers of every dialect.
fn add_all_callers<F>(
    suite: &mut Suite,
    about: &str,
    sentence: &str,
    run: impl Fn(Test, Dialect) -> F + Copy + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    for dialect in Dialect::ALL {
        suite.add(&format!("{about}::{}::{sentence}", dialect.name()), move |test| run(test, dialect));
    }
}

/// Adds a scenario for callers of Chat Completions and of Messages.
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
