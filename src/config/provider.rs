//! Providers: what is written about one, before what the catalogue knows, makes how it is asked.
//!
//! One whose key, address or account is nowhere is not wrong but off, and says what is missing.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{
    AT_ONCE, AWS_ACCESS_KEY, AWS_REGION, AWS_SECRET_KEY, AWS_SESSION_TOKEN, BUILT_IN, Draft, Missing, Secrets,
    Timeouts, check_name,
};
use crate::auth::sigv4::Signer;
use crate::catalog::{self, Auth, Base, DataPolicy, Header};
use crate::dialect::Dialect;
use crate::mistake::{Mistakes, under};
use crate::named::Named;
use crate::pause::LimitHeaders;
use crate::platform::Platform;
use crate::quirks::Quirks;
use crate::route::behind::Lists;
use crate::usage;
use crate::wire::json::{objects, written};
use crate::wire::percent;

objects! {
    #[derive(Debug, Default)]
    pub struct ProviderDraft {
        pub dialect: Option<Dialect>,
        /// Others that are spoken at the same base URL. A caller's own is asked in before any other.
        pub dialects: Vec<Dialect> = Vec::new(),
        /// Others that are spoken elsewhere.
        pub also: Vec<Base> = Vec::new(),
        pub platform: Option<Platform>,
        /// May hold `{name}`, which stands for a variable, and `{model}`.
        pub base_url: Option<String>,
        /// What every URL ends with, such as `api-version=v1`.
        pub query: Option<String>,
        /// Where its servers are: what stands for `{region}` in the base URL, and what requests are signed for.
        pub region: Option<String>,
        /// Whether it has agreed to keep nothing of what it is sent.
        pub zero_retention: Option<bool>,
        /// Whether it has agreed to train no model on it.
        pub no_training: Option<bool>,
        /// What stands for other names in the base URL.
        pub variables: Named<String> = Named::default(),
        /// The name of the secret that holds the key.
        pub secret: Option<String>,
        /// Several keys in place of one.
        pub keys: Vec<KeyDraft> = Vec::new(),
        pub auth: Option<Auth>,
        /// Whether callers who show the gateway's key in `x-tollgate-key` may show it a credential of their own, in the
        /// headers of its dialect.
        pub pass_through: bool = false,
        /// What every request has besides.
        pub headers: Vec<Header> = Vec::new(),
        /// Whether a redirect by 303 is where the answer is waited for.
        pub follows_303: Option<bool>,
        /// The least that its answers are waited for: what starts from cold takes its time.
        pub first_byte_ms: Option<u64>,
        /// For its targets, before those of their models.
        pub timeouts: Option<Timeouts>,
        /// Whether it asks other providers in turn, and takes wishes for whom.
        pub gateway: Option<bool>,
        /// What `GET /v1/models` lists of it; any other name is passed on too.
        pub models: Vec<String> = Vec::new(),
        pub quirks: Option<Quirks>,
        /// How it tells usage, where that is not as its dialect has it: rules by the names of its models, of which the first for
        /// a model counts. Of a known provider its own stand behind these; an empty list is for none at all.
        pub usage: Option<Vec<usage::Rule>>,
    }

    /// One of a provider's keys.
    #[derive(Debug, Clone)]
    pub struct KeyDraft {
        /// The name of the secret that holds it.
        pub secret: String,
        /// How often it is the first of them.
        pub weight: u32 = 1,
    }
}

written! {
    impl KeyDraft { secret, weight }

    impl ProviderDraft {
        dialect?, dialects?, also?, platform?, base_url?, query?, region?, zero_retention?, no_training?, variables?,
        secret?, keys?, auth?, pass_through?, headers?, follows_303?, first_byte_ms?, timeouts?, gateway?, models?, quirks?, usage?,
    }
}

#[derive(Debug)]
pub struct Provider {
    pub name: String,
    pub reach: Reach,
    /// What `GET /v1/models` lists; any other name is passed on as well.
    pub models: Vec<String>,
    /// How the names of its models begin.
    pub prefixes: Vec<String>,
    /// Whether it asks other providers in turn, and takes wishes for whom.
    pub is_gateway: bool,
    /// In which words a gateway is told which of those it may ask; `None` where it cannot be.
    pub lists: Option<Lists>,
    /// Whether callers may show it their own credentials as they are.
    pub pass_through: bool,
    pub quirks: Quirks,
    /// How it tells usage.
    pub usage: Vec<usage::Rule>,
    /// Where its servers are, if that is known.
    pub region: Option<String>,
    /// What becomes of what it is sent, as it says itself.
    pub data: DataPolicy,
    /// As the configuration says that was agreed with it.
    pub agreed: DataPolicy,
}

#[derive(Debug)]
pub enum Reach {
    /// Over the network.
    Upstream(Box<Upstream>),
    /// Answered here, by [`crate::echo`].
    Echo,
}

#[derive(Debug)]
pub struct Upstream {
    /// At least one; a caller who speaks none of them is translated into the first.
    pub dialects: Vec<Dialect>,
    pub platform: Platform,
    pub base_url: String,
    /// Of those dialects that are spoken elsewhere.
    pub also: Vec<Base>,
    /// What every URL ends with.
    pub query: Option<String>,
    /// At least one, but for those that only callers with keys of their own may ask.
    pub accounts: Vec<Account>,
    /// How it is shown a key of a caller's own; `None` where it wants none, or more than one secret.
    pub own_keys: Option<Auth>,
    /// What every request has besides.
    pub headers: Vec<Field>,
    pub follows_303: bool,
    /// The least that the first byte of an answer is waited for.
    pub first_byte_ms: u64,
    /// What goes before the patience of a model's policy.
    pub timeouts: Timeouts,
    pub limit_headers: LimitHeaders,
}

/// A header as it is sent.
#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub value: String,
    /// Whether nobody else may see it.
    pub is_secret: bool,
}

/// One of the keys that a provider may be shown.
#[derive(Debug)]
pub struct Account {
    pub credential: Credential,
    /// How often it is the first of them.
    pub weight: u32,
}

/// What a provider is shown to know who asks.
#[derive(Clone)]
pub enum Credential {
    None,
    /// In the header that the dialect's own provider wants.
    Key(String),
    Header {
        name: String,
        value: String,
        key: String,
    },
    Query {
        name: String,
        key: String,
    },
    Sigv4(Signer),
    /// A caller's own, in the headers in which they came.
    Headers(Vec<(String, String)>),
}

impl Credential {
    /// `key` as a provider wants to be shown it.
    pub fn shown(auth: &Auth, key: String) -> Self {
        match auth {
            Auth::Bearer => Self::Header { name: AUTHORIZATION.into(), value: format!("Bearer {key}"), key },
            Auth::Header(name) => Self::Header { name: name.clone(), value: key.clone(), key },
            Auth::Query(name) => Self::Query { name: name.clone(), key },
            Auth::Key | Auth::Sigv4 | Auth::None => Self::Key(key),
        }
    }

    /// What nobody but the provider may see.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let (own, headers): ([Option<&str>; 2], &[(String, String)]) = match self {
            Self::None => ([None, None], &[]),
            Self::Key(key) | Self::Header { key, .. } | Self::Query { key, .. } => ([Some(key.as_str()), None], &[]),
            Self::Sigv4(signer) => ([Some(signer.secret_key.as_str()), signer.session_token.as_deref()], &[]),
            Self::Headers(headers) => ([None, None], headers),
        };
        let shown =
            headers.iter().map(|(_, value)| value.split_once(' ').map_or(value.as_str(), |(_, bare)| bare.trim()));
        own.into_iter().flatten().chain(shown).filter(|secret| !secret.is_empty())
    }
}

/// Whatever prints what has one prints none.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

impl Provider {
    /// Answered here.
    pub fn built_in(name: &str, models: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            reach: Reach::Echo,
            models,
            prefixes: Vec::new(),
            is_gateway: false,
            lists: None,
            pass_through: false,
            quirks: Quirks::default(),
            usage: Vec::new(),
            region: None,
            data: DataPolicy { zero_retention: Some(true), ..DataPolicy::default() },
            agreed: DataPolicy::default(),
        }
    }

    /// None where it is built in.
    pub fn accounts(&self) -> &[Account] {
        match &self.reach {
            Reach::Upstream(upstream) => &upstream.accounts,
            Reach::Echo => &[],
        }
    }

    /// Whether it may know `model`: a built-in one knows only what it lists, an upstream is asked whatever it is.
    pub fn answers(&self, model: &str) -> bool {
        match self.reach {
            Reach::Echo => self.models.iter().any(|listed| listed == model),
            Reach::Upstream(_) => !model.is_empty(),
        }
    }
}

impl Upstream {
    /// Where `model` is asked in `dialect`.
    pub fn base_url(&self, dialect: Dialect, model: &str) -> Cow<'_, str> {
        let also = self.also.iter().find(|also| also.dialect == dialect);
        let base_url = also.map_or(&self.base_url, |also| &also.base_url);
        if base_url.contains(MODEL) {
            Cow::Owned(base_url.replace(MODEL, &percent::encode(model)))
        } else {
            Cow::Borrowed(base_url)
        }
    }

    /// What nobody but the provider may see.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let own = self.accounts.iter().flat_map(|account| account.credential.secrets());
        let others = self.headers.iter().filter(|field| field.is_secret).map(|field| field.value.as_str());
        own.chain(others.filter(|secret| !secret.is_empty()))
    }
}

/// What stands in a base URL for the model that is asked.
const MODEL: &str = "{model}";
const REGION: &str = "region";
/// What Google calls it.
const LOCATION: &str = "location";
const VALUE_LENGTH_MAX: usize = 253;

pub(super) type Providers = Named<Arc<Provider>>;

/// Why a provider cannot be asked.
enum Unready {
    Off(Missing),
    /// Which is told.
    Wrong,
}

/// What becomes of all providers that are known.
#[derive(Default)]
pub(super) struct Compiled {
    /// Those that can be asked.
    pub(super) on: Providers,
    /// Those that are off, by what they lack.
    pub(super) off: Named<Missing>,
    /// Those of them that lack a key and nothing else, so that callers may ask them by keys of their own.
    pub(super) unkeyed: Providers,
    /// Those that callers' keys are nothing for, on or off.
    pub(super) wants_no_key: Vec<String>,
}

pub(super) fn compile(
    draft: &Draft,
    rows: &[catalog::Provider],
    secret: &Secrets<'_>,
    mistakes: &mut Mistakes,
) -> Compiled {
    let Compiled { on: mut providers, mut off, mut unkeyed, mut wants_no_key } = Compiled::default();
    let echo = Provider::built_in(BUILT_IN, vec!["echo".to_owned()]);
    providers.insert(BUILT_IN.to_owned(), Arc::new(echo));

    let unwritten = ProviderDraft::default();
    let of_row = |row: &'_ catalog::Provider| draft.providers.get(&row.name).is_none();
    let known = rows.iter().filter(|row| of_row(row)).map(|row| (row.name.as_str(), &unwritten));
    for (name, written) in known.chain(draft.providers.iter()) {
        let row = rows.iter().find(|row| row.name == name);
        let (at, is_written) = (under("providers", name), draft.providers.contains(name));
        let mut making = Making { at: &at, name, written, is_written, row, secret, mistakes };
        wants_no_key.extend(making.own_keys().is_none().then(|| name.to_owned()));
        match making.provider() {
            // What is mistaken in it may be why a target is none of its.
            Ok((provider, None)) if mistakes.is_sound(&at) => providers.insert(name.to_owned(), Arc::new(provider)),
            Ok((provider, Some(missing))) => {
                off.insert(name.to_owned(), missing);
                if mistakes.is_sound(&at) {
                    unkeyed.insert(name.to_owned(), Arc::new(provider));
                }
            }
            Ok(_) | Err(Unready::Wrong) => {}
            Err(Unready::Off(missing)) => off.insert(name.to_owned(), missing),
        }
    }
    check_pass_through(providers.values().chain(unkeyed.values()), mistakes);
    Compiled { on: providers, off, unkeyed, wants_no_key }
}

/// A caller's credential is for one provider, and its dialect is all that says for which.
fn check_pass_through<'p>(providers: impl Iterator<Item = &'p Arc<Provider>>, mistakes: &mut Mistakes) {
    let mut before: Vec<(&str, &[Dialect])> = Vec::new();
    for provider in providers.filter(|provider| provider.pass_through) {
        let Reach::Upstream(upstream) = &provider.reach else { continue };
        let shares = |(_, dialects): &&(&str, &[Dialect])| dialects.iter().any(|one| upstream.dialects.contains(one));
        if let Some((other, _)) = before.iter().find(shares) {
            let why =
                format!("\"{other}\" has it too and speaks the same dialect; a caller's credential is for one of them");
            mistakes.say(&format!("{}.pass_through", under("providers", &provider.name)), &why);
        }
        before.push((&provider.name, &upstream.dialects));
    }
}

/// One provider on its way from what is written to how it is asked.
struct Making<'a> {
    /// Where it is written.
    at: &'a str,
    name: &'a str,
    written: &'a ProviderDraft,
    /// Whether the configuration names it.
    is_written: bool,
    row: Option<&'a catalog::Provider>,
    secret: &'a Secrets<'a>,
    mistakes: &'a mut Mistakes,
}

impl Making<'_> {
    /// Every part is judged before one that is not as it should be ends this. Beside the provider stands its key, where
    /// that alone is missing.
    fn provider(&mut self) -> Result<(Provider, Option<Missing>), Unready> {
        let Self { name, written, row, .. } = *self;
        if let Err(why) = check_name(name) {
            self.mistakes.say_anyway(self.at, &why);
        }
        let also = self.also();
        let dialects = self.dialects(&also);
        let platform = self.platform(dialects.as_deref().unwrap_or_default());
        let service = row.and_then(|row| row.service.as_deref());
        let first = dialects.as_ref().ok().and_then(|dialects| dialects.first());
        let is_bedrock = first == Some(&Dialect::BedrockConverse) || platform == Platform::Bedrock;
        let service = service.or(is_bedrock.then_some(BEDROCK));
        let template = self.template();
        let region = self.place(template.as_deref().unwrap_or_default());
        let base_url = template.and_then(|template| self.base_url(".base_url", &template));
        let also: Vec<_> = also.iter().enumerate().map(|(index, also)| self.base(index, also)).collect();
        let (query, accounts, headers) = (self.query(), self.accounts(service), self.headers());
        let (timeouts, usage) = (self.timeouts(), self.usage());
        let own_keys = self.own_keys();
        let pass_through = self.pass_through(platform);
        let (base_url, also, query) = (base_url?, also.into_iter().collect::<Result<_, _>>()?, query?);
        let (accounts, lacks) = match accounts {
            Err(Unready::Off(missing)) if headers.is_ok() && (own_keys.is_some() || pass_through) => {
                (Vec::new(), Some(missing))
            }
            accounts => (accounts?, None),
        };
        let upstream = Upstream {
            platform,
            base_url,
            also,
            query,
            accounts,
            own_keys,
            headers: headers?,
            follows_303: written.follows_303.unwrap_or(row.is_some_and(|row| row.follows_303)),
            first_byte_ms: written.first_byte_ms.or(row.and_then(|row| row.first_byte_ms)).unwrap_or_default(),
            timeouts,
            limit_headers: row.map(|row| row.limits).unwrap_or_default(),
            dialects: dialects?,
        };
        let is_gateway = written.gateway.or(row.map(|row| row.gateway)).unwrap_or(false);
        let lists = match row.filter(|row| row.gateway) {
            Some(row) => row.lists,
            // Of others it is the operator's word that they take wishes as this gateway does.
            None => Some(Lists::Openrouter),
        };
        let provider = Provider {
            name: name.to_owned(),
            reach: Reach::Upstream(Box::new(upstream)),
            models: written.models.clone(),
            prefixes: row.map(|row| row.prefixes.clone()).unwrap_or_default(),
            is_gateway,
            lists: lists.filter(|_| is_gateway),
            pass_through,
            quirks: written.quirks.clone().or_else(|| row.map(|row| row.quirks.clone())).unwrap_or_default(),
            usage,
            region: region?,
            data: row.filter(|_| !self.is_elsewhere()).map(|row| row.data.clone()).unwrap_or_default(),
            agreed: DataPolicy {
                zero_retention: written.zero_retention,
                no_training: written.no_training,
                except: Vec::new(),
            },
        };
        Ok((provider, lacks))
    }

    /// How a key of a caller's own would be shown, where one is all that is wanted.
    fn own_keys(&self) -> Option<Auth> {
        let auth = self.auth();
        let is_key = !matches!(auth, Auth::Sigv4 | Auth::None);
        (is_key && !self.wants_more()).then_some(auth)
    }

    /// Whether a header besides has to be known too.
    fn wants_more(&self) -> bool {
        let known = self.row.map(|row| row.headers.as_slice()).unwrap_or_default();
        known.iter().chain(&self.written.headers).any(|header| header.secret.is_some() && !header.optional)
    }

    fn pass_through(&mut self, platform: Platform) -> bool {
        if !self.written.pass_through {
            return false;
        }
        if platform != Platform::Native {
            self.wrong(".pass_through", "a cloud takes no credential of another");
        } else if self.wants_more() {
            self.wrong(".pass_through", "has a secret in its headers besides, which is not for callers' own requests");
        }
        true
    }

    fn usage(&mut self) -> Vec<usage::Rule> {
        let written = self.written.usage.as_deref();
        for (index, rule) in written.unwrap_or_default().iter().enumerate() {
            rule.check(&format!("{}.usage[{index}]", self.at), self.mistakes);
        }
        let mut rules = written.map(<[_]>::to_vec).unwrap_or_default();
        if written.is_none_or(|written| !written.is_empty()) {
            rules.extend(self.row.into_iter().flat_map(|row| row.usage.iter().cloned()));
        }
        rules
    }

    fn timeouts(&mut self) -> Timeouts {
        let written = self.written.timeouts.clone().unwrap_or_default();
        let Timeouts { first_byte_ms, idle_ms, total_ms, .. } = written;
        for (field, ms) in [("first_byte_ms", first_byte_ms), ("idle_ms", idle_ms), ("total_ms", total_ms)] {
            if ms == Some(0) {
                self.wrong(&format!(".timeouts.{field}"), AT_ONCE);
            }
        }
        if written.heartbeat_ms.is_some() {
            self.wrong(".timeouts.heartbeat_ms", "is for callers; write it for all or for a model");
        }
        written
    }

    /// The value of `field`.
    fn wrong(&mut self, field: &str, why: &str) -> Unready {
        self.mistakes.say(&format!("{}{field}", self.at), why);
        Unready::Wrong
    }

    /// What `field` is called here, beside the `others`.
    fn wrong_beside(&mut self, field: &str, others: &[&str], why: &str) -> Unready {
        if self.mistakes.are_sound(self.at, others) {
            self.wrong(field, why);
        }
        Unready::Wrong
    }

    /// The address in the environment, which is for known providers only.
    fn elsewhere(&self) -> Option<String> {
        self.row.and_then(|_| (self.secret)(&variable(self.name, "BASE_URL")))
    }

    /// Whether it is asked at another address than the catalogue's. What stands there need not speak all that the
    /// original does.
    fn is_elsewhere(&self) -> bool {
        self.written.base_url.is_some() || self.elsewhere().is_some()
    }

    fn also(&self) -> Vec<Base> {
        let known = self.row.filter(|_| !self.is_elsewhere() && self.written.dialect.is_none());
        match known {
            Some(row) if self.written.also.is_empty() => row.also.clone(),
            _ => self.written.also.clone(),
        }
    }

    fn platform(&mut self, dialects: &[Dialect]) -> Platform {
        let platform = self.written.platform.or(self.row.map(|row| row.platform)).unwrap_or_default();
        if !dialects.iter().all(|dialect| platform.carries(*dialect)) {
            let others = ["dialect", "dialects", "also"];
            self.wrong_beside(".platform", &others, "carries the dialect \"anthropic\" only");
        }
        platform
    }

    fn dialects(&mut self, also: &[Base]) -> Result<Vec<Dialect>, Unready> {
        let mut dialects: Vec<Dialect> = self.written.dialect.into_iter().collect();
        dialects.extend_from_slice(&self.written.dialects);
        if let Some(row) = self.row.filter(|_| dialects.is_empty()) {
            dialects.push(row.dialect);
            dialects.extend(row.dialects.iter().filter(|_| !self.is_elsewhere()));
        }
        if dialects.is_empty() {
            let why = "missing; \"openai-chat\", \"openai-responses\", \"anthropic\" or \"gemini\"";
            return Err(self.wrong_beside(".dialect", &["dialects"], why));
        }
        dialects.extend(also.iter().map(|also| also.dialect));
        Ok(dialects)
    }

    /// The base URL as it is written.
    fn template(&mut self) -> Result<String, Unready> {
        let own = self.written.base_url.clone().or_else(|| self.elsewhere());
        if let Some(own) = own {
            return Ok(own);
        }
        let Some(row) = self.row else {
            return Err(self.wrong(".base_url", "missing; for example \"https://example.com/v1\""));
        };
        // Its key does not turn it on, so something else must.
        let is_meant = !row.keyless || self.is_written || self.key().is_ok();
        let known = row.base_url.clone().filter(|_| is_meant);
        known.ok_or_else(|| Unready::Off(variable(self.name, "BASE_URL")))
    }

    fn base(&mut self, index: usize, also: &Base) -> Result<Base, Unready> {
        let base_url = self.base_url(&format!(".also[{index}].base_url"), &also.base_url)?;
        Ok(Base { dialect: also.dialect, base_url })
    }

    fn base_url(&mut self, field: &str, template: &str) -> Result<String, Unready> {
        let mut url = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, place, after)) = placeholder(rest) {
            url.push_str(before);
            match place {
                "model" => url.push_str(MODEL),
                name => url.push_str(&self.variable(name)?),
            }
            rest = after;
        }
        url.push_str(rest);
        if is_base_url(&url) {
            return Ok(url);
        }
        Err(self.wrong(field, &format!("\"{url}\" is not an http or https URL without a query")))
    }

    /// What stands for `name` in a base URL.
    fn variable(&mut self, name: &str) -> Result<String, Unready> {
        if name == REGION {
            return self.region()?.ok_or_else(|| Unready::Off(AWS_REGION.to_owned()));
        }
        let names = variable_names(self.name, name, self.row);
        let written = self.written.variables.get(name).cloned();
        let value = written.or_else(|| names.iter().find_map(|name| (self.secret)(name)));
        let value = value.ok_or_else(|| Unready::Off(names.join(" or ")))?;
        // Some keep it as an address.
        let bare = value.strip_prefix("https://").unwrap_or(&value).trim_end_matches('/');
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if !bare.is_empty() && bare.len() <= VALUE_LENGTH_MAX && bare.bytes().all(fits) {
            return Ok(bare.to_owned());
        }
        let why = format!("\"{value}\" is not of letters, digits, \"-\", \"_\" and \".\"");
        Err(self.wrong(&format!(".variables.{name}"), &why))
    }

    fn region(&mut self) -> Result<Option<String>, Unready> {
        let region = self.written.region.clone().or_else(|| (self.secret)(AWS_REGION));
        match region.as_deref().filter(|region| !is_region(region)) {
            Some(region) => Err(self.wrong(".region", &format!("\"{region}\" is not a region like \"us-east-1\""))),
            None => Ok(region),
        }
    }

    /// Where its servers are, as the configuration, the base URL or the catalogue has it.
    fn place(&mut self, template: &str) -> Result<Option<String>, Unready> {
        let stands = |name: &str| template.contains(&format!("{{{name}}}"));
        if self.written.region.is_some() || stands(REGION) {
            return self.region();
        }
        if stands(LOCATION) {
            return self.variable(LOCATION).map(Some);
        }
        Ok(self.row.filter(|_| !self.is_elsewhere()).and_then(|row| row.region.clone()))
    }

    fn query(&mut self) -> Result<Option<String>, Unready> {
        let known = self.row.filter(|_| !self.is_elsewhere()).and_then(|row| row.query.clone());
        let query = self.written.query.clone().or(known).filter(|query| !query.is_empty());
        match query.as_deref().filter(|query| !query.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b))) {
            Some(query) => Err(self.wrong(".query", &format!("\"{query}\" is not of the form \"name=value\""))),
            None => Ok(query),
        }
    }

    /// The headers that every request has besides.
    fn headers(&mut self) -> Result<Vec<Field>, Unready> {
        let (known, written) = (self.row.map(|row| row.headers.as_slice()).unwrap_or_default(), &self.written.headers);
        let known = known.iter().map(|header| self.header("", header));
        let mut fields: Vec<_> = known.collect();
        fields.extend(
            written.iter().enumerate().map(|(index, header)| self.header(&format!(".headers[{index}]"), header)),
        );
        fields.into_iter().filter_map(Result::transpose).collect()
    }

    /// None where it is optional and not there.
    fn header(&mut self, at: &str, header: &Header) -> Result<Option<Field>, Unready> {
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if header.name.is_empty() || !header.name.bytes().all(is_name) {
            self.wrong(&format!("{at}.name"), &format!("\"{}\" is not a header's name", header.name));
        } else if OWN_HEADERS.iter().any(|own| header.name.eq_ignore_ascii_case(own)) {
            let why = format!("\"{}\" is written by the gateway itself; leave it out", header.name);
            self.wrong(&format!("{at}.name"), &why);
        }
        let (field, value) = match (&header.value, &header.secret) {
            (Some(value), None) => ("value", value.clone()),
            (None, Some(name)) => match (self.secret)(name) {
                Some(value) => ("secret", value),
                None if header.optional => return Ok(None),
                None => return Err(Unready::Off(name.clone())),
            },
            _ => {
                let why = "needs value, or secret (the name of the secret with it)";
                self.mistakes.say_of(&format!("{}{at}", self.at), &["value", "secret"], why);
                return Err(Unready::Wrong);
            }
        };
        if !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return Err(self.wrong(&format!("{at}.{field}"), "holds what no header can have"));
        }
        Ok(Some(Field { name: header.name.clone(), value, is_secret: header.secret.is_some() }))
    }

    fn key(&self) -> Result<String, Unready> {
        let names = key_names(self.written.secret.as_ref(), self.name, self.row);
        names.iter().find_map(|name| (self.secret)(name)).ok_or_else(|| Unready::Off(names.join(" or ")))
    }

    fn auth(&self) -> Auth {
        self.written.auth.clone().unwrap_or_else(|| self.row.map_or(Auth::Key, catalog::Provider::auth))
    }

    fn shown(&self, key: String) -> Credential {
        Credential::shown(&self.auth(), key)
    }

    /// `service` is what requests may be signed for.
    fn accounts(&mut self, service: Option<&str>) -> Result<Vec<Account>, Unready> {
        let keys = &self.written.keys;
        if keys.is_empty() {
            return Ok(vec![Account { credential: self.credential(service)?, weight: 1 }]);
        }
        if self.written.secret.is_some() || matches!(self.written.auth, Some(Auth::Sigv4 | Auth::None)) {
            return Err(self.wrong(".keys", "stands beside a secret or an auth without keys; leave one out"));
        }
        if keys.iter().all(|key| key.weight == 0) {
            return Err(self.wrong(".keys", "no weight is above 0"));
        }
        let found = keys.iter().filter_map(|key| Some((self.shown((self.secret)(&key.secret)?), key.weight)));
        let accounts: Vec<Account> = found.map(|(credential, weight)| Account { credential, weight }).collect();
        let names = || keys.iter().map(|key| key.secret.as_str()).collect::<Vec<_>>().join(" or ");
        if accounts.is_empty() { Err(Unready::Off(names())) } else { Ok(accounts) }
    }

    /// `service` is what requests may be signed for.
    fn credential(&mut self, service: Option<&str>) -> Result<Credential, Unready> {
        let Self { written, row, .. } = *self;
        if let (Some(auth @ (Auth::Sigv4 | Auth::None)), Some(_)) = (&written.auth, &written.secret) {
            let (auth, why) = match auth {
                Auth::Sigv4 => ("sigv4", ", whose key is AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
                _ => ("none", ""),
            };
            self.mistakes.say_anyway(self.at, &format!("has a secret and auth = \"{auth}\"{why}; leave one out"));
            return Err(Unready::Wrong);
        }
        match (written.auth.clone(), service) {
            (Some(Auth::None), _) => Ok(Credential::None),
            (Some(Auth::Sigv4), Some(service)) => self.access_key(service),
            (Some(Auth::Sigv4), None) => {
                let others = ["platform", "dialect", "dialects"];
                Err(self.wrong_beside(".auth", &others, "\"sigv4\" is for Amazon Bedrock only"))
            }
            (Some(_), _) => Ok(self.shown(self.key()?)),
            // A key made for the service before one for all of AWS; where there is neither, the former is easier to make.
            (None, Some(service)) => match self.key() {
                Ok(key) => Ok(self.shown(key)),
                Err(missing) => self.access_key(service).map_err(|_| missing),
            },
            (None, None) => match self.key() {
                Err(_) if row.is_some_and(|row| row.keyless) => Ok(Credential::None),
                key => Ok(self.shown(key?)),
            },
        }
    }

    /// The access key that AWS's own tools find.
    fn access_key(&mut self, service: &str) -> Result<Credential, Unready> {
        let must = |name: &str| (self.secret)(name).ok_or_else(|| Unready::Off(name.to_owned()));
        Ok(Credential::Sigv4(Signer {
            access_key: must(AWS_ACCESS_KEY)?,
            secret_key: must(AWS_SECRET_KEY)?,
            session_token: (self.secret)(AWS_SESSION_TOKEN),
            region: self.region()?.ok_or_else(|| Unready::Off(AWS_REGION.to_owned()))?,
            service: service.to_owned(),
        }))
    }
}

const AUTHORIZATION: &str = "authorization";
/// What says where a request goes and how long it is.
const OWN_HEADERS: &[&str] = &["host", "content-length", "transfer-encoding", "connection"];
/// The service that requests to Bedrock are signed for.
const BEDROCK: &str = "bedrock";

/// The secrets that any of its parts may be in.
pub(super) fn secret_names(
    name: &str,
    written: Option<&ProviderDraft>,
    row: Option<&catalog::Provider>,
) -> Vec<String> {
    let mut names = key_names(written.and_then(|written| written.secret.as_ref()), name, row);
    names.extend(written.into_iter().flat_map(|written| &written.keys).map(|key| key.secret.clone()));
    if row.is_some() {
        names.push(variable(name, "BASE_URL"));
    }
    let own = written.map(|written| (&written.base_url, &written.also, &written.headers));
    for (base_url, also, headers) in own.into_iter().chain(row.map(|row| (&row.base_url, &row.also, &row.headers))) {
        for template in base_url.iter().chain(also.iter().map(|also| &also.base_url)) {
            let mut rest = template.as_str();
            while let Some((_, place, after)) = placeholder(rest) {
                names.extend(variable_names(name, place, row));
                rest = after;
            }
        }
        names.extend(headers.iter().filter_map(|header| header.secret.clone()));
    }
    names
}

/// The secrets that may hold a provider's key, the first before the others.
fn key_names(own: Option<&String>, provider: &str, row: Option<&catalog::Provider>) -> Vec<String> {
    match (own, row) {
        (Some(own), _) => vec![own.clone()],
        (None, Some(row)) if !row.secrets.is_empty() => row.secrets.clone(),
        (None, _) => vec![variable(provider, "API_KEY")],
    }
}

/// Where a variable of a base URL may be found.
fn variable_names(provider: &str, name: &str, row: Option<&catalog::Provider>) -> Vec<String> {
    let known = row.and_then(|row| row.variables.iter().find(|variable| variable.name == name));
    match (known, name) {
        (Some(known), _) => known.secrets.clone(),
        // Asked for in any case, and what stands for itself.
        (None, REGION | "model") => Vec::new(),
        (None, _) => vec![variable(provider, &name.to_ascii_uppercase())],
    }
}

/// `my-gpu` and `API_KEY` make `MY_GPU_API_KEY`.
fn variable(provider: &str, suffix: &str) -> String {
    format!("{}_{suffix}", provider.to_ascii_uppercase().replace(['-', '.'], "_"))
}

/// What stands before the first `{name}`, the name, and what stands behind it.
fn placeholder(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    let fits = |b: u8| b.is_ascii_lowercase() || b == b'_';
    (!name.is_empty() && name.bytes().all(fits)).then_some((before, name, after))
}

/// It becomes part of a host's name, and a credential goes there.
fn is_region(region: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !region.is_empty() && region.len() <= super::NAME_LENGTH_MAX && region.bytes().all(fits)
}

pub(super) fn is_base_url(url: &str) -> bool {
    let url = url.replace(MODEL, "m");
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let has_port = |rest: &str| {
        let authority = rest.split('/').next().unwrap_or_default();
        let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
        port.is_none_or(|port| port.parse::<u16>().is_ok())
    };
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && has_port(rest)
            && !rest.starts_with('/')
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\\"{}".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn compile(providers: &str, secrets: &[(&str, &str)]) -> Result<Config, String> {
        let json = format!(r#"{{"providers":{providers}}}"#);
        crate::config::schema::tests::agree(&json);
        let draft = Draft::from_json(Some(&json)).unwrap();
        let lookup = |name: &str| secrets.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Config::compile(&draft, lookup).map_err(|mistakes| mistakes[0].0.clone())
    }

    fn upstream<'c>(config: &'c Config, name: &str) -> &'c Upstream {
        let provider = config.providers.get(name).unwrap_or_else(|| panic!("{name}: {:?}", config.off.get(name)));
        let Reach::Upstream(upstream) = &provider.reach else { panic!("{name} is built in") };
        upstream
    }

    #[test]
    fn a_base_url_holds_what_the_configuration_or_the_environment_says() {
        let (key, resource) = (("AZURE_API_KEY", "k"), ("AZURE_RESOURCE_NAME", "https://mine/"));
        let config = compile("{}", &[key, resource]).unwrap();
        let azure = upstream(&config, "azure");
        assert_eq!(azure.base_url, "https://mine.openai.azure.com/openai/v1");
        assert_eq!(azure.query.as_deref(), Some("api-version=v1"));
        let written = compile(r#"{"azure":{"variables":{"resource":"other"}}}"#, &[key, resource]).unwrap();
        assert_eq!(upstream(&written, "azure").base_url, "https://other.openai.azure.com/openai/v1");
        assert_eq!(compile("{}", &[key]).unwrap().off.get("azure").unwrap(), "AZURE_RESOURCE_NAME");
        let own = r#"{"mine":{"dialect":"anthropic","base_url":"https://{account}.x/{model}","auth":"none"}}"#;
        let config = compile(own, &[("MINE_ACCOUNT", "a-1")]).unwrap();
        assert_eq!(upstream(&config, "mine").base_url(Dialect::Anthropic, "a/b"), "https://a-1.x/a%2Fb");
        assert_eq!(compile(own, &[]).unwrap().off.get("mine").unwrap(), "MINE_ACCOUNT");
        assert_eq!(
            compile(own, &[("MINE_ACCOUNT", "a/b")]).unwrap_err(),
            r#"providers.mine.variables.account: "a/b" is not of letters, digits, "-", "_" and ".""#
        );
    }

    #[test]
    fn a_dialect_may_be_spoken_elsewhere() {
        let config = compile("{}", &[("DEEPSEEK_API_KEY", "k")]).unwrap();
        let deepseek = upstream(&config, "deepseek");
        assert_eq!(deepseek.dialects, [Dialect::OpenaiChat, Dialect::Anthropic]);
        assert_eq!(deepseek.base_url(Dialect::Anthropic, "m"), "https://api.deepseek.com/anthropic");
        assert_eq!(deepseek.base_url(Dialect::OpenaiChat, "m"), "https://api.deepseek.com");
        // What stands at another address need not be there too.
        let moved = compile(r#"{"deepseek":{"base_url":"http://x"}}"#, &[("DEEPSEEK_API_KEY", "k")]).unwrap();
        assert_eq!(upstream(&moved, "deepseek").dialects, [Dialect::OpenaiChat]);
        let both = r#"{"p":{"dialect":"openai-chat","base_url":"http://x","auth":"none","also":[{"dialect":"gemini","base_url":"http://y"}]}}"#;
        let config = compile(both, &[]).unwrap();
        assert_eq!(upstream(&config, "p").base_url(Dialect::Gemini, "m"), "http://y");
    }

    #[test]
    fn what_needs_no_key_is_on_once_it_is_named() {
        assert_eq!(compile("{}", &[]).unwrap().off.get("ollama").unwrap(), "OLLAMA_BASE_URL");
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: &[Case<'_>] = &[
            (r#"{"ollama":{}}"#, &[], "http://localhost:11434/v1"),
            ("{}", &[("OLLAMA_BASE_URL", "http://gpu:1")], "http://gpu:1"),
            (r#"{"ollama":{"base_url":"http://x"}}"#, &[("OLLAMA_BASE_URL", "http://gpu:1")], "http://x"),
        ];
        for (providers, secrets, expected) in cases {
            let config = compile(providers, secrets).unwrap();
            let ollama = upstream(&config, "ollama");
            assert_eq!(ollama.base_url, *expected);
            assert!(matches!(ollama.accounts[0].credential, Credential::None));
        }
    }

    #[test]
    fn each_service_of_aws_is_signed_for_by_its_own_name() {
        let secrets = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("ANTHROPIC_AWS_WORKSPACE_ID", "wrkspc_1"),
        ];
        let config = compile("{}", &secrets).unwrap();
        let services = [
            ("amazon-bedrock", "bedrock"),
            ("bedrock-anthropic", "bedrock"),
            ("bedrock-mantle", "bedrock-mantle"),
            ("anthropic-aws", "aws-external-anthropic"),
        ];
        for (name, service) in services {
            let Credential::Sigv4(signer) = &upstream(&config, name).accounts[0].credential else { panic!("{name}") };
            assert_eq!(signer.service, service, "{name}");
        }
        let fields = &upstream(&config, "anthropic-aws").headers;
        assert_eq!(
            fields.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect::<Vec<_>>(),
            [("anthropic-workspace-id", "wrkspc_1")]
        );
    }

    #[test]
    fn a_header_is_a_name_and_a_value_or_a_secret() {
        let with = |headers: &str| {
            format!(r#"{{"p":{{"dialect":"gemini","base_url":"http://x","auth":"none","headers":[{headers}]}}}}"#)
        };
        let secret = [("S", "secret")];
        let config = compile(&with(r#"{"name":"a","value":"v"},{"name":"b","secret":"S"}"#), &secret).unwrap();
        assert_eq!(upstream(&config, "p").secrets().collect::<Vec<_>>(), ["secret"]);
        let optional = compile(&with(r#"{"name":"b","secret":"S","optional":true}"#), &[]).unwrap();
        assert!(upstream(&optional, "p").headers.is_empty());
        assert_eq!(compile(&with(r#"{"name":"b","secret":"S"}"#), &[]).unwrap().off.get("p").unwrap(), "S");
        let mistakes = [
            (r#"{"name":"a b","value":"v"}"#, r#"providers.p.headers[0].name: "a b" is not a header's name"#),
            (
                r#"{"name":"Content-Length","value":"3"}"#,
                r#"providers.p.headers[0].name: "Content-Length" is written by the gateway itself; leave it out"#,
            ),
            (r#"{"name":"a"}"#, "providers.p.headers[0]: needs value, or secret (the name of the secret with it)"),
            (r#"{"name":"a","value":"\n"}"#, "providers.p.headers[0].value: holds what no header can have"),
        ];
        for (header, expected) in mistakes {
            assert_eq!(compile(&with(header), &[]).unwrap_err(), expected);
        }
        let query = r#"{"p":{"dialect":"gemini","base_url":"http://x","auth":"none","query":"a b"}}"#;
        assert_eq!(compile(query, &[]).unwrap_err(), r#"providers.p.query: "a b" is not of the form "name=value""#);
    }

    #[test]
    fn a_provider_may_have_several_keys() {
        let keys =
            |more: &str| format!(r#"{{"openai":{{"keys":[{{"secret":"A","weight":3}},{{"secret":"B"}}]{more}}}}}"#);
        let config = compile(&keys(""), &[("A", "a"), ("B", "b")]).unwrap();
        let openai = upstream(&config, "openai");
        assert_eq!(openai.accounts.iter().map(|account| account.weight).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(openai.secrets().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(upstream(&compile(&keys(""), &[("B", "b")]).unwrap(), "openai").accounts.len(), 1);
        assert_eq!(compile(&keys(""), &[]).unwrap().off.get("openai").unwrap(), "A or B");
        let beside = "providers.openai.keys: stands beside a secret or an auth without keys; leave one out";
        assert_eq!(compile(&keys(r#","secret":"C""#), &[]).unwrap_err(), beside);
        let none = r#"{"openai":{"keys":[{"secret":"A","weight":0}]}}"#;
        assert_eq!(compile(none, &[]).unwrap_err(), "providers.openai.keys: no weight is above 0");
        let secrets = Draft::from_json(Some(&format!(r#"{{"providers":{}}}"#, keys("")))).unwrap().secrets();
        assert!(secrets.contains("A") && secrets.contains("B"));
    }

    #[test]
    fn how_a_provider_tells_usage_is_as_it_is_written_and_behind_that_as_its_row_has_it() {
        let compile = |usage: &str| {
            let json = format!(r#"{{"providers":{{"xai":{{{usage}}}}}}}"#);
            crate::config::schema::tests::agree(&json);
            let config = Draft::from_json(Some(&json))
                .and_then(|draft| Config::compile(&draft, |name| (name == "XAI_API_KEY").then(|| "k".to_owned())));
            config
                .map(|config| config.providers.get("xai").unwrap().usage.clone())
                .map_err(|mistakes| mistakes[0].0.clone())
        };
        let row = compile("").unwrap();
        assert!(row[0].reasoning == Some(usage::Place::Beside) && row[0].cost.is_some(), "{row:?}");
        assert_eq!(compile(r#""usage":[]"#), Ok(Vec::new()));
        let own = compile(r#""usage":[{"models":["grok"],"cached":"beside"}]"#).unwrap();
        assert_eq!((own[0].cached, own[0].reasoning), (Some(usage::Place::Beside), None));
        assert_eq!(own[1..], row, "its own stand behind");
        let cases = [
            (r#""usage":[{}, {"cost":{"at":"a..b"}}]"#, "providers.xai.usage[1].cost.at: is no name of a field"),
            (r#""usage":[{"cost":{"at":"a","decimals":19}}]"#, "providers.xai.usage[0].cost.decimals: at most 18"),
            (
                r#""usage":[{"cached":"besides"}]"#,
                r#"providers.xai.usage[0].cached: no such word; did you mean "beside"?"#,
            ),
        ];
        for (written, expected) in cases {
            let mistake = compile(written).unwrap_err();
            assert!(mistake.starts_with(expected), "{mistake}");
        }
    }

    #[test]
    fn every_secret_of_a_provider_is_asked_for() {
        let draft = r#"{"providers":{"p":{"base_url":"https://{account}.x","headers":[{"name":"a","secret":"H"}]}}}"#;
        crate::config::schema::tests::agree(draft);
        let secrets = Draft::from_json(Some(draft)).unwrap().secrets();
        let known = ["AZURE_RESOURCE_NAME", "DATABRICKS_HOST", "MODAL_SECRET", "ANTHROPIC_AWS_WORKSPACE_ID"];
        for name in ["P_ACCOUNT", "P_API_KEY", "H"].into_iter().chain(known) {
            assert!(secrets.contains(name), "{name}");
        }
    }
}
