//! `DNSZone`: a zone, its SOA and name servers, and which records are its own.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::RecordSource;

/// `spec` of a `DNSZone`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsZoneSpec {
    /// The zone's name, for example `example.com`; a final dot may be left out.
    pub zone_name: String,
    /// The SOA record.
    pub soa_record: SoaRecord,
    /// TTL in seconds, 0 to 2147483647, of the zone's own records and of every record that names none.
    pub ttl: Option<u32>,
    /// The name servers, `soaRecord.primaryNs` apart, which is one unless it is hidden.
    #[serde(default)]
    pub name_servers: Vec<NameServer>,
    /// Whether `soaRecord.primaryNs` is a hidden primary (RFC 9499), which is no name server of the zone.
    #[serde(default)]
    pub hidden_primary: bool,
    /// The old way to write name servers, host name to IPv4 address; read only when `nameServers` is empty.
    #[serde(default)]
    pub name_server_ips: BTreeMap<String, String>,
    /// Which records of the zone's own namespace belong to it.
    #[serde(default)]
    pub records_from: Vec<RecordSource>,
    /// Which cluster serves it; one process serves every zone, so it changes nothing here.
    pub cluster_ref: Option<String>,
    /// Which provider serves it; as `clusterRef`.
    pub cluster_provider_ref: Option<String>,
    /// Which instances serve it; as `clusterRef`.
    #[serde(default, rename = "bind9InstancesFrom")]
    pub bind9_instances_from: Vec<RecordSource>,
    /// How it is signed. Zones are served unsigned so far, and a policy that asks for more is reported.
    pub dnssec_policy: Option<String>,
}

/// The zone's SOA (RFC 1035 3.3.13); times are in seconds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SoaRecord {
    /// MNAME: the primary name server.
    pub primary_ns: String,
    /// RNAME: the mailbox of who is responsible, its `@` written as a dot.
    pub admin_email: String,
    /// The first serial to publish. Later ones follow from what was published; a higher one here is taken up.
    pub serial: u32,
    /// How often a secondary asks for news.
    pub refresh: u32,
    /// How soon it asks again after a failure.
    pub retry: u32,
    /// When it stops answering for want of news.
    pub expire: u32,
    /// How long "no such name" may be cached (RFC 2308 4).
    pub negative_ttl: u32,
}

/// One of a zone's name servers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NameServer {
    /// Its name.
    pub hostname: String,
    /// Its IPv4 address, published if the name lies in the zone.
    pub ipv4_address: Option<String>,
    /// Its IPv6 address, published if the name lies in the zone.
    pub ipv6_address: Option<String>,
}
