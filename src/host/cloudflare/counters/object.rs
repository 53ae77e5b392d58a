//! Counters in a Durable Object per caller. Single-threaded, and each question is one transaction, because nothing
//! in it awaits.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::{Either, select};
use js_sys::Uint8Array;
use serde::Deserialize;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestInit, Response};
use worker::{Delay, DurableObject, Env, State, durable_object};

use super::super::reply;
use crate::host::{Millis, StoreDown};
use crate::limit::{Add, Admission, Bound, decide};
use crate::wire::json::{self, written};

const ANSWER_MS: u64 = 5_000;

written! {
    #[derive(Deserialize)]
    pub(super) enum Question {
        Admit as "Admit" { bounds: Vec<Bound>, now: Millis },
        /// The same id twice is added once.
        Settle as "Settle" { id: String, adds: Vec<Add>, now: Millis },
        Totals as "Totals" { prefix: String },
    }
}

/// Asks the object of `caller`.
pub(super) async fn ask<T: for<'a> Deserialize<'a>>(
    env: &Env,
    caller: &str,
    question: &Question,
) -> Result<T, StoreDown> {
    let down = |error: worker::Error| StoreDown(error.to_string());
    let stub = env.durable_object("COUNTERS").and_then(|objects| objects.get_by_name(caller)).map_err(down)?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&JsValue::from_str(&json::to_string(question)));
    let request =
        web_sys::Request::new_with_str_and_init("http://counters/", &init).map_err(|error| down(error.into()))?;
    // An object that panicked does not answer at all.
    let call = Box::pin(stub.fetch_with_request(request.into()));
    let answer: Response = match select(call, Delay::from(Duration::from_millis(ANSWER_MS))).await {
        Either::Left((answer, _)) => answer.map_err(down)?.into(),
        Either::Right(_) => return Err(StoreDown(format!("no answer in {ANSWER_MS} ms"))),
    };
    let status = answer.status();
    let buffer = async { JsFuture::from(answer.array_buffer()?).await }.await.map_err(|error| down(error.into()))?;
    let body = Uint8Array::new(&buffer).to_vec();
    let body = String::from_utf8_lossy(&body);
    serde_json::from_str(&body).map_err(|_| StoreDown(format!("status {status}: {body}")))
}

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
        let question: Question = serde_json::from_str(&String::from_utf8_lossy(&Uint8Array::new(&buffer).to_vec()))?;
        // No await from here on.
        let answer = match question {
            Question::Admit { bounds, now } => json::to_string(&self.admit(&bounds, now)?),
            Question::Settle { id, adds, now } => json::to_string(&self.settle(&id, &adds, now)?),
            Question::Totals { prefix } => json::to_string(&self.totals(&prefix)?),
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
            // A sum that leaves the integers is a float, which the cast brings back to the nearest one.
            "insert into counters values (?, cast(? as integer), cast(nullif(?, '') as integer))
             on conflict do update set total = cast(total + excluded.total as integer)",
            &[name, &add.to_string(), &expires],
        )?;
        Ok(())
    }

    fn exec(&self, query: &str, values: &[&str]) -> worker::Result<worker::SqlCursor> {
        self.state.storage().sql().exec(query, values.iter().map(|value| (*value).into()).collect::<Vec<_>>())
    }
}
