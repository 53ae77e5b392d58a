//! Counters where the store has no increments and shows writes late: each process adds to its own copy, which it writes as a key
//! of its own (`shard/DAY/PROCESS`), and sums those of the others.

use super::calendar::day;
use super::{Add, Admission, Bound, decide};
use crate::host::Millis;
use crate::named::Named;

/// What one process has counted, and what it knows of the others.
#[derive(Debug, Default)]
pub struct Shard {
    /// By day, since each day's key is written until the day is over.
    own: Named<Named<i64>>,
    passing: Named<(i64, Millis)>,
    /// By day.
    others: Named<Named<i64>>,
    /// When the others' were last read, and when that was last tried.
    heard: Option<Millis>,
    heard_all: Millis,
    listened: Millis,
    /// When a reading that is under way was begun.
    listening: Option<Millis>,
    reads: Ration,
    /// Days whose key is behind.
    behind: Vec<String>,
    /// When a key that is under way was begun.
    writing: Option<Millis>,
    written: Millis,
    writes: Ration,
}

/// How often something may be done that is short: [`BURST`] times at once, and then every [`EACH_MS`].
///
/// KV's free plan has 1,000 writes and 1,000 lists a day. One process that is busy all day takes 60 + 600 of them.
#[derive(Debug, Default, Clone, Copy)]
struct Ration {
    /// When all of it will be there again.
    full: Millis,
}

/// Of all keys that hold counters.
pub const PREFIX: &str = "shard/";
/// When a day has been over for so long, its keys are hardly written any more, or seen as they were before.
const SETTLING_MS: Millis = 900_000;
/// After so long all days are read again: who had nothing to do for hours may have written one late.
const ALL_MS: Millis = 6 * 3_600_000;
pub const EACH_MS: Millis = 144_000;
pub const BURST: Millis = 60;
/// Between two writes there is at least as much.
pub const PAUSE_MS: Millis = 5_000;
/// A write that is not heard of for so long has gone with its request.
const LOST_MS: Millis = 30_000;
/// How long the others' sums are believed while they can be read.
pub const OTHERS_MS: Millis = 30_000;
/// Who asks for totals is told others' that are as old.
const LOOK_MS: Millis = 5_000;
/// Between two readings of which nothing came.
const RETRY_MS: Millis = 2_000;
/// And while they cannot.
pub const BLIND_MS: Millis = 600_000;

/// What to do about the others' sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// To read them; [`Shard::listened`] hears that it was done.
    Read,
    /// Another request reads them, and nothing is known before.
    Wait,
    Decide,
}

/// What to do about keys that are behind.
#[derive(Debug)]
pub enum Next {
    Nothing,
    Wait(Millis),
    /// The key of this day is to hold this; [`Shard::wrote`] hears how it went.
    Write(String, Named<i64>),
}

impl Ration {
    /// When it may be done next.
    fn at(&self) -> Millis {
        self.full.saturating_sub((BURST - 1) * EACH_MS)
    }

    fn take(&mut self, now: Millis) {
        self.full = self.full.max(now) + EACH_MS;
    }
}

impl Shard {
    pub fn admit(&mut self, bounds: &[Bound], now: Millis) -> Admission {
        self.passing.retain(|(_, expires)| *expires > now);
        let admission = decide(bounds, |name| self.total(name));
        if let Admission::Admitted(_) = admission {
            for bound in bounds {
                self.passing.change(&bound.counter, |(total, expires)| {
                    (*total, *expires) = (total.saturating_add(bound.add), bound.expires);
                });
            }
        }
        admission
    }

    pub fn add(&mut self, adds: Vec<Add>, now: Millis) {
        let today = day(now);
        let mut is_behind = false;
        for Add { counter, add, expires } in adds {
            if expires.is_none() {
                self.own.change(&today, |own| count(own, &counter, add));
                is_behind = true;
            } else if let Some((total, _)) = self.passing.get_mut(&counter) {
                *total = total.saturating_add(add);
            }
        }
        if is_behind {
            self.is_behind(today);
        }
    }

    /// The sums, as this process knows them.
    pub fn sums(&self, prefix: &str) -> Vec<(String, i64)> {
        let mut sums = Named::<i64>::default();
        let all = self.own.values().chain(self.others.values()).flat_map(Named::iter);
        let all = all.chain(self.passing.iter().map(|(name, (total, _))| (name, total)));
        for (name, total) in all.filter(|(name, _)| name.starts_with(prefix)) {
            count(&mut sums, name, *total);
        }
        sums.iter().map(|(name, total)| (name.to_owned(), *total)).collect()
    }

    /// What is to be done before anything is decided, which begins.
    pub fn listen(&mut self, now: Millis) -> Listen {
        if self.listening.is_some_and(|begun| now < begun + LOST_MS) {
            return if self.is_blind(now) { Listen::Wait } else { Listen::Decide };
        }
        // While it cannot be read it is tried again soon, and not by every request.
        let pause = if self.is_blind(now) { RETRY_MS } else { OTHERS_MS };
        let is_due = now.saturating_sub(self.listened) > pause && (self.reads.at() <= now || self.is_blind(now));
        if !is_due {
            return Listen::Decide;
        }
        self.begin(now)
    }

    /// The same for who asks for totals, which are not of a moment: rarer, but never nothing.
    pub fn look(&mut self, now: Millis) -> Listen {
        let is_recent = self.heard.is_some_and(|heard| now.saturating_sub(heard) < LOOK_MS);
        if is_recent { Listen::Decide } else { self.listen(now) }
    }

    fn begin(&mut self, now: Millis) -> Listen {
        (self.listened, self.listening) = (now, Some(now));
        self.reads.take(now);
        Listen::Read
    }

    /// Reading has ended, however it did.
    pub fn listened(&mut self) {
        self.listening = None;
    }

    /// Whether the others' sums are too old to decide by.
    pub fn is_blind(&self, now: Millis) -> bool {
        self.heard.is_none_or(|heard| now.saturating_sub(heard) > BLIND_MS)
    }

    /// Which keys of the others are to be read: once all were read, for some hours only those of the days that are not over.
    pub fn prefixes(&self, now: Millis) -> Vec<String> {
        let recently = self.heard.filter(|_| now.saturating_sub(self.heard_all) < ALL_MS);
        let Some(heard) = recently else { return vec![PREFIX.to_owned()] };
        let mut days = vec![day(heard.saturating_sub(SETTLING_MS)), day(heard), day(now)];
        days.dedup();
        days.iter().map(|day| format!("{PREFIX}{day}/")).collect()
    }

    /// What keys of the others hold, by their names, as they were read at `now`: all days' or those of some.
    pub fn hear(&mut self, shards: &[(String, Named<i64>)], is_all: bool, now: Millis) {
        self.heard_all = if is_all { now } else { self.heard_all };
        let day_of = |name: &str| name.strip_prefix(PREFIX).and_then(|rest| rest.split('/').next()).map(str::to_owned);
        let mut heard = Named::<Named<i64>>::default();
        for (key, counters) in shards {
            let Some(day) = day_of(key) else { continue };
            heard.change(&day, |sums| counters.iter().for_each(|(name, total)| count(sums, name, *total)));
        }
        for (day, sums) in heard.iter() {
            self.others.insert(day.to_owned(), sums.clone());
        }
        self.heard = Some(now);
    }

    /// What is to be done next, and begins.
    pub fn next(&mut self, now: Millis) -> Next {
        if self.behind.is_empty() {
            return Next::Nothing;
        }
        let free = self.writing.map_or(0, |begun| begun + LOST_MS);
        let at = free.max(self.writes.at()).max(self.written + PAUSE_MS);
        if at > now {
            // One that is under way is soon heard of.
            return Next::Wait(if free > now { PAUSE_MS } else { at - now });
        }
        let Some(day) = self.behind.pop() else { return Next::Nothing };
        self.writes.take(now);
        self.writing = Some(now);
        let counters = self.own.get(&day).cloned().unwrap_or_default();
        Next::Write(day, counters)
    }

    /// The key of `day` was written, or was not.
    pub fn wrote(&mut self, day: String, is_written: bool, now: Millis) {
        (self.writing, self.written) = (None, now);
        if !is_written {
            self.is_behind(day);
        }
    }

    fn is_behind(&mut self, day: String) {
        if !self.behind.contains(&day) {
            self.behind.push(day);
        }
    }

    fn total(&self, name: &str) -> i64 {
        let passing = self.passing.get(name).map_or(0, |(total, _)| *total);
        let own = self.own.values().filter_map(|counters| counters.get(name));
        let others = self.others.values().filter_map(|counters| counters.get(name));
        own.chain(others).fold(passing, |sum, total| sum.saturating_add(*total))
    }
}

fn count(sums: &mut Named<i64>, name: &str, add: i64) {
    sums.change(name, |sum| *sum = sum.saturating_add(add));
}
