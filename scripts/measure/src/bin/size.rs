//! Says what a release of WebAssembly weighs and what is in it.
//!
//! `size bytes FILE…` prints each file raw and gzipped, and their sum. `size code WASM` prints what the crates and the
//! largest functions take of a module or component that was built with its names kept.

use std::collections::HashMap;
use std::io::Write;
use std::{env, fs, io};

use wasmparser::{KnownCustom, Name, Parser, Payload, TypeRef};

type Fault = Box<dyn std::error::Error>;

fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["bytes", files @ ..] => bytes(files),
        ["code", wasm] => code(wasm),
        _ => Err("usage: size bytes FILE… | size code WASM".into()),
    }
}

fn bytes(files: &[&str]) -> Result<(), Fault> {
    let mut sum = (0, 0);
    println!("{:>9} {:>9}", "raw", "gzipped");
    for file in files {
        let raw = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        let gzipped = gzipped(&raw)?;
        println!("{:>9} {:>9}  {file}", raw.len(), gzipped);
        sum = (sum.0 + raw.len(), sum.1 + gzipped);
    }
    println!("{:>9} {:>9}  together: {:.1} KiB gzipped", sum.0, sum.1, sum.1 as f64 / 1024.0);
    Ok(())
}

fn gzipped(raw: &[u8]) -> io::Result<usize> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(raw)?;
    Ok(encoder.finish()?.len())
}

/// One core module; a component holds several.
#[derive(Default)]
struct Module {
    imported: u32,
    bodies: Vec<usize>,
    names: HashMap<u32, String>,
}

fn code(file: &str) -> Result<(), Fault> {
    let wasm = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    let mut sections: HashMap<String, usize> = HashMap::new();
    let mut functions: HashMap<String, usize> = HashMap::new();
    let mut open: Vec<Module> = Vec::new();
    for payload in Parser::new(0).parse_all(&wasm) {
        let payload = payload?;
        let mut section = |name: &str, length: usize| *sections.entry(name.to_owned()).or_default() += length;
        match &payload {
            Payload::Version { .. } => open.push(Module::default()),
            Payload::ImportSection(imports) => {
                section("imports", imports.range().len());
                if let Some(module) = open.last_mut() {
                    for import in imports.clone().into_imports() {
                        module.imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
            }
            Payload::CodeSectionStart { range, .. } => section("code", range.len()),
            Payload::CodeSectionEntry(body) => {
                if let Some(module) = open.last_mut() {
                    module.bodies.push(body.range().len());
                }
            }
            Payload::DataSection(data) => section("data", data.range().len()),
            Payload::CustomSection(custom) => {
                section(&format!("custom {}", custom.name()), custom.data().len());
                if let (KnownCustom::Name(names), Some(module)) = (custom.as_known(), open.last_mut()) {
                    for name in names {
                        if let Name::Function(map) = name? {
                            for naming in map {
                                let naming = naming?;
                                module.names.insert(naming.index, naming.name.to_owned());
                            }
                        }
                    }
                }
            }
            Payload::End(_) => {
                let module = open.pop().unwrap_or_default();
                for (index, length) in (module.imported..).zip(module.bodies) {
                    let name = module.names.get(&index).map_or("without a name", String::as_str);
                    // Without the hash, so that all copies of a generic function count as one.
                    *functions.entry(format!("{:#}", rustc_demangle::demangle(name))).or_default() += length;
                }
            }
            // Their contents follow.
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {}
            other => {
                if let Some((_, range)) = other.as_section() {
                    section("other", range.len());
                }
            }
        }
    }
    let mut crates: HashMap<String, usize> = HashMap::new();
    for (function, length) in &functions {
        *crates.entry(owner(function).to_owned()).or_default() += length;
    }
    print("sections", sections);
    print("code by crate", crates);
    print("largest functions", functions);
    Ok(())
}

const ROWS: usize = 20;

fn print(title: &str, sizes: HashMap<String, usize>) {
    let total: usize = sizes.values().sum();
    let mut rows: Vec<(String, usize)> = sizes.into_iter().collect();
    rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    println!("  {title} ({} bytes in {})", total, rows.len());
    for (name, length) in rows.iter().take(ROWS) {
        let name: String = name.chars().take(130).collect();
        println!("  {length:>9} {:>5.1} %  {name}", 100.0 * *length as f64 / total.max(1) as f64);
    }
    if rows.len() > ROWS {
        let rest: usize = rows.iter().skip(ROWS).map(|(_, length)| length).sum();
        println!("  {rest:>9} {:>5.1} %  {} more", 100.0 * rest as f64 / total.max(1) as f64, rows.len() - ROWS);
    }
}

/// The crate to which a function's code is due: the first named in its path that is not the standard library, which
/// is whose type or closure a generic function was made for.
fn owner(function: &str) -> &str {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut standard = "without a crate";
    let mut rest = function;
    while let Some(start) = rest.find(is_word) {
        let (before, word) = rest.split_at(start);
        let (word, after) = word.split_at(word.find(|c| !is_word(c)).unwrap_or(word.len()));
        if !before.ends_with("::") && after.starts_with("::") {
            match word {
                "core" | "alloc" | "std" => standard = word,
                _ => return word,
            }
        }
        rest = after;
    }
    standard
}
