//! Who is connected, and which connection is closed when there are too many.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::AbortHandle;

use super::TcpLimits;
use crate::sync::lock;

/// A connection whose last request is more recent than this is never closed to make room.
const ACTIVE: Duration = Duration::from_secs(1);

/// The connections of all TCP listeners.
pub(super) struct Clients {
    table: Mutex<Table>,
    /// The start of the time that [`Entry::last_request`] counts.
    epoch: Instant,
}

struct Table {
    limits: Arc<TcpLimits>,
    /// At most `limits.clients`.
    connections: HashMap<u64, Entry>,
    /// Connections by [`origin`]; there are no zero entries.
    by_origin: HashMap<IpAddr, usize>,
    next_id: u64,
    /// All counts except those that follow from the table itself.
    counts: TcpCounts,
}

/// The number of past and present connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TcpCounts {
    /// Connections over IPv4.
    pub v4: FamilyCounts,
    /// Connections over IPv6.
    pub v6: FamilyCounts,
    /// The most connections at one time.
    pub high_water: usize,
}

/// The number of past and present connections of an address family.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FamilyCounts {
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Connections closed at once since the start, because there were too many.
    pub refused: u64,
    /// Connections open now.
    pub open: usize,
}

struct Entry {
    origin: IpAddr,
    /// When the client last sent a whole request, or connected, in milliseconds since the epoch.
    last_request: Arc<AtomicU64>,
    /// Set a moment after the connection was admitted.
    task: Option<AbortHandle>,
}

/// A connection's place among the clients, freed when dropped.
pub(super) struct Seat {
    clients: Arc<Clients>,
    id: u64,
    last_request: Arc<AtomicU64>,
    limits: Arc<TcpLimits>,
}

impl Clients {
    pub(super) fn new(limits: TcpLimits) -> Clients {
        let table = Table {
            limits: Arc::new(limits),
            connections: HashMap::new(),
            by_origin: HashMap::new(),
            next_id: 0,
            counts: TcpCounts::default(),
        };
        Clients { table: Mutex::new(table), epoch: Instant::now() }
    }

    pub(super) fn limits(&self) -> TcpLimits {
        TcpLimits::clone(&self.table().limits)
    }

    pub(super) fn set_limits(&self, limits: TcpLimits) {
        self.table().limits = Arc::new(limits);
    }

    /// Finds a place for a connection from `addr`. If necessary it closes the connection that has gone longest without
    /// a request: among the client's own if it has too many, otherwise among all. `None` if all of those have had a
    /// request just now.
    pub(super) fn admit(self: &Arc<Self>, addr: IpAddr) -> Option<Seat> {
        let now = self.milliseconds(Instant::now());
        let origin = origin(addr);
        let mut table = self.table();
        let limits = Arc::clone(&table.limits);
        let has_room = table.make_room(origin, &limits, now).is_some();
        table.count(addr, has_room);
        if !has_room {
            return None;
        }
        let id = table.next_id;
        table.next_id += 1;
        let last_request = Arc::new(AtomicU64::new(now));
        let entry = Entry { origin, last_request: Arc::clone(&last_request), task: None };
        table.connections.insert(id, entry);
        *table.by_origin.entry(origin).or_default() += 1;
        table.counts.high_water = table.counts.high_water.max(table.connections.len());
        Some(Seat { clients: Arc::clone(self), id, last_request, limits })
    }

    /// Sets the task that serves the connection, so that it can be ended.
    pub(super) fn seated(&self, id: u64, task: AbortHandle) {
        if let Some(entry) = self.table().connections.get_mut(&id) {
            entry.task = Some(task);
        }
    }

    /// The number of past and present connections.
    pub(super) fn counts(&self) -> TcpCounts {
        let table = self.table();
        let mut counts = table.counts;
        counts.v6.open = table.connections.values().filter(|entry| entry.origin.is_ipv6()).count();
        counts.v4.open = table.connections.len() - counts.v6.open;
        counts
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_millis() as u64
    }
}

impl Table {
    /// Makes room for a connection; `None` if that is not possible.
    fn make_room(&mut self, origin: IpAddr, limits: &TcpLimits, now: u64) -> Option<()> {
        if self.by_origin.get(&origin).is_some_and(|&n| n >= limits.clients_per_address) {
            self.evict(now, |entry| entry.origin == origin)?;
        }
        if self.connections.len() >= limits.clients {
            self.evict(now, |_| true)?;
        }
        Some(())
    }

    fn count(&mut self, addr: IpAddr, accepted: bool) {
        let family = if addr.is_ipv6() { &mut self.counts.v6 } else { &mut self.counts.v4 };
        *if accepted { &mut family.accepted } else { &mut family.refused } += 1;
    }

    /// Closes the connection that has gone longest without a request among those for which `may` is true.
    fn evict(&mut self, now: u64, may: impl Fn(&Entry) -> bool) -> Option<()> {
        let longest = |(&id, entry): (&u64, &Entry)| (entry.last_request.load(Ordering::Relaxed), id);
        let candidates = self.connections.iter().filter(|(_, entry)| entry.task.is_some() && may(entry));
        let (last_request, id) = candidates.map(longest).min()?;
        if last_request + ACTIVE.as_millis() as u64 > now {
            return None;
        }
        // The task ends while it waits, never during a round of answers.
        self.remove(id)?.task?.abort();
        Some(())
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.connections.remove(&id)?;
        if let Some(n) = self.by_origin.get_mut(&entry.origin) {
            *n -= 1;
            if *n == 0 {
                self.by_origin.remove(&entry.origin);
            }
        }
        Some(entry)
    }
}

impl Seat {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The limits that applied when the connection was admitted.
    pub(super) fn limits(&self) -> &TcpLimits {
        &self.limits
    }

    /// Records that the client sent a whole request.
    pub(super) fn requested(&self, now: Instant) {
        self.last_request.store(self.clients.milliseconds(now), Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // The entry is already gone if the connection was closed to make room.
        self.clients.table().remove(self.id);
    }
}

/// What counts as one client: an IPv4 address or an IPv6 /64, since a single machine often has all addresses of one.
pub(crate) fn origin(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V4(_) => addr,
        IpAddr::V6(addr) => IpAddr::V6(Ipv6Addr::from_bits(addr.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_has_a_network() {
        let origin = |addr: &str| super::origin(addr.parse().expect("an address"));
        assert_eq!(origin("2001:db8:1:2:3:4:5:6"), origin("2001:db8:1:2::"));
        assert_ne!(origin("2001:db8:1:2::"), origin("2001:db8:1:3::"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
    }

    #[test]
    fn places_are_counted_by_client_and_in_total() {
        let limits = TcpLimits { clients: 3, clients_per_address: 2, ..TcpLimits::default() };
        let clients = Arc::new(Clients::new(limits));
        let admit = |addr: &str| clients.admit(addr.parse().expect("an address"));
        let first = admit("192.0.2.1").expect("room");
        let _second = admit("192.0.2.1").expect("room");
        assert!(admit("192.0.2.1").is_none(), "two of one client");
        let third = admit("2001:db8::1").expect("room");
        assert!(admit("192.0.2.2").is_none(), "three in total");
        drop(third);
        let _fourth = admit("192.0.2.2").expect("room again");
        drop(first);
        let _fifth = admit("192.0.2.1").expect("room again");
        assert_eq!(clients.table().connections.len(), 3);
        assert_eq!(clients.table().by_origin.len(), 2);
        let v4 = FamilyCounts { accepted: 4, refused: 2, open: 3 };
        let v6 = FamilyCounts { accepted: 1, ..FamilyCounts::default() };
        assert_eq!(clients.counts(), TcpCounts { v4, v6, high_water: 3 });
    }
}
