//! Who is asked next, within what one request may spend on attempts. Pure: it is told what came of each attempt.

use std::collections::VecDeque;
use std::sync::Arc;

use super::class::Class;
use super::dice::Dice;
use super::health::{Health, Key, Standing};
use super::order::Candidate;
use super::policy::{Hedge, Policy};
use crate::config::Target;
use crate::host::Millis;

/// The targets of one request that may still be asked.
#[derive(Debug)]
pub struct Plan {
    waiting: VecDeque<Candidate>,
    policy: Arc<Policy>,
    /// How many attempts have begun, and when the first did.
    asked: u32,
    began: Option<Millis>,
    /// How often each was asked again: two may be under way.
    retried: Vec<(Key, u32)>,
    /// When the answer must have ended.
    until: Millis,
    dice: Dice,
}

/// What came of an attempt that gave no answer.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    pub class: Class,
    pub status: Option<u16>,
    /// How long the target wants to be left alone.
    pub wait_ms: Option<Millis>,
}

/// What to do after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The caller is told of it.
    Stop,
    /// [`Plan::next`] is asked.
    Next,
    /// The same target is asked again, after so long.
    Again(Millis),
}

/// Nobody is kept waiting longer for a target to be asked again.
const PAUSE_MS_MAX: Millis = 30_000;

impl Plan {
    pub fn new(candidates: Vec<Candidate>, policy: Arc<Policy>, dice: Dice) -> Self {
        let retried = Vec::new();
        Self { waiting: candidates.into(), policy, asked: 0, began: None, retried, until: Millis::MAX, dice }
    }

    /// No attempt begins at `until` or later: whoever was asked then would be given no time.
    #[must_use]
    pub fn until(self, until: Millis) -> Self {
        Self { until, ..self }
    }

    /// Who would be asked, in order.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.waiting.iter()
    }

    /// Takes the next one out, if another attempt may begin. It is taken to begin now.
    pub fn next(&mut self, now: Millis) -> Option<Arc<Target>> {
        if !self.may_begin(now) {
            return None;
        }
        let candidate = self.waiting.pop_front()?;
        self.begin(now);
        Some(candidate.target)
    }

    /// The same for one who is asked beside `first`: another than that, by whatever key, where there is one.
    pub fn beside(&mut self, first: &Target, now: Millis) -> Option<Arc<Target>> {
        self.put_back(first);
        self.next(now)
    }

    /// Puts the other keys of a target behind all others, whose order stays.
    fn put_back(&mut self, target: &Target) {
        let is_same = |candidate: &Candidate| candidate.target.is_same(target);
        // Stable, and whoever is down stays behind whoever is not.
        self.waiting.make_contiguous().sort_by_key(|candidate| (candidate.standing, is_same(candidate)));
    }

    /// The one that was taken out last was sent nothing after all.
    pub fn unasked(&mut self) {
        self.asked = self.asked.saturating_sub(1);
    }

    /// How much longer to wait for `first`, which was asked at `began`, until another is asked beside it; `None` where no
    /// other is.
    pub fn hedge_ms(&self, first: Key, began: Millis, health: &Health, now: Millis) -> Option<Millis> {
        // One that is left alone is asked when nobody else is left, and not for a little haste.
        let next_is_up = self.waiting.front().is_some_and(|next| next.standing == Standing::Up);
        let hedge = self.policy.hedge.filter(|_| next_is_up && self.may_begin(now))?;
        let after_ms = match hedge {
            Hedge::After(after_ms) => after_ms,
            Hedge::Percentile(percent) => health.first_byte_within(first, percent)?,
        };
        Some(began.saturating_add(after_ms).saturating_sub(now))
    }

    /// What follows on a failure of `target`.
    pub fn after(&mut self, target: &Target, failure: Failure, now: Millis) -> Then {
        // What a caller's own key meets is no reason to refuse it the gateway's, whatever the operator wants of that.
        let is_own = target.own.is_some() && failure.class.is_of_account();
        if !is_own && !self.policy.fall.falls(failure.class, failure.status) {
            return Then::Stop;
        }
        if failure.class == Class::Context {
            // Whoever has no more room would only say the same.
            self.waiting.retain(|other| match (other.target.known.context, target.known.context) {
                (Some(window), Some(full)) => window > full,
                _ => other.target.model != target.model,
            });
        }
        let retried = self.retried.iter().find(|(key, _)| *key == target.key).map_or(0, |(_, times)| *times);
        if !failure.class.is_of_account() {
            // What ails the server ails it whichever key is shown.
            self.put_back(target);
        }
        match self.pause(retried, failure, now) {
            Some(pause) => {
                self.begin(now);
                self.retried.retain(|(key, _)| *key != target.key);
                self.retried.push((target.key, retried.saturating_add(1)));
                Then::Again(pause)
            }
            None => Then::Next,
        }
    }

    /// How long to wait before a target is asked again that was so often already; `None` where it should not be.
    fn pause(&mut self, retried: u32, failure: Failure, now: Millis) -> Option<Millis> {
        let budget = self.policy.budget;
        if retried >= budget.retries || !failure.class.passes() || !self.may_begin(now) {
            return None;
        }
        let backoff = budget.retry_ms.saturating_mul(1 << retried.min(16));
        // Half of it by chance, so that those who failed together do not come back together.
        let backoff = backoff - self.dice.below(backoff / 2 + 1);
        let pause = failure.wait_ms.unwrap_or_default().max(backoff);
        (pause <= PAUSE_MS_MAX && self.may_begin(now.saturating_add(pause))).then_some(pause)
    }

    fn may_begin(&self, now: Millis) -> bool {
        let budget = self.policy.budget;
        let spent_ms = self.began.map_or(0, |began| now.saturating_sub(began));
        self.asked < budget.attempts && spent_ms < budget.ms && now < self.until
    }

    fn begin(&mut self, now: Millis) {
        self.asked = self.asked.saturating_add(1);
        self.began.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Provider;
    use crate::route::health::{Measure, Standing};
    use crate::route::policy::Budget;

    const NOW: Millis = 1_000_000;
    const BUSY: Failure = Failure { class: Class::ServerError, status: Some(500), wait_ms: None };

    fn plan(names: &[&str], budget: Budget) -> Plan {
        let candidate = |name: &&str| {
            let provider = Provider::built_in(name, Vec::new());
            let (key, provider) = (Key::of(name, "m", 0), Arc::new(provider));
            let target = Target { provider, model: "m".to_owned(), account: 0, own: None, known: Arc::default(), key };
            Candidate {
                target: Arc::new(target),
                weight: 1,
                share_permille: 1000,
                standing: Standing::Up,
                measure: Measure::default(),
                cost: None,
            }
        };
        let policy = Policy { budget, ..Policy::default() };
        Plan::new(names.iter().map(candidate).collect(), Arc::new(policy), Dice::new(1))
    }

    #[test]
    fn each_target_is_asked_again_as_often_as_it_may_be() {
        let mut plan = plan(&["a", "b"], Budget { attempts: 9, ms: 60_000, retries: 1, retry_ms: 100 });
        let first = plan.next(NOW).unwrap();
        assert!(matches!(plan.after(&first, BUSY, NOW), Then::Again(50..=100)));
        // Asked beside it.
        let second = plan.next(NOW).unwrap();
        assert_eq!(plan.after(&first, BUSY, NOW), Then::Next, "it had its turn, whoever else was asked meanwhile");
        assert!(matches!(plan.after(&second, BUSY, NOW), Then::Again(_)), "and the other has its own");
        assert_eq!(plan.after(&second, BUSY, NOW), Then::Next);
        assert!(plan.next(NOW).is_none());
    }

    #[test]
    fn what_ails_a_server_is_not_tried_with_its_other_keys_first() {
        let keys = |class| {
            let mut plan = plan(&["a", "b", "c"], Budget { attempts: 9, ms: 60_000, retries: 0, retry_ms: 100 });
            let first = plan.next(NOW).unwrap();
            // The second is another key of the first.
            let twin = Target { account: 1, key: Key::of("a", "m", 1), ..first.other() };
            plan.waiting[0].target = Arc::new(twin);
            plan.after(&first, Failure { class, status: None, wait_ms: None }, NOW);
            plan.next(NOW).unwrap().provider.name.clone()
        };
        assert_eq!(keys(Class::ServerError), "c");
        assert_eq!(keys(Class::Timeout), "c");
        assert_eq!(keys(Class::RateLimit), "a");
        assert_eq!(keys(Class::Key), "a");
    }

    impl Target {
        fn other(&self) -> Self {
            let Self { provider, model, account, own, known, key } = self;
            Self {
                provider: provider.clone(),
                model: model.clone(),
                account: *account,
                own: own.clone(),
                known: known.clone(),
                key: *key,
            }
        }
    }

    #[test]
    fn neither_attempts_nor_time_are_overdrawn() {
        let budget = Budget { attempts: 2, ms: 60_000, retries: 5, retry_ms: 100 };
        let mut few = plan(&["a", "b", "c"], budget);
        let first = few.next(NOW).unwrap();
        assert!(matches!(few.after(&first, BUSY, NOW), Then::Again(_)));
        assert_eq!(few.after(&first, BUSY, NOW), Then::Next);
        assert!(few.next(NOW).is_none());
        few.unasked();
        assert!(few.next(NOW + 59_999).is_some(), "one that was sent nothing cost nothing");
        let mut late = plan(&["a", "b"], budget);
        let first = late.next(NOW).unwrap();
        assert_eq!(late.after(&first, BUSY, NOW + 59_950), Then::Next, "no time to wait for");
        assert!(late.next(NOW + 60_000).is_none());
    }
}
