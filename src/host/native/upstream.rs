//! Connections to upstreams: pooled, without delay, over TLS where the base URL says so. And those for files that
//! callers name, to the public internet only.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use super::request::causes;
use crate::media::address::is_public;

pub(super) type Connections = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;
pub(super) type PublicConnections = Client<HttpsConnector<HttpConnector<PublicResolver>>, Full<Bytes>>;

pub(super) fn connections() -> Connections {
    let tcp = tcp(GaiResolver::new());
    let https =
        HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_all_versions().wrap_connector(tcp);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(https)
}

/// Callers choose whom these lead to, so none is kept.
pub(super) fn public_connections() -> PublicConnections {
    let tcp = tcp(PublicResolver(GaiResolver::new()));
    let https = HttpsConnectorBuilder::new().with_webpki_roots().https_only().enable_all_versions().wrap_connector(tcp);
    Client::builder(TokioExecutor::new()).timer(TokioTimer::new()).pool_max_idle_per_host(0).build(https)
}

/// Asks another gateway with a key, for the command line: its status and the whole answer.
pub async fn ask(method: &str, url: &str, key: &str, body: String) -> Result<(u16, Bytes), String> {
    let request = hyper::Request::builder().method(method).uri(url).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {key}")).body(Full::new(Bytes::from(body)));
    let request = request.map_err(|error| format!("{url}: {error}"))?;
    let asked = async {
        let response = connections().request(request).await.map_err(|error| causes(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
    };
    let answered = tokio::time::timeout(ANSWER, asked).await.unwrap_or_else(|_| Err("it does not answer".to_owned()));
    answered.map_err(|why| format!("{url}: {why}"))
}

fn tcp<R>(resolver: R) -> HttpConnector<R> {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.enforce_http(false);
    tcp
}

/// Finds no addresses but those of the public internet. What it finds is what is connected to: nobody asks a second
/// time, when the name's owner could answer otherwise.
///
/// The connector does not ask it about addresses written in a URL; [`crate::media::origin`] lets none through.
#[derive(Clone)]
pub(super) struct PublicResolver(GaiResolver);

impl Service<Name> for PublicResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.0.call(name);
        Box::pin(async move {
            let public: Vec<SocketAddr> = found.await?.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(io::Error::other("its name leads to no address of the public internet"));
            }
            Ok(public.into_iter())
        })
    }
}

/// For all of what the command line asks.
const ANSWER: Duration = Duration::from_secs(30);
/// A thousand keys with all that can be said of each.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(10);
const POOL_IDLE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_inside_leads_nowhere() {
        let mut resolver = PublicResolver(GaiResolver::new());
        // Each resolver of a system has its own ways to write 127.0.0.1.
        for name in ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "10.0.0.1"] {
            assert!(resolver.call(name.parse().unwrap()).await.is_err(), "{name}");
        }
        let uri = "https://localhost:9/".parse().unwrap();
        let error = super::super::request::causes(&public_connections().get(uri).await.unwrap_err());
        assert!(error.contains("no address of the public internet"), "{error}");
        let found: Vec<_> = resolver.call("1.1.1.1".parse().unwrap()).await.unwrap().collect();
        assert_eq!(found.len(), 1);
    }
}
