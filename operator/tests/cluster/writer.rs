//! Somebody who declares records all the time, and remembers which of them the API server has taken.

use std::{net::Ipv4Addr, time::Duration};

use bindy::api::{GROUP, VERSION};
use kube::{
    Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::witness::{a_record, api};

/// The one who writes; ends when this is dropped.
pub struct Writer {
    end: watch::Sender<()>,
    writing: JoinHandle<Vec<Written>>,
}

/// A record that is stored.
#[derive(Clone, Debug)]
pub struct Written {
    /// The resource, and the record's owner below `example.com`.
    pub name: String,
    pub address: Ipv4Addr,
}

/// The time between two records.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a request may take; then it is made again.
const PATIENCE: Duration = Duration::from_secs(2);

impl Writer {
    /// Declares A records in `example.com` from now on, whose names begin with `prefix`.
    pub fn start(client: Client, prefix: &str) -> Writer {
        let (end, ended) = watch::channel(());
        let prefix = prefix.to_owned();
        let writing = tokio::spawn(async move {
            let mut written = Vec::new();
            while ended.has_changed().is_ok() {
                let number = written.len() as u32 + 1;
                let next =
                    Written { name: format!("{prefix}-{number}"), address: Ipv4Addr::from(0x0a00_0000 + number) };
                if matches!(timeout(PATIENCE, write(&client, &next)).await, Ok(true)) {
                    written.push(next);
                }
                sleep(PAUSE).await;
            }
            written
        });
        Writer { end, writing }
    }

    /// Ends it; returns what is stored.
    pub async fn end(self) -> Vec<Written> {
        drop(self.end);
        self.writing.await.expect("it does not panic")
    }
}

/// Declares a record; returns whether it is stored.
async fn write(client: &Client, Written { name, address }: &Written) -> bool {
    let resource = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": a_record().name(),
        "metadata": { "name": name, "namespace": "dns-system", "labels": { "zone": "example" } },
        "spec": { "name": name, "ipv4Addresses": [address] },
    });
    let params = PatchParams::apply("bindy-test").force();
    api(client, a_record()).patch(name, &params, &Patch::Apply(&resource)).await.is_ok()
}
