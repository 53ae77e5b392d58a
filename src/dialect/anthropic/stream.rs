//! An answer in pieces, both ways.
//!
//! Only `message_stop` completes an answer. Blocks that the canonical form has no place for (the provider's
//! own tools) are passed over whole.

use std::borrow::Cow;

use super::super::{Decode, Encode, Label, Malformed};
use super::{Bill, ERROR_TYPES, Envelope, FAULT, Tally, read_error, read_stop, stop_word, write_frame};
use crate::chat::{Block, Event, Kind, Stop, Usage};
use crate::wire::frame::Frame;
use crate::wire::json::{self, Raw, objects, written};

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
            (Some(kind), ..) => kind,
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

    fn knows_more(&self) -> bool {
        matches!(self.at, Place::Skipping)
    }
}

impl Decoder {
    fn start(&mut self, message: &Wire<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        objects! {
            #[derive(Default)]
            struct Head {
                id: Option<String>,
                model: Option<String>,
                usage: Option<Tally>,
            }
        }
        if !matches!(self.at, Place::Before) {
            return Err(Malformed("message_start: a message has already begun".to_owned()));
        }
        let head: Head = message
            .message
            .map(|raw| json::parse(raw.get()))
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
        let opening: Opening<'_> = json::parse(raw.get()).map_err(|_| none())?;
        let own = |text: Option<Cow<'_, str>>| text.map(|text| text.into_owned()).unwrap_or_default();
        let (block, given, input) = match &*opening.kind {
            "text" => (Block::Text, vec![Event::Text(own(opening.text))], None),
            "thinking" => {
                let given = vec![Event::Reasoning(own(opening.thinking)), Event::Signature(own(opening.signature))];
                (Block::Reasoning, given, None)
            }
            "redacted_thinking" => (Block::SealedReasoning(own(opening.data)), Vec::new(), None),
            "tool_use" => {
                let input = opening.input.map_or("{}", Raw::get).to_owned();
                (
                    Block::ToolCall { id: own(opening.id), name: own(opening.name), signature: None },
                    Vec::new(),
                    Some(input),
                )
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
        let own = |text: Option<Cow<'_, str>>| text.map(|text| text.into_owned()).unwrap_or_default();
        let event = match (delta.kind.as_deref().unwrap_or_default(), kind) {
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
            && let Some(reason) = delta.stop_reason
        {
            self.close(events);
            if matches!(self.at, Place::Between) {
                self.at = Place::Stopped;
                let sequence = delta.stop_sequence.map(|sequence| sequence.into_owned());
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

objects! {
    /// Every field of every event that is acted upon; the names do not clash.
    struct Wire<'a> {
        kind as "type": Option<Cow<'a, str>>,
        index: Option<u64>,
        delta: Option<Delta<'a>>,
        content_block: Option<Raw<'a>>,
        message: Option<Raw<'a>>,
        usage: Option<Tally>,
        error: Option<Raw<'a>>,
    }

    struct Delta<'a> {
        kind as "type": Option<Cow<'a, str>>,
        text: Option<Cow<'a, str>>,
        thinking: Option<Cow<'a, str>>,
        signature: Option<Cow<'a, str>>,
        partial_json: Option<Cow<'a, str>>,
        stop_reason: Option<Cow<'a, str>>,
        stop_sequence: Option<Cow<'a, str>>,
    }

    struct Opening<'a> {
        kind as "type": Cow<'a, str>,
        text: Option<Cow<'a, str>>,
        thinking: Option<Cow<'a, str>>,
        signature: Option<Cow<'a, str>>,
        data: Option<Cow<'a, str>>,
        id: Option<Cow<'a, str>>,
        name: Option<Cow<'a, str>>,
        input: Option<Raw<'a>>,
    }
}

/// Reads one event; `None` for one of an unknown type whose fields are used for something else.
fn read<'a>(event: Option<&str>, data: &'a str) -> Result<Option<Wire<'a>>, Malformed> {
    objects! {
        struct Named<'a> {
            kind as "type": Option<Cow<'a, str>>,
        }
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
    let error = match json::parse(data) {
        Ok(message) => return Ok(Some(message)),
        Err(error) => error,
    };
    // Not the parser's own words: they would quote the answer.
    let Ok(Named { kind }) = json::parse(data) else {
        return Err(Malformed(format!("an event is not a JSON object, at column {}", error.column())));
    };
    let kind = kind.as_deref().or(event).unwrap_or_default();
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
    objects! {
        struct Inner<'a> {
            kind as "type": Option<Cow<'a, str>>,
        }
    }
    let inner: Option<Inner<'_>> = message.error.and_then(|raw| json::parse(raw.get()).ok());
    let kind = inner.and_then(|inner| inner.kind).map(|kind| kind.into_owned());
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
                    kind: "message",
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

written! {
    enum Out<'a> tagged "type" {
        MessageStart as "message_start" { message: Start<'a> },
        ContentBlockStart as "content_block_start" { index: u64, content_block: Opened<'a> },
        ContentBlockDelta as "content_block_delta" { index: u64, delta: Piece<'a> },
        ContentBlockStop as "content_block_stop" { index: u64 },
        MessageDelta as "message_delta" { delta: Ended<'a>, usage: Bill },
        MessageStop as "message_stop" {},
        Ping as "ping" {},
    }
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

written! {
    struct Start<'a> {
        id: &'a str,
        kind as "type": &'static str,
        role: &'static str,
        model: &'a str,
        content: [(); 0],
        stop_reason: Option<()>,
        stop_sequence: Option<()>,
        usage: Bill,
    }

    struct Ended<'a> {
        stop_reason: &'static str,
        stop_sequence: Option<&'a str>,
    }

    /// A block as it begins. A `signature` and an `input` that are still empty are what the protocol begins with.
    enum Opened<'a> tagged "type" {
        Text as "text" { text: &'static str },
        Thinking as "thinking" { thinking: &'static str, signature: &'static str },
        RedactedThinking as "redacted_thinking" { data: &'a str },
        ToolUse as "tool_use" { id: &'a str, name: &'a str, input: Empty },
    }

    struct Empty {}
}

impl<'a> From<&'a Block> for Opened<'a> {
    fn from(block: &'a Block) -> Self {
        match block {
            Block::Text => Self::Text { text: "" },
            Block::Reasoning => Self::Thinking { thinking: "", signature: "" },
            Block::SealedReasoning(data) => Self::RedactedThinking { data },
            Block::ToolCall { id, name, .. } => Self::ToolUse { id, name, input: Empty {} },
        }
    }
}

written! {
    enum Piece<'a> tagged "type" {
        Text as "text_delta" { text: &'a str },
        Thinking as "thinking_delta" { thinking: &'a str },
        Signature as "signature_delta" { signature: &'a str },
        Arguments as "input_json_delta" { partial_json: &'a str },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::{Disorder, Grammar, StopReason};
    use crate::wire::frame::Framing;

    const START: &str = r#"{"type":"message_start","message":{"id":"i","model":"m","usage":{"input_tokens":3}}}"#;
    const STOP: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#;
    const END: &str = r#"{"type":"message_stop"}"#;

    fn decode(data: &[&str]) -> Result<Vec<Event>, Malformed> {
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        for data in data {
            decoder.frame(&Frame { event: None, data: Some((*data).into()) }, &mut events)?;
        }
        decoder.finish(&mut events);
        Ok(events)
    }

    /// The events of one message with these frames between its start and its end.
    fn within(data: &[&str]) -> Vec<Event> {
        let events = decode(&[&[START], data, &[STOP, END]].concat()).unwrap();
        let walked: Result<Grammar, Disorder> = events.iter().try_fold(Grammar::default(), |at, event| at.after(event));
        assert_eq!(walked, Ok(Grammar::Ended), "{events:?}");
        let known =
            |event: &Event| matches!(event, Event::Start { .. } | Event::Stop(_) | Event::Usage(_) | Event::End);
        events.into_iter().filter(|event| !known(event)).collect()
    }

    fn open(block: &str) -> String {
        format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#)
    }

    fn delta(delta: &str) -> String {
        format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#)
    }

    const CLOSE: &str = r#"{"type":"content_block_stop","index":0}"#;

    fn called(arguments: &[&str]) -> Vec<Event> {
        let mut events = vec![Event::Open(Block::ToolCall { id: "t".into(), name: "f".into(), signature: None })];
        events.extend(arguments.iter().map(|text| Event::Arguments((*text).to_owned())));
        events.push(Event::Close);
        events
    }

    #[test]
    fn a_stream_tells_its_head_its_usage_and_its_end() {
        let usage = |input, output| Event::Usage(Usage { input, output, ..Usage::default() });
        let native = Some("end_turn".to_owned());
        assert_eq!(
            decode(&[START, STOP, END]).unwrap(),
            [
                Event::Start { id: "i".into(), model: "m".into() },
                usage(3, 0),
                Event::Stop(Stop { native, ..Stop::default() }),
                usage(3, 2),
                Event::End,
            ]
        );
    }

    #[test]
    fn every_block_is_told() {
        let given = r#"{"type":"tool_use","id":"t","name":"f","input":{"a":1}}"#;
        let empty = r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#;
        let piece = |text: &str| delta(&json!({"type": "input_json_delta", "partial_json": text}).to_string());
        let cases: &[(String, Vec<String>, Vec<Event>)] = &[
            (
                open(r#"{"type":"text","text":""}"#),
                vec![
                    delta(r#"{"type":"text_delta","text":"a\u00e9"}"#),
                    delta(r#"{"type":"citations_delta","citation":{"type":"x"}}"#),
                    delta(r#"{"type":"text_delta","text":""}"#),
                    delta(r#"{"type":"later_delta","text":"b"}"#),
                ],
                vec![Event::Open(Block::Text), Event::Text("aé".into()), Event::Close],
            ),
            (
                open(r#"{"type":"text","text":"at once","citations":null}"#),
                vec![],
                vec![Event::Open(Block::Text), Event::Text("at once".into()), Event::Close],
            ),
            (
                open(r#"{"type":"thinking","thinking":"","signature":""}"#),
                vec![
                    delta(r#"{"type":"thinking_delta","thinking":"hm"}"#),
                    delta(r#"{"type":"signature_delta","signature":"s"}"#),
                ],
                vec![
                    Event::Open(Block::Reasoning),
                    Event::Reasoning("hm".into()),
                    Event::Signature("s".into()),
                    Event::Close,
                ],
            ),
            (
                open(r#"{"type":"redacted_thinking","data":"d"}"#),
                vec![],
                vec![Event::Open(Block::SealedReasoning("d".into())), Event::Close],
            ),
            (open(empty), vec![piece(""), piece("{\"a\""), piece(":1}")], called(&["{\"a\"", ":1}"])),
            (open(given), vec![piece("")], called(&[r#"{"a":1}"#])),
            (open(given), vec![piece(r#"{"a":2}"#)], called(&[r#"{"a":2}"#])),
            (open(empty), vec![piece("")], called(&["{}"])),
            (open(r#"{"type":"server_tool_use","id":"s","name":"n","input":{}}"#), vec![piece("{}")], vec![]),
            (open(r#"{"type":"web_search_tool_result","content":[{"text":1}]}"#), vec![], vec![]),
            (open(r#"{"type":"later"}"#), vec![delta(r#"{"type":"text_delta","text":"b"}"#)], vec![]),
        ];
        for (open, deltas, expected) in cases {
            let mut frames = vec![open.as_str()];
            frames.extend(deltas.iter().map(String::as_str));
            frames.push(CLOSE);
            assert_eq!(within(&frames), *expected, "{frames:?}");
            // Some servers leave the stop of the last block out.
            frames.pop();
            assert_eq!(within(&frames), *expected, "{frames:?}");
        }
    }

    #[test]
    fn a_block_that_was_not_closed_is_closed_by_the_next() {
        let text = open(r#"{"type":"text","text":"a"}"#);
        let one = [Event::Open(Block::Text), Event::Text("a".into()), Event::Close];
        assert_eq!(within(&[&text, &text, CLOSE]), [one.clone(), one].concat());
    }

    #[test]
    fn a_ping_is_not_swallowed() {
        assert_eq!(within(&[r#"{"type":"ping"}"#]), [Event::Ping]);
        assert_eq!(decode(&[r#"{"type":"ping"}"#]).unwrap(), [Event::Ping]);
    }

    #[test]
    fn what_is_unknown_is_ignored() {
        let frames = ["", " ", "[DONE]", "{}", r#"{"type":"later"}"#, r#"{"type":"later","delta":"x","index":"y"}"#];
        assert_eq!(within(&frames), []);
        assert_eq!(decode(&[START, STOP, END, "[DONE]", "junk", START]).unwrap().last(), Some(&Event::End));
        let mut events = Vec::new();
        Decoder::default().frame(&Frame { event: None, data: None }, &mut events).unwrap();
        assert!(events.is_empty());
    }

    #[test]
    fn the_event_line_counts_where_data_has_no_type() {
        let mut events = Vec::new();
        let frame = Frame { event: Some("message_start"), data: Some(r#"{"message":{"id":"i"}}"#.into()) };
        Decoder::default().frame(&frame, &mut events).unwrap();
        assert_eq!(events, [Event::Start { id: "i".into(), model: String::new() }]);
    }

    #[test]
    fn a_cut_stream_is_not_complete() {
        let text = open(r#"{"type":"text","text":"a"}"#);
        let stream = [START, &text, CLOSE, STOP, END];
        for length in 0..stream.len() {
            assert!(!decode(&stream[..length]).unwrap().contains(&Event::End), "{length}");
        }
    }

    #[test]
    fn an_error_inside_a_good_answer_is_told() {
        let cases = [
            (
                r#"{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}        }"#,
                Some("overloaded_error"),
                "Overloaded",
            ),
            (r#"{"type":"error","message":"flat"}"#, None, "flat"),
            (r#"{"error":{"message":"of OpenAI","type":"server_error"}}"#, Some("server_error"), "of OpenAI"),
            (r#"{"type":"error","error":"text"}"#, None, "text"),
            (r#"{"type":"error"}"#, None, "the upstream failed and did not say why"),
        ];
        for (data, kind, message) in cases {
            let expected = Event::Error { kind: kind.map(str::to_owned), message: message.to_owned() };
            for before in [&[][..], &[START], &[START, &open(r#"{"type":"text","text":""}"#)]] {
                let events = decode(&[before, &[data, END]].concat()).unwrap();
                assert_eq!(events.last(), Some(&expected), "{data}");
            }
        }
    }

    #[test]
    fn what_is_out_of_place_is_malformed_and_not_quoted() {
        let text = open(r#"{"type":"text","text":""}"#);
        let piece = delta(r#"{"type":"text_delta","text":"secret"}"#);
        let stray = piece.replace("\"index\":0", "\"index\":1");
        let cases: &[&[&str]] = &[
            &["secret"],
            &[r#"{"type":"message_start","message":"secret"}"#],
            &[r#"{"type":"message_start","message":{"id":["secret"]}}"#],
            &[START, START],
            &[&text],
            &[&piece],
            &[START, &piece],
            &[START, &text, &stray],
            &[START, &text, CLOSE, &piece],
            &[START, &open(r#"{"type":"thinking","thinking":""}"#), &piece],
            &[START, &open("\"secret\"")],
            &[START, r#"{"type":"content_block_start"}"#],
            &[START, &text, r#"{"type":"content_block_delta","index":0}"#],
            &[
                START,
                &text,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":["secret"]}}"#,
            ],
            &[START, STOP, &text],
            &[STOP],
            &[END],
        ];
        for case in cases {
            let Malformed(message) = decode(case).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn in_whatever_order_frames_come_events_come_in_theirs() {
        let given = open(r#"{"type":"text","text":"a"}"#);
        let call = open(r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#);
        let skipped = open(r#"{"type":"later"}"#);
        let text = delta(r#"{"type":"text_delta","text":"a"}"#);
        let arguments = delta(r#"{"type":"input_json_delta","partial_json":"{}"}"#);
        let error = r#"{"type":"error","error":{"message":"m"}}"#;
        let ping = r#"{"type":"ping"}"#;
        let frames = [START, &given, &call, &skipped, &text, &arguments, CLOSE, STOP, END, error, ping];
        for number in 0..frames.len().pow(5) {
            let stream: Vec<&str> =
                (0..5).map(|place| frames[number / frames.len().pow(place) % frames.len()]).collect();
            let mut decoder = Decoder::default();
            let mut events = Vec::new();
            for data in &stream {
                if decoder.frame(&Frame { event: None, data: Some((*data).into()) }, &mut events).is_err() {
                    break;
                }
            }
            let walked = events.iter().try_fold(Grammar::default(), |at, event| at.after(event));
            assert!(walked.is_ok(), "{stream:?}");
        }
    }

    #[test]
    fn every_stop_reason_is_read_and_kept() {
        let cases = [
            ("end_turn", StopReason::EndTurn),
            ("stop_sequence", StopReason::StopSequence),
            ("max_tokens", StopReason::Length),
            ("model_context_window_exceeded", StopReason::Length),
            ("tool_use", StopReason::ToolUse),
            ("refusal", StopReason::Filtered),
            ("pause_turn", StopReason::Pause),
            ("later", StopReason::EndTurn),
        ];
        for (word, reason) in cases {
            let stop = STOP.replace("end_turn", word).replace("\"}", "\",\"stop_sequence\":\"x\"}");
            let expected = Stop { reason, native: Some(word.into()), sequence: Some("x".into()) };
            assert!(decode(&[START, &stop, END]).unwrap().contains(&Event::Stop(expected)), "{word}");
        }
        // Without a word the end still counts.
        assert!(decode(&[START, END]).unwrap().contains(&Event::Stop(Stop::default())));
    }

    #[test]
    fn cached_tokens_are_counted_once_and_later_usage_wins() {
        let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":10,"cache_read_input_tokens":100,
            "cache_creation_input_tokens":1000,"output_tokens":1}}}"#;
        let later = |usage: &str| format!(r#"{{"type":"message_delta","delta":{{}},"usage":{usage}}}"#);
        let cases = [
            (r#"{"output_tokens":7}"#, (1110, 100, 1000, 7, 0)),
            (r#"{"output_tokens":7,"input_tokens":20,"cache_read_input_tokens":null}"#, (1120, 100, 1000, 7, 0)),
            (
                r#"{"output_tokens":7,"cache_read_input_tokens":0,"output_tokens_details":{"thinking_tokens":5}}"#,
                (1010, 0, 1000, 7, 5),
            ),
        ];
        for (usage, (input, cached_input, cache_write, output, reasoning)) in cases {
            let events = decode(&[start, &later(usage)]).unwrap();
            let expected = Usage { input, cached_input, cache_write, output, reasoning };
            assert_eq!(events.last(), Some(&Event::Usage(expected)), "{usage}");
        }
    }

    /// Every frame as its event line and its data.
    fn encode(events: &[Event]) -> Vec<(String, Value)> {
        let mut encoder = Encoder::new(Label { id: "ours".into(), ..Label::default() });
        let mut out = Vec::new();
        events.iter().for_each(|event| encoder.event(event, &mut out));
        let text = String::from_utf8(out).unwrap();
        let frames = text.split_terminator("\n\n").map(|frame| {
            let frame = Frame::read(Framing::Sse, frame.as_bytes()).unwrap();
            let data: Value = serde_json::from_str(&frame.data.unwrap()).unwrap();
            assert_eq!(data["type"], frame.event.unwrap());
            (frame.event.unwrap().to_owned(), data)
        });
        frames.collect()
    }

    fn start() -> Event {
        Event::Start { id: "i".into(), model: "m".into() }
    }

    #[test]
    fn blocks_are_written_whole_with_contiguous_indexes() {
        let frames = encode(&[
            start(),
            Event::Open(Block::Reasoning),
            Event::Reasoning("hm".into()),
            Event::Signature("s".into()),
            Event::Close,
            Event::Open(Block::SealedReasoning("x".into())),
            Event::Close,
            Event::Open(Block::Text),
            Event::Text("a\nb".into()),
            Event::Close,
            Event::Open(Block::ToolCall { id: "t".into(), name: "f".into(), signature: None }),
            Event::Arguments("{}".into()),
            Event::Close,
            Event::Stop(Stop { reason: StopReason::ToolUse, native: Some("tool_calls".into()), sequence: None }),
            Event::Usage(Usage { input: 111, cached_input: 1, cache_write: 10, output: 5, reasoning: 0 }),
            Event::End,
        ]);
        let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        let open =
            |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
        let close = |index: u64| json!({"type": "content_block_stop", "index": index});
        let expected = [
            json!({"type": "message_start", "message": {"id": "i", "type": "message", "role": "assistant",
                "model": "m", "content": [], "stop_reason": null, "stop_sequence": null, "usage": {
                    "input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0,
                    "cache_creation_input_tokens": 0}}}),
            open(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
            delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
            delta(0, json!({"type": "signature_delta", "signature": "s"})),
            close(0),
            open(1, json!({"type": "redacted_thinking", "data": "x"})),
            close(1),
            open(2, json!({"type": "text", "text": ""})),
            delta(2, json!({"type": "text_delta", "text": "a\nb"})),
            close(2),
            open(3, json!({"type": "tool_use", "id": "t", "name": "f", "input": {}})),
            delta(3, json!({"type": "input_json_delta", "partial_json": "{}"})),
            close(3),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {
                "input_tokens": 100, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 10,
                "output_tokens": 5}}),
            json!({"type": "message_stop"}),
        ];
        let data: Vec<Value> = frames.into_iter().map(|(_, data)| data).collect();
        assert_eq!(data, expected);
    }

    #[test]
    fn a_message_starts_with_every_field_of_usage() {
        let start = &encode(&[start()])[0].1["message"]["usage"];
        for name in ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"] {
            assert_eq!(start[name], 0, "{name}");
        }
    }

    #[test]
    fn an_answer_without_an_id_gets_ours() {
        let frames = encode(&[Event::Start { id: String::new(), model: "m".into() }]);
        assert_eq!(frames[0].1["message"]["id"], "ours");
    }

    #[test]
    fn every_stop_reason_has_its_word() {
        let call = Block::ToolCall { id: "t".into(), name: "f".into(), signature: None };
        let cases = [
            (StopReason::EndTurn, Block::Text, "end_turn"),
            (StopReason::EndTurn, call.clone(), "tool_use"),
            (StopReason::StopSequence, Block::Text, "stop_sequence"),
            (StopReason::Length, call.clone(), "max_tokens"),
            (StopReason::ToolUse, call, "tool_use"),
            (StopReason::Filtered, Block::Text, "refusal"),
            (StopReason::Pause, Block::Text, "pause_turn"),
            (StopReason::Error, Block::Text, "max_tokens"),
        ];
        for (reason, block, word) in cases {
            let stop = Stop { reason, native: None, sequence: Some("x".into()) };
            let frames = encode(&[start(), Event::Open(block), Event::Close, Event::Stop(stop), Event::End]);
            let delta = &frames[frames.len() - 2].1["delta"];
            assert_eq!(*delta, json!({"stop_reason": word, "stop_sequence": "x"}), "{reason:?}");
        }
    }

    #[test]
    fn pings_and_errors_have_frames() {
        let error = |kind: Option<&str>| Event::Error { kind: kind.map(str::to_owned), message: "m".into() };
        let expected = |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "m"}});
        assert_eq!(encode(&[Event::Ping])[0].1, json!({"type": "ping"}));
        assert_eq!(encode(&[error(None)])[0].1, expected("api_error"));
        assert_eq!(encode(&[error(Some("server_error"))])[0].1, expected("api_error"));
        assert_eq!(encode(&[error(Some("overloaded_error"))])[0].1, expected("overloaded_error"));
    }
}
