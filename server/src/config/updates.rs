//! The statements about dynamic updates.

use std::num::NonZeroU32;

use zonefmt::{
    Name, Rtype,
    conf::{Part, Statement, Statements},
};

use super::{Reader, inherited::Inherited, scope::Scope};
use crate::{
    access::Acl,
    update::{Names, Policy, Rule, SerialMethod, TypeLimit},
};

/// The statements that [`take`] reads.
pub(super) const NAMES: [&str; 2] = ["allow-update", "serial-update-method"];

/// `update-quota`; as in BIND, 0 is no limit.
pub(super) fn quota(options: &Scope<'_, '_>) -> Option<usize> {
    options.number("update-quota").filter(|&most| most > 0).map(|most| most as usize)
}

/// Takes over what a statement of `options`, a view or a zone says.
pub(super) fn take<'c>(all: &mut Inherited, statement: Statement<'c>, reader: &mut Reader<'c, '_>) {
    match statement.name() {
        "allow-update" => {
            let read = reader.acls.read(statement.block());
            let clients = read.map_err(|error| reader.findings.push(*error)).unwrap_or_else(|()| Acl::none());
            all.settings().updates.policy = Policy::Clients(clients);
        }
        "serial-update-method" => {
            all.settings().updates.serial = match statement.argument() {
                Some(part) if part.is("date") => SerialMethod::Date,
                Some(part) if part.is("unixtime") => SerialMethod::UnixTime,
                _ => SerialMethod::Increment,
            };
        }
        _ => {}
    }
}

/// The `update-policy` of the zone `origin`.
pub(super) fn policy<'c>(statement: Statement<'c>, origin: &Name, reader: &mut Reader<'c, '_>) -> Policy {
    match statement.argument() {
        Some(part) if part.block().is_none() => local(part, origin, reader),
        _ => rules(&statement.block(), origin, reader),
    }
}

/// `update-policy local`: the session key may change everything, from an address of this machine.
fn local(part: Part<'_>, origin: &Name, reader: &mut Reader<'_, '_>) -> Policy {
    let Some(identity) = reader.session_key.clone() else {
        let error = part.error("`update-policy local` without a session key");
        reader.findings.push(error.help("name a file for it in `session-keyfile`"));
        return Policy::nobody();
    };
    let names = Names::Local(origin.clone(), reader.acls.interfaces().addresses());
    let types = vec![TypeLimit { rtype: Rtype::ANY, most: None }];
    Policy::Rules(vec![Rule { grant: true, identity, names, types }])
}

fn rules(statements: &Statements<'_>, origin: &Name, reader: &mut Reader<'_, '_>) -> Policy {
    let rules = statements.clone().filter_map(|statement| match rule(statement, origin) {
        Ok(rule) => {
            if let Some(Rule { identity, names: Names::AcmeChallenge(name), .. }) = &rule {
                warn_of_acme(statement, identity, name, origin, reader);
            }
            rule
        }
        Err(unsupported) => {
            let word = unsupported.shown();
            let error = unsupported.error(format!("rules of the type `{word}` are not supported"));
            let help = if word.eq_ignore_ascii_case("external") {
                "write the rules here: no other program is asked"
            } else {
                "give the clients keys, and rules of another type: Kerberos is not spoken here"
            };
            reader.findings.push(error.help(help));
            None
        }
    });
    Policy::Rules(rules.collect())
}

/// Warns of a rule for certificates that can never match.
fn warn_of_acme(statement: Statement<'_>, identity: &Name, name: &Name, origin: &Name, reader: &mut Reader<'_, '_>) {
    let (key, written) = (statement.arguments().nth(1), statement.arguments().nth(3));
    if let Some(key) = key.filter(|_| !identity.as_ref().is_wildcard() && !reader.remotes.has_key(identity)) {
        let warning = key.warning(format!("there is no key `{}`: nobody can use this rule", key.shown()));
        reader.findings.push(warning.help("define it: `key \"name\" { algorithm hmac-sha256; secret \"…\"; };`"));
    }
    if let Some(written) = written.filter(|_| !name.as_ref().is_at_or_below(origin.as_ref())) {
        let warning = written.warning(format!("{name} is outside of the zone {origin}: nobody can use this rule"));
        reader.findings.push(warning.help("name the zone, or a name in it, without `_acme-challenge`"));
    }
}

/// Reads `grant IDENTITY TYPE [NAME] [TYPES]`. `None` if a name or type cannot be read, which the grammar's checks do
/// not let pass.
///
/// # Errors
/// The type of the rule, if it is not supported.
fn rule<'c>(statement: Statement<'c>, origin: &Name) -> Result<Option<Rule>, Part<'c>> {
    let mut parts = statement.arguments();
    let (Some(verdict), Some(identity), Some(kind)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(None);
    };
    let name_of = |part: Part<'c>| Name::from_ascii(part.text()).ok();
    // The name is a placeholder where it has no meaning.
    let name = if kind.is("zonesub") { Some(origin.clone()) } else { parts.next().and_then(name_of) };
    let (Some(identity), Some(name)) = (name_of(identity), name) else { return Ok(None) };
    let names = match &*kind.text().to_ascii_lowercase() {
        b"name" => Names::Name(name),
        b"subdomain" | b"zonesub" => Names::Subdomain(name),
        b"wildcard" => Names::Wildcard(name),
        b"self" => Names::OfKey,
        b"selfsub" => Names::AtOrBelowKey,
        b"selfwild" => Names::BelowKey,
        b"tcp-self" => Names::TcpSelf,
        b"6to4-self" => Names::SixToFour,
        b"acme-challenge" => Names::AcmeChallenge(name),
        _ => return Err(kind),
    };
    let types = parts.filter_map(type_limit).collect();
    Ok(Some(Rule { grant: verdict.is("grant"), identity, names, types }))
}

/// `TXT` or `TXT(1)`. As in BIND, no number and 0 are no limit.
fn type_limit(part: Part<'_>) -> Option<TypeLimit> {
    let text = part.shown();
    let (mnemonic, most) = text.split_once('(').unwrap_or((&text, ")"));
    let most = most.strip_suffix(')').and_then(|most| most.parse().ok()).and_then(NonZeroU32::new);
    Some(TypeLimit { rtype: mnemonic.parse().ok()?, most })
}

#[cfg(test)]
mod tests {
    use super::super::zones::read_all;
    use super::*;

    fn policies(text: &str) -> (Vec<Policy>, Vec<String>) {
        let (zones, errors) = read_all(text);
        (zones.into_iter().map(|zone| zone.settings.updates.policy.clone()).collect(), errors)
    }

    fn rules(rules: &str) -> (Vec<Rule>, Vec<String>) {
        let key = "key k { algorithm hmac-sha256; secret \"c2VjcmV0\"; };";
        let zone = format!("{key}zone ex {{ type primary; file \"ex\"; update-policy {{ {rules} }}; }};");
        let (policies, errors) = policies(&zone);
        let Policy::Rules(rules) = &policies[0] else { panic!("{policies:?}") };
        (rules.clone(), errors)
    }

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    #[test]
    fn nobody_may_update_a_zone_unless_it_is_written() {
        let (policies, _) = policies(
            "options { allow-update { 192.0.2.1; }; };\
             zone a { type primary; file \"a\"; };\
             zone b { type primary; file \"b\"; allow-update { none; }; };\
             zone c { type primary; file \"c\"; update-policy { }; };",
        );
        assert!(matches!(&policies[0], Policy::Clients(acl) if *acl != Acl::none()));
        let Policy::Clients(none) = &policies[1] else { panic!("{policies:?}") };
        assert!(!none.allows(std::net::IpAddr::from([192, 0, 2, 1])));
        assert_eq!(policies[2], Policy::Rules(vec![]));
        let (policies, _) = self::policies("zone a { type primary; file \"a\"; };");
        assert_eq!(policies, [Policy::nobody()]);
    }

    #[test]
    fn every_type_of_rule_is_read() {
        let (rules, errors) = rules(
            "grant k zonesub; deny k name a.ex; grant k subdomain b.ex A; grant k wildcard *.c.ex; grant * self .;\
             grant k selfsub k; grant k selfwild .; grant * tcp-self . PTR(1); grant * 6to4-self . NS;\
             grant k acme-challenge ex;",
        );
        assert!(errors.is_empty(), "{errors:?}");
        let all = |names: &[Names]| names.to_vec();
        let expected = all(&[
            Names::Subdomain(name("ex")),
            Names::Name(name("a.ex")),
            Names::Subdomain(name("b.ex")),
            Names::Wildcard(name("*.c.ex")),
            Names::OfKey,
            Names::AtOrBelowKey,
            Names::BelowKey,
            Names::TcpSelf,
            Names::SixToFour,
            Names::AcmeChallenge(name("ex")),
        ]);
        assert_eq!(rules.iter().map(|rule| rule.names.clone()).collect::<Vec<_>>(), expected);
        let grants: Vec<_> = rules.iter().map(|rule| rule.grant).collect();
        assert_eq!(grants, [true, false, true, true, true, true, true, true, true, true]);
        assert_eq!((&rules[0].identity, &rules[4].identity), (&name("k"), &name("*")));
    }

    #[test]
    fn a_rule_for_certificates_that_can_never_match_is_told() {
        let (rules, findings) = rules("grant k acme-challenge www.ex; grant * acme-challenge ex;");
        assert_eq!((rules.len(), findings.len()), (2, 0), "{findings:?}");
        let (rules, findings) = self::rules("grant other acme-challenge ex; grant k acme-challenge www.example;");
        assert_eq!(rules.len(), 2);
        assert_eq!(
            findings,
            [
                "there is no key `other`: nobody can use this rule",
                "www.example. is outside of the zone ex.: nobody can use this rule"
            ]
        );
    }

    #[test]
    fn types_may_have_limits() {
        let (rules, _) = rules("grant k zonesub TXT(2) A(0) AAAA() TYPE65280 any;");
        let types: Vec<_> = rules[0].types.iter().map(|limit| (limit.rtype, limit.most.map_or(0, u32::from))).collect();
        let none = [Rtype::A, Rtype::AAAA, Rtype(65280), Rtype::ANY].map(|rtype| (rtype, 0));
        assert_eq!(types, [[(Rtype::TXT, 2)].as_slice(), &none].concat());
    }

    #[test]
    fn rules_that_need_other_programs_are_errors() {
        for kind in ["krb5-self", "krb5-selfsub", "ms-self", "ms-selfsub"] {
            let (rules, errors) = rules(&format!("grant k {kind} . A;"));
            assert_eq!((rules.len(), errors), (0, vec![format!("rules of the type `{kind}` are not supported")]));
        }
        for kind in ["krb5-subdomain", "ms-subdomain", "krb5-subdomain-self-rhs", "ms-subdomain-self-rhs", "external"] {
            let (_, errors) = rules(&format!("grant k {kind} ex A; grant k zonesub;"));
            assert_eq!(errors, [format!("rules of the type `{kind}` are not supported")]);
        }
    }

    #[test]
    fn local_is_for_the_session_key() {
        let local = |options: &str| {
            let (policies, errors) = policies(&format!(
                "options {{ {options} }}; zone ex {{ type primary; file \"ex\"; update-policy local; }};"
            ));
            (policies[0].clone(), errors)
        };
        let identity = |options: &str| match local(options) {
            (Policy::Rules(rules), errors) if errors.is_empty() => rules[0].identity.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(identity(""), name("local-ddns"));
        assert_eq!(identity("session-keyname \"mine\";"), name("mine"));
        let (policy, errors) = local("session-keyfile none;");
        assert_eq!(
            (policy, errors),
            (Policy::nobody(), vec!["`update-policy local` without a session key".to_owned()])
        );
    }
}
