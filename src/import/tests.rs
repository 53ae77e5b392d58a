//! Files of other gateways, in the shapes that their documentation shows, and what becomes of them: each whole answer as
//! it is printed, which must be a configuration that is taken.

mod hosted;
mod litellm;
mod portkey;

use tollgate::config::{Config, Mistake};

use super::{Source, import};
use crate::command::{elsewhere, from_toml};

/// What a file becomes.
struct Case {
    /// The sentence that it shows.
    holds: &'static str,
    /// What the file is called, and what its requests ask for.
    name: &'static str,
    model: Option<&'static str>,
    file: &'static str,
    expected: &'static str,
}

/// Each is imported by its shape, which tells whose it is.
fn check(cases: &[Case]) {
    for Case { holds, name, model, file, expected } in cases {
        let imported = import(file, None, name, *model).unwrap_or_else(|mistakes| panic!("{holds}: {mistakes:?}"));
        assert_eq!(imported.toml.trim(), expected.trim(), "{holds}");
        for note in &imported.lost {
            assert!(imported.toml.contains(&format!("# - {note}")), "{holds}: {note}");
        }
        assert!(!imported.toml.contains("very-secret"), "{holds}: a key is written");
        assert!(!imported.toml.contains("sk-"), "{holds}: a key is written");
        take(holds, &imported.toml);
    }
}

/// That a configuration is taken.
fn take(holds: &str, toml: &str) {
    let draft = from_toml(toml).unwrap_or_else(|why| panic!("{holds}: {why}"));
    let mistakes: Vec<Mistake> = Config::compile(&draft, elsewhere).err().unwrap_or_default();
    assert_eq!(mistakes, [], "{holds}");
}

#[test]
fn litellms_yaml_is_carried() {
    check(litellm::CASES);
}

#[test]
fn portkeys_configs_are_carried() {
    check(portkey::CASES);
}

#[test]
fn requests_to_hosted_gateways_are_carried() {
    check(hosted::CASES);
}

#[test]
fn what_cannot_be_read_is_told_by_its_path() {
    let cases: [(&str, &[&str]); 16] = [
        ("model_list: [", &["unclosed bracket '[' at line 1, column 13"]),
        ("[]", &["not of a shape that is known; say whose it is: --from litellm, portkey, openrouter or vercel"]),
        ("{}", &["not of a shape that is known; say whose it is: --from litellm, portkey, openrouter or vercel"]),
        ("router_settings: {}", &["model_list: missing"]),
        ("model_list: 7", &["model_list: expected a list, not 7"]),
        (
            "model_list: [{litellm_params: {}}, {model_name: a}, 1]",
            &[
                "model_list[0].model_name: missing",
                "model_list[0].litellm_params.model: missing",
                "model_list[1].litellm_params: missing",
                "model_list[2]: expected fields, not 1",
            ],
        ),
        (
            "{model_list: [{model_name: a, litellm_params: {model: openai/gpt-5, rpm: -7, timeout: -1}}]}",
            &[
                "model_list[0].litellm_params.rpm: expected a number, 0 or more, not -7",
                "model_list[0].litellm_params.timeout: expected a number, 0 or more, not -1",
            ],
        ),
        (
            "{model_list: [], router_settings: {fallbacks: [{a: 1}], num_retries: 1.5}}",
            &[
                "router_settings.fallbacks[0].a: expected a list of models, not 1",
                "router_settings.num_retries: expected a whole number, 0 or more, not 1.5",
            ],
        ),
        (
            "{model_list: [], router_settings: {model_group_alias: {a: 1, b: {}}}}",
            &[
                "router_settings.model_group_alias.a: expected a model, not 1",
                "router_settings.model_group_alias.b.model: missing",
            ],
        ),
        (
            r#"{"strategy": {"mode": "random"}, "targets": [{"provider": "openai", "override_params": {"model": "m"}}]}"#,
            &[r#"strategy.mode: "random" is not "single", "fallback", "loadbalance" or "conditional""#],
        ),
        (
            r#"{"strategy": {"mode": "fallback"}, "targets": [{"provider": "openai"}]}"#,
            &["the file: has no target that can be asked here"],
        ),
        (
            r#"{"strategy": {"mode": "conditional", "conditions": [{"query": {"params.model": "a"}, "then": "b"}]},
                "targets": [{"name": "a", "provider": "openai", "override_params": {"model": "m"}}]}"#,
            &[r#"strategy.conditions[0]: no target is called "b""#],
        ),
        (
            r#"{"strategy": {"mode": "conditional", "conditions": [{"then": "b"}]}, "targets": [{"provider": "openai", "override_params": {"model": "m"}}]}"#,
            &[r#"strategy.conditions[0].query: expected fields, such as {"metadata.plan": {"$eq": "paid"}}"#],
        ),
        (
            r#"{"strategy": {"mode": "fallback"}, "targets": [
                {"provider": "openai", "override_params": {"model": "m"}},
                {"strategy": {"mode": "conditional", "conditions": [], "default": "a"},
                 "targets": [{"name": "a", "provider": "groq", "override_params": {"model": "m"}}]}]}"#,
            &["the file: conditions are for the outermost level"],
        ),
        (
            r#"{"model": "openai/gpt-4o", "provider": {"only": ["nobody"], "sort": 7, "data_collection": "maybe"}}"#,
            &[
                "provider.only: names no provider that is known here",
                "provider.sort: expected a string like \"price\"",
                "provider.data_collection: \"maybe\" is not \"allow\" or \"deny\"",
            ],
        ),
        (
            r#"{"gateway": {"models": ["openai/gpt-4o"], "only": ["mistral"]}}"#,
            &["models: none of them can be asked here under these wishes"],
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(import(file, None, "file", None).unwrap_err(), expected, "{file}");
    }
}

#[test]
fn a_key_in_a_broken_file_is_not_told() {
    for file in ["model_list:\n  - litellm_params: {api_key: sk-1, model: [}", "a: sk-1\na: sk-1"] {
        let told = import(file, None, "file", None).unwrap_err().join("\n");
        assert!(!told.contains("sk-"), "{told}");
    }
}

#[test]
fn a_key_in_an_address_is_left_out() {
    let file = "{model_list: [{model_name: a, litellm_params: {model: openai/m, api_key: none,
        api_base: 'https://user:sk-1@host.example/v1?key=sk-2'}}]}";
    let imported = import(file, None, "file", None).unwrap();
    assert!(imported.toml.contains("base_url = \"https://host.example/v1\"\n"), "{}", imported.toml);
    assert!(!imported.toml.contains("sk-") && !imported.toml.contains("user"), "{}", imported.toml);
    take("an address", &imported.toml);
}

#[test]
fn no_file_is_too_deep_or_too_wide() {
    let deep = |open: &str, close: &str| format!("model_list: {}{}", open.repeat(20_000), close.repeat(20_000));
    let wide: String = (b'a'..=b'h')
        .map(|name| {
            format!(
                "{1}: &{1} [{0}{0}{0}{0}{0}{0}{0}{0}]\n",
                if name == b'a' { "x,".to_owned() } else { format!("*{},", char::from(name - 1)) },
                char::from(name)
            )
        })
        .collect();
    for file in [deep("[", "]"), deep("{a: ", "}"), wide] {
        assert!(import(&file, Some(Source::Litellm), "file", None).is_err());
    }
}
