//! `zonefmt convert`: converts zones from one format to another.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use bindy::{
    compile::{Change, Compiler, Finding, Reason, ZoneData},
    manifest::{self, Folder, Unsayable},
    report,
};
use clap::{Args, ValueEnum};
use zonefmt::{
    Class, Name,
    diagnostics::{Diagnostic, Severity, Source},
    terminal::{complain, count},
    zone::{self, FileFormat, RrSets, Serials, write_record},
};

use super::{
    Outcome, Output, Reported, print,
    zone_file::{ZoneOptions, zone_name},
};

/// Converts zones between zone files (text or raw) and manifests, without loss.
///
/// Zone files are checked first. Manifests are read from files and folders. They are `bindy.firestoned.io/v1beta1`
/// resources, and all resources for a zone are put together as Bindy does when it serves it; all records of a name then
/// have it in the same letter case.
#[derive(Args)]
pub(super) struct Arguments {
    /// Zone files, or files and folders of manifests; `-` is standard input, for a zone file.
    #[arg(required = true)]
    files: Vec<String>,
    /// The format to write.
    #[arg(long, short)]
    to: Format,
    /// The format of the files; detected from the files by default.
    #[arg(long, short)]
    from: Option<Format>,
    #[command(flatten)]
    zone: ZoneOptions,
    /// The namespace to write into manifests; none by default, so that `kubectl` decides.
    #[arg(long, short)]
    namespace: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A zone file in canonical layout, with relative names.
    Zone,
    /// One record a line with absolute names, sorted: octet for octet what named-compilezone writes.
    Text,
    /// RRsets in wire form, BIND's `masterfile-format raw`.
    Raw,
    /// Kubernetes manifests: a DNSZone and its records.
    Manifests,
}

/// Zones by name.
type Zones = BTreeMap<Name, RrSets>;

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<Outcome, Reported> {
    let (manifests, files): (Vec<_>, Vec<_>) =
        arguments.files.iter().partition(|file| arguments.format_of(file) == Format::Manifests);
    let mut zones = Zones::new();
    for file in files {
        let (name, zone) = arguments.read_zone_file(file, output)?;
        add(&mut zones, file, name, zone)?;
    }
    if !manifests.is_empty() {
        for (name, zone) in read_manifests(&manifests, output)? {
            add(&mut zones, "the manifests", name, zone)?;
        }
    }
    if let Some(origin) = &arguments.zone.origin {
        zones.retain(|name, _| name == origin);
    }
    if zones.is_empty() {
        return Err(Reported::of(match arguments.zone.origin {
            Some(_) => "there is no zone to write: is --origin right?",
            None => "there is no zone to write: name zone files, or manifests with a DNSZone",
        }));
    }
    match arguments.to {
        Format::Manifests => arguments.print_manifests(&zones),
        Format::Zone => print_one(&zones, |name, zone| zone::write_file(name.as_ref(), zone)),
        Format::Raw => print_one(&zones, |_, zone| zone::write_raw(zone, now())),
        Format::Text => print_one(&zones, |_, zone| {
            let mut text = String::new();
            for record in zone.records() {
                write_record(&record, &mut text);
            }
            text.into_bytes()
        }),
    }
}

/// Adds the zone that `file` has, unless another file had it.
fn add(zones: &mut Zones, file: &str, name: Name, zone: RrSets) -> Result<(), Reported> {
    if zones.contains_key(&name) {
        let message = format_args!("{file}: the zone {name} was in another file already: convert them one by one");
        return Err(Reported::of(message));
    }
    zones.insert(name, zone);
    Ok(())
}

impl Arguments {
    fn format_of(&self, file: &str) -> Format {
        let has_manifests = || Path::new(file).is_dir() || looks_like_manifests(file);
        self.from.unwrap_or(if has_manifests() { Format::Manifests } else { Format::Zone })
    }

    /// Reads and checks a zone file.
    fn read_zone_file(&self, file: &str, output: Output) -> Result<(Name, RrSets), Reported> {
        let source = output.read(file)?;
        if file == "-" && begins_as_manifests(source.text()) {
            return Err(Reported::of(
                "manifests are read from files and folders, not from standard input: write them into a file first",
            ));
        }
        // With several files, --origin says which of their zones to write.
        let told = self.zone.origin.as_ref().filter(|_| self.files.len() == 1);
        let name = zone_name(&source, told, output)?.name;
        let format = match self.from {
            Some(Format::Raw) => FileFormat::Raw,
            Some(_) => FileFormat::Text,
            None => FileFormat::of(source.text()),
        };
        let (zone, report) = self.zone.check(&source, &name, format);
        output.show(report.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()));
        if report.has_errors() { Err(Reported) } else { Ok((name, zone)) }
    }

    fn print_manifests(&self, zones: &Zones) -> Result<Outcome, Reported> {
        if self.zone.class != Class::IN {
            let message = format_args!("manifests are of class IN, and these zones of class {}", self.zone.class);
            return Err(Reported::of(message));
        }
        let mut documents = Vec::new();
        for (name, zone) in zones {
            let text = manifest::write(name, zone, self.namespace.as_deref())
                .map_err(|Unsayable(message)| Reported::of(format_args!("zone {name}: {message}")))?;
            compare(name, zone, &text)?;
            documents.push(text);
        }
        print(documents.join("---\n").as_bytes())
    }
}

/// Whether a file's name is that of manifests, or its content begins like manifests.
fn looks_like_manifests(file: &str) -> bool {
    let path = Path::new(file);
    let named = path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known));
    // Only a regular file can be read a second time.
    named || path.is_file() && fs::File::open(path).is_ok_and(|file| begins_as_manifests(file.take(HEAD)))
}

/// The number of octets to read from the beginning of a file.
const HEAD: u64 = 4096;

fn begins_as_manifests(head: impl Read) -> bool {
    let lines = BufReader::new(head).lines().map_while(Result::ok);
    let mut lines = lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#') && line.trim_end() != "---");
    lines.next().is_some_and(|line| ["apiVersion:", "kind:", "metadata:", "{"].iter().any(|key| line.starts_with(key)))
}

/// Compares manifests with the zone that they were written from, and fails unless they have the same content and a
/// cluster would accept them.
fn compare(name: &Name, zone: &RrSets, manifests: &str) -> Result<(), Reported> {
    let mut compiler = Compiler::default();
    let reading = manifest::read(&Source::new("manifests", manifests));
    let refused: Vec<_> = reading.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).collect();
    for Diagnostic { message, .. } in refused.iter().take(10) {
        complain(format_args!("zone {name}: no cluster would take its manifests, so nothing is written: {message}"));
    }
    if !refused.is_empty() {
        return Err(Reported);
    }
    compiler.apply(reading.manifests.into_iter().map(|manifest| Change::Put(manifest.resource)));
    let nothing = || RrSets::collect(Class::IN, []);
    let compiled = compiler.zone(name).map_or_else(nothing, ZoneData::rrsets);
    let lost: Vec<_> = zone::diff(zone, &compiled, Serials::Compare).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let verdicts = compiler.resources().filter_map(|id| compiler.verdict(id));
    let findings = verdicts.flat_map(|verdict| verdict.findings);
    let matters = |finding: &Finding| finding.reason.is_loss() || finding.reason == Reason::TtlOverridden;
    for finding in findings.filter(matters).take(10) {
        complain(format_args!("zone {name}: as manifests it would have a {finding}"));
    }
    for set in lost.iter().take(10).filter_map(|difference| difference.old.or(difference.new)) {
        complain(format_args!("zone {name}: the {} records of {} would be lost or changed", set.rtype(), set.owner()));
    }
    let sets = count(lost.len(), "RRset");
    Err(Reported::of(format_args!("zone {name}: {sets} would be lost or changed, so nothing is written")))
}

/// Reads manifests and compiles them.
fn read_manifests(paths: &[&String], output: Output) -> Result<Zones, Reported> {
    let mut compiler = Compiler::default();
    let mut folders = Vec::new();
    let mut sound = true;
    for path in paths {
        let mut folder = Folder::new(PathBuf::from(path));
        let update = folder.look().map_err(Reported::of)?;
        let matters = |diagnostic: &&Diagnostic| diagnostic.severity != Severity::Note;
        output.show(update.diagnostics.iter().filter(matters));
        for error in &update.unreadable {
            complain(error);
        }
        sound &= update.unreadable.is_empty() && !update.diagnostics.iter().any(Diagnostic::is_error);
        let again = folder.manifests().filter_map(|manifest| {
            let first = folders.iter().find_map(|folder: &Folder| folder.manifest(&manifest.resource.id))?;
            Some(manifest::duplicate(manifest, first))
        });
        let again: Vec<Diagnostic> = again.collect();
        output.show(&again);
        sound &= again.is_empty();
        compiler.apply(update.changes);
        folders.push(folder);
    }
    for (id, verdict) in compiler.resources().filter_map(|id| Some((id, compiler.verdict(id)?))) {
        sound &= !verdict.is_loss();
        for folder in &folders {
            output.show(&report::explain(folder, id, &verdict));
        }
    }
    if !sound {
        return Err(Reported::of("not all of the manifests would be served, so nothing is written"));
    }
    Ok(compiler.zones().map(|(name, data)| (name.clone(), data.rrsets())).collect())
}

/// Prints the only zone; an error if there are more.
fn print_one(zones: &Zones, write: impl Fn(&Name, &RrSets) -> Vec<u8>) -> Result<Outcome, Reported> {
    let mut names = zones.iter();
    match (names.next(), names.next()) {
        (Some((name, zone)), None) => print(&write(name, zone)),
        _ => {
            let names: Vec<_> = zones.keys().map(ToString::to_string).collect();
            let (zones, names) = (count(zones.len(), "zone"), names.join(" "));
            Err(Reported::of(format_args!("there are {zones}: choose one with --origin: {names}")))
        }
    }
}

/// The current time in seconds since 1970, as raw files have it.
fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
