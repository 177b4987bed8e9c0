//! Numbers, durations and points in time.

use std::fmt::Write;

use super::token::{Fault, Token, shown};

/// Reads a decimal number up to `most`. Leading zeros are allowed and do not mean octal.
#[inline]
pub(super) fn parse(token: Token<'_>, most: u64) -> Result<u64, Fault> {
    let value = decimal(token.text).filter(|&value| value <= most && !token.quoted);
    value.ok_or_else(|| fault(token, most))
}

#[inline]
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, &digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 { None } else { value.checked_mul(10)?.checked_add(digit.into()) }
    })
}

#[cold]
fn fault(token: Token<'_>, most: u64) -> Fault {
    let shown = shown(token.text);
    let digits = !token.text.is_empty() && token.text.iter().all(u8::is_ascii_digit);
    match (token.quoted, digits) {
        (true, _) => Fault::new(format_args!("the number {shown} is in quotes")).help("write it without quotes"),
        (false, true) => Fault::new(format_args!("{shown} is over {most}")).help(format_args!("write 0 to {most}")),
        (false, false) => Fault::new(format_args!("{shown} is no number")).help(format_args!("write 0 to {most}")),
    }
}

/// Reads an octal number of 16 bits.
pub(super) fn parse_octal(token: Token<'_>) -> Result<u16, Fault> {
    let text = std::str::from_utf8(token.text).ok().filter(|text| !token.quoted && !text.starts_with('+'));
    text.and_then(|text| u16::from_str_radix(text, 8).ok()).ok_or_else(|| {
        Fault::new(format_args!("{} is no octal number", shown(token.text))).help("write digits 0-7, up to 177777")
    })
}

/// Reads a duration from a field's token, as [`seconds`] does.
#[inline]
pub(super) fn parse_seconds(token: Token<'_>) -> Result<u32, Fault> {
    seconds(token.text).filter(|_| !token.quoted).ok_or_else(|| {
        Fault::new(format_args!("{} is no duration", shown(token.text)))
            .help("write seconds, or numbers each with a unit as in 1w2d3h4m5s, up to 4294967295 seconds")
    })
}

/// Reads a duration in the form of zone files: seconds, or numbers each followed by `w`, `d`, `h`, `m` or `s` in either
/// case. `None` over 2³²−1 seconds.
pub fn seconds(text: &[u8]) -> Option<u32> {
    if text.iter().all(u8::is_ascii_digit) {
        return decimal(text)?.try_into().ok();
    }
    let (mut total, mut value) = (0_u64, None);
    for octet in text {
        let unit = match octet.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                value = Some(value.unwrap_or(0) * 10 + u64::from(digit - b'0'));
                if value > Some(u32::MAX.into()) {
                    return None;
                }
                continue;
            }
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total += value.take()? * unit;
        if total > u32::MAX.into() {
            return None;
        }
    }
    if value.is_some() { None } else { u32::try_from(total).ok() }
}

/// Reads a time as YYYYMMDDHHMMSS or as seconds since 1970.
pub(super) fn parse_time(token: Token<'_>) -> Result<u32, Fault> {
    if token.text.len() <= 10 {
        return parse(token, u32::MAX.into()).map(|value| value as u32);
    }
    // RFC 4034 3.1.5: modulo 2³².
    let time = calendar(token.text).and_then(|seconds| u32::try_from(seconds.rem_euclid(1 << 32)).ok());
    time.filter(|_| !token.quoted).ok_or_else(|| {
        Fault::new(format_args!("{} is no point in time", shown(token.text)))
            .help("write YYYYMMDDHHMMSS in UTC, or seconds since 1970")
    })
}

/// Reads YYYYMMDDHHMMSS, a time from 1970 to 2106, and returns the seconds since 1970.
pub(crate) fn date(text: &[u8]) -> Option<u32> {
    u32::try_from(calendar(text)?).ok()
}

/// Reads YYYYMMDDHHMMSS and returns the seconds since 1970.
fn calendar(text: &[u8]) -> Option<i64> {
    if text.len() != 14 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text[range].iter().fold(0, |n, &c| n * 10 + i64::from(c - b'0'));
    let (year, month, day) = (number(0..4), number(4..6), number(6..8));
    let (hour, minute, second) = (number(8..10), number(10..12), number(12..14));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    // Second 60 is a leap second.
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Days of the Gregorian calendar since 1970. Years start in March here, so that leap days come last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469
}

/// Prints a time between 1970 and 2106 as YYYYMMDDHHMMSS.
pub(super) fn print_time(wire: &[u8], out: &mut String) {
    let Ok(time) = wire.try_into().map(u32::from_be_bytes) else { return };
    let (days, clock) = (i64::from(time / 86_400), time % 86_400);
    let mut year = 1970 + days / 366;
    while days_since_1970(year + 1, 1, 1) <= days {
        year += 1;
    }
    let month = (2..=12).rev().find(|&month| days_since_1970(year, month, 1) <= days).unwrap_or(1);
    let day = days - days_since_1970(year, month, 1) + 1;
    let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
    // Writing to a String cannot fail.
    let _ = write!(out, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}");
}

/// Prints a big-endian number of up to eight octets in decimal.
pub(super) fn print(wire: &[u8], out: &mut String) {
    let mut digits = [0_u8; 20];
    let (mut at, mut rest) = (digits.len(), value(wire));
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|&digit| char::from(digit)));
}

/// Prints a big-endian number of up to eight octets in octal.
pub(super) fn print_octal(wire: &[u8], out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{:o}", value(wire));
}

/// The value of a big-endian number of up to eight octets.
pub(super) fn value(wire: &[u8]) -> u64 {
    wire.iter().fold(0, |value, &octet| value << 8 | u64::from(octet))
}
