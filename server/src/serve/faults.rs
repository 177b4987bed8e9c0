//! What is wrong with the content of a zone file: the faults of a zone as a whole for which named refuses to load it, and
//! those of which it only warns. `zonefmt check` finds more and knows the lines; here only the data that is to be served
//! is looked at, which costs next to nothing.

use std::{fmt, path::Path};

use zonefmt::{
    NameRef, Rtype,
    diagnostics::{Diagnostic, Severity},
    zone::{self, MAX_RRSET, Remark, Rule, TargetProblem, deletes_keys, may_stand_beside_cname},
};

use crate::{
    config::{Check, Reading, TargetChecks},
    settings::Limits,
    zone::{Node, Rrset, ZoneData},
};

/// The most findings that are reported of one zone.
pub(super) const MAX_FINDINGS: usize = 20;

/// Why a zone with a DNSKEY is not served, and what can be done about it.
pub(super) const SIGNED: &str = "signed zones are not supported yet: the zone has a DNSKEY";
pub(super) const UNSIGN: &str = "serve the zone without its DNSSEC records, or with another server";

/// Looks for faults in what was read from a file.
pub(super) fn faults(data: &ZoneData, reading: Reading, file: &Path) -> Vec<Diagnostic> {
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
    use std::{env, fs, process, process::Command, sync::Arc};

    use zonefmt::Name;

    use super::*;
    use crate::{
        config::{NamedFile, Role, Written, ZoneConfig},
        serve::load::{Job, load},
    };

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
