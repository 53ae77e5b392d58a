//! Lists as they are published, cut down, and lists that make no sense.

use super::*;
use crate::catalog::models::{Kind, Origin};
use crate::price::{Batch, Service};
use crate::route::need::Need;
use crate::wire::json;

const SOURCE: &str = "prices.example.com, read 2099-01-02";

fn read(text: &str) -> Refreshed {
    refresh(text.as_bytes(), SOURCE).unwrap()
}

/// What is known of a model after a refresh.
fn known(text: &str, model: &str) -> Model {
    let mut models = Models::built_in();
    models.refreshed(&read(text).overlay);
    models.get(model)
}

fn price_of(model: &Model) -> &Price {
    &model.price.as_ref().unwrap().price
}

const LITELLM: &str = r#"{
    "sample_spec": {"litellm_provider": "one of them", "mode": "chat", "input_cost_per_token": 0.0},
    "gpt-99": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05,
        "cache_read_input_token_cost": 1.25e-07, "cache_creation_input_token_cost": 0, "input_cost_per_token_above_200k_tokens": 2.5e-06,
        "input_cost_per_token_priority": 2.5e-06, "output_cost_per_token_priority": 2e-05, "cache_read_input_token_cost_priority": 2.5e-07,
        "input_cost_per_token_flex": 6e-07, "input_cost_per_token_batches": 6.25e-07, "output_cost_per_token_batches": 5e-06,
        "max_input_tokens": 400000, "max_output_tokens": 128000, "supports_vision": true, "supports_audio_input": false,
        "search_context_cost_per_query": {"search_context_size_medium": 0.01}, "made_up": {"a": [1]}},
    "azure/gpt-99": {"litellm_provider": "azure", "mode": "chat", "input_cost_per_token": "0.000002", "output_cost_per_token": "4e-6"},
    "azure/eu/gpt-99": {"litellm_provider": "azure", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "anthropic.claude-99-v1:0": {"litellm_provider": "bedrock_converse", "mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05},
    "voyage/voyage-99": {"litellm_provider": "voyage", "mode": "embedding", "input_cost_per_token": 6e-08},
    "openai/dall-e": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_pixel": 1e-08},
    "gone": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06, "deprecation_date": "2098-01-01"},
    "half": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06},
    "gpt-5": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": -1, "output_cost_per_token": 1e-05},
    "dear": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.1, "output_cost_per_token": 1},
    "odd": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": "free", "output_cost_per_token": 1},
    "not a name": {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6},
    "nobody/x": {"litellm_provider": "nobody", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "list": []
}"#;

#[test]
fn litellms_table_is_read_by_its_own_names() {
    let refreshed = read(LITELLM);
    assert_eq!((refreshed.priced, refreshed.changed), (5, 5));
    let why =
        ["gpt-5: input_cost_per_token is -1", "dear: input_cost_per_token is 1.1", "odd: input_cost_per_token is free"];
    assert_eq!((refreshed.refused.count, refreshed.refused.why), (3, why.map(str::to_owned).to_vec()));

    let gpt = known(LITELLM, "openai/gpt-99");
    let rates = Rates { cached_input: 125_000, ..Rates::flat(1_250_000, 10_000_000) };
    let price = price_of(&gpt);
    assert_eq!(price.tokens.rates, rates);
    assert_eq!(price.tokens.above, [(200_000, Rates { cached_input: 125_000, ..Rates::flat(2_500_000, 10_000_000) })]);
    let fast = Rates { cached_input: 250_000, ..Rates::flat(2_500_000, 20_000_000) };
    assert_eq!(price.services.len(), 1, "half a price of flex is none");
    assert_eq!((price.services[0].0, price.services[0].1.rates), (Service::Priority, fast));
    assert_eq!(price.search, Some(Search::Each(10_000_000_000)));
    assert_eq!(price.batch, Some(Batch { input: 625_000, output: 5_000_000 }));
    assert_eq!(gpt.price.as_ref().unwrap().origin, Origin::Table(SOURCE.into()));
    assert_eq!((gpt.context, gpt.most, gpt.kind), (Some(400_000), Some(128_000), Some(Kind::Chat)));
    assert!(gpt.can.has(Need::Images) && gpt.cannot.is_empty());

    assert_eq!(price_of(&known(LITELLM, "azure/gpt-99")).tokens.rates, Rates::flat(2_000_000, 4_000_000));
    for provider in ["amazon-bedrock", "bedrock-anthropic"] {
        let claude = known(LITELLM, &format!("{provider}/anthropic.claude-99-v1:0"));
        assert_eq!(price_of(&claude).tokens.rates, Rates::flat(3_000_000, 15_000_000), "{provider}");
    }
    let voyage = known(LITELLM, "voyage/voyage-99");
    assert_eq!((price_of(&voyage).tokens.rates, voyage.kind), (Rates::flat(60_000, 0), Some(Kind::Embedding)));
    for unknown in ["azure/eu/gpt-99", "openai/gone", "openai/half", "openai/dear", "openai/dall-e", "nobody/x"] {
        assert_eq!(known(LITELLM, unknown).price, None, "{unknown}");
    }
}

const OPENROUTER: &str = r#"{"data": [
    {"id": "openai/gpt-99", "context_length": 400000, "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "pricing": {"prompt": "0.00000125", "completion": "0.00001", "request": "0", "image": "0", "web_search": "0.01",
            "internal_reasoning": "0", "input_cache_read": "0.000000125",
            "overrides": [{"min_prompt_tokens": 200001, "prompt": "0.0000025", "completion": "0.000015"}, {"utc_start": "01:00", "prompt": "0"}]},
        "top_provider": {"max_completion_tokens": 128000}, "supported_parameters": ["tools", "reasoning"]},
    {"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1"}},
    {"id": "meta/llama:free", "pricing": {"prompt": "0", "completion": "0"}},
    {"id": "by/the-second", "pricing": {"prompt": "0", "completion": "0"}},
    {"id": "unpriced/m", "context_length": 5},
    {"id": 7}, "none"
], "total_count": 337}"#;

#[test]
fn openrouters_list_is_of_its_own_models() {
    let source = "openrouter.ai, read 2099-01-02";
    let refreshed = refresh(OPENROUTER.as_bytes(), source).unwrap();
    assert_eq!((refreshed.priced, refreshed.changed), (2, 2));
    assert_eq!(refreshed.refused.why, ["openrouter/auto: pricing.prompt is -1"]);
    let mut models = Models::built_in();
    models.refreshed(&refreshed.overlay);
    let gpt = models.get("openrouter/openai/gpt-99");
    let rates = Rates { cached_input: 125_000, ..Rates::flat(1_250_000, 10_000_000) };
    let longer = Rates { cached_input: 125_000, ..Rates::flat(2_500_000, 15_000_000) };
    assert_eq!(price_of(&gpt).tokens, crate::price::Tokens { rates, above: vec![(200_000, longer)] });
    assert_eq!(price_of(&gpt).search, Some(Search::Each(10_000_000_000)));
    assert_eq!((gpt.context, gpt.most), (Some(400_000), Some(128_000)));
    assert!([Need::Images, Need::Tools, Need::Reasoning].into_iter().all(|need| gpt.can.has(need)));
    assert_eq!(price_of(&models.get("openrouter/meta/llama:free")).tokens.rates, Rates::default());
    assert_eq!(models.get("openrouter/by/the-second").price, None);
    assert_eq!(models.of("openrouter"), ["meta/llama:free", "openai/gpt-99"]);
    assert_eq!(models.list("openrouter")[1].1, gpt);

    let elsewhere = known(OPENROUTER, "openai/gpt-99");
    assert_eq!(price_of(&elsewhere).tokens.rates, rates, "anybody else's list names provider and model");
}

#[test]
fn the_list_of_another_tollgate_says_what_it_knows() {
    let built_in = Models::built_in();
    let name = "bedrock-anthropic/anthropic.claude-sonnet-4-5-20250929-v1:0";
    let listed = crate::dialect::Model { id: name.to_owned(), owner: "o".to_owned(), known: built_in.get(name) };
    let text =
        String::from_utf8(crate::dialect::Inbound::OpenaiChat.write_models(std::slice::from_ref(&listed))).unwrap();
    let refreshed = read(&text);
    assert_eq!((refreshed.priced, refreshed.changed), (1, 0), "it is the same price: {}", refreshed.overlay.lines);
    let renamed = text.replace("sonnet-4-5", "sonnet-99");
    let fresh = known(&renamed, &name.replace("sonnet-4-5", "sonnet-99"));
    assert_eq!(price_of(&fresh), price_of(&listed.known));
    assert_eq!((fresh.context, fresh.most, fresh.can), (listed.known.context, listed.known.most, listed.known.can));
}

#[test]
fn what_the_table_says_already_is_not_kept() {
    let gpt = r#"{"gpt-5":{"litellm_provider":"openai","mode":"chat","input_cost_per_token":PRICE,"output_cost_per_token":1e-05,
        "cache_read_input_token_cost":1.25e-07,"input_cost_per_token_priority":2.5e-06,"output_cost_per_token_priority":2e-05,
        "cache_read_input_token_cost_priority":2.5e-07,"input_cost_per_token_flex":6.25e-07,"output_cost_per_token_flex":5e-06,
        "cache_read_input_token_cost_flex":6.25e-08,"input_cost_per_token_batches":6.25e-07,"output_cost_per_token_batches":5e-06,
        "max_input_tokens":1,"search_context_cost_per_query":{"search_context_size_medium":0.01}}}"#;
    let same = read(&gpt.replace("PRICE", "1.2499999e-06"));
    assert_eq!((same.priced, same.changed, same.overlay.lines.as_str()), (1, 0, ""));
    let dearer = gpt.replace("PRICE", "1.5e-06");
    let known = known(&dearer, "openai/gpt-5-2025-08-07");
    assert_eq!(price_of(&known).tokens.rates.input, 1_500_000);
    let built_in = Models::built_in().get("openai/gpt-5");
    assert_eq!((known.context, known.can), (built_in.context, built_in.can), "limits are those of the table");
}

#[test]
fn two_prices_of_a_model_leave_its_others_in_proportion() {
    let list = |input: &str, output: &str| {
        format!(
            r#"{{"data":[{{"id":"anthropic/claude-sonnet-4-5","pricing":{{"prompt":"{input}","completion":"{output}"}}}},
            {{"id":"openai/new","pricing":{{"prompt":"0.000001","completion":"0.000002"}}}}]}}"#
        )
    };
    let before = Models::built_in().get("anthropic/claude-sonnet-4-5");
    let same = read(&list("0.000003", "0.000015"));
    assert_eq!((same.priced, same.known, same.changed), (2, 1, 1));
    assert!(!same.overlay.lines.contains("sonnet"), "nothing has changed: {}", same.overlay.lines);
    assert_eq!(known(&list("0.000003", "0.000015"), "anthropic/claude-sonnet-4-5"), before);

    let cheaper = known(&list("0.0000024", "0.000012"), "anthropic/claude-sonnet-4-5");
    let rates = &price_of(&cheaper).tokens.rates;
    assert_eq!((rates.input, rates.output), (2_400_000, 12_000_000));
    assert_eq!((rates.cached_input, rates.cache_write, rates.cache_write_1h), (240_000, 3_000_000, 4_800_000));
    assert_eq!(price_of(&cheaper).batch, Some(Batch { input: 1_200_000, output: 6_000_000 }));
    assert_eq!(price_of(&cheaper).search, price_of(&before).search);
    let origin = Origin::Table(format!("{SOURCE}; the rest in proportion to the catalogue").into());
    assert_eq!(cheaper.price.as_ref().unwrap().origin, origin, "the log tells it");
    let text = list("0.0000024", "0.000012");
    let mut models = Models::built_in();
    models.refreshed(&refresh(text.as_bytes(), "[::1]:9000, read 2099-01-02").unwrap().overlay);
    assert!(models.get("anthropic/claude-sonnet-4-5").price != before.price && models.knows("openai/new"));
    let new = known(&text, "openai/new");
    assert_eq!(new.price.unwrap().origin, Origin::Table(SOURCE.into()), "nobody knows any other price of it");
}

#[test]
fn the_configuration_goes_before_a_refresh_and_a_refresh_before_an_older_table() {
    let overlay = |day: &str| Overlay { source: format!("h, read {day}"), lines: "[openai]\ngpt-5 7/8\n".to_owned() };
    let input = |models: &Models| price_of(&models.get("openai/gpt-5")).tokens.rates.input;
    let mut models = Models::built_in();
    models.refreshed(&overlay("2020-01-01"));
    assert_eq!(input(&models), 1_250_000, "the table is newer");
    models.refreshed(&overlay("2099-01-01"));
    assert_eq!(input(&models), 7_000_000);
    assert_eq!(
        models.list("openai"),
        models.of("openai").into_iter().map(|name| (name, models.get(&format!("openai/{name}")))).collect::<Vec<_>>()
    );
    let own = Price::of(crate::price::Tokens { rates: Rates::flat(1, 2), above: Vec::new() });
    let own = Model { price: Some(Priced { price: own, origin: Origin::Configuration }), ..Model::default() };
    models.set("openai/gpt-5".to_owned(), own);
    assert_eq!(input(&models), 1);
}

#[test]
fn an_overlay_is_kept_as_text() {
    let overlay = read(LITELLM).overlay;
    let stored = json::to_string(&overlay);
    assert_eq!(json::parse::<Overlay>(&stored).unwrap(), overlay);
    assert_eq!(overlay.day(), "2099-01-02");
}

#[test]
fn a_list_is_refused_whole_where_most_of_it_makes_no_sense() {
    let row = |price: &str| {
        format!(
            r#"{{"litellm_provider":"openai","mode":"chat","input_cost_per_token":{price},"output_cost_per_token":{price}}}"#
        )
    };
    let cases = [
        (String::new(), "the list of prices is not a JSON object"),
        ("[]".to_owned(), "the list of prices is not a JSON object"),
        ("{}".to_owned(), "neither \"data\""),
        (r#"{"error":{"message":"no"}}"#.to_owned(), "neither \"data\""),
        (r#"{"data":[]}"#.to_owned(), "0 models in the list have a price and 0 are refused"),
        (
            format!(r#"{{"a":{},"b":{}}}"#, row("1e-6"), row("-1")),
            "1 models in the list have a price and 1 are refused; b: input_cost_per_token is -1",
        ),
        (format!("{}{}", LITELLM, "}"), "trailing characters"),
    ];
    for (text, expected) in cases {
        let error = refresh(text.as_bytes(), SOURCE).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(refresh(&[0xff], SOURCE).unwrap_err().contains("UTF-8"));
    assert!(refresh(&vec![b' '; BYTES_MAX + 1], SOURCE).unwrap_err().contains("longer"));
}

#[test]
fn a_source_names_the_host_and_the_day_and_nothing_else() {
    let cases = [
        ("https://raw.example.com/a/b.json?token=s", "raw.example.com, read 1970-01-02"),
        ("https://user:pass@h.example:8443/x", "h.example:8443, read 1970-01-02"),
        ("http://h", "h, read 1970-01-02"),
    ];
    for (url, expected) in cases {
        assert_eq!(source(url, 86_400_000), expected);
    }
}

/// Nothing that is damaged panics, and what is read of it costs at most a dollar a token.
#[test]
fn damage_is_survived() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let pieces = [
        "1e308",
        "-1",
        "null",
        "{",
        "]",
        "\"",
        "1e-400",
        "99999999999999999999999",
        "[openai]\n",
        " ",
        "1.5",
        "{}",
        "\u{1f600}",
        "\\u0000",
    ];
    let mut read_at_all = 0;
    for seed in [LITELLM, OPENROUTER] {
        for _ in 0..1_000 {
            let mut text = seed.as_bytes().to_vec();
            for _ in 0..=random(3) {
                let at = random(text.len());
                let end = (at + random(12)).min(text.len());
                text.splice(at..end, pieces[random(pieces.len())].bytes());
            }
            let Ok(refreshed) = refresh(&text, SOURCE) else { continue };
            read_at_all += 1;
            let mut models = Models::built_in();
            models.refreshed(&refreshed.overlay);
            for (provider, lines) in models.fresh.as_ref().unwrap().sections() {
                for (name, model) in models.list(provider) {
                    assert!(is_name(name), "{name}");
                    let Some(priced) = model.price else { continue };
                    assert!(
                        priced.price.tokens.rates.input <= TOKEN_MAX.0
                            && priced.price.tokens.rates.output <= TOKEN_MAX.0
                    );
                }
                for line in lines.lines() {
                    let name = line.split(' ').next().unwrap();
                    // What is behind it is where it is from.
                    let line = line.split(" # ").next().unwrap();
                    let model = super::line::read(line, "");
                    assert_eq!(super::line::read(&super::line::write(name, &model), ""), model, "{line}");
                }
            }
        }
    }
    assert!(read_at_all > 150, "{read_at_all}: more should survive");
}

/// What is stored may be anything too.
#[test]
fn an_overlay_of_any_text_is_survived() {
    for lines in [
        "",
        "[",
        "[]\n",
        "[a]\n",
        "[openai]\ngpt-5\n",
        "[openai]\ngpt-5 1/ h @x >y b/ +- :z c m q\n",
        "\u{1f600}[\n]\n a",
    ] {
        let mut models = Models::built_in();
        models.refreshed(&Overlay { source: "h, read 2099-01-01".to_owned(), lines: lines.to_owned() });
        let known = models.get("openai/gpt-5");
        assert!(known.price.is_some(), "{lines}");
        models.list("openai");
        models.of("a");
    }
}
