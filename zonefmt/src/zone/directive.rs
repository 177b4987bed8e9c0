//! Directives: the lines that begin with `$`.

use std::path::Path;

use super::{
    MAX_DEPTH, MAX_FILES, Sink,
    fault::{Fault, Result, bad_name, token_span},
    generate,
    lexer::Entry,
    parser::{File, Parser},
    ttl::read_ttl,
};
use crate::{
    NameBuf, NameRef,
    diagnostics::{Diagnostic, Severity},
    rdata::{self, Token},
};

impl<S: Sink> Parser<'_, S> {
    /// Obeys a directive.
    pub fn directive<'a>(&mut self, file: &mut File<'a>, entry: &Entry, tokens: &[Token<'a>]) -> Result<()> {
        let (name, arguments) = (tokens[0], &tokens[1..]);
        let is = |directive: &str| name.text.eq_ignore_ascii_case(directive.as_bytes());
        if is("$ORIGIN") {
            let [origin] = exactly(arguments, entry, "$ORIGIN takes a name", "$ORIGIN example.com.")?;
            file.origin = name_of(origin, file)?;
            file.origin_in_zone = self.in_zone(file.origin.as_ref());
            file.owner_text = b"";
            file.owner_is_old = true;
        } else if is("$TTL") {
            let [token] = exactly(arguments, entry, "$TTL takes a time", "$TTL 3600, or $TTL 1h")?;
            let ttl = read_ttl(unquoted(token)?)?;
            let ttl = self.limited(file.source, token, ttl);
            (self.ttls.default, self.ttls.last) = (Some(ttl), self.ttls.last.and(Some(ttl)));
        } else if is("$INCLUDE") {
            self.include(file, entry, arguments)?;
        } else if is("$GENERATE") {
            generate::generate(self, file, entry, arguments)?;
        } else if is("$DATE") {
            let help = "remove it: it means nothing in a zone";
            let [date] = exactly(arguments, entry, "$DATE takes a date", help)?;
            if rdata::date(unquoted(date)?.text).is_none() {
                return Err(Fault::at(date, "the date is not YYYYMMDDHHMMSS, from 1970 to 2106", help));
            }
        } else {
            let help = "write $ORIGIN, $TTL, $INCLUDE or $GENERATE; an owner that begins with $ is written \\$";
            return Err(Fault::at(name, "unknown directive", help));
        }
        Ok(())
    }

    fn include(&mut self, file: &mut File<'_>, entry: &Entry, arguments: &[Token<'_>]) -> Result<()> {
        let (path, origin) = match *arguments {
            [path, origin] => (path, name_of(origin, file)?),
            _ => {
                let [path] = exactly(arguments, entry, "$INCLUDE takes a file", INCLUDE)?;
                (path, file.origin.clone())
            }
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
        self.file(File {
            source: &included,
            id,
            origin_in_zone: self.in_zone(origin.as_ref()),
            owner_is_old: origin.as_ref() != file.origin.as_ref(),
            origin,
            owner: file.owner.clone(),
            owner_text: b"",
            ..*file
        });
        if self.report.errors > errors {
            let message = format!("the errors in `{}` come from here", included.name());
            self.report.push(Diagnostic::new(Severity::Note, file.source, token_span(path), message));
        }
        // The owner stays the same, but its run of records was interrupted.
        self.ttls.end_run();
        file.owner_is_old = false;
        Ok(())
    }
}

const INCLUDE: &str = "$INCLUDE file, or $INCLUDE file origin";

fn name_of(token: Token<'_>, file: &File<'_>) -> Result<NameBuf> {
    let mut name = NameBuf::new(NameRef::ROOT);
    name.parse(unquoted(token)?.text, file.origin.as_ref()).map_err(|error| bad_name(token, error))?;
    Ok(name)
}

/// The arguments of a directive that has exactly `N` of them.
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

fn unquoted(token: Token<'_>) -> Result<Token<'_>> {
    if token.quoted { Err(Fault::at(token, "this must not be in quotes", "remove the quotes")) } else { Ok(token) }
}
