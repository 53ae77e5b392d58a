//! Counters in Spin's key-value store `default`, by the only operation that is exact on each of its backends: add,
//! and see the sum. Adding nothing reads; values are stored otherwise by each backend and are never got or set.
//!
//! The calls do not `await`, so between two of them the other requests of the instance get their turn.

use std::cell::Cell;
use std::time::Duration;

use spin_sdk::experimental::wasi::keyvalue::{atomics, store};
use spin_sdk::time::sleep;
use spin_sdk::wasip3::spawn;
use spin_sdk::wit_bindgen::yield_async;

use crate::host::{Millis, StoreDown};
use crate::limit::{Add, Admission, Bound, is_past};
use crate::wire::json::{self, written};

/// Before each new attempt. DynamoDB refuses one of two additions at once.
const RETRY_AFTER: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(50), Duration::from_millis(250)];
/// Longer than a settlement takes. A refusal may wait, an admission need not.
const LOOK_AGAIN_AFTER: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(300)];
const SWEEP_MS: Millis = 60_000;

thread_local! {
    /// When this instance last began to delete what has expired.
    static SWEPT: Cell<Millis> = const { Cell::new(0) };
}

/// As [`once`], and again where a sum of several counters said no: a settlement between two of its reads is seen twice, and so
/// is what others add who are refused as well. Whoever looks again adds only if there seems to be room, or many who look would
/// keep each other out.
pub(super) async fn admit(bounds: &[Bound], now: Millis) -> Result<Admission, StoreDown> {
    let mut admission = once(bounds, now).await?;
    for pause in LOOK_AGAIN_AFTER {
        match &admission {
            Admission::Refused(sums) if bounds.iter().take(sums.len()).any(|rule| !rule.with.is_empty()) => {}
            _ => break,
        }
        sleep(pause).await;
        if has_room(bounds).await? {
            admission = once(bounds, now).await?;
        }
    }
    Ok(admission)
}

/// Whether all of `bounds` had room just now.
async fn has_room(bounds: &[Bound]) -> Result<bool, StoreDown> {
    for rule in bounds {
        let sum = total(add(&rule.counter, 0).await?, &rule.with).await?;
        if sum.saturating_add(rule.add) > rule.limit {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Adds first and looks then. Of requests that are here at once, each sees what those before it have added, so
/// they are never admitted beyond the limit together. One that is refused takes back what it added; until then it
/// may turn another away, and that is the side to err on.
async fn once(bounds: &[Bound], now: Millis) -> Result<Admission, StoreDown> {
    let mut added = Vec::with_capacity(bounds.len());
    let mut sums = Vec::with_capacity(bounds.len());
    let mut is_first = false;
    for rule in bounds {
        let sum = match add(&rule.counter, rule.add).await {
            Ok(own) => {
                added.push(Add { counter: rule.counter.clone(), add: -rule.add, expires: None });
                is_first |= own == rule.add;
                total(own, &rule.with).await
            }
            Err(down) => Err(down),
        };
        match sum {
            Ok(sum) if sum <= rule.limit => sums.push(sum),
            Ok(sum) => {
                settle(added).await;
                sums.push(sum);
                return Ok(Admission::Refused(sums.iter().zip(bounds).map(|(sum, rule)| sum - rule.add).collect()));
            }
            Err(down) => {
                settle(added).await;
                return Err(down);
            }
        }
    }
    if is_first && now.saturating_sub(SWEPT.replace(now)) > SWEEP_MS {
        spawn(sweep(now));
    }
    Ok(Admission::Admitted(sums))
}

/// `own` and the counters of `with`, read in their order.
async fn total(own: i64, with: &[String]) -> Result<i64, StoreDown> {
    let mut sum = own;
    for counter in with {
        sum = sum.saturating_add(add(counter, 0).await?);
    }
    Ok(sum)
}

/// Adds in the order given. What the store does not take is logged, so that someone can add it.
pub(super) async fn settle(adds: Vec<Add>) {
    for Add { counter, add: amount, .. } in adds {
        if let Err(StoreDown(why)) = add(&counter, amount).await {
            super::log(&json::to_string(&Unsettled { event: "unsettled", counter, add: amount, error: why }));
        }
    }
}

written! {
    struct Unsettled {
        event: &'static str,
        counter: String,
        add: i64,
        error: String,
    }
}

pub(super) async fn totals(prefix: &str) -> Result<Vec<(String, i64)>, StoreDown> {
    let mut totals = Vec::new();
    for counter in keys().map_err(down)?.into_iter().filter(|counter| counter.starts_with(prefix)) {
        let total = add(&counter, 0).await?;
        totals.push((counter, total));
    }
    Ok(totals)
}

/// Keys have no end of life here, so whoever opens a window deletes those that are past.
async fn sweep(now: Millis) {
    // The request that came upon it goes first.
    yield_async().await;
    for counter in keys().unwrap_or_default().into_iter().filter(|counter| is_past(counter, now)) {
        // The next to sweep comes upon it again.
        let _ = store::open(STORE).and_then(|bucket| bucket.delete(&counter));
        yield_async().await;
    }
}

pub(super) async fn add(counter: &str, amount: i64) -> Result<i64, StoreDown> {
    let increment = || atomics::increment(&store::open(STORE)?, counter, amount);
    for pause in RETRY_AFTER {
        yield_async().await;
        if let Ok(sum) = increment() {
            return Ok(sum);
        }
        sleep(pause).await;
    }
    increment().map_err(down)
}

/// The keys of all that the store has, counters and others.
pub(super) fn keys() -> Result<Vec<String>, store::Error> {
    let bucket = store::open(STORE)?;
    let mut page = bucket.list_keys(None)?;
    let mut counters = page.keys;
    while page.cursor.is_some() {
        page = bucket.list_keys(page.cursor.as_deref())?;
        counters.append(&mut page.keys);
    }
    Ok(counters)
}

pub(super) fn down(error: store::Error) -> StoreDown {
    StoreDown(format!("{error:?}"))
}

pub(super) const STORE: &str = "default";
