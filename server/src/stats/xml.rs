//! The report as BIND's XML v3.

use std::io;

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};

use super::{
    report::{Part, Report, Wanted, ZoneReport},
    table::{FAMILIES, Way, Zeros},
};

/// Writes the wanted parts.
pub(super) fn write(report: &Report, wanted: Wanted) -> Vec<u8> {
    let mut octets = Vec::new();
    // Writing to memory cannot fail.
    let _ = document(&mut Writer::new(&mut octets), report, wanted);
    octets
}

type Xml<'o> = Writer<&'o mut Vec<u8>>;

fn document(xml: &mut Xml<'_>, report: &Report, wanted: Wanted) -> io::Result<()> {
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("statistics").with_attribute(("version", "3.13")).write_inner_content(|xml| {
        xml.create_element("server").write_inner_content(|xml| server(xml, report, wanted))?;
        if Part::Traffic.is_in(wanted) {
            xml.create_element("traffic").write_inner_content(|xml| traffic(xml, report))?;
        }
        xml.create_element("views").write_inner_content(|xml| views(xml, report, wanted))?;
        if Part::Tasks.is_in(wanted) {
            xml.create_element("taskmgr").write_inner_content(|xml| {
                let model = xml.create_element("thread-model");
                model.write_inner_content(|xml| text(xml, "type", "threaded"))?;
                xml.create_element("tasks").write_empty()?;
                Ok(())
            })?;
        }
        if Part::Mem.is_in(wanted) {
            xml.create_element("memory").write_inner_content(|xml| memory(xml, report))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn text(xml: &mut Xml<'_>, name: &str, text: &str) -> io::Result<()> {
    xml.create_element(name).write_text_content(BytesText::new(text))?;
    Ok(())
}

fn counters<N: AsRef<str>>(
    xml: &mut Xml<'_>,
    kind: &str,
    counters: impl IntoIterator<Item = (N, u64)>,
) -> io::Result<()> {
    xml.create_element("counters").with_attribute(("type", kind)).write_inner_content(|xml| {
        for (name, count) in counters {
            let counter = xml.create_element("counter").with_attribute(("name", name.as_ref()));
            counter.write_text_content(BytesText::new(&count.to_string()))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn server(xml: &mut Xml<'_>, report: &Report, wanted: Wanted) -> io::Result<()> {
    text(xml, "boot-time", &format!("{:.3}", report.started))?;
    text(xml, "config-time", &format!("{:.3}", report.configured))?;
    text(xml, "current-time", &format!("{:.3}", report.now))?;
    text(xml, "version", env!("CARGO_PKG_VERSION"))?;
    if Part::Server.is_in(wanted) {
        for family in &FAMILIES {
            let counted = family.counters().map(|(name, cell)| (name, report.sums.cell(cell)));
            counters(xml, family.xml, counted.filter(|(_, count)| *count > 0 || family.zeros != Zeros::Hidden))?;
        }
    }
    if Part::Net.is_in(wanted) {
        counters(xml, "sockstat", report.sockets())?;
    }
    Ok(())
}

fn traffic(xml: &mut Xml<'_>, report: &Report) -> io::Result<()> {
    for family in ["ipv4", "ipv6"] {
        xml.create_element(family).write_inner_content(|xml| {
            for way in Way::ALL.into_iter().filter(|way| way.family() == family) {
                xml.create_element(way.transport()).write_inner_content(|xml| {
                    for (direction, sizes) in ["request-size", "response-size"].into_iter().zip(way.histograms()) {
                        let counted = sizes.into_iter().map(|(size, cell)| (size, report.sums.cell(cell)));
                        counters(xml, direction, counted.filter(|(_, count)| *count > 0))?;
                    }
                    Ok(())
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn views(xml: &mut Xml<'_>, report: &Report, wanted: Wanted) -> io::Result<()> {
    if !Part::Zones.is_in(wanted) {
        return Ok(());
    }
    for view in report.views() {
        xml.create_element("view").with_attribute(("name", view.name)).write_inner_content(|xml| {
            xml.create_element("zones").write_inner_content(|xml| {
                view.told().try_for_each(|shown| zone(xml, view.class, view.kind(&shown), &shown))
            })?;
            Ok(())
        })?;
    }
    Ok(())
}

fn zone(xml: &mut Xml<'_>, class: &str, kind: &str, zone: &ZoneReport<'_>) -> io::Result<()> {
    let name = zone.name().to_string();
    let element = xml.create_element("zone").with_attributes([("name", &*name), ("rdataclass", class)]);
    element.write_inner_content(|xml| {
        text(xml, "type", kind)?;
        text(xml, "serial", &zone.serial().map_or_else(|| "-".to_owned(), |serial| serial.to_string()))?;
        zone.times().try_for_each(|(name, time)| text(xml, name, &format!("{time:.0}")))?;
        let Some(counted) = zone.counters() else { return Ok(()) };
        counters(xml, "rcode", counted.stats().map(|(stat, count)| (stat.name(), count)))?;
        counters(xml, "qtype", counted.qtypes().filter(|(_, count)| *count > 0))
    })?;
    Ok(())
}

fn memory(xml: &mut Xml<'_>, report: &Report) -> io::Result<()> {
    xml.create_element("contexts").write_empty()?;
    xml.create_element("summary").write_inner_content(|xml| {
        let octets = report.memory.resident;
        [("TotalUse", report.memory.peak), ("InUse", octets), ("Malloced", octets), ("ContextSize", 0), ("Lost", 0)]
            .into_iter()
            .try_for_each(|(name, octets)| text(xml, name, &octets.to_string()))
    })?;
    Ok(())
}
