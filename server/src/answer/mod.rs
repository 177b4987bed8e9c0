//! The answer path: the algorithm of RFC 1034 4.3.2, one function per step.
//!
//! A loop follows the chain of CNAMEs and DNAMEs from the question's name. Each hop finds its zone, looks the name up
//! in the zone's data and writes to the answer section; the last hop decides the response code and the authority
//! section. Additional records come last. Neither a chain nor an additional lookup ever enters a zone that refuses this
//! client. Nothing here allocates, locks or waits.

mod additional;

use zonefmt::{Class, NameBuf, NameRef, Rtype, rdata::Soa, zone::may_stand_beside_cname};

use crate::{
    limit::{Identity, Kind},
    listen::{Client, Transport},
    settings::{MinimalResponses, Order, ViewSettings},
    wire::{
        Ede, Rcode,
        request::{Header, Question},
        writer::{Entry, Need, Owner, Section, Writer},
    },
    zone::{Found, Key, Node, Rrset, Spare, Target, ZoneData},
    zones::{View, Zone, ZoneMap, ZoneState},
};
use additional::{MAX_SOURCES, Source};

/// How many RRsets of a response are remembered, so that none is added twice.
const MAX_GIVEN: usize = 32;

/// A worker's working memory, reused for every question.
pub(crate) struct Scratch {
    key: Key,
    additional_key: Key,
    spare: Spare,
    /// Advances with each response; determines the order of records.
    turn: u64,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch { key: Key::new(), additional_key: Key::new(), spare: Spare::new(), turn: 0x9e37_79b9_7f4a_7c15 }
    }
}

/// The result of answering a question.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) rcode: Rcode,
    pub(crate) authoritative: bool,
    pub(crate) ede: Option<Ede>,
    /// The response's identity for response rate limiting; `None` exempts it.
    pub(crate) identity: Option<Identity>,
}

impl Outcome {
    pub(crate) fn error(rcode: Rcode, ede: Option<Ede>) -> Outcome {
        Outcome { rcode, authoritative: false, ede, identity: Some(Identity::ERROR) }
    }

    /// A bare response code that is exempt from response rate limiting.
    pub(crate) fn uncounted(rcode: Rcode) -> Outcome {
        Outcome { identity: None, ..Outcome::error(rcode, None) }
    }
}

/// The result of a request.
pub(crate) struct Answered<'s> {
    pub(crate) outcome: Outcome,
    /// The zone that contains the queried name, if the client may query it and it is loaded; for transfers and updates
    /// that are refused, their zone.
    pub(crate) zone: Option<&'s Zone>,
}

impl From<Outcome> for Answered<'_> {
    fn from(outcome: Outcome) -> Self {
        Answered { outcome, zone: None }
    }
}

/// A positive answer with authority.
pub(crate) const AUTHORITATIVE: Outcome =
    Outcome { rcode: Rcode::NOERROR, authoritative: true, ede: None, identity: None };

/// Answers a question from the zones of a view. `key` is the TSIG key that the client has proved itself with.
pub(crate) fn answer<'s>(
    view: &'s View,
    header: Header,
    question: Question<'_>,
    client: &Client,
    key: Option<NameRef<'_>>,
    writer: &mut Writer<'_>,
    scratch: &mut Scratch,
) -> Answered<'s> {
    if let Some(rcode) = unanswerable(question.qtype) {
        return Outcome::error(rcode, None).into();
    }
    let settings = &*view.settings;
    let (authority, additional) = match settings.minimal_responses {
        MinimalResponses::No => (true, true),
        MinimalResponses::NoAuth => (false, true),
        MinimalResponses::NoAuthRecursive => (!header.recursion_desired(), true),
        MinimalResponses::Yes => (false, false),
    };
    // As in BIND: a question for keys gets only keys, one for NS always gets the servers' addresses, and an ANY
    // response is long enough without additional records.
    let (authority, additional) = match question.qtype {
        Rtype::DS | Rtype::CDS | Rtype::DNSKEY | Rtype::CDNSKEY => (false, false),
        Rtype::NS => (true, true),
        Rtype::ANY => (authority, false),
        _ => (authority, additional),
    };
    scratch.turn = scratch.turn.wrapping_add(1);
    let mut answering = Answering {
        settings,
        zones: &view.zones,
        class: if question.qclass == Class::ANY { Class::IN } else { question.qclass },
        question,
        recursion_desired: header.recursion_desired(),
        client,
        key,
        writer,
        scratch,
        authority,
        additional,
        identity: Identity::ERROR,
        zone: None,
        sources: [None; MAX_SOURCES],
        given: [None; MAX_GIVEN],
    };
    let outcome = answering.run();
    Answered { outcome, zone: answering.zone }
}

/// The identity of a lookup's result for response rate limiting, chosen as BIND does: the names below a cut, a DNAME or
/// a wildcard, and those that do not exist, are countless, so they are counted together. NODATA is found out later.
fn identity(found: &Found<'_>, name: NameRef<'_>, origin: NameRef<'_>, for_ds: bool) -> Identity {
    let (kind, octets, wildcard) = match found {
        Found::Exact(node) if node.is_cut() && !for_ds => (Kind::Referral, node.owner_len(), false),
        Found::Delegation(cut) => (Kind::Referral, cut.owner_len(), false),
        Found::Exact(_) => (Kind::Answer, name.len(), false),
        Found::Wildcard(_) => (Kind::Answer, origin.len(), true),
        Found::Dname(node) => (Kind::Answer, node.owner_len(), false),
        Found::Ent => (Kind::Nodata, name.len(), false),
        Found::NoName => (Kind::Nxdomain, origin.len(), false),
    };
    // A name has at most 255 octets.
    Identity { kind, octets: octets as u8, wildcard }
}

/// The response code for types that no zone has records of, as BIND answers them. Transfers are not answered here.
fn unanswerable(qtype: Rtype) -> Option<Rcode> {
    match qtype {
        Rtype::ANY => None,
        Rtype::MAILA | Rtype::MAILB => Some(Rcode::NOTIMP),
        _ if qtype.is_meta() => Some(Rcode::FORMERR),
        _ => None,
    }
}

struct Answering<'s, 'q, 'w, 'b> {
    settings: &'s ViewSettings,
    zones: &'s ZoneMap,
    class: Class,
    question: Question<'q>,
    recursion_desired: bool,
    client: &'q Client,
    key: Option<NameRef<'q>>,
    writer: &'w mut Writer<'b>,
    scratch: &'w mut Scratch,
    /// Whether NS records are added to an answer.
    authority: bool,
    /// Whether additional records are added to an answer; a referral always has its glue.
    additional: bool,
    /// The rate-limiting identity of the question's own name.
    identity: Identity,
    /// The zone that contains the queried name.
    zone: Option<&'s Zone>,
    sources: [Option<Source<'s>>; MAX_SOURCES],
    given: [Option<Given<'s>>; MAX_GIVEN],
}

/// An RRset that is in the response: its data, and the position of its first record.
#[derive(Clone, Copy)]
struct Given<'s> {
    records: &'s [u8],
    at: usize,
}

/// A name that the chain has reached.
#[derive(Clone, Copy)]
struct Hop<'h> {
    name: NameRef<'h>,
    /// Whether this is the question's own name.
    asked: bool,
}

impl<'h> Hop<'h> {
    /// The last `octets` octets of the name, which start at a label, as an owner.
    fn owner(self, octets: usize) -> Owner<'h> {
        let start = self.name.len() - octets;
        if self.asked && octets > 1 {
            return Owner::Asked(start);
        }
        Owner::Named(self.name.suffix_at(start))
    }

    /// There is no zone to answer from. What the chain has collected stays in the response; the client asks elsewhere
    /// for the rest.
    fn refused<'s>(self, ede: Ede) -> Step<'s> {
        Step::Done(if self.asked { Outcome::error(Rcode::REFUSED, Some(ede)) } else { AUTHORITATIVE })
    }
}

/// The result of one hop.
#[allow(clippy::large_enum_variant)] // A step lives on the stack for a moment only.
enum Step<'s> {
    Done(Outcome),
    /// A CNAME leads to this name.
    Follow(NameRef<'s>),
    /// A DNAME leads to this name, which is made from it.
    FollowMade(NameBuf),
}

impl<'s> Answering<'s, '_, '_, '_> {
    fn run(&mut self) -> Outcome {
        let mut made;
        let mut hop = Hop { name: self.question.qname, asked: true };
        let mut outcome = AUTHORITATIVE;
        for _ in 0..=self.settings.max_chain {
            let next = match self.step(hop) {
                Step::Done(last) => {
                    // AA refers to the first name of the chain (RFC 1034 6.2.7); an error is never authoritative.
                    let chain = !hop.asked && last.rcode != Rcode::SERVFAIL;
                    outcome = Outcome { authoritative: last.authoritative || chain, ..last };
                    break;
                }
                Step::Follow(target) => target,
                Step::FollowMade(target) => {
                    made = target;
                    made.as_ref()
                }
            };
            hop = Hop { name: next, asked: false };
        }
        if outcome.rcode == Rcode::NOERROR || outcome.rcode == Rcode::NXDOMAIN {
            self.add_additional();
        }
        if self.writer.is_truncated() && self.client.transport != Transport::Udp {
            // The response does not fit any message.
            self.writer.clear(self.question);
            return Outcome::error(Rcode::SERVFAIL, Some(Ede::Other));
        }
        Outcome { identity: outcome.identity.or(Some(self.identity)), ..outcome }
    }

    /// Handles one name of the chain.
    fn step(&mut self, hop: Hop<'_>) -> Step<'s> {
        let zones = self.zones;
        let (name, for_ds) = (hop.name, self.question.qtype == Rtype::DS);
        let scratch = &mut *self.scratch;
        scratch.key.set(name.as_wire());
        let key = scratch.key.view();
        // DS belongs to the parent's side of a cut, so the parent zone answers if it is served here.
        let parent = if for_ds { zones.enclosing(name, key, true) } else { None };
        let enclosing = parent.or_else(|| zones.enclosing(name, key, false));
        let Some(enclosing) = enclosing else {
            return hop.refused(Ede::NotAuthoritative);
        };
        let zone = enclosing.zone;
        if !zone.settings.admit(self.client, self.key) {
            return hop.refused(Ede::Prohibited);
        }
        let data = match &zone.state {
            ZoneState::Loaded(data) => data,
            ZoneState::NotLoaded | ZoneState::Expired => return self.not_ready(hop),
        };
        if hop.asked {
            self.zone = Some(zone);
        }
        let labels = &name.as_wire()[..name.len() - zone.origin.as_ref().len()];
        let target = Target { labels, key: key.below(enclosing.origin_key) };
        let found = data.find(target, &mut scratch.spare);
        if hop.asked {
            self.identity = identity(&found, name, data.origin(), for_ds);
        }
        match found {
            Found::Exact(node) if node.is_cut() && !for_ds => self.referral(zone, node),
            Found::Delegation(cut) => self.referral(zone, cut),
            Found::Exact(node) | Found::Wildcard(node) => self.existing(hop, zone, data, node),
            Found::Dname(node) => self.dname(hop, zone, data, node),
            Found::Ent => self.negative(hop, data, Rcode::NOERROR),
            Found::NoName => self.negative(hop, data, Rcode::NXDOMAIN),
        }
    }

    /// The zone is configured but not loaded. A resolver can continue from the chain so far, since other servers may
    /// have the rest. A client that desires recursion cannot, so it gets SERVFAIL and asks another server, as with
    /// named.
    fn not_ready(&mut self, hop: Hop<'_>) -> Step<'s> {
        let ede = Some(Ede::NotReady);
        if hop.asked || self.recursion_desired {
            self.writer.clear(self.question);
            return Step::Done(Outcome::error(Rcode::SERVFAIL, ede));
        }
        Step::Done(Outcome { ede, ..AUTHORITATIVE })
    }

    /// The name has data, its own or a wildcard's.
    fn existing(&mut self, hop: Hop<'_>, zone: &'s Zone, data: &'s ZoneData, node: Node<'s>) -> Step<'s> {
        let qtype = self.question.qtype;
        let owner = hop.owner(hop.name.len());
        if qtype == Rtype::ANY {
            let minimal = self.settings.minimal_any && self.client.transport == Transport::Udp;
            for rrset in node.rrsets().take(if minimal { 1 } else { usize::MAX }) {
                if let Some(at) = self.add(Section::Answer, owner, rrset, rrset.ttl, Need::Must) {
                    self.note_source(Source { rrset, zone, at, cut: None });
                }
            }
        } else if let Some(rrset) = node.rrset(qtype) {
            // A chain may lead a DNAME question to a DNAME that is already in the response.
            if (hop.asked || !self.is_given(rrset, hop.name))
                && let Some(at) = self.add(Section::Answer, owner, rrset, rrset.ttl, Need::Must)
            {
                self.note_source(Source { rrset, zone, at, cut: None });
            }
        } else if let Some(cname) = node.rrset(Rtype::CNAME).filter(|_| !may_stand_beside_cname(qtype)) {
            return self.cname(hop, cname);
        } else {
            return self.negative(hop, data, Rcode::NOERROR);
        }
        self.add_authority(hop, zone, data);
        Step::Done(AUTHORITATIVE)
    }

    fn cname(&mut self, hop: Hop<'_>, cname: Rrset<'s>) -> Step<'s> {
        if self.is_given(cname, hop.name) {
            // The chain loops.
            return Step::Done(AUTHORITATIVE);
        }
        self.add(Section::Answer, hop.owner(hop.name.len()), cname, cname.ttl, Need::Must);
        match cname.rdatas().next().map(NameRef::from_wire) {
            // A truncated chain is followed, too, because the response code is that of its end.
            Some(Ok(target)) => Step::Follow(target),
            _ => Step::Done(AUTHORITATIVE),
        }
    }

    /// The name lies below a DNAME, whose owner in the name is replaced by the target (RFC 6672 3).
    fn dname(&mut self, hop: Hop<'_>, zone: &'s Zone, data: &'s ZoneData, node: Node<'s>) -> Step<'s> {
        let Some((dname, target)) = node.rrset(Rtype::DNAME).and_then(|set| Some((set, set.rdatas().next()?))) else {
            return Step::Done(Outcome::error(Rcode::SERVFAIL, Some(Ede::Other)));
        };
        if self.is_given(dname, hop.name) {
            // The chain loops: this name's CNAME was synthesized from this DNAME before.
            return Step::Done(AUTHORITATIVE);
        }
        let (wire, owner) = (hop.name.as_wire(), node.owner_len());
        let kept = wire.len() - owner;
        if !self.is_given(dname, hop.name.suffix_at(kept)) {
            self.add(Section::Answer, hop.owner(owner), dname, dname.ttl, Need::Must);
        }
        let Some(made) = NameBuf::from_parts(&[&wire[..kept], target]) else {
            return Step::Done(Outcome { rcode: Rcode::YXDOMAIN, ..AUTHORITATIVE });
        };
        let at = self.writer.position();
        if self.writer.add_cname(hop.owner(hop.name.len()), self.class, dname.ttl, made.as_ref()) {
            self.remember(dname, at);
        }
        if matches!(self.question.qtype, Rtype::CNAME | Rtype::ANY) {
            self.add_authority(hop, zone, data);
            return Step::Done(AUTHORITATIVE);
        }
        Step::FollowMade(made)
    }

    /// The name is delegated to another zone: adds that zone's NS records, with glue (RFC 1034 4.2.1).
    fn referral(&mut self, zone: &'s Zone, cut: Node<'s>) -> Step<'s> {
        if let Some(ns) = cut.rrset(Rtype::NS)
            && let Some(at) = self.add_owned(Section::Authority, cut, ns, ns.ttl, Need::Must)
        {
            self.note_source(Source { rrset: ns, zone, at, cut: Some(cut) });
        }
        Step::Done(Outcome { authoritative: false, ..AUTHORITATIVE })
    }

    /// The name, or the type at the name, does not exist: adds the SOA, which says how long that may be cached (RFC
    /// 2308 3).
    fn negative(&mut self, hop: Hop<'_>, data: &'s ZoneData, rcode: Rcode) -> Step<'s> {
        if hop.asked && self.identity.kind == Kind::Answer {
            self.identity.kind = Kind::Nodata;
        }
        if let Some(soa) = data.apex().and_then(|apex| apex.rrset(Rtype::SOA))
            && let Some(minimum) = soa.rdatas().next().and_then(Soa::minimum_of)
        {
            let owner = hop.owner(data.origin().len());
            // As BIND's zero-no-soa-ttl: a client that looks for a zone's apex must not cache for long that it is not
            // here.
            let zero = rcode == Rcode::NXDOMAIN && self.question.qtype == Rtype::SOA;
            let ttl = if zero { 0 } else { soa.ttl.min(minimum) };
            self.add(Section::Authority, owner, soa, ttl, Need::Must);
        }
        Step::Done(Outcome { rcode, ..AUTHORITATIVE })
    }

    /// Adds the zone's NS records to an answer.
    fn add_authority(&mut self, hop: Hop<'_>, zone: &'s Zone, data: &'s ZoneData) {
        if !self.authority {
            return;
        }
        if let Some(ns) = data.apex().and_then(|apex| apex.rrset(Rtype::NS))
            && !self.is_given(ns, data.origin())
        {
            let owner = hop.owner(data.origin().len());
            if let Some(at) = self.add(Section::Authority, owner, ns, ns.ttl, Need::May) {
                self.note_source(Source { rrset: ns, zone, at, cut: None });
            }
        }
    }

    /// Adds an RRset under its own owner; see [`Answering::add`].
    fn add_owned(&mut self, section: Section, node: Node<'s>, rrset: Rrset<'s>, ttl: u32, need: Need) -> Option<usize> {
        let mut owner = NameBuf::default();
        let owner = node.owner_into(&mut owner);
        self.add(section, Owner::Named(owner), rrset, ttl, need)
    }

    /// Adds an RRset and returns the position of its first record, or `None` if it did not fit.
    fn add(&mut self, section: Section, owner: Owner<'_>, rrset: Rrset<'s>, ttl: u32, need: Need) -> Option<usize> {
        let at = self.writer.position();
        let entry = Entry { owner, class: self.class, rrset, ttl, first: self.first_record(owner, rrset) };
        let added = self.writer.add(section, &entry, need);
        if added {
            self.remember(rrset, at);
        }
        added.then_some(at)
    }

    /// Remembers an RRset in the response and its position.
    fn remember(&mut self, rrset: Rrset<'s>, at: usize) {
        if let Some(free) = self.given.iter_mut().find(|given| given.is_none()) {
            *free = Some(Given { records: rrset.records(), at });
        }
    }

    /// Whether the response already contains an RRset under this name.
    fn is_given(&self, rrset: Rrset<'_>, name: NameRef<'_>) -> bool {
        let same =
            |given: &Given<'_>| std::ptr::eq(given.records, rrset.records()) && self.writer.owner_is(given.at, name);
        self.given.iter().map_while(|given| given.as_ref()).any(same)
    }

    /// Which record of an RRset comes first.
    fn first_record(&self, owner: Owner<'_>, rrset: Rrset<'_>) -> usize {
        if rrset.len() == 1 {
            return 0;
        }
        let owner = || match owner {
            Owner::Asked(start) => self.question.qname.suffix_at(start),
            Owner::Named(name) => name,
        };
        match self.settings.rrset_order.order(self.class, rrset.rtype, owner) {
            Order::Fixed => 0,
            Order::Cyclic => (self.scratch.turn % rrset.len() as u64) as usize,
            Order::Random => {
                // A Weyl sequence, mixed as in splitmix64: it has to spread load, not to be unpredictable.
                let mut z = self.scratch.turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                ((z ^ z >> 27) % rrset.len() as u64) as usize
            }
        }
    }
}
