//! LOC: a place on Earth (RFC 1876 2, 3).

use std::fmt::Write;

use super::{
    field::{CUT_SHORT, Malformed},
    number,
    token::{Fault, Fields, Token, shown},
};

/// The equator and the prime meridian on the wire. Latitude and longitude are thousandths of a second of arc from here.
const MERIDIAN: u32 = 1 << 31;
/// How far below the reference spheroid altitudes start, in centimetres.
const BASE_CM: i64 = 10_000_000;
const LATITUDE: Axis = Axis { name: "latitude", positive: b'N', negative: b'S', most: 90 };
const LONGITUDE: Axis = Axis { name: "longitude", positive: b'E', negative: b'W', most: 180 };
/// The default size, horizontal precision and vertical precision: 1 m, 10 km, 10 m.
const DEFAULTS: [u8; 3] = [0x12, 0x16, 0x13];

struct Axis {
    name: &'static str,
    positive: u8,
    negative: u8,
    most: u32,
}

pub(super) fn parse(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let latitude = LATITUDE.parse(fields)?;
    let longitude = LONGITUDE.parse(fields)?;
    let altitude = parse_altitude(fields.take()?)?;
    let mut precisions = DEFAULTS;
    for precision in &mut precisions {
        if !fields.is_done() {
            *precision = parse_precision(fields.take()?)?;
        }
    }
    out.push(0);
    out.extend_from_slice(&precisions);
    for number in [latitude, longitude, altitude] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    Ok(())
}

impl Axis {
    /// Reads `degrees [minutes [seconds]]` and a letter.
    fn parse(&self, fields: &mut Fields<'_>) -> Result<u32, Fault> {
        let degrees = number::parse(fields.take()?, self.most.into())? as u32;
        let mut thousandths = degrees * 3_600_000;
        for scale in [60_000, 1_000] {
            let token = fields.take()?;
            if let Some(value) = self.signed(token, thousandths) {
                return Ok(value);
            }
            let places = if scale == 1_000 { 3 } else { 0 };
            // Minutes are read as a whole number, seconds as thousandths.
            let part = decimal(token.text, places).filter(|&part| !token.quoted && part < 60 * 10_u64.pow(places));
            let part = part.ok_or_else(|| self.fault(token))?;
            thousandths += part as u32 * if scale == 1_000 { 1 } else { scale };
        }
        let token = fields.take()?;
        self.signed(token, thousandths).ok_or_else(|| self.fault(token))
    }

    /// The number on the wire, if `token` is one of the axis's letters and the place is on Earth.
    fn signed(&self, token: Token<'_>, thousandths: u32) -> Option<u32> {
        let &[letter] = token.text else { return None };
        if token.quoted || thousandths > self.most * 3_600_000 {
            return None;
        }
        match letter {
            letter if letter == self.positive => Some(MERIDIAN + thousandths),
            letter if letter == self.negative => Some(MERIDIAN - thousandths),
            _ => None,
        }
    }

    #[cold]
    fn fault(&self, token: Token<'_>) -> Fault {
        let (plus, minus) = (char::from(self.positive), char::from(self.negative));
        Fault::new(format_args!("{}: {} is out of place or range", self.name, shown(token.text))).help(format_args!(
            "write degrees up to {}, then minutes and seconds below 60 (up to 3 decimals) if wanted, then {plus} or {minus}",
            self.most
        ))
    }

    fn print(&self, wire: u32, out: &mut String) {
        let (letter, thousandths) = match wire.checked_sub(MERIDIAN) {
            Some(positive) => (self.positive, positive),
            None => (self.negative, MERIDIAN - wire),
        };
        let (degrees, minutes) = (thousandths / 3_600_000, thousandths / 60_000 % 60);
        let (seconds, rest) = (thousandths / 1_000 % 60, thousandths % 1_000);
        // Writing to a String cannot fail.
        let _ = write!(out, "{degrees} {minutes} {seconds}.{rest:03} {} ", char::from(letter));
    }
}

/// Reads an unsigned decimal number with up to `places` decimals, and multiplies it by 10 to the power of `places`.
fn decimal(text: &[u8], places: u32) -> Option<u64> {
    let dot = text.iter().position(|&octet| octet == b'.').unwrap_or(text.len());
    let (whole, decimals) = (&text[..dot], text.get(dot + 1..).unwrap_or_default());
    if text.len() < 1 + usize::from(dot < text.len())
        || decimals.len() > places as usize
        || (places == 0 && dot < text.len())
    {
        return None;
    }
    let fill = std::iter::repeat_n(&b'0', places as usize - decimals.len());
    whole.iter().chain(decimals).chain(fill).try_fold(0_u64, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Reads metres with up to two decimals and an optional `m`, and returns centimetres.
fn centimetres(text: &[u8]) -> Option<u64> {
    decimal(text.strip_suffix(b"m").unwrap_or(text), 2)
}

fn parse_altitude(token: Token<'_>) -> Result<u32, Fault> {
    let (sign, digits) = match token.text.strip_prefix(b"-") {
        Some(digits) => (-1, digits),
        None => (1, token.text.strip_prefix(b"+").unwrap_or(token.text)),
    };
    let cm = centimetres(digits).and_then(|cm| i64::try_from(cm).ok()).filter(|_| !token.quoted);
    cm.and_then(|cm| u32::try_from(BASE_CM + sign * cm).ok()).ok_or_else(|| {
        Fault::new(format_args!("altitude: {} is out of range", shown(token.text)))
            .help("write metres from -100000.00 to 42849672.95, as 10.5m")
    })
}

/// Reads a precision in centimetres as one digit and a power of ten. Further digits are lost.
fn parse_precision(token: Token<'_>) -> Result<u8, Fault> {
    let cm = centimetres(token.text).filter(|&cm| !token.quoted && cm <= 9_000_000_099);
    let mut mantissa = cm.ok_or_else(|| {
        Fault::new(format_args!("precision: {} is out of range", shown(token.text)))
            .help("write metres from 0 to 90000000, as 100m")
    })?;
    let mut exponent = 0;
    while mantissa > 9 {
        mantissa /= 10;
        exponent += 1;
    }
    Ok((mantissa as u8) << 4 | exponent)
}

/// Checks that version 0 has 16 octets within bounds. Other versions are not looked into.
pub(super) fn check(wire: &[u8]) -> Result<usize, Malformed> {
    match wire.first().ok_or(CUT_SHORT)? {
        0 => {}
        _ => return Ok(wire.len()),
    }
    let place = Place::read(wire).ok_or(CUT_SHORT)?;
    let precise = |octet: u8| octet == 0 || (octet & 0xF <= 9 && (1..=9).contains(&(octet >> 4)));
    if !place.precisions.into_iter().all(precise) {
        return Err("has a size or precision that is not a digit and a power of ten");
    }
    for (axis, value) in [(LATITUDE, place.latitude), (LONGITUDE, place.longitude)] {
        if value.abs_diff(MERIDIAN) > axis.most * 3_600_000 {
            return Err("lies beyond 90 degrees of latitude or 180 of longitude");
        }
    }
    Ok(16)
}

struct Place {
    precisions: [u8; 3],
    latitude: u32,
    longitude: u32,
    altitude: u32,
}

impl Place {
    fn read(wire: &[u8]) -> Option<Place> {
        let number = |at: usize| Some(u32::from_be_bytes(wire.get(at..at + 4)?.try_into().ok()?));
        let &[_, size, horizontal, vertical] = wire.first_chunk()?;
        Some(Place {
            precisions: [size, horizontal, vertical],
            latitude: number(4)?,
            longitude: number(8)?,
            altitude: number(12)?,
        })
    }
}

/// Prints a place; `None` for a version without a text form.
pub(super) fn print(wire: &[u8], out: &mut String) -> Option<()> {
    let place = Place::read(wire).filter(|_| wire[0] == 0)?;
    LATITUDE.print(place.latitude, out);
    LONGITUDE.print(place.longitude, out);
    let cm = i64::from(place.altitude) - BASE_CM;
    // Writing to a String cannot fail.
    let _ = write!(out, "{}{}.{:02}m", if cm < 0 { "-" } else { "" }, cm.abs() / 100, cm.abs() % 100);
    for precision in place.precisions {
        let cm = u64::from(precision >> 4) * 10_u64.pow(u32::from(precision & 0xF));
        let _ = if precision & 0xF > 1 { write!(out, " {}m", cm / 100) } else { write!(out, " 0.{cm:02}m") };
    }
    Some(())
}
