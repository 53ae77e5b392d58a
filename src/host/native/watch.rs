//! The configuration while the server runs: its file is looked at from time to time and read again where it has changed,
//! or when SIGHUP says so. One that cannot be used changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Shared;
use crate::config::{Config, Draft, Mistake};
use crate::serve::current::{Current, Offered};

/// Where the configuration is from.
pub struct Source {
    /// Looked at for changes; nothing changes where there is none.
    pub file: Option<PathBuf>,
    pub read: Box<dyn Fn() -> Written + Send>,
}

/// A configuration as it stands there, and its version.
pub struct Written {
    pub version: String,
    pub draft: Result<Draft, Vec<Mistake>>,
}

impl Written {
    pub fn compile(&self) -> Result<Config, Vec<Mistake>> {
        let draft = self.draft.as_ref().map_err(Clone::clone)?;
        Config::compile(draft, |name| std::env::var(name).ok())
    }
}

const LOOK: Duration = Duration::from_secs(2);

/// Takes what the file holds whenever it has changed. Never ends.
pub(super) async fn watch(source: Source, mut current: Current, shared: Arc<Shared>) {
    let Some(file) = &source.file else { return std::future::pending().await };
    let mut hangups = Hangups::new();
    let mut seen = state(file);
    loop {
        let is_asked = tokio::select! {
            () = tokio::time::sleep(LOOK) => false,
            () = hangups.next() => true,
        };
        let now = state(file);
        if now == seen && !is_asked {
            continue;
        }
        seen = now;
        let written = (source.read)();
        match current.offer(&written.version, || written.compile()) {
            Offered::Known => {}
            Offered::Taken(line) => {
                println!("{line}");
                shared.replace(current.gateway());
            }
            Offered::Refused(line) => println!("{line}"),
        }
    }
}

/// What a change changes: an editor writes in place or puts another file there.
fn state(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Each SIGHUP, where the system has it.
struct Hangups {
    #[cfg(unix)]
    signals: Option<tokio::signal::unix::Signal>,
}

impl Hangups {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            signals: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signals) = &mut self.signals
            && signals.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
