//! The addresses to listen on: `listen-on`, `listen-on-v6`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use zonefmt::conf::{Statement, values};

use super::{Family, Reader, scope::Scope};
use crate::access::{Acl, Match};

const DEFAULT_PORT: u16 = 53;

/// The port of addresses that are written without one.
pub(super) fn port(options: &Scope<'_, '_>) -> u16 {
    options.number("port").and_then(|port| port.try_into().ok()).unwrap_or(DEFAULT_PORT)
}

/// The addresses to listen on. `any` becomes the wildcard address, so that addresses may come and go.
pub(super) fn addresses<'c>(
    options: &Scope<'c, '_>,
    port: u16,
    only: Option<Family>,
    reader: &mut Reader<'c, '_>,
) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for (name, family) in [("listen-on", Family::V4), ("listen-on-v6", Family::V6)] {
        if only.is_some_and(|only| only != family) {
            continue;
        }
        let written = options.all(name);
        if written.is_empty() && is_available(family) {
            addresses.push(SocketAddr::new(wildcard(family), port));
        }
        for statement in written {
            addresses.extend(listener(statement, family, port, reader));
        }
    }
    addresses
}

/// The addresses of one `listen-on`.
fn listener<'c>(statement: Statement<'c>, family: Family, port: u16, reader: &mut Reader<'c, '_>) -> Vec<SocketAddr> {
    let arguments = statement.arguments();
    let tls = arguments.clone().behind("tls").filter(|tls| !tls.is("none"));
    if let Some(unsupported) = tls.or_else(|| arguments.clone().behind("http")) {
        reader.findings.push(unsupported.error("TLS and HTTPS are not supported yet").help("remove the statement"));
        return Vec::new();
    }
    let port = arguments.behind("port").and_then(|port| values::number(&port.text())).map_or(port, |port| port as u16);
    let acl = match reader.acls.read(statement.block()) {
        Ok(acl) => acl,
        Err(error) => {
            reader.findings.push(*error);
            return Vec::new();
        }
    };
    if acl == Acl::any() {
        return vec![SocketAddr::new(wildcard(family), port)];
    }
    let present: Vec<_> = reader.acls.interfaces().iter().collect();
    let of_family = |address: &IpAddr| address.is_ipv4() == (family == Family::V4);
    // Every address of 127.0.0.0/8 can be listened on, although no interface lists it.
    let written = acl.rules().iter().filter_map(|rule| match rule.matches {
        Match::Prefix(prefix) => prefix.address().filter(IpAddr::is_loopback),
        _ => None,
    });
    let mut addresses: Vec<_> =
        present.iter().copied().chain(written).filter(of_family).filter(|&address| acl.allows(address)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    for rule in acl.rules().iter().filter(|rule| !rule.negated) {
        if let Match::Prefix(prefix) = rule.matches
            && let Some(address) = prefix.address().filter(of_family)
            && !addresses.contains(&address)
        {
            let warning = statement.warning(format!("no interface of this machine has the address {address}"));
            reader.findings.push(warning.help("`ip address` shows those there are"));
        }
    }
    addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect()
}

/// Whether the kernel supports the family: a default must not fail.
fn is_available(family: Family) -> bool {
    UdpSocket::bind((wildcard(family), 0)).is_ok()
}

fn wildcard(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}
