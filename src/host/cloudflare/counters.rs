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
use std::time::Duration;

use futures::future::join_all;
use wasm_bindgen::JsValue;
use worker::{Delay, Env};

use self::object::Settle;
use super::{namespace, now, random};
use crate::host::StoreDown;
use crate::limit::{Add, Admission, Bound, owner};
use crate::receipt::{Ids, Kept};
use crate::record::Settlement;
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

    pub(super) async fn settle(&self, Settlement { adds, receipt, .. }: Settlement) {
        match self {
            Self::Exact(env) => settle(env, adds, receipt).await,
            Self::Shards(kv) => {
                shards::add(adds);
                shards::flush(kv).await;
            }
            Self::Memory => shards::add(adds),
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
            Self::Exact(env) => object::receipts(env, caller, ids, most).await.map(Some),
            Self::Shards(_) | Self::Memory => Ok(None),
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
        settle(env, admitted.flat_map(|(bounds, _)| bounds.iter().map(back)).collect(), None).await;
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

/// Each owner's object adds what is its own, and its caller's keeps the receipt with that.
async fn settle(env: &Env, adds: Vec<Add>, receipt: Option<Kept>) {
    let mut owners: Vec<(String, Vec<Add>)> = Vec::new();
    if let Some(receipt) = &receipt {
        owners.push((receipt.caller.clone(), Vec::new()));
    }
    for add in adds {
        let whose = owner(&add.counter);
        match owners.iter_mut().find(|(owner, _)| owner == whose) {
            Some((_, adds)) => adds.push(add),
            None => owners.push((whose.to_owned(), vec![add])),
        }
    }
    let mut receipt = receipt;
    let questions: Vec<_> = owners.into_iter().map(|(owner, adds)| (owner, adds, receipt.take())).collect();
    join_all(questions.into_iter().map(|(owner, adds, receipt)| settle_for_one(env, owner, adds, receipt))).await;
}

/// Tries again for a while; what cannot be counted then is logged, so that somebody can.
async fn settle_for_one(env: &Env, owner: String, adds: Vec<Add>, receipt: Option<Kept>) {
    let question = Settle { id: format!("{:016x}", random()), adds, receipt, now: now() };
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
