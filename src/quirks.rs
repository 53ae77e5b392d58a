//! What a provider's servers do otherwise than their dialect says, as data: a row of the catalogue or of the
//! configuration. Fields that they refuse, call by another name or spell in another way; reasoning that stands in the
//! text. How they tell usage is [`crate::usage`].

mod think;

use self::think::Splitter;
use self::think::split as split_thought;
use crate::chat::{Event, Response};
use crate::wire::json::{Fields, objects, parse, quoted, written};

objects! {
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct Quirks {
        /// What requests must be like, rule after rule.
        pub requests: Vec<Rule> = Vec::new(),
        /// Files are taken inline only, also where the dialect has them by address.
        pub inline_files: bool = false,
        /// Reasoning stands in the text, between `<think>` and `</think>`.
        pub think_tags: bool = false,
    }

    /// One change of the fields at the top of a request.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct Rule {
        /// How the names of its models begin; all where it names none.
        pub models: Vec<String> = Vec::new(),
        /// Fields that are refused there.
        pub drop: Vec<String> = Vec::new(),
        /// Fields that are called otherwise.
        pub rename: Vec<Renaming> = Vec::new(),
        /// Words that are spelled otherwise.
        pub spell: Vec<Spelling> = Vec::new(),
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Renaming {
        pub field: String,
        pub to: String,
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Spelling {
        pub field: String,
        pub from: String,
        pub to: String,
    }
}

written! {
    impl Quirks { requests?, inline_files?, think_tags? }
    impl Rule { models?, drop?, rename?, spell? }
    impl Renaming { field, to }
    impl Spelling { field, from, to }
}

impl Quirks {
    /// `body` as the provider takes it. What it does not take goes to `lost`; every other byte stays.
    pub fn request(&self, model: &str, mut body: Vec<u8>, lost: &mut Vec<String>) -> Vec<u8> {
        let is_for = |rule: &&Rule| rule.models.is_empty() || rule.models.iter().any(|start| model.starts_with(start));
        for rule in self.requests.iter().filter(is_for) {
            body = rule.apply(body, lost);
        }
        body
    }

    /// A whole answer as its dialect would have it.
    pub fn response(&self, response: &mut Response) {
        if self.think_tags {
            split_thought(response);
        }
    }
}

impl Rule {
    fn apply(&self, body: Vec<u8>, lost: &mut Vec<String>) -> Vec<u8> {
        // Whatever was written, or sent by the caller, was read as an object.
        let Ok(fields) = Fields::read(&body) else { return body };
        let given = |name: &str| fields.raw(name).filter(|raw| raw.get() != "null");
        let mut gone: Vec<&str> = Vec::new();
        for name in &self.drop {
            if fields.raw(name).is_some() {
                gone.push(name);
            }
            if given(name).is_some() && !lost.contains(name) {
                lost.push(name.clone());
            }
        }
        let mut told: Vec<(&str, String)> = Vec::new();
        for Renaming { field, to } in &self.rename {
            if let Some(raw) = fields.raw(field) {
                gone.push(field);
                if given(to).is_none() {
                    told.push((to, raw.get().to_owned()));
                }
            }
        }
        for Spelling { field, from, to } in &self.spell {
            if fields.raw(field).is_some_and(|raw| parse::<String>(raw.get()).is_ok_and(|word| word == *from)) {
                told.push((field, quoted(to)));
            }
        }
        if gone.is_empty() && told.is_empty() {
            return body;
        }
        let bare = fields.without(&gone);
        let told: Vec<(&str, &str)> = told.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match Fields::read(&bare) {
            Ok(fields) => fields.with(&told),
            Err(_) => bare,
        }
    }
}

/// Reads a stream's events as its dialect would have told them.
#[derive(Debug, Default)]
pub struct Reader {
    think_tags: bool,
    thought: Splitter,
}

impl Reader {
    pub fn new(quirks: &Quirks) -> Self {
        Self { think_tags: quirks.think_tags, thought: Splitter::default() }
    }

    /// Whether the upstream's bytes say something else than the caller is told.
    pub fn retells(&self) -> bool {
        self.think_tags
    }

    pub fn read(&mut self, events: &mut Vec<Event>) {
        if self.think_tags {
            let told = std::mem::take(events);
            for event in told {
                self.thought.event(event, events);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(quirks: &str, model: &str, body: &str) -> (String, Vec<String>) {
        let quirks: Quirks = parse(quirks).unwrap();
        let mut lost = Vec::new();
        let body = quirks.request(model, body.as_bytes().to_vec(), &mut lost);
        (String::from_utf8(body).unwrap(), lost)
    }

    #[test]
    fn fields_are_dropped_renamed_and_spelled_and_every_other_byte_stays() {
        let mistral = r#"{"requests":[{"drop":["logit_bias"],"rename":[{"field":"seed","to":"random_seed"}],"spell":[{"field":"tool_choice","from":"required","to":"any"}]}]}"#;
        let cases = [
            (r#"{ "seed" : 7, "x":1.0 }"#, r#"{ "x":1.0 ,"random_seed":7}"#, vec![]),
            (r#"{"tool_choice":"required","a":[]}"#, r#"{"tool_choice":"any","a":[]}"#, vec![]),
            (r#"{"tool_choice":"auto"}"#, r#"{"tool_choice":"auto"}"#, vec![]),
            (r#"{"tool_choice":{"a":1},"logit_bias":{}}"#, r#"{"tool_choice":{"a":1}}"#, vec!["logit_bias"]),
            (r#"{"logit_bias":null}"#, "{}", vec![]),
            (r#"{"seed":1,"random_seed":2}"#, r#"{"random_seed":2}"#, vec![]),
            ("not JSON", "not JSON", vec![]),
        ];
        for (body, expected, lost) in cases {
            assert_eq!(
                ask(mistral, "mistral-large", body),
                (expected.to_owned(), lost.iter().map(|name: &&str| (*name).to_owned()).collect())
            );
        }
    }

    #[test]
    fn a_rule_is_for_the_models_it_names() {
        let xai = r#"{"requests":[{"drop":["stop"]},{"models":["grok-4"],"drop":["reasoning_effort"]}]}"#;
        let body = r#"{"stop":["a"],"reasoning_effort":"low"}"#;
        assert_eq!(ask(xai, "grok-4.20", body).0, "{}");
        assert_eq!(ask(xai, "grok-3", body).0, r#"{"reasoning_effort":"low"}"#);
    }
}
