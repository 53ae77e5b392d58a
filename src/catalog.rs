//! What is known about providers and models without being told: two tables of data.

pub mod models;

use crate::dialect::Dialect;
use crate::pause::LimitHeaders;
use crate::platform::Platform;
use crate::quirks::Quirks;
use crate::route::behind::Lists;
use crate::usage;
use crate::wire::json::{self, Cursor, Read, Shape, objects, written};

objects! {
    /// A provider whose key alone turns it on, unless it needs none.
    #[derive(Debug)]
    pub struct Provider {
        pub name: String,
        pub dialect: Dialect,
        /// Others that it speaks at the same base URL.
        pub dialects: Vec<Dialect> = Vec::new(),
        /// Others that it speaks elsewhere.
        pub also: Vec<Base> = Vec::new(),
        pub platform: Platform = Platform::default(),
        /// With `{name}` where the address depends on a variable. None where each has an address of his own.
        pub base_url: Option<String>,
        /// What every URL ends with.
        pub query: Option<String>,
        /// Where those variables are found that are not called after the provider.
        pub variables: Vec<Variable> = Vec::new(),
        /// Runs on one's own machine as a rule: it is on once the configuration or `{NAME}_BASE_URL` names it.
        pub keyless: bool = false,
        /// What may hold its key, the first that does; none for `{NAME}_API_KEY`.
        pub secrets: Vec<String> = Vec::new(),
        /// Shows its key as a bearer's, whatever the dialect.
        pub bearer: bool = false,
        /// Shows its key in the header of this name.
        pub key_header: Option<String>,
        /// What a request may be signed for in place of a key, as AWS has it.
        pub service: Option<String>,
        /// What every request has besides.
        pub headers: Vec<Header> = Vec::new(),
        /// Where an answer takes long, a redirect by 303 says where to wait for it.
        pub follows_303: bool = false,
        /// The least that its answers are waited for, where that is long.
        pub first_byte_ms: Option<u64>,
        /// How the names of its models begin, for callers that send them without the provider.
        pub prefixes: Vec<String> = Vec::new(),
        /// Asks other providers in turn, and takes wishes for whom.
        pub gateway: bool = false,
        /// In which words it is told which of those it may ask; none where it cannot be.
        pub lists: Option<Lists>,
        pub limits: LimitHeaders = LimitHeaders::None,
        pub quirks: Quirks = Quirks::default(),
        /// How it tells usage, where that is not as its dialect has it.
        pub usage: Vec<usage::Rule> = Vec::new(),
        /// Where its servers are, if they are in one place whoever asks.
        pub region: Option<String>,
        pub data: DataPolicy = DataPolicy::default(),
    }

    /// What becomes of what a provider is sent, by its own word and unless its customer has agreed otherwise. What is not
    /// said is not known.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct DataPolicy {
        /// Whether it keeps nothing once it has answered.
        pub zero_retention: Option<bool>,
        /// Whether it trains no model on it.
        pub no_training: Option<bool>,
        /// How the names of models begin of which this is not said.
        pub except: Vec<String> = Vec::new(),
    }

    #[derive(Debug, Clone)]
    pub struct Base {
        pub dialect: Dialect,
        pub base_url: String,
    }

    /// What stands for `{name}` in a base URL: the first of these that is there.
    #[derive(Debug)]
    pub struct Variable {
        pub name: String,
        pub secrets: Vec<String>,
    }

    /// A header with a value, or with that of a secret.
    #[derive(Debug, Clone)]
    pub struct Header {
        pub name: String,
        pub value: Option<String>,
        pub secret: Option<String>,
        /// Left out where there is no such secret.
        pub optional: bool = false,
    }
}

written! {
    impl Base { dialect, base_url }
    impl Header { name, value?, secret?, optional? }

    /// How a provider is shown its key.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Auth {
        /// In the header that the dialect's own provider wants.
        Key as "key",
        /// As `authorization: Bearer`, whatever the dialect.
        Bearer as "bearer",
        /// In the header of this name.
        Header as "header" (String),
        /// In the URL, under this name. Only for those who take it nowhere else: URLs end up in logs.
        Query as "query" (String),
        /// AWS Signature Version 4, with the access key that AWS's own tools find.
        Sigv4 as "sigv4",
        None as "none",
    }
}

/// A word, or an object of one field.
impl<'a> Read<'a> for Auth {
    fn read(at: &mut Cursor<'a>) -> Self {
        if at.peek() == b'{' {
            return match Shown::read(at) {
                Shown { header: Some(name), query: None } => Self::Header(name),
                Shown { header: None, query: Some(name) } => Self::Query(name),
                _ => {
                    at.expected("either header or query");
                    Self::blank()
                }
            };
        }
        match at.one_of(&AUTH_WORDS, "a way to authenticate") {
            1 => Self::Bearer,
            2 => Self::Sigv4,
            3 => Self::None,
            _ => Self::Key,
        }
    }

    fn blank() -> Self {
        Self::Key
    }

    fn shape() -> Shape {
        let words = Shape::words(&[], AUTH_WORDS.map(|word| (word, &[""][..])));
        Shape::any_of(vec![words, Shown::shape().one_field()]).under(&[
            "How a provider is shown its key: a word, or the name of a header or of a part of the URL's query.",
        ])
    }
}

const AUTH_WORDS: [&str; 4] = ["key", "bearer", "sigv4", "none"];

objects! {
    /// Under which name a key is shown.
    struct Shown {
        header: Option<String>,
        query: Option<String>,
    }
}

impl DataPolicy {
    /// What is known where `model` is asked: whether nothing is kept, and whether no model is trained on it.
    pub fn of(&self, model: &str) -> (Option<bool>, Option<bool>) {
        if self.except.iter().any(|start| model.starts_with(start.as_str())) {
            return (None, None);
        }
        // Nobody trains on what is not kept.
        let no_training = self.no_training.or(self.zero_retention.filter(|keeps_nothing| *keeps_nothing));
        (self.zero_retention, no_training)
    }
}

impl Provider {
    /// How it is shown its key, unless the configuration says otherwise.
    pub fn auth(&self) -> Auth {
        match &self.key_header {
            Some(name) => Auth::Header(name.clone()),
            None if self.bearer => Auth::Bearer,
            None => Auth::Key,
        }
    }
}

pub fn providers() -> Vec<Provider> {
    // The tables are part of the program; a test reads them.
    json::parse(include_str!("catalog/providers.json")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;
    use crate::config::{Config, Draft};
    use crate::mistake::Mistakes;
    use crate::named::Named;

    objects! {
        /// Where a row comes from, and when that was read. What ships does without.
        struct Source {
            source: String,
            read: String,
            /// Where its region is from and what it does with data.
            data: Option<String>,
            /// Whence it is known how it tells usage.
            usage: Option<String>,
        }
    }

    #[test]
    fn every_row_is_complete_and_of_its_own() {
        let rows = providers();
        assert!(rows.len() >= 61, "{}", rows.len());
        let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), rows.len(), "a name stands twice");
        let sources: Named<Source> = json::parse(include_str!("catalog/sources.json")).unwrap();
        assert!(sources.names().all(|name| names.contains(name)), "what is no row has no source");
        for row in &rows {
            let name = &row.name;
            let source = sources.get(name).unwrap_or_else(|| panic!("{name}: where is it from?"));
            assert!(!source.source.is_empty() && source.read.len() == 10, "{name}: when was it read?");
            assert!(row.base_url.is_some() || row.keyless, "{name}: where is it?");
            assert_eq!(!row.usage.is_empty(), source.usage.is_some(), "{name}: who says how it tells usage?");
            let mut mistakes = Mistakes::default();
            row.usage.iter().for_each(|rule| rule.check("usage", &mut mistakes));
            assert_eq!(mistakes.or(()), Ok(()), "{name}");
            let tells = row.region.is_some() || row.data != DataPolicy::default();
            assert_eq!(tells, source.data.is_some(), "{name}: who says what it does with data?");
            let mut dialects = vec![row.dialect];
            dialects.extend(row.dialects.iter().chain(row.also.iter().map(|also| &also.dialect)));
            let once: HashSet<Dialect> = dialects.iter().copied().collect();
            assert_eq!(once.len(), dialects.len(), "{name}: {dialects:?}");
            for url in row.base_url.iter().chain(row.also.iter().map(|also| &also.base_url)) {
                assert!(url.starts_with("https://") || row.keyless, "{name}: {url}");
                for variable in &row.variables {
                    let place = format!("{{{}}}", variable.name);
                    assert!(url.contains(&place) && !variable.secrets.is_empty(), "{name}: {place}");
                }
            }
            for other in rows.iter().filter(|other| other.name != *name) {
                let shared =
                    other.prefixes.iter().find(|prefix| row.prefixes.iter().any(|own| own.starts_with(*prefix)));
                assert_eq!(shared, None, "{name} and {}", other.name);
            }
        }
    }

    #[test]
    fn what_becomes_of_data_depends_on_the_model_where_another_serves_it() {
        let data = |zero_retention, no_training| DataPolicy {
            zero_retention,
            no_training,
            except: vec!["google/".to_owned()],
        };
        let cases = [
            (data(Some(true), None), "a", (Some(true), Some(true))),
            (data(Some(true), Some(true)), "google/a", (None, None)),
            (data(Some(false), Some(true)), "a", (Some(false), Some(true))),
            (data(Some(false), None), "a", (Some(false), None)),
            (data(None, Some(false)), "a", (None, Some(false))),
        ];
        for (policy, model, expected) in cases {
            assert_eq!(policy.of(model), expected, "{policy:?} {model}");
        }
    }

    #[test]
    fn the_readme_names_every_provider() {
        let readme = include_str!("../README.md");
        for row in providers() {
            assert!(readme.contains(&format!("`{}`", row.name)), "{}", row.name);
        }
    }

    #[test]
    fn every_row_is_asked_once_its_secrets_are_there() {
        let lookup = |name: &str| {
            let value = name.to_ascii_lowercase().replace('_', "-");
            (!name.ends_with("_BASE_URL") && name != "TOLLGATE_TOKEN_SECRET").then_some(value)
        };
        let config = Config::compile(&Draft::default(), lookup);
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        // Each of its deployments has its own address.
        assert_eq!(config.off.iter().collect::<Vec<_>>(), [("modal", &"MODAL_BASE_URL".to_owned())]);
    }
}
