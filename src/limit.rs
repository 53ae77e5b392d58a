//! Rate limits and spending caps as sums of counters: what to add before a request and after it.
//!
//! Counters are only ever added to. A bound is checked by adding, not by looking, so two requests can never
//! both take the last place. Nothing here knows where counters live.

use crate::error::{Error, Kind};
use crate::host::Millis;
use crate::price::Picodollars;
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

/// What one caller may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// In each minute of the clock.
    pub requests_per_minute: Option<u32>,
    /// In each calendar month, UTC.
    pub spend_cap: Option<Picodollars>,
    /// Whether under a cap a request may be made whose price is not known. It then counts what the upstream says that it
    /// cost, or next to nothing.
    pub unpriced: bool,
}

/// One request's place under its caller's limits, from admission to settlement.
#[derive(Debug, Clone)]
pub struct Ticket {
    caller: String,
    limits: Limits,
    opened: Millis,
    bounds: Vec<Bound>,
    worst: Option<Picodollars>,
    /// The amount held until the true cost is known, and the counter that holds it.
    hold: Option<Add>,
}

/// A hold that nobody settles, because the machine died, stops counting after one to two of these.
const HOLD_MS: Millis = 10 * MINUTE_MS;
const MINUTE_MS: Millis = 60_000;
/// Held for a request of unknown price, so that none passes a cap that is used up.
const UNPRICED: Picodollars = Picodollars(1);

impl Ticket {
    /// `worst` is the most that the request is expected to cost; `None` where no price is known.
    pub fn open(caller: &str, limits: Limits, worst: Option<Picodollars>, now: Millis) -> Result<Self, Error> {
        let mut bounds = Vec::new();
        if let Some(requests) = limits.requests_per_minute {
            let minute = now / MINUTE_MS;
            bounds.push(Bound {
                counter: format!("rate/{caller}/{minute}"),
                add: 1,
                with: Vec::new(),
                limit: i64::from(requests),
                expires: (minute + 1) * MINUTE_MS,
            });
        }
        let mut hold = None;
        if let Some(cap) = limits.spend_cap {
            let worst = worst.or(limits.unpriced.then_some(UNPRICED)).ok_or_else(|| {
                Error::new(
                    Kind::SpendCapReached,
                    "this key has a spending cap and the price of the model is not known; add it under [prices] in the configuration, or allow this key `unpriced` models",
                )
            })?;
            // One more than the cap is refused as surely as the most there is, and cannot overflow a store that adds
            // before it looks.
            let add = worst.as_i64().min(cap.as_i64().saturating_add(1));
            let slot = now / HOLD_MS;
            let counter = format!("hold/{caller}/{slot}");
            let expires = (slot + 2) * HOLD_MS;
            bounds.push(Bound {
                counter: counter.clone(),
                add,
                with: [
                    slot.checked_sub(1).map(|slot| format!("hold/{caller}/{slot}")),
                    Some(spend_counter(caller, now)),
                ]
                .into_iter()
                .flatten()
                .collect(),
                limit: cap.as_i64(),
                expires,
            });
            hold = Some(Add { counter, add, expires: Some(expires) });
        }
        Ok(Self { caller: caller.to_owned(), limits, opened: now, bounds, worst, hold })
    }

    pub fn bounds(&self) -> &[Bound] {
        &self.bounds
    }

    /// The error for the caller when the last of `sums` was too much.
    pub fn refusal(&self, sums: &[i64]) -> Error {
        // The request limit, where there is one, is the first bound.
        let is_rate = sums.len() == 1 && self.limits.requests_per_minute.is_some();
        let sum = sums.last().copied().unwrap_or_default();
        let (kind, message, wait_ms) = if is_rate {
            let limit = self.limits.requests_per_minute.unwrap_or_default();
            let wait_ms = MINUTE_MS - self.opened % MINUTE_MS;
            let message =
                format!("this key may make {limit} requests a minute; try again in {}s", wait_ms.div_ceil(1000));
            (Kind::RateLimited, message, wait_ms)
        } else {
            let cap = self.limits.spend_cap.unwrap_or_default();
            let worst = self.worst.unwrap_or_default();
            let message = format!(
                "this key may spend {cap} a month (UTC); {} is spent or held by requests under way, and this request may cost {worst}",
                Picodollars::from_i64(sum)
            );
            (Kind::SpendCapReached, message, month_end(self.opened).saturating_sub(self.opened))
        };
        Error { retry_after: Some(wait_ms.div_ceil(1000)), ..Error::new(kind, message) }
    }

    /// `x-ratelimit-*` for every answer of a caller who has a request limit; `sums` as an [`Admission`] has them.
    pub fn rate_headers(&self, sums: &[i64]) -> Vec<(&'static str, String)> {
        let Some(limit) = self.limits.requests_per_minute else { return Vec::new() };
        let sum = sums.first().copied().unwrap_or_default();
        let remaining = i64::from(limit).saturating_sub(sum).max(0);
        let reset = (MINUTE_MS - self.opened % MINUTE_MS).div_ceil(1000);
        vec![
            ("x-ratelimit-limit-requests", limit.to_string()),
            ("x-ratelimit-remaining-requests", remaining.to_string()),
            ("x-ratelimit-reset-requests", format!("{reset}s")),
        ]
    }

    /// What is held for the request.
    pub fn held(&self) -> Option<Picodollars> {
        self.hold.as_ref().map(|hold| Picodollars::from_i64(hold.add))
    }

    /// What to add once the request is over: its cost to what was spent, and the hold back. Spent first, so that
    /// between the two nobody sees too little.
    pub fn close(&self, cost: Option<Picodollars>) -> Vec<Add> {
        let spent = cost.filter(|cost| *cost != Picodollars::default()).map(|cost| Add {
            counter: spend_counter(&self.caller, self.opened),
            add: cost.as_i64(),
            expires: None,
        });
        let released = self.hold.clone().map(|hold| Add { add: -hold.add, ..hold });
        spent.into_iter().chain(released).collect()
    }
}

/// Whether nothing reads `counter` any more, now that its kind is counted in `current`: holds count in the window
/// after their own too, and other machines' clocks may be behind.
pub fn is_past(counter: &str, current: &str) -> bool {
    let window = |counter: &str| counter.rsplit('/').next().and_then(|window| window.parse::<u64>().ok());
    let is_same_kind = counter.split('/').next() == current.split('/').next();
    let left_behind =
        window(counter).zip(window(current)).is_some_and(|(window, current)| window.saturating_add(1) < current);
    is_same_kind && left_behind
}

/// Where a caller's spending of the month of `now` is counted.
pub fn spend_counter(caller: &str, now: Millis) -> String {
    let day = day(now);
    format!("spend/{caller}/{}", day.get(..7).unwrap_or(&day))
}

/// `2026-11-21`, UTC.
///
/// Source: "chrono-Compatible Low-Level Date Algorithms", Howard Hinnant, civil_from_days.
pub fn day(now: Millis) -> String {
    let (year, month, day) = civil(now / DAY_MS);
    format!("{year:04}-{month:02}-{day:02}")
}

const DAY_MS: Millis = 86_400_000;

fn month_end(now: Millis) -> Millis {
    let today = now / DAY_MS;
    let (_, month, _) = civil(today);
    let first = (today + 1..today + 32).find(|&later| civil(later).1 != month).unwrap_or(today + 31);
    first * DAY_MS
}

fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[derive(Default)]
    struct Counters(HashMap<String, i64>);

    impl Counters {
        fn admit(&mut self, ticket: &Ticket) -> Admission {
            let admission = decide(ticket.bounds(), |counter| self.0.get(counter).copied().unwrap_or(0));
            if let Admission::Admitted(_) = admission {
                for bound in ticket.bounds() {
                    *self.0.entry(bound.counter.clone()).or_default() += bound.add;
                }
            }
            admission
        }

        fn settle(&mut self, adds: Vec<Add>) {
            for Add { counter, add, .. } in adds {
                *self.0.entry(counter).or_default() += add;
            }
        }
    }

    fn capped(cap: u64) -> Limits {
        Limits { spend_cap: Some(Picodollars(cap)), ..Limits::default() }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01"),
            (951_782_400_000, "2000-02-29"),
            (1_709_164_800_000, "2024-02-29"),
            (1_795_219_199_999, "2026-11-20"),
            (1_795_219_200_000, "2026-11-21"),
            (4_102_444_800_000, "2100-01-01"),
        ];
        for (now, expected) in cases {
            assert_eq!(day(now), expected);
        }
        assert_eq!(day(month_end(1_795_219_200_000)), "2026-12-01");
        assert_eq!(day(month_end(1_735_603_200_000)), "2025-01-01");
    }

    #[test]
    fn a_minute_admits_exactly_its_requests() {
        let limits = Limits { requests_per_minute: Some(3), ..Limits::default() };
        let mut counters = Counters::default();
        let at = |now| Ticket::open("a", limits, None, now).unwrap();
        for sum in 1..=3 {
            assert_eq!(counters.admit(&at(59_000)), Admission::Admitted(vec![sum]));
        }
        let ticket = at(59_000);
        assert_eq!(counters.admit(&ticket), Admission::Refused(vec![3]));
        assert_eq!(ticket.refusal(&[3]).retry_after, Some(1));
        assert_eq!(counters.admit(&at(60_000)), Admission::Admitted(vec![1]));
    }

    #[test]
    fn requests_under_way_count_against_the_cap() {
        let mut counters = Counters::default();
        let open = |worst| Ticket::open("a", capped(100), Some(Picodollars(worst)), 0).unwrap();
        let (first, second) = (open(60), open(60));
        assert_eq!(counters.admit(&first), Admission::Admitted(vec![60]));
        assert_eq!(counters.admit(&second), Admission::Refused(vec![60]));
        counters.settle(first.close(Some(Picodollars(10))));
        assert_eq!(counters.admit(&second), Admission::Admitted(vec![70]));
        counters.settle(second.close(None));
        assert_eq!(counters.admit(&open(90)), Admission::Admitted(vec![100]));
    }

    #[test]
    fn a_hold_that_nobody_settles_stops_counting() {
        let mut counters = Counters::default();
        let open = |now| Ticket::open("a", capped(100), Some(Picodollars(100)), now).unwrap();
        assert!(matches!(counters.admit(&open(HOLD_MS - 1)), Admission::Admitted(_)));
        assert!(matches!(counters.admit(&open(HOLD_MS)), Admission::Refused(_)));
        assert!(matches!(counters.admit(&open(2 * HOLD_MS)), Admission::Admitted(_)));
    }

    #[test]
    fn only_windows_that_nobody_reads_are_past() {
        let cases = [
            ("hold/a/7", "hold/a/9", true),
            ("hold/b/7", "hold/a/9", true),
            ("hold/a/8", "hold/a/9", false),
            ("hold/a/10", "hold/a/9", false),
            ("rate/a/7", "hold/a/9", false),
            ("spend/a/2026-11", "hold/a/9", false),
            ("usage/a/2026-11-21/requests/local/7", "hold/a/9", false),
            ("hold/a/99999999999999999999", "hold/a/9", false),
            ("hold/a/18446744073709551615", "hold/a/9", false),
        ];
        for (counter, current, expected) in cases {
            assert_eq!(is_past(counter, current), expected, "{counter} {current}");
        }
    }

    #[test]
    fn no_order_of_requests_passes_the_cap_by_holds() {
        // A small linear congruential generator: the seed is the case's number.
        for seed in 0..200_u64 {
            let mut state = seed;
            let mut random = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let mut counters = Counters::default();
            let mut open: Vec<(Ticket, u64)> = Vec::new();
            for _ in 0..300 {
                if !open.is_empty() && random(2) == 0 {
                    let (ticket, worst) = open.swap_remove(random(open.len() as u64) as usize);
                    counters.settle(ticket.close(Some(Picodollars(random(worst + 1)))));
                } else {
                    let worst = random(40);
                    let ticket = Ticket::open("a", capped(1000), Some(Picodollars(worst)), 5).unwrap();
                    if let Admission::Admitted(_) = counters.admit(&ticket) {
                        open.push((ticket, worst));
                    }
                }
                assert!(counters.0.values().sum::<i64>() <= 1000, "seed {seed}");
            }
        }
    }

    #[test]
    fn an_unpriced_model_does_not_pass_a_cap() {
        assert_eq!(Ticket::open("a", capped(1), None, 0).unwrap_err().kind, Kind::SpendCapReached);
        assert!(Ticket::open("a", Limits::default(), None, 0).is_ok());
    }
}
