//! Zones that change while they are served: by updates, by transfers, by `rndc`.
//!
//! Each has one owner, [`Live`], with the newest version and the journal. Whoever changes the zone holds its lock, makes
//! the next version from [`Locked::data`], and hands the change to [`Locked::commit`]: first it becomes durable, then
//! it is published, and only then may it be acknowledged. Readers never wait: they get what is published.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use tracing::{error, info};
use zonefmt::{Name, Serial};

use crate::{
    journal::{Changes, Journal, JournalError},
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
    /// It did not become durable.
    Journal(JournalError),
}

impl Live {
    /// The owner of a zone whose file has this content. The changes in the journal that the file lacks are made; see
    /// [`Locked::data`].
    ///
    /// # Errors
    /// The journal does not fit the file.
    pub fn open(file: &ZoneData, journal: Journal) -> Result<Live, JournalError> {
        let data = journal.replay(file)?;
        if let (Some(from), Some(to)) = (file.serial(), data.serial())
            && from != to
        {
            let zone = file.origin();
            let zone = zone.without_final_dot();
            info!(target: "zoneload", "zone {zone}/IN: the journal leads from serial {} to {}", from.0, to.0);
        }
        let origin = file.origin().to_owned();
        Ok(Live { origin, tip: Mutex::new(Tip { data, journal, closed: false }) })
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

    /// Accepts no more changes.
    pub fn close(&self) {
        lock(&self.tip).closed = true;
    }

    /// Serves a version in all views that serve this zone.
    fn publish(&self, published: &Published, data: &ZoneData) {
        published.update(|snapshot| {
            // Views that share the zone go on sharing it.
            let mut made = None;
            for view in &mut snapshot.views {
                let Some(zone) = view.zones.get(self.origin.as_ref()) else { continue };
                if !zone.live.as_deref().is_some_and(|live| std::ptr::eq(live, self)) {
                    continue;
                }
                let zone = Arc::clone(made.get_or_insert_with(|| Arc::new(zone.with_data(data.clone()))));
                view.zones.update([ZoneChange::Put(zone)]);
            }
        });
    }
}

impl Locked<'_> {
    /// The newest version.
    pub fn data(&self) -> &ZoneData {
        &self.tip.data
    }

    /// Makes changes, of which the first starts from [`Locked::data`] and the last leads to `data`: durable, then
    /// served.
    ///
    /// # Errors
    /// They are not made: neither served nor, after a restart, found in the journal.
    pub fn commit(&mut self, changes: &[Change], data: ZoneData, published: &Published) -> Result<(), Failure> {
        let Tip { closed, journal, .. } = &mut *self.tip;
        if *closed {
            return Err(Failure::Closed);
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
        Ok(())
    }
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
            Failure::Journal(cause) => write!(f, "{cause}"),
        }
    }
}

impl std::error::Error for Failure {}
