//! What configuration tells the engine: for the whole server, for a view, and for a zone. Defaults that shape answers are those of
//! `named -C` (BIND 9.18).

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

/// What holds for the whole server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// What NSID (RFC 5001) and id.server (RFC 4892) say.
    pub server_id: Option<Vec<u8>>,
    /// What version.bind says; `None`: the query is refused.
    pub version: Option<Vec<u8>>,
    /// What hostname.bind says; `None`: the query is refused.
    pub hostname: Option<Vec<u8>>,
    /// Whose requests are dropped without a word.
    pub blackhole: Acl,
    /// How long a client that asks may keep an idle TCP connection (RFC 7828).
    pub tcp_advertised_timeout: Duration,
    /// What DNS cookies are made with (RFC 7873); `None`: cookies of clients are ignored.
    pub cookies: Option<Arc<CookieSecrets>>,
    /// The keys that are known in every view, and to requests for class CH.
    pub keys: Arc<Keyring>,
    /// How requests are answered that belong to no view: those that are malformed, and those for class CH.
    pub outside: Arc<ViewSettings>,
}

/// What holds for a view.
#[derive(Clone, Debug)]
pub struct ViewSettings {
    /// Which optional records a response leaves out.
    pub minimal_responses: MinimalResponses,
    /// Whether ANY over UDP gets one RRset instead of all (RFC 8482 4.1).
    pub minimal_any: bool,
    /// In what order the records of an RRset are given.
    pub rrset_order: RrsetOrder,
    /// How many CNAMEs and DNAMEs are followed for one question (`max-query-restarts`), 1 to [`MAX_CHAIN`]. The response
    /// to a longer chain has what was found so far, one more included, and no error.
    pub max_chain: u8,
    /// The largest UDP response sent, in octets; 512 to 4096.
    pub max_udp_size: u16,
    /// The UDP payload size that OPT tells clients, in octets; 512 to 4096.
    pub edns_udp_size: u16,
    /// The largest UDP response sent to clients without a valid cookie, in octets; 512 to 4096.
    pub nocookie_udp_size: u16,
    /// Whether clients that know cookies get none but BADCOOKIE over UDP until theirs is valid (RFC 7873 5.2.3).
    pub require_server_cookie: bool,
    /// Which messages are told to dnstap.
    pub taps: Taps,
    /// Who bounds how often the same is said to the same network; over UDP, to clients without a valid cookie.
    pub limiter: Option<Arc<Limiter>>,
}

/// The most that [`ViewSettings::max_chain`] may be.
pub const MAX_CHAIN: u8 = 16;

/// What holds for a zone.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ZoneSettings {
    /// Who may ask.
    pub allow_query: Acl,
    /// At which addresses of this machine (`allow-query-on`).
    pub allow_query_on: Acl,
    /// What is told of it (`zone-statistics`).
    pub statistics: ZoneStatistics,
}

/// What statistics tell of a zone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ZoneStatistics {
    /// Not that it is there.
    None,
    /// Its serial, and when it was loaded.
    #[default]
    Terse,
    /// Queries for it, too.
    Full,
}

impl ZoneSettings {
    /// Whether this client may ask, with the key that proves who it is.
    #[inline]
    pub(crate) fn admit(&self, client: &Client, key: Option<NameRef<'_>>) -> bool {
        self.allow_query.allows(Requester { addr: client.addr.ip(), key })
            && self.allow_query_on.allows(Requester { addr: client.local.ip(), key })
    }
}

/// `minimal-responses`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MinimalResponses {
    /// Authority and additional sections are filled.
    No,
    /// No NS records beside an answer.
    NoAuth,
    /// As `NoAuth` for clients that desire recursion, as `No` for others.
    #[default]
    NoAuthRecursive,
    /// Only what the protocol demands.
    Yes,
}

/// `rrset-order`: the first rule that fits decides; without one, [`Order::Random`].
#[derive(Clone, Debug, Default)]
pub struct RrsetOrder(pub Vec<OrderRule>);

/// One line of `rrset-order`.
#[derive(Clone, Debug)]
pub struct OrderRule {
    /// `None`: any class.
    pub class: Option<Class>,
    /// `None`: any type.
    pub rtype: Option<Rtype>,
    /// This name, and if it starts with `*`, all below; `None`: any name.
    pub name: Option<Name>,
    /// The order.
    pub order: Order,
}

/// In what order the records of an RRset are given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// From a random one on, around.
    #[default]
    Random,
    /// From the next one on, response by response.
    Cyclic,
    /// As they were loaded.
    Fixed,
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        ServerSettings {
            server_id: None,
            version: Some(concat!("bindyd ", env!("CARGO_PKG_VERSION")).into()),
            hostname: None,
            blackhole: Acl::none(),
            tcp_advertised_timeout: TcpTimeouts::default().advertised,
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
        }
    }
}

impl RrsetOrder {
    /// The order for an RRset; `owner` is asked for only if a rule names one.
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
