//! Diagnostics: what is wrong in a text, where, and what to write instead. Zone files, named.conf and manifests share
//! them.
//!
//! A [`Diagnostic`] points into a [`Source`] and is shown in one of two forms. [`render`] prints excerpts with the
//! place underlined, as rustc does, for people at a terminal. `Display` prints one line, `file:line:column: error: …`,
//! for logs, events and editors.

use std::{
    fmt, io, iter,
    ops::Range,
    path::Path,
    sync::{Arc, OnceLock},
};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use zeroize::Zeroizing;

/// A named text that diagnostics point into. Clones share the text.
#[derive(Clone)]
pub struct Source(Arc<Text>);

struct Text {
    name: String,
    /// A named.conf has secrets: they are wiped when nobody needs the text any more.
    octets: Zeroizing<Vec<u8>>,
    /// The number of newlines before each block, so that finding the lines of many places scans a large text only once.
    newlines: OnceLock<Vec<usize>>,
}

/// The size of a block, in octets.
const BLOCK: usize = 4096;

/// How serious a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The text is not used.
    Error,
    /// The text is used, but something in it is probably not meant.
    Warning,
    /// The finding is for information only.
    Note,
}

/// One finding about a text.
#[derive(Clone, Debug)]
#[must_use]
pub struct Diagnostic {
    /// How serious the finding is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// The place in the text that is at fault.
    pub place: Place,
    /// What to print beside the underlined place.
    pub label: Option<String>,
    /// What to write instead.
    pub help: Option<String>,
    /// Other places that explain the finding, each with its label: the first definition, the `$INCLUDE`.
    pub related: Vec<(Place, String)>,
}

/// A list of findings with a bound on errors and another on warnings, so that a text that is wrong throughout costs no
/// more than one with a few errors.
#[derive(Debug)]
pub struct Findings {
    diagnostics: Vec<Diagnostic>,
    most: usize,
    errors: usize,
    others: usize,
}

/// A range of a source, or all of it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The source that holds the range.
    pub source: Source,
    /// The range in octets, empty at the point where something is missing; `None` for the text as a whole, of which only
    /// the name is shown.
    pub span: Option<Range<usize>>,
}

/// A line and a column, both counted from 1. Columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in that line.
    pub column: usize,
}

/// Whether [`render`] may use terminal colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// Plain text.
    Never,
    /// ANSI escapes.
    Always,
}

/// Renders diagnostics as rustc does: message, excerpt with the place underlined, help, and a final newline.
pub fn render<'d>(diagnostics: impl IntoIterator<Item = &'d Diagnostic>, colour: Colour) -> String {
    let renderer = match colour {
        Colour::Never => Renderer::plain(),
        Colour::Always => Renderer::styled(),
    };
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&renderer.render(&[diagnostic.report()]));
        out.push_str("\n\n");
    }
    out.pop();
    out
}

/// Returns the known word that is closest to `word`, ignoring case; `None` if they differ by more than one mistake for
/// every three letters. One mistake is always allowed.
pub fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let word = word.to_ascii_lowercase();
    let most = (word.chars().count() / 3).max(1);
    let distance = |known: &str| strsim::damerau_levenshtein(&word, &known.to_ascii_lowercase());
    let (distance, known) = known.into_iter().map(|known| (distance(known), known)).min()?;
    (distance <= most).then_some(known)
}

impl Findings {
    /// An empty list that keeps up to `most` errors and up to `most` other findings.
    pub fn up_to(most: usize) -> Findings {
        Findings { diagnostics: Vec::new(), most, errors: 0, others: 0 }
    }

    /// Adds a finding; beyond the bound it is only counted.
    pub fn push(&mut self, finding: Diagnostic) {
        let count = if finding.is_error() { &mut self.errors } else { &mut self.others };
        *count += 1;
        if *count <= self.most {
            self.diagnostics.push(finding);
        }
    }

    /// Whether the bound on errors is reached, so that looking for more is no use.
    pub fn is_full(&self) -> bool {
        self.errors >= self.most
    }

    /// Whether there was an error.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The findings, in the order in which they were found.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }
}

impl Extend<Diagnostic> for Findings {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, findings: I) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }
}

impl Source {
    /// Creates a source from a text and the name to show for it, usually its path.
    pub fn new(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Source {
        Source(Arc::new(Text { name: name.into(), octets: Zeroizing::new(text.into()), newlines: OnceLock::new() }))
    }

    /// Reads a file. Its path becomes the source's name.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Source> {
        let path = path.as_ref();
        Ok(Source::new(path.display().to_string(), std::fs::read(path)?))
    }

    /// The name of the text, usually its path.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The octets of the text.
    pub fn text(&self) -> &[u8] {
        &self.0.octets
    }

    /// The line and column of the octet at `at`; an offset beyond the end counts as the end.
    pub fn position(&self, at: usize) -> Position {
        let before = &self.text()[..at.min(self.text().len())];
        let line = 1 + self.newlines_before(before.len());
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Position { line, column: 1 + lossy(&before[line_start..]).chars().count() }
    }

    /// The place of a range of this text.
    pub fn place(&self, span: Range<usize>) -> Place {
        Place { source: self.clone(), span: Some(span) }
    }

    /// The text as a whole.
    pub fn whole(&self) -> Place {
        Place { source: self.clone(), span: None }
    }

    /// The number of newlines before an octet of the text, or before its end.
    fn newlines_before(&self, at: usize) -> usize {
        let count = |octets: &[u8]| memchr::memchr_iter(b'\n', octets).count();
        let blocks = self.0.newlines.get_or_init(|| {
            let mut sum = 0;
            let ends = self.text().chunks(BLOCK).map(|block| {
                sum += count(block);
                sum
            });
            iter::once(0).chain(ends).collect()
        });
        let block = at / BLOCK;
        blocks[block] + count(&self.text()[block * BLOCK..at])
    }

    /// The offset at which the line that holds `at` starts.
    fn line_start(&self, at: usize) -> usize {
        memchr::memrchr(b'\n', &self.text()[..at]).map_or(0, |newline| newline + 1)
    }

    /// The offset at which the line that holds `at` ends, before its newline.
    fn line_end(&self, at: usize) -> usize {
        memchr::memchr(b'\n', &self.text()[at..]).map_or(self.text().len(), |length| at + length)
    }
}

impl Diagnostic {
    /// Creates a finding at `span` of `source`.
    pub fn new(severity: Severity, source: &Source, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Self::at(severity, source.place(span), message)
    }

    /// A finding at a place.
    pub fn at(severity: Severity, place: Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity, message: message.into(), place, label: None, help: None, related: Vec::new() }
    }

    /// A finding about a file as a whole, such as one that cannot be read or written.
    pub fn of_file(severity: Severity, path: impl AsRef<Path>, message: impl Into<String>) -> Diagnostic {
        Self::at(severity, Source::new(path.as_ref().display().to_string(), "").whole(), message)
    }

    /// Creates an error at `span` of `source`.
    pub fn error(source: &Source, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Self::new(Severity::Error, source, span, message)
    }

    /// Creates a warning at `span` of `source`.
    pub fn warning(source: &Source, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Self::new(Severity::Warning, source, span, message)
    }

    /// Adds a label beside the underlined place.
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = Some(label.into());
        self
    }

    /// Adds what to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// Adds another place that explains the finding.
    pub fn related(mut self, place: Place, label: impl Into<String>) -> Diagnostic {
        self.related.push((place, label.into()));
        self
    }

    /// Whether the finding is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The one-line form without the severity, for logs that print the severity themselves.
    pub fn without_severity(&self) -> impl fmt::Display {
        struct Bare<'d>(&'d Diagnostic);
        impl fmt::Display for Bare<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write(f, "")
            }
        }
        Bare(self)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, severity: &str) -> fmt::Result {
        write!(f, "{}:", self.place.source.name())?;
        if let Some(Position { line, column }) = self.position() {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {severity}{}", self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }

    /// The line and column at which the place starts; `None` for a file as a whole.
    pub fn position(&self) -> Option<Position> {
        let Place { source, span } = &self.place;
        span.as_ref().map(|span| source.position(span.start))
    }

    fn report(&self) -> Group<'_> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut group = Group::with_title(level.primary_title(&self.message));
        let label = self.label.as_deref();
        group = show(group, &self.place, AnnotationKind::Primary, label);
        for (place, label) in &self.related {
            group = show(group, place, AnnotationKind::Context, Some(label));
        }
        match &self.help {
            Some(help) => group.element(Level::HELP.message(help)),
            None => group,
        }
    }
}

/// Adds the excerpt of a place, or only its name and position if the excerpt would be empty or too long to read.
fn show<'d>(group: Group<'d>, place: &'d Place, kind: AnnotationKind, label: Option<&'d str>) -> Group<'d> {
    /// The most octets of an excerpt. A longer line is not text that a person reads.
    const MOST: usize = 16 * 1024;
    let Place { source, span } = place;
    let text = source.text();
    let Some(span) = span else { return group.element(Origin::path(source.name())) };
    let start = span.start.min(text.len());
    let first = source.line_start(start);
    let mut end = span.end.clamp(start, text.len());
    let mut last = source.line_end(end.max(start + 1).min(text.len()).saturating_sub(1).max(start));
    if last - first > MOST {
        // Only the first line of such a long place is shown.
        last = source.line_end(start);
        end = end.min(last);
    }
    if last - first > MOST {
        let Position { line, column } = source.position(start);
        let origin = group.element(Origin::path(source.name()).line(line).char_column(column));
        return match label {
            Some(label) => origin.element(Level::NOTE.message(label)),
            None => origin,
        };
    }
    let before = lossy(&text[first..start]);
    let marked = lossy(&text[start..end]);
    let span = before.len()..before.len() + marked.len();
    let excerpt = before + &marked + lossy(&text[end..last.max(end)]).trim_end_matches('\r');
    let line = 1 + source.newlines_before(first);
    let snippet = Snippet::source(excerpt).path(source.name()).line_start(line);
    group.element(snippet.annotation(kind.span(span).label(label)))
}

/// Text that can be shown. Each octet that is not UTF-8 becomes U+FFFD, so that columns are those that editors count.
fn lossy(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// The one-line form: `file:line:column: error: message (help)`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &format!("{}: ", self.severity))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?}, {} octets)", self.name(), self.text().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source::new("db.example", "@ SOA a b 1 2 3 4 5\nwww A 192.0.2.256\n  TXT caf\u{e9} x\n")
    }

    #[test]
    fn an_error_reads_as_rustc_prints_it() {
        let source = source();
        let diagnostic = Diagnostic::error(&source, 26..37, "A address: `192.0.2.256` is no IPv4 address")
            .label("an octet is over 255")
            .help("write four numbers from 0 to 255 with dots between")
            .related(source.place(0..1), "in this zone");
        let expected = "\
error: A address: `192.0.2.256` is no IPv4 address
 --> db.example:2:7
  |
2 | www A 192.0.2.256
  |       ^^^^^^^^^^^ an octet is over 255
  |
 ::: db.example:1:1
  |
1 | @ SOA a b 1 2 3 4 5
  | - in this zone
  |
  = help: write four numbers from 0 to 255 with dots between
";
        assert_eq!(render([&diagnostic], Colour::Never), expected);
        assert!(render([&diagnostic], Colour::Always).contains("\x1b["));
        assert_eq!(
            diagnostic.to_string(),
            "db.example:2:7: error: A address: `192.0.2.256` is no IPv4 address (write four numbers from 0 to 255 with dots between)"
        );
    }

    #[test]
    fn one_mistake_in_three_letters_is_a_misspelling() {
        let meant = |word: &str| nearest(word, ["A", "type", "target", "ipv4Addresses"]);
        assert_eq!(
            ["TYEP", "typ", "tayrget", "trgt", "ipAdresses"].map(meant),
            [Some("type"), Some("type"), Some("target"), None, Some("ipv4Addresses")]
        );
        assert_eq!(["kyte", "tarpaulin"].map(meant), [None, None]);
    }

    #[test]
    fn columns_count_characters() {
        let source = source();
        let at = source.text().len() - 2;
        assert_eq!(source.position(at), Position { line: 3, column: 12 });
        assert_eq!(source.position(usize::MAX), Position { line: 4, column: 1 });
        assert_eq!(Source::new("x", b"\xff\xfe z".as_slice()).position(3), Position { line: 1, column: 4 });
    }

    #[test]
    fn every_place_of_a_long_text_is_on_its_line() {
        for length in [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let source = Source::new("x", "12\n".repeat(length).into_bytes()[..length].to_vec());
            for at in [0, 1, 2, 3, BLOCK - 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, length] {
                let (line, column) = (1 + at.min(length) / 3, 1 + at.min(length) % 3);
                assert_eq!(source.position(at), Position { line, column }, "{at} of {length}");
            }
        }
    }

    #[test]
    fn a_file_as_a_whole_has_no_position() {
        let diagnostic = Diagnostic::of_file(Severity::Error, "gone.zone", "cannot read it: no such file");
        assert_eq!(diagnostic.to_string(), "gone.zone: error: cannot read it: no such file");
        assert_eq!(diagnostic.without_severity().to_string(), "gone.zone: cannot read it: no such file");
        assert_eq!(render([&diagnostic], Colour::Never), "error: cannot read it: no such file\n--> gone.zone\n");
    }

    #[test]
    fn any_span_of_any_octets_can_be_shown() {
        let octets = b"\x00\x1b\tab\r\n\xc3\n\n\xc3\xa9\r\x7f\xff\xe2\x82";
        for source in [octets.as_slice(), b""].map(|octets| Source::new("x", octets)) {
            for start in 0..source.text().len() + 2 {
                for end in start..source.text().len() + 2 {
                    let diagnostic = Diagnostic::warning(&source, start..end, "m").label("l");
                    assert!(render([&diagnostic], Colour::Never).starts_with("warning: m\n"), "{start}..{end}");
                }
            }
        }
    }

    #[test]
    fn a_line_too_long_to_read_is_named_only() {
        let source = Source::new("long", [b"a\n".as_slice(), &vec![b'x'; 100_000]].concat());
        let rendered = render([&Diagnostic::error(&source, 50_002..50_003, "m").label("here")], Colour::Never);
        assert!(rendered.contains("long:2:50001") && rendered.contains("here"), "{rendered}");
        assert!(rendered.len() < 200);
    }
}
