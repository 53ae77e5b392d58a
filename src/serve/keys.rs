//! `/v1/keys`: callers that are made, changed and revoked while the gateway runs, by whoever the configuration makes an
//! administrator. The shape is that of OpenRouter's `/keys` where that has the same thing.
//!
//! A change is in force here at once, in other processes when they next look, and is not told as done before the store has
//! it. What others have written is learned first and written again, so that writers at different places lose nothing but what
//! they did not know of.

use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Gateway, own_caller};
use crate::auth::MADE;
use crate::auth::issued::{Issued, KEPT_SECONDS, KEY, KEYS_MAX, Ring, is_taken};
use crate::config::{Caller, CallerDraft, Mistake, check_name, sha256};
use crate::error::{Error, Kind};
use crate::host::{Body, Host, Incoming};
use crate::limit::calendar::{instant, written_instant};
use crate::mistake::Mistakes;
use crate::wire::json::{Fields, objects, parse_strictly, to_string, to_vec, written};

/// Which of them a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keys {
    All,
    One(String),
    Rotate(String),
}

impl Keys {
    /// Of what stands behind `/keys`.
    pub(super) fn of(rest: &str) -> Option<Self> {
        let named = |name: &str| (!name.is_empty() && !name.contains('/')).then(|| name.to_owned());
        match rest.strip_prefix('/') {
            None => rest.is_empty().then_some(Self::All),
            Some(rest) => match rest.strip_suffix("/rotate") {
                Some(name) => named(name).map(Self::Rotate),
                None => named(rest).map(Self::One),
            },
        }
    }

    /// The methods that it takes.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::All => "GET, POST",
            Self::One(_) => "GET, PATCH, DELETE",
            Self::Rotate(_) => "POST",
        }
    }

    pub(super) fn takes(&self, method: &str) -> bool {
        self.methods().split(", ").any(|own| own == method)
    }
}

objects! {
    /// A key that is asked for, or what is to change of one.
    #[derive(Default)]
    struct Asked {
        name: Option<String>,
        expires: Option<String>,
        /// As OpenRouter calls it.
        expires_at: Option<String>,
        disabled: Option<bool>,
        models: Option<Vec<String>>,
        providers: Option<Vec<String>>,
        own_keys: Option<bool>,
        own_keys_only: Option<bool>,
        tags: Option<Vec<String>>,
        origins: Option<Vec<String>>,
        project: Option<String>,
        requests_per_minute: Option<u32>,
        spend_cap_usd: Option<String>,
        unpriced: Option<bool>,
    }

    #[derive(Default)]
    struct Rotation {
        /// For so long the keys before stay good; not at all if not said.
        grace_seconds: Option<u64>,
    }
}

/// A year: who needs longer needs no new key.
const GRACE_SECONDS_MAX: u64 = 366 * 24 * 60 * 60;
/// What is shown of a key: enough to tell it from others, and too little to guess the rest.
const LABEL_CHARS: usize = 9;

written! {
    struct Told<'a> {
        name: &'a str,
        label: &'a str,
        disabled: bool,
        created_at: String,
        updated_at: String,
        expires_at?: Option<String>,
        models?: Option<Vec<String>>,
        providers?: Option<Vec<String>>,
        own_keys?: Option<bool>,
        own_keys_only?: bool,
        tags?: &'a [String],
        origins?: Option<Vec<String>>,
        project?: Option<&'a str>,
        requests_per_minute?: Option<u32>,
        spend_cap_usd?: Option<&'a str>,
        unpriced?: bool,
    }

    struct Listed<'a> {
        data: Vec<Told<'a>>,
    }

    struct Shown<'a> {
        data: Told<'a>,
        /// Here and nowhere else.
        key?: Option<&'a str>,
    }

    struct Deleted {
        deleted: bool,
    }

    struct Line<'a> {
        event: &'static str,
        done: &'static str,
        name: &'a str,
        by: &'a str,
    }
}

impl Gateway {
    pub(super) fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a store has of the keys that were made at run time. What cannot be read changes nothing.
    pub fn learn_keys(&self, text: &[u8]) -> Result<(), String> {
        self.ring().learn(text).map_err(|why| format!("the keys in the store cannot be read: {why}"))
    }

    /// Looks for them in the store. To be called from time to time, where hosts do not look for themselves.
    pub async fn recall_keys<H: Host>(&self, host: &H) -> Result<(), String> {
        match host.recall(KEY).await {
            Ok(Some(text)) => self.learn_keys(&text),
            Ok(None) => Ok(()),
            Err(down) => Err(format!("the keys in the store cannot be read: {}", down.0)),
        }
    }
}

/// The status of the answer, and its body.
pub(super) async fn keys<H: Host>(
    gateway: &Gateway,
    host: &H,
    asked: Keys,
    request: &Incoming,
) -> Result<(u16, Vec<u8>), Error> {
    let admin = own_caller(gateway, request, host.now())?;
    if !admin.admin {
        return Err(Error::new(Kind::Forbidden, "this is for a caller whose configuration says admin = true"));
    }
    gateway.recall_keys(host).await.map_err(|why| Error::new(Kind::Internal, why))?;
    let body = match &request.body {
        Body::Whole(bytes) => bytes,
        Body::TooLarge => return Err(Error::new(Kind::TooLarge, "the body is too long")),
    };
    let change = Change { gateway, host, by: &admin.name };
    match (request.method.as_str(), asked) {
        ("POST", Keys::All) => change.create(body).await.map(|body| (201, body)),
        ("POST", Keys::Rotate(name)) => change.rotate(&name, body).await.map(|body| (200, body)),
        ("PATCH", Keys::One(name)) => change.edit(&name, body).await.map(|body| (200, body)),
        ("DELETE", Keys::One(name)) => change.revoke(&name).await.map(|body| (200, body)),
        (_, Keys::One(name)) => Ok((200, to_vec(&Shown { data: told(&name, &known(gateway, &name)?), key: None }))),
        _ => {
            let ring = gateway.ring();
            let good = ring.document.keys.iter().filter(|(_, issued)| !issued.revoked);
            Ok((200, to_vec(&Listed { data: good.map(|(name, issued)| told(name, issued)).collect() })))
        }
    }
}

fn told<'a>(name: &'a str, issued: &'a Issued) -> Told<'a> {
    let caller = &issued.caller;
    Told {
        name,
        label: &issued.label,
        disabled: caller.disabled,
        created_at: written_instant(issued.made_ms),
        updated_at: written_instant(issued.changed_ms),
        expires_at: caller.expires.as_deref().and_then(instant).map(written_instant),
        models: caller.models.clone(),
        providers: caller.providers.clone(),
        own_keys: caller.own_keys,
        own_keys_only: caller.own_keys_only,
        tags: &caller.tags,
        origins: caller.origins.clone(),
        project: caller.project.as_deref(),
        requests_per_minute: caller.requests_per_minute,
        spend_cap_usd: caller.spend_cap_usd.as_deref(),
        unpriced: caller.unpriced,
    }
}

fn known(gateway: &Gateway, name: &str) -> Result<Issued, Error> {
    let found = gateway.ring().document.keys.get(name).filter(|issued| !issued.revoked).cloned();
    found.ok_or_else(|| {
        Error::new(Kind::UnknownPath, "there is no key of this name that was made here; GET /v1/keys lists them")
    })
}

/// A body, of which every mistake is told; `{}` where there is none.
pub(super) fn read<'a, T: crate::wire::json::Read<'a>>(body: &'a [u8]) -> Result<T, Error> {
    let text = std::str::from_utf8(body).map_err(|error| Error::invalid(format!("the body is not UTF-8: {error}")))?;
    let mut mistakes = Mistakes::default();
    let asked = parse_strictly(if text.trim().is_empty() { "{}" } else { text }, &mut mistakes);
    mistakes.or(asked).map_err(|mistakes| mistaken(&mistakes))
}

pub(super) fn mistaken(mistakes: &[Mistake]) -> Error {
    let texts: Vec<&str> = mistakes.iter().map(|Mistake(text)| text.trim_start_matches('.')).collect();
    Error::invalid(texts.join("; "))
}

/// One that is made by an administrator.
struct Change<'a, H> {
    gateway: &'a Gateway,
    host: &'a H,
    by: &'a str,
}

impl<H: Host> Change<'_, H> {
    async fn create(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let asked: Asked = read(body)?;
        let name = asked.name.clone().ok_or_else(|| Error::field("name", "missing; how the key's caller is called"))?;
        check_name(&name).map_err(|why| Error::field("name", why))?;
        let is_callers = self.gateway.config.callers.iter().any(|caller| caller.name == name) || is_taken(&name);
        if is_callers || known(self.gateway, &name).is_ok() {
            return Err(Error::field("name", "there is a caller of this name already"));
        }
        if self.gateway.ring().document.keys.iter().filter(|(_, issued)| !issued.revoked).count() >= KEYS_MAX {
            return Err(Error::invalid(format!("there are {KEYS_MAX} keys already, which is the most; revoke some")));
        }
        let now = self.host.now();
        let (key, label, digest) = self.key()?;
        // The name may be one that was revoked.
        let changed_ms = self.gateway.ring().changed_at(&name);
        let mut issued = Issued { made_ms: now, changed_ms, ..Issued::default() };
        issued.turn(label, digest, now, now);
        apply(&mut issued.caller, asked, |_| true);
        self.check(&name, &issued.caller)?;
        let issued = self.keep("created", &name, issued).await?;
        Ok(to_vec(&Shown { data: told(&name, &issued), key: Some(&key) }))
    }

    async fn rotate(&self, name: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
        let Rotation { grace_seconds } = read(body)?;
        let grace = grace_seconds.unwrap_or_default();
        if grace > GRACE_SECONDS_MAX {
            return Err(Error::field("grace_seconds", format!("at most {GRACE_SECONDS_MAX}")));
        }
        let mut issued = known(self.gateway, name)?;
        let now = self.host.now();
        let (key, label, digest) = self.key()?;
        issued.turn(label, digest, now.saturating_add(grace * 1000), now);
        let issued = self.keep("rotated", name, issued).await?;
        Ok(to_vec(&Shown { data: told(name, &issued), key: Some(&key) }))
    }

    async fn edit(&self, name: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
        let asked: Asked = read(body)?;
        if asked.name.as_deref().is_some_and(|other| other != name) {
            return Err(Error::field("name", "a key keeps its name, by which it is counted"));
        }
        let fields = Fields::read(body).map_err(Error::invalid)?;
        let mut issued = known(self.gateway, name)?;
        apply(&mut issued.caller, asked, |field| fields.raw(field).is_some());
        self.check(name, &issued.caller)?;
        let issued = self.keep("changed", name, issued).await?;
        Ok(to_vec(&Shown { data: told(name, &issued), key: None }))
    }

    async fn revoke(&self, name: &str) -> Result<Vec<u8>, Error> {
        let mut issued = known(self.gateway, name)?;
        issued.revoked = true;
        self.keep("revoked", name, issued).await?;
        Ok(to_vec(&Deleted { deleted: true }))
    }

    /// A new key, how it begins, and its SHA-256 in hex.
    fn key(&self) -> Result<(String, String, String), Error> {
        let mut bytes = Vec::with_capacity(32);
        for _ in 0..4 {
            let random = self.host.random();
            if random == 0 {
                // So a host says that it has none, and by chance it is so once in 2^64 times.
                return Err(Error::new(Kind::Internal, "this host has no randomness for a key just now"));
            }
            bytes.extend(random.to_be_bytes());
        }
        let key = new_key(&bytes);
        let label = key.chars().take(LABEL_CHARS).collect();
        let digest = hex(&key);
        Ok((key, label, digest))
    }

    fn check(&self, name: &str, caller: &CallerDraft) -> Result<(), Error> {
        let judged = Caller::issued(name, caller, Some(&self.gateway.config));
        judged.map(drop).map_err(|mistakes| mistaken(&mistakes))
    }

    /// Brings a change into force and into the store; where that fails, all is as it was.
    async fn keep(&self, done: &'static str, name: &str, issued: Issued) -> Result<Issued, Error> {
        if !self.host.keeps() {
            return Err(Error::new(Kind::Internal, "this deployment has no store that keeps keys"));
        }
        let now = self.host.now();
        let changed = self.gateway.ring().change(name, issued, now);
        let before = changed
            .map_err(|_| Error::invalid("the key was changed by another meanwhile; look at it and try again"))?;
        loop {
            let (text, changes) = {
                let ring = self.gateway.ring();
                (to_vec(&ring.document), ring.changes)
            };
            if let Err(down) = self.host.remember(KEY, text.into(), KEPT_SECONDS).await {
                let none = Issued { revoked: true, ..Issued::default() };
                self.gateway.ring().put(name, before.unwrap_or(none), now);
                return Err(Error::new(Kind::Internal, format!("the store cannot be written: {}", down.0)));
            }
            // Who changed another key meanwhile may have been overtaken by this, and would be lost at a restart.
            if self.gateway.ring().changes == changes {
                break;
            }
        }
        self.host.log(&to_string(&Line { event: "key", done, name, by: self.by }));
        let kept = self.gateway.ring().document.keys.get(name).cloned();
        kept.ok_or_else(|| Error::new(Kind::Internal, "the key was revoked meanwhile"))
    }
}

/// A key of these random bytes.
pub fn new_key(random: &[u8]) -> String {
    format!("{MADE}{}", URL_SAFE_NO_PAD.encode(random))
}

/// What a configuration has of a key.
pub fn hex(key: &str) -> String {
    sha256(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes over the fields that are given.
fn apply(caller: &mut CallerDraft, asked: Asked, is_given: impl Fn(&str) -> bool) {
    let Asked { expires, expires_at, disabled, models, providers, tags, origins, project, .. } = asked;
    let Asked { own_keys, own_keys_only, requests_per_minute, spend_cap_usd, unpriced, .. } = asked;
    if is_given("expires") || is_given("expires_at") {
        caller.expires = expires.or(expires_at);
    }
    let mut set = |field: &str, set: &mut dyn FnMut(&mut CallerDraft)| {
        if is_given(field) {
            set(caller);
        }
    };
    set("disabled", &mut |caller| caller.disabled = disabled.unwrap_or_default());
    set("models", &mut |caller| caller.models.clone_from(&models));
    set("providers", &mut |caller| caller.providers.clone_from(&providers));
    set("own_keys", &mut |caller| caller.own_keys = own_keys);
    set("own_keys_only", &mut |caller| caller.own_keys_only = own_keys_only.unwrap_or_default());
    set("tags", &mut |caller| caller.tags = tags.clone().unwrap_or_default());
    set("origins", &mut |caller| caller.origins.clone_from(&origins));
    set("project", &mut |caller| caller.project.clone_from(&project));
    set("requests_per_minute", &mut |caller| caller.requests_per_minute = requests_per_minute);
    set("spend_cap_usd", &mut |caller| caller.spend_cap_usd.clone_from(&spend_cap_usd));
    set("unpriced", &mut |caller| caller.unpriced = unpriced.unwrap_or_default());
}
