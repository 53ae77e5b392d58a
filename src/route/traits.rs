//! What is known of a target besides its name, for whoever may want no other.

use super::need::Needs;
use crate::config::{Provider, Reach, Target};
use crate::dialect::Dialect;
use crate::platform::Platform;
use crate::price::Picodollars;

/// What is not known excludes a target only where somebody asked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traits<'t> {
    /// The most tokens of a prompt.
    pub window: Option<u64>,
    /// What it is known not to do.
    pub cannot: Needs,
    pub region: Option<&'t str>,
    pub keeps_nothing: Option<bool>,
    pub never_trains: Option<bool>,
    /// Per token of input and of output.
    pub price: Option<(Picodollars, Picodollars)>,
}

impl<'t> Traits<'t> {
    pub fn of(target: &'t Target) -> Self {
        let Target { provider, model, known, .. } = target;
        // What was agreed holds for the gateway's own accounts.
        let agreed = if target.own.is_none() { provider.agreed.of(model) } else { (None, None) };
        let data = provider.data.of(model);
        let rates = known.price.as_ref().map(|priced| &priced.price.tokens.rates);
        Self {
            window: known.context,
            cannot: known.cannot,
            region: region(provider, model),
            keeps_nothing: agreed.0.or(data.0),
            never_trains: agreed.1.or(data.1),
            price: rates.map(|rates| (Picodollars(rates.input), Picodollars(rates.output))),
        }
    }
}

/// How names of models on Bedrock begin that are served anywhere within a part of the world: those in the table of models.
/// A test holds them against it.
const PROFILES: &[&str] = &["us", "us-gov", "eu", "apac", "au", "in", "jp", "global"];

fn region<'t>(provider: &'t Provider, model: &'t str) -> Option<&'t str> {
    let is_bedrock = match &provider.reach {
        Reach::Upstream(upstream) => {
            upstream.platform == Platform::Bedrock || upstream.dialects.contains(&Dialect::BedrockConverse)
        }
        Reach::Echo => false,
    };
    let own = provider.region.as_deref();
    // Every target of every request is asked, and few are on Bedrock.
    if !is_bedrock {
        return own;
    }
    // A profile may be called by its ARN, which says where it is kept and not where it runs.
    let (arn, name) = model.rsplit_once('/').unwrap_or(("", model));
    let profile = name.split_once('.').map(|(start, _)| start).filter(|start| PROFILES.contains(start));
    if arn.contains("inference-profile") { profile } else { profile.or(own) }
}

/// `eu` holds `eu-west-1`, and `europe-west4`, as Google calls it.
pub(super) fn is_within(region: &str, wanted: &str) -> bool {
    let ((place, rest), (wanted, within)) = (parts(region), parts(wanted));
    let rest = rest.strip_prefix(within).filter(|_| place == wanted);
    rest.is_some_and(|rest| within.is_empty() || rest.is_empty() || rest.starts_with('-'))
}

/// The part of the world and what stands behind it.
fn parts(region: &str) -> (&str, &str) {
    match region.split_once('-').unwrap_or((region, "")) {
        ("europe", rest) => ("eu", rest),
        parts => parts,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::auth::own::OwnKeys;
    use crate::catalog::models::Models;
    use crate::config::{Config, Draft};
    use crate::route::need::Need;
    use crate::route::resolve;

    fn target(providers: &str, model: &str) -> Arc<Target> {
        let draft = Draft::from_json(Some(&format!(r#"{{"providers":{providers}}}"#))).unwrap();
        let secret = |name: &str| match name {
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            "GOOGLE_VERTEX_LOCATION" => Some("europe-west4".to_owned()),
            "TOLLGATE_TOKEN_SECRET" => None,
            name => (!name.ends_with("_BASE_URL")).then(|| name.to_ascii_lowercase().replace('_', "-")),
        };
        let config = Config::compile(&draft, secret).unwrap();
        resolve(&config, model, &OwnKeys::default()).unwrap().targets[0].clone()
    }

    #[test]
    fn the_catalogue_knows_what_a_target_takes_and_costs() {
        let sonnet = target("{}", "anthropic/claude-sonnet-4-5");
        let traits = Traits::of(&sonnet);
        assert_eq!(traits.window, Some(200_000));
        assert!(traits.cannot.has(Need::Audio) && !traits.cannot.has(Need::Images));
        assert_eq!(traits.price, Some((Picodollars(3_000_000), Picodollars(15_000_000))));
        assert_eq!(Traits::of(&target("{}", "cohere/nobody-knows-it")), Traits::default());
    }

    #[test]
    fn where_a_target_is_and_what_becomes_of_data_there() {
        let cases = [
            ("{}", "openai/gpt-5", None, Some(false), Some(true)),
            (r#"{"openai":{"zero_retention":true,"region":"eu"}}"#, "openai/gpt-5", Some("eu"), Some(true), Some(true)),
            (r#"{"openai":{"base_url":"https://x.example/v1"}}"#, "openai/gpt-5", None, None, None),
            ("{}", "amazon-bedrock/anthropic.claude-x", Some("eu-west-1"), None, None),
            ("{}", "amazon-bedrock/global.anthropic.claude-x", Some("global"), None, None),
            ("{}", "bedrock-anthropic/us.anthropic.claude-x", Some("us"), None, None),
            (
                "{}",
                "amazon-bedrock/arn:aws:bedrock:eu-west-1:1:inference-profile/global.a.b",
                Some("global"),
                None,
                None,
            ),
            ("{}", "amazon-bedrock/arn:aws:bedrock:eu-west-1:1:application-inference-profile/x", None, None, None),
            (r#"{"amazon-bedrock":{"no_training":true}}"#, "amazon-bedrock/a", Some("eu-west-1"), None, Some(true)),
            ("{}", "google-vertex/gemini-x", Some("europe-west4"), Some(false), Some(true)),
            ("{}", "deepinfra/meta-llama/x", None, Some(true), Some(true)),
            ("{}", "deepinfra/google/gemini-x", None, None, None),
            ("{}", "scaleway/x", Some("eu"), None, None),
            ("{}", "tollgate/echo", None, Some(true), Some(true)),
        ];
        for (providers, model, region, keeps_nothing, never_trains) in cases {
            let target = target(providers, model);
            let traits = Traits::of(&target);
            assert_eq!(traits.region, region, "{model}");
            assert_eq!(
                (traits.keeps_nothing, traits.never_trains),
                (keeps_nothing, never_trains),
                "{providers} {model}"
            );
        }
    }

    #[test]
    fn every_profile_of_bedrock_in_the_table_is_known() {
        let models = Models::built_in();
        let names = models.of("amazon-bedrock");
        // `us.anthropic.claude-…`: a part of the world before the maker.
        let profiles = names.iter().filter(|name| {
            let rest = name.split_once('.').map(|(_, rest)| rest).unwrap_or_default();
            rest.contains('.') && names.contains(&rest)
        });
        let found: BTreeSet<&str> = profiles.filter_map(|name| Some(name.split_once('.')?.0)).collect();
        assert_eq!(found, PROFILES.iter().copied().collect::<BTreeSet<_>>());
    }

    #[test]
    fn a_region_holds_those_within_it() {
        for (region, wanted) in [
            ("eu", "eu"),
            ("eu-west-1", "eu"),
            ("europe-west4", "eu"),
            ("eu-west-1", "europe"),
            ("us-east-1", "us-east-1"),
        ] {
            assert!(is_within(region, wanted), "{region} {wanted}");
        }
        for (region, wanted) in [
            ("eu", "eu-west-1"),
            ("europe-west4", "europe-west1"),
            ("us-east-1", "eu"),
            ("europa", "eu"),
            ("eu-west-10", "eu-west-1"),
            ("global", "eu"),
        ] {
            assert!(!is_within(region, wanted), "{region} {wanted}");
        }
    }
}
