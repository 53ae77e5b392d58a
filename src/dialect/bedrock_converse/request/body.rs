//! The body of a request, as it is written.

use std::borrow::Cow;

use crate::chat::Number;
use crate::wire::json::{Verbatim, Write, write_all, written};

written! {
    pub(super) struct Body<'a> {
        pub(super) system?: Vec<System<'a>>,
        pub(super) messages: Vec<Turn<'a>>,
        pub(super) inference_config as "inferenceConfig"?: Option<Inference<'a>>,
        pub(super) tool_config as "toolConfig"?: Option<ToolConfig<'a>>,
        pub(super) output_config as "outputConfig"?: Option<OutputConfig<'a>>,
        pub(super) service_tier as "serviceTier"?: Option<Tier<'a>>,
        pub(super) additional_model_request_fields as "additionalModelRequestFields"?: Option<Extra<'a>>,
        pub(super) additional_model_response_field_paths as "additionalModelResponseFieldPaths"?: Option<[&'static str; 1]>,
    }

    pub(super) enum System<'a> {
        Text as "text" (&'a str),
        CachePoint as "cachePoint" (CachePoint),
    }

    pub(super) struct CachePoint {
        pub(super) kind as "type": &'static str,
        pub(super) ttl?: Option<String>,
    }
}

pub(super) struct Turn<'a> {
    pub(super) role: &'static str,
    /// With the cache points behind them; they come first.
    pub(super) results: Vec<Block<'a>>,
    pub(super) rest: Vec<Block<'a>>,
}

impl Write for Turn<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        written! {
            struct Out<'t, 'a> {
                role: &'static str,
                content: Content<'t, 'a>,
            }
        }
        struct Content<'t, 'a>(&'t Turn<'a>);
        impl Write for Content<'_, '_> {
            fn write(&self, out: &mut Vec<u8>) {
                write_all(self.0.results.iter().chain(&self.0.rest), out);
            }
        }
        Out { role: self.role, content: Content(self) }.write(out);
    }
}

impl Turn<'_> {
    pub(super) fn calls_without_thinking(&self) -> bool {
        let calls = self.rest.iter().any(|block| matches!(block, Block::ToolUse { .. }));
        calls && !matches!(self.rest.first(), Some(Block::Reasoning(_)))
    }
}

written! {
    pub(super) enum Block<'a> {
        Text as "text" (Cow<'a, str>),
        Image as "image" (Typed<'a>),
        Audio as "audio" (Typed<'a>),
        Video as "video" (Typed<'a>),
        Document as "document" (Document<'a>),
        Reasoning as "reasoningContent" (Reasoning<'a>),
        ToolUse as "toolUse" {
            tool_use_id as "toolUseId": Cow<'a, str>,
            name: Cow<'a, str>,
            input: Verbatim<'a>,
        },
        ToolResult as "toolResult" {
            tool_use_id as "toolUseId": Cow<'a, str>,
            content: Vec<ResultBlock<'a>>,
            status?: Option<&'static str>,
        },
        CachePoint as "cachePoint" (CachePoint),
    }

    pub(super) enum ResultBlock<'a> {
        Text as "text" (&'a str),
        Image as "image" (Typed<'a>),
        Video as "video" (Typed<'a>),
        Document as "document" (Document<'a>),
    }

    /// An image, a sound or a film.
    pub(super) struct Typed<'a> {
        pub(super) format: &'static str,
        pub(super) source: Source<'a>,
    }

    pub(super) struct Document<'a> {
        pub(super) format: &'static str,
        pub(super) name: String,
        pub(super) source: Source<'a>,
    }

    pub(super) enum Source<'a> {
        /// In base64.
        Bytes as "bytes" (&'a str),
        S3Location as "s3Location" { uri: &'a str },
    }

    pub(super) enum Reasoning<'a> {
        ReasoningText as "reasoningText" (ReasoningText<'a>),
        RedactedContent as "redactedContent" (&'a str),
    }

    pub(super) struct ReasoningText<'a> {
        pub(super) text: &'a str,
        pub(super) signature: &'a str,
    }

    pub(super) struct Inference<'a> {
        pub(super) max_tokens as "maxTokens"?: Option<u64>,
        pub(super) temperature?: Option<Cow<'a, Number>>,
        pub(super) top_p as "topP"?: Option<&'a Number>,
        pub(super) stop_sequences as "stopSequences"?: Vec<&'a str>,
    }
}

impl Inference<'_> {
    pub(super) fn is_empty(&self) -> bool {
        let Self { max_tokens, temperature, top_p, stop_sequences } = self;
        max_tokens.is_none() && temperature.is_none() && top_p.is_none() && stop_sequences.is_empty()
    }
}

written! {
    pub(super) struct ToolConfig<'a> {
        pub(super) tools: Vec<ToolOut<'a>>,
        /// Left out where the model may choose.
        pub(super) tool_choice as "toolChoice"?: Option<ToolChoiceOut<'a>>,
    }

    pub(super) enum ToolOut<'a> {
        ToolSpec as "toolSpec" (ToolSpec<'a>),
        CachePoint as "cachePoint" (CachePoint),
    }

    pub(super) struct ToolSpec<'a> {
        pub(super) name: Cow<'a, str>,
        pub(super) description?: Option<&'a str>,
        pub(super) input_schema as "inputSchema": Schema<'a>,
        pub(super) strict?: Option<bool>,
    }

    pub(super) struct Schema<'a> {
        pub(super) json: Verbatim<'a>,
    }

    pub(super) enum ToolChoiceOut<'a> {
        Any as "any" (Empty),
        Tool as "tool" { name: Cow<'a, str> },
    }

    pub(super) struct Empty {}

    pub(super) struct OutputConfig<'a> {
        pub(super) text_format as "textFormat": TextFormat<'a>,
    }

    pub(super) struct TextFormat<'a> {
        kind as "type": &'static str,
        structure: Structure<'a>,
    }

    struct Structure<'a> {
        json_schema as "jsonSchema": JsonText<'a>,
    }

    /// A schema as the text it is, and not as JSON within JSON.
    pub(super) struct JsonText<'a> {
        pub(super) name: &'a str,
        pub(super) schema: &'a str,
    }
}

impl<'a> TextFormat<'a> {
    pub(super) fn new(json_schema: JsonText<'a>) -> Self {
        Self { kind: "json_schema", structure: Structure { json_schema } }
    }
}

written! {
    pub(super) struct Tier<'a> {
        pub(super) kind as "type": &'a str,
    }

    /// What goes on to the model as it is, in the words of its maker.
    #[derive(Default)]
    pub(super) struct Extra<'a> {
        pub(super) anthropic_beta?: Vec<&'a str>,
        pub(super) thinking?: Option<Thinking>,
        pub(super) output_config?: Option<EffortOut<'a>>,
        pub(super) tool_choice?: Option<Single>,
        pub(super) reasoning_effort?: Option<&'a str>,
        pub(super) reasoning_config?: Option<&'a str>,
        pub(super) nova_reasoning as "reasoningConfig"?: Option<NovaReasoning<'a>>,
        pub(super) top_k?: Option<u64>,
        pub(super) k?: Option<u64>,
        pub(super) nova_inference as "inferenceConfig"?: Option<Nova>,
    }
}

impl Extra<'_> {
    pub(super) fn is_empty(&self) -> bool {
        let Self { thinking, output_config, tool_choice, reasoning_effort, reasoning_config, .. } = self;
        let Self { anthropic_beta, nova_reasoning, top_k, k, nova_inference, .. } = self;
        anthropic_beta.is_empty()
            && thinking.is_none()
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

written! {
    pub(super) enum Thinking tagged "type" {
        Enabled as "enabled" {
            budget_tokens: u64,
        },
        Adaptive as "adaptive" {
            display?: Option<&'static str>,
        },
    }

    pub(super) struct Single {
        pub(super) kind as "type": &'static str,
        pub(super) disable_parallel_tool_use: bool,
    }

    pub(super) struct EffortOut<'a> {
        pub(super) effort: &'a str,
    }

    pub(super) struct NovaReasoning<'a> {
        pub(super) kind as "type": &'static str,
        pub(super) max_reasoning_effort as "maxReasoningEffort": &'a str,
    }

    pub(super) struct Nova {
        pub(super) top_k as "topK": Option<u64>,
    }
}
