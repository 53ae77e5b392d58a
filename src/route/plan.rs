//! Who is asked next, within what one request may spend on attempts. Pure: it is told what came of each attempt.

use std::collections::VecDeque;
use std::sync::Arc;

use super::class::Class;
use super::dice::Dice;
use super::health::{Health, Key};
use super::order::Candidate;
use super::policy::{Budget, Hedge, Policy};
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
    /// Attempts at the target that was asked last, after its first.
    retried: u32,
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
        Self { waiting: candidates.into(), policy, asked: 0, began: None, retried: 0, dice }
    }

    /// Who would be asked, in order.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.waiting.iter()
    }

    /// Whether anybody could be asked after the first.
    pub fn has_others(&self) -> bool {
        let Budget { attempts, retries, .. } = self.policy.budget;
        attempts > 1 && (self.waiting.len() > 1 || retries > 0)
    }

    /// Takes the next one out, if another attempt may begin. It is taken to begin now.
    pub fn next(&mut self, now: Millis) -> Option<Arc<Target>> {
        if !self.may_begin(now) {
            return None;
        }
        let candidate = self.waiting.pop_front()?;
        self.begin(now);
        self.retried = 0;
        Some(candidate.target)
    }

    /// The one that was taken out last was sent nothing after all.
    pub fn unasked(&mut self) {
        self.asked = self.asked.saturating_sub(1);
    }

    /// How much longer to wait for `first`, which was asked at `began`, until another is asked beside it; `None` where no
    /// other is.
    pub fn hedge_ms(&self, first: Key, began: Millis, health: &Health, now: Millis) -> Option<Millis> {
        let hedge = self.policy.hedge.filter(|_| !self.waiting.is_empty() && self.may_begin(now))?;
        let after_ms = match hedge {
            Hedge::After(after_ms) => after_ms,
            Hedge::Percentile(percent) => health.first_byte_within(first, percent)?,
        };
        Some(began.saturating_add(after_ms).saturating_sub(now))
    }

    /// What follows on a failure of `target`.
    pub fn after(&mut self, target: &Target, failure: Failure, now: Millis) -> Then {
        if !self.policy.fall.falls(failure.class, failure.status) {
            return Then::Stop;
        }
        if failure.class == Class::Context {
            // Whoever has no more room would only say the same.
            self.waiting.retain(|other| match (other.target.known.context, target.known.context) {
                (Some(window), Some(full)) => window > full,
                _ => other.target.model != target.model,
            });
        }
        match self.pause(failure, now) {
            Some(pause) => {
                self.begin(now);
                self.retried = self.retried.saturating_add(1);
                Then::Again(pause)
            }
            None => Then::Next,
        }
    }

    /// How long to wait before the same target is asked again; `None` where it should not be.
    fn pause(&mut self, failure: Failure, now: Millis) -> Option<Millis> {
        let budget = self.policy.budget;
        if self.retried >= budget.retries || !failure.class.passes() || !self.may_begin(now) {
            return None;
        }
        let backoff = budget.retry_ms.saturating_mul(1 << self.retried.min(16));
        // Half of it by chance, so that those who failed together do not come back together.
        let backoff = backoff - self.dice.below(backoff / 2 + 1);
        let pause = failure.wait_ms.unwrap_or_default().max(backoff);
        (pause <= PAUSE_MS_MAX && self.may_begin(now.saturating_add(pause))).then_some(pause)
    }

    fn may_begin(&self, now: Millis) -> bool {
        let budget = self.policy.budget;
        let spent_ms = self.began.map_or(0, |began| now.saturating_sub(began));
        self.asked < budget.attempts && spent_ms < budget.ms
    }

    fn begin(&mut self, now: Millis) {
        self.asked = self.asked.saturating_add(1);
        self.began.get_or_insert(now);
    }
}
