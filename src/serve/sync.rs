//! What processes tell one another of their targets' health, through the store: read and written behind the requests' back.
//!
//! One key holds what all have told. A process reads it at most every 30 s. It writes, after another look, when a target was
//! closed or opened or asked for a pause, and what was only measured when it has written nothing for five minutes. Urgent
//! writes wait for each other, 30 s at first and the longer the more of them there are, up to the same five minutes: so a
//! process that is always in trouble writes 288 times a day for that and as often for the rest, and reads 2,880 times, where
//! Workers KV's free plan has 1,000 and 100,000. A process that lives shorter than five minutes leaves what it measured to
//! one that comes when nobody has written for as long.
//!
//! A list of keys, one for each writer, would lose nothing to writers at the same moment; but of lists too there are
//! 1,000 a day, and what is lost here comes back with the next writer who has read it.

use std::sync::PoisonError;

use bytes::Bytes;

use super::Gateway;
use crate::host::{Host, Millis, StoreDown};
use crate::route::health::News;
use crate::route::health::shard::{Heard, SHARD_MS};

const KEY: &str = "health";
const KEPT_SECONDS: u32 = (SHARD_MS / 1000) as u32;
const READ_MS: Millis = 30_000;
const URGENT_MS: Millis = 30_000;
const ORDINARY_MS: Millis = 5 * 60_000;
/// KV takes one write a second for each key.
const PAUSE_MS: Millis = 1_500;
/// A turn that was not brought to its end is over by then.
const TURN_MS: Millis = 30_000;

/// When this process last took part, and under what name.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// Chosen at its first turn.
    owner: Option<u64>,
    read_at: Millis,
    told_at: Millis,
    /// When it last told something urgent.
    urgent_at: Millis,
    /// When anybody told anything.
    newest: Millis,
    /// From one urgent news to the next.
    gap_ms: Millis,
    turn_ends: Millis,
    is_down: bool,
}

impl Sharing {
    fn reads(&self, now: Millis) -> bool {
        now.saturating_sub(self.read_at) >= READ_MS
    }

    fn tells(&self, news: News, now: Millis) -> bool {
        let since = |instant: Millis| now.saturating_sub(instant);
        match news {
            News::None => false,
            News::Urgent => since(self.urgent_at) >= self.gap_ms,
            // Who has not told yet may be gone before five minutes are over, and goes by what anybody told.
            News::Ordinary if self.told_at == 0 => self.read_at > 0 && since(self.newest) >= ORDINARY_MS,
            News::Ordinary => since(self.told_at) >= ORDINARY_MS,
        }
    }

    fn told(&mut self, news: News, now: Millis) {
        self.told_at = now;
        if news == News::Urgent {
            let is_quiet = now.saturating_sub(self.urgent_at) >= 2 * ORDINARY_MS;
            self.gap_ms = if is_quiet { URGENT_MS } else { (self.gap_ms * 2).clamp(URGENT_MS, ORDINARY_MS) };
            self.urgent_at = now;
        }
    }
}

impl Gateway {
    /// Whether [`Self::sync`] would do anything now.
    pub fn is_due(&self, now: Millis) -> bool {
        self.alerts().is_due() || self.is_turn(now)
    }

    fn is_turn(&self, now: Millis) -> bool {
        let news = self.health.lock().news();
        let sharing = self.sharing();
        now >= sharing.turn_ends && (sharing.reads(now) || sharing.tells(news, now))
    }

    /// Learns what others told and tells them what is new, if either is due, and tells what is to be told of budgets. To be called after replies, or from time to
    /// time, and not to be waited for by a request.
    pub async fn sync<H: Host>(&self, host: &H) {
        self.share(host).await;
        self.alert(host).await;
    }

    async fn share<H: Host>(&self, host: &H) {
        let now = host.now();
        if !self.is_turn(now) {
            return;
        }
        let random = host.random();
        let owner = {
            let mut sharing = self.sharing();
            sharing.turn_ends = now.saturating_add(TURN_MS);
            *sharing.owner.get_or_insert(random)
        };
        let done = self.turn(host, owner, now).await;
        let mut sharing = self.sharing();
        sharing.turn_ends = 0;
        match done {
            Ok(()) => sharing.is_down = false,
            Err(StoreDown(why)) => {
                // Tried again as if it had gone well, and told of once: what it would have brought is a convenience.
                sharing.read_at = now;
                if !std::mem::replace(&mut sharing.is_down, true) {
                    host.log(&format!("health of targets is not shared: {why}"));
                }
            }
        }
    }

    /// Tells what is new at the end of a process, however little time has passed.
    pub async fn part<H: Host>(&self, host: &H) {
        let owner = self.sharing().owner;
        if let Some(owner) = owner.filter(|_| self.health.lock().news() > News::None) {
            let told = self.health.lock().tell(owner, host.now());
            // Who starts next learns it anew.
            let _ = host.remember(KEY, told.into(), KEPT_SECONDS).await;
        }
    }

    async fn turn<H: Host>(&self, host: &H, owner: u64, now: Millis) -> Result<(), StoreDown> {
        let document = host.recall(KEY).await?.unwrap_or_default();
        let Heard { newest, own } = self.health.lock().hear(&document, owner, now);
        let news = {
            let mut sharing = self.sharing();
            (sharing.read_at, sharing.newest) = (now, newest);
            let is_lost = sharing.told_at > 0 && own != Some(sharing.told_at);
            let mut health = self.health.lock();
            if is_lost {
                health.retell();
            }
            Some(health.news()).filter(|news| sharing.tells(*news, now))
        };
        if let Some(news) = news {
            let since = now.saturating_sub(self.sharing().told_at);
            if since < PAUSE_MS {
                // Nobody may come later to tell it.
                host.sleep(PAUSE_MS - since).await;
            }
            let now = host.now();
            // Counted before it is tried: what a store refuses is as good as used up.
            self.sharing().told(news, now);
            let told: Bytes = self.health.lock().tell(owner, now).into();
            host.remember(KEY, told, KEPT_SECONDS).await?;
        }
        Ok(())
    }

    fn sharing(&self) -> std::sync::MutexGuard<'_, Sharing> {
        self.sharing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Millis = 24 * 60 * 60_000;
    const NOW: Millis = 1_795_262_400_000;

    /// How often a process tells in a day whose news are such at every second.
    fn told_in_a_day(news: impl Fn(Millis) -> News) -> u32 {
        let mut sharing = Sharing::default();
        let mut told = 0;
        for now in (NOW..NOW + DAY).step_by(1000) {
            if sharing.reads(now) {
                (sharing.read_at, sharing.newest) = (now, sharing.told_at);
            }
            if sharing.tells(news(now), now) {
                sharing.told(news(now), now);
                told += 1;
            }
        }
        told
    }

    #[test]
    fn no_news_use_up_what_a_free_plan_may_write() {
        assert_eq!(told_in_a_day(|_| News::None), 0);
        assert_eq!(told_in_a_day(|_| News::Ordinary), 288);
        let urgent = told_in_a_day(|_| News::Urgent);
        assert!((288..=293).contains(&urgent), "{urgent}");
        // An outage of a minute in every quarter of an hour.
        let outages = told_in_a_day(|now| if now / 60_000 % 15 == 0 { News::Urgent } else { News::None });
        assert!((96..=192).contains(&outages), "{outages}");
        // The worst: something is measured just before each trouble.
        let worst = told_in_a_day(|now| if now / 1000 % 300 < 2 { News::Urgent } else { News::Ordinary });
        assert!((288..=580).contains(&worst), "{worst}");
    }

    #[test]
    fn a_first_urgent_news_is_told_at_once_and_what_was_measured_after_a_while() {
        let mut sharing = Sharing::default();
        assert!(sharing.tells(News::Urgent, NOW));
        assert!(!sharing.tells(News::Ordinary, NOW), "nobody knows yet what others told");
        (sharing.read_at, sharing.newest) = (NOW, NOW - 60_000);
        assert!(!sharing.tells(News::Ordinary, NOW), "somebody told something");
        assert!(sharing.tells(News::Ordinary, NOW - 60_000 + ORDINARY_MS));
        sharing.told(News::Ordinary, NOW);
        assert!(sharing.tells(News::Urgent, NOW + 1), "what was measured does not hold it up");
        sharing.told(News::Urgent, NOW + 1);
        assert!(!sharing.tells(News::Urgent, NOW + URGENT_MS));
        assert!(sharing.tells(News::Urgent, NOW + 1 + URGENT_MS));
        assert!(!sharing.tells(News::Ordinary, NOW + 1 + URGENT_MS));
    }
}
