//! The statements of `options` that hold for the whole server and have no counterpart in a view.

use std::{path::PathBuf, sync::Arc, time::Duration};

use zonefmt::conf::Statement;

use super::{
    Reader, floods, notify,
    scope::{Scope, hostname, path},
    transfers, updates, views,
};
use crate::{
    listen::{TcpLimits, TcpTimeouts},
    respond::MAX_NSID,
    settings::{Peers, ServerSettings},
    tsig::Keyring,
};

/// The folder that names of files are relative to (`directory`).
pub(super) fn directory<'c>(options: &Scope<'c, '_>, reader: &mut Reader<'c, '_>) -> PathBuf {
    let Some(part) = options.find("directory").and_then(Statement::argument) else { return PathBuf::new() };
    if let Some(error) = part.missing_directory() {
        reader.findings.push(error);
    }
    path(&part.text())
}

/// The settings of the server; `peers` and `keys` are those known in all views.
pub(super) fn settings<'c>(
    options: &Scope<'c, '_>,
    port: u16,
    peers: Peers,
    keys: Keyring,
    tcp_advertised_timeout: Duration,
    reader: &mut Reader<'c, '_>,
) -> ServerSettings {
    let default = ServerSettings::default();
    look_at_server_id(options, reader);
    ServerSettings {
        server_id: options.text("server-id", || None),
        version: options.text("version", || default.version),
        hostname: options.text("hostname", hostname),
        port,
        blackhole: options.acl("blackhole", reader).unwrap_or(default.blackhole),
        tcp_advertised_timeout,
        transfers_out: transfers::most_out(options).unwrap_or(default.transfers_out),
        transfers_in: transfers::most_in(options),
        update_quota: updates::quota(options).unwrap_or(default.update_quota),
        rates: notify::rates(options),
        keys: Arc::new(keys),
        cookies: floods::cookies(options, reader),
        outside: Arc::new(views::settings(options, peers, None, reader)),
    }
}

/// Bounds on TCP clients.
pub(super) fn tcp<'c>(options: &Scope<'c, '_>, reader: &mut Reader<'c, '_>) -> TcpLimits {
    let mut limits = options.number("tcp-clients").map_or_else(TcpLimits::default, |n| TcpLimits::of(n as usize));
    if let Some(clients) = options.bounded("tcp-clients-per-address", 1..=u32::MAX, "connections", reader) {
        limits.clients_per_address = clients as usize;
    }
    if let Some(length) = options.number("tcp-listen-queue") {
        // As in BIND, fewer than 10 are not enough for anyone.
        limits.listen_queue = length.max(10);
    }
    for timeout in TcpTimeouts::ALL {
        if let Some(tenths) = options.bounded(timeout.name, timeout.bounds.clone(), "tenths of a second", reader) {
            timeout.set(&mut limits.timeouts, tenths);
        }
    }
    limits
}

/// Warns of a `server-id` that NSID cuts. named takes any length, and puts 255 octets of it into TXT.
fn look_at_server_id<'c>(options: &Scope<'c, '_>, reader: &mut Reader<'c, '_>) {
    let Some(part) = options.find("server-id").and_then(Statement::argument) else { return };
    let octets = part.text().len();
    if part.is_quoted() && octets > MAX_NSID {
        let warning = part.warning(format!("`server-id` has {octets} octets: NSID gives the first {MAX_NSID}"));
        reader.findings.push(warning.help("shorten it: the smallest response has no room for more"));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Family, Overrides};
    use crate::settings::{MinimalResponses, Order};
    use std::time::Duration;
    use zonefmt::{Class, Rtype, diagnostics::Source};

    fn read(options: &str, overrides: Overrides) -> Config {
        let text = format!("options {{ {options} }};");
        Config::parse(Source::new("named.conf", text), overrides).unwrap()
    }

    fn listen(options: &str, overrides: Overrides) -> Vec<String> {
        read(options, overrides).listen.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_to_listen_on() {
        let none = Overrides::default();
        assert_eq!(listen("", none)[0], "0.0.0.0:53");
        assert_eq!(listen("port 5353; listen-on-v6 { any; };", none), ["0.0.0.0:5353", "[::]:5353"]);
        let both = "listen-on { 127.0.0.1; }; listen-on port 54 { 127.0.0.2; 127.0.0.3; }; listen-on-v6 { ::1; };";
        assert_eq!(listen(both, none)[..3], ["127.0.0.1:53", "127.0.0.2:54", "127.0.0.3:54"]);
        let overridden = Overrides { port: Some(5300), only: Some(Family::V4) };
        assert_eq!(listen(both, overridden), ["127.0.0.1:5300", "127.0.0.2:54", "127.0.0.3:54"]);
        assert_eq!(listen("listen-on { !127.0.0.1; 127/8; };", Overrides { only: Some(Family::V4), ..none }), [""; 0]);
        let absent = read("listen-on { 192.0.2.77; 127.0.0.1; }; listen-on-v6 { none; };", none);
        assert_eq!(absent.listen.len(), 1);
        assert!(absent.warnings[0].message.contains("no interface of this machine has the address 192.0.2.77"));
    }

    #[test]
    fn numbers_beyond_their_bounds_are_taken_as_the_nearest() {
        let config = read(
            "max-udp-size 100; edns-udp-size 9000; tcp-idle-timeout 0; tcp-clients 0; max-query-restarts 99;",
            Overrides::default(),
        );
        assert_eq!((config.settings.outside.max_udp_size, config.settings.outside.edns_udp_size), (512, 4096));
        assert_eq!((config.tcp.timeouts.idle, config.tcp.clients), (Duration::from_millis(100), 1));
        assert_eq!(config.settings.outside.max_chain, 16);
        assert_eq!(config.warnings.len(), 4);
    }

    #[test]
    fn a_server_id_that_nsid_cuts_is_warned_of() {
        let warnings = |octets| {
            let config = read(&format!("server-id \"{}\";", "i".repeat(octets)), Overrides::default());
            config
                .warnings
                .iter()
                .map(|warning| (warning.position().unwrap().column, warning.message.clone()))
                .collect()
        };
        let none: Vec<(usize, String)> = warnings(186);
        assert!(none.is_empty(), "{none:?}");
        let cut: Vec<(usize, String)> = warnings(187);
        assert_eq!(cut, [(21, "`server-id` has 187 octets: NSID gives the first 186".to_owned())]);
    }

    #[test]
    fn values_of_every_form() {
        let config = read(
            "minimal-responses no-auth; minimal-any yes; tcp-advertised-timeout 600; tcp-listen-queue 3; version none;\
             rrset-order { class IN type MX name \"*.example\" order cyclic; type A order fixed; order none; };",
            Overrides::default(),
        );
        let settings = &config.settings;
        assert_eq!(
            (settings.outside.minimal_responses, settings.outside.minimal_any),
            (MinimalResponses::NoAuth, true)
        );
        assert_eq!((settings.tcp_advertised_timeout, config.tcp.listen_queue), (Duration::from_secs(60), 10));
        assert_eq!((settings.version.as_deref(), settings.server_id.as_deref()), (None, None));
        let rules = &settings.outside.rrset_order.0;
        assert_eq!((rules[0].class, rules[0].rtype), (Some(Class::IN), Some(Rtype::MX)));
        assert_eq!(
            rules.iter().map(|rule| rule.order).collect::<Vec<_>>(),
            [Order::Cyclic, Order::Fixed, Order::Fixed]
        );
        for (text, read_as) in [
            ("yes", MinimalResponses::Yes),
            ("no", MinimalResponses::No),
            ("no-auth-recursive", MinimalResponses::NoAuthRecursive),
        ] {
            let config = read(&format!("minimal-responses {text};"), Overrides::default());
            assert_eq!(config.settings.outside.minimal_responses, read_as);
        }
    }
}
