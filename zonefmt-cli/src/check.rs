//! `zonefmt check`: reports mistakes in zone files.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use zonefmt::{
    Name, Serial,
    diagnostics::Diagnostic,
    terminal::{complain, count},
    zone::{self, CheckNames, Directory, FileFormat, Options, Record, Refusal, Report},
};

use super::{
    Output, print,
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

pub(super) fn run(arguments: &Arguments, output: Output) -> bool {
    if let (None, [origin, file]) = (&arguments.zone.origin, &arguments.files[..])
        && let Some(name) = leading_origin(origin)
    {
        return check(file, Some(&name), arguments, output);
    }
    let sound = |file: &&String| check(file, arguments.zone.origin.as_ref(), arguments, output);
    // Every file is checked, whatever the results for the others.
    arguments.files.iter().filter(sound).count() == arguments.files.len()
}

fn check(file: &str, origin: Option<&Name>, arguments: &Arguments, output: Output) -> bool {
    let Some(source) = output.read(file) else { return false };
    let Some(ZoneName { name: origin, hint }) = zone_name(&source, origin, output) else { return false };
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
    summarise(&origin, hint, &report, serial, arguments.quiet);
    !report.has_errors()
}

fn summarise(origin: &Name, hint: &str, report: &Report, serial: Option<Serial>, quiet: bool) {
    let warnings = report.warnings();
    if report.has_errors() {
        let (errors, warnings) = (count(report.errors, "error"), count(warnings, "warning"));
        complain(format_args!("zone {origin}{hint}: {errors}, {warnings}"));
    } else if !quiet {
        let serial = serial.map_or(0, |Serial(serial)| serial);
        let records = report.records;
        print(format!("zone {origin}{hint}: {records} records, serial {serial}, OK\n").as_bytes());
    }
}
