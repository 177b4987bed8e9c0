//! A folder of manifests, as it was when it was last read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use zonefmt::diagnostics::{Diagnostic, Severity, Source};

use super::{Manifest, Reading, Refused, read};
use crate::{
    api::{Resource, ResourceId},
    compile::Change,
};

/// Keeps the manifests of a folder with its subfolders, or of a single file. Names that start with a dot are skipped.
///
/// While a file has errors, its resources that cannot be read stay as they were: only a file without errors removes
/// resources. If a file with errors is renamed, the file of the new name keeps them. If two files declare the same
/// resource, the first one by path is used.
pub struct Folder {
    root: PathBuf,
    files: BTreeMap<PathBuf, File>,
    /// The files that declare each resource.
    places: BTreeMap<ResourceId, BTreeSet<PathBuf>>,
    /// The files that could not be read when the folder was last read, and why, so that each is reported once.
    unreadable: BTreeMap<PathBuf, String>,
}

struct File {
    source: Source,
    /// Whether its text has errors.
    failed: bool,
    manifests: BTreeMap<ResourceId, Manifest>,
    refused: Vec<Refused>,
}

/// What changed in the folder.
#[derive(Debug, Default)]
pub struct Update {
    /// The resources that changed since the folder was last read.
    pub changes: Vec<Change>,
    /// The diagnostics for files that changed.
    pub diagnostics: Vec<Diagnostic>,
    /// The files and folders that cannot be read at all, unless that was reported before.
    pub unreadable: Vec<FolderError>,
    /// Files that had errors, or could not be read, but are all right now.
    pub mended: Vec<PathBuf>,
    /// Files that had errors, or could not be read, and are gone now.
    pub gone: Vec<PathBuf>,
}

/// Why a folder or a file in it cannot be read.
#[derive(Debug)]
pub struct FolderError {
    path: PathBuf,
    error: io::Error,
}

/// The most octets of a file. Longer manifests must be split into several files.
const MAX_FILE: u64 = 64 << 20;
/// The most levels of nested folders.
const MAX_DEPTH: usize = 16;

impl Folder {
    /// Creates a folder for `root`, which is a folder or a file. Nothing is read before the first [`Folder::look`].
    pub fn new(root: PathBuf) -> Folder {
        Folder { root, files: BTreeMap::new(), places: BTreeMap::new(), unreadable: BTreeMap::new() }
    }

    /// Reads what changed since the last call. Fails if the folder itself cannot be read, and then nothing changes.
    pub fn look(&mut self) -> Result<Update, FolderError> {
        let mut update = Update::default();
        let mut unreadable = Vec::new();
        let mut news = self.news(&mut update, &mut unreadable)?;
        self.keep_renamed(&mut news);
        let before = self.resources_in(&news);
        let refused_before = self.refused_ids();
        let failed = |path: &PathBuf| self.files.get(path).is_some_and(|file| file.failed);
        update
            .gone
            .extend(news.iter().filter(|(path, file)| file.is_none() && failed(path)).map(|(path, _)| path.clone()));
        for (path, file) in news {
            self.replace(path, file);
        }
        for (id, before) in before {
            let paths = self.places.get(&id).into_iter().flatten();
            let manifests: Vec<&Manifest> = paths.filter_map(|path| self.files.get(path)?.manifests.get(&id)).collect();
            let is_another = |other: &&&Manifest| other.origin.file() != manifests[0].origin.file();
            for other in manifests.iter().filter(is_another) {
                update.diagnostics.push(duplicate(other, manifests[0]));
            }
            match manifests.first().map(|manifest| &manifest.resource) {
                Some(now) if before.as_ref() != Some(now) => update.changes.push(Change::Put(now.clone())),
                None if before.is_some() => update.changes.push(Change::Remove(id)),
                _ => {}
            }
        }
        let refused = self.refused_ids();
        let no_more = refused_before.difference(&refused).filter(|id| self.manifest(id).is_none());
        update.changes.extend(no_more.cloned().map(Change::Remove));
        update.changes.extend(refused.difference(&refused_before).cloned().map(Change::Refuse));
        let known = std::mem::take(&mut self.unreadable);
        for error in unreadable {
            let reason = error.error.to_string();
            let told = known.get(&error.path) == Some(&reason);
            self.unreadable.insert(error.path.clone(), reason);
            update.unreadable.extend((!told).then_some(error));
        }
        for path in known.into_keys().filter(|path| !self.unreadable.contains_key(path)) {
            let told = if path.exists() { &mut update.mended } else { &mut update.gone };
            // A file that had errors before it could not be read is reported once.
            if !told.contains(&path) {
                told.push(path);
            }
        }
        Ok(update)
    }

    /// The manifest that declares a resource.
    pub fn manifest(&self, id: &ResourceId) -> Option<&Manifest> {
        self.files.get(self.places.get(id)?.first()?)?.manifests.get(id)
    }

    /// The resources and where each was read, by namespace, name and kind.
    pub fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.places.keys().filter_map(|id| self.manifest(id))
    }

    /// The resources, by namespace, name and kind.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.manifests().map(|manifest| &manifest.resource)
    }

    /// The resources that cannot be read, and of which no earlier version is kept either, by namespace, name and kind.
    pub fn refused(&self) -> impl Iterator<Item = &Refused> {
        let refused = self.files.values().rev().flat_map(|file| file.refused.iter().rev());
        let first: BTreeMap<&ResourceId, &Refused> = refused.map(|refused| (&refused.id, refused)).collect();
        first.into_values().filter(|refused| self.manifest(&refused.id).is_none())
    }

    fn refused_ids(&self) -> BTreeSet<ResourceId> {
        self.refused().map(|refused| refused.id.clone()).collect()
    }

    /// The number of files.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// The files that changed, with their new content; `None` for a file that is gone.
    fn news(
        &self,
        update: &mut Update,
        unreadable: &mut Vec<FolderError>,
    ) -> Result<BTreeMap<PathBuf, Option<File>>, FolderError> {
        let mut paths = BTreeSet::new();
        if self.root.is_file() {
            paths.insert(self.root.clone());
        } else {
            collect(&self.root, &mut Vec::new(), &mut paths, unreadable)
                .map_err(|error| FolderError { path: self.root.clone(), error })?;
        }
        let gone = self.files.keys().filter(|path| !paths.contains(*path));
        let mut news: BTreeMap<PathBuf, Option<File>> = gone.map(|path| (path.clone(), None)).collect();
        for path in paths {
            let known = self.files.get(&path);
            match read_octets(&path) {
                Ok(text) if known.is_some_and(|known| known.source.text() == text) => {}
                Ok(text) => {
                    let file = File::read(&path, text, known, update);
                    news.insert(path, Some(file));
                }
                // The file was removed a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    news.insert(path, None);
                }
                Err(error) => unreadable.push(FolderError { path, error }),
            }
        }
        Ok(news)
    }

    /// Lets files with errors keep the resources of files that were removed at the same time, because a file may have
    /// been renamed. Resources that another file declares now are left out.
    fn keep_renamed(&self, news: &mut BTreeMap<PathBuf, Option<File>>) {
        let gone = news.iter().filter(|(_, file)| file.is_none()).filter_map(|(path, _)| self.files.get(path));
        let is_read = |id: &ResourceId| {
            let stays = |path: &PathBuf| !news.contains_key(path);
            news.values().flatten().any(|file| file.manifests.contains_key(id))
                || self.places.get(id).is_some_and(|paths| paths.iter().any(stays))
        };
        let gone = gone.flat_map(|file| &file.manifests).filter(|(id, _)| !is_read(id));
        let gone: Vec<_> = gone.map(|(id, manifest)| (id.clone(), manifest.clone())).collect();
        for file in news.values_mut().flatten().filter(|file| file.failed) {
            file.manifests.extend(gone.iter().cloned());
        }
    }

    /// The resources that the changed files may affect, as they are before the change.
    fn resources_in(&self, news: &BTreeMap<PathBuf, Option<File>>) -> BTreeMap<ResourceId, Option<Resource>> {
        let old = news.keys().filter_map(|path| self.files.get(path));
        let files = old.chain(news.values().flatten());
        let ids = files.flat_map(|file| file.manifests.keys());
        ids.map(|id| (id.clone(), self.manifest(id).map(|manifest| manifest.resource.clone()))).collect()
    }

    fn replace(&mut self, path: PathBuf, file: Option<File>) {
        for id in self.files.remove(&path).into_iter().flat_map(|file| file.manifests.into_keys()) {
            if let Some(paths) = self.places.get_mut(&id) {
                paths.remove(&path);
                if paths.is_empty() {
                    self.places.remove(&id);
                }
            }
        }
        if let Some(file) = file {
            for id in file.manifests.keys() {
                self.places.entry(id.clone()).or_default().insert(path.clone());
            }
            self.files.insert(path, file);
        }
    }
}

impl File {
    /// Reads the text of a file. Resources that it fails to declare because of errors stay as they are in `known`.
    fn read(path: &Path, text: Vec<u8>, known: Option<&File>, update: &mut Update) -> File {
        let source = Source::new(path.display().to_string(), text);
        let reading = read(&source);
        let failed = reading.has_errors();
        let Reading { manifests: read, refused, diagnostics } = reading;
        let mut manifests: BTreeMap<ResourceId, Manifest> = BTreeMap::new();
        update.diagnostics.extend(diagnostics);
        for manifest in read {
            if let Some(first) = manifests.get(&manifest.resource.id) {
                update.diagnostics.push(duplicate(&manifest, first));
            } else {
                manifests.insert(manifest.resource.id.clone(), manifest);
            }
        }
        if !failed && known.is_some_and(|known| known.failed) {
            update.mended.push(path.to_owned());
        }
        for (id, manifest) in known.filter(|_| failed).into_iter().flat_map(|known| &known.manifests) {
            manifests.entry(id.clone()).or_insert_with(|| manifest.clone());
        }
        File { source, failed, manifests, refused }
    }
}

/// Says that a resource is defined a second time.
///
/// The first definition is used, so that adding another file changes nothing that is served; `kubectl apply` would end
/// with the last.
pub fn duplicate(manifest: &Manifest, first: &Manifest) -> Diagnostic {
    let Manifest { resource, origin } = manifest;
    let message = format!(
        "{} is defined in {}:{} already, and that definition is used; `kubectl apply` would end with this one",
        resource.id,
        first.origin.file(),
        first.origin.line()
    );
    let diagnostic = origin.diagnostic(Severity::Error, "metadata.name", message);
    diagnostic.help("remove one of them, or give it another `metadata.name`")
}

/// Finds the manifests in a folder and its subfolders. `above` are the folders that contain it, by device and inode,
/// because a link to one of them leads nowhere new.
fn collect(
    folder: &Path,
    above: &mut Vec<(u64, u64)>,
    paths: &mut BTreeSet<PathBuf>,
    unreadable: &mut Vec<FolderError>,
) -> io::Result<()> {
    let metadata = fs::metadata(folder)?;
    let here = (metadata.dev(), metadata.ino());
    if above.contains(&here) || above.len() > MAX_DEPTH {
        return Ok(());
    }
    above.push(here);
    let collected = collect_entries(folder, above, paths, unreadable);
    above.pop();
    collected
}

fn collect_entries(
    folder: &Path,
    above: &mut Vec<(u64, u64)>,
    paths: &mut BTreeSet<PathBuf>,
    unreadable: &mut Vec<FolderError>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if path.is_dir() {
            if let Err(error) = collect(&path, above, paths, unreadable) {
                unreadable.push(FolderError { path, error });
            }
        } else if path.extension().is_some_and(|is| is == "yaml" || is == "yml" || is == "json") {
            paths.insert(path);
        }
    }
    Ok(())
}

fn read_octets(path: &Path) -> io::Result<Vec<u8>> {
    // Reading a pipe would wait until somebody writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = Vec::new();
    fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it is over {} MiB; split it into several files", MAX_FILE >> 20)));
    }
    Ok(text)
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let help = match self.error.kind() {
            io::ErrorKind::NotFound => "; name a folder of manifests, or one manifest",
            io::ErrorKind::PermissionDenied => "; allow this user to read it",
            _ => "",
        };
        write!(f, "cannot read {}: {}{help}", self.path.display(), self.error)
    }
}

impl std::error::Error for FolderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn text(kind: &str, names: &[&str]) -> String {
        let document = |name: &&str| {
            format!(
                "apiVersion: bindy.firestoned.io/v1beta1\nkind: {kind}\nmetadata: {{name: {name}}}\n\
                 spec: {{name: {name}, text: [x]}}\n"
            )
        };
        names.iter().map(document).collect::<Vec<_>>().join("---\n")
    }

    /// Reads the folder. Returns the changes as sorted `+name` and `-name`, and the number of diagnostics.
    fn look(folder: &mut Folder) -> (Vec<String>, usize) {
        let update = folder.look().unwrap();
        let mut changes: Vec<String> = update
            .changes
            .iter()
            .map(|change| match change {
                Change::Put(resource) => format!("+{}", resource.id.name),
                Change::Refuse(id) => format!("?{}", id.name),
                Change::Remove(id) => format!("-{}", id.name),
                Change::Write(namespace, _) => format!("~{namespace}"),
            })
            .collect();
        changes.sort();
        (changes, update.diagnostics.len() + update.unreadable.len())
    }

    fn told(changes: &[&str], diagnostics: usize) -> (Vec<String>, usize) {
        (changes.iter().map(|change| (*change).to_owned()).collect(), diagnostics)
    }

    #[test]
    fn a_look_tells_what_changed() {
        let (root, write) = folder();
        let mut folder = Folder::new(root.path().to_owned());
        assert_eq!(look(&mut folder), told(&[], 0));
        write("a.yaml", &text("TXTRecord", &["a", "b"]));
        write("deep/er/c.json", r#"{"apiVersion": "v1", "kind": "List", "items": []}"#);
        write("notes.txt", "no manifest");
        write(".hidden.yaml", &text("TXTRecord", &["h"]));
        assert_eq!(look(&mut folder), told(&["+a", "+b"], 0));
        assert_eq!(look(&mut folder), told(&[], 0));
        write("a.yaml", &text("TXTRecord", &["b", "c"]));
        assert_eq!(look(&mut folder), told(&["+c", "-a"], 0));
        fs::remove_file(root.path().join("a.yaml")).unwrap();
        assert_eq!(look(&mut folder), told(&["-b", "-c"], 0));
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let (root, write) = folder();
        let mut folder = Folder::new(root.path().to_owned());
        write("a.yaml", &text("TXTRecord", &["a"]));
        let pipe = root.path().join("pipe.yaml");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let update = folder.look().unwrap();
        assert_eq!((update.changes.len(), update.unreadable.len()), (1, 1));
        let told = update.unreadable[0].to_string();
        assert!(told.contains("pipe.yaml: it is no regular file"), "{told}");
        fs::remove_file(&pipe).unwrap();
        write("pipe.yaml", &text("TXTRecord", &["b"]));
        let update = folder.look().unwrap();
        assert_eq!((update.changes.len(), update.mended), (1, vec![pipe]));
    }

    #[test]
    fn a_link_to_a_folder_above_is_no_way_round() {
        let (root, write) = folder();
        let mut folder = Folder::new(root.path().to_owned());
        write("deep/a.yaml", &text("TXTRecord", &["a"]));
        std::os::unix::fs::symlink("..", root.path().join("deep/up")).unwrap();
        std::os::unix::fs::symlink(".", root.path().join("here")).unwrap();
        assert_eq!(look(&mut folder), told(&["+a"], 0));
        assert_eq!(folder.files(), 1);
    }

    #[test]
    fn a_file_that_is_right_again_is_told_even_if_nothing_changed() {
        let (root, write) = folder();
        let mut folder = Folder::new(root.path().to_owned());
        let right = text("TXTRecord", &["a"]);
        write("a.yaml", &right);
        assert!(folder.look().unwrap().mended.is_empty());
        write("a.yaml", &right.replace("kind:", "kind"));
        assert!(folder.look().unwrap().mended.is_empty());
        write("a.yaml", &right);
        let update = folder.look().unwrap();
        assert_eq!((update.changes.len(), update.mended), (0, vec![root.path().join("a.yaml")]));
        assert!(folder.look().unwrap().mended.is_empty());
    }

    #[test]
    fn a_file_with_errors_that_is_deleted_is_told() {
        let (root, write) = folder();
        let mut folder = Folder::new(root.path().to_owned());
        write("a.yaml", "kind: [");
        write("b.yaml", &text("TXTRecord", &["b"]));
        assert_eq!(folder.look().unwrap().diagnostics.len(), 1);
        fs::remove_file(root.path().join("a.yaml")).unwrap();
        fs::remove_file(root.path().join("b.yaml")).unwrap();
        assert_eq!(folder.look().unwrap().gone, [root.path().join("a.yaml")]);
        assert!(folder.look().unwrap().gone.is_empty());
    }

    #[test]
    fn only_a_file_without_errors_lets_go() {
        let (root, write) = folder();
        let mut folder = Folder::new(root.path().to_owned());
        write("a.yaml", &text("TXTRecord", &["a", "b"]));
        look(&mut folder);
        write("a.yaml", &format!("{}---\nkind: [\n", text("TXTRecord", &["b", "c"])));
        assert_eq!(look(&mut folder), told(&["+c"], 1), "a may be what cannot be read");
        write("a.yaml", &text("TXTRecord", &["b", "c"]));
        assert_eq!(look(&mut folder), told(&["-a"], 0));
        fs::write(root.path().join("a.yaml"), b"\xff").unwrap();
        assert_eq!(look(&mut folder), told(&[], 1));
    }

    #[test]
    fn what_a_renamed_file_with_errors_had_stays() {
        let (root, write) = folder();
        let path = |name: &str| root.path().join(name);
        let mut folder = Folder::new(root.path().to_owned());
        write("a.yaml", &text("TXTRecord", &["a", "b"]));
        look(&mut folder);
        write("a.yaml", &format!("{}---\nkind: [\n", text("TXTRecord", &["b"])));
        assert_eq!(look(&mut folder), told(&[], 1));
        fs::rename(path("a.yaml"), path("c.yaml")).unwrap();
        assert_eq!(look(&mut folder), told(&[], 1));
        fs::rename(path("c.yaml"), path("d.yaml")).unwrap();
        write("e.yaml", &text("TXTRecord", &["a"]).replace("text: [x]", "text: [other]"));
        assert_eq!(look(&mut folder), told(&["+a"], 1), "a file that has it goes before one that may have it");
        write("d.yaml", &text("TXTRecord", &["b"]));
        assert_eq!(look(&mut folder), told(&[], 0));
        write("d.yaml", &text("TXTRecord", &["c"]));
        assert_eq!(look(&mut folder), told(&["+c", "-b"], 0), "a file without errors lets go");
        fs::remove_file(path("d.yaml")).unwrap();
        assert_eq!(look(&mut folder), told(&["-c"], 0));
    }

    #[test]
    fn a_resource_that_cannot_be_read_is_refused_until_it_can_be_or_is_gone() {
        let (root, write) = folder();
        let mut folder = Folder::new(root.path().to_owned());
        let right = text("TXTRecord", &["a"]);
        write("a.yaml", &right.replace("[x]", "x"));
        assert_eq!(look(&mut folder), told(&["?a"], 1));
        write("a.yaml", &right);
        assert_eq!(look(&mut folder), told(&["+a"], 0));
        write("a.yaml", &right.replace("[x]", "x"));
        assert_eq!(look(&mut folder), told(&[], 1), "it stays as it was");
        fs::remove_file(root.path().join("a.yaml")).unwrap();
        assert_eq!(look(&mut folder), told(&["-a"], 0));
        write("a.yaml", &right.replace("[x]", "x"));
        assert_eq!(look(&mut folder), told(&["?a"], 1));
        fs::remove_file(root.path().join("a.yaml")).unwrap();
        assert_eq!(look(&mut folder), told(&["-a"], 0));
    }

    #[test]
    fn of_two_files_with_one_resource_the_first_counts() {
        let (root, write) = folder();
        let mut folder = Folder::new(root.path().to_owned());
        write("b.yaml", &text("TXTRecord", &["a"]));
        assert_eq!(look(&mut folder), told(&["+a"], 0));
        write("a.yaml", &text("TXTRecord", &["a"]).replace("text: [x]", "text: [other]"));
        assert_eq!(look(&mut folder), told(&["+a"], 1));
        write("b.yaml", &text("TXTRecord", &["a", "a"]).replace("text: [x]", "text: [third]"));
        assert_eq!(look(&mut folder), told(&[], 2), "of one that counts nothing changed");
        fs::remove_file(root.path().join("a.yaml")).unwrap();
        assert_eq!(look(&mut folder), told(&["+a"], 0));
    }

    #[test]
    fn a_file_may_be_served_alone_and_a_folder_must_exist() {
        let (root, write) = folder();
        write("a.yaml", &text("TXTRecord", &["a"]));
        write("b.yaml", &text("TXTRecord", &["b"]));
        assert_eq!(look(&mut Folder::new(root.path().join("a.yaml"))), told(&["+a"], 0));
        let error = Folder::new(root.path().join("none")).look().unwrap_err().to_string();
        assert!(error.contains("none") && error.contains("name a folder"), "{error}");
    }

    fn folder() -> (TempDir, impl Fn(&str, &str)) {
        let root = TempDir::new().unwrap();
        let path = root.path().to_owned();
        let write = move |name: &str, text: &str| {
            let path = path.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        (root, write)
    }
}
