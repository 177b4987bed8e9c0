//! Writes a zone as a zone file, in the way that people do.

use std::{collections::BTreeMap, fmt::Write};

use super::{RrSets, format};
use crate::{
    Class, NameRef,
    diagnostics::Source,
    rdata::{self, Style},
};

/// Writes a zone file with names relative to `origin`, with owners and TTLs only where they change, in columns.
pub fn write_file(origin: NameRef<'_>, zone: &RrSets) -> Vec<u8> {
    let style = Style::FULL.relative_to(origin);
    let ttl = usual_ttl(zone);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "$ORIGIN {origin}\n$TTL {ttl}\n");
    let mut owner = None;
    for record in zone.records() {
        // RRsets at one name may write it in different cases.
        if owner != Some(record.owner.as_wire()) {
            style.write_name(record.owner, &mut text);
        }
        owner = Some(record.owner.as_wire());
        if record.ttl != ttl {
            let _ = write!(text, " {}", record.ttl);
        }
        if record.class != Class::IN {
            let _ = write!(text, " {}", record.class);
        }
        let _ = write!(text, " {} ", record.rtype);
        rdata::write_text(record.rtype, record.rdata, &style, &mut text);
        text.push('\n');
    }
    // The text was just written, so it has no errors. If it had, it would only stay without columns.
    format(&Source::new("zone", text.as_str())).unwrap_or_else(|_| text.into_bytes())
}

/// The TTL that most records have. If there are several such TTLs, it is the shortest.
fn usual_ttl(zone: &RrSets) -> u32 {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for record in zone.records() {
        *counts.entry(record.ttl).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|&(_, count)| count).map_or(0, |(ttl, _)| ttl)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Name,
        zone::{Options, Serials, diff},
    };

    #[test]
    fn a_zone_file_reads_as_a_person_writes_it() {
        let text = "\
@ 3600 SOA ns.example.com. hm.example.com. 1 2 3 4 5
@ 300 NS ns
ns 300 A 192.0.2.53
www 300 AAAA 2001:db8::1
www.example.com. 60 A 192.0.2.80
@ 300 MX 10 mail.example.org.
";
        let expected = "\
$ORIGIN example.com.
$TTL 300
@   3600 SOA  ns hm 1 2 3 4 5
         NS   ns
         MX   10 mail.example.org.
ns       A    192.0.2.53
www 60   A    192.0.2.80
         AAAA 2001:db8::1
";
        let origin = Name::from_ascii("example.com").unwrap();
        let read = |text: &[u8]| RrSets::parse(&Source::new("z", text), &Options::new(origin.as_ref())).0;
        let zone = read(text.as_bytes());
        let written = write_file(origin.as_ref(), &zone);
        assert_eq!(String::from_utf8_lossy(&written), expected);
        assert_eq!(diff(&zone, &read(&written), Serials::Compare).count(), 0);
    }
}
