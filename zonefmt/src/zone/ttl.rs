//! The TTL of a record. The documentation of [`super`] has the rules.

use super::{
    Sink, covers,
    fault::{Fault, Result, token_span},
    head::Head,
    lexer::Entry,
    parser::{File, Parser},
};
use crate::{
    Rtype,
    diagnostics::{Diagnostic, Source},
    rdata::{self, Soa, Token},
};

/// The sources of TTLs.
#[derive(Default)]
pub(super) struct Ttls {
    /// `$TTL`, or the SOA's minimum once that has been used instead.
    pub default: Option<u32>,
    /// The last TTL that was written in the file.
    pub last: Option<u32>,
    /// Whether the warning that `last` is used has been given.
    warned: bool,
    /// The TTL of each type in the current run of records of one owner.
    run: Vec<(Rtype, u16, u32)>,
}

impl Ttls {
    pub fn new(default: Option<u32>) -> Ttls {
        Ttls { default, ..Ttls::default() }
    }

    /// Notes that another owner follows.
    pub fn end_run(&mut self) {
        self.run.clear();
    }
}

/// The largest TTL (RFC 2181 8).
pub(super) const MAX_TTL: u32 = i32::MAX as u32;

/// The number of types of one owner whose TTLs are remembered.
const MAX_RUN: usize = 64;

impl<S: Sink> Parser<'_, S> {
    /// The TTL of a record; see the module's documentation.
    #[inline]
    pub fn ttl(&mut self, file: &File<'_>, entry: &Entry, head: &Head, data: &[Token<'_>]) -> Result<u32> {
        let ttl = match (head.ttl, self.ttls.default) {
            (Some(ttl), _) => {
                self.ttls.last = Some(ttl);
                ttl
            }
            (None, Some(default)) => default,
            (None, None) => self.inherited_ttl(file, entry, head.rtype, data)?,
        };
        let covers = covers(head.rtype, &self.rdata);
        match self.ttls.run.iter().find(|&&(rtype, also, _)| (rtype, also) == (head.rtype, covers)) {
            None if self.ttls.run.len() < MAX_RUN => self.ttls.run.push((head.rtype, covers, ttl)),
            Some(&(rtype, _, first)) if first != ttl => {
                let message = format!("the TTL is {first}, as that of the {rtype} record before it, not {ttl}");
                self.report.push(
                    Diagnostic::warning(file.source, entry.start..entry.end, message)
                        .help("all records of one owner and type have one TTL (RFC 2181 5.2)"),
                );
                self.ttls.last = self.ttls.last.and(Some(first));
                return Ok(first);
            }
            _ => {}
        }
        Ok(ttl)
    }

    /// The TTL of a record without one, and without `$TTL`.
    #[cold]
    fn inherited_ttl(&mut self, file: &File<'_>, entry: &Entry, rtype: Rtype, data: &[Token<'_>]) -> Result<u32> {
        if let Some(last) = self.ttls.last {
            if !self.ttls.warned {
                self.ttls.warned = true;
                let message = format!("no TTL and no $TTL: the last TTL, {last}, is used here and from here on");
                self.report.push(Diagnostic::warning(file.source, entry.start..entry.end, message).help(SET_TTL));
            }
            return Ok(last);
        }
        let minimum = Soa::minimum_of(&self.rdata).filter(|_| rtype == Rtype::SOA);
        let Some(minimum) = minimum else {
            return Err(Fault::entry(entry, "this record has no TTL, and there is no $TTL", SET_TTL));
        };
        let token = data.last().copied().unwrap_or(Token { text: b"", quoted: false, at: entry.end });
        let minimum = self.limited(file.source, token, minimum);
        self.ttls.default = Some(minimum);
        let message = format!("no TTL and no $TTL: the SOA's minimum, {minimum}, is used");
        self.report.push(Diagnostic::warning(file.source, token_span(token), message).help(SET_TTL));
        Ok(minimum)
    }

    /// The TTL that `$GENERATE` gives to records without one.
    pub fn generated_ttl(&mut self, entry: &Entry, explicit: Option<u32>) -> Result<u32> {
        let ttl = explicit.or(self.ttls.default).or(self.ttls.last);
        self.ttls.last = explicit.or(self.ttls.last);
        ttl.ok_or_else(|| Fault::entry(entry, "these records have no TTL, and there is no $TTL", SET_TTL))
    }

    pub fn limited(&mut self, source: &Source, token: Token<'_>, ttl: u32) -> u32 {
        if ttl <= MAX_TTL {
            return ttl;
        }
        self.report.warning(source, token_span(token), over_limit(ttl));
        0
    }
}

/// The warning for a TTL over [`MAX_TTL`].
pub(super) fn over_limit(ttl: u32) -> String {
    format!("a TTL of {ttl} is over {MAX_TTL} and counts as 0 (RFC 2181 8)")
}

const SET_TTL: &str = "write $TTL and a time at the top of the file (RFC 2308 4)";

/// Reads a TTL.
pub(super) fn read_ttl(token: Token<'_>) -> Result<u32> {
    let digit = token.text.first().is_some_and(u8::is_ascii_digit);
    rdata::seconds(token.text).filter(|_| digit).ok_or_else(|| bad_ttl(token))
}

#[cold]
pub(super) fn bad_ttl(token: Token<'_>) -> Fault {
    let help = "write seconds, or numbers each with a unit as in 1w2d3h4m5s, up to 2147483647 seconds";
    Fault::at(token, "this is no TTL", help)
}
