//! The COOKIE option (RFC 7873 4). [`cookies`](crate::cookies) makes and checks its server's part.

/// The COOKIE option of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cookie {
    pub(crate) client: ClientCookie,
    pub(crate) server: Given,
}

/// The server part of a request's cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Given {
    /// The part is missing.
    Nothing,
    /// The part has a different length from those made here.
    Foreign,
    /// The part may have been made here.
    Familiar(ServerCookie),
}

pub(crate) type ClientCookie = [u8; CLIENT];

/// A server part: version, three reserved octets, timestamp, hash (RFC 9018 4).
pub(crate) type ServerCookie = [u8; SERVER];

/// The octets of a client part.
pub(crate) const CLIENT: usize = 8;
/// The octets of a server part, as made by this server.
pub(crate) const SERVER: usize = 16;
/// The octets of an option with both parts, as made by this server.
pub(crate) const COOKIE: usize = CLIENT + SERVER;

impl Cookie {
    /// Reads the content of an option; `None` if it is malformed (RFC 7873 5.2.2).
    pub fn read(option: &[u8]) -> Option<Cookie> {
        let (&client, server) = option.split_first_chunk()?;
        let server = match server.len() {
            0 => Given::Nothing,
            8..=32 => ServerCookie::try_from(server).map_or(Given::Foreign, Given::Familiar),
            _ => return None,
        };
        Some(Cookie { client, server })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_rfc_7873() {
        for octets in 0..60 {
            let well_formed = octets == 8 || (16..=40).contains(&octets);
            assert_eq!(Cookie::read(&vec![1; octets]).is_some(), well_formed, "{octets}");
        }
    }
}
