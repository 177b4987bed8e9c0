//! The canonical layout of zone files, with the same records and comments in the same order.
//!
//! A block is a group of lines between blank lines or directives. In a block, owners, TTLs, classes, types and data are
//! in columns, and so are the comments after them. Types and classes are in upper case, and the TTL is before the
//! class. Fields that the author left out stay left out, data on several lines stays on the same number of lines, and
//! numbers and names stay as they were written. `$INCLUDE` and `$GENERATE` are not changed. Several blank lines become
//! one.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
    ops::Range,
    path::Path,
};

use super::{CheckNames, Options, Record, Refusal, Report, fault::token_span, lexer::Lexer, parse};
use crate::{
    Class, NameRef,
    diagnostics::{Diagnostic, Severity, Source},
    rdata::Token,
};

/// Returns the file in canonical layout, or its errors if it has any.
///
/// Included files are not read, and a file that others include can be formatted as well.
pub fn format(source: &Source) -> Result<Vec<u8>, Report> {
    let (mut report, records) = read(source);
    if report.has_errors() {
        return Err(report);
    }
    let text = lay_out(source.text());
    let (after, records_after) = read(&Source::new(source.name(), text.clone()));
    if after.has_errors() || records_after != records {
        let message = "formatting would change the records of this file";
        report.push(
            Diagnostic::at(Severity::Error, source.whole(), message)
                .help("the file is left as it is: please report this"),
        );
        return Err(report);
    }
    Ok(text)
}

/// Reads a file, which may be one that others include, and returns its report and a hash of its records.
fn read(source: &Source) -> (Report, u64) {
    let nothing = |_: &Path| -> io::Result<Source> { Ok(Source::new("", "")) };
    let options = Options {
        apex: None,
        class: class(source.text()),
        default_ttl: Some(0),
        check_names: CheckNames::Ignore,
        includes: &nothing,
        ..Options::new(NameRef::ROOT)
    };
    let mut hasher = DefaultHasher::new();
    let mut hash = |record: Record<'_>| -> Result<(), Refusal> {
        (record.owner.as_wire(), record.ttl, record.rtype, record.rdata).hash(&mut hasher);
        Ok(())
    };
    let report = parse(source, &options, &mut hash);
    (report, hasher.finish())
}

/// The class of the first record that has one.
fn class(text: &[u8]) -> Class {
    let mut lexer = Lexer::new(text);
    let mut tokens = Vec::new();
    while let Ok(Some(entry)) = lexer.entry(&mut tokens) {
        let skip = usize::from(!entry.blank);
        if tokens[0].text.starts_with(b"$") {
            continue;
        }
        let head = tokens.get(skip..skip + head_len(&tokens, skip)).unwrap_or_default();
        if let Some(class) = head.iter().find_map(|token| Class::from_text(token.text)) {
            return class;
        }
    }
    Class::IN
}

/// The number of tokens, from `skip` on, that are TTL, class and type.
fn head_len(tokens: &[Token<'_>], skip: usize) -> usize {
    let before = tokens.iter().skip(skip).take(2).take_while(|token| is_ttl(token) || is_class(token)).count();
    before + 1
}

fn is_ttl(token: &Token<'_>) -> bool {
    token.text.first().is_some_and(u8::is_ascii_digit)
}

fn is_class(token: &Token<'_>) -> bool {
    Class::from_text(token.text).is_some()
}

enum Item<'a> {
    Blank,
    /// A comment on a line of its own.
    Comment(&'a [u8]),
    /// A directive, with the comment after it.
    Directive(Vec<u8>),
    Record(Row<'a>),
}

/// A record.
struct Row<'a> {
    /// Owner, TTL, class and type; empty if left out.
    head: [Vec<u8>; 4],
    /// The data and comments, line by line.
    lines: Vec<Line<'a>>,
}

#[derive(Default)]
struct Line<'a> {
    tokens: Vec<Token<'a>>,
    comment: Option<&'a [u8]>,
}

/// Lays out a text that has no errors.
fn lay_out(text: &[u8]) -> Vec<u8> {
    let mut items = Vec::new();
    let mut lexer = Lexer::new(text);
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Ok(Some(entry)) = lexer.entry(&mut tokens) {
        between(&text[at..entry.line], &mut items);
        at = after_newline(text, lexer.at());
        let whole = entry.line..at;
        items.push(if !entry.blank && tokens[0].text.starts_with(b"$") {
            Item::Directive(directive(&text[whole], &tokens, entry.grouped))
        } else {
            Item::Record(Row::new(text, &tokens, whole, entry.blank))
        });
    }
    between(&text[at..], &mut items);
    if let Some(Item::Blank) = items.last() {
        items.pop();
    }
    let mut out = Vec::with_capacity(text.len());
    for block in items.chunk_by(|a, b| a.is_aligned() && b.is_aligned()) {
        write_block(text, block, &mut out);
    }
    out
}

/// The start of the line after an entry that ends at `end`. The lexer takes CR for a newline of its own, as BIND does.
fn after_newline(text: &[u8], end: usize) -> usize {
    end + usize::from(text[..end].ends_with(b"\r") && text[end..].starts_with(b"\n"))
}

/// Adds the lines without tokens between two entries.
fn between<'a>(text: &'a [u8], items: &mut Vec<Item<'a>>) {
    for line in text.split_inclusive(|&octet| octet == b'\n') {
        match memchr::memchr(b';', line) {
            Some(start) => items.push(Item::Comment(line[start..].trim_ascii_end())),
            // No blank line at the top of the file, and no second one in a row.
            None if matches!(items.last(), None | Some(Item::Blank)) => {}
            None => items.push(Item::Blank),
        }
    }
}

/// Formats a directive. Directives that make or fetch records are not changed.
fn directive(line: &[u8], tokens: &[Token<'_>], grouped: bool) -> Vec<u8> {
    let keyword = tokens[0].text.to_ascii_uppercase();
    if grouped || tokens[0].quoted || matches!(&keyword[..], b"$INCLUDE" | b"$GENERATE") {
        return line.trim_ascii_end().to_vec();
    }
    let mut out = keyword;
    for token in &tokens[1..] {
        out.push(b' ');
        out.extend_from_slice(token.text);
    }
    // The arguments are names and numbers without quotes, where a semicolon must be escaped.
    let end = tokens.last().map_or(0, |last| last.at + last.text.len() - tokens[0].at);
    if let Some(start) = memchr::memchr(b';', &line[end..]) {
        out.push(b' ');
        out.extend_from_slice(line[end + start..].trim_ascii_end());
    }
    out
}

impl<'a> Row<'a> {
    fn new(text: &'a [u8], tokens: &[Token<'a>], whole: Range<usize>, blank: bool) -> Row<'a> {
        let skip = usize::from(!blank);
        let head_len = skip + head_len(tokens, skip);
        let mut head = <[Vec<u8>; 4]>::default();
        for (index, token) in tokens[..head_len].iter().enumerate() {
            let raw = &text[token_span(*token)];
            match index {
                0 if !blank => head[0] = raw.to_vec(),
                _ if index + 1 == head_len => head[3] = raw.to_ascii_uppercase(),
                _ if is_ttl(token) => head[1] = raw.to_vec(),
                _ => head[2] = raw.to_ascii_uppercase(),
            }
        }
        let mut lines = vec![Line::default()];
        let mut at = whole.start;
        for (index, &token) in tokens.iter().enumerate() {
            let span = token_span(token);
            gap(&text[at..span.start], &mut lines);
            if let Some(line) = lines.last_mut().filter(|_| index >= head_len) {
                line.tokens.push(token);
            }
            at = span.end;
        }
        gap(&text[at..whole.end], &mut lines);
        lines.retain(|line| !line.tokens.is_empty() || line.comment.is_some());
        if lines.is_empty() {
            lines.push(Line::default());
        }
        Row { head, lines }
    }
}

/// Adds the comments and line ends between two tokens.
fn gap<'a>(mut text: &'a [u8], lines: &mut Vec<Line<'a>>) {
    while let Some(at) = memchr::memchr3(b';', b'\n', b'\r', text) {
        if text[at] == b';' {
            let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length);
            if let Some(line) = lines.last_mut() {
                line.comment = Some(text[at..end].trim_ascii_end());
            }
            text = &text[end..];
        } else {
            lines.push(Line::default());
            text = &text[at + 1..];
        }
    }
}

impl Item<'_> {
    fn is_aligned(&self) -> bool {
        matches!(self, Item::Comment(_) | Item::Record(_))
    }
}

/// Owners longer than this do not move the columns of their block.
const MAX_OWNER: usize = 40;

/// Lines longer than this do not move the comments of their block.
const MAX_CODE: usize = 90;

/// Writes one item, or a run of records and comments that are aligned with each other.
fn write_block(text: &[u8], block: &[Item<'_>], out: &mut Vec<u8>) {
    let rows = || block.iter().filter_map(|item| if let Item::Record(row) = item { Some(row) } else { None });
    let width = |column: usize, most: usize| {
        rows().map(|row| row.head[column].len()).filter(|&width| width <= most).max().unwrap_or(0)
    };
    let widths = [width(0, MAX_OWNER), width(1, MAX_OWNER), width(2, MAX_OWNER), width(3, MAX_OWNER)];
    let first_lines: Vec<Vec<u8>> = rows().map(|row| row.first_line(text, &widths)).collect();
    let commented = rows().zip(&first_lines).filter(|(row, _)| row.lines.len() == 1 && row.lines[0].comment.is_some());
    let comments = commented.map(|(_, code)| code.len()).filter(|&width| width <= MAX_CODE).max().unwrap_or(0);
    let mut first_lines = first_lines.into_iter();
    for item in block {
        match item {
            Item::Blank => out.push(b'\n'),
            Item::Comment(comment) => write_line(b"", 0, Some(comment), out),
            Item::Directive(line) => write_line(line, 0, None, out),
            Item::Record(row) => {
                let code = first_lines.next().unwrap_or_default();
                let column = if row.lines.len() == 1 { comments } else { 0 };
                write_line(&code, column, row.lines[0].comment, out);
                row.write_more_lines(text, data_column(&widths), out);
            }
        }
    }
}

/// The column where the data of a block starts: one blank after each column, and one in place of owners that are all
/// left out.
fn data_column(widths: &[usize; 4]) -> usize {
    let fields = widths.iter().filter(|&&width| width > 0).map(|width| width + 1);
    usize::from(widths[0] == 0) + fields.sum::<usize>()
}

impl Row<'_> {
    /// Formats the head and the first line of data, up to the opening parenthesis.
    fn first_line(&self, text: &[u8], widths: &[usize; 4]) -> Vec<u8> {
        let mut line = Vec::new();
        let mut end = 0;
        for (column, (field, width)) in self.head.iter().zip(widths).enumerate() {
            if column > 0 && *width > 0 {
                end += 1;
            }
            if !field.is_empty() {
                line.resize(end.max(line.len() + usize::from(!line.is_empty())), b' ');
                line.extend_from_slice(field);
            }
            end += width;
        }
        let data = self.lines[0].code(text);
        if !data.is_empty() {
            line.resize((end + 1).max(line.len() + 1), b' ');
            line.extend_from_slice(&data);
        }
        if self.lines.len() > 1 {
            line.extend_from_slice(b" (");
        }
        line
    }

    /// Writes the lines inside the parentheses.
    fn write_more_lines(&self, text: &[u8], indent: usize, out: &mut Vec<u8>) {
        let mut codes: Vec<Vec<u8>> = self.lines[1..].iter().map(|line| line.code(text)).collect();
        let mut closed = self.lines.len() == 1;
        if let Some(last) = codes.last_mut().filter(|last| !last.is_empty()) {
            last.extend_from_slice(b" )");
            closed = true;
        }
        for code in &mut codes {
            code.splice(0..0, std::iter::repeat_n(b' ', indent));
        }
        let commented = self.lines[1..].iter().zip(&codes).filter(|(line, _)| line.comment.is_some());
        let column = commented.map(|(_, code)| code.len()).filter(|&width| width <= MAX_CODE).max().unwrap_or(0);
        for (line, code) in self.lines[1..].iter().zip(&codes) {
            // A comment without data is in the column of the data.
            let (code, column) = if line.tokens.is_empty() { (&code[1..], 0) } else { (&code[..], column) };
            write_line(code, column, line.comment, out);
        }
        if !closed {
            out.resize(out.len() + indent, b' ');
            out.extend_from_slice(b")\n");
        }
    }
}

impl Line<'_> {
    fn code(&self, text: &[u8]) -> Vec<u8> {
        let mut code = Vec::new();
        let mut end = None;
        for &token in &self.tokens {
            let span = token_span(token);
            // The two parts of `key="value"` stay together.
            if end.is_some_and(|end| end < span.start) {
                code.push(b' ');
            }
            end = Some(span.end);
            code.extend_from_slice(&text[span]);
        }
        code
    }
}

/// Writes a line, with its comment at `column` or after one blank.
fn write_line(code: &[u8], column: usize, comment: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(code);
    if let Some(comment) = comment {
        let start = if code.is_empty() { 0 } else { column.max(code.len()) + 1 };
        out.resize(out.len() + start - code.len(), b' ');
        out.extend_from_slice(comment);
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(text: &str) -> String {
        let format = |text: &str| match format(&Source::new("z", text)) {
            Ok(text) => String::from_utf8(text).unwrap(),
            Err(report) => panic!("{text}: {:?}", report.diagnostics),
        };
        let once = format(text);
        assert_eq!(format(&once), once, "formatting twice");
        once
    }

    #[test]
    fn columns_comments_and_lines() {
        let text = "

; the zone
$ttl   1h ;default
@ in soa ns hostmaster (
  1 ; serial
    3600   ; refresh


  900 1209600; retry, expire
  ; and the last:
  300 )
  in    ns ns ; first
  IN 60 ns   ns2.example.org. ;second


www   a 192.0.2.1
mail.a.rather.long.name    aaaa 2001:db8::1
www   txt   ( \"a ; b\"
  c\"d\" )
b type65280 ( \\# 0 )
   ; indented comment
$include   other.zone   sub   ; as it is
$GENERATE 1-2   a$ A   192.0.2.$
c https 1 . alpn=\"h2,h3\" port=53

; end
";
        let expected = "\
; the zone
$TTL 1h ;default
@    IN SOA ns hostmaster (
            1           ; serial
            3600        ; refresh
            900 1209600 ; retry, expire
            ; and the last:
            300 )
     IN NS  ns               ; first
  60 IN NS  ns2.example.org. ;second

www                     A         192.0.2.1
mail.a.rather.long.name AAAA      2001:db8::1
www                     TXT       \"a ; b\" (
                                  c\"d\" )
b                       TYPE65280 \\# 0
; indented comment
$include   other.zone   sub   ; as it is
$GENERATE 1-2   a$ A   192.0.2.$
c HTTPS 1 . alpn=\"h2,h3\" port=53

; end
";
        assert_eq!(formatted(text), expected);
    }

    #[test]
    fn odd_layouts() {
        assert_eq!(
            formatted("a ( ; first\n 10 ; second\n A\n 192.0.2.1 )\n"),
            "a 10 A ( ; first\n       ; second\n       192.0.2.1 )\n"
        );
        assert_eq!(formatted("a TXT ( x ; last\n )"), "a TXT x ; last\n");
        assert_eq!(formatted("a TXT (\n x\n ; last\n )"), "a TXT x (\n      ; last\n      )\n");
        assert_eq!(formatted("$ORIGIN (\n b.\n)\n"), "$ORIGIN (\n b.\n)\n");
        assert_eq!(formatted("a\\;b TXT \\\"x\\;\r\n\r\n\r\nc TXT y"), "a\\;b TXT \\\"x\\;\n\nc TXT y\n");
        assert_eq!(formatted(""), "");
        assert_eq!(formatted("\n ; x \n\n"), "; x\n");
        let long = "x".repeat(50);
        assert_eq!(
            formatted(&format!("{long} A 192.0.2.1\nb A 192.0.2.1\n")),
            format!("{long} A 192.0.2.1\nb A 192.0.2.1\n")
        );
    }

    #[test]
    fn lines_that_end_with_cr_lf_get_no_blank_lines_between() {
        let text =
            "; first\n$TTL 300\n@ SOA ns h 1 2 3 4 5 ; x\n@ NS ( ns ; y\n )\n\nns A 192.0.2.1\nx TXT \"a\" ; z\n";
        assert_eq!(formatted(&text.replace('\n', "\r\n")), formatted(text));
    }

    #[test]
    fn files_that_others_include_and_other_classes_can_be_formatted() {
        assert_eq!(formatted("a  TXT x\n$INCLUDE  y\n"), "a TXT x\n$INCLUDE  y\n");
        assert_eq!(formatted("a  ch TXT x\n"), "a CH TXT x\n");
    }

    #[test]
    fn a_file_with_errors_is_left_alone() {
        for text in ["a A x\n", "a TXT \"x\n", "a (\n", "$FOO\n"] {
            assert!(format(&Source::new("z", text)).is_err_and(|report| report.has_errors()), "{text}");
        }
    }
}
