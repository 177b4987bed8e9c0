//! How many messages are on their way, in all and of each client.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex},
};

use super::id_of;
use crate::{
    listen::{Client, Transport, origin},
    sync::lock,
};

/// How many messages may be on their way. Each has a connection to a primary for itself.
const MOST: usize = 256;
/// How many of them may be from one IPv4 address or IPv6 /64.
const MOST_OF_CLIENT: usize = 64;

/// The messages that are on their way.
#[derive(Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    all: usize,
    by_client: HashMap<IpAddr, Vec<Sent>>,
}

/// What tells the messages of an address apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sent {
    port: u16,
    id: [u8; 2],
    transport: Transport,
}

/// The place of a message that is on its way. Dropping this frees it.
pub(super) struct Place {
    places: Arc<Places>,
    client: IpAddr,
    sent: Sent,
}

/// Why there is no place for a message.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum NoPlace {
    /// The same message is on its way: a datagram that the client has sent again.
    Repeated,
    /// Too many messages are on their way, in all or from this address.
    Full,
}

impl Places {
    /// A place for one more message; `most` may have one.
    pub(super) fn take(self: &Arc<Self>, client: &Client, message: &[u8], most: usize) -> Result<Place, NoPlace> {
        let (address, transport) = (origin(client.addr.ip()), client.transport);
        let sent = Sent { port: client.addr.port(), id: id_of(message), transport };
        let mut taken = lock(&self.0);
        let of_client = taken.by_client.get(&address).map_or(&[][..], Vec::as_slice);
        if transport == Transport::Udp && of_client.contains(&sent) {
            return Err(NoPlace::Repeated);
        }
        if taken.all >= most.min(MOST) || of_client.len() >= MOST_OF_CLIENT {
            return Err(NoPlace::Full);
        }
        taken.all += 1;
        taken.by_client.entry(address).or_default().push(sent);
        Ok(Place { places: Arc::clone(self), client: address, sent })
    }

    /// Whether no message is on its way.
    pub(super) fn are_free(&self) -> bool {
        lock(&self.0).all == 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.0);
        taken.all -= 1;
        let Entry::Occupied(mut of_client) = taken.by_client.entry(self.client) else { return };
        if let Some(index) = of_client.get().iter().position(|sent| *sent == self.sent) {
            of_client.get_mut().swap_remove(index);
        }
        if of_client.get().is_empty() {
            of_client.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn client(last: u8, port: u16, transport: Transport) -> Client {
        let local = SocketAddr::from(([192, 0, 2, 53], 53));
        Client { addr: ([192, 0, 2, last], port).into(), local, transport }
    }

    #[test]
    fn places_are_bounded_for_each_client_and_for_all_and_come_back() {
        let places = Arc::<Places>::default();
        let take = |last: u8, id: u16| places.take(&client(last, 4000, Transport::Udp), &id.to_be_bytes(), usize::MAX);
        let mut held = Vec::new();
        for last in 1..=(MOST / MOST_OF_CLIENT) as u8 {
            for id in 0..MOST_OF_CLIENT as u16 {
                held.push(take(last, id).expect("there is room"));
            }
            assert_eq!(take(last, 999).err(), Some(NoPlace::Full));
        }
        assert_eq!(take(99, 0).err(), Some(NoPlace::Full));
        held.pop();
        held.push(take(99, 0).expect("there is room again"));
        held.clear();
        let taken = lock(&places.0);
        assert!(taken.all == 0 && taken.by_client.is_empty());
    }

    #[test]
    fn a_datagram_that_is_repeated_gets_no_second_place() {
        let places = Arc::<Places>::default();
        let take = |client: Client, id: u16| places.take(&client, &id.to_be_bytes(), usize::MAX);
        let (udp, tcp) = (client(1, 4000, Transport::Udp), client(1, 4000, Transport::Tcp));
        let first = take(udp, 7);
        assert_eq!(take(udp, 7).err(), Some(NoPlace::Repeated));
        let _others =
            [take(udp, 8), take(client(1, 4001, Transport::Udp), 7), take(client(2, 4000, Transport::Udp), 7)]
                .map(|place| place.expect("it is another message"));
        // A connection loses nothing, so nothing is repeated there.
        let _two = [take(tcp, 7), take(tcp, 7)].map(|place| place.expect("it is another message"));
        drop(first);
        assert!(take(udp, 7).is_ok());
    }
}
