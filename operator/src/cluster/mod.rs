//! The cluster as programs see it: what there is, by watching (`watch`, `store`), and what is to be, by server-side apply
//! (`apply`). `reach` says how much of it that is.

mod apply;
mod reach;
mod read;
mod store;
mod watch;

pub use apply::{Applier, Failure, differs};
pub use reach::{Namespaces, client};
pub use read::{in_force, is_judged, resource, usable_with};
pub use store::{Seen, Store, Text};
pub(crate) use watch::stored;
pub use watch::{Batch, Unseen, Watched, Watches};

use std::{error::Error, future::pending, iter};

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

/// What an API server says of a request that it refuses; of one that fails otherwise, how, and what caused it.
pub(crate) fn why(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Service(error) => with_causes(&**error),
        error => with_causes(error),
    }
}

/// Of a connection, only the last of the causes says what is the matter.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        // Many an error says its cause itself.
        if !text.contains(&cause) {
            text = text + ": " + &cause;
        }
    }
    text
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use kube::Config;

    use super::*;
    use crate::api::Kind;

    #[tokio::test]
    async fn why_nobody_is_reached_is_told_and_not_only_that() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = Config::new(format!("http://{free}").parse().unwrap());
        let client = Client::try_from(config).unwrap();
        let error = collection(&client, Type::Own(Kind::Zone), "").get("example-com").await.unwrap_err();
        let told = why(&error);
        assert!(told.contains("Connection refused"), "{told}");
        assert_eq!(told.matches("refused").count(), 1, "{told}");
    }

    #[test]
    fn what_is_watched_is_told_by_the_names_of_kubernetes() {
        let all = |of, namespace: &str| Watched::All(of, namespace.into()).to_string();
        assert_eq!(all(Type::Own(Kind::Zone), "team"), "DNSZone in team");
        assert_eq!(all(Type::EndpointSlice, ""), "EndpointSlice");
    }
}
