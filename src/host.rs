//! What Tollgate asks of the machine it runs on. The compile target picks the host; no other file but
//! `main.rs` asks for the target.
//!
//! A host value stands for one request: it knows that request's caller, and when the caller has gone.

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub mod cloudflare;
pub mod ledger;
#[cfg(not(target_family = "wasm"))]
pub mod native;
pub mod shards;
#[cfg(all(target_family = "wasm", target_os = "wasi"))]
pub mod spin;

use bytes::Bytes;

use crate::auth::proof::Signed;
use crate::limit::{Admission, Bound};
use crate::receipt::Ids;
use crate::record::{Record, Settlement};
use crate::relay::{Gone, Relay};

/// Unix time in milliseconds.
pub type Millis = u64;

#[expect(async_fn_in_trait, reason = "each host awaits its own futures; natively they turn out to be Send")]
pub trait Host {
    /// An upstream's body that has not been read to its end. Dropping it cancels the upstream.
    type Body;

    fn now(&self) -> Millis;

    /// Of a generator that is fit for keys: nobody can tell one from those before. 0 where there is none just now.
    fn random(&self) -> u64;

    async fn sleep(&self, ms: u64);

    /// Resolves when the caller has hung up; never where the host cannot see that.
    async fn gone(&self);

    /// Resolves when the upstream's head is there. Has no time limit of its own. Follows no redirect.
    async fn fetch(&self, request: Outgoing) -> Result<Answer<Self::Body>, Unreachable>;

    /// Sends part of a streamed reply: the head, with status 200, unless it went out before, and `bytes`, which may be
    /// none. Resolves when the caller has taken what was sent before; not to be dropped on the way. What
    /// [`crate::serve::serve`] returns later is the rest of the body.
    async fn send(&self, head: &Headers, bytes: Bytes) -> Result<(), Gone>;

    /// Whether the signature is good. What cannot be read as one is not.
    async fn verify(&self, signed: &Signed) -> bool;

    /// What an RSA key, in DER of PKCS #8, makes of `message` by RSASSA-PKCS1-v1_5 with SHA-256; `None` where it is none that
    /// this host can sign with.
    async fn sign(&self, key: &[u8], message: &[u8]) -> Option<Vec<u8>>;

    /// The next piece of a body, never empty; `None` at its clean end.
    async fn read(&self, body: &mut Self::Body) -> Result<Option<Bytes>, Broken>;

    /// All of `bounds` or none: adds each to its counter if every sum then stays within its limit.
    async fn admit(&self, bounds: &[Bound]) -> Result<Admission, StoreDown>;

    /// Adds to counters and keeps the receipt, once, and all or nothing of it where the store has transactions: before the
    /// reply ends where it is quick, else after it.
    async fn settle(&self, settlement: Settlement);

    /// Every counter whose name starts with `prefix`, in no order.
    async fn totals(&self, prefix: &str) -> Result<Vec<(String, i64)>, StoreDown>;

    /// The receipts of `caller` with these ids, in their order, `most` at most; `None` where this host keeps none.
    async fn receipts(&self, caller: &str, ids: &Ids, most: usize) -> Result<Option<Vec<String>>, StoreDown>;

    /// What was last kept under `key`, as far as this host knows by now; nothing where it keeps nothing.
    async fn recall(&self, key: &str) -> Result<Option<Bytes>, StoreDown>;

    /// Keeps `value` under `key` for `seconds`, or longer where the store forgets nothing. Of two who write at once one
    /// is lost, so this is for what can be learned again, or is written together with all that its writer knows.
    async fn remember(&self, key: &str, value: Bytes, seconds: u32) -> Result<(), StoreDown>;

    /// Whether what is remembered is kept at all.
    fn keeps(&self) -> bool {
        true
    }

    /// Writes one line for the operator.
    fn log(&self, line: &str);
}

/// A caller's request, its body already bounded by the host.
#[derive(Debug)]
pub struct Incoming {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: Option<String>,
    pub headers: Headers,
    pub body: Body,
}

/// A caller's body: hosts stop reading at [`crate::config::Config::body_bytes_max`].
#[derive(Debug)]
pub enum Body {
    Whole(Bytes),
    TooLarge,
}

/// A request to an upstream, or for a file that a caller named.
#[derive(Debug)]
pub struct Outgoing {
    pub method: Method,
    pub url: String,
    pub headers: Headers,
    pub body: Bytes,
    /// Whether a stream is asked for: not every stream says by its `content-type` that it is one.
    pub streams: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Post,
    Get(Network),
}

/// The addresses that the name in a URL may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Any,
    /// Those of [`crate::media::address`]; for a caller's URL. A host that does not see addresses says in its file who
    /// else holds that.
    Public,
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get(_) => "GET",
        }
    }
}

#[derive(Debug)]
pub struct Answer<B> {
    pub status: u16,
    pub headers: Headers,
    pub body: B,
}

/// What the caller gets.
#[derive(Debug)]
pub struct Reply<B> {
    pub status: u16,
    pub headers: Headers,
    pub body: ReplyBody<B>,
}

#[derive(Debug)]
pub enum ReplyBody<B> {
    Whole(Bytes),
    /// The rest of the upstream's body, through a relay that already holds what was read of it. The host
    /// pumps as [`crate::relay::pump`] does.
    Relayed {
        upstream: B,
        relay: Box<Relay>,
        record: Box<Record>,
    },
}

/// No connection, or none that spoke HTTP.
#[derive(Debug)]
pub struct Unreachable(pub String);

/// A body that broke off.
#[derive(Debug)]
pub struct Broken;

/// The counters cannot be reached.
#[derive(Debug)]
pub struct StoreDown(pub String);

/// Header fields in order, names in lower case.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let mut name = name.into();
        name.make_ascii_lowercase();
        self.0.push((name, value.into()));
    }

    /// Takes every field of that name out; their values are one, joined by commas.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let (taken, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|(field, _)| field == name);
        self.0 = kept;
        let values: Vec<String> = taken.into_iter().map(|(_, value)| value).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut headers = Self::default();
        for (name, value) in fields {
            headers.push(name, value);
        }
        headers
    }
}
