//! Servers that read keys only at their start.

use std::time::Duration;

use bindy_cluster::Refresh;
use serde_json::json;
use tokio::task::block_in_place;

use super::{Keys, WWW};
use crate::{
    load::Load,
    running::{INSTANCES, Running},
};

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_replaced_for_a_new_key_and_for_the_end_of_the_former_where_that_is_declared() {
    let running = Running::with_example().await;
    let instance = INSTANCES[0];
    running.rotate(&json!({ "autoRotate": true, "rotateAfter": "30d", "strategy": "Restart" }));
    running.cluster.until("it is told when", || !running.note(instance, "rndc-rotate-at").is_empty());
    // No pod hears of another key but those that begin with it.
    running.cluster.node().refresh(Refresh::Within(Duration::from_secs(1_000_000)));
    let pod = || running.newest_address(instance);
    let (first, former) = (running.server(instance), Keys::of(&running, instance));
    let load = Load::start(running.cluster.node(), &running.addresses(&INSTANCES), &[WWW]);
    running.annotate(instance, &[("rndc-rotate", "please")]);
    running.cluster.until("the key is replaced", || running.note(instance, "rndc-rotation-count") == "1");
    let newest = Keys::of(&running, instance);
    let second = running.server(instance);
    assert_ne!(second, first);
    assert!(running.takes(&pod(), &newest) && running.takes(&pod(), &former));

    running.annotate(instance, &[("rndc-rotated-at", "2020-01-01T00:00:00Z")]);
    running.cluster.until("the former key is accepted no more", || {
        running.server(instance) != second && running.takes(&pod(), &newest) && !running.takes(&pod(), &former)
    });
    let path = ".spec.template.metadata.annotations.bindy\\.firestoned\\.io/rndc-rotated-at";
    assert_eq!(running.field(&format!("deployment/{instance}"), path), running.note(instance, "rndc-changed-at"));
    let others = running.field(&format!("deployment/{}", INSTANCES[1]), path);
    assert!(others.is_empty(), "another's pods are not replaced: {others}");
    let report = block_in_place(|| load.end());
    assert!(report.failures.is_empty(), "{report}");
}
