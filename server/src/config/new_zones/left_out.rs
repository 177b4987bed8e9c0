//! Added zones that cannot be served. A mistake in one line must not keep the others from being served, so these lines
//! are left out, reported, and kept in the file for whoever mends them.

use std::{ops::Range, sync::Arc};

use rustc_hash::FxHashSet;
use zonefmt::{
    Name,
    conf::{self, Conf},
    diagnostics::{Diagnostic, Severity, Source},
};

use super::{Growing, NewZones};
use crate::config::zones::origin;

/// A statement of an added zone that cannot be obeyed.
#[derive(Debug)]
pub(in crate::config) struct LeftOut {
    /// The statement, as it stays in the file.
    text: Box<[u8]>,
    /// What is wrong with it.
    why: Vec<Diagnostic>,
}

/// The most statements that are reported each with its mistakes.
const REPORTED: usize = 20;

impl LeftOut {
    /// `text` is the whole statement, with its semicolon.
    pub(in crate::config) fn new(text: &[u8], mut why: Vec<Diagnostic>) -> LeftOut {
        for error in why.iter_mut().filter(|finding| finding.severity == Severity::Error) {
            error.message.push_str("; this added zone is left out, and its line stays in the file");
        }
        LeftOut { text: text.trim_ascii().into(), why }
    }
}

impl Growing {
    /// The view's file, with what could not be read in it and what of `later` belongs to this view. Reports it all.
    pub(in crate::config) fn without(
        self,
        later: &mut Vec<(Arc<str>, LeftOut)>,
        findings: &mut Vec<Diagnostic>,
    ) -> NewZones {
        let mut file = self.file;
        let own = later.extract_if(.., |(view, _)| *view == file.view).map(|(_, left_out)| left_out);
        for LeftOut { text, why } in self.left_out.into_iter().chain(own) {
            file.left_out.push(text);
            findings.extend(why);
        }
        file
    }
}

/// Reads the statements of added zones as far as they can be read.
///
/// # Errors
/// Nothing can be read.
pub(super) fn read(source: &Source) -> Result<(Conf, Vec<LeftOut>), Vec<Diagnostic>> {
    match conf::parse_zones(source.clone()) {
        Ok(zones) => Ok((zones, Vec::new())),
        Err(_) => read_each(source),
    }
}

fn read_each(source: &Source) -> Result<(Conf, Vec<LeftOut>), Vec<Diagnostic>> {
    let text = source.text();
    let (mut sound, mut left_out, mut known) = (text.to_vec(), Vec::new(), FxHashSet::<Name>::default());
    let mut more = 0;
    for range in statements(text) {
        let piece = &text[range.clone()];
        if read_one(Source::new(source.name(), piece), &mut known).is_ok() {
            continue;
        }
        let mut why = Vec::new();
        if left_out.len() < REPORTED {
            // Once more, in its line of the file.
            let mut padded = vec![b'\n'; source.position(range.start).line - 1];
            padded.extend(piece);
            why.extend(read_one(Source::new(source.name(), padded), &mut known).err().into_iter().flatten());
        } else {
            more += 1;
        }
        left_out.push(LeftOut::new(piece, why));
        // Lines stay where they are.
        sound[range].iter_mut().filter(|octet| **octet != b'\n').for_each(|octet| *octet = b' ');
    }
    if let Some(last) = left_out.last_mut().filter(|_| more > 0) {
        let message = format!("{more} more added zones are left out");
        last.why.push(Diagnostic::at(Severity::Error, source.whole(), message));
    }
    Ok((conf::parse_zones(Source::new(source.name(), sound))?, left_out))
}

/// Checks one statement, whose zone must not be `known` yet.
fn read_one(source: Source, known: &mut FxHashSet<Name>) -> Result<(), Vec<Diagnostic>> {
    let conf = conf::parse_zones(source)?;
    for zone in conf.statements() {
        let Some(origin) = origin(zone) else { continue };
        if known.contains(&origin) {
            return Err(vec![zone.error(format!("the zone {origin} is there already"))]);
        }
        known.insert(origin);
    }
    Ok(())
}

/// The ranges of the statements in a text, as far as that can be told where braces and quotes are missing. Each begins
/// with a line that begins with `zone`; one that also ends in that line, as the servers write it, has no more lines.
fn statements(text: &[u8]) -> Vec<Range<usize>> {
    let (mut starts, mut at, mut is_over) = (vec![0], 0, false);
    for line in text.split_inclusive(|&octet| octet == b'\n') {
        let begins = line.strip_prefix(b"zone").is_some_and(|rest| matches!(rest.first(), Some(b' ' | b'\t' | b'"')));
        if (begins || is_over) && at > 0 {
            starts.push(at);
        }
        is_over = begins && line.trim_ascii_end().ends_with(b"};");
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]).collect::<Vec<_>>();
    starts.into_iter().zip(ends).map(|(start, end)| start..end).collect()
}
