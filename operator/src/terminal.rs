//! How the commands speak to people: results on standard output, complaints on standard error; with colours and excerpts
//! on a terminal, a line each otherwise.

use std::{
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use zonefmt::diagnostics::{self, Colour, Diagnostic, Severity};

/// The two streams.
#[derive(Clone, Copy)]
pub(crate) struct Terminal {
    out: Style,
    err: Style,
}

/// What a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// Text for people.
    #[default]
    Text,
    /// JSON for programs.
    Json,
}

/// How one of the streams is written to.
#[derive(Clone, Copy)]
struct Style {
    terminal: bool,
    colour: bool,
}

static UNSAID: OnceLock<io::Error> = OnceLock::new();

/// Complaints are told up to this number at a time; whoever has more of them starts with these.
const MOST: usize = 40;

impl Terminal {
    pub(crate) fn new() -> Terminal {
        Terminal { out: Style::of(&io::stdout()), err: Style::of(&io::stderr()) }
    }

    /// What stands out in a result.
    pub(crate) fn bold(self, text: &str) -> String {
        self.out.paint("1", text)
    }

    /// What is new in a result.
    pub(crate) fn green(self, text: &str) -> String {
        self.out.paint("32", text)
    }

    /// What is gone in a result.
    pub(crate) fn red(self, text: &str) -> String {
        self.out.paint("31", text)
    }

    /// Columns as wide as they need to be, numbers to the right; the first row is the heading.
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

    /// Something that went wrong as a whole, and what that means.
    pub(crate) fn failure(self, what: &str) {
        complain(&format!("{} {what}", self.err.paint("1;31", "error:")));
    }

    /// What is wrong in files, or worth knowing; notes are results, as what has no meaning here is no trouble.
    pub(crate) fn diagnose(self, diagnostics: &[Diagnostic]) {
        let notes = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Note);
        notes.take(MOST).for_each(|note| say(&note.to_string()));
        self.complain(diagnostics);
    }

    /// What is wrong in files.
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

/// A line of a result.
pub(crate) fn say(line: &str) {
    // A reader that went away is no reason to stop.
    if let Err(error) = writeln!(io::stdout(), "{line}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // The first one is the one to tell.
        let _ = UNSAID.set(error);
    }
}

/// Why not all was [said](say), other than that nobody read on.
pub(crate) fn unsaid() -> Option<&'static io::Error> {
    UNSAID.get()
}

/// A result for programs: one line of JSON.
pub(crate) fn json(value: &impl serde::Serialize) {
    say(&serde_json::to_string(value).unwrap_or_else(|_| unreachable!("strings and numbers are JSON")));
}

/// A number of things, in words.
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
