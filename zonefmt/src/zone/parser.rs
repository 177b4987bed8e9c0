//! Entries to records: directives, and owner, TTL, class and type of each record.

use std::{ops::Range, path::Path};

use super::{
    CheckNames, FileId, Location, MAX_DEPTH, MAX_FILES, Options, Record, Refusal, Report, Sink, generate,
    letters::{is_hash, odd_name, owner_is_fine},
    lexer::{Entry, Lexer},
};
use crate::{
    Class, NameBuf, NameRef, Rtype,
    diagnostics::{Diagnostic, Source},
    rdata::{self, Fields, RdataError, Token, Usage},
};

pub(super) fn parse(source: &Source, options: &Options<'_>, sink: &mut impl Sink) -> Report {
    let report = Report::new(source, options.max_errors.max(1));
    let ttls = Ttls { default: options.default_ttl, ..Ttls::default() };
    let mut parser = Parser { options, sink, report, ttls, run: Vec::new(), rdata: Vec::new(), nesting: Vec::new() };
    parser.file(source, FileId(0), options.origin, None);
    parser.report
}

/// What goes on across `$INCLUDE`.
pub(super) struct Parser<'o, S> {
    pub options: &'o Options<'o>,
    sink: &'o mut S,
    pub report: Report,
    ttls: Ttls,
    /// The TTL of each type in the current run of records of one owner.
    run: Vec<(Rtype, u16, u32)>,
    rdata: Vec<u8>,
    /// The names of the files that include the current one, and its own.
    nesting: Vec<String>,
}

/// What belongs to one file.
pub(super) struct File<'a> {
    pub source: &'a Source,
    id: FileId,
    pub origin: NameBuf,
    origin_in_zone: bool,
    owner: Option<NameBuf>,
    /// The text that `owner` was read from, to know it again without reading it; empty if the origin has changed.
    owner_text: &'a [u8],
    /// Whether `owner` lies in the zone.
    owner_in_zone: bool,
    /// Whether the origin has changed since `owner` was read.
    owner_is_old: bool,
}

/// Where TTLs come from.
#[derive(Default)]
struct Ttls {
    /// `$TTL`, or the SOA's minimum where that has stood in for it.
    default: Option<u32>,
    /// The last one that was written out.
    last: Option<u32>,
    /// Whether it was said that `last` is used.
    warned: bool,
}

/// What stands between owner and rdata.
pub(super) struct Head {
    pub ttl: Option<u32>,
    pub rtype: Rtype,
    /// How many tokens it took.
    pub len: usize,
}

/// A finding on the way to a record, to be reported at its place.
pub(super) struct Fault {
    pub span: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

pub(super) type Result<T> = std::result::Result<T, Fault>;

/// The largest TTL (RFC 2181 8).
const MAX_TTL: u32 = i32::MAX as u32;

/// How many types of one owner are remembered with their TTL.
const MAX_RUN: usize = 64;

impl<S: Sink> Parser<'_, S> {
    fn file(&mut self, source: &Source, id: FileId, origin: NameRef<'_>, owner: Option<&NameBuf>) {
        self.nesting.push(source.name().to_owned());
        let mut file = File {
            source,
            id,
            origin: NameBuf::new(origin),
            origin_in_zone: origin.is_at_or_below(self.options.origin),
            owner: owner.cloned(),
            owner_text: b"",
            owner_in_zone: owner.is_some_and(|owner| owner.as_ref().is_at_or_below(self.options.origin)),
            owner_is_old: owner.is_some(),
        };
        if source.text().starts_with(b"\xef\xbb\xbf") {
            let help = "save the file as UTF-8 without byte order mark";
            let message = "the file begins with a byte order mark, which would be part of the first owner".into();
            self.error(source, Fault { span: 0..3, message, help: Some(help.into()) });
        }
        let mut lexer = Lexer::new(source.text());
        let mut tokens = Vec::new();
        while !self.report.is_full() {
            let fault = match lexer.entry(&mut tokens) {
                Ok(None) => break,
                Ok(Some(entry)) => {
                    if !entry.terminated {
                        self.report.warning(source, entry.end..entry.end, "the file does not end with a newline");
                    }
                    match self.entry(&mut file, &entry, &mut tokens) {
                        Ok(()) => continue,
                        Err(fault) => fault,
                    }
                }
                Err(fault) => Fault { span: fault.span, message: fault.message.into(), help: Some(fault.help.into()) },
            };
            self.error(source, fault);
        }
        self.nesting.pop();
    }

    #[inline]
    fn entry<'a>(&mut self, file: &mut File<'a>, entry: &Entry, tokens: &mut Vec<Token<'a>>) -> Result<()> {
        if entry.blank {
            return self.inherited_owner(file, entry, tokens);
        }
        let owner = tokens[0];
        if owner.text.first() == Some(&b'$') {
            return self.directive(file, entry, tokens);
        }
        if owner.text != file.owner_text || owner.text.is_empty() {
            self.owner(file, owner)?;
        }
        self.record(file, entry, tokens, 1)
    }

    /// Reads an owner that differs in text from the last one.
    #[inline]
    fn owner<'a>(&mut self, file: &mut File<'a>, owner: Token<'a>) -> Result<()> {
        let name = file.owner.get_or_insert_with(|| NameBuf::new(NameRef::ROOT));
        file.owner_text = b"";
        if let Err(error) = name.parse(owner.text, file.origin.as_ref()) {
            // What stands below it has no owner either.
            file.owner = None;
            return Err(bad_name(owner, error));
        }
        file.owner_text = owner.text;
        let relative = owner.text.last() != Some(&b'.');
        file.owner_in_zone = relative && file.origin_in_zone || name.as_ref().is_at_or_below(self.options.origin);
        file.owner_is_old = false;
        self.run.clear();
        Ok(())
    }

    fn inherited_owner<'a>(&mut self, file: &mut File<'a>, entry: &Entry, tokens: &mut Vec<Token<'a>>) -> Result<()> {
        let Some(owner) = &file.owner else {
            let help = "write the owner at the start of the line, `@` for the zone itself";
            return Err(Fault::at(tokens[0], "this record has no owner, and there is none before it", help));
        };
        if file.owner_is_old {
            let message =
                format!("the owner of this record is still {}, from before the origin changed", owner.as_ref());
            self.report.warning(file.source, entry.start..entry.end, message);
            file.owner_is_old = false;
        }
        self.record(file, entry, tokens, 0)
    }

    /// Reads a record whose owner is known; `skip` tokens stand before TTL, class and type.
    #[inline]
    fn record<'a>(&mut self, file: &File<'a>, entry: &Entry, tokens: &mut Vec<Token<'a>>, skip: usize) -> Result<()> {
        let Some(owner) = &file.owner else { return Ok(()) };
        let head = self.head(file, entry, tokens, skip)?;
        let start = skip + head.len;
        if entry.quoted && rdata::info(head.rtype).is_some_and(rdata::TypeInfo::has_value_pairs) {
            join_pairs(file.source.text(), tokens, start);
        }
        self.rdata.clear();
        rdata::parse(head.rtype, &mut Fields::new(&tokens[start..]), file.origin.as_ref(), &mut self.rdata)
            .map_err(|error| Fault::rdata(error, &tokens[start..], entry))?;
        let owner = owner.as_ref();
        if head.rtype == Rtype::NSEC3 && !is_hash(owner) {
            let help = "its first label is a hash in base32hex, as NSEC3 signers write it (RFC 5155 3)";
            return Err(Fault::entry(entry, format!("{owner} is no owner for NSEC3"), help));
        }
        self.check_names(file.source, entry, owner, head.rtype)?;
        let ttl = self.ttl(file, entry, &head, &tokens[start..])?;
        if !file.owner_in_zone {
            let message = format!("{owner} lies outside the zone: the record is ignored");
            self.report.warning(file.source, entry.start..entry.end, message);
            return Ok(());
        }
        self.emit(file, entry, owner, ttl, head.rtype)
    }

    /// Hands the record to the sink, whose data is in `self.rdata`.
    #[inline]
    pub fn emit(&mut self, file: &File<'_>, entry: &Entry, owner: NameRef<'_>, ttl: u32, rtype: Rtype) -> Result<()> {
        let at = Location { file: file.id, offset: entry.line };
        let record = Record { owner, ttl, class: self.options.class, rtype, rdata: &self.rdata, at };
        self.report.records += 1;
        self.sink.record(record).map_err(|Refusal { message, help }| Fault {
            span: entry.start..entry.end,
            message,
            help,
        })
    }

    /// Reads TTL, class and type, from token `skip` on.
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
            // The lexer makes no empty token without quotes.
            if token.text[0].is_ascii_digit() {
                let seconds = rdata::seconds(token.text).filter(|_| ttl.is_none());
                let seconds = seconds.ok_or_else(|| unknown_type(token, tokens, entry, true))?;
                ttl = Some(self.limited(file.source, token, seconds));
                continue;
            }
            // ANY is a class as well, and counts as one.
            match Rtype::from_text(token.text) {
                Some(rtype) if rtype != Rtype::ANY || class.is_some() => {
                    self.check_class(class)?;
                    refuse_meta(rtype, token)?;
                    return Ok(Head { ttl, rtype, len: next - skip });
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

    /// The TTL of a record; see the module's documentation.
    #[inline]
    fn ttl(&mut self, file: &File<'_>, entry: &Entry, head: &Head, data: &[Token<'_>]) -> Result<u32> {
        let ttl = match (head.ttl, self.ttls.default) {
            (Some(ttl), _) => {
                self.ttls.last = Some(ttl);
                ttl
            }
            (None, Some(default)) => default,
            (None, None) => self.inherited_ttl(file, entry, head.rtype, data)?,
        };
        let covers = super::covers(head.rtype, &self.rdata);
        match self.run.iter().find(|&&(rtype, also, _)| (rtype, also) == (head.rtype, covers)) {
            None if self.run.len() < MAX_RUN => self.run.push((head.rtype, covers, ttl)),
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
        let minimum = self.rdata.last_chunk().filter(|_| rtype == Rtype::SOA).map(|octets| u32::from_be_bytes(*octets));
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

    fn limited(&mut self, source: &Source, token: Token<'_>, ttl: u32) -> u32 {
        if ttl <= MAX_TTL {
            return ttl;
        }
        let message = format!("a TTL of {ttl} is over {MAX_TTL} and counts as 0 (RFC 2181 8)");
        self.report.warning(source, token_span(token), message);
        0
    }

    #[inline]
    fn check_names(&mut self, source: &Source, entry: &Entry, owner: NameRef<'_>, rtype: Rtype) -> Result<()> {
        if self.options.check_names == CheckNames::Ignore {
            return Ok(());
        }
        let message = if !owner_is_fine(owner, rtype) {
            format!("{owner} is no host name, as the owner of {rtype} must be")
        } else if let Some(name) = odd_name(owner, rtype, &self.rdata) {
            format!("{name} in the data of {rtype} is no host name")
        } else {
            return Ok(());
        };
        let help = "use letters, digits and hyphens only (RFC 1123 2.1), or `check-names ignore`";
        if self.options.check_names == CheckNames::Fail {
            return Err(Fault::entry(entry, message, help));
        }
        self.report.push(Diagnostic::warning(source, entry.start..entry.end, message).help(help));
        Ok(())
    }

    fn directive<'a>(&mut self, file: &mut File<'a>, entry: &Entry, tokens: &[Token<'a>]) -> Result<()> {
        let (name, arguments) = (tokens[0], &tokens[1..]);
        let is = |directive: &str| name.text.eq_ignore_ascii_case(directive.as_bytes());
        if is("$ORIGIN") {
            let [origin] = exactly(arguments, entry, "$ORIGIN takes a name", "$ORIGIN example.com.")?;
            let mut new = NameBuf::new(NameRef::ROOT);
            new.parse(unquoted(origin)?.text, file.origin.as_ref()).map_err(|error| bad_name(origin, error))?;
            file.origin_in_zone = new.as_ref().is_at_or_below(self.options.origin);
            file.origin = new;
            file.owner_text = b"";
            file.owner_is_old = true;
        } else if is("$TTL") {
            let [token] = exactly(arguments, entry, "$TTL takes a time", "$TTL 3600, or $TTL 1h")?;
            let Some(ttl) = seconds(unquoted(token)?.text) else {
                let help = "write seconds, or numbers each with a unit as in 1w2d3h4m5s";
                return Err(Fault::at(token, "this is no TTL", help));
            };
            let ttl = self.limited(file.source, token, ttl);
            (self.ttls.default, self.ttls.last) = (Some(ttl), self.ttls.last.and(Some(ttl)));
        } else if is("$INCLUDE") {
            self.include(file, entry, arguments)?;
        } else if is("$GENERATE") {
            generate::generate(self, file, entry, arguments)?;
        } else if is("$DATE") {
            exactly::<1>(arguments, entry, "$DATE takes a date", "remove it: it means nothing in a zone")?;
        } else {
            let help = "write $ORIGIN, $TTL, $INCLUDE or $GENERATE; an owner that begins with $ is written \\$";
            return Err(Fault::at(name, "unknown directive", help));
        }
        Ok(())
    }

    fn include(&mut self, file: &mut File<'_>, entry: &Entry, arguments: &[Token<'_>]) -> Result<()> {
        let (path, origin) = match *arguments {
            [path] => (path, file.origin.clone()),
            [path, origin] => {
                let mut name = NameBuf::new(NameRef::ROOT);
                name.parse(unquoted(origin)?.text, file.origin.as_ref()).map_err(|error| bad_name(origin, error))?;
                (path, name)
            }
            _ => exactly::<1>(arguments, entry, "$INCLUDE takes a file", INCLUDE)
                .map(|[path]| (path, file.origin.clone()))?,
        };
        let Some(name) = std::str::from_utf8(path.text).ok().filter(|name| !name.is_empty()) else {
            return Err(Fault::at(path, "this is no file name", "write a path in UTF-8"));
        };
        let refuse = |message: String, help: &str| Err(Fault::at(path, message, help));
        if self.nesting.len() >= MAX_DEPTH || self.report.files() >= MAX_FILES {
            return refuse(
                format!("files include files {MAX_DEPTH} deep, or more than {MAX_FILES} in all"),
                "look for a file that includes itself under another name",
            );
        }
        let included = match self.options.includes.open(Path::new(name)) {
            Ok(included) => included,
            Err(error) => {
                return refuse(
                    format!("cannot read `{}`: {error}", name.escape_debug()),
                    "a relative path starts at the working directory (named's `directory`), not at this file",
                );
            }
        };
        if self.nesting.iter().any(|outer| outer == included.name()) {
            return refuse(format!("`{}` includes itself", included.name()), "remove this $INCLUDE");
        }
        let id = self.report.add_file(&included);
        let errors = self.report.errors;
        self.file(&included, id, origin.as_ref(), file.owner.as_ref());
        if self.report.errors > errors {
            let message = format!("the errors in `{}` come from here", included.name());
            self.report.push(Diagnostic::new(
                crate::diagnostics::Severity::Note,
                file.source,
                token_span(path),
                message,
            ));
        }
        // The owner is as before, but its run of records was interrupted.
        self.run.clear();
        file.owner_is_old = false;
        Ok(())
    }

    fn error(&mut self, source: &Source, fault: Fault) {
        let mut diagnostic = Diagnostic::error(source, fault.span, fault.message);
        diagnostic.help = fault.help;
        self.report.push(diagnostic);
        if self.report.is_full() {
            let message = format!("{} errors: the rest of the zone was not read", self.report.errors);
            let end = source.text().len();
            self.report.push(Diagnostic::new(crate::diagnostics::Severity::Note, source, end..end, message));
        }
    }

    pub fn rdata(&mut self) -> &mut Vec<u8> {
        self.rdata.clear();
        &mut self.rdata
    }
}

const HEAD: &str = "write: owner, TTL and class (both optional), type, data";
const SET_TTL: &str = "write $TTL and a time at the top of the file (RFC 2308 4)";
const INCLUDE: &str = "$INCLUDE file, or $INCLUDE file origin";

impl Fault {
    pub fn at(token: Token<'_>, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { span: token_span(token), message: message.into(), help: Some(help.into()) }
    }

    pub fn entry(entry: &Entry, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { span: entry.start..entry.end, message: message.into(), help: Some(help.into()) }
    }

    /// An error in rdata that was read from these tokens.
    #[cold]
    fn rdata(error: RdataError, tokens: &[Token<'_>], entry: &Entry) -> Fault {
        let span = match (error.at.map(|at| tokens.get(at)), tokens) {
            (Some(Some(&token)), _) => token_span(token),
            (None, [first, ..]) => first.at..entry.end,
            _ => entry.end..entry.end,
        };
        Fault { span, message: error.message, help: error.help }
    }
}

/// The place of a token, its quotes included.
pub(super) fn token_span(token: Token<'_>) -> Range<usize> {
    let quote = usize::from(token.quoted);
    token.at - quote..token.at + token.text.len() + quote
}

/// The token at `index`, or the error that it is missing.
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

/// The arguments of a directive that takes `N` of them.
fn exactly<'a, const N: usize>(
    tokens: &[Token<'a>],
    entry: &Entry,
    what: &str,
    example: &str,
) -> Result<[Token<'a>; N]> {
    match (tokens.first_chunk(), tokens.get(N)) {
        (Some(arguments), None) => Ok(*arguments),
        (_, Some(&extra)) => Err(Fault::at(extra, format!("{what}, and nothing after it"), format!("write {example}"))),
        (None, None) => {
            Err(Fault { span: entry.end..entry.end, message: what.into(), help: Some(format!("write {example}")) })
        }
    }
}

/// Refuses types that zones do not have.
#[inline]
fn refuse_meta(rtype: Rtype, token: Token<'_>) -> Result<()> {
    let message = match rdata::info(rtype).map(|info| info.usage) {
        Some(Usage::Obsolete) => format!("{rtype} is obsolete (RFC 1035 3.3.4, 3.3.5)"),
        _ if rtype.is_meta() => format!("{rtype} exists in messages only, never in a zone"),
        _ => return Ok(()),
    };
    Err(Fault::at(token, message, if rtype == MD || rtype == MF { "write MX" } else { "remove the record" }))
}

const MD: Rtype = Rtype(3);
const MF: Rtype = Rtype(4);

fn unquoted(token: Token<'_>) -> Result<Token<'_>> {
    if token.quoted { Err(Fault::at(token, "this must not be in quotes", "remove the quotes")) } else { Ok(token) }
}

/// A TTL.
#[inline]
fn seconds(text: &[u8]) -> Option<u32> {
    if text.first()?.is_ascii_digit() { rdata::seconds(text) } else { None }
}

#[cold]
pub(super) fn bad_name(token: Token<'_>, error: crate::NameError) -> Fault {
    Fault::at(token, error.to_string(), "a name is labels of 1 to 63 octets with dots between; `@` is the origin")
}

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

/// Joins what the lexer took apart: in `key="value"` the quote opens a string inside the token (RFC 9460 2.1).
fn join_pairs<'a>(text: &'a [u8], tokens: &mut Vec<Token<'a>>, start: usize) {
    let mut kept = start;
    for index in start..tokens.len() {
        let token = tokens[index];
        let last = tokens[kept.max(1) - 1];
        let adjacent = kept > start && token.quoted && last.at + last.text.len() + 1 == token.at;
        if adjacent && !last.quoted && last.text.ends_with(b"=") {
            tokens[kept - 1].text = &text[last.at..=token.at + token.text.len()];
        } else {
            tokens[kept] = token;
            kept += 1;
        }
    }
    tokens.truncate(kept);
}
