//! Asks pods at `/readyz` which `named.conf` they have in effect, and whether they have refused a later one.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::rounds::{Ask, Reply};
use crate::object::ObjectId;

/// The question which configuration a pod has in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfigQuestion {
    pub(super) pod: ObjectId,
    /// Where it tells its state.
    pub(super) at: SocketAddr,
}

/// What a pod tells of its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The SHA-256, in hexadecimal, of the `named.conf` that is in effect, and what was refused since.
    Config { hash: String, refused: Option<Refused> },
    /// Nothing: it is another server than ours.
    Nothing,
}

/// A configuration that a pod refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// The hash of its `named.conf`; `None` if that could not be read.
    pub(super) hash: Option<String>,
    /// What is wrong with it.
    pub(super) why: String,
}

/// How long a pod may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most octets of an answer that are read: the lines that matter are the first.
const MAX_ANSWER: u64 = 16 * 1024;
/// The most letters of a message that are passed on.
const MAX_WHY: usize = 1000;

impl Ask for ConfigQuestion {
    type Answer = (ObjectId, Told);

    fn whom(&self) -> SocketAddr {
        self.at
    }

    fn is_same(&self, other: &ConfigQuestion) -> bool {
        self == other
    }

    async fn ask(self) -> Reply<(ObjectId, Told)> {
        match timeout(PATIENCE, fetch(self.at)).await {
            Ok(answer) => match answer.as_deref().and_then(read) {
                Some(told) => Reply::Answer((self.pod, told)),
                None => Reply::Nothing,
            },
            Err(_) => Reply::Silence,
        }
    }
}

async fn fetch(at: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(at).await.ok()?;
    // Servers answer this version without chunks.
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {at}\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await.ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// What an answer tells; `None` if nothing yet.
fn read(answer: &str) -> Option<Told> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.") {
        return None;
    }
    let line = |word: &str| body.lines().find_map(|line| line.strip_prefix(word));
    let Some(hash) = line("named.conf ") else {
        // While it loads its zones it tells nothing.
        return (!body.starts_with("not ready")).then_some(Told::Nothing);
    };
    let refused = line("refused ").and_then(|line| line.split_once(": ")).map(|(hash, why)| Refused {
        hash: (hash != "unreadable").then(|| hash.to_owned()),
        why: why.chars().take(MAX_WHY).collect(),
    });
    Some(Told::Config { hash: hash.to_owned(), refused })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pods_tell_is_read() {
        let told = |body: &str| read(&format!("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n{body}"));
        let config = |hash: &str, refused| Some(Told::Config { hash: hash.into(), refused });
        assert_eq!(told("ready\nconfiguration ab\nnamed.conf cd\n3 zones\n"), config("cd", None));
        assert_eq!(told("not ready: shutting down\nconfiguration ab\nnamed.conf cd\n"), config("cd", None));
        let refused =
            |hash: Option<&str>| Some(Refused { hash: hash.map(Into::into), why: "f:1:2: error: a: b".into() });
        assert_eq!(told("ready\nnamed.conf cd\nrefused ef: f:1:2: error: a: b\n"), config("cd", refused(Some("ef"))));
        assert_eq!(told("ready\nnamed.conf cd\nrefused unreadable: f:1:2: error: a: b\n"), config("cd", refused(None)));
        assert_eq!(told("not ready: zones are being loaded\n"), None);
        assert_eq!(told("No such URL.\n"), Some(Told::Nothing));
        assert_eq!(read("SSH-2.0-x\r\n\r\nnamed.conf cd\n"), None);
        assert_eq!(read("HTTP/1.0 200 OK\r\n"), None);
    }
}
