//! The frames of a streamed body: how they are told apart, a pushed splitter of bytes into them, and what one says.
//!
//! The splitter never holds more than one unfinished frame, and that has a bound.

use std::borrow::Cow;

use super::{array, event_stream, lines, sse};

/// An unfinished frame longer than this is not a stream that a model sent.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How a body is made of frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// Server-Sent Events.
    #[default]
    Sse,
    /// A JSON value to a line.
    Lines,
    /// Amazon's binary frames.
    EventStream,
    /// One JSON list, an element to a frame.
    Array,
}

impl Framing {
    /// By the `content-type` of an answer; `None` where it is no stream.
    pub fn of(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "text/event-stream" => Some(Self::Sse),
            "application/vnd.amazon.eventstream" => Some(Self::EventStream),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(Self::Lines),
            _ => None,
        }
    }
}

/// Splits a stream into frames, wherever the chunks happen to end.
#[derive(Debug, Default)]
pub struct Splitter {
    framing: Framing,
    held: Vec<u8>,
    /// How much of `held` is known to hold no end of a frame.
    scanned: usize,
    /// The same where the framing is a list.
    scan: array::Scan,
}

/// Why no more frames can be told apart.
#[derive(Debug, PartialEq, Eq)]
pub enum Unframed {
    /// Longer than [`FRAME_BYTES_MAX`].
    TooLong,
    /// Its length cannot be right.
    Malformed,
}

impl Splitter {
    pub fn new(framing: Framing) -> Self {
        Self { framing, ..Self::default() }
    }

    /// Takes `chunk` in and calls `each` with every frame that is now complete, raw bytes included.
    pub fn feed(&mut self, chunk: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), Unframed> {
        if self.held.is_empty() {
            let rest = split(self.framing, chunk, 0, &mut self.scan, &mut each)?;
            self.held.extend_from_slice(rest);
        } else {
            self.held.extend_from_slice(chunk);
            let rest = split(self.framing, &self.held, self.scanned, &mut self.scan, &mut each)?.len();
            self.held.drain(..self.held.len() - rest);
        }
        // An end may have begun in the last three bytes.
        self.scanned = self.held.len().saturating_sub(3);
        if self.held.len() > FRAME_BYTES_MAX { Err(Unframed::TooLong) } else { Ok(()) }
    }

    /// Whether every byte fed so far belonged to a frame that was handed out.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// What is left when the stream has ended: a last frame without its end, which real providers send.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.scanned = 0;
        self.scan = array::Scan::default();
        std::mem::take(&mut self.held)
    }
}

/// Calls `each` with the complete frames at the head of `bytes`; `scanned` bytes hold no end of one.
fn split<'a>(
    framing: Framing,
    mut bytes: &'a [u8],
    scanned: usize,
    scan: &mut array::Scan,
    each: &mut impl FnMut(&[u8]),
) -> Result<&'a [u8], Unframed> {
    let mut from = scanned;
    let mut end = |bytes: &[u8], from| match framing {
        Framing::Sse => Ok(sse::end(bytes, from)),
        Framing::Lines => Ok(lines::end(bytes, from)),
        Framing::Array => Ok(scan.end(bytes)),
        Framing::EventStream => event_stream::end(bytes),
    };
    while let Some((frame, rest)) = end(bytes, from)?.and_then(|end| bytes.split_at_checked(end)) {
        each(frame);
        bytes = rest;
        from = 0;
    }
    Ok(bytes)
}

/// What one frame says.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub event: Option<&'a str>,
    /// `None` for a frame that carries nothing, such as a comment.
    pub data: Option<Cow<'a, str>>,
}

impl<'a> Frame<'a> {
    /// `None` where the frame is not one of this framing.
    pub fn read(framing: Framing, raw: &'a [u8]) -> Option<Self> {
        match framing {
            Framing::Sse => sse::read(raw),
            Framing::Lines => lines::read(raw),
            Framing::EventStream => event_stream::read(raw),
            Framing::Array => array::read(raw),
        }
    }
}
