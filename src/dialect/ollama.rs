//! Ollama's own chat API, as upstreams speak it: a JSON value to a line where it streams.
//!
//! A whole answer is a stream of one line. Tool calls come whole, their arguments as objects, and from older servers
//! without ids, which are then made of the time that the answer was created.

mod answer;
mod embed;
mod request;

pub use answer::{Decoder, read_response};
pub use embed::Embeddings;
pub use request::{root, write_request};

use crate::wire::json::{self, Raw, objects};

/// The message in an error body: `{"error":"…"}`, or `{"error":{"message"}}` of a proxy before it.
pub fn read_error(body: &[u8]) -> Option<String> {
    objects! {
        struct Body<'a> {
            error: Option<Raw<'a>>,
        }
    }
    json::read::<Body<'_>>(body).ok()?.error.and_then(message)
}

/// What the value of `error` says.
fn message(error: Raw<'_>) -> Option<String> {
    objects! {
        struct Inner {
            message: Option<String>,
        }
    }
    let text = json::parse::<String>(error.get()).ok();
    text.or_else(|| json::parse::<Inner>(error.get()).ok()?.message).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_its_message() {
        let cases: &[(&str, Option<&str>)] = &[
            (r#"{"error":"model 'x' not found"}"#, Some("model 'x' not found")),
            (r#"{"error":{"message":"slow down"}}"#, Some("slow down")),
            (r#"{"error":""}"#, None),
            (r#"{"message":{"content":"hi"}}"#, None),
            ("404 page not found", None),
        ];
        for (body, message) in cases {
            assert_eq!(read_error(body.as_bytes()).as_deref(), *message, "{body}");
        }
    }
}
