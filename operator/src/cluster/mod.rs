//! The cluster as programs see it: what there is, by watching (`watch`, `store`), and what is to be, by server-side apply
//! (`apply`). `reach` says how much of it that is.

mod apply;
mod reach;
mod read;
mod store;
mod watch;

pub use apply::{Applier, Failure, differs};
pub use reach::{Namespaces, client};
pub use read::resource;
pub use store::{Seen, Store, Text};
pub(crate) use watch::stored;
pub use watch::{Batch, Watched, Watches};

use std::future::pending;

use kube::{Api, Client, core::DynamicObject};

use tokio::signal::unix::{SignalKind, signal};

use crate::object::Type;

/// The objects of a type in a namespace; an empty one stands for all.
pub(crate) fn collection(client: &Client, of: Type, namespace: &str) -> Api<DynamicObject> {
    let (client, resource) = (client.clone(), of.resource());
    if namespace.is_empty() {
        Api::all_with(client, &resource)
    } else {
        Api::namespaced_with(client, namespace, &resource)
    }
}

/// What an API server says of a request that it refuses; of one that fails otherwise, how.
pub(crate) fn why(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        error => error.to_string(),
    }
}

/// Waits for SIGINT or SIGTERM.
pub(crate) async fn terminated() {
    let wait = async |kind| match signal(kind) {
        Ok(mut signals) => drop(signals.recv().await),
        // Then the signal ends the process by itself.
        Err(_) => pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
    }
}
