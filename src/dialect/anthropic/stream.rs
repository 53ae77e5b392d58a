//! An answer in pieces, both ways.
//!
//! Only `message_stop` completes an answer. Blocks that the canonical form has no place for (the provider's
//! own tools) are passed over whole.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::{Decode, Encode, Label, Malformed};
use super::{Bill, ERROR_TYPES, Envelope, FAULT, Tally, read_error, read_stop, stop_word, write_frame};
use crate::chat::{Block, Event, Kind, Stop, Usage};
use crate::wire::sse::Frame;

#[derive(Debug, Default)]
pub struct Decoder {
    at: Place,
    tally: Tally,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Before,
    Between,
    Inside {
        index: Option<u64>,
        kind: Kind,
        /// Arguments given at the start of a tool call: they count when no piece follows.
        input: Option<String>,
    },
    Skipping,
    Stopped,
    /// After `message_stop` or `error`: nothing counts any more. OpenRouter sends `[DONE]` here.
    Over,
}

impl Decode for Decoder {
    fn frame(&mut self, frame: &Frame<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let Some(data) = frame.data.as_deref().map(str::trim) else { return Ok(()) };
        if matches!(self.at, Place::Over) || data.is_empty() || data == "[DONE]" {
            return Ok(());
        }
        let Some(message) = read(frame.event, data)? else { return Ok(()) };
        let kind = match (&message.kind, frame.event, message.error) {
            (Some(Text(kind)), ..) => kind,
            // What servers that only nearly speak the dialect send.
            (None, Some(kind), _) => kind,
            (None, None, Some(_)) => "error",
            (None, None, None) => return Ok(()),
        };
        match kind {
            "message_start" => self.start(&message, events),
            "content_block_start" => self.open(message, events),
            "content_block_delta" => self.delta(message, events),
            "content_block_stop" => {
                // A block that was closed for want of its own stop may still get it.
                if matches!(&self.at, Place::Inside { index, .. } if differ(*index, message.index)) {
                    return Ok(());
                }
                self.close(events);
                Ok(())
            }
            "message_delta" => self.stop(message, events),
            "message_stop" => self.end(events),
            "ping" => {
                events.push(Event::Ping);
                Ok(())
            }
            "error" => {
                self.at = Place::Over;
                events.push(failure(&message, data));
                Ok(())
            }
            // "New event types may be added, and your code should handle unknown event types gracefully."
            _ => Ok(()),
        }
    }

    /// Never an `End`: a stream that closes without `message_stop` was cut.
    fn finish(&mut self, _: &mut Vec<Event>) {}
}

impl Decoder {
    fn start(&mut self, message: &Wire<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        #[derive(Default, Deserialize)]
        struct Head {
            id: Option<String>,
            model: Option<String>,
            usage: Option<Tally>,
        }
        if !matches!(self.at, Place::Before) {
            return Err(Malformed("message_start: a message has already begun".to_owned()));
        }
        let head: Head = message
            .message
            .map(|raw| serde_json::from_str(raw.get()))
            .transpose()
            .map_err(|_| Malformed("message_start: message is not a message".to_owned()))?
            .unwrap_or_default();
        self.at = Place::Between;
        events.push(Event::Start { id: head.id.unwrap_or_default(), model: head.model.unwrap_or_default() });
        self.count(head.usage, events);
        Ok(())
    }

    fn open(&mut self, message: Wire<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        self.close(events);
        if !matches!(self.at, Place::Between) {
            return Err(Malformed("content_block_start: no message is open".to_owned()));
        }
        let none = || Malformed("content_block_start: content_block is not a block".to_owned());
        let raw = message.content_block.ok_or_else(none)?;
        let opening: Opening<'_> = serde_json::from_str(raw.get()).map_err(|_| none())?;
        let own = |text: Option<Text<'_>>| text.map(|Text(text)| text.into_owned()).unwrap_or_default();
        let (block, given, input) = match &*opening.kind {
            "text" => (Block::Text, vec![Event::Text(own(opening.text))], None),
            "thinking" => {
                let given = vec![Event::Reasoning(own(opening.thinking)), Event::Signature(own(opening.signature))];
                (Block::Reasoning, given, None)
            }
            "redacted_thinking" => (Block::SealedReasoning(own(opening.data)), Vec::new(), None),
            "tool_use" => {
                let input = opening.input.map_or("{}", RawValue::get).to_owned();
                (Block::ToolCall { id: own(opening.id), name: own(opening.name) }, Vec::new(), Some(input))
            }
            _ => {
                self.at = Place::Skipping;
                return Ok(());
            }
        };
        self.at = Place::Inside { index: message.index, kind: block.kind(), input };
        events.push(Event::Open(block));
        events.extend(given.into_iter().filter(says_something));
        Ok(())
    }

    fn delta(&mut self, message: Wire<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let (index, kind, input) = match &mut self.at {
            Place::Inside { index, kind, input } => (*index, *kind, input),
            Place::Skipping => return Ok(()),
            _ => return Err(Malformed("content_block_delta: no block is open".to_owned())),
        };
        if differ(index, message.index) {
            return Err(Malformed("content_block_delta: index is not that of the open block".to_owned()));
        }
        let Some(delta) = message.delta else {
            return Err(Malformed("content_block_delta: delta is missing".to_owned()));
        };
        let own = |text: Option<Text<'_>>| text.map(|Text(text)| text.into_owned()).unwrap_or_default();
        let event = match (delta.kind.as_ref().map(|Text(kind)| &**kind).unwrap_or_default(), kind) {
            ("text_delta", Kind::Text) => Event::Text(own(delta.text)),
            ("thinking_delta", Kind::Reasoning) => Event::Reasoning(own(delta.thinking)),
            ("signature_delta", Kind::Reasoning) => Event::Signature(own(delta.signature)),
            ("input_json_delta", Kind::ToolCall) => Event::Arguments(own(delta.partial_json)),
            ("text_delta" | "thinking_delta" | "signature_delta" | "input_json_delta", _) => {
                return Err(Malformed("content_block_delta: delta.type does not fit the open block".to_owned()));
            }
            // Citations, and what may be added.
            _ => return Ok(()),
        };
        if says_something(&event) {
            *input = None;
            events.push(event);
        }
        Ok(())
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        match &mut self.at {
            Place::Inside { input, .. } => {
                events.extend(input.take().map(Event::Arguments));
                events.push(Event::Close);
            }
            Place::Skipping => {}
            _ => return,
        }
        self.at = Place::Between;
    }

    fn stop(&mut self, message: Wire<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        if matches!(self.at, Place::Before) {
            return Err(Malformed("message_delta: no message is open".to_owned()));
        }
        if let Some(delta) = message.delta
            && let Some(Text(reason)) = delta.stop_reason
        {
            self.close(events);
            if matches!(self.at, Place::Between) {
                self.at = Place::Stopped;
                let sequence = delta.stop_sequence.map(|Text(sequence)| sequence.into_owned());
                events.push(Event::Stop(read_stop(Some(reason.into_owned()), sequence)));
            }
        }
        self.count(message.usage, events);
        Ok(())
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Malformed> {
        self.close(events);
        match self.at {
            Place::Before => return Err(Malformed("message_stop: no message is open".to_owned())),
            Place::Stopped => {}
            // The protocol says that the answer is complete; only the reason is missing.
            _ => events.push(Event::Stop(Stop::default())),
        }
        self.at = Place::Over;
        events.push(Event::End);
        Ok(())
    }

    fn count(&mut self, tally: Option<Tally>, events: &mut Vec<Event>) {
        if let Some(tally) = tally {
            self.tally = self.tally.then(tally);
            events.push(Event::Usage(self.tally.usage()));
        }
    }
}

/// Every field of every event that is acted upon; the names do not clash.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    usage: Option<Tally>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
    #[serde(borrow)]
    partial_json: Option<Text<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    stop_sequence: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Opening<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// A string, borrowed unless it holds an escape. (serde borrows a bare `Cow`, but not one in an `Option`.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads one event; `None` for one of an unknown type whose fields are used for something else.
fn read<'a>(event: Option<&str>, data: &'a str) -> Result<Option<Wire<'a>>, Malformed> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<Text<'a>>,
    }
    const KNOWN: &[&str] = &[
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
    ];
    let error = match serde_json::from_str(data) {
        Ok(message) => return Ok(Some(message)),
        Err(error) => error,
    };
    // Not the parser's own words: they would quote the answer.
    let Ok(Named { kind }) = serde_json::from_str(data) else {
        return Err(Malformed(format!("an event is not a JSON object, at column {}", error.column())));
    };
    let kind = kind.as_ref().map(|Text(kind)| &**kind).or(event).unwrap_or_default();
    match KNOWN.iter().find(|known| **known == kind) {
        Some(kind) => Err(Malformed(format!("{kind}: a field is not of its type, at column {}", error.column()))),
        None => Ok(None),
    }
}

fn differ(open: Option<u64>, named: Option<u64>) -> bool {
    matches!((open, named), (Some(open), Some(named)) if open != named)
}

fn says_something(event: &Event) -> bool {
    match event {
        Event::Text(text) | Event::Reasoning(text) | Event::Signature(text) | Event::Arguments(text) => {
            !text.is_empty()
        }
        _ => true,
    }
}

fn failure(message: &Wire<'_>, data: &str) -> Event {
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<Text<'a>>,
    }
    let inner: Option<Inner<'_>> = message.error.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let kind = inner.and_then(|inner| inner.kind).map(|Text(kind)| kind.into_owned());
    let message = read_error(data.as_bytes()).unwrap_or_else(|| "the upstream failed and did not say why".to_owned());
    Event::Error { kind, message }
}

pub struct Encoder {
    label: Label,
    index: u64,
    called: bool,
    stop: Stop,
    usage: Usage,
}

impl Encoder {
    pub fn new(label: Label) -> Self {
        Self { label, index: 0, called: false, stop: Stop::default(), usage: Usage::default() }
    }
}

impl Encode for Encoder {
    /// The reason to stop is told at the end, because upstreams of other dialects tell usage after it and
    /// here both are one event.
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        let index = self.index;
        let delta = |delta| Out::ContentBlockDelta { index, delta };
        let message = match event {
            Event::Start { id, model } => Out::MessageStart {
                message: Start {
                    id: if id.is_empty() { &self.label.id } else { id },
                    r#type: "message",
                    role: "assistant",
                    model,
                    content: [],
                    stop_reason: None,
                    stop_sequence: None,
                    usage: self.usage.into(),
                },
            },
            Event::Open(block) => {
                self.called |= matches!(block, Block::ToolCall { .. });
                Out::ContentBlockStart { index, content_block: block.into() }
            }
            Event::Text(text) => delta(Piece::Text { text }),
            Event::Reasoning(thinking) => delta(Piece::Thinking { thinking }),
            Event::Signature(signature) => delta(Piece::Signature { signature }),
            Event::Arguments(partial_json) => delta(Piece::Arguments { partial_json }),
            Event::Close => {
                self.index += 1;
                Out::ContentBlockStop { index }
            }
            Event::Stop(stop) => {
                self.stop = stop.clone();
                return;
            }
            Event::Usage(usage) => {
                self.usage = *usage;
                return;
            }
            Event::Ping => Out::Ping {},
            Event::Error { kind, message } => {
                let kind = kind.as_deref().filter(|kind| ERROR_TYPES.contains(kind)).unwrap_or(FAULT);
                write_frame("error", &Envelope::new(kind, message, None), out);
                return;
            }
            Event::End => {
                let ended = Out::MessageDelta {
                    delta: Ended {
                        stop_reason: stop_word(&self.stop, self.called),
                        stop_sequence: self.stop.sequence.as_deref(),
                    },
                    usage: self.usage.into(),
                };
                write_frame(ended.name(), &ended, out);
                Out::MessageStop {}
            }
        };
        write_frame(message.name(), &message, out);
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Out<'a> {
    MessageStart { message: Start<'a> },
    ContentBlockStart { index: u64, content_block: Opened<'a> },
    ContentBlockDelta { index: u64, delta: Piece<'a> },
    ContentBlockStop { index: u64 },
    MessageDelta { delta: Ended<'a>, usage: Bill },
    MessageStop {},
    Ping {},
}

impl Out<'_> {
    /// The `event:` line, which half of the clients go by; the other half goes by `type`.
    fn name(&self) -> &'static str {
        match self {
            Self::MessageStart { .. } => "message_start",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop {} => "message_stop",
            Self::Ping {} => "ping",
        }
    }
}

#[derive(Serialize)]
struct Start<'a> {
    id: &'a str,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: [(); 0],
    stop_reason: Option<()>,
    stop_sequence: Option<()>,
    usage: Bill,
}

#[derive(Serialize)]
struct Ended<'a> {
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
}

/// A block as it begins. A `signature` and an `input` that are still empty are what the protocol begins with.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Opened<'a> {
    Text { text: &'static str },
    Thinking { thinking: &'static str, signature: &'static str },
    RedactedThinking { data: &'a str },
    ToolUse { id: &'a str, name: &'a str, input: Empty },
}

#[derive(Serialize)]
struct Empty {}

impl<'a> From<&'a Block> for Opened<'a> {
    fn from(block: &'a Block) -> Self {
        match block {
            Block::Text => Self::Text { text: "" },
            Block::Reasoning => Self::Thinking { thinking: "", signature: "" },
            Block::SealedReasoning(data) => Self::RedactedThinking { data },
            Block::ToolCall { id, name } => Self::ToolUse { id, name, input: Empty {} },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Piece<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    Arguments { partial_json: &'a str },
}
