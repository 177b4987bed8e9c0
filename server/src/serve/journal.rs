//! Looks into named's journal of a zone (`.jnl`) for changes that the zone file lacks.
//!
//! named applies such changes when it loads the zone. They are not applied here, and serving the zone without them
//! would silently serve old data. Therefore they are an error.

use std::{
    cmp::Ordering,
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use zonefmt::{
    Name, Serial,
    diagnostics::{Diagnostic, Source},
};

/// Octets before the first change.
const HEADER: usize = 64;
/// The octets that a journal begins with, in either version.
const MARKS: [&[u8]; 2] = [b";BIND LOG V9\n\0\0\0", b";BIND LOG V9.2\n\0"];

/// The journal of a zone file, unless named.conf names another one.
pub(super) fn path(zone_file: &Path) -> PathBuf {
    let mut path = OsString::from(zone_file);
    path.push(".jnl");
    path.into()
}

/// What there is to report about the journal of a zone file with this serial: an error if the file lacks changes.
pub(super) fn look_at(path: &Path, origin: &Name, zone_file: &Path, serial: Serial) -> Option<Diagnostic> {
    let source = Source::new(path.display().to_string(), "");
    let error = |message: String| Diagnostic::error(&source, 0..0, message);
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
            let warning = Diagnostic::warning(&source, 0..0, message);
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
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    if !MARKS.iter().any(|mark| header.starts_with(mark)) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it has not the form of one"));
    }
    let [_begin, begin_offset, end, end_offset] =
        [16, 20, 24, 28].map(|at| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]));
    Ok((begin_offset != end_offset).then_some(Serial(end)))
}
