//! The Spin host: a component for Spin 4.1, whose instances serve up to 16 requests at once on one thread.
//!
//! A panic would end every request of the instance, and a call that waits without `await` holds all of them up. The
//! head of a reply goes out when `handle` returns; its body and what is settled after it are a task of their own,
//! which Spin lets finish.

mod body;
mod configuration;
mod counters;
mod outlet;
mod receipts;
mod signatures;

use std::cell::RefCell;
use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::channel::oneshot;
use futures::future::{Either, select};
use http_body_util::BodyDataStream;
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{FullBody, Request};
use spin_sdk::key_value;
use spin_sdk::wasip3::http::types::{ErrorCode, Fields, RequestOptions, Response};
use spin_sdk::wasip3::http_compat::{IncomingResponseBody, RequestOptionsExtension};
use spin_sdk::wasip3::{random, spawn, wit_future, wit_stream};

use self::body::{bounded, drain};
use self::configuration::gateway;
use self::outlet::Outlet;
use super::{Answer, Broken, Headers, Host, Incoming, Millis, Outgoing, Reply, ReplyBody, StoreDown, Unreachable};
use crate::auth::proof::Signed;
use crate::dialect::Inbound;
use crate::error::{Error, Kind};
use crate::limit::{Admission, Bound};
use crate::receipt::Ids;
use crate::record::Settlement;
use crate::relay::{Gone, Sink, pump};
use crate::serve::{Gateway, serve};

const CONNECT: Duration = Duration::from_secs(10);
/// Spin would give up on a silent upstream after ten minutes; how long is too long is for `serve` to say.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

#[spin_sdk::http_service]
async fn handle(request: Request) -> Result<Response, ErrorCode> {
    let (early, begun) = oneshot::channel();
    let exchange = Rc::new(Exchange { early: RefCell::new(Some(early)), ..Exchange::default() });
    let Some(gateway) = gateway().await else {
        spawn(drain(request.into_body().stream()));
        return Ok(respond(exchange, misconfigured()));
    };
    let incoming = incoming(request, gateway.config.body_bytes_max).await;
    let (host, sharing) = (exchange.clone(), gateway.clone());
    if sharing.is_due(now()) {
        // An instance that has just begun learns what others know while it serves its first request.
        let (host, gateway) = (exchange.clone(), gateway.clone());
        spawn(async move { gateway.sync(&*host).await });
    }
    exchange.sharing.replace(Some(sharing));
    let served = Box::pin(async move { serve(&gateway, &*host, incoming).await });
    Ok(match select(served, begun).await {
        Either::Left((reply, _)) => respond(exchange, reply),
        Either::Right((Ok(headers), served)) => {
            let response = open(&exchange, 200, &headers, None);
            spawn(async move { finish(served.await.body, &exchange).await });
            response
        }
        // The sender goes with the host, which goes with the reply.
        Either::Right((Err(_), served)) => respond(exchange, served.await),
    })
}

fn misconfigured<B>() -> Reply<B> {
    let error = Error::new(Kind::Internal, "the configuration of this gateway cannot be used; its log says why");
    let headers = Headers::from_iter([("content-type", "application/json")]);
    let body = Inbound::OpenaiChat.error_body(&error, "");
    Reply { status: error.status(), headers, body: ReplyBody::Whole(body.into()) }
}

async fn incoming(request: Request, body_bytes_max: usize) -> Incoming {
    let (head, body) = request.into_parts();
    Incoming {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: headers(&head.headers),
        body: bounded(body.stream(), body_bytes_max).await,
    }
}

fn headers(fields: &http::HeaderMap) -> Headers {
    fields.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect()
}

/// The head, now; the body, then what is to be settled, in a task of their own.
fn respond(exchange: Rc<Exchange>, reply: Reply<Chunks>) -> Response {
    let length = match &reply.body {
        ReplyBody::Whole(bytes) => Some(bytes.len()),
        ReplyBody::Relayed { .. } => None,
    };
    let response = open(&exchange, reply.status, &reply.headers, length);
    spawn(async move { finish(reply.body, &exchange).await });
    response
}

/// A reply whose body `exchange` writes.
fn open(exchange: &Exchange, status: u16, headers: &Headers, length: Option<usize>) -> Response {
    let fields = Fields::new();
    for (name, value) in headers.iter() {
        // Spin refuses what HTTP forbids; the rest of the head is as good without it.
        let _ = fields.append(name, value.as_bytes());
    }
    if let Some(length) = length {
        let _ = fields.append("content-length", length.to_string().as_bytes());
    }
    let (writer, bytes) = wit_stream::new();
    // Its writer, dropped here, says that no trailers follow.
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(fields, Some(bytes), trailers);
    // A status that HTTP does not have stays 200; none of ours is one.
    let _ = response.set_status_code(status);
    exchange.body.open(writer);
    response
}

/// Carries the body to its end, then settles.
async fn finish(body: ReplyBody<Chunks>, exchange: &Exchange) {
    let mut caller = Caller(exchange);
    match body {
        ReplyBody::Whole(bytes) if bytes.is_empty() => drop(caller),
        ReplyBody::Whole(bytes) => {
            // Whether it arrives changes nothing any more.
            let _ = caller.write(bytes).await;
            drop(caller);
        }
        ReplyBody::Relayed { upstream, relay, record } => pump(exchange, upstream, *relay, *record, caller).await,
    }
    for settlement in exchange.unsettled.take() {
        settle(settlement).await;
    }
    if let Some(gateway) = exchange.sharing.take() {
        gateway.sync(exchange).await;
        configuration::refresh(&gateway, exchange).await;
    }
}

/// Takes a head that goes out before there is an answer.
type Early = oneshot::Sender<Headers>;

type Chunks = BodyDataStream<IncomingResponseBody>;

/// The host as one request sees it.
#[derive(Default)]
struct Exchange {
    body: Outlet,
    /// Kept until the reply is out.
    unsettled: RefCell<Vec<Settlement>>,
    /// Told when all is done what was learned.
    sharing: RefCell<Option<Arc<Gateway>>>,
    early: RefCell<Option<Early>>,
}

/// The reply's body until it is to end.
struct Caller<'a>(&'a Exchange);

impl Sink for Caller<'_> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.0.body.write(bytes).await
    }
}

impl Drop for Caller<'_> {
    /// Ends the reply's body, though the exchange goes on.
    fn drop(&mut self) {
        self.0.body.close();
    }
}

impl Host for Exchange {
    type Body = Chunks;

    fn now(&self) -> Millis {
        now()
    }

    fn random(&self) -> u64 {
        random::random::get_random_u64()
    }

    async fn sleep(&self, ms: u64) {
        spin_sdk::time::sleep(Duration::from_millis(ms)).await;
    }

    async fn gone(&self) {
        self.body.left().await;
    }

    async fn fetch(&self, request: Outgoing) -> Result<Answer<Chunks>, Unreachable> {
        let options = RequestOptions::new();
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).ok();
        // A host that knows no such limit has none.
        let _ = options.set_connect_timeout(nanos(CONNECT));
        let _ = options.set_first_byte_timeout(nanos(NO_LIMIT));
        let _ = options.set_between_bytes_timeout(nanos(NO_LIMIT));
        // Without the length the body would go out in chunks, which not every upstream takes.
        let mut builder = http::Request::builder()
            .method(request.method.name())
            .uri(request.url)
            .header("content-length", request.body.len())
            .extension(RequestOptionsExtension(options));
        for (name, value) in request.headers.iter() {
            builder = builder.header(name, value);
        }
        let request = builder.body(FullBody::new(request.body)).map_err(|error| Unreachable(error.to_string()))?;
        let response = spin_sdk::http::send(request).await.map_err(unreachable)?;
        let (head, body) = response.into_parts();
        Ok(Answer { status: head.status.as_u16(), headers: headers(&head.headers), body: body.stream() })
    }

    async fn send(&self, head: &Headers, bytes: Bytes) -> Result<(), Gone> {
        if let Some(early) = self.early.take() {
            // It is waited for until there is a reply.
            let _ = early.send(head.clone());
            self.body.opened().await;
        }
        self.body.write(bytes).await
    }

    async fn verify(&self, signed: &Signed) -> bool {
        signatures::verify(signed)
    }

    async fn sign(&self, key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        signatures::sign(key, message)
    }

    async fn read(&self, body: &mut Chunks) -> Result<Option<Bytes>, Broken> {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|_| Broken)?;
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    async fn admit(&self, bounds: &[Bound]) -> Result<Admission, StoreDown> {
        counters::admit(bounds, self.now()).await
    }

    /// Of a relayed reply before its end; of a whole one when it is out, since a store may take its time.
    async fn settle(&self, settlement: Settlement) {
        if self.body.is_open().await {
            settle(settlement).await;
        } else {
            self.unsettled.borrow_mut().push(settlement);
        }
    }

    async fn receipts(&self, caller: &str, ids: &Ids, most: usize) -> Result<Option<Vec<String>>, StoreDown> {
        receipts::list(caller, ids, most).await.map(Some)
    }

    async fn totals(&self, prefix: &str) -> Result<Vec<(String, i64)>, StoreDown> {
        counters::totals(prefix).await
    }

    async fn recall(&self, key: &str) -> Result<Option<Bytes>, StoreDown> {
        recall(key).await
    }

    async fn remember(&self, key: &str, value: Bytes, _: u32) -> Result<(), StoreDown> {
        remember(key, &value).await
    }

    fn log(&self, line: &str) {
        log(line);
    }
}

/// The store has no transactions. What is counted holds limits, so it goes first.
async fn settle(Settlement { adds, receipt, .. }: Settlement) {
    counters::settle(adds).await;
    if let Some(receipt) = receipt {
        receipts::keep(receipt, now()).await;
    }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// Beside the counters, under names that none of them has.
async fn recall(key: &str) -> Result<Option<Bytes>, StoreDown> {
    let store = key_value::Store::open_default().await.map_err(down)?;
    Ok(store.get(key).await.map_err(down)?.map(Bytes::from))
}

/// Forgets nothing: a key is written anew, or stays.
async fn remember(key: &str, value: &[u8]) -> Result<(), StoreDown> {
    key_value::Store::open_default().await.map_err(down)?.set(key, value).await.map_err(down)
}

fn down(error: key_value::Error) -> StoreDown {
    StoreDown(format!("{error:?}"))
}

/// What the operator is told. Whom a caller's URL leads to only Spin sees, and refuses by its configuration.
fn unreachable(error: ErrorCode) -> Unreachable {
    Unreachable(match error {
        ErrorCode::HttpRequestDenied => "allowed_outbound_hosts in spin.toml does not name its host".to_owned(),
        ErrorCode::DestinationIpProhibited => {
            "block_networks in Spin's runtime configuration has its address".to_owned()
        }
        error => format!("{error:?}"),
    })
}

/// In one piece, since other instances write to the same place.
fn log(line: &str) {
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}
