//! Answers what `kubectl logs` asks by way of the API server: the kubelet's own API over TLS, of which this is
//! `/containerLogs/NAMESPACE/POD/CONTAINER`. A log has all runs of a container.

use std::{convert::Infallible, fs, io, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, time::sleep};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::node::Node;

/// A log that is read: what is there, and, if it is followed, what comes until the container ends.
struct Reader {
    node: Arc<Node>,
    /// Namespace, Pod and name of the container.
    container: (String, String, String),
    follow: bool,
    /// The last lines only, so many.
    tail: Option<usize>,
    /// Up to where it was read.
    read: Option<usize>,
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How often a log that is followed is read.
const LOOK: Duration = Duration::from_millis(200);

/// Makes connections safe with a certificate and its key, which are files.
pub(crate) fn acceptor((certificate, key): &(PathBuf, PathBuf)) -> Result<TlsAcceptor, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", certificate.display());
    let certificates = CertificateDer::pem_file_iter(certificate).map_err(|error| failed(&error))?;
    let certificates = certificates.collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(&error))?;
    let config =
        ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let config = config.and_then(|config| config.with_no_client_auth().with_single_cert(certificates, key));
    Ok(TlsAcceptor::from(Arc::new(config.map_err(|error| failed(&error))?)))
}

/// Answers until the process ends.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let (node, acceptor) = (Arc::clone(&node), acceptor.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let answer = service_fn(|request: Request<Incoming>| {
                let response = respond(&node, request.uri().path(), request.uri().query().unwrap_or_default());
                async move { Ok::<_, Infallible>(response) }
            });
            // Who asks may go at any time.
            let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn respond(node: &Arc<Node>, path: &str, query: &str) -> Response<Body> {
    let refuse = |status: StatusCode, why: String| {
        let mut response = Response::new(Full::new(Bytes::from(why)).map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = status;
        response
    };
    let ["", "containerLogs", namespace, pod, container] = path.split('/').collect::<Vec<_>>()[..] else {
        let why = "this Node has logs only: no exec, attach or port-forward\n";
        return refuse(StatusCode::NOT_IMPLEMENTED, why.into());
    };
    let container = (namespace.to_owned(), pod.to_owned(), container.to_owned());
    let mut reader = Reader { node: Arc::clone(node), container, follow: false, tail: None, read: None };
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (name, value.parse()) {
            ("follow", _) => reader.follow = value == "true",
            ("tailLines", Ok(lines)) => reader.tail = Some(lines),
            _ => {
                let why = format!("a log has all runs and no times: this Node does not take {name}={value}\n");
                return refuse(StatusCode::BAD_REQUEST, why);
            }
        }
    }
    let text = stream::unfold(reader, Reader::next).map(|text| Ok(Frame::data(text)));
    Response::new(StreamBody::new(text).boxed_unsync())
}

impl Reader {
    /// What is to be sent next; `None` at the end.
    async fn next(mut self) -> Option<(Bytes, Reader)> {
        loop {
            // What has ended writes nothing after this.
            let runs =
                self.node.processes.lock().expect("nothing panics while it is held").contains_key(&self.container);
            let text = fs::read(self.node.log(&self.container)).unwrap_or_default();
            let from = self.read.unwrap_or_else(|| self.tail.map_or(0, |lines| start_of_last(&text, lines)));
            let is_first = self.read.replace(text.len()).is_none();
            let new = text.get(from..).filter(|new| !new.is_empty() && (is_first || self.follow));
            if let Some(new) = new {
                return Some((Bytes::copy_from_slice(new), self));
            }
            if !self.follow || !runs {
                return None;
            }
            sleep(LOOK).await;
        }
    }
}

/// Where the last so many lines begin.
fn start_of_last(text: &[u8], lines: usize) -> usize {
    let ends = text.iter().enumerate().rev().filter(|(at, octet)| **octet == b'\n' && at + 1 < text.len());
    if lines == 0 { text.len() } else { ends.map(|(at, _)| at + 1).nth(lines - 1).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_log_are_found() {
        let last = |text: &'static str, lines| &text[start_of_last(text.as_bytes(), lines)..];
        assert_eq!(last("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last("a\nb\nc", 1), "c");
        assert_eq!(last("a\n", 7), "a\n");
        assert_eq!((last("a\n", 0), last("", 1)), ("", ""));
    }
}
