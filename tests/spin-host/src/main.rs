//! Runs one Spin component the way Spin 4.1 runs it, with the engine, the WASI implementation and the request
//! dispatch (`ProxyHandler`) that Spin itself is built on, so that tests need no Spin. It is not a general host:
//! one component, one key-value store, plain HTTP. Signals end it at once; Spin does not drain either.

mod instance;
mod keyvalue;
mod outbound;
mod rows;
mod variables;

/// The interfaces of `wit/` as Rust. What creates or consumes a handle may trap, the rest cannot.
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "host",
        imports: {
            "spin:key-value/key-value.[method]store.get-keys": trappable,
            "wasi:keyvalue/atomics.swap": trappable,
            "wasi:keyvalue/atomics.[static]cas.new": trappable,
            "wasi:keyvalue/atomics.[method]cas.current": trappable,
        },
        with: { "wasi:keyvalue/atomics.cas": crate::keyvalue::Cas },
    });
}

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpStream};
use wasmtime::error::Context as _;
use wasmtime::{Result, bail, format_err};
use wasmtime_wasi_http::handler::ProxyHandler;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, WasiBody};

use instance::Component;
use outbound::Allowed;
use rows::Rows;

const USAGE: &str = "spin-host COMPONENT.wasm [--listen ADDRESS:PORT] [--variable NAME=VALUE]... [--store FILE] \
                     [--allow HOST:PORT]...";

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1)).with_context(|| format!("usage: {USAGE}"))?;
    let rows = match &options.store {
        Some(file) => Rows::open(file).with_context(|| format!("the store {}", file.display()))?,
        None => Rows::in_memory(),
    };
    let handler = ProxyHandler::new(Component::load(&options.component, rows, options.variables, options.allowed)?);

    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, client) = listener.accept().await?;
        tokio::spawn(serve(stream, client, handler.clone()));
    }
}

struct Options {
    component: PathBuf,
    listen: SocketAddr,
    variables: BTreeMap<String, String>,
    store: Option<PathBuf>,
    allowed: Allowed,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut component = None;
        let mut options = Self {
            component: PathBuf::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            variables: BTreeMap::new(),
            store: None,
            allowed: Allowed::Loopback,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--listen" => options.listen = value()?.parse()?,
                "--store" => options.store = Some(value()?.into()),
                "--allow" => options.allowed.add(value()?),
                "--variable" => {
                    let value = value()?;
                    let (name, value) = value.split_once('=').context("--variable needs NAME=VALUE")?;
                    options.variables.insert(name.to_owned(), value.to_owned());
                }
                _ if argument.starts_with('-') => bail!("no option {argument}"),
                _ if component.is_some() => bail!("one component only, not also {argument}"),
                _ => component = Some(PathBuf::from(argument)),
            }
        }
        options.component = component.context("no component given")?;
        Ok(options)
    }
}

/// One connection. Unlike Spin this sets TCP_NODELAY: without it a test would measure Nagle's algorithm.
async fn serve(stream: TcpStream, client: SocketAddr, handler: ProxyHandler<Component>) {
    let answer = service_fn(|request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(answer(request, client, handler).await) }
    });
    let served = match stream.set_nodelay(true) {
        Ok(()) => http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await,
        Err(_) => return,
    };
    if let Err(error) = served {
        eprintln!("spin-host: connection of {client}: {error}");
    }
}

/// A trap or an error code instead of a response is an empty 500, as in Spin.
async fn answer(
    request: Request<Incoming>,
    client: SocketAddr,
    handler: ProxyHandler<Component>,
) -> Response<WasiBody> {
    let answered = match as_spin_hands_it_over(request, client) {
        Ok(request) => handler.handle((), request).await,
        Err(error) => Err(error),
    };
    answered.unwrap_or_else(|error| {
        eprintln!("spin-host: no response: {error:?}");
        let mut response = Response::new(Empty::new().map_err(Error::from).boxed_unsync());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// An absolute URI, and the headers Spin adds for a component with the route `/...`.
fn as_spin_hands_it_over(request: Request<Incoming>, client: SocketAddr) -> Result<Request<WasiBody>> {
    let mut request = request.map(|body| body.map_err(Error::from).boxed_unsync());
    let authority: Authority = match request.headers().get(header::HOST) {
        Some(host) => host.to_str()?.parse()?,
        None => Authority::from_static("localhost"),
    };
    let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let added = [
        ("spin-path-info", target.path().to_owned()),
        ("spin-full-url", format!("http://{authority}{target}")),
        ("spin-matched-route", "/...".to_owned()),
        ("spin-base-path", "/".to_owned()),
        ("spin-raw-component-route", "/...".to_owned()),
        ("spin-component-route", String::new()),
        ("spin-client-addr", client.to_string()),
    ];
    for (name, value) in added {
        request.headers_mut().insert(name, HeaderValue::try_from(value)?);
    }
    *request.uri_mut() = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(target)
        .build()
        .map_err(|error| format_err!("{error}"))?;
    Ok(request)
}
