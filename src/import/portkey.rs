//! A config of Portkey: targets in each other, each level with its strategy. A level that one model's policy can say is
//! flattened into it; shares among whole strategies, and conditions, become models of their own behind [[rules]].

mod condition;
mod node;
mod target;

use serde_json::Value;
use tollgate::config::{AliasDraft, Draft};
use tollgate::route::order::Order;
use tollgate::route::policy::PolicyDraft;
use tollgate::route::rule::{RuleDraft, WhenDraft};

use self::condition::Condition;
use self::node::{Kind, Node, snake};
use super::every_failure;
use super::part::{Notes, Part, ROOT};
use super::place::{self, Deployment, Named, plain, whole_weights};

/// What a level hands down to the levels in it.
#[derive(Debug, Clone, Copy, Default)]
struct Above {
    retries: Option<u32>,
    first_byte_ms: Option<u64>,
}

/// `called` is the config's name; `model` is what its requests ask for, and then its name, too.
pub(super) fn read(file: Value, called: &str, model: Option<&str>, draft: &mut Draft, notes: &mut Notes) {
    let root = Part::read("", snake(file), notes).and_then(|part| Node::read(part, model, notes));
    let Some(root) = root else {
        notes.wrong(ROOT, "has no target that can be asked here");
        return;
    };
    let name = model.map_or_else(|| plain(called), str::to_owned);
    let mut making = Making { draft, named: Vec::new(), notes };
    making.put(&root, &name, Above::default());
    let Making { draft, named, notes } = making;
    place::settle(named, Vec::new(), draft, notes);
}

/// Models on their way, and the rules that lead to them. Rules for a name stand behind those that give it.
struct Making<'m> {
    draft: &'m mut Draft,
    named: Vec<Named>,
    notes: &'m mut Notes,
}

impl Making<'_> {
    /// Makes `node` the model `name`.
    fn put(&mut self, node: &Node, name: &str, above: Above) {
        let above = Above {
            retries: node.agreed(|node| node.retries).or(above.retries),
            first_byte_ms: node.agreed(|node| node.first_byte_ms).or(above.first_byte_ms),
        };
        match (&node.kind, node.tiers()) {
            (Kind::Choose { conditions, otherwise, .. }, _) => {
                self.choose(node, name, conditions, otherwise.as_deref(), above);
            }
            (Kind::Share(nodes), Err(_)) => self.split(nodes, name, above),
            (_, Ok(tiers)) => self.named.push(model(node, name, tiers, above, self.notes)),
            (_, Err(why)) => self.notes.wrong(&node.at, why),
        }
    }

    /// Shares among models of their own.
    fn split(&mut self, nodes: &[Node], name: &str, above: Above) {
        let mut rule = RuleDraft { when: when(name), ..RuleDraft::default() };
        let weights = whole_weights(&nodes.iter().map(|node| node.weight).collect::<Vec<_>>());
        let parts: Vec<String> = (1..=nodes.len()).map(|part| format!("{name}-{part}")).collect();
        for (part, weight) in parts.iter().zip(weights) {
            rule.split.insert(part.clone(), weight);
        }
        self.draft.rules.push(rule);
        for (node, part) in nodes.iter().zip(&parts) {
            self.put(node, part, above);
        }
    }

    /// Models of their own behind conditions, and `name` itself for when none holds.
    fn choose(&mut self, node: &Node, name: &str, conditions: &[Condition], otherwise: Option<&str>, above: Above) {
        let at = strategy_at(&node.at);
        let why = format!("they are for requests that ask for \"{name}\", or for what a condition on the model names");
        self.notes.lose(&format!("{at}.conditions"), &why);
        let own = |then: &str| format!("{name}-{}", plain(then));
        let nodes = node.kind.nodes();
        let find = |then: &str| nodes.iter().find(|node| node.name.as_deref() == Some(then));
        for condition in conditions {
            if find(&condition.then).is_none() {
                self.notes.wrong(&condition.at, &format!("no target is called \"{}\"", condition.then));
                return;
            }
            for when in &condition.when {
                let model = when.model.clone().or_else(|| Some(name.to_owned()));
                let when = WhenDraft { model, ..when.clone() };
                self.draft.rules.push(RuleDraft { when, model: Some(own(&condition.then)), ..RuleDraft::default() });
            }
        }
        for node in nodes {
            let Some(then) = &node.name else {
                self.notes.lose(&node.at, "has no name, so no condition leads there");
                continue;
            };
            if conditions.iter().any(|condition| condition.then == *then) {
                self.put(node, &own(then), above);
            }
        }
        match otherwise.map(|then| (then, find(then))) {
            Some((_, Some(node))) => self.put(node, name, above),
            Some((then, None)) => {
                self.notes.wrong(&format!("{at}.default"), &format!("no target is called \"{then}\""));
            }
            None => self.draft.rules.push(RuleDraft {
                when: when(name),
                deny: Some("no condition of the config holds".to_owned()),
                ..RuleDraft::default()
            }),
        }
    }
}

fn when(model: &str) -> WhenDraft {
    WhenDraft { model: Some(model.to_owned()), ..WhenDraft::default() }
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
            for (place, node) in nodes.iter().enumerate() {
                if let Kind::Fallback(inner, _) = &node.kind
                    && inner != statuses
                {
                    notes.lose(
                        &format!("{}.strategy.on_status_codes", node.at),
                        "those of the level above are for all its targets",
                    );
                }
                if matches!(node.kind, Kind::Share(_)) {
                    let why = match place {
                        0 => "when its first choice fails, the others are asked before what stands behind",
                        _ => "behind others, its targets are asked in the order of the file",
                    };
                    notes.lose(&format!("{}.strategy", node.at), why);
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
    let draft = AliasDraft { first_byte_ms: above.first_byte_ms, policy: Some(policy), ..AliasDraft::default() };
    Named { name: name.to_owned(), tiers, order: Order::Weighted, draft }
}

/// How many there are where nobody says it.
const ATTEMPTS: u32 = 8;

/// Portkey falls back after every error unless statuses are named; it calls a timeout 408.
fn fall_on(statuses: Option<&[u16]>) -> Vec<String> {
    let Some(statuses) = statuses else { return every_failure() };
    let mut fall_on: Vec<String> = statuses.iter().map(u16::to_string).collect();
    if statuses.contains(&408) {
        fall_on.push("timeout".to_owned());
    }
    fall_on
}
