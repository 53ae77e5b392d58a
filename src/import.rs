//! `tollgate import`: the files of other gateways as a configuration of this one. What means the same is carried; what
//! does not is listed, by its path in the file and with the reason. No key is ever written, only the names of secrets.
//!
//! Sources: "Config settings", "Router" and "Reliability", LiteLLM documentation; "Configs", "Conditional routing",
//! "Automatic retries" and "Request timeouts", Portkey documentation; "Provider routing" and "Model routing", OpenRouter
//! documentation; "Provider options", Vercel AI Gateway documentation; read 2026-11.

mod hosted;
mod litellm;
mod part;
mod place;
mod portkey;
mod price;
#[cfg(test)]
mod tests;

use clap::ValueEnum;
use serde_json::Value;
use tollgate::config::Draft;
use tollgate::route::class::Class;
use tollgate::wire::json;

use self::hosted::Hub;
use self::part::Notes;

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// The YAML of LiteLLM's proxy
    Litellm,
    /// A config of Portkey
    Portkey,
    /// The body of a request to OpenRouter
    Openrouter,
    /// The body of a request to Vercel's AI Gateway, or its `providerOptions`
    Vercel,
}

/// A configuration of ours, and what it lacks of the other.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) toml: String,
    /// Each with its path in the file, and why.
    pub(crate) lost: Vec<String>,
}

/// Reads `text`. `name` is what a config without a name is called; `model` is what its requests ask for, where it does
/// not say that itself.
pub(crate) fn import(
    text: &str,
    source: Option<Source>,
    name: &str,
    model: Option<&str>,
) -> Result<Imported, Vec<String>> {
    // Without the lines around it, which may hold keys.
    let value: Value = serde_saphyr::from_str(text).map_err(|error| vec![error.without_snippet().to_string()])?;
    let source = source.or_else(|| guess(&value)).ok_or_else(|| {
        vec!["not of a shape that is known; say whose it is: --from litellm, portkey, openrouter or vercel".to_owned()]
    })?;
    let mut notes = Notes::default();
    let mut draft = Draft::default();
    match source {
        Source::Litellm => litellm::read(value, &mut draft, &mut notes),
        Source::Portkey => portkey::read(value, name, model, &mut draft, &mut notes),
        Source::Openrouter => hosted::read(value, Hub::Openrouter, name, &mut draft, &mut notes),
        Source::Vercel => hosted::read(value, Hub::Vercel, name, &mut draft, &mut notes),
    }
    if !notes.mistakes.is_empty() {
        return Err(notes.mistakes);
    }
    let mut toml = written(&draft).map_err(|why| vec![why])?;
    if !notes.lost.is_empty() {
        toml.push_str("\n# Not carried, or not quite:\n");
        for note in &notes.lost {
            toml.push_str(&format!("# - {}\n", note.replace(['\n', '\r'], " ")));
        }
    }
    Ok(Imported { toml, lost: notes.lost })
}

/// By the fields that only one of them has.
fn guess(value: &Value) -> Option<Source> {
    let has = |path: &[&str]| path.iter().try_fold(value, |value, name| value.get(name)).is_some();
    let any = |names: &[&str]| names.iter().any(|name| has(&[name]));
    match () {
        () if any(&["model_list", "router_settings", "litellm_settings", "general_settings"]) => Some(Source::Litellm),
        () if has(&["providerOptions", "gateway"]) || any(&["gateway", "byok", "providerTimeouts"]) => {
            Some(Source::Vercel)
        }
        () if any(&["strategy", "targets", "virtual_key", "override_params"]) => Some(Source::Portkey),
        () if value.get("provider").is_some_and(Value::is_string) => Some(Source::Portkey),
        () if any(&["provider", "models", "model"]) => Some(Source::Openrouter),
        () if any(&["order", "only", "sort"]) => Some(Source::Vercel),
        () => None,
    }
}

/// What other gateways fall back after that tell no failures apart.
fn every_failure() -> Vec<String> {
    Class::ALL.iter().map(|class| class.word().to_owned()).collect()
}

/// `draft` in TOML, without the tables that say nothing.
fn written(draft: &Draft) -> Result<String, String> {
    let mut table: toml::Table = serde_json::from_str(&json::to_string(draft)).map_err(|error| error.to_string())?;
    for (_, model) in table.get_mut("models").and_then(toml::Value::as_table_mut).into_iter().flatten() {
        drop_empty(model, "policy");
    }
    for rule in table.get_mut("rules").and_then(toml::Value::as_array_mut).into_iter().flatten() {
        drop_empty(rule, "when");
    }
    let mut whole = toml::Value::Table(table);
    for name in ["timeouts", "media", "policy", "catalog", "receipts", "webhook"] {
        drop_empty(&mut whole, name);
    }
    toml::to_string(&whole).map_err(|error| error.to_string())
}

fn drop_empty(value: &mut toml::Value, name: &str) {
    if let Some(table) = value.as_table_mut()
        && table.get(name).and_then(toml::Value::as_table).is_some_and(toml::Table::is_empty)
    {
        table.remove(name);
    }
}
