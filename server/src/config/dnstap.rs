//! The statements about dnstap: which messages are tapped, and where they are written.

use std::path::Path;

use zonefmt::conf::{Part, Statement};

use super::{
    Reader,
    logging::log_file,
    scope::{Scope, hostname, path},
};
use crate::dnstap::{Destination, Output, Taps};

/// Where messages are written; `None`: nowhere.
pub(super) fn output(options: &Scope<'_, '_>, directory: &Path) -> Option<Output> {
    let mut arguments = options.find("dnstap-output")?.arguments();
    let destination = if arguments.next()?.is("unix") {
        Destination::Unix(directory.join(path(&arguments.next()?.text())))
    } else {
        Destination::File(log_file(arguments, directory, true)?)
    };
    let version = concat!("bindyd ", env!("CARGO_PKG_VERSION"));
    Some(Output {
        destination,
        identity: options.text("dnstap-identity", hostname),
        version: options.text("dnstap-version", || Some(version.into())),
    })
}

/// The messages that are tapped. Only those of an authoritative server can be, whatever else is wanted.
pub(super) fn taps<'c>(scope: &Scope<'c, '_>, reader: &mut Reader<'c, '_>) -> Taps {
    let Some(statement) = scope.find("dnstap") else { return Taps::default() };
    if scope.find("dnstap-output").is_none() {
        let error = statement.error("`dnstap` says what, and nothing says where");
        reader.findings.push(error.help("add `dnstap-output` to `options`"));
    }
    let mut taps = Taps::default();
    for entry in statement.block() {
        want(entry, &mut taps);
    }
    taps
}

/// Adds what an entry such as `auth` or `all query` wants.
fn want(entry: Statement<'_>, taps: &mut Taps) {
    let mut words = entry.arguments();
    let Some(kind) = words.next() else { return };
    let only = words.next().map(Part::shown);
    let wants = |word: &str| only.as_ref().is_none_or(|only| only.eq_ignore_ascii_case(word));
    for (name, wanted) in [("auth", &mut taps.auth), ("update", &mut taps.update)] {
        if kind.is(name) || kind.is("all") {
            wanted.queries |= wants("query");
            wanted.responses |= wants("response");
        }
    }
}
