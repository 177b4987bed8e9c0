//! What `bindy serve` says: a table of what is served, then every change and every complaint, once.
//!
//! Complaints go to standard error, all else to standard output; with excerpts and colours on a terminal, a line each
//! otherwise.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::Path,
};

use bindy_server::zone::{Node, ZoneData};
use zonefmt::{
    Name, NameRef, Rtype,
    diagnostics::{self, Colour, Diagnostic, Severity},
};

use crate::{
    api::{Kind, ResourceId},
    compile::{Compiler, Verdict, ZoneStep},
    manifest::{Folder, Update},
};

/// Says things, and remembers which verdicts it has told.
pub(super) struct Report {
    out: Style,
    err: Style,
    told: BTreeMap<ResourceId, Verdict>,
}

/// How one of the two streams is written to.
#[derive(Clone, Copy)]
struct Style {
    terminal: bool,
    colour: bool,
}

/// Complaints are told up to this number at a time; whoever has more of them starts with these.
const MOST: usize = 40;

impl Report {
    pub(super) fn new() -> Report {
        let (out, err) = (Style::of(&io::stdout()), Style::of(&io::stderr()));
        Report { out, err, told: BTreeMap::new() }
    }

    /// What is wrong with files that changed.
    pub(super) fn files(&self, update: &Update) {
        for error in &update.unreadable {
            self.failure(&format!("{error}; what it had stays served"));
        }
        self.diagnose(&update.diagnostics);
    }

    /// What became of resources, if that is news.
    pub(super) fn verdicts(&mut self, folder: &Folder, compiler: &Compiler, judged: &BTreeSet<ResourceId>) {
        let mut diagnostics = Vec::new();
        for id in judged {
            let verdict = compiler.verdict(id);
            let Some(verdict) = verdict.as_ref().filter(|verdict| !verdict.findings.is_empty()) else {
                if self.told.remove(id).is_some_and(|told| told.is_loss()) && verdict.is_some() {
                    say(&format!("{id} is served now"));
                }
                continue;
            };
            if self.told.get(id) == Some(verdict) {
                continue;
            }
            diagnostics.extend(folder.manifest(id).into_iter().flat_map(|manifest| {
                verdict.findings.iter().map(|finding| {
                    let lost = if finding.reason.is_loss() { " is not served" } else { "" };
                    let message = format!("{id}{lost}: {finding}");
                    manifest.origin.diagnostic(Severity::Warning, &finding.spec_path(), message)
                })
            }));
            self.told.insert(id.clone(), verdict.clone());
        }
        self.diagnose(&diagnostics);
    }

    /// Everything that is served, where, and what to try.
    pub(super) fn overview(&self, dir: &Path, folder: &Folder, compiler: &Compiler, addresses: &[SocketAddr]) {
        let mut table = vec![["zone", "serial", "names", "records", "from"].map(str::to_owned)];
        for (origin, data) in compiler.zones() {
            let serial = data.serial().map_or_else(String::new, |serial| serial.0.to_string());
            let from = compiler.zone_resource(origin).and_then(|id| folder.manifest(id));
            let from = from.map_or_else(String::new, |manifest| manifest.origin.file().to_owned());
            table.push([origin.to_string(), serial, data.names().to_string(), data.records().to_string(), from]);
        }
        say("");
        self.table(&table);
        let resources = compiler.resources();
        let (zones, records): (Vec<_>, Vec<_>) = resources.partition(|id| id.kind == Kind::Zone);
        let lost = self.told.values().filter(|verdict| verdict.is_loss()).count();
        let lost = if lost == 0 { "all served".to_owned() } else { format!("{lost} not served, see above") };
        say(&format!(
            "\n{} and {} in {}: {lost}",
            count(zones.len(), "zone"),
            count(records.len(), "record resource"),
            count(folder.files(), "file"),
        ));
        if compiler.zones().next().is_none() {
            say(&format!("There is no zone yet: put a DNSZone into {}.", dir.display()));
        }
        let listening: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        say(&format!("Answering on {}, UDP and TCP. Try:", listening.join(", ")));
        for address in addresses.iter().take(1) {
            let (name, rtype) =
                compiler.zones().find_map(|(_, data)| something_to_ask(data)).unwrap_or((Name::root(), Rtype::NS));
            let line = format!("dig @{} -p {} {name} {rtype}", address.ip(), address.port());
            say(&format!("\n    {}\n", self.out.bold(&line)));
        }
        say(&format!("Changes in {} are served at once.", dir.display()));
    }

    /// How zones changed.
    pub(super) fn zones(&self, steps: &[ZoneStep], compiler: &Compiler) {
        for step in steps {
            let origin = self.out.bold(&step.origin.to_string());
            let records = compiler.zone(&step.origin).map_or(0, ZoneData::records);
            say(&match (step.before, step.after) {
                (Some(before), Some(after)) => {
                    let ZoneStep { added, removed, changed, .. } = step;
                    format!("{origin} {} → {}: +{added} −{removed} ~{changed} RRsets", before.0, after.0)
                }
                (None, Some(after)) => format!("{origin} {} is served: {}", after.0, count(records, "record")),
                (_, None) => format!("{origin} is not served any more"),
            });
        }
    }

    /// Something that went wrong as a whole, and what that means.
    pub(super) fn failure(&self, what: &str) {
        complain(&format!("{} {what}", self.err.red("error:")));
    }

    fn diagnose(&self, diagnostics: &[Diagnostic]) {
        // Resources that have no meaning here are no trouble.
        let (notes, troubles): (Vec<_>, Vec<_>) =
            diagnostics.iter().partition(|diagnostic| diagnostic.severity == Severity::Note);
        for note in notes.iter().take(MOST) {
            say(&note.to_string());
        }
        if troubles.is_empty() {
            return;
        }
        if self.err.terminal {
            let colour = if self.err.colour { Colour::Always } else { Colour::Never };
            let shown = diagnostics::render(troubles.iter().take(MOST).copied(), colour);
            let _ = writeln!(io::stderr(), "{shown}");
        } else {
            for trouble in troubles.iter().take(MOST) {
                let _ = writeln!(io::stderr(), "{trouble}");
            }
        }
        if troubles.len() > MOST {
            complain(&format!("{} more of these", troubles.len() - MOST));
        }
    }

    /// Columns as wide as they need to be, numbers to the right.
    fn table<const N: usize>(&self, rows: &[[String; N]]) {
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        for (number, row) in rows.iter().enumerate() {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let numeric = rows.iter().skip(1).all(|row| row[column].bytes().all(|octet| octet.is_ascii_digit()));
                let width = width(column);
                if numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            let line = cells.collect::<Vec<_>>().join("   ");
            let line = line.trim_end();
            say(&if number == 0 { self.out.bold(line) } else { line.to_owned() });
        }
    }
}

/// A reader that went away is no reason to stop serving.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

impl Style {
    fn of(stream: &impl IsTerminal) -> Style {
        let terminal = stream.is_terminal();
        Style { terminal, colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    fn bold(self, text: &str) -> String {
        if self.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn red(self, text: &str) -> String {
        if self.colour { format!("\x1b[1;31m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A question that this zone answers with data: an address if it has one, best the one of `www`, otherwise its SOA.
fn something_to_ask(data: &ZoneData) -> Option<(Name, Rtype)> {
    let origin = data.origin();
    let is_delegated = |name: NameRef<'_>| {
        let ancestors = std::iter::successors(Some(name), |name| name.parent());
        let mut inside = ancestors.take_while(|name| *name != origin);
        inside.any(|name| data.node(name).is_some_and(Node::is_cut))
    };
    let has_address = |name: &Name| {
        let wanted = !name.as_ref().is_wildcard() && name.as_ref() != origin && !is_delegated(name.as_ref());
        wanted && data.rrset(name.as_ref(), Rtype::A).is_some()
    };
    let www = origin.prepend(b"\x03www").ok();
    let host = www.filter(has_address).or_else(|| data.iter().map(Node::owner).find(has_address));
    host.map(|name| (name, Rtype::A)).or_else(|| data.apex().map(|node| (node.owner(), Rtype::SOA)))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
