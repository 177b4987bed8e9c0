//! Rules for zones: each is defined once, with what its type needs and without statements that it has no use for.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    again,
    policies::{self, is_on, takes_updates},
};
use crate::{
    Class, Name, Rtype,
    conf::{Conf, Part, Statement, Statements, grammar::GRAMMAR, values},
    diagnostics::{Diagnostic, Findings},
};

/// Checks all zones. If the text is not a `whole` configuration, its zones may belong to views that are defined
/// elsewhere.
pub(super) fn check(conf: &Conf, whole: bool, findings: &mut Findings) {
    let lists = conf.statements().filter(|found| LISTS.contains(&found.name()));
    let lists = lists.filter_map(|list| Some((ListName::of(list.name(), list.argument()?), list.block()))).collect();
    let options: Vec<_> = conf.statements().find("options").map(Statement::block).into_iter().collect();
    let mut zones = Zones {
        lists,
        whole,
        outer: options.clone(),
        views: FxHashMap::default(),
        files: FxHashMap::default(),
        transports: FxHashSet::default(),
        findings,
    };
    let mut views = conf.statements().all("view").peekable();
    if views.peek().is_none() {
        zones.block(&conf.statements(), None, Class::IN, options.first().unwrap_or(&conf.statements()));
    }
    for view in views {
        zones.outer = [vec![view.block()], options.clone()].concat();
        zones.block(&view.block(), view.argument(), class_of(view), &view.block());
    }
}

/// The class of a view, which follows its name; IN if there is none, or an unknown one.
pub(super) fn class_of(view: Statement<'_>) -> Class {
    let class = view.arguments().nth(1).filter(|part| part.block().is_none());
    class.and_then(|class| class.shown().parse().ok()).unwrap_or(Class::IN)
}

/// Checks a template, whose statements apply to the members of catalogs: these are secondary zones, with files of names
/// that the server chooses.
pub(super) fn template(template: Statement<'_>, findings: &mut Findings) {
    for statement in template.block() {
        let is_secondary = |kind: Part<'_>| kind.is("secondary") || kind.is("slave");
        match statement.name() {
            "type" if !statement.argument().is_some_and(is_secondary) => {
                let error = statement.error("a template is for the members of catalogs, which are secondary zones");
                findings.push(error.help("write `type secondary`, or leave it out"));
            }
            "file" | "journal" => {
                let error = statement.error(format!("`{}` would be the same for all zones", statement.name()));
                findings.push(error.help("remove it: `catalog-zones` names the directory of the members' files"));
            }
            _ => {}
        }
    }
}

/// The error for a `forward` without servers to forward to in the same block.
pub(super) fn forwards_nowhere(block: Statement<'_>) -> Option<Diagnostic> {
    let forward = block.block().find("forward")?;
    let nowhere = block.block().find("forwarders").is_none();
    nowhere
        .then(|| forward.error("`forward` without `forwarders`").help("add `forwarders { ADDRESS; };`, or remove it"))
}

/// The statements that contain lists of servers.
const LISTS: [&str; 3] = ["primaries", "masters", "parental-agents"];

/// The name of a list of servers. Lists of primaries and of parental agents are different kinds.
#[derive(PartialEq, Eq, Hash)]
struct ListName {
    of_agents: bool,
    name: Vec<u8>,
}

impl ListName {
    fn of(statement: &str, name: Part<'_>) -> ListName {
        ListName { of_agents: statement == "parental-agents", name: name.text().to_ascii_lowercase() }
    }
}

struct Zones<'c, 'f> {
    whole: bool,
    lists: FxHashMap<ListName, Statements<'c>>,
    /// The blocks that the zones inherit from, the nearest one first.
    outer: Vec<Statements<'c>>,
    /// The zones that are defined in each view itself, with the view's class.
    views: FxHashMap<Vec<u8>, (Class, FxHashSet<Name>)>,
    /// The files of zones, and whether a zone writes to them.
    files: FxHashMap<Vec<u8>, (bool, Part<'c>)>,
    /// The unknown transports that are reported; many zones may inherit the same.
    transports: FxHashSet<u32>,
    findings: &'f mut Findings,
}

impl<'c> Zones<'c, '_> {
    /// Checks the zones of a view, or those outside of views. `settings` are the statements that apply to all of them.
    fn block(&mut self, statements: &Statements<'c>, view: Option<Part<'c>>, class: Class, settings: &Statements<'c>) {
        let zones = statements.all("zone").count();
        let mut seen = FxHashMap::with_capacity_and_hasher(zones, rustc_hash::FxBuildHasher);
        let (mut own, mut held) = (FxHashSet::default(), FxHashSet::default());
        for zone in statements.all("zone") {
            if self.findings.is_full() {
                return;
            }
            let Some(name) = zone.argument() else { continue };
            match Name::from_ascii(name.text()) {
                Ok(origin) => {
                    // Hints are not a zone of their own.
                    let is_hint =
                        zone.block().find("type").and_then(Statement::argument).is_some_and(|kind| kind.is("hint"));
                    if let Some(first) = seen.insert((is_hint, origin.clone()), name) {
                        self.findings.push(again("the zone", name, first));
                    }
                    if let Some(kind) = self.zone(zone, name, &origin, class) {
                        if matches!(kind, "primary" | "secondary") {
                            held.insert(origin.clone());
                        }
                        own.insert(origin);
                    }
                }
                Err(error) => self.findings.push(name.error(format!("`{}` is no domain name: {error}", name.shown()))),
            }
        }
        self.zones_of_policies_and_catalogs(settings, &held);
        if let Some(view) = view {
            self.views.insert(view.text().into_owned(), (class, own));
        }
    }

    /// Checks a zone and returns its type, unless the zone is defined in another view.
    fn zone(&mut self, zone: Statement<'c>, name: Part<'c>, origin: &Name, class: Class) -> Option<&'static str> {
        if let Some(written) = zone.arguments().nth(1).filter(|part| part.block().is_none()) {
            match written.shown().parse::<Class>() {
                Ok(own) if own == class => {}
                Ok(_) => {
                    self.findings
                        .push(written.error(format!("the class of a zone has to be its view's, which is {class}")));
                }
                Err(_) => self.findings.push(written.error(format!("`{}` is no class", written.shown()))),
            }
        }
        if let Some(view) = zone.block().find("in-view") {
            self.in_view(zone, view, origin, class);
            return None;
        }
        let Some(written) = zone.block().find("type").and_then(Statement::argument) else {
            self.findings.push(zone.error("the zone has no `type`").help("add `type primary;`"));
            return None;
        };
        let kind = match &*written.text() {
            text if text.eq_ignore_ascii_case(b"master") => GRAMMAR.place(b"primary"),
            text if text.eq_ignore_ascii_case(b"slave") => GRAMMAR.place(b"secondary"),
            text => GRAMMAR.place(text),
        };
        // The types of zone are places in the grammar's table.
        let place = kind?;
        let kind = GRAMMAR.place_name(place);
        for statement in zone.block() {
            if !statement.may_stand_in(place) {
                let error = statement.error(format!("`{}` has no meaning in a {kind} zone", statement.name()));
                self.findings.push(error.related(written.place(), "its type"));
            }
        }
        self.needs(zone, kind, name, origin);
        self.servers(zone);
        self.agrees(zone, kind);
        self.static_stub(zone, origin);
        self.transport(zone, kind);
        policies::zone(zone, kind, &self.outer, self.findings);
        for rule in zone.block().all("update-policy").flat_map(Statement::block) {
            if let Some(error) = update_rule(rule) {
                self.findings.push(error);
            }
        }
        // Where zones are added one by one, the server sees to it that no two write to one file.
        if self.whole {
            self.file(zone, kind);
        }
        Some(kind)
    }

    /// Checks that the transport of the `allow-transfer` that holds for a zone exists. As in BIND, one that holds for no
    /// zone is not looked at.
    fn transport(&mut self, zone: Statement<'c>, kind: &str) {
        if !matches!(kind, "primary" | "secondary" | "mirror") {
            return;
        }
        let own = zone.block().find("allow-transfer");
        let list = own.or_else(|| self.outer.iter().find_map(|outer| outer.find("allow-transfer")));
        let Some(transport) = list.and_then(|list| list.arguments().behind("transport")) else { return };
        if !transport.is("tcp") && !transport.is("tls") && self.transports.insert(transport.at) {
            let error = transport.error(format!("no zone is transferred over `{}`", transport.shown()));
            self.findings.push(error.help("write `tcp` or `tls`"));
        }
    }

    /// Checks that policy zones and catalog zones are defined here, and that a catalog is named only once.
    fn zones_of_policies_and_catalogs(&mut self, settings: &Statements<'c>, held: &FxHashSet<Name>) {
        let mut catalogs = FxHashMap::default();
        for (statement, once) in [("response-policy", false), ("catalog-zones", true)] {
            for entry in settings.find(statement).into_iter().flat_map(Statement::block) {
                let Some(name) = entry.arguments().nth(1) else { continue };
                let Ok(origin) = Name::from_ascii(name.text()) else { continue };
                if !held.contains(&origin) {
                    let error = name.error(format!("there is no primary or secondary zone `{}` here", name.shown()));
                    self.findings.push(error.help(format!("`{statement}` names zones that are defined beside it")));
                }
                if once && let Some(first) = catalogs.insert(origin, name) {
                    self.findings.push(again("the catalog", name, first));
                }
                let parts = entry.arguments();
                if let (Some(_), Some(former)) = (parts.behind("default-primaries"), parts.behind("default-masters")) {
                    let error = former.error("`default-masters` beside `default-primaries`");
                    self.findings.push(error.help("they are the same: write one list"));
                }
            }
        }
    }

    /// Checks that a zone has what its type needs.
    fn needs(&mut self, zone: Statement<'c>, kind: &str, name: Part<'c>, origin: &Name) {
        let is_root = origin.as_ref().is_root();
        let missing: &[&str] = match kind {
            "primary" => &["file", "database", "dlz"],
            "hint" => &["file"],
            "secondary" | "stub" => &["primaries", "masters"],
            "mirror" if !is_root => &["primaries", "masters"],
            "redirect" if !is_root => {
                return self.findings.push(name.error("a redirect zone has another name than `.`").help("call it `.`"));
            }
            _ => return,
        };
        if !zone.block().any(|statement| missing.contains(&statement.name())) {
            self.findings.push(zone.error(format!("a {kind} zone needs `{}`", missing[0])));
        }
    }

    /// Checks that the lists of servers that a zone refers to contain servers.
    fn servers(&mut self, zone: Statement<'c>) {
        let primaries: Vec<_> = zone.block().filter(|found| ["primaries", "masters"].contains(&found.name())).collect();
        if let [first, second, ..] = primaries[..]
            && first.name() != second.name()
        {
            let error = second.error(format!("`{}` beside `{}`", second.name(), first.name()));
            self.findings.push(error.related(first.place(), "the other one").help("they are the same: write one list"));
        }
        for list in primaries.into_iter().chain(zone.block().all("parental-agents")) {
            if !self.has_servers(list) {
                self.findings
                    .push(list.error(format!("the list of `{}` is empty", list.name())).help("add an address"));
            }
        }
    }

    /// Whether a list, or a list that it refers to, contains an address.
    fn has_servers(&self, list: Statement<'c>) -> bool {
        let (mut lists, mut named) = (vec![list.block()], FxHashSet::default());
        while let Some(servers) = lists.pop() {
            for server in servers.filter_map(Statement::argument) {
                if values::ipv4(&server.text()).is_some() || values::ipv6(&server.text()).is_some() {
                    return true;
                }
                let name = ListName::of(list.name(), server);
                match self.lists.get(&name) {
                    Some(servers) if named.insert(name) => lists.push(servers.clone()),
                    Some(_) => {}
                    // A list that is not defined is reported elsewhere.
                    None => return true,
                }
            }
        }
        false
    }

    /// Checks that the statements of a zone go together.
    fn agrees(&mut self, zone: Statement<'c>, kind: &str) {
        let block = zone.block();
        let notify = block.find("notify").and_then(Statement::argument);
        if let Some(notify) = notify.filter(|_| kind == "mirror")
            && !notify.is("explicit")
            && values::yes_no(&notify.text()) != Some(false)
        {
            self.findings
                .push(notify.error("a mirror zone notifies nobody of itself").help("write `no` or `explicit`"));
        }
        let recursion = self.outer.iter().find_map(|outer| outer.find("recursion")).and_then(Statement::argument);
        if kind == "mirror" && recursion.is_some_and(|value| values::yes_no(&value.text()) == Some(false)) {
            self.findings
                .push(zone.error("a mirror zone is for recursion, which is off").help("make it `type secondary`"));
        }
        if kind == "secondary" && is_on(block.find("inline-signing")) && block.find("file").is_none() {
            let error = zone.error("a secondary zone that is signed here needs `file`");
            self.findings.push(error.help("add one: the signatures are kept in it"));
        }
        if let (Some(policy), Some(update)) = (block.find("update-policy"), block.find("allow-update")) {
            let error = update.error("`allow-update` beside `update-policy`");
            self.findings.push(error.related(policy.place(), "the other one").help("remove one of them"));
        }
        if let Some(error) = forwards_nowhere(zone) {
            self.findings.push(error);
        }
    }

    /// Checks that the servers of a static-stub zone can be found without asking those servers.
    fn static_stub(&mut self, zone: Statement<'c>, origin: &Name) {
        let list =
            |name| zone.block().find(name).into_iter().flat_map(Statement::block).filter_map(Statement::argument);
        for address in list("server-addresses").filter(|address| address.text().contains(&b'%')) {
            self.findings.push(address.error("the address has a scope").help("write it without `%` and what follows"));
        }
        for name in list("server-names") {
            if Name::from_ascii(name.text()).is_ok_and(|name| name.as_ref().is_at_or_below(origin.as_ref())) {
                let error = name.error(format!("`{}` lies in the zone that it serves", name.shown()));
                self.findings.push(error.help("write its addresses in `server-addresses`"));
            }
        }
    }

    /// Checks that no other zone uses a file that one zone writes to.
    fn file(&mut self, zone: Statement<'c>, kind: &str) {
        let block = zone.block();
        let Some(file) = block.find("file").and_then(Statement::argument) else { return };
        let on = |name| block.find(name).and_then(Statement::argument).is_some_and(|value| !value.is("none"));
        let inline = is_on(block.find("inline-signing"));
        let writes = match kind {
            "primary" => {
                on("update-policy") || takes_updates(block.find("allow-update")) || on("dnssec-policy") || inline
            }
            "secondary" | "mirror" => true,
            _ => return,
        };
        match self.files.get(&*file.text()) {
            Some(&(others, first)) if writes || others => {
                let error = file
                    .error(format!("another zone has the file `{}`, and one of the two writes to it", file.shown()));
                self.findings.push(error.related(first.place(), "the other one").help("give each a file of its own"));
            }
            Some(_) => {}
            None => drop(self.files.insert(file.text().into_owned(), (writes, file))),
        }
    }

    /// Checks that `in-view` refers to a zone of an earlier view.
    fn in_view(&mut self, zone: Statement<'c>, view: Statement<'c>, origin: &Name, class: Class) {
        for other in zone.block().filter(|found| !["in-view", "forward", "forwarders"].contains(&found.name())) {
            let error = other.error(format!("`{}` beside `in-view`", other.name()));
            self.findings.push(error.help("write it where the zone is defined"));
        }
        let Some(name) = view.argument().filter(|_| self.whole) else { return };
        let known = self.views.get(&*name.text());
        if !known.is_some_and(|(other, zones)| *other == class && zones.contains(origin)) {
            let error = name.error(format!("there is no zone {origin} in a view `{}` before this one", name.shown()));
            self.findings.push(error.help("define it there, and that view first"));
        }
    }
}

/// The error in a rule of `update-policy`, whose names must be valid names and whose types must be known.
fn update_rule(rule: Statement<'_>) -> Option<Diagnostic> {
    let mut parts = rule.arguments().skip(1);
    let (identity, matching) = (parts.next()?, parts.next()?);
    let types: Vec<_> = if matching.is("zonesub") {
        parts.collect()
    } else {
        let name = parts.next()?;
        let same = || Name::from_ascii(name.text()).ok() == Name::from_ascii(identity.text()).ok();
        let is = |words: &[&str]| words.iter().any(|word| matching.is(word));
        let is_dot = &*name.text() == b".";
        if is(&["wildcard"]) && !name.text().starts_with(b"*.") && &*name.text() != b"*" {
            return Some(name.error(format!("`{}` is no wildcard", name.shown())).help("write `*.` before it"));
        }
        if is(&["self", "selfsub", "selfwild"]) && !is_dot && !same() {
            let error = name.error(format!("the name is not that of the key, `{}`", identity.shown()));
            return Some(error.help("write `.`: the name has no meaning here"));
        }
        if is(&["krb5-self", "krb5-selfsub", "ms-self", "ms-selfsub", "tcp-self", "6to4-self"]) && !is_dot {
            return Some(name.error("the name has no meaning here").help("write `.`"));
        }
        parts.collect()
    };
    types.into_iter().find_map(update_type)
}

/// The error in a type of a rule of `update-policy`: `A`, or `A(5)` for at most five records.
fn update_type(part: Part<'_>) -> Option<Diagnostic> {
    let shown = part.shown();
    let (mnemonic, most) = shown.split_once('(').unwrap_or((&shown, ")"));
    if mnemonic.parse::<Rtype>().is_err() {
        return Some(part.error(format!("`{shown}` is no record type")));
    }
    let counts = |most: &str| most.is_empty() || most.parse::<u16>().is_ok();
    if most.strip_suffix(')').is_some_and(counts) {
        return None;
    }
    Some(part.error(format!("`{shown}` does not say how many records")).help("write at most 65535, as in `TXT(1)`"))
}
