//! Shared by the tests: the records of a zone as a set that can be compared.

use std::{collections::BTreeMap, path::Path};

use zonefmt::{
    Class, Name, Rtype,
    diagnostics::Source,
    rdata,
    zone::{self, CheckNames, Directory, Options, Record, Refusal, Report},
};

/// RRsets by owner in lower case, type and covered type: TTL, and the data in canonical form.
pub type RrSets = BTreeMap<(String, Rtype, u16), (u32, Vec<Vec<u8>>)>;

/// Adds a record as a server does: each record once, and the last TTL for the whole RRset.
pub fn add(sets: &mut RrSets, record: &Record<'_>) {
    let owner = record.owner.to_string().to_ascii_lowercase();
    let set = sets.entry((owner, record.rtype, record.covers())).or_default();
    let mut data = Vec::new();
    rdata::canonical(record.rtype, record.rdata, &mut data);
    // BIND ignores the case of names in every type, but canonical form folds only the older types.
    data.make_ascii_lowercase();
    set.0 = record.ttl;
    if let Err(at) = set.1.binary_search(&data) {
        set.1.insert(at, data);
    }
}

/// Reads and checks a zone file whose includes are in `folder`.
pub fn check(text: &[u8], origin: &Name, class: Class, folder: &Path) -> (Report, RrSets, Vec<String>) {
    let mut sets = RrSets::new();
    let mut lines = Vec::new();
    let mut sink = |record: Record<'_>| -> Result<(), Refusal> {
        add(&mut sets, &record);
        let mut line = String::new();
        zone::write_record(&record, &mut line);
        lines.push(line);
        Ok(())
    };
    let includes = Directory(folder.to_owned());
    let options =
        Options { class, check_names: CheckNames::Warn, includes: &includes, ..Options::new(origin.as_ref()) };
    let (report, _) = zone::check(&Source::new("z", text), &options, &mut sink);
    (report, sets, lines)
}

/// Reads a zone file without checking it.
pub fn parse(text: &[u8], origin: &Name, class: Class) -> (Report, RrSets) {
    let mut sets = RrSets::new();
    let mut sink = |record: Record<'_>| -> Result<(), Refusal> {
        add(&mut sets, &record);
        Ok(())
    };
    let options = Options { class, ..Options::new(origin.as_ref()) };
    (zone::parse(&Source::new("z", text), &options, &mut sink), sets)
}
