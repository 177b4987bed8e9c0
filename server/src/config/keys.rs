//! The statements `key`: secrets of the control channel and of TSIG, by name.

use zonefmt::{
    Name,
    conf::{Statement, Statements},
    diagnostics::Diagnostic,
};

use crate::{
    keys::{Algorithm, Key},
    tsig::{Keyring, TsigKey},
};

/// A `key` statement.
pub(super) struct NamedKey {
    pub(super) key: Key,
    /// A second secret that is accepted while clients change over (`old-secret`).
    old: Option<Key>,
    /// The shortest MAC that is accepted, in octets, if truncated ones are: 16 of `hmac-sha256-128`.
    shortest: Option<usize>,
}

/// The keys among these statements. One that cannot be used is reported and left out.
pub(super) fn read(statements: &Statements<'_>, findings: &mut Vec<Diagnostic>) -> Vec<NamedKey> {
    statements.all("key").filter_map(|statement| key(statement, findings)).collect()
}

/// The keys that requests may be signed with: these, and those of the ring around.
pub(super) fn ring(keys: &[NamedKey], around: Option<&Keyring>) -> Keyring {
    let own = keys.iter().flat_map(|NamedKey { key, old, shortest }| {
        // The grammar's checks let only domain names pass.
        let name = Name::from_ascii(key.name()).ok();
        let secrets = [Some(key), old.as_ref()].into_iter().flatten();
        secrets.filter_map(move |secret| Some(TsigKey::new(name.as_ref()?, secret.clone(), *shortest)))
    });
    Keyring::new(own.chain(around.into_iter().flat_map(Keyring::iter).cloned()))
}

fn key(statement: Statement<'_>, findings: &mut Vec<Diagnostic>) -> Option<NamedKey> {
    let name = statement.argument()?.shown();
    let part = statement.block().find("algorithm")?.argument()?;
    let text = part.shown().to_ascii_lowercase();
    let Some((algorithm, shortest)) = algorithm(&text) else {
        let names = Algorithm::ALL.map(Algorithm::name).join(", ");
        let error = part.error(format!("there is no algorithm `{text}`"));
        findings.push(error.help(format!("the algorithms are {names}")));
        return None;
    };
    let mut secret = |which| {
        let part = statement.block().find(which).and_then(Statement::argument)?;
        let key = Key::new(&*name, algorithm, &String::from_utf8_lossy(&part.text()));
        key.map_err(|error| findings.push(part.error(error.to_string()))).ok()
    };
    Some(NamedKey { key: secret("secret")?, old: secret("old-secret"), shortest })
}

/// An algorithm, and how many octets of its MACs are enough: 16 for `hmac-sha256-128`.
fn algorithm(text: &str) -> Option<(Algorithm, Option<usize>)> {
    if let Some(algorithm) = Algorithm::from_name(text) {
        return Some((algorithm, None));
    }
    let (name, bits) = text.rsplit_once('-')?;
    let octets = bits.parse::<usize>().ok()?.div_ceil(8);
    Some((Algorithm::from_name(name)?, Some(octets)))
}
