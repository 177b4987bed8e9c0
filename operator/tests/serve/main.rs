//! Tests `bindy serve` as a program, with files that change, and with dig.

mod examples;
mod site;

use std::{fs, net::TcpListener, os::unix::fs::symlink, path::Path, process::Command};

use site::{Site, examples, strings};

#[test]
fn the_quick_start_record_by_record() {
    let site = Site::quickstart();
    let bindy = site.serve();
    let expected: &[(&str, &str, &[&str])] = &[
        ("example.com", "SOA", &["3600 ns1.example.com. hostmaster.example.com. 2026112100 3600 600 604800 300"]),
        ("example.com", "NS", &["3600 ns1.example.com.", "3600 ns2.example.net."]),
        ("ns1.example.com", "A", &["3600 192.0.2.53"]),
        ("ns1.example.com", "AAAA", &["3600 2001:db8::53"]),
        ("example.com", "A", &["3600 192.0.2.10", "3600 192.0.2.11"]),
        ("example.com", "AAAA", &["3600 2001:db8::10", "3600 2001:db8::11"]),
        ("www.example.com", "A", &["300 192.0.2.10", "300 192.0.2.11"]),
        ("www.example.com", "AAAA", &["300 2001:db8::10", "300 2001:db8::11"]),
        ("blog.example.com", "CNAME", &["3600 www.example.com."]),
        ("shop.apps.example.com", "A", &["60 192.0.2.80"]),
        ("a.b.apps.example.com", "A", &["60 192.0.2.80"]),
        ("example.com", "MX", &["3600 10 mail.example.com.", "3600 20 mx.backup.example.net."]),
        ("mail.example.com", "A", &["3600 192.0.2.25"]),
        ("example.com", "TXT", &["3600 \"site-verification=3xJ7sQ9wV2\"", "3600 \"v=spf1 mx -all\""]),
        ("_dmarc.example.com", "TXT", &["3600 \"v=DMARC1; p=reject; rua=mailto:postmaster@example.com\""]),
        ("_sip._tcp.example.com", "SRV", &["3600 10 60 5060 sip.example.com."]),
        ("sip.example.com", "A", &["3600 192.0.2.60"]),
        ("example.com", "CAA", &["3600 0 issue \"letsencrypt.org\""]),
    ];
    for transport in ["+notcp", "+tcp"] {
        for (name, rtype, records) in expected {
            let answer = bindy.dig(name, rtype, transport);
            assert_eq!((answer.status.as_str(), &answer.records), ("NOERROR", &strings(records)), "{name} {rtype}");
        }
        let referral = bindy.dig("host.lab.example.com", "A", transport);
        assert_eq!((referral.status.as_str(), referral.records.len()), ("NOERROR", 0));
        assert!(referral.text.contains("lab.example.com.\t3600\tIN\tNS\tns.lab.example.com."), "{}", referral.text);
        assert!(referral.text.contains("ns.lab.example.com.\t3600\tIN\tA\t198.51.100.53"), "{}", referral.text);
        assert_eq!(bindy.dig("nothing.example.com", "A", transport).status, "NXDOMAIN");
        assert_eq!(bindy.dig("www.example.com", "MX", transport).status, "NOERROR");
        assert_eq!(bindy.dig("example.org", "A", transport).status, "REFUSED");
    }
    assert!(bindy.said("1 zone and 17 record resources in 4 files: all served"), "{}", bindy.log());
}

#[test]
fn an_edit_is_answered_under_a_higher_serial() {
    let site = Site::quickstart();
    let bindy = site.serve();
    site.edit("web.yaml", "192.0.2.80", "192.0.2.81");
    bindy.await_answer("x.apps.example.com", "A", &["60 192.0.2.81"]);
    assert_eq!(bindy.serial(), 2_026_112_101);
    bindy.await_said("example.com. 2026112100 → 2026112101: +0 −0 ~1 RRsets");

    // Save as editors do: a new file replaces the old one.
    let text = site.read("web.yaml").replace("192.0.2.81", "192.0.2.82");
    fs::write(site.path("web.yaml~"), text).unwrap();
    fs::rename(site.path("web.yaml~"), site.path("web.yaml")).unwrap();
    bindy.await_answer("x.apps.example.com", "A", &["60 192.0.2.82"]);

    // Add a file in a new folder.
    fs::create_dir_all(site.path("more/and more")).unwrap();
    fs::write(site.path("more/and more/new.yml"), record("new", "name: new, ipv4Addresses: [192.0.2.90]")).unwrap();
    bindy.await_answer("new.example.com", "A", &["3600 192.0.2.90"]);
    assert_eq!(bindy.serial(), 2_026_112_103);
}

#[test]
fn what_a_broken_file_had_stays_served() {
    let site = Site::quickstart();
    let bindy = site.serve();
    site.edit("web.yaml", "  ttl: 60\n", "  ttl: [60\n");
    bindy.await_said("web.yaml:70:16: error: not YAML");
    bindy.expect("x.apps.example.com", "A", &["60 192.0.2.80"]);
    bindy.expect("www.example.com", "A", &["300 192.0.2.10", "300 192.0.2.11"]);

    // Changes of other files are still served, and so is this file once it has no errors.
    site.edit("mail.yaml", "192.0.2.25", "192.0.2.26");
    bindy.await_answer("mail.example.com", "A", &["3600 192.0.2.26"]);
    site.edit("web.yaml", "  ttl: [60\n", "  ttl: 61\n");
    bindy.await_said("web.yaml is right again");
    bindy.await_answer("x.apps.example.com", "A", &["61 192.0.2.80"]);

    site.edit("web.yaml", "[192.0.2.80]", "[192.0.2.280]");
    bindy.await_said("web.yaml:70:19: error: ipv4Addresses[0]: ");
    bindy.expect("x.apps.example.com", "A", &["61 192.0.2.80"]);

    site.edit("mail.yaml", "  priority: 20", "  priority: twenty");
    bindy.await_said("mail.yaml:23:13: error: spec.priority: ");
    bindy.expect("example.com", "MX", &["3600 10 mail.example.com.", "3600 20 mx.backup.example.net."]);
    assert_eq!(bindy.serial(), 2_026_112_102);
}

#[test]
fn what_a_cluster_would_refuse_is_not_served_and_the_rest_is() {
    let site = Site::quickstart();
    fs::write(site.path("cname.yaml"), record("apex", "name: '@', target: www").replace("ARecord", "CNAMERecord"))
        .unwrap();
    let bindy = site.serve();
    bindy.await_said("cname.yaml:4:1: error: spec: a zone's own name has a SOA");
    bindy.expect("example.com", "A", &["3600 192.0.2.10", "3600 192.0.2.11"]);
    assert!(bindy.dig("example.com", "CNAME", "+notcp").records.is_empty());
    fs::remove_file(site.path("cname.yaml")).unwrap();
    bindy.await_said("cname.yaml is gone, and its errors with it");
}

#[test]
fn what_is_deleted_is_gone() {
    let site = Site::quickstart();
    let bindy = site.serve();
    let text = site.read("web.yaml");
    let documents: Vec<&str> = text.split("---\n").filter(|document| !document.contains("name: blog")).collect();
    fs::write(site.path("web.yaml"), documents.join("---\n")).unwrap();
    bindy.await_status("blog.example.com", "NXDOMAIN");
    fs::remove_file(site.path("web.yaml")).unwrap();
    bindy.await_status("www.example.com", "NXDOMAIN");
    bindy.expect("mail.example.com", "A", &["3600 192.0.2.25"]);
    fs::remove_file(site.path("zone.yaml")).unwrap();
    bindy.await_status("mail.example.com", "REFUSED");
    bindy.await_said("example.com. is not served any more");
    bindy.await_said("MXRecord dns/mail is not served: NotSelected");
}

#[test]
fn one_bad_record_takes_nothing_down() {
    let site = Site::quickstart();
    fs::write(site.path("alias.yaml"), record("zz", "name: www, target: other").replace("ARecord", "CNAMERecord"))
        .unwrap();
    fs::write(site.path("bad.yaml"), record("bad", "name: bad, ipv4Addresses: [nonsense]")).unwrap();
    let bindy = site.serve();
    bindy.expect("www.example.com", "A", &["300 192.0.2.10", "300 192.0.2.11"]);
    bindy.await_said("alias.yaml:4:14: warning: CNAMERecord dns/zz is not served: CnameConflict: ");
    bindy.await_said("bad.yaml:4:35: error: ipv4Addresses[0]: ");
    bindy.await_said("2 not served, see above");
    fs::remove_file(site.path("alias.yaml")).unwrap();
    site.edit("bad.yaml", "nonsense", "192.0.2.99");
    bindy.await_answer("bad.example.com", "A", &["3600 192.0.2.99"]);
}

#[test]
fn a_restart_goes_on_from_the_last_serial() {
    let site = Site::quickstart();
    let bindy = site.serve();
    site.edit("web.yaml", "192.0.2.80", "192.0.2.81");
    bindy.await_answer("x.apps.example.com", "A", &["60 192.0.2.81"]);
    bindy.kill();

    let bindy = site.serve();
    assert_eq!(bindy.serial(), 2_026_112_101, "same content, same serial");
    bindy.kill();
    site.edit("web.yaml", "192.0.2.81", "192.0.2.80");
    let bindy = site.serve();
    assert_eq!(bindy.serial(), 2_026_112_102, "the content of the first serial, but not its number");
}

#[test]
fn ctrl_c_and_sigterm_stop_it() {
    for signal in ["INT", "TERM"] {
        let site = Site::quickstart();
        let bindy = site.serve();
        let addr = bindy.addr;
        assert_eq!(bindy.signal(signal).code(), Some(0));
        TcpListener::bind(addr).expect("the port is free again");
    }
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let site = Site::quickstart();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = site.command(&["--listen", &addr]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(told.contains(&format!("cannot listen on {addr}")) && told.contains("--listen"), "{told}");
}

#[test]
fn what_cannot_start_says_what_to_do() {
    let site = Site::quickstart();
    let bindy = site.serve();
    let output = site.command(&["--listen", "127.0.0.1:0"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("another `bindy serve` uses"), "{told}");
    drop(bindy);
    let output = Command::new(env!("CARGO_BIN_EXE_bindy")).args(["serve", "/nowhere/at/all"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("/nowhere/at/all") && told.contains("name a folder"), "{told}");
}

#[test]
fn an_address_without_port_is_told_how_one_looks() {
    let output = Site::quickstart().command(&["--listen", "localhost"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("write an IP address and a port, as 127.0.0.1:5300"), "{told}");
}

#[test]
fn a_pipe_in_the_folder_holds_nothing_up() {
    let site = Site::quickstart();
    let bindy = site.serve();
    assert!(Command::new("mkfifo").arg(site.path("pipe.yaml")).status().unwrap().success());
    bindy.await_said("pipe.yaml: it is no regular file; what it had stays served");
    site.edit("web.yaml", "192.0.2.80", "192.0.2.81");
    bindy.await_answer("x.apps.example.com", "A", &["60 192.0.2.81"]);
    assert!(bindy.signal("INT").success());
}

#[test]
fn a_start_with_a_broken_file_does_not_claim_that_all_is_served() {
    let site = Site::quickstart();
    fs::write(site.path("bad.yaml"), "kind: [\n").unwrap();
    site.serve().await_said("in 5 files: all served; what has errors is not among them, see above");
}

#[test]
fn a_folder_without_zones_is_served_once_it_has_one() {
    let site = Site::empty();
    let bindy = site.serve();
    assert!(bindy.said("There is no zone yet"), "{}", bindy.log());
    assert_eq!(bindy.dig("example.com", "SOA", "+notcp").status, "REFUSED");
    fs::copy(examples().join("quickstart/zone.yaml"), site.path("zone.yaml")).unwrap();
    bindy.await_answer("ns1.example.com", "A", &["3600 192.0.2.53"]);
}

#[test]
fn nothing_is_served_before_its_serial_is_durable() {
    let site = Site::quickstart();
    let bindy = site.serve();
    let blocker = site.state.path().join("serials");
    fs::remove_file(&blocker).unwrap();
    fs::create_dir(&blocker).unwrap();
    site.edit("web.yaml", "192.0.2.80", "192.0.2.81");
    bindy.await_said("nothing new is served before that works");
    bindy.expect("x.apps.example.com", "A", &["60 192.0.2.80"]);
    assert_eq!(bindy.serial(), 2_026_112_100);
    fs::remove_dir(&blocker).unwrap();
    bindy.await_answer("x.apps.example.com", "A", &["60 192.0.2.81"]);
    assert_eq!(bindy.serial(), 2_026_112_101);
}

#[test]
fn a_folder_that_goes_away_and_returns() {
    let site = Site::quickstart();
    let bindy = site.serve();
    let away = site.manifests.path().with_extension("away");
    fs::rename(site.manifests.path(), &away).unwrap();
    bindy.await_said("what was served stays served");
    bindy.expect("mail.example.com", "A", &["3600 192.0.2.25"]);
    fs::rename(&away, site.manifests.path()).unwrap();
    bindy.await_said("That works again.");
    site.edit("mail.yaml", "192.0.2.25", "192.0.2.26");
    bindy.await_answer("mail.example.com", "A", &["3600 192.0.2.26"]);
}

#[test]
fn one_server_serves_its_own_zones_to_whom_it_allows() {
    let site = Site::quickstart();
    let cluster = |replicas: u8, allowed: &str| {
        format!(
            "apiVersion: bindy.firestoned.io/v1beta1\nkind: Bind9Cluster\nmetadata: {{name: ns, namespace: dns}}\n\
             spec: {{primary: {{replicas: {replicas}}}, global: {{allowQuery: ['{allowed}']}}}}\n"
        )
    };
    fs::write(site.path("cluster.yaml"), cluster(1, "127.0.0.1")).unwrap();
    let zone = site.read("zone.yaml");
    let other =
        zone.replace("name: example-com", "name: other").replace("zoneName: example.com", "zoneName: example.org");
    fs::write(site.path("other.yaml"), other).unwrap();
    site.edit("zone.yaml", "spec:\n", "spec:\n  clusterRef: ns\n");

    let bindy = site.serve_with(&["--instance", "dns/ns-primary-0"]);
    assert_eq!(bindy.dig("www.example.com", "A", "+notcp").status, "NOERROR");
    assert_eq!(bindy.dig("example.org", "SOA", "+notcp").status, "REFUSED", "it selects no server");
    let told = bindy.log();
    assert!(told.contains("1 zone for other servers, and not served here"), "{told}");
    assert!(!told.lines().any(|line| line.starts_with("example.org.")), "{told}");
    fs::write(site.path("cluster.yaml"), cluster(1, "192.0.2.1")).unwrap();
    bindy.await_status("www.example.com", "REFUSED");
    fs::write(site.path("cluster.yaml"), cluster(1, "any")).unwrap();
    bindy.await_status("www.example.com", "NOERROR");
    fs::write(site.path("cluster.yaml"), cluster(0, "any")).unwrap();
    bindy.await_said("no manifest declares the server dns/ns-primary-0");
    bindy.await_status("www.example.com", "REFUSED");
}

#[test]
fn one_server_answers_where_it_listens_and_within_its_rate_limit() {
    let site = Site::quickstart();
    let cluster = |global: &str| {
        format!(
            "apiVersion: bindy.firestoned.io/v1beta1\nkind: Bind9Cluster\nmetadata: {{name: ns, namespace: dns}}\n\
             spec: {{primary: {{replicas: 1}}, global: {{{global}}}}}\n"
        )
    };
    site.edit("zone.yaml", "spec:\n", "spec:\n  clusterRef: ns\n");
    fs::write(site.path("cluster.yaml"), cluster("listenOn: ['!127.0.0.1', any]")).unwrap();
    let bindy = site.serve_with(&["--instance", "dns/ns-primary-0"]);
    assert_eq!(bindy.dig("www.example.com", "A", "+notcp").status, "REFUSED");
    fs::write(
        site.path("cluster.yaml"),
        cluster("listenOn: [any], listenOnV6: [none], rateLimit: {responsesPerSecond: 1}"),
    )
    .unwrap();
    // Responses over TCP are not limited.
    bindy.until("it answers at all addresses", || bindy.dig("www.example.com", "A", "+tcp").status == "NOERROR");
    assert!(bindy.truncated(100) > 10, "one is answered, and of the others each second is truncated");
    fs::write(site.path("cluster.yaml"), cluster("rateLimit: {responsesPerSecond: 0}")).unwrap();
    bindy.until("there is no limit any more", || bindy.truncated(100) == 0);
}

#[test]
fn a_server_whose_lists_were_never_understood_serves_nobody() {
    let site = Site::quickstart();
    let cluster = |acls: &str| {
        format!(
            "apiVersion: bindy.firestoned.io/v1beta1\nkind: Bind9Cluster\nmetadata: {{name: ns, namespace: dns}}\n\
             spec: {{primary: {{replicas: 1}}, global: {{allowQuery: [trusted]}}, acls: {{{acls}}}}}\n"
        )
    };
    site.edit("zone.yaml", "spec:\n", "spec:\n  clusterRef: ns\n");
    let refused = |instance: &str| {
        let output = site.command(&["--listen", "127.0.0.1:0", "--instance", instance]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };

    let told = refused("dns/ns-primary-0");
    assert!(told.contains("no manifest declares the server dns/ns-primary-0; there is no server at all"), "{told}");
    fs::write(site.path("cluster.yaml"), cluster("")).unwrap();
    let told = refused("dns/ns-primary-0");
    assert!(told.contains("dns/ns-primary-0: allowQuery[0]: ") && told.contains("trusted"), "{told}");
    let told = refused("dns/ns-primary-1");
    assert!(told.contains("there is one server: dns/ns-primary-0"), "{told}");
    fs::write(site.path("cluster.yaml"), cluster("trusted: [192.0.2.300]")).unwrap();
    let told = refused("dns/ns-primary-0");
    assert!(told.contains("cluster.yaml:4:") && told.contains("no manifest declares"), "{told}");

    let orphan = "apiVersion: bindy.firestoned.io/v1beta1\nkind: Bind9Instance\n\
                  metadata: {name: alone, namespace: dns}\nspec: {clusterRef: nope, role: primary}\n";
    fs::write(site.path("cluster.yaml"), orphan).unwrap();
    let told = refused("dns/alone");
    assert!(told.contains("dns/alone: clusterRef: there is no Bind9Cluster dns/nope"), "{told}");

    // Once a configuration was understood, it applies until the next one that is understood.
    fs::write(site.path("cluster.yaml"), cluster("trusted: [192.0.2.1]")).unwrap();
    let bindy = site.serve_with(&["--instance", "dns/ns-primary-0"]);
    assert_eq!(bindy.dig("www.example.com", "A", "+notcp").status, "REFUSED");
    fs::write(site.path("cluster.yaml"), cluster("")).unwrap();
    bindy.await_said("dns/ns-primary-0: allowQuery[0]: ");
    assert_eq!(bindy.dig("www.example.com", "A", "+notcp").status, "REFUSED");
    fs::write(site.path("cluster.yaml"), cluster("trusted: [127.0.0.1]")).unwrap();
    bindy.await_status("www.example.com", "NOERROR");
}

#[test]
fn a_mounted_config_map_is_followed() {
    // The kubelet swaps one link, and the files are links through it.
    let site = Site::empty();
    let publish = |version: &str, address: &str| {
        let folder = site.path(version);
        fs::create_dir(&folder).unwrap();
        fs::copy(examples().join("quickstart/zone.yaml"), folder.join("zone.yaml")).unwrap();
        fs::write(folder.join("host.yaml"), record("host", &format!("name: host, ipv4Addresses: [{address}]")))
            .unwrap();
        symlink(version, site.path("..data_tmp")).unwrap();
        fs::rename(site.path("..data_tmp"), site.path("..data")).unwrap();
    };
    publish("..2026_11_21_1", "192.0.2.1");
    for file in ["zone.yaml", "host.yaml"] {
        symlink(Path::new("..data").join(file), site.path(file)).unwrap();
    }
    let bindy = site.serve();
    bindy.expect("host.example.com", "A", &["3600 192.0.2.1"]);
    publish("..2026_11_21_2", "192.0.2.2");
    bindy.await_answer("host.example.com", "A", &["3600 192.0.2.2"]);
}

fn record(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: bindy.firestoned.io/v1beta1\nkind: ARecord\n\
         metadata: {{name: {name}, namespace: dns, labels: {{zone: example.com}}}}\nspec: {{{spec}}}\n"
    )
}
