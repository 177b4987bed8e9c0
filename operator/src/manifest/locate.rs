//! Finds the octets of the text for a field's path or a parser's error. This happens only for errors and warnings, so
//! the document is simply parsed again.

use std::ops::Range;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

/// The ranges of the documents in a YAML stream (YAML 1.2 9.1.2): a line `---` starts one, a line `...` ends one.
pub(super) fn document_ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        if is_marker(line, "---") {
            ranges.push(start..at);
            start = at;
        } else if is_marker(line, "...") {
            ranges.push(start..at);
            start = end;
        }
        at = end;
    }
    ranges.push(start..at);
    ranges.retain(|range| text[range.clone()].lines().any(says_something));
    ranges
}

/// The part of a field to point at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The name of the field.
    Key,
    /// The value of the field if that is a scalar, and otherwise its name.
    Value,
}

/// The range of a field with a path such as `spec.nameServers[1].hostname`. If there is no such field, it is the range
/// of the last field on the path that exists.
pub(super) fn locate(document: &str, path: &str, part: Part) -> Range<usize> {
    let start = start(document);
    let Ok(mut node) = serde_saphyr::from_str::<Spanned<Shape>>(document) else { return start..start };
    let mut span = span_of(&node.referenced, document);
    // In the paths of optional fields, `?` means "if present".
    for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty() && *step != "?") {
        let (key, value) = match node.value {
            Shape::Mapping(entries) => match entries.into_iter().find(|(key, _)| key.value == step) {
                Some((key, value)) => (Some(key), value),
                None => return span,
            },
            Shape::Sequence(items) => match step.parse().ok().and_then(|at: usize| items.into_iter().nth(at)) {
                Some(value) => (None, value),
                None => return span,
            },
            Shape::Scalar => return span,
        };
        let by_key = part == Part::Key || !matches!(value.value, Shape::Scalar);
        let place = key.filter(|_| by_key).map_or(value.referenced, |key| key.referenced);
        span = span_of(&place, document);
        node = value;
    }
    span
}

/// The offset at which the content of a document starts.
pub(super) fn start(document: &str) -> usize {
    let mut at = 0;
    for line in document.split_inclusive('\n') {
        if says_something(line) {
            let said = line.strip_prefix("---").unwrap_or(line).trim_start();
            return at + line.len() - said.len();
        }
        at += line.len();
    }
    0
}

/// The offsets at which the `items` of a list start.
pub(super) fn starts_of_items(document: &str) -> Vec<usize> {
    let Ok(Spanned { value: Shape::Mapping(entries), .. }) = serde_saphyr::from_str::<Spanned<Shape>>(document) else {
        return Vec::new();
    };
    match entries.into_iter().find(|(key, _)| key.value == "items") {
        Some((_, Spanned { value: Shape::Sequence(items), .. })) => {
            items.iter().map(|item| span_of(&item.referenced, document).start).collect()
        }
        _ => Vec::new(),
    }
}

/// The place of a syntax error in a document, the error, and what to do.
pub(super) fn syntax_error(document: &str, error: &serde_saphyr::Error) -> (Range<usize>, String, String) {
    const HELP: &[(&str, &str)] = &[
        (
            "mapping values are not allowed",
            "put a value that has `: ` in it in quotes, and indent keys of one mapping alike",
        ),
        ("tab", "indent with spaces"),
        ("duplicate mapping key", "remove one of the two"),
        ("anchor or alias", "put a value that starts with `*` or `&` in quotes"),
        ("unknown anchor", "put a value that starts with `*` in quotes"),
        ("recursive references", "write the value out: an alias cannot stand inside what it stands for"),
        ("alias replay", "write values out instead of `*` and `&`"),
        ("alias expansion", "write values out instead of `*` and `&`"),
        ("recursion limit", "close every `[` and `{`, and nest it less deeply"),
        ("budget breached", "split the document into several, and nest it less deeply"),
        ("unexpected character", "put a value that starts with `@`, `%` or a backtick in quotes"),
        ("bracket", "close every `[` and `{`"),
        ("illegal placement", "close every `[` and `{` above it, or put the value in quotes"),
        ("quoted", "close the quotes"),
    ];
    const TEMPLATE: &str = "this is a template: render it first, for example with `helm template`";
    let error = error.without_snippet();
    let shown = error.to_string();
    let message = shown.split(" at line ").next().unwrap_or(&shown);
    let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(message);
    let help = HELP
        .iter()
        .find(|(part, _)| message.contains(part))
        .map_or("compare its indentation and quotes with the lines around it", |(_, help)| help);
    let at = error.location().map_or(0, |location| offset(document, location.line(), location.column()));
    let help = if line_at(document, at).contains("{{") { TEMPLATE } else { help };
    let width = document[at..].chars().next().map_or(0, char::len_utf8);
    (at..at + width, format!("not YAML: {message}"), help.to_owned())
}

/// The structure of a document without its values.
enum Shape {
    Scalar,
    Sequence(Vec<Spanned<Shape>>),
    Mapping(Vec<(Spanned<String>, Spanned<Shape>)>),
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shape, D::Error> {
        struct ShapeVisitor;
        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = Shape;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("YAML")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
                Ok(Shape::Scalar)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
                Ok(Shape::Scalar)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
                Ok(Shape::Scalar)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
                Ok(Shape::Scalar)
            }

            fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
                Ok(Shape::Scalar)
            }

            fn visit_unit<E>(self) -> Result<Shape, E> {
                Ok(Shape::Scalar)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
                let mut sequence = Vec::new();
                while let Some(item) = items.next_element()? {
                    sequence.push(item);
                }
                Ok(Shape::Sequence(sequence))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
                let mut mapping = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    mapping.push(entry);
                }
                Ok(Shape::Mapping(mapping))
            }
        }
        deserializer.deserialize_any(ShapeVisitor)
    }
}

/// Whether a line is the marker, alone or with text after it.
fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether a line is more than a comment, a directive or a marker.
fn says_something(line: &str) -> bool {
    let line = line.strip_prefix("---").unwrap_or(line).trim();
    !line.is_empty() && !line.starts_with(['#', '%'])
}

fn span_of(location: &Location, document: &str) -> Range<usize> {
    let span = location.span();
    let at = match span.byte_offset() {
        Some(at) => usize::try_from(at).unwrap_or(usize::MAX),
        None => offset(document, location.line(), location.column()),
    };
    let end = at.saturating_add(usize::try_from(span.byte_len().unwrap_or(0)).unwrap_or(0));
    if document.get(at..end).is_some() { at..end } else { 0..0 }
}

/// The offset of a line and column, both counted from 1, the column in characters. If there is no such place, it is the
/// end.
fn offset(document: &str, line: u64, column: u64) -> usize {
    let mut lines = document.split_inclusive('\n');
    let before: usize = lines.by_ref().take(usize::try_from(line).unwrap_or(0).saturating_sub(1)).map(str::len).sum();
    let line = lines.next().unwrap_or("");
    let column = usize::try_from(column).unwrap_or(0).saturating_sub(1);
    before + line.char_indices().nth(column).map_or(line.trim_end().len(), |(at, _)| at)
}

fn line_at(document: &str, at: usize) -> &str {
    let start = document[..at].rfind('\n').map_or(0, |newline| newline + 1);
    document[start..].lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_paths() {
        let text = "# é\nspec:\n  name: www\n  servers:\n  - host: a\n  - host: \"b\"\n";
        let at = |path| &text[locate(text, path, Part::Value)];
        assert_eq!(at("spec.name"), "www");
        assert_eq!(at("spec.servers[1].host"), "\"b\"");
        assert_eq!(&text[locate(text, "spec.servers[1].host", Part::Key)], "host");
        assert_eq!(locate(text, "spec.servers", Part::Value).start, text.find("servers").unwrap());
        assert_eq!(locate(text, "spec.nothing", Part::Value).start, text.find("spec").unwrap(), "the last that exists");
    }

    #[test]
    fn markers_split_documents_and_comments_are_none() {
        let text = "# c\n---\na: 1\n--- # two\nb: |\n  ---\n  x\n...\n---\n# nothing\n";
        let documents: Vec<_> = document_ranges(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(documents, ["---\na: 1\n", "--- # two\nb: |\n  ---\n  x\n"]);
    }

    #[test]
    fn a_syntax_error_says_where_and_what_to_do() {
        let told = |text: &str| {
            let error = serde_saphyr::from_str::<serde_json::Value>(text).unwrap_err();
            let (at, _, help) = syntax_error(text, &error);
            (at.start, help)
        };
        assert_eq!(told("name: *\n").1, "put a value that starts with `*` or `&` in quotes");
        assert_eq!(told("é: @\n").0, 4);
        assert_eq!(told("a:\n\t- x\n").1, "indent with spaces");
        assert!(told("a: {{ .Values.name }}\n").1.contains("render it first"));
        assert!(told("a: &a [*a]\n").1.starts_with("write the value out"), "{:?}", told("a: &a [*a]\n"));
        assert!(told(&"[".repeat(100_000)).1.contains("nest it less deeply"));
        assert!(told("a: [1\n").0 <= 6, "the end is a place, too");
    }
}
