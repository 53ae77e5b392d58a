//! Where counters live on Workers.
//!
//! With the binding `COUNTERS`, in a Durable Object per caller: exact, everywhere. Without it in KV, which has no
//! increments and shows writes late: each isolate adds to its own copy, writes it as a key of its own, and sums the
//! others' from time to time. Nothing is lost to races; a limit is then kept by each isolate on its own counts plus
//! what it last saw of the others'.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use js_sys::Uint8Array;
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestInit, Response};
use worker::kv::KvStore;
use worker::{Delay, DurableObject, Env, State, durable_object};

use super::{now, random, reply};
use crate::host::{Millis, StoreDown};
use crate::limit::{Add, Admission, Bound, day, decide};

pub(super) enum Store {
    Exact(Rc<Env>),
    Shards(KvStore),
    /// Neither binding is there: counters live as long as the isolate.
    Memory,
}

const OBJECT_MS: u64 = 5_000;
const TRIES: u32 = 4;

impl Store {
    pub(super) fn new(env: &Rc<Env>) -> Self {
        if env.durable_object("COUNTERS").is_ok() {
            return Self::Exact(env.clone());
        }
        env.kv("TOLLGATE").map_or(Self::Memory, Self::Shards)
    }

    pub(super) async fn admit(&self, bounds: &[Bound]) -> Result<Admission, StoreDown> {
        match self {
            Self::Exact(env) => {
                let caller = bounds.first().map_or("", |bound| caller(&bound.counter));
                ask(env, caller, &Question::Admit { bounds: bounds.to_vec(), now: now() }).await
            }
            Self::Shards(kv) => {
                refresh(kv).await?;
                Ok(ISOLATE.with_borrow_mut(|isolate| isolate.admit(bounds)))
            }
            Self::Memory => Ok(ISOLATE.with_borrow_mut(|isolate| isolate.admit(bounds))),
        }
    }

    /// Tries again for a while; what cannot be counted then is logged, so that somebody can.
    pub(super) async fn settle(&self, adds: Vec<Add>) {
        let Some(first) = adds.first() else { return };
        match self {
            Self::Exact(env) => {
                let question = Question::Settle { id: format!("{:016x}", random()), adds: adds.clone(), now: now() };
                let mut pause = Duration::from_millis(200);
                for _ in 0..TRIES {
                    match ask::<()>(env, caller(&first.counter), &question).await {
                        Ok(()) => return,
                        Err(StoreDown(why)) => worker::console_error!("counters: {why}"),
                    }
                    Delay::from(pause).await;
                    pause *= 3;
                }
                let lost = serde_json::to_string(&adds).unwrap_or_default();
                worker::console_error!("counters: could not be added: {lost}");
            }
            Self::Shards(kv) => {
                ISOLATE.with_borrow_mut(|isolate| isolate.add(adds));
                flush(kv).await;
            }
            Self::Memory => ISOLATE.with_borrow_mut(|isolate| isolate.add(adds)),
        }
    }

    pub(super) async fn totals(&self, prefix: &str) -> Result<Vec<(String, i64)>, StoreDown> {
        match self {
            Self::Exact(env) => ask(env, caller(prefix), &Question::Totals { prefix: prefix.to_owned() }).await,
            Self::Shards(kv) => {
                let others = others(kv).await?;
                ISOLATE.with_borrow_mut(|isolate| {
                    isolate.others = others;
                    isolate.read_at = now();
                });
                Ok(ISOLATE.with_borrow(|isolate| isolate.sums(prefix)))
            }
            Self::Memory => Ok(ISOLATE.with_borrow(|isolate| isolate.sums(prefix))),
        }
    }
}

/// Counters are named `KIND/CALLER/…`.
fn caller(counter: &str) -> &str {
    counter.split('/').nth(1).unwrap_or_default()
}

// ---- Durable Object -------------------------------------------------------------------------------------------

#[derive(Serialize, Deserialize)]
enum Question {
    Admit {
        bounds: Vec<Bound>,
        now: Millis,
    },
    /// The same id twice is added once.
    Settle {
        id: String,
        adds: Vec<Add>,
        now: Millis,
    },
    Totals {
        prefix: String,
    },
}

async fn ask<T: for<'a> Deserialize<'a>>(env: &Env, caller: &str, question: &Question) -> Result<T, StoreDown> {
    let down = |error: worker::Error| StoreDown(error.to_string());
    let stub = env.durable_object("COUNTERS").and_then(|objects| objects.get_by_name(caller)).map_err(down)?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&JsValue::from_str(&serde_json::to_string(question).map_err(|error| StoreDown(error.to_string()))?));
    let request =
        web_sys::Request::new_with_str_and_init("http://counters/", &init).map_err(|error| down(error.into()))?;
    // An object that panicked does not answer at all.
    let call = Box::pin(stub.fetch_with_request(request.into()));
    let answer: Response = match select(call, Delay::from(Duration::from_millis(OBJECT_MS))).await {
        Either::Left((answer, _)) => answer.map_err(down)?.into(),
        Either::Right(_) => return Err(StoreDown(format!("no answer in {OBJECT_MS} ms"))),
    };
    let status = answer.status();
    let buffer = async { JsFuture::from(answer.array_buffer()?).await }.await.map_err(|error| down(error.into()))?;
    let body = Uint8Array::new(&buffer).to_vec();
    serde_json::from_slice(&body).map_err(|_| StoreDown(format!("status {status}: {}", String::from_utf8_lossy(&body))))
}

/// One caller's counters. Single-threaded, and each request is one transaction, because nothing in it awaits.
///
/// Totals cross to JavaScript as text: its numbers are exact only up to 2^53.
#[durable_object(fetch)]
pub struct Counters {
    state: State,
}

const SETTLED_MS: Millis = 600_000;

#[derive(Deserialize)]
struct Total {
    name: String,
    total: String,
}

impl DurableObject for Counters {
    fn new(state: State, _env: Env) -> Self {
        let made = state.storage().sql().exec(
            "create table if not exists counters (name text primary key, total integer not null, expires integer) without rowid;
             create table if not exists settled (id text primary key, at integer not null) without rowid;",
            None,
        );
        if let Err(error) = made {
            worker::console_error!("counters: {error}");
        }
        Self { state }
    }

    async fn fetch(&self, request: worker::Request) -> worker::Result<worker::Response> {
        let buffer = JsFuture::from(request.inner().array_buffer()?).await?;
        let question: Question = serde_json::from_slice(&Uint8Array::new(&buffer).to_vec())?;
        // No await from here on.
        let answer = match question {
            Question::Admit { bounds, now } => serde_json::to_string(&self.admit(&bounds, now)?)?,
            Question::Settle { id, adds, now } => serde_json::to_string(&self.settle(&id, &adds, now)?)?,
            Question::Totals { prefix } => serde_json::to_string(&self.totals(&prefix)?)?,
        };
        Ok(reply(200, "content-type\napplication/json", &JsValue::from_str(&answer))?.into())
    }
}

impl Counters {
    fn admit(&self, bounds: &[Bound], now: Millis) -> worker::Result<Admission> {
        self.exec("delete from counters where expires < cast(? as integer)", &[&now.to_string()])?;
        let mut totals = HashMap::new();
        for name in bounds.iter().flat_map(|bound| std::iter::once(&bound.counter).chain(&bound.with)) {
            totals.insert(name.clone(), self.total(name)?);
        }
        let admission = decide(bounds, |name| totals.get(name).copied().unwrap_or(0));
        if let Admission::Admitted(_) = admission {
            for bound in bounds {
                self.add(&bound.counter, bound.add, Some(bound.expires))?;
            }
        }
        Ok(admission)
    }

    fn settle(&self, id: &str, adds: &[Add], now: Millis) -> worker::Result<()> {
        let before = now.saturating_sub(SETTLED_MS).to_string();
        self.exec("delete from settled where at < cast(? as integer)", &[&before])?;
        let new: Vec<serde::de::IgnoredAny> = self
            .exec(
                "insert into settled values (?, cast(? as integer)) on conflict do nothing returning 1 as new",
                &[id, &now.to_string()],
            )?
            .to_array()?;
        if !new.is_empty() {
            for add in adds {
                self.add(&add.counter, add.add, add.expires)?;
            }
        }
        Ok(())
    }

    fn totals(&self, prefix: &str) -> worker::Result<Vec<(String, i64)>> {
        let query = "select name, cast(total as text) as total from counters where name >= ? and substr(name, 1, length(?)) = ?";
        let rows: Vec<Total> = self.exec(query, &[prefix, prefix, prefix])?.to_array()?;
        Ok(rows.into_iter().map(|row| (row.name, row.total.parse().unwrap_or(0))).collect())
    }

    fn total(&self, name: &str) -> worker::Result<i64> {
        let query = "select name, cast(total as text) as total from counters where name = ?";
        let rows: Vec<Total> = self.exec(query, &[name])?.to_array()?;
        Ok(rows.first().and_then(|row| row.total.parse().ok()).unwrap_or(0))
    }

    /// An addition to what has expired makes no new counter.
    fn add(&self, name: &str, add: i64, expires: Option<Millis>) -> worker::Result<()> {
        let expires = expires.map(|at| at.to_string()).unwrap_or_default();
        self.exec(
            "insert into counters values (?, cast(? as integer), cast(nullif(?, '') as integer))
             on conflict do update set total = total + excluded.total",
            &[name, &add.to_string(), &expires],
        )?;
        Ok(())
    }

    fn exec(&self, query: &str, values: &[&str]) -> worker::Result<worker::SqlCursor> {
        self.state.storage().sql().exec(query, values.iter().map(|value| (*value).into()).collect::<Vec<_>>())
    }
}

// ---- Shards in KV -----------------------------------------------------------------------------------------------

/// How long the others' sums are believed.
const OTHERS_MS: Millis = 30_000;
/// KV takes one write a second for each key.
const PUT_PAUSE: Duration = Duration::from_millis(1_100);
const PUT_TRIES: u32 = 8;
/// Totals stay readable for over a year.
const SHARD_SECONDS: u64 = 400 * 86_400;
/// What one bulk read may ask for.
const BULK: usize = 100;

thread_local! {
    static ISOLATE: RefCell<Isolate> = RefCell::default();
}

/// What this isolate has counted, and what it knows of the others.
#[derive(Default)]
struct Isolate {
    /// Made at the first addition: randomness is not there before a request is.
    id: Option<String>,
    /// By day, since each day's key is written until the day is over.
    own: BTreeMap<String, BTreeMap<String, i64>>,
    passing: HashMap<String, (i64, Millis)>,
    others: HashMap<String, i64>,
    read_at: Millis,
    /// Days whose key is behind.
    dirty: BTreeSet<String>,
    flushing: bool,
}

impl Isolate {
    fn total(&self, name: &str) -> i64 {
        let passing = self.passing.get(name).map_or(0, |(total, _)| *total);
        let own: i64 = self.own.values().filter_map(|counters| counters.get(name)).sum();
        own + passing + self.others.get(name).copied().unwrap_or(0)
    }

    fn admit(&mut self, bounds: &[Bound]) -> Admission {
        self.passing.retain(|_, (_, expires)| *expires > now());
        let admission = decide(bounds, |name| self.total(name));
        if let Admission::Admitted(_) = admission {
            for bound in bounds {
                self.passing.entry(bound.counter.clone()).or_insert((0, bound.expires)).0 += bound.add;
            }
        }
        admission
    }

    fn add(&mut self, adds: Vec<Add>) {
        let today = day(now());
        let own = self.own.entry(today.clone()).or_default();
        for Add { counter, add, expires } in adds {
            if expires.is_none() {
                *own.entry(counter).or_default() += add;
                self.dirty.insert(today.clone());
            } else if let Some((total, _)) = self.passing.get_mut(&counter) {
                *total += add;
            }
        }
    }

    fn sums(&self, prefix: &str) -> Vec<(String, i64)> {
        let mut sums: HashMap<&str, i64> = HashMap::new();
        let own = self.own.values().flatten();
        for (name, total) in own.chain(&self.others).filter(|(name, _)| name.starts_with(prefix)) {
            *sums.entry(name).or_default() += total;
        }
        sums.into_iter().map(|(name, total)| (name.to_owned(), total)).collect()
    }

    /// A day whose key is behind, and what it should hold.
    fn next_dirty(&mut self) -> Option<(String, String, BTreeMap<String, i64>)> {
        let day = self.dirty.pop_first()?;
        let counters = self.own.get(&day).cloned().unwrap_or_default();
        Some((day, self.id(), counters))
    }

    fn id(&mut self) -> String {
        self.id.get_or_insert_with(|| format!("{:016x}", random())).clone()
    }
}

/// Sums the other isolates' shards, unless that was done a moment ago.
async fn refresh(kv: &KvStore) -> Result<(), StoreDown> {
    if ISOLATE.with_borrow(|isolate| now().saturating_sub(isolate.read_at) > OTHERS_MS) {
        let others = others(kv).await?;
        ISOLATE.with_borrow_mut(|isolate| {
            isolate.others = others;
            isolate.read_at = now();
        });
    }
    Ok(())
}

async fn others(kv: &KvStore) -> Result<HashMap<String, i64>, StoreDown> {
    let down = |error: worker::kv::KvError| StoreDown(error.to_string());
    let own = format!("/{}", ISOLATE.with_borrow_mut(Isolate::id));
    let mut keys = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let list = kv.list().prefix("shard/".to_owned());
        let list = match cursor.take() {
            Some(cursor) => list.cursor(cursor),
            None => list,
        };
        let page = list.execute().await.map_err(down)?;
        keys.extend(page.keys.into_iter().map(|key| key.name).filter(|name| !name.ends_with(&own)));
        cursor = page.cursor;
        if page.list_complete || cursor.is_none() {
            break;
        }
    }
    let mut sums: HashMap<String, i64> = HashMap::new();
    for keys in keys.chunks(BULK) {
        for shard in kv.get_bulk(keys).text().await.map_err(down)?.into_values().flatten() {
            let counters: HashMap<String, i64> = serde_json::from_str(&shard).unwrap_or_default();
            for (name, total) in counters {
                *sums.entry(name).or_default() += total;
            }
        }
    }
    Ok(sums)
}

/// Writes this isolate's shards until they are as it counts. One at a time: two writes under way may land in the
/// wrong order.
async fn flush(kv: &KvStore) {
    let busy = ISOLATE.with_borrow_mut(|isolate| std::mem::replace(&mut isolate.flushing, true));
    if busy {
        return;
    }
    let mut failures = 0;
    while failures < PUT_TRIES {
        let Some((day, id, counters)) = ISOLATE.with_borrow_mut(Isolate::next_dirty) else { break };
        if let Err(error) = put(kv, &format!("shard/{day}/{id}"), &counters).await {
            worker::console_error!("counters: {error}");
            failures += 1;
            ISOLATE.with_borrow_mut(|isolate| isolate.dirty.insert(day));
        }
        Delay::from(PUT_PAUSE).await;
    }
    ISOLATE.with_borrow_mut(|isolate| isolate.flushing = false);
}

async fn put(kv: &KvStore, key: &str, counters: &BTreeMap<String, i64>) -> Result<(), worker::kv::KvError> {
    let value = serde_json::to_string(counters)?;
    kv.put(key, value)?.expiration_ttl(SHARD_SECONDS).execute().await
}
