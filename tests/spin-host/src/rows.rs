//! The key-value store itself: a map, and an optional file that lets it outlive the process. The file is a log of
//! writes, replayed at start; a row is written with one call before the caller is answered, so killing the process
//! loses nothing. There is no fsync: a power cut may. Rows that another process appends are seen by the next read,
//! as what `spin` or a second instance of it writes into a shared store would be.
//!
//! A row is key length, value length (both u32, little endian; `DELETED` for no value), key, value.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmtime::Result;
use wasmtime::error::Context as _;

const DELETED: u32 = u32::MAX;

#[derive(Default)]
pub struct Rows(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    rows: BTreeMap<String, Vec<u8>>,
    log: Option<File>,
    /// How much of the log the rows hold.
    replayed: u64,
}

impl Rows {
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Replays the log. What a killed process left unfinished at its end is cut off.
    pub fn open(file: &Path) -> Result<Self> {
        let log = OpenOptions::new().create(true).read(true).append(true).open(file)?;
        let mut inner = Inner { log: Some(log), ..Inner::default() };
        inner.replay()?;
        if let Some(log) = &inner.log {
            log.set_len(inner.replayed)?;
        }
        Ok(Self(Mutex::new(inner)))
    }

    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.lock().rows.get(key).cloned()
    }

    pub fn keys(&self) -> Vec<String> {
        self.lock().rows.keys().cloned().collect()
    }

    pub fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.lock().put(key, Some(value))
    }

    pub fn delete(&self, key: &str) -> Result<()> {
        self.lock().put(key, None)
    }

    /// A counter is an i64 in eight bytes, little endian, as in Spin's SQLite store. Where Spin takes the whole
    /// process down (a value of another length) or wraps around, this is an error.
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        let mut inner = self.lock();
        let before = match inner.rows.get(key) {
            Some(value) => i64::from_le_bytes(*value.as_array().context("not a counter")?),
            None => 0,
        };
        let after = before.checked_add(delta).context("the counter is full")?;
        inner.put(key, Some(&after.to_le_bytes()))?;
        Ok(after)
    }

    /// Sets the value if it still is `seen`; says whether it was.
    pub fn swap(&self, key: &str, seen: Option<&[u8]>, value: &[u8]) -> Result<bool> {
        let mut inner = self.lock();
        let unchanged = inner.rows.get(key).map(Vec::as_slice) == seen;
        if unchanged {
            inner.put(key, Some(value))?;
        }
        Ok(unchanged)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = inner.replay() {
            eprintln!("spin-host: the store's log cannot be read: {error:#}");
        }
        inner
    }
}

impl Inner {
    /// Takes in whole rows that stand in the log and were not seen yet.
    fn replay(&mut self) -> Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        if log.metadata()?.len() <= self.replayed {
            return Ok(());
        }
        let mut bytes = Vec::new();
        log.seek(SeekFrom::Start(self.replayed))?;
        log.read_to_end(&mut bytes)?;
        let mut rest = bytes.as_slice();
        while let Some((key, value)) = take_row(&mut rest) {
            let key = str::from_utf8(key).context("not a log of this program")?.to_owned();
            match value {
                Some(value) => self.rows.insert(key, value.to_vec()),
                None => self.rows.remove(&key),
            };
        }
        self.replayed += (bytes.len() - rest.len()) as u64;
        Ok(())
    }

    fn put(&mut self, key: &str, value: Option<&[u8]>) -> Result<()> {
        if let Some(log) = &mut self.log {
            log.write_all(&row(key, value)?)?;
        }
        match value {
            Some(value) => self.rows.insert(key.to_owned(), value.to_vec()),
            None => self.rows.remove(key),
        };
        Ok(())
    }
}

fn row(key: &str, value: Option<&[u8]>) -> Result<Vec<u8>> {
    let value_len = match value {
        Some(value) => u32::try_from(value.len()).ok().filter(|len| *len != DELETED).context("value too long")?,
        None => DELETED,
    };
    let mut row = Vec::new();
    row.extend(u32::try_from(key.len())?.to_le_bytes());
    row.extend(value_len.to_le_bytes());
    row.extend(key.as_bytes());
    row.extend(value.unwrap_or_default());
    Ok(row)
}

/// Takes the first row, key and value, off `log`; leaves it alone when the row is not whole.
fn take_row<'a>(log: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let (key_len, rest) = log.split_first_chunk()?;
    let (value_len, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_len) as usize)?;
    let (value, rest) = match u32::from_le_bytes(*value_len) {
        DELETED => (None, rest),
        value_len => {
            let (value, rest) = rest.split_at_checked(value_len as usize)?;
            (Some(value), rest)
        }
    };
    *log = rest;
    Some((key, value))
}
