//! The `view` statements: who sees a view, how it answers, its keys and zones.

use std::{ops::RangeInclusive, path::Path, sync::Arc};

use zonefmt::{
    Name,
    conf::{Conf, Part, Parts, Statement, values},
};

use super::{
    Catalogs, Reader, ZoneConfig, catalogs, dnstap, floods, keys, new_zones::Growing, peers, scope::Scope, transfers,
    zones,
};
use crate::{
    access::Acl,
    settings::{MAX_CHAIN, MinimalResponses, Order, OrderRule, Peers, RrsetOrder, ServerSettings, ViewSettings},
    tsig::Keyring,
    zones::{Membership, View},
};

/// The configuration of a view.
#[derive(Debug)]
pub struct ViewConfig {
    /// Its name; [`View::DEFAULT`] if no view is configured.
    pub name: Arc<str>,
    /// The requests that belong to it.
    pub membership: Arc<Membership>,
    /// The keys that its requests may be signed with, those outside of all views included.
    pub keys: Arc<Keyring>,
    /// How its requests are answered.
    pub settings: Arc<ViewSettings>,
    /// The zones declared in it, each origin once.
    pub zones: Vec<ZoneConfig>,
    /// The zones of earlier views that it serves, too (`in-view`).
    pub shared: Vec<SharedZone>,
    /// The catalogs whose members it serves; `None` without `catalog-zones`.
    pub catalogs: Option<Catalogs>,
}

/// A zone that is declared in another view.
#[derive(Debug)]
pub struct SharedZone {
    /// The zone's name.
    pub origin: Name,
    /// The view that it is declared in.
    pub view: Arc<str>,
}

/// The octets that UDP sizes may be.
const UDP_SIZES: RangeInclusive<u32> = 512..=4096;

/// The views of a configuration. Without `view` statements it is one that has all zones and is for everybody.
pub(super) fn read<'c>(
    conf: &'c Conf,
    growing: &'c [Growing],
    options: &Scope<'c, '_>,
    server: &ServerSettings,
    directory: &Path,
    reader: &mut Reader<'c, '_>,
) -> Vec<ViewConfig> {
    let added = |view: &str| growing.iter().find(|growing| *growing.file.view == *view);
    if conf.statements().find("view").is_none() {
        let (zones, shared) = zones::read(&conf.statements(), added(View::DEFAULT), options, directory, reader);
        let (name, keys, settings) = (View::DEFAULT.into(), Arc::clone(&server.keys), Arc::clone(&server.outside));
        let catalogs = catalogs::read(conf, &name, options, directory, reader);
        return vec![ViewConfig { name, membership: Arc::default(), keys, settings, zones, shared, catalogs }];
    }
    let statements = conf.statements();
    let views = statements.all("view");
    let one = |view: Statement<'c>| {
        let added = added(&view.argument()?.shown());
        one(conf, view, added, options, server, directory, reader)
    };
    views.filter_map(one).collect()
}

fn one<'c>(
    conf: &'c Conf,
    view: Statement<'c>,
    added: Option<&'c Growing>,
    options: &Scope<'c, '_>,
    server: &ServerSettings,
    directory: &Path,
    reader: &mut Reader<'c, '_>,
) -> Option<ViewConfig> {
    let mut arguments = view.arguments();
    let name = arguments.next()?;
    if let Some(class) = arguments.next().filter(|class| class.block().is_none() && !class.is("in")) {
        let error = class.error(format!("a view of class {} cannot be served", class.shown()));
        reader.findings.push(error.help("only class IN has views; what the server says of itself needs none"));
        return None;
    }
    let scope = Scope::new(view.block(), Some(options));
    reader.remotes.enter(view);
    let own = keys::read(&view.block(), reader.findings);
    let global = &server.keys;
    let keys = if own.is_empty() { Arc::clone(global) } else { Arc::new(keys::ring(&own, Some(global))) };
    let list = |name, reader: &mut Reader<'c, '_>| scope.acl(name, reader).unwrap_or_else(Acl::any);
    let membership = Membership {
        clients: list("match-clients", reader),
        destinations: list("match-destinations", reader),
        recursive_only: scope.yes_no("match-recursive-only").unwrap_or(false),
    };
    let (zones, shared) = zones::read(&view.block(), added, &scope, directory, reader);
    let name: Arc<str> = name.shown().into();
    Some(ViewConfig {
        catalogs: catalogs::read(conf, &name, &scope, directory, reader),
        name,
        membership: Arc::new(membership),
        keys,
        settings: Arc::new(settings(&scope, peers::read(view.block().all("server")), Some(&server.outside), reader)),
        zones,
        shared,
    })
}

/// The settings of a view with these `peers`, or of requests that belong to none. Views without a `rate-limit` of their
/// own share the limiter of `around`, and views without a `server` have its peers.
pub(super) fn settings<'c>(
    scope: &Scope<'c, '_>,
    peers: Peers,
    around: Option<&ViewSettings>,
    reader: &mut Reader<'c, '_>,
) -> ViewSettings {
    let default = ViewSettings::default();
    let size = |name, reader: &mut Reader<'c, '_>| Some(scope.bounded(name, UDP_SIZES, "octets", reader)? as u16);
    ViewSettings {
        minimal_responses: scope.find("minimal-responses").map_or(default.minimal_responses, minimal_responses),
        minimal_any: scope.yes_no("minimal-any").unwrap_or(default.minimal_any),
        rrset_order: scope.find("rrset-order").map(rrset_order).unwrap_or_default(),
        max_chain: scope
            .bounded("max-query-restarts", 1..=MAX_CHAIN.into(), "CNAMEs and DNAMEs", reader)
            .map_or(default.max_chain, |links| links as u8),
        max_udp_size: size("max-udp-size", reader).unwrap_or(default.max_udp_size),
        edns_udp_size: size("edns-udp-size", reader).unwrap_or(default.edns_udp_size),
        nocookie_udp_size: size("nocookie-udp-size", reader).unwrap_or(default.nocookie_udp_size),
        require_server_cookie: scope.yes_no("require-server-cookie").unwrap_or(default.require_server_cookie),
        taps: dnstap::taps(scope, reader),
        limiter: match scope.own("rate-limit") {
            Some(statement) => Some(floods::limiter(statement, reader)),
            None => around.and_then(|around| around.limiter.clone()),
        },
        provide_ixfr: scope.yes_no("provide-ixfr").unwrap_or(default.provide_ixfr),
        transfer_format: scope.find("transfer-format").map_or(default.transfer_format, transfers::format),
        peers: match around {
            Some(around) if peers.is_empty() => Arc::clone(&around.peers),
            _ => Arc::new(peers),
        },
    }
}

fn minimal_responses(statement: Statement<'_>) -> MinimalResponses {
    match statement.argument() {
        Some(part) if part.is("no-auth") => MinimalResponses::NoAuth,
        Some(part) if part.is("no-auth-recursive") => MinimalResponses::NoAuthRecursive,
        Some(part) if values::yes_no(&part.text()) == Some(true) => MinimalResponses::Yes,
        _ => MinimalResponses::No,
    }
}

fn rrset_order(statement: Statement<'_>) -> RrsetOrder {
    RrsetOrder(statement.block().map(|rule| order_rule(&rule.arguments())).collect())
}

fn order_rule(parts: &Parts<'_>) -> OrderRule {
    let text = |keyword| parts.behind(keyword).map(Part::shown);
    let order = match text("order") {
        Some(order) if order.eq_ignore_ascii_case("cyclic") => Order::Cyclic,
        // BIND's `none` is the order of storage, which here is that of loading.
        Some(order) if order.eq_ignore_ascii_case("fixed") || order.eq_ignore_ascii_case("none") => Order::Fixed,
        _ => Order::Random,
    };
    OrderRule {
        class: text("class").and_then(|class| class.parse().ok()),
        rtype: text("type").and_then(|rtype| rtype.parse().ok()),
        name: text("name").and_then(|name| Name::from_ascii(name).ok()),
        order,
    }
}
