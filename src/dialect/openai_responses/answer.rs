//! What answers are made of on the wire as upstreams send them: the response, its items, its usage, its failure.
//!
//! Nothing here keeps state. What is of no use stays a raw value, so that no server's own idea of it spoils an answer.

use std::borrow::Cow;

use crate::chat::{Stop, StopReason, Usage};
use crate::dialect::Malformed;
use crate::wire::json::{self, Raw, Read, objects};

/// A string, borrowed where it holds no escape; `None` where something else stands.
pub(super) fn text<'a>(raw: Raw<'a>) -> Option<Cow<'a, str>> {
    json::parse(raw.get()).ok()
}

fn said<'a>(raw: Option<Raw<'a>>) -> Cow<'a, str> {
    raw.and_then(text).unwrap_or_default()
}

pub(super) fn read<'a, T: Read<'a>>(raw: Raw<'a>, at: &str) -> Result<T, Malformed> {
    json::parse(raw.get()).map_err(|error| Malformed(format!("{at}: {error}")))
}

objects! {
    /// The whole `response`, as a body or inside an event.
    #[derive(Debug, Default)]
    pub(super) struct Whole<'a> {
        id: Option<Raw<'a>>,
        model: Option<Raw<'a>>,
        status: Option<Raw<'a>>,
        pub(super) output: Option<Vec<Raw<'a>>>,
        incomplete_details: Option<Raw<'a>>,
        error: Option<Raw<'a>>,
        usage: Option<Raw<'a>>,
        reasoning: Option<Raw<'a>>,
    }
}

impl Whole<'_> {
    pub(super) fn id(&self) -> String {
        said(self.id).into_owned()
    }

    pub(super) fn model(&self) -> String {
        said(self.model).into_owned()
    }

    pub(super) fn status(&self) -> Cow<'_, str> {
        said(self.status)
    }

    /// All of the reasoning as one text, as mistral.rs has it; elsewhere the settings stand there.
    pub(super) fn thoughts(&self) -> Option<String> {
        Some(said(self.reasoning).into_owned()).filter(|text| !text.trim().is_empty())
    }

    /// What it says went wrong, where it says so.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.error.filter(|error| error.get() != "null").map(Fault::read)
    }

    /// `called` and `refused`: whether the answer calls tools of the caller, and whether it has a refusal.
    pub(super) fn stop(&self, called: bool, refused: bool) -> Stop {
        objects! {
            struct Details<'a> {
                reason: Option<Raw<'a>>,
            }
        }
        let details = self.incomplete_details.and_then(|raw| json::parse::<Option<Details<'_>>>(raw.get()).ok());
        let cause = details.flatten().and_then(|details| details.reason).and_then(text);
        let (reason, native) = match (cause, self.status()) {
            (Some(cause), _) if cause == "content_filter" => (StopReason::Filtered, cause),
            (Some(cause), _) => (StopReason::Length, cause),
            (None, status) if status == "incomplete" => (StopReason::Length, status),
            (None, _) if refused => (StopReason::Filtered, "refusal".into()),
            (None, status) if called => (StopReason::ToolUse, status),
            (None, status) => (StopReason::EndTurn, status),
        };
        let native = Some(native.into_owned()).filter(|native| !native.is_empty());
        Stop { reason, native, sequence: None }
    }

    /// All vendors include cached tokens in the input and reasoning in the output here.
    pub(super) fn usage(&self) -> Option<Usage> {
        objects! {
            #[derive(Default)]
            struct Wire {
                input_tokens: Option<u64>,
                output_tokens: Option<u64>,
                input_tokens_details: Option<InputDetails>,
                output_tokens_details: Option<OutputDetails>,
            }

            #[derive(Default)]
            struct InputDetails {
                cached_tokens: Option<u64>,
                cache_write_tokens: Option<u64>,
            }

            #[derive(Default)]
            struct OutputDetails {
                reasoning_tokens: Option<u64>,
            }
        }
        let wire = self.usage.and_then(|raw| json::parse::<Option<Wire>>(raw.get()).ok()).flatten()?;
        let input = wire.input_tokens_details.unwrap_or_default();
        let output = wire.output_tokens_details.unwrap_or_default();
        Some(Usage {
            input: wire.input_tokens.unwrap_or_default(),
            cached_input: input.cached_tokens.unwrap_or_default(),
            cache_write: input.cache_write_tokens.unwrap_or_default(),
            output: wire.output_tokens.unwrap_or_default(),
            reasoning: output.reasoning_tokens.unwrap_or_default(),
        })
    }
}

/// What an upstream says went wrong: an event, an object or a plain string.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
}

impl Fault {
    pub(super) fn read(error: Raw<'_>) -> Self {
        objects! {
            struct Wire<'a> {
                code: Option<Raw<'a>>,
                kind as "type": Option<Raw<'a>>,
                message: Option<Raw<'a>>,
            }
        }
        let owned = |raw: Option<Raw<'_>>| raw.and_then(text).map(Cow::into_owned).filter(|text| !text.is_empty());
        match json::parse::<Wire<'_>>(error.get()) {
            Ok(wire) => Self { code: owned(wire.code).or_else(|| owned(wire.kind)), message: owned(wire.message) },
            Err(_) => Self { code: None, message: owned(Some(error)) },
        }
    }
}

objects! {
    /// One item of `output`, begun or done.
    #[derive(Debug)]
    pub(super) struct Item<'a> {
        kind as "type": Option<Raw<'a>>,
        content: Option<Raw<'a>>,
        summary: Option<Raw<'a>>,
        encrypted_content: Option<Raw<'a>>,
        call_id: Option<Raw<'a>>,
        id: Option<Raw<'a>>,
        name: Option<Raw<'a>>,
        namespace: Option<Raw<'a>>,
        arguments: Option<Raw<'a>>,
        input: Option<Raw<'a>>,
    }
}

/// What an item is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemKind {
    Message,
    Reasoning,
    Function,
    Custom,
}

objects! {
    /// One part of a message or of reasoning.
    #[derive(Debug)]
    struct Piece<'a> {
        text: Option<Raw<'a>>,
        refusal: Option<Raw<'a>>,
    }
}

impl<'a> Item<'a> {
    /// `None` for what the provider ran itself.
    pub(super) fn kind(&self) -> Option<ItemKind> {
        Some(match &*said(self.kind) {
            "message" => ItemKind::Message,
            "reasoning" => ItemKind::Reasoning,
            "function_call" => ItemKind::Function,
            "custom_tool_call" => ItemKind::Custom,
            _ => return None,
        })
    }

    /// The texts of a message; whether each is a refusal.
    pub(super) fn words(&self) -> Vec<(Cow<'a, str>, bool)> {
        let words = |piece: Piece<'a>| match piece.refusal {
            Some(refusal) => (said(Some(refusal)), true),
            None => (said(piece.text), false),
        };
        if let Some(words) = self.content.and_then(text) {
            return vec![(words, false)];
        }
        pieces(self.content).into_iter().map(words).collect()
    }

    /// The summary, then what the model thought in its own words; a blank line between any two.
    pub(super) fn thoughts(&self) -> String {
        let pieces = pieces(self.summary).into_iter().chain(pieces(self.content));
        let texts: Vec<_> = pieces.map(|piece| said(piece.text)).filter(|text| !text.is_empty()).collect();
        texts.join("\n\n")
    }

    pub(super) fn sealed(&self) -> Option<String> {
        Some(said(self.encrypted_content).into_owned()).filter(|sealed| !sealed.is_empty())
    }

    /// Some servers have one id only.
    pub(super) fn call_id(&self) -> String {
        match said(self.call_id) {
            id if id.is_empty() => said(self.id).into_owned(),
            id => id.into_owned(),
        }
    }

    pub(super) fn name(&self) -> String {
        super::tools::joined(&said(self.namespace), &said(self.name))
    }

    /// The arguments of a function, or the free text of a custom call.
    pub(super) fn argument(&self) -> Cow<'a, str> {
        let raw = self.arguments.or(self.input);
        // The object itself where its text is due: its text, then.
        raw.map(|raw| text(raw).unwrap_or(Cow::Borrowed(raw.get()))).unwrap_or_default()
    }
}

fn pieces<'a>(raw: Option<Raw<'a>>) -> Vec<Piece<'a>> {
    raw.and_then(|raw| json::parse(raw.get()).ok()).unwrap_or_default()
}
