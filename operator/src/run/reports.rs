//! Tells people what has become of their resources, by writing status beside the operator's work: nothing that is served
//! ever waits for what is said of it. A status is written only if it differs from what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender};
use zonefmt::Name;

use super::{events, status::Due};
use crate::{
    api::ResourceId,
    cluster::{Text, collection, differs, stored, why},
    gather::{Bounds, Gather},
    object::ObjectId,
};

/// The resources whose status may not be what it is to be. Each is in one state; those in none are settled.
pub(super) struct Reports {
    states: BTreeMap<ResourceId, State>,
    now: BTreeSet<ResourceId>,
    once: BTreeMap<Name, BTreeSet<ResourceId>>,
    /// How many are being written.
    writing: usize,
    /// Whether writing fails, whatever it is about, so that it is tried again in a while.
    is_stuck: bool,
    queue: UnboundedSender<Report>,
    outcomes: Gather<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// To be looked at.
    Now,
    /// To be looked at in a while.
    Later,
    /// To be looked at when servers have answered for a zone.
    Once(Name),
    /// Its status is being written.
    Writing(Next),
}

/// What follows when a status was written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// To be looked at.
    Now,
    /// To be looked at when servers have answered for a zone.
    Once(Name),
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
    /// The object as it is now.
    pub(super) after: Result<Text, Unwritten>,
}

/// Why a status could not be written.
pub(super) enum Unwritten {
    /// Somebody else has changed the object, or it is gone. That will be seen.
    Changed,
    /// The API server does not take this one.
    Refused(String),
    /// It takes none.
    Away(String),
}

/// How many writes are under way at a time. More would only make those wait by which zones are published.
const AT_A_TIME: usize = 16;
/// How many wait for that, so that what is written is not old.
const MOST: usize = 128;
/// What ends a batch of outcomes.
const BOUNDS: Bounds = Bounds { quiet: Duration::from_millis(10), patience: Duration::from_millis(10), most: MOST };

impl Reports {
    /// Nothing is to be told yet. Events say that this one, `by`, tells it.
    pub(super) fn start(client: Client, by: &str) -> Reports {
        let (queue, reports) = mpsc::unbounded_channel();
        let (sender, outcomes) = mpsc::channel(MOST);
        tokio::spawn(write_all(client, by.to_owned(), reports, sender));
        Reports::new(queue, outcomes)
    }

    fn new(queue: UnboundedSender<Report>, outcomes: Receiver<Outcome>) -> Reports {
        Reports {
            states: BTreeMap::new(),
            now: BTreeSet::new(),
            once: BTreeMap::new(),
            writing: 0,
            is_stuck: false,
            queue,
            outcomes: Gather::new(outcomes, BOUNDS),
        }
    }

    /// There may be something new to be said of these.
    pub(super) fn look_at(&mut self, ids: impl IntoIterator<Item = ResourceId>) {
        for id in ids {
            let is_written = matches!(self.states.get(&id), Some(State::Writing(_)));
            self.put(id, Some(if is_written { State::Writing(Next::Now) } else { State::Now }));
        }
    }

    /// Servers have answered for a zone.
    pub(super) fn heard_of(&mut self, zone: &Name) {
        let ids = self.once.get(zone).cloned().unwrap_or_default();
        self.look_at(ids);
    }

    /// Some time has passed.
    pub(super) fn retry(&mut self) {
        self.is_stuck = false;
        let later = self.states.iter().filter(|(_, state)| **state == State::Later);
        let later: Vec<ResourceId> = later.map(|(id, _)| id.clone()).collect();
        self.look_at(later);
    }

    /// Somebody else tells.
    pub(super) fn clear(&mut self) {
        self.states.clear();
        self.now.clear();
        self.once.clear();
        self.writing = 0;
    }

    /// How many resources this is about.
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// The next resource to be looked at, unless there is enough to be written already.
    pub(super) fn next(&mut self) -> Option<ResourceId> {
        let id = self.now.first().filter(|_| self.writing < MOST && !self.is_stuck)?.clone();
        self.put(id.clone(), None);
        Some(id)
    }

    /// Says this of a resource, which was seen last as `live`.
    pub(super) fn say(&mut self, id: ResourceId, live: Value, due: Due) {
        let (status, zone) = match due {
            Due::Final(status) => (Some(status), None),
            Due::Until(zone, status) => (Some(status), Some(zone)),
            Due::Once(zone) => (None, Some(zone)),
            Due::Later => return self.put(id, Some(State::Later)),
        };
        let Some(status) = status.filter(|status| differs(&live["status"], status)) else {
            return self.put(id, zone.map(State::Once));
        };
        self.put(id.clone(), Some(State::Writing(zone.map_or(Next::Nothing, Next::Once))));
        // The other end lives as long as this one.
        let _ = self.queue.send(Report { id, live, status });
    }

    /// Waits for what was written. None of it is lost if the caller does not wait to the end.
    pub(super) async fn written(&mut self) -> Vec<Outcome> {
        self.outcomes.next().await
    }

    /// Takes note of what has become of a report.
    pub(super) fn settle(&mut self, Outcome { id, after, .. }: &Outcome) {
        self.is_stuck |= matches!(after, Err(Unwritten::Away(_)));
        let Some(State::Writing(next)) = self.states.get(id).cloned() else { return };
        let state = match (next, after) {
            (Next::Now, _) => Some(State::Now),
            (_, Err(_)) => Some(State::Later),
            (Next::Once(zone), Ok(_)) => Some(State::Once(zone)),
            (Next::Nothing, Ok(_)) => None,
        };
        self.put(id.clone(), state);
    }

    /// Moves a resource from its state to another one.
    fn put(&mut self, id: ResourceId, state: Option<State>) {
        let former = match state.clone() {
            Some(state) => self.states.insert(id.clone(), state),
            None => self.states.remove(&id),
        };
        self.writing -= usize::from(matches!(former, Some(State::Writing(_))));
        self.writing += usize::from(matches!(state, Some(State::Writing(_))));
        match former {
            Some(State::Now) => drop(self.now.remove(&id)),
            Some(State::Once(zone) | State::Writing(Next::Once(zone))) => {
                if let Some(ids) = self.once.get_mut(&zone) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        self.once.remove(&zone);
                    }
                }
            }
            _ => {}
        }
        match state {
            Some(State::Now) => drop(self.now.insert(id)),
            Some(State::Once(zone) | State::Writing(Next::Once(zone))) => {
                self.once.entry(zone).or_default().insert(id);
            }
            _ => {}
        }
    }
}

async fn write_all(client: Client, by: String, reports: UnboundedReceiver<Report>, outcomes: Sender<Outcome>) {
    let written = queued(reports).map(|report| write(&client, &by, report)).buffer_unordered(AT_A_TIME);
    written.for_each(async |outcome| drop(outcomes.send(outcome).await)).await;
}

fn queued(reports: UnboundedReceiver<Report>) -> impl Stream<Item = Report> {
    stream::unfold(reports, async |mut reports| Some((reports.recv().await?, reports)))
}

async fn write(client: &Client, by: &str, Report { id, live, status }: Report) -> Outcome {
    let (key, before) = (ObjectId::from(&id), Text::from(&live));
    let patch = json!({ "metadata": { "resourceVersion": live["metadata"]["resourceVersion"] }, "status": status });
    let objects = collection(client, key.of, &key.namespace);
    let now = match objects.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(now) => now,
        Err(error) => return Outcome { id, before, after: Err(Unwritten::of(&error)) },
    };
    for event in events::of(&id, &live, &now.data, by, Timestamp::now()) {
        events::tell(client, event).await;
    }
    let after = stored(key.of, now).map(|(_, now)| now).ok_or(Unwritten::Changed);
    Outcome { id, before, after }
}

impl Unwritten {
    fn of(error: &kube::Error) -> Unwritten {
        match error {
            kube::Error::Api(status) if matches!(status.code, 404 | 409) => Unwritten::Changed,
            kube::Error::Api(status) if matches!(status.code, 400..=499) && status.code != 429 => {
                Unwritten::Refused(why(error))
            }
            error => Unwritten::Away(why(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Kind;

    fn id(name: &str) -> ResourceId {
        ResourceId { namespace: "dns".into(), name: name.into(), kind: Kind::Zone }
    }

    fn all(reports: &mut Reports) -> Vec<ResourceId> {
        std::iter::from_fn(|| reports.next()).collect()
    }

    fn outcome(name: &str, failure: Option<Unwritten>) -> Outcome {
        let text = || Text::from(&json!({}));
        Outcome { id: id(name), before: text(), after: failure.map_or_else(|| Ok(text()), Err) }
    }

    #[test]
    fn what_is_said_of_a_resource_is_written_once_and_looked_at_again_when_something_follows() {
        let (queue, mut reports_queued) = mpsc::unbounded_channel();
        let (_outcomes, received) = mpsc::channel(1);
        let mut reports = Reports::new(queue, received);
        let zone = Name::from_ascii("example.com").unwrap();
        let status = |text: &str| json!({ "a": text });
        reports.look_at([id("a"), id("b"), id("c"), id("d")]);
        assert_eq!(all(&mut reports), [id("a"), id("b"), id("c"), id("d")]);
        assert_eq!(reports.len(), 0);
        reports.say(id("a"), json!({ "status": { "a": "1" } }), Due::Final(status("1")));
        assert!(reports.len() == 0 && reports_queued.try_recv().is_err(), "it is there already");
        reports.say(id("a"), json!({}), Due::Final(status("1")));
        reports.say(id("b"), json!({}), Due::Until(zone.clone(), status("1")));
        reports.say(id("c"), json!({}), Due::Once(zone.clone()));
        reports.say(id("d"), json!({}), Due::Later);
        assert_eq!([reports_queued.try_recv().unwrap().id, reports_queued.try_recv().unwrap().id], [id("a"), id("b")]);
        assert_eq!((reports.len(), reports.writing), (4, 2));
        // What changes while it is written is looked at after that.
        reports.look_at([id("a")]);
        assert!(all(&mut reports).is_empty());
        reports.settle(&outcome("a", None));
        reports.settle(&outcome("b", None));
        assert_eq!(all(&mut reports), [id("a")]);
        reports.heard_of(&zone);
        assert_eq!(all(&mut reports), [id("b"), id("c")]);
        reports.retry();
        assert_eq!(all(&mut reports), [id("d")]);
        assert!(reports.len() == 0 && reports.once.is_empty() && reports.writing == 0);
    }

    #[test]
    fn what_cannot_be_written_is_tried_again_in_a_while() {
        let (queue, _queued) = mpsc::unbounded_channel();
        let (_outcomes, received) = mpsc::channel(1);
        let mut reports = Reports::new(queue, received);
        for name in ["a", "b"] {
            reports.say(id(name), json!({}), Due::Final(json!({ "a": 1 })));
        }
        reports.settle(&outcome("a", Some(Unwritten::Refused("no".into()))));
        reports.look_at([id("c")]);
        assert_eq!(all(&mut reports), [id("c")], "others are");
        reports.settle(&outcome("b", Some(Unwritten::Away("refused".into()))));
        reports.look_at([id("c")]);
        assert!(all(&mut reports).is_empty(), "nothing can be written now");
        reports.retry();
        assert_eq!(all(&mut reports), [id("a"), id("b"), id("c")]);
        reports.say(id("a"), json!({}), Due::Final(json!({ "a": 1 })));
        reports.clear();
        reports.settle(&outcome("a", None));
        assert_eq!((reports.len(), reports.writing), (0, 0), "somebody else tells");
    }
}
