//! `POST /v1/tokens`: a caller makes short-lived tokens for itself, each for less than it may. And what a
//! host finds out of a token that comes: the keys of its issuer, where those are published, and whether its signature is good.

use std::pin::pin;

use futures::future::{Either, select};

use super::prices::fetch;
use super::{Gateway, own_caller};
use crate::auth::jwks::{FETCH_MS, KEPT_SECONDS, Need, Proven, SET_BYTES_MAX};
use crate::auth::mint::{Minted, SECONDS_MAX, mint};
use crate::auth::own::OwnKeys;
use crate::auth::token::{Grant, Scope, Token, is_like};
use crate::auth::{presented, same};
use crate::config::{Caller, Source, Trust, sha256, usd};
use crate::error::{Error, Kind};
use crate::host::{Body, Headers, Host, Incoming, Millis};
use crate::limit::calendar::written_instant;
use crate::mistake::Mistakes;
use crate::route::lay::allowed;
use crate::wire::json::{objects, parse_strictly, to_string, to_vec, written};

/// Between two looks at whether the keys are there that another request looks for.
const WAIT_MS: Millis = 50;

objects! {
    #[derive(Default)]
    struct Asked {
        user: Option<String>,
        /// Seconds; the most there is if not said.
        expires_in: Option<u64>,
        models: Option<Vec<String>>,
        max_tokens: Option<u64>,
        max_cost_usd: Option<String>,
        requests_per_minute: Option<u64>,
        origins: Option<Vec<String>>,
        tags: Option<Vec<String>>,
    }
}

written! {
    struct Made {
        token: String,
        expires_at: String,
    }

    struct Failed<'a> {
        event: &'static str,
        issuer: &'a str,
        failed: &'a str,
    }
}

/// Makes a token for the caller of a request.
pub(super) fn tokens<H: Host>(gateway: &Gateway, host: &H, request: &Incoming) -> Result<Vec<u8>, Error> {
    let now = host.now();
    let caller = own_caller(gateway, request, now)?;
    let digest = presented(&request.headers, request.query.as_deref()).map(|key| sha256(&key));
    let by = digest.and_then(|digest| caller.keys.iter().find(|key| same(key, digest)));
    let by =
        by.ok_or_else(|| Error::new(Kind::Forbidden, "tokens are made for callers with keys, and this one has none"))?;
    let (scope, seconds) = asked(gateway, &caller, request)?;
    let random = [host.random(), host.random()];
    if random.contains(&0) {
        return Err(Error::internal("this host has no randomness for a token just now"));
    }
    let [high, low] = random;
    let secret = gateway.config.token_secret.as_ref();
    let Minted { token, expires } =
        mint(secret, (&caller, Some(by)), &scope, (&format!("{high:016x}{low:016x}"), seconds), now)?;
    Ok(to_vec(&Made { token, expires_at: written_instant(expires) }))
}

/// What a token is to allow, which is no more than its caller may, and for how many seconds.
fn asked(gateway: &Gateway, caller: &Caller, request: &Incoming) -> Result<(Scope, u64), Error> {
    let body = match &request.body {
        Body::Whole(bytes) => bytes,
        Body::TooLarge => return Err(Error::new(Kind::TooLarge, "the body is too long")),
    };
    let text = std::str::from_utf8(body).map_err(|error| Error::invalid(format!("the body is not UTF-8: {error}")))?;
    let text = if text.trim().is_empty() { "{}" } else { text };
    let mut mistakes = Mistakes::default();
    let asked: Asked = parse_strictly(text, &mut mistakes);
    mistakes.or(()).map_err(|mistakes| super::keys::mistaken(&mistakes))?;
    let Asked { user, expires_in, models, max_tokens, max_cost_usd, requests_per_minute, origins, tags } = asked;
    let seconds = expires_in.unwrap_or(SECONDS_MAX);
    if seconds == 0 || seconds > SECONDS_MAX {
        return Err(Error::field("expires_in", format!("from 1 to {SECONDS_MAX} seconds")));
    }
    let max_cost =
        max_cost_usd.map(|text| usd(&text).ok_or_else(|| Error::field("max_cost_usd", "not an amount like \"0.50\"")));
    // What has a star is held against the caller's own when it is used, as all of this is.
    let plain = |names: &Option<Vec<String>>| -> Vec<(usize, String)> {
        let names = names.iter().flatten().cloned().enumerate();
        names.filter(|(_, name)| !name.contains('*')).collect()
    };
    for (index, model) in plain(&models) {
        allowed(&gateway.config, caller, &OwnKeys::default(), &model)
            .map_err(|error| error.at(format!("models[{index}]")))?;
    }
    for (index, origin) in plain(&origins) {
        if !caller.origins.is_empty() && !caller.is_for(&origin) {
            let at = format!("origins[{index}]");
            return Err(Error::new(Kind::Forbidden, "this key is not for pages of this origin").at(at));
        }
    }
    let max_cost = max_cost.transpose()?;
    let tags = tags.unwrap_or_default();
    let scope = Scope { user, models, max_tokens, max_cost, requests_per_minute, origins, tags };
    let wrong = |(field, why): (&str, String)| Error::field(if field == "sub" { "user" } else { field }, why);
    let grant = Grant::new(String::new(), String::new(), 0, scope).map_err(wrong)?;
    Ok((grant.scope, seconds))
}

impl Gateway {
    /// Has the host find out what only it can of a request's token: its signature, by keys that are looked for where they are not
    /// known. To be called before anybody asks for the caller, and held until nobody does any more; mostly it does nothing.
    pub async fn prove<H: Host>(&self, host: &H, (headers, query): (&Headers, Option<&str>)) -> Option<Proven<'_>> {
        if self.config.issuers.is_empty() {
            return None;
        }
        let key = presented(headers, query).filter(|key| is_like(key))?;
        let token = Token::read(&key).ok()?;
        let issuer = self.config.issuers.iter().find(|issuer| issuer.iss == token.issuer)?;
        let claims = match &issuer.trust {
            Trust::Keys(keys) => token.claims(keys),
            Trust::Fetched(source) => {
                self.learn(host, &issuer.name, source, &token).await;
                token.claims(&self.trusted.keys(&source.url)?)
            }
        };
        if let Some(proven) = claims.iter().find_map(|(mark, _)| self.trusted.known(mark)) {
            return Some(proven);
        }
        for (mark, signed) in claims {
            if host.verify(&signed).await {
                return Some(self.trusted.saw(mark));
            }
        }
        None
    }

    /// Looks for the keys of a token's issuer, where it needs that.
    async fn learn<H: Host>(&self, host: &H, name: &str, source: &Source, token: &Token<'_>) {
        loop {
            match self.trusted.need(&source.url, token, host.now()) {
                Need::Nothing => return,
                Need::Wait => host.sleep(WAIT_MS).await,
                Need::Look => return self.look(host, name, source, token).await,
            }
        }
    }

    async fn look<H: Host>(&self, host: &H, name: &str, source: &Source, token: &Token<'_>) {
        let key = format!("jwks.{name}");
        // Without a store each process asks for itself.
        if let Ok(Some(kept)) = host.recall(&key).await {
            self.trusted.learn(&source.url, &kept);
        }
        let now = host.now();
        if !self.trusted.is_still_due(&source.url, token, now) {
            return;
        }
        let asked = fetch(host, (&source.url, source.network), SET_BYTES_MAX);
        let fetched = match select(pin!(asked), pin!(host.sleep(FETCH_MS))).await {
            Either::Left((fetched, _)) => fetched,
            Either::Right(_) => Err(format!("it was not there in {FETCH_MS} ms")),
        };
        let (kept, done) = self.trusted.looked(&source.url, fetched, now);
        if let Err(why) = done {
            host.log(&to_string(&Failed { event: "jwks", issuer: name, failed: &why }));
        }
        // What cannot be kept is looked for by each process.
        let _ = host.remember(&key, kept.into(), KEPT_SECONDS).await;
    }
}
