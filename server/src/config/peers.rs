//! The `server` statements: what is special about single remote servers.

use zonefmt::{
    Name,
    conf::{Part, Statement, values},
};

use super::{remotes, transfers};
use crate::{
    access::Prefix,
    settings::{Peer, Peers},
};

/// The settings of remote servers.
pub(super) fn read<'c>(servers: impl Iterator<Item = Statement<'c>>) -> Peers {
    let prefixed = |server: Statement<'c>| {
        let (address, length) = server.arguments().prefix()?;
        Some((Prefix::new(address, length), peer(server)))
    };
    Peers::new(servers.filter_map(prefixed).collect())
}

fn peer(server: Statement<'_>) -> Peer {
    let block = server.block();
    let yes_no = |name| values::yes_no(&block.find(name)?.argument()?.text());
    let source = |name: &str| {
        let v4 = block.find(name).map(|source| remotes::source_v4(source).into());
        v4.or_else(|| block.find(&format!("{name}-v6")).map(|source| remotes::source_v6(source).into()))
    };
    Peer {
        key: block.find("keys").and_then(key),
        bogus: yes_no("bogus").unwrap_or(false),
        edns: yes_no("edns"),
        tcp_only: yes_no("tcp-only"),
        provide_ixfr: yes_no("provide-ixfr"),
        forward_updates: yes_no("forward-updates"),
        transfer_format: block.find("transfer-format").map(transfers::format),
        request_ixfr: yes_no("request-ixfr"),
        request_expire: yes_no("request-expire"),
        transfers: block.find("transfers").and_then(|most| Some(values::number(&most.argument()?.text())? as usize)),
        transfer_source: source("transfer-source"),
        notify_source: source("notify-source"),
    }
}

/// `keys KEY` or `keys { KEY; }`.
fn key(keys: Statement<'_>) -> Option<Name> {
    let part: Part<'_> = keys.argument()?;
    let name = part.block().map_or(Some(part), |mut block| block.next()?.argument())?;
    Name::from_ascii(name.text()).ok()
}

#[cfg(test)]
mod tests {
    use zonefmt::{conf, diagnostics::Source};

    use super::*;

    #[test]
    fn what_is_special_about_a_server() {
        let text = "key k { algorithm hmac-sha256; secret \"c2VjcmV0\"; };\
                    server 192.0.2.1 { keys { k; }; bogus yes; edns no; tcp-only yes; provide-ixfr no; request-ixfr no;\
                    forward-updates no; request-expire no; transfers 3; transfer-format one-answer; transfer-source 192.0.2.9; };\
                    server 2001:db8::/32 { keys k; notify-source-v6 2001:db8::9 port 54; };";
        let conf = conf::parse(Source::new("named.conf", text)).unwrap();
        let peers = read(conf.statements().all("server"));
        let peer = peers.of("192.0.2.1".parse().unwrap()).unwrap();
        let expected = Peer {
            key: Name::from_ascii("k").ok(),
            bogus: true,
            edns: Some(false),
            tcp_only: Some(true),
            provide_ixfr: Some(false),
            forward_updates: Some(false),
            transfer_format: Some(crate::settings::TransferFormat::OneAnswer),
            request_ixfr: Some(false),
            request_expire: Some(false),
            transfers: Some(3),
            transfer_source: "192.0.2.9:0".parse().ok(),
            notify_source: None,
        };
        assert_eq!(*peer, expected);
        let peer = peers.of("2001:db8::1".parse().unwrap()).unwrap();
        let expected = Peer { notify_source: "[2001:db8::9]:54".parse().ok(), key: expected.key, ..Peer::default() };
        assert_eq!(*peer, expected);
    }
}
