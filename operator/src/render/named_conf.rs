//! The `named.conf` of a server. It names addresses of Services and keys, never those of pods, so that pods may come and
//! go without a change here. Every server, primary or secondary, gets its zones from the hidden primary: which they are,
//! its catalog lists.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use bindy_server::access::Acl;

use super::{Surroundings, names, subject::Subject};
use crate::{api::FieldError, servers::Local};

/// How long it may take, in seconds, until all from which a server gets its zones were asked, if none of them answers but
/// itself. A zone expires at the earliest this long after it was due to be refreshed, whatever its SOA says: so the
/// server itself confirms it in time. Nothing else depends on it, as there is always one that confirms.
const LONGEST_ROUND: u32 = 120;

/// The text of `named.conf`; `None` if a user's own ConfigMap has it.
///
/// # Errors
/// An address match list that cannot be used.
pub(super) fn config(subject: &Subject<'_>, surroundings: &Surroundings) -> Result<Option<String>, FieldError> {
    let is_own = subject.config_map_refs().is_some_and(|refs| refs.named_conf.is_some());
    if is_own { Ok(None) } else { text(subject, surroundings).map(Some) }
}

fn text(subject: &Subject<'_>, surroundings: &Surroundings) -> Result<String, FieldError> {
    let server = subject.server;
    if let Some(orphaned) = &server.orphaned {
        return Err(orphaned.clone());
    }
    // Which addresses they stand for shows only in the pod.
    let nowhere = Local { addresses: Acl::none(), networks: Acl::none() };
    server.allow_query(&nowhere)?;
    server.allow_transfer(&nowhere)?;
    server.listen_on(&nowhere)?;

    let (_, key) = subject.transfer();
    let rndc = surroundings.rndc_keys.get(&server.id).map_or(names::RNDC_KEY, String::as_str);
    let catalog = names::catalog(subject.namespace(), subject.name());
    let (folder, zones) = (names::CONFIG_FOLDER, names::ZONES_FOLDER);
    let (dns_port, rndc_port, http_port) = (names::DNS_PORT, names::RNDC_PORT, names::HTTP_PORT);
    let config = &server.config;
    let by_key = [format!("key \"{key}\"")];
    let any = ["any".to_owned()];
    let or = |list: &Option<Vec<String>>, default: &[String]| elements(list.as_deref().unwrap_or(default));
    let keyed = |list: &Option<Vec<String>>, default: &[String]| by_key[0].clone() + "; " + &or(list, default);
    let primaries = primaries(subject, surroundings, &key);
    let mut text = format!(
        "// Made by Bindy for Bind9Instance {}. Changes here are undone: change the Bind9Instance.\n\n\
         include \"{folder}/rndc.key\";\ninclude \"{folder}/transfer.key\";\n\n",
        server.id
    );
    // Writing to a String cannot fail.
    for (name, list) in &server.acls {
        let _ = writeln!(text, "acl \"{name}\" {{ {}}};", elements(list));
    }
    let _ = write!(
        text,
        "options {{\n\
         \tdirectory \"{zones}\";\n\
         \tpid-file none;\n\
         \tsession-keyfile none;\n\
         \tport {dns_port};\n\
         \tlisten-on {{ {}}};\n\
         \tlisten-on-v6 {{ {}}};\n\
         \trecursion no;\n\
         \tallow-query {{ {}}};\n\
         \tallow-transfer {{ {}}};\n\
         \tallow-notify {{ {}; }};\n\
         \tnotify no;\n\
         \trequest-expire no;\n\
         \tmin-refresh-time 1;\n\
         \tmin-retry-time {LONGEST_ROUND};\n\
         \tmax-retry-time {LONGEST_ROUND};\n",
        or(&config.listen_on, &any),
        or(&config.listen_on_v6, &any),
        keyed(&config.allow_query, &any),
        keyed(&config.allow_transfer, &[]),
        by_key[0],
    );
    if let Some(rate) = server.responses_per_second() {
        let _ = writeln!(text, "\trate-limit {{ responses-per-second {rate}; }};");
    }
    let _ = write!(
        text,
        "\tcatalog-zones {{\n\
         \t\tzone \"{catalog}\" default-primaries {{ {primaries}}} min-update-interval 0;\n\
         \t}};\n\
         }};\n\n\
         controls {{\n\
         \tinet * port {rndc_port} allow {{ any; }} keys {{ \"{rndc}\"; }};\n\
         \tinet :: port {rndc_port} allow {{ any; }} keys {{ \"{rndc}\"; }};\n\
         }};\n\
         statistics-channels {{\n\
         \tinet * port {http_port} allow {{ any; }};\n\
         \tinet :: port {http_port} allow {{ any; }};\n\
         }};\n\n\
",
    );
    // Those who get their zones from this server get the list of them, too.
    let copies = subject.dependants.iter().map(|other| names::catalog(&other.id.namespace, &other.id.name));
    for catalog in [catalog].into_iter().chain(copies) {
        let _ = write!(
            text,
            "zone \"{catalog}\" {{\n\
             \ttype secondary;\n\
             \tfile \"{catalog}.db\";\n\
             \tprimaries {{ {primaries}}};\n\
             \tallow-query {{ {0}; }};\n\
             \tallow-transfer {{ {0}; }};\n\
             }};\n",
            by_key[0],
        );
    }
    Ok(text)
}

/// From where the server gets zones: from the hidden primary, and while that is away from other servers. What these
/// confirm does not expire (RFC 1035 3.3.13), and neither does what the server confirms to itself: better an old zone
/// than none, until there is an operator again.
fn primaries(subject: &Subject<'_>, surroundings: &Surroundings, key: &str) -> String {
    const SELF: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), names::DNS_PORT);
    let addresses = subject.sources.iter().filter_map(|source| surroundings.services.get(&source.id)).flatten();
    let others = addresses.map(|&address| SocketAddr::new(address, names::SERVICE_PORT));
    let all = surroundings.leader.iter().copied().chain(others).chain([SELF]);
    all.fold(String::new(), |mut list, at| {
        // Writing to a String cannot fail.
        let _ = write!(list, "{} port {} key \"{key}\"; ", at.ip(), at.port());
        list
    })
}

/// The elements of an address match list, which were checked, in named's words.
fn elements(list: &[String]) -> String {
    let mut text = String::new();
    for element in list {
        let element = element.trim();
        let (not, element) = match element.strip_prefix('!') {
            Some(rest) => ("!", rest.trim()),
            None => ("", element),
        };
        let _ = write!(text, "{not}{element}; ");
    }
    text
}
