//! Forwarding (RFC 2136 6): updates of a secondary zone go to its primaries, and the responses back to the clients.
//!
//! [`Forwarder::admit`] runs in the worker that received the update. It judges what only this server can judge, the
//! client's address; a key may be one that only the primary knows. The thread passes the message on and the response
//! back, both as they are except for the id. So signatures stay valid: the TSIG record keeps the id that was signed
//! (RFC 8945 5.3.2).

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt, io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    runtime,
    sync::mpsc::{self, error::SendError},
    task::{LocalSet, spawn_local},
    time::timeout,
};
use tracing::{info, warn};

use super::{observers::Observers, request::Request};
use crate::{
    Opcode, Rcode,
    access::Requester,
    answer::Answered,
    dnstap::Tap,
    listen::{Client, Later, Transport},
    logs::{AddressLine, ZoneLine},
    message::Message,
    settings::{Peer, Secondary, ViewSettings},
    stats::{Counters, Sent as Reply, Stat},
    sync::lock,
    transfer::inbound::{Connections, LONGEST_IDLE, Patience, Primary, Reason},
    zones::Zone,
};

/// The thread that forwards updates. Clones lead to the same one, which ends with the last of them.
#[derive(Clone)]
pub struct Forwarder {
    jobs: mpsc::UnboundedSender<Job>,
    /// Bounds the jobs.
    places: Arc<Places>,
    /// The connections to primaries that no update is on.
    connections: Connections,
}

/// An update that may be forwarded.
pub(crate) struct Forwarded {
    jobs: mpsc::UnboundedSender<Job>,
    update: Update,
    /// `None` if the client repeats an update that is on its way.
    place: Option<Place>,
}

/// An update of a zone, and who sent it.
struct Update {
    zone: Arc<Zone>,
    secondary: Arc<Secondary>,
    view: Arc<str>,
    settings: Arc<ViewSettings>,
    connections: Connections,
    client: Client,
    message: Vec<u8>,
    /// When it came, if the reply is to be tapped.
    tapped: Option<Timestamp>,
}

/// An update on its way.
struct Job {
    update: Update,
    /// What the client gets if no primary responds.
    failure: Vec<u8>,
    way: Later,
    _place: Place,
}

/// How many updates may be on their way. Each has a connection to a primary for itself.
const MOST: usize = 256;
/// How many of them may be from one address.
const MOST_OF_CLIENT: usize = 64;

/// How long a primary may take to accept a connection and the update.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a primary may take to respond.
const RESPOND: Duration = Duration::from_secs(12);
/// How long all primaries together may take; less than a connection waits for a reply.
const LONGEST: Duration = Duration::from_secs(45);

impl Forwarder {
    /// Starts the thread, which counts and taps its replies.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(counters: Counters, tap: Tap) -> io::Result<Forwarder> {
        let (sender, mut jobs) = mpsc::unbounded_channel::<Job>();
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (places, connections) = (Arc::<Places>::default(), Connections::default());
        let (under_way, idle) = (Arc::clone(&places), connections.clone());
        thread::Builder::new().name("forward".into()).spawn(move || {
            let observers = Rc::new(Observers::new(counters, tap));
            LocalSet::new().block_on(&runtime, async {
                loop {
                    // What is under way leaves a connection.
                    let has_any = idle.tend() || !under_way.are_free();
                    let next = jobs.recv();
                    let next = if has_any { timeout(LONGEST_IDLE, next).await } else { Ok(next.await) };
                    match next {
                        Ok(Some(job)) => _ = spawn_local(job.carry_out(Rc::clone(&observers))),
                        Ok(None) => break,
                        Err(_) => {}
                    }
                }
            });
        })?;
        Ok(Forwarder { jobs: sender, places, connections })
    }

    /// Checks whether an update is forwarded for its client; `None` if it is not for a secondary zone. `tapped` is when it
    /// came, if its response is to be tapped.
    ///
    /// # Errors
    /// What to respond with, which is logged.
    pub(crate) fn admit<'v>(
        &self,
        request: &Request<'_, 'v>,
        tapped: Option<Timestamp>,
    ) -> Option<Result<Forwarded, Answered<'v>>> {
        let zone = request.zone()?;
        let secondary = zone.secondary.as_ref()?;
        let &Request { view, client, key, message, quota, .. } = request;
        if !secondary.inbound.allow_update_forwarding.allows(Requester { addr: client.addr.ip(), key }) {
            return Some(Err(request.denied(zone, "update forwarding", "denied", false)));
        }
        let (line, shown) = (request.line(), zone.origin.as_ref());
        let shown = shown.without_final_dot();
        if let Some(key) = key {
            info!(target: "update-security", "{line}: signer \"{}\" approved", key.without_final_dot());
        }
        let place = match self.places.take(client, message, quota) {
            Ok(place) => Some(place),
            Err(NoPlace::Repeated) => None,
            Err(NoPlace::Full) => {
                return Some(Err(request.is_one_too_many("too many updates are being forwarded")));
            }
        };
        info!(target: "update", "{line}: forwarding update for zone '{shown}/IN'");
        let update = Update {
            zone: Arc::clone(zone),
            secondary: Arc::clone(secondary),
            view: Arc::clone(&view.name),
            settings: Arc::clone(&view.settings),
            connections: self.connections.clone(),
            client: *client,
            message: message.to_vec(),
            tapped,
        };
        Some(Ok(Forwarded { jobs: self.jobs.clone(), update, place }))
    }
}

impl Forwarded {
    /// Sends the update on its way. The client gets the response of a primary, or `failure` if none responds. An update
    /// that its client repeats is on its way already, and so is its response.
    pub(crate) fn begin(self, failure: Vec<u8>, way: Later) {
        if let Some(place) = self.place {
            let job = Job { update: self.update, failure, way, _place: place };
            if let Err(SendError(Job { failure, way, .. })) = self.jobs.send(job) {
                way.send(&failure);
            }
        }
    }
}

impl Job {
    async fn carry_out(self, observers: Rc<Observers>) {
        let Job { update, failure, way, _place } = self;
        observers.count(Stat::UpdateReqFwd, &update.zone);
        let response = update.response().await;
        observers.count(if response.is_some() { Stat::UpdateRespFwd } else { Stat::UpdateFwdFail }, &update.zone);
        let octets = response.unwrap_or(failure);
        if let Ok(message) = Message::read(&octets) {
            let (edns, tsig, rcode) = (message.opt().is_some(), message.is_signed(), message.rcode());
            let reply = Reply { client: &update.client, edns, tsig, rcode, octets: &octets };
            observers.replied(&reply, update.tapped);
        }
        way.send(&octets);
    }
}

impl Update {
    /// The response to the client: that of the first primary which has judged the update, or else the last one that came;
    /// `None` if none did.
    async fn response(&self) -> Option<Vec<u8>> {
        let mut last = None;
        // What came before the time is over counts.
        let _ = timeout(LONGEST, self.ask_primaries(&mut last)).await;
        last
    }

    /// Asks the primaries in their order, until one of them has judged the update. `last` becomes the last response.
    async fn ask_primaries(&self, last: &mut Option<Vec<u8>>) {
        let zone = ZoneLine { origin: self.zone.origin.as_ref(), view: &self.view };
        for remote in &*self.secondary.primaries {
            let to = AddressLine(remote.address);
            match self.response_of(remote.address).await {
                Ok((response, rcode)) => {
                    *last = Some(response);
                    if is_verdict(rcode) {
                        info!(target: "general", "zone {zone}: forwarded dynamic update: primary {to} returned: {rcode}");
                        return;
                    }
                    warn!(
                        target: "general",
                        "zone {zone}: forwarding dynamic update: unexpected response: primary {to} returned: {rcode}"
                    );
                }
                Err(why) => info!(target: "general", "zone {zone}: could not forward dynamic update to {to}: {why}"),
            }
        }
    }

    /// The response of a primary, with the client's id, and the code in it.
    async fn response_of(&self, address: SocketAddr) -> Result<(Vec<u8>, Rcode), Failure> {
        let peer = self.settings.peers.of(address.ip());
        if peer.is_some_and(|peer| peer.bogus) {
            return Err(Failure::Bogus);
        }
        if peer.is_some_and(|peer| peer.forward_updates == Some(false)) {
            return Err(Failure::Excluded);
        }
        if self.is_from(address.ip()) {
            return Err(Failure::Sender);
        }
        let id = getrandom::u32().map_err(|_| Reason::Io(io::ErrorKind::Other))? as u16;
        let forwarded = with_id(self.message.clone(), id.to_be_bytes());
        let response = self.primary(address, peer).exchange_over_kept_tcp(&forwarded).await?;
        let message = Message::read(&response).map_err(Reason::from)?;
        if message.id() != id {
            return Err(Reason::OtherId.into());
        }
        if !message.is_response() {
            return Err(Reason::NotAResponse.into());
        }
        if message.opcode() != Opcode::UPDATE {
            return Err(Reason::OtherOpcode.into());
        }
        let rcode = message.rcode();
        Ok((with_id(response, id_of(&self.message)), rcode))
    }

    /// How a primary is reached.
    fn primary(&self, address: SocketAddr, peer: Option<&Peer>) -> Primary {
        let inbound = &self.secondary.inbound;
        let mut source = inbound.source_towards(address, peer);
        // There may be several connections to the primary, which cannot have the same port.
        source.set_port(0);
        let patience = Patience { connect: CONNECT, answer: RESPOND, ..Patience::of(inbound) };
        let connections = self.connections.clone();
        Primary { address, source, key: None, edns: None, tcp_only: true, try_tcp: true, patience, connections }
    }

    /// Whether the update comes from this address, so that servers that are each other's primaries do not send it back
    /// and forth. Other servers of this host have the addresses that its clients have.
    fn is_from(&self, address: IpAddr) -> bool {
        let (from, to) = (self.client.addr.ip().to_canonical(), self.client.local.ip().to_canonical());
        from == address.to_canonical() && from != to
    }
}

/// Why a primary does not respond to an update.
enum Failure {
    /// Nothing usable came from there.
    Reason(Reason),
    /// Its `server` statement says `bogus`.
    Bogus,
    /// Its `server` statement says `forward-updates no`.
    Excluded,
    /// The update comes from there.
    Sender,
}

impl<R: Into<Reason>> From<R> for Failure {
    fn from(reason: R) -> Failure {
        Failure::Reason(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Reason(reason) => reason.fmt(f),
            Failure::Bogus => f.write_str("its `server` statement says `bogus`"),
            Failure::Excluded => f.write_str("its `server` statement says `forward-updates no`"),
            Failure::Sender => f.write_str("the update comes from there; check `primaries` on both servers"),
        }
    }
}

/// The updates that are on their way.
#[derive(Default)]
struct Places(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    all: usize,
    by_client: HashMap<IpAddr, Vec<Sent>>,
}

/// What tells the updates of an address apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sent {
    port: u16,
    id: [u8; 2],
    transport: Transport,
}

/// The place of an update that is on its way. Dropping this frees it.
struct Place {
    places: Arc<Places>,
    client: IpAddr,
    sent: Sent,
}

/// Why there is no place for an update.
#[derive(PartialEq, Eq, Debug)]
enum NoPlace {
    /// The same update is on its way: a datagram that the client has sent again.
    Repeated,
    /// Too many updates are on their way, in all or from this address.
    Full,
}

impl Places {
    /// A place for one more update; `most` may have one.
    fn take(self: &Arc<Self>, client: &Client, message: &[u8], most: usize) -> Result<Place, NoPlace> {
        let (address, transport) = (client.addr.ip(), client.transport);
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

    /// Whether no update is on its way.
    fn are_free(&self) -> bool {
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

/// Whether a response shows what the zone or its policy makes of the update, which another primary would not change.
fn is_verdict(rcode: Rcode) -> bool {
    let is_unmet = matches!(rcode, Rcode::YXDOMAIN | Rcode::YXRRSET | Rcode::NXDOMAIN | Rcode::NXRRSET);
    is_unmet || matches!(rcode, Rcode::NOERROR | Rcode::REFUSED)
}

/// The id of a message; every message that was parsed has one.
fn id_of(message: &[u8]) -> [u8; 2] {
    message.first_chunk().copied().unwrap_or_default()
}

/// The message with another id.
fn with_id(mut message: Vec<u8>, id: [u8; 2]) -> Vec<u8> {
    if let Some(place) = message.first_chunk_mut() {
        *place = id;
    }
    message
}

#[cfg(test)]
mod tests {
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
                .map(|place| place.expect("it is another update"));
        // A connection loses nothing, so nothing is repeated there.
        let _two = [take(tcp, 7), take(tcp, 7)].map(|place| place.expect("it is another update"));
        drop(first);
        assert!(take(udp, 7).is_ok());
    }
}
