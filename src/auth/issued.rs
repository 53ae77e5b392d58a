//! Keys that were made while the gateway runs: what a store has of them, and the callers that they are. Pure.
//!
//! The document has the last change of each key, and of two documents the later change of each key counts. So a copy that is
//! old takes nothing back, and whoever writes one writes all that it knows of. For the same reason a key that is revoked stands
//! there for another day.

use std::sync::Arc;

use super::LOCAL;
use crate::config::{Caller, CallerDraft, CallerKeyDraft};
use crate::host::Millis;
use crate::limit::calendar::{DAY_MS, instant, written_instant};
use crate::named::Named;
use crate::wire::json::{objects, parse, written};

/// Under which a host's store has them.
pub const KEY: &str = "keys";
/// Ten years, or until the next change.
pub const KEPT_SECONDS: u32 = 10 * 366 * 24 * 60 * 60;
/// All are looked through for each request, and stand in one value of the store.
pub const KEYS_MAX: usize = 1_000;

objects! {
    #[derive(Debug, Default, Clone)]
    pub struct Document {
        pub keys: Named<Issued> = Named::default(),
    }

    /// A caller that has its name from whoever made it.
    #[derive(Debug, Default, Clone)]
    pub struct Issued {
        pub made_ms: Millis,
        pub changed_ms: Millis,
        pub revoked: bool = false,
        /// How its newest key begins.
        pub label: String,
        pub caller: CallerDraft,
    }
}

written! {
    impl Document { keys }
    impl Issued { made_ms, changed_ms, revoked?, label, caller }
}

/// What a process knows of them.
#[derive(Debug, Default)]
pub struct Ring {
    pub document: Document,
    callers: Arc<Vec<Arc<Caller>>>,
    /// The copy that was heard last.
    heard: Vec<u8>,
    /// How often it has changed.
    pub changes: u64,
}

/// Another has changed the same key meanwhile.
#[derive(Debug, PartialEq, Eq)]
pub struct Meanwhile;

impl Ring {
    pub fn callers(&self) -> Arc<Vec<Arc<Caller>>> {
        self.callers.clone()
    }

    /// Takes over what is newer in a store's copy.
    pub fn learn(&mut self, copy: &[u8]) -> Result<(), String> {
        if self.heard == copy {
            return Ok(());
        }
        let text = std::str::from_utf8(copy).map_err(|error| error.to_string())?;
        let other: Document = parse(text).map_err(|error| error.to_string())?;
        self.heard = copy.to_vec();
        let mut is_changed = false;
        for (name, issued) in other.keys.iter() {
            if self.document.keys.get(name).is_none_or(|known| known.changed_ms < issued.changed_ms) {
                self.document.keys.insert(name.to_owned(), issued.clone());
                is_changed = true;
            }
        }
        if is_changed {
            self.changed();
        }
        Ok(())
    }

    /// Changes one of them, which is still as it was at `issued.changed_ms`, or was not there at 0; what was there before.
    pub fn change(&mut self, name: &str, issued: Issued, now: Millis) -> Result<Option<Issued>, Meanwhile> {
        let before = self.document.keys.get(name).cloned();
        if self.changed_at(name) != issued.changed_ms {
            return Err(Meanwhile);
        }
        self.put(name, issued, now);
        Ok(before)
    }

    /// When one of them was last changed or revoked; 0 where there is none.
    pub fn changed_at(&self, name: &str) -> Millis {
        self.document.keys.get(name).map_or(0, |known| known.changed_ms)
    }

    /// Changes one of them, whatever it was.
    pub fn put(&mut self, name: &str, mut issued: Issued, now: Millis) {
        // Later than what was there, whatever the clock says.
        issued.changed_ms = now.max(self.changed_at(name).saturating_add(1));
        self.document.keys.insert(name.to_owned(), issued);
        let is_old = |issued: &Issued| issued.revoked && issued.changed_ms.saturating_add(DAY_MS) < now;
        self.document.keys.retain(|issued| !is_old(issued));
        self.changed();
    }

    fn changed(&mut self) {
        self.changes += 1;
        let good = self.document.keys.iter().filter(|(_, issued)| !issued.revoked);
        // What cannot be read any more lets nobody in.
        self.callers = Arc::new(
            good.filter_map(|(name, issued)| Caller::issued(name, &issued.caller, None).ok()).map(Arc::new).collect(),
        );
    }
}

impl Issued {
    /// Gives it another key; those before are good until `until`, if not for less.
    pub fn turn(&mut self, label: String, sha256: String, until: Millis, now: Millis) {
        let ends = |key: &CallerKeyDraft| key.expires.as_deref().and_then(instant);
        for key in &mut self.caller.keys {
            let until = ends(key).map_or(until, |ends| ends.min(until));
            key.expires = Some(written_instant(until));
        }
        self.caller.keys.retain(|key| ends(key).is_none_or(|ends| ends > now));
        self.caller.keys.push(CallerKeyDraft { sha256: Some(sha256), ..CallerKeyDraft::default() });
        self.label = label;
    }
}

/// Whether a name may not be given, for its counters are somebody's.
pub fn is_taken(name: &str) -> bool {
    name == LOCAL
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::to_vec;

    fn issued(made_ms: Millis, digit: &str) -> Issued {
        let mut issued = Issued { made_ms, ..Issued::default() };
        issued.turn("tg_".to_owned(), digit.repeat(64), 0, 0);
        issued
    }

    fn names(ring: &Ring) -> Vec<String> {
        ring.callers().iter().map(|caller| caller.name.clone()).collect()
    }

    #[test]
    fn a_copy_that_is_old_takes_nothing_back() {
        let (mut here, mut there) = (Ring::default(), Ring::default());
        here.put("a", issued(1, "a"), 10);
        let old = to_vec(&here.document);
        there.learn(&old).unwrap();
        assert_eq!(names(&there), ["a"]);
        here.put("b", issued(2, "b"), 20);
        let gone = Issued { revoked: true, ..here.document.keys.get("a").unwrap().clone() };
        here.put("a", gone, 20);
        there.put("c", issued(3, "c"), 15);
        here.learn(&old).unwrap();
        assert_eq!(names(&here), ["b"]);
        // Whoever wrote at the same time loses nothing either, as soon as one of them is heard.
        there.learn(&to_vec(&here.document)).unwrap();
        assert_eq!(names(&there), ["b", "c"]);
        let changes = there.changes;
        there.learn(&to_vec(&here.document)).unwrap();
        assert_eq!(there.changes, changes, "there was nothing new");
        assert!(there.learn(b"{").is_err() && names(&there) == ["b", "c"]);
    }

    #[test]
    fn a_change_counts_whatever_the_clock_says_and_what_is_revoked_is_forgotten_in_a_day() {
        let mut ring = Ring::default();
        ring.put("a", issued(1, "a"), 100);
        ring.put("a", Issued { revoked: true, ..issued(1, "a") }, 50);
        assert_eq!(ring.document.keys.get("a").unwrap().changed_ms, 101);
        ring.put("b", issued(1, "b"), 101 + DAY_MS);
        assert!(ring.document.keys.contains("a"));
        ring.put("b", issued(1, "b"), 102 + DAY_MS);
        assert!(!ring.document.keys.contains("a"));
    }

    #[test]
    fn of_two_who_change_one_key_at_once_the_second_is_told() {
        let mut ring = Ring::default();
        assert!(ring.change("a", issued(1, "a"), 10).is_ok_and(|before| before.is_none()));
        assert_eq!(ring.change("a", issued(1, "b"), 10).unwrap_err(), Meanwhile);
        let seen = ring.document.keys.get("a").unwrap().clone();
        assert!(ring.change("a", seen.clone(), 10).is_ok_and(|before| before.is_some()));
        assert_eq!(ring.change("a", seen, 10).unwrap_err(), Meanwhile);
    }

    #[test]
    fn keys_before_are_good_for_the_grace_time_and_no_longer_than_they_were() {
        let mut turned = issued(1, "a");
        turned.turn("tg_b".to_owned(), "b".repeat(64), 5_000, 1_000);
        turned.turn("tg_c".to_owned(), "c".repeat(64), 9_000, 2_000);
        let ends = |turned: &Issued| {
            turned.caller.keys.iter().map(|key| key.expires.clone().unwrap_or_default()).collect::<Vec<_>>()
        };
        assert_eq!(ends(&turned), ["1970-01-01T00:00:05Z", "1970-01-01T00:00:09Z", ""]);
        turned.turn("tg_d".to_owned(), "d".repeat(64), 6_000, 6_000);
        assert_eq!(ends(&turned), [""], "without a grace time only the new one is good");
    }
}
