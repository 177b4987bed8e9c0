//! The statement `controls`: the addresses of the control channel, and the keys of each.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use zonefmt::{
    conf::{self, Conf, Part, Statement, values},
    diagnostics::Source,
};

use super::{
    Reader, inet,
    keys::{self, NamedKey},
};
use crate::{
    access::Acl,
    control::{Listener, Rules},
    keys::Key,
    listen::admin::Inet,
};

/// The port that rndc uses.
const PORT: u16 = 953;
/// The file of the key that rndc uses by default; `rndc-confgen -a` writes it.
const DEFAULT_KEY: &str = "/etc/bind/rndc.key";

/// The addresses of the control channel: those of `controls`, or else the loopback addresses if rndc's default key
/// exists.
pub(super) fn listeners<'c>(conf: &'c Conf, known: &[NamedKey], reader: &mut Reader<'c, '_>) -> Vec<Listener> {
    let written: Vec<Statement<'_>> = conf.statements().all("controls").collect();
    if written.is_empty() {
        return default_listeners(reader);
    }
    let mut listeners = Vec::new();
    for statement in written.into_iter().flat_map(Statement::block) {
        match statement.name() {
            "inet" => listeners.extend(listener(statement, known, reader)),
            _ => {
                let error = statement.error("a control channel on a Unix socket is not supported");
                reader.findings.push(error.help("use `inet 127.0.0.1 allow { localhost; } keys { … };`"));
            }
        }
    }
    listeners
}

/// Reads `inet ADDRESS [port PORT] allow { … } [keys { … }] [read-only …]`.
fn listener<'c>(statement: Statement<'c>, known: &[NamedKey], reader: &mut Reader<'c, '_>) -> Option<Listener> {
    let Inet { address, allow, rules: () } = inet::read(statement, PORT, Acl::none(), reader)?;
    let arguments = statement.arguments();
    let mut own = Vec::new();
    for named in arguments.behind("keys").and_then(Part::block).into_iter().flatten() {
        let Some(part) = named.argument() else { continue };
        match known.iter().find(|known| known.key.name().eq_ignore_ascii_case(&part.shown())) {
            Some(known) => own.push(known.key.clone()),
            None => {
                let error = part.error(format!("there is no key `{}`", part.shown()));
                reader.findings.push(error.help("define it with `key`, outside of all blocks"));
            }
        }
    }
    if own.is_empty() {
        own.extend(default_key(reader));
    }
    let read_only = arguments.behind("read-only").and_then(|part| values::yes_no(&part.text())).unwrap_or(false);
    Some(Listener { address, allow, rules: Rules { keys: own, read_only } })
}

fn default_listeners(reader: &mut Reader<'_, '_>) -> Vec<Listener> {
    let Some(key) = default_key(reader) else { return Vec::new() };
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let listener = |ip| Listener {
        address: SocketAddr::new(ip, PORT),
        allow: Acl::any(),
        rules: Rules { keys: vec![key.clone()], read_only: false },
    };
    loopback.map(listener).into()
}

/// The key in rndc's default file; `None` if the file is missing or cannot be read.
fn default_key(reader: &mut Reader<'_, '_>) -> Option<Key> {
    let source = Source::read(Path::new(DEFAULT_KEY)).ok()?;
    match conf::parse(source) {
        Ok(conf) => keys::read(&conf.statements(), reader.findings).into_iter().next().map(|known| known.key),
        Err(findings) => {
            reader.findings.extend(findings);
            None
        }
    }
}
