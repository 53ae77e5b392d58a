//! An answer in pieces.
//!
//! Only tool calls have a start of their own; a text or a thought begins with its first piece. `messageStop` completes
//! the answer, `metadata` with the usage follows it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::{Decode, Malformed};
use super::{ModelFields, SERVER_TOOL, Tally, read_error, read_stop};
use crate::chat::{Block, Event, Kind};
use crate::wire::frame::Frame;
use crate::wire::json::{self, objects};

#[derive(Debug, Default)]
pub struct Decoder {
    at: Place,
    /// Whether `metadata` came already; it is the last, but not everywhere.
    is_counted: bool,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Before,
    Between,
    Inside {
        index: u64,
        kind: Kind,
    },
    /// Inside reasoning that only its provider can read: a block is told whole, so its pieces are gathered.
    Sealed {
        index: u64,
        pieces: Vec<String>,
    },
    /// Inside a block that callers cannot use.
    Skipping {
        index: u64,
    },
    Stopped,
    /// After the end or a failure: nothing counts any more.
    Over,
}

objects! {
    /// Every field of every event that is acted upon; the names do not clash.
    struct Wire<'a> {
        content_block_index as "contentBlockIndex": u64 = 0,
        start: Option<Start<'a>>,
        delta: Option<Delta<'a>>,
        stop_reason as "stopReason": Option<String>,
        additional_model_response_fields as "additionalModelResponseFields": Option<ModelFields>,
        usage: Option<Tally>,
    }

    struct Start<'a> {
        tool_use as "toolUse": Option<Call<'a>>,
    }

    struct Call<'a> {
        r#type as "type": Option<Cow<'a, str>>,
        tool_use_id as "toolUseId": String,
        name: String,
    }

    /// A union: one of its fields is there, or one that is passed over.
    struct Delta<'a> {
        text: Option<Cow<'a, str>>,
        reasoning_content as "reasoningContent": Option<Reasoning<'a>>,
        tool_use as "toolUse": Option<Input<'a>>,
    }

    struct Reasoning<'a> {
        text: Option<Cow<'a, str>>,
        signature: Option<Cow<'a, str>>,
        redacted_content as "redactedContent": Option<Cow<'a, str>>,
    }

    struct Input<'a> {
        input: Cow<'a, str>,
    }
}

impl Decode for Decoder {
    fn frame(&mut self, frame: &Frame<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let (Some(name), Some(data)) = (frame.event, frame.data.as_deref()) else { return Ok(()) };
        if matches!(self.at, Place::Over) {
            return Ok(());
        }
        match name {
            "messageStart" => {
                self.begin(events);
                Ok(())
            }
            "contentBlockStart" => {
                let wire = read(name, data)?;
                self.open(wire, events);
                Ok(())
            }
            "contentBlockDelta" => self.delta(read(name, data)?, events),
            "contentBlockStop" => {
                self.close(events);
                Ok(())
            }
            "messageStop" => {
                let wire = read(name, data)?;
                self.stop(wire, events);
                Ok(())
            }
            "metadata" => {
                let wire = read(name, data)?;
                self.count(wire, events);
                Ok(())
            }
            _ => {
                // An exception says why; what may be added says something else, and is passed over.
                let unsaid = || name.ends_with("Exception").then(|| name.to_owned());
                if let Some(message) = read_error(data.as_bytes()).or_else(unsaid) {
                    self.at = Place::Over;
                    events.push(Event::Error { kind: fault(name), message });
                }
                Ok(())
            }
        }
    }

    /// Without `metadata` only the usage is unknown. Without `messageStop` the stream was cut.
    fn finish(&mut self, events: &mut Vec<Event>) {
        if matches!(self.at, Place::Stopped) {
            self.end(events);
        }
    }

    fn knows_more(&self) -> bool {
        matches!(self.at, Place::Sealed { .. } | Place::Skipping { .. })
    }
}

impl Decoder {
    fn begin(&mut self, events: &mut Vec<Event>) {
        if matches!(self.at, Place::Before) {
            self.at = Place::Between;
            // Neither an id nor the model is told.
            events.push(Event::Start { id: String::new(), model: String::new() });
        }
    }

    fn open(&mut self, wire: Wire<'_>, events: &mut Vec<Event>) {
        let index = wire.content_block_index;
        let is_server = |call: &Call<'_>| call.r#type.as_ref().is_some_and(|kind| kind == SERVER_TOOL);
        match wire.start.and_then(|start| start.tool_use) {
            Some(call) if !is_server(&call) => {
                let block = Block::ToolCall { id: call.tool_use_id, name: call.name, signature: None };
                self.inside(index, block, events);
            }
            _ => {
                self.begin(events);
                self.close(events);
                if matches!(self.at, Place::Between) {
                    self.at = Place::Skipping { index };
                }
            }
        }
    }

    fn delta(&mut self, wire: Wire<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let index = wire.content_block_index;
        if matches!(self.at, Place::Skipping { index: open } if open == index) {
            return Ok(());
        }
        if matches!(self.at, Place::Stopped) {
            return Err(Malformed("contentBlockDelta: the message has stopped".to_owned()));
        }
        let Some(delta) = wire.delta else {
            return Err(Malformed("contentBlockDelta: delta is missing".to_owned()));
        };
        if let Some(text) = delta.text.filter(|text| !text.is_empty()) {
            self.inside(index, Block::Text, events);
            events.push(Event::Text(text.into_owned()));
        }
        if let Some(Reasoning { text, signature, redacted_content }) = delta.reasoning_content {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                self.inside(index, Block::Reasoning, events);
                events.push(Event::Reasoning(text.into_owned()));
            }
            if let Some(signature) = signature.filter(|proof| !proof.is_empty()) {
                self.inside(index, Block::Reasoning, events);
                events.push(Event::Signature(signature.into_owned()));
            }
            if let Some(piece) = redacted_content {
                self.sealed(index, piece.into_owned(), events);
            }
        }
        if let Some(Input { input }) = delta.tool_use {
            if !matches!(self.at, Place::Inside { index: open, kind: Kind::ToolCall } if open == index) {
                return Err(Malformed("contentBlockDelta: no toolUse is open".to_owned()));
            }
            if !input.is_empty() {
                events.push(Event::Arguments(input.into_owned()));
            }
        }
        Ok(())
    }

    /// Is in a block like `block` at `index`, which is opened unless it is.
    fn inside(&mut self, index: u64, block: Block, events: &mut Vec<Event>) {
        let kind = block.kind();
        let is_open = matches!(self.at, Place::Inside { index: open, kind: known } if open == index && known == kind);
        if !is_open || kind == Kind::ToolCall {
            self.begin(events);
            self.close(events);
            self.at = Place::Inside { index, kind };
            events.push(Event::Open(block));
        }
    }

    fn sealed(&mut self, index: u64, piece: String, events: &mut Vec<Event>) {
        if let Place::Sealed { index: open, pieces } = &mut self.at
            && *open == index
        {
            pieces.push(piece);
            return;
        }
        self.begin(events);
        self.close(events);
        self.at = Place::Sealed { index, pieces: vec![piece] };
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        match &mut self.at {
            Place::Sealed { pieces, .. } => {
                let sealed = joined(std::mem::take(pieces));
                events.extend([Event::Open(Block::SealedReasoning(sealed)), Event::Close]);
            }
            Place::Inside { .. } => events.push(Event::Close),
            Place::Skipping { .. } => {}
            Place::Before | Place::Between | Place::Stopped | Place::Over => return,
        }
        self.at = Place::Between;
    }

    fn stop(&mut self, wire: Wire<'_>, events: &mut Vec<Event>) {
        self.begin(events);
        self.close(events);
        if !matches!(self.at, Place::Stopped) {
            self.at = Place::Stopped;
            let fields = wire.additional_model_response_fields;
            events.push(Event::Stop(read_stop(wire.stop_reason, fields.as_ref())));
        }
        if self.is_counted {
            self.end(events);
        }
    }

    fn count(&mut self, wire: Wire<'_>, events: &mut Vec<Event>) {
        self.begin(events);
        self.is_counted = true;
        events.extend(wire.usage.map(|tally| Event::Usage(tally.usage())));
        if matches!(self.at, Place::Stopped) {
            self.end(events);
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        self.at = Place::Over;
        events.push(Event::End);
    }
}

fn read<'a>(name: &str, data: &'a str) -> Result<Wire<'a>, Malformed> {
    // Not the parser's own words: they would quote the answer.
    json::parse(data)
        .map_err(|error| Malformed(format!("{name}: a field is not of its type, at column {}", error.column())))
}

/// Each piece is base64 of its own, so that several are joined as the bytes they stand for.
fn joined(mut pieces: Vec<String>) -> String {
    if pieces.len() > 1
        && let Ok(bytes) = pieces.iter().map(|piece| STANDARD.decode(piece)).collect::<Result<Vec<_>, _>>()
    {
        return STANDARD.encode(bytes.concat());
    }
    match pieces.len() {
        1 => pieces.remove(0),
        _ => pieces.concat(),
    }
}

/// An exception in the words of Anthropic's errors, which the callers of every dialect are told in.
fn fault(exception: &str) -> Option<String> {
    let kind = match exception {
        "throttlingException" => "rate_limit_error",
        "serviceUnavailableException" => "overloaded_error",
        "validationException" => "invalid_request_error",
        _ => return None,
    };
    Some(kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Grammar, Stop, StopReason, Usage};

    fn decode(frames: &[(&str, &str)]) -> (Vec<Event>, Option<Malformed>) {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        for (event, data) in frames {
            let frame = Frame { event: Some(event), data: Some(Cow::Borrowed(data)) };
            if let Err(malformed) = decoder.frame(&frame, &mut events) {
                return (events, Some(malformed));
            }
        }
        decoder.finish(&mut events);
        let mut at = Grammar::default();
        for event in &events {
            at = at.after(event).unwrap_or_else(|_| panic!("{event:?} at {at:?} of {events:?}"));
        }
        (events, None)
    }

    fn start() -> Event {
        Event::Start { id: String::new(), model: String::new() }
    }

    const START: (&str, &str) = ("messageStart", r#"{"p":"abc","role":"assistant"}"#);
    const STOP: (&str, &str) = ("messageStop", r#"{"stopReason":"end_turn"}"#);
    const METADATA: (&str, &str) =
        ("metadata", r#"{"metrics":{"latencyMs":1},"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}"#);

    fn stop(reason: StopReason, word: &str) -> Event {
        Event::Stop(Stop { reason, native: Some(word.to_owned()), sequence: None })
    }

    fn usage() -> Event {
        Event::Usage(Usage { input: 1, output: 2, ..Usage::default() })
    }

    #[test]
    fn a_stream_is_read() {
        let delta = |data| ("contentBlockDelta", data);
        let (events, _) = decode(&[
            START,
            delta(r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}"#),
            delta(r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"s"}}}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
            delta(r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"YQ=="}}}"#),
            delta(r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"Yg=="}}}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
            delta(r#"{"contentBlockIndex":2,"delta":{"text":""}}"#),
            delta(r#"{"contentBlockIndex":2,"delta":{"text":"a\n"}}"#),
            delta(r#"{"contentBlockIndex":2,"delta":{"citation":{"title":"t"}}}"#),
            delta(r#"{"contentBlockIndex":2,"delta":{"text":"b"}}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
            (
                "contentBlockStart",
                r#"{"contentBlockIndex":3,"start":{"toolUse":{"toolUseId":"s","name":"web","type":"server_tool_use"}}}"#,
            ),
            delta(r#"{"contentBlockIndex":3,"delta":{"toolUse":{"input":"{}"}}}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":3}"#),
            ("contentBlockStart", r#"{"contentBlockIndex":4,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}"#),
            delta(r#"{"contentBlockIndex":4,"delta":{"toolUse":{"input":"{\"x\""}}}"#),
            delta(r#"{"contentBlockIndex":4,"delta":{"toolUse":{"input":":1}"}}}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":4}"#),
            ("messageStop", r#"{"stopReason":"tool_use"}"#),
            METADATA,
            ("metadata", "not read any more"),
        ]);
        let expected = [
            start(),
            Event::Open(Block::Reasoning),
            Event::Reasoning("hm".into()),
            Event::Signature("s".into()),
            Event::Close,
            Event::Open(Block::SealedReasoning("YWI=".into())),
            Event::Close,
            Event::Open(Block::Text),
            Event::Text("a\n".into()),
            Event::Text("b".into()),
            Event::Close,
            Event::Open(Block::ToolCall { id: "t".into(), name: "f".into(), signature: None }),
            Event::Arguments("{\"x\"".into()),
            Event::Arguments(":1}".into()),
            Event::Close,
            stop(StopReason::ToolUse, "tool_use"),
            usage(),
            Event::End,
        ];
        assert_eq!(events, expected);
    }

    #[test]
    fn a_stream_ends_with_its_stop_and_not_with_its_body() {
        let (events, _) = decode(&[START]);
        assert_eq!(events, [start()]);
        let (events, _) = decode(&[START, STOP]);
        assert_eq!(events, [start(), stop(StopReason::EndTurn, "end_turn"), Event::End]);
        let (events, _) = decode(&[METADATA, STOP]);
        assert_eq!(events, [start(), usage(), stop(StopReason::EndTurn, "end_turn"), Event::End]);
    }

    #[test]
    fn an_exception_ends_a_stream() {
        let cases = [
            ("throttlingException", Some("rate_limit_error")),
            ("serviceUnavailableException", Some("overloaded_error")),
            ("validationException", Some("invalid_request_error")),
            ("modelStreamErrorException", None),
            ("InternalError", None),
        ];
        for (name, kind) in cases {
            let (events, _) = decode(&[START, (name, r#"{"message":"m"}"#), STOP]);
            let error = Event::Error { kind: kind.map(str::to_owned), message: "m".into() };
            assert_eq!(events, [start(), error]);
        }
        let (events, _) = decode(&[START, ("toComeException", "{}")]);
        assert_eq!(events[1], Event::Error { kind: None, message: "toComeException".into() });
        let (events, _) = decode(&[START, ("toComeEvent", r#"{"x":1}"#), STOP]);
        assert_eq!(events.last(), Some(&Event::End));
    }

    #[test]
    fn what_is_out_of_place_is_malformed_and_not_quoted() {
        let cases: &[&[(&str, &str)]] = &[
            &[("contentBlockDelta", "secret")],
            &[("contentBlockDelta", r#"{"delta":{"text":["secret"]}}"#)],
            &[START, ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"secret"}}}"#)],
            &[START, STOP, ("contentBlockDelta", r#"{"delta":{"text":"secret"}}"#)],
            &[START, ("contentBlockDelta", "{}")],
        ];
        for case in cases {
            let Malformed(message) = decode(case).1.unwrap();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn a_block_may_begin_without_the_end_of_the_last() {
        let (events, _) = decode(&[
            ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"a"}}"#),
            ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"text":"b"}}"#),
            STOP,
        ]);
        let text = |text: &str| [Event::Open(Block::Text), Event::Text(text.into()), Event::Close];
        let expected = [
            vec![start()],
            text("a").into(),
            text("b").into(),
            vec![stop(StopReason::EndTurn, "end_turn"), Event::End],
        ];
        assert_eq!(events, expected.concat());
    }
}
