//! The tokens of one record's rdata, the cursor that reads them, and the error that points back at one.

use std::fmt;

use crate::Class;

/// One token of a zone file line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token<'a> {
    /// The token as written: escapes are not processed yet, and outer quotes are stripped. Quotes inside remain: in
    /// types with [value pairs](super::TypeInfo::has_value_pairs), `alpn="h2,h3"` is one token.
    pub text: &'a [u8],
    /// Whether the token was in quotes.
    pub quoted: bool,
    /// The offset from the start of the file, in octets.
    pub at: usize,
}

/// A cursor over the tokens of one record's rdata.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    tokens: &'a [Token<'a>],
    next: usize,
    class: Class,
}

/// Why rdata was refused, and what to write instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RdataError {
    /// The index of the token at fault, which is the number of tokens if one is missing; `None` for wire form.
    pub at: Option<usize>,
    /// What is wrong, with type and field: `MX preference: 70000 is over 65535`.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl<'a> Fields<'a> {
    /// Creates a cursor before the first of `tokens`, the rdata of a record of class IN.
    pub const fn new(tokens: &'a [Token<'a>]) -> Self {
        Fields { tokens, next: 0, class: Class::IN }
    }

    /// The same cursor for a record of another class.
    #[must_use]
    pub const fn in_class(self, class: Class) -> Self {
        Fields { class, ..self }
    }

    /// The record's class.
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Returns the next token, if there is one, without taking it.
    pub fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.next).copied()
    }

    /// The number of tokens taken so far, which is the index of the next one.
    pub const fn position(&self) -> usize {
        self.next
    }

    /// Whether every token has been taken.
    pub const fn is_done(&self) -> bool {
        self.next >= self.tokens.len()
    }

    /// Whether the remaining tokens are `\# length …` (RFC 3597 5). Without a number, `\#` is a string with `#` in it.
    #[inline]
    pub(crate) fn is_generic(&self) -> bool {
        let [mark, len, ..] = &self.tokens[self.next.min(self.tokens.len())..] else { return false };
        mark.text == b"\\#" && !mark.quoted && len.text.first().is_some_and(u8::is_ascii_digit)
    }

    /// Takes the next token; an error if none is left.
    pub(crate) fn take(&mut self) -> Result<Token<'a>, Fault> {
        let token = self.peek().ok_or_else(|| Fault::new("missing"))?;
        self.next += 1;
        Ok(token)
    }
}

/// What is wrong with a field, before type, field and token are known. [`super::parse`] adds those.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    #[cold]
    pub(crate) fn new(what: impl fmt::Display) -> Fault {
        Fault { what: what.to_string(), help: None }
    }

    #[cold]
    #[must_use]
    pub(crate) fn help(mut self, help: impl fmt::Display) -> Fault {
        self.help = Some(help.to_string());
        self
    }
}

/// A token's text as errors quote it: printable, and not too long.
pub(crate) fn shown(text: &[u8]) -> String {
    const MOST: usize = 40;
    let cut = text.len() > MOST;
    let mut shown = String::from("`");
    shown.extend(text[..text.len().min(MOST)].escape_ascii().map(char::from));
    shown.push_str(if cut { "…`" } else { "`" });
    shown
}

impl fmt::Display for RdataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RdataError {}
