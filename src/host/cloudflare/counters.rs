//! Where counters live on Workers: with the binding `COUNTERS` in a Durable Object for each owner, exact everywhere;
//! without it in KV, where nothing is lost to races and a limit is kept by each isolate on its own counts plus what it
//! last saw of the others'.
//!
//! Receipts lie in the object of their caller, written with the additions in one transaction. KV keeps none: its free plan
//! has 1,000 writes a day, of which an isolate that is never idle takes 288 for what it knows of targets, so that receipts
//! would have to wait for one another, by the dozen and for minutes, in an isolate that may end at any time.

mod object;
mod shards;

use std::rc::Rc;

use worker::Env;

use self::object::Objects;
use self::shards::Kv;
use super::namespace;
use crate::host::StoreDown;
use crate::host::{ledger, shards as kv};
use crate::limit::{Admission, Bound, owner};
use crate::receipt::Ids;
use crate::record::Settlement;

pub(super) enum Store {
    Exact(Objects),
    Shards(Kv),
}

impl Store {
    pub(super) fn new(env: &Rc<Env>) -> Self {
        if env.durable_object("COUNTERS").is_ok() {
            return Self::Exact(Objects(env.clone()));
        }
        Self::Shards(Kv(namespace(env)))
    }

    pub(super) async fn admit(&self, bounds: &[Bound]) -> Result<Admission, StoreDown> {
        match self {
            Self::Exact(objects) => ledger::admit(objects, bounds).await,
            Self::Shards(shelf) => kv::admit(shelf, bounds).await,
        }
    }

    /// Ends after what it added is written, where that is soon, and what was set aside in vain has gone back.
    pub(super) async fn settle(&self, Settlement { adds, receipt, .. }: Settlement) {
        match self {
            Self::Exact(objects) => {
                ledger::settle(objects, adds, receipt).await;
                ledger::tidy(objects).await;
            }
            Self::Shards(shelf) => kv::settle(shelf, adds).await,
        }
    }

    /// `None` where none are kept.
    pub(super) async fn receipts(
        &self,
        caller: &str,
        ids: &Ids,
        most: usize,
    ) -> Result<Option<Vec<String>>, StoreDown> {
        match self {
            Self::Exact(objects) => objects.receipts(caller, ids, most).await.map(Some),
            Self::Shards(_) => Ok(None),
        }
    }

    pub(super) async fn totals(&self, prefix: &str) -> Result<Vec<(String, i64)>, StoreDown> {
        match self {
            Self::Exact(objects) => objects.totals(owner(prefix), prefix).await,
            Self::Shards(shelf) => kv::totals(shelf, prefix).await,
        }
    }
}
