//! Counters in memory, written through to SQLite by whoever settles, where the file is free; else by whoever has it.
//!
//! What expires (rates, holds) stays in memory: after a restart no request is under way. Totals are on disk before the
//! reply that they count has ended, in one transaction with its receipt. Beside them lies what the gateway remembers by key, for as long as it says.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::oneshot;

use crate::host::{Millis, StoreDown};
use crate::limit::{Add, Admission, Bound, decide};
use crate::receipt::{Ids, Kept};

pub struct Store {
    counters: Mutex<Counters>,
    memory: Memory,
    /// Where there is no file.
    receipts: Mutex<Receipts>,
    /// `None` where nothing is kept.
    file: Option<Arc<File>>,
}

#[derive(Default)]
struct Counters {
    kept: BTreeMap<String, i64>,
    /// Value and end of life.
    passing: HashMap<String, (i64, Millis)>,
    swept: Millis,
}

/// By key, what is remembered and until when, where there is no file.
type Memory = Mutex<HashMap<String, (Bytes, Millis)>>;

/// The last ones, by caller and id.
#[derive(Default)]
struct Receipts {
    texts: BTreeMap<(String, String), String>,
    /// Their names, as they came.
    order: VecDeque<(String, String)>,
}

/// Some 10 MiB.
const RECEIPTS_MAX: usize = 10_000;

const SWEEP_MS: Millis = 60_000;

impl Store {
    /// Opens or creates the file, and reads every counter.
    pub fn open(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else {
            let (counters, memory, receipts) = Default::default();
            return Ok(Self { counters, memory, receipts, file: None });
        };
        let unusable = |why: String| format!("counters cannot be kept in {}: {why}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| unusable(format!("{error}; --store names another file")))?;
        }
        let (connection, kept) = load(path).map_err(|error| {
            let is_locked = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy);
            let hint = if is_locked { "is another tollgate running? " } else { "" };
            unusable(format!("{error}; {hint}--store names another file"))
        })?;
        let file = Arc::new(File {
            log: Mutex::new(Log { connection, writes: 0, receipts: 0, swept: String::new() }),
            waiting: Mutex::default(),
        });
        let counters = Mutex::new(Counters { kept, ..Counters::default() });
        Ok(Self { counters, memory: Memory::default(), receipts: Mutex::default(), file: Some(file) })
    }

    pub fn admit(&self, bounds: &[Bound], now: Millis) -> Admission {
        let mut counters = self.counters();
        if now.saturating_sub(counters.swept) > SWEEP_MS {
            counters.passing.retain(|_, (_, expires)| *expires > now);
            counters.swept = now;
        }
        let admission = decide(bounds, |name| counters.total(name));
        if let Admission::Admitted(_) = admission {
            for bound in bounds {
                let (total, _) = counters.passing.entry(bound.counter.clone()).or_insert((0, bound.expires));
                *total = total.saturating_add(bound.add);
            }
        }
        admission
    }

    pub(super) async fn settle(&self, adds: Vec<Add>, receipt: Option<Kept>) {
        let kept = self.counters().add(adds);
        match &self.file {
            Some(file) if !kept.is_empty() || receipt.is_some() => file.write(kept, receipt).await,
            Some(_) => {}
            None => receipt.into_iter().for_each(|receipt| self.receipts_here().keep(receipt)),
        }
    }

    pub(super) fn receipts(&self, caller: &str, ids: &Ids, most: usize) -> Result<Vec<String>, StoreDown> {
        match &self.file {
            Some(file) => file.receipts(caller, ids, most).map_err(|error| StoreDown(error.to_string())),
            None => Ok(self.receipts_here().list(caller, ids, most)),
        }
    }

    fn receipts_here(&self) -> MutexGuard<'_, Receipts> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn totals(&self, prefix: &str) -> Vec<(String, i64)> {
        let counters = self.counters();
        let from = counters.kept.range(prefix.to_owned()..);
        let kept = from.take_while(|(name, _)| name.starts_with(prefix)).map(|(name, total)| (name.clone(), *total));
        // Few ask for what passes, and those by its whole name.
        let passing = counters.passing.get_key_value(prefix).map(|(name, (total, _))| (name.clone(), *total));
        kept.chain(passing).collect()
    }

    pub(super) fn recall(&self, key: &str, now: Millis) -> Result<Option<Bytes>, StoreDown> {
        match &self.file {
            Some(file) => file.recall(key, now).map_err(|error| StoreDown(error.to_string())),
            None => {
                let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(memory.get(key).filter(|(_, until)| *until > now).map(|(value, _)| value.clone()))
            }
        }
    }

    pub(super) fn remember(&self, key: &str, value: Bytes, until: Millis) -> Result<(), StoreDown> {
        match &self.file {
            Some(file) => file.remember(key, &value, until).map_err(|error| StoreDown(error.to_string())),
            None => {
                let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.insert(key.to_owned(), (value, until));
                Ok(())
            }
        }
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    fn total(&self, name: &str) -> i64 {
        self.passing.get(name).map_or_else(|| self.kept.get(name).copied().unwrap_or(0), |(total, _)| *total)
    }

    /// Adds, and returns what belongs on disk.
    fn add(&mut self, adds: Vec<Add>) -> Vec<Add> {
        let (passing, kept): (Vec<Add>, Vec<Add>) = adds.into_iter().partition(|add| add.expires.is_some());
        for add in passing {
            // What has been swept has no holder any more.
            if let Some((total, _)) = self.passing.get_mut(&add.counter) {
                *total = total.saturating_add(add.add);
            }
        }
        for add in &kept {
            let total = self.kept.entry(add.counter.clone()).or_default();
            *total = total.saturating_add(add.add);
        }
        kept
    }
}

impl Receipts {
    fn keep(&mut self, Kept { caller, id, text, oldest }: Kept) {
        let name = (caller, id);
        self.order.push_back(name.clone());
        self.texts.insert(name, text);
        while self.order.len() > RECEIPTS_MAX || self.order.front().is_some_and(|(_, id)| *id < oldest) {
            if let Some(name) = self.order.pop_front() {
                self.texts.remove(&name);
            }
        }
    }

    fn list(&self, caller: &str, Ids { from, to }: &Ids, most: usize) -> Vec<String> {
        if from > to {
            return Vec::new();
        }
        let found = self.texts.range((caller.to_owned(), from.clone())..=(caller.to_owned(), to.clone()));
        found.take(most).map(|(_, text)| text.clone()).collect()
    }
}

const TABLES: &str = "
    create table if not exists counters (name text primary key, total integer not null) strict, without rowid;
    create table if not exists remembered (key text primary key, value blob not null, until integer not null) strict;
    create table if not exists receipts (caller text not null, id text not null, text text not null, primary key (caller, id))
        strict, without rowid;
";

fn load(path: &Path) -> rusqlite::Result<(Connection, BTreeMap<String, i64>)> {
    let connection = Connection::open(path)?;
    // One process owns the file, since it decides from memory. A write-ahead log survives the process at once, and
    // the machine up to its last checkpoint.
    connection.execute_batch(
        "pragma locking_mode = exclusive;
         pragma journal_mode = wal;
         pragma synchronous = normal;
         pragma wal_autocheckpoint = 0;
         begin immediate;",
    )?;
    connection.execute_batch(TABLES)?;
    connection.execute_batch("commit")?;
    let kept = connection
        .prepare("select name, total from counters")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok((connection, kept))
}

/// The file, and what waits to be written to it.
struct File {
    log: Mutex<Log>,
    waiting: Mutex<Waiting>,
}

/// The write-ahead log in front of the file.
struct Log {
    connection: Connection,
    /// Since the log was last brought into the file.
    writes: u32,
    /// Written since old ones were last deleted.
    receipts: usize,
    /// The caller of whom all old ones were deleted last.
    swept: String,
}

#[derive(Default)]
struct Waiting {
    adds: Vec<Add>,
    receipts: Vec<Kept>,
    written: Vec<oneshot::Sender<()>>,
}

/// A write takes a few pages of 4 KiB, so the log stays below some 8 MiB.
const CHECKPOINT_WRITES: u32 = 256;

/// After so many receipts old ones are deleted, so many of so many callers at most: more than have come.
const SWEEP_AFTER: usize = 64;
const SWEEP_RECEIPTS: usize = 4 * SWEEP_AFTER;
const SWEEP_CALLERS: usize = 16;

/// While nothing can be written so many receipts wait; then the oldest are lost, and their totals are not.
const WAITING_MAX: usize = 10_000;

impl File {
    /// Resolves when `adds` and `receipt` are in the log. To write takes some 20 µs, less than to wake a thread for it; while
    /// another does, or brings the log into the file, which takes milliseconds, `adds` wait for that one.
    async fn write(self: &Arc<Self>, adds: Vec<Add>, receipt: Option<Kept>) {
        let (sender, written) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            waiting.adds.extend(adds);
            waiting.receipts.extend(receipt);
            waiting.written.push(sender);
        }
        // Others of this thread that settle in the same turn go into the same transaction.
        tokio::task::yield_now().await;
        if self.drain() {
            let file = self.clone();
            tokio::task::spawn_blocking(move || file.checkpoint());
        }
        let _ = written.await;
    }

    /// Writes what waits, unless another has the log: that one looks once more after letting go of it, so nothing is
    /// left behind. Whether a checkpoint has fallen due.
    fn drain(&self) -> bool {
        let mut is_due = false;
        while !self.waiting().written.is_empty() {
            let mut log = match self.log.try_lock() {
                Ok(log) => log,
                Err(TryLockError::Poisoned(log)) => log.into_inner(),
                Err(TryLockError::WouldBlock) => break,
            };
            let Waiting { adds, receipts, written } = std::mem::take(&mut *self.waiting());
            if let Err(error) = write(&mut log.connection, &adds, &receipts) {
                eprintln!(
                    "store: {error}; {} additions and {} receipts wait for the next write",
                    adds.len(),
                    receipts.len()
                );
                self.waiting().again(adds, receipts);
            } else {
                log.receipts += receipts.len();
                let last = receipts.last().filter(|_| log.receipts >= SWEEP_AFTER);
                if let Some(Err(error)) = last.map(|last| log.sweep(&last.oldest)) {
                    eprintln!("store: {error}; receipts that are too old stay for now");
                }
            }
            log.writes = log.writes.saturating_add(1);
            is_due |= log.writes == CHECKPOINT_WRITES;
            drop(log);
            for written in written {
                let _ = written.send(());
            }
        }
        is_due
    }

    fn recall(&self, key: &str, now: Millis) -> rusqlite::Result<Option<Bytes>> {
        let log = self.log();
        let found = log.connection.query_row(
            "select value from remembered where key = ?1 and until > ?2",
            (key, i64::try_from(now).unwrap_or(i64::MAX)),
            |row| row.get::<_, Vec<u8>>(0),
        );
        drop(log);
        self.drain();
        Ok(found.optional()?.map(Bytes::from))
    }

    fn receipts(&self, caller: &str, ids: &Ids, most: usize) -> rusqlite::Result<Vec<String>> {
        let log = self.log();
        let found = (|| {
            let mut statement = log.connection.prepare_cached(
                "select text from receipts where caller = ?1 and id between ?2 and ?3 order by id limit ?4",
            )?;
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            statement.query_map((caller, &ids.from, &ids.to, most), |row| row.get(0))?.collect()
        })();
        drop(log);
        self.drain();
        found
    }

    fn remember(&self, key: &str, value: &[u8], until: Millis) -> rusqlite::Result<()> {
        let log = self.log();
        let written = log.connection.execute(
            "insert into remembered (key, value, until) values (?1, ?2, ?3)
             on conflict (key) do update set value = excluded.value, until = excluded.until",
            (key, value, i64::try_from(until).unwrap_or(i64::MAX)),
        );
        drop(log);
        // Seldom, and large. Additions that came meanwhile found the file taken, and are written by this as well.
        self.checkpoint();
        written.map(|_| ())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn checkpoint(&self) {
        let mut log = self.log();
        log.writes = 0;
        if let Err(error) = log.connection.execute_batch("pragma wal_checkpoint(passive)") {
            eprintln!("store: {error}; the write-ahead log is brought into the file later");
        }
        drop(log);
        self.drain();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// Deletes what is older than `oldest`, caller by caller in the order of their names, and anew after the last.
    fn sweep(&mut self, oldest: &str) -> rusqlite::Result<()> {
        let most = SWEEP_RECEIPTS.max(2 * std::mem::take(&mut self.receipts));
        let mut left = most;
        for _ in 0..SWEEP_CALLERS {
            let next = "select caller from receipts where caller > ?1 order by caller limit 1";
            let next = self.connection.prepare_cached(next)?.query_row([&self.swept], |row| row.get(0)).optional()?;
            let Some(caller) = next else {
                self.swept = String::new();
                break;
            };
            let mut old = self.connection.prepare_cached(
                "delete from receipts where caller = ?1 and id in
                 (select id from receipts where caller = ?1 and id < ?2 order by id limit ?3)",
            )?;
            left = left.saturating_sub(old.execute((&caller, oldest, i64::try_from(left).unwrap_or(i64::MAX)))?);
            if left == 0 {
                break;
            }
            self.swept = caller;
        }
        Ok(())
    }
}

impl Waiting {
    /// What could not be written, before what has come meanwhile.
    fn again(&mut self, adds: Vec<Add>, mut receipts: Vec<Kept>) {
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for Add { counter, add, .. } in adds.into_iter().chain(self.adds.drain(..)) {
            let sum = sums.entry(counter).or_default();
            *sum = sum.saturating_add(add);
        }
        self.adds.extend(sums.into_iter().map(|(counter, add)| Add { counter, add, expires: None }));
        receipts.append(&mut self.receipts);
        receipts.drain(..receipts.len().saturating_sub(WAITING_MAX));
        self.receipts = receipts;
    }
}

/// All or nothing. What several add to one counter is added once.
fn write(connection: &mut Connection, adds: &[Add], receipts: &[Kept]) -> rusqlite::Result<()> {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for Add { counter, add, .. } in adds {
        let sum = sums.entry(counter).or_default();
        *sum = sum.saturating_add(*add);
    }
    let transaction = connection.transaction()?;
    {
        // A sum that leaves the integers is a float, which the cast brings back to the nearest one.
        let mut statement = transaction.prepare_cached(
            "insert into counters (name, total) values (?1, ?2) on conflict (name) do update set total = cast(total + ?2 as integer)",
        )?;
        for sum in sums {
            statement.execute(sum)?;
        }
        let mut statement = transaction
            .prepare_cached("insert into receipts (caller, id, text) values (?1, ?2, ?3) on conflict do nothing")?;
        for Kept { caller, id, text, .. } in receipts {
            statement.execute((caller, id, text))?;
        }
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::{first_id, id};

    #[test]
    fn what_is_remembered_outlives_a_restart_and_not_its_time() {
        let path = std::env::temp_dir().join(format!("tollgate-store-{}.db", std::process::id()));
        for path in [None, Some(path.as_path())] {
            let store = Store::open(path).unwrap();
            assert_eq!(store.recall("a", 0).unwrap(), None);
            store.remember("a", "first".into(), 10).unwrap();
            store.remember("a", "second".into(), 20).unwrap();
            store.remember("b", "other".into(), 20).unwrap();
            assert_eq!(store.recall("a", 19).unwrap().as_deref(), Some(b"second".as_slice()));
            assert_eq!(store.recall("a", 20).unwrap(), None);
            assert!(store.totals("").is_empty(), "it is no counter");
        }
        let store = Store::open(Some(&path)).unwrap();
        assert_eq!(store.recall("b", 19).unwrap().as_deref(), Some(b"other".as_slice()));
        drop(store);
        for end in ["", "-wal", "-shm"] {
            // Some of them are gone when the file is closed.
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
    }

    #[tokio::test]
    async fn receipts_outlive_a_restart_and_not_their_time() {
        let path = std::env::temp_dir().join(format!("tollgate-receipts-{}.db", std::process::id()));
        let receipt = |caller: &str, at: Millis, oldest: Millis| {
            let (caller, id) = (caller.to_owned(), id(at, [0, 7]));
            Some(Kept { text: format!("{caller} {at}"), caller, id, oldest: first_id(oldest) })
        };
        for path in [None, Some(path.as_path())] {
            let mut store = Store::open(path).unwrap();
            let add = Add { counter: "usage/a/x".to_owned(), add: 1, expires: None };
            store.settle(vec![add], receipt("a", 10, 0)).await;
            // Twice is once.
            store.settle(Vec::new(), receipt("a", 10, 0)).await;
            store.settle(Vec::new(), receipt("b", 11, 0)).await;
            store.settle(Vec::new(), receipt("a", 20, 0)).await;
            if path.is_some() {
                drop(store);
                store = Store::open(path).unwrap();
            }
            let list = |ids: Ids, most| store.receipts("a", &ids, most).unwrap();
            assert_eq!(list(Ids::between(0, 21), 9), ["a 10", "a 20"]);
            assert_eq!(list(Ids::between(0, 21), 1), ["a 10"]);
            assert_eq!(list(Ids::between(0, 21).after(&id(10, [0, 7])), 9), ["a 20"]);
            assert_eq!(list(Ids::between(11, 20), 9), Vec::<String>::new());
            assert_eq!(list(Ids::between(20, 11), 9), Vec::<String>::new());
            assert_eq!(list(Ids::one(&id(20, [0, 7])), 9), ["a 20"]);
            assert_eq!(store.totals("usage/"), [("usage/a/x".to_owned(), 1)]);
            for at in 30..30 + 2 * Millis::try_from(SWEEP_RECEIPTS).unwrap() {
                store.settle(Vec::new(), receipt("a", at, 20)).await;
            }
            let list = |caller| store.receipts(caller, &Ids::between(0, 999), 2).unwrap();
            assert_eq!((list("a"), list("b")), (vec!["a 20".to_owned(), "a 30".to_owned()], Vec::new()));
        }
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
    }

    #[test]
    fn a_sum_beyond_all_numbers_stays_the_largest_and_holds_nothing_up() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        let add = |counter: &str, add| Add { counter: counter.to_owned(), add, expires: None };
        write(&mut connection, &[add("a", i64::MAX), add("a", i64::MAX), add("b", 1), add("b", 1)], &[]).unwrap();
        let total = |name| {
            connection.query_row("select total from counters where name = ?1", [name], |row| row.get::<_, i64>(0))
        };
        assert_eq!((total("a"), total("b")), (Ok(i64::MAX), Ok(2)));
    }
}
