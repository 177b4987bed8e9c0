//! Numbers that BIND accepts only within bounds. They are checked wherever their statements are.

use crate::{
    conf::{Statement, Statements, values},
    diagnostics::{Diagnostic, Findings},
};

/// Statement, least and greatest value of its first argument, in the argument's own unit; durations are in seconds.
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
    ("interface-interval", 0, 40_320),
    ("ipv4-prefix-length", 8, 32),
    ("ipv6-prefix-length", 16, 64),
    ("max-ncache-ttl", 0, 604_800),
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
    ("nta-lifetime", 1, 604_800),
    ("nxdomains-per-second", 0, 1000),
    ("qps-scale", 1, u32::MAX),
    ("referrals-per-second", 0, 1000),
    ("resolver-nonbackoff-tries", 1, u32::MAX),
    ("responses-per-second", 0, 1000),
    ("sig-validity-interval", 1, 3660),
    ("slip", 0, 10),
    ("window", 1, 3600),
];

/// Statement, least and greatest value of its size, in octets.
const SIZES: &[(&str, u64, u64)] = &[("lmdb-mapsize", 1 << 20, 1 << 40)];

/// Statements whose number must be a power of 2.
const POWERS: &[&str] = &["fstrm-set-input-queue-size"];

/// Checks the statements of a block and of the blocks in it.
pub(super) fn check(block: Statements<'_>, findings: &mut Findings) {
    for statement in block {
        if let Some(error) = out_of_range(statement) {
            findings.push(error);
        }
        if !statement.name().is_empty() {
            check(statement.block(), findings);
        }
    }
}

fn out_of_range(statement: Statement<'_>) -> Option<Diagnostic> {
    let (name, argument) = (statement.name(), statement.argument()?);
    let wrong = |help: String| Some(argument.error(format!("`{name}` is out of range")).help(help));
    if let Some(&(_, least, most)) = SIZES.iter().find(|(sized, ..)| *sized == name) {
        let fits = values::size(&argument.text()).is_none_or(|size| (least..=most).contains(&size));
        return if fits { None } else { wrong(format!("write a size from {least} to {most} octets")) };
    }
    let value = values::number(&argument.text()).or_else(|| values::duration(&argument.text()));
    match (name, value) {
        ("max-rsa-exponent-size", Some(bits)) if bits != 0 && !(35..=4096).contains(&bits) => {
            wrong("write 0, or a number from 35 to 4096".into())
        }
        ("max-ixfr-ratio", _) if values::percent(&argument.text()) == Some(0) => {
            wrong("write a percentage over 0, or `unlimited`".into())
        }
        ("sig-validity-interval", Some(validity)) if (1..=3660).contains(&validity) => {
            // The unit is days, or hours for short times.
            let most = if validity > 7 { validity } else { validity * 24 };
            let part = statement.arguments().nth(1)?;
            let over = values::number(&part.text())? > most;
            over.then(|| part.error("signatures would be made anew after they ran out").help("make it shorter"))
        }
        (_, Some(value)) if POWERS.contains(&name) && !value.is_power_of_two() => wrong("write a power of 2".into()),
        (_, Some(value)) => {
            let &(_, least, most) = RANGES.iter().find(|(ranged, ..)| *ranged == name)?;
            let bounds = if most == u32::MAX { format!("from {least}") } else { format!("from {least} to {most}") };
            if (least..=most).contains(&value) { None } else { wrong(format!("write a number {bounds}")) }
        }
        _ => None,
    }
}
