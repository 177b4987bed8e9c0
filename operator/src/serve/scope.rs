//! The scope of this process: which zones it serves, to which clients, at which of its addresses, and at which rate. It
//! serves either all zones to everybody, or those of one declared server, according to that server's configuration.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Instant,
};

use bindy_server::{
    access::{Acl, Match, Prefix, Rule},
    config::Interfaces,
    limit::{Limiter, RateLimit},
    settings::{Outbound, TransferAcl, ViewSettings, ZoneSettings},
};

use crate::{
    api::{FieldError, Resource, Spec},
    servers::{HOME, Local, Server, ServerId, Servers},
};

/// The scope of this process.
pub(super) enum Scope {
    /// The process serves all zones, to everybody.
    All,
    /// The process serves as this server. Its configuration has been understood at least once, because a server without
    /// one might answer clients that are not allowed.
    Server { id: ServerId, servers: Servers, settings: Settings },
}

/// The configuration of a server, as far as a single process can obey it.
pub(super) struct Settings {
    /// The clients that may ask, and at which addresses of this machine; the same for every zone.
    zone: Arc<ZoneSettings>,
    /// The responses a second to one network; `None` for no limit.
    rate: Option<u32>,
    /// The settings for answers.
    view: Arc<ViewSettings>,
}

impl Scope {
    /// Creates the scope of the server `id`, or of all zones without one. Fails if the manifests do not declare the
    /// server, or if its configuration has errors.
    pub(super) fn of<'r>(
        id: Option<ServerId>,
        resources: impl IntoIterator<Item = &'r Resource>,
    ) -> Result<Scope, String> {
        let Some(id) = id else { return Ok(Scope::All) };
        let servers = Servers::of(resources, HOME);
        let settings = settings(&id, &servers)?;
        Ok(Scope::Server { id, servers, settings })
    }

    /// Takes over the servers that the manifests declare now. On an error, which is returned, the configuration of this
    /// server stays as it was.
    pub(super) fn learn<'r>(&mut self, resources: impl IntoIterator<Item = &'r Resource>) -> Result<(), String> {
        let Scope::Server { id, servers, settings: held } = self else { return Ok(()) };
        *servers = Servers::of(resources, HOME);
        let mut now = settings(id, servers)?;
        if now.rate == held.rate {
            // With the same rate, keep the limiter and what it has counted.
            now.view = Arc::clone(&held.view);
        }
        *held = now;
        Ok(())
    }

    /// The settings for answers.
    pub(super) fn view_settings(&self) -> Arc<ViewSettings> {
        match self {
            Scope::All => Arc::default(),
            Scope::Server { settings, .. } => Arc::clone(&settings.view),
        }
    }

    /// The settings with which a zone is served; `None` if only other servers serve it.
    pub(super) fn settings_of(&self, zone: &Resource) -> Option<Arc<ZoneSettings>> {
        match (self, &zone.spec) {
            (Scope::All, _) => Some(Arc::new(transferred_to(Acl::none()))),
            (Scope::Server { id, servers, settings }, Spec::Zone(spec)) => {
                let mut of_zone = servers.of_zone(&zone.id.namespace, spec);
                of_zone.any(|server| server.id == *id).then(|| Arc::clone(&settings.zone))
            }
            (Scope::Server { .. }, _) => None,
        }
    }
}

/// The settings of a server, or why it has none.
fn settings(id: &ServerId, servers: &Servers) -> Result<Settings, String> {
    let server = servers.server(id).ok_or_else(|| missing(id, servers))?;
    read(server).map_err(|error| {
        let help = error.help.map(|help| format!("; {help}")).unwrap_or_default();
        format!("{id}: {}: {}{help}", error.path, error.message)
    })
}

fn missing(id: &ServerId, servers: &Servers) -> String {
    let names: BTreeSet<String> = servers.iter().map(|server| server.id.to_string()).collect();
    let known = match names.len() {
        0 => "there is no server at all: declare a Bind9Instance, or a Bind9Cluster with replicas".to_owned(),
        1 => format!("there is one server: {}", names.into_iter().collect::<String>()),
        _ => format!("there are these servers: {}", names.into_iter().collect::<Vec<_>>().join(", ")),
    };
    format!("no manifest declares the server {id}; {known}")
}

fn read(server: &Server) -> Result<Settings, FieldError> {
    if let Some(error) = &server.orphaned {
        return Err(error.clone());
    }
    // If the machine's addresses cannot be listed, `localhost` matches none.
    let interfaces = Interfaces::now().unwrap_or_default();
    let local = Local { addresses: interfaces.addresses(), networks: interfaces.networks() };
    let (ipv4, ipv6) = server.listen_on(&local)?;
    let zone = ZoneSettings {
        allow_query: server.allow_query(&local)?,
        allow_query_on: by_family(ipv4, ipv6),
        ..transferred_to(server.allow_transfer(&local)?)
    };
    let rate = server.responses_per_second();
    let view = ViewSettings { limiter: rate.map(|rate| Arc::new(limiter(rate))), ..ViewSettings::default() };
    Ok(Settings { zone: Arc::new(zone), rate, view: Arc::new(view) })
}

/// The settings of a zone that these clients may transfer.
fn transferred_to(clients: Acl) -> ZoneSettings {
    let allow = TransferAcl { clients, ..TransferAcl::default() };
    ZoneSettings { outbound: Outbound { allow, ..Outbound::default() }, ..ZoneSettings::default() }
}

/// The addresses that match a list for IPv4 addresses or one for IPv6 addresses.
fn by_family(ipv4: Acl, ipv6: Acl) -> Acl {
    let of_family = |list: Acl, other: IpAddr| {
        let others = Rule { negated: true, matches: Match::Prefix(Prefix::new(other, 0)) };
        let list = Acl::new(vec![others, Rule { negated: false, matches: Match::List(Arc::new(list)) }]);
        Rule { negated: false, matches: Match::List(Arc::new(list)) }
    };
    Acl::new(vec![of_family(ipv4, Ipv6Addr::UNSPECIFIED.into()), of_family(ipv6, Ipv4Addr::UNSPECIFIED.into())])
}

/// A limiter with the same rate for each kind of response, as in named's `responses-per-second`.
fn limiter(rate: u32) -> Limiter {
    let of_each_kind = RateLimit {
        responses: rate,
        referrals: rate,
        nodata: rate,
        nxdomains: rate,
        errors: rate,
        ..RateLimit::default()
    };
    Limiter::new(of_each_kind, Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_own_list() {
        let prefix = |text: &str| Match::Prefix(Prefix::new(text.parse().unwrap(), 128));
        let only = |text| Acl::new(vec![Rule { negated: false, matches: prefix(text) }]);
        let list = by_family(only("192.0.2.1"), Acl::any());
        let allows = |text: &str| list.allows(text.parse::<IpAddr>().unwrap());
        assert!(allows("192.0.2.1") && !allows("192.0.2.2") && allows("2001:db8::1"));
        let list = by_family(Acl::any(), only("2001:db8::1"));
        let allows = |text: &str| list.allows(text.parse::<IpAddr>().unwrap());
        assert!(allows("192.0.2.1") && allows("2001:db8::1") && !allows("2001:db8::2"));
    }
}
