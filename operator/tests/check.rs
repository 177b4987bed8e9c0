//! Tests `bindy check` and `bindy plan` as programs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

#[test]
fn a_folder_where_all_is_served_passes() {
    let checked = bindy(&["check", &quickstart(), "--strict"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked));
    assert_eq!(text(&checked), "18 of 18 resources served in 1 zone\n");
    let all = text(&bindy(&["check", &quickstart(), "--all"]));
    assert_eq!(all.lines().count(), 1 + 18 + 1, "{all}");
}

#[test]
fn what_is_not_served_fails_with_its_place_and_reason() {
    let site = copy_of_quickstart();
    fs::write(site.path().join("late.yaml"), record("CNAMERecord", "zz", "name: www, target: elsewhere")).unwrap();
    let checked = bindy(&["check", path(&site)]);
    assert_eq!(checked.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&checked.stderr);
    assert!(
        complaint.contains("late.yaml:5:14: warning: CNAMERecord dns/zz is not served: CnameConflict"),
        "{complaint}"
    );
    assert!(text(&checked).contains("CNAMERecord   dns/zz     lost             CnameConflict"), "{}", text(&checked));

    fs::write(site.path().join("late.yaml"), record("ARecord", "zz", "name: zz, ipv4Addresses: [192.0.2.300]"))
        .unwrap();
    let checked = bindy(&["check", path(&site)]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked).contains("18 of 19 resources served in 1 zone, 1 error"), "{}", text(&checked));
    assert!(text(&checked).contains("ARecord   dns/zz     lost             InvalidRecord"), "{}", text(&checked));
}

#[test]
fn a_cluster_that_is_not_there_is_a_warning_at_the_reference() {
    let site = copy_of_quickstart();
    let zone = fs::read_to_string(site.path().join("zone.yaml")).unwrap();
    fs::write(site.path().join("zone.yaml"), zone.replace("spec:\n", "spec:\n  clusterRef: ns\n")).unwrap();
    let checked = bindy(&["check", path(&site)]);
    let complaint = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(0));
    let told = "zone.yaml:8:15: warning: DNSZone dns/example-com: DanglingReference: clusterRef: there is no Bind9Cluster dns/ns";
    assert!(complaint.contains(told), "{complaint}");
    assert_eq!(bindy(&["check", path(&site), "--strict"]).status.code(), Some(1));

    let cluster = "apiVersion: bindy.firestoned.io/v1beta1\nkind: Bind9Cluster\nmetadata: {name: ns, namespace: dns}\n\
                   spec: {primary: {replicas: 1}}\n";
    fs::write(site.path().join("cluster.yaml"), cluster).unwrap();
    let all = bindy(&["check", path(&site), "--strict", "--all"]);
    assert_eq!(all.status.code(), Some(0));
    assert!(text(&all).contains("Bind9Cluster   dns/ns                  used\n"), "{}", text(&all));
    assert!(text(&all).ends_with("18 of 18 resources served in 1 zone\n"), "{}", text(&all));
}

#[test]
fn warnings_fail_only_when_strict() {
    let site = copy_of_quickstart();
    let twice = record("ARecord", "zz", "name: zz.example.com, ipv4Addresses: [192.0.2.3]");
    fs::write(site.path().join("late.yaml"), twice).unwrap();
    assert_eq!(bindy(&["check", path(&site)]).status.code(), Some(0));
    assert_eq!(bindy(&["check", path(&site), "--strict"]).status.code(), Some(1));
}

#[test]
fn a_folder_that_is_not_there_is_another_failure() {
    let checked = bindy(&["check", "/nonexistent"]);
    assert_eq!(checked.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&checked.stderr).contains("name a folder"));
    assert_eq!(bindy(&["plan", "/nonexistent", &quickstart()]).status.code(), Some(2));
}

#[test]
fn programs_read_json() {
    let site = copy_of_quickstart();
    fs::write(site.path().join("late.yaml"), record("CNAMERecord", "zz", "name: www, target: elsewhere")).unwrap();
    fs::write(site.path().join("bad.yaml"), record("ARecord", "bad", "name: bad, ipv4Addresses: [x]")).unwrap();
    let report = json(&bindy(&["check", path(&site), "--output", "json"]));
    assert_eq!(report["zones"][0]["zone"], "example.com.");
    assert_eq!(report["zones"][0]["serial"], 2_026_112_100);
    let resources = report["resources"].as_array().unwrap();
    assert_eq!(resources.len(), 20);
    let lost: Vec<&Value> = resources.iter().filter(|row| row["outcome"] == "lost").collect();
    assert_eq!(lost.len(), 2);
    assert_eq!((&lost[1]["kind"], &lost[1]["name"]), (&"CNAMERecord".into(), &"zz".into()));
    for (row, reason, field, column) in
        [(lost[1], "CnameConflict", "spec.name", 14), (lost[0], "InvalidRecord", "spec.ipv4Addresses[0]", 35)]
    {
        let finding = &row["findings"][0];
        assert_eq!((&finding["reason"], &finding["field"]), (&reason.into(), &field.into()));
        assert_eq!((&finding["file"], &finding["line"], &finding["column"]), (&row["file"], &5.into(), &column.into()));
        assert_eq!(row["line"], 1);
    }
    assert_eq!(report["problems"][0]["line"], 5);
    assert_eq!(report["problems"][0]["severity"], "error");
}

#[test]
fn a_plan_lists_the_records_that_come_and_go() {
    let site = copy_of_quickstart();
    assert_eq!(text(&bindy(&["plan", &quickstart(), path(&site)])), "No zone changes.\n");
    let web = fs::read_to_string(site.path().join("web.yaml")).unwrap();
    fs::write(site.path().join("web.yaml"), web.replace("192.0.2.80", "192.0.2.81")).unwrap();
    fs::write(site.path().join("new.yaml"), record("TXTRecord", "new", "name: new, text: ['a b']")).unwrap();
    fs::remove_file(site.path().join("mail.yaml")).unwrap();
    let planned = bindy(&["plan", &quickstart(), path(&site)]);
    assert_eq!(planned.status.code(), Some(0));
    let plan = text(&planned);
    assert!(plan.starts_with("example.com. 2026112100 → 2026112101: +1 −"), "{plan}");
    for line in [
        "  - *.apps 60 A 192.0.2.80\n  + *.apps 60 A 192.0.2.81\n",
        "  + new 3600 TXT \"a b\"\n",
        "  - @ 3600 MX 10 mail\n",
    ] {
        assert!(plan.contains(line), "{plan}");
    }
    assert!(!plan.contains("SOA"), "{plan}");

    let plan = json(&bindy(&["plan", &quickstart(), path(&site), "-o", "json"]));
    let apps = plan[0]["rrsets"].as_array().unwrap().iter().find(|set| set["name"] == "*.apps").unwrap();
    assert_eq!(apps["old"]["rdata"], serde_json::json!(["192.0.2.80"]));
    assert_eq!(apps["new"]["rdata"], serde_json::json!(["192.0.2.81"]));

    let zone = fs::read_to_string(site.path().join("zone.yaml")).unwrap();
    fs::write(site.path().join("zone.yaml"), zone.replace("retry: 600", "retry: 601")).unwrap();
    let plan = text(&bindy(&["plan", &quickstart(), path(&site)]));
    for line in
        ["  - @ 3600 SOA ns1 hostmaster 2026112100 3600 600 ", "  + @ 3600 SOA ns1 hostmaster 2026112101 3600 601 "]
    {
        assert!(plan.contains(line), "{plan}");
    }

    fs::remove_file(site.path().join("zone.yaml")).unwrap();
    let gone = text(&bindy(&["plan", &quickstart(), path(&site)]));
    assert!(gone.starts_with("example.com. 2026112100 → nothing: +0 −"), "{gone}");
    let back = text(&bindy(&["plan", path(&site), &quickstart()]));
    assert!(back.starts_with("example.com. nothing → 2026112100: +"), "{back}");
}

#[test]
fn a_plan_that_a_cluster_would_refuse_fails() {
    let site = copy_of_quickstart();
    let zone = fs::read_to_string(site.path().join("zone.yaml")).unwrap();
    fs::write(site.path().join("zone.yaml"), zone.replace("zoneName: example.com", "zoneName: example.org")).unwrap();
    let planned = bindy(&["plan", &quickstart(), path(&site)]);
    assert_eq!(planned.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&planned.stderr);
    assert!(
        complaint.contains("zone.yaml:7:1: error: DNSZone dns/example-com: zoneName cannot change: create"),
        "{complaint}"
    );
    assert!(text(&planned).contains("example.org. nothing →"), "{}", text(&planned));
}

#[test]
fn what_servers_do_not_do_is_told() {
    let site = copy_of_quickstart();
    let cluster = "apiVersion: bindy.firestoned.io/v1beta1\nkind: Bind9Cluster\nmetadata: {name: ns}\n\
                   spec:\n  global:\n    recursion: true\n    forwarders: [192.0.2.1]\n";
    fs::write(site.path().join("ns.yaml"), cluster).unwrap();
    let checked = bindy(&["check", path(&site)]);
    assert_eq!(checked.status.code(), Some(0));
    let complaint = String::from_utf8_lossy(&checked.stderr);
    for told in
        ["ns.yaml:6:5: warning: `global.recursion` has no effect", "ns.yaml:7:5: warning: `global.forwarders` has no"]
    {
        assert!(complaint.contains(told), "{complaint}");
    }
    fs::write(site.path().join("ns.yaml"), cluster.replace("true", "false").replace("[192.0.2.1]", "[]")).unwrap();
    assert_eq!(bindy(&["check", "--strict", path(&site)]).status.code(), Some(0));
}

#[test]
fn a_plan_with_a_broken_file_fails() {
    let site = copy_of_quickstart();
    fs::write(site.path().join("mail.yaml"), "kind: [\n").unwrap();
    assert_eq!(bindy(&["plan", &quickstart(), path(&site), "-o", "json"]).status.code(), Some(1));
}

#[test]
fn what_one_of_two_zones_does_not_serve_is_told_with_the_zone() {
    let site = copy_of_quickstart();
    let zone = fs::read_to_string(site.path().join("zone.yaml")).unwrap();
    let zone =
        zone.replace("name: example-com", "name: other").replace("zoneName: example.com", "zoneName: example.org");
    fs::write(site.path().join("other.yaml"), zone).unwrap();
    let absolute = record("ARecord", "zz", "name: zz.example.com., ipv4Addresses: [192.0.2.3]");
    fs::write(site.path().join("late.yaml"), absolute).unwrap();
    let checked = bindy(&["check", path(&site)]);
    let complaint = String::from_utf8_lossy(&checked.stderr);
    assert!(complaint.contains("ARecord dns/zz is not served by example.org.: OutOfZone"), "{complaint}");
}

#[test]
fn a_misspelt_kind_fails_with_the_one_that_was_meant() {
    let site = copy_of_quickstart();
    fs::write(site.path().join("late.yaml"), record("ARecrod", "zz", "name: zz, ipv4Addresses: [192.0.2.3]")).unwrap();
    let checked = bindy(&["check", path(&site)]);
    assert_eq!(checked.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&checked.stderr);
    assert!(complaint.contains("has no kind `ARecrod` (did you mean ARecord?)"), "{complaint}");
}

#[test]
fn a_second_definition_of_a_resource_fails() {
    let site = copy_of_quickstart();
    let one = |address: &str| record("ARecord", "zz", &format!("name: zz, ipv4Addresses: [{address}]"));
    fs::write(site.path().join("late.yaml"), format!("{}---\n{}", one("192.0.2.3"), one("192.0.2.4"))).unwrap();
    let checked = bindy(&["check", path(&site)]);
    assert_eq!(checked.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&checked.stderr);
    assert!(complaint.contains("late.yaml:9:18: error: ARecord dns/zz is defined in "), "{complaint}");
    assert!(complaint.contains("late.yaml:1 already, and that definition is used"), "{complaint}");
    assert!(text(&checked).contains("19 of 19 resources served in 1 zone, 1 error"), "{}", text(&checked));
}

#[test]
fn a_list_that_no_server_can_use_fails() {
    let site = copy_of_quickstart();
    let cluster = "apiVersion: bindy.firestoned.io/v1beta1\nkind: Bind9Cluster\nmetadata: {name: ns}\n\
                   spec:\n  global: {allowQuery: [intern]}\n  primary: {replicas: 1}\n";
    fs::write(site.path().join("ns.yaml"), cluster).unwrap();
    let checked = bindy(&["check", path(&site)]);
    assert_eq!(checked.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&checked.stderr);
    let told =
        "ns.yaml:5:25: warning: Bind9Cluster default/ns cannot be used: InvalidServer: global.allowQuery[0]: `intern`";
    assert!(complaint.contains(told), "{complaint}");
}

#[test]
fn nothing_to_check_is_a_failure() {
    let site = TempDir::new().unwrap();
    let checked = bindy(&["check", path(&site)]);
    assert_eq!((checked.status.code(), text(&checked)), (Some(2), String::new()));
    assert!(String::from_utf8_lossy(&checked.stderr).contains("has no manifest of bindy.firestoned.io"));
}

#[test]
fn a_full_disk_is_told_and_a_closed_pipe_is_not() {
    for arguments in [&["check", &quickstart()][..], &["plan", &quickstart(), &quickstart()]] {
        let run =
            |stdout: Stdio| Command::new(env!("CARGO_BIN_EXE_bindy")).args(arguments).stdout(stdout).output().unwrap();
        let full = run(fs::File::options().write(true).open("/dev/full").unwrap().into());
        assert_eq!(full.status.code(), Some(2));
        let complaint = String::from_utf8_lossy(&full.stderr);
        assert!(complaint.contains("cannot write to standard output: No space left"), "{complaint}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = run(writer.into());
        assert_eq!((closed.status.code(), closed.stderr), (Some(0), Vec::new()));
    }
}

fn bindy(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bindy")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn quickstart() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/quickstart").to_owned()
}

fn copy_of_quickstart() -> TempDir {
    let site = TempDir::new().unwrap();
    for file in fs::read_dir(quickstart()).unwrap() {
        let from: PathBuf = file.unwrap().path();
        fs::copy(&from, site.path().join(from.file_name().unwrap())).unwrap();
    }
    site
}

fn path(site: &TempDir) -> &str {
    Path::to_str(site.path()).unwrap()
}

fn record(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: bindy.firestoned.io/v1beta1\nkind: {kind}\nmetadata: {{name: {name}, namespace: dns, labels: {{zone: example.com}}}}\n# A record.\nspec: {{{spec}}}\n"
    )
}
