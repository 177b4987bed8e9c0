//! The output of the commands for people: results on standard output, and errors on standard error; with colours and
//! excerpts on a terminal, and one line each otherwise. What a service says is its log, with the time of each line.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal, Write},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
pub(crate) use zonefmt::terminal::count;
use zonefmt::{
    diagnostics::{self, Colour, Diagnostic, Severity},
    terminal::{Emphasis, complain},
};

/// The two output streams.
#[derive(Clone, Copy)]
pub(crate) struct Terminal {
    /// For standard output.
    out: Colour,
    /// For standard error.
    err: Colour,
    /// Whether standard error is a terminal.
    watched: bool,
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

static UNSAID: OnceLock<io::Error> = OnceLock::new();
/// Whether what is said is a log.
static IS_LOG: AtomicBool = AtomicBool::new(false);

/// The most diagnostics that are printed at a time.
const MOST: usize = 40;

impl Terminal {
    pub(crate) fn new() -> Terminal {
        let (out, err) = (io::stdout(), io::stderr());
        Terminal { out: Colour::of(&out), err: Colour::of(&err), watched: err.is_terminal() }
    }

    /// Highlights a part of a result.
    pub(crate) fn bold(self, text: &str) -> String {
        self.out.paint(Emphasis::Bold, text).to_string()
    }

    /// Marks a part of a result as new.
    pub(crate) fn green(self, text: &str) -> String {
        self.out.paint(Emphasis::Green, text).to_string()
    }

    /// Marks a part of a result as removed.
    pub(crate) fn red(self, text: &str) -> String {
        self.out.paint(Emphasis::Red, text).to_string()
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
        complain(format_args!("{} {what}", self.err.paint(Emphasis::Alarm, "error:")));
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
        if self.watched && !diagnostics.is_empty() {
            complain(diagnostics::render(shown, self.err));
        } else {
            shown.for_each(complain);
        }
        if more > 0 {
            complain(format_args!("{more} more of these"));
        }
    }
}

/// What was said already, so that it is said once.
#[derive(Default)]
pub(crate) struct Once(BTreeSet<String>);

impl Once {
    /// How much is remembered; after that, everything may be said again.
    const MOST: usize = 10_000;

    pub(crate) fn say(&mut self, what: String) {
        if self.0.contains(&what) {
            return;
        }
        say(&what);
        if self.0.len() == Once::MOST {
            self.0.clear();
        }
        self.0.insert(what);
    }
}

/// From now on, what is said is a log: the process runs as a service.
pub(crate) fn begin_log() {
    IS_LOG.store(true, Ordering::Relaxed);
}

/// Prints a line of a result, or of the log of a service, which begins with the time.
pub(crate) fn say(line: &str) {
    let now = IS_LOG.load(Ordering::Relaxed).then(Timestamp::now);
    // A reader that went away is not a reason to stop.
    if let Err(error) = writeln!(io::stdout(), "{}{line}", stamp(now))
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // The first error is the one to report.
        let _ = UNSAID.set(error);
    }
}

/// The beginning of a line of a log: the time in UTC (RFC 3339), in milliseconds.
fn stamp(now: Option<Timestamp>) -> String {
    now.map(|now| format!("{now:.3} ")).unwrap_or_default()
}

/// Why a result could not be [written](say), unless its reader went away.
pub(crate) fn unsaid() -> Option<&'static io::Error> {
    UNSAID.get()
}

/// Prints a result for programs: one line of JSON.
pub(crate) fn json(value: &impl serde::Serialize) {
    say(&serde_json::to_string(value).unwrap_or_else(|_| unreachable!("strings and numbers are JSON")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_log_begins_with_the_time() {
        assert_eq!(stamp(None), "");
        assert_eq!(stamp("2026-11-22T19:10:00.1239Z".parse().ok()), "2026-11-22T19:10:00.123Z ");
        assert_eq!(stamp("2026-11-22T20:10:00+01:00".parse().ok()), "2026-11-22T19:10:00.000Z ");
    }
}
