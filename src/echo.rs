//! The built-in model: repeats the last thing the user said. It costs nothing and needs no key, so a first
//! request works, and a job can check the whole path but the network.

use crate::chat::{Content, Part, Request, Response, Role, Stop, Usage};
use crate::dialect::{Dialect, Inbound};

/// What it speaks; callers of other dialects get a translation, as from any upstream.
pub const DIALECT: Dialect = Dialect::OpenaiChat;
/// Those callers who get its words as they are.
pub const OWN: Inbound = Inbound::OpenaiChat;

pub fn answer(request: &Request, id: &str, model: &str) -> Response {
    let text = last_words(request);
    let tokens = |bytes: usize| bytes.div_ceil(4) as u64;
    let read: usize = request.messages.iter().flat_map(|message| &message.parts).map(text_length).sum();
    let usage = Usage { input: tokens(read), output: tokens(text.len()), ..Usage::default() };
    Response {
        id: id.to_owned(),
        model: model.to_owned(),
        parts: vec![Part::text(text)],
        stop: Stop::default(),
        usage: Some(usage),
    }
}

fn last_words(request: &Request) -> String {
    let said = |part: &Part| match &part.content {
        Content::Text(text) => Some(text.clone()),
        _ => None,
    };
    let user = request.messages.iter().filter(|message| message.role == Role::User);
    user.flat_map(|message| message.parts.iter().filter_map(said).next_back()).last().unwrap_or_default()
}

fn text_length(part: &Part) -> usize {
    match &part.content {
        Content::Text(text) | Content::Reasoning { text, .. } => text.len(),
        Content::ToolCall(call) => call.name.len() + call.arguments.len(),
        Content::ToolResult { parts, .. } => parts.iter().map(text_length).sum(),
        Content::Image(_)
        | Content::Audio(_)
        | Content::Video(_)
        | Content::Document { .. }
        | Content::SealedReasoning(_) => 0,
    }
}
