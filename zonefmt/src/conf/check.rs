//! Does every statement stand where it may, and take what it should? Walks the tree along the grammar, notes each
//! statement's row in its node, and reports what does not fit.

use super::{
    grammar::{Fate, GRAMMAR, Place, Shape, ValueKind},
    tree::{MAX_DIAGNOSTICS, Node, NodeKind, Tree},
    values::PrefixError,
};
use crate::diagnostics::{Diagnostic, Severity};

/// Checks a whole text, whose statements may stand in this place.
pub(super) fn check(tree: &mut Tree, place: Place, diagnostics: &mut Vec<Diagnostic>) {
    let end = tree.nodes.len() as u32;
    Checker { tree, diagnostics }.block(place, 0..end);
}

struct Checker<'c> {
    tree: &'c mut Tree,
    diagnostics: &'c mut Vec<Diagnostic>,
}

/// Nodes side by side, by index.
type Range = std::ops::Range<u32>;

/// An attempt to fit the parts of one statement, or of one element of a list.
#[derive(Default)]
struct Attempt {
    /// How far it came, in all alternatives.
    furthest: u32,
    /// What would have fitted there.
    expected: Vec<&'static Shape>,
    /// Why a part that was recognised is wrong all the same; no alternative is tried any more.
    wrong: Option<Diagnostic>,
}

impl Checker<'_> {
    fn block(&mut self, place: Place, nodes: Range) {
        let mut seen: Vec<(u16, u32)> = Vec::new();
        let mut at = nodes.start;
        while at < nodes.end && self.diagnostics.len() < MAX_DIAGNOSTICS {
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

    /// Gives the statement's row, if it may stand here.
    fn statement(&mut self, place: Place, at: u32) -> Option<u16> {
        let end = self.node(at).next;
        let name = self.node(at + 1);
        if name.kind != NodeKind::Word {
            let error = self.error(name, format!("a statement begins with its name, not with {}", self.found(name)));
            self.diagnostics.push(error);
            return None;
        }
        let Some(index) = GRAMMAR.find(place, self.tree.text(name)) else {
            let error = self.unknown(place, name);
            self.diagnostics.push(error);
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
        self.diagnostics.extend(about);
        if !gone {
            self.whole(&row.arguments, at + 2..end);
        }
        Some(index)
    }

    /// Fits all of a statement's parts to a shape.
    fn whole(&mut self, shape: &'static Shape, parts: Range) {
        let mut attempt = Attempt { furthest: parts.start, ..Attempt::default() };
        let fitted = self.fit(shape, parts.clone(), &mut attempt);
        if fitted == Some(parts.end) {
            return;
        }
        let error = attempt.wrong.take().unwrap_or_else(|| {
            // What did fit may be followed by something that has no place.
            attempt.reach(fitted.unwrap_or(parts.start), None);
            self.misfit(parts, &attempt)
        });
        self.diagnostics.push(error);
    }

    /// Fits a shape to the first of `parts`; gives where it ends.
    fn fit(&mut self, shape: &'static Shape, parts: Range, attempt: &mut Attempt) -> Option<u32> {
        let first = (parts.start < parts.end).then(|| self.node(parts.start));
        match shape {
            Shape::Sequence(shapes) => {
                shapes.iter().try_fold(parts.start, |at, shape| self.fit(shape, at..parts.end, attempt))
            }
            Shape::OneOf(shapes) => shapes
                .iter()
                .find_map(|shape| if attempt.wrong.is_some() { None } else { self.fit(shape, parts.clone(), attempt) }),
            Shape::Optional(shape) => self
                .fit(shape, parts.clone(), attempt)
                .or_else(|| (attempt.wrong.is_none() && attempt.furthest <= parts.start).then_some(parts.start)),
            Shape::AnyOf(shapes) => self.any_of(shapes, parts, attempt),
            Shape::Defined(index) => self.fit(GRAMMAR.definition(*index), parts, attempt),
            Shape::List(element, many) => {
                let node =
                    first.filter(|node| node.kind == NodeKind::Block).or_else(|| attempt.miss(parts.start, shape))?;
                self.list(element, *many, parts.start + 1..node.next);
                Some(node.next)
            }
            Shape::Block(place) => {
                let node =
                    first.filter(|node| node.kind == NodeKind::Block).or_else(|| attempt.miss(parts.start, shape))?;
                self.block(*place, parts.start + 1..node.next);
                Some(node.next)
            }
            Shape::Keyword(word) => match first {
                Some(node) if self.tree.is_keyword(node, word) => Some(node.next),
                _ => attempt.miss(parts.start, shape),
            },
            Shape::Value(kind) => {
                self.value(*kind, parts.clone(), attempt).or_else(|| attempt.miss(parts.start, shape))
            }
        }
    }

    /// Any of the shapes in any order, each once; none is fine too.
    fn any_of(&mut self, shapes: &'static [Shape], parts: Range, attempt: &mut Attempt) -> Option<u32> {
        let mut used = 0u64;
        let mut at = parts.start;
        loop {
            let next =
                shapes.iter().enumerate().filter(|(index, _)| used & 1 << index == 0).find_map(|(index, shape)| {
                    if attempt.wrong.is_some() { None } else { Some((index, self.fit(shape, at..parts.end, attempt)?)) }
                });
            match next {
                Some((index, end)) => {
                    used |= 1 << index;
                    at = end;
                }
                None => return (attempt.wrong.is_none() && attempt.furthest <= at).then_some(at),
            }
        }
    }

    /// The elements of a list, each by itself.
    fn list(&mut self, element: &'static Shape, many: bool, nodes: Range) {
        let mut at = nodes.start;
        while at < nodes.end && self.diagnostics.len() < MAX_DIAGNOSTICS {
            let node = self.node(at);
            if node.kind == NodeKind::Include {
                let error = self.error(node, "a list cannot include a file".into());
                self.diagnostics
                    .push(error.help("`include` the whole statement, or write an `acl` that the list names"));
            } else {
                self.whole(element, at + 1..node.next);
            }
            if !many && at > nodes.start {
                let error = self.error(node, "one element is all that this list may have".into());
                self.diagnostics.push(error.help("remove the others"));
            }
            at = node.next;
        }
    }

    fn value(&self, kind: ValueKind, parts: Range, attempt: &mut Attempt) -> Option<u32> {
        match self.tree.value_end(kind, parts.clone()) {
            Ok(end) => Some(end),
            Err(None | Some(PrefixError::NotAnAddress)) => None,
            Err(Some(PrefixError::Length)) => {
                // It has an address, a slash and a length.
                let longest = if self.tree.text(self.node(parts.start)).contains(&b':') { 128 } else { 32 };
                let error = self.error(self.node(parts.start + 2), "no length of a prefix".into());
                attempt.wrong = Some(error.help(format!("write a number from 0 to {longest}")));
                None
            }
            Err(Some(PrefixError::Bits)) => {
                let message = "the address has bits set beyond the prefix's length";
                let error = self.error(self.node(parts.start), message.into());
                attempt.wrong = Some(error.help("set them to zero, or make the prefix longer"));
                None
            }
        }
    }

    fn node(&self, at: u32) -> Node {
        self.tree.nodes[at as usize]
    }
}

/// What is wrong, in words.
impl Checker<'_> {
    /// A statement of a name that has no meaning here.
    fn unknown(&self, place: Place, name: Node) -> Diagnostic {
        let text = self.tree.text(name);
        let shown = show(text);
        let mut elsewhere: Vec<_> =
            GRAMMAR.elsewhere(text).filter(|row| row.fate != Fate::Gone).flat_map(|row| &row.places).collect();
        elsewhere.retain(|&&place| place != Place::NEW_ZONES);
        elsewhere.dedup();
        let here = if [Place::TOP, Place::NEW_ZONES].contains(&place) {
            "outside of all blocks".into()
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
        self.diagnostics
            .push(error.label("again here").related(self.tree.place(first), "first here").help("remove one of them"));
    }

    /// Parts that do not fit.
    fn misfit(&self, parts: Range, attempt: &Attempt) -> Diagnostic {
        let mut expected: Vec<String> = attempt.expected.iter().map(|shape| describe(shape)).collect();
        let mut known = std::collections::HashSet::new();
        expected.retain(|description| known.insert(description.clone()));
        let at = attempt.furthest;
        if at >= parts.end {
            // A statement has its name at least, and an element of a list has a part.
            let place = self.tree.place_after(self.node(parts.end - 1));
            let message = format!("{} is missing", either(&expected));
            return Diagnostic::error(&place.source, place.span, message);
        }
        let node = self.node(at);
        let found = self.found(node);
        if expected.is_empty() {
            let error = self.error(node, format!("{found} is too much here"));
            return if node.kind == NodeKind::Word { error.help("is a `;` missing before it?") } else { error };
        }
        let error = self.error(node, format!("{} is expected, not {found}", either(&expected)));
        let keywords = attempt.expected.iter().filter_map(|shape| match shape {
            Shape::Keyword(word) => Some(*word),
            _ => None,
        });
        let text = show(self.tree.text(node));
        if node.kind == NodeKind::Word
            && attempt.expected.iter().any(|shape| matches!(shape, Shape::Value(ValueKind::Quoted)))
        {
            return error.help(format!("write `\"{text}\"`"));
        }
        match nearest(&text, keywords) {
            Some(similar) => error.help(format!("did you mean `{similar}`?")),
            None => error,
        }
    }

    fn found(&self, node: Node) -> String {
        match node.kind {
            NodeKind::Block => "a block".into(),
            NodeKind::Quoted => format!("`\"{}\"`", show(self.tree.text(node))),
            _ => format!("`{}`", show(self.tree.text(node))),
        }
    }

    fn error(&self, node: Node, message: String) -> Diagnostic {
        let place = self.tree.place(node);
        Diagnostic::error(&place.source, place.span, message)
    }

    fn warning(&self, node: Node, message: String) -> Diagnostic {
        let place = self.tree.place(node);
        Diagnostic::warning(&place.source, place.span, message)
    }
}

impl Attempt {
    /// Notes that `shape` does not fit at `at`.
    fn miss<T>(&mut self, at: u32, shape: &'static Shape) -> Option<T> {
        self.reach(at, Some(shape));
        None
    }

    fn reach(&mut self, at: u32, expected: Option<&'static Shape>) {
        if at > self.furthest {
            self.furthest = at;
            self.expected.clear();
        }
        if at == self.furthest {
            self.expected.extend(expected);
        }
    }
}

fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Keyword(word) => format!("`{word}`"),
        Shape::Value(kind) => kind.description().to_owned(),
        Shape::List(..) | Shape::Block(_) => "`{`".to_owned(),
        // Only what consumes something is noted as missing.
        _ => String::new(),
    }
}

/// `a`, `a or b`, `a, b or c`.
fn either(choices: &[String]) -> String {
    match choices {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Text as messages show it.
fn show(text: &[u8]) -> String {
    const LONGEST: usize = 60;
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into_owned(),
    }
}

/// The known word that a person probably meant.
fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let word = word.to_ascii_lowercase();
    let most = word.chars().count() / 3;
    known
        .map(|known| (strsim::damerau_levenshtein(&word, known), known))
        .filter(|&(distance, _)| distance <= most.max(1))
        .min()
        .map(|(_, known)| known)
}
