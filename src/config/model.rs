//! What the configuration says of models: their prices and limits, before those of the catalogue.

use super::{Draft, Known};
use crate::catalog::models::refresh::Overlay;
use crate::catalog::models::{Figures, Kind, Model, Models, Origin, Priced, Sheet};
use crate::mistake::{Mistakes, under};
use crate::price::{Picodollars, Price, Search, Service};
use crate::route::need::{Need, Needs};
use crate::wire::json::{Shape, objects, written};

objects! {
    /// Dollars per million tokens, as decimal strings. What is left out stands to input and output as the catalogue has it, and
    /// where that knows no price of the model, is as the like of it. Without any price all are as the catalogue has them.
    #[derive(Debug, Default, Clone)]
    pub struct PriceDraft {
        pub input: Option<String> where per_million,
        pub cached_input: Option<String> where per_million,
        pub cache_write: Option<String> where per_million,
        pub cache_write_1h: Option<String> where per_million,
        pub output: Option<String> where per_million,
        pub reasoning: Option<String> where per_million,
        pub audio_input: Option<String> where per_million,
        pub audio_output: Option<String> where per_million,
        pub image_input: Option<String> where per_million,
        pub image_output: Option<String> where per_million,
        /// Dollars for each answer.
        pub request: Option<String> where dollars,
        /// Dollars for one search.
        pub search: Option<String> where dollars,
        /// By the size of the prompt, the smallest first.
        pub above: Vec<TierDraft> = Vec::new(),
        /// The most tokens of a prompt.
        pub context_tokens: Option<u64>,
        /// The most tokens of an answer.
        pub output_tokens: Option<u64>,
        /// All that it takes and does besides text, where it is said: what is not among it is not asked of it.
        pub takes: Option<Vec<Need>>,
        pub kind: Option<Kind>,
    }

    /// The same for a prompt of more than `input_tokens`.
    #[derive(Debug, Clone)]
    pub struct TierDraft {
        pub input_tokens: u64,
        pub input: Option<String> where per_million,
        pub cached_input: Option<String> where per_million,
        pub cache_write: Option<String> where per_million,
        pub cache_write_1h: Option<String> where per_million,
        pub output: Option<String> where per_million,
        pub reasoning: Option<String> where per_million,
        pub audio_input: Option<String> where per_million,
        pub audio_output: Option<String> where per_million,
        pub image_input: Option<String> where per_million,
        pub image_output: Option<String> where per_million,
    }
}

written! {
    impl PriceDraft {
        input?, cached_input?, cache_write?, cache_write_1h?, output?, reasoning?, audio_input?, audio_output?,
        image_input?, image_output?, request?, search?, above?, context_tokens?, output_tokens?, takes?, kind?,
    }
    impl TierDraft {
        input_tokens, input?, cached_input?, cache_write?, cache_write_1h?, output?, reasoning?, audio_input?,
        audio_output?, image_input?, image_output?,
    }
}

/// What [`amount`] takes as dollars.
pub(super) fn dollars(_: Shape) -> Shape {
    Shape::text("^([0-9]{1,7}([.][0-9]{0,12})?|[.][0-9]{1,12})$", &["5.00"])
}

/// What [`amount`] takes as dollars per million tokens: a token costs whole picodollars.
fn per_million(_: Shape) -> Shape {
    Shape::text("^([0-9]{1,7}([.][0-9]{0,6}0{0,6})?|[.][0-9]{1,6}0{0,6})$", &["0.15"])
}

/// `text` as a decimal number, times `scale` as [`Picodollars::parse`] has it, of no more digits before the point than any
/// counter could reach.
pub(super) fn amount(text: &str, scale: u64) -> Option<Picodollars> {
    let whole = text.split('.').next().unwrap_or_default();
    Picodollars::parse(text, scale).filter(|_| whole.len() <= WHOLE_DIGITS_MAX)
}

const WHOLE_DIGITS_MAX: usize = 7;

/// The rates of either, in the order of [`Figures::NAMES`].
macro_rules! rates {
    ($draft:expr) => {{
        let draft = $draft;
        [
            &draft.input,
            &draft.cached_input,
            &draft.cache_write,
            &draft.cache_write_1h,
            &draft.output,
            &draft.reasoning,
            &draft.audio_input,
            &draft.audio_output,
            &draft.image_input,
            &draft.image_output,
        ]
    }};
}

pub(super) fn compile(draft: &Draft, refreshed: Option<&Overlay>, known: &Known, mistakes: &mut Mistakes) -> Models {
    let mut models = Models::built_in();
    if let Some(refreshed) = refreshed {
        models.refreshed(refreshed);
    }
    for (model, written) in draft.prices.iter() {
        let listed = models.listed_price(model);
        models.set(model.to_owned(), read(model, written, known, listed, mistakes));
    }
    models
}

/// `listed` is what the catalogue says that it costs.
fn read(model: &str, written: &PriceDraft, known: &Known, listed: Option<Price>, mistakes: &mut Mistakes) -> Model {
    let at = under("prices", model);
    let named = match model.split_once('/') {
        Some((provider, _)) => known.check(provider),
        None => Err("prices are by \"provider/model\"".to_owned()),
    };
    if let Err(why) = named {
        mistakes.say_anyway(&at, &why);
    }
    let usual = read_figures(&at, rates!(written), mistakes);
    let mut above: Vec<(u64, Figures)> = Vec::new();
    let mut below = None;
    for (index, tier) in written.above.iter().enumerate() {
        let at = format!("{at}.above[{index}]");
        let size = tier.input_tokens;
        if below.is_some_and(|below| below >= size) {
            mistakes.say(&format!("{at}.input_tokens"), &format!("{size} is no more than of the one before"));
        }
        below = Some(size);
        match read_figures(&at, rates!(tier), mistakes) {
            Some(figures) => above.push((size, figures)),
            None => half(&at, mistakes),
        }
    }
    let mut dollars = |field: &str, text: &Option<String>| {
        read_amount(&at, field, text, 1_000_000_000_000, "an amount of dollars like \"0.01\"", mistakes)
    };
    let (request, search) = (dollars("request", &written.request), dollars("search", &written.search));
    let is_priced = rates!(written).into_iter().chain([&written.request, &written.search]).any(Option::is_some);
    if usual.is_none() && (is_priced || !written.above.is_empty()) {
        half(&at, mistakes);
    }
    let (can, cannot) = read_takes(&at, written.takes.as_deref(), mistakes);
    let price = usual.and_then(|usual| {
        let mut sheet = Sheet::of(usual, above);
        (sheet.request, sheet.search) = (request, search.map(Search::Each));
        if let Some(listed) = &listed {
            sheet.fill(listed);
        }
        sheet.price().map(however_served)
    });
    Model {
        price: price.map(|price| Priced { price, origin: Origin::Configuration }),
        context: written.context_tokens,
        most: written.output_tokens,
        kind: written.kind,
        can,
        cannot,
    }
}

/// What a model can do and what it cannot; neither where nothing is written.
fn read_takes(at: &str, takes: Option<&[Need]>, mistakes: &mut Mistakes) -> (Needs, Needs) {
    let Some(takes) = takes else { return Default::default() };
    for (index, _) in takes.iter().enumerate().filter(|(_, need)| **need == Need::Stream) {
        mistakes.say(&format!("{at}.takes[{index}]"), "\"stream\" is what every model does; leave it out");
    }
    let can: Needs = takes.iter().copied().collect();
    (can, can.with(Need::Stream).others())
}

/// With the usual rates for what is served otherwise, where those of that are not known.
fn however_served(mut price: Price) -> Price {
    for service in [Service::Flex, Service::Priority] {
        if price.tokens(service).is_none() {
            price.services.push((service, price.tokens.clone()));
        }
    }
    price
}

/// None where they are not all named that a price needs.
fn read_figures(at: &str, texts: [&Option<String>; Figures::NAMES.len()], mistakes: &mut Mistakes) -> Option<Figures> {
    let mut figures = Figures::default();
    for ((figure, text), (_, name)) in figures.0.iter_mut().zip(texts).zip(Figures::NAMES) {
        *figure = read_amount(at, name, text, 1_000_000, "dollars per million tokens like \"0.15\"", mistakes);
    }
    figures.rates().map(|_| figures)
}

/// In picodollars, times `scale` as [`Picodollars::parse`] has it.
fn read_amount(
    at: &str,
    field: &str,
    text: &Option<String>,
    scale: u64,
    due: &str,
    mistakes: &mut Mistakes,
) -> Option<u64> {
    let text = text.as_deref()?;
    let amount = amount(text, scale);
    if amount.is_none() {
        mistakes.say(&format!("{at}.{field}"), &format!("\"{text}\" is not {due}"));
    }
    amount.map(|Picodollars(amount)| amount)
}

fn half(at: &str, mistakes: &mut Mistakes) {
    mistakes.say_of(at, &["input", "output"], "needs input and output");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::price::{Batch, Rates, Tokens};

    fn model(prices: &str) -> Result<Model, String> {
        named("openai/mine", prices)
    }

    fn named(name: &str, prices: &str) -> Result<Model, String> {
        let json = format!(r#"{{"prices":{{"{name}":{prices}}}}}"#);
        crate::config::schema::tests::agree(&json);
        let draft = Draft::from_json(Some(&json));
        let config = draft.and_then(|draft| Config::compile(&draft, |_| None));
        config.map(|config| config.models.get(name)).map_err(|mistakes| mistakes[0].0.clone())
    }

    #[test]
    fn what_is_left_out_stands_to_the_price_as_the_catalogue_has_it() {
        let priced = |prices: &str| named("anthropic/claude-sonnet-4-5", prices).unwrap().price.unwrap();
        let known = Models::built_in().get("anthropic/claude-sonnet-4-5").price.unwrap().price;
        let same = priced(r#"{"input":"3","output":"15"}"#);
        assert_eq!((same.price.tokens, same.origin), (known.tokens.clone(), Origin::Configuration));
        assert_eq!((same.price.batch, same.price.search), (known.batch, known.search));
        let agreed = priced(r#"{"input":"2.4","output":"12"}"#).price;
        let rates = &agreed.tokens.rates;
        assert_eq!((rates.cached_input, rates.cache_write, rates.cache_write_1h), (240_000, 3_000_000, 4_800_000));
        assert_eq!(agreed.batch, Some(Batch { input: 1_200_000, output: 6_000_000 }));
        assert_eq!(agreed.tokens(Service::Flex), Some(&agreed.tokens), "the catalogue has none of its own");
        let own = priced(r#"{"input":"2.4","cached_input":"2.4","output":"12","search":"0"}"#).price;
        assert_eq!((own.tokens.rates.cached_input, own.search), (2_400_000, Some(Search::Each(0))));
    }

    #[test]
    fn prices_and_limits_are_written_by_model_and_provider() {
        let written = r#"{"input":"1","cached_input":"0.1","cache_write_1h":"2","output":"5","audio_output":"9",
            "request":"0.005","search":"0.01","above":[{"input_tokens":200000,"input":"2","output":"10"}],"context_tokens":9,"output_tokens":7,
            "takes":["images","tools"],"kind":"chat"}"#;
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
        let can: Needs = [Need::Images, Need::Tools].into_iter().collect();
        let cannot: Needs = [Need::Audio, Need::Documents, Need::Schema, Need::Reasoning].into_iter().collect();
        let kind = Some(Kind::Chat);
        assert_eq!(model(written), Ok(Model { price, context: Some(9), most: Some(7), kind, can, cannot }));
        assert_eq!(model(r#"{"output_tokens":7}"#), Ok(Model { most: Some(7), ..Model::default() }));
        let text = model(r#"{"takes":[]}"#).unwrap();
        assert!(Need::ALL.iter().all(|need| text.cannot.has(*need) == (*need != Need::Stream)), "nothing but text");
    }

    #[test]
    fn what_a_model_takes_is_written_in_known_words() {
        let cases = [
            (r#"{"takes":["image"]}"#, r#".takes[0]: no such word; did you mean "images"?"#),
            (r#"{"takes":["tools","stream"]}"#, r#".takes[1]: "stream" is what every model does; leave it out"#),
            (r#"{"kind":"embeddings"}"#, r#".kind: no such word; did you mean "embedding"?"#),
        ];
        for (written, expected) in cases {
            assert_eq!(model(written), Err(format!("prices.\"openai/mine\"{expected}")), "{written}");
        }
    }

    #[test]
    fn half_a_price_is_a_mistake() {
        let cases = [
            (r#"{"input":"1"}"#, ": needs input and output"),
            (r#"{"search":"1"}"#, ": needs input and output"),
            (r#"{"input":"1","output":"x"}"#, ".output: \"x\" is not dollars per million tokens like \"0.15\""),
            (r#"{"input":"1","output":"1","search":"x"}"#, ".search: \"x\" is not an amount of dollars like \"0.01\""),
            (r#"{"input":"1","output":"1","above":[{"input_tokens":1}]}"#, ".above[0]: needs input and output"),
            (
                r#"{"input":"1","output":"1","above":[{"input_tokens":2,"input":"1","output":"1"},{"input_tokens":2}]}"#,
                ".above[1].input_tokens: 2 is no more than of the one before",
            ),
            (r#"{"input":"1","output":"1","above":[{"input":"1","output":"1"}]}"#, ".above[0].input_tokens: missing"),
        ];
        for (written, expected) in cases {
            assert_eq!(model(written), Err(format!("prices.\"openai/mine\"{expected}")), "{written}");
        }
    }
}
