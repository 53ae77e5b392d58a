//! Prices that are read anew while the gateway runs: OpenRouter's list of models, of which only plain prices are taken.
//! STAND-IN: the reader of all forms is made elsewhere and replaces this file as a whole.

use crate::host::Millis;
use crate::limit::day;
use crate::price::Picodollars;
use crate::wire::json::{objects, parse, written};

/// litellm's table has 1.6 MB.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;

objects! {
    /// What is kept of a list.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct Overlay {
        /// Who published it, and when it was read.
        pub source: String,
        /// `provider/model input output`, in picodollars for a token.
        pub lines: String,
    }

    struct List {
        data: Vec<Row>,
    }

    struct Row {
        id: String,
        pricing: Option<Pricing>,
    }

    struct Pricing {
        prompt: Option<String>,
        completion: Option<String>,
    }
}

written! {
    impl Overlay { source, lines }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refreshed {
    pub overlay: Overlay,
}

/// What an overlay says of its source: the host of `url`, and the day. A path may hold a secret.
pub fn source(url: &str, now: Millis) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    format!("{}, read {}", rest.split(['/', '?', '#']).next().unwrap_or_default(), day(now))
}

/// The error says why all of it is refused.
pub fn refresh(text: &[u8], source: &str) -> Result<Refreshed, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("the list of prices is not UTF-8: {error}"))?;
    let List { data } = parse(text).map_err(|error| format!("the list of prices cannot be read: {error}"))?;
    let mut lines = String::new();
    for Row { id, pricing } in data {
        let dollars = |text: Option<String>| Picodollars::parse(&text?, 1_000_000_000_000);
        let Some((input, output)) = pricing.and_then(|told| dollars(told.prompt).zip(dollars(told.completion))) else {
            continue;
        };
        if !id.contains(' ') && !id.contains('\n') {
            lines.push_str(&format!("{id} {} {}\n", input.0, output.0));
        }
    }
    match lines.is_empty() {
        true => Err("no model in the list of prices has a price".to_owned()),
        false => Ok(Refreshed { overlay: Overlay { source: source.to_owned(), lines } }),
    }
}
