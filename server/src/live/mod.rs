//! Zones that change while they are served: by updates, by transfers, by `rndc`.
//!
//! Each has one owner, [`Live`], with the newest version and the journal. Whoever changes the zone holds its lock, makes
//! the next version from [`Locked::data`], and hands the change to [`Locked::commit`]: first it becomes durable, then
//! it is published, and only then may it be acknowledged. Readers never wait: they get what is published.

mod file;

pub use file::ZoneFile;

use std::{
    cmp::Ordering,
    collections::HashSet,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tracing::{error, info};
use zonefmt::{Name, Serial};

use crate::{
    journal::{Changes, Journal, JournalError, disk::Disk},
    sync::lock,
    zone::{Change, ZoneData},
    zones::{Published, ZoneChange},
};

/// The owner of a zone that changes while it is served.
pub struct Live {
    origin: Name,
    tip: Mutex<Tip>,
}

/// The newest state of a zone.
struct Tip {
    /// What is published.
    data: ZoneData,
    journal: Journal,
    file: ZoneFile,
    /// The serial of the content of the zone file.
    written: Option<Serial>,
    /// Since when the zone file lacks changes.
    lacking: Option<Instant>,
    /// Whether the zone file is edited by hand at the moment, so that it is not written, and no change is accepted.
    frozen: bool,
    /// Whether no more changes are accepted, because another owner has taken over or the zone is not served any more.
    closed: bool,
}

/// A zone that nobody else changes at the moment.
pub struct Locked<'l> {
    live: &'l Live,
    tip: MutexGuard<'l, Tip>,
}

/// Why a change was not made. Nothing of it is served, or will be.
#[derive(Debug)]
pub enum Failure {
    /// The zone does not accept changes any more.
    Closed,
    /// The zone does not accept changes while its file is edited.
    Frozen,
    /// It did not become durable.
    Journal(JournalError),
    /// The zone file cannot be written.
    File(PathBuf, io::Error),
}

/// Why a zone gets no owner.
#[derive(Debug)]
pub enum OpenError {
    /// This journal belongs to another zone, or to the same zone of another view.
    Owned(PathBuf),
    /// The journal cannot be used.
    Journal(JournalError),
}

/// How long the zone file may lack changes; as in BIND.
const LATEST: Duration = Duration::from_secs(15 * 60);

impl Live {
    /// The owner of a zone whose file has this content. The changes in the journal that the file lacks are made; see
    /// [`Locked::data`].
    ///
    /// # Errors
    /// The journal does not fit the file, or has an owner already.
    pub fn open(file: ZoneFile, content: &ZoneData, disk: Arc<dyn Disk>, journal: PathBuf) -> Result<Live, OpenError> {
        if !open_journals().insert(journal.clone()) {
            return Err(OpenError::Owned(journal));
        }
        Live::opened(file, content, disk, &journal).map_err(|cause| {
            open_journals().remove(&journal);
            OpenError::Journal(cause)
        })
    }

    fn opened(file: ZoneFile, content: &ZoneData, disk: Arc<dyn Disk>, journal: &Path) -> Result<Live, JournalError> {
        let journal = Journal::open(disk, journal.to_owned(), content.origin())?;
        let data = journal.replay(content)?;
        let (origin, written) = (content.origin().to_owned(), content.serial());
        let lacking = (written != data.serial()).then(Instant::now);
        if let (Some(from), Some(to)) = (written, data.serial())
            && from != to
        {
            let zone = origin.as_ref();
            let zone = zone.without_final_dot();
            info!(target: "zoneload", "zone {zone}/IN: the journal leads from serial {} to {}", from.0, to.0);
        }
        let tip = Tip { data, journal, file, written, lacking, frozen: false, closed: false };
        Ok(Live { origin, tip: Mutex::new(tip) })
    }

    /// Waits until nobody else changes the zone.
    pub fn lock(&self) -> Locked<'_> {
        // Whoever panicked while it was held has published nothing that is not durable.
        Locked { live: self, tip: lock(&self.tip) }
    }

    /// The changes from a serial to the newest version, and that version's serial; `None` if they are not known.
    pub fn since(&self, serial: Serial) -> Option<Changes> {
        lock(&self.tip).journal.since(serial)
    }

    /// Writes the zone file if it lacks changes, and accepts no more changes.
    pub fn close(&self) {
        let mut locked = self.lock();
        // The file of a frozen zone is complete, and is being edited.
        if !locked.is_frozen() && !locked.tip.closed {
            locked.log_failed(Locked::sync);
        }
        locked.tip.closed = true;
        open_journals().remove(locked.tip.journal.path());
    }

    /// Whether no more changes are accepted, for good.
    pub fn is_closed(&self) -> bool {
        lock(&self.tip).closed
    }

    /// Writes the zone file if it has lacked changes for a quarter of an hour, or if the journal is longer than `most`
    /// octets, which is shortened then. To be called now and then.
    pub fn tend(&self, now: Instant, most: impl FnOnce(&ZoneData) -> u64) {
        let mut locked = self.lock();
        let late = locked.tip.lacking.is_some_and(|since| now.saturating_duration_since(since) >= LATEST);
        let most = most(locked.data());
        let long = locked.tip.journal.octets() > most;
        if locked.is_frozen() || locked.tip.closed || !(late || long) {
            return;
        }
        locked.log_failed(|locked| {
            locked.sync()?;
            let Some(written) = locked.tip.written.filter(|_| long) else { return Ok(()) };
            // Half of it goes at a time, so that this is seldom necessary.
            locked.tip.journal.compact(most / 2, written).map_err(Failure::Journal)
        });
    }

    /// Serves a version in all views that serve this zone.
    fn publish(&self, published: &Published, data: &ZoneData) {
        // Views that share the zone go on sharing it.
        let (mut made, mut declares) = (None, None);
        published.update(|snapshot| {
            for view in &mut snapshot.views {
                let Some(zone) = view.zones.get(self.origin.as_ref()) else { continue };
                if !zone.live.as_deref().is_some_and(|live| std::ptr::eq(live, self)) {
                    continue;
                }
                let zone = Arc::clone(made.get_or_insert_with(|| Arc::new(zone.with_data(data.clone()))));
                view.zones.update([ZoneChange::Put(zone)]);
                declares.get_or_insert_with(|| Arc::clone(&view.name));
            }
        });
        if let Some((view, zone)) = declares.zip(made) {
            published.report(&view, &zone);
        }
    }
}

impl Locked<'_> {
    /// The newest version.
    pub fn data(&self) -> &ZoneData {
        &self.tip.data
    }

    /// Whether the zone file is edited by hand at the moment.
    pub fn is_frozen(&self) -> bool {
        self.tip.frozen
    }

    /// Writes the zone file, if it lacks changes.
    ///
    /// # Errors
    /// The file cannot be written; it is as it was.
    pub fn sync(&mut self) -> Result<(), Failure> {
        let Tip { data, file, written, lacking, .. } = &mut *self.tip;
        if *written != data.serial() || lacking.is_some() {
            file.write(data).map_err(|error| Failure::File(file.path.clone(), error))?;
            (*written, *lacking) = (data.serial(), None);
        }
        Ok(())
    }

    /// Writes the zone file, if it lacks changes, and removes the journal.
    ///
    /// # Errors
    /// The file cannot be written, or the journal not be removed.
    pub fn sync_and_clean(&mut self) -> Result<(), Failure> {
        self.sync()?;
        self.tip.journal.reset().map_err(Failure::Journal)
    }

    /// Writes the zone file, and accepts no more changes until [`Locked::thaw`], so that it can be edited.
    ///
    /// # Errors
    /// The file cannot be written; the zone is not frozen then.
    pub fn freeze(&mut self) -> Result<(), Failure> {
        self.sync()?;
        self.tip.frozen = true;
        Ok(())
    }

    /// Serves what the zone file has now: `content`. If its serial has increased, secondaries will get the difference.
    ///
    /// # Errors
    /// The change did not become durable. The zone stays as it was.
    pub fn take_over(&mut self, content: ZoneData, published: &Published) -> Result<(), Failure> {
        let Tip { data, journal, written, lacking, .. } = &mut *self.tip;
        let change = Change::between(data, &content);
        let follows =
            change.as_ref().is_some_and(|change| change.from().partial_cmp(&change.to()) == Some(Ordering::Less));
        let durable = match change {
            Some(change) if follows => journal.recover().and_then(|()| journal.append(&[change])),
            // The file has the same serial, and maybe the same content; or it goes back.
            _ if data.is(&content) => Ok(()),
            _ => journal.reset(),
        };
        durable.map_err(Failure::Journal)?;
        (*written, *lacking) = (content.serial(), None);
        self.live.publish(published, &content);
        self.tip.data = content;
        Ok(())
    }

    /// Accepts changes again.
    pub fn thaw(&mut self) {
        self.tip.frozen = false;
    }

    /// Makes changes, of which the first starts from [`Locked::data`] and the last leads to `data`: durable, then
    /// served.
    ///
    /// # Errors
    /// They are not made: neither served nor, after a restart, found in the journal.
    pub fn commit(&mut self, changes: &[Change], data: ZoneData, published: &Published) -> Result<(), Failure> {
        let Tip { closed, frozen, journal, .. } = &mut *self.tip;
        if *closed {
            return Err(Failure::Closed);
        }
        if *frozen {
            return Err(Failure::Frozen);
        }
        // After a failure, the journal is written anew before anything else is acknowledged.
        let durable = journal.recover().and_then(|()| journal.append(changes));
        if let Err(cause) = durable {
            let zone = self.live.origin.as_ref();
            error!(target: "general", "zone {}/IN: {cause}", zone.without_final_dot());
            return Err(Failure::Journal(cause));
        }
        self.live.publish(published, &data);
        self.tip.data = data;
        self.tip.lacking.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Does something of which only the log hears that it failed.
    fn log_failed(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Failure>) {
        if let Err(failure) = work(self) {
            let zone = self.live.origin.as_ref();
            error!(target: "general", "zone {}/IN: {failure}", zone.without_final_dot());
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let tip = lock(&self.tip);
        if !tip.closed {
            open_journals().remove(tip.journal.path());
        }
    }
}

/// The journals that have owners. A second owner would write over what the first has acknowledged.
fn open_journals() -> MutexGuard<'static, HashSet<PathBuf>> {
    static OPEN: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);
    lock(&OPEN)
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").field(&self.origin).finish()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Closed => f.write_str("the zone is not served any more"),
            // named's words.
            Failure::Frozen => f.write_str(
                "dynamic update temporarily disabled because the zone is frozen.  Use 'rndc thaw' to re-enable updates.",
            ),
            Failure::Journal(cause) => write!(f, "{cause}"),
            Failure::File(path, error) => {
                write!(f, "cannot write the zone file {}: {error}; its changes are in the journal", path.display())
            }
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Owned(path) => {
                write!(
                    f,
                    "another zone has the journal {}; give each a file of its own, or use `in-view`",
                    path.display()
                )
            }
            OpenError::Journal(cause) => write!(f, "{cause}"),
        }
    }
}

impl std::error::Error for OpenError {}
