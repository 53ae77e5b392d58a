//! What answers are made of, whole or in pieces, on the wire: usage, finish reasons, what a message says.
//!
//! Strings are borrowed where they hold no escape. Nothing here keeps state.

use std::borrow::Cow;

use super::detail::Shape;
use crate::chat::{self, StopReason};
use crate::usage::{self, Place, Rule};
use crate::wire::json::{self, Cursor, Fields, Raw, Read, objects, written};

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
    /// One entry of `reasoning_details`, or a piece of one.
    #[derive(Debug)]
    pub(super) struct Detail<'a> {
        kind as "type": Option<Str<'a>>,
        text: Option<Str<'a>>,
        summary: Option<Str<'a>>,
        signature: Option<Str<'a>>,
        data: Option<Str<'a>>,
        format: Option<Str<'a>>,
        id: Option<Str<'a>>,
        index: Option<Raw<'a>>,
    }
}

impl Detail<'_> {
    pub(super) fn text(&self) -> &str {
        match of(&self.text) {
            "" => of(&self.summary),
            text => text,
        }
    }

    /// All but its text.
    pub(super) fn shape(&self) -> Shape<'_> {
        Shape {
            kind: of(&self.kind).into(),
            signature: of(&self.signature).into(),
            data: of(&self.data).into(),
            format: of(&self.format).into(),
            id: of(&self.id).into(),
            index: self.index.and_then(|raw| raw.get().parse().ok()),
        }
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
    struct WireUsage {
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

/// The same tokens by our rule: input includes what was cached, output includes reasoning. None where `told` is no usage.
pub(super) fn read_usage(told: Raw<'_>, rule: &Rule) -> Option<chat::Usage> {
    let wire = json::parse::<Option<WireUsage>>(told.get()).ok().flatten()?;
    let fields = Fields::read(told.get().as_bytes()).ok()?;
    let named = |path: &Option<String>| {
        let raw = path.as_deref().and_then(|path| usage::at(&fields, path));
        raw.and_then(|raw| json::parse(raw.get()).ok()).unwrap_or_default()
    };
    Some(wire.read(rule, [&rule.cached_at, &rule.cache_write_at, &rule.reasoning_at].map(named)))
}

impl WireUsage {
    /// `named` is what stands under the rule's own names. Those that all servers share mean the same wherever they stand, so
    /// that the first that counts anything may be believed.
    fn read(&self, rule: &Rule, [cached, written, reasoning]: [Count; 3]) -> chat::Usage {
        let prompt = self.prompt_tokens_details.as_ref();
        let cached = first([
            cached,
            prompt.map_or(Count(0), |details| details.cached_tokens),
            self.prompt_cache_hit_tokens,
            self.cached_tokens,
            self.cache_read_input_tokens,
        ]);
        let written = first([
            written,
            prompt.map_or(Count(0), |details| details.cache_write_tokens),
            prompt.map_or(Count(0), |details| details.cache_creation_tokens),
            self.cache_creation_input_tokens,
        ]);
        let reasoning = first([
            reasoning,
            self.completion_tokens_details.as_ref().map_or(Count(0), |details| details.reasoning_tokens),
            self.reasoning_tokens,
        ]);
        let caches = cached.saturating_add(written);
        let (mut input, mut output, mut reasoning) = (self.prompt_tokens.0, self.completion_tokens.0, reasoning);
        if rule.cached == Some(Place::Beside) {
            input = input.saturating_add(caches);
        }
        match rule.reasoning {
            Some(Place::Beside) => output = output.saturating_add(reasoning),
            // MiniMax behind OpenRouter counts one more than there are.
            Some(Place::Inside) => reasoning = reasoning.min(output),
            None => {}
        }
        // What the total holds beyond the two sums says which of them leaves something out. Who has a rule for that needs no
        // guess: xAI's total holds reasoning, which may be as much as was cached.
        match self.total_tokens.0.saturating_sub(self.prompt_tokens.0.saturating_add(self.completion_tokens.0)) {
            0 => {}
            rest if rule.reasoning.is_some() && rest == reasoning => {}
            rest if rule.cached.is_some() && (rest == cached || rest == caches) => {}
            rest if rest == reasoning => output = output.saturating_add(rest),
            rest if rest == cached || rest == caches => input = input.saturating_add(rest),
            // Mistral counts audio apart.
            rest if prompt.is_some_and(|details| details.audio_tokens.0 == rest) => input = input.saturating_add(rest),
            // Gemini's compatible endpoint has thoughts in the total only.
            rest if reasoning == 0 => {
                reasoning = rest;
                output = output.saturating_add(rest);
            }
            _ => {}
        }
        // What is more than there is stands beside it, whatever the total says. That less of it stands inside is a guess: where it
        // is wrong, a row has a rule.
        if reasoning > output {
            output = output.saturating_add(reasoning);
        }
        if caches > input {
            input = input.saturating_add(caches);
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
