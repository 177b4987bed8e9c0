//! The configuration files of a server. They name addresses of Services and keys, never those of pods, so that pods may
//! come and go without a change here. Every server, primary or secondary, gets its zones from the hidden primary: which
//! they are, its catalog lists.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use bindy_server::access::Acl;
use zonefmt::{conf, diagnostics::Source};

use super::{
    Surroundings,
    deployment::hash,
    given::Files,
    names,
    options::{self, Beside, Setting},
    subject::Subject,
};
use crate::{
    api::FieldError,
    servers::{Local, Server},
};

/// How long it may take, in seconds, until all from which a server gets its zones were asked, if none of them answers but
/// itself. A zone expires at the earliest this long after it was due to be refreshed, whatever its SOA says: so the
/// server itself confirms it in time. Nothing else depends on it, as there is always one that confirms.
const LONGEST_ROUND: u32 = 120;
/// The server itself, as it asks itself.
const SELF: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), names::DNS_PORT);
/// The name of the file with the `options`, if these have one of their own.
const OPTIONS: &str = "named.conf.options";
/// The name of the file with a user's own zones.
const ZONES: &str = "named.conf.zones";

/// The files, by name. A user's own `named.conf` is the whole configuration; it may include the other two, of which the
/// options are then always there, with all that a server needs to get its zones.
///
/// # Errors
/// An address match list, or a file of the user's own, that cannot be used.
pub(super) fn files(
    subject: &Subject<'_>,
    surroundings: &Surroundings,
    own: Files<'_>,
) -> Result<BTreeMap<&'static str, String>, FieldError> {
    if let Some(orphaned) = &subject.server.orphaned {
        return Err(orphaned.clone());
    }
    let mut files = BTreeMap::new();
    let mut text = if let Some(conf) = own.conf {
        let options = match own.options {
            Some(options) => options.to_owned(),
            None => {
                lists(subject, surroundings)
                    + &options::text(&settings(subject, surroundings)?)
                    + &catalogs(subject, surroundings)
            }
        };
        files.insert(OPTIONS, options);
        with_statistics(conf)
    } else {
        let settings = settings(subject, surroundings)?;
        let options = match own.options {
            Some(options) => {
                files.insert(OPTIONS, options::completed(options, &settings)?);
                include(OPTIONS)
            }
            None => options::text(&settings),
        };
        let zones = own.zones.map(|_| include(ZONES)).unwrap_or_default();
        let comment = format!(
            "// Made by Bindy for Bind9Instance {}. Changes here are undone: change the Bind9Instance.\n\n{}",
            subject.server.id,
            include("rndc.key")
        );
        let controls = controls(subject, surroundings);
        [comment, lists(subject, surroundings), options, "\n".into(), controls, catalogs(subject, surroundings), zones]
            .concat()
    };
    if let Some(zones) = own.zones {
        files.insert(ZONES, zones.to_owned());
    }
    // Servers tell the hash of this file, which is that of all of them by this.
    for (name, content) in &files {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "// {name} has the SHA-256 {}.", hash(content));
    }
    files.insert("named.conf", text);
    Ok(files)
}

fn include(file: &str) -> String {
    format!("include \"{}/{file}\";\n", names::CONFIG_FOLDER)
}

/// A user's own configuration; with a channel by which a pod tells that it is ready, if it has none itself.
fn with_statistics(conf: &str) -> String {
    let has_none = |conf: &conf::Conf| conf.statements().find("statistics-channels").is_none();
    let is_without = conf::parse_part(Source::new("named.conf", conf)).is_ok_and(|conf| has_none(&conf));
    format!("{conf}\n{}", if is_without { statistics() } else { String::new() })
}

/// The key of transfers, the address match lists that are declared, and how servers are to be asked.
fn lists(subject: &Subject<'_>, surroundings: &Surroundings) -> String {
    let mut text = include("transfer.key") + "\n";
    for (name, list) in &subject.server.acls {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "acl \"{name}\" {{ {}}};", elements(list));
    }
    // Only the hidden primary takes updates: from one server to another they would go round while it is away.
    let of_source = |source: &&Server| {
        let by_tcp = surroundings.tcp_services.get(&source.id);
        let addresses = by_tcp.or_else(|| surroundings.services.get(&source.id)).into_iter().flatten();
        addresses.map(move |&address| (address, if by_tcp.is_some() { "tcp-only yes; " } else { "" }))
    };
    let others = subject.sources.iter().flat_map(of_source).chain([(SELF.ip(), "")]);
    others.fold(text, |text, (address, how)| text + &format!("server {address} {{ {how}forward-updates no; }};\n"))
}

fn settings(subject: &Subject<'_>, surroundings: &Surroundings) -> Result<Vec<Setting>, FieldError> {
    let server = subject.server;
    // Which addresses they stand for shows only in the pod.
    let nowhere = Local { addresses: Acl::none(), networks: Acl::none() };
    server.allow_query(&nowhere)?;
    server.allow_transfer(&nowhere)?;
    server.listen_on(&nowhere)?;

    let config = &server.config;
    let key = accepted(subject, surroundings);
    let any = ["any".to_owned()];
    let list = |list: &Option<Vec<String>>| format!("{{ {}}}", elements(list.as_deref().unwrap_or(&any)));
    let keyed = |list: &Option<Vec<String>>, default: &[String]| {
        format!("{{ {key}; {}}}", elements(list.as_deref().unwrap_or(default)))
    };
    let by_key = || Beside::Element(key.clone());
    let catalog = names::catalog(subject.namespace(), subject.name());
    let primaries = primaries(subject, surroundings);
    let catalog = format!("zone \"{catalog}\" default-primaries {{ {primaries}}} min-update-interval 0");
    let mut settings = vec![
        Setting::new("directory", format!("\"{}\"", names::ZONES_FOLDER)),
        Setting::new("pid-file", "none"),
        Setting::new("session-keyfile", "none"),
        Setting::new("port", names::DNS_PORT.to_string()),
        Setting::new("listen-on", list(&config.listen_on)),
        Setting::new("listen-on-v6", list(&config.listen_on_v6)),
        Setting::new("recursion", "no"),
        Setting::new("allow-query", keyed(&config.allow_query, &any)).beside(by_key()),
        Setting::new("allow-transfer", keyed(&config.allow_transfer, &[])).beside(by_key()),
        Setting::new("allow-notify", format!("{{ {key}; }}")).beside(by_key()),
        Setting::new("allow-update-forwarding", "{ any; }"),
        Setting::new("allow-signed-forwarding", "{ any; }"),
        Setting::new("notify", "no"),
        Setting::new("request-expire", "no"),
        Setting::new("min-refresh-time", "1"),
        Setting::new("min-retry-time", LONGEST_ROUND.to_string()),
        Setting::new("max-retry-time", LONGEST_ROUND.to_string()),
    ];
    if let Some(rate) = server.responses_per_second() {
        let limit = Setting::new("rate-limit", format!("{{ responses-per-second {rate}; }}"));
        settings.push(limit.beside(Beside::Nothing));
    }
    let catalogs = Setting::new("catalog-zones", format!("{{\n\t\t{catalog};\n\t}}"));
    settings.push(catalogs.beside(Beside::Element(catalog)));
    Ok(settings)
}

fn controls(subject: &Subject<'_>, surroundings: &Surroundings) -> String {
    let usual = [names::RNDC_KEY.to_owned()];
    let keys = surroundings.rndc_keys.get(&subject.server.id).map_or(&usual[..], Vec::as_slice);
    let keys = keys.iter().fold(String::new(), |list, key| list + "\"" + key + "\"; ");
    let port = names::RNDC_PORT;
    format!(
        "controls {{\n\
         \tinet * port {port} allow {{ any; }} keys {{ {keys}}};\n\
         \tinet :: port {port} allow {{ any; }} keys {{ {keys}}};\n\
         }};\n\
         {}\n",
        statistics()
    )
}

fn statistics() -> String {
    let port = names::HTTP_PORT;
    format!(
        "statistics-channels {{\n\
         \tinet * port {port} allow {{ any; }};\n\
         \tinet :: port {port} allow {{ any; }};\n\
         }};\n"
    )
}

/// The list of the server's zones. Those who get their zones from this server get the list of them, too.
fn catalogs(subject: &Subject<'_>, surroundings: &Surroundings) -> String {
    let (key, primaries) = (accepted(subject, surroundings), primaries(subject, surroundings));
    let catalog = names::catalog(subject.namespace(), subject.name());
    let copies = subject.dependants.iter().map(|other| names::catalog(&other.id.namespace, &other.id.name));
    [catalog].into_iter().chain(copies).fold(String::new(), |mut text, catalog| {
        let _ = write!(
            text,
            "zone \"{catalog}\" {{\n\
             \ttype secondary;\n\
             \tfile \"{catalog}.db\";\n\
             \tprimaries {{ {primaries}}};\n\
             \tallow-query {{ {key}; }};\n\
             \tallow-transfer {{ {key}; }};\n\
             }};\n",
        );
        text
    })
}

/// From where the server gets zones: from the hidden primary, and while that is away from other servers. What these
/// confirm does not expire (RFC 1035 3.3.13), and neither does what the server confirms to itself: better an old zone
/// than none, until there is an operator again.
fn primaries(subject: &Subject<'_>, surroundings: &Surroundings) -> String {
    let keys = subject.transfer_keys(surroundings);
    let key = keys.first().map(String::as_str).unwrap_or_default();
    let address = |id| surroundings.tcp_services.get(id).or_else(|| surroundings.services.get(id));
    let addresses = subject.sources.iter().filter_map(|source| address(&source.id)).flatten();
    let others = addresses.map(|&address| SocketAddr::new(address, names::SERVICE_PORT));
    let all = surroundings.leader.iter().copied().chain(others).chain([SELF]);
    all.fold(String::new(), |mut list, at| {
        // Writing to a String cannot fail.
        let _ = write!(list, "{} port {} key \"{key}\"; ", at.ip(), at.port());
        list
    })
}

/// The keys by which zones are transferred, as an address match list has them. A key that is not defined matches nobody.
fn accepted(subject: &Subject<'_>, surroundings: &Surroundings) -> String {
    let keys = subject.transfer_keys(surroundings).into_iter();
    keys.map(|key| format!("key \"{key}\"")).collect::<Vec<_>>().join("; ")
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
