//! Response rate limiting: a network that gets the same answer too often gets fewer, because its address may be forged
//! and its owner the victim of a flood. What is counted, and how, follows BIND's `rate-limit`.
//!
//! All workers share a [`Limiter`]. Its `table` holds a balance for each kind of answer to each network, in an amount
//! of memory that is fixed at the start; `report` logs when limiting starts and stops. Nothing here waits or reads a
//! clock.

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

/// The settings of `rate-limit`. Rates are in responses a second over UDP, at most 1000; 0 means no limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// The rate of answers for one name and type to one network.
    pub responses: u32,
    /// The rate of referrals for names below one cut to one network.
    pub referrals: u32,
    /// The rate of NODATA responses for one name to one network.
    pub nodata: u32,
    /// The rate of NXDOMAIN responses from one zone to one network.
    pub nxdomains: u32,
    /// The rate of errors other than NXDOMAIN to one network.
    pub errors: u32,
    /// The rate of all responses together to one network; those above it are always dropped.
    pub all: u32,
    /// The rates of all responses together to each network of these sizes; an extension of ours.
    pub networks: Vec<NetworkRate>,
    /// One in this many limited responses is sent truncated, starting with the first, so that a genuine client asks
    /// again over TCP; 0 means none; at most 10.
    pub slip: u8,
    /// How long a client can stay limited after it stops asking, in seconds; 1 to 3600.
    pub window: u16,
    /// The prefix length of an IPv4 network, in bits.
    pub ipv4_prefix: u8,
    /// The prefix length of an IPv6 network, in bits.
    pub ipv6_prefix: u8,
    /// The clients that are never limited.
    pub exempt: Acl,
    /// Only logs what would be limited.
    pub log_only: bool,
    /// Above this many queries a second, rates shrink in proportion, except for networks that use TCP; 0 means that
    /// they do not shrink.
    pub qps_scale: u32,
    /// The number of balances that the table has room for.
    pub table_size: usize,
}

/// A rate for networks of one size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkRate {
    /// Whether this rate is for IPv6 networks.
    pub ipv6: bool,
    /// The networks' prefix length, in bits.
    pub prefix: u8,
    /// The rate in responses a second.
    pub rate: u32,
}

/// The part of a response by which rate limiting decides whether two responses are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// What the responses say.
    pub kind: Kind,
    /// How many octets at the end of the question's name the responses have in common.
    pub octets: u8,
    /// Whether the responses come from wildcards; those of one zone count together.
    pub wildcard: bool,
}

/// What a response says. For a chain, this is the result of its first name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The requested records, or an alias; the same for one owner and type.
    Answer,
    /// A referral; the same for one cut.
    Referral,
    /// The name has no records of the type; the same for one owner.
    Nodata,
    /// The name does not exist; the same for one zone.
    Nxdomain,
    /// Anything else.
    Error,
}

/// What to do with a response.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Send the response.
    Send,
    /// Send the response truncated, without records.
    Slip,
    /// Do not send the response.
    Drop,
}

/// Limits responses; see the module's documentation.
pub struct Limiter {
    settings: RateLimit,
    table: Table,
    hasher: SipHasher13,
    start: Instant,
    load: Load,
    report: Report,
}

impl RateLimit {
    /// The highest rate that can be configured, in responses a second.
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
    /// The defaults of `named`, which limit nothing.
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
    /// Makes a limiter that has not counted anything yet. It takes 8 octets per balance.
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

    /// The settings that the limiter was made with.
    pub fn settings(&self) -> &RateLimit {
        &self.settings
    }

    /// Opens the case of the response to a question for this name and type, which is judged once the answer is known.
    /// The balance that will most probably be debited is fetched from memory while the answer is sought.
    #[inline]
    pub fn open<'c>(&'c self, client: &Client, qname: NameRef<'c>, qtype: Rtype, now: Instant) -> Case<'c> {
        let addr = client.addr.ip();
        let probable = Subject { addr, qname, qtype, identity: Identity::of(Kind::Answer, qname) };
        let exempt = self.settings.exempt.allows(addr);
        let is_debited = self.settings.responses > 0 && client.transport == Transport::Udp && !exempt;
        let key = is_debited.then(|| self.key(&probable, Account::Kind));
        if let Some(key) = key {
            self.table.fetch(key);
        }
        Case { limiter: self, transport: client.transport, exempt, now, probable, key }
    }

    /// Logs which responses started and stopped being limited, and keeps the table in order. Must be called every
    /// second.
    pub fn tend(&self, now: Instant) {
        self.report.write(&self.settings, &self.table, self.ticks(now));
    }

    /// The key of a balance: the network, and the parts of a response that are the same for all responses that share
    /// it.
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

    /// The network that an address is counted under.
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

/// A response that is to be judged.
pub struct Case<'c> {
    limiter: &'c Limiter,
    transport: Transport,
    exempt: bool,
    now: Instant,
    /// What the response is unless its identity turns out to be another.
    probable: Subject<'c>,
    /// The key of that one's balance, if it is to be debited.
    key: Option<Key>,
}

impl Case<'_> {
    /// Counts the response, and decides whether to send it.
    #[inline]
    pub fn judge(&self, identity: Identity) -> Verdict {
        if self.exempt {
            return Verdict::Send;
        }
        let Limiter { settings, table, load, .. } = self.limiter;
        let now = self.limiter.ticks(self.now);
        let subject = Subject { identity, ..self.probable };
        let scale = load.scale(settings, now);
        if self.transport == Transport::Tcp {
            if scale.is_some() {
                table.mark(self.limiter.key(&subject, Account::TcpClient), now, settings.window);
            }
            return Verdict::Send;
        }
        let scale = scale.filter(|_| !table.is_marked(self.limiter.key(&subject, Account::TcpClient), now));
        let debit = |rate, account| self.debit(rate, scale, &subject, account, now);
        let mut verdict = debit(settings.rate(identity.kind), Account::Kind);
        verdict = verdict.max(debit(settings.all, Account::All));
        for network in settings.networks.iter().filter(|network| network.ipv6 == is_ipv6(subject.addr)) {
            verdict = verdict.max(debit(network.rate, Account::Network(network.prefix)));
        }
        if settings.log_only { Verdict::Send } else { verdict }
    }

    #[inline]
    fn debit(&self, rate: u32, scale: Option<Scale>, subject: &Subject<'_>, account: Account, now: Ticks) -> Verdict {
        if rate == 0 {
            return Verdict::Send;
        }
        let Limiter { settings: RateLimit { slip, window, .. }, table, report, .. } = self.limiter;
        // A truncated error would be of no use to the client.
        let may_slip = account != Account::All && subject.identity.kind != Kind::Error;
        let slip = if may_slip { scale.map_or(*slip, |scale| scale.slip(*slip)) } else { 0 };
        let terms = Terms { rate: scale.map_or(rate, |scale| scale.rate(rate)), window: *window, slip };
        let fetched = self.key.filter(|_| account == Account::Kind && subject.identity == self.probable.identity);
        let key = fetched.unwrap_or_else(|| self.limiter.key(subject, account));
        match table.debit(key, now, terms) {
            Debit::Covered => Verdict::Send,
            Debit::Refused { slips, first } => {
                if first {
                    report.note(key, self.limiter.network(subject.addr, account), account, subject);
                }
                if slips { Verdict::Slip } else { Verdict::Drop }
            }
        }
    }
}

/// The parts of a response by which it is counted.
#[derive(Clone, Copy)]
struct Subject<'n> {
    addr: IpAddr,
    qname: NameRef<'n>,
    qtype: Rtype,
    identity: Identity,
}

/// What a balance within a network is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Account {
    /// Responses with the same [`Identity`].
    Kind,
    /// All responses.
    All,
    /// All responses to a network with a prefix of this length.
    Network(u8),
    /// Not a balance but a mark: the network uses TCP.
    TcpClient,
}

impl<'n> Subject<'n> {
    /// The part of the name that the same responses have in common.
    fn name(&self) -> NameRef<'n> {
        self.qname.suffix_at(self.qname.len().saturating_sub(self.identity.octets.into()))
    }
}

impl Identity {
    /// The identity of responses that are the same for one name.
    pub fn of(kind: Kind, name: NameRef<'_>) -> Identity {
        // A name has at most 255 octets.
        Identity { kind, octets: name.len() as u8, wildcard: false }
    }

    /// The identity of errors.
    pub const ERROR: Identity = Identity { kind: Kind::Error, octets: 1, wildcard: false };
}

fn is_ipv6(addr: IpAddr) -> bool {
    addr.to_canonical().is_ipv6()
}

/// Measures the number of responses a second, for `qps-scale`.
#[derive(Default)]
struct Load {
    counted_since: AtomicU64,
    responses: AtomicU64,
    /// The rate in the last window.
    per_second: AtomicU32,
}

/// The ratio by which rates shrink.
#[derive(Clone, Copy)]
struct Scale {
    most: u32,
    per_second: u32,
}

impl Load {
    /// Counts a response; returns a scale if there are too many.
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

    /// With a smaller number, more of the limited responses slip.
    fn slip(self, slip: u8) -> u8 {
        if slip > 2 { self.of(slip.into()).max(2) as u8 } else { slip }
    }

    fn of(self, number: u32) -> u32 {
        (u64::from(number) * u64::from(self.most) / u64::from(self.per_second)) as u32
    }
}
