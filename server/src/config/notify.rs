//! The statements about NOTIFY.

use std::time::Duration;

use zonefmt::conf::{Statement, values};

use super::{Reader, inherited::Inherited, remotes, scope::Scope};
use crate::settings::{Rates, Whom};

/// The statements that [`take`] reads.
pub(super) const NAMES: [&str; 6] =
    ["also-notify", "notify", "notify-delay", "notify-source", "notify-source-v6", "notify-to-soa"];

/// How many messages are sent a second. As in BIND, 0 means 1.
pub(super) fn rates(options: &Scope<'_, '_>) -> Rates {
    let default = Rates::default();
    let rate = |name, default: u32| options.number(name).unwrap_or(default).max(1);
    Rates {
        notify: rate("notify-rate", default.notify),
        startup_notify: rate("startup-notify-rate", default.startup_notify),
        serial_query: rate("serial-query-rate", default.serial_query),
    }
}

/// Takes over what a statement of `options`, a view or a zone says.
pub(super) fn take<'c>(all: &mut Inherited, statement: Statement<'c>, reader: &mut Reader<'c, '_>) {
    let argument = statement.argument();
    match statement.name() {
        "also-notify" => all.settings().notify.also = reader.remotes.read(statement, reader.findings),
        "notify" => {
            let whom = match argument {
                Some(part) if part.is("explicit") => Whom::Listed,
                Some(part) if values::yes_no(&part.text()) == Some(false) => Whom::Nobody,
                _ => Whom::NameServers,
            };
            all.settings().notify.whom = whom;
            let primaries_only = argument.is_some_and(|part| part.is("primary-only") || part.is("master-only"));
            all.of_secondaries.notify = if primaries_only { Whom::Nobody } else { whom };
        }
        "notify-delay" => {
            let seconds = argument.and_then(|part| values::number(&part.text())).unwrap_or(0);
            all.settings().notify.delay = Duration::from_secs(seconds.into());
        }
        "notify-source" => all.settings().notify.source.v4 = remotes::source_v4(statement),
        "notify-source-v6" => all.settings().notify.source.v6 = remotes::source_v6(statement),
        "notify-to-soa" => {
            let yes = argument.and_then(|part| values::yes_no(&part.text()));
            all.settings().notify.to_soa = yes.unwrap_or(false);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use zonefmt::diagnostics::Source;

    use super::super::zones::read_all;
    use crate::{
        config::{Config, Overrides},
        settings::{InboundLimits, Notify, Rates, Whom},
    };

    #[test]
    fn a_zone_overrides_what_options_say() {
        let (zones, _) = read_all(
            "options { also-notify { 192.0.2.1; }; notify-delay 3; notify-source 192.0.2.9; notify-to-soa yes;\
             notify-source-v6 2001:db8::9 port 54; notify explicit; };\
             zone a.test { type primary; file \"a\"; };\
             zone b.test { type primary; file \"b\"; also-notify { 192.0.2.2; }; notify yes; notify-delay 0; };\
             zone c.test { type primary; file \"c\"; also-notify { }; notify-to-soa no; notify-source *; };",
        );
        let [a, b, c] = [0, 1, 2].map(|zone: usize| zones[zone].settings.notify.clone());
        let also =
            |notify: &Notify| notify.also.iter().map(|server| server.address.ip().to_string()).collect::<Vec<_>>();
        assert_eq!((also(&a), also(&b), also(&c)), (vec!["192.0.2.1".into()], vec!["192.0.2.2".into()], vec![]));
        assert_eq!([a.whom, b.whom, c.whom], [Whom::Listed, Whom::NameServers, Whom::Listed]);
        assert_eq!([a.delay, b.delay], [Duration::from_secs(3), Duration::ZERO]);
        assert_eq!([a.to_soa, c.to_soa], [true, false]);
        let towards = |notify: &Notify, to: &str| notify.source.towards(to.parse().unwrap()).to_string();
        assert_eq!([towards(&a, "192.0.2.1:53"), towards(&c, "192.0.2.1:53")], ["192.0.2.9:0", "0.0.0.0:0"]);
        assert_eq!(towards(&c, "[::1]:53"), "[2001:db8::9]:54");
    }

    #[test]
    fn throttles_that_are_written_are_obeyed() {
        let settings = |options: &str| {
            let source = Source::new("named.conf", format!("options {{ {options} }};"));
            let settings = Config::parse(source, Overrides::default()).unwrap().settings;
            (settings.rates, settings.transfers_in)
        };
        assert_eq!(settings(""), (Rates::default(), InboundLimits::default()));
        let rates = "notify-rate 20; startup-notify-rate 0; serial-query-rate 7;";
        let (rates, limits) = settings(&[rates, "transfers-in 10; transfers-per-ns 2;"].concat());
        assert_eq!(rates, Rates { notify: 20, startup_notify: 1, serial_query: 7 });
        assert_eq!(limits, InboundLimits { in_all: 10, per_primary: 2 });
    }
}
