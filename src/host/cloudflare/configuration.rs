//! The configuration of an isolate: the key `config` in KV, or the variable where there is none.
//!
//! No request is served by one that was replaced more than a minute ago. KV's own copies are at most 30 s old, and an
//! isolate believes what it has read for less than the other 30: for the first half it asks nobody, then it reads
//! behind the request's back, and when it has slept for longer, the request waits. An isolate that is always busy reads 5,760
//! times a day, of 100,000 that KV's free plan has, and as often the keys that were made at run time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, join, select};
use worker::{Context, Delay, Env};

use super::{namespace, now, recall, remember};
use crate::auth::{Keyless, issued};
use crate::config::version::version;
use crate::config::{Config, Reading};
use crate::host::{Millis, StoreDown};
use crate::serve::Gateway;
use crate::serve::current::{Current, LAST_GOOD, LAST_GOOD_SECONDS, Offered};
use crate::serve::prices::{self, Prices};

/// Believed without a look.
const FRESH_MS: Millis = 15_000;
/// Served by while it is read again.
const STALE_MS: Millis = 25_000;
/// A request waits no longer for KV; then the last good one serves it.
const PATIENCE: Duration = Duration::from_secs(3);
/// And so it does the requests after that, while KV may still be out of order.
const TRUCE_MS: Millis = 10_000;

/// Prices change seldom, and are much to read.
const PRICES_MS: Millis = 60 * 60_000;

thread_local! {
    /// The prices that were refreshed, and when they were looked for.
    static PRICES: RefCell<(Prices, Millis)> = RefCell::default();
    static CURRENT: RefCell<Current> = const { RefCell::new(Current::new(Keyless::Refused)) };
    /// When the configuration was last known to be the newest.
    static READ_AT: Cell<Millis> = const { Cell::new(0) };
    /// When a request last waited for KV in vain.
    static FAILED_AT: Cell<Millis> = const { Cell::new(0) };
    /// When it was last begun to read it behind a request's back, until that is done.
    static READING: Cell<Millis> = const { Cell::new(0) };
}

/// The gateway of this isolate; none without a good configuration.
pub(super) async fn gateway(env: &Rc<Env>, context: &Context) -> Option<Arc<Gateway>> {
    let now = now();
    let age = now.saturating_sub(READ_AT.get());
    if let Some(gateway) = known() {
        if age < FRESH_MS {
            return Some(gateway);
        }
        if age < STALE_MS || now.saturating_sub(FAILED_AT.get()) < TRUCE_MS {
            if now.saturating_sub(READING.get()) > TRUCE_MS {
                READING.set(now);
                let env = env.clone();
                context.wait_until(async move {
                    let good = renew(&env).await;
                    READING.set(0);
                    keep_good(&env, good).await;
                });
            }
            return Some(gateway);
        }
    }
    match select(Box::pin(renew(env)), Delay::from(PATIENCE)).await {
        Either::Left((good, _)) => {
            let env = env.clone();
            context.wait_until(async move { keep_good(&env, good).await });
        }
        Either::Right(_) => worker::console_error!("the configuration cannot be read: KV does not answer"),
    }
    if READ_AT.get() < now {
        FAILED_AT.set(now);
    }
    known()
}

/// The same for who has no request, and may wait.
pub(super) async fn latest(env: &Env) -> Option<Arc<Gateway>> {
    let good = renew(env).await;
    keep_good(env, good).await;
    known()
}

fn known() -> Option<Arc<Gateway>> {
    CURRENT.with_borrow(Current::gateway)
}

/// Reads the configuration, and the keys that were made at run time.
async fn renew(env: &Env) -> Option<Bytes> {
    let Some(kv) = namespace(env) else { return renew_configuration(env, Ok(None)).await };
    // At once: an isolate that begins has a request waiting.
    let (stored, keys) = join(recall(&kv, "config"), recall(&kv, issued::KEY)).await;
    let good = renew_configuration(env, stored).await;
    let learned = match keys {
        Ok(Some(keys)) => known().map_or(Ok(()), |gateway| gateway.learn_keys(&keys)),
        Ok(None) => Ok(()),
        Err(StoreDown(why)) => Err(format!("the keys in the store cannot be read: {why}")),
    };
    if let Err(why) = learned {
        worker::console_error!("{why}");
    }
    good
}

/// Takes the configuration if it is another one; then, if it is from KV, its text is returned.
async fn renew_configuration(env: &Env, stored: Result<Option<Bytes>, StoreDown>) -> Option<Bytes> {
    let stored = match stored {
        Ok(stored) => stored,
        Err(StoreDown(why)) => {
            worker::console_error!("the configuration cannot be read: {why}");
            return None;
        }
    };
    READ_AT.set(now());
    if let Some(kv) = namespace(env)
        && known().is_none_or(|gateway| gateway.config.refresh.is_some())
        && PRICES.with_borrow(|(_, read_at)| now().saturating_sub(*read_at)) > PRICES_MS
        && let Ok(prices) = recall(&kv, prices::KEY).await
    {
        PRICES.set((prices.map(|text| Prices::of(&text)).unwrap_or_default(), now()));
    }
    let Some(text) = stored else {
        offer(env, secret(env, "TOLLGATE_CONFIG").unwrap_or_default().as_bytes());
        return None;
    };
    match offer(env, &text) {
        Offered::Taken(_) => return Some(text),
        Offered::Known => {}
        Offered::Refused(_) => {
            // Isolates come and go, and the next ones should not fail for what was written after this one came.
            if known().is_none()
                && let Some(kv) = namespace(env)
                && let Ok(Some(good)) = recall(&kv, LAST_GOOD).await
            {
                offer(env, &good);
            }
            // The one before it was the deployment's own.
            if known().is_none()
                && let Some(own) = secret(env, "TOLLGATE_CONFIG")
            {
                offer(env, own.as_bytes());
            }
        }
    }
    None
}

fn offer(env: &Env, text: &[u8]) -> Offered {
    let text = String::from_utf8_lossy(text);
    let offered = PRICES.with_borrow(|(prices, _)| {
        let compile = || Config::of(&Reading::of(Some(&text)), prices.overlay.as_ref(), |name| secret(env, name));
        let version = prices.stamp_if_wanted(&version(Some(&text)), &text);
        CURRENT.with_borrow_mut(|current| current.offer(&version, compile))
    });
    match &offered {
        Offered::Known => {}
        Offered::Taken(line) => worker::console_log!("{line}"),
        Offered::Refused(line) => worker::console_error!("{line}"),
    }
    offered
}

fn secret(env: &Env, name: &str) -> Option<String> {
    env.var(name).ok().map(|value| value.to_string())
}

/// For isolates that begin when `config` holds a mistake.
async fn keep_good(env: &Env, good: Option<Bytes>) {
    let (Some(text), Some(kv)) = (good, namespace(env)) else { return };
    // Written only if it is another one: every isolate comes by here when it begins.
    if recall(&kv, LAST_GOOD).await.is_ok_and(|kept| kept.as_ref() != Some(&text))
        && let Err(StoreDown(why)) = remember(&kv, LAST_GOOD, &text, LAST_GOOD_SECONDS).await
    {
        worker::console_error!("the configuration cannot be kept as the last good one: {why}");
    }
}
