//! Compares the limits with a naive model and with `governor`, and tests them under floods.

use std::{collections::HashMap, net::SocketAddr, num::NonZeroU32, thread, time::Duration};

use governor::{Quota, RateLimiter, clock::FakeRelativeClock};
use proptest::prelude::*;
use zonefmt::Name;

use super::*;

fn client(addr: impl Into<IpAddr>, transport: Transport) -> Client {
    Client { addr: SocketAddr::new(addr.into(), 4053), local: SocketAddr::from(([127, 0, 0, 1], 53)), transport }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// A textbook token bucket. Tokens are counted in 1/[`MOMENTS`].
struct Bucket {
    tokens: i64,
    slipped: u8,
    at: i64,
}

/// Moments per second.
const MOMENTS: i64 = 512;

impl Bucket {
    fn take(&mut self, rate: i64, window: i64, slip: u8, now: i64) -> Verdict {
        self.tokens += (now - self.at) * rate;
        self.at = now;
        if self.tokens >= rate * MOMENTS {
            self.tokens = rate * MOMENTS;
            self.slipped = 0;
        }
        self.tokens = (self.tokens - MOMENTS).max(-window * rate * MOMENTS);
        if self.tokens >= 0 {
            return Verdict::Send;
        }
        let slips = slip > 0 && self.slipped == 0;
        self.slipped = if slip == 0 { 0 } else { (self.slipped + 1) % slip };
        if slips { Verdict::Slip } else { Verdict::Drop }
    }
}

const KINDS: [Kind; 5] = [Kind::Answer, Kind::Referral, Kind::Nodata, Kind::Nxdomain, Kind::Error];

/// Rates that both ways of counting represent exactly.
fn rate() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), (0_u32..7).prop_map(|power| 1 << power)]
}

fn settings() -> impl Strategy<Value = RateLimit> {
    let rates = proptest::array::uniform6(rate());
    (rates, proptest::collection::btree_map(24_u8..=32, rate(), 0..3), 0_u8..=10, 1_u16..=20).prop_map(
        |([responses, referrals, nodata, nxdomains, errors, all], networks, slip, window)| RateLimit {
            responses,
            referrals,
            nodata,
            nxdomains,
            errors,
            all,
            networks: networks.into_iter().map(|(prefix, rate)| NetworkRate { ipv6: false, prefix, rate }).collect(),
            slip,
            window,
            ..RateLimit::default()
        },
    )
}

proptest! {
    #[test]
    fn verdicts_are_those_of_token_buckets(
        settings in settings(),
        responses in proptest::collection::vec((0_i64..100, any::<bool>(), 0_u8..2, 0_usize..5, 0_u16..3), 1..400),
    ) {
        let start = Instant::now();
        let limiter = Limiter::new(settings.clone(), start);
        let qname = name("www.example");
        let mut buckets: HashMap<String, Bucket> = HashMap::new();
        let mut now = 0;
        for (passed, pause, host, kind, rtype) in responses {
            now += if pause { passed * 50 } else { passed / 10 };
            let instant = start + Duration::from_secs(1) * u32::try_from(now).unwrap() / 512;
            let from = client([192, 0, 2, host * 9], Transport::Udp);
            let kind = KINDS[kind];
            let identity = Identity { octets: 9, ..Identity::of(kind, qname.as_ref()) };
            let verdict = limiter.open(&from, qname.as_ref(), Rtype(rtype), instant).judge(identity);

            let mut accounts = vec![(settings.all, 0, "all".to_owned())];
            let slip = if kind == Kind::Error { 0 } else { settings.slip };
            let of_type = if kind == Kind::Answer { rtype } else { 0 };
            accounts.push((settings.rate(kind), slip, format!("{kind:?} {of_type}")));
            for network in &settings.networks {
                let host = u32::from(host * 9) >> (32 - u32::from(network.prefix));
                accounts.push((network.rate, slip, format!("{} {host}", network.prefix)));
            }
            let expected = accounts.into_iter().filter(|(rate, ..)| *rate > 0).map(|(rate, slip, account)| {
                let full = Bucket { tokens: i64::from(rate) * MOMENTS, slipped: 0, at: now };
                buckets.entry(account).or_insert(full).take(rate.into(), settings.window.into(), slip, now)
            });
            prop_assert_eq!(verdict, expected.max().unwrap_or(Verdict::Send));
        }
    }

    #[test]
    fn what_a_balance_covers_is_what_governor_lets_through(
        power in 0_u32..9,
        gaps in proptest::collection::vec(0_u64..200, 1..200),
    ) {
        let rate = 1 << power;
        let (clock, burst) = (FakeRelativeClock::default(), NonZeroU32::new(rate).unwrap());
        let quota = Quota::with_period(Duration::from_secs(1) / rate).unwrap().allow_burst(burst);
        let theirs = RateLimiter::direct_with_clock(quota, clock.clone());
        let ours = Table::new(8);
        let (moment, mut now) = (Duration::from_secs(1) / 512, Duration::ZERO);
        for gap in gaps {
            clock.advance(moment * gap as u32);
            now += moment * gap as u32;
            let debit = ours.debit(Key(1), table::ticks(now), Terms { rate, window: 1, slip: 0 });
            prop_assert_eq!(debit == Debit::Covered, theirs.check().is_ok());
            if debit != Debit::Covered {
                // From here on ours counts debits that `governor` does not.
                break;
            }
        }
    }
}

/// A question by a client, and the identity of its response.
type Asked<'a> = (&'a str, &'a Name, Rtype, Identity);

#[test]
fn responses_are_the_same_by_network_kind_and_name() {
    let start = Instant::now();
    let one =
        RateLimit { responses: 1, referrals: 1, nodata: 1, nxdomains: 1, errors: 1, slip: 0, ..RateLimit::default() };
    let (www, zone) = (name("www.zone.example"), name("zone.example"));
    let judge = |limiter: &Limiter, addr: &str, qname: &Name, qtype, identity| {
        limiter
            .open(&client(addr.parse::<IpAddr>().unwrap(), Transport::Udp), qname.as_ref(), qtype, start)
            .judge(identity)
    };
    let whole = |kind| Identity::of(kind, www.as_ref());
    let below_zone = |kind| Identity::of(kind, zone.as_ref());
    // The second of each pair is limited because of the first, or is not.
    let upper = name("WWW.Zone.example");
    let other = name("other.zone.example");
    let first: Asked<'_> = ("192.0.2.1", &www, Rtype::A, whole(Kind::Answer));
    let pairs: &[(Asked<'_>, Asked<'_>, Verdict)] = &[
        (first, ("192.0.2.255", &upper, Rtype::A, whole(Kind::Answer)), Verdict::Drop),
        (first, ("::ffff:192.0.2.9", &www, Rtype::A, whole(Kind::Answer)), Verdict::Drop),
        (first, ("192.0.3.1", &www, Rtype::A, whole(Kind::Answer)), Verdict::Send),
        (first, ("192.0.2.1", &www, Rtype::AAAA, whole(Kind::Answer)), Verdict::Send),
        (first, ("192.0.2.1", &www, Rtype::A, whole(Kind::Nodata)), Verdict::Send),
        (
            ("2001:db8::1", &www, Rtype::A, whole(Kind::Nodata)),
            ("2001:db8:0:ff::9", &www, Rtype::MX, whole(Kind::Nodata)),
            Verdict::Drop,
        ),
        (
            ("2001:db8::1", &www, Rtype::A, whole(Kind::Nodata)),
            ("2001:db8:0:100::1", &www, Rtype::A, whole(Kind::Nodata)),
            Verdict::Send,
        ),
        (
            ("192.0.2.1", &www, Rtype::A, below_zone(Kind::Nxdomain)),
            ("192.0.2.1", &other, Rtype::TXT, below_zone(Kind::Nxdomain)),
            Verdict::Drop,
        ),
        (
            ("192.0.2.1", &www, Rtype::A, below_zone(Kind::Referral)),
            ("192.0.2.1", &other, Rtype::MX, below_zone(Kind::Referral)),
            Verdict::Drop,
        ),
        (
            ("192.0.2.1", &zone, Rtype::A, below_zone(Kind::Answer)),
            ("192.0.2.1", &www, Rtype::A, Identity { wildcard: true, ..below_zone(Kind::Answer) }),
            Verdict::Send,
        ),
        (
            ("192.0.2.1", &www, Rtype::A, Identity::ERROR),
            ("192.0.2.2", &name("elsewhere"), Rtype::MX, Identity::ERROR),
            Verdict::Drop,
        ),
    ];
    for (i, &(first, second, expected)) in pairs.iter().enumerate() {
        let limiter = Limiter::new(one.clone(), start);
        assert_eq!(judge(&limiter, first.0, first.1, first.2, first.3), Verdict::Send);
        assert_eq!(judge(&limiter, second.0, second.1, second.2, second.3), expected, "pair {i}");
    }
}

#[test]
fn some_are_never_limited() {
    let start = Instant::now();
    let exempt = Acl::new(vec![crate::access::Rule {
        negated: false,
        matches: crate::access::Match::Prefix(Prefix::new([127, 0, 0, 1].into(), 32)),
    }]);
    let settings = RateLimit { responses: 1, exempt, ..RateLimit::default() };
    let log_only = RateLimit { log_only: true, ..settings.clone() };
    let qname = name("example");
    let cases = [
        (&settings, [127, 0, 0, 1], Transport::Udp),
        (&settings, [127, 0, 0, 2], Transport::Tcp),
        (&log_only, [127, 0, 0, 2], Transport::Udp),
    ];
    for (settings, addr, transport) in cases {
        let limiter = Limiter::new(settings.clone(), start);
        for _ in 0..10 {
            let identity = Identity::of(Kind::Answer, qname.as_ref());
            let verdict = limiter.open(&client(addr, transport), qname.as_ref(), Rtype::A, start).judge(identity);
            assert_eq!(verdict, Verdict::Send);
        }
    }
}

#[test]
fn rates_shrink_with_the_load_but_not_for_those_on_tcp() {
    let start = Instant::now();
    let settings = RateLimit { responses: 100, qps_scale: 100, slip: 0, window: 10, ..RateLimit::default() };
    let limiter = Limiter::new(settings, start);
    let qname = name("example");
    let identity = Identity::of(Kind::Answer, qname.as_ref());
    let judge =
        |addr, transport, now| limiter.open(&client(addr, transport), qname.as_ref(), Rtype::A, now).judge(identity);
    // 1000 a second: ten times the configured scale.
    for i in 0..2000_u32 {
        judge([10, (i >> 8) as u8, i as u8, 1], Transport::Udp, start + Duration::from_millis(i.into()));
    }
    let now = start + Duration::from_secs(2);
    let sent = |addr| (0..200).filter(|_| judge(addr, Transport::Udp, now) == Verdict::Send).count();
    assert!((8..=12).contains(&sent([192, 0, 2, 1])));
    judge([203, 0, 113, 1], Transport::Tcp, now);
    assert_eq!(sent([203, 0, 113, 2]), 100);
}

#[test]
fn a_flood_of_networks_frees_nobody_who_is_limited() {
    let start = Instant::now();
    let settings = RateLimit { responses: 5, slip: 0, table_size: 1 << 10, ..RateLimit::default() };
    let limiter = Limiter::new(settings, start);
    let qname = name("example");
    let identity = Identity::of(Kind::Answer, qname.as_ref());
    let judge = |addr: u128| {
        limiter.open(&client(addr.to_be_bytes(), Transport::Udp), qname.as_ref(), Rtype::A, start).judge(identity)
    };
    let limited = 0x2001_0db8_u128 << 96;
    (0..100).for_each(|_| _ = judge(limited));
    let network = |i: u128| 0x2001_0db9_u128 << 96 | i << 72;
    assert!((0..100_000).all(|i| judge(network(i)) == Verdict::Send));
    assert_eq!(judge(limited), Verdict::Drop);
}

#[test]
fn workers_that_share_a_balance_lose_no_debit() {
    let (table, terms) = (Table::new(64), Terms { rate: 1000, window: 1, slip: 0 });
    let covered = || (0..10_000).filter(|_| table.debit(Key(7), SECOND, terms) == Debit::Covered).count();
    let total: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(covered)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(total, 1000);
}

#[test]
fn a_moment_long_past_does_not_come_again() {
    let (table, terms) = (Table::new(8), Terms { rate: 1, window: 10, slip: 0 });
    let debit = |now| table.debit(Key(7), now, terms);
    (0..10).for_each(|_| _ = debit(0));
    // One full turn of the table's clock, in 64 steps.
    for step in 1..=64 {
        table.sweep(0, 1, step << 30);
    }
    assert_eq!(debit((1 << 36) + SECOND), Debit::Covered);
}

#[test]
fn what_is_limited_is_told_once_until_it_is_whole_again() {
    let (table, terms) = (Table::new(8), Terms { rate: 1, window: 2, slip: 0 });
    let first = |now| match table.debit(Key(7), now, terms) {
        Debit::Refused { first, .. } => first,
        Debit::Covered => false,
    };
    assert_eq!([0, 0, 0, 0].map(first), [false, true, false, false]);
    assert!(!table.settle(Key(7), 3 * SECOND - 1));
    assert!(table.settle(Key(7), 3 * SECOND));
    assert_eq!([4 * SECOND; 3].map(first), [false, true, false]);
    assert!(table.settle(Key(8), 0), "what is not in the table is not limited");
}

#[test]
fn lines_say_who_gets_less_of_what() {
    let limiter = Limiter::new(RateLimit::default(), Instant::now());
    let (www, zone) = (name("www.zone.example"), name("zone.example"));
    let said = |addr: &str, account, identity| {
        let subject = Subject { addr: addr.parse().unwrap(), qname: www.as_ref(), qtype: Rtype::A, identity };
        report::Note::new(Key(0), limiter.network(subject.addr, account), account, &subject).to_string()
    };
    let answer = Identity::of(Kind::Answer, www.as_ref());
    let below = Identity::of(Kind::Nxdomain, zone.as_ref());
    assert_eq!(said("192.0.2.9", Account::Kind, answer), "responses to 192.0.2.0/24 for www.zone.example. A");
    assert_eq!(
        said("2001:db8:1:2::9", Account::Kind, below),
        "NXDOMAIN responses to 2001:db8:1::/56 for zone.example."
    );
    let wildcard = Identity { kind: Kind::Nodata, wildcard: true, ..below };
    assert_eq!(said("192.0.2.9", Account::Kind, wildcard), "NODATA responses to 192.0.2.0/24 for *.zone.example.");
    assert_eq!(said("192.0.2.9", Account::Kind, Identity::ERROR), "error responses to 192.0.2.0/24");
    assert_eq!(said("192.0.2.9", Account::All, below), "all responses to 192.0.2.0/24");
    assert_eq!(said("192.0.2.9", Account::Network(20), below), "all responses to 192.0.0.0/20");
}
