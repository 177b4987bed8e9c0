//! The listener of `statistics-channels`: HTTP/1.1 for monitoring systems and orchestrators.
//!
//! The number of connections is bounded. Each serves one request, and both the header and the whole exchange have a
//! time limit.

use std::{collections::BTreeMap, convert::Infallible, fmt::Write, io, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    Statistics, json, metrics,
    report::{Part, Report},
    xml,
};
use crate::{access::Acl, notice, zones::View};

/// An address on which statistics are served: one `inet` of `statistics-channels`.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The clients that may connect.
    pub allow: Acl,
}

/// The statistics channels of a server.
pub struct Channels {
    runtime: Runtime,
    statistics: Arc<Statistics>,
    seats: Arc<Semaphore>,
    listeners: BTreeMap<SocketAddr, Listening>,
}

struct Listening {
    rules: Arc<ArcSwap<Acl>>,
    task: JoinHandle<()>,
}

/// The most connections at a time; others wait until one ends.
const SEATS: usize = 16;
/// How long a client may take to send its request header.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// How long a connection may last.
const TOTAL_TIME: Duration = Duration::from_secs(30);
/// The most octets of a request that are read before it is refused.
const MAX_REQUEST: usize = 8192;
/// The most headers in a request.
const MAX_HEADERS: usize = 64;
/// How long a listener waits after it failed to accept a connection.
const PAUSE: Duration = Duration::from_secs(1);
/// The most faulty zones that `/readyz` lists by name.
const MAX_NAMED: usize = 100;

impl Channels {
    /// Makes channels for these statistics that do not listen yet.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn new(statistics: Arc<Statistics>) -> io::Result<Channels> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("statistics")
            .enable_io()
            .enable_time()
            .build()?;
        Ok(Channels { runtime, statistics, seats: Arc::new(Semaphore::new(SEATS)), listeners: BTreeMap::new() })
    }

    /// Listens on exactly these addresses. A failure is only logged, because the server can answer without the channel.
    pub fn listen(&mut self, listeners: Vec<Listener>) {
        let mut former = std::mem::take(&mut self.listeners);
        for Listener { address, allow } in listeners {
            if let Some(same) = former.remove(&address) {
                same.rules.store(Arc::new(allow));
                self.listeners.insert(address, same);
                continue;
            }
            match self.runtime.block_on(TcpListener::bind(address)) {
                Ok(socket) => {
                    let bound = socket.local_addr().unwrap_or(address);
                    notice!(target: "general", "statistics channel listening on {}#{}", bound.ip(), bound.port());
                    let rules = Arc::new(ArcSwap::from_pointee(allow));
                    let (statistics, seats) = (Arc::clone(&self.statistics), Arc::clone(&self.seats));
                    let task = self.runtime.spawn(accept(socket, Arc::clone(&rules), statistics, seats));
                    self.listeners.insert(address, Listening { rules, task });
                }
                Err(error) => {
                    let (ip, port) = (address.ip(), address.port());
                    warn!(target: "general", "could not start statistics channel {ip}#{port}: {error}");
                }
            }
        }
        for (address, closed) in former {
            notice!(target: "general", "stopping statistics channel on {}#{}", address.ip(), address.port());
            closed.task.abort();
        }
    }

    /// Closes all channels.
    pub fn stop(self) {
        self.runtime.shutdown_background();
    }
}

async fn accept(socket: TcpListener, rules: Arc<ArcSwap<Acl>>, statistics: Arc<Statistics>, seats: Arc<Semaphore>) {
    loop {
        // The semaphore is never closed, so this only waits.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(target: "general", "statistics channel: cannot accept: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        if !rules.load().allows(peer.ip()) {
            warn!(target: "general", "rejected statistics connection from {}#{}", peer.ip(), peer.port());
            continue;
        }
        let statistics = Arc::clone(&statistics);
        tokio::spawn(async move {
            match timeout(TOTAL_TIME, serve(stream, statistics)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(target: "general", "statistics connection from {peer}: {error}"),
                Err(_) => debug!(target: "general", "statistics connection from {peer}: it took too long"),
            }
            drop(seat);
        });
    }
}

async fn serve(stream: TcpStream, statistics: Arc<Statistics>) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(request.method(), request.uri().path(), &statistics);
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_REQUEST)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// Answers a request for a path.
fn respond(method: &Method, path: &str, statistics: &Statistics) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain";
    if method != Method::GET && method != Method::HEAD {
        let mut refused = told(StatusCode::METHOD_NOT_ALLOWED, TEXT, "This takes GET only.\n".into());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let report = || Report::of(statistics);
    let below = |tree: &str, version: &str| match path.strip_prefix(tree)?.strip_prefix('/') {
        None => (path == tree).then_some(None),
        Some(rest) if rest == version => Some(None),
        Some(rest) => Part::from_name(rest.strip_prefix(version)?.strip_prefix('/')?).map(Some),
    };
    if let Some(wanted) = below("/json", "v1") {
        return told(StatusCode::OK, "application/json", json::write(&report(), wanted));
    }
    if let Some(wanted) = below("/xml", "v3").or_else(|| (path == "/").then_some(None)) {
        return told(StatusCode::OK, "text/xml", xml::write(&report(), wanted));
    }
    match path {
        "/metrics" => told(StatusCode::OK, metrics::MEDIA_TYPE, metrics::write(report()).into()),
        "/healthz" => told(StatusCode::OK, TEXT, "ok\n".into()),
        "/readyz" => {
            let report = report();
            let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            told(status, TEXT, readiness(&report).into())
        }
        _ => told(StatusCode::NOT_FOUND, TEXT, "No such URL.\n".into()),
    }
}

fn told(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Ready means that loading has been attempted for every zone. A zone that cannot be served does not make the server
/// unready; it is listed.
fn readiness(report: &Report) -> String {
    if !report.is_ready() {
        return "not ready: zones are being loaded\n".into();
    }
    let (mut zones, mut faulty, mut lines) = (0, 0, String::new());
    for (view, zone) in report.declared() {
        zones += 1;
        let Some(fault) = zone.fault() else { continue };
        faulty += 1;
        if faulty <= MAX_NAMED {
            let of_view = if *view.name == *View::DEFAULT { String::new() } else { format!("/{}", view.name) };
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "zone {}/IN{of_view}: {fault}", zone.name());
        }
    }
    if faulty > MAX_NAMED {
        let _ = writeln!(lines, "and {} more", faulty - MAX_NAMED);
    }
    format!("ready\nconfiguration {}\n{zones} zones, {faulty} of them not served\n{lines}", report.hash)
}
