//! Requests the component sends: to whom it may, and how. A connection is used for one request and closed as soon as
//! the component drops the response, so a test sees at once what the component let go. (Spin keeps a pool.) No TLS.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, StreamBody};
use hyper::client::conn::http1;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

/// Spin's value for each of the three timeouts a request may set.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What `allowed_outbound_hosts` is in a Spin manifest.
pub enum Allowed {
    Loopback,
    Only(Vec<String>),
}

impl Allowed {
    pub fn add(&mut self, host_and_port: String) {
        match self {
            Self::Loopback => *self = Self::Only(vec![host_and_port]),
            Self::Only(list) => list.push(host_and_port),
        }
    }

    fn has(&self, authority: &Authority, address: &str) -> bool {
        match self {
            Self::Loopback => is_loopback(authority.host()),
            Self::Only(list) => list.iter().any(|allowed| allowed == address),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub struct Outbound(Arc<Allowed>);

impl Outbound {
    pub fn new(allowed: Arc<Allowed>) -> Self {
        Self(allowed)
    }
}

type Driver = Box<dyn Future<Output = Result<()>> + Send>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Driver,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Driver)>> + Send> {
        Box::new(send(request, options.unwrap_or_default(), self.0.clone()))
    }
}

/// The response, and the future that moves its body; dropping that future closes the connection.
async fn send(
    mut request: Request<WasiBody>,
    options: RequestOptions,
    allowed: Arc<Allowed>,
) -> Result<(Response<WasiBody>, Driver)> {
    let authority = request.uri().authority().ok_or(Error::HttpRequestUriInvalid)?;
    let tls = request.uri().scheme() == Some(&Scheme::HTTPS);
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let address = format!("{}:{port}", authority.host());
    if !allowed.has(authority, &address) {
        return Err(Error::HttpRequestDenied);
    }
    if tls {
        return Err(Error::InternalError(Some("the test host has no TLS".to_owned())));
    }

    let connect = TcpStream::connect(&address);
    let stream = timeout(options.connect_timeout.unwrap_or(TIMEOUT), connect)
        .await
        .map_err(|_| Error::ConnectionTimeout)?
        .map_err(Error::Connect)?;
    stream.set_nodelay(true).map_err(Error::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);

    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = Uri::try_from(target).map_err(|_| Error::HttpRequestUriInvalid)?;
    let response = timeout(options.first_byte_timeout.unwrap_or(TIMEOUT), sender.send_request(request))
        .await
        .map_err(|_| Error::ConnectionReadTimeout)??;

    let between_bytes = options.between_bytes_timeout.unwrap_or(TIMEOUT);
    let response = response.map(|body| {
        let frames = stream::unfold(body, move |mut body| async move {
            let frame = match timeout(between_bytes, body.frame()).await {
                Ok(frame) => frame?.map_err(Error::from),
                Err(_) => Err(Error::ConnectionReadTimeout),
            };
            Some((frame, body))
        });
        StreamBody::new(frames).boxed_unsync()
    });
    let driver = async move {
        match driver.join_next().await {
            Some(Ok(ended)) => Ok(ended?),
            _ => Ok(()),
        }
    };
    Ok((response, Box::new(driver)))
}
