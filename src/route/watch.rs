//! What one request tells of the targets that it asks, exactly once for each: whoever goes away without a word has
//! abandoned it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::health::{Caution, Health, Key, Verdict};
use crate::host::Millis;

/// The health of all targets, for everyone in this process.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<Health>>);

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt begins.
    pub fn watch(&self, key: Key, caution: Caution, now: Millis) -> Watch {
        self.lock().begin(key, now);
        Watch { health: self.clone(), key, caution, began: now, is_told: false }
    }
}

/// One attempt, until it is known what came of it.
#[derive(Debug)]
pub struct Watch {
    health: Shared,
    key: Key,
    caution: Caution,
    began: Millis,
    is_told: bool,
}

impl Watch {
    /// The answer has begun.
    pub fn begins(&self, now: Millis) {
        self.health.lock().began_after(self.key, now.saturating_sub(self.began), now);
    }

    pub fn end(mut self, verdict: Verdict, now: Millis) {
        self.is_told = true;
        self.health.lock().end(self.key, verdict, self.caution, now);
    }

    /// The answer is complete, `ms` after it began.
    pub fn told(self, tokens: u64, ms: Millis, now: Millis) {
        self.health.lock().told(self.key, tokens, ms, now);
        self.end(Verdict::Answered, now);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.is_told {
            self.health.lock().end(self.key, Verdict::Abandoned, self.caution, self.began);
        }
    }
}
