//! Compares verdicts with named-checkconf's, and shows how findings read.

use super::*;
use std::{process::Command, sync::atomic::AtomicUsize};

/// The verdict of named-checkconf on a text; `Ok` if it is accepted.
pub(super) fn named_checkconf(text: &str) -> Result<(), String> {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let number = FILES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("zonefmt-{}-{number}.conf", std::process::id()));
    std::fs::write(&path, text).expect("the temporary directory can be written");
    let output = Command::new("named-checkconf").arg(&path).output().expect("named-checkconf: install bind9-utils");
    std::fs::remove_file(&path).expect("the file was written");
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Our verdict on a text.
pub(super) fn ours(text: &str) -> Result<Conf, String> {
    let lines = |findings: Vec<Diagnostic>| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    parse(Source::new("named.conf", text)).map_err(lines)
}

#[test]
fn verdicts_are_those_of_named_checkconf() {
    let corpora = [include_str!("corpus.txt"), include_str!("verdicts.txt")];
    let texts = corpora
        .iter()
        .flat_map(|corpus| corpus.split_once('\n').expect("a line says what it is").1.trim_end().split("\n----\n"));
    let (mut accepted, mut differences) = (0, Vec::new());
    for text in texts {
        let (theirs, ours) = (named_checkconf(text), ours(text).err());
        accepted += usize::from(theirs.is_ok());
        if theirs.is_ok() != ours.is_none() {
            differences.push(format!("{text}\nnamed-checkconf: {theirs:?}\nours: {ours:?}\n"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(accepted > 30, "{accepted}");
}

#[test]
fn findings_name_the_place_and_the_remedy() {
    for (text, finding) in [
        ("optoins { };", "1:1: error: unknown statement `optoins` outside of all blocks (did you mean `options`?)"),
        (
            "zone a {\n  directory \"x\";\n};",
            "2:3: error: `directory` has no meaning in `zone` (it stands in `options`)",
        ),
        ("options { directory /var; };", "1:21: error: a text in quotes is expected, not `/`"),
        ("options { directory var; };", "1:21: error: a text in quotes is expected, not `var` (write `\"var\"`)"),
        ("options { port 53 };", "1:18: error: a `;` is missing before the `}`"),
        ("options { recursion nope; };", "1:21: error: `yes` or `no` is expected, not `nope`"),
        (
            "options { port 53 recursion no; };",
            "1:19: error: `recursion` is too much here (is a `;` missing before it?)",
        ),
        (
            "zone a { type primray; };",
            "1:15: error: `primary`, `master`, `secondary`, `slave`, `mirror`, `stub`, `static-stub`, `forward`, `hint`, \
             `redirect` or `delegation-only` is expected, not `primray` (did you mean `primary`?)",
        ),
        (
            "acl a { 10.0.0.1/8; };",
            "1:9: error: the address has bits set beyond the prefix's length (set them to zero, or make the prefix longer)",
        ),
        ("options {\n", "1:9: error: this `{` is never closed (close it with `};`)"),
    ] {
        let findings = ours(text).expect_err(text);
        assert!(findings.lines().any(|line| line == format!("named.conf:{finding}")), "{findings}");
    }
}

/// The statement is ours: named has no templates.
#[test]
fn templates_hold_statements_of_secondary_zones() {
    let text = "template \"b c\" { type secondary; max-records 5; };\n\
                template a { primaries { 192.0.2.1 key k; }; allow-query { any; }; };\ntemplate empty { };\n\
                key k { algorithm hmac-sha256; secret \"c2VjcmV0\"; };\n";
    let conf = ours(text).unwrap_or_else(|findings| panic!("{findings}"));
    let named = |conf: &Conf| {
        let of = |template: Statement<'_>| template.argument().map(Part::shown);
        conf.statements().all("template").filter_map(of).collect::<Vec<_>>()
    };
    assert_eq!(named(&conf), ["b c", "a", "empty"]);
    let template = conf.statements().all("template").nth(1).expect("there are three").block();
    assert!(template.find("primaries").is_some() && template.find("allow-query").is_some());
    let printed = String::from_utf8(conf.print(Secrets::Show)).expect("it is text");
    let expected = "template \"b c\" {\n\ttype secondary;\n\tmax-records 5;\n};\ntemplate \"a\" {\n\tallow-query {\n\t\t\"any\";\n\t};\n\
                    \tprimaries {\n\t\t192.0.2.1 key \"k\";\n\t};\n};\ntemplate \"empty\" {\n};\n";
    assert!(printed.contains(expected), "{printed}");
    let again = ours(&printed).unwrap_or_else(|findings| panic!("{printed}\n{findings}"));
    assert_eq!(named(&again), named(&conf));
    assert_eq!(again.print(Secrets::Show), printed.as_bytes());
}

/// Their place was said to be `secondary`, which is no block.
#[test]
fn what_a_template_cannot_hold_is_an_error() {
    for (text, finding) in [
        ("template { };", "a text is expected, not a block"),
        ("template a { }; template a { };", "the template `a` is there already"),
        (
            "template a { template b { }; };",
            "`template` has no meaning in a secondary zone (it stands outside of all blocks)",
        ),
        ("options { template a { }; };", "`template` has no meaning in `options`"),
        ("zone z { type primary; file \"f\"; template a; };", "`template` has no meaning in `zone`"),
        ("template a { listen-on { any; }; };", "`listen-on` has no meaning in a secondary zone"),
        ("template a { allow-update { any; }; };", "`allow-update` has no meaning in a secondary zone"),
        ("template a { type primary; };", "a template is for the members of catalogs, which are secondary zones"),
        ("template a { file \"f\"; };", "`file` would be the same for all zones"),
        ("template a { journal \"f\"; };", "`journal` would be the same for all zones"),
        ("template a { primaries { nosuch; }; };", "there is no list of primaries `nosuch`"),
    ] {
        let findings = ours(text).expect_err(text);
        assert!(findings.contains(finding), "{text}: {findings}");
    }
}

#[test]
fn included_files_stand_in_the_place_of_the_statement() {
    let folder = std::env::temp_dir().join(format!("zonefmt-include-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("zones.d")).expect("the temporary directory can be written");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("the folder is there");
    write(
        "named.conf",
        &format!("options {{ directory {folder:?}; include \"o\"; }};\ninclude \"zones.d/*.conf\"; include \"self\";"),
    );
    write("o", "port 5353;");
    write("zones.d/a.conf", "zone a { type primary; file \"f\"; };");
    write("zones.d/b.conf", "zone b { type primary; file \"f\"; };");
    write("self", "acl x { any; };");
    let conf = load(&folder.join("named.conf")).expect("it is right");
    let names: Vec<_> = conf.statements().map(Statement::name).collect();
    assert_eq!(names, ["options", "zone", "zone", "acl"]);
    let options = conf.statements().find("options").expect("it is there").block();
    assert_eq!(options.find("port").and_then(Statement::argument).map(Part::shown).as_deref(), Some("5353"));
    assert_eq!(conf.files().count(), 5);

    write("self", "include \"self\";");
    let findings = load(&folder.join("named.conf")).expect_err("a file that includes itself");
    assert!(findings[0].to_string().contains("more than 16 deep"), "{}", findings[0]);
    write("self", "include \"nothing\";");
    let findings = load(&folder.join("named.conf")).expect_err("a file that is not there");
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].to_string().contains("No such file"), "{}", findings[0]);
    write("self", "acl a { include \"self\"; };");
    let findings = load(&folder.join("named.conf")).expect_err("a list that includes");
    assert!(findings.iter().any(|finding| finding.message.contains("a list cannot include")), "{findings:?}");
    std::fs::remove_dir_all(&folder).expect("it was made here");
}

#[test]
fn after_many_findings_the_rest_is_not_read() {
    let findings = ours(&format!("{}a b {{ c d", "; ".repeat(1000))).expect_err("it is wrong");
    assert_eq!(findings.lines().count(), 100);
    let findings = ours(&format!("a b {} c", "} ".repeat(1000))).expect_err("it is wrong");
    assert_eq!(findings.lines().count(), 100);
}

#[test]
fn an_error_behind_many_warnings_is_found() {
    let warnings = "view v { match-clients { any; }; glue-cache no; };\n".repeat(300);
    let findings = ours(&format!("{warnings} nonsense;")).expect_err("it is wrong");
    assert!(findings.contains("unknown statement `nonsense`"), "{findings}");
}

#[test]
fn nesting_is_bounded() {
    let text = format!("acl a {}", "{ ".repeat(100_000));
    assert!(ours(&text).expect_err("too deep").contains("nested more than 64 deep"));
}

proptest::proptest! {
    /// Any sequence of tokens, valid or not, results in findings or in a tree that can be walked.
    #[test]
    fn no_text_panics(tokens in proptest::collection::vec(proptest::sample::select(TOKENS), 0..60)) {
        let text = tokens.join(" ");
        if let Ok(conf) = parse(Source::new("x", text)) {
            walk(conf.statements());
        }
        if let Err(findings) = parse(Source::new("x", tokens.concat())) {
            proptest::prop_assert!(!crate::diagnostics::render(&findings, crate::diagnostics::Colour::Never).is_empty());
        }
    }
}

/// Tokens that configurations are made of.
const TOKENS: &[&str] = &[
    "options",
    "zone",
    "acl",
    "key",
    "view",
    "logging",
    "channel",
    "category",
    "include",
    "directory",
    "listen-on",
    "port",
    "53",
    "type",
    "primary",
    "file",
    "\"f\"",
    "\"a\\\"b\"",
    "{",
    "{",
    "{",
    "}",
    "}",
    "};",
    ";",
    ";",
    ";",
    "!",
    "/",
    "8",
    "10",
    "192.0.2.1",
    "::1",
    "any",
    "none",
    "yes",
    "no",
    "#",
    "\n",
    "//",
    "/*",
    "*/",
    "\"",
    "\\",
    "\u{e9}",
    "rrset-order",
    "order",
    "random",
    "allow-query",
    "algorithm",
    "hmac-sha256",
    "secret",
    "stderr",
    "versions",
    "in",
    "*",
];

#[test]
fn a_part_may_refer_to_what_others_define_and_include_what_is_not_there() {
    let text = "include \"/nowhere\"; options { allow-query { internal; key \"a\"; }; };";
    let source = || Source::new("part", text);
    assert!(parse(source()).is_err());
    let part = parse_part(source()).unwrap();
    let options = part.statements().find("options").unwrap();
    let block = options.argument().unwrap().place().span.unwrap();
    assert!(text[block.clone()].starts_with("{ allow") && text[block].ends_with("; }"));
    assert!(parse_part(Source::new("part", "options { allow-query any; };")).is_err());
}

fn walk(statements: Statements<'_>) {
    for statement in statements {
        let _ = (statement.name(), statement.place(), statement.arguments().prefix());
        for part in statement.arguments() {
            let _ = (part.shown(), part.place());
            part.block().into_iter().for_each(walk);
        }
    }
}
