//! What answers are made of, whole or in pieces, on the wire: usage, finish reasons, what a message says.
//!
//! Strings are borrowed where they hold no escape. Nothing here keeps state.

use std::borrow::Cow;

use crate::chat::{self, StopReason};
use crate::wire::json::{self, Cursor, Raw, Read, objects, written};

/// A string, borrowed where it holds no escape. What is no string counts
/// as an empty one: a server's own idea of an `id` or of `reasoning` must not spoil an answer.
#[derive(Debug)]
pub(super) struct Str<'a>(Cow<'a, str>);

/// The text of an optional string; empty where it is not there.
pub(super) fn of<'b>(text: &'b Option<Str<'_>>) -> &'b str {
    text.as_ref().map_or("", |text| &text.0)
}

objects! {
    /// A message of a whole answer, or what one chunk adds to it.
    #[derive(Debug, Default)]
    pub(super) struct Said<'a> {
        pub(super) content: Option<Spoken<'a>>,
        pub(super) refusal: Option<Str<'a>>,
        /// DeepSeek's name, which most servers took over.
        reasoning_content: Option<Str<'a>>,
        /// The name that OpenRouter, Groq and newer vLLM use.
        reasoning: Option<Str<'a>>,
        pub(super) reasoning_details: Option<Vec<Detail<'a>>>,
        pub(super) tool_calls: Option<Vec<CallPiece<'a>>>,
    }
}

impl Said<'_> {
    /// Reasoning told as one plain string. Some servers send both names, with the same text.
    pub(super) fn plain_reasoning(&self) -> &str {
        match of(&self.reasoning_content) {
            "" => of(&self.reasoning),
            text => text,
        }
    }
}

/// `content`: text, or parts of which Mistral's reasoning models send `thinking` too.
pub(super) type Spoken<'a> = TextOr<'a, SpokenPart<'a>>;

#[derive(Debug)]
pub(super) enum TextOr<'a, Part> {
    Text(Cow<'a, str>),
    Parts(Vec<Part>),
}

objects! {
    #[derive(Debug)]
    pub(super) struct SpokenPart<'a> {
        pub(super) text: Option<Str<'a>>,
        pub(super) thinking: Option<TextOr<'a, Thought<'a>>>,
    }

    #[derive(Debug)]
    pub(super) struct Thought<'a> {
        pub(super) text: Option<Str<'a>>,
    }
}

impl<'a, Part: Read<'a>> Read<'a> for TextOr<'a, Part> {
    fn read(at: &mut Cursor<'a>) -> Self {
        match at.peek() {
            b'"' => Self::Text(at.string()),
            b'[' => Self::Parts(Vec::read(at)),
            _ => {
                at.expected("text or an array of parts");
                Self::blank()
            }
        }
    }

    fn blank() -> Self {
        Self::Parts(Vec::new())
    }
}

objects! {
    /// One entry of OpenRouter's `reasoning_details`.
    #[derive(Debug)]
    pub(super) struct Detail<'a> {
        text: Option<Str<'a>>,
        summary: Option<Str<'a>>,
        signature: Option<Str<'a>>,
        data: Option<Str<'a>>,
    }
}

impl Detail<'_> {
    pub(super) fn text(&self) -> &str {
        match of(&self.text) {
            "" => of(&self.summary),
            text => text,
        }
    }

    pub(super) fn signature(&self) -> &str {
        of(&self.signature)
    }

    /// Reasoning that only its provider can read.
    pub(super) fn sealed(&self) -> &str {
        of(&self.data)
    }
}

objects! {
    /// A tool call, or what one chunk adds to one.
    #[derive(Debug)]
    pub(super) struct CallPiece<'a> {
        pub(super) index: Option<u64>,
        pub(super) id: Option<Str<'a>>,
        pub(super) function: Option<FunctionPiece<'a>>,
    }

    #[derive(Debug)]
    pub(super) struct FunctionPiece<'a> {
        pub(super) name: Option<Str<'a>>,
        pub(super) arguments: Option<Raw<'a>>,
    }
}

impl FunctionPiece<'_> {
    /// The arguments' JSON text. A few servers send the object itself where its text is due.
    pub(super) fn arguments(&self) -> Cow<'_, str> {
        let Some(raw) = self.arguments else { return Cow::Borrowed("") };
        match json::parse::<Scalar<'_>>(raw.get()) {
            Ok(Scalar::Text(text)) => text,
            Ok(Scalar::Number(_) | Scalar::Other) | Err(_) => Cow::Borrowed(raw.get()),
        }
    }
}

objects! {
    /// Tokens as the wire has them. Every field is optional, and null somewhere.
    #[derive(Debug, Default)]
    pub(super) struct WireUsage {
        prompt_tokens: Count = Count::default(),
        completion_tokens: Count = Count::default(),
        total_tokens: Count = Count::default(),
        prompt_tokens_details: Option<PromptDetails>,
        completion_tokens_details: Option<CompletionDetails>,
        /// DeepSeek.
        prompt_cache_hit_tokens: Count = Count::default(),
        /// Moonshot.
        cached_tokens: Count = Count::default(),
        /// Venice and Vercel.
        cache_read_input_tokens: Count = Count::default(),
        cache_creation_input_tokens: Count = Count::default(),
        /// Perplexity and Z.ai.
        reasoning_tokens: Count = Count::default(),
    }

    #[derive(Debug, Default)]
    struct PromptDetails {
        cached_tokens: Count = Count::default(),
        cache_write_tokens: Count = Count::default(),
        cache_creation_tokens: Count = Count::default(),
        audio_tokens: Count = Count::default(),
    }

    #[derive(Debug, Default)]
    struct CompletionDetails {
        reasoning_tokens: Count = Count::default(),
    }
}

impl WireUsage {
    /// The same tokens by our rule: input includes what was cached, output includes reasoning.
    pub(super) fn read(&self) -> chat::Usage {
        let prompt = self.prompt_tokens_details.as_ref();
        let cached = first([
            prompt.map_or(Count(0), |details| details.cached_tokens),
            self.prompt_cache_hit_tokens,
            self.cached_tokens,
            self.cache_read_input_tokens,
        ]);
        let written = first([
            prompt.map_or(Count(0), |details| details.cache_write_tokens),
            prompt.map_or(Count(0), |details| details.cache_creation_tokens),
            self.cache_creation_input_tokens,
        ]);
        let mut reasoning = first([
            self.completion_tokens_details.as_ref().map_or(Count(0), |details| details.reasoning_tokens),
            self.reasoning_tokens,
        ]);
        let (mut input, mut output) = (self.prompt_tokens.0, self.completion_tokens.0);
        // What the total holds beyond the two sums says which of them leaves something out.
        match self.total_tokens.0.saturating_sub(input.saturating_add(output)) {
            0 => {}
            // xAI.
            rest if rest == reasoning => output = output.saturating_add(rest),
            rest if rest == cached || rest == cached.saturating_add(written) => input = input.saturating_add(rest),
            // Mistral counts audio apart.
            rest if prompt.is_some_and(|details| details.audio_tokens.0 == rest) => input = input.saturating_add(rest),
            // Gemini's compatible endpoint has thoughts in the total only.
            rest if reasoning == 0 => {
                reasoning = rest;
                output = output.saturating_add(rest);
            }
            _ => {}
        }
        // Gemini models elsewhere: the total leaves the thoughts out as well.
        if reasoning > output {
            output = output.saturating_add(reasoning);
        }
        // Grok on Azure counts only what was not cached.
        if cached.saturating_add(written) > input {
            input = input.saturating_add(cached).saturating_add(written);
        }
        chat::Usage { input, cached_input: cached, cache_write: written, output, reasoning }
    }
}

fn first<const N: usize>(counts: [Count; N]) -> u64 {
    counts.into_iter().map(|Count(count)| count).find(|count| *count > 0).unwrap_or(0)
}

/// A number of tokens. What is no number counts as nothing: usage must not spoil an answer either.
#[derive(Debug, Clone, Copy, Default)]
struct Count(u64);

impl<'a> Read<'a> for Count {
    fn read(at: &mut Cursor<'a>) -> Self {
        match Scalar::read(at) {
            Scalar::Number(count) => Self(count),
            Scalar::Text(_) | Scalar::Other => Self(0),
        }
    }

    fn blank() -> Self {
        Self::default()
    }
}

impl<'a> Read<'a> for Str<'a> {
    fn read(at: &mut Cursor<'a>) -> Self {
        match Scalar::read(at) {
            Scalar::Text(text) => Self(text),
            Scalar::Number(_) | Scalar::Other => Self(Cow::Borrowed("")),
        }
    }

    fn blank() -> Self {
        Self(Cow::Borrowed(""))
    }
}

/// Any value, of which only text and whole numbers are of use.
enum Scalar<'a> {
    Text(Cow<'a, str>),
    /// Negative numbers are 0, fractions are cut.
    Number(u64),
    Other,
}

impl<'a> Read<'a> for Scalar<'a> {
    fn read(at: &mut Cursor<'a>) -> Self {
        match at.peek() {
            b'"' => Self::Text(at.string()),
            b'-' | b'0'..=b'9' => {
                let number = at.number("a number");
                // Saturates.
                Self::Number(number.parse().unwrap_or_else(|_| json::float(number) as u64))
            }
            _ => {
                at.skip();
                Self::Other
            }
        }
    }

    fn blank() -> Self {
        Self::Other
    }
}

written! {
    /// Tokens as we write them.
    #[derive(Debug)]
    pub(super) struct UsageOut {
        prompt_tokens: u64,
        completion_tokens: u64,
        total_tokens: u64,
        prompt_tokens_details: PromptDetailsOut,
        completion_tokens_details: CompletionDetailsOut,
    }

    #[derive(Debug)]
    struct PromptDetailsOut {
        cached_tokens: u64,
        cache_write_tokens?: u64,
    }

    #[derive(Debug)]
    struct CompletionDetailsOut {
        reasoning_tokens: u64,
    }
}

impl From<&chat::Usage> for UsageOut {
    fn from(usage: &chat::Usage) -> Self {
        Self {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.input.saturating_add(usage.output),
            prompt_tokens_details: PromptDetailsOut {
                cached_tokens: usage.cached_input,
                cache_write_tokens: usage.cache_write,
            },
            completion_tokens_details: CompletionDetailsOut { reasoning_tokens: usage.reasoning },
        }
    }
}

/// Finish reasons seen in the wild, lower case, with what they mean; any other word is an ordinary end.
const FINISH_REASONS: &[(&str, StopReason)] = &[
    ("stop", StopReason::EndTurn),
    ("stop_sequence", StopReason::StopSequence),
    ("length", StopReason::Length),
    ("max_tokens", StopReason::Length),
    ("model_length", StopReason::Length),
    ("model_context_window_exceeded", StopReason::Length),
    ("tool_calls", StopReason::ToolUse),
    ("tool_call", StopReason::ToolUse),
    ("tool_use", StopReason::ToolUse),
    ("function_call", StopReason::ToolUse),
    ("content_filter", StopReason::Filtered),
    ("content_filtered", StopReason::Filtered),
    ("refusal", StopReason::Filtered),
    ("safety", StopReason::Filtered),
    ("recitation", StopReason::Filtered),
    ("blocklist", StopReason::Filtered),
    ("prohibited_content", StopReason::Filtered),
    ("spii", StopReason::Filtered),
    ("language", StopReason::Filtered),
    ("image_safety", StopReason::Filtered),
    ("guardrail_intervened", StopReason::Filtered),
    ("sensitive", StopReason::Filtered),
    ("pause_turn", StopReason::Pause),
    ("error", StopReason::Error),
    ("network_error", StopReason::Error),
    ("insufficient_system_resource", StopReason::Error),
    ("malformed_function_call", StopReason::Error),
];

pub(super) fn stop_reason(finish_reason: &str) -> StopReason {
    FINISH_REASONS
        .iter()
        .find(|(word, _)| finish_reason.eq_ignore_ascii_case(word))
        .map_or(StopReason::EndTurn, |(_, reason)| *reason)
}

pub(super) fn finish_reason(reason: StopReason) -> &'static str {
    match reason {
        // A paused turn has no name here; the caller sees what was written, and `native_finish_reason`.
        StopReason::EndTurn | StopReason::StopSequence | StopReason::Pause => "stop",
        StopReason::Length => "length",
        StopReason::ToolUse => "tool_calls",
        StopReason::Filtered => "content_filter",
        StopReason::Error => "error",
    }
}
