//! A whole answer.

use super::{Tally, call_id, stop};
use crate::chat::{Content, Part, Response, ToolCall};
use crate::dialect::Malformed;
use crate::wire::json::{self, objects};

objects! {
    /// A block of content, or what a stream adds to one.
    #[derive(Debug)]
    pub(super) struct Piece {
        pub(super) text: Option<String>,
        pub(super) thinking: Option<String>,
    }

    /// A tool call, or what a stream adds to one.
    #[derive(Debug)]
    pub(super) struct Call {
        pub(super) id: Option<String>,
        pub(super) function: Option<Function>,
    }

    #[derive(Debug, Default)]
    pub(super) struct Function {
        pub(super) name: Option<String>,
        pub(super) arguments: Option<String>,
    }
}

pub fn read_response(body: &[u8]) -> Result<Response, Malformed> {
    objects! {
        struct Answer {
            id: Option<String>,
            message: Message,
            finish_reason: Option<String>,
            usage: Option<Tally>,
        }

        struct Message {
            content: Option<Vec<Piece>>,
            tool_plan: Option<String>,
            tool_calls: Option<Vec<Call>>,
        }
    }
    let answer: Answer = json::read(body).map_err(|error| Malformed(format!("the answer: {error}")))?;
    let id = answer.id.unwrap_or_default();
    let Message { content, tool_plan, tool_calls } = answer.message;
    let mut parts = Vec::new();
    for Piece { text, thinking } in content.unwrap_or_default() {
        parts.extend(said(thinking).map(|text| Content::Reasoning { text, signature: None }));
        parts.extend(said(text).map(Content::Text));
    }
    parts.extend(said(tool_plan).map(Content::Text));
    let calls = tool_calls.unwrap_or_default();
    let called = !calls.is_empty();
    for (n, Call { id: given, function }) in calls.into_iter().enumerate() {
        let Function { name, arguments } = function.unwrap_or_default();
        parts.push(Content::ToolCall(ToolCall {
            id: call_id(given, &id, n),
            name: name.unwrap_or_default(),
            arguments: arguments.unwrap_or_default(),
            signature: None,
        }));
    }
    Ok(Response {
        id,
        // Cohere does not say which model answered.
        model: String::new(),
        parts: parts.into_iter().map(Part::new).collect(),
        stop: stop(answer.finish_reason, called),
        usage: answer.usage.map(|tally| tally.usage()),
    })
}

fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Stop, StopReason, Usage};

    #[test]
    fn a_whole_answer_is_read() {
        let body = br#"{"id":"a","message":{"role":"assistant","tool_plan":"I will look.",
            "content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":""},{"type":"text","text":"well"}],
            "tool_calls":[{"id":"f_1","type":"function","function":{"name":"f","arguments":"{\"a\" :1.0}"}},
                {"type":"function","function":{"name":"g","arguments":""}}],
            "citations":[{"start":0,"end":4,"text":"well","sources":[]}]},
            "finish_reason":"TOOL_CALL",
            "usage":{"billed_units":{"input_tokens":3,"output_tokens":2},"tokens":{"input_tokens":90,"output_tokens":9}}}"#;
        let call = |id: &str, name: &str, arguments: &str| {
            Content::ToolCall(ToolCall {
                id: id.to_owned(),
                name: name.to_owned(),
                arguments: arguments.to_owned(),
                signature: None,
            })
        };
        let parts = [
            Content::Reasoning { text: "hm".into(), signature: None },
            Content::Text("well".into()),
            Content::Text("I will look.".into()),
            call("f_1", "f", r#"{"a" :1.0}"#),
            call("call_a_1", "g", ""),
        ];
        let expected = Response {
            id: "a".into(),
            model: String::new(),
            parts: parts.map(Part::new).into(),
            stop: Stop { reason: StopReason::ToolUse, native: Some("TOOL_CALL".into()), sequence: None },
            usage: Some(Usage { input: 3, output: 2, ..Usage::default() }),
        };
        assert_eq!(read_response(body), Ok(expected));
    }

    #[test]
    fn what_is_no_answer_is_malformed_and_not_quoted() {
        for body in
            ["", "secret", r#"{"message":"secret"}"#, r#"{"text":"secret"}"#, r#"{"message":{"content":"secret"}}"#]
        {
            let Malformed(why) = read_response(body.as_bytes()).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
