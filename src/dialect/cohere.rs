//! Cohere's Chat API, version 2, as upstreams speak it.
//!
//! What a model says before its tool calls (`tool_plan`) is text here: callers show it and give it back, and then it is
//! a plan again. Citations have no place in the canonical form and are left out. Version 1 is not spoken.

mod embed;
mod request;
mod response;
mod stream;

pub use embed::Embeddings;
pub use request::write_request;
pub use response::read_response;
pub use stream::Decoder;

use crate::chat::{Number, Stop, StopReason, Usage};
use crate::wire::json::{self, Raw, objects};

/// The message in an error body: `{"message"}`, or what a proxy in front of Cohere says in `error`.
pub fn read_error(body: &[u8]) -> Option<String> {
    objects! {
        struct Body<'a> {
            message: Option<Raw<'a>>,
            error: Option<Raw<'a>>,
        }
    }
    let Body { message, error } = json::read(body).ok()?;
    let text = |raw: Raw<'_>| json::parse::<String>(raw.get()).ok().filter(|text| !text.is_empty());
    let inner = |raw: Raw<'_>| json::parse::<Body<'_>>(raw.get()).ok()?.message.and_then(text);
    message.and_then(text).or_else(|| error.and_then(|error| text(error).or_else(|| inner(error))))
}

/// Why the model stopped; `called` is whether its answer holds a tool call.
///
/// Source: "Chat", Cohere API reference, read 2026-11. The last three words are of version 1, which private
/// deployments still say.
fn stop(word: Option<String>, called: bool) -> Stop {
    let reason = match word.as_deref() {
        Some("STOP_SEQUENCE") => StopReason::StopSequence,
        Some("MAX_TOKENS" | "ERROR_LIMIT") => StopReason::Length,
        Some("ERROR" | "TIMEOUT" | "USER_CANCEL") => StopReason::Error,
        Some("ERROR_TOXIC") => StopReason::Filtered,
        // Who waits for calls that never came waits for ever.
        _ if called => StopReason::ToolUse,
        _ => StopReason::EndTurn,
    };
    Stop { reason, native: word, sequence: None }
}

/// The id of the `n`th call, where Cohere gave none: taken from the id of the answer.
fn call_id(given: Option<String>, answer: &str, n: usize) -> String {
    given.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{answer}_{n}"))
}

objects! {
    /// `usage` as it is read.
    #[derive(Debug, Default)]
    struct Tally {
        billed_units: Option<Units>,
        tokens: Option<Units>,
        cached_tokens: Option<Number>,
    }

    #[derive(Debug, Default)]
    struct Units {
        input_tokens: Option<Number>,
        output_tokens: Option<Number>,
        reasoning_tokens: Option<Number>,
        image_tokens: Option<Number>,
    }
}

impl Tally {
    /// What is billed, where that is said; `tokens` also counts what Cohere puts around a prompt and does not charge
    /// for, and the cached ones are counted among those. Reasoning is billed as output, images as input.
    ///
    /// Sources: cohere-ai/cohere-developer-experience#399, on what billed tokens are; semantic-conventions-genai#211,
    /// which has the billed count reported where a provider tells both; read 2026-11.
    fn usage(&self) -> Usage {
        let reasoning = self.tokens.as_ref().map_or(0, |tokens| count(&tokens.reasoning_tokens));
        if let Some(billed) = self.billed_units.as_ref().filter(|units| !units.is_empty()) {
            let output = count(&billed.output_tokens);
            return Usage {
                input: count(&billed.input_tokens),
                output,
                reasoning: reasoning.min(output),
                ..Usage::default()
            };
        }
        let Some(tokens) = &self.tokens else { return Usage::default() };
        let input = count(&tokens.input_tokens).saturating_add(count(&tokens.image_tokens));
        let output = count(&tokens.output_tokens);
        Usage {
            input,
            cached_input: count(&self.cached_tokens).min(input),
            cache_write: 0,
            output,
            reasoning: reasoning.min(output),
        }
    }
}

impl Units {
    fn is_empty(&self) -> bool {
        self.input_tokens.is_none() && self.output_tokens.is_none()
    }
}

/// Cohere's schema has tokens as floats.
fn count(number: &Option<Number>) -> u64 {
    // Saturates; a negative number is none.
    number.as_ref().map_or(0, |number| number.value() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_its_message() {
        let cases: &[(&str, Option<&str>)] = &[
            (r#"{"id":"1","message":"invalid api token"}"#, Some("invalid api token")),
            (r#"{"error":"no healthy upstream"}"#, Some("no healthy upstream")),
            (r#"{"error":{"message":"slow down"}}"#, Some("slow down")),
            (r#"{"message":{"role":"assistant"}}"#, None),
            (r#"{"message":""}"#, None),
            ("<html>", None),
        ];
        for (body, message) in cases {
            assert_eq!(read_error(body.as_bytes()).as_deref(), *message, "{body}");
        }
    }

    #[test]
    fn the_words_of_the_end_mean_what_they_say() {
        let cases = [
            (Some("COMPLETE"), false, StopReason::EndTurn),
            (Some("STOP_SEQUENCE"), false, StopReason::StopSequence),
            (Some("MAX_TOKENS"), true, StopReason::Length),
            (Some("TOOL_CALL"), true, StopReason::ToolUse),
            (Some("TOOL_CALL"), false, StopReason::EndTurn),
            (Some("COMPLETE"), true, StopReason::ToolUse),
            (Some("ERROR"), false, StopReason::Error),
            (Some("TIMEOUT"), false, StopReason::Error),
            (Some("ERROR_TOXIC"), false, StopReason::Filtered),
            (Some("NEW"), false, StopReason::EndTurn),
            (None, false, StopReason::EndTurn),
        ];
        for (word, called, reason) in cases {
            let word = word.map(str::to_owned);
            assert_eq!(stop(word.clone(), called), Stop { reason, native: word, sequence: None });
        }
    }

    #[test]
    fn what_is_billed_counts() {
        let usage = |text: &str| json::parse::<Tally>(text).unwrap().usage();
        let tokens = r#""tokens":{"input_tokens":507,"output_tokens":30.0,"reasoning_tokens":12,"image_tokens":5}"#;
        let billed =
            format!(r#"{{"billed_units":{{"input_tokens":12.0,"output_tokens":10}},{tokens},"cached_tokens":448}}"#);
        assert_eq!(usage(&billed), Usage { input: 12, output: 10, reasoning: 10, ..Usage::default() });
        let unbilled = format!(r#"{{"billed_units":{{}},{tokens},"cached_tokens":448}}"#);
        let expected = Usage { input: 512, cached_input: 448, output: 30, reasoning: 12, ..Usage::default() };
        assert_eq!(usage(&unbilled), expected);
        assert_eq!(usage("{}"), Usage::default());
    }
}
