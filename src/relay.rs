//! A streamed reply on its way: pull, translate, count. Pure and pushed; the host pumps it.
//!
//! Only whole frames go to the caller, so an error can always be said in a frame of its own. Between dialects the
//! bytes go through decoder, grammar and encoder; within one dialect they stay as they came, and the decoder only
//! listens. A reply is complete when its protocol said so, not when its body ended.

use std::pin::pin;

use bytes::Bytes;
use futures::future::{Either, select};

use crate::bill::Bill;
use crate::chat::{Event, Grammar, Response, Usage};
use crate::config::Patience;
use crate::dialect::{Decode, Dialect, Encode, Inbound, Label};
use crate::error::{Error, Kind};
use crate::host::{Broken, Host, Millis};
use crate::platform::{Platform, unwrap};
use crate::quirks::Reader;
use crate::record::{End, Record, Tally};
use crate::seal::{Seal, Sealer};
use crate::splice::Splice;
use crate::told::Told;
use crate::usage;
use crate::wire::array;
use crate::wire::frame::{FRAME_BYTES_MAX, Frame, Framing, Splitter, Unframed};

pub struct Relay {
    splitter: Splitter,
    /// Of the frames that the decoder reads.
    framing: Framing,
    /// Whether those are inside the frames that the body is made of.
    is_wrapped: bool,
    upstream: Dialect,
    decoder: Box<dyn Decode>,
    reader: Reader,
    /// What the upstream says that the answer cost.
    cost: Option<usage::Cost>,
    grammar: Grammar,
    /// `None` where the caller speaks the upstream's dialect.
    translator: Option<Translator>,
    caller: Inbound,
    /// How the caller gets frames.
    told: Framing,
    /// Whether a frame has gone out.
    begun: bool,
    usage_wanted: bool,
    meter: Meter,
    /// Bytes for the caller that wait for the first content.
    held: Vec<u8>,
    /// Bytes of the upstream that were taken in without a first content.
    waited_through: usize,
    failure: Option<Error>,
    /// The failure, where the caller has not been told of it because another may go on.
    untold: Option<Untold>,
    /// Whether what stood after the last whole frame has been taken in.
    is_drained: bool,
    patience: Patience,
    until: Millis,
    /// When the upstream last said something, or when waiting for it began.
    heard: Millis,
    /// When the caller was last told something.
    spoke: Millis,
    events: Vec<Event>,
}

/// What a relay is between.
pub struct Ends {
    pub upstream: Dialect,
    pub platform: Platform,
    pub reader: Reader,
    /// How it tells usage.
    pub usage: usage::Rule,
    pub framing: Framing,
    pub caller: Inbound,
    pub label: Label,
    pub seal: Seal,
    /// Tokens, for an upstream that does not tell.
    pub input_estimate: u64,
    pub patience: Patience,
    /// When the answer must have ended.
    pub until: Millis,
}

/// How much of the caller's answer the upstream is to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    Whole,
    /// The beginning at least: another may go on where it breaks off.
    Beginning,
    /// What another has left, see [`Relay::follow`].
    Rest,
}

/// What the time asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Tick {
    Wait,
    /// The caller has not been told anything for long: this frame is due.
    Beat(Vec<u8>),
    /// The upstream has been silent for too long.
    Idle,
}

/// From the upstream's dialect into the caller's.
struct Translator {
    told: Told,
    sealer: Sealer,
    writer: Writer,
}

enum Writer {
    Encoder(Box<dyn Encode>),
    Splice(Splice),
    /// The caller's stream is still another's.
    Waits(Vec<Event>),
}

/// Why the upstream failed.
enum Untold {
    /// By its own word.
    Word(Event),
    Ours(Error),
}

/// What a chunk became.
#[derive(Debug, PartialEq, Eq)]
pub enum Write {
    /// The chunk itself, as it is.
    Unchanged,
    Bytes(Vec<u8>),
    Nothing,
}

/// Why no more will be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The upstream's body ended cleanly, or its protocol's end was seen.
    Closed,
    Broken,
    /// Nothing came until the deadline.
    Idle,
    HungUp,
}

impl Relay {
    pub fn new(ends: Ends, now: Millis) -> Self {
        Self::of(Share::Whole, ends, now)
    }

    pub fn of(share: Share, ends: Ends, now: Millis) -> Self {
        let Ends { upstream, platform, reader, usage, framing, caller, label, seal, input_estimate, patience, until } =
            ends;
        let (usage_wanted, told_in) = (label.usage_wanted, label.framing);
        let is_wrapped = platform.wraps(framing);
        let translator = || Translator {
            told: Told::new(upstream, label.request.as_deref()),
            sealer: Sealer::new(seal, upstream, caller),
            writer: match share {
                Share::Whole => Writer::Encoder(caller.encoder(label)),
                Share::Beginning => Writer::Splice(Splice::new(caller.encoder(label))),
                Share::Rest => Writer::Waits(Vec::new()),
            },
        };
        let is_retold = Some(upstream) != caller.dialect() || reader.retells() || share != Share::Whole;
        Self {
            splitter: Splitter::new(framing),
            framing: if is_wrapped { Framing::Sse } else { framing },
            is_wrapped,
            decoder: upstream.decoder_by(&usage),
            grammar: Grammar::default(),
            translator: is_retold.then(translator),
            upstream,
            reader,
            cost: usage.cost,
            caller,
            told: told_in,
            begun: false,
            usage_wanted,
            meter: Meter { input_estimate, ..Meter::default() },
            held: Vec::new(),
            waited_through: 0,
            failure: None,
            untold: None,
            is_drained: false,
            patience,
            until,
            heard: now,
            spoke: now,
            events: Vec::new(),
        }
    }

    /// Takes one chunk of the upstream's body.
    pub fn feed(&mut self, chunk: &[u8], now: Millis) -> Write {
        self.heard = now;
        let mut splitter = std::mem::take(&mut self.splitter);
        let began_whole = splitter.is_empty();
        let mut out = Vec::new();
        let fed = splitter.feed(chunk, |frame| {
            if self.is_wrapped { self.wrapped(frame, &mut out) } else { self.frame(frame, &mut out) }
        });
        let ends_whole = splitter.is_empty();
        self.splitter = splitter;
        if let Err(why) = fed
            && !self.is_over()
        {
            let why = match why {
                Unframed::TooLong => "the upstream sent a frame without end",
                Unframed::Malformed => "the upstream sent a malformed frame",
            };
            self.fail(Error::new(Kind::BadUpstream, why), &mut out);
        }
        if self.translator.is_none() && !self.is_wrapped && began_whole && ends_whole && out.len() == chunk.len() {
            self.spoke = now;
            Write::Unchanged
        } else if out.is_empty() {
            Write::Nothing
        } else {
            self.spoke = now;
            Write::Bytes(out)
        }
    }

    /// Takes one chunk and keeps what it became until [`Self::take_held`]: for as long as another target may
    /// still answer.
    pub fn hold(&mut self, chunk: &[u8], now: Millis) {
        match self.feed(chunk, now) {
            Write::Unchanged => self.held.extend_from_slice(chunk),
            Write::Bytes(bytes) => self.held.extend_from_slice(&bytes),
            Write::Nothing => {}
        }
        self.waited_through = self.waited_through.saturating_add(chunk.len());
        if self.waited_through > HELD_BYTES_MAX && !self.has_content() && !self.is_over() {
            let error = Error::new(Kind::BadUpstream, "the upstream sent much and none of it was an answer");
            self.fail(error, &mut Vec::new());
        }
    }

    /// Ends a reply of which the caller has not seen anything. Whether it is complete nevertheless.
    pub fn end_held(&mut self, stopped: Stopped) -> bool {
        let (tail, end) = self.end(stopped);
        self.held.extend_from_slice(&tail);
        end == End::Complete
    }

    pub fn take_held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Whether part of the answer itself has come.
    pub fn has_content(&self) -> bool {
        self.meter.content
    }

    /// Whether nothing more may come: the protocol's end or a failure was seen.
    pub fn is_over(&self) -> bool {
        self.grammar.is_over() || self.failure.is_some()
    }

    /// Why the answer failed, if it did.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// When the upstream will have been silent for too long, or at it.
    pub fn deadline(&self) -> Millis {
        self.heard.saturating_add(self.patience.idle_ms).min(self.until)
    }

    /// When [`Self::tick`] is to be asked next.
    pub fn wake(&self) -> Millis {
        self.deadline().min(self.beat_due())
    }

    /// When the caller is to be told that it waits.
    pub fn beat_due(&self) -> Millis {
        self.spoke.saturating_add(self.patience.heartbeat_ms)
    }

    /// What is to be done because nothing came until `now`.
    pub fn tick(&mut self, now: Millis) -> Tick {
        if now >= self.deadline() {
            Tick::Idle
        } else if now >= self.wake() {
            Tick::Beat(self.beat(now))
        } else {
            Tick::Wait
        }
    }

    /// A frame that only says that the answer is on its way.
    pub fn beat(&mut self, now: Millis) -> Vec<u8> {
        self.spoke = now;
        let mut frame = Vec::new();
        // Not every client hears the frames that its dialect has for nothing; its encoder knows better.
        match self.translator.as_mut().map(|translator| &mut translator.writer) {
            Some(Writer::Encoder(encoder)) => encoder.event(&Event::Ping, &mut frame),
            Some(Writer::Splice(splice)) => splice.encoder().event(&Event::Ping, &mut frame),
            Some(Writer::Waits(_)) | None => {}
        }
        if frame.is_empty() { self.caller.heartbeat().to_vec() } else { frame }
    }

    /// The upstream is waited for from now on. While a slow caller took what came before, it could not be heard.
    pub fn listen(&mut self, now: Millis) {
        self.heard = now;
    }

    /// Takes in what stands after the last whole frame of a body that has ended.
    fn drain(&mut self, stopped: Stopped, out: &mut Vec<u8>) {
        if stopped != Stopped::Closed || self.is_over() || std::mem::replace(&mut self.is_drained, true) {
            return;
        }
        let is_whole = self.rest(out);
        if is_whole && !self.is_over() {
            let mut events = std::mem::take(&mut self.events);
            self.decoder.finish(&mut events);
            self.take(&mut events, out);
            self.events = events;
        }
        // A frame without its end is worth something only if it ends the answer; an error after half a frame
        // could not be read.
        if self.translator.is_none() && !self.is_over() {
            out.clear();
        }
    }

    /// Whether another may go on after this end, and the text that it goes on from. The bytes are what was left for the
    /// caller.
    pub fn left_off(&mut self, stopped: Stopped) -> (Vec<u8>, Option<String>) {
        let mut out = Vec::new();
        self.drain(stopped, &mut out);
        let said = match &self.translator {
            Some(Translator { writer: Writer::Splice(splice), .. }) => splice.text(),
            _ => None,
        };
        let is_cut = self.grammar != Grammar::Ended && stopped != Stopped::HungUp && !self.decoder.knows_more();
        (out, said.filter(|_| is_cut).map(str::to_owned))
    }

    /// Goes on where `first` left off. The bytes are what this one has said until now.
    pub fn follow(&mut self, first: &mut Self, now: Millis) -> Vec<u8> {
        let mut out = Vec::new();
        let used = first.tally().usage;
        let (Some(first), Some(own)) = (&mut first.translator, &mut self.translator) else { return out };
        if matches!(first.writer, Writer::Splice(_)) {
            std::mem::swap(&mut first.writer, &mut own.writer);
        }
        if let (Writer::Splice(splice), Writer::Waits(events)) = (&mut own.writer, &mut first.writer) {
            splice.follow(used, &mut out);
            for event in events.drain(..) {
                splice.event(event, self.upstream, &mut out);
            }
        }
        self.spoke = now;
        self.begun = true;
        out
    }

    /// Whether another may go on where this one breaks off.
    pub fn is_spliced(&self) -> bool {
        matches!(&self.translator, Some(Translator { writer: Writer::Splice(_), .. }))
    }

    /// Ends the reply. The bytes are the last for the caller; nothing for one who has hung up.
    pub fn end(&mut self, stopped: Stopped) -> (Vec<u8>, End) {
        let mut out = Vec::new();
        self.drain(stopped, &mut out);
        let end = match (self.grammar, stopped) {
            (Grammar::Ended, _) => End::Complete,
            _ if self.failure.is_some() => End::Failed,
            (_, Stopped::HungUp) => End::HungUp,
            (_, Stopped::Idle) if self.until <= self.heard.saturating_add(self.patience.idle_ms) => {
                let error =
                    Error::new(Kind::UpstreamTimeout, "the answer was not complete in the time that it may take");
                self.fail(error, &mut out);
                End::Late
            }
            (_, Stopped::Idle) => {
                let error = Error::new(Kind::UpstreamTimeout, "the upstream fell silent in the middle of its answer");
                self.fail(error, &mut out);
                End::Cut
            }
            (_, Stopped::Closed | Stopped::Broken) => {
                self.fail(Error::new(Kind::Cut, "the upstream's answer broke off before its end"), &mut out);
                End::Cut
            }
        };
        match (self.untold.take(), self.translator.as_mut().map(|translator| &mut translator.writer)) {
            (Some(Untold::Word(event)), Some(Writer::Splice(splice))) => splice.encoder().event(&event, &mut out),
            (Some(Untold::Ours(error)), _) => self.tell(&error, &mut out),
            _ => {}
        }
        if stopped == Stopped::HungUp { (Vec::new(), end) } else { (out, end) }
    }

    /// What has arrived so far.
    pub fn tally(&self) -> Tally {
        self.meter.tally(self.grammar == Grammar::Ended)
    }

    /// Takes in what stands after the last whole frame. Many leave out the blank line at the very end; whether
    /// that is all that is missing, and the body was not cut in the middle of a frame.
    fn rest(&mut self, out: &mut Vec<u8>) -> bool {
        let rest = self.splitter.take_rest();
        if self.is_wrapped {
            return rest.is_empty();
        }
        let Some(frame) = Frame::read(self.framing, &rest) else { return false };
        match frame.data {
            None if rest.trim_ascii().is_empty() => {
                // Nothing but the last line's end, which belongs to the caller's bytes too.
                out.extend_from_slice(if self.translator.is_none() { &rest } else { b"" });
                true
            }
            None => rest.starts_with(b":"),
            Some(data) => !data.is_empty() && self.read(&rest, out).is_ok(),
        }
    }

    fn wrapped(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        match unwrap(raw) {
            Some(frame) => self.frame(&frame, out),
            // Nothing of it can go to the caller, whatever that speaks.
            None if !self.is_over() => {
                self.fail(Error::new(Kind::BadUpstream, "the upstream sent a malformed frame"), out);
            }
            None => {}
        }
    }

    fn frame(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        if self.is_over() {
            return;
        }
        if let Err(why) = self.read(raw, out)
            && self.translator.is_some()
            && !self.is_over()
        {
            let why = format!("the upstream sent what its dialect does not have: {why}");
            self.fail(Error::new(Kind::BadUpstream, why), out);
        }
    }

    /// Takes one frame in; says why it is none of the upstream's dialect.
    fn read(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let mut events = std::mem::take(&mut self.events);
        let read = match Frame::read(self.framing, raw) {
            Some(frame) => {
                self.meter.bill.read(frame.data.as_deref().unwrap_or_default(), self.cost.as_ref());
                self.decoder.frame(&frame, &mut events).map_err(|malformed| malformed.0)
            }
            None => Err("a frame that is malformed or not UTF-8".to_owned()),
        };
        let extra = self.decoder.is_extra() && !self.usage_wanted;
        if self.translator.is_none() && !extra {
            out.extend_from_slice(raw);
        }
        self.take(&mut events, out);
        self.events = events;
        self.begun |= !out.is_empty();
        read
    }

    /// Counts `events` and, between dialects, writes them.
    fn take(&mut self, events: &mut Vec<Event>, out: &mut Vec<u8>) {
        self.reader.read(events);
        for mut event in events.drain(..) {
            let Ok(next) = self.grammar.after(&event) else {
                // Within one dialect the caller judges its bytes itself.
                if self.translator.is_some() && !self.is_over() {
                    self.fail(Error::new(Kind::BadUpstream, "the upstream's stream is out of order"), out);
                }
                continue;
            };
            self.grammar = next;
            self.meter.count(&event);
            if let Event::Error { message, .. } = &event {
                self.failure = Some(Error::new(Kind::BadUpstream, message.clone()));
            }
            let Some(Translator { told, sealer, writer }) = &mut self.translator else { continue };
            if matches!((&event, &*writer), (Event::Error { .. }, Writer::Splice(_) | Writer::Waits(_))) {
                self.untold = Some(Untold::Word(event));
                continue;
            }
            told.event(&mut event);
            sealer.event(event, |event| match writer {
                Writer::Encoder(encoder) => encoder.event(&event, out),
                Writer::Splice(splice) => splice.event(event, self.upstream, out),
                Writer::Waits(events) => events.push(event),
            });
        }
    }

    fn fail(&mut self, error: Error, out: &mut Vec<u8>) {
        match &self.translator {
            Some(Translator { writer: Writer::Splice(_) | Writer::Waits(_), .. }) => {
                self.untold = Some(Untold::Ours(error.clone()));
            }
            _ => self.tell(&error, out),
        }
        self.failure = Some(error);
    }

    /// Ends the caller's stream with `error`.
    fn tell(&mut self, error: &Error, out: &mut Vec<u8>) {
        let own = match self.translator.as_mut().map(|translator| &mut translator.writer) {
            Some(Writer::Encoder(encoder)) => encoder.failure(error),
            Some(Writer::Splice(splice)) => splice.encoder().failure(error),
            Some(Writer::Waits(_)) => None,
            None => self.decoder.failure(error),
        };
        match (own, self.told) {
            (Some(frame), _) => out.extend(frame),
            (None, Framing::Array) => array::write_last(self.begun, Some(&self.caller.error_body(error, "")), out),
            (None, Framing::Sse | Framing::Lines | Framing::EventStream) => out.extend(self.caller.error_frame(error)),
        }
    }
}

/// Counts what an answer uses, by the upstream's word where it gives one.
#[derive(Debug, Default)]
struct Meter {
    usage: Option<Usage>,
    bill: Bill,
    content: bool,
    text_bytes: u64,
    input_estimate: u64,
}

impl Meter {
    fn count(&mut self, event: &Event) {
        self.content |= event.is_content();
        match event {
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Text(text) | Event::Reasoning(text) | Event::Arguments(text) => {
                self.text_bytes = self.text_bytes.saturating_add(text.len() as u64);
            }
            _ => {}
        }
    }

    fn tally(&self, complete: bool) -> Tally {
        match self.usage.filter(Usage::is_believable) {
            Some(usage) if complete => Tally { usage, bill: self.bill, estimated: false },
            // A stream that broke off has told its input at best; its output is what came through.
            known => {
                let usage = known.unwrap_or_default();
                let input = if usage.input == 0 { self.input_estimate } else { usage.input };
                let output = usage.output.max(estimate(self.text_bytes));
                // Nor is a cost that was told before the end the whole one.
                let cost = self.bill.cost.filter(|_| complete);
                Tally { usage: Usage { input, output, ..usage }, bill: Bill { cost, ..self.bill }, estimated: true }
            }
        }
    }
}

/// Tokens in so many bytes of text: about four bytes each in English, which is what is known without the
/// provider's tokenizer.
pub fn estimate(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

/// What a whole answer came to, by its own word or else by its text.
pub fn measure(response: &Response, bill: Bill, input_estimate: u64) -> Tally {
    let mut meter = Meter { usage: response.usage, bill, input_estimate, ..Meter::default() };
    if !meter.usage.as_ref().is_some_and(Usage::is_believable) {
        response.events().iter().for_each(|event| meter.count(event));
    }
    meter.tally(true)
}

/// Where a pump writes to. Hosts that pump in their own way have none.
#[expect(async_fn_in_trait, reason = "each host awaits its own futures; natively they turn out to be Send")]
pub trait Sink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone>;
}

/// The caller has hung up.
#[derive(Debug)]
pub struct Gone;

/// Carries the rest of an answer to the caller and settles the request, whatever happens on the way.
pub async fn pump<H: Host>(host: &H, mut upstream: H::Body, mut relay: Relay, record: Record, mut caller: impl Sink) {
    let held = relay.take_held();
    let stopped = flow(host, &mut upstream, &mut relay, held, &mut caller).await;
    let (tail, end) = relay.end(stopped);
    // What is not complete is not wanted any more: the upstream should know before a slow caller or store.
    let upstream = Some(upstream).filter(|_| end == End::Complete);
    if !tail.is_empty() {
        // Whether it arrives changes nothing any more.
        let _ = caller.write(tail.into()).await;
    }
    let settlement = record.close(end, Some(relay.tally()), host.now());
    host.log(&settlement.line);
    host.settle(settlement).await;
    drop(caller);
    if let Some(mut upstream) = upstream {
        // The connection can be used again once its body has been read to the end, which is at most a few bytes away.
        let drained = async {
            for _ in 0..DRAIN_READS_MAX {
                if !matches!(host.read(&mut upstream).await, Ok(Some(_))) {
                    break;
                }
            }
        };
        select(pin!(drained), pin!(host.sleep(DRAIN_MS))).await;
    }
}

/// Carries `held`, and then what an upstream says, until no more will be read of it.
pub async fn flow<H: Host>(
    host: &H,
    upstream: &mut H::Body,
    relay: &mut Relay,
    held: Vec<u8>,
    caller: &mut impl Sink,
) -> Stopped {
    let mut gone = !held.is_empty() && caller.write(held.into()).await.is_err();
    relay.listen(host.now());
    loop {
        if gone {
            return Stopped::HungUp;
        }
        if relay.is_over() {
            return Stopped::Closed;
        }
        let wait = relay.wake().saturating_sub(host.now());
        match race(host, wait, host.read(upstream)).await {
            Raced::Done(Ok(Some(chunk))) => {
                gone = match relay.feed(&chunk, host.now()) {
                    Write::Unchanged => caller.write(chunk).await.is_err(),
                    Write::Bytes(bytes) => caller.write(bytes.into()).await.is_err(),
                    Write::Nothing => false,
                };
                relay.listen(host.now());
            }
            Raced::Done(Ok(None)) => return Stopped::Closed,
            Raced::Done(Err(Broken)) => return Stopped::Broken,
            Raced::TimedOut => match relay.tick(host.now()) {
                Tick::Idle => return Stopped::Idle,
                Tick::Beat(frame) => gone = caller.write(frame.into()).await.is_err(),
                Tick::Wait => {}
            },
            Raced::Gone => return Stopped::HungUp,
        }
    }
}

const DRAIN_MS: Millis = 1_000;
const DRAIN_READS_MAX: usize = 8;

/// As much as a single frame may have, since the first content may be one.
const HELD_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// The first of three things to happen.
pub enum Raced<T> {
    Done(T),
    TimedOut,
    /// The caller has hung up.
    Gone,
}

pub async fn race<H: Host, T>(host: &H, ms: Millis, work: impl Future<Output = T>) -> Raced<T> {
    let (work, slept, gone) = (pin!(work), pin!(host.sleep(ms)), pin!(host.gone()));
    match select(work, select(slept, gone)).await {
        Either::Left((done, _)) => Raced::Done(done),
        Either::Right((Either::Left(_), _)) => Raced::TimedOut,
        Either::Right((Either::Right(_), _)) => Raced::Gone,
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("caller", &self.caller).field("grammar", &self.grammar).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Part;

    #[test]
    fn a_count_that_cannot_be_one_of_tokens_is_not_believed() {
        let tallied = |input| {
            let usage = Some(Usage { input, output: 1, ..Usage::default() });
            let response = Response { parts: vec![Part::text("12345678")], usage, ..Response::default() };
            measure(&response, Bill::default(), 7)
        };
        assert_eq!((tallied(9_000_000).usage.input, tallied(9_000_000).estimated), (9_000_000, false));
        let tally = tallied(u64::MAX);
        assert_eq!((tally.usage.input, tally.usage.output, tally.estimated), (7, 2, true));
    }
}
