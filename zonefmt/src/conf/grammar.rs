//! The grammar of named.conf, read once from the table in `grammar.txt`.

use super::references::Kind;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// The grammar of all statements.
pub(super) static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(include_str!("grammar.txt")));

/// The statements and their arguments.
pub(super) struct Grammar {
    rows: Vec<Row>,
    /// The names of blocks; a [`Place`] is an index here.
    places: Vec<&'static str>,
    /// The blocks that are types of zone.
    zones: Vec<Place>,
    /// The statements of each block, by name.
    members: Vec<FxHashMap<&'static str, u16>>,
    definitions: Vec<Shape>,
}

/// A statement and its arguments.
pub(super) struct Row {
    /// The index of this row among all rows.
    pub(super) index: u16,
    pub(super) name: &'static str,
    pub(super) arguments: Shape,
    /// The blocks in which the statement is allowed.
    pub(super) places: Vec<Place>,
    /// Whether the statement may be repeated.
    pub(super) many: bool,
    pub(super) fate: Fate,
}

/// How a statement is treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Current,
    /// The statement still works.
    Deprecated,
    /// The statement no longer has an effect.
    Obsolete,
    /// The statement is an error since some version of BIND.
    Gone,
    /// The statement needs a feature that is not available.
    Unbuilt,
    /// The statement is Bindy's own; BIND does not know it.
    Ours,
}

/// A block that contains statements, or a type of zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(u8);

impl Place {
    /// Outside of all blocks.
    pub(super) const TOP: Place = Place(0);
    /// A zone of any type.
    pub(super) const ZONE: Place = Place(1);
    /// Zones that are added at run time, outside of all blocks.
    pub(super) const NEW_ZONES: Place = Place(2);
}

/// What is allowed at a point of a statement.
#[derive(Debug)]
pub(super) enum Shape {
    /// A fixed word.
    Keyword(&'static str),
    /// A value of some kind.
    Value(ValueKind),
    /// A definition of the table, by its index.
    Defined(usize),
    Sequence(Vec<Shape>),
    /// The first shape that fits.
    OneOf(Vec<Shape>),
    /// The shape or nothing.
    Optional(Box<Shape>),
    /// Any of the shapes in any order, each at most once.
    AnyOf(Vec<Shape>),
    /// `{ …; }` with elements of this shape. The flag says whether any number of them is allowed, or exactly one.
    List(Box<Shape>, bool),
    /// `{ …; }` with statements.
    Block(Place),
}

/// The kinds of values. Each has a name in the grammar and a description for messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ValueKind {
    String,
    /// A text that is secret.
    Secret,
    Quoted,
    /// A text without quotes.
    Word,
    Number,
    Port,
    YesNo,
    Duration,
    Size,
    Percent,
    FixedPoint,
    Ipv4,
    Ipv6,
    Prefix,
    /// All remaining words.
    Words,
    /// A block with any content.
    AnyBlock,
    /// A domain name.
    Name,
    /// The name of something that the configuration defines.
    NameOf(Kind),
}

impl ValueKind {
    const ALL: [(ValueKind, &'static str, &'static str); 26] = [
        (ValueKind::String, "string", "a text"),
        (ValueKind::Secret, "secret", "a text"),
        (ValueKind::Quoted, "quoted", "a text in quotes"),
        (ValueKind::Word, "word", "a text without quotes"),
        (ValueKind::Number, "number", "a number"),
        (ValueKind::Port, "port", "a port from 0 to 65535"),
        (ValueKind::YesNo, "yes-no", "`yes` or `no`"),
        (ValueKind::Duration, "duration", "a duration as `90`, `1h30m` or `PT90S`"),
        (ValueKind::Size, "size", "a size as `4096`, `64K`, `8M` or `1G`"),
        (ValueKind::Percent, "percent", "a percentage as `90%`"),
        (ValueKind::FixedPoint, "fixedpoint", "a number as `0.25`"),
        (ValueKind::Ipv4, "ipv4", "an IPv4 address"),
        (ValueKind::Ipv6, "ipv6", "an IPv6 address"),
        (ValueKind::Prefix, "prefix", "an address or prefix"),
        (ValueKind::Words, "words", "words"),
        (ValueKind::AnyBlock, "block", "a block"),
        (ValueKind::Name, "name", "a text"),
        (ValueKind::NameOf(Kind::Acl), "acl", "a text"),
        (ValueKind::NameOf(Kind::Key), "key", "a text"),
        (ValueKind::NameOf(Kind::Tls), "tls", "a text"),
        (ValueKind::NameOf(Kind::ServerTls), "server-tls", "a text"),
        (ValueKind::NameOf(Kind::Http), "http", "a text"),
        (ValueKind::NameOf(Kind::Primaries), "primaries", "a text"),
        (ValueKind::NameOf(Kind::ParentalAgents), "parental-agents", "a text"),
        (ValueKind::NameOf(Kind::Policy), "dnssec-policy", "a text"),
        (ValueKind::NameOf(Kind::Channel), "channel", "a text"),
    ];

    fn named(name: &str) -> Option<ValueKind> {
        Self::ALL.iter().find(|(_, written, _)| *written == name).map(|&(kind, ..)| kind)
    }

    /// The description of the kind in messages.
    pub(super) fn description(self) -> &'static str {
        Self::ALL.iter().find(|&&(kind, ..)| kind == self).map_or("", |&(.., description)| description)
    }
}

impl Grammar {
    /// Finds the row of a statement in a block.
    pub(super) fn find(&self, place: Place, name: &[u8]) -> Option<u16> {
        const LONGEST: usize = 40;
        let mut lower = [0; LONGEST];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let name = std::str::from_utf8(lower).ok()?;
        self.members[usize::from(place.0)].get(name).copied()
    }

    pub(super) fn row(&self, row: u16) -> &Row {
        &self.rows[usize::from(row)]
    }

    /// The row that a node has; `None` if the grammar does not know its statement.
    pub(super) fn known(&self, row: u16) -> Option<&Row> {
        self.rows.get(usize::from(row))
    }

    #[cfg(test)]
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn definition(&self, index: usize) -> &Shape {
        &self.definitions[index]
    }

    /// The block or type of zone with this name.
    pub(super) fn place(&self, name: &[u8]) -> Option<Place> {
        let at = self.places.iter().position(|place| name.eq_ignore_ascii_case(place.as_bytes()))?;
        Some(Place(at as u8))
    }

    pub(super) fn place_name(&self, place: Place) -> &'static str {
        self.places[usize::from(place.0)]
    }

    /// Whether the place is a type of zone.
    pub(super) fn is_zone(&self, place: Place) -> bool {
        self.zones.contains(&place)
    }

    /// The names of all statements that are allowed in a block.
    pub(super) fn names(&self, place: Place) -> impl Iterator<Item = &'static str> {
        self.members[usize::from(place.0)].keys().copied()
    }

    /// The names of the statements of a block that are not errors in themselves.
    pub(super) fn usable(&self, place: Place) -> impl Iterator<Item = &'static str> {
        let rows = self.members[usize::from(place.0)].values().map(|&row| self.row(row));
        rows.filter(|row| !matches!(row.fate, Fate::Gone | Fate::Unbuilt)).map(|row| row.name)
    }

    /// The rows of all statements with this name, in any block.
    pub(super) fn elsewhere<'g>(&'g self, name: &'g [u8]) -> impl Iterator<Item = &'g Row> {
        self.rows.iter().filter(move |row| name.eq_ignore_ascii_case(row.name.as_bytes()))
    }

    /// Reads the table.
    ///
    /// # Panics
    /// Panics if the table is not well-formed. The table is part of the program, and every test reads it.
    fn read(table: &'static str) -> Grammar {
        let lines = || table.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let definitions: Vec<_> =
            lines().filter_map(|line| line.strip_prefix("let ")?.split_once('=')).map(|(n, s)| (n.trim(), s)).collect();
        let names: Vec<&str> = definitions.iter().map(|&(name, _)| name).collect();
        let mut grammar = Grammar {
            rows: Vec::new(),
            places: vec!["top", "zone", "new-zones"],
            zones: Vec::new(),
            members: vec![FxHashMap::default(); 3],
            definitions: Vec::new(),
        };
        let mut group = Vec::new();
        for line in lines() {
            if let Some(zones) = line.strip_prefix("zones ") {
                grammar.zones = zones.split_whitespace().map(|zone| grammar.place_or_new(zone)).collect();
            } else if let Some(places) = line.strip_prefix("in ") {
                group = places.split_whitespace().map(|place| grammar.place_or_new(place)).collect();
            } else if let Some(row) = line.strip_prefix("  ") {
                let (row, marks) = row.split_once(" -- ").unwrap_or((row, ""));
                let (name, arguments) = row.split_once(' ').unwrap_or((row, ""));
                let arguments = Notation::read(&mut grammar, &names, arguments);
                grammar.add(name, arguments, &group, marks);
            }
        }
        for (_, shape) in definitions {
            let shape = Notation::read(&mut grammar, &names, shape);
            grammar.definitions.push(shape);
        }
        grammar
    }

    fn add(&mut self, name: &'static str, arguments: Shape, group: &[Place], marks: &str) {
        let index = self.rows.len() as u16;
        let mut row = Row { index, name, arguments, places: group.to_vec(), many: false, fate: Fate::Current };
        for mark in marks.split_whitespace() {
            match mark {
                "many" => row.many = true,
                "deprecated" => row.fate = Fate::Deprecated,
                "obsolete" => row.fate = Fate::Obsolete,
                "gone" => row.fate = Fate::Gone,
                "unbuilt" => row.fate = Fate::Unbuilt,
                "ours" => row.fate = Fate::Ours,
                _ => panic!("grammar.txt: no such mark: {mark}"),
            }
        }
        for &place in group {
            let twice = self.members[usize::from(place.0)].insert(name, index);
            assert!(twice.is_none(), "grammar.txt: {name} has two rows for {}", self.place_name(place));
            if self.zones.contains(&place) {
                let other = self.members[usize::from(Place::ZONE.0)].insert(name, index);
                assert!(other.is_none_or(|other| other == index), "grammar.txt: {name} is not the same in all zones");
            }
        }
        self.rows.push(row);
    }

    fn place_or_new(&mut self, name: &'static str) -> Place {
        self.place(name.as_bytes()).unwrap_or_else(|| {
            self.places.push(name);
            self.members.push(FxHashMap::default());
            Place(self.places.len() as u8 - 1)
        })
    }
}

/// Reads a shape from its notation.
struct Notation<'g> {
    grammar: &'g mut Grammar,
    definitions: &'g [&'static str],
    tokens: Vec<&'static str>,
}

impl Notation<'_> {
    fn read(grammar: &mut Grammar, definitions: &[&'static str], text: &'static str) -> Shape {
        let semicolons = |token: &'static str| match token.strip_suffix(';') {
            Some(word) => [word, ";"],
            None => [token, ""],
        };
        let mut tokens: Vec<_> =
            text.split_whitespace().flat_map(semicolons).filter(|token| !token.is_empty()).collect();
        tokens.reverse();
        let mut notation = Notation { grammar, definitions, tokens };
        let shape = notation.sequence();
        assert!(notation.tokens.is_empty(), "grammar.txt: {text}");
        shape
    }

    fn sequence(&mut self) -> Shape {
        let mut parts = Vec::new();
        while let Some(&token) = self.tokens.last()
            && !matches!(token, "|" | ")" | "]" | "]..." | ";" | "}")
        {
            parts.push(self.part());
        }
        if parts.len() == 1 { parts.remove(0) } else { Shape::Sequence(parts) }
    }

    fn part(&mut self) -> Shape {
        match self.next() {
            "(" => {
                let shapes = self.alternatives();
                self.expect(")");
                Shape::OneOf(shapes)
            }
            "[" => {
                let mut shapes = self.alternatives();
                match self.next() {
                    "]..." => Shape::AnyOf(shapes),
                    "]" if shapes.len() == 1 => Shape::Optional(Box::new(shapes.remove(0))),
                    token => panic!("grammar.txt: {token} in the place of ]"),
                }
            }
            "{" if self.tokens.last() == Some(&"in") => {
                self.next();
                let place = self.next();
                self.expect("}");
                Shape::Block(self.grammar.place_or_new(place))
            }
            "{" => {
                let element = self.sequence();
                self.expect(";");
                let many = self.tokens.last() == Some(&"...");
                if many {
                    self.next();
                }
                self.expect("}");
                Shape::List(Box::new(element), many)
            }
            token => match token.strip_prefix('<').and_then(|name| name.strip_suffix('>')) {
                None => Shape::Keyword(token),
                Some(name) => match self.definitions.iter().position(|&definition| definition == name) {
                    Some(index) => Shape::Defined(index),
                    None => Shape::Value(ValueKind::named(name).unwrap_or_else(|| panic!("grammar.txt: <{name}>"))),
                },
            },
        }
    }

    fn alternatives(&mut self) -> Vec<Shape> {
        let mut shapes = vec![self.sequence()];
        while self.tokens.last() == Some(&"|") {
            self.next();
            shapes.push(self.sequence());
        }
        shapes
    }

    fn next(&mut self) -> &'static str {
        self.tokens.pop().expect("grammar.txt: a row goes on")
    }

    fn expect(&mut self, token: &str) {
        assert_eq!(self.next(), token, "grammar.txt");
    }
}
