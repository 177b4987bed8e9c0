//! What clients write by DNS UPDATE at a server's address, stored in the cluster before it is acknowledged.

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bindy_tests::{
    tsig::Key,
    update::{Line, message},
};
use data_encoding::BASE64;
use http::Request;
use serde_json::json;
use zonefmt::Name;

use super::{Bench, NAMESPACE, until};

/// A client and its socket.
struct Writer {
    socket: UdpSocket,
    key: Key,
    id: u16,
}

/// How many clients write at a time.
const WRITERS: usize = 16;
/// How many names a client writes in turn.
const NAMES: u32 = 64;
/// How long a client waits for an answer until it asks again.
const PATIENCE: Duration = Duration::from_secs(5);
const SECRET: &[u8] = b"a secret of thirty-two octets...";

impl Bench {
    /// Has one client write `alone` times, and then several together, `all` times.
    pub(super) async fn updates(&self, alone: u32, all: u32) {
        self.cluster.apply(&key());
        let rules = json!([{ "key": { "namespace": NAMESPACE, "name": "bench" }, "match": "ZoneSub" }]);
        let patch = json!({ "spec": { "dynamic": { "rules": rules } } }).to_string();
        self.cluster.done(&["patch", "dnszone/example-com", "-n", NAMESPACE, "--type=merge", "-p", &patch]);
        let address = self.address(super::SERVERS[0]);
        until("updates are taken", || self.writer(address).write("first", 0) == Some(0));

        let mut writer = self.writer(address);
        let mut times: Vec<Duration> = (0..alone).map(|number| self.one(&mut writer, number)).collect();
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
        println!(
            "{alone} updates by one client: on 5 servers {:.0} ms after they were sent in the median, {:.0} ms at 95 %",
            at(50),
            at(95)
        );

        let (before, octets, requests) = (Instant::now(), self.stored().await, self.requests().await);
        let writers: Vec<Writer> = (0..WRITERS).map(|_| self.writer(address)).collect();
        let each = all / WRITERS as u32;
        let failed: u32 = thread::scope(|scope| {
            let threads: Vec<_> = (writers.into_iter().enumerate())
                .map(|(number, mut writer)| {
                    scope.spawn(move || {
                        let write = |update: u32| writer.write(&format!("w{number}-{}", update % NAMES), update);
                        (0..each).map(write).filter(|rcode| *rcode != Some(0)).count() as u32
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
        });
        let lasted = before.elapsed().as_secs_f64();
        let made = each * WRITERS as u32 - failed;
        println!(
            "{made} updates by {WRITERS} clients: {:.0} a second, {failed} failed; the API server stores {:.1} MB, {:.1} MB \
             before; {:.2} requests an update",
            f64::from(made) / lasted,
            self.stored().await / 1e6,
            octets / 1e6,
            (self.requests().await - requests) / f64::from(made),
        );
        for (role, usage) in self.operators() {
            println!("  {role}: {} MiB", usage.resident_mib);
        }
    }

    /// The time from when an update is sent until every server answers it.
    fn one(&self, writer: &mut Writer, number: u32) -> Duration {
        let (name, sent) = (format!("alone-{number}"), Instant::now());
        assert_eq!(writer.write(&name, number), Some(0), "an update fails");
        let name = format!("{name}.example.com");
        until("an update is served", || {
            (0..self.servers.len()).all(|server| self.ask(server, &name, 16).is_some_and(|answer| answer[7] == 1))
        });
        sent.elapsed()
    }

    fn writer(&self, address: SocketAddr) -> Writer {
        let socket = self.cluster.node().udp(address).expect("the Node makes sockets");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time that is not zero");
        Writer { socket, key: Key::new("bench", SECRET), id: 0 }
    }

    /// How many octets the API server has stored.
    async fn stored(&self) -> f64 {
        let metrics = self.client.request_text(Request::get("/metrics").body(Vec::new()).expect("it is one")).await;
        let metrics = metrics.expect("the administrator may see them");
        let size = metrics.lines().filter(|line| line.starts_with("apiserver_storage_size_bytes{"));
        size.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Writer {
    /// Replaces the text of a name; returns the code of the answer, if one comes.
    fn write(&mut self, name: &str, number: u32) -> Option<u8> {
        let zone = Name::from_ascii("example.com").expect("it is a name");
        let lines = [format!("delete {name} TXT"), format!("add {name} 60 TXT {number}")];
        let lines = lines.map(|line| Line::read(&line, zone.as_ref()));
        self.id = self.id.wrapping_add(1);
        let mut request = message(&zone, self.id, &lines);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set").as_secs();
        self.key.sign(&mut request, now, 32);
        self.socket.send(&request).ok()?;
        let mut answer = [0; 512];
        loop {
            let length = self.socket.recv(&mut answer).ok()?;
            // What comes late was an answer to an earlier one.
            if length >= 12 && answer[..2] == self.id.to_be_bytes() {
                return Some(answer[3] & 15);
            }
        }
    }
}

/// The Secret of the clients' key.
fn key() -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": "bench", "namespace": NAMESPACE,
            "labels": { "app.kubernetes.io/part-of": "bindy", "bindy.firestoned.io/key": "client" },
            "annotations": { "bindy.firestoned.io/allow-zone-namespaces": "*" },
        },
        "stringData": { "key-name": "bench", "algorithm": "hmac-sha256", "secret": BASE64.encode(SECRET) },
    })
    .to_string()
}
