//! Shows the changes in a journal, for people: the lines of named-journalprint, of a journal of this server as of named's.

use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

use bindy_server::{
    journal::{Journal, JournalCause, bind::NamedJournal},
    zone::{Change, Records},
};
use zonefmt::{
    Class,
    zone::{Location, Record, write_journal_record},
};

/// Writes the changes to `out`: what each removes, then what it adds. The journal stays as it is, and may be in use.
///
/// # Errors
/// What is wrong with the journal. Changes before that are written. If `out` is closed, nobody wants more.
pub fn print(path: &Path, out: impl Write) -> Result<(), String> {
    let mut out = BufWriter::new(out);
    let done = match Journal::changes_in(path) {
        Ok(changes) => print_all(changes.into_iter().flatten(), &mut out),
        Err(error) if matches!(error.cause, JournalCause::NotAJournal) => match NamedJournal::open(path) {
            Ok(Some(named)) => print_all(named.changes(), &mut out),
            _ => Err(error.to_string()),
        },
        Err(error) => Err(error.to_string()),
    };
    let _ = out.flush();
    done
}

fn print_all<E: ToString>(
    changes: impl Iterator<Item = Result<Change, E>>,
    out: &mut impl Write,
) -> Result<(), String> {
    for change in changes {
        let change = change.map_err(|error| error.to_string())?;
        if print_records("del", change.removed(), out).and_then(|()| print_records("add", change.added(), out)).is_err()
        {
            break;
        }
    }
    Ok(())
}

fn print_records(word: &str, records: &Records, out: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    records.iter().try_for_each(|record| {
        line.clear();
        let (class, at) = (Class::IN, Location::default());
        let record =
            Record { owner: record.owner, ttl: record.ttl, class, rtype: record.rtype, rdata: record.rdata, at };
        write_journal_record(&record, &mut line);
        write!(out, "{word} {line}")
    })
}
