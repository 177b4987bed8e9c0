//! The programs of this tree, as they are now.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The file of a program of a package: in the folder `BINDY_PROGRAMS`, where that is set. Else it is beside the program of the test, built with the same profile; where it is
/// not there or older than its sources, it is built.
pub(crate) fn program(package: &str, name: &str) -> PathBuf {
    if let Some(folder) = env::var_os("BINDY_PROGRAMS").filter(|folder| !folder.is_empty()) {
        return Path::new(&folder).join(name);
    }
    let test = env::current_exe().expect("a test has a file");
    let folder = test.ancestors().skip(1).find(|it| !it.ends_with("deps") && !it.ends_with("examples"));
    let folder = folder.expect("it is in a folder").to_owned();
    let file = folder.join(name);
    if !is_new(&folder, name) {
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--locked", "--quiet", "--package", package, "--bin", name, "--profile", profile]);
        cargo.arg("--target-dir").arg(folder.parent().expect("it is in a folder"));
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(built.is_ok_and(|status| status.success()), "{cargo:?} failed; its output says why");
    }
    file
}

/// Whether a program is newer than the sources that Cargo has noted beside it.
fn is_new(folder: &Path, name: &str) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).ok();
    let Some(built) = time(&folder.join(name)) else { return false };
    let Ok(notes) = fs::read_to_string(folder.join(format!("{name}.d"))) else { return false };
    let Some((_, sources)) = notes.split_once(": ") else { return false };
    // Paths with blanks have backslashes, and count as changed.
    sources.split_whitespace().all(|source| time(Path::new(source)).is_some_and(|changed| changed <= built))
}
