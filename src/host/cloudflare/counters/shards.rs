//! Counters in KV, which has no increments and shows writes late: each isolate adds to its own copy, writes it as a
//! key of its own (`shard/DAY/ISOLATE`), and sums the others' from time to time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use worker::Delay;
use worker::kv::KvStore;

use super::super::{now, random};
use crate::host::{Millis, StoreDown};
use crate::limit::{Add, Admission, Bound, day, decide};
use crate::wire::json;

/// Decides by what this isolate counts and last saw.
pub(super) fn admit(bounds: &[Bound]) -> Admission {
    ISOLATE.with_borrow_mut(|isolate| isolate.admit(bounds))
}

pub(super) fn add(adds: Vec<Add>) {
    ISOLATE.with_borrow_mut(|isolate| isolate.add(adds));
}

/// The sums, as this isolate knows them.
pub(super) fn totals(prefix: &str) -> Vec<(String, i64)> {
    ISOLATE.with_borrow(|isolate| isolate.sums(prefix))
}

/// How long the others' sums are believed.
const OTHERS_MS: Millis = 30_000;
/// KV takes one write a second for each key.
const PUT_PAUSE: Duration = Duration::from_millis(1_100);
const PUT_TRIES: u32 = 8;
/// Totals stay readable for over a year.
const SHARD_SECONDS: u64 = 400 * 86_400;
/// What one bulk read may ask for.
const BULK: usize = 100;

thread_local! {
    static ISOLATE: RefCell<Isolate> = RefCell::default();
}

/// What this isolate has counted, and what it knows of the others.
#[derive(Default)]
struct Isolate {
    /// Made at the first addition: randomness is not there before a request is.
    id: Option<String>,
    /// By day, since each day's key is written until the day is over.
    own: HashMap<String, HashMap<String, i64>>,
    passing: HashMap<String, (i64, Millis)>,
    others: HashMap<String, i64>,
    read_at: Millis,
    /// Days whose key is behind.
    dirty: Vec<String>,
    flushing: bool,
}

impl Isolate {
    fn total(&self, name: &str) -> i64 {
        let passing = self.passing.get(name).map_or(0, |(total, _)| *total);
        let own = self.own.values().filter_map(|counters| counters.get(name));
        let others = self.others.get(name).copied().unwrap_or(0);
        own.fold(passing.saturating_add(others), |sum, total| sum.saturating_add(*total))
    }

    fn admit(&mut self, bounds: &[Bound]) -> Admission {
        self.passing.retain(|_, (_, expires)| *expires > now());
        let admission = decide(bounds, |name| self.total(name));
        if let Admission::Admitted(_) = admission {
            for bound in bounds {
                let (total, _) = self.passing.entry(bound.counter.clone()).or_insert((0, bound.expires));
                *total = total.saturating_add(bound.add);
            }
        }
        admission
    }

    fn add(&mut self, adds: Vec<Add>) {
        let today = day(now());
        let own = self.own.entry(today.clone()).or_default();
        let mut is_behind = false;
        for Add { counter, add, expires } in adds {
            if expires.is_none() {
                let total = own.entry(counter).or_default();
                *total = total.saturating_add(add);
                is_behind = true;
            } else if let Some((total, _)) = self.passing.get_mut(&counter) {
                *total = total.saturating_add(add);
            }
        }
        if is_behind {
            self.is_behind(today);
        }
    }

    fn sums(&self, prefix: &str) -> Vec<(String, i64)> {
        let mut sums: HashMap<&str, i64> = HashMap::new();
        let own = self.own.values().flatten();
        for (name, total) in own.chain(&self.others).filter(|(name, _)| name.starts_with(prefix)) {
            let sum = sums.entry(name).or_default();
            *sum = sum.saturating_add(*total);
        }
        sums.into_iter().map(|(name, total)| (name.to_owned(), total)).collect()
    }

    fn is_behind(&mut self, day: String) {
        if !self.dirty.contains(&day) {
            self.dirty.push(day);
        }
    }

    /// A day whose key is behind, and what it should hold.
    fn next_dirty(&mut self) -> Option<(String, String, HashMap<String, i64>)> {
        let day = self.dirty.pop()?;
        let counters = self.own.get(&day).cloned().unwrap_or_default();
        Some((day, self.id(), counters))
    }

    fn id(&mut self) -> String {
        self.id.get_or_insert_with(|| format!("{:016x}", random())).clone()
    }
}

/// Sums the other isolates' shards, unless that was done a moment ago.
pub(super) async fn refresh(kv: &KvStore) -> Result<(), StoreDown> {
    if ISOLATE.with_borrow(|isolate| now().saturating_sub(isolate.read_at) > OTHERS_MS) {
        refresh_now(kv).await?;
    }
    Ok(())
}

pub(super) async fn refresh_now(kv: &KvStore) -> Result<(), StoreDown> {
    let others = others(kv).await?;
    ISOLATE.with_borrow_mut(|isolate| {
        isolate.others = others;
        isolate.read_at = now();
    });
    Ok(())
}

async fn others(kv: &KvStore) -> Result<HashMap<String, i64>, StoreDown> {
    let down = |error: worker::kv::KvError| StoreDown(error.to_string());
    let own = format!("/{}", ISOLATE.with_borrow_mut(Isolate::id));
    let mut keys = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let list = kv.list().prefix("shard/".to_owned());
        let list = match cursor.take() {
            Some(cursor) => list.cursor(cursor),
            None => list,
        };
        let page = list.execute().await.map_err(down)?;
        keys.extend(page.keys.into_iter().map(|key| key.name).filter(|name| !name.ends_with(&own)));
        cursor = page.cursor;
        if page.list_complete || cursor.is_none() {
            break;
        }
    }
    let mut sums: HashMap<String, i64> = HashMap::new();
    for keys in keys.chunks(BULK) {
        for shard in kv.get_bulk(keys).text().await.map_err(down)?.into_values().flatten() {
            let counters: HashMap<String, i64> = serde_json::from_str(&shard).unwrap_or_default();
            for (name, total) in counters {
                let sum = sums.entry(name).or_default();
                *sum = sum.saturating_add(total);
            }
        }
    }
    Ok(sums)
}

/// Writes this isolate's shards until they are as it counts. One at a time: two writes under way may land in the
/// wrong order.
pub(super) async fn flush(kv: &KvStore) {
    let busy = ISOLATE.with_borrow_mut(|isolate| std::mem::replace(&mut isolate.flushing, true));
    if busy {
        return;
    }
    let mut failures = 0;
    while failures < PUT_TRIES {
        let Some((day, id, counters)) = ISOLATE.with_borrow_mut(Isolate::next_dirty) else { break };
        if let Err(error) = put(kv, &format!("shard/{day}/{id}"), &counters).await {
            worker::console_error!("counters: {error}");
            failures += 1;
            ISOLATE.with_borrow_mut(|isolate| isolate.is_behind(day));
        }
        Delay::from(PUT_PAUSE).await;
    }
    ISOLATE.with_borrow_mut(|isolate| isolate.flushing = false);
}

async fn put(kv: &KvStore, key: &str, counters: &HashMap<String, i64>) -> Result<(), worker::kv::KvError> {
    let value = json::to_string(counters);
    // As bytes: a value of any type is turned into JavaScript's first, with code that prints floats.
    kv.put_bytes(key, value.as_bytes())?.expiration_ttl(SHARD_SECONDS).execute().await
}
