//! Answers: lines into events, and a whole answer as if it had come in one line.
//!
//! Source: "API", Ollama documentation, read 2026-11.

use std::borrow::Cow;

use super::message;
use crate::chat::{Block, Content, Event, Number, Part, Response, Stop, StopReason, ToolCall, Usage};
use crate::dialect::{Decode, Malformed};
use crate::wire::frame::Frame;
use crate::wire::json::{self, Raw, objects};

/// Reads a stream of lines.
#[derive(Debug, Default)]
pub struct Decoder {
    at: At,
    open: Open,
    calls: usize,
    /// Of the time that the answer was created, for calls that come without an id.
    tag: String,
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
}

objects! {
    struct Line<'a> {
        model: Option<Cow<'a, str>>,
        created_at: Option<Cow<'a, str>>,
        message: Option<Said<'a>>,
        done: Option<bool>,
        done_reason: Option<String>,
        prompt_eval_count: Option<Number>,
        eval_count: Option<Number>,
        error: Option<Raw<'a>>,
    }

    struct Said<'a> {
        content: Option<String>,
        thinking: Option<String>,
        tool_calls: Option<Vec<Call<'a>>>,
    }

    struct Call<'a> {
        id: Option<String>,
        function: Option<Function<'a>>,
    }

    #[derive(Default)]
    struct Function<'a> {
        name: Option<String>,
        arguments: Option<Raw<'a>>,
    }
}

impl Decode for Decoder {
    fn frame(&mut self, frame: &Frame<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.at == At::Over {
            return Ok(());
        }
        let Some(data) = frame.data.as_deref().filter(|data| !data.trim().is_empty()) else {
            events.push(Event::Ping);
            return Ok(());
        };
        let line = json::parse(data).map_err(|error| malformed(&error))?;
        self.line(line, events);
        Ok(())
    }

    /// Only a line that says `done` ends an answer.
    fn finish(&mut self, _: &mut Vec<Event>) {}
}

impl Decoder {
    fn line(&mut self, line: Line<'_>, events: &mut Vec<Event>) {
        if let Some(error) = line.error {
            self.at = At::Over;
            let message = message(error).unwrap_or_else(|| "the upstream failed without saying why".to_owned());
            events.push(Event::Error { kind: None, message });
            return;
        }
        if self.at == At::Before {
            self.at = At::Telling;
            self.tag = line.created_at.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
            // Answers have no id.
            events.push(Event::Start { id: String::new(), model: line.model.unwrap_or_default().into_owned() });
        }
        if let Some(Said { content, thinking, tool_calls }) = line.message {
            self.tell(Open::Thinking, thinking, events);
            self.tell(Open::Text, content, events);
            for call in tool_calls.unwrap_or_default() {
                self.call(call, events);
            }
        }
        if line.done == Some(true) {
            self.close(events);
            let (input, output) = (count(&line.prompt_eval_count), count(&line.eval_count));
            if line.prompt_eval_count.is_some() || line.eval_count.is_some() {
                events.push(Event::Usage(Usage { input, output, ..Usage::default() }));
            }
            events.extend([Event::Stop(stop(line.done_reason, self.calls > 0)), Event::End]);
            self.at = At::Over;
        }
    }

    fn tell(&mut self, open: Open, text: Option<String>, events: &mut Vec<Event>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        let (block, event) = match open {
            Open::Thinking => (Block::Reasoning, Event::Reasoning(text)),
            Open::Text | Open::Nothing => (Block::Text, Event::Text(text)),
        };
        if self.open != open {
            self.close(events);
            self.open = open;
            events.push(Event::Open(block));
        }
        events.push(event);
    }

    fn call(&mut self, Call { id, function }: Call<'_>, events: &mut Vec<Event>) {
        self.close(events);
        let Function { name, arguments } = function.unwrap_or_default();
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}_{}", self.tag, self.calls));
        self.calls = self.calls.saturating_add(1);
        events.push(Event::Open(Block::ToolCall { id, name: name.unwrap_or_default(), signature: None }));
        events.extend(arguments.map(|raw| Event::Arguments(text(raw).into_owned())));
        events.push(Event::Close);
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if std::mem::take(&mut self.open) != Open::Nothing {
            events.push(Event::Close);
        }
    }
}

pub fn read_response(body: &[u8]) -> Result<Response, Malformed> {
    let line: Line<'_> = json::read(body).map_err(|error| malformed(&error))?;
    if line.message.is_none() {
        return Err(Malformed("message: missing".to_owned()));
    }
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    // That it is whole is what its length says.
    decoder.line(Line { done: Some(true), ..line }, &mut events);
    Ok(fold(events))
}

/// The whole answer that one line told.
fn fold(events: Vec<Event>) -> Response {
    let mut response = Response::default();
    for event in events {
        match event {
            Event::Start { id, model } => (response.id, response.model) = (id, model),
            Event::Text(text) => response.parts.push(Part::new(Content::Text(text))),
            Event::Reasoning(text) => response.parts.push(Part::new(Content::Reasoning { text, signature: None })),
            Event::Open(Block::ToolCall { id, name, signature }) => {
                let call = ToolCall { id, name, arguments: String::new(), signature };
                response.parts.push(Part::new(Content::ToolCall(call)));
            }
            Event::Arguments(text) => {
                if let Some(Content::ToolCall(call)) = response.parts.last_mut().map(|part| &mut part.content) {
                    call.arguments = text;
                }
            }
            Event::Usage(usage) => response.usage = Some(usage),
            Event::Stop(stop) => response.stop = stop,
            _ => {}
        }
    }
    response
}

/// Why the model stopped: Ollama says `stop` after tool calls too.
fn stop(word: Option<String>, called: bool) -> Stop {
    let reason = match word.as_deref() {
        Some("length") => StopReason::Length,
        _ if called => StopReason::ToolUse,
        _ => StopReason::EndTurn,
    };
    Stop { reason, native: word, sequence: None }
}

/// Arguments are an object; some servers that copied Ollama send its text.
fn text(arguments: Raw<'_>) -> Cow<'_, str> {
    json::parse::<String>(arguments.get()).map_or(Cow::Borrowed(arguments.get()), Cow::Owned)
}

pub(super) fn count(number: &Option<Number>) -> u64 {
    // Saturates; a negative number is none.
    number.as_ref().map_or(0, |number| number.value() as u64)
}

/// Says what was due; never what stood there.
fn malformed(error: &json::Error) -> Malformed {
    Malformed(format!("the answer: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Grammar;
    use crate::wire::frame::{Framing, Splitter};

    /// The events of these lines, at every chunk size the same.
    fn told(lines: &[&str]) -> Vec<Event> {
        let body = lines.join("\n") + "\n";
        let decode = |size: usize| {
            let (mut splitter, mut decoder, mut events) =
                (Splitter::new(Framing::Lines), Decoder::default(), Vec::new());
            for chunk in body.as_bytes().chunks(size) {
                let read = |raw: &[u8]| {
                    decoder.frame(&Frame::read(Framing::Lines, raw).unwrap(), &mut events).unwrap();
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

    fn call(id: &str, name: &str) -> Event {
        Event::Open(Block::ToolCall { id: id.into(), name: name.into(), signature: None })
    }

    #[test]
    fn thinking_text_and_calls_are_blocks_in_their_order() {
        let events = told(&[
            r#"{"model":"m","created_at":"2026-01-02T03:04:05.6Z","message":{"role":"assistant","content":"","thinking":"h"},"done":false}"#,
            r#"{"model":"m","message":{"role":"assistant","content":"","thinking":"m"},"done":false}"#,
            r#"{"model":"m","message":{"role":"assistant","content":"a"},"done":false}"#,
            r#"{"model":"m","message":{"role":"assistant","content":"b","tool_calls":[
                {"id":"call_x","function":{"index":0,"name":"f","arguments":{"b" :1.0,"a":2}}},
                {"function":{"name":"g","arguments":{}}}]},"done":false}"#
                .replace('\n', "")
                .as_str(),
            r#"{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":5,"eval_count":7}"#,
            r#"{"model":"m","done":true}"#,
        ]);
        let expected = [
            Event::Start { id: String::new(), model: "m".into() },
            Event::Open(Block::Reasoning),
            Event::Reasoning("h".into()),
            Event::Reasoning("m".into()),
            Event::Close,
            Event::Open(Block::Text),
            Event::Text("a".into()),
            Event::Text("b".into()),
            Event::Close,
            call("call_x", "f"),
            Event::Arguments(r#"{"b" :1.0,"a":2}"#.into()),
            Event::Close,
            call("call_20260102T0304056Z_1", "g"),
            Event::Arguments("{}".into()),
            Event::Close,
            Event::Usage(Usage { input: 5, output: 7, ..Usage::default() }),
            Event::Stop(Stop { reason: StopReason::ToolUse, native: Some("stop".into()), sequence: None }),
            Event::End,
        ];
        assert_eq!(events, expected);
    }

    #[test]
    fn an_error_ends_the_stream() {
        let begun = r#"{"model":"m","message":{"role":"assistant","content":"a"},"done":false}"#;
        let events = told(&[begun, r#"{"error":"an error was encountered while running the model"}"#, begun]);
        let message = "an error was encountered while running the model".to_owned();
        assert_eq!(events.last(), Some(&Event::Error { kind: None, message }));
    }

    #[test]
    fn a_stream_without_its_last_line_is_not_complete() {
        let events = told(&[r#"{"model":"m","message":{"role":"assistant","content":"a"},"done":false}"#]);
        assert!(!events.contains(&Event::End));
    }

    #[test]
    fn a_whole_answer_is_read() {
        let body = br#"{"model":"m","created_at":"2026","message":{"role":"assistant","content":"a","thinking":"h",
            "tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},
            "done":true,"done_reason":"length","prompt_eval_count":1,"eval_count":2}"#;
        let tool =
            ToolCall { id: "call_2026_0".into(), name: "f".into(), arguments: r#"{"a":1}"#.into(), signature: None };
        let parts = [
            Content::Reasoning { text: "h".into(), signature: None },
            Content::Text("a".into()),
            Content::ToolCall(tool),
        ];
        let expected = Response {
            id: String::new(),
            model: "m".into(),
            parts: parts.map(Part::new).into(),
            stop: Stop { reason: StopReason::Length, native: Some("length".into()), sequence: None },
            usage: Some(Usage { input: 1, output: 2, ..Usage::default() }),
        };
        assert_eq!(read_response(body), Ok(expected));
    }

    #[test]
    fn what_is_no_answer_is_malformed_and_not_quoted() {
        for body in ["", "secret", r#"["secret"]"#, r#"{"error":"secret"}"#, r#"{"message":"secret"}"#] {
            let Malformed(why) = read_response(body.as_bytes()).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
