//! Receipts in Spin's key-value store `default`: a value for each, under `receipt/CALLER/ID`.
//!
//! They are no counters, so they are got and set. The store lists all its keys or none, so a list of receipts takes as long
//! as there are keys; `receipts.days` bounds them.

use std::cell::Cell;

use spin_sdk::experimental::wasi::keyvalue::store;
use spin_sdk::wasip3::spawn;
use spin_sdk::wit_bindgen::yield_async;

use super::counters::{STORE, add, down, keys};
use super::{recall, remember};
use crate::host::{Millis, StoreDown};
use crate::receipt::{Ids, Kept};
use crate::wire::json::{self, written};

const PREFIX: &str = "receipt/";
const SWEEP_MS: Millis = 3_600_000;

thread_local! {
    /// The hour in which this instance last saw to it that old ones are deleted.
    static SWEPT: Cell<Millis> = const { Cell::new(0) };
}

/// What the store does not take is logged, so that someone can keep it.
pub(super) async fn keep(Kept { caller, id, text, oldest }: Kept, now: Millis) {
    let key = format!("{PREFIX}{caller}/{id}");
    if let Err(StoreDown(why)) = remember(&key, text.as_bytes()).await {
        super::log(&json::to_string(&Unkept { event: "unkept", id, error: why }));
    }
    let hour = now / SWEEP_MS;
    if SWEPT.replace(hour) == hour {
        return;
    }
    // Instances come and go, and one of them an hour is enough: whoever is the first to count. As a rate it is deleted
    // once its hour is over.
    let counter = format!("rate/:receipts/swept/{}", (hour + 1) * SWEEP_MS);
    if add(&counter, 1).await.is_ok_and(|sum| sum == 1) {
        spawn(sweep(oldest));
    }
}

written! {
    struct Unkept {
        event: &'static str,
        id: String,
        error: String,
    }
}

pub(super) async fn list(caller: &str, Ids { from, to }: &Ids, most: usize) -> Result<Vec<String>, StoreDown> {
    let prefix = format!("{PREFIX}{caller}/");
    let ids = if from == to {
        vec![from.clone()]
    } else {
        let keys = keys().map_err(down)?;
        let its = keys.iter().filter_map(|key| key.strip_prefix(&prefix));
        let mut ids: Vec<String> =
            its.filter(|id| from.as_str() <= *id && *id <= to.as_str()).map(str::to_owned).collect();
        ids.sort_unstable();
        ids.truncate(most);
        ids
    };
    let mut texts = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(text) = recall(&format!("{prefix}{id}")).await? {
            texts.push(String::from_utf8_lossy(&text).into_owned());
        }
    }
    Ok(texts)
}

async fn sweep(oldest: String) {
    // The request that came upon it goes first.
    yield_async().await;
    let is_old = |key: &&String| {
        let id = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')).map(|(_, id)| id);
        id.is_some_and(|id| id < oldest.as_str())
    };
    for key in keys().unwrap_or_default().iter().filter(is_old) {
        // The next to sweep comes upon it again.
        let _ = store::open(STORE).and_then(|bucket| bucket.delete(key));
        yield_async().await;
    }
}
