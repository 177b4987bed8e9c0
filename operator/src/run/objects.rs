//! The objects that run servers: what they are to be follows from what is declared, and those that are not so are applied,
//! each server's pods in its turn.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    net::SocketAddr,
};

use jiff::Timestamp;
use kube::Client;
use serde_json::Value;

use super::{
    Options, Place, leader, retirement,
    rollout::{Known, Turns},
    seen,
    world::World,
};
use crate::{
    api::{FieldError, ResourceId},
    cluster::{Applier, Seen},
    object::{Object, ObjectId, Type},
    render::{Surroundings, names, render},
    servers::ServerId,
    terminal::Once,
};

/// The objects.
pub(super) struct Objects {
    applier: Applier,
    place: Place,
    /// Where servers find this process, if that is not its Service.
    advertised: Vec<SocketAddr>,
    image: String,
    /// What is to be.
    wanted: BTreeMap<ObjectId, Object>,
    /// Whose pods are replaced when.
    turns: Turns,
    /// The servers that are to have no pods any more.
    drained: BTreeSet<ServerId>,
    /// The servers whose declaration cannot be used.
    refused: BTreeMap<ServerId, FieldError>,
    /// The names of the keys by which servers get their zones, as their configuration names them.
    transfer_keys: BTreeMap<ServerId, Vec<String>>,
    /// The objects that resources name.
    named: BTreeSet<ObjectId>,
    /// Those among them that cannot be read, and why.
    unreadable: BTreeMap<ObjectId, String>,
    /// The namespaces whose Secrets nobody grants it to see.
    without_keys: BTreeSet<String>,
}

/// The image of servers that name none.
fn image(options: &Options) -> String {
    let mut given = options.image.clone().into_iter().chain(env::var("BINDY_IMAGE"));
    given
        .find(|image| !image.is_empty())
        .unwrap_or_else(|| concat!("ghcr.io/firestoned/bindy:", env!("CARGO_PKG_VERSION")).to_owned())
}

/// What came of applying.
pub(super) struct Applied {
    pub(super) seen: Vec<Seen>,
    /// The resources of which there may be something new to be said.
    pub(super) judged: Vec<ResourceId>,
}

impl Objects {
    /// Nothing is to be yet.
    pub(super) fn new(client: Client, options: &Options, place: Place) -> Objects {
        Objects {
            applier: Applier::new(client, "bindy"),
            place,
            advertised: options.advertise.clone(),
            image: image(options),
            wanted: BTreeMap::new(),
            turns: Turns::default(),
            drained: BTreeSet::new(),
            refused: BTreeMap::new(),
            transfer_keys: BTreeMap::new(),
            named: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            without_keys: BTreeSet::new(),
        }
    }

    /// Forgets what is to be, so that all of it is looked at anew.
    pub(super) fn forget(&mut self) {
        self.wanted.clear();
    }

    /// What is to be.
    pub(super) fn wanted(&self) -> &BTreeMap<ObjectId, Object> {
        &self.wanted
    }

    /// The objects that resources name, which are to be watched by their names.
    pub(super) fn named(&self) -> &BTreeSet<ObjectId> {
        &self.named
    }

    /// An object that a resource names cannot be read.
    pub(super) fn cannot_be_read(&mut self, id: ObjectId, why: String) {
        self.unreadable.insert(id, why);
    }

    /// Why the declaration of a server cannot be used.
    pub(super) fn refused(&self, server: &ServerId) -> Option<&FieldError> {
        self.refused.get(server)
    }

    /// The name of the key by which a server is to get its zones.
    pub(super) fn transfer_key(&self, server: &ServerId) -> Option<&str> {
        self.transfer_keys.get(server)?.first().map(String::as_str)
    }

    /// The server for which a server waits with its pods.
    pub(super) fn awaited_by(&self, server: &ServerId) -> Option<&ServerId> {
        self.turns.awaited_by(server)
    }

    /// Nobody grants it to see the Secrets of a namespace; returns whether that is new.
    pub(super) fn may_not_see_keys(&mut self, namespace: String) -> bool {
        self.without_keys.insert(namespace)
    }

    /// The Secrets of a namespace are seen.
    pub(super) fn sees_keys(&mut self, namespace: &str) {
        self.without_keys.remove(namespace);
    }

    /// How many objects cannot be applied.
    pub(super) fn count_failed(&self) -> usize {
        self.applier.failed().len()
    }

    /// Why an object that a resource makes is not there or not as it is to be, if an API server refuses it.
    pub(super) fn refusal(&self, of: &ResourceId) -> Option<String> {
        let is_owner = |owner: &Value| owner["kind"] == of.kind.name() && owner["name"] == *of.name;
        let is_near = |id: &ObjectId| of.namespace.is_empty() || id.namespace == of.namespace;
        let is_its = |id: &ObjectId| {
            let owners = self.wanted.get(id).and_then(|object| object.body["metadata"]["ownerReferences"].as_array());
            is_near(id) && owners.into_iter().flatten().any(is_owner)
        };
        let mut refused = self.applier.failed().filter(|(_, failure)| failure.is_refusal);
        let (id, failure) = refused.find(|(id, _)| is_its(id))?;
        Some(format!("{id} cannot be applied: {}.", failure.why))
    }

    /// Whether the time of a server's pods has come that nobody tells.
    pub(super) fn is_outdated(&self, world: &World) -> bool {
        retirement::drained(&world.servers, &world.store, Timestamp::now()) != self.drained
    }

    /// Works out what is to be, of a process that serves at these addresses; returns what differs from before.
    pub(super) fn render(&mut self, world: &mut World, at: &[SocketAddr], once: &mut Once) -> BTreeSet<ObjectId> {
        let home = world.home().to_owned();
        let World { store, declarations, servers, .. } = world;
        let (mut slices, mut found) = (Vec::new(), self.advertised.clone());
        if found.is_empty() {
            slices = leader::slices(&self.place, at, store);
            found = leader::addresses(store, &self.place);
        }
        if found.is_empty() {
            once.say(format!(
                "there is no Service {}/bindy-leader with the label app.kubernetes.io/part-of=bindy, so that no server could \
                 find this process: apply deploy/operator, or give --advertise",
                self.place.namespace
            ));
        }
        self.drained = retirement::drained(servers, store, Timestamp::now());
        let declared: Vec<_> = declarations.infrastructure().collect();
        let surroundings = Surroundings {
            home,
            image: self.image.clone(),
            leader: found,
            services: seen::services(store, declarations.instances(), str::to_owned),
            tcp_services: seen::services(store, declarations.instances(), names::tcp_service),
            drained: self.drained.clone(),
            rndc_keys: seen::rndc_keys(store, declarations.instances()),
            transfer_keys: seen::transfer_keys(store, servers),
            keys_changed: seen::keys_changed(store, declarations.instances()),
            budgets: seen::budgets(store),
            given: seen::given(store, &self.named, &self.unreadable),
        };
        let rendered = render(&declared, &surroundings);
        self.transfer_keys = surroundings.transfer_keys;
        for (server, FieldError { path, message, .. }) in &rendered.refused {
            once.say(format!("Bind9Instance {server}: {path}: {message}; what it has stays as it is"));
        }
        self.refused = rendered.refused;
        if self.named != rendered.named {
            store.retain(&rendered.named);
            self.unreadable.retain(|id, _| rendered.named.contains(id));
            self.named = rendered.named;
        }
        // These depend on keys, and stay as they are until it is known whether there are any.
        let is_known = |object: &Object| {
            let namespace = &object.id.namespace;
            !matches!(object.id.of, Type::ConfigMap | Type::Deployment)
                || store.is_listed(Type::Secret, namespace)
                || self.without_keys.contains(namespace)
        };
        // Nor is a pod begun that could not start, as its Secret has not the file yet that it is to read.
        let has_file = |object: &Object| {
            let ObjectId { of, namespace, name } = &object.id;
            *of != Type::Deployment || !store.has(&object.id) || !seen::lacks_keys_file(store, namespace, name)
        };
        let objects = rendered.objects.into_iter().filter(|object| is_known(object) && has_file(object));
        let wanted: BTreeMap<ObjectId, Object> =
            slices.into_iter().chain(objects).map(|object| (object.id.clone(), object)).collect();
        let differs = |id: &ObjectId, object: &Object| self.wanted.get(id) != Some(object);
        let differing = wanted.iter().filter(|(id, object)| differs(id, object)).map(|(id, _)| id.clone()).collect();
        self.wanted = wanted;
        self.applier.retain(|id| self.wanted.contains_key(id));
        differing
    }

    /// Makes these objects what they are to be, as far as their servers have their turn. What failed before is tried again
    /// only if this `looks`, and not all the time.
    pub(super) async fn apply<'k>(
        &mut self,
        mut due: BTreeSet<ObjectId>,
        world: &World,
        known: impl FnOnce() -> Known<'k>,
        looks: bool,
        once: &mut Once,
    ) -> Applied {
        let failures = |applier: &Applier| {
            applier.failed().map(|(id, failure)| (id.clone(), failure.clone())).collect::<BTreeMap<_, _>>()
        };
        let before = failures(&self.applier);
        due.extend(self.applier.overdue().filter(|_| looks).cloned());
        let concerned = self.turns.choose(&mut due, &self.wanted, &world.store, known);
        let mut judged: Vec<ResourceId> = concerned.iter().map(ServerId::resource).collect();
        let due: Vec<Object> = due.iter().filter_map(|id| self.wanted.get(id)).cloned().collect();
        let seen = self.applier.apply(due, &world.store).await;
        if failures(&self.applier) != before {
            judged.extend(world.declarations.infrastructure().map(|declared| declared.resource.id.clone()));
        }
        for (id, failure) in self.applier.failed() {
            once.say(format!("{id} cannot be applied: {}", failure.why));
        }
        Applied { seen, judged }
    }
}
