//! The keys of issuers who publish them (JWKS): what is known, when it is asked for anew, and which signatures were good. Pure.
//!
//! Keys are fetched once an hour while tokens come, and once more when a token names one that is not among them: after 30 s
//! at first, and the longer the more of that was in vain, up to five minutes. So nobody can have an issuer asked often by
//! making up names of keys. What cannot be fetched leaves the last good keys.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key::{Key, key_set};
use super::token::Token;
use crate::host::Millis;
use crate::named::Named;
use crate::wire::json::{objects, parse, to_vec, written};

/// So long keys are good without another look.
const FRESH_MS: Millis = 60 * 60_000;
/// From one look to the next, and the most that it is where they were in vain.
const GAP_MS: Millis = 30_000;
const GAP_MS_MAX: Millis = 5 * 60_000;
/// For a set of keys; who waits for it waits no longer.
pub const FETCH_MS: Millis = 5_000;
/// Issuers who send their certificates along need 20 KB.
pub const SET_BYTES_MAX: usize = 128 * 1024;
/// Old keys are better than none.
pub const KEPT_SECONDS: u32 = 30 * 24 * 60 * 60;
/// Places of signatures that were good.
const SEEN_MAX: usize = 1024;

objects! {
    /// What is kept of an issuer's keys, for other processes and later ones.
    #[derive(Debug, Clone, Default)]
    pub struct Kept {
        pub url: String,
        /// The set, as it was last had.
        pub text: String,
        pub read_at: Millis,
        pub tried_at: Millis,
        /// Looks since then that brought nothing new.
        pub misses: u32,
    }
}

written! {
    impl Kept { url, text, read_at, tried_at, misses }
}

/// What a token needs before it can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Nothing,
    /// Another request looks for the keys.
    Wait,
    Look,
}

/// What is known of all issuers; outlives a configuration.
#[derive(Debug, Default)]
pub struct Trusted {
    /// By their addresses.
    sets: Mutex<Named<Set>>,
    /// By their places. At each there are those that requests are held to, and one more at most.
    seen: Mutex<Vec<Vec<Seen>>>,
}

/// Of a signature, its key and all that it is on.
pub type Mark = [u8; 32];

/// A signature that was good.
#[derive(Debug)]
struct Seen {
    mark: Mark,
    /// Requests under way that came with it.
    held: usize,
}

/// A request whose token's signature was found good: until this is dropped, that is not forgotten.
#[must_use = "while it is there, the signature is known to be good"]
#[derive(Debug)]
pub struct Proven<'a> {
    trusted: &'a Trusted,
    mark: Mark,
}

impl Drop for Proven<'_> {
    fn drop(&mut self) {
        self.trusted.at(&self.mark, |place| {
            for seen in place.iter_mut().filter(|seen| seen.mark == self.mark) {
                seen.held = seen.held.saturating_sub(1);
            }
            place.retain(|seen| seen.held > 0 || seen.mark == self.mark);
        });
    }
}

#[derive(Debug, Default)]
struct Set {
    kept: Kept,
    keys: Arc<Vec<Key>>,
    /// Until then a look is under way, unless it ends before.
    busy_until: Millis,
}

impl Trusted {
    /// The keys of the set at `url`; none where there never were any.
    pub fn keys(&self, url: &str) -> Option<Arc<Vec<Key>>> {
        self.sets().get(url).filter(|set| set.kept.read_at > 0).map(|set| set.keys.clone())
    }

    /// What `token` needs of the set at `url`. Whoever is told to look is the only one, until it calls [`Self::looked`].
    pub fn need(&self, url: &str, token: &Token<'_>, now: Millis) -> Need {
        let mut sets = self.sets();
        let need = sets.get(url).map_or(Need::Look, |set| set.need(token, now));
        if need == Need::Look {
            sets.change(url, |set| set.busy_until = now.saturating_add(FETCH_MS));
        }
        need
    }

    /// Whether a look is still due once what others have kept is learned. If not, it is over.
    pub fn is_still_due(&self, url: &str, token: &Token<'_>, now: Millis) -> bool {
        let mut is_due = false;
        self.sets().change(url, |set| {
            let busy_until = std::mem::take(&mut set.busy_until);
            is_due = set.need(token, now) == Need::Look;
            if is_due {
                set.busy_until = busy_until;
            }
        });
        is_due
    }

    /// Takes over what another process has kept, where that is newer.
    pub fn learn(&self, url: &str, kept: &[u8]) {
        let kept: Option<Kept> = std::str::from_utf8(kept).ok().and_then(|text| parse(text).ok());
        let Some(kept) = kept.filter(|kept| kept.url == url) else { return };
        self.sets().change(url, |set| {
            if kept.read_at > set.kept.read_at
                && let Ok(keys) = key_set(&kept.text)
            {
                set.keys = Arc::new(keys);
                set.kept = Kept { tried_at: set.kept.tried_at, ..kept.clone() };
            }
            if kept.tried_at > set.kept.tried_at {
                (set.kept.tried_at, set.kept.misses) = (kept.tried_at, kept.misses);
            }
        });
    }

    /// A look that began at `now` is over; what is to be kept of it. The error says why the set was of no use, and the last good
    /// one stays.
    pub fn looked(&self, url: &str, fetched: Result<Vec<u8>, String>, now: Millis) -> (Vec<u8>, Result<(), String>) {
        let read = fetched.and_then(|bytes| {
            let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
            let keys = key_set(&text)?;
            if keys.is_empty() { Err("it has no key that can be used".to_owned()) } else { Ok((text, keys)) }
        });
        let (mut kept, mut done) = (Vec::new(), Ok(()));
        self.sets().change(url, |set| {
            let was_old = set.is_old(now);
            set.busy_until = 0;
            set.kept.url = url.to_owned();
            set.kept.tried_at = now;
            set.kept.misses = set.kept.misses.saturating_add(1);
            done = read.map(|(text, keys)| {
                if was_old || set.kept.text != text {
                    set.kept.misses = 0;
                }
                (set.keys, set.kept.text, set.kept.read_at) = (Arc::new(keys), text, now);
            });
            kept = to_vec(&set.kept);
        });
        (kept, done)
    }

    /// Whether a signature was found good, and not forgotten since.
    pub(super) fn has_seen(&self, mark: &Mark) -> bool {
        self.at(mark, |place| place.iter().any(|seen| seen.mark == *mark))
    }

    /// The same, for a request that will ask for it again.
    pub fn known(&self, mark: &Mark) -> Option<Proven<'_>> {
        let is_known = self.at(mark, |place| {
            let seen = place.iter_mut().find(|seen| seen.mark == *mark);
            seen.map(|seen| seen.held = seen.held.saturating_add(1)).is_some()
        });
        is_known.then(|| Proven { trusted: self, mark: *mark })
    }

    /// A signature was found good. One at the same place that no request is held to is forgotten.
    pub fn saw(&self, mark: Mark) -> Proven<'_> {
        self.at(&mark, |place| match place.iter_mut().find(|seen| seen.mark == mark) {
            Some(seen) => seen.held = seen.held.saturating_add(1),
            None => {
                place.retain(|seen| seen.held > 0);
                place.push(Seen { mark, held: 1 });
            }
        });
        Proven { trusted: self, mark }
    }

    /// What is known at the place of a mark.
    fn at<T: Default>(&self, mark: &Mark, then: impl FnOnce(&mut Vec<Seen>) -> T) -> T {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_empty() {
            seen.resize_with(SEEN_MAX, Vec::new);
        }
        let [high, low, ..] = *mark;
        seen.get_mut(usize::from(u16::from_be_bytes([high, low])) % SEEN_MAX).map(then).unwrap_or_default()
    }

    fn sets(&self) -> MutexGuard<'_, Named<Set>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    fn is_old(&self, now: Millis) -> bool {
        now.saturating_sub(self.kept.read_at) >= FRESH_MS
    }

    fn need(&self, token: &Token<'_>, now: Millis) -> Need {
        let is_known = self.kept.read_at > 0 && !token.lacks(&self.keys);
        if is_known && !self.is_old(now) {
            return Need::Nothing;
        }
        if now < self.busy_until {
            return if is_known { Need::Nothing } else { Need::Wait };
        }
        let gap_ms = (GAP_MS << self.kept.misses.min(4)).min(GAP_MS_MAX);
        if now.saturating_sub(self.kept.tried_at) >= gap_ms { Need::Look } else { Need::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(place: u8, own: u8) -> Mark {
        let mut mark = [own; 32];
        (mark[0], mark[1]) = (0, place);
        mark
    }

    #[test]
    fn what_a_request_stands_on_is_not_forgotten_while_it_is_under_way_and_little_is_kept_after() {
        let trusted = Trusted::default();
        let has = |own: u8| trusted.has_seen(&mark(7, own));
        assert!(trusted.known(&mark(7, 1)).is_none() && !has(1));
        let first = trusted.saw(mark(7, 1));
        let again = trusted.saw(mark(7, 1));
        let others: Vec<Proven<'_>> = (2..100).map(|own| trusted.saw(mark(7, own))).collect();
        assert!((1..100).all(has) && !has(100));
        drop(first);
        drop(trusted.saw(mark(7, 100)));
        assert!(has(1) && has(100), "the other request is held to it");
        drop(again);
        drop(others);
        // The last one is remembered, until another comes to its place.
        assert_eq!((1..=100).filter(|own| has(*own)).collect::<Vec<_>>(), [99]);
        let elsewhere = trusted.saw(mark(8, 1));
        let known = trusted.known(&mark(7, 99)).unwrap();
        drop(trusted.saw(mark(7, 1)));
        assert!(has(99) && has(1));
        drop((known, elsewhere));
        drop(trusted.saw(mark(7, 2)));
        assert!(has(2) && !has(99) && !has(1) && trusted.has_seen(&mark(8, 1)));
    }

    #[test]
    fn requests_at_once_hold_what_is_theirs() {
        let trusted = Trusted::default();
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let trusted = &trusted;
                scope.spawn(move || {
                    for turn in 0..2000_u16 {
                        let mark = mark(3, turn.to_be_bytes()[1] % 3 + thread % 2);
                        let proven = trusted.saw(mark);
                        assert!(trusted.has_seen(&mark) && trusted.known(&mark).is_some());
                        drop(proven);
                    }
                });
            }
        });
        let left: usize = trusted.seen.lock().unwrap().iter().map(Vec::len).sum();
        assert_eq!(left, 1);
    }
}
