//! named.conf: a tree of statements, checked against the grammar of BIND 9.18.
//!
//! * [`lex`] and [`tree`] turn any text that has the form of named.conf, with the files it includes, into a compact
//!   tree.
//! * [`grammar`] has every statement, where it is allowed and which arguments it has, from the table `grammar.txt`.
//!   [`check`] walks the tree along the grammar, [`fit`] assigns parts to arguments, and [`values`] are the kinds of
//!   words.
//! * [`references`] finds the definitions that names refer to. [`rules`] check everything else that has to hold.
//! * [`mod@print`] turns the tree back into text.
//!
//! The result, a [`Conf`], has the form of BIND's grammar throughout, so its users need not check the form of single
//! statements again; they only need to know what each statement means. Verdicts are those of named-checkconf.

mod check;
mod fit;
mod grammar;
mod lex;
mod print;
mod references;
mod rules;
mod tree;
pub mod values;

#[cfg(test)]
mod print_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod verdict_tests;

pub use print::Secrets;
pub use rules::LOG_CATEGORIES;

use crate::diagnostics::{Diagnostic, Findings, Place, Severity, Source};
use grammar::GRAMMAR;
use references::Reference;
use std::{
    borrow::Cow,
    ffi::OsStr,
    io,
    net::IpAddr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};
use tree::{Includes, NO_ROW, Node, NodeKind, Tree};

/// The names of all statements that a block (`options`, `view`, `zone`, …) may contain, in alphabetical order. `top`
/// means the place outside of all blocks. The list is empty if there is no such block.
pub fn statements_of(block: &str) -> Vec<&'static str> {
    let place = GRAMMAR.place(block.as_bytes());
    let mut names: Vec<_> = place.into_iter().flat_map(|place| GRAMMAR.usable(place)).collect();
    names.sort_unstable();
    names
}

/// A configuration that has the form of BIND 9.18's grammar.
#[derive(Debug)]
pub struct Conf {
    tree: Tree,
    warnings: Vec<Diagnostic>,
}

/// Reads and checks a file and all files that it includes. Names of included files are relative to `options { directory
/// }` if that comes before the `include`, and otherwise to the current directory.
///
/// # Errors
/// All findings, at least one of them an error.
pub fn load(path: &Path) -> Result<Conf, Vec<Diagnostic>> {
    let source = Source::read(path).map_err(|error| {
        vec![Diagnostic::of_file(Severity::Error, path, format!("cannot read the configuration: {error}"))]
    })?;
    read(source, Includes::Follow)
}

/// The file and all files that it includes as they are now, the main file first, whatever their form. Included files that
/// cannot be read are left out.
///
/// # Errors
/// The main file cannot be read.
pub fn texts(path: &Path) -> io::Result<Vec<Source>> {
    let (tree, _) = tree::build(Source::read(path)?, Includes::Follow);
    Ok(tree.sources().cloned().collect())
}

/// Checks a text. An `include` in it is an error.
///
/// # Errors
/// All findings, at least one of them an error.
pub fn parse(source: Source) -> Result<Conf, Vec<Diagnostic>> {
    read(source, Includes::Refuse)
}

/// Checks `zone` statements that are added at run time, as `rndc addzone` sends them: a view may follow a zone's class.
///
/// # Errors
/// All findings, at least one of them an error.
pub fn parse_zones(source: Source) -> Result<Conf, Vec<Diagnostic>> {
    let (mut tree, mut findings) = tree::build(source, Includes::Refuse);
    check::check(&mut tree, grammar::Place::NEW_ZONES, &mut findings);
    judged(Conf { tree, warnings: Vec::new() }, None, findings)
}

/// Checks a text that others include: what it refers to may be defined elsewhere, and what it includes is not read.
///
/// # Errors
/// All findings, at least one of them an error.
pub fn parse_part(source: Source) -> Result<Conf, Vec<Diagnostic>> {
    let (mut tree, mut findings) = tree::build(source, Includes::Leave);
    check::check(&mut tree, grammar::Place::TOP, &mut findings);
    judged(Conf { tree, warnings: Vec::new() }, None, findings)
}

fn read(source: Source, includes: Includes) -> Result<Conf, Vec<Diagnostic>> {
    let (mut tree, mut findings) = tree::build(source, includes);
    let references = check::check(&mut tree, grammar::Place::TOP, &mut findings);
    judged(Conf { tree, warnings: Vec::new() }, Some(&references), findings)
}

/// Checks the rules for a configuration whose statements have been checked one by one. Definitions are looked for only
/// if `references` says that the configuration is a complete one.
fn judged(conf: Conf, references: Option<&[Reference]>, mut findings: Findings) -> Result<Conf, Vec<Diagnostic>> {
    if !findings.has_errors() {
        rules::check(&conf, references, &mut findings);
    }
    if findings.has_errors() {
        return Err(findings.into_diagnostics());
    }
    Ok(Conf { warnings: findings.into_diagnostics(), ..conf })
}

impl Conf {
    /// The statements outside of all blocks. Included ones are in the place of the `include`.
    pub fn statements(&self) -> Statements<'_> {
        Statements { conf: self, at: 0, end: self.tree.nodes.len() as u32 }
    }

    /// The findings that are not errors.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The names of the files that were read, the main file first.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.sources().map(|source| PathBuf::from(source.name()))
    }

    /// The files as they were read, the main file first.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.tree.sources()
    }

    fn node(&self, at: u32) -> Node {
        self.tree.nodes[at as usize]
    }
}

/// An iterator over adjacent statements, or over the elements of a list.
#[derive(Clone, Debug)]
pub struct Statements<'c> {
    conf: &'c Conf,
    at: u32,
    end: u32,
}

impl<'c> Statements<'c> {
    /// The first statement with this name.
    pub fn find(&self, name: &str) -> Option<Statement<'c>> {
        self.all(name).next()
    }

    /// All statements with this name.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = Statement<'c>> + use<'c, 'n> {
        self.clone().filter(move |statement| statement.name() == name)
    }
}

impl<'c> Iterator for Statements<'c> {
    type Item = Statement<'c>;

    fn next(&mut self) -> Option<Statement<'c>> {
        while self.at < self.end {
            let at = self.at;
            let node = self.conf.node(at);
            if node.kind == NodeKind::Statement {
                self.at = node.next;
                return Some(Statement { conf: self.conf, at });
            }
            // The statements of included files are inside the node.
            self.at += 1;
        }
        None
    }
}

/// A statement with its name, or an element of a list, which has no name.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'c> {
    conf: &'c Conf,
    at: u32,
}

impl<'c> Statement<'c> {
    /// The name of the statement as the grammar writes it; empty for an element of a list.
    pub fn name(self) -> &'static str {
        match self.conf.node(self.at).row {
            NO_ROW => "",
            row => GRAMMAR.row(row).name,
        }
    }

    /// The parts after the name.
    pub fn arguments(self) -> Parts<'c> {
        let mut parts = self.parts();
        if self.conf.node(self.at).row != NO_ROW {
            parts.next();
        }
        parts
    }

    /// The first argument.
    pub fn argument(self) -> Option<Part<'c>> {
        self.arguments().next()
    }

    /// The statements or elements of the statement's block; none if it has no block.
    pub fn block(self) -> Statements<'c> {
        let none = Statements { conf: self.conf, at: 0, end: 0 };
        self.arguments().find_map(Part::block).unwrap_or(none)
    }

    /// The place of the statement's name in the source.
    pub fn place(self) -> Place {
        self.conf.tree.place(self.conf.node(self.at + 1))
    }

    /// An error at the statement's name.
    pub fn error(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(Severity::Error, self.place(), message)
    }

    /// A warning at the statement's name.
    pub fn warning(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(Severity::Warning, self.place(), message)
    }

    fn may_stand_in(self, place: grammar::Place) -> bool {
        match self.conf.node(self.at).row {
            NO_ROW => false,
            row => GRAMMAR.row(row).places.contains(&place),
        }
    }

    fn parts(self) -> Parts<'c> {
        Parts { conf: self.conf, at: self.at + 1, end: self.conf.node(self.at).next }
    }
}

/// An iterator over the parts of a statement.
#[derive(Clone, Debug)]
pub struct Parts<'c> {
    conf: &'c Conf,
    at: u32,
    end: u32,
}

impl<'c> Parts<'c> {
    /// Takes an address or a prefix from the front: `192.0.2.1`, `10/8`.
    pub fn prefix(&mut self) -> Option<(IpAddr, u8)> {
        let mut rest = self.clone();
        let address = rest.next().filter(|part| part.kind() == NodeKind::Word)?;
        let mut after = rest.clone();
        let length = after.next().filter(|part| part.kind() == NodeKind::Slash).and_then(|_| after.next());
        let found = values::prefix(&address.text(), length.map(Part::text).as_deref()).ok()?;
        *self = if length.is_some() { after } else { rest };
        Some(found)
    }

    /// The part after a keyword, wherever the keyword is.
    pub fn behind(&self, keyword: &str) -> Option<Part<'c>> {
        let mut parts = self.clone();
        parts.find(|part| part.is(keyword))?;
        parts.next()
    }
}

impl<'c> Iterator for Parts<'c> {
    type Item = Part<'c>;

    fn next(&mut self) -> Option<Part<'c>> {
        let part = (self.at < self.end).then_some(Part { conf: self.conf, at: self.at })?;
        self.at = part.node().next;
        Some(part)
    }
}

/// A word, a quoted text, a mark or a block.
#[derive(Clone, Copy, Debug)]
pub struct Part<'c> {
    conf: &'c Conf,
    at: u32,
}

impl<'c> Part<'c> {
    /// The text of the part, without quotes.
    pub fn text(self) -> Cow<'c, [u8]> {
        let text = self.conf.tree.text(self.node());
        if self.is_quoted() { tree::unquoted(text) } else { text.into() }
    }

    /// The text of the part, as far as it can be shown.
    pub fn shown(self) -> String {
        String::from_utf8_lossy(&self.text()).into_owned()
    }

    /// Whether the part is in quotes.
    pub fn is_quoted(self) -> bool {
        self.kind() == NodeKind::Quoted
    }

    /// Whether the part is this word, in any case and without quotes. `!` counts as a word here.
    pub fn is(self, word: &str) -> bool {
        matches!(self.kind(), NodeKind::Word | NodeKind::Bang)
            && self.conf.tree.text(self.node()).eq_ignore_ascii_case(word.as_bytes())
    }

    /// The content of the part, if it is a block.
    pub fn block(self) -> Option<Statements<'c>> {
        let block = (self.kind() == NodeKind::Block).then(|| self.node())?;
        Some(Statements { conf: self.conf, at: self.at + 1, end: block.next })
    }

    /// The place of the part in the source.
    pub fn place(self) -> Place {
        self.conf.tree.place(self.node())
    }

    /// An error at this part.
    pub fn error(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(Severity::Error, self.place(), message)
    }

    /// The error at this part if there is no directory of this name.
    pub fn missing_directory(self) -> Option<Diagnostic> {
        let error = || self.error(format!("there is no directory `{}`", self.shown()));
        let help = "make it, or name the one that the zone files are in";
        (!Path::new(OsStr::from_bytes(&self.text())).is_dir()).then(|| error().help(help))
    }

    /// A warning at this part.
    pub fn warning(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(Severity::Warning, self.place(), message)
    }

    fn kind(self) -> NodeKind {
        self.node().kind
    }

    fn node(self) -> Node {
        self.conf.node(self.at)
    }
}
