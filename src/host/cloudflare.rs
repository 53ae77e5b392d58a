//! The Cloudflare Workers host. It speaks `web_sys` types and leaves streams to JavaScript (`cloudflare/host.js`),
//! because a body that goes through a Rust stream costs seven times the hand-over.
//!
//! One isolate serves many requests at once and may go away at any time: nothing here holds the only copy of a number.

mod configuration;
mod counters;
mod early;
mod gone;
mod pumped;
mod upstream;

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{Either, select};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, AbortSignal, ReadableStream, ReadableStreamDefaultReader, Request, Response};
use worker::{Context, Delay, Env, ScheduleContext, ScheduledEvent, event};

use self::configuration::gateway;
use self::counters::Store;
use self::early::Early;
use self::gone::Gone;
use self::pumped::Pumped;
use self::upstream::Upstream;
use super::{
    Answer, Body, Broken, Headers, Host, Incoming, Millis, Outgoing, Reply, ReplyBody, StoreDown, Unreachable,
};
use crate::auth::proof::{Algorithm, Signed};
use crate::limit::{Admission, Bound};
use crate::receipt::Ids;
use crate::record::Settlement;
use crate::relay;
use crate::serve::{prices, serve};

#[wasm_bindgen(module = "/src/host/cloudflare/host.js")]
extern "C" {
    fn pairs(headers: &web_sys::Headers) -> String;
    #[wasm_bindgen(catch)]
    fn reply(status: u16, head: &str, body: &JsValue) -> Result<Response, JsValue>;
    fn random() -> u64;
    #[wasm_bindgen(catch)]
    async fn send(
        method: &str,
        url: &str,
        head: &str,
        body: &[u8],
        caller: &AbortSignal,
        attempt: &AbortSignal,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn whole(body: &ReadableStream, max: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    fn reader(body: &ReadableStream) -> Result<ReadableStreamDefaultReader, JsValue>;
    #[wasm_bindgen(catch)]
    async fn read(reader: &ReadableStreamDefaultReader) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn verify(algorithm: &str, key: &[u8], message: &[u8], signature: &[u8]) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn sign(key: &[u8], message: &[u8]) -> Result<JsValue, JsValue>;
    type Opened;
    fn open() -> Opened;
    #[wasm_bindgen(method, getter)]
    fn readable(this: &Opened) -> ReadableStream;
    #[wasm_bindgen(catch)]
    async fn say(opened: &Opened, bytes: &[u8]) -> Result<JsValue, JsValue>;
    async fn close(opened: &Opened);
    #[wasm_bindgen(catch)]
    fn rows(sql: &JsValue, query: &str, values: &str) -> Result<String, JsValue>;
    #[wasm_bindgen(catch)]
    async fn kept(namespace: &JsValue, key: &str, seconds: u32) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn keep(namespace: &JsValue, key: &str, value: &JsValue, seconds: u32) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn texts(namespace: &JsValue, prefix: &str, except: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn pump(
        reader: &ReadableStreamDefaultReader,
        caller: &AbortSignal,
        relay: Pumped,
        opened: &Opened,
    ) -> Result<JsValue, JsValue>;
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let (env, context) = (Rc::new(env), Rc::new(context));
    let Some(gateway) = gateway(&env, &context).await else {
        let body = JsValue::from_str(
            r#"{"error":{"message":"the gateway's configuration cannot be used; its log says why","type":"server_error","param":null,"code":"internal_error"}}"#,
        );
        return Ok(reply(500, "content-type\napplication/json", &body)?);
    };
    let store = Rc::new(Store::new(&env));
    let (early, begun) = oneshot::channel();
    let (caller, kv) = (request.signal(), namespace(&env));
    let host = Rc::new(Visit { caller, context: Some(context.clone()), store, kv, early: Early::new(early) });
    let incoming = incoming(&request, gateway.config.body_bytes_max).await?;
    let (visit, sharing) = (host.clone(), gateway.clone());
    let served = Box::pin(async move { serve(&gateway, &*visit, incoming).await });
    let replied = select(served, begun).await;
    if sharing.is_due(now()) {
        let host = host.clone();
        context.wait_until(async move { sharing.sync(&*host).await });
    }
    match replied {
        Either::Left((answer, _)) => Ok(respond(answer, host)?),
        Either::Right((Ok((head, opened)), served)) => {
            let readable = opened.readable();
            let opened = opened.clone();
            context.wait_until(async move { finish(served.await.body, host, &opened).await });
            Ok(reply(200, &written(&head), &readable)?)
        }
        // The sender goes with the host, which goes with the answer.
        Either::Right((Err(_), served)) => Ok(respond(served.await, host)?),
    }
}

/// What the cron triggers of wrangler.toml ask for: prices anew.
#[event(scheduled)]
async fn scheduled(_: ScheduledEvent, env: Env, _: ScheduleContext) {
    let env = Rc::new(env);
    let Some(gateway) = configuration::latest(&env).await else { return };
    let (Some(from), Ok(nobody)) = (&gateway.config.refresh, AbortController::new()) else { return };
    let (early, _) = oneshot::channel();
    let (store, kv, early) = (Rc::new(Store::new(&env)), namespace(&env), Early::new(early));
    let host = Visit { caller: nobody.signal(), context: None, store, kv, early };
    if let Err(why) = prices::renew(&host, from).await {
        host.log(&prices::failed(&why));
    }
}

/// The namespace of KV, where the deployment has one.
fn namespace(env: &Env) -> Option<JsValue> {
    js_sys::Reflect::get(env, &JsValue::from_str("TOLLGATE")).ok().filter(JsValue::is_object)
}

/// The least that KV takes. Where a key is read often, KV looks by itself whether its copy is still good.
const KV_CACHE_SECONDS: u32 = 30;
/// The least for which KV keeps anything.
const KV_SECONDS_MIN: u32 = 60;

async fn recall(kv: &JsValue, key: &str) -> Result<Option<Bytes>, StoreDown> {
    let found = kept(kv, key, KV_CACHE_SECONDS).await.map_err(down)?;
    Ok(found.is_object().then(|| bytes(&found)))
}

async fn remember(kv: &JsValue, key: &str, value: &[u8], seconds: u32) -> Result<(), StoreDown> {
    keep(kv, key, &Uint8Array::from(value), seconds.max(KV_SECONDS_MIN)).await.map(drop).map_err(down)
}

fn down(error: JsValue) -> StoreDown {
    StoreDown(worker::Error::from(error).to_string())
}

async fn incoming(request: &Request, body_bytes_max: usize) -> Result<Incoming, JsValue> {
    let url = request.url();
    let after_scheme = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let path = after_scheme.find('/').and_then(|slash| after_scheme.get(slash..)).unwrap_or("/");
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query.to_owned())));
    let headers = parse(&pairs(&request.headers()));
    let declared = headers.get("content-length").and_then(|length| length.parse::<usize>().ok());
    let body = match (declared, request.body()) {
        (_, None) => Body::Whole(Bytes::new()),
        (Some(length), _) if length > body_bytes_max => Body::TooLarge,
        // In one step, where reading piece by piece takes hundreds.
        (Some(_), _) => Body::Whole(bytes(&JsFuture::from(request.array_buffer()?).await?)),
        (None, Some(stream)) => match whole(&stream, body_bytes_max as f64).await?.dyn_into::<Uint8Array>() {
            Ok(array) => Body::Whole(array.to_vec().into()),
            Err(_) => Body::TooLarge,
        },
    };
    Ok(Incoming { method: request.method(), path: path.to_owned(), query, headers, body })
}

fn respond(answer: Reply<Upstream>, host: Rc<Visit>) -> Result<Response, JsValue> {
    let body = match answer.body {
        ReplyBody::Whole(bytes) => Uint8Array::from(bytes.as_ref()).into(),
        relayed @ ReplyBody::Relayed { .. } => {
            let opened = open();
            let readable = opened.readable();
            if let Some(context) = host.context.clone() {
                context.wait_until(async move { finish(relayed, host, &opened).await });
            }
            readable.into()
        }
    };
    reply(answer.status, &written(&answer.headers), &body)
}

/// Carries the body of a reply to its end.
async fn finish(body: ReplyBody<Upstream>, host: Rc<Visit>, opened: &Opened) {
    match body {
        ReplyBody::Whole(bytes) => {
            if !bytes.is_empty() {
                // Whether it arrives changes nothing any more.
                let _ = say(opened, &bytes).await;
            }
            close(opened).await;
        }
        ReplyBody::Relayed { upstream, relay, record } => {
            // It was held back for its first content, so there is a body.
            let Some(reader) = upstream.hand_over() else { return close(opened).await };
            let caller = host.caller.clone();
            let pumped = Pumped::new(*relay, *record, host);
            // Fails only with the whole isolate.
            let _ = pump(&reader, &caller, pumped, opened).await;
        }
    }
}

/// The host as one request sees it.
pub struct Visit {
    caller: AbortSignal,
    /// Of a request; none where nobody asked.
    context: Option<Rc<Context>>,
    store: Rc<Store>,
    /// A namespace, where the deployment has one.
    kv: Option<JsValue>,
    early: Early,
}

impl Host for Visit {
    type Body = Upstream;

    fn now(&self) -> Millis {
        now()
    }

    fn random(&self) -> u64 {
        random()
    }

    async fn sleep(&self, ms: u64) {
        Delay::from(Duration::from_millis(ms)).await;
    }

    async fn gone(&self) {
        Gone::new(self.caller.clone()).await;
    }

    async fn fetch(&self, request: Outgoing) -> Result<Answer<Upstream>, Unreachable> {
        upstream::fetch(request, &self.caller).await
    }

    async fn send(&self, head: &Headers, bytes: Bytes) -> Result<(), relay::Gone> {
        self.early.send(head, &bytes).await
    }

    async fn verify(&self, signed: &Signed) -> bool {
        let Signed { algorithm, key, message, signature } = signed;
        let algorithm = match algorithm {
            Algorithm::P256Sha256 => "P-256 SHA-256",
            Algorithm::P384Sha256 => "P-384 SHA-256",
            Algorithm::P384Sha384 => "P-384 SHA-384",
            Algorithm::Rs256 => "RS256",
            Algorithm::Ed25519 => "Ed25519",
        };
        verify(algorithm, key, message, signature).await.is_ok_and(|is_good| is_good.is_truthy())
    }

    async fn sign(&self, key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        sign(key, message).await.ok().map(|signature| bytes(&signature).into())
    }

    async fn read(&self, upstream: &mut Upstream) -> Result<Option<Bytes>, Broken> {
        upstream.read().await
    }

    async fn admit(&self, bounds: &[Bound]) -> Result<Admission, StoreDown> {
        self.store.admit(bounds).await
    }

    async fn settle(&self, settlement: Settlement) {
        // A hop to the counters would keep the reply waiting.
        let store = self.store.clone();
        match &self.context {
            Some(context) => context.wait_until(async move { store.settle(settlement).await }),
            None => store.settle(settlement).await,
        }
    }

    async fn receipts(&self, caller: &str, ids: &Ids, most: usize) -> Result<Option<Vec<String>>, StoreDown> {
        self.store.receipts(caller, ids, most).await
    }

    async fn totals(&self, prefix: &str) -> Result<Vec<(String, i64)>, StoreDown> {
        self.store.totals(prefix).await
    }

    async fn recall(&self, key: &str) -> Result<Option<Bytes>, StoreDown> {
        match &self.kv {
            Some(kv) => recall(kv, key).await,
            None => Ok(None),
        }
    }

    async fn remember(&self, key: &str, value: Bytes, seconds: u32) -> Result<(), StoreDown> {
        match &self.kv {
            Some(kv) => remember(kv, key, &value, seconds).await,
            None => Ok(()),
        }
    }

    fn keeps(&self) -> bool {
        self.kv.is_some()
    }

    fn log(&self, line: &str) {
        worker::console_log!("{line}");
    }
}

fn now() -> Millis {
    js_sys::Date::now() as Millis
}

fn bytes(buffer: &JsValue) -> Bytes {
    Uint8Array::new(buffer).to_vec().into()
}

fn parse(pairs: &str) -> Headers {
    let mut lines = pairs.split('\n');
    std::iter::from_fn(|| Some((lines.next().filter(|name| !name.is_empty())?, lines.next()?))).collect()
}

fn written(headers: &Headers) -> String {
    let lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}\n{}", value.replace(['\r', '\n'], " "))).collect();
    lines.join("\n")
}
