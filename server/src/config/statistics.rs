//! The statements about statistics: the addresses that they are served at, and the file that `rndc stats` writes.

use std::path::{Path, PathBuf};

use zonefmt::conf::{Conf, Statement};

use super::{Reader, inet, scope::Scope};
use crate::{access::Acl, stats::Listener};

/// The port of a channel that is written without one.
const PORT: u16 = 80;

/// The addresses of all `statistics-channels`.
pub(super) fn channels<'c>(conf: &'c Conf, reader: &mut Reader<'c, '_>) -> Vec<Listener> {
    let written: Vec<Statement<'_>> = conf.statements().all("statistics-channels").collect();
    written.into_iter().flat_map(Statement::block).filter_map(|inet| channel(inet, reader)).collect()
}

/// The file that `rndc stats` appends to (`statistics-file`).
pub(super) fn file(options: &Scope<'_, '_>, directory: &Path) -> PathBuf {
    directory.join(options.path("statistics-file").unwrap_or_else(|| "named.stats".into()))
}

/// `inet ADDRESS [port PORT] [allow { … }]`; without a list everybody is allowed, as in BIND.
fn channel<'c>(inet: Statement<'c>, reader: &mut Reader<'c, '_>) -> Option<Listener> {
    inet::read(inet, PORT, Acl::any(), reader)
}
