//! Rules for encrypted transports: `tls`, `http`, and the listeners that use them.

use super::unique;
use crate::{
    conf::{Part, Statement},
    diagnostics::Findings,
};

const VERSIONS: &str = "write `TLSv1.2`, `TLSv1.3` or both";

/// Checks that a `tls` has a whole key, and versions that exist.
pub(super) fn check(tls: Statement<'_>, findings: &mut Findings) {
    let has = |name| tls.block().find(name).is_some();
    if has("key-file") != has("cert-file") {
        findings.push(tls.error("it has one of `key-file` and `cert-file`").help("write both, or none"));
    }
    let Some(protocols) = tls.block().find("protocols") else { return };
    if protocols.block().next().is_none() {
        findings.push(protocols.error("no version of TLS is allowed").help(VERSIONS));
    }
    unique(findings, protocols.block(), "the protocol", |version| version.argument().map(Part::shown));
    for version in protocols.block().filter_map(Statement::argument) {
        if !["TLSv1.2", "TLSv1.3"].iter().any(|known| version.is(known)) {
            let error = version.error(format!("there is no protocol `{}`", version.shown()));
            findings.push(error.help(VERSIONS));
        }
    }
}

/// Checks that the paths of endpoints begin with a slash, and have neither query nor fragment (RFC 3986 3.3).
pub(super) fn http(http: Statement<'_>, findings: &mut Findings) {
    let in_path = |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(octet);
    for path in http.block().find("endpoints").into_iter().flat_map(Statement::block).filter_map(Statement::argument) {
        if !path.text().starts_with(b"/") || !path.text().iter().all(in_path) {
            let error = path.error(format!("`{}` is no path", path.shown()));
            findings.push(error.help("write one that begins with `/` and has no query, as \"/dns-query\""));
        }
    }
}

/// Checks that listeners for HTTP say whether it is encrypted.
pub(super) fn listeners(block: Statement<'_>, findings: &mut Findings) {
    for listener in ["listen-on", "listen-on-v6"].iter().flat_map(|name| block.block().all(name).collect::<Vec<_>>()) {
        if listener.arguments().behind("http").is_some() && listener.arguments().behind("tls").is_none() {
            let error = listener.error("`http` without `tls`");
            findings.push(error.help("add `tls` and a name, `tls ephemeral` or `tls none`"));
        }
    }
}
