//! How pods are spread over nodes and zones.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How pods are spread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "PlacementConfig"))]
pub struct PlacementConfig {
    /// Topology spread constraints; an empty list turns off the one that primaries have by themselves.
    #[schemars(
        length(max = 8),
        extend("x-default" = "two primaries or more are spread over zones where that is possible")
    )]
    pub spread: Option<Vec<SpreadConstraint>>,
}

/// One topology spread constraint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.minDomains) || (has(self.whenUnsatisfiable) && self.whenUnsatisfiable == 'DoNotSchedule')"
).message("minDomains needs whenUnsatisfiable: DoNotSchedule"))]
#[x_kube(validation = Rule::new("!self.topologyKey.contains('/') || self.topologyKey.split('/')[0].size() <= 253")
    .message("the prefix of topologyKey is over 253 characters"))]
pub struct SpreadConstraint {
    /// The node label whose values are the domains.
    #[schemars(
        length(min = 1, max = 317),
        regex(pattern = "^([A-Za-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"),
        extend("x-example" = "topology.kubernetes.io/zone")
    )]
    pub topology_key: String,
    /// By how many pods domains may differ.
    #[schemars(range(min = 1, max = 100), extend("x-unit" = "pods", "x-default" = "1"), extend("x-example" = 1))]
    pub max_skew: Option<u32>,
    /// What happens to a pod that cannot be placed so.
    #[schemars(extend("x-default" = "ScheduleAnyway"))]
    pub when_unsatisfiable: Option<WhenUnsatisfiable>,
    /// Which pods are counted: those of the instance, of its role, or of the whole cluster.
    #[schemars(extend("x-default" = "Role"))]
    pub scope: Option<SpreadScope>,
    /// How many domains there must be.
    #[schemars(range(min = 1, max = 1000), extend("x-unit" = "domains"), extend("x-example" = 3))]
    pub min_domains: Option<u32>,
    /// Whether the pod's node affinity limits the domains.
    #[schemars(extend("x-default" = "Honor"))]
    pub node_affinity_policy: Option<NodePolicy>,
    /// Whether taints of nodes limit the domains.
    #[schemars(extend("x-default" = "Ignore"))]
    pub node_taints_policy: Option<NodePolicy>,
}

/// What happens to a pod that cannot be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' words.
pub enum WhenUnsatisfiable {
    DoNotSchedule,
    ScheduleAnyway,
}

/// Which pods a constraint counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Said where it is used.
pub enum SpreadScope {
    Instance,
    Role,
    Cluster,
}

/// Whether something about nodes counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' words.
pub enum NodePolicy {
    Honor,
    Ignore,
}
