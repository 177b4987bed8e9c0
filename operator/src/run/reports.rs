//! Tells people what has become of their resources, by writing status beside the operator's work: nothing that is served
//! ever waits for what is said of it. A status is written only if it differs from what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::{Instant, sleep_until},
};
use zonefmt::Name;

use super::{events, status::Due};
use crate::{
    api::ResourceId,
    cluster::{Text, api, differs, stored},
    object::{ObjectId, Type},
};

/// The resources whose status may not be what it is to be.
pub(super) struct Reports {
    /// Those to be looked at.
    now: BTreeSet<ResourceId>,
    /// Those to be looked at in a while.
    later: BTreeSet<ResourceId>,
    /// Those to be looked at when servers have answered for a zone.
    once: BTreeMap<Name, BTreeSet<ResourceId>>,
    /// Those of which a status is being written, and whether they are to be looked at after that.
    writing: BTreeMap<ResourceId, bool>,
    queue: UnboundedSender<Report>,
    outcomes: UnboundedReceiver<Outcome>,
    /// What has come of the next batch.
    batch: Vec<Outcome>,
    /// When the batch is complete.
    complete: Option<Instant>,
}

/// A status to be written.
struct Report {
    id: ResourceId,
    /// The object, as it was seen last.
    live: Value,
    status: Value,
}

/// What has become of a report.
pub(super) struct Outcome {
    pub(super) id: ResourceId,
    /// The object as it was.
    pub(super) before: Text,
    /// The object as it is now, if the status was written.
    pub(super) after: Option<Text>,
}

/// How many writes are under way at a time. More would only make those wait by which zones are published.
const AT_A_TIME: usize = 16;
/// How many wait for that, so that what is written is not old.
const MOST: usize = 128;
/// How long to collect what was written before it is taken over.
const PATIENCE: Duration = Duration::from_millis(10);

impl Reports {
    /// Nothing is to be told yet. Events say that this one, `by`, tells it.
    pub(super) fn start(client: Client, by: &str) -> Reports {
        let (queue, reports) = mpsc::unbounded_channel();
        let (sender, outcomes) = mpsc::unbounded_channel();
        tokio::spawn(write_all(client, by.to_owned(), reports, sender));
        Reports {
            now: BTreeSet::new(),
            later: BTreeSet::new(),
            once: BTreeMap::new(),
            writing: BTreeMap::new(),
            queue,
            outcomes,
            batch: Vec::new(),
            complete: None,
        }
    }

    /// There may be something new to be said of these.
    pub(super) fn look_at(&mut self, ids: impl IntoIterator<Item = ResourceId>) {
        for id in ids {
            match self.writing.get_mut(&id) {
                Some(again) => *again = true,
                None => drop(self.now.insert(id)),
            }
        }
    }

    /// Servers have answered for a zone.
    pub(super) fn heard_of(&mut self, zone: &Name) {
        if let Some(ids) = self.once.remove(zone) {
            self.look_at(ids);
        }
    }

    /// Some time has passed.
    pub(super) fn retry(&mut self) {
        let later = mem::take(&mut self.later);
        self.look_at(later);
    }

    /// How many resources this is about.
    pub(super) fn len(&self) -> usize {
        self.now.len() + self.later.len() + self.writing.len() + self.once.values().map(BTreeSet::len).sum::<usize>()
    }

    /// The next resource to be looked at, unless there is enough to be written already.
    pub(super) fn next(&mut self) -> Option<ResourceId> {
        if self.writing.len() < MOST { self.now.pop_first() } else { None }
    }

    /// Says this of a resource, which was seen last as `live`.
    pub(super) fn say(&mut self, id: ResourceId, live: Value, due: Due) {
        let (status, zone) = match due {
            Due::Final(status) => (Some(status), None),
            Due::Until(zone, status) => (Some(status), Some(zone)),
            Due::Once(zone) => (None, Some(zone)),
            Due::Later => {
                self.later.insert(id);
                return;
            }
        };
        if let Some(zone) = zone {
            self.once.entry(zone).or_default().insert(id.clone());
        }
        if let Some(status) = status.filter(|status| differs(&live["status"], status)) {
            self.writing.insert(id.clone(), false);
            // The other end lives as long as this one.
            let _ = self.queue.send(Report { id, live, status });
        }
    }

    /// Waits until something was written, and then a little for more. Nothing is lost if the caller does not wait to the
    /// end.
    pub(super) async fn written(&mut self) -> Option<Vec<Outcome>> {
        if self.batch.is_empty() {
            self.batch.push(self.outcomes.recv().await?);
        }
        sleep_until(*self.complete.get_or_insert_with(|| Instant::now() + PATIENCE)).await;
        self.complete = None;
        while let Ok(outcome) = self.outcomes.try_recv() {
            self.batch.push(outcome);
        }
        Some(mem::take(&mut self.batch))
    }

    /// Takes note of what has become of a report.
    pub(super) fn settle(&mut self, Outcome { id, after, .. }: &Outcome) {
        let again = self.writing.remove(id).unwrap_or_default();
        if again {
            self.now.insert(id.clone());
        } else if after.is_none() {
            // What others wrote meanwhile will have been seen.
            self.later.insert(id.clone());
        }
    }
}

async fn write_all(client: Client, by: String, reports: UnboundedReceiver<Report>, outcomes: UnboundedSender<Outcome>) {
    let written = queued(reports).map(|report| write(&client, &by, report)).buffer_unordered(AT_A_TIME);
    written.for_each(async |outcome| drop(outcomes.send(outcome))).await;
}

fn queued(reports: UnboundedReceiver<Report>) -> impl Stream<Item = Report> {
    stream::unfold(reports, async |mut reports| Some((reports.recv().await?, reports)))
}

async fn write(client: &Client, by: &str, Report { id, live, status }: Report) -> Outcome {
    let key = ObjectId::from(&id);
    let patch = json!({ "metadata": { "resourceVersion": live["metadata"]["resourceVersion"] }, "status": status });
    let objects = api(client, key.of, &key.namespace);
    let before = Text::from(&live);
    let Ok(now) = objects.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(&patch)).await else {
        return Outcome { id, before, after: None };
    };
    if let Some(event) = events::of(&id, &live, &now.data, by, Timestamp::now())
        && let Ok(body) = serde_json::from_value(event.body)
    {
        // The status says it, too.
        let _ = api(client, Type::Event, &event.id.namespace).create(&PostParams::default(), &body).await;
    }
    Outcome { id, before, after: stored(key.of, now).map(|(_, now)| now) }
}
