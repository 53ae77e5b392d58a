//! Limits as they are written, and made ready.

use std::sync::Arc;

use super::model::{amount, dollars};
use super::{CallerDraft, Draft, Known, check_name};
use crate::limit::rule::{Blind, Every, Limit, Per, SLICES, Span, Unit};
use crate::mistake::{Mistakes, under};
use crate::price::Picodollars;
use crate::route::rule::{When, WhenDraft};
use crate::wire::json::{Shape, objects, written};

objects! {
    /// One of `requests`, `input_tokens`, `output_tokens`, `tokens`, `concurrent` and `usd` says how much.
    #[derive(Debug, Default)]
    pub struct LimitDraft {
        /// Each of these has all of it; everybody together if not said.
        pub per: Option<Per>,
        /// Where it counts each provider, only these, or these models of theirs as `provider/model`.
        pub providers: Option<Vec<String>>,
        /// Which requests it counts: all that is given must hold, as in rules.
        pub when: WhenDraft = WhenDraft::default(),
        pub requests: Option<u64>,
        /// As estimated beforehand, and then as they were.
        pub input_tokens: Option<u64>,
        /// At first the most that a request may be answered with.
        pub output_tokens: Option<u64>,
        /// Of input and output.
        pub tokens: Option<u64>,
        /// Requests under way.
        pub concurrent: Option<u64>,
        /// Dollars, like `5.00`; at first the most that a request may cost.
        pub usd: Option<String> where dollars,
        /// A minute if not said, and of dollars a month.
        pub every: Option<Every>,
        /// Whether a minute or an hour is counted from now back, and not by the clock.
        pub sliding: bool = false,
        /// The model that is asked once there is no room; requests are refused if not said.
        pub instead: Option<String>,
        /// Shares in percent from which on each answer says how much is used.
        pub warn_at: Option<Vec<u32>> where percents,
        /// Whether models may be asked whose price is not known.
        pub unpriced: bool = false,
        /// Whether dollars count that callers pay themselves, by their own keys of providers.
        pub own_keys: bool = false,
        /// What becomes of requests while the store of the counters is down; dollars refuse if not said, all else admits.
        pub store_down: Option<Blind>,
    }
}

written! {
    impl LimitDraft {
        per?, providers?, when, requests?, input_tokens?, output_tokens?, tokens?, concurrent?, usd?, every?, sliding?, instead?, warn_at?,
        unpriced?, own_keys?, store_down?
    }
}

pub(super) fn check_percents(at: &str, shares: &[u32], mistakes: &mut Mistakes) {
    for (index, _) in shares.iter().enumerate().filter(|(_, percent)| !(1..=100).contains(*percent)) {
        mistakes.say(&format!("{at}[{index}]"), "not a share in percent like 80");
    }
}

pub(super) fn percents(_: Shape) -> Shape {
    Shape::list(Shape { minimum: Some(1), ..Shape::whole(Some(100)) })
}

/// What stands with a caller or in a token: refusals name it, and each is to be known by its name.
const RESERVED: [&str; 4] = ["requests-per-minute", "spend-cap", "token-max-cost", "token-requests-per-minute"];

/// Dollars, in picodollars.
const USD: u64 = 1_000_000_000_000;

/// What people write as dollars, like `5.00`.
pub fn usd(text: &str) -> Option<Picodollars> {
    amount(text, USD)
}

/// The limits of `[limits]`; `knows` says whether a name stands for a model.
pub(super) fn compile(
    draft: &Draft,
    known: &Known,
    knows: impl Fn(&str) -> Result<(), String>,
    mistakes: &mut Mistakes,
) -> Vec<Arc<Limit>> {
    let mut limits = Vec::new();
    for (name, written) in draft.limits.iter() {
        let at = under("limits", name);
        if let Err(why) = check_name(name) {
            mistakes.say_anyway(&at, &why);
        }
        if RESERVED.contains(&name) {
            mistakes.say_anyway(&at, "callers and tokens have limits of this name; give it another");
        }
        if let Some(Err(why)) = written.instead.as_deref().map(&knows) {
            mistakes.say(&format!("{at}.instead"), &why);
        }
        let warn_at = written.warn_at.clone().unwrap_or_default();
        check_percents(&format!("{at}.warn_at"), &warn_at, mistakes);
        check_providers(&at, written, known, mistakes);
        let when = When::compile(&at, &written.when, mistakes);
        let Some((unit, most)) = bound(&at, written, mistakes) else { continue };
        if written.own_keys && unit != Unit::Cost {
            mistakes.say(&format!("{at}.own_keys"), "for dollars only; all else counts whoever pays");
        }
        let Some(span) = span(&at, written, unit, mistakes) else { continue };
        let limit = Limit::of(name, unit, most, span);
        limits.push(Arc::new(Limit {
            per: written.per.unwrap_or_default(),
            providers: written.providers.clone().unwrap_or_default(),
            when,
            instead: written.instead.clone(),
            warn_at,
            unpriced: written.unpriced,
            own_keys: written.own_keys,
            blind: written.store_down.unwrap_or(limit.blind),
            ..limit
        }));
    }
    limits
}

/// What fits a limit on providers, and what does not.
fn check_providers(at: &str, written: &LimitDraft, known: &Known, mistakes: &mut Mistakes) {
    if written.per == Some(Per::Provider) {
        let misfits = [("instead", written.instead.is_some()), ("warn_at", written.warn_at.is_some())];
        for (field, _) in misfits.into_iter().filter(|(_, is_written)| *is_written) {
            mistakes.say(&format!("{at}.{field}"), "not where providers are counted: the next target is asked");
        }
    } else if written.providers.is_some() {
        mistakes.say(&format!("{at}.providers"), "only with per = \"provider\"");
    }
    for (index, name) in written.providers.iter().flatten().enumerate() {
        if let Err(why) = known.check(name.split('/').next().unwrap_or_default()) {
            mistakes.say(&format!("{at}.providers[{index}]"), &why);
        }
    }
}

fn bound(at: &str, written: &LimitDraft, mistakes: &mut Mistakes) -> Option<(Unit, u64)> {
    let usd = written.usd.as_deref().map(|text| {
        let most = amount(text, USD).map(|Picodollars(most)| most);
        if most.is_none() {
            mistakes.say(&format!("{at}.usd"), &format!("\"{text}\" is not an amount like \"5.00\""));
        }
        most.unwrap_or_default()
    });
    let counts = [
        (Unit::Requests, written.requests),
        (Unit::InputTokens, written.input_tokens),
        (Unit::OutputTokens, written.output_tokens),
        (Unit::Tokens, written.tokens),
        (Unit::Concurrent, written.concurrent),
        (Unit::Cost, usd),
    ];
    let mut found = counts.into_iter().filter_map(|(unit, most)| Some((unit, most?)));
    match (found.next(), found.next()) {
        (Some(bound), None) => Some(bound),
        _ => {
            let fields = ["requests", "input_tokens", "output_tokens", "tokens", "concurrent", "usd"];
            let why = "needs one of requests, input_tokens, output_tokens, tokens, concurrent and usd";
            mistakes.say_of(at, &fields, why);
            None
        }
    }
}

fn span(at: &str, written: &LimitDraft, unit: Unit, mistakes: &mut Mistakes) -> Option<Span> {
    let every = written.every.unwrap_or(if unit == Unit::Cost { Every::Month } else { Every::Minute });
    let is_short = matches!(every, Every::Minute | Every::Hour);
    let mut wrong = |field: &str, why: &str| {
        mistakes.say(&format!("{at}.{field}"), why);
        None
    };
    match unit {
        Unit::Concurrent if written.every.is_some() => {
            wrong("every", "concurrent counts what is under way now; leave it out")
        }
        _ if written.sliding && (unit == Unit::Concurrent || !is_short) => {
            wrong("sliding", "for a minute and an hour only")
        }
        Unit::Concurrent => Some(Span::Now),
        _ if written.per == Some(Per::Token) && unit != Unit::Concurrent && !is_short => wrong(
            "every",
            "a token lives for a short time, so minutes and hours only; what it may cost, it says itself",
        ),
        // What an answer costs is known when it has ended, and a minute is over by then.
        Unit::Cost if is_short => wrong("every", "dollars are for a day at least"),
        _ if is_short => Some(Span::Window { every, slices: if written.sliding { SLICES } else { 1 } }),
        _ => Some(Span::Period(every)),
    }
}

/// The limits that stand with a caller.
pub(super) fn of_caller(at: &str, written: &CallerDraft, mistakes: &mut Mistakes) -> Vec<Arc<Limit>> {
    let window = Span::Window { every: Every::Minute, slices: 1 };
    let requests = written.requests_per_minute.map(|most| Limit {
        blind: Blind::Refuse,
        ..Limit::of("requests-per-minute", Unit::Requests, u64::from(most), window)
    });
    let cap = written.spend_cap_usd.as_deref().and_then(|text| {
        let most = amount(text, USD);
        if most.is_none() {
            mistakes.say(&format!("{at}.spend_cap_usd"), &format!("\"{text}\" is not an amount like \"5.00\""));
        }
        let limit = Limit::of("spend-cap", Unit::Cost, most?.0, Span::Period(Every::Month));
        Some(Limit { unpriced: written.unpriced, ..limit })
    });
    let own = [requests, cap].into_iter().flatten();
    own.map(|limit| Arc::new(Limit { per: Per::Caller, ..limit })).collect()
}
