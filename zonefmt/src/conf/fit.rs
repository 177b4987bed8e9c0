//! Which parts of a statement are a keyword or a value of a kind: what checking and printing have in common.

use std::ops::Range;

use super::{
    grammar::ValueKind,
    tree::{Node, NodeKind, Tree},
    values::{self, PrefixError},
};

impl Tree {
    /// Where a value ends that `parts`, nodes side by side, begin with.
    ///
    /// # Errors
    /// There is no value of that kind; for what looks like a prefix, with the reason.
    pub(super) fn value_end(&self, kind: ValueKind, parts: Range<u32>) -> Result<u32, Option<PrefixError>> {
        let at = |at: u32| self.nodes[at as usize];
        let first = (parts.start < parts.end).then(|| at(parts.start));
        let word = |reads: &dyn Fn(&[u8]) -> bool| {
            first.is_some_and(|node| node.kind == NodeKind::Word && reads(self.text(node)))
        };
        let is = |kinds: &[NodeKind]| first.is_some_and(|node| kinds.contains(&node.kind));
        let fits = match kind {
            ValueKind::String | ValueKind::Secret => is(&[NodeKind::Word, NodeKind::Quoted]),
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

    /// Whether a node is this word, in any case and without quotes.
    pub(super) fn is_keyword(&self, node: Node, keyword: &str) -> bool {
        match node.kind {
            NodeKind::Word => self.text(node).eq_ignore_ascii_case(keyword.as_bytes()),
            NodeKind::Bang => keyword == "!",
            _ => false,
        }
    }
}
