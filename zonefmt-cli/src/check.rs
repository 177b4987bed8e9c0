//! `zonefmt check`: reports mistakes in zone files.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use zonefmt::{
    Name, Serial,
    diagnostics::Diagnostic,
    terminal::count,
    zone::{self, CheckNames, Directory, FileFormat, Options, Record, Refusal},
};

use super::{
    Outcome, Output, Reported, each_file, print,
    zone_file::{ZoneName, ZoneOptions, leading_origin, zone_name},
};

/// Checks zone files: their syntax, and the rules for a whole zone that named-checkzone has.
///
/// Use `zonefmt check FILE…`, with each zone's name from --origin, from the file ($ORIGIN and SOA) or from the file's
/// name; or `zonefmt check ORIGIN FILE`, as with named-checkzone.
/// Relative paths in $INCLUDE start at the working directory.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Arguments {
    /// The zone files; `-` is standard input.
    #[arg(required = true)]
    files: Vec<String>,
    #[command(flatten)]
    zone: ZoneOptions,
    /// What to do with names that are not host names where one is required; named refuses them in primary zones.
    #[arg(long, short = 'k', default_value = "warn")]
    check_names: Names,
    /// Show errors only.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Names {
    Fail,
    Warn,
    Ignore,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<Outcome, Reported> {
    if let (None, [origin, file]) = (&arguments.zone.origin, &arguments.files[..])
        && let Some(name) = leading_origin(origin)
    {
        return check(file, Some(&name), arguments, output);
    }
    each_file(&arguments.files, |file| check(file, arguments.zone.origin.as_ref(), arguments, output))
}

fn check(file: &str, origin: Option<&Name>, arguments: &Arguments, output: Output) -> Result<Outcome, Reported> {
    let source = output.read(file)?;
    let ZoneName { name: origin, hint } = zone_name(&source, origin, output)?;
    let includes = Directory(PathBuf::new());
    let options = Options {
        format: FileFormat::of(source.text()),
        class: arguments.zone.class,
        check_names: match arguments.check_names {
            Names::Fail => CheckNames::Fail,
            Names::Warn => CheckNames::Warn,
            Names::Ignore => CheckNames::Ignore,
        },
        includes: &includes,
        ..Options::new(origin.as_ref())
    };
    let mut ignore = |_: Record<'_>| -> Result<(), Refusal> { Ok(()) };
    let (report, serial) = zone::check(&source, &options, &mut ignore);
    let shown = |diagnostic: &&Diagnostic| !arguments.quiet || diagnostic.is_error();
    output.show(report.diagnostics.iter().filter(shown));
    if report.has_errors() {
        let (errors, warnings) = (count(report.errors, "error"), count(report.warnings(), "warning"));
        return Err(Reported::of(format_args!("zone {origin}{hint}: {errors}, {warnings}")));
    }
    if !arguments.quiet {
        let serial = serial.map_or(0, |Serial(serial)| serial);
        let records = report.records;
        // The exit code reports on the zone, whether or not anyone reads this line.
        let _ = print(format!("zone {origin}{hint}: {records} records, serial {serial}, OK\n").as_bytes());
    }
    Ok(Outcome::Success)
}
