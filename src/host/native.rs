//! The native host: a local server on hyper and tokio, for a laptop or a container.
//!
//! TCP_NODELAY on both sides, pooled upstream connections, counters in SQLite.
//!
//! Each core has a thread with a runtime of its own, and a connection stays on its thread. In one runtime over all
//! threads, each chunk of a stream would wake a second thread for nothing, some 50 µs. A request is served in its
//! connection's task, and goes on in one of its own when the connection breaks.

mod incoming;
mod reply;
mod request;
pub mod signatures;
pub mod store;
mod upstream;
mod watch;
mod work;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use hyper::body::Incoming as Received;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::incoming::incoming;
use self::reply::Slot;
use self::request::Request;
use self::store::Store;
pub use self::upstream::ask;
use self::upstream::{Connections, PublicConnections, connections, public_connections};
pub use self::watch::{Source, Written};
use self::work::Work;
use super::{Host as _, Reply, ReplyBody};
use crate::auth::Keyless;
use crate::config::Config;
use crate::relay::{Sink as _, pump};
use crate::serve::current::{Current, Offered};
use crate::serve::{Gateway, serve};

/// Where to listen and keep counters.
#[derive(Debug)]
pub struct Options {
    pub address: SocketAddr,
    /// `None` keeps counters in memory only.
    pub store: Option<PathBuf>,
}

/// How often it is asked whether there is something to keep.
const SHARE: Duration = Duration::from_secs(1);
/// As long as a store may take to count what was cut off.
const HURRY: Duration = Duration::from_secs(2);
/// What all threads have in common.
struct Shared {
    /// A request is served by what it finds here when it comes, to its end.
    gateway: RwLock<Arc<Gateway>>,
    store: Store,
    tasks: TaskTracker,
    /// Cancelled when all connections are to break, as if their callers had hung up.
    hurry: CancellationToken,
}

impl Shared {
    fn gateway(&self) -> Arc<Gateway> {
        self.gateway.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, gateway: Option<Arc<Gateway>>) {
        if let Some(gateway) = gateway {
            *self.gateway.write().unwrap_or_else(PoisonError::into_inner) = gateway;
        }
    }
}

/// What the requests of one thread have in common.
struct Lane {
    shared: Arc<Shared>,
    upstreams: Connections,
    public: PublicConnections,
}

/// A connection on its way to its thread.
struct Arrival {
    lane: Arc<Lane>,
    socket: std::net::TcpStream,
    graceful: Watcher,
}

/// Serves until the first Ctrl-C or SIGTERM, then lets end what is under way; a second one cuts it off, and counts it.
///
/// `config` is what `source` holds, and is served by until that changes.
pub async fn run(
    config: Config,
    source: Source,
    options: Options,
    banner: impl FnOnce(&Config, SocketAddr),
) -> Result<(), String> {
    let keyless = if options.address.ip().is_loopback() { Keyless::Loopback } else { Keyless::Refused };
    if config.callers.is_empty() && keyless == Keyless::Refused {
        return Err(format!(
            "{} can be reached by others; set TOLLGATE_KEY, which callers then send as their key",
            options.address
        ));
    }
    let store = Store::open(options.store.as_deref())?;
    let listener = TcpListener::bind(options.address).await.map_err(|error| {
        let is_taken = error.kind() == std::io::ErrorKind::AddrInUse;
        let hint = if is_taken { "; --port names another port" } else { "" };
        format!("{}: {error}{hint}", options.address)
    })?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let mut current = Current::new(keyless);
    let version = config.version.clone();
    if let Offered::Taken(line) = current.offer(&version, || Ok(config)) {
        println!("{line}");
    }
    let gateway = current.gateway().ok_or("there is no configuration")?;
    banner(&gateway.config, address);

    let (gateway, hurry) = (RwLock::new(gateway), CancellationToken::new());
    let shared = Arc::new(Shared { gateway, store, tasks: TaskTracker::new(), hurry });
    let mut lanes = Vec::new();
    for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
        let lane = Arc::new(Lane { shared: shared.clone(), upstreams: connections(), public: public_connections() });
        lanes.push((lane, start().map_err(|error| error.to_string())?));
    }
    let own = Arc::new(Lane { shared: shared.clone(), upstreams: connections(), public: public_connections() });
    let idle = Request::idle(own.clone());
    // What was learned before a restart.
    shared.gateway().sync(&idle).await;
    if let Err(why) = shared.gateway().recall_keys(&idle).await {
        eprintln!("{why}");
    }
    let watch = tokio::spawn(watch::watch(source, current, idle));
    let sharing = tokio::spawn(share(Request::idle(own.clone())));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop_signal());
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    // Out of descriptors, for the most part: those in use will come back.
                    eprintln!("accept: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        // Without it each end of a stream waits for a delayed acknowledgement, some 40 ms.
        let _ = socket.set_nodelay(true);
        // To the first of those with the least to do, so that a single caller finds the upstream's connection warm.
        let least = lanes.iter().min_by_key(|(lane, _)| Arc::strong_count(lane));
        if let (Some((lane, arrivals)), Ok(socket)) = (least, socket.into_std()) {
            let _ = arrivals.send(Arrival { lane: lane.clone(), socket, graceful: graceful.watcher() });
        }
    }
    drop(listener);
    watch.abort();
    sharing.abort();
    eprintln!("stopping: open requests end first; once more to stop at once");
    shared.tasks.close();
    tokio::select! {
        () = async { graceful.shutdown().await; shared.tasks.wait().await; } => {}
        () = stop_signal() => {
            shared.hurry.cancel();
            let _ = tokio::time::timeout(HURRY, shared.tasks.wait()).await;
        }
    }
    shared.gateway().part(&Request::idle(own)).await;
    Ok(())
}

/// Keeps what is learned where the next process finds it. Never ends.
async fn share(host: Request) {
    let mut told = String::new();
    loop {
        tokio::time::sleep(SHARE).await;
        let gateway = host.lane.shared.gateway();
        gateway.sync(&host).await;
        // What another process on the same store has made.
        let why = gateway.recall_keys(&host).await.err().unwrap_or_default();
        if !why.is_empty() && why != told {
            host.log(&why);
        }
        told = why;
    }
}

/// Starts a thread that serves the connections it is sent.
fn start() -> io::Result<mpsc::UnboundedSender<Arrival>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, mut arrivals) = mpsc::unbounded_channel::<Arrival>();
    let serve_all = async move {
        while let Some(arrival) = arrivals.recv().await {
            tokio::spawn(connection(arrival));
        }
    };
    std::thread::Builder::new().name("lane".to_owned()).spawn(move || runtime.block_on(serve_all))?;
    Ok(sender)
}

async fn connection(Arrival { lane, socket, graceful }: Arrival) {
    let Ok(socket) = TcpStream::from_std(socket) else { return };
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    server.http2().timer(TokioTimer::new());
    let hurry = lane.shared.hurry.clone();
    let service = hyper::service::service_fn(move |request| {
        let lane = lane.clone();
        async move { Ok::<_, Infallible>(handle(lane, request).await) }
    });
    let served = graceful.watch(server.serve_connection(TokioIo::new(socket), service).into_owned());
    tokio::select! {
        // A connection that breaks is its caller's business.
        _ = served => {}
        () = hurry.cancelled() => {}
    }
}

async fn stop_signal() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Dropped by hyper when the caller hangs up; what is under way is then finished as a task.
async fn handle(lane: Arc<Lane>, request: hyper::Request<Received>) -> hyper::Response<reply::Body> {
    let gone = CancellationToken::new();
    let tasks = lane.shared.tasks.clone();
    let (early, begun) = oneshot::channel();
    let slot = Slot::new(gone.clone());
    let host = Request { lane, gone: gone.clone(), slot: slot.clone(), early: Mutex::new(Some(early)) };
    let mut served = Work::new(&tasks, gone.clone(), async move {
        let gateway = host.lane.shared.gateway();
        let incoming = incoming(request, &gateway, &host).await;
        (serve(&gateway, &host, incoming).await, host)
    });
    let (status, headers, body) = tokio::select! {
        (Reply { status, headers, body }, host) = &mut served => (status, headers, match body {
            ReplyBody::Whole(bytes) => reply::Body::Whole(bytes),
            relayed @ ReplyBody::Relayed { .. } => pumped(&tasks, gone, slot, async move { finish(relayed, host).await }),
        }),
        Ok(headers) = begun => {
            let rest = async move {
                let (reply, host) = served.await;
                finish(reply.body, host).await;
            };
            (200, headers, pumped(&tasks, gone, slot, rest))
        }
    };
    let mut response = hyper::Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    for (name, value) in headers.iter() {
        let name = hyper::header::HeaderName::from_bytes(name.as_bytes());
        let value = hyper::header::HeaderValue::from_str(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A body that `pump` writes into `slot`. One that nobody asks for is dropped with its pump, which settles.
fn pumped(
    tasks: &TaskTracker,
    gone: CancellationToken,
    slot: Slot,
    pump: impl Future<Output = ()> + Send + 'static,
) -> reply::Body {
    slot.open();
    reply::Body::Pumped { pump: Work::new(tasks, gone, pump), slot }
}

/// Carries the body, after a head that has gone out.
async fn finish(body: ReplyBody<Received>, host: Request) {
    let mut slot = host.slot.clone();
    match body {
        // Whether it arrives changes nothing any more.
        ReplyBody::Whole(bytes) if bytes.is_empty() => {}
        ReplyBody::Whole(bytes) => drop(slot.write(bytes).await),
        ReplyBody::Relayed { upstream, relay, record } => pump(&host, upstream, *relay, *record, slot).await,
    }
}
