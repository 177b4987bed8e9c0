//! The report as OpenMetrics, which Prometheus reads.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::{
    report::{Report, ZoneReport},
    table::{ABOUT, FAMILIES, Metrics, ROWS, Stat, stat},
    zone::ZoneCounters,
};
use crate::listen::TcpCounts;

/// The media type of all metrics.
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The most zones that have time series of their own.
const MAX_ZONES: usize = 1000;

/// Writes all metrics.
pub(super) fn write(report: Report) -> String {
    let mut registry = Registry::with_prefix("bindyd");
    registry.register_collector(Box::new(report));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").finish_non_exhaustive()
    }
}

impl Collector for Report {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_counters(&mut to)?;
        self.encode_connections(&mut to)?;
        self.encode_zones(&mut to)?;
        self.encode_process(&mut to)
    }
}

impl Report {
    fn encode_counters(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for family in &FAMILIES {
            let Metrics::One(name, help, label) = family.metrics else { continue };
            let mut metric = to.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (value, cell) in family.counters() {
                let count = self.sums.cell(cell);
                if count > 0 {
                    ConstCounter::new(count).encode(metric.encode_family(&[(label, value.as_ref())])?)?;
                }
            }
        }
        for &(name, help) in ABOUT {
            let mut metric = to.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (index, row) in ROWS.iter().enumerate().filter(|(_, row)| row.metric.0 == name) {
                let count = ConstCounter::new(self.sums.cell(stat(Stat::Requestv4) + index));
                match row.metric {
                    (_, "", _) => count.encode(metric.encode_family::<[(&str, &str); 0]>(&[])?)?,
                    (_, label, value) => count.encode(metric.encode_family(&[(label, value)])?)?,
                }
            }
        }
        Ok(())
    }

    fn encode_connections(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let TcpCounts { v4, v6, high_water } = self.connections;
        let families = [("ipv4", v4), ("ipv6", v6)];
        let help = "TCP connections that are open";
        let mut metric = to.encode_descriptor("tcp_connections", help, None, MetricType::Gauge)?;
        for (family, counts) in families {
            ConstGauge::new(counts.open as u64).encode(metric.encode_family(&[("family", family)])?)?;
        }
        let help = "TCP connections asked for";
        let mut metric = to.encode_descriptor("tcp_connects", help, None, MetricType::Counter)?;
        for (family, counts) in families {
            for (outcome, count) in [("accepted", counts.accepted), ("refused", counts.refused)] {
                let labels = [("family", family), ("outcome", outcome)];
                ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
            }
        }
        let help = "The most TCP connections there were at a time";
        let metric = to.encode_descriptor("tcp_connections_high_water", help, None, MetricType::Gauge)?;
        ConstGauge::new(high_water as u64).encode(metric)
    }

    fn encode_zones(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut states = [("loaded", 0_u64), ("not loaded", 0), ("expired", 0)];
        for (_, zone) in self.declared() {
            let state = zone.fault().unwrap_or("loaded");
            states.iter_mut().filter(|(known, _)| *known == state).for_each(|(_, zones)| *zones += 1);
        }
        let mut metric = to.encode_descriptor("zones", "Zones configured", None, MetricType::Gauge)?;
        for (state, zones) in states {
            ConstGauge::new(zones).encode(metric.encode_family(&[("state", state)])?)?;
        }
        let help = "Serial of a zone that is served; of the first 1000 zones";
        let mut metric = to.encode_descriptor("zone_serial", help, None, MetricType::Gauge)?;
        for (view, zone) in self.some_zones() {
            let Some(serial) = zone.serial() else { continue };
            let labels = [("view", view), ("zone", &*zone.name().to_string())];
            ConstGauge::new(u64::from(serial)).encode(metric.encode_family(&labels)?)?;
        }
        let help = "What became of queries for a zone with `zone-statistics full`; of the first 1000 zones";
        let mut metric = to.encode_descriptor("zone_query_outcomes", help, None, MetricType::Counter)?;
        for (view, zone) in self.some_zones() {
            let outcomes = zone.counters().into_iter().flat_map(ZoneCounters::stats);
            for (stat, count) in outcomes.filter(|(stat, _)| stat.row().metric.0 == "query_outcomes") {
                let name = zone.name().to_string();
                let labels = [("view", view), ("zone", &*name), ("outcome", stat.row().metric.2)];
                ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    /// The zones that have time series of their own, with their views.
    fn some_zones(&self) -> impl Iterator<Item = (&str, ZoneReport<'_>)> {
        let zones = self.configured_views().flat_map(|view| view.told().map(move |zone| (view.name, zone)));
        zones.take(MAX_ZONES)
    }

    fn encode_process(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let resident = i64::try_from(self.memory.resident).unwrap_or(i64::MAX);
        let uptime = self.now.as_second() - self.started.as_second();
        let since = "in seconds since 1970";
        let gauges = [
            ("resident_memory_bytes", "Resident memory".to_owned(), resident),
            ("start_time_seconds", format!("When the server started, {since}"), self.started.as_second()),
            ("uptime_seconds", "Time since the server started".to_owned(), uptime),
            (
                "config_time_seconds",
                format!("When the configuration was last read, {since}"),
                self.configured.as_second(),
            ),
            ("ready", "Whether the server is ready, as /readyz says".to_owned(), i64::from(self.unready().is_none())),
        ];
        for (name, help, value) in gauges {
            ConstGauge::new(value).encode(to.encode_descriptor(name, &help, None, MetricType::Gauge)?)?;
        }
        let mut metric = to.encode_descriptor("build", "The program", None, MetricType::Info)?;
        metric.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }
}
