//! Programs that people use with BIND, at the address of a server's Service: each says and does there what it says and does
//! with `named`, and the zones become the same (tests/clients).

use std::{fmt::Write as _, net::SocketAddr, process::Command};

use crate::running::Running;

/// The keys that clients have, as tests/clients/testbed.py knows them: names and secrets.
const KEYS: [(&str, &str, &str); 3] = [
    ("writer", "hmac-sha256", "d3JpdGVyIHdyaXRlciB3cml0ZXIgd3JpdGVyIHdyaXQ="),
    ("acme", "hmac-sha512", "YWNtZSBhY21lIGFjbWUgYWNtZSBhY21lIGFjbWUgYWM="),
    ("observer", "hmac-sha256", "b2JzZXJ2ZXIgb2JzZXJ2ZXIgb2JzZXJ2ZXIgb2JzZXI="),
];

const WRITER: &str = "{ key: { namespace: dns-system, name: writer }, match: ZoneSub, types: [ANY] }";
const ACME: &str = "{ key: { namespace: dns-system, name: acme }, match: Name, name: _acme-challenge, types: [TXT] }";

/// The servers, and the zones that testbed.py has; no server is asked for a zone with the clients' own keys.
fn manifest() -> String {
    let mut text = "\
apiVersion: bindy.firestoned.io/v1beta1
kind: Bind9Cluster
metadata: { name: ns, namespace: dns-system }
spec:
  global: { rateLimit: { responsesPerSecond: 0 } }
  primary: { replicas: 1 }
  secondary: { replicas: 1 }
---
apiVersion: bindy.firestoned.io/v1beta1
kind: ARecord
metadata: { name: ns, namespace: dns-system, labels: { zone: example.test } }
spec: { name: ns, ipv4Addresses: [192.0.2.53], ttl: 300 }
---
apiVersion: bindy.firestoned.io/v1beta1
kind: ARecord
metadata: { name: www, namespace: dns-system, labels: { zone: example.test } }
spec: { name: www, ipv4Addresses: [192.0.2.80], ttl: 300 }
"
    .to_owned();
    for (zone, rules) in [
        ("example.test", [WRITER, ACME].join(", ")),
        ("2.0.192.in-addr.arpa", WRITER.into()),
        ("fixed.test", String::new()),
    ] {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\
---
apiVersion: bindy.firestoned.io/v1beta1
kind: DNSZone
metadata: {{ name: {zone}, namespace: dns-system }}
spec:
  zoneName: {zone}
  clusterRef: ns
  ttl: 300
  soaRecord:
    {{ primaryNs: ns.example.test., adminEmail: hostmaster.{zone}., serial: 1, refresh: 3600, retry: 900, expire: 604800,
      negativeTtl: 60 }}
  recordsFrom: [{{ selector: {{ matchLabels: {{ zone: {zone} }} }} }}]
  dynamic:
    rules: [{rules}]
    allowTransfer: [{{ namespace: dns-system, name: writer }}, {{ namespace: dns-system, name: observer }}]
"
        );
    }
    for (name, algorithm, secret) in KEYS {
        let _ = write!(
            text,
            "\
---
apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: dns-system
  labels: {{ app.kubernetes.io/part-of: bindy, bindy.firestoned.io/key: client }}
  annotations: {{ bindy.firestoned.io/allow-zone-namespaces: dns-system }}
stringData: {{ algorithm: {algorithm}, secret: {secret} }}
"
        );
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_meet_at_a_service_what_they_meet_with_named() {
    let running = Running::start().await;
    running.cluster.apply(&manifest());
    running.cluster.until("the zones are ready", || {
        ["example.test", "2.0.192.in-addr.arpa", "fixed.test"]
            .iter()
            .all(|zone| running.is_ready(&format!("dnszone/{zone}")))
    });
    let address = running.field("service/ns-secondary-0", ".spec.clusterIP");
    let address = SocketAddr::new(address.parse().expect("a Service has an address"), 53);
    let port = running.cluster.node().forward(address).port().to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/test-clients");
    let ran = Command::new(script).args(["--port", &port, "external_dns", "lego", "certbot"]).output();
    let ran = ran.unwrap_or_else(|error| panic!("{script}: {error}"));
    let told = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(ran.status.success(), "{told}");
    assert!(told.contains("3 passed, 0 failed"), "{told}");
}
