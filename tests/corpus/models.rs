//! Providers' own lists of models, held against what the catalogue says of the same models and against the rows that we tell.

use serde_json::{Value, json};
use tollgate::catalog::models::refresh::refresh;
use tollgate::catalog::models::{Model as Known, Models};
use tollgate::dialect::{Inbound, Model};
use tollgate::route::need::Need;

use crate::cases::cases;

/// The rows of every recorded list, with the provider whose list it is.
fn rows() -> Vec<(String, Value)> {
    let mut rows = Vec::new();
    for case in cases("models").iter().filter(|case| case.status == 200) {
        let provider = case.name.split(['.', '/']).nth(1).unwrap().to_owned();
        let list: Value = serde_json::from_slice(&case.body("response.json").unwrap()).unwrap();
        let listed = list["data"].as_array().or_else(|| list["models"].as_array());
        rows.extend(listed.into_iter().flatten().map(|row| (provider.clone(), row.clone())));
    }
    rows
}

fn name(row: &Value) -> &str {
    row["id"].as_str().or_else(|| row["name"].as_str()?.strip_prefix("models/")).unwrap()
}

/// What a list says that a model can.
fn stated(row: &Value) -> Vec<Need> {
    let can = &row["capabilities"];
    let says = |name: &str| can[name] == json!(true) || can[name]["supported"] == json!(true);
    let names = [
        ("vision", Need::Images),
        ("image_input", Need::Images),
        ("pdf_input", Need::Documents),
        ("audio", Need::Audio),
        ("function_calling", Need::Tools),
        ("structured_outputs", Need::Schema),
        ("reasoning", Need::Reasoning),
        ("thinking", Need::Reasoning),
    ];
    let mut stated: Vec<Need> = names.into_iter().filter(|(name, _)| says(name)).map(|(_, need)| need).collect();
    let lists = |list: &str, word: &str| row[list].as_array().is_some_and(|words| words.contains(&json!(word)));
    let words = [
        ("input_modalities", "image", Need::Images),
        ("input_modalities", "audio", Need::Audio),
        ("supported_features", "tools", Need::Tools),
        ("supported_features", "structured_outputs", Need::Schema),
        ("supported_features", "reasoning", Need::Reasoning),
    ];
    stated.extend(words.into_iter().filter(|(list, word, _)| lists(list, word)).map(|(.., need)| need));
    stated.extend((row["thinking"] == json!(true)).then_some(Need::Reasoning));
    stated
}

#[test]
fn no_model_is_denied_what_its_provider_says_that_it_can() {
    let models = Models::built_in();
    let mut checked = 0;
    for (provider, row) in rows() {
        let known = models.get(&format!("{provider}/{}", name(&row)));
        for need in stated(&row) {
            checked += 1;
            assert!(!known.cannot.has(need), "{provider}/{}: {}", name(&row), need.name());
        }
    }
    println!("{checked} abilities in providers' own lists");
}

#[test]
fn our_rows_have_the_fields_of_the_provider_that_made_the_dialect() {
    let lists = [("anthropic", Inbound::Anthropic), ("google", Inbound::Gemini)];
    let rows = rows();
    for (provider, dialect) in lists {
        // Of Google's, those that think say so.
        let is_like = |row: &Value| provider != "google" || row["thinking"].is_boolean();
        let Some((_, theirs)) = rows.iter().find(|(own, row)| own == provider && is_like(row)) else { continue };
        let can = [Need::Images, Need::Reasoning].into_iter().collect();
        let known = Known { context: Some(9), most: Some(7), can, ..Known::default() };
        let model = Model { id: "a/b".to_owned(), owner: "a".to_owned(), known };
        let ours: Value = serde_json::from_slice(&dialect.write_model(&model)).unwrap();
        for (field, value) in ours.as_object().unwrap() {
            let kind = std::mem::discriminant(value);
            assert_eq!(
                kind,
                std::mem::discriminant(&theirs[field]),
                "{provider}: {field} is {value} and {}",
                theirs[field]
            );
        }
        assert!(ours.as_object().unwrap().values().any(|value| *value == json!(9)), "{ours}");
    }
}

#[test]
fn a_list_of_any_shape_is_read_for_prices_or_refused() {
    for case in cases("models") {
        let Some(body) = case.body("response.json") else { continue };
        if let Ok(refreshed) = refresh(&body, "h, read 2099-01-01") {
            println!("{}: {} prices, {} refused", case.name, refreshed.priced, refreshed.refused.count);
            assert!(refreshed.priced > 0);
        }
    }
}
