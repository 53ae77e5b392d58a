//! What a path stands for. Pure.

use crate::dialect::{Ask, Inbound};
use crate::wire::frame::Framing;
use crate::wire::query::{decoded, parameter};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Door {
    Call(Call),
    /// The list of models, in a dialect's shape where the path is that dialect's alone.
    Models(Option<Inbound>),
    Usage,
    Home,
    Health,
}

/// A request to a model, as far as its path says what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) dialect: Inbound,
    /// What the log calls the path.
    pub(super) path: &'static str,
    /// `None` where the body names the model.
    pub(super) model: Option<String>,
    /// `None` where the body says whether to stream.
    pub(super) ask: Option<Ask>,
}

impl Call {
    fn by_body(dialect: Inbound, path: &'static str) -> Door {
        Door::Call(Self { dialect, path, model: None, ask: None })
    }

    /// What all callers ask for in one shape, with errors in OpenAI's.
    fn openai(path: &'static str, ask: Ask) -> Door {
        Door::Call(Self { dialect: Inbound::OpenaiChat, path, model: None, ask: Some(ask) })
    }
}

/// The version part is optional and may stand twice: base URLs are given with and without it.
pub(super) fn door(path: &str, query: Option<&str>) -> Option<Door> {
    let path = path.trim_end_matches('/');
    if let Some(call) = gemini(path, query) {
        return Some(Door::Call(call));
    }
    let rest = unversioned(path);
    Some(match rest {
        "/chat/completions" => Call::by_body(Inbound::OpenaiChat, "/v1/chat/completions"),
        "/completions" => Call::by_body(Inbound::OpenaiCompletions, "/v1/completions"),
        "/responses" => Call::by_body(Inbound::OpenaiResponses, "/v1/responses"),
        "/messages" => Call::by_body(Inbound::Anthropic, "/v1/messages"),
        "/embeddings" => Call::openai("/v1/embeddings", Ask::Embeddings),
        "/rerank" => Call::openai("/v1/rerank", Ask::Rerank),
        "/v2/rerank" => Call::openai("/v2/rerank", Ask::Rerank),
        "/messages/count_tokens" => Door::Call(Call {
            dialect: Inbound::Anthropic,
            path: "/v1/messages/count_tokens",
            model: None,
            ask: Some(Ask::TokenCount),
        }),
        "/models" => Door::Models(path.starts_with("/v1beta").then_some(Inbound::Gemini)),
        "/usage" => Door::Usage,
        "" => Door::Home,
        "/health" => Door::Health,
        _ => return None,
    })
}

/// `path` without the versions that it begins with.
fn unversioned(path: &str) -> &str {
    let mut rest = path;
    let shorter = |rest: &str, version: &str| -> Option<usize> {
        let after = rest.strip_prefix(version)?;
        (after.is_empty() || after.starts_with('/')).then_some(version.len())
    };
    while let Some(length) = ["/v1", "/v1beta", "/v1beta1"].iter().find_map(|version| shorter(rest, version)) {
        rest = rest.get(length..).unwrap_or_default();
    }
    rest
}

/// `/v1beta/models/{model}:{verb}`, and the same below a project and a publisher as on Vertex AI. A model's name may
/// hold slashes.
fn gemini(path: &str, query: Option<&str>) -> Option<Call> {
    let rest = unversioned(path);
    let rest = match rest.strip_prefix("/projects/") {
        Some(rest) => rest.split_once("/publishers/google")?.1,
        None => rest.strip_prefix("/publishers/google").unwrap_or(rest),
    };
    // Some clients escape the colon too.
    let rest = decoded(rest.strip_prefix("/models/")?)?;
    let (model, verb) = rest.rsplit_once(':')?;
    let is_sse = parameter(query, "alt").as_deref() == Some("sse");
    let (ask, path) = match verb {
        "generateContent" => (Ask::Answer, "/v1beta/models:generateContent"),
        "streamGenerateContent" => {
            let framing = if is_sse { Framing::Sse } else { Framing::Array };
            (Ask::Stream(framing), "/v1beta/models:streamGenerateContent")
        }
        "countTokens" => (Ask::TokenCount, "/v1beta/models:countTokens"),
        _ => return None,
    };
    Some(Call { dialect: Inbound::Gemini, path, model: Some(model.to_owned()), ask: Some(ask) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_gemini_says_what_is_asked_of_which_model() {
        let stream = Ask::Stream(Framing::Array);
        let cases: &[(&str, Option<&str>, &str, Ask)] = &[
            ("/v1beta/models/gemini-3-pro:generateContent", None, "gemini-3-pro", Ask::Answer),
            ("/v1/models/a:generateContent", None, "a", Ask::Answer),
            ("/models/a:countTokens", None, "a", Ask::TokenCount),
            ("/v1beta/models/a:streamGenerateContent", None, "a", stream),
            ("/v1beta/models/a:streamGenerateContent", Some("key=k&alt=sse"), "a", Ask::Stream(Framing::Sse)),
            ("/v1beta/models/a:streamGenerateContent", Some("alt=json"), "a", stream),
            ("/v1beta/models/anthropic/claude-x:generateContent", None, "anthropic/claude-x", Ask::Answer),
            ("/v1beta/models/anthropic%2Fclaude%3Ax:generateContent", None, "anthropic/claude:x", Ask::Answer),
            ("/v1beta/models/a%3AgenerateContent", None, "a", Ask::Answer),
            ("/v1beta/models/ollama/llama:8b:generateContent", None, "ollama/llama:8b", Ask::Answer),
            ("/v1/projects/p/locations/l/publishers/google/models/a:countTokens", None, "a", Ask::TokenCount),
            ("/v1beta1/projects/p/locations/l/publishers/google/models/a:generateContent", None, "a", Ask::Answer),
            ("/v1beta1/publishers/google/models/a:generateContent", None, "a", Ask::Answer),
        ];
        for (path, query, model, ask) in cases {
            let Some(Door::Call(call)) = door(path, *query) else { panic!("{path} leads nowhere") };
            assert_eq!((call.dialect, call.model.as_deref(), call.ask), (Inbound::Gemini, Some(*model), Some(*ask)));
        }
        for path in [
            "/v1beta/models/a",
            "/v1beta/models/a:embedContent",
            "/v1/projects/p/models/a:generateContent",
            "/v1beta/models/%f:generateContent",
            "/v1beta/models/%ff:generateContent",
        ] {
            assert_eq!(door(path, None), None, "{path}");
        }
    }

    #[test]
    fn other_paths_stand_with_and_without_their_version() {
        for path in ["/v1/messages/count_tokens", "/messages/count_tokens", "/v1/v1/messages/count_tokens/"] {
            let Some(Door::Call(call)) = door(path, None) else { panic!("{path} leads nowhere") };
            assert_eq!((call.dialect, call.model, call.ask), (Inbound::Anthropic, None, Some(Ask::TokenCount)));
        }
        assert_eq!(door("/v1/models", None), Some(Door::Models(None)));
        assert_eq!(door("/v1beta/models", None), Some(Door::Models(Some(Inbound::Gemini))));
        assert_eq!(door("/v1betax/models", None), None);
        assert_eq!(door("/", None), Some(Door::Home));
    }
}
