//! Portkey's conditions, of which one becomes as many as it has alternatives: a rule here holds when all of it does.

use serde_json::{Map, Value};
use tollgate::route::need::Need;
use tollgate::route::rule::WhenDraft;

use super::super::part::{Notes, Part};

/// What leads to a target.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) at: String,
    pub(super) then: String,
    /// Any of these.
    pub(super) when: Vec<WhenDraft>,
}

pub(super) fn read(strategy: &mut Part, notes: &mut Notes) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (at, value) in strategy.list("conditions", notes) {
        let Some(mut part) = Part::read(&at, value, notes) else { continue };
        let query_at = part.at("query");
        let query = match part.take("query") {
            Some(Value::Object(query)) => query,
            _ => {
                notes.wrong(&query_at, "expected fields, such as {\"metadata.plan\": {\"$eq\": \"paid\"}}");
                continue;
            }
        };
        let Some(then) = part.text("then", notes) else {
            notes.wrong(&part.at("then"), "missing");
            continue;
        };
        part.close("not known here", notes);
        match all(&query, &query_at, notes) {
            Ok(when) => conditions.push(Condition { at, then, when }),
            Err(why) => notes.lose(&query_at, &format!("{why}, so nothing leads to \"{then}\" by it")),
        }
    }
    conditions
}

/// Alternatives, each of which is a rule's condition; the error says what no rule can say.
type Alternatives = Result<Vec<WhenDraft>, String>;

/// All fields of a query must hold.
fn all(query: &Map<String, Value>, at: &str, notes: &mut Notes) -> Alternatives {
    let mut alternatives = vec![WhenDraft::default()];
    for (field, value) in query {
        let more = match (field.as_str(), value) {
            ("$or", Value::Array(list)) => any(list, at, notes)?,
            ("$and", Value::Array(list)) => {
                let mut both = vec![WhenDraft::default()];
                for value in list {
                    both = product(&both, &inner(value, at, notes)?)?;
                }
                both
            }
            (field, value) => one(field, value, at, notes)?,
        };
        alternatives = product(&alternatives, &more)?;
    }
    Ok(alternatives)
}

fn any(list: &[Value], at: &str, notes: &mut Notes) -> Alternatives {
    let mut alternatives = Vec::new();
    for value in list {
        alternatives.extend(inner(value, at, notes)?);
    }
    Ok(alternatives)
}

fn inner(value: &Value, at: &str, notes: &mut Notes) -> Alternatives {
    // A query in a query is as deep as the reader of the file lets it be.
    let query = value.as_object().ok_or("a part of it is no query")?;
    all(query, at, notes)
}

/// More is no condition that a person has written.
const ALTERNATIVES_MAX: usize = 64;

fn product(one: &[WhenDraft], other: &[WhenDraft]) -> Alternatives {
    if one.len() * other.len() > ALTERNATIVES_MAX {
        return Err(format!("it has more than {ALTERNATIVES_MAX} alternatives"));
    }
    one.iter().flat_map(|one| other.iter().map(move |other| both(one, other))).collect()
}

fn both(one: &WhenDraft, other: &WhenDraft) -> Result<WhenDraft, String> {
    let either = |one: &Option<String>, other: &Option<String>, what: &str| match (one, other) {
        (Some(one), Some(other)) if one != other => Err(format!("a rule asks for one {what} only")),
        (one, other) => Ok(one.clone().or_else(|| other.clone())),
    };
    let mut needs = one.needs.clone();
    needs.extend(&other.needs);
    Ok(WhenDraft {
        model: either(&one.model, &other.model, "model")?,
        tag: either(&one.tag, &other.tag, "tag")?,
        needs,
        ..WhenDraft::default()
    })
}

/// A field with a value, or with operators.
fn one(field: &str, value: &Value, at: &str, notes: &mut Notes) -> Alternatives {
    let globs = match value {
        Value::Object(operators) => {
            let mut operators = operators.iter();
            match (operators.next(), operators.next()) {
                (Some((operator, value)), None) => globs(field, operator, value)?,
                _ => return Err(format!("{field} has not one operator")),
            }
        }
        plain => vec![literal(field, plain)?],
    };
    let is_stream = field == "params.stream";
    let mut alternatives = Vec::new();
    for glob in globs {
        alternatives.push(match field.split_once('.') {
            Some(("params", "model")) => WhenDraft { model: Some(glob), ..WhenDraft::default() },
            Some(("params", "stream")) if is_stream && glob == "true" => {
                WhenDraft { needs: vec![Need::Stream], ..WhenDraft::default() }
            }
            Some(("metadata", name)) => {
                let tag = format!("{name}:{glob}");
                notes.lose(&format!("{at}.{field}"), &format!("requests say it by the header x-tollgate-tags: {tag}"));
                WhenDraft { tag: Some(tag), ..WhenDraft::default() }
            }
            _ => return Err(format!("no rule is about {field}")),
        });
    }
    Ok(alternatives)
}

fn globs(field: &str, operator: &str, value: &Value) -> Result<Vec<String>, String> {
    match (operator, value) {
        ("$eq", value) => Ok(vec![literal(field, value)?]),
        ("$in", Value::Array(list)) => list.iter().map(|value| literal(field, value)).collect(),
        ("$regex", Value::String(pattern)) => Ok(vec![glob(pattern)?]),
        _ => Err(format!("no rule says {operator}")),
    }
}

/// A value as a text that only it matches.
fn literal(field: &str, value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        _ => return Err(format!("{field} has no plain value")),
    };
    if text.contains('*') { Err("a star stands for any text here".to_owned()) } else { Ok(text) }
}

/// A regular expression that says no more than where a text stands.
fn glob(pattern: &str) -> Result<String, String> {
    let (start, rest) = match pattern.strip_prefix('^') {
        Some(rest) => ("", rest),
        None => ("*", pattern),
    };
    let (rest, end) = match rest.strip_suffix('$') {
        Some(rest) => (rest, ""),
        None => (rest, "*"),
    };
    let glob = format!("{start}{}{end}", rest.replace(".*", "*"));
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_/:@ *".contains(letter);
    if glob.chars().all(is_plain) {
        Ok(glob.replace("**", "*"))
    } else {
        Err(format!("no rule says the regular expression \"{pattern}\""))
    }
}
