//! Rules for TSIG keys.

use data_encoding::BASE64;

use super::unique;
use crate::{
    Name,
    conf::{Conf, Statement},
    diagnostics::Findings,
};

/// Checks that keys are defined once. Their names are domain names, and keys outside of views are visible in every
/// view.
pub(super) fn defined_once(conf: &Conf, findings: &mut Findings) {
    let origin = |key: Statement<'_>| key.argument().and_then(|name| Name::from_ascii(name.text()).ok());
    let outside = || conf.statements().all("key");
    let blocks: Vec<_> = conf.statements().all("view").map(Statement::block).collect();
    unique(findings, outside(), "the key", origin);
    for block in &blocks {
        let inside: Vec<_> = block.all("key").collect();
        if !inside.is_empty() {
            unique(findings, outside().chain(inside), "the key", origin);
        }
    }
}

/// Checks the name, the algorithm and the secret of a key.
pub(super) fn check(key: Statement<'_>, findings: &mut Findings) {
    if let Some(name) = key.argument()
        && let Err(error) = Name::from_ascii(name.text())
    {
        findings.push(name.error(format!("`{}` is no name of a key: {error}", name.shown())));
    }
    let (algorithm, secret) = (key.block().find("algorithm"), key.block().find("secret"));
    let (Some(algorithm), Some(secret)) = (algorithm, secret) else {
        return findings.push(key.error("a key needs both `algorithm` and `secret`"));
    };
    if let Some(part) = algorithm.argument()
        && !is_algorithm(&part.shown().to_ascii_lowercase())
    {
        let error = part.error(format!("unknown algorithm `{}`", part.shown()));
        findings.push(error.help("write `hmac-sha256`, or another of the `hmac-sha…`"));
    }
    if let Some(part) = secret.argument() {
        let mut text = part.text().into_owned();
        text.retain(|octet| !octet.is_ascii_whitespace());
        if BASE64.decode(&text).is_err() {
            // The secret is not shown, because it may be almost right.
            findings.push(secret.error("the secret is no base64").help("`tsig-keygen` makes a key"));
        }
    }
}

/// Whether a text is an algorithm such as `hmac-sha256`, or `hmac-sha256-128`, which is truncated to 128 bits (RFC 8945
/// 5.2.2.1).
fn is_algorithm(text: &str) -> bool {
    const DIGESTS: [(&str, u16); 6] =
        [("md5", 128), ("sha1", 160), ("sha224", 224), ("sha256", 256), ("sha384", 384), ("sha512", 512)];
    if matches!(text, "hmac-md5.sig-alg.reg.int" | "hmac-md5.sig-alg.reg.int.") {
        return true;
    }
    let Some(name) = text.strip_prefix("hmac-") else { return false };
    let (name, bits) = name.split_once('-').map_or((name, None), |(name, bits)| (name, Some(bits)));
    let Some((_, most)) = DIGESTS.iter().find(|(digest, _)| *digest == name) else { return false };
    bits.is_none_or(|bits| bits.parse::<u16>().is_ok_and(|bits| bits % 8 == 0 && bits <= *most))
}
