//! Checks that every statement is in a place where it is allowed and has arguments that its grammar accepts. The check
//! walks the tree along the grammar, notes the row of each statement in its node, and reports mistakes.

use super::{
    fit::{Match, Misfit},
    grammar::{Fate, GRAMMAR, Place, Shape, ValueKind},
    references::Reference,
    tree::{Node, NodeKind, Tree},
    values::PrefixError,
};
use crate::{
    Name,
    diagnostics::{Diagnostic, Findings, Severity, nearest},
};

/// Checks a whole text, whose statements must be allowed in `place`. Returns the names in it that refer to definitions.
pub(super) fn check(tree: &mut Tree, place: Place, findings: &mut Findings) -> Vec<Reference> {
    let end = tree.nodes.len() as u32;
    let mut checker = Checker { tree, findings, within: 0, references: Vec::new() };
    checker.block(place, 0..end);
    checker.references
}

struct Checker<'c> {
    tree: &'c mut Tree,
    findings: &'c mut Findings,
    /// The statement outside of all blocks that is being checked.
    within: u32,
    references: Vec<Reference>,
}

/// Adjacent nodes, by index.
type Range = std::ops::Range<u32>;

impl Checker<'_> {
    fn block(&mut self, place: Place, nodes: Range) {
        let mut seen: Vec<(u16, u32)> = Vec::new();
        let mut at = nodes.start;
        while at < nodes.end && !self.findings.is_full() {
            let node = self.node(at);
            if node.kind == NodeKind::Include {
                at += 1;
                continue;
            }
            if let Some(row) = self.statement(place, at)
                && !GRAMMAR.row(row).many
            {
                match seen.iter().find(|&&(other, _)| other == row) {
                    Some(&(_, first)) => self.repeated(at + 1, first + 1),
                    None => seen.push((row, at)),
                }
            }
            at = node.next;
        }
    }

    /// Finds the row of a statement, if the statement is allowed here.
    fn statement(&mut self, place: Place, at: u32) -> Option<u16> {
        if place == Place::TOP {
            self.within = at;
        }
        let end = self.node(at).next;
        let name = self.node(at + 1);
        if name.kind != NodeKind::Word {
            let error = self.error(name, format!("a statement begins with its name, not with {}", self.found(name)));
            self.findings.push(error);
            return None;
        }
        let Some(index) = GRAMMAR.find(place, self.tree.text(name)) else {
            let error = self.unknown(place, name);
            self.findings.push(error);
            return None;
        };
        self.tree.nodes[at as usize].row = index;
        let row = GRAMMAR.row(index);
        let about = match row.fate {
            Fate::Current | Fate::Ours => None,
            Fate::Deprecated => Some(self.warning(name, format!("`{}` is deprecated", row.name))),
            Fate::Obsolete => {
                let warning = self.warning(name, format!("`{}` has no effect any more", row.name));
                Some(warning.help("remove it"))
            }
            Fate::Gone => Some(self.error(name, format!("`{}` no longer exists", row.name)).help("remove it")),
            Fate::Unbuilt => Some(self.error(name, format!("`{}`: this server has no such feature", row.name))),
        };
        let gone = about.as_ref().is_some_and(|about| about.severity == Severity::Error);
        self.findings.extend(about);
        if !gone {
            self.whole(&row.arguments, at + 2..end);
        }
        Some(index)
    }

    /// Fits all parts of a statement to a shape.
    fn whole(&mut self, shape: &'static Shape, parts: Range) {
        let found = match self.tree.fit(shape, parts.clone()) {
            Ok(found) => found,
            Err(misfit) => return self.findings.push(self.misfit(parts, &misfit)),
        };
        for Match { shape, parts } in found {
            match shape {
                Shape::List(element, many) => self.list(element, *many, parts.start + 1..parts.end),
                Shape::Block(place) => self.block(*place, parts.start + 1..parts.end),
                Shape::Value(kind) => self.value(*kind, parts.start),
                _ => {}
            }
        }
    }

    /// Checks a text that has a meaning of its own.
    fn value(&mut self, kind: ValueKind, part: u32) {
        match kind {
            ValueKind::Name => {
                let node = self.node(part);
                let text = self.tree.text(node);
                if let Err(error) = Name::from_ascii(text) {
                    let error = self.error(node, format!("`{}` is no domain name: {error}", show(text)));
                    self.findings.push(error);
                }
            }
            ValueKind::NameOf(kind) => self.references.push(Reference { kind, part, within: self.within }),
            _ => {}
        }
    }

    /// Checks the elements of a list one by one.
    fn list(&mut self, element: &'static Shape, many: bool, nodes: Range) {
        let mut at = nodes.start;
        while at < nodes.end && !self.findings.is_full() {
            let node = self.node(at);
            if node.kind == NodeKind::Include {
                let error = self.error(node, "a list cannot include a file".into());
                self.findings.push(error.help("`include` the whole statement, or write an `acl` that the list names"));
            } else {
                self.whole(element, at + 1..node.next);
            }
            if !many && at > nodes.start {
                let error = self.error(node, "one element is all that this list may have".into());
                self.findings.push(error.help("remove the others"));
            }
            at = node.next;
        }
    }

    fn node(&self, at: u32) -> Node {
        self.tree.nodes[at as usize]
    }
}

/// The messages for what is wrong.
impl Checker<'_> {
    /// The error for a statement whose name is not known here.
    fn unknown(&self, place: Place, name: Node) -> Diagnostic {
        let text = self.tree.text(name);
        let shown = show(text);
        let mut elsewhere: Vec<_> =
            GRAMMAR.elsewhere(text).filter(|row| row.fate != Fate::Gone).flat_map(|row| &row.places).collect();
        elsewhere.retain(|&&place| place != Place::NEW_ZONES);
        elsewhere.dedup();
        let here = if [Place::TOP, Place::NEW_ZONES].contains(&place) {
            "outside of all blocks".into()
        } else if GRAMMAR.is_zone(place) {
            format!("in a {} zone", GRAMMAR.place_name(place))
        } else {
            format!("in `{}`", GRAMMAR.place_name(place))
        };
        if !elsewhere.is_empty() {
            let places: Vec<_> = elsewhere
                .into_iter()
                .map(|&place| match place {
                    Place::TOP => "outside of all blocks".to_owned(),
                    place if GRAMMAR.is_zone(place) => format!("in a {} zone", GRAMMAR.place_name(place)),
                    place => format!("in `{}`", GRAMMAR.place_name(place)),
                })
                .collect();
            let error = self.error(name, format!("`{shown}` has no meaning {here}"));
            return error.help(format!("it stands {}", either(&places)));
        }
        let error = self.error(name, format!("unknown statement `{shown}` {here}"));
        match nearest(&shown, GRAMMAR.names(place)) {
            Some(similar) => error.help(format!("did you mean `{similar}`?")),
            None => error,
        }
    }

    fn repeated(&mut self, name: u32, first: u32) {
        let (name, first) = (self.node(name), self.node(first));
        let error = self.error(name, format!("`{}` is there already", show(self.tree.text(name))));
        self.findings
            .push(error.label("again here").related(self.tree.place(first), "first here").help("remove one of them"));
    }

    /// The error for parts that do not fit.
    fn misfit(&self, parts: Range, misfit: &Misfit) -> Diagnostic {
        if let Some((at, error)) = misfit.prefix {
            return self.no_prefix(at, error);
        }
        let mut expected: Vec<String> = misfit.expected.iter().map(|shape| describe(shape)).collect();
        let mut known = std::collections::HashSet::new();
        expected.retain(|description| known.insert(description.clone()));
        let at = misfit.at;
        if at >= parts.end {
            // A statement has at least its name, and an element of a list at least one part.
            let place = self.tree.place_after(self.node(parts.end - 1));
            let message = format!("{} is missing", either(&expected));
            return Diagnostic::at(Severity::Error, place, message);
        }
        let node = self.node(at);
        let found = self.found(node);
        if expected.is_empty() {
            let error = self.error(node, format!("{found} is too much here"));
            return if node.kind == NodeKind::Word { error.help("is a `;` missing before it?") } else { error };
        }
        let error = self.error(node, format!("{} is expected, not {found}", either(&expected)));
        let keywords = misfit.expected.iter().filter_map(|shape| match shape {
            Shape::Keyword(word) => Some(*word),
            _ => None,
        });
        let text = show(self.tree.text(node));
        if node.kind == NodeKind::Word
            && misfit.expected.iter().any(|shape| matches!(shape, Shape::Value(ValueKind::Quoted)))
        {
            return error.help(format!("write `\"{text}\"`"));
        }
        match nearest(&text, keywords) {
            Some(similar) => error.help(format!("did you mean `{similar}`?")),
            None => error,
        }
    }

    /// The error for a part that looks like a prefix, an address with a slash and a length, but is not valid.
    fn no_prefix(&self, at: u32, error: PrefixError) -> Diagnostic {
        if error == PrefixError::Bits {
            let message = "the address has bits set beyond the prefix's length";
            return self.error(self.node(at), message.into()).help("set them to zero, or make the prefix longer");
        }
        if error == PrefixError::Incomplete {
            let error = self.error(self.node(at), "an incomplete IPv4 address or prefix".into());
            return error.help("write all four numbers, or add a length, as in `10.1/16`");
        }
        let longest = if self.tree.text(self.node(at)).contains(&b':') { 128 } else { 32 };
        let error = self.error(self.node(at + 2), "no length of a prefix".into());
        error.help(format!("write a number from 0 to {longest}"))
    }

    fn found(&self, node: Node) -> String {
        match node.kind {
            NodeKind::Block => "a block".into(),
            NodeKind::Quoted => format!("`\"{}\"`", show(self.tree.text(node))),
            _ => format!("`{}`", show(self.tree.text(node))),
        }
    }

    fn error(&self, node: Node, message: String) -> Diagnostic {
        Diagnostic::at(Severity::Error, self.tree.place(node), message)
    }

    fn warning(&self, node: Node, message: String) -> Diagnostic {
        Diagnostic::at(Severity::Warning, self.tree.place(node), message)
    }
}

fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Keyword(word) => format!("`{word}`"),
        Shape::Value(kind) => kind.description().to_owned(),
        Shape::List(..) | Shape::Block(_) => "`{`".to_owned(),
        // Only shapes that consume something are noted as missing.
        _ => String::new(),
    }
}

/// Joins choices as `a`, `a or b`, `a, b or c`.
fn either(choices: &[String]) -> String {
    match choices {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Text as it is shown in messages.
fn show(text: &[u8]) -> String {
    const LONGEST: usize = 60;
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into_owned(),
    }
}
