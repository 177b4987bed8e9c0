//! The data of a single record, as it follows the type in a zone file. Manifests and command lines contain such data.

use super::{lexer::Lexer, parser::join_pairs};
use crate::{
    NameRef, Rtype,
    rdata::{self, Fields, RdataError, TypeInfo},
};

/// Reads `text`, the data of one record of `rtype`, and appends its wire form. Relative names are relative to `origin`.
///
/// Quotes, escapes and parentheses work as in a zone file. A comment outside parentheses is an error, because in
/// `v=DKIM1; p=…` without quotes it would drop data that was meant. On error `out` is left unchanged.
pub fn parse_rdata(rtype: Rtype, text: &str, origin: NameRef<'_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let mut tokens = Vec::new();
    let entry = Lexer::new(text.as_bytes()).entry(&mut tokens).map_err(|fault| refusal(fault.message, fault.help))?;
    let Some(entry) = entry else { return rdata::parse(rtype, &mut Fields::new(&[]), origin, out) };
    match text.as_bytes()[entry.end..].trim_ascii() {
        [] => {}
        [b';', ..] => {
            let help = "put text that has a `;` in quotes, or write `\\;`";
            return Err(refusal("a `;` starts a comment, and what follows it would be lost", help));
        }
        _ => return Err(refusal("several lines, which would be several records", "write one record an item")),
    }
    if entry.quoted && rdata::info(rtype).is_some_and(TypeInfo::has_value_pairs) {
        // Priority and target come first.
        join_pairs(text.as_bytes(), &mut tokens, 2);
    }
    rdata::parse(rtype, &mut Fields::new(&tokens), origin, out)
}

fn refusal(message: &str, help: &str) -> RdataError {
    RdataError { at: None, message: message.into(), help: Some(help.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Name, rdata::Style};

    /// Reads data and prints it again, or returns the error.
    fn read(rtype: Rtype, text: &str) -> Result<String, String> {
        let (mut wire, mut printed) = (Vec::new(), String::new());
        let origin = Name::from_ascii("example.com").map_err(|error| error.to_string())?;
        parse_rdata(rtype, text, origin.as_ref(), &mut wire).map_err(|error| error.message)?;
        rdata::write_text(rtype, &wire, &Style::FULL, &mut printed);
        Ok(printed)
    }

    #[test]
    fn data_is_read_as_in_a_zone_file() {
        assert_eq!(read(Rtype::MX, "10 mail").unwrap(), "10 mail.example.com.");
        assert_eq!(read(Rtype::MX, "( 10\n mail.example.net. )\n").unwrap(), "10 mail.example.net.");
        assert_eq!(read(Rtype::TXT, r#""a;b" c\;d"#).unwrap(), r#""a;b" "c;d""#);
        assert_eq!(read(Rtype::HTTPS, r#"1 . alpn="h2,h3" port=443"#).unwrap(), r#"1 . alpn="h2,h3" port=443"#);
        assert_eq!(read(Rtype(65280), r"\# 2 abcd").unwrap(), r"\# 2 ABCD");
    }

    #[test]
    fn what_would_be_lost_is_an_error() {
        assert!(read(Rtype::TXT, "v=DKIM1; k=rsa").unwrap_err().contains("comment"));
        assert!(read(Rtype::MX, "10 mail\n20 backup").unwrap_err().contains("several"));
        assert!(read(Rtype::MX, "10 mail )").unwrap_err().contains("parenthesis"));
        assert!(read(Rtype::MX, "").unwrap_err().contains("missing"));
        assert!(read(Rtype::TXT, "\"open").unwrap_err().contains("quoted"));
    }
}
