//! What named left beside a zone file: its journal (`.jnl`) has changes that the file may lack, and a signed copy
//! (`.signed`) may be newer.
//!
//! [`applied`] makes the changes to the file's content when a zone is loaded, which alters no file. Before the zone is
//! served they go into the file, too, and the journal out of the way; see [`Legacy`]. What cannot be taken over is an
//! error: served without it, the zone would silently be as it once was.

use std::{
    cmp::Ordering,
    ffi::OsString,
    path::{Path, PathBuf},
};

use zonefmt::{
    Rtype, Serial,
    diagnostics::{Diagnostic, Severity, Source},
    rdata::Soa,
    zone::{self, FileFormat, Record},
};

use super::faults::{SIGNED, UNSIGN};
use crate::{
    config::ZoneConfig,
    journal::bind::{NamedJournal, NamedJournalError},
    live::Legacy,
    zone::ZoneData,
};

/// The journal of a zone file, unless named.conf names another one.
pub(super) fn path(zone_file: &Path) -> PathBuf {
    with_extension(zone_file, ".jnl")
}

/// Makes the changes in named's journal that the file of a zone lacks to the file's content. Also returns the journal, if
/// it has any changes. `None` if the journal is damaged or does not belong to the file, which is a finding; a secondary
/// zone does without the journal then.
pub(super) fn applied(
    zone: &ZoneConfig,
    file: &Path,
    content: ZoneData,
    findings: &mut Vec<Diagnostic>,
) -> Option<(ZoneData, Option<Legacy>)> {
    let path = zone.journal.clone().unwrap_or_else(|| path(file));
    let is_copy = zone.role.secondary().is_some();
    let finding = |error: &NamedJournalError| {
        let severity = if is_copy { Severity::Warning } else { Severity::Error };
        // named's words.
        let message = format!("journal rollforward failed: {}", error.message());
        Diagnostic::of_file(severity, error.path(), message).help(error.help())
    };
    let journal = match NamedJournal::open(&path) {
        Ok(Some(journal)) if journal.end().is_some() => journal,
        Ok(_) => return Some((content, None)),
        Err(error) => {
            findings.push(finding(&error));
            return is_copy.then_some((content, None));
        }
    };
    let from = content.serial();
    match journal.replay(&content) {
        Ok(data) => {
            let in_file = from == data.serial();
            Some((data, Some(Legacy { journal, from, in_file })))
        }
        Err(error) => {
            let is_signed = !is_copy && signs(&journal);
            let signed = || Diagnostic::of_file(Severity::Error, journal.path(), SIGNED.to_owned()).help(UNSIGN);
            findings.push(if is_signed { signed() } else { finding(&error) });
            is_copy.then_some((content, Some(Legacy { in_file: true, from, journal })))
        }
    }
}

/// Whether named signed the zone.
fn signs(journal: &NamedJournal) -> bool {
    let mut changes = journal.changes().map_while(Result::ok);
    changes.any(|change| change.added().iter().any(|record| record.rtype == Rtype::RRSIG))
}

/// Reports on the signed zone that named made of this one (`inline-signing`), and that it would serve.
pub(super) fn look_at_signed(zone: &ZoneConfig, file: &Path, data: &ZoneData) -> Option<Diagnostic> {
    let serial = data.serial()?;
    let signed = with_extension(file, ".signed");
    let journal = path(&signed);
    if !signed.exists() && !journal.exists() {
        return None;
    }
    let finding = |severity, message: String| Diagnostic::of_file(severity, &signed, message);
    let served = end(&journal).or_else(|| serial_in(&signed, zone));
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

/// The serial that a journal leads to; `None` if there is no journal that can be read, or no change in it.
fn end(path: &Path) -> Option<Serial> {
    NamedJournal::open(path).ok()?.and_then(|journal| journal.end())
}
