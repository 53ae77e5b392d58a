//! Writes the `response` object: what was asked, and the items of the answer as far as they have come.

use super::tools::{self, Called, Empty, ToolOut, unwrapped};
use super::write_request::{ChoiceOut, TextOut, choice, text};
use crate::chat::{self, Block, Content, Effort, Number, Part, Request, Role, StopReason, Usage};
use crate::dialect::Label;
use crate::wire::json::{to_vec, written};

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
    to_vec(&ResponseOut::new(about, State::of(response.stop.reason), &items, &request))
}

/// One item of the answer, as far as it has come.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
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
    pub(super) fn new(block: &Block, label: &Label, index: usize) -> Self {
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
        let (block, words, signature) = match &part.content {
            Content::Text(text) => (Block::Text, text.as_str(), None),
            Content::Reasoning { text, signature } => (Block::Reasoning, text.as_str(), signature.as_deref()),
            Content::SealedReasoning(sealed) => (Block::SealedReasoning(sealed.clone()), "", None),
            Content::ToolCall(call) => {
                let (id, name) = (call.id.clone(), call.name.clone());
                (Block::ToolCall { id, name, signature: None }, call.arguments.as_str(), None)
            }
            // Models do not answer with these in any dialect we read.
            Content::Image(_)
            | Content::Audio(_)
            | Content::Video(_)
            | Content::Document { .. }
            | Content::ToolResult { .. } => return None,
        };
        let mut item = Self::new(&block, label, index);
        item.push(words);
        item.prove(signature.unwrap_or_default());
        Some(item)
    }

    pub(super) fn push(&mut self, words: &str) {
        let text = match &mut self.body {
            Body::Message(text) | Body::Reasoning { text: Some(text), .. } | Body::Call { arguments: text, .. } => text,
            Body::Reasoning { text: None, .. } => return,
        };
        text.push_str(words);
    }

    /// Adds to the proof of reasoning.
    pub(super) fn prove(&mut self, signature: &str) {
        if let Body::Reasoning { proof, .. } = &mut self.body
            && !signature.is_empty()
        {
            proof.get_or_insert_default().push_str(signature);
        }
    }

    /// As a part of the output; without what is in it while it is only begun.
    pub(super) fn out<'a>(&'a self, tools: &'a [chat::Tool], is_done: bool) -> ItemOut<'a> {
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
pub(super) fn whole(arguments: &str) -> &str {
    if arguments.trim().is_empty() { "{}" } else { arguments }
}

fn prefix(name: &str, label: &Label) -> &'static str {
    let tools = label.request.as_ref().map(|request| request.tools.as_slice()).unwrap_or_default();
    if Called::find(tools, name).is_custom { "ctc" } else { "fc" }
}

/// Where a response stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum State<'a> {
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
    pub(super) fn of(reason: StopReason) -> Self {
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
    pub(super) fn event(self) -> &'static str {
        match self {
            Self::InProgress => "response.in_progress",
            Self::Completed => "response.completed",
            Self::Incomplete(_) => "response.incomplete",
            Self::Failed { .. } => "response.failed",
        }
    }
}

written! {
    pub(super) enum ItemOut<'a> tagged "type" {
        Message as "message" { id: &'a str, status: &'static str, role: &'static str, content: Vec<PartOut<'a>> },
        Reasoning as "reasoning" {
            id: &'a str,
            summary: Vec<PartOut<'a>>,
            encrypted_content?: Option<&'a str>,
        },
        Function as "function_call" {
            id: &'a str,
            status: &'static str,
            call_id: &'a str,
            name: &'a str,
            namespace?: Option<&'a str>,
            arguments: &'a str,
        },
        Custom as "custom_tool_call" {
            id: &'a str,
            status: &'static str,
            call_id: &'a str,
            name: &'a str,
            namespace?: Option<&'a str>,
            input: String,
        },
    }

    pub(super) enum PartOut<'a> tagged "type" {
        Text as "output_text" { text: &'a str, annotations: [Empty; 0], logprobs: [Empty; 0] },
        Summary as "summary_text" { text: &'a str },
    }
}

impl<'a> PartOut<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text { text, annotations: [], logprobs: [] }
    }
}

pub(super) struct About<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    pub(super) created: u64,
    pub(super) usage: Option<UsageOut>,
}

written! {
    /// The `response` object, with what was asked in it.
    pub(super) struct ResponseOut<'a> {
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
        service_tier?: Option<&'a str>,
        store: bool,
        temperature: Option<&'a Number>,
        text: TextOut<'a>,
        tool_choice: ChoiceOut<'a>,
        tools: Vec<ToolOut<'a>>,
        top_logprobs: u64,
        top_p: Option<&'a Number>,
        truncation: &'static str,
        usage?: Option<UsageOut>,
        metadata: Empty,
    }
}

impl<'a> ResponseOut<'a> {
    pub(super) fn new(about: About<'a>, state: State<'a>, items: &'a [Item], request: &'a Request) -> Self {
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

written! {
    struct FailureOut<'a> {
        code: &'static str,
        message: &'a str,
    }

    struct IncompleteOut {
        reason: &'static str,
    }

    struct ReasoningOut<'a> {
        effort: Option<&'a str>,
        summary: Option<&'static str>,
    }

    pub(super) struct UsageOut {
        input_tokens: u64,
        input_tokens_details: InputDetailsOut,
        output_tokens: u64,
        output_tokens_details: OutputDetailsOut,
        total_tokens: u64,
    }

    struct InputDetailsOut {
        cached_tokens: u64,
        cache_write_tokens: u64,
    }

    struct OutputDetailsOut {
        reasoning_tokens: u64,
    }
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
