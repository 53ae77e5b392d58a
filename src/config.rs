//! What people write, checked and made ready. After [`Config::compile`] there is no unknown provider, no
//! malformed amount and no secret by name, so nothing later asks.
//!
//! Everything has a default: an empty file with a provider's key in the environment is a working gateway.

mod app;
mod caller;
mod draft;
mod limit;
mod model;
mod provider;
mod receipts;
mod refresh;
pub mod schema;
mod token;
pub mod version;
mod webhook;

use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use self::app::{App, AppDraft, AppleDraft, GoogleDraft};
pub use self::caller::{Allowance, Caller, CallerDraft, CallerKeyDraft, Key as CallerKey, ProviderKeyDraft};
pub use self::draft::{AliasDraft, Draft, MediaDraft, Reading, Timeouts};
pub use self::limit::{LimitDraft, usd};
pub use self::model::{PriceDraft, TierDraft};
use self::provider::Providers;
pub use self::provider::{Account, Credential, KeyDraft, Provider, ProviderDraft, Reach, Upstream};
pub use self::receipts::ReceiptsDraft;
pub use self::refresh::{CatalogDraft, Refresh};
pub use self::token::{Issuer, Source, TokenDraft, TokenKeyDraft, Trust};
pub use self::webhook::Webhook;
use crate::auth::key::SECRET_BYTES_MIN;
use crate::auth::own::OwnKey;
use crate::catalog;
use crate::catalog::models::refresh::Overlay;
use crate::catalog::models::{Model, Models};
use crate::host::Millis;
use crate::limit::rule::Limit;
use crate::media::origin::Origin;
use crate::media::{self, Fetch};
pub use crate::mistake::Mistake;
use crate::mistake::{Mistakes, under};
use crate::named::Named;
use crate::nearest::nearest;
use crate::route::health::Key;
use crate::route::policy::{Policy, PolicyDraft};
use crate::route::rule::{Glob, Rule};

/// Ready to serve from.
#[derive(Debug)]
pub struct Config {
    /// Which one it is ([`version::version`]); empty where nobody asks.
    pub version: String,
    /// A longer body is refused.
    pub body_bytes_max: usize,
    /// Of models that have none of their own.
    pub policy: Arc<Policy>,
    pub rules: Vec<Rule>,
    pub media: media::Policy,
    pub providers: Named<Arc<Provider>>,
    pub aliases: Named<Alias>,
    pub callers: Vec<Arc<Caller>>,
    /// Whose tokens are taken in place of keys.
    pub issuers: Vec<Issuer>,
    /// What the gateway's own tokens are signed with.
    pub token_secret: Option<[u8; 32]>,
    /// Whose devices get such tokens.
    pub apps: Named<App>,
    /// Of all callers; each may have its own besides.
    pub limits: Vec<Arc<Limit>>,
    pub models: Models,
    /// Where their prices are refreshed from.
    pub refresh: Option<Refresh>,
    /// How long receipts are kept; 0 where none are.
    pub receipts_ms: Millis,
    /// Who is told of budgets that are nearly used up.
    pub webhook: Option<Webhook>,
    /// Providers that are known but have no key.
    pub off: Named<Missing>,
    /// Those of them that callers may ask by keys of their own.
    pub unkeyed: Named<Arc<Provider>>,
}

/// The name of a secret that is not there.
pub type Missing = String;

#[derive(Debug)]
pub struct Alias {
    /// As they are written; those whose provider is off are left out.
    pub targets: Vec<Arc<Target>>,
    /// The same with those between them that lack a key of the gateway and nothing else; where there are none it is empty.
    pub with_unkeyed: Vec<Arc<Target>>,
    pub policy: Arc<Policy>,
}

/// Who may answer: a model at a provider, asked by one of its keys.
#[derive(Debug)]
pub struct Target {
    pub provider: Arc<Provider>,
    pub model: String,
    /// Which of the provider's accounts it is asked by, or of the caller's own keys.
    pub account: usize,
    /// The caller's own key by which it is asked, in place of the gateway's.
    pub own: Option<Arc<OwnKey>>,
    /// What the model costs and takes.
    pub known: Arc<Model>,
    /// By which its health is known.
    pub key: Key,
}

impl Target {
    /// A model at a provider, once for each of its accounts.
    pub fn all<'a>(
        provider: &'a Arc<Provider>,
        model: &'a str,
        models: &Models,
    ) -> impl Iterator<Item = Arc<Self>> + use<'a> {
        let known = Arc::new(models.get(&format!("{}/{model}", provider.name)));
        (0..provider.accounts().len().max(1)).map(move |account| {
            let key = Key::of(&provider.name, model, account);
            let (provider, model, known) = (provider.clone(), model.to_owned(), known.clone());
            Arc::new(Self { provider, model, account, own: None, known, key })
        })
    }

    /// The same model asked by a key of the caller's own, which is the one of this number for its provider.
    pub fn by_own(&self, own: &Arc<OwnKey>, number: usize) -> Self {
        Self {
            provider: self.provider.clone(),
            model: self.model.clone(),
            account: number,
            own: Some(own.clone()),
            known: self.known.clone(),
            key: Key::of_own(&self.provider.name, &self.model, own.digest()),
        }
    }

    /// What its provider is shown.
    pub fn credential(&self) -> &Credential {
        let account = || self.provider.accounts().get(self.account).map(|account| &account.credential);
        self.own.as_ref().map(|own| &own.credential).or_else(account).unwrap_or(&Credential::None)
    }

    /// Whether it can be asked at all: not where the gateway has no key, and none is brought.
    pub fn is_on(&self) -> bool {
        let is_built_in = matches!(self.provider.reach, Reach::Echo);
        self.own.is_some() || is_built_in || !self.provider.accounts().is_empty()
    }

    /// Whether both are one model at one provider, by whatever key.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.provider, &other.provider) && self.model == other.model
    }
}

/// How long an upstream may be silent, and how long the caller is left without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until the first byte of the answer's body.
    pub first_byte_ms: u64,
    /// Between two pieces of the body.
    pub idle_ms: u64,
    /// From the first attempt to the answer's end.
    pub total_ms: u64,
    /// Until a caller who waits for a stream is told that it is on its way, and between two such words.
    pub heartbeat_ms: u64,
}

pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Load balancers and proxies cut what is silent for 30 to 60 s; clients show a stall from 20 s on.
pub const PATIENCE: Patience =
    Patience { first_byte_ms: 120_000, idle_ms: 120_000, total_ms: NEVER_MS, heartbeat_ms: 15_000 };
/// A hundred years: what no request lives to see, and every clock can add.
const NEVER_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;
const FIRST_CALLER: &str = "default";
const FIRST_SECRET: &str = "TOLLGATE_KEY";
/// The name of the secret that the gateway's own tokens are signed with.
pub const TOKEN_SECRET: &str = "TOLLGATE_TOKEN_SECRET";
/// The provider whose models are built in.
pub const BUILT_IN: &str = "tollgate";
const AT_ONCE: &str = "0 would end every request at once; leave it out or wait longer";
const NAME_LENGTH_MAX: usize = 64;
/// Where AWS's own tools look for an access key and a region.
const AWS_ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";
const AWS_SECRET_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const AWS_SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
const AWS_REGION: &str = "AWS_REGION";
/// Looks a secret up by its name.
type Secrets<'a> = dyn Fn(&str) -> Option<String> + 'a;

impl Config {
    /// Judges what was read and looks its secrets up, with prices that were refreshed where it wants that. Every mistake is
    /// named, whether it was found while reading or now.
    pub fn of(
        reading: &Reading,
        refreshed: Option<&Overlay>,
        secret: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<Mistake>> {
        Self::judge(&reading.draft, refreshed, &secret, reading.mistakes.clone())
    }

    /// The same of a draft that was read, or made, without mistakes.
    pub fn compile(draft: &Draft, secret: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        Self::judge(draft, None, &secret, Mistakes::default())
    }

    fn judge(
        draft: &Draft,
        refreshed: Option<&Overlay>,
        secret: &Secrets<'_>,
        mut mistakes: Mistakes,
    ) -> Result<Self, Vec<Mistake>> {
        let secret = |name: &str| secret(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let rows = catalog::providers();
        let known = Known::of(draft, &rows, &mistakes);
        let refreshed = refreshed.filter(|_| draft.catalog.refresh_url.is_some());
        let models = model::compile(draft, refreshed, &known, &mut mistakes);
        let policy = Policy {
            strict: draft.strict.unwrap_or(false),
            patience: compile_patience("timeouts", &draft.timeouts, PATIENCE, &mut mistakes),
            ..Policy::compile("policy", &draft.policy, &Policy::default(), &mut mistakes)
        };
        check_policy("policy", &draft.policy, &known, &mut mistakes);
        let media = compile_media(&draft.media, &mut mistakes);
        let refresh = refresh::compile(draft, &media, &mut mistakes);
        let receipts_ms = receipts::compile(draft, &mut mistakes);
        let webhook = webhook::compile(draft, &media, &secret, &mut mistakes);
        let compiled = provider::compile(draft, &rows, &secret, &mut mistakes);
        let aliases = compile_aliases(draft, &known, &compiled, &models, &policy, &mut mistakes);
        let is_whole = mistakes.is_whole("models");
        let knows = |name: &str| if is_whole { known.check_model(draft, name) } else { Ok(()) };
        let rules = compile_rules(draft, knows, &mut mistakes);
        let callers = caller::compile(draft, &known, (&compiled, &secret), &mut mistakes);
        let issuers = token::compile(draft, &callers, &media, &secret, &mut mistakes);
        let token_secret = secret(TOKEN_SECRET);
        if token_secret.as_ref().is_some_and(|secret| secret.len() < SECRET_BYTES_MIN) {
            let why =
                format!("the secret {TOKEN_SECRET} is shorter than {SECRET_BYTES_MIN} bytes, and could be guessed");
            mistakes.say_anyway("", &why);
        }
        let token_secret = token_secret.map(|secret| sha256(&secret));
        let apps = app::compile(draft, &callers, token_secret.as_ref(), &secret, &mut mistakes);
        let provider::Compiled { on: providers, off, unkeyed, .. } = compiled;
        let limits = limit::compile(draft, &known, knows, &mut mistakes);
        let body_bytes_max = draft.body_bytes_max.unwrap_or(BODY_BYTES_MAX);
        let (policy, version) = (Arc::new(policy), String::new());
        mistakes.or(Self {
            version,
            body_bytes_max,
            policy,
            rules,
            media,
            providers,
            aliases,
            callers,
            issuers,
            token_secret,
            apps,
            limits,
            models,
            refresh,
            receipts_ms,
            webhook,
            off,
            unkeyed,
        })
    }
}

/// The names of all providers, on or off.
struct Known {
    names: Vec<String>,
    /// Whether all names that the configuration gives could be read.
    is_whole: bool,
}

impl Known {
    fn of(draft: &Draft, rows: &[catalog::Provider], mistakes: &Mistakes) -> Self {
        let mut names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
        names.extend(draft.providers.names().map(str::to_owned));
        names.push(BUILT_IN.to_owned());
        Self { names, is_whole: mistakes.is_whole("providers") }
    }

    /// Says what is wrong with a name that stands for no model.
    fn check_model(&self, draft: &Draft, name: &str) -> Result<(), String> {
        match name.split_once('/') {
            _ if draft.models.contains(name) => Ok(()),
            Some((provider, _)) => self.check(provider),
            None => {
                let near = nearest(name, draft.models.names()).map(|near| format!("; did you mean \"{near}\"?"));
                Err(format!("no model \"{name}\"{}", near.unwrap_or_default()))
            }
        }
    }

    /// Says what is wrong with the name of a provider that there is not.
    fn check(&self, provider: &str) -> Result<(), String> {
        if !self.is_whole || self.names.iter().any(|known| known == provider) {
            return Ok(());
        }
        let near = nearest(provider, self.names.iter().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
        Err(format!("no provider \"{provider}\"{hint}"))
    }
}

fn compile_patience(at: &str, written: &Timeouts, otherwise: Patience, mistakes: &mut Mistakes) -> Patience {
    let mut limit = |field: &str, written: Option<u64>, otherwise| {
        if written == Some(0) {
            mistakes.say(&format!("{at}.{field}"), AT_ONCE);
        }
        written.unwrap_or(otherwise)
    };
    Patience {
        first_byte_ms: limit("first_byte_ms", written.first_byte_ms, otherwise.first_byte_ms),
        idle_ms: limit("idle_ms", written.idle_ms, otherwise.idle_ms),
        total_ms: limit("total_ms", written.total_ms, otherwise.total_ms),
        heartbeat_ms: match written.heartbeat_ms {
            Some(0) => NEVER_MS,
            written => written.unwrap_or(otherwise.heartbeat_ms),
        },
    }
}

fn compile_media(written: &MediaDraft, mistakes: &mut Mistakes) -> media::Policy {
    let otherwise = media::Policy::default();
    let mut hosts = Vec::new();
    for (index, text) in written.hosts.iter().enumerate() {
        match Origin::written(text) {
            Some(host) => hosts.push(host),
            None => {
                let due = "a host like \"files.example.com\", \"*.example.com\" or \"http://127.0.0.1:9000\"";
                mistakes.say(&format!("media.hosts[{index}]"), &format!("\"{text}\" is not {due}"));
            }
        }
    }
    let fetch = written.fetch.unwrap_or_default();
    if fetch == Fetch::Listed && written.hosts.is_empty() {
        mistakes.say("media.hosts", "empty; name a host, or write fetch = \"never\"");
    }
    media::Policy {
        fetch,
        hosts,
        files_max: written.files_max.unwrap_or(otherwise.files_max),
        file_bytes_max: written.file_bytes_max.unwrap_or(otherwise.file_bytes_max),
        bytes_max: written.bytes_max.unwrap_or(otherwise.bytes_max),
        ms_max: written.ms_max.unwrap_or(otherwise.ms_max),
    }
}

fn compile_aliases(
    draft: &Draft,
    known: &Known,
    compiled: &provider::Compiled,
    models: &Models,
    policy: &Policy,
    mistakes: &mut Mistakes,
) -> Named<Alias> {
    let mut aliases = Named::default();
    // Which models a star may stand for.
    let is_priced = mistakes.is_whole("prices");
    for (name, alias) in draft.models.iter() {
        let at = under("models", name);
        if alias.targets.is_empty() {
            mistakes.say(&format!("{at}.targets"), "empty; name at least one \"provider/model\"");
        }
        let mut targets = Vec::new();
        for (index, target) in alias.targets.iter().enumerate() {
            match compile_target(target, known, compiled, models) {
                Err(_) if target.contains('*') && !is_priced => {}
                // A star stands for none that is there already. Whoever is named twice is meant twice.
                Ok(found) if target.contains('*') => {
                    let is_new = |found: &Arc<Target>| targets.iter().all(|known: &Arc<Target>| known.key != found.key);
                    let found: Vec<_> = found.into_iter().filter(is_new).collect();
                    targets.extend(found);
                }
                Ok(found) => targets.extend(found),
                Err(why) => mistakes.say(&format!("{at}.targets[{index}]"), &why),
            }
        }
        let AliasDraft { first_byte_ms, idle_ms, total_ms, heartbeat_ms, .. } = *alias;
        let timeouts = Timeouts { first_byte_ms, idle_ms, total_ms, heartbeat_ms };
        if let Some(written) = &alias.policy {
            check_policy(&format!("{at}.policy"), written, known, mistakes);
        }
        let policy = Policy {
            strict: alias.strict.unwrap_or(policy.strict),
            patience: compile_patience(&at, &timeouts, policy.patience, mistakes),
            ..match &alias.policy {
                Some(written) => Policy::compile(&format!("{at}.policy"), written, policy, mistakes),
                None => policy.clone(),
            }
        };
        let with_unkeyed = if targets.iter().all(|target| target.is_on()) { Vec::new() } else { targets.clone() };
        targets.retain(|target| target.is_on());
        aliases.insert(name.to_owned(), Alias { targets, with_unkeyed, policy: Arc::new(policy) });
    }
    aliases
}

/// A name that is nobody's would silently allow what is forbidden.
fn check_policy(at: &str, written: &PolicyDraft, known: &Known, mistakes: &mut Mistakes) {
    let check = |name: &str| known.check(name.split('/').next().unwrap_or_default());
    for (field, names) in [("only", &written.only), ("ignore", &written.ignore)] {
        for (index, name) in names.iter().enumerate() {
            if let Err(why) = check(name) {
                mistakes.say(&format!("{at}.{field}[{index}]"), &why);
            }
        }
    }
    for name in written.weights.names() {
        if let Err(why) = check(name) {
            mistakes.say_anyway(&under(&format!("{at}.weights"), name), &why);
        }
    }
}

/// What `provider/model` stands for: none where the provider is off for more than a key, several where it has several keys
/// or a star stands in the name. Those without a key are not [`Target::is_on`].
fn compile_target(
    text: &str,
    known: &Known,
    compiled: &provider::Compiled,
    models: &Models,
) -> Result<Vec<Arc<Target>>, String> {
    let providers = &compiled.on;
    let of_form = text.split_once('/').filter(|(_, model)| !model.is_empty());
    let (name, model) = of_form.ok_or_else(|| format!("\"{text}\" is not of the form \"provider/model\""))?;
    match providers.get(name) {
        _ if name.contains('*') => Ok(matching(name, model, providers, models)),
        Some(_) if model.contains('*') => match matching(name, model, providers, models) {
            none if none.is_empty() => Err(format!("no known model is like \"{text}\"")),
            found => Ok(found),
        },
        Some(provider) if provider.answers(model) => Ok(Target::all(provider, model, models).collect()),
        Some(_) => Err(format!("there is no built-in model \"{text}\"")),
        // Off, or a mistake. What a star stands for is not known of those who are off.
        None => match compiled.unkeyed.get(name).filter(|_| !model.contains('*')) {
            Some(provider) => Ok(Target::all(provider, model, models).collect()),
            None => known.check(name).map(|()| Vec::new()),
        },
    }
}

/// Every known model whose provider and name are like these, in their order. The built-in one is for trying, and never
/// meant.
fn matching(provider: &str, model: &str, providers: &Providers, models: &Models) -> Vec<Arc<Target>> {
    let (provider, model) = (Glob::new(provider), Glob::new(model));
    let mut targets = Vec::new();
    for own in providers.values().filter(|own| own.name != BUILT_IN && provider.matches(&own.name)) {
        let listed = own.models.iter().map(String::as_str).chain(models.of(&own.name));
        let mut names: Vec<&str> = listed.filter(|name| model.matches(name)).collect();
        names.sort_unstable();
        names.dedup();
        targets.extend(names.into_iter().flat_map(|name| Target::all(own, name, models)));
    }
    targets
}

fn compile_rules(draft: &Draft, knows: impl Fn(&str) -> Result<(), String>, mistakes: &mut Mistakes) -> Vec<Rule> {
    let rules = draft.rules.iter().enumerate();
    rules.filter_map(|(index, rule)| Rule::compile(&format!("rules[{index}]"), rule, &knows, mistakes)).collect()
}

/// Names stand in counters and headers.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    if name.is_empty() || name.len() > NAME_LENGTH_MAX || !name.bytes().all(fits) {
        return Err(format!("a name has 1 to {NAME_LENGTH_MAX} of a-z, 0-9, \"-\", \"_\", \".\""));
    }
    if name == BUILT_IN { Err(format!("\"{BUILT_IN}\" is taken by the built-in models")) } else { Ok(()) }
}

pub fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, Inbound};
    use crate::wire::json;

    fn compile(json: &str, secrets: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let lookup = |name: &str| secrets.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        schema::tests::agree(json);
        Config::of(&Reading::of(Some(json)), None, lookup)
            .map_err(|mistakes| mistakes.into_iter().map(|Mistake(text)| text).collect())
    }

    /// The base URL and the secrets of a provider.
    fn reach(config: &Config, name: &str) -> (String, Vec<String>) {
        let Reach::Upstream(upstream) = &config.providers.get(name).unwrap().reach else { panic!("not upstream") };
        (upstream.base_url.clone(), upstream.secrets().map(str::to_owned).collect())
    }

    #[test]
    fn bedrock_takes_a_key_of_its_own_or_signs_with_that_of_aws() {
        let host = |region: &str| format!("https://bedrock-runtime.{region}.amazonaws.com");
        let region = ("AWS_REGION", "eu-west-1");
        let access = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "t")];
        let bearer = ("AWS_BEARER_TOKEN_BEDROCK", "b");
        let secrets = |secrets: &[&str]| secrets.iter().map(|secret| (*secret).to_owned()).collect::<Vec<_>>();

        let config = compile("", &[region, bearer, access[0], access[1]]).unwrap();
        for name in ["amazon-bedrock", "bedrock-anthropic"] {
            assert_eq!(reach(&config, name), (host("eu-west-1"), secrets(&["b"])));
        }
        let config = compile("", &[region, access[0], access[1], access[2]]).unwrap();
        assert_eq!(reach(&config, "amazon-bedrock"), (host("eu-west-1"), secrets(&["s", "t"])));
        let signed = r#"{"providers":{"amazon-bedrock":{"auth":"sigv4","region":"us-east-1"}}}"#;
        let config = compile(signed, &[region, bearer, access[0], access[1]]).unwrap();
        assert_eq!(reach(&config, "amazon-bedrock"), (host("us-east-1"), secrets(&["s"])));

        let off = |json: &str, given: &[(&str, &str)]| {
            compile(json, given).unwrap().off.get("amazon-bedrock").unwrap().clone()
        };
        assert_eq!(off("", &[bearer]), "AWS_REGION");
        assert_eq!(off("", &[region]), "AWS_BEARER_TOKEN_BEDROCK");
        assert_eq!(off(signed, &[bearer, access[0]]), "AWS_SECRET_ACCESS_KEY");
    }

    #[test]
    fn a_key_alone_turns_a_provider_on() {
        let config = compile("", &[("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "http://localhost:1/v1")]).unwrap();
        assert_eq!(config.providers.names().collect::<Vec<_>>(), ["openai", "tollgate"]);
        assert_eq!(config.off.get("anthropic").unwrap(), "ANTHROPIC_API_KEY");
        assert_eq!(reach(&config, "openai"), ("http://localhost:1/v1".to_owned(), vec!["k".to_owned()]));
        assert_eq!(config.off.get("google").unwrap(), "GEMINI_API_KEY or GOOGLE_API_KEY");
        assert!(config.callers.is_empty());
    }

    #[test]
    fn the_first_caller_is_named_by_the_environment_and_limited_by_the_file() {
        let config = compile("", &[("TOLLGATE_KEY", "k")]).unwrap();
        assert_eq!((config.callers[0].name.as_str(), config.callers[0].keys[0].sha256), ("default", sha256("k")));
        let file = r#"{"callers":{"default":{"spend_cap_usd":"1.5"}}}"#;
        let config = compile(file, &[("TOLLGATE_KEY", "k")]).unwrap();
        let cap = &config.callers[0].limits[0];
        assert_eq!((cap.name.as_str(), cap.most), ("spend-cap", 1_500_000_000_000));
    }

    #[test]
    fn a_caller_has_its_own_keys_of_providers_also_of_those_that_are_off() {
        let file = r#"{"callers":{"default":{"own_keys_only":true,"provider_keys":[
                {"provider":"openai","secret":"A"},{"provider":"groq","secret":"B"},{"provider":"azure","secret":"A"}]}},
            "models":{"m":{"targets":["groq/x","openai/y","azure/z"]}}}"#;
        let config =
            compile(file, &[("TOLLGATE_KEY", "k"), ("A", "a-secret"), ("B", "b-secret"), ("OPENAI_API_KEY", "o")]);
        let config = config.unwrap();
        let own = &config.callers[0].own;
        let keys: Vec<(&str, Vec<&str>)> =
            own.keys.iter().map(|key| (key.provider.as_str(), key.credential.secrets().collect())).collect();
        assert_eq!(keys, [("openai", vec!["a-secret"]), ("groq", vec!["b-secret"])], "azure lacks its address too");
        assert!(own.only && !own.brings_none);
        let targets = |targets: &[Arc<Target>]| targets.iter().map(ToString::to_string).collect::<Vec<_>>();
        let alias = config.aliases.get("m").unwrap();
        assert_eq!(targets(&alias.targets), ["openai/y"]);
        assert_eq!(targets(&alias.with_unkeyed), ["groq/x", "openai/y"]);
        assert_eq!(config.off.get("groq").unwrap(), "GROQ_API_KEY");
        assert!(config.unkeyed.contains("groq") && !config.unkeyed.contains("azure"));
        let told = format!("{:?} {:?}", config.callers, config.providers);
        assert!(!told.contains("-secret") && !told.contains("\"o\""), "{told}");
    }

    #[test]
    fn a_key_of_a_provider_that_one_key_is_not_enough_for_is_a_mistake() {
        let keyed = |providers: &str, name: &str| {
            let keys = format!(r#"{{"default":{{"provider_keys":[{{"provider":"{name}","secret":"K"}}]}}}}"#);
            let json = format!(r#"{{"providers":{{{providers}}},"callers":{keys}}}"#);
            compile(&json, &[("TOLLGATE_KEY", "k"), ("K", "k")]).map(|config| config.callers[0].own.keys.len())
        };
        let several = r#""p":{"dialect":"anthropic","base_url":"http://x","headers":[{"name":"x-more","secret":"K"}]}"#;
        let optional = several.replace(r#""secret":"K""#, r#""secret":"K","optional":true"#);
        let none = r#""p":{"dialect":"anthropic","base_url":"http://x","auth":"none"}"#;
        let why = |why: &str| Err(vec![format!("callers.default.provider_keys[0]: {why}")]);
        assert_eq!(keyed("", "tollgate"), why("is of the gateway itself, which takes none"));
        for providers in [several, none] {
            assert_eq!(keyed(providers, "p"), why("is of a provider that wants none, or more than one secret"));
        }
        assert_eq!(keyed(&optional, "p"), Ok(1));
        assert_eq!(keyed("", "openai"), Ok(1));
    }

    #[test]
    fn a_key_belongs_to_one_caller() {
        let twice = r#"{"callers":{"a":{"secret":"K"},"b":{"secret":"K"}}}"#;
        assert_eq!(compile(twice, &[("K", "k")]).unwrap_err(), ["callers.b: has the same key as callers.a"]);
        let first = r#"{"callers":{"ci":{"secret":"TOLLGATE_KEY"}}}"#;
        let config = compile(first, &[("TOLLGATE_KEY", "k")]).unwrap();
        assert_eq!(config.callers.iter().map(|caller| caller.name.as_str()).collect::<Vec<_>>(), ["ci"]);
    }

    #[test]
    fn a_caller_may_have_an_old_key_beside_a_new_one() {
        let file = r#"{"callers":{"default":{"keys":[{"secret":"OLD","expires":"2027-01-01"}]},
            "ci":{"keys":[{"secret":"A"},{"secret":"B"}]}}}"#;
        let secrets = [("TOLLGATE_KEY", "new"), ("OLD", "old"), ("A", "a"), ("B", "b")];
        let config = compile(file, &secrets).unwrap();
        let keys = |at: usize| config.callers[at].keys.iter().map(|key| (key.sha256, key.expires)).collect::<Vec<_>>();
        assert_eq!(keys(0), [(sha256("a"), None), (sha256("b"), None)]);
        assert_eq!(keys(1), [(sha256("new"), None), (sha256("old"), Some(1_798_761_600_000))]);
        let config = compile(file, &secrets[1..]).unwrap();
        assert_eq!(config.callers[1].keys.len(), 1, "the first caller needs no TOLLGATE_KEY where it has another");
        let both = r#"{"callers":{"a":{"secret":"K"},"b":{"secret":"L","keys":[{"secret":"K"}]}}}"#;
        let mistakes = compile(both, &[("K", "k"), ("L", "l")]).unwrap_err();
        assert_eq!(mistakes, ["callers.b: has the same key as callers.a"]);
        let names = Draft::from_json(Some(file)).unwrap().secrets();
        assert!(["OLD", "A", "B"].iter().all(|name| names.contains(*name)));
    }

    #[test]
    fn a_target_whose_provider_has_no_key_is_left_out() {
        let file = r#"{"models":{"smart":{"targets":["anthropic/a","openai/b"],"idle_ms":7}}}"#;
        let config = compile(file, &[("OPENAI_API_KEY", "k")]).unwrap();
        let alias = config.aliases.get("smart").unwrap();
        assert_eq!(alias.targets.len(), 1);
        assert_eq!(alias.policy.patience, Patience { idle_ms: 7, ..PATIENCE });
    }

    #[test]
    fn every_mistake_names_its_place() {
        let cases = [
            (
                r#"{"models":{"m":{"targets":["opnai/x"]}}}"#,
                r#"models.m.targets[0]: no provider "opnai"; did you mean "openai"?"#,
            ),
            (
                r#"{"models":{"m":{"targets":["x"]}}}"#,
                r#"models.m.targets[0]: "x" is not of the form "provider/model""#,
            ),
            (
                r#"{"models":{"m":{"targets":["openai/"]}}}"#,
                r#"models.m.targets[0]: "openai/" is not of the form "provider/model""#,
            ),
            (
                r#"{"models":{"m":{"targets":["tollgate/ehco"]}}}"#,
                r#"models.m.targets[0]: there is no built-in model "tollgate/ehco""#,
            ),
            (
                r#"{"models":{"m":{"targets":["openai/x"],"idle_ms":0}}}"#,
                "models.m.idle_ms: 0 would end every request at once; leave it out or wait longer",
            ),
            (r#"{"models":{"m":{"targets":[]}}}"#, r#"models.m.targets: empty; name at least one "provider/model""#),
            (
                r#"{"providers":{"p":{"base_url":"http://x"}}}"#,
                r#"providers.p.dialect: missing; "openai-chat", "openai-responses", "anthropic" or "gemini""#,
            ),
            (
                r#"{"providers":{"p":{"dialect":"anthropic"}}}"#,
                r#"providers.p.base_url: missing; for example "https://example.com/v1""#,
            ),
            (
                r#"{"providers":{"p":{"dialect":"anthropic","base_url":"ftp://x"}}}"#,
                r#"providers.p.base_url: "ftp://x" is not an http or https URL without a query"#,
            ),
            (
                r#"{"providers":{"p":{"dialect":"anthropic","base_url":"x"}},"models":{"m":{"targets":["p/x"]}}}"#,
                r#"providers.p.base_url: "x" is not an http or https URL without a query"#,
            ),
            (
                r#"{"providers":{"p":{"dialect":"openai-chat","platform":"vertex","base_url":"http://x"}}}"#,
                r#"providers.p.platform: carries the dialect "anthropic" only"#,
            ),
            (
                r#"{"providers":{"p":{"dialect":"anthropic","auth":"sigv4","base_url":"http://x"}}}"#,
                r#"providers.p.auth: "sigv4" is for Amazon Bedrock only"#,
            ),
            (
                r#"{"providers":{"amazon-bedrock":{"region":"x.evil.example/"}}}"#,
                r#"providers.amazon-bedrock.region: "x.evil.example/" is not a region like "us-east-1""#,
            ),
            (
                r#"{"providers":{"p":{"dialect":"anthropic","platform":"vertex","base_url":"https://x/{Project}"}}}"#,
                r#"providers.p.base_url: "https://x/{Project}" is not an http or https URL without a query"#,
            ),
            (
                r#"{"providers":{"amazon-bedrock":{"auth":"sigv4","secret":"S","region":"a"}}}"#,
                "providers.amazon-bedrock: has a secret and auth = \"sigv4\", whose key is AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY; leave one out",
            ),
            (
                r#"{"providers":{"P!":{"dialect":"gemini","base_url":"http://x"}}}"#,
                r#"providers."P!": a name has 1 to 64 of a-z, 0-9, "-", "_", ".""#,
            ),
            (
                r#"{"media":{"hosts":["a.example","https://a.example/x"]}}"#,
                "media.hosts[1]: \"https://a.example/x\" is not a host like \"files.example.com\", \"*.example.com\" or \
                 \"http://127.0.0.1:9000\"",
            ),
            (r#"{"media":{"fetch":"listed"}}"#, r#"media.hosts: empty; name a host, or write fetch = "never""#),
            (r#"{"callers":{"c":{}}}"#, "callers.c: needs secret (the name of the secret with the key) or sha256"),
            (r#"{"callers":{"c":{"secret":"C"}}}"#, "callers.c.secret: no secret named C is set"),
            (r#"{"callers":{"c":{"sha256":"12"}}}"#, "callers.c.sha256: not 64 hexadecimal digits"),
            (
                r#"{"callers":{"c":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","provider_keys":[{"provider":"opnai","secret":"OPENAI_API_KEY"}]}}}"#,
                r#"callers.c.provider_keys[0].provider: no provider "opnai"; did you mean "openai"?"#,
            ),
            (
                r#"{"callers":{"c":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","provider_keys":[{"provider":"openai","secret":"MINE"}]}}}"#,
                "callers.c.provider_keys[0].secret: no secret named MINE is set",
            ),
            (
                r#"{"providers":{"p":{"dialect":"anthropic","base_url":"http://x","pass_through":true,"headers":[{"name":"x-more","secret":"M"}]}}}"#,
                "providers.p.pass_through: has a secret in its headers besides, which is not for callers' own requests",
            ),
            (
                r#"{"providers":{"p":{"dialect":"anthropic","base_url":"http://x","pass_through":true,"platform":"vertex"}}}"#,
                "providers.p.pass_through: a cloud takes no credential of another",
            ),
            (
                r#"{"providers":{"p":{"dialect":"anthropic","base_url":"http://x","pass_through":true},"anthropic":{"pass_through":true}}}"#,
                r#"providers.p.pass_through: "anthropic" has it too and speaks the same dialect; a caller's credential is for one of them"#,
            ),
            (
                r#"{"limits":{"l":{"requests":1,"own_keys":true}}}"#,
                "limits.l.own_keys: for dollars only; all else counts whoever pays",
            ),
            (
                r#"{"callers":{"default":{"keys":[{"expires":"2026-11-21"}]}}}"#,
                "callers.default.keys[0]: needs secret (the name of the secret with the key) or sha256",
            ),
            (
                r#"{"callers":{"default":{"keys":[{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","expires":"2026-02-29"}]}}}"#,
                r#"callers.default.keys[0].expires: "2026-02-29" is not a day like "2027-01-31" or an instant of UTC like "2027-01-31T12:00:00Z""#,
            ),
            (
                r#"{"callers":{"c":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","origins":["https://a","a"]}}}"#,
                r#"callers.c.origins[1]: "a" is not an origin like "https://app.example.com" or "https://*.example.com""#,
            ),
            (
                r#"{"callers":{"c":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","models":[]}}}"#,
                "callers.c.models: empty; name one, or leave it out to allow all",
            ),
            (
                r#"{"callers":{"c":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","providers":["groq","opnai/gpt-5"]}}}"#,
                r#"callers.c.providers[1]: no provider "opnai"; did you mean "openai"?"#,
            ),
            (
                r#"{"limits":{"l":{"per":"caller"}}}"#,
                "limits.l: needs one of requests, input_tokens, output_tokens, tokens, concurrent and usd",
            ),
            (
                r#"{"limits":{"l":{"requests":1,"tokens":1}}}"#,
                "limits.l: needs one of requests, input_tokens, output_tokens, tokens, concurrent and usd",
            ),
            (r#"{"limits":{"l":{"usd":"five"}}}"#, r#"limits.l.usd: "five" is not an amount like "5.00""#),
            (r#"{"limits":{"l":{"usd":"5","every":"hour"}}}"#, "limits.l.every: dollars are for a day at least"),
            (
                r#"{"limits":{"l":{"concurrent":5,"every":"hour"}}}"#,
                "limits.l.every: concurrent counts what is under way now; leave it out",
            ),
            (
                r#"{"limits":{"l":{"requests":5,"every":"day","sliding":true}}}"#,
                "limits.l.sliding: for a minute and an hour only",
            ),
            (r#"{"limits":{"l":{"requests":5,"instead":"x"}}}"#, r#"limits.l.instead: no model "x""#),
            (r#"{"limits":{"l":{"requests":5,"warn_at":[0]}}}"#, "limits.l.warn_at[0]: not a share in percent like 80"),
            (r#"{"limits":{"L":{"requests":5}}}"#, r#"limits.L: a name has 1 to 64 of a-z, 0-9, "-", "_", ".""#),
            (
                r#"{"limits":{"l":{"usd":"5","per":"token"}}}"#,
                "limits.l.every: a token lives for a short time, so minutes and hours only; what it may cost, it says itself",
            ),
            (
                r#"{"limits":{"spend-cap":{"requests":5}}}"#,
                "limits.spend-cap: callers and tokens have limits of this name; give it another",
            ),
            (
                r#"{"limits":{"l":{"requests":5,"per":"team"}}}"#,
                r#"limits.l.per: expected "all", "caller", "project", "user", "tag", "model", "token" or "provider""#,
            ),
            (
                r#"{"callers":{"c":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","project":"A b"}}}"#,
                r#"callers.c.project: a name has 1 to 64 of a-z, 0-9, "-", "_", ".""#,
            ),
            (
                r#"{"prices":{"openai/b":{"input":"x","output":"1"}}}"#,
                r#"prices."openai/b".input: "x" is not dollars per million tokens like "0.15""#,
            ),
            (
                r#"{"prices":{"opnai/b":{"input":"1","output":"1"}}}"#,
                r#"prices."opnai/b": no provider "opnai"; did you mean "openai"?"#,
            ),
            (r#"{"models":{"m":1}}"#, "models.m: expected fields, not 1"),
            (r#"{"models":{"m":{}}}"#, "models.m.targets: missing"),
            (r#"{"model":{}}"#, r#"model: no such field; did you mean "models"?"#),
            (
                r#"{"models":{"smart":{"targets":[],"target":[]}}}"#,
                r#"models.smart.target: no such field; did you mean "targets"?"#,
            ),
            (
                r#"{"providers":{"openai":{"dialect":"anthropc"}}}"#,
                r#"providers.openai.dialect: no such word; did you mean "anthropic"?"#,
            ),
            (
                r#"{"providers":{"openai":{"auth":"basic"}}}"#,
                r#"providers.openai.auth: expected "key", "bearer", "sigv4" or "none""#,
            ),
            (
                r#"{"providers":{"openai":{"auth":{"header":"a","query":"b"}}}}"#,
                "providers.openai.auth: expected either header or query, not fields",
            ),
            (r#"{"providers":{"openai":{"headers":[{"secret":"S"}]}}}"#, "providers.openai.headers[0].name: missing"),
            (
                r#"{"prices":{"openai/b":{"input":0.15,"output":"1"}}}"#,
                r#"prices."openai/b".input: expected a string, not 0.15"#,
            ),
            (r#"{"models":{}"#, "not JSON: expected `,` or the end of the list or object at line 1 column 13"),
        ];
        for (json, expected) in cases {
            assert_eq!(compile(json, &[]).unwrap_err(), [expected], "{json}");
        }
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let text = r#"{
            "strikt": true,
            "body_bytes_max": "1",
            "timeouts": {"idle": 1, "idle_ms": 0, "total_ms": "x"},
            "policy": {"order": "cheap", "fall_on": ["5xx", "200", "timout"], "attempts": 0, "only": ["opnai", 7],
                "weights": {"grok": "1"}, "hedge_ms": 1, "hedge_percentile": 0},
            "rules": [
                {"when": {"needs": ["image"], "between": ["9", "10"]}, "use": "smrat"},
                {"when": {"modle": "a"}, "split": {"smart": 0, "small": 0}},
                {"deny": "no", "use": "opnai/gpt-5"},
                7
            ],
            "media": {"fetch": "listed"},
            "providers": {
                "P!": {"dialect": "gemini", "base_url": "http://x"},
                "p": {"base_url": "ftp://x", "query": "a b", "region": "E U", "also": [{"dialect": "gemini", "base_url": "y"}],
                    "headers": [{"name": "a b"}, {"name": "host", "value": "\n"}, {"value": 1}],
                    "timeouts": {"idle_ms": 0, "heartbeat_ms": 1}},
                "q": {"dialect": "openai", "platform": "vertex", "auth": "sigv4"}
            },
            "models": {
                "gpt-4.1": {"targets": ["opnai/gpt-5", 1, "openai", "q/m", "p/*"], "idle_ms": 0, "policy": {"ignore": ["opnai"]}},
                "smart": {"targets": []},
                "small": {"target": ["openai/gpt-5-mini"]}
            },
            "callers": {
                "a": {"requests_per_minute": -1},
                "B": {"secret": "NONE", "spend_cap_usd": "5$"},
                "c": {"sha256": "12", "spend_cap_usd": 5}
            },
            "prices": {
                "opnai/m": {"input": 1, "cached_input": "x", "output": "1"},
                "openai/m": {"output": "1", "takes": ["stream", "image"], "search": "x",
                    "above": [{"input_tokens": 2, "input": "1"}, {"input_tokens": 2, "input": "1", "output": "y"}]}
            },
            "catalog": {"refresh_hours": 0, "refresh_url": "http://10.0.0.1/p"}
        }"#;
        let expected = [
            r#"strikt: no such field; did you mean "strict"?"#,
            "body_bytes_max: expected a whole number, 0 or more, not a string",
            r#"timeouts.idle: no such field; there are "first_byte_ms", "idle_ms", "total_ms" and "heartbeat_ms""#,
            "timeouts.total_ms: expected a whole number, 0 or more, not a string",
            r#"policy.order: no such word; did you mean "cheapest"?"#,
            "policy.only[1]: expected a string, not 7",
            "policy.weights.grok: expected a whole number, 0 or more, not a string",
            r#"rules[0].when.needs[0]: no such word; did you mean "images"?"#,
            r#"rules[1].when.modle: no such field; did you mean "model"?"#,
            "rules[3]: expected fields, not 7",
            "providers.p.headers[2].value: expected a string, not 1",
            "providers.p.headers[2].name: missing",
            r#"providers.q.dialect: expected "openai-chat", "anthropic", "openai-responses", "cohere", "ollama", "bedrock-converse", "gemini" or "openai-completions""#,
            r#"models."gpt-4.1".targets[1]: expected a string, not 1"#,
            r#"models.small.target: no such field; did you mean "targets"?"#,
            "callers.a.requests_per_minute: expected a whole number, 0 or more, not -1",
            "callers.c.spend_cap_usd: expected a string, not 5",
            r#"prices."opnai/m".input: expected a string, not 1"#,
            r#"prices."openai/m".takes[1]: no such word; did you mean "images"?"#,
            r#"prices."openai/m".above[0]: needs input and output"#,
            r#"prices."openai/m".above[1].input_tokens: 2 is no more than of the one before"#,
            r#"prices."openai/m".above[1].output: "y" is not dollars per million tokens like "0.15""#,
            r#"prices."openai/m".search: "x" is not an amount of dollars like "0.01""#,
            r#"prices."openai/m": needs input and output"#,
            r#"prices."openai/m".takes[0]: "stream" is what every model does; leave it out"#,
            r#"prices."opnai/m": no provider "opnai"; did you mean "openai"?"#,
            r#"prices."opnai/m".cached_input: "x" is not dollars per million tokens like "0.15""#,
            "timeouts.idle_ms: 0 would end every request at once; leave it out or wait longer",
            "policy.attempts: 0 would mean that nothing is asked; leave it out or take 1 or more",
            "policy: has hedge_ms and hedge_percentile; leave one out",
            r#"policy.fall_on[1]: "200" is no failure; a class like "rate-limit" or a status like "404" or "5xx""#,
            r#"policy.fall_on[2]: "timout" is no failure; did you mean "timeout"?"#,
            r#"policy.only[0]: no provider "opnai"; did you mean "openai"?"#,
            r#"policy.weights.grok: no provider "grok"; did you mean "groq"?"#,
            r#"media.hosts: empty; name a host, or write fetch = "never""#,
            "catalog.refresh_hours: from 1 to 2160, like 24",
            r#"providers."P!": a name has 1 to 64 of a-z, 0-9, "-", "_", ".""#,
            r#"providers.p.dialect: missing; "openai-chat", "openai-responses", "anthropic" or "gemini""#,
            r#"providers.p.region: "E U" is not a region like "us-east-1""#,
            r#"providers.p.base_url: "ftp://x" is not an http or https URL without a query"#,
            r#"providers.p.also[0].base_url: "y" is not an http or https URL without a query"#,
            r#"providers.p.query: "a b" is not of the form "name=value""#,
            r#"providers.p.headers[0].name: "a b" is not a header's name"#,
            "providers.p.headers[0]: needs value, or secret (the name of the secret with it)",
            r#"providers.p.headers[1].name: "host" is written by the gateway itself; leave it out"#,
            "providers.p.headers[1].value: holds what no header can have",
            "providers.p.timeouts.idle_ms: 0 would end every request at once; leave it out or wait longer",
            "providers.p.timeouts.heartbeat_ms: is for callers; write it for all or for a model",
            r#"providers.q.base_url: missing; for example "https://example.com/v1""#,
            r#"models."gpt-4.1".targets[0]: no provider "opnai"; did you mean "openai"?"#,
            r#"models."gpt-4.1".targets[2]: "openai" is not of the form "provider/model""#,
            r#"models."gpt-4.1".policy.ignore[0]: no provider "opnai"; did you mean "openai"?"#,
            r#"models."gpt-4.1".idle_ms: 0 would end every request at once; leave it out or wait longer"#,
            r#"models.smart.targets: empty; name at least one "provider/model""#,
            r#"rules[0].when.between: not two times of day like ["22:00", "06:00"]"#,
            r#"rules[0].use: no model "smrat"; did you mean "smart"?"#,
            "rules[1].split: no share is above 0",
            "rules[2]: needs one of use (a model), split (models with their shares) and deny (a reason)",
            r#"rules[2].use: no provider "opnai"; did you mean "openai"?"#,
            r#"callers.B: a name has 1 to 64 of a-z, 0-9, "-", "_", ".""#,
            r#"callers.B.spend_cap_usd: "5$" is not an amount like "5.00""#,
            "callers.B.secret: no secret named NONE is set",
            "callers.a: needs secret (the name of the secret with the key) or sha256",
            "callers.c.sha256: not 64 hexadecimal digits",
        ];
        assert_eq!(compile(text, &[]).unwrap_err(), expected);
    }

    #[test]
    fn what_follows_from_a_mistake_is_none_of_its_own() {
        let own =
            r#""models":{"m":{"targets":["own/a","own/x*"]}},"rules":[{"use":"own/a"}],"policy":{"only":["own"]}"#;
        let rules = r#""rules":[{"use":"smart"},{"split":{"smart":1,"small":1}}]"#;
        let cases = [
            // Who is named there cannot be known.
            (format!(r#"{{"provider":["own"],{own}}}"#), r#"provider: no such field; did you mean "providers"?"#),
            (format!(r#"{{"providers":[],{own}}}"#), "providers: expected fields, not a list"),
            (format!(r#"{{"providers":{{"own":7}},{own}}}"#), "providers.own: expected fields, not 7"),
            (
                r#"{"providers":{"own":{"dialct":"gemini","base_url":"http://x"}},"models":{"m":{"targets":["own/a"]}}}"#
                    .to_owned(),
                r#"providers.own.dialct: no such field; did you mean "dialect"?"#,
            ),
            (
                format!(
                    r#"{{"providers":{{"own":{{"dialect":"gemini","base_url":"http://x","auth":"none","models":"x1"}}}},{own}}}"#
                ),
                "providers.own.models: expected a list, not a string",
            ),
            (
                format!(
                    r#"{{"providers":{{"own":{{"dialect":"gemni","platform":"vertex","base_url":"http://x"}}}},{own}}}"#
                ),
                r#"providers.own.dialect: no such word; did you mean "gemini"?"#,
            ),
            (format!(r#"{{"model":7,{rules}}}"#), r#"model: no such field; did you mean "models"?"#),
            (
                format!(r#"{{"models":{{"smart":7,"small":{{"targets":["openai/gpt-5"]}}}},{rules}}}"#),
                "models.smart: expected fields, not 7",
            ),
            (
                r#"{"models":{"m":{"targts":["openai/gpt-5"]}}}"#.to_owned(),
                r#"models.m.targts: no such field; did you mean "targets"?"#,
            ),
            (
                r#"{"callers":{"c":{"secrt":7}}}"#.to_owned(),
                r#"callers.c.secrt: no such field; did you mean "secret"?"#,
            ),
            (r#"{"callers":{"c":{"secret":7}}}"#.to_owned(), "callers.c.secret: expected a string, not 7"),
            (r#"{"media":{"fetch":"listed","hosts":"a"}}"#.to_owned(), "media.hosts: expected a list, not a string"),
            (
                r#"{"media":{"hosts":["a b"]},"catalog":{"refresh_url":"http://10.0.0.1/p"}}"#.to_owned(),
                "media.hosts[0]: \"a b\" is not a host like \"files.example.com\", \"*.example.com\" or \"http://127.0.0.1:9000\"",
            ),
            (
                r#"{"catalog":{"refresh_ur":"https://a.example/p","refresh_hours":5}}"#.to_owned(),
                r#"catalog.refresh_ur: no such field; did you mean "refresh_url"?"#,
            ),
            (r#"{"rules":[{"use":7}]}"#.to_owned(), "rules[0].use: expected a string, not 7"),
            (
                r#"{"rules":[{"split":{"openai/a":"1"}}]}"#.to_owned(),
                r#"rules[0].split."openai/a": expected a whole number, 0 or more, not a string"#,
            ),
            (
                r#"{"rules":[{"use":"openai/a","when":{"between":["22:00",6]}}]}"#.to_owned(),
                "rules[0].when.between[1]: expected a string, not 6",
            ),
            (
                r#"{"prices":{"openai/m":{"input":1,"output":"1"}}}"#.to_owned(),
                r#"prices."openai/m".input: expected a string, not 1"#,
            ),
            (
                r#"{"timeouts":{"idle_ms":"1"}}"#.to_owned(),
                "timeouts.idle_ms: expected a whole number, 0 or more, not a string",
            ),
            (
                r#"{"models":{"m":{"targets":["openai/a"]},"m":{"targets":["openai/b"]}}}"#.to_owned(),
                "models.m: stands there twice",
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(compile(&json, &[]).unwrap_err(), [expected], "{json}");
        }
    }

    #[test]
    fn what_stands_under_a_wrong_name_is_judged_as_what_is_meant() {
        let text = r#"{
            "provider": {"own": {"dialct": "gemini", "base_ur": "ftp://x"}},
            "model": {"smart": {"target": ["own/a", "opnai/gpt-5"]}},
            "rules": [{"use": "smart"}, {"use": "tiny"}]
        }"#;
        let expected = [
            r#"provider: no such field; did you mean "providers"?"#,
            r#"provider.own.dialct: no such field; did you mean "dialect"?"#,
            r#"provider.own.base_ur: no such field; did you mean "base_url"?"#,
            r#"model: no such field; did you mean "models"?"#,
            r#"model.smart.target: no such field; did you mean "targets"?"#,
            r#"provider.own.base_ur: "ftp://x" is not an http or https URL without a query"#,
            r#"model.smart.target[1]: no provider "opnai"; did you mean "openai"?"#,
            r#"rules[1].use: no model "tiny""#,
        ];
        assert_eq!(compile(text, &[]).unwrap_err(), expected);
    }

    #[test]
    fn nothing_follows_from_a_section_that_stands_under_a_right_and_a_wrong_name() {
        let right =
            r#""providers":{"z":{"dialect":"openai-chat","base_url":"http://z","auth":"none"}},"rules":[{"use":7}]"#;
        let wrong = r#""provider":{"local":{"base_url":8}},"rule":[{"use":9},{"use":"m"}]"#;
        let models = r#""models":{"m":{"targets":["local/x","z/x"]}}"#;
        let expected = [
            "provider.local.base_url: expected a string, not 8",
            r#"provider: no such field; did you mean "providers"?"#,
            r#"rule: no such field; did you mean "rules"?"#,
            "rule[0].use: expected a string, not 9",
            "rules[0].use: expected a string, not 7",
        ];
        for text in [format!("{{{right},{wrong},{models}}}"), format!("{{{wrong},{right},{models}}}")] {
            let mut mistakes = compile(&text, &[]).unwrap_err();
            mistakes.sort();
            assert_eq!(mistakes, expected, "{text}");
        }
    }

    #[test]
    fn a_star_in_a_target_stands_for_known_models() {
        let targets = |target: &str| {
            let text = format!(
                r#"{{"providers":{{"own":{{"dialect":"openai-chat","base_url":"http://x","auth":"none","models":["b","a","c-1"]}},
                    "other":{{"dialect":"openai-chat","base_url":"http://y","auth":"none","models":["a"]}}}},
                    "models":{{"m":{{"targets":["{target}"]}}}}}}"#
            );
            let config = compile(&text, &[]).map_err(|mistakes| mistakes[0].clone())?;
            let targets: Vec<String> =
                config.aliases.get("m").unwrap().targets.iter().map(ToString::to_string).collect();
            Ok::<_, String>(targets.join(" "))
        };
        assert_eq!(targets("own/*").unwrap(), "own/a own/b own/c-1");
        assert_eq!(targets("*/a").unwrap(), "other/a own/a");
        assert_eq!(targets("own/c-*").unwrap(), "own/c-1");
        assert_eq!(targets(r#"own/b","own/*","own/b"#).unwrap(), "own/b own/a own/c-1 own/b");
        assert_eq!(targets("openai/*").unwrap(), "", "it is off");
        let mistakes = [
            ("own/x*", r#"models.m.targets[0]: no known model is like "own/x*""#),
            ("opnai/*", r#"models.m.targets[0]: no provider "opnai"; did you mean "openai"?"#),
        ];
        for (target, expected) in mistakes {
            assert_eq!(targets(target).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_configuration_is_printed_as_it_is_written() {
        let text = concat!(
            r#"{"body_bytes_max":7,"strict":true,"timeouts":{"idle_ms":1},"policy":{"order":"balanced","weights":{"p":2}},"#,
            r#""rules":[{"when":{"model":"x*","needs":["images"]},"use":"a"},{"when":{},"split":{"a":1}}],"media":{"fetch":"listed","hosts":["a"],"ms_max":2},"#,
            r#""providers":{"p":{"dialect":"gemini","dialects":["cohere"],"also":[{"dialect":"anthropic","base_url":"u"}],"#,
            r#""platform":"vertex","query":"q","region":"eu","zero_retention":false,"no_training":true,"variables":{"v":"w"},"keys":[{"secret":"K","weight":2}],"auth":"none","#,
            r#""headers":[{"name":"n","secret":"S","optional":true}],"follows_303":true,"first_byte_ms":4,"models":["m"],"#,
            r#""quirks":{"requests":[{"drop":["a"],"rename":[{"field":"b","to":"c"}],"spell":[{"field":"d","from":"e","to":"f"}]}],"think_tags":true},"#,
            r#""usage":[{"models":["g"],"cached":"beside","reasoning":"inside","cached_at":"a","cache_write_at":"b","reasoning_at":"c","cost":{"at":"d.e","decimals":2,"behind_at":"f"}}]},"#,
            r#""q":{"auth":{"header":"h"}}},"#,
            r#""models":{"a":{"targets":["p/m"],"heartbeat_ms":0,"policy":{"fall_on":["5xx"],"hedge_ms":9}}},"callers":{"c":{"secret":"S","keys":[{"sha256":"0","expires":"1"}],"expires":"2","disabled":true,"models":["m*"],"providers":["p"],"tags":["t"],"origins":["o"],"admin":true,"project":"p","requests_per_minute":3,"unpriced":true}},"#,
            r#""limits":{"l":{"per":"user","providers":["p"],"when":{"tag":"t"},"tokens":9,"every":"hour","sliding":true,"instead":"a","warn_at":[80],"store_down":"admit"},"#,
            r#""m":{"when":{},"usd":"5","unpriced":true}},"#,
            r#""prices":{"p/m":{"input":"1","output":"2","above":[{"input_tokens":5,"input":"3","output":"4"}],"output_tokens":6,"takes":[],"kind":"chat"}},"catalog":{"refresh_url":"https://a.example/p","refresh_hours":6,"refresh_shrinks":true},"receipts":{"days":7},"webhook":{"url":"https://a.example/h","secret":"H","warn_at":[5]}}"#
        );
        assert_eq!(json::to_string(&Draft::from_json(Some(text)).unwrap()), text);
        let text = r#"{"timeouts":{},"policy":{},"media":{},"catalog":{},"receipts":{},"webhook":{}}"#;
        assert_eq!(json::to_string(&Draft::from_json(None).unwrap()), text);
    }

    #[test]
    fn a_provider_is_asked_in_the_callers_own_dialect_where_it_speaks_it() {
        let dialects = |text: &str, secrets: &[(&str, &str)]| {
            let config = compile(text, secrets).unwrap();
            let Reach::Upstream(upstream) = &config.providers.get("openai").unwrap().reach else {
                panic!("not upstream")
            };
            upstream.dialects.clone()
        };
        let key = ("OPENAI_API_KEY", "k");
        let both = dialects("", &[key]);
        assert_eq!(both, [Dialect::OpenaiChat, Dialect::OpenaiResponses]);
        assert_eq!(dialects("", &[key, ("OPENAI_BASE_URL", "http://localhost:1/v1")]), [Dialect::OpenaiChat]);
        let written = r#"{"providers":{"openai":{"base_url":"http://localhost:1/v1","dialect":"openai-responses","dialects":["openai-chat"]}}}"#;
        assert_eq!(dialects(written, &[key]), [Dialect::OpenaiResponses, Dialect::OpenaiChat]);

        let asked = |caller, model| Dialect::towards(&both, caller, model);
        assert_eq!(asked(Inbound::OpenaiChat, "gpt-5.4"), Dialect::OpenaiChat);
        assert_eq!(asked(Inbound::OpenaiResponses, "gpt-4o"), Dialect::OpenaiResponses);
        assert_eq!(asked(Inbound::Anthropic, "gpt-4o"), Dialect::OpenaiChat);
        assert_eq!(asked(Inbound::Anthropic, "gpt-5.4"), Dialect::OpenaiResponses);
        assert_eq!(asked(Inbound::OpenaiCompletions, "davinci-002"), Dialect::OpenaiCompletions);
    }

    #[test]
    fn every_secret_is_asked_for_by_name() {
        let draft =
            Draft::from_json(Some(r#"{"providers":{"my-gpu":{},"p":{"secret":"S"}},"callers":{"c":{"secret":"C"}}}"#));
        let secrets = draft.unwrap().secrets();
        let named = ["AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION", "AWS_SECRET_ACCESS_KEY"];
        let more = ["AWS_SESSION_TOKEN", "C", "GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_BASE_URL", "MY_GPU_API_KEY"];
        for name in named.into_iter().chain(more).chain(["OPENAI_API_KEY", "OPENAI_BASE_URL", "S", "TOLLGATE_KEY"]) {
            assert!(secrets.contains(name), "{name}");
        }
        assert!(!secrets.contains("P_API_KEY"));
    }

    #[test]
    fn the_manifest_of_spin_declares_every_secret_that_a_provider_has() {
        let manifest = include_str!("../spin.toml");
        for name in Draft::default().secrets() {
            // Other addresses are for those who know that they need them.
            let is_rare = name.ends_with("_BASE_URL");
            let variable = name.to_ascii_lowercase();
            let is_declared = manifest.contains(&format!("\n{variable} = {{ default"))
                && manifest.contains(&format!("\n{variable} = \"{{{{ {variable} }}}}\""));
            assert!(is_declared || is_rare, "{variable}");
        }
    }
}
