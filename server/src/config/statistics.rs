//! The statements about statistics: where they are asked for, and the file that `rndc stats` writes.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use zonefmt::conf::{Conf, Part, Statement, values};

use super::{Reader, scope::Scope};
use crate::{access::Acl, stats::Listener};

/// Where a browser looks for a server.
const PORT: u16 = 80;

/// What is said of statistics.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Where they are asked for (`statistics-channels`).
    pub channels: Vec<Listener>,
    /// What `rndc stats` appends to (`statistics-file`).
    pub file: PathBuf,
}

impl Statistics {
    pub(super) fn read<'c>(
        conf: &'c Conf,
        options: &Scope<'c, '_>,
        directory: &Path,
        reader: &mut Reader<'c, '_>,
    ) -> Statistics {
        let written: Vec<Statement<'_>> = conf.statements().all("statistics-channels").collect();
        let places = written.into_iter().flat_map(Statement::block);
        Statistics {
            channels: places.filter_map(|inet| channel(inet, reader)).collect(),
            file: directory.join(options.path("statistics-file").unwrap_or_else(|| "named.stats".into())),
        }
    }
}

/// `inet ADDRESS [port PORT] [allow { … }]`; without a list everybody is allowed, as in BIND.
fn channel<'c>(inet: Statement<'c>, reader: &mut Reader<'c, '_>) -> Option<Listener> {
    let arguments = inet.arguments();
    let ip = match &*arguments.clone().next()?.text() {
        b"*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        text => std::str::from_utf8(text).ok()?.parse().ok()?,
    };
    let port = match arguments.behind("port") {
        Some(port) if port.is("*") => PORT,
        Some(port) => values::number(&port.text())?.try_into().ok()?,
        None => PORT,
    };
    let allow = match arguments.behind("allow").and_then(Part::block) {
        Some(list) => reader.acls.read(list).map_err(|error| reader.findings.push(*error)).ok()?,
        None => Acl::any(),
    };
    Some(Listener { address: SocketAddr::new(ip, port), allow })
}
