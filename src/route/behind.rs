//! What of a request's lists of providers is for the gateways behind this one, which have providers of their own.
//!
//! A name that one of the request's targets has means that target, and nobody else. Any other is taken for a provider of
//! the gateways that read such lists. So they may be asked where `only` has such a name, come where `order` has the first,
//! and are sent those names; not ours, of which they would find nobody. But whoever is to be ignored is not wanted there
//! either. Which models are asked is never theirs to choose: the rules have not seen that.
//!
//! Sources: "Provider routing", OpenRouter documentation; "Provider options", Vercel AI Gateway documentation; read 2026-11.

use super::place::is_named;
use super::wish::Wishes;
use crate::config::Target;
use crate::wire::json::{Fields, Raw, to_string, words};

words! {
    /// In which words a gateway is told whom it may ask.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Lists = "in which words a gateway is told whom it may ask" {
        /// `provider`, of OpenRouter and of this gateway.
        Openrouter as "openrouter",
        /// `providerOptions.gateway`, where nobody is ignored.
        Vercel as "vercel",
    }
}

impl Lists {
    /// The object in which they stand.
    fn path(self) -> &'static [&'static str] {
        match self {
            Self::Openrouter => &["provider"],
            Self::Vercel => &["providerOptions", "gateway"],
        }
    }

    fn has(self, list: &str) -> bool {
        self == Self::Openrouter || list != "ignore"
    }
}

#[derive(Debug, Default)]
pub struct Behind {
    order: Vec<String>,
    only: Vec<String>,
    ignore: Vec<String>,
    /// Of those, who is behind a gateway if anywhere.
    unwanted: Vec<String>,
    /// What in `order` and `ignore` is no provider that this gateway has or could have: a mistake, unless a gateway has it.
    strange: Vec<(&'static str, String)>,
}

impl Behind {
    /// `targets` are all of the request; `is_known` whether there is or could be a provider of that name here.
    pub fn of<'t>(
        wishes: &Wishes,
        targets: impl Iterator<Item = &'t Target> + Clone,
        is_known: impl Fn(&str) -> bool,
    ) -> Self {
        let is_ours = |name: &str| targets.clone().any(|target| is_named(target, name));
        let theirs = |names: &[String]| names.iter().filter(|name| !is_ours(name)).cloned().collect::<Vec<_>>();
        let lists = [("order", &wishes.order), ("ignore", &wishes.ignore)];
        let strange = lists.into_iter().flat_map(|(list, names)| {
            let strange = theirs(names).into_iter().filter(|name| !is_known(provider_of(name)));
            strange.map(move |name| (list, name)).collect::<Vec<_>>()
        });
        Self {
            strange: strange.collect(),
            order: theirs(&wishes.order),
            only: theirs(&wishes.only),
            unwanted: theirs(&wishes.ignore),
            ignore: wishes.ignore.clone(),
        }
    }

    /// Whether `name`, in `order` or `only`, means `target`.
    pub fn names(&self, target: &Target, name: &str) -> bool {
        let is_theirs = || self.order.iter().chain(&self.only).any(|theirs| theirs == name);
        is_named(target, name) || (target.provider.lists.is_some() && is_theirs())
    }

    /// The body for a gateway that reads `lists`, with what is for it.
    pub fn told(&self, body: Vec<u8>, lists: Lists) -> Vec<u8> {
        let all = [("order", &self.order), ("only", &self.only), ("ignore", &self.ignore)];
        let own = all.into_iter().filter(|(list, names)| lists.has(list) && !names.is_empty());
        let values: Vec<(&str, String)> = own.map(|(list, names)| (list, to_string(names))).collect();
        if values.is_empty() {
            return body;
        }
        let values: Vec<(&str, &str)> = values.iter().map(|(list, names)| (*list, names.as_str())).collect();
        let told = Fields::read(&body).ok().and_then(|fields| put(&fields, lists.path(), &values));
        told.unwrap_or(body)
    }

    /// What stands in the lists, and `target` is not told: of a gateway whoever it may ask all the same, and of all others
    /// what may be a mistake.
    pub fn untold(&self, target: &Target) -> impl Iterator<Item = String> {
        let (lists, is_gateway) = (target.provider.lists, target.provider.is_gateway);
        let is_untold = move |list: &str| lists.is_none_or(|lists| !lists.has(list));
        let unwanted = self.unwanted.iter().filter(move |_| is_gateway && is_untold("ignore"));
        let strange =
            self.strange.iter().filter(move |(list, _)| is_untold(list) && !(is_gateway && *list == "ignore"));
        let unwanted = unwanted.map(|name| format!("ignore: {name}"));
        strange.map(|(list, name)| format!("{list}: {name}")).chain(unwanted)
    }
}

/// OpenRouter's callers name a region or a tier of a provider behind a slash.
fn provider_of(name: &str) -> &str {
    name.split('/').next().unwrap_or_default()
}

/// The object's text with `values` in the object at `path` in it, which may not be there.
fn put(object: &Fields<'_>, path: &[&str], values: &[(&str, &str)]) -> Option<Vec<u8>> {
    let Some((first, rest)) = path.split_first() else { return Some(object.with(values)) };
    let inner = object.raw(first).map_or("{}", Raw::get);
    let inner = put(&Fields::read(inner.as_bytes()).ok()?, rest, values)?;
    Some(object.with(&[(first, std::str::from_utf8(&inner).ok()?)]))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Provider;
    use crate::route::health::Key;

    fn target(provider: &str, lists: Option<Lists>) -> Target {
        let is_gateway = lists.is_some() || provider == "helicone";
        let provider = Provider { lists, is_gateway, ..Provider::built_in(provider, Vec::new()) };
        let key = Key::of(&provider.name, "m", 0);
        Target {
            provider: Arc::new(provider),
            model: "m".to_owned(),
            account: 0,
            own: None,
            known: Arc::default(),
            key,
        }
    }

    fn names(names: &str) -> Vec<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    fn behind([order, only, ignore]: [&str; 3]) -> Behind {
        let wishes = Wishes { order: names(order), only: names(only), ignore: names(ignore), ..Wishes::default() };
        let targets = [target("openrouter", Some(Lists::Openrouter)), target("anthropic", None)];
        Behind::of(&wishes, targets.iter(), |name| ["groq", "deepinfra"].contains(&name))
    }

    #[test]
    fn a_gateway_is_told_the_names_that_are_not_ours_in_its_own_words() {
        let told = |lists: [&str; 3], own: Lists, body: &str| {
            String::from_utf8(behind(lists).told(body.as_bytes().to_vec(), own)).unwrap()
        };
        let both = ["anthropic together", "openrouter deepinfra/turbo", "anthropic"];
        assert_eq!(
            told(both, Lists::Openrouter, r#"{"model":"x","provider":{"zdr":true}}"#),
            r#"{"model":"x","provider":{"zdr":true,"order":["together"],"only":["deepinfra/turbo"],"ignore":["anthropic"]}}"#
        );
        assert_eq!(
            told(both, Lists::Vercel, r#"{"model":"x"}"#),
            r#"{"model":"x","providerOptions":{"gateway":{"order":["together"],"only":["deepinfra/turbo"]}}}"#
        );
        let beside = r#"{"providerOptions":{"gateway":{"tags":["t"]},"openai":{"a":1}}}"#;
        assert_eq!(
            told(["together", "", ""], Lists::Vercel, beside),
            r#"{"providerOptions":{"gateway":{"tags":["t"],"order":["together"]},"openai":{"a":1}}}"#
        );
        assert_eq!(told(["Anthropic", "openrouter anthropic/", ""], Lists::Openrouter, "{ }"), "{ }", "all are ours");
    }

    #[test]
    fn a_name_that_nobody_has_is_told_of_whoever_cannot_be_told_it() {
        let behind = behind(["anthropc groq deepinfra/turbo", "nobody", "opnai anthropic"]);
        let untold = |lists| behind.untold(&target("any", lists)).collect::<Vec<_>>();
        assert_eq!(untold(None), ["order: anthropc", "ignore: opnai"]);
        assert_eq!(untold(Some(Lists::Openrouter)), Vec::<String>::new());
        assert_eq!(untold(Some(Lists::Vercel)), ["ignore: opnai"]);
    }

    #[test]
    fn a_gateway_that_cannot_be_told_whom_to_ignore_is_said_to_ask_them() {
        let behind = behind(["", "", "groq nobody anthropic"]);
        let untold = |name, lists| behind.untold(&target(name, lists)).collect::<Vec<_>>();
        assert_eq!(untold("vercel", Some(Lists::Vercel)), ["ignore: groq", "ignore: nobody"]);
        assert_eq!(untold("helicone", None), ["ignore: groq", "ignore: nobody"]);
        assert_eq!(untold("openrouter", Some(Lists::Openrouter)), Vec::<String>::new());
        assert_eq!(untold("mistral", None), ["ignore: nobody"], "it is no gateway");
    }
}
