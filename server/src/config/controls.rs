//! The statement `controls`: the addresses of the control channel, and the keys of each.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use zonefmt::{
    conf::{self, Conf, Part, Statement, values},
    diagnostics::{Diagnostic, Severity, Source},
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

/// What named.conf says of the control channel.
#[derive(Default)]
pub(super) struct Controls {
    /// The addresses: those of `controls`, or else the loopback addresses if rndc's default key exists.
    pub(super) listeners: Vec<Listener>,
    /// Why that key cannot be used, if it is needed.
    pub(super) no_key: Option<Diagnostic>,
}

pub(super) fn read<'c>(conf: &'c Conf, known: &[NamedKey], reader: &mut Reader<'c, '_>) -> Controls {
    let written: Vec<Statement<'_>> = conf.statements().all("controls").collect();
    let mut controls = Controls::default();
    if written.is_empty() {
        controls.listeners = controls.default_key(reader).map_or_else(Vec::new, |key| default_listeners(&key));
    }
    for statement in written.into_iter().flat_map(Statement::block) {
        match statement.name() {
            "inet" => controls.add(statement, known, reader),
            _ => {
                let error = statement.error("a control channel on a Unix socket is not supported");
                reader.findings.push(error.help("use `inet 127.0.0.1 allow { localhost; } keys { … };`"));
            }
        }
    }
    controls
}

impl Controls {
    /// Reads `inet ADDRESS [port PORT] allow { … } [keys { … }] [read-only …]`.
    fn add<'c>(&mut self, statement: Statement<'c>, known: &[NamedKey], reader: &mut Reader<'c, '_>) {
        let Some(Inet { address, allow, rules: () }) = inet::read(statement, PORT, Acl::none(), reader) else { return };
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
            own.extend(self.default_key(reader));
        }
        let read_only = arguments.behind("read-only").and_then(|part| values::yes_no(&part.text())).unwrap_or(false);
        self.listeners.push(Listener { address, allow, rules: Rules { keys: own, read_only } });
    }

    /// The key in rndc's default file, or a note why there is none.
    fn default_key(&mut self, reader: &mut Reader<'_, '_>) -> Option<Key> {
        key_in(Path::new(DEFAULT_KEY), reader.findings).map_err(|cause| self.no_key = Some(*cause)).ok()
    }
}

fn default_listeners(key: &Key) -> Vec<Listener> {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let listener = |ip| Listener {
        address: SocketAddr::new(ip, PORT),
        allow: Acl::any(),
        rules: Rules { keys: vec![key.clone()], read_only: false },
    };
    loopback.map(listener).into()
}

/// The key in this file. Errors in the file are findings; the error is that it cannot be read, or that it has no key.
fn key_in(file: &Path, findings: &mut Vec<Diagnostic>) -> Result<Key, Box<Diagnostic>> {
    const DECLINE: &str = "`controls { };` says that rndc is not wanted";
    let unusable = |cause: &str, remedy: &str| {
        let message = format!("cannot read the key of rndc: {cause}; rndc cannot control the server");
        Box::new(Diagnostic::of_file(Severity::Warning, file, message).help(format!("{remedy}; {DECLINE}")))
    };
    let make = "`rndc-confgen -a` makes the key";
    let source = Source::read(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unusable(&error.to_string(), make),
        _ => unusable(&error.to_string(), "the user that the server runs as must be able to read the file"),
    })?;
    let conf = conf::parse(source).map_err(|found| {
        findings.extend(found);
        unusable("it has errors", make)
    })?;
    let key = keys::read(&conf.statements(), findings).into_iter().next();
    key.map(|known| known.key).ok_or_else(|| unusable("it has no `key` statement", make))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_wrong_with_the_key_of_rndc_is_said_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, empty, good) =
            (folder.path().join("missing"), folder.path().join("empty"), folder.path().join("good"));
        std::fs::write(&empty, "").unwrap();
        std::fs::write(&good, "key k { algorithm hmac-sha256; secret \"MDEyMzQ1Njc4OWFiY2RlZg==\"; };").unwrap();
        let mut findings = Vec::new();
        let mut said = |file: &Path| key_in(file, &mut findings).unwrap_err().to_string();
        for (file, cause, remedy) in [
            (&*missing, "No such file or directory", "rndc-confgen -a"),
            (folder.path(), "Is a directory", "must be able to read the file"),
            (&*empty, "it has no `key` statement", "rndc-confgen -a"),
        ] {
            let said = said(file);
            assert!(said.contains(cause) && said.contains(remedy) && said.contains("`controls { };`"), "{said}");
        }
        assert_eq!(key_in(&good, &mut findings).unwrap().name(), "k");
        assert!(findings.is_empty());
    }
}
