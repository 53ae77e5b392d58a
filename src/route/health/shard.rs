//! What processes tell one another of their targets' health: each owns one shard, which holds all that it has seen of late.
//!
//! A document is some shards one after another. Whoever writes it tells its own and those that it knows, so that one that is
//! lost to another writer comes back. A shard is kept until a newer one of its owner comes, and not for long; so it
//! does not matter in which order documents are read, or how often. Times are absolute. Garbage is ignored.

use super::{Breaker, COURSES_MAX, Course, DOWN_MS_MAX, Health, Key, News, PROBE_MS_MAX, REST_MS_MAX, age, place};
use crate::host::Millis;
use crate::route::sketch::Sketch;

/// Of a whole document.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// Of the writer's own shard, so that there is room for others.
const SHARD_BYTES_MAX: usize = 16 * 1024;
const SHARDS_MAX: usize = 64;
/// What was told so long ago says nothing any more: some half-lives.
pub const SHARD_MS: Millis = 10 * 60_000;
/// Clocks differ; one that is further ahead is wrong.
const AHEAD_MS: Millis = 60_000;
/// No process sees more of one target in half-lives as long as these.
const COUNT_MAX: u32 = 1 << 24;
/// Of the form; others are of another version of this program.
const FORM: u8 = 1;

/// Of another process.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    owner: u64,
    made: Millis,
    courses: Vec<(Key, Course)>,
}

/// What a document was found to hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// When the newest shard was made.
    pub newest: Millis,
    /// And the reader's own, if it is there.
    pub own: Option<Millis>,
}

impl Health {
    /// Whether there is something that others should know.
    pub fn news(&self) -> News {
        self.news
    }

    /// There is: what was told is not where others find it.
    pub fn retell(&mut self) {
        self.news = self.news.max(News::Ordinary);
    }

    /// Our own shard, the newest of the others behind it. `owner` is ours.
    pub fn tell(&mut self, owner: u64, now: Millis) -> Vec<u8> {
        self.news = News::None;
        let courses = self.courses.iter().map(|(key, course)| (*key, &**course)).filter(|(key, _)| !key.is_own);
        let mut heard: Vec<(Key, &Course)> =
            courses.filter(|(_, course)| course.heard_at.saturating_add(SHARD_MS) > now).collect();
        heard.sort_by_key(|(_, course)| std::cmp::Reverse(course.heard_at));
        let mut document = vec![FORM];
        let own = write_shard(owner, now, heard.into_iter(), SHARD_BYTES_MAX);
        document.extend_from_slice(&own);
        for shard in &self.shards {
            let shard = write_shard(
                shard.owner,
                shard.made,
                shard.courses.iter().map(|(key, course)| (*key, course)),
                SHARD_BYTES_MAX,
            );
            if document.len() + shard.len() > DOCUMENT_BYTES_MAX {
                break;
            }
            document.extend_from_slice(&shard);
        }
        document
    }

    /// Takes in what others told.
    pub fn hear(&mut self, document: &[u8], own: u64, now: Millis) -> Heard {
        let mut heard = Heard::default();
        for shard in read_document(document, now) {
            heard.newest = heard.newest.max(shard.made);
            if shard.owner == own {
                heard.own = heard.own.max(Some(shard.made));
                continue;
            }
            match self.shards.iter_mut().find(|known| known.owner == shard.owner) {
                Some(known) if known.made >= shard.made => {}
                Some(known) => *known = shard,
                None => self.shards.push(shard),
            }
        }
        self.shards.retain(|shard| shard.made.saturating_add(SHARD_MS) > now);
        self.shards.sort_by_key(|shard| std::cmp::Reverse((shard.made, shard.owner)));
        self.shards.truncate(SHARDS_MAX);
        self.sum(now);
        heard
    }

    /// What is known of each target elsewhere, so that requests need not add it up.
    fn sum(&mut self, now: Millis) {
        let mut sums: Vec<(Key, Course)> = Vec::new();
        let told = || self.shards.iter().flat_map(|shard| &shard.courses);
        // First when each was last found well, by anyone: that decides which of the breakers are compared at all.
        for (key, Course { well_at, .. }) in told() {
            match place(&sums, *key) {
                Ok(at) => sums.get_mut(at).into_iter().for_each(|(_, sum)| sum.well_at = sum.well_at.max(*well_at)),
                Err(at) if sums.len() < COURSES_MAX => {
                    sums.insert(at, (*key, Course { well_at: *well_at, ..Course::default() }));
                }
                Err(_) => {}
            }
        }
        for (key, course) in told() {
            if let Ok(at) = place(&sums, *key)
                && let Some((_, sum)) = sums.get_mut(at)
            {
                sum.add(course);
            }
        }
        for (_, sum) in &mut sums {
            sum.age_to(age(now));
            sum.find_middle(None);
        }
        for (key, course) in &mut self.courses {
            course.age_to(age(now));
            let elsewhere = place(&sums, *key).ok().and_then(|at| sums.get(at));
            course.find_middle(elsewhere.map(|(_, sum)| sum));
        }
        self.elsewhere = sums;
    }
}

fn write_shard<'a>(
    owner: u64,
    made: Millis,
    courses: impl Iterator<Item = (Key, &'a Course)>,
    bytes_max: usize,
) -> Vec<u8> {
    let (mut body, mut count) = (Vec::new(), 0);
    for (key, course) in courses {
        let before = body.len();
        write_course(key, course, &mut body);
        if body.len() > bytes_max {
            body.truncate(before);
            break;
        }
        count += 1;
    }
    let mut shard = owner.to_le_bytes().to_vec();
    write_number(made, &mut shard);
    write_number(count, &mut shard);
    shard.extend_from_slice(&body);
    shard
}

fn write_course(key: Key, course: &Course, out: &mut Vec<u8>) {
    out.extend_from_slice(&key.hash.to_le_bytes());
    let (state, since, rest_ms) = match course.breaker {
        Breaker::Closed { .. } => (CLOSED, 0, 0),
        Breaker::Open { until, rest_ms } => (OPEN, until, rest_ms),
        Breaker::Probing { since, rest_ms } => (PROBING, since, rest_ms),
    };
    let numbers =
        [course.age, course.answered.into(), course.failed.into(), course.resting_until, course.well_at, state];
    for number in numbers {
        write_number(number, out);
    }
    if state != CLOSED {
        write_number(since, out);
        write_number(rest_ms, out);
    }
    write_sketch(&course.first_byte, out);
    write_sketch(&course.speed, out);
}

const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const PROBING: u64 = 2;

/// Few buckets of a sketch hold anything: how many, then for each where it is and what it holds.
fn write_sketch(sketch: &Sketch, out: &mut Vec<u8>) {
    write_number(sketch.filled().count() as u64, out);
    for (at, count) in sketch.filled() {
        write_number(at as u64, out);
        write_number(count.into(), out);
    }
}

/// Seven bits a byte, the lowest first; the eighth says that there are more.
fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The shards of a document, as far as it makes sense. Those that are too old, or of the future, are left out.
fn read_document(document: &[u8], now: Millis) -> Vec<Shard> {
    let Some((&FORM, mut rest)) = document.split_first() else { return Vec::new() };
    let mut shards = Vec::new();
    while !rest.is_empty() && shards.len() < SHARDS_MAX {
        let Some(shard) = read_shard(&mut rest, now) else { break };
        if shard.made <= now.saturating_add(AHEAD_MS) && shard.made.saturating_add(SHARD_MS) > now {
            shards.push(shard);
        }
    }
    shards
}

fn read_shard(rest: &mut &[u8], now: Millis) -> Option<Shard> {
    let (owner, made, count) = (read_key(rest)?, read_number(rest)?, read_number(rest)?);
    let mut courses = Vec::new();
    for _ in 0..count {
        courses.push(read_course(rest, now)?);
    }
    Some(Shard { owner, made, courses })
}

/// Nothing that is told holds a target back for longer than what is seen here would.
fn read_course(rest: &mut &[u8], now: Millis) -> Option<(Key, Course)> {
    let key = Key::told(read_key(rest)?);
    let mut course = Course {
        age: read_number(rest)?.min(age(now)),
        answered: read_count(rest)?,
        failed: read_count(rest)?,
        resting_until: read_number(rest)?.min(now.saturating_add(REST_MS_MAX)),
        well_at: read_number(rest)?.min(now),
        ..Course::default()
    };
    course.breaker = match read_number(rest)? {
        CLOSED => Breaker::default(),
        OPEN => {
            let until = read_number(rest)?.min(now.saturating_add(DOWN_MS_MAX));
            Breaker::Open { until, rest_ms: read_number(rest)?.min(DOWN_MS_MAX) }
        }
        PROBING => {
            let since = read_number(rest)?.min(now);
            Breaker::Probing { since, rest_ms: read_number(rest)?.min(DOWN_MS_MAX) }
        }
        _ => return None,
    };
    course.first_byte = read_sketch(rest)?;
    course.speed = read_sketch(rest)?;
    Some((key, course))
}

fn read_sketch(rest: &mut &[u8]) -> Option<Sketch> {
    let mut sketch = Sketch::default();
    for _ in 0..read_number(rest)? {
        let at = usize::try_from(read_number(rest)?).ok()?;
        sketch.fill(at, read_count(rest)?)?;
    }
    Some(sketch)
}

fn read_key(rest: &mut &[u8]) -> Option<u64> {
    let (key, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*key))
}

fn read_count(rest: &mut &[u8]) -> Option<u32> {
    let count = read_number(rest)?;
    Some(u32::try_from(count).unwrap_or(COUNT_MAX).min(COUNT_MAX))
}

fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

impl Course {
    /// Adds what another process knows of the same target, as of the later of both.
    fn add(&mut self, other: &Self) {
        let mut other = other.clone();
        other.age_to(self.age.max(other.age));
        self.age_to(other.age);
        self.breaker = self.breaker_with(Some(&other));
        self.answered = self.answered.saturating_add(other.answered);
        self.failed = self.failed.saturating_add(other.failed);
        self.first_byte.merge(&other.first_byte);
        self.speed.merge(&other.speed);
        self.resting_until = self.resting_until.max(other.resting_until);
        self.well_at = self.well_at.max(other.well_at);
    }

    /// The breaker that holds longest of those that were opened since the target was last found well.
    pub(super) fn breaker_with(&self, elsewhere: Option<&Self>) -> Breaker {
        let Some(elsewhere) = elsewhere else { return self.breaker };
        let well_at = self.well_at.max(elsewhere.well_at);
        let holding = [self.breaker, elsewhere.breaker].into_iter().filter(|breaker| breaker.began() >= Some(well_at));
        holding.max_by_key(|breaker| breaker.ends()).unwrap_or(match self.breaker {
            closed @ Breaker::Closed { .. } => closed,
            _ => Breaker::default(),
        })
    }
}

impl Breaker {
    fn began(self) -> Option<Millis> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { until, rest_ms } => Some(until.saturating_sub(rest_ms)),
            Self::Probing { since, .. } => Some(since),
        }
    }

    /// And how long it is in doubt, where two end together.
    fn ends(self) -> (Millis, Millis) {
        match self {
            Self::Closed { .. } => (0, 0),
            Self::Open { until, rest_ms } => (until, rest_ms),
            Self::Probing { since, rest_ms } => (since.saturating_add(PROBE_MS_MAX), rest_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Caution, Standing, Verdict};
    use super::*;

    const NOW: Millis = 1_795_262_400_000;

    fn key() -> Key {
        Key::of("openai", "gpt-5", 0)
    }

    fn fails(health: &mut Health, times: u32, now: Millis) {
        for _ in 0..times {
            health.begin(key(), now);
            health.end(key(), Verdict::Failed, Caution::default(), now);
        }
    }

    fn answers(health: &mut Health, now: Millis) {
        health.begin(key(), now);
        health.began_after(key(), 100, now);
        health.end(key(), Verdict::Answered, Caution::default(), now);
    }

    /// Everything that others see of it.
    fn seen(health: &Health, now: Millis) -> String {
        format!("{:?} {:?} {:?}", health.standing(key(), now), health.measure(key(), now), health.elsewhere)
    }

    /// Documents of several processes, made by chance.
    fn documents(seed: u64) -> Vec<Vec<u8>> {
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut healths: Vec<Health> = (0..4).map(|_| Health::default()).collect();
        let mut documents = Vec::new();
        for step in 0..40 {
            let now = NOW + step * 4_000;
            let owner = random(4);
            let Some(health) = healths.get_mut(owner as usize) else { continue };
            match random(4) {
                0 => fails(health, 3, now),
                1 => answers(health, now),
                2 => {
                    health.begin(key(), now);
                    health.end(key(), Verdict::Busy { wait_ms: Some(random(90_000)) }, Caution::default(), now);
                }
                _ => documents.push(health.tell(owner + 1, now)),
            }
        }
        documents
    }

    #[test]
    fn documents_say_the_same_in_any_order_and_however_often_they_are_read() {
        for seed in 0..200 {
            let documents = documents(seed);
            let (mut forward, mut backward, mut twice) = (Health::default(), Health::default(), Health::default());
            let now = NOW + 160_000;
            documents.iter().for_each(|document| {
                forward.hear(document, 99, now);
            });
            documents.iter().rev().for_each(|document| {
                backward.hear(document, 99, now);
            });
            for document in documents.iter().chain(&documents) {
                twice.hear(document, 99, now);
                twice.hear(document, 99, now);
            }
            assert_eq!(seen(&forward, now), seen(&backward, now), "{seed}");
            assert_eq!(seen(&forward, now), seen(&twice, now), "{seed}");
        }
    }

    #[test]
    fn what_is_told_by_way_of_another_is_as_good_as_from_its_owner() {
        let (mut first, mut second, mut third) = (Health::default(), Health::default(), Health::default());
        fails(&mut first, 3, NOW);
        second.hear(&first.tell(1, NOW), 2, NOW);
        // It has nothing of its own, and overwrites what the first wrote.
        third.hear(&second.tell(2, NOW), 3, NOW);
        assert_eq!(third.standing(key(), NOW), Standing::Down(NOW + 15_000));
    }

    #[test]
    fn a_breaker_opened_elsewhere_holds_here_until_its_time_and_one_request_tries() {
        let (mut here, mut there) = (Health::default(), Health::default());
        fails(&mut there, 3, NOW);
        assert_eq!(there.news(), News::Urgent);
        here.hear(&there.tell(2, NOW), 1, NOW);
        assert_eq!(there.news(), News::None);
        let over = NOW + 15_000;
        assert_eq!(here.standing(key(), over - 1), Standing::Down(over));
        assert_eq!(here.standing(key(), over), Standing::Up);
        here.begin(key(), over);
        assert!(matches!(here.standing(key(), over), Standing::Down(_)), "one tries");
        // Who hears of that leaves it alone as well.
        there.hear(&here.tell(1, over), 2, over);
        assert!(matches!(there.standing(key(), over), Standing::Down(_)), "for all");
        here.began_after(key(), 100, over + 10);
        here.end(key(), Verdict::Answered, Caution::default(), over + 10);
        assert_eq!((here.standing(key(), over + 10), here.news()), (Standing::Up, News::Urgent));
        there.hear(&here.tell(1, over + 20), 2, over + 20);
        assert_eq!(there.standing(key(), over + 20), Standing::Up, "it was found well elsewhere");
        here.begin(key(), over + 30);
        assert_eq!(here.standing(key(), over + 30), Standing::Up, "what is known to be over closes nothing");
        fails(&mut there, 3, over + 40);
        here.hear(&there.tell(2, over + 40), 1, over + 40);
        assert!(matches!(here.standing(key(), over + 40), Standing::Down(_)), "it failed again since");
    }

    #[test]
    fn what_is_measured_is_the_sum_of_all_and_ones_own_counts_once() {
        let (mut here, mut there) = (Health::default(), Health::default());
        answers(&mut here, NOW);
        fails(&mut there, 1, NOW);
        let document = there.tell(2, NOW);
        here.hear(&document, 1, NOW);
        let own = here.tell(1, NOW);
        let heard = here.hear(&own, 1, NOW);
        assert_eq!(heard, Heard { newest: NOW, own: Some(NOW) });
        let measure = here.measure(key(), NOW);
        // One answer and one failure, and the one more that everyone is given.
        assert_eq!(measure.success_permille, Some(666));
        assert!(measure.first_byte_ms.is_some_and(|ms| (87..=113).contains(&ms)), "{measure:?}");
        // The target's other users saw it fail longer ago, and that counts less.
        for _ in 0..3 {
            answers(&mut here, NOW + 4 * super::super::HALF_LIFE_MS);
        }
        assert!(here.measure(key(), NOW + 4 * super::super::HALF_LIFE_MS).success_permille > Some(900));
    }

    #[test]
    fn garbage_changes_nothing_and_no_document_holds_a_target_back_for_long() {
        let mut health = Health::default();
        fails(&mut health, 3, NOW);
        let document = health.tell(7, NOW);
        for at in 0..document.len() {
            let mut cut = Health::default();
            cut.hear(&document[..at], 1, NOW);
            for bit in 0..8 {
                let mut damaged = document.clone();
                damaged[at] ^= 1 << bit;
                let mut reader = Health::default();
                reader.hear(&damaged, 1, NOW);
                match reader.standing(key(), NOW) {
                    Standing::Down(until) | Standing::Resting(until) => assert!(until <= NOW + DOWN_MS_MAX),
                    Standing::Up => {}
                }
                reader.begin(key(), NOW);
                reader.end(key(), Verdict::Answered, Caution::default(), NOW);
                reader.measure(key(), NOW);
            }
        }
        let mut reader = Health::default();
        assert_eq!(reader.hear(b"\x01garbage that is long enough to be read", 1, NOW).own, None);
        assert_eq!(reader.hear(&[FORM; 4096], 1, NOW), Heard::default());
        // From a clock that is far ahead, and from a process that is long gone.
        assert_eq!(reader.hear(&document, 1, NOW - 2 * AHEAD_MS), Heard::default());
        assert_eq!(reader.hear(&document, 1, NOW + SHARD_MS), Heard::default());
        assert_eq!(reader.standing(key(), NOW), Standing::Up);
    }

    #[test]
    fn others_hear_nothing_of_callers_own_keys() {
        let (own, mut health) = (Key::of_own("openai", "m", [7; 8]), Health::default());
        health.begin(own, NOW);
        health.end(own, Verdict::Unpaid, Caution::default(), NOW);
        health.pause(own, 9_000, Caution::default(), NOW);
        assert!(matches!(health.standing(own, NOW), Standing::Resting(_)));
        assert_eq!(health.standing(Key::of("openai", "m", 0), NOW), Standing::Up, "nor does the gateway's");
        assert_eq!(health.news(), News::None);
        assert_eq!(health.tell(1, NOW), Health::default().tell(1, NOW));
        // However many there are, what is known of the gateway's stays.
        health.end(key(), Verdict::Unpaid, Caution::default(), NOW - 3_600_000);
        let known = health.known(key()).map(|course| course.resting_until);
        for digest in 0..3 * COURSES_MAX as u64 {
            health.end(Key::of_own("openai", "m", digest.to_le_bytes()), Verdict::Failed, Caution::default(), NOW);
        }
        assert!(known.is_some() && health.courses.len() <= COURSES_MAX);
        assert_eq!(health.known(key()).map(|course| course.resting_until), known);
    }

    #[test]
    fn a_document_has_a_bound_and_tells_the_latest() {
        let mut reader = Health::default();
        for owner in 1..=100 {
            let mut health = Health::default();
            for model in 0..500 {
                let key = Key::of("openai", &format!("{owner}/{model}"), 0);
                health.begin(key, NOW + model);
                health.end(key, Verdict::Answered, Caution::default(), NOW + model);
            }
            let document = health.tell(owner, NOW + 1000 + owner);
            assert!(document.len() <= SHARD_BYTES_MAX + 32, "{}", document.len());
            reader.hear(&document, 1000, NOW + 2000);
        }
        let document = reader.tell(1000, NOW + 2000);
        assert!((DOCUMENT_BYTES_MAX / 2..=DOCUMENT_BYTES_MAX).contains(&document.len()), "{}", document.len());
        let latest = Key::of("openai", "100/499", 0);
        let mut late = Health::default();
        late.hear(&document, 1, NOW + 2000);
        assert_eq!(late.measure(latest, NOW + 2000).success_permille, Some(1000));
        assert!(reader.shards.len() <= SHARDS_MAX && reader.elsewhere.len() <= COURSES_MAX);
    }
}
