//! How a zone gets its owner: what its file and its journal have together is its newest version.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use tracing::{error, info, warn};
use zonefmt::NameRef;

use super::{
    Legacy, Live, OpenError, Timing, Unwritable, ZoneFile, differences, kept::Kept, ownership::Ownership, tip::Tip,
};
use crate::{
    journal::{Journal, disk::Disk},
    zone::ZoneData,
};

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
    /// The changes in the journal that the file lacks are made; see [`Locked::data`](super::Locked::data). If the files
    /// are another process's or cannot be written, the zone has these changes all the same, and accepts no others: see
    /// [`Live::makes_way`].
    ///
    /// # Errors
    /// The journal does not fit the file, or has an owner already; or the zone cannot be taken over from named.
    pub fn open(storage: Storage, content: &ZoneData, legacy: Option<Legacy>) -> Result<Live, OpenError> {
        let is_taken_over = legacy.is_some();
        let opened = Live::claim(storage.clone(), content, false, open, |journal, file| {
            legacy.map_or(Ok(()), |legacy| legacy.settle(file, content, journal)).map_err(OpenError::Legacy)?;
            match journal.replay(content) {
                Err(cause) if journal.is_saved() => {
                    warn!(target: "general", "{cause}; it is dropped, as the file had all changes when it was written");
                    journal.reset().map_err(OpenError::Journal)?;
                    Ok(content.clone())
                }
                replayed => replayed.map_err(OpenError::Journal),
            }
        });
        match opened {
            Err(cause) if cause.leaves_reading() => Live::only_read(storage, content, is_taken_over, cause),
            opened => opened,
        }
    }

    /// The same for a zone whose files cannot be written, for this reason, but maybe read. Content that has named's changes
    /// is the newest, unless this server's journal goes on from there.
    fn only_read(
        Storage { journal: path, disk, .. }: Storage,
        content: &ZoneData,
        is_named_s: bool,
        cause: OpenError,
    ) -> Result<Live, OpenError> {
        let once = || Journal::read(Arc::clone(&disk), path.clone(), content);
        // A change that is being written may look like damage, and is whole or torn a moment later.
        let read = || once().or_else(|error| if error.is_damage() { once() } else { Err(error) });
        let (newest, history) = match &cause {
            OpenError::Legacy(_) => (content.clone(), None),
            _ => read().map(|(newest, history)| (newest, Some(history))).map_err(OpenError::Journal)?,
        };
        if is_named_s && !newest.is(content) {
            return Err(cause);
        }
        let zone = content.origin();
        error!(
            target: "general",
            "zone {}/IN: {cause}; until the zone is loaded again, it stays as it is on the disk now, and updates are answered \
             SERVFAIL",
            zone.without_final_dot()
        );
        let unwritable = Some(Unwritable { cause, changes: false });
        Ok(Live { history, unwritable, ..Live::of(newest, None, false) })
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

    /// The owner of a copy that is only in memory for this reason.
    pub fn unkept_because(cause: OpenError, content: ZoneData) -> Live {
        let unwritable = Some(Unwritable { cause, changes: true });
        Live { unwritable, ..Live::unkept(content) }
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
        let tip = Mutex::new(Tip { data, kept, left: None, remembered: None, frozen, closed: false });
        Live {
            origin,
            follows_file: false,
            tip,
            newest,
            history,
            unwritten: AtomicBool::default(),
            file: Mutex::default(),
            timing: Timing::default(),
            unwritable: None,
            store: None,
        }
    }
}

fn open(disk: Arc<dyn Disk>, path: PathBuf, origin: NameRef<'_>) -> Result<Journal, OpenError> {
    Journal::open(disk, path, origin).map_err(OpenError::Journal)
}
