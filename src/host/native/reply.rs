//! A reply's body: whole, or pumped by whoever asks for its next frame.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio_util::sync::CancellationToken;

use super::work::Work;
use crate::relay::{Gone, Sink};

pub(super) enum Body {
    Whole(Bytes),
    /// Dropped before its end, the pump goes on without a caller, and settles.
    Pumped {
        pump: Work<()>,
        slot: Slot,
    },
    Ended,
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut *self {
            Self::Whole(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
            Self::Ended => None,
            Self::Pumped { pump, slot } => {
                let polled = Pin::new(pump).poll(context);
                match slot.take() {
                    // A pump that ended is asked for no more than what it left.
                    Some(bytes) if polled.is_pending() => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                    None if polled.is_pending() => return Poll::Pending,
                    last => last,
                }
            }
        };
        *self = Self::Ended;
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Pumped { .. } => false,
            Self::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pumped { .. } => SizeHint::default(),
            Self::Ended => SizeHint::with_exact(0),
        }
    }
}

/// Room for one chunk between a pump and its body, so that a slow caller slows the upstream.
#[derive(Clone)]
pub(super) struct Slot {
    chunk: Arc<Mutex<Chunk>>,
    gone: CancellationToken,
}

enum Chunk {
    /// There is no body yet that would take one.
    Closed,
    Empty,
    Full(Bytes),
}

impl Slot {
    pub(super) fn new(gone: CancellationToken) -> Self {
        Self { chunk: Arc::new(Mutex::new(Chunk::Closed)), gone }
    }

    /// There is a body.
    pub(super) fn open(&self) {
        *self.chunk.lock().unwrap_or_else(PoisonError::into_inner) = Chunk::Empty;
    }

    fn take(&self) -> Option<Bytes> {
        let mut chunk = self.chunk.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *chunk, Chunk::Empty) {
            Chunk::Full(bytes) => Some(bytes),
            Chunk::Closed | Chunk::Empty => None,
        }
    }
}

impl Sink for Slot {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let mut bytes = Some(bytes);
        // Needs no waker: who opens or empties the slot asks for the next chunk at once, and who drops it cancels `gone`
        // before the pump goes on elsewhere.
        poll_fn(|_| {
            if self.gone.is_cancelled() {
                return Poll::Ready(Err(Gone));
            }
            let mut chunk = self.chunk.lock().unwrap_or_else(PoisonError::into_inner);
            if !matches!(*chunk, Chunk::Empty) {
                return Poll::Pending;
            }
            if let Some(bytes) = bytes.take() {
                *chunk = Chunk::Full(bytes);
            }
            Poll::Ready(Ok(()))
        })
        .await
    }
}
