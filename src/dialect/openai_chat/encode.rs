//! Writes answers: events into chunks, and a whole reply.
//!
//! Every chunk has `id`, `object`, `created`, `model` and `choices[0]` whole; some client breaks without each.

use super::answer::{UsageOut, finish_reason};
use super::error_frame;
use crate::chat::{self, Block, Content, Event, Kind, ToolCall, Usage};
use crate::dialect::{Encode, Label};
use crate::error::{self, Error};
use crate::wire::json::{Write, to_vec, written};

/// A reasoning block longer than this goes out without its proof, since that must repeat the text.
const REASONING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Writes a stream of `chat.completion.chunk`.
#[derive(Debug)]
pub struct Encoder {
    label: Label,
    id: String,
    model: String,
    open: Option<Kind>,
    /// The open reasoning block, kept until it is known whether it gets a signature.
    reasoning: String,
    signature: String,
    /// Entries of `reasoning_details` so far.
    details: u64,
    /// Tool calls so far, the open one included.
    calls: u64,
    /// Whether the open tool call has arguments so far.
    argued: bool,
    usage: Option<Usage>,
}

impl Encoder {
    pub fn new(label: Label) -> Self {
        Self {
            id: label.id.clone(),
            label,
            model: String::new(),
            open: None,
            reasoning: String::new(),
            signature: String::new(),
            details: 0,
            calls: 0,
            argued: false,
            usage: None,
        }
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model } => {
                if !id.is_empty() {
                    self.id.clone_from(id);
                }
                self.model.clone_from(model);
                self.delta(Delta { role: Some("assistant"), content: Some(""), ..Delta::default() }, out);
            }
            Event::Open(block) => {
                self.open = Some(block.kind());
                self.open(block, out);
            }
            Event::Text(text) => self.delta(Delta { content: Some(text), ..Delta::default() }, out),
            Event::Reasoning(text) => {
                if self.reasoning.len() <= REASONING_BYTES_MAX {
                    self.reasoning.push_str(text);
                }
                self.delta(Delta { reasoning_content: Some(text), ..Delta::default() }, out);
            }
            Event::Signature(signature) => {
                if self.signature.len() <= REASONING_BYTES_MAX {
                    self.signature.push_str(signature);
                }
            }
            Event::Arguments(arguments) => {
                self.argued |= !arguments.is_empty();
                self.arguments(arguments, out);
            }
            Event::Close => match self.open.take() {
                Some(Kind::Reasoning) => self.prove(out),
                // Clients parse the text, and nothing is not JSON.
                Some(Kind::ToolCall) if !self.argued => self.arguments("{}", out),
                Some(Kind::Text | Kind::Sealed | Kind::ToolCall) | None => {}
            },
            Event::Stop(stop) => self.chunk(
                &[ChoiceOut {
                    index: 0,
                    delta: Delta::default(),
                    finish_reason: Some(finish_reason(stop.reason)),
                    native_finish_reason: stop.native.as_deref(),
                }],
                None,
                out,
            ),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error { message, .. } => {
                out.extend(error_frame(&Error::new(error::Kind::BadUpstream, message.as_str())));
            }
            Event::End => {
                if self.label.usage_wanted {
                    let usage = self.usage.unwrap_or_default();
                    self.chunk(&[], Some(UsageOut::from(&usage)), out);
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
        }
    }
}

impl Encoder {
    fn open(&mut self, block: &Block, out: &mut Vec<u8>) {
        match block {
            Block::Text | Block::Reasoning => {}
            Block::SealedReasoning(sealed) => {
                let detail = DetailOut::Encrypted { data: sealed, index: self.details };
                self.delta(Delta { reasoning_details: Some(vec![detail]), ..Delta::default() }, out);
                self.details += 1;
            }
            Block::ToolCall { id, name, .. } => {
                let function = FunctionOut { name: Some(name), arguments: "" };
                let call = CallOut { index: Some(self.calls), id: Some(id), kind: Some("function"), function };
                self.delta(Delta { tool_calls: Some(vec![call]), ..Delta::default() }, out);
                self.calls += 1;
                self.argued = false;
            }
        }
    }

    fn arguments(&self, arguments: &str, out: &mut Vec<u8>) {
        let function = FunctionOut { name: None, arguments };
        let call = CallOut { index: Some(self.calls.saturating_sub(1)), id: None, kind: None, function };
        self.delta(Delta { tool_calls: Some(vec![call]), ..Delta::default() }, out);
    }

    /// The block once more, whole and signed: this entry is what a client must send back.
    fn prove(&mut self, out: &mut Vec<u8>) {
        let (text, signature) = (std::mem::take(&mut self.reasoning), std::mem::take(&mut self.signature));
        if signature.is_empty() || text.len() > REASONING_BYTES_MAX {
            return;
        }
        let detail = DetailOut::Text { text: &text, signature: Some(&signature), index: self.details };
        self.delta(Delta { reasoning_details: Some(vec![detail]), ..Delta::default() }, out);
        self.details += 1;
    }

    fn delta(&self, delta: Delta<'_>, out: &mut Vec<u8>) {
        self.chunk(&[ChoiceOut { index: 0, delta, finish_reason: None, native_finish_reason: None }], None, out);
    }

    fn chunk(&self, choices: &[ChoiceOut<'_>], usage: Option<UsageOut>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        let chunk = ChunkOut {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.label.created,
            model: &self.model,
            choices,
            usage,
        };
        chunk.write(out);
        out.extend_from_slice(b"\n\n");
    }
}

written! {
    struct ChunkOut<'a> {
        id: &'a str,
        object: &'static str,
        created: u64,
        model: &'a str,
        choices: &'a [ChoiceOut<'a>],
        usage?: Option<UsageOut>,
    }

    struct ChoiceOut<'a> {
        index: u64,
        delta: Delta<'a>,
        finish_reason: Option<&'static str>,
        native_finish_reason?: Option<&'a str>,
    }

    #[derive(Default)]
    struct Delta<'a> {
        role?: Option<&'static str>,
        content?: Option<&'a str>,
        reasoning_content?: Option<&'a str>,
        reasoning_details?: Option<Vec<DetailOut<'a>>>,
        tool_calls?: Option<Vec<CallOut<'a>>>,
    }

    pub(super) enum DetailOut<'a> tagged "type" {
        Text as "reasoning.text" {
            text: &'a str,
            signature?: Option<&'a str>,
            index: u64,
        },
        Encrypted as "reasoning.encrypted" { data: &'a str, index: u64 },
    }

    pub(super) struct CallOut<'a> {
        /// In chunks only.
        pub(super) index?: Option<u64>,
        pub(super) id?: Option<&'a str>,
        pub(super) kind as "type"?: Option<&'static str>,
        pub(super) function: FunctionOut<'a>,
    }

    pub(super) struct FunctionOut<'a> {
        pub(super) name?: Option<&'a str>,
        pub(super) arguments: &'a str,
    }
}

impl<'a> CallOut<'a> {
    /// A whole call, as messages hold it.
    pub(super) fn whole(call: &'a ToolCall) -> Self {
        // No arguments are an empty object; clients parse the text.
        let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
        Self {
            index: None,
            id: Some(&call.id),
            kind: Some("function"),
            function: FunctionOut { name: Some(&call.name), arguments },
        }
    }
}

written! {
    struct ReplyOut<'a> {
        id: &'a str,
        object: &'static str,
        created: u64,
        model: &'a str,
        choices: [ReplyChoiceOut<'a>; 1],
        usage: UsageOut,
    }

    struct ReplyChoiceOut<'a> {
        index: u64,
        message: MessageOut<'a>,
        /// Always null, and required by OpenAI's schema like `refusal`.
        logprobs: Option<&'static str>,
        finish_reason: &'static str,
        native_finish_reason?: Option<&'a str>,
    }

    struct MessageOut<'a> {
        role: &'static str,
        content: Option<String>,
        /// Always null: refusals are text and a finish reason, as other dialects have it.
        refusal: Option<&'static str>,
        reasoning_content?: Option<String>,
        reasoning_details?: Vec<DetailOut<'a>>,
        tool_calls?: Vec<CallOut<'a>>,
    }
}

/// Writes a whole `chat.completion`.
pub fn write_response(response: &chat::Response, label: &Label) -> Vec<u8> {
    to_vec(&ReplyOut {
        id: if response.id.is_empty() { &label.id } else { &response.id },
        object: "chat.completion",
        created: label.created,
        model: &response.model,
        choices: [ReplyChoiceOut {
            index: 0,
            message: message(response),
            logprobs: None,
            finish_reason: finish_reason(response.stop.reason),
            native_finish_reason: response.stop.native.as_deref(),
        }],
        usage: UsageOut::from(&response.usage.unwrap_or_default()),
    })
}

fn message(response: &chat::Response) -> MessageOut<'_> {
    let (mut content, mut reasoning) = (None::<String>, None::<String>);
    let (mut details, mut tool_calls) = (Vec::new(), Vec::new());
    let mut proven = false;
    for part in &response.parts {
        let index = details.len() as u64;
        match &part.content {
            Content::Text(text) => content.get_or_insert_default().push_str(text),
            Content::Reasoning { text, signature } => {
                reasoning.get_or_insert_default().push_str(text);
                proven |= signature.is_some();
                details.push(DetailOut::Text { text, signature: signature.as_deref(), index });
            }
            Content::SealedReasoning(data) => {
                proven = true;
                details.push(DetailOut::Encrypted { data, index });
            }
            Content::ToolCall(call) => tool_calls.push(CallOut::whole(call)),
            // Models do not answer with these in any dialect we read.
            Content::Image(_)
            | Content::Audio(_)
            | Content::Video(_)
            | Content::Document { .. }
            | Content::ToolResult { .. } => {}
        }
    }
    if !proven {
        // The plain text says it all.
        details.clear();
    }
    if content.is_none() && tool_calls.is_empty() {
        content = Some(String::new());
    }
    MessageOut {
        role: "assistant",
        content,
        refusal: None,
        reasoning_content: reasoning,
        reasoning_details: details,
        tool_calls,
    }
}
