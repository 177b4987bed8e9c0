//! The addresses of this machine, for `localhost`, `localnets` and `listen-on`.

use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use zonefmt::conf::{Statement, values};

use super::scope::Scope;
use crate::access::{Acl, Match, Prefix, Rule};

/// The addresses of this machine and the networks that they lie in.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Interfaces(Vec<Interface>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Interface {
    address: IpAddr,
    /// The length of the network's prefix, in bits.
    length: u8,
    /// The interface's number: link-local addresses mean something only together with it (RFC 4007 6).
    index: u32,
}

impl Interfaces {
    /// The addresses that this machine has now.
    ///
    /// # Errors
    /// The system does not list them.
    pub fn now() -> io::Result<Interfaces> {
        let address = |interface: if_addrs::Interface| {
            let index = interface.index.unwrap_or(0);
            match interface.addr {
                if_addrs::IfAddr::V4(v4) => Interface { address: v4.ip.into(), length: v4.prefixlen, index },
                if_addrs::IfAddr::V6(v6) => Interface { address: v6.ip.into(), length: v6.prefixlen, index },
            }
        };
        let mut addresses: Vec<_> = if_addrs::get_if_addrs()?.into_iter().map(address).collect();
        addresses.sort_unstable();
        Ok(Interfaces(addresses))
    }

    /// How often to look whether they changed (`interface-interval`, by default an hour); `None`: never.
    pub(super) fn interval(options: &Scope<'_, '_>) -> Option<Duration> {
        const DEFAULT: u32 = 3600;
        let written = options.find("interface-interval").and_then(Statement::argument);
        let seconds = written.and_then(|part| values::duration(&part.text())).unwrap_or(DEFAULT);
        (seconds != 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// Whether one of them has this address.
    pub(crate) fn have(&self, address: IpAddr) -> bool {
        self.0.iter().any(|interface| interface.address == address)
    }

    /// A port of each address.
    pub(crate) fn sockets(&self, port: u16) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().map(move |interface| match interface.address {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => SocketAddrV6::new(v6, port, 0, interface.index).into(),
            address => SocketAddr::new(address, port),
        })
    }

    /// The list `localhost`: these addresses.
    pub fn addresses(&self) -> Acl {
        list(self.0.iter().map(|interface| Prefix::new(interface.address, u8::MAX)))
    }

    /// The list `localnets`: the networks of these addresses.
    pub fn networks(&self) -> Acl {
        list(self.0.iter().map(|interface| Prefix::new(interface.address, interface.length)))
    }
}

fn list(prefixes: impl Iterator<Item = Prefix>) -> Acl {
    let rule = |prefix| Rule { negated: false, matches: Match::Prefix(prefix) };
    Acl::new(prefixes.map(rule).collect())
}
