//! A streamed answer.
//!
//! Blocks come one at a time. One opens with its first word, so that an empty one is not told; citations, which stand
//! inside the block that they are about, are passed over.

use std::borrow::Cow;

use super::response::{Call, Function, Piece};
use super::{Tally, call_id, stop};
use crate::chat::{Block, Event, StopReason};
use crate::dialect::{Decode, Malformed};
use crate::wire::frame::Frame;
use crate::wire::json::{self, Raw, objects};

/// Reads a stream of version 2.
#[derive(Debug, Default)]
pub struct Decoder {
    at: At,
    /// The answer's id, for calls that come without their own.
    id: String,
    open: Open,
    calls: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Before,
    Telling,
    Over,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Thinking,
    Plan,
    Call,
}

objects! {
    struct Step<'a> {
        r#type as "type": Option<Cow<'a, str>>,
        id: Option<String>,
        delta: Option<Delta<'a>>,
        /// Only an error has it here.
        message: Option<String>,
    }

    #[derive(Default)]
    struct Delta<'a> {
        /// Read where it adds something: the first event has lists in it where the others have one thing.
        message: Option<Raw<'a>>,
        finish_reason: Option<String>,
        usage: Option<Tally>,
        /// Why the answer failed.
        error: Option<String>,
    }

    #[derive(Default)]
    struct Said {
        content: Option<Piece>,
        tool_plan: Option<String>,
        tool_calls: Option<Call>,
    }
}

impl Decode for Decoder {
    fn frame(&mut self, frame: &Frame<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.at == At::Over {
            return Ok(());
        }
        let data = match frame.data.as_deref().map(str::trim) {
            None | Some("") => {
                events.push(Event::Ping);
                return Ok(());
            }
            // It follows the end of the message, where it is said at all.
            Some("[DONE]") => return Ok(()),
            Some(data) => data,
        };
        let step: Step<'_> = json::parse(data).map_err(|error| malformed("event", &error))?;
        if let (None, Some(message)) = (&step.r#type, step.message) {
            self.fail(message, events);
            return Ok(());
        }
        let Some(kind) = step.r#type.as_deref().or(frame.event) else { return Ok(()) };
        let delta = step.delta.unwrap_or_default();
        match kind {
            "message-start" => self.start(step.id, events),
            "content-start" => {
                self.close(events);
                self.said(kind, &delta, events)?;
            }
            "content-delta" | "tool-plan-delta" | "tool-call-start" | "tool-call-delta" => {
                self.said(kind, &delta, events)?;
            }
            "content-end" | "tool-call-end" => self.close(events),
            "message-end" => self.end(delta, events),
            _ => {}
        }
        Ok(())
    }

    /// Only the end of the message ends an answer.
    fn finish(&mut self, _: &mut Vec<Event>) {}
}

impl Decoder {
    fn start(&mut self, id: Option<String>, events: &mut Vec<Event>) {
        if self.at == At::Before {
            self.at = At::Telling;
            self.id = id.unwrap_or_default();
            // Cohere does not say which model answers.
            events.push(Event::Start { id: self.id.clone(), model: String::new() });
        }
    }

    fn said(&mut self, kind: &str, delta: &Delta<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let Some(raw) = delta.message else { return Ok(()) };
        let Said { content, tool_plan, tool_calls } =
            json::parse(raw.get()).map_err(|error| malformed(kind, &error))?;
        self.start(None, events);
        if let Some(Piece { text, thinking }) = content {
            self.tell(Open::Thinking, thinking, events);
            self.tell(Open::Text, text, events);
        }
        self.tell(Open::Plan, tool_plan, events);
        let Some(Call { id, function }) = tool_calls else { return Ok(()) };
        let Function { name, arguments } = function.unwrap_or_default();
        if kind == "tool-call-start" {
            let id = call_id(id, &self.id, self.calls);
            self.calls = self.calls.saturating_add(1);
            self.enter(Open::Call, Block::ToolCall { id, name: name.unwrap_or_default(), signature: None }, events);
        }
        let arguments = arguments.unwrap_or_default();
        if arguments.is_empty() {
            return Ok(());
        }
        if self.open != Open::Call {
            return Err(Malformed(format!("{kind}: no tool call was begun")));
        }
        events.push(Event::Arguments(arguments));
        Ok(())
    }

    fn tell(&mut self, open: Open, text: Option<String>, events: &mut Vec<Event>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        let block = if open == Open::Thinking { Block::Reasoning } else { Block::Text };
        let event = if open == Open::Thinking { Event::Reasoning(text) } else { Event::Text(text) };
        if self.open != open {
            self.enter(open, block, events);
        }
        events.push(event);
    }

    fn enter(&mut self, open: Open, block: Block, events: &mut Vec<Event>) {
        self.close(events);
        self.open = open;
        events.push(Event::Open(block));
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if std::mem::take(&mut self.open) != Open::Nothing {
            events.push(Event::Close);
        }
    }

    fn end(&mut self, delta: Delta<'_>, events: &mut Vec<Event>) {
        self.start(None, events);
        self.close(events);
        events.extend(delta.usage.map(|tally| Event::Usage(tally.usage())));
        let stop = stop(delta.finish_reason, self.calls > 0);
        match delta.error.filter(|_| stop.reason == StopReason::Error) {
            Some(message) => self.fail(message, events),
            None => {
                self.at = At::Over;
                events.extend([Event::Stop(stop), Event::End]);
            }
        }
    }

    fn fail(&mut self, message: String, events: &mut Vec<Event>) {
        self.at = At::Over;
        events.push(Event::Error { kind: None, message });
    }
}

/// Says where, and what was due; never what stood there.
fn malformed(kind: &str, error: &json::Error) -> Malformed {
    Malformed(format!("{kind}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Grammar, Stop, Usage};
    use crate::wire::frame::{Framing, Splitter};

    /// The events of a stream of these `data` lines, at every chunk size the same.
    fn told(lines: &[&str]) -> Vec<Event> {
        let body: String = lines.iter().map(|line| format!("event: x\ndata: {line}\n\n")).collect();
        let decode = |size: usize| {
            let (mut splitter, mut decoder, mut events) = (Splitter::default(), Decoder::default(), Vec::new());
            for chunk in body.as_bytes().chunks(size) {
                let read = |raw: &[u8]| {
                    decoder.frame(&Frame::read(Framing::Sse, raw).unwrap(), &mut events).unwrap();
                };
                splitter.feed(chunk, read).unwrap();
            }
            decoder.finish(&mut events);
            events
        };
        let whole = decode(body.len());
        assert_eq!(decode(1), whole);
        assert_eq!(decode(7), whole);
        let order = whole.iter().try_fold(Grammar::default(), |at, event| at.after(event));
        assert!(order.is_ok(), "{whole:?}");
        whole
    }

    const START: &str = r#"{"id":"a","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#;

    fn start() -> Event {
        Event::Start { id: "a".into(), model: String::new() }
    }

    #[test]
    fn thinking_plan_and_calls_are_blocks_in_their_order() {
        let events = told(&[
            START,
            r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"thinking","thinking":""}}}}"#,
            r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"hm"}}}}"#,
            r#"{"type":"content-end","index":0}"#,
            r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I will "}}}"#,
            r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"look."}}}"#,
            r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"f_1","type":"function","function":{"name":"f","arguments":""}}}}}"#,
            r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"a\""}}}}}"#,
            r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":":1}"}}}}}"#,
            r#"{"type":"tool-call-end","index":0}"#,
            r#"{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"billed_units":{"input_tokens":1,"output_tokens":2}}}}"#,
            "[DONE]",
        ]);
        let call = Block::ToolCall { id: "f_1".into(), name: "f".into(), signature: None };
        let expected = [
            start(),
            Event::Open(Block::Reasoning),
            Event::Reasoning("hm".into()),
            Event::Close,
            Event::Open(Block::Text),
            Event::Text("I will ".into()),
            Event::Text("look.".into()),
            Event::Close,
            Event::Open(call),
            Event::Arguments("{\"a\"".into()),
            Event::Arguments(":1}".into()),
            Event::Close,
            Event::Usage(Usage { input: 1, output: 2, ..Usage::default() }),
            Event::Stop(Stop { reason: StopReason::ToolUse, native: Some("TOOL_CALL".into()), sequence: None }),
            Event::End,
        ];
        assert_eq!(events, expected);
    }

    #[test]
    fn citations_do_not_break_a_block() {
        let events = told(&[
            START,
            r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
            r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"a"}}}}"#,
            r#"{"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":0,"end":1,"text":"a","sources":[]}}}}"#,
            r#"{"type":"citation-end","index":0}"#,
            r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"b"}}}}"#,
            r#"{"type":"content-end","index":0}"#,
        ]);
        let text = |text: &str| Event::Text(text.to_owned());
        assert_eq!(events, [start(), Event::Open(Block::Text), text("a"), text("b"), Event::Close]);
    }

    #[test]
    fn an_error_ends_the_stream_in_either_form() {
        let said = |message: &str| Event::Error { kind: None, message: message.to_owned() };
        assert_eq!(told(&[START, r#"{"message":"too many"}"#, "[DONE]"]), [start(), said("too many")]);
        let failed = r#"{"type":"message-end","delta":{"finish_reason":"ERROR","error":"broken"}}"#;
        assert_eq!(told(&[START, failed]), [start(), said("broken")]);
    }

    #[test]
    fn what_is_no_event_is_malformed_and_not_quoted() {
        for data in [
            "secret",
            r#"["secret"]"#,
            r#"{"type":"content-delta","delta":{"message":{"content":"secret"}}}"#,
            r#"{"type":"tool-call-delta","delta":{"message":{"tool_calls":{"function":{"arguments":"secret"}}}}}"#,
        ] {
            let frame = Frame { event: None, data: Some(data.into()) };
            let Malformed(why) = Decoder::default().frame(&frame, &mut Vec::new()).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
