//! `zonefmt diff`: shows the differences between two zones.

use std::{
    io::{self, BufWriter, Write},
    thread,
};

use clap::Args;
use zonefmt::{
    Name,
    diagnostics::Colour,
    terminal::{Emphasis, count},
    zone::{Difference, Record, RrSets, Serials, diff, write_record},
};

use super::{
    Outcome, Output, Reported, unwritten,
    zone_file::{ZoneOptions, leading_origin},
};

/// Lists the differences between two zones, RRset by RRset, regardless of how their files are laid out.
///
/// Use `zonefmt diff OLD NEW`, with the zone's name from --origin or from the files, or `zonefmt diff ORIGIN OLD NEW`.
/// TTLs are compared. The case of owners is not, nor that of names in the data of the types that RFC 4034 6.2 lists; in
/// SVCB, HTTPS and other newer types it is. Lines that begin with `-` are only in OLD, and those with `+` only in NEW.
/// The exit code is 0 if the zones are the same, 2 if they differ, and 1 for errors.
#[derive(Args)]
#[command(verbatim_doc_comment, override_usage = "zonefmt diff [OPTIONS] [ORIGIN] OLD NEW")]
pub(super) struct Arguments {
    /// The zone files; `-` is standard input.
    #[arg(required = true, num_args = 2..=3)]
    files: Vec<String>,
    #[command(flatten)]
    zone: ZoneOptions,
    /// Treat two SOA records that differ only in their serials as the same.
    #[arg(long)]
    ignore_serial: bool,
    /// Print nothing; only the exit code shows the result.
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(arguments: Arguments, output: Output) -> Result<Outcome, Reported> {
    let Arguments { files, mut zone, ignore_serial, quiet } = arguments;
    let (old, new) = match &files[..] {
        [old, new] => (old, new),
        [origin, old, new] if zone.origin.is_none() => {
            zone.origin = leading_origin(origin);
            if zone.origin.is_none() {
                let message = format_args!("`{origin}` is no zone's name: write `zonefmt diff [ORIGIN] OLD NEW`");
                return Err(Reported::of(message));
            }
            (old, new)
        }
        _ => return Err(Reported::of("two files are compared: write `zonefmt diff OLD NEW`")),
    };
    if old == "-" && new == "-" {
        return Err(Reported::of("standard input can be one of the two files only: give the other one's name"));
    }
    let (old, new) = thread::scope(|scope| {
        let old = scope.spawn(|| zone.read(old, output));
        let new = zone.read(new, output);
        // A panic of the other thread continues here.
        (old.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), new)
    });
    let ((old_name, old), (name, new)) = (old?, new?);
    if old_name != name {
        let message = format_args!("OLD is the zone {old_name} and NEW is {name}: give the name of both with --origin");
        return Err(Reported::of(message));
    }
    let serials = if ignore_serial { Serials::Ignore } else { Serials::Compare };
    if quiet {
        let same = diff(&old, &new, serials).next().is_none();
        return Ok(if same { Outcome::Success } else { Outcome::Different });
    }
    list(&name, &old, &new, serials)
}

/// Prints the differences and how many there are.
fn list(name: &Name, old: &RrSets, new: &RrSets, serials: Serials) -> Result<Outcome, Reported> {
    let out = io::stdout();
    let mut listing = Listing { colour: Colour::of(&out), out: BufWriter::new(out.lock()), line: String::new() };
    let (mut sets, mut removed, mut added) = (0_usize, 0, 0);
    for difference in diff(old, new, serials) {
        sets += 1;
        match listing.difference(&difference) {
            Ok((fewer, more)) => (removed, added) = (removed + fewer, added + more),
            Err(error) => return cut_off(&error, Outcome::Different),
        }
    }
    let (outcome, summary) = if sets == 0 {
        (Outcome::Success, "no difference".to_owned())
    } else {
        let verb = if sets == 1 { "differs" } else { "differ" };
        let (sets, removed) = (count(sets, "RRset"), count(removed, "record"));
        (Outcome::Different, format!("{sets} {verb}, {removed} removed, {added} added"))
    };
    let written = writeln!(listing.out, "; zone {name}: {summary}").and_then(|()| listing.out.flush());
    written.map_or_else(|error| cut_off(&error, outcome), |()| Ok(outcome))
}

/// If nobody reads the rest of the output, the exit code still shows the result.
fn cut_off(error: &io::Error, outcome: Outcome) -> Result<Outcome, Reported> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(outcome) } else { Err(unwritten(error)) }
}

struct Listing<W> {
    out: W,
    colour: Colour,
    line: String,
}

impl<W: Write> Listing<W> {
    /// Prints a difference, and returns how many records were removed and added.
    fn difference(&mut self, difference: &Difference<'_>) -> io::Result<(usize, usize)> {
        let (removed, added) = (difference.removed(), difference.added());
        for record in &removed {
            self.record('-', Emphasis::Red, record)?;
        }
        for record in &added {
            self.record('+', Emphasis::Green, record)?;
        }
        Ok((removed.len(), added.len()))
    }

    fn record(&mut self, sign: char, emphasis: Emphasis, record: &Record<'_>) -> io::Result<()> {
        self.line.clear();
        self.line.push(sign);
        write_record(record, &mut self.line);
        writeln!(self.out, "{}", self.colour.paint(emphasis, self.line.trim_end()))
    }
}
