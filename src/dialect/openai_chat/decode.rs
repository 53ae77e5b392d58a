//! Reads answers: chunks into events, and a whole reply as if it had come in one chunk.
//!
//! Servers interleave tool calls, name them late and repeat their finish reason. Here one block is open at
//! a time: what belongs to another waits, within a bound, and `Stop` waits until nothing can follow it.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::answer::{CallPiece, Said, Str, TextOr, of, read_usage, stop_reason};
use super::detail::Shape;
use super::{Fault, text};
use crate::chat::{self, Event, StopReason};
use crate::dialect::{Decode, Malformed};
use crate::usage::Rule;
use crate::wire::frame::Frame;
use crate::wire::json::{self, Raw, objects};

/// Bytes that may wait for an open tool call to end.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// OpenAI refuses ids of calls with more than 40 characters; the rest is for `call_` and a number.
const TAG_CHARS: usize = 24;

/// Tool calls in one answer.
const CALLS_MAX: usize = 1024;

/// Reads a stream of `chat.completion.chunk`.
#[derive(Debug, Default)]
pub struct Decoder {
    at: At,
    /// Taken from the answer's id, for calls that come without their own.
    tag: String,
    open: Open,
    /// Of the open block of reasoning.
    shape: Shape<'static>,
    calls: Vec<Call>,
    /// Pieces that came while a tool call was unfinished, in the order they go out.
    waiting: VecDeque<Piece>,
    held_bytes: usize,
    /// Why the model stopped, once it was said.
    stop: Option<chat::Stop>,
    refused: bool,
    usage: Option<chat::Usage>,
    /// How that is told.
    rule: Rule,
    extra: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Before,
    Telling,
    Stopped,
    Over,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning {
        signed: bool,
        /// Whether its text came as plain strings, so that a later detail only repeats it.
        plain: bool,
    },
    Call(usize),
}

/// One tool call, as far as it is known.
#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: Arguments,
    state: CallState,
    /// Arguments that came while another block was open or the name was missing.
    held: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum CallState {
    #[default]
    Waiting,
    Open,
    Closed,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Reasoning { text: String, plain: bool },
    Detail { text: String, shape: Shape<'static> },
    Sealed(String),
    Call(usize),
}

objects! {
    struct Chunk<'a> {
        id: Option<Str<'a>>,
        model: Option<Str<'a>>,
        object: Option<Str<'a>>,
        choices: Option<Vec<Choice<'a>>>,
        usage: Option<Raw<'a>>,
        x_groq: Option<Groq<'a>>,
        error: Option<Raw<'a>>,
        /// Read only where `object` is `error`.
        message: Option<Raw<'a>>,
    }

    struct Choice<'a> {
        index: Option<u64>,
        /// What a chunk adds. In whole replies Perplexity sends an empty one beside `message`.
        delta: Option<Said<'a>>,
        finish_reason: Option<Str<'a>>,
        native_finish_reason: Option<Str<'a>>,
    }

    /// Groq tells usage here, whether it was asked or not.
    struct Groq<'a> {
        usage: Option<Raw<'a>>,
    }
}

impl Decode for Decoder {
    fn frame(&mut self, frame: &Frame<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        self.extra = false;
        if self.at == At::Over {
            return Ok(());
        }
        match frame.data.as_deref().map(str::trim) {
            None | Some("") => events.push(Event::Ping),
            Some("[DONE]") => self.done(events),
            Some(data) if frame.event == Some("error") => self.fail(named_error(data), events),
            Some(data) => {
                let chunk = json::parse(data).map_err(|error| malformed("chunk", &error))?;
                self.chunk(&chunk, events)?;
            }
        }
        Ok(())
    }

    /// A body that ends after the finish reason is complete: not every server says `[DONE]`.
    fn finish(&mut self, events: &mut Vec<Event>) {
        if self.stop.is_some() {
            self.done(events);
        }
    }

    fn is_extra(&self) -> bool {
        self.extra
    }

    fn knows_more(&self) -> bool {
        self.stop.is_some() || self.refused || !self.calls.is_empty()
    }
}

impl Decoder {
    pub fn by(usage: &Rule) -> Self {
        Self { rule: usage.clone(), ..Self::default() }
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        if let Some(error) = chunk.error {
            self.fail(Fault::read(error), events);
            return Ok(());
        }
        if of(&chunk.object) == "error" {
            self.fail(Fault { kind: None, message: chunk.message.and_then(text) }, events);
            return Ok(());
        }
        let choices = chunk.choices.as_deref().unwrap_or_default();
        let usage = chunk.usage.or_else(|| chunk.x_groq.as_ref()?.usage);
        let usage = usage.and_then(|usage| read_usage(usage, &self.rule));
        if choices.is_empty() && usage.is_none() {
            // Azure opens with such a chunk, which has no id yet.
            return Ok(());
        }
        self.start(of(&chunk.id), of(&chunk.model), events);
        // With `n` > 1 the other answers are left out; the canonical form has one.
        for choice in choices.iter().filter(|choice| choice.index.unwrap_or(0) == 0) {
            if self.at == At::Stopped {
                break;
            }
            if let Some(said) = &choice.delta {
                self.said(said, events)?;
            }
            self.finish_reason(of(&choice.finish_reason), of(&choice.native_finish_reason));
        }
        if choices.is_empty() {
            self.extra = true;
            if self.stop.is_some() {
                self.stop(events);
            }
        }
        if let Some(usage) = usage.filter(|usage| self.usage != Some(*usage)) {
            self.usage = Some(usage);
            events.push(Event::Usage(usage));
        }
        Ok(())
    }

    fn start(&mut self, id: &str, model: &str, events: &mut Vec<Event>) {
        if self.at == At::Before {
            self.at = At::Telling;
            // The end of an id differs more than its start.
            let tag: Vec<char> = id.chars().filter(char::is_ascii_alphanumeric).collect();
            self.tag = tag.iter().skip(tag.len().saturating_sub(TAG_CHARS)).collect();
            events.push(Event::Start { id: id.to_owned(), model: model.to_owned() });
        }
    }

    /// The finish reason is only noted: OpenRouter repeats it in the next chunk, and Together has been seen
    /// to send one tool call's after the other's.
    fn finish_reason(&mut self, finish_reason: &str, native: &str) {
        if !finish_reason.is_empty() {
            let native = if native.is_empty() { finish_reason } else { native };
            self.stop = Some(chat::Stop {
                reason: stop_reason(finish_reason),
                native: Some(native.to_owned()),
                sequence: None,
            });
        }
    }

    fn done(&mut self, events: &mut Vec<Event>) {
        if matches!(self.at, At::Before | At::Over) {
            return;
        }
        self.stop(events);
        self.at = At::Over;
        events.push(Event::End);
    }

    /// Tells what still waits, and then why the model stopped.
    fn stop(&mut self, events: &mut Vec<Event>) {
        if self.at != At::Telling {
            return;
        }
        self.flush(events);
        self.close(events);
        let called = self.calls.iter().any(|call| call.state == CallState::Closed);
        let mut stop = self.stop.clone().unwrap_or_default();
        stop.reason = match stop.reason {
            // Some servers say "stop" after tool calls; and who waits for calls that never came waits for ever.
            StopReason::EndTurn if called => StopReason::ToolUse,
            StopReason::ToolUse if !called => StopReason::EndTurn,
            // OpenAI's own finish reason of a refusal.
            StopReason::EndTurn if self.refused => StopReason::Filtered,
            reason => reason,
        };
        self.at = At::Stopped;
        events.push(Event::Stop(stop));
    }

    fn fail(&mut self, fault: Fault, events: &mut Vec<Event>) {
        self.at = At::Over;
        let message = fault.message.unwrap_or_else(|| "the upstream failed without saying why".to_owned());
        events.push(Event::Error { kind: fault.kind, message });
    }

    fn said(&mut self, said: &Said<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        self.reasoned(said, events)?;
        match &said.content {
            None => {}
            Some(TextOr::Text(text)) => self.tell(Piece::text(text), events)?,
            Some(TextOr::Parts(parts)) => {
                for part in parts {
                    match &part.thinking {
                        None => {}
                        Some(TextOr::Text(text)) => self.tell(Piece::thought(text), events)?,
                        Some(TextOr::Parts(thoughts)) => {
                            for thought in thoughts {
                                self.tell(Piece::thought(of(&thought.text)), events)?;
                            }
                        }
                    }
                    self.tell(Piece::text(of(&part.text)), events)?;
                }
            }
        }
        let refusal = of(&said.refusal);
        self.refused |= !refusal.is_empty();
        self.tell(Piece::text(refusal), events)?;
        for call in said.tool_calls.iter().flatten() {
            self.call(call, events)?;
        }
        Ok(())
    }

    /// Details win over the plain string, which says the same without proof.
    fn reasoned(&mut self, said: &Said<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let details = said.reasoning_details.as_deref().unwrap_or_default();
        let plain = said.plain_reasoning();
        if details.iter().all(|detail| detail.text().is_empty()) {
            self.tell(Piece::Reasoning { text: plain.to_owned(), plain: true }, events)?;
        }
        for detail in details {
            let shape = detail.shape();
            // After plain strings, a detail that brings the proof repeats the text for whoever replays it.
            let repeats = plain.is_empty()
                && shape.told().is_some()
                && matches!(self.open, Open::Reasoning { plain: true, signed: false });
            let text = if repeats { "" } else { detail.text() };
            if shape.data.is_empty() {
                self.tell(Piece::detail(text, shape), events)?;
                continue;
            }
            if !text.is_empty() || !shape.signature.is_empty() {
                let open = Shape { data: Cow::Borrowed(""), ..shape.clone() };
                self.tell(Piece::detail(text, open), events)?;
            }
            let sealed = Shape { signature: Cow::Borrowed(""), ..shape };
            self.tell(Piece::Sealed(sealed.told().unwrap_or_default()), events)?;
        }
        Ok(())
    }

    /// Tells `piece` now, or lets it wait for the open tool call to end.
    fn tell(&mut self, piece: Piece, events: &mut Vec<Event>) -> Result<(), Malformed> {
        if piece.is_empty() {
            return Ok(());
        }
        if self.waiting.is_empty() && self.may_close() {
            self.emit(piece, events);
            return Ok(());
        }
        self.hold(piece.bytes())?;
        match (self.waiting.back_mut(), piece) {
            (Some(Piece::Text(held)), Piece::Text(text)) => held.push_str(&text),
            (Some(Piece::Reasoning { text: held, plain: was }), Piece::Reasoning { text, plain }) if *was == plain => {
                held.push_str(&text);
            }
            (Some(Piece::Detail { text: held, shape: was }), Piece::Detail { text, shape })
                if was.goes_on_in(&shape) && (was.signature.is_empty() || text.is_empty()) =>
            {
                held.push_str(&text);
                was.add(shape);
            }
            (_, piece) => self.waiting.push_back(piece),
        }
        self.advance(events);
        Ok(())
    }

    fn call(&mut self, piece: &CallPiece<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let name = piece.function.as_ref().map_or("", |function| of(&function.name));
        let arguments = piece.function.as_ref().map(|function| function.arguments()).unwrap_or_default();
        let at = self.place(piece.index, of(&piece.id), name)?;
        let Some(call) = self.calls.get_mut(at) else { return Ok(()) };
        if call.state == CallState::Waiting {
            if call.id.is_empty() {
                of(&piece.id).clone_into(&mut call.id);
            }
            // The first one counts: servers that repeat a name send it whole each time.
            if call.name.is_empty() {
                name.clone_into(&mut call.name);
            }
        }
        match call.state {
            CallState::Open => {
                call.arguments.feed(&arguments);
                if !arguments.is_empty() {
                    events.push(Event::Arguments(arguments.into_owned()));
                }
            }
            CallState::Waiting => {
                call.held.push_str(&arguments);
                self.hold(arguments.len())?;
            }
            // It was closed because its arguments were whole; some servers then send them again.
            CallState::Closed => {}
        }
        self.advance(events);
        Ok(())
    }

    /// Which call a piece belongs to; a new one if need be.
    fn place(&mut self, index: Option<u64>, id: &str, name: &str) -> Result<usize, Malformed> {
        let known = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index),
            None if id.is_empty() && name.is_empty() => self.calls.len().checked_sub(1),
            None if id.is_empty() => None,
            None => self.calls.iter().rposition(|call| call.id == id),
        };
        // Gemini's compatible endpoint gives every call the index 0.
        let another = |call: &Call| !id.is_empty() && !name.is_empty() && !call.id.is_empty() && call.id != id;
        if let Some(at) = known
            && !self.calls.get(at).is_some_and(another)
        {
            return Ok(at);
        }
        if self.calls.len() >= CALLS_MAX {
            return Err(Malformed(format!("choices[0].delta.tool_calls: more than {CALLS_MAX}")));
        }
        let at = self.calls.len();
        self.calls.push(Call { index, ..Call::default() });
        self.waiting.push_back(Piece::Call(at));
        Ok(at)
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.held_bytes += bytes;
        if self.held_bytes > HELD_BYTES_MAX {
            return Err(Malformed(format!(
                "choices[0].delta: more than {HELD_BYTES_MAX} bytes behind an open tool call"
            )));
        }
        Ok(())
    }

    /// Whether another block may begin: only a tool call's unfinished arguments stand in its way.
    fn may_close(&self) -> bool {
        match self.open {
            Open::Call(at) => self.calls.get(at).is_none_or(|call| call.arguments.are_whole()),
            Open::Nothing | Open::Text | Open::Reasoning { .. } => true,
        }
    }

    /// Tells what waits, as far as that may be told now.
    fn advance(&mut self, events: &mut Vec<Event>) {
        while self.may_close() {
            match self.waiting.front() {
                Some(Piece::Call(at)) if self.calls.get(*at).is_some_and(Call::is_nameless) => return,
                Some(_) => {}
                None => return,
            }
            if let Some(piece) = self.waiting.pop_front() {
                self.held_bytes = self.held_bytes.saturating_sub(piece.bytes());
                self.emit(piece, events);
            }
        }
    }

    /// Tells all that waits: the answer is over.
    fn flush(&mut self, events: &mut Vec<Event>) {
        while let Some(piece) = self.waiting.pop_front() {
            self.emit(piece, events);
        }
    }

    fn emit(&mut self, piece: Piece, events: &mut Vec<Event>) {
        match piece {
            Piece::Text(text) => {
                if self.open != Open::Text {
                    self.enter(Open::Text, chat::Block::Text, events);
                }
                events.push(Event::Text(text));
            }
            Piece::Reasoning { text, plain } => {
                // A signature ends its block.
                if !matches!(self.open, Open::Reasoning { signed: false, .. }) {
                    self.enter(Open::Reasoning { signed: false, plain }, chat::Block::Reasoning, events);
                }
                events.push(Event::Reasoning(text));
            }
            Piece::Detail { text, shape } => {
                // A signature ends its block.
                let goes_on = match self.open {
                    Open::Reasoning { signed, .. } => (!signed || text.is_empty()) && self.shape.goes_on_in(&shape),
                    Open::Nothing | Open::Text | Open::Call(_) => false,
                };
                if !goes_on {
                    // The shape of an entry alone says nothing.
                    if text.is_empty() && shape.signature.is_empty() {
                        return;
                    }
                    let open = Open::Reasoning { signed: false, plain: false };
                    self.enter(open, chat::Block::Reasoning, events);
                }
                if !text.is_empty() {
                    events.push(Event::Reasoning(text));
                }
                if !shape.signature.is_empty() {
                    self.open = Open::Reasoning { signed: true, plain: false };
                }
                self.shape.add(shape);
            }
            Piece::Sealed(sealed) => {
                self.close(events);
                events.extend([Event::Open(chat::Block::SealedReasoning(sealed)), Event::Close]);
            }
            Piece::Call(at) => self.emit_call(at, events),
        }
    }

    fn emit_call(&mut self, at: usize, events: &mut Vec<Event>) {
        // Some servers send an entry that never says anything.
        if self.calls.get(at).is_none_or(|call| call.name.is_empty() && call.held.is_empty()) {
            return;
        }
        self.close(events);
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.id.is_empty() {
            call.id = format!("call_{}_{at}", self.tag);
        }
        call.state = CallState::Open;
        self.open = Open::Call(at);
        events.push(Event::Open(chat::Block::ToolCall {
            id: call.id.clone(),
            name: call.name.clone(),
            signature: None,
        }));
        if !call.held.is_empty() {
            call.arguments.feed(&call.held);
            self.held_bytes = self.held_bytes.saturating_sub(call.held.len());
            events.push(Event::Arguments(std::mem::take(&mut call.held)));
        }
    }

    fn enter(&mut self, open: Open, block: chat::Block, events: &mut Vec<Event>) {
        self.close(events);
        self.open = open;
        events.push(Event::Open(block));
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if let Open::Call(at) = self.open
            && let Some(call) = self.calls.get_mut(at)
        {
            call.state = CallState::Closed;
        }
        if self.open != Open::Nothing {
            self.open = Open::Nothing;
            events.extend(std::mem::take(&mut self.shape).told().map(Event::Signature));
            events.push(Event::Close);
        }
    }
}

impl Call {
    /// Without a name nobody can be called. A missing id is waited for only as long as nothing else came.
    fn is_nameless(&self) -> bool {
        self.name.is_empty() || (self.id.is_empty() && self.held.is_empty())
    }
}

impl Piece {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    fn thought(text: &str) -> Self {
        Self::Reasoning { text: text.to_owned(), plain: false }
    }

    fn detail(text: &str, shape: Shape<'_>) -> Self {
        let Shape { kind, signature, data, format, id, index } = shape;
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let (kind, signature, data) = (own(kind), own(signature), own(data));
        let shape = Shape { kind, signature, data, format: own(format), id: own(id), index };
        Self::Detail { text: text.to_owned(), shape }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Reasoning { text, .. } | Self::Sealed(text) => text.len(),
            Self::Detail { text, shape } => text.len().saturating_add(shape.bytes()),
            Self::Call(_) => 0,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Detail { text, shape } => text.is_empty() && shape.told().is_none(),
            piece => piece.bytes() == 0,
        }
    }
}

/// Finds the end of a call's arguments without parsing them.
#[derive(Debug, Default)]
struct Arguments {
    depth: u32,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Arguments {
    fn feed(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => {
                    self.begun = true;
                    self.depth = self.depth.saturating_add(1);
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn are_whole(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

/// An error in a frame that is named so: its `data` may have any shape.
fn named_error(data: &str) -> Fault {
    objects! {
        struct Wire<'a> {
            error: Option<Raw<'a>>,
        }
    }
    match json::parse::<Raw<'_>>(data) {
        Ok(raw) => {
            let inner = json::parse::<Wire<'_>>(data).ok().and_then(|wire| wire.error);
            Fault::read(inner.unwrap_or(raw))
        }
        Err(_) => Fault { kind: None, message: Some(data.to_owned()) },
    }
}

objects! {
    struct Reply<'a> {
        id: Option<Str<'a>>,
        model: Option<Str<'a>>,
        choices: Option<Vec<ReplyChoice<'a>>>,
        usage: Option<Raw<'a>>,
    }

    struct ReplyChoice<'a> {
        index: Option<u64>,
        /// Absent where Azure filtered everything.
        message: Option<Said<'a>>,
        finish_reason: Option<Str<'a>>,
        native_finish_reason: Option<Str<'a>>,
    }
}

/// Reads a whole `chat.completion`.
pub fn read_response(body: &[u8], usage: &Rule) -> Result<chat::Response, Malformed> {
    let reply: Reply<'_> = json::read(body).map_err(|error| malformed("reply", &error))?;
    let choices = reply.choices.ok_or_else(|| Malformed("choices: missing".to_owned()))?;
    let choice = choices
        .iter()
        .find(|choice| choice.index == Some(0))
        .or(choices.first())
        .ok_or_else(|| Malformed("choices: empty".to_owned()))?;
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    decoder.start(of(&reply.id), of(&reply.model), &mut events);
    if let Some(message) = &choice.message {
        decoder.said(message, &mut events)?;
    }
    decoder.finish_reason(of(&choice.finish_reason), of(&choice.native_finish_reason));
    decoder.done(&mut events);
    let mut response = chat::Response::from_events(events);
    response.usage = reply.usage.and_then(|told| read_usage(told, usage));
    Ok(response)
}

/// Says where, and what was due; never what stood there.
fn malformed(what: &str, error: &json::Error) -> Malformed {
    Malformed(format!("{what}: {error}"))
}
