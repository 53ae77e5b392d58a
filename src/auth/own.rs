//! Callers' own keys of providers: those that the configuration has for a caller, those that a request brings, and the
//! credential of a subscription that is passed through. Pure.
//!
//! Each is for the provider that it was given for, at the address that the configuration or the catalogue has for that, and
//! for nobody else: none is told to a gateway behind this one, kept, counted under, or named in a message.
//!
//! Sources: "BYOK", Vercel AI Gateway documentation; "Bring your own keys", Cloudflare AI Gateway documentation, for the
//! word of a request that wants no others; read 2026-11.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::mint::ISSUER;
use super::token::Token;
use super::{GATEWAY_KEY, MADE, bare};
use crate::config::{Caller, Config, Credential, Provider, Reach, Target, sha256};
use crate::dialect::Inbound;
use crate::error::{Error, Kind};
use crate::host::Headers;
use crate::wire::json::{Fields, Raw, parse};

/// A caller's own key of one provider.
#[derive(Debug)]
pub struct OwnKey {
    pub provider: String,
    pub credential: Credential,
}

/// The keys of its own by which a request may be asked; those of one provider in the order in which they are tried.
#[derive(Debug, Default)]
pub struct OwnKeys {
    keys: Vec<Arc<OwnKey>>,
    /// Whether it may be asked by no other.
    pub only: bool,
}

/// Brings keys: `PROVIDER=KEY`, several with commas between them or in several fields.
pub const KEY_HEADER: &str = "x-tollgate-provider-key";
/// Wants no others, by our own name and by Cloudflare's.
pub const ONLY_HEADER: &str = "x-tollgate-own-keys-only";
const ONLY_HEADER_THEIRS: &str = "cf-aig-no-wholesale";
/// Why a provider is shown no key of a caller's own.
pub const WANTS_NO_KEY: &str = "is of a provider that wants none, or more than one secret";
/// Of a whole request.
const KEYS_MAX: usize = 16;
/// Tokens that hold claims are the longest.
const KEY_BYTES_MAX: usize = 4_096;
/// Of all that stands around them too.
const BYOK_BYTES_MAX: usize = 2 * KEYS_MAX * KEY_BYTES_MAX;

impl OwnKey {
    /// The error says what is wrong, and not with which key.
    pub fn new(provider: &Provider, key: String) -> Result<Self, &'static str> {
        let Reach::Upstream(upstream) = &provider.reach else {
            return Err("is of the gateway itself, which takes none");
        };
        let auth = upstream.own_keys.as_ref().ok_or(WANTS_NO_KEY)?;
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("is no key: one is of 1 to 4096 visible characters of ASCII");
        }
        Ok(Self { provider: provider.name.clone(), credential: Credential::shown(auth, key) })
    }

    /// What tells it from others, and from which nobody can tell what it is.
    pub fn digest(&self) -> [u8; 8] {
        let mut all = Sha256::new();
        for secret in self.credential.secrets() {
            all.update(secret);
            all.update([0]);
        }
        let mut digest = [0; 8];
        digest.iter_mut().zip(all.finalize()).for_each(|(byte, known)| *byte = known);
        digest
    }
}

impl OwnKeys {
    /// Of a request with these headers and this body, in a caller's name.
    pub fn of(
        (config, caller): (&Config, &Caller),
        dialect: Inbound,
        headers: &Headers,
        body: Option<&Fields<'_>>,
    ) -> Result<Self, Error> {
        let only = match headers.get(ONLY_HEADER).or_else(|| headers.get(ONLY_HEADER_THEIRS)) {
            None | Some("false") => caller.own.only,
            Some("true") => true,
            Some(_) => return Err(Error::invalid(format!("the header {ONLY_HEADER} must be true or false"))),
        };
        let mut own = Self { keys: Vec::new(), only };
        let brought = Brought { config, own: &mut own }.read(headers, body)?;
        if brought && caller.own.brings_none {
            return Err(Error::new(Kind::Forbidden, "this key may bring no keys of providers"));
        }
        if !caller.own.brings_none && headers.get(GATEWAY_KEY).is_some() {
            own.keys.extend(passed(config, caller, dialect, headers).map(Arc::new));
        }
        own.keys.extend(caller.own.keys.iter().cloned());
        Ok(own)
    }

    /// Whether there is one of this provider.
    pub fn has(&self, provider: &str) -> bool {
        self.keys.iter().any(|key| key.provider == provider)
    }

    /// Whether nothing differs for whoever has no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// `targets` and before those of one model each of these keys for it; without those that nobody has a key for.
    pub fn with(&self, targets: &[Arc<Target>]) -> Vec<Arc<Target>> {
        let mut all = Vec::with_capacity(targets.len());
        for group in targets.chunk_by(|one, other| one.is_same(other)) {
            let Some(first) = group.first() else { continue };
            // A model that is listed twice is asked twice by the gateway's keys; a key that was not taken is no better then.
            let is_new = !all.iter().any(|other: &Arc<Target>| other.own.is_some() && other.is_same(first));
            let keys = self.keys.iter().filter(|key| is_new && key.provider == first.provider.name);
            all.extend(keys.enumerate().map(|(number, key)| Arc::new(first.by_own(key, number))));
            all.extend(group.iter().filter(|target| target.is_on()).cloned());
        }
        all
    }
}

/// What a request brings, while it is read.
struct Brought<'a> {
    config: &'a Config,
    own: &'a mut OwnKeys,
}

impl Brought<'_> {
    /// Whether it brings any.
    fn read(mut self, headers: &Headers, body: Option<&Fields<'_>>) -> Result<bool, Error> {
        for (_, value) in headers.iter().filter(|(name, _)| *name == KEY_HEADER) {
            // Hosts may join several fields by commas, and no provider's keys have any.
            for entry in value.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
                let wrong = || Error::invalid(format!("the header {KEY_HEADER} must be of the form PROVIDER=KEY"));
                let (provider, key) = entry.split_once('=').ok_or_else(wrong)?;
                self.take(provider.trim(), key.trim().to_owned(), KEY_HEADER)?;
            }
        }
        let Some(body) = body else { return Ok(!self.own.keys.is_empty()) };
        self.read_object(body.raw("provider"), "provider")?;
        let options = body.raw("providerOptions").and_then(|options| Fields::read(options.get().as_bytes()).ok());
        self.read_object(options.and_then(|options| options.raw("gateway")), "providerOptions.gateway")?;
        Ok(!self.own.keys.is_empty())
    }

    /// `byok` of the object at `path`: lists of credentials by the names of providers.
    fn read_object(&mut self, object: Option<Raw<'_>>, path: &str) -> Result<(), Error> {
        let object = object.and_then(|object| Fields::read(object.get().as_bytes()).ok());
        let Some(byok) = object.and_then(|object| object.raw("byok")).filter(|byok| byok.get() != "null") else {
            return Ok(());
        };
        let path = format!("{path}.byok");
        let wrong = || Error::field(&path, r#"must be of the form {"PROVIDER":[{"apiKey":"KEY"}]}"#);
        if byok.get().len() > BYOK_BYTES_MAX {
            return Err(Error::field(&path, format!("longer than {BYOK_BYTES_MAX} bytes")));
        }
        let byok = Fields::read(byok.get().as_bytes()).map_err(|_| wrong())?;
        for provider in byok.names() {
            let list: Vec<Raw<'_>> = byok.raw(provider).and_then(|list| parse(list.get()).ok()).ok_or_else(wrong)?;
            for credential in list {
                let credential = Fields::read(credential.get().as_bytes()).map_err(|_| wrong())?;
                // One that is made of more is none without it, and an address would lead elsewhere.
                if credential.names().any(|name| name != "apiKey") {
                    return Err(Error::field(&path, "a credential has an apiKey here and nothing else"));
                }
                let key = credential.get::<String>("apiKey").ok().flatten().ok_or_else(wrong)?;
                self.take(provider, key, &path)?;
            }
        }
        Ok(())
    }

    /// A message repeats nothing of what was sent: who confuses the two sends the key as the name.
    fn take(&mut self, name: &str, key: String, at: &str) -> Result<(), Error> {
        if self.own.keys.len() >= KEYS_MAX {
            return Err(Error::invalid(format!("{at}: a request brings {KEYS_MAX} keys at most")));
        }
        let config = self.config;
        let Some(provider) = config.providers.get(name).or_else(|| config.unkeyed.get(name)) else {
            let why = if config.off.contains(name) { "is off here" } else { "does not exist here" };
            return Err(Error::invalid(format!("{at}: names a provider that {why}")));
        };
        let key = OwnKey::new(provider, key);
        let key = key.map_err(|why| Error::invalid(format!("{at}: the key of {} {why}", provider.name)))?;
        self.own.keys.push(Arc::new(key));
        Ok(())
    }
}

/// The credential that came in the headers of a dialect, for the one provider of that dialect which may be shown it.
fn passed(config: &Config, caller: &Caller, dialect: Inbound, headers: &Headers) -> Option<OwnKey> {
    let speaks = |provider: &&Arc<Provider>| match &provider.reach {
        Reach::Upstream(upstream) => dialect.dialect().is_some_and(|own| upstream.dialects.contains(&own)),
        Reach::Echo => false,
    };
    let mut all = config.providers.values().chain(config.unkeyed.values());
    let provider = all.find(|provider| provider.pass_through && speaks(provider))?;
    // Clients that know one header only may send the gateway's key there too, which is nobody else's.
    let gateways = headers.get(GATEWAY_KEY).map(bare);
    let is_gateways = |value: &str| {
        let digest = sha256(bare(value));
        let mut keys = config.callers.iter().flat_map(|caller| &caller.keys).chain(&caller.keys);
        let is_made =
            bare(value).starts_with(MADE) || Token::read(bare(value)).is_ok_and(|token| token.issuer == ISSUER);
        gateways == Some(bare(value)) || is_made || keys.any(|key| key.sha256 == digest)
    };
    let fits = |value: &str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    let shown: Vec<(String, String)> = dialect
        .credentials()
        .iter()
        .filter_map(|name| Some((*name, headers.get(name)?)))
        .filter(|(_, value)| fits(value) && !is_gateways(value))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    (!shown.is_empty()).then(|| OwnKey { provider: provider.name.clone(), credential: Credential::Headers(shown) })
}
