//! The tree of statements, stored flat: every node is followed by its content, and knows where that ends.
//!
//! Positions count through all sources as if these were one long text, so that a node takes 16 octets and a hundred
//! thousand zones take a few megabytes. The node of an `include` contains the statements of the included files; walks
//! that step into it see them in its place.

use super::lex::{Kind, Lexer, Token, Unclosed};
use crate::diagnostics::{Diagnostic, Findings, Place, Severity, Source};
use std::{
    borrow::Cow,
    ffi::OsStr,
    ops::Range,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The most files that may include one another.
const MAX_INCLUDES: usize = 16;

/// The most blocks that may be nested.
const MAX_NESTING: usize = 64;

/// The most octets of all sources together; positions have 32 bits.
const MAX_OCTETS: usize = 1 << 30;

/// The most findings that are reported for one configuration.
const MAX_FINDINGS: usize = 100;

/// The row of statements that the grammar does not know, and of elements of lists.
pub(super) const NO_ROW: u16 = u16::MAX;

/// A part of the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    start: u32,
    end: u32,
    /// The index of the first node after this one and its content.
    pub(super) next: u32,
    /// The row of the grammar, for a statement that the grammar knows.
    pub(super) row: u16,
    pub(super) kind: NodeKind,
}

/// The kind of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NodeKind {
    /// A statement up to its semicolon: words, quoted texts, marks and blocks.
    Statement,
    /// `{ … }`, which contains statements.
    Block,
    /// `include "…"`, which contains the statements of the files.
    Include,
    Word,
    Quoted,
    Bang,
    Slash,
}

/// Sources, and the nodes made from them.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Each source, with the position of its first octet.
    sources: Vec<(u32, Source)>,
    pub(super) nodes: Vec<Node>,
}

/// What `include` does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Includes {
    /// Reads the files, relative to `directory` if that is known by then, and otherwise to the current directory.
    Follow,
    /// Is an error.
    Refuse,
    /// Reads nothing.
    Leave,
}

/// Builds the tree. Parts that cannot be read are left out and reported.
pub(super) fn build(source: Source, includes: Includes) -> (Tree, Findings) {
    let mut builder = Builder {
        tree: Tree::default(),
        findings: Findings::up_to(MAX_FINDINGS),
        includes,
        directory: PathBuf::new(),
        depth: 0,
        nesting: 0,
        octets: 0,
    };
    builder.source(source);
    (builder.tree, builder.findings)
}

impl Tree {
    /// The text of a node. For a quoted one this is the text between the quotes, with its escapes.
    pub(super) fn text(&self, node: Node) -> &[u8] {
        let (base, source) = self.source(node.start);
        let text = &source.text()[(node.start - base) as usize..(node.end - base) as usize];
        if node.kind == NodeKind::Quoted { &text[1..text.len() - 1] } else { text }
    }

    /// The place of a node in its source.
    pub(super) fn place(&self, node: Node) -> Place {
        let (base, source) = self.source(node.start);
        source.place((node.start - base) as usize..(node.end - base) as usize)
    }

    /// The point just after a node.
    pub(super) fn place_after(&self, node: Node) -> Place {
        let (base, source) = self.source(node.start);
        let end = (node.end - base) as usize;
        source.place(end..end)
    }

    /// The sources, the main one first.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().map(|(_, source)| source)
    }

    fn source(&self, position: u32) -> (u32, &Source) {
        // A tree with a node has the source that the node is in, and the first source starts at 0.
        let at = self.sources.partition_point(|&(base, _)| base <= position) - 1;
        let (base, source) = &self.sources[at];
        (*base, source)
    }
}

struct Builder {
    tree: Tree,
    findings: Findings,
    includes: Includes,
    /// The value of `options { directory }`, once that has been read.
    directory: PathBuf,
    /// How many files are being read, one inside the other.
    depth: usize,
    /// How many blocks are open, in all of these files.
    nesting: usize,
    /// The octets of all sources.
    octets: usize,
}

/// A source while it is read, and what is open in it.
struct Reading {
    source: Source,
    base: u32,
    /// The statement that the next token belongs to.
    statement: Option<usize>,
    /// The open blocks, each with the statement that contains it.
    blocks: Vec<(usize, usize)>,
    /// The end of the last token.
    end: usize,
}

impl Builder {
    fn source(&mut self, source: Source) {
        // The end of a text has a position too.
        let octets = source.text().len() + 1;
        if octets > MAX_OCTETS - self.octets {
            let message = "the configuration is over 1 GiB in all";
            return self.report(Diagnostic::at(Severity::Error, source.whole(), message));
        }
        let base = self.octets as u32;
        self.octets += octets;
        self.tree.sources.push((base, source.clone()));
        let mut reading = Reading { source, base, statement: None, blocks: Vec::new(), end: 0 };
        self.read(&mut reading);
        // Reading may have stopped anywhere, so close what is open.
        if let Some(statement) = reading.statement {
            self.finish(&reading, statement);
        }
        for &(block, statement) in reading.blocks.iter().rev() {
            self.nesting -= 1;
            self.finish(&reading, block);
            self.finish(&reading, statement);
        }
    }

    /// Reads to the end, or to a mistake after which reading on makes no sense.
    fn read(&mut self, reading: &mut Reading) {
        let source = reading.source.clone();
        let mut lexer = Lexer::new(source.text());
        while !self.findings.is_full() {
            let Token { kind, span } = match lexer.token() {
                Ok(token) => token,
                Err(unclosed) => {
                    return self.report(unclosed_error(&source, &unclosed));
                }
            };
            let end = span.end;
            match kind {
                Kind::Word => self.part(reading, span, NodeKind::Word),
                Kind::Quoted => self.part(reading, span, NodeKind::Quoted),
                Kind::Bang => self.part(reading, span, NodeKind::Bang),
                Kind::Slash => self.part(reading, span, NodeKind::Slash),
                Kind::Open if self.nesting < MAX_NESTING => self.open(reading, span),
                Kind::Open => {
                    let message = format!("blocks are nested more than {MAX_NESTING} deep");
                    return self.report(Diagnostic::error(&source, span, message));
                }
                Kind::Close => self.close(reading, span),
                Kind::Semicolon if reading.statement.is_some() => self.end_statement(reading),
                Kind::Semicolon => {
                    let error = Diagnostic::error(&source, span, "a `;` without a statement before it");
                    self.report(error.help("remove it"));
                }
                Kind::End => return self.end(reading),
            }
            reading.end = end;
        }
    }

    fn part(&mut self, reading: &mut Reading, span: Range<usize>, kind: NodeKind) {
        self.statement(reading, span.start);
        self.push(reading, span, kind);
    }

    fn open(&mut self, reading: &mut Reading, span: Range<usize>) {
        let statement = self.statement(reading, span.start);
        reading.blocks.push((self.tree.nodes.len(), statement));
        self.push(reading, span, NodeKind::Block);
        reading.statement = None;
        self.nesting += 1;
    }

    fn close(&mut self, reading: &mut Reading, span: Range<usize>) {
        if reading.statement.is_some() {
            self.missing_semicolon(reading, "a `;` is missing before the `}`");
            self.end_statement(reading);
        }
        match reading.blocks.pop() {
            Some((block, statement)) => {
                self.nesting -= 1;
                reading.end = span.end;
                self.finish(reading, block);
                reading.statement = Some(statement);
            }
            None => {
                let error = Diagnostic::error(&reading.source, span, "this `}` closes nothing");
                self.report(error.help("remove it, or look for a `}` too many before it"));
            }
        }
    }

    fn end(&mut self, reading: &mut Reading) {
        if reading.statement.is_some() {
            self.missing_semicolon(reading, "a `;` is missing at the end of the file");
            self.end_statement(reading);
        }
        if let Some(&(block, _)) = reading.blocks.last() {
            let at = (self.tree.nodes[block].start - reading.base) as usize;
            let error = Diagnostic::error(&reading.source, at..at + 1, "this `{` is never closed");
            self.report(error.help("close it with `};`"));
        }
    }

    /// The statement that a token at `start` belongs to. If none is open, one begins with this token.
    fn statement(&mut self, reading: &mut Reading, start: usize) -> usize {
        if let Some(statement) = reading.statement {
            return statement;
        }
        let statement = self.tree.nodes.len();
        reading.statement = Some(statement);
        self.push(reading, start..start, NodeKind::Statement);
        statement
    }

    fn push(&mut self, reading: &Reading, span: Range<usize>, kind: NodeKind) {
        // An octet of text makes two nodes at most, so that MAX_OCTETS also bounds the nodes.
        let next = self.tree.nodes.len() as u32 + 1;
        let (start, end) = (reading.base + span.start as u32, reading.base + span.end as u32);
        self.tree.nodes.push(Node { start, end, next, row: NO_ROW, kind });
    }

    /// Ends a node at the current position.
    fn finish(&mut self, reading: &Reading, node: usize) {
        let next = self.tree.nodes.len() as u32;
        let node = &mut self.tree.nodes[node];
        node.end = reading.base + reading.end as u32;
        node.next = next;
    }

    fn end_statement(&mut self, reading: &mut Reading) {
        let Some(statement) = reading.statement.take() else { return };
        self.finish(reading, statement);
        let [keyword, value] = self.tree.nodes[statement + 1..] else { return };
        if keyword.kind != NodeKind::Word || value.kind != NodeKind::Quoted {
            return;
        }
        let keyword = self.tree.text(keyword);
        if keyword.eq_ignore_ascii_case(b"include") {
            self.include(statement, value);
        } else if keyword.eq_ignore_ascii_case(b"directory") && self.is_in_options(reading) {
            self.directory = self.directory.join(path(&unquoted(self.tree.text(value))));
        }
    }

    fn is_in_options(&self, reading: &Reading) -> bool {
        let [(_, statement)] = reading.blocks[..] else { return false };
        self.tree.text(self.tree.nodes[statement + 1]).eq_ignore_ascii_case(b"options")
    }

    /// Puts the content of files in the place of an `include` statement.
    fn include(&mut self, statement: usize, value: Node) {
        let place = self.tree.place(value);
        self.tree.nodes.truncate(statement + 1);
        self.tree.nodes[statement].kind = NodeKind::Include;
        self.tree.nodes[statement].next = self.tree.nodes.len() as u32;
        let error = |message: String| Diagnostic::at(Severity::Error, place.clone(), message);
        if self.includes == Includes::Refuse {
            return self.report(error("`include` has no meaning in a text that is no file".into()));
        }
        if self.includes == Includes::Leave {
            return;
        }
        if self.depth == MAX_INCLUDES {
            let error = error(format!("files include one another more than {MAX_INCLUDES} deep"));
            return self.report(error.help("does a file include itself?"));
        }
        let pattern = self.directory.join(path(&unquoted(self.tree.text(value))));
        let files = match matching(&pattern) {
            Ok(files) => files,
            Err(cause) => return self.report(error(cause)),
        };
        self.depth += 1;
        for file in files {
            match Source::read(&file) {
                Ok(source) => self.source(source),
                Err(cause) => self.report(error(format!("cannot read {}: {cause}", file.display()))),
            }
        }
        self.depth -= 1;
        self.tree.nodes[statement].next = self.tree.nodes.len() as u32;
    }

    fn missing_semicolon(&mut self, reading: &Reading, message: &str) {
        let error = Diagnostic::error(&reading.source, reading.end..reading.end, message);
        self.report(error.label("add `;` here"));
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.findings.push(diagnostic);
    }
}

/// Resolves the escapes in a text from between quotes: `\"` is a quote, and any other `\` stands for itself.
pub(super) fn unquoted(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memmem::find(text, b"\\\"").is_none() {
        return text.into();
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut octets = text.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        match (octet, octets.peek()) {
            (b'\\', Some(b'"')) => {}
            (b'\\', Some(b'\\')) => plain.extend([octet, octets.next().unwrap_or(octet)]),
            _ => plain.push(octet),
        }
    }
    plain.into()
}

fn path(octets: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(octets))
}

/// The files that a name with `*`, `?` and `[…]` means, in alphabetical order.
fn matching(name: &Path) -> Result<Vec<PathBuf>, String> {
    if !name.as_os_str().as_bytes().iter().any(|octet| b"*?[".contains(octet)) {
        return Ok(vec![name.to_owned()]);
    }
    let pattern = name.to_str().ok_or("a name with wildcards has to be UTF-8")?;
    let files = glob::glob(pattern).map_err(|error| format!("`{pattern}` is no pattern: {}", error.msg))?;
    let files: Vec<_> = files.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if files.is_empty() { Err(format!("no file matches `{pattern}`")) } else { Ok(files) }
}

fn unclosed_error(source: &Source, unclosed: &Unclosed) -> Diagnostic {
    match *unclosed {
        Unclosed::Comment(at) => {
            Diagnostic::error(source, at..at + 2, "this comment is never closed").help("close it with `*/`")
        }
        Unclosed::Quote(at) => {
            Diagnostic::error(source, at..at + 1, "this quote is never closed").help("close it with `\"`")
        }
    }
}
