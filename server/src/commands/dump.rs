//! `dumpdb`: writes the zones as text into a file. Caches are dumped, too, always empty.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
};

use tracing::info;
use zonefmt::{
    Class, Rtype, rdata,
    zone::{Location, Record, write_record},
};

use crate::{
    control::{CommandError, Failure, Reply},
    serve::Running,
    zone::Node,
    zones::{View, Zone},
};

/// The options that say what to dump, and whether that includes the zones. Without an option it is the caches alone.
const PARTS: [(&str, bool); 7] = [
    ("-all", true),
    ("-zones", true),
    ("-cache", false),
    ("-adb", false),
    ("-bad", false),
    ("-expired", false),
    ("-fail", false),
];

/// `dumpdb [-all | -zones | -cache | …] [VIEW …]`
pub(super) fn dump(server: &mut Running, arguments: &[String]) -> Reply {
    let part = arguments.first().and_then(|first| PARTS.iter().find(|(option, _)| option == first));
    let (zones, wanted) = part.map_or((false, arguments), |&(_, zones)| (zones, &arguments[1..]));
    let snapshot = server.published().load();
    let views: Vec<&View> = snapshot.views.iter().chain([&snapshot.chaos]).collect();
    let shown: Vec<_> = if wanted.is_empty() {
        views
    } else {
        let found = |wanted: &String| views.iter().copied().find(|view| *view.name == **wanted);
        if let Some(missing) = wanted.iter().find(|wanted| found(wanted).is_none()) {
            return Ok(format!("view '{missing}' not found"));
        }
        wanted.iter().filter_map(found).collect()
    };
    let file = server.dump_file();
    info!(target: "general", "dumpdb started{}", arguments.first().map_or(String::new(), |what| format!(": {what}")));
    let written = File::create(file).and_then(|file| write(&shown, zones, file));
    written.map_err(|error| {
        let text = format!("could not write dump file '{}': {error}; see `dump-file`", file.display());
        CommandError::new(Failure::Failure, text)
    })?;
    info!(target: "general", "dumpdb complete");
    Ok(String::new())
}

fn write(views: &[&View], zones: bool, file: File) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    for view in views {
        write!(file, ";\n; Start view {}\n;\n", view.name)?;
        for zone in view.zones.iter().filter(|_| zones) {
            write_zone(zone, view, &mut file)?;
        }
    }
    writeln!(file, "; Dump complete")?;
    file.flush()
}

fn write_zone(zone: &Zone, view: &View, file: &mut impl Write) -> io::Result<()> {
    let origin = zone.origin.as_ref().without_final_dot();
    let (class, of_view) = match &*view.name {
        View::CHAOS => (Class::CH, String::new()),
        View::DEFAULT => (Class::IN, String::new()),
        name => (Class::IN, format!("/{name}")),
    };
    write!(file, ";\n; Zone dump of '{origin}/{class}{of_view}'\n;\n")?;
    let Some(data) = zone.data() else { return writeln!(file, "; zone not loaded") };
    data.iter().try_for_each(|node| file.write_all(text(node, class).as_bytes()))
}

/// The records of a name in named's order: SOA, NS, then by type; of one type in canonical order (RFC 4034 6.3).
fn text(node: Node<'_>, class: Class) -> String {
    let rank = |rtype| match rtype {
        Rtype::SOA => (0, 0),
        Rtype::NS => (1, 0),
        Rtype(number) => (2, number),
    };
    let (owner, mut text) = (node.owner(), String::new());
    let mut rrsets: Vec<_> = node.rrsets().collect();
    rrsets.sort_by_key(|rrset| rank(rrset.rtype));
    for rrset in rrsets {
        let mut rdatas: Vec<_> = rrset.rdatas().collect();
        rdatas.sort_by_cached_key(|data| {
            let mut canonical = Vec::with_capacity(data.len());
            rdata::canonical(rrset.rtype, data, &mut canonical);
            canonical
        });
        for rdata in rdatas {
            let (owner, at) = (owner.as_ref(), Location::default());
            write_record(&Record { owner, ttl: rrset.ttl, class, rtype: rrset.rtype, rdata, at }, &mut text);
        }
    }
    text
}
