//! Writes YAML as people write it: in blocks, with short lists on one line, and quotes only where they are needed.

use std::{fmt::Write, net::Ipv4Addr};

/// A mapping, in order.
pub(super) type Fields = Vec<(&'static str, Value)>;

/// A value of a kind that manifests have.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    True,
    Texts(Vec<String>),
    Fields(Fields),
    Items(Vec<Fields>),
}

/// Appends a document, without the `---` before it.
pub(super) fn write_document(fields: &[(&'static str, Value)], out: &mut String) {
    write_fields(fields, 0, out);
}

/// Lists of texts that need more columns than this are written with one item a line.
const WIDE: usize = 100;

/// Appends fields. The first one continues on the line where `out` ends.
fn write_fields(fields: &[(&'static str, Value)], indent: usize, out: &mut String) {
    for (number, (key, value)) in fields.iter().enumerate() {
        if number > 0 {
            pad(indent, out);
        }
        out.push_str(key);
        out.push(':');
        write_value(value, indent, out);
    }
}

/// Appends the value after a colon, and the end of the line.
fn write_value(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Text(text) => line(&scalar(text), out),
        Value::Number(number) => line(&number.to_string(), out),
        Value::True => line("true", out),
        Value::Texts(texts) => {
            let texts: Vec<_> = texts.iter().map(|text| scalar(text)).collect();
            let flow = format!("[{}]", texts.join(", "));
            if texts.len() < 2 || flow.len() <= WIDE {
                return line(&flow, out);
            }
            out.push('\n');
            for text in texts {
                pad(indent + 2, out);
                out.push('-');
                line(&text, out);
            }
        }
        Value::Fields(fields) => {
            out.push('\n');
            pad(indent + 2, out);
            write_fields(fields, indent + 2, out);
        }
        Value::Items(items) => {
            out.push('\n');
            for fields in items {
                pad(indent + 2, out);
                out.push_str("- ");
                write_fields(fields, indent + 4, out);
            }
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn line(text: &str, out: &mut String) {
    out.push(' ');
    out.push_str(text);
    out.push('\n');
}

/// A text, without quotes if every YAML parser reads it as a string.
fn scalar(text: &str) -> String {
    /// Words that YAML 1.1 or 1.2 reads as something other than a string.
    const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "y", "n", "null"];
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"._/-".contains(&octet);
    let is_word =
        text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') && text.bytes().all(plain);
    if is_word && !WORDS.contains(&&*text.to_ascii_lowercase()) || text.parse::<Ipv4Addr>().is_ok() {
        return text.into();
    }
    let special = |character: char| character.is_control() || "\u{2028}\u{2029}\u{feff}".contains(character);
    if text.contains(['"', '\\']) && !text.contains(special) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            // Writing to a String cannot fail.
            _ if special(character) => drop(write!(quoted, "\\u{:04x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_quotes_has_them() {
        for plain in ["www", "_dmarc", "a.example.com.", "bindy.firestoned.io/v1beta1", "192.0.2.1", "x-1"] {
            assert_eq!(scalar(plain), plain);
        }
        for quoted in ["", "@", "*.apps", "yes", "No", "1.5", "1e3", "2001:db8::1", "v=spf1 -all", "a: b", "- a"] {
            assert_eq!(scalar(quoted), format!("\"{quoted}\""));
        }
        assert_eq!(scalar("1 . alpn=\"h2\" \\# it's"), "'1 . alpn=\"h2\" \\# it''s'");
        assert_eq!(scalar("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
    }

    #[test]
    fn any_text_is_read_again() {
        for text in ["\u{0}\u{7f}\u{85}\u{a0}\u{2028}\u{feff}", "\u{1f600} ä", "\\\"\\", " a ", "#a", "~", "0x1f", ".5"]
        {
            assert_eq!(serde_saphyr::from_str::<String>(&scalar(text)).as_deref().ok(), Some(text), "{}", scalar(text));
        }
    }

    #[test]
    fn a_document_reads_as_a_person_writes_it() {
        let item = vec![("hostname", Value::Text("ns1".into())), ("port", Value::Number(53))];
        let document = [
            ("kind", Value::Text("X".into())),
            ("spec", Value::Fields(vec![("servers", Value::Items(vec![item.clone(), item])), ("on", Value::True)])),
            ("short", Value::Texts(vec!["192.0.2.1".into(), "::1".into()])),
            ("long", Value::Texts(vec!["x".repeat(60), "y".repeat(60)])),
        ];
        let mut out = String::new();
        write_document(&document, &mut out);
        let (x, y) = ("x".repeat(60), "y".repeat(60));
        let expected = format!(
            "kind: X\nspec:\n  servers:\n    - hostname: ns1\n      port: 53\n    - hostname: ns1\n      port: 53\n  on: true\n\
             short: [192.0.2.1, \"::1\"]\nlong:\n  - {x}\n  - {y}\n"
        );
        assert_eq!(out, expected);
    }
}
