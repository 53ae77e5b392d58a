//! The host as one request sees it.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming as Received;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Lane;
use super::reply::Slot;
use super::signatures;
use crate::auth::proof::Signed;
use crate::host::{Answer, Broken, Headers, Host, Method, Millis, Network, Outgoing, StoreDown, Unreachable};
use crate::limit::{Admission, Bound};
use crate::receipt::Ids;
use crate::record::Settlement;
use crate::relay::{Gone, Sink as _};

pub(super) struct Request {
    pub(super) lane: Arc<Lane>,
    pub(super) gone: CancellationToken,
    pub(super) slot: Slot,
    /// For the head, if it goes out before there is an answer.
    pub(super) early: Mutex<Option<oneshot::Sender<Headers>>>,
}

impl Request {
    /// A host without a request, for what is done between them.
    pub(super) fn idle(lane: Arc<Lane>) -> Self {
        let gone = CancellationToken::new();
        Self { lane, slot: Slot::new(gone.clone()), gone, early: Mutex::new(None) }
    }
}

impl Host for Request {
    type Body = Received;

    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }

    fn random(&self) -> u64 {
        // The operating system's randomness does not fail on the systems that tokio runs on.
        getrandom::u64().unwrap_or_default()
    }

    async fn sleep(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    async fn gone(&self) {
        self.gone.cancelled().await;
    }

    async fn fetch(&self, request: Outgoing) -> Result<Answer<Received>, Unreachable> {
        let mut builder = hyper::Request::builder().method(request.method.name()).uri(request.url);
        for (name, value) in request.headers.iter() {
            builder = builder.header(name, value);
        }
        let asked = builder.body(Full::new(request.body)).map_err(|error| Unreachable(error.to_string()))?;
        let response = match request.method {
            Method::Post | Method::Get(Network::Any) => self.lane.upstreams.request(asked),
            Method::Get(Network::Public) => self.lane.public.request(asked),
        };
        let response = response.await.map_err(|error| Unreachable(causes(&error)))?;
        let (head, body) = response.into_parts();
        Ok(Answer { status: head.status.as_u16(), headers: headers(&head.headers), body })
    }

    async fn send(&self, head: &Headers, bytes: Bytes) -> Result<(), Gone> {
        let early = self.early.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(early) = early {
            // Nobody takes it only where the caller has gone.
            let _ = early.send(head.clone());
        }
        self.slot.clone().write(bytes).await
    }

    async fn verify(&self, signed: &Signed) -> bool {
        signatures::verify(signed)
    }

    async fn sign(&self, key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        signatures::sign(key, message)
    }

    async fn read(&self, body: &mut Received) -> Result<Option<Bytes>, Broken> {
        while let Some(frame) = body.frame().await {
            match frame.map_err(|_| Broken)?.into_data() {
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                _ => {}
            }
        }
        Ok(None)
    }

    async fn admit(&self, bounds: &[Bound]) -> Result<Admission, StoreDown> {
        Ok(self.lane.shared.store.admit(bounds, self.now()))
    }

    async fn settle(&self, settlement: Settlement) {
        self.lane.shared.store.settle(settlement.adds, settlement.receipt).await;
    }

    async fn receipts(&self, caller: &str, ids: &Ids, most: usize) -> Result<Option<Vec<String>>, StoreDown> {
        self.lane.shared.store.receipts(caller, ids, most).map(Some)
    }

    async fn totals(&self, prefix: &str) -> Result<Vec<(String, i64)>, StoreDown> {
        Ok(self.lane.shared.store.totals(prefix))
    }

    async fn recall(&self, key: &str) -> Result<Option<Bytes>, StoreDown> {
        self.lane.shared.store.recall(key, self.now())
    }

    async fn remember(&self, key: &str, value: Bytes, seconds: u32) -> Result<(), StoreDown> {
        self.lane.shared.store.remember(key, value, self.now().saturating_add(u64::from(seconds) * 1000))
    }

    fn log(&self, line: &str) {
        // Nobody reads a closed pipe.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

pub(super) fn headers(fields: &hyper::HeaderMap) -> Headers {
    fields.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect()
}

/// An error and what led to it: the name that is not known, the certificate that is not trusted.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
