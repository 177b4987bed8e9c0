//! Every type by example: text, the text it is printed as, and what is refused.

use super::*;
use crate::Name;

/// Splits a line as the zone parser does, as far as these tests need: blanks, quotes, escapes kept.
fn tokens(line: &str) -> Vec<Token<'_>> {
    let text = line.as_bytes();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < text.len() {
        if text[at] == b' ' {
            at += 1;
            continue;
        }
        let quoted = text[at] == b'"';
        let start = at + usize::from(quoted);
        let mut inside = quoted;
        at = start;
        while at < text.len() && (inside || text[at] != b' ') {
            match text[at] {
                b'\\' => at += 1,
                b'"' if quoted => break,
                b'"' if text[at - 1] == b'=' || inside => inside = !inside,
                _ => {}
            }
            at += 1;
        }
        tokens.push(Token { text: &text[start..at], quoted, at: start });
        at += usize::from(quoted);
    }
    tokens
}

fn wire(rtype: &str, text: &str) -> Result<Vec<u8>, RdataError> {
    let origin = Name::from_ascii("ex.").unwrap();
    let mut out = b"before".to_vec();
    parse(rtype.parse().unwrap(), &mut Fields::new(&tokens(text)), origin.as_ref(), &mut out)?;
    Ok(out.split_off(6))
}

fn text(rtype: &str, wire: &[u8]) -> String {
    let mut out = String::new();
    write_text(rtype.parse().unwrap(), wire, &Style::FULL, &mut out);
    out
}

/// Type, text, text as printed (`=` for the same).
static EXAMPLES: &[(&str, &str, &str)] = &[
    ("A", "192.0.2.1", "="),
    ("AAAA", "2001:DB8::A", "2001:db8::a"),
    ("AAAA", "::0.1.0.0", "="),
    ("NS", "ns", "ns.ex."),
    ("SOA", "ns.ex. root.ex. 1 1w 1d2h 3600 0", "ns.ex. root.ex. 1 604800 93600 3600 0"),
    ("MX", "010 @", "10 ex."),
    ("TXT", r#"a "b c" "" \200\"\\;"#, r#""a" "b c" "" "\200\"\\;""#),
    ("SRV", "1 2 3 t.ex.", "="),
    ("SVCB", r#"1 . port=443 alpn="h2,h3" mandatory=port,alpn"#, r#"1 . mandatory=alpn,port alpn="h2,h3" port=443"#),
    ("SVCB", r#"1 . alpn="f\\\\oo\\,bar,h2""#, "="),
    ("SVCB", r#"1 . key667="hello wor;ld""#, "="),
];

#[test]
fn examples_round_trip() {
    for &(rtype, input, expected) in EXAMPLES {
        let expected = if expected == "=" { input } else { expected };
        let octets = wire(rtype, input).unwrap_or_else(|error| panic!("{rtype} {input}: {error}"));
        assert_eq!(text(rtype, &octets), expected, "{rtype} {input}");
        validate(rtype.parse().unwrap(), &octets).unwrap();
        assert_eq!(wire(rtype, expected).unwrap(), octets);
    }
}
