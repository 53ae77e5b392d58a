//! Turns the compiled Worker into JavaScript modules: `bundle CARGO_LOCK WASM FOLDER [--names]`.
//!
//! The names of functions stay only where `--names` asks for them, which scripts/size does.
//! Writes `index.js` and `index_bg.wasm` (what `wasm-bindgen --target module` would write), the JavaScript that
//! Rust imports as `snippets/`, and last `shim.js`, the Worker's main module. wrangler's own esbuild joins them.

use std::{collections::HashSet, env, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (lock, wasm, folder, names) = match arguments.as_slice() {
        [lock, wasm, folder] => (lock, wasm, folder, false),
        [lock, wasm, folder, flag] if flag == "--names" => (lock, wasm, folder, true),
        _ => bail!("usage: bundle CARGO_LOCK WASM FOLDER [--names]"),
    };
    same_version(lock)?;

    // Snippets carry a hash in their path, so those of earlier builds would pile up.
    let (folder, snippets) = (Path::new(folder), Path::new(folder).join("snippets"));
    if snippets.exists() {
        fs::remove_dir_all(&snippets).with_context(|| format!("removing {}", snippets.display()))?;
    }
    // The last two let the glue replace the instance when Rust has panicked, instead of failing for ever.
    Bindgen::new()
        .input_path(wasm)
        .out_name("index")
        .typescript(false)
        .demangle(false)
        .remove_name_section(!names)
        .remove_producers_section(true)
        .module(true)?
        .reset_state_function(true)
        .force_enable_abort_handler(true)
        .generate(folder)?;

    let index = folder.join("index.js");
    let mut glue = fs::read_to_string(&index).with_context(|| format!("reading {}", index.display()))?;
    for (theirs, ours) in PATCHES {
        ensure!(
            glue.matches(theirs).count() == 1,
            "{}: not once in it, has wasm-bindgen changed? {theirs}",
            index.display()
        );
        glue = glue.replacen(theirs, ours, 1);
    }
    fs::write(&index, without_twins(&glue)).with_context(|| format!("writing {}", index.display()))?;

    // Last, so that a shim newer than the .wasm file means that all is there.
    fs::write(folder.join("shim.js"), include_str!("shim.js")).context("writing shim.js")
}

/// wasm-bindgen would refuse as well, but names a command-line tool that nobody here has installed.
fn same_version(lock: &str) -> Result<()> {
    let text = fs::read_to_string(lock).with_context(|| format!("reading {lock}"))?;
    let theirs = version(&text, "wasm-bindgen").with_context(|| format!("{lock} has no wasm-bindgen"))?;
    let ours = version(include_str!("../Cargo.lock"), "wasm-bindgen-cli-support").context("no version of our own")?;
    ensure!(
        theirs == ours,
        "{lock} has wasm-bindgen {theirs}, but scripts/bundle is for {ours}, and they must be equal.\n\
         Either `cargo update -p wasm-bindgen --precise {ours}`,\n\
         or put `wasm-bindgen-cli-support = \"={theirs}\"` into scripts/bundle/Cargo.toml."
    );
    Ok(())
}

/// The version of `package` in the text of a Cargo.lock, where it stands on the line after the name.
fn version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    lock.lines().skip_while(|line| *line != name).nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

/// wasm-bindgen lists a snippet once for each function that needs no conversion, and esbuild warns of the equal keys.
fn without_twins(glue: &str) -> String {
    let mut seen = HashSet::new();
    let key = |line: &str| line.trim().strip_prefix("\"./")?.split_once("\": import").map(|(key, _)| key.to_owned());
    glue.split_inclusive('\n').filter(|line| key(line).is_none_or(|key| seen.insert(key))).collect()
}

/// What has to be otherwise in `index.js`, each found exactly once.
const PATCHES: [(&str, &str); 2] = [
    // wrangler hands over a compiled module for a plain `import` of a .wasm file; its esbuild does not know the
    // `import source` of the specification.
    ("import source ", "import "),
    // After a panic wasm-bindgen 0.2.130 makes the new instance when the next call begins, but by then that call has
    // compared instances and put its arguments into the old memory: what belongs to other requests then writes
    // through pointers of the old instance into the new one. Make it while the panic's own call ends instead.
    (
        "__wbg_call_abort_hook();\n    throw e;",
        "__wbg_call_abort_hook();\n    if (__wbg_reinit_scheduled) __wbg_reset_state();\n    throw e;",
    ),
];
