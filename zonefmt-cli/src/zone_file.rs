//! Zone files as arguments: how each is read, and which zone it is for.

use std::path::{Path, PathBuf};

use clap::Args;
use zonefmt::{
    Class, Name,
    diagnostics::{Diagnostic, Severity, Source},
    zone::{self, CheckNames, Directory, FileFormat, Options, Report, RrSets},
};

use super::{Output, Reported};

/// The options of every command that reads zone files.
#[derive(Args)]
pub(super) struct ZoneOptions {
    /// The zone's name.
    #[arg(long, short)]
    pub origin: Option<Name>,
    /// The zone's class.
    #[arg(long, short, default_value = "IN")]
    pub class: Class,
}

/// A zone's name, and how it was found.
pub(super) struct ZoneName {
    pub name: Name,
    /// The text that follows the name in messages, in parentheses; empty if the name was given.
    pub hint: &'static str,
}

impl ZoneOptions {
    /// Reads a zone file into memory without checking the rules of a whole zone.
    pub(super) fn read(&self, file: &str, output: Output) -> Result<(Name, RrSets), Reported> {
        let source = output.read(file)?;
        let ZoneName { name, .. } = zone_name(&source, self.origin.as_ref(), output)?;
        let format = FileFormat::of(source.text());
        let (sets, report) = self.with_options(&name, format, |options| RrSets::parse(&source, options));
        output.show(report.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()));
        if report.has_errors() {
            return Err(Reported);
        }
        if sets.records().next().is_none() {
            let message = format_args!("{file}: there is no record of the zone {name}: is its name right?");
            return Err(Reported::of(message));
        }
        Ok((name, sets))
    }

    /// Reads a zone file and checks the rules of a whole zone.
    pub(super) fn check(&self, source: &Source, name: &Name, format: FileFormat) -> (RrSets, Report) {
        self.with_options(name, format, |options| RrSets::check(source, options))
    }

    fn with_options<T>(&self, name: &Name, format: FileFormat, read: impl Fn(&Options<'_>) -> T) -> T {
        let includes = Directory(PathBuf::new());
        let check_names = CheckNames::Ignore;
        read(&Options { format, class: self.class, check_names, includes: &includes, ..Options::new(name.as_ref()) })
    }
}

/// The name of the zone in a file: the given one, or else the one in its text, or else the one in the file's name.
pub(super) fn zone_name(source: &Source, told: Option<&Name>, output: Output) -> Result<ZoneName, Reported> {
    let told = told.map(|name| ZoneName { name: name.clone(), hint: "" });
    told.or_else(|| guess(source)).ok_or_else(|| {
        let message = "the zone's name is not known";
        let help = "give it with --origin, or begin the file with $ORIGIN and an absolute name";
        output.show([&Diagnostic::at(Severity::Error, source.whole(), message).help(help)]);
        Reported
    })
}

/// The zone's name in place of the first file, as named-checkzone accepts it.
pub(super) fn leading_origin(text: &str) -> Option<Name> {
    if Path::new(text).exists() { None } else { Name::from_ascii(text).ok() }
}

fn guess(source: &Source) -> Option<ZoneName> {
    if let Some(name) = zone::origin(source) {
        return Some(ZoneName { name, hint: " (its name is from the file's text)" });
    }
    let stem = Path::new(source.name()).file_name()?.to_str()?;
    let stem = ["db.", "named.", "zone."].iter().find_map(|prefix| stem.strip_prefix(prefix)).unwrap_or(stem);
    let endings = [".zone", ".db", ".txt", ".hosts", ".signed"];
    let stem = endings.iter().find_map(|ending| stem.strip_suffix(ending)).unwrap_or(stem);
    let name = Name::from_ascii(stem).ok().filter(|_| stem.contains('.'))?;
    Some(ZoneName { name, hint: " (its name is from the file's name)" })
}
