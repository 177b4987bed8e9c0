//! How a zone changes: under its lock, by the difference from the version at hand, by a whole new version, or as its file
//! was edited.

use std::{
    cmp::Ordering,
    slice,
    sync::{MutexGuard, atomic},
};

use tracing::error;

use super::{Failure, Live, tip::Tip};
use crate::{
    sync::{lock, try_lock},
    zone::{Change, ZoneData},
    zones::{Published, ZoneState},
};

/// A zone that nobody else changes at the moment.
pub struct Locked<'l> {
    live: &'l Live,
    tip: MutexGuard<'l, Tip>,
}

/// A zone file that nobody else reads or writes at the moment.
pub struct HeldFile<'l> {
    live: &'l Live,
    _held: MutexGuard<'l, ()>,
}

impl Live {
    /// Waits until nobody else changes the zone.
    pub fn lock(&self) -> Locked<'_> {
        // Whoever panicked while it was held has published nothing that is not durable.
        Locked { live: self, tip: lock(&self.tip) }
    }

    /// As [`Live::lock`], but `None` while somebody else changes the zone, for whom this would have to wait.
    pub fn try_lock(&self) -> Option<Locked<'_>> {
        Some(Locked { live: self, tip: try_lock(&self.tip)? })
    }

    /// Waits until nobody writes the zone file, and keeps others from it, so that it can be read and taken over.
    pub fn hold_file(&self) -> HeldFile<'_> {
        HeldFile { live: self, _held: lock(&self.file) }
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
    /// durable once the zone file is written, which is to be soon: see [`Live::is_unwritten`].
    ///
    /// # Errors
    /// The journal cannot be removed. The zone stays as it was.
    pub fn replace(&mut self, data: ZoneData, published: &Published) -> Result<(), Failure> {
        self.check_open()?;
        if let Some(kept) = &mut self.tip.kept {
            kept.replace()?;
            self.live.unwritten.store(true, atomic::Ordering::Relaxed);
        }
        self.serve(data, published);
        Ok(())
    }

    /// Whether changes are accepted.
    ///
    /// # Errors
    /// They are not.
    pub fn check_open(&self) -> Result<(), Failure> {
        self.live.check_writable()?;
        // What was changed here would be lost with the next version.
        if self.tip.remembered.is_some() {
            return Err(Failure::MadeElsewhere);
        }
        self.tip.check_open()
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
        self.live.check_writable()?;
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
