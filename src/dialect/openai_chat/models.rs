//! The list of models, with the fields that OpenRouter's and Vercel's lists have besides OpenAI's, each under its own name:
//! clients of either find prices and limits where they look for them.
//!
//! Sources: "Models", OpenRouter documentation; "REST API", Vercel AI Gateway documentation; read 2026-11.

use super::super::Model;
use crate::catalog::models::{Kind, Model as Known};
use crate::price::{Picodollars, Price, Rates, Search};
use crate::route::need::Need;
use crate::wire::json::{to_vec, written};

written! {
    struct List<'a> {
        object: &'static str,
        data: Vec<Row<'a>>,
    }

    struct Row<'a> {
        id: &'a str,
        object: &'static str,
        created: u64,
        owned_by: &'a str,
        kind as "type"?: Option<&'static str>,
        context_length?: Option<u64>,
        context_window?: Option<u64>,
        max_tokens?: Option<u64>,
        architecture?: Option<Architecture>,
        pricing?: Option<Pricing>,
        top_provider?: Option<TopProvider>,
        supported_parameters?: Vec<&'static str>,
    }

    struct Architecture {
        input_modalities: Vec<&'static str>,
        output_modalities: Vec<&'static str>,
    }

    struct TopProvider {
        context_length?: Option<u64>,
        max_completion_tokens?: Option<u64>,
    }

    /// Dollars for a token, but for those of a request and of a search.
    struct Pricing {
        prompt: String,
        completion: String,
        // As Vercel calls them.
        input: String,
        output: String,
        input_cache_read?: Option<String>,
        input_cache_write?: Option<String>,
        input_cache_write_1h?: Option<String>,
        internal_reasoning?: Option<String>,
        audio?: Option<String>,
        request?: Option<String>,
        web_search?: Option<String>,
        overrides?: Vec<Override>,
        batch?: Option<Pair>,
    }

    /// Of prompts that are so long.
    struct Override {
        min_prompt_tokens: u64,
        prompt: String,
        completion: String,
        input_cache_read?: Option<String>,
        input_cache_write?: Option<String>,
        input_cache_write_1h?: Option<String>,
        internal_reasoning?: Option<String>,
    }

    struct Pair {
        prompt: String,
        completion: String,
    }
}

pub fn write_models(models: &[Model]) -> Vec<u8> {
    to_vec(&List { object: "list", data: models.iter().map(row).collect() })
}

pub fn write_model(model: &Model) -> Vec<u8> {
    to_vec(&row(model))
}

fn row(Model { id, owner, known }: &Model) -> Row<'_> {
    let limits = TopProvider { context_length: known.context, max_completion_tokens: known.most };
    Row {
        id,
        object: "model",
        created: 0,
        owned_by: owner,
        kind: known.kind.map(|kind| match kind {
            Kind::Chat | Kind::Completion => "language",
            Kind::Embedding => "embedding",
            Kind::Rerank => "reranking",
            Kind::Image => "image",
        }),
        context_length: known.context,
        context_window: known.context,
        max_tokens: known.most,
        architecture: architecture(known),
        pricing: known.price.as_ref().map(|priced| pricing(&priced.price)),
        top_provider: (known.context.is_some() || known.most.is_some()).then_some(limits),
        supported_parameters: parameters(known),
    }
}

fn architecture(known: &Known) -> Option<Architecture> {
    let output = match known.kind? {
        Kind::Chat | Kind::Completion => "text",
        Kind::Embedding => "embeddings",
        Kind::Image => "image",
        Kind::Rerank => return None,
    };
    // Of a model that chats it may not be known what it takes.
    if known.kind == Some(Kind::Chat) && known.can.is_empty() && known.cannot.is_empty() {
        return None;
    }
    let mut input = vec!["text"];
    let kinds = [(Need::Images, "image"), (Need::Documents, "file"), (Need::Audio, "audio")];
    input.extend(kinds.into_iter().filter(|(need, _)| known.can.has(*need)).map(|(_, name)| name));
    Some(Architecture { input_modalities: input, output_modalities: vec![output] })
}

/// Those that not every model takes.
fn parameters(known: &Known) -> Vec<&'static str> {
    let names = [
        (Need::Tools, "tools"),
        (Need::Tools, "tool_choice"),
        (Need::Schema, "response_format"),
        (Need::Schema, "structured_outputs"),
        (Need::Reasoning, "reasoning"),
    ];
    names.into_iter().filter(|(need, _)| known.can.has(*need)).map(|(_, name)| name).collect()
}

fn pricing(price: &Price) -> Pricing {
    let rates = &price.tokens.rates;
    let (prompt, completion) = (dollars(rates.input), dollars(rates.output));
    let search = price.search.map(|search| match search {
        Search::Each(price) | Search::Once(price) => price,
    });
    Pricing {
        input: prompt.clone(),
        output: completion.clone(),
        prompt,
        completion,
        input_cache_read: unlike(rates.cached_input, rates.input),
        input_cache_write: unlike(rates.cache_write, rates.input),
        input_cache_write_1h: unlike(rates.cache_write_1h, rates.cache_write),
        internal_reasoning: unlike(rates.reasoning, rates.output),
        audio: unlike(rates.audio_input, rates.input),
        request: unlike(price.request, 0),
        web_search: search.map(dollars),
        overrides: price.tokens.above.iter().map(|tier| longer(tier, rates)).collect(),
        batch: price.batch.map(|batch| Pair { prompt: dollars(batch.input), completion: dollars(batch.output) }),
    }
}

fn longer((size, rates): &(u64, Rates), usual: &Rates) -> Override {
    // What a shorter prompt has a price for has one here too, though it be the same: left out, it would be taken for that.
    let told = |of: fn(&Rates) -> (u64, u64)| {
        let is_told = [rates, usual].into_iter().map(of).any(|(price, like)| price != like);
        is_told.then(|| dollars(of(rates).0))
    };
    Override {
        // They hold above the size.
        min_prompt_tokens: size.saturating_add(1),
        prompt: dollars(rates.input),
        completion: dollars(rates.output),
        input_cache_read: told(|rates| (rates.cached_input, rates.input)),
        input_cache_write: told(|rates| (rates.cache_write, rates.input)),
        input_cache_write_1h: told(|rates| (rates.cache_write_1h, rates.cache_write)),
        internal_reasoning: told(|rates| (rates.reasoning, rates.output)),
    }
}

fn dollars(price: u64) -> String {
    Picodollars(price).dollars()
}

/// Left out where it is `usual`.
fn unlike(price: u64, usual: u64) -> Option<String> {
    (price != usual).then(|| dollars(price))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::models::Models;

    fn written(id: &str) -> Value {
        let owner = id.split('/').next().unwrap_or_default().to_owned();
        let model = Model { id: id.to_owned(), owner, known: Models::built_in().get(id) };
        serde_json::from_slice(&write_model(&model)).unwrap()
    }

    #[test]
    fn a_model_is_listed_as_openrouter_and_vercel_list_it() {
        let expected = json!({"id": "bedrock-anthropic/anthropic.claude-sonnet-4-5-20250929-v1:0", "object": "model",
            "created": 0, "owned_by": "bedrock-anthropic", "type": "language", "context_length": 200_000,
            "context_window": 200_000, "max_tokens": 64_000,
            "architecture": {"input_modalities": ["text", "image", "file"], "output_modalities": ["text"]},
            "pricing": {"prompt": "0.000003", "completion": "0.000015", "input": "0.000003", "output": "0.000015",
                "input_cache_read": "0.0000003", "input_cache_write": "0.00000375", "input_cache_write_1h": "0.000006",
                "web_search": "0.01", "batch": {"prompt": "0.0000015", "completion": "0.0000075"},
                "overrides": [{"min_prompt_tokens": 200_001, "prompt": "0.000006", "completion": "0.0000225",
                    "input_cache_read": "0.0000006", "input_cache_write": "0.0000075", "input_cache_write_1h": "0.000012"}]},
            "top_provider": {"context_length": 200_000, "max_completion_tokens": 64_000},
            "supported_parameters": ["tools", "tool_choice", "response_format", "structured_outputs", "reasoning"]});
        assert_eq!(written("bedrock-anthropic/anthropic.claude-sonnet-4-5-20250929-v1:0"), expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let expected = json!({"id": "a/b", "object": "model", "created": 0, "owned_by": "a"});
        assert_eq!(written("a/b"), expected);
        let model = Model { id: "a/b".to_owned(), owner: "a".to_owned(), known: Known::default() };
        let list: Value = serde_json::from_slice(&write_models(&[model])).unwrap();
        assert_eq!(list, json!({"object": "list", "data": [expected]}));
        let embedding = written("openai/text-embedding-3-small");
        assert_eq!(
            embedding["architecture"],
            json!({"input_modalities": ["text"], "output_modalities": ["embeddings"]})
        );
        assert_eq!((&embedding["type"], &embedding["supported_parameters"]), (&json!("embedding"), &Value::Null));
        assert_eq!(written("tollgate/echo")["pricing"]["prompt"], "0");
    }
}
