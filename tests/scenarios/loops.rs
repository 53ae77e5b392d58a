//! Two requests of one tool loop: what the answer to the first tells its caller, the second brings back.

use serde_json::{Value, json};

use crate::operations::exchange;

fn entries() -> Value {
    json!([
        {"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "x", "format": "openai-responses-v1", "id": "rs_1", "index": 1},
    ])
}

fn answer() -> String {
    let call = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let said = json!({"role": "assistant", "content": null, "reasoning_details": entries(), "tool_calls": [call]});
    let choice = json!({"index": 0, "message": said, "finish_reason": "tool_calls"});
    json!({"id": "r", "model": "m", "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
        .to_string()
}

/// Asks twice, the second time with what `replay` makes of the first answer; what the upstream then gets for its own turn.
fn looped(path: &str, ask: &Value, replay: impl Fn(&mut Value, &Value)) -> Value {
    let (answer, kind) = (answer(), "application/json");
    let told = exchange("openai-chat", path, ask, (200, kind, &answer));
    assert_eq!(told.status, 200, "{}", told.body);
    let mut next = ask.clone();
    replay(&mut next, &serde_json::from_str(&told.body).unwrap());
    let again = exchange("openai-chat", path, &next, (200, kind, &answer));
    assert_eq!(again.status, 200, "{}", again.body);
    let messages = again.sent[0].1["messages"].as_array().unwrap();
    assert_eq!(messages.last().unwrap()["tool_call_id"], "c1");
    messages.iter().find(|message| message["role"] == "assistant").unwrap().clone()
}

#[test]
fn reasoning_details_go_back_in_their_shape_through_callers_of_other_dialects() {
    let tool = json!({"name": "f", "input_schema": {"type": "object"}});
    let ask =
        json!({"model": "up/m", "max_tokens": 9, "tools": [tool], "messages": [{"role": "user", "content": "hi"}]});
    let said = looped("/v1/messages", &ask, |next, told| {
        let call = told["content"].as_array().unwrap().iter().find(|block| block["type"] == "tool_use").unwrap();
        let result = json!({"type": "tool_result", "tool_use_id": call["id"], "content": "r"});
        let messages = next["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": told["content"]}));
        messages.push(json!({"role": "user", "content": [result]}));
    });
    assert_eq!((&said["reasoning_details"], &said["tool_calls"][0]["id"]), (&entries(), &json!("c1")));
    // One who drops thoughts has them in the call.
    let ask = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let said = looped("/v1beta/models/up/m:generateContent", &ask, |next, told| {
        let parts = told["candidates"][0]["content"]["parts"].as_array().unwrap();
        let kept: Vec<&Value> = parts.iter().filter(|part| part.get("functionCall").is_some()).collect();
        let result = json!({"name": "f", "id": "c1", "response": {"output": "r"}});
        let contents = next["contents"].as_array_mut().unwrap();
        contents.push(json!({"role": "model", "parts": kept}));
        contents.push(json!({"role": "user", "parts": [{"functionResponse": result}]}));
    });
    assert_eq!(said["reasoning_details"], entries());
}
