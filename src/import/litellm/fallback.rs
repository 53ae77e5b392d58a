//! LiteLLM's fallbacks: from one model to others, on any failure or on two kinds of them.

use serde_json::Value;
use tollgate::route::class::Classes;

use super::super::every_failure;
use super::super::part::{Notes, Part, kind};

#[derive(Debug, Default)]
pub(super) struct Fallbacks {
    any: Vec<Fallback>,
    context: Vec<Fallback>,
    filtered: Vec<Fallback>,
    /// For models that have none of their own.
    default: Vec<String>,
}

/// What is asked after a model.
#[derive(Debug)]
struct Fallback {
    at: String,
    model: String,
    then: Vec<String>,
}

/// What stands behind a model, and the failures that lead there, where they are not the usual ones.
#[derive(Debug, Default)]
pub(super) struct Behind {
    pub(super) names: Vec<String>,
    pub(super) fall_on: Option<Vec<String>>,
}

const ANY: &str = "*";

impl Fallbacks {
    /// Of a section; what it has goes before what was read from another.
    pub(super) fn read(&mut self, part: &mut Part, notes: &mut Notes) {
        for (name, list) in [
            ("fallbacks", &mut self.any),
            ("context_window_fallbacks", &mut self.context),
            ("content_policy_fallbacks", &mut self.filtered),
        ] {
            if part.has(name) {
                *list = fallbacks(part, name, notes);
            }
        }
        if part.has("default_fallbacks") {
            self.default = part.texts("default_fallbacks", notes);
        }
        if let Some(place) = self.any.iter().position(|fallback| fallback.model == ANY) {
            self.default = self.any.remove(place).then;
        }
        part.lose(&["max_fallbacks"], "write attempts, which counts every target and retry", notes);
    }

    /// Leaves out names that are no model's.
    pub(super) fn keep(&mut self, known: &[&str], notes: &mut Notes) {
        let mut keep = |at: &str, name: &String| {
            let is_known = known.contains(&name.as_str());
            if !is_known {
                notes.lose(at, &format!("no model is called \"{name}\""));
            }
            is_known
        };
        for list in [&mut self.any, &mut self.context, &mut self.filtered] {
            list.retain_mut(|fallback| {
                fallback.then.retain(|name| keep(&fallback.at, name));
                keep(&fallback.at, &fallback.model) && !fallback.then.is_empty()
            });
        }
        self.default.retain(|name| keep("default_fallbacks", name));
    }

    /// What is asked after the model `name`, which has `own` deployments.
    pub(super) fn after(&self, name: &str, own: usize, notes: &mut Notes) -> Behind {
        let mut names = Vec::new();
        self.follow(name, name, &mut names);
        let is_any = !names.is_empty();
        let mut classes = Vec::new();
        for (list, class) in [(&self.context, "context"), (&self.filtered, "filtered")] {
            let Some(fallback) = list.iter().find(|fallback| fallback.model == name) else { continue };
            classes.push(class.to_owned());
            let new: Vec<&String> =
                fallback.then.iter().filter(|then| !names.contains(then) && *then != name).collect();
            if (is_any || own > 1 || classes.len() > 1) && !new.is_empty() {
                let why = "stands behind the others, and is asked after their other failures too";
                notes.lose(&fallback.at, why);
            }
            names.extend(new.into_iter().cloned().collect::<Vec<_>>());
        }
        let fall_on = match (is_any, classes.is_empty()) {
            // After every error, a caller's own too.
            (true, _) => Some(every_failure()),
            (false, true) => None,
            // Nothing but its fallbacks is behind a deployment that is alone.
            (false, false) if own == 1 => Some(classes),
            (false, false) => {
                let usual: Vec<String> = Classes::USUAL.iter().map(|class| class.word().to_owned()).collect();
                let more: Vec<String> = classes.into_iter().filter(|class| !usual.contains(class)).collect();
                (!more.is_empty()).then(|| usual.into_iter().chain(more).collect())
            }
        };
        Behind { names, fall_on }
    }

    /// Fallbacks have fallbacks.
    fn follow(&self, first: &str, name: &str, names: &mut Vec<String>) {
        let own = self.any.iter().find(|fallback| fallback.model == name).map(|fallback| &fallback.then);
        for then in own.unwrap_or(&self.default) {
            if then != first && !names.contains(then) {
                names.push(then.clone());
                if own.is_some() {
                    self.follow(first, then, names);
                }
            }
        }
    }
}

/// A list of objects, each from a model to a list of models.
fn fallbacks(part: &mut Part, name: &str, notes: &mut Notes) -> Vec<Fallback> {
    let mut fallbacks = Vec::new();
    for (at, value) in part.list(name, notes) {
        for (model, then) in Part::read(&at, value, notes).into_iter().flat_map(Part::into_fields) {
            let at = format!("{at}.{model}");
            let list = match then {
                Value::Array(list) => list,
                one @ Value::String(_) => vec![one],
                other => {
                    notes.wrong(&at, &format!("expected a list of models, not {}", kind(&other)));
                    continue;
                }
            };
            let mut then = Vec::new();
            for (index, value) in list.into_iter().enumerate() {
                match value {
                    Value::String(model) => then.push(model),
                    _ => notes.lose(&format!("{at}[{index}]"), "only models by their names are carried"),
                }
            }
            fallbacks.push(Fallback { at, model, then });
        }
    }
    fallbacks
}
