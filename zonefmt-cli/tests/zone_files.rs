//! The commands for zone files as their users see them.

use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

const TOP: &str = "$TTL 300\n@ SOA ns hm 7 2 3 4 5\n@ NS ns\nns A 192.0.2.53\n";

/// Runs zonefmt in `folder`, and returns exit code, standard output and standard error.
fn run(folder: &Path, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_zonefmt"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads no input may have ended by now.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_finds_the_zones_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("db.example.com"), TOP).unwrap();
    fs::write(folder.join("plain"), TOP).unwrap();
    fs::write(folder.join("told"), format!("$ORIGIN example.org.\n{TOP}")).unwrap();
    let ok = |name: &str, hint: &str| (Some(0), format!("zone {name}{hint}: 3 records, serial 7, OK\n"), String::new());
    let check = |arguments: &[&str]| run(folder, &[&["check"], arguments].concat(), "");
    assert_eq!(check(&["db.example.com"]), ok("example.com.", " (its name is from the file's name)"));
    assert_eq!(check(&["told"]), ok("example.org.", " (its name is from the file's text)"));
    assert_eq!(check(&["--origin", "a.b", "plain"]), ok("a.b.", ""));
    assert_eq!(check(&["example.net", "plain"]), ok("example.net.", ""));
    assert_eq!(run(folder, &["check", "-q", "-o", "x", "-"], TOP), (Some(0), String::new(), String::new()));
    let (code, _, errors) = check(&["plain"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("the zone's name is not known") && errors.contains("--origin"), "{errors}");
    assert!(check(&["told", "gone"]).2.contains("error: cannot read the file"));
}

#[test]
fn check_shows_every_error() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{TOP}a A x\nb MX mail\na_b A 192.0.2.1\n");
    let check = |arguments: &[&str]| run(folder.path(), &[&["check", "-o", "e.test", "-"], arguments].concat(), &text);
    let (code, output, errors) = check(&[]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(errors.contains(" --> <stdin>:5:5\n  |\n5 | a A x\n  |     ^\n"), "{errors}");
    assert!(errors.ends_with("zone e.test.: 2 errors, 1 warning\n"), "{errors}");
    let (_, _, brief) = check(&["--brief"]);
    assert_eq!(brief.lines().count(), 4, "{brief}");
    assert!(brief.starts_with("<stdin>:5:5: error: A address: `x` is no IPv4 address ("), "{brief}");
    assert_eq!(check(&["--brief", "-q"]).2.lines().count(), 3);
    assert_eq!(check(&["--brief", "-k", "ignore"]).2.lines().count(), 3);
    assert!(check(&["-k", "fail"]).2.contains("3 errors"));
}

#[test]
fn fmt_rewrites_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("z");
    fs::write(&file, "a    txt   x ; y\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("z", folder.join("link")).unwrap();
    let fmt = |arguments: &[&str], input: &str| run(folder, &[&["fmt"], arguments].concat(), input);
    let (code, _, errors) = fmt(&["--check", "z"], "");
    assert_eq!((code, errors.as_str()), (Some(1), "z is not tidy: run `zonefmt fmt` on it\n"));
    assert_eq!(fmt(&["link"], ""), (Some(0), String::new(), String::new()));
    assert_eq!(fs::read_to_string(&file).unwrap(), "a TXT x ; y\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(folder.join("link")).unwrap().is_symlink());
    assert_eq!(fs::read_dir(folder).unwrap().count(), 2, "no temporary file is left");
    assert_eq!(fmt(&["--check", "z"], "").0, Some(0));
    assert_eq!(fmt(&["-"], "b  txt  z\n").1, "b TXT z\n");
}

#[test]
fn fmt_leaves_a_file_with_errors_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("z");
    fs::write(&file, "a    txt   x\nb   A  y\n").unwrap();
    let (code, _, errors) = run(folder.path(), &["fmt", "--brief", "z"], "");
    assert_eq!(code, Some(1));
    assert!(errors.starts_with("z:2:8: error: "), "{errors}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "a    txt   x\nb   A  y\n");
}

#[test]
fn diff_lists_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let top = format!("$ORIGIN example.org.\n{TOP}");
    fs::write(folder.join("old"), format!("{top}www A 192.0.2.1\nwww A 192.0.2.2\nx TXT y\n")).unwrap();
    fs::write(folder.join("new"), format!("{top}x 60 TXT y\nWWW A 192.0.2.1\n")).unwrap();
    fs::write(folder.join("later"), top.replace("hm 7", "hm 8")).unwrap();
    fs::write(folder.join("plain"), TOP).unwrap();
    fs::write(folder.join("bad"), format!("{top}x A y\n")).unwrap();
    let diff = |arguments: &[&str]| run(folder, &[&["diff"], arguments].concat(), &top);
    let expected = "\
-www.example.org.\t\t\t      300 IN A\t\t192.0.2.2
-x.example.org.\t\t\t\t      300 IN TXT\t\"y\"
+x.example.org.\t\t\t\t      60 IN TXT\t\t\"y\"
; zone example.org.: 2 RRsets differ, 2 records removed, 1 added
";
    assert_eq!(diff(&["old", "new"]), (Some(2), expected.into(), String::new()));
    assert_eq!(diff(&["-q", "old", "new"]), (Some(2), String::new(), String::new()));
    let same = (Some(0), "; zone example.org.: no difference\n".to_owned(), String::new());
    assert_eq!(diff(&["old", "old"]), same);
    assert_eq!(diff(&["--ignore-serial", "-", "later"]), same);
    assert_eq!(diff(&["-", "later"]).0, Some(2));
    assert_eq!(diff(&["example.org", "plain", "later"]).0, Some(2));
    assert_eq!(diff(&["-o", "example.org", "plain", "-"]), same);

    let failure = |arguments: &[&str], says: &str| {
        let (code, output, errors) = diff(arguments);
        assert_eq!((code, output.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(errors.contains(says), "{errors}");
    };
    failure(&["old", "bad"], "is no IPv4 address");
    failure(&["old", "gone"], "cannot read the file");
    failure(&["old", "plain"], "the zone's name is not known");
    failure(&["-", "-"], "standard input");
    failure(&["old", "old", "new"], "`old` is no zone's name");
    failure(&["wrong.test", "old", "new"], "old: there is no record of the zone wrong.test.: is its name right?");
    failure(&["old"], "Usage: zonefmt diff [OPTIONS] [ORIGIN] OLD NEW");
    fs::write(folder.join("other"), TOP.replace('@', "example.net.")).unwrap();
    failure(&["old", "other"], "OLD is the zone example.org. and NEW is example.net.");
}

#[test]
fn a_full_disk_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("z"), format!("$ORIGIN example.org.\n{TOP}")).unwrap();
    for arguments in [&["diff", "z", "z"][..], &["convert", "--to", "text", "z"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_zonefmt"))
            .args(arguments)
            .current_dir(folder.path())
            .stdout(fs::File::options().write(true).open("/dev/full").unwrap())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("cannot write to standard output: No space left"), "{errors}");
    }
}
