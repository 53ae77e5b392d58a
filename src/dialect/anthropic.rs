//! Anthropic Messages, `POST /v1/messages`, as of API version 2023-06-01.
//!
//! `read_request` and `write_request` face callers and upstreams, `response` is a whole answer both ways,
//! `stream` an answer in pieces. Here stands what they share: the words of the protocol, usage and errors.
//!
//! Source: "Messages" and "Streaming Messages", Anthropic API documentation, read 2026-11.

mod read_request;
mod response;
mod stream;
mod write_request;

use std::borrow::Cow;

pub use read_request::read_request;
pub use response::{read_response, write_response};
pub use stream::{Decoder, Encoder};
pub use write_request::write_request;

use super::Model;
use crate::chat::{Media, Stop, StopReason, Usage};
use crate::error::Error;
use crate::media::Files;
use crate::wire::json::{self, Fields, Raw, Verbatim, Write, objects, quoted, to_vec, written};

pub fn splice(body: &Fields<'_>, model: &str) -> Vec<u8> {
    body.with(&[("model", &quoted(model))])
}

/// The source that holds a file, where `value` is one by address. Text is told otherwise than what is inline here.
pub fn inline_file(name: &str, value: Raw<'_>, files: &Files) -> Option<String> {
    objects! {
        struct Source {
            url: Option<String>,
        }
    }
    if name != "source" {
        return None;
    }
    let source: Source = json::parse(value.get()).ok()?;
    match files.of(&source.url?)? {
        Media::Inline { media_type, data } if media_type.starts_with("image/") || media_type == "application/pdf" => {
            Some(format!(r#"{{"type":"base64","media_type":{},"data":{}}}"#, quoted(media_type), quoted(data)))
        }
        _ => None,
    }
}

pub fn error_body(error: &Error, id: &str) -> Vec<u8> {
    to_vec(&Envelope::new(error.kind.row().anthropic, &error.message, Some(id)))
}

/// Always an `api_error`: what fails after the first byte is never the caller's request.
pub fn error_frame(error: &Error) -> Vec<u8> {
    let mut frame = Vec::new();
    write_frame("error", &Envelope::new(FAULT, &error.message, None), &mut frame);
    frame
}

/// Also takes the shapes of servers that speak the dialect halfway: OpenAI's envelope, a bare `message`, a
/// `detail`, and any of these in a list.
pub fn read_error(body: &[u8]) -> Option<String> {
    message_within(body, 4)
}

fn message_within(body: &[u8], depth: u8) -> Option<String> {
    objects! {
        struct Outer<'a> {
            error: Option<Raw<'a>>,
            message: Option<Raw<'a>>,
            detail: Option<Raw<'a>>,
            msg: Option<Raw<'a>>,
        }
    }
    let depth = depth.checked_sub(1)?;
    let within = |raw: Raw<'_>| message_within(raw.get().as_bytes(), depth);
    match body.trim_ascii_start().first()? {
        b'{' => {
            let Outer { error, message, detail, msg } = json::read(body).ok()?;
            [error, message, detail, msg].into_iter().flatten().find_map(within)
        }
        b'[' => within(*json::read::<Vec<Raw<'_>>>(body).ok()?.first()?),
        _ => json::read(body).ok().filter(|text: &String| !text.is_empty()),
    }
}

pub fn write_models(models: &[Model]) -> Vec<u8> {
    written! {
        struct List<'a> {
            data: Vec<Row<'a>>,
            has_more: bool,
            first_id: Option<&'a str>,
            last_id: Option<&'a str>,
        }
    }
    to_vec(&List {
        data: models.iter().map(Row::of).collect(),
        has_more: false,
        first_id: models.first().map(|model| model.id.as_str()),
        last_id: models.last().map(|model| model.id.as_str()),
    })
}

pub fn write_model(model: &Model) -> Vec<u8> {
    to_vec(&Row::of(model))
}

written! {
    /// A model. Its `capabilities` are not told: clients read deep into them, and not all of it is known.
    struct Row<'a> {
        kind as "type": &'static str,
        id: &'a str,
        display_name: &'a str,
        // Clients need the field, and nothing here knows the date.
        created_at: &'static str,
        max_input_tokens?: Option<u64>,
        max_tokens?: Option<u64>,
    }
}

impl<'a> Row<'a> {
    fn of(Model { id, known, .. }: &'a Model) -> Self {
        Self {
            kind: "model",
            id,
            display_name: id,
            created_at: "1970-01-01T00:00:00Z",
            max_input_tokens: known.context,
            max_tokens: known.most,
        }
    }
}

/// The body of `count_tokens`.
pub fn write_count(tokens: u64) -> Vec<u8> {
    written! {
        struct Count {
            input_tokens: u64,
        }
    }
    to_vec(&Count { input_tokens: tokens })
}

/// `error.type` of a fault that is not the caller's.
const FAULT: &str = "api_error";

/// Every `error.type` of the protocol.
const ERROR_TYPES: &[&str] = &[
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "timeout_error",
    "overloaded_error",
    FAULT,
];

written! {
    struct Envelope<'a> {
        kind as "type": &'static str,
        error: Detail<'a>,
        request_id?: Option<&'a str>,
    }

    struct Detail<'a> {
        kind as "type": &'a str,
        message: &'a str,
    }
}

impl<'a> Envelope<'a> {
    fn new(kind: &'a str, message: &'a str, request_id: Option<&'a str>) -> Self {
        Self { kind: "error", error: Detail { kind, message }, request_id }
    }
}

fn write_frame(event: &str, data: &dyn Write, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    data.write(out);
    out.extend_from_slice(b"\n\n");
}

/// The `stop_reason` for `stop`; `called` is whether the answer holds a tool call.
fn stop_word(stop: &Stop, called: bool) -> &'static str {
    match stop.reason {
        // Some upstreams say that they stopped as usual after a tool call; callers act on this word.
        StopReason::EndTurn if called => "tool_use",
        StopReason::EndTurn => "end_turn",
        StopReason::StopSequence => "stop_sequence",
        // The protocol has no word for a failed answer; this one says that the answer is not whole.
        StopReason::Length | StopReason::Error => "max_tokens",
        StopReason::ToolUse => "tool_use",
        StopReason::Filtered => "refusal",
        StopReason::Pause => "pause_turn",
    }
}

fn read_stop(word: Option<String>, sequence: Option<String>) -> Stop {
    let reason = match word.as_deref() {
        Some("stop_sequence") => StopReason::StopSequence,
        // A compaction ends the turn early because the context is full.
        Some("max_tokens" | "model_context_window_exceeded" | "compaction") => StopReason::Length,
        Some("tool_use") => StopReason::ToolUse,
        Some("refusal") => StopReason::Filtered,
        Some("pause_turn") => StopReason::Pause,
        _ => StopReason::EndTurn,
    };
    Stop { reason, native: word, sequence }
}

objects! {
    /// `usage` as it is read: in a stream each field replaces the earlier one of its name.
    ///
    /// `input_tokens` excludes what was read from and written to the cache.
    #[derive(Debug, Default, Clone, Copy)]
    struct Tally {
        input_tokens: Option<u64>,
        cache_read_input_tokens: Option<u64>,
        cache_creation_input_tokens: Option<u64>,
        output_tokens: Option<u64>,
        output_tokens_details: Option<OutputDetails>,
    }

    #[derive(Debug, Default, Clone, Copy)]
    struct OutputDetails {
        thinking_tokens: Option<u64>,
    }
}

impl Tally {
    fn then(self, later: Self) -> Self {
        Self {
            input_tokens: later.input_tokens.or(self.input_tokens),
            cache_read_input_tokens: later.cache_read_input_tokens.or(self.cache_read_input_tokens),
            cache_creation_input_tokens: later.cache_creation_input_tokens.or(self.cache_creation_input_tokens),
            output_tokens: later.output_tokens.or(self.output_tokens),
            output_tokens_details: later.output_tokens_details.or(self.output_tokens_details),
        }
    }

    fn usage(self) -> Usage {
        let cached_input = self.cache_read_input_tokens.unwrap_or_default();
        let cache_write = self.cache_creation_input_tokens.unwrap_or_default();
        let fresh = self.input_tokens.unwrap_or_default();
        Usage {
            input: fresh.saturating_add(cached_input).saturating_add(cache_write),
            cached_input,
            cache_write,
            output: self.output_tokens.unwrap_or_default(),
            reasoning: self.output_tokens_details.and_then(|details| details.thinking_tokens).unwrap_or_default(),
        }
    }
}

written! {
    /// `usage` as it is written. The cache fields are always there: Claude Code refuses a stream without them
    /// (BerriAI/litellm#24176).
    struct Bill {
        input_tokens: u64,
        cache_creation_input_tokens: u64,
        cache_read_input_tokens: u64,
        output_tokens: u64,
        output_tokens_details?: Option<ThinkingTokens>,
    }

    struct ThinkingTokens {
        thinking_tokens: u64,
    }
}

impl From<Usage> for Bill {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input.saturating_sub(usage.cached_input).saturating_sub(usage.cache_write),
            cache_creation_input_tokens: usage.cache_write,
            cache_read_input_tokens: usage.cached_input,
            output_tokens: usage.output,
            output_tokens_details: (usage.reasoning > 0).then_some(ThinkingTokens { thinking_tokens: usage.reasoning }),
        }
    }
}

objects! {
    /// A content block as it is read, in requests and answers. The fields stay raw because blocks that are only
    /// passed over use the same names for other types.
    struct Block<'a> {
        kind as "type": Cow<'a, str>,
        text: Option<Raw<'a>>,
        thinking: Option<Raw<'a>>,
        signature: Option<Raw<'a>>,
        data: Option<Raw<'a>>,
        id: Option<Raw<'a>>,
        name: Option<Raw<'a>>,
        input: Option<Raw<'a>>,
        tool_use_id: Option<Raw<'a>>,
        content: Option<Raw<'a>>,
        is_error: Option<Raw<'a>>,
        source: Option<Raw<'a>>,
        title: Option<Raw<'a>>,
        cache_control: Option<Raw<'a>>,
    }
}

/// `arguments` as the object that `tool_use.input` must be, and whether nothing was lost.
///
/// No text is the call of a tool without parameters. Another value than an object is put under `value`, as
/// the model meant to say it. A text that is not JSON, which a model cut short leaves behind, cannot be kept.
fn input(arguments: &str) -> (Verbatim<'_>, bool) {
    match json::parse::<Raw<'_>>(arguments.trim()) {
        Ok(raw) if raw.get().starts_with('{') => (raw.into(), true),
        Ok(raw) if raw.is_null() => (Raw::EMPTY_OBJECT.into(), true),
        Ok(raw) => (Verbatim::made(format!("{{\"value\":{raw}}}")), true),
        Err(_) => (Raw::EMPTY_OBJECT.into(), arguments.trim().is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::models;
    use crate::error::Kind;

    #[test]
    fn only_the_model_is_replaced() {
        let body = br#"{ "model":"a", "temperature":1.0, "metadata" : {"model":"a"} }"#;
        let spliced = splice(&Fields::read(body).unwrap(), "b\"");
        assert_eq!(
            String::from_utf8(spliced).unwrap(),
            r#"{ "model":"b\"", "temperature":1.0, "metadata" : {"model":"a"} }"#
        );
    }

    #[test]
    fn an_error_has_the_shape_of_the_protocol() {
        let error = Error::new(Kind::SpendCapReached, "no more");
        let body: Value = serde_json::from_slice(&error_body(&error, "req_1")).unwrap();
        let expected =
            json!({"type": "error", "error": {"type": "billing_error", "message": "no more"}, "request_id": "req_1"});
        assert_eq!(body, expected);
        let frame = error_frame(&Error::new(Kind::UpstreamTimeout, "a\nb"));
        let expected =
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"a\\nb\"}}\n\n";
        assert_eq!(String::from_utf8(frame).unwrap(), expected);
    }

    #[test]
    fn an_upstreams_message_is_found_in_every_shape() {
        let cases = [
            (r#"{"type":"error","error":{"type":"api_error","message":"m"},"request_id":null}"#, Some("m")),
            (r#"{"error":{"message":"m","type":"x","param":null,"code":null}}"#, Some("m")),
            (r#"{"error":"m"}"#, Some("m")),
            (r#"{"message":"m"}"#, Some("m")),
            (r#"{"detail":"m"}"#, Some("m")),
            (r#"{"detail":[{"loc":["body"],"msg":"m"}]}"#, Some("m")),
            (r#" [{"error":{"code":400,"message":"m"}}]"#, Some("m")),
            (r#"{"error":null,"message":"m"}"#, Some("m")),
            ("<html>m</html>", None),
            ("", None),
            ("{}", None),
            (r#"{"error":{"code":7}}"#, None),
            ("{\"error\":\"m", None),
        ];
        for (body, expected) in cases {
            assert_eq!(read_error(body.as_bytes()).as_deref(), expected, "{body}");
        }
        assert_eq!(read_error(r#"{"error":"#.repeat(100_000).as_bytes()), None);
        let deep = format!("{}1{}", r#"{"error":"#.repeat(100_000), "}".repeat(100_000));
        assert_eq!(read_error(deep.as_bytes()), None);
    }

    #[test]
    fn models_are_listed_as_anthropic_lists_them() {
        let model = |id: &str| Model { id: id.to_owned(), owner: "o".to_owned(), known: models::Model::default() };
        let row =
            |id: &str| json!({"type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z"});
        let list = |models: &[Model]| serde_json::from_slice::<Value>(&write_models(models)).unwrap();
        let expected = json!({"data": [row("a"), row("b")], "has_more": false, "first_id": "a", "last_id": "b"});
        assert_eq!(list(&[model("a"), model("b")]), expected);
        assert_eq!(list(&[]), json!({"data": [], "has_more": false, "first_id": null, "last_id": null}));
        let known = models::Model { context: Some(9), most: Some(7), ..models::Model::default() };
        let told: Value = serde_json::from_slice(&write_model(&Model { known, ..model("a") })).unwrap();
        let mut expected = row("a");
        expected["max_input_tokens"] = json!(9);
        expected["max_tokens"] = json!(7);
        assert_eq!(told, expected);
    }
}
