//! Amazon Bedrock's Converse, `POST /model/{id}/converse` and `/converse-stream`. Upstreams only.
//!
//! `request` is a body for it, `response` a whole answer, `stream` an answer in pieces. Here stands what they share: the
//! words of the protocol, usage, errors, and how names are made to fit.
//!
//! Sources: "Converse" and "ConverseStream", Amazon Bedrock API reference; the service model of bedrock-runtime in
//! botocore; read 2026-11.

mod request;
mod response;
mod stream;

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

pub use request::write_request;
pub use response::read_response;
pub use stream::Decoder;

use crate::chat::{Stop, StopReason, Usage};
use crate::dialect::Ask;
use crate::wire::json::{self, objects};
use crate::wire::percent;

/// Where requests for `model` go. Its name may be an ARN, colons and slashes included.
pub fn url(base: &str, model: &str, ask: Ask) -> String {
    let verb = if matches!(ask, Ask::Stream(_)) { "converse-stream" } else { "converse" };
    format!("{base}/model/{}/{verb}", percent::encode(model))
}

/// `message`, or the name of the error where there is none.
pub fn read_error(body: &[u8]) -> Option<String> {
    objects! {
        struct Outer {
            message: Option<String>,
            capital as "Message": Option<String>,
            kind as "__type": Option<String>,
        }
    }
    let Outer { message, capital, kind } = json::read(body).ok()?;
    [message, capital, kind].into_iter().flatten().find(|text| !text.is_empty())
}

/// Names must match `^[a-zA-Z0-9_-]{1,64}$`. One that does not keeps as much of itself as fits beside a digest.
pub fn tool_name(name: &str) -> Cow<'_, str> {
    const CHARS_MAX: usize = 64;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= CHARS_MAX && name.chars().all(fits) {
        return Cow::Borrowed(name);
    }
    let kept = name.chars().map(|c| if fits(c) { c } else { '_' }).take(CHARS_MAX - DIGEST_CHARS - 1);
    Cow::Owned(kept.chain(['_']).chain(digest(name).chars()).collect())
}

/// Ids must match `^[a-zA-Z0-9_.:-]{1,64}$`, and those for Mistral `^[a-zA-Z0-9]{9}$`, but for Bedrock's own. A call and its
/// result are mapped alike, so that they still meet; an id that Bedrock gave stays what it is.
fn tool_id(id: &str, is_mistral: bool) -> Cow<'_, str> {
    let is_short = is_mistral && !id.starts_with("tooluse_");
    let fits = |c: char| c.is_ascii_alphanumeric() || (!is_short && "_.:-".contains(c));
    let length = if is_short { id.len() == DIGEST_CHARS } else { (1..=64).contains(&id.len()) };
    if length && id.chars().all(fits) { Cow::Borrowed(id) } else { Cow::Owned(digest(id)) }
}

const DIGEST_CHARS: usize = 9;

/// Nine letters and digits that stand for `text`.
fn digest(text: &str) -> String {
    const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let digit = |byte: &u8| DIGITS.get(usize::from(*byte) % DIGITS.len()).map(|digit| char::from(*digit));
    Sha256::digest(text.as_bytes()).iter().filter_map(digit).take(DIGEST_CHARS).collect()
}

fn read_stop(word: Option<String>, fields: Option<&ModelFields>) -> Stop {
    let reason = match word.as_deref() {
        Some("tool_use") => StopReason::ToolUse,
        Some("max_tokens" | "model_context_window_exceeded") => StopReason::Length,
        Some("stop_sequence") => StopReason::StopSequence,
        Some("guardrail_intervened" | "content_filtered") => StopReason::Filtered,
        Some("malformed_model_output" | "malformed_tool_use") => StopReason::Error,
        _ => StopReason::EndTurn,
    };
    Stop { reason, native: word, sequence: fields.and_then(ModelFields::sequence) }
}

objects! {
    /// `additionalModelResponseFields`, of which `write_request` asks for this one.
    #[derive(Default)]
    struct ModelFields {
        stop_sequence: Option<String>,
        delta: Option<StopDelta>,
    }

    struct StopDelta {
        stop_sequence: Option<String>,
    }
}

impl ModelFields {
    fn sequence(&self) -> Option<String> {
        self.stop_sequence.clone().or_else(|| self.delta.as_ref()?.stop_sequence.clone())
    }
}

objects! {
    /// `usage`. `inputTokens` excludes what was read from and written to the cache; `outputTokens` includes reasoning, of
    /// which no count is told.
    #[derive(Debug, Default, Clone, Copy)]
    struct Tally {
        input_tokens as "inputTokens": Option<u64>,
        output_tokens as "outputTokens": Option<u64>,
        cache_read_input_tokens as "cacheReadInputTokens": Option<u64>,
        cache_write_input_tokens as "cacheWriteInputTokens": Option<u64>,
    }
}

impl Tally {
    fn usage(self) -> Usage {
        let cached_input = self.cache_read_input_tokens.unwrap_or_default();
        let cache_write = self.cache_write_input_tokens.unwrap_or_default();
        let fresh = self.input_tokens.unwrap_or_default();
        Usage {
            input: fresh.saturating_add(cached_input).saturating_add(cache_write),
            cached_input,
            cache_write,
            output: self.output_tokens.unwrap_or_default(),
            reasoning: 0,
        }
    }
}

/// The tools that Bedrock runs itself: callers of other dialects cannot use what they say.
const SERVER_TOOL: &str = "server_tool_use";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::Framing;

    #[test]
    fn a_model_stands_in_the_path_whatever_its_name() {
        let base = "https://bedrock-runtime.us-east-1.amazonaws.com";
        let cases = [
            ("us.anthropic.claude-sonnet-4-5-v1:0", "us.anthropic.claude-sonnet-4-5-v1%3A0"),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/x",
                "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx",
            ),
            ("../x?y#é", "..%2Fx%3Fy%23%C3%A9"),
        ];
        for (model, segment) in cases {
            assert_eq!(url(base, model, Ask::Answer), format!("{base}/model/{segment}/converse"));
            assert_eq!(url(base, model, Ask::Stream(Framing::Sse)), format!("{base}/model/{segment}/converse-stream"));
        }
    }

    #[test]
    fn names_that_fit_stay_and_others_are_told_apart() {
        for fits in ["f", "get_weather", "a-b_9", &"x".repeat(64)] {
            assert_eq!(tool_name(fits), fits);
        }
        let long = "mcp__".to_owned() + &"x".repeat(80);
        for odd in ["", "a.b", "a b", "é", long.as_str()] {
            let name = tool_name(odd);
            assert!(name.len() <= 64 && tool_name(&name) == name, "{name}");
        }
        assert_ne!(tool_name("a.b"), tool_name("a_b"));
        assert_ne!(tool_name(&format!("{long}1")), tool_name(&format!("{long}2")));
    }

    #[test]
    fn mistrals_ids_have_nine_letters_and_digits() {
        assert_eq!(tool_id("aB3dE6gH9", true), "aB3dE6gH9");
        let id = tool_id("toolu_x-1", true);
        assert!(id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
        assert_eq!(tool_id(&id, true), id);
        assert_eq!(tool_id("tooluse_daIKOZu4g4GrvIIv9wdqy4", true), "tooluse_daIKOZu4g4GrvIIv9wdqy4");
        assert_ne!(tool_id("call_1", true), tool_id("call_2", true));
        assert_eq!(tool_id("tooluse_x-1.2:3", false), "tooluse_x-1.2:3");
        assert_eq!(tool_id("a|b", false).len(), 9);
        assert_eq!(tool_id("", false).len(), 9);
    }

    #[test]
    fn an_error_says_its_message() {
        let cases = [
            (r#"{"message":"m"}"#, Some("m")),
            (r#"{"Message":"m"}"#, Some("m")),
            (r#"{"__type":"ThrottlingException"}"#, Some("ThrottlingException")),
            (r#"{"message":""}"#, None),
            ("{}", None),
            ("<html>", None),
        ];
        for (body, expected) in cases {
            assert_eq!(read_error(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn every_word_of_the_protocol_is_a_reason() {
        let cases = [
            ("end_turn", StopReason::EndTurn),
            ("tool_use", StopReason::ToolUse),
            ("max_tokens", StopReason::Length),
            ("model_context_window_exceeded", StopReason::Length),
            ("stop_sequence", StopReason::StopSequence),
            ("guardrail_intervened", StopReason::Filtered),
            ("content_filtered", StopReason::Filtered),
            ("malformed_model_output", StopReason::Error),
            ("malformed_tool_use", StopReason::Error),
            ("to_come", StopReason::EndTurn),
        ];
        for (word, reason) in cases {
            let stop = read_stop(Some(word.to_owned()), None);
            assert_eq!((stop.reason, stop.native.as_deref()), (reason, Some(word)));
        }
    }
}
