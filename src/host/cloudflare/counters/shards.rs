//! KV as a shelf of shards.

use std::cell::RefCell;
use std::time::Duration;

use wasm_bindgen::JsValue;
use worker::Delay;

use super::super::{down, keep, now, random, texts};
use crate::host::shards::Shelf;
use crate::host::{Millis, StoreDown};
use crate::limit::shard::Shard;
use crate::wire::json;

/// Totals stay readable for over a year.
const SHARD_SECONDS: u32 = 400 * 86_400;

thread_local! {
    static SHARD: RefCell<Shard> = RefCell::default();
    /// Made when it is first needed: randomness is not there before a request is.
    static ISOLATE: RefCell<Option<String>> = RefCell::default();
}

/// A namespace of KV; none where there is no store, and counters live as long as the isolate.
pub(in crate::host::cloudflare) struct Kv(pub(super) Option<JsValue>);

fn isolate() -> String {
    ISOLATE.with_borrow_mut(|id| id.get_or_insert_with(|| format!("{:016x}", random())).clone())
}

impl Shelf for Kv {
    fn now(&self) -> Millis {
        now()
    }

    async fn sleep(&self, ms: u64) {
        Delay::from(Duration::from_millis(ms)).await;
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreDown> {
        let Self(Some(kv)) = self else { return Ok(Vec::new()) };
        let texts = texts(kv, prefix, &format!("/{}", isolate())).await.map_err(down)?;
        let texts: Vec<String> =
            json::parse(&texts.as_string().unwrap_or_default()).map_err(|error| StoreDown(error.to_string()))?;
        let mut texts = texts.into_iter();
        Ok(std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect())
    }

    async fn put(&self, prefix: &str, text: String) -> Result<(), StoreDown> {
        let Self(Some(kv)) = self else { return Ok(()) };
        let (key, text) = (format!("{prefix}{}", isolate()), JsValue::from_str(&text));
        keep(kv, &key, &text, SHARD_SECONDS).await.map(drop).map_err(down)
    }

    fn with_shard<T>(&self, of: impl FnOnce(&mut Shard) -> T) -> T {
        SHARD.with_borrow_mut(of)
    }

    fn complain(&self, line: &str) {
        worker::console_error!("{line}");
    }
}
