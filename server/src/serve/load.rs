//! Loads zone files into zone data, and refuses what named refuses.

use std::{
    cell::RefCell,
    fmt,
    fs::{self, File},
    io::{self, Read},
    num::NonZeroUsize,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use jiff::Timestamp;
use zonefmt::{
    NameRef, Rtype,
    diagnostics::{Diagnostic, Severity, Source},
    zone::{
        self, Includes, MAX_RRSET, Record, Refusal, Remark, Rule, TargetProblem, deletes_keys, may_stand_beside_cname,
    },
};

use super::{
    journal,
    owners::{ChangedBy, check_serial},
};
use crate::{
    config::{Check, NamedFile, Reading, TargetChecks, ZoneConfig},
    live::Legacy,
    settings::Limits,
    sync::lock,
    transfer::inbound,
    zone::{Added, Node, Rrset, ZoneData},
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

/// The state of a file: two stamps differ if the file was changed in between. It is all zeros if there is no file.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Stamp {
    seconds: i64,
    nanoseconds: i64,
    octets: u64,
    inode: u64,
}

/// The most findings that are reported of one zone.
const MAX_FINDINGS: usize = 20;

/// Why a zone with a DNSKEY is not served, and what can be done about it.
pub(super) const SIGNED: &str = "signed zones are not supported yet: the zone has a DNSKEY";
pub(super) const UNSIGN: &str = "serve the zone without its DNSSEC records, or with another server";

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
        Timestamp::from_second(self.file.seconds).unwrap_or_default()
    }

    /// Whether the files are what they were when the zone was read from `file`.
    pub(super) fn are_unchanged(&self, file: &Path) -> bool {
        Stamp::of(file) == self.file && self.includes.iter().all(|(file, stamp)| Stamp::of(file.path()) == *stamp)
    }
}

impl Stamp {
    fn of(path: &Path) -> Stamp {
        fs::metadata(path).map_or(Stamp::default(), |file| Stamp::from(&file))
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(file: &fs::Metadata) -> Stamp {
        Stamp { seconds: file.mtime(), nanoseconds: file.mtime_nsec(), octets: file.size(), inode: file.ino() }
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
    let targets = if ChangedBy::wanted(zone) == ChangedBy::Owner { targets.of_changing() } else { targets };
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

/// The faults of a zone as a whole for which named refuses to load it. `zonefmt check` finds more and knows the lines;
/// here only the data that is to be served is looked at, which costs next to nothing.
fn faults(data: &ZoneData, reading: Reading, file: &Path) -> Vec<Diagnostic> {
    let mut found = Faults { file, findings: Vec::new(), errors: 0 };
    apex_faults(data, reading.check_integrity, &mut found);
    for node in data.iter() {
        node_faults(node, reading.limits, &mut found);
        for rtype in [Rtype::MX, Rtype::SRV] {
            if let Some(rrset) = node.rrset(rtype) {
                target_faults(data, node, &rrset, reading, &mut found);
            }
        }
        if found.errors >= MAX_FINDINGS {
            break;
        }
    }
    found.findings
}

struct Faults<'f> {
    file: &'f Path,
    findings: Vec<Diagnostic>,
    /// How many of them are errors.
    errors: usize,
}

impl Faults<'_> {
    #[cold]
    fn breaks(&mut self, rule: &Rule<'_>) {
        self.add(Check::Fail, rule.to_string(), rule.help());
    }

    #[cold]
    fn exceeds(&mut self, what: impl fmt::Display, limit: &str) {
        let help = format!("remove some, or raise `{limit}`; 0 is no limit");
        self.add(Check::Fail, format!("{what} than `{limit}` allows"), help);
    }

    /// Adds a finding; of warnings, at most [`MAX_FINDINGS`].
    #[cold]
    fn add(&mut self, check: Check, message: String, help: impl Into<String>) {
        let severity = if check == Check::Fail { Severity::Error } else { Severity::Warning };
        let is_reported = match check {
            Check::Ignore => false,
            Check::Warn => self.findings.len() - self.errors < MAX_FINDINGS,
            Check::Fail => true,
        };
        if is_reported {
            self.errors += usize::from(check == Check::Fail);
            self.findings.push(Diagnostic::of_file(severity, self.file, message).help(help));
        }
    }
}

fn apex_faults(data: &ZoneData, check_integrity: bool, found: &mut Faults<'_>) {
    let origin = data.origin();
    let rdatas = |rtype| {
        let rrset = data.apex().and_then(|apex| apex.rrset(rtype));
        rrset.into_iter().flat_map(Rrset::rdatas)
    };
    if rdatas(Rtype::SOA).next().is_none() {
        found.breaks(&Rule::Soa(origin));
    }
    if rdatas(Rtype::NS).next().is_none() {
        found.breaks(&Rule::Ns(origin));
    }
    if rdatas(Rtype::DS).next().is_some() {
        found.breaks(&Rule::NoDsAtApex(origin));
    }
    if let Some(algorithm) = data.unknown_hash() {
        found.breaks(&Rule::Nsec3Hash(algorithm));
    }
    // A zone file with a DNSKEY does not come this far; one can be in the changes that named made.
    if rdatas(Rtype::DNSKEY).next().is_some() {
        found.add(Check::Fail, SIGNED.into(), UNSIGN);
    }
    for rtype in [Rtype::CDS, Rtype::CDNSKEY] {
        if rdatas(rtype).any(|data| !deletes_keys(data)) {
            found.breaks(&Rule::ChildKey(rtype));
        }
    }
    if check_integrity {
        let targets = rdatas(Rtype::NS).filter_map(|rdata| NameRef::from_wire(rdata).ok());
        for target in targets {
            if let Some(problem) = data.target_problem(origin, Rtype::NS, target) {
                found.breaks(&Rule::Target { rtype: Rtype::NS, target, owner: origin, problem });
            }
        }
    }
}

/// The faults at one name.
fn node_faults(node: Node<'_>, limits: Limits, found: &mut Faults<'_>) {
    let over = |count: usize, limit: u32| limit != 0 && count > limit as usize;
    let (mut types, mut beside_cname) = (0, 0);
    for rrset in node.rrsets() {
        let rtype = rrset.rtype;
        types += 1;
        beside_cname += usize::from(rtype != Rtype::CNAME && !may_stand_beside_cname(rtype));
        if over(rrset.len(), limits.records_per_type) {
            found.exceeds(format_args!("{} has more {rtype} records", node.owner()), "max-records-per-type");
        }
        if rrset.records().len() > MAX_RRSET as usize {
            found.breaks(&Rule::RrsetSize(rtype, node.owner().as_ref()));
        }
        if rtype == Rtype::NS && node.owner().as_ref().is_wildcard() {
            found.breaks(&Rule::NoWildcardNs(node.owner().as_ref()));
        }
        if rrset.len() > 1 && matches!(rtype, Rtype::SOA | Rtype::CNAME | Rtype::DNAME) {
            found.breaks(&Rule::Single(rtype, node.owner().as_ref()));
        }
    }
    if over(types, limits.types_per_name) {
        found.exceeds(format_args!("{} has more record types", node.owner()), "max-types-per-name");
    }
    if beside_cname > 0 && node.rrset(Rtype::CNAME).is_some() {
        found.breaks(&Rule::CnameAlone(node.owner().as_ref()));
    }
}

/// What is wrong with the hosts of an MX or SRV record, as far as it is to be checked.
fn target_faults(data: &ZoneData, node: Node<'_>, rrset: &Rrset<'_>, reading: Reading, found: &mut Faults<'_>) {
    let (origin, owner, rtype) = (data.origin(), node.owner(), rrset.rtype);
    let TargetChecks { mx, mx_cname, srv_cname } = reading.targets;
    for target in rrset.rdatas().filter_map(|rdata| zone::target(rtype, rdata)) {
        if mx != Check::Ignore
            && let Some(remark @ Remark::Address(..)) = Remark::of_target(rtype, target, origin)
        {
            found.add(mx, remark.to_string(), remark.help());
        } else if reading.check_integrity
            && let Some(problem) = data.target_problem(owner.as_ref(), rtype, target)
        {
            let check = match (rtype, problem) {
                (Rtype::MX, TargetProblem::Cname | TargetProblem::Dname) => mx_cname,
                (_, TargetProblem::Cname | TargetProblem::Dname) => srv_cname,
                // As with named, a missing address is reported in any case, and never matters for SRV.
                (Rtype::MX, _) if mx == Check::Fail => Check::Fail,
                _ => Check::Warn,
            };
            let rule = Rule::Target { rtype, target, owner: owner.as_ref(), problem };
            found.add(check, rule.to_string(), rule.help());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Role, Written};
    use std::{env, fs, process, process::Command, sync::Arc};
    use zonefmt::Name;

    /// Zones below `$ORIGIN test.`, each one that named loads or one that it refuses.
    const ZONES: &[&str] = &[
        "@ NS ns\nns A 192.0.2.1",
        "@ NS ns\nns AAAA 2001:db8::1",
        "@ NS ns.elsewhere.",
        "@ NS ns",
        "@ NS ns\nns TXT no-address",
        "@ NS ns\na.ns A 192.0.2.1",
        "@ NS ns\nns CNAME host\nhost A 192.0.2.1",
        "@ NS ns\n* A 192.0.2.1",
        "@ NS ns\n* CNAME elsewhere.",
        "@ NS ns.d\nd DNAME elsewhere.",
        "@ NS ns.cut\ncut NS ns.cut\nns.cut A 192.0.2.1",
        "@ NS ns.cut\ncut NS elsewhere.",
        "@ NS @\n@ A 192.0.2.1",
        "@ NS @",
        "www A 192.0.2.1",
        "@ NS ns\nns A 192.0.2.1\nsub SOA ns h 1 1 1 1 1",
        "@ NS ns\nns A 192.0.2.1\n@ SOA ns h 2 1 1 1 1",
        "@ NS ns\nns A 192.0.2.1\n*.w NS ns",
        "@ NS ns\nns A 192.0.2.1\n@ DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000",
        "@ NS ns\nns A 192.0.2.1\nd DNAME a.\nd DNAME b.",
        "@ NS ns\nns A 192.0.2.1\nc CNAME a.\nc CNAME b.",
        "@ NS ns\nns A 192.0.2.1\nc CNAME a.\nc TXT t",
        "@ NS ns\nns A 192.0.2.1\n@ CNAME a.",
        "@ NS ns\nns A 192.0.2.1\nmail MX 10 nowhere",
        "@ NS ns\nns A 192.0.2.1\ncut NS ns.cut",
        "@ NS ns\nns A 192.0.2.1\nc CNAME a.\nc NSEC d CNAME",
        "@ NS ns\nns A 192.0.2.1\n@ NSEC3PARAM 2 0 0 -",
        "@ NS ns\nns A 192.0.2.1\n@ NSEC3PARAM 2 0 0 -\n@ NSEC3PARAM 1 0 0 -",
        "@ NS ns\nns A 192.0.2.1\n@ CDNSKEY 257 3 8 AwEAAQ==",
        "@ NS ns\nns A 192.0.2.1\n@ CDS 1 8 1 0000000000000000000000000000000000000000",
        "@ NS ns\nns A 192.0.2.1\n@ CDS 0 0 0 00\n@ CDNSKEY 0 3 0 AA==",
    ];

    /// Checks of hosts, as `named-checkzone` and named.conf call them, and a zone below `$ORIGIN test.` for each.
    const TARGETS: &[(&str, &str)] = &[
        ("mail MX 10 192.0.2.1", "-m"),
        ("mail MX 10 nowhere", "-m"),
        ("mail MX 10 .", "-m"),
        ("mail MX 10 host.elsewhere.", "-m"),
        ("mail MX 10 alias\nalias CNAME ns", "-M"),
        ("mail MX 10 a.d\nd DNAME elsewhere.", "-M"),
        ("_x._tcp SRV 1 2 3 alias\nalias CNAME ns", "-S"),
        ("_x._tcp SRV 1 2 3 a.d\nd DNAME elsewhere.", "-S"),
        ("_x._tcp SRV 1 2 3 nowhere", "-S"),
        ("_x._tcp SRV 1 2 3 .", "-S"),
        ("*.w MX 10 h.v\n*.v AAAA 2001:db8::1", "-m"),
    ];

    /// The three statements had no effect, not even if they were `fail`.
    #[test]
    fn hosts_in_mx_and_srv_are_checked_as_by_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("test.zone");
        for &(text, option) in TARGETS {
            let text = format!(
                "$TTL 300\n@ SOA ns.elsewhere. h.elsewhere. 1 3600 900 86400 300\n@ NS ns\nns A 192.0.2.9\n{text}\n"
            );
            fs::write(&file, &text).unwrap();
            for (word, check) in [("ignore", Check::Ignore), ("warn", Check::Warn), ("fail", Check::Fail)] {
                let named =
                    Command::new("named-checkzone").args([option, word, "-i", "local", "test"]).arg(&file).output();
                let named = named.expect("named-checkzone must be installed: run scripts/install-test-tools");
                let mut reading = Reading::default();
                *match option {
                    "-m" => &mut reading.targets.mx,
                    "-M" => &mut reading.targets.mx_cname,
                    _ => &mut reading.targets.srv_cname,
                } = check;
                let zone = ZoneConfig {
                    origin: Name::from_ascii("test").unwrap(),
                    role: Role::Primary(NamedFile::new(Path::new(""), &file)),
                    journal: None,
                    settings: Arc::default(),
                    reading,
                    written: Written::Configured,
                };
                let loaded = load(Job { zone: &zone, current: None }, folder.path());
                let said = String::from_utf8_lossy(&named.stdout) + String::from_utf8_lossy(&named.stderr);
                let verdict = (loaded.data.is_some(), !loaded.findings.is_empty());
                let warned = ["MX", "SRV"].iter().any(|rtype| said.contains(rtype));
                assert_eq!(
                    verdict,
                    (named.status.success(), warned),
                    "{option} {word} {text}\n{said}\n{:?}",
                    loaded.findings
                );
            }
        }
    }

    #[test]
    fn zones_are_refused_as_by_named() {
        let folder = env::temp_dir().join(format!("bindy-load-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("test.zone");
        let zone = ZoneConfig {
            origin: Name::from_ascii("test").unwrap(),
            role: Role::Primary(NamedFile::new(Path::new(""), &file)),
            journal: None,
            settings: Arc::default(),
            reading: Reading::default(),
            written: Written::Configured,
        };
        for text in ZONES {
            fs::write(&file, format!("$TTL 300\n@ SOA ns.elsewhere. h.elsewhere. 1 3600 900 86400 300\n{text}\n"))
                .unwrap();
            let named = Command::new("named-checkzone").arg("test").arg(&file).output();
            let named = named.expect("named-checkzone must be installed: run scripts/install-test-tools");
            let loaded = load(Job { zone: &zone, current: None }, &folder);
            let said = String::from_utf8_lossy(&named.stdout);
            assert_eq!(loaded.data.is_some(), named.status.success(), "{text}\n{said}\n{:?}", loaded.findings);
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
