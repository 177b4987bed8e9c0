//! `zonefmt conf` as its users see it.

use std::{fs, process::Command};

fn run(folder: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_zonefmt")).args(arguments).current_dir(folder).output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn conf_checks_and_prints_with_the_files_that_are_included() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("named.conf"), "include \"key\"; OPTIONS { glue-cache no; port 053; };\n").unwrap();
    fs::write(folder.join("key"), "key k { secret abcd; algorithm hmac-sha256; };").unwrap();
    let (code, output, errors) = run(folder, &["conf", "check", "--brief", "named.conf"]);
    assert_eq!((code, output.as_str()), (Some(0), ""));
    assert_eq!(errors, "named.conf:1:26: warning: `glue-cache` is deprecated\n");
    assert_eq!(run(folder, &["conf", "check", "-q", "named.conf"]), (Some(0), String::new(), String::new()));
    let printed = "options {\n\tport 43;\n\tglue-cache no;\n};\nkey \"k\" {\n\talgorithm \"hmac-sha256\";\n\tsecret \"abcd\";\n};\n";
    assert_eq!(run(folder, &["conf", "print", "named.conf"]).1, printed);
    assert_eq!(run(folder, &["conf", "print", "-x", "named.conf"]).1, printed.replace("abcd", "????"));

    fs::write(folder.join("away"), "options { directory \"nowhere\"; };").unwrap();
    let (code, _, errors) = run(folder, &["conf", "check", "--brief", "away"]);
    assert_eq!(
        (code, errors.starts_with("away:1:21: error: there is no directory `nowhere`")),
        (Some(1), true),
        "{errors}"
    );

    fs::write(folder.join("key"), "key k { secret abcd; };").unwrap();
    let (code, output, errors) = run(folder, &["conf", "print", "--brief", "named.conf"]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert_eq!(errors, "key:1:1: error: a key needs both `algorithm` and `secret`\n");
}
