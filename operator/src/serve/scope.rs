//! Which zones this process serves, and to whom: all of them to everybody, or those of one server that the manifests
//! declare, as that server is configured.

use std::{collections::BTreeSet, sync::Arc};

use bindy_server::{config::Interfaces, settings::ZoneSettings};

use crate::{
    api::{DnsZoneSpec, FieldError, Resource, Spec},
    servers::{Local, Server, ServerId, Servers},
};

/// What this process is to the zones.
pub(super) struct Scope {
    /// The server that it is; `None`: all of them.
    id: Option<ServerId>,
    servers: Servers,
    settings: Arc<ZoneSettings>,
}

/// The namespace in which the servers of a provider run that names none.
const HOME: &str = "default";

impl Scope {
    /// Serves as this server, or as all.
    pub(super) fn new(id: Option<ServerId>) -> Scope {
        Scope { id, servers: Servers::default(), settings: Arc::default() }
    }

    /// Learns which servers the manifests declare. Gives what is wrong with the one that this is; its lists are then as
    /// they were.
    pub(super) fn learn<'r>(&mut self, resources: impl IntoIterator<Item = &'r Resource>) -> Result<(), String> {
        let Some(id) = &self.id else { return Ok(()) };
        self.servers = Servers::of(resources, HOME);
        let Some(server) = self.servers.server(id) else {
            return Err(self.missing(id));
        };
        let settings = settings(server).map_err(|error| {
            let help = error.help.map(|help| format!("; {help}")).unwrap_or_default();
            format!("{id}: {}: {}{help}", error.path, error.message)
        })?;
        if settings != *self.settings {
            self.settings = Arc::new(settings);
        }
        Ok(())
    }

    /// How it serves a zone; `None` if other servers do.
    pub(super) fn settings_of(&self, zone: &Resource) -> Option<Arc<ZoneSettings>> {
        let serves = match (&self.id, &zone.spec) {
            (None, _) => true,
            (Some(id), Spec::Zone(spec)) => self.is_server_of(id, &zone.id.namespace, spec),
            (Some(_), _) => false,
        };
        serves.then(|| Arc::clone(&self.settings))
    }

    fn is_server_of(&self, id: &ServerId, namespace: &str, zone: &DnsZoneSpec) -> bool {
        self.servers.of_zone(namespace, zone).any(|server| server.id == *id)
    }

    fn missing(&self, id: &ServerId) -> String {
        let names: BTreeSet<String> = self.servers.iter().map(|server| server.id.to_string()).collect();
        let known = match names.len() {
            0 => "no server at all: declare a Bind9Instance, or a Bind9Cluster with replicas".to_owned(),
            _ => format!("these servers: {}", names.into_iter().collect::<Vec<_>>().join(", ")),
        };
        format!("no manifest declares the server {id}; there is {known}")
    }
}

fn settings(server: &Server) -> Result<ZoneSettings, FieldError> {
    // A machine whose addresses cannot be listed has none that `localhost` could mean.
    let interfaces = Interfaces::now().unwrap_or_default();
    let local = Local { addresses: interfaces.addresses(), networks: interfaces.networks() };
    Ok(ZoneSettings { allow_query: server.allow_query(&local)?, ..ZoneSettings::default() })
}
