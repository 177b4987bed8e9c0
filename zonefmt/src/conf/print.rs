//! A configuration as canonical text: what `named-checkconf -p` prints of it. Statements stand in the order of BIND's
//! tables, included ones in their place; each value has one spelling; comments are gone.
//!
//! Fits each statement to its shape once more, this time to find out what its parts are.

use std::ops::Range;

use super::{
    Conf, Statement,
    grammar::{GRAMMAR, Place, Row, Shape, ValueKind},
    tree::{Node, NodeKind},
    values,
};

/// What to do with secrets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secrets {
    /// Print them.
    Show,
    /// Print a question mark for each of their octets.
    Hide,
}

impl Conf {
    /// The configuration as canonical text, octet for octet as `named-checkconf -p` prints it but for a few places where
    /// that prints what nobody would write; reading it gives the same configuration.
    pub fn print(&self, secrets: Secrets) -> Vec<u8> {
        let printer = Printer { conf: self, secrets, layout: Layout::Lines };
        printer.block(Place::TOP, 0..self.tree.nodes.len() as u32, 0)
    }
}

impl Statement<'_> {
    /// The block of a `zone` as canonical text on one line, as `rndc showzone` shows it.
    pub fn print_zone_block(self, secrets: Secrets) -> Vec<u8> {
        let printer = Printer { conf: self.conf, secrets, layout: Layout::OneLine };
        let block = self.arguments().find(|part| part.block().is_some());
        let statements = block.map(|part| printer.block(Place::ZONE, part.at + 1..part.node().next, 1));
        printer.in_braces(&statements.unwrap_or_default(), 0)
    }
}

struct Printer<'c> {
    conf: &'c Conf,
    secrets: Secrets,
    layout: Layout,
}

/// Where statements inside of blocks stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Each on its line, behind a tab for each block around it.
    Lines,
    /// All on one line.
    OneLine,
}

/// Blocks whose statements BIND prints in the order of the grammar's rows; in others it is that of the alphabet.
const BY_ROW: &[&str] = &["tls", "logging", "channel"];

/// BIND prints the statements of a block table by table: those of the block alone come first, those that it shares with
/// every zone last.
fn order(row: &Row, place: Place) -> (u8, u16, &'static str) {
    let name = GRAMMAR.place_name(place);
    let has = |name: &[u8]| GRAMMAR.place(name).is_some_and(|place| row.places.contains(&place));
    let is_shared = ["top", "zone", "options", "view"].contains(&name) && has(b"view");
    let table = match is_shared {
        true if row.places.iter().any(|&place| GRAMMAR.is_zone(place)) => 3,
        true if has(b"options") => 2,
        _ => u8::from(is_shared),
    };
    let within = match name {
        name if BY_ROW.contains(&name) => row.index,
        // The type comes first in a zone.
        _ => u16::from(row.name != "type"),
    };
    (table, within, row.name)
}

/// What is printed of some parts, and the node behind them.
type Fitted = Option<(Vec<u8>, u32)>;

impl Printer<'_> {
    /// The statements of a block, each on its line.
    fn block(&self, place: Place, nodes: Range<u32>, depth: usize) -> Vec<u8> {
        let rows = self.elements(nodes).filter_map(|at| Some((GRAMMAR.known(self.node(at).row)?, at)));
        let mut statements: Vec<_> = rows.map(|(row, at)| (order(row, place), row, at)).collect();
        // Those that may be repeated stay in their order.
        statements.sort_by_key(|&(order, ..)| order);
        let mut text = Vec::new();
        for (_, row, at) in statements {
            let mut line = row.name.as_bytes().to_vec();
            // Its name is a part as well.
            if let Some((arguments, _)) = self.fit(&row.arguments, at + 2..self.node(at).next, depth) {
                join(&mut line, &arguments);
            }
            self.write_line(&mut text, &line, depth);
        }
        text
    }

    /// The statements or elements among `nodes`; included ones stand inside the node of the `include`.
    fn elements(&self, nodes: Range<u32>) -> impl Iterator<Item = u32> {
        let mut at = nodes.start;
        std::iter::from_fn(move || {
            while at < nodes.end {
                let found = at;
                if self.node(at).kind == NodeKind::Statement {
                    at = self.node(at).next;
                    return Some(found);
                }
                at += 1;
            }
            None
        })
    }

    /// Fits a shape to the first of `parts`.
    fn fit(&self, shape: &Shape, parts: Range<u32>, depth: usize) -> Fitted {
        let block = || {
            let first = (parts.start < parts.end).then(|| self.node(parts.start));
            first.filter(|node| node.kind == NodeKind::Block)
        };
        match shape {
            Shape::Sequence(shapes) => {
                let mut text = Vec::new();
                let mut at = parts.start;
                for shape in shapes {
                    let (piece, end) = self.fit(shape, at..parts.end, depth)?;
                    join(&mut text, &piece);
                    at = end;
                }
                Some((text, at))
            }
            Shape::OneOf(shapes) => shapes.iter().find_map(|shape| self.fit(shape, parts.clone(), depth)),
            Shape::Optional(shape) => Some(self.fit(shape, parts.clone(), depth).unwrap_or((Vec::new(), parts.start))),
            Shape::AnyOf(shapes) => Some(self.any_of(shapes, parts, depth)),
            Shape::Defined(index) => self.fit(GRAMMAR.definition(*index), parts, depth),
            Shape::List(element, many) => {
                let node = block()?;
                if !many {
                    // A list of one is printed as that one.
                    let at = self.elements(parts.start + 1..node.next).next()?;
                    let (element, _) = self.fit(element, at + 1..self.node(at).next, depth)?;
                    return Some((element, node.next));
                }
                let mut lines = Vec::new();
                for at in self.elements(parts.start + 1..node.next) {
                    let (element, _) = self.fit(element, at + 1..self.node(at).next, depth + 1)?;
                    self.write_line(&mut lines, &element, depth + 1);
                }
                Some((self.in_braces(&lines, depth), node.next))
            }
            Shape::Block(place) => {
                let node = block()?;
                let lines = self.block(*place, parts.start + 1..node.next, depth + 1);
                Some((self.in_braces(&lines, depth), node.next))
            }
            Shape::Keyword(word) => {
                let node = (parts.start < parts.end).then(|| self.node(parts.start))?;
                self.conf.tree.is_keyword(node, word).then(|| (word.as_bytes().to_vec(), node.next))
            }
            Shape::Value(kind) => {
                let end = self.conf.tree.value_end(*kind, parts.clone()).ok()?;
                Some((self.value(*kind, parts.start..end), end))
            }
        }
    }

    /// Any of the shapes in any order, printed in theirs.
    fn any_of(&self, shapes: &[Shape], parts: Range<u32>, depth: usize) -> (Vec<u8>, u32) {
        let mut pieces = vec![None; shapes.len()];
        let mut at = parts.start;
        let fits = |pieces: &[Option<Vec<u8>>], at: u32| {
            let unused = shapes.iter().enumerate().filter(|(index, _)| pieces[*index].is_none());
            let mut fitting = unused.filter_map(|(index, shape)| Some((index, self.fit(shape, at..parts.end, depth)?)));
            fitting.next()
        };
        while let Some((index, (piece, end))) = fits(&pieces, at) {
            pieces[index] = Some(piece);
            at = end;
        }
        let mut text = Vec::new();
        for piece in pieces.iter().flatten() {
            join(&mut text, piece);
        }
        (text, at)
    }

    fn value(&self, kind: ValueKind, parts: Range<u32>) -> Vec<u8> {
        let text = if parts.is_empty() { b"" } else { self.text(parts.start) };
        let read = |value: Option<String>| value.map_or_else(|| text.to_vec(), String::into_bytes);
        match kind {
            ValueKind::Secret if self.secrets == Secrets::Hide => quoted(&vec![b'?'; text.len()]),
            ValueKind::String | ValueKind::Quoted | ValueKind::Secret => quoted(text),
            ValueKind::Word | ValueKind::AnyBlock => text.to_vec(),
            ValueKind::Number | ValueKind::Port => read(values::number(text).map(|number| number.to_string())),
            ValueKind::YesNo => read(values::yes_no(text).map(|yes| if yes { "yes" } else { "no" }.to_owned())),
            ValueKind::Duration if text.first().is_some_and(|first| first.eq_ignore_ascii_case(&b'P')) => {
                text.to_ascii_uppercase()
            }
            ValueKind::Duration => read(values::duration(text).map(|seconds| seconds.to_string())),
            ValueKind::Size => read(values::size(text).map(|octets| octets.to_string())),
            ValueKind::Percent => read(values::percent(text).map(|percent| format!("{percent}%"))),
            ValueKind::FixedPoint => read(
                values::fixed_point(text).map(|hundredths| format!("{}.{:02}", hundredths / 100, hundredths % 100)),
            ),
            ValueKind::Ipv4 | ValueKind::Ipv6 => self.address(parts),
            ValueKind::Prefix => {
                let length = (parts.len() == 3).then(|| self.text(parts.start + 2));
                let Ok((address, length)) = values::prefix(text, length) else { return text.to_vec() };
                let mut address = if text.contains(&b'%') { text.to_vec() } else { address.to_string().into_bytes() };
                address.extend_from_slice(format!("/{length}").as_bytes());
                address
            }
            ValueKind::Words => {
                let mut words = Vec::new();
                for part in parts {
                    join(&mut words, &quoted(self.text(part)));
                }
                words
            }
        }
    }

    fn address(&self, parts: Range<u32>) -> Vec<u8> {
        let text = self.text(parts.start);
        // A scope is part of an address, and nothing of it is to be changed.
        match (values::ipv4(text), values::ipv6(text)) {
            (Some(v4), _) => v4.to_string().into_bytes(),
            (_, Some(v6)) if !text.contains(&b'%') => v6.to_string().into_bytes(),
            _ => text.to_vec(),
        }
    }

    fn write_line(&self, text: &mut Vec<u8>, line: &[u8], depth: usize) {
        self.indent(text, depth);
        text.extend_from_slice(line);
        text.push(b';');
        text.push(self.line_end());
    }

    fn in_braces(&self, lines: &[u8], depth: usize) -> Vec<u8> {
        let mut text = vec![b'{', self.line_end()];
        text.extend_from_slice(lines);
        self.indent(&mut text, depth);
        text.push(b'}');
        text
    }

    fn indent(&self, text: &mut Vec<u8>, depth: usize) {
        if self.layout == Layout::Lines {
            text.extend(std::iter::repeat_n(b'\t', depth));
        }
    }

    fn line_end(&self) -> u8 {
        match self.layout {
            Layout::Lines => b'\n',
            Layout::OneLine => b' ',
        }
    }

    fn node(&self, at: u32) -> Node {
        self.conf.node(at)
    }

    /// The text of a node; between quotes with its escapes, which are right where it is put into quotes again.
    fn text(&self, at: u32) -> &[u8] {
        self.conf.tree.text(self.node(at))
    }
}

/// A piece of a line behind another: one blank between them, but none behind `!`.
fn join(text: &mut Vec<u8>, piece: &[u8]) {
    if !text.is_empty() && !piece.is_empty() && text != b"!" {
        text.push(b' ');
    }
    text.extend_from_slice(piece);
}

fn quoted(text: &[u8]) -> Vec<u8> {
    [b"\"", text, b"\""].concat()
}
