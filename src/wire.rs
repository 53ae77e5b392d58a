//! Framing and raw JSON: what stands between bytes and dialects.

pub mod json;
pub mod sse;
