//! Gemini's embeddings, always in batches.
//!
//! Source: "Embeddings", Gemini API reference, read 2026-11.

use crate::chat::{Number, Usage};
use crate::dialect::{Embed, Malformed};
use crate::embed::{Input, Request, Response};
use crate::error::Error;
use crate::wire::json::{self, Raw, objects, written};

pub struct Embeddings;

impl Embed for Embeddings {
    fn url(&self, base: &str, model: &str) -> String {
        format!("{base}/{}:batchEmbedContents", path(model))
    }

    fn write(&self, request: &Request, lost: &mut Vec<String>) -> Result<Vec<u8>, Error> {
        let Input::Texts(texts) = &request.input else {
            return Err(Error::field("input", "tokens mean nothing to Gemini's models; send text"));
        };
        lost.extend(request.user.is_some().then(|| "user".to_owned()));
        let model = path(&request.model);
        // Gemini's own words go as they are.
        let task_type = match request.input_type.as_deref() {
            Some("query" | "search_query") => Some("RETRIEVAL_QUERY"),
            Some("document" | "search_document") => Some("RETRIEVAL_DOCUMENT"),
            Some("classification") => Some("CLASSIFICATION"),
            Some("clustering") => Some("CLUSTERING"),
            word => word,
        };
        let one = |text| One {
            model: &model,
            content: Content { parts: [Text { text }] },
            task_type,
            output_dimensionality: request.dimensions,
        };
        let batch = Batch { requests: texts.iter().map(|text| one(text.as_str())).collect() };
        Ok(json::to_vec(&batch))
    }

    fn read(&self, body: &[u8]) -> Result<Response, Malformed> {
        objects! {
            struct Answer<'a> {
                embeddings: Vec<Vector<'a>>,
                /// Older models do not count.
                usage_metadata as "usageMetadata": Option<Tally>,
            }

            struct Vector<'a> {
                values: Raw<'a>,
            }

            struct Tally {
                prompt_token_count as "promptTokenCount": Option<Number>,
            }
        }
        let answer: Answer<'_> = json::read(body).map_err(|error| Malformed(format!("the answer: {error}")))?;
        let tokens = answer.usage_metadata.and_then(|tally| tally.prompt_token_count);
        Ok(Response {
            model: String::new(),
            vectors: answer.embeddings.into_iter().map(|vector| vector.values.into()).collect(),
            // Saturates; a negative number is none.
            usage: tokens.map(|tokens| Usage { input: tokens.value() as u64, ..Usage::default() }),
        })
    }
}

/// `models/` and the name, of which nothing leaves its place in the path.
fn path(model: &str) -> String {
    let mut path = "models/".to_owned();
    for byte in model.strip_prefix("models/").unwrap_or(model).bytes() {
        match byte {
            b'-' | b'.' | b'_' => path.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => path.push(char::from(byte)),
            byte => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

written! {
    struct Batch<'a> {
        requests: Vec<One<'a>>,
    }

    struct One<'a> {
        model: &'a str,
        content: Content<'a>,
        task_type as "taskType"?: Option<&'a str>,
        output_dimensionality as "outputDimensionality"?: Option<u64>,
    }

    struct Content<'a> {
        parts: [Text<'a>; 1],
    }

    struct Text<'a> {
        text: &'a str,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::embed::Encoding;

    #[test]
    fn each_text_is_a_request_of_a_batch() {
        let request = Request {
            model: "gemini-embedding-001".into(),
            input: Input::Texts(vec!["a".into(), "b".into()]),
            dimensions: Some(768),
            encoding: Encoding::Float,
            input_type: Some("search_query".into()),
            user: Some("u".into()),
            unread: Vec::new(),
        };
        let mut lost = Vec::new();
        let body: Value = serde_json::from_slice(&Embeddings.write(&request, &mut lost).unwrap()).unwrap();
        let one = |text: &str| {
            json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]},
                "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 768})
        };
        assert_eq!(body, json!({"requests": [one("a"), one("b")]}));
        assert_eq!(lost, ["user"]);
    }

    #[test]
    fn a_name_stays_in_its_place() {
        for (model, path) in [
            ("gemini-embedding-001", "models/gemini-embedding-001"),
            ("models/text-embedding-004", "models/text-embedding-004"),
            ("../a?b#c", "models/..%2Fa%3Fb%23c"),
        ] {
            assert_eq!(Embeddings.url("http://g/v1beta", model), format!("http://g/v1beta/{path}:batchEmbedContents"));
        }
    }

    #[test]
    fn an_answer_is_read() {
        let body = br#"{"embeddings":[{"values":[0.10,2]},{"values":[3]}],"usageMetadata":{"promptTokenCount":4}}"#;
        let response = Embeddings.read(body).unwrap();
        let vectors: Vec<&str> = response.vectors.iter().map(|vector| vector.get()).collect();
        assert_eq!((vectors, response.usage.unwrap().input), (vec!["[0.10,2]", "[3]"], 4));
        for body in ["", "secret", r#"{"error":{"message":"secret"}}"#, r#"{"embeddings":"secret"}"#] {
            let Malformed(why) = Embeddings.read(body.as_bytes()).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
