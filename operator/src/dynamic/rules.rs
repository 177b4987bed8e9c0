//! Who may write what into a zone: its rules, as the engine takes them.

use std::num::NonZeroU32;

use bindy_server::update::{Names, Policy, Rule, TypeLimit};
use zonefmt::{Name, Rtype};

use crate::api::{Dynamic, DynamicRule, FieldError, KeyRef, NameMatch};

/// What the rules of a zone allow, and the number of each rule of it among those of the zone. `key_of` gives the name of the
/// key in a Secret. A rule whose key cannot be used fits nothing, as nobody can sign with it. Nor does one that cannot be
/// read, unless it denies something: then nothing is allowed that a later rule allows.
pub fn policy(zone: &Name, dynamic: &Dynamic, key_of: impl Fn(&KeyRef) -> Option<Name>) -> (Policy, Vec<usize>) {
    let (mut rules, mut numbers) = (Vec::new(), Vec::new());
    for (number, rule) in dynamic.rules.iter().enumerate() {
        let Some(identity) = key_of(&rule.key) else { continue };
        match read(zone, rule) {
            Ok((names, types)) => {
                rules.push(Rule { grant: !rule.deny, identity, names, types });
                numbers.push(number);
            }
            Err(_) if rule.deny => break,
            Err(_) => {}
        }
    }
    (Policy::Rules(rules), numbers)
}

/// What of the rules cannot be read, as paths below `spec`.
pub fn faults(zone: &Name, dynamic: &Dynamic) -> Vec<FieldError> {
    let errors = dynamic.rules.iter().enumerate().filter_map(|(number, rule)| {
        let error = read(zone, rule).err()?;
        Some(FieldError { path: format!("dynamic.rules[{number}].{}", error.path), ..error })
    });
    errors.collect()
}

fn read(zone: &Name, rule: &DynamicRule) -> Result<(Names, Vec<TypeLimit>), FieldError> {
    let wrong = |path: &str, message: String, help: &str| FieldError {
        path: path.to_owned(),
        message,
        help: Some(help.to_owned()),
    };
    let name = match rule.name.as_deref() {
        None | Some("@") => zone.clone(),
        Some(text) => {
            let name = Name::parse(text.as_bytes(), zone.as_ref());
            let name = name.map_err(|error| wrong("name", format!("{text}: {error}"), "write a name of the zone"))?;
            if !name.as_ref().is_at_or_below(zone.as_ref()) {
                let message = format!("{name} is not in {zone}");
                return Err(wrong("name", message, "write a relative name, or leave it out for all of the zone"));
            }
            name
        }
    };
    let names = match rule.matches {
        NameMatch::Name => Names::Name(name),
        NameMatch::Subdomain => Names::Subdomain(name),
        NameMatch::ZoneSub => Names::Subdomain(zone.clone()),
        NameMatch::Wildcard if !name.as_ref().is_wildcard() => {
            return Err(wrong("name", format!("{name} is no wildcard"), "write one that begins with `*.`"));
        }
        NameMatch::Wildcard => Names::Wildcard(name),
        NameMatch::OfKey => Names::OfKey,
        NameMatch::SelfSub => Names::AtOrBelowKey,
        NameMatch::SelfWild => Names::BelowKey,
        NameMatch::AcmeChallenge => Names::AcmeChallenge(name),
    };
    let types = rule.types.iter().enumerate().map(|(number, text)| {
        limit(text).ok_or_else(|| {
            let path = format!("types[{number}]");
            wrong(&path, format!("{text} is no type"), "write one as `TXT`, or with a number of records as `TXT(4)`")
        })
    });
    Ok((names, types.collect::<Result<_, _>>()?))
}

/// A type, perhaps with the number of its records.
fn limit(text: &str) -> Option<TypeLimit> {
    let (rtype, most) = match text.strip_suffix(')') {
        Some(text) => {
            let (rtype, most) = text.split_once('(')?;
            (rtype, Some(most.parse::<NonZeroU32>().ok()?))
        }
        None => (text, None),
    };
    let rtype = rtype.parse::<Rtype>().ok()?;
    (rtype == Rtype::ANY || !rtype.is_meta()).then_some(TypeLimit { rtype, most })
}

#[cfg(test)]
mod tests {
    use bindy_server::{
        access::Requester,
        update::{Updater, Verdict},
    };
    use serde_json::{Value, json};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn dynamic(rules: &Value) -> Dynamic {
        serde_json::from_value(json!({ "rules": rules })).unwrap()
    }

    /// Whether these rules of example.com allow this key to change records of this type at a name.
    fn may(rules: &Value, key: &str, owner: &str, rtype: Rtype) -> bool {
        let key_of = |key: &KeyRef| (key.name != "lost").then(|| name(&key.name));
        let (policy, _) = policy(&name("example.com"), &dynamic(rules), key_of);
        let key = name(key);
        let requester = Requester { addr: "192.0.2.1".parse().unwrap(), key: Some(key.as_ref()) };
        let by = Updater { requester, tcp: true };
        policy.admits(by) && matches!(policy.verdict(by, name(owner).as_ref(), rtype), Verdict::Granted(_))
    }

    fn rule(key: &str, more: &Value) -> Value {
        let mut rule = json!({ "key": { "namespace": "dns", "name": key } });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = json!([
            rule("a", &json!({ "match": "Name", "name": "fixed.apps", "deny": true })),
            rule("a", &json!({ "match": "Subdomain", "name": "apps", "types": ["A", "TXT(2)"] })),
            rule("acme", &json!({ "match": "AcmeChallenge" })),
            rule("all", &json!({ "match": "ZoneSub" })),
            rule("host.example.com", &json!({ "match": "Self", "types": ["A"] })),
        ]);
        for (key, owner, rtype, allowed) in [
            ("a", "apps.example.com", Rtype::A, true),
            ("a", "x.apps.example.com", Rtype::TXT, true),
            ("a", "x.apps.example.com", Rtype::AAAA, false),
            ("a", "fixed.apps.example.com", Rtype::A, false),
            ("a", "example.com", Rtype::A, false),
            ("acme", "_acme-challenge.www.example.com", Rtype::TXT, true),
            ("acme", "www.example.com", Rtype::TXT, false),
            ("all", "www.example.com", Rtype::A, true),
            ("all", "example.com", Rtype::SOA, false),
            ("host.example.com", "host.example.com", Rtype::A, true),
            ("host.example.com", "www.example.com", Rtype::A, false),
            ("other", "www.example.com", Rtype::A, false),
        ] {
            assert_eq!(may(&rules, key, owner, rtype), allowed, "{key} {owner} {rtype}");
        }
    }

    #[test]
    fn what_cannot_be_used_allows_nothing() {
        let bad = json!({ "match": "Subdomain", "name": "other.test.", "deny": true });
        let rules = json!([rule("a", &bad), rule("a", &json!({ "match": "ZoneSub" }))]);
        assert!(!may(&rules, "a", "www.example.com", Rtype::A), "what is denied is not known");
        let rules = json!([rule("lost", &json!({ "match": "ZoneSub" })), rule("a", &json!({ "match": "ZoneSub" }))]);
        assert!(may(&rules, "a", "www.example.com", Rtype::A) && !may(&rules, "lost", "www.example.com", Rtype::A));
    }

    #[test]
    fn faults_name_their_fields() {
        let rules = json!([
            rule("a", &json!({ "match": "Subdomain", "name": "other.test." })),
            rule("a", &json!({ "match": "Wildcard", "name": "x" })),
            rule("a", &json!({ "match": "ZoneSub", "types": ["A", "NOPE"] })),
            rule("a", &json!({ "match": "ZoneSub", "types": ["A(1)", "ANY", "TYPE65280"] })),
        ]);
        let faults = faults(&name("example.com"), &dynamic(&rules));
        let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, ["dynamic.rules[0].name", "dynamic.rules[1].name", "dynamic.rules[2].types[1]"]);
    }
}
