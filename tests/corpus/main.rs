//! Recorded provider traffic, where a folder of it lies beside the project: everything is read, and what is told of it
//! is compared with a second, much simpler reading of the same bytes.
//!
//! A module for each dialect. What does not pass is listed there, with its reason.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod anthropic;
mod bedrock_converse;
mod bedrock_invoke;
mod bill;
mod cases;
mod cohere;
mod embed;
mod event_stream;
mod gemini;
mod json;
mod models;
mod ollama;
mod openai_chat;
mod openai_completions;
mod openai_responses;
mod pairs;
mod rerank;
mod sequences;
mod told;
