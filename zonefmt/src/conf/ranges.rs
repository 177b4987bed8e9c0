//! Numbers that BIND takes only within bounds, as values of their statements wherever those stand.

use super::{Statement, Statements, values};
use crate::diagnostics::Diagnostic;

/// Statement, least and most of its first argument, in its own unit; durations in seconds.
const RANGES: &[(&str, u32, u32)] = &[
    ("all-per-second", 0, 1000),
    ("dnskey-sig-validity", 0, 3660),
    ("errors-per-second", 0, 1000),
    ("fstrm-set-buffer-hint", 1024, 65_536),
    ("fstrm-set-flush-timeout", 1, 600),
    ("fstrm-set-input-queue-size", 2, 16_384),
    ("fstrm-set-output-notify-threshold", 1, u32::MAX),
    ("fstrm-set-output-queue-size", 2, 1024),
    ("fstrm-set-reopen-interval", 1, 600),
    ("heartbeat-interval", 0, 40_320),
    ("ipv4-prefix-length", 8, 32),
    ("ipv6-prefix-length", 16, 64),
    ("max-query-restarts", 1, 255),
    ("max-refresh-time", 1, u32::MAX),
    ("max-retry-time", 1, u32::MAX),
    ("max-transfer-idle-in", 0, 40_320),
    ("max-transfer-idle-out", 0, 40_320),
    ("max-transfer-time-in", 0, 40_320),
    ("max-transfer-time-out", 0, 40_320),
    ("min-cache-ttl", 0, 90),
    ("min-ncache-ttl", 0, 90),
    ("min-refresh-time", 1, u32::MAX),
    ("min-retry-time", 1, u32::MAX),
    ("nodata-per-second", 0, 1000),
    ("nta-lifetime", 1, u32::MAX),
    ("nxdomains-per-second", 0, 1000),
    ("qps-scale", 1, u32::MAX),
    ("referrals-per-second", 0, 1000),
    ("resolver-nonbackoff-tries", 1, u32::MAX),
    ("responses-per-second", 0, 1000),
    ("sig-validity-interval", 1, 3660),
    ("slip", 0, 10),
    ("window", 1, 3600),
];

/// Checks the statements of a block and of the blocks in it.
pub(super) fn check(block: Statements<'_>, report: &mut impl FnMut(Diagnostic)) {
    for statement in block {
        if let Some(error) = out_of_range(statement) {
            report(error);
        }
        if !statement.name().is_empty() {
            check(statement.block(), report);
        }
    }
}

fn out_of_range(statement: Statement<'_>) -> Option<Diagnostic> {
    let &(name, least, most) = RANGES.iter().find(|(name, ..)| *name == statement.name())?;
    let argument = statement.argument()?;
    let value = values::number(&argument.text()).or_else(|| values::duration(&argument.text()))?;
    if (least..=most).contains(&value) {
        return None;
    }
    let bounds = if most == u32::MAX { format!("from {least}") } else { format!("from {least} to {most}") };
    Some(argument.error(format!("`{name}` is out of range")).help(format!("write a number {bounds}")))
}
