//! Turns entries into records: directives, and owner, TTL, class and type of each record.

use super::{
    CheckNames, FileId, Location, Options, Record, Refusal, Remark, Report, Sink,
    fault::{Fault, Result, bad_name},
    letters::is_hash,
    lexer::{Entry, Lexer},
    ttl::Ttls,
};
use crate::{
    NameBuf, NameRef, Rtype,
    diagnostics::{Diagnostic, Source},
    rdata::{self, Fields, Token, TypeInfo},
};

pub(super) fn parse(source: &Source, options: &Options<'_>, sink: &mut impl Sink) -> Report {
    let report = Report::new(source, options.max_errors.max(1));
    let ttls = Ttls::new(options.default_ttl);
    let mut parser = Parser { options, sink, report, ttls, rdata: Vec::new(), nesting: Vec::new() };
    let origin = NameBuf::new(options.origin);
    parser.file(File {
        source,
        id: FileId::default(),
        origin_in_zone: parser.in_zone(options.origin),
        origin,
        owner: None,
        owner_text: b"",
        owner_in_zone: false,
        owner_is_bad: false,
        owner_is_old: false,
    });
    parser.report
}

/// The state that continues across `$INCLUDE`.
pub(super) struct Parser<'o, S> {
    pub options: &'o Options<'o>,
    pub report: Report,
    pub ttls: Ttls,
    /// The names of the files that include the current one, and its own.
    pub nesting: Vec<String>,
    /// The data of the current record.
    pub rdata: Vec<u8>,
    sink: &'o mut S,
}

/// The state of one file.
#[allow(clippy::struct_excessive_bools)] // Each states one thing about the owner or the origin.
pub(super) struct File<'a> {
    pub source: &'a Source,
    pub id: FileId,
    pub origin: NameBuf,
    pub origin_in_zone: bool,
    /// The owner of the last record.
    pub owner: Option<NameBuf>,
    /// The text that `owner` was read from, so that the same text need not be read again; empty if the origin has
    /// changed.
    pub owner_text: &'a [u8],
    pub owner_in_zone: bool,
    /// Whether the last owner was not a valid name. That was reported, and so were the records that inherit it.
    pub owner_is_bad: bool,
    /// Whether the origin has changed since `owner` was read.
    pub owner_is_old: bool,
}

impl<S: Sink> Parser<'_, S> {
    /// Reads a file to its end, or until there are too many errors.
    pub fn file(&mut self, mut file: File<'_>) {
        let source = file.source;
        self.nesting.push(source.name().to_owned());
        if source.text().starts_with(b"\xef\xbb\xbf") {
            let help = "save the file as UTF-8 without byte order mark";
            let message = "the file begins with a byte order mark, which would be part of the first owner".into();
            self.report.error(source.place(0..3), message, Some(help.into()));
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
            self.report.error(source.place(fault.span), fault.message, fault.help);
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

    /// Reads an owner whose text differs from the last one's.
    #[inline]
    fn owner<'a>(&mut self, file: &mut File<'a>, owner: Token<'a>) -> Result<()> {
        let name = file.owner.get_or_insert_with(|| NameBuf::new(NameRef::ROOT));
        file.owner_text = b"";
        let read = name.parse(owner.text, file.origin.as_ref());
        file.owner_is_bad = read.is_err();
        read.map_err(|error| bad_name(owner, error))?;
        file.owner_text = owner.text;
        let relative = owner.text.last() != Some(&b'.');
        file.owner_in_zone = relative && file.origin_in_zone || self.in_zone(name.as_ref());
        file.owner_is_old = false;
        self.ttls.end_run();
        Ok(())
    }

    fn inherited_owner<'a>(&mut self, file: &mut File<'a>, entry: &Entry, tokens: &mut Vec<Token<'a>>) -> Result<()> {
        let Some(owner) = file.owner.as_ref().filter(|_| !file.owner_is_bad) else {
            if file.owner_is_bad {
                return Ok(());
            }
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

    /// Reads a record whose owner is known. `skip` tokens come before TTL, class and type.
    #[inline]
    fn record<'a>(&mut self, file: &File<'a>, entry: &Entry, tokens: &mut Vec<Token<'a>>, skip: usize) -> Result<()> {
        let Some(owner) = &file.owner else { return Ok(()) };
        let head = self.head(file, entry, tokens, skip)?;
        let start = skip + head.len;
        if entry.quoted && head.info.is_some_and(TypeInfo::has_value_pairs) {
            // Priority and target come first.
            join_pairs(file.source.text(), tokens, start + 2);
        }
        self.rdata.clear();
        let mut fields = Fields::new(&tokens[start..]).in_class(self.options.class);
        rdata::parse(head.rtype, &mut fields, file.origin.as_ref(), &mut self.rdata)
            .map_err(|error| Fault::rdata(error, &tokens[start..], entry))?;
        let owner = owner.as_ref();
        if head.rtype == Rtype::NSEC3 && !is_hash(owner) {
            let help = "its first label is a hash in base32hex, as NSEC3 signers write it (RFC 5155 3)";
            return Err(Fault::entry(entry, format!("{owner} is no owner for NSEC3"), help));
        }
        if let Some(info) = head.info {
            self.check_names(file.source, entry, owner, info)?;
        }
        let ttl = self.ttl(file, entry, &head, &tokens[start..])?;
        if !file.owner_in_zone {
            let message = format!("{owner} lies outside the zone: the record is ignored");
            self.report.warning(file.source, entry.start..entry.end, message);
            return Ok(());
        }
        self.emit(file, entry, owner, ttl, head.rtype)
    }

    /// Whether records with this owner belong to the zone.
    pub fn in_zone(&self, name: NameRef<'_>) -> bool {
        self.options.apex.is_none_or(|apex| name.is_at_or_below(apex))
    }

    /// Passes the record to the sink. Its data is in `self.rdata`.
    #[inline]
    pub fn emit(&mut self, file: &File<'_>, entry: &Entry, owner: NameRef<'_>, ttl: u32, rtype: Rtype) -> Result<()> {
        if rtype == Rtype::SOA && self.options.apex.is_some_and(|apex| owner != apex) {
            let help = "a zone has one SOA, at its own name: check the owner and $ORIGIN";
            return Err(Fault::entry(entry, format!("SOA at {owner}, which is not the top of the zone"), help));
        }
        let at = Location { file: file.id, offset: entry.line };
        let record = Record { owner, ttl, class: self.options.class, rtype, rdata: &self.rdata, at };
        self.report.records += 1;
        self.sink.record(record).map_err(|Refusal { message, help }| Fault {
            span: entry.start..entry.end,
            message,
            help,
        })
    }

    #[inline]
    fn check_names(&mut self, source: &Source, entry: &Entry, owner: NameRef<'_>, info: &TypeInfo) -> Result<()> {
        if self.options.check_names == CheckNames::Ignore {
            return Ok(());
        }
        let Some(remark) = Remark::of_letters(owner, info, &self.rdata) else { return Ok(()) };
        let (message, help) = (remark.to_string(), format!("{}, or `check-names ignore`", remark.help()));
        if self.options.check_names == CheckNames::Fail {
            return Err(Fault::entry(entry, message, help));
        }
        self.report.push(Diagnostic::warning(source, entry.start..entry.end, message).help(help));
        Ok(())
    }
}

/// Joins tokens that the lexer split: in `key="value"` the quote opens a string inside the token (RFC 9460 2.1).
///
/// `start` is the index of the first token that may be a pair; it is at least 1.
pub(super) fn join_pairs<'a>(text: &'a [u8], tokens: &mut Vec<Token<'a>>, start: usize) {
    let mut kept = start;
    for index in start..tokens.len() {
        let token = tokens[index];
        let last = tokens[kept - 1];
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
