//! The scripted upstream: a small HTTP/1.1 server that plays every [`Provider`], misbehaves as [`script`] says, and
//! remembers every request. Scenarios find theirs by a marker in the prompt, so they can run at the same time.
//! It writes to the socket itself, because a reset or a cut is nothing an HTTP library will do.

mod anthropic;
mod bedrock_converse;
mod cohere;
mod event_stream;
pub(crate) mod files;
mod gemini;
mod ollama;
mod openai_chat;
mod openai_responses;
pub(crate) mod operations;
pub(crate) mod play;
pub(crate) mod premise;
mod provider;
pub(crate) mod script;
pub(crate) mod sigv4;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::answer::SIGNATURE;
use provider::Asked;
pub(crate) use provider::{ANTHROPIC_KEY, OPENAI_KEY, Provider};
use script::Step;

#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    talks: Mutex<HashMap<String, Arc<Talk>>>,
}

/// All that happened under one marker.
#[derive(Debug)]
struct Talk {
    exchanges: Mutex<Vec<Arc<Exchange>>>,
    permits: Semaphore,
}

/// One request as it arrived, and what became of it.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    sent: Mutex<Vec<u8>>,
    outcome: watch::Sender<Option<Outcome>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Played,
    ClosedByGateway,
}

/// One frame of a scripted answer's stream.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    /// Whether it carries a piece of the answer itself.
    pub(crate) content: bool,
}

impl Upstream {
    pub(crate) async fn start() -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let upstream = Arc::new(Self { address: listener.local_addr()?, talks: Mutex::default() });
        let serving = Arc::clone(&upstream);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let upstream = Arc::clone(&serving);
                tokio::spawn(async move { upstream.serve(stream).await });
            }
        });
        Ok(upstream)
    }

    /// The requests that arrived with this marker, oldest first.
    pub(crate) fn exchanges(&self, marker: &str) -> Vec<Arc<Exchange>> {
        self.talk(marker).exchanges.lock().expect("not poisoned").clone()
    }

    /// The only request that arrived with this marker.
    pub(crate) fn exchange(&self, marker: &str) -> Arc<Exchange> {
        let exchanges = self.exchanges(marker);
        assert_eq!(exchanges.len(), 1, "the upstream was asked {} times", exchanges.len());
        Arc::clone(&exchanges[0])
    }

    /// Lets the script of this marker pass its next gate.
    pub(crate) fn permit(&self, marker: &str) {
        self.talk(marker).permits.add_permits(1);
    }

    fn talk(&self, marker: &str) -> Arc<Talk> {
        let mut talks = self.talks.lock().expect("not poisoned");
        let talk = || Arc::new(Talk { exchanges: Mutex::default(), permits: Semaphore::new(0) });
        Arc::clone(talks.entry(marker.to_owned()).or_insert_with(talk))
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        // An error means that the gateway went away, which the exchange has recorded.
        while let Ok(Some(request)) = read_request(&mut stream, &mut buffer).await {
            if self.answer(&mut stream, request).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, stream: &mut TcpStream, request: Request) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let steps = request.steps();
        let marker = marker(&request.body).or_else(|| marker(request.path.as_bytes()));
        let talk = self.talk(marker.as_deref().unwrap_or("none"));
        let exchange = Arc::new(Exchange {
            path: request.path,
            headers: request.headers,
            body: request.body,
            sent: Mutex::default(),
            outcome: watch::Sender::new(None),
        });
        talk.exchanges.lock().expect("not poisoned").push(Arc::clone(&exchange));
        let resets = steps.contains(&Step::Reset);
        let (mut read, mut write) = stream.split();
        let played = tokio::select! {
            played = exchange.play(&mut write, steps, &talk.permits) => played,
            error = closed(&mut read) => Err(error),
        };
        let outcome = match &played {
            Err(error) if error.kind() != io::ErrorKind::Other => Outcome::ClosedByGateway,
            _ => Outcome::Played,
        };
        exchange.outcome.send_replace(Some(outcome));
        if resets {
            stream.set_zero_linger()?;
        }
        played
    }
}

impl Exchange {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the upstream answers 400 to anything else")
    }

    /// Whether the request brings back what the model signed. Clients of Gemini hold bytes, and write them in the
    /// other alphabet of base64.
    pub(crate) fn is_signed(&self) -> bool {
        let body = String::from_utf8_lossy(&self.body).replace('-', "+").replace('_', "/");
        body.contains(SIGNATURE.trim_end_matches('='))
    }

    /// The bytes of the reply's body so far, without HTTP's framing.
    pub(crate) fn sent(&self) -> Vec<u8> {
        self.sent.lock().expect("not poisoned").clone()
    }

    /// How it ended, `None` if it has not within the time given.
    pub(crate) async fn outcome(&self, within: Duration) -> Option<Outcome> {
        let mut outcome = self.outcome.subscribe();
        let ended = tokio::time::timeout(within, outcome.wait_for(Option::is_some)).await;
        ended.ok().and_then(|outcome| *outcome.expect("the exchange keeps the sender"))
    }

    /// An error of kind `Other` is the script's own: the connection is to be dropped.
    async fn play(&self, write: &mut WriteHalf<'_>, steps: Vec<Step>, permits: &Semaphore) -> io::Result<()> {
        for step in steps {
            match step {
                Step::Whole { status, headers, body, length } => {
                    let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\n");
                    for (name, value) in headers {
                        head += &format!("{name}: {value}\r\n");
                    }
                    head += &format!("content-length: {length}\r\n\r\n{body}");
                    write.write_all(head.as_bytes()).await?;
                    self.record(body.as_bytes());
                }
                Step::StreamHead { kind } => {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncache-control: no-cache\r\n\
                         x-request-id: req_scripted1\r\ntransfer-encoding: chunked\r\n\r\n"
                    );
                    write.write_all(head.as_bytes()).await?;
                }
                Step::Send(bytes) => {
                    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
                    chunk.extend_from_slice(&bytes);
                    chunk.extend_from_slice(b"\r\n");
                    self.record(&bytes);
                    write.write_all(&chunk).await?;
                }
                Step::Gate => permits.acquire().await.map_err(io::Error::other)?.forget(),
                Step::Pause(time) => tokio::time::sleep(time).await,
                Step::Hang => std::future::pending().await,
                Step::Reset | Step::Cut => return Err(io::Error::other("scripted")),
                Step::End => write.write_all(b"0\r\n\r\n").await?,
            }
        }
        Ok(())
    }

    fn record(&self, bytes: &[u8]) {
        self.sent.lock().expect("not poisoned").extend_from_slice(bytes);
    }
}

impl Frame {
    pub(crate) fn content(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), content: true }
    }

    pub(crate) fn other(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), content: false }
    }
}

pub(crate) struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Checks like the real API, then follows the script.
    fn steps(&self) -> Vec<Step> {
        if let Some(steps) = files::steps(self).or_else(|| operations::steps(self)).or_else(|| play::steps(self)) {
            return steps;
        }
        let Some(asked) = Asked::of(&self.path) else {
            return script::failed(Provider::OpenaiChat, 404, &format!("no such path: {}", self.path), Vec::new());
        };
        let provider = asked.provider;
        let request: Value = match serde_json::from_slice(&self.body) {
            Ok(request) => request,
            Err(error) => return script::failed(provider, 400, &format!("not JSON: {error}"), Vec::new()),
        };
        if let Err(error) = provider.authorizes(self) {
            return script::failed(provider, 401, &error, Vec::new());
        }
        match provider.check(&request, self, asked.stream) {
            Err(error) => script::failed(provider, 400, &error, Vec::new()),
            Ok(()) => script::steps(&asked, &request),
        }
    }
}

/// The next request on a connection; `None` when it is closed between two.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let head_end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    buffer.drain(..head_end + 4);
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, path, headers, body: Vec::new() };
    if request.header("transfer-encoding") == "chunked" {
        loop {
            let line = take_line(stream, buffer).await?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            request.body.extend(take(stream, buffer, size).await?);
            take(stream, buffer, 2).await?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = request.header("content-length").parse().unwrap_or_default();
        request.body = take(stream, buffer, length).await?;
    }
    Ok(Some(request))
}

async fn take(stream: &mut TcpStream, buffer: &mut Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.drain(..length).collect())
}

async fn take_line(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(at) = find(buffer, b"\r\n") {
            let line = buffer.drain(..at + 2).collect();
            return String::from_utf8(line).map_err(io::Error::other);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Resolves when the peer closes. It has nothing else to say before its answer is there.
async fn closed(read: &mut ReadHalf<'_>) -> io::Error {
    match read.read(&mut [0; 64]).await {
        Ok(0) => io::ErrorKind::ConnectionAborted.into(),
        Ok(_) => io::Error::new(io::ErrorKind::InvalidData, "the gateway pipelined"),
        Err(error) => error,
    }
}

/// One Server-Sent Event.
fn sse(name: Option<&str>, data: &Value) -> Vec<u8> {
    let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
    format!("{name}data: {data}\n\n").into_bytes()
}

/// The text of a content, be it a string or parts.
pub(crate) fn flat(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => panic!("not a content: {content}"),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The marker that a scenario put into its prompt: `mk_` and 16 characters.
fn marker(body: &[u8]) -> Option<String> {
    let at = find(body, b"mk_")?;
    body.get(at..at + 19).map(|marker| String::from_utf8_lossy(marker).into_owned())
}
