//! The output of the commands for people: results on standard output, and errors on standard error; with colours and
//! excerpts on a terminal, and one line each otherwise.

use std::{
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use zonefmt::diagnostics::{self, Colour, Diagnostic, Severity};

/// The two output streams.
#[derive(Clone, Copy)]
pub(crate) struct Terminal {
    out: Style,
    err: Style,
}

/// The format in which a command prints its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// Text for people.
    #[default]
    Text,
    /// JSON for programs.
    Json,
}

/// The style of one of the streams.
#[derive(Clone, Copy)]
struct Style {
    terminal: bool,
    colour: bool,
}

static UNSAID: OnceLock<io::Error> = OnceLock::new();

/// The most diagnostics that are printed at a time.
const MOST: usize = 40;

impl Terminal {
    pub(crate) fn new() -> Terminal {
        Terminal { out: Style::of(&io::stdout()), err: Style::of(&io::stderr()) }
    }

    /// Highlights a part of a result.
    pub(crate) fn bold(self, text: &str) -> String {
        self.out.paint("1", text)
    }

    /// Marks a part of a result as new.
    pub(crate) fn green(self, text: &str) -> String {
        self.out.paint("32", text)
    }

    /// Marks a part of a result as removed.
    pub(crate) fn red(self, text: &str) -> String {
        self.out.paint("31", text)
    }

    /// Prints a table with columns as wide as necessary and numbers to the right. The first row is the heading.
    pub(crate) fn table<const N: usize>(self, rows: &[[String; N]]) {
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        let digits = |cell: &String| cell.bytes().all(|octet| octet.is_ascii_digit());
        let numeric: [bool; N] = std::array::from_fn(|column| rows.iter().skip(1).all(|row| digits(&row[column])));
        for (number, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(widths).zip(numeric).map(|((cell, width), numeric)| {
                if numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            let line = cells.collect::<Vec<_>>().join("   ");
            let line = line.trim_end();
            say(&if number == 0 { self.bold(line) } else { line.to_owned() });
        }
    }

    /// Reports that something failed as a whole, and what that means.
    pub(crate) fn failure(self, what: &str) {
        complain(&format!("{} {what}", self.err.paint("1;31", "error:")));
    }

    /// Reports errors and warnings in files. Notes are printed as results, because a resource that is not used here is
    /// not an error.
    pub(crate) fn diagnose(self, diagnostics: &[Diagnostic]) {
        let notes = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Note);
        notes.take(MOST).for_each(|note| say(&note.to_string()));
        self.complain(diagnostics);
    }

    /// Reports errors and warnings in files.
    pub(crate) fn complain(self, diagnostics: &[Diagnostic]) {
        let troubles = diagnostics.iter().filter(|diagnostic| diagnostic.severity != Severity::Note);
        let more = troubles.clone().skip(MOST).count();
        let shown = troubles.take(MOST);
        if self.err.terminal && !diagnostics.is_empty() {
            let colour = if self.err.colour { Colour::Always } else { Colour::Never };
            complain(&diagnostics::render(shown, colour));
        } else {
            shown.for_each(|trouble| complain(&trouble.to_string()));
        }
        if more > 0 {
            complain(&format!("{more} more of these"));
        }
    }
}

/// Prints a line of a result.
pub(crate) fn say(line: &str) {
    // A reader that went away is not a reason to stop.
    if let Err(error) = writeln!(io::stdout(), "{line}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // The first error is the one to report.
        let _ = UNSAID.set(error);
    }
}

/// Why a result could not be [written](say), unless its reader went away.
pub(crate) fn unsaid() -> Option<&'static io::Error> {
    UNSAID.get()
}

/// Prints a result for programs: one line of JSON.
pub(crate) fn json(value: &impl serde::Serialize) {
    say(&serde_json::to_string(value).unwrap_or_else(|_| unreachable!("strings and numbers are JSON")));
}

/// A number with its noun, such as `2 zones`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

impl Style {
    fn of(stream: &impl IsTerminal) -> Style {
        let terminal = stream.is_terminal();
        Style { terminal, colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
