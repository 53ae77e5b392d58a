//! Requests whose targets are on Bedrock or Vertex, from the caller's bytes to the upstream's and back, on a host that
//! answers at once and remembers what it was asked.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::future::pending;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tollgate::auth::Keyless;
use tollgate::auth::proof::Signed;
use tollgate::auth::sigv4::Signer;
use tollgate::config::{Config, Draft};
use tollgate::host::{Answer, Body, Broken, Headers, Host, Incoming, Millis, Outgoing, Reply, ReplyBody};
use tollgate::host::{StoreDown, Unreachable};
use tollgate::limit::{Admission, Bound};
use tollgate::receipt::Ids;
use tollgate::record::Settlement;
use tollgate::relay::{Gone, Sink, pump};
use tollgate::serve::{Gateway, serve};

const NOW: Millis = 1_440_938_160_000;
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const HOST: &str = "https://bedrock-runtime.eu-west-1.amazonaws.com";
const BINARY: &str = "application/vnd.amazon.eventstream";

/// An upstream's whole answer.
struct Canned {
    status: u16,
    kind: &'static str,
    body: Vec<u8>,
}

struct Instant<'a> {
    canned: &'a Canned,
    asked: RefCell<Option<Outgoing>>,
}

impl Host for Instant<'_> {
    type Body = Option<Bytes>;

    fn now(&self) -> Millis {
        NOW
    }

    fn random(&self) -> u64 {
        1
    }

    async fn sleep(&self, _: u64) {
        pending().await
    }

    async fn gone(&self) {
        pending().await
    }

    async fn fetch(&self, request: Outgoing) -> Result<Answer<Self::Body>, Unreachable> {
        *self.asked.borrow_mut() = Some(request);
        let mut headers = Headers::from_iter([("content-type", self.canned.kind)]);
        if self.canned.status == 400 {
            headers.push("x-amzn-ErrorType", "ExpiredTokenException:http://internal.amazon.com/coral/");
        }
        Ok(Answer { status: self.canned.status, headers, body: Some(self.canned.body.clone().into()) })
    }

    async fn send(&self, _: &Headers, _: Bytes) -> Result<(), Gone> {
        Ok(())
    }

    async fn verify(&self, _: &Signed) -> bool {
        false
    }

    async fn sign(&self, _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    async fn read(&self, body: &mut Self::Body) -> Result<Option<Bytes>, Broken> {
        Ok(body.take())
    }

    async fn admit(&self, _: &[Bound]) -> Result<Admission, StoreDown> {
        Ok(Admission::Admitted(Vec::new()))
    }

    async fn settle(&self, _: Settlement) {}

    async fn receipts(&self, _: &str, _: &Ids, _: usize) -> Result<Option<Vec<String>>, StoreDown> {
        Ok(None)
    }

    async fn totals(&self, _: &str) -> Result<Vec<(String, i64)>, StoreDown> {
        Ok(Vec::new())
    }

    async fn recall(&self, _: &str) -> Result<Option<Bytes>, StoreDown> {
        Ok(None)
    }

    async fn remember(&self, _: &str, _: Bytes, _: u32) -> Result<(), StoreDown> {
        Ok(())
    }

    fn log(&self, _: &str) {}
}

struct Kept<'a>(&'a RefCell<Vec<u8>>);

impl Sink for Kept<'_> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.0.borrow_mut().extend_from_slice(&bytes);
        Ok(())
    }
}

/// What became of one request.
struct Told {
    asked: Outgoing,
    status: u16,
    lost: Option<String>,
    body: String,
}

impl Told {
    fn sent(&self) -> Value {
        serde_json::from_slice(&self.asked.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.asked.headers.get(name)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }
}

/// Nothing waits, so one poll is enough.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn ask(secrets: &[(&str, &str)], path: &str, body: &Value, canned: &Canned) -> Told {
    let vertex = json!({"providers": {"vertex": {"dialect": "anthropic", "platform": "vertex",
        "base_url": "https://{region}-aiplatform.googleapis.com/v1/projects/p/locations/{region}", "region": "us-east5"}}});
    let draft = Draft::from_json(Some(&vertex.to_string())).unwrap();
    let lookup = |name: &str| {
        let given = secrets.iter().find(|(secret, _)| *secret == name).map(|(_, value)| (*value).to_owned());
        given.or_else(|| (name == "AWS_REGION").then(|| "eu-west-1".to_owned()))
    };
    let gateway = Gateway::new(Config::compile(&draft, lookup).unwrap(), Keyless::Loopback);
    let headers =
        [("host", "localhost"), ("anthropic-version", "2023-06-01"), ("anthropic-beta", "context-1m-2025-08-07,b-2")];
    let request = Incoming {
        method: "POST".to_owned(),
        path: path.to_owned(),
        query: Some("beta=true".to_owned()),
        headers: headers.into_iter().collect(),
        body: Body::Whole(body.to_string().into()),
    };
    let host = Instant { canned, asked: RefCell::default() };
    let Reply { status, headers, body } = now(serve(&gateway, &host, request));
    let body = match body {
        ReplyBody::Whole(body) => body.to_vec(),
        ReplyBody::Relayed { upstream, relay, record } => {
            let kept = RefCell::default();
            now(pump(&host, upstream, *relay, *record, Kept(&kept)));
            kept.into_inner()
        }
    };
    let asked = host.asked.into_inner().unwrap_or_else(|| panic!("{status} {}", String::from_utf8_lossy(&body)));
    let lost = headers.get("x-tollgate-lost").map(str::to_owned);
    Told { asked, status, lost, body: String::from_utf8(body).unwrap() }
}

const BEARER: &[(&str, &str)] = &[("AWS_BEARER_TOKEN_BEDROCK", "bedrock-key")];
const ACCESS: &[(&str, &str)] =
    &[("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_SESSION_TOKEN", "token")];

/// One binary frame with these texts for headers.
fn frame(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        (!bytes.iter().fold(!0_u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))).to_be_bytes()
    };
    let mut head = Vec::new();
    for (name, value) in headers {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        head.extend([&[u8::try_from(name.len()).unwrap()], name.as_bytes(), &[7], &length, value.as_bytes()].concat());
    }
    let length = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    let mut frame = [length(16 + head.len() + payload.len()), length(head.len())].concat();
    frame.extend(crc(&frame));
    frame.extend_from_slice(&head);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend(crc(&frame));
    frame
}

fn event(kind: &str, payload: &str) -> Vec<u8> {
    frame(&[(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")], payload)
}

#[test]
fn a_caller_of_chat_completions_is_answered_by_converse() {
    let answer = |name: &str| {
        json!({"output": {"message": {"role": "assistant", "content": [
            {"toolUse": {"toolUseId": "tooluse_1", "name": name, "input": {"x": 1}}}]}},
            "stopReason": "tool_use", "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 105,
            "cacheReadInputTokens": 100}})
    };
    let body = json!({"model": format!("amazon-bedrock/{CLAUDE}"), "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": {"name": "files.read"}}]});
    // The name that Bedrock is told is seen in what is sent, and is the one that it answers with.
    let first = ask(BEARER, "/v1/chat/completions", &body, &Canned { status: 500, kind: "", body: Vec::new() });
    let name = first.sent()["toolConfig"]["tools"][0]["toolSpec"]["name"].as_str().unwrap().to_owned();
    assert_ne!(name, "files.read");
    let canned = Canned { status: 200, kind: "application/json", body: answer(&name).to_string().into() };
    let told = ask(BEARER, "/v1/chat/completions", &body, &canned);
    assert_eq!(told.asked.url, format!("{HOST}/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"));
    assert_eq!(told.header("authorization"), Some("Bearer bedrock-key"));
    assert_eq!(told.sent()["messages"], json!([{"role": "user", "content": [{"text": "hi"}]}]));
    let reply = told.json();
    assert_eq!((told.status, &reply["model"]), (200, &json!(CLAUDE)));
    let call = &reply["choices"][0]["message"]["tool_calls"][0];
    assert_eq!((&call["id"], &call["function"]["name"]), (&json!("tooluse_1"), &json!("files.read")));
    assert_eq!(reply["usage"]["prompt_tokens"], 103);
}

#[test]
fn a_stream_of_converse_is_signed_for_and_translated() {
    let body = json!({"model": format!("amazon-bedrock/{CLAUDE}"), "max_tokens": 9, "stream": true,
        "messages": [{"role": "user", "content": "hi"}]});
    let stream = [
        event("messageStart", r#"{"role":"assistant"}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"Hel"}}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"lo"}}"#),
        event("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        event("messageStop", r#"{"stopReason":"end_turn"}"#),
        event("metadata", r#"{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}"#),
    ];
    let told = ask(ACCESS, "/v1/messages", &body, &Canned { status: 200, kind: BINARY, body: stream.concat() });
    assert!(told.asked.url.ends_with("/converse-stream"), "{}", told.asked.url);
    assert_eq!((told.header("accept"), told.asked.streams), (Some(BINARY), true));
    let extra = json!({"anthropic_beta": ["context-1m-2025-08-07"]});
    assert_eq!((&told.sent()["additionalModelRequestFields"], told.header("anthropic-beta")), (&extra, None));
    assert_eq!(told.lost.as_deref(), Some("anthropic-beta: b-2"));
    // The signature is that of what was sent, body and all.
    let signer = Signer {
        access_key: "AKID".into(),
        secret_key: "secret".into(),
        session_token: Some("token".into()),
        region: "eu-west-1".into(),
        service: "bedrock".into(),
    };
    let mut headers = Headers::from_iter([("content-type", "application/json")]);
    signer.sign(&told.asked.url, &mut headers, &told.asked.body, NOW);
    for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
        assert!(headers.get(name).is_some() && told.header(name) == headers.get(name), "{name}");
    }
    assert!(told.body.contains(r#""text":"Hel""#) && told.body.contains("event: message_stop"), "{}", told.body);
    assert!(told.body.contains(&format!(r#""model":"{CLAUDE}""#)), "{}", told.body);
    // Cut before its stop it is no answer.
    let cut = Canned { status: 200, kind: BINARY, body: stream[..4].concat() };
    let told = ask(ACCESS, "/v1/messages", &body, &cut);
    assert!(told.body.contains("event: error") && !told.body.contains("message_stop"), "{}", told.body);
}

#[test]
fn a_caller_of_messages_gets_anthropics_own_bytes_from_behind_bedrock() {
    let data = [
        r#"{"type":"message_start","message":{"id":"msg_bdrk_1","model":"claude","content":[],"usage":{"input_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"é"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}}"#,
        r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1}}"#,
    ];
    let chunk = |data: &&str| event("chunk", &json!({"bytes": STANDARD.encode(data), "p": "ab"}).to_string());
    let stream: Vec<u8> = data.iter().flat_map(chunk).collect();
    let kinds = ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"];
    let kinds = kinds.into_iter().chain(["message_stop"]);
    let expected: String = kinds.zip(data).map(|(kind, data)| format!("event: {kind}\ndata: {data}\n\n")).collect();
    let body = json!({"model": format!("bedrock-anthropic/{CLAUDE}"), "max_tokens": 9, "stream": true,
        "messages": [{"role": "user", "content": "hi"}]});
    let told = ask(BEARER, "/v1/messages", &body, &Canned { status: 200, kind: BINARY, body: stream });
    assert_eq!(told.body, expected);
    let path = "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke-with-response-stream";
    assert_eq!(told.asked.url, format!("{HOST}/model/{path}"));
    assert_eq!(told.header("authorization"), Some("Bearer bedrock-key"));
    assert_eq!((told.header("anthropic-version"), told.header("x-api-key")), (None, None));
    let sent = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "anthropic_version": "bedrock-2023-05-31", "anthropic_beta": ["context-1m-2025-08-07"]});
    assert_eq!((told.sent(), told.lost.as_deref()), (sent, Some("anthropic-beta: b-2")));
    // A failure of the cloud before any content is told as one of the dialect.
    let exception = [(":exception-type", "throttlingException"), (":message-type", "exception")];
    let failed = frame(&exception, r#"{"message":"slow down"}"#);
    let told = ask(BEARER, "/v1/messages", &body, &Canned { status: 200, kind: BINARY, body: failed });
    assert_eq!((told.status, &told.json()["type"]), (502, &json!("error")));
    assert!(told.body.contains("slow down"), "{}", told.body);
}

#[test]
fn an_error_of_the_cloud_is_told_in_the_callers_dialect() {
    let body = json!({"model": format!("bedrock-anthropic/{CLAUDE}"), "max_tokens": 9, "messages": []});
    let canned = |body: &str| Canned { status: 400, kind: "application/json", body: body.into() };
    let told = ask(BEARER, "/v1/messages", &body, &canned(r#"{"message":"no such model"}"#));
    assert_eq!((told.status, &told.json()["error"]["message"]), (400, &json!("no such model")));
    assert_eq!(told.json()["error"]["type"], "invalid_request_error");
    let named = ask(BEARER, "/v1/messages", &body, &canned(""));
    let message = "bedrock-anthropic answered with status 400: ExpiredTokenException";
    assert_eq!(named.json()["error"]["message"], message);
    let own = r#"{"type":"error" ,"error":{"type":"invalid_request_error","message":"m"}}"#;
    assert_eq!(ask(BEARER, "/v1/messages", &body, &canned(own)).body, own);
}

#[test]
fn vertex_is_asked_in_its_own_way_and_answers_in_anthropics() {
    let answer = r#"{"id":"msg_vrtx_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#;
    let body = json!({"model": "vertex/claude-haiku-4-5@20251001", "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}]});
    let canned = Canned { status: 200, kind: "application/json", body: answer.into() };
    let told = ask(&[("VERTEX_API_KEY", "ya29")], "/v1/messages", &body, &canned);
    let base = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5";
    assert_eq!(told.asked.url, format!("{base}/publishers/anthropic/models/claude-haiku-4-5@20251001:rawPredict"));
    assert_eq!(told.header("authorization"), Some("Bearer ya29"));
    assert_eq!(
        (told.header("anthropic-beta"), told.header("anthropic-version")),
        (Some("context-1m-2025-08-07"), None)
    );
    assert_eq!((&told.sent()["anthropic_version"], &told.sent()["model"]), (&json!("vertex-2023-10-16"), &Value::Null));
    assert_eq!(told.body, answer);
}
