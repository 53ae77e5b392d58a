//! `tollgate check`: what a configuration turns on, and what is allowed in it but hardly meant.

mod vain;

use std::collections::BTreeSet;
use std::sync::Arc;

use tollgate::config::{Caller, Config, Draft, Mistake, Reach, Reading, TOKEN_SECRET, Trust};
use tollgate::host::Millis;
use tollgate::limit::calendar::instant;
use tollgate::limit::rule::{Every, Limit, Unit};
use tollgate::mistake::under;

/// What is said of a configuration without mistakes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) on: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

type Secrets<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// `anywhere` has every secret, so that only the configuration itself can be mistaken; `here` has those of this
/// environment, of which the report is.
pub(crate) fn check(
    reading: &Reading,
    anywhere: &Secrets<'_>,
    here: &Secrets<'_>,
    now: Millis,
) -> Result<Report, Vec<Mistake>> {
    let complete = Config::of(reading, None, anywhere)?;
    let draft = &reading.draft;
    let config = match Config::compile(draft, lent(draft, anywhere, here)) {
        Ok(config) => config,
        // Only the environment can be wrong still: an address in it, or a first caller's key that is another's.
        Err(mistakes) => {
            let warnings = mistakes.into_iter().map(|Mistake(mistake)| format!("in this environment: {mistake}"));
            let mut report = Report { on: Vec::new(), warnings: warnings.collect() };
            vain::vain(draft, &complete, &mut report.warnings);
            return Ok(report);
        }
    };
    let mut report = Report { on: on(draft, &config), warnings: Vec::new() };
    keys(draft, here, now, &mut report.warnings);
    apps(&config, here, &mut report.warnings);
    absent(draft, &complete, &config, &mut report.warnings);
    unpriced(&config, &mut report.warnings);
    vain::vain(draft, &complete, &mut report.warnings);
    Ok(report)
}

/// The secrets that are `here`, and those of callers and of tokens in place of their keys from `anywhere` where they are not: a caller without a key is no caller,
/// and would be a mistake where nobody is served; a provider without one is only off.
pub(crate) fn lent<'a>(
    draft: &'a Draft,
    anywhere: &'a Secrets<'_>,
    here: &'a Secrets<'_>,
) -> impl Fn(&str) -> Option<String> {
    let mut callers: BTreeSet<&str> = draft.callers.iter().flat_map(|(name, caller)| caller.secrets(name)).collect();
    callers.extend(draft.tokens.iter().flat_map(|(_, token)| token.secrets()));
    callers.extend(Some(TOKEN_SECRET).filter(|_| !draft.apps.is_empty()));
    move |name| if callers.contains(name) && is_missing(name, here) { anywhere(name) } else { here(name) }
}

/// A secret of spaces only is none.
fn is_missing(name: &str, here: &Secrets<'_>) -> bool {
    here(name).is_none_or(|value| value.trim().is_empty())
}

fn on(draft: &Draft, config: &Config) -> Vec<String> {
    let providers: Vec<String> =
        config.providers.values().filter_map(|provider| address(&provider.name, &provider.reach)).collect();
    let mut lines = vec![format!("providers: {}", listed(&providers, "none is on here"))];
    for (name, alias) in draft.models.iter() {
        lines.push(format!("model {name}: {}", alias.targets.join(", ")));
    }
    let callers: Vec<String> = config.callers.iter().map(|caller| limits(caller)).collect();
    lines.push(format!("callers: {}", listed(&callers, "this machine only, without a key")));
    for issuer in &config.issuers {
        let keys = match &issuer.trust {
            Trust::Keys(keys) if keys.len() == 1 => "1 key".to_owned(),
            Trust::Keys(keys) => format!("{} keys", keys.len()),
            Trust::Fetched(source) => source.url.clone(),
        };
        lines.push(format!(
            "tokens of {}: for {}, {} s at most, by {keys}",
            issuer.iss,
            issuer.caller,
            issuer.max_ms / 1000
        ));
    }
    for app in config.apps.values() {
        let parts = [("Apple", app.apple.is_some()), ("Google", app.google.is_some())];
        let by: Vec<&str> = parts.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
        lines.push(format!("app {}: for {}, by the word of {}", app.name, app.caller, by.join(" and ")));
    }
    for limit in &config.limits {
        lines.push(format!("limit {}: {} for {}", limit.name, bound(limit), limit.per.word()));
    }
    if !draft.rules.is_empty() {
        lines.push(format!("rules: {}", draft.rules.len()));
    }
    lines
}

fn address(name: &str, reach: &Reach) -> Option<String> {
    match reach {
        Reach::Upstream(upstream) => Some(format!("{name} ({})", upstream.base_url)),
        Reach::Echo => None,
    }
}

fn limits(caller: &Caller) -> String {
    let limits: Vec<String> = caller.limits.iter().map(|limit| bound(limit)).collect();
    if limits.is_empty() { caller.name.clone() } else { format!("{} ({})", caller.name, limits.join(", ")) }
}

fn bound(limit: &Limit) -> String {
    let most = limit.amount(limit.most);
    match limit.span.every() {
        None => format!("{most} under way"),
        Some(Every::Total) => format!("{most} in all"),
        Some(every) => format!("{most} a {}", every.word()),
    }
}

fn listed(names: &[String], none: &str) -> String {
    if names.is_empty() { none.to_owned() } else { names.join(", ") }
}

/// Apps whose devices get no tokens here.
fn apps(config: &Config, here: &Secrets<'_>, warnings: &mut Vec<String>) {
    for app in config.apps.values() {
        let at = under("apps", &app.name);
        if is_missing(TOKEN_SECRET, here) {
            warnings.push(format!("{at}: {TOKEN_SECRET} is not set here"));
        }
        if let Some(Err(why)) = app.google.as_ref().map(|google| &google.account) {
            warnings.push(format!("{at}.google.secret: {why}"));
        }
    }
}

/// Keys that are not there, and those that are over.
fn keys(draft: &Draft, here: &Secrets<'_>, now: Millis, warnings: &mut Vec<String>) {
    for (name, token) in draft.tokens.iter() {
        let at = under("tokens", name);
        for secret in token.secrets().filter(|secret| is_missing(secret, here)) {
            warnings.push(format!("{at}: {secret} is not set here"));
        }
    }
    for (name, caller) in draft.callers.iter() {
        let at = under("callers", name);
        let more = caller.keys.iter().enumerate();
        let more = more.map(|(index, key)| (format!("{at}.keys[{index}]"), key.secret.as_deref(), &key.expires));
        for (at, secret, expires) in [(at.clone(), caller.secret(name), &caller.expires)].into_iter().chain(more) {
            if let Some(secret) = secret.filter(|secret| is_missing(secret, here)) {
                warnings.push(format!("{at}.secret: {secret} is not set here"));
            }
            let expired = expires.as_deref().filter(|text| instant(text).is_some_and(|expires| expires <= now));
            if let Some(expires) = expired {
                warnings.push(format!("{at}.expires: {expires} is past, so requests are refused"));
            }
        }
        for (index, key) in caller.provider_keys.iter().enumerate().filter(|(_, key)| is_missing(&key.secret, here)) {
            warnings.push(format!("{at}.provider_keys[{index}].secret: {} is not set here", key.secret));
        }
    }
}

/// Targets that are passed over here, since their provider is off.
fn absent(draft: &Draft, complete: &Config, config: &Config, warnings: &mut Vec<String>) {
    for (name, alias) in draft.models.iter() {
        let at = under("models", name);
        let mut is_any_on = false;
        for (index, target) in alias.targets.iter().enumerate() {
            let provider = target.split_once('/').map(|(provider, _)| provider).unwrap_or_default();
            match config.off.get(provider) {
                Some(missing) => warnings.push(format!(
                    "{at}.targets[{index}]: \"{target}\" is passed over here; set {missing} to turn \
                     {provider} on"
                )),
                None => is_any_on = true,
            }
            if alias.targets.iter().take(index).any(|earlier| earlier == target) {
                warnings.push(format!("{at}.targets[{index}]: \"{target}\" stands there twice"));
            }
        }
        if !is_any_on && complete.aliases.get(name).is_some_and(|alias| !alias.targets.is_empty()) {
            warnings.push(format!("{at}: no target can be asked here"));
        }
    }
}

/// Models that callers with a cap are refused, since nobody knows what they cost.
fn unpriced(config: &Config, warnings: &mut Vec<String>) {
    let is_budget = |limit: &Arc<Limit>| limit.unit == Unit::Cost && !limit.unpriced;
    let callers = config.callers.iter().filter(|caller| caller.limits.iter().any(is_budget));
    let callers = callers.map(|caller| under("callers", &caller.name));
    let limits = config.limits.iter().filter(|limit| is_budget(limit)).map(|limit| under("limits", &limit.name));
    let held: Vec<String> = callers.chain(limits).collect();
    if held.is_empty() {
        return;
    }
    for (name, alias) in config.aliases.iter() {
        let mut unknown: Vec<String> = alias
            .targets
            .iter()
            .filter(|target| target.known.price.is_none())
            .map(|target| format!("{}/{}", target.provider.name, target.model))
            .collect();
        // A provider with several keys has a target for each.
        unknown.dedup();
        for whole in unknown {
            warnings.push(format!(
                "{}: no price is known for {whole}, so requests that a budget counts are refused there ({}); write \
                 [prices.\"{whole}\"], or unpriced = true with the budget",
                under("models", name),
                held.join(", ")
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21, noon.
    const NOW: Millis = 1_795_262_400_000;

    fn report(json: &str, secrets: &[&str]) -> Report {
        let anywhere = |name: &str| super::super::elsewhere(name);
        let here = |name: &str| secrets.contains(&name).then(|| format!("{name}-here"));
        check(&Reading::of(Some(json)), &anywhere, &here, NOW).unwrap()
    }

    #[test]
    fn what_is_on_is_told_in_a_few_lines() {
        let json = r#"{"models":{"smart":{"targets":["openai/gpt-5","groq/llama-4"]}},
            "callers":{"ci":{"secret":"CI_KEY","requests_per_minute":6,"spend_cap_usd":"5"}}}"#;
        let report = report(json, &["OPENAI_API_KEY", "CI_KEY"]);
        let expected = [
            "providers: openai (https://api.openai.com/v1)",
            "model smart: openai/gpt-5, groq/llama-4",
            "callers: ci (6 requests a minute, $5.000000 a month)",
        ];
        assert_eq!(report.on, expected);
        let warnings =
            [r#"models.smart.targets[1]: "groq/llama-4" is passed over here; set GROQ_API_KEY to turn groq on"#];
        assert_eq!(report.warnings, warnings);
    }

    #[test]
    fn whose_tokens_are_believed_is_told_and_which_secrets_are_not_here() {
        let json = r#"{"callers":{"app":{}},"tokens":{
            "backend":{"caller":"app","secret":"APP_TOKEN_SECRET","keys":[{"id":"next","secret":"NEXT_TOKEN_SECRET"}]},
            "id":{"caller":"app","issuer":"https://id.example.com","audience":["app"]}}}"#;
        let report = report(json, &[]);
        let expected = [
            "callers: app",
            "tokens of backend: for app, 900 s at most, by 2 keys",
            "tokens of https://id.example.com: for app, 3600 s at most, by https://id.example.com/.well-known/jwks.json",
        ];
        assert!(report.on.ends_with(&expected.map(str::to_owned)), "{:?}", report.on);
        let absent =
            ["APP_TOKEN_SECRET", "NEXT_TOKEN_SECRET"].map(|name| format!("tokens.backend: {name} is not set here"));
        assert_eq!(report.warnings, absent);
    }

    #[test]
    fn what_is_hardly_meant_is_warned_of() {
        let cases: [(&str, &[&str], &[&str]); 5] = [
            ("{}", &[], &[]),
            (
                r#"{"models":{"a":{"targets":["openai/gpt-5","openai/gpt-5"]}}}"#,
                &["OPENAI_API_KEY"],
                &[r#"models.a.targets[1]: "openai/gpt-5" stands there twice"#],
            ),
            (
                r#"{"callers":{"ci":{"secret":"CI_KEY","expires":"2026-11-21","keys":[{"secret":"OLD","expires":"2026-11-22"},{"secret":"OLDER","expires":"2026-11-21T12:00:00Z"}]}}}"#,
                &["CI_KEY", "OLD"],
                &[
                    "callers.ci.expires: 2026-11-21 is past, so requests are refused",
                    "callers.ci.keys[1].secret: OLDER is not set here",
                    "callers.ci.keys[1].expires: 2026-11-21T12:00:00Z is past, so requests are refused",
                ],
            ),
            (
                r#"{"models":{"a":{"targets":["openai/gpt-5"]}},"callers":{"ci":{"secret":"CI_KEY"}}}"#,
                &[],
                &[
                    "callers.ci.secret: CI_KEY is not set here",
                    r#"models.a.targets[0]: "openai/gpt-5" is passed over here; set OPENAI_API_KEY to turn openai on"#,
                    "models.a: no target can be asked here",
                ],
            ),
            (
                r#"{"models":{"a":{"targets":["openai/mine"]}},"callers":{"ci":{"secret":"CI_KEY","spend_cap_usd":"5"}}}"#,
                &["OPENAI_API_KEY", "CI_KEY"],
                &[concat!(
                    "models.a: no price is known for openai/mine, so requests that a budget counts are refused there ",
                    r#"(callers.ci); write [prices."openai/mine"], or unpriced = true with the budget"#
                )],
            ),
        ];
        for (json, secrets, expected) in cases {
            assert_eq!(report(json, secrets).warnings, expected, "{json}");
        }
    }

    #[test]
    fn a_first_caller_whose_key_is_not_here_is_one_still() {
        let told = report(r#"{"callers":{"default":{}}}"#, &[]);
        assert_eq!(told.warnings, ["callers.default.secret: TOLLGATE_KEY is not set here"]);
        assert!(told.on.contains(&"callers: default".to_owned()), "{told:?}");
    }

    #[test]
    fn an_app_is_told_with_what_its_devices_lack_here() {
        let app = r#"{"callers":{"phones":{}},"apps":{"mine":{"caller":"phones",
            "apple":{"team_id":"A1B2C3D4E5","bundle_id":"c.a"},
            "google":{"package":"c.a","certificates":["0000000000000000000000000000000000000000000000000000000000000000"],"secret":"ACCOUNT"}}}}"#;
        let report = report(app, &[]);
        assert!(report.on.contains(&"app mine: for phones, by the word of Apple and Google".to_owned()), "{report:?}");
        let told = |start: &str| report.warnings.iter().any(|warning| warning.starts_with(start));
        assert!(told("apps.mine: TOLLGATE_TOKEN_SECRET is not set here"), "{report:?}");
        assert!(told("apps.mine.google.secret: the secret ACCOUNT is no service account's"), "{report:?}");
    }

    #[test]
    fn mistakes_do_not_depend_on_the_environment() {
        let reading = Reading::of(Some(r#"{"models":{"a":{"targets":["opnai/gpt-5"]}}}"#));
        let mistakes = check(&reading, &|name| super::super::elsewhere(name), &|_| None, NOW).unwrap_err();
        assert_eq!(
            mistakes,
            [Mistake(r#"models.a.targets[0]: no provider "opnai"; did you mean "openai"?"#.to_owned())]
        );
    }
}
