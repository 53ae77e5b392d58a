//! Room that a process has set aside beforehand, so that most requests of a busy owner are decided without asking for it.
//!
//! What is set aside has been added to its counter like all else. So all that processes have set aside and all that is used
//! together never pass a limit, whoever dies. What is set aside in one place and not used there is missing in another: so it is
//! at most what requests took lately, and an eighth of what was left, and goes back when no request has come for [`IDLE_MS`].

use super::{Add, Bound};
use crate::host::Millis;
use crate::named::Named;

/// What this process has set aside, by counter.
#[derive(Debug, Default)]
pub struct Leases {
    /// By the counter's name without its end.
    each: Named<Lease>,
    /// Of counters that have ended meanwhile; not yet given back.
    back: Vec<Add>,
    tidied_until: Millis,
}

/// Of a counter and those that are summed with it.
#[derive(Debug, Default)]
struct Lease {
    bound: Option<Bound>,
    /// Added to the counter, and no request's.
    spare: i64,
    /// Until when nobody asks for more, because somebody is asking; and until when what one has asked for besides may come.
    asked_until: Millis,
    coming_until: Millis,
    /// The sum when it was last told, corrected by what this process has added since.
    sum: i64,
    told: Millis,
    /// When a request last took of it.
    taken: Millis,
    /// What requests took in this spell, and in the one before.
    spell: Millis,
    amount: i64,
    amount_before: i64,
}

/// What one request takes of leases, and what is to be asked for it.
#[derive(Debug)]
pub struct Claim {
    /// Of each bound.
    takes: Vec<i64>,
    /// To set aside besides.
    more: Vec<i64>,
    /// Whether nobody has to be asked.
    pub is_covered: bool,
}

/// So long a sum is believed, and what requests take is counted.
pub const TOLD_MS: Millis = 10_000;
/// After so long without a request what is set aside goes back.
pub const IDLE_MS: Millis = 5_000;
/// Who asks is answered by then, or not at all.
const ASKED_MS: Millis = 5_000;
/// Of more counters than this those are forgotten of which nothing is set aside.
const EACH_MAX: usize = 256;
/// So many of those of other owners go along with a settlement.
const BACK_MAX: usize = 8;
/// No more than this part of what is left is set aside at once.
const PART: i64 = 8;

impl Lease {
    fn is_of(&self, counter: &str) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.counter == counter)
    }

    /// How much it is good to have set aside.
    fn wanted(&self) -> i64 {
        let limit = self.bound.as_ref().map_or(0, |bound| bound.limit);
        let left = limit.saturating_sub(self.sum).max(0);
        self.amount.max(self.amount_before).min(left / PART)
    }

    fn spare_back(&mut self) -> Option<Add> {
        let spare = std::mem::take(&mut self.spare);
        self.sum = self.sum.saturating_sub(spare);
        let bound = self.bound.as_ref().filter(|_| spare > 0)?;
        Some(back(&bound.counter, spare, bound.expires))
    }
}

impl Claim {
    /// What is asked for: what leases do not cover, and with `more` what is to be set aside.
    pub fn asked(&self, bounds: &[Bound], more: bool) -> Vec<Bound> {
        let each = bounds.iter().zip(&self.takes).zip(&self.more);
        each.map(|((bound, taken), extra)| Bound {
            add: bound.add.saturating_sub(*taken).saturating_add(if more { *extra } else { 0 }),
            ..bound.clone()
        })
        .collect()
    }

    /// Whether it would set anything aside.
    pub fn has_more(&self) -> bool {
        self.more.iter().any(|more| *more > 0)
    }

    /// Whether leases have room for all of it, also where they have not heard from their counters for long.
    pub fn has_room(&self, bounds: &[Bound]) -> bool {
        !bounds.is_empty() && bounds.iter().zip(&self.takes).all(|(bound, taken)| bound.add > 0 && *taken == bound.add)
    }
}

impl Leases {
    /// Takes what there is for `bounds`, which are one owner's. It belongs to the request until [`Self::granted`] or
    /// [`Self::returned`].
    pub fn claim(&mut self, bounds: &[Bound], now: Millis) -> Claim {
        if self.each.len() > EACH_MAX {
            self.forget(now);
        }
        let mut claim = Claim { takes: Vec::new(), more: Vec::new(), is_covered: true };
        let back = &mut self.back;
        for bound in bounds {
            self.each.change(key(&bound.counter), |lease| {
                if !lease.is_of(&bound.counter) {
                    let is_on = lease.bound.as_ref().is_some_and(|old| old.expires > now);
                    back.extend(lease.spare_back().filter(|_| is_on));
                    (lease.sum, lease.told, lease.asked_until, lease.coming_until) = (0, 0, 0, 0);
                }
                lease.bound = Some(bound.clone());
                if now.saturating_sub(lease.spell) >= TOLD_MS {
                    let is_next = now.saturating_sub(lease.spell) < 2 * TOLD_MS;
                    lease.amount_before = if is_next { lease.amount } else { 0 };
                    (lease.spell, lease.amount) = (now, 0);
                }
                let taken = bound.add.min(lease.spare).max(0);
                lease.spare -= taken;
                let is_fresh = now.saturating_sub(lease.told) < TOLD_MS && lease.sum <= bound.limit;
                claim.is_covered &= is_fresh && taken == bound.add;
                claim.takes.push(taken);
                // Of many that ask at once only one asks for more: what it is told, all would have gone by.
                let more = lease.wanted().saturating_sub(lease.spare).max(0);
                claim.more.push(if lease.asked_until <= now { more } else { 0 });
            });
        }
        if !claim.is_covered {
            self.each_of(bounds, &claim, |lease, more| {
                lease.asked_until = now + ASKED_MS;
                lease.coming_until = if more > 0 { now + ASKED_MS } else { lease.coming_until };
            });
        }
        claim
    }

    /// Changes the leases of these counters, each with what is asked for to set aside.
    fn each_of(&mut self, bounds: &[Bound], claim: &Claim, change: impl Fn(&mut Lease, i64)) {
        for (bound, more) in bounds.iter().zip(&claim.more) {
            if let Some(lease) = self.of_mut(&bound.counter) {
                change(lease, *more);
            }
        }
    }

    /// What a claim has asked for is granted, or will not be.
    pub fn answered(&mut self, bounds: &[Bound], claim: &Claim) {
        self.each_of(bounds, claim, |lease, more| {
            lease.asked_until = 0;
            lease.coming_until = if more > 0 { 0 } else { lease.coming_until };
        });
    }

    /// Whether another request may be about to set aside what one lacks that was refused.
    pub fn is_coming(&self, bounds: &[Bound], now: Millis) -> bool {
        bounds.iter().any(|bound| {
            let lease = self.of(&bound.counter);
            lease.is_some_and(|lease| lease.coming_until > now)
        })
    }

    /// Takes also the rest, if that has become spare while it was asked for. Whether the claim now has room.
    pub fn takes_rest(&mut self, bounds: &[Bound], claim: &mut Claim) -> bool {
        let rest = |(bound, taken): (&Bound, &i64)| bound.add.saturating_sub(*taken);
        let rests: Vec<i64> = bounds.iter().zip(&claim.takes).map(rest).collect();
        let has = |leases: &Self, (bound, rest): (&Bound, &i64)| {
            let lease = leases.of(&bound.counter);
            lease.is_some_and(|lease| lease.spare >= *rest)
        };
        if rests.iter().all(|rest| *rest == 0) || !bounds.iter().zip(&rests).all(|due| has(self, due)) {
            return false;
        }
        for ((bound, rest), taken) in bounds.iter().zip(&rests).zip(&mut claim.takes) {
            if let Some(lease) = self.each.get_mut(key(&bound.counter)) {
                lease.spare -= rest;
                *taken += rest;
            }
        }
        true
    }

    /// The request has its place. `sums` are those after what was asked for, with `more` or without it; `None` where nobody was
    /// asked. Returns the sums without what is set aside here.
    pub fn granted(&mut self, bounds: &[Bound], claim: &Claim, asked: Option<(&[i64], bool)>, now: Millis) -> Vec<i64> {
        self.answered(bounds, claim);
        let mut told = Vec::with_capacity(bounds.len());
        for (at, bound) in bounds.iter().enumerate() {
            let more = claim.more.get(at).copied().unwrap_or(0);
            let sum = asked.and_then(|(sums, _)| sums.get(at).copied());
            let Some(lease) = self.of_mut(&bound.counter) else {
                // Meanwhile another has begun; what was to be set aside is nobody's.
                if more > 0 && asked.is_some_and(|(_, more)| more) {
                    self.back.push(back(&bound.counter, more, bound.expires));
                }
                told.push(sum.unwrap_or(bound.add));
                continue;
            };
            if let Some(sum) = sum {
                (lease.sum, lease.told) = (sum, now);
                if asked.is_some_and(|(_, more)| more) {
                    lease.spare = lease.spare.saturating_add(more);
                }
            }
            lease.taken = now;
            lease.amount = lease.amount.saturating_add(bound.add);
            told.push(lease.sum.saturating_sub(lease.spare));
        }
        told
    }

    /// The request has no place: what it took is spare again, and what was asked for it, with `more` or without it, goes back.
    pub fn returned(&mut self, bounds: &[Bound], claim: &Claim, asked: Option<bool>) {
        self.answered(bounds, claim);
        for (bound, taken) in bounds.iter().zip(&claim.takes) {
            self.put_back(bound, *taken);
        }
        if let Some(more) = asked {
            let asked = claim.asked(bounds, more).into_iter();
            self.back.extend(asked.map(|Bound { counter, add, expires, .. }| back(&counter, add, expires)));
        }
    }

    fn put_back(&mut self, bound: &Bound, amount: i64) {
        if amount == 0 {
            return;
        }
        match self.of_mut(&bound.counter) {
            Some(lease) => lease.spare = lease.spare.saturating_add(amount),
            None => {
                self.back.push(back(&bound.counter, amount, bound.expires));
            }
        }
    }

    /// What is to be added when requests have ended: of what these give back, leases keep what is good to have.
    pub fn settled(&mut self, adds: Vec<Add>) -> Vec<Add> {
        let mut due = Vec::with_capacity(adds.len());
        for mut add in adds {
            if add.add < 0
                && add.expires.is_some()
                && let Some(lease) = self.of_mut(&add.counter)
            {
                // What it has too much of goes along.
                let kept = lease.wanted().saturating_sub(lease.spare).min(add.add.saturating_neg());
                lease.spare = lease.spare.saturating_add(kept);
                add.add = add.add.saturating_add(kept);
            }
            if add.add != 0 {
                due.push(add);
            }
        }
        for add in &due {
            self.note(add);
        }
        due.extend(self.back.drain(..self.back.len().min(BACK_MAX)));
        due
    }

    /// What no request has used for a while, to be given back, so many at most.
    pub fn idle(&mut self, now: Millis, most: usize) -> Vec<Add> {
        let mut due: Vec<Add> = self.back.drain(..self.back.len().min(most)).collect();
        self.each.each_mut(|lease| {
            if due.len() < most && now.saturating_sub(lease.taken) >= IDLE_MS {
                due.extend(lease.spare_back());
            }
        });
        self.forget(now);
        due
    }

    /// What says nothing any more.
    fn forget(&mut self, now: Millis) {
        let last = |lease: &Lease| lease.taken.max(lease.asked_until).max(lease.spell);
        self.each.retain(|lease| lease.spare > 0 || now.saturating_sub(last(lease)) < 2 * TOLD_MS);
    }

    /// The sums as they were last told, without what is set aside here.
    pub fn sums(&self, bounds: &[Bound]) -> Vec<i64> {
        let sum = |bound: &Bound| {
            let lease = self.of(&bound.counter);
            lease.map_or(0, |lease| lease.sum.saturating_sub(lease.spare))
        };
        bounds.iter().map(sum).collect()
    }

    /// Whether the one who asks is to give back what is idle, until then; nobody else is told so meanwhile, but towards the end,
    /// when what it has just used would not be idle in time.
    pub fn begin_tidying(&mut self, now: Millis, until: Millis) -> bool {
        let is_free = self.tidied_until <= now + 2 * IDLE_MS && self.has_any();
        if is_free {
            self.tidied_until = until;
        }
        is_free
    }

    /// Nobody gives back any more.
    pub fn end_tidying(&mut self) {
        self.tidied_until = 0;
    }

    /// Whether anything is set aside, or waits to be given back.
    pub fn has_any(&self) -> bool {
        !self.back.is_empty() || self.each.values().any(|lease| lease.spare > 0)
    }

    fn of(&self, counter: &str) -> Option<&Lease> {
        self.each.get(key(counter)).filter(|lease| lease.is_of(counter))
    }

    fn of_mut(&mut self, counter: &str) -> Option<&mut Lease> {
        self.each.get_mut(key(counter)).filter(|lease| lease.is_of(counter))
    }

    /// The sums of which `add` is a part.
    fn note(&mut self, add: &Add) {
        self.each.each_mut(|lease| {
            let Some(bound) = &lease.bound else { return };
            if bound.counter == add.counter || bound.with.contains(&add.counter) {
                lease.sum = lease.sum.saturating_add(add.add);
            }
        });
    }
}

fn back(counter: &str, amount: i64, expires: Millis) -> Add {
    Add { counter: counter.to_owned(), add: amount.saturating_neg(), expires: Some(expires) }
}

/// A counter's name without its end.
fn key(counter: &str) -> &str {
    counter.rsplit_once('/').map_or(counter, |(key, _)| key)
}
