//! Address match lists in manifests: each string is one element, in the syntax of named.conf.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use bindy_server::access::{Acl, Match, Prefix, Rule};

use crate::api::FieldError;

/// The addresses that `localhost` and `localnets` stand for.
#[derive(Clone, Debug)]
pub struct Local {
    /// The addresses of this machine, for `localhost`.
    pub addresses: Acl,
    /// The networks that this machine is in, for `localnets`.
    pub networks: Acl,
}

/// The most levels of lists that refer to other lists.
const MAX_DEPTH: usize = 16;
/// The most elements of a list, including those of lists it refers to, because a query may be compared with all of
/// them.
const MAX_WEIGHT: usize = 10_000;

/// An element without its `!`.
enum Element<'e> {
    Any,
    None,
    Localhost,
    Localnets,
    Prefix(Prefix),
    Named(&'e str),
}

/// Reads a list. `path` is its field below `spec`.
pub(super) fn list(
    path: &str,
    elements: &[String],
    named: &BTreeMap<String, Vec<String>>,
    local: &Local,
) -> Result<Acl, FieldError> {
    read(path, elements, named, local, MAX_DEPTH)
}

/// The errors in a list by itself. Whether the lists it refers to exist is checked elsewhere.
pub fn check_list(path: &str, elements: &[String]) -> Vec<FieldError> {
    let errors = elements.iter().enumerate().filter_map(|(i, text)| {
        let (_, text) = negation(text);
        element(text).err().map(|message| refusal(&format!("{path}[{i}]"), message))
    });
    errors.collect()
}

fn read(
    path: &str,
    elements: &[String],
    named: &BTreeMap<String, Vec<String>>,
    local: &Local,
    depth: usize,
) -> Result<Acl, FieldError> {
    let mut rules = Vec::new();
    for (i, text) in elements.iter().enumerate() {
        let at = || format!("{path}[{i}]");
        let (negated, text) = negation(text);
        let rule = |matches| Rule { negated, matches };
        rules.push(match element(text).map_err(|message| refusal(&at(), message))? {
            Element::Any => rule(Match::Any),
            Element::None => Rule { negated: !negated, matches: Match::Any },
            Element::Localhost => rule(Match::List(Arc::new(local.addresses.clone()))),
            Element::Localnets => rule(Match::List(Arc::new(local.networks.clone()))),
            Element::Prefix(prefix) => rule(Match::Prefix(prefix)),
            Element::Named(name) => {
                let Some(list) = named.get(name) else {
                    return Err(refusal(&at(), format!("`{name}` is no address, and no list of `acls`")));
                };
                if depth == 0 {
                    return Err(refusal(&at(), format!("`{name}` names itself, or lists that do are too deep")));
                }
                rule(Match::List(Arc::new(read(&format!("acls.{name}"), list, named, local, depth - 1)?)))
            }
        });
        let weight: usize = rules.iter().map(|rule| rule.matches.weight()).sum();
        if weight > MAX_WEIGHT {
            return Err(refusal(&at(), format!("the list has over {MAX_WEIGHT} elements, those it names included")));
        }
    }
    Ok(Acl::new(rules))
}

fn negation(text: &str) -> (bool, &str) {
    match text.trim().strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, text.trim()),
    }
}

fn element(text: &str) -> Result<Element<'_>, String> {
    match text {
        "any" => return Ok(Element::Any),
        "none" => return Ok(Element::None),
        "localhost" => return Ok(Element::Localhost),
        "localnets" => return Ok(Element::Localnets),
        _ => {}
    }
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    if let Ok(address) = address.parse::<IpAddr>() {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length.map(str::parse::<u8>) {
            None => most,
            Some(Ok(length)) if length <= most => length,
            Some(_) => return Err(format!("the prefix of `{text}` is no number from 0 to {most}")),
        };
        return Ok(Element::Prefix(Prefix::new(address, length)));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if length.is_none() && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_word) {
        return Ok(Element::Named(text));
    }
    Err(format!("`{text}` is no address"))
}

fn refusal(path: &str, message: String) -> FieldError {
    let help = "write an address, a prefix such as `10.0.0.0/8`, `any`, `none`, `localhost`, `localnets`, or the name of \
                a list of `acls`, perhaps after a `!`";
    FieldError { path: path.into(), message, help: Some(help.into()) }
}
