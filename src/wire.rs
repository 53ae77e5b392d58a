//! Framing and raw JSON: what stands between bytes and dialects.

pub mod array;
pub mod cbor;
pub mod csv;
pub mod der;
pub(crate) mod event_stream;
pub mod frame;
pub mod json;
mod lines;
pub mod pem;
pub mod percent;
pub mod query;
mod sse;
