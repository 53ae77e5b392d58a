//! The suite's premise: the scripted upstream refuses what its provider would. A good request passes; the same with one
//! thing wrong does not.

use serde_json::{Value, json};

use super::{Provider, Request};

/// Each provider's check of a tool's round trip, whole and with everything wrong in turn.
pub(crate) fn refuses(provider: Provider) {
    let good = good(provider);
    let (at, field) = result(provider);
    checked(provider, &good).unwrap_or_else(|error| panic!("a good request is refused: {error}"));
    let refused = |why: &str, bad: &Value| assert!(checked(provider, bad).is_err(), "{why} passes: {bad}");

    let mut empty = good.clone();
    empty[turns(provider)] = json!([]);
    refused("a conversation without turns", &empty);

    let mut unknown = good.clone();
    unknown.pointer_mut(at).expect("it was just written")[field] = "nobody_called_this".into();
    refused("a result that names no call", &unknown);

    let mut unanswered = good.clone();
    unanswered[turns(provider)].as_array_mut().expect("turns is a list").pop();
    // Ollama does not look for results, only for their calls.
    if provider != Provider::Ollama {
        refused("a call without result", &unanswered);
    }

    for field in foreign(provider) {
        let mut foreign = good.clone();
        foreign[*field] = json!(1);
        refused("a field of another dialect", &foreign);
    }
    // Nor does it go without its key, or by a signature that is not of this request.
    if provider != Provider::Ollama {
        assert!(provider.authorizes(&request(Vec::new())).is_err(), "nobody's request is let in");
    }
    let forged = "AWS4-HMAC-SHA256 Credential=AKIASCRIPTED5F2C/20261120/eu-west-1/bedrock/aws4_request, \
                  SignedHeaders=host;x-amz-date, Signature=00";
    assert!(provider.authorizes(&request(vec![("authorization", forged)])).is_err(), "a forged signature is let in");
}

fn checked(provider: Provider, body: &Value) -> Result<(), String> {
    provider.check(body, &request(vec![("anthropic-version", "2023-06-01")]), Some(false))
}

fn request(headers: Vec<(&str, &str)>) -> Request {
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Request { method: "POST".to_owned(), path: "/model/m/converse".to_owned(), headers, body: Vec::new() }
}

fn turns(provider: Provider) -> &'static str {
    match provider {
        Provider::OpenaiResponses => "input",
        Provider::Gemini => "contents",
        _ => "messages",
    }
}

/// Where the result names its call.
fn result(provider: Provider) -> (&'static str, &'static str) {
    match provider {
        Provider::OpenaiChat | Provider::Cohere => ("/messages/2", "tool_call_id"),
        Provider::Anthropic | Provider::AnthropicOnBedrock | Provider::AnthropicOnVertex => {
            ("/messages/2/content/0", "tool_use_id")
        }
        Provider::OpenaiResponses => ("/input/2", "call_id"),
        Provider::Gemini => ("/contents/2/parts/0/functionResponse", "name"),
        Provider::BedrockConverse => ("/messages/2/content/0/toolResult", "toolUseId"),
        Provider::Ollama => ("/messages/2", "tool_name"),
    }
}

/// What others have and it does not.
fn foreign(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::OpenaiChat => &["system", "stop_sequences", "top_k"],
        Provider::Anthropic => &["stop", "stream_options", "n"],
        Provider::AnthropicOnBedrock => &["stop", "model", "stream"],
        Provider::AnthropicOnVertex => &["stop", "model"],
        Provider::OpenaiResponses => &["messages", "max_tokens", "stop", "reasoning_effort"],
        Provider::Gemini => &["messages", "max_tokens", "stream"],
        Provider::BedrockConverse => &["model", "stream", "max_tokens", "tools"],
        Provider::Cohere => &["stop", "top_p", "stream_options"],
        Provider::Ollama => &["max_tokens", "temperature", "tool_choice"],
    }
}

/// A question, a call and its result.
fn good(provider: Provider) -> Value {
    let schema = json!({"type": "object"});
    match provider {
        Provider::OpenaiChat | Provider::Cohere => {
            let call = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
            json!({"model": "m", "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}], "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "b"},
            ]})
        }
        Provider::Anthropic | Provider::AnthropicOnBedrock | Provider::AnthropicOnVertex => {
            let mut good = json!({"max_tokens": 9, "tools": [{"name": "f", "input_schema": schema}], "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "b"}]},
            ]});
            match provider {
                Provider::AnthropicOnBedrock => good["anthropic_version"] = "bedrock-2023-05-31".into(),
                Provider::AnthropicOnVertex => good["anthropic_version"] = "vertex-2023-10-16".into(),
                _ => good["model"] = "m".into(),
            }
            good
        }
        Provider::OpenaiResponses => json!({
            "model": "m", "store": false, "tools": [{"type": "function", "name": "f", "parameters": schema}], "input": [
                {"role": "user", "content": "a"},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "b"},
            ]
        }),
        Provider::Gemini => {
            json!({"tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}], "contents": [
                {"role": "user", "parts": [{"text": "a"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "b"}}}]},
            ]})
        }
        Provider::BedrockConverse => {
            let tool = json!({"toolSpec": {"name": "f", "inputSchema": {"json": schema}}});
            json!({"toolConfig": {"tools": [tool]}, "messages": [
                {"role": "user", "content": [{"text": "a"}]},
                {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "f", "input": {}}}]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "b"}]}}]},
            ]})
        }
        Provider::Ollama => json!({
            "model": "m", "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}], "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
                {"role": "tool", "tool_name": "f", "content": "b"},
            ]
        }),
    }
}
