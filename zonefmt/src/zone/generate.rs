//! `$GENERATE range owner [TTL] [class] type data`: one line that stands for many records, an extension of BIND.
//!
//! In owner and data, `$` is the number of the record. `${offset,width,base}` adds an offset, pads the number, and
//! chooses its base: `d`, `o`, `x`, `X`, or `n` and `N` for hexadecimal digits in reverse with dots between them, as in
//! `ip6.arpa`.

use super::{
    MAX_GENERATED, Sink,
    fault::{Fault, Result, bad_name, take, token_span},
    lexer::{Entry, Lexer},
    parser::{File, Parser},
};
use crate::{
    NameBuf, NameRef,
    rdata::{self, Fields, Token},
};

/// The longest text that a template may expand to, and the largest width of a number.
const MAX_TEXT: usize = 2047;
const MAX_WIDTH: u32 = 126;

const USAGE: &str = "write: $GENERATE 1-10 host$ A 192.0.2.$, data of more than one word in quotes";

pub(super) fn generate<S: Sink>(
    parser: &mut Parser<'_, S>,
    file: &File<'_>,
    entry: &Entry,
    arguments: &[Token<'_>],
) -> Result<()> {
    let missing = "$GENERATE takes a range, an owner, a type and data";
    let range = take(arguments, 0, entry, missing, USAGE)?;
    let owner = take(arguments, 1, entry, missing, USAGE)?;
    let head = parser.head(file, entry, arguments, 2)?;
    let data = take(arguments, 2 + head.len, entry, missing, USAGE)?;
    if let Some(&extra) = arguments.get(3 + head.len) {
        return Err(Fault::at(extra, "$GENERATE takes its data as one word", USAGE));
    }
    if entry.grouped {
        return Err(Fault::entry(entry, "$GENERATE with parentheses", "write it on one line"));
    }
    if let Some(&quoted) = [range, owner].iter().find(|token| token.quoted) {
        return Err(Fault::at(quoted, "this must not be in quotes", "remove the quotes"));
    }
    let numbers = Range::parse(range)?;
    let ttl = parser.generated_ttl(entry, head.ttl)?;
    let origin = file.origin.as_ref();
    let mut name = NameBuf::new(NameRef::ROOT);
    let (mut owner_text, mut data_text) = (Vec::new(), Vec::new());
    for number in numbers.iter() {
        expand(owner, number, &mut owner_text)?;
        expand(data, number, &mut data_text)?;
        name.parse(&owner_text, origin).map_err(|error| bad_name(owner, error))?;
        if !parser.in_zone(name.as_ref()) {
            let message = format!("{} lies outside the zone: the record is ignored", name.as_ref());
            parser.report.warning(file.source, entry.start..entry.end, message);
            continue;
        }
        let tokens = lex(data, number, &data_text)?;
        parser.rdata.clear();
        let mut fields = Fields::new(&tokens).in_class(parser.options.class);
        rdata::parse(head.rtype, &mut fields, origin, &mut parser.rdata).map_err(|error| Fault {
            span: token_span(data),
            message: format!("for {number}: {}", error.message),
            help: error.help,
        })?;
        parser.emit(file, entry, name.as_ref(), ttl, head.rtype)?;
        if parser.report.is_full() {
            break;
        }
    }
    Ok(())
}

/// Splits the data of one record into tokens.
fn lex<'t>(data: Token<'_>, number: u32, text: &'t [u8]) -> Result<Vec<Token<'t>>> {
    let mut lexer = Lexer::new(text);
    let (mut tokens, mut more) = (Vec::new(), Vec::new());
    match lexer.entry(&mut tokens).and_then(|_| lexer.entry(&mut more)) {
        Ok(None) => Ok(tokens),
        Ok(Some(_)) => Err(Fault::at(data, format!("for {number}: the data holds a newline"), "write \\010")),
        Err(fault) => Err(Fault::at(data, format!("for {number}: {}", fault.message), fault.help)),
    }
}

/// A range, `start-stop` or `start-stop/step`.
struct Range {
    start: u32,
    stop: u32,
    step: u32,
}

impl Range {
    fn parse(token: Token<'_>) -> Result<Range> {
        let help = "write start-stop or start-stop/step, numbers up to 2147483647, stop not before start";
        let invalid = || Fault::at(token, "this is no range", help);
        let mut text = token.text;
        let start = integer(&mut text).ok_or_else(invalid)?;
        text = text.strip_prefix(b"-").ok_or_else(invalid)?;
        let stop = integer(&mut text).ok_or_else(invalid)?;
        let step = match text.strip_prefix(b"/") {
            Some(mut step) => integer(&mut step).ok_or_else(invalid)?,
            None => 1,
        };
        let (Ok(start), Ok(stop), Ok(step)) = (u32::try_from(start), u32::try_from(stop), u32::try_from(step)) else {
            return Err(invalid());
        };
        if start > stop || step == 0 {
            return Err(invalid());
        }
        if (stop - start) / step >= MAX_GENERATED {
            return Err(Fault::at(token, format!("this makes more than {MAX_GENERATED} records"), "narrow the range"));
        }
        Ok(Range { start, stop, step })
    }

    fn iter(&self) -> impl Iterator<Item = u32> + use<> {
        (self.start..=self.stop).step_by(self.step as usize)
    }
}

/// Reads a decimal number with an optional sign from the front. The number must fit into 32 bits.
fn integer(text: &mut &[u8]) -> Option<i32> {
    let trimmed = text.trim_ascii_start();
    let (negative, digits) = match trimmed {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let len = digits.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let (number, rest) = digits.split_at(len);
    let number: i64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    *text = rest;
    i32::try_from(if negative { -number } else { number }).ok()
}

/// Replaces the `$`s of a template, and overwrites `out` with the result.
fn expand(template: Token<'_>, number: u32, out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    let mut text = template.text;
    while let Some((&octet, rest)) = text.split_first() {
        text = rest;
        match (octet, rest) {
            // In quotes, `\"` is a quote. It opens a string when the data is read.
            (b'\\', [b'"', after @ ..]) if template.quoted => {
                out.push(b'"');
                text = after;
            }
            (b'\\', [escaped, after @ ..]) => {
                out.extend_from_slice(&[b'\\', *escaped]);
                text = after;
            }
            (b'$', [b'$', after @ ..]) => {
                out.push(b'$');
                text = after;
            }
            (b'$', [b'{', after @ ..]) => {
                text = after;
                let modifier = Modifier::parse(&mut text).ok_or_else(|| {
                    let help = "write ${offset}, ${offset,width} or ${offset,width,base}, base one of d o x X n N";
                    Fault::at(template, "a `${` that is no modifier", help)
                })?;
                modifier.print(number, out).ok_or_else(|| {
                    let help = format!("numbers go up to 2147483647, widths up to {MAX_WIDTH}");
                    Fault::at(template, format!("for {number}: the modifier leads out of range"), help)
                })?;
            }
            (b'$', _) => out.extend_from_slice(number.to_string().as_bytes()),
            (octet, _) => out.push(octet),
        }
        if out.len() > MAX_TEXT {
            return Err(Fault::at(template, format!("for {number}: longer than {MAX_TEXT} octets"), "shorten it"));
        }
    }
    Ok(())
}

struct Modifier {
    offset: i32,
    width: u32,
    base: u8,
}

impl Modifier {
    /// Reads what follows `${`, up to and including the closing brace.
    fn parse(text: &mut &[u8]) -> Option<Modifier> {
        let mut modifier = Modifier { offset: integer(text)?, width: 0, base: b'd' };
        if let Some(rest) = text.strip_prefix(b",") {
            *text = rest;
            // A negative width is out of range rather than a syntax error, but it is refused either way.
            modifier.width = u32::try_from(integer(text)?).ok()?;
            if let [b',', base @ (b'd' | b'o' | b'x' | b'X' | b'n' | b'N'), rest @ ..] = *text {
                (modifier.base, *text) = (*base, rest);
            }
        }
        *text = text.strip_prefix(b"}")?;
        Some(modifier)
    }

    /// Appends `number` in the form that the modifier asks for.
    fn print(&self, number: u32, out: &mut Vec<u8>) -> Option<()> {
        let value = i32::try_from(number).ok()?.checked_add(self.offset)?;
        let width = self.width as usize;
        if self.width > MAX_WIDTH {
            return None;
        }
        let text = match self.base {
            b'd' => format!("{value:0width$}"),
            b'o' => format!("{value:0width$o}"),
            b'x' => format!("{value:0width$x}"),
            b'X' => format!("{value:0width$X}"),
            base => nibbles(value, width, base == b'N'),
        };
        out.extend_from_slice(text.as_bytes());
        Some(())
    }
}

/// Hexadecimal digits, lowest first, with dots between them. `width` counts digits and dots.
fn nibbles(value: i32, mut width: usize, upper: bool) -> String {
    let mut value = value.cast_unsigned();
    let mut text = String::new();
    loop {
        // Four bits make a hexadecimal digit.
        let digit = char::from_digit(value & 15, 16).unwrap_or('0');
        text.push(if upper { digit.to_ascii_uppercase() } else { digit });
        value >>= 4;
        width = width.saturating_sub(1);
        if value == 0 && width == 0 {
            return text;
        }
        text.push('.');
        width = width.saturating_sub(1);
        if value == 0 && width == 0 {
            return text;
        }
    }
}
