//! A server with a hundred thousand zones is reconfigured while it is queried: every question is answered, and the
//! memory never doubles.

use std::{
    fmt::Write,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::{
    MACHINE, figure, memory,
    server::{Prepared, Server},
};

const ZONES: usize = 100_000;

/// How many zones are removed, and how many others are added.
const OTHERS: usize = 1000;

fn zone(serial: u32) -> String {
    format!("$TTL 300\n@ SOA ns hostmaster {serial} 3600 900 604800 300\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n")
}

/// Statements for the zones with these numbers, which all share one file.
fn conf(numbers: std::ops::Range<usize>) -> String {
    numbers.fold(String::new(), |mut conf, number| {
        writeln!(conf, "zone z{number}.test {{ type primary; file \"zone\"; }};").expect("a string takes all");
        conf
    })
}

#[test]
fn no_query_is_lost_while_a_hundred_thousand_zones_are_reloaded() {
    let _turn = MACHINE.lock();
    let mut server: Server = Prepared::new("", &conf(0..ZONES), &[("zone", &zone(1))]).run();
    let steady = memory(server.id(), "VmRSS");

    let queries = (OTHERS..ZONES)
        .step_by(7)
        .fold(String::new(), |queries, number| queries + &format!("www.z{number}.test A\nno.z{number}.test AAAA\n"));
    server.write("queries", &queries);
    let port = server.port().to_string();
    let dnsperf = Command::new("dnsperf")
        .args(["-s", "127.0.0.1", "-p", &port, "-d", "queries", "-Q", "5000", "-q", "100", "-l", "15"])
        .current_dir(server.folder())
        .stdout(Stdio::piped())
        .spawn()
        .expect("dnsperf: scripts/install-test-tools installs it");
    thread::sleep(Duration::from_secs(1));

    server.configure(&conf(OTHERS..ZONES + OTHERS));
    server.reload();
    server.says("reloading configuration succeeded");
    server.write("zone", &zone(2));
    server.reload();
    server.says("reloading configuration succeeded");

    let report = dnsperf.wait_with_output().expect("it was started");
    let report = String::from_utf8_lossy(&report.stdout);
    let [sent, lost] = ["Queries sent", "Queries lost"].map(|label| figure(&report, label));
    let (now, peak) = (memory(server.id(), "VmRSS"), memory(server.id(), "VmHWM"));
    println!("{sent} queries, {lost} lost; {steady} KiB, {now} KiB at last, {peak} KiB at most");
    assert_eq!((lost, sent > 10_000), (0, true), "{report}");
    assert!(!report.contains("SERVFAIL") && !report.contains("REFUSED"), "{report}");
    assert!(peak <= 2 * steady, "{steady} KiB before, {peak} KiB at most");

    let serial = |name: String| server.dig(&["+short", &name, "SOA"]);
    assert!(serial(format!("z{ZONES}.test")).contains(" 2 "), "a zone that came");
    assert!(serial(format!("z{OTHERS}.test")).contains(" 2 "), "a zone that stayed");
    assert!(server.dig(&["z0.test", "SOA"]).contains("REFUSED"), "a zone that went");
}
