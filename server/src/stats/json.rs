//! The report as BIND's JSON v1.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{Map, Value, json};

use super::{
    report::{Part, Report, ViewReport, Wanted, ZoneReport},
    table::{FAMILIES, Way, Zeros},
};

/// Writes the wanted parts.
pub(super) fn write(report: &Report, wanted: Wanted) -> Vec<u8> {
    // All keys are text, and writing to memory cannot fail.
    serde_json::to_vec_pretty(&Document { report, wanted }).unwrap_or_default()
}

struct Document<'r> {
    report: &'r Report,
    wanted: Wanted,
}

/// One object per view. The zones are serialized one by one, without a copy of the whole list in memory.
struct Views<'r>(&'r Report);

struct Zones<'r>(ViewReport<'r>);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Document { report, wanted } = *self;
        let mut to = to.serialize_map(None)?;
        to.serialize_entry("json-stats-version", "1.7")?;
        to.serialize_entry("boot-time", &format!("{:.3}", report.started))?;
        to.serialize_entry("config-time", &format!("{:.3}", report.configured))?;
        to.serialize_entry("current-time", &format!("{:.3}", report.now))?;
        to.serialize_entry("version", env!("CARGO_PKG_VERSION"))?;
        if Part::Server.is_in(wanted) {
            for family in &FAMILIES {
                let counters = family.counters().map(|(name, cell)| (name.into_owned(), report.sums.cell(cell)));
                let shown = counters.filter(|(_, count)| *count > 0 || family.zeros == Zeros::Shown);
                to.serialize_entry(family.json, &object(shown))?;
            }
        }
        if Part::Zones.is_in(wanted) {
            to.serialize_entry("views", &Views(report))?;
        }
        if Part::Net.is_in(wanted) {
            let counters = report.sockets().into_iter().filter(|(_, count)| *count > 0);
            to.serialize_entry("sockstats", &object(counters.map(|(name, count)| (name.to_owned(), count))))?;
        }
        if Part::Tasks.is_in(wanted) {
            to.serialize_entry("taskmgr", &json!({ "thread-model": "threaded", "tasks": [] }))?;
        }
        if Part::Mem.is_in(wanted) {
            let octets = report.memory.resident;
            let memory = json!({
                "TotalUse": report.memory.peak, "InUse": octets, "Malloced": octets, "ContextSize": 0, "Lost": 0, "contexts": []
            });
            to.serialize_entry("memory", &memory)?;
        }
        if Part::Traffic.is_in(wanted) {
            to.serialize_entry("traffic", &traffic(report))?;
        }
        to.end()
    }
}

fn object(counters: impl Iterator<Item = (String, u64)>) -> Map<String, Value> {
    counters.map(|(name, count)| (name, count.into())).collect()
}

fn traffic(report: &Report) -> Map<String, Value> {
    let mut traffic = Map::new();
    for way in Way::ALL {
        let directions = ["requests-sizes-received", "responses-sizes-sent"];
        for (direction, sizes) in directions.into_iter().zip(way.histograms()) {
            let counters = sizes.into_iter().map(|(size, cell)| (size, report.sums.cell(cell)));
            let name = format!("dns-{}-{direction}-{}", way.transport(), way.family());
            traffic.insert(name, object(counters.filter(|(_, count)| *count > 0)).into());
        }
    }
    traffic
}

impl Serialize for Views<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut to = to.serialize_map(None)?;
        for view in self.0.views() {
            to.serialize_key(view.name)?;
            to.serialize_value(&Zones(view))?;
        }
        to.end()
    }
}

impl Serialize for Zones<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        /// The list that is the object's only member.
        struct List<'l, 'r>(&'l ViewReport<'r>);
        impl Serialize for List<'_, '_> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let mut to = to.serialize_seq(None)?;
                for zone in self.0.told() {
                    to.serialize_element(&described(self.0, &zone))?;
                }
                to.end()
            }
        }
        to.collect_map([("zones", List(&self.0))])
    }
}

fn counted<N: Into<String>>(counters: impl Iterator<Item = (N, u64)>) -> Value {
    object(counters.filter(|(_, count)| *count > 0).map(|(name, count)| (name.into(), count))).into()
}

fn described(view: &ViewReport<'_>, zone: &ZoneReport<'_>) -> Map<String, Value> {
    let members = [
        ("name", Some(zone.name().to_string().into())),
        ("class", Some(view.class.into())),
        ("serial", zone.serial().map(Value::from)),
        ("type", Some(view.kind(zone).into())),
        ("rcodes", zone.counters().map(|counters| counted(counters.stats().map(|(stat, count)| (stat.name(), count))))),
        ("qtypes", zone.counters().map(|counters| counted(counters.qtypes()))),
    ];
    let times = zone.times().map(|(name, time)| (name, Some(format!("{time:.0}").into())));
    members.into_iter().chain(times).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
