//! WKS: the services that a host offers over one protocol (RFC 1035 3.4.2), as a bitmap of ports.

use super::{
    field::Malformed,
    number,
    token::{Fault, Fields, Token, shown},
};

/// Protocols by name, as in IANA's registry.
static PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("tcp", 6),
    ("egp", 8),
    ("udp", 17),
    ("hmp", 20),
    ("rdp", 27),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ospf", 89),
    ("dccp", 33),
    ("sctp", 132),
    ("hip", 139),
    ("udplite", 136),
];

/// Services by name: those that hosts offered when WKS was in use, and a few that users asked for later.
static SERVICES: &[(&str, u16)] = &[
    ("echo", 7),
    ("discard", 9),
    ("systat", 11),
    ("daytime", 13),
    ("netstat", 15),
    ("qotd", 17),
    ("chargen", 19),
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("time", 37),
    ("whois", 43),
    ("tacacs", 49),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("gopher", 70),
    ("finger", 79),
    ("http", 80),
    ("kerberos", 88),
    ("pop3", 110),
    ("sunrpc", 111),
    ("auth", 113),
    ("nntp", 119),
    ("ntp", 123),
    ("imap2", 143),
    ("snmp", 161),
    ("irc", 194),
    ("ldap", 389),
    ("https", 443),
    ("submission", 587),
    ("imaps", 993),
    ("pop3s", 995),
];

pub(super) fn parse(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let protocols = PROTOCOLS.iter().map(|&(name, number)| (name, u16::from(number)));
    out.push(named(fields.take()?, protocols, u8::MAX.into(), "protocol")? as u8);
    let map = out.len();
    while !fields.is_done() {
        let port = usize::from(named(fields.take()?, SERVICES.iter().copied(), u16::MAX, "service")?);
        if out.len() <= map + port / 8 {
            out.resize(map + port / 8 + 1, 0);
        }
        out[map + port / 8] |= 0x80 >> (port % 8);
    }
    Ok(())
}

fn named(
    token: Token<'_>,
    mut names: impl Iterator<Item = (&'static str, u16)>,
    most: u16,
    what: &str,
) -> Result<u16, Fault> {
    if token.text.first().is_some_and(u8::is_ascii_digit) {
        return number::parse(token, most.into()).map(|number| number as u16);
    }
    let known = names.find(|(name, _)| !token.quoted && name.as_bytes().eq_ignore_ascii_case(token.text));
    known.map(|(_, number)| number).ok_or_else(|| {
        Fault::new(format_args!("{} is no known {what}", shown(token.text)))
            .help(format_args!("write its number, up to {most}"))
    })
}

/// Checks that there are the protocol and at most 65536 bits, of which the last octet is not zero.
pub(super) fn check(wire: &[u8]) -> Result<usize, Malformed> {
    match wire {
        [] => Err("is cut short"),
        [_, .., 0] => Err("has a bitmap that ends in zeros"),
        [_, map @ ..] if map.len() > 8192 => Err("has a bitmap over 8192 octets"),
        _ => Ok(wire.len()),
    }
}

pub(super) fn print(wire: &[u8], out: &mut String) {
    number::print(&wire[..1], out);
    let map = &wire[1..];
    for port in (0..map.len() * 8).filter(|port| map[port / 8] & (0x80 >> (port % 8)) != 0) {
        out.push(' ');
        number::print(&(port as u16).to_be_bytes(), out);
    }
}
