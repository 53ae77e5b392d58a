//! Short-lived tokens (JWT) in place of a key: whose caller one stands for, and what it leaves of it. Pure.
//!
//! A token only narrows: the limits, models, providers, tags and origins of its caller hold beside its own. What it says is
//! believed once its signature is checked; a claim that would narrow and cannot be understood refuses it. Nothing here ever
//! repeats what a token says, but for times.
//!
//! Sources: RFC 7519 (JWT), RFC 8725 (its best practices).

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::jwks::{Mark, Trusted};
use super::key::{Algorithm, Key, decoded};
use super::origin::Listed;
use super::proof::Signed;
use super::{mint, refusal};
use crate::chat::Number;
use crate::config::{Caller, Issuer, Trust, usd};
use crate::error::{Error, Kind};
use crate::host::Millis;
use crate::limit::calendar::written_instant;
use crate::limit::rule::{Blind, Every, Limit, Per, Span, Unit};
use crate::price::Picodollars;
use crate::route::is_name;
use crate::route::rule::Glob;
use crate::wire::json::{Cursor, Fields, Ignored, Read, objects, parse, read};

/// Longer ones are refused by many servers, for their headers.
pub const BYTES_MAX: usize = 8192;
/// By so much another's clock may be wrong.
pub const LEEWAY_MS: Millis = 60_000;
/// So many models, origins or tags fit into a token, and more are a mistake.
const NAMES_MAX: usize = 100;
/// Of keys that may be meant by one token.
const CANDIDATES_MAX: usize = 4;

/// What a token allows of what its caller may; all of it where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The end user whom it is for.
    pub user: Option<String>,
    /// As a caller's.
    pub models: Option<Vec<String>>,
    /// The most tokens that one request may be answered with.
    pub max_tokens: Option<u64>,
    /// The most that all requests with it may cost.
    pub max_cost: Option<Picodollars>,
    pub requests_per_minute: Option<u64>,
    /// As a caller's.
    pub origins: Option<Vec<String>>,
    pub tags: Vec<String>,
}

/// What a caller is held to by the token that it came with.
#[derive(Debug, Clone)]
pub struct Grant {
    /// By which it is counted: a digest of what is signed, which only its issuer can say in another way.
    pub id: String,
    pub issuer: String,
    pub expires: Millis,
    pub scope: Scope,
    models: Option<Vec<Glob>>,
    origins: Option<Vec<Listed>>,
}

impl Grant {
    /// The error names the field that is mistaken, and says what is due.
    pub fn new(id: String, issuer: String, expires: Millis, scope: Scope) -> Result<Self, (&'static str, String)> {
        let check = |field, names: Option<&[String]>| match names {
            Some([]) => Err((field, "empty; name one, or leave it out to allow all".to_owned())),
            Some(names) if names.len() > NAMES_MAX => Err((field, format!("more than {NAMES_MAX}"))),
            Some(names) if !names.iter().all(|name| is_name(name) && !name.is_empty()) => {
                Err((field, "a name is too long, empty, or has control characters".to_owned()))
            }
            _ => Ok(()),
        };
        check("sub", scope.user.as_ref().map(std::slice::from_ref))?;
        check("models", scope.models.as_deref())?;
        check("origins", scope.origins.as_deref())?;
        check("tags", Some(scope.tags.as_slice()).filter(|tags| !tags.is_empty()))?;
        let origins = scope.origins.as_ref().map(|origins| {
            let origins = origins.iter().map(|origin| Listed::written(origin));
            let due = || ("origins", "not an origin like \"https://app.example.com\"".to_owned());
            origins.collect::<Option<Vec<_>>>().ok_or_else(due)
        });
        let models = scope.models.as_ref().map(|models| models.iter().map(Glob::new).collect());
        Ok(Self { id, issuer, expires, models, origins: origins.transpose()?, scope })
    }

    /// Whether a model is among those that it names, if it names any.
    pub fn names<'n>(&self, mut names: impl Iterator<Item = &'n str>) -> bool {
        self.models.as_ref().is_none_or(|models| names.any(|name| models.iter().any(|glob| glob.matches(name))))
    }

    /// Whether it may come from a page of this origin.
    pub fn is_for(&self, origin: &str) -> bool {
        self.origins.as_ref().is_none_or(|origins| origins.iter().any(|listed| listed.means(origin)))
    }

    /// Its own limits, beside those of its caller. What it has spent is forgotten with it.
    fn limits(&self) -> Vec<Arc<Limit>> {
        let until = self.expires.saturating_add(LEEWAY_MS);
        let minute = Span::Window { every: Every::Minute, slices: 1 };
        let cost = self.scope.max_cost.map(|Picodollars(most)| {
            // The caller's own keys of providers are not its holder's either.
            Limit { own_keys: true, ..Limit::of("token-max-cost", Unit::Cost, most, Span::Until(until)) }
        });
        let rate = self.scope.requests_per_minute;
        let rate = rate.map(|most| Limit::of("token-requests-per-minute", Unit::Requests, most, minute));
        [cost, rate]
            .into_iter()
            .flatten()
            .map(|limit| Arc::new(Limit { per: Per::Token, blind: Blind::Refuse, ..limit }))
            .collect()
    }
}

impl Caller {
    /// The same, held to what a token says.
    pub fn held(&self, grant: Grant) -> Self {
        let mut held = self.clone();
        held.admin = false;
        let more = grant.scope.tags.iter().filter(|tag| !self.tags.contains(tag));
        held.tags.extend(more.cloned());
        held.limits.extend(grant.limits());
        held.token = Some(Arc::new(grant));
        held
    }
}

/// Whether a key has the form of a token.
pub fn is_like(key: &str) -> bool {
    // In base64, `{"`.
    key.starts_with("eyJ") && key.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// As it came, before anything of it is believed.
pub struct Token<'a> {
    text: &'a str,
    signed: &'a str,
    signature: Vec<u8>,
    /// None where it is one that nobody here checks.
    algorithm: Option<Algorithm>,
    /// By which its issuer calls the key.
    pub key_id: Option<String>,
    pub issuer: String,
    payload: Vec<u8>,
}

objects! {
    struct Header {
        alg: String,
        kid: Option<String>,
        /// What has to be understood beside all this; nothing is.
        crit: Option<Ignored>,
    }

    struct Issued {
        iss: Option<String>,
    }
}

impl<'a> Token<'a> {
    pub fn read(text: &'a str) -> Result<Self, Error> {
        let wrong = || refusal("the token cannot be read");
        if text.len() > BYTES_MAX {
            return Err(refusal(&format!("the token is longer than {BYTES_MAX} bytes")));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(wrong)?;
        let (header, payload) = signed.split_once('.').ok_or_else(wrong)?;
        let part = |text| decoded(text).ok_or_else(wrong);
        let (header, payload, signature) = (part(header)?, part(payload)?, part(signature)?);
        let Header { alg, kid, crit } = read(&header).map_err(|_| wrong())?;
        if crit.is_some() {
            return Err(refusal("the token wants what is not understood here, by `crit`"));
        }
        let issued: Issued = read(&payload).map_err(|_| wrong())?;
        let issuer = issued.iss.ok_or_else(|| refusal("the token does not say who issued it, by `iss`"))?;
        let algorithm = Algorithm::ALL.iter().copied().find(|algorithm| algorithm.word() == alg);
        Ok(Self { text, signed, signature, algorithm, key_id: kid, issuer, payload })
    }

    /// Whether none of these keys can be the one that it names.
    pub fn lacks(&self, keys: &[Key]) -> bool {
        !keys.iter().any(|key| self.may_be_of(key))
    }

    fn may_be_of(&self, key: &Key) -> bool {
        match (&self.key_id, &key.id) {
            (Some(named), Some(own)) => named == own,
            _ => true,
        }
    }

    /// The keys that it can be signed with; more than one only while an issuer changes its key and gives it no name.
    fn candidates<'k>(&self, keys: &'k [Key]) -> impl Iterator<Item = &'k Key> {
        keys.iter().filter(|key| self.may_be_of(key) && Some(key.algorithm()) == self.algorithm).take(CANDIDATES_MAX)
    }

    /// What a host finds out before this is believed: whether one of these keys made its signature. Each with its mark.
    pub fn claims(&self, keys: &[Key]) -> Vec<(Mark, Signed)> {
        let claim = |key: &Key| Some((self.mark(key)?, key.signed(self.signed.as_bytes(), &self.signature)?));
        self.candidates(keys).filter_map(claim).collect()
    }

    /// None where no host is asked.
    fn mark(&self, key: &Key) -> Option<Mark> {
        let mark = Sha256::new().chain_update(key.algorithm().word()).chain_update(key.public()?);
        Some(mark.chain_update(self.text).finalize().into())
    }

    /// That one of these keys made its signature. Of a public key's a host has found out, and it is among `trusted`.
    fn check(&self, keys: &[Key], trusted: &Trusted) -> Result<(), Error> {
        if self.algorithm.is_none() {
            return Err(refusal("the token's algorithm is not allowed here"));
        }
        if self.lacks(keys) {
            return Err(refusal("the token's key is not known here, by its `kid`"));
        }
        let mut fitting = self.candidates(keys).peekable();
        if fitting.peek().is_none() {
            return Err(refusal("the token's algorithm is not allowed here"));
        }
        let is_good = |key: &Key| match self.mark(key) {
            None => key.is_mac(self.signed.as_bytes(), &self.signature),
            Some(mark) => trusted.has_seen(&mark),
        };
        if fitting.any(is_good) { Ok(()) } else { Err(refusal("the token's signature is not its issuer's")) }
    }

    /// What it says, once its signature is checked.
    fn grant(&self, audiences: &[String], max_ms: Millis, now: Millis) -> Result<Grant, Error> {
        let claims = Claims(Fields::read(&self.payload).map_err(|_| refusal("the token cannot be read"))?);
        let instant =
            |name| claims.get(name, "a time in seconds").map(|time: Option<Number>| time.map(|time| millis(&time)));
        let expires = instant("exp")?.ok_or_else(|| refusal("the token does not say when it ends, by `exp`"))?;
        if expires.saturating_add(LEEWAY_MS) <= now {
            return Err(refusal(&format!("the token has expired, at {}", written_instant(expires))));
        }
        let begins = instant("nbf")?.unwrap_or_default();
        let issued = instant("iat")?;
        let earliest = begins.max(issued.unwrap_or_default());
        if earliest > now.saturating_add(LEEWAY_MS) {
            return Err(refusal("the token is not good yet, by `nbf` or `iat`"));
        }
        let life_ms = expires.saturating_sub(issued.unwrap_or(now.saturating_add(LEEWAY_MS)));
        if life_ms > max_ms || expires.saturating_sub(now) > max_ms.saturating_add(LEEWAY_MS) {
            let most = max_ms / 1000;
            return Err(refusal(&format!("the token lives for too long; {most} seconds are allowed here")));
        }
        if !audiences.is_empty() {
            let due: Option<Texts> = claims.get("aud", "a text or a list of texts")?;
            if !due.is_some_and(|Texts(due)| due.iter().any(|due| audiences.contains(due))) {
                return Err(refusal("the token is for another audience, by `aud`"));
            }
        }
        let id = Sha256::digest(self.signed);
        let id = id.iter().take(16).fold(String::new(), |id, byte| format!("{id}{byte:02x}"));
        let wrong = |(field, why): (_, String)| mistaken(field, &why);
        Grant::new(id, self.issuer.clone(), expires, claims.scope()?).map_err(wrong)
    }
}

/// The caller that a token stands for, held to what it says. `find` finds callers by their names.
///
/// Where it is signed with a public key, that was found good before, by [`Token::claims`].
pub(super) fn bearer(
    text: &str,
    (issuers, secret): (&[Issuer], Option<&[u8; 32]>),
    find: impl Fn(&str) -> Option<Arc<Caller>>,
    trusted: &Trusted,
    now: Millis,
) -> Result<Caller, Error> {
    let token = Token::read(text)?;
    let find = |name: &str| find(name).ok_or_else(|| refusal("the token's caller is not known here"));
    let (caller, grant) = if token.issuer == mint::ISSUER {
        let mint::Named { caller } = read(&token.payload).map_err(|_| refusal("the token cannot be read"))?;
        let caller = find(&caller)?;
        let key = mint::key_named(secret, &caller, token.key_id.as_deref(), now);
        token.check(key.as_slice(), trusted)?;
        (caller, token.grant(&[], mint::SECONDS_MAX * 1000, now)?)
    } else {
        let issuer = issuers.iter().find(|issuer| issuer.iss == token.issuer);
        let issuer = issuer.ok_or_else(|| refusal("the token's issuer is not known here, by `iss`"))?;
        match &issuer.trust {
            Trust::Keys(keys) => token.check(keys, trusted)?,
            Trust::Fetched(source) => {
                let keys = trusted.keys(&source.url).ok_or_else(|| Error {
                    retry_after: Some(1),
                    ..Error::new(Kind::BadUpstream, "the keys of the token's issuer cannot be had just now")
                })?;
                token.check(&keys, trusted)?;
            }
        }
        (find(&issuer.caller)?, token.grant(&issuer.audiences, issuer.max_ms, now)?)
    };
    Ok(caller.held(grant))
}

/// Seconds, of which others may have parts; before 1970 and beyond all time it is one of those.
fn millis(seconds: &Number) -> Millis {
    (seconds.value() as u64).saturating_mul(1000)
}

#[cold]
fn mistaken(claim: &str, why: &str) -> Error {
    refusal(&format!("the token's claim `{claim}` is wrong: {why}"))
}

/// What a token says. One that is there is of its kind, and not `null`.
struct Claims<'a>(Fields<'a>);

impl<'a> Claims<'a> {
    fn get<T: Read<'a>>(&self, name: &str, due: &str) -> Result<Option<T>, Error> {
        match self.0.raw(name) {
            None => Ok(None),
            Some(raw) => parse(raw.get()).map(Some).map_err(|_| mistaken(name, &format!("it must be {due}"))),
        }
    }

    /// By one of two names; under both it might be two things.
    fn either<T: Read<'a>>(&self, [name, other]: [&str; 2], due: &str) -> Result<Option<T>, Error> {
        match (self.get(name, due)?, self.get(other, due)?) {
            (Some(_), Some(_)) => Err(refusal(&format!("the token has both claims `{name}` and `{other}`"))),
            (one, two) => Ok(one.or(two)),
        }
    }

    fn scope(&self) -> Result<Scope, Error> {
        let origins: Option<Texts> = self.either(["origins", "origin"], "a list of texts, or one")?;
        let dollars: Option<Dollars> = self.either(["max_cost_usd", "max_cost"], "dollars, like \"0.50\"")?;
        let amount =
            |Dollars(dollars)| dollars.ok_or_else(|| mistaken("max_cost_usd", "it must be dollars, like \"0.50\""));
        let max_cost = dollars.map(amount);
        Ok(Scope {
            user: self.get("sub", "a text")?,
            models: self.get("models", "a list of texts")?,
            max_tokens: self.get("max_tokens", "a whole number")?,
            max_cost: max_cost.transpose()?,
            requests_per_minute: self.either(["requests_per_minute", "rpm"], "a whole number")?,
            origins: origins.map(|Texts(origins)| origins),
            tags: self.get("tags", "a list of texts")?.unwrap_or_default(),
        })
    }
}

/// One text, or a list of them.
struct Texts(Vec<String>);

impl<'a> Read<'a> for Texts {
    fn read(at: &mut Cursor<'a>) -> Self {
        Self(if at.peek() == b'"' { vec![String::read(at)] } else { Vec::read(at) })
    }

    fn blank() -> Self {
        Self(Vec::new())
    }
}

/// A text or a number.
struct Dollars(Option<Picodollars>);

impl<'a> Read<'a> for Dollars {
    fn read(at: &mut Cursor<'a>) -> Self {
        match at.peek() {
            b'"' => Self(usd(&String::read(at))),
            _ => Self(Picodollars::nearest(Number::read(at).text())),
        }
    }

    fn blank() -> Self {
        Self(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CallerKey;
    use crate::host::native::signatures::verify;

    fn caller() -> Caller {
        let keys = vec![CallerKey { sha256: [5; 32], expires: None, signs: true }];
        Caller { name: "app".to_owned(), keys, ..Caller::default() }
    }

    fn bearer_of(text: &str, issuers: &[Issuer], now: Millis) -> Result<Caller, String> {
        let find = |name: &str| (name == "app").then(|| Arc::new(caller()));
        let trusted = Trusted::default();
        let token = Token::read(text).map_err(|error| error.message)?;
        let keys = issuers.iter().flat_map(|issuer| match &issuer.trust {
            Trust::Keys(keys) => keys.clone(),
            Trust::Fetched(_) => Vec::new(),
        });
        let claims = token.claims(&keys.collect::<Vec<_>>());
        let _proven: Vec<_> =
            claims.into_iter().filter_map(|(mark, signed)| verify(&signed).then(|| trusted.saw(mark))).collect();
        bearer(text, (issuers, None), find, &trusted, now).map_err(|error| error.message)
    }

    /// RFC 7515, appendix A.2, whole, as a token of an issuer who is believed.
    #[test]
    fn a_published_token_is_read_as_it_is_meant() {
        let text = concat!(
            "eyJhbGciOiJSUzI1NiJ9.",
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1",
            "dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzD",
            "wusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        );
        let modulus = concat!(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgN",
            "MsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xs",
            "mtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
        );
        let key = Key::written(None, &format!(r#"{{"kty":"RSA","e":"AQAB","n":"{modulus}"}}"#)).unwrap();
        let joe = Issuer {
            name: "joe".to_owned(),
            iss: "joe".to_owned(),
            audiences: Vec::new(),
            caller: "app".to_owned(),
            max_ms: 900_000,
            trust: Trust::Keys(vec![key]),
        };
        let issuers = [joe];
        let ends = 1_300_819_380_000;
        let held = bearer_of(text, &issuers, ends - 1).unwrap();
        let grant = held.token.unwrap();
        assert_eq!((held.name.as_str(), grant.expires, grant.issuer.as_str()), ("app", ends, "joe"));
        assert_eq!(grant.scope, Scope::default());
        assert!(bearer_of(text, &issuers, ends + LEEWAY_MS).unwrap_err().contains("expired, at 2011-03-22T18:43:00Z"));
        let cut = text.get(..text.len() - 2).unwrap();
        assert!(bearer_of(cut, &issuers, ends).unwrap_err().contains("signature"));
    }

    #[test]
    fn what_is_minted_says_what_was_meant_whatever_that_was() {
        let now = 1_795_262_400_000;
        let some = |seed: u64, bit: u64| seed >> bit & 1 == 1;
        let texts = |seed: u64| vec![format!("https://a{seed}.example"), "https://*.b".to_owned()];
        for seed in 0..128 {
            let scope = Scope {
                user: some(seed, 0).then(|| format!("u{seed} \"\\ é")),
                models: some(seed, 1).then(|| texts(seed)),
                max_tokens: some(seed, 2).then_some(seed),
                max_cost: some(seed, 3).then_some(Picodollars(seed * 1_234_567_891)),
                requests_per_minute: some(seed, 4).then_some(seed),
                origins: some(seed, 5).then(|| texts(seed)),
                tags: if some(seed, 6) { texts(seed) } else { Vec::new() },
            };
            let own = caller();
            let minted = mint::mint(None, (&own, own.keys.first()), &scope, ("id", 60), now).unwrap();
            let held = bearer_of(&minted.token, &[], now).unwrap();
            assert_eq!(held.token.as_ref().unwrap().scope, scope);
            assert_eq!(held.limits.len(), usize::from(some(seed, 3)) + usize::from(some(seed, 4)));
            // It never has more than its caller, however that is bounded.
            let narrow = Caller { models: vec![Glob::new("m")], ..own.clone() };
            let both = narrow.held(Arc::unwrap_or_clone(held.token.unwrap()));
            for model in ["m", "n", "https://x.b", "https://*.b"] {
                let may = held_may(&scope, model) && narrow.may_ask_for(model, None);
                assert_eq!(both.may_ask_for(model, None), may, "{scope:?} {model}");
            }
            assert!(!both.admin && (both.may_ask_for_all() <= narrow.may_ask_for_all()));
        }
    }

    fn held_may(scope: &Scope, model: &str) -> bool {
        scope.models.as_ref().is_none_or(|models| models.iter().any(|name| Glob::new(name).matches(model)))
    }

    #[test]
    fn only_a_key_that_is_secret_signs_without_a_secret_of_the_gateway() {
        let (now, scope, secret) = (1_795_262_400_000, Scope::default(), [9; 32]);
        let written = CallerKey { sha256: [5; 32], expires: None, signs: false };
        let caller = Caller { name: "app".to_owned(), keys: vec![written], ..Caller::default() };
        let mint = |secret: Option<&[u8; 32]>, by| mint::mint(secret, (&caller, by), &scope, ("id", 60), now);
        let refused = mint(None, Some(&written)).unwrap_err();
        assert!(refused.message.contains("TOLLGATE_TOKEN_SECRET"), "{refused}");
        assert!(mint(None, None).is_err());
        let find = |_: &str| Some(Arc::new(caller.clone()));
        for by in [Some(&written), None] {
            let token = mint(Some(&secret), by).unwrap().token;
            let judge = |secret: Option<&[u8; 32]>| bearer(&token, (&[], secret), find, &Trusted::default(), now);
            assert!(judge(Some(&secret)).is_ok());
            assert!(judge(Some(&[8; 32])).is_err() && judge(None).is_err());
        }
    }
}
