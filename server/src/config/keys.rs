//! The statements `key`: secrets, by name.

use zonefmt::{
    Name,
    conf::{Statement, Statements},
    diagnostics::Diagnostic,
};

use crate::{
    keys::{Algorithm, Key},
    tsig::{Keyring, TsigKey},
};

/// A key as it is configured.
pub(super) struct NamedKey {
    pub(super) key: Key,
    /// A secret that is taken beside the key's own (`old-secret`), while clients change over.
    old: Option<Key>,
    /// The shortest code that is taken, in octets, if truncated ones are: `hmac-sha256-128`.
    shortest: Option<usize>,
}

/// The keys among these statements; one that cannot be used is reported and left out.
pub(super) fn read(statements: &Statements<'_>, findings: &mut Vec<Diagnostic>) -> Vec<NamedKey> {
    statements.all("key").filter_map(|statement| key(statement, findings)).collect()
}

/// What messages may be signed with: these keys, and those of a ring around.
pub(super) fn ring(keys: &[NamedKey], around: Option<&Keyring>) -> Keyring {
    let own = keys.iter().flat_map(|NamedKey { key, old, shortest }| {
        // The grammar's checks let names of DNS pass, no others.
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

/// An algorithm, and how many octets of its codes are enough: `hmac-sha256-128` has 16.
fn algorithm(text: &str) -> Option<(Algorithm, Option<usize>)> {
    if let Some(algorithm) = Algorithm::from_name(text) {
        return Some((algorithm, None));
    }
    let (name, bits) = text.rsplit_once('-')?;
    let octets = bits.parse::<usize>().ok()?.div_ceil(8);
    Some((Algorithm::from_name(name)?, Some(octets)))
}
