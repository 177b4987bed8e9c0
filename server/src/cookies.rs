//! DNS cookies (RFC 7873): a client that returns a cookie that it was given really is at its address.
//!
//! Server cookies have the format of RFC 9018, so different server implementations that share a secret, for example
//! behind one anycast address, accept each other's cookies.

use std::{fmt, net::IpAddr};

use siphasher::sip::SipHasher24;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use crate::wire::cookie::Cookie;
use crate::wire::cookie::{CLIENT, COOKIE, ClientCookie, Given, SERVER, ServerCookie};

/// The secrets that make and verify server cookies.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieSecrets {
    current: Secret,
    /// Former or future secrets; cookies made with them are valid but get replaced.
    others: Vec<Secret>,
}

/// 128 bits.
type Secret = Zeroizing<[u8; CookieSecrets::OCTETS]>;

/// The result of checking a cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checked {
    /// How the cookie compares with those made here.
    pub standing: Standing,
    /// The option for the response.
    pub reply: [u8; COOKIE],
}

/// How a client's cookie compares with those made here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The cookie was made here for this address, recently enough.
    Match,
    /// The cookie was not made here, or was made for another address.
    NoMatch,
    /// The cookie is too old, or from the future.
    BadTime,
    /// The server part does not have the length of those made here.
    BadSize,
    /// The cookie has only the client part.
    ClientOnly,
}

impl Checked {
    /// Whether the cookie proves that the client is at its address.
    pub fn proves(&self) -> bool {
        self.standing == Standing::Match
    }
}

/// How many octets of a server part are hashed.
const HASHED: usize = 8;

const VERSION: u8 = 1;

/// The oldest and newest valid cookie, as an age in seconds (RFC 9018 4.3); a negative age is ahead of our clock.
const OLDEST: i32 = 3600;
const NEWEST: i32 = -300;
/// The age in seconds from which a cookie is replaced.
const RENEWED: i32 = 1800;

impl CookieSecrets {
    /// The octets of a secret.
    pub const OCTETS: usize = 16;

    /// Makes secrets. The first one makes cookies; all of them verify cookies.
    pub fn new(current: [u8; CookieSecrets::OCTETS], others: impl IntoIterator<Item = [u8; Self::OCTETS]>) -> Self {
        CookieSecrets { current: Zeroizing::new(current), others: others.into_iter().map(Zeroizing::new).collect() }
    }

    /// Makes a secret that no other server has.
    ///
    /// # Errors
    /// If the system cannot provide random numbers.
    pub fn random() -> Result<CookieSecrets, getrandom::Error> {
        let mut current = Secret::default();
        getrandom::fill(&mut *current)?;
        Ok(CookieSecrets { current, others: Vec::new() })
    }

    /// Checks a client's cookie and makes the one for the response. `unix` is in seconds since 1970.
    #[inline]
    pub fn check(&self, cookie: &Cookie, addr: IpAddr, unix: u64) -> Checked {
        // RFC 9018 4.3: a number of 32 bits that wraps around.
        let now = unix as u32;
        let made = |secret, server: &ServerCookie| {
            let hash = hash(secret, cookie.client, server[..HASHED].try_into().unwrap_or_default(), addr);
            bool::from(hash.ct_eq(&server[HASHED..]))
        };
        let mut kept = None;
        let standing = match &cookie.server {
            Given::Nothing => Standing::ClientOnly,
            Given::Foreign => Standing::BadSize,
            Given::Familiar(server) if !(NEWEST..=OLDEST).contains(&age(server, now)) => Standing::BadTime,
            Given::Familiar(server) if server[0] == VERSION && made(&self.current, server) => {
                kept = Some(*server).filter(|server| age(server, now) < RENEWED);
                Standing::Match
            }
            Given::Familiar(server)
                if server[0] == VERSION && self.others.iter().any(|secret| made(secret, server)) =>
            {
                Standing::Match
            }
            Given::Familiar(_) => Standing::NoMatch,
        };
        let server = kept.unwrap_or_else(|| self.make(cookie.client, addr, now));
        Checked { standing, reply: joined(cookie.client, server) }
    }

    fn make(&self, client: ClientCookie, addr: IpAddr, now: u32) -> ServerCookie {
        let mut server = [0; SERVER];
        server[0] = VERSION;
        server[4..HASHED].copy_from_slice(&now.to_be_bytes());
        let hash = hash(&self.current, client, server[..HASHED].try_into().unwrap_or_default(), addr);
        server[HASHED..].copy_from_slice(&hash);
        server
    }
}

impl fmt::Debug for CookieSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CookieSecrets(1 + {})", self.others.len())
    }
}

/// The age of a cookie in seconds; negative if it is ahead of our clock.
fn age(server: &ServerCookie, now: u32) -> i32 {
    let made = [server[4], server[5], server[6], server[7]];
    now.wrapping_sub(u32::from_be_bytes(made)).cast_signed()
}

/// The hash that proves that a server cookie was made here for this client (RFC 9018 4.4).
fn hash(secret: &Secret, client: ClientCookie, head: [u8; HASHED], addr: IpAddr) -> [u8; SERVER - HASHED] {
    let mut octets = [0; CLIENT + HASHED + 16];
    octets[..CLIENT].copy_from_slice(&client);
    octets[CLIENT..CLIENT + HASHED].copy_from_slice(&head);
    let address = &mut octets[CLIENT + HASHED..];
    let length = match addr.to_canonical() {
        IpAddr::V4(v4) => {
            address[..4].copy_from_slice(&v4.octets());
            4
        }
        IpAddr::V6(v6) => {
            address.copy_from_slice(&v6.octets());
            16
        }
    };
    SipHasher24::new_with_key(secret).hash(&octets[..CLIENT + HASHED + length]).to_le_bytes()
}

fn joined(client: ClientCookie, server: ServerCookie) -> [u8; COOKIE] {
    let mut reply = [0; COOKIE];
    reply[..CLIENT].copy_from_slice(&client);
    reply[CLIENT..].copy_from_slice(&server);
    reply
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    fn cookie(text: &str) -> Cookie {
        Cookie::read(&HEXLOWER.decode(text.as_bytes()).unwrap()).unwrap()
    }

    fn check(secrets: &CookieSecrets, text: &str, addr: &str, unix: u64) -> (bool, String) {
        let checked = secrets.check(&cookie(text), addr.parse().unwrap(), unix);
        (checked.proves(), HEXLOWER.encode(&checked.reply))
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    #[test]
    fn vectors_of_rfc_9018() {
        let secrets = CookieSecrets::new(hex(SECRET), []);
        let (first, second) = ("198.51.100.100", "203.0.113.203");
        let learnt = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        // A.1: a client learns a cookie. A.2: it gets a new one, because the first is older than half an hour.
        assert_eq!(check(&secrets, "2464c4abcf10c957", first, 0x5cf7_9f11), (false, learnt.into()));
        let renewed = "2464c4abcf10c957010000005cf7a871d4a564a1442aca77";
        assert_eq!(check(&secrets, learnt, first, 0x5cf7_a871), (true, renewed.into()));
        // A.3: another cookie, with reserved octets that are not zero.
        let odd = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        let renewed = "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e";
        assert!(check(&secrets, odd, second, 0x5cf7_8f71 + 3600).0);
        assert_eq!(check(&secrets, odd, second, 0x5cf7_a9ac), (false, renewed.into()));
        // A.4: over IPv6, with a secret that is being phased out.
        let (old, new) = ("dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962");
        let secrets = CookieSecrets::new(hex(new), [hex(old)]);
        let third = "2001:db8:220:1:59de:d0f4:8769:82b8";
        let by_old = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
        let by_new = "22681ab97d52c298010000005cf7c609a6bb79d16625507a";
        assert_eq!(check(&secrets, by_old, third, 0x5cf7_c609), (true, by_new.into()));
    }

    #[test]
    fn a_cookie_is_good_for_an_hour_and_kept_for_half_of_it() {
        let secrets = CookieSecrets::new(hex(SECRET), []);
        for made in [0x5cf7_9f11_u64, u64::from(u32::MAX) - 10] {
            let at = |seconds: i64| made.wrapping_add_signed(seconds);
            let (_, given) = check(&secrets, "2464c4abcf10c957", "192.0.2.1", made);
            for (seconds, valid, kept) in [
                (-301, false, false),
                (-300, true, true),
                (0, true, true),
                (1799, true, true),
                (1800, true, false),
                (3600, true, false),
                (3601, false, false),
                (1 << 31, false, false),
            ] {
                let (was_valid, reply) = check(&secrets, &given, "192.0.2.1", at(seconds));
                assert_eq!((was_valid, reply == given), (valid, kept), "after {seconds} s");
                assert!(check(&secrets, &reply, "192.0.2.1", at(seconds)).0);
            }
        }
    }

    #[test]
    fn a_cookie_is_one_clients_own() {
        let secrets = CookieSecrets::new(hex(SECRET), []);
        let (_, given) = check(&secrets, "2464c4abcf10c957", "192.0.2.1", 1 << 30);
        assert!(check(&secrets, &given, "::ffff:192.0.2.1", 1 << 30).0, "IPv4 as a socket of both families has it");
        assert!(!check(&secrets, &given, "192.0.2.2", 1 << 30).0);
        assert!(!check(&secrets, &given.replacen("24", "25", 1), "192.0.2.1", 1 << 30).0);
        let others = CookieSecrets::random().unwrap();
        assert!(!check(&others, &given, "192.0.2.1", 1 << 30).0);
        assert_eq!(format!("{secrets:?}"), "CookieSecrets(1 + 0)");
    }

    #[test]
    fn what_a_cookie_lacks() {
        let secrets = CookieSecrets::new(hex(SECRET), []);
        let now = 0x5cf7_9f11;
        let (_, made) = check(&secrets, "2464c4abcf10c957", "192.0.2.1", now);
        for (text, standing) in [
            ("2464c4abcf10c957", Standing::ClientOnly),
            ("2464c4abcf10c9570011223344556677", Standing::BadSize),
            (&*made, Standing::Match),
            (&*made.replacen("01000000", "02000000", 1), Standing::NoMatch),
            (&*made.replacen("01000000", "01000001", 1), Standing::NoMatch),
            (&*made.replacen("5cf79f11", "5cf7ff11", 1), Standing::BadTime),
        ] {
            let checked = secrets.check(&cookie(text), [192, 0, 2, 1].into(), now);
            assert_eq!(checked.standing, standing, "{text}");
        }
    }
}
