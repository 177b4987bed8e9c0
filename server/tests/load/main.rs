//! `bindyd` under load: floods, and changes while it is queried. Each of these tests needs the machine for itself, so
//! they are a separate program and take turns.

mod flood;
mod reload;
#[allow(dead_code, reason = "shared with the tests that are quick")]
#[path = "../bindyd/server.rs"]
mod server;

use std::{fs, sync::Mutex};

/// Held by the test that is running.
static MACHINE: Mutex<()> = Mutex::new(());

/// A line of the process's status, in KiB: `VmRSS` or `VmHWM`.
fn memory(id: u32, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let octets = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    octets.unwrap_or_else(|| panic!("no {what} in {status}"))
}

/// The figure that dnsperf prints after this label, without its fraction.
fn figure(report: &str, label: &str) -> u64 {
    let rest = report.split_once(&format!("{label}:")).map(|(_, rest)| rest.trim_start());
    let figure = rest.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    figure.unwrap_or_else(|| panic!("no {label} in {report}"))
}
