//! Counters in memory, written through to SQLite by whoever settles, where the file is free; else by whoever has it.
//!
//! What expires (rates, holds) stays in memory: after a restart no request is under way. Totals are on disk before the
//! reply that they count has ended. Beside them lies what the gateway remembers by key, for as long as it says.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::oneshot;

use crate::host::{Millis, StoreDown};
use crate::limit::{Add, Admission, Bound, decide};

pub(super) struct Store {
    counters: Mutex<Counters>,
    memory: Memory,
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

const SWEEP_MS: Millis = 60_000;

impl Store {
    /// Opens or creates the file, and reads every counter.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else {
            return Ok(Self { counters: Mutex::default(), memory: Memory::default(), file: None });
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
        let file = Arc::new(File { log: Mutex::new(Log { connection, writes: 0 }), waiting: Mutex::default() });
        let counters = Mutex::new(Counters { kept, ..Counters::default() });
        Ok(Self { counters, memory: Memory::default(), file: Some(file) })
    }

    pub(super) fn admit(&self, bounds: &[Bound], now: Millis) -> Admission {
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

    pub(super) async fn settle(&self, adds: Vec<Add>) {
        let kept = self.counters().add(adds);
        if let Some(file) = self.file.as_ref().filter(|_| !kept.is_empty()) {
            file.write(kept).await;
        }
    }

    pub(super) fn totals(&self, prefix: &str) -> Vec<(String, i64)> {
        let counters = self.counters();
        let from = counters.kept.range(prefix.to_owned()..);
        from.take_while(|(name, _)| name.starts_with(prefix)).map(|(name, total)| (name.clone(), *total)).collect()
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

fn load(path: &Path) -> rusqlite::Result<(Connection, BTreeMap<String, i64>)> {
    let connection = Connection::open(path)?;
    // One process owns the file, since it decides from memory. A write-ahead log survives the process at once, and
    // the machine up to its last checkpoint.
    connection.execute_batch(
        "pragma locking_mode = exclusive;
         pragma journal_mode = wal;
         pragma synchronous = normal;
         pragma wal_autocheckpoint = 0;
         create table if not exists counters (name text primary key, total integer not null) strict, without rowid;
         create table if not exists remembered (key text primary key, value blob not null, until integer not null) strict;
         begin immediate; commit;",
    )?;
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
}

#[derive(Default)]
struct Waiting {
    adds: Vec<Add>,
    written: Vec<oneshot::Sender<()>>,
}

/// A write takes a few pages of 4 KiB, so the log stays below some 4 MiB.
const CHECKPOINT_WRITES: u32 = 256;

impl File {
    /// Resolves when `adds` are in the log. To write takes some 20 µs, less than to wake a thread for it; while
    /// another does, or brings the log into the file, which takes milliseconds, `adds` wait for that one.
    async fn write(self: &Arc<Self>, adds: Vec<Add>) {
        let (sender, written) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            waiting.adds.extend(adds);
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
            let Waiting { adds, written } = std::mem::take(&mut *self.waiting());
            if let Err(error) = write(&mut log.connection, &adds) {
                eprintln!("store: {error}; {} additions wait for the next write", adds.len());
                self.waiting().adds.extend(adds);
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

fn write(connection: &mut Connection, adds: &[Add]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        // A sum that leaves the integers is a float, which the cast brings back to the nearest one.
        let mut statement = transaction.prepare_cached(
            "insert into counters (name, total) values (?1, ?2) on conflict (name) do update set total = cast(total + ?2 as integer)",
        )?;
        for add in adds {
            statement.execute((&add.counter, add.add))?;
        }
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_sum_beyond_all_numbers_stays_the_largest_and_holds_nothing_up() {
        let mut connection = Connection::open_in_memory().unwrap();
        let table = "create table counters (name text primary key, total integer not null) strict, without rowid";
        connection.execute_batch(table).unwrap();
        let add = |counter: &str, add| Add { counter: counter.to_owned(), add, expires: None };
        write(&mut connection, &[add("a", i64::MAX), add("a", i64::MAX), add("b", 1), add("b", 1)]).unwrap();
        let total = |name| {
            connection.query_row("select total from counters where name = ?1", [name], |row| row.get::<_, i64>(0))
        };
        assert_eq!((total("a"), total("b")), (Ok(i64::MAX), Ok(2)));
    }
}
