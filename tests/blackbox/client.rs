//! A plain HTTP/1.1 caller: one connection per request, so that dropping a [`Reply`] hangs up. Most hang up as a
//! program that closes its socket does; [`send_to_reset`] is for one that dies or gives up without a word.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Longer than any scripted wait: who waits longer has met a gateway that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: hyper::HeaderMap,
    body: Incoming,
    _connection: Connection,
}

/// Closed when it is dropped, whatever it was doing.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

/// A reply whose body has been read to its end.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    headers: hyper::HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Sends a request and waits for the head of the reply.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: impl Into<Bytes>,
) -> Reply {
    send_on(connect(address).await, method, path, headers, body).await
}

/// The same on a connection that is reset when it is dropped.
pub(crate) async fn send_to_reset(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: impl Into<Bytes>,
) -> Reply {
    let stream = connect(address).await;
    stream.set_zero_linger().expect("a fresh socket takes SO_LINGER");
    send_on(stream, method, path, headers, body).await
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("the host accepts connections");
    stream.set_nodelay(true).expect("a fresh socket takes TCP_NODELAY");
    stream
}

async fn send_on(
    stream: TcpStream,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: impl Into<Bytes>,
) -> Reply {
    let address = stream.peer_addr().expect("a connected socket has a peer");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a fresh connection is ready");
    let connection = Connection(tokio::spawn(async move {
        // A cut is seen by whoever reads the body.
        let _ = connection.await;
    }));
    let mut request = hyper::Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", address.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(body.into())).expect("scripted requests are well formed");
    let reply = within("the head of the reply", sender.send_request(request)).await;
    let (head, body) = reply.unwrap_or_else(|error| panic!("{method} {path}: no reply: {error:?}")).into_parts();
    Reply { status: head.status.as_u16(), headers: head.headers, body, _connection: connection }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The next piece of the body, `None` at its clean end.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            let frame = within("the next piece of the body", self.body.frame()).await?;
            let frame = frame.unwrap_or_else(|error| panic!("the gateway cut the body: {error:?}"));
            if let Ok(piece) = frame.into_data() {
                return Some(piece);
            }
        }
    }

    /// Reads until the body holds `text`.
    pub(crate) async fn read_until(&mut self, text: &str) -> Vec<u8> {
        let mut body = Vec::new();
        while !String::from_utf8_lossy(&body).contains(text) {
            let piece = self.next().await;
            body.extend(piece.unwrap_or_else(|| panic!("{text:?} never came: {}", String::from_utf8_lossy(&body))));
        }
        body
    }

    pub(crate) async fn whole(self) -> Whole {
        self.whole_after(Vec::new()).await
    }

    /// Reads the rest of a body of which `body` has been read.
    pub(crate) async fn whole_after(mut self, mut body: Vec<u8>) -> Whole {
        while let Some(piece) = self.next().await {
            body.extend(piece);
        }
        Whole { status: self.status, headers: std::mem::take(&mut self.headers), body }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Whole {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come in {PATIENCE:?}"))
}
