//! Loads zone files into zone data, and refuses what named refuses.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read},
    num::NonZeroUsize,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{self, Path},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use jiff::Timestamp;
use zonefmt::{
    Rtype,
    diagnostics::{Diagnostic, Severity, Source},
    zone::{self, Includes, Record, Refusal},
};

use super::{
    faults::{MAX_FINDINGS, SIGNED, UNSIGN, faults},
    journal,
    owners::{ChangedBy, check_serial, has_journal},
};
use crate::{
    config::{NamedFile, Reading, ZoneConfig},
    live::Legacy,
    stamp::Stamp,
    sync::lock,
    transfer::inbound,
    zone::{Added, ZoneData},
    zones::Zone,
};

/// The result of loading a zone.
pub(super) struct Loaded {
    /// The data; `None` after an error.
    pub(super) data: Option<ZoneData>,
    /// The files that were read, so that a change of them is noticed.
    pub(super) files: Files,
    /// Errors and warnings.
    pub(super) findings: Vec<Diagnostic>,
    /// What the data has from named, of which the zone file may know nothing yet.
    pub(super) legacy: Option<Legacy>,
}

/// The files that a zone was read from, and their state at that time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Files {
    file: Stamp,
    includes: Box<[(NamedFile, Stamp)]>,
}

impl Files {
    fn none() -> Files {
        Files { file: Stamp::default(), includes: Box::default() }
    }

    /// The files that the zone file includes.
    pub(super) fn includes(&self) -> impl Iterator<Item = &NamedFile> {
        self.includes.iter().map(|(file, _)| file)
    }

    /// When the zone's file was last changed, as of the time when it was read; 1970 if there was none.
    pub(super) fn modified(&self) -> Timestamp {
        Timestamp::from_second(self.file.seconds()).unwrap_or_default()
    }

    /// Whether the files are what they were when the zone was read from `file`.
    pub(super) fn are_unchanged(&self, file: &Path) -> bool {
        Stamp::of(file) == self.file && self.includes.iter().all(|(file, stamp)| Stamp::of(file.path()) == *stamp)
    }
}

/// A zone to load.
#[derive(Clone, Copy)]
pub(super) struct Job<'j> {
    pub(super) zone: &'j ZoneConfig,
    /// The zone as it is served now. The new data shares with it what did not change.
    pub(super) current: Option<&'j Zone>,
}

/// Loads zones, as many at a time as there are processors, and gives each to `take` as soon as it is loaded.
pub(super) fn load_all(jobs: &[Job<'_>], directory: &Path, mut take: impl FnMut(Job<'_>, Loaded) + Send) {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(jobs.len());
    if threads < 2 {
        return jobs.iter().for_each(|&job| take(job, load(job, directory)));
    }
    let next = AtomicUsize::new(0);
    let take = std::sync::Mutex::new(take);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(&job) = jobs.get(index)
                {
                    let loaded = load(job, directory);
                    // Only a panic while taking poisons it, and that ends the scope in a panic anyway.
                    lock(&take)(job, loaded);
                }
            });
        }
    });
}

/// Loads one zone.
pub(super) fn load(job: Job<'_>, directory: &Path) -> Loaded {
    let unread = |findings| Loaded { data: None, files: Files::none(), findings, legacy: None };
    let Some(path) = job.zone.role.file().map(NamedFile::path) else { return unread(Vec::new()) };
    let (source, file) = match read(path) {
        Ok(read) => read,
        // There is no copy yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound && job.zone.role.secondary().is_some() => {
            return unread(Vec::new());
        }
        Err(error) => {
            let message = format!("cannot read the zone file: {error}");
            // Without `directory`, the path may be relative to a folder that named.conf does not tell.
            let path = path::absolute(path).unwrap_or_else(|_| path.to_owned());
            return unread(vec![Diagnostic::of_file(Severity::Error, path, message)]);
        }
    };
    let included = Included { directory, files: RefCell::default() };
    let (data, mut findings) = parse(job, source, &included);
    let newest = data.and_then(|data| journal::applied(job.zone, path, data, &mut findings));
    let (data, legacy) = newest.unzip();
    if let Some(data) = &data {
        findings.extend(match job.zone.role.secondary() {
            None => faults(data, reading(job.zone), path),
            // What could be transferred can be loaded again.
            Some(_) => unsound(data, job.zone, path).into_iter().collect(),
        });
        findings.extend(check_serial(job.zone, job.current.and_then(Zone::data), data));
        findings.extend(journal::look_at_signed(job.zone, path, data));
    }
    let sound = findings.iter().all(|finding| finding.severity != Severity::Error);
    let files = Files { file, includes: included.files.into_inner().into() };
    Loaded { data: data.filter(|_| sound), files, findings, legacy: legacy.flatten() }
}

/// How the content of a zone is checked.
fn reading(zone: &ZoneConfig) -> Reading {
    let Reading { targets, .. } = zone.reading;
    let changes = ChangedBy::wanted(zone) == ChangedBy::Owner || has_journal(zone);
    let targets = if changes { targets.of_changing() } else { targets };
    Reading { targets, ..zone.reading }
}

/// Reads a file with few system calls, as there may be a hundred thousand zones.
fn read(path: &Path) -> io::Result<(Source, Stamp)> {
    // Opening a pipe must not wait for its writer.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    // Whatever is appended meanwhile changes the stamp, so that the next reload sees it.
    let octets = usize::try_from(metadata.size()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut text = Vec::new();
    text.try_reserve_exact(capacity(octets)).map_err(|_| io::ErrorKind::OutOfMemory)?;
    file.take(metadata.size()).read_to_end(&mut text)?;
    Ok((Source::new(path.display().to_string(), text), Stamp::from(&metadata)))
}

/// The octets to reserve for a text. The allocator returns memory above its largest threshold to the system as soon as
/// it is free, and keeps smaller pieces; a reserve that is never written to costs nothing.
fn capacity(octets: usize) -> usize {
    const SMALL: usize = 1 << 20;
    const THRESHOLD: usize = 32 << 20;
    if octets < SMALL { octets } else { octets.max(THRESHOLD + SMALL) }
}

/// Reads the files that `$INCLUDE` names, and takes note of their state.
struct Included<'d> {
    directory: &'d Path,
    files: RefCell<Vec<(NamedFile, Stamp)>>,
}

impl Includes for Included<'_> {
    fn open(&self, path: &Path) -> io::Result<Source> {
        let file = NamedFile::new(self.directory, path);
        let read = read(file.path());
        let stamp = read.as_ref().map_or(Stamp::default(), |(_, stamp)| *stamp);
        self.files.borrow_mut().push((file, stamp));
        Ok(read?.0)
    }
}

fn parse(
    Job { zone, current }: Job<'_>,
    source: Source,
    includes: &dyn Includes,
) -> (Option<ZoneData>, Vec<Diagnostic>) {
    let origin = zone.origin.as_ref();
    let options = zone::Options {
        format: zone.reading.format,
        check_names: zone.reading.check_names,
        includes,
        max_errors: MAX_FINDINGS,
        ..zone::Options::new(origin)
    };
    let old = current.and_then(Zone::data);
    let mut edit = old.map_or_else(|| ZoneData::new(zone.origin.clone()).edit(), ZoneData::rewrite);
    let mut left = match zone.reading.limits.records {
        0 => u32::MAX,
        limit => limit,
    };
    let mut sink = |Record { owner, ttl, rtype, rdata, .. }: Record<'_>| {
        if rtype == Rtype::DNSKEY && owner == origin {
            return Err(Refusal { message: SIGNED.into(), help: Some(UNSIGN.into()) });
        }
        match edit.add(owner, rtype, ttl, rdata) {
            Ok(Added::Duplicate) => return Ok(()),
            Ok(Added::New | Added::OtherTtl(_)) => {}
            Err(error) => return Err(error.to_string().into()),
        }
        left = left.checked_sub(1).ok_or("the zone has more records than `max-records` allows")?;
        Ok(())
    };
    let zone::Report { diagnostics: findings, errors, .. } = zone::parse(&source, &options, &mut sink);
    if errors > 0 {
        return (None, findings);
    }
    // The text goes before the data is laid out, so that the two are never in memory beside a copy.
    drop(source);
    (Some(edit.commit()), findings)
}

/// Why a copy would not have been transferred as it is.
fn unsound(data: &ZoneData, zone: &ZoneConfig, file: &Path) -> Option<Diagnostic> {
    let reason = inbound::Limits::of(&zone.settings).check_zone(data).err()?;
    let help = "the zone is transferred again; remove the file if nothing else helps";
    Some(Diagnostic::of_file(Severity::Error, file, reason.to_string()).help(help))
}
