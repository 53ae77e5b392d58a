//! What can go wrong with one request, and how the wire names it.
//!
//! The kind is for code to branch on, the message for people; each dialect renders both in its own shape.
//! No credential and no prompt goes into a message.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
    /// The request field at fault.
    pub param: Option<String>,
    /// When asking again may help, in seconds.
    pub retry_after: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    // The caller's.
    Invalid,
    Unauthenticated,
    Forbidden,
    UnknownModel,
    UnknownPath,
    WrongMethod,
    /// A WebSocket is asked for.
    NoWebSocket,
    TooLarge,
    RateLimited,
    SpendCapReached,
    // The upstream's.
    /// No connection, or an answer that is not of its dialect.
    BadUpstream,
    /// The answer ended before its protocol said so.
    Cut,
    UpstreamTimeout,
    /// An error that the upstream stated itself, with its status.
    Upstream(u16),
    // Ours.
    Internal,
}

/// The columns of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub status: u16,
    /// `error.type` in Anthropic Messages.
    pub anthropic: &'static str,
    /// `error.type` and `error.code` in the OpenAI dialects.
    pub openai: (&'static str, Option<&'static str>),
    /// `error.status` in Gemini.
    pub gemini: &'static str,
}

impl Kind {
    /// Sources: "Errors", Anthropic API documentation; "Error codes", OpenAI API documentation; "Troubleshooting guide",
    /// Gemini API documentation; all read 2026-11.
    pub fn row(self) -> Row {
        let (status, anthropic, openai, gemini) = match self {
            Self::Invalid => (400, "invalid_request_error", ("invalid_request_error", None), "INVALID_ARGUMENT"),
            Self::Unauthenticated => {
                (401, "authentication_error", ("invalid_request_error", Some("invalid_api_key")), "UNAUTHENTICATED")
            }
            Self::Forbidden => {
                (403, "permission_error", ("invalid_request_error", Some("forbidden")), "PERMISSION_DENIED")
            }
            Self::UnknownModel => {
                (404, "not_found_error", ("invalid_request_error", Some("model_not_found")), "NOT_FOUND")
            }
            Self::UnknownPath => (404, "not_found_error", ("invalid_request_error", Some("not_found")), "NOT_FOUND"),
            Self::WrongMethod => {
                (405, "invalid_request_error", ("invalid_request_error", Some("method_not_allowed")), "UNIMPLEMENTED")
            }
            Self::NoWebSocket => {
                (426, "invalid_request_error", ("invalid_request_error", Some("upgrade_required")), "UNIMPLEMENTED")
            }
            Self::TooLarge => {
                (413, "request_too_large", ("invalid_request_error", Some("request_too_large")), "INVALID_ARGUMENT")
            }
            Self::RateLimited => {
                (429, "rate_limit_error", ("requests", Some("rate_limit_exceeded")), "RESOURCE_EXHAUSTED")
            }
            Self::SpendCapReached => {
                (402, "billing_error", ("insufficient_quota", Some("insufficient_quota")), "FAILED_PRECONDITION")
            }
            Self::BadUpstream => (502, "api_error", ("server_error", Some("upstream_error")), "UNAVAILABLE"),
            Self::Cut => (502, "api_error", ("server_error", Some("upstream_cut")), "UNAVAILABLE"),
            Self::UpstreamTimeout => {
                (504, "timeout_error", ("server_error", Some("upstream_timeout")), "DEADLINE_EXCEEDED")
            }
            Self::Internal => (500, "api_error", ("server_error", Some("internal_error")), "INTERNAL"),
            Self::Upstream(status) => match status {
                401 => (
                    status,
                    "authentication_error",
                    ("invalid_request_error", Some("invalid_api_key")),
                    "UNAUTHENTICATED",
                ),
                402 => {
                    (status, "billing_error", ("insufficient_quota", Some("insufficient_quota")), "FAILED_PRECONDITION")
                }
                403 => (status, "permission_error", ("invalid_request_error", Some("forbidden")), "PERMISSION_DENIED"),
                // What a provider does not find is the model.
                404 => (status, "not_found_error", ("invalid_request_error", Some("model_not_found")), "NOT_FOUND"),
                413 => (
                    status,
                    "request_too_large",
                    ("invalid_request_error", Some("request_too_large")),
                    "INVALID_ARGUMENT",
                ),
                429 => (status, "rate_limit_error", ("requests", Some("rate_limit_exceeded")), "RESOURCE_EXHAUSTED"),
                400..=499 => (status, "invalid_request_error", ("invalid_request_error", None), "INVALID_ARGUMENT"),
                504 => (status, "timeout_error", ("server_error", Some("upstream_timeout")), "DEADLINE_EXCEEDED"),
                503 | 529 => (status, "overloaded_error", ("server_error", Some("upstream_error")), "UNAVAILABLE"),
                _ => (status, "api_error", ("server_error", Some("upstream_error")), "INTERNAL"),
            },
        };
        Row { status, anthropic, openai, gemini }
    }
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None, retry_after: None }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// A fault of the gateway or of what it stands on.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// A fault in one field of the request, by its path: `messages[2].content`.
    pub fn field(path: impl Into<String>, message: impl fmt::Display) -> Self {
        let path = path.into();
        Self { message: format!("{path}: {message}"), param: Some(path), ..Self::new(Kind::Invalid, "") }
    }

    /// The same fault in another field.
    pub fn at(self, path: String) -> Self {
        Self { message: format!("{path}: {}", self.message), param: Some(path), ..self }
    }

    pub fn status(&self) -> u16 {
        self.kind.row().status
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
