//! RRsets that are too large: found by reading a zone again that has an owner with enough data for one.

use std::collections::HashMap;

use super::{Findings, MAX_RRSET, Zone};
use crate::{
    Name, Rtype,
    diagnostics::Source,
    zone::{Options, Record, Refusal, parse},
};

pub(super) fn check(source: &Source, options: &Options<'_>, zone: &Zone) -> Findings {
    let mut findings = Findings::new(options);
    let mut sizes: HashMap<(Name, Rtype, u16), u32> = HashMap::new();
    let mut add = |record: Record<'_>| -> Result<(), Refusal> {
        if zone.names.find(record.owner).is_none_or(|node| node.size <= MAX_RRSET) {
            return Ok(());
        }
        let size = sizes.entry((record.owner.to_owned(), record.rtype, record.covers())).or_default();
        let before = *size;
        *size = before.saturating_add(record.rdata.len() as u32 + 2);
        if *size > MAX_RRSET && before <= MAX_RRSET {
            let message = format!("the {} records of {} are too many for a message", record.rtype, record.owner);
            findings.error(record.at, message, "an RRset has up to 65512 octets of data, 2 for each record included");
        }
        Ok(())
    };
    // What is wrong with the text was reported when it was read first.
    let _ = parse(source, options, &mut add);
    findings
}
