//! Writes the events of a stream.
//!
//! Every event has its full shape, and the last one repeats the whole output: some client refuses an answer for each
//! thing that is left out. Codex reads the finished items only, others the deltas only.

use std::sync::Arc;

use super::response::{About, Body, Item, ItemOut, PartOut, ResponseOut, State, UsageOut, whole};
use super::tools::{Called, Empty, unwrapped};
use crate::chat::{Block, Event, Request, Stop, Usage};
use crate::dialect::{Encode, Label};
use crate::error::{self, Error};
use crate::wire::json::{Write, written};

/// What was told is kept until the end, which repeats it, but no more than this: an item counts for its bytes and these.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
const ITEM_BYTES: usize = 256;

/// Writes a stream.
#[derive(Debug)]
pub struct Encoder {
    label: Label,
    request: Arc<Request>,
    id: String,
    model: String,
    sequence: u64,
    done: Vec<Item>,
    /// The place of the open item, or else of the next.
    index: usize,
    kept_bytes: usize,
    open: Option<Item>,
    stop: Stop,
    usage: Option<Usage>,
}

impl Encoder {
    pub fn new(label: Label) -> Self {
        Self {
            request: label.request.clone().unwrap_or_default(),
            id: label.id.clone(),
            label,
            model: String::new(),
            sequence: 0,
            done: Vec::new(),
            index: 0,
            kept_bytes: 0,
            open: None,
            stop: Stop::default(),
            usage: None,
        }
    }

    /// Goes on with a stream whose beginning another wrote.
    pub(super) fn after(id: &str, model: &str, sequence: u64) -> Self {
        Self { id: id.to_owned(), model: model.to_owned(), sequence, ..Self::new(Label::default()) }
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model } => {
                if !id.is_empty() {
                    self.id.clone_from(id);
                }
                self.model.clone_from(model);
                self.state("response.created", State::InProgress, out);
                self.state("response.in_progress", State::InProgress, out);
            }
            Event::Open(block) => self.open(block, out),
            Event::Text(words) => {
                let piece = Told { content_index: Some(0), logprobs: Some([]), ..Told::default() };
                self.delta("response.output_text.delta", piece, words, out);
            }
            Event::Reasoning(words) => {
                let piece = Told { summary_index: Some(0), ..Told::default() };
                self.delta("response.reasoning_summary_text.delta", piece, words, out);
            }
            Event::Arguments(words) => self.arguments(words, out),
            Event::Signature(signature) => {
                let is_kept = self.keep(signature.len());
                if let Some(item) = self.open.as_mut().filter(|_| is_kept) {
                    item.prove(signature);
                }
            }
            Event::Close => self.close(out),
            Event::Stop(stop) => self.stop = stop.clone(),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ping => self.ping(out),
            Event::Error { kind, message } => self.fail(code(kind.as_deref()), message, out),
            Event::End => {
                let state = State::of(self.stop.reason);
                self.state(state.event(), state, out);
            }
        }
    }

    fn failure(&mut self, error: &Error) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.fail(error_code(error), &error.message, &mut out);
        Some(out)
    }
}

impl Encoder {
    fn open(&mut self, block: &Block, out: &mut Vec<u8>) {
        let item = self.open.insert(Item::new(block, &self.label, self.index));
        let told = Told { item: Some(item.out(&self.request.tools, false)), ..Told::default() };
        write(&mut self.sequence, "response.output_item.added", Some(self.index), told, out);
        let part = match &item.body {
            Body::Message(_) => Told { content_index: Some(0), part: Some(PartOut::text("")), ..Told::default() },
            Body::Reasoning { text: Some(_), .. } => {
                Told { summary_index: Some(0), part: Some(PartOut::Summary { text: "" }), ..Told::default() }
            }
            Body::Reasoning { text: None, .. } | Body::Call { .. } => return,
        };
        let name = if part.content_index.is_some() {
            "response.content_part.added"
        } else {
            "response.reasoning_summary_part.added"
        };
        let told = Told { item_id: Some(&item.id), ..part };
        write(&mut self.sequence, name, Some(self.index), told, out);
    }

    fn delta(&mut self, name: &'static str, piece: Told<'_>, words: &str, out: &mut Vec<u8>) {
        let is_kept = self.keep(words.len());
        let Some(item) = self.open.as_mut().filter(|_| !words.is_empty()) else { return };
        if is_kept {
            item.push(words);
        }
        let told = Told { item_id: Some(&item.id), delta: Some(words), ..piece };
        write(&mut self.sequence, name, Some(self.index), told, out);
    }

    fn arguments(&mut self, words: &str, out: &mut Vec<u8>) {
        let Some(Item { body: Body::Call { name, .. }, .. }) = &self.open else { return };
        if !Called::find(&self.request.tools, name).is_custom {
            self.delta("response.function_call_arguments.delta", Told::default(), words, out);
            return;
        }
        // Free text is inside of JSON until that is whole.
        let is_kept = self.keep(words.len());
        if let Some(item) = self.open.as_mut().filter(|_| is_kept) {
            item.push(words);
        }
    }

    /// Whether so much more can be kept.
    fn keep(&mut self, bytes: usize) -> bool {
        self.kept_bytes = self.kept_bytes.saturating_add(bytes);
        self.kept_bytes <= KEPT_BYTES_MAX
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(item) = self.open.take() else { return };
        let index = Some(self.index);
        let input;
        let about = || Told { item_id: Some(&item.id), ..Told::default() };
        let mut tell = |name, told| write(&mut self.sequence, name, index, told, out);
        match &item.body {
            Body::Message(text) => {
                let part = Some(PartOut::text(text));
                let at = || Told { content_index: Some(0), ..about() };
                tell("response.output_text.done", Told { text: Some(text), logprobs: Some([]), ..at() });
                tell("response.content_part.done", Told { part, ..at() });
            }
            Body::Reasoning { text: Some(text), .. } => {
                let part = Some(PartOut::Summary { text });
                let at = || Told { summary_index: Some(0), ..about() };
                tell("response.reasoning_summary_text.done", Told { text: Some(text), ..at() });
                tell("response.reasoning_summary_part.done", Told { part, ..at() });
            }
            Body::Reasoning { text: None, .. } => {}
            Body::Call { name, arguments, .. } => {
                let Called { name, is_custom, .. } = Called::find(&self.request.tools, name);
                if is_custom {
                    input = unwrapped(arguments);
                    tell("response.custom_tool_call_input.delta", Told { delta: Some(&input), ..about() });
                    tell("response.custom_tool_call_input.done", Told { input: Some(&input), ..about() });
                } else {
                    let arguments = whole(arguments);
                    let told = Told { name: Some(name), arguments: Some(arguments), ..about() };
                    tell("response.function_call_arguments.done", told);
                }
            }
        }
        let told = Told { item: Some(item.out(&self.request.tools, true)), ..Told::default() };
        tell("response.output_item.done", told);
        self.index = self.index.saturating_add(1);
        if self.keep(ITEM_BYTES) {
            self.done.push(item);
        }
    }

    /// An event, since Codex takes a stream of comments for a silent one; of those that all clients know, the one that
    /// changes nothing. It leaves out what was asked, so that a flood of pings is not made a flood of tools.
    ///
    /// Sources: Menci/Floway#498; openai/openai-node#1964, for what OpenAI sends itself; read 2026-11.
    fn ping(&mut self, out: &mut Vec<u8>) {
        if self.sequence == 0 {
            // No event may stand before the first.
            out.extend_from_slice(b": ping\n\n");
            return;
        }
        let about = About { id: &self.id, model: &self.model, created: self.label.created, usage: None };
        let request = Request::default();
        let response = ResponseOut::new(about, State::InProgress, &[], &request);
        let told = Told { response: Some(response), ..Told::default() };
        write(&mut self.sequence, "response.in_progress", None, told, out);
    }

    fn fail(&mut self, code: &'static str, message: &str, out: &mut Vec<u8>) {
        self.state("response.failed", State::Failed { code, message }, out);
    }

    fn state(&mut self, name: &'static str, state: State<'_>, out: &mut Vec<u8>) {
        let response = self.response(state);
        let mut sequence = self.sequence;
        let told = Told { response: Some(response), ..Told::default() };
        write(&mut sequence, name, None, told, out);
        self.sequence = sequence;
    }

    fn response<'a>(&'a self, state: State<'a>) -> ResponseOut<'a> {
        let usage = match state {
            State::InProgress => None,
            State::Failed { .. } => self.usage.map(UsageOut::from),
            State::Completed | State::Incomplete(_) => Some(UsageOut::from(self.usage.unwrap_or_default())),
        };
        let about = About { id: &self.id, model: &self.model, created: self.label.created, usage };
        ResponseOut::new(about, state, &self.done, &self.request)
    }
}

/// The frame that ends a stream of which nothing is known here.
pub fn error_frame(error: &Error) -> Vec<u8> {
    Encoder::new(Label::default()).failure(error).unwrap_or_default()
}

/// What Codex acts upon; everything else is a fault of the server, after which it asks again.
///
/// Source: openai/codex, the client's reading of `response.failed`, read 2026-11.
fn code(native: Option<&str>) -> &'static str {
    match native.unwrap_or_default() {
        "context_length_exceeded" => "context_length_exceeded",
        "insufficient_quota" | "billing_error" => "insufficient_quota",
        "usage_not_included" => "usage_not_included",
        "rate_limit_exceeded" | "rate_limit_error" | "RESOURCE_EXHAUSTED" | "429" => "rate_limit_exceeded",
        _ => "server_error",
    }
}

fn error_code(error: &Error) -> &'static str {
    match error.kind {
        error::Kind::RateLimited | error::Kind::Upstream(429) => "rate_limit_exceeded",
        error::Kind::SpendCapReached | error::Kind::Upstream(402) => "insufficient_quota",
        _ => "server_error",
    }
}

fn write(sequence: &mut u64, name: &'static str, index: Option<usize>, told: Told<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let start = out.len();
    Told { kind: name, sequence_number: *sequence, output_index: index, ..told }.write(out);
    // Schemas that are repeated keep the caller's own text, which may be lines; a line would end the data.
    for byte in out.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
    out.extend_from_slice(b"\n\n");
    *sequence = sequence.saturating_add(1);
}

written! {
    /// Every event: those that have a field say so.
    #[derive(Default)]
    struct Told<'a> {
        kind as "type": &'static str,
        sequence_number: u64,
        response?: Option<ResponseOut<'a>>,
        output_index?: Option<usize>,
        item_id?: Option<&'a str>,
        content_index?: Option<u64>,
        summary_index?: Option<u64>,
        item?: Option<ItemOut<'a>>,
        part?: Option<PartOut<'a>>,
        delta?: Option<&'a str>,
        text?: Option<&'a str>,
        name?: Option<&'a str>,
        arguments?: Option<&'a str>,
        input?: Option<&'a str>,
        logprobs?: Option<[Empty; 0]>,
    }
}
