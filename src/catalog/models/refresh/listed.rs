//! The list of models that OpenRouter has, and Vercel's gateway and Tollgate in the same form.
//!
//! Sources: "Models", OpenRouter documentation; "REST API", Vercel AI Gateway documentation; read 2026-11.

use super::super::sheet::Sheet;
use super::super::{Kind, Model};
use super::{Found, Listed, price, tokens};
use crate::price::{Batch, Search, Service};
use crate::route::need::{Need, Needs};
use crate::wire::json::{self, Fields, Raw};

/// Whose models a list is of. Anybody else's names them `provider/model`.
const OWNERS: [(&str, &str); 2] = [("openrouter.ai", "openrouter"), ("ai-gateway.vercel.sh", "vercel")];

/// Prices by the names that either gateway has for them, in the letters of a line.
const NAMES: [(&str, char); 8] = [
    ("input", 'i'),
    ("prompt", 'i'),
    ("output", 'o'),
    ("completion", 'o'),
    ("input_cache_read", 'h'),
    ("input_cache_write", 'w'),
    ("input_cache_write_1h", 'W'),
    ("internal_reasoning", 'r'),
];

/// And in those of a model's prices only.
const AUDIO: [(&str, char); 1] = [("audio", 'a')];

pub(super) fn read(data: Raw<'_>, source: &str, found: &mut Found) -> Result<(), String> {
    let rows: Vec<Raw<'_>> = json::parse(data.get()).map_err(|error| format!("data: {error}"))?;
    let host = source.split(',').next().unwrap_or_default();
    let owner = OWNERS.iter().find(|(own, _)| *own == host).map(|(_, owner)| *owner);
    for row in rows.iter().take(super::MODELS_MAX) {
        let Ok(row) = Fields::read(row.get().as_bytes()) else { continue };
        let Ok(Some(id)) = row.get::<String>("id") else { continue };
        let Some((provider, name)) = owner.map(|owner| (owner, id.as_str())).or_else(|| id.split_once('/')) else {
            continue;
        };
        let Some(pricing) = row.raw("pricing") else { continue };
        let Ok(pricing) = Fields::read(pricing.get().as_bytes()) else { continue };
        match model(name, &row, &pricing) {
            Ok(listed) => found.add(provider, name, listed),
            Err(why) => found.refuse(&id, &format!("pricing.{why}")),
        }
    }
    Ok(())
}

fn model(name: &str, row: &Fields<'_>, pricing: &Fields<'_>) -> Result<Listed, String> {
    let mut sheet = Sheet::default();
    figures(pricing, 0, &mut sheet)?;
    for (field, letter) in AUDIO {
        sheet.set((Service::Standard, 0), letter, price(pricing, field)?.filter(|price| *price > 0));
    }
    let overrides: Vec<Raw<'_>> = pricing.get("overrides").ok().flatten().unwrap_or_default();
    for longer in overrides {
        let Ok(longer) = Fields::read(longer.get().as_bytes()) else { continue };
        // Others are of hours of the day.
        if let Some(size) = tokens(&longer, "min_prompt_tokens") {
            figures(&longer, size.saturating_sub(1), &mut sheet)?;
        }
    }
    sheet.request = price(pricing, "request")?;
    sheet.search = price(pricing, "web_search")?.filter(|price| *price > 0).map(Search::Each);
    let batch = pricing.raw("batch").and_then(|batch| Fields::read(batch.get().as_bytes()).ok());
    if let Some(batch) = batch {
        let pair = price(&batch, "prompt")?.zip(price(&batch, "completion")?);
        sheet.batch = pair.map(|(input, output)| Batch { input, output });
    }
    let is_free = name.ends_with(":free");
    // Zeros of others are of models whose price depends, or that are billed by something else.
    let is_price = sheet.usual('i').max(sheet.usual('o')).is_some_and(|price| price > 0 || is_free);
    let kind = kind(row);
    if sheet.usual('o').is_none() && matches!(kind, Kind::Embedding | Kind::Rerank) {
        sheet.set((Service::Standard, 0), 'o', Some(0));
    }
    let limits = row.raw("top_provider").and_then(|limits| Fields::read(limits.get().as_bytes()).ok());
    let most = limits.and_then(|limits| tokens(&limits, "max_completion_tokens"));
    let model = Model {
        price: None,
        context: tokens(row, "context_length").or_else(|| tokens(row, "context_window")),
        most: most.or_else(|| tokens(row, "max_tokens")),
        kind: Some(kind),
        can: can(row),
        cannot: Needs::default(),
    };
    Ok(Listed { sheet: Some(sheet).filter(|_| is_price), model })
}

fn figures(pricing: &Fields<'_>, size: u64, sheet: &mut Sheet) -> Result<(), String> {
    for (field, letter) in NAMES {
        if let Some(price) = price(pricing, field)?.filter(|price| *price > 0 || matches!(letter, 'i' | 'o')) {
            sheet.set((Service::Standard, size), letter, Some(price));
        }
    }
    Ok(())
}

fn kind(row: &Fields<'_>) -> Kind {
    let words = modalities(row, "output_modalities");
    let kind: String = row.get("type").ok().flatten().unwrap_or_default();
    let gives = |word: &str| words.iter().any(|own| own == word) || kind == word;
    if gives("embeddings") || gives("embedding") {
        Kind::Embedding
    } else if gives("reranking") {
        Kind::Rerank
    } else if words == ["image"] || kind == "image" {
        Kind::Image
    } else {
        Kind::Chat
    }
}

fn modalities(row: &Fields<'_>, name: &str) -> Vec<String> {
    let architecture = row.raw("architecture").and_then(|value| Fields::read(value.get().as_bytes()).ok());
    architecture.and_then(|architecture| architecture.get(name).ok().flatten()).unwrap_or_default()
}

fn can(row: &Fields<'_>) -> Needs {
    let mut words = modalities(row, "input_modalities");
    words.extend(row.get::<Vec<String>>("supported_parameters").ok().flatten().unwrap_or_default());
    let names = [
        ("image", Need::Images),
        ("file", Need::Documents),
        ("audio", Need::Audio),
        ("tools", Need::Tools),
        ("structured_outputs", Need::Schema),
        ("reasoning", Need::Reasoning),
    ];
    names.into_iter().filter(|(name, _)| words.iter().any(|word| word == name)).map(|(_, need)| need).collect()
}
