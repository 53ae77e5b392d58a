//! The configuration while the server runs: its file is looked at from time to time and read again where it has changed,
//! or when SIGHUP says so; and its prices are refreshed. What cannot be used changes nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Shared;
use super::request::Request;
use crate::config::{Config, Draft, Mistake};
use crate::host::Host as _;
use crate::serve::current::{Current, Offered};
use crate::serve::prices::{self, Prices};

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
    pub fn compile(&self, prices: &Prices) -> Result<Config, Vec<Mistake>> {
        let draft = self.draft.as_ref().map_err(Clone::clone)?;
        Config::compile_with(prices.overlay.as_ref(), draft, |name| std::env::var(name).ok())
    }

    /// With the prices, if it wants any but those that came with the gateway.
    fn stamped(&self, prices: &Prices) -> String {
        match &self.draft {
            Ok(draft) if draft.catalog.refresh_url.is_some() => prices.stamp(&self.version),
            _ => self.version.clone(),
        }
    }
}

const LOOK: Duration = Duration::from_secs(2);

/// Takes what the file holds whenever it has changed. Never ends.
pub(super) async fn watch(source: Source, mut current: Current, host: Request) {
    let shared = host.lane.shared.clone();
    let state = || source.file.as_deref().and_then(state);
    // Without a file the signal ends the process, as it does any other.
    let mut hangups = source.file.as_ref().map(|_| Hangups::new());
    let mut seen = state();
    let mut prices = prices::recall(&host).await.unwrap_or_default();
    offer(&source, &mut current, &shared, &prices);
    loop {
        let is_asked = tokio::select! {
            () = tokio::time::sleep(LOOK) => false,
            () = hang_up(&mut hangups) => true,
        };
        let is_refreshed = refresh(&mut prices, &host).await;
        let now = state();
        if now != seen || is_asked || is_refreshed {
            seen = now;
            offer(&source, &mut current, &shared, &prices);
        }
    }
}

fn offer(source: &Source, current: &mut Current, shared: &Shared, prices: &Prices) {
    let written = (source.read)();
    match current.offer(&written.stamped(prices), || written.compile(prices)) {
        Offered::Known => {}
        Offered::Taken(line) => {
            println!("{line}");
            shared.replace(current.gateway());
        }
        Offered::Refused(line) => println!("{line}"),
    }
}

/// Whether there are new prices.
async fn refresh(prices: &mut Prices, host: &Request) -> bool {
    let gateway = host.lane.shared.gateway();
    let Some(from) = gateway.config.refresh.as_ref().filter(|from| prices.is_due(from, host.now())) else {
        return false;
    };
    (prices.url, prices.tried_at) = (from.url.clone(), host.now());
    match prices::renew(host, from).await {
        Ok(fresh) => {
            *prices = fresh;
            true
        }
        Err(why) => {
            host.log(&prices::failed(&why));
            false
        }
    }
}

async fn hang_up(hangups: &mut Option<Hangups>) {
    match hangups {
        Some(hangups) => hangups.next().await,
        None => std::future::pending().await,
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
