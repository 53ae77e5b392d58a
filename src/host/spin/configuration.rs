//! The configuration of an instance: the key `config` in the key-value store, or the variable where there is none.
//!
//! An instance lives for 128 requests at most, or a second without one, and reads it when it begins. One that lives longer
//! reads it again behind a request's back.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use bytes::Bytes;
use spin_sdk::variables;
use spin_sdk::wasip3::spawn;

use super::{log, now, recall, remember};
use crate::auth::{Keyless, issued};
use crate::config::version::version;
use crate::config::{Config, Draft, Mistake, Reading};
use crate::host::{Host, Millis, StoreDown};
use crate::named::Named;
use crate::serve::Gateway;
use crate::serve::current::{Current, LAST_GOOD, Offered};
use crate::serve::prices::{self, Prices};

const FRESH_MS: Millis = 30_000;

thread_local! {
    /// The prices that were refreshed, as they were when the instance began.
    static PRICES: RefCell<Prices> = RefCell::default();
    static CURRENT: RefCell<Current> = const { RefCell::new(Current::new(Keyless::Refused)) };
    static READ_AT: Cell<Millis> = const { Cell::new(0) };
}

/// The gateway of this instance; none without a good configuration.
pub(super) async fn gateway() -> Option<Arc<Gateway>> {
    let now = now();
    match known() {
        Some(_) if now.saturating_sub(READ_AT.get()) < FRESH_MS => {}
        Some(_) => {
            READ_AT.set(now);
            spawn(async { keep_good(renew().await).await });
        }
        None => {
            let good = renew().await;
            READ_AT.set(now);
            spawn(keep_good(good));
        }
    }
    known()
}

/// There is no timer here: whoever comes when prices are due refreshes them for the instances that begin later.
pub(super) async fn refresh<H: Host>(gateway: &Gateway, host: &H) {
    let Some(from) = &gateway.config.refresh else { return };
    let now = now();
    if PRICES.with_borrow(|prices| !prices.is_due(from, now)) {
        return;
    }
    PRICES.with_borrow_mut(|prices| prices.tries(from, now));
    if let Err(why) = prices::renew(host, from).await {
        host.log(&prices::failed(&why));
    }
}

fn known() -> Option<Arc<Gateway>> {
    CURRENT.with_borrow(Current::gateway)
}

/// Reads the configuration, and the keys that were made at run time.
async fn renew() -> Option<Bytes> {
    let good = renew_configuration().await;
    if let Some(gateway) = known() {
        let learned = match recall(issued::KEY).await {
            Ok(Some(keys)) => gateway.learn_keys(&keys),
            Ok(None) => Ok(()),
            Err(StoreDown(why)) => Err(format!("the keys in the store cannot be read: {why}")),
        };
        if let Err(why) = learned {
            log(&why);
        }
    }
    good
}

/// Reads the configuration, and takes it if it is another one; then, if it is from the store, its text is returned.
async fn renew_configuration() -> Option<Bytes> {
    let stored = match recall("config").await {
        Ok(stored) => stored,
        Err(StoreDown(why)) => {
            log(&format!("the configuration cannot be read from the store: {why}"));
            if known().is_some() {
                return None;
            }
            // What the deployment itself says is better than nothing.
            None
        }
    };
    if known().is_none()
        && let Ok(Some(prices)) = recall(prices::KEY).await
    {
        PRICES.set(Prices::of(&prices));
    }
    let is_stored = stored.is_some();
    let text = match stored {
        Some(text) => text,
        None => match variable("TOLLGATE_CONFIG").await {
            Ok(text) => text.unwrap_or_default().into(),
            Err(Mistake(why)) => {
                log(&format!("the configuration cannot be read: {why}"));
                return None;
            }
        },
    };
    match offer(&text).await {
        Offered::Taken(_) if is_stored => return Some(text),
        Offered::Taken(_) | Offered::Known => {}
        Offered::Refused(_) => {
            // Instances come and go, and the next ones should not fail for what was written after this one came.
            if is_stored
                && known().is_none()
                && let Ok(Some(good)) = recall(LAST_GOOD).await
            {
                offer(&good).await;
            }
            // The one before it was the deployment's own.
            if is_stored
                && known().is_none()
                && let Ok(Some(own)) = variable("TOLLGATE_CONFIG").await
                && !own.is_empty()
            {
                offer(own.as_bytes()).await;
            }
        }
    }
    None
}

async fn offer(text: &[u8]) -> Offered {
    let text = String::from_utf8_lossy(text);
    let version = PRICES.with_borrow(|prices| prices.stamp_if_wanted(&version(Some(&text)), &text));
    if CURRENT.with_borrow_mut(|current| current.knows(&version)) {
        return Offered::Known;
    }
    // Secrets have to be waited for.
    let reading = Reading::of(Some(&text));
    let secrets = secrets(&reading.draft).await;
    let compile = || {
        let secrets = secrets?;
        PRICES.with_borrow(|prices| Config::of(&reading, prices.overlay.as_ref(), |name| secrets.get(name).cloned()))
    };
    let offered = CURRENT.with_borrow_mut(|current| current.offer(&version, compile));
    if let Offered::Taken(line) | Offered::Refused(line) = &offered {
        log(line);
    }
    offered
}

async fn secrets(draft: &Draft) -> Result<Named<String>, Vec<Mistake>> {
    let mut secrets = Named::default();
    for name in draft.secrets() {
        if let Some(value) = variable(&name).await.map_err(|mistake| vec![mistake])? {
            secrets.insert(name, value);
        }
    }
    Ok(secrets)
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

/// For instances that begin when `config` holds a mistake.
async fn keep_good(good: Option<Bytes>) {
    let Some(text) = good else { return };
    // Written only if it is another one: every instance comes by here when it begins.
    if recall(LAST_GOOD).await.is_ok_and(|kept| kept.as_ref() != Some(&text))
        && let Err(StoreDown(why)) = remember(LAST_GOOD, &text).await
    {
        log(&format!("the configuration cannot be kept as the last good one: {why}"));
    }
}
