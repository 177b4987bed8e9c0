//! Who has written what, or wanted to: a line of the log for each update of a client, in fields that programs can take
//! apart, and for those that a resource stands in the way of, an event of the zone.

use std::fmt::{self, Write};

use bindy_server::{Rcode, live::Author, zone::Change};
use zonefmt::{Name, NameRef, Rtype, Serial};

use crate::terminal::say;

/// How many names a line has. The objects have all of them.
const MOST_NAMES: usize = 16;

/// Tells of an update that is stored, and of the serial with which it is served.
pub(super) fn made(origin: &Name, author: &Author, change: &Change, rule: Option<usize>, (before, after): (Serial, Serial)) {
    let rule = rule.map(|rule| format!(" rule={rule}")).unwrap_or_default();
    let names = Names(change);
    say(&format!("update made {}{rule} serial={before}..{after} {names}", Line { origin, author }));
}

/// Tells of an update that changes nothing.
pub(super) fn turned_away(origin: &Name, author: &Author, rcode: Rcode, why: &str) {
    say(&format!("update refused {} rcode={rcode} why={why:?}", Line { origin, author }));
}

/// Who has written, and where.
struct Line<'u> {
    origin: &'u Name,
    author: &'u Author,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Author { client, key, id } = self.author;
        let key = key.as_ref().map_or("-".to_owned(), |key| key.as_ref().without_final_dot().to_string());
        write!(f, "zone={} key={key} client={client} id={id}", self.origin.as_ref().without_final_dot())
    }
}

/// The names and types that a change touches.
struct Names<'u>(&'u Change);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = touched(self.0);
        let mut text = String::new();
        for (owner, rtype) in all.iter().take(MOST_NAMES) {
            // Writing to a String cannot fail.
            let _ = write!(text, ",{}/{rtype}", owner.without_final_dot());
        }
        let more = all.len().saturating_sub(MOST_NAMES);
        write!(f, "names={}", text.trim_start_matches(','))?;
        if more > 0 { write!(f, " more={more}") } else { Ok(()) }
    }
}

/// The RRsets that a change touches, but for the SOA, of which each change has a new serial.
pub(super) fn touched(change: &Change) -> Vec<(NameRef<'_>, Rtype)> {
    // Each begins with the SOA of its version.
    let records = change.removed().iter().skip(1).chain(change.added().iter().skip(1));
    let mut all: Vec<_> = records.map(|record| (record.owner, record.rtype)).collect();
    all.sort_unstable();
    all.dedup();
    all
}
