//! A call of a reranking model, and its result. Upstreams have Cohere's shape.

use super::field;
use crate::chat::Unread;
use crate::dialect::Malformed;
use crate::error::Error;
use crate::wire::json::{self, Fields, Raw, Verbatim, objects, to_vec, written};

/// The fields that are read here; every other one is named in `lost`.
const READ: &[&str] = &["documents", "query", "topN"];

/// The body for an upstream. A document that is an object goes there as its text.
pub fn write_rerank(body: &Fields<'_>, model: &str, lost: &mut Vec<String>) -> Result<Vec<u8>, Error> {
    objects! {
        struct Documents<'a> {
            values: Vec<Raw<'a>>,
        }
    }
    written! {
        struct Body<'a> {
            model: &'a str,
            query: String,
            documents: Vec<String>,
            top_n?: Option<u64>,
        }
    }
    let mut unread = Unread::default();
    for name in body.names().filter(|name| !READ.contains(name)) {
        if body.raw(name).is_some_and(|raw| !raw.is_null()) {
            unread.note(name);
        }
    }
    lost.extend(unread.0);
    let missing = |name| move || Error::field(name, "is missing");
    let Documents { values } = field(body, "documents")?.ok_or_else(missing("documents"))?;
    let worded = |raw: Raw<'_>| json::parse(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
    Ok(to_vec(&Body {
        model,
        query: field(body, "query")?.ok_or_else(missing("query"))?,
        documents: values.into_iter().map(worded).collect(),
        top_n: field(body, "topN")?,
    }))
}

/// The result of the call, of an upstream's answer.
pub fn tell_ranking(answer: &[u8]) -> Result<Vec<u8>, Malformed> {
    objects! {
        struct Answer<'a> {
            results: Option<Vec<Ranked<'a>>>,
            /// Voyage's name.
            data: Option<Vec<Ranked<'a>>>,
        }

        struct Ranked<'a> {
            index: u64,
            relevance_score: Raw<'a>,
        }
    }
    written! {
        struct ResultOut<'a> {
            ranking: Vec<RankedOut<'a>>,
        }

        struct RankedOut<'a> {
            index: u64,
            relevance_score as "relevanceScore": Verbatim<'a>,
        }
    }
    let answer: Answer<'_> = json::read(answer).map_err(|error| Malformed(format!("the answer: {error}")))?;
    let ranked = answer.results.or(answer.data).ok_or_else(|| Malformed("results: missing".to_owned()))?;
    let ranking = ranked
        .into_iter()
        .map(|Ranked { index, relevance_score }| RankedOut { index, relevance_score: relevance_score.into() });
    Ok(to_vec(&ResultOut { ranking: ranking.collect() }))
}
