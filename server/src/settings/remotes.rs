//! Remote servers that this one sends messages to, and the addresses that these are sent from.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use zonefmt::Name;

/// A remote server in a list such as `primaries` or `also-notify`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Remote {
    /// Its address and port.
    pub address: SocketAddr,
    /// The name of the key that messages to it are signed with; `None` for that of its `server` statement, if any.
    pub key: Option<Name>,
}

/// The addresses and ports that messages are sent from (`transfer-source`, `notify-source`). Address 0 leaves the choice
/// of the address to the system, and port 0 that of the port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sources {
    /// Towards IPv4 addresses.
    pub v4: SocketAddrV4,
    /// Towards IPv6 addresses.
    pub v6: SocketAddrV6,
}

impl Sources {
    /// The address and port to send from to this address.
    pub fn towards(&self, to: SocketAddr) -> SocketAddr {
        if to.is_ipv4() { self.v4.into() } else { self.v6.into() }
    }
}

impl Default for Sources {
    fn default() -> Sources {
        let (v4, v6) = (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED);
        Sources { v4: SocketAddrV4::new(v4, 0), v6: SocketAddrV6::new(v6, 0, 0, 0) }
    }
}
