//! Writes answers: events into pieces of a stream, and a whole answer.
//!
//! A call goes out when it is whole, since its arguments are an object; the reason of the stop goes out with the usage,
//! in the last piece: Google's own clients take the first piece with a reason for the last.

use std::borrow::Cow;

use super::{Tally, error_body, error_frame, stop_word};
use crate::chat::{self, Block, Content, Event, Stop, ToolCall};
use crate::dialect::{Encode, Label};
use crate::error::{self, Error};
use crate::wire::array;
use crate::wire::frame::Framing;
use crate::wire::json::{self, Raw, Verbatim, to_vec, written};

/// A call with more arguments than this goes out without them: they must be whole, and are kept until they are.
const ARGUMENTS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Writes a stream of `GenerateContentResponse`.
#[derive(Debug)]
pub struct Encoder {
    framing: Framing,
    id: String,
    model: String,
    /// The call that is being told.
    call: Option<ToolCall>,
    stop: Option<Stop>,
    usage: Option<chat::Usage>,
    /// Whether a piece went out.
    begun: bool,
}

impl Encoder {
    pub fn new(label: Label) -> Self {
        Self {
            framing: label.framing,
            id: label.id,
            model: String::new(),
            call: None,
            stop: None,
            usage: None,
            begun: false,
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
            }
            Event::Open(Block::Text | Block::Reasoning) | Event::Ping => {}
            Event::Open(Block::SealedReasoning(sealed)) => self.part(PartOut::sealed(sealed), out),
            Event::Open(Block::ToolCall { id, name, signature }) => {
                let (id, name, signature) = (id.clone(), name.clone(), signature.clone());
                self.call = Some(ToolCall { id, name, arguments: String::new(), signature });
            }
            Event::Text(text) => self.part(PartOut::text(text), out),
            Event::Reasoning(text) => self.part(PartOut::thought(text, None), out),
            Event::Signature(signature) => self.part(PartOut::thought("", Some(signature)), out),
            Event::Arguments(arguments) => {
                if let Some(call) = self.call.as_mut().filter(|call| call.arguments.len() <= ARGUMENTS_BYTES_MAX) {
                    call.arguments.push_str(arguments);
                }
            }
            Event::Close => {
                if let Some(call) = self.call.take() {
                    self.part(PartOut::call(&call), out);
                }
            }
            Event::Stop(stop) => self.stop = Some(stop.clone()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Error { message, .. } => {
                let error = Error::new(error::Kind::BadUpstream, message.as_str());
                match self.framing {
                    Framing::Array => array::write_last(self.begun, Some(&error_body(&error)), out),
                    Framing::Sse | Framing::Lines | Framing::EventStream => out.extend(error_frame(&error)),
                }
            }
            Event::End => {
                let stop = self.stop.take().unwrap_or_default();
                // Some clients need the parts of every piece.
                self.piece(vec![PartOut::text("")], Some(&stop), out);
                if self.framing == Framing::Array {
                    array::write_last(self.begun, None, out);
                }
            }
        }
    }
}

impl Encoder {
    fn part(&mut self, part: PartOut<'_>, out: &mut Vec<u8>) {
        self.piece(vec![part], None, out);
    }

    fn piece(&mut self, parts: Vec<PartOut<'_>>, stop: Option<&Stop>, out: &mut Vec<u8>) {
        let piece = to_vec(&ResponseOut {
            candidates: [CandidateOut::new(parts, stop)],
            usage_metadata: self.usage.filter(|_| stop.is_some()).map(Tally::from),
            model_version: &self.model,
            response_id: &self.id,
        });
        match self.framing {
            Framing::Array => array::write(self.begun, &piece, out),
            Framing::Sse | Framing::Lines | Framing::EventStream => {
                out.extend_from_slice(b"data: ");
                // Arguments keep the text that the model wrote, which may be lines; a line would end the event.
                out.extend(piece.into_iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
                // As Google ends its lines.
                out.extend_from_slice(b"\r\n\r\n");
            }
        }
        self.begun = true;
    }
}

/// Writes a whole answer.
pub fn write_response(response: &chat::Response, label: &Label) -> Vec<u8> {
    let mut parts = Vec::with_capacity(response.parts.len());
    for part in &response.parts {
        parts.push(match &part.content {
            Content::Text(text) => PartOut::text(text),
            Content::Reasoning { text, signature } => PartOut::thought(text, signature.as_deref()),
            Content::SealedReasoning(sealed) => PartOut::sealed(sealed),
            Content::ToolCall(call) => PartOut::call(call),
            // Models do not answer with these in any dialect we read.
            Content::Image(_)
            | Content::Audio(_)
            | Content::Video(_)
            | Content::Document { .. }
            | Content::ToolResult { .. } => continue,
        });
    }
    if parts.is_empty() {
        parts.push(PartOut::text(""));
    }
    to_vec(&ResponseOut {
        candidates: [CandidateOut::new(parts, Some(&response.stop))],
        usage_metadata: Some(Tally::from(response.usage.unwrap_or_default())),
        model_version: &response.model,
        response_id: if response.id.is_empty() { &label.id } else { &response.id },
    })
}

written! {
    struct ResponseOut<'a> {
        candidates: [CandidateOut<'a>; 1],
        usage_metadata as "usageMetadata"?: Option<Tally>,
        model_version as "modelVersion": &'a str,
        response_id as "responseId": &'a str,
    }

    struct CandidateOut<'a> {
        content: ContentOut<'a>,
        finish_reason as "finishReason"?: Option<&'a str>,
        index: u64,
    }
}

impl<'a> CandidateOut<'a> {
    fn new(parts: Vec<PartOut<'a>>, stop: Option<&'a Stop>) -> Self {
        Self { content: ContentOut { role: Some("model"), parts }, finish_reason: stop.map(stop_word), index: 0 }
    }
}

written! {
    /// A message, in requests and answers.
    pub(super) struct ContentOut<'a> {
        pub(super) role?: Option<&'static str>,
        pub(super) parts: Vec<PartOut<'a>>,
    }

    /// A part of a message, in requests and answers.
    #[derive(Default)]
    pub(super) struct PartOut<'a> {
        pub(super) text?: Option<Cow<'a, str>>,
        pub(super) thought?: bool,
        pub(super) inline_data as "inlineData"?: Option<BlobOut<'a>>,
        pub(super) file_data as "fileData"?: Option<FileOut<'a>>,
        pub(super) function_call as "functionCall"?: Option<CallOut<'a>>,
        pub(super) function_response as "functionResponse"?: Option<ResultOut<'a>>,
        pub(super) thought_signature as "thoughtSignature"?: Option<Cow<'a, str>>,
    }

    pub(super) struct BlobOut<'a> {
        pub(super) mime_type as "mimeType": &'a str,
        pub(super) data: &'a str,
    }

    pub(super) struct FileOut<'a> {
        pub(super) mime_type as "mimeType"?: Option<&'static str>,
        pub(super) file_uri as "fileUri": &'a str,
    }

    pub(super) struct CallOut<'a> {
        pub(super) id?: Option<&'a str>,
        pub(super) name: &'a str,
        pub(super) args: Verbatim<'a>,
    }

    pub(super) struct ResultOut<'a> {
        pub(super) id?: Option<&'a str>,
        pub(super) name: &'a str,
        pub(super) response: Verbatim<'a>,
        pub(super) parts?: Vec<PartOut<'a>>,
    }
}

impl<'a> PartOut<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self { text: Some(Cow::Borrowed(text)), ..Self::default() }
    }

    pub(super) fn thought(text: &'a str, signature: Option<&'a str>) -> Self {
        Self { thought: true, thought_signature: signature.map(Cow::Borrowed), ..Self::text(text) }
    }

    /// A signature without anything that it signs, as Google's own streams end with.
    pub(super) fn sealed(signature: &'a str) -> Self {
        Self { thought_signature: Some(Cow::Borrowed(signature)), ..Self::text("") }
    }

    pub(super) fn call(call: &ToolCall) -> PartOut<'_> {
        PartOut {
            function_call: Some(CallOut {
                id: Some(&call.id).filter(|id| !id.is_empty()).map(String::as_str),
                name: &call.name,
                args: args(&call.arguments).0,
            }),
            thought_signature: call.signature.as_deref().map(Cow::Borrowed),
            ..PartOut::default()
        }
    }
}

/// `arguments` as the object that `args` must be, and whether nothing was lost.
///
/// No text is the call of a tool without parameters. Another value than an object is put under `value`. A text that is
/// not JSON, which a model cut short leaves behind, cannot be kept.
pub(super) fn args(arguments: &str) -> (Verbatim<'_>, bool) {
    match json::parse::<Raw<'_>>(arguments.trim()) {
        Ok(value) if value.get().starts_with('{') => (value.into(), true),
        Ok(value) if value.is_null() => (Raw::EMPTY_OBJECT.into(), true),
        Ok(value) => (Verbatim::made(format!("{{\"value\":{value}}}")), true),
        Err(_) => (Raw::EMPTY_OBJECT.into(), arguments.trim().is_empty()),
    }
}
