//! Reads answers: each piece of a stream is a `GenerateContentResponse`, and so is a whole answer.
//!
//! A stream has no mark of its end. It is complete when the model said why it stopped and the body then ended cleanly;
//! until then more may follow, so `Stop` waits.

use std::borrow::Cow;

use super::partial::{Partial, PartialArg};
use super::{Fault, Tally, read_stop};
use crate::chat::{self, Block, Event, Kind};
use crate::dialect::{Decode, Malformed};
use crate::wire::frame::Frame;
use crate::wire::json::{self, Raw, objects};

/// OpenAI refuses ids of calls with more than 40 characters; the rest is for `call_` and a number.
const TAG_CHARS: usize = 24;

/// Reads a stream of `GenerateContentResponse`.
#[derive(Debug, Default)]
pub struct Decoder {
    at: At,
    open: Option<Kind>,
    /// Taken from the answer's id, for calls that come without their own, as most do.
    tag: String,
    calls: u64,
    /// The arguments of a call that comes in pieces.
    partial: Option<Partial>,
    /// Why the model stopped, once it was said.
    finish: Option<String>,
    usage: Option<chat::Usage>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Before,
    Telling,
    Over,
}

objects! {
    struct Chunk<'a> {
        candidates: Option<Vec<Candidate<'a>>>,
        prompt_feedback as "promptFeedback": Option<Feedback>,
        usage_metadata as "usageMetadata": Option<Tally>,
        response_id as "responseId": Option<Cow<'a, str>>,
        model_version as "modelVersion": Option<Cow<'a, str>>,
        error: Option<Raw<'a>>,
    }

    struct Feedback {
        block_reason as "blockReason": Option<String>,
    }

    struct Candidate<'a> {
        index: Option<u64>,
        content: Option<Said<'a>>,
        /// A word, or its number where a client of gRPC wrote the JSON.
        finish_reason as "finishReason": Option<Raw<'a>>,
    }

    struct Said<'a> {
        parts: Option<Vec<Piece<'a>>>,
    }

    struct Piece<'a> {
        text: Option<String>,
        thought: Option<bool>,
        thought_signature as "thoughtSignature": Option<String>,
        function_call as "functionCall": Option<FunctionCall<'a>>,
        inline_data as "inlineData": Option<Blob>,
        executable_code as "executableCode": Option<Code>,
        code_execution_result as "codeExecutionResult": Option<CodeResult>,
    }

    struct FunctionCall<'a> {
        id: Option<String>,
        name: Option<String>,
        args: Option<Raw<'a>>,
        partial_args as "partialArgs": Option<Vec<PartialArg<'a>>>,
        will_continue as "willContinue": Option<bool>,
    }

    struct Blob {
        mime_type as "mimeType": Option<String>,
    }

    struct Code {
        language: Option<String>,
        code: Option<String>,
    }

    struct CodeResult {
        output: Option<String>,
    }
}

impl Decode for Decoder {
    fn frame(&mut self, frame: &Frame<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.at == At::Over {
            return Ok(());
        }
        match frame.data.as_deref().map(str::trim) {
            None | Some("" | "[DONE]") => Ok(()),
            Some(data) => self.read(data, events),
        }
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        let Some(word) = self.finish.take().filter(|_| self.at == At::Telling) else { return };
        self.end_partial(events);
        self.close(events);
        self.at = At::Over;
        events.push(Event::Stop(read_stop(&word, self.calls > 0)));
        events.push(Event::End);
    }

    fn knows_more(&self) -> bool {
        self.finish.is_some() || self.partial.is_some() || self.calls > 0
    }
}

impl Decoder {
    fn read(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let chunk: Chunk<'_> = json::parse(data).map_err(|error| malformed("chunk", &error))?;
        if let Some(error) = chunk.error {
            self.at = At::Over;
            let unnamed = || Fault { kind: None, message: "the upstream failed without saying why".to_owned() };
            let Fault { kind, message } = Fault::read(error).unwrap_or_else(unnamed);
            events.push(Event::Error { kind, message });
            return Ok(());
        }
        let blocked = chunk.prompt_feedback.and_then(|feedback| feedback.block_reason);
        let candidates = chunk.candidates.unwrap_or_default();
        if self.at == At::Before {
            if candidates.is_empty() && chunk.usage_metadata.is_none() && blocked.is_none() {
                return if chunk.response_id.is_some() {
                    Ok(())
                } else {
                    Err(Malformed("candidates: missing".to_owned()))
                };
            }
            let (id, model) = (chunk.response_id.unwrap_or_default(), chunk.model_version.unwrap_or_default());
            self.start(id.into_owned(), model.into_owned(), events);
        }
        // With a `candidateCount` the other answers are left out; the canonical form has one.
        for candidate in candidates.into_iter().filter(|candidate| candidate.index.unwrap_or(0) == 0) {
            for piece in candidate.content.and_then(|content| content.parts).unwrap_or_default() {
                self.piece(piece, events);
            }
            if let Some(word) = candidate.finish_reason.and_then(finish_word) {
                self.finish = Some(word.into_owned());
            }
        }
        self.finish = blocked.or(self.finish.take());
        let usage = chunk.usage_metadata.and_then(Tally::usage);
        if let Some(usage) = usage.filter(|usage| self.usage != Some(*usage)) {
            self.usage = Some(usage);
            events.push(Event::Usage(usage));
        }
        Ok(())
    }

    fn start(&mut self, id: String, model: String, events: &mut Vec<Event>) {
        self.at = At::Telling;
        let tag: Vec<char> = id.chars().filter(char::is_ascii_alphanumeric).collect();
        self.tag = tag.iter().skip(tag.len().saturating_sub(TAG_CHARS)).collect();
        events.push(Event::Start { id, model });
    }

    fn piece(&mut self, piece: Piece<'_>, events: &mut Vec<Event>) {
        let signature = piece.thought_signature.filter(|signature| !signature.is_empty());
        if let Some(call) = piece.function_call {
            self.call(call, signature, events);
            return;
        }
        self.end_partial(events);
        let text = piece.text.unwrap_or_default();
        if piece.thought == Some(true) {
            self.say(Kind::Reasoning, Event::Reasoning, text, events);
            if let Some(signature) = signature {
                self.open(Kind::Reasoning, Block::Reasoning, events);
                events.push(Event::Signature(signature));
                self.close(events);
            }
            return;
        }
        self.say(Kind::Text, Event::Text, text, events);
        // What the model made by other means than words is told in words: the event grammar has no block for it.
        let other = piece.executable_code.map(fenced).or_else(|| piece.code_execution_result.and_then(output));
        let other = other.or_else(|| piece.inline_data.map(stand_in));
        self.say(Kind::Text, Event::Text, other.unwrap_or_default(), events);
        if let Some(signature) = signature {
            self.close(events);
            events.push(Event::Open(Block::SealedReasoning(signature)));
            events.push(Event::Close);
        }
    }

    fn say(&mut self, kind: Kind, tell: fn(String) -> Event, text: String, events: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        self.open(kind, if kind == Kind::Reasoning { Block::Reasoning } else { Block::Text }, events);
        events.push(tell(text));
    }

    fn call(&mut self, call: FunctionCall<'_>, signature: Option<String>, events: &mut Vec<Event>) {
        let continues = call.will_continue == Some(true);
        if let Some(name) = call.name {
            self.end_partial(events);
            self.close(events);
            let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| self.id());
            self.calls += 1;
            events.push(Event::Open(Block::ToolCall { id, name, signature }));
            self.open = Some(Kind::ToolCall);
            self.partial = Some(Partial::default());
        }
        let Some(partial) = &mut self.partial else { return };
        for arg in call.partial_args.unwrap_or_default() {
            partial.set(&arg);
        }
        match call.args {
            Some(args) => {
                self.partial = None;
                events.push(Event::Arguments(args.get().to_owned()));
                self.close(events);
            }
            None if !continues => self.end_partial(events),
            None => {}
        }
    }

    /// The arguments of a call in pieces are told at once: their pieces are values by path, not text.
    fn end_partial(&mut self, events: &mut Vec<Event>) {
        if let Some(partial) = self.partial.take() {
            events.push(Event::Arguments(partial.json()));
            self.close(events);
        }
    }

    fn id(&self) -> String {
        let tag = &self.tag;
        if tag.is_empty() { format!("call_{}", self.calls) } else { format!("call_{tag}_{}", self.calls) }
    }

    fn open(&mut self, kind: Kind, block: Block, events: &mut Vec<Event>) {
        if self.open != Some(kind) {
            self.close(events);
            self.open = Some(kind);
            events.push(Event::Open(block));
        }
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if self.open.take().is_some() {
            events.push(Event::Close);
        }
    }
}

/// Numbers as in the protocol's definition.
fn finish_word(raw: Raw<'_>) -> Option<Cow<'static, str>> {
    Some(match raw.get() {
        "null" | "0" => return None,
        "1" => Cow::Borrowed("STOP"),
        "2" => Cow::Borrowed("MAX_TOKENS"),
        "3" => Cow::Borrowed("SAFETY"),
        "4" => Cow::Borrowed("RECITATION"),
        text => Cow::Owned(json::parse(text).unwrap_or_else(|_| "OTHER".to_owned())),
    })
}

fn fenced(Code { language, code }: Code) -> String {
    let language = language.unwrap_or_default().to_ascii_lowercase();
    format!("\n```{language}\n{}\n```\n", code.unwrap_or_default().trim_end())
}

fn output(CodeResult { output }: CodeResult) -> Option<String> {
    output.map(|output| format!("\n```\n{}\n```\n", output.trim_end()))
}

/// Megabytes of base64 in a text would come back with the next turn, as a prompt.
fn stand_in(Blob { mime_type }: Blob) -> String {
    format!("[{} left out]", mime_type.as_deref().unwrap_or("file"))
}

/// Reads a whole answer, or all of a stream that is a list.
pub fn read_response(body: &[u8]) -> Result<chat::Response, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed("not UTF-8".to_owned()))?.trim();
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    if text.starts_with('[') {
        let chunks: Vec<Raw<'_>> = json::parse(text).map_err(|error| malformed("reply", &error))?;
        for chunk in chunks {
            decoder.read(chunk.get(), &mut events)?;
        }
    } else {
        decoder.read(text, &mut events)?;
    }
    if let Some(Event::Error { .. }) = events.last() {
        return Err(Malformed("error: an answer was due".to_owned()));
    }
    if decoder.at == At::Before {
        return Err(Malformed("candidates: missing".to_owned()));
    }
    // A whole answer is whole, whether it says why it ended or not.
    decoder.finish.get_or_insert_with(|| "STOP".to_owned());
    decoder.finish(&mut events);
    Ok(chat::Response::from_events(events))
}

/// Says where, and what was due; never what stood there.
fn malformed(what: &str, error: &json::Error) -> Malformed {
    Malformed(format!("{what}: {error}"))
}
