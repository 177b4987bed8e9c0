//! A log file with named's rules for size and old versions.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};

/// A file that lines are appended to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFile {
    /// The file's path.
    pub path: PathBuf,
    /// The size in octets at which the file is full; `None` sets no limit.
    pub size: Option<u64>,
    /// How many old versions are kept when the file is full or, without a size limit, when it is opened.
    pub versions: Versions,
    /// The suffix of old versions.
    pub suffix: Suffix,
    /// Whether lines are buffered.
    pub buffered: bool,
    /// Whether the file is created only with its first line.
    pub later: bool,
}

/// How many old versions of a log file are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Versions {
    /// No version is kept: a full file takes no more lines.
    None,
    /// This many; with 0, a full file is deleted and created anew.
    Number(u32),
    /// All versions are kept.
    Unlimited,
}

/// The names of old versions of a log file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suffix {
    /// A number: `.0` is the newest, then `.1`, …
    Increment,
    /// The time: `.20261121080500123`.
    Timestamp,
}

/// A log file to append to.
#[derive(Debug)]
pub(super) struct Appender {
    wanted: LogFile,
    /// `None` until the first line, and while the file is full and cannot be moved away.
    file: Option<File>,
    written: u64,
    /// Lines not written yet, if named.conf says `buffered`.
    waiting: Vec<u8>,
}

/// The most octets that are buffered.
const BUFFER: usize = 8192;

impl Appender {
    /// Makes an appender that opens its file with the first line.
    pub(super) fn later(wanted: LogFile) -> Appender {
        Appender { wanted, file: None, written: 0, waiting: Vec::new() }
    }

    /// Opens a file. An existing one is moved away if it is full, or if it has versions but no size limit.
    pub(super) fn open(wanted: LogFile) -> io::Result<Appender> {
        let mut appender = Appender::later(wanted);
        appender.reopen()?;
        Ok(appender)
    }

    /// Writes or buffers a line.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_full() || self.file.is_none() {
            self.flush()?;
            self.reopen()?;
        }
        if self.file.is_none() {
            return Ok(());
        }
        self.written += line.len() as u64;
        self.waiting.extend_from_slice(line);
        if self.wanted.buffered && self.waiting.len() < BUFFER && !self.is_full() { Ok(()) } else { self.flush() }
    }

    /// Writes the buffered lines.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        match &mut self.file {
            Some(file) => file.write_all(&waiting),
            None => Ok(()),
        }
    }

    fn is_full(&self) -> bool {
        self.wanted.size.is_some_and(|size| self.written > size)
    }

    /// Opens the file, first moving a full one away. A full file without versions takes no lines until someone else
    /// moves it.
    fn reopen(&mut self) -> io::Result<()> {
        self.file = None;
        let path = &self.wanted.path;
        // With O_NONBLOCK, neither opening nor writing to a pipe waits for its reader.
        let open = || OpenOptions::new().create(true).append(true).custom_flags(libc::O_NONBLOCK).open(path);
        let found = fs::metadata(path).ok();
        let length = found.as_ref().filter(|found| found.is_file()).map_or(0, fs::Metadata::len);
        let crowded = match self.wanted.size {
            Some(size) => length > 0 && length >= size,
            None => length > 0 && self.wanted.versions != Versions::None,
        };
        if crowded {
            if self.wanted.versions == Versions::None {
                return Ok(());
            }
            self.wanted.make_room(self.wanted.versions)?;
        }
        let file = open()?;
        self.written = if found.is_none_or(|found| found.is_file()) { file.metadata()?.len() } else { 0 };
        self.file = Some(file);
        Ok(())
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        // There is nowhere to report a failure.
        let _ = self.flush();
    }
}

impl LogFile {
    pub(crate) fn plain(path: PathBuf) -> LogFile {
        LogFile { path, size: None, versions: Versions::None, suffix: Suffix::Increment, buffered: false, later: false }
    }

    /// Moves the file away, and deletes the oldest versions if there would be too many.
    pub(crate) fn make_room(&self, versions: Versions) -> io::Result<()> {
        let moved = match versions {
            Versions::None => Ok(()),
            Versions::Number(0) => fs::remove_file(&self.path),
            versions => match self.suffix {
                Suffix::Increment => increment(&self.path, versions),
                Suffix::Timestamp => timestamp(&self.path, versions),
            },
        };
        match moved {
            // Somebody else has moved it, for example the channel that this one is about to replace.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        }
    }
}

/// Renames the full file to `.0`, `.0` to `.1`, and so on.
fn increment(path: &Path, versions: Versions) -> io::Result<()> {
    let version = |number: u64| with_suffix(path, &number.to_string());
    let last = match versions {
        Versions::Number(number) => u64::from(number).saturating_sub(1),
        Versions::None | Versions::Unlimited => u64::MAX,
    };
    for (number, old) in moved_before(path)? {
        if number > last {
            fs::remove_file(old)?;
        }
    }
    let free = (0..last).find(|&number| !version(number).exists()).unwrap_or(last);
    for number in (0..free).rev() {
        fs::rename(version(number), version(number + 1))?;
    }
    fs::rename(path, version(0))
}

/// Names the full file after the time; if two are full within a millisecond, after the next free one.
fn timestamp(path: &Path, versions: Versions) -> io::Result<()> {
    if let Versions::Number(kept) = versions {
        let mut old = moved_before(path)?;
        old.sort_unstable();
        let many = (old.len() + 1).saturating_sub(kept as usize);
        for (_, old) in old.into_iter().take(many) {
            fs::remove_file(old)?;
        }
    }
    let now = Timestamp::now();
    let at = |later: SignedDuration| with_suffix(path, &(now + later).strftime("%Y%m%d%H%M%S%3f").to_string());
    let free = (0..1000).map(|later| at(SignedDuration::from_millis(later))).find(|name| !name.exists());
    fs::rename(path, free.unwrap_or_else(|| at(SignedDuration::ZERO)))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// The files named like this one with a number appended.
fn moved_before(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let own = path.file_name().unwrap_or_default().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.as_encoded_bytes().strip_prefix(own).and_then(|rest| rest.strip_prefix(b"."));
        let number = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        found.extend(number.map(|number| (number, entry.path())));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Folder {
            Folder(tempfile::tempdir().unwrap())
        }

        fn file(&self, size: Option<u64>, versions: Versions, suffix: Suffix) -> LogFile {
            LogFile { path: self.0.path().join("log"), size, versions, suffix, buffered: false, later: false }
        }

        fn text(&self, name: &str) -> String {
            fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(self.0.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort_unstable();
            names
        }
    }

    fn write(file: &mut Appender, lines: &[&str]) {
        for line in lines {
            file.append(line.as_bytes()).unwrap();
        }
    }

    #[test]
    fn a_full_file_makes_room_and_the_oldest_goes() {
        let folder = Folder::new();
        let mut file = Appender::open(folder.file(Some(8), Versions::Number(2), Suffix::Increment)).unwrap();
        write(&mut file, &["one\n", "two\n", "three\n", "four\n", "five\n", "six\n", "seven\n"]);
        // The line that fills a file is its last.
        let texts = ["log", "log.0", "log.1"].map(|name| folder.text(name));
        assert_eq!(texts, ["six\nseven\n", "four\nfive\n", "one\ntwo\nthree\n"]);
        assert_eq!(folder.names(), ["log", "log.0", "log.1"]);
    }

    #[test]
    fn without_versions_a_full_file_takes_no_more_until_someone_moves_it() {
        let folder = Folder::new();
        let mut file = Appender::open(folder.file(Some(8), Versions::None, Suffix::Increment)).unwrap();
        write(&mut file, &["one\n", "two\n", "three\n", "four\n"]);
        assert_eq!(folder.text("log"), "one\ntwo\nthree\n");
        fs::rename(folder.0.path().join("log"), folder.0.path().join("moved")).unwrap();
        write(&mut file, &["five\n"]);
        assert_eq!(folder.text("log"), "five\n");
    }

    #[test]
    fn versions_without_a_size_are_one_a_start() {
        let folder = Folder::new();
        for number in 0..4 {
            let mut file = Appender::open(folder.file(None, Versions::Number(2), Suffix::Increment)).unwrap();
            write(&mut file, &[&format!("{number}\n")]);
        }
        assert_eq!(["log", "log.0", "log.1"].map(|name| folder.text(name)), ["3\n", "2\n", "1\n"]);
        assert_eq!(folder.names().len(), 3);
        let fewer = folder.file(None, Versions::Number(1), Suffix::Increment);
        write(&mut Appender::open(fewer).unwrap(), &["4\n"]);
        assert_eq!((folder.names(), folder.text("log.0")), (vec!["log".into(), "log.0".into()], "3\n".into()));
    }

    #[test]
    fn files_named_after_the_time_are_kept_in_its_order() {
        let folder = Folder::new();
        for old in ["log.20200101000000000", "log.20190101000000000", "log.note", "logs.1"] {
            fs::write(folder.0.path().join(old), "").unwrap();
        }
        let wanted = folder.file(Some(3), Versions::Number(2), Suffix::Timestamp);
        write(&mut Appender::open(wanted).unwrap(), &["one\n", "two\n"]);
        let names = folder.names();
        assert_eq!(names.len(), 5, "{names:?}");
        assert!(!names.contains(&"log.20190101000000000".into()) && names.contains(&"log.20200101000000000".into()));
        let new = names.iter().find(|name| name.starts_with("log.2") && !name.starts_with("log.2020010")).unwrap();
        assert_eq!((new.len(), folder.text(new)), ("log.".len() + 17, "one\n".into()));
    }

    #[test]
    fn a_file_that_somebody_else_has_moved_needs_no_more_room() {
        let folder = Folder::new();
        for (versions, suffix) in [
            (Versions::Number(0), Suffix::Increment),
            (Versions::Number(2), Suffix::Increment),
            (Versions::Number(2), Suffix::Timestamp),
            (Versions::Unlimited, Suffix::Timestamp),
        ] {
            folder.file(None, versions, suffix).make_room(versions).unwrap();
        }
        assert_eq!(folder.names().len(), 0);
    }

    #[test]
    fn files_that_are_full_within_a_millisecond_are_all_kept() {
        let folder = Folder::new();
        let mut file = Appender::open(folder.file(Some(1), Versions::Unlimited, Suffix::Timestamp)).unwrap();
        let lines: Vec<_> = (0..100).map(|number| format!("{number}\n")).collect();
        write(&mut file, &lines.iter().map(String::as_str).collect::<Vec<_>>());
        let mut names = folder.names();
        names.retain(|name| name != "log");
        names.sort_unstable();
        assert_eq!(names.iter().map(|name| folder.text(name)).collect::<Vec<_>>(), lines[..99]);
    }

    #[test]
    fn buffered_lines_are_written_at_the_end_at_the_latest() {
        let folder = Folder::new();
        let wanted = LogFile { buffered: true, ..folder.file(None, Versions::None, Suffix::Increment) };
        let mut file = Appender::open(wanted).unwrap();
        write(&mut file, &["one\n"]);
        assert_eq!(folder.text("log"), "");
        drop(file);
        assert_eq!(folder.text("log"), "one\n");
    }
}
