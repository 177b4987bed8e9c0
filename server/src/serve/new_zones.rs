//! Keeps the zones that are added while the server runs.
//!
//! Adding a zone appends a line to the view's file. Removing or changing one rewrites the file and renames it into
//! place. Either way the change is on disk before the command is answered.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use tracing::{info, warn};
use zonefmt::durable;

use crate::config::{NewZones, whole};

/// The octets at the end of a file that hold its last line: several times the longest message of rndc.
const LONGEST: u64 = 1 << 18;

impl NewZones {
    /// Takes over the zones of named's database, if there is one: writes `statements`, which were read from it, to the
    /// file, and renames the database. A file that was there already is renamed, too.
    ///
    /// # Errors
    /// The folder cannot be written to; the database is as it was then.
    pub(super) fn settle<'s>(&self, statements: impl Iterator<Item = &'s str>) -> io::Result<()> {
        if !self.database.exists() {
            return Ok(());
        }
        let (file, database) = (self.file.display(), self.database.display());
        match fs::rename(&self.file, old(&self.file)) {
            Ok(()) => warn!(target: "general", "{file} is now {file}~: named's database {database} is newer"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.replace(statements)?;
        fs::rename(&self.database, old(&self.database))?;
        info!(target: "general", "took over the zones of {database} into {file}; the database is now {database}~");
        durable::sync_folder(&self.database)
    }

    /// Appends the statement of a zone, which is on one line and has no semicolon.
    ///
    /// # Errors
    /// The file cannot be written; it holds what it held before then.
    pub(super) fn append(&self, statement: &str) -> io::Result<()> {
        let mut file = match OpenOptions::new().read(true).write(true).open(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.replace([statement].into_iter()),
            opened => opened?,
        };
        // Only the last line can be unfinished.
        let length = file.metadata()?.len();
        let start = length.saturating_sub(LONGEST);
        let mut end = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut end)?;
        let length = start + whole(&end) as u64;
        let line = if end.last().is_none_or(|&last| last == b'\n') { "" } else { "\n" };
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        // In one write: a process that ends amid it leaves all of it or nothing.
        let written = file.write_all(format!("{line}{statement};\n").as_bytes()).and_then(|()| file.sync_data());
        if written.is_err() {
            // Should this fail, too, the unfinished line is recognised as such.
            let _ = file.set_len(length);
        }
        written
    }

    /// Replaces the file by one with these statements, and those that it has and that cannot be obeyed.
    ///
    /// # Errors
    /// The file cannot be written; it holds what it held before then.
    pub(super) fn replace<'s>(&self, statements: impl Iterator<Item = &'s str>) -> io::Result<()> {
        durable::replace(&self.file, |file| {
            writeln!(
                file,
                "# Zones of the view {} that came by `rndc addzone`, one a line; the server writes it.",
                self.view
            )?;
            for statement in statements {
                writeln!(file, "{statement};")?;
            }
            for statement in &self.left_out {
                file.write_all(statement)?;
                writeln!(file)?;
            }
            Ok(())
        })
    }
}

/// The path of a file that was replaced.
fn old(path: &Path) -> PathBuf {
    let mut old = path.as_os_str().to_owned();
    old.push("~");
    old.into()
}
