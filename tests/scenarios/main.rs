//! The path of a request, told as scenarios on a scripted host with its own clock: no ports, no sleeping.
//!
//! A file in this folder holds scenarios: what the targets do and what is asked, then, indented, what came of it.
//! `UPDATE=1 cargo test --test scenarios` writes the latter anew; read it as carefully as code. What must hold
//! whatever happens (see [`Run::check`]) is checked for each of them, and for scenarios made up by chance.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![expect(unreachable_pub, reason = "a test has no outside")]

mod apps;
mod chance;
#[path = "../forge/mod.rs"]
mod forge;
mod frames;
mod keys;
mod loops;
mod models;
mod operations;
mod pieces;
mod prices;
mod providers;
mod quirks;
mod receipts;
mod script;
mod tokens;
mod webhook;
mod world;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::rc::Rc;

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate::auth::Keyless;
use tollgate::config::{Config, Draft};
use tollgate::dialect::Inbound;
use tollgate::host::{Body, Headers, Incoming, Millis, ReplyBody};
use tollgate::receipt::{Receipt, Share};
use tollgate::relay::pump;
use tollgate::serve::{Gateway, serve};
use tollgate::wire::json::parse;

use script::{Ask, Scenario, Settings};
use world::{FILES, Received, Scripted, Task, World};

#[test]
fn a_failed_target_is_followed_by_the_next() {
    check("fallback");
}

#[test]
fn a_stream_is_complete_or_ends_with_an_error() {
    check("streams");
}

#[test]
fn a_whole_answer_is_of_its_dialect_or_none() {
    check("answers");
}

#[test]
fn callers_and_upstreams_of_responses_are_served_as_the_others() {
    check("responses");
}

#[test]
fn gemini_is_spoken_to_callers_and_upstreams() {
    check("gemini");
}

#[test]
fn the_ai_sdk_is_served_by_upstreams_of_all_dialects() {
    check("ai_sdk");
}

#[test]
fn what_broke_other_gateways_does_not_break_this_one() {
    check("pitfalls");
}

#[test]
fn files_are_fetched_for_targets_that_fetch_none() {
    check("media");
}

#[test]
fn a_hang_up_cancels_and_is_settled() {
    check("hangups");
}

#[test]
fn a_caller_who_waits_is_told_so() {
    check("heartbeats");
}

/// Rows D1 to D20 of the goal table; each title begins with its row.
#[test]
fn a_request_is_routed_as_its_operator_and_its_caller_want() {
    check("routing");
}

/// Rows E1 to E8.
#[test]
fn what_fails_costs_no_more_than_it_must() {
    check("resilience");
}

#[test]
fn another_target_goes_on_where_one_broke_off() {
    check("splice");
}

#[test]
fn limits_refuse_without_a_trace() {
    check("limits");
}

#[test]
fn a_callers_own_keys_are_for_their_providers_and_paid_by_the_caller() {
    check("own");
}

#[test]
fn what_an_answer_cost_is_known_or_said_to_be_unknown() {
    check("costs");
}

/// Codex with an account of ChatGPT says more of itself than its token, to whom that belongs and to nobody else.
#[test]
fn what_says_who_a_client_is_goes_along_with_its_own_credential_only() {
    let run = Run::of(&Scenario::read(
        r#"route ra/m
        with provider=ra:{"pass_through":true}
        ra status=429 failure
        ra answer
        ask openai-responses header=`x-tollgate-key:the key of ci` header=`authorization:Bearer own-key-of-ra` header=chatgpt-account-id:own-key-of-ra2 header=originator:codex_cli_rs header=x-codex-window-id:w header=x-other:1"#,
    ));
    run.check("a subscription");
    let heads = run.world.heads.borrow();
    let told = |at: usize| {
        let named =
            ["authorization", "chatgpt-account-id", "originator", "x-codex-window-id", "x-other", "x-tollgate-key"];
        named.map(|name| heads[at].1.get(name).unwrap_or("-").to_owned()).join(", ")
    };
    assert_eq!(heads.len(), 2);
    assert_eq!(told(0), "Bearer own-key-of-ra, own-key-of-ra2, codex_cli_rs, w, -, -");
    assert_eq!(told(1), "Bearer the key of ra, -, -, -, -, -");
}

/// Codex tries a WebSocket first, and of all refusals understands this one at once.
#[test]
fn a_websocket_is_refused_by_the_status_that_codex_understands() {
    let gateway = gateway(&Scenario::read("route oa/m"));
    let world = Rc::new(World::default());
    let asked = async {
        let host = Scripted::new(world.clone());
        let request = Incoming {
            method: "GET".to_owned(),
            path: "/v1/responses".to_owned(),
            query: None,
            headers: [("connection", "upgrade"), ("upgrade", "websocket")].into_iter().collect(),
            body: Body::Whole(Bytes::new()),
        };
        assert_eq!(serve(&gateway, &host, request).await.status, 426);
    };
    world.run(vec![Box::pin(asked) as Task<'_>]);
}

/// Runs every scenario of a file and compares what came of it.
fn check(name: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/scenarios/{name}.txt"));
    let expected = std::fs::read_to_string(&path).unwrap();
    let (preface, scenarios) = expected.split_once("\n# ").expect("a scenario");
    let mut found = preface.to_owned();
    for scenario in scenarios.split("\n# ") {
        let (title, lines) = scenario.split_once('\n').expect("a title");
        let script: Vec<&str> = lines.lines().filter(|line| !line.starts_with("  ") && !line.is_empty()).collect();
        let run = Run::of(&Scenario::read(&script.join("\n")));
        run.check(title);
        write!(found, "\n# {title}\n{}\n{}", script.join("\n"), run.told()).unwrap();
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).unwrap();
        return;
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (found, expected) = (lines(&found), lines(&expected));
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "{name}.txt, line {}", number + 1);
    }
    assert_eq!(found.len(), expected.len(), "lines of {name}.txt");
}

/// A scenario that has been played to its end.
struct Run {
    world: Rc<World>,
    /// Whether what the targets were sent is told.
    shows_sent: bool,
    brief: bool,
    replies: Vec<Told>,
}

/// What one request came to.
struct Told {
    dialect: Inbound,
    /// Whether the caller hung up before the end.
    left: bool,
    status: u16,
    headers: Headers,
    at: Millis,
    /// Whether the head went out before there was an answer.
    early: bool,
    relayed: bool,
    received: Received,
    line: Value,
    settled: Vec<Millis>,
}

impl Run {
    fn of(scenario: &Scenario) -> Self {
        let gateway = gateway(scenario);
        let world = Rc::new(World::default());
        world.store_down.set(scenario.settings.store_down);
        world.settle_ms.set(scenario.settings.settle_ms);
        for (target, script) in &scenario.targets {
            world.targets.borrow_mut().entry(target.clone()).or_default().push_back(script.clone());
        }
        let told: Vec<RefCell<Option<Told>>> = scenario.asks.iter().map(|_| RefCell::default()).collect();
        let task = |(ask, told)| {
            let (gateway, world): (&Gateway, _) = (&gateway, world.clone());
            let told: &RefCell<Option<Told>> = told;
            let task = async move {
                let reply = asked(gateway, world, ask).await;
                *told.borrow_mut() = Some(reply);
            };
            Box::pin(task) as Task<'_>
        };
        world.run(scenario.asks.iter().zip(&told).map(task).collect());
        let replies = told.into_iter().map(|told| told.into_inner().expect("its task has ended")).collect();
        let Settings { shows_sent, brief, .. } = scenario.settings;
        Self { world, replies, shows_sent, brief }
    }

    /// What must hold whatever happened.
    fn check(&self, name: &str) {
        let mut counted: BTreeMap<String, i64> = BTreeMap::new();
        let (mut spent, mut settled, mut unpriced) = (0, 0, 0);
        for told in &self.replies {
            told.check(name);
            settled += u32::from(!told.settled.is_empty());
            let line = &told.line;
            // Those who were cancelled before they answered are paid too, each under its own name, and also where nobody
            // answers.
            let mut abandoned = 0;
            for attempt in line["attempts"].as_array().unwrap() {
                let Some(cost) = attempt["cost_picodollars"].as_i64().filter(|cost| *cost > 0) else { continue };
                let other = attempt["target"].as_str().unwrap().split('#').next().unwrap();
                *counted.entry(format!("usage/ci/2026-11-21/cost_picodollars/{other}")).or_default() += cost;
                if attempt["own_key"] == true {
                    *counted.entry(format!("usage/ci/2026-11-21/own_cost_picodollars/{other}")).or_default() += cost;
                }
                abandoned += cost;
            }
            // What the caller pays himself is no money of the gateway.
            let own_cost = line["own_cost_picodollars"].as_i64().unwrap_or(0);
            let Some(target) = line["target"].as_str() else {
                spent += abandoned - own_cost;
                assert_eq!(line["cost_picodollars"].as_i64().unwrap_or(0), abandoned, "{name}: paid without an answer");
                continue;
            };
            assert_eq!(told.settled.len(), 1, "{name}: an answer was not settled");
            let cost = line["cost_picodollars"].as_i64();
            spent += cost.map_or(0, |cost| cost - own_cost);
            unpriced += i32::from(cost.is_none());
            // The line is of all who told part of the answer; the counters are of each.
            let parts = line["parts"].as_array();
            let alone = std::slice::from_ref(line);
            for (number, part) in parts.map_or(alone, Vec::as_slice).iter().enumerate() {
                let target = part["target"].as_str().unwrap();
                let mut count = |field: &str, add: i64| {
                    *counted.entry(format!("usage/ci/2026-11-21/{field}/{target}")).or_default() += add;
                };
                let own = part["cost_picodollars"].as_i64().map(|cost| cost - parts.map_or(abandoned, |_| 0));
                count("requests", 1);
                count("cost_picodollars", own.unwrap_or(0));
                if part["own_key"] == true {
                    count("own_cost_picodollars", own.unwrap_or(0));
                }
                count("unpriced_requests", i64::from(own.is_none()));
                let is_last = parts.is_none_or(|parts| number + 1 == parts.len());
                count("cut_requests", i64::from(!is_last || line["end"] != "complete"));
                TOKENS.iter().for_each(|field| count(field, part[field].as_i64().unwrap()));
            }
            if let Some(parts) = parts {
                assert_eq!(parts.last().unwrap()["target"], target, "{name}: another was the last");
                let sum = |field: &str| parts.iter().map(|part| part[field].as_i64().unwrap()).sum::<i64>();
                for field in TOKENS {
                    assert_eq!(line[field], sum(field), "{name}: {field}");
                }
                if let Some(cost) = cost {
                    assert_eq!(cost - abandoned, sum("cost_picodollars"), "{name}: the cost is that of all parts");
                }
            }
        }
        let counters = self.world.counters.borrow();
        let total = |prefix: &str| -> i64 {
            counters.iter().filter(|(counter, _)| counter.starts_with(prefix)).map(|(_, total)| total).sum()
        };
        assert_eq!(total("hold/"), 0, "{name}: something is still held");
        if unpriced == 0 {
            assert_eq!(total("spend/"), spent, "{name}: what was spent is not the sum of the lines");
        }
        for counter in counters.keys().filter(|counter| counter.starts_with("usage/")) {
            assert!(counted.contains_key(counter), "{name}: {counter} was counted and is in no line");
        }
        for (counter, total) in &counted {
            assert_eq!(counters.get(counter).copied().unwrap_or(0), *total, "{name}: {counter}");
        }
        self.check_receipts(name);
        self.check_secrets(name);
        // Another model may be asked without a limit that has no room.
        let is_elsewhere = self.replies.iter().any(|told| told.line["limits"].is_array());
        if counters.keys().any(|counter| counter.starts_with("hold/")) && !is_elsewhere {
            let admitted = self.world.admitted.get();
            // For whoever pays himself no limit may be left that counts him.
            let has_own =
                |told: &Told| told.line["attempts"].as_array().unwrap().iter().any(|one| one["own_key"] == true);
            let free = self.replies.iter().filter(|told| has_own(told)).count() as u32;
            let is_sum = admitted <= settled && settled <= admitted + free;
            assert!(is_sum, "{name}: {admitted} were admitted and {settled} were settled");
        }
    }

    /// Whatever was settled has a receipt, which says what the line says; and the totals are the sum of them.
    fn check_receipts(&self, name: &str) {
        let receipts = self.world.receipts.borrow();
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for ((caller, id), text) in receipts.iter() {
            let lines = self.replies.iter().map(|told| &told.line);
            let line = lines.filter(|line| line["id"] == id.as_str()).collect::<Vec<_>>();
            let [line] = line.as_slice() else { panic!("{name}: {id} has {} lines", line.len()) };
            assert_eq!(**line, {
                let mut said: Value = serde_json::from_str(text).unwrap();
                said["event"] = json!("request");
                said
            });
            let receipt: Receipt = parse(text).unwrap();
            assert_eq!((receipt.caller.as_str(), receipt.id.as_str()), (caller.as_str(), id.as_str()), "{name}");
            let day = "2026-11-21";
            for Share { target, sums: share, .. } in receipt.shares() {
                for (field, add) in [
                    ("requests", share.requests),
                    ("input_tokens", share.input_tokens),
                    ("cached_input_tokens", share.cached_input_tokens),
                    ("cache_write_tokens", share.cache_write_tokens),
                    ("output_tokens", share.output_tokens),
                    ("reasoning_tokens", share.reasoning_tokens),
                    ("cost_picodollars", share.cost_picodollars),
                    ("own_cost_picodollars", share.own_cost_picodollars),
                    ("unpriced_requests", share.unpriced_requests),
                    ("cut_requests", share.cut_requests),
                ] {
                    *sums.entry(format!("usage/{caller}/{day}/{field}/{target}")).or_default() += add;
                }
            }
        }
        sums.retain(|_, sum| *sum != 0);
        let counters = self.world.counters.borrow();
        let totals = counters.iter().filter(|(counter, _)| counter.starts_with("usage/"));
        let totals: BTreeMap<String, i64> = totals.map(|(counter, total)| (counter.clone(), *total)).collect();
        assert_eq!(sums, totals, "{name}: the totals are not the sum of the receipts");
        let settled = self.replies.iter().filter(|told| told.line["end"] != "refused").count();
        assert_eq!(receipts.len(), settled, "{name}: not every request has a receipt");
    }

    /// What a caller brought is told to nobody but its provider, which [`Scripted`] holds, and kept nowhere.
    fn check_secrets(&self, name: &str) {
        let kept = [
            format!("{:?}", self.world.receipts.borrow()),
            format!("{:?}", self.world.counters.borrow()),
            format!("{:?}", self.world.remembered.borrow()),
        ];
        let told = self.replies.iter().flat_map(|told| {
            [told.line.to_string(), format!("{:?}", told.headers), String::from_utf8_lossy(&told.body()).into_owned()]
        });
        for text in kept.into_iter().chain(told) {
            assert!(!text.contains("own-key-of-"), "{name}: a caller's own key is in {text}");
        }
    }

    fn told(&self) -> String {
        let mut out = String::new();
        for told in &self.replies {
            if self.brief {
                told.tell_briefly(&mut out);
            } else {
                told.tell(&mut out);
            }
        }
        let fetched = self.world.fetched.borrow();
        for (at, url) in fetched.iter() {
            writeln!(out, "  {url} was fetched at {at}").unwrap();
        }
        for (url, body) in self.world.sent.borrow().iter().filter(|_| self.shows_sent) {
            writeln!(out, "  {url} was sent {}", String::from_utf8_lossy(body)).unwrap();
        }
        for (at, target) in self.world.cancelled.borrow().iter() {
            writeln!(out, "  {target} was cancelled at {at}").unwrap();
        }
        for (counter, total) in self.world.counters.borrow().iter() {
            let is_spent = counter.starts_with("spend/") && !self.brief;
            if is_spent || counter.starts_with("used/") {
                writeln!(out, "  {counter}: {total}").unwrap();
            }
        }
        out
    }
}

const TOKENS: [&str; 5] =
    ["input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"];

impl Told {
    /// A reply is whole, or says in its own dialect that it is not.
    fn check(&self, name: &str) {
        let line = &self.line;
        assert!(self.settled.len() <= 1, "{name}: settled {} times", self.settled.len());
        assert!(line["end"] != "refused" || self.settled.is_empty(), "{name}: a refused request was settled");
        if self.left {
            return;
        }
        // A head that went out early could not know better.
        assert!(line["status"] == self.status || self.early, "{name}: the line and the reply differ");
        assert_eq!(self.headers.get("x-tollgate-id"), line["id"].as_str(), "{name}: the line and the reply differ");
        if let Some(attempts) = self.headers.get("x-tollgate-attempts") {
            let all = attempts_of(line);
            // A head that has gone out does not know who was asked to go on.
            let is_spliced = self.headers.get("x-tollgate-splice").is_some();
            let is_known =
                if is_spliced { line["parts"].is_array() || all.starts_with(attempts) } else { all == attempts };
            assert!(is_known, "{name}: the line has {all}, and the reply {attempts}");
        }
        let body = self.body();
        let complete = line["end"] == "complete";
        if self.headers.get("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            assert_eq!(frames::is_complete(self.dialect, &body), complete, "{name}: {body:?}");
            assert_eq!(frames::ends_with_error(self.dialect, &body), !complete, "{name}: {body:?}");
        } else {
            let is_list = body.starts_with(b"[");
            assert!(!self.relayed || is_list, "{name}: a whole answer was pumped");
            let body: Value = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{name}: not JSON: {body:?}"));
            let last = body.as_array().and_then(|list| list.last()).unwrap_or(&body);
            let is_error = last.get("error").is_some_and(|error| !error.is_null()) || self.status >= 400;
            assert_eq!(is_error, !complete, "{name}: {body}");
        }
    }

    fn body(&self) -> Bytes {
        let pieces: Vec<&[u8]> = self.received.pieces.iter().map(|(_, piece)| &piece[..]).collect();
        pieces.concat().into()
    }

    /// What became of the request; of its answer only what is no answer.
    fn tell_briefly(&self, out: &mut String) {
        let line = &self.line;
        let tried = format!("tried [{}]", attempts_of(line));
        let rules = line["rules"].as_array().map(|_| format!(", by the rules {}", line["rules"]));
        let end = line["end"].as_str().filter(|end| *end != "complete").map(|end| format!(", {end}"));
        let ms = format!(", {} ms", line["ms"]);
        let status = if self.status == 499 { "no reply".to_owned() } else { format!("{} at {}", self.status, self.at) };
        writeln!(out, "  {status}, {tried}{}{}{ms}", rules.unwrap_or_default(), end.unwrap_or_default()).unwrap();
        self.tell_headers(&["x-tollgate-cost", "request-id"], out);
        if self.status != 200 && self.status != 499 {
            writeln!(out, "  {}", frames::told(self.dialect, &self.body())).unwrap();
        }
    }

    /// Those that do not go without saying, besides these.
    fn tell_headers(&self, beside: &[&str], out: &mut String) {
        let line = &self.line;
        for (name, value) in self.headers.iter() {
            let usual = match name {
                "x-tollgate-id" | "x-tollgate-attempts" | "cache-control" => true,
                "x-request-id" => value.starts_with("req_"),
                "content-type" if self.relayed => value.starts_with("text/event-stream"),
                "content-type" => value == "application/json",
                "x-tollgate-target" => line["target"] == value,
                _ => beside.contains(&name),
            };
            if !usual {
                let value = if value.len() > 300 { format!("({} bytes)", value.len()) } else { value.to_owned() };
                writeln!(out, "  {name}: {value}").unwrap();
            }
        }
    }

    fn tell(&self, out: &mut String) {
        let line = &self.line;
        let tried = format!("tried [{}]", attempts_of(line));
        if self.status == 499 {
            writeln!(out, "  no reply, {tried}").unwrap();
        } else {
            writeln!(out, "  {} at {}, {tried}", self.status, self.at).unwrap();
        }
        self.tell_headers(&[], out);
        for (at, piece) in self.received.pieces.iter().filter(|(_, piece)| !piece.is_empty()) {
            let at = if self.relayed { format!("at {at}: ") } else { String::new() };
            writeln!(out, "  {at}{}", frames::told(self.dialect, piece)).unwrap();
        }
        write!(out, "  {} {}", line["end"].as_str().unwrap(), line["target"].as_str().unwrap_or("by nobody")).unwrap();
        if line["target"].is_string() {
            let tokens: Vec<String> = TOKENS.iter().map(|field| line[field].to_string()).collect();
            let estimated = if line["tokens_estimated"] == true { " estimated" } else { "" };
            let cost = line["cost_picodollars"].as_i64().map_or_else(|| "unknown".to_owned(), |cost| cost.to_string());
            let reported = if line["cost_source"] == "reported" { " reported" } else { "" };
            write!(out, ", tokens {}{estimated}, cost {cost}{reported}", tokens.join(" ")).unwrap();
            write!(out, ", first byte {}", line["first_byte_ms"]).unwrap();
        }
        for part in line["parts"].as_array().into_iter().flatten() {
            let [target, cost] = ["target", "cost_picodollars"].map(|field| part[field].to_string());
            let tokens: Vec<String> = TOKENS.iter().map(|field| part[field].to_string()).collect();
            write!(out, ", of that {} {} cost {cost}", target.trim_matches('"'), tokens.join(" ")).unwrap();
        }
        write!(out, ", {} ms", line["ms"]).unwrap();
        if let Some(cause) = line["unfetched"].as_str() {
            write!(out, ", unfetched ({cause})").unwrap();
        }
        for settled in &self.settled {
            write!(out, ", settled {settled}").unwrap();
        }
        match self.received.ended {
            Some(ended) => writeln!(out, ", end {ended}").unwrap(),
            None => writeln!(out).unwrap(),
        }
    }
}

fn attempts_of(line: &Value) -> String {
    let attempt = |attempt: &Value| {
        let [target, outcome] = ["target", "outcome"].map(|field| attempt[field].as_str().unwrap().to_owned());
        format!("{target}={outcome}@{}", attempt["ms"])
    };
    line["attempts"].as_array().unwrap().iter().map(attempt).collect::<Vec<_>>().join(", ")
}

/// One request, from the caller's side.
async fn asked(gateway: &Gateway, world: Rc<World>, ask: &Ask) -> Told {
    world.until(ask.at).await;
    let host = Scripted { gone_at: ask.gone_at, slow_ms: ask.slow_ms, ..Scripted::new(world.clone()) };
    let own = ask.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let is_shown = ask.headers.iter().any(|(name, _)| name == "x-tollgate-key");
    let key = (!is_shown).then_some(("authorization", "Bearer the key of ci"));
    let request = Incoming {
        method: "POST".to_owned(),
        path: ask.path.clone(),
        query: ask.query.map(str::to_owned),
        headers: key.into_iter().chain(own).collect(),
        body: Body::Whole(ask.body.clone().into()),
    };
    let reply = serve(gateway, &host, request).await;
    let begun = host.begun.take();
    let is_early = begun.is_some();
    let (at, headers) = begun.unwrap_or((world.passed(), reply.headers));
    let received = RefCell::new(Received { pieces: host.received.take().pieces, ended: None });
    let relayed = match reply.body {
        ReplyBody::Whole(body) => {
            received.borrow_mut().pieces.push((world.passed(), body));
            is_early
        }
        ReplyBody::Relayed { upstream, relay, record } => {
            pump(&host, upstream, *relay, *record, host.caller(&received)).await;
            true
        }
    };
    let lines = host.lines.into_inner();
    assert_eq!(lines.len(), 1, "one line for each request: {lines:?}");
    let received = received.into_inner();
    Told {
        dialect: ask.dialect,
        left: ask.gone_at.is_some_and(|gone| gone <= received.ended.unwrap_or(world.passed())),
        status: reply.status,
        headers,
        at,
        early: is_early,
        relayed,
        received,
        line: serde_json::from_str(&lines[0]).expect("the line is JSON"),
        settled: host.settled.into_inner(),
    }
}

fn gateway(scenario: &Scenario) -> Gateway {
    let Settings { cap, rpm, first, idle, heartbeat, strict, fetch, unpriced, total, .. } = &scenario.settings;
    let Settings { policy, policies, rules, .. } = &scenario.settings;
    let provider = |name| {
        let dialect = script::dialect_of(name);
        json!({
            "dialect": dialect.dialect().unwrap().word(),
            "base_url": format!("http://{name}/v1"),
            "secret": format!("the key of {name}"),
            "quirks": {"inline_files": name == "oi"},
        })
    };
    let providers: HashMap<&str, Value> = ["oa", "ob", "oi", "aa", "ab", "ra", "ga", "gb", "anthropic", "openai"]
        .map(|name| (name, provider(name)))
        .into();
    let timeouts = json!({"first_byte_ms": first, "idle_ms": idle, "total_ms": total, "heartbeat_ms": heartbeat});
    let alias = |targets: &[String], policy: &Option<Value>| {
        let mut alias = timeouts.clone();
        merge(&mut alias, &json!({"targets": targets, "strict": strict, "policy": policy}));
        alias
    };
    let mut models = json!({"try": alias(&scenario.route, policy)});
    for (name, targets, policy) in &scenario.aliases {
        models[name] = alias(targets, policy);
    }
    let mut draft = json!({
        "policy": policies.clone().unwrap_or_else(|| json!({})),
        "rules": rules,
        "providers": providers,
        "media": {"fetch": fetch, "hosts": FILES.map(|host| format!("http://{host}")), "files_max": 3, "file_bytes_max": 100, "bytes_max": 150, "ms_max": 1000},
        "models": models,
        "callers": {"ci": {"secret": "the key of ci", "requests_per_minute": rpm, "spend_cap_usd": cap, "unpriced": unpriced}},
        "prices": {
            "oa/m": {"input": "2.50", "cached_input": "1.25", "output": "10"},
            "ob/m": {"input": "0.15", "cached_input": "0.075", "output": "0.60"},
            "oi/m": {"input": "0.15", "output": "0.60"},
            "ra/m": {"input": "2.50", "cached_input": "1.25", "output": "10"},
            "aa/m": {"input": "3", "cached_input": "0.30", "cache_write": "3.75", "output": "15"},
            "ga/m": {"input": "2", "cached_input": "0.20", "output": "12"},
            "ab/m": {"input": "1", "cached_input": "0.10", "cache_write": "1.25", "output": "5.000001"},
        },
    });
    for (name, fields) in &scenario.settings.providers {
        merge(&mut draft["providers"][name], fields);
    }
    for fields in &scenario.settings.caller {
        merge(&mut draft["callers"]["ci"], fields);
    }
    for (name, fields) in &scenario.settings.limits {
        draft["limits"][name] = fields.clone();
    }
    for (model, fields) in &scenario.settings.prices {
        merge(&mut draft["prices"][model], fields);
    }
    let draft = Draft::from_json(Some(&draft.to_string())).expect("a configuration");
    let is_set = |name: &str| name.contains(" key of ") || name.starts_with("own-key-of-");
    let secret = |name: &str| is_set(name).then(|| name.to_owned());
    Gateway::new(Config::compile(&draft, secret).expect("no mistake"), Keyless::Refused)
}

/// Puts the fields of one object over those of another.
fn merge(under: &mut Value, over: &Value) {
    for (name, value) in over.as_object().expect("an object") {
        under[name] = value.clone();
    }
}
