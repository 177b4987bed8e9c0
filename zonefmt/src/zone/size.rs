//! The size of RRsets: what BIND stores, and what fits a response.

/// The largest RRset that BIND stores, in octets: the data of its records, and two octets for the length of each.
///
/// named refuses a zone with a larger RRset. It accepts RRsets of many small records that do not fit a response; for
/// those see [`room_in_message`].
pub const MAX_RRSET: u32 = 65_512;

/// The largest RRset that fits a response about a name of `owner` octets, in octets: the sum of [`octets_in_message`]
/// over its records.
///
/// A message has up to 65,535 octets (RFC 1035 4.2.2). The header takes 12 of them, the question `owner` + 4, and an OPT
/// record without options 11 (RFC 6891 6.1.2). A response that is signed with TSIG has less room.
pub const fn room_in_message(owner: usize) -> usize {
    65_535 - 12 - (owner + 4) - 11
}

/// The size of a record in a message, in octets: the owner as a compression pointer, type, class, TTL and length
/// (RFC 1035 4.1.3), and `rdata` octets of data.
pub const fn octets_in_message(rdata: usize) -> usize {
    12 + rdata
}

/// The most records with `rdata` octets of data each that fit a response, however long its name is.
pub const fn records_in_message(rdata: usize) -> usize {
    room_in_message(255) / octets_in_message(rdata)
}
