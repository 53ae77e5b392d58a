//! litellm's table: an object of models, each with flat fields whose names hold sizes and services.
//!
//! As `scripts/catalog` reads it, but for what that corrects, and for what models cannot: silence is judged there.

use super::super::sheet::Sheet;
use super::super::{Kind, Model};
use super::{Found, Listed, price, tokens};
use crate::named::Named;
use crate::price::{Batch, Search, Service};
use crate::route::need::{Need, Needs};
use crate::wire::json::{self, Fields, Raw, objects};

objects! {
    /// How its providers are called here: `catalog/litellm.json`.
    struct Names {
        providers: Named<Peer> = Named::default(),
        shared: Vec<Shared> = Vec::new(),
    }

    struct Peer {
        provider: String,
        /// What names of models begin with there.
        prefix: String = String::new(),
    }

    /// A provider that has the models of another at its prices.
    struct Shared {
        provider: String,
        of: String,
        /// What the names of those hold.
        part: String = String::new(),
    }
}

/// The prices of a token by the beginning of their fields, the longer first, in the letters of a line.
const BASES: [(&str, char); 10] = [
    ("cache_creation_input_token_cost_above_1hr", 'W'),
    ("cache_creation_input_token_cost", 'w'),
    ("cache_read_input_token_cost", 'h'),
    ("input_cost_per_token", 'i'),
    ("output_cost_per_token", 'o'),
    ("output_cost_per_reasoning_token", 'r'),
    ("input_cost_per_audio_token", 'a'),
    ("output_cost_per_audio_token", 'A'),
    ("input_cost_per_image_token", 'v'),
    ("output_cost_per_image_token", 'V'),
];

const ABLE: [(&str, Need); 6] = [
    ("supports_audio_input", Need::Audio),
    ("supports_pdf_input", Need::Documents),
    ("supports_vision", Need::Images),
    ("supports_reasoning", Need::Reasoning),
    ("supports_response_schema", Need::Schema),
    ("supports_function_calling", Need::Tools),
];

/// `today` is as dates are there: `2026-11-21`.
pub(super) fn read(rows: &[(String, Raw<'_>)], today: &str, found: &mut Found) -> Result<(), String> {
    let names: Names = json::parse(include_str!("../../litellm.json")).map_err(|error| error.to_string())?;
    if !rows.iter().any(|(_, row)| row.get().contains("\"litellm_provider\"")) {
        return Err("the list of prices has neither \"data\", as OpenRouter's has, nor litellm's fields".to_owned());
    }
    for (key, row) in rows {
        let Ok(row) = Fields::read(row.get().as_bytes()) else { continue };
        let word = |name: &str| row.get::<String>(name).ok().flatten().unwrap_or_default();
        let Some(peer) = names.providers.get(&word("litellm_provider")) else { continue };
        let gone = word("deprecation_date");
        if !gone.is_empty() && gone.as_str() < today {
            continue;
        }
        let name = key.strip_prefix(peer.prefix.as_str()).unwrap_or(key);
        let Some(kind) = kind(&word("mode"), &row).filter(|_| is_asked(&peer.provider, name)) else { continue };
        match model(&peer.provider, name, kind, &row) {
            Ok(listed) => {
                let also =
                    names.shared.iter().filter(|shared| shared.of == peer.provider && name.contains(&shared.part));
                for shared in also {
                    found.add(&shared.provider, name, listed.clone());
                }
                found.add(&peer.provider, name, listed);
            }
            Err(why) => found.refuse(key, &why),
        }
    }
    Ok(())
}

/// What is asked over the gateway's paths.
fn kind(mode: &str, row: &Fields<'_>) -> Option<Kind> {
    match mode {
        "chat" | "responses" => Some(Kind::Chat),
        "completion" => Some(Kind::Completion),
        "embedding" => Some(Kind::Embedding),
        "rerank" => Some(Kind::Rerank),
        "image_generation" => row.raw("input_cost_per_token").map(|_| Kind::Image),
        _ => None,
    }
}

/// Not a region's or a size's own price, nor a fine-tuned model's or a class of models, nor a machine by the hour.
fn is_asked(provider: &str, name: &str) -> bool {
    let has_start = match provider {
        "amazon-bedrock" | "azure" => !name.contains('/'),
        "fireworks" => name.starts_with("accounts/"),
        "cloudflare-workers-ai" => name.starts_with("@cf/"),
        "togetherai" => !name.starts_with("together-ai-"),
        _ => true,
    };
    let is_class = ["ft:", "azure/", "bedrock/"].iter().any(|start| name.starts_with(start));
    has_start && !is_class && !name.ends_with("@default") && !name.ends_with("container") && !name.contains(' ')
}

fn model(provider: &str, name: &str, kind: Kind, row: &Fields<'_>) -> Result<Listed, String> {
    let mut sheet = Sheet::default();
    for field in row.names() {
        let Some((letter, service, size)) = place(field) else { continue };
        let price = price(row, field)?;
        // No price of a cache means that it has none of its own.
        sheet.set((service, size), letter, price.filter(|price| *price > 0 || matches!(letter, 'i' | 'o')));
    }
    tiers(row, &mut sheet)?;
    if matches!(kind, Kind::Embedding | Kind::Rerank) && sheet.usual('o').is_none() {
        sheet.set((Service::Standard, 0), 'o', Some(0));
    }
    searches(provider, name, row, &mut sheet)?;
    let batch = (price(row, "input_cost_per_token_batches")?, price(row, "output_cost_per_token_batches")?);
    sheet.batch = batch.0.zip(batch.1).map(|(input, output)| Batch { input, output });
    let able = ABLE.iter().filter(|(name, _)| matches!(row.get(name), Ok(Some(true))));
    let model = Model {
        price: None,
        context: tokens(row, "max_input_tokens").or_else(|| tokens(row, "max_tokens")),
        most: tokens(row, "max_output_tokens").filter(|_| !matches!(kind, Kind::Embedding | Kind::Rerank)),
        kind: Some(kind),
        can: able.map(|(_, need)| *need).collect(),
        cannot: Needs::default(),
    };
    Ok(Listed { sheet: Some(sheet).filter(|sheet| is_price(sheet, kind)), model })
}

/// Half a price is none, and what is free is not believed.
fn is_price(sheet: &Sheet, kind: Kind) -> bool {
    let [input, output] = ['i', 'o'].map(|letter| sheet.usual(letter).is_some_and(|price| price > 0));
    match kind {
        Kind::Embedding | Kind::Rerank => input || output,
        Kind::Chat | Kind::Completion | Kind::Image => input && output,
    }
}

/// `input_cost_per_token_above_200k_tokens_priority`: which price it is, of which service, above which size.
fn place(field: &str) -> Option<(char, Service, u64)> {
    let (letter, rest) = BASES.iter().find_map(|(base, letter)| Some((*letter, field.strip_prefix(base)?)))?;
    let (rest, service) = match (rest.strip_suffix("_flex"), rest.strip_suffix("_priority")) {
        (Some(rest), _) => (rest, Service::Flex),
        (_, Some(rest)) => (rest, Service::Priority),
        (None, None) => (rest, Service::Standard),
    };
    let size = match rest {
        "" => 0,
        rest => rest.strip_prefix("_above_")?.strip_suffix("k_tokens")?.parse::<u64>().ok()?.checked_mul(1000)?,
    };
    Some((letter, service, size))
}

/// Where prices by size stand in a list, that counts.
fn tiers(row: &Fields<'_>, sheet: &mut Sheet) -> Result<(), String> {
    let ranges: Vec<Raw<'_>> = row.get("tiered_pricing").ok().flatten().unwrap_or_default();
    for range in ranges {
        let Ok(tier) = Fields::read(range.get().as_bytes()) else { continue };
        let bounds: Vec<Raw<'_>> = tier.get("range").ok().flatten().unwrap_or_default();
        let start = bounds.first().map_or("0", |start| start.get());
        let start = start.split_once('.').map_or(start, |(whole, _)| whole).parse().unwrap_or_default();
        for field in tier.names() {
            if let Some((letter, Service::Standard, 0)) = place(field) {
                let price = price(&tier, field)?.filter(|price| *price > 0 || matches!(letter, 'i' | 'o'));
                sheet.set((Service::Standard, start), letter, price);
            }
        }
    }
    Ok(())
}

fn searches(provider: &str, name: &str, row: &Fields<'_>, sheet: &mut Sheet) -> Result<(), String> {
    let Some(sizes) = row.raw("search_context_cost_per_query") else { return Ok(()) };
    let Ok(sizes) = Fields::read(sizes.get().as_bytes()) else { return Ok(()) };
    let medium = price(&sizes, "search_context_size_medium")?.filter(|price| *price > 0);
    let by_itself = ["-search-preview", "-search-api"].iter().any(|end| name.ends_with(end));
    if provider == "perplexity" {
        // Every answer is searched for, as little as there is unless more is asked for.
        sheet.request = price(&sizes, "search_context_size_low")?;
    } else if by_itself && matches!(provider, "openai" | "azure") {
        // These search for every answer.
        sheet.request = medium;
    } else if provider.starts_with("google") && row.raw("web_search_billing_unit").is_none() {
        // Google's older models ask once for a prompt, however often they search for it.
        sheet.search = medium.map(Search::Once);
    } else {
        sheet.search = medium.map(Search::Each);
    }
    Ok(())
}
