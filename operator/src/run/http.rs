//! What monitoring systems and kubelets ask this process: `/healthz`, whether it works; `/readyz`, whether it has seen
//! everything there is; `/metrics`, its figures in the form of OpenMetrics.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};

use crate::{keys::Purpose, terminal::say};

/// What the process tells of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// Whether every type was listed.
    pub(super) is_ready: bool,
    pub(super) leads: bool,
    /// How many zones resources make, whether servers have them or not.
    pub(super) zones: u64,
    /// How many resources there are, by kind.
    pub(super) resources: Vec<(&'static str, u64)>,
    /// How many zones wait because much of them would go.
    pub(super) held: u64,
    /// How many servers keep zones that they are not to have any more, because many would go.
    pub(super) keeping: u64,
    /// How many zones some server does not serve in their newest version.
    pub(super) behind: u64,
    /// How many versions of zones this process has begun to serve.
    pub(super) published: u64,
    /// How many resources have a status that is to be looked at or written.
    pub(super) waiting: u64,
    /// How many objects could not be applied when it was last tried.
    pub(super) failed: u64,
    /// The keys that are replaced.
    pub(super) keys: Vec<(Purpose, Vec<KeyFigures>)>,
}

/// The figures of a key.
#[derive(Clone, Debug)]
pub(super) struct KeyFigures {
    /// Whose it is.
    pub(super) labels: [(&'static str, String); 2],
    /// For how many seconds it is used.
    pub(super) age: i64,
    /// When it is to be replaced, in seconds since 1970, if that is known.
    pub(super) next: Option<i64>,
    /// How often it was replaced.
    pub(super) replaced: u64,
    /// Whether it should have been replaced long ago.
    pub(super) is_overdue: bool,
}

/// The name, the meaning and the value of a gauge of a key.
type KeyGauge = (&'static str, &'static str, fn(&KeyFigures) -> Option<i64>);

/// Where the figures are.
#[derive(Clone, Default)]
pub(super) struct Board(Arc<Mutex<Figures>>);

/// How many connections are served at a time; others wait.
const MOST: usize = 16;
/// How long one may last.
const PATIENCE: Duration = Duration::from_secs(10);

impl Board {
    /// Puts newer figures in place of those that there are.
    pub(super) fn show(&self, figures: Figures) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }

    fn figures(&self) -> Figures {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves the board until the process ends. If the address cannot be listened on, only that is told.
pub(super) async fn serve(address: SocketAddr, board: Board) {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            say(&format!(
                "No metrics: cannot listen on {address}: {error}; `--http ADDR:PORT` chooses another address."
            ));
            return;
        }
    };
    let seats = Arc::new(Semaphore::new(MOST));
    loop {
        // It is never closed.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // As with too many open files: it may be better later.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let board = board.clone();
        tokio::spawn(async move {
            // Who does not get an answer asks again.
            let _ = timeout(PATIENCE, converse(stream, &board)).await;
            drop(seat);
        });
    }
}

async fn converse(stream: TcpStream, board: &Board) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(request.method(), request.uri().path(), &board.figures());
        async move { Ok::<_, Infallible>(response) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    http.serve_connection(TokioIo::new(stream), service).await
}

fn respond(method: &Method, path: &str, figures: &Figures) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain";
    if method != Method::GET && method != Method::HEAD {
        return told(StatusCode::METHOD_NOT_ALLOWED, TEXT, "This takes GET only.\n".into());
    }
    match path {
        "/healthz" => told(StatusCode::OK, TEXT, "ok\n".into()),
        "/readyz" if figures.is_ready => told(StatusCode::OK, TEXT, "ready\n".into()),
        "/readyz" => {
            let why = "not every type is listed yet; the log says what is forbidden or fails\n";
            told(StatusCode::SERVICE_UNAVAILABLE, TEXT, why.into())
        }
        "/metrics" => {
            told(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", figures.metrics())
        }
        _ => told(StatusCode::NOT_FOUND, TEXT, "There are /healthz, /readyz and /metrics.\n".into()),
    }
}

fn told(status: StatusCode, content: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response
}

impl Figures {
    /// The figures in the form of OpenMetrics.
    fn metrics(&self) -> String {
        let mut text = String::new();
        let mut registry = Registry::with_prefix("bindy_firestoned_io");
        let figures = self.clone();
        registry.register_collector(Box::new(figures));
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

impl prometheus_client::collector::Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let gauges = [
            ("leader_status", "1 if this process leads, 0 if it follows", u64::from(self.leads)),
            ("zones", "Zones that DNSZones make, whether servers have them or not", self.zones),
            ("zones_held", "Zones whose newest version waits, as much of them would go", self.held),
            ("servers_held", "Servers that keep zones they are not to have, as many would go", self.keeping),
            ("zones_behind", "Zones that some server does not serve in their newest version", self.behind),
            ("status_waiting", "Resources whose status is to be looked at or written", self.waiting),
            ("objects_failed", "Objects that could not be applied when last tried", self.failed),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value.cast_signed());
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let mut family =
            encoder.encode_descriptor("resources_active", "Resources that there are", None, MetricType::Gauge)?;
        for &(kind, count) in &self.resources {
            let labels = [("resource_type", kind)];
            ConstGauge::new(count.cast_signed()).encode(family.encode_family(&labels)?)?;
        }
        let of_keys: [KeyGauge; 3] = [
            ("key_age_seconds", "For how long the key is used", |key| Some(key.age)),
            ("key_next_rotation_timestamp_seconds", "When the key is to be replaced", |key| key.next),
            ("key_rotation_overdue", "1 if the key should have been replaced over an hour ago", |key| {
                Some(i64::from(key.is_overdue))
            }),
        ];
        for (purpose, keys) in &self.keys {
            let prefix = purpose.word().to_lowercase();
            for (name, help, value) in of_keys {
                let name = format!("{prefix}_{name}");
                let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
                for key in keys {
                    if let Some(value) = value(key) {
                        ConstGauge::new(value).encode(family.encode_family(&key.labels)?)?;
                    }
                }
            }
            let (name, help) = (format!("{prefix}_key_rotations"), "How often the key was replaced");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            for key in keys {
                ConstCounter::new(key.replaced).encode(family.encode_family(&key.labels)?)?;
            }
        }
        let counter = ConstCounter::new(self.published);
        counter.encode(encoder.encode_descriptor(
            "publications",
            "Versions of zones that this process has begun to serve",
            None,
            MetricType::Counter,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_once_it_has_seen_everything() {
        let asked = |path, figures: &Figures| respond(&Method::GET, path, figures).status();
        let mut figures = Figures::default();
        assert_eq!(asked("/healthz", &figures), StatusCode::OK);
        assert_eq!(asked("/readyz", &figures), StatusCode::SERVICE_UNAVAILABLE);
        figures.is_ready = true;
        assert_eq!(asked("/readyz", &figures), StatusCode::OK);
        assert_eq!(asked("/", &figures), StatusCode::NOT_FOUND);
        assert_eq!(respond(&Method::POST, "/metrics", &figures).status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn the_figures_are_open_metrics() {
        let key = KeyFigures {
            labels: [("namespace", "dns".into()), ("instance", "a".into())],
            age: 60,
            next: None,
            replaced: 2,
            is_overdue: true,
        };
        let figures = Figures {
            leads: true,
            resources: vec![("ARecord", 7)],
            published: 3,
            held: 1,
            keeping: 2,
            keys: vec![(Purpose::Control, vec![key])],
            ..Figures::default()
        };
        let text = figures.metrics();
        for line in [
            "bindy_firestoned_io_leader_status 1",
            "bindy_firestoned_io_resources_active{resource_type=\"ARecord\"} 7",
            "bindy_firestoned_io_publications_total 3",
            "bindy_firestoned_io_zones_held 1",
            "bindy_firestoned_io_servers_held 2",
            "bindy_firestoned_io_rndc_key_age_seconds{namespace=\"dns\",instance=\"a\"} 60",
            "bindy_firestoned_io_rndc_key_rotation_overdue{namespace=\"dns\",instance=\"a\"} 1",
            "bindy_firestoned_io_rndc_key_rotations_total{namespace=\"dns\",instance=\"a\"} 2",
            "# EOF",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }
}
