//! What a zone inherits from `options` and from its view, and overrides by statements of its own.

use std::sync::Arc;

use zonefmt::{
    conf::{Statement, values},
    zone::{CheckNames, FileFormat},
};

use super::{
    Reader, notify,
    scope::Scope,
    transfers, updates,
    zones::{Check, Reading},
};
use crate::settings::{Inbound, JournalSize, Limits, Whom, ZoneSettings, ZoneStatistics};

/// The configuration of a zone without statements of its own.
#[derive(Clone, Debug)]
pub(super) struct Inherited {
    pub(super) settings: Arc<ZoneSettings>,
    pub(super) inbound: Arc<Inbound>,
    pub(super) reading: Reading,
    /// What holds for secondaries in place of what the fields above have.
    pub(super) of_secondaries: OfSecondaries,
    /// Whether there is an `allow-transfer`.
    pub(super) allow_transfer: bool,
}

/// Settings that have another default for secondaries than for primaries, or that a statement sets for one of the two.
#[derive(Clone, Debug)]
pub(super) struct OfSecondaries {
    pub(super) notify: Whom,
    ixfr_from_differences: bool,
    check_names: CheckNames,
    format: FileFormat,
}

/// The statements that are read here.
const NAMES: [&str; 13] = [
    "allow-query",
    "allow-query-on",
    "check-integrity",
    "check-mx",
    "check-mx-cname",
    "check-srv-cname",
    "ixfr-from-differences",
    "masterfile-format",
    "max-journal-size",
    "max-records",
    "max-records-per-type",
    "max-types-per-name",
    "zone-statistics",
];

/// Whether a zone inherits a statement.
pub(super) fn is_inherited(name: &str) -> bool {
    name == "check-names" || names().any(|inherited| inherited == name)
}

/// The statements that a zone inherits, but for `check-names`, which may be repeated.
fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().chain(transfers::NAMES).chain(notify::NAMES).chain(updates::NAMES)
}

impl Inherited {
    /// What `options` or a view says.
    pub(super) fn from_scope<'c>(scope: &Scope<'c, '_>, reader: &mut Reader<'c, '_>) -> Inherited {
        let of_secondaries = OfSecondaries {
            notify: Whom::default(),
            ixfr_from_differences: false,
            check_names: CheckNames::Warn,
            format: FileFormat::Raw,
        };
        let mut all = Inherited {
            settings: Arc::default(),
            inbound: Arc::default(),
            reading: Reading::default(),
            of_secondaries,
            allow_transfer: false,
        };
        for statement in names().filter_map(|name| scope.find(name)).chain(scope.all("check-names")) {
            all.take(statement, reader);
        }
        all
    }

    /// Takes over what a statement of `options`, a view or a zone says.
    pub(super) fn take<'c>(&mut self, statement: Statement<'c>, reader: &mut Reader<'c, '_>) {
        let argument = statement.argument();
        let number = || argument.and_then(|part| values::number(&part.text())).unwrap_or(0);
        let yes_no = || argument.and_then(|part| values::yes_no(&part.text()));
        let is = |words: &[&str]| argument.is_some_and(|part| words.iter().any(|word| part.is(word)));
        match statement.name() {
            name @ ("allow-query" | "allow-query-on") => match reader.acls.read(statement.block()) {
                Ok(acl) if name == "allow-query" => self.settings().allow_query = acl,
                Ok(acl) => self.settings().allow_query_on = acl,
                Err(error) => reader.findings.push(*error),
            },
            "max-records" => self.limit(|limits| limits.records = number()),
            "max-records-per-type" => self.limit(|limits| limits.records_per_type = number()),
            "max-types-per-name" => self.limit(|limits| limits.types_per_name = number()),
            "check-names" => {
                let check = match statement.arguments().last() {
                    Some(part) if part.is("ignore") => CheckNames::Ignore,
                    Some(part) if part.is("warn") => CheckNames::Warn,
                    _ => CheckNames::Fail,
                };
                // A zone's own has no word for the type of zone.
                let (primary, secondary) = (is(&["primary", "master"]), is(&["secondary", "slave"]));
                if primary || statement.arguments().count() == 1 {
                    self.reading.check_names = check;
                    self.settings().updates.checks.names = check == CheckNames::Fail;
                }
                if secondary || statement.arguments().count() == 1 {
                    self.of_secondaries.check_names = check;
                }
            }
            "check-integrity" => {
                self.reading.check_integrity = yes_no().unwrap_or(true);
                self.settings().updates.checks.integrity = self.reading.check_integrity;
            }
            "check-mx" => {
                self.reading.targets.mx = check(statement);
                self.settings().updates.checks.mx = self.reading.targets.mx == Check::Fail;
            }
            "check-mx-cname" => self.reading.targets.mx_cname = check(statement),
            "check-srv-cname" => self.reading.targets.srv_cname = check(statement),
            "zone-statistics" => {
                self.settings().statistics = match yes_no() {
                    Some(true) => ZoneStatistics::Full,
                    Some(false) => ZoneStatistics::None,
                    None if is(&["full"]) => ZoneStatistics::Full,
                    None if is(&["none"]) => ZoneStatistics::None,
                    None => ZoneStatistics::Terse,
                };
            }
            "masterfile-format" => {
                self.reading.format = if is(&["raw"]) { FileFormat::Raw } else { FileFormat::Text };
                self.of_secondaries.format = self.reading.format;
            }
            "ixfr-from-differences" => {
                let of_all = yes_no().unwrap_or(false);
                self.settings().ixfr_from_differences = of_all || is(&["primary", "master"]);
                self.of_secondaries.ixfr_from_differences = of_all || is(&["secondary", "slave"]);
            }
            "max-journal-size" => {
                self.settings().journal_size = match argument.and_then(|part| values::size(&part.text())) {
                    Some(octets) => JournalSize::Octets(octets),
                    None if is(&["unlimited"]) => JournalSize::Unlimited,
                    None => JournalSize::TwiceTheZone,
                };
            }
            name if notify::NAMES.contains(&name) => notify::take(self, statement, reader),
            name if updates::NAMES.contains(&name) => updates::take(self, statement, reader),
            _ => transfers::take(self, statement, reader),
        }
    }

    /// The same for a secondary zone.
    pub(super) fn of_secondary(mut self) -> Inherited {
        let OfSecondaries { notify, ixfr_from_differences, check_names, format } = self.of_secondaries;
        self.reading = Reading { format, check_names, ..self.reading };
        if (self.settings.notify.whom, self.settings.ixfr_from_differences) != (notify, ixfr_from_differences) {
            self.settings().notify.whom = notify;
            self.settings().ixfr_from_differences = ixfr_from_differences;
        }
        let names = check_names == CheckNames::Fail;
        if self.settings.updates.checks.names != names {
            self.settings().updates.checks.names = names;
        }
        self
    }

    /// Changes how much a zone may hold, as it is read and as it is updated.
    fn limit(&mut self, change: impl Fn(&mut Limits)) {
        change(&mut self.reading.limits);
        change(&mut self.settings().updates.limits);
    }

    /// The settings, to change them.
    pub(super) fn settings(&mut self) -> &mut ZoneSettings {
        Arc::make_mut(&mut self.settings)
    }

    /// The settings of secondaries, to change them.
    pub(super) fn inbound(&mut self) -> &mut Inbound {
        Arc::make_mut(&mut self.inbound)
    }
}

/// `ignore`, `warn` or `fail`.
fn check(statement: Statement<'_>) -> Check {
    match statement.argument() {
        Some(part) if part.is("ignore") => Check::Ignore,
        Some(part) if part.is("fail") => Check::Fail,
        _ => Check::Warn,
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Duration};

    use super::*;
    use crate::{access::Acl, config::zones::read_all, settings::Notify};

    const ZONES: &str =
        "zone a.test { type primary; file \"a\"; }; zone b.test { type secondary; primaries { 192.0.2.1; }; };";

    /// The settings of a primary zone and of a secondary one, the way in which the files of each are read, and how the
    /// secondary one comes from its primaries.
    fn all(options: &str) -> ([Arc<ZoneSettings>; 2], [Reading; 2], Inbound) {
        let (zones, errors) = read_all(&[options, ZONES].concat());
        assert!(errors.is_empty(), "{errors:?}");
        let [primary, secondary] = &zones[..] else { panic!("two zones") };
        let role = secondary.role.secondary().expect("a secondary zone");
        let settings = [&primary.settings, &secondary.settings].map(Arc::clone);
        (settings, [primary.reading, secondary.reading], Inbound::clone(&role.inbound))
    }

    #[test]
    fn what_is_not_written_is_what_named_lists() {
        let output = Command::new("named").arg("-C").output();
        let listed = output.expect("named must be installed: run scripts/install-test-tools").stdout;
        let listed = String::from_utf8(listed).unwrap();
        let begin = listed.find("options {").unwrap();
        let options = &listed[begin..=begin + listed[begin..].find("\n};").unwrap() + 2];
        let (theirs, their_reading, their_inbound) = all(options);
        let (ours, reading, inbound) = all("");
        assert_eq!(their_reading, reading);
        for (theirs, ours) in theirs.iter().zip(&ours) {
            // The one default of a zone that is not named's.
            assert_eq!(theirs.notify.delay, Duration::from_secs(5));
            let notify = Notify { delay: ours.notify.delay, ..theirs.notify.clone() };
            let settings = ZoneSettings { notify, ..ZoneSettings::clone(theirs) };
            assert_eq!(settings, **ours);
        }
        // They list `{ none; }`, which is not an empty list.
        let nobody = |acl: &Acl| !acl.allows(std::net::IpAddr::from([192, 0, 2, 1]));
        assert!(nobody(&their_inbound.allow_notify) && nobody(&their_inbound.allow_update_forwarding));
        let (allow_notify, allow_update_forwarding) = (Acl::none(), Acl::none());
        assert_eq!(Inbound { allow_notify, allow_update_forwarding, ..their_inbound }, inbound);
    }
}
