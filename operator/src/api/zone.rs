//! `DNSZone`: a zone with its SOA and name servers, the records that belong to it, and the servers that serve it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Dynamic, MAX_TTL, RecordSource};

/// A zone with its SOA and name servers, the records that belong to it, and the servers that serve it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.zoneName == oldSelf.zoneName || self.zoneName + '.' == oldSelf.zoneName || self.zoneName == oldSelf.zoneName + '.'"
)
    .message("zoneName cannot change: create another DNSZone and delete this one"))]
pub struct DnsZoneSpec {
    /// The name of the zone. The final dot is optional. The name cannot be changed.
    #[schemars(
        length(min = 1, max = 254),
        regex(pattern = r"^(\.|[A-Za-z0-9_/-]{1,63}(\.[A-Za-z0-9_/-]{1,63})*\.?)$"),
        extend("x-example" = "example.com")
    )]
    pub zone_name: String,
    /// The SOA record.
    pub soa_record: SoaRecord,
    /// The TTL, in seconds, of the zone's own records and of every record that gives none.
    #[schemars(range(max = MAX_TTL), extend("x-unit" = "seconds", "x-default" = "300"), extend("x-example" = 3600))]
    pub ttl: Option<u32>,
    /// The name servers besides `soaRecord.primaryNs`, which is one too unless it is hidden.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub name_servers: Vec<NameServer>,
    /// Whether `soaRecord.primaryNs` is a hidden primary (RFC 9499), which is not a name server of the zone.
    #[serde(default)]
    pub hidden_primary: bool,
    /// The former way to write name servers, as host name and address. It is read only if `nameServers` is empty.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64), extend("x-example" = BTreeMap::from([("ns2.example.com.", "192.0.2.54")])))]
    pub name_server_ips: BTreeMap<String, String>,
    /// The records that belong to the zone. They must be in the zone's namespace.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub records_from: Vec<RecordSource>,
    /// The Bind9Cluster in the zone's namespace whose instances serve the zone, or if there is none of that name, the
    /// ClusterBind9Provider.
    #[schemars(length(max = 253), extend("x-example" = "production-dns"))]
    pub cluster_ref: Option<String>,
    /// The ClusterBind9Provider whose instances serve the zone, even if there is a Bind9Cluster of the same name.
    #[schemars(length(max = 253), extend("x-example" = "shared-dns"))]
    pub cluster_provider_ref: Option<String>,
    /// The instances that serve the zone, in addition to those of `clusterRef` and `clusterProviderRef`. Instances of
    /// other namespaces are included if their annotation `bindy.firestoned.io/allow-zone-namespaces` has the zone's
    /// namespace, or `*`.
    #[serde(default, rename = "bind9InstancesFrom")]
    #[schemars(length(max = 64))]
    pub bind9_instances_from: Vec<RecordSource>,
    /// The policy by which the zone is signed; `none` and `insecure` leave it unsigned. Zones are not signed yet, and a
    /// policy that asks for more is reported.
    #[schemars(
        length(max = 63),
        regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"),
        extend("x-default" = "`global.dnssec.signing.policy` of its instances"),
        extend("x-example" = "none")
    )]
    pub dnssec_policy: Option<String>,
    /// What clients may write into the zone by DNS UPDATE; without it, nothing.
    pub dynamic: Option<Dynamic>,
}

/// The SOA of a zone (RFC 1035 3.3.13).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoaRecord {
    /// The primary name server (MNAME). It also gets an NS record.
    #[schemars(length(min = 1, max = 1004), extend("x-example" = "ns1.example.com."))]
    pub primary_ns: String,
    /// The mailbox of the person responsible (RNAME), with a dot in place of its `@`.
    #[schemars(length(min = 1, max = 1004), extend("x-example" = "hostmaster.example.com."))]
    pub admin_email: String,
    /// The first serial to publish. Later serials follow the published one, unless the one here is higher.
    #[serde(default = "first_serial")]
    #[schemars(extend("x-unit" = "serial (RFC 1982)"), extend("x-example" = 2_026_112_100))]
    pub serial: u32,
    /// How often a secondary asks for changes, in seconds.
    #[serde(default = "refresh")]
    #[schemars(range(min = 1, max = MAX_TTL), extend("x-unit" = "seconds"), extend("x-example" = 3600))]
    pub refresh: u32,
    /// How soon a secondary asks again after a failure, in seconds.
    #[serde(default = "retry")]
    #[schemars(range(min = 1, max = MAX_TTL), extend("x-unit" = "seconds"), extend("x-example" = 600))]
    pub retry: u32,
    /// How long a secondary continues to answer if it cannot reach a primary, in seconds.
    #[serde(default = "expire")]
    #[schemars(range(min = 1, max = MAX_TTL), extend("x-unit" = "seconds"), extend("x-example" = 604_800))]
    pub expire: u32,
    /// How long "no such name" may be cached, in seconds (RFC 2308 4).
    #[serde(default = "negative_ttl")]
    #[schemars(range(max = MAX_TTL), extend("x-unit" = "seconds"), extend("x-example" = 300))]
    pub negative_ttl: u32,
}

/// A name server of a zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameServer {
    /// The host name of the server.
    #[schemars(length(min = 1, max = 1004), extend("x-example" = "ns2.example.com."))]
    pub hostname: String,
    /// The IPv4 address, which is published if the name lies in the zone.
    #[schemars(length(max = 15), extend("x-example" = "192.0.2.54"))]
    pub ipv4_address: Option<String>,
    /// The IPv6 address, which is published if the name lies in the zone.
    #[schemars(length(max = 45), extend("x-example" = "2001:db8::54"))]
    pub ipv6_address: Option<String>,
}

fn first_serial() -> u32 {
    1
}

fn refresh() -> u32 {
    3600
}

fn retry() -> u32 {
    600
}

fn expire() -> u32 {
    604_800
}

fn negative_ttl() -> u32 {
    300
}
