//! Agents in a session without a terminal: the model asks for a command, the agent runs it and sends what it printed,
//! the model answers, and the agent prints that. Each session has a home and a folder of its own.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::answer::{AFTER_TOOLS, Answer};
use crate::program;
use crate::suite::Suite;
use crate::test::Test;
use crate::upstream::Provider;
use crate::upstream::script::FAILURE;

struct Agent {
    name: &'static str,
    /// What starts it, in the packages of `tests/clients`.
    entry: &'static str,
    /// The scripted model that asks for its tool.
    model: &'static str,
    /// Its settings and arguments for one question to a model; they may write files to its home.
    configure: fn(&mut Command, &Session),
    /// What it printed as the model's answer, or as the reason why there is none.
    told: fn(&str) -> Option<String>,
    /// `None` where its patience is too long to watch.
    after_cut: Option<AfterCut>,
}

/// What it does after a stream was cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AfterCut {
    AskWithoutStream,
    GiveUp,
}

struct Session<'a> {
    base_url: String,
    key: &'a str,
    model: String,
    prompt: String,
    home: &'a Path,
}

const AGENTS: [Agent; 3] = [
    Agent {
        name: "claude_code",
        entry: "@anthropic-ai/claude-code/cli-wrapper.cjs",
        model: "bash",
        configure: configure_claude_code,
        told: told_by_claude_code,
        after_cut: Some(AfterCut::AskWithoutStream),
    },
    Agent {
        name: "codex",
        entry: "@openai/codex/bin/codex.js",
        model: "exec-command",
        configure: configure_codex,
        told: told_by_codex,
        after_cut: Some(AfterCut::GiveUp),
    },
    Agent {
        name: "codex_of_openai",
        entry: "@openai/codex/bin/codex.js",
        model: "exec-command",
        configure: configure_codex_of_openai,
        told: told_by_codex,
        after_cut: None,
    },
];

/// An agent needs half a gigabyte and a core while it starts.
const AT_ONCE: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// What the agent finds in its folder and the model wants to know.
const NOTE: &str = "plums in the icebox";

pub(crate) fn add(suite: &mut Suite) {
    for agent in &AGENTS {
        for upstream in Provider::DIALECTS {
            let name = |sentence: &str| format!("agents::{}_to_{}::{sentence}", agent.name, upstream.name());
            suite
                .add(&name("a_tool_runs_and_the_answer_is_printed"), move |test| session(test, agent, upstream))
                .last();
            if let Some(after) = agent.after_cut {
                let cut = move |test| cut(test, agent, upstream, after);
                suite.add(&name("a_cut_stream_does_not_look_complete"), cut).last();
            }
            suite.add(&name("a_refusal_is_printed"), move |test| refused(test, agent, upstream)).last();
        }
    }
}

async fn session(test: Test, agent: &Agent, upstream: Provider) {
    let output = agent.run(&test, &upstream.target(agent.model)).await;
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(agent.told(&output), AFTER_TOOLS.whole_text(), "{}", printed(&output));

    let exchanges = test.upstream.exchanges(&test.marker);
    assert_eq!(exchanges.len(), 2, "a call, and an answer to its result");
    let results = upstream.results(&exchanges[1].json());
    let [(call, result)] = results.as_slice() else { panic!("not one result: {results:?}") };
    assert_eq!(call, upstream.result_of(&Answer::of(agent.model).calls[0]));
    assert!(result.contains(NOTE), "{result}");
    assert!(!upstream.signs() || exchanges[1].is_signed(), "{}", exchanges[1].json());
}

async fn cut(test: Test, agent: &Agent, upstream: Provider, after: AfterCut) {
    // For each time that it asks.
    test.upstream.permit(&test.marker);
    test.upstream.permit(&test.marker);
    let output = agent.run(&test, &upstream.target("cut-after-3")).await;
    assert_eq!(test.upstream.exchanges(&test.marker).len(), 2, "it asks once more: {}", printed(&output));
    let told = agent.told(&output);
    match after {
        AfterCut::AskWithoutStream => assert_eq!(told, Answer::of("text").whole_text()),
        AfterCut::GiveUp => assert!(told.contains("broke off before its end"), "{told}"),
    }
    assert_eq!(output.status.success(), after == AfterCut::AskWithoutStream, "{}", printed(&output));
}

async fn refused(test: Test, agent: &Agent, upstream: Provider) {
    let output = agent.run(&test, &upstream.target("status-400")).await;
    assert!(!output.status.success(), "{}", printed(&output));
    assert!(agent.told(&output).contains(FAILURE), "{}", printed(&output));
}

impl Agent {
    async fn run(&self, test: &Test, model: &str) -> Output {
        let (home, folder) = (test.scratch.join("home"), test.scratch.join("folder"));
        for empty in [&home, &folder] {
            fs::create_dir_all(empty).expect("the scenario's own directory can be written");
        }
        fs::write(folder.join("note.txt"), NOTE).expect("the scenario's own directory can be written");
        let mut command = Command::from(program::node().unwrap_or_else(|error| panic!("{error}")));
        command.arg(program::installed(self.entry).unwrap_or_else(|error| panic!("{error}")));
        let base_url = format!("http://{}", test.host.address);
        let session = Session { base_url, key: &test.key, model: model.to_owned(), prompt: test.prompt(), home: &home };
        (self.configure)(&mut command, &session);
        // What surrounds the folder is not the agent's to read.
        command.env("HOME", &home).env("GIT_CEILING_DIRECTORIES", &test.scratch).current_dir(&folder);
        let _turn = TURNS.acquire().await.expect("never closed");
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
        output.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    fn told(&self, output: &Output) -> String {
        let told = (self.told)(&String::from_utf8_lossy(&output.stdout));
        told.unwrap_or_else(|| panic!("it does not say how it ended: {}", printed(output)))
    }
}

/// Source: "LLM gateway configuration" and "CLI reference", Claude Code documentation, read 2026-11.
fn configure_claude_code(command: &mut Command, session: &Session) {
    command.args(["-p", &session.prompt, "--output-format", "json", "--allowedTools", "Bash(cat note.txt)"]);
    command.env("ANTHROPIC_BASE_URL", &session.base_url).env("ANTHROPIC_AUTH_TOKEN", session.key);
    // The models of its side errands, too: it knows none of the gateway's names.
    for role in ["", "DEFAULT_HAIKU_", "DEFAULT_SONNET_", "DEFAULT_OPUS_"] {
        command.env(format!("ANTHROPIC_{role}MODEL"), &session.model);
    }
    command.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1").env("DISABLE_TELEMETRY", "1");
    command.env("DISABLE_AUTOUPDATER", "1").env("DISABLE_ERROR_REPORTING", "1");
}

fn told_by_claude_code(printed: &str) -> Option<String> {
    let result: Value = serde_json::from_str(printed).ok()?;
    result["result"].as_str().map(str::to_owned)
}

/// Source: "Configuration" and "Non-interactive mode", Codex documentation, read 2026-11.
fn configure_codex(command: &mut Command, session: &Session) {
    let provider = format!(
        "model_provider = \"gateway\"\n[model_providers.gateway]\nname = \"gateway\"\nbase_url = \"{}/v1\"\n\
         env_key = \"GATEWAY_KEY\"\nwire_api = \"responses\"\nstream_max_retries = 1\n",
        session.base_url
    );
    command.env("GATEWAY_KEY", session.key);
    ask_codex(command, session, &provider);
}

/// The provider that it has without being told of one. It tries a WebSocket first.
fn configure_codex_of_openai(command: &mut Command, session: &Session) {
    command.env("CODEX_API_KEY", session.key);
    ask_codex(command, session, &format!("openai_base_url = \"{}/v1\"\n", session.base_url));
}

fn ask_codex(command: &mut Command, session: &Session, provider: &str) {
    let folder = session.home.join(".codex");
    fs::create_dir(&folder).expect("the scenario's own directory can be written");
    let quiet = "check_for_update_on_startup = false\nanalytics.enabled = false\n";
    fs::write(folder.join("config.toml"), format!("{quiet}{provider}")).expect("it was made just now");
    command.args(["exec", "--json", "--skip-git-repo-check", "-m", &session.model, &session.prompt]);
}

/// The last of its messages, or of what went wrong.
fn told_by_codex(printed: &str) -> Option<String> {
    let told = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        let told = match event["type"].as_str()? {
            "item.completed" if event["item"]["type"] == "agent_message" => &event["item"]["text"],
            "turn.failed" => &event["error"]["message"],
            _ => return None,
        };
        told.as_str().map(str::to_owned)
    };
    printed.lines().rev().find_map(told)
}

fn printed(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    format!("{}\n{out}\n{err}", output.status)
}
