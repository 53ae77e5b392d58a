//! Where counters live on Workers: with the binding `COUNTERS` in a Durable Object per caller, exact everywhere;
//! without it in KV, where nothing is lost to races and a limit is kept by each isolate on its own counts plus what it
//! last saw of the others'.

mod object;
mod shards;

use std::rc::Rc;
use std::time::Duration;

use wasm_bindgen::JsValue;
use worker::{Delay, Env};

use self::object::Settle;
use super::{namespace, now, random};
use crate::host::StoreDown;
use crate::limit::{Add, Admission, Bound};
use crate::wire::json;

pub(super) enum Store {
    Exact(Rc<Env>),
    /// A namespace of KV.
    Shards(JsValue),
    /// Neither binding is there: counters live as long as the isolate.
    Memory,
}

const TRIES: u32 = 4;

impl Store {
    pub(super) fn new(env: &Rc<Env>) -> Self {
        if env.durable_object("COUNTERS").is_ok() {
            return Self::Exact(env.clone());
        }
        namespace(env).map_or(Self::Memory, Self::Shards)
    }

    pub(super) async fn admit(&self, bounds: &[Bound]) -> Result<Admission, StoreDown> {
        match self {
            Self::Exact(env) => {
                let caller = bounds.first().map_or("", |bound| caller(&bound.counter));
                return object::admit(env, caller, bounds, now()).await;
            }
            Self::Shards(kv) => shards::refresh(kv).await?,
            Self::Memory => {}
        }
        Ok(shards::admit(bounds))
    }

    pub(super) async fn settle(&self, adds: Vec<Add>) {
        match self {
            Self::Exact(env) => settle(env, adds).await,
            Self::Shards(kv) => {
                shards::add(adds);
                shards::flush(kv).await;
            }
            Self::Memory => shards::add(adds),
        }
    }

    pub(super) async fn totals(&self, prefix: &str) -> Result<Vec<(String, i64)>, StoreDown> {
        match self {
            Self::Exact(env) => return object::totals(env, caller(prefix), prefix).await,
            Self::Shards(kv) => shards::refresh_now(kv).await?,
            Self::Memory => {}
        }
        Ok(shards::totals(prefix))
    }
}

/// Tries again for a while; what cannot be counted then is logged, so that somebody can.
async fn settle(env: &Env, adds: Vec<Add>) {
    let Some(first) = adds.first() else { return };
    let caller = caller(&first.counter).to_owned();
    let question = Settle { id: format!("{:016x}", random()), adds, now: now() };
    let mut pause = Duration::from_millis(200);
    for _ in 0..TRIES {
        match object::settle(env, &caller, &question).await {
            Ok(()) => return,
            Err(StoreDown(why)) => worker::console_error!("counters: {why}"),
        }
        Delay::from(pause).await;
        pause *= 3;
    }
    let lost = json::to_string(&question.adds);
    worker::console_error!("counters: could not be added: {lost}");
}

/// Counters are named `KIND/CALLER/…`.
fn caller(counter: &str) -> &str {
    counter.split('/').nth(1).unwrap_or_default()
}
