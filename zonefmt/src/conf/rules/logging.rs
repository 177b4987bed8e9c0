//! Rules for `logging` and dnstap.

use crate::{
    conf::{Conf, Statement},
    diagnostics::Findings,
};

/// The categories of log lines.
pub const LOG_CATEGORIES: &[&str] = &[
    "client",
    "cname",
    "config",
    "database",
    "default",
    "delegation-only",
    "dispatch",
    "dnssec",
    "dnstap",
    "edns-disabled",
    "general",
    "lame-servers",
    "network",
    "notify",
    "nsid",
    "queries",
    "query-errors",
    "rate-limit",
    "resolver",
    "rpz",
    "rpz-passthru",
    "security",
    "serve-stale",
    "spill",
    "sslkeylog",
    "trust-anchor-telemetry",
    "unmatched",
    "update",
    "update-security",
    "xfer-in",
    "xfer-out",
    "zoneload",
];

/// Checks that each channel writes to one place, and that categories exist.
pub(super) fn check(logging: Statement<'_>, findings: &mut Findings) {
    const WRITES_TO: [&str; 4] = ["file", "syslog", "null", "stderr"];
    for channel in logging.block().all("channel") {
        if channel.block().filter(|statement| WRITES_TO.contains(&statement.name())).count() != 1 {
            let error = channel.error("a channel has exactly one of `file`, `syslog`, `null` and `stderr`");
            findings.push(error);
        }
    }
    for name in logging.block().all("category").filter_map(Statement::argument) {
        let text = name.shown();
        if !LOG_CATEGORIES.iter().any(|known| known.eq_ignore_ascii_case(&text)) {
            let error = name.error(format!("there is no category `{text}`"));
            findings.push(error.help(format!("the categories are {}", LOG_CATEGORIES.join(", "))));
        }
    }
}

/// Checks that dnstap has an output if anything is recorded, and that only a file has sizes and versions.
pub(super) fn dnstap(conf: &Conf, findings: &mut Findings) {
    let options = conf.statements().find("options").map(Statement::block);
    let output = options.and_then(|options| options.find("dnstap-output"));
    let blocks = conf.statements().filter(|block| ["options", "view"].contains(&block.name()));
    let unset = blocks.filter_map(|block| block.block().find("dnstap")).find(|_| output.is_none());
    if let Some(dnstap) = unset {
        let error = dnstap.error("`dnstap` without `dnstap-output`");
        findings.push(error.help("add `dnstap-output unix \"…\";` to `options`"));
    }
    let Some(output) = output.filter(|output| output.argument().is_some_and(|kind| kind.is("unix"))) else {
        return;
    };
    if let Some(part) = output.arguments().nth(2) {
        findings.push(part.error("a socket has no size and no versions").help("write them with `file` only"));
    }
}
