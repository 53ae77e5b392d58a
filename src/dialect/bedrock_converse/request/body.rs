//! The body of a request, as it is serialized.

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::Serializer;

use crate::chat::Number;
use crate::wire::json::Verbatim;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) system: Vec<System<'a>>,
    pub(super) messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inference_config: Option<Inference<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_config: Option<ToolConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<Tier<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) additional_model_request_fields: Option<Extra<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) additional_model_response_field_paths: Option<[&'static str; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum System<'a> {
    Text(&'a str),
    CachePoint(CachePoint),
}

#[derive(Serialize)]
pub(super) struct CachePoint {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ttl: Option<String>,
}

pub(super) struct Turn<'a> {
    pub(super) role: &'static str,
    /// With the cache points behind them; they come first.
    pub(super) results: Vec<Block<'a>>,
    pub(super) rest: Vec<Block<'a>>,
}

impl Serialize for Turn<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Out<'t, 'a> {
            role: &'static str,
            content: Content<'t, 'a>,
        }
        struct Content<'t, 'a>(&'t [Block<'a>], &'t [Block<'a>]);
        impl Serialize for Content<'_, '_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter().chain(self.1))
            }
        }
        Out { role: self.role, content: Content(&self.results, &self.rest) }.serialize(serializer)
    }
}

impl Turn<'_> {
    pub(super) fn calls_without_thinking(&self) -> bool {
        let calls = self.rest.iter().any(|block| matches!(block, Block::ToolUse { .. }));
        calls && !matches!(self.rest.first(), Some(Block::Reasoning(_)))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Block<'a> {
    Text(Cow<'a, str>),
    Image(Typed<'a>),
    Audio(Typed<'a>),
    Video(Typed<'a>),
    Document(Document<'a>),
    #[serde(rename = "reasoningContent")]
    Reasoning(Reasoning<'a>),
    #[serde(rename_all = "camelCase")]
    ToolUse {
        tool_use_id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Verbatim<'a>,
    },
    #[serde(rename_all = "camelCase")]
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: Vec<ResultBlock<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
    },
    CachePoint(CachePoint),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ResultBlock<'a> {
    Text(&'a str),
    Image(Typed<'a>),
    Video(Typed<'a>),
    Document(Document<'a>),
}

/// An image, a sound or a film.
#[derive(Serialize)]
pub(super) struct Typed<'a> {
    pub(super) format: &'static str,
    pub(super) source: Source<'a>,
}

#[derive(Serialize)]
pub(super) struct Document<'a> {
    pub(super) format: &'static str,
    pub(super) name: String,
    pub(super) source: Source<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Source<'a> {
    /// In base64.
    Bytes(&'a str),
    S3Location {
        uri: &'a str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Reasoning<'a> {
    ReasoningText(ReasoningText<'a>),
    RedactedContent(&'a str),
}

#[derive(Serialize)]
pub(super) struct ReasoningText<'a> {
    pub(super) text: &'a str,
    pub(super) signature: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inference<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<Cow<'a, Number>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) stop_sequences: Vec<&'a str>,
}

impl Inference<'_> {
    pub(super) fn is_empty(&self) -> bool {
        let Self { max_tokens, temperature, top_p, stop_sequences } = self;
        max_tokens.is_none() && temperature.is_none() && top_p.is_none() && stop_sequences.is_empty()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolConfig<'a> {
    pub(super) tools: Vec<ToolOut<'a>>,
    /// Left out where the model may choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_choice: Option<ToolChoiceOut<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ToolOut<'a> {
    ToolSpec(ToolSpec<'a>),
    CachePoint(CachePoint),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolSpec<'a> {
    pub(super) name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
    pub(super) input_schema: Schema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strict: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct Schema<'a> {
    pub(super) json: Verbatim<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ToolChoiceOut<'a> {
    Any(Empty),
    Tool { name: Cow<'a, str> },
}

#[derive(Serialize)]
pub(super) struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OutputConfig<'a> {
    pub(super) text_format: TextFormat<'a>,
}

#[derive(Serialize)]
pub(super) struct TextFormat<'a> {
    r#type: &'static str,
    structure: Structure<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Structure<'a> {
    json_schema: JsonText<'a>,
}

/// A schema as the text it is, and not as JSON within JSON.
#[derive(Serialize)]
pub(super) struct JsonText<'a> {
    pub(super) name: &'a str,
    pub(super) schema: &'a str,
}

impl<'a> TextFormat<'a> {
    pub(super) fn new(json_schema: JsonText<'a>) -> Self {
        Self { r#type: "json_schema", structure: Structure { json_schema } }
    }
}

#[derive(Serialize)]
pub(super) struct Tier<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
}

/// What goes on to the model as it is, in the words of its maker.
#[derive(Default, Serialize)]
pub(super) struct Extra<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_config: Option<EffortOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_choice: Option<Single>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_config: Option<&'a str>,
    #[serde(rename = "reasoningConfig", skip_serializing_if = "Option::is_none")]
    pub(super) nova_reasoning: Option<NovaReasoning<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) k: Option<u64>,
    #[serde(rename = "inferenceConfig", skip_serializing_if = "Option::is_none")]
    pub(super) nova_inference: Option<Nova>,
}

impl Extra<'_> {
    pub(super) fn is_empty(&self) -> bool {
        let Self { thinking, output_config, tool_choice, reasoning_effort, reasoning_config, .. } = self;
        let Self { nova_reasoning, top_k, k, nova_inference, .. } = self;
        thinking.is_none()
            && output_config.is_none()
            && tool_choice.is_none()
            && reasoning_effort.is_none()
            && reasoning_config.is_none()
            && nova_reasoning.is_none()
            && top_k.is_none()
            && k.is_none()
            && nova_inference.is_none()
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thinking {
    Enabled {
        budget_tokens: u64,
    },
    Adaptive {
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<&'static str>,
    },
}

#[derive(Serialize)]
pub(super) struct Single {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) disable_parallel_tool_use: bool,
}

#[derive(Serialize)]
pub(super) struct EffortOut<'a> {
    pub(super) effort: &'a str,
}

#[derive(Serialize)]
pub(super) struct NovaReasoning<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(rename = "maxReasoningEffort")]
    pub(super) max_reasoning_effort: &'a str,
}

#[derive(Serialize)]
pub(super) struct Nova {
    #[serde(rename = "topK")]
    pub(super) top_k: Option<u64>,
}
