//! How pods are spread over nodes and zones.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The placement of pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "PlacementConfig"))]
pub struct PlacementConfig {
    /// Topology spread constraints. An empty list removes the one that primaries have by default.
    #[schemars(
        length(max = 8),
        extend("x-default" = "two primaries or more are spread over zones where that is possible")
    )]
    pub spread: Option<Vec<SpreadConstraint>>,
}

/// A topology spread constraint.
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
    /// The largest difference in the number of pods between domains.
    #[schemars(range(min = 1, max = 100), extend("x-unit" = "pods", "x-default" = "1"), extend("x-example" = 1))]
    pub max_skew: Option<u32>,
    /// What happens to a pod that cannot be placed accordingly.
    #[schemars(extend("x-default" = "ScheduleAnyway"))]
    pub when_unsatisfiable: Option<WhenUnsatisfiable>,
    /// The pods that are counted: those of the instance, of its role, or of the whole cluster.
    #[schemars(extend("x-default" = "Role"))]
    pub scope: Option<SpreadScope>,
    /// The least number of domains.
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
#[allow(missing_docs)] // The values are Kubernetes' own.
pub enum WhenUnsatisfiable {
    DoNotSchedule,
    ScheduleAnyway,
}

/// The pods that a constraint counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // The field that uses it explains the values.
pub enum SpreadScope {
    Instance,
    Role,
    Cluster,
}

/// Whether a property of nodes is considered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // The values are Kubernetes' own.
pub enum NodePolicy {
    Honor,
    Ignore,
}
