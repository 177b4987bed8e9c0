//! The newest state of a zone, which is behind its lock.

use super::{Failure, Timing, ZoneFile, kept::Kept, remembered::Remembered};
use crate::zone::ZoneData;

/// The newest state of a zone.
pub(super) struct Tip {
    /// The newest version, without records if there is none yet. It is published unless it has expired.
    pub(super) data: ZoneData,
    /// `None`: the zone is only in memory, as a secondary without a file; or it is closed.
    pub(super) kept: Option<Kept>,
    /// What the zone has on the disk if it is closed: another owner may have that by now.
    pub(super) left: Option<Kept>,
    /// The changes of a zone that is only in memory and whose versions are made elsewhere.
    pub(super) remembered: Option<Remembered>,
    /// Whether the zone file is edited by hand at the moment, so that it is not written, and no change is accepted.
    pub(super) frozen: bool,
    /// Whether no more changes are accepted, because another owner has taken over or the zone is not served any more.
    pub(super) closed: bool,
}

impl Tip {
    pub(super) fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
        if let Some(kept) = &mut self.kept {
            kept.set_frozen(frozen);
        }
    }

    /// Whether changes are accepted, from whoever may make them.
    ///
    /// # Errors
    /// They are not.
    pub(super) fn check_open(&self) -> Result<(), Failure> {
        match self {
            Tip { closed: true, .. } => Err(Failure::Closed),
            Tip { frozen: true, .. } => Err(Failure::Frozen),
            Tip { .. } => Ok(()),
        }
    }

    /// The zone file, and what is to be written there, if it lacks changes.
    pub(super) fn pending(&self) -> Option<Pending> {
        let kept = self.kept.as_ref()?;
        let is_pending = self.data.serial().is_some() && kept.is_lacking(self.data.serial());
        is_pending.then(|| Pending { file: kept.file.clone(), data: self.data.clone(), epoch: kept.epoch })
    }

    /// Takes note that the zone file was written.
    pub(super) fn wrote(&mut self, pending: &Pending) {
        let more = !self.data.is(&pending.data);
        if let Some(kept) = self.kept.as_mut().filter(|kept| kept.epoch == pending.epoch) {
            kept.wrote(pending.data.serial(), more);
        }
    }
}

/// A version that is to be written to the zone file.
pub(super) struct Pending {
    file: ZoneFile,
    data: ZoneData,
    epoch: u32,
}

impl Pending {
    pub(super) fn write(&self, timing: &Timing) -> Result<(), Failure> {
        let written = self.file.write(&self.data, timing.confirmed());
        written.map_err(|error| Failure::File(self.file.path.clone(), error))
    }
}
