//! What the scripted upstream speaks, and how each is told from the others. Adding one is a module and a line in each
//! `match`.

use serde_json::Value;

use super::{Frame, anthropic, bedrock_converse, cohere, gemini, ollama, openai_chat, openai_responses};
use crate::answer::{Answer, Call};
use crate::caller;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenaiChat,
    Anthropic,
    OpenaiResponses,
    Gemini,
    BedrockConverse,
    Cohere,
    Ollama,
}

/// A request as far as the script needs it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) dialect: Dialect,
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) body: Value,
}

impl Asked {
    /// Some dialects name the model in the path, and there say whether to stream.
    pub(crate) fn read(dialect: Dialect, path: &str, body: Value) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let (model, stream) = match dialect {
            Dialect::BedrockConverse => {
                let (model, verb) = path.rsplit_once('/').unwrap_or_default();
                (model.trim_start_matches("/model/").into(), verb == "converse-stream")
            }
            Dialect::Gemini => {
                let (model, verb) = path.rsplit_once(':').unwrap_or_default();
                (model.trim_start_matches("/v1beta/models/").into(), verb == "streamGenerateContent")
            }
            Dialect::Ollama => (body["model"].clone(), body["stream"] != false),
            _ => (body["model"].clone(), body["stream"] == true),
        };
        let model = model.as_str().unwrap_or_default().to_owned();
        Self { dialect, model, stream, body }
    }

    /// What the real API would answer 400 to.
    pub(crate) fn check(&self, anthropic_version: &str) -> Result<(), String> {
        match self.dialect {
            Dialect::OpenaiChat => openai_chat::check(&self.body),
            Dialect::Anthropic => anthropic::check(&self.body, anthropic_version),
            Dialect::OpenaiResponses => openai_responses::check(&self.body),
            Dialect::Gemini => gemini::check(&self.body),
            Dialect::BedrockConverse => bedrock_converse::check(&self.body),
            Dialect::Cohere => cohere::check(&self.body),
            Dialect::Ollama => ollama::check(&self.body),
        }
    }

    pub(crate) fn whole(&self, answer: &Answer) -> Value {
        match self.dialect {
            Dialect::OpenaiChat => openai_chat::whole(answer, &self.model),
            Dialect::Anthropic => anthropic::whole(answer, &self.model),
            Dialect::OpenaiResponses => openai_responses::whole(answer, &self.model),
            Dialect::Gemini => gemini::whole(answer, &self.model),
            Dialect::BedrockConverse => bedrock_converse::whole(answer),
            Dialect::Cohere => cohere::whole(answer),
            Dialect::Ollama => ollama::whole(answer, &self.model),
        }
    }

    pub(crate) fn frames(&self, answer: &Answer) -> Vec<Frame> {
        match self.dialect {
            Dialect::OpenaiChat => {
                let usage_wanted = self.body["stream_options"]["include_usage"] == true;
                openai_chat::frames(answer, &self.model, usage_wanted)
            }
            Dialect::Anthropic => anthropic::frames(answer, &self.model),
            Dialect::OpenaiResponses => openai_responses::frames(answer, &self.model),
            Dialect::Gemini => gemini::frames(answer, &self.model),
            Dialect::BedrockConverse => bedrock_converse::frames(answer),
            Dialect::Cohere => cohere::frames(answer),
            Dialect::Ollama => ollama::frames(answer, &self.model),
        }
    }
}

impl Dialect {
    pub(crate) const ALL: [Self; 7] = [
        Self::OpenaiChat,
        Self::Anthropic,
        Self::OpenaiResponses,
        Self::Gemini,
        Self::BedrockConverse,
        Self::Cohere,
        Self::Ollama,
    ];

    /// What is spoken at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        Some(match path.split('?').next().unwrap_or_default() {
            "/v1/chat/completions" => Self::OpenaiChat,
            "/v1/messages" => Self::Anthropic,
            "/v1/responses" => Self::OpenaiResponses,
            "/v2/chat" => Self::Cohere,
            "/api/chat" => Self::Ollama,
            path if path.starts_with("/v1beta/models/") => Self::Gemini,
            path if path.starts_with("/model/") => Self::BedrockConverse,
            _ => return None,
        })
    }

    /// As test names spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::Anthropic => "anthropic",
            Self::OpenaiResponses => "openai_responses",
            Self::Gemini => "gemini",
            Self::BedrockConverse => "bedrock_converse",
            Self::Cohere => "cohere",
            Self::Ollama => "ollama",
        }
    }

    /// The provider that leads to the scripted upstream in this dialect.
    pub(crate) fn provider(self) -> &'static str {
        match self {
            Self::OpenaiChat => "up-openai",
            Self::Anthropic => "up-anthropic",
            Self::OpenaiResponses => "up-responses",
            Self::Gemini => "up-gemini",
            Self::BedrockConverse => "up-bedrock",
            Self::Cohere => "up-cohere",
            Self::Ollama => "up-ollama",
        }
    }

    /// What its provider's base URL has behind the address.
    pub(crate) fn base(self) -> &'static str {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => "/v1",
            Self::Gemini => "/v1beta",
            Self::Cohere => "/v2",
            Self::Anthropic | Self::BedrockConverse | Self::Ollama => "",
        }
    }

    /// The key that the gateway must present, and must present to nobody else.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::OpenaiChat => "sk-scripted-openai-5f2c",
            Self::Anthropic => "sk-ant-scripted-8d1e",
            Self::OpenaiResponses => "sk-scripted-responses-1c9d",
            Self::Gemini => "AIza-scripted-gemini-64c8",
            Self::BedrockConverse => "ABSK-scripted-bedrock-77e0",
            Self::Cohere => "co-scripted-3b5a",
            Self::Ollama => "ol-scripted-90fe",
        }
    }

    /// Whether its models sign their thoughts.
    pub(crate) fn signs(self) -> bool {
        match self {
            Self::Anthropic | Self::OpenaiResponses | Self::Gemini | Self::BedrockConverse => true,
            Self::OpenaiChat | Self::Cohere | Self::Ollama => false,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::OpenaiChat | Self::Anthropic | Self::OpenaiResponses | Self::Gemini | Self::Cohere => {
                "text/event-stream; charset=utf-8"
            }
            Self::BedrockConverse => "application/vnd.amazon.eventstream",
            Self::Ollama => "application/x-ndjson",
        }
    }

    pub(crate) fn error(self, status: u16, message: &str) -> Value {
        match self {
            // The two of OpenAI have one shape of error.
            Self::OpenaiChat | Self::OpenaiResponses => openai_chat::error(status, message),
            Self::Anthropic => anthropic::error(status, message),
            Self::Gemini => gemini::error(status, message),
            Self::BedrockConverse => bedrock_converse::error(message),
            Self::Cohere => cohere::error(message),
            Self::Ollama => ollama::error(message),
        }
    }

    /// What a stream ends with when the model fails.
    pub(crate) fn error_frame(self, message: &str) -> Vec<u8> {
        match self {
            Self::OpenaiChat => openai_chat::error_frame(message).into_bytes(),
            Self::Anthropic => anthropic::error_frame(message).into_bytes(),
            Self::OpenaiResponses => openai_responses::error_frame(message),
            Self::Gemini => gemini::error_frame(message),
            Self::BedrockConverse => bedrock_converse::error_frame(message),
            Self::Cohere => cohere::error_frame(message),
            Self::Ollama => ollama::error_frame(message),
        }
    }

    /// What a result names its call by.
    pub(crate) fn result_of(self, call: &Call) -> &'static str {
        match self {
            Self::Gemini => call.name,
            _ => call.id,
        }
    }

    /// The results of calls in a request: what the call is named by, and the text, which may be that of an object.
    pub(crate) fn results(self, request: &Value) -> Vec<(String, String)> {
        match self {
            Self::OpenaiChat | Self::Cohere | Self::Ollama => openai_chat::results(request),
            Self::Anthropic => anthropic::results(request),
            Self::OpenaiResponses => openai_responses::results(request),
            Self::Gemini => gemini::results(request),
            Self::BedrockConverse => bedrock_converse::results(request),
        }
    }
}

impl From<caller::Dialect> for Dialect {
    fn from(dialect: caller::Dialect) -> Self {
        match dialect {
            caller::Dialect::OpenaiChat => Self::OpenaiChat,
            caller::Dialect::Anthropic => Self::Anthropic,
        }
    }
}

/// The text of a content, be it a string or parts.
pub(super) fn flat(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => panic!("not a content: {content}"),
    }
}
