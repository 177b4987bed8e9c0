//! Objects of Kubernetes' own API inside ours. They are accepted as they are, with a description but without a copy of
//! their schema, which would make a CRD too large for `kubectl apply`. The API server checks them where they are used.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Declares types for objects of Kubernetes, each with its description for `kubectl explain` and an example.
macro_rules! embedded {
    ($($(#[doc = $about:literal])* $name:ident = $example:literal;)*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Map<String, Value>);

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "object",
                    "description": concat!($($about),*),
                    "x-kubernetes-preserve-unknown-fields": true,
                    "x-type": stringify!($name),
                    "x-example": $example
                })
            }
        }
    )*};
}

embedded! {
    /// A ServiceSpec of core/v1. `selector` is Bindy's own; ports are merged by name.
    ServiceSpec = "{type: LoadBalancer, loadBalancerIP: 192.0.2.53}";
    /// A Volume of core/v1.
    Volume = "{name: bindy-data, persistentVolumeClaim: {claimName: bindy-data}}";
    /// A VolumeMount of core/v1.
    VolumeMount = "{name: bindy-data, mountPath: /data/zones}";
    /// A PersistentVolumeClaimSpec of core/v1.
    PersistentVolumeClaimSpec = "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}";
    /// An EnvVar of core/v1.
    EnvVar = "{name: TZ, value: UTC}";
    /// ResourceRequirements of core/v1.
    ResourceRequirements = "{requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 256Mi}}";
}
