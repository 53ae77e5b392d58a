//! Requests, one after another and many at once, through the real `serve` to targets that fail by a plan.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate::auth::Keyless;
use tollgate::auth::proof::Signed;
use tollgate::config::{Config, Draft};
use tollgate::host::{
    Answer, Body, Broken, Headers, Host, Incoming, Millis, Outgoing, Reply, ReplyBody, StoreDown, Unreachable,
};
use tollgate::limit::{Admission, Bound};
use tollgate::receipt::Ids;
use tollgate::record::Settlement;
use tollgate::relay::{Gone, Sink, pump};
use tollgate::route::dice::{Dice, mixed};
use tollgate::route::health::Health;
use tollgate::serve::{Gateway, serve};

use crate::clock::{Clock, Task};
use crate::upstreams::{Question, Script, Spell, Step, TARGETS, Target, script};

/// 2026-11-21, noon.
const START: Millis = 1_795_262_400_000;
/// How many conversations there are.
const SESSIONS: u64 = 60;

/// What is asked, of whom, and what befalls them.
pub struct Plan<'a> {
    pub seed: u64,
    pub length: Millis,
    /// Between two requests, on average.
    pub every_ms: Millis,
    /// Names of models, each with its targets and the fields of its policy.
    pub models: &'a [(&'a str, &'a [usize], Value)],
    pub spells: &'a [Spell],
    /// How many in a hundred requests are at fault themselves.
    pub wrong_percent: u64,
}

/// How Tollgate is configured.
#[derive(Debug, Clone)]
pub struct Mode {
    pub name: &'static str,
    /// Fields of the policy of all models.
    pub policy: Value,
    /// Rules that go before the models' names.
    pub rules: Value,
    /// The models that callers wish after the first.
    pub models: &'static str,
    /// Whether everything is forgotten before every request.
    pub forgets: bool,
}

impl Default for Mode {
    fn default() -> Self {
        Self { name: "", policy: json!({}), rules: json!([]), models: "", forgets: false }
    }
}

/// What came of one request.
#[derive(Debug)]
pub struct Told {
    pub at: Millis,
    pub is_wrong: bool,
    /// Whether the caller got all of an answer.
    pub is_complete: bool,
    pub first_byte_ms: Option<Millis>,
    /// Targets with their outcomes, in the order in which they ended.
    pub attempts: Vec<(usize, String)>,
    /// Targets that were sent the request, in order, and when.
    pub sent: Vec<(Millis, usize)>,
    pub session: u64,
    pub cost: u64,
}

/// All that was asked by one plan.
pub struct Run {
    /// In the order in which they were sent.
    pub told: Vec<Told>,
    /// What upstreams read for nothing, in picodollars.
    pub wasted: u64,
    pub gateway: Gateway,
}

impl Run {
    pub fn of(plan: &Plan<'_>, mode: &Mode) -> Self {
        let gateway = gateway(plan, mode);
        let clock = Clock::default();
        let wasted = Rc::new(Cell::new(0));
        let told = RefCell::new(Vec::new());
        let mut dice = Dice::new(plan.seed);
        let (mut at, mut number) = (0, 0);
        let arrivals = std::iter::from_fn(|| {
            at += 1 + dice.below(2 * plan.every_ms);
            number += 1;
            let model = plan.models[dice.below(plan.models.len() as u64) as usize].0;
            let request = Request {
                chance: mixed(plan.seed ^ mixed(number)),
                model,
                streams: dice.below(2) == 0,
                is_wrong: dice.below(100) < plan.wrong_percent,
                models: mode.models,
            };
            let world = World { clock: &clock, spells: plan.spells, wasted: &wasted };
            let (gateway, told) = (&gateway, &told);
            let task = async move {
                if mode.forgets {
                    *gateway.health.lock() = Health::default();
                }
                let reply = asked(gateway, world, request).await;
                told.borrow_mut().push(reply);
            };
            (at < plan.length).then(|| (at, Box::pin(task) as Task<'_>))
        });
        clock.run(arrivals);
        let mut told = told.into_inner();
        told.sort_by_key(|told| told.at);
        let wasted = wasted.get();
        Self { told, wasted, gateway }
    }

    /// Those that were sent in this time and were not at fault themselves.
    pub fn within(&self, from: Millis, until: Millis) -> impl Iterator<Item = &Told> {
        self.told.iter().filter(move |told| (from..until).contains(&told.at) && !told.is_wrong)
    }

    pub fn right(&self) -> impl Iterator<Item = &Told> {
        self.within(0, Millis::MAX)
    }
}

fn gateway(plan: &Plan<'_>, mode: &Mode) -> Gateway {
    let each = |value: &dyn Fn(usize) -> (String, Value)| -> Value { Value::Object((0..TARGETS).map(value).collect()) };
    let providers = each(&|index| {
        let provider = json!({"dialect": "openai-chat", "base_url": format!("http://t{index}/v1"), "auth": "none"});
        (format!("t{index}"), provider)
    });
    let prices = each(&|index| {
        let (input, output) = Target::of(index).price;
        (format!("t{index}/m"), json!({"input": input.to_string(), "output": output.to_string()}))
    });
    let models: serde_json::Map<String, Value> = plan
        .models
        .iter()
        .map(|(name, targets, policy)| {
            let targets: Vec<String> = targets.iter().map(|index| format!("t{index}/m")).collect();
            ((*name).to_owned(), json!({"targets": targets, "policy": policy}))
        })
        .collect();
    let draft = json!({
        "providers": providers, "prices": prices, "models": models, "policy": mode.policy,
        "rules": mode.rules, "timeouts": {"first_byte_ms": 10_000, "idle_ms": 10_000},
    });
    let draft = Draft::from_json(Some(&draft.to_string())).expect("a configuration");
    Gateway::new(Config::compile(&draft, |_| None).expect("no mistake"), Keyless::Loopback)
}

#[derive(Debug, Clone, Copy)]
struct Request<'a> {
    chance: u64,
    model: &'a str,
    streams: bool,
    is_wrong: bool,
    models: &'a str,
}

async fn asked(gateway: &Gateway, world: World<'_>, request: Request<'_>) -> Told {
    let at = world.clock.now();
    let Request { model, models, streams, is_wrong, chance } = request;
    let session = chance % SESSIONS;
    let host = Line { world, request, rolls: Cell::new(0), line: RefCell::default(), sent: RefCell::default() };
    let body = json!({
        "model": model, "stream": streams, "max_tokens": 300,
        "messages": [{"role": "user", "content": format!("Question {chance}?")}],
    });
    let incoming = Incoming {
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        query: None,
        headers: [("x-tollgate-session", session.to_string()), ("x-tollgate-models", models.to_owned())]
            .into_iter()
            .collect(),
        body: Body::Whole(body.to_string().into()),
    };
    let Reply { body, .. } = serve(gateway, &host, incoming).await;
    if let ReplyBody::Relayed { upstream, relay, record } = body {
        pump(&host, upstream, *relay, *record, Caller).await;
    }
    let line = host.line.into_inner().expect("a line for each request");
    let line: Value = serde_json::from_str(&line).expect("the line is JSON");
    let attempts = line["attempts"].as_array().expect("attempts");
    let attempt = |attempt: &Value| {
        let target = attempt["target"].as_str().and_then(index_of).expect("a target");
        (target, attempt["outcome"].as_str().expect("an outcome").to_owned())
    };
    Told {
        at,
        is_wrong,
        is_complete: line["end"] == "complete",
        first_byte_ms: line["first_byte_ms"].as_u64(),
        attempts: attempts.iter().map(attempt).collect(),
        sent: host.sent.into_inner(),
        session,
        cost: line["cost_picodollars"].as_u64().unwrap_or(0),
    }
}

/// Of `t7/m`.
fn index_of(target: &str) -> Option<usize> {
    target.strip_prefix('t')?.split('/').next()?.parse().ok()
}

#[derive(Clone, Copy)]
struct World<'w> {
    clock: &'w Clock,
    spells: &'w [Spell],
    wasted: &'w Rc<Cell<u64>>,
}

/// One request's view of the world.
struct Line<'w> {
    world: World<'w>,
    request: Request<'w>,
    rolls: Cell<u64>,
    line: RefCell<Option<String>>,
    sent: RefCell<Vec<(Millis, usize)>>,
}

/// An upstream at work. Dropped before its end it was cancelled, and has read for nothing.
struct Upstream {
    target: usize,
    script: Script,
    since: Millis,
    wasted: Rc<Cell<u64>>,
}

impl Upstream {
    async fn next(&mut self, clock: &Clock) -> Step {
        let Some((delay, step)) = self.script.front().cloned() else { return Step::Close };
        clock.until(self.since + delay).await;
        if matches!(step, Step::Silence) {
            std::future::pending::<()>().await;
        }
        self.script.pop_front();
        self.since = clock.now();
        step
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if !self.script.is_empty() {
            self.wasted.set(self.wasted.get() + Target::of(self.target).wasted());
        }
    }
}

impl Host for Line<'_> {
    type Body = Upstream;

    fn now(&self) -> Millis {
        START + self.world.clock.now()
    }

    fn random(&self) -> u64 {
        self.rolls.set(self.rolls.get() + 1);
        mixed(self.request.chance ^ self.rolls.get())
    }

    async fn sleep(&self, ms: u64) {
        let clock = self.world.clock;
        clock.until(clock.now().saturating_add(ms)).await;
    }

    async fn gone(&self) {
        std::future::pending().await
    }

    async fn fetch(&self, request: Outgoing) -> Result<Answer<Upstream>, Unreachable> {
        let World { clock, spells, wasted } = self.world;
        let target = request.url.strip_prefix("http://").and_then(index_of).expect("a target");
        self.sent.borrow_mut().push((clock.now(), target));
        let Request { chance, streams, is_wrong, .. } = self.request;
        let script = script(spells, Question { target, chance, streams, is_wrong, now: clock.now() });
        let mut upstream = Upstream { target, script, since: clock.now(), wasted: wasted.clone() };
        match upstream.next(clock).await {
            Step::Head { status, headers } => {
                Ok(Answer { status, headers: headers.into_iter().collect(), body: upstream })
            }
            _ => Err(Unreachable(format!("t{target} is not there"))),
        }
    }

    async fn send(&self, _: &Headers, _: Bytes) -> Result<(), Gone> {
        Ok(())
    }

    async fn verify(&self, _: &Signed) -> bool {
        false
    }

    async fn sign(&self, _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    async fn read(&self, body: &mut Upstream) -> Result<Option<Bytes>, Broken> {
        match body.next(self.world.clock).await {
            Step::Piece(bytes) => Ok(Some(bytes)),
            Step::Close => Ok(None),
            _ => Err(Broken),
        }
    }

    async fn admit(&self, bounds: &[Bound]) -> Result<Admission, StoreDown> {
        assert!(bounds.is_empty(), "nobody has a limit");
        Ok(Admission::Admitted(Vec::new()))
    }

    async fn settle(&self, _: Settlement) {}

    async fn receipts(&self, _: &str, _: &Ids, _: usize) -> Result<Option<Vec<String>>, StoreDown> {
        Ok(None)
    }

    async fn totals(&self, _: &str) -> Result<Vec<(String, i64)>, StoreDown> {
        Ok(Vec::new())
    }

    async fn recall(&self, _: &str) -> Result<Option<Bytes>, StoreDown> {
        Ok(None)
    }

    async fn remember(&self, _: &str, _: Bytes, _: u32) -> Result<(), StoreDown> {
        Ok(())
    }

    fn log(&self, line: &str) {
        assert!(self.line.replace(Some(line.to_owned())).is_none(), "one line for each request");
    }
}

/// Whoever asks takes what comes.
struct Caller;

impl Sink for Caller {
    async fn write(&mut self, _: Bytes) -> Result<(), Gone> {
        Ok(())
    }
}
