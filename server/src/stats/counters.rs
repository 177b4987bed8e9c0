//! Counting, once per answer.
//!
//! Every worker has a block of counters that no other thread writes, so counting is a load and a store on cache lines
//! that its core owns, with no lock or atomic addition. Readers sum the blocks. A block outlives its worker and is
//! given to the next one, so that no count is lost and there are never more blocks than there were workers at one time.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use zonefmt::Rtype;

use super::{
    table::{self, CELLS, Stat, Way},
    zone::ZoneCounters,
};
use crate::{
    cookies::Standing,
    limit::Verdict,
    listen::Client,
    sync::lock,
    wire::{
        HEADER, Opcode, Rcode, flags,
        request::{Edns, Noted},
    },
};

/// All blocks of a server's counters.
#[derive(Default)]
pub(super) struct Blocks(Mutex<Lists>);

#[derive(Default)]
struct Lists {
    all: Vec<Arc<Block>>,
    /// Blocks without a worker, with their lanes.
    free: Vec<(Arc<Block>, usize)>,
}

/// Aligned so that no two blocks share a cache line.
#[repr(align(128))]
struct Block([AtomicU64; CELLS]);

/// The counters of one worker.
pub struct Counters {
    block: Arc<Block>,
    /// The worker's lane in the counters of zones.
    lane: usize,
    home: Arc<Blocks>,
}

/// A request and its outcome.
pub(crate) struct Event<'e> {
    pub(crate) request: Received<'e>,
    /// The counters of the zone that the request is about, if it has any.
    pub(crate) zone: Option<&'e ZoneCounters>,
    /// The verdict of response rate limiting.
    pub(crate) verdict: Verdict,
    /// The response's code and octets; `None` if no response was sent.
    pub(crate) response: Option<(Rcode, &'e [u8])>,
}

/// A request.
pub(crate) struct Received<'e> {
    /// The client that sent the request.
    pub(crate) client: &'e Client,
    /// The request's octets, at least a header.
    pub(crate) octets: &'e [u8],
    /// The type of the question, if the request was parsed that far.
    pub(crate) asked: Option<Rtype>,
    /// The request's OPT.
    pub(crate) edns: Option<Edns>,
    /// The result of checking the request's cookie, if it has one and cookies are in use.
    pub(crate) cookie: Option<Standing>,
    /// Whether the request's TSIG is valid, if it has one.
    pub(crate) tsig: Option<bool>,
}

/// A response that is sent.
pub(crate) struct Sent<'e> {
    pub(crate) client: &'e Client,
    /// Whether it has an OPT.
    pub(crate) edns: bool,
    /// Whether it has a TSIG.
    pub(crate) tsig: bool,
    pub(crate) rcode: Rcode,
    pub(crate) octets: &'e [u8],
}

/// The sums of all blocks, at about one moment.
pub(super) struct Sums(Box<[u64]>);

impl Blocks {
    /// Returns counters for one more worker.
    pub(super) fn take(self: &Arc<Self>) -> Counters {
        let mut lists = self.lists();
        let (block, lane) = lists.free.pop().unwrap_or_else(|| {
            let new = Arc::new(Block([const { AtomicU64::new(0) }; CELLS]));
            lists.all.push(Arc::clone(&new));
            (new, lists.all.len() - 1)
        });
        Counters { block, lane, home: Arc::clone(self) }
    }

    /// Sums the counters of all workers.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = vec![0_u64; CELLS].into_boxed_slice();
        for block in &self.lists().all {
            for (sum, cell) in sums.iter_mut().zip(&block.0) {
                *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
            }
        }
        Sums(sums)
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        lock(&self.0)
    }
}

impl Sums {
    /// Sets a counter that is kept elsewhere.
    pub(super) fn set(&mut self, cell: usize, count: u64) {
        self.0[cell] = count;
    }

    /// The sum of one counter.
    pub(super) fn cell(&self, cell: usize) -> u64 {
        self.0[cell]
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        self.home.lists().free.push((Arc::clone(&self.block), self.lane));
    }
}

impl Default for Counters {
    /// Makes counters that nobody reads.
    fn default() -> Counters {
        Arc::<Blocks>::default().take()
    }
}

impl Counters {
    /// Counts a request and its response.
    #[inline]
    pub(crate) fn count(&self, event: &Event<'_>) {
        let Event { request, zone, verdict, response } = event;
        let &Received { client, asked, edns, tsig, .. } = request;
        self.received(request, response.is_some_and(|(rcode, _)| rcode == Rcode::BADVERS));
        match verdict {
            Verdict::Send => {}
            Verdict::Slip => self.stat(Stat::RateSlipped),
            Verdict::Drop => self.stat(Stat::RateDropped),
        }
        let Some((rcode, octets)) = *response else {
            if asked.is_some() {
                self.stat(Stat::QryDropped);
            }
            return;
        };
        self.sent(&Sent { client, edns: edns.is_some(), tsig: tsig.is_some(), rcode, octets });
        if tsig == Some(false) && rcode == Rcode::NOTAUTH {
            self.stat(Stat::ReqBadSIG);
        }
        let Some((flags, answers)) = flags_and_answers(octets) else { return };
        match asked {
            Some(Rtype::AXFR | Rtype::IXFR) if rcode == Rcode::REFUSED => self.of_zone(Stat::XfrRej, *zone),
            Some(Rtype::AXFR | Rtype::IXFR) => {}
            Some(qtype) => self.outcome(Way::of(client), qtype, rcode, flags, answers, *zone),
            None if rcode == Rcode::REFUSED && Opcode::of(flags) == Opcode::UPDATE => {
                self.of_zone(Stat::UpdateRej, *zone);
            }
            None => {}
        }
    }

    /// Counts a request, whose response is counted elsewhere or not at all. `unknown_version` tells whether its version
    /// of EDNS is one that is not known here.
    #[inline]
    pub(crate) fn received(&self, request: &Received<'_>, unknown_version: bool) {
        let Received { client, octets, asked, edns, cookie, tsig } = request;
        let way = Way::of(client);
        self.stat(if way.v6 { Stat::Requestv6 } else { Stat::Requestv4 });
        self.add(way.request(octets.len()));
        if way.tcp {
            self.stat(Stat::ReqTCP);
        }
        if let Some(edns) = edns {
            self.edns(*edns, unknown_version);
        }
        if let Some(standing) = cookie {
            self.stat(Stat::CookieIn);
            self.stat(match standing {
                Standing::Match => Stat::CookieMatch,
                Standing::NoMatch => Stat::CookieNoMatch,
                Standing::BadTime => Stat::CookieBadTime,
                Standing::BadSize => Stat::CookieBadSize,
                Standing::ClientOnly => Stat::CookieNew,
            });
        }
        if tsig.is_some() {
            self.stat(Stat::ReqTSIG);
        }
        self.add(table::opcode(octets.get(2).map_or(0, |flags| flags >> 3)));
        if let Some(qtype) = *asked {
            self.add(table::qtype(qtype));
        }
    }

    /// Counts a response, but not what it says.
    #[inline]
    pub(crate) fn sent(&self, response: &Sent<'_>) {
        let Sent { client, edns, tsig, rcode, octets } = response;
        self.add(Way::of(client).response(octets.len()));
        if let Some(cell) = table::rcode(*rcode) {
            self.add(cell);
        }
        self.stat(Stat::Response);
        if *edns {
            self.stat(Stat::RespEDNS0);
        }
        if *tsig {
            self.stat(Stat::RespTSIG);
        }
        if flags_and_answers(octets).is_some_and(|(flags, _)| flags & flags::TC != 0) {
            self.stat(Stat::TruncatedResp);
        }
    }

    /// Counts an outcome for the server, and for the zone that it is about.
    pub(crate) fn of_zone(&self, stat: Stat, zone: Option<&ZoneCounters>) {
        self.stat(stat);
        if let Some(zone) = zone {
            zone.stat(self.lane, stat);
        }
    }

    /// Counts a message to or from this address: as the first of these if it is an IPv4 address, else as the second.
    pub(crate) fn by_family(&self, [v4, v6]: [Stat; 2], address: SocketAddr) {
        self.stat(if address.is_ipv4() { v4 } else { v6 });
    }

    fn edns(&self, edns: Edns, unknown_version: bool) {
        self.stat(if unknown_version { Stat::ReqBadEDNSVer } else { Stat::ReqEdns0 });
        if edns.nsid {
            self.stat(Stat::NSIDOpt);
        }
        if edns.keepalive {
            self.stat(Stat::KeepAliveOpt);
        }
        if edns.noted != Noted::default() {
            let stats = [
                (Noted::SUBNET, Stat::ECSOpt),
                (Noted::EXPIRE, Stat::ExpireOpt),
                (Noted::PADDING, Stat::PadOpt),
                (Noted::KEY_TAG, Stat::KeyTagOpt),
                (Noted::OTHER, Stat::OtherOpt),
            ];
            stats.into_iter().filter(|(option, _)| edns.noted.has(*option)).for_each(|(_, stat)| self.stat(stat));
        }
    }

    /// Distinguishes outcomes as BIND does: answers by their flags and contents, everything else by the response code.
    #[inline]
    fn outcome(&self, way: Way, qtype: Rtype, rcode: Rcode, flags: u16, answers: u16, zone: Option<&ZoneCounters>) {
        let stat = |stat| self.of_zone(stat, zone);
        if !matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN | Rcode::YXDOMAIN) {
            if rcode == Rcode::REFUSED {
                self.stat(if flags & flags::RD == 0 { Stat::AuthQryRej } else { Stat::RecQryRej });
            }
            return stat(match rcode {
                Rcode::SERVFAIL => Stat::QrySERVFAIL,
                Rcode::FORMERR => Stat::QryFORMERR,
                Rcode::BADCOOKIE => Stat::QryBADCOOKIE,
                _ => Stat::QryFailure,
            });
        }
        let authoritative = flags & flags::AA != 0;
        stat(if way.tcp { Stat::QryTCP } else { Stat::QryUDP });
        stat(if authoritative { Stat::QryAuthAns } else { Stat::QryNoauthAns });
        if let Some(zone) = zone.filter(|_| authoritative) {
            zone.qtype(self.lane, qtype);
        }
        stat(match rcode {
            Rcode::NXDOMAIN => Stat::QryNXDOMAIN,
            Rcode::YXDOMAIN => Stat::QryFailure,
            _ if answers > 0 || flags & flags::TC != 0 => Stat::QrySuccess,
            _ if authoritative => Stat::QryNxrrset,
            _ => Stat::QryReferral,
        });
    }

    /// Counts one of these.
    #[inline]
    pub(crate) fn stat(&self, stat: Stat) {
        self.add(table::stat(stat));
    }

    #[inline]
    fn add(&self, cell: usize) {
        let cell = &self.block.0[cell];
        // No other thread writes this cell.
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// The flags of a message's header, and the number of records in its answer section.
fn flags_and_answers(message: &[u8]) -> Option<(u16, u16)> {
    let header = message.first_chunk::<HEADER>()?;
    Some((u16::from_be_bytes([header[2], header[3]]), u16::from_be_bytes([header[6], header[7]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_counted_stays_when_it_ends() {
        let blocks = Arc::<Blocks>::default();
        for _ in 0..3 {
            let (one, two) = (blocks.take(), blocks.take());
            one.stat(Stat::Response);
            two.stat(Stat::Response);
        }
        assert_eq!(blocks.sums().cell(table::stat(Stat::Response)), 6);
        assert_eq!(blocks.lists().all.len(), 2);
    }
}
