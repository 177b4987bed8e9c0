//! The statements about the files of a running server: its process number, its lock, and the key of `nsupdate -l`.

use std::path::{Path, PathBuf};

use zonefmt::{
    Name,
    conf::{Conf, Statement},
};

use super::{Reader, scope::Scope};
use crate::keys::Algorithm;

/// The files that a running server writes, as named.conf wants them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunFiles {
    pub(crate) pid: Option<RunFile>,
    pub(crate) lock: Option<PathBuf>,
    pub(crate) session_key: Option<SessionKey>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RunFile {
    pub(crate) path: PathBuf,
    /// Whether named.conf names it. A default that cannot be written is not an error.
    pub(crate) written: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SessionKey {
    pub(crate) file: RunFile,
    pub(crate) name: Name,
    pub(crate) algorithm: Algorithm,
}

impl RunFiles {
    /// The file of the process number unless named.conf names another one.
    pub const PID: &str = "/run/named/named.pid";
    /// The file in which `nsupdate -l` looks for its key unless named.conf names another one.
    pub const SESSION_KEY: &str = "/run/named/session.key";

    pub(super) fn read(options: &Scope<'_, '_>, directory: &Path, reader: &mut Reader<'_, '_>) -> RunFiles {
        let file = |name, default: &str| {
            let written = options.find(name).is_some();
            let path = if written { options.path(name)? } else { default.into() };
            Some(RunFile { path: directory.join(path), written })
        };
        RunFiles {
            pid: file("pid-file", RunFiles::PID),
            lock: options.path("lock-file").map(|path| directory.join(path)),
            session_key: file("session-keyfile", RunFiles::SESSION_KEY).map(|file| SessionKey {
                file,
                name: session_name(options, reader),
                algorithm: session_algorithm(options, reader).unwrap_or(Algorithm::HmacSha256),
            }),
        }
    }

    /// Replaces the lock (`-X`); `none` stands for no lock.
    pub fn locked_by(&mut self, path: PathBuf) {
        self.lock = Some(path).filter(|path| path != Path::new("none"));
    }
}

/// The name of the session key; `None` if there is none.
pub(super) fn session_key(conf: &Conf) -> Option<Name> {
    let options = conf.statements().find("options").map(Statement::block);
    let written = |name| options.as_ref()?.find(name)?.argument();
    if written("session-keyfile").is_some_and(|file| file.is("none")) {
        return None;
    }
    let name = written("session-keyname").and_then(|name| Name::from_ascii(name.text()).ok());
    Some(name.unwrap_or_else(default_session_name))
}

fn session_name(options: &Scope<'_, '_>, reader: &mut Reader<'_, '_>) -> Name {
    let written = options.find("session-keyname").and_then(Statement::argument);
    let read = written.map(|part| (part, Name::from_ascii(part.text())));
    if let Some((part, Err(error))) = &read {
        reader.findings.push(part.error(format!("`{}` is not the name of a key: {error}", part.shown())));
    }
    read.and_then(|(_, name)| name.ok()).unwrap_or_else(default_session_name)
}

fn default_session_name() -> Name {
    Name::from_ascii("local-ddns").expect("it is a name")
}

fn session_algorithm(options: &Scope<'_, '_>, reader: &mut Reader<'_, '_>) -> Option<Algorithm> {
    let part = options.find("session-keyalg")?.argument()?;
    let algorithm = Algorithm::from_name(&part.shown().to_ascii_lowercase());
    if algorithm.is_none() {
        let names = Algorithm::ALL.map(Algorithm::name).join(", ");
        let error = part.error(format!("there is no algorithm `{}`", part.shown()));
        reader.findings.push(error.help(format!("the algorithms are {names}")));
    }
    algorithm
}
