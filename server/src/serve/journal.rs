//! Looks into named's journal of a zone (`.jnl`) for changes that the zone file lacks.
//!
//! named applies such changes when it loads the zone. They are not applied here, and serving the zone without them
//! would silently serve old data. Therefore they are an error.

use std::{
    cmp::Ordering,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use zonefmt::{
    Name, Rtype, Serial,
    diagnostics::{Diagnostic, Severity, Source},
    rdata::Soa,
    zone::{self, FileFormat, Record},
};

use crate::{config::ZoneConfig, journal::bind::NamedJournal};

/// The journal of a zone file, unless named.conf names another one.
pub(super) fn path(zone_file: &Path) -> PathBuf {
    with_extension(zone_file, ".jnl")
}

/// Reports on what named left beside a zone file of this serial: an error if named would serve something newer.
pub(super) fn look_around(zone: &ZoneConfig, file: &Path, serial: Serial) -> Option<Diagnostic> {
    let journal = zone.journal.clone().unwrap_or_else(|| path(file));
    look_at(&journal, &zone.origin, file, serial).or_else(|| look_at_signed(zone, file, serial))
}

/// Reports on the signed zone that named made of this one (`inline-signing`), and that it would serve.
fn look_at_signed(zone: &ZoneConfig, file: &Path, serial: Serial) -> Option<Diagnostic> {
    let signed = with_extension(file, ".signed");
    let journal = path(&signed);
    if !signed.exists() && !journal.exists() {
        return None;
    }
    let finding = |severity, message: String| Diagnostic::of_file(severity, &signed, message);
    let served = end(&journal).ok().flatten().or_else(|| serial_in(&signed, zone));
    let (file, signed) = (file.display(), signed.display());
    let what = match served {
        Some(served) if serial.partial_cmp(&served) == Some(Ordering::Greater) => {
            let message = format!("named signed this zone up to serial {}; {} is served unsigned", served.0, serial.0);
            let warning = finding(Severity::Warning, message);
            return Some(warning.help(format!("once its DS records are gone from the parent zone, remove {signed}*")));
        }
        Some(served) => format!("up to serial {}, the zone file ends at {}", served.0, serial.0),
        None => "and the serial of the signed zone cannot be read".to_owned(),
    };
    Some(finding(Severity::Error, format!("named signed this zone {what}")).help(format!(
        "the unsigned zone would be older: remove its DS records from the parent zone and wait until they have expired in \
         all caches, then raise the serial in {file} above that of the signed zone, and remove {signed}*; or leave the \
         zone with named"
    )))
}

/// The serial in a file that named wrote: its format is told by its first octets.
fn serial_in(file: &Path, config: &ZoneConfig) -> Option<Serial> {
    const RAW: [u8; 4] = [0, 0, 0, 2];
    let source = Source::read(file).ok()?;
    let format = if source.text().starts_with(&RAW) { FileFormat::Raw } else { FileFormat::Text };
    let mut serial = None;
    let mut take = |record: Record<'_>| {
        if record.rtype == Rtype::SOA {
            serial = Soa::serial_of(record.rdata);
        }
        Ok(())
    };
    let options = zone::Options { format, ..zone::Options::new(config.origin.as_ref()) };
    zone::parse(&source, &options, &mut take);
    serial
}

fn with_extension(file: &Path, extension: &str) -> PathBuf {
    let mut path = OsString::from(file);
    path.push(extension);
    path.into()
}

/// What there is to report about the journal of a zone file with this serial: an error if the file lacks changes.
fn look_at(path: &Path, origin: &Name, zone_file: &Path, serial: Serial) -> Option<Diagnostic> {
    let error = |message: String| Diagnostic::of_file(Severity::Error, path, message);
    let end = match end(path) {
        Ok(end) => end?,
        Err(cause) => {
            let help = "if the zone file has all changes, remove the journal";
            return Some(error(format!("cannot read the zone's journal: {cause}")).help(help));
        }
    };
    let (journal, file) = (path.display(), zone_file.display());
    match serial.partial_cmp(&end) {
        Some(Ordering::Equal) => None,
        Some(Ordering::Greater) => {
            let message = format!("the journal ends at serial {}, before the zone file's {}", end.0, serial.0);
            let warning = Diagnostic::of_file(Severity::Warning, path, message);
            Some(warning.help("named does not load such a zone: remove the journal"))
        }
        Some(Ordering::Less) | None => {
            let message = format!("the journal has changes up to serial {}, the zone file ends at {}", end.0, serial.0);
            Some(error(message).help(format!(
                "write them into the file: `rndc sync -clean {origin}` where named runs, else `named-compilezone -j -J \
                 {journal} -o {file}.new {origin} {file} && mv {file}.new {file} && rm {journal}`"
            )))
        }
    }
}

/// The serial that a journal leads to; `None` if there is no journal, or no change in it.
fn end(path: &Path) -> io::Result<Option<Serial>> {
    Ok(NamedJournal::open(path)?.and_then(|journal| journal.end()))
}
