//! The servers: which there are, how each is configured, and which zones it serves. All are pure functions of the
//! resources.
//!
//! A `ClusterBind9Provider` stands for a `Bind9Cluster` of its name in one namespace, a cluster for as many instances
//! as its roles have replicas, and a `Bind9Instance` for one server. A zone selects servers by `clusterRef`, by
//! `clusterProviderRef` and by `bind9InstancesFrom`; every server that one of these selects serves the zone.

mod acl;

pub use acl::{Local, check_list};

use std::{collections::BTreeMap, fmt, str::FromStr};

use bindy_server::access::Acl;

use crate::api::{
    Bind9Config, ClusterSpec, DnsZoneSpec, FieldError, Infrastructure, InstanceSpec, Kind, RecordSource, Resource,
    ResourceId, Role, Spec, cluster::RoleSpec,
};

/// All servers, by namespace and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Servers {
    servers: BTreeMap<ServerId, Server>,
    /// All clusters and providers, with or without servers.
    clusters: Vec<ClusterId>,
}

/// The identity of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    /// The namespace in which the server runs.
    pub namespace: String,
    /// The name of its `Bind9Instance`.
    pub name: String,
}

impl ServerId {
    /// Its `Bind9Instance`.
    pub fn resource(&self) -> ResourceId {
        ResourceId { kind: Kind::INSTANCE, namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

/// A server.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// The identity of the server.
    pub id: ServerId,
    /// The labels by which zones select the server.
    pub labels: BTreeMap<String, String>,
    /// Whether the server is a primary or a secondary.
    pub role: Role,
    /// The cluster to which the server belongs; `None` for a server on its own.
    pub cluster: Option<ClusterId>,
    /// The name of that cluster, or of one that was there and may come back.
    pub cluster_name: Option<String>,
    /// The error that the server refers to a cluster which does not exist, so that its inherited configuration is not
    /// known.
    pub orphaned: Option<FieldError>,
    /// The configuration, including what it inherits.
    pub config: Bind9Config,
    /// The address match lists that the configuration may refer to.
    pub acls: BTreeMap<String, Vec<String>>,
    /// Why it is not wanted any more, if it is not.
    pub retires: Option<Retirement>,
    /// The other namespaces whose zones may select the server by label.
    open_to: Vec<String>,
}

/// Why a server is not wanted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// Its cluster made it and has fewer replicas by now.
    OfCluster,
    /// It is to have no pods.
    OfInstance,
}

/// The identity of a cluster or provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId {
    /// The namespace in which its servers run.
    pub namespace: String,
    /// The name of the resource.
    pub name: String,
    /// Whether it is that of a provider, to which zones of every namespace may refer.
    pub provider: bool,
}

/// The annotation of an instance that lists the namespaces whose zones may select it, separated by commas; `*` means
/// all.
pub const ALLOW_ZONE_NAMESPACES: &str = "bindy.firestoned.io/allow-zone-namespaces";

/// The namespace of the servers of a provider that gives none, if there is no operator whose namespace could be used.
pub const HOME: &str = "default";

const LABEL_MANAGED_BY: &str = "bindy.firestoned.io/managed-by";
const LABEL_CLUSTER: &str = "bindy.firestoned.io/cluster";
const LABEL_ROLE: &str = "bindy.firestoned.io/role";

impl Servers {
    /// Finds the servers that resources declare. Those of a provider without a namespace run in `home`. A server that
    /// is declared itself takes precedence over one of the same name that a cluster makes.
    pub fn of<'r>(resources: impl IntoIterator<Item = &'r Resource>, home: &str) -> Servers {
        let mut all = Servers::default();
        let mut clusters: BTreeMap<ClusterId, &ClusterSpec> = BTreeMap::new();
        let mut declared: Vec<(&Resource, &InstanceSpec)> = Vec::new();
        for resource in resources {
            let Spec::Infrastructure(infrastructure) = &resource.spec else { continue };
            let id = |namespace: &str, provider| ClusterId {
                namespace: namespace.to_owned(),
                name: resource.id.name.clone(),
                provider,
            };
            match infrastructure {
                Infrastructure::Provider(spec) => {
                    clusters.insert(id(spec.namespace.as_deref().unwrap_or(home), true), spec);
                }
                Infrastructure::Cluster(spec) => {
                    clusters.insert(id(&resource.id.namespace, false), spec);
                }
                Infrastructure::Instance(spec) => declared.push((resource, spec)),
            }
        }
        for (id, spec) in &clusters {
            // In a Kubernetes cluster, the cluster of a provider is a resource, too.
            let twin = ClusterId { provider: true, ..id.clone() };
            let id = if clusters.contains_key(&twin) { &twin } else { id };
            for server in made_by(id, spec) {
                all.servers.insert(server.id.clone(), server);
            }
        }
        all.clusters = clusters.keys().cloned().collect();
        for (resource, spec) in declared {
            let cluster = all.cluster(&resource.id.namespace, &spec.cluster_ref).cloned();
            let cluster = cluster.and_then(|id| clusters.get(&id).map(|spec| (id, *spec)));
            let server = declared_as(resource, spec, cluster);
            all.servers.insert(server.id.clone(), server);
        }
        all
    }

    /// All servers, by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = &Server> {
        self.servers.values()
    }

    /// The server with that identity.
    pub fn server(&self, id: &ServerId) -> Option<&Server> {
        self.servers.get(id)
    }

    /// The servers that count: those that are not about to go.
    pub fn staying(&self) -> impl Iterator<Item = &Server> {
        self.iter().filter(|server| server.retires.is_none())
    }

    /// The servers from which a server gets its zones while the hidden primary is away, in the order in which they are
    /// asked: some others of its cluster.
    pub fn sources(&self, server: &Server) -> impl Iterator<Item = &Server> {
        /// More of them would not make it more likely that one is there.
        const MOST: usize = 6;
        self.siblings(server).take(MOST)
    }

    /// The servers of which a server is a [source](Servers::sources).
    pub fn dependants(&self, server: &Server) -> impl Iterator<Item = &Server> {
        self.siblings(server).filter(|other| self.sources(other).any(|source| source.id == server.id))
    }

    /// The other servers of a server's cluster, primaries first.
    fn siblings(&self, server: &Server) -> impl Iterator<Item = &Server> {
        let of_role = move |role| {
            self.staying().filter(move |other| {
                let (one, other_s) = (&server.cluster, &other.cluster);
                one.is_some() && one == other_s && other.id != server.id && other.role == role
            })
        };
        of_role(Role::Primary).chain(of_role(Role::Secondary))
    }

    /// The servers of a zone, by namespace and name.
    pub fn of_zone<'s>(&'s self, namespace: &'s str, zone: &'s DnsZoneSpec) -> impl Iterator<Item = &'s Server> {
        let by_cluster = zone.cluster_ref.as_deref().and_then(|name| self.cluster(namespace, name));
        let by_provider = zone.cluster_provider_ref.as_deref().and_then(|name| self.provider(name));
        self.iter().filter(move |server| {
            let cluster = server.cluster.as_ref();
            cluster.is_some_and(|cluster| Some(cluster) == by_cluster || Some(cluster) == by_provider)
                || server.is_open_to(namespace)
                    && zone.bind9_instances_from.iter().any(|from| from.selector.matches(&server.labels))
        })
    }

    /// Whether a zone names a cluster or a provider that does not exist.
    pub fn lacks_named(&self, namespace: &str, zone: &DnsZoneSpec) -> bool {
        zone.cluster_ref.as_ref().is_some_and(|name| self.cluster(namespace, name).is_none())
            || zone.cluster_provider_ref.as_ref().is_some_and(|name| self.provider(name).is_none())
    }

    /// Whether a zone may mean the cluster of a server by a name of which there is none any more.
    pub fn may_be_named(&self, namespace: &str, zone: &DnsZoneSpec, server: &ServerId) -> bool {
        let names = [&zone.cluster_ref, &zone.cluster_provider_ref];
        // What a provider has made may outlive it, as a cluster like others.
        let was_provided = |it: &ClusterId| it.provider || names.iter().any(|name| name.as_ref() == Some(&it.name));
        self.server(server)
            .is_some_and(|server| server.id.namespace == namespace || server.cluster.as_ref().is_none_or(was_provided))
    }

    /// The references of a zone to clusters or servers that do not exist.
    pub fn dangling(&self, namespace: &str, zone: &DnsZoneSpec) -> Vec<FieldError> {
        let cluster = zone.cluster_ref.as_ref().filter(|name| self.cluster(namespace, name).is_none());
        let cluster = cluster.map(|name| no_cluster(namespace, name));
        let provider = zone.cluster_provider_ref.as_ref().filter(|name| self.provider(name).is_none());
        let provider = provider.map(|name| FieldError {
            path: "clusterProviderRef".into(),
            message: format!("there is no ClusterBind9Provider {name}"),
            help: Some("create it, or name one that exists".into()),
        });
        let selects = |from: &RecordSource| {
            self.iter().any(|server| server.is_open_to(namespace) && from.selector.matches(&server.labels))
        };
        let instances = zone.bind9_instances_from.iter().enumerate().filter(|(_, from)| !selects(from));
        let instances = instances.map(|(i, _)| FieldError {
            path: format!("bind9InstancesFrom[{i}]"),
            message: format!("it selects no Bind9Instance of namespace {namespace}, nor one that is open to it"),
            help: Some(format!(
                "create one, or correct the labels, or open one by its annotation `{ALLOW_ZONE_NAMESPACES}`"
            )),
        });
        cluster.into_iter().chain(provider).chain(instances).collect()
    }

    /// The address match lists of a resource that cannot be used, because a list that they name is not defined or names
    /// itself. Lists of a cluster are reported with the cluster, not with its instances.
    pub fn unusable_lists(&self, id: &ResourceId, infrastructure: &Infrastructure) -> Vec<FieldError> {
        let nowhere = Local { addresses: Acl::none(), networks: Acl::none() };
        let (acls, is_instance) = match infrastructure {
            Infrastructure::Provider(spec) | Infrastructure::Cluster(spec) => (&spec.acls, false),
            Infrastructure::Instance(_) => {
                let id = ServerId { namespace: id.namespace.clone(), name: id.name.clone() };
                // What an orphan inherits is not known.
                let Some(server) = self.server(&id).filter(|server| server.orphaned.is_none()) else {
                    return Vec::new();
                };
                (&server.acls, true)
            }
        };
        let lists = lists(infrastructure).into_iter();
        let errors = lists.filter_map(|(path, list)| acl::list(&path, list, acls, &nowhere).err());
        let errors = errors.filter(|error| !is_instance || !error.path.starts_with("acls."));
        // Several lists may name the same one.
        let mut by_path: BTreeMap<String, FieldError> = BTreeMap::new();
        for error in errors {
            by_path.entry(error.path.clone()).or_insert(error);
        }
        by_path.into_values().collect()
    }

    /// The cluster that `name` refers to in a namespace: one of that namespace, or else a provider.
    fn cluster(&self, namespace: &str, name: &str) -> Option<&ClusterId> {
        let mut here = self.clusters.iter().filter(|id| id.name == name && id.namespace == namespace);
        // The cluster of a provider is the provider.
        here.find(|id| id.provider)
            .or_else(|| self.clusters.iter().find(|id| id.name == name && id.namespace == namespace))
            .or_else(|| self.provider(name))
    }

    fn provider(&self, name: &str) -> Option<&ClusterId> {
        self.clusters.iter().find(|id| id.provider && id.name == name)
    }
}

impl FromStr for ServerId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ServerId, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(ServerId { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("write it as NAMESPACE/NAME, for example dns/ns-primary-0"),
        }
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Server {
    /// The clients that may ask; everybody without `allowQuery`.
    pub fn allow_query(&self, local: &Local) -> Result<Acl, FieldError> {
        self.list("allowQuery", self.config.allow_query.as_deref(), local).unwrap_or_else(|| Ok(Acl::any()))
    }

    /// The clients that may transfer zones, by address; nobody without `allowTransfer`.
    pub fn allow_transfer(&self, local: &Local) -> Result<Acl, FieldError> {
        self.list("allowTransfer", self.config.allow_transfer.as_deref(), local).unwrap_or_else(|| Ok(Acl::none()))
    }

    /// The addresses on which the server answers, IPv4 and IPv6; all without `listenOn` and `listenOnV6`.
    pub fn listen_on(&self, local: &Local) -> Result<(Acl, Acl), FieldError> {
        let ipv4 = self.list("listenOn", self.config.listen_on.as_deref(), local);
        let ipv6 = self.list("listenOnV6", self.config.listen_on_v6.as_deref(), local);
        Ok((ipv4.unwrap_or_else(|| Ok(Acl::any()))?, ipv6.unwrap_or_else(|| Ok(Acl::any()))?))
    }

    /// The responses a second to one network; `None` for no limit.
    pub fn responses_per_second(&self) -> Option<u32> {
        const DEFAULT: u32 = 15;
        let said = self.config.rate_limit.as_ref().and_then(|limit| limit.responses_per_second);
        Some(said.unwrap_or(DEFAULT)).filter(|limit| *limit > 0)
    }

    /// Whether zones of that namespace may select the server by its labels.
    fn is_open_to(&self, namespace: &str) -> bool {
        self.id.namespace == namespace || self.open_to.iter().any(|open| open == "*" || open == namespace)
    }

    fn list(&self, field: &str, elements: Option<&[String]>, local: &Local) -> Option<Result<Acl, FieldError>> {
        elements.map(|elements| acl::list(field, elements, &self.acls, local))
    }
}

fn no_cluster(namespace: &str, name: &str) -> FieldError {
    FieldError {
        path: "clusterRef".into(),
        message: format!("there is no Bind9Cluster {namespace}/{name}, and no ClusterBind9Provider {name}"),
        help: Some("create one of them, or name one that exists".into()),
    }
}

/// The servers that a cluster makes.
fn made_by<'c>(id: &'c ClusterId, spec: &'c ClusterSpec) -> impl Iterator<Item = Server> + 'c {
    let roles = [(Role::Primary, spec.primary.as_ref()), (Role::Secondary, spec.secondary.as_ref())];
    let roles = roles.into_iter().filter_map(|(role, of)| of.map(|of| (role, of)));
    roles.flat_map(move |(role, of)| {
        (0..of.replicas.unwrap_or(0)).map(move |number| {
            let own = [
                (LABEL_MANAGED_BY, "Bind9Cluster"),
                (LABEL_CLUSTER, &id.name),
                (LABEL_ROLE, role.name()),
                ("app.kubernetes.io/part-of", "bindy"),
            ];
            let mut labels = of.labels.clone();
            labels.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
            Server {
                id: ServerId { namespace: id.namespace.clone(), name: format!("{}-{}-{number}", id.name, role.name()) },
                labels,
                role,
                cluster: Some(id.clone()),
                cluster_name: Some(id.name.clone()),
                orphaned: None,
                config: inherited(Bind9Config::default(), role, spec),
                acls: spec.acls.clone(),
                retires: None,
                open_to: Vec::new(),
            }
        })
    })
}

/// The server that a `Bind9Instance` declares.
fn declared_as(resource: &Resource, spec: &InstanceSpec, cluster: Option<(ClusterId, &ClusterSpec)>) -> Server {
    let own = spec.config.clone().unwrap_or_default();
    let open_to = resource.annotations.get(ALLOW_ZONE_NAMESPACES).map(String::as_str).unwrap_or_default();
    let ResourceId { namespace, name, .. } = resource.id.clone();
    Server {
        id: ServerId { namespace, name },
        labels: resource.labels.clone(),
        role: spec.role,
        orphaned: (cluster.is_none() && !spec.cluster_ref.is_empty())
            .then(|| no_cluster(&resource.id.namespace, &spec.cluster_ref)),
        config: match &cluster {
            Some((_, cluster)) => inherited(own, spec.role, cluster),
            None => own,
        },
        retires: match &cluster {
            Some((id, cluster)) if is_left_over(resource, spec.role, id, cluster) => Some(Retirement::OfCluster),
            _ => (spec.replicas == Some(0)).then_some(Retirement::OfInstance),
        },
        acls: cluster.as_ref().map(|(_, cluster)| cluster.acls.clone()).unwrap_or_default(),
        cluster: cluster.map(|(id, _)| id),
        cluster_name: Some(spec.cluster_ref.clone()).filter(|name| !name.is_empty()),
        open_to: open_to.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
    }
}

/// Whether a cluster has made an instance and does not want it any more.
fn is_left_over(instance: &Resource, role: Role, id: &ClusterId, cluster: &ClusterSpec) -> bool {
    let is_made = instance.labels.get(LABEL_MANAGED_BY).is_some_and(|manager| manager == "Bind9Cluster");
    is_made && made_by(id, cluster).all(|server| server.role != role || server.id.name != instance.id.name)
}

/// The configuration of an instance. Its own fields take precedence over those of its role, and these over those of its
/// cluster.
fn inherited(own: Bind9Config, role: Role, cluster: &ClusterSpec) -> Bind9Config {
    let of_role = match role {
        Role::Primary => cluster.primary.as_ref(),
        Role::Secondary => cluster.secondary.as_ref(),
    };
    let of_role = of_role.map(config_of).unwrap_or_default();
    own.or(&of_role).or(cluster.global.as_ref().unwrap_or(&Bind9Config::default()))
}

fn config_of(role: &RoleSpec) -> Bind9Config {
    let shorthand = Bind9Config { allow_transfer: role.allow_transfer.clone(), ..Bind9Config::default() };
    role.config.clone().unwrap_or_default().or(&shorthand)
}

/// The errors in a resource that declares servers, regardless of other resources.
pub fn check(infrastructure: &Infrastructure) -> Vec<FieldError> {
    lists(infrastructure).into_iter().flat_map(|(path, list)| check_list(&path, list)).collect()
}

/// The address match lists of a resource that declares servers, each with its path below `spec`.
fn lists(infrastructure: &Infrastructure) -> Vec<(String, &[String])> {
    let mut lists: Vec<(String, &[String])> = Vec::new();
    match infrastructure {
        Infrastructure::Instance(spec) => lists.extend(lists_of("config", spec.config.as_ref())),
        Infrastructure::Provider(spec) | Infrastructure::Cluster(spec) => {
            lists.extend(lists_of("global", spec.global.as_ref()));
            let roles = [("primary", &spec.primary), ("secondary", &spec.secondary)];
            for (at, role) in roles.into_iter().filter_map(|(at, role)| Some((at, role.as_ref()?))) {
                lists.extend(lists_of(&format!("{at}.config"), role.config.as_ref()));
                let transfer = role.allow_transfer.as_deref();
                lists.extend(transfer.map(|list| (format!("{at}.allowTransfer"), list)));
            }
            lists.extend(spec.acls.iter().map(|(name, list)| (format!("acls.{name}"), list.as_slice())));
        }
    }
    lists
}

fn lists_of<'c>(at: &str, config: Option<&'c Bind9Config>) -> Vec<(String, &'c [String])> {
    let Some(config) = config else { return Vec::new() };
    let lists = [
        ("allowQuery", &config.allow_query),
        ("allowTransfer", &config.allow_transfer),
        ("listenOn", &config.listen_on),
        ("listenOnV6", &config.listen_on_v6),
    ];
    lists.into_iter().filter_map(|(field, list)| Some((format!("{at}.{field}"), list.as_deref()?))).collect()
}

#[cfg(test)]
mod tests;
