//! OpenAI Chat Completions, as OpenAI and the many who copied it speak it.
//!
//! Reading is generous, because no two servers agree; writing has the full shape, because some client
//! refuses a reply for every field that is left out. A whole reply is read as a stream of one chunk.

mod answer;
pub mod completions;
mod decode;
mod detail;
mod embed;
mod encode;
mod models;
mod read_request;
mod write_request;

#[cfg(test)]
mod tests;

pub use decode::{Decoder, read_response};
pub use embed::{Embeddings, read_embeddings, splice_embeddings, write_embeddings};
pub use encode::{Encoder, write_response};
pub use models::{write_model, write_models};
pub use read_request::{read_request, splice, usage_wanted};
pub use write_request::write_request;

use crate::error::Error;
use crate::media::Files;
use crate::wire::json::{Raw, objects, parse, quoted, read, to_vec, written};

/// The string that holds a file, where `value` is its address; in Chat Completions and in Responses.
pub fn inline_file(parent: &str, name: &str, value: Raw<'_>, files: &Files) -> Option<String> {
    let is_place = matches!((parent, name), ("image_url", "url") | ("file", "file_data") | (_, "image_url"));
    if !is_place || !value.get().starts_with('"') {
        return None;
    }
    let url: String = parse(value.get()).ok()?;
    Some(quoted(&files.of(&url)?.url()))
}

pub fn error_body(error: &Error) -> Vec<u8> {
    let row = error.kind.row();
    let (kind, code) = row.openai;
    to_vec(&Failed { error: Failure { message: &error.message, kind, param: error.param.as_deref(), code } })
}

pub fn error_frame(error: &Error) -> Vec<u8> {
    let mut frame = b"data: ".to_vec();
    frame.extend(error_body(error));
    frame.extend_from_slice(b"\n\n");
    frame
}

/// The message in an error body: `{"error":{"message"}}`, `{"error":"…"}`, `{"message"}` or `{"detail"}`.
pub fn read_error(body: &[u8]) -> Option<String> {
    let body: ErrorBody<'_> = read(body).ok()?;
    let fault = body.error.map(Fault::read).unwrap_or_default();
    fault.message.or_else(|| body.message.and_then(text)).or_else(|| body.detail.and_then(text))
}

written! {
    struct Failed<'a> {
        error: Failure<'a>,
    }

    struct Failure<'a> {
        message: &'a str,
        kind as "type": &'a str,
        param: Option<&'a str>,
        code: Option<&'a str>,
    }
}

objects! {
    struct ErrorBody<'a> {
        error: Option<Raw<'a>>,
        message: Option<Raw<'a>>,
        detail: Option<Raw<'a>>,
    }
}

/// What an upstream says went wrong.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fault {
    kind: Option<String>,
    message: Option<String>,
}

impl Fault {
    /// Reads the value of `error`: an object or a plain string.
    fn read(error: Raw<'_>) -> Self {
        objects! {
            struct Wire<'a> {
                kind as "type": Option<Raw<'a>>,
                message: Option<Raw<'a>>,
            }
        }
        match parse::<Wire<'_>>(error.get()) {
            Ok(wire) => Self { kind: wire.kind.and_then(text), message: wire.message.and_then(text) },
            Err(_) => Self { kind: None, message: text(error) },
        }
    }
}

/// A string's text, or the JSON of what stands where a string was due; `None` where that is empty.
fn text(raw: Raw<'_>) -> Option<String> {
    let text = parse::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
    (!text.is_empty()).then_some(text)
}
