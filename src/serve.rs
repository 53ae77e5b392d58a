//! One request from head to reply: the order of effects. Everything called from here either decides or is one of
//! the host's verbs.

mod account;
mod alerts;
mod answer;
mod attempt;
mod attest;
mod cors;
pub mod current;
mod door;
pub mod explain;
mod head;
pub mod keys;
mod media;
mod prepare;
pub mod prices;
mod question;
mod receipts;
mod report;
mod splice;
mod sync;
mod tokens;

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::{Either, select};

use self::account::{credits, key, usage};
use self::answer::{Answered, answer};
use self::attest::{Accesses, attest};
use self::door::{Call, Door, door, is_for_anybody};
use self::explain::explain;
use self::head::{JSON, early_head, header_text, name_request};
use self::prepare::prepare;
use self::receipts::generation;
use self::report::report;
use self::splice::carry;
use self::sync::Sharing;
use self::tokens::tokens;
use crate::auth::issued::Ring;
use crate::auth::jwks::Trusted;
use crate::auth::own::OwnKeys;
use crate::auth::{self, Keyless};
use crate::config::{Caller, Config};
use crate::dialect::{Inbound, ai_sdk};
use crate::error::{Error, Kind};
use crate::host::{Headers, Host, Incoming, Millis, Reply, ReplyBody, StoreDown};
use crate::limit::alert::Alerts;
use crate::receipt;
use crate::record::{End, Record, Tally};
use crate::route;
use crate::route::health::{HASH_START, hash};
use crate::route::watch::Shared;
use crate::wire::json::{to_vec, written};
use crate::wire::query::parameter;

/// What outlives a request: the configuration, and what was learned about targets.
#[derive(Debug)]
pub struct Gateway {
    pub config: Config,
    pub keyless: Keyless,
    /// These outlive a configuration.
    pub health: Shared,
    sharing: Arc<Mutex<Sharing>>,
    ring: Arc<Mutex<Ring>>,
    trusted: Arc<Trusted>,
    accesses: Arc<Accesses>,
    alerts: Arc<Mutex<Alerts>>,
}

/// Nobody reads the reply to a caller who has hung up; the log shows the status that proxies use for it.
const HUNG_UP: u16 = 499;

impl Gateway {
    pub fn new(config: Config, keyless: Keyless) -> Self {
        let (health, sharing, ring, trusted, alerts, accesses) = Default::default();
        Self { config, keyless, health, sharing, ring, trusted, alerts, accesses }
    }

    /// The same under another configuration: what was learned stays.
    pub fn with(&self, config: Config) -> Self {
        let (health, sharing) = (self.health.clone(), self.sharing.clone());
        let (ring, trusted, alerts) = (self.ring.clone(), self.trusted.clone(), self.alerts.clone());
        let accesses = self.accesses.clone();
        Self { config, keyless: self.keyless, health, sharing, ring, trusted, alerts, accesses }
    }

    /// The caller of a request with these headers and this query, if its key is good at this time.
    pub fn caller(&self, request: (&Headers, Option<&str>), now: Millis) -> Result<Arc<Caller>, Error> {
        let issued = self.ring().callers();
        auth::caller((&self.config, &issued, &self.trusted), self.keyless, request, now)
    }

    /// The longest body that is of use in a request with these headers and this query; none where it is refused for its key.
    pub fn body_bytes_max(&self, path: &str, request: (&Headers, Option<&str>), now: Millis) -> Option<usize> {
        match is_for_anybody(path) {
            true => Some(attest::BODY_BYTES_MAX),
            false => self.caller(request, now).is_ok().then_some(self.config.body_bytes_max),
        }
    }
}

/// Answers one request. Never fails: what goes wrong is an answer too.
pub async fn serve<H: Host>(gateway: &Gateway, host: &H, request: Incoming) -> Reply<H::Body> {
    // Until the reply is there, for who calls is asked more than once on the way.
    let _proven = gateway.prove(host, (&request.headers, request.query.as_deref())).await;
    let now = host.now();
    let drawn = [host.random(), host.random()];
    let door = door(&request.path, request.query.as_deref(), &request.headers);
    if door.is_some()
        && let Some(reply) = cors::preflight(gateway, &request)
    {
        return reply;
    }
    // Whose page is refused is told so by its browser, which knows no more than that.
    let origin = request.headers.get("origin").map(str::to_owned);
    let reader = origin.filter(|origin| caller(gateway, &request, now).is_ok_and(|caller| caller.is_for(origin)));
    let mut reply = answered(gateway, host, (now, drawn), (door, reader.as_deref()), request).await;
    if let Some(origin) = &reader {
        cors::let_read(&mut reply.headers, origin);
    }
    reply
}

/// The same, but for what browsers are told of a head that has not gone out.
async fn answered<H: Host>(
    gateway: &Gateway,
    host: &H,
    (now, drawn): (Millis, [u64; 2]),
    (door, reader): (Option<Door>, Option<&str>),
    request: Incoming,
) -> Reply<H::Body> {
    let id = receipt::id(now, drawn);
    let is_get = matches!(request.method.as_str(), "GET" | "HEAD");
    let dialect = match &door {
        Some(Door::Call(call) | Door::Explain(Some(call))) => call.dialect,
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
            let config = &gateway.config;
            let [high, low] = drawn;
            let record = Record {
                // Its id has no room for all that was drawn.
                chance: hash(HASH_START, format!("req_{high:016x}{low:016x}").as_bytes()),
                configuration: config.version.clone(),
                receipts_ms: config.receipts_ms,
                ..Record::open(id, call.path, now)
            };
            return ask(gateway, host, (call, reader), record, request).await;
        }
        Some(Door::Call(_)) if asks_for_websocket(&request.headers) => {
            Err(Error::new(Kind::NoWebSocket, "this path takes POST; there is no WebSocket here"))
        }
        Some(Door::Explain(call)) if request.method == "POST" => {
            explain(gateway, call, &request, &mut Record::open(id.clone(), "/v1/explain", now)).map(Page::json)
        }
        Some(Door::Call(_) | Door::Explain(_)) => return wrong_method(dialect, &id, "POST"),
        Some(Door::Keys(asked)) if !asked.takes(&request.method) => {
            return wrong_method(dialect, &id, asked.methods());
        }
        Some(Door::Keys(asked)) => match keys::keys(gateway, host, asked, &request).await {
            Ok((status, body)) => return made(status, &id, body),
            Err(error) => Err(error),
        },
        Some(Door::Attest(_)) if request.method != "POST" => return wrong_method(dialect, &id, "POST"),
        Some(Door::Attest(step)) => match attest(gateway, host, step, &request).await {
            Ok(body) => return made(200, &id, body),
            Err(error) => Err(error),
        },
        Some(Door::Tokens) if request.method != "POST" => return wrong_method(dialect, &id, "POST"),
        Some(Door::Tokens) => match tokens(gateway, host, &request) {
            Ok(body) => return made(201, &id, body),
            Err(error) => Err(error),
        },
        Some(_) if !is_get => return wrong_method(dialect, &id, "GET"),
        Some(Door::Home) => Ok(Page::json(home())),
        Some(Door::Health) => Ok(Page::json(to_vec(&Status { status: "ok", configuration: &gateway.config.version }))),
        Some(Door::Models(_)) => models(gateway, dialect, &request, now).map(Page::json),
        Some(Door::Model(_, name)) => model(gateway, dialect, &name, &request, now).map(Page::json),
        Some(Door::Usage) => usage(gateway, host, &request).await,
        Some(Door::Generation) => generation(gateway, host, &request).await.map(Page::json),
        Some(Door::Key) => key(gateway, host, &request).await.map(Page::json),
        Some(Door::Credits) => credits(gateway, host, &request).await.map(Page::json),
        Some(Door::Report) => report(gateway, host, &request).await,
    };
    match answer {
        Ok(Page { kind, body }) => {
            whole(200, Headers::from_iter([("content-type", kind), ("x-tollgate-id", &id)]), body)
        }
        Err(error) => refused(dialect, &id, &error, Vec::new()),
    }
}

/// An answer of the gateway itself.
struct Page {
    /// Its `content-type`.
    kind: &'static str,
    body: Vec<u8>,
}

impl Page {
    fn json(body: Vec<u8>) -> Self {
        Self { kind: JSON, body }
    }

    fn csv(body: Vec<u8>) -> Self {
        Self { kind: "text/csv; charset=utf-8; header=present", body }
    }
}

/// Whether a table is wanted for a spreadsheet.
fn as_csv(request: &Incoming) -> bool {
    let by_query = parameter(request.query.as_deref(), "format").map(|format| format == "csv");
    by_query.unwrap_or_else(|| request.headers.get("accept").is_some_and(|accept| accept.contains("text/csv")))
}

/// What holds a key, or a token.
fn made<B>(status: u16, id: &str, body: Vec<u8>) -> Reply<B> {
    let headers = [("content-type", JSON), ("cache-control", "no-store"), ("x-tollgate-id", id)];
    whole(status, Headers::from_iter(headers), body)
}

fn store_down(_: StoreDown) -> Error {
    Error::internal("the store that holds the counters cannot be reached")
}

fn nowhere(path: &str) -> Error {
    Error::new(Kind::UnknownPath, format!("there is nothing at {}; GET / lists what there is", shown(path)))
}

fn home() -> Vec<u8> {
    let home = concat!(
        r#"{"name":"tollgate","version":""#,
        env!("CARGO_PKG_VERSION"),
        r#"","endpoints":["POST /v1/chat/completions","POST /v1/responses","POST /v1/messages","POST /v1/messages/count_tokens","POST /v1beta/models/{model}:generateContent","POST /v1beta/models/{model}:streamGenerateContent","POST /v1beta/models/{model}:countTokens","POST /v1/completions","POST /v1/embeddings","POST /v1/rerank","POST /v1/explain","POST /v4/ai/language-model","POST /v4/ai/embedding-model","POST /v4/ai/reranking-model","GET /v4/ai/config","GET /v1/models","GET /v1/models/{model}","GET /v1/usage","GET /v1/generation?id={id}","GET /v1/report","GET /v1/key","GET /v1/credits","GET /v1/keys","POST /v1/keys","GET /v1/keys/{name}","PATCH /v1/keys/{name}","DELETE /v1/keys/{name}","POST /v1/keys/{name}/rotate","POST /v1/tokens","POST /v1/attest/challenge","POST /v1/attest/apple","POST /v1/attest/apple/assert","POST /v1/attest/google","GET /health"],"#,
        r#""try":"POST /v1/chat/completions with {\"model\":\"tollgate/echo\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"}"#,
    );
    home.into()
}

written! {
    struct Status<'a> {
        status: &'static str,
        /// The version of the configuration.
        configuration?: &'a str,
    }
}

fn caller(gateway: &Gateway, request: &Incoming, now: Millis) -> Result<Arc<Caller>, Error> {
    gateway.caller((&request.headers, request.query.as_deref()), now)
}

/// The same with a key of its own: a token is for requests to models, and is told nothing of what others did.
fn own_caller(gateway: &Gateway, request: &Incoming, now: Millis) -> Result<Arc<Caller>, Error> {
    let caller = caller(gateway, request, now)?;
    match caller.token {
        None => Ok(caller),
        Some(_) => Err(Error::new(Kind::Forbidden, "this is for a key; GET /v1/key tells what a token is good for")),
    }
}

fn models(gateway: &Gateway, dialect: Inbound, request: &Incoming, now: Millis) -> Result<Vec<u8>, Error> {
    let caller = caller(gateway, request, now)?;
    let own = OwnKeys::of((&gateway.config, &caller), dialect, &request.headers, None)?;
    Ok(dialect.write_models(&route::listed(&gateway.config, &caller, &own)))
}

fn model(gateway: &Gateway, dialect: Inbound, name: &str, request: &Incoming, now: Millis) -> Result<Vec<u8>, Error> {
    let caller = caller(gateway, request, now)?;
    route::check_name(name)?;
    let own = OwnKeys::of((&gateway.config, &caller), dialect, &request.headers, None)?;
    Ok(dialect.write_model(&route::shown(&gateway.config, &caller, &own, name)?))
}

async fn ask<H: Host>(
    gateway: &Gateway,
    host: &H,
    (call, reader): (Call, Option<&str>),
    mut record: Record,
    request: Incoming,
) -> Reply<H::Body> {
    let dialect = call.dialect;
    let (job, mut plan) = match prepare(gateway, host, call, &request, &mut record).await {
        Ok(prepared) => prepared,
        Err((error, limits)) => {
            record.status = dialect.error_status(&error);
            let reply = refused(dialect, &record.id, &error, limits);
            close(host, record, End::Refused, None).await;
            return reply;
        }
    };
    let files = Mutex::default();
    let mut head = early_head(&job, &record);
    if let Some(origin) = reader {
        cors::let_read(&mut head, origin);
    }
    let answered = answer(host, &job, &mut plan, &files, record);
    let answered = match job.streams() {
        true => {
            let beat = || {
                job.begun.store(true, Ordering::Relaxed);
                Bytes::from_static(dialect.heartbeat())
            };
            let beat_ms = job.policy.patience.heartbeat_ms;
            beating(host, &head, (beat_ms, beat_ms), beat, answered).await
        }
        false => answered.await,
    };
    match answered {
        Answered::Reply(reply) => reply,
        Answered::Begun(mut begun) => {
            if let Some(origin) = reader {
                cors::let_read(&mut begun.headers, origin);
            }
            carry(host, &job, &mut plan, &files, begun).await
        }
    }
}

/// Waits for `work`, and tells a caller who waits for long that the answer is on its way: first after `wait_ms`, then
/// every `beat_ms`. Another target may still give it.
async fn beating<H: Host, T>(
    host: &H,
    head: &Headers,
    (mut wait_ms, beat_ms): (Millis, Millis),
    mut beat: impl FnMut() -> Bytes,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    loop {
        match select(work.as_mut(), pin!(host.sleep(wait_ms))).await {
            Either::Left((done, _)) => return done,
            Either::Right(_) => {
                wait_ms = beat_ms;
                // Whether it arrives changes nothing: who waits for an answer sees that its caller has gone. But what is
                // being sent is sent to its end, for part of it may be out.
                match select(work.as_mut(), pin!(host.send(head, beat()))).await {
                    Either::Left((done, sent)) => {
                        let _ = sent.await;
                        return done;
                    }
                    Either::Right(_) => {}
                }
            }
        }
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
    whole(dialect.error_status(error), headers, dialect.error_body(error, id))
}

async fn close<H: Host>(host: &H, record: Record, end: End, tally: Option<Tally>) {
    let settlement = record.close(end, tally, host.now());
    host.log(&settlement.line);
    if !settlement.is_empty() {
        host.settle(settlement).await;
    }
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
