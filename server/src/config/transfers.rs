//! The statements about zone transfers.

use std::time::Duration;

use zonefmt::conf::{Part, Statement, values};

use super::{Reader, inherited::Inherited, remotes, scope::Scope};
use crate::{
    access::Acl,
    settings::{InboundLimits, TransferAcl, TransferFormat, TransferTransport},
};

/// The statements that [`take`] reads.
pub(super) const NAMES: [&str; 18] = [
    "allow-notify",
    "allow-signed-forwarding",
    "allow-transfer",
    "allow-update-forwarding",
    "max-ixfr-ratio",
    "max-refresh-time",
    "max-retry-time",
    "max-transfer-idle-in",
    "max-transfer-idle-out",
    "max-transfer-time-in",
    "max-transfer-time-out",
    "min-refresh-time",
    "min-retry-time",
    "multi-master",
    "request-expire",
    "request-ixfr",
    "transfer-source",
    "transfer-source-v6",
];

/// How many transfers to others may run at a time (`transfers-out`).
pub(super) fn most_out(options: &Scope<'_, '_>) -> Option<usize> {
    options.number("transfers-out").map(|number| number as usize)
}

/// How many transfers from primaries may run at a time.
pub(super) fn most_in(options: &Scope<'_, '_>) -> InboundLimits {
    let default = InboundLimits::default();
    let most = |name, default| options.number(name).map_or(default, |number| number as usize);
    InboundLimits {
        in_all: most("transfers-in", default.in_all),
        per_primary: most("transfers-per-ns", default.per_primary),
    }
}

/// Takes over what a statement of `options`, a view or a zone says.
pub(super) fn take<'c>(all: &mut Inherited, statement: Statement<'c>, reader: &mut Reader<'c, '_>) {
    let argument = statement.argument();
    let number = |default| argument.and_then(|part| values::number(&part.text())).unwrap_or(default);
    let minutes = |default| {
        let minutes = argument.and_then(|part| values::number(&part.text()));
        minutes.map_or(default, |minutes| Duration::from_secs(u64::from(minutes) * 60))
    };
    let yes = || argument.and_then(|part| values::yes_no(&part.text())).unwrap_or(false);
    let acl = |reader: &mut Reader<'c, '_>| {
        let read = reader.acls.read(statement.block());
        read.map_err(|error| reader.findings.push(*error)).unwrap_or_else(|()| Acl::none())
    };
    match statement.name() {
        "allow-transfer" => {
            all.allow_transfer = true;
            all.settings().outbound.allow = TransferAcl { clients: acl(reader), ..over(statement) };
        }
        "max-ixfr-ratio" => {
            all.settings().outbound.max_ixfr_ratio = argument.and_then(|part| values::percent(&part.text()));
        }
        "max-transfer-idle-out" => all.settings().outbound.max_idle = minutes(all.settings.outbound.max_idle),
        "max-transfer-time-out" => all.settings().outbound.max_time = minutes(all.settings.outbound.max_time),
        "allow-notify" => all.inbound().allow_notify = acl(reader),
        "allow-signed-forwarding" => all.inbound().allow_signed_forwarding = acl(reader),
        "allow-update-forwarding" => all.inbound().allow_update_forwarding = acl(reader),
        "max-refresh-time" => all.inbound().refresh.most = number(all.inbound.refresh.most),
        "max-retry-time" => all.inbound().retry.most = number(all.inbound.retry.most),
        "max-transfer-idle-in" => all.inbound().max_idle = minutes(all.inbound.max_idle),
        "max-transfer-time-in" => all.inbound().max_time = minutes(all.inbound.max_time),
        "min-refresh-time" => all.inbound().refresh.least = number(all.inbound.refresh.least),
        "min-retry-time" => all.inbound().retry.least = number(all.inbound.retry.least),
        "multi-master" => all.inbound().multi_master = yes(),
        "request-expire" => all.inbound().request_expire = yes(),
        "request-ixfr" => all.inbound().request_ixfr = yes(),
        "transfer-source" => all.inbound().source.v4 = remotes::source_v4(statement),
        "transfer-source-v6" => all.inbound().source.v6 = remotes::source_v6(statement),
        _ => {}
    }
}

/// `transfer-format`.
pub(super) fn format(statement: Statement<'_>) -> TransferFormat {
    let one = statement.argument().is_some_and(|part| part.is("one-answer"));
    if one { TransferFormat::OneAnswer } else { TransferFormat::ManyAnswers }
}

/// The port and transport that an `allow-transfer` requires. As in BIND, port 0 is any port.
fn over(statement: Statement<'_>) -> TransferAcl {
    let parts = statement.arguments();
    let port = parts.behind("port").and_then(|port| values::number(&port.text()));
    // The grammar's checks let no other transport pass.
    let transport = |part: Part<'_>| if part.is("tls") { TransferTransport::Tls } else { TransferTransport::Tcp };
    TransferAcl {
        port: port.and_then(|port| port.try_into().ok()).filter(|&port| port != 0),
        transport: parts.behind("transport").map(transport),
        ..TransferAcl::default()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use zonefmt::diagnostics::Source;

    use crate::{
        config::{Config, Overrides},
        settings::{Outbound, TransferFormat, TransferTransport},
    };

    fn read(text: &str) -> Config {
        Config::parse(Source::new("named.conf", text), Overrides::default()).unwrap()
    }

    fn zone(name: &str, statements: &str) -> String {
        format!("zone {name} {{ type primary; file \"{name}\"; {statements} }};")
    }

    #[test]
    fn what_is_not_written_is_as_in_named() {
        let config = read(&zone("a.test", ""));
        assert_eq!(config.views[0].zones[0].settings.outbound, Outbound::default());
        assert_eq!(config.settings.transfers_out, 10);
        let view = &config.views[0].settings;
        assert!(view.provide_ixfr && view.transfer_format == TransferFormat::ManyAnswers && view.peers.is_empty());
    }

    #[test]
    fn the_innermost_block_decides() {
        let config = read(&format!(
            "options {{ transfers-out 3; max-transfer-time-out 5; max-transfer-idle-out 6; max-ixfr-ratio 20%;\
             allow-transfer port 5353 transport tls {{ none; }}; provide-ixfr no; transfer-format one-answer; }};\
             server 10.0.0.0/8 {{ provide-ixfr yes; }};\
             view a {{ {} {} max-transfer-time-out 7; }};\
             view b {{ {} provide-ixfr yes; server ::1 {{ transfer-format many-answers; }}; }};",
            zone("a.test", "allow-transfer { 192.0.2.1; }; max-ixfr-ratio unlimited; max-transfer-idle-out 0;"),
            zone("b.test", ""),
            zone("b.test", "allow-transfer port 0 transport tcp { any; };"),
        ));
        let outbound = |view: usize, zone: usize| config.views[view].zones[zone].settings.outbound.clone();
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        let times = |outbound: &Outbound| (outbound.max_time, outbound.max_idle, outbound.max_ixfr_ratio);
        assert_eq!(config.settings.transfers_out, 3);
        assert_eq!(times(&outbound(0, 0)), (minutes(7), minutes(0), None));
        assert_eq!(times(&outbound(0, 1)), (minutes(7), minutes(6), Some(20)));
        assert_eq!(times(&outbound(1, 0)), (minutes(5), minutes(6), Some(20)));
        let over = |outbound: Outbound| (outbound.allow.port, outbound.allow.transport);
        assert_eq!(over(outbound(0, 0)), (None, None));
        assert_eq!(over(outbound(0, 1)), (Some(5353), Some(TransferTransport::Tls)));
        assert_eq!(over(outbound(1, 0)), (None, Some(TransferTransport::Tcp)));
        let [a, b] = [0, 1].map(|view: usize| Arc::clone(&config.views[view].settings));
        assert_eq!((a.provide_ixfr, b.provide_ixfr), (false, true));
        assert_eq!(a.transfer_format, TransferFormat::OneAnswer);
        let peer =
            |view: &crate::settings::ViewSettings, address: &str| view.peers.of(address.parse().unwrap()).cloned();
        assert_eq!(peer(&a, "10.1.2.3").unwrap().provide_ixfr, Some(true));
        assert_eq!(peer(&b, "10.1.2.3"), None, "a view with servers of its own has only these");
        assert_eq!(peer(&b, "::1").unwrap().transfer_format, Some(TransferFormat::ManyAnswers));
    }

    #[test]
    fn zones_that_are_served_alike_share_their_settings() {
        let own = "allow-transfer { 192.0.2.1; };";
        let config = read(&[zone("a.test", own), zone("b.test", own), zone("c.test", ""), zone("d.test", "")].concat());
        let [a, b, c, d] = &config.views[0].zones[..] else { panic!("four zones") };
        assert!(Arc::ptr_eq(&a.settings, &b.settings) && Arc::ptr_eq(&c.settings, &d.settings));
        assert!(!Arc::ptr_eq(&a.settings, &c.settings));
    }
}
