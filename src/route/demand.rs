//! What a request asks of a target, as far as it can be seen without reading all of it.

use std::cell::OnceCell;
use std::sync::Arc;

use memchr::memmem;

use super::need::{Need, Needs};
use super::order::Stick;
use super::policy::Sticky;
use crate::chat::{Content, Part, Request};
use crate::config::Target;
use crate::count;
use crate::dialect::{Ask, Inbound};
use crate::relay::estimate;
use crate::wire::json::{Fields, Raw, objects, parse};

/// What a request needs of a target.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demand {
    pub needs: Needs,
    /// As we estimate them, and rather too few than too many.
    pub input_tokens: u64,
    /// Keeps it to one target.
    pub stick: Option<Stick>,
}

/// A request on its way to the rules and the plan.
pub struct Asked<'a> {
    pub dialect: Inbound,
    pub ask: Ask,
    pub body: &'a Fields<'a>,
    /// All of it.
    pub bytes: &'a [u8],
    /// What takes a look at all of it: taken once, however many models are wished.
    holds_files: OnceCell<bool>,
    whole: OnceCell<Option<Whole>>,
}

/// What only a look at all of a request tells.
#[derive(Clone, Copy)]
struct Whole {
    content: Needs,
    tokens: u64,
}

/// Where the content of messages begins that is no text, in any dialect. A text that holds one of these has a backslash
/// in it.
const FILES: [&[u8]; 9] = [
    b"\"image",
    b"\"input_image\"",
    b"\"input_audio\"",
    b"\"input_file\"",
    b"\"file\"",
    b"\"document\"",
    b"nlineData\"",
    b"nline_data\"",
    b"ile_data\"",
];

impl<'a> Asked<'a> {
    pub fn new(dialect: Inbound, ask: Ask, body: &'a Fields<'a>, bytes: &'a [u8]) -> Self {
        Self { dialect, ask, body, bytes, holds_files: OnceCell::new(), whole: OnceCell::new() }
    }

    /// What it needs, read as far as `targets` make a difference.
    pub fn demand(&self, targets: &[Arc<Target>], stick: Option<Stick>) -> Demand {
        let about = estimate(self.bytes.len() as u64);
        let is_close = targets.iter().any(|target| target.known.context.is_some_and(|window| about > window));
        // What is needed besides files stands at the top of the body.
        let may_differ = targets.iter().any(|target| target.known.cannot.has_files());
        let reads = is_close || (may_differ && self.may_hold_files());
        // Where no window is near, nothing depends on it.
        let (needs, input_tokens) = match reads.then(|| self.whole()).flatten() {
            // An estimate is a quarter off at worst in prose; a target is not left out for that.
            Some(Whole { content, tokens }) => (content.or(self.shape()), tokens / 4 * 3),
            None => (self.shape(), 0),
        };
        Demand { needs, input_tokens, stick }
    }

    /// All that it needs.
    pub fn needs(&self) -> Needs {
        match self.may_hold_files().then(|| self.whole()).flatten() {
            Some(Whole { content, .. }) => content.or(self.shape()),
            None => self.shape(),
        }
    }

    /// About how many tokens its input has. Files are not billed by their length.
    pub fn input_tokens(&self) -> u64 {
        let whole = self.may_hold_files().then(|| self.whole()).flatten();
        whole.map_or_else(|| estimate(self.bytes.len() as u64), |whole| whole.tokens)
    }

    /// `None` of a body that cannot be read: it is refused by whoever has to write it anew, and who says so better.
    fn whole(&self) -> Option<Whole> {
        *self.whole.get_or_init(|| {
            let request = self.dialect.read_request(self.body).ok()?;
            Some(Whole { content: content(&request).collect(), tokens: count::tokens(&request) })
        })
    }

    fn shape(&self) -> Needs {
        let holds = |field: &str, word: &str| {
            self.body.raw(field).is_some_and(|raw| memmem::find(raw.get().as_bytes(), word.as_bytes()).is_some())
        };
        let is_there = |field: &str| {
            let raw = self.body.raw(field).map(|raw| raw.get().trim());
            raw.is_some_and(|raw| !matches!(raw, "null" | "[]" | "false" | "\"none\""))
        };
        let has_schema = holds("response_format", "json_schema")
            || holds("text", "json_schema")
            || holds("output_config", "json_schema")
            || holds("output_format", "json_schema")
            || holds("generationConfig", "esponseSchema")
            || holds("generationConfig", "esponseJsonSchema")
            || holds("responseFormat", "\"schema\"");
        let reasons = is_there("reasoning_effort")
            || is_there("reasoning")
            || (is_there("thinking") && !holds("thinking", "\"disabled\""))
            || holds("generationConfig", "thinkingConfig");
        let found = [
            (Need::Stream, matches!(self.ask, Ask::Stream(_))),
            (Need::Tools, is_there("tools") || is_there("functions")),
            (Need::Schema, has_schema),
            (Need::Reasoning, reasons),
        ];
        found.into_iter().filter(|(_, is_needed)| *is_needed).map(|(need, _)| need).collect()
    }

    fn may_hold_files(&self) -> bool {
        let holds = || FILES.iter().any(|word| memmem::find(self.bytes, word).is_some());
        matches!(self.ask, Ask::Answer | Ask::Stream(_)) && *self.holds_files.get_or_init(holds)
    }

    /// By what it keeps to one target.
    pub fn stick(&self, sticky: Sticky, session: Option<&str>) -> Stick {
        match (sticky, session) {
            (Sticky::Conversation, Some(session)) => Stick::of(session.as_bytes()),
            (Sticky::Conversation, None) => Stick::of(self.conversation()),
            (Sticky::Prefix, _) => Stick::of(self.prefix()),
        }
    }

    /// The first message that is the user's: it stays as the conversation grows.
    fn conversation(&self) -> &'a [u8] {
        let is_before = |message: &Raw<'a>| {
            let role = parse::<Said>(message.get()).ok().and_then(|said| said.role);
            matches!(role.as_deref(), Some("system" | "developer"))
        };
        let messages = self.messages();
        let first = messages.iter().find(|message| !is_before(message)).or(messages.first());
        first.map_or(self.bytes, |message| message.get().as_bytes())
    }

    /// The system prompt, or else the tools, or else how the conversation begins.
    fn prefix(&self) -> &'a [u8] {
        let fields = ["system", "instructions", "systemInstruction", "system_instruction", "tools"];
        let found = fields.iter().find_map(|name| self.body.raw(name)).or_else(|| self.messages().first().copied());
        found.map_or(self.bytes, |raw| raw.get().as_bytes())
    }

    fn messages(&self) -> Vec<Raw<'a>> {
        let list = ["messages", "input", "contents", "prompt"].iter().find_map(|name| self.body.raw(name));
        // A prompt may be a text alone.
        list.map_or_else(Vec::new, |list| parse(list.get()).unwrap_or_else(|_| vec![list]))
    }
}

objects! {
    struct Said {
        role: Option<String>,
    }
}

fn content(request: &Request) -> impl Iterator<Item = Need> {
    request.messages.iter().flat_map(|message| message.parts.iter()).flat_map(of_part)
}

fn of_part(part: &Part) -> Vec<Need> {
    match &part.content {
        Content::Image(_) => vec![Need::Images],
        Content::Audio(_) => vec![Need::Audio],
        Content::Document { .. } => vec![Need::Documents],
        Content::ToolResult { parts, .. } => parts.iter().flat_map(of_part).collect(),
        _ => Vec::new(),
    }
}
