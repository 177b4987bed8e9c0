//! The journal of a zone that changes while it is served: the changes since the zone file was written, each on the disk
//! before it is acknowledged. At a start they are made to what the zone file has, and meanwhile secondaries get them by
//! IXFR (RFC 1995).
//!
//! The journal is one file beside the zone file. [`Journal::append`] adds the changes of any number of updates with one
//! write and one sync of the data; the file's length and blocks do not change then, because zeroes are written ahead.
//! Everything else makes a new file and renames it into place, so that a crash leaves the old journal or the new one.
//!
//! * [`history`]: what has been changed, for secondaries, while the journal goes on.
//! * [`disk`]: the operations on files that this needs. [`memory`]: files that are on none. [`files`]: which are open.
//! * [`mod@format`]: the octets of the file. [`chain`]: the file while it is open. [`changes`]: reading changes back.
//! * [`mod@error`]: what can go wrong.
//! * [`bind`]: named's journals, whose changes are taken over.
//!
//! After a crash the end of the file may be a frame that is not whole. It was never acknowledged, and is cut off. Any
//! other damage is an error: the zone must not silently be served as it once was.
//!
//! After a failed write or sync nobody knows what is on the disk, and the system may take for durable what is not. From
//! then on the journal accepts nothing until it has been written anew from what had been acknowledged before; see
//! [`Journal::recover`].

pub mod bind;
mod chain;
mod changes;
pub mod disk;
mod error;
mod files;
mod format;
mod history;
pub mod memory;

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod tests;

pub use changes::Changes;
pub use error::{JournalCause, JournalError};
pub use history::History;

use std::{
    collections::HashSet,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::{error, warn};
use zonefmt::{Name, NameRef, Serial};

use crate::zone::{Change, ZoneData};
use chain::{Chain, Place};
use disk::{Disk, UnchangedDisk};
use error::cannot;
use format::{Frame, HEADER, Header};

/// The journal of a zone; see the module. Whoever changes the zone owns it.
pub struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    origin: Name,
    /// The file; `None` as long as there is no change to keep.
    chain: Option<Chain>,
    /// The changes of `chain`.
    history: History,
    /// Whether the disk may have something else than `chain`.
    uncertain: bool,
    /// Whether other servers have what is in it.
    is_copy: bool,
}

/// The journal of a zone: beside the zone file, or beside named's journal where named.conf has a `journal`.
pub fn path(zone_file: &Path, named: Option<&Path>) -> PathBuf {
    let with_extension = |path: &Path| {
        let mut path = OsString::from(path);
        path.push(".changes");
        path.into()
    };
    match named {
        Some(named) if named.extension().is_some_and(|extension| extension == "jnl") => named.with_extension("changes"),
        Some(named) => with_extension(named),
        None => with_extension(zone_file),
    }
}

impl Journal {
    /// Opens the journal of a zone, reads it from end to end, and makes what it holds durable. There need not be a file:
    /// the first change makes it. A change at the end that a crash interrupted is cut off and logged.
    ///
    /// # Errors
    /// The file cannot be read or written, is not this zone's journal, or is damaged elsewhere than at its end.
    pub fn open(disk: Arc<dyn Disk>, path: PathBuf, origin: NameRef<'_>) -> Result<Journal, JournalError> {
        Journal::opened(disk, path, origin, false)
    }

    /// The same for a copy of a zone that other servers have. A journal that has been removed may be there again after
    /// a crash: what it has is part of the zone's history all the same. So nothing waits for the disk. The journal of a zone
    /// that was no copy has what nobody else may have, and is moved aside.
    ///
    /// # Errors
    /// As for [`Journal::open`].
    pub fn open_of_copy(disk: Arc<dyn Disk>, path: PathBuf, origin: NameRef<'_>) -> Result<Journal, JournalError> {
        Journal::opened(disk, path, origin, true)
    }

    /// All changes in a file, which may be the journal of any zone, and which a server may have open: nothing of it is
    /// changed. A change at the end that is not whole is left out.
    ///
    /// # Errors
    /// The file cannot be read, is no journal, or is damaged elsewhere than at its end.
    pub fn changes_in(path: &Path) -> Result<Option<Changes>, JournalError> {
        let error = |cause| JournalError::new(path, cause);
        let file = UnchangedDisk.open(path).map_err(|cause| error(cannot("open it")(cause)))?;
        let mut header = [0; HEADER];
        file.read_at(&mut header, 0).map_err(|cause| match cause.kind() {
            io::ErrorKind::UnexpectedEof => error(JournalCause::NotAJournal),
            _ => error(cannot("read it")(cause)),
        })?;
        let (header, origin) = Header::of_any(&header).map_err(error)?;
        let journal = Journal::open(Arc::new(UnchangedDisk), path.to_owned(), origin)?;
        Ok(journal.since(header.base))
    }

    /// An empty journal of a copy in place of what is at this path.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn anew(disk: Arc<dyn Disk>, path: PathBuf, origin: NameRef<'_>) -> Result<Journal, JournalError> {
        let (origin, history) = (origin.to_owned(), History::new(&path));
        let mut journal = Journal { disk, path, origin, chain: None, history, uncertain: true, is_copy: true };
        journal.recover()?;
        Ok(journal)
    }

    /// Makes the changes of a journal that the content of a zone file lacks, and writes nothing: somebody else may have the
    /// journal. Also returns the changes as they are now; none if the content shows that others have made it.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged, or does not fit the content.
    pub fn read(disk: Arc<dyn Disk>, path: PathBuf, zone: &ZoneData) -> Result<(ZoneData, History), JournalError> {
        let (origin, history) = (zone.origin().to_owned(), History::new(&path));
        let file = match disk.open_to_read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((zone.clone(), history)),
            Err(error) => return Err(JournalError::new(&path, cannot("open it")(error))),
        };
        let place = Place { disk: &disk, path: &path, origin: origin.as_ref(), is_copy: false };
        let chain = Chain::read(place, &file).map_err(|cause| JournalError::new(&path, cause))?;
        history.becomes(Some(&chain.past));
        let journal = Journal {
            disk,
            path,
            origin,
            chain: Some(chain),
            history: history.clone(),
            uncertain: true,
            is_copy: false,
        };
        let (newest, is_history) = match journal.newest(zone) {
            // The file had all changes, and has been edited since.
            Err(_) if journal.is_saved() => (zone.clone(), false),
            newest => (newest?, journal.led_to(zone)?),
        };
        if !is_history {
            history.becomes(None);
        }
        Ok((newest, history))
    }

    fn opened(disk: Arc<dyn Disk>, path: PathBuf, origin: NameRef<'_>, is_copy: bool) -> Result<Journal, JournalError> {
        let error = |cause| JournalError::new(&path, cause);
        let file = match disk.open(&path) {
            Ok(file) => Some(file),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(error(cannot("open it")(cause))),
        };
        // Whether there is a file must be durable, too.
        if !is_copy
            && let Err(cause) = disk.sync_folder(&path)
            && (file.is_some() || cause.kind() != io::ErrorKind::NotFound)
        {
            return Err(error(cannot("sync its folder")(cause)));
        }
        let place = Place { disk: &disk, path: &path, origin, is_copy };
        let opened = file.map(|file| Chain::open(place, &file)).transpose().map_err(error)?;
        let chain = opened.map(|(chain, torn)| {
            if torn > 0 {
                let (zone, path) = (origin.without_final_dot(), path.display());
                warn!(
                    target: "general",
                    "zone {zone}/IN: journal {path}: dropped an unfinished change at its end ({torn} octets), which had not \
                     been acknowledged"
                );
            }
            chain
        });
        let history = History::new(&path);
        history.becomes(chain.as_ref().map(|chain| &chain.past));
        let mut journal = Journal { disk, path, origin: origin.to_owned(), chain, history, uncertain: false, is_copy };
        // A crash while the journal was written anew has left this.
        let _ = journal.disk.remove(&journal.beside(".new"));
        match journal.chain.as_ref().map(|chain| chain.is_copy) {
            Some(true) if !is_copy => journal.take_over()?,
            Some(false) if is_copy => journal.move_aside()?,
            _ => {}
        }
        Ok(journal)
    }

    /// Makes the journal of a copy that of a zone whose changes nobody else has.
    fn take_over(&mut self) -> Result<(), JournalError> {
        let is_saved = self.is_saved();
        self.uncertain = true;
        self.recover()?;
        if is_saved { self.mark_saved() } else { Ok(()) }
    }

    /// Gives the file another name, and forgets what is in it.
    fn move_aside(&mut self) -> Result<(), JournalError> {
        let aside = self.beside(".old");
        let moved = self.disk.rename(&self.path, &aside).and_then(|()| self.disk.sync_folder(&self.path));
        moved.map_err(|error| self.error(cannot("move it aside")(error)))?;
        warn!(
            target: "general",
            "zone {}/IN: it was a primary zone, and comes from other servers now: the updates in its journal are kept as {}",
            self.origin.as_ref().without_final_dot(), aside.display()
        );
        self.chain = None;
        self.history.becomes(None);
        Ok(())
    }

    /// Appends changes, each of which starts from the serial where the one before ended. They are durable once this
    /// returns; after a crash all of them are there, or none.
    ///
    /// # Errors
    /// The changes do not follow the journal's last one, lead to a serial that it has already ([`Journal::repeats`]), or
    /// are larger than 1 GiB together; the journal is as it was.
    /// Or the disk failed: whether the changes are on it is unknown, and nothing is accepted before
    /// [`Journal::recover`].
    pub fn append(&mut self, changes: &[Change]) -> Result<(), JournalError> {
        let Some(first) = changes.first() else { return Ok(()) };
        if self.uncertain {
            return Err(self.error(JournalCause::Uncertain));
        }
        let mut end = self.end().unwrap_or(first.from());
        for change in changes {
            if change.from() != end {
                return Err(self.error(JournalCause::Gap(end, change.from())));
            }
            end = change.to();
        }
        if self.repeats(changes) {
            return Err(self.error(JournalCause::Repeated(end)));
        }
        let frame = Frame::of(changes).map_err(|cause| self.error(cause))?;
        let Some(chain) = &mut self.chain else { return self.replace(first.from(), |chain, _| chain.put(frame)) };
        chain.append(frame).map_err(|cause| {
            self.uncertain = !matches!(cause, JournalCause::TooLarge);
            JournalError::new(&self.path, cause)
        })
    }

    /// Makes a note that the zone file has all changes, and that both are on the disk: see [`Journal::is_saved`].
    ///
    /// # Errors
    /// As for [`Journal::append`].
    pub fn mark_saved(&mut self) -> Result<(), JournalError> {
        if self.uncertain {
            return Err(self.error(JournalCause::Uncertain));
        }
        let Some(chain) = self.chain.as_mut().filter(|chain| !chain.saved) else { return Ok(()) };
        chain.append(Frame::new()).map_err(|cause| {
            self.uncertain = true;
            JournalError::new(&self.path, cause)
        })
    }

    /// Whether the last thing noted is that the zone file has all changes. If so, nothing is lost without the journal,
    /// should it not fit the file any more.
    pub fn is_saved(&self) -> bool {
        self.chain.as_ref().is_none_or(|chain| chain.saved)
    }

    /// Whether a serial would be twice in the journal with these changes, because they lead all the way round (RFC 1982):
    /// then it would not tell what comes after a version. If so, the journal has to be [reset](Journal::reset) before.
    pub fn repeats(&self, changes: &[Change]) -> bool {
        let Some(first) = changes.first() else { return false };
        let serials: Vec<Serial> = changes.iter().map(Change::to).collect();
        let goes_round = chain::distance(first.from(), &serials) > u64::from(u32::MAX);
        let mut seen = HashSet::from([first.from()]);
        changes.iter().any(|change| change.from() == change.to())
            || goes_round && !serials.iter().all(|&serial| seen.insert(serial))
            || self.chain.as_ref().is_some_and(|chain| chain.repeats(&serials))
    }

    /// Whether the serials have gone half round, so that a single step may lead to one that is in the journal.
    pub fn goes_round(&self) -> bool {
        self.chain.as_ref().is_some_and(Chain::goes_round)
    }

    /// The changes from a serial to the end; none if the serial is the end. `None` if the journal does not have that
    /// serial.
    pub fn since(&self, serial: Serial) -> Option<Changes> {
        self.history.since(serial)
    }

    /// The changes as they are from now on, whatever becomes of the journal.
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// Makes the changes that a zone file lacks to its content, and returns the newest version. If the content shows that
    /// others have made it, by another server's changes or by hand, those that led to its serial are forgotten.
    ///
    /// # Errors
    /// The journal does not have the serial of the zone file, cannot be read or written, or a change does not fit.
    pub fn replay(&mut self, zone: &ZoneData) -> Result<ZoneData, JournalError> {
        let newest = self.newest(zone)?;
        if let Some(serial) = zone.serial()
            && !self.led_to(zone)?
        {
            warn!(
                target: "general",
                "zone {}/IN: the zone file does not have what the journal {} has up to its serial {}: secondaries with \
                 earlier serials get the whole zone",
                self.origin.as_ref().without_final_dot(), self.path.display(), serial.0
            );
            self.forget_before(serial)?;
        }
        Ok(newest)
    }

    /// The content of a zone file with the changes that it lacks.
    fn newest(&self, zone: &ZoneData) -> Result<ZoneData, JournalError> {
        let Some(chain) = &self.chain else { return Ok(zone.clone()) };
        let serial = zone.serial();
        let Some(mut changes) = serial.and_then(|serial| self.since(serial)) else {
            return Err(self.error(JournalCause::OutOfSync(serial, (chain.base, chain.end))));
        };
        changes.try_fold(zone.clone(), |zone, change| {
            change?.apply(&zone).map_err(|error| self.error(JournalCause::Unfit(error)))
        })
    }

    /// Whether the changes up to the serial of this content may have led to it; others may have made it.
    fn led_to(&self, zone: &ZoneData) -> Result<bool, JournalError> {
        let changes = zone.serial().and_then(|serial| self.history.leading_to(serial));
        let last = changes.and_then(|mut changes| changes.next()).transpose()?;
        Ok(last.is_none_or(|change| change.may_have_led_to(zone)))
    }

    /// Forgets the changes that led to a serial.
    fn forget_before(&mut self, serial: Serial) -> Result<(), JournalError> {
        let frame = self.chain.as_ref().and_then(|chain| chain.past.places(|places| places.frame_of(serial)));
        match frame {
            Some(at) => self.replace(serial, |chain, old| old.map_or(Ok(()), |old| chain.copy(old, at))),
            None => self.reset(),
        }
    }

    /// Shortens the file to at most this many octets by dropping its oldest changes, but none from the serial `keep` on,
    /// which is that of the zone file: at a start they are needed. Does nothing if the journal does not have that serial.
    ///
    /// # Errors
    /// As for [`Journal::recover`].
    pub fn compact(&mut self, octets: u64, keep: Serial) -> Result<(), JournalError> {
        let Some(chain) = self.chain.as_ref().filter(|chain| chain.octets > octets) else { return Ok(()) };
        let kept = chain.past.places(|places| places.frame_of(keep)).or((keep == chain.end).then_some(chain.octets));
        let Some(kept) = kept else { return Ok(()) };
        let wanted = chain.octets - octets + HEADER as u64;
        let (cut, base) = chain.past.places(|places| places.frame_after(wanted.min(kept)));
        if cut == HEADER as u64 {
            return Ok(());
        }
        self.replace(base, |chain, old| old.map_or(Ok(()), |old| chain.copy(old, cut)))
    }

    /// Writes the journal anew from what has been acknowledged, if a write or a sync had failed, or if somebody has
    /// removed the file. Whether the changes that failed were on the disk does not matter then: they are dropped.
    ///
    /// # Errors
    /// The disk still fails. Nothing is lost, and it can be tried again.
    pub fn recover(&mut self) -> Result<(), JournalError> {
        let is_nameless = |chain: &Chain| Ok(!chain.has_name()?);
        if self.chain.as_ref().map_or(Ok(false), is_nameless).map_err(|cause| self.error(cause))? {
            let (zone, path) = (self.origin.as_ref().without_final_dot(), self.path.display());
            error!(target: "general", "zone {zone}/IN: somebody has removed the journal {path}; it is written anew");
            self.uncertain = true;
        }
        match &self.chain {
            _ if !self.uncertain => Ok(()),
            Some(chain) => {
                let base = chain.base;
                self.replace(base, |chain, old| old.map_or(Ok(()), |old| chain.copy(old, HEADER as u64)))
            }
            None => self.remove().map_err(|cause| self.error(cause)),
        }
    }

    /// Forgets all changes and removes the file: the next change starts a new chain, from any serial. The zone file must
    /// be durable before, and have all changes, or other content altogether, as after an AXFR.
    ///
    /// # Errors
    /// The file cannot be removed. The journal is empty all the same, and accepts nothing before [`Journal::recover`].
    pub fn reset(&mut self) -> Result<(), JournalError> {
        self.uncertain |= self.chain.take().is_some();
        self.history.becomes(None);
        self.recover()
    }

    /// Opens the file again, which another journal may have changed. Returns whether it leads to the same serial; if not,
    /// this journal stays as it was, and has to be [reset](Journal::reset) before it can be used.
    ///
    /// # Errors
    /// As for [`Journal::open`].
    pub fn reopen(&mut self) -> Result<bool, JournalError> {
        let reopened = Journal::opened(Arc::clone(&self.disk), self.path.clone(), self.origin.as_ref(), self.is_copy)?;
        let is_same = reopened.end() == self.end();
        if is_same {
            self.history.becomes(reopened.chain.as_ref().map(|chain| &chain.past));
            (self.chain, self.uncertain) = (reopened.chain, reopened.uncertain);
        }
        Ok(is_same)
    }

    /// The serial that the oldest change starts from; `None` without a file.
    pub fn base(&self) -> Option<Serial> {
        self.chain.as_ref().map(|chain| chain.base)
    }

    /// The serial that the newest change leads to; `None` without a file.
    pub fn end(&self) -> Option<Serial> {
        self.chain.as_ref().map(|chain| chain.end)
    }

    /// The length of the journal in octets, without what is written ahead.
    pub fn octets(&self) -> u64 {
        self.chain.as_ref().map_or(0, |chain| chain.octets)
    }

    /// Whether a write has failed, so that nothing is accepted before [`Journal::recover`].
    pub fn is_uncertain(&self) -> bool {
        self.uncertain
    }

    /// Closes the file until it is needed.
    #[cfg(test)]
    fn close_file(&self) {
        self.chain.iter().for_each(Chain::close_file);
    }

    /// The journal's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a new file, which `fill` fills given the old one, and puts it in place.
    fn replace(
        &mut self,
        base: Serial,
        fill: impl FnOnce(&mut Chain, Option<&Chain>) -> Result<(), JournalCause>,
    ) -> Result<(), JournalError> {
        self.chain.as_ref().map_or(Ok(()), Chain::is_replaced).map_err(|cause| self.error(cause))?;
        let new = self.beside(".new");
        let place = Place { disk: &self.disk, path: &self.path, origin: self.origin.as_ref(), is_copy: self.is_copy };
        let made = self.disk.create(&new).and_then(|file| Chain::create(place, file, base));
        let filled = made.map_err(cannot("write a new one")).and_then(|mut chain| {
            fill(&mut chain, self.chain.as_ref())?;
            chain.sync()?;
            Ok(chain)
        });
        let chain = filled.map_err(|cause| {
            // Should this fail, too, the next new file takes its place.
            let _ = self.disk.remove(&new);
            self.chain.iter().for_each(Chain::is_placed);
            self.error(cause)
        })?;
        self.uncertain = true;
        let placed = self.disk.rename(&new, &self.path).and_then(|()| self.disk.sync_folder(&self.path));
        placed.map_err(|error| self.error(cannot("put a new one in its place")(error)))?;
        chain.is_placed();
        self.history.becomes(Some(&chain.past));
        self.chain = Some(chain);
        self.uncertain = false;
        Ok(())
    }

    /// Removes the file.
    fn remove(&mut self) -> Result<(), JournalCause> {
        for path in [&self.beside(".new"), &self.path] {
            match self.disk.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot("remove it")(error)),
                _ => {}
            }
        }
        self.disk.sync_folder(&self.path).map_err(cannot("sync its folder"))?;
        self.uncertain = false;
        Ok(())
    }

    /// A name beside the file's: that of a new file before it is put in place, or of an old one.
    fn beside(&self, extension: &str) -> PathBuf {
        let mut path = OsString::from(&self.path);
        path.push(extension);
        path.into()
    }

    fn error(&self, cause: JournalCause) -> JournalError {
        JournalError::new(&self.path, cause)
    }
}
