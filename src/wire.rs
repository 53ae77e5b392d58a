//! Framing and raw JSON: what stands between bytes and dialects.

mod event_stream;
pub mod frame;
pub mod json;
mod lines;
pub mod percent;
mod sse;
