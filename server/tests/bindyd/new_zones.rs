//! Zones that are added and removed while the server runs, with the real rndc, compared with `named` and taking its
//! place.

use std::{collections::BTreeSet, fs};

use bindy_tests::ports::free_port;

use super::{
    ZONE,
    control::Controlled,
    server::{Prepared, dig},
    transfers::{KEY, SIGN},
    updates::nsupdate_in,
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");
const ALLOWED: &str = "allow-new-zones yes;";
const OURS: &str = "zone \"conf.test\" { type primary; file \"example.zone\"; };\nacl inside { 127.0.0.1; };";
const NEW: &str = "{ type primary; file \"example.zone\"; };";

/// Sends the same commands to both servers and compares the replies.
fn compare(ours: &Controlled, named: &Controlled, commands: &[&[&str]]) {
    for command in commands {
        let plain = |(success, text): (bool, String)| {
            let lines = text.lines().map(|line| line.split_once("last loaded: ").map_or(line, |(before, _)| before));
            (success, lines.collect::<Vec<_>>().join("\n"))
        };
        assert_eq!(plain(ours.told(command)), plain(named.told(command)), "{command:?}");
    }
}

/// They were added, and from then on no reload and no start worked.
#[test]
fn a_zone_that_would_write_to_the_file_of_another_is_not_added() {
    let mut server = Controlled::start(BINDYD, "port 0 { 127.0.0.1; }", ALLOWED, OURS);
    let secondary = |file: &str| format!("{{ type secondary; file \"{file}\"; primaries {{ 192.0.2.1; }}; }};");
    let updated = "{ type primary; file \"example.zone\"; allow-update { 127.0.0.1; }; };";
    assert!(server.told(&["addzone", "a.test", &secondary("a.copy")]).0);
    assert!(server.told(&["addzone", "b.test", &secondary("b.copy")]).0);
    for (command, zone, statement, holder) in [
        ("addzone", "c.test", &*secondary("a.copy"), "a.test"),
        ("modzone", "b.test", &secondary("a.copy"), "a.test"),
        ("addzone", "c.test", &secondary("example.zone"), "conf.test"),
        ("addzone", "c.test", updated, "conf.test"),
    ] {
        let (done, said) = server.told(&[command, zone, statement]);
        assert!(!done && said.contains(&format!("zone '{holder}' has the file")), "{command} {zone}: {said}");
    }
    assert!(server.told(&["addzone", "c.test", NEW]).0, "two zones may be read from one file");
    assert!(server.told(&["reload"]).0);
    server.replace("KILL", BINDYD);
    assert!(server.told(&["showzone", "b.test"]).1.contains("b.copy"));
}

#[test]
fn zones_come_and_go_with_the_words_of_named() {
    let start = |program: &str| {
        let listen = if program == BINDYD { "port 0 { 127.0.0.1; }" } else { "{ none; }" };
        let server = Controlled::start(program, listen, ALLOWED, OURS);
        server.server.write("other.zone", ZONE);
        server
    };
    let (ours, named) = (start(BINDYD), start("named"));
    let full = "{ type master; file \"example.zone\"; allow-query { inside; 192.0.2/24; }; notify no; \
                also-notify { 192.0.2.1 port 5353; }; check-names ignore; };";
    compare(
        &ours,
        &named,
        &[
            &["addzone", "new.test", NEW],
            &["addzone", "new.test", NEW],
            &["addzone", "NEW.test.", NEW],
            &["addzone", "conf.test", NEW],
            &["addzone", "sub.new.test", "in", NEW],
            &["addzone", "Full.Test", "IN", "_default", full],
            &["addzone", "gone.test", "{ type primary; file \"gone.zone\"; };"],
            &["addzone", "gone.test", "in", "inside", NEW],
            &["addzone", "hint.test", "{ type hint; file \"example.zone\"; };"],
            &["addzone", "forward.test", "{ type forward; forwarders { 192.0.2.1; }; };"],
            &["addzone", "shared.test", "{ in-view \"inside\"; };"],
            &["addzone", "gone.test"],
            &["addzone"],
            &["modzone"],
            &["showzone", "new.test"],
            &["showzone", "FULL.test"],
            &["showzone", "full.test", "in", "_default"],
            &["showzone", "conf.test"],
            &["showzone", "gone.test"],
            &["showzone"],
            &["zonestatus", "new.test"],
            &["zonestatus", "conf.test"],
            &["modzone", "new.test", "{ type primary; file \"example.zone\"; notify no; };"],
            &["modzone", "conf.test", "{ type primary; file \"example.zone\"; notify no; };"],
            &["modzone", "gone.test", NEW],
            &["modzone", "gone.test", "in", "inside", NEW],
            &["showzone", "new.test"],
            // It was shown as named.conf has it.
            &["showzone", "conf.test"],
            &["modzone", "conf.test", "in", "_default", NEW],
            &["showzone", "conf.test"],
            &["delzone"],
            &["delzone", "gone.test"],
            &["delzone", "sub.new.test"],
            &["showzone", "sub.new.test"],
            &[
                "addzone",
                "copy.test",
                "{ type secondary; file \"example.zone.copy\"; primaries { 127.0.0.1 port 1; }; };",
            ],
            &["delzone", "copy.test"],
            &["delzone", "new.test"],
            &["showzone", "new.test"],
            &["addzone", "clean.test", "{ type primary; file \"other.zone\"; };"],
            &["delzone", "-clean", "clean.test"],
            &["showzone", "clean.test"],
            &["delzone", "conf.test"],
            &["showzone", "conf.test"],
            &["delzone", "full.test"],
            &["reconfig"],
            &["showzone", "conf.test"],
            &["addzone", "new.test", NEW],
            &["delzone", "-clean", "conf.test"],
            &["showzone", "new.test"],
        ],
    );
    for server in [&ours, &named] {
        let there = |name| server.server.folder().join(name).exists();
        assert!(there("example.zone") && !there("other.zone"), "what was cleaned away was an added zone's");
    }
}

#[test]
fn where_zones_may_not_be_added_named_conf_stays_alone() {
    let (ours, named) = (
        Controlled::start(BINDYD, "port 0 { 127.0.0.1; }", "", OURS),
        Controlled::start("named", "{ none; }", "", OURS),
    );
    compare(
        &ours,
        &named,
        &[
            &["addzone", "new.test", NEW],
            &["modzone", "conf.test", NEW],
            &["showzone", "conf.test"],
            &["delzone", "conf.test"],
            &["showzone", "conf.test"],
        ],
    );
}

/// A deliberate difference from named: the reply gives the reason, and what is served stays served.
#[test]
fn a_zone_that_cannot_be_is_refused_with_the_reason() {
    let ours = Controlled::start(BINDYD, "port 0 { 127.0.0.1; }", ALLOWED, OURS);
    ours.server.write("broken.zone", &format!("{ZONE}x A 192.0.2.256\n"));
    assert!(ours.told(&["addzone", "new.test", NEW]).0);
    for (command, why) in [
        (["addzone", "bad.test", "{ type primray; file \"f\"; };"], "did you mean `primary`?"),
        (["addzone", "bad.test", "{ type primary; file \"f\" };"], "a `;` is missing before the `}`"),
        (["addzone", "bad.test", "{ file \"f\"; };"], "the zone has no `type`"),
        (["addzone", "bad.test", "{ type primary; };"], "a primary zone needs `file`"),
        (
            ["addzone", "bad.test", "{ type primary; file \"f\"; allow-query { nobody; }; };"],
            "there is no acl `nobody`",
        ),
        (
            ["addzone", "bad.test", "{ type primary; file \"f\"; dnssec-policy default; inline-signing yes; };"],
            "cannot be obeyed: signed zones are not supported yet",
        ),
        (["addzone", "bad..test", NEW], "is no domain name"),
        (["addzone", "bad.test", "{ type primary; file \"broken.zone\"; };"], "dns_zone_loadnew failed: "),
        (
            ["addzone", "a.test", "{ type primary; file \"f\"; }; zone b.test { type primary; file \"f\"; };"],
            "more than one",
        ),
        (
            ["modzone", "new.test", "{ type primary; file \"gone.zone\"; };"],
            "file not found\nThe zone is served as before",
        ),
        (["modzone", "new.test", "{ type primary; file \"broken.zone\"; };"], "192.0.2.256"),
    ] {
        let (success, text) = ours.told(&command);
        assert!(!success && text.contains(why), "{command:?}: {text}");
        assert!(!text.contains("rndc:1:"), "the statement is no file: {text}");
    }
    let shown = "zone \"new.test\" { type primary; file \"example.zone\"; };\n";
    assert_eq!(ours.told(&["showzone", "new.test"]), (true, shown.into()));
    assert_eq!(ours.told(&["reconfig"]), (true, String::new()), "nothing of it was kept");
    assert_eq!(ours.told(&["showzone", "new.test"]), (true, shown.into()));
}

/// Updates were refused from then on, as the owner of the zone had let go.
#[test]
fn a_zone_that_could_not_be_changed_is_still_updated() {
    let port = free_port();
    let policy = "allow-update { key k; };";
    let conf = format!("{KEY}zone \"dynamic.test\" {{ type primary; file \"dynamic.zone\"; {policy} }};");
    let listen = format!("port {port} {{ 127.0.0.1; }}");
    let mut server = Controlled::start_with(BINDYD, &listen, ALLOWED, &conf, &[("dynamic.zone", ZONE)]);
    server.server.write("broken.zone", &format!("{ZONE}x A 192.0.2.256\n"));
    let update = |name: &str| {
        let added = format!("update add {name}.dynamic.test 60 A 192.0.2.7");
        assert_eq!(nsupdate_in("dynamic.test", port, &SIGN, &added), "", "{name}");
    };
    update("before");
    for file in ["gone.zone", "broken.zone"] {
        let statement = format!("{{ type primary; file \"{file}\"; {policy} }};");
        assert!(!server.told(&["modzone", "dynamic.test", &statement]).0);
        update(&format!("after-{}", file.replace('.', "-")));
    }
    let written = fs::read_to_string(server.server.folder().join("named.conf")).unwrap();
    server.server.write("named.conf", &written.replace("dynamic.zone", "broken.zone"));
    server.told(&["reconfig"]);
    server.server.says("what was served stays served");
    update("after-reconfig");
    server.server.write("named.conf", &written);
    assert!(server.told(&["reconfig"]).0);
    update("at-last");
    server.replace("KILL", BINDYD);
    for name in ["before", "after-gone-zone", "after-broken-zone", "after-reconfig", "at-last"] {
        assert_eq!(dig("127.0.0.1", port, &["+short", &format!("{name}.dynamic.test")]), "192.0.2.7\n", "{name}");
    }
}

#[test]
fn what_was_added_survives_a_kill_and_the_other_server() {
    let port = free_port();
    let mut server = Controlled::start(BINDYD, &format!("port {port} {{ 127.0.0.1; }}"), ALLOWED, OURS);
    let there = |server: &Controlled, name: &str| server.server.folder().join(name).exists();
    let mut expected = BTreeSet::new();
    let check = |server: &Controlled, expected: &BTreeSet<String>, when: &str| {
        for name in expected {
            let shown = format!("zone \"{name}\" {{ type primary; file \"example.zone\"; }};\n");
            assert_eq!(server.told(&["showzone", name]), (true, shown), "{when}");
            assert_eq!(dig("127.0.0.1", port, &["+short", &format!("www.{name}")]), "192.0.2.1\n", "{when}");
        }
        for round in 0..4 {
            let gone = format!("z1.r{round}.test");
            assert!(expected.contains(&gone) || !server.told(&["showzone", &gone]).0, "{when}: {gone}");
        }
    };
    for round in 0..4 {
        let ours = round % 2 == 0;
        for n in 0..3 {
            let name = format!("z{n}.r{round}.test");
            assert_eq!(server.told(&["addzone", &name, NEW]), (true, String::new()));
            expected.insert(name);
            if ours {
                server.replace("KILL", BINDYD);
                check(&server, &expected, "killed as soon as it had answered");
            }
        }
        let gone = format!("z1.r{round}.test");
        assert!(server.told(&["modzone", &gone, "{ type primary; file \"example.zone\"; notify no; };"]).0);
        assert!(server.told(&["delzone", &gone]).0);
        expected.remove(&gone);
        if ours {
            server.replace("KILL", BINDYD);
            check(&server, &expected, "killed as soon as it had answered");
            assert!(there(&server, "_default.nzf") && !there(&server, "_default.nzd"));
        }
        server.replace("TERM", if ours { "named" } else { BINDYD });
        check(&server, &expected, if ours { "from ours to named" } else { "from named to ours" });
    }
    server.replace("TERM", BINDYD);
    check(&server, &expected, "in the end");
}

#[test]
fn each_view_has_a_file_of_the_name_that_named_gives_it() {
    let view =
        |name: &str| format!("view \"{name}\" {{ zone conf.test {{ type primary; file \"example.zone\"; }}; }};\n");
    let views = ["internal", "Outer", "no-file"].map(view).concat();
    let views = views.replace("view \"no-file\" {", "view \"no-file\" { allow-new-zones no;");
    let files = |program: &str| {
        let listen = if program == BINDYD { "port 0 { 127.0.0.1; }" } else { "{ none; }" };
        let (listen, options) = (listen, "allow-new-zones yes; new-zones-directory \"added\";");
        let server = Controlled::start_with(program, listen, options, &views, &[("added/.folder", "")]);
        for name in ["internal", "Outer", "no-file"] {
            assert_eq!(server.told(&["addzone", "new.test", "in", name, NEW]).0, name != "no-file");
        }
        let folder = server.server.folder().join("added");
        let stems = fs::read_dir(folder).expect("it is there").flatten().map(|file| file.path());
        stems
            .filter(|path| path.extension().is_some())
            .filter_map(|path| Some(path.file_stem()?.to_owned()))
            .collect::<BTreeSet<_>>()
    };
    let ours = files(BINDYD);
    assert_eq!(ours, files("named"));
    assert_eq!(ours.len(), 2);
}

/// A server that finds this file of added zones.
fn with_file(name: &str, text: &str) -> Prepared {
    Prepared::new(ALLOWED, OURS, &[("example.zone", ZONE), (name, text)])
}

#[test]
fn a_file_beside_named_s_database_is_kept_under_another_name() {
    let old = format!("zone \"old.test\" {NEW}\n");
    let mut server = Controlled::start("named", "{ none; }", ALLOWED, OURS);
    assert!(server.told(&["addzone", "new.test", NEW]).0);
    server.server.write("_default.nzf", &old);
    server.replace("TERM", BINDYD);
    assert!(server.told(&["showzone", "new.test"]).0 && !server.told(&["showzone", "old.test"]).0);
    let kept = fs::read_to_string(server.server.folder().join("_default.nzf~")).expect("it was kept");
    assert_eq!(kept, old);
    server.server.says("_default.nzf is now ");
    server.server.says("took over the zones of ");
}

#[test]
fn a_line_that_was_never_finished_was_never_acknowledged() {
    let line = format!("zone \"a.test\" {NEW}\n");
    let server = with_file("_default.nzf", &format!("{line}zone \"b.test\" {{ type pri")).run();
    assert_eq!(server.dig(&["+short", "www.a.test"]), "192.0.2.1\n");
    assert!(server.dig(&["www.b.test"]).contains("status: REFUSED"));
    server.has_said("_default.nzf:2:1: the last line is not complete, and is left out");
    let whole = with_file("_default.nzf", line.trim_end()).run();
    assert_eq!(whole.dig(&["+short", "www.a.test"]), "192.0.2.1\n", "a newline is not missed");
}

#[test]
fn a_database_that_cannot_be_read_is_an_error_with_the_command_to_run() {
    let (status, said) = with_file("_default.nzd", "no database").refuses();
    assert_eq!(status, Some(1));
    assert!(
        said.contains("cannot read the zones that were added: named-nzd2nzf: ") && said.contains("_default.nzd"),
        "{said}"
    );
    let (status, said) = with_file("_default.nzd", "").with_variable("PATH", "/nowhere").refuses();
    assert_eq!(status, Some(1));
    let command = said.contains("run `named-nzd2nzf ") && said.contains("_default.nzf && mv ");
    assert!(command && said.contains("cannot run named-nzd2nzf"), "{said}");
}

/// Each of these lines stopped the start, and so all zones.
const BAD: &[(&str, &str)] = &[
    ("zone \"conf.test\" { type primary; file \"example.zone\"; };", "the zone conf.test. was added, and is in the"),
    ("zone \"good0.test\" { type primary; file \"other.zone\"; };", "the zone good0.test. is there already"),
    ("zone \"kind.test\" { type primray; file \"example.zone\"; };", "did you mean `primary`?"),
    ("zone \"bare.test\" { type primary; };", "a primary zone needs `file`"),
    (
        "zone \"acl.test\" { type primary; file \"example.zone\"; allow-query { nobody; }; };",
        "there is no acl `nobody`",
    ),
    ("zone \"open.test\" { type primary; file \"example.zone\";", "this `{` is never closed"),
    ("zone \"quote.test\" { type primary; file \"example.zone; };", "this quote is never closed"),
    (
        "zone \"signed.test\" { type primary; file \"example.zone\"; dnssec-policy default; inline-signing yes; };",
        "signed zones are not supported yet",
    ),
    ("nonsense", "unknown statement `nonsense`"),
];

/// The text of a file of added zones: a sound line, then a bad one, and so on.
fn with_bad_lines() -> String {
    let line = |(n, (bad, _)): (usize, &(&str, &str))| format!("zone \"good{n}.test\" {NEW}\n{bad}\n");
    BAD.iter().enumerate().map(line).collect::<String>() + "zone \"last.test\" " + NEW + "\n"
}

#[test]
fn a_bad_line_among_the_added_zones_is_told_and_the_others_are_served() {
    let port = free_port();
    let listen = format!("port {port} {{ 127.0.0.1; }}");
    let mut server = Controlled::start_with(BINDYD, &listen, ALLOWED, OURS, &[("_default.nzf", &with_bad_lines())]);
    let are_served = |when: &str| {
        for name in (0..BAD.len()).map(|n| format!("good{n}.test")).chain(["last.test".into()]) {
            assert_eq!(dig("127.0.0.1", port, &["+short", &format!("www.{name}")]), "192.0.2.1\n", "{when}: {name}");
        }
    };
    are_served("first");
    for (n, (bad, why)) in BAD.iter().enumerate() {
        let log = server.server.log();
        // What is no statement of a zone belongs to the line before.
        let place = format!("_default.nzf:{}:", 2 * n + 2);
        let is_told =
            |line: &str| line.contains(&place) && line.contains(why) && line.contains("this added zone is left out");
        assert!(log.lines().any(is_told), "{bad}: {log}");
    }
    assert!(server.told(&["addzone", "new.test", NEW]).0);
    assert!(server.told(&["delzone", "new.test"]).0);
    let written = fs::read_to_string(server.server.folder().join("_default.nzf")).unwrap();
    for (bad, _) in BAD {
        let name = bad.split('"').nth(1).unwrap_or(bad);
        assert!(written.contains(name), "its line stays for whoever mends it: {bad}\n{written}");
    }
    assert!(server.told(&["reconfig"]).0);
    server.replace("TERM", BINDYD);
    are_served("after the file was written anew");

    // What is served is not lost to a mistake.
    let written = fs::read_to_string(server.server.folder().join("_default.nzf")).unwrap();
    server.server.write("_default.nzf", &written.replace("zone \"last.test\" {", "zone \"last.test\" { oops;"));
    assert!(!server.told(&["reconfig"]).0);
    server.server.says("reloading configuration failed: it would lose added zones; all stays as it was");
    are_served("after a reload that failed");
}

/// named serves both, and they overwrite each other's copy.
#[test]
fn two_added_zones_with_one_file_are_both_served() {
    let both = "zone \"a.test\" { type secondary; primaries { 192.0.2.1; }; file \"copy\"; };\n\
                zone \"b.test\" { type secondary; primaries { 192.0.2.1; }; file \"copy\"; };\n";
    let server = with_file("_default.nzf", &format!("{both}zone \"good.test\" {NEW}\n")).run();
    assert_eq!(server.dig(&["+short", "www.good.test"]), "192.0.2.1\n");
    for name in ["a.test", "b.test"] {
        assert!(server.dig(&[name, "soa"]).contains("status: SERVFAIL"), "{name} is there, and has no data yet");
    }
    server.has_said("until it is loaded again, the copy is only in memory");
}
