//! Counters in a store without increments, a key for each process: when its own is written and the others' are read. Not a
//! host's own, so that a simulation can play the store.

use super::{Millis, StoreDown};
use crate::limit::shard::{Listen, Next, PREFIX, Shard};
use crate::limit::{Add, Admission, Bound};
use crate::named::Named;
use crate::wire::json;

/// The store, as one process reaches it.
#[expect(async_fn_in_trait, reason = "it is awaited where it is called")]
pub trait Shelf {
    fn now(&self) -> Millis;

    async fn sleep(&self, ms: u64);

    /// All keys that begin with `prefix`, but for those of this process, and what they hold.
    async fn list(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreDown>;

    /// Writes the key that begins with `prefix` and ends with this process.
    async fn put(&self, prefix: &str, text: String) -> Result<(), StoreDown>;

    /// What this process has counted, for all its requests.
    fn with_shard<T>(&self, of: impl FnOnce(&mut Shard) -> T) -> T;

    /// Writes a line for the operator.
    fn complain(&self, line: &str);
}

/// Decides by what this process counts and last saw of the others.
pub async fn admit<S: Shelf>(shelf: &S, bounds: &[Bound]) -> Result<Admission, StoreDown> {
    hear(shelf, Shard::listen).await?;
    let now = shelf.now();
    Ok(shelf.with_shard(|shard| shard.admit(bounds, now)))
}

/// Sees to it that something is known of the others. What was seen last is good for a while.
async fn hear<S: Shelf>(shelf: &S, listen: impl Fn(&mut Shard, Millis) -> Listen) -> Result<(), StoreDown> {
    let mut why = StoreDown("it did not answer lately".to_owned());
    let until = shelf.now() + WAIT_MAX_MS;
    loop {
        match shelf.with_shard(|shard| listen(shard, shelf.now())) {
            Listen::Wait if shelf.now() < until => shelf.sleep(WAIT_MS).await,
            Listen::Read => {
                let read = refresh(shelf).await;
                shelf.with_shard(Shard::listened);
                match read {
                    Ok(()) => return Ok(()),
                    Err(down) => why = down,
                }
            }
            Listen::Wait | Listen::Decide => break,
        }
    }
    if shelf.with_shard(|shard| shard.is_blind(shelf.now())) { Err(why) } else { Ok(()) }
}

/// Who comes while the sums are read for the first time looks again after this, and gives up after that.
const WAIT_MS: u64 = 20;
const WAIT_MAX_MS: u64 = 5_000;

/// The sums of all, as far as they can be seen.
pub async fn totals<S: Shelf>(shelf: &S, prefix: &str) -> Result<Vec<(String, i64)>, StoreDown> {
    hear(shelf, Shard::look).await?;
    Ok(shelf.with_shard(|shard| shard.sums(prefix)))
}

/// Reads the others' sums.
async fn refresh<S: Shelf>(shelf: &S) -> Result<(), StoreDown> {
    let mut shards = Vec::new();
    let prefixes = shelf.with_shard(|shard| shard.prefixes(shelf.now()));
    for prefix in &prefixes {
        for (key, text) in shelf.list(prefix).await? {
            shards.push((key, json::parse::<Named<i64>>(&text).unwrap_or_default()));
        }
    }
    let is_all = prefixes.iter().any(|prefix| prefix == PREFIX);
    shelf.with_shard(|shard| shard.hear(&shards, is_all, shelf.now()));
    Ok(())
}

/// Workers lets a request go on for 30 s after its reply.
const FLUSH_MS: Millis = 25_000;

/// Counts, and sees to it that this process's key is written: by this request or by another that is at it, unless what may be
/// written is used up. Then whoever comes next writes it.
pub async fn settle<S: Shelf>(shelf: &S, adds: Vec<Add>) {
    let until = shelf.now() + FLUSH_MS;
    shelf.with_shard(|shard| shard.add(adds, shelf.now()));
    loop {
        match shelf.with_shard(|shard| shard.next(shelf.now())) {
            Next::Nothing => return,
            Next::Wait(ms) if shelf.now() + ms > until => return,
            Next::Wait(ms) => shelf.sleep(ms).await,
            Next::Write(day, counters) => {
                let written = shelf.put(&format!("{PREFIX}{day}/"), json::to_string(&counters)).await;
                if let Err(StoreDown(why)) = &written {
                    shelf.complain(&format!("counters: {why}"));
                }
                shelf.with_shard(|shard| shard.wrote(day, written.is_ok(), shelf.now()));
            }
        }
    }
}
