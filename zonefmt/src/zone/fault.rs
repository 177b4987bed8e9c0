//! Errors found while a record is read, and the places of tokens.

use std::ops::Range;

use super::lexer::Entry;
use crate::{
    NameError,
    rdata::{RdataError, Token},
};

/// An error with its place, to be reported there.
pub(super) struct Fault {
    pub span: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

pub(super) type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    pub fn at(token: Token<'_>, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { span: token_span(token), message: message.into(), help: Some(help.into()) }
    }

    pub fn entry(entry: &Entry, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { span: entry.start..entry.end, message: message.into(), help: Some(help.into()) }
    }

    /// Creates an error for rdata that was read from these tokens.
    #[cold]
    pub fn rdata(error: RdataError, tokens: &[Token<'_>], entry: &Entry) -> Fault {
        let span = match (error.at.map(|at| tokens.get(at)), tokens) {
            (Some(Some(&token)), _) => token_span(token),
            (None, [first, ..]) => first.at..entry.end,
            _ => entry.end..entry.end,
        };
        Fault { span, message: error.message, help: error.help }
    }
}

/// The place of a token, including its quotes.
pub(super) fn token_span(token: Token<'_>) -> Range<usize> {
    let quote = usize::from(token.quoted);
    token.at - quote..token.at + token.text.len() + quote
}

/// Returns the token at `index`, or the error that it is missing.
#[inline]
pub(super) fn take<'a>(
    tokens: &[Token<'a>],
    index: usize,
    entry: &Entry,
    missing: &str,
    help: &str,
) -> Result<Token<'a>> {
    let end = entry.end..entry.end;
    tokens.get(index).copied().ok_or_else(|| Fault { span: end, message: missing.into(), help: Some(help.into()) })
}

#[cold]
pub(super) fn bad_name(token: Token<'_>, error: NameError) -> Fault {
    Fault::at(token, error.to_string(), "a name is labels of 1 to 63 octets with dots between; `@` is the origin")
}
