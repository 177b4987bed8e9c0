//! `zonefmt fmt`: zone files in tidy columns.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use clap::Args;
use zonefmt::{
    diagnostics::{Diagnostic, Source},
    zone,
};

use super::{Output, print, say};

/// Puts zone files into tidy columns, in place.
///
/// Records, comments and their order stay as they are; a file with errors is not touched.
#[derive(Args)]
pub(super) struct Arguments {
    /// The zone files; `-` reads standard input and writes standard output.
    #[arg(required = true)]
    files: Vec<String>,
    /// Write nothing; name the files that are not tidy, and fail if there are any.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> bool {
    // Every file gets its turn, whatever the others are like.
    arguments.files.iter().filter(|file| format(file, arguments.check, output)).count() == arguments.files.len()
}

fn format(file: &str, check: bool, output: Output) -> bool {
    let Some(source) = output.read(file) else { return false };
    let text = match zone::format(&source) {
        Ok(text) => text,
        Err(report) => {
            output.show(report.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()));
            return false;
        }
    };
    let tidy = text == source.text();
    if check {
        if !tidy {
            say(&format!("{} is not tidy: run `zonefmt fmt` on it", source.name()));
        }
        return tidy;
    }
    if file == "-" {
        return print(&text);
    }
    if tidy {
        return true;
    }
    replace(Path::new(file), &text)
        .map_err(|error| {
            let message = format!("cannot write the file: {error}");
            output.show([&Diagnostic::error(&Source::new(file, ""), 0..0, message)]);
        })
        .is_ok()
}

/// Puts `text` in the file's place, in one step, with the file's permissions; a symbolic link stays one.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = (|| {
        let mut file = File::create_new(&temporary)?;
        file.set_permissions(fs::metadata(&path)?.permissions())?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    })();
    if written.is_err() {
        // What could not be put in place is of no use; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written
}
