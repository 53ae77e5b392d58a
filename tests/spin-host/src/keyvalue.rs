//! `spin:key-value` and `wasi:keyvalue` over [`Rows`]. There is one store, named `default`, so a handle to it says
//! nothing; handles are counted because Spin gives an instance no more than 256 at a time.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::{Accessor, FutureReader, HasData, Linker, Resource, ResourceTable, StreamReader};

use crate::bindings::spin::key_value::key_value as spin;
use crate::bindings::wasi::keyvalue::{atomics, store as wasi};
use crate::instance::State;
use crate::rows::Rows;

const STORES_MAX: usize = 256;

/// One instance's view of the rows all instances share.
pub struct KeyValue {
    rows: Arc<Rows>,
    open: usize,
    comparisons: ResourceTable,
}

/// A compare-and-swap that was begun: the key and what it held then.
pub struct Cas {
    key: String,
    seen: Option<Vec<u8>>,
}

impl KeyValue {
    pub fn new(rows: Arc<Rows>) -> Self {
        Self { rows, open: 0, comparisons: ResourceTable::new() }
    }

    fn open(&mut self, name: &str) -> Result<u32, spin::Error> {
        if name != "default" {
            return Err(spin::Error::AccessDenied);
        }
        if self.open == STORES_MAX {
            return Err(spin::Error::StoreTableFull);
        }
        self.open += 1;
        Ok(0)
    }

    fn close(&mut self) {
        self.open -= 1;
    }

    fn begin(&mut self, key: String) -> Result<Resource<Cas>> {
        let seen = self.rows.get(&key);
        Ok(self.comparisons.push(Cas { key, seen })?)
    }
}

pub fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    spin::add_to_linker::<_, KeyValue>(linker, |state| &mut state.key_value)?;
    wasi::add_to_linker::<_, KeyValue>(linker, |state| &mut state.key_value)?;
    atomics::add_to_linker::<_, KeyValue>(linker, |state| &mut state.key_value)
}

impl HasData for KeyValue {
    type Data<'a> = &'a mut KeyValue;
}

impl spin::Host for KeyValue {}

impl spin::HostStore for KeyValue {
    fn drop(&mut self, _: Resource<spin::Store>) -> Result<()> {
        self.close();
        Ok(())
    }
}

impl<T> spin::HostStoreWithStore<T> for KeyValue {
    async fn open(host: &Accessor<T, Self>, name: String) -> Result<Resource<spin::Store>, spin::Error> {
        host.with(|mut access| access.get().open(&name)).map(Resource::new_own)
    }

    async fn get(
        host: &Accessor<T, Self>,
        _: Resource<spin::Store>,
        key: String,
    ) -> Result<Option<Vec<u8>>, spin::Error> {
        Ok(host.with(|mut access| access.get().rows.get(&key)))
    }

    async fn set(
        host: &Accessor<T, Self>,
        _: Resource<spin::Store>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), spin::Error> {
        Ok(host.with(|mut access| access.get().rows.set(&key, &value))?)
    }

    async fn delete(host: &Accessor<T, Self>, _: Resource<spin::Store>, key: String) -> Result<(), spin::Error> {
        Ok(host.with(|mut access| access.get().rows.delete(&key))?)
    }

    async fn exists(host: &Accessor<T, Self>, _: Resource<spin::Store>, key: String) -> Result<bool, spin::Error> {
        Ok(host.with(|mut access| access.get().rows.get(&key)).is_some())
    }

    async fn get_keys(
        host: &Accessor<T, Self>,
        _: Resource<spin::Store>,
    ) -> Result<(StreamReader<String>, FutureReader<Result<(), spin::Error>>)> {
        host.with(|mut access| {
            let keys = access.get().rows.keys();
            let keys = StreamReader::new(&mut access, keys)?;
            let complete = FutureReader::new(&mut access, async { Ok::<_, wasmtime::Error>(Ok(())) })?;
            Ok((keys, complete))
        })
    }
}

impl wasi::Host for KeyValue {
    fn open(&mut self, name: String) -> Result<Resource<wasi::Bucket>, wasi::Error> {
        Ok(Resource::new_own(self.open(&name)?))
    }
}

impl wasi::HostBucket for KeyValue {
    fn get(&mut self, _: Resource<wasi::Bucket>, key: String) -> Result<Option<Vec<u8>>, wasi::Error> {
        Ok(self.rows.get(&key))
    }

    fn set(&mut self, _: Resource<wasi::Bucket>, key: String, value: Vec<u8>) -> Result<(), wasi::Error> {
        Ok(self.rows.set(&key, &value)?)
    }

    fn delete(&mut self, _: Resource<wasi::Bucket>, key: String) -> Result<(), wasi::Error> {
        Ok(self.rows.delete(&key)?)
    }

    fn exists(&mut self, _: Resource<wasi::Bucket>, key: String) -> Result<bool, wasi::Error> {
        Ok(self.rows.get(&key).is_some())
    }

    /// All keys at once and no cursor, as in Spin.
    fn list_keys(
        &mut self,
        _: Resource<wasi::Bucket>,
        cursor: Option<String>,
    ) -> Result<wasi::KeyResponse, wasi::Error> {
        match cursor {
            None => Ok(wasi::KeyResponse { keys: self.rows.keys(), cursor: None }),
            Some(_) => Err(wasi::Error::Other("there are no cursors".to_owned())),
        }
    }

    fn drop(&mut self, _: Resource<wasi::Bucket>) -> Result<()> {
        self.close();
        Ok(())
    }
}

impl atomics::Host for KeyValue {
    fn increment(&mut self, _: Resource<wasi::Bucket>, key: String, delta: i64) -> Result<i64, wasi::Error> {
        Ok(self.rows.increment(&key, delta)?)
    }

    fn swap(&mut self, cas: Resource<Cas>, value: Vec<u8>) -> Result<Result<(), atomics::CasError>> {
        let Cas { key, seen } = self.comparisons.delete(cas)?;
        Ok(match self.rows.swap(&key, seen.as_deref(), &value) {
            Ok(true) => Ok(()),
            Ok(false) => Err(atomics::CasError::CasFailed(self.begin(key)?)),
            Err(error) => Err(atomics::CasError::StoreError(error.into())),
        })
    }
}

impl atomics::HostCas for KeyValue {
    fn new(&mut self, _: Resource<wasi::Bucket>, key: String) -> Result<Result<Resource<Cas>, wasi::Error>> {
        self.begin(key).map(Ok)
    }

    fn current(&mut self, cas: Resource<Cas>) -> Result<Result<Option<Vec<u8>>, wasi::Error>> {
        let cas = self.comparisons.get_mut(&cas)?;
        cas.seen = self.rows.get(&cas.key);
        Ok(Ok(cas.seen.clone()))
    }

    fn drop(&mut self, cas: Resource<Cas>) -> Result<()> {
        self.comparisons.delete(cas)?;
        Ok(())
    }
}

impl From<wasmtime::Error> for spin::Error {
    fn from(error: wasmtime::Error) -> Self {
        Self::Other(format!("{error:#}"))
    }
}

impl From<wasmtime::Error> for wasi::Error {
    fn from(error: wasmtime::Error) -> Self {
        Self::Other(format!("{error:#}"))
    }
}

impl From<spin::Error> for wasi::Error {
    fn from(error: spin::Error) -> Self {
        match error {
            spin::Error::NoSuchStore => Self::NoSuchStore,
            spin::Error::AccessDenied => Self::AccessDenied,
            spin::Error::StoreTableFull => Self::Other("store table full".to_owned()),
            spin::Error::Other(text) => Self::Other(text),
        }
    }
}
