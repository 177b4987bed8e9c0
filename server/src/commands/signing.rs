//! Commands about DNSSEC signing. No zone is signed here, so they reply as named does for a zone without keys and
//! policy.

use data_encoding::HEXUPPER_PERMISSIVE;
use jiff::civil::DateTime;
use zonefmt::{NameRef, Rtype, zone::parse_rdata};

use super::{argument, number, zone};
use crate::{
    control::{CommandError, Failure, Reply},
    serve::Running,
};

/// The most iterations of NSEC3's hash that named takes (RFC 9276 3.1 recommends none).
const MAX_ITERATIONS: u32 = 150;

/// `sign ZONE`, `loadkeys ZONE`
pub(super) fn sign(server: &mut Running, arguments: &[String]) -> Reply {
    zone(server, arguments)?;
    Err(Failure::NoPermission.into())
}

/// `signing (-list | -clear KEY | -nsec3param PARAMETERS | -serial NUMBER) ZONE`
pub(super) fn signing(server: &mut Running, arguments: &[String]) -> Reply {
    let failed = |failure: Failure| Err(failure.into());
    let option = argument(arguments, 0)?.to_ascii_lowercase();
    let rest = &arguments[1..];
    match option.as_str() {
        "-list" => match zone(server, rest)?.zone.data() {
            Some(_) => Ok("No signing records found".into()),
            None => failed(Failure::NotLoaded),
        },
        "-clear" => {
            let key = argument(rest, 0)?;
            zone(server, &rest[1..])?;
            let is_key = key
                .split_once('/')
                .is_some_and(|(tag, algorithm)| tag.parse::<u16>().is_ok() && is_algorithm(algorithm));
            if key.eq_ignore_ascii_case("all") || is_key {
                Ok("request queued".into())
            } else {
                failed(Failure::Failure)
            }
        }
        "-nsec3param" if argument(rest, 0)?.eq_ignore_ascii_case("none") => {
            zone(server, &rest[1..])?;
            Ok("nsec3param request queued".into())
        }
        "-nsec3param" => {
            let iterations = hashing(rest)?;
            zone(server, &rest[4..])?;
            if iterations > MAX_ITERATIONS {
                return failed(Failure::OutOfRange);
            }
            // named would keep the parameters for the day when the zone is signed.
            Err(CommandError::new(Failure::NotDynamic, "zones are not signed here"))
        }
        "-serial" => {
            number(argument(rest, 0)?)?;
            zone(server, &rest[1..])?;
            failed(Failure::NotDynamic)
        }
        _ => failed(Failure::Syntax),
    }
}

/// `dnssec -status ZONE`, `dnssec -rollover -key ID [-alg ALGORITHM] [-when TIME] ZONE`,
/// `dnssec -checkds [-key ID [-alg ALGORITHM]] (published | withdrawn) ZONE`
pub(super) fn dnssec(server: &mut Running, arguments: &[String]) -> Reply {
    let what = argument(arguments, 0)?.to_ascii_lowercase();
    let failed = |failure, text: &str| Err(CommandError::new(failure, text));
    let mut words = arguments[1..].iter().map(String::as_str).peekable();
    let (mut has_key, rollover) = (false, what == "-rollover");
    if rollover || what == "-checkds" {
        loop {
            let Some(word) = words.peek().copied() else { return failed(Failure::UnexpectedEnd, "Bad format") };
            let Some(option) = word.strip_prefix('-') else { break };
            words.next();
            match option.strip_prefix('-').unwrap_or(option) {
                "key" => {
                    let Some(id) = words.next() else {
                        return failed(Failure::UnexpectedEnd, "No key identifier specified");
                    };
                    if number(id)? > u16::MAX.into() {
                        return failed(Failure::OutOfRange, "");
                    }
                    has_key = true;
                }
                "alg" => match words.next() {
                    None => return failed(Failure::UnexpectedEnd, "No key algorithm specified"),
                    Some(algorithm) if !is_algorithm(algorithm) => return failed(Failure::Syntax, "Bad algorithm"),
                    Some(_) => {}
                },
                "when" => match words.next() {
                    None => return failed(Failure::UnexpectedEnd, "No time specified"),
                    Some(time) if DateTime::strptime("%Y%m%d%H%M%S", time).is_err() => {
                        return failed(Failure::Syntax, "");
                    }
                    Some(_) => {}
                },
                _ => return failed(Failure::Syntax, "Unknown option"),
            }
        }
        if rollover && !has_key {
            return failed(Failure::Syntax, "Key id is required when scheduling rollover");
        }
        if !rollover && words.next_if(|word| ["published", "withdrawn"].contains(word)).is_none() {
            return failed(Failure::Syntax, "");
        }
    } else if what != "-status" {
        return failed(Failure::Syntax, "");
    }
    let place: Vec<_> = words.map(str::to_owned).collect();
    if place.is_empty() {
        return failed(Failure::UnexpectedEnd, "Zone not found");
    }
    zone(server, &place).map(|_| "Zone does not have dnssec-policy".into())
}

/// The iterations of `HASH FLAGS ITERATIONS SALT`.
fn hashing(arguments: &[String]) -> Result<u32, Failure> {
    let texts = [argument(arguments, 0)?, argument(arguments, 1)?, argument(arguments, 2)?];
    let [hash, flags, iterations] = texts.map(number);
    let (hash, flags, iterations) = (hash?, flags?, iterations?);
    if hash > u8::MAX.into() || flags > u8::MAX.into() {
        return Err(Failure::OutOfRange);
    }
    let salt = argument(arguments, 3)?;
    if !["auto", "-"].contains(&salt) {
        let octets = HEXUPPER_PERMISSIVE.decode(salt.as_bytes());
        let octets = octets.map_err(|_| Failure::BadHex)?;
        if octets.len() > u8::MAX.into() {
            return Err(Failure::NoSpace);
        }
    }
    Ok(iterations)
}

/// Whether `text` names an algorithm, as in the text of a DNSKEY record.
fn is_algorithm(text: &str) -> bool {
    let is_word = text.bytes().all(|octet| octet.is_ascii_alphanumeric());
    is_word && parse_rdata(Rtype::DNSKEY, &format!("257 3 {text} AQ=="), NameRef::ROOT, &mut Vec::new()).is_ok()
}
