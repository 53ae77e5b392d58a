//! Tokens that the gateway itself makes for its callers, and how it knows them again with nothing looked up. Pure.
//!
//! They are signed (HS256) with a key made of the gateway's secret, or where it has none, of the caller's key, and in both
//! cases of that key's digest: so they end with the key that they were made with. A digest that stands in a configuration or
//! in a store signs nothing by itself, for whoever reads it there could make tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::key::{Key, hs256};
use super::token::{BYTES_MAX, Scope};
use crate::config::{Caller, CallerKey};
use crate::error::{Error, Kind};
use crate::host::Millis;
use crate::wire::json::{objects, to_vec, written};

/// In `iss`; no other issuer may be called so.
pub const ISSUER: &str = "tollgate";
/// A quarter of an hour: as long as an app that is stolen from should be worth stealing from.
pub const SECONDS_MAX: u64 = 15 * 60;
/// What `kid` is of a token that was made with no key of its caller.
const NO_KEY: &str = "caller";

objects! {
    /// Whom a token of the gateway is for.
    pub struct Named {
        pub caller: String,
    }
}

written! {
    struct Header<'a> {
        alg: &'static str,
        typ: &'static str,
        kid: &'a str,
    }

    struct Claims<'a> {
        iss: &'static str,
        caller: &'a str,
        jti: &'a str,
        iat: u64,
        exp: u64,
        sub?: Option<&'a str>,
        models?: Option<&'a [String]>,
        max_tokens?: Option<u64>,
        max_cost_usd?: Option<String>,
        requests_per_minute?: Option<u64>,
        origins?: Option<&'a [String]>,
        tags?: &'a [String],
    }
}

/// A token, and when it ends.
#[derive(Debug)]
pub struct Minted {
    pub token: String,
    pub expires: Millis,
}

/// Makes a token for `caller` that lives for `seconds` and allows what `scope` does, of what the caller may.
///
/// `by` is the caller's key that it ends with; without one it is good as long as the caller is, and the gateway must have a
/// secret. `id` is unlike that of every other token.
pub fn mint(
    secret: Option<&[u8; 32]>,
    (caller, by): (&Caller, Option<&CallerKey>),
    scope: &Scope,
    (id, seconds): (&str, u64),
    now: Millis,
) -> Result<Minted, Error> {
    let key = signing_key(secret, caller, by).ok_or_else(|| {
        let why = "this gateway cannot sign tokens for this key; set the secret TOLLGATE_TOKEN_SECRET";
        Error::new(Kind::Forbidden, why)
    })?;
    let iat = now / 1000;
    let exp = iat.saturating_add(seconds.min(SECONDS_MAX));
    let header = Header { alg: "HS256", typ: "JWT", kid: &key_id(secret, by) };
    let claims = Claims {
        iss: ISSUER,
        caller: &caller.name,
        jti: id,
        iat,
        exp,
        sub: scope.user.as_deref(),
        models: scope.models.as_deref(),
        max_tokens: scope.max_tokens,
        max_cost_usd: scope.max_cost.map(|cost| cost.dollars()),
        requests_per_minute: scope.requests_per_minute,
        origins: scope.origins.as_deref(),
        tags: &scope.tags,
    };
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", part(&to_vec(&header)), part(&to_vec(&claims)));
    let token = format!("{signed}.{}", part(&hs256(&key, signed.as_bytes())));
    if token.len() > BYTES_MAX {
        return Err(Error::invalid(format!("the token would be longer than {BYTES_MAX} bytes; name less in it")));
    }
    Ok(Minted { token, expires: exp.saturating_mul(1000) })
}

/// The key of a token with this `kid`, while the caller's key that it was made with is good.
pub(super) fn key_named(secret: Option<&[u8; 32]>, caller: &Caller, id: Option<&str>, now: Millis) -> Option<Key> {
    let id = id?;
    let is_good = |key: &&CallerKey| key.expires.is_none_or(|expires| expires > now);
    let by = match id {
        NO_KEY => None,
        id => Some(caller.keys.iter().filter(is_good).find(|key| key_id(secret, Some(key)) == id)?),
    };
    let key = signing_key(secret, caller, by)?;
    Some(Key::secret(Some(id.to_owned()), &key))
}

fn signing_key(secret: Option<&[u8; 32]>, caller: &Caller, by: Option<&CallerKey>) -> Option<[u8; 32]> {
    let root = secret.or_else(|| by.filter(|key| key.signs).map(|key| &key.sha256))?;
    let digest = by.map(|key| key.sha256).unwrap_or_default();
    Some(hs256(root, &[b"tollgate token 1\0", caller.name.as_bytes(), b"\0", &digest].concat()))
}

/// What a key of a caller is called in tokens. Whoever holds one can try keys by it only where the gateway has no secret, and
/// there only keys sign that nobody guesses.
fn key_id(secret: Option<&[u8; 32]>, by: Option<&CallerKey>) -> String {
    let Some(key) = by else { return NO_KEY.to_owned() };
    let root = secret.unwrap_or(&key.sha256);
    let name = hs256(root, &[b"tollgate token key 1\0", key.sha256.as_slice()].concat());
    URL_SAFE_NO_PAD.encode(name.get(..12).unwrap_or_default())
}
