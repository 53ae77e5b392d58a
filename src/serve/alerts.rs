//! Telling a webhook of budgets that are nearly used up, behind the requests' back.

use std::pin::pin;
use std::sync::{MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::{Either, select};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::Gateway;
use super::head::{AGENT, JSON};
use crate::config::Webhook;
use crate::host::{Headers, Host, Method, Millis, Outgoing};
use crate::limit::Admission;
use crate::limit::alert::{Alert, Alerts};
use crate::limit::rule::Due;
use crate::receipt;
use crate::wire::json::{to_string, written};

/// Before each attempt.
const PAUSES_MS: [u64; 3] = [0, 1_000, 5_000];
const ANSWER_MS: u64 = 5_000;
/// After so long the rest waits for the next turn: Workers lets a request go on for 30 s after its reply.
const TURN_MS: u64 = 5_000;

written! {
    struct Untold<'a> {
        event: &'static str,
        limit: &'a str,
        error: String,
    }
}

impl Gateway {
    /// Remembers what is to be told of limits; `used` is without the request that finds it so.
    pub(super) fn notice<'a>(&self, used: impl Iterator<Item = (&'a Due, u64)>, refused: Option<&Due>, now: Millis) {
        let Some(webhook) = &self.config.webhook else { return };
        for (due, used) in used {
            let own = Some(due.limit.warn_at.as_slice()).filter(|shares| !shares.is_empty());
            let is_refused = refused.is_some_and(|refused| std::ptr::eq(refused, due));
            if let Some(alert) = Alert::of(due, own.unwrap_or(&webhook.warn_at), used, is_refused, now) {
                self.alerts().notice(alert, now);
            }
        }
    }

    pub(super) fn alerts(&self) -> MutexGuard<'_, Alerts> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what is due, each thing once among all processes, as far as their counters are common.
    pub(super) async fn alert<H: Host>(&self, host: &H) {
        let Some(webhook) = &self.config.webhook else { return };
        let until = host.now().saturating_add(TURN_MS);
        while host.now() < until {
            let next = self.alerts().take();
            let Some(alert) = next else { break };
            // While the store is down it is better told twice than not at all.
            if !matches!(host.admit(std::slice::from_ref(&alert.told)).await, Ok(Admission::Refused(_))) {
                tell(host, webhook, &alert).await;
            }
        }
    }
}

async fn tell<H: Host>(host: &H, webhook: &Webhook, alert: &Alert) {
    let id = receipt::id(host.now(), [host.random(), host.random()]).replacen("req_", "msg_", 1);
    let mut error = String::new();
    for pause in PAUSES_MS {
        if pause > 0 {
            host.sleep(pause).await;
        }
        match post(host, webhook, alert, &id).await {
            Ok(()) => return,
            Err(why) => error = why,
        }
    }
    host.log(&to_string(&Untold { event: "webhook", limit: alert.limit(), error }));
}

/// Signed as Standard Webhooks 1.0 says: HMAC-SHA256 over id, time and body.
async fn post<H: Host>(host: &H, webhook: &Webhook, alert: &Alert, id: &str) -> Result<(), String> {
    let now = host.now();
    let (seconds, body) = ((now / 1000).to_string(), alert.body(now));
    let mut headers: Headers = [("user-agent", AGENT), ("content-type", JSON)].into_iter().collect();
    headers.push("webhook-id", id);
    headers.push("webhook-timestamp", seconds.as_str());
    let mac = webhook.secret.as_ref().and_then(|secret| Hmac::<Sha256>::new_from_slice(secret.bytes()).ok());
    if let Some(mut mac) = mac {
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(&body);
        headers.push("webhook-signature", format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
    }
    let request =
        Outgoing { method: Method::Post, url: webhook.url.clone(), headers, body: Bytes::from(body), streams: false };
    let asked = async { host.fetch(request).await.map_err(|error| error.0) };
    match select(pin!(asked), pin!(host.sleep(ANSWER_MS))).await {
        Either::Left((Ok(answer), _)) if (200..300).contains(&answer.status) => Ok(()),
        Either::Left((Ok(answer), _)) => Err(format!("status {}", answer.status)),
        Either::Left((Err(why), _)) => Err(why),
        Either::Right(_) => Err(format!("no answer in {ANSWER_MS} ms")),
    }
}
