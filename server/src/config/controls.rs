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

/// What a warning about the key says of its effect.
const LOSES_CONTROL: &str = "rndc cannot control the server";
/// The port that rndc uses.
const PORT: u16 = 953;
/// The file of the key that rndc uses by default; `rndc-confgen -a` writes it.
const DEFAULT_KEY: &str = "/etc/bind/rndc.key";

/// What named.conf says of the control channel.
#[derive(Debug, Default)]
pub(crate) struct Controls {
    /// The addresses: those of `controls`, or else the loopback addresses if rndc's default key exists.
    pub(crate) listeners: Vec<Listener>,
    /// The key in rndc's default file, if it is needed and can be used.
    key: Option<Key>,
    /// Why it cannot be used, if it is needed.
    no_key: Option<NoKey>,
}

/// Why the key in rndc's default file cannot be used.
#[derive(Debug)]
struct NoKey {
    warning: Diagnostic,
    /// Whether there may be a key all the same, which somebody else can read.
    is_hidden: bool,
    /// Whether the channel's addresses are not written.
    everywhere: bool,
}

pub(super) fn read<'c>(conf: &'c Conf, known: &[NamedKey], reader: &mut Reader<'c, '_>) -> Controls {
    let written: Vec<Statement<'_>> = conf.statements().all("controls").collect();
    let mut controls = Controls::default();
    if written.is_empty() {
        controls.listeners = controls.default_key(reader).map_or_else(Vec::new, |key| default_listeners(&key));
        controls.no_key.iter_mut().for_each(|no_key| no_key.everywhere = true);
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
    /// Takes the key of the configuration before this one, where there may be one that cannot be read any more: a key that
    /// only root can read is read once, before the server becomes another user.
    pub(crate) fn keep_key(&mut self, before: &Controls) {
        let Some(no_key) = self.no_key.as_mut().filter(|no_key| no_key.is_hidden) else { return };
        let Some(key) = &before.key else { return };
        if no_key.everywhere {
            self.listeners = default_listeners(key);
        }
        for listener in self.listeners.iter_mut().filter(|listener| listener.rules.keys.is_empty()) {
            listener.rules.keys.push(key.clone());
        }
        self.key = Some(key.clone());
        let warning = &mut no_key.warning;
        warning.message = warning.message.replace(LOSES_CONTROL, "the channel keeps the key that it has");
        let help = "let the server's user read it, so that a new key is noticed: `chown root:GROUP` and `chmod 640`";
        warning.help = Some(help.to_owned());
    }

    /// The warning that a key is missing. It is one about this machine, and about whoever reads named.conf, rather than
    /// about named.conf.
    pub(crate) fn take_warning(&mut self) -> Option<Diagnostic> {
        self.no_key.take().map(|no_key| no_key.warning)
    }

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
        match key_in(Path::new(DEFAULT_KEY), reader.findings) {
            Ok(key) => self.key = Some(key),
            Err(no_key) => self.no_key = Some(*no_key),
        }
        self.key.clone()
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
fn key_in(file: &Path, findings: &mut Vec<Diagnostic>) -> Result<Key, Box<NoKey>> {
    const DECLINE: &str = "`controls { };` says that rndc is not wanted";
    let unusable = |cause: &str, remedy: &str| {
        let message = format!("cannot read the key of rndc: {cause}; {LOSES_CONTROL}");
        let warning = Diagnostic::of_file(Severity::Warning, file, message).help(format!("{remedy}; {DECLINE}"));
        Box::new(NoKey { warning, is_hidden: false, everywhere: false })
    };
    let make = "`rndc-confgen -a` makes the key";
    let source = Source::read(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unusable(&error.to_string(), make),
        _ => {
            let remedy = "the user that the server runs as must be able to read the file";
            Box::new(NoKey { is_hidden: true, ..*unusable(&error.to_string(), remedy) })
        }
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
        let mut said = |file: &Path| key_in(file, &mut findings).unwrap_err().warning.to_string();
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

    /// With `-u`, a key for root alone was lost at the first reload, and the channel closed.
    #[test]
    fn a_key_that_cannot_be_read_any_more_stays_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let key = Key::new("k", crate::keys::Algorithm::HmacSha256, "c2VjcmV0").unwrap();
        let before = Controls { key: Some(key), ..Controls::default() };
        let read = |file: &Path, everywhere| {
            let no_key = key_in(file, &mut Vec::new()).unwrap_err();
            let listener = Listener {
                address: "127.0.0.1:953".parse().unwrap(),
                allow: Acl::any(),
                rules: Rules { keys: Vec::new(), read_only: false },
            };
            let listeners = if everywhere { Vec::new() } else { vec![listener] };
            let mut controls = Controls { listeners, key: None, no_key: Some(NoKey { everywhere, ..*no_key }) };
            controls.keep_key(&before);
            controls
        };
        for everywhere in [true, false] {
            // A folder cannot be read by root either.
            let mut controls = read(folder.path(), everywhere);
            assert_eq!(controls.listeners.len(), if everywhere { 2 } else { 1 });
            assert!(controls.listeners.iter().all(|listener| listener.rules.keys[0].name() == "k"));
            let warning = controls.take_warning().unwrap().to_string();
            assert!(
                warning.contains("the channel keeps the key that it has (let the server's user read it"),
                "{warning}"
            );
            // And at the reload after that.
            assert!(controls.key.is_some());

            let gone = read(&missing, everywhere);
            assert!(gone.key.is_none() && gone.listeners.iter().all(|listener| listener.rules.keys.is_empty()));
        }
    }
}
