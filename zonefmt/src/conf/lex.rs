//! Tokens of named.conf. Comments are allowed anywhere, even directly after a word: `//` and `#` to the end of the
//! line, and `/* … */`, which does not nest.

use std::ops::Range;

/// The kind of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Characters up to a space or a special one.
    Word,
    /// `"…"`, which may span lines; the span includes the quotes.
    Quoted,
    Open,
    Close,
    Semicolon,
    Bang,
    Slash,
    End,
}

/// A token and its place.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

/// What was opened but not closed, and where.
#[derive(Debug)]
pub(super) enum Unclosed {
    Comment(usize),
    Quote(usize),
}

/// A reader of tokens.
pub(super) struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t [u8]) -> Lexer<'t> {
        Lexer { text, at: 0 }
    }

    /// Reads the next token. At the end of the text it returns [`Kind::End`] every time.
    pub(super) fn token(&mut self) -> Result<Token, Unclosed> {
        self.skip_blank()?;
        let start = self.at;
        let Some(&first) = self.text.get(start) else { return Ok(Token { kind: Kind::End, span: start..start }) };
        let kind = match first {
            b'{' => Kind::Open,
            b'}' => Kind::Close,
            b';' => Kind::Semicolon,
            b'!' => Kind::Bang,
            b'/' => Kind::Slash,
            b'"' => {
                self.at = self.closing_quote(start)? + 1;
                return Ok(Token { kind: Kind::Quoted, span: start..self.at });
            }
            _ => {
                let rest = &self.text[start..];
                self.at += rest.iter().position(|&octet| ends_word(octet)).unwrap_or(rest.len());
                return Ok(Token { kind: Kind::Word, span: start..self.at });
            }
        };
        self.at += 1;
        Ok(Token { kind, span: start..self.at })
    }

    fn skip_blank(&mut self) -> Result<(), Unclosed> {
        loop {
            let rest = &self.text[self.at..];
            self.at += match rest {
                [b' ' | b'\t' | b'\r' | b'\n', ..] => 1,
                [b'#', ..] | [b'/', b'/', ..] => memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
                [b'/', b'*', body @ ..] => {
                    memchr::memmem::find(body, b"*/").ok_or(Unclosed::Comment(self.at))? + b"/**/".len()
                }
                _ => return Ok(()),
            };
        }
    }

    fn closing_quote(&self, open: usize) -> Result<usize, Unclosed> {
        let mut at = open + 1;
        loop {
            let found = self.text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest));
            at += found.ok_or(Unclosed::Quote(open))?;
            if self.text[at] == b'"' {
                return Ok(at);
            }
            at += 2;
        }
    }
}

const fn ends_word(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'}' | b';' | b'!' | b'/' | b'"' | b'#')
}
