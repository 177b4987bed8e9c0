//! Zones on their way from server to server: Bindy before, behind and between BIND, Knot, NSD and PowerDNS, with every
//! TSIG algorithm and without.

pub mod kinds;

use std::{collections::BTreeSet, fmt::Write as _, thread};

use bindy_tests::ports::free_port;

use super::{
    control::SECRET,
    server::{Prepared, Server, dig, wait_until},
    updates::nsupdate_in,
};
use kinds::{BINDYD, ChangedBy, KNOTD, Key, Kind, NAMED, NSD, PDNS, Site, Zone};

const ALGORITHMS: [&str; 6] = ["hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"];

/// The zone without a key.
const UNSIGNED: &str = "unsigned.test";

/// The zone whose key has another secret at each server.
const WRONG: &str = "wrong.test";

#[test]
fn bind_before_and_behind() {
    chain([&NAMED, &BINDYD, &NAMED]);
}

#[test]
fn bind_between() {
    chain([&BINDYD, &NAMED, &BINDYD]);
}

#[test]
fn knot_before_and_behind() {
    chain([&KNOTD, &BINDYD, &KNOTD]);
}

#[test]
fn knot_between() {
    chain([&BINDYD, &KNOTD, &BINDYD]);
}

#[test]
fn nsd_before_and_behind() {
    chain([&NSD, &BINDYD, &NSD]);
}

#[test]
fn nsd_between() {
    chain([&BINDYD, &NSD, &BINDYD]);
}

#[test]
fn powerdns_before_and_behind() {
    chain([&PDNS, &BINDYD, &PDNS]);
}

#[test]
fn powerdns_between() {
    chain([&BINDYD, &PDNS, &BINDYD]);
}

#[test]
fn between_bind_and_knot() {
    chain([&NAMED, &BINDYD, &KNOTD]);
}

#[test]
fn between_knot_and_bind_and_nsd() {
    chain([&KNOTD, &BINDYD, &NAMED, &BINDYD, &NSD]);
}

#[test]
fn bindy_alone() {
    chain([&BINDYD, &BINDYD, &BINDYD, &BINDYD]);
}

/// The first server is the primary, and each other one the secondary of the one before it. All get the zones, and follow
/// changes as they hear of them: refresh timers take an hour.
fn chain<const N: usize>(kinds: [&'static Kind; N]) {
    let ports = kinds.map(|_| free_port());
    let mut peers: Vec<Peer> = Vec::new();
    for (i, kind) in kinds.into_iter().enumerate() {
        let from = i.checked_sub(1).map(|before| ports[before]);
        peers.push(Peer::start(kind, ports[i], from, ports.get(i + 1).copied(), i));
        peers[i].follows(1);
    }
    equal(&peers);
    for serial in [2, 3] {
        peers[0].change(serial);
        peers[1..].iter().for_each(|peer| peer.follows(serial));
        equal(&peers);
    }
    for hop in peers.windows(2) {
        let [primary, secondary] = hop else { unreachable!("windows of two have two") };
        let ixfr = primary.kind.ixfr && secondary.kind.ixfr;
        for Zone { name, key } in primary.sound() {
            if primary.is_ours() {
                let (kind, serials) = if ixfr { ("IXFR", "2 -> 3") } else { ("AXFR", "3") };
                let signed = key.as_ref().map_or_else(String::new, |_| format!(": TSIG {name}"));
                primary.has_logged(&format!("transfer of '{name}/IN': {kind} started{signed} (serial {serials})"));
            }
            if secondary.is_ours() {
                let received = secondary.received(name, 3);
                assert!(if ixfr { received < 40 } else { received > 300 }, "{name}: {received} records");
            }
        }
        assert_eq!(secondary.serial(WRONG), None);
        let refused = primary.transfer(secondary.zones.last().expect("the last one has the wrong key"));
        assert!(refused.contains("Transfer failed."), "{refused}");
    }
}

/// All servers have the same zones, and all of them.
fn equal(peers: &[Peer]) {
    let keep_case = peers.iter().all(|peer| peer.kind.keeps_case);
    for (i, zone) in peers[0].sound().iter().enumerate() {
        let contents: Vec<_> = peers.iter().map(|peer| content(&peer.transfer(&peer.zones[i]), keep_case)).collect();
        assert!(contents[0].len() > 300, "{}: {:?}", zone.name, contents[0]);
        for (content, peer) in contents.iter().zip(peers).skip(1) {
            let differences: Vec<_> = contents[0].symmetric_difference(content).collect();
            assert!(differences.is_empty(), "{} at {}: {differences:#?}", zone.name, peer.kind.program);
        }
    }
}

/// The records that dig shows. Without case, all but the data of TXT records is in lower case.
fn content(transfer: &str, keep_case: bool) -> BTreeSet<String> {
    let records = transfer.lines().filter(|line| !line.is_empty() && !line.starts_with(';') && !line.contains("TSIG"));
    let words = records.map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
    words
        .map(|line| match line.find(" TXT ") {
            _ if keep_case => line,
            Some(at) => line[..at].to_lowercase() + &line[at..],
            None => line.to_lowercase(),
        })
        .collect()
}

/// A server of some kind.
struct Peer {
    kind: &'static Kind,
    server: Server,
    port: u16,
    /// A zone with each algorithm, the one without a key, then the one with the wrong key.
    zones: Vec<Zone>,
}

impl Peer {
    /// Starts a server; its number makes the secret that no other server has.
    fn start(kind: &'static Kind, port: u16, from: Option<u16>, to: Option<u16>, number: usize) -> Peer {
        let zone = |algorithm| {
            let key = Some(Key { algorithm, secret: SECRET.into() });
            Zone { name: format!("{algorithm}.test"), key }
        };
        let mut zones: Vec<_> = ALGORITHMS.map(zone).into();
        zones.push(Zone { name: UNSIGNED.into(), key: None });
        let secret = SECRET.replace("MDEy", &format!("{number}DEy"));
        zones.push(Zone { name: WRONG.into(), key: Some(Key { algorithm: "hmac-sha256", secret }) });
        let text = text(1);
        let names = zones.iter().filter(|_| from.is_none());
        let files: Vec<_> = names.map(|zone| (zone.name.as_str(), text.as_str())).collect();
        let mut prepared = Prepared::new("recursion no; dnssec-validation no;", "", &files);
        let arguments = (kind.configure)(&mut prepared, &Site { zones: &zones, port, from, to });
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let server = prepared.with_arguments(&arguments).run_until(kind.program, "");
        Peer { kind, server, port, zones }
    }

    /// The zones that get through.
    fn sound(&self) -> &[Zone] {
        &self.zones[..=ALGORITHMS.len()]
    }

    fn is_ours(&self) -> bool {
        self.kind.program == BINDYD.program
    }

    fn serial(&self, zone: &str) -> Option<u32> {
        dig("127.0.0.1", self.port, &["+short", "+time=1", zone, "SOA"]).split(' ').nth(2)?.parse().ok()
    }

    /// Waits for this version of every zone.
    fn follows(&self, serial: u32) {
        for Zone { name, .. } in self.sound() {
            let what = format!("{} has serial {serial} of {name}", self.kind.program);
            wait_until(|| self.serial(name) == Some(serial), &what);
        }
    }

    /// Makes this version of every zone out of the one before it.
    fn change(&self, serial: u32) {
        for zone in &self.zones {
            match self.kind.changed_by {
                ChangedBy::Updates => {
                    let at_zone = |line: String| line.replacen(' ', &format!(".{}. ", zone.name), 1);
                    let mut commands = String::new();
                    for (verb, serial) in [("del", serial - 1), ("add", serial)] {
                        for line in changing(serial) {
                            let _ = writeln!(commands, "update {verb} {}", at_zone(line));
                        }
                    }
                    let signed = signed(zone);
                    let signed: Vec<_> = signed.iter().map(String::as_str).collect();
                    assert_eq!(nsupdate_in(&zone.name, self.port, &signed, &commands), "");
                }
                ChangedBy::Files(_) => self.server.write(&zone.name, &text(serial)),
            }
        }
        if let ChangedBy::Files(reload) = self.kind.changed_by {
            reload(&self.server, &self.zones);
        }
    }

    /// What dig shows of a transfer with the zone's key, if it has one.
    fn transfer(&self, zone: &Zone) -> String {
        let signed = signed(zone);
        let signed = signed.iter().map(String::as_str);
        dig("127.0.0.1", self.port, &signed.chain(["+onesoa", &zone.name, "AXFR"]).collect::<Vec<_>>())
    }

    fn has_logged(&self, text: &str) {
        let log = self.server.log();
        assert!(log.contains(text), "it did not say {text:?}:\n{log}");
    }

    /// How many records the transfer of this version had.
    fn received(&self, zone: &str, serial: u32) -> u32 {
        let log = self.server.log();
        let completed = log.lines().find_map(|line| {
            let (_, rest) = line.split_once(&format!("transfer of '{zone}/IN' from "))?;
            rest.split_once("Transfer completed: ")?.1.strip_suffix(&format!("(serial {serial})"))
        });
        let records = completed.and_then(|totals| totals.split(' ').nth(2)?.parse().ok());
        records.unwrap_or_else(|| panic!("no transfer of {zone} {serial}:\n{log}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}:\n{}", self.kind.program, self.server.log());
        }
        // NSD's processes end only if it can signal them.
        self.server.stop();
    }
}

/// What makes dig and nsupdate sign with a zone's key, if it has one.
fn signed(Zone { name, key }: &Zone) -> Vec<String> {
    let key = key.as_ref().map(|Key { algorithm, secret }| ["-y".into(), format!("{algorithm}:{name}:{secret}")]);
    key.into_iter().flatten().collect()
}

/// The zone file of this version: records of many types, with names and texts that are easily damaged.
fn text(serial: u32) -> String {
    let long = format!("\"{}\" \"{}\" \"{}\"", "a".repeat(255), "B".repeat(255), "c \\\\ \\\" ; \\200".repeat(10));
    let (hash, key) = ("0123456789abcdef".repeat(4), "AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3");
    let mut text = format!(
        r#"$TTL 300
@ SOA NS Host\.Master.Example.Net. {serial} 3600 900 604800 300
@ NS ns
@ NS NS.Example.Net.
@ MX 10 Mail
@ TXT "v=spf1 -all"
@ TXT {long}
@ CAA 128 issue "ca.example.net; policy=ev"
@ TYPE65280 \# 4 0a000001
ns A 192.0.2.53
ns AAAA 2001:db8::53
MiXeD 7 CNAME WwW.Example.Org.
* 3600 MX 20 Any.Mail
*.deep.wild TXT "any" "thing"
cut NS ns.cut
cut NS ns.elsewhere.example.
cut DS 12345 8 2 {hash}
ns.cut A 192.0.2.54
below.Cut AAAA 2001:db8::54
dn DNAME Other.Example.
_sip._tcp SRV 0 5 5060 Sip
n NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" .
n2 NAPTR 100 10 "s" "SIP+D2U" "" _sip._tcp
ssh SSHFP 4 2 {hash}
_443._tcp.www TLSA 3 1 1 {hash}
www HTTPS 1 . alpn="h2,h3" ipv4hint=192.0.2.1,192.0.2.2
alias SVCB 0 Svc.Example.Net.
svc SVCB 16 Svc.Example.Net. port=853 mandatory=port,alpn alpn=dot
place LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
h HINFO "PC Intel" "Linux"
rp RP Box.Example.Net. Text.Example.Net.
afs AFSDB 1 Afs
kx KX 10 Kx
pgp OPENPGPKEY {key}
cert CERT 1 1 8 {key}
apl APL 1:192.0.2.0/24 !2:2001:db8::/32
uri URI 10 1 "https://example.com/%20path"
eui EUI48 00-00-5e-00-53-2a
eui64 EUI64 00-00-5e-ef-10-00-00-2a
xn--bcher-kva A 192.0.2.3
b\195\188cher TXT "b\195\188cher"
dot\.in\.label TXT "dot"
sp\032ace\"quote\;\(\) TXT "space"
\000\001\255 TXT "\000\001\255"
"#
    );
    for i in 0..64 {
        let _ = writeln!(text, "Host{i} A 192.0.2.{i}\n  A 198.51.100.{i}\n  {i} MX {i} Mail\n  TXT \"Host {i}\"");
    }
    text + &changing(serial).map(|line| line + "\n").concat()
}

/// The lines that only this version has.
fn changing(serial: u32) -> [String; 6] {
    [
        format!("changed 60 A 192.0.2.{serial}"),
        format!("n{serial} 60 AAAA 2001:db8::{serial}"),
        format!("Host1 300 SSHFP 4 1 {serial:040x}"),
        format!("*.n{serial}.wild 60 TXT \"Serial {serial}\""),
        format!("Host2 60 TYPE65281 \\# 4 {serial:08x}"),
        format!("a\\.b\\{serial:03} 60 CNAME Www.Example.Org."),
    ]
}
