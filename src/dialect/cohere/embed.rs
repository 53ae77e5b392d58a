//! Embeddings, by version 2.
//!
//! Source: "Embed", Cohere API reference, read 2026-11.

use super::{Units, count};
use crate::chat::{Json, Usage};
use crate::dialect::{Embed, Malformed};
use crate::embed::{Input, Request, Response};
use crate::error::Error;
use crate::wire::json::{self, Raw, objects, written};

pub struct Embeddings;

impl Embed for Embeddings {
    fn url(&self, base: &str, _: &str) -> String {
        format!("{base}/embed")
    }

    fn write(&self, request: &Request, lost: &mut Vec<String>) -> Result<Vec<u8>, Error> {
        let Input::Texts(texts) = &request.input else {
            return Err(Error::field("input", "tokens mean nothing to Cohere's models; send text"));
        };
        lost.extend(request.user.is_some().then(|| "user".to_owned()));
        let body = Body {
            model: &request.model,
            texts,
            // Its models since version 3 want to know; most texts that are embedded are there to be found.
            input_type: match request.input_type.as_deref() {
                None | Some("document") => "search_document",
                Some("query") => "search_query",
                Some(word) => word,
            },
            embedding_types: ["float"],
            output_dimension: request.dimensions,
        };
        Ok(json::to_vec(&body))
    }

    fn read(&self, body: &[u8]) -> Result<Response, Malformed> {
        objects! {
            struct Answer<'a> {
                embeddings: ByType<'a>,
                meta: Option<Meta>,
            }

            struct ByType<'a> {
                float: Vec<Raw<'a>>,
            }

            struct Meta {
                billed_units: Option<Units>,
            }
        }
        let answer: Answer<'_> = json::read(body).map_err(|error| Malformed(format!("the answer: {error}")))?;
        let billed = answer.meta.and_then(|meta| meta.billed_units);
        let input = |units: Units| count(&units.input_tokens).saturating_add(count(&units.image_tokens));
        Ok(Response {
            model: String::new(),
            vectors: answer.embeddings.float.into_iter().map(Json::from).collect(),
            usage: billed.map(|units| Usage { input: input(units), ..Usage::default() }),
        })
    }
}

written! {
    struct Body<'a> {
        model: &'a str,
        texts: &'a [String],
        input_type: &'a str,
        embedding_types: [&'static str; 1],
        output_dimension?: Option<u64>,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::embed::Encoding;

    fn asks(input_type: Option<&str>) -> Request {
        Request {
            model: "embed-v4.0".into(),
            input: Input::Texts(vec!["a".into(), "b".into()]),
            dimensions: Some(256),
            encoding: Encoding::Base64,
            input_type: input_type.map(str::to_owned),
            user: Some("u".into()),
            unread: Vec::new(),
        }
    }

    #[test]
    fn a_request_is_written_with_what_cohere_demands() {
        for (given, written) in [(None, "search_document"), (Some("query"), "search_query"), (Some("image"), "image")] {
            let mut lost = Vec::new();
            let body = Embeddings.write(&asks(given), &mut lost).unwrap();
            let expected = json!({
                "model": "embed-v4.0", "texts": ["a", "b"], "input_type": written, "embedding_types": ["float"],
                "output_dimension": 256,
            });
            assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
            assert_eq!(lost, ["user"]);
        }
    }

    #[test]
    fn tokens_are_refused() {
        let tokens = Input::Tokens(json::parse("[1]").unwrap());
        let error = Embeddings.write(&Request { input: tokens, ..asks(None) }, &mut Vec::new()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("input"));
    }

    #[test]
    fn an_answer_is_read() {
        let body = br#"{"id":"1","embeddings":{"float":[[0.10,2],[3,4]]},"texts":["a","b"],
            "meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":3}}}"#;
        let response = Embeddings.read(body).unwrap();
        let vectors: Vec<&str> = response.vectors.iter().map(Json::get).collect();
        assert_eq!(vectors, ["[0.10,2]", "[3,4]"]);
        assert_eq!(response.usage, Some(Usage { input: 3, ..Usage::default() }));
        for body in ["", "secret", r#"{"message":"secret"}"#, r#"{"embeddings":"secret"}"#] {
            let Malformed(why) = Embeddings.read(body.as_bytes()).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
