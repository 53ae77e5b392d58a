//! Writes answers: events into the events of this dialect, and a whole response.
//!
//! Every event and every item has its full shape, and the last event repeats the whole output: some client refuses an
//! answer for each thing that is left out. Codex reads the finished items only, others the deltas only.

use std::sync::Arc;

use serde::Serialize;

use super::tools::{self, Called, Empty, ToolOut, unwrapped};
use super::write_request::{ChoiceOut, TextOut, choice, text};
use super::{json, write_json};
use crate::chat::{self, Block, Content, Effort, Event, Number, Part, Request, Role, Stop, StopReason, Usage};
use crate::dialect::{Encode, Label};
use crate::error::{self, Error};

/// What is told of one item is kept until the end, which repeats it, but no more than this.
const ITEM_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One item of the answer, as far as it has come.
#[derive(Debug)]
struct Item {
    id: String,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Message(String),
    Reasoning {
        /// `None` for what only its provider can read.
        text: Option<String>,
        proof: Option<String>,
    },
    Call {
        call_id: String,
        name: String,
        arguments: String,
    },
}

impl Item {
    /// The ids of items are ours: no dialect gives every item one.
    fn new(block: &Block, label: &Label, index: usize) -> Self {
        let (prefix, body) = match block {
            Block::Text => ("msg", Body::Message(String::new())),
            Block::Reasoning => ("rs", Body::Reasoning { text: Some(String::new()), proof: None }),
            Block::SealedReasoning(sealed) => ("rs", Body::Reasoning { text: None, proof: Some(sealed.clone()) }),
            Block::ToolCall { id, name, .. } => {
                let (call_id, name, arguments) = (id.clone(), name.clone(), String::new());
                (prefix(&name, label), Body::Call { call_id, name, arguments })
            }
        };
        Self { id: format!("{prefix}_{}_{index}", label.id), body }
    }

    fn of(part: &Part, label: &Label, index: usize) -> Option<Self> {
        let (prefix, body) = match &part.content {
            Content::Text(text) => ("msg", Body::Message(text.clone())),
            Content::Reasoning { text, signature } => {
                ("rs", Body::Reasoning { text: Some(text.clone()), proof: signature.clone() })
            }
            Content::SealedReasoning(sealed) => ("rs", Body::Reasoning { text: None, proof: Some(sealed.clone()) }),
            Content::ToolCall(call) => {
                let (call_id, name, arguments) = (call.id.clone(), call.name.clone(), call.arguments.clone());
                (prefix(&name, label), Body::Call { call_id, name, arguments })
            }
            // Models do not answer with these in any dialect we read.
            Content::Image(_)
            | Content::Audio(_)
            | Content::Video(_)
            | Content::Document { .. }
            | Content::ToolResult { .. } => return None,
        };
        Some(Self { id: format!("{prefix}_{}_{index}", label.id), body })
    }

    fn push(&mut self, words: &str) {
        let text = match &mut self.body {
            Body::Message(text) | Body::Reasoning { text: Some(text), .. } | Body::Call { arguments: text, .. } => text,
            Body::Reasoning { text: None, .. } => return,
        };
        if text.len().saturating_add(words.len()) <= ITEM_BYTES_MAX {
            text.push_str(words);
        }
    }

    /// As a part of the output; without what is in it while it is only begun.
    fn out<'a>(&'a self, tools: &'a [chat::Tool], is_done: bool) -> ItemOut<'a> {
        let (id, status) = (self.id.as_str(), if is_done { "completed" } else { "in_progress" });
        match &self.body {
            Body::Message(text) => {
                let content = if is_done { vec![PartOut::text(text)] } else { Vec::new() };
                ItemOut::Message { id, status, role: "assistant", content }
            }
            Body::Reasoning { text, proof } => {
                let text = text.as_deref().filter(|_| is_done);
                ItemOut::Reasoning {
                    id,
                    summary: text.map(|text| PartOut::Summary { text }).into_iter().collect(),
                    encrypted_content: proof.as_deref().filter(|_| is_done),
                }
            }
            Body::Call { call_id, name, arguments } => {
                let Called { name, namespace, is_custom } = Called::find(tools, name);
                if is_custom {
                    let input = if is_done { unwrapped(arguments) } else { String::new() };
                    ItemOut::Custom { id, status, call_id, name, namespace, input }
                } else {
                    let arguments = if is_done { whole(arguments) } else { "" };
                    ItemOut::Function { id, status, call_id, name, namespace, arguments }
                }
            }
        }
    }
}

/// No arguments are an empty object; clients parse the text.
fn whole(arguments: &str) -> &str {
    if arguments.trim().is_empty() { "{}" } else { arguments }
}

fn prefix(name: &str, label: &Label) -> &'static str {
    let tools = label.request.as_ref().map(|request| request.tools.as_slice()).unwrap_or_default();
    if Called::find(tools, name).is_custom { "ctc" } else { "fc" }
}

/// Writes a stream.
#[derive(Debug)]
pub struct Encoder {
    label: Label,
    request: Arc<Request>,
    id: String,
    model: String,
    sequence: u64,
    done: Vec<Item>,
    open: Option<Item>,
    stop: Stop,
    usage: Option<Usage>,
}

impl Encoder {
    pub fn new(label: Label) -> Self {
        Self {
            request: label.request.clone().unwrap_or_default(),
            id: label.id.clone(),
            label,
            model: String::new(),
            sequence: 0,
            done: Vec::new(),
            open: None,
            stop: Stop::default(),
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
                self.state("response.created", State::InProgress, out);
                self.state("response.in_progress", State::InProgress, out);
            }
            Event::Open(block) => self.open(block, out),
            Event::Text(words) => {
                let piece = Told { content_index: Some(0), logprobs: Some([]), ..Told::default() };
                self.delta("response.output_text.delta", piece, words, out);
            }
            Event::Reasoning(words) => {
                let piece = Told { summary_index: Some(0), ..Told::default() };
                self.delta("response.reasoning_summary_text.delta", piece, words, out);
            }
            Event::Arguments(words) => self.arguments(words, out),
            Event::Signature(signature) => {
                if let Some(Item { body: Body::Reasoning { proof, .. }, .. }) = &mut self.open {
                    let proof = proof.get_or_insert_default();
                    if proof.len() <= ITEM_BYTES_MAX {
                        proof.push_str(signature);
                    }
                }
            }
            Event::Close => self.close(out),
            Event::Stop(stop) => self.stop = stop.clone(),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error { kind, message } => self.fail(code(kind.as_deref()), message, out),
            Event::End => {
                let state = State::of(self.stop.reason);
                self.state(state.event(), state, out);
            }
        }
    }

    fn failure(&mut self, error: &Error) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.fail(error_code(error), &error.message, &mut out);
        Some(out)
    }
}

impl Encoder {
    fn open(&mut self, block: &Block, out: &mut Vec<u8>) {
        let item = self.open.insert(Item::new(block, &self.label, self.done.len()));
        let told = Told { item: Some(item.out(&self.request.tools, false)), ..Told::default() };
        write(&mut self.sequence, "response.output_item.added", Some(self.done.len()), told, out);
        let part = match &item.body {
            Body::Message(_) => Told { content_index: Some(0), part: Some(PartOut::text("")), ..Told::default() },
            Body::Reasoning { text: Some(_), .. } => {
                Told { summary_index: Some(0), part: Some(PartOut::Summary { text: "" }), ..Told::default() }
            }
            Body::Reasoning { text: None, .. } | Body::Call { .. } => return,
        };
        let name = if part.content_index.is_some() {
            "response.content_part.added"
        } else {
            "response.reasoning_summary_part.added"
        };
        let told = Told { item_id: Some(&item.id), ..part };
        write(&mut self.sequence, name, Some(self.done.len()), told, out);
    }

    fn delta(&mut self, name: &'static str, piece: Told<'_>, words: &str, out: &mut Vec<u8>) {
        let Some(item) = self.open.as_mut().filter(|_| !words.is_empty()) else { return };
        item.push(words);
        let told = Told { item_id: Some(&item.id), delta: Some(words), ..piece };
        write(&mut self.sequence, name, Some(self.done.len()), told, out);
    }

    fn arguments(&mut self, words: &str, out: &mut Vec<u8>) {
        let Some(Item { body: Body::Call { name, .. }, .. }) = &self.open else { return };
        if !Called::find(&self.request.tools, name).is_custom {
            self.delta("response.function_call_arguments.delta", Told::default(), words, out);
        } else if let Some(item) = &mut self.open {
            // Free text is inside of JSON until that is whole.
            item.push(words);
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(item) = self.open.take() else { return };
        let index = Some(self.done.len());
        let input;
        let about = || Told { item_id: Some(&item.id), ..Told::default() };
        let mut tell = |name, told| write(&mut self.sequence, name, index, told, out);
        match &item.body {
            Body::Message(text) => {
                let part = Some(PartOut::text(text));
                let at = || Told { content_index: Some(0), ..about() };
                tell("response.output_text.done", Told { text: Some(text), logprobs: Some([]), ..at() });
                tell("response.content_part.done", Told { part, ..at() });
            }
            Body::Reasoning { text: Some(text), .. } => {
                let part = Some(PartOut::Summary { text });
                let at = || Told { summary_index: Some(0), ..about() };
                tell("response.reasoning_summary_text.done", Told { text: Some(text), ..at() });
                tell("response.reasoning_summary_part.done", Told { part, ..at() });
            }
            Body::Reasoning { text: None, .. } => {}
            Body::Call { name, arguments, .. } => {
                let Called { name, is_custom, .. } = Called::find(&self.request.tools, name);
                if is_custom {
                    input = unwrapped(arguments);
                    tell("response.custom_tool_call_input.delta", Told { delta: Some(&input), ..about() });
                    tell("response.custom_tool_call_input.done", Told { input: Some(&input), ..about() });
                } else {
                    let arguments = whole(arguments);
                    let told = Told { name: Some(name), arguments: Some(arguments), ..about() };
                    tell("response.function_call_arguments.done", told);
                }
            }
        }
        let told = Told { item: Some(item.out(&self.request.tools, true)), ..Told::default() };
        tell("response.output_item.done", told);
        self.done.push(item);
    }

    fn fail(&mut self, code: &'static str, message: &str, out: &mut Vec<u8>) {
        self.state("response.failed", State::Failed { code, message }, out);
    }

    fn state(&mut self, name: &'static str, state: State<'_>, out: &mut Vec<u8>) {
        let response = self.response(state);
        let mut sequence = self.sequence;
        let told = Told { response: Some(response), ..Told::default() };
        write(&mut sequence, name, None, told, out);
        self.sequence = sequence;
    }

    fn response<'a>(&'a self, state: State<'a>) -> ResponseOut<'a> {
        let usage = match state {
            State::InProgress => None,
            State::Failed { .. } => self.usage.map(UsageOut::from),
            State::Completed | State::Incomplete(_) => Some(UsageOut::from(self.usage.unwrap_or_default())),
        };
        let about = About { id: &self.id, model: &self.model, created: self.label.created, usage };
        ResponseOut::new(about, state, &self.done, &self.request)
    }
}

/// Writes a whole response.
pub fn write_response(response: &chat::Response, label: &Label) -> Vec<u8> {
    let request = label.request.clone().unwrap_or_default();
    let parts = response.parts.iter().enumerate();
    let items: Vec<Item> = parts.filter_map(|(index, part)| Item::of(part, label, index)).collect();
    let about = About {
        id: if response.id.is_empty() { &label.id } else { &response.id },
        model: &response.model,
        created: label.created,
        usage: Some(UsageOut::from(response.usage.unwrap_or_default())),
    };
    json(&ResponseOut::new(about, State::of(response.stop.reason), &items, &request))
}

/// The frame that ends a stream of which nothing is known here.
pub fn error_frame(error: &Error) -> Vec<u8> {
    Encoder::new(Label::default()).failure(error).unwrap_or_default()
}

/// What Codex acts upon; everything else is a fault of the server, after which it asks again.
///
/// Source: openai/codex, the client's reading of `response.failed`, read 2026-11.
fn code(native: Option<&str>) -> &'static str {
    match native.unwrap_or_default() {
        "context_length_exceeded" => "context_length_exceeded",
        "insufficient_quota" | "billing_error" => "insufficient_quota",
        "usage_not_included" => "usage_not_included",
        "rate_limit_exceeded" | "rate_limit_error" | "RESOURCE_EXHAUSTED" | "429" => "rate_limit_exceeded",
        _ => "server_error",
    }
}

fn error_code(error: &Error) -> &'static str {
    match error.kind {
        error::Kind::RateLimited | error::Kind::Upstream(429) => "rate_limit_exceeded",
        error::Kind::SpendCapReached | error::Kind::Upstream(402) => "insufficient_quota",
        _ => "server_error",
    }
}

fn write(sequence: &mut u64, name: &'static str, index: Option<usize>, told: Told<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    write_json(&Told { kind: name, sequence_number: *sequence, output_index: index, ..told }, out);
    out.extend_from_slice(b"\n\n");
    *sequence = sequence.saturating_add(1);
}

/// Where a response stands.
#[derive(Debug, Clone, Copy)]
enum State<'a> {
    InProgress,
    Completed,
    /// With the reason.
    Incomplete(&'static str),
    Failed {
        code: &'static str,
        message: &'a str,
    },
}

impl State<'_> {
    fn of(reason: StopReason) -> Self {
        match reason {
            StopReason::Length => Self::Incomplete("max_output_tokens"),
            StopReason::Filtered => Self::Incomplete("content_filter"),
            StopReason::Error => {
                Self::Failed { code: "server_error", message: "the model failed in the middle of its answer" }
            }
            StopReason::EndTurn | StopReason::StopSequence | StopReason::ToolUse | StopReason::Pause => Self::Completed,
        }
    }

    fn status(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed { .. } => "failed",
        }
    }

    /// The event that says so at the end.
    fn event(self) -> &'static str {
        match self {
            Self::InProgress => "response.in_progress",
            Self::Completed => "response.completed",
            Self::Incomplete(_) => "response.incomplete",
            Self::Failed { .. } => "response.failed",
        }
    }
}

/// Every event: those that have a field say so.
#[derive(Default, Serialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    sequence_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ResponseOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<ItemOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<PartOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[Empty; 0]>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum ItemOut<'a> {
    #[serde(rename = "message")]
    Message { id: &'a str, status: &'static str, role: &'static str, content: Vec<PartOut<'a>> },
    #[serde(rename = "reasoning")]
    Reasoning {
        id: &'a str,
        summary: Vec<PartOut<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<&'a str>,
    },
    #[serde(rename = "function_call")]
    Function {
        id: &'a str,
        status: &'static str,
        call_id: &'a str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        arguments: &'a str,
    },
    #[serde(rename = "custom_tool_call")]
    Custom {
        id: &'a str,
        status: &'static str,
        call_id: &'a str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        input: String,
    },
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum PartOut<'a> {
    #[serde(rename = "output_text")]
    Text { text: &'a str, annotations: [Empty; 0], logprobs: [Empty; 0] },
    #[serde(rename = "summary_text")]
    Summary { text: &'a str },
}

impl<'a> PartOut<'a> {
    fn text(text: &'a str) -> Self {
        Self::Text { text, annotations: [], logprobs: [] }
    }
}

struct About<'a> {
    id: &'a str,
    model: &'a str,
    created: u64,
    usage: Option<UsageOut>,
}

/// The `response` object, with what was asked in it.
#[derive(Serialize)]
struct ResponseOut<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    background: bool,
    error: Option<FailureOut<'a>>,
    incomplete_details: Option<IncompleteOut>,
    instructions: Option<&'a str>,
    max_output_tokens: Option<u64>,
    max_tool_calls: Option<u64>,
    model: &'a str,
    output: Vec<ItemOut<'a>>,
    parallel_tool_calls: bool,
    previous_response_id: Option<&'a str>,
    prompt_cache_key: Option<&'a str>,
    reasoning: ReasoningOut<'a>,
    safety_identifier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    store: bool,
    temperature: Option<&'a Number>,
    text: TextOut<'a>,
    tool_choice: ChoiceOut<'a>,
    tools: Vec<ToolOut<'a>>,
    top_logprobs: u64,
    top_p: Option<&'a Number>,
    truncation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageOut>,
    metadata: Empty,
}

impl<'a> ResponseOut<'a> {
    fn new(about: About<'a>, state: State<'a>, items: &'a [Item], request: &'a Request) -> Self {
        let (error, incomplete_details) = match state {
            State::Failed { code, message } => (Some(FailureOut { code, message }), None),
            State::Incomplete(reason) => (None, Some(IncompleteOut { reason })),
            State::InProgress | State::Completed => (None, None),
        };
        Self {
            id: about.id,
            object: "response",
            created_at: about.created,
            status: state.status(),
            background: false,
            error,
            incomplete_details,
            instructions: instructions(request),
            max_output_tokens: request.max_tokens,
            max_tool_calls: None,
            model: about.model,
            output: items.iter().map(|item| item.out(&request.tools, true)).collect(),
            parallel_tool_calls: request.parallel_tools.unwrap_or(true),
            previous_response_id: None,
            prompt_cache_key: request.cache_key.as_deref(),
            reasoning: ReasoningOut {
                effort: match &request.reasoning {
                    Some(Effort::Level(level)) => Some(level),
                    Some(Effort::Off) => Some("none"),
                    Some(Effort::Budget(_) | Effort::Adaptive) | None => None,
                },
                summary: (request.reasoning_told == Some(true)).then_some("auto"),
            },
            safety_identifier: request.user.as_deref(),
            service_tier: request.service_tier.as_deref(),
            store: false,
            temperature: request.temperature.as_ref(),
            text: text(request),
            tool_choice: request
                .tool_choice
                .as_ref()
                .map_or(ChoiceOut::Mode("auto"), |asked| choice(asked, &request.tools)),
            tools: tools::write(&request.tools),
            top_logprobs: 0,
            top_p: request.top_p.as_ref(),
            truncation: "disabled",
            usage: about.usage,
            metadata: Empty {},
        }
    }
}

/// What stands before the conversation.
fn instructions(request: &Request) -> Option<&str> {
    let first = request.messages.first().filter(|message| message.role == Role::System)?;
    match first.parts.first().map(|part| &part.content) {
        Some(Content::Text(text)) => Some(text),
        _ => None,
    }
}

#[derive(Serialize)]
struct FailureOut<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct IncompleteOut {
    reason: &'static str,
}

#[derive(Serialize)]
struct ReasoningOut<'a> {
    effort: Option<&'a str>,
    summary: Option<&'static str>,
}

#[derive(Serialize)]
struct UsageOut {
    input_tokens: u64,
    input_tokens_details: InputDetailsOut,
    output_tokens: u64,
    output_tokens_details: OutputDetailsOut,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetailsOut {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetailsOut {
    reasoning_tokens: u64,
}

impl From<Usage> for UsageOut {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input,
            input_tokens_details: InputDetailsOut {
                cached_tokens: usage.cached_input,
                cache_write_tokens: usage.cache_write,
            },
            output_tokens: usage.output,
            output_tokens_details: OutputDetailsOut { reasoning_tokens: usage.reasoning },
            total_tokens: usage.input.saturating_add(usage.output),
        }
    }
}
