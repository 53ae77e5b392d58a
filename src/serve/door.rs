//! What a path stands for, with the headers that belong to it. Pure.

use super::attest::Step;
use super::keys::Keys;
use crate::dialect::{Ask, Inbound, ai_sdk};
use crate::error::Error;
use crate::host::Headers;
use crate::wire::frame::Framing;
use crate::wire::query::{decoded, parameter};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Door {
    Call(Call),
    /// What would come of one; of which, its body says where the path does not.
    Explain(Option<Call>),
    /// The list of models, in a dialect's shape where the path is that dialect's alone.
    Models(Option<Inbound>),
    /// One of them, by its name.
    Model(Option<Inbound>, String),
    Usage,
    /// Keys that are made at run time.
    Keys(Keys),
    /// Short-lived tokens that a caller makes for itself.
    Tokens,
    /// An app on a phone asks for one.
    Attest(Step),
    /// The receipt of one request.
    Generation,
    Report,
    /// What the key that asks has spent and has left, in two shapes.
    Key,
    Credits,
    Home,
    Health,
}

/// A request to a model, as far as its path says what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) dialect: Inbound,
    /// What the log calls the path.
    pub(super) path: &'static str,
    /// `None` where the body names the model, and not the path or the head.
    pub(super) model: Option<String>,
    /// `None` where the body says whether to stream.
    pub(super) ask: Option<Ask>,
    /// What is wrong with the head.
    pub(super) fault: Option<Error>,
}

impl Call {
    fn by_body(dialect: Inbound, path: &'static str) -> Door {
        Door::Call(Self { dialect, path, model: None, ask: None, fault: None })
    }

    /// What all callers ask for in one shape, with errors in OpenAI's.
    fn openai(path: &'static str, ask: Ask) -> Door {
        Door::Call(Self { dialect: Inbound::OpenaiChat, path, model: None, ask: Some(ask), fault: None })
    }
}

/// The version part is optional and may stand twice: base URLs are given with and without it.
pub(super) fn door(path: &str, query: Option<&str>, headers: &Headers) -> Option<Door> {
    let path = path.trim_end_matches('/');
    match unversioned(path).strip_prefix("/explain") {
        Some("") => Some(Door::Explain(None)),
        Some(asked) if asked.starts_with('/') => match plain(asked, query, headers)? {
            Door::Call(call) => Some(Door::Explain(Some(call))),
            _ => None,
        },
        _ => plain(path, query, headers),
    }
}

/// Whether no key is needed for what has a body there.
pub(super) fn is_for_anybody(path: &str) -> bool {
    unversioned(path).starts_with("/attest/")
}

/// What is not about another request.
fn plain(path: &str, query: Option<&str>, headers: &Headers) -> Option<Door> {
    if let Some(call) = gemini(path, query) {
        return Some(Door::Call(call));
    }
    if let Some(door) = ai_sdk(path, headers) {
        return Some(door);
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
            fault: None,
        }),
        "/models" => Door::Models(path.starts_with("/v1beta").then_some(Inbound::Gemini)),
        "/tokens" => Door::Tokens,
        "/usage" => Door::Usage,
        "/generation" => Door::Generation,
        "/report" => Door::Report,
        "/key" => Door::Key,
        "/credits" => Door::Credits,
        "" => Door::Home,
        "/health" => Door::Health,
        _ if rest.starts_with("/attest") => Door::Attest(Step::of(rest.strip_prefix("/attest")?)?),
        _ if rest.starts_with("/keys") => Door::Keys(Keys::of(rest.strip_prefix("/keys")?)?),
        _ => {
            let model = decoded(rest.strip_prefix("/models/")?).filter(|model| !model.is_empty())?;
            Door::Model(path.starts_with("/v1beta").then_some(Inbound::Gemini), model)
        }
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
    Some(Call { dialect: Inbound::Gemini, path, model: Some(model.to_owned()), ask: Some(ask), fault: None })
}

/// `/v4/ai/language-model` and its siblings; older clients have `/v3/ai` and `/v1/ai`.
fn ai_sdk(path: &str, headers: &Headers) -> Option<Door> {
    let versioned =
        ["/v1", "/v2", "/v3", "/v4"].iter().find_map(|version| Some((*version, path.strip_prefix(version)?)));
    let (version, rest) = versioned.unwrap_or(("", path));
    let by_path = ai_sdk::Version::of_path(version);
    let (names, path, ask) = match rest.strip_prefix("/ai").unwrap_or(rest) {
        "/language-model" => (ai_sdk::LANGUAGE, "/v4/ai/language-model", Ask::Answer),
        "/embedding-model" => (ai_sdk::EMBEDDING, "/v4/ai/embedding-model", Ask::Embeddings),
        "/reranking-model" => (ai_sdk::RERANKING, "/v4/ai/reranking-model", Ask::Rerank),
        "/config" => return Some(Door::Models(Some(Inbound::AiSdk(by_path)))),
        _ => return None,
    };
    let ai_sdk::Head { version, model, streams, fault } = ai_sdk::Head::read(headers, by_path, &names);
    let ask = if streams { Ask::Stream(Framing::Sse) } else { ask };
    Some(Door::Call(Call { dialect: Inbound::AiSdk(version), path, model: Some(model), ask: Some(ask), fault }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(path: &str, query: Option<&str>) -> Option<Door> {
        super::door(path, query, &Headers::default())
    }

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
        assert_eq!(door("/v1/explain/", None), Some(Door::Explain(None)));
        for path in ["/v1/explain/v1/messages", "/explain/messages"] {
            let Some(Door::Explain(Some(call))) = door(path, None) else { panic!("{path} leads nowhere") };
            assert_eq!(call.dialect, Inbound::Anthropic);
        }
        for path in ["/v1/explain/v1/models", "/v1/explain/v1/explain", "/v1/explained"] {
            assert_eq!(door(path, None), None, "{path}");
        }
        assert_eq!(door("/v1beta/models", None), Some(Door::Models(Some(Inbound::Gemini))));
        assert_eq!(door("/v1betax/models", None), None);
        let named = |dialect, model: &str| Some(Door::Model(dialect, model.to_owned()));
        assert_eq!(door("/v1/models/gpt-5", None), named(None, "gpt-5"));
        assert_eq!(door("/models/openai%2Fgpt-5/", None), named(None, "openai/gpt-5"));
        assert_eq!(door("/v1beta/models/a/b:8b", None), named(Some(Inbound::Gemini), "a/b:8b"));
        assert_eq!(door("/v1/models/%ff", None), None);
        assert_eq!(door("/", None), Some(Door::Home));
        let one = |name: &str| Some(Door::Keys(Keys::One(name.to_owned())));
        assert_eq!((door("/v1/keys/", None), door("/v1/keys/a", None)), (Some(Door::Keys(Keys::All)), one("a")));
        assert_eq!(door("/v1/attest/apple/", None), Some(Door::Attest(Step::Attest)));
        assert_eq!(door("/attest/apple/assert", None), Some(Door::Attest(Step::Assert)));
        assert!(is_for_anybody("/v1/attest/apple/") && !is_for_anybody("/v1/attests") && !is_for_anybody("/v1/keys"));
        assert_eq!(door("/keys/a/rotate", None), Some(Door::Keys(Keys::Rotate("a".to_owned()))));
        for path in [
            "/v1/attest",
            "/v1/attest/",
            "/v1/attest/apple/other",
            "/v1/attestation",
            "/v1/keyset",
            "/v1/keys/a/b",
            "/v1/keys//rotate",
        ] {
            assert_eq!(door(path, None), None, "{path}");
        }
    }

    #[test]
    fn the_head_says_what_the_ai_sdk_asks_of_which_model() {
        use ai_sdk::Version::{V2, V3, V4};
        let stream = Ask::Stream(Framing::Sse);
        let cases = [
            ("/v4/ai/language-model", "4", "true", V4, stream),
            ("/v1/ai/language-model", "2", "false", V2, Ask::Answer),
            ("/v3/ai/language-model/", "3", "true", V3, stream),
            // The header counts.
            ("/v1/language-model", "4", "", V4, Ask::Answer),
            ("/language-model", "3", "TRUE", V3, Ask::Answer),
        ];
        for (path, version, streams, expected, ask) in cases {
            let headers = Headers::from_iter([
                ("ai-language-model-id", "openai/gpt-5"),
                ("ai-language-model-specification-version", version),
                ("ai-language-model-streaming", streams),
            ]);
            let Some(Door::Call(call)) = super::door(path, None, &headers) else { panic!("{path} leads nowhere") };
            assert_eq!((call.dialect, call.ask), (Inbound::AiSdk(expected), Some(ask)), "{path}");
            assert_eq!(call.model.as_deref(), Some("openai/gpt-5"));
        }
        let headers = Headers::from_iter([("ai-model-id", "openai/e")]);
        let Some(Door::Call(call)) = super::door("/v3/ai/embedding-model", None, &headers) else { panic!("nowhere") };
        assert_eq!((call.dialect, call.ask), (Inbound::AiSdk(V3), Some(Ask::Embeddings)));
        for (path, version) in [("/v1/ai/config", V2), ("/v3/ai/config", V3), ("/v4/ai/config", V4), ("/ai/config", V4)]
        {
            assert_eq!(door(path, None), Some(Door::Models(Some(Inbound::AiSdk(version)))));
        }
        let fault = |headers: &Headers| match super::door("/v4/ai/language-model", None, headers) {
            Some(Door::Call(call)) => call.fault.and_then(|fault| fault.param),
            _ => None,
        };
        assert_eq!(fault(&Headers::default()).as_deref(), Some("ai-language-model-id"));
        let new = Headers::from_iter([("ai-language-model-id", "m"), ("ai-language-model-specification-version", "5")]);
        assert_eq!(fault(&new).as_deref(), Some("ai-language-model-specification-version"));
        for path in ["/v4/ai/image-model", "/v5/ai/config", "/v4ai/config", "/ai"] {
            assert_eq!(door(path, None), None, "{path}");
        }
    }
}
