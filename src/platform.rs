//! Where a dialect's bodies are served: by its own maker, or by a cloud that carries the same bodies in its own way.
//!
//! A cloud names the model in the path and the version in the body, wants its own credential, and may wrap the stream.
//! Everything else is the dialect's, so a caller who speaks it still gets the upstream's words.
//!
//! Sources: "Claude on Amazon Bedrock" and "Claude on Vertex AI", Anthropic API documentation; "InvokeModel" and
//! "InvokeModelWithResponseStream", Amazon Bedrock API reference; read 2026-11.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::dialect::{Ask, Dialect};
use crate::host::Headers;
use crate::wire::frame::{Frame, Framing};
use crate::wire::json::{self, Fields, objects, quoted, words};
use crate::wire::percent;

words! {
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum Platform = "the name of a platform" {
        /// The dialect's own, or any server that speaks it.
        #[default]
        Native as "native",
        /// Amazon Bedrock, by the model's own bodies.
        Bedrock as "bedrock",
        /// Google Vertex AI.
        Vertex as "vertex",
    }
}

impl Platform {
    /// Whether `dialect` is spoken there.
    pub fn carries(self, dialect: Dialect) -> bool {
        self == Self::Native || dialect == Dialect::Anthropic
    }

    /// Whether a request may name files by address there, where its dialect has that. The clouds refuse it, as users
    /// report (BerriAI/litellm#18430, anthropics/anthropic-sdk-typescript#1038, read 2026-11).
    pub fn fetches(self) -> bool {
        self == Self::Native
    }

    /// Where requests for `model` go, below a provider's base URL.
    pub fn url(self, dialect: Dialect, base: &str, model: &str, ask: Ask) -> String {
        let stream = matches!(ask, Ask::Stream(_));
        let base = base.trim_end_matches('/');
        match self {
            Self::Native => dialect.url(base, model, ask),
            Self::Bedrock => {
                let verb = if stream { "invoke-with-response-stream" } else { "invoke" };
                format!("{base}/model/{}/{verb}", percent::encode(model))
            }
            Self::Vertex => {
                let verb = if stream { "streamRawPredict" } else { "rawPredict" };
                // Versions are written behind an `@`, which Google's servers want as it is.
                let model = percent::encode(model).replace("%40", "@");
                format!("{base}/publishers/anthropic/models/{model}:{verb}")
            }
        }
    }

    /// The header that carries a provider's key.
    pub fn credential(self, dialect: Dialect, key: &str) -> (&'static str, String) {
        match self {
            Self::Native => dialect.credential(key),
            Self::Bedrock | Self::Vertex => ("authorization", format!("Bearer {key}")),
        }
    }

    /// What an answer is asked to be.
    pub fn accepts(self, dialect: Dialect, ask: Ask) -> &'static str {
        match (ask, self, dialect) {
            (Ask::Stream(_), Self::Bedrock, _) | (Ask::Stream(_), Self::Native, Dialect::BedrockConverse) => {
                "application/vnd.amazon.eventstream"
            }
            // The list of a caller who speaks Gemini, who asks Gemini for it.
            (Ask::Stream(Framing::Array), Self::Native, Dialect::Gemini) => "application/json",
            (Ask::Stream(_), ..) => "text/event-stream",
            _ => "application/json",
        }
    }

    /// Makes a body and the headers of its dialect those that the platform wants. What it would refuse goes to `lost`.
    pub fn dress(self, body: Vec<u8>, headers: &mut Headers, lost: &mut Vec<String>) -> Vec<u8> {
        let (unwanted, version): (&[&str], _) = match self {
            Self::Native => return body,
            Self::Bedrock => (&["model", "stream"], "\"bedrock-2023-05-31\""),
            Self::Vertex => (&["model"], "\"vertex-2023-10-16\""),
        };
        headers.remove("anthropic-version");
        let mut added = vec![("anthropic_version", Cow::Borrowed(version))];
        let betas = headers.remove("anthropic-beta").unwrap_or_default();
        let betas = self.betas(&betas, lost);
        if self == Self::Vertex && !betas.is_empty() {
            headers.push("anthropic-beta", betas.join(","));
        } else if !betas.is_empty() {
            let betas: Vec<String> = betas.into_iter().map(quoted).collect();
            added.push(("anthropic_beta", Cow::Owned(format!("[{}]", betas.join(",")))));
        }
        // Whatever the dialect wrote, or the caller, was read as an object.
        let Ok(fields) = Fields::read(&body) else { return body };
        let bare = fields.without(unwanted);
        let Ok(fields) = Fields::read(&bare) else { return bare };
        // What the caller said in the body stands.
        added.retain(|(name, _)| *name == "anthropic_version" || fields.raw(name).is_none());
        let added: Vec<(&str, &str)> = added.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        fields.with(&added)
    }

    /// Those of `asked` that a cloud takes, by its own names: one that it does not know is refused with all of the request.
    fn betas<'a>(self, asked: &'a str, lost: &mut Vec<String>) -> Vec<&'a str> {
        let mut betas = Vec::new();
        for beta in asked.split(',').map(str::trim).filter(|beta| !beta.is_empty()) {
            let name = RENAMED_BETAS.iter().find(|(own, _)| *own == beta).map_or(beta, |(_, name)| name);
            let is_taken = match self {
                Self::Native => true,
                Self::Bedrock => CLOUD_BETAS.contains(&name) || BEDROCK_BETAS.contains(&name),
                Self::Vertex => CLOUD_BETAS.contains(&name) || VERTEX_BETAS.contains(&name),
            };
            if !is_taken {
                lost.push(format!("anthropic-beta: {beta}"));
            } else if !betas.contains(&name) {
                betas.push(name);
            }
        }
        betas
    }

    /// Whether an error's body is the dialect's own and not the platform's.
    pub fn is_of_dialect(self, error: &[u8]) -> bool {
        objects! {
            struct Envelope {
                r#type as "type": Option<String>,
            }
        }
        let is_error = |envelope: Envelope| envelope.r#type.as_deref() == Some("error");
        self == Self::Native || json::read(error).is_ok_and(is_error)
    }

    /// Whether a stream's frames are inside others; then [`unwrap`] has what they say.
    pub fn wraps(self, framing: Framing) -> bool {
        self == Self::Bedrock && framing == Framing::EventStream
    }
}

/// What both clouds let be tried. One that is missing here can be asked for in the body's own `anthropic_beta`.
///
/// Sources: "Anthropic Claude Messages API", Amazon Bedrock user guide; BerriAI/litellm, its table of what each cloud
/// takes; read 2026-11.
const CLOUD_BETAS: &[&str] = &[
    "compact-2026-01-12",
    "computer-use-2025-01-24",
    "computer-use-2025-11-24",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
    "dangerous-tool-use-2026-09-03",
    "interleaved-thinking-2025-05-14",
    "thinking-binding-controls-2026-08-01",
    "thinking-display-updates-2026-08-18",
    "tool-search-tool-2025-10-19",
];

const BEDROCK_BETAS: &[&str] = &[
    "computer-use-2024-10-22",
    "dev-full-thinking-2025-05-14",
    "effort-2025-11-24",
    "fine-grained-tool-streaming-2025-05-14",
    "mid-conversation-output-config-2026-07-01",
    "mid-conversation-tool-changes-2026-07-01",
    "output-128k-2025-02-19",
    "token-efficient-tools-2025-02-19",
    "tool-examples-2025-10-29",
];

const VERTEX_BETAS: &[&str] = &["compact-2026-09-04", "per-turn-control-2026-07-01", "web-search-2025-03-05"];

/// Anthropic's own name, and that of the part of it that the clouds have.
const RENAMED_BETAS: &[(&str, &str)] = &[("advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19")];

/// The frame of Server-Sent Events that Anthropic would have sent in place of one of Bedrock's; `None` where it holds none.
///
/// The data are those that Anthropic sent, byte by byte. An exception becomes an `error` event.
pub fn unwrap(raw: &[u8]) -> Option<Vec<u8>> {
    objects! {
        struct Chunk<'a> {
            bytes: Cow<'a, str>,
        }

        struct Named<'a> {
            r#type as "type": Cow<'a, str>,
        }

        struct Failure {
            message: String,
        }
    }
    let Frame { event, data } = Frame::read(Framing::EventStream, raw)?;
    let data = data?;
    if event == Some("chunk") {
        let Chunk { bytes } = json::parse(&data).ok()?;
        let bytes = STANDARD.decode(&*bytes).ok()?;
        let Named { r#type } = json::read(&bytes).ok()?;
        // A line break in either would end the frame early.
        let is_line = |bytes: &[u8]| !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        return (is_line(&bytes) && is_line(r#type.as_bytes()))
            .then(|| [b"event: ", r#type.as_bytes(), b"\ndata: ", &bytes, b"\n\n"].concat());
    }
    let message = json::parse::<Failure>(&data).map(|failure| failure.message).unwrap_or_default();
    let kind = match event.unwrap_or_default() {
        "throttlingException" => "rate_limit_error",
        "serviceUnavailableException" => "overloaded_error",
        "validationException" => "invalid_request_error",
        "modelTimeoutException" => "timeout_error",
        _ => "api_error",
    };
    let message = quoted(&message);
    let data = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}}}}"#);
    Some(format!("event: error\ndata: {data}\n\n").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::event_stream::frame;

    fn dressed(platform: Platform, body: &str, fields: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
        let mut headers: Headers = fields.iter().copied().collect();
        let body = platform.dress(body.as_bytes().to_vec(), &mut headers, &mut Vec::new());
        let headers = headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        (String::from_utf8(body).unwrap(), headers)
    }

    #[test]
    fn a_cloud_names_the_model_in_the_path() {
        let cases = [
            (Platform::Native, false, "https://x/v1/messages"),
            (Platform::Bedrock, false, "https://x/model/anthropic.claude-v1%3A0/invoke"),
            (Platform::Bedrock, true, "https://x/model/anthropic.claude-v1%3A0/invoke-with-response-stream"),
            (Platform::Vertex, false, "https://x/publishers/anthropic/models/anthropic.claude-v1%3A0:rawPredict"),
            (Platform::Vertex, true, "https://x/publishers/anthropic/models/anthropic.claude-v1%3A0:streamRawPredict"),
        ];
        let asks = |stream| if stream { Ask::Stream(Framing::Sse) } else { Ask::Answer };
        for (platform, stream, expected) in cases {
            assert_eq!(platform.url(Dialect::Anthropic, "https://x/", "anthropic.claude-v1:0", asks(stream)), expected);
        }
        let dated = Platform::Vertex.url(Dialect::Anthropic, "https://x", "claude-3-7-sonnet@20250219", Ask::Answer);
        assert_eq!(dated, "https://x/publishers/anthropic/models/claude-3-7-sonnet@20250219:rawPredict");
    }

    #[test]
    fn a_cloud_has_the_version_in_the_body_and_every_other_byte_stays() {
        let body = r#"{ "model" :"m", "max_tokens": 1.0,"stream":true , "messages" : [] }"#;
        let fields = [
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "effort-2025-11-24, context-1m-2025-08-07"),
            ("x-app", "cli"),
        ];
        let own = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(dressed(Platform::Native, body, &fields), (body.to_owned(), own(&fields)));
        let (bedrock, headers) = dressed(Platform::Bedrock, body, &fields);
        assert_eq!(
            bedrock,
            r#"{ "max_tokens": 1.0 , "messages" : [] ,"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["effort-2025-11-24","context-1m-2025-08-07"]}"#
        );
        assert_eq!(headers, own(&[("x-app", "cli")]));
        let (vertex, headers) = dressed(Platform::Vertex, body, &fields);
        assert_eq!(
            vertex,
            r#"{ "max_tokens": 1.0,"stream":true , "messages" : [] ,"anthropic_version":"vertex-2023-10-16"}"#
        );
        assert_eq!(headers, own(&[("x-app", "cli"), ("anthropic-beta", "context-1m-2025-08-07")]));
        let (said, _) = dressed(Platform::Bedrock, r#"{"anthropic_beta":["c"],"anthropic_version":"x"}"#, &fields);
        assert_eq!(said, r#"{"anthropic_beta":["c"],"anthropic_version":"bedrock-2023-05-31"}"#);
    }

    #[test]
    fn a_cloud_is_asked_for_what_it_lets_be_tried_and_the_rest_is_lost() {
        let asked = "claude-code-20250219, advanced-tool-use-2025-11-20,tool-search-tool-2025-10-19,,effort-2025-11-24";
        let mut lost = Vec::new();
        let taken = Platform::Bedrock.betas(asked, &mut lost);
        assert_eq!(taken, ["tool-search-tool-2025-10-19", "effort-2025-11-24"]);
        assert_eq!(lost, ["anthropic-beta: claude-code-20250219"]);
        lost.clear();
        assert_eq!(Platform::Vertex.betas(asked, &mut lost), ["tool-search-tool-2025-10-19"]);
        assert_eq!(lost, ["anthropic-beta: claude-code-20250219", "anthropic-beta: effort-2025-11-24"]);
        // Nothing is left to say.
        let mut headers = Headers::from_iter([("anthropic-beta", "claude-code-20250219")]);
        let dressed = Platform::Vertex.dress(b"{}".to_vec(), &mut headers, &mut Vec::new());
        assert_eq!(String::from_utf8(dressed).unwrap(), r#"{"anthropic_version":"vertex-2023-10-16"}"#);
        assert_eq!(headers.iter().count(), 0);
    }

    /// maximhq/bifrost#1935: without the markers on calls and results Claude Code has next to no cache hits.
    #[test]
    fn a_cache_marker_on_a_call_or_a_result_reaches_the_clouds_bifrost_1935() {
        let marked = r#""cache_control":{"type":"ephemeral"}"#;
        let messages = format!(
            r#"[{{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"f","input":{{}},{marked}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":"r",{marked}}}]}}]"#
        );
        let body = format!(r#"{{"model":"m","messages":{messages}}}"#);
        for platform in [Platform::Bedrock, Platform::Vertex] {
            let (dressed, _) = dressed(platform, &body, &[]);
            assert!(dressed.contains(&messages), "{dressed}");
        }
    }

    #[test]
    fn a_chunk_holds_the_bytes_that_anthropic_sent() {
        let data = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"é\n"}}"#;
        let payload = format!(r#"{{"bytes":"{}","p":"abc"}}"#, STANDARD.encode(data));
        let event = [(":event-type", "chunk"), (":message-type", "event")];
        let raw = frame(&event, payload.as_bytes());
        let expected = format!("event: content_block_delta\ndata: {data}\n\n");
        assert_eq!(unwrap(&raw).map(|frame| String::from_utf8(frame).unwrap()), Some(expected));
        for payload in ["", "{}", r#"{"bytes":"?"}"#, r#"{"bytes":"eA=="}"#, r#"{"bytes":"eyJ0eXBlIjoKInBpbmcifQ=="}"#]
        {
            assert_eq!(unwrap(&frame(&event, payload.as_bytes())), None, "{payload}");
        }
        assert_eq!(unwrap(b"nonsense"), None);
    }

    #[test]
    fn an_exception_is_an_error_event() {
        let cases = [
            (":exception-type", "exception", "throttlingException", "rate_limit_error"),
            (":exception-type", "exception", "internalServerException", "api_error"),
            (":error-code", "error", "InternalError", "api_error"),
        ];
        for (header, message, name, kind) in cases {
            let headers = [(":message-type", message), (header, name), (":error-message", "m")];
            let payload: &[u8] = if message == "error" { b"" } else { br#"{"message":"m"}"# };
            let data = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"m"}}}}"#);
            let expected = format!("event: error\ndata: {data}\n\n").into_bytes();
            assert_eq!(unwrap(&frame(&headers, payload)), Some(expected), "{name}");
        }
    }

    #[test]
    fn an_error_of_the_cloud_is_not_one_of_the_dialect() {
        let own = br#"{"type":"error","error":{"type":"invalid_request_error","message":"m"}}"#;
        for platform in [Platform::Bedrock, Platform::Vertex] {
            assert!(platform.is_of_dialect(own));
            assert!(!platform.is_of_dialect(br#"{"message":"m"}"#));
            assert!(!platform.is_of_dialect(br#"[{"error":{"code":400,"message":"m"}}]"#));
        }
        assert!(Platform::Native.is_of_dialect(br#"{"message":"m"}"#));
    }
}
