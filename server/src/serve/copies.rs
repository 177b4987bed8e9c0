//! Remembers which copies of catalogs' members there are, and under which unique labels they were made.
//!
//! Under another label a zone has no past (RFC 9432 5.4), and a zone that left takes its state along (5.3), also if a
//! catalog says so while the server is stopped or has put the new version off. So a copy is only used while the list of
//! its catalog's copies, a file beside them, has it under its present label. The list has a copy before that is written
//! and until it is removed. What is in no list is another's, or was left by named, which has none.

use std::{
    fs,
    io::{self, Write},
    mem,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use rustc_hash::FxHashMap;
use tracing::error;
use zonefmt::durable;

use super::sources::{Sources, User, remove_copy};
use crate::{
    config::CatalogConfig,
    live::{Lease, NoLease},
};

/// The copies of the members of all catalogs: by list, what is on the disk. A list that cannot be read, or whose folder is
/// another process's, is missing. And the right to write in the folders of those that are there.
#[derive(Default)]
pub(super) struct Copies(FxHashMap<PathBuf, Labels>, Vec<Lease>);

/// The unique label of each copy, by the name of its file.
pub(super) type Labels = FxHashMap<String, Box<[u8]>>;

/// The first line of a list. The others have a label in hexadecimal and the name of a file each.
const HEADER: &str = "; The copies that bindyd has of a catalog's members, with the unique labels that these had.";

impl Copies {
    /// Reads the lists of these catalogs that are not known yet, and lets go of all others.
    pub(super) fn open<'c>(&mut self, catalogs: impl Iterator<Item = &'c CatalogConfig>) {
        let (mut known, _held) = (mem::take(&mut self.0), mem::take(&mut self.1));
        self.0.extend(catalogs.filter_map(|catalog| {
            let list = catalog.copies.as_ref()?;
            match Lease::take(list.parent().unwrap_or(list)) {
                Ok(lease) => self.1.push(lease),
                Err(NoLease::Leased(by)) => {
                    let name = catalog.origin.as_ref();
                    let name = name.without_final_dot();
                    error!(target: "general", "catz: {name}: {by}, and reload; until then its members are kept in memory");
                    return None;
                }
                // It may be made with the first copy.
                Err(NoLease::Io(_)) => {}
            }
            let labels = known.remove(list).map_or_else(|| read(list), Ok).inspect_err(|cause| {
                let (list, name) = (list.display(), catalog.origin.as_ref());
                let remedy = "its members are kept in memory: remove this file and their copies beside it, and reload";
                error!(
                    target: "general",
                    "catz: {}: {list}: cannot read the labels of copies: {cause}; {remedy}", name.without_final_dot(),
                );
            });
            Some((list.clone(), labels.ok()?))
        }));
    }

    /// Whether a copy in this list may be used, and made, under a label.
    pub(super) fn has(&self, list: &Path, name: &str, label: &[u8]) -> bool {
        self.0.get(list).and_then(|labels| labels.get(name)).is_some_and(|made_under| **made_under == *label)
    }

    /// Adds copies to a list. Those that it has stay as they are.
    pub(super) fn admit(&mut self, list: &Path, mut wanted: Labels) {
        let Some(known) = self.0.get(list) else { return };
        wanted.retain(|name, _| !known.contains_key(name));
        let mut next = self.free(list, wanted);
        if !next.is_empty() {
            next.extend(known.iter().map(|(name, label)| (name.clone(), label.clone())));
            self.write(list, next);
        }
    }

    /// Makes these the copies of a list: those that it has under other labels, or that are not wanted any more, are
    /// removed. A copy that a member still uses is for the next time, and one that a zone of named.conf uses is its own
    /// from now on.
    pub(super) fn settle(&mut self, list: &Path, wanted: Labels, sources: &Sources) {
        let Some(known) = self.0.get(list) else { return };
        let mut next = self.free(list, wanted);
        let stale: Vec<_> = known.iter().filter(|(name, label)| next.get(*name) != Some(*label)).collect();
        let users = sources.users(&stale.iter().map(|(name, _)| name.as_str()).collect());
        for (name, label) in stale {
            let is_gone = match users.get(name.as_str()) {
                Some(User::Configured) => !next.contains_key(name),
                Some(User::Member) => false,
                None => remove_copy(&list.with_file_name(name)),
            };
            if !is_gone {
                next.insert(name.clone(), label.clone());
            }
        }
        self.write(list, next);
    }

    /// Those copies that are in no other list: views and catalogs whose names have `_` may lead to the same file.
    fn free(&self, list: &Path, mut wanted: Labels) -> Labels {
        let beside = self.0.iter().filter(|(other, _)| *other != list && other.parent() == list.parent());
        let beside: Vec<&Labels> = beside.map(|(_, labels)| labels).filter(|labels| !labels.is_empty()).collect();
        // A line is a copy.
        wanted.retain(|name, _| !name.contains('\n') && !beside.iter().any(|labels| labels.contains_key(name)));
        wanted
    }

    /// Puts a list on the disk. If that fails, it stays as it is: new copies may not be made.
    fn write(&mut self, list: &Path, next: Labels) {
        let Some(known) = self.0.get_mut(list).filter(|known| **known != next) else { return };
        let written = if next.is_empty() { remove(list) } else { replace(list, &next) };
        match written {
            Ok(()) => *known = next,
            Err(cause) => {
                let remedy = "new members are kept in memory: let bindyd write to the folder, and reload";
                error!(target: "general", "catz: {}: cannot write the labels of copies: {cause}; {remedy}", list.display());
            }
        }
    }
}

fn read(list: &Path) -> io::Result<Labels> {
    let text = match fs::read_to_string(list) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Labels::default()),
        Err(error) => return Err(error),
    };
    let mut lines = text.lines().zip(1..);
    let invalid = |number| io::Error::new(io::ErrorKind::InvalidData, format!("line {number} is not of such a list"));
    lines.next().filter(|(first, _)| *first == HEADER).ok_or_else(|| invalid(1))?;
    lines.map(|(line, number)| entry(line).ok_or_else(|| invalid(number))).collect()
}

/// The name and the label in a line. Only what can be the copy of a member is one: stale copies are removed.
fn entry(line: &str) -> Option<(String, Box<[u8]>)> {
    let (label, name) = line.split_once(' ')?;
    let stem = name.strip_prefix("__catz__")?.strip_suffix(".db")?;
    let label = HEXLOWER.decode(label.as_bytes()).ok()?;
    (!stem.contains('/')).then(|| (name.to_owned(), label.into()))
}

fn replace(list: &Path, labels: &Labels) -> io::Result<()> {
    let mut labels: Vec<_> = labels.iter().collect();
    labels.sort();
    durable::replace(list, |file| {
        writeln!(file, "{HEADER}")?;
        labels.iter().try_for_each(|(name, label)| writeln!(file, "{} {name}", HEXLOWER.encode(label)))
    })
}

fn remove(list: &Path) -> io::Result<()> {
    match fs::remove_file(list) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => durable::sync_folder(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copies(lists: &[&Path]) -> Copies {
        Copies(lists.iter().map(|list| (list.to_path_buf(), read(list).unwrap())).collect(), Vec::new())
    }

    fn labels(entries: &[(&str, &str)]) -> Labels {
        entries.iter().map(|(name, label)| (format!("__catz__{name}.db"), label.as_bytes().into())).collect()
    }

    #[test]
    fn a_copy_is_used_under_its_label_only_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("l");
        let mut before = copies(&[&list]);
        before.admit(&list, labels(&[("a", "1"), ("my view_c_b", "\0\u{ff}")]));
        // What is known stays, until its file is removed.
        before.admit(&list, labels(&[("a", "2"), ("d", "1")]));
        let after = copies(&[&list]);
        assert_eq!(after.0, before.0);
        assert!(after.has(&list, "__catz__a.db", b"1") && after.has(&list, "__catz__d.db", b"1"));
        assert!(!after.has(&list, "__catz__a.db", b"2") && !after.has(&list, "__catz__e.db", b"1"));
    }

    #[test]
    fn stale_copies_are_removed_and_no_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("l");
        let mut copies = copies(&[&list]);
        copies.admit(&list, labels(&[("a", "1"), ("b", "1"), ("c", "1")]));
        for name in ["a", "b", "c", "d"] {
            fs::write(folder.path().join(format!("__catz__{name}.db")), "").unwrap();
            fs::write(folder.path().join(format!("__catz__{name}.db.changes")), "").unwrap();
        }
        copies.settle(&list, labels(&[("a", "1"), ("b", "2")]), &Sources::default());
        let left = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut left: Vec<_> = left.filter(|name| name != "l").collect();
        left.sort();
        assert_eq!(left, ["__catz__a.db", "__catz__a.db.changes", "__catz__d.db", "__catz__d.db.changes"]);
        assert_eq!(copies.0[&list], labels(&[("a", "1"), ("b", "2")]));
        copies.settle(&list, Labels::default(), &Sources::default());
        assert!(!list.exists());
    }

    #[test]
    fn a_file_is_the_copy_of_one_catalog() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|list| folder.path().join(list));
        let mut copies = copies(&[&one, &other]);
        copies.admit(&one, labels(&[("a_b_c", "1")]));
        for _ in 0..2 {
            copies.settle(&other, labels(&[("a_b_c", "2")]), &Sources::default());
            assert!(!copies.has(&other, "__catz__a_b_c.db", b"2"));
        }
        copies.settle(&one, Labels::default(), &Sources::default());
        copies.settle(&other, labels(&[("a_b_c", "2")]), &Sources::default());
        assert!(copies.has(&other, "__catz__a_b_c.db", b"2"));
    }

    #[test]
    fn what_cannot_be_written_or_removed_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("l");
        let mut copies = copies(&[&list]);
        copies.admit(&list, labels(&[("a", "1")]));
        // It is a folder: as a file it cannot be removed.
        fs::create_dir(folder.path().join("__catz__a.db")).unwrap();
        copies.settle(&list, labels(&[("a", "2")]), &Sources::default());
        assert!(!copies.has(&list, "__catz__a.db", b"2"));
        drop(folder);
        copies.admit(&list, labels(&[("b", "1")]));
        assert!(!copies.has(&list, "__catz__b.db", b"1"));
    }

    #[test]
    fn only_lists_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("l");
        for text in ["", "nonsense", "00 __catz__a.db"] {
            fs::write(&list, text).unwrap();
            assert!(read(&list).is_err(), "{text}");
        }
        for line in ["0 __catz__a.db", "00 /etc/__catz__a.db", "00 __catz__/../a.db", "00 a.db", "00 __catz__a", "00"] {
            fs::write(&list, format!("{HEADER}\n00 __catz__b.db\n{line}\n")).unwrap();
            assert_eq!(read(&list).unwrap_err().to_string(), "line 3 is not of such a list", "{line}");
        }
        fs::write(&list, [0xff]).unwrap();
        assert!(read(&list).is_err());
    }
}
