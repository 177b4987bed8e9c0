//! Rules for what `options` and `view` say for all zones, and for `server`.

use std::net::IpAddr;

use super::{again, floods, tls, unique, zones::forwards_nowhere};
use crate::{
    Class, Name, Rtype,
    conf::{
        Conf, Part, Statement, Statements,
        values::{self, number},
    },
    diagnostics::Findings,
    rdata,
};

/// Checks the statements of `options` and `view`.
pub(super) fn check(block: Statement<'_>, findings: &mut Findings) {
    floods::check(block, findings);
    let auto = block.block().find("auto-dnssec");
    if let Some(auto) = auto.filter(|auto| auto.argument().is_some_and(|value| !value.is("off"))) {
        findings.push(auto.error("`auto-dnssec` for all zones").help("write it in the zones that it is meant for"));
    }
    names_and_numbers(block, findings);
    if let Some(error) = forwards_nowhere(block) {
        findings.push(error);
    }
    tls::listeners(block, findings);
    for dns64 in block.block().all("dns64") {
        dns64_prefix(dns64, findings);
    }
    check_names(block, findings);
    rrset_order(block, findings);
}

/// Checks that a server of one address family has no source address of the other.
pub(super) fn servers(block: &Statements<'_>, findings: &mut Findings) {
    for server in block.all("server") {
        let Some((address, _)) = server.arguments().prefix() else { continue };
        for source in server.block() {
            let name = source.name();
            let is_v6 = name.ends_with("-source-v6");
            if (is_v6 || name.ends_with("-source")) && is_v6 != address.is_ipv6() {
                findings.push(source.error(format!("`{name}` has no meaning for {address}")).help("remove it"));
            }
        }
    }
}

/// The source addresses that a zone may have.
const OF_ZONES: [&str; 6] = [
    "notify-source",
    "notify-source-v6",
    "parental-source",
    "parental-source-v6",
    "transfer-source",
    "transfer-source-v6",
];

/// Checks that nothing is sent from the port on which the server listens. As in BIND, what a view says of transfers and
/// notifications is not looked at, and what `options` says only if there is a zone without a statement of its own.
/// `whole`: whether this is a whole configuration, which says on which port the server listens.
pub(super) fn source_ports(conf: &Conf, whole: bool, findings: &mut Findings) {
    const DOMAIN: u32 = 53;
    let written = conf.statements().find("options").and_then(|options| options.block().find("port")?.argument());
    let listens_on = written.and_then(|port| number(&port.text())).unwrap_or(DOMAIN);
    let mut check = |source: Statement<'_>| {
        let Some(port) = source.arguments().behind("port") else { return };
        let finding = match number(&port.text()) {
            Some(same) if same == listens_on => {
                port.error(format!("`{}` cannot use port {listens_on}, where the server listens", source.name()))
            }
            Some(_) => port.warning(format!("a port of its own in `{}` is deprecated", source.name())),
            None => return,
        };
        findings.push(finding.help("leave the port out"));
    };
    let is_source = |found: &Statement<'_>| found.name().trim_end_matches("-v6").ends_with("-source");
    for block in conf.statements().filter(|block| ["options", "view"].contains(&block.name())) {
        block.block().filter(|found| ["query-source", "query-source-v6"].contains(&found.name())).for_each(&mut check);
        block.block().all("server").for_each(|server| server.block().filter(is_source).for_each(&mut check));
    }
    for server in conf.statements().all("server") {
        server.block().filter(is_source).for_each(&mut check);
    }
    if !whole {
        return;
    }
    let options = conf.statements().find("options").map(Statement::block);
    let blocks = conf.statements().all("view").map(Statement::block).chain([conf.statements()]);
    let zones: Vec<_> = blocks
        .flat_map(|block| block.all("zone"))
        .map(Statement::block)
        .filter(|zone| zone.find("in-view").is_none())
        .collect();
    for name in OF_ZONES {
        zones.iter().filter_map(|zone| zone.find(name)).for_each(&mut check);
        if zones.iter().any(|zone| zone.find(name).is_none()) {
            options.as_ref().and_then(|options| options.find(name)).into_iter().for_each(&mut check);
        }
    }
}

/// Reports `check-names` for the same kind of zone by two of its names, such as `master` and `primary`.
fn check_names(block: Statement<'_>, findings: &mut Findings) {
    let former = |name: &str| match name {
        "master" => "primary".to_owned(),
        "slave" => "secondary".to_owned(),
        name => name.to_ascii_lowercase(),
    };
    let kinds = block.block().all("check-names").filter_map(Statement::argument);
    let mut seen: Vec<Part<'_>> = Vec::new();
    for kind in kinds {
        let other = seen.iter().find(|other| {
            former(&other.shown()) == former(&kind.shown()) && !other.shown().eq_ignore_ascii_case(&kind.shown())
        });
        if let Some(other) = other {
            findings.push(again("`check-names` for", kind, *other));
        }
        seen.push(kind);
    }
}

/// Checks the classes, types and names in `rrset-order`.
fn rrset_order(block: Statement<'_>, findings: &mut Findings) {
    for rule in block.block().find("rrset-order").into_iter().flat_map(Statement::block) {
        let parts = rule.arguments();
        let wrong = |keyword, reads: &dyn Fn(&str) -> bool| parts.behind(keyword).filter(|part| !reads(&part.shown()));
        let class = wrong("class", &|text| text.parse::<Class>().is_ok());
        let rtype = wrong("type", &|text| text.parse::<Rtype>().is_ok());
        let name = wrong("name", &|text| Name::from_ascii(text).is_ok());
        for (part, what) in [(class, "class"), (rtype, "record type"), (name, "domain name")] {
            if let Some(part) = part {
                findings.push(part.error(format!("`{}` is no {what}", part.shown())));
            }
        }
    }
}

/// Checks that named algorithms and digests exist, and that ranges do not end before they start.
fn names_and_numbers(block: Statement<'_>, findings: &mut Findings) {
    type Reads = fn(&[u8]) -> Option<u8>;
    let lists: [(&str, Reads, &str); 2] =
        [("disable-algorithms", rdata::algorithm, "algorithm"), ("disable-ds-digests", rdata::digest_type, "digest")];
    for (name, reads, what) in lists {
        for part in block.block().all(name).flat_map(Statement::block).filter_map(Statement::argument) {
            if reads(&part.text()).is_none() {
                findings.push(part.error(format!("there is no {what} `{}`", part.shown())));
            }
        }
    }
    unique(findings, block.block().all("dnssec-must-be-secure"), "`dnssec-must-be-secure` for", |domain| {
        domain.argument().and_then(|name| Name::from_ascii(name.text()).ok())
    });
    for ports in block.block().filter(|found| found.name().ends_with("-udp-ports")).flat_map(Statement::block) {
        let mut bounds = ports.arguments().filter_map(|part| number(&part.text()));
        if let (Some(low), Some(high)) = (bounds.next(), bounds.next())
            && low > high
        {
            findings.push(ports.error(format!("the range ends at {high}, before it begins")).help("swap the two"));
        }
    }
}

/// Checks that the prefix has one of six lengths and zeros in bits 64 to 71, and that the suffix fills the rest
/// (RFC 6052 2.2).
fn dns64_prefix(dns64: Statement<'_>, findings: &mut Findings) {
    let (Some(part), Some((address, length))) = (dns64.argument(), dns64.arguments().prefix()) else { return };
    let IpAddr::V6(address) = address else {
        return findings.push(part.error("the prefix of `dns64` is one of IPv6").help("write `64:ff9b::/96`"));
    };
    if ![32, 40, 48, 56, 64, 96].contains(&length) {
        let error = part.error("the prefix has a length that `dns64` has not");
        return findings.push(error.help("write one of 32, 40, 48, 56, 64 and 96 bits"));
    }
    if address.octets()[8] != 0 {
        let error = part.error("bits 64 to 71 of the prefix are not zero");
        return findings.push(error.help("they are reserved (RFC 6052 2.2)"));
    }
    let suffix = dns64.block().find("suffix").and_then(Statement::argument);
    let Some((suffix, value)) = suffix.and_then(|part| Some((part, values::ipv6(&part.text())?))) else { return };
    // Octets that are taken: the prefix, the IPv4 address, and the reserved octet if it lies between or after them.
    let taken = usize::from(length / 8) + 4 + usize::from(length <= 64);
    if value.octets()[..taken].iter().any(|&octet| octet != 0) {
        let error = suffix.error(format!("the first {taken} octets of the suffix are not zero"));
        findings.push(error.help("they belong to the prefix and the IPv4 address"));
    }
}
