//! The client programs in `tests/clients`, which speak through the official SDKs. One process of each serves a whole
//! run, because an SDK takes longer to load than to ask. It ends when the run does, with its standard input.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::Value;
use tokio::sync::oneshot;

use crate::host::{self, Log, root};

/// One of the programs, started when it is first asked.
pub(crate) struct Program {
    /// Below `tests/clients`.
    file: &'static str,
    running: OnceLock<Result<Running, String>>,
}

struct Running {
    stdin: Mutex<ChildStdin>,
    waiting: Waiting,
    printed: Log,
}

/// Who waits for the answer to which task; nobody may once the program has ended.
type Waiting = Arc<Mutex<Option<HashMap<String, oneshot::Sender<Value>>>>>;

impl Program {
    pub(crate) const fn new(file: &'static str) -> Self {
        Self { file, running: OnceLock::new() }
    }

    /// Gives the program a task and waits for its answer. A task's `id` is its own among all of a run.
    pub(crate) async fn ask(&self, task: &Value) -> Value {
        let running = self.running.get_or_init(|| Running::start(self.file));
        let running = running.as_ref().unwrap_or_else(|error| panic!("{error}"));
        let (answer, told) = oneshot::channel();
        let id = task["id"].as_str().expect("a task has an id").to_owned();
        if let Some(waiting) = running.waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            waiting.insert(id, answer);
        }
        // That a program has ended is told below, with what it printed.
        let _ = writeln!(running.stdin.lock().unwrap_or_else(PoisonError::into_inner), "{task}");
        told.await.unwrap_or_else(|_| panic!("{} has ended: {}", self.file, host::last(&running.printed)))
    }
}

impl Running {
    fn start(file: &str) -> Result<Self, String> {
        let mut command = interpreter(file)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let stdin = Mutex::new(child.stdin.take().expect("stdin is piped"));
        let answers = child.stdout.take().expect("stdout is piped");
        let printed = Log::default();
        host::collect(child.stderr.take().expect("stderr is piped"), Arc::clone(&printed));
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let hand_out = Arc::clone(&waiting);
        std::thread::spawn(move || {
            for line in BufReader::new(answers).lines().map_while(Result::ok) {
                let Ok(answer) = serde_json::from_str::<Value>(&line) else { continue };
                let mut waiting = hand_out.lock().unwrap_or_else(PoisonError::into_inner);
                let asked = answer["id"].as_str().and_then(|id| waiting.as_mut()?.remove(id));
                // Who no longer waits has said so.
                let _ = asked.map(|asked| asked.send(answer));
            }
            hand_out.lock().unwrap_or_else(PoisonError::into_inner).take();
            let _ = child.wait();
        });
        Ok(Self { stdin, waiting, printed })
    }
}

/// A file of the packages that `tests/clients` pins for Node.js.
pub(crate) fn installed(file: &str) -> Result<PathBuf, String> {
    there(root().join("tests/clients/node_modules").join(file))
}

/// The Node.js that the project pins.
pub(crate) fn node() -> Result<Command, String> {
    command(root().join("node_modules/.bin/node"))
}

fn interpreter(file: &str) -> Result<Command, String> {
    let mut command =
        if file.ends_with(".py") { command(root().join("target/tools/clients/bin/python"))? } else { node()? };
    command.arg(root().join("tests/clients").join(file));
    Ok(command)
}

/// A command that sees nothing of the environment of whoever runs the suite, in which a client could find keys,
/// addresses and settings that are not the scenario's. Whatever would leave the machine by a proxy meets none.
fn command(program: PathBuf) -> Result<Command, String> {
    let mut command = Command::new(there(program)?);
    command.env_clear().env("LANG", "C.UTF-8").env("PATH", std::env::var_os("PATH").unwrap_or_default());
    // The sources are read from where they are, and left as they are.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("NO_PROXY", "127.0.0.1");
    Ok(command)
}

fn there(file: PathBuf) -> Result<PathBuf, String> {
    if file.exists() { Ok(file) } else { Err(format!("{} is missing; `scripts/test` installs it", file.display())) }
}
