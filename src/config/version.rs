//! Which configuration this is: a short hash of what was written, so that the log, `GET /health` and `tollgate config` can
//! be held against one another; and what the log says when one is taken or refused.

use super::{Mistake, sha256};
use crate::wire::json::{to_string, written};

/// Where nothing is written.
const NONE: &str = "none";

/// Of the JSON that the wasm hosts load; of TOML it is that of the JSON that `tollgate config` prints.
pub fn version(text: Option<&str>) -> String {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        None => NONE.to_owned(),
        Some(text) => sha256(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect(),
    }
}

written! {
    struct Line<'a> {
        event: &'static str,
        /// What is served by, if anything is.
        version?: Option<&'a str>,
        refused?: Option<&'a str>,
        mistakes?: Vec<&'a str>,
    }
}

/// The log's line of a configuration that is served by from now on.
pub fn taken(version: &str) -> String {
    to_string(&Line { event: EVENT, version: Some(version), refused: None, mistakes: Vec::new() })
}

/// The log's line of one that cannot be used, while `version` goes on, or nothing does.
pub fn refused(version: Option<&str>, refused: &str, mistakes: &[Mistake]) -> String {
    let mistakes = mistakes.iter().map(|Mistake(mistake)| mistake.as_str()).collect();
    to_string(&Line { event: EVENT, version, refused: Some(refused), mistakes })
}

const EVENT: &str = "configuration";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_a_configuration_does_not_change_its_version() {
        assert_eq!(version(Some(r#"{"strict":true}"#)), version(Some("\n{\"strict\":true} \n")));
        assert_ne!(version(Some(r#"{"strict":true}"#)), version(Some(r#"{"strict":false}"#)));
        assert_eq!((version(None), version(Some(" "))), ("none".to_owned(), "none".to_owned()));
        assert_eq!(version(Some("{}")), "44136fa3", "the first of SHA-256");
    }

    #[test]
    fn the_log_names_every_mistake_and_what_goes_on() {
        assert_eq!(taken("44136fa3"), r#"{"event":"configuration","version":"44136fa3"}"#);
        let mistakes = [Mistake("a: one".to_owned()), Mistake("b: two".to_owned())];
        let line = r#"{"event":"configuration","version":"none","refused":"44136fa3","mistakes":["a: one","b: two"]}"#;
        assert_eq!(refused(Some("none"), "44136fa3", &mistakes), line);
    }
}
