//! Where another gateway asks its models, and what that is called here: deployments become targets, and what they need
//! becomes providers.
//!
//! A known provider keeps its name once; whoever asks it with another key, address or account gets a provider of its
//! own, unless several keys share all of the work, which one provider can hold.

use std::collections::{BTreeMap, BTreeSet};

use tollgate::catalog::{self, Auth, Header};
use tollgate::config::{AliasDraft, BUILT_IN, Draft, KeyDraft, PriceDraft, ProviderDraft};
use tollgate::dialect::Dialect;
use tollgate::route::order::Order;

use super::part::Notes;
use super::price;

/// A provider as it is asked: two that differ in anything are two providers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    /// A known provider, or a name of one's own for a server that speaks [`Self::dialect`].
    pub(super) name: String,
    /// Only of a server that is not known.
    pub(super) dialect: Option<Dialect>,
    /// In place of the known one.
    pub(super) base_url: Option<String>,
    /// The secret's name, where it is not the known one.
    pub(super) secret: Option<String>,
    pub(super) region: Option<String>,
    pub(super) variables: BTreeMap<String, String>,
    /// Names of headers with their values, or with the names of secrets.
    pub(super) headers: BTreeMap<String, Worth>,
    /// Asked without a key.
    pub(super) keyless: bool,
}

/// What a header is worth.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Worth {
    Plain(String),
    /// What the secret of this name holds.
    Secret(String),
}

impl Place {
    pub(super) fn known(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            dialect: None,
            base_url: None,
            secret: None,
            region: None,
            variables: BTreeMap::new(),
            headers: BTreeMap::new(),
            keyless: false,
        }
    }

    /// A server at `base_url` that is called after its host.
    pub(super) fn server(base_url: &str) -> Self {
        let rest = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
        let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
        let is_address = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') || host == "localhost";
        let name = match plain(host) {
            _ if is_address || host.is_empty() => "local".to_owned(),
            name if name == BUILT_IN => format!("{name}-server"),
            name => name,
        };
        Self {
            dialect: Some(Dialect::OpenaiChat),
            base_url: Some(base_url.trim_end_matches('/').to_owned()),
            ..Self::known(&name)
        }
    }

    /// Asked with the key in the secret `name`, which need not be said where it is the known one.
    pub(super) fn keyed(mut self, name: &str) -> Self {
        if self.dialect.is_some() || secrets(&self.name).first().is_none_or(|first| first != name) {
            self.secret = Some(name.to_owned());
        }
        self
    }

    fn without_key(&self) -> Self {
        Self { secret: None, ..self.clone() }
    }

    /// As it is written, under `name`.
    fn draft(&self, name: &str) -> ProviderDraft {
        let headers = self.headers.iter().map(|(name, worth)| {
            let (value, secret) = match worth {
                Worth::Plain(value) => (Some(value.clone()), None),
                Worth::Secret(secret) => (None, Some(secret.clone())),
            };
            Header { name: name.clone(), value, secret, optional: false }
        });
        let mut draft = ProviderDraft {
            dialect: self.dialect,
            base_url: self.base_url.clone(),
            secret: self.secret.clone(),
            region: self.region.clone(),
            auth: self.keyless.then_some(Auth::None),
            ..ProviderDraft::default()
        };
        for (name, value) in &self.variables {
            draft.variables.insert(name.clone(), value.clone());
        }
        if let Some(row) = row(&self.name).filter(|_| name != self.name && self.dialect.is_none()) {
            spell_out(&row, &mut draft);
        }
        draft.headers.extend(headers);
        draft
    }
}

/// What `row` says, for a provider that is called otherwise.
fn spell_out(row: &catalog::Provider, draft: &mut ProviderDraft) {
    draft.dialect = Some(row.dialect);
    if draft.base_url.is_none() {
        draft.dialects = row.dialects.clone();
        draft.also = row.also.clone();
        draft.query = row.query.clone();
    }
    draft.base_url = draft.base_url.take().or_else(|| row.base_url.clone());
    draft.platform = Some(row.platform).filter(|platform| *platform != Default::default());
    draft.headers = row.headers.clone();
    draft.follows_303 = row.follows_303.then_some(true);
    draft.first_byte_ms = row.first_byte_ms;
    draft.quirks = Some(row.quirks.clone()).filter(|quirks| *quirks != Default::default());
    if draft.auth.is_none() {
        let is_keyless = row.keyless && draft.secret.is_none();
        draft.auth = if is_keyless { Some(Auth::None) } else { Some(row.auth()).filter(|auth| *auth != Auth::Key) };
    }
    if draft.secret.is_none() && draft.auth.as_ref().is_none_or(|auth| *auth != Auth::None) {
        // Signed requests find their key where all of them do.
        draft.secret = secrets(&row.name).first().cloned().filter(|_| row.service.is_none());
    }
}

pub(super) fn row(name: &str) -> Option<catalog::Provider> {
    catalog::providers().into_iter().find(|row| row.name == name)
}

/// The secrets that may hold a known provider's key, the first before the others.
pub(super) fn secrets(name: &str) -> Vec<String> {
    match row(name) {
        Some(row) if !row.secrets.is_empty() => row.secrets,
        _ => vec![format!("{}_API_KEY", shouted(name))],
    }
}

/// `my-gpu` as the name of a secret begins: `MY_GPU`.
pub(super) fn shouted(name: &str) -> String {
    let letters =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' });
    letters.collect()
}

/// As the name of a provider or a caller may be.
pub(super) fn plain(name: &str) -> String {
    let letters =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' });
    let name: String = letters.take(48).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

/// One model at one place.
#[derive(Debug, Clone)]
pub(super) struct Deployment {
    pub(super) place: Place,
    pub(super) model: String,
    /// Against the others of its tier; all 1 where it does not matter.
    pub(super) weight: u32,
    pub(super) price: Option<PriceDraft>,
}

/// A name for callers, and what stands behind it.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) name: String,
    /// Those of a tier share the work; those of the next are asked when it fails.
    pub(super) tiers: Vec<Vec<Deployment>>,
    /// How the first tier is put in order, where it has several.
    pub(super) order: Order,
    /// All but its targets.
    pub(super) draft: AliasDraft,
}

/// All models of a place, by a pattern of names such as `openai/*`.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) at: String,
    pub(super) pattern: String,
    pub(super) place: Place,
}

/// Puts `named` and `open`, and what they need, into `draft`.
pub(super) fn settle(mut named: Vec<Named>, open: Vec<Open>, draft: &mut Draft, notes: &mut Notes) {
    let keys = share_keys(&mut named);
    let mut places: Vec<(Place, String)> = Vec::new();
    let asked = named.iter().flat_map(|named| named.tiers.iter().flatten()).map(|deployment| &deployment.place);
    for place in open.iter().map(|open| &open.place).chain(asked) {
        if places.iter().all(|(known, _)| known != place) {
            places.push((place.clone(), free_name(place, &places)));
        }
    }
    for Open { at, pattern, place } in open {
        let name = places.iter().find(|(known, _)| *known == place).map(|(_, name)| name.as_str()).unwrap_or_default();
        let is_prefix =
            row(name).is_some_and(|row| row.prefixes.iter().any(|prefix| pattern.starts_with(prefix.as_str())));
        if pattern.split_once('/').is_none_or(|(provider, _)| provider != name) && !is_prefix {
            notes.lose(&at, &format!("here \"{pattern}\" is asked for as \"{name}/*\""));
        }
    }
    for (place, name) in &places {
        let mut provider = place.draft(name);
        if let Some((_, shared)) = keys.iter().find(|(keyless, _)| keyless == place) {
            provider.keys = shared.clone();
            provider.secret = None;
        }
        let is_said = tollgate::wire::json::to_string(&provider) != "{}";
        // One that is one's own is on only once it is written.
        if is_said || row(name).is_none_or(|row| row.keyless) {
            draft.providers.insert(name.clone(), provider);
        }
    }
    for named in named {
        settle_one(named, &places, draft, notes);
    }
}

fn settle_one(named: Named, places: &[(Place, String)], draft: &mut Draft, notes: &mut Notes) {
    let at = format!("models.{}", named.name);
    let mut alias = named.draft;
    let mut weights: Vec<(String, u32)> = Vec::new();
    for (tier, deployments) in named.tiers.iter().enumerate() {
        for deployment in deployments {
            let place = places.iter().find(|(place, _)| *place == deployment.place);
            let provider = place.map(|(_, name)| name.as_str()).unwrap_or_default();
            let target = format!("{provider}/{}", deployment.model);
            let known_price =
                || (provider != deployment.place.name).then(|| price::known(&deployment.place.name, &deployment.model));
            if let Some(price) = deployment.price.clone().or_else(|| known_price().flatten()) {
                draft.prices.insert(target.clone(), price);
            }
            match weights.iter_mut().find(|(known, _)| *known == target) {
                // The same behind itself is no other.
                Some(_) if tier > 0 => {}
                Some((_, weight)) => *weight = weight.saturating_add(deployment.weight),
                None => weights.push((target, if tier == 0 { deployment.weight } else { 0 })),
            }
        }
    }
    alias.targets = weights.iter().map(|(target, _)| target.clone()).collect();
    let first = weights.iter().filter(|(_, weight)| *weight > 0).count();
    if first > 1 && named.order != Order::Listed {
        let order = if first == weights.len() { named.order } else { Order::Weighted };
        if order != named.order {
            let why = format!(
                "\"{}\" would put the fallbacks in order too, so those before them are taken by chance",
                named.order.word()
            );
            notes.lose(&format!("{at}.policy.order"), &why);
        }
        let policy = alias.policy.get_or_insert_default();
        policy.order = Some(order);
        if order == Order::Weighted && weights.iter().any(|(_, weight)| *weight != 1) {
            for (target, weight) in weights {
                policy.weights.insert(target, weight);
            }
        }
    }
    draft.models.insert(named.name, alias);
}

/// A name for `place` that no other place has.
fn free_name(place: &Place, taken: &[(Place, String)]) -> String {
    let is_free = |name: &str| taken.iter().all(|(_, taken)| taken != name);
    let is_other = place.dialect.is_some() && row(&place.name).is_some();
    let mut name = if is_other { format!("{}-own", place.name) } else { place.name.clone() };
    let mut number = 2;
    while !is_free(&name) {
        name = format!("{}-{number}", place.name);
        number += 1;
    }
    name
}

/// Makes one place of those that differ in their keys only, where each name that asks one of them asks all, in the same
/// shares. Returns these places with their keys.
fn share_keys(named: &mut [Named]) -> Vec<(Place, Vec<KeyDraft>)> {
    let mut shared: Vec<(Place, Vec<KeyDraft>)> = Vec::new();
    let mut apart: Vec<Place> = Vec::new();
    for deployments in named.iter().flat_map(|named| &named.tiers) {
        for deployment in deployments {
            let place = deployment.place.without_key();
            let same = deployments
                .iter()
                .filter(|other| other.model == deployment.model && other.place.without_key() == place);
            let mut keys: Vec<KeyDraft> = Vec::new();
            for other in same {
                let default = secrets(&place.name).first().cloned().unwrap_or_default();
                let secret = other.place.secret.clone().unwrap_or(default);
                if keys.iter().all(|key| key.secret != secret) {
                    keys.push(KeyDraft { secret, weight: other.weight });
                }
            }
            match shared.iter().find(|(known, _)| *known == place) {
                None => shared.push((place, keys)),
                Some((_, known)) if is_same(known, &keys) => {}
                Some(_) => apart.push(place),
            }
        }
    }
    shared.retain(|(place, keys)| keys.len() > 1 && !apart.contains(place) && !place.keyless);
    for deployment in named.iter_mut().flat_map(|named| named.tiers.iter_mut().flatten()) {
        let place = deployment.place.without_key();
        if shared.iter().any(|(known, _)| *known == place) {
            deployment.place = place;
        }
    }
    shared
}

fn is_same(one: &[KeyDraft], other: &[KeyDraft]) -> bool {
    let of = |keys: &[KeyDraft]| keys.iter().map(|key| (key.secret.clone(), key.weight)).collect::<BTreeSet<_>>();
    of(one) == of(other)
}

/// Shares as whole numbers, as small as they can be.
pub(super) fn whole_weights(shares: &[f64]) -> Vec<u32> {
    let is_whole = shares.iter().all(|share| share.fract() == 0.0);
    let scale = if is_whole { 1.0 } else { 1000.0 };
    // The casts saturate.
    let whole: Vec<u32> = shares.iter().map(|share| (share * scale).round() as u32).collect();
    let divisor = whole.iter().fold(0, |divisor, share| greatest_common_divisor(divisor, *share)).max(1);
    whole.into_iter().map(|share| share / divisor).collect()
}

fn greatest_common_divisor(mut one: u32, mut other: u32) -> u32 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}
