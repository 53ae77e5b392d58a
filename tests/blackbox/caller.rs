//! The caller's side of a dialect: how a request is written, and how a careful client reads what comes back.
//! Reading fails wherever one of the known clients would: a missing field, an event out of order, no end.

mod anthropic;
mod openai_chat;

use serde_json::{Value, json};

use crate::answer::{Stop, Usage};
use crate::upstream;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenaiChat,
    Anthropic,
}

/// An answer as the caller understood it.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) text: String,
    pub(crate) thinking: String,
    pub(crate) calls: Vec<Called>,
    pub(crate) stop: String,
    pub(crate) stop_sequence: Value,
    pub(crate) usage: Option<Usage>,
    /// The assistant's message, ready to be sent back in the next turn.
    pub(crate) message: Value,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Called {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: Value,
}

/// An error as the caller understood it.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) kind: String,
    /// Only Chat Completions has one.
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Dialect {
    pub(crate) const BOTH: [Self; 2] = [Self::OpenaiChat, Self::Anthropic];

    /// As test names spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::Anthropic => "anthropic",
        }
    }

    /// The provider that leads to the scripted upstream in this dialect.
    pub(crate) fn provider(self) -> &'static str {
        upstream::Dialect::from(self).provider()
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::OpenaiChat => Self::Anthropic,
            Self::Anthropic => Self::OpenaiChat,
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::OpenaiChat => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
        }
    }

    pub(crate) fn headers(self, key: &str) -> Vec<(&'static str, String)> {
        let content = ("content-type", "application/json".to_owned());
        match self {
            Self::OpenaiChat => vec![content, ("authorization", format!("Bearer {key}"))],
            Self::Anthropic => {
                vec![content, ("x-api-key", key.to_owned()), ("anthropic-version", "2023-06-01".to_owned())]
            }
        }
    }

    pub(crate) fn request(self, model: &str, prompt: &str) -> Value {
        let messages = json!([{"role": "user", "content": prompt}]);
        match self {
            Self::OpenaiChat => json!({"model": model, "messages": messages}),
            Self::Anthropic => json!({"model": model, "messages": messages, "max_tokens": 100}),
        }
    }

    /// A streamed request; a Chat Completions caller asks for the usage.
    pub(crate) fn streamed(self, model: &str, prompt: &str) -> Value {
        self.as_stream(self.request(model, prompt))
    }

    pub(crate) fn as_stream(self, mut request: Value) -> Value {
        request["stream"] = true.into();
        if self == Self::OpenaiChat {
            request["stream_options"] = json!({"include_usage": true});
        }
        request
    }

    pub(crate) fn tools(self) -> Value {
        let schema =
            |field: &str| json!({"type": "object", "properties": {field: {"type": "string"}}, "required": [field]});
        let tools = [("get_weather", "The weather", schema("city")), ("get_time", "The time", schema("zone"))];
        tools
            .into_iter()
            .map(|(name, description, schema)| match self {
                Self::OpenaiChat => {
                    let function = json!({"name": name, "description": description, "parameters": schema});
                    json!({"type": "function", "function": function})
                }
                Self::Anthropic => {
                    json!({"name": name, "description": description, "input_schema": schema})
                }
            })
            .collect()
    }

    /// The messages that answer calls, in the order of the calls.
    pub(crate) fn results(self, results: &[(&str, &str)]) -> Vec<Value> {
        match self {
            Self::OpenaiChat => {
                let message = |(id, text): &(&str, &str)| json!({"role": "tool", "tool_call_id": id, "content": text});
                results.iter().map(message).collect()
            }
            Self::Anthropic => {
                let block =
                    |(id, text): &(&str, &str)| json!({"type": "tool_result", "tool_use_id": id, "content": text});
                vec![json!({"role": "user", "content": results.iter().map(block).collect::<Vec<_>>()})]
            }
        }
    }

    /// What a caller of this dialect reads for a stop that came through an upstream of the other given.
    pub(crate) fn stop(self, upstream: Self, stop: Stop) -> &'static str {
        match (self, stop) {
            (Self::OpenaiChat, Stop::End | Stop::Sequence(_)) => "stop",
            (Self::OpenaiChat, Stop::Length) => "length",
            (Self::OpenaiChat, Stop::Tools) => "tool_calls",
            (Self::Anthropic, Stop::Sequence(_)) if upstream == Self::Anthropic => "stop_sequence",
            (Self::Anthropic, Stop::End | Stop::Sequence(_)) => "end_turn",
            (Self::Anthropic, Stop::Length) => "max_tokens",
            (Self::Anthropic, Stop::Tools) => "tool_use",
        }
    }

    pub(crate) fn read_whole(self, body: &[u8]) -> Reading {
        let body = serde_json::from_slice(body).expect("a whole answer is JSON");
        match self {
            Self::OpenaiChat => openai_chat::read_whole(&body),
            Self::Anthropic => anthropic::read_whole(&body),
        }
    }

    /// Reads a stream that must be complete.
    pub(crate) fn read_stream(self, body: &[u8]) -> Reading {
        let (reading, problem) = self.read_any_stream(body);
        assert!(problem.is_none(), "the stream ended with an error: {problem:?}");
        reading
    }

    /// Reads a stream that must end with an error and without its dialect's end.
    pub(crate) fn read_broken_stream(self, body: &[u8]) -> (Reading, Problem) {
        let (reading, problem) = self.read_any_stream(body);
        (reading, problem.expect("the stream must not look complete"))
    }

    fn read_any_stream(self, body: &[u8]) -> (Reading, Option<Problem>) {
        let events = crate::sse::events(body);
        match self {
            Self::OpenaiChat => openai_chat::read_stream(&events),
            Self::Anthropic => anthropic::read_stream(&events),
        }
    }

    pub(crate) fn read_error(self, body: &[u8]) -> Problem {
        let body: Value = serde_json::from_slice(body).expect("an error is JSON");
        match self {
            Self::OpenaiChat => openai_chat::problem(&body),
            Self::Anthropic => {
                assert_eq!(body["type"], "error", "{body}");
                anthropic::problem(&body)
            }
        }
    }
}

/// The string at `field`, which must be there and not be empty.
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    match value[field].as_str() {
        Some(text) if !text.is_empty() => text,
        _ => panic!("`{field}` is missing in {value}"),
    }
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("`{field}` is missing in {value}"))
}
