//! Zones that change while they are served: by updates, by transfers, by `rndc`.
//!
//! Each has one owner, [`Live`], with the newest version. Whoever changes the zone holds its lock, makes the next version
//! from [`Locked::data`], and hands the change to [`Locked::commit`]: first it becomes durable, then it is published, and
//! only then may it be acknowledged. Readers never wait: they get what is published.
//!
//! * `kept`: what a zone has on the disk, a journal and a zone file; `file` writes the latter.
//! * `differences`: those between the versions of a zone that changes with its file only.
//! * `ownership`: that files have one owner at a time.
//! * `legacy`: what named had in its journal when this server took the zone over.
//! * `timing`: when a secondary zone asks its primaries, and when it expires. `failure`: what can go wrong.

mod differences;
mod failure;
mod file;
mod kept;
mod legacy;
mod ownership;
mod timing;

#[cfg(test)]
mod tests;

pub use differences::path as differences_path;
pub use failure::{Failure, OpenError};
pub use file::ZoneFile;
pub use legacy::{Legacy, LegacyError};
pub use timing::{Timing, Validity};

use std::{
    cmp::Ordering,
    fmt, mem,
    path::PathBuf,
    slice,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use tracing::{error, info, warn};
use zonefmt::{Name, NameRef, Serial};

use crate::{
    journal::{Changes, History, Journal, disk::Disk},
    logs::ZoneLine,
    sync::{lock, try_lock},
    zone::{Change, ZoneData},
    zones::{Published, View, ZoneChange, ZoneState},
};
use kept::Kept;
use ownership::Ownership;

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
    /// Held while the zone file is written or read. Whoever needs `tip` as well takes this one first.
    file: Mutex<()>,
    timing: Timing,
}

/// The newest state of a zone.
struct Tip {
    /// The newest version, without records if there is none yet. It is published unless it has expired.
    data: ZoneData,
    /// `None`: the zone is only in memory, as a secondary without a file; or it is closed.
    kept: Option<Kept>,
    /// What the zone has on the disk if it is closed: another owner may have that by now.
    left: Option<Kept>,
    /// Whether the zone file is edited by hand at the moment, so that it is not written, and no change is accepted.
    frozen: bool,
    /// Whether no more changes are accepted, because another owner has taken over or the zone is not served any more.
    closed: bool,
}

/// A zone file that nobody else reads or writes at the moment.
pub struct HeldFile<'l> {
    live: &'l Live,
    _held: MutexGuard<'l, ()>,
}

/// A zone that nobody else changes at the moment.
pub struct Locked<'l> {
    live: &'l Live,
    tip: MutexGuard<'l, Tip>,
}

/// Where a zone is kept on the disk.
#[derive(Clone)]
pub struct Storage {
    /// The zone file, which is written from time to time.
    pub file: ZoneFile,
    /// The file of the journal.
    pub journal: PathBuf,
    /// The disk that has the journal.
    pub disk: Arc<dyn Disk>,
}

impl Live {
    /// The owner of a zone whose file has this content, with the changes that are still in named's journal (`legacy`).
    /// The changes in the journal that the file lacks are made; see [`Locked::data`].
    ///
    /// # Errors
    /// The journal does not fit the file, or has an owner already; or the zone cannot be taken over from named.
    pub fn open(storage: Storage, content: &ZoneData, legacy: Option<Legacy>) -> Result<Live, OpenError> {
        Live::claim(storage, content, false, open, |journal, file| {
            legacy.map_or(Ok(()), |legacy| legacy.settle(file, content, journal)).map_err(OpenError::Legacy)?;
            match journal.replay(content) {
                Err(cause) if journal.is_saved() => {
                    warn!(target: "general", "{cause}; it is dropped, as the file had all changes when it was written");
                    journal.reset().map_err(OpenError::Journal)?;
                    Ok(content.clone())
                }
                replayed => replayed.map_err(OpenError::Journal),
            }
        })
    }

    /// The owner of a copy of a zone that other servers have. `content` has no records if there is no copy. A journal
    /// that is damaged or does not fit the copy is dropped: what it had comes again from a primary.
    ///
    /// # Errors
    /// The journal cannot be read or removed, or has an owner already; or the copy cannot be taken over from named.
    pub fn open_copy(storage: Storage, content: &ZoneData, legacy: Option<Legacy>) -> Result<Live, OpenError> {
        let dropped = |cause| warn!(target: "general", "{cause}; it is dropped, and the zone is transferred again");
        let open = |disk: Arc<dyn Disk>, path: PathBuf, origin: NameRef<'_>| {
            match Journal::open_of_copy(Arc::clone(&disk), path.clone(), origin) {
                Err(error) if error.is_damage() => {
                    dropped(error);
                    Journal::anew(disk, path, origin)
                }
                opened => opened,
            }
            .map_err(OpenError::Journal)
        };
        Live::claim(storage, content, true, open, |journal, file| {
            legacy.map_or(Ok(()), |legacy| legacy.settle_copy(file, content, journal)).map_err(OpenError::Legacy)?;
            journal.replay(content).or_else(|cause| {
                dropped(cause);
                journal.reset().map_err(OpenError::Journal)?;
                Ok(content.clone())
            })
        })
    }

    /// The owner of a zone that changes with its file only, which has this content now; see [`differences`]. `before` is
    /// the content that the file had, if that is known.
    ///
    /// # Errors
    /// The differences cannot be kept, or are another owner's.
    pub fn following(storage: Storage, content: &ZoneData, before: Option<&ZoneData>) -> Result<Live, OpenError> {
        let storage = Storage { journal: differences::path(&storage.file.path), ..storage };
        let mut live = Live::claim(storage, content, false, open, |journal, _| {
            differences::record(journal, before, content).map_err(OpenError::Journal)?;
            Ok(content.clone())
        })?;
        live.follows_file = true;
        Ok(live)
    }

    /// The owner of a zone that is only in memory.
    pub fn unkept(content: ZoneData) -> Live {
        Live::of(content, None, false)
    }

    fn claim(
        Storage { file, journal: path, disk }: Storage,
        content: &ZoneData,
        is_copy: bool,
        open: impl FnOnce(Arc<dyn Disk>, PathBuf, NameRef<'_>) -> Result<Journal, OpenError>,
        replay: impl FnOnce(&mut Journal, &ZoneFile) -> Result<ZoneData, OpenError>,
    ) -> Result<Live, OpenError> {
        let ownership = Ownership::take(&file.path, &path)?;
        let (shown, frozen) = (content.origin().without_final_dot(), ownership.frozen);
        if frozen {
            info!(target: "general", "zone {shown}/IN: it is frozen, as it was before; `rndc thaw {shown}` ends that");
        }
        let mut journal = open(disk, path, content.origin())?;
        let data = replay(&mut journal, &file)?;
        let (written, lacking) = (content.serial(), !data.is(content));
        if let (Some(from), Some(to)) = (written, data.serial())
            && lacking
        {
            info!(target: "zoneload", "zone {shown}/IN: the journal leads from serial {} to {}", from.0, to.0);
        }
        Ok(Live::of(data, Some(Kept::new(journal, file, ownership, is_copy, written, lacking)), frozen))
    }

    fn of(data: ZoneData, kept: Option<Kept>, frozen: bool) -> Live {
        let origin = data.origin().to_owned();
        let newest = Mutex::new(data.clone());
        let history = kept.as_ref().map(|kept| kept.journal.history());
        let tip = Mutex::new(Tip { data, kept, left: None, frozen, closed: false });
        Live { origin, follows_file: false, tip, newest, history, file: Mutex::default(), timing: Timing::default() }
    }

    /// Waits until nobody else changes the zone.
    pub fn lock(&self) -> Locked<'_> {
        // Whoever panicked while it was held has published nothing that is not durable.
        Locked { live: self, tip: lock(&self.tip) }
    }

    /// As [`Live::lock`], but `None` while somebody else changes the zone, for whom this would have to wait.
    pub fn try_lock(&self) -> Option<Locked<'_>> {
        Some(Locked { live: self, tip: try_lock(&self.tip)? })
    }

    /// The newest version, as [`Locked::data`], without waiting for whoever changes the zone.
    pub fn newest(&self) -> ZoneData {
        lock(&self.newest).clone()
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

    /// Whether the zone changes with its file only, and neither by updates nor by transfers.
    pub fn follows_file(&self) -> bool {
        self.follows_file
    }

    /// Whether no more changes are accepted, for good.
    pub fn is_closed(&self) -> bool {
        lock(&self.tip).closed
    }

    /// Writes the zone file, if it lacks changes. The zone may change meanwhile.
    ///
    /// # Errors
    /// The file cannot be written; it is as it was.
    pub fn sync(&self) -> Result<(), Failure> {
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

    /// Waits until nobody writes the zone file, and keeps others from it, so that it can be read and taken over.
    pub fn hold_file(&self) -> HeldFile<'_> {
        HeldFile { live: self, _held: lock(&self.file) }
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
            self.log_failed(self.sync());
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

    /// Writes the zone file if there is none, if it has lacked changes for a quarter of an hour, or if the journal is
    /// longer than `most` octets, which is shortened then. To be called now and then.
    pub fn tend(&self, now: Instant, most: impl FnOnce(&ZoneData) -> u64) {
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

    /// Logs what failed where nobody waits for it.
    fn log_failed(&self, done: Result<(), Failure>) {
        if let Err(failure) = done {
            error!(target: "general", "{self}: {failure}");
        }
    }
}

impl Locked<'_> {
    /// The newest version; without records if there is none yet.
    pub fn data(&self) -> &ZoneData {
        &self.tip.data
    }

    /// Whether the zone file is edited by hand at the moment.
    pub fn is_frozen(&self) -> bool {
        self.tip.frozen
    }

    /// Whether changes lead to a serial that the journal has already: then it cannot hold them.
    pub fn repeats(&self, changes: &[Change]) -> bool {
        self.tip.kept.as_ref().is_some_and(|kept| kept.journal.repeats(changes))
    }

    /// Makes changes, of which the first starts from [`Locked::data`] and the last leads to `data`: durable, then
    /// served. After [`Locked::replace`] they become durable with the zone file, not one by one.
    ///
    /// # Errors
    /// They are not made: neither served nor, after a restart, found in the journal.
    pub fn commit(&mut self, changes: &[Change], data: ZoneData, published: &Published) -> Result<(), Failure> {
        self.check_open()?;
        if let Some(kept) = &mut self.tip.kept {
            kept.append(changes).inspect_err(|failure| error!(target: "general", "{}: {failure}", self.live))?;
        }
        self.serve(data, published);
        Ok(())
    }

    /// Serves a version that has nothing to do with [`Locked::data`], as from a transfer of the whole zone. It is
    /// durable once the zone file is written.
    ///
    /// # Errors
    /// The journal cannot be removed. The zone stays as it was.
    pub fn replace(&mut self, data: ZoneData, published: &Published) -> Result<(), Failure> {
        self.check_open()?;
        if let Some(kept) = &mut self.tip.kept {
            kept.replace()?;
        }
        self.serve(data, published);
        Ok(())
    }

    fn check_open(&self) -> Result<(), Failure> {
        match &*self.tip {
            Tip { closed: true, .. } => Err(Failure::Closed),
            Tip { frozen: true, .. } => Err(Failure::Frozen),
            Tip { .. } => Ok(()),
        }
    }

    fn serve(&mut self, data: ZoneData, published: &Published) {
        self.live.timing.revive();
        self.live.publish(published, &ZoneState::Loaded(data.clone()));
        lock(&self.live.newest).clone_from(&data);
        self.tip.data = data;
    }
}

impl HeldFile<'_> {
    /// Serves what the zone file has now: `content`. If its serial has increased, secondaries will get the difference.
    ///
    /// # Errors
    /// The change did not become durable. The zone stays as it was.
    pub fn take_over(&self, content: ZoneData, published: &Published) -> Result<(), Failure> {
        let mut locked = self.live.lock();
        let tip = &mut *locked.tip;
        if tip.closed {
            return Err(Failure::Closed);
        }
        if let Some(kept) = &mut tip.kept {
            let change = Change::between(&tip.data, &content);
            let follows =
                change.as_ref().is_some_and(|change| change.from().partial_cmp(&change.to()) == Some(Ordering::Less));
            match change {
                Some(change) if follows && !kept.journal.repeats(slice::from_ref(&change)) => kept.append(&[change])?,
                // The file has the same serial, and maybe the same content; or it goes back, or all the way round.
                _ if tip.data.is(&content) => {}
                _ => kept.replace()?,
            }
            kept.edited(content.serial());
        }
        locked.serve(content, published);
        Ok(())
    }
}

impl Tip {
    fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
        if let Some(kept) = &mut self.kept {
            kept.set_frozen(frozen);
        }
    }

    /// The zone file, and what is to be written there, if it lacks changes.
    fn pending(&self) -> Option<Pending> {
        let kept = self.kept.as_ref()?;
        let is_pending = self.data.serial().is_some() && kept.is_lacking(self.data.serial());
        is_pending.then(|| Pending { file: kept.file.clone(), data: self.data.clone(), epoch: kept.epoch })
    }

    /// Takes note that the zone file was written.
    fn wrote(&mut self, pending: &Pending) {
        let more = !self.data.is(&pending.data);
        if let Some(kept) = self.kept.as_mut().filter(|kept| kept.epoch == pending.epoch) {
            kept.wrote(pending.data.serial(), more);
        }
    }
}

/// A version that is to be written to the zone file.
struct Pending {
    file: ZoneFile,
    data: ZoneData,
    epoch: u32,
}

impl Pending {
    fn write(&self, timing: &Timing) -> Result<(), Failure> {
        let written = self.file.write(&self.data, timing.confirmed());
        written.map_err(|error| Failure::File(self.file.path.clone(), error))
    }
}

fn open(disk: Arc<dyn Disk>, path: PathBuf, origin: NameRef<'_>) -> Result<Journal, OpenError> {
    Journal::open(disk, path, origin).map_err(OpenError::Journal)
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
