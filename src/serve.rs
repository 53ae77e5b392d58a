//! One request from head to reply: the order of effects. Everything called from here either decides or is one of
//! the host's verbs.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde::Serialize;

use crate::auth::{self, Keyless};
use crate::chat;
use crate::config::{Caller, Config, Patience, Reach, Target};
use crate::dialect::{Dialect, Label, Model};
use crate::echo;
use crate::error::{Error, Kind};
use crate::host::{Answer, Body, Broken, Headers, Host, Incoming, Millis, Outgoing, Reply, ReplyBody};
use crate::limit::{Admission, Ticket, spend_counter};
use crate::price::{Picodollars, worst};
use crate::record::{self, Attempt, End, Record, Served, Tally};
use crate::relay::{Raced, Relay, Stopped, estimate, measure, race};
use crate::route::{self, Health, Outcome, Route, retry_after_ms};
use crate::wire::json::Fields;

/// What outlives a request: the configuration, and what was learned about targets.
#[derive(Debug)]
pub struct Gateway {
    pub config: Config,
    pub keyless: Keyless,
    health: Mutex<Health>,
}

/// A longer whole answer is not one that a model gave.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const ERROR_BYTES_MAX: usize = 1024 * 1024;
/// Tokens held for the answer of a request that states no most.
const OUTPUT_TOKENS_HELD: u64 = 4096;
const MODEL_NAME_BYTES_MAX: usize = 200;
/// How long a target may show life without content. The SDKs of both dialects' own providers wait as long for an
/// answer.
const CONTENT_MS_MAX: Millis = 600_000;
/// Servers and proxies refuse an answer whose head has more than a few kilobytes.
const LOST_BYTES_MAX: usize = 1_000;
/// No caller is asked to wait longer than this by an upstream's word.
const RETRY_AFTER_MS_MAX: Millis = 600_000;
/// Nobody reads the reply to a caller who has hung up; the log shows the status that proxies use for it.
const HUNG_UP: u16 = 499;

impl Gateway {
    pub fn new(config: Config, keyless: Keyless) -> Self {
        Self { config, keyless, health: Mutex::default() }
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Chat(Dialect, &'static str),
    Models,
    Usage,
    Home,
    Health,
}

/// The version part is optional and may stand twice: base URLs are given with and without it.
fn door(path: &str) -> Option<Door> {
    let mut rest = path.trim_end_matches('/');
    while let Some(shorter) = rest.strip_prefix("/v1").filter(|shorter| shorter.is_empty() || shorter.starts_with('/'))
    {
        rest = shorter;
    }
    Some(match rest {
        "/chat/completions" => Door::Chat(Dialect::OpenaiChat, "/v1/chat/completions"),
        "/messages" => Door::Chat(Dialect::Anthropic, "/v1/messages"),
        "/models" => Door::Models,
        "/usage" => Door::Usage,
        "" => Door::Home,
        "/health" => Door::Health,
        _ => return None,
    })
}

/// Answers one request. Never fails: what goes wrong is an answer too.
pub async fn serve<H: Host>(gateway: &Gateway, host: &H, request: Incoming) -> Reply<H::Body> {
    let id = format!("req_{:016x}{:016x}", host.random(), host.random());
    let is_get = matches!(request.method.as_str(), "GET" | "HEAD");
    let door = door(&request.path);
    let dialect = match door {
        Some(Door::Chat(dialect, _)) => dialect,
        _ if request.headers.get("anthropic-version").is_some() => Dialect::Anthropic,
        _ => Dialect::OpenaiChat,
    };
    let answer = match door {
        None => Err(Error::new(
            Kind::UnknownPath,
            format!("there is nothing at {}; GET / lists what there is", shown(&request.path)),
        )),
        Some(Door::Chat(dialect, path)) if request.method == "POST" => {
            return chat(gateway, host, dialect, Record::open(id, path, host.now()), request).await;
        }
        Some(Door::Chat(..)) => return wrong_method(dialect, &id, "POST"),
        Some(_) if !is_get => return wrong_method(dialect, &id, "GET"),
        Some(Door::Home) => Ok(home()),
        Some(Door::Health) => Ok(br#"{"status":"ok"}"#.to_vec()),
        Some(Door::Models) => models(gateway, dialect, &request.headers),
        Some(Door::Usage) => usage(gateway, host, &request.headers).await,
    };
    match answer {
        Ok(body) => whole(200, Headers::from_iter([("content-type", JSON), ("x-tollgate-id", &id)]), body),
        Err(error) => refused(dialect, &id, &error, Vec::new()),
    }
}

const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

fn home() -> Vec<u8> {
    let home = concat!(
        r#"{"name":"tollgate","version":""#,
        env!("CARGO_PKG_VERSION"),
        r#"","endpoints":["POST /v1/chat/completions","POST /v1/messages","GET /v1/models","GET /v1/usage","GET /health"],"#,
        r#""try":"POST /v1/chat/completions with {\"model\":\"tollgate/echo\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"}"#,
    );
    home.into()
}

fn models(gateway: &Gateway, dialect: Dialect, headers: &Headers) -> Result<Vec<u8>, Error> {
    auth::caller(&gateway.config, gateway.keyless, headers)?;
    let models: Vec<Model> =
        route::listed(&gateway.config).into_iter().map(|(id, owner)| Model { id, owner }).collect();
    Ok(dialect.write_models(&models))
}

#[derive(Serialize)]
struct Usage<'a> {
    object: &'static str,
    caller: &'a str,
    spend_picodollars: i64,
    spend_cap_picodollars: Option<Picodollars>,
    days: Vec<record::Day>,
}

async fn usage<H: Host>(gateway: &Gateway, host: &H, headers: &Headers) -> Result<Vec<u8>, Error> {
    let caller = auth::caller(&gateway.config, gateway.keyless, headers)?;
    let store_down = |_| Error::new(Kind::Internal, "the store that holds the counters cannot be reached");
    let counters = host.totals(&record::usage_prefix(&caller.name)).await.map_err(store_down)?;
    let spend = spend_counter(&caller.name, host.now());
    let spent = host.totals(&spend).await.map_err(store_down)?;
    let usage = Usage {
        object: "usage",
        caller: &caller.name,
        spend_picodollars: spent.iter().find(|(counter, _)| *counter == spend).map_or(0, |(_, total)| *total),
        spend_cap_picodollars: caller.limits.spend_cap,
        days: record::days(&caller.name, counters),
    };
    serde_json::to_vec(&usage).map_err(|error| Error::new(Kind::Internal, error.to_string()))
}

/// An admitted request, ready to be tried.
struct Job<'a> {
    dialect: Dialect,
    query: Option<&'a str>,
    headers: &'a Headers,
    body: Fields<'a>,
    body_bytes: u64,
    route: Route,
    stream: bool,
    label: Label,
    /// `x-ratelimit-*` of the caller's own limits.
    limits: Vec<(&'static str, String)>,
}

async fn chat<H: Host>(
    gateway: &Gateway,
    host: &H,
    dialect: Dialect,
    mut record: Record,
    request: Incoming,
) -> Reply<H::Body> {
    match prepare(gateway, host, dialect, &request, &mut record).await {
        Ok(job) => answer(gateway, host, &job, record).await,
        Err((error, limits)) => {
            record.status = error.status();
            let reply = refused(dialect, &record.id, &error, limits);
            close(host, record, End::Refused, None).await;
            reply
        }
    }
}

type Refusal = (Error, Vec<(&'static str, String)>);

/// Everything that can refuse a request before it costs anything.
async fn prepare<'a, H: Host>(
    gateway: &Gateway,
    host: &H,
    dialect: Dialect,
    request: &'a Incoming,
    record: &mut Record,
) -> Result<Job<'a>, Refusal> {
    let caller = auth::caller(&gateway.config, gateway.keyless, &request.headers).map_err(plain)?;
    record.caller.clone_from(&caller.name);
    let bytes = match &request.body {
        Body::Whole(bytes) => bytes,
        Body::TooLarge => {
            let most = gateway.config.body_bytes_max;
            return Err(plain(Error::new(Kind::TooLarge, format!("the body is longer than {most} bytes"))));
        }
    };
    let body = Fields::read(bytes).map_err(Error::invalid).map_err(plain)?;
    let must = |name: &'static str, what: &'static str| move |_| plain(Error::field(name, format!("must be {what}")));
    let model: String = body
        .get("model")
        .map_err(must("model", "a string"))?
        .ok_or_else(|| plain(Error::field("model", "missing; GET /v1/models lists what there is")))?;
    if model.len() > MODEL_NAME_BYTES_MAX || model.chars().any(char::is_control) {
        return Err(plain(Error::field(
            "model",
            format!("a name has at most {MODEL_NAME_BYTES_MAX} bytes, none of control"),
        )));
    }
    record.model.clone_from(&model);
    let stream: bool = body.get("stream").map_err(must("stream", "true or false"))?.unwrap_or(false);
    record.stream = stream;
    let mut route = route::resolve(&gateway.config, &model).map_err(plain)?;
    route.targets = gateway.health().order(route.targets, record.started);

    let limits = admit(gateway, host, &caller, &body, bytes.len(), &route, record).await?;
    let label =
        Label { id: record.id.clone(), created: record.started / 1000, usage_wanted: dialect.usage_wanted(&body) };
    let (query, headers) = (request.query.as_deref(), &request.headers);
    Ok(Job { dialect, query, headers, body, body_bytes: bytes.len() as u64, route, stream, label, limits })
}

fn plain(error: Error) -> Refusal {
    (error, Vec::new())
}

/// Takes a place under the caller's limits, and the most that the request may cost.
async fn admit<H: Host>(
    gateway: &Gateway,
    host: &H,
    caller: &Caller,
    body: &Fields<'_>,
    body_bytes: usize,
    route: &Route,
    record: &mut Record,
) -> Result<Vec<(&'static str, String)>, Refusal> {
    // Which of the two counts is for the upstream to say; none of them may be 0, which some take for no bound.
    let stated = ["max_completion_tokens", "max_tokens"].iter().filter_map(|name| body.get::<u64>(name).ok().flatten());
    let stated = stated.max().filter(|tokens| *tokens > 0);
    // No tokenizer makes two tokens of one byte pair of prose; what it makes of a prompt of symbols is billed all the same.
    let input = (body_bytes as u64).div_ceil(2);
    let answers = body.get::<u64>("n").ok().flatten().unwrap_or(1).max(1);
    let output = stated.unwrap_or(OUTPUT_TOKENS_HELD).saturating_mul(answers);
    let dearest = route.targets.iter().try_fold(Picodollars::default(), |most, target| {
        let priced = gateway.config.prices.of(&target.to_string())?;
        Some(most.max(worst(input, output, &priced.price)))
    });
    let ticket = Ticket::open(&caller.name, caller.limits, dearest, record.started).map_err(|error| {
        (error, vec![("x-tollgate-limit", "spend-cap".to_owned()), ("x-should-retry", "false".to_owned())])
    })?;
    if ticket.bounds().is_empty() {
        record.ticket = Some(ticket);
        return Ok(Vec::new());
    }
    match host.admit(ticket.bounds()).await {
        Ok(Admission::Admitted(sums)) => {
            let headers = ticket.rate_headers(&sums);
            record.ticket = Some(ticket);
            Ok(headers)
        }
        Ok(Admission::Refused(sums)) => {
            let error = ticket.refusal(&sums);
            let mut headers = ticket.rate_headers(&sums);
            if error.kind == Kind::RateLimited {
                headers.push(("x-tollgate-limit", "requests-per-minute".to_owned()));
            } else {
                headers.push(("x-tollgate-limit", "spend-cap".to_owned()));
                headers.push(("x-should-retry", "false".to_owned()));
            }
            Err((error, headers))
        }
        Err(_) => Err(plain(Error::new(Kind::Internal, "the store that holds the counters cannot be reached"))),
    }
}

/// How one attempt went.
enum Tried<B> {
    Whole {
        headers: Headers,
        body: Bytes,
        tally: Tally,
        lost: Vec<String>,
    },
    Stream {
        headers: Headers,
        upstream: B,
        relay: Box<Relay>,
        lost: Vec<String>,
    },
    /// No answer from this target; the next may be asked if `outcome` says so.
    Failed {
        outcome: Outcome,
        refusal: Upset,
    },
    /// The request itself cannot be put into this target's dialect.
    Unfit(Error),
    /// The caller has hung up; what had arrived.
    Gone(Option<Tally>),
}

/// An attempt's failure, as the caller will be told if it is the last.
struct Upset {
    error: Error,
    /// The upstream's own words, where they are in the caller's dialect.
    verbatim: Option<(Headers, Bytes)>,
}

impl Upset {
    fn new(kind: Kind, message: String) -> Self {
        Self { error: Error::new(kind, message), verbatim: None }
    }

    /// An upstream that repeats its key, as some do with all headers of a request they refuse, is not repeated.
    fn without_key(mut self, target: &Target, outcome: Outcome) -> Self {
        let Reach::Upstream { key: Some(key), .. } = &target.provider.reach else { return self };
        let holds = |text: &[u8]| !key.is_empty() && text.windows(key.len()).any(|part| part == key.as_bytes());
        self.verbatim = self
            .verbatim
            .filter(|(headers, body)| !holds(body) && headers.iter().all(|(_, value)| !holds(value.as_bytes())));
        if holds(self.error.message.as_bytes()) {
            self.error.message = format!("{} failed: {outcome}", target.provider.name);
        }
        self
    }
}

/// Asks target after target until one answers.
async fn answer<H: Host>(gateway: &Gateway, host: &H, job: &Job<'_>, mut record: Record) -> Reply<H::Body> {
    let mut last = Upset::new(Kind::Internal, "no target was tried".to_owned());
    for target in &job.route.targets {
        let began = host.now();
        let name = target.to_string();
        let tried = attempt(host, job, target, &record).await;
        let ms = host.now().saturating_sub(began);
        let outcome = match &tried {
            Tried::Failed { outcome, .. } => Some(*outcome),
            Tried::Whole { .. } | Tried::Stream { .. } => Some(Outcome::Status(200)),
            Tried::Gone(_) => Some(Outcome::HungUp),
            Tried::Unfit(_) => None,
        };
        record.attempts.extend(outcome.map(|outcome| Attempt { target: name.clone(), outcome, ms }));
        match tried {
            Tried::Whole { mut headers, body, tally, lost } => {
                served(gateway, &mut record, name, host.now());
                let cost = record.cost(&tally).map_or_else(|| "unknown".to_owned(), |cost| cost.0.to_string());
                headers.push("x-tollgate-cost", cost);
                label(&mut headers, &record, job, &lost);
                close(host, record, End::Complete, Some(tally)).await;
                return Reply { status: 200, headers, body: ReplyBody::Whole(body) };
            }
            Tried::Stream { mut headers, upstream, relay, lost } => {
                served(gateway, &mut record, name, host.now());
                label(&mut headers, &record, job, &lost);
                return Reply {
                    status: 200,
                    headers,
                    body: ReplyBody::Relayed { upstream, relay, record: Box::new(record) },
                };
            }
            Tried::Failed { outcome, refusal } => {
                last = refusal.without_key(target, outcome);
                if !outcome.falls() {
                    break;
                }
                if let Some(wait) = last.error.retry_after {
                    gateway.health().rest(target, wait.saturating_mul(1000), host.now());
                }
            }
            Tried::Unfit(error) => {
                last = Upset { error, verbatim: None };
                break;
            }
            Tried::Gone(tally) => {
                if tally.is_some() {
                    served(gateway, &mut record, name, host.now());
                    record.first_byte_ms = None;
                }
                record.status = HUNG_UP;
                close(host, record, End::HungUp, tally).await;
                return whole(HUNG_UP, Headers::default(), Vec::new());
            }
        }
    }
    unanswered(host, job, record, last).await
}

fn served(gateway: &Gateway, record: &mut Record, target: String, now: Millis) {
    record.status = 200;
    record.first_byte_ms = Some(now.saturating_sub(record.started));
    let price = gateway.config.prices.of(&target).cloned();
    record.served = Some(Served { target, price });
}

/// The last target's failure, in the caller's dialect.
async fn unanswered<H: Host>(host: &H, job: &Job<'_>, mut record: Record, last: Upset) -> Reply<H::Body> {
    let error = last.error;
    record.status = error.status();
    let (mut headers, body) = match last.verbatim {
        Some((headers, body)) => (headers, body),
        None => {
            let body = job.dialect.error_body(&error, &record.id);
            (Headers::from_iter([("content-type", JSON)]), body.into())
        }
    };
    if let Some(seconds) = error.retry_after {
        headers.push("retry-after", seconds.to_string());
    }
    label(&mut headers, &record, job, &[]);
    let status = record.status;
    close(host, record, End::Unanswered, None).await;
    Reply { status, headers, body: ReplyBody::Whole(body) }
}

/// Asks one target, up to the point where the caller would see its answer.
async fn attempt<H: Host>(host: &H, job: &Job<'_>, target: &Target, record: &Record) -> Tried<H::Body> {
    let mut lost = Vec::new();
    let Reach::Upstream { dialect, base_url, key } = &target.provider.reach else {
        return match job.canonical(target) {
            Ok(request) => echoed(job, &request, record),
            Err(error) => Tried::Unfit(error),
        };
    };
    let dialect = *dialect;
    let body = if dialect == job.dialect {
        dialect.splice(&job.body, &target.model)
    } else {
        match job.canonical(target) {
            Ok(request) => {
                lost.clone_from(&request.unread);
                dialect.write_request(&request, &mut lost)
            }
            Err(error) => return Tried::Unfit(error),
        }
    };
    let mut url = dialect.url(base_url);
    if let Some(query) = job.query.filter(|_| dialect == job.dialect) {
        url = format!("{url}?{query}");
    }
    let headers = job.outgoing_headers(dialect, key.as_deref());
    let patience = job.route.patience;
    let began = host.now();
    let deadline = began.saturating_add(patience.first_byte_ms);
    let provider = &target.provider.name;
    let too_slow = || {
        let ms = host.now().saturating_sub(began);
        let refusal = Upset::new(Kind::UpstreamTimeout, format!("{provider} gave no answer in {ms} ms"));
        Tried::Failed { outcome: Outcome::TimedOut, refusal }
    };
    let answer =
        match race(host, patience.first_byte_ms, host.fetch(Outgoing { url, headers, body: body.into() })).await {
            Raced::Done(Ok(answer)) => answer,
            Raced::Done(Err(_)) => {
                let refusal = Upset::new(Kind::BadUpstream, format!("{provider} could not be reached"));
                return Tried::Failed { outcome: Outcome::Unreachable, refusal };
            }
            Raced::TimedOut => return too_slow(),
            Raced::Gone => return Tried::Gone(None),
        };
    if !(200..300).contains(&answer.status) {
        return upstream_error(host, job, dialect, provider, answer, patience).await;
    }
    let is_stream =
        answer.headers.get("content-type").is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"));
    let reading = Reading { job, dialect, provider, deadline, patience, lost };
    let tried = match (is_stream, job.stream) {
        (true, true) => reading.stream(host, answer).await,
        (true, false) => Some(reading.failed(format!("{provider} sent a stream where a whole answer was due"))),
        (false, _) => reading.whole(host, answer).await,
    };
    tried.unwrap_or_else(too_slow)
}

/// A 200 that is being read, before the caller sees any of it.
struct Reading<'a> {
    job: &'a Job<'a>,
    dialect: Dialect,
    provider: &'a str,
    /// For the first byte of the body.
    deadline: Millis,
    patience: Patience,
    lost: Vec<String>,
}

impl Reading<'_> {
    /// `None` when nothing came for too long.
    async fn stream<H: Host>(self, host: &H, answer: Answer<H::Body>) -> Option<Tried<H::Body>> {
        let Answer { headers, body: mut upstream, .. } = answer;
        let (job, now) = (self.job, host.now());
        let input = estimate(job.body_bytes);
        let mut relay = Relay::new(self.dialect, job.dialect, job.label.clone(), input, self.patience.idle_ms, now);
        let mut deadline = self.deadline;
        let latest = now.saturating_add(CONTENT_MS_MAX);
        loop {
            let wait = deadline.min(latest).saturating_sub(host.now());
            let began = match race(host, wait, host.read(&mut upstream)).await {
                Raced::Done(Ok(Some(chunk))) => {
                    relay.hold(&chunk, host.now());
                    deadline = relay.deadline();
                    !relay.is_over() || relay.has_content()
                }
                Raced::Done(Ok(None)) => relay.end_held(Stopped::Closed),
                Raced::Done(Err(Broken)) => relay.end_held(Stopped::Broken),
                Raced::TimedOut => return None,
                Raced::Gone => return Some(Tried::Gone(Some(relay.tally()))),
            };
            if !began {
                let why = relay.failure().map_or("", |error| error.message.as_str());
                return Some(self.failed(format!("{} failed before its answer began: {why}", self.provider)));
            }
            if relay.has_content() {
                let mut headers = self.reply_headers(&headers);
                headers.push("content-type", EVENT_STREAM);
                headers.push("cache-control", "no-cache");
                return Some(Tried::Stream { headers, upstream, relay: Box::new(relay), lost: self.lost });
            }
        }
    }

    /// `None` when nothing came for too long.
    async fn whole<H: Host>(self, host: &H, answer: Answer<H::Body>) -> Option<Tried<H::Body>> {
        let Answer { headers: upstream, mut body, .. } = answer;
        let job = self.job;
        let guess = |length: usize| Tally {
            usage: chat::Usage {
                input: estimate(job.body_bytes),
                output: estimate(length as u64),
                ..chat::Usage::default()
            },
            estimated: true,
        };
        let bytes =
            match read_whole(host, &mut body, self.deadline, Some(self.patience.idle_ms), ANSWER_BYTES_MAX).await {
                Read::Whole(bytes) => bytes,
                Read::Broken => return Some(self.failed(format!("the answer of {} broke off", self.provider))),
                Read::TimedOut => return None,
                Read::Gone { length } => return Some(Tried::Gone(Some(guess(length)))),
            };
        let same = self.dialect == job.dialect;
        let stated = match self.dialect.read_response(&bytes) {
            Ok(response) => Some(response),
            // A 200 may carry an error; anything else within one dialect is for the caller to judge.
            Err(malformed) => match self.dialect.read_error(&bytes) {
                Some(message) => return Some(self.failed(format!("{}: {message}", self.provider))),
                None if same && Fields::read(&bytes).is_ok() => None,
                None => {
                    let why = malformed.0;
                    return Some(
                        self.failed(format!("{} sent an answer that is not of its dialect: {why}", self.provider)),
                    );
                }
            },
        };
        let tally = match &stated {
            Some(response) => measure(response, estimate(job.body_bytes)),
            None => guess(bytes.len()),
        };
        let mut headers = self.reply_headers(&upstream);
        let body = match stated {
            Some(response) if !same || job.stream => {
                headers.push("content-type", if job.stream { EVENT_STREAM } else { JSON });
                job.write(&response)
            }
            _ => {
                headers.push("content-type", upstream.get("content-type").unwrap_or(JSON));
                bytes
            }
        };
        Some(Tried::Whole { headers, body, tally, lost: self.lost })
    }

    fn failed<B>(&self, message: String) -> Tried<B> {
        Tried::Failed { outcome: Outcome::Failed, refusal: Upset::new(Kind::BadUpstream, message) }
    }

    fn reply_headers(&self, upstream: &Headers) -> Headers {
        reply_headers(self.job, self.dialect, upstream)
    }
}

/// An answer with a status of failure: its words for the caller, and what they mean for the next attempt.
async fn upstream_error<H: Host>(
    host: &H,
    job: &Job<'_>,
    dialect: Dialect,
    provider: &str,
    answer: Answer<H::Body>,
    patience: Patience,
) -> Tried<H::Body> {
    let Answer { status, headers: upstream, mut body } = answer;
    // The next target waits for these words: they have as long as a first byte, all together.
    let deadline = host.now().saturating_add(patience.first_byte_ms.min(patience.idle_ms));
    let bytes = match read_whole(host, &mut body, deadline, None, ERROR_BYTES_MAX).await {
        Read::Whole(bytes) => bytes,
        Read::Broken | Read::TimedOut => Bytes::new(),
        Read::Gone { .. } => return Tried::Gone(None),
    };
    let told = dialect.read_error(&bytes);
    let is_json = told.is_some() || Fields::read(&bytes).is_ok();
    // A redirect or a 1xx is no answer to a model call, and following it would carry the key elsewhere.
    let kind = if status < 400 { Kind::BadUpstream } else { Kind::Upstream(status) };
    let message = told.unwrap_or_else(|| format!("{provider} answered with status {status}"));
    let retry_after = retry_after_ms(&upstream).map(|wait| wait.min(RETRY_AFTER_MS_MAX).div_ceil(1000));
    let verbatim = (dialect == job.dialect && status >= 400 && is_json).then(|| {
        let mut headers = reply_headers(job, dialect, &upstream);
        headers.push("content-type", upstream.get("content-type").unwrap_or(JSON));
        (headers, bytes)
    });
    let error = Error { retry_after, ..Error::new(kind, message) };
    Tried::Failed { outcome: Outcome::Status(status), refusal: Upset { error, verbatim } }
}

enum Read {
    Whole(Bytes),
    /// Cut short, or longer than it may be.
    Broken,
    TimedOut,
    /// The caller has hung up; how much had come.
    Gone {
        length: usize,
    },
}

/// Each piece moves the deadline, if it has `idle_ms` to move it to.
async fn read_whole<H: Host>(
    host: &H,
    body: &mut H::Body,
    mut deadline: Millis,
    idle_ms: Option<Millis>,
    most: usize,
) -> Read {
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut length = 0_usize;
    loop {
        match race(host, deadline.saturating_sub(host.now()), host.read(body)).await {
            Raced::Done(Ok(Some(piece))) => {
                length = length.saturating_add(piece.len());
                if length > most {
                    return Read::Broken;
                }
                pieces.push(piece);
                deadline = idle_ms.map_or(deadline, |idle_ms| host.now().saturating_add(idle_ms));
            }
            Raced::Done(Ok(None)) => break,
            Raced::Done(Err(_)) => return Read::Broken,
            Raced::TimedOut => return Read::TimedOut,
            Raced::Gone => return Read::Gone { length },
        }
    }
    Read::Whole(match pieces.len() {
        1 => pieces.remove(0),
        _ => pieces.concat().into(),
    })
}

/// The built-in model's answer, by the way that an upstream's takes: its bytes are read and written as any other's.
fn echoed<B>(job: &Job<'_>, request: &chat::Request, record: &Record) -> Tried<B> {
    let response = echo::answer(request, &record.id, &request.model);
    let label = Label { usage_wanted: true, ..job.label.clone() };
    let bytes = told(echo::DIALECT, &label, &response, job.stream);
    let input = estimate(job.body_bytes);
    let (body, tally) = if job.stream {
        let idle_ms = job.route.patience.idle_ms;
        let mut relay = Relay::new(echo::DIALECT, job.dialect, job.label.clone(), input, idle_ms, record.started);
        relay.hold(&bytes, record.started);
        relay.end_held(Stopped::Closed);
        (relay.take_held().into(), relay.tally())
    } else {
        // What we wrote can be read.
        let read = echo::DIALECT.read_response(&bytes).unwrap_or(response);
        let same = echo::DIALECT == job.dialect;
        (if same { bytes } else { job.write(&read) }, measure(&read, input))
    };
    let kind = if job.stream { EVENT_STREAM } else { JSON };
    let headers = Headers::from_iter([("content-type", kind)]);
    Tried::Whole { headers, body, tally, lost: request.unread.clone() }
}

/// A whole answer in `dialect`, as a stream tells it where one is wanted.
fn told(dialect: Dialect, label: &Label, response: &chat::Response, stream: bool) -> Bytes {
    if !stream {
        return dialect.write_response(response, label).into();
    }
    let mut encoder = dialect.encoder(label.clone());
    let mut out = Vec::new();
    for event in response.events() {
        encoder.event(&event, &mut out);
    }
    out.into()
}

/// Headers of a caller that any upstream may see.
const FORWARDED: &[&str] = &["traceparent", "tracestate", "idempotency-key"];
/// Headers of a caller that an upstream of the same dialect may see besides the dialect's own.
const FORWARDED_WITHIN: &[&str] =
    &["user-agent", "x-app", "x-stainless-", "x-claude-code-", "x-client-request-id", "x-session-"];
/// Headers of an upstream that the caller sees.
const RETURNED: &[&str] = &["request-id", "x-request-id", "x-should-retry"];

impl Job<'_> {
    fn canonical(&self, target: &Target) -> Result<chat::Request, Error> {
        let mut request = self.dialect.read_request(&self.body)?;
        request.model.clone_from(&target.model);
        request.stream = self.stream;
        Ok(request)
    }

    /// A whole answer in the caller's dialect, told as a stream if that was asked for.
    fn write(&self, response: &chat::Response) -> Bytes {
        told(self.dialect, &self.label, response, self.stream)
    }

    fn outgoing_headers(&self, dialect: Dialect, key: Option<&str>) -> Headers {
        let same = dialect == self.dialect;
        let forwarded = |name: &str| {
            FORWARDED.contains(&name)
                || (same && (dialect.forwards(name) || FORWARDED_WITHIN.iter().any(|prefix| name.starts_with(prefix))))
        };
        // What is no text in every host's headers would make the upstream unreachable.
        let is_text = |value: &str| header_text(value) == value;
        let mut headers: Headers =
            self.headers.iter().filter(|(name, value)| forwarded(name) && is_text(value)).collect();
        headers.push("content-type", JSON);
        headers.push("accept", if self.stream { "text/event-stream" } else { JSON });
        headers.push("accept-encoding", "identity");
        for (name, value) in dialect.required_headers() {
            if headers.get(name).is_none() {
                headers.push(*name, *value);
            }
        }
        if headers.get("user-agent").is_none() {
            headers.push("user-agent", concat!("tollgate/", env!("CARGO_PKG_VERSION")));
        }
        if let Some((name, value)) = key.map(|key| dialect.credential(key)) {
            headers.push(name, value);
        }
        headers
    }
}

fn reply_headers(job: &Job<'_>, dialect: Dialect, upstream: &Headers) -> Headers {
    let same = dialect == job.dialect;
    let returned = |name: &str| {
        // Another limit than the caller's own would only confuse whoever reads them.
        let is_limit = name.starts_with("x-ratelimit-") && job.limits.is_empty();
        RETURNED.contains(&name) || (same && (dialect.forwards(name) || is_limit))
    };
    upstream.iter().filter(|(name, _)| returned(name)).collect()
}

/// What every answer that reached a target says about itself.
fn label(headers: &mut Headers, record: &Record, job: &Job<'_>, lost: &[String]) {
    headers.push("x-tollgate-id", record.id.clone());
    name_request(headers, job.dialect, &record.id);
    if let Some(served) = &record.served {
        headers.push("x-tollgate-target", header_text(&served.target));
    }
    if !record.attempts.is_empty() {
        headers.push("x-tollgate-attempts", header_text(&record.attempts_header()));
    }
    if !lost.is_empty() {
        headers.push("x-tollgate-lost", header_text(&lost_text(lost)));
    }
    for (name, value) in &job.limits {
        headers.push(*name, value.clone());
    }
}

/// Gives the request our id where the upstream gave it none: clients show it in their errors.
fn name_request(headers: &mut Headers, dialect: Dialect, id: &str) {
    for name in ["x-request-id", dialect.id_header()] {
        if headers.get(name).is_none() {
            headers.push(name, id);
        }
    }
}

/// The names that fit into a header, and how many more there are. Callers choose them, and may choose thousands.
fn lost_text(lost: &[String]) -> String {
    let mut text = String::new();
    for (told, name) in lost.iter().enumerate() {
        let comma = if told == 0 { "" } else { ", " };
        if text.len() + name.len() > LOST_BYTES_MAX {
            return format!("{text}{comma}and {} more", lost.len() - told);
        }
        text.push_str(comma);
        text.push_str(name);
    }
    text
}

/// Header values are visible ASCII; model names and field names may be anything.
fn header_text(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

async fn close<H: Host>(host: &H, record: Record, end: End, tally: Option<Tally>) {
    let settlement = record.close(end, tally, host.now());
    host.log(&settlement.line);
    if !settlement.adds.is_empty() {
        host.settle(settlement.adds).await;
    }
}

fn refused<B>(dialect: Dialect, id: &str, error: &Error, limits: Vec<(&'static str, String)>) -> Reply<B> {
    let mut headers = Headers::from_iter([("content-type", JSON), ("x-tollgate-id", id)]);
    name_request(&mut headers, dialect, id);
    if let Some(seconds) = error.retry_after {
        headers.push("retry-after", seconds.to_string());
    }
    for (name, value) in limits {
        headers.push(name, value);
    }
    whole(error.status(), headers, dialect.error_body(error, id))
}

fn wrong_method<B>(dialect: Dialect, id: &str, allow: &'static str) -> Reply<B> {
    let error = Error::new(Kind::WrongMethod, format!("this path takes {allow}"));
    let mut reply = refused(dialect, id, &error, Vec::new());
    reply.headers.push("allow", allow);
    reply
}

fn whole<B>(status: u16, headers: Headers, body: Vec<u8>) -> Reply<B> {
    Reply { status, headers, body: ReplyBody::Whole(body.into()) }
}

/// A path in a message, in bounds.
fn shown(path: &str) -> String {
    header_text(path).chars().take(100).collect()
}
