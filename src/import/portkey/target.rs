//! A target of a Portkey config: a provider or one of Portkey's virtual keys, and the model in `override_params`.

use tollgate::catalog;

use super::super::part::{Notes, Part};
use super::super::place::{Deployment, Place, row, secrets, shouted};

/// Portkey's names of providers, where they are others than ours.
const PROVIDERS: &[(&str, &str)] = &[
    ("azure-openai", "azure"),
    ("azure-ai", "azure-ai-inference"),
    ("bedrock", "amazon-bedrock"),
    ("vertex-ai", "google-vertex"),
    ("gemini", "google"),
    ("mistral-ai", "mistral"),
    ("together-ai", "togetherai"),
    ("fireworks-ai", "fireworks"),
    ("perplexity-ai", "perplexity"),
    ("workers-ai", "cloudflare-workers-ai"),
    ("x-ai", "xai"),
    ("novita-ai", "novita"),
    ("github", "github-models"),
    ("dashscope", "alibaba"),
    ("moonshot", "moonshotai"),
    ("featherless-ai", "featherless"),
];

/// `asked` is the model where none is named.
pub(super) fn read(mut part: Part, asked: Option<&str>, notes: &mut Notes) -> Option<Deployment> {
    let provider = part.text("provider", notes);
    let slug = part.text("virtual_key", notes).or_else(|| {
        let slug = provider.as_deref()?.strip_prefix('@')?;
        Some(slug.to_owned())
    });
    let mut model = None;
    if let Some(mut overrides) = part.part("override_params", notes) {
        model = overrides.text("model", notes);
        overrides.close("what a request says is passed on, and nothing is changed in it", notes);
    }
    model = model.or_else(|| part.text("deployment_id", notes)).or_else(|| part.text("azure_deployment_id", notes));
    part.pass(&["deployment_id", "azure_deployment_id"]);
    let model = model.or_else(|| asked.map(str::to_owned));
    let at = part.at("override_params.model");
    // A model may say whose it is, as @slug/model.
    let (slug, model) = match model.as_deref().and_then(|model| model.strip_prefix('@')?.split_once('/')) {
        Some((own, rest)) => (Some(own.to_owned()), Some(rest.to_owned())),
        None => (slug, model),
    };
    let provider = provider.filter(|provider| !provider.starts_with('@'));
    let place = place(&mut part, provider, slug, model.as_deref().unwrap_or_default(), notes)?;
    let place = account(place, &mut part, notes);
    let why = "not known here";
    part.lose(&["api_version", "azure_api_version"], "Azure's API of version 1 is asked, which takes none", notes);
    part.close(why, notes);
    match model {
        Some(model) => Some(Deployment { place, model, weight: 1, price: None }),
        None => {
            notes.lose(&at, "missing, and a target here is of one model; say by --model what requests ask for");
            None
        }
    }
}

fn place(
    part: &mut Part,
    provider: Option<String>,
    slug: Option<String>,
    model: &str,
    notes: &mut Notes,
) -> Option<Place> {
    let host = part.address("custom_host", notes);
    let api_key = part.text("api_key", notes);
    let at = part.at("provider");
    let name = match (&provider, &slug) {
        (Some(provider), _) => known(provider, model),
        (None, Some(slug)) => by_slug(slug),
        (None, None) => {
            notes.lose(&at, "missing, so nobody can be asked");
            return None;
        }
    };
    let called = provider.or(slug.clone()).unwrap_or_default();
    let mut place = match (host, name) {
        (Some(host), Some(name)) if name != "openai" => Place { base_url: Some(host), ..Place::known(&name) },
        (Some(host), _) => Place::server(&host),
        (None, Some(name)) => Place::known(&name),
        (None, None) => {
            notes.lose(&at, &format!("no provider \"{called}\" is known here; name its server in [providers]"));
            return None;
        }
    };
    if let Some(slug) = slug {
        let secret = shouted(&slug);
        notes.lose(&at, &format!("put the key that Portkey keeps as \"{slug}\" into the secret {secret}"));
        place = place.keyed(&secret);
    } else if api_key.is_some() {
        let secret = secrets(&place.name).into_iter().next().unwrap_or_default();
        notes.lose(&part.at("api_key"), &format!("keys are not written; put it into the secret {secret}"));
    } else if place.dialect.is_some() {
        place.keyless = true;
    }
    Some(place)
}

/// Our name for a provider of Portkey's.
fn known(provider: &str, model: &str) -> Option<String> {
    let name = match provider {
        "vertex-ai" if model.contains("claude") => "vertex-anthropic",
        other => PROVIDERS.iter().find(|(theirs, _)| *theirs == other).map_or(other, |(_, ours)| ours),
    };
    row(name).map(|row| row.name)
}

/// Of the provider whose name it begins with; Portkey proposes such names.
fn by_slug(slug: &str) -> Option<String> {
    let slug = slug.to_ascii_lowercase();
    let ours = catalog::providers().into_iter().map(|row| (row.name.clone(), row.name));
    let theirs = PROVIDERS.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned()));
    let begins = ours.chain(theirs).filter(|(name, _)| slug.starts_with(name.as_str()));
    begins.max_by_key(|(name, _)| name.len()).map(|(_, ours)| ours)
}

fn account(mut place: Place, part: &mut Part, notes: &mut Notes) -> Place {
    for (field, variable) in [
        ("resource_name", "resource"),
        ("azure_resource_name", "resource"),
        ("vertex_project_id", "project"),
        ("vertex_region", "location"),
    ] {
        if let Some(value) = part.text(field, notes) {
            place.variables.insert(variable.to_owned(), value);
        }
    }
    place.region = part.text("aws_region", notes);
    let why = "keys are not written; put them into the secrets that AWS's own tools read";
    part.lose(&["aws_access_key_id", "aws_secret_access_key", "aws_session_token"], why, notes);
    place
}
