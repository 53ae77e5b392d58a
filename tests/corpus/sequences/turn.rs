//! The turns of the model in a request on the wire, read naively: as untyped JSON, dialect by dialect.

use serde_json::{Value, json};
use tollgate::dialect::Dialect;

/// What the model said between two turns of the user, and what its calls came to.
#[derive(Debug, Default, Clone)]
pub(super) struct Turn {
    pub(super) text: String,
    /// Id where the dialect or the client has one, name, arguments.
    pub(super) calls: Vec<(Option<String>, String, Value)>,
    pub(super) thoughts: Vec<String>,
    /// Signatures and what is sealed, in order.
    pub(super) proofs: Vec<String>,
    pub(super) results: Vec<Outcome>,
}

/// A tool's result.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) call: Option<String>,
    pub(super) text: String,
}

pub(super) fn turns(dialect: Dialect, request: &Value) -> Vec<Turn> {
    let mut turns = Turns::default();
    let list = |name: &str| request[name].as_array().cloned().unwrap_or_default();
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiCompletions => list("messages").iter().for_each(|one| turns.chat(one)),
        Dialect::Cohere => list("messages").iter().for_each(|one| turns.cohere(one)),
        Dialect::Ollama => list("messages").iter().for_each(|one| turns.ollama(one)),
        Dialect::Anthropic => list("messages").iter().for_each(|one| turns.anthropic(one)),
        Dialect::BedrockConverse => list("messages").iter().for_each(|one| turns.converse(one)),
        Dialect::OpenaiResponses => list("input").iter().for_each(|one| turns.responses(one)),
        Dialect::Gemini => list("contents").iter().for_each(|one| turns.gemini(one)),
    }
    turns.all.retain(|turn| !turn.text.is_empty() || !turn.calls.is_empty() || !turn.proofs.is_empty());
    turns.all
}

#[derive(Default)]
struct Turns {
    all: Vec<Turn>,
    /// Whether the model was the last to speak.
    speaks: bool,
}

impl Turns {
    /// The turn of the model that is going on, or a new one.
    fn model(&mut self) -> &mut Turn {
        if !std::mem::replace(&mut self.speaks, true) {
            self.all.push(Turn::default());
        }
        self.all.last_mut().unwrap()
    }

    fn result(&mut self, call: &Value, content: &Value) {
        self.speaks = false;
        let call = call.as_str().map(str::to_owned);
        if let Some(turn) = self.all.last_mut() {
            turn.results.push(Outcome { call, text: words(content) });
        }
    }

    fn chat(&mut self, message: &Value) {
        match message["role"].as_str() {
            Some("assistant") => {
                let turn = self.model();
                turn.text += &words(&message["content"]);
                for detail in message["reasoning_details"].as_array().into_iter().flatten() {
                    turn.think(&detail["text"]);
                    turn.think(&detail["summary"]);
                    turn.prove(&detail["signature"]);
                    turn.prove(&detail["data"]);
                }
                turn.think(&message["reasoning_content"]);
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    let text = call["function"]["arguments"].as_str().unwrap_or_default();
                    let arguments = serde_json::from_str(text).unwrap_or_else(|_| json!({}));
                    turn.call(&call["id"], &call["function"]["name"], arguments);
                }
                self.speaks = false;
            }
            Some("tool") => self.result(&message["tool_call_id"], &message["content"]),
            _ => self.speaks = false,
        }
    }

    fn cohere(&mut self, message: &Value) {
        self.chat(message);
    }

    fn ollama(&mut self, message: &Value) {
        match message["role"].as_str() {
            Some("assistant") => {
                let turn = self.model();
                turn.text += &words(&message["content"]);
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    turn.call(&Value::Null, &call["function"]["name"], call["function"]["arguments"].clone());
                }
                self.speaks = false;
            }
            Some("tool") => self.result(&Value::Null, &message["content"]),
            _ => self.speaks = false,
        }
    }

    fn anthropic(&mut self, message: &Value) {
        let is_model = message["role"] == "assistant";
        let blocks = match &message["content"] {
            Value::String(text) => vec![json!({"type": "text", "text": text})],
            content => content.as_array().cloned().unwrap_or_default(),
        };
        for block in &blocks {
            match block["type"].as_str() {
                Some("tool_result") => self.result(&block["tool_use_id"], &block["content"]),
                Some("text") if is_model => self.model().text += &words(&block["text"]),
                Some("thinking") => {
                    self.model().think(&block["thinking"]);
                    self.model().prove(&block["signature"]);
                }
                Some("redacted_thinking") => self.model().prove(&block["data"]),
                Some("tool_use") => self.model().call(&block["id"], &block["name"], block["input"].clone()),
                _ => {}
            }
        }
        self.speaks = is_model;
    }

    fn converse(&mut self, message: &Value) {
        let is_model = message["role"] == "assistant";
        for block in message["content"].as_array().into_iter().flatten() {
            if let Some(result) = block.get("toolResult") {
                self.result(&result["toolUseId"], &result["content"]);
            } else if let Some(call) = block.get("toolUse") {
                self.model().call(&call["toolUseId"], &call["name"], call["input"].clone());
            } else if let Some(thought) = block.get("reasoningContent") {
                self.model().think(&thought["reasoningText"]["text"]);
                self.model().prove(&thought["reasoningText"]["signature"]);
                self.model().prove(&thought["redactedContent"]);
            } else if is_model {
                self.model().text += &words(&block["text"]);
            }
        }
        self.speaks = is_model;
    }

    fn responses(&mut self, item: &Value) {
        match item["type"].as_str() {
            Some("reasoning") => {
                self.model().think(&json!(words(&item["summary"])));
                self.model().prove(&item["encrypted_content"]);
            }
            Some("function_call") => {
                let arguments = serde_json::from_str(item["arguments"].as_str().unwrap_or_default());
                self.model().call(&item["call_id"], &item["name"], arguments.unwrap_or_else(|_| json!({})));
            }
            Some("custom_tool_call") => {
                self.model().call(&item["call_id"], &item["name"], json!({"input": item["input"]}));
            }
            Some("function_call_output" | "custom_tool_call_output") => {
                self.result(&item["call_id"], &item["output"]);
            }
            _ if item["role"] == "assistant" => self.model().text += &words(&item["content"]),
            _ => self.speaks = false,
        }
    }

    fn gemini(&mut self, content: &Value) {
        let is_model = content["role"] == "model";
        for part in content["parts"].as_array().into_iter().flatten() {
            let field = |camel: &str, snake: &str| part.get(camel).or(part.get(snake)).cloned();
            let signature = field("thoughtSignature", "thought_signature").unwrap_or_default();
            if let Some(result) = field("functionResponse", "function_response") {
                self.result(&result["id"], &result["response"]);
            } else if let Some(call) = field("functionCall", "function_call") {
                let arguments = if call["args"].is_null() { json!({}) } else { call["args"].clone() };
                let turn = self.model();
                turn.prove(&signature);
                turn.call(&call["id"], &call["name"], arguments);
            } else if is_model {
                let turn = self.model();
                turn.prove(&signature);
                if part["thought"] == true {
                    turn.think(&part["text"]);
                } else {
                    turn.text += &words(&part["text"]);
                }
            }
        }
        self.speaks = is_model;
    }
}

impl Turn {
    fn think(&mut self, text: &Value) {
        self.thoughts.extend(text.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned));
    }

    fn prove(&mut self, proof: &Value) {
        self.proofs.extend(proof.as_str().filter(|proof| !proof.is_empty()).map(str::to_owned));
    }

    fn call(&mut self, id: &Value, name: &Value, arguments: Value) {
        let id = id.as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        // Some models write `null` where a tool has no parameters.
        let arguments = if arguments.is_null() { json!({}) } else { arguments };
        self.calls.push((id, name.as_str().unwrap_or_default().to_owned(), arguments));
    }
}

/// The text in a string, in a list of parts, or in the object that a result is wrapped in.
fn words(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(words).collect(),
        // Cohere's and Mistral's, in the middle of the text.
        Value::Object(fields) if fields.get("type").is_some_and(|kind| kind == "thinking") => String::new(),
        Value::Object(fields) => {
            let said = ["text", "output", "result", "content", "document", "data", "json"];
            said.iter().find_map(|name| fields.get(*name)).map_or_else(|| content.to_string(), words)
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
