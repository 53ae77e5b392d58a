//! Who is calling. Keys are compared as digests, so the time taken says nothing about them.
//!
//! Below it stands how the gateway itself proves who it is, where a provider wants more than a key.

pub mod attest;
pub mod issued;
pub mod jwks;
pub mod key;
pub mod mint;
pub mod origin;
pub mod own;
pub mod proof;
pub mod sigv4;
pub mod token;

use std::sync::Arc;

use self::jwks::Trusted;
use crate::config::{Caller, CallerKey, Config, sha256};
use crate::error::{Error, Kind};
use crate::host::{Headers, Millis};
use crate::limit::calendar::written_instant;
use crate::wire::query::parameter;

/// What a host allows where no caller is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyless {
    /// Nobody: the host can be reached by others.
    Refused,
    /// The one on this machine: the host listens on a loopback address only.
    Loopback,
}

/// The name under which a caller without a key is counted.
pub const LOCAL: &str = "local";

/// All callers. Whoever has a name that the configuration gives to another is none of `issued`.
pub fn callers<'a>(config: &'a Config, issued: &'a [Arc<Caller>]) -> impl Iterator<Item = &'a Arc<Caller>> {
    config.callers.iter().chain(issued.iter().filter(|caller| is_new(config, caller)))
}

fn is_new(config: &Config, caller: &Caller) -> bool {
    config.callers.iter().all(|own| own.name != caller.name)
}

/// The caller of a request with these headers and this query, if its key, or the token in its place, is good at this time.
pub fn caller(
    (config, issued, trusted): (&Config, &[Arc<Caller>], &Trusted),
    keyless: Keyless,
    (headers, query): (&Headers, Option<&str>),
    now: Millis,
) -> Result<Arc<Caller>, Error> {
    if config.callers.is_empty() {
        return match keyless {
            Keyless::Refused => Err(Error::new(
                Kind::Unauthenticated,
                "this gateway has no caller yet; set the secret TOLLGATE_KEY and send it as the key",
            )),
            Keyless::Loopback => local(headers),
        };
    }
    let key = presented(headers, query).ok_or_else(|| {
        Error::new(
            Kind::Unauthenticated,
            "no key; send it as \"authorization: Bearer KEY\", \"x-api-key: KEY\" or \"x-goog-api-key: KEY\"",
        )
    })?;
    let digest = sha256(&key);
    // Of a thousand that were made at run time one has the key, if any.
    let has_it = |caller: &&Arc<Caller>| caller.keys.iter().any(|key| same(key, digest)) && is_new(config, caller);
    let keyed = config.callers.iter().chain(issued.iter().filter(has_it));
    let found = keyed.flat_map(|caller| caller.keys.iter().map(move |key| (caller, key)));
    let (caller, ends) = match found.into_iter().find(|(_, key)| same(key, digest)) {
        Some((caller, key)) => (caller.clone(), key.expires),
        // A key of that form is a key nevertheless.
        None if token::is_like(&key) => {
            let named = |name: &str| callers(config, issued).find(|caller| caller.name == name).cloned();
            let issuers = (config.issuers.as_slice(), config.token_secret.as_ref());
            (Arc::new(token::bearer(&key, issuers, named, trusted, now)?), None)
        }
        None => return Err(refusal("it is not known here")),
    };
    if caller.disabled {
        return Err(refusal("it is disabled"));
    }
    if let Some(expires) = [caller.expires, ends].into_iter().flatten().min().filter(|expires| *expires <= now) {
        return Err(refusal(&format!("it has expired, at {}", written_instant(expires))));
    }
    // What is no page in a browser has no origin.
    match headers.get("origin") {
        Some(origin) if !caller.may_be_at(origin) => {
            Err(Error::new(Kind::Forbidden, "this key is not for pages of this origin"))
        }
        _ => Ok(caller),
    }
}

/// litellm, and Aider with it, knows a key that is not good by OpenAI's words only.
fn refusal(why: &str) -> Error {
    Error::new(Kind::Unauthenticated, format!("Incorrect API key provided: {why}"))
}

/// Whether a key has this digest.
pub fn same(key: &CallerKey, digest: [u8; 32]) -> bool {
    key.sha256.iter().zip(digest).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// With which the keys begin that the gateway makes.
pub const MADE: &str = "tg_";

/// Where it stands when the usual headers hold what is for a provider.
pub const GATEWAY_KEY: &str = "x-tollgate-key";

/// A key without the word for how it is shown.
fn bare(value: &str) -> &str {
    let (scheme, rest) = value.split_once(' ').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") { rest.trim() } else { value.trim() }
}

/// [`GATEWAY_KEY`] before all others, which are then not the gateway's.
///
/// `x-api-key` before `authorization`, as Anthropic has it: clients that send both mean the former. The same holds for
/// Google's own header, beside which a bearer may be the token of a proxy.
///
/// Where no header has one, it may stand in the query, as Gemini's documentation once had it.
pub fn presented(headers: &Headers, query: Option<&str>) -> Option<String> {
    let bearer = || {
        let value = headers.get("authorization")?;
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    };
    let own = || headers.get("x-api-key");
    let header =
        headers.get(GATEWAY_KEY).map(bare).or_else(own).or_else(|| headers.get("x-goog-api-key")).or_else(bearer);
    header.map(str::to_owned).or_else(|| parameter(query, "key")).filter(|key| !key.is_empty())
}

/// A page in a browser can reach a loopback address too: by a form, or by a name that it makes point there.
/// Both show in these headers.
fn local(headers: &Headers) -> Result<Arc<Caller>, Error> {
    let origin = headers.get("origin").map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    for host in [headers.get("host"), origin].into_iter().flatten() {
        if !is_loopback(host) {
            return Err(Error::new(
                Kind::Forbidden,
                "without a key only this machine may call, by a loopback name; set TOLLGATE_KEY to serve others",
            ));
        }
    }
    Ok(Arc::new(Caller::local()))
}

impl Caller {
    /// Whoever is on this machine, where no caller is configured.
    pub fn local() -> Self {
        Self { name: LOCAL.to_owned(), ..Self::default() }
    }

    /// Whether it lists this origin, for whose pages it then is, as far as its token is.
    pub fn is_for(&self, origin: &str) -> bool {
        let is_granted = self.token.as_ref().is_none_or(|token| token.is_for(origin));
        is_granted && self.origins.iter().any(|listed| listed.means(origin))
    }

    /// Whether a page of this origin may use it.
    fn may_be_at(&self, origin: &str) -> bool {
        match self.origins.as_slice() {
            [] => self.token.as_ref().is_none_or(|token| token.is_for(origin)),
            _ => self.is_for(origin),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').unwrap_or_default(),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    if !port.is_empty() && !port.starts_with(':') {
        return false;
    }
    let v4 = name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    let v6 = name.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    v4 || v6 || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Draft;

    /// 2026-11-21, noon.
    const NOW: Millis = 1_795_262_400_000;

    fn ask(keys: bool, keyless: Keyless, fields: &[(&str, &str)]) -> Result<String, Kind> {
        let secret = |name: &str| (keys && name == "TOLLGATE_KEY").then(|| "right".to_owned());
        let config = Config::compile(&Draft::default(), secret).unwrap();
        caller((&config, &[], &Trusted::default()), keyless, (&fields.iter().copied().collect(), None), NOW)
            .map(|caller| caller.name.clone())
            .map_err(|error| error.kind)
    }

    #[test]
    fn the_key_comes_in_either_header() {
        use Keyless::Loopback;
        type Case<'a> = (&'a [(&'a str, &'a str)], Result<&'a str, Kind>);
        let cases: &[Case<'_>] = &[
            (&[("authorization", "Bearer right")], Ok("default")),
            (&[("Authorization", "bearer right ")], Ok("default")),
            (&[("x-api-key", "right")], Ok("default")),
            (&[("x-api-key", "right"), ("authorization", "Bearer other")], Ok("default")),
            (&[("x-goog-api-key", "right")], Ok("default")),
            (&[("x-goog-api-key", "wrong")], Err(Kind::Unauthenticated)),
            (&[("authorization", "Basic right")], Err(Kind::Unauthenticated)),
            (&[("authorization", "Bearer wrong")], Err(Kind::Unauthenticated)),
            (&[("x-api-key", "")], Err(Kind::Unauthenticated)),
            (&[], Err(Kind::Unauthenticated)),
        ];
        for (fields, expected) in cases {
            assert_eq!(ask(true, Loopback, fields), expected.map(str::to_owned), "{fields:?}");
        }
    }

    #[test]
    fn a_key_in_the_query_counts_where_no_header_has_one() {
        let secret = |name: &str| (name == "TOLLGATE_KEY").then(|| "right".to_owned());
        let config = Config::compile(&Draft::default(), secret).unwrap();
        let ask = |fields: &[(&str, &str)], query| {
            caller(
                (&config, &[], &Trusted::default()),
                Keyless::Refused,
                (&fields.iter().copied().collect(), query),
                NOW,
            )
            .is_ok()
        };
        assert!(ask(&[], Some("alt=sse&key=right")));
        assert!(!ask(&[], Some("key=wrong")) && !ask(&[], Some("key=")) && !ask(&[], None));
        assert!(!ask(&[("x-goog-api-key", "wrong")], Some("key=right")));
    }

    #[test]
    fn a_wrong_key_is_refused_in_words_that_clients_know() {
        let secret = |name: &str| (name == "TOLLGATE_KEY").then(|| "right".to_owned());
        let config = Config::compile(&Draft::default(), secret).unwrap();
        let headers = [("x-api-key", "wrong")].into_iter().collect();
        let error = caller((&config, &[], &Trusted::default()), Keyless::Refused, (&headers, None), NOW).unwrap_err();
        assert!(error.message.contains("Incorrect API key provided"), "{error}");
        assert!(!error.message.contains("wrong"), "{error}");
    }

    #[test]
    fn a_key_is_good_until_it_expires_and_while_its_caller_is_not_disabled() {
        let draft = Draft::from_json(Some(
            r#"{"callers":{
                "turned":{"secret":"new","keys":[{"secret":"old","expires":"2026-11-22"},{"secret":"older","expires":"2026-11-21"}]},
                "over":{"secret":"over","expires":"2026-11-21T12:00:00Z","keys":[{"secret":"over-too","expires":"2027-01-01"}]},
                "off":{"secret":"off","disabled":true}}}"#,
        ));
        let config =
            Config::compile(&draft.unwrap(), |name| name.starts_with(char::is_lowercase).then(|| name.to_owned()));
        let config = config.unwrap();
        let ask = |key: &str, now| {
            let headers = [("x-api-key", key)].into_iter().collect();
            let caller = caller((&config, &[], &Trusted::default()), Keyless::Refused, (&headers, None), now);
            caller.map(|caller| caller.name.clone()).map_err(|error| {
                assert_eq!(error.kind, Kind::Unauthenticated);
                error.message
            })
        };
        let day = 86_400_000;
        let cases = [
            ("new", NOW, Ok("turned")),
            ("new", NOW + day, Ok("turned")),
            ("old", NOW, Ok("turned")),
            ("old", NOW + day, Err("it has expired, at 2026-11-22T00:00:00Z")),
            ("older", NOW, Err("it has expired, at 2026-11-21T00:00:00Z")),
            ("over", NOW - 1, Ok("over")),
            ("over", NOW, Err("it has expired, at 2026-11-21T12:00:00Z")),
            ("over-too", NOW, Err("it has expired, at 2026-11-21T12:00:00Z")),
            ("off", NOW, Err("it is disabled")),
        ];
        for (key, now, expected) in cases {
            let expected = expected.map(str::to_owned).map_err(|why| format!("Incorrect API key provided: {why}"));
            assert_eq!(ask(key, now), expected, "{key} at {now}");
        }
    }

    #[test]
    fn a_name_that_the_configuration_takes_later_is_one_caller() {
        let draft = Draft::from_json(Some(r#"{"callers":{"app":{"secret":"app"}}}"#)).unwrap();
        let config = Config::compile(&draft, |name| (name == "app").then(|| name.to_owned())).unwrap();
        let issued = ["app", "web"].map(|name| Arc::new(Caller { name: name.to_owned(), ..Caller::default() }));
        let names: Vec<_> = callers(&config, &issued).map(|caller| caller.name.as_str()).collect();
        assert_eq!(names, ["app", "web"]);
        assert!(!callers(&config, &issued).any(|caller| Arc::ptr_eq(caller, &issued[0])));
    }

    #[test]
    fn without_callers_only_this_machine_is_served() {
        let loopback = [("host", "127.0.0.1:8787"), ("origin", "http://localhost:3000")];
        assert_eq!(ask(false, Keyless::Loopback, &loopback), Ok("local".to_owned()));
        assert_eq!(ask(false, Keyless::Loopback, &[("host", "[::1]:8787")]), Ok("local".to_owned()));
        assert_eq!(ask(false, Keyless::Refused, &loopback), Err(Kind::Unauthenticated));
        let foreign: &[&[(&str, &str)]] = &[
            &[("host", "evil.example:8787")],
            &[("host", "127.0.0.1:8787"), ("origin", "https://evil.example")],
            &[("host", "127.0.0.1.evil.example")],
            &[("host", "127.0.0.1:8787"), ("origin", "null")],
            &[("host", "localhost.evil.example")],
            &[("host", "[::1].evil.example")],
        ];
        for fields in foreign {
            assert_eq!(ask(false, Keyless::Loopback, fields), Err(Kind::Forbidden), "{fields:?}");
        }
    }
}
