//! Watches: one stream of what is seen of all types. In a namespace or in all, a type is listed in pages, then watched; after
//! an interruption that lost events it is listed again. While a type cannot be listed, what was seen of it stays as it is.
//! Single objects are watched by their names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, mem,
    pin::pin,
    time::Duration,
};

use futures_util::StreamExt;
use kube::{
    Client,
    core::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tokio::{
    sync::mpsc::{self, Sender},
    task::AbortHandle,
};

use super::{Seen, Text, collection, why};
use crate::{
    gather::{Bounds, Gather},
    object::{ObjectId, Type},
    render::names,
};

/// The watches of a program. They end when this is dropped.
pub struct Watches {
    client: Client,
    sender: Sender<Told>,
    events: Gather<Told>,
    /// What is watched: types and namespaces.
    watched: BTreeSet<(Type, String)>,
    /// The objects that are watched by name.
    named: BTreeMap<ObjectId, AbortHandle>,
}

/// What was seen in a moment.
#[derive(Debug, Default)]
pub struct Batch {
    /// What was seen, in its order.
    pub seen: Vec<Seen>,
    /// What could not be listed or watched, and why. It is tried again.
    pub failures: Vec<(Watched, Unseen)>,
}

/// Why something cannot be listed or watched.
#[derive(Clone, Debug)]
pub struct Unseen {
    /// For people.
    pub why: String,
    /// Whether nobody has granted it, so that trying again is of no use by itself.
    pub is_forbidden: bool,
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// The objects of a type in a namespace; an empty one stands for all.
    All(Type, String),
    /// An object, by its name.
    One(ObjectId),
}

enum Told {
    Seen(Seen),
    Failed(Watched, Unseen),
}

/// The most events that wait.
const WAITING: usize = 4096;
/// What ends a batch of events.
const BOUNDS: Bounds = Bounds { quiet: Duration::from_millis(3), patience: Duration::from_millis(30), most: 10_000 };

impl Watches {
    /// Nothing is watched yet.
    pub fn new(client: Client) -> Watches {
        let (sender, events) = mpsc::channel(WAITING);
        Watches {
            client,
            sender,
            events: Gather::new(events, BOUNDS),
            watched: BTreeSet::new(),
            named: BTreeMap::new(),
        }
    }

    /// Begins to watch the objects of a type in a namespace, unless that is watched already; an empty one stands for all.
    /// Of types that are not Bindy's, only objects with its label are seen, but for PodDisruptionBudgets, of which no two
    /// may be for the same pods.
    pub fn watch(&mut self, of: Type, namespace: &str) {
        if self.watched.insert((of, namespace.to_owned())) {
            let watched = Watched::All(of, namespace.to_owned());
            tokio::spawn(report_on(self.client.clone(), watched, self.sender.clone()));
        }
    }

    /// Watches these objects by their names, and no others any more. They need not have Bindy's label.
    pub fn watch_these(&mut self, wanted: &BTreeSet<ObjectId>) {
        self.named.retain(|id, watch| {
            let stays = wanted.contains(id);
            if !stays {
                watch.abort();
            }
            stays
        });
        for id in wanted {
            let watch = || report_on(self.client.clone(), Watched::One(id.clone()), self.sender.clone());
            self.named.entry(id.clone()).or_insert_with(|| tokio::spawn(watch()).abort_handle());
        }
    }

    /// Waits until something is seen, and then a little for what comes with it. Nothing is lost if the caller does not wait
    /// to the end.
    pub async fn next(&mut self) -> Batch {
        let mut batch = Batch::default();
        self.events.next().await.into_iter().for_each(|told| batch.add(told));
        batch
    }
}

impl Batch {
    fn add(&mut self, told: Told) {
        match told {
            Told::Seen(seen) => self.seen.push(seen),
            Told::Failed(watched, why) => self.failures.push((watched, why)),
        }
    }
}

/// Follows objects until nobody wants to know.
async fn report_on(client: Client, watched: Watched, events: Sender<Told>) {
    let (of, namespace) = match &watched {
        Watched::All(of, namespace) => (*of, namespace.as_str()),
        Watched::One(id) => (id.of, id.namespace.as_str()),
    };
    let config = watcher::Config {
        label_selector: watched.labels(),
        field_selector: watched.fields(),
        ..watcher::Config::default()
    };
    let mut stream = pin!(watcher(collection(&client, of, namespace), config).default_backoff());
    let mut listing = Vec::new();
    while let Some(event) = stream.next().await {
        let told = match event {
            Ok(Event::Init) => {
                listing.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listing.extend(stored(of, object));
                continue;
            }
            Ok(Event::InitDone) => Told::Seen(watched.listed(mem::take(&mut listing))),
            Ok(Event::Apply(object)) => match stored(of, object) {
                Some((id, object)) => Told::Seen(Seen::Put(id, object)),
                None => continue,
            },
            Ok(Event::Delete(object)) => match stored(of, object) {
                Some((id, _)) => Told::Seen(Seen::Gone(id)),
                None => continue,
            },
            Err(error) => Told::Failed(watched.clone(), Unseen::of(&error)),
        };
        if events.send(told).await.is_err() {
            return;
        }
    }
}

impl Watched {
    fn labels(&self) -> Option<String> {
        let is_ours = matches!(self, Watched::All(of, _) if !matches!(of, Type::Own(_) | Type::PodDisruptionBudget));
        is_ours.then(|| format!("{}={}", names::PART_OF.0, names::PART_OF.1))
    }

    fn fields(&self) -> Option<String> {
        match self {
            Watched::All(..) => None,
            Watched::One(id) => Some(format!("metadata.name={}", id.name)),
        }
    }

    fn listed(&self, mut objects: Vec<(ObjectId, Text)>) -> Seen {
        match self {
            Watched::All(of, namespace) => Seen::All(*of, namespace.clone(), objects),
            Watched::One(id) => Seen::One(id.clone(), objects.pop().map(|(_, object)| object)),
        }
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Watched::All(of, namespace) if namespace.is_empty() => f.write_str(of.kind()),
            Watched::All(of, namespace) => write!(f, "{} in {namespace}", of.kind()),
            Watched::One(id) => id.fmt(f),
        }
    }
}

impl Unseen {
    fn of(error: &watcher::Error) -> Unseen {
        const FORBIDDEN: u16 = 403;
        let (why, code) = match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => {
                let code = if let kube::Error::Api(status) = error { Some(status.code) } else { None };
                (why(error), code)
            }
            watcher::Error::WatchError(status) => (status.message.clone(), Some(status.code)),
            error @ watcher::Error::NoResourceVersion => (error.to_string(), None),
        };
        Unseen { why, is_forbidden: code == Some(FORBIDDEN) }
    }
}

/// The identity of an object, and the object without the notes on who wrote what, which are most of it.
pub(crate) fn stored(of: Type, mut object: DynamicObject) -> Option<(ObjectId, Text)> {
    object.metadata.managed_fields = None;
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let id = ObjectId { of, namespace, name: object.metadata.name.clone()? };
    // By way of a value, in which fields have their order.
    Some((id, Text::from(&serde_json::to_value(object).ok()?)))
}
