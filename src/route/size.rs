//! How much a request may come to: what is held of a cap for it, and by what the cheapest are found.

use super::demand::Asked;
use crate::config::Target;
use crate::dialect::Ask;
use crate::error::{Error, Kind};
use crate::price::{Picodollars, Service, worst};

/// The most tokens that a request may come to.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub input: u64,
    pub output: u64,
    service: Service,
}

/// For a request that states no most.
const OUTPUT_TOKENS_HELD: u64 = 4096;

impl Size {
    pub fn of(asked: &Asked<'_>) -> Self {
        let service = match asked.body.get::<String>("service_tier") {
            Ok(Some(tier)) if tier == "priority" => Service::Priority,
            _ => Service::Standard,
        };
        // No tokenizer makes two tokens of one byte pair of prose; what it makes of a prompt of symbols is billed all the same.
        let input = (asked.bytes.len() as u64).div_ceil(2);
        Self { input, output: output_max(asked), service }
    }

    /// The most that it may cost at `target`; `None` where no price is known.
    pub fn worst(&self, target: &Target) -> Option<Picodollars> {
        worst(self.input, self.output, self.service, &target.known.price.as_ref()?.price)
    }
}

/// Refuses a request that does not say that it is content with `most` tokens in answer. What it does not say is not said for
/// it, for its bytes go on as they are.
pub fn held_to(most: u64, asked: &Asked<'_>) -> Result<(), Error> {
    if matches!(asked.ask, Ask::TokenCount | Ask::Embeddings | Ask::Rerank) {
        return Ok(());
    }
    let (stated, answers) = asked.dialect.output_asked(asked.body);
    let wanted = stated.filter(|tokens| *tokens > 0).map(|tokens| tokens.saturating_mul(answers.unwrap_or(1).max(1)));
    let whom = format!("this token is for answers of {most} tokens at most");
    match wanted {
        Some(wanted) if wanted <= most => Ok(()),
        Some(wanted) => Err(Error::new(Kind::Forbidden, format!("{whom}, and {wanted} are asked for"))),
        None => Err(Error::invalid(format!("{whom}; the request must say how many it wants, as `max_tokens` does"))),
    }
}

/// The most tokens that an answer is held to have.
fn output_max(asked: &Asked<'_>) -> u64 {
    match asked.ask {
        Ask::Answer | Ask::Stream(_) => {
            let (stated, answers) = asked.dialect.output_asked(asked.body);
            // Neither of the counts may be 0, which some take for no bound.
            let stated = stated.filter(|tokens| *tokens > 0).unwrap_or(OUTPUT_TOKENS_HELD);
            stated.saturating_mul(answers.unwrap_or(1).max(1))
        }
        Ask::TokenCount | Ask::Embeddings | Ask::Rerank => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Inbound;
    use crate::wire::frame::Framing;
    use crate::wire::json::Fields;

    #[test]
    fn every_answer_that_is_asked_for_is_held() {
        let cases = [
            (Inbound::OpenaiChat, Ask::Answer, r#"{"messages":[]}"#, OUTPUT_TOKENS_HELD),
            (Inbound::Anthropic, Ask::Answer, r#"{"max_tokens":0}"#, OUTPUT_TOKENS_HELD),
            (Inbound::OpenaiChat, Ask::Answer, r#"{"max_tokens":5,"max_completion_tokens":7,"n":2}"#, 14),
            (Inbound::OpenaiResponses, Ask::Stream(Framing::Sse), r#"{"max_output_tokens":5}"#, 5),
            (Inbound::OpenaiResponses, Ask::Answer, r#"{"max_tokens":5}"#, OUTPUT_TOKENS_HELD),
            (Inbound::OpenaiChat, Ask::Answer, r#"{"max_output_tokens":5}"#, OUTPUT_TOKENS_HELD),
            (
                Inbound::Anthropic,
                Ask::Answer,
                r#"{"max_output_tokens":5,"max_completion_tokens":5}"#,
                OUTPUT_TOKENS_HELD,
            ),
            (Inbound::Anthropic, Ask::Answer, r#"{"max_tokens":7,"max_output_tokens":5,"n":3}"#, 7),
            (Inbound::OpenaiCompletions, Ask::Answer, r#"{"max_tokens":5,"prompt":"a","best_of":3,"n":2}"#, 15),
            (Inbound::OpenaiCompletions, Ask::Answer, r#"{"max_tokens":5,"prompt":["a","b"]}"#, 10),
            (Inbound::OpenaiCompletions, Ask::Answer, r#"{"max_tokens":5,"prompt":[1,2,3]}"#, 5),
            (Inbound::OpenaiCompletions, Ask::Answer, r#"{"max_tokens":5,"prompt":[[1],[2],[3]]}"#, 15),
            (Inbound::OpenaiChat, Ask::Embeddings, r#"{"input":"a","max_tokens":5}"#, 0),
            (Inbound::OpenaiChat, Ask::Rerank, r#"{"query":"a"}"#, 0),
        ];
        for (dialect, ask, body, most) in cases {
            let bytes = body.as_bytes();
            let body = Fields::read(bytes).unwrap();
            assert_eq!(Size::of(&Asked::new(dialect, ask, &body, bytes)).output, most, "{}", bytes.escape_ascii());
        }
    }
}
