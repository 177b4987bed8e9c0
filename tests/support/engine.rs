//! Bindy's engine, loaded with the tests' zones and queried as a listener does: octets in, octets out.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bindy_server::{
    listen::{Client, Now, Respond, Transport},
    respond::{MAX_MESSAGE, Responder},
    settings::{ServerSettings, ZoneSettings},
    tsig::{Keyring, TsigKey},
    zone::ZoneData,
    zones::{Published, Snapshot, Zone as Served, ZoneMap, ZoneState},
};
use zonefmt::{Name, NameRef, Rtype};

use crate::zone::Zone;

/// The engine at its default settings.
pub struct Engine {
    published: Arc<Published>,
    responder: Responder,
    out: Vec<u8>,
}

impl Engine {
    /// Makes an engine that serves nothing yet.
    pub fn new() -> Engine {
        let published = Arc::new(Published::new(Snapshot::default()));
        let responder = Responder::new(Arc::clone(&published));
        Engine { published, responder, out: vec![0; MAX_MESSAGE] }
    }

    /// Serves exactly these zones from now on.
    pub fn serve<'a>(&mut self, zones: impl IntoIterator<Item = &'a Zone>) {
        let settings = Arc::new(ZoneSettings::default());
        let served = |zone: &Zone| {
            let state = if zone.records.is_empty() { ZoneState::NotLoaded } else { ZoneState::Loaded(data(zone)) };
            Arc::new(Served::new(owned(&zone.origin), Arc::clone(&settings), state))
        };
        let zones: ZoneMap = zones.into_iter().map(served).collect();
        self.published.update(|snapshot| *snapshot = Snapshot::from(zones));
    }

    /// Accepts the signatures of these keys, until other zones are served.
    pub fn trust(&mut self, keys: impl IntoIterator<Item = TsigKey>) {
        let keys = Arc::new(Keyring::new(keys));
        self.published.update(|snapshot| snapshot.views[0].keys = keys);
    }

    /// Returns this identity to clients that ask for it (NSID), until other zones are served.
    pub fn identify(&mut self, id: &[u8]) {
        let settings = ServerSettings { server_id: Some(id.into()), ..ServerSettings::default() };
        self.published.update(|snapshot| *snapshot = Snapshot::new(Arc::new(settings), snapshot.views.clone()));
    }

    /// The response's octets; `None` if there is no response.
    pub fn ask(&mut self, request: &[u8], transport: Transport) -> Option<&[u8]> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
        let client = Client { addr: loopback, local: loopback, transport };
        self.responder.refresh(Now::read());
        let reply = self.responder.respond(request, &client, &mut self.out).reply()?;
        Some(&self.out[..reply.length])
    }
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new()
    }
}

/// A zone's data as the engine holds it.
pub fn data(zone: &Zone) -> ZoneData {
    let mut edit = ZoneData::new(owned(&zone.origin)).edit();
    for record in &zone.records {
        let owner = owned(&record.owner);
        edit.add(owner.as_ref(), Rtype(record.rtype()), record.ttl, &record.data.wire())
            .expect("the generator's records are in their zone");
    }
    edit.commit()
}

fn owned(name: &crate::name::Name) -> Name {
    NameRef::from_wire(&name.wire()).expect("the generator's names are short").to_owned()
}
