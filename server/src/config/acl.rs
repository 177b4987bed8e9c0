//! Reads address match lists into [`Acl`]s.

use std::{collections::HashMap, sync::Arc};

use zonefmt::{
    Name,
    conf::{Conf, Part, Statement, Statements},
    diagnostics::Diagnostic,
};

use super::interfaces::Interfaces;
use crate::access::{Acl, Match, Prefix, Rule};

/// How deep lists may name other lists.
const MAX_DEPTH: usize = 64;

/// The most elements of a list other than addresses, those of the lists that it names included: each request may have
/// to be compared with all.
const MAX_WEIGHT: usize = 10_000;

/// The `acl` statements of a configuration.
pub(super) struct Acls<'c> {
    /// By name in lower case. Each is read when it is first needed, as they may stand in any order.
    named: HashMap<Vec<u8>, Named<'c>>,
    interfaces: Interfaces,
    depth: usize,
}

/// An error in a list.
type Wrong = Box<Diagnostic>;

enum Named<'c> {
    Written(Statement<'c>),
    BeingRead,
    Read(Arc<Acl>),
}

impl<'c> Acls<'c> {
    /// The `acl` statements of this configuration, none of them read yet.
    pub(super) fn new(conf: &'c Conf, interfaces: Interfaces) -> Acls<'c> {
        let name = |acl: Statement<'c>| Some((acl.argument()?.text().to_ascii_lowercase(), Named::Written(acl)));
        Acls { named: conf.statements().all("acl").filter_map(name).collect(), interfaces, depth: 0 }
    }

    /// The addresses of this machine.
    pub(super) fn interfaces(&self) -> &Interfaces {
        &self.interfaces
    }

    /// Reads a list, and those that it names.
    pub(super) fn read(&mut self, elements: Statements<'c>) -> Result<Acl, Wrong> {
        let mut rules = Vec::new();
        let mut weight = 0;
        for element in elements {
            let rule = self.rule(element)?;
            weight += rule.matches.weight();
            if weight > MAX_WEIGHT {
                let message =
                    format!("the list holds more than {MAX_WEIGHT} keys and lists, those of lists it names included");
                return Err(element.error(message).help("list addresses themselves in place of lists of them").into());
            }
            rules.push(rule);
        }
        Ok(Acl::new(rules))
    }

    /// Reads every `acl` statement, so that an unused one is checked, too.
    pub(super) fn read_all(&mut self, conf: &'c Conf) -> Result<(), Wrong> {
        conf.statements().all("acl").filter_map(Statement::argument).try_for_each(|name| self.named(name).map(|_| ()))
    }

    fn rule(&mut self, element: Statement<'c>) -> Result<Rule, Wrong> {
        let mut parts = element.arguments();
        let first = parts.clone().next();
        let negated = first.is_some_and(|first| first.is("!"));
        if negated {
            parts.next();
        }
        if let Some((address, length)) = parts.prefix() {
            return Ok(Rule { negated, matches: Match::Prefix(Prefix::new(address, length)) });
        }
        let Some(part) = parts.next() else { return Err(element.error("an element of the list is empty").into()) };
        if part.block().is_none() && part.is("none") {
            return Ok(Rule { negated: !negated, matches: Match::Any });
        }
        let matches = match part.block() {
            Some(elements) => Match::List(self.nested(part, |acls| acls.read(elements))?.into()),
            None if part.is("key")
                && let Some(name) = parts.clone().next() =>
            {
                Match::Key(Name::from_ascii(name.text()).map_err(|error| name.error(error.to_string()))?)
            }
            None if part.is("geoip") && parts.clone().next().is_some() => {
                return Err(part
                    .error("access by place is not supported")
                    .help("list the networks instead: `geoip` needs a database that this server does not read")
                    .into());
            }
            None => self.word(part)?,
        };
        Ok(Rule { negated, matches })
    }

    fn word(&mut self, name: Part<'c>) -> Result<Match, Wrong> {
        Ok(match &*name.text().to_ascii_lowercase() {
            b"any" => Match::Any,
            b"localhost" => Match::List(Arc::new(self.interfaces.addresses())),
            b"localnets" => Match::List(Arc::new(self.interfaces.networks())),
            _ => Match::List(self.named(name)?),
        })
    }

    fn named(&mut self, part: Part<'c>) -> Result<Arc<Acl>, Wrong> {
        let name = part.text().to_ascii_lowercase();
        let statement = match self.named.get(&name) {
            Some(Named::Read(acl)) => return Ok(Arc::clone(acl)),
            Some(Named::Written(statement)) => *statement,
            Some(Named::BeingRead) => {
                return Err(part.error(format!("the acl `{}` contains itself", part.shown())).into());
            }
            None => {
                let error = part.error(format!("there is no acl `{}`", part.shown()));
                return Err(error
                    .help("define it with `acl`, or write `any`, `none`, `localhost` or `localnets`")
                    .into());
            }
        };
        self.named.insert(name.clone(), Named::BeingRead);
        let acl = Arc::new(self.nested(part, |acls| acls.read(statement.block()))?);
        self.named.insert(name, Named::Read(Arc::clone(&acl)));
        Ok(acl)
    }

    fn nested<T>(&mut self, part: Part<'c>, read: impl FnOnce(&mut Self) -> Result<T, Wrong>) -> Result<T, Wrong> {
        if self.depth == MAX_DEPTH {
            return Err(part.error(format!("lists name lists more than {MAX_DEPTH} deep")).into());
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }
}
