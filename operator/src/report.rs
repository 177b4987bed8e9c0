//! Reports the outcome for every resource and zone, as a table for people and as JSON for programs.
//!
//! The JSON is an interface: fields may be added, but are never removed or given another meaning.

use std::fmt;

use serde::{Serialize, Serializer};
use zonefmt::{
    Name,
    diagnostics::{Diagnostic, Position, Severity},
};

use crate::{
    api::{Kind, ResourceId},
    compile::{Compiler, Finding, Verdict, ZoneStep},
    manifest::{Folder, Origin, Refused},
    terminal::Terminal,
};

/// The report on a folder of manifests.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The zones that are served here, by name.
    pub zones: Vec<ZoneRow>,
    /// The resources, by namespace, name and kind.
    pub resources: Vec<ResourceRow>,
    /// The errors and warnings about the text of the files.
    pub problems: Vec<Problem>,
}

/// A zone that is served.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneRow {
    /// The name, with the final dot.
    pub zone: String,
    /// The serial.
    pub serial: Option<u32>,
    /// The number of names that have data.
    pub names: usize,
    /// The number of records.
    pub records: usize,
    /// The file that declares the zone.
    pub file: String,
}

/// A resource and its outcome.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRow {
    /// The kind.
    pub kind: Kind,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The file that declares the resource.
    pub file: String,
    /// The line where it starts in that file, from 1.
    pub line: usize,
    /// Whether the resource is served.
    pub outcome: Outcome,
    /// The zones that serve the resource.
    pub zones: Vec<String>,
    /// The errors in the resource, and warnings about it.
    pub findings: Vec<FindingRow>,
}

/// Whether a resource is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every zone that selects the resource serves it.
    Served,
    /// Some of the zones that select the resource serve it.
    Partly,
    /// No zone serves the resource.
    Lost,
    /// The resource is not data; it declares servers.
    Used,
}

/// A finding; see `docs/reasons.md`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingRow {
    /// The name of the reason.
    pub reason: &'static str,
    /// The zone that the finding is about, unless it is about all zones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The field at fault.
    pub field: String,
    /// The file that contains the field.
    pub file: String,
    /// The line of the field, from 1. If the field is absent, this is the line of the resource.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// An error or a warning about the text of a file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `error` if the resource is not used; `warning` if it is.
    #[serde(serialize_with = "in_words")]
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The column, from 1, in characters; 0 for the file as a whole.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Report {
    /// Creates a report on the zones that are served `here`, on all resources, and on these problems.
    pub fn new(
        folder: &Folder,
        compiler: &Compiler,
        diagnostics: &[Diagnostic],
        here: impl Fn(&Name) -> bool,
    ) -> Report {
        let zones = compiler.zones().filter(|(origin, _)| here(origin)).map(|(origin, data)| ZoneRow {
            zone: origin.to_string(),
            serial: data.serial().map(|serial| serial.0),
            names: data.names(),
            records: data.records(),
            file: compiler
                .zone_resource(origin)
                .and_then(|id| folder.manifest(id))
                .map_or_else(String::new, |manifest| manifest.origin.file().to_owned()),
        });
        let zones = zones.collect();
        let read = compiler.resources().filter_map(|id| {
            let origin = folder.manifest(id).map(|manifest| &manifest.origin);
            Some((id, origin, compiler.verdict(id)?))
        });
        let refused = folder.refused().map(|Refused { id, origin, findings }| {
            (id, Some(origin), Verdict { served: Vec::new(), findings: findings.clone() })
        });
        let mut resources: Vec<(&ResourceId, Option<&Origin>, Verdict)> = read.chain(refused).collect();
        resources.sort_by_key(|(id, ..)| *id);
        let row =
            |(id, origin, verdict): (&ResourceId, Option<&Origin>, Verdict)| ResourceRow::new(id, origin, &verdict);
        let resources = resources.into_iter().map(row).collect();
        let problems = diagnostics.iter().filter_map(Problem::new).collect();
        Report { zones, resources, problems }
    }

    /// The number of resources that are data, and so could be served.
    pub fn data(&self) -> usize {
        self.resources.len() - self.count(Outcome::Used)
    }

    /// The number of resources with this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.resources.iter().filter(|row| row.outcome == outcome).count()
    }

    /// Whether everything in the files is served.
    pub fn is_served(&self) -> bool {
        self.count(Outcome::Served) == self.data() && self.problems.iter().all(|p| p.severity != Severity::Error)
    }

    /// Whether there are neither problems nor findings.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.resources.iter().all(|row| row.findings.is_empty())
    }

    /// Prints a table with one line for each resource.
    pub(crate) fn table(&self, terminal: Terminal, wanted: impl Fn(&ResourceRow) -> bool) {
        let heading = ["kind", "resource", "outcome", "zone", "why"].map(str::to_owned);
        let rows = self.resources.iter().filter(|row| wanted(row)).map(|row| {
            let why: Vec<&str> = row.findings.iter().map(|finding| finding.reason).collect();
            let resource = format!("{}/{}", row.namespace, row.name);
            [row.kind.name().to_owned(), resource, row.outcome.name().to_owned(), row.zones.join(" "), why.join(" ")]
        });
        terminal.table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>());
    }
}

/// The findings about a resource, at their places in the manifests.
pub fn explain(folder: &Folder, id: &ResourceId, verdict: &Verdict) -> Vec<Diagnostic> {
    let lines = folder.manifest(id).into_iter().flat_map(|manifest| {
        verdict.findings.iter().map(|finding| {
            let lost = match &finding.zone {
                _ if !finding.reason.is_loss() => String::new(),
                _ if matches!(id.kind, Kind::Infrastructure(_)) => " cannot be used".to_owned(),
                Some(zone) if !verdict.served.is_empty() => format!(" is not served by {zone}"),
                _ => " is not served".to_owned(),
            };
            let message = format!("{id}{lost}: {finding}");
            manifest.origin.diagnostic(Severity::Warning, &finding.spec_path(), message)
        })
    });
    lines.collect()
}

impl ResourceRow {
    /// Creates the row of a resource, from its verdict and the place where it was read.
    pub fn new(id: &ResourceId, origin: Option<&Origin>, verdict: &Verdict) -> ResourceRow {
        ResourceRow {
            kind: id.kind,
            namespace: id.namespace.clone(),
            name: id.name.clone(),
            file: origin.map_or_else(String::new, |origin| origin.file().to_owned()),
            line: origin.map_or(0, Origin::line),
            outcome: Outcome::of(id, verdict),
            zones: verdict.served.iter().map(ToString::to_string).collect(),
            findings: verdict.findings.iter().map(|finding| FindingRow::new(finding, origin)).collect(),
        }
    }
}

impl Outcome {
    /// The outcome that follows from a verdict.
    pub fn of(id: &ResourceId, verdict: &Verdict) -> Outcome {
        match (verdict.is_loss(), verdict.served.is_empty()) {
            (false, _) if matches!(id.kind, Kind::Infrastructure(_)) => Outcome::Used,
            (false, _) => Outcome::Served,
            (true, false) => Outcome::Partly,
            (true, true) => Outcome::Lost,
        }
    }

    /// The outcome in one word.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Served => "served",
            Outcome::Partly => "partly",
            Outcome::Lost => "lost",
            Outcome::Used => "used",
        }
    }
}

impl FindingRow {
    fn new(finding: &Finding, origin: Option<&Origin>) -> FindingRow {
        let position = origin.map(|origin| origin.position(&finding.spec_path()));
        let Position { line, column } = position.unwrap_or(Position { line: 0, column: 0 });
        FindingRow {
            reason: finding.reason.name(),
            zone: finding.zone.as_ref().map(ToString::to_string),
            field: finding.spec_path(),
            file: origin.map_or_else(String::new, |origin| origin.file().to_owned()),
            line,
            column,
            message: finding.message.clone(),
        }
    }
}

impl Problem {
    /// Creates a problem; `None` for a note, which is not a problem.
    pub(crate) fn new(diagnostic: &Diagnostic) -> Option<Problem> {
        if diagnostic.severity == Severity::Note {
            return None;
        }
        let Position { line, column } = diagnostic.position().unwrap_or(Position { line: 0, column: 0 });
        Some(Problem {
            severity: diagnostic.severity,
            file: diagnostic.place.source.name().to_owned(),
            line,
            column,
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
        })
    }
}

/// The change of a zone, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneChange {
    /// The name of the zone, with the final dot.
    pub zone: String,
    /// The serial before the change, unless the zone was not served.
    pub before: Option<u32>,
    /// The serial after the change, unless the zone is no longer served.
    pub after: Option<u32>,
    /// The number of RRsets that were added.
    pub added: usize,
    /// The number of RRsets that were removed.
    pub removed: usize,
    /// The number of RRsets whose records or TTL changed.
    pub changed: usize,
}

impl ZoneChange {
    /// Creates the JSON form of a zone's change.
    pub fn new(step: &ZoneStep) -> ZoneChange {
        let ZoneStep { origin, before, after, added, removed, changed, withdrawn } = step;
        ZoneChange {
            zone: origin.to_string(),
            before: before.map(|serial| serial.0),
            after: after.map(|serial| serial.0),
            added: *added,
            removed: removed + withdrawn,
            changed: *changed,
        }
    }
}

fn in_words<S: Serializer>(word: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(word)
}
