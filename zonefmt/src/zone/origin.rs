//! Finds the zone's name from its file alone, for tools that are not given a name.

use super::{FileFormat, lexer::Lexer, raw};
use crate::{Name, Rtype, diagnostics::Source};

/// The number of entries among which the SOA is looked for.
const MOST: usize = 100;

/// The owner of the SOA, if it is absolute or follows from an absolute `$ORIGIN`. The file is read as raw if it begins
/// as raw files do, and otherwise as text.
pub fn origin(source: &Source) -> Option<Name> {
    match FileFormat::of(source.text()) {
        FileFormat::Text => of_text(source.text()),
        FileFormat::Raw => raw::origin(source.text()),
    }
}

fn of_text(text: &[u8]) -> Option<Name> {
    let mut lexer = Lexer::new(text);
    let mut tokens = Vec::new();
    let mut origin: Option<Name> = None;
    let mut owner: Option<Name> = None;
    for _ in 0..MOST {
        let Ok(found) = lexer.entry(&mut tokens) else { continue };
        let entry = found?;
        let absolute = |text: &[u8]| match &origin {
            Some(origin) => Name::parse(text, origin.as_ref()).ok(),
            // Absolute names do not depend on the origin.
            None => text.ends_with(b".").then(|| Name::from_ascii(text).ok()).flatten(),
        };
        if tokens[0].text.eq_ignore_ascii_case(b"$ORIGIN") && !entry.blank {
            origin = absolute(tokens.get(1)?.text);
            continue;
        }
        if !entry.blank {
            owner = absolute(tokens[0].text);
        }
        // The type is the first token after the owner that is a type. TTL and class may come before it.
        let mut head = tokens.iter().skip(usize::from(!entry.blank)).take(3);
        if head.find_map(|token| Rtype::from_text(token.text)) == Some(Rtype::SOA) {
            return owner;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soa_tells_the_zone() {
        let origin = |text: &str| super::origin(&Source::new("z", text)).map(|name| name.to_string());
        assert_eq!(origin("example.com. 300 IN SOA a. b. 1 2 3 4 5\n").as_deref(), Some("example.com."));
        assert_eq!(origin("$TTL 5\n$ORIGIN com.\nexample IN SOA a. b. 1 2 3 4 5\n").as_deref(), Some("example.com."));
        assert_eq!(origin("$ORIGIN com.\n@ NS ns\n SOA a. b. 1 2 3 4 5\n").as_deref(), Some("com."));
        for unknown in ["@ SOA a. b. 1 2 3 4 5\n", "$ORIGIN com\n@ SOA a. b. 1 2 3 4 5\n", "a. TXT SOA\n", "", "(\n"] {
            assert_eq!(origin(unknown), None, "{unknown}");
        }
    }
}
