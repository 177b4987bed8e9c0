//! Response rate limiting: who gets one and the same answer too often gets fewer, as the address may be forged and whoever
//! lives there be flooded. What is counted, and how, is BIND's `rate-limit`.
//!
//! A [`Limiter`] is shared by all workers. Its `table` holds a balance for each kind of answer to each network, and
//! takes the memory it starts with, whatever comes; `report` tells when limiting starts and stops. Nothing here waits or
//! reads a clock.

mod report;
mod table;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Instant,
};

use siphasher::sip::SipHasher13;
use zonefmt::{MAX_NAME, NameRef, Rtype};

use crate::{
    access::{Acl, Prefix},
    listen::{Client, Transport},
};
use report::Report;
use table::{Debit, Key, SECOND, Table, Terms, Ticks};

/// `rate-limit`. Rates are responses a second over UDP, at most 1000; 0 is no limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// Of one name and type to one network.
    pub responses: u32,
    /// To names below one cut, to one network.
    pub referrals: u32,
    /// For types that one name does not have, to one network.
    pub nodata: u32,
    /// For names that one zone does not have, to one network.
    pub nxdomains: u32,
    /// Errors other than NXDOMAIN, to one network.
    pub errors: u32,
    /// Of all kinds together, to one network; what it limits is always dropped.
    pub all: u32,
    /// Of all kinds together to each network of these sizes; an extension of ours.
    pub networks: Vec<NetworkRate>,
    /// Each so many-th limited answer is sent truncated, so that a client that is there asks again over TCP; from the first
    /// on. 0: none is; at most 10.
    pub slip: u8,
    /// For how many seconds a client stays limited that does not stop to ask; 1 to 3600.
    pub window: u16,
    /// The length of an IPv4 network's prefix.
    pub ipv4_prefix: u8,
    /// The length of an IPv6 network's prefix.
    pub ipv6_prefix: u8,
    /// Who is never limited.
    pub exempt: Acl,
    /// Only tell what would be limited.
    pub log_only: bool,
    /// Above so many queries a second, rates shrink in proportion, but for networks that use TCP; 0: they do not.
    pub qps_scale: u32,
    /// For how many balances there is room.
    pub table_size: usize,
}

/// A rate for networks of one size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkRate {
    /// Whether they are IPv6 networks.
    pub ipv6: bool,
    /// The length of their prefix, in bits.
    pub prefix: u8,
    /// Responses a second.
    pub rate: u32,
}

/// What makes two responses one and the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// What they say.
    pub kind: Kind,
    /// How many octets at the end of the question's name they have in common.
    pub octets: u8,
    /// They come from wildcards: those of a zone count together.
    pub wildcard: bool,
}

/// What a response says; of a chain, what its first name came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Records that were asked for, or an alias: the same for one owner and type.
    Answer,
    /// Who knows: the same for one cut.
    Referral,
    /// The name has no such records: the same for one owner.
    Nodata,
    /// There is no such name: the same for one zone.
    Nxdomain,
    /// Anything else.
    Error,
}

/// What is to be done with a response.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// It is sent.
    Send,
    /// It is sent without records, truncated.
    Slip,
    /// It is not sent.
    Drop,
}

/// Limits responses; see the module.
pub struct Limiter {
    settings: RateLimit,
    table: Table,
    hasher: SipHasher13,
    start: Instant,
    load: Load,
    report: Report,
}

impl RateLimit {
    /// The most that a rate may be, in responses a second.
    pub const MAX_RATE: u32 = 1000;

    fn rate(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Answer => self.responses,
            Kind::Referral => self.referrals,
            Kind::Nodata => self.nodata,
            Kind::Nxdomain => self.nxdomains,
            Kind::Error => self.errors,
        }
    }
}

impl Default for RateLimit {
    /// `named`'s, which limits nothing.
    fn default() -> RateLimit {
        RateLimit {
            responses: 0,
            referrals: 0,
            nodata: 0,
            nxdomains: 0,
            errors: 0,
            all: 0,
            networks: Vec::new(),
            slip: 2,
            window: 15,
            ipv4_prefix: 24,
            ipv6_prefix: 56,
            exempt: Acl::none(),
            log_only: false,
            qps_scale: 0,
            table_size: 20_000,
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Limiter").field(&self.settings).finish()
    }
}

impl Limiter {
    /// A limiter that has seen nothing yet. It takes 8 octets a balance.
    pub fn new(settings: RateLimit, now: Instant) -> Limiter {
        let random = || RandomState::new().build_hasher().finish();
        Limiter {
            table: Table::new(settings.table_size),
            settings,
            hasher: SipHasher13::new_with_keys(random(), random()),
            start: now,
            load: Load::default(),
            report: Report::new(),
        }
    }

    /// What it was made of.
    pub fn settings(&self) -> &RateLimit {
        &self.settings
    }

    /// Counts a response to a question for this name and type, and says what is to be done with it.
    #[inline]
    pub fn judge(
        &self,
        client: &Client,
        qname: NameRef<'_>,
        qtype: Rtype,
        identity: Identity,
        now: Instant,
    ) -> Verdict {
        let addr = client.addr.ip();
        if self.settings.exempt.allows(addr) {
            return Verdict::Send;
        }
        let now = self.ticks(now);
        let subject = Subject { addr, qname, qtype, identity };
        let scale = self.load.scale(&self.settings, now);
        if client.transport == Transport::Tcp {
            if scale.is_some() {
                self.table.mark(self.key(&subject, Account::TcpClient), now, self.settings.window);
            }
            return Verdict::Send;
        }
        let scale = scale.filter(|_| !self.table.is_marked(self.key(&subject, Account::TcpClient), now));
        let debit = |rate, account| self.debit(rate, scale, &subject, account, now);
        let mut verdict = debit(self.settings.rate(identity.kind), Account::Kind);
        verdict = verdict.max(debit(self.settings.all, Account::All));
        for network in self.settings.networks.iter().filter(|network| network.ipv6 == is_ipv6(addr)) {
            verdict = verdict.max(debit(network.rate, Account::Network(network.prefix)));
        }
        if self.settings.log_only { Verdict::Send } else { verdict }
    }

    /// Writes to the log what has started and stopped to be limited, and keeps the table in order; to be called every second.
    pub fn tend(&self, now: Instant) {
        self.report.write(&self.settings, &self.table, self.ticks(now));
    }

    #[inline]
    fn debit(&self, rate: u32, scale: Option<Scale>, subject: &Subject<'_>, account: Account, now: Ticks) -> Verdict {
        if rate == 0 {
            return Verdict::Send;
        }
        let RateLimit { slip, window, .. } = self.settings;
        // A client could make nothing of a truncated error.
        let may_slip = account != Account::All && subject.identity.kind != Kind::Error;
        let slip = if may_slip { scale.map_or(slip, |scale| scale.slip(slip)) } else { 0 };
        let terms = Terms { rate: scale.map_or(rate, |scale| scale.rate(rate)), window, slip };
        let key = self.key(subject, account);
        match self.table.debit(key, now, terms) {
            Debit::Covered => Verdict::Send,
            Debit::Refused { slips, first } => {
                if first {
                    self.report.note(key, self.network(subject.addr, account), account, subject);
                }
                if slips { Verdict::Slip } else { Verdict::Drop }
            }
        }
    }

    /// What a balance is known by: the network, and what of a response is the same in all that share it.
    #[inline]
    fn key(&self, subject: &Subject<'_>, account: Account) -> Key {
        const FIXED: usize = 16 + 4;
        let (identity, nothing) = (subject.identity, [0; 3]);
        let (what, detail, name) = match account {
            Account::Kind => {
                let [high, low] = if identity.kind == Kind::Answer { subject.qtype.0.to_be_bytes() } else { [0; 2] };
                (identity.kind as u8, [identity.wildcard.into(), high, low], subject.name().as_wire())
            }
            Account::All => (0x80, nothing, &[][..]),
            Account::Network(length) => (0x81, [length, 0, 0], &[][..]),
            Account::TcpClient => (0x82, nothing, &[][..]),
        };
        let mut octets = [0; FIXED + MAX_NAME];
        octets[..16].copy_from_slice(&self.network(subject.addr, account).bits().to_be_bytes());
        octets[16] = what;
        octets[17..FIXED].copy_from_slice(&detail);
        let end = FIXED + name.len();
        for (to, from) in octets[FIXED..end].iter_mut().zip(name) {
            *to = from.to_ascii_lowercase();
        }
        Key(self.hasher.hash(&octets[..end]))
    }

    /// The network that an address is counted with.
    fn network(&self, addr: IpAddr, account: Account) -> Prefix {
        let length = match account {
            Account::Network(length) => length,
            _ if is_ipv6(addr) => self.settings.ipv6_prefix,
            _ => self.settings.ipv4_prefix,
        };
        Prefix::new(addr.to_canonical(), length)
    }

    fn ticks(&self, now: Instant) -> Ticks {
        table::ticks(now.saturating_duration_since(self.start))
    }
}

/// A response on its way.
#[derive(Clone, Copy)]
struct Subject<'n> {
    addr: IpAddr,
    qname: NameRef<'n>,
    qtype: Rtype,
    identity: Identity,
}

/// What a balance is for, within a network.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Account {
    /// Responses that are the same.
    Kind,
    /// All responses.
    All,
    /// All responses, to a network with a prefix of this length.
    Network(u8),
    /// No balance: the network uses TCP.
    TcpClient,
}

impl<'n> Subject<'n> {
    /// The name that it has in common with the same responses.
    fn name(&self) -> NameRef<'n> {
        self.qname.suffix_at(self.qname.len().saturating_sub(self.identity.octets.into()))
    }
}

impl Identity {
    /// What is the same for one name.
    pub fn of(kind: Kind, name: NameRef<'_>) -> Identity {
        // A name has 255 octets at most.
        Identity { kind, octets: name.len() as u8, wildcard: false }
    }

    /// An error.
    pub const ERROR: Identity = Identity { kind: Kind::Error, octets: 1, wildcard: false };
}

fn is_ipv6(addr: IpAddr) -> bool {
    addr.to_canonical().is_ipv6()
}

/// How many responses there are a second, for `qps-scale`.
#[derive(Default)]
struct Load {
    counted_since: AtomicU64,
    responses: AtomicU64,
    /// In the last window.
    per_second: AtomicU32,
}

/// By how much rates shrink.
#[derive(Clone, Copy)]
struct Scale {
    most: u32,
    per_second: u32,
}

impl Load {
    /// Counts a response; gives a scale if there are too many.
    fn scale(&self, settings: &RateLimit, now: Ticks) -> Option<Scale> {
        let most = settings.qps_scale;
        if most == 0 {
            return None;
        }
        let responses = self.responses.fetch_add(1, Ordering::Relaxed) + 1;
        let since = self.counted_since.load(Ordering::Relaxed);
        let passed = now.saturating_sub(since);
        let mut per_second = self.per_second.load(Ordering::Relaxed);
        if passed >= SECOND {
            let counted = u32::try_from(responses.saturating_mul(SECOND) / passed).unwrap_or(u32::MAX);
            let whole = passed >= Ticks::from(settings.window) * SECOND;
            if whole && self.counted_since.compare_exchange(since, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                self.responses.store(0, Ordering::Relaxed);
                self.per_second.store(counted, Ordering::Relaxed);
                per_second = counted;
            }
            per_second = per_second.max(counted);
        }
        (per_second > most).then_some(Scale { most, per_second })
    }
}

impl Scale {
    fn rate(self, rate: u32) -> u32 {
        self.of(rate).max(1)
    }

    /// More of what is limited slips.
    fn slip(self, slip: u8) -> u8 {
        if slip > 2 { self.of(slip.into()).max(2) as u8 } else { slip }
    }

    fn of(self, number: u32) -> u32 {
        (u64::from(number) * u64::from(self.most) / u64::from(self.per_second)) as u32
    }
}
