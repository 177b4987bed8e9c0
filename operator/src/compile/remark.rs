//! Warnings about data that is served but probably not meant: those of `zonefmt check`, given for resources.

use std::fmt::Display;

use bindy_server::zone::ZoneData;
use zonefmt::{
    NameRef, Rtype, rdata,
    zone::{Remark, Rule, target},
};

use super::{Finding, Reason, record::wire};
use crate::api::RecordSet;

/// The warnings about records that are served at `owner`.
pub(super) fn of_records(data: &ZoneData, owner: NameRef<'_>, set: &RecordSet) -> Vec<Finding> {
    let origin = data.origin();
    let mut findings = Vec::new();
    // A repeated zone name has its own finding, which shows the name that was meant.
    let owners = Remark::of_owner(owner, origin).filter(|remark| !matches!(remark, Remark::HoldsZoneTwice(_)));
    findings.extend(owners.map(|remark| of_remark(origin, "name", &remark)));
    let reads_data = rdata::info(set.rtype).is_some_and(|info| info.owner_is_host || info.has_names());
    let records = if reads_data { wire(set, origin).unwrap_or_default() } else { Vec::new() };
    for (record, written) in records.iter().zip(&set.records) {
        let remark = of_rdata(data, owner, set.rtype, record, written.last_path());
        let new = remark.filter(|remark| !findings.contains(remark));
        findings.extend(new);
    }
    findings
}

/// The warning about one record. `path` is the field that contains the record's name.
pub(super) fn of_rdata(
    data: &ZoneData,
    owner: NameRef<'_>,
    rtype: Rtype,
    record: &[u8],
    path: &str,
) -> Option<Finding> {
    let origin = data.origin();
    let host = target(rtype, record);
    if let Some(remark) = host.and_then(|host| Remark::of_target(rtype, host, origin)) {
        return Some(of_remark(origin, path, &remark));
    }
    if let Some(remark) = rdata::info(rtype).and_then(|info| Remark::of_letters(owner, info, record)) {
        let path = if matches!(remark, Remark::OddOwner(..)) { "name" } else { path };
        return Some(of_remark(origin, path, &remark));
    }
    let target = host?;
    let problem = data.target_problem(owner, rtype, target)?;
    let rule = Rule::Target { rtype, target, owner, problem };
    Some(finding(Reason::UnusableTarget, origin, path, &rule, &rule.help()))
}

fn of_remark(origin: NameRef<'_>, path: &str, remark: &Remark<'_>) -> Finding {
    let reason = match remark {
        Remark::HoldsZoneTwice(_) => Reason::RepeatedZoneName,
        Remark::OddOwner(..) | Remark::OddName(..) | Remark::InnerWildcard(_) | Remark::Address(..) => {
            Reason::UnusualName
        }
    };
    finding(reason, origin, path, remark, remark.help())
}

fn finding(reason: Reason, origin: NameRef<'_>, path: &str, what: &dyn Display, help: &str) -> Finding {
    Finding { reason, zone: Some(origin.to_owned()), path: path.into(), message: format!("{what}; {help}") }
}
