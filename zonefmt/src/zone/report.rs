//! The result of parsing.

use std::ops::Range;

use super::FileFormat;
use crate::diagnostics::{Diagnostic, Place, Severity, Source};

/// One of the files of a zone. The zone file is the first; the others are numbered in the order in which they are
/// included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct FileId(pub(super) u32);

/// The place where an entry starts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Location {
    /// The file.
    pub file: FileId,
    /// The first octet of the entry's line.
    pub offset: usize,
}

/// The findings of parsing.
#[derive(Debug)]
pub struct Report {
    /// Errors and warnings, in the order in which they were found.
    pub diagnostics: Vec<Diagnostic>,
    /// The number of records passed to the sink.
    pub records: u64,
    /// The number of errors, including those over the limit on diagnostics.
    pub errors: usize,
    files: Vec<Source>,
    max: usize,
    warnings: usize,
}

impl Report {
    pub(super) fn new(source: &Source, max: usize) -> Report {
        let files = vec![source.clone()];
        Report { diagnostics: Vec::new(), records: 0, errors: 0, files, max, warnings: 0 }
    }

    /// Whether there were errors, so that the zone must not be used.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The number of warnings, including those over the limit on diagnostics.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// The place of the entry at a location, from its owner to its last token; the whole file if it is a raw one.
    pub fn entry(&self, location: Location) -> Place {
        let source = self.file(location.file);
        if FileFormat::of(source.text()) == FileFormat::Raw {
            return source.whole();
        }
        let mut tokens = Vec::new();
        let text = source.text().get(location.offset..).unwrap_or_default();
        let span = match super::lexer::Lexer::new(text).entry(&mut tokens) {
            Ok(Some(entry)) => {
                let start = tokens.first().map_or(0, |token| token.at - usize::from(token.quoted));
                location.offset + start..location.offset + entry.end
            }
            _ => location.offset..location.offset,
        };
        source.place(span)
    }

    /// The source of a file.
    pub fn file(&self, id: FileId) -> &Source {
        // A FileId is made by `add_file` of the same report.
        self.files.get(id.0 as usize).unwrap_or(&self.files[0])
    }

    /// Adds a finding, up to the limit.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let count = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
            Severity::Note => return self.diagnostics.push(diagnostic),
        };
        *count += 1;
        if *count <= self.max {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Sorts the findings by the files and places that they are about.
    pub(super) fn sort(&mut self) {
        let files = &self.files;
        let file_of = |place: &Place| files.iter().position(|file| file.name() == place.source.name());
        let start = |place: &Place| place.span.as_ref().map(|span| span.start);
        self.diagnostics.sort_by_cached_key(|diagnostic| (file_of(&diagnostic.place), start(&diagnostic.place)));
    }

    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.errors >= self.max
    }

    pub(super) fn add_file(&mut self, source: &Source) -> FileId {
        self.files.push(source.clone());
        FileId((self.files.len() - 1) as u32)
    }

    /// Adds an error in a record, and notes that parsing ends if there are too many.
    #[cold]
    pub(super) fn error(&mut self, place: Place, message: String, help: Option<String>) {
        let Place { source, span } = place.clone();
        self.push(Diagnostic { help, ..Diagnostic::at(Severity::Error, place, message) });
        if self.is_full() {
            let message = format!("{} errors: the rest of the zone was not read", self.errors);
            let end = source.text().len();
            let end = Place { span: span.map(|_| end..end), source };
            self.push(Diagnostic::at(Severity::Note, end, message));
        }
    }

    pub(super) fn warning(&mut self, source: &Source, span: Range<usize>, message: impl Into<String>) {
        self.push(Diagnostic::warning(source, span, message));
    }
}
