//! The language of the scenario files, and what its words are on the wire.
//!
//! `with` sets the gateway up, a line that begins with a target says what that target does when it is asked, `ask`
//! is one request. Times are milliseconds; `+N` waits before the next word happens.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::Value;
use tollgate::dialect::Inbound;
use tollgate::dialect::ai_sdk::Version;
use tollgate::host::Millis;

/// One thing that an upstream does.
#[derive(Debug, Clone)]
pub enum Act {
    Refuse,
    Head {
        status: u16,
        headers: Vec<(String, String)>,
    },
    Piece(Bytes),
    Close,
    Reset,
    /// Nothing more, and no end either.
    Silence,
}

/// Each act, after so many milliseconds.
pub type Script = VecDeque<(Millis, Act)>;

#[derive(Debug)]
pub struct Scenario {
    /// What the model `try` stands for.
    pub route: Vec<String>,
    /// More models: name, targets, and policy where it has one.
    pub aliases: Vec<(String, Vec<String>, Option<Value>)>,
    pub settings: Settings,
    pub targets: Vec<(String, Script)>,
    pub asks: Vec<Ask>,
}

#[derive(Debug, Default)]
pub struct Settings {
    pub cap: Option<String>,
    pub rpm: Option<u32>,
    pub first: Option<Millis>,
    pub idle: Option<Millis>,
    pub heartbeat: Option<Millis>,
    pub total: Option<Millis>,
    pub settle_ms: Millis,
    pub store_down: bool,
    pub strict: bool,
    pub shows_sent: bool,
    /// Whence files are fetched; left out, from wherever the default allows.
    pub fetch: Option<String>,
    pub unpriced: bool,
    /// Of the model `try`, and of all models.
    pub policy: Option<Value>,
    pub policies: Option<Value>,
    pub rules: Vec<Value>,
    /// Fields of the caller over the usual ones.
    pub caller: Vec<Value>,
    /// By name, of `[limits]`.
    pub limits: Vec<(String, Value)>,
    /// Fields of providers, and of prices, over the usual ones.
    pub providers: Vec<(String, Value)>,
    pub prices: Vec<(String, Value)>,
    /// Whether of an answer only the head is told.
    pub brief: bool,
}

#[derive(Debug, Clone)]
pub struct Ask {
    pub dialect: Inbound,
    pub path: String,
    pub query: Option<&'static str>,
    pub headers: Vec<(String, String)>,
    pub stream: bool,
    pub at: Millis,
    pub gone_at: Option<Millis>,
    pub slow_ms: Millis,
    pub body: String,
}

impl Scenario {
    pub fn read(text: &str) -> Self {
        let mut scenario = Self {
            route: Vec::new(),
            aliases: Vec::new(),
            settings: Settings::default(),
            targets: Vec::new(),
            asks: Vec::new(),
        };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words = words(line);
            let (first, rest) = words.split_first().expect("a word");
            match first.as_str() {
                "route" => scenario.route = rest.to_vec(),
                "alias" => scenario.aliases.push(alias(rest)),
                "with" => set(&mut scenario.settings, rest),
                "ask" => ask(rest, &mut scenario.asks),
                target => scenario.targets.push((target.to_owned(), script(dialect_of(target), rest))),
            }
        }
        scenario
    }
}

/// `oa`, `ob` and `oi`, which fetches no files, speak Chat Completions, `aa` and `ab` Anthropic's dialect, `ra` Responses, `ga` and `gb` Gemini's.
pub fn dialect_of(target: &str) -> Inbound {
    match target.as_bytes().first() {
        Some(b'o') => Inbound::OpenaiChat,
        Some(b'r') => Inbound::OpenaiResponses,
        Some(b'g') => Inbound::Gemini,
        _ => Inbound::Anthropic,
    }
}

/// Splits at spaces, except between quotes or backticks.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quote = None;
    let mut open = false;
    for c in line.chars() {
        match quote {
            None if c == ' ' => {
                open = false;
                continue;
            }
            None if c == '"' || c == '`' => quote = Some(c),
            Some(end) if c == end => quote = None,
            _ => {}
        }
        if !open {
            words.push(String::new());
            open = true;
        }
        words.last_mut().expect("a word is open").push(c);
    }
    words
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// JSON, in backticks where a space in it stands outside a text.
fn json(text: &str) -> Value {
    serde_json::from_str(text.trim_matches('`')).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `oa:{"gateway":true}`.
fn of(text: &str) -> (String, Value) {
    let (name, fields) = text.trim_matches('`').split_once(':').unwrap_or_else(|| panic!("{text}: of whom?"));
    (name.to_owned(), json(fields))
}

fn alias(words: &[String]) -> (String, Vec<String>, Option<Value>) {
    let (name, rest) = words.split_first().expect("a name");
    let (policy, targets): (Vec<_>, Vec<_>) = rest.iter().partition(|word| word.starts_with("policy="));
    let policy = policy.first().and_then(|word| word.strip_prefix("policy=")).map(json);
    (name.clone(), targets.into_iter().cloned().collect(), policy)
}

fn set(settings: &mut Settings, words: &[String]) {
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("cap", usd) => settings.cap = Some(usd.to_owned()),
            ("rpm", requests) => settings.rpm = Some(number(requests)),
            ("first", ms) => settings.first = Some(number(ms)),
            ("idle", ms) => settings.idle = Some(number(ms)),
            ("heartbeat", ms) => settings.heartbeat = Some(number(ms)),
            ("settle", ms) => settings.settle_ms = number(ms),
            ("total", ms) => settings.total = Some(number(ms)),
            ("strict", _) => settings.strict = true,
            ("sent", _) => settings.shows_sent = true,
            ("fetch", whence) => settings.fetch = Some(whence.to_owned()),
            ("unpriced", _) => settings.unpriced = true,
            ("store-down", _) => settings.store_down = true,
            ("policy", policy) => settings.policy = Some(json(policy)),
            ("policies", policy) => settings.policies = Some(json(policy)),
            ("rule", rule) => settings.rules.push(json(rule)),
            ("provider", fields) => settings.providers.push(of(fields)),
            ("price", fields) => settings.prices.push(of(fields)),
            ("caller", fields) => settings.caller.push(json(fields)),
            ("limit", fields) => settings.limits.push(of(fields)),
            ("brief", _) => settings.brief = true,
            _ => panic!("{word}?"),
        }
    }
}

/// One request, or with `times=3 every=100` several.
fn ask(words: &[String], asks: &mut Vec<Ask>) {
    let (mut times, mut every) = (1, 0);
    let mut ask = Ask {
        dialect: Inbound::OpenaiChat,
        path: "/v1/chat/completions".to_owned(),
        query: None,
        headers: Vec::new(),
        stream: false,
        at: 0,
        gone_at: None,
        slow_ms: 0,
        body: String::new(),
    };
    let mut fields =
        vec![r#""model":"try""#.to_owned(), r#""messages":[{"role":"user","content":"Hello?"}]"#.to_owned()];
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("openai-chat", _) => {}
            ("openai-responses", _) => {
                ask.dialect = Inbound::OpenaiResponses;
                "/v1/responses".clone_into(&mut ask.path);
                fields[1] = INPUT.to_owned();
            }
            // Sends Responses to the path of Chat Completions.
            ("cursor", _) => fields[1] = INPUT.to_owned(),
            ("anthropic", _) => {
                ask.dialect = Inbound::Anthropic;
                "/v1/messages".clone_into(&mut ask.path);
                fields.push(r#""max_tokens":100"#.to_owned());
            }
            ("gemini", _) => {
                ask.dialect = Inbound::Gemini;
                "/v1beta/models/try:generateContent".clone_into(&mut ask.path);
                fields = vec![r#""contents":[{"parts":[{"text":"Hello?"}]}]"#.to_owned()];
            }
            ("ai-sdk", version) => {
                let version = if version == "2" { Version::V2 } else { Version::V4 };
                ask.dialect = Inbound::AiSdk(version);
                "/v4/ai/language-model".clone_into(&mut ask.path);
                let mut has = |name: &str, value: &str| ask.headers.push((name.to_owned(), value.to_owned()));
                has("ai-language-model-id", "try");
                if version == Version::V2 {
                    has("ai-language-model-specification-version", "2");
                }
                fields = vec![r#""prompt":[{"role":"user","content":[{"type":"text","text":"Hello?"}]}]"#.to_owned()];
            }
            ("stream", _) if matches!(ask.dialect, Inbound::AiSdk(_)) => {
                ask.stream = true;
                ask.headers.push(("ai-language-model-streaming".to_owned(), "true".to_owned()));
            }
            ("count", _) if ask.dialect == Inbound::Gemini => {
                "/v1beta/models/try:countTokens".clone_into(&mut ask.path);
            }
            ("count", _) => {
                "/v1/messages/count_tokens".clone_into(&mut ask.path);
                fields.retain(|field| !field.contains("max_tokens"));
            }
            ("stream", how) if ask.dialect == Inbound::Gemini => {
                ask.stream = true;
                "/v1beta/models/try:streamGenerateContent".clone_into(&mut ask.path);
                ask.query = if how == "list" { Some("key=secret") } else { Some("alt=sse&key=secret") };
            }
            ("stream", _) => {
                ask.stream = true;
                fields.push(r#""stream":true"#.to_owned());
            }
            ("usage", _) => fields.push(r#""stream_options":{"include_usage":true}"#.to_owned()),
            ("at", ms) => ask.at = number(ms),
            ("hangs-up", ms) => ask.gone_at = Some(number(ms)),
            ("slow", ms) => ask.slow_ms = number(ms),
            ("times", count) => times = number(count),
            ("every", ms) => every = number(ms),
            ("header", header) => {
                let (name, value) = header.trim_matches('`').split_once(':').expect("a header");
                ask.headers.push((name.to_owned(), value.to_owned()));
            }
            ("model", model) if ask.dialect == Inbound::Gemini => ask.path = ask.path.replace("try", model),
            ("model", model) if matches!(ask.dialect, Inbound::AiSdk(_)) => model.clone_into(&mut ask.headers[0].1),
            ("model", model) => fields[0] = format!(r#""model":"{model}""#),
            // In place of the question, the parts of one.
            ("say", parts) => fields[1] = said(ask.dialect, parts.trim_matches('`')),
            ("field", field) => fields.push(field.trim_matches('`').to_owned()),
            ("fields", count) => fields.extend((0..number(count)).map(|n: u32| format!("\"unheard_of_{n:04}\":{n}"))),
            _ => panic!("{word}?"),
        }
    }
    ask.body = format!("{{{}}}", fields.join(","));
    asks.extend((0..times).map(|n| Ask { at: ask.at + n * every, ..ask.clone() }));
}

fn said(dialect: Inbound, parts: &str) -> String {
    let name = if dialect == Inbound::OpenaiResponses { "input" } else { "messages" };
    format!(r#""{name}":[{{"role":"user","content":[{parts}]}}]"#)
}

const INPUT: &str = r#""input":[{"role":"user","content":"Hello?"}]"#;

fn script(dialect: Inbound, words: &[String]) -> Script {
    let mut script = Script::new();
    let mut delay = 0;
    let headers = words.iter().filter_map(|word| word.strip_prefix("header=")?.split_once(':'));
    let headers: Vec<(String, String)> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut wire = Wire { dialect, open: false };
    // Words between braces arrive in one piece.
    let mut piece: Option<Vec<u8>> = None;
    for word in words {
        if let Some(ms) = word.strip_prefix('+') {
            delay += number::<Millis>(ms);
            continue;
        }
        let has_head = script.iter().any(|(_, act)| matches!(act, Act::Head { .. }));
        let head = |status, kind: &str, more: &[(String, String)]| {
            let mut headers = more.to_vec();
            if !headers.iter().any(|(name, _)| name == "content-type") {
                headers.insert(0, ("content-type".to_owned(), kind.to_owned()));
            }
            Act::Head { status, headers }
        };
        let act = match word.as_str() {
            "refuses" => Act::Refuse,
            "silence" => Act::Silence,
            "close" => Act::Close,
            "reset" => Act::Reset,
            "head" => head(200, EVENT_STREAM, &headers),
            "json-head" => head(200, "application/json", &headers),
            "{" => {
                piece = Some(Vec::new());
                continue;
            }
            "}" => Act::Piece(piece.take().expect("a brace was opened").into()),
            word => match word.split_once('=') {
                Some(("header", _)) => continue,
                Some(("status", status)) => {
                    script.push_back((delay, head(number(status), "application/json", &headers)));
                    delay = 0;
                    continue;
                }
                Some(("mib", count)) => {
                    let mebibyte = Bytes::from(vec![b' '; 1 << 20]);
                    let first = number::<usize>(count) - 1;
                    script.extend(std::iter::repeat_n((0, Act::Piece(mebibyte.clone())), first));
                    Act::Piece(mebibyte)
                }
                Some(("times", count)) => {
                    let last = script.back().cloned().expect("something to repeat");
                    script.extend(std::iter::repeat_n(last, number::<usize>(count) - 1));
                    continue;
                }
                _ => Act::Piece(wire.bytes(word).into()),
            },
        };
        match (act, &mut piece) {
            // Nothing at all arrives as nothing.
            (Act::Piece(bytes), _) if bytes.is_empty() => {}
            (Act::Piece(bytes), Some(piece)) => piece.extend_from_slice(&bytes),
            (act, _) => {
                if !has_head && matches!(act, Act::Piece(_) | Act::Close | Act::Reset) {
                    let whole = matches!(word.as_str(), "answer" | "failure" | "count" | "not-json" | "nothing-known");
                    let kind = if whole { "application/json" } else { EVENT_STREAM };
                    script.push_back((delay, head(200, kind, &headers)));
                    delay = 0;
                }
                script.push_back((delay, act));
                delay = 0;
            }
        }
    }
    let ends = |(_, act): &(Millis, Act)| matches!(act, Act::Refuse | Act::Close | Act::Reset | Act::Silence);
    if !script.back().is_some_and(ends) {
        script.push_back((delay, Act::Close));
    }
    script
}

const EVENT_STREAM: &str = "text/event-stream";

/// Words as frames or bodies of a dialect.
pub struct Wire {
    pub dialect: Inbound,
    /// Whether a text block is open.
    pub open: bool,
}

impl Wire {
    pub fn bytes(&mut self, word: &str) -> Vec<u8> {
        if let Some(raw) = word.strip_prefix('`') {
            return raw.trim_end_matches('`').replace("\\n", "\n").replace("\\r", "\r").into_bytes();
        }
        match word {
            "not-json" => "<html>busy</html>".to_owned(),
            "nothing-known" => r#"{"note":"neither an answer nor an error"}"#.to_owned(),
            "comment" => ": working\n\n".to_owned(),
            "long-comment" => format!(":{:1021}\n\n", ""),
            _ => match self.dialect {
                Inbound::OpenaiChat | Inbound::OpenaiCompletions => openai(word),
                Inbound::Anthropic => self.anthropic(word),
                Inbound::OpenaiResponses => self.responses(word),
                Inbound::Gemini => gemini(word),
                Inbound::AiSdk(_) => panic!("no upstream speaks it"),
            },
        }
        .into_bytes()
    }

    fn responses(&mut self, word: &str) -> String {
        let frame = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
        let response = |status: &str, rest: &str| {
            format!(r#"{{"id":"resp_1","object":"response","created_at":1,"model":"m-1","status":"{status}"{rest}}}"#)
        };
        const USAGE: &str = r#","usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15,"input_tokens_details":{"cached_tokens":4},"output_tokens_details":{"reasoning_tokens":2}}"#;
        const ERROR: &str = r#"{"message":"too much","type":"server_error","param":null,"code":"server_error"}"#;
        match word {
            "start" => frame("response.created", &format!(",\"response\":{}", response("in_progress", ""))),
            "ping" | "usage" => frame("keepalive", ""),
            "stop" if std::mem::take(&mut self.open) => frame(
                "response.output_item.done",
                r#","output_index":0,"item":{"type":"message","id":"msg_1","role":"assistant","content":[]}"#,
            ),
            "stop" => ": nothing was said\n\n".to_owned(),
            "done" => frame("response.completed", &format!(",\"response\":{}", response("completed", USAGE))),
            "error" => frame(
                "response.failed",
                &format!(",\"response\":{}", response("failed", &format!(",\"error\":{ERROR}"))),
            ),
            "failure" => format!("{{\"error\":{ERROR}}}"),
            "answer" => response(
                "completed",
                &format!(
                    r#","output":[{{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{{"type":"output_text","text":"Hello","annotations":[]}}]}}]{USAGE}"#
                ),
            ),
            text if text.starts_with('"') => {
                self.open = true;
                frame("response.output_text.delta", &format!(r#","output_index":0,"content_index":0,"delta":{text}"#))
            }
            _ => panic!("{word}?"),
        }
    }

    fn anthropic(&mut self, word: &str) -> String {
        let frame = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
        match word {
            "start" => frame("message_start", r#","message":{"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":6,"cache_creation_input_tokens":1,"cache_read_input_tokens":3,"output_tokens":1}}"#),
            "ping" | "usage" => frame("ping", ""),
            "stop" => {
                let close = if std::mem::take(&mut self.open) { frame("content_block_stop", r#","index":0"#) } else { String::new() };
                close + &frame("message_delta", r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}"#)
            }
            "done" => frame("message_stop", ""),
            "error" => frame("error", r#","error":{"type":"overloaded_error","message":"too much"}"#),
            "failure" => r#"{"type":"error","error":{"type":"overloaded_error","message":"too much"}}"#.to_owned(),
            "answer" => r#"{"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":6,"cache_creation_input_tokens":1,"cache_read_input_tokens":3,"output_tokens":5}}"#.to_owned(),
            "count" => r#"{"input_tokens":7}"#.to_owned(),
            text if text.starts_with('"') => {
                let open = if std::mem::replace(&mut self.open, true) {
                    String::new()
                } else {
                    frame("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#)
                };
                open + &frame("content_block_delta", &format!(r#","index":0,"delta":{{"type":"text_delta","text":{text}}}"#))
            }
            _ => panic!("{word}?"),
        }
    }
}

/// A list has no words of its own; raw text says it.
fn gemini(word: &str) -> String {
    let chunk = |fields: &str| format!(r#"data: {{{fields},"modelVersion":"m-1","responseId":"g-1"}}"#) + "\n\n";
    let candidate = |parts: &str, more: &str| {
        format!(r#""candidates":[{{"content":{{"parts":[{parts}],"role":"model"}}{more},"index":0}}]"#)
    };
    const USAGE: &str = r#""usageMetadata":{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":3,"thoughtsTokenCount":2,"totalTokenCount":15}"#;
    match word {
        "start" => chunk(&candidate(r#"{"text":""}"#, "")),
        "ping" => ": ping\n\n".to_owned(),
        "stop" => chunk(&candidate(r#"{"text":""}"#, r#","finishReason":"STOP""#)),
        "usage" => chunk(USAGE),
        // There is no such thing.
        "done" => String::new(),
        "error" => {
            "data: {\"error\":{\"code\":503,\"message\":\"too much\",\"status\":\"UNAVAILABLE\"}}\n\n".to_owned()
        }
        "failure" => r#"{"error":{"code":503,"message":"too much","status":"UNAVAILABLE"}}"#.to_owned(),
        "answer" => {
            let candidate = candidate(r#"{"text":"Hello"}"#, r#","finishReason":"STOP""#);
            format!(r#"{{{candidate},{USAGE},"modelVersion":"m-1","responseId":"g-1"}}"#)
        }
        "count" => r#"{"totalTokens":7}"#.to_owned(),
        text if text.starts_with('"') => chunk(&candidate(&format!(r#"{{"text":{text}}}"#), "")),
        _ => panic!("{word}?"),
    }
}

fn openai(word: &str) -> String {
    let chunk = |choices: &str, rest: &str| {
        format!(
            r#"data: {{"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{choices}]{rest}}}"#
        ) + "\n\n"
    };
    let choice = |delta: &str, finish: &str| format!(r#"{{"index":0,"delta":{delta},"finish_reason":{finish}}}"#);
    const USAGE: &str = r#","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}"#;
    match word {
        "start" => chunk(&choice(r#"{"role":"assistant","content":""}"#, "null"), ""),
        "ping" => ": ping\n\n".to_owned(),
        "stop" => chunk(&choice("{}", "\"stop\""), ""),
        "usage" => chunk("", USAGE),
        "done" => "data: [DONE]\n\n".to_owned(),
        "error" => {
            "data: {\"error\":{\"message\":\"too much\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n"
                .to_owned()
        }
        "failure" => r#"{"error":{"message":"too much","type":"server_error","param":null,"code":null}}"#.to_owned(),
        "answer" => format!(
            r#"{{"id":"c-1","object":"chat.completion","created":1,"model":"m-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"Hello","refusal":null}},"logprobs":null,"finish_reason":"stop"}}]{USAGE}}}"#
        ),
        text if text.starts_with('"') => chunk(&choice(&format!(r#"{{"content":{text}}}"#), "null"), ""),
        _ => panic!("{word}?"),
    }
}
