//! Class CH: the server's answers about itself (RFC 4892), as a view with zones like any other.

use std::{iter, sync::Arc, time::Instant};

use zonefmt::{Name, NameRef, Rtype, Serial, rdata::Soa};

use crate::{
    limit::{Limiter, RateLimit},
    settings::{ServerSettings, ViewSettings, ZoneSettings},
    zone::ZoneData,
    zones::{View, Zone, ZoneState},
};

/// Makes the view of class CH. A zone whose text is turned off has no TXT record, as in BIND; neither has `authors.bind`.
pub(crate) fn view(settings: &ServerSettings) -> View {
    let texts = [
        (&b"\x07version\x04bind\x00"[..], settings.version.as_deref()),
        (b"\x08hostname\x04bind\x00", settings.hostname.as_deref()),
        (b"\x07authors\x04bind\x00", None),
        (b"\x02id\x06server\x00", settings.server_id.as_deref()),
    ];
    let zones = texts.into_iter().filter_map(|(origin, text)| zone(origin, text)).collect();
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

/// Makes a zone whose SOA and NS name the zone itself, with a TXT record if there is a text.
fn zone(origin: &[u8], text: Option<&[u8]>) -> Option<Arc<Zone>> {
    let origin = NameRef::from_wire(origin).ok()?;
    let mailbox = origin.prepend(b"\x0ahostmaster").ok()?;
    // The numbers are named's.
    let soa = Soa {
        primary: origin,
        mailbox: mailbox.as_ref(),
        serial: Serial(0),
        refresh: 28800,
        retry: 7200,
        expire: 604_800,
        minimum: 86400,
    };
    let records = [(Rtype::SOA, 86400, soa.to_wire()), (Rtype::NS, 0, origin.as_wire().to_vec())];
    let mut edit = ZoneData::new(origin.to_owned()).edit();
    for (rtype, ttl, rdata) in records.into_iter().chain(text.map(|text| (Rtype::TXT, 0, strings(text)))) {
        edit.add(origin, rtype, ttl, &rdata).ok()?;
    }
    let origin: Name = origin.to_owned();
    Some(Arc::new(Zone::new(origin, Arc::new(ZoneSettings::default()), ZoneState::Loaded(edit.commit()))))
}

/// The data of a TXT record, which has one string at least, be it empty.
fn strings(text: &[u8]) -> Vec<u8> {
    let (first, rest) = text.split_at(text.len().min(255));
    iter::once(first).chain(rest.chunks(255)).flat_map(|string| [&[string.len() as u8], string].concat()).collect()
}
