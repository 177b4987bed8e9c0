//! Rules for the statements that protect against floods: cookies and rate limits.

use data_encoding::HEXLOWER_PERMISSIVE;

use crate::{
    conf::{Statement, values::number},
    diagnostics::Findings,
};

/// Checks the statements of `options` and `view` that protect against floods.
pub(super) fn check(block: Statement<'_>, findings: &mut Findings) {
    for secret in block.block().all("cookie-secret") {
        let octets = secret.argument().and_then(|part| HEXLOWER_PERMISSIVE.decode(&part.text()).ok());
        if octets.is_none_or(|octets| octets.len() != 16) {
            // The secret is not shown, because it may be almost right.
            let error = secret.error("the secret is not 128 bits in hexadecimal");
            findings.push(error.help("`openssl rand -hex 16` makes one"));
        }
    }
    let Some(limits) = block.block().find("rate-limit") else { return };
    let size = |name| limits.block().find(name)?.argument().and_then(|part| Some((part, number(&part.text())?)));
    let least = size("min-table-size").map_or(500, |(_, least)| least.max(1));
    if let Some((part, _)) = size("max-table-size").filter(|(_, most)| *most < least) {
        let error = part.error(format!("`max-table-size` is smaller than `min-table-size`, which is {least}"));
        findings.push(error.help("make it larger, or the other smaller"));
    }
}
