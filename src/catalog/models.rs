//! Models: what each costs, and how much it takes. The table is a text that nobody parses whole: a line is found when its
//! model is asked for, and what the configuration says goes before it.
//!
//! A price that neither has is unknown. It is never taken as zero.

mod line;
pub mod refresh;
mod sheet;
mod table;

use std::borrow::Cow;

use self::refresh::Overlay;
pub use self::sheet::{Figures, Sheet};
use self::table::Table;
use crate::named::Named;
use crate::price::Price;
use crate::route::need::Needs;
use crate::wire::json::words;

/// By provider, `[name]`, a line for each model, as [`line`] says. Models of a provider are in the order of their names.
///
/// It holds only what somebody asks for, because it is the largest part of a Worker that is not code.
const TABLE: &str = include_str!("models.txt");

/// What is known of all models.
#[derive(Debug)]
pub struct Models {
    table: Table,
    /// What a refresh found since.
    fresh: Option<Table>,
    /// What the configuration says, by `provider/model`.
    own: Named<Model>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub price: Option<Priced>,
    /// The most tokens of a prompt.
    pub context: Option<u64>,
    /// The most tokens of an answer.
    pub most: Option<u64>,
    pub kind: Option<Kind>,
    /// What it is known to take and to do.
    pub can: Needs,
    /// What it is known not to. Everything else is not known, and asked.
    pub cannot: Needs,
}

words! {
    /// What a model is for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Kind = "what a model is for" {
        Chat as "chat",
        /// It goes on with a text.
        Completion as "completion",
        Embedding as "embedding",
        Rerank as "rerank",
        /// It makes images.
        Image as "image",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    pub price: Price,
    pub origin: Origin,
}

/// Where a price comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Configuration,
    /// The source of the catalogue, or of a refresh, and when it was read.
    Table(Cow<'static, str>),
}

impl Kind {
    fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }
}

impl Model {
    /// What is true of this and of `other`.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        Self {
            price: self.price.filter(|price| other.price.as_ref().is_some_and(|other| other.price == price.price)),
            context: self.context.zip(other.context).map(|(one, other)| one.min(other)),
            most: self.most.zip(other.most).map(|(one, other)| one.min(other)),
            kind: self.kind.filter(|kind| other.kind == Some(*kind)),
            can: self.can.and(other.can),
            cannot: self.cannot.and(other.cannot),
        }
    }

    /// With the price of `fresh`. Its limits and abilities count only where there were none: those of the table have been
    /// looked at and corrected.
    fn renewed(self, mut fresh: Self) -> Self {
        let price = fresh.price.take();
        let known = self.or(fresh);
        Self { price: price.or(known.price), ..known }
    }

    /// Where this says nothing, `other` counts.
    fn or(self, other: Self) -> Self {
        // Who says anything of what a model can has said it all.
        let is_told = !self.can.is_empty() || !self.cannot.is_empty();
        let (can, cannot) = if is_told { (self.can, self.cannot) } else { (other.can, other.cannot) };
        Self {
            price: self.price.or(other.price),
            context: self.context.or(other.context),
            most: self.most.or(other.most),
            kind: self.kind.or(other.kind),
            can,
            cannot,
        }
    }
}

impl Models {
    pub fn built_in() -> Self {
        Self { table: Table::built_in(TABLE), fresh: None, own: Named::default() }
    }

    /// Has the prices that a refresh found go before those of the table, unless they are the older ones. What the table
    /// does not know of a model is from there too.
    pub fn refreshed(&mut self, overlay: &Overlay) {
        if overlay.day() >= refresh::day_of(&self.table.source) {
            self.fresh = Some(Table::of(&overlay.lines, overlay.source.clone()));
        }
    }

    /// `model` is `provider/model`. What it leaves open is as the table has it.
    pub fn set(&mut self, model: String, own: Model) {
        self.own.insert(model, own);
    }

    /// What is known of `provider/model`. A dated snapshot is like its model, unless it has its own line.
    pub fn get(&self, model: &str) -> Model {
        let listed = self.listed(model).or_else(|| self.listed(undated(model)?));
        self.own(model).or(listed.unwrap_or_default())
    }

    /// What it costs but for the configuration's word.
    pub fn listed_price(&self, model: &str) -> Option<Price> {
        let listed = self.listed(model).or_else(|| self.listed(undated(model)?))?;
        listed.price.map(|priced| priced.price)
    }

    /// Whether it has a line of its own or one of its undated name.
    pub fn knows(&self, model: &str) -> bool {
        let tables = || self.tables();
        let has = |model: &str| self.own.contains(model) || tables().any(|table| table.has(model));
        has(model) || undated(model).is_some_and(has)
    }

    /// Every model of `provider` that has a line, in the order of their names, and what is known of it. Each line is read
    /// once, which looking each model up would not.
    pub fn list(&self, provider: &str) -> Vec<(&str, Model)> {
        let mut models: Vec<(&str, Model)> = self.table.models(provider).collect();
        for (name, fresh) in self.fresh.iter().flat_map(|fresh| fresh.models(provider)) {
            match models.binary_search_by(|(listed, _)| listed.cmp(&name)) {
                Ok(at) => {
                    if let Some((_, known)) = models.get_mut(at) {
                        *known = std::mem::take(known).renewed(fresh);
                    }
                }
                Err(at) => models.insert(at, (name, fresh)),
            }
        }
        if self.own.is_empty() {
            return models;
        }
        for (name, known) in &mut models {
            *known = self.own(&format!("{provider}/{name}")).or(std::mem::take(known));
        }
        for (model, name) in self.own_names(provider) {
            if let Err(at) = models.binary_search_by(|(listed, _)| (*listed).cmp(name)) {
                models.insert(at, (name, self.get(model)));
            }
        }
        models
    }

    /// The names of those.
    pub fn of(&self, provider: &str) -> Vec<&str> {
        let own = self.own_names(provider).map(|(_, name)| name);
        let mut models: Vec<&str> = self.tables().flat_map(|table| table.names(provider)).chain(own).collect();
        models.sort_unstable();
        models.dedup();
        models
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        [&self.table].into_iter().chain(&self.fresh)
    }

    /// What the configuration says.
    fn own(&self, model: &str) -> Model {
        let own = self.own.get(model).or_else(|| self.own.get(undated(model)?));
        own.cloned().unwrap_or_default()
    }

    /// Of `provider`: `provider/model`, and `model` alone.
    fn own_names(&self, provider: &str) -> impl Iterator<Item = (&str, &str)> {
        let names = self.own.names();
        names.filter_map(move |model| Some((model, model.strip_prefix(provider)?.strip_prefix('/')?)))
    }

    /// What the tables say.
    fn listed(&self, model: &str) -> Option<Model> {
        let fresh = self.fresh.as_ref().and_then(|fresh| fresh.get(model));
        match (self.table.get(model), fresh) {
            (Some(known), Some(fresh)) => Some(known.renewed(fresh)),
            (known, fresh) => known.or(fresh),
        }
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
    use crate::catalog::providers;
    use crate::price::{Batch, Rates, Tokens};
    use crate::route::need::Need;

    #[test]
    fn the_table_is_in_order_and_its_figures_make_sense() {
        let models = Models::built_in();
        let known: Vec<String> = providers().into_iter().map(|row| row.name).collect();
        let source = &models.table.source;
        assert!(models.table.sections().count() > 40 && source.contains("read 20"), "{source}");
        let mut count = 0;
        for (provider, lines) in models.table.sections() {
            assert!(provider == "tollgate" || known.iter().any(|known| known == provider), "{provider}");
            let names: Vec<&str> = models.table.names(provider).collect();
            assert!(names.is_sorted_by(|a, b| a < b), "{provider}");
            for line in lines.lines() {
                count += 1;
                let Model { price, context, most, kind, can, cannot } = line::read(line, "table");
                assert!(context != Some(0) && most != Some(0) && kind.is_some(), "{line}");
                assert!(Need::ALL.iter().all(|need| !(can.has(*need) && cannot.has(*need))), "{line}");
                let Some(Priced { price, .. }) = price else { continue };
                let tokens = price.services.iter().map(|(_, tokens)| tokens).chain([&price.tokens]);
                let tiers =
                    tokens.flat_map(|tokens| tokens.above.iter().map(|(_, rates)| rates).chain([&tokens.rates]));
                let Tokens { above, rates } = &price.tokens;
                let is_dearer =
                    price.batch.is_some_and(|batch| batch.input > rates.input || batch.output > rates.output);
                assert!(!is_dearer, "{line}");
                assert!(above.is_sorted_by(|a, b| a.0 < b.0) && above.iter().all(|tier| tier.0 > 0), "{line}");
                for rates in tiers {
                    assert!(rates.cached_input <= rates.input, "{line}");
                    // A thousand dollars for a million tokens would be a mistake.
                    assert!(rates.input < 1_000_000_000 && rates.output < 1_000_000_000, "{line}");
                }
            }
        }
        assert!(count > 2000, "{count}");
    }

    #[test]
    fn the_prices_of_those_who_make_models_are_known() {
        let models = Models::built_in();
        let cases = [
            ("anthropic/claude-sonnet-4-5", 3_000_000, 300_000, 15_000_000),
            ("openai/gpt-5", 1_250_000, 125_000, 10_000_000),
            ("google/gemini-2.5-pro", 1_250_000, 125_000, 10_000_000),
            ("bedrock-anthropic/us.anthropic.claude-haiku-4-5-20251001-v1:0", 1_100_000, 110_000, 5_500_000),
            ("cloudflare-workers-ai/@cf/openai/gpt-oss-120b", 350_000, 350_000, 750_000),
        ];
        for (model, input, cached_input, output) in cases {
            let rates = models.get(model).price.unwrap().price.tokens.rates;
            assert_eq!((rates.input, rates.cached_input, rates.output), (input, cached_input, output), "{model}");
        }
        let claude = models.get("anthropic/claude-sonnet-4-5");
        assert_eq!((claude.context, claude.most), (Some(200_000), Some(64_000)));
        assert_eq!(claude.price.unwrap().price.tokens.rates.cache_write_1h, 6_000_000);
        assert_eq!(models.get("tollgate/echo").price.unwrap().price.tokens.rates, Rates::default());
    }

    #[test]
    fn what_models_can_do_is_known_and_silence_is_no_denial() {
        let models = Models::built_in();
        let claude = models.get("anthropic/claude-sonnet-4-5");
        assert!(
            Need::ALL
                .iter()
                .filter(|need| **need != Need::Audio && **need != Need::Stream)
                .all(|need| claude.can.has(*need))
        );
        assert!(claude.cannot.has(Need::Audio) && claude.kind == Some(Kind::Chat));
        let half = Batch { input: 1_500_000, output: 7_500_000 };
        assert_eq!(claude.price.unwrap().price.batch, Some(half));
        let old = models.get("azure/gpt-3.5-turbo");
        assert!(old.can.has(Need::Tools) && old.cannot.has(Need::Images));
        // Many rows do not speak of reasoning or schemas, and the models do them.
        assert!(!old.cannot.has(Need::Reasoning) && !old.cannot.has(Need::Schema));
        assert_eq!(models.get("openai/text-embedding-3-small").kind, Some(Kind::Embedding));
        assert_eq!(models.get("cohere/rerank-v3.5").kind, Some(Kind::Rerank));
    }

    #[test]
    fn a_dated_snapshot_costs_what_its_model_costs() {
        let models = Models::built_in();
        let same = [
            ("openai/gpt-5-2025-08-07", "openai/gpt-5"),
            ("anthropic/claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"),
        ];
        for (dated, plain) in same {
            assert!(models.knows(dated) && models.get(dated).price.is_some(), "{dated}");
            assert_eq!(models.get(dated), models.get(plain));
        }
        for unknown in ["openai/gpt-5-turbo", "openai/gpt-5-2025", "other/gpt-5", "", "-", "gpt-5-20250807", "openai/"]
        {
            assert!(!models.knows(unknown) && models.get(unknown) == Model::default(), "{unknown}");
        }
    }

    #[test]
    fn the_configuration_goes_before_the_table_field_by_field() {
        let mut models = Models::built_in();
        let known = models.get("openai/gpt-5");
        models.set("openai/gpt-5".into(), Model { most: Some(7), ..Model::default() });
        models.set("mine/llama".into(), Model { context: Some(9), ..Model::default() });
        for name in ["openai/gpt-5", "openai/gpt-5-2025-08-07"] {
            assert_eq!(models.get(name), Model { most: Some(7), ..known.clone() }, "{name}");
        }
        assert_eq!(models.get("mine/llama"), Model { context: Some(9), ..Model::default() });
        assert_eq!(models.of("mine"), ["llama"]);
        for provider in ["openai", "mine", "nobody"] {
            let list = models.list(provider);
            assert_eq!(list.iter().map(|(name, _)| *name).collect::<Vec<_>>(), models.of(provider));
            for (name, model) in list {
                assert_eq!(model, models.get(&format!("{provider}/{name}")), "{provider}/{name}");
            }
        }
        assert!(models.of("openai").contains(&"gpt-5") && models.of("nobody").is_empty());
    }
}
