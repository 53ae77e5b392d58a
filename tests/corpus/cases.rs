//! The recordings, read in place.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One recorded exchange.
pub(crate) struct Case {
    /// `openai-chat.groq/some-case`.
    pub(crate) name: String,
    pub(crate) status: u64,
    folder: PathBuf,
}

impl Case {
    /// One of its files, such as `request.json`.
    pub(crate) fn body(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(name)).ok()
    }

    /// The last part of the name.
    pub(crate) fn short(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }
}

/// Every exchange of an API, with all its vendors.
pub(crate) fn cases(api: &str) -> Vec<Case> {
    let wire = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/wire");
    let mut cases = Vec::new();
    for dialect in folders(&wire) {
        let vendor = dialect.file_name().unwrap().to_string_lossy().into_owned();
        if vendor.split('.').next() != Some(api) {
            continue;
        }
        for folder in folders(&dialect) {
            let name = format!("{vendor}/{}", folder.file_name().unwrap().to_string_lossy());
            let meta: Value = serde_json::from_slice(&fs::read(folder.join("meta.json")).unwrap()).unwrap();
            cases.push(Case { name, status: meta["status"].as_u64().unwrap_or(200), folder });
        }
    }
    if cases.is_empty() {
        println!("no recordings of {api} beside the project; nothing was checked");
    }
    cases
}

/// Every JSON text of every exchange: bodies, and what the frames of streams hold.
pub(crate) fn texts() -> Vec<String> {
    let wire = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/wire");
    let mut texts = Vec::new();
    for folder in folders(&wire).iter().flat_map(|dialect| folders(dialect)) {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        texts.extend(["request.json", "response.json"].into_iter().filter_map(read));
        let frames = ["response.sse", "response.ndjson"].into_iter().filter_map(read);
        let data = |line: &str| line.strip_prefix("data:").or(line.starts_with('{').then_some(line)).map(str::to_owned);
        frames.for_each(|frames| texts.extend(frames.lines().filter_map(data)));
    }
    texts
}

/// Errors that are documented or reported: `errors` has bodies, `midstream` frames.
pub(crate) fn faults(kind: &str) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../shared/fixtures/faults/{kind}.jsonl"));
    let Ok(text) = fs::read_to_string(file) else { return Vec::new() };
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(of) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Gathers what does not hold, so that one run shows all of it.
#[derive(Default)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    pub(crate) fn check(&mut self, case: &Case, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(format!("{}: {}", case.name, what()));
        }
    }

    pub(crate) fn report(&self) {
        assert!(self.0.is_empty(), "{} faults:\n{}", self.0.len(), self.0.join("\n"));
    }
}
