//! Class CH: the server's answers about itself (RFC 4892), as a view with zones like any other.

use std::{iter, sync::Arc, time::Instant};

use zonefmt::{Name, NameRef, Rtype};

use crate::{
    limit::{Limiter, RateLimit},
    settings::{ServerSettings, ViewSettings, ZoneSettings},
    zone::ZoneData,
    zones::{View, Zone, ZoneState},
};

/// Makes the view of class CH.
pub(crate) fn view(settings: &ServerSettings) -> View {
    let texts = [
        (&b"\x07version\x04bind\x00"[..], &settings.version),
        (b"\x08hostname\x04bind\x00", &settings.hostname),
        (b"\x02id\x06server\x00", &settings.server_id),
    ];
    let zones = texts.into_iter().filter_map(|(origin, text)| zone(origin, text.as_deref()?)).collect();
    let limiter = Some(Arc::new(Limiter::new(limits(), Instant::now())));
    let own = ViewSettings { limiter, ..ViewSettings::clone(&settings.outside) };
    View { name: View::CHAOS.into(), keys: Arc::clone(&settings.keys), settings: Arc::new(own), ..View::of(zones) }
}

/// The rate limits of `named` for this view: nobody needs these answers more often.
fn limits() -> RateLimit {
    const RATE: u32 = 3;
    RateLimit {
        responses: RATE,
        referrals: RATE,
        nodata: RATE,
        nxdomains: RATE,
        errors: RATE,
        slip: 0,
        table_size: 512,
        ..RateLimit::default()
    }
}

/// Makes a zone with one TXT record; its SOA and NS name the zone itself.
fn zone(origin: &[u8], text: &[u8]) -> Option<Arc<Zone>> {
    let origin = NameRef::from_wire(origin).ok()?;
    let soa = [origin.as_wire(), b"\x0ahostmaster", origin.as_wire(), &[0, 0, 0, 0], &[0; 12], &[0, 1, 0x51, 0x80]];
    let (first, rest) = text.split_at(text.len().min(255)); // TXT has one string at least, be it empty.
    let strings = iter::once(first).chain(rest.chunks(255));
    let txt: Vec<u8> = strings.flat_map(|string| [&[string.len() as u8], string].concat()).collect();
    let mut edit = ZoneData::new(origin.to_owned()).edit();
    for (rtype, ttl, rdata) in
        [(Rtype::SOA, 86400, soa.concat()), (Rtype::NS, 0, origin.as_wire().to_vec()), (Rtype::TXT, 0, txt)]
    {
        edit.add(origin, rtype, ttl, &rdata).ok()?;
    }
    let origin: Name = origin.to_owned();
    Some(Arc::new(Zone::new(origin, Arc::new(ZoneSettings::default()), ZoneState::Loaded(edit.commit()))))
}
