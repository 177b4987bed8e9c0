//! Splits octets into entries: one directive or record at a time, as its tokens (RFC 1035 5.1).
//!
//! The lexer knows quotes, escapes, comments and parentheses, but not what a token means. It accepts what BIND 9.18
//! accepts: a carriage return ends a line as a newline does, a quoted string ends on its line unless the newline is
//! escaped, and an adjacent quote or parenthesis ends a token.

use std::ops::Range;

use crate::rdata::Token;

/// A reader of the entries of a text.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

/// The place of an entry, and facts about its form.
#[allow(clippy::struct_excessive_bools)] // Four independent facts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// The first octet of the line on which the entry starts.
    pub line: usize,
    /// The first octet of its first token.
    pub start: usize,
    /// The octet after its last token, comment or closing parenthesis, where a missing token would be.
    pub end: usize,
    /// Whether the line starts with a blank, so that the owner is that of the last entry.
    pub blank: bool,
    /// Whether the entry has parentheses.
    pub grouped: bool,
    /// Whether a token is quoted.
    pub quoted: bool,
    /// Whether the entry ends with a newline rather than with the file.
    pub terminated: bool,
}

/// Text that is not an entry. The lexer continues after it.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub span: Range<usize>,
    pub message: &'static str,
    pub help: &'static str,
}

/// The most octets of one entry, including comments and blanks inside. The longest rdata, with every octet as `\DDD`,
/// takes a quarter of that.
pub(super) const MAX_ENTRY: usize = 1 << 20;

/// What an octet means outside of quotes and comments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Blank,
    Newline,
    Quote,
    Open,
    Close,
    Comment,
    Escape,
    Nul,
}

const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Plain; 256];
    kinds[b' ' as usize] = Kind::Blank;
    kinds[b'\t' as usize] = Kind::Blank;
    kinds[b'\n' as usize] = Kind::Newline;
    kinds[b'\r' as usize] = Kind::Newline;
    kinds[b'"' as usize] = Kind::Quote;
    kinds[b'(' as usize] = Kind::Open;
    kinds[b')' as usize] = Kind::Close;
    kinds[b';' as usize] = Kind::Comment;
    kinds[b'\\' as usize] = Kind::Escape;
    kinds[0] = Kind::Nul;
    kinds
};

impl<'a> Lexer<'a> {
    pub fn new(text: &'a [u8]) -> Lexer<'a> {
        // A byte order mark is reported once, and not as part of the first owner.
        let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Lexer { text, at }
    }

    /// The position reached: after the newline of the last entry.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Reads the tokens of the next entry that has any into `tokens`; `None` at the end of the text.
    #[inline]
    pub fn entry(&mut self, tokens: &mut Vec<Token<'a>>) -> Result<Option<Entry>, Fault> {
        let text = self.text;
        let mut at = self.at;
        tokens.clear();
        let mut entry = Entry::on_line(at);
        let (mut open, mut depth) = (None, 0_u32);
        'octets: loop {
            let Some(&octet) = text.get(at) else {
                if let Some(open) = open {
                    return Err(self.unclosed(open));
                }
                if at - entry.line > MAX_ENTRY && !tokens.is_empty() {
                    return Err(self.too_long(entry.line, at, open));
                }
                self.at = at;
                return Ok(entry.of(text, tokens));
            };
            let mut kind = KINDS[usize::from(octet)];
            // Most of a file is words with single blanks between them.
            while let Kind::Plain | Kind::Escape = kind {
                let stop = token_end(text, at);
                tokens.push(Token { text: &text[at..stop], quoted: false, at });
                at = stop;
                entry.end = at;
                let Some([b' ', next, ..]) = text.get(at..) else { continue 'octets };
                kind = KINDS[usize::from(*next)];
                at += 1;
            }
            match kind {
                Kind::Plain | Kind::Escape => {}
                Kind::Blank => at += 1,
                Kind::Newline => {
                    at += 1;
                    if at - entry.line > MAX_ENTRY && !(tokens.is_empty() && depth == 0) {
                        return Err(self.too_long(entry.line, at, open));
                    }
                    if depth > 0 {
                        continue;
                    }
                    if !tokens.is_empty() {
                        self.at = at;
                        entry.terminated = true;
                        return Ok(entry.of(text, tokens));
                    }
                    entry = Entry::on_line(at);
                }
                Kind::Quote => {
                    let Some(stop) = quote_end(text, at + 1) else { return Err(self.unquoted(at)) };
                    tokens.push(Token { text: &text[at + 1..stop], quoted: true, at: at + 1 });
                    at = stop + 1;
                    entry.end = at;
                    entry.quoted = true;
                }
                Kind::Open => {
                    open = open.or(Some(at));
                    entry.grouped = true;
                    depth += 1;
                    at += 1;
                }
                Kind::Close => {
                    let Some(outer) = depth.checked_sub(1) else { return Err(self.unopened(at)) };
                    depth = outer;
                    at += 1;
                    entry.end = at;
                    if depth == 0 {
                        open = None;
                    }
                }
                Kind::Comment => at = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length),
                Kind::Nul => return Err(self.nul(at)),
            }
        }
    }

    /// Continues after the line that holds `at`.
    fn skip_line(&mut self, at: usize) {
        self.at = memchr::memchr(b'\n', &self.text[at..]).map_or(self.text.len(), |length| at + length + 1);
    }

    /// Continues at the next line after `at` that looks like the start of an entry with an owner, so that lines which
    /// were meant to be inside the parentheses are not reported one by one.
    fn skip_group(&mut self, at: usize) {
        self.skip_line(at);
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | b')' | b';') = self.text.get(self.at) {
            self.skip_line(self.at);
        }
    }

    #[cold]
    fn unclosed(&mut self, open: usize) -> Fault {
        self.skip_group(open);
        Fault { span: open..open + 1, message: "this parenthesis is never closed", help: "write `)` after the record" }
    }

    #[cold]
    fn unopened(&mut self, at: usize) -> Fault {
        self.skip_line(at);
        Fault {
            span: at..at + 1,
            message: "this parenthesis was never opened",
            help: "remove it, write `\\)` for the character itself, or put the text in quotes",
        }
    }

    #[cold]
    fn unquoted(&mut self, at: usize) -> Fault {
        self.skip_line(at);
        let end = memchr::memchr2(b'\n', b'\r', &self.text[at..]).map_or(self.text.len(), |length| at + length);
        Fault {
            span: at..end,
            message: "this quoted string does not end on its line",
            help: "close it with `\"`; a newline inside is written \\010, a quote \\\"",
        }
    }

    #[cold]
    fn nul(&mut self, at: usize) -> Fault {
        self.skip_line(at);
        Fault { span: at..at + 1, message: "a NUL octet outside quotes", help: "write \\000, or remove it" }
    }

    #[cold]
    fn too_long(&mut self, start: usize, next: usize, open: Option<usize>) -> Fault {
        match open {
            Some(open) => self.skip_group(open),
            None => self.at = next,
        }
        let at = open.unwrap_or(start);
        Fault {
            span: at..at + 1,
            message: "this record is longer than 1048576 octets",
            help: "is a `)` missing? No record can be that long",
        }
    }
}

impl Entry {
    fn on_line(line: usize) -> Entry {
        Entry { line, start: line, end: line, blank: false, grouped: false, quoted: false, terminated: false }
    }

    /// The entry with these tokens; `None` without tokens.
    #[inline]
    fn of(mut self, text: &[u8], tokens: &[Token<'_>]) -> Option<Entry> {
        let first = tokens.first()?;
        self.start = first.at - usize::from(first.quoted);
        self.blank = matches!(text[self.line], b' ' | b'\t');
        Some(self)
    }
}

/// The end of the unquoted token that starts at `at`.
#[inline]
fn token_end(text: &[u8], mut at: usize) -> usize {
    loop {
        at = plain_end(text, at);
        match text.get(at..) {
            Some([b'\\', escaped, ..]) if !matches!(escaped, b'\n' | b'\r') => at += 2,
            // An escape needs an octet to escape; the reader of the token reports that.
            Some([b'\\', ..]) => return at + 1,
            _ => return at,
        }
    }
}

/// The end of the plain characters that start at `at`.
#[inline]
fn plain_end(text: &[u8], mut at: usize) -> usize {
    // Eight octets at a time, because most tokens are shorter. All special octets but two are below `*`.
    while let Some(octets) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*octets);
        let special = below(word, b'*') | equal(word, b';') | equal(word, b'\\');
        at += special.trailing_zeros() as usize / 8;
        if special != 0 {
            if KINDS[usize::from(text[at])] != Kind::Plain {
                return at;
            }
            at += 1;
        }
    }
    at + text[at..].iter().take_while(|&&octet| KINDS[usize::from(octet)] == Kind::Plain).count()
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);

/// The high bit of the first octet of `word` that is below `bound` (up to 0x80). Later octets may be marked wrongly.
#[inline]
fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGHS
}

/// The high bit of the first octet of `word` that equals `octet`. Later octets may be marked wrongly.
#[inline]
fn equal(word: u64, octet: u8) -> u64 {
    below(word ^ (ONES * u64::from(octet)), 1)
}

/// The closing quote of the string whose text starts at `at`.
fn quote_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr3(b'"', b'\\', b'\n', text.get(at..)?)?;
        match text[at] {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Formats the tokens of each entry, with quoted ones in quotes, after `_` if the line starts with a blank.
    fn lex(text: &str) -> Vec<String> {
        let mut lexer = Lexer::new(text.as_bytes());
        let (mut tokens, mut entries) = (Vec::new(), Vec::new());
        loop {
            match lexer.entry(&mut tokens) {
                Ok(None) => return entries,
                Ok(Some(entry)) => {
                    let shown = |token: &Token<'_>| {
                        let text = String::from_utf8_lossy(token.text);
                        if token.quoted { format!("\"{text}\"") } else { text.into_owned() }
                    };
                    let shown: Vec<_> = tokens.iter().map(shown).collect();
                    entries.push(format!("{}{}", if entry.blank { "_" } else { "" }, shown.join(" ")));
                }
                Err(fault) => entries.push(format!("{} at {}", fault.message, fault.span.start)),
            }
        }
    }

    #[test]
    fn tokens_end_at_blanks_quotes_parentheses_and_comments() {
        assert_eq!(lex("a\tb(c)d\"e f\"g;h\ni"), ["a b c d \"e f\" g", "i"]);
        assert_eq!(lex("a \"b(c;d)\" \"\"\n"), ["a \"b(c;d)\" \"\""]);
        assert_eq!(lex("a \x0bb\x0c\n"), ["a \x0bb\x0c"]);
    }

    #[test]
    fn escapes_keep_special_characters_in_a_token() {
        assert_eq!(lex(r#"a\ b\;c\"d\(e\\ f"#), [r#"a\ b\;c\"d\(e\\ f"#]);
        assert_eq!(lex("\"a\\\"b\\\nc\\\\\"\n"), ["\"a\\\"b\\\nc\\\\\""]);
        assert_eq!(lex("a\\\nb"), ["a\\", "b"]);
    }

    #[test]
    fn parentheses_join_lines() {
        assert_eq!(lex("a ( b ; c\n\n  d ( e\n) ) f\n g"), ["a b d e f", "_g"]);
        assert_eq!(lex("(\na b\n)\n (c\n)"), ["a b", "_c"]);
    }

    #[test]
    fn blank_lines_and_comments_are_no_entries() {
        assert_eq!(lex("\n  \n\t; a\n; b \" (\n()\n  c\r\n\r\nd\re"), ["_c", "d", "e"]);
        assert_eq!(lex("\u{feff}a"), ["a"]);
        assert_eq!(lex(""), [""; 0]);
    }

    #[test]
    fn faults_cost_their_line_only() {
        assert_eq!(lex("a )\nb"), ["this parenthesis was never opened at 2", "b"]);
        assert_eq!(lex("a \"b\nc"), ["this quoted string does not end on its line at 2", "c"]);
        assert_eq!(lex("a b\0c d\ne"), ["a NUL octet outside quotes at 3", "e"]);
        assert_eq!(lex("a \"b\0c\" ; \0\n"), ["a \"b\0c\""]);
        // The lines that were meant to be inside the parentheses are skipped too.
        assert_eq!(lex("a (\n  1\n  2\nb c\n"), ["this parenthesis is never closed at 2", "b c"]);
    }

    #[test]
    fn an_entry_has_a_bound() {
        let text = format!("a {}\nb (\n {}\nc", "x".repeat(MAX_ENTRY), "y\n".repeat(MAX_ENTRY));
        let found = lex(&text);
        assert_eq!(found[0], "this record is longer than 1048576 octets at 0");
        assert!(found[1].starts_with("this record is longer than 1048576 octets at"), "{}", found[1]);
        assert_eq!(found.last().map(String::as_str), Some("c"));
    }
}
