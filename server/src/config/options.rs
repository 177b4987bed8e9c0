//! The statements of `options`.

use std::{
    collections::HashMap,
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    time::Duration,
};

use zonefmt::{
    Name,
    conf::{Part, Parts, Statement, values},
};

use super::{Family, Reader};
use crate::{
    access::{Acl, Match},
    listen::TcpLimits,
    respond::MAX_NSID,
    settings::{MAX_CHAIN, MinimalResponses, Order, OrderRule, RrsetOrder, ServerSettings},
};

/// The statements of `options`, by name. The grammar has seen to it that each has its form; what is read here and does
/// not read is taken as not written.
pub(super) struct Options<'c> {
    statements: HashMap<&'static str, Statement<'c>>,
    listen: Vec<Statement<'c>>,
    /// `check-names` may be repeated.
    pub(super) check_names: Vec<Statement<'c>>,
}

const DEFAULT_PORT: u16 = 53;

/// What UDP sizes may be, in octets.
const UDP_SIZES: RangeInclusive<u32> = 512..=4096;

impl<'c> Options<'c> {
    pub(super) fn new(options: Option<Statement<'c>>) -> Options<'c> {
        let mut read = Options { statements: HashMap::new(), listen: Vec::new(), check_names: Vec::new() };
        for statement in options.into_iter().flat_map(Statement::block) {
            match statement.name() {
                "listen-on" | "listen-on-v6" => read.listen.push(statement),
                "check-names" => read.check_names.push(statement),
                name => {
                    read.statements.insert(name, statement);
                }
            }
        }
        read
    }

    pub(super) fn find(&self, name: &str) -> Option<Statement<'c>> {
        self.statements.get(name).copied()
    }

    /// A name of a file; `None` also if it is `none`.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        let part = self.find(name)?.argument().filter(|part| part.is_quoted())?;
        Some(path(&part.text()))
    }

    /// A word or quoted text.
    pub(super) fn shown(&self, name: &str) -> Option<String> {
        Some(self.find(name)?.argument()?.shown())
    }

    /// What names of files are relative to.
    pub(super) fn directory(&self, reader: &mut Reader<'c, '_>) -> PathBuf {
        let Some(part) = self.find("directory").and_then(Statement::argument) else { return PathBuf::new() };
        let directory = path(&part.text());
        if !directory.is_dir() {
            let error = part.error(format!("there is no directory `{}`", part.shown()));
            reader.findings.push(error.help("make it, or name the one that the zone files are in"));
        }
        directory
    }

    pub(super) fn port(&self) -> u16 {
        self.number("port").and_then(|port| port.try_into().ok()).unwrap_or(DEFAULT_PORT)
    }

    pub(super) fn settings(&self, reader: &mut Reader<'c, '_>) -> ServerSettings {
        let default = ServerSettings::default();
        self.look_at_server_id(reader);
        ServerSettings {
            minimal_responses: self.find("minimal-responses").map_or(default.minimal_responses, minimal_responses),
            minimal_any: self.yes_no("minimal-any").unwrap_or(default.minimal_any),
            rrset_order: self.find("rrset-order").map(rrset_order).unwrap_or_default(),
            max_chain: self
                .bounded("max-query-restarts", 1..=MAX_CHAIN.into(), "CNAMEs and DNAMEs", reader)
                .map_or(default.max_chain, |links| links as u8),
            max_udp_size: self.udp_size("max-udp-size", reader).unwrap_or(default.max_udp_size),
            edns_udp_size: self.udp_size("edns-udp-size", reader).unwrap_or(default.edns_udp_size),
            server_id: self.text("server-id", || None),
            version: self.text("version", || default.version),
            hostname: self.text("hostname", hostname),
            blackhole: self.acl("blackhole", reader).unwrap_or(default.blackhole),
            tcp_advertised_timeout: self
                .timeout("tcp-advertised-timeout", 0..=65535, reader)
                .unwrap_or(default.tcp_advertised_timeout),
        }
    }

    pub(super) fn tcp(&self, reader: &mut Reader<'c, '_>) -> TcpLimits {
        let default = self.number("tcp-clients").map_or_else(TcpLimits::default, |n| TcpLimits::of(n as usize));
        TcpLimits {
            // As in BIND: fewer than 10 would not be enough for anyone.
            listen_queue: self.number("tcp-listen-queue").map_or(default.listen_queue, |length| length.max(10)),
            initial_timeout: self.timeout("tcp-initial-timeout", 25..=1200, reader).unwrap_or(default.initial_timeout),
            idle_timeout: self.timeout("tcp-idle-timeout", 1..=1200, reader).unwrap_or(default.idle_timeout),
            keepalive_timeout: self
                .timeout("tcp-keepalive-timeout", 1..=65535, reader)
                .unwrap_or(default.keepalive_timeout),
            ..default
        }
    }

    /// Where to listen. `any` is a wildcard address, so that addresses may come and go.
    pub(super) fn addresses(&self, port: u16, only: Option<Family>, reader: &mut Reader<'c, '_>) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for (name, family) in [("listen-on", Family::V4), ("listen-on-v6", Family::V6)] {
            if only.is_some_and(|only| only != family) {
                continue;
            }
            let mut written = self.listen.iter().filter(|statement| statement.name() == name).peekable();
            if written.peek().is_none() && is_available(family) {
                addresses.push(SocketAddr::new(wildcard(family), port));
            }
            for &statement in written {
                addresses.extend(listener(statement, family, port, reader));
            }
        }
        addresses
    }

    fn number(&self, name: &str) -> Option<u32> {
        values::number(&self.find(name)?.argument()?.text())
    }

    fn yes_no(&self, name: &str) -> Option<bool> {
        values::yes_no(&self.find(name)?.argument()?.text())
    }

    fn acl(&self, name: &str, reader: &mut Reader<'c, '_>) -> Option<Acl> {
        let read = reader.acls.read(self.find(name)?.block());
        read.map_err(|error| reader.findings.push(*error)).ok()
    }

    /// A text, `none` or `hostname`.
    fn text(&self, name: &str, default: impl FnOnce() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        match self.find(name).and_then(Statement::argument) {
            Some(part) if part.is_quoted() => Some(part.text().into_owned()),
            Some(part) if part.is("hostname") => hostname(),
            Some(_) => None,
            None => default(),
        }
    }

    /// named takes any length, and gives TXT 255 octets of it.
    fn look_at_server_id(&self, reader: &mut Reader<'c, '_>) {
        let Some(part) = self.find("server-id").and_then(Statement::argument) else { return };
        let octets = part.text().len();
        if part.is_quoted() && octets > MAX_NSID {
            let warning = part.warning(format!("`server-id` has {octets} octets: NSID gives the first {MAX_NSID}"));
            reader.findings.push(warning.help("shorten it: the smallest response has no room for more"));
        }
    }

    fn udp_size(&self, name: &str, reader: &mut Reader<'c, '_>) -> Option<u16> {
        self.bounded(name, UDP_SIZES, "octets", reader).map(|size| size as u16)
    }

    /// A time-out, written in tenths of a second.
    fn timeout(&self, name: &str, bounds: RangeInclusive<u32>, reader: &mut Reader<'c, '_>) -> Option<Duration> {
        let tenths = self.bounded(name, bounds, "tenths of a second", reader)?;
        Some(Duration::from_millis(u64::from(tenths) * 100))
    }

    /// A number; beyond the bounds the nearer one holds, as in BIND, but with a warning.
    fn bounded(&self, name: &str, bounds: RangeInclusive<u32>, unit: &str, reader: &mut Reader<'c, '_>) -> Option<u32> {
        let part = self.find(name)?.argument()?;
        let written = values::number(&part.text())?;
        let obeyed = written.clamp(*bounds.start(), *bounds.end());
        if obeyed != written {
            let (least, most) = bounds.into_inner();
            let warning = part.warning(format!("`{name}` is {least} to {most} {unit}; {obeyed} is taken"));
            reader.findings.push(warning);
        }
        Some(obeyed)
    }
}

/// A name of a file.
pub(super) fn path(octets: &[u8]) -> PathBuf {
    OsStr::from_bytes(octets).into()
}

fn minimal_responses(statement: Statement<'_>) -> MinimalResponses {
    match statement.argument() {
        Some(part) if part.is("no-auth") => MinimalResponses::NoAuth,
        Some(part) if part.is("no-auth-recursive") => MinimalResponses::NoAuthRecursive,
        Some(part) if values::yes_no(&part.text()) == Some(true) => MinimalResponses::Yes,
        _ => MinimalResponses::No,
    }
}

fn rrset_order(statement: Statement<'_>) -> RrsetOrder {
    RrsetOrder(statement.block().map(|rule| order_rule(&rule.arguments())).collect())
}

fn order_rule(parts: &Parts<'_>) -> OrderRule {
    let text = |keyword| parts.behind(keyword).map(Part::shown);
    let order = match text("order") {
        Some(order) if order.eq_ignore_ascii_case("cyclic") => Order::Cyclic,
        // BIND's `none` is as stored, and here records are stored as they were loaded.
        Some(order) if order.eq_ignore_ascii_case("fixed") || order.eq_ignore_ascii_case("none") => Order::Fixed,
        _ => Order::Random,
    };
    OrderRule {
        class: text("class").and_then(|class| class.parse().ok()),
        rtype: text("type").and_then(|rtype| rtype.parse().ok()),
        name: text("name").and_then(|name| Name::from_ascii(name).ok()),
        order,
    }
}

/// The addresses of one `listen-on`.
fn listener<'c>(statement: Statement<'c>, family: Family, port: u16, reader: &mut Reader<'c, '_>) -> Vec<SocketAddr> {
    let arguments = statement.arguments();
    let tls = arguments.clone().behind("tls").filter(|tls| !tls.is("none"));
    if let Some(unsupported) = tls.or_else(|| arguments.clone().behind("http")) {
        reader.findings.push(unsupported.error("TLS and HTTPS are not supported yet").help("remove the statement"));
        return Vec::new();
    }
    let port = arguments.behind("port").and_then(|port| values::number(&port.text())).map_or(port, |port| port as u16);
    let acl = match reader.acls.read(statement.block()) {
        Ok(acl) => acl,
        Err(error) => {
            reader.findings.push(*error);
            return Vec::new();
        }
    };
    if acl == Acl::any() {
        return vec![SocketAddr::new(wildcard(family), port)];
    }
    let present: Vec<_> = reader.acls.interfaces().iter().collect();
    let of_family = |address: &IpAddr| address.is_ipv4() == (family == Family::V4);
    // Every address of 127.0.0.0/8 is there, without an interface saying so.
    let written = acl.rules().iter().filter_map(|rule| match rule.matches {
        Match::Prefix(prefix) => prefix.address().filter(IpAddr::is_loopback),
        _ => None,
    });
    let mut addresses: Vec<_> =
        present.iter().copied().chain(written).filter(of_family).filter(|&address| acl.allows(address)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    for rule in acl.rules().iter().filter(|rule| !rule.negated) {
        if let Match::Prefix(prefix) = rule.matches
            && let Some(address) = prefix.address().filter(of_family)
            && !addresses.contains(&address)
        {
            let warning = statement.warning(format!("no interface of this machine has the address {address}"));
            reader.findings.push(warning.help("`ip address` shows those there are"));
        }
    }
    addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect()
}

/// Whether the kernel knows the family: what nobody wrote is not to fail.
fn is_available(family: Family) -> bool {
    UdpSocket::bind((wildcard(family), 0)).is_ok()
}

fn wildcard(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// This machine's name.
fn hostname() -> Option<Vec<u8>> {
    let name = std::fs::read("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim_ascii().to_vec()).filter(|name| !name.is_empty())
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
        assert_eq!((config.settings.max_udp_size, config.settings.edns_udp_size), (512, 4096));
        assert_eq!((config.tcp.idle_timeout, config.tcp.clients), (Duration::from_millis(100), 1));
        assert_eq!(config.settings.max_chain, 16);
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
        let none: Vec<(usize, String)> = warnings(214);
        assert!(none.is_empty(), "{none:?}");
        let cut: Vec<(usize, String)> = warnings(215);
        assert_eq!(cut, [(21, "`server-id` has 215 octets: NSID gives the first 214".to_owned())]);
    }

    #[test]
    fn values_of_every_form() {
        let config = read(
            "minimal-responses no-auth; minimal-any yes; tcp-advertised-timeout 600; tcp-listen-queue 3; version none;\
             rrset-order { class IN type MX name \"*.example\" order cyclic; type A order fixed; order none; };",
            Overrides::default(),
        );
        let settings = &config.settings;
        assert_eq!((settings.minimal_responses, settings.minimal_any), (MinimalResponses::NoAuth, true));
        assert_eq!((settings.tcp_advertised_timeout, config.tcp.listen_queue), (Duration::from_secs(60), 10));
        assert_eq!((settings.version.as_deref(), settings.server_id.as_deref()), (None, None));
        let rules = &settings.rrset_order.0;
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
            assert_eq!(config.settings.minimal_responses, read_as);
        }
    }
}
