//! Google's servers are asked what they make of a device's token, by an account's token that is kept until it ends.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::future::{Either, select};

use super::super::Gateway;
use super::super::head::{AGENT, JSON};
use super::refused;
use crate::auth::attest::Refusal;
use crate::auth::attest::google::{Access, Account, App};
use crate::error::{Error, Kind};
use crate::host::{Headers, Host, Method, Millis, Outgoing};
use crate::wire::json::{to_string, written};

/// For each of the two questions.
const PATIENCE_MS: Millis = 10_000;
/// Verdicts have 1 KB, tokens of accounts less.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// So many accounts have their tokens kept.
const KEPT_MAX: usize = 16;
/// Until a quota of a minute is there anew.
const RETRY_SECONDS: u64 = 60;

/// The tokens of accounts, in memory only.
#[derive(Debug, Default)]
pub(in crate::serve) struct Accesses(Mutex<Vec<Kept>>);

struct Kept {
    email: String,
    url: String,
    token: String,
    ends: Millis,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({} until {})", self.email, self.ends)
    }
}

impl Accesses {
    fn of(&self, account: &Account, now: Millis) -> Option<String> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.ends > now);
        let own = kept.iter().find(|kept| kept.email == account.email && kept.url == account.token_url);
        own.map(|kept| kept.token.clone())
    }

    fn keep(&self, account: &Account, token: &str, ends: Millis) {
        self.forget(account);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            let (email, url) = (account.email.clone(), account.token_url.clone());
            kept.push(Kept { email, url, token: token.to_owned(), ends });
        }
    }

    fn forget(&self, account: &Account) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.email != account.email || kept.url != account.token_url);
    }
}

written! {
    struct Failed<'a> {
        event: &'static str,
        failed: &'a str,
    }
}

/// Whether Google's verdict on a device's token is good.
pub(super) async fn ask<H: Host>(
    gateway: &Gateway,
    host: &H,
    app: &App,
    token: &str,
    hash: &[u8; 32],
) -> Result<(), Error> {
    // What is wrong with an account is for the operator.
    let broken = |why: &str| {
        host.log(&to_string(&Failed { event: "attest", failed: why }));
        Error::internal("this app's service account cannot be used; the gateway's log says why")
    };
    let account = app.account.as_ref().map_err(|why| broken(why))?;
    let access = match gateway.accesses.of(account, host.now()) {
        Some(access) => access,
        None => {
            let claim = account.claim(host.now());
            let signature = host.sign(&account.key, claim.as_bytes()).await;
            let signature = signature.ok_or_else(|| broken("its private_key is no RSA key that can be signed with"))?;
            let form = Headers::from_iter([("content-type", "application/x-www-form-urlencoded")]);
            let body = Account::form(&claim, &signature).into_bytes();
            let (status, answer) = fetch(host, account.token_url.clone(), form, body).await?;
            if status != 200 {
                return Err(broken(&format!("Google gives it no token: its server answered with status {status}")));
            }
            let (access, ends) = Access::read(&answer, host.now()).map_err(|why| broken(&why))?;
            gateway.accesses.keep(account, &access, ends);
            access
        }
    };
    let (url, body) = app.question(token);
    let headers = [("content-type", JSON.to_owned()), ("authorization", format!("Bearer {access}"))];
    let (status, answer) = fetch(host, url, Headers::from_iter(headers), body).await?;
    match status {
        200 => match app.judge(&answer, hash, host.now()) {
            Some(verdict) => verdict.map_err(refused),
            None => Err(Error::new(Kind::BadUpstream, "Google's answer is no verdict")),
        },
        // No token, or one of another app.
        400 | 404 => Err(refused(Refusal::Damaged)),
        401 | 403 => {
            gateway.accesses.forget(account);
            Err(broken(&format!("Google's server for verdicts refuses it with status {status}")))
        }
        429 => Err(Error {
            retry_after: Some(RETRY_SECONDS),
            ..Error::new(Kind::RateLimited, "Google gives this app no more verdicts just now")
        }),
        status => {
            Err(Error::new(Kind::BadUpstream, format!("Google's server for verdicts answered with status {status}")))
        }
    }
}

/// The status and the body of an answer.
async fn fetch<H: Host>(host: &H, url: String, mut headers: Headers, body: Vec<u8>) -> Result<(u16, Vec<u8>), Error> {
    let unreachable = |why: &str| Error::new(Kind::BadUpstream, format!("Google's servers cannot be reached: {why}"));
    headers.push("accept", JSON);
    headers.push("accept-encoding", "identity");
    headers.push("user-agent", AGENT);
    // Read piece by piece, it can be given up when it is too long.
    let asked = Outgoing { method: Method::Post, url, headers, body: Bytes::from(body), streams: true };
    let answer = async {
        let mut answer = host.fetch(asked).await.map_err(|_| unreachable("there is no connection"))?;
        let mut text = Vec::new();
        while let Some(piece) = host.read(&mut answer.body).await.map_err(|_| unreachable("the answer broke off"))? {
            if text.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(unreachable("the answer is too long"));
            }
            text.extend_from_slice(&piece);
        }
        Ok((answer.status, text))
    };
    match select(pin!(answer), pin!(host.sleep(PATIENCE_MS))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(Error::new(Kind::UpstreamTimeout, "Google's servers did not answer in time")),
    }
}
