//! An upstream's answer: its head in one crossing of the boundary, its body whole or piece by piece.

use bytes::Bytes;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortController, AbortSignal, ReadableStream, ReadableStreamDefaultReader, Response};

use super::{pairs, parse, read, reader, send, whole, written};
use crate::host::{Answer, Broken, Outgoing, Unreachable};
use crate::wire::frame::Framing;

/// The longest whole answer that is taken from an upstream; an isolate has 128 MB for all its requests.
const ANSWER_BYTES_MAX: f64 = 33_554_432.0;

/// A body that has not been read to its end.
pub struct Upstream {
    attempt: Attempt,
    state: State,
}

enum State {
    Fresh { body: Option<ReadableStream>, is_stream: bool },
    Reading(ReadableStreamDefaultReader),
    Done,
}

/// Cancels the upstream when dropped, unless it was finished.
struct Attempt(Option<AbortController>);

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}

pub(super) async fn fetch(request: Outgoing, caller: &AbortSignal) -> Result<Answer<Upstream>, Unreachable> {
    let unreachable = |error: JsValue| {
        Unreachable(error.dyn_ref::<js_sys::Error>().map_or_else(String::new, |error| error.message().into()))
    };
    let controller = AbortController::new().map_err(unreachable)?;
    let signal = controller.signal();
    let attempt = Attempt(Some(controller));
    let head = written(&request.headers);
    let sent = send(request.method.name(), &request.url, &head, &request.body, caller, &signal);
    let response = sent.await.map_err(unreachable)?;
    let response: Response = response.dyn_into().map_err(unreachable)?;
    let headers = parse(&pairs(&response.headers()));
    let is_stream = request.streams || headers.get("content-type").and_then(Framing::of).is_some();
    let state = State::Fresh { body: response.body(), is_stream };
    Ok(Answer { status: response.status(), headers, body: Upstream { attempt, state } })
}

impl Upstream {
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>, Broken> {
        if let State::Fresh { body, is_stream } = &mut self.state {
            match body.take() {
                None => return Ok(self.finished()),
                Some(body) if *is_stream => self.state = State::Reading(reader(&body).map_err(|_| Broken)?),
                // In one step, where reading piece by piece takes hundreds.
                Some(body) => {
                    let array = whole(&body, ANSWER_BYTES_MAX).await.map_err(|_| Broken)?;
                    let array: Uint8Array = array.dyn_into().map_err(|_| Broken)?;
                    self.finished();
                    return Ok((array.length() > 0).then(|| array.to_vec().into()));
                }
            }
        }
        while let State::Reading(reader) = &self.state {
            match read(reader).await.map_err(|_| Broken)?.dyn_into::<Uint8Array>() {
                Ok(chunk) if chunk.length() > 0 => return Ok(Some(chunk.to_vec().into())),
                Ok(_) => {}
                Err(_) => return Ok(self.finished()),
            }
        }
        Ok(None)
    }

    /// The reader, for the pump in JavaScript, which cancels it itself.
    pub(super) fn hand_over(mut self) -> Option<ReadableStreamDefaultReader> {
        self.attempt.0 = None;
        match std::mem::replace(&mut self.state, State::Done) {
            State::Reading(reader) => Some(reader),
            State::Fresh { body, .. } => reader(&body?).ok(),
            State::Done => None,
        }
    }

    fn finished(&mut self) -> Option<Bytes> {
        self.attempt.0 = None;
        self.state = State::Done;
        None
    }
}
