//! Who may ask: as it is written, and made ready.

use std::sync::Arc;

use super::model::dollars;
use super::provider::Compiled;
use super::{Config, Draft, FIRST_CALLER, FIRST_SECRET, Known, Secrets, check_name, limit, sha256};
use crate::auth::key::{SECRET_BYTES_MIN, hs256};
use crate::auth::origin::Listed;
use crate::auth::own::{OwnKey, WANTS_NO_KEY};
use crate::auth::token::Grant;
use crate::host::Millis;
use crate::limit::calendar::instant;
use crate::limit::rule::Limit;
use crate::mistake::{Mistake, Mistakes, under};
use crate::nearest::nearest;
use crate::route::rule::{Glob, all_names};
use crate::wire::json::{Shape, objects, written};

objects! {
    #[derive(Debug, Default, Clone)]
    pub struct CallerDraft {
        /// The name of the secret that holds the key.
        pub secret: Option<String>,
        /// SHA-256 of the key, in hex, in place of `secret`.
        pub sha256: Option<String> where digest,
        /// More keys, so that an old one is good for a while beside a new one.
        pub keys: Vec<CallerKeyDraft> = Vec::new(),
        /// When all its keys end: a UTC instant like `2027-01-31T12:00:00Z`, or a day, at whose beginning they do.
        pub expires: Option<String> where instants,
        /// Whether its keys are refused for now.
        pub disabled: bool = false,
        /// Names besides which it may ask for no model, once the rules have been followed, with `*` for any text.
        pub models: Option<Vec<String>>,
        /// Providers, or `provider/model`, besides which none is asked for it.
        pub providers: Option<Vec<String>>,
        /// Its own keys of providers, which its requests are asked by before the gateway's.
        pub provider_keys: Vec<ProviderKeyDraft> = Vec::new(),
        /// Whether its requests may bring more such keys, or a credential for a provider with `pass_through`; they may if not
        /// said.
        pub own_keys: Option<bool>,
        /// Whether its requests are asked by keys of its own only, never by the gateway's.
        pub own_keys_only: bool = false,
        /// What each of its requests is tagged with, beside its own tags.
        pub tags: Vec<String> = Vec::new(),
        /// Pages that may use its keys in browsers, by their origins like `https://app.example.com`, with `*` in the host for
        /// any text.
        pub origins: Option<Vec<String>>,
        /// Whether it may make, change and revoke keys at `/v1/keys`.
        pub admin: bool = false,
        /// For limits of all callers of one project.
        pub project: Option<String>,
        pub requests_per_minute: Option<u32>,
        /// Dollars in a calendar month (UTC), like `5.00`.
        pub spend_cap_usd: Option<String> where dollars,
        /// Whether a model whose price is not known may be asked under a cap.
        pub unpriced: bool = false,
    }

    /// Another key of a caller.
    #[derive(Debug, Default, Clone)]
    pub struct CallerKeyDraft {
        /// The name of the secret that holds the key.
        pub secret: Option<String>,
        /// SHA-256 of the key, in hex, in place of `secret`.
        pub sha256: Option<String> where digest,
        /// When this one ends, as `expires` of the caller.
        pub expires: Option<String> where instants,
    }

    /// A caller's own key of a provider.
    #[derive(Debug, Default, Clone)]
    pub struct ProviderKeyDraft {
        pub provider: String,
        /// The name of the secret that holds it.
        pub secret: String,
    }
}

written! {
    impl CallerDraft {
        secret?, sha256?, keys?, expires?, disabled?, models?, providers?, provider_keys?, own_keys?, own_keys_only?, tags?,
        origins?, admin?, project?, requests_per_minute?, spend_cap_usd?, unpriced?
    }
    impl CallerKeyDraft { secret?, sha256?, expires? }
    impl ProviderKeyDraft { provider, secret }
}

impl CallerDraft {
    /// The secret that the first key of the caller `name` is looked for in.
    pub fn secret(&self, name: &str) -> Option<&str> {
        let own = Some(FIRST_SECRET).filter(|_| name == FIRST_CALLER && self.keys.is_empty());
        self.secret.as_deref().or(own).filter(|_| self.sha256.is_none())
    }

    /// Those of all its keys, here and at providers.
    pub fn secrets(&self, name: &str) -> impl Iterator<Item = &str> {
        let more = self.keys.iter().map(|key| key.secret.as_deref());
        let own = self.provider_keys.iter().map(|key| Some(key.secret.as_str()));
        [self.secret(name)].into_iter().chain(more).chain(own).flatten()
    }
}

fn digest(_: Shape) -> Shape {
    Shape::text("^[0-9A-Fa-f]{64}$", &[])
}

/// What [`instant`] takes, but for days that no month has.
fn instants(_: Shape) -> Shape {
    let form = concat!(
        "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
        "(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?$"
    );
    Shape::text(form, &["2027-01-31", "2027-01-31T12:00:00Z"])
}

#[derive(Debug, Clone, Default)]
pub struct Caller {
    pub name: String,
    /// Of whoever has a key, one at least.
    pub keys: Vec<Key>,
    /// From then on it is refused.
    pub expires: Option<Millis>,
    pub disabled: bool,
    /// What it may ask for; all where there is none.
    pub models: Vec<Glob>,
    /// Who may be asked for it, as a policy's `only`; all where there is none.
    pub providers: Vec<String>,
    pub own: Allowance,
    pub tags: Vec<String>,
    /// Besides whose pages none may use its keys; where there is none, browsers are told nothing.
    pub origins: Vec<Listed>,
    /// Whether it may make, change and revoke keys.
    pub admin: bool,
    pub project: Option<String>,
    pub limits: Vec<Arc<Limit>>,
    /// What it is held to by the token that came in place of a key.
    pub token: Option<Arc<Grant>>,
}

/// A caller's own keys of providers, and what becomes of those that its requests bring.
#[derive(Debug, Clone, Default)]
pub struct Allowance {
    pub keys: Vec<Arc<OwnKey>>,
    /// Whether a request that brings keys is refused.
    pub brings_none: bool,
    /// Whether the gateway's own keys are not for it.
    pub only: bool,
}

/// One of a caller's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    pub sha256: [u8; 32],
    pub expires: Option<Millis>,
    /// Whether tokens may be signed with its digest: that stands nowhere but in memory, and the key is too long to be found by
    /// trying what a token fits.
    pub signs: bool,
}

impl Key {
    /// One that is known itself, as a secret of the host.
    fn known(key: &str, expires: Option<Millis>) -> Self {
        Self { sha256: sha256(key), expires, signs: key.len() >= SECRET_BYTES_MIN }
    }
}

impl Caller {
    /// One that was made at run time. Its names of providers are held against those of `config`, if that is given: when it
    /// is made, for later there may be others.
    pub fn issued(name: &str, written: &CallerDraft, config: Option<&Config>) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let names = config.iter().flat_map(|config| config.providers.names().chain(config.off.names()));
        let known = Known { names: names.map(str::to_owned).collect(), is_whole: config.is_some() };
        if !written.provider_keys.is_empty() {
            mistakes.say("provider_keys", "is for callers of the configuration; a request may bring its own");
        }
        match one("", name, (written, true), &known, (&Compiled::default(), &|_| None), &mut mistakes) {
            Some(caller) => mistakes.or(caller),
            None => Err(mistakes.or(()).err().unwrap_or_default()),
        }
    }

    /// What its sealed state is authenticated with: the first of its keys, whichever it comes with, so that a conversation
    /// goes on with a new one. Who has none, as tokens come in their place, is told from others by its name, with the
    /// gateway's `secret`, or whoever can guess the name could make such state.
    pub fn seal(&self, secret: Option<&[u8; 32]>) -> [u8; 32] {
        let of_name = || secret.map_or_else(|| sha256(&self.name), |secret| hs256(secret, self.name.as_bytes()));
        self.keys.first().map_or_else(of_name, |key| key.sha256)
    }

    /// Whether it may ask for a model, by either of the names that this may be called.
    pub fn may_ask_for(&self, model: &str, other: Option<&str>) -> bool {
        let is_like = |name: &str| self.models.iter().any(|glob| glob.matches(name));
        let is_granted = self.token.as_ref().is_none_or(|token| token.names(all_names(model, other)));
        is_granted && (self.models.is_empty() || all_names(model, other).any(is_like))
    }

    /// Whether it may ask for all models.
    pub fn may_ask_for_all(&self) -> bool {
        self.models.is_empty() && self.token.as_ref().is_none_or(|token| token.scope.models.is_none())
    }
}

/// The callers of a configuration; the first of those of whom it says nothing is `default`, by a secret of the host.
pub(super) fn compile(
    draft: &Draft,
    known: &Known,
    (providers, secret): (&Compiled, &Secrets<'_>),
    mistakes: &mut Mistakes,
) -> Vec<Arc<Caller>> {
    let mut callers: Vec<Arc<Caller>> = Vec::new();
    for (name, written) in draft.callers.iter() {
        let at = under("callers", name);
        if let Err(why) = check_name(name) {
            mistakes.say_anyway(&at, &why);
        }
        let has_tokens = draft.tokens.iter().any(|(_, token)| token.caller == name)
            || draft.apps.iter().any(|(_, app)| app.caller == name);
        let written = (written, !has_tokens);
        let Some(caller) = one(&at, name, written, known, (providers, secret), mistakes) else { continue };
        let is_its = |other: &&Arc<Caller>| caller.keys.iter().any(|key| has(other, key.sha256));
        if let Some(other) = callers.iter().find(is_its) {
            mistakes.say_anyway(&at, &format!("has the same key as {}", under("callers", &other.name)));
        }
        callers.push(Arc::new(caller));
    }
    if !draft.callers.contains(FIRST_CALLER)
        && let Some(key) = secret(FIRST_SECRET)
    {
        let key = Key::known(&key, None);
        if !callers.iter().any(|caller| has(caller, key.sha256)) {
            let keys = vec![key];
            callers.push(Arc::new(Caller { name: FIRST_CALLER.to_owned(), keys, ..Caller::default() }));
        }
    }
    callers
}

/// Whether `name`, as it stands in `caller` at `at`, is a caller's.
pub(super) fn check_caller(at: &str, name: &str, (draft, callers): (&Draft, &[Arc<Caller>]), mistakes: &mut Mistakes) {
    let is_known =
        draft.callers.contains(name) || name == FIRST_CALLER || callers.iter().any(|caller| caller.name == name);
    if !is_known && mistakes.is_whole("callers") {
        let near = nearest(name, draft.callers.names());
        let hint = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
        mistakes.say(&format!("{at}.caller"), &format!("no caller \"{name}\"{hint}"));
    }
}

fn has(caller: &Caller, sha256: [u8; 32]) -> bool {
    caller.keys.iter().any(|key| key.sha256 == sha256)
}

/// A caller as it is written at `at`, and whether it must have a key.
fn one(
    at: &str,
    name: &str,
    (written, needs_key): (&CallerDraft, bool),
    known: &Known,
    (compiled, secret): (&Compiled, &Secrets<'_>),
    mistakes: &mut Mistakes,
) -> Option<Caller> {
    if let Some(Err(why)) = written.project.as_deref().map(check_name) {
        mistakes.say(&format!("{at}.project"), &why);
    }
    let expires = until(at, written.expires.as_deref(), mistakes);
    let lists = [("models", &written.models), ("providers", &written.providers), ("origins", &written.origins)];
    for (field, names) in lists {
        if names.as_ref().is_some_and(Vec::is_empty) {
            mistakes.say(&format!("{at}.{field}"), "empty; name one, or leave it out to allow all");
        }
    }
    let providers = written.providers.clone().unwrap_or_default();
    for (index, name) in providers.iter().enumerate() {
        if let Err(why) = known.check(name.split('/').next().unwrap_or_default()) {
            mistakes.say(&format!("{at}.providers[{index}]"), &why);
        }
    }
    let mut origins = Vec::new();
    for (index, text) in written.origins.iter().flatten().enumerate() {
        match Listed::written(text) {
            Some(origin) => origins.push(origin),
            None => {
                let due = "an origin like \"https://app.example.com\" or \"https://*.example.com\"";
                mistakes.say(&format!("{at}.origins[{index}]"), &format!("\"{text}\" is not {due}"));
            }
        }
    }
    let models = written.models.iter().flatten().map(Glob::new).collect();
    let limits = limit::of_caller(at, written, mistakes);
    let own = Allowance {
        keys: provider_keys(at, written, known, (compiled, secret), mistakes),
        brings_none: written.own_keys == Some(false),
        only: written.own_keys_only,
    };
    let has_key = written.secret.is_some() || written.sha256.is_some() || !written.keys.is_empty();
    let keys = match needs_key || has_key || name == FIRST_CALLER {
        true => keys(at, name, written, secret, mistakes)?,
        false => Vec::new(),
    };
    let (project, tags) = (written.project.clone(), written.tags.clone());
    let (name, disabled, admin) = (name.to_owned(), written.disabled, written.admin);
    let token = None;
    Some(Caller { name, keys, expires, disabled, models, providers, own, tags, origins, admin, project, limits, token })
}

/// Its own keys of providers. Of one that is off, and not for want of a key, there is nothing to show it to.
fn provider_keys(
    at: &str,
    written: &CallerDraft,
    known: &Known,
    (compiled, secret): (&Compiled, &Secrets<'_>),
    mistakes: &mut Mistakes,
) -> Vec<Arc<OwnKey>> {
    let mut keys = Vec::new();
    for (index, ProviderKeyDraft { provider: name, secret: named }) in written.provider_keys.iter().enumerate() {
        let at = format!("{at}.provider_keys[{index}]");
        if let Err(why) = known.check(name) {
            mistakes.say(&format!("{at}.provider"), &why);
            continue;
        }
        let Some(key) = secret(named) else {
            mistakes.say(&format!("{at}.secret"), &format!("no secret named {named} is set"));
            continue;
        };
        if compiled.wants_no_key.contains(name) {
            mistakes.say(&at, WANTS_NO_KEY);
            continue;
        }
        let Some(provider) = compiled.on.get(name).or_else(|| compiled.unkeyed.get(name)) else { continue };
        match OwnKey::new(provider, key) {
            Ok(key) => keys.push(Arc::new(key)),
            Err(why) => mistakes.say(&at, why),
        }
    }
    keys
}

fn until(at: &str, written: Option<&str>, mistakes: &mut Mistakes) -> Option<Millis> {
    let text = written?;
    let expires = instant(text);
    if expires.is_none() {
        let due = "a day like \"2027-01-31\" or an instant of UTC like \"2027-01-31T12:00:00Z\"";
        mistakes.say(&format!("{at}.expires"), &format!("\"{text}\" is not {due}"));
    }
    expires
}

/// Its keys; none where one of them is mistaken.
fn keys(
    at: &str,
    name: &str,
    written: &CallerDraft,
    secret: &Secrets<'_>,
    mistakes: &mut Mistakes,
) -> Option<Vec<Key>> {
    let own =
        (name == FIRST_CALLER && (written.keys.is_empty() || secret(FIRST_SECRET).is_some())).then_some(FIRST_SECRET);
    let mut keys = Vec::new();
    let (first, hex) = (written.secret.as_deref().or(own), written.sha256.as_deref());
    if written.keys.is_empty() || first.is_some() || hex.is_some() {
        keys.push(key(at, (first, hex), None, secret, mistakes));
    }
    for (index, more) in written.keys.iter().enumerate() {
        let at = format!("{at}.keys[{index}]");
        let expires = until(&at, more.expires.as_deref(), mistakes);
        keys.push(key(&at, (more.secret.as_deref(), more.sha256.as_deref()), expires, secret, mistakes));
    }
    keys.into_iter().collect()
}

fn key(
    at: &str,
    (name, hex): (Option<&str>, Option<&str>),
    expires: Option<Millis>,
    secret: &Secrets<'_>,
    mistakes: &mut Mistakes,
) -> Option<Key> {
    if let Some(hex) = hex {
        let sha256 = unhex(hex);
        if sha256.is_none() {
            mistakes.say(&format!("{at}.sha256"), "not 64 hexadecimal digits");
        }
        return sha256.map(|sha256| Key { sha256, expires, signs: false });
    }
    let Some(name) = name else {
        mistakes.say_of(
            at,
            &["secret", "sha256", "keys"],
            "needs secret (the name of the secret with the key) or sha256",
        );
        return None;
    };
    let key = secret(name);
    if key.is_none() {
        mistakes.say(&format!("{at}.secret"), &format!("no secret named {name} is set"));
    }
    key.map(|key| Key::known(&key, expires))
}

pub(super) fn unhex(hex: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let bytes: Vec<u8> =
        digits?.chunks(2).map(|pair| pair.iter().fold(0_u8, |byte, digit| (byte << 4) | digit)).collect();
    if hex.len() == 64 { bytes.try_into().ok() } else { None }
}
