//! `tollgate`: reads flags, environment and file, says what is on, and serves. And what else is done with configurations.

mod check;
mod keys;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use tollgate::auth::Keyless;
use tollgate::config::version::version;
use tollgate::config::{Config, Draft, Mistake, Reach, Reading, schema};
use tollgate::host::Millis;
use tollgate::host::native::{Options, Source, Written, ask, run};
use tollgate::serve::Gateway;
use tollgate::serve::explain::explain_for;
use tollgate::serve::prices::Prices;
use tollgate::wire::json;

use self::keys::Question;
use crate::import;

/// An AI gateway: one endpoint in front of every model provider.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration in TOML, or in JSON by the name of its file [default: the JSON in TOLLGATE_CONFIG, or none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// IP address to listen on; others than loopback need a caller's key
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Port to listen on; 0 takes any that is free
    #[arg(long, value_name = "PORT", default_value_t = 8787)]
    port: u16,
    /// Where counters are kept; ":memory:" keeps none [default: tollgate.db in the user's data directory]
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Check a configuration and print it as the JSON that Workers and Spin read
    Config {
        /// Configuration in TOML, or in JSON by its name
        file: PathBuf,
    },
    /// Check a configuration and say what it turns on here; every mistake is named with its place
    Check {
        /// Configuration in TOML, or in JSON by its name
        file: PathBuf,
    },
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Print another gateway's configuration as one of this; what it cannot carry goes to standard error, too
    Import {
        /// LiteLLM's YAML, a Portkey config, or a request to OpenRouter or Vercel in JSON
        file: PathBuf,
        /// Whose it is [default: by its shape]
        #[arg(long, value_name = "GATEWAY")]
        from: Option<import::Source>,
        /// The model that requests ask for, where a Portkey config does not say it
        #[arg(long)]
        model: Option<String>,
    },
    /// Make keys for callers, and revoke them
    Keys {
        #[command(subcommand)]
        keys: keys::Keys,
    },
    /// Say whom a request would be put to and why, what it may cost and what would be lost; nothing is asked
    Explain {
        /// The body of the request, in JSON
        request: PathBuf,
        /// Configuration in TOML, or in JSON by its name [default: the JSON in TOLLGATE_CONFIG, or none]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The path that it is meant for, such as /v1/messages [default: by the shape of the body]
        #[arg(long, value_name = "PATH", default_value = "")]
        path: String,
        /// The caller, by its name in the configuration [default: the first]
        #[arg(long, value_name = "NAME")]
        caller: Option<String>,
    },
}

/// The variable that holds the key by which a running gateway is told to make others.
const ADMIN: &str = "TOLLGATE_KEY";
/// The variable that may hold the whole configuration.
const INLINE: &str = "TOLLGATE_CONFIG";

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Command::Config { file }) => print_json(file),
        Some(Command::Check { file }) => print_report(file),
        Some(Command::Schema) => {
            print!("{}", schema::text());
            Ok(())
        }
        Some(Command::Import { file, from, model }) => print_imported(file, *from, model.as_deref()),
        Some(Command::Keys { keys }) => manage(keys),
        Some(Command::Explain { request, config, path, caller }) => {
            explain(request, config.as_deref(), path, caller.as_deref())
        }
        None => start(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("tollgate: {message}");
            ExitCode::FAILURE
        }
    }
}

fn print_json(file: &Path) -> Result<(), String> {
    let Written { version, reading } = read(file);
    Config::of(&reading, None, elsewhere).map_err(|mistakes| format!("{}: {}", file.display(), listed(&mistakes)))?;
    println!("{}", json::to_string(&reading.draft));
    eprintln!("configuration: {version}");
    Ok(())
}

fn print_report(file: &Path) -> Result<(), String> {
    let here = |name: &str| std::env::var(name).ok();
    let report = check::check(&read(file).reading, &elsewhere, &here, now())
        .map_err(|mistakes| format!("{}: {}", file.display(), listed(&mistakes)))?;
    println!("{}: no mistakes", file.display());
    for line in report.on {
        println!("{line}");
    }
    for warning in report.warnings {
        println!("warning: {warning}");
    }
    Ok(())
}

fn print_imported(file: &Path, from: Option<import::Source>, model: Option<&str>) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let name = file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let imported = import::import(&text, from, &name, model)
        .map_err(|mistakes| format!("{}: cannot be imported:\n  {}", file.display(), mistakes.join("\n  ")))?;
    // What is written must be what is read; whatever is not would be our mistake, and is told before it is used.
    let draft = from_toml(&imported.toml)?;
    Config::compile(&draft, elsewhere).map_err(|mistakes| listed(&mistakes))?;
    print!("{}", imported.toml);
    for note in imported.lost {
        eprintln!("tollgate: not carried, or not quite: {note}");
    }
    Ok(())
}

/// Secrets live where the gateway will run, so any will do for a check, if each is another.
pub(crate) fn elsewhere(name: &str) -> Option<String> {
    let own = name.to_ascii_lowercase().replace('_', "-");
    // As long as a secret must be that tokens are signed with.
    Some(if name.ends_with("_URL") { format!("https://{own}.elsewhere") } else { format!("{own}-{:.>32}", "") })
}

fn explain(request: &Path, config: Option<&Path>, path: &str, caller: Option<&str>) -> Result<(), String> {
    let config = explained(config, &|name| std::env::var(name).ok())?;
    let gateway = Gateway::new(config, Keyless::Loopback);
    let body = std::fs::read(request).map_err(|error| format!("{}: {error}", request.display()))?;
    let explanation = explain_for(&gateway, caller, path, body, now()).map_err(|error| error.message)?;
    let explanation: serde_json::Value = serde_json::from_slice(&explanation).map_err(|error| error.to_string())?;
    println!("{explanation:#}");
    Ok(())
}

/// The configuration that a request is explained by: nobody is let in by it, so no caller's key need be here.
fn explained(file: Option<&Path>, here: &dyn Fn(&str) -> Option<String>) -> Result<Config, String> {
    let reading = file.map_or_else(inline, read).reading;
    let config = Config::of(&reading, None, check::lent(&reading.draft, &elsewhere, here));
    config.map_err(|mistakes| format!("{}: {}", place(file), listed(&mistakes)))
}

/// How the configuration is called that is read.
fn place(file: Option<&Path>) -> String {
    file.map_or_else(|| INLINE.to_owned(), |file| file.display().to_string())
}

fn manage(keys: &keys::Keys) -> Result<(), String> {
    if let keys::Keys::New { name } = keys {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| format!("no randomness for a key: {error}"))?;
        print!("{}", keys::new(name, &random)?);
        return Ok(());
    }
    let Some(Question { method, url, body }) = keys.question()? else { return Ok(()) };
    let admin = std::env::var(ADMIN).map_err(|_| format!("set {ADMIN} to the key of an administrator there"))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let (status, answer) = runtime.block_on(ask(method, &url, admin.trim(), body))?;
    print!("{}", keys.told(status, &answer)?);
    Ok(())
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

fn start(arguments: &Arguments) -> Result<(), String> {
    let file = arguments.config.clone();
    let read = move || file.as_deref().map_or_else(inline, read);
    let written = read();
    let place = place(arguments.config.as_deref());
    let config = written.compile(&Prices::default()).map_err(|mistakes| format!("{place}: {}", listed(&mistakes)))?;
    let config = Config { version: written.version, ..config };
    let source = Source { file: arguments.config.clone(), read: Box::new(read) };
    let store = match &arguments.store {
        Some(path) if path.as_os_str() == ":memory:" => None,
        Some(path) => Some(path.clone()),
        None => Some(
            dirs::data_dir()
                .ok_or("no data directory is known for this user; name a file with --store")?
                .join("tollgate/tollgate.db"),
        ),
    };
    let kept = store.as_ref().map_or_else(|| "in memory only".to_owned(), |path| path.display().to_string());
    let options = Options { address: SocketAddr::new(arguments.host, arguments.port), store };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(run(config, source, options, |config, address| banner(config, address, &kept)))
}

fn read(file: &Path) -> Written {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return unusable("unreadable".to_owned(), &[format!("cannot be read: {error}")]),
    };
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    if is_json {
        return of(Some(&text));
    }
    match as_json(&text) {
        Ok(json) => of(Some(&json)),
        Err(mistakes) => unusable(version(Some(&text)), &mistakes),
    }
}

/// As the JSON that all hosts read, so that the same mistake is told in the same words. Of what is no TOML the first
/// mistake is told: those that the parser finds behind it mostly follow from it. Nothing of the file itself is, since a line
/// of it may hold a secret, and what is told goes into the log of a server that reads the file again.
fn as_json(toml: &str) -> Result<String, Vec<String>> {
    let json = toml::from_str::<serde_json::Value>(toml).map(|value| value.to_string());
    json.map_err(|error| {
        let (line, column) = position(toml, error.span().map_or(0, |span| span.start));
        vec![format!("not TOML: {} at line {line} column {column}", error.message())]
    })
}

/// The line and the column, in characters, of the byte at `index`, both counted from 1.
fn position(text: &str, index: usize) -> (usize, usize) {
    let before = text.get(..index).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

pub(crate) fn from_toml(toml: &str) -> Result<Draft, String> {
    let json = as_json(toml).map_err(|mistakes| mistakes.join("\n"))?;
    Draft::from_json(Some(&json)).map_err(|mistakes| listed(&mistakes))
}

fn inline() -> Written {
    of(std::env::var(INLINE).ok().as_deref())
}

/// Its version is that of the JSON that [`print_json`] prints, however it was written.
fn of(text: Option<&str>) -> Written {
    let reading = Reading::of(text);
    let printed = text.filter(|_| reading.mistakes.is_none()).map(|_| json::to_string(&reading.draft));
    Written { version: version(printed.as_deref().or(text)), reading }
}

fn unusable(version: String, mistakes: &[String]) -> Written {
    Written { version, reading: Reading::refused(mistakes) }
}

fn listed(mistakes: &[Mistake]) -> String {
    let lines: Vec<&str> = mistakes.iter().map(|Mistake(mistake)| mistake.as_str()).collect();
    let mistakes = if lines.len() == 1 { "a mistake".to_owned() } else { format!("{} mistakes", lines.len()) };
    format!("the configuration has {mistakes}:\n  {}", lines.join("\n  "))
}

/// The last line says that requests are taken; programs that start this one wait for it.
fn banner(config: &Config, address: SocketAddr, kept: &str) {
    let on = config.providers.values().filter_map(|provider| match &provider.reach {
        Reach::Upstream(upstream) => Some(format!("{} ({})", provider.name, upstream.base_url)),
        Reach::Echo => None,
    });
    let on: Vec<String> = on.collect();
    println!("providers on: {}", if on.is_empty() { "none yet".to_owned() } else { on.join(", ") });
    let off: Vec<&str> = config.off.names().collect();
    if !off.is_empty() {
        println!("          off, each until its key is set: {}", off.join(", "));
    }
    let callers: Vec<&str> = config.callers.iter().map(|caller| caller.name.as_str()).collect();
    println!(
        "callers: {}",
        if callers.is_empty() { "this machine only, without a key".to_owned() } else { callers.join(", ") }
    );
    println!("configuration: {}", config.version);
    println!("counters: {kept}");
    let key = if callers.is_empty() { "" } else { " -H \"authorization: Bearer KEY\"" };
    println!(
        "try: curl http://{address}/v1/chat/completions{key} -d '{{\"model\":\"tollgate/echo\",\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}'"
    );
    println!("tollgate listening on http://{address}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_no_toml_the_first_mistake_is_told_and_nothing_of_the_file() {
        let cases = [
            (
                "strict = yes\n[policy]\norder = \"cheapest\n",
                "string values must be quoted, expected literal string at line 1 column 10",
            ),
            ("order = \"cheapest\nattempts = 2\n", "invalid basic string, expected `\"` at line 1 column 18"),
            ("a = 1\n# Ü\nb = \"Ü\" c\n", "unexpected key or value, expected newline, `#` at line 3 column 9"),
            ("a = 1\na = 2\n", "duplicate key at line 2 column 1"),
            (
                "headers = [{ name = \"x-key\", value = \"sk-1\" }\nother = [{ value = \"sk-2\" }]\n[models]\n[limits]\n",
                "missing comma between array elements, expected `,` at line 2 column 1",
            ),
        ];
        for (toml, expected) in cases {
            assert_eq!(as_json(toml).unwrap_err(), [format!("not TOML: {expected}")], "{toml}");
        }
    }

    #[test]
    fn a_bracket_that_is_open_in_a_long_file_is_one_mistake() {
        let model = |number| format!("[models.m{number}]\ntargets = [\"openai/gpt-5\", \"anthropic/claude\"]\n");
        let models: String = (0..3_000).map(model).collect();
        for begin in
            ["[models.first\n", "[models.first]\ntargets = [\"openai/gpt-5\"\n", "strict = \"\"\"\n", "a = {\n"]
        {
            let told = as_json(&format!("{begin}{models}")).unwrap_err();
            assert!(told.len() == 1 && told.concat().len() < 200, "{begin} {}", told.len());
        }
    }

    #[test]
    fn a_request_is_explained_without_the_keys_of_callers_and_mistakes_name_their_file() {
        let file = std::env::temp_dir().join(format!("tollgate-explained-{}.toml", std::process::id()));
        let explained = |text: &str| {
            std::fs::write(&file, text).unwrap();
            explained(Some(&file), &|_| None)
        };
        let config = explained("callers = { a = { secret = \"A\" }, default = {} }").unwrap();
        assert_eq!(config.callers.iter().map(|caller| caller.name.as_str()).collect::<Vec<_>>(), ["a", "default"]);
        let told = [explained("strikt = true"), explained("strict =")].map(Result::unwrap_err);
        std::fs::remove_file(&file).unwrap();
        assert!(
            told.iter().all(|told| told.starts_with(&format!("{}: the configuration has", file.display()))),
            "{told:?}"
        );
    }

    #[test]
    fn every_known_provider_can_be_checked_without_its_secrets() {
        let draft = Draft::from_json(None).unwrap();
        let mistakes = Config::compile(&draft, elsewhere).err().map(|mistakes| listed(&mistakes));
        assert_eq!(mistakes, None);
    }
}
