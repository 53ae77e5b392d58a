//! Gemini's `generateContent`, as Google AI Studio and Vertex AI speak it.
//!
//! `read_request` and `write_request` face callers and upstreams, `decode` and `encode` are an answer in pieces; a whole
//! answer is one piece, or a list of them. Here stands what they share: the words of the protocol, usage and errors.
//! The model and whether it streams stand in the path, not in the body.
//!
//! Source: "Generating content", Gemini API documentation, and the discovery document of Vertex AI v1, read 2026-11.

mod decode;
mod embed;
mod encode;
mod partial;
mod read_request;
mod write_request;

#[cfg(test)]
mod tests;

pub use decode::{Decoder, read_response};
pub use embed::Embeddings;
pub use encode::{Encoder, write_response};
pub use read_request::{count_body, output_asked, read_request};
pub use write_request::write_request;

use super::{Ask, Model};
use crate::chat::{Stop, StopReason, Usage};
use crate::error::Error;
use crate::route::need::Need;
use crate::wire::frame::Framing;
use crate::wire::json::{self, Fields, Raw, objects, quoted, to_vec, written};

/// The body names the model only in passing, and then as the path does.
pub fn splice(body: &Fields<'_>, model: &str) -> Vec<u8> {
    let name = quoted(&format!("models/{model}"));
    // `countTokens` may hold a whole request, which has the name too.
    let inner = body.raw("generateContentRequest").and_then(|raw| Fields::read(raw.get().as_bytes()).ok());
    let inner = inner.filter(|inner| inner.raw("model").is_some()).map(|inner| inner.with(&[("model", &name)]));
    let inner = inner.and_then(|inner| String::from_utf8(inner).ok());
    let mut values = Vec::new();
    values.extend(body.raw("model").map(|_| ("model", name.as_str())));
    values.extend(inner.as_deref().map(|inner| ("generateContentRequest", inner)));
    body.with(&values)
}

/// `base` ends with the version (AI Studio), or with `/publishers/google` (Vertex AI).
pub fn url(base: &str, model: &str, ask: Ask) -> String {
    let model = escaped(model);
    // Models that somebody has tuned stand beside the others.
    let folder = if model.starts_with("models/") || model.starts_with("tunedModels/") { "" } else { "models/" };
    let verb = match ask {
        // What it cannot be asked for is not asked.
        Ask::Answer | Ask::Embeddings | Ask::Rerank => "generateContent",
        Ask::Stream(Framing::Array) => "streamGenerateContent",
        Ask::Stream(Framing::Sse | Framing::Lines | Framing::EventStream) => "streamGenerateContent?alt=sse",
        Ask::TokenCount => "countTokens",
    };
    format!("{base}/{folder}{model}:{verb}")
}

/// Google's OAuth access tokens begin with `ya29.`; its API keys never do.
pub fn credential(key: &str) -> (&'static str, String) {
    if key.starts_with("ya29.") {
        ("authorization", format!("Bearer {key}"))
    } else {
        ("x-goog-api-key", key.to_owned())
    }
}

/// A model's name as a part of a path.
fn escaped(model: &str) -> String {
    let mut path = String::with_capacity(model.len());
    for byte in model.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' => {
                path.push(char::from(byte));
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

pub fn error_body(error: &Error) -> Vec<u8> {
    written! {
        struct Envelope<'a> {
            error: Status<'a>,
        }

        struct Status<'a> {
            code: u16,
            message: &'a str,
            status: &'static str,
            details: Vec<Detail<'a>>,
        }

        enum Detail<'a> tagged "@type" {
            RetryInfo as "type.googleapis.com/google.rpc.RetryInfo" { retry_delay as "retryDelay": String },
            BadRequest as "type.googleapis.com/google.rpc.BadRequest" { field_violations as "fieldViolations": [Violation<'a>; 1] },
        }

        struct Violation<'a> {
            field: &'a str,
            description: &'a str,
        }
    }
    let row = error.kind.row();
    let mut details = Vec::new();
    if let Some(field) = &error.param {
        details.push(Detail::BadRequest { field_violations: [Violation { field, description: &error.message }] });
    }
    // Google's clients look for the wait here, not in `retry-after`.
    details.extend(error.retry_after.map(|seconds| Detail::RetryInfo { retry_delay: format!("{seconds}s") }));
    to_vec(&Envelope { error: Status { code: row.status, message: &error.message, status: row.gemini, details } })
}

pub fn error_frame(error: &Error) -> Vec<u8> {
    [b"data: ", error_body(error).as_slice(), b"\r\n\r\n"].concat()
}

/// The message in an error body: `{"error":{"message"}}`, also in a list, as streams that are lists have it; and the
/// plainer shapes of proxies.
pub fn read_error(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    if text.trim_start().starts_with('[') {
        let list: Vec<Raw<'_>> = json::parse(text).ok()?;
        return list.into_iter().find_map(|raw| fault(raw.get())).map(|fault| fault.message);
    }
    fault(text).map(|fault| fault.message)
}

/// How many seconds an error body says to wait: Google has no header for it.
pub fn read_wait(body: &[u8]) -> Option<String> {
    objects! {
        struct Outer {
            error: Option<Status>,
        }

        struct Status {
            details: Option<Vec<Detail>>,
        }

        struct Detail {
            retry_delay as "retryDelay": Option<String>,
        }
    }
    let text = std::str::from_utf8(body).ok()?;
    let outer: Outer = if text.trim_start().starts_with('[') {
        json::parse::<Vec<Outer>>(text).ok()?.into_iter().next()?
    } else {
        json::parse(text).ok()?
    };
    let delay = outer.error?.details?.into_iter().find_map(|detail| detail.retry_delay)?;
    delay.strip_suffix('s').map(str::to_owned)
}

/// What an upstream says went wrong.
struct Fault {
    kind: Option<String>,
    message: String,
}

fn fault(text: &str) -> Option<Fault> {
    objects! {
        struct Outer<'a> {
            error: Option<Raw<'a>>,
            message: Option<Raw<'a>>,
        }
    }
    let outer: Outer<'_> = json::parse(text).ok()?;
    let words = |raw: Raw<'_>| json::parse::<String>(raw.get()).ok().filter(|text| !text.is_empty());
    match outer.error {
        Some(error) => Fault::read(error),
        None => outer.message.and_then(words).map(|message| Fault { kind: None, message }),
    }
}

impl Fault {
    /// The value of `error`: a status or a plain string.
    fn read(error: Raw<'_>) -> Option<Self> {
        objects! {
            struct Status {
                message: Option<String>,
                status: Option<String>,
            }
        }
        match json::parse::<Status>(error.get()) {
            Ok(Status { message, status }) => {
                let message = message.filter(|message| !message.is_empty()).or_else(|| status.clone())?;
                Some(Self { kind: status, message })
            }
            Err(_) => {
                let message: String = json::parse(error.get()).ok()?;
                (!message.is_empty()).then_some(Self { kind: None, message })
            }
        }
    }
}

pub fn write_models(models: &[Model]) -> Vec<u8> {
    written! {
        struct List<'a> {
            models: Vec<Row<'a>>,
        }
    }
    to_vec(&List { models: models.iter().map(Row::of).collect() })
}

pub fn write_model(model: &Model) -> Vec<u8> {
    to_vec(&Row::of(model))
}

written! {
    struct Row<'a> {
        name: String,
        display_name as "displayName": &'a str,
        input_token_limit as "inputTokenLimit"?: Option<u64>,
        output_token_limit as "outputTokenLimit"?: Option<u64>,
        supported_generation_methods as "supportedGenerationMethods": [&'static str; 3],
        thinking?: Option<bool>,
    }
}

impl<'a> Row<'a> {
    fn of(Model { id, known, .. }: &'a Model) -> Self {
        let thinks = known.can.has(Need::Reasoning);
        Self {
            name: format!("models/{id}"),
            display_name: id,
            input_token_limit: known.context,
            output_token_limit: known.most,
            supported_generation_methods: ["generateContent", "streamGenerateContent", "countTokens"],
            thinking: (thinks || known.cannot.has(Need::Reasoning)).then_some(thinks),
        }
    }
}

/// The body of `countTokens`.
pub fn write_count(tokens: u64) -> Vec<u8> {
    written! {
        struct Count {
            total_tokens as "totalTokens": u64,
        }
    }
    to_vec(&Count { total_tokens: tokens })
}

/// `finishReason`, and `blockReason` of a prompt that was not answered. What is not here ends a turn.
const STOP_REASONS: &[(&str, StopReason)] = &[
    ("STOP", StopReason::EndTurn),
    ("MAX_TOKENS", StopReason::Length),
    ("SAFETY", StopReason::Filtered),
    ("RECITATION", StopReason::Filtered),
    ("LANGUAGE", StopReason::Filtered),
    ("BLOCKLIST", StopReason::Filtered),
    ("PROHIBITED_CONTENT", StopReason::Filtered),
    ("SPII", StopReason::Filtered),
    ("MODEL_ARMOR", StopReason::Filtered),
    ("JAILBREAK", StopReason::Filtered),
    ("IMAGE_SAFETY", StopReason::Filtered),
    ("IMAGE_PROHIBITED_CONTENT", StopReason::Filtered),
    ("IMAGE_RECITATION", StopReason::Filtered),
    ("CONTINUATION", StopReason::Pause),
    ("OTHER", StopReason::Error),
    ("IMAGE_OTHER", StopReason::Error),
    ("NO_IMAGE", StopReason::Error),
    ("MALFORMED_FUNCTION_CALL", StopReason::Error),
    ("MALFORMED_RESPONSE", StopReason::Error),
    ("UNEXPECTED_TOOL_CALL", StopReason::Error),
    ("TOO_MANY_TOOL_CALLS", StopReason::Error),
    ("MISSING_THOUGHT_SIGNATURE", StopReason::Error),
];

/// Why the model stopped; `called` is whether the answer holds a tool call, which the protocol has no word for.
fn read_stop(word: &str, called: bool) -> Stop {
    let known = STOP_REASONS.iter().find(|(known, _)| *known == word);
    let reason = match known.map_or(StopReason::EndTurn, |(_, reason)| *reason) {
        StopReason::EndTurn if called => StopReason::ToolUse,
        reason => reason,
    };
    Stop { reason, native: Some(word.to_owned()), sequence: None }
}

fn stop_word(stop: &Stop) -> &str {
    let native = stop.native.as_deref().and_then(|word| STOP_REASONS.iter().find(|(known, _)| *known == word));
    match (native, stop.reason) {
        (Some((word, _)), _) => word,
        (None, StopReason::EndTurn | StopReason::StopSequence | StopReason::ToolUse | StopReason::Pause) => "STOP",
        (None, StopReason::Length) => "MAX_TOKENS",
        (None, StopReason::Filtered) => "SAFETY",
        (None, StopReason::Error) => "OTHER",
    }
}

objects! {
    /// `usageMetadata`, both ways. The prompt includes what was cached, but not what tools of Google's own read; the
    /// candidates do not include the thoughts.
    #[derive(Debug, Default, Clone, Copy)]
    struct Tally {
        prompt_token_count as "promptTokenCount": Option<u64>,
        cached_content_token_count as "cachedContentTokenCount": Option<u64>,
        candidates_token_count as "candidatesTokenCount": Option<u64>,
        tool_use_prompt_token_count as "toolUsePromptTokenCount": Option<u64>,
        thoughts_token_count as "thoughtsTokenCount": Option<u64>,
        total_token_count as "totalTokenCount": Option<u64>,
    }
}

written! {
    impl Tally {
        prompt_token_count as "promptTokenCount",
        cached_content_token_count as "cachedContentTokenCount"?,
        candidates_token_count as "candidatesTokenCount",
        tool_use_prompt_token_count as "toolUsePromptTokenCount"?,
        thoughts_token_count as "thoughtsTokenCount"?,
        total_token_count as "totalTokenCount",
    }
}

impl Tally {
    /// `None` where no tokens are told: Vertex AI sends the kind of traffic alone before the end.
    fn usage(self) -> Option<Usage> {
        let prompt = self.prompt_token_count?;
        let reasoning = self.thoughts_token_count.unwrap_or_default();
        Some(Usage {
            input: prompt.saturating_add(self.tool_use_prompt_token_count.unwrap_or_default()),
            cached_input: self.cached_content_token_count.unwrap_or_default(),
            cache_write: 0,
            output: self.candidates_token_count.unwrap_or_default().saturating_add(reasoning),
            reasoning,
        })
    }
}

impl From<Usage> for Tally {
    fn from(usage: Usage) -> Self {
        let told = |tokens: u64| (tokens > 0).then_some(tokens);
        Self {
            prompt_token_count: Some(usage.input),
            cached_content_token_count: told(usage.cached_input),
            candidates_token_count: Some(usage.output.saturating_sub(usage.reasoning)),
            tool_use_prompt_token_count: None,
            thoughts_token_count: told(usage.reasoning),
            total_token_count: Some(usage.input.saturating_add(usage.output)),
        }
    }
}
