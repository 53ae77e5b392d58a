//! Framing and raw JSON: what stands between bytes and dialects.

pub mod frame;
pub mod json;
mod lines;
mod sse;
