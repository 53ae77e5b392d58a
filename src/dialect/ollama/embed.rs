//! Embeddings.
//!
//! Source: "Generate embeddings", Ollama API documentation, read 2026-11.

use super::answer::count;
use super::request::root;
use crate::chat::{Json, Number, Usage};
use crate::dialect::{Embed, Malformed};
use crate::embed::{Input, Request, Response};
use crate::error::Error;
use crate::wire::json::{self, Raw, objects, written};

pub struct Embeddings;

impl Embed for Embeddings {
    fn url(&self, base: &str, _: &str) -> String {
        format!("{}/api/embed", root(base))
    }

    fn write(&self, request: &Request, lost: &mut Vec<String>) -> Result<Vec<u8>, Error> {
        let Input::Texts(input) = &request.input else {
            return Err(Error::field("input", "Ollama takes no tokens; send text"));
        };
        lost.extend(request.user.is_some().then(|| "user".to_owned()));
        lost.extend(request.input_type.is_some().then(|| "input_type".to_owned()));
        let body = Body { model: &request.model, input, dimensions: request.dimensions };
        Ok(json::to_vec(&body))
    }

    fn read(&self, body: &[u8]) -> Result<Response, Malformed> {
        objects! {
            struct Answer<'a> {
                model: Option<String>,
                embeddings: Vec<Raw<'a>>,
                prompt_eval_count: Option<Number>,
            }
        }
        let answer: Answer<'_> = json::read(body).map_err(|error| Malformed(format!("the answer: {error}")))?;
        let input = count(&answer.prompt_eval_count);
        Ok(Response {
            model: answer.model.unwrap_or_default(),
            vectors: answer.embeddings.into_iter().map(Json::from).collect(),
            usage: answer.prompt_eval_count.is_some().then(|| Usage { input, ..Usage::default() }),
        })
    }
}

written! {
    struct Body<'a> {
        model: &'a str,
        input: &'a [String],
        dimensions?: Option<u64>,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::embed::Encoding;

    #[test]
    fn a_request_is_written_and_its_answer_read() {
        let request = Request {
            model: "m".into(),
            input: Input::Texts(vec!["a".into()]),
            dimensions: Some(2),
            encoding: Encoding::Float,
            input_type: Some("query".into()),
            user: None,
            unread: Vec::new(),
        };
        let mut lost = Vec::new();
        let body: Value = serde_json::from_slice(&Embeddings.write(&request, &mut lost).unwrap()).unwrap();
        assert_eq!(
            (body, lost),
            (json!({"model": "m", "input": ["a"], "dimensions": 2}), vec!["input_type".to_owned()])
        );
        let answer = br#"{"model":"m","embeddings":[[0.10,2]],"total_duration":1,"prompt_eval_count":8}"#;
        let response = Embeddings.read(answer).unwrap();
        assert_eq!(response.vectors.iter().map(Json::get).collect::<Vec<_>>(), ["[0.10,2]"]);
        assert_eq!((response.model.as_str(), response.usage.unwrap().input), ("m", 8));
        assert!(Embeddings.read(br#"{"error":"x"}"#).is_err());
    }

    #[test]
    fn the_version_of_another_view_is_left_out_of_the_address() {
        for base in ["http://localhost:11434", "http://localhost:11434/v1"] {
            assert_eq!(Embeddings.url(base, "m"), "http://localhost:11434/api/embed");
        }
    }
}
