//! A whole answer.

use super::super::Malformed;
use super::{ModelFields, SERVER_TOOL, Tally, read_stop};
use crate::chat::{Content, Part, Response, ToolCall};
use crate::wire::json::{self, Raw, objects};

objects! {
    struct Answer<'a> {
        output: Output<'a>,
        stop_reason as "stopReason": Option<String>,
        usage: Option<Tally>,
        additional_model_response_fields as "additionalModelResponseFields": Option<ModelFields>,
    }

    struct Output<'a> {
        message: Message<'a>,
    }

    struct Message<'a> {
        content: Vec<Block<'a>>,
    }

    /// A union: one of its fields is there.
    struct Block<'a> {
        text: Option<String>,
        reasoning_content as "reasoningContent": Option<Reasoning>,
        tool_use as "toolUse": Option<ToolUse<'a>>,
        citations_content as "citationsContent": Option<Cited>,
    }

    struct Reasoning {
        reasoning_text as "reasoningText": Option<ReasoningText>,
        redacted_content as "redactedContent": Option<String>,
    }

    struct ReasoningText {
        text: Option<String>,
        signature: Option<String>,
    }

    struct ToolUse<'a> {
        r#type as "type": Option<String>,
        tool_use_id as "toolUseId": String,
        name: String,
        input: Option<Raw<'a>>,
    }

    /// A text with its sources, which other dialects have no place for.
    struct Cited {
        content: Vec<CitedText> = Vec::new(),
    }

    struct CitedText {
        text: Option<String>,
    }
}

pub fn read_response(body: &[u8]) -> Result<Response, Malformed> {
    // The parser's own words would quote the answer.
    let answer: Answer<'_> = json::read(body).map_err(|error| {
        Malformed(format!("the answer is not one of Converse, at line {} column {}", error.line(), error.column()))
    })?;
    Ok(Response {
        id: String::new(),
        model: String::new(),
        parts: answer.output.message.content.into_iter().flat_map(Block::parts).map(Part::new).collect(),
        stop: read_stop(answer.stop_reason, answer.additional_model_response_fields.as_ref()),
        usage: answer.usage.map(Tally::usage),
    })
}

impl Block<'_> {
    fn parts(self) -> impl Iterator<Item = Content> {
        let reasoning = self.reasoning_content.map(|Reasoning { reasoning_text, redacted_content }| {
            let told = reasoning_text.map(|ReasoningText { text, signature }| Content::Reasoning {
                text: text.unwrap_or_default(),
                signature: signature.filter(|proof| !proof.is_empty()),
            });
            told.into_iter().chain(redacted_content.map(Content::SealedReasoning))
        });
        let call = self.tool_use.filter(|call| call.r#type.as_deref() != Some(SERVER_TOOL)).map(|call| {
            Content::ToolCall(ToolCall {
                id: call.tool_use_id,
                name: call.name,
                arguments: call.input.map_or("{}", Raw::get).to_owned(),
                signature: None,
            })
        });
        let cited = self.citations_content.into_iter().flat_map(|cited| cited.content).filter_map(|text| text.text);
        let texts = self.text.into_iter().chain(cited).map(Content::Text);
        reasoning.into_iter().flatten().chain(texts).chain(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Stop, StopReason, Usage};

    #[test]
    fn a_whole_answer_is_read() {
        let body = br#"{"metrics":{"latencyMs":1},"output":{"message":{"role":"assistant","content":[
            {"reasoningContent":{"reasoningText":{"text":"hm","signature":"s"}}},
            {"reasoningContent":{"redactedContent":"eA=="}},
            {"text":"a"},
            {"citationsContent":{"content":[{"text":"b"}],"citations":[{"title":"t"}]}},
            {"toolUse":{"toolUseId":"s","name":"web","input":{},"type":"server_tool_use"}},
            {"toolResult":{"toolUseId":"s","content":[]}},
            {"toolUse":{"toolUseId":"t","name":"f","input":{"b" :1.0}}}]}},
            "stopReason":"tool_use","additionalModelResponseFields":{"stop_sequence":"X"},
            "usage":{"inputTokens":1,"outputTokens":5,"totalTokens":16,"cacheReadInputTokens":7,"cacheWriteInputTokens":3}}"#;
        let call = ToolCall { id: "t".into(), name: "f".into(), arguments: r#"{"b" :1.0}"#.into(), signature: None };
        let expected = Response {
            parts: vec![
                Part::new(Content::Reasoning { text: "hm".into(), signature: Some("s".into()) }),
                Part::new(Content::SealedReasoning("eA==".into())),
                Part::text("a"),
                Part::text("b"),
                Part::new(Content::ToolCall(call)),
            ],
            stop: Stop { reason: StopReason::ToolUse, native: Some("tool_use".into()), sequence: Some("X".into()) },
            usage: Some(Usage { input: 11, cached_input: 7, cache_write: 3, output: 5, reasoning: 0 }),
            ..Response::default()
        };
        assert_eq!(read_response(body).unwrap(), expected);
    }

    #[test]
    fn what_is_not_an_answer_is_malformed_and_not_quoted() {
        for body in ["", "secret", r#"{"message":"secret"}"#, r#"{"output":{"message":{"content":"secret"}}}"#] {
            let Malformed(message) = read_response(body.as_bytes()).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
