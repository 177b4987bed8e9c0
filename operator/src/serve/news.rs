//! The output of `bindy serve`: first what is served, then every change and every error once; or the same as JSON, one
//! event a line.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
};

use bindy_server::zone::{Node, ZoneData};
use serde::Serialize;
use zonefmt::{Name, NameRef, Rtype, diagnostics::Severity};

use crate::{
    api::{Kind, ResourceId},
    compile::{Compiler, Verdict, ZoneStep},
    manifest::{Folder, Update},
    report::{Outcome, Problem, Report, ResourceRow, ZoneChange, explain},
    terminal::{Output, Terminal, count, json, say},
};

/// Prints events, and remembers which verdicts it has reported.
pub(super) struct News {
    terminal: Terminal,
    output: Output,
    told: BTreeMap<ResourceId, Verdict>,
}

/// A line of JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
enum Event<'a> {
    /// Serving began.
    Serving { addresses: Vec<String>, report: &'a Report },
    /// A resource is new, or has another verdict now.
    Resource(ResourceRow),
    /// A resource is gone.
    Removed { kind: Kind, namespace: &'a str, name: &'a str },
    /// A new version of a zone is served.
    Zone(ZoneChange),
    /// A file has an error or a warning.
    Problem(Problem),
    /// A file that had errors has none now.
    Mended { file: String },
    /// A file that had errors is gone.
    Gone { file: String },
    /// Something failed as a whole.
    Failure { message: &'a str },
    /// What had failed works again.
    Recovered,
    /// Serving ended.
    Stopped,
}

/// The most resources that are all listed at the start. If there are more, only those with findings are listed.
const FEW: usize = 40;

impl News {
    pub(super) fn new(output: Output) -> News {
        News { terminal: Terminal::new(), output, told: BTreeMap::new() }
    }

    /// Reports errors in files that changed.
    pub(super) fn files(&self, update: &Update) {
        for error in &update.unreadable {
            self.failure(&format!("{error}; what it had stays served"));
        }
        for path in &update.mended {
            let file = path.display().to_string();
            match self.output {
                Output::Text => say(&format!("{file} is right again")),
                Output::Json => json(&Event::Mended { file }),
            }
        }
        for path in &update.gone {
            let file = path.display().to_string();
            match self.output {
                Output::Text => say(&format!("{file} is gone, and its errors with it")),
                Output::Json => json(&Event::Gone { file }),
            }
        }
        match self.output {
            Output::Text => self.terminal.diagnose(&update.diagnostics),
            Output::Json => {
                let problems = update.diagnostics.iter().filter_map(Problem::new);
                problems.for_each(|problem| json(&Event::Problem(problem)));
            }
        }
    }

    /// Reports the verdicts on resources, if they changed.
    pub(super) fn verdicts(&mut self, folder: &Folder, compiler: &Compiler, judged: &BTreeSet<ResourceId>) {
        let mut complaints = Vec::new();
        for id in judged {
            let verdict = compiler.verdict(id);
            let former = match &verdict {
                Some(verdict) => self.told.insert(id.clone(), verdict.clone()),
                None => self.told.remove(id),
            };
            if former == verdict {
                continue;
            }
            match (&verdict, self.output) {
                (None, Output::Text) => {}
                (None, Output::Json) => {
                    let (kind, namespace, name) = (id.kind, &id.namespace, &id.name);
                    json(&Event::Removed { kind, namespace, name });
                }
                (Some(verdict), Output::Json) => {
                    let origin = folder.manifest(id).map(|manifest| &manifest.origin);
                    json(&Event::Resource(ResourceRow::new(id, origin, verdict)));
                }
                (Some(verdict), Output::Text) if verdict.findings.is_empty() => {
                    if former.is_some_and(|former| former.is_loss()) {
                        say(&format!("{id} is served now"));
                    }
                }
                (Some(verdict), Output::Text) => complaints.extend(explain(folder, id, verdict)),
            }
        }
        self.terminal.diagnose(&complaints);
    }

    /// Reports the start: everything that was found when the folder was first read.
    pub(super) fn serving(&mut self, folder: &Folder, compiler: &Compiler, first: &Update, at: &Place<'_>) {
        let report = Report::new(folder, compiler, &first.diagnostics, at.serves);
        let addresses: Vec<String> = at.addresses.iter().map(SocketAddr::to_string).collect();
        match self.output {
            Output::Json => {
                self.told = compiler.resources().filter_map(|id| Some((id.clone(), compiler.verdict(id)?))).collect();
                json(&Event::Serving { addresses, report: &report });
            }
            Output::Text => {
                self.files(first);
                self.verdicts(folder, compiler, &compiler.resources().cloned().collect());
                self.overview(folder, compiler, &report, first, at);
            }
        }
    }

    /// Prints what is served, where, and a query to try.
    fn overview(&self, folder: &Folder, compiler: &Compiler, report: &Report, first: &Update, at: &Place<'_>) {
        let terminal = self.terminal;
        let addresses: Vec<String> = at.addresses.iter().map(SocketAddr::to_string).collect();
        say("");
        if report.resources.len() <= FEW || report.resources.iter().any(|row| !row.findings.is_empty()) {
            report.table(terminal, |row| report.resources.len() <= FEW || !row.findings.is_empty());
            say("");
        }
        let heading = ["zone", "serial", "names", "records", "from"].map(str::to_owned);
        let rows = report.zones.iter().map(|row| {
            let serial = row.serial.map_or_else(String::new, |serial| serial.to_string());
            [row.zone.clone(), serial, row.names.to_string(), row.records.to_string(), row.file.clone()]
        });
        terminal.table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>());
        let zones = compiler.resources().filter(|id| id.kind == Kind::Zone).count();
        let records = compiler.resources().filter(|id| matches!(id.kind, Kind::Record(_))).count();
        let lost = report.data() - report.count(Outcome::Served);
        let errors = first.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        let lost = match lost {
            0 if errors || !first.unreadable.is_empty() => {
                "all served; what has errors is not among them, see above".into()
            }
            0 => "all served".to_owned(),
            lost => format!("{lost} not served, see above"),
        };
        say(&format!(
            "\n{} and {} in {}: {lost}",
            count(zones, "zone"),
            count(records, "record resource"),
            count(folder.files(), "file"),
        ));
        let elsewhere = compiler.zones().count() - report.zones.len();
        if elsewhere > 0 {
            say(&format!("{} for other servers, and not served here", count(elsewhere, "zone")));
        } else if report.zones.is_empty() {
            say(&format!("There is no zone yet: put a DNSZone into {}.", at.dir.display()));
        }
        say(&format!("Answering on {}, UDP and TCP. Try:", addresses.join(", ")));
        for address in at.addresses.iter().take(1) {
            let mut here = compiler.zones().filter(|(origin, _)| (at.serves)(origin));
            let (name, rtype) = here.find_map(|(_, data)| something_to_ask(data)).unwrap_or((Name::root(), Rtype::NS));
            let line = format!("dig @{} -p {} {name} {rtype}", address.ip(), address.port());
            say(&format!("\n    {}\n", terminal.bold(&line)));
        }
        say(&format!("Changes in {} are served at once.", at.dir.display()));
        say(&format!("Serials are kept in {}. Ctrl-C stops.", at.state.display()));
    }

    /// Reports how zones changed.
    pub(super) fn zones(&self, steps: &[ZoneStep], compiler: &Compiler) {
        for step in steps {
            if self.output == Output::Json {
                json(&Event::Zone(ZoneChange::new(step)));
                continue;
            }
            let origin = self.terminal.bold(&step.origin.to_string());
            let records = compiler.zone(&step.origin).map_or(0, ZoneData::records);
            say(&match (step.before, step.after) {
                (Some(before), Some(after)) => {
                    let (ZoneStep { added, changed, .. }, removed) = (step, step.removed + step.withdrawn);
                    format!("{origin} {} → {}: +{added} −{removed} ~{changed} RRsets", before.0, after.0)
                }
                (None, Some(after)) => format!("{origin} {} is served: {}", after.0, count(records, "record")),
                (_, None) => format!("{origin} is not served any more"),
            });
        }
    }

    /// Reports that something failed as a whole, and what that means.
    pub(super) fn failure(&self, what: &str) {
        match self.output {
            Output::Text => self.terminal.failure(what),
            Output::Json => json(&Event::Failure { message: what }),
        }
    }

    /// Reports that what had failed works again.
    pub(super) fn recovered(&self) {
        match self.output {
            Output::Text => say("That works again."),
            Output::Json => json(&Event::Recovered),
        }
    }

    /// Reports the end.
    pub(super) fn stopped(&self) {
        match self.output {
            Output::Text => say("Stopped."),
            Output::Json => json(&Event::Stopped),
        }
    }
}

/// Where zones are served.
pub(super) struct Place<'a> {
    pub(super) dir: &'a Path,
    pub(super) state: &'a Path,
    pub(super) addresses: &'a [SocketAddr],
    /// Whether a zone is served here.
    pub(super) serves: &'a dyn Fn(&Name) -> bool,
}

/// A question that the zone answers with data: an address if it has one, preferably that of `www`, and otherwise its
/// SOA.
fn something_to_ask(data: &ZoneData) -> Option<(Name, Rtype)> {
    let origin = data.origin();
    let is_delegated = |name: NameRef<'_>| {
        let mut inside = name.ancestors(origin).filter(|name| *name != origin);
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
