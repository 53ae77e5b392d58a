//! What requests to OpenRouter and Vercel's AI Gateway say about their route, as a model of ours: its targets are the
//! providers themselves, by the names that the catalogue has for their models, and the gateway itself for what only that
//! can serve.

use serde_json::Value;
use tollgate::catalog::models::Models;
use tollgate::config::{AliasDraft, Draft};
use tollgate::route::order::Order;
use tollgate::route::policy::PolicyDraft;

use super::every_failure;
use super::part::{Notes, Part};
use super::place::{self, Deployment, Named, Place, plain, row};

/// Whose request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hub {
    Openrouter,
    Vercel,
}

impl Hub {
    fn name(self) -> &'static str {
        match self {
            Self::Openrouter => "openrouter",
            Self::Vercel => "vercel",
        }
    }
}

/// Their names of providers and of makers of models, where they are others than ours.
const PROVIDERS: &[(&str, &str)] = &[
    ("bedrock", "amazon-bedrock"),
    ("vertex", "google-vertex"),
    ("vertexAnthropic", "vertex-anthropic"),
    ("google-ai-studio", "google"),
    ("together", "togetherai"),
    ("mistralai", "mistral"),
    ("x-ai", "xai"),
    ("z-ai", "zai"),
    ("qwen", "alibaba"),
    ("meta-llama", "llama"),
    ("meta", "llama"),
    ("moonshot", "moonshotai"),
    ("nvidia-nim", "nvidia"),
];
/// Endings of OpenRouter's models that say how they are put in order, as they do here.
const ENDINGS: [(&str, Order); 2] = [(":nitro", Order::Throughput), (":floor", Order::Cheapest)];

/// What is wished of the providers.
#[derive(Debug, Default)]
struct Wish {
    order: Vec<String>,
    only: Vec<String>,
    ignore: Vec<String>,
    listed_only: bool,
    sort: Option<Order>,
}

pub(super) fn read(file: Value, hub: Hub, called: &str, draft: &mut Draft, notes: &mut Notes) {
    let Some(mut file) = Part::read("", file, notes) else { return };
    let model = file.text("model", notes);
    let mut models: Vec<String> = model.clone().into_iter().collect();
    models.extend(file.texts("models", notes));
    let mut policy = PolicyDraft::default();
    let mut alias = AliasDraft::default();
    let mut wish = Wish::default();
    // Vercel's object may stand alone; its shorthand is called as OpenRouter's.
    let is_alone = hub == Hub::Vercel && !file.has("providerOptions") && !file.has("gateway") && !file.has("provider");
    let options = match (hub, is_alone) {
        (_, true) => None,
        (Hub::Openrouter, _) => file.part("provider", notes),
        (Hub::Vercel, _) => {
            let gateway = file.part("providerOptions", notes).and_then(|mut options| {
                let gateway = options.part("gateway", notes);
                options.close("of the provider; requests say it", notes);
                gateway
            });
            gateway.or_else(|| file.part("gateway", notes)).or_else(|| file.part("provider", notes))
        }
    };
    let rest = match options {
        None => file,
        Some(options) => {
            request(file, notes);
            options
        }
    };
    let mut rest = rest;
    models.extend(rest.texts("models", notes));
    common(&mut rest, &mut wish, notes);
    match hub {
        Hub::Openrouter => openrouter(&mut rest, &mut wish, &mut policy, &mut alias, notes),
        Hub::Vercel => vercel(&mut rest, &mut policy, &mut alias, notes),
    }
    if is_alone || hub == Hub::Vercel {
        rest.close("not known here", notes);
    } else {
        // Without options, this is the request.
        request(rest, notes);
    }
    models.dedup();
    let Some(first) = models.first().cloned() else {
        general(wish, policy, draft, notes);
        return;
    };
    let (deployments, variant) = deployments(&models, hub, &wish, notes);
    if deployments.is_empty() {
        notes.wrong("models", "none of them can be asked here under these wishes");
        return;
    }
    let order = wish.sort.filter(|_| wish.order.is_empty()).or(variant);
    policy.order = order.filter(|_| deployments.len() > 1);
    if deployments.len() > 1 {
        policy.fall_on = Some(every_failure());
    }
    if wish.listed_only && wish.order.is_empty() {
        policy.attempts = Some(1);
    }
    let name = if model.is_some() { first } else { plain(called) };
    // Each behind the one before: what puts them in another order is said by the policy.
    let tiers = deployments.into_iter().map(|deployment| vec![deployment]).collect();
    alias.policy = Some(policy);
    place::settle(vec![Named { name, tiers, order: Order::Listed, draft: alias }], Vec::new(), draft, notes);
}

/// Fields of a request that go through as they are.
fn request(mut file: Part, notes: &mut Notes) {
    file.pass(&[
        "messages",
        "prompt",
        "input",
        "system",
        "stream",
        "tools",
        "tool_choice",
        "response_format",
        "stream_options",
    ]);
    file.pass(&[
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "n",
        "user",
        "metadata",
    ]);
    file.lose(&["route"], "a list of models is always a list of fallbacks", notes);
    file.close("of each request; it is no configuration", notes);
}

fn common(part: &mut Part, wish: &mut Wish, notes: &mut Notes) {
    let names = |part: &mut Part, field: &str, notes: &mut Notes| {
        let at = part.at(field);
        let names = part.texts(field, notes).into_iter().filter_map(|name| {
            let known = known(&name);
            if known.is_none() {
                notes.lose(&at, &format!("no provider \"{name}\" is known here"));
            }
            known
        });
        names.collect::<Vec<_>>()
    };
    let is_only = part.has("only");
    wish.order = names(part, "order", notes);
    wish.only = names(part, "only", notes);
    wish.ignore = names(part, "ignore", notes);
    if is_only && wish.only.is_empty() {
        notes.wrong(&part.at("only"), "names no provider that is known here");
    }
    let at = part.at("sort");
    let by = match part.take("sort") {
        Some(Value::String(by)) => Some(by),
        Some(value @ Value::Object(_)) => Part::read(&at, value, notes).and_then(|mut sort| {
            let by = sort.text("by", notes);
            sort.close("models are fallbacks of each other here", notes);
            by
        }),
        Some(_) => {
            notes.wrong(&at, "expected a string like \"price\"");
            None
        }
        None => None,
    };
    if let Some(by) = by {
        wish.sort = match by.as_str() {
            "price" | "cost" => Some(Order::Cheapest),
            "throughput" | "tps" => Some(Order::Throughput),
            "latency" | "ttft" => Some(Order::FirstByte),
            other => {
                notes.lose(&at, &format!("there is no order by \"{other}\" here"));
                None
            }
        };
    }
}

fn openrouter(part: &mut Part, wish: &mut Wish, policy: &mut PolicyDraft, alias: &mut AliasDraft, notes: &mut Notes) {
    wish.listed_only = part.flag("allow_fallbacks", notes) == Some(false);
    alias.strict = part.flag("require_parameters", notes).filter(|is_required| *is_required);
    let at = part.at("data_collection");
    match part.text("data_collection", notes).as_deref() {
        Some("deny") => policy.no_training = Some(true),
        None | Some("allow") => {}
        Some(other) => notes.wrong(&at, &format!("\"{other}\" is not \"allow\" or \"deny\"")),
    }
    policy.zero_retention = part.flag("zdr", notes).filter(|is_wished| *is_wished);
    part.lose(&["max_price"], "a request may say it; a policy may not", notes);
    part.lose(&["quantizations"], "nothing is known of how models are quantized", notes);
    let slow = ["preferred_min_throughput", "preferred_max_latency"];
    part.lose(&slow, "write order = \"throughput\" or \"first-byte\"", notes);
    part.lose(&["enforce_distillable_text"], "nothing is known of it here", notes);
}

fn vercel(part: &mut Part, policy: &mut PolicyDraft, alias: &mut AliasDraft, notes: &mut Notes) {
    policy.zero_retention = part.flag("zeroDataRetention", notes).filter(|is_wished| *is_wished);
    policy.no_training = part.flag("disallowPromptTraining", notes).filter(|is_wished| *is_wished);
    policy.regions = part.text("inferenceRegion", notes).into_iter().collect();
    part.lose(&["byok"], "keys are not written; put each into its provider's secret", notes);
    if let Some(mut timeouts) = part.part("providerTimeouts", notes) {
        if let Some(own) = timeouts.part("byok", notes) {
            let at = own.place().to_owned();
            let limits: Vec<Option<u64>> = own.into_fields().map(|(_, limit)| limit.as_u64()).collect();
            match limits.first().copied().flatten().filter(|first| limits.iter().all(|limit| *limit == Some(*first))) {
                Some(limit) => alias.first_byte_ms = Some(limit),
                None => notes.lose(&at, "one for all targets of a model is what there is"),
            }
        }
        timeouts.close("not known here", notes);
    }
    part.lose(&["user", "tags", "quotaEntityId"], "of each request, which may go on saying it", notes);
    part.lose(&["has"], "targets that cannot do what a request needs are passed over in any case", notes);
    part.lose(
        &["caching", "serviceTier", "speed", "allowFallbackFromFast"],
        "of each request, in its own dialect",
        notes,
    );
}

/// Wishes for whatever is asked, where no model is named.
fn general(wish: Wish, mut policy: PolicyDraft, draft: &mut Draft, notes: &mut Notes) {
    policy.order = wish.sort;
    policy.only = wish.only;
    policy.ignore = wish.ignore;
    if !wish.order.is_empty() {
        notes
            .lose("order", "without a model there are no targets to put in order; write them as [models.NAME] targets");
    }
    if wish.listed_only {
        policy.attempts = Some(1);
    }
    draft.policy = policy;
}

fn known(name: &str) -> Option<String> {
    // Regions and tiers of a provider are the provider's.
    let name = name.split('/').next().unwrap_or(name);
    let ours = PROVIDERS.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| ours);
    row(ours).map(|row| row.name)
}

/// Where each model is asked, one after the other, and the order that an ending wants.
fn deployments(models: &[String], hub: Hub, wish: &Wish, notes: &mut Notes) -> (Vec<Deployment>, Option<Order>) {
    let catalogue = Models::built_in();
    let mut deployments: Vec<Deployment> = Vec::new();
    let mut order = None;
    for whole in models {
        let ending = ENDINGS.iter().find_map(|(ending, order)| Some((whole.strip_suffix(ending)?, *order)));
        order = ending.map(|(_, order)| order).or(order);
        let bare = ending.map_or(whole.as_str(), |(bare, _)| bare);
        let (maker, model) = bare.split_once('/').unwrap_or(("", bare));
        let mut providers: Vec<String> = wish.order.clone();
        if !wish.listed_only || wish.order.is_empty() {
            providers.extend(if wish.only.is_empty() { known(maker).into_iter().collect() } else { wish.only.clone() });
        }
        providers.retain(|name| !wish.ignore.contains(name) && (wish.only.is_empty() || wish.only.contains(name)));
        let before = deployments.len();
        for provider in providers {
            if let Some(model) = spelled(&catalogue, &provider, bare, model) {
                push(&mut deployments, &provider, &model);
            }
        }
        if deployments.len() == before && wish.only.is_empty() {
            let why = format!(
                "by the catalogue nobody else has it who may be asked, so {} itself is, with a key for it; it knows \
                 nothing of wishes about providers",
                hub.name()
            );
            notes.lose(whole, &why);
            push(&mut deployments, hub.name(), bare);
        }
    }
    for name in wish.order.iter().chain(&wish.only) {
        if deployments.iter().all(|deployment| deployment.place.name != *name) {
            let why = format!(
                "the catalogue knows none of these models there; add \"{name}/…\" to the targets if there is one"
            );
            notes.lose(name, &why);
        }
    }
    (deployments, order)
}

/// How `provider` calls a model: as it is, with its maker, with a dash for a dot, or with a date and a version behind it.
fn spelled(catalogue: &Models, provider: &str, whole: &str, model: &str) -> Option<String> {
    let dashed = model.replace('.', "-");
    let plain = [model, &dashed, whole].into_iter().find(|model| catalogue.knows(&format!("{provider}/{model}")));
    let dated = || {
        let listed = catalogue.of(provider).into_iter().filter_map(|listed| {
            let (maker, rest) = listed.split_once(&dashed)?;
            let is_dated = ["-20", "@", "-v1", ":"].iter().any(|start| rest.starts_with(start));
            (is_dated && (maker.is_empty() || maker.ends_with(['.', '/']))).then_some((maker.is_empty(), listed))
        });
        // With its maker, and without the name of a region before that.
        listed.min_by_key(|(is_alone, listed)| (*is_alone, listed.len())).map(|(_, listed)| listed)
    };
    plain.or_else(dated).map(str::to_owned)
}

fn push(deployments: &mut Vec<Deployment>, provider: &str, model: &str) {
    let place = Place::known(provider);
    if deployments.iter().all(|known| known.place != place || known.model != model) {
        deployments.push(Deployment { place, model: model.to_owned(), weight: 1, price: None });
    }
}
