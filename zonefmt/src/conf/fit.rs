//! Fits the parts of a statement to its shape. Checking, printing and following names all read the grammar through this
//! module.

use std::ops::Range;

use super::{
    grammar::{GRAMMAR, Shape, ValueKind},
    tree::{Node, NodeKind, Tree},
    values::{self, PrefixError},
};

/// A keyword, a value, a list or a block of a shape, and the parts that it fits.
pub(super) struct Match {
    pub(super) shape: &'static Shape,
    pub(super) parts: Range<u32>,
}

/// Where the parts no longer fit, and why.
pub(super) struct Misfit {
    /// The furthest part that any alternative reached.
    pub(super) at: u32,
    /// The shapes that would have fitted there.
    pub(super) expected: Vec<&'static Shape>,
    /// A part that looks like a prefix but is not valid. No further alternative is tried then.
    pub(super) prefix: Option<(u32, PrefixError)>,
}

impl Tree {
    /// Fits all of `parts` to a shape. Matches that may be in any order are returned in the order of the shape.
    pub(super) fn fit(&self, shape: &'static Shape, parts: Range<u32>) -> Result<Vec<Match>, Misfit> {
        let misfit = Misfit { at: parts.start, expected: Vec::new(), prefix: None };
        let mut attempt = Attempt { tree: self, found: Vec::new(), misfit };
        let end = attempt.fit(shape, parts.clone());
        if end == Some(parts.end) {
            return Ok(attempt.found);
        }
        // The parts that fit may be followed by one that is not allowed.
        attempt.misfit.reach(end.unwrap_or(parts.start), None);
        Err(attempt.misfit)
    }

    /// The statements or elements among `nodes`. Included ones are inside the node of the `include`.
    pub(super) fn elements(&self, nodes: Range<u32>) -> impl Iterator<Item = u32> {
        let mut at = nodes.start;
        std::iter::from_fn(move || {
            while at < nodes.end {
                let (found, node) = (at, self.nodes[at as usize]);
                if node.kind == NodeKind::Statement {
                    at = node.next;
                    return Some(found);
                }
                at += 1;
            }
            None
        })
    }
}

struct Attempt<'t> {
    tree: &'t Tree,
    found: Vec<Match>,
    misfit: Misfit,
}

impl Attempt<'_> {
    /// Fits a shape to the first of `parts`, and returns where the shape ends.
    fn fit(&mut self, shape: &'static Shape, parts: Range<u32>) -> Option<u32> {
        let before = self.found.len();
        let end = match shape {
            Shape::Sequence(shapes) => shapes.iter().try_fold(parts.start, |at, shape| self.fit(shape, at..parts.end)),
            Shape::OneOf(shapes) => shapes.iter().find_map(|shape| self.unless_wrong(shape, parts.clone())),
            Shape::Optional(shape) => {
                let end = self.fit(shape, parts.clone());
                end.or_else(|| self.misfit.allows_nothing(parts.start).then_some(parts.start))
            }
            Shape::AnyOf(shapes) => self.any_of(shapes, parts),
            Shape::Defined(index) => self.fit(GRAMMAR.definition(*index), parts),
            Shape::List(..) | Shape::Block(_) | Shape::Keyword(_) | Shape::Value(_) => self.leaf(shape, parts),
        };
        if end.is_none() {
            self.found.truncate(before);
        }
        end
    }

    fn unless_wrong(&mut self, shape: &'static Shape, parts: Range<u32>) -> Option<u32> {
        if self.misfit.prefix.is_some() { None } else { self.fit(shape, parts) }
    }

    /// Fits any of the shapes in any order, each once. None at all is fine too.
    fn any_of(&mut self, shapes: &'static [Shape], parts: Range<u32>) -> Option<u32> {
        let before = self.found.len();
        let mut pieces: Vec<(usize, Vec<Match>)> = Vec::new();
        let mut at = parts.start;
        loop {
            let next = shapes.iter().enumerate().find_map(|(index, shape)| {
                let used = pieces.iter().any(|&(other, _)| other == index);
                if used { None } else { Some((index, self.unless_wrong(shape, at..parts.end)?)) }
            });
            let Some((index, end)) = next else { break };
            pieces.push((index, self.found.split_off(before)));
            at = end;
        }
        pieces.sort_by_key(|&(index, _)| index);
        self.found.extend(pieces.into_iter().flat_map(|(_, found)| found));
        self.misfit.allows_nothing(at).then_some(at)
    }

    fn leaf(&mut self, shape: &'static Shape, parts: Range<u32>) -> Option<u32> {
        let first = (parts.start < parts.end).then(|| self.tree.nodes[parts.start as usize]);
        let end = match shape {
            Shape::Keyword(word) => first.filter(|&node| self.tree.is_keyword(node, word)).map(|node| node.next),
            Shape::Value(kind) => self.value(*kind, parts.clone()),
            _ => first.filter(|node| node.kind == NodeKind::Block).map(|node| node.next),
        };
        match end {
            Some(end) => self.found.push(Match { shape, parts: parts.start..end }),
            None => self.misfit.reach(parts.start, Some(shape)),
        }
        end
    }

    fn value(&mut self, kind: ValueKind, parts: Range<u32>) -> Option<u32> {
        match self.tree.value_end(kind, parts.clone()) {
            Ok(end) => Some(end),
            Err(None | Some(PrefixError::NotAnAddress)) => None,
            Err(Some(error)) => {
                self.misfit.prefix = Some((parts.start, error));
                None
            }
        }
    }
}

impl Misfit {
    fn reach(&mut self, at: u32, expected: Option<&'static Shape>) {
        if at > self.at {
            self.at = at;
            self.expected.clear();
        }
        if at == self.at {
            self.expected.extend(expected);
        }
    }

    /// Whether an optional shape is absent at `at`, as opposed to present with a mistake.
    fn allows_nothing(&self, at: u32) -> bool {
        self.prefix.is_none() && self.at <= at
    }
}

impl Tree {
    /// Returns where the value ends that is at the start of `parts`, a range of adjacent nodes.
    ///
    /// # Errors
    /// There is no value of that kind. If the text looks like a prefix, the error has the reason.
    fn value_end(&self, kind: ValueKind, parts: Range<u32>) -> Result<u32, Option<PrefixError>> {
        let at = |at: u32| self.nodes[at as usize];
        let first = (parts.start < parts.end).then(|| at(parts.start));
        let word = |reads: &dyn Fn(&[u8]) -> bool| {
            first.is_some_and(|node| node.kind == NodeKind::Word && reads(self.text(node)))
        };
        let is = |kinds: &[NodeKind]| first.is_some_and(|node| kinds.contains(&node.kind));
        let fits = match kind {
            ValueKind::String | ValueKind::Secret | ValueKind::Name | ValueKind::NameOf(_) => {
                is(&[NodeKind::Word, NodeKind::Quoted])
            }
            ValueKind::Quoted => is(&[NodeKind::Quoted]),
            ValueKind::Word => is(&[NodeKind::Word]),
            ValueKind::Number => word(&|text| values::number(text).is_some()),
            ValueKind::Port => word(&|text| values::number(text).is_some_and(|port| port <= u16::MAX.into())),
            ValueKind::YesNo => word(&|text| values::yes_no(text).is_some()),
            ValueKind::Duration => word(&|text| values::duration(text).is_some()),
            ValueKind::Size => word(&|text| values::size(text).is_some()),
            ValueKind::Percent => word(&|text| values::percent(text).is_some()),
            ValueKind::FixedPoint => word(&|text| values::fixed_point(text).is_some()),
            ValueKind::Ipv4 => word(&|text| values::ipv4(text).is_some()),
            ValueKind::Ipv6 => word(&|text| values::ipv6(text).is_some()),
            ValueKind::AnyBlock => is(&[NodeKind::Block]),
            ValueKind::Prefix => return self.prefix_end(parts),
            ValueKind::Words => {
                return Ok(parts.clone().find(|&part| at(part).kind == NodeKind::Block).unwrap_or(parts.end));
            }
        };
        first.filter(|_| fits).map(|node| node.next).ok_or(None)
    }

    fn prefix_end(&self, parts: Range<u32>) -> Result<u32, Option<PrefixError>> {
        let at = |at: u32| self.nodes[at as usize];
        if parts.is_empty() || at(parts.start).kind != NodeKind::Word {
            return Err(None);
        }
        let (length, end) = match parts.len() {
            3.. if at(parts.start + 1).kind == NodeKind::Slash => {
                (Some(self.text(at(parts.start + 2))), parts.start + 3)
            }
            _ => (None, parts.start + 1),
        };
        values::prefix(self.text(at(parts.start)), length).map(|_| end).map_err(Some)
    }

    /// Whether a node is this keyword, in any case and without quotes.
    fn is_keyword(&self, node: Node, keyword: &str) -> bool {
        match node.kind {
            NodeKind::Word => self.text(node).eq_ignore_ascii_case(keyword.as_bytes()),
            NodeKind::Bang => keyword == "!",
            _ => false,
        }
    }
}
