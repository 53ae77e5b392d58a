//! What recorded answers say that they cost, against a second reading, and against the catalogue's prices.

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate::bill::Bill;
use tollgate::catalog::models::Models;
use tollgate::dialect::Dialect;
use tollgate::price::{Picodollars, cost};

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

/// In dollars: the last that is told anywhere below a `usage`.
fn dollars(texts: &[String]) -> Option<f64> {
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
            texts.iter().for_each(|text| bill.read(text));
            let expected = dollars(&texts);
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
    faults.report();
}

/// Where an upstream says what an answer cost, our own reckoning comes to the same, by the rules of `price.rs` and the
/// prices of the catalogue.
#[test]
fn the_catalogue_comes_to_what_upstreams_bill() {
    let models = Models::built_in();
    let mut faults = Faults::default();
    let mut same = 0;
    for case in cases("openai-chat") {
        let vendor = case.name.split('/').next().unwrap().trim_start_matches("openai-chat.").to_owned();
        let Some(body) = case.body("response.json").filter(|_| BILLED.contains(&vendor.as_str())) else { continue };
        let Ok(response) = Dialect::OpenaiChat.read_response(&body) else { continue };
        let mut bill = Bill::default();
        bill.read(std::str::from_utf8(&body).unwrap());
        let (Some(Picodollars(reported)), Some(usage)) = (bill.cost, response.usage) else { continue };
        let Some(priced) = models.get(&format!("{vendor}/{}", response.model)).price else { continue };
        let reckoned = cost(&usage, &bill, &priced.price);
        // Some round what they tell to a hundredth of a cent.
        let is_near = reckoned.is_some_and(|Picodollars(cost)| cost.abs_diff(reported) <= reported / 1000);
        same += u32::from(is_near);
        faults.check(&case, is_near, || format!("{reported} reported, {reckoned:?} reckoned"));
    }
    println!("{same} costs are reckoned as they were billed");
    faults.report();
}

/// Those whose recorded models the catalogue still knows.
const BILLED: &[&str] = &["perplexity", "vercel", "xai"];
