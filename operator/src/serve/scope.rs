//! Which zones this process serves, and to whom: all of them to everybody, or those of one server that the manifests
//! declare, as that server is configured.

use std::{collections::BTreeSet, sync::Arc};

use bindy_server::{config::Interfaces, settings::ZoneSettings};

use crate::{
    api::{FieldError, Resource, Spec},
    servers::{HOME, Local, Server, ServerId, Servers},
};

/// What this process is to the zones.
pub(super) enum Scope {
    /// It serves all of them, to everybody.
    All,
    /// It is this server. There is none whose configuration was never understood, as that would serve whom nobody named.
    Server { id: ServerId, servers: Servers, settings: Arc<ZoneSettings> },
}

impl Scope {
    /// Serves as this server, if the manifests declare it and its configuration can be understood, or as all.
    pub(super) fn of<'r>(
        id: Option<ServerId>,
        resources: impl IntoIterator<Item = &'r Resource>,
    ) -> Result<Scope, String> {
        let Some(id) = id else { return Ok(Scope::All) };
        let servers = Servers::of(resources, HOME);
        let settings = Arc::new(settings(&id, &servers)?);
        Ok(Scope::Server { id, servers, settings })
    }

    /// Learns which servers the manifests declare now. Gives what is wrong with the one that this is; its lists are then
    /// as they were.
    pub(super) fn learn<'r>(&mut self, resources: impl IntoIterator<Item = &'r Resource>) -> Result<(), String> {
        let Scope::Server { id, servers, settings: held } = self else { return Ok(()) };
        *servers = Servers::of(resources, HOME);
        let now = settings(id, servers)?;
        if now != **held {
            *held = Arc::new(now);
        }
        Ok(())
    }

    /// How it serves a zone; `None` if other servers do.
    pub(super) fn settings_of(&self, zone: &Resource) -> Option<Arc<ZoneSettings>> {
        match (self, &zone.spec) {
            (Scope::All, _) => Some(Arc::default()),
            (Scope::Server { id, servers, settings }, Spec::Zone(spec)) => {
                let mut of_zone = servers.of_zone(&zone.id.namespace, spec);
                of_zone.any(|server| server.id == *id).then(|| Arc::clone(settings))
            }
            (Scope::Server { .. }, _) => None,
        }
    }
}

/// The settings of a server, or why it has none.
fn settings(id: &ServerId, servers: &Servers) -> Result<ZoneSettings, String> {
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

fn read(server: &Server) -> Result<ZoneSettings, FieldError> {
    if let Some(error) = &server.orphaned {
        return Err(error.clone());
    }
    // A machine whose addresses cannot be listed has none that `localhost` could mean.
    let interfaces = Interfaces::now().unwrap_or_default();
    let local = Local { addresses: interfaces.addresses(), networks: interfaces.networks() };
    Ok(ZoneSettings { allow_query: server.allow_query(&local)?, ..ZoneSettings::default() })
}
