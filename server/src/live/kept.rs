//! What a zone that changes has on the disk: the zone file, and a journal with the changes that lead on from there.

use std::{
    io,
    time::{Duration, Instant},
};

use tracing::{debug, error};
use zonefmt::Serial;

use super::{Failure, OpenError, Timing, ZoneFile, ownership::Ownership};
use crate::{
    journal::{Journal, JournalError},
    stamp::Stamp,
    zone::Change,
};

/// What a zone has on the disk.
pub(super) struct Kept {
    pub(super) journal: Journal,
    pub(super) file: ZoneFile,
    /// `None` while the zone is closed.
    ownership: Option<Ownership>,
    /// Whether other servers have the zone, so that what gets lost comes again from them.
    is_copy: bool,
    /// How often the zone was replaced as a whole.
    pub(super) epoch: u32,
    /// The serial of the content of the zone file; `None` if the journal does not lead on from there.
    written: Option<Serial>,
    /// Whether the present version does not follow from the one in the zone file. The journal stays empty until the file
    /// is written, as it could have the same serials.
    unrelated: bool,
    /// Since when the zone file lacks changes.
    lacking: Option<Instant>,
    /// Whether the zone file is known to be on the disk: somebody else may have written it just now.
    durable: bool,
    /// The state of the zone file when it was last read or written here.
    stamp: Stamp,
}

/// How long the zone file may lack changes; as in BIND.
pub(super) const LATEST: Duration = Duration::from_secs(15 * 60);

impl Kept {
    /// `written` is the serial of the content of the zone file, which may lack changes that are in the journal.
    pub(super) fn new(
        journal: Journal,
        file: ZoneFile,
        ownership: Ownership,
        is_copy: bool,
        written: Option<Serial>,
        lacking: bool,
    ) -> Kept {
        let (ownership, lacking, stamp) = (Some(ownership), lacking.then(Instant::now), Stamp::of(&file.path));
        Kept { journal, file, ownership, is_copy, epoch: 0, written, unrelated: false, lacking, durable: false, stamp }
    }

    /// Makes changes durable, unless what they change is not in the zone file yet: then they become so with the file. Of
    /// a copy, the file will have them if the journal cannot.
    pub(super) fn append(&mut self, changes: &[Change]) -> Result<(), Failure> {
        if self.unrelated {
            return Ok(());
        }
        let journaled = self.journal(changes);
        if let Err(failure) = &journaled
            && self.is_copy
        {
            error!(target: "general", "{failure}; the zone is served all the same");
            // That it cannot be removed either is no news.
            let _ = self.forget();
            return Ok(());
        }
        journaled
    }

    fn journal(&mut self, changes: &[Change]) -> Result<(), Failure> {
        self.ownership.as_mut().map_or(Ok(()), Ownership::secure)?;
        self.secure_file()?;
        // After a failure, the journal is written anew before anything else is acknowledged.
        let appended = self.recover().and_then(|()| self.journal.append(changes));
        appended.map_err(|cause| {
            // Nor must a restart find what failed. If this fails, too, it is tried again with the next changes.
            let _ = self.journal.recover();
            Failure::Journal(cause)
        })?;
        self.lacking.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Makes the journal certain again. One that somebody has taken away is begun anew, if the zone file has everything.
    fn recover(&mut self) -> Result<(), JournalError> {
        match self.journal.recover() {
            Err(cause) if cause.is_gone() && self.lacking.is_none() => self.journal.reset(),
            recovered => recovered,
        }
    }

    /// Forgets the changes: what comes next does not follow from what is in the zone file.
    pub(super) fn replace(&mut self) -> Result<(), Failure> {
        // Whether or not the file of the journal can be removed, its changes are forgotten.
        match self.forget() {
            Err(cause) if self.is_copy => {
                error!(target: "general", "{cause}; the zone is served all the same");
                Ok(())
            }
            forgotten => forgotten.map_err(Failure::Journal),
        }
    }

    fn forget(&mut self) -> Result<(), JournalError> {
        self.epoch = self.epoch.wrapping_add(1);
        self.unrelated |= self.written.is_some();
        (self.written, self.lacking) = (None, Some(Instant::now()));
        self.journal.reset()
    }

    /// Takes note that the version with this serial is in the zone file, which may lack more.
    pub(super) fn wrote(&mut self, serial: Option<Serial>, lacking: bool) {
        (self.written, self.lacking) = (serial, lacking.then(Instant::now));
        (self.unrelated, self.durable, self.stamp) = (false, true, Stamp::of(&self.file.path));
    }

    /// Whether somebody else has changed the zone file since it was read or written here.
    pub(super) fn is_edited(&self) -> bool {
        Stamp::of(&self.file.path) != self.stamp
    }

    /// Takes note that somebody has written the version with this serial into the zone file.
    pub(super) fn edited(&mut self, serial: Option<Serial>) {
        self.wrote(serial, false);
        self.durable = false;
    }

    /// Makes sure that the zone file is on the disk. What is in the journal cannot be read without it.
    fn secure_file(&mut self) -> Result<(), Failure> {
        if !self.durable {
            self.file.sync().map_err(|error| Failure::File(self.file.path.clone(), error))?;
            self.durable = true;
        }
        Ok(())
    }

    /// Whether the zone file has something else than the version with this serial.
    pub(super) fn is_lacking(&self, serial: Option<Serial>) -> bool {
        self.written != serial || self.lacking.is_some()
    }

    /// Whether it is time to write the zone file. One that the journal does not lead on from is of no use.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        let lacks_for = self.lacking.map(|since| now.saturating_duration_since(since));
        lacks_for.is_some_and(|time| self.written.is_none() || time >= LATEST)
    }

    /// Shortens the journal to at most this many octets, without what the zone file lacks.
    pub(super) fn compact(&mut self, octets: u64) -> Result<(), Failure> {
        let Some(written) = self.written else { return Ok(()) };
        self.secure_file()?;
        self.journal.compact(octets, written).map_err(Failure::Journal)
    }

    /// Gives the files up, and leaves the journal as the next owner has to find it: without what was not acknowledged, and
    /// with a note if the zone file has everything.
    pub(super) fn conclude(&mut self, stays_frozen: bool) -> Result<(), Failure> {
        let concluded = self.conclude_journal();
        if let Some(mut ownership) = self.ownership.take() {
            ownership.frozen &= stays_frozen;
        }
        concluded
    }

    /// Takes the files again.
    pub(super) fn reopen(&mut self, frozen: bool) -> Result<(), OpenError> {
        let mut ownership = Ownership::take(&self.file.path, self.journal.path())?;
        ownership.frozen = frozen;
        if !self.journal.reopen().map_err(OpenError::Journal)? {
            // Whoever had the files meanwhile has made something else of them.
            if !self.is_copy {
                return Err(OpenError::Changed(self.journal.path().to_owned()));
            }
            self.forget().map_err(OpenError::Journal)?;
        }
        self.durable = false;
        self.ownership = Some(ownership);
        Ok(())
    }

    pub(super) fn set_frozen(&mut self, frozen: bool) {
        if let Some(ownership) = &mut self.ownership {
            ownership.frozen = frozen;
        }
    }

    fn conclude_journal(&mut self) -> Result<(), Failure> {
        self.recover().map_err(Failure::Journal)?;
        if self.lacking.is_some() || self.journal.is_saved() {
            return Ok(());
        }
        self.secure_file()?;
        self.journal.mark_saved().map_err(Failure::Journal)
    }

    /// Whether there is a zone file that can be marked.
    pub(super) fn has_file(&self) -> bool {
        self.written.is_some()
    }

    /// Marks the zone file with the time at which the version was confirmed, if that can be made of what is on the disk.
    pub(super) fn mark(&self, timing: &Timing) {
        let Some(confirmed) = timing.confirmed().filter(|_| self.has_file()) else { return };
        match self.file.mark(confirmed) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                debug!(target: "general", "cannot set the time of {}: {error}", self.file.path.display());
            }
            _ => {}
        }
    }
}
