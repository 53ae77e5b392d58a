//! An element of LiteLLM's `model_list`: the model's name for callers, and where it is asked.

use tollgate::catalog;
use tollgate::config::PriceDraft;

use super::super::part::{Notes, Part};
use super::super::place::{Deployment, Open, Place, What, Worth, row, shouted};
use super::super::price;
use super::timeout;

/// A deployment and what LiteLLM's router knows of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: String,
    pub(super) deployment: Deployment,
    /// The lowest is asked first.
    pub(super) order: Option<u32>,
    /// What may say how much of the work it gets, as [`SHARES`] calls it: where each stands, and what it says.
    pub(super) shares: [Option<(String, f64)>; 3],
    pub(super) first_byte_ms: Option<u64>,
    pub(super) retries: Option<u32>,
}

/// Its weight, and its limits in a minute. The first that is usable counts.
pub(super) const SHARES: [&str; 3] = ["weight", "rpm", "tpm"];

/// What stands in the list.
#[derive(Debug)]
pub(super) enum Element {
    Model(String, Box<Entry>),
    /// Whatever a provider has, by the pattern of its names.
    Open(Open),
}

/// LiteLLM's names of providers, where they are others than ours.
const PROVIDERS: &[(&str, &str)] = &[
    ("text-completion-openai", "openai"),
    ("gemini", "google"),
    ("bedrock", "amazon-bedrock"),
    ("bedrock_converse", "amazon-bedrock"),
    ("azure_ai", "azure-ai-inference"),
    ("cohere_chat", "cohere"),
    ("together_ai", "togetherai"),
    ("fireworks_ai", "fireworks"),
    ("ollama_chat", "ollama"),
    ("hosted_vllm", "vllm"),
    ("vllm", "vllm"),
    ("lm_studio", "lmstudio"),
    ("nvidia_nim", "nvidia"),
    ("ai21_chat", "ai21"),
    ("dashscope", "alibaba"),
    ("moonshot", "moonshotai"),
    ("github", "github-models"),
    ("jina_ai", "jina"),
    ("cloudflare", "cloudflare-workers-ai"),
    ("vercel_ai_gateway", "vercel"),
    ("featherless_ai", "featherless"),
    ("friendliai", "friendli"),
    ("meta_llama", "llama"),
    ("snowflake", "snowflake-cortex"),
    ("codestral", "mistral"),
];
/// Those that are only a server that speaks OpenAI's dialect.
const SERVERS: [&str; 6] = ["openai", "custom_openai", "openai_like", "litellm_proxy", "custom", "llamafile"];
/// What is written where a server wants no key but its client does.
const NO_KEYS: [&str; 9] = ["", "none", "null", "empty", "fake", "dummy", "anything", "not-needed", "sk-1234"];

/// The name of the secret, where a value is not the key itself.
pub(super) fn secret(value: &str) -> Option<String> {
    value.strip_prefix("os.environ/").map(str::to_owned)
}

pub(super) fn read(mut part: Part, notes: &mut Notes) -> Option<Element> {
    let at = part.place().to_owned();
    let name = part.text("model_name", notes);
    if name.is_none() {
        notes.wrong(&part.at("model_name"), "missing");
    }
    let mut params = match part.part("litellm_params", notes) {
        Some(params) => params,
        None => {
            notes.wrong(&part.at("litellm_params"), "missing");
            return None;
        }
    };
    let mut price = PriceDraft::default();
    price::litellm(&mut params, &mut price, notes);
    if let Some(mut about) = part.part("model_info", notes) {
        price::litellm(&mut about, &mut price, notes);
        about.pass(&["id", "mode", "db_model", "created_at", "updated_at", "created_by", "updated_by", "description"]);
        about.lose(&["base_model"], "name its price in [prices], where the catalogue has none", notes);
        about.close("the catalogue knows what models can do", notes);
    }
    let shares = SHARES.map(|name| {
        let mut number = |part: &mut Part| part.number(name, notes).map(|number| (part.at(name), number));
        number(&mut params).or_else(|| number(&mut part))
    });
    let order = params.whole("order", notes);
    let first_byte_ms = timeout(&mut params, "timeout", notes);
    params.lose(&["stream_timeout"], "first_byte_ms would hold for answers that are not streamed, too", notes);
    let retries = params.whole("num_retries", notes).or(params.whole("max_retries", notes));
    if name.as_deref() == Some("*") && params.is_text("model", "*") {
        // Whatever is asked for as `provider/model` is passed on here anyway.
        params.pass(&["model"]);
        params.close("each provider has its own key and address here", notes);
        return None;
    }
    let (place, model) = place(&mut params, notes)?;
    params.lose(&["tags"], "tags choose a model by [[rules]] here", notes);
    params.lose(&["max_parallel_requests"], "requests are not counted by target", notes);
    let why = "what a request says is passed on, and nothing is added to it";
    params.close(why, notes);
    part.close("not known here", notes);
    let (name, place) = (name?, place);
    if name.contains('*') || model.contains('*') {
        return open(at, name, &model, place, notes);
    }
    let price = (tollgate::wire::json::to_string(&price) != "{}").then_some(price);
    let price = price.filter(|price| {
        let is_whole = price.input.is_some() == price.output.is_some();
        if !is_whole {
            notes.lose(&format!("{at}.litellm_params"), "a price needs both input and output here");
        }
        is_whole
    });
    let deployment = Deployment { place, model, weight: 1, price };
    Some(Element::Model(name, Box::new(Entry { at, deployment, order, shares, first_byte_ms, retries })))
}

/// Names with a star: all models of a provider, which are asked by `provider/model` here anyway.
fn open(at: String, name: String, model: &str, place: Place, notes: &mut Notes) -> Option<Element> {
    let rest = |pattern: &str| pattern.split_once('/').map_or(pattern, |(_, rest)| rest).to_owned();
    if rest(&name) == rest(model) {
        return Some(Element::Open(Open { at: format!("{at}.model_name"), pattern: name, place }));
    }
    let why =
        format!("a name with a star stands for all of a provider's models; what \"{name}\" makes of them does not");
    notes.lose(&format!("{at}.model_name"), &why);
    None
}

/// Where it is asked, and under which name there.
fn place(params: &mut Part, notes: &mut Notes) -> Option<(Place, String)> {
    let Some(whole) = params.text("model", notes) else {
        notes.wrong(&params.at("model"), "missing");
        return None;
    };
    let base_url = ["api_base", "base_url"].into_iter().find_map(|field| params.address(field, notes));
    let custom = params.text("custom_llm_provider", notes);
    let (provider, model) = match (custom, whole.split_once('/')) {
        (Some(custom), Some((provider, model))) if provider == custom => (custom, model.to_owned()),
        (Some(custom), _) => (custom, whole.clone()),
        (None, Some((provider, model))) if known(provider, model).is_some() || SERVERS.contains(&provider) => {
            (provider.to_owned(), model.to_owned())
        }
        (None, split) => match (bare(&whole), split) {
            (Some(provider), _) => (provider, whole.clone()),
            (None, Some((provider, _))) => {
                let why = format!("no provider \"{provider}\" is known here; name its server in [providers]");
                notes.lose(&params.at("model"), &why);
                return None;
            }
            (None, None) => {
                notes.lose(&params.at("model"), &format!("\"{whole}\" does not say whose model it is"));
                return None;
            }
        },
    };
    let known = known(&provider, &model);
    let model = trimmed(&provider, &model);
    let place = match (base_url, known) {
        (Some(url), _) if SERVERS.contains(&provider.as_str()) && !is_own(&url, "openai") => match secret(&url) {
            None => Place::server(&url),
            Some(variable) => {
                // Of an address, the environment can give the host.
                let mut server = Place::server(&format!("https://{}", host_name(&variable)));
                server.base_url = Some("https://{host}/v1".to_owned());
                server.leave(params.at("api_base"), What::Address, variable);
                server
            }
        },
        (url, Some(name)) => elsewhere(Place::known(&name), url, params.at("api_base")),
        (_, None) => {
            let why = format!("no provider \"{provider}\" is known here; name its server in [providers]");
            notes.lose(&params.at("model"), &why);
            return None;
        }
    };
    let place = account(place, params, notes);
    let place = key(place, params, notes);
    Some((headers(place, params, notes), model))
}

/// What a server is called whose address is in `variable`.
fn host_name(variable: &str) -> String {
    let name = variable.to_ascii_lowercase().replace('_', "-");
    let endings = ["-api-base", "-base-url", "-url", "-endpoint"];
    endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name).to_owned()
}

/// Our name for a provider of LiteLLM's.
fn known(provider: &str, model: &str) -> Option<String> {
    let name = match provider {
        "vertex_ai" | "vertex_ai_beta" if model.starts_with("claude") => "vertex-anthropic",
        "vertex_ai" | "vertex_ai_beta" if model.contains('/') => "vertex-openapi",
        "vertex_ai" | "vertex_ai_beta" => "google-vertex",
        "bedrock" if model.starts_with("invoke/") => "bedrock-anthropic",
        other => PROVIDERS.iter().find(|(theirs, _)| *theirs == other).map_or(other, |(_, ours)| ours),
    };
    row(name).map(|row| row.name)
}

/// Whose model it is, of a name without a provider.
fn bare(model: &str) -> Option<String> {
    let rows = catalog::providers();
    let row = rows.iter().find(|row| row.prefixes.iter().any(|prefix| model.starts_with(prefix.as_str())));
    row.map(|row| row.name.clone())
}

/// The model without LiteLLM's words for the way to it.
fn trimmed(provider: &str, model: &str) -> String {
    let words: &[&str] = match provider {
        "bedrock" => &["converse/", "invoke/"],
        "azure" => &["responses/", "o_series/", "gpt5_series/"],
        "openai" => &["responses/"],
        _ => &[],
    };
    let word = words.iter().find_map(|word| model.strip_prefix(word));
    word.unwrap_or(model).to_owned()
}

fn is_own(url: &str, name: &str) -> bool {
    let known = row(name).and_then(|row| row.base_url);
    known.is_some_and(|own| own.trim_end_matches('/') == url.trim_end_matches('/'))
}

/// A known provider at another address.
fn elsewhere(mut place: Place, url: Option<String>, at: String) -> Place {
    let Some(url) = url.filter(|url| !is_own(url, &place.name)) else { return place };
    if let Some(variable) = secret(&url) {
        if variable != format!("{}_BASE_URL", shouted(&place.name)) {
            place.leave(at, What::Address, variable);
        }
        return place;
    }
    let url = url.trim_end_matches('/');
    let resource = url.strip_prefix("https://").and_then(|rest| rest.strip_suffix(".openai.azure.com"));
    match (place.name.as_str(), resource) {
        ("azure", Some(resource)) => {
            place.variables.insert("resource".to_owned(), resource.to_owned());
        }
        ("azure", None) if !url.ends_with("/v1") => place.base_url = Some(format!("{url}/openai/v1")),
        ("ollama", _) if !url.ends_with("/v1") => place.base_url = Some(format!("{url}/v1")),
        _ => place.base_url = Some(url.to_owned()),
    }
    place
}

/// The account or the region that a cloud's provider is asked in.
fn account(mut place: Place, params: &mut Part, notes: &mut Notes) -> Place {
    let variables = [
        ("vertex_project", "project", "GOOGLE_VERTEX_PROJECT"),
        ("vertex_location", "location", "GOOGLE_VERTEX_LOCATION"),
    ];
    for (field, name, variable) in variables {
        let Some(value) = params.text(field, notes) else { continue };
        match secret(&value) {
            None => {
                place.variables.insert(name.to_owned(), value);
            }
            Some(secret) if secret == variable => {}
            Some(secret) => place.leave(params.at(field), What::Variable(name, variable), secret),
        }
    }
    if let Some(region) = params.text("aws_region_name", notes) {
        match secret(&region) {
            None => place.region = Some(region),
            Some(secret) if secret == "AWS_REGION" => {}
            Some(secret) => place.leave(params.at("aws_region_name"), What::Region, secret),
        }
    }
    for (field, variable) in [
        ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
        ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
        ("aws_session_token", "AWS_SESSION_TOKEN"),
    ] {
        let Some(value) = params.text(field, notes) else { continue };
        if secret(&value).as_deref() != Some(variable) {
            notes.lose(
                &params.at(field),
                &format!("put it into the secret {variable}, which is the same for all of AWS"),
            );
        }
    }
    params.lose(&["vertex_credentials"], "put an OAuth token into the secret GOOGLE_VERTEX_ACCESS_TOKEN", notes);
    if place.name == "azure" {
        params.lose(&["api_version"], "Azure's API of version 1 is asked, which takes none", notes);
    }
    params.lose(&["region_name"], "regions are asked for by policy.regions", notes);
    place
}

fn key(mut place: Place, params: &mut Part, notes: &mut Notes) -> Place {
    let at = params.at("api_key");
    match params.text("api_key", notes) {
        Some(value) => match secret(&value) {
            Some(name) => place.keyed(&name),
            None if place.dialect.is_some() && NO_KEYS.contains(&value.to_ascii_lowercase().as_str()) => {
                place.keyless = true;
                place
            }
            None if NO_KEYS.contains(&value.to_ascii_lowercase().as_str()) => place,
            None => {
                place.leave(at, What::Key, value);
                place
            }
        },
        None if place.dialect.is_some() => {
            notes.lose(&at, "there is none, so the server is asked without a key");
            place.keyless = true;
            place
        }
        None => place,
    }
}

fn headers(mut place: Place, params: &mut Part, notes: &mut Notes) -> Place {
    if let Some(organization) = params.text("organization", notes) {
        let worth = secret(&organization).map_or(Worth::Plain(organization), Worth::Secret);
        place.headers.insert("openai-organization".to_owned(), worth);
    }
    for field in ["extra_headers", "headers"] {
        let Some(part) = params.part(field, notes) else { continue };
        let at = part.place().to_owned();
        for (name, value) in part.into_fields() {
            let at = format!("{at}.{name}");
            let Some(value) = value.as_str() else {
                notes.wrong(&at, "expected a string");
                continue;
            };
            let worth = match secret(value) {
                Some(secret) => Worth::Secret(secret),
                None if is_secret(&name) => {
                    let secret = format!("{}_{}", shouted(&place.name), shouted(&name));
                    notes.lose(&at, &format!("keys are not written; put it into the secret {secret}"));
                    Worth::Secret(secret)
                }
                None => Worth::Plain(value.to_owned()),
            };
            place.headers.insert(name, worth);
        }
    }
    place
}

/// Whether a header's value is likely a credential.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "key", "token", "secret", "cookie", "password"].iter().any(|word| name.contains(word))
}
