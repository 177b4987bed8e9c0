//! `zonefmt fmt`: rewrites zone files in the canonical layout.

use std::{io::Write, path::Path};

use clap::Args;
use zonefmt::{
    diagnostics::{Diagnostic, Severity},
    durable,
    terminal::complain,
    zone,
};

use super::{Output, print};

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

pub(super) fn run(arguments: &Arguments, output: Output) -> bool {
    // Every file is formatted, whatever the results for the others.
    arguments.files.iter().filter(|file| format(file, arguments.check, output)).count() == arguments.files.len()
}

fn format(file: &str, check: bool, output: Output) -> bool {
    let Some(source) = output.read(file) else { return false };
    let text = match zone::format(&source) {
        Ok(text) => text,
        Err(report) => {
            output.show(report.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()));
            return false;
        }
    };
    let tidy = text == source.text();
    if check {
        if !tidy {
            complain(format_args!("{} is not tidy: run `zonefmt fmt` on it", source.name()));
        }
        return tidy;
    }
    if file == "-" {
        return print(&text);
    }
    if tidy {
        return true;
    }
    durable::replace(Path::new(file), |new| new.write_all(&text))
        .map_err(|error| {
            let message = format!("cannot write the file: {error}");
            output.show([&Diagnostic::of_file(Severity::Error, file, message)]);
        })
        .is_ok()
}
