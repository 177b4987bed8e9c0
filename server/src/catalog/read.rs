//! Reads versions of catalog zones.
//!
//! ```text
//! version.CATALOG                         TXT "2"
//! LABEL.zones.CATALOG                     PTR member
//! group.LABEL.zones.CATALOG               TXT template
//! coo.LABEL.zones.CATALOG                 PTR the catalog that may take the member over
//! ext.LABEL.zones.CATALOG                 BIND's properties of the member
//! ext.CATALOG                             BIND's properties of all members
//!
//! primaries, [ANY.]primaries              A and AAAA servers, TXT the key for them
//! allow-query, allow-transfer             APL
//! ```
//! Version 1, which is BIND's own, has no `ext`, `group` and `coo`: the properties stand where `ext` is. What is not
//! listed here is ignored (RFC 9432 5.1).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use zonefmt::{Name, NameRef, Rtype, rdata};

use super::{Catalog, Member, Primary, Properties};
use crate::{
    access::{Acl, Match, Prefix, Rule},
    zone::{Node, Rrset, ZoneData},
};

/// What a version of a catalog zone says, and what it says wrongly.
#[derive(PartialEq, Eq, Debug)]
pub struct Reading {
    /// What the version says.
    pub catalog: Catalog,
    /// What is left out of it; at most [`MAX_FINDINGS`].
    pub findings: Vec<Finding>,
    /// The number of further findings.
    pub more: usize,
}

/// Something in a catalog zone that is left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// A node lists a zone that another node lists, too (RFC 9432 5.2).
    Duplicate {
        /// The zone.
        zone: Name,
        /// The node's unique label.
        label: String,
    },
    /// The node lists the catalog itself.
    Itself(Name),
    /// The record set of a property does not have the form that it must have.
    Malformed(Name, Rtype, &'static str),
    /// The record set is none of a known property, or belongs to no member (RFC 9432 5.1).
    Unknown(Name, Rtype),
}

/// Why a version of a catalog zone must not be used (RFC 9432 5.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Broken {
    /// There is no version property.
    NoVersion,
    /// The version property has more than one record.
    SeveralVersions,
    /// The version property is not a number.
    Version,
    /// The version is a number other than 1 and 2.
    OtherVersion(u32),
    /// This node lists more than one zone.
    SeveralZones(Name),
    /// This change of ownership names more than one catalog.
    SeveralOwners(Name),
}

/// The most findings of one version.
pub const MAX_FINDINGS: usize = 20;
/// The most prefixes of a list of addresses: each query may have to be compared with all.
const MAX_PREFIXES: usize = 1000;
/// The labels of the longest name of a property: `ANY.primaries.ext.LABEL.zones`.
const DEEPEST: usize = 5;

impl Catalog {
    /// Reads a version of a catalog zone. `before` is the version before it: of two nodes that list the same zone, the
    /// one that did so before stays.
    ///
    /// # Errors
    /// The version must not be used (RFC 9432 5.1).
    pub fn read(data: &ZoneData, before: Option<&Catalog>) -> Result<Reading, Broken> {
        let version = version(data)?;
        let catalog = Catalog::default();
        let mut reader = Reader { version, before, catalog, open: None, findings: Vec::new(), more: 0 };
        for node in data.iter() {
            let mut labels = [&b""[..]; DEEPEST];
            let Some(path) = path(node.labels(), &mut labels) else {
                reader.ignore(node, &[]);
                continue;
            };
            reader.ignore(node, reader.known(path));
            match path {
                [] => {}
                [zones, label] if is(zones, "zones") => reader.member(label, node)?,
                [zones, label, property @ ..] if is(zones, "zones") => reader.member_property(label, property, node)?,
                property => {
                    let mut properties = std::mem::take(&mut reader.catalog.properties);
                    reader.property(property, node, &mut properties);
                    reader.catalog.properties = properties;
                }
            }
        }
        reader.close();
        Ok(Reading { catalog: reader.catalog, findings: reader.findings, more: reader.more })
    }
}

/// The version of the schema, 1 or 2.
fn version(data: &ZoneData) -> Result<u32, Broken> {
    let name = data.origin().prepend(b"\x07version").map_err(|_| Broken::NoVersion)?;
    let rrset = data.rrset(name.as_ref(), Rtype::TXT).ok_or(Broken::NoVersion)?;
    let text = single(rrset).ok_or(Broken::SeveralVersions)?;
    let digits = text_of(text).and_then(|text| std::str::from_utf8(text).ok()).ok_or(Broken::Version)?;
    match digits.parse() {
        Ok(version @ 1..=2) => Ok(version),
        Ok(other) => Err(Broken::OtherVersion(other)),
        Err(_) => Err(Broken::Version),
    }
}

struct Reader<'b> {
    version: u32,
    before: Option<&'b Catalog>,
    catalog: Catalog,
    /// The member whose node was read last: its properties are next, as the zone is read in canonical order.
    open: Option<(Name, Member)>,
    findings: Vec<Finding>,
    more: usize,
}

impl Reader<'_> {
    /// Reads `LABEL.zones`.
    fn member(&mut self, label: &[u8], node: Node<'_>) -> Result<(), Broken> {
        self.close();
        let Some(rrset) = node.rrset(Rtype::PTR) else { return Ok(()) };
        let rdata = single(rrset).ok_or_else(|| Broken::SeveralZones(node.owner()))?;
        let Ok(zone) = NameRef::from_wire(rdata) else { return Ok(()) };
        if zone == node.origin() {
            self.report(Finding::Itself(node.owner()));
            return Ok(());
        }
        let label = label.to_ascii_lowercase().into();
        self.open = Some((zone.to_owned(), Member { label, ..Member::default() }));
        Ok(())
    }

    /// Reads what is below `LABEL.zones`.
    fn member_property(&mut self, label: &[u8], path: &[&[u8]], node: Node<'_>) -> Result<(), Broken> {
        let Some((zone, mut member)) = self.open.take_if(|(_, member)| member.label.eq_ignore_ascii_case(label)) else {
            let whole = [&[&b"zones"[..], label], path].concat();
            let known = self.known(&whole);
            node.rrsets()
                .filter(|rrset| known.contains(&rrset.rtype))
                .for_each(|rrset| self.unknown(node, rrset.rtype));
            return Ok(());
        };
        match path {
            [coo] if is(coo, "coo") && self.version > 1 => {
                if let Some(rrset) = node.rrset(Rtype::PTR) {
                    let rdata = single(rrset).ok_or_else(|| Broken::SeveralOwners(node.owner()))?;
                    member.coo = NameRef::from_wire(rdata).ok().map(NameRef::to_owned);
                }
            }
            [group] if is(group, "group") && self.version > 1 => member.groups = self.groups(node),
            path => {
                let mut properties = member.properties.take().unwrap_or_default();
                self.property(path, node, &mut properties);
                member.properties = (*properties != Properties::default()).then_some(properties);
            }
        }
        self.open = Some((zone, member));
        Ok(())
    }

    fn groups(&mut self, node: Node<'_>) -> Box<[Box<[u8]>]> {
        let mut groups = Vec::new();
        for rdata in node.rrset(Rtype::TXT).into_iter().flat_map(Rrset::rdatas) {
            match text_of(rdata) {
                Some(group) => groups.push(group.into()),
                None => self.malformed(node, Rtype::TXT, "the name of a group has more than one string"),
            }
        }
        groups.sort();
        groups.into()
    }

    /// Reads one of BIND's properties of a member or of the catalog.
    fn property(&mut self, path: &[&[u8]], node: Node<'_>, properties: &mut Properties) {
        let path = match path {
            path if self.version == 1 => path,
            [ext, path @ ..] if is(ext, "ext") => path,
            _ => return,
        };
        match path {
            [primaries] | [primaries, _] if is(primaries, "primaries") || is(primaries, "masters") => {
                let found = self.primaries(node);
                if let Some(found) = found {
                    properties.primaries.get_or_insert_default().extend(found);
                }
            }
            [list] if is(list, "allow-query") => properties.allow_query = self.acl(node),
            [list] if is(list, "allow-transfer") => properties.allow_transfer = self.acl(node),
            _ => {}
        }
    }

    /// The servers of a name, with the key that is beside them; `None` if there is neither. A key that cannot be read
    /// does not lead to unsigned transfers: its servers are left out.
    fn primaries(&mut self, node: Node<'_>) -> Option<Vec<Primary>> {
        let key = match node.rrset(Rtype::TXT).map(|rrset| single(rrset).and_then(text_of)) {
            None => Ok(None),
            Some(text) => text.and_then(|text| Name::from_ascii(text).ok()).ok_or(()).map(Some),
        };
        let rdatas = |rtype| node.rrset(rtype).into_iter().flat_map(Rrset::rdatas);
        let v4 =
            rdatas(Rtype::A).filter_map(|rdata| Some(IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(rdata).ok()?))));
        let v6 = rdatas(Rtype::AAAA)
            .filter_map(|rdata| Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(rdata).ok()?))));
        let mut addresses: Vec<_> = v4.chain(v6).collect();
        addresses.sort_unstable();
        match key {
            Ok(None) if addresses.is_empty() => None,
            Ok(key) => Some(addresses.into_iter().map(|address| Primary { address, key: key.clone() }).collect()),
            Err(()) => {
                self.malformed(node, Rtype::TXT, "it is not the name of one key; the addresses beside it are not used");
                Some(Vec::new())
            }
        }
    }

    /// The list of a name; `None` if there is none. A list that cannot be read allows nobody.
    fn acl(&mut self, node: Node<'_>) -> Option<Acl> {
        let rrset = node.rrset(Rtype::APL)?;
        let Some(rdata) = single(rrset) else {
            self.malformed(node, Rtype::APL, "there is more than one list; nobody is allowed");
            return Some(Acl::none());
        };
        let rule = |item: rdata::AddressPrefix| Rule {
            negated: item.negated,
            matches: Match::Prefix(Prefix::new(item.address, item.length)),
        };
        let rules: Vec<_> = rdata::address_prefixes(rdata).take(MAX_PREFIXES + 1).map(rule).collect();
        if rules.len() > MAX_PREFIXES {
            self.malformed(node, Rtype::APL, "the list has more than 1000 prefixes; nobody is allowed");
            return Some(Acl::none());
        }
        Some(Acl::new(rules))
    }

    /// Adds the member whose properties are all read.
    fn close(&mut self) {
        let Some((zone, mut member)) = self.open.take() else { return };
        if let Some(other) = self.catalog.members.get_mut(&zone) {
            let former = self.before.and_then(|before| before.member(&zone));
            if former.is_some_and(|former| former.label == member.label) {
                std::mem::swap(other, &mut member);
            }
            let label = String::from_utf8_lossy(&member.label).into_owned();
            self.report(Finding::Duplicate { zone, label });
            return;
        }
        self.catalog.members.insert(zone, member);
    }

    /// The types of the property at this path.
    fn known(&self, path: &[&[u8]]) -> &'static [Rtype] {
        let path = match path {
            [] => return &[Rtype::SOA, Rtype::NS],
            [version] if is(version, "version") => return &[Rtype::TXT],
            [zones] if is(zones, "zones") => return &[],
            [zones, _] if is(zones, "zones") => return &[Rtype::PTR],
            [zones, _, coo] if is(zones, "zones") && is(coo, "coo") && self.version > 1 => return &[Rtype::PTR],
            [zones, _, group] if is(zones, "zones") && is(group, "group") && self.version > 1 => return &[Rtype::TXT],
            [zones, _, property @ ..] if is(zones, "zones") => property,
            property => property,
        };
        let path = match path {
            path if self.version == 1 => path,
            [ext, path @ ..] if is(ext, "ext") => path,
            _ => return &[],
        };
        match path {
            [name] | [name, _] if is(name, "primaries") || is(name, "masters") => &[Rtype::A, Rtype::AAAA, Rtype::TXT],
            [list] if is(list, "allow-query") || is(list, "allow-transfer") => &[Rtype::APL],
            _ => &[],
        }
    }

    /// Reports what a node has beside these types.
    #[inline]
    fn ignore(&mut self, node: Node<'_>, known: &[Rtype]) {
        for rrset in node.rrsets() {
            if !known.contains(&rrset.rtype) {
                self.unknown(node, rrset.rtype);
            }
        }
    }

    #[cold]
    fn unknown(&mut self, node: Node<'_>, rtype: Rtype) {
        self.report(Finding::Unknown(node.owner(), rtype));
    }

    #[cold]
    fn malformed(&mut self, node: Node<'_>, rtype: Rtype, why: &'static str) {
        self.report(Finding::Malformed(node.owner(), rtype, why));
    }

    fn report(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// Splits the labels below the apex into `path`, the one next to the apex first; `None` if there are too many.
fn path<'p, 'n>(mut labels: &'n [u8], path: &'p mut [&'n [u8]; DEEPEST]) -> Option<&'p [&'n [u8]]> {
    let mut count = 0;
    while let Some((&length, rest)) = labels.split_first() {
        let (label, rest) = rest.split_at_checked(usize::from(length))?;
        *path.get_mut(count)? = label;
        (count, labels) = (count + 1, rest);
    }
    path[..count].reverse();
    Some(&path[..count])
}

fn is(label: &[u8], name: &str) -> bool {
    label.eq_ignore_ascii_case(name.as_bytes())
}

/// The RDATA of the only record of a set.
fn single(rrset: Rrset<'_>) -> Option<&[u8]> {
    rrset.rdatas().next().filter(|_| rrset.len() == 1)
}

/// The text of a TXT record with a single string.
fn text_of(rdata: &[u8]) -> Option<&[u8]> {
    let (&length, text) = rdata.split_first()?;
    (text.len() == usize::from(length)).then_some(text)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Duplicate { zone, label } => {
                write!(f, "the node `{label}` lists the zone {zone}, as another node does; list each zone once")
            }
            Finding::Itself(node) => write!(f, "{node} lists the catalog itself; remove it"),
            Finding::Malformed(owner, rtype, why) => {
                write!(f, "invalid record in catalog zone - {owner} {rtype}: {why}")
            }
            Finding::Unknown(owner, rtype) => {
                let owner = owner.as_ref();
                let owner = owner.without_final_dot();
                write!(f, "invalid record in catalog zone - {owner} IN {rtype} (no known property) - ignoring")
            }
        }
    }
}

impl fmt::Display for Broken {
    /// named's words, where it has some.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Broken::NoVersion => "the zone has no 'version' record",
            Broken::SeveralVersions => "'version' property TXT RRset contains more than one record, which is invalid",
            Broken::Version => "invalid record for the catalog zone version property",
            Broken::OtherVersion(version) => {
                return write!(f, "unsupported version '{version}'; versions 1 and 2 are known");
            }
            Broken::SeveralZones(node) => {
                return write!(f, "member zone PTR RRset contains more than one record, which is invalid: {node}");
            }
            Broken::SeveralOwners(node) => {
                return write!(f, "'coo' property PTR RRset contains more than one record, which is invalid: {node}");
            }
        };
        f.write_str(what)
    }
}

impl std::error::Error for Broken {}

#[cfg(test)]
mod tests {
    use zonefmt::{
        diagnostics::Source,
        zone::{self, Record},
    };

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    /// The catalog zone `c.` with these records.
    fn zone(text: &str) -> ZoneData {
        let origin = name("c");
        let text = format!("$TTL 0\n@ SOA invalid. invalid. 1 3600 600 2147483646 0\n@ NS invalid.\n{text}\n");
        let mut edit = ZoneData::new(origin.clone()).edit();
        let mut sink = |Record { owner, ttl, rtype, rdata, .. }: Record<'_>| {
            edit.add(owner, rtype, ttl, rdata).unwrap();
            Ok(())
        };
        let report = zone::parse(&Source::new("c", text), &zone::Options::new(origin.as_ref()), &mut sink);
        assert_eq!(report.errors, 0, "{:?}", report.diagnostics);
        edit.commit()
    }

    fn read(text: &str) -> Reading {
        Catalog::read(&zone(&format!("version TXT 2\n{text}")), None).unwrap()
    }

    fn broken(text: &str) -> Broken {
        Catalog::read(&zone(text), None).unwrap_err()
    }

    fn member(text: &str) -> (Member, Vec<Finding>) {
        let Reading { catalog, findings, .. } = read(&format!("u.zones PTR m.example.\n{text}"));
        assert_eq!(catalog.len(), 1);
        (catalog.member(&name("m.example")).unwrap().clone(), findings)
    }

    /// The example of RFC 9432 appendix A, but with BIND's properties in place of another server's.
    #[test]
    fn the_catalog_of_the_rfc() {
        let Reading { catalog, findings, .. } = read(
            "nj2xg5b.zones PTR example.com.\nnvxxezj.zones PTR example.net.\ngroup.nvxxezj.zones TXT operator-x-foo\n\
             nfwxa33.zones PTR example.org.\ncoo.nfwxa33.zones PTR newcatz.\ngroup.nfwxa33.zones TXT operator-y-bar\n\
             metrics.vendor.ext TXT yes",
        );
        // A property of others' making.
        let unknown = Finding::Unknown(name("metrics.vendor.ext.c"), Rtype::TXT);
        assert_eq!((catalog.len(), findings), (3, vec![unknown]));
        let member = |zone| catalog.member(&name(zone)).unwrap();
        assert_eq!((member("example.com").groups().count(), &*member("example.com").label), (0, &b"nj2xg5b"[..]));
        assert_eq!(member("EXAMPLE.net").groups().collect::<Vec<_>>(), [b"operator-x-foo"]);
        assert_eq!(member("example.org").coo, Some(name("newcatz")));
        assert_eq!(catalog.properties, Properties::default());
    }

    #[test]
    fn versions_that_must_not_be_used() {
        assert_eq!(broken("u.zones PTR m."), Broken::NoVersion);
        assert_eq!(broken("version A 192.0.2.1"), Broken::NoVersion);
        assert_eq!(broken("version TXT 2\nversion TXT 3"), Broken::SeveralVersions);
        assert_eq!(broken("version TXT 2 2"), Broken::Version);
        assert_eq!(broken("version TXT two"), Broken::Version);
        assert_eq!(broken("version TXT 3"), Broken::OtherVersion(3));
        let node = name("u.zones.c");
        assert_eq!(broken("version TXT 2\nu.zones PTR m.\nu.zones PTR n."), Broken::SeveralZones(node));
        let coo = name("coo.u.zones.c");
        let text = "version TXT 2\nu.zones PTR m.\ncoo.u.zones PTR a.\ncoo.u.zones PTR b.";
        assert_eq!(broken(text), Broken::SeveralOwners(coo));
    }

    #[test]
    fn what_is_unknown_is_ignored_and_told() {
        let unknown = "zones TXT t\nu.zones TXT t\nx.y.z.u.zones TXT t\na.b.c.d.e.f TXT t\nfoo.zones TXT t\n\
                       group.foo.zones TXT g\ngroup.u.zones A 192.0.2.1\nprimaries.u.zones A 192.0.2.1\n\
                       ext A 192.0.2.1\nunknown.ext.u.zones TXT t\na.b.primaries.ext A 192.0.2.1";
        assert_eq!(read(unknown).catalog.len(), 0);
        let (member, findings) = member(unknown);
        assert_eq!((member.groups.len(), member.properties), (0, None));
        assert_eq!(findings.len(), unknown.lines().count(), "{findings:?}");
        assert!(findings.iter().all(|finding| matches!(finding, Finding::Unknown(..))), "{findings:?}");
    }

    #[test]
    fn of_two_nodes_with_the_same_zone_the_former_one_stays() {
        let (one, two) = ("b.zones PTR m.", "a.zones PTR M.\nc.zones PTR m.\nb.zones PTR m.");
        let Reading { catalog: before, .. } = read(one);
        let after = Catalog::read(&zone(&format!("version TXT 2\n{two}")), Some(&before)).unwrap();
        assert_eq!(after.catalog, before);
        let duplicate = |label: &str| Finding::Duplicate { zone: name("m"), label: label.into() };
        assert_eq!(after.findings, [duplicate("a"), duplicate("c")]);
        assert_eq!(&*read(two).catalog.member(&name("m")).unwrap().label, b"a");
        assert_eq!(read("u.zones PTR c.").findings, [Finding::Itself(name("u.zones.c"))]);
    }

    #[test]
    fn groups_are_in_order() {
        let (grouped, findings) = member("group.u.zones TXT b\ngroup.u.zones TXT c c\ngroup.u.zones TXT a");
        assert_eq!(grouped.groups().collect::<Vec<_>>(), [b"a", b"b"]);
        assert!(
            matches!(&findings[..], [Finding::Malformed(owner, Rtype::TXT, _)] if *owner == name("group.u.zones.c"))
        );
    }

    #[test]
    fn primaries_have_the_key_beside_them() {
        let (found, findings) = member(
            "primaries.ext.u.zones A 192.0.2.1\nprimaries.ext.u.zones AAAA 2001:db8::1\n\
             signed.masters.ext.u.zones A 192.0.2.2\nsigned.masters.ext.u.zones TXT k.example\n\
             bad.primaries.ext.u.zones A 192.0.2.3\nbad.primaries.ext.u.zones TXT a b",
        );
        let servers: Vec<_> = found.properties.unwrap().primaries.unwrap();
        let servers: Vec<_> = servers.iter().map(|server| (server.address.to_string(), server.key.clone())).collect();
        let signed = ("192.0.2.2".to_owned(), Some(name("k.example")));
        assert_eq!(servers, [signed, ("192.0.2.1".into(), None), ("2001:db8::1".into(), None)]);
        assert!(
            matches!(&findings[..], [Finding::Malformed(owner, Rtype::TXT, _)] if owner.to_string().starts_with("bad."))
        );
        // A key that cannot be read is no leave to do without one.
        let (none, _) = member("a.primaries.ext.u.zones A 192.0.2.3\na.primaries.ext.u.zones TXT a..b");
        assert_eq!(none.properties.unwrap().primaries, Some(vec![]));
    }

    #[test]
    fn lists_of_addresses() {
        let text = "allow-query.ext.u.zones APL 1:192.0.2.0/24 !2:::/0\nallow-transfer.ext APL 1:192.0.2.1/32\n\
                    allow-transfer.ext APL\nu.zones PTR m.";
        let Reading { catalog, findings, .. } = read(text);
        let own = catalog.member(&name("m")).unwrap().properties.clone().unwrap();
        let query = own.allow_query.unwrap();
        let allows = |text: &str| query.allows(text.parse::<IpAddr>().unwrap());
        assert_eq!([allows("192.0.2.7"), allows("2001:db8::1"), allows("198.51.100.1")], [true, false, false]);
        // Of two lists nobody knows which one is meant.
        assert_eq!(catalog.properties.allow_transfer, Some(Acl::none()));
        assert!(matches!(findings[..], [Finding::Malformed(_, Rtype::APL, _)]));
    }

    #[test]
    fn version_1_has_its_properties_without_ext() {
        let text = "version TXT 1\nu.zones PTR m.\nprimaries A 192.0.2.1\nmasters.u.zones A 192.0.2.2\n\
                    primaries.ext A 192.0.2.3\ncoo.u.zones PTR d.\ngroup.u.zones TXT g";
        let catalog = Catalog::read(&zone(text), None).unwrap().catalog;
        let address = |properties: &Properties| properties.primaries.as_ref().unwrap()[0].address.to_string();
        let member = catalog.member(&name("m")).unwrap();
        assert_eq!(address(&catalog.properties), "192.0.2.1");
        assert_eq!(address(member.properties.as_ref().unwrap()), "192.0.2.2");
        assert_eq!((member.coo.clone(), member.groups.len()), (None, 0));
    }

    #[test]
    fn findings_are_bounded() {
        let nodes: Vec<_> = (0..30).map(|node| format!("u{node}.zones PTR m.")).collect();
        let Reading { findings, more, .. } = read(&nodes.join("\n"));
        assert_eq!((findings.len(), more), (MAX_FINDINGS, 9));
    }
}
