//! Ordering documents by what they have to do with a query. Cohere's shape, which Jina, Voyage, Together and others
//! took over with small differences: a caller's body and an upstream's answer go through as they are, and only what is
//! to be paid is read.

use crate::chat::{Number, Usage};
use crate::dialect::Malformed;
use crate::wire::json::{self, Fields, objects, quoted};

/// The caller's own body with another model.
pub fn splice(body: &Fields<'_>, model: &str) -> Vec<u8> {
    body.with(&[("model", &quoted(model))])
}

/// The tokens that an answer took; `None` where it does not tell. Cohere bills searches, which are no tokens.
pub fn read_usage(body: &[u8]) -> Result<Option<Usage>, Malformed> {
    objects! {
        struct Answer {
            results: Option<Vec<Ranked>>,
            /// Voyage's name.
            data: Option<Vec<Ranked>>,
            usage: Option<Tally>,
            meta: Option<Meta>,
        }

        struct Ranked {
            /// Without its place in what was asked a result is none.
            index: u64,
        }

        struct Meta {
            tokens: Option<Tally>,
        }

        struct Tally {
            total_tokens: Option<Number>,
            input_tokens: Option<Number>,
        }
    }
    let answer: Answer = json::read(body).map_err(|error| Malformed(format!("the answer: {error}")))?;
    if answer.results.or(answer.data).is_none() {
        return Err(Malformed("results: missing".to_owned()));
    }
    let tally = answer.usage.or_else(|| answer.meta?.tokens);
    let tokens = tally.and_then(|tally| tally.total_tokens.or(tally.input_tokens));
    // Saturates; a negative number is none.
    Ok(tokens.map(|tokens| Usage { input: tokens.value() as u64, ..Usage::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_paid_is_read_from_every_shape() {
        let cases: &[(&str, Option<u64>)] = &[
            (
                r#"{"id":"1","results":[{"index":1,"relevance_score":0.1}],"meta":{"billed_units":{"search_units":1}}}"#,
                None,
            ),
            (r#"{"results":[],"meta":{"tokens":{"input_tokens":7}}}"#, Some(7)),
            (
                r#"{"results":[{"index":0,"relevance_score":-4.7}],"usage":{"prompt_tokens":5,"total_tokens":5}}"#,
                Some(5),
            ),
            (r#"{"object":"list","data":[{"relevance_score":0.5,"index":1}],"usage":{"total_tokens":12}}"#, Some(12)),
        ];
        for (body, input) in cases {
            let usage = input.map(|input| Usage { input, ..Usage::default() });
            assert_eq!(read_usage(body.as_bytes()), Ok(usage), "{body}");
        }
        for body in ["", "secret", r#"{"message":"secret"}"#, r#"{"results":"secret"}"#, r#"{"results":[{"score":1}]}"#]
        {
            let Malformed(why) = read_usage(body.as_bytes()).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
