//! Zones that change while they are served: by updates, by transfers, by `rndc`.
//!
//! Each has one owner, [`Live`], with the newest version. Whoever changes the zone holds its lock, makes the next version
//! from [`Locked::data`], and hands the change to [`Locked::commit`]: first it becomes durable, then it is published, and
//! only then may it be acknowledged. Readers never wait: they get what is published.
//!
//! * `open`: how a zone gets its owner. `tip`: what the lock protects. `change`: how that changes.
//! * `kept`: what a zone has on the disk, a journal and a zone file; `file` writes the latter.
//! * `differences`: those between the versions of a zone that changes with its file only.
//! * `remembered`: those between versions that are made elsewhere. `store`: where updates of such zones become durable.
//! * `ownership`: that files have one owner at a time; `lease`: also if there is another process.
//! * `legacy`: what named had in its journal when this server took the zone over.
//! * `timing`: when a secondary zone asks its primaries, and when it expires. `failure`: what can go wrong.

mod change;
mod differences;
mod failure;
mod file;
mod kept;
mod lease;
mod legacy;
mod open;
mod ownership;
mod remembered;
mod store;
mod timing;
mod tip;

#[cfg(test)]
mod tests;

pub use change::{HeldFile, Locked};
pub use differences::path as differences_path;
pub use failure::{Failure, OpenError};
pub use file::ZoneFile;
pub use lease::{Lease, Leased, Leases, NoLease};
pub use legacy::{Legacy, LegacyError};
pub use open::Storage;
pub use store::{Author, Batch, ChangeStore, Replies, Unkept, Written};
pub use timing::{Timing, Validity};

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tracing::error;
use zonefmt::{Name, Serial};

use crate::{
    journal::{Changes, History},
    logs::ZoneLine,
    sync::{lock, try_lock},
    zone::ZoneData,
    zones::{Published, View, ZoneChange, ZoneState},
};
use kept::Kept;
use tip::Tip;

/// The owner of a zone that changes while it is served.
pub struct Live {
    origin: Name,
    /// Whether the zone changes with its file only.
    follows_file: bool,
    tip: Mutex<Tip>,
    /// The version of the tip, for whoever must not wait for the tip: this is only held for a moment.
    newest: Mutex<ZoneData>,
    /// The changes that led to it; `None` if the zone is only in memory.
    history: Option<History>,
    /// Whether the version at hand came as a whole, so that nothing of it is on the disk before the zone file is written.
    unwritten: AtomicBool,
    /// Held while the zone file is written or read. Whoever needs `tip` as well takes this one first.
    file: Mutex<()>,
    timing: Timing,
    unwritable: Option<Unwritable>,
    /// Where updates become durable, if versions are made elsewhere and clients may change the zone.
    store: Option<Arc<dyn ChangeStore>>,
}

/// That the files of a zone cannot be written.
struct Unwritable {
    cause: OpenError,
    /// Whether the zone changes all the same, in memory, as other servers have what gets lost.
    changes: bool,
}

impl Live {
    /// The newest version, as [`Locked::data`], without waiting for whoever changes the zone.
    pub fn newest(&self) -> ZoneData {
        lock(&self.newest).clone()
    }

    /// The zone's name.
    pub(crate) fn origin(&self) -> &Name {
        &self.origin
    }

    /// Where updates become durable, if not in files ([`Live::kept_by`]).
    pub fn store(&self) -> Option<&Arc<dyn ChangeStore>> {
        self.store.as_ref()
    }

    /// The times of a secondary zone.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// The changes from a serial to the newest version, and that version's serial; `None` if they are not known.
    pub fn since(&self, serial: Serial) -> Option<Changes> {
        self.history.as_ref()?.since(serial)
    }

    /// Whether the zone file is edited by hand at the moment.
    pub fn is_frozen(&self) -> bool {
        lock(&self.tip).frozen
    }

    /// Whether the zone file was edited by hand although the zone is not frozen, so that the next write undoes it. While
    /// the file is written or read here, nobody can say.
    pub fn has_lost_edit(&self) -> bool {
        let Some(_file) = try_lock(&self.file) else { return false };
        let tip = lock(&self.tip);
        !tip.frozen && tip.kept.as_ref().is_some_and(Kept::is_edited)
    }

    /// Whether the zone is frozen, and its file was edited by hand since it was last read.
    pub fn has_open_edit(&self) -> bool {
        let _file = lock(&self.file);
        let tip = lock(&self.tip);
        tip.frozen && tip.kept.as_ref().is_some_and(Kept::is_edited)
    }

    /// Whether the zone changes with its file only, and neither by updates nor by transfers.
    pub fn follows_file(&self) -> bool {
        self.follows_file
    }

    /// Whether the zone file should be written soon, by [`Live::tend`]: nothing of the version at hand is on the disk.
    /// Nobody waits for this.
    pub fn is_unwritten(&self) -> bool {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// Whether no more changes are accepted, for good.
    pub fn is_closed(&self) -> bool {
        lock(&self.tip).closed
    }

    /// Whether the zone's files could not be written when it was opened, and it is to be loaded again whenever the
    /// configuration is. Until then a primary zone accepts no changes, and a secondary zone is only in memory; the latter
    /// stays so until it can be on the disk, as that has an older version.
    pub fn makes_way(&self) -> bool {
        match &self.unwritable {
            Some(Unwritable { changes: true, .. }) => self.waits_for().is_some_and(|by| !by.lasts()),
            unwritable => unwritable.is_some(),
        }
    }

    /// The other process that had the zone's files when it was opened.
    pub fn waits_for(&self) -> Option<&Leased> {
        match &self.unwritable {
            Some(Unwritable { cause: OpenError::Leased(by), .. }) => Some(by),
            _ => None,
        }
    }

    /// Writes the zone file, if it lacks changes. The zone may change meanwhile.
    ///
    /// # Errors
    /// The file cannot be written; it is as it was.
    pub fn sync(&self) -> Result<(), Failure> {
        self.check_writable()?;
        let _file = lock(&self.file);
        let Some(pending) = lock(&self.tip).pending() else { return Ok(()) };
        pending.write(&self.timing)?;
        lock(&self.tip).wrote(&pending);
        Ok(())
    }

    /// Writes the zone file, if it lacks changes, and removes the journal.
    ///
    /// # Errors
    /// The file cannot be written, or the journal not be removed.
    pub fn sync_and_clean(&self) -> Result<(), Failure> {
        // Most of the time goes by here, and the zone may change meanwhile.
        self.sync()?;
        let _file = lock(&self.file);
        // No change may come between the two.
        let mut tip = lock(&self.tip);
        if let Some(pending) = tip.pending() {
            pending.write(&self.timing)?;
            tip.wrote(&pending);
        }
        tip.kept.as_mut().map_or(Ok(()), |kept| kept.journal.reset().map_err(Failure::Journal))
    }

    /// Writes the zone file, removes the journal, and lets go of both. Returns whether there was a journal.
    ///
    /// # Errors
    /// The file cannot be written, or the journal not be removed. All is as it was.
    pub fn fold(&self) -> Result<bool, Failure> {
        let is_journaled = lock(&self.tip).kept.as_ref().is_some_and(|kept| kept.journal.end().is_some());
        self.sync_and_clean()?;
        self.close();
        Ok(is_journaled)
    }

    /// Writes the zone file, and accepts no more changes until [`Live::thaw`], so that it can be edited. The journal goes:
    /// the file has all of it, and should the server start again before the thaw, it would not fit the edited file.
    ///
    /// # Errors
    /// The file cannot be written, or the journal not be removed; the zone is not frozen then.
    pub fn freeze(&self) -> Result<(), Failure> {
        {
            let mut tip = lock(&self.tip);
            if tip.closed {
                return Err(Failure::Closed);
            }
            tip.set_frozen(true);
        }
        self.sync_and_clean().inspect_err(|_| self.thaw())
    }

    /// Accepts changes again.
    pub fn thaw(&self) {
        lock(&self.tip).set_frozen(false);
    }

    /// Writes the zone file if it lacks changes, and accepts no more changes. If the zone is frozen, it stays so for the
    /// next owner of its files.
    pub fn close(&self) {
        self.let_go(true);
    }

    /// As [`Live::close`], but the zone is not frozen for the next owner of its files.
    pub fn retire(&self) {
        self.let_go(false);
    }

    fn let_go(&self, stays_frozen: bool) {
        let (was_closed, frozen) = {
            let tip = &mut *lock(&self.tip);
            (mem::replace(&mut tip.closed, true), tip.frozen)
        };
        // The file of a frozen zone is complete, and is being edited.
        if !was_closed && !frozen {
            self.log_failed(if self.check_writable().is_ok() { self.sync() } else { Ok(()) });
        }
        let _file = lock(&self.file);
        // What is on the disk may be the next owner's from now on.
        let mut tip = lock(&self.tip);
        if let Some(mut kept) = tip.kept.take() {
            self.log_failed(kept.conclude(stays_frozen));
            tip.left = Some(kept);
        }
    }

    /// Takes the files again after [`Live::close`], as what was to take this owner's place has failed. All goes on as it
    /// was.
    ///
    /// # Errors
    /// The files have another owner, or the journal cannot be used. No changes are accepted.
    pub fn reopen(&self) -> Result<(), OpenError> {
        let _file = lock(&self.file);
        let tip = &mut *lock(&self.tip);
        if let Some(left) = &mut tip.left {
            left.reopen(tip.frozen)?;
            tip.kept = tip.left.take();
        }
        tip.closed = false;
        Ok(())
    }

    /// Accepts no more changes, and writes no file any more, as those that there are will be removed.
    pub fn discard(&self) {
        let _file = lock(&self.file);
        let mut tip = lock(&self.tip);
        tip.closed = true;
        if let Some(mut kept) = tip.kept.take() {
            kept.set_frozen(false);
        }
    }

    /// Writes the zone file if it has nothing of the version at hand, if it has lacked changes for a quarter of an hour,
    /// or if the journal is longer than `most` octets, which is shortened then. To be called now and then.
    pub fn tend(&self, now: Instant, most: impl FnOnce(&ZoneData) -> u64) {
        self.unwritten.store(false, Ordering::Relaxed);
        let (most, late, long) = {
            let tip = lock(&self.tip);
            let Some(kept) = tip.kept.as_ref().filter(|_| !tip.frozen && !tip.closed) else { return };
            let most = most(&tip.data);
            (most, kept.is_late(now), kept.journal.octets() > most)
        };
        if late || long {
            self.log_failed(self.sync());
        }
        if long && let Some(kept) = &mut lock(&self.tip).kept {
            // Half of it goes at a time, so that this is seldom necessary.
            self.log_failed(kept.compact(most / 2));
        }
    }

    /// Stops serving the version at hand if it has expired, or serves it again if it was confirmed since, as [`Timing`]
    /// says; a copy on the disk is marked with the time at which it was confirmed. This may wait for the disk.
    pub fn follow_times(&self, published: &Published) {
        self.turn(&lock(&self.tip), published);
    }

    /// As [`Live::follow_times`], if that need not wait for anything; returns whether it was done.
    pub fn try_follow_times(&self, published: &Published) -> bool {
        let tip = try_lock(&self.tip).filter(|tip| !tip.kept.as_ref().is_some_and(Kept::has_file));
        tip.map(|tip| self.turn(&tip, published)).is_some()
    }

    fn turn(&self, tip: &Tip, published: &Published) {
        match self.timing.turn().filter(|_| tip.data.serial().is_some()) {
            Some(true) => self.publish(published, &ZoneState::Expired),
            Some(false) => self.publish(published, &ZoneState::Loaded(tip.data.clone())),
            None => {}
        }
        if let Some(kept) = &tip.kept {
            kept.mark(&self.timing);
        }
    }

    /// Starts the journal anew, behind a zone file with all changes, if its serials have gone half round (RFC 1982): the
    /// next ones could be serials that it has. To be called before changes that clients choose the serials of.
    pub fn make_way(&self) {
        let goes_round = {
            let tip = lock(&self.tip);
            let kept = tip.kept.as_ref().filter(|_| !tip.frozen && !tip.closed);
            kept.is_some_and(|kept| kept.journal.goes_round())
        };
        if goes_round {
            self.log_failed(self.sync_and_clean());
        }
    }

    /// Serves a version in all views that serve this zone.
    fn publish(&self, published: &Published, state: &ZoneState) {
        // Views that share the zone go on sharing it.
        let (mut made, mut declares) = (None, None);
        published.update(|snapshot| {
            for view in &mut snapshot.views {
                let Some(zone) = view.zones.get(self.origin.as_ref()) else { continue };
                if !zone.live.as_deref().is_some_and(|live| std::ptr::eq(live, self)) {
                    continue;
                }
                let zone = Arc::clone(made.get_or_insert_with(|| Arc::new(zone.with_state(state.clone()))));
                view.zones.update([ZoneChange::Put(zone)]);
                declares.get_or_insert_with(|| Arc::clone(&view.name));
            }
        });
        if let Some((view, zone)) = declares.zip(made).filter(|(_, zone)| zone.data().is_some()) {
            published.report(&view, &zone);
        }
    }

    /// Whether changes are accepted.
    fn check_writable(&self) -> Result<(), Failure> {
        match &self.unwritable {
            Some(Unwritable { cause, changes: false }) => Err(Failure::Unwritable(cause.to_string())),
            _ => Ok(()),
        }
    }

    /// Logs what failed where nobody waits for it.
    fn log_failed(&self, done: Result<(), Failure>) {
        if let Err(failure) = done {
            error!(target: "general", "{self}: {failure}");
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").field(&self.origin).finish()
    }
}

/// The zone as log lines name it.
impl fmt::Display for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zone {}", ZoneLine { origin: self.origin.as_ref(), view: View::DEFAULT })
    }
}
