//! The command line: one file a command.

mod check;
mod fmt;

use std::{
    io::{self, IsTerminal, Read, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use zonefmt::diagnostics::{Colour, Diagnostic, Source, render};

/// Checks and formats DNS zone files.
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
    Fmt(fmt::Arguments),
}

/// Runs the command; 0 for success, 1 for findings that matter, 2 for a wrong command line.
pub(crate) fn run() -> ExitCode {
    let Arguments { command, brief } = Arguments::parse();
    let output = Output { brief };
    let success = match command {
        Command::Check(arguments) => check::run(&arguments, output),
        Command::Fmt(arguments) => fmt::run(&arguments, output),
    };
    ExitCode::from(u8::from(!success))
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
            let colour =
                io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            text = render(diagnostics, if colour { Colour::Always } else { Colour::Never });
            if !text.is_empty() {
                text.push('\n');
            }
        }
        // If nobody reads standard error, there is nobody left to tell.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Reads a file, or standard input for `-`; shows why if that fails.
    fn read(self, file: &str) -> Option<Source> {
        let source = if file == "-" {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).map(|_| Source::new("<stdin>", text))
        } else {
            Source::read(file)
        };
        source
            .map_err(|error| {
                let message = format!("cannot read the file: {error}");
                self.show([&Diagnostic::error(&Source::new(file, ""), 0..0, message)]);
            })
            .ok()
    }
}

/// Says something on standard error.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes to standard output; false if nobody reads it any more.
fn print(text: &[u8]) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).is_ok()
}
