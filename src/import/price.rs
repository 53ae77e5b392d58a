//! Prices: those that another gateway's file names, and those of the catalogue for a provider that is called otherwise.

use serde_json::Value;
use tollgate::catalog::models::Models;
use tollgate::config::{PriceDraft, TierDraft};
use tollgate::price::Rates;

use super::part::{Notes, Part};

/// What the catalogue knows of `model` at `provider`, to be written for another name of that provider.
pub(super) fn known(provider: &str, model: &str) -> Option<PriceDraft> {
    let known = Models::built_in().get(&format!("{provider}/{model}"));
    let tokens = known.price?.price.tokens;
    let mut draft = PriceDraft { context_tokens: known.context, output_tokens: known.most, ..PriceDraft::default() };
    let rates = tokens.rates;
    draft.input = Some(dollars(rates.input));
    draft.output = Some(dollars(rates.output));
    draft.cached_input = unlike(rates.cached_input, rates.input);
    draft.cache_write = unlike(rates.cache_write, rates.input);
    draft.cache_write_1h = unlike(rates.cache_write_1h, rates.cache_write);
    draft.reasoning = unlike(rates.reasoning, rates.output);
    draft.audio_input = unlike(rates.audio_input, rates.input);
    draft.audio_output = unlike(rates.audio_output, rates.output);
    draft.image_input = unlike(rates.image_input, rates.input);
    draft.image_output = unlike(rates.image_output, rates.output);
    draft.above = tokens.above.iter().map(|(size, rates)| tier(*size, rates)).collect();
    Some(draft)
}

fn tier(input_tokens: u64, rates: &Rates) -> TierDraft {
    TierDraft {
        input_tokens,
        input: Some(dollars(rates.input)),
        output: Some(dollars(rates.output)),
        cached_input: unlike(rates.cached_input, rates.input),
        cache_write: unlike(rates.cache_write, rates.input),
        cache_write_1h: unlike(rates.cache_write_1h, rates.cache_write),
        reasoning: unlike(rates.reasoning, rates.output),
        audio_input: unlike(rates.audio_input, rates.input),
        audio_output: unlike(rates.audio_output, rates.output),
        image_input: unlike(rates.image_input, rates.input),
        image_output: unlike(rates.image_output, rates.output),
    }
}

fn unlike(rate: u64, like: u64) -> Option<String> {
    (rate != like).then(|| dollars(rate))
}

/// Picodollars a token, which are millionths of a dollar per million tokens, as dollars.
fn dollars(rate: u64) -> String {
    let (whole, millionths) = (rate / 1_000_000, rate % 1_000_000);
    let text = format!("{whole}.{millionths:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// LiteLLM's words: dollars per token, and the most tokens. Either price alone is of no use here.
pub(super) fn litellm(part: &mut Part, draft: &mut PriceDraft, notes: &mut Notes) {
    let fields: [(&str, &mut Option<String>); 4] = [
        ("input_cost_per_token", &mut draft.input),
        ("output_cost_per_token", &mut draft.output),
        ("cache_read_input_token_cost", &mut draft.cached_input),
        ("cache_creation_input_token_cost", &mut draft.cache_write),
    ];
    for (name, rate) in fields {
        let Some(value) = part.take(name) else { continue };
        match per_token(&value) {
            Some(price) => *rate = Some(dollars(price)),
            None if value.is_string() => {
                notes.lose(&part.at(name), "cannot be read; write dollars per token, like 0.0000025")
            }
            None => notes.wrong(&part.at(name), "expected dollars per token, like 0.0000025"),
        }
    }
    let tokens: [(&str, &mut Option<u64>); 2] =
        [("max_input_tokens", &mut draft.context_tokens), ("max_output_tokens", &mut draft.output_tokens)];
    for (name, most) in tokens {
        if let Some(tokens) = part.whole(name, notes) {
            *most = Some(tokens.into());
        }
    }
}

/// In picodollars. The number's text is read, as it was written or as a float is told shortest.
fn per_token(value: &Value) -> Option<u64> {
    let dollars = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // Twelve places are what there is; the cast saturates.
    (0.0..1.0).contains(&dollars).then(|| (dollars * 1e12).round() as u64)
}
