//! Starting and stopping the three hosts as their users do: a process with a configuration, a store, and a port
//! of its own. Each runs in its own process group, and stopping it ends that group and nothing else.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Native,
    Workers,
    Spin,
}

/// What a host is started with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) config: Option<Value>,
    /// Under the names that the environment gives them.
    pub(crate) secrets: Vec<(String, String)>,
    /// A directory; whoever starts a host again with the same one finds the same totals.
    pub(crate) store: PathBuf,
    /// Only for the native host: more of the command line.
    pub(crate) arguments: Vec<String>,
    /// Only for Workers: without the Durable Object, so that all counters are in KV.
    pub(crate) kv_only: bool,
    /// Only for Workers: the configuration is a key in KV, not a variable.
    pub(crate) config_in_kv: bool,
    /// Only for the native host: the configuration is a variable, not a file.
    pub(crate) config_in_variable: bool,
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    log: Log,
    group: Group,
}

pub(crate) type Log = Arc<Mutex<Vec<String>>>;

#[derive(Debug)]
struct Group {
    child: Mutex<Child>,
}

/// The process groups to end when the run is interrupted.
static GROUPS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// wrangler builds before it listens, and two builds at once would write the same files.
static STARTING_WORKERS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Native, Self::Workers, Self::Spin];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Workers => "workers",
            Self::Spin => "spin",
        }
    }

    /// Changes the configuration of a host that runs, as its operator does.
    pub(crate) fn configure(self, setup: &Setup, config: &Value) {
        match self {
            Self::Native => write_config(setup, config),
            Self::Workers => put_in_kv(setup, config),
            Self::Spin => {
                // A row of the log that the store is: see `tests/spin-host/src/rows.rs`.
                let (key, value) = ("config", config.to_string());
                let mut row = Vec::new();
                row.extend(u32::try_from(key.len()).expect("a short key").to_le_bytes());
                row.extend(u32::try_from(value.len()).expect("a configuration").to_le_bytes());
                row.extend_from_slice(key.as_bytes());
                row.extend_from_slice(value.as_bytes());
                let log = fs::OpenOptions::new().create(true).append(true).open(setup.store.join("store"));
                log.and_then(|mut log| log.write_all(&row)).expect("the store's directory can be written");
            }
        }
    }

    fn command(self, setup: &Setup) -> Command {
        match self {
            Self::Native => native(setup),
            Self::Workers => workers(setup),
            Self::Spin => spin(setup),
        }
    }

    /// Where it listens, once it does.
    fn address(self, setup: &Setup, log: &Log) -> Option<SocketAddr> {
        let greeting = match self {
            Self::Native => "tollgate listening on http://",
            Self::Spin => "listening on http://",
            Self::Workers => return workerd(setup),
        };
        lines(log).iter().find_map(|line| address_in(line, greeting))
    }

    fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Self::Native => 20,
            Self::Workers => 300,
            Self::Spin => 120,
        })
    }
}

impl Setup {
    pub(crate) fn new(config: Option<Value>, secrets: &[(&str, &str)], store: PathBuf) -> Self {
        let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (kv_only, config_in_kv, config_in_variable) = (false, false, false);
        Self { config, secrets, store, arguments: Vec::new(), kv_only, config_in_kv, config_in_variable }
    }

    fn variables(&self) -> Vec<(String, String)> {
        let config = self.config.as_ref().filter(|_| !self.config_in_kv);
        let config = config.map(|config| ("TOLLGATE_CONFIG".to_owned(), config.to_string()));
        self.secrets.iter().cloned().chain(config).collect()
    }
}

impl Host {
    pub(crate) async fn start(kind: Kind, setup: &Setup) -> Result<Self, String> {
        let _turn = if kind == Kind::Workers { Some(STARTING_WORKERS.lock().await) } else { None };
        fs::create_dir_all(&setup.store).map_err(|error| format!("{}: {error}", setup.store.display()))?;
        let mut command = kind.command(setup);
        for (name, _) in std::env::vars() {
            if ["TOLLGATE_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "AWS_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
                && !command.get_envs().any(|(set, value)| set == name.as_str() && value.is_some())
            {
                command.env_remove(name);
            }
        }
        command.current_dir(root()).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let log = Log::default();
        collect(child.stdout.take().expect("stdout is piped"), Arc::clone(&log));
        collect(child.stderr.take().expect("stderr is piped"), Arc::clone(&log));
        let group = Group::new(child);
        let deadline = Instant::now() + kind.patience();
        loop {
            if let Some(address) = kind.address(setup, &log) {
                return Ok(Self { address, log, group });
            }
            if let Some(status) = group.exited() {
                return Err(format!("the {} host ended, {status}: {}", kind.name(), last(&log)));
            }
            if Instant::now() > deadline {
                return Err(format!("the {} host does not listen: {}", kind.name(), last(&log)));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// All that it has printed so far.
    pub(crate) fn log(&self) -> Vec<String> {
        lines(&self.log)
    }

    /// Asks the process to end, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        signal(self.group.id(), "INT");
    }

    /// Ends the process without a word, as a crash does.
    pub(crate) fn kill(&self) {
        self.group.kill();
    }

    /// Whether the process has ended by itself within the time given.
    pub(crate) async fn ended(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if self.group.exited().is_some() {
                return true;
            }
            sleep(Duration::from_millis(20)).await;
        }
        false
    }
}

impl Group {
    fn new(child: Child) -> Self {
        groups().push(child.id());
        Self { child: Mutex::new(child) }
    }

    fn id(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    fn kill(&self) {
        let id = self.id();
        let running = groups().contains(&id);
        groups().retain(|group| *group != id);
        if running {
            signal(id, "KILL");
            // That it ended is certain after SIGKILL; waiting leaves no trace of it.
            let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
        }
    }

    fn exited(&self) -> Option<std::process::ExitStatus> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ends every host that still runs.
pub(crate) fn stop_all() {
    for group in groups().drain(..) {
        signal(group, "KILL");
    }
}

fn native(setup: &Setup) -> Command {
    let mut command = Command::new(artefact("TOLLGATE_BIN", env!("CARGO_BIN_EXE_tollgate")));
    command.args(["--port", "0", "--store"]).arg(setup.store.join("tollgate.db"));
    if let Some(config) = setup.config.as_ref().filter(|_| !setup.config_in_variable) {
        // Linux gives no variable more than 128 KiB.
        write_config(setup, config);
        command.arg("--config").arg(config_file(setup)).envs(setup.secrets.iter().cloned());
    } else {
        command.envs(setup.variables());
    }
    command.args(&setup.arguments);
    command
}

fn config_file(setup: &Setup) -> PathBuf {
    setup.store.join("tollgate.json")
}

fn write_config(setup: &Setup, config: &Value) {
    fs::write(config_file(setup), config.to_string()).expect("the store's directory can be written");
}

fn workers(setup: &Setup) -> Command {
    let secrets = setup.store.join("secrets.env");
    let text: String = setup.variables().iter().map(|(name, value)| format!("{name}='{value}'\n")).collect();
    fs::write(&secrets, text).expect("the store's directory can be written");
    if let Some(config) = setup.config.as_ref().filter(|_| setup.config_in_kv) {
        put_in_kv(setup, config);
    }
    // What an earlier start with this store left there must not be read as this one's.
    let _ = fs::remove_file(setup.store.join(WRANGLER_LOG));
    let mut command = wrangler(setup, WRANGLER_LOG);
    command.args(["dev", "--ip", "127.0.0.1", "--port", &free_port(), "--inspector-port", &free_port()]);
    command.arg("--env-file").arg(&secrets);
    command
}

fn put_in_kv(setup: &Setup, config: &Value) {
    let file = setup.store.join("config.json");
    fs::write(&file, config.to_string()).expect("the store's directory can be written");
    let mut put = wrangler(setup, "put.log");
    put.args(["kv", "key", "put", "--local", "--binding", "TOLLGATE", "config", "--path"]).arg(file);
    let done = put.current_dir(root()).stdin(Stdio::null()).output().expect("wrangler runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn wrangler(setup: &Setup, log: &str) -> Command {
    let tools = root().join("node_modules/.bin");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(tools.join("wrangler"));
    command.arg("--persist-to").arg(setup.store.join("state"));
    command.env("PATH", format!("{}:{path}", tools.display()));
    command.env("WRANGLER_LOG_PATH", setup.store.join(log));
    command.envs([("WRANGLER_SEND_METRICS", "false"), ("CI", "1"), ("CLOUDFLARE_CF_FETCH_ENABLED", "false")]);
    if setup.kv_only {
        command.args(["--config", "wrangler.kv.toml"]);
    }
    command
}

const WRANGLER_LOG: &str = "wrangler.log";

/// The workerd that runs the Worker. wrangler puts a proxy of its own in front of it, which passes no reset on
/// before it has something to write, so a caller's hang-up is hidden from the Worker; it has no part in a deployment.
fn workerd(setup: &Setup) -> Option<SocketAddr> {
    let log = fs::read_to_string(setup.store.join(WRANGLER_LOG)).ok()?;
    let (_, after) = log.rsplit_once(r#""userWorkerUrl":{"protocol":"http:","hostname":"127.0.0.1","port":""#)?;
    let port = after.split('"').next()?.parse().ok()?;
    Some(([127, 0, 0, 1], port).into())
}

fn spin(setup: &Setup) -> Command {
    let mut command = Command::new(artefact("TOLLGATE_SPIN_HOST", "target/spin-host/debug/spin-host"));
    command.arg(artefact("TOLLGATE_SPIN_COMPONENT", "target/wasm32-wasip2/wasm/tollgate.wasm"));
    command.args(["--listen", "127.0.0.1:0", "--store"]).arg(setup.store.join("store"));
    for (name, value) in setup.variables() {
        command.arg("--variable").arg(format!("{}={value}", name.to_lowercase()));
    }
    command
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn artefact(variable: &str, default: &str) -> PathBuf {
    root().join(std::env::var_os(variable).unwrap_or_else(|| default.into()))
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port().to_string()
}

fn address_in(line: &str, greeting: &str) -> Option<SocketAddr> {
    let address = line.split_once(greeting)?.1.replace("localhost", "127.0.0.1");
    let end = address.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(address.len());
    address[..end].parse().ok()
}

pub(crate) fn collect(output: impl Read + Send + 'static, log: Log) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(String::from_utf8_lossy(&line).into_owned());
        }
    });
}

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

pub(crate) fn last(log: &Log) -> String {
    let lines = lines(log);
    lines[lines.len().saturating_sub(30)..].join("\n")
}

fn groups() -> std::sync::MutexGuard<'static, Vec<u32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signal(group: u32, name: &str) {
    // The group may be gone already, which is what was wanted.
    let _ = Command::new("kill").args([&format!("-{name}"), "--", &format!("-{group}")]).stderr(Stdio::null()).status();
}
