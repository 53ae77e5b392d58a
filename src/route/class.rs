//! What kind of failure an attempt met: by status, and by the words where a status says too little.
//!
//! Sources: recorded and documented errors of the providers, read 2026-11; each wording stands in a test.

use super::health::Verdict;
use crate::host::Millis;
use crate::wire::json::words;

words! {
    /// Kinds of failure that a policy tells apart.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Class = "a class of failures" {
        /// Too many requests or tokens; asking later helps.
        RateLimit as "rate-limit",
        /// The provider has no room; asking later or elsewhere helps.
        Overloaded as "overloaded",
        ServerError as "server-error",
        /// No first byte in time.
        Timeout as "timeout",
        Unreachable as "unreachable",
        /// A 200 that failed, broke off or was nonsense before its first content.
        BadAnswer as "bad-answer",
        /// The prompt is longer than the model's window.
        Context as "context",
        /// Refused for what it says.
        Filtered as "filtered",
        /// The account has nothing left.
        Unpaid as "unpaid",
        /// The gateway's key is not taken.
        Key as "key",
        /// The provider does not have the model.
        NoModel as "no-model",
        /// Anything else that is the request's fault.
        Invalid as "invalid",
    }
}

/// Words in lower case that tell a class, wherever they stand in an error's type, code or message.
const WORDS: &[(Class, &[&str])] = &[
    (
        Class::Unpaid,
        &[
            "insufficient_quota",
            "insufficient balance",
            "insufficient credit",
            "credit balance is too low",
            "current quota, please check your plan",
            "billing_hard_limit",
            "payment required",
            "out of credits",
        ],
    ),
    (
        Class::Context,
        &[
            "context_length_exceeded",
            "exceed_context_size",
            "too_many_prompt_tokens",
            "maximum context length",
            "max context length",
            "context window",
            "prompt is too long",
            "prompt too long",
            "input is too long",
            "exceeds the maximum number of tokens",
            "maximum prompt length",
            "too many input tokens",
            "too many tokens: size limit",
        ],
    ),
    (Class::Filtered, &["content_filter", "content_policy", "content management policy", "responsibleaipolicy"]),
    (Class::Overloaded, &["overloaded", "no healthy upstream", "capacity"]),
];

impl Class {
    /// Of an answer that is an error. `words` is its beginning, with its type, code and message; `message` is that alone.
    pub fn of(status: u16, words: &str, message: &str) -> Self {
        let words = words.to_lowercase();
        let told = |class: Self| class.is_in(&words);
        match status {
            // No answer to a model call, and nothing that the caller could change.
            ..400 => Self::BadAnswer,
            402 => Self::Unpaid,
            // A quota that no wait refills; Google's refills, and says so in the same words.
            429 if told(Self::Unpaid) && !words.contains("ai.google.dev") => Self::Unpaid,
            429 => Self::RateLimit,
            400 | 403 if is_unpaid(&words, message) => Self::Unpaid,
            400 if is_of_key(message) => Self::Key,
            400 | 413 | 422 | 500 if told(Self::Context) => Self::Context,
            413 => Self::Context,
            400 | 403 | 422 if told(Self::Filtered) => Self::Filtered,
            401 | 403 => Self::Key,
            404 => Self::NoModel,
            503 | 529 => Self::Overloaded,
            500.. if told(Self::Overloaded) => Self::Overloaded,
            // Bedrock's word for a model that failed; a lock that another request holds; a server that gave up.
            424 | 409 | 500.. => Self::ServerError,
            408 => Self::Timeout,
            _ => Self::Invalid,
        }
    }

    /// Of an answer that failed after a good head: `words` is what it said, if anything.
    pub fn told(words: &str) -> Self {
        let words = words.to_lowercase();
        WORDS.iter().map(|(class, _)| *class).find(|class| class.is_in(&words)).unwrap_or(Self::BadAnswer)
    }

    /// Whether `words` in lower case tell it.
    fn is_in(self, words: &str) -> bool {
        WORDS.iter().any(|(class, known)| *class == self && known.iter().any(|known| words.contains(known)))
    }

    /// Whether another key of the same provider may do better.
    pub fn is_of_account(self) -> bool {
        matches!(self, Self::RateLimit | Self::Unpaid | Self::Key)
    }

    /// Whether the same target may answer if it is asked again.
    pub fn passes(self) -> bool {
        use Class::{BadAnswer, Overloaded, RateLimit, ServerError, Timeout, Unreachable};
        matches!(self, RateLimit | Overloaded | ServerError | Timeout | Unreachable | BadAnswer)
    }

    /// What it says of the target's health. `wait_ms` is for how long the target wants to be left alone.
    pub fn verdict(self, wait_ms: Option<Millis>) -> Verdict {
        match (self, wait_ms) {
            (Self::RateLimit, _) | (Self::Overloaded | Self::ServerError, Some(_)) => Verdict::Busy { wait_ms },
            (Self::Overloaded | Self::ServerError, None) => Verdict::Failed,
            (Self::Timeout | Self::Unreachable | Self::BadAnswer, _) => Verdict::Failed,
            (Self::Unpaid | Self::Key, _) => Verdict::Unpaid,
            (Self::Context | Self::Filtered | Self::NoModel | Self::Invalid, _) => Verdict::Refused,
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Whether an error of a bad request says that the account is empty. Such errors repeat what callers wrote, so the words
/// count only where a server alone writes: as the code, or at the beginning.
fn is_unpaid(words: &str, message: &str) -> bool {
    let codes = ["\"code\":\"insufficient_quota\"", "\"type\":\"insufficient_quota\""];
    let spaceless: String = words.chars().filter(|c| !c.is_whitespace()).collect();
    let message = message.to_lowercase();
    let message = message.trim_start_matches("your ").trim_start_matches("you exceeded your ");
    let sentences = WORDS.iter().filter(|(class, _)| *class == Class::Unpaid).flat_map(|(_, sentences)| *sentences);
    codes.iter().any(|code| spaceless.contains(code)) || sentences.into_iter().any(|told| message.starts_with(told))
}

/// Whether a bad request is one for its key alone, as Google and xAI have it, in words that callers cannot put first.
fn is_of_key(message: &str) -> bool {
    let message = message.to_lowercase();
    ["api key not valid", "api key expired", "incorrect api key provided"].iter().any(|told| message.starts_with(told))
}

/// The classes after which the next target is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classes(u16);

impl Classes {
    /// What another target may do better without knowing anything of the request.
    pub const USUAL: Self = Self(
        1 << Class::RateLimit as u16
            | 1 << Class::Overloaded as u16
            | 1 << Class::ServerError as u16
            | 1 << Class::Timeout as u16
            | 1 << Class::Unreachable as u16
            | 1 << Class::BadAnswer as u16
            | 1 << Class::Context as u16
            | 1 << Class::Unpaid as u16
            | 1 << Class::Key as u16
            | 1 << Class::NoModel as u16,
    );

    pub fn has(self, class: Class) -> bool {
        self.0 & class.bit() != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.iter().copied().filter(move |class| self.has(*class))
    }
}

impl FromIterator<Class> for Classes {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Self {
        Self(classes.into_iter().fold(0, |bits, class| bits | class.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_words_tell_their_class() {
        let cases = [
            (400, "context_length_exceeded This model's maximum context length is 128000 tokens", Class::Context),
            (400, "invalid_request_error prompt is too long: 3333404 tokens > 200000 maximum", Class::Context),
            (400, "exceed_context_size_error request (2009 tokens) exceeds the available context size", Class::Context),
            (400, "prompt too long; exceeded max context length by 1119046 tokens", Class::Context),
            (400, "too_many_prompt_tokens The total length of all messages is too long.", Class::Context),
            (
                400,
                "The input token count (1594712) exceeds the maximum number of tokens allowed (1048576)",
                Class::Context,
            ),
            (400, "Your input exceeds the context window of this model.", Class::Context),
            (413, "", Class::Context),
            (429, "insufficient_quota You exceeded your current quota, please check your plan", Class::Unpaid),
            (400, "insufficient_quota You exceeded your current quota", Class::Unpaid),
            (400, "Your credit balance is too low to access the Anthropic API.", Class::Unpaid),
            (402, "Insufficient Balance", Class::Unpaid),
            (
                429,
                "You exceeded your current quota, please check your plan and billing details. ai.google.dev",
                Class::RateLimit,
            ),
            (429, "rate_limit_exceeded Rate limit reached for gpt-4o", Class::RateLimit),
            (503, "The model is overloaded. Please try again later.", Class::Overloaded),
            (529, "overloaded_error Overloaded", Class::Overloaded),
            (500, "no healthy upstream", Class::Overloaded),
            (500, "", Class::ServerError),
            (504, "", Class::ServerError),
            (424, "ModelErrorException", Class::ServerError),
            (400, "content_filter The response was filtered", Class::Filtered),
            (401, "invalid x-api-key", Class::Key),
            (400, "API key not valid. Please pass a valid API key.", Class::Key),
            (
                400,
                "Incorrect API key provided: xa***. You can obtain an API key from https://console.x.ai.",
                Class::Key,
            ),
            (400, "Invalid value: 'API key not valid'", Class::Invalid),
            (403, "permission_error", Class::Key),
            (404, "model_not_found", Class::NoModel),
            (408, "", Class::Timeout),
            (302, "", Class::BadAnswer),
            (400, "Invalid schema for function: In context=()", Class::Invalid),
            (400, "max_tokens: Field required", Class::Invalid),
        ];
        for (status, words, class) in cases {
            assert_eq!(Class::of(status, words, words), class, "{status} {words}");
        }
    }

    #[test]
    fn what_a_caller_wrote_empties_no_account() {
        let echo =
            r#"{"error":{"message":"Invalid value: 'insufficient_quota'","type":"invalid_request_error","code":null}}"#;
        assert_eq!(Class::of(400, echo, "Invalid value: 'insufficient_quota'"), Class::Invalid);
        let own = r#"{"error": {"message": "No more", "code": "insufficient_quota"}}"#;
        assert_eq!(Class::of(400, own, "No more"), Class::Unpaid);
    }

    #[test]
    fn a_failure_after_a_good_head_is_told_by_its_words_alone() {
        let cases = [
            ("Overloaded", Class::Overloaded),
            ("prompt is too long: 3 tokens > 2 maximum", Class::Context),
            ("the answer broke off", Class::BadAnswer),
            ("", Class::BadAnswer),
        ];
        for (words, class) in cases {
            assert_eq!(Class::told(words), class, "{words}");
        }
    }

    #[test]
    fn classes_are_a_set() {
        let some: Classes = [Class::Key, Class::RateLimit, Class::Key].into_iter().collect();
        assert_eq!(some.iter().collect::<Vec<_>>(), [Class::RateLimit, Class::Key]);
        assert!(Classes::USUAL.has(Class::Overloaded) && !Classes::USUAL.has(Class::Invalid));
        assert_eq!(Class::ALL.iter().map(|class| class.bit()).sum::<u16>(), 0xfff, "all are listed");
    }
}
