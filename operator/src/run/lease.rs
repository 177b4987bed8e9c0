//! The Lease by which one process at a time leads. It has a client and a task of its own, so that a flood of other requests
//! never delays a renewal.

use std::{env, future::pending, time::Duration};

use kube::{
    Client,
    api::{DynamicObject, PostParams},
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{
    cluster::collection,
    object::{Object, ObjectId, Type},
};

/// Whether this process leads, from now to then.
pub(super) struct Leadership {
    standing: watch::Receiver<bool>,
    orders: watch::Sender<Order>,
    contender: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Contend,
    /// Let the next one have the Lease, and try again.
    Resign,
    /// Let the next one have it for good.
    Withdraw,
}

impl Leadership {
    /// Tries to have the Lease that the environment names; if there is to be none, this process leads.
    pub(super) fn seek(client: Client, namespace: &str) -> Leadership {
        let (orders, ordered) = watch::channel(Order::Contend);
        let lease = Lease::from_environment(client, namespace);
        let (stands, standing) = watch::channel(lease.is_none());
        let contender = match lease {
            Some(lease) => tokio::spawn(lease.contend(stands, ordered)),
            None => tokio::spawn(lead_alone(stands, ordered)),
        };
        Leadership { standing, orders, contender: Some(contender) }
    }

    /// Waits until it has changed whether this process leads.
    pub(super) async fn changed(&mut self) -> bool {
        if self.standing.changed().await.is_err() {
            // Nobody contends any more.
            pending::<()>().await;
        }
        *self.standing.borrow_and_update()
    }

    /// Whether this process leads.
    pub(super) fn stands(&mut self) -> bool {
        *self.standing.borrow_and_update()
    }

    /// Lets another process lead, and waits for the next time.
    pub(super) fn resign(&self) {
        self.orders.send_replace(Order::Resign);
    }

    /// Lets another process lead, for good.
    pub(super) async fn withdraw(&mut self) {
        self.orders.send_replace(Order::Withdraw);
        if let Some(contender) = self.contender.take() {
            // Whatever has become of it, it has ended.
            let _ = contender.await;
        }
    }
}

/// A Lease that this process has, or wants.
struct Lease {
    client: Client,
    id: ObjectId,
    /// Who this process is.
    holder: String,
    times: Times,
}

#[derive(Clone, Copy)]
struct Times {
    /// How long the Lease holds without renewal.
    duration: Duration,
    /// How long a renewal may fail until this process gives up; less than `duration`.
    deadline: Duration,
    /// How often it is renewed, or tried to get.
    retry: Duration,
}

impl Lease {
    /// Tries to have the Lease, and keeps it, until it is told to withdraw.
    async fn contend(self, stands: watch::Sender<bool>, mut orders: watch::Receiver<Order>) {
        let mut order = Order::Contend;
        while order != Order::Withdraw {
            let since = tokio::select! {
                since = self.acquire() => since,
                next = ordered(&mut orders) => {
                    order = next;
                    continue;
                }
            };
            stands.send_replace(true);
            tokio::select! {
                () = self.keep(since) => {}
                next = ordered(&mut orders) => order = next,
            }
            stands.send_replace(false);
            // If it fails, the Lease runs out.
            let _ = timeout(self.times.retry, self.release()).await;
            if order == Order::Resign {
                // Somebody else goes first.
                sleep(self.times.retry * 2).await;
            }
        }
    }

    /// The Lease that the environment names; `None` if there is to be none.
    fn from_environment(client: Client, namespace: &str) -> Option<Lease> {
        let said = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
        if said("BINDY_ENABLE_LEADER_ELECTION").as_deref() == Some("false") {
            return None;
        }
        let seconds = |name: &str, default| {
            let seconds = said(name).and_then(|text| text.parse().ok()).filter(|seconds| (1..=3600).contains(seconds));
            Duration::from_secs(seconds.unwrap_or(default))
        };
        let duration = seconds("BINDY_LEASE_DURATION_SECONDS", 15);
        let times = Times {
            duration,
            deadline: seconds("BINDY_LEASE_RENEW_DEADLINE_SECONDS", 10).min(duration * 2 / 3),
            retry: seconds("BINDY_LEASE_RETRY_PERIOD_SECONDS", 2).min(duration / 3),
        };
        let id = ObjectId {
            of: Type::Lease,
            namespace: said("BINDY_LEASE_NAMESPACE").unwrap_or_else(|| namespace.to_owned()),
            name: said("BINDY_LEASE_NAME").unwrap_or_else(|| "bindy-leader".into()),
        };
        // Two processes of one pod are different holders, too.
        let chance = getrandom::u32().unwrap_or_else(|_| std::process::id());
        let holder = format!("{}_{chance:08x}", said("POD_NAME").unwrap_or_else(|| "bindy".into()));
        Some(Lease { client, id, holder, times })
    }

    /// Waits until this process has the Lease; returns since when at the earliest.
    async fn acquire(&self) -> Instant {
        // Clocks of machines differ, so a Lease has run out when it was not renewed for so long here.
        let mut seen: Option<(Value, Instant)> = None;
        loop {
            let asked = Instant::now();
            // A request that nobody answers must not hold up the next one.
            if let Ok(Ok(true)) = timeout(self.times.deadline, self.take(&mut seen)).await {
                return asked;
            }
            sleep(self.times.retry).await;
        }
    }

    /// Takes the Lease if it is free, or has run out since it was `seen` as it is. Returns whether this process has it.
    async fn take(&self, seen: &mut Option<(Value, Instant)>) -> kube::Result<bool> {
        let lease = collection(&self.client, Type::Lease, &self.id.namespace).get_opt(&self.id.name).await?;
        let Some(lease) = lease else { return self.write(None).await };
        let (spec, now) = (lease.data["spec"].clone(), Instant::now());
        let holder = spec["holderIdentity"].as_str().unwrap_or_default();
        // It is this process's if an answer got lost.
        let is_free = holder.is_empty() || holder == self.holder;
        let duration = spec["leaseDurationSeconds"].as_u64().unwrap_or(0);
        let since = match seen {
            Some((known, since)) if *known == spec => *since,
            _ => now,
        };
        *seen = Some((spec, since));
        let has_run_out = now.duration_since(since) >= Duration::from_secs(duration.min(3600));
        if is_free || has_run_out { self.write(Some(&lease)).await } else { Ok(false) }
    }

    /// Renews the Lease, which was written `since` then, until it is lost. An answer may come late, so that what counts is
    /// when it was asked for.
    async fn keep(&self, mut since: Instant) {
        loop {
            sleep(self.times.retry).await;
            let renewed = timeout_at(since + self.times.deadline, async {
                loop {
                    let asked = Instant::now();
                    match collection(&self.client, Type::Lease, &self.id.namespace).get_opt(&self.id.name).await {
                        Ok(Some(lease)) if lease.data["spec"]["holderIdentity"] != json!(self.holder) => return None,
                        Ok(lease) if matches!(self.write(lease.as_ref()).await, Ok(true)) => return Some(asked),
                        _ => sleep(self.times.retry / 4).await,
                    }
                }
            });
            let Ok(Some(asked)) = renewed.await else { return };
            since = asked;
        }
    }

    /// Lets the next one have it at once.
    async fn release(&self) {
        let leases = collection(&self.client, Type::Lease, &self.id.namespace);
        let Ok(Some(mut lease)) = leases.get_opt(&self.id.name).await else { return };
        if lease.data["spec"]["holderIdentity"] == json!(self.holder) {
            lease.data["spec"]["holderIdentity"] = json!("");
            // Nobody could do anything about it.
            let _ = leases.replace(&self.id.name, &PostParams::default(), &lease).await;
        }
    }

    /// Writes that this process has the Lease, in place of what was read; `false` if another was quicker.
    async fn write(&self, before: Option<&DynamicObject>) -> kube::Result<bool> {
        let leases = collection(&self.client, Type::Lease, &self.id.namespace);
        let now = jiff::Timestamp::now();
        let written = format!("{now:.6}");
        let old = before.map(|lease| lease.data["spec"].clone()).unwrap_or_default();
        let was_ours = old["holderIdentity"] == json!(self.holder);
        let transitions = old["leaseTransitions"].as_u64().unwrap_or(0);
        let spec = json!({
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.times.duration.as_secs(),
            "acquireTime": if was_ours { old["acquireTime"].clone() } else { json!(written) },
            "renewTime": written,
            "leaseTransitions": if was_ours { transitions } else { transitions + 1 },
        });
        let outcome = if let Some(before) = before {
            let mut lease = before.clone();
            lease.data["spec"] = spec;
            leases.replace(&self.id.name, &PostParams::default(), &lease).await
        } else {
            let lease = Object::new(self.id.clone(), json!({}), json!({ "spec": spec }));
            let lease = serde_json::from_value(lease.body).map_err(kube::Error::SerdeError)?;
            leases.create(&PostParams::default(), &lease).await
        };
        match outcome {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Leads without a Lease; whoever resigns begins anew after a pause, as nobody else would.
async fn lead_alone(stands: watch::Sender<bool>, mut orders: watch::Receiver<Order>) {
    const PAUSE: Duration = Duration::from_secs(2);
    while ordered(&mut orders).await != Order::Withdraw {
        stands.send_replace(false);
        sleep(PAUSE).await;
        stands.send_replace(true);
    }
}

/// Waits for the next order.
async fn ordered(orders: &mut watch::Receiver<Order>) -> Order {
    match orders.changed().await {
        Ok(()) => *orders.borrow_and_update(),
        // Who gave them is gone.
        Err(_) => Order::Withdraw,
    }
}
