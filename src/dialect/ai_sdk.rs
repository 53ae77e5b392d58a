//! The AI SDK's gateway protocol, as callers speak it: what its `createGateway` sends a base URL other than Vercel's. No
//! upstream is asked in it.
//!
//! A request is the SDK's own call of a language model as JSON, an answer the result of that call, a stream its parts.
//! The model, whether it streams, and the version of the specification that all of these follow stand in the head. The
//! versions differ little: 2 has other words for usage and the end, and files are told in other ways before 4.
//!
//! Source: packages `ai` 7.0.173, `@ai-sdk/gateway` 4.0.146, 3.0.232 and 2.0.168, `@ai-sdk/provider` 4.0.38, read 2026-11.

mod content;
mod embed;
mod encode;
mod options;
mod read_request;
mod rerank;

#[cfg(test)]
mod tests;

pub use embed::{read_embeddings, write_embeddings};
pub use encode::{Encoder, error_frame, write_response};
pub use read_request::read_request;
pub use rerank::{tell_ranking, write_rerank};

use super::Model;
use crate::error::{Error, Kind};
use crate::host::Headers;
use crate::price::Picodollars;
use crate::wire::json::{Fields, Read, to_vec, written};

/// A version of the specification of models: AI SDK 5 has 2, 6 has 3, 7 has 4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    V2,
    V3,
    #[default]
    V4,
}

impl Version {
    fn of(number: &str) -> Option<Self> {
        match number {
            "2" => Some(Self::V2),
            "3" => Some(Self::V3),
            "4" => Some(Self::V4),
            _ => None,
        }
    }

    /// Of the clients whose default base URL begins so. The first of them have `/v1/ai`.
    pub fn of_path(path: &str) -> Self {
        match path {
            "/v1" | "/v2" => Self::V2,
            "/v3" => Self::V3,
            _ => Self::V4,
        }
    }

    /// As a model's description has it.
    fn word(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V3 => "v3",
            Self::V4 => "v4",
        }
    }
}

/// What the head of a request says of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub version: Version,
    pub model: String,
    pub streams: bool,
    /// What is wrong with it.
    pub fault: Option<Error>,
}

/// The headers that a kind of model has: its version, its name, and whether to stream.
pub struct Names {
    version: &'static str,
    model: &'static str,
    streaming: &'static str,
}

pub const LANGUAGE: Names = Names {
    version: "ai-language-model-specification-version",
    model: "ai-language-model-id",
    streaming: "ai-language-model-streaming",
};
pub const EMBEDDING: Names = Names { version: "ai-embedding-model-specification-version", ..OTHER };
pub const RERANKING: Names = Names { version: "ai-reranking-model-specification-version", ..OTHER };
/// Of those that never stream.
const OTHER: Names = Names { version: "", model: "ai-model-id", streaming: "" };

impl Head {
    /// `by_path` is the version where no header says one.
    pub fn read(headers: &Headers, by_path: Version, names: &Names) -> Self {
        let version = headers.get(names.version).map_or(Some(by_path), Version::of);
        let model = headers.get(names.model).unwrap_or_default().to_owned();
        let fault = if version.is_none() {
            Some(Error::field(names.version, "must be 2, 3 or 4, which are those of AI SDK 5 to 7"))
        } else if model.is_empty() {
            Some(Error::field(names.model, "this header is missing; it names the model"))
        } else {
            None
        };
        let streams = headers.get(names.streaming) == Some("true");
        Self { version: version.unwrap_or(by_path), model, streams, fault }
    }
}

/// Whether a client of this protocol asks, whatever it asks for.
pub fn is_client(headers: &Headers) -> bool {
    headers.get("ai-gateway-protocol-version").is_some()
}

/// The most tokens that the answer may have.
pub fn output_asked(body: &Fields<'_>) -> Option<u64> {
    body.get("maxOutputTokens").ok().flatten()
}

written! {
    struct Envelope<'a> {
        error: Problem<'a>,
        /// The client shows it behind the message.
        generation_id as "generationId"?: Option<&'a str>,
    }

    struct Problem<'a> {
        message: &'a str,
        kind as "type": &'static str,
        param?: Option<&'a str>,
    }
}

impl<'a> Problem<'a> {
    fn of(error: &'a Error) -> Self {
        Self { message: &error.message, kind: kind(error), param: error.param.as_deref() }
    }
}

/// What the client makes its class of; the status says whether it asks again.
fn kind(error: &Error) -> &'static str {
    match (error.kind, error.status()) {
        (Kind::UnknownPath, _) => "not_found",
        // To the next word the client answers with advice about Vercel's keys, in place of the message.
        (Kind::Upstream(401), _) => "failed_dependency",
        (_, 401) => "authentication_error",
        // It has no class for this one; it is Vercel's word.
        (_, 402) => "quota_for_entity_exceeded",
        (_, 403) => "forbidden",
        (_, 404) => "model_not_found",
        (_, 424) => "failed_dependency",
        (_, 429) => "rate_limit_exceeded",
        (_, 400..=499) => "invalid_request_error",
        _ => "internal_server_error",
    }
}

pub fn error_body(error: &Error, id: &str) -> Vec<u8> {
    let generation_id = Some(id).filter(|id| !id.is_empty());
    to_vec(&Envelope { error: Problem::of(error), generation_id })
}

/// The body of `GET …/config`. A client wants its own version there.
pub fn write_models(models: &[Model], version: Version) -> Vec<u8> {
    written! {
        struct List<'a> {
            models: Vec<Row<'a>>,
        }
    }
    to_vec(&List { models: models.iter().map(|model| Row::of(model, version)).collect() })
}

/// A row of that list; its own clients do not ask for one.
pub fn write_model(model: &Model, version: Version) -> Vec<u8> {
    to_vec(&Row::of(model, version))
}

written! {
    /// A model. Its type is not told: older clients refuse the whole list for a type that they do not know.
    struct Row<'a> {
        id: &'a str,
        name: &'a str,
        pricing?: Option<Pricing>,
        specification: Specification<'a>,
    }

    /// Dollars for a token.
    struct Pricing {
        input: String,
        output: String,
        input_cache_read?: Option<String>,
        input_cache_write?: Option<String>,
    }

    struct Specification<'a> {
        specification_version as "specificationVersion": &'static str,
        provider: &'a str,
        model_id as "modelId": &'a str,
    }
}

impl<'a> Row<'a> {
    fn of(Model { id, owner, known }: &'a Model, version: Version) -> Self {
        let pricing = known.price.as_ref().map(|priced| {
            let rates = &priced.price.tokens.rates;
            let unlike = |price| (price != rates.input).then(|| Picodollars(price).dollars());
            Pricing {
                input: Picodollars(rates.input).dollars(),
                output: Picodollars(rates.output).dollars(),
                input_cache_read: unlike(rates.cached_input),
                input_cache_write: unlike(rates.cache_write),
            }
        });
        let specification = Specification { specification_version: version.word(), provider: owner, model_id: id };
        Self { id, name: id, pricing, specification }
    }
}

/// A field of the body; `null` is absent.
fn field<'a, T: Read<'a>>(body: &Fields<'a>, name: &str) -> Result<Option<T>, Error> {
    body.get(name).map_err(|due| Error::field(name, due))
}
