//! A zone of BIND's and the same zone here, with the same configuration, for the same updates.

use std::{
    iter,
    time::{SystemTime, UNIX_EPOCH},
};

use bindy_server::{
    Rcode,
    access::Requester,
    config::{Config, Overrides},
    message::Message,
    settings::Updates,
    update::{Note, Refusal, Update, Updater},
    zone::ZoneData,
};
use bindy_tests::{
    engine,
    name::Name,
    peers::Peer,
    tsig::Key,
    update::{Content, Line, Shown, check, message},
    zone::Zone,
};
use jiff::Zoned;
use zonefmt::{NameRef, Rtype, diagnostics::Source};

/// A zone of ours, beside the same one of BIND's.
pub struct Pair<'p> {
    peer: &'p Peer,
    pub origin: Name,
    pub zone: ZoneData,
    settings: Updates,
    /// What we log of the operations and of what is wrong with an update.
    notes: Vec<String>,
}

/// How an update is sent.
#[derive(Clone, Copy, Default)]
pub struct Sender<'k> {
    /// The key that signs it, and its name.
    pub key: Option<(&'k str, &'k Key)>,
    pub tcp: bool,
}

impl Pair<'_> {
    /// Starts from a zone that the peer serves.
    pub fn new<'p>(peer: &'p Peer, zone: &Zone) -> Pair<'p> {
        let (origin, zone) = (zone.origin.clone(), engine::data(zone));
        let config = Config::parse(Source::new("named.conf", peer.configuration()), Overrides::default());
        let config = config.unwrap_or_else(|findings| panic!("{findings:?}"));
        let configured = config.views[0].zones.iter().find(|configured| configured.origin.as_ref() == zone.origin());
        let settings = configured.expect("the peer's configuration has the zone").settings.updates.clone();
        Pair { peer, origin, zone, settings, notes: Vec::new() }
    }

    /// Sends the update to BIND and makes it here; returns the response codes, theirs first.
    pub fn update(&mut self, id: u16, lines: &[String], from: Sender<'_>) -> (u16, u16) {
        let origin = self.zone.origin().to_owned();
        let lines: Vec<Line> = lines.iter().map(|line| Line::read(line, origin.as_ref())).collect();
        let mut octets = message(&origin, id, &lines);
        if let Some((_, key)) = from.key {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right").as_secs();
            key.sign(&mut octets, now, 32);
        }
        let is_long = octets.len() > 1200;
        let response = if from.tcp || is_long { self.peer.ask_tcp(&octets) } else { self.peer.ask_udp(&octets) };
        let theirs = u16::from(response[3] & 15);
        let ours = self.ours(&octets, from);
        if let Err(refusal) = &ours {
            self.notes.push(refusal.to_string());
        }
        (theirs, ours.err().map_or(Rcode::NOERROR, |refusal| refusal.rcode).0)
    }

    fn ours(&mut self, octets: &[u8], from: Sender<'_>) -> Result<(), Refusal> {
        let key = from.key.map(|(name, _)| zonefmt::Name::from_ascii(name).expect("a name"));
        let requester = Requester { addr: self.peer.addr.ip(), key: key.as_ref().map(zonefmt::Name::as_ref) };
        let message = Message::read(octets).expect("the test writes messages");
        let update = Update::read(&message)?;
        let update = update.permit(Updater { requester, tcp: from.tcp }, &self.zone, &self.settings)?;
        let notes = &mut self.notes;
        let mut note = |note: Note<'_>| notes.push(note.to_string());
        if let Some((zone, change)) = update.apply(&self.zone, &self.settings, &Zoned::now(), &mut note)? {
            check(&self.zone, &zone, &change);
            self.zone = zone;
        }
        Ok(())
    }

    /// The records of BIND's zone.
    pub fn theirs(&self) -> Content {
        let show = |owner: &Name, rtype, ttl, data: &[u8]| {
            let owner = owner.wire();
            Shown::new(NameRef::from_wire(&owner).expect("a name"), Rtype(rtype), ttl, data)
        };
        let records = self.peer.transfer(&self.origin);
        records.iter().map(|rr| show(&rr.owner, rr.rtype, rr.ttl, &rr.data)).collect()
    }

    /// The first of what both have logged that differs, theirs first. Refusals are left out, which have more to say here,
    /// and malformed records, of which BIND logs less.
    pub fn logged_otherwise(&self) -> Option<(Option<String>, Option<String>)> {
        let unlike = ["(REFUSED)", "(SERVFAIL)", "malformed record", "incorrect class"];
        let is_alike = |text: &&String| !unlike.iter().any(|part| text.contains(part));
        let their_notes = self.their_notes();
        let mut theirs = their_notes.iter().filter(is_alike);
        let mut ours = self.notes.iter().filter(is_alike);
        let pairs = iter::from_fn(|| Some((theirs.next(), ours.next())).filter(|pair| *pair != (None, None)));
        let mut pairs = pairs.filter(|(theirs, ours)| theirs != ours);
        pairs.next().map(|(theirs, ours)| (theirs.cloned(), ours.cloned()))
    }

    fn their_notes(&self) -> Vec<String> {
        let zone = self.origin.to_string();
        let about = format!("updating zone '{}/IN': ", zone.trim_end_matches('.'));
        let operations = [
            "adding an RR at",
            "deleting",
            "delete all",
            "attempt to",
            "SOA update failed",
            "update failed",
            "update unsuccessful",
        ];
        let log = self.peer.log();
        let texts = log.lines().filter_map(|line| line.split_once(&about).map(|(_, text)| text));
        texts.filter(|text| operations.iter().any(|start| text.starts_with(start))).map(String::from).collect()
    }

    /// The end of BIND's log, for error messages.
    pub fn their_log(&self) -> String {
        let log = self.peer.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}
