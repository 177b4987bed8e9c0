//! The durable changes of a journal, for whoever must not wait for its owner, who in turn may wait for the disk.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tracing::warn;
use zonefmt::Serial;

use super::{
    changes::Changes,
    files::JournalFile,
    format::{ALIGNMENT, Mark},
};
use crate::sync::lock;

/// The changes that a journal has at the moment. Clones are of the same journal.
#[derive(Clone)]
pub struct History {
    path: PathBuf,
    past: Arc<Mutex<Option<Arc<Past>>>>,
}

/// The durable changes of a file.
pub(super) struct Past {
    file: Arc<JournalFile>,
    mark: Mark,
    places: Mutex<Places>,
}

/// Where the changes of a file are. It is only locked for a moment.
pub(super) struct Places {
    list: Vec<Place>,
    end: Serial,
    /// Where the next frame goes.
    octets: u64,
}

/// Where a change is; eight octets for each change in the file.
#[derive(Clone, Copy)]
struct Place {
    from: Serial,
    /// The offset of its frame, divided by [`ALIGNMENT`].
    frame: u32,
}

/// The bound on a file's length in octets: what a [`Place`] can address.
pub(super) const MAX_FILE: u64 = (u32::MAX as u64) * ALIGNMENT as u64;

impl History {
    pub(super) fn new(path: &Path) -> History {
        History { path: path.to_owned(), past: Arc::default() }
    }

    /// The changes from a serial to the end; none if the serial is the end. `None` if the journal does not have that
    /// serial.
    pub fn since(&self, serial: Serial) -> Option<Changes> {
        let past = lock(&self.past).clone()?;
        let range = past.places(|places| {
            let at = if serial == places.end { places.octets } else { places.frame_of(serial)? };
            Some(at..places.octets)
        })?;
        // It may have been replaced just now.
        let opened = past.file.open().inspect_err(|error| {
            warn!(target: "general", "journal {}: secondaries get the whole zone: {error}", self.path.display());
        });
        Some(Changes::new(opened.ok()?, &self.path, past.mark, serial, range))
    }

    /// The changes from the one that leads to a serial on; `None` if the journal has no such change.
    pub(super) fn leading_to(&self, serial: Serial) -> Option<Changes> {
        let before = lock(&self.past).as_ref()?.places(|places| places.before(serial))?;
        self.since(before)
    }

    /// From now on the changes are those of another file, or there are none.
    pub(super) fn becomes(&self, past: Option<&Arc<Past>>) {
        *lock(&self.past) = past.cloned();
    }
}

impl Past {
    /// A file without changes, in which the first frame goes to this offset.
    pub(super) fn new(file: Arc<JournalFile>, mark: Mark, base: Serial, octets: u64) -> Past {
        Past { file, mark, places: Mutex::new(Places { list: Vec::new(), end: base, octets }) }
    }

    /// Looks at the places, which can be changed, too.
    pub(super) fn places<T>(&self, look: impl FnOnce(&mut Places) -> T) -> T {
        look(&mut lock(&self.places))
    }
}

impl Places {
    /// Adds the changes of the frame after the last one, which ends at an offset. They start from these serials, and the
    /// last one leads to `end`.
    pub(super) fn add(&mut self, starts: &[Serial], end: Serial, next: u64) {
        let frame = (self.octets / ALIGNMENT as u64) as u32;
        self.list.extend(starts.iter().map(|&from| Place { from, frame }));
        (self.end, self.octets) = (end, next);
    }

    /// Whether a change starts from one of these serials.
    pub(super) fn has_any(&self, serials: &[Serial]) -> bool {
        self.list.iter().any(|place| serials.contains(&place.from))
    }

    /// The offset of the frame with the change from this serial; `None` if there is no such change.
    pub(super) fn frame_of(&self, serial: Serial) -> Option<u64> {
        self.list.iter().rfind(|place| place.from == serial).map(|place| place.offset())
    }

    /// The serial that the change to a serial starts from; `None` if there is no such change.
    pub(super) fn before(&self, serial: Serial) -> Option<Serial> {
        let follows = self.list.iter().rposition(|place| place.from == serial);
        let next = if serial == self.end { self.list.len() } else { follows? };
        Some(self.list.get(next.checked_sub(1)?)?.from)
    }

    /// The first frame at or after an offset: its own offset, and the serial that its first change starts from. After the
    /// last frame: the end of the chain.
    pub(super) fn frame_after(&self, offset: u64) -> (u64, Serial) {
        let index = self.list.partition_point(|place| place.offset() < offset);
        self.list.get(index).map_or((self.octets, self.end), |place| (place.offset(), place.from))
    }
}

impl Place {
    fn offset(self) -> u64 {
        u64::from(self.frame) * ALIGNMENT as u64
    }
}
