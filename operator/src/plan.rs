//! `bindy plan`: shows what a change of manifests would do to the zones, RRset by RRset.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::ExitCode,
};

use bindy_server::zone::{Difference, Node, Rrset, ZoneData};
use serde::Serialize;
use zonefmt::{
    Name, Rtype, Serial,
    diagnostics::{Diagnostic, Severity},
    rdata::{self, Soa, Style},
};

use crate::{
    api::{self, FieldError, ResourceId},
    compile::{Change, Compiler},
    manifest::{Folder, FolderError},
    report::ZoneChange,
    terminal::{Output, Terminal, count, json, say},
};

/// The arguments of `bindy plan`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The manifests before the change: a folder, or a single file.
    old: PathBuf,
    /// The manifests after the change.
    new: PathBuf,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// The change of a zone.
#[derive(Debug, Serialize)]
struct ZonePlan {
    #[serde(flatten)]
    change: ZoneChange,
    rrsets: Vec<RrsetPlan>,
}

/// The change of an RRset: its records before and after, in presentation form.
#[derive(Debug, Serialize)]
struct RrsetPlan {
    name: String,
    r#type: String,
    old: Option<Records>,
    new: Option<Records>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Records {
    ttl: u32,
    rdata: Vec<String>,
}

/// Compares the manifests and prints the plan. The exit code is 1 if a cluster would refuse the change, or if something
/// could not be read, so that the plan shows it as absent.
pub fn run(options: &Options) -> Result<ExitCode, FolderError> {
    let terminal = Terminal::new();
    let ((old, old_sound), (new, new_sound)) = (read(&options.old, terminal)?, read(&options.new, terminal)?);
    let refused: Vec<Diagnostic> = new.resources().flat_map(|resource| refused(&old, &new, &resource.id)).collect();
    terminal.complain(&refused);
    let mut compiler = Compiler::default();
    compiler.apply(old.resources().cloned().map(Change::Put));
    let before: BTreeMap<Name, ZoneData> =
        compiler.zones().map(|(origin, data)| (origin.clone(), data.clone())).collect();
    let gone = old.resources().map(|resource| &resource.id).filter(|id| new.manifest(id).is_none());
    let changes = gone.cloned().map(Change::Remove).chain(new.resources().cloned().map(Change::Put));
    let step = compiler.apply(changes);
    let plans = step.zones.iter().map(|zone| {
        let nothing = ZoneData::new(zone.origin.clone());
        let (old, new) = (before.get(&zone.origin), compiler.zone(&zone.origin));
        ZonePlan { change: ZoneChange::new(zone), rrsets: rrsets(old.unwrap_or(&nothing), new.unwrap_or(&nothing)) }
    });
    let plans: Vec<ZonePlan> = plans.collect();
    match options.output {
        Output::Json => json(&plans),
        Output::Text => print(terminal, &plans),
    }
    Ok(if old_sound && new_sound && refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads the manifests of a folder, and returns whether all could be read. Those that cannot be read are reported and
/// left out of the plan.
fn read(dir: &Path, terminal: Terminal) -> Result<(Folder, bool), FolderError> {
    let mut folder = Folder::new(dir.to_owned());
    let update = folder.look()?;
    update.unreadable.iter().for_each(|error| terminal.failure(&error.to_string()));
    terminal.complain(&update.diagnostics);
    let sound = update.unreadable.is_empty() && !update.diagnostics.iter().any(Diagnostic::is_error);
    Ok((folder, sound))
}

/// Why a cluster would refuse such a change of a resource.
fn refused(old: &Folder, new: &Folder, id: &ResourceId) -> Vec<Diagnostic> {
    let (Some(old), Some(new)) = (old.manifest(id), new.manifest(id)) else { return Vec::new() };
    let refusals = api::refusals_of_change(&old.resource, &new.resource).into_iter();
    refusals
        .map(|FieldError { path, message, .. }| {
            let path = if path.is_empty() { "spec".to_owned() } else { format!("spec.{path}") };
            new.origin.diagnostic(Severity::Error, &path, format!("{id}: {message}"))
        })
        .collect()
}

/// The RRsets that differ, in canonical order, without regard to serials.
fn rrsets(old: &ZoneData, new: &ZoneData) -> Vec<RrsetPlan> {
    let style = Style::FULL.relative_to(old.origin());
    let mut plans = Vec::new();
    for difference in old.differences(new) {
        let (before, after) = match difference {
            Difference::Removed(node) => (Some(node), None),
            Difference::Added(node) => (None, Some(node)),
            Difference::Changed { old, new } => (Some(old), Some(new)),
        };
        let (before, after) = (sets(before), sets(after));
        let types: BTreeSet<Rtype> = before.keys().chain(after.keys()).copied().collect();
        for rtype in types {
            let (old, new) = (before.get(&rtype).copied(), after.get(&rtype).copied());
            if old.map(content) != new.map(content) {
                let mut name = String::new();
                style.write_name(difference.node().owner().as_ref(), &mut name);
                let records = |set: Option<Rrset<'_>>| set.map(|set| Records::new(set, &style));
                plans.push(RrsetPlan { name, r#type: rtype.to_string(), old: records(old), new: records(new) });
            }
        }
    }
    plans
}

fn sets(node: Option<Node<'_>>) -> BTreeMap<Rtype, Rrset<'_>> {
    node.into_iter().flat_map(Node::rrsets).map(|set| (set.rtype, set)).collect()
}

/// The TTL and data by which two RRsets are compared. The serial is left out, because it follows from the rest of the
/// zone.
fn content(set: Rrset<'_>) -> (u32, Vec<Vec<u8>>) {
    let data = |record: &[u8]| match set.rtype {
        Rtype::SOA => Soa::with_serial(record, Serial(0)),
        _ => record.to_vec(),
    };
    (set.ttl, set.rdatas().map(data).collect())
}

/// Prints a heading for each zone, and a line for each record that is removed or added.
fn print(terminal: Terminal, plans: &[ZonePlan]) {
    for ZonePlan { change, rrsets } in plans {
        let ZoneChange { zone, before, after, added, removed, changed } = change;
        let serial = |serial: &Option<u32>| serial.map_or_else(|| "nothing".to_owned(), |serial| serial.to_string());
        let zone = terminal.bold(zone);
        say(&format!("{zone} {} → {}: +{added} −{removed} ~{changed} RRsets", serial(before), serial(after)));
        for RrsetPlan { name, r#type, old, new } in rrsets {
            let line = |sign: char, ttl: u32, rdata: &str| format!("  {sign} {name} {ttl} {type} {rdata}");
            let differing = |these: &Option<Records>, others: &Option<Records>| -> Vec<(u32, String)> {
                let kept = |ttl: u32, rdata: &String| {
                    others.as_ref().is_some_and(|other| other.ttl == ttl && other.rdata.contains(rdata))
                };
                let these = these.iter().flat_map(|set| set.rdata.iter().map(move |rdata| (set.ttl, rdata)));
                these.filter(|(ttl, rdata)| !kept(*ttl, rdata)).map(|(ttl, rdata)| (ttl, rdata.clone())).collect()
            };
            for (ttl, rdata) in differing(old, new) {
                say(&terminal.red(&line('-', ttl, &rdata)));
            }
            for (ttl, rdata) in differing(new, old) {
                say(&terminal.green(&line('+', ttl, &rdata)));
            }
        }
    }
    let sum = |number: fn(&ZoneChange) -> usize| plans.iter().map(|plan| number(&plan.change)).sum::<usize>();
    let (added, removed, changed) = (sum(|zone| zone.added), sum(|zone| zone.removed), sum(|zone| zone.changed));
    say(&match plans.len() {
        0 => "No zone changes.".to_owned(),
        zones => format!("{}: +{added} −{removed} ~{changed} RRsets", count(zones, "zone")),
    });
}

impl Records {
    fn new(set: Rrset<'_>, style: &Style<'_>) -> Records {
        let text = |record: &[u8]| {
            let mut text = String::new();
            rdata::write_text(set.rtype, record, style, &mut text);
            text
        };
        Records { ttl: set.ttl, rdata: set.rdatas().map(text).collect() }
    }
}
