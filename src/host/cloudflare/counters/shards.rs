//! Counters in KV, which has no increments and shows writes late: each isolate adds to its own copy, writes it as a
//! key of its own (`shard/DAY/ISOLATE`), and sums the others' from time to time.

use std::cell::RefCell;
use std::time::Duration;

use wasm_bindgen::JsValue;
use worker::Delay;

use super::super::{keep, now, random, texts};
use crate::host::{Millis, StoreDown};
use crate::limit::calendar::day;
use crate::limit::{Add, Admission, Bound, decide};
use crate::named::Named;
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
const SHARD_SECONDS: u32 = 400 * 86_400;

thread_local! {
    static ISOLATE: RefCell<Isolate> = RefCell::default();
}

/// What this isolate has counted, and what it knows of the others.
#[derive(Default)]
struct Isolate {
    /// Made at the first addition: randomness is not there before a request is.
    id: Option<String>,
    /// By day, since each day's key is written until the day is over.
    own: Named<Named<i64>>,
    passing: Named<(i64, Millis)>,
    others: Named<i64>,
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
        self.passing.retain(|(_, expires)| *expires > now());
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

    fn add(&mut self, adds: Vec<Add>) {
        let today = day(now());
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

    fn sums(&self, prefix: &str) -> Vec<(String, i64)> {
        let mut sums = Named::<i64>::default();
        let own = self.own.values().flat_map(Named::iter);
        for (name, total) in own.chain(self.others.iter()).filter(|(name, _)| name.starts_with(prefix)) {
            count(&mut sums, name, *total);
        }
        sums.iter().map(|(name, total)| (name.to_owned(), *total)).collect()
    }

    fn is_behind(&mut self, day: String) {
        if !self.dirty.contains(&day) {
            self.dirty.push(day);
        }
    }

    /// A day whose key is behind, and what it should hold.
    fn next_dirty(&mut self) -> Option<(String, String, Named<i64>)> {
        let day = self.dirty.pop()?;
        let counters = self.own.get(&day).cloned().unwrap_or_default();
        Some((day, self.id(), counters))
    }

    fn id(&mut self) -> String {
        self.id.get_or_insert_with(|| format!("{:016x}", random())).clone()
    }
}

fn count(sums: &mut Named<i64>, name: &str, add: i64) {
    sums.change(name, |sum| *sum = sum.saturating_add(add));
}

/// Sums the other isolates' shards, unless that was done a moment ago.
pub(super) async fn refresh(kv: &JsValue) -> Result<(), StoreDown> {
    if ISOLATE.with_borrow(|isolate| now().saturating_sub(isolate.read_at) > OTHERS_MS) {
        refresh_now(kv).await?;
    }
    Ok(())
}

pub(super) async fn refresh_now(kv: &JsValue) -> Result<(), StoreDown> {
    let others = others(kv).await?;
    ISOLATE.with_borrow_mut(|isolate| {
        isolate.others = others;
        isolate.read_at = now();
    });
    Ok(())
}

async fn others(kv: &JsValue) -> Result<Named<i64>, StoreDown> {
    let own = format!("/{}", ISOLATE.with_borrow_mut(Isolate::id));
    let shards = texts(kv, "shard/", &own).await.map_err(|error| StoreDown(worker::Error::from(error).to_string()))?;
    let shards: Vec<String> =
        json::parse(&shards.as_string().unwrap_or_default()).map_err(|error| StoreDown(error.to_string()))?;
    let mut sums = Named::<i64>::default();
    for shard in &shards {
        let counters: Named<i64> = json::parse(shard).unwrap_or_default();
        for (name, total) in counters.iter() {
            count(&mut sums, name, *total);
        }
    }
    Ok(sums)
}

/// Writes this isolate's shards until they are as it counts. One at a time: two writes under way may land in the
/// wrong order.
pub(super) async fn flush(kv: &JsValue) {
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

async fn put(kv: &JsValue, key: &str, counters: &Named<i64>) -> worker::Result<()> {
    keep(kv, key, &JsValue::from_str(&json::to_string(counters)), SHARD_SECONDS).await?;
    Ok(())
}
