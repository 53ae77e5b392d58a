//! Framing and raw JSON: what stands between bytes and dialects.

pub mod array;
pub mod frame;
pub mod json;
mod lines;
pub mod query;
mod sse;
