//! Lists of remote servers (`primaries`, `also-notify`), and the addresses that messages to them are sent from.

use std::{
    collections::{HashMap, HashSet},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    ops::Range,
};

use zonefmt::{
    Name,
    conf::{Conf, Part, Statement, values},
    diagnostics::Diagnostic,
};

use crate::settings::Remote;

/// The `primaries` statements of a configuration, which name lists.
pub(super) struct Remotes<'c> {
    /// By name in lower case.
    named: HashMap<Vec<u8>, Statement<'c>>,
    /// The port of servers that are written without one.
    port: u16,
    /// The names of the keys outside of views, and of those of the view whose statements are read.
    keys: HashSet<Name>,
    own_keys: HashSet<Name>,
    /// Where unknown keys were reported: a list may be for many zones.
    unknown: HashSet<(String, Option<Range<usize>>)>,
}

impl<'c> Remotes<'c> {
    /// The named lists of this configuration.
    pub(super) fn new(conf: &'c Conf, port: u16) -> Remotes<'c> {
        let lists = conf.statements().filter(|statement| ["primaries", "masters"].contains(&statement.name()));
        let named = lists.filter_map(|list| Some((list.argument()?.text().to_ascii_lowercase(), list)));
        let (named, keys) = (named.collect(), names_of_keys(conf.statements()));
        Remotes { named, port, keys, own_keys: HashSet::new(), unknown: HashSet::new() }
    }

    /// Reads the statements of a view from now on, which may have keys of its own.
    pub(super) fn enter(&mut self, view: Statement<'c>) {
        self.own_keys = names_of_keys(view.block());
    }

    /// Whether a key is defined where statements are read.
    pub(super) fn has_key(&self, name: &Name) -> bool {
        self.keys.contains(name) || self.own_keys.contains(name)
    }

    /// The port of servers that are written without one.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The servers of a list and of the lists that it names, in the order in which they are written. As in BIND, each
    /// named list counts once, and its servers without a port have that of the list around.
    pub(super) fn read(&mut self, list: Statement<'c>, findings: &mut Vec<Diagnostic>) -> Vec<Remote> {
        let (mut servers, mut seen) = (Vec::new(), HashSet::new());
        let mut open = vec![(list.block(), port_of(list).unwrap_or(self.port))];
        while let Some((elements, port)) = open.last_mut() {
            let (Some(element), port) = (elements.next(), *port) else {
                open.pop();
                continue;
            };
            let Some(first) = element.argument() else { continue };
            if let Some(error) = unsupported(element) {
                findings.push(error);
                continue;
            }
            let parts = element.arguments();
            if let Some(address) = address(first, port_of(element).unwrap_or(port)) {
                let key = parts.behind("key").and_then(|part| Some((part, Name::from_ascii(part.text()).ok()?)));
                if let Some((part, _)) = key.as_ref().filter(|(_, key)| !self.has_key(key)) {
                    findings.extend(self.unknown_key(*part));
                }
                servers.push(Remote { address, key: key.map(|(_, key)| key) });
                continue;
            }
            if let Some(key) = parts.behind("key") {
                let error = key.error(format!("a key behind the name of a list, `{}`", first.shown()));
                findings.push(error.help("write it behind each address in that list"));
            }
            let name = first.text().to_ascii_lowercase();
            match self.named.get(&name) {
                Some(list) if seen.insert(name) => open.push((list.block(), port_of(*list).unwrap_or(port))),
                Some(_) => {}
                // The checks of named.conf find this, but not those of a statement that rndc gives.
                None => {
                    let error = first.error(format!("there is no list of primaries `{}`", first.shown()));
                    findings.push(error.help("define it in named.conf, or write addresses"));
                }
            }
        }
        servers
    }

    /// The warning that a server's key is not defined, unless it was given. As with named it is no error: the other
    /// servers are asked.
    fn unknown_key(&mut self, part: Part<'c>) -> Option<Diagnostic> {
        let place = part.place();
        if !self.unknown.insert((place.source.name().to_owned(), place.span.clone())) {
            return None;
        }
        let warning = part.warning(format!("there is no key `{}`: nothing is sent to this server", part.shown()));
        Some(warning.help("define it: `key \"name\" { algorithm hmac-sha256; secret \"…\"; };`"))
    }
}

fn names_of_keys<'c>(statements: impl Iterator<Item = Statement<'c>>) -> HashSet<Name> {
    let keys = statements.filter(|statement| statement.name() == "key");
    keys.filter_map(|key| Name::from_ascii(key.argument()?.text()).ok()).collect()
}

/// The address of `transfer-source`, `notify-source`: that of its family which leaves the choice to the system if there
/// is none.
pub(super) fn source_v4(statement: Statement<'_>) -> SocketAddrV4 {
    let address = statement.argument().and_then(|part| values::ipv4(&part.text()));
    SocketAddrV4::new(address.unwrap_or(Ipv4Addr::UNSPECIFIED), port_of(statement).unwrap_or(0))
}

/// The address of `transfer-source-v6`, `notify-source-v6`, like [`source_v4`].
pub(super) fn source_v6(statement: Statement<'_>) -> SocketAddrV6 {
    let address = statement.argument().and_then(|part| values::ipv6(&part.text()));
    SocketAddrV6::new(address.unwrap_or(Ipv6Addr::UNSPECIFIED), port_of(statement).unwrap_or(0), 0, 0)
}

fn address(part: Part<'_>, port: u16) -> Option<SocketAddr> {
    let text = part.text();
    let address = values::ipv4(&text).map(Into::into).or_else(|| values::ipv6(&text).map(Into::into))?;
    Some(SocketAddr::new(address, port))
}

fn port_of(statement: Statement<'_>) -> Option<u16> {
    values::number(&statement.arguments().behind("port")?.text())?.try_into().ok()
}

fn unsupported(element: Statement<'_>) -> Option<Diagnostic> {
    let tls = element.arguments().behind("tls")?;
    let error = tls.error("other servers cannot be reached over TLS yet");
    Some(error.help("leave `tls` out; `key` signs what is sent"))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::zones::read_all;
    use crate::settings::Remote;

    const NAMES: &str = "key k { algorithm hmac-sha256; secret \"c2VjcmV0\"; };\
                         primaries inner { 127.0.0.2; 127.0.0.3 port 15301; };\
                         primaries Middle port 15302 { inner; 127.0.0.4 key K; inner; };\
                         masters again { 127.0.0.9; again; };";

    fn also_notify(list: &str) -> (Vec<Remote>, Vec<String>) {
        let zone = format!("zone a.test {{ type primary; file \"a\"; also-notify {list}; }};");
        let (zones, errors) = read_all(&[NAMES, &zone].concat());
        (zones[0].settings.notify.also.clone(), errors)
    }

    /// named 9.18 logs these servers in this order when it tries the primaries of a zone with this list.
    #[test]
    fn lists_name_lists_as_in_named() {
        let (servers, errors) = also_notify("port 15303 { middle; 127.0.0.5; again; inner; 127.0.0.5; }");
        assert!(errors.is_empty(), "{errors:?}");
        let addresses: Vec<_> = servers.iter().map(|server| server.address.to_string()).collect();
        let expected = [
            "127.0.0.2:15302",
            "127.0.0.3:15301",
            "127.0.0.4:15302",
            "127.0.0.5:15303",
            "127.0.0.9:15303",
            "127.0.0.5:15303",
        ];
        assert_eq!(addresses, expected);
        let keys: Vec<_> = servers.iter().filter_map(|server| server.key.as_ref()).map(ToString::to_string).collect();
        assert_eq!(keys, ["K."]);
    }

    #[test]
    fn a_server_without_a_port_has_the_servers_own() {
        let (servers, _) = also_notify("{ 2001:db8::1; 192.0.2.1 port 54; }");
        let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
        assert_eq!(addresses, ["[2001:db8::1]:53".parse().unwrap(), "192.0.2.1:54".parse().unwrap()]);
    }

    #[test]
    fn what_cannot_be_obeyed_is_an_error() {
        let (_, errors) = also_notify("{ 192.0.2.1 tls ephemeral; }");
        assert_eq!(errors, ["other servers cannot be reached over TLS yet"]);
        let (_, errors) = also_notify("{ inner key k; }");
        assert_eq!(errors, ["a key behind the name of a list, `inner`"]);
    }

    /// Only the log said so, once the server was to be asked. named-checkconf says nothing.
    #[test]
    fn a_key_that_is_not_defined_is_told_once() {
        let list = "primaries far { 192.0.2.1 key nokey; 192.0.2.2 key k; };";
        let zone = |name: &str| format!("zone {name} {{ type secondary; primaries {{ far; }}; }};");
        let (zones, findings) = read_all(&[NAMES, list, &zone("a"), &zone("b")].concat());
        assert_eq!(
            (zones.len(), findings),
            (2, vec!["there is no key `nokey`: nothing is sent to this server".into()])
        );
        let (_, findings) = also_notify("{ 192.0.2.1 key other; inner; }");
        assert_eq!(findings, ["there is no key `other`: nothing is sent to this server"]);
    }
}
