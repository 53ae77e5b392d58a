//! One request's places under its limits, from admission to settlement.

use std::sync::Arc;

use super::calendar::written_instant;
use super::rule::{self, Blind, Due, Every, Limit, Per, Span, Unit};
use super::{Add, Bound};
use crate::error::{Error, Kind};
use crate::host::Millis;
use crate::price::Picodollars;

/// The most that a request is expected to come to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// By the gateway's keys; `None` where no price is known.
    pub cost: Option<Picodollars>,
    /// The same by whichever key.
    pub cost_with_own: Option<Picodollars>,
}

/// What it came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// By the gateway's keys.
    pub cost: Picodollars,
    /// And by callers' own.
    pub cost_with_own: Picodollars,
}

/// One request's places under all limits that count it.
#[derive(Debug, Clone, Default)]
pub struct Ticket {
    caller: String,
    opened: Millis,
    expected: Expected,
    places: Vec<Due>,
    /// Of each place.
    bounds: Vec<Bound>,
}

/// A hold that nobody settles, because the machine died, stops counting after one to two of these.
const HOLD_MS: Millis = 10 * 60_000;
/// Held for a request of unknown price, so that none passes a limit that is used up.
const UNPRICED: u64 = 1;

impl Ticket {
    /// Fails where a price is not known that a limit has to hold.
    pub fn open(caller: &str, places: Vec<Due>, expected: Expected, now: Millis) -> Result<Self, Refused> {
        let mut bounds = Vec::with_capacity(places.len());
        for due in &places {
            let Some(amount) = due.amount(&expected) else {
                return Err(Refused { error: due.unpriced(), limit: due.limit.clone() });
            };
            bounds.push(due.bound(amount, now));
        }
        Ok(Self { caller: caller.to_owned(), opened: now, expected, places, bounds })
    }

    pub fn bounds(&self) -> &[Bound] {
        &self.bounds
    }

    /// The names of the limits.
    pub fn limits(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|due| due.limit.name.as_str())
    }

    /// The same with nothing held, if the request goes on though the store is down.
    pub fn blind(mut self) -> Option<Self> {
        self.bounds.iter_mut().for_each(|bound| bound.add = 0);
        self.places.iter().all(|due| due.limit.blind == Blind::Admit).then_some(self)
    }

    /// Why there is no place: the last of `sums` was too much.
    pub fn refusal(&self, sums: &[i64]) -> Option<Refused> {
        let (due, sum) = self.places.get(..sums.len())?.iter().zip(sums).next_back()?;
        let sum = u64::try_from(*sum).unwrap_or_default();
        let wait_ms = due.limit.span.frees_at(self.opened).saturating_sub(self.opened);
        let error = due.refusal(sum, &self.expected, (self.opened, wait_ms));
        // For ever is no time to wait.
        let retry_after = (wait_ms < Every::Month.ms() * 2).then(|| wait_ms.div_ceil(1000).max(1));
        Some(Refused { error: Error { retry_after, ..error }, limit: due.limit.clone() })
    }

    /// How much is used of each limit without this request, where it was admitted.
    pub fn used(&self, sums: &[i64]) -> impl Iterator<Item = (&Due, u64)> {
        let own = |(sum, bound): (&i64, &Bound)| u64::try_from(sum.saturating_sub(bound.add)).unwrap_or_default();
        self.places.iter().zip(sums.iter().zip(&self.bounds).map(own))
    }

    /// How much is used of each limit that was asked, where it was not.
    pub fn stands(&self, sums: &[i64]) -> impl Iterator<Item = (&Due, u64)> {
        self.places.iter().zip(sums.iter().map(|sum| u64::try_from(*sum).unwrap_or_default()))
    }

    /// The one that had no room.
    pub fn last(&self, sums: &[i64]) -> Option<&Due> {
        self.places.get(..sums.len())?.last()
    }

    /// `x-ratelimit-*`: of each unit the limit of which the least is left; and which limits are nearly used up. `sums` as an
    /// [`super::Admission`] has them.
    pub fn headers(&self, sums: &[i64]) -> Vec<(&'static str, String)> {
        let told =
            || self.places.iter().zip(sums).map(|(due, sum)| (&*due.limit, u64::try_from(*sum).unwrap_or_default()));
        let mut headers = Vec::new();
        for (unit, [limit_name, remaining_name, reset_name]) in RATE_HEADERS {
            let of_unit = told().filter(|(limit, _)| limit.unit == unit && limit.most > 0);
            // Shares are compared without division.
            let least = of_unit.min_by(|(one, used), (other, other_used)| {
                let left = |limit: &Limit, used: u64| u128::from(limit.most.saturating_sub(used));
                let (left, other_left) = (left(one, *used), left(other, *other_used));
                (left * u128::from(other.most)).cmp(&(other_left * u128::from(one.most)))
            });
            let Some((limit, used)) = least else { continue };
            headers.push((limit_name, limit.most.to_string()));
            headers.push((remaining_name, limit.most.saturating_sub(used).to_string()));
            let wait_ms = limit.span.frees_at(self.opened).saturating_sub(self.opened);
            if wait_ms < Every::Month.ms() * 2 {
                headers.push((reset_name, format!("{}s", wait_ms.div_ceil(1000))));
            }
        }
        let warnings: Vec<String> = told().filter_map(|(limit, used)| limit.warning(used)).collect();
        if !warnings.is_empty() {
            headers.push(("x-tollgate-warning", warnings.join(", ")));
        }
        headers
    }

    /// The most that is held for the request of any budget that counts callers' own keys, or of any that does not.
    pub fn held(&self, own_keys: bool) -> Option<Picodollars> {
        let is_meant = |limit: &Limit| limit.unit == Unit::Cost && limit.own_keys == own_keys;
        let costs = self.places.iter().zip(&self.bounds).filter(|(due, _)| is_meant(&due.limit));
        costs.map(|(_, bound)| Picodollars::from_i64(bound.add)).max()
    }

    /// What to add once the request is over: what it used, and what was held back. Used first, so that between the two nobody
    /// sees too little.
    pub fn close(&self, spent: &Spent) -> Vec<Add> {
        let cost = spent.cost.as_i64();
        let adds = vec![Add { counter: rule::spent(&self.caller, self.opened), add: cost, expires: None }];
        self.close_beside(adds, spent)
    }

    /// The same of a ticket for a part of a request, beside what the whole comes to.
    pub fn close_beside(&self, mut adds: Vec<Add>, spent: &Spent) -> Vec<Add> {
        for (due, bound) in self.places.iter().zip(&self.bounds) {
            let settled = due.settled(bound, spent, self.opened).into_iter();
            // What two limits have in common is counted once.
            let is_new = |add: &Add| add.expires.is_some() || adds.iter().all(|other| other.counter != add.counter);
            let settled: Vec<Add> = settled.filter(is_new).collect();
            adds.extend(settled);
        }
        adds.retain(|add| add.add != 0);
        adds
    }
}

/// Why a request has no place.
#[derive(Debug)]
pub struct Refused {
    pub error: Error,
    pub limit: Arc<Limit>,
}

impl Refused {
    /// Which limit it was, so that a 429 of the gateway is not taken for the provider's; and that there is no use in coming
    /// back soon, where there is none.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("x-tollgate-limit", self.limit.name.clone())];
        if self.error.kind == Kind::SpendCapReached
            || self.error.retry_after.is_none_or(|seconds| seconds > SOON_SECONDS)
        {
            headers.push(("x-should-retry", "false".to_owned()));
        }
        headers
    }
}

/// Clients wait for as long before they try again, and no longer.
const SOON_SECONDS: u64 = 60;

const RATE_HEADERS: [(Unit, [&str; 3]); 4] = [
    (Unit::Requests, ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]),
    (Unit::Tokens, ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]),
    (
        Unit::InputTokens,
        ["x-ratelimit-limit-input-tokens", "x-ratelimit-remaining-input-tokens", "x-ratelimit-reset-input-tokens"],
    ),
    (
        Unit::OutputTokens,
        ["x-ratelimit-limit-output-tokens", "x-ratelimit-remaining-output-tokens", "x-ratelimit-reset-output-tokens"],
    ),
];

impl Limit {
    fn warning(&self, used: u64) -> Option<String> {
        let share = u128::from(used) * 100 / u128::from(self.most.max(1));
        let is_due = self.warn_at.iter().any(|percent| share >= u128::from(*percent));
        is_due.then(|| format!("{}: {} % used", self.name, share.min(100)))
    }
}

impl Due {
    /// What is taken of the limit beforehand; `None` where that cannot be known and has to be.
    pub fn amount(&self, expected: &Expected) -> Option<u64> {
        match self.limit.unit {
            Unit::Requests | Unit::Concurrent => Some(1),
            Unit::InputTokens => Some(expected.input_tokens),
            Unit::OutputTokens => Some(expected.output_tokens),
            Unit::Tokens => Some(expected.input_tokens.saturating_add(expected.output_tokens)),
            Unit::Cost => {
                let cost = if self.limit.own_keys { expected.cost_with_own } else { expected.cost };
                cost.map(|Picodollars(cost)| cost).or_else(|| self.limit.unpriced.then_some(UNPRICED))
            }
        }
    }

    fn bound(&self, amount: u64, now: Millis) -> Bound {
        let Self { limit, owner } = self;
        let name = &limit.name;
        let most = i64::try_from(limit.most).unwrap_or(i64::MAX);
        // One more than the most is refused as surely as the most there is, and cannot overflow a store that adds before it
        // looks.
        let add = i64::try_from(amount).unwrap_or(i64::MAX).min(most.saturating_add(1));
        // By the time after which it counts for nothing.
        let rate = |end: Millis| rule::passing(owner, name, end);
        let hold = |slot: Millis| format!("hold/{owner}/{name}/{}", (slot + 2) * HOLD_MS);
        let (counter, with, expires) = match limit.span {
            Span::Until(end) => (rate(end), Vec::new(), end),
            Span::Window { every, slices: 1 } => {
                let end = every.end(now);
                (rate(end), Vec::new(), end)
            }
            Span::Window { every, slices } => {
                let slice_ms = every.ms() / slices;
                let end = (now / slice_ms + 1 + slices) * slice_ms;
                let before = (1..=slices).filter_map(|back| end.checked_sub(back * slice_ms));
                (rate(end), before.map(rate).collect(), end)
            }
            Span::Now | Span::Period(_) => {
                let slot = now / HOLD_MS;
                let before = slot.checked_sub(1).map(hold);
                (hold(slot), before.into_iter().chain(limit.used(owner, now)).collect(), (slot + 2) * HOLD_MS)
            }
        };
        Bound { counter, add, with, limit: most, expires }
    }

    fn settled(&self, bound: &Bound, spent: &Spent, opened: Millis) -> Vec<Add> {
        let used = match self.limit.unit {
            // A request is one, whatever became of it.
            Unit::Requests | Unit::Concurrent => 1,
            Unit::InputTokens => spent.input_tokens,
            Unit::OutputTokens => spent.output_tokens,
            Unit::Tokens => spent.input_tokens.saturating_add(spent.output_tokens),
            Unit::Cost if self.limit.own_keys => spent.cost_with_own.0,
            Unit::Cost => spent.cost.0,
        };
        let used = i64::try_from(used).unwrap_or(i64::MAX);
        let passing = |add| Add { counter: bound.counter.clone(), add, expires: Some(bound.expires) };
        match self.limit.span {
            Span::Window { .. } | Span::Until(_) => vec![passing(used.saturating_sub(bound.add))],
            Span::Now | Span::Period(_) => {
                let kept = self.limit.used(&self.owner, opened);
                let kept = kept.map(|counter| Add { counter, add: used, expires: None });
                kept.into_iter().chain([passing(-bound.add)]).collect()
            }
        }
    }

    pub fn whom(&self) -> String {
        let (_, name) = self.owner.split_once(':').unwrap_or_default();
        match self.limit.per {
            Per::All => "all callers together".to_owned(),
            Per::Caller => "this key".to_owned(),
            Per::Project => format!("the project \"{name}\""),
            Per::User => "this user".to_owned(),
            Per::Tag => "requests with this tag".to_owned(),
            Per::Model => "all who ask for this model".to_owned(),
            Per::Token => "this token".to_owned(),
            Per::Provider => format!("all who are answered by {name}"),
        }
    }

    fn unpriced(&self) -> Error {
        Error::new(
            Kind::SpendCapReached,
            format!(
                "{} may spend {} and the price of the model is not known; add it under [prices] in the configuration, or \
                 allow `unpriced` models under the limit \"{}\"",
                self.whom(),
                Picodollars(self.limit.most),
                self.limit.name
            ),
        )
    }

    fn refusal(&self, sum: u64, expected: &Expected, (now, wait_ms): (Millis, Millis)) -> Error {
        let Self { limit, .. } = self;
        let most = limit.amount(limit.most);
        let wait = format!("try again in {}s", wait_ms.div_ceil(1000));
        let time = match limit.span.every() {
            None | Some(Every::Total) => "in all".to_owned(),
            Some(every @ (Every::Day | Every::Week | Every::Month)) => format!("a {} (UTC)", every.word()),
            Some(Every::Minute) => "a minute".to_owned(),
            Some(Every::Hour) => "an hour".to_owned(),
        };
        let whom = self.whom();
        let may_cost = expected.cost.unwrap_or_default();
        let anew = match limit.span {
            Span::Period(every) if every != Every::Total => {
                format!("; it begins anew at {}", written_instant(every.end(now)))
            }
            _ => String::new(),
        };
        match limit.unit {
            Unit::Cost => Error::new(
                Kind::SpendCapReached,
                format!(
                    "{whom} may spend {most} {time}; {} is spent or held by requests under way, and this request may cost \
                     {may_cost}{anew}",
                    Picodollars(sum)
                ),
            ),
            Unit::Requests => Error::new(Kind::RateLimited, format!("{whom} may make {most} {time}; {wait}")),
            Unit::Concurrent => {
                Error::new(Kind::RateLimited, format!("{whom} may have {most} under way; try again when one has ended"))
            }
            Unit::InputTokens | Unit::OutputTokens | Unit::Tokens => {
                let amount = limit.amount(self.amount(expected).unwrap_or_default());
                let left = limit.amount(limit.most.saturating_sub(sum));
                Error::new(
                    Kind::RateLimited,
                    format!(
                        "{whom} may use {most} {time}; {left} are left, and this request may take {amount}; {wait}"
                    ),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::rule::SLICES;
    use super::super::{Admission, decide};
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

    /// A small linear congruential generator: the seed is the case's number.
    struct Random(u64);

    impl Random {
        fn below(&mut self, most: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % most
        }
    }

    fn due(limit: Limit) -> Due {
        Due { limit: Arc::new(Limit { per: Per::Caller, ..limit }), owner: "a".to_owned() }
    }

    fn budget(most: u64) -> Due {
        due(Limit::of("spend-cap", Unit::Cost, most, Span::Period(Every::Month)))
    }

    fn cost(cost: u64) -> Expected {
        Expected { cost: Some(Picodollars(cost)), ..Expected::default() }
    }

    fn spent(cost: u64) -> Spent {
        let cost = Picodollars(cost);
        Spent { cost, cost_with_own: cost, ..Spent::default() }
    }

    fn requests(most: u64, slices: u64) -> Due {
        due(Limit::of("burst", Unit::Requests, most, Span::Window { every: Every::Minute, slices }))
    }

    #[test]
    fn a_minute_admits_exactly_its_requests() {
        let mut counters = Counters::default();
        let at = |now| Ticket::open("a", vec![requests(3, 1)], Expected::default(), now).unwrap();
        for sum in 1..=3 {
            assert_eq!(counters.admit(&at(59_000)), Admission::Admitted(vec![sum]));
        }
        let ticket = at(59_000);
        assert_eq!(counters.admit(&ticket), Admission::Refused(vec![3]));
        let refused = ticket.refusal(&[3]).unwrap();
        assert_eq!((refused.limit.name.as_str(), refused.error.retry_after), ("burst", Some(1)));
        assert_eq!(refused.error.message, "this key may make 3 requests a minute; try again in 1s");
        assert_eq!(counters.admit(&at(60_000)), Admission::Admitted(vec![1]));
    }

    #[test]
    fn no_window_that_slides_holds_more_than_the_limit_wherever_it_begins() {
        for seed in 0..50 {
            let (mut random, mut counters, mut now) = (Random(seed), Counters::default(), 1_000_000);
            let mut admitted: Vec<Millis> = Vec::new();
            let mut longest_ms = 0;
            for _ in 0..600 {
                now += random.below(4_000);
                let ticket = Ticket::open("a", vec![requests(10, SLICES)], Expected::default(), now).unwrap();
                match counters.admit(&ticket) {
                    Admission::Admitted(_) => admitted.push(now),
                    Admission::Refused(_) => {
                        let tenth = admitted[admitted.len() - 10];
                        longest_ms = longest_ms.max(now - tenth);
                    }
                }
            }
            for window in admitted.windows(11) {
                assert!(window[10] - window[0] >= 60_000, "seed {seed}: 11 in {} ms", window[10] - window[0]);
            }
            assert!(longest_ms < 60_000 + 60_000 / SLICES, "seed {seed}: still refused after {longest_ms} ms");
        }
    }

    #[test]
    fn tokens_are_taken_as_expected_and_corrected_to_what_they_were() {
        let window = Span::Window { every: Every::Minute, slices: 1 };
        let limits = || {
            vec![
                due(Limit::of("tpm", Unit::Tokens, 1_000, window)),
                due(Limit::of("pool", Unit::OutputTokens, 500, Span::Period(Every::Month))),
            ]
        };
        let expected = Expected { input_tokens: 300, output_tokens: 400, ..Expected::default() };
        let mut counters = Counters::default();
        let open = || Ticket::open("a", limits(), expected, 0).unwrap();
        let first = open();
        assert_eq!(counters.admit(&first), Admission::Admitted(vec![700, 400]));
        assert_eq!(counters.admit(&open()), Admission::Refused(vec![700]));
        counters.settle(first.close(&Spent { input_tokens: 200, output_tokens: 50, ..Spent::default() }));
        assert_eq!(counters.admit(&open()), Admission::Admitted(vec![950, 450]));
        let told = open().headers(&[950, 450]);
        let names: Vec<&str> = told.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), 6, "{names:?}");
        assert!(told.contains(&("x-ratelimit-remaining-tokens", "50".to_owned())));
        assert!(told.contains(&("x-ratelimit-reset-tokens", "60s".to_owned())));
        assert!(told.contains(&("x-ratelimit-remaining-output-tokens", "50".to_owned())));
    }

    #[test]
    fn of_several_limits_the_tightest_is_told_and_what_is_nearly_used_up() {
        let own = |name: &str, most, every, warn_at: &[u32]| {
            let span = Span::Window { every, slices: 1 };
            due(Limit { warn_at: warn_at.to_vec(), ..Limit::of(name, Unit::Requests, most, span) })
        };
        let limits = vec![own("wide", 100, Every::Minute, &[90]), own("tight", 200, Every::Hour, &[50, 75])];
        let ticket = Ticket::open("a", limits, Expected::default(), 0).unwrap();
        let told = ticket.headers(&[30, 160]);
        assert!(told.contains(&("x-ratelimit-limit-requests", "200".to_owned())), "{told:?}");
        assert!(told.contains(&("x-ratelimit-reset-requests", "3600s".to_owned())), "{told:?}");
        assert!(told.contains(&("x-tollgate-warning", "tight: 80 % used".to_owned())), "{told:?}");
    }

    #[test]
    fn as_many_are_under_way_as_may_be() {
        let mut counters = Counters::default();
        let open = || {
            Ticket::open("a", vec![due(Limit::of("few", Unit::Concurrent, 2, Span::Now))], Expected::default(), 0)
                .unwrap()
        };
        let (first, second, third) = (open(), open(), open());
        assert_eq!(counters.admit(&first), Admission::Admitted(vec![1]));
        assert_eq!(counters.admit(&second), Admission::Admitted(vec![2]));
        assert_eq!(counters.admit(&third), Admission::Refused(vec![2]));
        counters.settle(second.close(&Spent::default()));
        assert_eq!(counters.admit(&third), Admission::Admitted(vec![2]));
    }

    #[test]
    fn requests_under_way_count_against_the_cap() {
        let mut counters = Counters::default();
        let open = |worst| Ticket::open("a", vec![budget(100)], cost(worst), 0).unwrap();
        let (first, second) = (open(60), open(60));
        assert_eq!(counters.admit(&first), Admission::Admitted(vec![60]));
        assert_eq!(counters.admit(&second), Admission::Refused(vec![60]));
        counters.settle(first.close(&spent(10)));
        assert_eq!(counters.admit(&second), Admission::Admitted(vec![70]));
        counters.settle(second.close(&Spent::default()));
        assert_eq!(counters.admit(&open(90)), Admission::Admitted(vec![100]));
    }

    #[test]
    fn a_hold_that_nobody_settles_stops_counting() {
        let mut counters = Counters::default();
        let open = |now| Ticket::open("a", vec![budget(100)], cost(100), now).unwrap();
        assert!(matches!(counters.admit(&open(HOLD_MS - 1)), Admission::Admitted(_)));
        assert!(matches!(counters.admit(&open(HOLD_MS)), Admission::Refused(_)));
        assert!(matches!(counters.admit(&open(2 * HOLD_MS)), Admission::Admitted(_)));
    }

    #[test]
    fn a_request_without_a_price_is_refused_by_a_budget_that_does_not_allow_it() {
        let open = |unpriced| {
            let Due { limit, owner } = budget(100);
            let limit = Limit { unpriced, ..Arc::into_inner(limit).unwrap() };
            Ticket::open("a", vec![Due { limit: Arc::new(limit), owner }], Expected::default(), 0)
        };
        let refused = open(false).unwrap_err();
        assert_eq!(refused.headers(), [("x-tollgate-limit", "spend-cap".into()), ("x-should-retry", "false".into())]);
        assert_eq!(open(true).unwrap().held(false), Some(Picodollars(UNPRICED)));
    }

    #[test]
    fn what_callers_pay_themselves_counts_where_a_limit_says_so() {
        let Due { limit, owner } = budget(100);
        let limit = Limit { own_keys: true, name: "all".to_owned(), ..Arc::into_inner(limit).unwrap() };
        let places = vec![budget(100), Due { limit: Arc::new(limit), owner }];
        let expected = Expected { cost_with_own: Some(Picodollars(70)), ..cost(30) };
        let mut counters = Counters::default();
        let ticket = Ticket::open("a", places, expected, 0).unwrap();
        assert_eq!(counters.admit(&ticket), Admission::Admitted(vec![30, 70]));
        assert_eq!((ticket.held(false), ticket.held(true)), (Some(Picodollars(30)), Some(Picodollars(70))));
        let spent = Spent { cost: Picodollars(5), cost_with_own: Picodollars(60), ..Spent::default() };
        counters.settle(ticket.close(&spent));
        let used =
            |start: &str| counters.0.iter().filter(|(name, _)| name.starts_with(start)).map(|(_, sum)| sum).sum();
        let sums: [i64; 3] = [used("spend/"), used("used/"), used("hold/")];
        assert_eq!(sums, [5, 60, 0]);
    }

    #[test]
    fn no_order_of_requests_passes_any_bound_by_holds() {
        for seed in 0..200 {
            let mut random = Random(seed);
            let mut counters = Counters::default();
            let mut open: Vec<(Ticket, u64)> = Vec::new();
            let daily = || due(Limit::of("daily", Unit::Cost, 70, Span::Period(Every::Day)));
            for _ in 0..300 {
                if !open.is_empty() && random.below(2) == 0 {
                    let (ticket, worst) = open.swap_remove(random.below(open.len() as u64) as usize);
                    counters.settle(ticket.close(&spent(random.below(worst + 1))));
                } else {
                    let worst = random.below(40);
                    let ticket = Ticket::open("a", vec![budget(100), daily()], cost(worst), 0).unwrap();
                    if let Admission::Admitted(sums) = counters.admit(&ticket) {
                        assert!(sums[0] <= 100 && sums[1] <= 70, "seed {seed}: {sums:?}");
                        open.push((ticket, worst));
                    }
                }
            }
            for (ticket, _) in open {
                counters.settle(ticket.close(&Spent::default()));
            }
            let held: i64 = counters.0.iter().filter(|(name, _)| name.starts_with("hold/")).map(|(_, sum)| sum).sum();
            assert_eq!(held, 0, "seed {seed}: all that was held is given back");
        }
    }
}
