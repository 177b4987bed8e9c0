//! The worker's side of dnstap: encodes a message as a protobuf of dnstap's type `Message` into a buffer that the
//! worker shares with the writing thread. That thread swaps the whole buffer for an empty one, so it holds the lock
//! only for a moment.

use std::{
    hint, mem,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use zonefmt::NameRef;

use crate::{
    listen::{Client, Transport},
    sync::{lock, try_lock},
};

/// Which messages of a view are tapped (`dnstap`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Taps {
    /// Of queries and their responses (AUTH_QUERY, AUTH_RESPONSE).
    pub auth: Directions,
    /// Of updates and their responses (UPDATE_QUERY, UPDATE_RESPONSE).
    pub update: Directions,
}

/// Which messages of a kind are tapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Directions {
    /// Whether requests are tapped.
    pub queries: bool,
    /// Whether responses are tapped.
    pub responses: bool,
}

/// A worker's access to the output.
#[derive(Default)]
pub struct Tap {
    lane: Arc<Lane>,
    dropped: Arc<AtomicU64>,
}

/// A worker's buffer: messages, each preceded by its length in four octets. It has no capacity until it is reserved.
#[derive(Default)]
pub(super) struct Lane(Mutex<Vec<u8>>);

/// A message to be tapped.
pub(crate) struct Message<'m> {
    pub(crate) kind: Tapped,
    pub(crate) client: &'m Client,
    pub(crate) octets: &'m [u8],
    /// When the query arrived.
    pub(crate) asked: Timestamp,
    /// The zone that a response is authoritative for.
    pub(crate) zone: Option<NameRef<'m>>,
}

/// The type of a message, by dnstap's numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tapped {
    AuthQuery = 1,
    AuthResponse = 2,
    UpdateQuery = 13,
    UpdateResponse = 14,
}

/// The capacity of a worker's buffer, in octets: as much as a core can answer while the writing thread sleeps.
const CAPACITY: usize = 4 << 20;
/// The most octets of a tapped message besides those of the DNS message.
const OVERHEAD: usize = 512;
/// How often a worker tries to lock the buffer before it drops a message.
const SPINS: usize = 100;

impl Directions {
    /// Whether any messages are tapped.
    #[inline]
    pub(crate) fn any(self) -> bool {
        self.queries || self.responses
    }
}

impl Tap {
    pub(super) fn new(lane: Arc<Lane>, dropped: Arc<AtomicU64>) -> Tap {
        Tap { lane, dropped }
    }

    /// Taps a message, if there is room.
    #[cold]
    pub(crate) fn tell(&self, message: &Message<'_>) {
        let room =
            |buffer: &MutexGuard<'_, Vec<u8>>| buffer.capacity() - buffer.len() >= OVERHEAD + message.octets.len();
        match self.lane.try_hold().filter(room) {
            Some(mut buffer) => message.append(&mut buffer),
            None => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Lane {
    pub(super) fn reserve(&self) {
        let mut buffer = self.hold();
        let more = CAPACITY.saturating_sub(buffer.len());
        buffer.reserve_exact(more);
    }

    /// Takes the content in exchange for an empty buffer.
    pub(super) fn take(&self, empty: &mut Vec<u8>) {
        empty.reserve_exact(CAPACITY);
        mem::swap(&mut *self.hold(), empty);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hold().is_empty()
    }

    fn hold(&self) -> MutexGuard<'_, Vec<u8>> {
        lock(&self.0)
    }

    fn try_hold(&self) -> Option<MutexGuard<'_, Vec<u8>>> {
        (0..SPINS).find_map(|_| {
            let held = try_lock(&self.0);
            if held.is_none() {
                hint::spin_loop();
            }
            held
        })
    }
}

impl Message<'_> {
    /// Appends the message, preceded by its length; the field numbers are those of dnstap.proto.
    fn append(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        let Client { addr, local, transport } = self.client;
        number(out, 1, self.kind as u64);
        number(out, 2, if addr.is_ipv4() { 1 } else { 2 });
        number(out, 3, if *transport == Transport::Udp { 1 } else { 2 });
        address(out, 4, addr.ip());
        address(out, 5, local.ip());
        number(out, 6, addr.port().into());
        number(out, 7, local.port().into());
        time(out, 8, self.asked);
        match self.kind {
            Tapped::AuthQuery | Tapped::UpdateQuery => octets(out, 10, self.octets),
            Tapped::AuthResponse | Tapped::UpdateResponse => {
                if let Some(zone) = self.zone {
                    octets(out, 11, zone.as_wire());
                }
                time(out, 12, Timestamp::now());
                octets(out, 14, self.octets);
            }
        }
        let length = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// Appends a field with a number of any size.
pub(super) fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    varint(out, u64::from(field) << 3);
    varint(out, value);
}

/// Appends a field of octets.
pub(super) fn octets(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    varint(out, u64::from(field) << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn address(out: &mut Vec<u8>, field: u8, address: IpAddr) {
    match address {
        IpAddr::V4(address) => octets(out, field, &address.octets()),
        IpAddr::V6(address) => octets(out, field, &address.octets()),
    }
}

/// Appends two fields: the seconds, then the nanoseconds in four octets.
fn time(out: &mut Vec<u8>, field: u8, time: Timestamp) {
    number(out, field, time.as_second().try_into().unwrap_or(0));
    varint(out, u64::from(field + 1) << 3 | 5);
    out.extend(u32::try_from(time.subsec_nanosecond()).unwrap_or(0).to_le_bytes());
}

/// Appends a number with seven bits in each octet, lowest first; all octets but the last are marked.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(tap: &Tap, octets: &[u8]) {
        let addr = "192.0.2.1:5353".parse().unwrap();
        let client = Client { addr, local: addr, transport: Transport::Tcp };
        let kind = Tapped::AuthResponse;
        tap.tell(&Message { kind, client: &client, octets, asked: Timestamp::now(), zone: Some(NameRef::ROOT) });
    }

    #[test]
    fn a_full_buffer_drops_and_counts_and_never_grows() {
        let tap = Tap::default();
        tell(&tap, b"x");
        assert_eq!(tap.dropped.load(Ordering::Relaxed), 1, "nothing is reserved");
        tap.lane.reserve();
        let capacity = tap.lane.hold().capacity();
        for _ in 0..100 {
            tell(&tap, &vec![7; 65_535]);
        }
        assert_eq!(tap.lane.hold().capacity(), capacity);
        let told = 101 - tap.dropped.load(Ordering::Relaxed);
        let mut taken = Vec::new();
        tap.lane.take(&mut taken);
        assert!(told > 50 && taken.len() as u64 / 65_535 == told);
        tell(&tap, b"y");
        assert_eq!(101 - tap.dropped.load(Ordering::Relaxed), told, "there is room again");
    }

    #[test]
    fn who_holds_the_buffer_keeps_nobody_waiting() {
        let tap = Tap::default();
        tap.lane.reserve();
        let held = tap.lane.hold();
        tell(&tap, b"x");
        drop(held);
        assert_eq!(tap.dropped.load(Ordering::Relaxed), 1);
    }
}
