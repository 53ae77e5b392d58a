//! One request from head to reply: the order of effects. Everything called from here either decides or is one of
//! the host's verbs.

mod attempt;
mod door;
mod head;
mod media;
mod question;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::future::{Either, select};

use self::attempt::{Tried, Upset, attempt};
use self::door::{Call, Door, door};
use self::head::{JSON, early_head, header_text, label, lost_text, name_request};
use self::media::{Gathered, gather};
use self::question::output_max;
use crate::auth::{self, Keyless};
use crate::config::{Caller, Config, Reach, Target};
use crate::count;
use crate::dialect::{Ask, Dialect, Inbound, Label, ai_sdk};
use crate::error::{Error, Kind};
use crate::host::{Body, Headers, Host, Incoming, Millis, Reply, ReplyBody};
use crate::limit::{Admission, Ticket, spend_counter};
use crate::media::{Files, Policy};
use crate::platform::Platform;
use crate::price::{Picodollars, Service, worst};
use crate::record::{self, Attempt, End, Record, Served, Tally};
use crate::route::{self, Health, Outcome, Route};
use crate::seal::{self, Seal};
use crate::wire::array;
use crate::wire::frame::Framing;
use crate::wire::json::{Fields, to_vec, written};
use crate::wire::query;

/// What outlives a request: the configuration, and what was learned about targets.
#[derive(Debug)]
pub struct Gateway {
    pub config: Config,
    pub keyless: Keyless,
    health: Mutex<Health>,
}

const MODEL_NAME_BYTES_MAX: usize = 200;
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

/// Answers one request. Never fails: what goes wrong is an answer too.
pub async fn serve<H: Host>(gateway: &Gateway, host: &H, request: Incoming) -> Reply<H::Body> {
    let id = format!("req_{:016x}{:016x}", host.random(), host.random());
    let is_get = matches!(request.method.as_str(), "GET" | "HEAD");
    let door = door(&request.path, request.query.as_deref(), &request.headers);
    let dialect = match &door {
        Some(Door::Call(call)) => call.dialect,
        Some(Door::Models(Some(dialect)) | Door::Model(Some(dialect), _)) => *dialect,
        _ if ai_sdk::is_client(&request.headers) => Inbound::AiSdk(ai_sdk::Version::default()),
        _ if request.headers.get("anthropic-version").is_some() => Inbound::Anthropic,
        // Google's own clients list models under `/v1` too.
        _ if request.headers.get("x-goog-api-key").is_some() || request.path.starts_with("/v1beta") => Inbound::Gemini,
        _ => Inbound::OpenaiChat,
    };
    let answer = match door {
        // Below a model there are more verbs than are served.
        Some(Door::Model(..)) if request.method == "POST" => Err(nowhere(&request.path)),
        None => Err(nowhere(&request.path)),
        Some(Door::Call(call)) if request.method == "POST" => {
            let record = Record::open(id, call.path, host.now());
            return ask(gateway, host, call, record, request).await;
        }
        Some(Door::Call(_)) if asks_for_websocket(&request.headers) => {
            Err(Error::new(Kind::NoWebSocket, "this path takes POST; there is no WebSocket here"))
        }
        Some(Door::Call(_)) => return wrong_method(dialect, &id, "POST"),
        Some(_) if !is_get => return wrong_method(dialect, &id, "GET"),
        Some(Door::Home) => Ok(home()),
        Some(Door::Health) => Ok(br#"{"status":"ok"}"#.to_vec()),
        Some(Door::Models(_)) => models(gateway, dialect, &request),
        Some(Door::Model(_, name)) => model(gateway, dialect, &name, &request),
        Some(Door::Usage) => usage(gateway, host, &request).await,
    };
    match answer {
        Ok(body) => whole(200, Headers::from_iter([("content-type", JSON), ("x-tollgate-id", &id)]), body),
        Err(error) => refused(dialect, &id, &error, Vec::new()),
    }
}

fn nowhere(path: &str) -> Error {
    Error::new(Kind::UnknownPath, format!("there is nothing at {}; GET / lists what there is", shown(path)))
}

fn home() -> Vec<u8> {
    let home = concat!(
        r#"{"name":"tollgate","version":""#,
        env!("CARGO_PKG_VERSION"),
        r#"","endpoints":["POST /v1/chat/completions","POST /v1/responses","POST /v1/messages","POST /v1/messages/count_tokens","POST /v1beta/models/{model}:generateContent","POST /v1beta/models/{model}:streamGenerateContent","POST /v1beta/models/{model}:countTokens","POST /v1/completions","POST /v1/embeddings","POST /v1/rerank","POST /v4/ai/language-model","POST /v4/ai/embedding-model","POST /v4/ai/reranking-model","GET /v4/ai/config","GET /v1/models","GET /v1/models/{model}","GET /v1/usage","GET /health"],"#,
        r#""try":"POST /v1/chat/completions with {\"model\":\"tollgate/echo\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"}"#,
    );
    home.into()
}

fn caller(gateway: &Gateway, request: &Incoming) -> Result<Caller, Error> {
    auth::caller(&gateway.config, gateway.keyless, &request.headers, request.query.as_deref())
}

fn models(gateway: &Gateway, dialect: Inbound, request: &Incoming) -> Result<Vec<u8>, Error> {
    caller(gateway, request)?;
    Ok(dialect.write_models(&route::listed(&gateway.config)))
}

fn model(gateway: &Gateway, dialect: Inbound, name: &str, request: &Incoming) -> Result<Vec<u8>, Error> {
    caller(gateway, request)?;
    Ok(dialect.write_model(&route::shown(&gateway.config, name)?))
}

written! {
    struct Usage<'a> {
        object: &'static str,
        caller: &'a str,
        spend_picodollars: i64,
        spend_cap_picodollars: Option<Picodollars>,
        days: Vec<record::Day>,
    }
}

async fn usage<H: Host>(gateway: &Gateway, host: &H, request: &Incoming) -> Result<Vec<u8>, Error> {
    let caller = caller(gateway, request)?;
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
    Ok(to_vec(&usage))
}

/// An admitted request, ready to be tried.
struct Job<'a> {
    dialect: Inbound,
    ask: Ask,
    /// What upstreams of the caller's dialect may see of the query.
    query: Option<String>,
    headers: &'a Headers,
    body: Fields<'a>,
    /// All of it.
    bytes: &'a [u8],
    media: &'a Policy,
    route: Route,
    label: Label,
    /// Whether a target that could be given only part of the request is passed over.
    strict: bool,
    seal: Seal,
    /// Whether the body may hold state of another provider, so that no upstream can be given it as it is.
    sealed: bool,
    /// `x-ratelimit-*` of the caller's own limits.
    limits: Vec<(&'static str, String)>,
    /// Whether the head of the reply has gone out without an answer.
    begun: AtomicBool,
}

impl Job<'_> {
    /// What ends a stream that had only a head.
    fn last_words(&self, error: &Error) -> Bytes {
        match self.ask {
            Ask::Stream(Framing::Array) => {
                let mut out = Vec::new();
                array::write_last(false, Some(&self.dialect.error_body(error, "")), &mut out);
                out.into()
            }
            _ => self.dialect.error_frame(error).into(),
        }
    }

    fn streams(&self) -> bool {
        matches!(self.ask, Ask::Stream(_))
    }

    /// Tokens are counted by targets whose API is the caller's only, and of bodies as the caller sent them.
    fn may_ask(&self, target: &Target) -> bool {
        let is_own = |dialect: &Dialect| Some(*dialect) == self.dialect.dialect();
        let is_asked = match &target.provider.reach {
            Reach::Upstream(upstream) => upstream.dialects.iter().any(is_own) && upstream.platform == Platform::Native,
            Reach::Echo => false,
        };
        self.ask != Ask::TokenCount || !self.sealed && is_asked
    }
}

async fn ask<H: Host>(
    gateway: &Gateway,
    host: &H,
    call: Call,
    mut record: Record,
    request: Incoming,
) -> Reply<H::Body> {
    let dialect = call.dialect;
    match prepare(gateway, host, call, &request, &mut record).await {
        Ok(job) if job.streams() => {
            let beats = pin!(beat(host, &job, early_head(&job, &record)));
            match select(pin!(answer(gateway, host, &job, record)), beats).await {
                Either::Left((reply, _)) => reply,
                Either::Right((never, _)) => match never {},
            }
        }
        Ok(job) => answer(gateway, host, &job, record).await,
        Err((error, limits)) => {
            record.status = error.status();
            let reply = refused(dialect, &record.id, &error, limits);
            close(host, record, End::Refused, None).await;
            reply
        }
    }
}

/// Tells a caller who waits for long that the answer is on its way. Another target may still give it.
async fn beat<H: Host>(host: &H, job: &Job<'_>, head: Headers) -> Infallible {
    loop {
        host.sleep(job.route.patience.heartbeat_ms).await;
        job.begun.store(true, Ordering::Relaxed);
        host.beat(&head, job.dialect.heartbeat()).await;
    }
}

type Refusal = (Error, Vec<(&'static str, String)>);

/// Everything that can refuse a request before it costs anything.
async fn prepare<'a, H: Host>(
    gateway: &'a Gateway,
    host: &H,
    call: Call,
    request: &'a Incoming,
    record: &mut Record,
) -> Result<Job<'a>, Refusal> {
    let dialect = call.dialect;
    let caller = caller(gateway, request).map_err(plain)?;
    record.caller.clone_from(&caller.name);
    if let Some(fault) = call.fault {
        return Err(plain(fault));
    }
    let bytes = match &request.body {
        Body::Whole(bytes) => bytes,
        Body::TooLarge => {
            let most = gateway.config.body_bytes_max;
            return Err(plain(Error::new(Kind::TooLarge, format!("the body is longer than {most} bytes"))));
        }
    };
    let body = Fields::read(bytes).map_err(Error::invalid).map_err(plain)?;
    let must = |name: &'static str, what: &'static str| move |_| plain(Error::field(name, format!("must be {what}")));
    let model: String = match call.model {
        Some(model) => model,
        None => body
            .get("model")
            .map_err(must("model", "a string"))?
            .ok_or_else(|| plain(Error::field("model", "missing; GET /v1/models lists what there is")))?,
    };
    if model.len() > MODEL_NAME_BYTES_MAX || model.chars().any(char::is_control) {
        return Err(plain(Error::field(
            "model",
            format!("a name has at most {MODEL_NAME_BYTES_MAX} bytes, none of control"),
        )));
    }
    record.model.clone_from(&model);
    let ask = match call.ask {
        Some(ask) => ask,
        None => match body.get("stream").map_err(must("stream", "true or false"))? {
            Some(true) => Ask::Stream(Framing::Sse),
            Some(false) | None => Ask::Answer,
        },
    };
    record.stream = matches!(ask, Ask::Stream(_));
    let mut route = route::resolve(&gateway.config, &model).map_err(plain)?;
    route.targets = gateway.health().order(route.targets, record.started);

    let most = match ask {
        // Providers count for nothing.
        Ask::TokenCount => Some(Picodollars::default()),
        ask => dearest(dialect, ask, &body, bytes.len(), &route),
    };
    let limits = admit(host, &caller, most, record).await?;
    let label = Label {
        id: record.id.clone(),
        created: record.started / 1000,
        usage_wanted: dialect.usage_wanted(&body),
        framing: if let Ask::Stream(framing) = ask { framing } else { Framing::Sse },
        request: None,
        lost: Vec::new(),
    };
    let seal = Seal::new(caller.sha256);
    Ok(Job {
        dialect,
        ask,
        query: request.query.as_deref().and_then(query::passed_on),
        headers: &request.headers,
        body,
        bytes,
        media: &gateway.config.media,
        label,
        strict: route.strict || request.headers.get("x-tollgate-strict").is_some_and(|value| value != "false"),
        route,
        seal,
        sealed: seal::is_in(bytes),
        limits,
        begun: AtomicBool::new(false),
    })
}

fn plain(error: Error) -> Refusal {
    (error, Vec::new())
}

/// The most that a request may cost; `None` where a price is not known.
fn dearest(dialect: Inbound, ask: Ask, body: &Fields<'_>, body_bytes: usize, route: &Route) -> Option<Picodollars> {
    // No tokenizer makes two tokens of one byte pair of prose; what it makes of a prompt of symbols is billed all the same.
    let input = (body_bytes as u64).div_ceil(2);
    let output = output_max(dialect, ask, body);
    let service = match body.get::<String>("service_tier") {
        Ok(Some(tier)) if tier == "priority" => Service::Priority,
        _ => Service::Standard,
    };
    route.targets.iter().try_fold(Picodollars::default(), |most, target| {
        let priced = target.known.price.as_ref()?;
        Some(most.max(worst(input, output, service, &priced.price)?))
    })
}

/// Takes a place under the caller's limits, and the most that the request may cost.
async fn admit<H: Host>(
    host: &H,
    caller: &Caller,
    dearest: Option<Picodollars>,
    record: &mut Record,
) -> Result<Vec<(&'static str, String)>, Refusal> {
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

/// Asks target after target until one answers.
async fn answer<H: Host>(gateway: &Gateway, host: &H, job: &Job<'_>, mut record: Record) -> Reply<H::Body> {
    let (mut last, mut unfit) = (None, None);
    // Fetched once, whichever targets want them.
    let mut files = Files::default();
    for target in job.route.targets.iter().filter(|target| job.may_ask(target)) {
        let name = target.to_string();
        let mut began = host.now();
        let tried = loop {
            match attempt(host, job, target, &files, &record).await {
                Tried::Lacks(links) => match gather(host, job, links, &mut files).await {
                    Gathered::All => began = host.now(),
                    Gathered::Not(upset) => break Tried::Unhad(upset),
                    Gathered::Gone => return hung_up(host, record, None).await,
                },
                tried => break tried,
            }
        };
        let ms = host.now().saturating_sub(began);
        let (outcome, cause) = match &tried {
            Tried::Failed { outcome, upset } => (Some(*outcome), upset.cause.clone()),
            Tried::Whole { .. } | Tried::Stream { .. } => (Some(Outcome::Status(200)), String::new()),
            Tried::Gone(_) => (Some(Outcome::HungUp), String::new()),
            Tried::Unfit(_) | Tried::Lossy(_) | Tried::Lacks(_) | Tried::Unhad(_) => (None, String::new()),
        };
        record.attempts.extend(outcome.map(|outcome| Attempt { target: name.clone(), outcome, ms, cause }));
        match tried {
            Tried::Whole { mut headers, body, tally, lost } => {
                record.lost = lost_text(&lost);
                served(&mut record, target, host.now());
                let cost = record.cost(&tally).map_or_else(|| "unknown".to_owned(), |(cost, _)| cost.0.to_string());
                headers.push("x-tollgate-cost", cost);
                label(&mut headers, &record, job);
                close(host, record, End::Complete, Some(tally)).await;
                return Reply { status: 200, headers, body: ReplyBody::Whole(body) };
            }
            Tried::Stream { mut headers, upstream, relay, lost } => {
                record.lost = lost_text(&lost);
                served(&mut record, target, host.now());
                label(&mut headers, &record, job);
                return Reply {
                    status: 200,
                    headers,
                    body: ReplyBody::Relayed { upstream, relay, record: Box::new(record) },
                };
            }
            Tried::Failed { outcome, upset } => {
                let upset = upset.without_key(target, outcome);
                if !outcome.falls() {
                    return unanswered(host, job, record, upset).await;
                }
                if let Some(wait) = upset.error.retry_after {
                    gateway.health().rest(target, wait.saturating_mul(1000), host.now());
                }
                last = Some(upset);
            }
            Tried::Lossy(error) => last = Some(Upset::of(error)),
            Tried::Unhad(upset) if record.attempts.is_empty() => {
                record.unfetched = upset.cause.clone();
                return unanswered(host, job, record, upset).await;
            }
            // Somebody was asked without the file; the caller should hear of that one's failure, or of the next one's.
            Tried::Unhad(upset) => record.unfetched = upset.cause,
            // The loop above fetches what is lacking.
            Tried::Lacks(_) => {}
            // The first says it best: the caller wrote its list with that one in mind.
            Tried::Unfit(error) => unfit = unfit.or(Some(Upset::of(error))),
            Tried::Gone(tally) => {
                if tally.is_some() {
                    served(&mut record, target, host.now());
                    record.first_byte_ms = None;
                }
                return hung_up(host, record, tally).await;
            }
        }
    }
    match job.ask {
        Ask::TokenCount => counted(host, job, record).await,
        _ => {
            let none = || Upset::new(Kind::Internal, "no target was tried".to_owned());
            unanswered(host, job, record, last.or(unfit).unwrap_or_else(none)).await
        }
    }
}

/// Our own estimate of a request's tokens, where no target tells.
async fn counted<H: Host>(host: &H, job: &Job<'_>, mut record: Record) -> Reply<H::Body> {
    let request = match job.dialect.read_count(&job.body) {
        Ok(request) => request,
        Err(error) => return unanswered(host, job, record, Upset::of(error)).await,
    };
    record.status = 200;
    let mut headers = Headers::from_iter([("content-type", JSON), ("x-tollgate-estimated", "true")]);
    label(&mut headers, &record, job);
    close(host, record, End::Complete, None).await;
    whole(200, headers, job.dialect.write_count(count::tokens(&request)))
}

fn served(record: &mut Record, target: &Target, now: Millis) {
    record.status = 200;
    record.first_byte_ms = Some(now.saturating_sub(record.started));
    record.served = Some(Served { target: target.to_string(), price: target.known.price.clone() });
}

async fn hung_up<H: Host>(host: &H, mut record: Record, tally: Option<Tally>) -> Reply<H::Body> {
    record.status = HUNG_UP;
    close(host, record, End::HungUp, tally).await;
    whole(HUNG_UP, Headers::default(), Vec::new())
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
    label(&mut headers, &record, job);
    let (status, body) = match job.begun.load(Ordering::Relaxed) {
        // The head promised a stream.
        true => (200, job.last_words(&error)),
        false => (record.status, body),
    };
    close(host, record, End::Unanswered, None).await;
    Reply { status, headers, body: ReplyBody::Whole(body) }
}

async fn close<H: Host>(host: &H, record: Record, end: End, tally: Option<Tally>) {
    let settlement = record.close(end, tally, host.now());
    host.log(&settlement.line);
    if !settlement.adds.is_empty() {
        host.settle(settlement.adds).await;
    }
}

fn refused<B>(dialect: Inbound, id: &str, error: &Error, limits: Vec<(&'static str, String)>) -> Reply<B> {
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

/// Codex tries one first, and of all refusals understands 426 at once: others it tries again for seconds, and 400 ends it.
fn asks_for_websocket(headers: &Headers) -> bool {
    headers.get("upgrade").is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

fn wrong_method<B>(dialect: Inbound, id: &str, allow: &'static str) -> Reply<B> {
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
