//! The addresses to listen on: `listen-on`, `listen-on-v6`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use zonefmt::conf::{Conf, Statement, values};

use super::{Family, Reader, scope::Scope};
use crate::access::{Acl, Match, Rule};

const DEFAULT_PORT: u16 = 53;

/// The port of addresses that are written without one.
pub(super) fn port(conf: &Conf) -> u16 {
    let written = conf.statements().find("options").and_then(|options| options.block().find("port")?.argument());
    let port = written.and_then(|port| values::number(&port.text())?.try_into().ok());
    port.unwrap_or(DEFAULT_PORT)
}

/// Where to listen.
#[derive(Default, Debug)]
pub(super) struct Places {
    /// The addresses and ports. `any` is a wildcard address, so that addresses may come and go.
    pub(super) sockets: Vec<SocketAddr>,
    /// Addresses that are written and that no interface has yet.
    pub(super) awaited: Vec<IpAddr>,
}

/// Where to listen, as `listen-on` and `listen-on-v6` say.
pub(super) fn places<'c>(
    options: &Scope<'c, '_>,
    port: u16,
    only: Option<Family>,
    reader: &mut Reader<'c, '_>,
) -> Places {
    let mut places = Places::default();
    for (name, family) in [("listen-on", Family::V4), ("listen-on-v6", Family::V6)] {
        if only.is_some_and(|only| only != family) {
            continue;
        }
        let written = options.all(name);
        if written.is_empty() && is_available(family) {
            places.sockets.push(SocketAddr::new(wildcard(family), port));
        }
        for statement in written {
            places.add(statement, family, port, reader);
        }
    }
    places
}

impl Places {
    /// Adds the addresses of one `listen-on`.
    fn add<'c>(&mut self, statement: Statement<'c>, family: Family, port: u16, reader: &mut Reader<'c, '_>) {
        let arguments = statement.arguments();
        let tls = arguments.clone().behind("tls").filter(|tls| !tls.is("none"));
        if let Some(unsupported) = tls.or_else(|| arguments.clone().behind("http")) {
            let error = unsupported.error("TLS and HTTPS are not supported yet").help("remove the statement");
            return reader.findings.push(error);
        }
        let port =
            arguments.behind("port").and_then(|port| values::number(&port.text())).map_or(port, |port| port as u16);
        let acl = match reader.acls.read(statement.block()) {
            Ok(acl) => acl,
            Err(error) => return reader.findings.push(*error),
        };
        if acl == Acl::any() {
            return self.sockets.push(SocketAddr::new(wildcard(family), port));
        }
        let of_family = |address: IpAddr| address.is_ipv4() == (family == Family::V4);
        let written: Vec<_> = singles(&acl).into_iter().filter(|&address| of_family(address)).collect();
        let interfaces = reader.acls.interfaces();
        // Every address of 127.0.0.0/8 can be listened on, although no interface lists it.
        let loopback = written.iter().filter(|address| address.is_loopback());
        let present = interfaces.sockets(port).chain(loopback.map(|&address| SocketAddr::new(address, port)));
        let mut sockets: Vec<_> = present.filter(|socket| of_family(socket.ip()) && acl.allows(socket.ip())).collect();
        sockets.sort_unstable();
        sockets.dedup();
        let is_absent = |address: &IpAddr| acl.allows(*address) && sockets.iter().all(|there| there.ip() != *address);
        for address in written.into_iter().filter(is_absent) {
            let warning = statement.warning(format!("no interface of this machine has the address {address}"));
            let help = "the server listens there as soon as one has; `ip address` shows those there are";
            reader.findings.push(warning.help(help));
            self.awaited.push(address);
        }
        self.sockets.extend(sockets);
    }
}

/// The single addresses that a list names, those in lists of it included.
fn singles(acl: &Acl) -> Vec<IpAddr> {
    let of_rule = |rule: &Rule| match &rule.matches {
        Match::Prefix(prefix) => prefix.address().into_iter().collect(),
        Match::List(list) => singles(list),
        Match::Any | Match::Key(_) => Vec::new(),
    };
    acl.rules().iter().filter(|rule| !rule.negated).flat_map(of_rule).collect()
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
