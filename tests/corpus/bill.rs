//! What recorded answers say that they cost, against a second reading, and against the catalogue's prices.

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate::bill::Bill;
use tollgate::catalog::models::Models;
use tollgate::catalog::providers;
use tollgate::chat::{Event, Usage};
use tollgate::dialect::Dialect;
use tollgate::price::{Picodollars, cost};
use tollgate::usage::Rule;
use tollgate::wire::frame::Frame;

use crate::cases::{Case, Faults, cases};

/// The JSON texts of a recorded answer: one, or one for each frame.
fn texts(case: &Case) -> Vec<String> {
    if let Some(body) = case.body("response.json") {
        return vec![String::from_utf8(body).unwrap()];
    }
    let stream = case.body("response.sse").unwrap_or_default();
    let data = |line: &str| line.strip_prefix("data:").map(|data| data.trim().to_owned());
    String::from_utf8_lossy(&stream).lines().filter_map(data).collect()
}

/// How the provider tells usage that answered `case`, by its row of the catalogue.
fn rule(case: &Case, model: &str) -> Rule {
    let (_, vendor) = api_and_vendor(case);
    let row = providers().into_iter().find(|row| row.name == vendor);
    row.map(|row| Rule::of(&row.usage, model)).unwrap_or_default()
}

/// Of `openai-chat.xai/case`.
fn api_and_vendor(case: &Case) -> (&str, &str) {
    let name = case.name.split('/').next().unwrap();
    name.split_once('.').unwrap_or((name, ""))
}

/// In dollars: the last that is told anywhere below a `usage`, where it is known what it is counted in.
fn dollars(vendor: &str, texts: &[String]) -> Option<f64> {
    if !COSTS.contains(&vendor) {
        return None;
    }
    let told = |text: &String| {
        let value: Value = serde_json::from_str(text).ok()?;
        let usage = [&value["usage"], &value["response"]["usage"], &value["message"]["usage"]];
        let usage = usage.into_iter().rfind(|usage| usage.is_object())?;
        let ticks = usage["cost_in_usd_ticks"].as_f64().filter(|ticks| *ticks > 0.0).map(|ticks| ticks * 1e-10);
        let behind = usage["cost_details"]["upstream_inference_cost"].as_f64().filter(|_| usage["is_byok"] == true);
        let own = usage["cost"].as_f64().map(|cost| cost + behind.unwrap_or(0.0));
        own.or(usage["cost"]["total_cost"].as_f64()).or(ticks).or(usage["estimated_cost"].as_f64())
    };
    texts.iter().filter_map(told).next_back()
}

#[test]
fn a_recorded_cost_is_read_as_it_stands() {
    let mut faults = Faults::default();
    let mut read: BTreeMap<String, u32> = BTreeMap::new();
    for api in ["openai-chat", "openai-responses", "anthropic-messages", "gemini", "embeddings", "rerank"] {
        for case in cases(api) {
            let texts = texts(&case);
            let mut bill = Bill::default();
            let rule = rule(&case, "");
            texts.iter().for_each(|text| bill.read(text, rule.cost.as_ref()));
            let expected = dollars(api_and_vendor(&case).1, &texts);
            let near = match (bill.cost, expected) {
                (None, None) => true,
                (Some(Picodollars(cost)), Some(dollars)) => (cost as f64 - dollars * 1e12).abs() <= 1.0,
                _ => false,
            };
            faults.check(&case, near, || format!("{:?} is not {expected:?}", bill.cost));
            if bill.cost.is_some() {
                *read.entry(case.name.split('/').next().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    println!("costs read: {read:?}");
    for (vendor, least) in [("openrouter", 54), ("vercel", 47), ("perplexity", 12), ("xai", 27)] {
        assert!(read.get(&format!("openai-chat.{vendor}")).is_some_and(|count| *count >= least), "{vendor}: {read:?}");
    }
    faults.report();
}

/// Where an upstream says what an answer cost, our own reckoning comes to the same, by the rules of `price.rs`, the prices of
/// the catalogue and what its row says of usage.
#[test]
fn the_catalogue_comes_to_what_upstreams_bill() {
    let models = Models::built_in();
    let mut faults = Faults::default();
    let mut same: BTreeMap<String, u32> = BTreeMap::new();
    for case in cases("openai-chat") {
        let vendor = api_and_vendor(&case).1.to_owned();
        if !BILLED.contains(&vendor.as_str()) {
            continue;
        }
        let texts = texts(&case);
        let model =
            texts.iter().find_map(|text| Some(serde_json::from_str::<Value>(text).ok()?["model"].as_str()?.to_owned()));
        let Some(model) = model else { continue };
        let rule = rule(&case, &model);
        let mut bill = Bill::default();
        texts.iter().for_each(|text| bill.read(text, rule.cost.as_ref()));
        let (Some(Picodollars(reported)), Some(usage)) = (bill.cost, usage(&case, &texts, &rule)) else { continue };
        // Vercel's gateway asks what those ask who make the models: "Pricing", AI Gateway documentation, read 2026-11.
        let listed = models.get(&format!("{vendor}/{model}")).price;
        let Some(priced) = listed.or_else(|| models.get(&model).price) else { continue };
        let reckoned = cost(&usage, &bill, &priced.price);
        // Some round what they tell to a hundredth of a cent.
        let is_near = reckoned.is_some_and(|Picodollars(cost)| cost.abs_diff(reported) <= reported / 1000);
        *same.entry(vendor).or_default() += u32::from(is_near);
        faults.check(&case, is_near, || format!("{model}: {reported} reported, {reckoned:?} reckoned of {usage:?}"));
    }
    println!("costs that are reckoned as they were billed: {same:?}");
    assert!(same["vercel"] >= 36 && same["perplexity"] >= 12, "{same:?}");
    faults.report();
}

/// What a whole answer or a stream of Chat Completions says that it used.
fn usage(case: &Case, texts: &[String], rule: &Rule) -> Option<Usage> {
    if let Some(body) = case.body("response.json") {
        return Dialect::OpenaiChat.read_response_by(rule, &body).ok()?.usage;
    }
    let (mut decoder, mut events) = (Dialect::OpenaiChat.decoder_by(rule), Vec::new());
    for text in texts {
        let frame = Frame { event: None, data: Some(text.as_str().into()) };
        decoder.frame(&frame, &mut events).ok()?;
    }
    events.into_iter().rev().find_map(|event| match event {
        Event::Usage(usage) => Some(usage),
        _ => None,
    })
}

/// What was cached of a prompt is never among its tokens where Grok runs on Azure: of many answers it is more than those, of
/// the others it would have been taken for a part.
#[test]
fn what_grok_on_azure_had_cached_is_beside_its_prompt() {
    let mut faults = Faults::default();
    let mut counts = [0, 0];
    for case in cases("openai-chat").into_iter().filter(|case| api_and_vendor(case).1 == "azure") {
        let texts = texts(&case);
        let rule = rule(&case, "grok-4-1-fast-non-reasoning");
        for text in texts.iter().filter(|text| text.contains("\"grok")) {
            let told = &serde_json::from_str::<Value>(text).unwrap()["usage"];
            let (Some(prompt), Some(cached)) =
                (told["prompt_tokens"].as_u64(), told["prompt_tokens_details"]["cached_tokens"].as_u64())
            else {
                continue;
            };
            let usage = usage(&case, &texts, &rule).unwrap();
            counts[usize::from(cached > prompt)] += u32::from(cached > 0);
            faults.check(&case, usage.input == prompt + cached, || format!("{} of {prompt} + {cached}", usage.input));
        }
    }
    assert!(counts[0] >= 5 && counts[1] >= 16, "{counts:?}");
    faults.report();
}

/// Those whose recorded models the catalogue still knows.
const BILLED: &[&str] = &["perplexity", "vercel", "xai"];

/// Those of whom it is known what their costs are counted in.
const COSTS: &[&str] = &["openrouter", "vercel", "perplexity", "xai", "huggingface", "deepinfra"];
