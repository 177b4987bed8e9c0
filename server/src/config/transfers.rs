//! The statements about zone transfers.

use std::time::Duration;

use zonefmt::conf::{Part, Statement, Statements, values};

use super::{Reader, scope::Scope};
use crate::{
    access::Prefix,
    settings::{Outbound, Peer, Peers, TransferAcl, TransferFormat, TransferTransport},
};

/// The statements that [`take`] reads.
pub(super) const NAMES: [&str; 4] =
    ["allow-transfer", "max-ixfr-ratio", "max-transfer-idle-out", "max-transfer-time-out"];

/// How many transfers may run at a time (`transfers-out`).
pub(super) fn most_out(options: &Scope<'_, '_>) -> Option<usize> {
    options.number("transfers-out").map(|number| number as usize)
}

/// Takes over what a statement of `options`, a view or a zone says.
pub(super) fn take<'c>(outbound: &mut Outbound, statement: Statement<'c>, reader: &mut Reader<'c, '_>) {
    match statement.name() {
        "allow-transfer" => match reader.acls.read(statement.block()) {
            Ok(clients) => outbound.allow = TransferAcl { clients, ..over(statement) },
            Err(error) => reader.findings.push(*error),
        },
        "max-ixfr-ratio" => {
            outbound.max_ixfr_ratio = statement.argument().and_then(|part| values::percent(&part.text()));
        }
        "max-transfer-idle-out" => outbound.max_idle = minutes(statement).unwrap_or(outbound.max_idle),
        "max-transfer-time-out" => outbound.max_time = minutes(statement).unwrap_or(outbound.max_time),
        _ => {}
    }
}

/// The settings of remote servers.
pub(super) fn peers<'c>(servers: impl Iterator<Item = Statement<'c>>) -> Peers {
    let peer = |server: Statement<'c>| {
        let (address, length) = server.arguments().prefix()?;
        Some((Prefix::new(address, length), peer(&server.block())))
    };
    Peers::new(servers.filter_map(peer).collect())
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

fn peer(block: &Statements<'_>) -> Peer {
    Peer {
        provide_ixfr: block.find("provide-ixfr").and_then(|said| values::yes_no(&said.argument()?.text())),
        transfer_format: block.find("transfer-format").map(format),
    }
}

fn minutes(statement: Statement<'_>) -> Option<Duration> {
    let minutes = values::number(&statement.argument()?.text())?;
    Some(Duration::from_secs(u64::from(minutes) * 60))
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
