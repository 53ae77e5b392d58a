//! How many tokens a request has, as far as that can be said without the provider's tokenizer.
//!
//! An upstream of the caller's own dialect is asked first; this is the answer where there is none. It is an estimate for
//! comparing with the length of a context: near for prose, and without what a provider adds of its own, such as the
//! five hundred tokens with which Anthropic explains tools to its models.

use crate::chat::{Content, Part, Request};
use crate::relay::estimate;

/// Around a message: its role and its borders.
const MESSAGE_TOKENS: u64 = 4;
/// Around a tool: what providers write before its description.
const TOOL_TOKENS: u64 = 8;
/// An image or a page. Anthropic bills up to about 1600 for an image, OpenAI 85 to 1105, Gemini 258 to 1120.
///
/// Sources: "Vision", Anthropic API documentation; "Images and vision", OpenAI API documentation; "Media resolution",
/// Gemini API documentation; all read 2026-11.
const MEDIA_TOKENS: u64 = 1_000;

/// The tokens of all that a model would read: texts at about four bytes each, files at a flat rate.
pub fn tokens(request: &Request) -> u64 {
    let messages = request.messages.iter().map(|message| MESSAGE_TOKENS.saturating_add(of_parts(&message.parts)));
    let tools = request.tools.iter().map(|tool| {
        let schema = tool.schema.as_ref().map_or(0, |schema| schema.get().len());
        let bytes = tool.name.len() + tool.description.as_ref().map_or(0, String::len) + schema;
        TOOL_TOKENS.saturating_add(estimate(bytes as u64))
    });
    messages.chain(tools).fold(0, u64::saturating_add)
}

fn of_parts(parts: &[Part]) -> u64 {
    parts.iter().map(|part| of_content(&part.content)).fold(0, u64::saturating_add)
}

fn of_content(content: &Content) -> u64 {
    let text = |text: &str| estimate(text.len() as u64);
    match content {
        Content::Text(words) | Content::Reasoning { text: words, .. } => text(words),
        Content::ToolCall(call) => text(&call.name).saturating_add(text(&call.arguments)),
        Content::ToolResult { parts, .. } => of_parts(parts),
        // Providers leave it out of the prompt, or bill it as what it was before it was sealed; nobody can tell.
        Content::SealedReasoning(_) => 0,
        Content::Image(_) | Content::Audio(_) | Content::Video(_) | Content::Document { .. } => MEDIA_TOKENS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Media, Message, Role, Tool};

    #[test]
    fn a_file_counts_the_same_at_every_length() {
        let image = |data: &str| {
            Part::new(Content::Image(Media::Inline { media_type: "image/png".into(), data: data.to_owned() }))
        };
        let count = |part| {
            let messages = vec![Message { role: Role::User, parts: vec![Part::text("12345678"), part] }];
            tokens(&Request { messages, ..Request::default() })
        };
        assert_eq!(count(image("")), MESSAGE_TOKENS + 2 + MEDIA_TOKENS);
        assert_eq!(count(image(&"x".repeat(1_000_000))), count(image("")));
        let tools = vec![Tool { name: "name".into(), ..Tool::default() }];
        assert_eq!(tokens(&Request { tools, ..Request::default() }), TOOL_TOKENS + 1);
    }
}
