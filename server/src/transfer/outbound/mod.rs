//! Transfers of a zone to other servers: AXFR (RFC 5936) and IXFR (RFC 1995).
//!
//! [`begin`] decides whether a request gets the zone. If it does, it gets [`Outgoing`]: messages that are made one
//! after the other, as the client takes them, from the version of the zone that was served when the request came. So a
//! transfer holds no more than one message, however large the zone and however slow the client. Over UDP a request for
//! IXFR gets a single message, [`Datagram`].
//!
//! `increment` finds the changes since the client's version. `packer` writes records into messages, `content` is what
//! they are.

mod content;
mod increment;
mod packer;
mod slots;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{debug, error, info, warn};
use zonefmt::{Class, Name, NameRef, Rtype, Serial};

use crate::{
    answer::{Answered, Outcome},
    limit::{Identity, Kind as Said},
    listen::{Client, Messages, Next, Now, Transport},
    live::Live,
    logs::{ClientLine, ZoneLine},
    settings::TransferFormat,
    stats::ZoneCounters,
    transfer::totals::{Totals, Within},
    tsig,
    wire::{Ede, Rcode, request::Question, writer::Writer},
    zone::ZoneData,
    zones::{View, ZoneState},
};
use content::Content;
use packer::Packer;
use slots::Slot;
pub use slots::Slots;

/// A request for a transfer.
pub(crate) struct Wanted<'r> {
    pub(crate) client: &'r Client,
    pub(crate) view: &'r View,
    pub(crate) question: Question<'r>,
    /// The key that the client has proved to hold.
    pub(crate) key: Option<NameRef<'r>>,
    /// The serial of the version that the client has, in a request for IXFR.
    pub(crate) has: Option<Serial>,
    /// How many transfers may run at a time.
    pub(crate) most: usize,
}

/// What a request for a transfer gets.
pub(crate) enum Begun {
    /// The transfer, once it has its [`Frame`].
    Transfer(Box<Start>),
    /// One message over UDP.
    Datagram(Box<Datagram>),
}

/// The answer to a request for IXFR over UDP (RFC 1995 2).
pub(crate) struct Datagram {
    /// The changes since the client's version, if they are known and may fit.
    changes: Option<Content>,
    soa: Content,
}

/// A transfer that may begin.
pub(crate) struct Start {
    content: Content,
    slot: Slot,
    counters: Option<Arc<ZoneCounters>>,
    title: Title,
    format: TransferFormat,
    max_time: Duration,
    max_idle: Duration,
}

/// What surrounds the records of a transfer.
pub(crate) struct Frame {
    /// A message with the question, which only the first message has, and the OPT record, and no other record.
    pub(crate) message: Vec<u8>,
    /// Where the OPT begins.
    pub(crate) opt: usize,
    /// What signs the messages.
    pub(crate) signatures: Option<tsig::Chain>,
}

/// A transfer under way.
pub(crate) struct Outgoing {
    content: Content,
    frame: Frame,
    format: TransferFormat,
    title: Title,
    began: Instant,
    max_time: Duration,
    max_idle: Duration,
    sent: Totals,
    ended: bool,
    slot: Slot,
    /// Where the zone's transfers are counted, if they are.
    counters: Option<Arc<ZoneCounters>>,
}

/// A transfer as its log lines name it, in named's words.
struct Title {
    client: String,
    zone: Name,
    view: String,
    kind: Kind,
    key: Option<Name>,
}

/// The form of a transfer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The whole zone.
    Axfr,
    /// The changes since this version.
    Ixfr(Serial),
    /// The whole zone, or only its SOA, to a client that asked for changes.
    Whole,
}

/// How many octets a message has unless a record needs more: every octet of it can be the target of a compressed name.
const MESSAGE: usize = 1 << 14;

/// The most octets of changes that are sent in place of the whole zone; they are held in memory.
const LONGEST_CHANGES: u64 = 16 << 20;

/// The most octets of changes that are looked at to answer over UDP.
const LONGEST_IN_DATAGRAM: u64 = 1 << 14;

/// Decides whether a request gets a transfer, and of what.
///
/// # Errors
/// What to respond with, which is logged.
pub(crate) fn begin<'r>(wanted: &Wanted<'r>, slots: &Slots) -> Result<Begun, Answered<'r>> {
    let Wanted { client, view, question, key, has, .. } = *wanted;
    let bad = |what: &str, rcode, ede| {
        let request = format!("{}/{}", question.qname.without_final_dot(), question.qclass);
        info!(target: "xfer-out", "{}: bad zone transfer request: '{request}': {what}", wanted.client());
        Outcome::error(rcode, ede).into()
    };
    let ours = view.zones.get(question.qname).filter(|_| question.qclass == Class::IN);
    let Some(zone) = ours else {
        return Err(bad("non-authoritative zone (NOTAUTH)", Rcode::NOTAUTH, Some(Ede::NotAuthoritative)));
    };
    let incremental = question.qtype == Rtype::IXFR;
    if incremental && has.is_none() {
        return Err(bad("IXFR request missing SOA (FORMERR)", Rcode::FORMERR, None));
    }
    if !incremental && client.transport == Transport::Udp {
        return Err(bad("attempted AXFR over UDP (FORMERR)", Rcode::FORMERR, None));
    }
    let settings = &zone.settings.outbound;
    if !settings.allow.admits(client, key) {
        let shown = zone.origin.as_ref().without_final_dot();
        error!(target: "security", "{}: zone transfer '{shown}/{}/IN' denied", wanted.client(), question.qtype);
        return Err(Answered { outcome: Outcome::error(Rcode::REFUSED, Some(Ede::Prohibited)), zone: Some(zone) });
    }
    let Some((data, serial)) = zone.data().and_then(|data| Some((data, data.serial()?))) else {
        let ede = if matches!(zone.state, ZoneState::Expired) { Ede::NotAuthoritative } else { Ede::NotReady };
        return Err(bad("zone not loaded (SERVFAIL)", Rcode::SERVFAIL, Some(ede)));
    };
    let peer = view.settings.peers.of(client.addr.ip());
    let provide_ixfr = peer.and_then(|peer| peer.provide_ixfr).unwrap_or(view.settings.provide_ixfr);
    let live = zone.live.as_deref().filter(|_| provide_ixfr);
    let ratio = settings.max_ixfr_ratio;
    if let (Transport::Udp, Some(has)) = (client.transport, has) {
        return Ok(Begun::Datagram(Box::new(Datagram::of(data, serial, has, live, ratio))));
    }
    let title = |kind| Title {
        client: wanted.client(),
        zone: zone.origin.clone(),
        view: view.name.to_string(),
        kind,
        key: key.map(NameRef::to_owned),
    };
    let Some(slot) = slots.take(wanted.most) else {
        warn!(target: "xfer-out", "{}: {} request denied: quota reached", wanted.client(), question.qtype);
        return Err(Outcome::error(Rcode::SERVFAIL, Some(Ede::NotReady)).into());
    };
    let (title, content) = wanted.content(data, serial, live, ratio, title);
    let format = peer.and_then(|peer| peer.transfer_format).unwrap_or(view.settings.transfer_format);
    let (max_time, max_idle) = (settings.max_time, settings.max_idle);
    Ok(Begun::Transfer(Box::new(Start {
        content,
        slot,
        counters: zone.counters.clone(),
        title,
        format,
        max_time,
        max_idle,
    })))
}

impl Wanted<'_> {
    /// What the client gets of a zone. `live` has the changes that it may get.
    fn content(
        &self,
        data: &ZoneData,
        serial: Serial,
        live: Option<&Live>,
        ratio: Option<u32>,
        title: impl Fn(Kind) -> Title,
    ) -> (Title, Content) {
        let Some(has) = self.has.filter(|_| self.question.qtype == Rtype::IXFR) else {
            return (title(Kind::Axfr), Content::whole(data, serial));
        };
        let whole = title(Kind::Whole);
        if has >= serial {
            debug!(target: "xfer-out", "{whole}: the client has serial {}, the zone {}", has.0, serial.0);
            return (whole, Content::soa(data, serial));
        }
        let found = live.and_then(|live| live.since(has)).filter(|found| found.octets() <= LONGEST_CHANGES);
        match found.and_then(|found| increment::read(found, data, serial, ratio)) {
            Some(changes) => (title(Kind::Ixfr(has)), Content::changes(data, serial, changes)),
            None => {
                debug!(target: "xfer-out", "{whole}: IXFR version not in journal, falling back to AXFR");
                (whole, Content::whole(data, serial))
            }
        }
    }

    /// The client as log lines name it.
    fn client(&self) -> String {
        let (client, key, name) = (self.client.addr, self.key, Some(self.question.qname));
        ClientLine { number: ClientLine::number(), client, key, name, view: &self.view.name }.to_string()
    }
}

impl Datagram {
    /// The outcome of the request.
    pub(crate) fn outcome(question: NameRef<'_>) -> Outcome {
        // A name has at most 255 octets.
        let identity = Identity { kind: Said::Answer, octets: question.len() as u8, wildcard: false };
        Outcome { rcode: Rcode::NOERROR, authoritative: true, ede: None, identity: Some(identity) }
    }

    /// What a client with the version `has` gets.
    fn of(zone: &ZoneData, serial: Serial, has: Serial, live: Option<&Live>, ratio: Option<u32>) -> Datagram {
        let live = live.filter(|_| has < serial);
        let found = live.and_then(|live| live.since(has)).filter(|found| found.octets() <= LONGEST_IN_DATAGRAM);
        let changes = found.and_then(|found| increment::read(found, zone, serial, ratio));
        let changes = changes.map(|changes| Content::changes(zone, serial, changes));
        Datagram { changes, soa: Content::soa(zone, serial) }
    }

    /// Adds the changes to the answer section if all of them fit, or else the zone's SOA alone, by which the client sees
    /// whether it has to ask over TCP.
    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        let Datagram { changes, soa } = self;
        let fits = |mut content: Content| {
            writer.append(|out, at| {
                let mut packer = Packer::behind(out, at, u16::MAX);
                content.fill(&mut packer);
                content.is_done().then(|| (packer.length(), packer.records()))
            })
        };
        if !changes.into_iter().chain([soa]).any(fits) {
            writer.give_up();
        }
    }
}

impl Start {
    /// Begins the transfer.
    pub(crate) fn within(self, frame: Frame, now: Now) -> Outgoing {
        let Start { content, slot, counters, title, format, max_time, max_idle } = self;
        let from = match title.kind {
            Kind::Ixfr(from) => format!("{} -> ", from.0),
            Kind::Axfr | Kind::Whole => String::new(),
        };
        info!(target: "xfer-out", "{title} started{} (serial {from}{})", title.signed(), content.serial().0);
        let (began, sent) = (now.instant, Totals::default());
        Outgoing { content, frame, format, title, began, max_time, max_idle, sent, ended: false, slot, counters }
    }
}

impl Messages for Outgoing {
    fn next(&mut self, out: &mut [u8], now: Now) -> Next {
        if self.content.is_done() {
            self.end(now);
            return Next::Done;
        }
        if now.instant.saturating_duration_since(self.began) > self.max_time {
            error!(target: "xfer-out", "{}: maximum transfer time exceeded", self.title);
            return self.abort();
        }
        match self.message(out, now) {
            Some(length) => Next::Message(length),
            None => {
                error!(target: "xfer-out", "{}: a record does not fit into any message", self.title);
                self.abort()
            }
        }
    }

    fn patience(&self) -> Duration {
        self.max_idle
    }
}

impl Outgoing {
    /// Writes the next message, with one record at least; `None` if that does not fit.
    fn message(&mut self, out: &mut [u8], now: Now) -> Option<usize> {
        let is_first = self.sent.messages == 0;
        let (head, opt) = self.frame.message.split_at(self.frame.opt);
        let kept = opt.len() + self.frame.signatures.as_ref().map_or(0, tsig::Chain::octets);
        let most = match self.format {
            TransferFormat::ManyAnswers => u16::MAX,
            TransferFormat::OneAnswer => 1,
        };
        // A record that is too long for the usual size gets a message as long as there can be.
        let (length, records) = [MESSAGE, out.len()].into_iter().find_map(|size| {
            let room = size.min(out.len()).checked_sub(kept)?;
            let mut packer = Packer::new(&mut out[..room], head, is_first, most)?;
            self.content.fill(&mut packer);
            Some((packer.length(), packer.records())).filter(|&(_, records)| records > 0)
        })?;
        out[length..length + opt.len()].copy_from_slice(opt);
        let mut length = length + opt.len();
        let counts = [u16::from(is_first), records, 0, u16::from(!opt.is_empty())];
        for (count, field) in counts.iter().zip(out[4..12].chunks_exact_mut(2)) {
            field.copy_from_slice(&count.to_be_bytes());
        }
        if let Some(chain) = &mut self.frame.signatures {
            length = chain.sign(out, length, now.unix)?;
        }
        self.sent.messages += 1;
        self.sent.records += u64::from(records);
        self.sent.octets += length as u64;
        Some(length)
    }

    fn abort(&mut self) -> Next {
        self.ended = true;
        Next::Abort
    }

    /// Logs and counts the end.
    fn end(&mut self, now: Now) {
        let totals = Within(self.sent, now.instant.saturating_duration_since(self.began));
        let serial = self.content.serial().0;
        info!(target: "xfer-out", "{} ended: {totals} (serial {serial})", self.title);
        self.slot.complete();
        if let Some(counters) = &self.counters {
            counters.transferred();
        }
        self.ended = true;
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if !self.ended {
            let messages = self.sent.messages;
            warn!(target: "xfer-out", "{}: the client left after {messages} messages", self.title);
        }
    }
}

impl Title {
    fn signed(&self) -> String {
        self.key.as_ref().map_or_else(String::new, |key| format!(": TSIG {}", key.as_ref().without_final_dot()))
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = ZoneLine { origin: self.zone.as_ref(), view: &self.view };
        write!(f, "{}: transfer of '{zone}", self.client)?;
        f.write_str(match self.kind {
            Kind::Axfr => "': AXFR",
            Kind::Ixfr(_) => "': IXFR",
            Kind::Whole => "': AXFR-style IXFR",
        })
    }
}
