//! `zonefmt`: DNS text formats from the command line. Each command has its own file here; the work is done in the
//! libraries.

#![forbid(unsafe_code)]

mod check;
mod conf;
mod convert;
mod diff;
mod fmt;
mod zone_file;

use std::{
    fmt::Display,
    io::{self, Read, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use zonefmt::{
    diagnostics::{Colour, Diagnostic, Severity, Source, render},
    terminal::complain,
};

/// Checks, formats, compares and converts DNS zone files; checks and prints named.conf.
#[derive(Parser)]
#[command(name = "zonefmt", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// One line for each finding, `file:line:column: …`, instead of excerpts.
    #[arg(long, global = true)]
    brief: bool,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Arguments),
    Conf(conf::Arguments),
    Convert(convert::Arguments),
    Diff(diff::Arguments),
    Fmt(fmt::Arguments),
}

/// The result of a command that did its work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Exit code 0.
    Success,
    /// Exit code 2: two zones differ.
    Different,
}

/// A failure that has already been reported on standard error: exit code 1.
struct Reported;

fn main() -> ExitCode {
    let Arguments { command, brief } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // If the message cannot be written, there is nowhere to report that.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let output = Output { brief };
    let outcome = match command {
        Command::Check(arguments) => check::run(&arguments, output),
        Command::Conf(arguments) => conf::run(&arguments, output),
        Command::Convert(arguments) => convert::run(&arguments, output),
        Command::Diff(arguments) => diff::run(arguments, output),
        Command::Fmt(arguments) => fmt::run(&arguments, output),
    };
    match outcome {
        Ok(Outcome::Success) => ExitCode::SUCCESS,
        Ok(Outcome::Different) => ExitCode::from(2),
        Err(Reported) => ExitCode::FAILURE,
    }
}

impl Reported {
    /// Reports a failure on standard error.
    fn of(what: impl Display) -> Reported {
        complain(what);
        Reported
    }
}

/// How findings are shown.
#[derive(Clone, Copy)]
struct Output {
    brief: bool,
}

impl Output {
    /// Shows findings on standard error.
    fn show<'d>(self, diagnostics: impl IntoIterator<Item = &'d Diagnostic>) {
        let mut text = String::new();
        if self.brief {
            for diagnostic in diagnostics {
                text.push_str(&diagnostic.to_string());
                text.push('\n');
            }
        } else {
            text = render(diagnostics, Colour::of(&io::stderr()));
            if !text.is_empty() {
                text.push('\n');
            }
        }
        // If standard error cannot be written, there is nowhere to report that.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Reads a file, or standard input for `-`.
    fn read(self, file: &str) -> Result<Source, Reported> {
        let source = if file == "-" {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).map(|_| Source::new("<stdin>", text))
        } else {
            Source::read(file)
        };
        source.map_err(|error| {
            let message = format!("cannot read the file: {error}");
            self.show([&Diagnostic::of_file(Severity::Error, file, message)]);
            Reported
        })
    }
}

/// Writes a result to standard output.
fn print(text: &[u8]) -> Result<Outcome, Reported> {
    let mut out = io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).map_err(|error| unwritten(&error))?;
    Ok(Outcome::Success)
}

/// Reports that standard output cannot be written, unless its reader has gone away.
fn unwritten(error: &io::Error) -> Reported {
    if error.kind() != io::ErrorKind::BrokenPipe {
        complain(format_args!("cannot write to standard output: {error}"));
    }
    Reported
}

/// Runs a command on every file, whatever the results for the others.
fn each_file(files: &[String], command: impl Fn(&str) -> Result<Outcome, Reported>) -> Result<Outcome, Reported> {
    let mut outcome = Ok(Outcome::Success);
    for file in files {
        outcome = command(file).and(outcome);
    }
    outcome
}
