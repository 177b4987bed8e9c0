//! The zones that were added to a view while the server ran (`rndc addzone`): where they are kept, and reading them back.
//!
//! They are kept in a file of `zone` statements beside named.conf's own, under the name that named gives it, so that either
//! server serves the zones that the other was given. named with LMDB keeps them in a database (`.nzd`), which it makes from
//! the file when it starts; the way back goes through its own `named-nzd2nzf`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use zonefmt::{
    conf::{self, Conf, Statement},
    diagnostics::{Diagnostic, Source},
};

use super::scope::Scope;
use crate::zones::View;

/// A view to which zones may be added.
#[derive(Debug)]
pub(super) struct Growing {
    pub(super) file: NewZones,
    /// What was added so far.
    pub(super) zones: Option<Conf>,
}

/// The file of a view's added zones.
#[derive(Clone, Debug)]
pub(crate) struct NewZones {
    pub(crate) view: Arc<str>,
    pub(crate) file: PathBuf,
    /// named's database of the same zones.
    pub(crate) database: PathBuf,
}

/// What names of views must not have in them to be names of files, for named.
const NOT_IN_FILES: &str = "\\/ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Turns named's database into text.
const CONVERTER: &str = "named-nzd2nzf";

/// The views of a configuration that zones may be added to (`allow-new-zones`), with the zones that were.
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
        match file.read() {
            Ok(zones) => growing.push(Growing { file, zones }),
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

impl NewZones {
    /// The files of a view, below `directory`; `folder` is `new-zones-directory`.
    fn of(view: &str, directory: &Path, folder: Option<&Path>) -> NewZones {
        let path = |extension| {
            let below =
                |folder: &Path| directory.join(folder).join(file_name(&directory.join(folder), view, extension));
            let (wanted, without) = (below(folder.unwrap_or(Path::new(""))), below(Path::new("")));
            // Where it was kept before there was a folder for it, it stays.
            if !wanted.exists() && without.exists() { without } else { wanted }
        };
        NewZones { view: view.into(), file: path("nzf"), database: path("nzd") }
    }

    /// The zones that were added: those in named's database, which does not look into the file once it has one; without it
    /// those in the file.
    fn read(&self) -> Result<Option<Conf>, Vec<Diagnostic>> {
        let source = if self.database.exists() {
            self.read_database()?
        } else {
            match fs::read(&self.file) {
                Ok(mut text) => {
                    text.truncate(whole(&text));
                    Source::new(self.file.display().to_string(), text)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(vec![unreadable(&self.file, &error.to_string())]),
            }
        };
        conf::parse_zones(source).map(Some)
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

/// What named calls a view's file: a name that older versions gave it, if there is such a file, else the view's name, else,
/// where that is none for a file, the beginning of its hash.
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

/// How much of a file is whole: nobody was told of a zone whose line was not written to its end.
pub(crate) fn whole(text: &[u8]) -> usize {
    let last = text.iter().rposition(|&octet| octet == b'\n').map_or(0, |newline| newline + 1);
    if text.trim_ascii_end().ends_with(b"};") { text.len() } else { last }
}

fn unreadable(path: &Path, why: &str) -> Diagnostic {
    let source = Source::new(path.display().to_string(), "");
    Diagnostic::error(&source, 0..0, format!("cannot read the zones that were added: {why}"))
}
