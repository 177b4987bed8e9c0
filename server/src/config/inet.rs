//! `inet ADDRESS [port PORT] [allow { … }]`: an address of the control channel or of statistics, and who may connect.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use zonefmt::conf::{Part, Statement, values};

use super::Reader;
use crate::{access::Acl, listen::admin::Inet};

/// The address, with `port` unless another one is written, and the list, or else `allow`. `None` after an error, which was
/// reported.
pub(super) fn read<'c>(inet: Statement<'c>, port: u16, allow: Acl, reader: &mut Reader<'c, '_>) -> Option<Inet<()>> {
    let arguments = inet.arguments();
    let ip = match &*arguments.clone().next()?.text() {
        b"*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        text => std::str::from_utf8(text).ok()?.parse().ok()?,
    };
    let port = match arguments.clone().behind("port").filter(|port| !port.is("*")) {
        Some(port) => values::number(&port.text())?.try_into().ok()?,
        None => port,
    };
    let allow = match arguments.behind("allow").and_then(Part::block) {
        Some(list) => reader.acls.read(list).map_err(|error| reader.findings.push(*error)).ok()?,
        None => allow,
    };
    Some(Inet { address: SocketAddr::new(ip, port), allow, rules: () })
}
