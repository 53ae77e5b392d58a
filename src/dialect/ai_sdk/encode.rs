//! Writes answers: events into parts of a stream, and the result of a call.
//!
//! A tool call is told twice in a stream, as it grows and when it is whole: the first is for those who watch. All that
//! models write stands in strings, so a part is always one line.

use super::{Problem, Version};
use crate::chat::{self, Block, Content, Event, Kind, Stop, StopReason, ToolCall, Usage};
use crate::dialect::{Encode, Label};
use crate::error::{self, Error};
use crate::wire::json::{to_vec, written};

/// The arguments of a call, or a proof, that are longer go out without the rest: they are kept until they are whole.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Writes a stream of parts.
#[derive(Debug)]
pub struct Encoder {
    version: Version,
    label: Label,
    open: Option<Kind>,
    /// Blocks so far, the open one included; the id of the open one.
    blocks: u64,
    id: String,
    /// The open call.
    call: Option<ToolCall>,
    /// Of the open reasoning.
    signature: String,
    stop: Stop,
    usage: Option<Usage>,
}

impl Encoder {
    pub fn new(label: Label, version: Version) -> Self {
        Self {
            version,
            label,
            open: None,
            blocks: 0,
            id: String::new(),
            call: None,
            signature: String::new(),
            stop: Stop::default(),
            usage: None,
        }
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model } => {
                write(PartOut { warnings: Some(warnings(&self.label)), ..PartOut::of("stream-start") }, out);
                let id = if id.is_empty() { &self.label.id } else { id };
                let named = Some(model.as_str()).filter(|model| !model.is_empty());
                write(PartOut { id: Some(id), model_id: named, ..PartOut::of("response-metadata") }, out);
            }
            Event::Open(block) => self.open(block, out),
            Event::Text(text) => self.delta("text-delta", text, out),
            Event::Reasoning(text) => self.delta("reasoning-delta", text, out),
            Event::Signature(signature) => keep(&mut self.signature, signature),
            Event::Arguments(arguments) => {
                if let Some(call) = &mut self.call {
                    keep(&mut call.arguments, arguments);
                }
                self.delta("tool-input-delta", arguments, out);
            }
            Event::Close => self.close(out),
            Event::Stop(stop) => self.stop.clone_from(stop),
            Event::Usage(usage) => self.usage = Some(*usage),
            // Only the last version has a part that says nothing.
            Event::Ping => {}
            Event::Error { message, .. } => {
                out.extend(error_frame(&Error::new(error::Kind::BadUpstream, message.as_str())));
            }
            Event::End => {
                let finish_reason = Some(FinishOut::of(&self.stop, self.version));
                let usage = Some(UsageOut::of(self.usage, self.version));
                write(PartOut { finish_reason, usage, ..PartOut::of("finish") }, out);
            }
        }
    }
}

impl Encoder {
    fn open(&mut self, block: &Block, out: &mut Vec<u8>) {
        self.blocks += 1;
        self.id = self.blocks.to_string();
        self.open = Some(block.kind());
        match block {
            Block::Text => self.bound("text-start", None, out),
            Block::Reasoning => self.bound("reasoning-start", None, out),
            Block::SealedReasoning(sealed) => self.bound("reasoning-start", Some(Metadata::sealed(sealed)), out),
            Block::ToolCall { id, name, signature } => {
                self.id.clone_from(id);
                write(PartOut { id: Some(id), tool_name: Some(name), ..PartOut::of("tool-input-start") }, out);
                let (id, name, signature) = (id.clone(), name.clone(), signature.clone());
                self.call = Some(ToolCall { id, name, arguments: String::new(), signature });
            }
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        match self.open.take() {
            Some(Kind::ToolCall) => {
                self.bound("tool-input-end", None, out);
                if let Some(call) = self.call.take() {
                    write(PartOut::call(&call), out);
                }
            }
            Some(Kind::Reasoning | Kind::Sealed) => {
                let signature = std::mem::take(&mut self.signature);
                self.bound("reasoning-end", Metadata::signed(&signature), out);
            }
            Some(Kind::Text) | None => self.bound("text-end", None, out),
        }
    }

    /// The first or the last part of the open block.
    fn bound(&self, kind: &'static str, provider_metadata: Option<Metadata<'_>>, out: &mut Vec<u8>) {
        write(PartOut { id: Some(&self.id), provider_metadata, ..PartOut::of(kind) }, out);
    }

    fn delta(&self, kind: &'static str, delta: &str, out: &mut Vec<u8>) {
        write(PartOut { id: Some(&self.id), delta: Some(delta), ..PartOut::of(kind) }, out);
    }
}

fn keep(kept: &mut String, more: &str) {
    if kept.len() <= KEPT_BYTES_MAX {
        kept.push_str(more);
    }
}

pub fn error_frame(error: &Error) -> Vec<u8> {
    let mut frame = Vec::new();
    write(PartOut { error: Some(Problem::of(error)), ..PartOut::of("error") }, &mut frame);
    frame
}

/// Writes an event of a stream.
fn write(part: PartOut<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend(to_vec(&part));
    out.extend_from_slice(b"\n\n");
}

/// The result of a call that did not stream.
pub fn write_response(response: &chat::Response, label: &Label, version: Version) -> Vec<u8> {
    let content = response.parts.iter().filter_map(|part| match &part.content {
        Content::Text(text) => Some(PartOut { text: Some(text), ..PartOut::of("text") }),
        Content::Reasoning { text, signature } => {
            let provider_metadata = signature.as_deref().and_then(Metadata::signed);
            Some(PartOut { text: Some(text), provider_metadata, ..PartOut::of("reasoning") })
        }
        Content::SealedReasoning(sealed) => {
            let provider_metadata = Some(Metadata::sealed(sealed));
            Some(PartOut { text: Some(""), provider_metadata, ..PartOut::of("reasoning") })
        }
        Content::ToolCall(call) => Some(PartOut::call(call)),
        // Models do not answer with these in any dialect we read.
        Content::Image(_)
        | Content::Audio(_)
        | Content::Video(_)
        | Content::Document { .. }
        | Content::ToolResult { .. } => None,
    });
    let id = if response.id.is_empty() { &label.id } else { &response.id };
    to_vec(&ResultOut {
        content: content.collect(),
        finish_reason: FinishOut::of(&response.stop, version),
        usage: UsageOut::of(response.usage, version),
        warnings: warnings(label),
        response: AnswerOut { id, model_id: &response.model },
    })
}

/// What was not passed on: the SDK tells it to its developer.
fn warnings(label: &Label) -> Vec<WarningOut> {
    let warning = |name: &String| WarningOut { kind: "other", message: format!("not passed on: {name}") };
    label.lost.iter().map(warning).collect()
}

written! {
    struct ResultOut<'a> {
        content: Vec<PartOut<'a>>,
        finish_reason as "finishReason": FinishOut<'a>,
        usage: UsageOut,
        warnings: Vec<WarningOut>,
        response: AnswerOut<'a>,
    }

    struct AnswerOut<'a> {
        id: &'a str,
        model_id as "modelId": &'a str,
    }

    /// A part of a stream, or of a whole answer's content: `type` and what goes with it.
    #[derive(Default)]
    struct PartOut<'a> {
        kind as "type": &'static str,
        id?: Option<&'a str>,
        delta?: Option<&'a str>,
        text?: Option<&'a str>,
        tool_call_id as "toolCallId"?: Option<&'a str>,
        tool_name as "toolName"?: Option<&'a str>,
        input?: Option<&'a str>,
        model_id as "modelId"?: Option<&'a str>,
        provider_metadata as "providerMetadata"?: Option<Metadata<'a>>,
        warnings?: Option<Vec<WarningOut>>,
        finish_reason as "finishReason"?: Option<FinishOut<'a>>,
        usage?: Option<UsageOut>,
        error?: Option<Problem<'a>>,
    }
}

impl<'a> PartOut<'a> {
    fn of(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }

    fn call(call: &'a ToolCall) -> Self {
        // No text is the call of a tool without parameters.
        let input = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
        Self {
            tool_call_id: Some(&call.id),
            tool_name: Some(&call.name),
            input: Some(input),
            provider_metadata: call.signature.as_deref().and_then(Metadata::signed),
            ..Self::of("tool-call")
        }
    }
}

written! {
    /// What the SDK gives back with a part, as `providerOptions`, under the name of whose it is.
    struct Metadata<'a> {
        tollgate: Proof<'a>,
    }

    #[derive(Default)]
    struct Proof<'a> {
        signature?: Option<&'a str>,
        /// Reasoning that only its provider can read.
        redacted_data as "redactedData"?: Option<&'a str>,
    }
}

impl<'a> Metadata<'a> {
    /// `None` where there is no signature.
    fn signed(signature: &'a str) -> Option<Self> {
        let proof = Proof { signature: Some(signature), ..Proof::default() };
        (!signature.is_empty()).then_some(Self { tollgate: proof })
    }

    fn sealed(sealed: &'a str) -> Self {
        Self { tollgate: Proof { redacted_data: Some(sealed), ..Proof::default() } }
    }
}

written! {
    struct WarningOut {
        kind as "type": &'static str,
        message: String,
    }

    /// A word, and since version 3 the provider's own beside it.
    enum FinishOut<'a> {
        Word(&'static str),
        Words {
            unified: &'static str,
            raw?: Option<&'a str>,
        },
    }
}

impl<'a> FinishOut<'a> {
    fn of(stop: &'a Stop, version: Version) -> Self {
        let unified = match stop.reason {
            // What paused is an end for the SDK's own provider of Anthropic's models too.
            StopReason::EndTurn | StopReason::StopSequence | StopReason::Pause => "stop",
            StopReason::Length => "length",
            StopReason::ToolUse => "tool-calls",
            StopReason::Filtered => "content-filter",
            StopReason::Error => "error",
        };
        match version {
            Version::V2 => Self::Word(unified),
            Version::V3 | Version::V4 => Self::Words { unified, raw: stop.native.as_deref() },
        }
    }
}

written! {
    /// Flat, and since version 3 by direction. A number that is not known is left out.
    enum UsageOut {
        Flat {
            input_tokens as "inputTokens"?: Option<u64>,
            output_tokens as "outputTokens"?: Option<u64>,
            total_tokens as "totalTokens"?: Option<u64>,
            reasoning_tokens as "reasoningTokens"?: Option<u64>,
            cached_input_tokens as "cachedInputTokens"?: Option<u64>,
        },
        Nested { input_tokens as "inputTokens": InputOut, output_tokens as "outputTokens": OutputOut },
    }

    struct InputOut {
        total?: Option<u64>,
        no_cache as "noCache"?: Option<u64>,
        cache_read as "cacheRead"?: Option<u64>,
        cache_write as "cacheWrite"?: Option<u64>,
    }

    struct OutputOut {
        total?: Option<u64>,
        text?: Option<u64>,
        reasoning?: Option<u64>,
    }
}

impl UsageOut {
    fn of(usage: Option<Usage>, version: Version) -> Self {
        let told = |tokens: fn(Usage) -> u64| usage.map(tokens);
        let (input, output) = (told(|usage| usage.input), told(|usage| usage.output));
        let (cached, reasoning) = (told(|usage| usage.cached_input), told(|usage| usage.reasoning));
        match version {
            Version::V2 => Self::Flat {
                input_tokens: input,
                output_tokens: output,
                total_tokens: told(|usage| usage.input.saturating_add(usage.output)),
                reasoning_tokens: reasoning,
                cached_input_tokens: cached,
            },
            Version::V3 | Version::V4 => Self::Nested {
                input_tokens: InputOut {
                    total: input,
                    no_cache: told(|usage| {
                        usage.input.saturating_sub(usage.cached_input).saturating_sub(usage.cache_write)
                    }),
                    cache_read: cached,
                    cache_write: told(|usage| usage.cache_write),
                },
                output_tokens: OutputOut {
                    total: output,
                    text: told(|usage| usage.output.saturating_sub(usage.reasoning)),
                    reasoning,
                },
            },
        }
    }
}
