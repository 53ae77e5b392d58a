//! The caller's side of a dialect: how a request is written, and how a careful client reads what comes back.
//! Reading fails wherever one of the known clients would: a missing field, an event out of order, no end.

mod anthropic;
mod gemini;
mod openai_chat;
mod openai_responses;

use serde_json::{Value, json};

use crate::answer::{Stop, Usage};
use crate::upstream::Provider;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenaiChat,
    Anthropic,
    OpenaiResponses,
    /// Its requests hold `model` and `stream` here as the others do, and are sent with both in the path.
    Gemini,
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
    /// The assistant's message, or the items of its answer, ready to be sent back in the next turn.
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
    /// Those that every scenario is played with.
    pub(crate) const BOTH: [Self; 2] = [Self::OpenaiChat, Self::Anthropic];
    pub(crate) const ALL: [Self; 4] = [Self::OpenaiChat, Self::Anthropic, Self::OpenaiResponses, Self::Gemini];

    /// As test names spell it.
    pub(crate) fn name(self) -> &'static str {
        self.own().name()
    }

    /// Who speaks it by nature.
    pub(crate) fn own(self) -> Provider {
        match self {
            Self::OpenaiChat => Provider::OpenaiChat,
            Self::Anthropic => Provider::Anthropic,
            Self::OpenaiResponses => Provider::OpenaiResponses,
            Self::Gemini => Provider::Gemini,
        }
    }

    pub(crate) fn other(self) -> Self {
        if self == Self::Anthropic { Self::OpenaiChat } else { Self::Anthropic }
    }

    /// As the log calls it.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::OpenaiChat => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
            Self::OpenaiResponses => "/v1/responses",
            Self::Gemini => "/v1beta/models:generateContent",
        }
    }

    /// Where a request goes, and what is sent there.
    pub(crate) fn sent(self, request: &Value) -> (String, String) {
        if self != Self::Gemini {
            return (self.path().to_owned(), request.to_string());
        }
        let mut body = request.clone();
        let fields = body.as_object_mut().expect("a request is an object");
        let model = fields.remove("model").unwrap_or_default();
        let streams = fields.remove("stream").is_some_and(|stream| stream == true);
        let verb = if streams { "streamGenerateContent?alt=sse" } else { "generateContent" };
        (format!("/v1beta/models/{}:{verb}", model.as_str().unwrap_or_default()), body.to_string())
    }

    pub(crate) fn headers(self, key: &str) -> Vec<(&'static str, String)> {
        let content = ("content-type", "application/json".to_owned());
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => vec![content, ("authorization", format!("Bearer {key}"))],
            Self::Gemini => vec![content, ("x-goog-api-key", key.to_owned())],
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
            Self::OpenaiResponses => json!({"model": model, "input": messages, "store": false}),
            Self::Gemini => json!({"model": model, "contents": [{"role": "user", "parts": [{"text": prompt}]}]}),
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

    /// The request with room for an answer of so many tokens.
    pub(crate) fn bounded(self, mut request: Value, tokens: u64) -> Value {
        match self {
            Self::OpenaiChat | Self::Anthropic => request["max_tokens"] = tokens.into(),
            Self::OpenaiResponses => request["max_output_tokens"] = tokens.into(),
            Self::Gemini => request["generationConfig"]["maxOutputTokens"] = tokens.into(),
        }
        request
    }

    /// The request of who wants a little thinking, and to be told of it.
    pub(crate) fn thinking(self, mut request: Value) -> Value {
        match self {
            Self::OpenaiChat => request["reasoning_effort"] = "low".into(),
            Self::Anthropic => request["thinking"] = json!({"type": "enabled", "budget_tokens": 1024}),
            Self::OpenaiResponses => {
                request["reasoning"] = json!({"effort": "low", "summary": "auto"});
                request["include"] = json!(["reasoning.encrypted_content"]);
            }
            Self::Gemini => {
                request["generationConfig"]["thinkingConfig"] =
                    json!({"thinkingLevel": "low", "includeThoughts": true});
            }
        }
        request
    }

    /// The request with the answer to it, and the results of its calls: id and text, in the order of the calls.
    pub(crate) fn answered(self, mut request: Value, reading: &Reading, results: &[(&str, &str)]) -> Value {
        let field = match self {
            Self::OpenaiChat | Self::Anthropic => "messages",
            Self::OpenaiResponses => "input",
            Self::Gemini => "contents",
        };
        let turns = request[field].as_array_mut().expect("a request has turns");
        match &reading.message {
            Value::Array(items) => turns.extend(items.iter().cloned()),
            message => turns.push(message.clone()),
        }
        if self == Self::Gemini {
            let part = |(call, (_, text)): (&Called, &(&str, &str))| json!({"functionResponse": {"id": call.id, "name": call.name, "response": {"output": text}}});
            let parts: Vec<_> = reading.calls.iter().zip(results).map(part).collect();
            turns.push(json!({"role": "user", "parts": parts}));
        } else {
            turns.extend(self.results(results));
        }
        request
    }

    pub(crate) fn tools(self) -> Value {
        let schema =
            |field: &str| json!({"type": "object", "properties": {field: {"type": "string"}}, "required": [field]});
        let tools = [("get_weather", "The weather", schema("city")), ("get_time", "The time", schema("zone"))];
        let tools: Value = tools
            .into_iter()
            .map(|(name, description, schema)| match self {
                Self::OpenaiChat => {
                    let function = json!({"name": name, "description": description, "parameters": schema});
                    json!({"type": "function", "function": function})
                }
                Self::Anthropic => {
                    json!({"name": name, "description": description, "input_schema": schema})
                }
                Self::OpenaiResponses => {
                    json!({"type": "function", "name": name, "description": description, "parameters": schema, "strict": false})
                }
                Self::Gemini => json!({"name": name, "description": description, "parameters": schema}),
            })
            .collect();
        if self == Self::Gemini { json!([{"functionDeclarations": tools}]) } else { tools }
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
            Self::OpenaiResponses => {
                let item =
                    |(id, text): &(&str, &str)| json!({"type": "function_call_output", "call_id": id, "output": text});
                results.iter().map(item).collect()
            }
            Self::Gemini => panic!("a result names its tool too"),
        }
    }

    /// What a caller of this dialect reads for a stop that this upstream told.
    pub(crate) fn stop(self, upstream: Provider, stop: Stop) -> &'static str {
        match (self, stop) {
            (Self::OpenaiChat, Stop::End | Stop::Sequence(_)) => "stop",
            (Self::OpenaiChat, Stop::Length) => "length",
            (Self::OpenaiChat, Stop::Tools) => "tool_calls",
            (Self::Anthropic, Stop::Sequence(_)) if upstream == Provider::Anthropic => "stop_sequence",
            (Self::Anthropic, Stop::End | Stop::Sequence(_)) => "end_turn",
            (Self::Anthropic, Stop::Length) => "max_tokens",
            (Self::Anthropic, Stop::Tools) => "tool_use",
            (Self::OpenaiResponses, Stop::Length) => "incomplete",
            (Self::OpenaiResponses, Stop::End | Stop::Sequence(_) | Stop::Tools) => "completed",
            (Self::Gemini, Stop::Length) => "MAX_TOKENS",
            (Self::Gemini, Stop::End | Stop::Sequence(_) | Stop::Tools) => "STOP",
        }
    }

    /// The type of a bad request's error.
    pub(crate) fn invalid(self) -> &'static str {
        match self {
            Self::OpenaiChat | Self::Anthropic | Self::OpenaiResponses => "invalid_request_error",
            Self::Gemini => "INVALID_ARGUMENT",
        }
    }

    /// What is left of a usage when it tells it.
    pub(crate) fn tells(self, usage: Usage) -> Usage {
        match self {
            Self::OpenaiChat | Self::Gemini => Usage { cache_write: 0, ..usage },
            Self::Anthropic => Usage { reasoning: 0, ..usage },
            Self::OpenaiResponses => usage,
        }
    }

    pub(crate) fn read_whole(self, body: &[u8]) -> Reading {
        let body = serde_json::from_slice(body).expect("a whole answer is JSON");
        match self {
            Self::OpenaiChat => openai_chat::read_whole(&body),
            Self::Anthropic => anthropic::read_whole(&body),
            Self::OpenaiResponses => openai_responses::read_whole(&body),
            Self::Gemini => gemini::read_whole(&body),
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
            Self::OpenaiResponses => openai_responses::read_stream(&events),
            Self::Gemini => gemini::read_stream(&events.iter().map(crate::sse::Event::json).collect::<Vec<_>>()),
        }
    }

    pub(crate) fn read_error(self, body: &[u8]) -> Problem {
        let body: Value = serde_json::from_slice(body).expect("an error is JSON");
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => openai_chat::problem(&body),
            Self::Gemini => gemini::problem(&body),
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

/// Reads the stream of Gemini that is one list, whole whatever became of the answer.
pub(crate) fn read_list(body: &[u8]) -> (Reading, Option<Problem>) {
    let pieces: Vec<Value> = serde_json::from_slice(body).expect("the list is JSON");
    gemini::read_stream(&pieces)
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("`{field}` is missing in {value}"))
}
