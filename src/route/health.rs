//! How targets have been doing lately, learned from what requests met: nothing is asked for the sake of knowing.
//!
//! A target that fails several times in a row is closed for a while; then one request may try it, and while that fails
//! too, it stays closed twice as long. One that asks for a pause gets it and counts as well, and so does one whose
//! account is empty: neither is an outage. What the caller did wrong says nothing of the target.

pub mod shard;

use self::shard::Shard;
use super::sketch::Sketch;
use crate::host::Millis;

/// Which target. Names are compared as a hash: two that collide would share their health, not their requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub(super) hash: u64,
    /// Whether it is asked by a caller's own key, of which no other process is told.
    is_own: bool,
}

impl Key {
    pub fn of(provider: &str, model: &str, account: usize) -> Self {
        Self::named(provider, model, &account.to_le_bytes(), false)
    }

    /// One that is asked by a caller's own key, which `digest` stands for: what that meets is nobody else's.
    pub fn of_own(provider: &str, model: &str, digest: [u8; 8]) -> Self {
        Self::named(provider, model, &digest, true)
    }

    /// As others tell of it.
    fn told(hash: u64) -> Self {
        Self { hash, is_own: false }
    }

    fn named(provider: &str, model: &str, account: &[u8], is_own: bool) -> Self {
        let name = hash(hash(hash(HASH_START, provider.as_bytes()), b"/"), model.as_bytes());
        Self { hash: hash(hash(name, b"#"), account), is_own }
    }
}

/// FNV-1a, 64 bits, over `bytes` after what was hashed before.
pub const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

pub fn hash(before: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(before, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// When a target counts as down, and for how long it is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caution {
    /// Failures in a row.
    pub failures: u32,
    /// The first time; 0 where no target is ever left alone, whatever it says.
    pub rest_ms: Millis,
}

impl Default for Caution {
    fn default() -> Self {
        Self { failures: 3, rest_ms: 15_000 }
    }
}

/// What an attempt said of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of its answer has come, whose beginning was told before ([`Health::began_after`]).
    Answered,
    /// Its answer broke off after it had begun.
    Cut,
    /// It answered, and the request was at fault.
    Refused,
    Failed,
    /// It wants to be left alone, for as long as it says.
    Busy {
        wait_ms: Option<Millis>,
    },
    /// Its account is empty or its key is not taken: only its operator can change that.
    Unpaid,
    /// Nobody waited for the end.
    Abandoned,
}

/// Whether a target should be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    Up,
    /// Asked for a pause, until then.
    Resting(Millis),
    /// Failed too often, and is closed until then.
    Down(Millis),
}

/// No upstream's wish for a pause is believed for longer.
pub const REST_MS_MAX: Millis = 60_000;
/// For one that says that it is too busy and not for how long.
const BUSY_MS: Millis = 5_000;
/// Nobody is left alone for longer without being tried.
pub const DOWN_MS_MAX: Millis = 5 * 60_000;
/// A request that tries a closed target and is never heard of again holds it closed for as long.
const PROBE_MS_MAX: Millis = 60_000;
/// What was seen so long ago counts half.
const HALF_LIFE_MS: Millis = 2 * 60_000;
/// Of one observation, so that halves of it are left.
const WEIGHT: u32 = 256;
/// Callers choose the names of models, and may choose millions.
const COURSES_MAX: usize = 4096;

/// Of all targets, as far as this process knows, by itself and from others.
#[derive(Debug, Default)]
pub struct Health {
    /// By key, what requests of this process met. Each in a place of its own, so that the keys lie close together: every
    /// request looks for many.
    courses: Vec<(Key, Box<Course>)>,
    /// Of other processes, the newest first.
    shards: Vec<Shard>,
    /// Their sum, by key.
    elsewhere: Vec<(Key, Course)>,
    news: News,
}

/// Whether others should be told, and how soon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    #[default]
    None,
    /// Something was measured.
    Ordinary,
    /// A target was closed, opened again, or asked for a pause.
    Urgent,
}

/// Of one target.
#[derive(Debug, Clone, Default)]
struct Course {
    /// Half-lives since the epoch, when counts were last halved.
    age: u64,
    answered: u32,
    failed: u32,
    first_byte: Sketch,
    speed: Sketch,
    /// The middle of both, here and elsewhere, which every request asks for and few change.
    first_byte_ms: Option<u64>,
    tokens_per_second: Option<u64>,
    in_flight: u32,
    resting_until: Millis,
    breaker: Breaker,
    /// When it was last tried after it had been closed, and answered.
    well_at: Millis,
    /// When anything was last heard of it.
    heard_at: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaker {
    Closed {
        /// Attempts in a row that never began to answer.
        failures: u32,
        /// Answers in a row that broke off. Apart from those: a long answer that began before an outage may end well in the
        /// middle of it, and one that breaks off has begun well.
        cuts: u32,
    },
    Open {
        until: Millis,
        rest_ms: Millis,
    },
    /// One request tries it.
    Probing {
        since: Millis,
        rest_ms: Millis,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0, cuts: 0 }
    }
}

/// What is measured of a target, in the middle of what was seen; `None` where nothing has been seen lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measure {
    pub first_byte_ms: Option<u64>,
    pub tokens_per_second: Option<u64>,
    /// Answers among attempts that say something, in thousandths; one answer more than were seen, so that whoever failed
    /// once is not passed over for good.
    pub success_permille: Option<u32>,
    pub in_flight: u32,
}

impl Health {
    /// A request goes out to the target.
    pub fn begin(&mut self, key: Key, now: Millis) {
        self.course(key, now, |course, elsewhere| {
            course.in_flight = course.in_flight.saturating_add(1);
            match course.breaker_with(elsewhere) {
                // Found well elsewhere since it was closed here, it counts anew.
                closed @ Breaker::Closed { .. } => course.breaker = closed,
                held if held.holds_until() > now => {}
                // This one tries it now, and it alone.
                Breaker::Open { rest_ms, .. } | Breaker::Probing { rest_ms, .. } => {
                    course.breaker = Breaker::Probing { since: now, rest_ms };
                }
            }
        });
    }

    /// And this came of it. To be told once for each [`Self::begin`].
    pub fn end(&mut self, key: Key, verdict: Verdict, caution: Caution, now: Millis) {
        let mut news = News::Ordinary;
        self.course(key, now, |course, _| {
            let (breaker, resting_until) = (course.breaker, course.resting_until);
            course.in_flight = course.in_flight.saturating_sub(1);
            match verdict {
                Verdict::Answered => course.answered = course.answered.saturating_add(WEIGHT),
                Verdict::Failed | Verdict::Cut => course.failed = course.failed.saturating_add(WEIGHT),
                Verdict::Busy { .. } | Verdict::Unpaid | Verdict::Refused | Verdict::Abandoned => {}
            }
            if caution.rest_ms == 0 {
                return;
            }
            match verdict {
                Verdict::Busy { wait_ms } => course.rest(wait_ms.unwrap_or(BUSY_MS), now),
                Verdict::Unpaid => course.rest(REST_MS_MAX, now),
                Verdict::Answered | Verdict::Cut | Verdict::Failed | Verdict::Refused | Verdict::Abandoned => {}
            }
            course.turn(breaker.after(verdict, caution, now), now);
            let stays = breaker == course.breaker || breaker.is_closed() && course.breaker.is_closed();
            if !stays || course.resting_until > resting_until {
                news = News::Urgent;
            }
        });
        self.note(key, news);
    }

    /// An answer has begun, after so long. Its end is told besides.
    pub fn began_after(&mut self, key: Key, first_byte_ms: Millis, now: Millis) {
        let mut news = News::Ordinary;
        self.course(key, now, |course, elsewhere| {
            course.took(first_byte_ms, elsewhere);
            let before = course.breaker;
            course.turn(before.begun(), now);
            if !before.is_closed() && course.breaker.is_closed() {
                news = News::Urgent;
            }
        });
        self.note(key, news);
    }

    /// Another that was asked later was sooner, `ms` after this one was asked. It would have taken longer still: left out,
    /// the slow would seem to be as quick as their quick answers, and whoever never answers would never be found out.
    /// So it counts as a failure in a row. The attempt's end is told besides.
    pub fn outrun(&mut self, key: Key, ms: Millis, caution: Caution, now: Millis) {
        self.course(key, now, |course, elsewhere| {
            course.took(ms, elsewhere);
            if caution.rest_ms > 0 {
                course.breaker = course.breaker.after(Verdict::Failed, caution, now);
            }
        });
        if caution.rest_ms > 0 {
            self.note(key, News::Urgent);
        }
    }

    /// It has answered, and said that it will not again for so long.
    pub fn pause(&mut self, key: Key, wait_ms: Millis, caution: Caution, now: Millis) {
        if caution.rest_ms > 0 {
            self.course(key, now, |course, _| course.rest(wait_ms, now));
            self.note(key, News::Ordinary);
        }
    }

    /// Something happened that others should know, unless it is nobody's but a caller's.
    fn note(&mut self, key: Key, news: News) {
        if !key.is_own {
            self.news = self.news.max(news);
        }
    }

    /// How long the answer took from its first content to its end.
    pub fn told(&mut self, key: Key, tokens: u64, ms: Millis, now: Millis) {
        // Of a few tokens the time is that of one packet.
        if tokens >= 16
            && let Some(speed) = tokens.saturating_mul(1000).checked_div(ms)
        {
            self.course(key, now, |course, elsewhere| {
                course.speed.add(speed, WEIGHT);
                course.find_middle(elsewhere);
            });
        }
    }

    /// Whether it should be asked, and what is measured of it.
    pub fn seen(&self, key: Key, now: Millis) -> (Standing, Measure) {
        let (course, elsewhere) = match (self.known(key), self.elsewhere(key)) {
            (Some(course), elsewhere) => (course, elsewhere),
            (None, Some(course)) => (course, None),
            (None, None) => return (Standing::Up, Measure::default()),
        };
        (course.standing(elsewhere, now), course.measure(elsewhere, now))
    }

    pub fn standing(&self, key: Key, now: Millis) -> Standing {
        self.seen(key, now).0
    }

    pub fn measure(&self, key: Key, now: Millis) -> Measure {
        self.seen(key, now).1
    }

    /// The time in which so many in a hundred of its answers have begun.
    pub fn first_byte_within(&self, key: Key, percent: u32) -> Option<Millis> {
        let (here, elsewhere) = (self.known(key), self.elsewhere(key));
        here.or(elsewhere)?.first_byte.percentile(elsewhere.map(|course| &course.first_byte), percent)
    }

    /// The speed that so many in a hundred of its answers reach.
    pub fn tokens_per_second_of(&self, key: Key, percent: u32) -> Option<u64> {
        let (here, elsewhere) = (self.known(key), self.elsewhere(key));
        let slower = 100_u32.saturating_sub(percent);
        here.or(elsewhere)?.speed.percentile(elsewhere.map(|course| &course.speed), slower)
    }

    fn known(&self, key: Key) -> Option<&Course> {
        self.courses.get(place(&self.courses, key).ok()?).map(|(_, course)| &**course)
    }

    fn elsewhere(&self, key: Key) -> Option<&Course> {
        self.elsewhere.get(place(&self.elsewhere, key).ok()?).map(|(_, course)| course)
    }

    fn course(&mut self, key: Key, now: Millis, does: impl FnOnce(&mut Course, Option<&Course>)) {
        if self.courses.len() >= COURSES_MAX && self.known(key).is_none() {
            self.forget();
        }
        let at = place(&self.courses, key).unwrap_or_else(|at| {
            self.courses.insert(at, (key, Box::new(Course { age: age(now), ..Course::default() })));
            at
        });
        let elsewhere = place(&self.elsewhere, key).ok().and_then(|at| self.elsewhere.get_mut(at));
        let elsewhere = elsewhere.map(|(_, course)| {
            course.age_to(age(now));
            &*course
        });
        if let Some((_, course)) = self.courses.get_mut(at) {
            course.age_to(age(now));
            course.heard_at = now;
            does(course, elsewhere);
        }
    }

    /// Makes room: half of what nobody is waiting for, the longest unheard of first.
    fn forget(&mut self) {
        let mut ages: Vec<u64> = self.courses.iter().map(|(_, course)| course.age).collect();
        ages.sort_unstable();
        let middle = ages.get(ages.len() / 2).copied().unwrap_or_default();
        let mut over = self.courses.len() / 2;
        // Those of callers' own keys before the gateway's, however old: whoever makes keys up takes no other's place.
        for is_own in [true, false] {
            self.courses.retain(|(key, course)| {
                let is_meant = key.is_own == is_own && (is_own || course.age <= middle);
                let goes = over > 0 && is_meant && course.in_flight == 0;
                over -= usize::from(goes);
                !goes
            });
        }
    }
}

impl Course {
    fn standing(&self, elsewhere: Option<&Self>, now: Millis) -> Standing {
        let resting_until = self.resting_until.max(elsewhere.map_or(0, |elsewhere| elsewhere.resting_until));
        let down_until = self.breaker_with(elsewhere).holds_until();
        if down_until > now {
            Standing::Down(down_until)
        } else if resting_until > now {
            Standing::Resting(resting_until)
        } else {
            Standing::Up
        }
    }

    fn measure(&self, elsewhere: Option<&Self>, now: Millis) -> Measure {
        let of_elsewhere = |count: fn(&Self) -> u32| elsewhere.map_or(0, |elsewhere| u64::from(count(elsewhere)));
        // A sketch is aged when it is next added to. All counts of a target halve together, so its shares are right;
        // only what is so old that nothing is left of it must not be told.
        let newest = self.age.max(elsewhere.map_or(0, |elsewhere| elsewhere.age));
        let times = u32::try_from(age(now).saturating_sub(newest)).unwrap_or(u32::MAX);
        if times >= u32::BITS {
            return Measure { in_flight: self.in_flight, ..Measure::default() };
        }
        let answered = (u64::from(self.answered) + of_elsewhere(|course| course.answered)) >> times;
        let failed = (u64::from(self.failed) + of_elsewhere(|course| course.failed)) >> times;
        // The one more does not age: what was seen fades before it.
        let with_one_more = answered + u64::from(WEIGHT);
        let success_permille =
            (answered + failed > 0).then(|| with_one_more.saturating_mul(1000) / with_one_more.saturating_add(failed));
        Measure {
            first_byte_ms: self.first_byte_ms,
            tokens_per_second: self.tokens_per_second,
            success_permille: success_permille.and_then(|permille| u32::try_from(permille).ok()),
            in_flight: self.in_flight,
        }
    }

    fn took(&mut self, first_byte_ms: Millis, elsewhere: Option<&Self>) {
        self.first_byte.add(first_byte_ms, WEIGHT);
        self.find_middle(elsewhere);
    }

    fn turn(&mut self, breaker: Breaker, now: Millis) {
        if matches!(self.breaker, Breaker::Probing { .. }) && breaker.is_closed() {
            self.well_at = now;
        }
        self.breaker = breaker;
    }

    fn find_middle(&mut self, elsewhere: Option<&Self>) {
        self.first_byte_ms = self.first_byte.percentile(elsewhere.map(|course| &course.first_byte), 50);
        self.tokens_per_second = self.speed.percentile(elsewhere.map(|course| &course.speed), 50);
    }

    fn age_to(&mut self, age: u64) {
        let times = u32::try_from(age.saturating_sub(self.age)).unwrap_or(u32::MAX);
        if times > 0 {
            self.age = age;
            self.answered = self.answered.checked_shr(times).unwrap_or(0);
            self.failed = self.failed.checked_shr(times).unwrap_or(0);
            self.first_byte.halve(times);
            self.speed.halve(times);
        }
    }

    fn rest(&mut self, wait_ms: Millis, now: Millis) {
        self.resting_until = self.resting_until.max(now.saturating_add(wait_ms.min(REST_MS_MAX)));
    }
}

impl Breaker {
    fn is_closed(self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// Until when nobody else should ask: one who tries it and is not heard of again holds it no longer than its bound.
    fn holds_until(self) -> Millis {
        match self {
            Self::Closed { .. } => 0,
            Self::Open { until, .. } => until,
            Self::Probing { since, .. } => since.saturating_add(PROBE_MS_MAX),
        }
    }

    fn after(self, verdict: Verdict, caution: Caution, now: Millis) -> Self {
        let open = |rest_ms: Millis| {
            let rest_ms = rest_ms.min(DOWN_MS_MAX);
            Self::Open { until: now.saturating_add(rest_ms), rest_ms }
        };
        match (self, verdict) {
            (Self::Closed { failures, cuts }, Verdict::Failed) => match failures.saturating_add(1) {
                failures if failures >= caution.failures => open(caution.rest_ms),
                failures => Self::Closed { failures, cuts },
            },
            (Self::Closed { failures, cuts }, Verdict::Cut) => match cuts.saturating_add(1) {
                cuts if cuts >= caution.failures => open(caution.rest_ms),
                cuts => Self::Closed { failures, cuts },
            },
            (Self::Closed { failures, .. }, Verdict::Answered) => Self::Closed { failures, cuts: 0 },
            (Self::Probing { rest_ms, .. }, Verdict::Failed) => open(rest_ms.saturating_mul(2)),
            // The one that tried it went away without an outcome: another may.
            (Self::Probing { rest_ms, .. }, Verdict::Abandoned) => Self::Open { until: now, rest_ms },
            // Begun before it closed; or nothing was learned.
            (_, Verdict::Failed | Verdict::Cut | Verdict::Answered | Verdict::Abandoned) => self,
            (_, Verdict::Refused | Verdict::Busy { .. } | Verdict::Unpaid) => Self::default(),
        }
    }

    /// After an answer has begun.
    fn begun(self) -> Self {
        match self {
            Self::Closed { cuts, .. } => Self::Closed { failures: 0, cuts },
            Self::Probing { .. } => Self::default(),
            // Sent before it closed.
            Self::Open { .. } => self,
        }
    }
}

fn place<T>(courses: &[(Key, T)], key: Key) -> Result<usize, usize> {
    courses.binary_search_by_key(&key, |(key, _)| *key)
}

fn age(now: Millis) -> u64 {
    now / HALF_LIFE_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_000_000_000;

    fn one() -> (Health, Key) {
        (Health::default(), Key::of("openai", "gpt-5", 0))
    }

    fn ends(health: &mut Health, key: Key, verdict: Verdict, now: Millis) {
        health.begin(key, now);
        if matches!(verdict, Verdict::Answered | Verdict::Cut) {
            health.began_after(key, 100, now);
        }
        health.end(key, verdict, Caution::default(), now);
    }

    #[test]
    fn failures_in_a_row_close_a_target_and_one_request_tries_it_again() {
        let (mut health, key) = one();
        for _ in 0..2 {
            ends(&mut health, key, Verdict::Failed, NOW);
        }
        assert_eq!(health.standing(key, NOW), Standing::Up);
        ends(&mut health, key, Verdict::Failed, NOW);
        let over = NOW + 15_000;
        assert_eq!(health.standing(key, NOW), Standing::Down(over));
        assert_eq!(health.standing(key, over), Standing::Up, "somebody may try");
        health.begin(key, over);
        assert!(matches!(health.standing(key, over), Standing::Down(_)), "but one only");
        health.end(key, Verdict::Failed, Caution::default(), over);
        assert_eq!(health.standing(key, over), Standing::Down(over + 30_000), "twice as long");
        let over = over + 30_000;
        ends(&mut health, key, Verdict::Answered, over);
        assert_eq!(health.standing(key, over), Standing::Up);
        ends(&mut health, key, Verdict::Failed, over);
        assert_eq!(health.standing(key, over), Standing::Up, "it counts anew");
    }

    #[test]
    fn where_no_target_is_left_alone_none_is() {
        let (mut health, key) = one();
        let caution = Caution { rest_ms: 0, ..Caution::default() };
        for verdict in [Verdict::Failed, Verdict::Busy { wait_ms: Some(9_000) }, Verdict::Unpaid, Verdict::Failed] {
            for _ in 0..5 {
                health.begin(key, NOW);
                health.end(key, verdict, caution, NOW);
            }
        }
        assert_eq!(health.standing(key, NOW), Standing::Up);
        assert!(health.measure(key, NOW).success_permille < Some(100), "but it is known how it does");
    }

    #[test]
    fn a_target_is_not_closed_for_longer_than_its_bound() {
        let (mut health, key) = one();
        let mut now = NOW;
        for _ in 0..30 {
            ends(&mut health, key, Verdict::Failed, now);
            if let Standing::Down(until) = health.standing(key, now) {
                assert!(until - now <= DOWN_MS_MAX);
                now = until;
            }
        }
    }

    #[test]
    fn an_answer_that_ends_well_says_nothing_of_those_that_never_begin() {
        let (mut health, key) = one();
        health.begin(key, NOW);
        health.began_after(key, 100, NOW);
        for _ in 0..2 {
            ends(&mut health, key, Verdict::Failed, NOW);
        }
        health.end(key, Verdict::Answered, Caution::default(), NOW);
        ends(&mut health, key, Verdict::Failed, NOW);
        assert!(matches!(health.standing(key, NOW), Standing::Down(_)), "it began before the outage");
        health.end(key, Verdict::Answered, Caution::default(), NOW);
        assert!(matches!(health.standing(key, NOW), Standing::Down(_)), "nor does it open the target again");
    }

    #[test]
    fn answers_that_break_off_one_after_another_close_a_target() {
        let (mut health, key) = one();
        for _ in 0..2 {
            ends(&mut health, key, Verdict::Cut, NOW);
        }
        ends(&mut health, key, Verdict::Answered, NOW);
        for _ in 0..3 {
            assert_eq!(health.standing(key, NOW), Standing::Up);
            ends(&mut health, key, Verdict::Cut, NOW);
        }
        assert!(matches!(health.standing(key, NOW), Standing::Down(_)), "though each of them had begun");
    }

    #[test]
    fn whoever_is_outrun_again_and_again_is_closed() {
        let (mut health, key) = one();
        for _ in 0..3 {
            assert_eq!(health.standing(key, NOW), Standing::Up);
            health.begin(key, NOW);
            health.outrun(key, 2_000, Caution::default(), NOW);
            health.end(key, Verdict::Abandoned, Caution::default(), NOW);
        }
        assert_eq!(health.standing(key, NOW), Standing::Down(NOW + 15_000));
        let measure = health.measure(key, NOW);
        assert_eq!((measure.success_permille, measure.in_flight), (None, 0));
        assert!(measure.first_byte_ms > Some(1_700), "{measure:?}");
    }

    #[test]
    fn what_the_caller_did_wrong_and_an_empty_account_are_no_outage() {
        let (mut health, key) = one();
        for _ in 0..50 {
            ends(&mut health, key, Verdict::Refused, NOW);
        }
        assert_eq!((health.standing(key, NOW), health.measure(key, NOW).success_permille), (Standing::Up, None));
        for _ in 0..50 {
            ends(&mut health, key, Verdict::Unpaid, NOW);
        }
        assert_eq!(health.standing(key, NOW), Standing::Resting(NOW + REST_MS_MAX));
        assert_eq!(health.measure(key, NOW).success_permille, None);
    }

    #[test]
    fn a_pause_is_given_and_bounded() {
        let (mut health, key) = one();
        ends(&mut health, key, Verdict::Busy { wait_ms: Some(2_000) }, NOW);
        assert_eq!(health.standing(key, NOW), Standing::Resting(NOW + 2_000));
        assert_eq!(health.standing(key, NOW + 2_000), Standing::Up);
        ends(&mut health, key, Verdict::Busy { wait_ms: Some(Millis::MAX) }, NOW);
        assert_eq!(health.standing(key, NOW), Standing::Resting(NOW + REST_MS_MAX));
        ends(&mut health, key, Verdict::Busy { wait_ms: None }, NOW);
        assert_eq!(health.standing(key, NOW), Standing::Resting(NOW + REST_MS_MAX), "a shorter one takes nothing back");
    }

    #[test]
    fn a_probe_that_is_abandoned_or_lost_lets_another_try() {
        let (mut health, key) = one();
        for _ in 0..3 {
            ends(&mut health, key, Verdict::Failed, NOW);
        }
        let over = NOW + 15_000;
        health.begin(key, over);
        health.end(key, Verdict::Abandoned, Caution::default(), over);
        assert_eq!(health.standing(key, over), Standing::Up);
        health.begin(key, over);
        let later = over + PROBE_MS_MAX;
        assert_eq!(health.standing(key, later), Standing::Up, "it is not heard of");
        health.begin(key, later);
        assert!(matches!(health.standing(key, later), Standing::Down(_)), "one tries it again, and one only");
    }

    #[test]
    fn what_is_measured_is_of_late() {
        let (mut health, key) = one();
        for (ms, verdict) in [(100, Verdict::Answered), (200, Verdict::Answered), (900, Verdict::Failed)] {
            health.begin(key, NOW);
            health.began_after(key, ms, NOW);
            health.end(key, verdict, Caution::default(), NOW);
        }
        health.told(key, 500, 1_000, NOW);
        health.told(key, 3, 0, NOW);
        let measure = health.measure(key, NOW);
        assert_eq!(measure.success_permille, Some(750));
        assert!((175..=225).contains(&measure.first_byte_ms.unwrap()), "{measure:?}");
        assert!((440..=560).contains(&measure.tokens_per_second.unwrap()), "{measure:?}");
        for _ in 0..8 {
            health.began_after(key, 1_000, NOW + 2 * HALF_LIFE_MS);
        }
        assert!(health.measure(key, NOW).first_byte_ms.unwrap() > 800, "what is new counts more");
        let late = NOW + 60 * HALF_LIFE_MS;
        assert_eq!(health.measure(key, late), Measure::default());
    }

    #[test]
    fn those_who_wait_are_counted_and_names_have_a_bound() {
        let (mut health, key) = one();
        health.begin(key, NOW);
        health.begin(key, NOW);
        health.end(key, Verdict::Abandoned, Caution::default(), NOW);
        assert_eq!(health.measure(key, NOW).in_flight, 1);
        for number in 0..20_000 {
            ends(&mut health, Key::of("local", &number.to_string(), 0), Verdict::Answered, NOW + number);
        }
        assert!(health.courses.len() <= COURSES_MAX);
        assert_eq!(health.measure(key, NOW).in_flight, 1, "who is waited for is not forgotten");
    }
}
