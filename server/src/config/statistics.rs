//! The statements about statistics: where they are asked for, and the file that `rndc stats` writes.

use std::path::{Path, PathBuf};

use zonefmt::conf::{Conf, Statement};

use super::{Reader, inet, scope::Scope};
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
    let (address, allow) = inet::read(inet, PORT, reader)?;
    Some(Listener { address, allow: allow.unwrap_or_else(Acl::any) })
}
