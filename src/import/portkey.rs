//! A config of Portkey: targets in each other, each level with its strategy. A level that one model's policy can say is
//! flattened into it; shares among whole strategies, and conditions, become models of their own behind [[rules]].

mod condition;
mod target;

use serde_json::Value;
use tollgate::config::{AliasDraft, Draft};
use tollgate::route::order::Order;
use tollgate::route::policy::PolicyDraft;
use tollgate::route::rule::{RuleDraft, WhenDraft};

use self::condition::Condition;
use super::part::{Notes, Part, ROOT};
use super::place::{self, Deployment, Named, plain, whole_weights};

/// A config, or a target in it.
#[derive(Debug)]
struct Node {
    at: String,
    name: Option<String>,
    weight: f64,
    kind: Kind,
    retries: Option<u32>,
    total_ms: Option<u64>,
}

#[derive(Debug)]
enum Kind {
    Target(Box<Deployment>),
    /// One after the other, on these statuses or on any that is an error.
    Fallback(Option<Vec<u16>>, Vec<Node>),
    /// One of them by chance, and no other.
    Share(Vec<Node>),
    Choose {
        conditions: Vec<Condition>,
        otherwise: Option<String>,
        nodes: Vec<Node>,
    },
}

/// What a level hands down to the levels in it.
#[derive(Debug, Clone, Copy, Default)]
struct Above {
    retries: Option<u32>,
    total_ms: Option<u64>,
}

/// `called` is the config's name; `model` is what its requests ask for, and then its name, too.
pub(super) fn read(file: Value, called: &str, model: Option<&str>, draft: &mut Draft, notes: &mut Notes) {
    let root = Part::read("", snake(file), notes).and_then(|part| node(part, model, notes));
    let Some(root) = root else {
        notes.wrong("the file", "has no target that can be asked here");
        return;
    };
    let name = model.map_or_else(|| plain(called), str::to_owned);
    let mut named = Vec::new();
    put(&root, &name, Above::default(), draft, &mut named, notes);
    // Rules for the names that are made stand behind those that lead to them.
    place::settle(named, Vec::new(), draft, notes);
}

/// Portkey takes its fields in either case. What is a provider's or a caller's stays as it is.
fn snake(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let mut snake = String::new();
                for letter in name.chars() {
                    if letter.is_ascii_uppercase() {
                        snake.push('_');
                    }
                    snake.push(letter.to_ascii_lowercase());
                }
                let is_own = ["query", "override_params"].contains(&snake.as_str());
                (snake, if is_own { value } else { self::snake(value) })
            });
            Value::Object(fields.collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(snake).collect()),
        plain => plain,
    }
}

fn node(mut part: Part, model: Option<&str>, notes: &mut Notes) -> Option<Node> {
    let at = part.place().to_owned();
    let name = part.text("name", notes);
    let weight = part.number("weight", notes).unwrap_or(1.0);
    let retries = retries(&mut part, notes);
    let mut total_ms = part.whole("request_timeout", notes).map(u64::from);
    part.lose(&["cache"], "answers are not kept here", notes);
    let guards = ["input_guardrails", "output_guardrails", "before_request_hooks", "after_request_hooks", "guardrails"];
    part.lose(&guards, "there are no guardrails here", notes);
    part.pass(&["id", "strict_open_ai_compliance", "description"]);
    let strategy = part.part("strategy", notes);
    if strategy.is_none() && !part.has("targets") {
        let deployment = target::read(part, model, notes)?;
        return Some(Node { at, name, weight, kind: Kind::Target(Box::new(deployment)), retries, total_ms });
    }
    let targets = part.list("targets", notes);
    // What stands beside a strategy is for each of its targets that does not say otherwise.
    part.close("stands beside a strategy; write it into its targets", notes);
    let nodes: Vec<Node> = targets
        .into_iter()
        .filter_map(|(at, value)| Part::read(&at, value, notes).and_then(|part| node(part, model, notes)))
        .collect();
    let mut kind = None;
    if let Some(mut strategy) = strategy {
        total_ms = strategy.whole("request_timeout", notes).map(u64::from).or(total_ms);
        let mode_at = strategy.at("mode");
        let mode = strategy.text("mode", notes).unwrap_or_else(|| "single".to_owned());
        let statuses = statuses(&mut strategy, "on_status_codes", notes);
        kind = match mode.as_str() {
            "single" => None,
            "fallback" => Some(0),
            "loadbalance" => Some(1),
            "conditional" => Some(2),
            other => {
                notes.wrong(
                    &mode_at,
                    &format!("\"{other}\" is not \"single\", \"fallback\", \"loadbalance\" or \"conditional\""),
                );
                None
            }
        }
        .map(|mode| (mode, statuses));
        if kind.as_ref().is_some_and(|(mode, _)| *mode == 2) {
            let conditions = condition::read(&mut strategy, notes);
            let otherwise = strategy.text("default", notes);
            strategy.close("not known here", notes);
            let kind = Kind::Choose { conditions, otherwise, nodes };
            return Some(Node { at, name, weight, kind, retries, total_ms });
        }
        strategy.close("not known here", notes);
    }
    let kind = match kind {
        Some((1, _)) => Kind::Share(nodes),
        Some((_, statuses)) => Kind::Fallback(statuses, nodes),
        None => Kind::Fallback(None, nodes.into_iter().take(1).collect()),
    };
    Some(Node { at, name, weight, kind, retries, total_ms }).filter(|node| !node.is_empty())
}

fn retries(part: &mut Part, notes: &mut Notes) -> Option<u32> {
    let mut retry = part.part("retry", notes)?;
    let attempts = retry.whole("attempts", notes);
    retry.lose(&["on_status_codes"], "a target is asked again after what may pass by itself", notes);
    // Which is kept in any case.
    retry.pass(&["use_retry_after_headers", "use_retry_after_header"]);
    retry.close("not known here", notes);
    attempts
}

fn statuses(part: &mut Part, name: &str, notes: &mut Notes) -> Option<Vec<u16>> {
    let list = part.has(name).then(|| part.list(name, notes))?;
    let mut statuses = Vec::new();
    for (at, value) in list {
        match value.as_u64().and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status))
        {
            Some(status) => statuses.push(status),
            None => notes.lose(&at, "no status from 400 to 599"),
        }
    }
    Some(statuses)
}

impl Node {
    fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Target(_) => false,
            Kind::Fallback(_, nodes) | Kind::Share(nodes) | Kind::Choose { nodes, .. } => {
                nodes.iter().all(Self::is_empty)
            }
        }
    }

    /// Its deployments in tiers, where a policy can say them; `Err` says what cannot be.
    fn tiers(&self) -> Result<Vec<Vec<Deployment>>, &'static str> {
        match &self.kind {
            Kind::Target(deployment) => Ok(vec![vec![(**deployment).clone()]]),
            Kind::Fallback(_, nodes) => {
                let mut tiers = Vec::new();
                for node in nodes {
                    tiers.extend(node.tiers()?);
                }
                Ok(tiers)
            }
            Kind::Share(nodes) => {
                let weights = whole_weights(&nodes.iter().map(|node| node.weight).collect::<Vec<_>>());
                let mut tier = Vec::new();
                for (node, weight) in nodes.iter().zip(weights) {
                    match &node.kind {
                        Kind::Target(deployment) => tier.push(Deployment { weight, ..(**deployment).clone() }),
                        _ => return Err("shares of whole strategies are for the outermost level"),
                    }
                }
                Ok(vec![tier])
            }
            Kind::Choose { .. } => Err("conditions are for the outermost level"),
        }
    }

    /// Retries or timeouts of what is in it that differ from its own.
    fn disagreements<'a>(&'a self, above: Above, found: &mut Vec<(&'a str, &'static str)>) {
        match &self.kind {
            Kind::Target(_) => {}
            Kind::Fallback(_, nodes) | Kind::Share(nodes) | Kind::Choose { nodes, .. } => {
                for node in nodes {
                    if node.retries.is_some() && node.retries != above.retries {
                        found.push((&node.at, "retry"));
                    }
                    if node.total_ms.is_some() && node.total_ms != above.total_ms {
                        found.push((&node.at, "request_timeout"));
                    }
                    node.disagreements(above, found);
                }
            }
        }
    }

    /// What all targets in it say alike, where this level says nothing.
    fn agreed<T: PartialEq + Copy>(&self, of: impl Fn(&Self) -> Option<T> + Copy) -> Option<T> {
        of(self).or_else(|| match &self.kind {
            Kind::Target(_) => None,
            Kind::Fallback(_, nodes) | Kind::Share(nodes) | Kind::Choose { nodes, .. } => {
                let mut said = nodes.iter().map(|node| node.agreed(of));
                let first = said.next().flatten()?;
                said.all(|other| other == Some(first)).then_some(first)
            }
        })
    }
}

/// Makes `node` the model `name`.
fn put(node: &Node, name: &str, above: Above, draft: &mut Draft, named: &mut Vec<Named>, notes: &mut Notes) {
    let above = Above {
        retries: node.agreed(|node| node.retries).or(above.retries),
        total_ms: node.agreed(|node| node.total_ms).or(above.total_ms),
    };
    match &node.kind {
        Kind::Choose { conditions, otherwise, nodes } => {
            choose(node, name, (conditions, otherwise.as_deref(), nodes), above, draft, named, notes);
        }
        Kind::Share(nodes) if node.tiers().is_err() => {
            let mut rule = RuleDraft { when: when(name), ..RuleDraft::default() };
            let weights = whole_weights(&nodes.iter().map(|node| node.weight).collect::<Vec<_>>());
            let parts: Vec<String> = (1..=nodes.len()).map(|part| format!("{name}-{part}")).collect();
            for (part, weight) in parts.iter().zip(weights) {
                rule.split.insert(part.clone(), weight);
            }
            draft.rules.push(rule);
            for (node, part) in nodes.iter().zip(&parts) {
                put(node, part, above, draft, named, notes);
            }
        }
        _ => match node.tiers() {
            Ok(tiers) => named.push(model(node, name, tiers, above, notes)),
            Err(why) => notes.wrong(&node.at, why),
        },
    }
}

fn when(model: &str) -> WhenDraft {
    WhenDraft { model: Some(model.to_owned()), ..WhenDraft::default() }
}

fn choose(
    node: &Node,
    name: &str,
    (conditions, otherwise, nodes): (&[Condition], Option<&str>, &[Node]),
    above: Above,
    draft: &mut Draft,
    named: &mut Vec<Named>,
    notes: &mut Notes,
) {
    let why = format!("they are for requests that ask for \"{name}\", or for what a condition on the model names");
    notes.lose(&format!("{}.conditions", strategy_at(&node.at)), &why);
    let own = |then: &str| format!("{name}-{}", plain(then));
    let find = |then: &str| nodes.iter().find(|node| node.name.as_deref() == Some(then));
    for condition in conditions {
        if find(&condition.then).is_none() {
            notes.wrong(&condition.at, &format!("no target is called \"{}\"", condition.then));
            return;
        }
        for when in &condition.when {
            // A name that is asked for tells the config, unless the condition is about that.
            let model = when.model.clone().or_else(|| Some(name.to_owned()));
            let when = WhenDraft { model, ..when.clone() };
            draft.rules.push(RuleDraft { when, model: Some(own(&condition.then)), ..RuleDraft::default() });
        }
    }
    for node in nodes {
        let Some(then) = &node.name else {
            notes.lose(&node.at, "has no name, so no condition leads there");
            continue;
        };
        if conditions.iter().any(|condition| condition.then == *then && !condition.when.is_empty()) {
            put(node, &own(then), above, draft, named, notes);
        }
    }
    match otherwise.map(|then| (then, find(then))) {
        Some((_, Some(node))) => put(node, name, above, draft, named, notes),
        Some((then, None)) => {
            notes.wrong(&format!("{}.default", strategy_at(&node.at)), &format!("no target is called \"{then}\""))
        }
        None => draft.rules.push(RuleDraft {
            when: when(name),
            deny: Some("no condition of the config holds".to_owned()),
            ..RuleDraft::default()
        }),
    }
}

fn strategy_at(at: &str) -> String {
    if at == ROOT { "strategy".to_owned() } else { format!("{at}.strategy") }
}

/// One model for all that a policy can say.
fn model(node: &Node, name: &str, tiers: Vec<Vec<Deployment>>, above: Above, notes: &mut Notes) -> Named {
    let mut found = Vec::new();
    node.disagreements(above, &mut found);
    for (at, field) in found {
        notes.lose(&format!("{at}.{field}"), "one for all targets of a model is what there is");
    }
    let mut policy = PolicyDraft { retries: above.retries, ..PolicyDraft::default() };
    let each = above.retries.unwrap_or_default().saturating_add(1);
    let steps = u32::try_from(tiers.len()).unwrap_or(u32::MAX);
    let many = tiers.iter().flatten().count() > 1;
    match &node.kind {
        Kind::Fallback(statuses, nodes) if many => {
            policy.fall_on = Some(fall_on(statuses.as_deref()));
            for node in nodes {
                if let Kind::Fallback(inner, _) = &node.kind
                    && inner != statuses
                {
                    notes.lose(
                        &format!("{}.strategy.on_status_codes", node.at),
                        "those of the level above are for all its targets",
                    );
                }
                if matches!(node.kind, Kind::Share(_)) {
                    notes.lose(
                        &format!("{}.strategy", node.at),
                        "when its first choice fails, the others are asked before what stands behind",
                    );
                }
            }
        }
        // There is no second choice.
        Kind::Share(_) if many => policy.attempts = Some(each),
        _ => {}
    }
    if policy.attempts.is_none() && steps.saturating_mul(each) > ATTEMPTS {
        policy.attempts = Some(steps.saturating_mul(each));
    }
    let draft = AliasDraft { total_ms: above.total_ms, policy, ..AliasDraft::default() };
    Named { name: name.to_owned(), tiers, order: Order::Weighted, draft }
}

/// How many there are where nobody says it.
const ATTEMPTS: u32 = 8;

/// Portkey falls back after every error unless statuses are named; it calls a timeout 408.
fn fall_on(statuses: Option<&[u16]>) -> Vec<String> {
    let Some(statuses) = statuses else {
        return ["4xx", "5xx", "timeout", "unreachable", "bad-answer"].map(str::to_owned).to_vec();
    };
    let mut fall_on: Vec<String> = statuses.iter().map(u16::to_string).collect();
    if statuses.contains(&408) {
        fall_on.push("timeout".to_owned());
    }
    fall_on
}
