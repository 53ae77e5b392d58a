//! Which targets answer a model name, in which order, and what an attempt's outcome means for the next.

pub mod behind;
pub mod class;
pub mod demand;
pub mod dice;
pub mod health;
pub mod lay;
pub mod need;
pub mod order;
pub mod place;
pub mod plan;
pub mod policy;
pub mod rule;
pub mod size;
mod sketch;
pub mod traits;
pub mod watch;
pub mod wish;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use self::policy::Policy;
use crate::auth::own::OwnKeys;
use crate::catalog;
use crate::config::{BUILT_IN, Caller, Config, Provider, Target};
use crate::dialect::Model;
use crate::error::{Error, Kind};
use crate::nearest::nearest;

/// Of what callers name, and of what else of theirs stands in the log.
pub const NAME_BYTES_MAX: usize = 200;

/// Whether a caller may name anything so: a model, a provider, a tag, an end user.
pub fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

/// Refuses what can be the name of no model.
pub fn check_name(model: &str) -> Result<(), Error> {
    if is_name(model) {
        return Ok(());
    }
    Err(Error::field("model", format!("a name has at most {NAME_BYTES_MAX} bytes, none of control")))
}

/// What stands behind a model's name.
#[derive(Debug)]
pub struct Route<'c> {
    /// As they are listed.
    pub targets: Cow<'c, [Arc<Target>]>,
    pub policy: &'c Arc<Policy>,
}

/// Resolves a caller's model name: an alias, `provider/model`, or the bare name of a known model. With keys of the caller's
/// `own` there are more targets, and providers that have no other.
pub fn resolve<'c>(config: &'c Config, model: &str, own: &OwnKeys) -> Result<Route<'c>, Error> {
    if let Some(alias) = config.aliases.get(model) {
        let targets = match (own.is_empty(), alias.with_unkeyed.as_slice()) {
            (true, _) => Cow::Borrowed(alias.targets.as_slice()),
            (false, []) => Cow::Owned(own.with(&alias.targets)),
            (false, all) => Cow::Owned(own.with(all)),
        };
        if targets.is_empty() {
            return Err(unknown(format!("the model \"{model}\" has no target whose provider has a key")));
        }
        return Ok(Route { targets, policy: &alias.policy });
    }
    let unkeyed = || config.unkeyed.values().filter(|provider| own.has(&provider.name));
    let named = match model.split_once('/') {
        Some((provider, rest)) if own.has(provider) => {
            let found = config.providers.get(provider).or_else(|| config.unkeyed.get(provider));
            found.map(|provider| (provider, rest))
        }
        Some((provider, rest)) => {
            if let Some(secret) = config.off.get(provider) {
                return Err(unknown(format!(
                    "the model \"{model}\" needs the provider \"{provider}\"; set {secret} to turn it on"
                )));
            }
            config.providers.get(provider).map(|provider| (provider, rest))
        }
        None => {
            // Whoever makes a model before those who serve it too.
            let knows: [&dyn Fn(&Provider) -> bool; 3] = [
                &|provider| provider.models.iter().any(|listed| listed == model),
                &|provider| provider.prefixes.iter().any(|prefix| model.starts_with(prefix.as_str())),
                &|provider| config.models.knows(&format!("{}/{model}", provider.name)),
            ];
            let all = || config.providers.values().chain(unkeyed());
            let owner = knows.iter().find_map(|knows| all().find(|provider| knows(provider)));
            owner.map(|provider| (provider, model))
        }
    };
    match named {
        Some((provider, model)) if provider.answers(model) => {
            let targets: Vec<_> = Target::all(provider, model, &config.models).collect();
            let targets = if own.is_empty() { targets } else { own.with(&targets) };
            Ok(Route { targets: Cow::Owned(targets), policy: &config.policy })
        }
        _ => {
            let names = names(config);
            let near = nearest(model, names.iter().map(String::as_str));
            let hint = near.map_or_else(
                || "GET /v1/models lists what there is".to_owned(),
                |near| format!("did you mean \"{near}\"?"),
            );
            Err(unknown(format!("there is no model \"{model}\"; {hint}")))
        }
    }
}

/// Every model that a caller can ask for by a listed name, with the keys that its request brings: aliases first.
pub fn listed(config: &Config, caller: &Caller, own: &OwnKeys) -> Vec<Model> {
    let may_ask = |name: &str| lay::allowed(config, caller, own, name).is_ok();
    let aliases = config.aliases.iter().filter_map(|(name, _)| {
        let targets = askable(caller, own, &resolve(config, name, own).ok()?.targets);
        (!targets.is_empty() && may_ask(name)).then(|| described(name, BUILT_IN, &targets))
    });
    let is_asked = |provider: &&Arc<Provider>| own.has(&provider.name) || !own.only;
    let unkeyed = config.unkeyed.values().filter(|provider| own.has(&provider.name));
    let all = config.providers.values().filter(is_asked).chain(unkeyed).flat_map(|provider| {
        let named = |model: &str| format!("{}/{model}", provider.name);
        let known = config.models.list(&provider.name);
        let is_known = |model: &String| known.iter().any(|(name, _)| name == model);
        let more: Vec<String> = provider.models.iter().filter(|model| !is_known(model)).cloned().collect();
        let known = known.into_iter().map(|(model, known)| (named(model), known));
        let more = more.into_iter().map(|model| (named(&model), config.models.get(&named(&model))));
        let models = more.chain(known).map(|(id, known)| Model { id, owner: provider.name.clone(), known });
        models.collect::<Vec<_>>()
    });
    let is_own = |model: &Model| {
        let name = model.id.split_once('/').map_or(model.id.as_str(), |(_, name)| name);
        is_allowed(caller, &model.owner, name) && may_ask(&model.id)
    };
    aliases.chain(all.filter(is_own)).collect()
}

/// The model that a caller's name stands for, as a row of the list.
pub fn shown(config: &Config, caller: &Caller, own: &OwnKeys, model: &str) -> Result<Model, Error> {
    lay::allowed(config, caller, own, model)?;
    let all = resolve(config, model, own)?.targets;
    let targets = askable(caller, own, &all);
    if targets.is_empty() {
        return Err(Error::new(
            Kind::Forbidden,
            format!("no provider of the model \"{model}\" may be asked by this key"),
        ));
    }
    let owner = targets.first().filter(|_| !config.aliases.contains(model));
    Ok(described(model, owner.map_or(BUILT_IN, |target| &target.provider.name), &targets))
}

/// Those that may be asked for a caller.
fn askable(caller: &Caller, own: &OwnKeys, targets: &[Arc<Target>]) -> Vec<Arc<Target>> {
    let is_allowed = |target: &&Arc<Target>| is_allowed(caller, &target.provider.name, &target.model);
    let targets = targets.iter().filter(is_allowed).filter(|target| target.own.is_some() || !own.only);
    targets.cloned().collect()
}

/// Whether the model of a provider may be asked for a caller.
fn is_allowed(caller: &Caller, provider: &str, model: &str) -> bool {
    caller.providers.is_empty() || caller.providers.iter().any(|name| place::means(name, provider, model))
}

/// What is true of whichever of `targets` answers.
fn described(id: &str, owner: &str, targets: &[Arc<Target>]) -> Model {
    let mut known = targets.iter().map(|target| &*target.known);
    let first = known.next().cloned().unwrap_or_default();
    Model { id: id.to_owned(), owner: owner.to_owned(), known: known.fold(first, catalog::models::Model::and) }
}

/// The names of all that is listed, some of them twice.
fn names(config: &Config) -> Vec<String> {
    let aliases = config.aliases.iter().filter(|(_, alias)| !alias.targets.is_empty()).map(|(name, _)| name.to_owned());
    let own = config.providers.values().flat_map(|provider| {
        let models = provider.models.iter().map(String::as_str).chain(config.models.of(&provider.name));
        models.map(|model| format!("{}/{model}", provider.name)).collect::<Vec<_>>()
    });
    aliases.chain(own).collect()
}

fn unknown(message: String) -> Error {
    Error { param: Some("model".to_owned()), ..Error::new(Kind::UnknownModel, message) }
}

/// How one attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status, and before the caller got any of it.
    Status(u16),
    Unreachable,
    /// No first byte in time.
    TimedOut,
    /// An error event, a cut or nonsense before the first content of a 200.
    Failed,
    /// Another that was asked beside it was sooner.
    Outrun,
    /// It broke off in the middle of its answer, and another went on.
    Cut,
    /// The caller hung up meanwhile.
    HungUp,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            Self::Unreachable => f.write_str("unreachable"),
            Self::TimedOut => f.write_str("timeout"),
            Self::Failed => f.write_str("error"),
            Self::Outrun => f.write_str("outrun"),
            Self::Cut => f.write_str("cut"),
            Self::HungUp => f.write_str("hangup"),
        }
    }
}

impl Target {
    /// With the number of its account, where the provider has several; or with that of the caller's own key.
    pub fn in_full(&self) -> String {
        match self.provider.accounts() {
            _ if self.own.is_some() && self.account > 0 => format!("{self}#own-{}", self.account + 1),
            _ if self.own.is_some() => format!("{self}#own"),
            [_, _, ..] => format!("{self}#{}", self.account + 1),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider.name, self.model)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::need::Need;
    use super::*;
    use crate::config::Draft;

    fn config() -> Config {
        let draft = Draft::from_json(Some(
            r#"{"providers":{"local":{"dialect":"openai-chat","base_url":"http://localhost/v1","auth":"none","models":["llama"]}},
                "models":{"smart":{"targets":["local/llama","openai/gpt-5"]},"dark":{"targets":["anthropic/x"]}}}"#,
        ));
        let keys = |name: &str| (name == "OPENAI_API_KEY").then(|| "k".to_owned());
        Config::compile(&draft.unwrap(), keys).unwrap()
    }

    #[test]
    fn names_resolve_to_targets_in_order() {
        let cases: &[(&str, &[&str])] = &[
            ("smart", &["local/llama", "openai/gpt-5"]),
            ("local/anything/at-all", &["local/anything/at-all"]),
            ("llama", &["local/llama"]),
            ("gpt-5-nano", &["openai/gpt-5-nano"]),
            ("gpt-99", &["openai/gpt-99"]),
            ("tollgate/echo", &["tollgate/echo"]),
        ];
        for (model, expected) in cases {
            let config = config();
            let route = resolve(&config, model, &OwnKeys::default()).unwrap();
            assert_eq!(route.targets.iter().map(ToString::to_string).collect::<Vec<_>>(), *expected, "{model}");
        }
    }

    #[test]
    fn an_unknown_model_is_told_what_is_near() {
        let cases = [
            ("smrat", "there is no model \"smrat\"; did you mean \"smart\"?"),
            ("tollgate/ehco", "there is no model \"tollgate/ehco\"; did you mean \"tollgate/echo\"?"),
            ("zzzzzzzz", "there is no model \"zzzzzzzz\"; GET /v1/models lists what there is"),
            (
                "anthropic/x",
                "the model \"anthropic/x\" needs the provider \"anthropic\"; set ANTHROPIC_API_KEY to turn it on",
            ),
            ("dark", "the model \"dark\" has no target whose provider has a key"),
        ];
        for (model, expected) in cases {
            let error = resolve(&config(), model, &OwnKeys::default()).unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (Kind::UnknownModel, expected));
        }
    }

    #[test]
    fn models_are_listed_with_what_is_true_whichever_target_answers() {
        let draft = r#"{"models":{"both":{"targets":["openai/gpt-5","local/llama"]},"one":{"targets":["openai/gpt-5"]}},
            "providers":{"local":{"dialect":"openai-chat","base_url":"http://localhost/v1","auth":"none","models":["llama"]}},
            "prices":{"local/llama":{"context_tokens":9,"takes":["tools"]}}}"#;
        let keys = |name: &str| (name == "OPENAI_API_KEY").then(|| "k".to_owned());
        let config = Config::compile(&Draft::from_json(Some(draft)).unwrap(), keys).unwrap();
        let list = listed(&config, &Caller::local(), &OwnKeys::default());
        let named: BTreeSet<String> = names(&config).into_iter().collect();
        assert_eq!(list.iter().map(|model| model.id.clone()).collect::<BTreeSet<_>>(), named);
        assert_eq!(list.len(), named.len(), "none stands twice");
        let row = |id: &str| list.iter().find(|model| model.id == id).unwrap();
        assert_eq!((row("one").owner.as_str(), &row("one").known), (BUILT_IN, &row("openai/gpt-5").known));
        let both = &row("both").known;
        assert!(both.price.is_none() && both.most.is_none() && both.context == Some(9));
        assert!(both.can.has(Need::Tools) && !both.can.has(Need::Images) && both.cannot.has(Need::Audio));
        for model in ["one", "both", "openai/gpt-5", "local/llama", "tollgate/echo"] {
            assert_eq!(
                shown(&config, &Caller::local(), &OwnKeys::default(), model).as_ref(),
                Ok(row(model)),
                "{model}"
            );
        }
        let bare = shown(&config, &Caller::local(), &OwnKeys::default(), "gpt-5").unwrap();
        assert_eq!((bare.id.as_str(), bare.owner.as_str(), &bare.known), ("gpt-5", "openai", &row("one").known));
        assert_eq!(
            shown(&config, &Caller::local(), &OwnKeys::default(), "nothing").unwrap_err().kind,
            Kind::UnknownModel
        );
    }
}
