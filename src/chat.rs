//! The canonical conversation: what every dialect is read into and written from.
//!
//! Not a wire format. Arguments and schemas stay the JSON text they arrived as, because whoever wrote
//! them may compare them byte for byte. The event grammar below is the only place that knows the order
//! of a stream.

use std::borrow::Cow;

use crate::wire::json::{self, Cursor, Raw, Read, Write};

/// One request, as far as dialects agree on what a request is.
#[derive(Debug, Default)]
pub struct Request {
    pub model: String,
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called in one turn; `None` leaves the provider's default.
    pub parallel_tools: Option<bool>,
    pub max_tokens: Option<u64>,
    pub temperature: Option<Number>,
    pub top_p: Option<Number>,
    pub top_k: Option<u64>,
    pub stop: Vec<String>,
    pub seed: Option<Number>,
    pub frequency_penalty: Option<Number>,
    pub presence_penalty: Option<Number>,
    pub stream: bool,
    pub reasoning: Option<Effort>,
    /// Whether the reasoning is to be told, as far as the provider tells it; `None` leaves its default.
    pub reasoning_told: Option<bool>,
    /// `low`, `medium` or `high`: how long the answer should be.
    pub verbosity: Option<String>,
    /// In the words of OpenAI's `service_tier`.
    pub service_tier: Option<String>,
    /// Names what may share a prompt cache, as OpenAI's `prompt_cache_key`.
    pub cache_key: Option<String>,
    pub format: Option<Format>,
    /// An opaque name of the end user, for the provider's abuse detection.
    pub user: Option<String>,
    /// What the caller wants to try of Claude before it is for everyone, as Anthropic's `anthropic-beta` names it.
    pub betas: Vec<String>,
    /// What the caller sent and this form cannot hold, by its wire names: each once, and at most [`UNREAD_MAX`].
    pub unread: Vec<String>,
}

/// Callers choose the names, and may choose millions.
pub const UNREAD_MAX: usize = 100;

/// Names of what could not be read, each once and at most [`UNREAD_MAX`].
#[derive(Debug, Default)]
pub struct Unread(pub Vec<String>);

impl Unread {
    pub fn note(&mut self, name: &str) {
        if self.0.len() < UNREAD_MAX {
            Lost(&mut self.0).note(name);
        }
    }
}

/// Names of what a target cannot be told, each once.
#[derive(Debug)]
pub struct Lost<'a>(pub &'a mut Vec<String>);

impl Lost<'_> {
    pub fn note(&mut self, name: &str) {
        if !self.0.iter().any(|known| known == name) {
            self.0.push(name.to_owned());
        }
    }

    pub fn note_if(&mut self, is_lost: bool, name: &str) {
        if is_lost {
            self.note(name);
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub role: Role,
    pub parts: Vec<Part>,
}

/// Tool results are parts of a user message, as in Anthropic Messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub content: Content,
    /// A `cache_control` marker, verbatim.
    pub cache: Option<Json>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Text(String),
    Image(Media),
    Audio(Media),
    Video(Media),
    Document {
        media: Media,
        name: Option<String>,
    },
    Reasoning {
        text: String,
        /// The provider's proof that the text is its own; must go back unchanged.
        signature: Option<String>,
    },
    /// Reasoning that only its provider can read.
    SealedReasoning(String),
    ToolCall(ToolCall),
    ToolResult {
        call: String,
        parts: Vec<Part>,
        is_error: bool,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Media {
    Url(String),
    /// `data` is base64, as both sides of every dialect want it.
    Inline {
        media_type: String,
        data: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// The JSON text of the arguments, exactly as the model wrote it; may be empty or broken.
    pub arguments: String,
    /// The provider's proof of the reasoning behind the call; must go back unchanged.
    pub signature: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// JSON Schema of the arguments.
    pub schema: Option<Json>,
    pub strict: Option<bool>,
    pub cache: Option<Json>,
    /// Set where the call's input is free text and not JSON. `schema` then has one string, `input`, for targets that
    /// know functions only.
    pub custom: Option<Custom>,
    /// The group that the caller knows the tool in; `name` is then joined of both, for targets that know no groups.
    pub namespace: Option<Namespace>,
}

/// A tool that takes free text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Custom {
    /// The grammar of the text, verbatim.
    pub format: Option<Json>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    pub name: String,
    /// The tool's name in it.
    pub tool: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    Auto,
    None,
    Required,
    Named(String),
}

/// How much the model is asked to think.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effort {
    Off,
    /// `minimal`, `low`, `medium`, `high`, … in the words of OpenAI's `reasoning_effort`.
    Level(String),
    /// Tokens, as Anthropic's `thinking.budget_tokens`.
    Budget(u64),
    /// The model decides.
    Adaptive,
}

/// What the answer's text must be.
#[derive(Debug, Clone)]
pub enum Format {
    Json,
    Schema { name: String, schema: Json, strict: Option<bool> },
}

/// A JSON value kept as the text it arrived as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(Box<str>);

impl Write for Json {
    fn write(&self, out: &mut Vec<u8>) {
        self.raw().write(out);
    }
}

impl Json {
    /// `text` was written as one value.
    pub(crate) fn made(text: String) -> Self {
        Self(text.into())
    }

    pub fn get(&self) -> &str {
        &self.0
    }

    pub fn raw(&self) -> Raw<'_> {
        Raw::of(&self.0)
    }
}

impl From<Raw<'_>> for Json {
    fn from(raw: Raw<'_>) -> Self {
        Self(raw.get().into())
    }
}

impl<'a> Read<'a> for Json {
    fn read(at: &mut Cursor<'a>) -> Self {
        at.raw().into()
    }

    fn blank() -> Self {
        Raw::NULL.into()
    }
}

/// A JSON number as the text it arrived as: `0.70` stays `0.70`, and nothing here prints a float, which would cost
/// the wasm hosts 20 KB.
#[derive(Debug, Clone)]
pub struct Number(Box<str>);

impl Number {
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Near enough to compare; never written.
    pub fn value(&self) -> f64 {
        json::float(&self.0)
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl<'a> Read<'a> for Number {
    fn read(at: &mut Cursor<'a>) -> Self {
        Self(at.number("a number").into())
    }

    fn blank() -> Self {
        Self::from(0)
    }
}

impl Write for Number {
    fn write(&self, out: &mut Vec<u8>) {
        Raw::of(&self.0).write(out);
    }
}

/// One whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Response {
    pub id: String,
    pub model: String,
    /// Text, reasoning and tool calls, in the order the model produced them.
    pub parts: Vec<Part>,
    pub stop: Stop,
    pub usage: Option<Usage>,
}

/// Why the model stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stop {
    pub reason: StopReason,
    /// The provider's own word, for `native_finish_reason`.
    pub native: Option<String>,
    /// The stop sequence that was met, when the provider says which.
    pub sequence: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StopReason {
    #[default]
    EndTurn,
    StopSequence,
    Length,
    ToolUse,
    /// Refused or filtered.
    Filtered,
    /// The provider paused a long turn and wants it sent back.
    Pause,
    /// The provider says that it failed.
    Error,
}

/// Tokens of one answer. `input` includes `cached_input` and `cache_write`; `output` includes `reasoning`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub cached_input: u64,
    pub cache_write: u64,
    pub output: u64,
    pub reasoning: u64,
}

/// No model takes or writes nearly as many at once, in however many answers.
const TOKENS_MAX: u64 = 20_000_000;

impl Usage {
    /// Whether these may be tokens at all. A count of something else, taken for one of tokens, would use up every budget.
    pub fn is_believable(&self) -> bool {
        let Self { input, cached_input, cache_write, output, reasoning } = *self;
        [input, cached_input, cache_write, output, reasoning].iter().all(|count| *count <= TOKENS_MAX)
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
        }
    }
}

/// One step of an answer that arrives in pieces.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Start {
        id: String,
        model: String,
    },
    Open(Block),
    Text(String),
    Reasoning(String),
    Signature(String),
    Arguments(String),
    Close,
    Stop(Stop),
    /// Everything known so far; a later one replaces an earlier one.
    Usage(Usage),
    Ping,
    /// The upstream says, inside its stream, that it failed.
    Error {
        kind: Option<String>,
        message: String,
    },
    /// The protocol's own end (`[DONE]`, `message_stop`). Nothing follows.
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    Text,
    Reasoning,
    SealedReasoning(String),
    ToolCall {
        id: String,
        name: String,
        /// As [`ToolCall::signature`].
        signature: Option<String>,
    },
}

/// Where a stream stands. Start, then blocks one at a time, then Stop, then End; usage and pings anywhere
/// after Start, an error anywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Grammar {
    #[default]
    Before,
    Between,
    Inside(Kind),
    Stopped,
    Ended,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Reasoning,
    Sealed,
    ToolCall,
}

/// An event in a place where the grammar does not allow it.
#[derive(Debug, PartialEq, Eq)]
pub struct Disorder;

impl Grammar {
    /// The place after `event`.
    pub fn after(self, event: &Event) -> Result<Self, Disorder> {
        use Grammar::{Before, Between, Ended, Failed, Inside, Stopped};
        Ok(match (self, event) {
            (Before, Event::Start { .. }) => Between,
            (Between, Event::Open(block)) => Inside(block.kind()),
            (Inside(Kind::Text), Event::Text(_))
            | (Inside(Kind::Reasoning), Event::Reasoning(_) | Event::Signature(_))
            | (Inside(Kind::ToolCall), Event::Arguments(_)) => self,
            (Inside(_), Event::Close) => Between,
            (Between, Event::Stop(_)) => Stopped,
            (Between | Inside(_) | Stopped, Event::Usage(_)) => self,
            (Before | Between | Inside(_) | Stopped, Event::Ping) => self,
            (Before | Between | Inside(_) | Stopped, Event::Error { .. }) => Failed,
            (Stopped, Event::End) => Ended,
            _ => return Err(Disorder),
        })
    }

    /// Whether nothing more may come.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Failed)
    }
}

impl Block {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Text => Kind::Text,
            Self::Reasoning => Kind::Reasoning,
            Self::SealedReasoning(_) => Kind::Sealed,
            Self::ToolCall { .. } => Kind::ToolCall,
        }
    }
}

impl Request {
    /// The wire names of those settings that are given here and not every dialect has.
    pub fn settings(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            ("top_k", self.top_k.is_some()),
            ("seed", self.seed.is_some()),
            ("frequency_penalty", self.frequency_penalty.is_some()),
            ("presence_penalty", self.presence_penalty.is_some()),
            ("verbosity", self.verbosity.is_some()),
            ("service_tier", self.service_tier.is_some()),
            ("prompt_cache_key", self.cache_key.is_some()),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name)
    }
}

impl Event {
    /// Whether the caller has been told part of the answer once this went out: after it, no other target
    /// may answer.
    pub fn is_content(&self) -> bool {
        matches!(
            self,
            Self::Open(_)
                | Self::Text(_)
                | Self::Reasoning(_)
                | Self::Signature(_)
                | Self::Arguments(_)
                | Self::Stop(_)
        )
    }
}

impl Media {
    /// Its address; one that holds the data where it is inline.
    pub fn url(&self) -> Cow<'_, str> {
        match self {
            Self::Url(url) => Cow::Borrowed(url),
            Self::Inline { media_type, data } => Cow::Owned(format!("data:{media_type};base64,{data}")),
        }
    }
}

impl Content {
    /// How the list of what was lost calls a part that has no place in the message it stands in.
    pub fn wire_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "messages.text",
            Self::Image(_) => "messages.image",
            Self::Audio(_) => "messages.audio",
            Self::Video(_) => "messages.video",
            Self::Document { .. } => "messages.document",
            Self::Reasoning { .. } | Self::SealedReasoning(_) => "messages.reasoning",
            Self::ToolCall(_) => "messages.tool_call",
            Self::ToolResult { .. } => "messages.tool_result",
        }
    }
}

impl Part {
    pub fn new(content: Content) -> Self {
        Self { content, cache: None }
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Content::Text(text.into()))
    }
}

impl Response {
    /// The whole answer that a stream told.
    pub fn from_events(events: Vec<Event>) -> Self {
        let mut response = Self::default();
        for event in events {
            match event {
                Event::Start { id, model } => (response.id, response.model) = (id, model),
                Event::Open(block) => response.parts.push(Part::new(match block {
                    Block::Text => Content::Text(String::new()),
                    Block::Reasoning => Content::Reasoning { text: String::new(), signature: None },
                    Block::SealedReasoning(sealed) => Content::SealedReasoning(sealed),
                    Block::ToolCall { id, name, signature } => {
                        Content::ToolCall(ToolCall { id, name, arguments: String::new(), signature })
                    }
                })),
                Event::Stop(stop) => response.stop = stop,
                Event::Usage(usage) => response.usage = Some(usage),
                event => match (response.parts.last_mut().map(|part| &mut part.content), event) {
                    (Some(Content::Text(text)), Event::Text(more))
                    | (Some(Content::Reasoning { text, .. }), Event::Reasoning(more))
                    | (Some(Content::ToolCall(ToolCall { arguments: text, .. })), Event::Arguments(more)) => {
                        text.push_str(&more);
                    }
                    (Some(Content::Reasoning { signature, .. }), Event::Signature(more)) => {
                        signature.get_or_insert_default().push_str(&more);
                    }
                    _ => {}
                },
            }
        }
        response
    }

    /// The same answer as a stream would have told it.
    pub fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Start { id: self.id.clone(), model: self.model.clone() }];
        for part in &self.parts {
            match &part.content {
                Content::Text(text) => events.extend([Event::Open(Block::Text), Event::Text(text.clone())]),
                Content::Reasoning { text, signature } => {
                    events.extend([Event::Open(Block::Reasoning), Event::Reasoning(text.clone())]);
                    events.extend(signature.clone().map(Event::Signature));
                }
                Content::SealedReasoning(sealed) => events.push(Event::Open(Block::SealedReasoning(sealed.clone()))),
                Content::ToolCall(ToolCall { id, name, arguments, signature }) => events.extend([
                    Event::Open(Block::ToolCall { id: id.clone(), name: name.clone(), signature: signature.clone() }),
                    Event::Arguments(arguments.clone()),
                ]),
                Content::Image(_)
                | Content::Audio(_)
                | Content::Video(_)
                | Content::Document { .. }
                | Content::ToolResult { .. } => continue,
            }
            events.push(Event::Close);
        }
        events.push(Event::Stop(self.stop.clone()));
        events.extend(self.usage.map(Event::Usage));
        events.push(Event::End);
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(events: &[Event]) -> Result<Grammar, Disorder> {
        events.iter().try_fold(Grammar::default(), |at, event| at.after(event))
    }

    #[test]
    fn a_whole_answer_tells_itself_in_order() {
        let response = Response {
            parts: vec![
                Part::new(Content::Reasoning { text: "hm".into(), signature: Some("s".into()) }),
                Part::new(Content::SealedReasoning("x".into())),
                Part::text("hello"),
                Part::new(Content::ToolCall(ToolCall {
                    id: "1".into(),
                    name: "f".into(),
                    arguments: "{}".into(),
                    signature: Some("s".into()),
                })),
            ],
            usage: Some(Usage::default()),
            ..Response::default()
        };
        assert_eq!(walk(&response.events()), Ok(Grammar::Ended));
        assert_eq!(Response::from_events(response.events()), response);
    }

    #[test]
    fn what_is_out_of_order_is_refused() {
        let start = Event::Start { id: String::new(), model: String::new() };
        let cases: &[&[Event]] = &[
            &[Event::Open(Block::Text)],
            &[start.clone(), Event::Text("a".into())],
            &[start.clone(), Event::Open(Block::Text), Event::Arguments("a".into())],
            &[start.clone(), Event::Open(Block::Text), Event::Open(Block::Text)],
            &[start.clone(), Event::End],
            &[start.clone(), Event::Stop(Stop::default()), Event::End, Event::Ping],
            &[start, Event::Error { kind: None, message: String::new() }, Event::End],
        ];
        for case in cases {
            assert_eq!(walk(case), Err(Disorder), "{case:?}");
        }
    }
}
