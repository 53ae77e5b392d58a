//! Reads answers: the events of a stream, and a whole response.
//!
//! Items are known by their `output_index`, since some servers send another `item_id` with every event. One item's
//! events go out at once; those of a second that begins before it is done wait for it. The finished item has the last
//! word: what no delta told is told then, and servers that send no deltas are read by it alone.

use std::borrow::Cow;

use super::Encoder;
use super::answer::{Fault, Item, ItemKind, Whole, read, text};
use crate::chat::{Block, Content, Event, Part, Response, ToolCall};
use crate::dialect::{Decode, Encode as _, Malformed};
use crate::error::Error;
use crate::wire::frame::Frame;
use crate::wire::json::{self, Raw, objects, quoted};

/// Events of items that wait for another.
const WAITING_MAX: usize = 100_000;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    started: bool,
    over: bool,
    /// Unfinished items in the order they began, and finished ones that wait for the first of these.
    items: Vec<Telling>,
    /// Whether any block was told, here or among those that wait.
    told: bool,
    called: bool,
    refused: bool,
    waiting: usize,
    heard: Heard,
}

/// What a frame that we add to the upstream's own has to go on with.
#[derive(Debug, Default)]
struct Heard {
    id: String,
    model: String,
    /// The number that the next event has; 0 where the upstream does not count.
    sequence: u64,
}

/// One item while it is told.
#[derive(Debug)]
struct Telling {
    index: u64,
    kind: ItemKind,
    is_open: bool,
    is_done: bool,
    /// Which part of the item was last told, by list and index, and how many bytes of it.
    part: Option<(&'static str, u64)>,
    part_bytes: usize,
    events: Vec<Event>,
}

objects! {
    #[derive(Debug)]
    struct Wire<'a> {
        kind as "type": Option<Raw<'a>>,
        response: Option<Raw<'a>>,
        item: Option<Raw<'a>>,
        delta: Option<Raw<'a>>,
        error: Option<Raw<'a>>,
        output_index: Option<u64>,
        content_index: Option<u64>,
        summary_index: Option<u64>,
        sequence_number: Option<Raw<'a>>,
    }
}

impl Decode for Decoder {
    fn frame(&mut self, frame: &Frame<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let Some(data) = frame.data.as_deref().map(str::trim) else {
            // A comment keeps the connection alive, ours too. Nothing comes after the end.
            events.extend((!self.over).then_some(Event::Ping));
            return Ok(());
        };
        // Some servers end as Chat Completions does; `response.completed` came before.
        if self.over || data.is_empty() || data == "[DONE]" {
            return Ok(());
        }
        let wire: Wire<'_> = json::parse(data).map_err(|error| Malformed(format!("an event: {error}")))?;
        if let Some(sequence) = wire.sequence_number.and_then(|raw| raw.get().parse::<u64>().ok()) {
            self.heard.sequence = sequence.saturating_add(1);
        }
        let kind = wire.kind.and_then(text).unwrap_or(Cow::Borrowed(frame.event.unwrap_or_default()));
        match &*kind {
            "response.created" | "response.in_progress" | "response.queued" => self.start(&whole(&wire)?, events),
            "response.output_item.added" => self.added(&wire, events)?,
            "response.output_item.done" => self.done(&wire, events)?,
            "response.output_text.delta" | "response.refusal.delta" => {
                self.refused |= &*kind == "response.refusal.delta";
                let part = ("content", wire.content_index.unwrap_or_default());
                self.delta(&wire, ItemKind::Message, part, events)?;
            }
            "response.reasoning_summary_text.delta" => {
                let part = ("summary", wire.summary_index.unwrap_or_default());
                self.delta(&wire, ItemKind::Reasoning, part, events)?;
            }
            "response.reasoning_text.delta" => {
                let part = ("content", wire.content_index.unwrap_or_default());
                self.delta(&wire, ItemKind::Reasoning, part, events)?;
            }
            "response.function_call_arguments.delta" => {
                self.delta(&wire, ItemKind::Function, ("arguments", 0), events)?;
            }
            "response.custom_tool_call_input.delta" => self.delta(&wire, ItemKind::Custom, ("input", 0), events)?,
            "response.completed" | "response.incomplete" | "response.done" => self.end(&whole(&wire)?, events)?,
            "response.failed" | "response.cancelled" => {
                let response = whole(&wire)?;
                events.extend(response.usage().filter(|_| self.started).map(Event::Usage));
                self.fail(response.fault().unwrap_or_default(), events);
            }
            // OpenAI documents the fault in the event itself, and sends it in `error`.
            "error" => {
                let fault = wire.error.map(Fault::read);
                self.fail(fault.unwrap_or_else(|| of(data)), events);
            }
            _ if wire.error.is_some_and(|error| error.get() != "null") => {
                self.fail(wire.error.map(Fault::read).unwrap_or_default(), events);
            }
            // What the finished item says once more.
            "response.output_text.done"
            | "response.output_text.annotation.added"
            | "response.refusal.done"
            | "response.content_part.added"
            | "response.content_part.done"
            | "response.reasoning_summary_part.added"
            | "response.reasoning_summary_part.done"
            | "response.reasoning_summary_text.done"
            | "response.reasoning_text.done"
            | "response.function_call_arguments.done"
            | "response.custom_tool_call_input.done" => {}
            // A tool that the provider runs makes progress, or nothing does: the upstream is alive.
            _ => events.push(Event::Ping),
        }
        if self.waiting > WAITING_MAX {
            return Err(Malformed("an item is never done while others are told".to_owned()));
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Event>) {}

    /// Items besides the one that is told wait for it.
    fn knows_more(&self) -> bool {
        self.called || self.refused || self.items.len() > 1
    }

    fn failure(&self, error: &Error) -> Option<Vec<u8>> {
        let Heard { id, model, sequence } = &self.heard;
        Some(Encoder::after(id, model, *sequence).failure(error).unwrap_or_default())
    }
}

fn whole<'a>(wire: &Wire<'a>) -> Result<Whole<'a>, Malformed> {
    wire.response.map_or_else(|| Ok(Whole::default()), |raw| read(raw, "response"))
}

/// The fault in the fields of the event itself.
fn of(data: &str) -> Fault {
    let fault = json::parse::<Raw<'_>>(data).map(Fault::read).unwrap_or_default();
    Fault { code: fault.code.filter(|code| code != "error"), ..fault }
}

impl Decoder {
    fn start(&mut self, response: &Whole<'_>, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            (self.heard.id, self.heard.model) = (response.id(), response.model());
            events.push(Event::Start { id: self.heard.id.clone(), model: self.heard.model.clone() });
        }
    }

    fn added(&mut self, wire: &Wire<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let Some(raw) = wire.item else { return Ok(()) };
        self.start(&Whole::default(), events);
        let item: Item<'_> = read(raw, "item")?;
        let Some(kind) = item.kind() else {
            events.push(Event::Ping);
            return Ok(());
        };
        let at = self.telling(self.index(wire), kind);
        if matches!(kind, ItemKind::Function | ItemKind::Custom) && !item.name().is_empty() {
            self.call(at, &item, events);
        }
        Ok(())
    }

    fn index(&self, wire: &Wire<'_>) -> u64 {
        // A server that does not count tells one item after the other.
        wire.output_index.or_else(|| self.items.last().map(|telling| telling.index)).unwrap_or_default()
    }

    /// Where the unfinished item stands in `items`.
    fn telling(&mut self, index: u64, kind: ItemKind) -> usize {
        let known = |telling: &Telling| telling.index == index && telling.kind == kind && !telling.is_done;
        if let Some(at) = self.items.iter().position(known) {
            return at;
        }
        let (is_open, is_done, part, part_bytes, events) = (false, false, None, 0, Vec::new());
        self.items.push(Telling { index, kind, is_open, is_done, part, part_bytes, events });
        self.items.len() - 1
    }

    fn call(&mut self, at: usize, item: &Item<'_>, events: &mut Vec<Event>) {
        let Some(telling) = self.items.get_mut(at).filter(|telling| !telling.is_open) else { return };
        self.called = true;
        telling.is_open = true;
        let is_custom = telling.kind == ItemKind::Custom;
        self.tell(at, Event::Open(Block::ToolCall { id: item.call_id(), name: item.name(), signature: None }), events);
        if is_custom {
            self.tell(at, Event::Arguments("{\"input\":\"".to_owned()), events);
        }
    }

    fn delta(
        &mut self,
        wire: &Wire<'_>,
        kind: ItemKind,
        part: (&'static str, u64),
        events: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let Some(delta) = wire.delta.and_then(text).filter(|delta| !delta.is_empty()) else { return Ok(()) };
        self.start(&Whole::default(), events);
        let at = self.telling(self.index(wire), kind);
        let is_call = matches!(kind, ItemKind::Function | ItemKind::Custom);
        if is_call && self.items.get(at).is_none_or(|telling| !telling.is_open) {
            // A call whose name is still to come is told when it is done.
            return Ok(());
        }
        self.say(at, part, &delta, events);
        Ok(())
    }

    /// Adds to a part of an item, and opens or changes the block for it as needed.
    fn say(&mut self, at: usize, part: (&'static str, u64), words: &str, events: &mut Vec<Event>) {
        let Some(telling) = self.items.get_mut(at).filter(|_| !words.is_empty()) else { return };
        let changes = telling.part.replace(part).is_some_and(|before| before != part);
        telling.part_bytes = if changes { words.len() } else { telling.part_bytes.saturating_add(words.len()) };
        let was_open = std::mem::replace(&mut telling.is_open, true);
        match telling.kind {
            ItemKind::Message => {
                if was_open && changes {
                    self.tell(at, Event::Close, events);
                }
                if !was_open || changes {
                    self.tell(at, Event::Open(Block::Text), events);
                }
                self.tell(at, Event::Text(words.to_owned()), events);
            }
            ItemKind::Reasoning => {
                if !was_open {
                    self.tell(at, Event::Open(Block::Reasoning), events);
                }
                let words = if changes { format!("\n\n{words}") } else { words.to_owned() };
                self.tell(at, Event::Reasoning(words), events);
            }
            ItemKind::Function => self.tell(at, Event::Arguments(words.to_owned()), events),
            ItemKind::Custom => {
                let quoted = quoted(words);
                let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
                self.tell(at, Event::Arguments(inner.to_owned()), events);
            }
        }
    }

    /// The first item's events go out; others wait.
    fn tell(&mut self, at: usize, event: Event, events: &mut Vec<Event>) {
        self.told = true;
        match self.items.get_mut(at) {
            Some(telling) if at > 0 => {
                telling.events.push(event);
                self.waiting = self.waiting.saturating_add(1);
            }
            _ => events.push(event),
        }
    }

    fn done(&mut self, wire: &Wire<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let Some(raw) = wire.item else { return Ok(()) };
        self.start(&Whole::default(), events);
        self.item(self.index(wire), &read(raw, "item")?, events);
        Ok(())
    }

    /// Tells what is left of an item, and ends it.
    fn item(&mut self, index: u64, item: &Item<'_>, events: &mut Vec<Event>) {
        let Some(kind) = item.kind() else {
            events.push(Event::Ping);
            return;
        };
        let at = self.telling(index, kind);
        match kind {
            ItemKind::Message => {
                for (index, (words, refused)) in item.words().into_iter().enumerate() {
                    self.refused |= refused && !words.is_empty();
                    self.say_rest(at, ("content", index as u64), &words, events);
                }
            }
            ItemKind::Reasoning => {
                if self.items.get(at).is_some_and(|telling| !telling.is_open) {
                    self.say(at, ("summary", 0), &item.thoughts(), events);
                }
                let is_open = self.items.get(at).is_some_and(|telling| telling.is_open);
                match item.sealed() {
                    Some(sealed) if is_open => self.tell(at, Event::Signature(sealed), events),
                    Some(sealed) => {
                        self.tell(at, Event::Open(Block::SealedReasoning(sealed)), events);
                        self.open(at);
                    }
                    None => {}
                }
            }
            ItemKind::Function => {
                self.call(at, item, events);
                self.say_rest(at, ("arguments", 0), &item.argument(), events);
            }
            ItemKind::Custom => {
                self.call(at, item, events);
                self.say_rest(at, ("input", 0), &item.argument(), events);
            }
        }
        self.finish_item(at, events);
    }

    fn open(&mut self, at: usize) {
        if let Some(telling) = self.items.get_mut(at) {
            telling.is_open = true;
        }
    }

    /// Parts come in order: those before the last one told are told.
    fn say_rest(&mut self, at: usize, part: (&'static str, u64), words: &str, events: &mut Vec<Event>) {
        let Some(telling) = self.items.get(at) else { return };
        let from = match telling.part {
            Some((_, last)) if part.1 < last => return,
            Some((_, last)) if part.1 == last => telling.part_bytes,
            _ => 0,
        };
        self.say(at, part, words.get(from..).unwrap_or_default(), events);
    }

    fn finish_item(&mut self, at: usize, events: &mut Vec<Event>) {
        let Some(telling) = self.items.get_mut(at) else { return };
        telling.is_done = true;
        let (is_open, is_custom) = (telling.is_open, telling.kind == ItemKind::Custom);
        if is_custom && is_open {
            self.tell(at, Event::Arguments("\"}".to_owned()), events);
        }
        if is_open {
            self.tell(at, Event::Close, events);
        }
        // The next ones, as far as they have come.
        while self.items.first().is_some_and(|first| first.is_done) {
            self.items.remove(0);
            if let Some(next) = self.items.first_mut() {
                self.waiting = self.waiting.saturating_sub(next.events.len());
                events.append(&mut next.events);
            }
        }
    }

    fn end(&mut self, response: &Whole<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        self.start(response, events);
        while let Some(at) = self.items.iter().position(|telling| !telling.is_done) {
            self.finish_item(at, events);
        }
        if !self.told {
            self.output(response, events)?;
        }
        self.over = true;
        // Some servers stream a failure as an end.
        if let Some(fault) = response.fault() {
            self.fail(fault, events);
            return Ok(());
        }
        events.push(Event::Stop(response.stop(self.called, self.refused)));
        events.extend(response.usage().map(Event::Usage));
        events.push(Event::End);
        Ok(())
    }

    /// Tells the whole output.
    fn output(&mut self, response: &Whole<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        for (index, raw) in response.output.iter().flatten().enumerate() {
            self.item(index as u64, &read(*raw, &format!("output[{index}]"))?, events);
        }
        Ok(())
    }

    fn fail(&mut self, fault: Fault, events: &mut Vec<Event>) {
        self.over = true;
        let message = fault.message.unwrap_or_else(|| "the upstream failed without saying why".to_owned());
        events.push(Event::Error { kind: fault.code, message });
    }
}

/// Reads a whole response.
pub fn read_response(body: &[u8]) -> Result<Response, Malformed> {
    let wire: Whole<'_> = json::read(body).map_err(|error| Malformed(error.to_string()))?;
    if wire.output.is_none() {
        return Err(Malformed("output: missing".to_owned()));
    }
    if let Some(fault) = wire.fault() {
        return Err(Malformed(format!("error: {}", fault.message.unwrap_or_default())));
    }
    match &*wire.status() {
        "queued" | "in_progress" => return Err(Malformed("status: the answer is still to be made".to_owned())),
        "failed" | "cancelled" => return Err(Malformed("status: the answer failed".to_owned())),
        _ => {}
    }
    let mut decoder = Decoder { started: true, ..Decoder::default() };
    let mut events = Vec::new();
    decoder.output(&wire, &mut events)?;
    let mut parts = parts(events);
    if let Some(text) = wire.thoughts() {
        parts.insert(0, Part::new(Content::Reasoning { text, signature: None }));
    }
    Ok(Response {
        id: wire.id(),
        model: wire.model(),
        parts,
        stop: wire.stop(decoder.called, decoder.refused),
        usage: wire.usage(),
    })
}

fn parts(events: Vec<Event>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for event in events {
        let last = parts.last_mut().map(|part| &mut part.content);
        match (event, last) {
            (Event::Open(block), _) => parts.push(Part::new(match block {
                Block::Text => Content::Text(String::new()),
                Block::Reasoning => Content::Reasoning { text: String::new(), signature: None },
                Block::SealedReasoning(sealed) => Content::SealedReasoning(sealed),
                Block::ToolCall { id, name, signature } => {
                    Content::ToolCall(ToolCall { id, name, arguments: String::new(), signature })
                }
            })),
            (Event::Text(words), Some(Content::Text(text))) => text.push_str(&words),
            (Event::Reasoning(words), Some(Content::Reasoning { text, .. })) => text.push_str(&words),
            (Event::Signature(proof), Some(Content::Reasoning { signature, .. })) => *signature = Some(proof),
            (Event::Arguments(words), Some(Content::ToolCall(call))) => call.arguments.push_str(&words),
            _ => {}
        }
    }
    parts
}
