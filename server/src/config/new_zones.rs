//! The zones that `rndc addzone` adds to a view: the files that keep them, and reading those back.
//!
//! A view's added zones are kept as `zone` statements in a file of their own, under the name that named gives it, so
//! that either server serves the zones that the other added. named with LMDB keeps them in a database (`.nzd`), which
//! it makes of the file when it starts; its own tool `named-nzd2nzf` turns that into text again.
//!
//! A zone in such a file that cannot be served is left out ([`left_out`]): the others do not wait for somebody to mend it.

mod left_out;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use zonefmt::{
    Name,
    conf::{Conf, Statement},
    diagnostics::{Diagnostic, Severity, Source},
};

pub(super) use left_out::LeftOut;

use super::{
    ZoneConfig,
    scope::Scope,
    zones::{self, origin},
};
use crate::zones::View;

/// The views of a configuration to which zones may be added while the server runs.
#[derive(Debug)]
pub(crate) struct Additions {
    /// The configuration that a zone's statement is read against.
    conf: Conf,
    /// The port of servers that are written without one.
    port: u16,
    files: Vec<NewZones>,
}

/// A view to which zones may be added, as it was when named.conf was read.
#[derive(Debug)]
pub(super) struct Growing {
    pub(super) file: NewZones,
    /// The statements of the zones that were added so far; `None` if there is no file of them.
    pub(super) zones: Option<Conf>,
    /// The statements that cannot be read.
    pub(super) left_out: Vec<LeftOut>,
}

/// The files that keep the zones added to a view.
#[derive(Clone, Debug)]
pub(crate) struct NewZones {
    pub(crate) view: Arc<str>,
    pub(crate) file: PathBuf,
    /// The database in which named keeps the same zones.
    pub(crate) database: PathBuf,
    /// The statements that are in the file and cannot be obeyed. They stay there until somebody mends or removes them.
    pub(crate) left_out: Vec<Box<[u8]>>,
}

/// The characters that keep named from naming a file after a view.
const NOT_IN_FILES: &str = "\\/ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// The tool that turns named's database into text.
const CONVERTER: &str = "named-nzd2nzf";

/// The views of a configuration to which zones may be added (`allow-new-zones`), with those that were.
pub(super) fn of_views(conf: &Conf, findings: &mut Vec<Diagnostic>) -> Vec<Growing> {
    let options = Scope::new(conf.statements().find("options").into_iter().flat_map(Statement::block), None);
    let mut growing = Vec::new();
    let mut look_at = |name: &str, scope: &Scope<'_, '_>| {
        if !scope.yes_no("allow-new-zones").unwrap_or(false) {
            return;
        }
        let directory = options.path("directory").unwrap_or_default();
        let folder = scope.path("new-zones-directory");
        if let Some(statement) = scope.find("new-zones-directory")
            && let Some(folder) = folder.as_ref().filter(|folder| !directory.join(folder).is_dir())
        {
            let error = statement.error(format!("there is no directory `{}`", folder.display()));
            return findings.push(error.help("make it, or name the one that added zones are to be kept in"));
        }
        let file = NewZones::of(name, &directory, folder.as_deref());
        match file.read(findings) {
            Ok(None) => growing.push(Growing { file, zones: None, left_out: Vec::new() }),
            Ok(Some((zones, left_out))) => growing.push(Growing { file, zones: Some(zones), left_out }),
            Err(errors) => findings.extend(errors),
        }
    };
    let statements = conf.statements();
    if statements.find("view").is_none() {
        look_at(View::DEFAULT, &options);
    }
    for view in statements.all("view") {
        if let Some(name) = view.argument() {
            look_at(&name.shown(), &Scope::new(view.block(), Some(&options)));
        }
    }
    growing
}

impl Additions {
    pub(super) fn new(conf: Conf, port: u16, files: Vec<NewZones>) -> Additions {
        Additions { conf, port, files }
    }

    /// The files of all these views.
    pub(crate) fn files(&self) -> &[NewZones] {
        &self.files
    }

    /// Whether zones are left out that were not before.
    pub(crate) fn leaves_out_more_than(&self, before: Option<&Additions>) -> bool {
        let known = |file: &NewZones| before.and_then(|before| before.file(&file.view)).map(|file| &*file.left_out);
        self.files.iter().any(|file| {
            let known = known(file).unwrap_or_default();
            file.left_out.iter().any(|statement| !known.contains(statement))
        })
    }

    /// The file of a view; `None` if no zones may be added to it.
    pub(crate) fn file(&self, view: &str) -> Option<&NewZones> {
        self.files.iter().find(|file| *file.view == *view)
    }

    /// Reads the statement of a zone that is to be added to a view; `None` if there is an error among the findings.
    pub(crate) fn read(
        &self,
        view: &str,
        zone: Statement<'_>,
        directory: &Path,
    ) -> (Option<ZoneConfig>, Vec<Diagnostic>) {
        zones::read_one(&self.conf, view, zone, directory, self.port)
    }

    /// The statement of a zone in named.conf, on one line.
    pub(crate) fn written(&self, view: &str, wanted: &Name) -> Option<Arc<str>> {
        let statements = self.conf.statements();
        let view = statements.all("view").find(|known| known.argument().is_some_and(|name| name.shown() == view));
        let statements = view.map_or(statements, Statement::block);
        let zone = statements.all("zone").find(|zone| origin(*zone).is_some_and(|origin| origin == *wanted))?;
        Some(zones::line(wanted, zone))
    }
}

impl NewZones {
    /// The files of a view; `folder` is its `new-zones-directory`.
    fn of(view: &str, directory: &Path, folder: Option<&Path>) -> NewZones {
        let path = |extension| {
            let below =
                |folder: &Path| directory.join(folder).join(file_name(&directory.join(folder), view, extension));
            let (wanted, without) = (below(folder.unwrap_or(Path::new(""))), below(Path::new("")));
            // A file that was kept before there was a folder for it stays where it is.
            if !wanted.exists() && without.exists() { without } else { wanted }
        };
        NewZones { view: view.into(), file: path("nzf"), database: path("nzd"), left_out: Vec::new() }
    }

    /// The zones that were added, and those that cannot be read. If there is a database, they are read from it, as named
    /// does not look into the file then.
    fn read(&self, findings: &mut Vec<Diagnostic>) -> Result<Option<(Conf, Vec<LeftOut>)>, Vec<Diagnostic>> {
        let source = if self.database.exists() {
            self.read_database()?
        } else {
            match fs::read(&self.file) {
                Ok(mut text) => {
                    let (octets, whole) = (text.len(), whole(&text));
                    text.truncate(whole);
                    let source = Source::new(self.file.display().to_string(), text);
                    if whole < octets {
                        let message = "the last line is not complete, and is left out";
                        let warning = Diagnostic::warning(&source, whole..whole, message);
                        findings.push(warning.help("its zone was never reported as added: add it again"));
                    }
                    source
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(vec![unreadable(&self.file, &error.to_string())]),
            }
        };
        left_out::read(&source).map(Some)
    }

    fn read_database(&self) -> Result<Source, Vec<Diagnostic>> {
        let (database, file) = (self.database.display(), self.file.display());
        let failed = |why: String| {
            let help = format!("run `{CONVERTER} {database} > {file} && mv {database} {database}~`, and start again");
            vec![unreadable(&self.database, &why).help(help)]
        };
        let output = Command::new(CONVERTER).arg(&self.database).output();
        let output = output.map_err(|error| failed(format!("cannot run {CONVERTER}, which reads it: {error}")))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(Source::new(self.database.display().to_string(), output.stdout))
    }
}

/// The name that named gives a view's file: one that older versions used, if there is such a file; else the view's
/// name; or, if that does not suit a file, the beginning of its hash.
fn file_name(folder: &Path, view: &str, extension: &str) -> String {
    let hash = HEXLOWER.encode(&Sha256::digest(view));
    let [long, short, plain] = [&*hash, &hash[..16], view].map(|stem| format!("{stem}.{extension}"));
    let exists = |name: &str| folder.join(name).exists();
    match () {
        () if exists(&long) => long,
        () if exists(&short) || view.contains(|c| NOT_IN_FILES.contains(c)) => short,
        () => plain,
    }
}

/// The octets of a file up to an unfinished last line. The command whose zone that was did not succeed.
pub(crate) fn whole(text: &[u8]) -> usize {
    let last = text.iter().rposition(|&octet| octet == b'\n').map_or(0, |newline| newline + 1);
    if text.trim_ascii_end().ends_with(b"};") { text.len() } else { last }
}

fn unreadable(path: &Path, why: &str) -> Diagnostic {
    Diagnostic::of_file(Severity::Error, path, format!("cannot read the zones that were added: {why}"))
}
