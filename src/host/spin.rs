//! The Spin host: a component for Spin 4.1, whose instances serve up to 16 requests at once on one thread.
//!
//! A panic would end every request of the instance, and a call that waits without `await` holds all of them up. The
//! head of a reply goes out when `handle` returns; its body and what is settled after it are a task of their own,
//! which Spin lets finish.

mod body;
mod counters;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::future::pending;
use std::io::Write as _;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::lock::Mutex;
use http_body_util::BodyDataStream;
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{FullBody, Request};
use spin_sdk::variables;
use spin_sdk::wasip3::http::types::{ErrorCode, Fields, RequestOptions, Response};
use spin_sdk::wasip3::http_compat::{IncomingResponseBody, RequestOptionsExtension};
use spin_sdk::wasip3::{random, spawn, wit_future, wit_stream};
use spin_sdk::wit_bindgen::{StreamResult, StreamWriter};

use self::body::{bounded, drain};
use super::{Answer, Broken, Headers, Host, Incoming, Millis, Outgoing, Reply, ReplyBody, StoreDown, Unreachable};
use crate::auth::Keyless;
use crate::config::{Config, Draft, Mistake};
use crate::dialect::Inbound;
use crate::error::{Error, Kind};
use crate::limit::{Add, Admission, Bound};
use crate::relay::{Gone, Sink, pump};
use crate::serve::{Gateway, serve};

const CONNECT: Duration = Duration::from_secs(10);
/// Spin would give up on a silent upstream after ten minutes; how long is too long is for `serve` to say.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon it is noticed that a caller has left while the upstream is silent.
const PROBE: Duration = Duration::from_millis(200);

thread_local! {
    /// Lives as long as the instance: at most 128 requests, or a second without one. So a changed variable is soon seen.
    static GATEWAY: OnceCell<Rc<Gateway>> = const { OnceCell::new() };
}

#[spin_sdk::http_service]
async fn handle(request: Request) -> Result<Response, ErrorCode> {
    let exchange = Exchange::default();
    let gateway = match gateway().await {
        Ok(gateway) => gateway,
        Err(mistakes) => {
            for Mistake(mistake) in mistakes {
                log(&format!("the configuration cannot be used: {mistake}"));
            }
            spawn(drain(request.into_body().stream()));
            return respond(exchange, misconfigured());
        }
    };
    let incoming = incoming(request, gateway.config.body_bytes_max).await;
    let reply = serve(&gateway, &exchange, incoming).await;
    respond(exchange, reply)
}

async fn gateway() -> Result<Rc<Gateway>, Vec<Mistake>> {
    if let Some(gateway) = GATEWAY.with(|cell| cell.get().cloned()) {
        return Ok(gateway);
    }
    let one = |mistake| vec![mistake];
    let text = variable("TOLLGATE_CONFIG").await.map_err(one)?;
    let draft = Draft::from_json(text.as_deref()).map_err(one)?;
    let mut secrets = HashMap::new();
    for name in draft.secrets() {
        if let Some(value) = variable(&name).await.map_err(one)? {
            secrets.insert(name, value);
        }
    }
    let config = Config::compile(&draft, |name| secrets.get(name).cloned())?;
    let gateway = Rc::new(Gateway::new(config, Keyless::Refused));
    // Another request of this instance may have been here first, and has learned about targets since.
    Ok(GATEWAY.with(|cell| cell.get_or_init(|| gateway).clone()))
}

/// Variables of Spin have lower-case names. One that the manifest does not declare, or that nothing could declare,
/// is absent; whether it is needed is for the configuration to say.
async fn variable(name: &str) -> Result<Option<String>, Mistake> {
    match variables::get(name.to_ascii_lowercase()).await {
        Ok(value) => Ok(Some(value)),
        Err(variables::Error::Undefined(_) | variables::Error::InvalidName(_)) => Ok(None),
        Err(error) => Err(Mistake(format!("variable {}: {error}", name.to_ascii_lowercase()))),
    }
}

fn misconfigured<B>() -> Reply<B> {
    let error = Error::new(Kind::Internal, "the configuration of this gateway has mistakes; its log names them");
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
fn respond(mut exchange: Exchange, reply: Reply<Chunks>) -> Result<Response, ErrorCode> {
    let fields = Fields::new();
    for (name, value) in reply.headers.iter() {
        // Spin refuses what HTTP forbids; the rest of the head is as good without it.
        let _ = fields.append(name, value.as_bytes());
    }
    if let ReplyBody::Whole(bytes) = &reply.body {
        let _ = fields.append("content-length", bytes.len().to_string().as_bytes());
    }
    let (writer, bytes) = wit_stream::new();
    // Its writer, dropped here, says that no trailers follow.
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(fields, Some(bytes), trailers);
    let set = response.set_status_code(reply.status);
    *exchange.body.get_mut() = Some(writer);
    spawn(async move {
        let mut caller = Caller(&exchange);
        match reply.body {
            ReplyBody::Whole(bytes) => {
                // Whether it arrives changes nothing any more.
                let _ = caller.write(bytes).await;
                drop(caller);
            }
            ReplyBody::Relayed { upstream, relay, record } => {
                pump(&exchange, upstream, *relay, *record, caller).await;
            }
        }
        counters::settle(exchange.unsettled.take()).await;
    });
    set.map(|()| response).map_err(|()| ErrorCode::InternalError(None))
}

type Chunks = BodyDataStream<IncomingResponseBody>;

/// The host as one request sees it.
#[derive(Default)]
struct Exchange {
    /// The reply's body, from its head to its end. Locked while it is written to, so that no probe comes between.
    body: Mutex<Option<StreamWriter<u8>>>,
    /// Kept until the reply is out.
    unsettled: RefCell<Vec<Add>>,
}

struct Caller<'a>(&'a Exchange);

impl Sink for Caller<'_> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let mut body = self.0.body.lock().await;
        let body = body.as_mut().ok_or(Gone)?;
        // Not `write_all`, which panics if a write reports the cancellation of the probe before it.
        let (mut result, mut rest) = body.write(bytes.into()).await;
        while result != StreamResult::Dropped {
            if rest.remaining() == 0 {
                return Ok(());
            }
            (result, rest) = body.write_buf(rest).await;
        }
        Err(Gone)
    }
}

impl Drop for Caller<'_> {
    /// Ends the reply's body, though the exchange goes on.
    fn drop(&mut self) {
        if let Some(mut body) = self.0.body.try_lock() {
            body.take();
        }
    }
}

impl Host for Exchange {
    type Body = Chunks;

    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }

    fn random(&self) -> u64 {
        random::random::get_random_u64()
    }

    async fn sleep(&self, ms: u64) {
        spin_sdk::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Spin does not tell; but an empty write is refused once the caller has left. There is nothing to write to
    /// before the reply's head.
    async fn gone(&self) {
        loop {
            spin_sdk::time::sleep(PROBE).await;
            let mut body = self.body.lock().await;
            let Some(body) = body.as_mut() else { break };
            if body.write(Vec::new()).await.0 == StreamResult::Dropped {
                return;
            }
        }
        pending().await
    }

    async fn fetch(&self, request: Outgoing) -> Result<Answer<Chunks>, Unreachable> {
        let options = RequestOptions::new();
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).ok();
        // A host that knows no such limit has none.
        let _ = options.set_connect_timeout(nanos(CONNECT));
        let _ = options.set_first_byte_timeout(nanos(NO_LIMIT));
        let _ = options.set_between_bytes_timeout(nanos(NO_LIMIT));
        // Without the length the body would go out in chunks, which not every upstream takes.
        let mut builder = http::Request::post(request.url)
            .header("content-length", request.body.len())
            .extension(RequestOptionsExtension(options));
        for (name, value) in request.headers.iter() {
            builder = builder.header(name, value);
        }
        let request = builder.body(FullBody::new(request.body)).map_err(|error| Unreachable(error.to_string()))?;
        let response = spin_sdk::http::send(request).await.map_err(|error| Unreachable(format!("{error:?}")))?;
        let (head, body) = response.into_parts();
        Ok(Answer { status: head.status.as_u16(), headers: headers(&head.headers), body: body.stream() })
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
    async fn settle(&self, adds: Vec<Add>) {
        if self.body.lock().await.is_some() {
            counters::settle(adds).await;
        } else {
            self.unsettled.borrow_mut().extend(adds);
        }
    }

    async fn totals(&self, prefix: &str) -> Result<Vec<(String, i64)>, StoreDown> {
        counters::totals(prefix).await
    }

    fn log(&self, line: &str) {
        log(line);
    }
}

/// In one piece, since other instances write to the same place.
fn log(line: &str) {
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}
