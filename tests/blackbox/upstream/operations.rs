//! What the scripted upstream answers besides chats: embeddings, rerankings, legacy completions and counts of tokens.
//! Each has one answer, and refuses what its provider would.
//!
//! Source: "Embeddings" and "Completions", OpenAI API reference; "Embed" and "Rerank", Cohere API reference; "Generate
//! embeddings", Ollama documentation; "Embeddings" and "Counting tokens", Gemini API reference; "Count message tokens",
//! Anthropic API reference; read 2026-11.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::provider::Provider;
use super::script::{Step, failed, whole};
use super::{Request, sse};
use crate::answer::Answer;

/// Of every text. Each number is one of 32 bits too.
pub(crate) const VECTOR: [f32; 3] = [0.5, -2.0, 1.25];

/// What every request here has, as the upstream counts.
pub(crate) const TOKENS: u64 = 14;

/// Answers the body that came on a path, or says why its provider would not.
type Answers = fn(&str, &Value) -> Result<Value, String>;

/// `None` where the path is that of a chat.
pub(super) fn steps(request: &Request) -> Option<Vec<Step>> {
    let path = request.path.split('?').next().unwrap_or_default();
    let (provider, answer): (_, Answers) = match path {
        "/v1/embeddings" => (Provider::OpenaiChat, openai_embeddings),
        "/v1/rerank" => (Provider::OpenaiChat, rerank),
        "/v1/completions" => return Some(completions(request)),
        "/v1/messages/count_tokens" => (Provider::Anthropic, anthropic_count),
        "/v2/embed" => (Provider::Cohere, cohere_embeddings),
        "/v2/rerank" => (Provider::Cohere, rerank),
        "/api/embed" => (Provider::Ollama, ollama_embeddings),
        path if path.ends_with(":batchEmbedContents") => (Provider::Gemini, gemini_embeddings),
        path if path.ends_with(":countTokens") => (Provider::Gemini, gemini_count),
        _ => return None,
    };
    Some(match checked(provider, request).and_then(|body| answer(path, &body)) {
        Ok(answer) => whole(provider, 200, answer.to_string(), Vec::new()),
        Err(error) => failed(provider, 400, &error, Vec::new()),
    })
}

/// The vector as base64 has it: little-endian floats of 32 bits.
pub(crate) fn packed() -> String {
    STANDARD.encode(VECTOR.map(f32::to_le_bytes).concat())
}

fn checked(provider: Provider, request: &Request) -> Result<Value, String> {
    provider.authorizes(request)?;
    serde_json::from_slice(&request.body).map_err(|error| format!("not JSON: {error}"))
}

fn openai_embeddings(_: &str, body: &Value) -> Result<Value, String> {
    known(body, &["model", "input", "encoding_format", "dimensions", "user"])?;
    let vector = match body["encoding_format"].as_str() {
        None | Some("float") => json!(VECTOR),
        Some("base64") => json!(packed()),
        Some(_) => return Err("encoding_format: not one of float, base64".to_owned()),
    };
    let embedding = |index: usize| json!({"object": "embedding", "index": index, "embedding": vector});
    let data: Vec<_> = (0..texts(&body["input"])?).map(embedding).collect();
    let usage = json!({"prompt_tokens": TOKENS, "total_tokens": TOKENS});
    Ok(json!({"object": "list", "data": data, "model": body["model"], "usage": usage}))
}

fn cohere_embeddings(_: &str, body: &Value) -> Result<Value, String> {
    known(body, &["model", "texts", "input_type", "embedding_types", "output_dimension", "max_tokens", "truncate"])?;
    let kinds = ["search_document", "search_query", "classification", "clustering", "image"];
    if !body["input_type"].as_str().is_some_and(|kind| kinds.contains(&kind))
        || body["embedding_types"] != json!(["float"])
    {
        return Err("invalid request: valid input_type and embedding_types must be provided with the model".to_owned());
    }
    let vectors: Vec<_> = (0..texts(&body["texts"])?).map(|_| VECTOR).collect();
    let billed = json!({"api_version": {"version": "2"}, "billed_units": {"input_tokens": TOKENS}});
    Ok(json!({"id": "scripted1", "embeddings": {"float": vectors}, "texts": body["texts"], "meta": billed}))
}

fn ollama_embeddings(_: &str, body: &Value) -> Result<Value, String> {
    known(body, &["model", "input", "truncate", "dimensions", "options", "keep_alive"])?;
    let vectors: Vec<_> = (0..texts(&body["input"])?).map(|_| VECTOR).collect();
    Ok(
        json!({"model": body["model"], "embeddings": vectors, "total_duration": 14_143_917, "prompt_eval_count": TOKENS}),
    )
}

fn gemini_embeddings(path: &str, body: &Value) -> Result<Value, String> {
    known(body, &["requests"])?;
    let requests = body["requests"].as_array().filter(|list| !list.is_empty()).ok_or("requests: at least one")?;
    let (_, model) = path.split_once("/v1beta/").ok_or("no such path")?;
    for request in requests {
        known(request, &["model", "content", "taskType", "title", "outputDimensionality"])?;
        if Some(request["model"].as_str().unwrap_or_default()) != model.strip_suffix(":batchEmbedContents") {
            return Err(format!("the model of a request must be that of the path: {}", request["model"]));
        }
        if !request["content"]["parts"][0]["text"].is_string() {
            return Err("content: contents is not specified".to_owned());
        }
    }
    let vectors: Vec<_> = requests.iter().map(|_| json!({"values": VECTOR})).collect();
    Ok(json!({"embeddings": vectors, "usageMetadata": {"promptTokenCount": TOKENS}}))
}

fn rerank(_: &str, body: &Value) -> Result<Value, String> {
    known(body, &["model", "query", "documents", "top_n", "max_tokens_per_doc", "priority"])?;
    if !body["query"].is_string() {
        return Err("query is required".to_owned());
    }
    texts(&body["documents"])?;
    let results = json!([{"index": 1, "relevance_score": 0.98}, {"index": 0, "relevance_score": 0.02}]);
    Ok(json!({"id": "scripted1", "results": results, "meta": {"tokens": {"input_tokens": TOKENS}}}))
}

fn anthropic_count(_: &str, body: &Value) -> Result<Value, String> {
    known(body, &["model", "messages", "system", "tools", "tool_choice", "thinking"])?;
    texts(&body["messages"])?;
    Ok(json!({"input_tokens": TOKENS}))
}

fn gemini_count(_: &str, body: &Value) -> Result<Value, String> {
    known(body, &["contents", "generateContentRequest"])?;
    if body["contents"].is_null() == body["generateContentRequest"].is_null() {
        return Err("contents: one of contents and generateContentRequest is required".to_owned());
    }
    Ok(json!({"totalTokens": TOKENS, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": TOKENS}]}))
}

fn completions(request: &Request) -> Vec<Step> {
    let provider = Provider::OpenaiChat;
    let body = match checked(provider, request) {
        Ok(body) if body["prompt"].is_string() && body["messages"].is_null() => body,
        Ok(_) => return failed(provider, 400, "you must provide a prompt parameter", Vec::new()),
        Err(error) => return failed(provider, 400, &error, Vec::new()),
    };
    let answer = Answer::of("text");
    let usage = answer.usage;
    let usage = json!({
        "prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    });
    let object = |text: &str, finish: Value| {
        let choice = json!({"text": text, "index": 0, "logprobs": null, "finish_reason": finish});
        json!({
            "id": "cmpl-scripted1", "object": "text_completion", "created": 1_790_000_000, "model": body["model"],
            "choices": [choice],
        })
    };
    if body["stream"] != true {
        let mut told = object(&answer.whole_text(), json!("stop"));
        told["usage"] = usage;
        return whole(provider, 200, told.to_string(), Vec::new());
    }
    let send = |value: &Value| Step::Send(sse(None, value));
    let mut steps = vec![Step::StreamHead { kind: provider.stream_type(false) }];
    steps.extend(answer.text.iter().map(|piece| send(&object(piece, Value::Null))));
    steps.push(send(&object("", json!("stop"))));
    if body["stream_options"]["include_usage"] == true {
        let mut last = object("", Value::Null);
        (last["choices"], last["usage"]) = (json!([]), usage);
        steps.push(send(&last));
    }
    steps.extend([Step::Send(b"data: [DONE]\n\n".to_vec()), Step::End]);
    steps
}

/// How many texts there are.
fn texts(list: &Value) -> Result<usize, String> {
    match list {
        Value::String(text) if !text.is_empty() => Ok(1),
        Value::Array(texts) if !texts.is_empty() => Ok(texts.len()),
        _ => Err(format!("not texts: {list}")),
    }
}

fn known(body: &Value, fields: &[&str]) -> Result<(), String> {
    let unknown = body.as_object().into_iter().flatten().find(|(field, _)| !fields.contains(&field.as_str()));
    unknown.map_or(Ok(()), |(field, _)| Err(format!("unknown field {field}")))
}
