//! What a running scenario has in its hands: its host, its caller, its marker at the upstream, and the few
//! questions that scenarios ask again and again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use crate::answer::Usage;
use crate::caller::Dialect;
use crate::client::{self, Reply, Whole};
use crate::host::{Host, Kind, Setup};
use crate::suite;
use crate::upstream::{Exchange, Upstream};

#[derive(Clone)]
pub(crate) struct Test {
    pub(crate) kind: Kind,
    pub(crate) host: Arc<Host>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) setup: Setup,
    pub(crate) caller: String,
    pub(crate) key: String,
    /// In every prompt of this scenario, and nowhere else.
    pub(crate) marker: String,
    /// An empty directory for hosts that the scenario starts itself.
    pub(crate) scratch: PathBuf,
}

/// What `GET /v1/usage` says of one model, all days together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) usage: Usage,
    pub(crate) cost: u64,
    pub(crate) unpriced: u64,
    pub(crate) cut: u64,
}

/// The longest that a host may take to settle after a reply has ended.
const SETTLING: Duration = Duration::from_secs(5);

impl Test {
    pub(crate) fn prompt(&self) -> String {
        format!("Say something, {}.", self.marker)
    }

    /// Sends a request in a dialect and waits for the head of the reply.
    pub(crate) async fn open(&self, dialect: Dialect, request: &Value) -> Reply {
        let (path, body) = dialect.sent(request);
        client::send(self.host.address, "POST", &path, &dialect.headers(&self.key), body).await
    }

    pub(crate) async fn open_bytes(&self, dialect: Dialect, body: impl Into<bytes::Bytes>) -> Reply {
        client::send(self.host.address, "POST", dialect.path(), &dialect.headers(&self.key), body).await
    }

    /// Like [`Test::open`], on a connection that is reset when the reply is dropped.
    pub(crate) async fn open_to_reset(&self, dialect: Dialect, request: &Value) -> Reply {
        let (path, body) = dialect.sent(request);
        client::send_to_reset(self.host.address, "POST", &path, &dialect.headers(&self.key), body).await
    }

    pub(crate) async fn ask(&self, dialect: Dialect, request: &Value) -> Whole {
        self.open(dialect, request).await.whole().await
    }

    /// The same with more headers.
    pub(crate) async fn ask_with(&self, dialect: Dialect, request: &Value, more: &[(&'static str, &str)]) -> Whole {
        let (path, body) = dialect.sent(request);
        let mut headers = dialect.headers(&self.key);
        headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        client::send(self.host.address, "POST", &path, &headers, body).await.whole().await
    }

    /// Asks and expects an answer rather than an error.
    pub(crate) async fn answer(&self, dialect: Dialect, request: &Value) -> Whole {
        let reply = self.ask(dialect, request).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply
    }

    pub(crate) async fn get(&self, path: &str) -> Whole {
        let headers = [("authorization", format!("Bearer {}", self.key))];
        client::send(self.host.address, "GET", path, &headers, "").await.whole().await
    }

    /// What a path says once it is as it is to be: some hosts write after the answer.
    pub(crate) async fn told(&self, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + SETTLING;
        loop {
            let reply = self.get(path).await;
            let told = reply.json();
            if reply.status == 200 && is(&told) {
                return told;
            }
            assert!(Instant::now() < deadline, "{path}: {}", reply.text());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The one request that the upstream got.
    pub(crate) fn exchange(&self) -> Arc<Exchange> {
        self.upstream.exchange(&self.marker)
    }

    /// What `GET /v1/usage` says: the rows by model, and the spend.
    async fn totals(&self) -> (BTreeMap<String, Totals>, u64) {
        let reply = self.get("/v1/usage").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let usage = reply.json();
        assert_eq!((usage["object"].as_str(), usage["caller"].as_str()), (Some("usage"), Some(self.caller.as_str())));
        let mut totals = BTreeMap::<String, Totals>::new();
        for day in usage["days"].as_array().expect("days is a list") {
            totals.entry(day["model"].as_str().expect("a row names its model").to_owned()).or_default().add(day);
        }
        (totals, usage["spend_picodollars"].as_u64().expect("the spend is a number"))
    }

    /// Waits until this caller's totals are as expected, and makes sure that they stay so.
    pub(crate) async fn settles<const N: usize>(&self, expected: [(&str, Totals); N]) {
        let expected = BTreeMap::from(expected.map(|(model, totals)| (model.to_owned(), totals)));
        self.settles_where(&format!("{expected:#?}"), |totals| *totals == expected).await;
    }

    /// Waits until the only total is one cut reply of this model, with tokens.
    pub(crate) async fn settles_cut(&self, model: &str) {
        let cut = |totals: &BTreeMap<String, Totals>| match totals.get(model) {
            Some(row) => totals.len() == 1 && (row.requests, row.cut) == (1, 1) && row.usage.output > 0,
            None => false,
        };
        self.settles_where(&format!("one cut reply of {model}, with output tokens"), cut).await;
    }

    /// The totals once they no longer change.
    pub(crate) async fn settled_totals(&self) -> BTreeMap<String, Totals> {
        let mut before = BTreeMap::new();
        self.settles_where("totals that stay", |totals| {
            let stay = !totals.is_empty() && before == *totals;
            before.clone_from(totals);
            stay
        })
        .await
    }

    /// What `GET /v1/usage` says once it is as it is to be: some hosts write after the answer.
    pub(crate) async fn settled_by(&self, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + SETTLING;
        loop {
            let usage = self.get("/v1/usage").await.json();
            if is(&usage) {
                return usage;
            }
            assert!(Instant::now() < deadline, "the totals do not settle: {usage}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The spend must be the sum of the rows.
    async fn settles_where(
        &self,
        expected: &str,
        mut is: impl FnMut(&BTreeMap<String, Totals>) -> bool,
    ) -> BTreeMap<String, Totals> {
        let deadline = Instant::now() + SETTLING;
        let mut pause = Duration::from_millis(25);
        let settled = loop {
            let (rows, spend) = self.totals().await;
            if is(&rows) && rows.values().map(|row| row.cost).sum::<u64>() == spend {
                break (rows, spend);
            }
            let found = format!("expected {expected}\n   found {rows:#?}\n   with a spend of {spend}");
            assert!(Instant::now() < deadline, "the totals do not settle\n{found}");
            sleep(pause).await;
            pause *= 2;
        };
        sleep(Duration::from_millis(300)).await;
        assert_eq!(self.totals().await, settled, "the totals change after they have settled");
        settled.0
    }

    /// The log line of a request, by its `x-tollgate-id`.
    pub(crate) async fn log_line(&self, id: Option<&str>) -> Value {
        let id = id.expect("every routed answer has an id");
        self.line_with("id", id).await
    }

    /// The log line of the only request that this scenario's caller made.
    pub(crate) async fn only_log_line(&self) -> Value {
        self.line_with("caller", &self.caller).await
    }

    async fn line_with(&self, field: &str, value: &str) -> Value {
        let deadline = Instant::now() + SETTLING;
        loop {
            let found: Vec<Value> = self.log_lines().into_iter().filter(|line| line[field] == value).collect();
            match found.as_slice() {
                [line] => return line.clone(),
                [] if Instant::now() < deadline => sleep(Duration::from_millis(50)).await,
                found => panic!("{} log lines with the {field} {value}", found.len()),
            }
        }
    }

    fn log_lines(&self) -> Vec<Value> {
        let log = self.host.log();
        let events = log.iter().filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok());
        events.filter(|line| line["event"] == "request").collect()
    }

    /// Starts another host of the same kind, ended when it is dropped; `self` speaks to it from now on.
    pub(crate) async fn start(&mut self, setup: &Setup) {
        self.host = Arc::new(Host::start(self.kind, setup).await.unwrap_or_else(|error| panic!("{error}")));
    }
}

impl Totals {
    /// `requests` replies of a model, each with this usage.
    pub(crate) fn of(requests: u64, model: &str, usage: Usage) -> Self {
        let cost = suite::cost(model, usage);
        Self {
            requests,
            usage: Usage {
                input: usage.input * requests,
                cached: usage.cached * requests,
                cache_write: usage.cache_write * requests,
                output: usage.output * requests,
                reasoning: usage.reasoning * requests,
            },
            cost: cost.unwrap_or_default() * requests,
            unpriced: if cost.is_none() { requests } else { 0 },
            cut: 0,
        }
    }

    fn add(&mut self, row: &Value) {
        let number = |field: &str| row[field].as_u64().unwrap_or_else(|| panic!("`{field}` is missing in {row}"));
        self.requests += number("requests");
        self.usage.input += number("input_tokens");
        self.usage.cached += number("cached_input_tokens");
        self.usage.cache_write += number("cache_write_tokens");
        self.usage.output += number("output_tokens");
        self.usage.reasoning += number("reasoning_tokens");
        self.cost += number("cost_picodollars");
        self.unpriced += number("unpriced_requests");
        self.cut += number("cut_requests");
    }
}

/// The attempts of a reply, oldest first: target and outcome.
pub(crate) fn attempts(header: Option<&str>) -> Vec<(String, String)> {
    let header = header.expect("every routed answer names its attempts");
    let attempt = |text: &str| {
        let (target, rest) = text.split_once('=')?;
        let (outcome, ms) = rest.split_once('@')?;
        ms.parse::<u64>().ok().map(|_| (target.to_owned(), outcome.to_owned()))
    };
    header.split(", ").map(|text| attempt(text).unwrap_or_else(|| panic!("not an attempt: {text:?}"))).collect()
}
