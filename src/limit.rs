//! Rates, quotas and budgets as sums of counters: what to add before a request and after it.
//!
//! Counters are only ever added to. A bound is checked by adding, not by looking, so two requests can never
//! both take the last place. Nothing here knows where counters live.
//!
//! A counter is named `KIND/OWNER/…`: its owner is whom it counts, and all that one owner has may be kept in one place. `rate`
//! and `hold` end with the time after which they count for nothing; `used`, `spend` and `usage` are kept.

pub mod alert;
pub mod book;
pub mod calendar;
pub mod lease;
pub mod rule;
pub mod shard;
pub mod ticket;

use crate::host::Millis;
use crate::wire::json::{objects, written};

objects! {
    /// One addition before a request: allowed if `counter` and all of `with` then sum to at most `limit`.
    ///
    /// Where a store cannot do this in one step: add, then read `with` in its order. A settlement goes the other way, so
    /// what moves meanwhile from one counter to another is seen twice rather than not at all.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Bound {
        pub counter: String,
        pub add: i64,
        pub with: Vec<String>,
        pub limit: i64,
        /// The counter means nothing after this and may be forgotten.
        pub expires: Millis,
    }

    /// One addition to a counter.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Add {
        pub counter: String,
        pub add: i64,
        /// As in [`Bound`]; `None` is kept for ever.
        pub expires: Option<Millis>,
    }
}

written! {
    impl Bound { counter, add, with, limit, expires }
    impl Add { counter, add, expires }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Admission {
        /// Everything was added; the sum of each bound after it.
        Admitted as "Admitted" (Vec<i64>),
        /// Nothing was added; the sums as they stand, up to the bound that said no.
        Refused as "Refused" (Vec<i64>),
    }
}

/// Decides over counters as they stand. Whoever holds them adds, on `Admitted`, in the same breath.
pub fn decide(bounds: &[Bound], total: impl Fn(&str) -> i64) -> Admission {
    let mut sums = Vec::with_capacity(bounds.len());
    for rule in bounds {
        let sum = rule.with.iter().fold(total(&rule.counter), |sum, counter| sum.saturating_add(total(counter)));
        sums.push(sum);
        if sum.saturating_add(rule.add) > rule.limit {
            return Admission::Refused(sums);
        }
    }
    Admission::Admitted(sums.iter().zip(bounds).map(|(sum, rule)| sum.saturating_add(rule.add)).collect())
}

/// Whose a counter is.
pub fn owner(counter: &str) -> &str {
    counter.split('/').nth(1).unwrap_or_default()
}

/// Other machines' clocks may be behind by as much.
const SKEW_MS: Millis = 60_000;

/// Whether nothing reads `counter` any more.
pub fn is_past(counter: &str, now: Millis) -> bool {
    let passes = ["rate/", "hold/"].iter().any(|kind| counter.starts_with(kind));
    let end = counter.rsplit('/').next().and_then(|end| end.parse::<Millis>().ok());
    passes && end.is_some_and(|end| end.saturating_add(SKEW_MS) < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_counters_that_nobody_reads_are_past() {
        let cases = [
            ("hold/a/spend-cap/600000", 660_001, true),
            ("hold/a/spend-cap/600000", 660_000, false),
            ("rate/user:a:b/burst/60000", 600_000, true),
            ("used/a/daily/2026", 600_000, false),
            ("usage/a/2026-11-21/requests/local/7", 600_000, false),
            ("hold/a/x/99999999999999999999", 600_000, false),
            ("hold/a/x/18446744073709551615", 600_000, false),
        ];
        for (counter, now, expected) in cases {
            assert_eq!(is_past(counter, now), expected, "{counter} {now}");
        }
        assert_eq!(owner("rate/user:a:b/burst/60000"), "user:a:b");
    }
}
