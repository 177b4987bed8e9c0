//! The service of `statistics-channels`: HTTP/1.1 for monitoring systems and orchestrators.
//!
//! The number of connections is bounded. Each serves one request, and both the header and the whole exchange have a
//! time limit.

use std::{convert::Infallible, fmt::Write, io, net::SocketAddr, sync::Arc, time::Duration};

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
use tokio::{net::TcpStream, time::timeout};
use tracing::debug;

use super::{
    Configuration, Refused, Statistics, json, metrics,
    report::{Part, Report},
    xml,
};
use crate::{
    listen::admin::{Endpoints, Inet, Service, Words},
    zones::View,
};

/// An address on which statistics are served: one `inet` of `statistics-channels`.
pub type Listener = Inet<()>;

/// The statistics channels of a server.
pub struct Channels(Endpoints<Http>);

/// The service: where the statistics come from.
struct Http(Arc<Statistics>);

/// How long a client may take to send its request header.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// How long a connection may last.
const TOTAL_TIME: Duration = Duration::from_secs(30);
/// The most octets of a request that are read before it is refused.
const MAX_REQUEST: usize = 8192;
/// The most headers in a request.
const MAX_HEADERS: usize = 64;
/// The most faulty zones that `/readyz` lists by name.
const MAX_NAMED: usize = 100;

impl Channels {
    /// Makes channels for these statistics that do not listen yet.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn new(statistics: Arc<Statistics>) -> io::Result<Channels> {
        Endpoints::new(Http(statistics)).map(Channels)
    }

    /// Listens on exactly these addresses. A failure is only logged, because the server can answer without the channel.
    pub fn listen(&mut self, listeners: Vec<Listener>) {
        self.0.listen(listeners);
    }

    /// Closes all channels.
    pub fn stop(self) {
        self.0.stop();
    }
}

impl Service for Http {
    type Rules = ();

    const THREAD: &'static str = "statistics";
    const WORDS: Words = Words {
        listener: "statistics channel",
        connection: "statistics connection",
        failed: "could not start statistics channel",
    };
    const SEATS: u32 = 16;

    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, _: Arc<ArcSwap<Listener>>) {
        match timeout(TOTAL_TIME, converse(stream, &self.0)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(target: "general", "statistics connection from {peer}: {error}"),
            Err(_) => debug!(target: "general", "statistics connection from {peer}: it took too long"),
        }
    }
}

async fn converse(stream: TcpStream, statistics: &Statistics) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(request.method(), request.uri().path(), statistics);
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
            let status = if report.unready().is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
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

/// Ready means that loading has been attempted for every zone, and that zones have come from other servers. A zone that
/// cannot be served does not make the server unready for long, and a configuration that cannot be used does not either; both are listed.
fn readiness(report: &Report) -> String {
    let head = report.unready().map_or_else(|| "ready".to_owned(), |why| format!("not ready: {why}"));
    if !report.is_loaded() {
        return head + "\n";
    }
    let Configuration { hash, file_hash, refused } = &*report.configuration;
    let mut text = format!("{head}\nconfiguration {hash}\nnamed.conf {file_hash}\n");
    // Writing to a String cannot fail.
    if let Some(Refused { file_hash, why }) = refused {
        let _ = writeln!(text, "refused {}: {why}", file_hash.as_deref().unwrap_or("unreadable"));
    }
    let (mut zones, mut faulty, mut lines) = (0, 0, String::new());
    for (view, zone) in report.declared() {
        zones += 1;
        let Some(fault) = zone.fault() else { continue };
        faulty += 1;
        if faulty <= MAX_NAMED {
            let of_view = if *view.name == *View::DEFAULT { String::new() } else { format!("/{}", view.name) };
            let _ = writeln!(lines, "zone {}/IN{of_view}: {fault}", zone.name());
        }
    }
    if faulty > MAX_NAMED {
        let _ = writeln!(lines, "and {} more", faulty - MAX_NAMED);
    }
    let _ = write!(text, "{zones} zones, {faulty} of them not served\n{lines}");
    text
}
