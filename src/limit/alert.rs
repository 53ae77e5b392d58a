//! Telling once that a budget is nearly used up, or is: what is told, and that nobody tells it again.

use super::Bound;
use super::rule::{Due, Span, Unit};
use crate::host::Millis;
use crate::limit::calendar::written_instant;
use crate::price::{Dollars, Picodollars};
use crate::wire::json::{Write, written};

/// That of a limit's period some share is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The counter that lets one of all processes tell it: nobody may add to it twice before the period ends.
    pub told: Bound,
    /// Without where it is sent, and when.
    data: Data,
    is_refused: bool,
}

written! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Data {
        limit: String,
        /// `caller`, `user` and so on.
        per: super::rule::Per,
        /// Whose it is, as counters call it.
        owner: String,
        /// How much is used, in percent, and the share that this is told for.
        percent: u64,
        share: u32,
        /// `cost` in dollars.
        unit: Unit,
        used: Amount,
        most: Amount,
        period_ends?: Option<String>,
    }

    struct Event<'a> {
        r#type as "type": &'static str,
        timestamp: String,
        data: &'a Data,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Amount {
    Dollars(u64),
    Count(u64),
}

impl Write for Amount {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Dollars(picodollars) => Dollars(Picodollars(*picodollars)).write(out),
            Self::Count(count) => count.write(out),
        }
    }
}

impl Alert {
    /// What is to be told of a limit of days or longer, of which `used` is used without the request that finds it so; where that was
    /// refused, all of it is. `shares` are in percent.
    pub fn of(due: &Due, shares: &[u32], used: u64, is_refused: bool, now: Millis) -> Option<Self> {
        let Due { limit, owner } = due;
        let Span::Period(every) = limit.span else { return None };
        let percent = u128::from(used) * 100 / u128::from(limit.most.max(1));
        let percent = u64::try_from(percent).unwrap_or(u64::MAX);
        let reached = |share: &&u32| u64::from(**share) <= percent;
        let share = if is_refused { 100 } else { *shares.iter().filter(reached).max()? };
        let ends = every.end(now);
        // The end is told also where the last share was told before.
        let what = if is_refused { "reached".to_owned() } else { share.to_string() };
        let counter = format!("rate/{owner}/{}!{what}/{ends}", limit.name);
        let told = Bound { counter, add: 1, with: Vec::new(), limit: 1, expires: ends };
        let amount = |amount| if limit.unit == Unit::Cost { Amount::Dollars(amount) } else { Amount::Count(amount) };
        let period_ends = (ends < Millis::MAX).then(|| written_instant(ends));
        let data = Data {
            limit: limit.name.clone(),
            per: limit.per,
            owner: owner.clone(),
            percent,
            share,
            unit: limit.unit,
            used: amount(used),
            most: amount(limit.most),
            period_ends,
        };
        Some(Self { told, data, is_refused })
    }

    /// The name of the limit.
    pub fn limit(&self) -> &str {
        &self.data.limit
    }

    /// The body of what is sent.
    pub fn body(&self, now: Millis) -> Vec<u8> {
        let r#type = if self.is_refused { "limit.reached" } else { "limit.warning" };
        crate::wire::json::to_vec(&Event { r#type, timestamp: written_instant(now), data: &self.data })
    }
}

/// What a process has to tell, and what it need not ask again whether it was told.
#[derive(Debug, Default)]
pub struct Alerts {
    due: Vec<Alert>,
    known: Vec<(String, Millis)>,
}

/// So many wait to be sent, and of so many it is known that they were told. Of more the counters know it.
const DUE_MAX: usize = 100;
const KNOWN_MAX: usize = 1_000;

impl Alerts {
    pub fn notice(&mut self, alert: Alert, now: Millis) {
        let Bound { counter, expires, .. } = &alert.told;
        if self.due.len() >= DUE_MAX || self.known.iter().any(|(known, _)| known == counter) {
            return;
        }
        if self.known.len() >= KNOWN_MAX {
            self.known.retain(|(_, expires)| *expires > now);
            self.known.truncate(KNOWN_MAX - 1);
        }
        self.known.push((counter.clone(), *expires));
        self.due.push(alert);
    }

    pub fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// The one that waits the longest.
    pub fn take(&mut self) -> Option<Alert> {
        (!self.due.is_empty()).then(|| self.due.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::rule::{Every, Limit, Per};
    use super::*;

    /// 2026-11-21, noon.
    const NOW: Millis = 1_795_262_400_000;

    fn alert(unit: Unit, span: Span, used: u64, is_refused: bool) -> Option<Alert> {
        let limit = Limit { per: Per::Caller, ..Limit::of("cap", unit, 200, span) };
        let due = Due { limit: Arc::new(limit), owner: "ann".to_owned() };
        Alert::of(&due, &[50, 75, 100], used, is_refused, NOW)
    }

    #[test]
    fn the_highest_share_that_is_reached_is_told_once() {
        let month = Span::Period(Every::Month);
        let counter = |used, refused| alert(Unit::Requests, month, used, refused).map(|alert| alert.told.counter);
        assert_eq!(counter(99, false), None);
        assert_eq!(counter(100, false).as_deref(), Some("rate/ann/cap!50/1796083200000"));
        assert_eq!(counter(149, false), counter(100, false));
        assert_eq!(counter(150, false).as_deref(), Some("rate/ann/cap!75/1796083200000"));
        assert_eq!(counter(150, true).as_deref(), Some("rate/ann/cap!reached/1796083200000"));
        assert_eq!(alert(Unit::Requests, Span::Window { every: Every::Minute, slices: 1 }, 200, false), None);
        let mut alerts = Alerts::default();
        for used in [99, 100, 120, 150, 100] {
            if let Some(alert) = alert(Unit::Requests, month, used, false) {
                alerts.notice(alert, NOW);
            }
        }
        assert!(alerts.take().is_some() && alerts.take().is_some() && alerts.take().is_none());
    }

    #[test]
    fn more_than_can_be_remembered_is_left_to_the_counters() {
        let mut alerts = Alerts::default();
        for number in 0..3_000 {
            let mut alert = alert(Unit::Requests, Span::Period(Every::Day), 200, false).unwrap();
            alert.told.counter = format!("rate/{number}");
            alerts.notice(alert, NOW);
            assert!(alerts.due.len() <= DUE_MAX && alerts.known.len() <= KNOWN_MAX);
            if number % 50 == 0 {
                while alerts.take().is_some() {}
            }
        }
    }

    #[test]
    fn what_is_told_has_amounts_in_their_units() {
        let told = |unit, every, is_refused| {
            let alert = alert(unit, Span::Period(every), 150, is_refused).unwrap();
            String::from_utf8(alert.body(NOW)).unwrap()
        };
        assert_eq!(
            told(Unit::Tokens, Every::Day, false),
            concat!(
                r#"{"type":"limit.warning","timestamp":"2026-11-21T12:00:00Z","data":{"limit":"cap","per":"caller","owner":"ann","#,
                r#""percent":75,"share":75,"unit":"tokens","used":150,"most":200,"period_ends":"2026-11-22T00:00:00Z"}}"#
            )
        );
        let reached = told(Unit::Cost, Every::Total, true);
        assert!(reached.contains(r#""type":"limit.reached""#) && !reached.contains("period_ends"), "{reached}");
        assert!(reached.contains(r#""used":0.00000000015,"most":0.0000000002"#), "{reached}");
    }
}
