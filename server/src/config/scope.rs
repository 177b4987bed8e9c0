//! Where a statement is looked for: in a block, and where it is not there, in the block around it.

use std::{collections::HashMap, ffi::OsStr, ops::RangeInclusive, os::unix::ffi::OsStrExt, path::PathBuf};

use zonefmt::conf::{Statement, values};

use super::Reader;
use crate::access::Acl;

/// The statements of `options` or of a `view`, by name; what is not there is looked for in the scope around. The grammar
/// has seen to it that each has its form; what is read here and does not read is taken as not written.
pub(super) struct Scope<'c, 'o> {
    statements: HashMap<&'static str, Statement<'c>>,
    /// Those that may be repeated, as `check-names`.
    repeated: Vec<Statement<'c>>,
    outer: Option<&'o Scope<'c, 'o>>,
}

/// Statements that add up, or speak of something different each time.
const REPEATED: [&str; 4] = ["listen-on", "listen-on-v6", "check-names", "cookie-secret"];

impl<'c, 'o> Scope<'c, 'o> {
    /// The scope of these statements.
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

    pub(super) fn find(&self, name: &str) -> Option<Statement<'c>> {
        self.own(name).or_else(|| self.outer?.find(name))
    }

    /// A statement of this block itself.
    pub(super) fn own(&self, name: &str) -> Option<Statement<'c>> {
        self.statements.get(name).copied()
    }

    /// All statements of a name that may be repeated, those of the scope around first.
    pub(super) fn all(&self, name: &str) -> Vec<Statement<'c>> {
        let mut all = self.outer.map_or(Vec::new(), |outer| outer.all(name));
        all.extend(self.repeated.iter().filter(|statement| statement.name() == name));
        all
    }

    /// A name of a file; `None` also if it is `none`.
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

    /// A text, `none` or `hostname`.
    pub(super) fn text(&self, name: &str, default: impl FnOnce() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        match self.find(name).and_then(Statement::argument) {
            Some(part) if part.is_quoted() => Some(part.text().into_owned()),
            Some(part) if part.is("hostname") => hostname(),
            Some(_) => None,
            None => default(),
        }
    }

    /// A number; beyond the bounds the nearer one holds, as in BIND, but with a warning.
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
        // What the scope around says, that has reported.
        if obeyed != written && self.statements.contains_key(name) {
            let (least, most) = bounds.into_inner();
            let warning = part.warning(format!("`{name}` is {least} to {most} {unit}; {obeyed} is taken"));
            reader.findings.push(warning);
        }
        Some(obeyed)
    }
}

/// A name of a file.
pub(super) fn path(octets: &[u8]) -> PathBuf {
    OsStr::from_bytes(octets).into()
}

/// This machine's name.
pub(super) fn hostname() -> Option<Vec<u8>> {
    let name = std::fs::read("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim_ascii().to_vec()).filter(|name| !name.is_empty())
}
