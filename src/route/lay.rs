//! Whom a request may be put to, and in which order: what rules, names, wishes, policy and health make of it. Pure.

use std::sync::Arc;

use super::behind::Behind;
use super::demand::Asked;
use super::dice::Dice;
use super::health::Key;
use super::need::Needs;
use super::order::{Candidate, Order};
use super::place::{Known, Unfit, place};
use super::policy::Policy;
use super::resolve;
use super::rule::{Denied, Facts, When, follow};
use super::size::Size;
use super::traits::Traits;
use super::watch::Shared;
use super::wish::{Wishes, variant};
use crate::auth::own::OwnKeys;
use crate::config::{Caller, Config, Target};
use crate::error::{Error, Kind};
use crate::host::{Headers, Millis};
use crate::limit::rule::{Due, due};

/// What the route of a request depends on.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub caller: &'a Caller,
    /// As the caller names it.
    pub model: &'a str,
    /// What a limit without room asks for in place of it, and of all that the caller wishes besides. That is the operator's
    /// last word: rules would only lead back.
    pub instead: Option<&'a str>,
    pub headers: &'a Headers,
    pub wishes: &'a Wishes,
    /// Its own keys of providers.
    pub own: &'a OwnKeys,
    pub asked: &'a Asked<'a>,
    pub size: &'a Size,
    pub now: Millis,
}

/// Who may be asked, in order, and by which policy.
#[derive(Debug)]
pub struct Laid<'c> {
    /// The name that the rules have for the first model.
    pub model: String,
    /// By which its targets are put in order.
    pub order: Order,
    /// How often and how long is tried: of the first model too.
    pub policy: &'c Arc<Policy>,
    pub candidates: Vec<Candidate>,
    pub left_out: Vec<(Arc<Target>, Unfit)>,
    /// What of the wishes is for gateways among them.
    pub behind: Behind,
    /// The limits that count the request, whichever of its models answers.
    pub limits: Vec<Due>,
}

/// A model to be asked for, once the rules have been followed.
struct Name<'n> {
    model: &'n str,
    /// What an ending of the name that the caller wrote wants.
    order: Option<Order>,
    /// Where the caller wrote it, for a mistake: `None` for the first.
    at: Option<String>,
}

/// Lays out the targets of the model that a request names, and behind them those of the models that its caller wishes
/// then. `rules` are the places of the rules that applied, or of the one that refused it.
pub fn lay<'c>(
    config: &'c Config,
    health: &Shared,
    wanted: &Wanted<'_>,
    dice: &mut Dice,
    rules: &mut Vec<usize>,
) -> Result<Laid<'c>, Error> {
    let Wanted { caller, wishes, own, asked, size, now, .. } = *wanted;
    let facts = facts(config, wanted);
    let names = names(config, wanted, &facts, dice, rules)?;
    for Name { model, at, .. } in &names {
        allowed(config, caller, own, model).map_err(|error| placed(error, at.clone()))?;
    }
    let limits = if caller.limits.is_empty() && config.limits.is_empty() {
        Vec::new()
    } else {
        let mut limits = caller.limits.iter().chain(&config.limits);
        let is_named = limits.any(|limit| limit.when.model.is_some());
        let other = |model| if is_named { other_name(config, own, model) } else { None };
        let models: Vec<_> = names.iter().map(|name| (name.model, other(name.model))).collect();
        due(&config.limits, caller, wishes.user.as_deref(), &models, &facts)
    };
    let mut laid: Option<Laid<'c>> = None;
    let names = names.into_iter().map(|Name { model, order, at }| {
        let route = resolve(config, model, own).map_err(|error| placed(error, at))?;
        Ok((model, order, route))
    });
    let routes = names.collect::<Result<Vec<_>, Error>>()?;
    let targets = routes.iter().flat_map(|(_, _, route)| route.targets.iter().map(Arc::as_ref));
    let is_known = |name: &str| {
        let name = name.to_ascii_lowercase();
        config.providers.contains(&name) || config.off.contains(&name)
    };
    let behind = Behind::of(wishes, targets, is_known);
    for (model, order, route) in &routes {
        let (model, order) = (*model, *order);
        let wished = wishes.sort.or(order);
        // Who wishes an order wants the first of it, not the one that answered before.
        let sticky = route.policy.sticky.filter(|_| wished.is_none());
        let stick = sticky.map(|sticky| asked.stick(sticky, wishes.session.as_deref()));
        let demand = asked.demand(&route.targets, stick);
        let order = wished.unwrap_or(route.policy.order);
        let known = Known {
            traits: |target| Traits::of(target),
            cost: |target: &Target| order.asks_for_cost().then(|| size.worst(target)).flatten(),
            providers: &caller.providers,
            own_only: own.only,
            health: &health.lock(),
            now,
        };
        let places = place(&route.targets, route.policy, order, (wishes, &behind), &demand, &known, dice);
        let laid = laid.get_or_insert_with(|| Laid {
            model: model.to_owned(),
            order,
            policy: route.policy,
            candidates: Vec::new(),
            left_out: Vec::new(),
            behind: Behind::default(),
            limits: Vec::new(),
        });
        if laid.candidates.is_empty() {
            laid.candidates = places.candidates;
        } else {
            // Whoever stands behind two names is asked once.
            let before: Vec<Key> = laid.candidates.iter().map(|candidate| candidate.target.key).collect();
            let is_new = |candidate: &Candidate| !before.contains(&candidate.target.key);
            laid.candidates.extend(places.candidates.into_iter().filter(is_new));
        }
        laid.left_out.extend(places.left_out);
    }
    let mut laid = laid.ok_or_else(|| Error::new(Kind::Internal, "no model was named"))?;
    // Over all models as within one: whoever is down goes behind whoever is not. Of one model they stand so already.
    laid.candidates.sort_by_key(|candidate| candidate.standing);
    Ok(Laid { behind, limits, ..laid })
}

/// What rules and limits ask of a request.
fn facts<'a>(config: &Config, wanted: &Wanted<'a>) -> Facts<'a> {
    let Wanted { caller, headers, wishes, asked, now, .. } = *wanted;
    let rules = config.rules.iter().map(|rule| &rule.when);
    let mut conditions = rules.chain(config.limits.iter().map(|limit| &limit.when));
    let needs = if conditions.any(When::asks_for_needs) { asked.needs() } else { Needs::default() };
    Facts { caller: &caller.name, tags: &wishes.tags, headers, body_bytes: asked.bytes.len(), needs, now }
}

/// The models that the rules have for a request, in place of the one that it named and of those that it wishes then.
fn names<'n>(
    config: &'n Config,
    wanted: &Wanted<'n>,
    facts: &Facts<'_>,
    dice: &mut Dice,
    rules: &mut Vec<usize>,
) -> Result<Vec<Name<'n>>, Error> {
    let Wanted { model, instead, wishes, own, .. } = *wanted;
    if let Some(model) = instead {
        return Ok(vec![Name { model, order: None, at: None }]);
    }
    // Callers of OpenRouter name the first again.
    let then = wishes.models.iter().enumerate().filter(|(_, name)| *name != model);
    let then = then.map(|(index, name)| (name.as_str(), Some(format!("models[{index}]"))));
    let mut names: Vec<Name<'n>> = Vec::new();
    for (asked_for, at) in [(model, None)].into_iter().chain(then) {
        let other = if config.rules.is_empty() { None } else { other_name(config, own, asked_for) };
        match follow(&config.rules, (asked_for, other.as_deref()), facts, dice) {
            Ok(followed) => {
                rules.extend(followed.rules);
                let (model, order) = named(config, asked_for, followed.model);
                if names.iter().all(|name| name.model != model) {
                    names.push(Name { model, order, at });
                }
            }
            Err(Denied(rule, why)) => {
                *rules = vec![rule];
                return Err(placed(Error::new(Kind::Forbidden, why.to_owned()), at));
            }
        }
    }
    Ok(names)
}

/// Whether a caller may ask for a model, by any name that this may be called.
pub fn allowed(config: &Config, caller: &Caller, own: &OwnKeys, model: &str) -> Result<(), Error> {
    // The other name has to be looked for.
    if caller.may_ask_for_all() || caller.may_ask_for(model, other_name(config, own, model).as_deref()) {
        return Ok(());
    }
    let why = format!("the model \"{model}\" is not among those that this key may ask for; GET /v1/models lists them");
    Err(Error { param: Some("model".to_owned()), ..Error::new(Kind::Forbidden, why) })
}

/// How else a model may be called: with its provider, or without.
fn other_name(config: &Config, own: &OwnKeys, model: &str) -> Option<String> {
    if config.aliases.contains(model) {
        return None;
    }
    match model.split_once('/') {
        Some((_, bare)) => (!bare.contains('/')).then(|| bare.to_owned()),
        None => resolve(config, model, own).ok()?.targets.first().map(ToString::to_string),
    }
}

/// The model that a name stands for after the rules, and the order that its ending wants. As a name of its own one with
/// an ending goes before.
fn named<'n>(config: &Config, model: &'n str, ruled: Option<&'n str>) -> (&'n str, Option<Order>) {
    match (variant(model), ruled) {
        (Some((_, order)), Some(ruled)) => (ruled, Some(order)),
        (None, Some(ruled)) => (ruled, None),
        (Some((plain, order)), None) if !is_own(config, model) => (plain, Some(order)),
        (_, None) => (model, None),
    }
}

/// Whether a name with an ending is a name as it is: of a model, or for a gateway behind this one that knows the ending.
fn is_own(config: &Config, model: &str) -> bool {
    let known = |name: &str| config.providers.get(name).or_else(|| config.unkeyed.get(name));
    let provider = model.split_once('/').and_then(|(provider, _)| known(provider));
    config.aliases.contains(model) || config.models.knows(model) || provider.is_some_and(|provider| provider.is_gateway)
}

fn placed(error: Error, at: Option<String>) -> Error {
    match at {
        Some(at) => error.at(at),
        None => error,
    }
}
