//! What the configuration says of models: their prices and limits, before those of the catalogue.

use serde::{Deserialize, Serialize};

use super::{Draft, Known, Mistake};
use crate::catalog::models::{Figures, Model, Models, Origin, Priced};
use crate::price::{Picodollars, Price, Rates, Search, Tokens};

/// Dollars per million tokens, as decimal strings. What is left out is as the like of it, or without any price as the
/// catalogue has it.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a model's prices")]
pub struct PriceDraft {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_output: Option<String>,
    /// Dollars for each answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Dollars for one search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Prices of a prompt of more than `input_tokens`, the fewest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<Self>,
    /// Only within `above`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// The most tokens of a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// The most tokens of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
}

pub(super) fn compile(draft: &Draft, known: &Known, mistakes: &mut Vec<Mistake>) -> Models {
    let mut models = Models::built_in();
    for (model, written) in draft.prices.iter() {
        match read(model, written, known) {
            Ok(read) => models.set(model.to_owned(), read),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    models
}

fn read(model: &str, written: &PriceDraft, known: &Known) -> Result<Model, Mistake> {
    let at = format!("prices.\"{model}\"");
    let Some((provider, _)) = model.split_once('/') else {
        return Err(Mistake(format!("{at}: prices are by \"provider/model\"")));
    };
    known.check(&at, provider)?;
    let wrong = |field: &str, why: &str| Mistake(format!("{at}{field}: {why}"));
    if written.input_tokens.is_some() {
        return Err(wrong(".input_tokens", "says only in `above` where prices begin"));
    }
    let rates = written.rates(&at)?;
    let mut above: Vec<(u64, Rates)> = Vec::new();
    for (index, tier) in written.above.iter().enumerate() {
        let at = format!("{at}.above[{index}]");
        let size = tier.input_tokens.filter(|size| above.last().is_none_or(|(below, _)| below < size));
        let is_bare = tier.above.is_empty() && tier.search.is_none() && tier.request.is_none();
        match (size, tier.rates(&at)?) {
            (Some(size), Some(rates)) if is_bare && tier.context_tokens.or(tier.output_tokens).is_none() => {
                above.push((size, rates));
            }
            _ => return Err(Mistake(format!("{at}: needs input_tokens, more than the one before, input and output"))),
        }
    }
    let dollars = |field: &str, text: &Option<String>| {
        let Some(text) = text else { return Ok(None) };
        let price = Picodollars::parse(text, 1_000_000_000_000).map(|Picodollars(price)| price);
        price.map(Some).ok_or_else(|| wrong(field, &format!("\"{text}\" is not an amount of dollars like \"0.01\"")))
    };
    let (request, search) = (dollars(".request", &written.request)?, dollars(".search", &written.search)?);
    if rates.is_none() && (request.or(search).is_some() || !above.is_empty()) {
        return Err(wrong("", "needs input and output"));
    }
    let (request, search) = (request.unwrap_or_default(), search.map(Search::Each));
    // Whatever is served, and however, has these.
    let price = rates.map(|rates| Price { request, search, ..Price::of(Tokens { rates, above }) });
    Ok(Model {
        price: price.map(|price| Priced { price, origin: Origin::Configuration }),
        context: written.context_tokens,
        most: written.output_tokens,
    })
}

impl PriceDraft {
    /// None where it names no price at all.
    fn rates(&self, at: &str) -> Result<Option<Rates>, Mistake> {
        let amount = |field: &str, text: &Option<String>| {
            let Some(text) = text else { return Ok(None) };
            let price = Picodollars::parse(text, 1_000_000).map(|Picodollars(price)| price);
            let why = || Mistake(format!("{at}.{field}: \"{text}\" is not dollars per million tokens like \"0.15\""));
            price.map(Some).ok_or_else(why)
        };
        let figures = Figures {
            input: amount("input", &self.input)?,
            cached_input: amount("cached_input", &self.cached_input)?,
            cache_write: amount("cache_write", &self.cache_write)?,
            cache_write_1h: amount("cache_write_1h", &self.cache_write_1h)?,
            output: amount("output", &self.output)?,
            reasoning: amount("reasoning", &self.reasoning)?,
            audio_input: amount("audio_input", &self.audio_input)?,
            audio_output: amount("audio_output", &self.audio_output)?,
            image_input: amount("image_input", &self.image_input)?,
            image_output: amount("image_output", &self.image_output)?,
        };
        let is_none = figures.is_none();
        match figures.rates() {
            None if !is_none => Err(Mistake(format!("{at}: needs input and output"))),
            rates => Ok(rates),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn model(prices: &str) -> Result<Model, String> {
        let draft = Draft::from_json(Some(&format!(r#"{{"prices":{{"openai/mine":{prices}}}}}"#))).unwrap();
        let config = Config::compile(&draft, |_| None);
        config.map(|config| config.models.get("openai/mine")).map_err(|mistakes| mistakes[0].0.clone())
    }

    #[test]
    fn prices_and_limits_are_written_by_model_and_provider() {
        let written = r#"{"input":"1","cached_input":"0.1","cache_write_1h":"2","output":"5","audio_output":"9",
            "request":"0.005","search":"0.01","above":[{"input_tokens":200000,"input":"2","output":"10"}],"context_tokens":9,"output_tokens":7}"#;
        let rates = Rates {
            cached_input: 100_000,
            cache_write_1h: 2_000_000,
            audio_output: 9_000_000,
            ..Rates::flat(1_000_000, 5_000_000)
        };
        let above = vec![(200_000, Rates::flat(2_000_000, 10_000_000))];
        let (request, search) = (5_000_000_000, Some(Search::Each(10_000_000_000)));
        let price = Price { request, search, ..Price::of(Tokens { rates, above }) };
        let price = Some(Priced { price, origin: Origin::Configuration });
        assert_eq!(model(written), Ok(Model { price, context: Some(9), most: Some(7) }));
        assert_eq!(model(r#"{"output_tokens":7}"#), Ok(Model { most: Some(7), ..Model::default() }));
    }

    #[test]
    fn half_a_price_is_a_mistake() {
        let cases = [
            (r#"{"input":"1"}"#, ": needs input and output"),
            (r#"{"search":"1"}"#, ": needs input and output"),
            (r#"{"input":"1","output":"x"}"#, ".output: \"x\" is not dollars per million tokens like \"0.15\""),
            (r#"{"input":"1","output":"1","search":"x"}"#, ".search: \"x\" is not an amount of dollars like \"0.01\""),
            (r#"{"input_tokens":5}"#, ".input_tokens: says only in `above` where prices begin"),
            (
                r#"{"input":"1","output":"1","above":[{"input":"1","output":"1"}]}"#,
                ".above[0]: needs input_tokens, more than the one before, input and output",
            ),
        ];
        for (written, expected) in cases {
            assert_eq!(model(written), Err(format!("prices.\"openai/mine\"{expected}")), "{written}");
        }
    }
}
