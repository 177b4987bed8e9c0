//! A configuration as canonical text, as `named-checkconf -p` prints it. Statements are in the order of BIND's tables,
//! included ones in the place of the `include`. Each value has one spelling, and comments are left out.

use std::ops::Range;

use super::{
    Conf, Statement,
    fit::Match,
    grammar::{GRAMMAR, Place, Row, Shape, ValueKind},
    tree::Node,
    values,
};

/// How secrets are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secrets {
    /// Secrets are printed.
    Show,
    /// Each octet of a secret is printed as a question mark.
    Hide,
}

impl Conf {
    /// Prints the configuration as canonical text. It agrees with `named-checkconf -p` octet for octet, except in a few
    /// places where that prints something nobody would write. Reading the text gives the same configuration.
    pub fn print(&self, secrets: Secrets) -> Vec<u8> {
        let printer = Printer { conf: self, secrets, layout: Layout::Lines };
        printer.block(Place::TOP, 0..self.tree.nodes.len() as u32, 0)
    }
}

impl Statement<'_> {
    /// Prints the block of a `zone` as canonical text on one line, as `rndc showzone` does.
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

/// The layout of statements inside of blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Each statement is on its own line, after a tab for each block around it.
    Lines,
    /// All statements are on one line.
    OneLine,
}

/// Blocks whose statements BIND prints in the order of the grammar's rows. In other blocks the order is alphabetical.
const BY_ROW: &[&str] = &["tls", "logging", "channel"];

/// The order of statements. BIND prints a block table by table: statements of this block alone come first, those that
/// it shares with every zone last.
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
        // In a zone the type comes first.
        _ => u16::from(row.name != "type"),
    };
    (table, within, row.name)
}

impl Printer<'_> {
    /// Prints the statements of a block, each on its own line.
    fn block(&self, place: Place, nodes: Range<u32>, depth: usize) -> Vec<u8> {
        let rows = self.conf.tree.elements(nodes).filter_map(|at| Some((GRAMMAR.known(self.node(at).row)?, at)));
        let mut statements: Vec<_> = rows.map(|(row, at)| (order(row, place), row, at)).collect();
        // The sort keeps repeated statements in their order.
        statements.sort_by_key(|&(order, ..)| order);
        let mut text = Vec::new();
        for (_, row, at) in statements {
            let mut line = row.name.as_bytes().to_vec();
            // The name of the statement is a part as well.
            join(&mut line, &self.whole(&row.arguments, at + 2..self.node(at).next, depth));
            self.write_line(&mut text, &line, depth);
        }
        text
    }

    /// Prints all parts of a statement, or of an element of a list.
    fn whole(&self, shape: &'static Shape, parts: Range<u32>, depth: usize) -> Vec<u8> {
        let mut text = Vec::new();
        // The parts have been checked, so they fit.
        for Match { shape, parts } in self.conf.tree.fit(shape, parts).unwrap_or_default() {
            join(&mut text, &self.leaf(shape, parts, depth));
        }
        text
    }

    fn leaf(&self, shape: &'static Shape, parts: Range<u32>, depth: usize) -> Vec<u8> {
        let inside = parts.start + 1..parts.end;
        match shape {
            Shape::Keyword(word) => word.as_bytes().to_vec(),
            Shape::Value(kind) => self.value(*kind, parts),
            Shape::Block(place) => self.in_braces(&self.block(*place, inside, depth + 1), depth),
            Shape::List(element, many) => {
                let whole = |at: u32, depth| self.whole(element, at + 1..self.node(at).next, depth);
                let mut elements = self.conf.tree.elements(inside);
                if !many {
                    // A list of exactly one element is printed as that element.
                    return elements.next().map(|at| whole(at, depth)).unwrap_or_default();
                }
                let mut lines = Vec::new();
                for at in elements {
                    self.write_line(&mut lines, &whole(at, depth + 1), depth + 1);
                }
                self.in_braces(&lines, depth)
            }
            // The other shapes consist of these.
            _ => Vec::new(),
        }
    }

    fn value(&self, kind: ValueKind, parts: Range<u32>) -> Vec<u8> {
        let text = if parts.is_empty() { b"" } else { self.text(parts.start) };
        let read = |value: Option<String>| value.map_or_else(|| text.to_vec(), String::into_bytes);
        match kind {
            ValueKind::Secret if self.secrets == Secrets::Hide => quoted(&vec![b'?'; text.len()]),
            ValueKind::String | ValueKind::Quoted | ValueKind::Secret | ValueKind::Name | ValueKind::NameOf(_) => {
                quoted(text)
            }
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
        // A scope is part of the address, so such an address is printed unchanged.
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

    /// The text of a node. The text of a quoted one keeps its escapes, which are right when it is put into quotes
    /// again.
    fn text(&self, at: u32) -> &[u8] {
        self.conf.tree.text(self.node(at))
    }
}

/// Appends a piece to a line, after a blank unless the line ends in `!`.
fn join(text: &mut Vec<u8>, piece: &[u8]) {
    if !text.is_empty() && !piece.is_empty() && text != b"!" {
        text.push(b' ');
    }
    text.extend_from_slice(piece);
}

fn quoted(text: &[u8]) -> Vec<u8> {
    [b"\"", text, b"\""].concat()
}
