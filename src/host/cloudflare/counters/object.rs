//! Counters in a Durable Object for each of their owners. Single-threaded, and each question is one transaction, because nothing
//! in it awaits.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestInit, Response};
use worker::{Delay, DurableObject, Env, State, durable_object};

use super::super::{now, random, reply, rows};
use crate::host::ledger::Places;
use crate::host::{Millis, StoreDown};
use crate::limit::book::{self, Book, Entry, SETTLED_MS};
use crate::limit::lease::Leases;
use crate::limit::{Add, Admission, Bound};
use crate::named::Named;
use crate::receipt::{Ids, Kept};
use crate::wire::json::{self, Ignored, Read, Write, objects, written};

const ANSWER_MS: u64 = 5_000;

objects! {
    struct Admit {
        bounds: Vec<Bound>,
        now: Millis,
    }

    struct Receipts {
        from: String,
        to: String,
        most: usize,
    }

    struct Totals {
        prefix: String,
    }

    /// [`Admission`], as it is written.
    struct Answer {
        admitted as "Admitted": Option<Vec<i64>>,
        refused as "Refused": Option<Vec<i64>>,
    }
}

written! {
    impl Admit { bounds, now }
    impl Receipts { from, to, most }
    impl Totals { prefix }
}

thread_local! {
    static LEASES: RefCell<Leases> = RefCell::default();
}

/// The objects of all owners.
pub(in crate::host::cloudflare) struct Objects(pub(super) Rc<Env>);

impl Places for Objects {
    fn now(&self) -> Millis {
        now()
    }

    fn id(&self) -> String {
        format!("{:016x}", random())
    }

    async fn sleep(&self, ms: u64) {
        Delay::from(Duration::from_millis(ms)).await;
    }

    async fn admit(&self, owner: &str, bounds: Vec<Bound>) -> Result<Admission, StoreDown> {
        let answer = self.ask(owner, "admit", &Admit { bounds, now: now() }).await?;
        match read(&answer)? {
            Answer { admitted: Some(sums), .. } => Ok(Admission::Admitted(sums)),
            Answer { refused: Some(sums), .. } => Ok(Admission::Refused(sums)),
            Answer { .. } => Err(StoreDown(format!("neither admitted nor refused: {answer}"))),
        }
    }

    async fn settle(&self, owner: &str, entry: &Entry) -> Result<(), StoreDown> {
        let answer = self.ask(owner, "settle", entry).await?;
        read::<Ignored>(&answer).map(|_| ())
    }

    fn with_leases<T>(&self, of: impl FnOnce(&mut Leases) -> T) -> T {
        LEASES.with_borrow_mut(of)
    }

    fn complain(&self, line: &str) {
        worker::console_error!("{line}");
    }
}

impl Objects {
    pub(super) async fn totals(&self, owner: &str, prefix: &str) -> Result<Vec<(String, i64)>, StoreDown> {
        let answer = self.ask(owner, "totals", &Totals { prefix: prefix.to_owned() }).await?;
        let totals: Named<i64> = read(&answer)?;
        Ok(totals.iter().map(|(name, total)| (name.to_owned(), *total)).collect())
    }

    /// An object has those of its owner only.
    pub(super) async fn receipts(&self, caller: &str, ids: &Ids, most: usize) -> Result<Vec<String>, StoreDown> {
        let Ids { from, to } = ids.clone();
        read(&self.ask(caller, "receipts", &Receipts { from, to, most }).await?)
    }

    async fn ask(&self, owner: &str, verb: &str, question: &dyn Write) -> Result<String, StoreDown> {
        let Self(env) = self;
        let down = |error: worker::Error| StoreDown(error.to_string());
        let stub = env.durable_object("COUNTERS").and_then(|objects| objects.get_by_name(owner)).map_err(down)?;
        let init = RequestInit::new();
        init.set_method("POST");
        init.set_body(&JsValue::from_str(&json::to_string(question)));
        let request = web_sys::Request::new_with_str_and_init(&format!("{URL}{verb}"), &init)
            .map_err(|error| down(error.into()))?;
        // An object that panicked does not answer at all.
        let call = Box::pin(stub.fetch_with_request(request.into()));
        let answer: Response = match select(call, Delay::from(Duration::from_millis(ANSWER_MS))).await {
            Either::Left((answer, _)) => answer.map_err(down)?.into(),
            Either::Right(_) => return Err(StoreDown(format!("no answer in {ANSWER_MS} ms"))),
        };
        let status = answer.status();
        let buffer =
            async { JsFuture::from(answer.array_buffer()?).await }.await.map_err(|error| down(error.into()))?;
        let body = Uint8Array::new(&buffer).to_vec();
        let body = String::from_utf8_lossy(&body).into_owned();
        if status == 200 { Ok(body) } else { Err(StoreDown(format!("status {status}: {body}"))) }
    }
}

fn read<'a, T: Read<'a>>(answer: &'a str) -> Result<T, StoreDown> {
    json::parse(answer).map_err(|error| StoreDown(format!("{error}: {answer}")))
}

/// Totals cross to JavaScript as text: its numbers are exact only up to 2^53.
#[durable_object(fetch)]
pub struct Counters {
    state: State,
}

/// Nobody's: an object is reached by its name, and asked by what stands behind this.
const URL: &str = "http://counters/";

impl DurableObject for Counters {
    fn new(state: State, _env: Env) -> Self {
        let counters = Self { state };
        let made = [
            "create table if not exists counters (name text primary key, total integer not null, expires integer) without rowid",
            "create table if not exists settled (id text primary key, at integer not null) without rowid",
            "create table if not exists receipts (id text primary key, text text not null) without rowid",
        ]
        .map(|table| counters.exec(table, &[]));
        for error in made.into_iter().filter_map(Result::err) {
            worker::console_error!("counters: {error}");
        }
        counters
    }

    async fn fetch(&self, request: worker::Request) -> worker::Result<worker::Response> {
        let buffer = JsFuture::from(request.inner().array_buffer()?).await?;
        let question = Uint8Array::new(&buffer).to_vec();
        let wrong = |error: json::Error| worker::Error::RustError(error.to_string());
        // No await from here on.
        let answer = match request.inner().url().strip_prefix(URL) {
            Some("admit") => {
                let Admit { bounds, now } = json::read(&question).map_err(wrong)?;
                json::to_string(&book::admit(self, &bounds, now)?)
            }
            Some("settle") => json::to_string(&book::settle(self, &json::read(&question).map_err(wrong)?)?),
            Some("receipts") => json::to_string(&self.receipts(&json::read(&question).map_err(wrong)?)?),
            Some("totals") => {
                let Totals { prefix } = json::read(&question).map_err(wrong)?;
                json::to_string(&self.totals(&prefix)?)
            }
            _ => return Err(worker::Error::RustError("asked for nothing".to_owned())),
        };
        Ok(reply(200, "content-type\napplication/json", &JsValue::from_str(&answer))?.into())
    }
}

impl Book for Counters {
    type Error = worker::Error;

    fn total(&self, name: &str) -> worker::Result<i64> {
        let rows = self.exec("select cast(total as text) from counters where name = ?", &[name])?;
        Ok(rows.into_iter().flatten().next().and_then(|total| total.parse().ok()).unwrap_or(0))
    }

    fn add(&self, Add { counter, add, expires }: &Add) -> worker::Result<()> {
        let expires = expires.map(|at| at.to_string()).unwrap_or_default();
        self.exec(
            // A sum that leaves the integers is a float, which the cast brings back to the nearest one.
            "insert into counters values (?, cast(? as integer), cast(nullif(?, '') as integer))
             on conflict do update set total = cast(total + excluded.total as integer)",
            &[counter, &add.to_string(), &expires],
        )?;
        Ok(())
    }

    fn sweep(&self, now: Millis) -> worker::Result<()> {
        self.exec("delete from counters where expires < cast(? as integer)", &[&now.to_string()]).map(drop)
    }

    fn is_new(&self, id: &str, now: Millis) -> worker::Result<bool> {
        let before = now.saturating_sub(SETTLED_MS).to_string();
        self.exec("delete from settled where at < cast(? as integer)", &[&before])?;
        let new = "insert into settled values (?, cast(? as integer)) on conflict do nothing returning id";
        Ok(!self.exec(new, &[id, &now.to_string()])?.is_empty())
    }

    fn keep(&self, Kept { id, text, oldest, .. }: &Kept) -> worker::Result<()> {
        self.exec("insert into receipts values (?, ?) on conflict do nothing", &[id, text])?;
        // Twice as many go as come, so that a shorter time is soon kept to, and no question takes long.
        let old = "delete from receipts where id in (select id from receipts where id < ? order by id limit 2)";
        self.exec(old, &[oldest]).map(drop)
    }
}

impl Counters {
    fn receipts(&self, Receipts { from, to, most }: &Receipts) -> worker::Result<Vec<String>> {
        let query = "select text from receipts where id between ? and ? order by id limit cast(? as integer)";
        Ok(self.exec(query, &[from, to, &most.to_string()])?.into_iter().flatten().collect())
    }

    fn totals(&self, prefix: &str) -> worker::Result<Named<i64>> {
        let query = "select name, cast(total as text) from counters where name >= ? and substr(name, 1, length(?)) = ?";
        let mut totals = Named::default();
        for row in self.exec(query, &[prefix, prefix, prefix])? {
            if let [name, total] = row.as_slice() {
                totals.insert(name.clone(), total.parse().unwrap_or(0));
            }
        }
        Ok(totals)
    }

    /// The rows that come of it: each the texts of its columns.
    fn exec(&self, query: &str, values: &[&str]) -> worker::Result<Vec<Vec<String>>> {
        let rows = rows(self.state.storage().sql().as_ref(), query, &json::to_string(&values))?;
        json::parse(&rows).map_err(|error| worker::Error::RustError(error.to_string()))
    }
}
