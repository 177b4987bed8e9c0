//! The values of named.conf: how a word is read as a number, an address, a duration, and so on. The grammar refers to
//! them by name, such as `<number>`, and users of the configuration read them with the same functions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads `yes`, `true`, `1` or `no`, `false`, `0`, in any case.
pub fn yes_no(text: &[u8]) -> Option<bool> {
    let is = |word: &[u8]| text.eq_ignore_ascii_case(word);
    if is(b"yes") || is(b"true") || is(b"1") {
        Some(true)
    } else if is(b"no") || is(b"false") || is(b"0") {
        Some(false)
    } else {
        None
    }
}

/// Reads a number below 2³²: decimal, hexadecimal after `0x`, or octal after `0`.
pub fn number(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.starts_with(|c: char| c.is_ascii_digit()))?;
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.starts_with('+') => None,
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}

/// Reads a number of octets: decimal digits and an optional `K`, `M` or `G` (powers of 1024) in either case.
pub fn size(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let shift = match &text[digits..] {
        [] => 0,
        [b'k' | b'K'] => 10,
        [b'm' | b'M'] => 20,
        [b'g' | b'G'] => 30,
        _ => return None,
    };
    let number: u64 = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    number.checked_mul(1 << shift)
}

/// Reads a percentage: decimal digits and `%`.
pub fn percent(text: &[u8]) -> Option<u32> {
    let digits = text.strip_suffix(b"%").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads a duration in seconds: a number, a sequence of numbers with `w`, `d`, `h`, `m` and `s`, or ISO 8601
/// (`P3DT12H`; a month has 31 days and a year 365, as in BIND).
pub fn duration(text: &[u8]) -> Option<u32> {
    const DATE: &[(u8, u32)] = &[(b'Y', 365 * 86400), (b'M', 31 * 86400), (b'W', 7 * 86400), (b'D', 86400)];
    const TIME: &[(u8, u32)] = &[(b'H', 3600), (b'M', 60), (b'S', 1)];
    let (first, rest) = text.split_first()?;
    if !first.eq_ignore_ascii_case(&b'P') {
        return crate::rdata::seconds(text);
    }
    let split = rest.iter().position(|octet| octet.eq_ignore_ascii_case(&b'T'));
    let (date, time) = split.map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..])));
    if date.is_empty() && time.is_none_or(<[u8]>::is_empty) {
        return None;
    }
    designated(date, DATE)?.checked_add(time.map_or(Some(0), |time| designated(time, TIME))?)
}

/// The sum of numbers with units, which must be in the given order, largest first, each at most once.
fn designated(mut text: &[u8], mut units: &[(u8, u32)]) -> Option<u32> {
    let mut sum = 0u32;
    while !text.is_empty() {
        let digits = text.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let letter = text.get(digits)?.to_ascii_uppercase();
        let unit = units.iter().position(|&(designator, _)| designator == letter)?;
        let count: u32 = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
        sum = sum.checked_add(count.checked_mul(units[unit].1)?)?;
        units = &units[unit + 1..];
        text = &text[digits + 1..];
    }
    Some(sum)
}

/// Reads a number such as `0.7`, with up to five digits and up to two decimals, and returns it in hundredths.
pub(super) fn fixed_point(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().any(|octet| octet.is_ascii_digit()))?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str, most| part.len() <= most && part.bytes().all(|octet| octet.is_ascii_digit());
    if !digits(whole, 5) || !digits(part, 2) {
        return None;
    }
    Some(format!("0{whole}").parse::<u32>().ok()? * 100 + format!("{part:0<2}").parse::<u32>().ok()?)
}

/// Reads an IPv4 address of four numbers.
pub fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads an IPv6 address. A scope (`%eth0`) is allowed and ignored.
pub fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let end = text.iter().position(|&octet| octet == b'%').unwrap_or(text.len());
    std::str::from_utf8(&text[..end]).ok()?.parse().ok()
}

/// Why a word and the word after it are not a valid prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PrefixError {
    /// The text does not look like an address, so it may be a name.
    NotAnAddress,
    /// The length is greater than that of the address.
    Length,
    /// Bits beyond the length are set.
    Bits,
    /// An IPv4 address lacks its final numbers, and no length follows that says so.
    Incomplete,
}

/// Reads an address, or a prefix `address/length`. An IPv4 prefix may leave out final zeros: `10/8`, `192.168/16`.
pub(super) fn prefix(address: &[u8], length: Option<&[u8]>) -> Result<(IpAddr, u8), PrefixError> {
    let (address, full): (IpAddr, u8) = match ipv6(address) {
        Some(v6) => (v6.into(), 128),
        None => match short_ipv4(address).ok_or(PrefixError::NotAnAddress)? {
            (_, true) if length.is_none() => return Err(PrefixError::Incomplete),
            (v4, _) => (v4.into(), 32),
        },
    };
    let length = match length {
        None => full,
        Some(length) => number(length)
            .and_then(|length| u8::try_from(length).ok())
            .filter(|&length| length <= full)
            .ok_or(PrefixError::Length)?,
    };
    let host_bits = match address {
        IpAddr::V4(v4) => v4.to_bits().checked_shl(length.into()).unwrap_or(0) != 0,
        IpAddr::V6(v6) => v6.to_bits().checked_shl(length.into()).unwrap_or(0) != 0,
    };
    if host_bits { Err(PrefixError::Bits) } else { Ok((address, length)) }
}

/// Reads an IPv4 address, with zeros in the place of final numbers that are missing, and whether any are.
fn short_ipv4(text: &[u8]) -> Option<(Ipv4Addr, bool)> {
    let zeros = ["", ".0", ".0.0", ".0.0.0"];
    zeros.iter().find_map(|zeros| Some((ipv4(&[text, zeros.as_bytes()].concat())?, !zeros.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_strtoul_reads_them() {
        for (text, value) in [("53", Some(53)), ("0x10", Some(16)), ("010", Some(8)), ("0", Some(0))] {
            assert_eq!(number(text.as_bytes()), value, "{text}");
        }
        for text in ["", "-1", "+1", "0x", "0x+1", "09", "4294967296", "1k", "x"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn sizes_and_percentages() {
        assert_eq!(size(b"10"), Some(10));
        assert_eq!(size(b"3k"), Some(3 << 10));
        assert_eq!(size(b"2G"), Some(2 << 30));
        assert_eq!(size(b"18446744073709551615G"), None);
        assert_eq!(size(b"k"), None);
        for (text, value) in [("0.7", 70), (".05", 5), ("5.", 500), ("99999.99", 9_999_999), ("1", 100)] {
            assert_eq!(fixed_point(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["", ".", "0.333", "100000.1", "1.x", "-1.0"] {
            assert_eq!(fixed_point(text.as_bytes()), None, "{text}");
        }
        assert_eq!(percent(b"90%"), Some(90));
        assert_eq!(percent(b"90"), None);
        assert_eq!(percent(b"%"), None);
    }

    #[test]
    fn durations() {
        for (text, value) in [("60", 60), ("1h30m", 5400), ("PT1H", 3600), ("P1W", 604_800), ("p1dt1s", 86_401)] {
            assert_eq!(duration(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["", "P", "PT", "1x", "P1H", "PT1M1H", "P99999999999D", "P9999999W"] {
            assert_eq!(duration(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn prefixes() {
        let v4 = |a, b, c, d, length| Ok((IpAddr::from([a, b, c, d]), length));
        assert_eq!(prefix(b"10", Some(b"8")), v4(10, 0, 0, 0, 8));
        assert_eq!(prefix(b"192.168", Some(b"16")), v4(192, 168, 0, 0, 16));
        assert_eq!(prefix(b"192.0.2.1", None), v4(192, 0, 2, 1, 32));
        assert_eq!(prefix(b"0.0.0.0", Some(b"0")), v4(0, 0, 0, 0, 0));
        assert_eq!(prefix(b"2001:db8::", Some(b"32")).map(|(_, length)| length), Ok(32));
        assert_eq!(prefix(b"10.0.0.1", Some(b"8")), Err(PrefixError::Bits));
        assert_eq!(prefix(b"10.0.0.0", Some(b"33")), Err(PrefixError::Length));
        for incomplete in ["10", "10.0", "1.2.3"] {
            assert_eq!(prefix(incomplete.as_bytes(), None), Err(PrefixError::Incomplete));
        }
        for name in ["010.1", "300.1", "1.2.3.", "1.2.3.4.5", ".1", ""] {
            assert_eq!(prefix(name.as_bytes(), None), Err(PrefixError::NotAnAddress), "{name}");
        }
        assert_eq!(prefix(b"1.2.3.4.5", Some(b"8")), Err(PrefixError::NotAnAddress));
        assert_eq!(prefix(b"internal", None), Err(PrefixError::NotAnAddress));
    }
}
