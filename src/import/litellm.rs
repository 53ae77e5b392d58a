//! The YAML of LiteLLM's proxy: deployments in `model_list`, how they are routed in `router_settings` (or, for most fields,
//! in `litellm_settings`), and the proxy's own key in `general_settings`.

mod deployment;
mod fallback;

use serde_json::Value;
use tollgate::config::{AliasDraft, CallerDraft, Draft};
use tollgate::route::order::Order;
use tollgate::route::policy::PolicyDraft;
use tollgate::route::rule::{RuleDraft, WhenDraft};

use self::deployment::{Element, Entry, SHARES, secret};
use self::fallback::Fallbacks;
use super::part::{Notes, Part, kind};
use super::place::{self, Deployment, Named, Open, whole_weights};

/// A model by its name for callers, in the order in which the file has them.
#[derive(Debug)]
struct Group {
    name: String,
    entries: Vec<Entry>,
}

/// What is said for all models.
#[derive(Debug, Default)]
struct Settings {
    order: Option<Order>,
    retries: Option<u32>,
    first_byte_ms: Option<u64>,
    fallbacks: Fallbacks,
}

pub(super) fn read(file: Value, draft: &mut Draft, notes: &mut Notes) {
    let Some(mut file) = Part::read("", file, notes) else { return };
    let (mut groups, mut open): (Vec<Group>, Vec<Open>) = (Vec::new(), Vec::new());
    if !file.has("model_list") {
        notes.wrong("model_list", "missing");
    }
    for (at, value) in file.list("model_list", notes) {
        match Part::read(&at, value, notes).and_then(|part| deployment::read(part, notes)) {
            None => {}
            Some(Element::Open(element)) => open.push(element),
            Some(Element::Model(name, entry)) => match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.entries.push(*entry),
                None => groups.push(Group { name, entries: vec![*entry] }),
            },
        }
    }
    let mut settings = Settings::default();
    let mut aliases = Vec::new();
    // What the router's settings say goes before.
    if let Some(part) = file.part("litellm_settings", notes) {
        library(part, &mut settings, draft, notes);
    }
    if let Some(part) = file.part("router_settings", notes) {
        aliases = router(part, &mut settings, draft, notes);
    }
    if let Some(part) = file.part("general_settings", notes) {
        general(part, draft, notes);
    }
    let why = "set these in the environment of the gateway";
    file.lose(&["environment_variables"], why, notes);
    file.lose(&["guardrails", "prompts", "mcp_servers", "vector_store_registry", "search_tools"], NOT_HERE, notes);
    file.close("not known here", notes);

    let known: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    settings.fallbacks.keep(&known, notes);
    draft.policy.retries = settings.retries;
    let mut named: Vec<Named> = groups.iter().map(|group| name(group, &groups, &settings, notes)).collect();
    for (alias, model, is_hidden) in aliases {
        add_alias(alias, &model, is_hidden, &mut named, draft, notes);
    }
    place::settle(named, open, draft, notes);
}

const NOT_HERE: &str = "there is nothing like it here";

/// What both sections may say; each path is that of the section.
fn shared(part: &mut Part, settings: &mut Settings, draft: &mut Draft, notes: &mut Notes) {
    settings.fallbacks.read(part, notes);
    settings.retries = part.whole("num_retries", notes).or(settings.retries);
    if let Some(fails) = part.whole("allowed_fails", notes) {
        notes.lose(&part.at("allowed_fails"), "counted in a row here, not in a minute");
        draft.policy.rest_after = Some(fails.saturating_add(1));
    }
    draft.policy.rest_ms = part.seconds("cooldown_time", notes).or(draft.policy.rest_ms);
    part.lose(&["allowed_fails_policy"], "a target rests after any failures in a row, whatever their kind", notes);
    retry_policy(part, settings, notes);
    part.lose(&["stream_timeout"], "first_byte_ms would hold for answers that are not streamed, too", notes);
    part.lose(
        &["cache", "cache_params", "cache_responses", "caching_groups", "cache_kwargs"],
        "answers are not kept here",
        notes,
    );
}

fn library(mut part: Part, settings: &mut Settings, draft: &mut Draft, notes: &mut Notes) {
    shared(&mut part, settings, draft, notes);
    settings.first_byte_ms = timeout(&mut part, "request_timeout", notes).or(settings.first_byte_ms);
    // Without it LiteLLM refuses what a provider cannot be told.
    if part.flag("drop_params", notes) == Some(false) {
        draft.strict = Some(true);
    }
    let callbacks = ["callbacks", "success_callback", "failure_callback", "service_callbacks", "post_call_rules"];
    part.lose(&callbacks, "nothing is called back; there is one line of JSON in the log for each request", notes);
    part.pass(&["set_verbose", "json_logs", "telemetry", "turn_off_message_logging", "redact_user_api_key_info"]);
    part.close("not known here", notes);
}

/// Other names for models: the name, the model, and whether it is left out of lists.
fn router(
    mut part: Part,
    settings: &mut Settings,
    draft: &mut Draft,
    notes: &mut Notes,
) -> Vec<(String, String, bool)> {
    shared(&mut part, settings, draft, notes);
    settings.first_byte_ms = timeout(&mut part, "timeout", notes).or(settings.first_byte_ms);
    if let Some(strategy) = part.text("routing_strategy", notes) {
        settings.order = Some(order(&strategy, &part.at("routing_strategy"), notes));
    }
    draft.policy.retry_ms = part.seconds("retry_after", notes).filter(|ms| *ms > 0);
    let mut aliases = Vec::new();
    if let Some(part) = part.part("model_group_alias", notes) {
        let at = part.place().to_owned();
        for (name, value) in part.into_fields() {
            match value {
                Value::String(model) => aliases.push((name, model, false)),
                Value::Object(_) => {
                    let Some(mut part) = Part::read(&format!("{at}.{name}"), value, notes) else { continue };
                    let (model, is_hidden) = (part.text("model", notes), part.flag("hidden", notes));
                    match model {
                        Some(model) => aliases.push((name, model, is_hidden.unwrap_or(false))),
                        None => notes.wrong(&part.at("model"), "missing"),
                    }
                    part.close("not known here", notes);
                }
                other => notes.wrong(&format!("{at}.{name}"), &format!("expected a model, not {}", kind(&other))),
            }
        }
    }
    part.lose(&["disable_cooldowns"], "a target that keeps failing is always left alone for a while", notes);
    part.lose(&["enable_tag_filtering", "tag_filtering_match_any"], "tags choose a model by [[rules]] here", notes);
    let redis = ["redis_host", "redis_port", "redis_password", "redis_url", "redis_db"];
    part.lose(&redis, "counters live in the host's own store", notes);
    part.lose(&["provider_budget_config"], "caps are for callers here, by spend_cap_usd", notes);
    // A prompt that is too long for a model is passed over there in any case.
    part.pass(&["enable_pre_call_checks", "enable_pre_call_check", "set_verbose", "debug_level", "client_ttl"]);
    part.close("not known here", notes);
    aliases
}

/// Of each attempt, in milliseconds.
fn timeout(part: &mut Part, name: &str, notes: &mut Notes) -> Option<u64> {
    let ms = part.seconds(name, notes)?;
    notes.lose(&part.at(name), "until the first byte of an answer here; what has begun may take longer");
    Some(ms)
}

fn order(strategy: &str, at: &str, notes: &mut Notes) -> Order {
    match strategy {
        "simple-shuffle" => Order::Weighted,
        "least-busy" => Order::LeastBusy,
        "latency-based-routing" => Order::FirstByte,
        "cost-based-routing" => Order::Cheapest,
        other => {
            notes.lose(at, &format!("\"{other}\" is not known here; targets are taken by chance, by their weights"));
            Order::Weighted
        }
    }
}

/// One number for all kinds of failures is what there is here.
fn retry_policy(part: &mut Part, settings: &mut Settings, notes: &mut Notes) {
    let at = part.at("retry_policy");
    let Some(policy) = part.take("retry_policy") else { return };
    let mut counts = policy.as_object().into_iter().flatten().map(|(_, count)| count.as_u64());
    let first = counts.next().flatten().and_then(|count| u32::try_from(count).ok());
    match first.filter(|first| settings.retries.is_none() && counts.all(|count| count == Some((*first).into()))) {
        Some(retries) => settings.retries = Some(retries),
        None => notes.lose(&at, "retries are as many for every kind of failure"),
    }
}

fn general(mut part: Part, draft: &mut Draft, notes: &mut Notes) {
    let at = part.at("master_key");
    if let Some(key) = part.text("master_key", notes) {
        let own = secret(&key);
        if own.is_none() {
            notes.lose(&at, "put the key itself into the secret TOLLGATE_KEY");
        }
        draft.callers.insert("default".to_owned(), CallerDraft { secret: own, ..CallerDraft::default() });
        notes.lose(&at, "a caller like others here; it administers nothing");
    }
    let why = "no callers are kept in a database; name each in [callers]";
    part.lose(
        &["database_url", "store_model_in_db", "database_connection_pool_limit", "key_management_system"],
        why,
        notes,
    );
    part.close("not known here", notes);
}

/// A group with everything that is asked after it.
fn name(group: &Group, groups: &[Group], settings: &Settings, notes: &mut Notes) -> Named {
    let order = settings.order.unwrap_or(Order::Weighted);
    let mut tiers = tiers(group, order, notes);
    let own = group.entries.len();
    let behind = settings.fallbacks.after(&group.name, own, notes);
    for name in &behind.names {
        let Some(fallback) = groups.iter().find(|group| group.name == *name) else { continue };
        // What is not quite carried of it is told where it is a model itself.
        let more = self::tiers(fallback, order, &mut Notes::default());
        if more.iter().any(|tier| tier.len() > 1) {
            let at = fallback.entries.first().map(|entry| entry.at.as_str()).unwrap_or_default();
            let why = format!(
                "as fallbacks of \"{}\", the deployments of \"{name}\" are asked in the order of the file",
                group.name
            );
            notes.lose(at, &why);
        }
        tiers.extend(more);
    }
    let own_retries = group.entries.iter().find_map(|entry| entry.retries);
    let mut policy = match own_retries.or(settings.retries) {
        // What holds for all models is all there is to say.
        Some(_) if own_retries.is_none() && own == 1 && behind.names.is_empty() => PolicyDraft::default(),
        Some(retries) => budget(retries, own, behind.names.len() + 1, settings),
        None => PolicyDraft::default(),
    };
    policy.fall_on = behind.fall_on;
    let first_byte_ms = group.entries.iter().find_map(|entry| entry.first_byte_ms).or(settings.first_byte_ms);
    let draft = AliasDraft { first_byte_ms, policy: Some(policy), ..AliasDraft::default() };
    Named { name: group.name.clone(), tiers, order, draft }
}

/// Retries as a policy has them. LiteLLM's are new picks from a group of `own` deployments, which may be another; here
/// the same target is asked again before the next. Each of `groups` has as many.
fn budget(retries: u32, own: usize, groups: usize, settings: &Settings) -> PolicyDraft {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let attempts = retries.saturating_add(1);
    let same = attempts.div_ceil(count(own).max(1)).saturating_sub(1);
    PolicyDraft {
        retries: Some(same).filter(|same| Some(*same) != settings.retries),
        attempts: Some(attempts.saturating_mul(count(groups))),
        ..PolicyDraft::default()
    }
}

/// The deployments of a group, by their `order`, those without one last.
fn tiers(group: &Group, order: Order, notes: &mut Notes) -> Vec<Vec<Deployment>> {
    let mut entries: Vec<&Entry> = group.entries.iter().collect();
    entries.sort_by_key(|entry| entry.order.unwrap_or(u32::MAX));
    for (field, of) in [
        ("timeout", (|entry| entry.first_byte_ms) as fn(&Entry) -> Option<u64>),
        ("num_retries", |entry| entry.retries.map(u64::from)),
    ] {
        let first = entries.first().and_then(|entry| of(entry));
        if let Some(other) = entries.iter().find(|entry| of(entry) != first) {
            notes.lose(
                &format!("{}.litellm_params.{field}", other.at),
                "one for all targets of a model is what there is",
            );
        }
    }
    let tiers = entries.chunk_by(|one, other| one.order == other.order);
    tiers
        .enumerate()
        .map(|(place, tier)| {
            let by = shared_by(tier, order);
            let split = if place > 0 { Split::Behind } else { split(tier, by, order) };
            tell_shares(tier, split, notes);
            let shares: Vec<f64> =
                tier.iter().map(|entry| by.map_or(1.0, |by| share(entry, by).unwrap_or_default())).collect();
            let weigh = |(entry, weight): (&&Entry, u32)| Deployment { weight, ..entry.deployment.clone() };
            let mut tier: Vec<Deployment> = tier.iter().zip(whole_weights(&shares)).map(weigh).collect();
            // Who has no share is asked when all others have failed, also where they are asked as they are listed.
            tier.sort_by_key(|deployment| deployment.weight == 0);
            tier
        })
        .collect()
}

/// What the work of a tier is shared by, if by anything. LiteLLM looks at the first of its deployments only: by what that
/// names, all are weighed, and whoever names none of it gets nothing. Where that makes nothing of all, the next counts.
///
/// Source: `simple_shuffle` in `litellm/router_strategy/simple_shuffle.py`, read 2026-11-22.
fn shared_by(tier: &[&Entry], order: Order) -> Option<usize> {
    let first = tier.first().filter(|_| order == Order::Weighted)?;
    let is_any = |by: usize| tier.iter().any(|entry| share(entry, by).is_some_and(|share| share > 0.0));
    (0..SHARES.len()).find(|by| share(first, *by).is_some() && is_any(*by))
}

fn share(entry: &Entry, by: usize) -> Option<f64> {
    entry.shares.get(by)?.as_ref().map(|(_, share)| *share)
}

/// What becomes of the shares of a tier.
#[derive(Debug, Clone, Copy)]
enum Split {
    /// These are weights here.
    By(usize),
    /// All get the same, or there is nobody else.
    Evenly,
    /// The first names none, and LiteLLM looks at that only.
    Unseen,
    /// Whoever stands behind others is asked in the order of the file.
    Behind,
}

fn split(tier: &[&Entry], by: Option<usize>, order: Order) -> Split {
    let Some(by) = by else {
        return if order == Order::Weighted && tier.len() > 1 { Split::Unseen } else { Split::Evenly };
    };
    // Who stands there twice is one target with the shares of both.
    let mut targets: Vec<(&Deployment, f64)> = Vec::new();
    for entry in tier {
        let (own, share) = (&entry.deployment, share(entry, by).unwrap_or_default());
        match targets.iter_mut().find(|(known, _)| (&known.place, &known.model) == (&own.place, &own.model)) {
            Some((_, sum)) => *sum += share,
            None => targets.push((own, share)),
        }
    }
    let is_even = targets.windows(2).all(|pair| matches!(pair, [(_, one), (_, other)] if one == other));
    if is_even { Split::Evenly } else { Split::By(by) }
}

/// What becomes of weights and limits here.
fn tell_shares(tier: &[&Entry], split: Split, notes: &mut Notes) {
    for entry in tier {
        for (place, name) in SHARES.iter().enumerate() {
            let Some((at, _)) = entry.shares.get(place).and_then(Option::as_ref) else { continue };
            let is_limit = *name != "weight";
            match split {
                Split::By(by) if by == place && is_limit => notes.lose(at, "a share of the work here, and no limit"),
                Split::Unseen => {
                    let while_first =
                        "the first of these deployments says nothing of its own share, so all get the same";
                    notes.lose(at, &format!("{while_first}; here they do also while that one rests"));
                }
                _ if is_limit => notes.lose(at, "targets have no limits here"),
                Split::Behind if tier.len() > 1 => {
                    notes.lose(at, "behind others, targets are asked in the order of the file");
                }
                Split::By(_) | Split::Evenly | Split::Behind => {}
            }
        }
    }
}

/// Another name for a model: a model of its own, or where no list shows it, a rule.
fn add_alias(
    alias: String,
    model: &str,
    is_hidden: bool,
    named: &mut Vec<Named>,
    draft: &mut Draft,
    notes: &mut Notes,
) {
    let Some(known) = named.iter().find(|named| named.name == model) else {
        notes.lose(&format!("router_settings.model_group_alias.{alias}"), &format!("no model is called \"{model}\""));
        return;
    };
    if is_hidden {
        let when = WhenDraft { model: Some(alias), ..WhenDraft::default() };
        draft.rules.push(RuleDraft { when, model: Some(model.to_owned()), ..RuleDraft::default() });
    } else {
        let same = Named { name: alias, ..known.clone() };
        named.push(same);
    }
}
