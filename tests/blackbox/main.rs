//! The black-box suite: every host is started as its users start it and driven over a real socket, with a
//! scripted upstream behind it. The scenarios are the same for all hosts.
//!
//! `TOLLGATE_HOSTS=native,workers,spin` says which hosts run, by default the native one; a host that cannot be
//! started fails all of its tests. `TOLLGATE_BIN`, `TOLLGATE_SPIN_HOST` and `TOLLGATE_SPIN_COMPONENT` replace
//! what is started. What the hosts printed is in `target/tmp/blackbox` afterwards.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod answer;
mod caller;
mod client;
mod host;
mod program;
mod scenarios;
mod sse;
mod suite;
mod test;
mod upstream;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, RwLock};

use caller::Dialect;
use host::{Host, Kind, Setup};
use suite::{Scenario, Suite};
use test::Test;
use upstream::{Provider, Upstream, sigv4};

/// Most scenarios wait for something; more of them than this would only slow down those that do not.
const THREADS: usize = 12;

/// Longer than any scenario takes that is not stuck: some start Workers of their own, which only one does at a time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Where the stores of this run are; runs at the same time must not share them.
fn scratch() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("blackbox").join(std::process::id().to_string())
}

/// What all tests of a run share.
struct Run {
    runtime: Runtime,
    upstream: Arc<Upstream>,
    config: Value,
    /// Read while a scenario runs, written by one that must run alone.
    floor: RwLock<()>,
    hosts: [OnceCell<Result<Arc<Host>, String>>; 3],
}

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let suite = scenarios::all();
    let run = Arc::new(Run::new(&suite));
    run.runtime.spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            host::stop_all();
            std::process::exit(130);
        }
    });
    let scenarios: Vec<_> = suite.scenarios.into_iter().map(Arc::new).collect();
    let mut trials = vec![];
    for dialect in Dialect::ALL {
        let run = Arc::clone(&run);
        trials.push(Trial::test(
            format!("upstream::{}::a_caller_without_gateway_reads_what_was_scripted", dialect.name()),
            move || {
                run.runtime.block_on(scenarios::without_gateway(run.upstream.address, dialect));
                Ok(())
            },
        ));
    }
    for provider in Provider::ALL {
        let name = format!("upstream::{}::what_the_provider_would_refuse_is_refused", provider.name());
        trials.push(Trial::test(name, move || {
            upstream::premise::refuses(provider);
            Ok(())
        }));
    }
    let kinds = chosen_hosts();
    for last in [false, true] {
        for (kind, scenario) in kinds.iter().flat_map(|kind| scenarios.iter().map(|scenario| (*kind, scenario))) {
            if scenario.last == last && scenario.hosts.contains(&kind) {
                let (run, scenario) = (Arc::clone(&run), Arc::clone(scenario));
                trials.push(Trial::test(format!("{}::{}", kind.name(), scenario.name), move || {
                    run.runtime.block_on(run.play(kind, &scenario)).map_err(Into::into)
                }));
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    run.keep_logs();
    host::stop_all();
    // What a failing scenario left is worth a look.
    if !conclusion.has_failed() {
        let _ = fs::remove_dir_all(scratch());
    }
    conclusion.exit();
}

fn chosen_hosts() -> Vec<Kind> {
    let names = std::env::var("TOLLGATE_HOSTS").unwrap_or_else(|_| "native".to_owned());
    let kind = |name: &str| {
        let known = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        known.unwrap_or_else(|| panic!("TOLLGATE_HOSTS: no host {name:?}"))
    };
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(kind).collect()
}

impl Run {
    fn new(suite: &Suite) -> Self {
        let runtime = Runtime::new().expect("tokio starts");
        let upstream = runtime.block_on(Upstream::start()).expect("loopback has a free port");
        // Port 1 is reserved and privileged: nobody listens there.
        let config = suite.config(upstream.address, ([127, 0, 0, 1], 1).into());
        Self { runtime, upstream, config, floor: RwLock::const_new(()), hosts: Default::default() }
    }

    async fn play(&self, kind: Kind, scenario: &Scenario) -> Result<(), String> {
        let host = self.host(kind).await?;
        let _alone = if scenario.alone { Some(self.floor.write().await) } else { None };
        let _among_others = if scenario.alone { None } else { Some(self.floor.read().await) };
        let test = Test {
            kind,
            host: Arc::clone(&host),
            upstream: Arc::clone(&self.upstream),
            setup: self.setup(kind),
            caller: scenario.caller.clone(),
            key: suite::key(&scenario.caller),
            marker: marker(kind, scenario.number),
            scratch: scratch().join(format!("{}-{}", kind.name(), scenario.number)),
        };
        let ended = tokio::time::timeout(PATIENCE, (scenario.run)(test)).await;
        // It takes the requests of other scenarios with it.
        if let Some(line) = host.log().iter().find(|line| line.contains("instance lost")) {
            return Err(format!("a request, not necessarily this one, brought its instance down: {line}"));
        }
        ended.map_err(|_| format!("not done after {PATIENCE:?}"))
    }

    /// Starts a host at the first scenario that needs it.
    async fn host(&self, kind: Kind) -> Result<Arc<Host>, String> {
        let start = || async { Host::start(kind, &self.setup(kind)).await.map(Arc::new) };
        self.hosts[kind as usize].get_or_init(start).await.clone()
    }

    fn setup(&self, kind: Kind) -> Setup {
        let keys: Vec<_> =
            Provider::ALL.into_iter().filter_map(|provider| Some((provider.secret(), provider.key()?))).collect();
        let mut secrets: Vec<_> = keys.iter().map(|(name, key)| (name.as_str(), *key)).collect();
        secrets.extend([("AWS_ACCESS_KEY_ID", sigv4::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", sigv4::SECRET_KEY)]);
        secrets.extend([suite::BY_SECRET, suite::TOKEN_SECRET]);
        Setup::new(Some(self.config.clone()), &secrets, scratch().join(kind.name()))
    }

    fn keep_logs(&self) {
        for (kind, host) in Kind::ALL.into_iter().zip(&self.hosts) {
            if let Some(Ok(host)) = host.get() {
                let path = scratch().with_file_name(format!("{}.log", kind.name()));
                fs::write(path, host.log().join("\n")).expect("the build's own directory can be written");
            }
        }
    }
}

/// Unique among all scenarios of all hosts, and 19 characters long.
fn marker(kind: Kind, number: usize) -> String {
    format!("mk_{:x<8}{number:0>8}", kind.name())
}
