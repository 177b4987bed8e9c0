//! Who may change what: `allow-update` and `update-policy`.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
};

use zonefmt::{Name, NameRef, Rtype};

use crate::access::{Acl, Requester};

/// The clients that may update a zone, and what they may change.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Policy {
    /// `allow-update`: these clients may change everything.
    Clients(Acl),
    /// `update-policy`: the first rule that fits the client, the name and the type decides; without one, the change is
    /// refused.
    Rules(Vec<Rule>),
}

/// A rule of `update-policy`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rule {
    /// Whether changes that the rule fits are allowed.
    pub grant: bool,
    /// The name of the key that the client signs with, or a wildcard above it. Of [`Names::TcpSelf`] and
    /// [`Names::SixToFour`], the name that the client's address gives.
    pub identity: Name,
    /// The names that may be changed.
    pub names: Names,
    /// The types that may be changed. An empty list stands for all types except NS, SOA and RRSIG, with
    /// [`Names::AcmeChallenge`] for TXT alone.
    pub types: Vec<TypeLimit>,
}

/// The names that a rule fits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Names {
    /// `name`: this name.
    Name(Name),
    /// `subdomain`: this name and those below it; `zonesub`, with the zone's name.
    Subdomain(Name),
    /// `wildcard`: the names below the parent of this one, which begins with `*`.
    Wildcard(Name),
    /// `self`: the name of the client's key.
    OfKey,
    /// `selfsub`: the name of the client's key, and those below it.
    AtOrBelowKey,
    /// `selfwild`: the names below that of the client's key.
    BelowKey,
    /// `tcp-self`: over TCP, the name in `in-addr.arpa` or `ip6.arpa` of the client's address.
    TcpSelf,
    /// `6to4-self`: over TCP, the name in `ip6.arpa` of the client's 6to4 network (RFC 3056): the first 48 bits of an
    /// IPv6 address, or the network that an IPv4 address gives.
    SixToFour,
    /// `update-policy local`: this name, the zone's, and those below it, for clients with one of these addresses.
    Local(Name, Acl),
    /// `_acme-challenge` labels at the front of this name and of those below it, as the ACME challenge DNS-01 needs
    /// (RFC 8555 8.4). BIND has no such rule.
    AcmeChallenge(Name),
}

/// A type in a rule, such as `TXT` or `TXT(1)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TypeLimit {
    /// The type; ANY stands for all types.
    pub rtype: Rtype,
    /// How many records of the type a name may have; `None` for no limit. More are ignored when they are added.
    pub most: Option<NonZeroU32>,
}

/// A client that asks for a change.
#[derive(Clone, Copy, Debug)]
pub struct Updater<'k> {
    /// The client's address, and the key that it has proved to hold.
    pub requester: Requester<'k>,
    /// Whether the request came over TCP, so that the address is not forged.
    pub tcp: bool,
}

/// What a client may do with the records of a type at a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing.
    Refused,
    /// They may be changed, up to this number of records.
    Granted(Option<NonZeroU32>),
}

impl Policy {
    /// Nobody may update the zone.
    pub fn nobody() -> Policy {
        Policy::Clients(Acl::none())
    }

    /// Whether a client may change anything at all.
    pub fn admits(&self, by: Updater<'_>) -> bool {
        match self {
            Policy::Clients(acl) => acl.allows(by.requester),
            // As in BIND; the rules would say the same of every single change.
            Policy::Rules(_) => by.requester.key.is_some() || by.tcp,
        }
    }

    /// Whether a client that is admitted may change records of a type at a name.
    pub fn verdict(&self, by: Updater<'_>, owner: NameRef<'_>, rtype: Rtype) -> Verdict {
        match self {
            Policy::Clients(_) => Verdict::Granted(None),
            Policy::Rules(rules) => {
                let decisive = rules.iter().find_map(|rule| rule.verdict(by, owner, rtype));
                decisive.unwrap_or(Verdict::Refused)
            }
        }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::nobody()
    }
}

impl Rule {
    /// What the rule says of a change, if it fits.
    fn verdict(&self, by: Updater<'_>, owner: NameRef<'_>, rtype: Rtype) -> Option<Verdict> {
        let granted = self.granted(rtype)?;
        self.fits(by, owner).then_some(if self.grant { granted } else { Verdict::Refused })
    }

    /// What the rule grants of a type, if it is for the type.
    fn granted(&self, rtype: Rtype) -> Option<Verdict> {
        if self.types.is_empty() {
            let fits = match self.names {
                Names::AcmeChallenge(_) => rtype == Rtype::TXT,
                _ => !matches!(rtype, Rtype::NS | Rtype::SOA | Rtype::RRSIG),
            };
            return fits.then_some(Verdict::Granted(None));
        }
        let fits = |limit: &&TypeLimit| limit.rtype == rtype || limit.rtype == Rtype::ANY;
        self.types.iter().find(fits).map(|limit| Verdict::Granted(limit.most))
    }

    fn fits(&self, by: Updater<'_>, owner: NameRef<'_>) -> bool {
        let Requester { addr, key } = by.requester;
        let signed = key.is_some_and(|key| self.is_identity(key));
        let at_address = |name: Option<Name>| {
            by.tcp && name.is_some_and(|name| self.is_identity(name.as_ref()) && name.as_ref() == owner)
        };
        match &self.names {
            Names::Name(name) => signed && owner == name.as_ref(),
            Names::Subdomain(name) => signed && owner.is_at_or_below(name.as_ref()),
            Names::Wildcard(pattern) => signed && is_matched(owner, pattern.as_ref()),
            Names::OfKey => signed && key == Some(owner),
            Names::AtOrBelowKey => signed && key.is_some_and(|key| owner.is_at_or_below(key)),
            Names::BelowKey => signed && key.is_some_and(|key| owner != key && owner.is_at_or_below(key)),
            Names::TcpSelf => at_address(reverse_name(addr)),
            Names::SixToFour => at_address(six_to_four_name(addr)),
            Names::Local(name, localhost) => {
                signed && owner.is_at_or_below(name.as_ref()) && localhost.allows(Requester { addr, key: None })
            }
            Names::AcmeChallenge(name) => {
                let is_challenge =
                    owner.labels().next().is_some_and(|label| label.eq_ignore_ascii_case(ACME_CHALLENGE));
                signed && is_challenge && owner.parent().is_some_and(|parent| parent.is_at_or_below(name.as_ref()))
            }
        }
    }

    /// Whether the rule is for this identity.
    fn is_identity(&self, name: NameRef<'_>) -> bool {
        let identity = self.identity.as_ref();
        if identity.is_wildcard() { is_matched(name, identity) } else { name == identity }
    }
}

const ACME_CHALLENGE: &[u8] = b"_acme-challenge";

/// Whether a name lies below the parent of a wildcard.
fn is_matched(name: NameRef<'_>, wildcard: NameRef<'_>) -> bool {
    let parent = wildcard.parent().filter(|_| wildcard.is_wildcard());
    parent.is_some_and(|parent| name != parent && name.is_at_or_below(parent))
}

/// The name of an address in `in-addr.arpa` or `ip6.arpa`.
fn reverse_name(address: IpAddr) -> Option<Name> {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            Name::from_ascii(format!("{d}.{c}.{b}.{a}.in-addr.arpa.")).ok()
        }
        IpAddr::V6(v6) => ip6_name(&v6.octets()),
    }
}

/// The name of an address' 6to4 network in `ip6.arpa`.
fn six_to_four_name(address: IpAddr) -> Option<Name> {
    let network = match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            Ipv6Addr::from([0x20, 0x02, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        IpAddr::V6(v6) => v6,
    };
    ip6_name(&network.octets()[..6])
}

/// The name in `ip6.arpa` of the addresses that begin with these octets.
fn ip6_name(octets: &[u8]) -> Option<Name> {
    let mut text = String::with_capacity(74);
    for octet in octets.iter().rev() {
        write!(text, "{:x}.{:x}.", octet & 15, octet >> 4).ok()?;
    }
    Name::from_ascii(text + "ip6.arpa.").ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{self, Match, Prefix};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn grant(identity: &str, names: Names, types: &[(Rtype, u32)]) -> Rule {
        let types = types.iter().map(|&(rtype, most)| TypeLimit { rtype, most: NonZeroU32::new(most) }).collect();
        Rule { grant: true, identity: name(identity), names, types }
    }

    fn deny(identity: &str, names: Names, types: &[(Rtype, u32)]) -> Rule {
        Rule { grant: false, ..grant(identity, names, types) }
    }

    /// Whether clients may change a type at a name: a client is its key, or else its address and `tcp`.
    fn may(rules: &[Rule], client: &str, owner: &str, rtype: Rtype) -> bool {
        let tcp = client.strip_suffix(" tcp");
        let address = tcp.unwrap_or(client).parse::<IpAddr>();
        let key = address.is_err().then(|| name(client));
        let addr = address.unwrap_or_else(|_| "192.0.2.7".parse().unwrap());
        let requester = Requester { addr, key: key.as_ref().map(Name::as_ref) };
        let by = Updater { requester, tcp: tcp.is_some() };
        let policy = Policy::Rules(rules.to_vec());
        policy.admits(by) && matches!(policy.verdict(by, name(owner).as_ref(), rtype), Verdict::Granted(_))
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = [
            deny("k", Names::Name(name("a.ex")), &[]),
            grant("k", Names::Subdomain(name("ex")), &[(Rtype::A, 0), (Rtype::NS, 0)]),
            grant("*.keys", Names::Wildcard(name("*.b.ex")), &[(Rtype::ANY, 0)]),
        ];
        for (client, owner, rtype, allowed) in [
            ("k", "a.ex", Rtype::A, false),
            ("k", "b.a.ex", Rtype::A, true),
            ("K", "EX", Rtype::A, true),
            ("k", "a.ex", Rtype::NS, true),
            ("k", "b.ex", Rtype::TXT, false),
            ("k", "b.org", Rtype::A, false),
            ("other", "b.ex", Rtype::A, false),
            ("x.keys", "c.b.ex", Rtype::SOA, true),
            ("x.keys", "b.ex", Rtype::A, false),
            ("keys", "c.b.ex", Rtype::A, false),
            ("192.0.2.1", "c.b.ex", Rtype::A, false),
            ("192.0.2.1 tcp", "c.b.ex", Rtype::A, false),
        ] {
            assert_eq!(may(&rules, client, owner, rtype), allowed, "{client} {owner} {rtype}");
        }
    }

    #[test]
    fn without_types_a_rule_is_for_data_of_users() {
        let rules = [grant("k", Names::Subdomain(name("ex")), &[])];
        for rtype in [Rtype::A, Rtype::TXT, Rtype::CNAME, Rtype::DS, Rtype(65_280)] {
            assert!(may(&rules, "k", "a.ex", rtype), "{rtype}");
        }
        for rtype in [Rtype::NS, Rtype::SOA, Rtype::RRSIG] {
            assert!(!may(&rules, "k", "a.ex", rtype), "{rtype}");
        }
    }

    #[test]
    fn a_type_may_have_a_limit() {
        let rules = vec![grant("k", Names::Subdomain(name("ex")), &[(Rtype::TXT, 1), (Rtype::ANY, 5)])];
        let key = name("k");
        let by = Updater { requester: Requester { addr: "::1".parse().unwrap(), key: Some(key.as_ref()) }, tcp: false };
        let verdict = |rtype| Policy::Rules(rules.clone()).verdict(by, name("ex").as_ref(), rtype);
        assert_eq!(verdict(Rtype::TXT), Verdict::Granted(NonZeroU32::new(1)));
        assert_eq!(verdict(Rtype::A), Verdict::Granted(NonZeroU32::new(5)));
    }

    #[test]
    fn keys_have_names_of_their_own() {
        let own = |names| [grant("*.ex", names, &[])];
        for (names, at, below, beside) in [
            (Names::OfKey, true, false, false),
            (Names::AtOrBelowKey, true, true, false),
            (Names::BelowKey, false, true, false),
        ] {
            let rules = own(names);
            let may = |owner| may(&rules, "host.ex", owner, Rtype::A);
            assert_eq!((may("host.ex"), may("a.host.ex"), may("b.ex")), (at, below, beside), "{rules:?}");
        }
        assert!(!may(&own(Names::OfKey), "host.org", "host.org", Rtype::A), "another identity");
    }

    #[test]
    fn addresses_have_names_of_their_own() {
        let v4 = "1.2.0.192.in-addr.arpa";
        let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        let tcp = [
            grant("*.in-addr.arpa", Names::TcpSelf, &[(Rtype::PTR, 0)]),
            grant(v6, Names::TcpSelf, &[(Rtype::PTR, 0)]),
        ];
        assert!(may(&tcp, "192.0.2.1 tcp", v4, Rtype::PTR));
        assert!(may(&tcp, "::ffff:192.0.2.1 tcp", v4, Rtype::PTR));
        assert!(may(&tcp, "2001:db8::1 tcp", v6, Rtype::PTR));
        assert!(!may(&tcp, "192.0.2.1", v4, Rtype::PTR), "UDP");
        assert!(!may(&tcp, "192.0.2.2 tcp", v4, Rtype::PTR));
        assert!(!may(&tcp, "192.0.2.1 tcp", v4, Rtype::A));
        assert!(!may(&tcp, "2001:db8::2 tcp", v6, Rtype::PTR));

        let network = "1.0.2.0.0.0.0.c.2.0.0.2.ip6.arpa";
        let rules = [grant("*.2.0.0.2.ip6.arpa", Names::SixToFour, &[(Rtype::NS, 0)])];
        assert!(may(&rules, "192.0.2.1 tcp", network, Rtype::NS));
        assert!(may(&rules, "2002:c000:201::5 tcp", network, Rtype::NS));
        assert!(!may(&rules, "2002:c000:202::5 tcp", network, Rtype::NS));
        assert!(!may(&rules, "2002:c000:201::5", network, Rtype::NS), "UDP");
    }

    #[test]
    fn the_session_key_is_for_this_machine() {
        let this = Prefix::new("192.0.2.7".parse().unwrap(), 32);
        let acl = |prefix| Acl::new(vec![access::Rule { negated: false, matches: Match::Prefix(prefix) }]);
        let rules = |localhost| [grant("local-ddns", Names::Local(name("ex"), localhost), &[(Rtype::ANY, 0)])];
        assert!(may(&rules(acl(this)), "local-ddns", "a.ex", Rtype::SOA));
        assert!(!may(&rules(acl(this)), "other", "a.ex", Rtype::A));
        let elsewhere = Prefix::new("192.0.2.8".parse().unwrap(), 32);
        assert!(!may(&rules(acl(elsewhere)), "local-ddns", "a.ex", Rtype::A));
    }

    #[test]
    fn acme_clients_may_answer_challenges_only() {
        let rules = [grant("acme", Names::AcmeChallenge(name("ex")), &[])];
        for (owner, rtype, allowed) in [
            ("_acme-challenge.ex", Rtype::TXT, true),
            ("_ACME-challenge.www.ex", Rtype::TXT, true),
            ("_acme-challenge.ex", Rtype::A, false),
            ("www.ex", Rtype::TXT, false),
            ("a._acme-challenge.ex", Rtype::TXT, false),
            ("_acme-challenge.org", Rtype::TXT, false),
        ] {
            assert_eq!(may(&rules, "acme", owner, rtype), allowed, "{owner} {rtype}");
        }
    }

    #[test]
    fn addresses_and_keys_may_be_allowed_everything() {
        let acl = Acl::new(vec![access::Rule { negated: false, matches: Match::Key(name("k")) }]);
        let (policy, key) = (Policy::Clients(acl), name("k"));
        let by = |key| Updater { requester: Requester { addr: "::1".parse().unwrap(), key }, tcp: true };
        assert!(policy.admits(by(Some(key.as_ref()))) && !policy.admits(by(None)));
        assert_eq!(policy.verdict(by(Some(key.as_ref())), NameRef::ROOT, Rtype::SOA), Verdict::Granted(None));
        assert!(!Policy::default().admits(by(Some(key.as_ref()))));
    }
}
