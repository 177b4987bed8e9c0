//! The fields between owner and data: TTL, class and type.

use super::{
    Sink,
    fault::{Fault, Result, take, token_span},
    lexer::Entry,
    parser::{File, Parser},
    ttl::bad_ttl,
};
use crate::{
    Class, Rtype,
    rdata::{self, Token, TypeInfo, Usage},
};

/// The fields between owner and rdata.
pub(super) struct Head {
    pub ttl: Option<u32>,
    pub rtype: Rtype,
    /// The row of the type; `None` for a type without a mnemonic.
    pub info: Option<&'static TypeInfo>,
    /// The number of tokens that the fields take.
    pub len: usize,
}

impl<S: Sink> Parser<'_, S> {
    /// Reads TTL, class and type, starting at token `skip`.
    #[inline]
    pub fn head(&mut self, file: &File<'_>, entry: &Entry, tokens: &[Token<'_>], skip: usize) -> Result<Head> {
        let mut next = skip;
        let (mut class, mut ttl) = (None, None);
        loop {
            let token = take(tokens, next, entry, "the type of the record is missing", HEAD)?;
            next += 1;
            if token.quoted {
                return Err(Fault::at(token, "TTL, class and type are not quoted", "remove the quotes"));
            }
            if class.is_none() && token.text.eq_ignore_ascii_case(b"IN") {
                class = Some((Class::IN, token));
                continue;
            }
            // The lexer makes no empty tokens without quotes.
            if token.text[0].is_ascii_digit() {
                // A number that is too large is a wrong TTL; anything else is in the place of the type.
                let is_number = token.text.iter().all(u8::is_ascii_digit);
                let seconds = match rdata::seconds(token.text) {
                    Some(seconds) if ttl.is_none() => seconds,
                    None if ttl.is_none() && is_number => return Err(bad_ttl(token)),
                    _ => return Err(unknown_type(token, tokens, entry, true)),
                };
                ttl = Some(self.limited(file.source, token, seconds));
                continue;
            }
            // ANY is also a class, and is read as one.
            match Rtype::from_text(token.text) {
                Some(rtype) if rtype != Rtype::ANY || class.is_some() => {
                    self.check_class(class)?;
                    let info = rdata::info_in(self.options.class, rtype);
                    if rtype.is_meta() || info.is_some_and(|info| info.usage != Usage::Data) {
                        return Err(not_for_zones(rtype, token));
                    }
                    return Ok(Head { ttl, rtype, info, len: next - skip });
                }
                _ => match Class::from_text(token.text) {
                    Some(found) if class.is_none() => class = Some((found, token)),
                    _ => return Err(unknown_type(token, tokens, entry, class.is_some() || ttl.is_some())),
                },
            }
        }
    }

    fn check_class(&self, class: Option<(Class, Token<'_>)>) -> Result<()> {
        let zone = self.options.class;
        match class {
            Some((class, token)) if class != zone => Err(Fault::at(
                token,
                format!("class {class} in a zone of class {zone}"),
                format!("write {zone}, or leave the class out"),
            )),
            _ => Ok(()),
        }
    }
}

const HEAD: &str = "write: owner, TTL and class (both optional), type, data";

/// The error for a type that is not allowed in zones.
#[cold]
fn not_for_zones(rtype: Rtype, token: Token<'_>) -> Fault {
    if rtype == MD || rtype == MF {
        return Fault::at(token, format!("{rtype} is obsolete (RFC 1035 3.3.4, 3.3.5)"), "write MX");
    }
    Fault::at(token, format!("{rtype} exists in messages only, never in a zone"), "remove the record")
}

const MD: Rtype = Rtype(3);
const MF: Rtype = Rtype(4);

#[cold]
fn unknown_type(token: Token<'_>, tokens: &[Token<'_>], entry: &Entry, after_head: bool) -> Fault {
    let shown = String::from_utf8_lossy(&token.text[..token.text.len().min(40)]).into_owned();
    let owner_is_type =
        !entry.blank && !after_head && tokens.first().is_some_and(|t| Rtype::from_text(t.text).is_some());
    let help = if owner_is_type {
        "the owner looks like a type: start the line with a blank to use the owner of the line before".into()
    } else if token.text.first() == Some(&b'$') {
        "a directive stands at the start of its line".into()
    } else {
        HEAD.into()
    };
    Fault {
        span: token_span(token),
        message: format!("`{}` is no record type", shown.escape_debug()),
        help: Some(help),
    }
}
