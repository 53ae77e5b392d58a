//! Embeddings in OpenAI's shape, which is also what callers of any upstream speak.

use crate::chat::{Number, Usage};
use crate::dialect::{Embed, Malformed};
use crate::embed::{Encoding, Input, Request, Response};
use crate::error::Error;
use crate::wire::json::{self, Fields, Raw, Read, Verbatim, objects, quoted, to_vec, written};

/// The fields that are read here; every other one is named in `unread`.
const READ: &[&str] = &["model", "input", "dimensions", "encoding_format", "input_type", "user"];

/// As many as OpenAI takes in one request.
const INPUTS_MAX: usize = 2048;

pub struct Embeddings;

/// A caller's `POST /v1/embeddings`.
pub fn read_embeddings(body: &Fields<'_>) -> Result<Request, Error> {
    let is_unread = |name: &&str| !READ.contains(name) && body.raw(name).is_some_and(|raw| raw.get() != "null");
    let unread = body.names().filter(is_unread).map(str::to_owned).collect();
    let encoding = match field::<String>(body, "encoding_format")?.as_deref() {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(_) => return Err(Error::field("encoding_format", "must be \"float\" or \"base64\"")),
    };
    Ok(Request {
        model: field(body, "model")?.ok_or_else(|| Error::field("model", "is missing"))?,
        input: input(body.raw("input").ok_or_else(|| Error::field("input", "is missing"))?)?,
        dimensions: field(body, "dimensions")?,
        encoding,
        input_type: field(body, "input_type")?,
        user: field(body, "user")?,
        unread,
    })
}

fn field<'a, T: Read<'a>>(body: &Fields<'a>, name: &str) -> Result<Option<T>, Error> {
    body.get(name).map_err(|due| Error::field(name, due))
}

fn input(raw: Raw<'_>) -> Result<Input, Error> {
    let tokens = || Input::Tokens(raw.into());
    if let Ok(text) = json::parse::<String>(raw.get()) {
        return Ok(Input::Texts(vec![text]));
    }
    if let Ok(texts) = json::parse::<Vec<String>>(raw.get()) {
        return match texts.len() {
            0 => Err(Error::field("input", "is empty")),
            1..=INPUTS_MAX => Ok(Input::Texts(texts)),
            _ => Err(Error::field("input", format!("has more than {INPUTS_MAX} texts"))),
        };
    }
    let is_tokens = json::parse::<Vec<u64>>(raw.get()).is_ok() || json::parse::<Vec<Vec<u64>>>(raw.get()).is_ok();
    is_tokens.then(tokens).ok_or_else(|| Error::field("input", "must be a text, an array of texts, or tokens"))
}

/// The caller's own body with another model.
pub fn splice_embeddings(body: &Fields<'_>, model: &str) -> Vec<u8> {
    body.with(&[("model", &quoted(model))])
}

/// The answer for a caller.
pub fn write_embeddings(response: &Response, encoding: Encoding) -> Vec<u8> {
    let vectors = response.vectors.iter().enumerate();
    let tokens = response.usage.map_or(0, |usage| usage.input);
    to_vec(&ListOut {
        object: "list",
        data: vectors
            .map(|(index, vector)| RowOut {
                object: "embedding",
                index,
                embedding: Verbatim::made(encoding.told(vector)),
            })
            .collect(),
        model: &response.model,
        usage: TallyOut { prompt_tokens: tokens, total_tokens: tokens },
    })
}

impl Embed for Embeddings {
    fn url(&self, base: &str, _: &str) -> String {
        format!("{base}/embeddings")
    }

    fn write(&self, request: &Request, _: &mut Vec<String>) -> Result<Vec<u8>, Error> {
        Ok(to_vec(&RequestOut {
            model: &request.model,
            input: match &request.input {
                Input::Texts(texts) => InputOut::Texts(texts),
                Input::Tokens(tokens) => InputOut::Tokens(tokens.raw()),
            },
            dimensions: request.dimensions,
            encoding_format: match request.encoding {
                Encoding::Float => "float",
                Encoding::Base64 => "base64",
            },
            input_type: request.input_type.as_deref(),
            user: request.user.as_deref(),
        }))
    }

    fn read(&self, body: &[u8]) -> Result<Response, Malformed> {
        objects! {
            struct List<'a> {
                data: Vec<Row<'a>>,
                model: Option<String>,
                usage: Option<Tally>,
            }

            struct Row<'a> {
                embedding: Raw<'a>,
            }

            struct Tally {
                prompt_tokens: Option<Number>,
                /// Voyage has this one only.
                total_tokens: Option<Number>,
            }
        }
        let list: List<'_> = json::read(body).map_err(|error| Malformed(format!("the answer: {error}")))?;
        let tokens = list.usage.and_then(|tally| tally.prompt_tokens.or(tally.total_tokens));
        Ok(Response {
            model: list.model.unwrap_or_default(),
            vectors: list.data.into_iter().map(|row| row.embedding.into()).collect(),
            // Saturates; a negative number is none.
            usage: tokens.map(|tokens| Usage { input: tokens.value() as u64, ..Usage::default() }),
        })
    }
}

written! {
    struct ListOut<'a> {
        object: &'static str,
        data: Vec<RowOut<'a>>,
        model: &'a str,
        usage: TallyOut,
    }

    struct RowOut<'a> {
        object: &'static str,
        index: usize,
        embedding: Verbatim<'a>,
    }

    struct TallyOut {
        prompt_tokens: u64,
        total_tokens: u64,
    }

    struct RequestOut<'a> {
        model: &'a str,
        input: InputOut<'a>,
        dimensions?: Option<u64>,
        encoding_format: &'static str,
        input_type?: Option<&'a str>,
        user?: Option<&'a str>,
    }

    enum InputOut<'a> {
        Texts(&'a [String]),
        Tokens(Raw<'a>),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Request, Error> {
        read_embeddings(&Fields::read(body.as_bytes()).unwrap())
    }

    #[test]
    fn every_shape_of_input_is_read() {
        let texts = |texts: &[&str]| Input::Texts(texts.iter().map(|text| (*text).to_owned()).collect());
        let tokens = |tokens: &str| Input::Tokens(json::parse(tokens).unwrap());
        let cases = [
            (r#""a""#, texts(&["a"])),
            (r#"["a","b"]"#, texts(&["a", "b"])),
            ("[1,2]", tokens("[1,2]")),
            ("[[1],[2,3]]", tokens("[[1],[2,3]]")),
        ];
        for (input, expected) in cases {
            assert_eq!(read(&format!(r#"{{"model":"m","input":{input}}}"#)).unwrap().input, expected);
        }
    }

    #[test]
    fn what_is_wrong_names_its_field() {
        let cases = [
            (r#"{"input":"a"}"#, "model"),
            (r#"{"model":"m"}"#, "input"),
            (r#"{"model":"m","input":[]}"#, "input"),
            (r#"{"model":"m","input":[{"text":"a"}]}"#, "input"),
            (r#"{"model":"m","input":"a","dimensions":"many"}"#, "dimensions"),
            (r#"{"model":"m","input":"a","encoding_format":"int8"}"#, "encoding_format"),
        ];
        for (body, field) in cases {
            assert_eq!(read(body).unwrap_err().param.as_deref(), Some(field), "{body}");
        }
        let request = read(r#"{"model":"m","input":"a","truncation":true,"output_dtype":null}"#).unwrap();
        assert_eq!(request.unread, ["truncation"]);
    }

    #[test]
    fn an_answer_is_written_as_it_is_read() {
        let body = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,2]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
        let response = Embeddings.read(body.as_bytes()).unwrap();
        assert_eq!(write_embeddings(&response, Encoding::Float), body.as_bytes());
        assert_eq!(response.usage, Some(Usage { input: 3, ..Usage::default() }));
    }

    #[test]
    fn what_is_no_answer_is_malformed_and_not_quoted() {
        for body in ["", "secret", r#"{"data":"secret"}"#, r#"{"error":"secret"}"#, r#"{"data":[{}]}"#] {
            let Malformed(why) = Embeddings.read(body.as_bytes()).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
