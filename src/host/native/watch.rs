//! The configuration while the server runs: its file is looked at from time to time and read again where it has changed
//! and is at rest, or when SIGHUP says so; and its prices are refreshed. What cannot be used changes nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Shared;
use super::request::Request;
use crate::config::{Config, Mistake, Reading};
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
    pub reading: Reading,
}

impl Written {
    pub fn compile(&self, prices: &Prices) -> Result<Config, Vec<Mistake>> {
        Config::of(&self.reading, prices.overlay.as_ref(), |name| std::env::var(name).ok())
    }

    /// With the prices, if it wants any but those that came with the gateway.
    fn stamped(&self, prices: &Prices) -> String {
        match &self.reading.draft.catalog.refresh_url {
            Some(_) => prices.stamp(&self.version),
            None => self.version.clone(),
        }
    }
}

/// From one look to the next: longer than it takes to write a file, and twice as long is the longest until a change is
/// taken.
const LOOK: Duration = Duration::from_secs(1);

/// Takes what the file holds whenever it has changed. Never ends.
pub(super) async fn watch(source: Source, mut current: Current, host: Request) {
    let shared = host.lane.shared.clone();
    let state = || source.file.as_deref().and_then(state);
    // Without a file the signal ends the process, as it does any other.
    let mut hangups = source.file.as_ref().map(|_| Hangups::new());
    let mut looks = Looks::new(state());
    let mut prices = prices::recall(&host).await.unwrap_or_default();
    offer(&(source.read)(), &mut current, &shared, &prices);
    let mut is_due = false;
    // Nothing waits for a list: it may be long in coming.
    let mut renewal = None;
    loop {
        if renewal.is_none() {
            renewal = refresh(&mut prices, &host).map(Box::pin);
        }
        let is_asked = tokio::select! {
            () = tokio::time::sleep(LOOK) => false,
            () = hang_up(&mut hangups) => true,
            renewed = ended(&mut renewal) => {
                renewal = None;
                match renewed {
                    Ok(fresh) => {
                        prices = fresh;
                        is_due = true;
                    }
                    Err(why) => host.log(&prices::failed(&why)),
                }
                continue;
            }
        };
        is_due |= is_asked;
        let is_at_rest = looks.look(state());
        if is_asked || is_at_rest && (is_due || looks.is_new()) {
            let written = (source.read)();
            // Somebody may have begun to write since.
            if looks.look(state()) {
                looks.take();
                is_due = false;
                offer(&written, &mut current, &shared, &prices);
            }
        }
    }
}

/// What a file was found to be, look after look: one that is being written may have a meaning before it is whole, and the
/// callers, rules or limits that are missing then would be missed by nobody.
struct Looks<S> {
    last: S,
    taken: S,
}

impl<S: PartialEq + Clone> Looks<S> {
    fn new(first: S) -> Self {
        Self { last: first.clone(), taken: first }
    }

    /// Whether it is as it was at the last look.
    fn look(&mut self, now: S) -> bool {
        let is_at_rest = self.last == now;
        self.last = now;
        is_at_rest
    }

    fn is_new(&self) -> bool {
        self.last != self.taken
    }

    fn take(&mut self) {
        self.taken.clone_from(&self.last);
    }
}

fn offer(written: &Written, current: &mut Current, shared: &Shared, prices: &Prices) {
    match current.offer(&written.stamped(prices), || written.compile(prices)) {
        Offered::Known => {}
        Offered::Taken(line) => {
            println!("{line}");
            shared.replace(current.gateway());
        }
        Offered::Refused(line) => println!("{line}"),
    }
}

/// New prices, if it is time for them.
fn refresh<'h>(
    prices: &mut Prices,
    host: &'h Request,
) -> Option<impl Future<Output = Result<Prices, String>> + use<'h>> {
    let gateway = host.lane.shared.gateway();
    let from = gateway.config.refresh.clone().filter(|from| prices.is_due(from, host.now()))?;
    prices.tries(&from, host.now());
    Some(async move { prices::renew(host, &from).await })
}

/// Waits for what is under way; for ever where nothing is.
async fn ended<F: Future + Unpin>(under_way: &mut Option<F>) -> F::Output {
    match under_way {
        Some(future) => future.await,
        None => std::future::pending().await,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_once_two_looks_in_a_row_have_found_the_same() {
        let mut looks = Looks::new(1);
        // Written piece by piece, and then at rest.
        let taken = [1, 1, 2, 3, 4, 4, 4, 5, 4, 4].map(|found| {
            let is_taken = looks.look(found) && looks.is_new();
            if is_taken {
                looks.take();
            }
            is_taken
        });
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
        assert!(taken[5], "{taken:?}");
    }
}
