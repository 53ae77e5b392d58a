//! Arguments of a call that come in pieces: values by their paths, `$.items[0].name`, texts in several.
//!
//! Only Vertex AI sends them, and only to who asks for it.
//! Source: "Streaming function calling arguments", Vertex AI documentation, read 2026-11.

use std::borrow::Cow;

use crate::wire::json::{self, Raw, objects, quoted};

/// A path deeper than this, or an object with more fields, is none that a model wrote.
const DEPTH_MAX: usize = 32;
const FIELDS_MAX: usize = 1024;

objects! {
    pub(super) struct PartialArg<'a> {
        json_path as "jsonPath": Cow<'a, str>,
        string_value as "stringValue": Option<String>,
        number_value as "numberValue": Option<Raw<'a>>,
        bool_value as "boolValue": Option<bool>,
        null_value as "nullValue": Option<Raw<'a>>,
    }
}

/// The arguments so far.
#[derive(Debug, Default)]
pub(super) struct Partial(Node);

#[derive(Debug, Default)]
enum Node {
    #[default]
    Unset,
    Text(String),
    /// A number, `true`, `false` or `null`.
    Plain(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

#[derive(Debug, PartialEq)]
enum Step {
    Name(String),
    Index(usize),
}

impl Partial {
    /// Adds one piece; one whose path cannot be followed is passed over.
    pub(super) fn set(&mut self, arg: &PartialArg<'_>) {
        let Some(steps) = steps(&arg.json_path) else { return };
        let Some(node) = steps.into_iter().try_fold(&mut self.0, Node::step) else { return };
        if let Some(text) = &arg.string_value {
            match node {
                Node::Text(known) => known.push_str(text),
                node => *node = Node::Text(text.clone()),
            }
        } else if let Some(number) = arg.number_value {
            *node = Node::Plain(number.get().to_owned());
        } else if let Some(value) = arg.bool_value {
            *node = Node::Plain(value.to_string());
        } else if arg.null_value.is_some() || matches!(node, Node::Unset) {
            *node = Node::Plain("null".to_owned());
        }
    }

    /// The arguments as the JSON text of an object.
    pub(super) fn json(&self) -> String {
        match &self.0 {
            Node::Object(_) => {
                let mut out = String::new();
                self.0.write(&mut out);
                out
            }
            _ => "{}".to_owned(),
        }
    }
}

impl Node {
    fn step(&mut self, step: Step) -> Option<&mut Self> {
        match step {
            Step::Name(name) => {
                if matches!(self, Self::Unset) {
                    *self = Self::Object(Vec::new());
                }
                let Self::Object(fields) = self else { return None };
                let at = fields.iter().position(|(known, _)| *known == name).unwrap_or(fields.len());
                if at == fields.len() {
                    if at == FIELDS_MAX {
                        return None;
                    }
                    fields.push((name, Self::Unset));
                }
                fields.get_mut(at).map(|(_, node)| node)
            }
            Step::Index(index) => {
                if matches!(self, Self::Unset) {
                    *self = Self::List(Vec::new());
                }
                let Self::List(items) = self else { return None };
                // Models write lists in order; a gap would make much of little.
                if index == items.len() {
                    items.push(Self::Unset);
                }
                items.get_mut(index)
            }
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Unset => out.push_str("null"),
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::Plain(text) => out.push_str(text),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (at, (name, value)) in fields.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    out.push_str(&quoted(name));
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// `$.a[0].b` and `$['a']["b"]`.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == DEPTH_MAX {
            return None;
        }
        if let Some(named) = rest.strip_prefix('.') {
            let end = named.find(['.', '[']).unwrap_or(named.len());
            let (name, after) = named.split_at_checked(end)?;
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        } else {
            let inner = rest.strip_prefix('[')?;
            let quote = inner.chars().next().filter(|c| matches!(c, '\'' | '"'));
            let (text, after) = match quote {
                Some(quote) => {
                    let inner = inner.strip_prefix(quote)?;
                    inner.split_once(if quote == '"' { "\"]" } else { "']" })?
                }
                None => inner.split_once(']')?,
            };
            steps.push(match quote {
                Some(_) => Step::Name(text.to_owned()),
                None => Step::Index(json::parse::<u32>(text).ok()? as usize),
            });
            rest = after;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_path_become_one_object() {
        let mut partial = Partial::default();
        for piece in [
            r#"{"jsonPath":"$.a[0].b","stringValue":"x\"","willContinue":true}"#,
            r#"{"jsonPath":"$.a[0].b","stringValue":"y"}"#,
            r#"{"jsonPath":"$.a[0]['c.d']","numberValue":1.50}"#,
            r#"{"jsonPath":"$.a[1]","boolValue":false}"#,
            r#"{"jsonPath":"$.n","nullValue":"NULL_VALUE"}"#,
            // None of these can be followed.
            r#"{"jsonPath":"$.a.b","numberValue":1}"#,
            r#"{"jsonPath":"$.a[999999999]","numberValue":1}"#,
            r#"{"jsonPath":"a","numberValue":1}"#,
            r#"{"jsonPath":"$[","numberValue":1}"#,
        ] {
            partial.set(&json::parse(piece).unwrap());
        }
        assert_eq!(partial.json(), r#"{"a":[{"b":"x\"y","c.d":1.50},false],"n":null}"#);
        assert_eq!(Partial::default().json(), "{}");
    }
}
