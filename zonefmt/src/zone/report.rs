//! What parsing found.

use std::ops::Range;

use super::fault::Fault;
use crate::diagnostics::{Diagnostic, Place, Severity, Source};

/// One of the files of a zone: the zone file is the first, others are numbered as they are included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct FileId(pub(super) u32);

/// Where an entry starts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Location {
    /// The file.
    pub file: FileId,
    /// The first octet of the entry's line.
    pub offset: usize,
}

/// What parsing found.
#[derive(Debug)]
pub struct Report {
    /// Errors and warnings, in the order they were found.
    pub diagnostics: Vec<Diagnostic>,
    /// Records handed to the sink.
    pub records: u64,
    /// Errors, those beyond the bound on diagnostics included.
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

    /// Whether there were errors: the zone is not to be used.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Warnings, those beyond the bound on diagnostics included.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// The entry at a location, from its owner to its last token.
    pub fn entry(&self, location: Location) -> Place {
        let source = self.file(location.file);
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

    /// A file.
    pub fn file(&self, id: FileId) -> &Source {
        // A FileId is made by `add_file` of the same report.
        self.files.get(id.0 as usize).unwrap_or(&self.files[0])
    }

    /// Takes note of a finding, within the bound.
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

    /// Puts the findings in the order of the files and places they are about.
    pub(super) fn sort(&mut self) {
        let files = &self.files;
        let file_of = |place: &Place| files.iter().position(|file| file.name() == place.source.name());
        self.diagnostics.sort_by_cached_key(|diagnostic| (file_of(&diagnostic.place), diagnostic.place.span.start));
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

    /// Takes note of an error on the way to a record, and of the end if it is one too many.
    #[cold]
    pub(super) fn error(&mut self, source: &Source, fault: Fault) {
        let mut diagnostic = Diagnostic::error(source, fault.span, fault.message);
        diagnostic.help = fault.help;
        self.push(diagnostic);
        if self.is_full() {
            let message = format!("{} errors: the rest of the zone was not read", self.errors);
            let end = source.text().len();
            self.push(Diagnostic::new(Severity::Note, source, end..end, message));
        }
    }

    pub(super) fn warning(&mut self, source: &Source, span: Range<usize>, message: impl Into<String>) {
        self.push(Diagnostic::warning(source, span, message));
    }
}
