//! OpenAI Responses, without its memory: every request holds its whole conversation.
//!
//! Canonically a call of a custom tool has the JSON arguments `{"input":…}`, and a tool in a namespace goes by one
//! joined name; both are undone on the way back. The shapes of errors and of lists of models are those of Chat
//! Completions, and are written there.

mod answer;
mod decode;
mod encode;
mod read_request;
mod response;
mod tools;
mod write_request;

#[cfg(test)]
mod tests;

pub use decode::{Decoder, read_response};
pub use encode::{Encoder, error_frame};
pub use read_request::{is_request, read_request, splice};
pub use response::write_response;
pub use write_request::{reasons, write_request};
