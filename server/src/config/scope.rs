//! Looks a statement up in a block and then, if it is not there, in the block around.

use std::{collections::HashMap, ffi::OsStr, ops::RangeInclusive, os::unix::ffi::OsStrExt, path::PathBuf};

use zonefmt::conf::{Statement, values};

use super::Reader;
use crate::access::Acl;

/// The statements of `options` or of a `view`, by name, with the scope around. The grammar has checked the form of
/// each; a value that cannot be read all the same counts as not written.
pub(super) struct Scope<'c, 'o> {
    statements: HashMap<&'static str, Statement<'c>>,
    /// The statements that may be repeated, such as `check-names`.
    repeated: Vec<Statement<'c>>,
    outer: Option<&'o Scope<'c, 'o>>,
}

/// Statements that may be repeated: they add up, or each is about something different.
const REPEATED: [&str; 4] = ["listen-on", "listen-on-v6", "check-names", "cookie-secret"];

impl<'c, 'o> Scope<'c, 'o> {
    /// The scope of a block inside of `outer`.
    pub(super) fn new(block: impl Iterator<Item = Statement<'c>>, outer: Option<&'o Scope<'c, 'o>>) -> Scope<'c, 'o> {
        let mut scope = Scope { statements: HashMap::new(), repeated: Vec::new(), outer };
        for statement in block {
            if REPEATED.contains(&statement.name()) {
                scope.repeated.push(statement);
            } else {
                scope.statements.insert(statement.name(), statement);
            }
        }
        scope
    }

    /// A statement of this block, or else of those around.
    pub(super) fn find(&self, name: &str) -> Option<Statement<'c>> {
        self.own(name).or_else(|| self.outer?.find(name))
    }

    /// A statement of this block only.
    pub(super) fn own(&self, name: &str) -> Option<Statement<'c>> {
        self.statements.get(name).copied()
    }

    /// All statements of a name that may be repeated, those of the blocks around first.
    pub(super) fn all(&self, name: &str) -> Vec<Statement<'c>> {
        let mut all = self.outer.map_or(Vec::new(), |outer| outer.all(name));
        all.extend(self.repeated.iter().filter(|statement| statement.name() == name));
        all
    }

    /// The name of a file; `None` also for `none`.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        let part = self.find(name)?.argument().filter(|part| part.is_quoted())?;
        Some(path(&part.text()))
    }

    pub(super) fn number(&self, name: &str) -> Option<u32> {
        values::number(&self.find(name)?.argument()?.text())
    }

    pub(super) fn yes_no(&self, name: &str) -> Option<bool> {
        values::yes_no(&self.find(name)?.argument()?.text())
    }

    pub(super) fn acl(&self, name: &str, reader: &mut Reader<'c, '_>) -> Option<Acl> {
        let read = reader.acls.read(self.find(name)?.block());
        read.map_err(|error| reader.findings.push(*error)).ok()
    }

    /// A text; `None` for `none`, this machine's name for `hostname`.
    pub(super) fn text(&self, name: &str, default: impl FnOnce() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        match self.find(name).and_then(Statement::argument) {
            Some(part) if part.is_quoted() => Some(part.text().into_owned()),
            Some(part) if part.is("hostname") => hostname(),
            Some(_) => None,
            None => default(),
        }
    }

    /// A number. Outside of the bounds the nearer one is taken, as by BIND, but with a warning.
    pub(super) fn bounded(
        &self,
        name: &str,
        bounds: RangeInclusive<u32>,
        unit: &str,
        reader: &mut Reader<'c, '_>,
    ) -> Option<u32> {
        let part = self.find(name)?.argument()?;
        let written = values::number(&part.text())?;
        let obeyed = written.clamp(*bounds.start(), *bounds.end());
        // The block that has the statement reports it.
        if obeyed != written && self.statements.contains_key(name) {
            let (least, most) = bounds.into_inner();
            let warning = part.warning(format!("`{name}` is {least} to {most} {unit}; {obeyed} is taken"));
            reader.findings.push(warning);
        }
        Some(obeyed)
    }
}

/// The name of a file.
pub(super) fn path(octets: &[u8]) -> PathBuf {
    OsStr::from_bytes(octets).into()
}

/// This machine's name.
pub(super) fn hostname() -> Option<Vec<u8>> {
    let name = std::fs::read("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim_ascii().to_vec()).filter(|name| !name.is_empty())
}
