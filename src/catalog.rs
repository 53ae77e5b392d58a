//! What is known about providers and prices without being told: two tables of data, read once.
//!
//! A price that is not here or in the configuration is unknown. It is never taken as zero.

use std::collections::HashMap;

use crate::dialect::Dialect;
use crate::platform::Platform;
use crate::price::Price;
use crate::quirks::Quirks;
use crate::wire::json::{self, objects};

objects! {
    /// A provider whose key alone turns it on.
    #[derive(Debug)]
    pub struct Provider {
        pub name: String,
        pub dialect: Dialect,
        /// Others that it speaks at the same base URL.
        pub dialects: Vec<Dialect> = Vec::new(),
        pub platform: Platform = Platform::default(),
        /// With `{region}` where the provider has one server for each.
        pub base_url: String,
        /// What may hold its key, the first that does; none for `{NAME}_API_KEY`.
        pub secrets: Vec<String> = Vec::new(),
        /// How the names of its models begin, for callers that send them without the provider.
        pub prefixes: Vec<String>,
        pub quirks: Quirks = Quirks::default(),
    }
}

/// Prices by `provider/model`.
#[derive(Debug, Default)]
pub struct Prices(HashMap<String, Priced>);

#[derive(Debug, Clone)]
pub struct Priced {
    pub price: Price,
    /// A longer prompt is billed by another tier, which this table does not know.
    pub input_tokens_max: Option<u64>,
    /// Where the price comes from, and when it was read.
    pub source: String,
}

pub fn providers() -> Vec<Provider> {
    // The tables are part of the program; a test reads them.
    json::parse(include_str!("catalog/providers.json")).unwrap_or_default()
}

impl Prices {
    pub fn built_in() -> Self {
        let rows: Vec<Row> = json::parse(include_str!("catalog/prices.json")).unwrap_or_default();
        Self(rows.into_iter().map(Row::named).collect())
    }

    pub fn set(&mut self, model: String, priced: Priced) {
        self.0.insert(model, priced);
    }

    /// The price of `provider/model`. A dated snapshot costs what its model costs, unless it has its own row.
    pub fn of(&self, model: &str) -> Option<&Priced> {
        self.0.get(model).or_else(|| self.0.get(undated(model)?))
    }

    /// Every priced model of `provider`, in the order of their names.
    pub fn models_of(&self, provider: &str) -> Vec<&str> {
        let models = self.0.keys().filter_map(|model| model.strip_prefix(provider)?.strip_prefix('/'));
        let mut models: Vec<&str> = models.collect();
        models.sort_unstable();
        models
    }
}

objects! {
    struct Row {
        model: String,
        input: u64,
        cached_input: Option<u64>,
        cache_write: Option<u64>,
        output: u64,
        input_tokens_max: Option<u64>,
        source: String,
        read: String,
    }
}

impl Row {
    fn named(self) -> (String, Priced) {
        let price = Price {
            input: self.input,
            cached_input: self.cached_input.unwrap_or(self.input),
            cache_write: self.cache_write.unwrap_or(self.input),
            output: self.output,
        };
        let source = format!("{}, read {}", self.source, self.read);
        (self.model, Priced { price, input_tokens_max: self.input_tokens_max, source })
    }
}

/// `gpt-5-2025-08-07` and `claude-haiku-4-5-20251001` without their dates.
fn undated(model: &str) -> Option<&str> {
    let dash = model.rfind('-')?;
    let (head, date) = model.split_at(dash);
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if digits(date.strip_prefix('-')?, 8) {
        return Some(head);
    }
    let mut parts = model.rsplitn(4, '-');
    let (day, month, year, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (digits(day, 2) && digits(month, 2) && digits(year, 4)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_readable() {
        let rows: Vec<Row> = json::parse(include_str!("catalog/prices.json")).unwrap();
        assert!(rows.len() > 40);
        for row in &rows {
            assert!(row.cached_input.is_none_or(|cached| cached <= row.input), "{}", row.model);
            assert!(!row.source.is_empty() && row.read.len() == 10, "{}", row.model);
        }
        let names: Vec<String> = providers().into_iter().map(|provider| provider.name).collect();
        assert_eq!(names.get(..2), Some(["openai".to_owned(), "anthropic".to_owned()].as_slice()));
        let once: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(once.len(), names.len(), "{names:?}");
    }

    #[test]
    fn a_dated_snapshot_costs_what_its_model_costs() {
        let prices = Prices::built_in();
        let same = [
            ("openai/gpt-5-2025-08-07", "openai/gpt-5"),
            ("anthropic/claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"),
        ];
        for (dated, plain) in same {
            assert_eq!(prices.of(dated).unwrap().price, prices.of(plain).unwrap().price);
        }
        for unknown in ["openai/gpt-5-turbo", "openai/gpt-5-2025", "other/gpt-5", "", "-", "gpt-5-20250807"] {
            assert!(prices.of(unknown).is_none(), "{unknown}");
        }
    }
}
