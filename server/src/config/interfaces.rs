//! The addresses of this machine, for `localhost`, `localnets` and `listen-on`.

use std::{io, net::IpAddr, time::Duration};

use zonefmt::conf::{Statement, values};

use super::scope::Scope;
use crate::access::{Acl, Match, Prefix, Rule};

/// The addresses of this machine and the networks that they lie in.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Interfaces(Vec<(IpAddr, u8)>);

impl Interfaces {
    /// The addresses that this machine has now.
    ///
    /// # Errors
    /// The system does not list them.
    pub fn now() -> io::Result<Interfaces> {
        let address = |interface: if_addrs::Interface| match interface.addr {
            if_addrs::IfAddr::V4(v4) => (v4.ip.into(), v4.prefixlen),
            if_addrs::IfAddr::V6(v6) => (v6.ip.into(), v6.prefixlen),
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

    /// The addresses, without their networks.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().map(|&(address, _)| address)
    }

    /// The list `localhost`: these addresses.
    pub fn addresses(&self) -> Acl {
        list(self.iter().map(|address| Prefix::new(address, u8::MAX)))
    }

    /// The list `localnets`: the networks of these addresses.
    pub fn networks(&self) -> Acl {
        list(self.0.iter().map(|&(address, length)| Prefix::new(address, length)))
    }
}

fn list(prefixes: impl Iterator<Item = Prefix>) -> Acl {
    let rule = |prefix| Rule { negated: false, matches: Match::Prefix(prefix) };
    Acl::new(prefixes.map(rule).collect())
}
