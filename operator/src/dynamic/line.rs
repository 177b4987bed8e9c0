//! A record as a line of a zone file, with absolute names.

use zonefmt::{
    Name, NameRef, Rtype,
    rdata::{self, Style},
    zone::parse_rdata,
};

/// A record of class IN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    pub(super) owner: Name,
    pub(super) rtype: Rtype,
    pub(super) ttl: u32,
    pub(super) rdata: Vec<u8>,
}

/// Writes a record.
pub(super) fn write(owner: NameRef<'_>, rtype: Rtype, ttl: u32, data: &[u8]) -> String {
    let mut text = format!("{owner} {ttl} IN {rtype} ");
    rdata::write_text(rtype, data, &Style::ONE_WORD, &mut text);
    text
}

/// Reads what [`write()`] has written; `None` if it has no such form.
pub(super) fn read(text: &str) -> Option<Line> {
    let mut words = text.splitn(5, ' ');
    let (owner, ttl, class, rtype, data) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next());
    let owner = Name::parse(owner.as_bytes(), NameRef::ROOT).ok()?;
    let (ttl, rtype) = (ttl.parse().ok()?, rtype.parse::<Rtype>().ok()?);
    let mut rdata = Vec::new();
    parse_rdata(rtype, data.unwrap_or_default(), NameRef::ROOT, &mut rdata).ok()?;
    (class == "IN").then_some(Line { owner, rtype, ttl, rdata })
}
