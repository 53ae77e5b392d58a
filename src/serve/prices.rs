//! Prices that are refreshed while the gateway runs: fetched from where the configuration says, kept by key, and in force
//! when a configuration is next compiled. What cannot be fetched or read, or is but a part of what it was, leaves the last good
//! ones in force.

use std::pin::pin;

use bytes::Bytes;
use futures::future::{Either, select};

use super::head::AGENT;
use crate::catalog::models::refresh::{BYTES_MAX, Extent, Overlay, Refreshed, refresh, source};
use crate::config::Refresh;
use crate::config::version::version;
use crate::host::{Headers, Host, Method, Millis, Network, Outgoing, StoreDown};
use crate::wire::json::{objects, parse, to_string, to_vec, written};

/// Under which they are kept.
pub const KEY: &str = "prices";
/// Old prices are better than none, and the configuration's go before them.
const KEPT_SECONDS: u32 = 400 * 24 * 60 * 60;
const FETCH_MS: Millis = 30_000;
/// Until it is tried again after it has failed.
const RETRY_MS: Millis = 60 * 60_000;

objects! {
    /// What is kept of the last refresh that went well, and of the last try.
    #[derive(Debug, Clone, Default)]
    pub struct Prices {
        /// Where a list was last asked for.
        pub url: String,
        pub overlay: Option<Overlay>,
        /// Of the list that this is from.
        pub extent: Extent = Extent::default(),
        pub read_at: Millis,
        pub tried_at: Millis,
        /// Whether a list that lost most of its models would have been taken then.
        pub may_shrink: bool = false,
    }
}

written! {
    impl Prices { url, overlay, extent, read_at, tried_at, may_shrink }
}

impl Prices {
    /// What `text`, as it is kept, holds; nothing where it makes no sense.
    pub fn of(text: &[u8]) -> Self {
        std::str::from_utf8(text).ok().and_then(|text| parse(text).ok()).unwrap_or_default()
    }

    /// The version of a configuration that is compiled with these.
    pub fn stamp(&self, configuration: &str) -> String {
        match &self.overlay {
            None => configuration.to_owned(),
            Some(Overlay { source, lines }) => {
                format!("{configuration}+{}", version(Some(&format!("{source}\n{lines}"))))
            }
        }
    }

    /// The same for who has only the text of the configuration, and no draft while the version is known.
    pub fn stamp_if_wanted(&self, configuration: &str, text: &str) -> String {
        match text.contains("\"refresh_url\"") {
            true => self.stamp(configuration),
            false => configuration.to_owned(),
        }
    }

    pub fn is_due(&self, from: &Refresh, now: Millis) -> bool {
        let has_failed = self.tried_at > self.read_at;
        let pause = if has_failed { RETRY_MS.min(from.every_ms) } else { from.every_ms };
        // Whoever writes that it may shrink has seen that it did.
        let is_allowed = has_failed && from.may_shrink && !self.may_shrink;
        self.url != from.url || is_allowed || now.saturating_sub(self.tried_at) >= pause
    }

    /// A list is asked for.
    pub fn tries(&mut self, from: &Refresh, now: Millis) {
        self.url.clone_from(&from.url);
        (self.tried_at, self.may_shrink) = (now, from.may_shrink);
    }
}

/// Those that are kept.
pub async fn recall<H: Host>(host: &H) -> Result<Prices, StoreDown> {
    Ok(host.recall(KEY).await?.map(|text| Prices::of(&text)).unwrap_or_default())
}

/// Fetches the list and keeps what it says. The error is for the operator, and what was kept stays.
pub async fn renew<H: Host>(host: &H, from: &Refresh) -> Result<Prices, String> {
    let down = |StoreDown(why)| format!("the store cannot be reached: {why}");
    let kept = recall(host).await.map_err(down)?;
    let now = host.now();
    // The list of another place is still the best that is known, until this one's is there.
    let mut tried = kept;
    tried.tries(from, now);
    // First of all, so that no other process does the same meanwhile.
    keep(host, &tried).await.map_err(down)?;
    // No caller waits for it, so none can hang up.
    let text = match select(pin!(fetch(host, (&from.url, from.network), BYTES_MAX)), pin!(host.sleep(FETCH_MS))).await {
        Either::Left((fetched, _)) => fetched.map_err(|why| format!("the list of prices cannot be had: {why}"))?,
        Either::Right(_) => return Err(format!("the list of prices was not there in {FETCH_MS} ms")),
    };
    let Refreshed { overlay, priced, known, .. } = refresh(&text, &source(&from.url, now))?;
    let extent = Extent { url: from.url.clone(), priced, known };
    if extent.is_cut_down(&tried.extent) && !from.may_shrink {
        let before = &tried.extent;
        return Err(format!(
            "the list of prices is taken for damaged: it has {priced} models, and had {}; the catalogue knows {known} of them, \
             and knew {}. Write catalog.refresh_shrinks = true to take it, or another refresh_url",
            before.priced, before.known
        ));
    }
    let prices = Prices { overlay: Some(overlay), extent, read_at: now, ..tried };
    keep(host, &prices).await.map_err(down)?;
    Ok(prices)
}

written! {
    struct Failed<'a> {
        event: &'static str,
        failed: &'a str,
    }
}

/// The log's line of a refresh that failed.
pub fn failed(why: &str) -> String {
    to_string(&Failed { event: "prices", failed: why })
}

async fn keep<H: Host>(host: &H, prices: &Prices) -> Result<(), StoreDown> {
    host.remember(KEY, to_vec(prices).into(), KEPT_SECONDS).await
}

/// A document of JSON, of so many bytes at most; the error says why it cannot be had.
pub(super) async fn fetch<H: Host>(
    host: &H,
    (url, network): (&str, Network),
    bytes_max: usize,
) -> Result<Vec<u8>, String> {
    let headers = [("accept", "application/json"), ("accept-encoding", "identity"), ("user-agent", AGENT)];
    let asked = Outgoing {
        method: Method::Get(network),
        url: url.to_owned(),
        headers: Headers::from_iter(headers),
        body: Bytes::new(),
        // Read piece by piece, it can be given up when it is too long.
        streams: true,
    };
    let mut answer = host.fetch(asked).await.map_err(|unreachable| unreachable.0)?;
    if answer.status != 200 {
        return Err(format!("its host answered with status {}", answer.status));
    }
    let mut text = Vec::new();
    while let Some(piece) = host.read(&mut answer.body).await.map_err(|_| "it broke off")? {
        if text.len() + piece.len() > bytes_max {
            return Err(format!("it is longer than {bytes_max} bytes"));
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}
