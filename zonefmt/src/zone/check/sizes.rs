//! Finds RRsets that are too large. If an owner has enough data for one, the zone is read a second time.

use std::collections::HashMap;

use super::{Findings, Zone};
use crate::{
    Name, Rtype,
    diagnostics::Source,
    zone::{MAX_RRSET, Options, Record, Refusal, Rule, parse},
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
            findings.error(record.at, &Rule::RrsetSize(record.rtype, record.owner));
        }
        Ok(())
    };
    // Errors in the text were reported when it was read the first time.
    let _ = parse(source, options, &mut add);
    findings
}
