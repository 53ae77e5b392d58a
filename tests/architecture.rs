//! Holds what is deliberately absent: see "Invariants" in ARCHITECTURE.md.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file below `src`, by its path from there, with its text.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    assert!(files.len() > 15, "the sources were not found");
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn is_host(file: &str) -> bool {
    file.starts_with("host/") || file == "main.rs" || file == "command.rs"
}

/// The places where one of `words` stands in a line of code, tests and comments left out.
fn found(files: &[(String, String)], words: &[&str], allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let mut places = Vec::new();
    for (file, text) in files.iter().filter(|(file, _)| !allowed(file)) {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            places.extend(
                words.iter().filter(|word| line.contains(**word)).map(|word| format!("{file}:{}: {word}", number + 1)),
            );
        }
    }
    places
}

#[test]
fn the_core_has_no_clock_randomness_environment_or_runtime() {
    let words = [
        "std::time",
        "SystemTime",
        "Instant::",
        "std::env::",
        "std::fs",
        "std::net::Tcp",
        "std::thread",
        "tokio",
        "hyper",
        "getrandom",
        "worker::",
        "web_sys",
        "js_sys",
        "spin_sdk",
        "println!",
        "rusqlite",
    ];
    assert_eq!(found(&sources(), &words, is_host), Vec::<String>::new());
}

#[test]
fn effects_stand_in_serve_relay_and_the_hosts() {
    let serve = ["answer", "attempt", "media", "prepare", "splice"].map(|part| format!("serve/{part}.rs"));
    let allowed = |file: &str| {
        is_host(file) || file == "serve.rs" || file == "relay.rs" || serve.iter().any(|serving| serving == file)
    };
    assert_eq!(found(&sources(), &[".await"], allowed), Vec::<String>::new());
}

#[test]
fn only_the_host_module_and_main_ask_for_the_target() {
    let allowed = |file: &str| file == "host.rs" || file == "main.rs";
    assert_eq!(found(&sources(), &["cfg(target", "cfg(not(target", "cfg(all(target"], allowed), Vec::<String>::new());
}

#[test]
fn dialects_do_not_import_one_another() {
    let sources = sources();
    let dialects =
        ["ai_sdk", "anthropic", "bedrock_converse", "cohere", "gemini", "ollama", "openai_chat", "openai_responses"];
    for dialect in dialects {
        let own: Vec<_> = sources
            .iter()
            .filter(|(file, _)| {
                *file == format!("dialect/{dialect}.rs") || file.starts_with(&format!("dialect/{dialect}/"))
            })
            .cloned()
            .collect();
        assert!(!own.is_empty(), "{dialect} was not found");
        let others: Vec<String> = dialects
            .iter()
            .filter(|other| **other != dialect)
            .flat_map(|other| [format!("{other}::"), format!("{other};")])
            .collect();
        let words: Vec<&str> = others.iter().map(String::as_str).collect();
        assert_eq!(found(&own, &words, |_| false), Vec::<String>::new());
    }
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(file, _)| file).collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn nothing_received_can_be_unwrapped() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    for lint in ["unwrap_used", "expect_used", "panic", "indexing_slicing", "string_slice", "unreachable"] {
        assert!(text.contains(&format!("{lint} = \"warn\"")), "clippy::{lint} is not asked for; CI denies warnings");
    }
    assert!(text.contains("unsafe_code = \"deny\""));
}
