//! A config of Portkey as it is written: targets, and levels of strategies over them.

use serde_json::Value;

use super::super::part::{Notes, Part};
use super::super::place::{Deployment, whole_weights};
use super::condition::{self, Condition};
use super::{Above, target};

/// A config, or a target in it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: String,
    pub(super) name: Option<String>,
    pub(super) weight: f64,
    pub(super) kind: Kind,
    pub(super) retries: Option<u32>,
    pub(super) first_byte_ms: Option<u64>,
}

#[derive(Debug)]
pub(super) enum Kind {
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

const GUARDRAILS: [&str; 5] =
    ["input_guardrails", "output_guardrails", "before_request_hooks", "after_request_hooks", "guardrails"];

/// Portkey takes its fields in either case. What is a provider's or a caller's stays as it is.
pub(super) fn snake(value: Value) -> Value {
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

impl Node {
    /// `model` is what a target is asked for that names none.
    pub(super) fn read(mut part: Part, model: Option<&str>, notes: &mut Notes) -> Option<Self> {
        let at = part.place().to_owned();
        let name = part.text("name", notes);
        let weight = part.number("weight", notes).unwrap_or(1.0);
        let retries = retries(&mut part, notes);
        let mut first_byte_ms = timeout(&mut part, notes);
        part.lose(&["cache"], "answers are not kept here", notes);
        part.lose(&GUARDRAILS, "there are no guardrails here", notes);
        part.pass(&["id", "strict_open_ai_compliance", "description"]);
        if !part.has("strategy") && !part.has("targets") {
            let kind = Kind::Target(Box::new(target::read(part, model, notes)?));
            return Some(Self { at, name, weight, kind, retries, first_byte_ms });
        }
        let strategy = part.part("strategy", notes);
        let targets = part.list("targets", notes);
        part.close("stands beside a strategy; write it into its targets", notes);
        let read = |(at, value): (String, Value)| Self::read(Part::read(&at, value, notes)?, model, notes);
        let nodes: Vec<Self> = targets.into_iter().filter_map(read).collect();
        let kind = match strategy {
            None => Kind::single(nodes),
            Some(mut strategy) => {
                first_byte_ms = timeout(&mut strategy, notes).or(first_byte_ms);
                Kind::read(strategy, nodes, notes)
            }
        };
        Some(Self { at, name, weight, kind, retries, first_byte_ms }).filter(|node| !node.is_empty())
    }
}

impl Kind {
    fn read(mut strategy: Part, nodes: Vec<Node>, notes: &mut Notes) -> Self {
        let at = strategy.at("mode");
        let mode = strategy.text("mode", notes).unwrap_or_default();
        let statuses = statuses(&mut strategy, notes);
        let kind = match mode.as_str() {
            "" | "single" => Self::single(nodes),
            "fallback" => Self::Fallback(statuses, nodes),
            "loadbalance" => Self::Share(nodes),
            "conditional" => Self::Choose {
                conditions: condition::read(&mut strategy, notes),
                otherwise: strategy.text("default", notes),
                nodes,
            },
            other => {
                let modes = "\"single\", \"fallback\", \"loadbalance\" or \"conditional\"";
                notes.wrong(&at, &format!("\"{other}\" is not {modes}"));
                Self::single(nodes)
            }
        };
        strategy.close("not known here", notes);
        kind
    }

    /// The first, and nothing behind it.
    fn single(nodes: Vec<Node>) -> Self {
        Self::Fallback(None, nodes.into_iter().take(1).collect())
    }

    pub(super) fn nodes(&self) -> &[Node] {
        match self {
            Self::Target(_) => &[],
            Self::Fallback(_, nodes) | Self::Share(nodes) | Self::Choose { nodes, .. } => nodes,
        }
    }
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

fn timeout(part: &mut Part, notes: &mut Notes) -> Option<u64> {
    let ms = part.whole("request_timeout", notes)?;
    notes.lose(&part.at("request_timeout"), "until the first byte of an answer here; what has begun may take longer");
    Some(ms.into())
}

fn statuses(strategy: &mut Part, notes: &mut Notes) -> Option<Vec<u16>> {
    let name = "on_status_codes";
    let list = strategy.has(name).then(|| strategy.list(name, notes))?;
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
        !matches!(self.kind, Kind::Target(_)) && self.kind.nodes().iter().all(Self::is_empty)
    }

    /// Its deployments in tiers, where a policy can say them; `Err` says what cannot be.
    pub(super) fn tiers(&self) -> Result<Vec<Vec<Deployment>>, &'static str> {
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
    pub(super) fn disagreements<'a>(&'a self, above: Above, found: &mut Vec<(&'a str, &'static str)>) {
        for node in self.kind.nodes() {
            if node.retries.is_some() && node.retries != above.retries {
                found.push((&node.at, "retry"));
            }
            if node.first_byte_ms.is_some() && node.first_byte_ms != above.first_byte_ms {
                found.push((&node.at, "request_timeout"));
            }
            node.disagreements(above, found);
        }
    }

    /// What all targets in it say alike, where this level says nothing.
    pub(super) fn agreed<T: PartialEq + Copy>(&self, of: impl Fn(&Self) -> Option<T> + Copy) -> Option<T> {
        of(self).or_else(|| {
            let mut said = self.kind.nodes().iter().map(|node| node.agreed(of));
            let first = said.next().flatten()?;
            said.all(|other| other == Some(first)).then_some(first)
        })
    }
}
