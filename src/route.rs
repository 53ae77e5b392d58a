//! Which targets answer a model name, in which order, and what an attempt's outcome means for the next.

pub mod class;
pub mod demand;
pub mod dice;
pub mod health;
pub mod need;
pub mod order;
pub mod place;
pub mod plan;
pub mod policy;
pub mod rule;
mod sketch;
pub mod watch;
pub mod wish;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use self::policy::Policy;
use crate::config::{BUILT_IN, Config, Provider, Target};
use crate::error::{Error, Kind};
use crate::nearest::nearest;

/// What stands behind a model's name.
#[derive(Debug)]
pub struct Route<'c> {
    /// As they are listed.
    pub targets: Cow<'c, [Arc<Target>]>,
    pub policy: &'c Arc<Policy>,
}

/// Resolves a caller's model name: an alias, `provider/model`, or the bare name of a known model.
pub fn resolve<'c>(config: &'c Config, model: &str) -> Result<Route<'c>, Error> {
    if let Some(alias) = config.aliases.get(model) {
        if alias.targets.is_empty() {
            return Err(unknown(format!("the model \"{model}\" has no target whose provider has a key")));
        }
        return Ok(Route { targets: Cow::Borrowed(&alias.targets), policy: &alias.policy });
    }
    let named = match model.split_once('/') {
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
            let owner = knows.iter().find_map(|knows| config.providers.values().find(|provider| knows(provider)));
            owner.map(|provider| (provider, model))
        }
    };
    match named {
        Some((provider, model)) if provider.answers(model) => {
            let target = Target::new(provider, model, &config.models);
            Ok(Route { targets: Cow::Owned(vec![Arc::new(target)]), policy: &config.policy })
        }
        _ => {
            let names = listed(config);
            let near = nearest(model, names.iter().map(|(name, _)| name.as_str()));
            let hint = near.map_or_else(
                || "GET /v1/models lists what there is".to_owned(),
                |near| format!("did you mean \"{near}\"?"),
            );
            Err(unknown(format!("there is no model \"{model}\"; {hint}")))
        }
    }
}

/// Every model that can be asked for by a listed name, with its owner: aliases first.
pub fn listed(config: &Config) -> Vec<(String, String)> {
    let aliases = config
        .aliases
        .iter()
        .filter(|(_, alias)| !alias.targets.is_empty())
        .map(|(name, _)| (name.to_owned(), BUILT_IN.to_owned()));
    let own = config.providers.values().flat_map(|provider| {
        let known = config.models.of(&provider.name);
        let known = known.into_iter().filter(|known| provider.models.iter().all(|own| own != known));
        let models = provider.models.iter().map(String::as_str).chain(known);
        models.map(|model| (format!("{}/{model}", provider.name), provider.name.clone())).collect::<Vec<_>>()
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

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider.name, self.model)
    }
}

#[cfg(test)]
mod tests {
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
            let route = resolve(&config, model).unwrap();
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
            let error = resolve(&config(), model).unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (Kind::UnknownModel, expected));
        }
    }
}
