//! The data that a `DNSZone` itself puts into its zone: the SOA, the apex's NS, and the addresses of name servers in
//! the zone.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use zonefmt::{Name, Rtype, Serial, rdata::Soa};

use crate::api::{DEFAULT_TTL, DnsZoneSpec, FieldError, MAX_TTL, NameServer, SoaRecord, absolute};

/// A `DNSZone` whose fields are valid.
#[derive(Clone, Debug)]
pub(super) struct Apex {
    pub(super) origin: Name,
    /// The TTL in seconds of the records here, and of records that give none.
    pub(super) ttl: u32,
    /// The serial that the manifest declares. The serial in `generated` is 0.
    pub(super) serial: Serial,
    /// The RDATA in wire form, by owner and type.
    pub(super) generated: BTreeMap<Name, BTreeMap<Rtype, Vec<Vec<u8>>>>,
}

impl Apex {
    /// Reads the fields of a zone. If it fails, it returns everything that is wrong with them.
    pub(super) fn read(spec: &DnsZoneSpec) -> Result<Apex, Vec<FieldError>> {
        let mut errors = Errors::default();
        let origin = errors.keep(
            "zoneName",
            Name::from_ascii(&spec.zone_name)
                .map_err(|error| (error.to_string(), "write a name such as `example.com`".into())),
        );
        let Some(origin) = origin else { return Err(errors.0) };
        if spec.ttl.is_some_and(|ttl| ttl > MAX_TTL) {
            errors.push("ttl", format!("is over {MAX_TTL}"), "write seconds, for example 3600");
        }
        let mut apex = Apex {
            ttl: spec.ttl.unwrap_or(DEFAULT_TTL),
            serial: Serial(spec.soa_record.serial),
            generated: BTreeMap::new(),
            origin,
        };
        if let Some((primary, soa)) = apex.soa(&spec.soa_record, &mut errors) {
            apex.put(apex.origin.clone(), Rtype::SOA, soa);
            if !spec.hidden_primary {
                apex.put(apex.origin.clone(), Rtype::NS, primary);
            }
        }
        for (path, server) in name_servers(spec) {
            apex.name_server(&path, &server, &mut errors);
        }
        if errors.0.is_empty() { Ok(apex) } else { Err(errors.0) }
    }

    /// The RDATA of the NS records.
    pub(super) fn servers(&self) -> impl Iterator<Item = &[u8]> {
        let ns = self.generated.get(&self.origin).and_then(|sets| sets.get(&Rtype::NS));
        ns.into_iter().flatten().map(Vec::as_slice)
    }

    /// The wire form of the primary name server's NS, and of the SOA with serial 0.
    fn soa(&self, soa: &SoaRecord, errors: &mut Errors) -> Option<(Vec<u8>, Vec<u8>)> {
        let primary = errors.name("soaRecord.primaryNs", &soa.primary_ns, &self.origin);
        let mailbox = if soa.admin_email.contains('@') {
            let help = format!("write `{}`, with a dot for the `@`", soa.admin_email.replacen('@', ".", 1));
            errors.push("soaRecord.adminEmail", "holds an `@`".into(), help);
            None
        } else {
            errors.name("soaRecord.adminEmail", &soa.admin_email, &self.origin)
        };
        let (primary, mailbox) = (primary?, mailbox?);
        let rdata = Soa {
            primary: primary.as_ref(),
            mailbox: mailbox.as_ref(),
            serial: Serial(0),
            refresh: soa.refresh,
            retry: soa.retry,
            expire: soa.expire,
            minimum: soa.negative_ttl,
        };
        Some((primary.as_ref().as_wire().to_vec(), rdata.to_wire()))
    }

    fn name_server(&mut self, path: &str, server: &NameServer, errors: &mut Errors) {
        let hostname = errors.name(&format!("{path}.hostname"), &server.hostname, &self.origin);
        let ipv4 = server.ipv4_address.as_ref().and_then(|text| {
            let address = text
                .parse::<Ipv4Addr>()
                .map_err(|_| (format!("`{text}` is no IPv4 address"), "write it as `192.0.2.53`".into()));
            errors.keep(&format!("{path}.ipv4Address"), address)
        });
        let ipv6 = server.ipv6_address.as_ref().and_then(|text| {
            let address = text
                .parse::<Ipv6Addr>()
                .map_err(|_| (format!("`{text}` is no IPv6 address"), "write it as `2001:db8::53`".into()));
            errors.keep(&format!("{path}.ipv6Address"), address)
        });
        let Some(hostname) = hostname else { return };
        self.put(self.origin.clone(), Rtype::NS, hostname.as_ref().as_wire().to_vec());
        if hostname.as_ref().is_at_or_below(self.origin.as_ref()) {
            if let Some(address) = ipv4 {
                self.put(hostname.clone(), Rtype::A, address.octets().to_vec());
            }
            if let Some(address) = ipv6 {
                self.put(hostname, Rtype::AAAA, address.octets().to_vec());
            }
        }
    }

    fn put(&mut self, owner: Name, rtype: Rtype, rdata: Vec<u8>) {
        self.generated.entry(owner).or_default().entry(rtype).or_default().push(rdata);
    }
}

/// The name servers, each with its path, from the one field that is used.
fn name_servers(spec: &DnsZoneSpec) -> Vec<(String, NameServer)> {
    if spec.name_servers.is_empty() {
        let old = spec.name_server_ips.iter().map(|(hostname, address)| {
            let (ipv4_address, ipv6_address) =
                if address.contains(':') { (None, Some(address.clone())) } else { (Some(address.clone()), None) };
            (format!("nameServerIps.{hostname}"), NameServer { hostname: hostname.clone(), ipv4_address, ipv6_address })
        });
        return old.collect();
    }
    spec.name_servers.iter().enumerate().map(|(i, server)| (format!("nameServers[{i}]"), server.clone())).collect()
}

/// The errors in the fields so far.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn push(&mut self, path: &str, message: String, help: impl Into<String>) {
        self.0.push(FieldError { path: path.into(), message, help: Some(help.into()) });
    }

    /// Returns the value of `result`, or notes its error: what is wrong, and what to write instead.
    fn keep<T>(&mut self, path: &str, result: Result<T, (String, String)>) -> Option<T> {
        result.map_err(|(message, help)| self.push(path, message, help)).ok()
    }

    fn name(&mut self, path: &str, text: &str, origin: &Name) -> Option<Name> {
        let name = Name::parse(absolute(text).as_bytes(), origin.as_ref());
        self.keep(path, name.map_err(|error| (error.to_string(), format!("write a name such as `ns1.{origin}`"))))
    }
}
