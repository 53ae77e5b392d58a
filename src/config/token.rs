//! Whose tokens are believed: as it is written, and made ready.

use std::sync::Arc;

use super::caller::check_caller;
use super::refresh::network;
use super::{Caller, Draft, Secrets, check_name};
use crate::auth::key::{Key, SECRET_BYTES_MIN};
use crate::auth::mint;
use crate::host::{Millis, Network};
use crate::media;
use crate::mistake::{Mistakes, under};
use crate::wire::json::{Shape, objects, written};

objects! {
    /// Tokens (JWT) of one issuer, each in place of a key of `caller`. It is an own backend, with `secret`, `public_key` or
    /// `keys`; or somebody who publishes keys, with `issuer` and `audience`.
    #[derive(Debug, Default)]
    pub struct TokenDraft {
        /// Whose requests they are: all that holds for this caller holds for them, and a token only narrows it.
        pub caller: String,
        /// What tokens say in `iss`; the name of this entry if not said.
        pub issuer: Option<String>,
        /// One of these they must say in `aud`.
        pub audience: Option<Vec<String>>,
        /// The name of the secret that they are signed with (HS256), of 32 bytes at least.
        pub secret: Option<String>,
        /// The key that their signatures are checked with (EdDSA, ES256; RS256 as a JWK): PEM, a JWK, or an Ed25519 key in base64.
        pub public_key: Option<String>,
        /// More keys, so that an old one is good for a while beside a new one.
        pub keys: Vec<TokenKeyDraft> = Vec::new(),
        /// Where the issuer publishes its keys, over https or on a host that `media.hosts` lists; at `/.well-known/jwks.json`
        /// of the issuer if not said.
        pub jwks_url: Option<String>,
        /// The longest that they may live, in seconds: up to 86400, which is a day. If not said, 900 for an own backend, and
        /// 3600 for others.
        pub max_seconds: Option<u64> where seconds,
    }

    /// A key that tokens are signed with.
    #[derive(Debug, Default)]
    pub struct TokenKeyDraft {
        /// What tokens say in `kid`.
        pub id: Option<String>,
        /// The name of a secret, as `secret` of the issuer.
        pub secret: Option<String>,
        /// As `public_key` of the issuer.
        pub public_key: Option<String>,
    }
}

written! {
    impl TokenDraft { caller, issuer?, audience?, secret?, public_key?, keys?, jwks_url?, max_seconds? }
    impl TokenKeyDraft { id?, secret?, public_key? }
}

fn seconds(number: Shape) -> Shape {
    Shape { minimum: Some(1), maximum: Some(SECONDS_MAX), ..number }
}

impl TokenDraft {
    /// The names of its secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let more = self.keys.iter().map(|key| key.secret.as_deref());
        [self.secret.as_deref()].into_iter().chain(more).flatten()
    }
}

/// Who may make tokens for a caller.
#[derive(Debug)]
pub struct Issuer {
    pub name: String,
    /// As tokens call it.
    pub iss: String,
    /// One of which a token must be for; any where there is none.
    pub audiences: Vec<String>,
    pub caller: String,
    pub max_ms: Millis,
    pub trust: Trust,
}

/// By what its signatures are checked.
#[derive(Debug)]
pub enum Trust {
    Keys(Vec<Key>),
    Fetched(Source),
}

/// A set of keys that is fetched now and then.
#[derive(Debug)]
pub struct Source {
    pub url: String,
    pub network: Network,
}

const SECONDS_MAX: u64 = 86_400;
/// As other issuers' tokens of identity live.
const FETCHED_SECONDS: u64 = 3_600;

pub(super) fn compile(
    draft: &Draft,
    callers: &[Arc<Caller>],
    media: &media::Policy,
    secret: &Secrets<'_>,
    mistakes: &mut Mistakes,
) -> Vec<Issuer> {
    let mut issuers: Vec<Issuer> = Vec::new();
    for (name, written) in draft.tokens.iter() {
        let at = under("tokens", name);
        if let Err(why) = check_name(name) {
            mistakes.say_anyway(&at, &why);
        }
        check_caller(&at, &written.caller, (draft, callers), mistakes);
        let iss = written.issuer.clone().unwrap_or_else(|| name.to_owned());
        if iss == mint::ISSUER {
            mistakes.say(&format!("{at}.issuer"), "this is what the gateway's own tokens say");
        }
        if let Some(other) = issuers.iter().find(|other| other.iss == iss) {
            mistakes.say_anyway(&at, &format!("has the same issuer as {}", under("tokens", &other.name)));
        }
        if written.audience.as_ref().is_some_and(Vec::is_empty) {
            mistakes.say(&format!("{at}.audience"), "empty; name one, or leave it out");
        }
        let Some(trust) = trust(&at, written, media, secret, mistakes) else { continue };
        let otherwise = if let Trust::Keys(_) = trust { mint::SECONDS_MAX } else { FETCHED_SECONDS };
        let seconds = written.max_seconds.unwrap_or(otherwise);
        if seconds == 0 || seconds > SECONDS_MAX {
            mistakes.say(&format!("{at}.max_seconds"), &format!("from 1 to {SECONDS_MAX}, like {otherwise}"));
        }
        issuers.push(Issuer {
            name: name.to_owned(),
            iss,
            audiences: written.audience.clone().unwrap_or_default(),
            caller: written.caller.clone(),
            max_ms: seconds.saturating_mul(1000),
            trust,
        });
    }
    issuers
}

fn trust(
    at: &str,
    written: &TokenDraft,
    media: &media::Policy,
    secret: &Secrets<'_>,
    mistakes: &mut Mistakes,
) -> Option<Trust> {
    let first = (None, written.secret.as_deref(), written.public_key.as_deref());
    if (first.1, first.2, written.keys.is_empty()) == (None, None, true) {
        return fetched(at, written, media, mistakes).map(Trust::Fetched);
    }
    if written.jwks_url.is_some() {
        mistakes.say(&format!("{at}.jwks_url"), "keys stand here already; leave one or the other out");
    }
    let mut keys = Vec::new();
    if first.1.is_some() || first.2.is_some() {
        keys.push(key(at, first, secret, mistakes));
    }
    for (index, more) in written.keys.iter().enumerate() {
        let more = (more.id.clone(), more.secret.as_deref(), more.public_key.as_deref());
        keys.push(key(&format!("{at}.keys[{index}]"), more, secret, mistakes));
    }
    keys.into_iter().collect::<Option<_>>().map(Trust::Keys)
}

fn key(
    at: &str,
    (id, name, public): (Option<String>, Option<&str>, Option<&str>),
    secret: &Secrets<'_>,
    mistakes: &mut Mistakes,
) -> Option<Key> {
    let (field, why) = match (name, public) {
        (Some(name), None) => match secret(name) {
            Some(secret) if secret.len() >= SECRET_BYTES_MIN => return Some(Key::secret(id, secret.as_bytes())),
            Some(_) => {
                ("secret", format!("the secret {name} is shorter than {SECRET_BYTES_MIN} bytes, and could be guessed"))
            }
            None => ("secret", format!("no secret named {name} is set")),
        },
        (None, Some(public)) => match Key::written(id, public) {
            Some(key) => return Some(key),
            None => {
                let due = "PEM (Ed25519 or P-256), a JWK, or an Ed25519 key in base64";
                ("public_key", format!("not a public key as {due}"))
            }
        },
        _ => {
            mistakes.say_of(at, &["secret", "public_key"], "needs secret or public_key, and not both");
            return None;
        }
    };
    mistakes.say(&format!("{at}.{field}"), &why);
    None
}

fn fetched(at: &str, written: &TokenDraft, media: &media::Policy, mistakes: &mut Mistakes) -> Option<Source> {
    let Some(issuer) = &written.issuer else {
        let why = "needs secret, public_key or keys of an own backend, or issuer and audience of another";
        mistakes.say_of(at, &["secret", "public_key", "keys", "issuer"], why);
        return None;
    };
    if written.audience.is_none() {
        let why = "missing; without it, tokens that the issuer makes for others would be good here";
        mistakes.say(&format!("{at}.audience"), why);
    }
    let usual = || format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/'));
    let (field, url) = match &written.jwks_url {
        Some(url) => ("jwks_url", url.clone()),
        None => ("issuer", usual()),
    };
    match network(&url, media) {
        Ok(network) => Some(Source { url, network }),
        Err(why) => {
            if mistakes.is_sound("media.hosts") {
                let due =
                    "its keys are fetched over https from the public internet, or from a host that media.hosts lists";
                mistakes.say(&format!("{at}.{field}"), &format!("{why}; {due}"));
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::key::Algorithm;
    use crate::config::{Config, Mistake};

    fn compile(tokens: &str) -> Result<Vec<Issuer>, String> {
        let text = format!(
            r#"{{"media":{{"hosts":["http://127.0.0.1:9000"]}},"callers":{{"app":{{"models":["a"]}},"own":{{"secret":"OWN"}}}},"tokens":{tokens}}}"#
        );
        crate::config::schema::tests::agree(&text);
        let secret = |name: &str| match name {
            "LONG" => Some("a secret that is long enough for it".to_owned()),
            "SHORT" | "OWN" => Some("short".to_owned()),
            _ => None,
        };
        let config = Draft::from_json(Some(&text)).and_then(|draft| Config::compile(&draft, secret));
        config
            .map(|config| config.issuers)
            .map_err(|mistakes| mistakes.into_iter().map(|Mistake(text)| text).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn an_issuer_has_keys_of_its_own_or_publishes_them() {
        let ed25519 = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE";
        let issuers = compile(&format!(
            r#"{{"backend":{{"caller":"app","secret":"LONG","keys":[{{"id":"2","public_key":"{ed25519}"}}]}},
                "there":{{"caller":"app","issuer":"https://id.example.com/","audience":["app"]}},
                "near":{{"caller":"app","issuer":"near","audience":["app"],"jwks_url":"http://127.0.0.1:9000/keys","max_seconds":60}}}}"#
        ));
        let issuers = issuers.unwrap();
        let told: Vec<_> = issuers.iter().map(|issuer| (issuer.iss.as_str(), issuer.max_ms)).collect();
        assert_eq!(told, [("backend", 900_000), ("near", 60_000), ("https://id.example.com/", 3_600_000)]);
        let Trust::Keys(keys) = &issuers[0].trust else { panic!("they stand there") };
        let keys: Vec<_> = keys.iter().map(|key| (key.id.as_deref(), key.algorithm())).collect();
        assert_eq!(keys, [(None, Algorithm::Hs256), (Some("2"), Algorithm::EdDsa)]);
        let Trust::Fetched(near) = &issuers[1].trust else { panic!("they are fetched") };
        assert_eq!((near.url.as_str(), near.network), ("http://127.0.0.1:9000/keys", Network::Any));
        let Trust::Fetched(there) = &issuers[2].trust else { panic!("they are fetched") };
        let url = "https://id.example.com/.well-known/jwks.json";
        assert_eq!((there.url.as_str(), there.network), (url, Network::Public));
    }

    #[test]
    fn what_would_believe_too_much_or_nobody_is_a_mistake_by_its_place() {
        let cases = [
            (r#"{"a":{"caller":"apq","secret":"LONG"}}"#, r#"tokens.a.caller: no caller "apq"; did you mean "app"?"#),
            (r#"{"a":{"secret":"LONG"}}"#, "tokens.a.caller: missing"),
            (
                r#"{"a":{"caller":"app","secret":"SHORT"}}"#,
                "tokens.a.secret: the secret SHORT is shorter than 32 bytes",
            ),
            (r#"{"a":{"caller":"app","secret":"NONE"}}"#, "tokens.a.secret: no secret named NONE is set"),
            (r#"{"a":{"caller":"app","public_key":"x"}}"#, "tokens.a.public_key: not a public key"),
            (r#"{"a":{"caller":"app","keys":[{"id":"k"}]}}"#, "tokens.a.keys[0]: needs secret or public_key"),
            (r#"{"a":{"caller":"app"}}"#, "tokens.a: needs secret, public_key or keys"),
            (r#"{"a":{"caller":"app","issuer":"https://a.example"}}"#, "tokens.a.audience: missing"),
            (r#"{"a":{"caller":"app","issuer":"a","audience":["b"]}}"#, "tokens.a.issuer: it is not an https URL"),
            (
                r#"{"a":{"caller":"app","issuer":"a","audience":["b"],"jwks_url":"http://a.example"}}"#,
                "tokens.a.jwks_url: ",
            ),
            (r#"{"a":{"caller":"app","issuer":"tollgate","secret":"LONG"}}"#, "tokens.a.issuer: this is what"),
            (r#"{"tollgate":{"caller":"app","secret":"LONG"}}"#, "tokens.tollgate: \"tollgate\" is taken"),
            (
                r#"{"a":{"caller":"app","secret":"LONG"},"b":{"caller":"app","issuer":"a","secret":"LONG"}}"#,
                "tokens.b: has the same issuer as tokens.a",
            ),
            (
                r#"{"a":{"caller":"app","secret":"LONG","jwks_url":"https://a.example"}}"#,
                "tokens.a.jwks_url: keys stand",
            ),
            (r#"{"a":{"caller":"app","secret":"LONG","max_seconds":86401}}"#, "tokens.a.max_seconds: from 1 to 86400"),
            (r#"{"a":{"caller":"app","secret":"LONG","audience":[]}}"#, "tokens.a.audience: empty"),
        ];
        for (tokens, expected) in cases {
            let mistakes = compile(tokens).unwrap_err();
            assert!(mistakes.contains(expected), "{tokens}: {mistakes}");
        }
        // A caller may have no key where tokens stand for it; else it is nobody.
        assert!(compile("{}").unwrap_err().contains("callers.app: needs secret"));
    }
}
