//! `zonefmt fmt`: rewrites zone files in the canonical layout.

use std::{io::Write, path::Path};

use clap::Args;
use zonefmt::{
    diagnostics::{Diagnostic, Severity},
    durable, zone,
};

use super::{Outcome, Output, Reported, each_file, print};

/// Rewrites zone files in the canonical layout, in place.
///
/// Records, comments and their order stay the same. A file with errors is left unchanged.
#[derive(Args)]
pub(super) struct Arguments {
    /// The zone files; `-` reads standard input and writes standard output.
    #[arg(required = true)]
    files: Vec<String>,
    /// Write nothing; list the files whose layout would change, and fail if there are any.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<Outcome, Reported> {
    each_file(&arguments.files, |file| format(file, arguments.check, output))
}

fn format(file: &str, check: bool, output: Output) -> Result<Outcome, Reported> {
    let source = output.read(file)?;
    let text = zone::format(&source).map_err(|report| {
        output.show(report.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()));
        Reported
    })?;
    let tidy = text == source.text();
    if check && !tidy {
        return Err(Reported::of(format_args!("{} is not tidy: run `zonefmt fmt` on it", source.name())));
    }
    if file == "-" && !check {
        return print(&text);
    }
    if !tidy {
        durable::replace(Path::new(file), |new| new.write_all(&text)).map_err(|error| {
            let message = format!("cannot write the file: {error}");
            output.show([&Diagnostic::of_file(Severity::Error, file, message)]);
            Reported
        })?;
    }
    Ok(Outcome::Success)
}
