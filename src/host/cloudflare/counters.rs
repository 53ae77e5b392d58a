//! Where counters live on Workers: with the binding `COUNTERS` in a Durable Object for each owner, exact everywhere;
//! without it in KV, where nothing is lost to races and a limit is kept by each isolate on its own counts plus what it
//! last saw of the others'.

mod object;
mod shards;

use std::rc::Rc;
use std::time::Duration;

use futures::future::join_all;
use wasm_bindgen::JsValue;
use worker::{Delay, Env};

use self::object::Settle;
use super::{namespace, now, random};
use crate::host::StoreDown;
use crate::limit::{Add, Admission, Bound, owner};
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
            Self::Exact(env) => return admit(env, bounds).await,
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
            Self::Exact(env) => return object::totals(env, owner(prefix), prefix).await,
            Self::Shards(kv) => shards::refresh_now(kv).await?,
            Self::Memory => {}
        }
        Ok(shards::totals(prefix))
    }
}

/// Each owner's object admits its own bounds or none of them. What some admitted and others did not is given back: until
/// then it may turn another away, and that is the side to err on.
async fn admit(env: &Env, bounds: &[Bound]) -> Result<Admission, StoreDown> {
    // Those of one owner stand beside each other.
    let owners: Vec<&[Bound]> = bounds.chunk_by(|one, next| owner(&one.counter) == owner(&next.counter)).collect();
    let ask = async |bounds: &[Bound]| {
        let owner = bounds.first().map_or("", |bound| owner(&bound.counter));
        object::admit(env, owner, bounds, now()).await
    };
    if let [bounds] = owners.as_slice() {
        return ask(bounds).await;
    }
    let answers = join_all(owners.iter().map(|bounds| ask(bounds))).await;
    let is_admitted = |answer: &Result<Admission, StoreDown>| matches!(answer, Ok(Admission::Admitted(_)));
    if !answers.iter().all(is_admitted) {
        let admitted = owners.iter().zip(&answers).filter(|(_, answer)| is_admitted(answer));
        let back =
            |bound: &Bound| Add { counter: bound.counter.clone(), add: -bound.add, expires: Some(bound.expires) };
        settle(env, admitted.flat_map(|(bounds, _)| bounds.iter().map(back)).collect()).await;
    }
    let mut sums = Vec::with_capacity(bounds.len());
    for answer in answers {
        match answer? {
            Admission::Admitted(own) => sums.extend(own),
            Admission::Refused(own) => {
                // Those before it as they stand without this request.
                sums.iter_mut().zip(bounds).for_each(|(sum, bound)| *sum -= bound.add);
                sums.extend(own);
                return Ok(Admission::Refused(sums));
            }
        }
    }
    Ok(Admission::Admitted(sums))
}

async fn settle(env: &Env, adds: Vec<Add>) {
    let mut owners: Vec<Vec<Add>> = Vec::new();
    for add in adds {
        let is_its =
            |adds: &&mut Vec<Add>| adds.first().is_some_and(|first| owner(&first.counter) == owner(&add.counter));
        match owners.iter_mut().find(is_its) {
            Some(adds) => adds.push(add),
            None => owners.push(vec![add]),
        }
    }
    join_all(owners.into_iter().map(|adds| settle_for_one(env, adds))).await;
}

/// Tries again for a while; what cannot be counted then is logged, so that somebody can.
async fn settle_for_one(env: &Env, adds: Vec<Add>) {
    let Some(first) = adds.first() else { return };
    let owner = owner(&first.counter).to_owned();
    let question = Settle { id: format!("{:016x}", random()), adds, now: now() };
    let mut pause = Duration::from_millis(200);
    for _ in 0..TRIES {
        match object::settle(env, &owner, &question).await {
            Ok(()) => return,
            Err(StoreDown(why)) => worker::console_error!("counters: {why}"),
        }
        Delay::from(pause).await;
        pause *= 3;
    }
    let lost = json::to_string(&question.adds);
    worker::console_error!("counters: could not be added: {lost}");
}
