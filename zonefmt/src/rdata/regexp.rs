//! NAPTR's substitution expression (RFC 3402 3.2): delimiter, POSIX extended regular expression, delimiter,
//! replacement, delimiter, flags.

use super::field::Malformed;

/// Checks a whole substitution expression. An empty one is valid.
pub(super) fn check(substitution: &[u8]) -> Result<(), Malformed> {
    let Some((&delimiter, body)) = substitution.split_first() else { return Ok(()) };
    if matches!(delimiter, b'0'..=b'9' | b'\\' | b'i' | 0) {
        return Err("starts with a delimiter that is a digit, a backslash, `i` or NUL");
    }
    if body.contains(&0) {
        return Err("holds a NUL");
    }
    let (expression, rest) = split(body, delimiter)?;
    let (replacement, flags) = split(rest, delimiter)?;
    if flags.iter().any(|&flag| flag != b'i') {
        return Err("has flags other than `i` after the last delimiter");
    }
    let groups = Ere { rest: expression, groups: 0 }.check()?;
    for pair in references(replacement) {
        match pair {
            b'0' => return Err("refers to group 0; groups count from 1"),
            b'1'..=b'9' if pair - b'0' > groups => return Err("refers to a group that the pattern has not"),
            _ => {}
        }
    }
    Ok(())
}

/// Splits a text at the next delimiter that has no backslash before it, into the text before and after it.
fn split(text: &[u8], delimiter: u8) -> Result<(&[u8], &[u8]), Malformed> {
    let mut at = 0;
    while let Some(&octet) = text.get(at) {
        match octet {
            _ if octet == delimiter => return Ok((&text[..at], &text[at + 1..])),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Err("needs exactly three delimiters, as in !pattern!replacement!")
}

/// The octets that follow a backslash.
fn references(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut octets = text.iter().copied();
    std::iter::from_fn(move || octets.by_ref().find(|&octet| octet == b'\\').and_then(|_| octets.next()))
}

/// A reader of extended regular expressions (POSIX 9.4) that only checks whether they are valid.
struct Ere<'a> {
    rest: &'a [u8],
    groups: u8,
}

/// What stands to the left of the current position.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// The start of the expression, or a `|`.
    Nothing,
    /// A `(`. The group may stay empty.
    Open,
    /// Something that can be repeated.
    Atom,
    /// An anchor or a repetition, which cannot be repeated.
    Repeated,
}

impl Ere<'_> {
    /// Checks the expression and returns the number of its groups, of which at most 9 are counted.
    fn check(mut self) -> Result<u8, Malformed> {
        let (mut left, mut open) = (Left::Nothing, 0_usize);
        while let Some(octet) = self.next() {
            left = match octet {
                b'(' => {
                    open += 1;
                    self.groups = (self.groups + 1).min(9);
                    Left::Open
                }
                b')' if open > 0 && left == Left::Nothing => return Err(EMPTY),
                b')' => {
                    open = open.saturating_sub(1);
                    Left::Atom
                }
                b'|' if matches!(left, Left::Nothing | Left::Open) => return Err(EMPTY),
                b'|' => Left::Nothing,
                b'^' | b'$' => Left::Repeated,
                b'*' | b'+' | b'?' => Self::repeat(left)?,
                b'{' if self.rest.first().is_some_and(u8::is_ascii_digit) => {
                    self.bound()?;
                    Self::repeat(left)?
                }
                b'[' => {
                    self.bracket()?;
                    Left::Atom
                }
                b'\\' => match self.next() {
                    None => return Err("has a pattern that ends in a backslash"),
                    Some(group @ b'1'..=b'9') if group - b'0' > self.groups => {
                        return Err("has a pattern that refers to a later group");
                    }
                    Some(_) => Left::Atom,
                },
                _ => Left::Atom,
            };
        }
        match left {
            _ if open > 0 => Err("has a pattern with an open parenthesis"),
            Left::Nothing | Left::Open => Err(EMPTY),
            Left::Atom | Left::Repeated => Ok(self.groups),
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (&octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(octet)
    }

    fn repeat(left: Left) -> Result<Left, Malformed> {
        if left == Left::Atom { Ok(Left::Repeated) } else { Err("has a pattern that repeats nothing") }
    }

    /// Reads `{low}`, `{low,}` or `{low,high}`, after the brace.
    fn bound(&mut self) -> Result<(), Malformed> {
        const BAD: Malformed = "has a pattern with a bad {bound}";
        let end = memchr::memchr(b'}', self.rest).ok_or(BAD)?;
        let bound = std::str::from_utf8(&self.rest[..end]).map_err(|_| BAD)?;
        self.rest = &self.rest[end + 1..];
        let (low, high) = bound.split_once(',').unwrap_or((bound, bound));
        let number = |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse::<u8>().ok()).flatten();
        match (number(low), high) {
            (Some(_), "") => Ok(()),
            (Some(low), high) if number(high).is_some_and(|high| low <= high) => Ok(()),
            _ => Err(BAD),
        }
    }

    /// Reads a bracket expression, after the bracket.
    fn bracket(&mut self) -> Result<(), Malformed> {
        const OPEN: Malformed = "has a pattern with an open bracket";
        if self.rest.first() == Some(&b'^') {
            self.next();
        }
        // A `]` in the first place is an ordinary member.
        let (mut first, mut low, mut in_range, mut was_range) = (true, None, false, false);
        loop {
            let member = match self.next().ok_or(OPEN)? {
                b']' if !first => return Ok(()),
                b'-' if was_range => return Err("has a pattern with a [range] of ranges"),
                b'-' if low.is_some() && !in_range && self.rest.first() != Some(&b']') => {
                    in_range = true;
                    continue;
                }
                b'[' if matches!(self.rest.first(), Some(b':' | b'=' | b'.')) => self.class()?,
                octet => Some(octet),
            };
            if in_range && member < low {
                return Err("has a pattern with a [range] out of order");
            }
            low = if in_range { None } else { member };
            (first, in_range, was_range) = (false, false, in_range);
        }
    }

    /// Reads `[:class:]`, `[=equivalents=]` or `[.element.]`, after the first bracket, and returns an element of one
    /// octet.
    fn class(&mut self) -> Result<Option<u8>, Malformed> {
        const CLASSES: [&[u8]; 12] = [
            b"alnum", b"digit", b"punct", b"alpha", b"graph", b"space", b"blank", b"lower", b"upper", b"cntrl",
            b"print", b"xdigit",
        ];
        const BAD: Malformed = "has a pattern with a bad [:class:]";
        let kind = self.next().ok_or(BAD)?;
        let len = self.rest.windows(2).position(|pair| pair == [kind, b']']).ok_or(BAD)?;
        let name = &self.rest[..len];
        self.rest = &self.rest[len + 2..];
        match (kind, name) {
            (b':', name) if CLASSES.contains(&name) => Ok(None),
            (b':', _) | (_, []) => Err(BAD),
            (b'.', [octet]) => Ok(Some(*octet)),
            _ => Ok(None),
        }
    }
}

const EMPTY: Malformed = "has an empty pattern or alternative";

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts are those of named-checkzone 9.18.
    #[test]
    fn patterns_are_judged_as_bind_does() {
        for good in [
            "",
            "!^.*$!foo!",
            r"!^(.*)$!\1!",
            "!^.*)$!x!",
            "!a!x!i",
            "!a!x!ii",
            r"!(a|b)(c)!\2!",
            r"!a\!b!x!",
            "!()!x!",
            "!a{2}!x!",
            "!a{2,}!x!",
            "!a{2,3}!x!",
            "!a{!x!",
            "!}!x!",
            "![]a]!x!",
            "![^]a]!x!",
            "![[:alpha:]]!x!",
            "![a-z]!x!",
            "![a-]!x!",
            "![-a]!x!",
            "/a/x/",
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            r"!^(.*)$!\2!",
            r"!^.*$!\1!",
            "!^(.*$!x!",
            "!^[a-$!x!",
            "!*a!x!",
            "!a**!x!",
            "!a{2,1}!x!",
            "!!x!",
            "!a!x!I",
            "!a!x",
            "1a1x1",
            "ia!x!",
            "!a!x!!",
            r"!a!\0!",
            "!a|!x!",
            "!|a!x!",
            "!(a|)!x!",
            "!(|a)!x!",
            "!^*!x!",
            "!a{256}!x!",
            "!a{1,2,3}!x!",
            "!a{1x}!x!",
            "![[:alfa:]]!x!",
            "![z-a]!x!",
            "![a-b-c]!x!",
            "![]!x!",
            r"!(a)\2!x!",
            "a",
        ] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
