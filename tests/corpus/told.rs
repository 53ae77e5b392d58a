//! What an answer says, for dialects that only upstreams speak: as events tell it, and through callers' dialects.

use serde_json::Value;
use tollgate::chat::{Block, Content, Event, Grammar, Message, Request, Usage};
use tollgate::dialect::{Dialect, Inbound, Label};
use tollgate::wire::frame::{Frame, Framing, Splitter};
use tollgate::wire::json::Fields;

use crate::cases::{Case, cases};

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) thinking: String,
    /// Id, name and arguments.
    pub(crate) calls: Vec<(String, String, Value)>,
    pub(crate) stop: Option<String>,
    pub(crate) usage: Option<Usage>,
    pub(crate) is_complete: bool,
}

/// Reads `body` in chunks of `size`; the events must be in order.
pub(crate) fn decode(dialect: Dialect, framing: Framing, body: &[u8], size: usize) -> Vec<Event> {
    let (mut splitter, mut decoder, mut events) = (Splitter::new(framing), dialect.decoder(), Vec::new());
    for chunk in body.chunks(size.max(1)) {
        let read = |raw: &[u8]| decoder.frame(&Frame::read(framing, raw).unwrap(), &mut events).unwrap();
        splitter.feed(chunk, read).unwrap();
    }
    let rest = splitter.take_rest();
    // A stream that was cut may end inside a frame.
    if let Some(frame) = Frame::read(framing, &rest) {
        let _ = decoder.frame(&frame, &mut events);
    }
    decoder.finish(&mut events);
    let order = events.iter().try_fold(Grammar::default(), |at, event| at.after(event));
    assert!(order.is_ok(), "out of order: {events:?}");
    events
}

pub(crate) fn told(events: &[Event]) -> Told {
    let mut told = Told::default();
    let (mut call, mut arguments) = (None, String::new());
    for event in events {
        match event {
            Event::Open(Block::ToolCall { id, name, .. }) => call = Some((id.clone(), name.clone())),
            Event::Text(text) => told.text += text,
            Event::Reasoning(text) => told.thinking += text,
            Event::Arguments(text) => arguments += text,
            Event::Close => {
                if let Some((id, name)) = call.take() {
                    let text = std::mem::take(&mut arguments);
                    let text = if text.is_empty() { "{}" } else { &text };
                    told.calls.push((id, name, serde_json::from_str(text).unwrap()));
                }
            }
            Event::Stop(stop) => told.stop.clone_from(&stop.native),
            Event::Usage(usage) => told.usage = Some(*usage),
            Event::Error { .. } => panic!("no recording has one"),
            Event::End => told.is_complete = true,
            Event::Start { .. } | Event::Open(_) | Event::Signature(_) | Event::Ping => {}
        }
    }
    told
}

/// What callers of each dialect are told, read back by that dialect's own decoder, says the same.
pub(crate) fn is_told_to_every_caller(case: &Case, events: &[Event], expected: &Told) {
    for caller in [Inbound::OpenaiChat, Inbound::Anthropic] {
        let label = Label { id: "req_1".to_owned(), usage_wanted: true, ..Label::default() };
        let (mut encoder, mut body) = (caller.encoder(label), Vec::new());
        events.iter().for_each(|event| encoder.event(event, &mut body));
        let again = told(&decode(caller.dialect().unwrap(), Framing::Sse, &body, body.len()));
        // The word for the end is the caller's own; Anthropic's usage does not tell reasoning apart everywhere.
        let usage = |told: &Told| told.usage.map(|usage| (usage.input, usage.output));
        assert_eq!(usage(&again), usage(expected), "{}", case.name);
        let same = Told { stop: None, usage: None, ..expected.clone() };
        assert_eq!(Told { stop: None, usage: None, ..again }, same, "{} to {caller:?}", case.name);
    }
}

/// Everything that callers of both dialects were recorded to ask.
pub(crate) fn asked() -> Vec<(String, Request)> {
    let mut asked = Vec::new();
    for (api, caller) in [("openai-chat", Inbound::OpenaiChat), ("anthropic-messages", Inbound::Anthropic)] {
        for case in cases(api) {
            let Some(body) = case.body("request.json") else { continue };
            if let Ok(request) = caller.read_request(&Fields::read(&body).unwrap()) {
                asked.push((case.name, request));
            }
        }
    }
    asked
}

/// The texts, calls and results that a conversation holds, in any order: dialects group them differently.
pub(crate) fn words(messages: &[Message]) -> Vec<String> {
    let mut words = Vec::new();
    for part in messages.iter().flat_map(|message| &message.parts) {
        match &part.content {
            Content::Text(text) => words.push(text.clone()),
            Content::ToolCall(call) => words.push(format!("call {}", call.name)),
            Content::ToolResult { parts, .. } => {
                let texts = parts.iter().filter_map(|part| match &part.content {
                    Content::Text(text) => Some(text.clone()),
                    _ => None,
                });
                words.extend(texts);
            }
            _ => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words.sort();
    words
}
