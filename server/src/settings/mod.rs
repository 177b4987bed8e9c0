//! The settings of the engine that configuration determines: for the whole server, for a view, and for a zone. Defaults
//! that affect answers are those of `named -C` (BIND 9.18).

mod limits;
mod notify;
mod peers;
mod remotes;
mod transfers;
mod updates;

pub use limits::Limits;
pub use notify::{Notify, Rates, Whom};
pub use peers::{Peer, Peers};
pub use remotes::{Remote, Sources};
pub use transfers::{
    Bounds, Inbound, InboundLimits, Outbound, Secondary, TransferAcl, TransferFormat, TransferTransport,
};
pub use updates::{Checks, Updates};

use std::{sync::Arc, time::Duration};

use zonefmt::{Class, Name, NameRef, Rtype};

use crate::{
    access::{Acl, Requester},
    cookies::CookieSecrets,
    dnstap::Taps,
    limit::Limiter,
    listen::{Client, TcpTimeouts},
    tsig::Keyring,
};

/// The settings of the whole server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The content of NSID (RFC 5001) and id.server (RFC 4892); `None` sends and answers neither.
    pub server_id: Option<Vec<u8>>,
    /// The answer to version.bind; with `None`, there is no TXT record.
    pub version: Option<Vec<u8>>,
    /// The answer to hostname.bind; with `None`, there is no TXT record.
    pub hostname: Option<Vec<u8>>,
    /// The port of other servers whose port is not known (`port`).
    pub port: u16,
    /// The clients whose requests are dropped silently.
    pub blackhole: Acl,
    /// How long a client that asks for it may keep an idle TCP connection (RFC 7828).
    pub tcp_advertised_timeout: Duration,
    /// How many transfers to others may run at a time (`transfers-out`).
    pub transfers_out: usize,
    /// How many updates may wait at a time (`update-quota`), and how many may be on their way to primaries; beyond what
    /// there is room for, it has no effect.
    pub update_quota: usize,
    /// How many transfers from primaries may run at a time.
    pub transfers_in: InboundLimits,
    /// How many notifications and questions are sent a second.
    pub rates: Rates,
    /// The secrets of DNS cookies (RFC 7873); with `None`, clients' cookies are ignored.
    pub cookies: Option<Arc<CookieSecrets>>,
    /// The keys that are known in every view, and to requests for class CH.
    pub keys: Arc<Keyring>,
    /// The settings for requests that belong to no view: malformed ones, and those for class CH.
    pub outside: Arc<ViewSettings>,
}

/// The settings of a view.
#[derive(Clone, Debug)]
pub struct ViewSettings {
    /// Which optional records responses leave out.
    pub minimal_responses: MinimalResponses,
    /// Whether ANY over UDP gets one RRset instead of all (RFC 8482 4.1).
    pub minimal_any: bool,
    /// The order of the records of an RRset.
    pub rrset_order: RrsetOrder,
    /// How many CNAMEs and DNAMEs are followed for one question (`max-query-restarts`), 1 to [`MAX_CHAIN`]. The
    /// response to a longer chain contains what was found so far, including one more, and no error.
    pub max_chain: u8,
    /// The largest UDP response sent, in octets; 512 to 4096.
    pub max_udp_size: u16,
    /// The UDP payload size that OPT announces, in octets; 512 to 4096.
    pub edns_udp_size: u16,
    /// The largest UDP response sent to clients without a valid cookie, in octets; 512 to 4096.
    pub nocookie_udp_size: u16,
    /// Whether clients that use cookies get only BADCOOKIE over UDP until theirs is valid (RFC 7873 5.2.3).
    pub require_server_cookie: bool,
    /// Which messages go to dnstap.
    pub taps: Taps,
    /// The limiter of responses; it applies over UDP to clients without a valid cookie.
    pub limiter: Option<Arc<Limiter>>,
    /// Whether incremental transfers are given (`provide-ixfr`), except where [`peers`](Self::peers) says otherwise.
    pub provide_ixfr: bool,
    /// How many records a message of a transfer holds, except where [`peers`](Self::peers) says otherwise.
    pub transfer_format: TransferFormat,
    /// What is special about some remote servers.
    pub peers: Arc<Peers>,
}

/// The largest valid [`ViewSettings::max_chain`].
pub const MAX_CHAIN: u8 = 16;

/// The settings of a zone.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ZoneSettings {
    /// The clients that may query the zone.
    pub allow_query: Acl,
    /// The server addresses on which it may be queried (`allow-query-on`).
    pub allow_query_on: Acl,
    /// What statistics include about the zone (`zone-statistics`).
    pub statistics: ZoneStatistics,
    /// How the zone is transferred to others.
    pub outbound: Outbound,
    /// How others hear of a new version.
    pub notify: Notify,
    /// Whether secondaries can get the difference between two versions that came whole (`ixfr-from-differences`).
    pub ixfr_from_differences: bool,
    /// How large the zone's journal may become (`max-journal-size`).
    pub journal_size: JournalSize,
    /// How the zone is updated.
    pub updates: Updates,
}

/// How large a zone's journal may become before old changes are dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum JournalSize {
    /// Twice as large as the zone (`default`).
    #[default]
    TwiceTheZone,
    /// As large as it gets (`unlimited`).
    Unlimited,
    /// So many octets.
    Octets(u64),
}

/// What statistics include about a zone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ZoneStatistics {
    /// Nothing.
    None,
    /// The zone's serial and load time.
    #[default]
    Terse,
    /// Also the zone's queries.
    Full,
}

impl ZoneSettings {
    /// Whether this client, with the key that it has proved to hold, may query the zone.
    #[inline]
    pub(crate) fn admit(&self, client: &Client, key: Option<NameRef<'_>>) -> bool {
        self.allow_query.allows(Requester { addr: client.addr.ip(), key })
            && self.allow_query_on.allows(Requester { addr: client.local.ip(), key })
    }
}

/// `minimal-responses`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MinimalResponses {
    /// The authority and additional sections are filled.
    No,
    /// NS records are not added to an answer.
    NoAuth,
    /// Like `NoAuth` for clients that desire recursion, like `No` for others.
    #[default]
    NoAuthRecursive,
    /// Only the records that the protocol requires.
    Yes,
}

/// `rrset-order`: the first matching rule decides; without one, the order is [`Order::Random`].
#[derive(Clone, Debug, Default)]
pub struct RrsetOrder(pub Vec<OrderRule>);

/// One rule of `rrset-order`.
#[derive(Clone, Debug)]
pub struct OrderRule {
    /// The class; `None` matches any class.
    pub class: Option<Class>,
    /// The type; `None` matches any type.
    pub rtype: Option<Rtype>,
    /// The name; one that starts with `*` matches all names below, `None` any name.
    pub name: Option<Name>,
    /// The order for matching RRsets.
    pub order: Order,
}

/// The order of the records of an RRset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// Rotated to start at a random record.
    #[default]
    Random,
    /// Rotated by one more record with each response.
    Cyclic,
    /// In the order in which they were loaded.
    Fixed,
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        ServerSettings {
            server_id: None,
            version: Some(concat!("bindyd ", env!("CARGO_PKG_VERSION")).into()),
            hostname: None,
            port: 53,
            blackhole: Acl::none(),
            tcp_advertised_timeout: TcpTimeouts::default().advertised,
            transfers_out: 10,
            update_quota: 4096,
            transfers_in: InboundLimits::default(),
            rates: Rates::default(),
            cookies: None,
            keys: Arc::default(),
            outside: Arc::default(),
        }
    }
}

impl Default for ViewSettings {
    fn default() -> ViewSettings {
        ViewSettings {
            minimal_responses: MinimalResponses::default(),
            minimal_any: false,
            rrset_order: RrsetOrder::default(),
            max_chain: 11,
            max_udp_size: 1232,
            edns_udp_size: 1232,
            nocookie_udp_size: 4096,
            require_server_cookie: false,
            taps: Taps::default(),
            limiter: None,
            provide_ixfr: true,
            transfer_format: TransferFormat::default(),
            peers: Arc::default(),
        }
    }
}

impl RrsetOrder {
    /// The order for an RRset; `owner` is called only if a rule has a name.
    pub(crate) fn order<'n>(&self, class: Class, rtype: Rtype, owner: impl Fn() -> NameRef<'n>) -> Order {
        let fits = |rule: &&OrderRule| {
            rule.class.is_none_or(|c| c == class)
                && rule.rtype.is_none_or(|t| t == rtype)
                && rule.name.as_ref().is_none_or(|pattern| covers(pattern.as_ref(), owner()))
        };
        self.0.iter().find(fits).map_or(Order::Random, |rule| rule.order)
    }
}

fn covers(pattern: NameRef<'_>, name: NameRef<'_>) -> bool {
    match pattern.parent() {
        Some(parent) if pattern.is_wildcard() => name != parent && name.is_at_or_below(parent),
        _ => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_orders_what_lies_below_it_only() {
        let name = |text| Name::from_ascii(text).unwrap();
        let covers = |text| covers(name("*.example").as_ref(), name(text).as_ref());
        assert!(covers("a.example") && covers("b.a.EXAMPLE") && covers("*.example"));
        assert!(!covers("example") && !covers("a.examples") && !covers("."));
    }
}
