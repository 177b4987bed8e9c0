//! Reads named's journal of a zone (`.jnl`), so that its changes are not lost when this server takes named's place, and
//! puts it out of the way once they are in the zone file.
//!
//! ```text
//! file:        header (64, then an index) | transaction …
//! header:      mark (16) | first serial (4) | its offset (4) | last serial (4) | offset of the end (4) | …
//! transaction: octets of records (4) | number of records (4, not in version 9) | serial from (4) | serial to (4)
//!              | record …: the old SOA, what goes, the new SOA, what comes
//! record:      octets (4) | owner | type (2) | class (2) | TTL (4) | RDLENGTH (2) | RDATA
//! ```
//! Numbers are in network order, names uncompressed.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use zonefmt::{NameRef, Rtype, Serial, durable};

use crate::zone::{Change, ChangeError, Records, ZoneData};

/// The journal of a zone as named left it.
#[derive(Debug)]
pub struct NamedJournal {
    /// The path of the journal, and that of its backup.
    paths: [PathBuf; 2],
    /// Which of the two was opened.
    opened: usize,
    file: File,
    /// The octets before a transaction's records.
    transaction: usize,
    begin: Position,
    end: Position,
}

/// A serial, and where the change from it starts.
#[derive(Clone, Copy, Debug)]
struct Position {
    serial: Serial,
    offset: u64,
}

/// Why named's journal cannot be used.
#[derive(Debug)]
pub struct NamedJournalError {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Io(io::Error),
    NotAJournal,
    Malformed(u64),
    OutOfSync { zone: Option<Serial>, begin: Serial, end: Serial },
    Unfit(ChangeError),
}

/// Octets before the index.
const HEADER: usize = 64;
/// What a journal begins with, and how many octets precede the records of its transactions.
const VERSIONS: [(&[u8], usize); 2] = [(b";BIND LOG V9\n\0\0\0", 12), (b";BIND LOG V9.2\n\0", 16)];

impl NamedJournal {
    /// Opens a journal, or, while named was shortening it, its backup (`.jbk`). Returns `None` if there is neither.
    ///
    /// # Errors
    /// The file cannot be read, or is not named's journal.
    pub fn open(path: &Path) -> Result<Option<NamedJournal>, NamedJournalError> {
        let paths = [path.to_owned(), backup(path)];
        for (opened, path) in paths.iter().enumerate() {
            let error = |cause| NamedJournalError { path: path.clone(), cause };
            let mut file = match File::open(path) {
                Ok(file) => file,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(error(Cause::Io(cause))),
            };
            let mut header = [0; HEADER];
            file.read_exact(&mut header).map_err(|cause| match cause.kind() {
                io::ErrorKind::UnexpectedEof => error(Cause::NotAJournal),
                _ => error(Cause::Io(cause)),
            })?;
            let version = VERSIONS.iter().find(|(mark, _)| header.starts_with(mark));
            let Some(&(_, transaction)) = version else { return Err(error(Cause::NotAJournal)) };
            let position =
                |at| Position { serial: Serial(u32_at(&header, at)), offset: u32_at(&header, at + 4).into() };
            let (begin, end) = (position(16), position(24));
            return Ok(Some(NamedJournal { paths, opened, file, transaction, begin, end }));
        }
        Ok(None)
    }

    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.paths[self.opened]
    }

    /// The serial that the changes start from.
    pub fn begin(&self) -> Serial {
        self.begin.serial
    }

    /// The serial that the changes lead to; `None` without any change.
    pub fn end(&self) -> Option<Serial> {
        (self.begin.offset != self.end.offset).then_some(self.end.serial)
    }

    /// All changes in order. Ends after the first error.
    pub fn changes(&self) -> NamedChanges<'_> {
        NamedChanges { journal: self, next: self.begin }
    }

    /// Makes the changes that a zone file lacks to its content, and returns the newest version.
    ///
    /// # Errors
    /// The journal does not have the serial of the zone file, is malformed, or a change does not fit.
    pub fn replay(&self, zone: &ZoneData) -> Result<ZoneData, NamedJournalError> {
        let from = zone.serial();
        if self.end().is_none() || from == self.end() {
            return Ok(zone.clone());
        }
        let mut zone = zone.clone();
        for change in self.changes() {
            let change = change?;
            if zone.serial() == Some(change.from()) {
                zone = change.apply(&zone).map_err(|error| self.error(Cause::Unfit(error)))?;
            }
        }
        if zone.serial() == from {
            let (begin, end) = (self.begin.serial, self.end.serial);
            return Err(self.error(Cause::OutOfSync { zone: from, begin, end }));
        }
        Ok(zone)
    }

    /// Moves the journal to `FILE.jnl.old`, where neither named nor this server looks for it, and returns that path.
    /// Durable once this returns. The zone file must have all changes, and be durable itself.
    ///
    /// # Errors
    /// The system's errors.
    pub fn move_away(self) -> io::Result<PathBuf> {
        let [path, backup] = &self.paths;
        if self.path() != backup {
            // Without the journal, named would take its backup for it.
            fs::remove_file(backup).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        }
        let mut old = OsString::from(path);
        old.push(".old");
        let old = PathBuf::from(old);
        fs::rename(self.path(), &old)?;
        durable::sync_folder(&old)?;
        Ok(old)
    }

    fn error(&self, cause: Cause) -> NamedJournalError {
        NamedJournalError { path: self.path().to_owned(), cause }
    }
}

/// Where named keeps a journal while it writes a shorter one.
fn backup(journal: &Path) -> PathBuf {
    let name = journal.as_os_str();
    let mut stem = if journal.extension().is_some_and(|extension| extension == "jnl") {
        journal.with_extension("").into_os_string()
    } else {
        name.to_owned()
    };
    stem.push(".jbk");
    stem.into()
}

/// The changes in named's journal; see [`NamedJournal::changes`].
pub struct NamedChanges<'j> {
    journal: &'j NamedJournal,
    next: Position,
}

impl NamedChanges<'_> {
    fn read(&mut self) -> Result<Option<Change>, Cause> {
        let NamedJournal { file, transaction, end, .. } = self.journal;
        let Position { serial, offset } = self.next;
        let malformed = || Cause::Malformed(offset);
        if offset == end.offset {
            return if serial == end.serial { Ok(None) } else { Err(malformed()) };
        }
        // The header is not to be believed: a file can have been cut off.
        let size = file.metadata().map_err(Cause::Io)?.len().min(end.offset);
        let start = offset + *transaction as u64;
        if start > size {
            return Err(malformed());
        }
        let mut header = vec![0; *transaction];
        file.read_exact_at(&mut header, offset).map_err(Cause::Io)?;
        let [from, to] = [8, 4].map(|before_end| Serial(u32_at(&header, transaction - before_end)));
        let length = u32_at(&header, 0);
        let next = start + u64::from(length);
        if from != serial || next > size {
            return Err(malformed());
        }
        let mut records = vec![0; length as usize];
        file.read_exact_at(&mut records, start).map_err(Cause::Io)?;
        let change = change(&records).filter(|change| (change.from(), change.to()) == (from, to));
        self.next = Position { serial: to, offset: next };
        change.ok_or_else(malformed).map(Some)
    }
}

impl Iterator for NamedChanges<'_> {
    type Item = Result<Change, NamedJournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read().transpose()?;
        Some(read.map_err(|cause| {
            self.next = self.journal.end;
            self.journal.error(cause)
        }))
    }
}

/// The change that the records of a transaction make.
fn change(mut records: &[u8]) -> Option<Change> {
    let (mut removed, mut added) = (Records::new(), Records::new());
    let mut soas = 0;
    while !records.is_empty() {
        let (length, rest) = records.split_first_chunk()?;
        let (record, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let (owner, record) = NameRef::from_prefix(record).ok()?;
        let (&[t0, t1, 0, 1, ttl @ .., l0, l1], rdata) = record.split_first_chunk::<10>()? else { return None };
        if rdata.len() != usize::from(u16::from_be_bytes([l0, l1])) {
            return None;
        }
        let rtype = Rtype(u16::from_be_bytes([t0, t1]));
        soas += u32::from(rtype == Rtype::SOA);
        let half = if soas < 2 { &mut removed } else { &mut added };
        half.push(owner, rtype, u32::from_be_bytes(ttl), rdata);
        records = rest;
    }
    Change::new(removed, added)
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

impl NamedJournalError {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What can be done about it.
    pub fn help(&self) -> &'static str {
        match &self.cause {
            Cause::Io(_) => "let the server's user read it",
            Cause::NotAJournal => "if the zone file has all changes, remove the journal",
            Cause::Malformed(_) => {
                "let named load the zone, and write its file with `rndc sync -clean`; or, if the file has all changes, \
                 remove the journal"
            }
            Cause::OutOfSync { .. } | Cause::Unfit(_) => {
                "restore the zone file that the journal belongs to; or, if the file has all changes, remove the journal"
            }
        }
    }

    /// What is wrong, without the file and without what can be done about it.
    pub fn message(&self) -> String {
        match &self.cause {
            Cause::Io(error) => format!("cannot read the journal: {error}"),
            Cause::NotAJournal => "it is not named's journal, or its start is damaged".into(),
            Cause::Malformed(at) => format!("malformed change at octet {at}"),
            Cause::OutOfSync { zone, begin, end } => {
                let zone = zone.map_or("none".into(), |serial| format!("serial {}", serial.0));
                // named's words, then the reason.
                format!(
                    "journal out of sync with zone: it has the changes from serial {} to {}, and the zone file has {zone}",
                    begin.0, end.0
                )
            }
            Cause::Unfit(error) => format!("a change {error}"),
        }
    }
}

impl fmt::Display for NamedJournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal {}: {}; {}", self.path.display(), self.message(), self.help())
    }
}

impl std::error::Error for NamedJournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Io(error) => Some(error),
            Cause::Unfit(error) => Some(error),
            _ => None,
        }
    }
}
