//! Rdata in messages: with and without compressed names, and damaged.

use std::ops::Range;

use super::*;

fn read_in(message: &[u8], at: Range<usize>, rtype: Rtype) -> Result<Vec<u8>, RdataError> {
    let mut out = b"before".to_vec();
    let result = read(Class::IN, rtype, message, at, &mut out);
    let rdata = out.split_off(6);
    assert!(result.is_ok() || rdata.is_empty(), "an error leaves the output as it was");
    assert_eq!(out, b"before");
    result.map(|()| rdata)
}

/// Rdata of a row, and a message that ends in the same rdata with each of its names a pointer.
fn compressed(row: &TypeInfo, entropy: &[u8]) -> (Vec<u8>, Vec<u8>, Range<usize>) {
    let mut entropy = Entropy(entropy);
    let (mut rdata, mut message, mut short) = (Vec::new(), vec![0; 12], Vec::new());
    for spec in row.fields {
        let start = rdata.len();
        entropy.field(spec.kind, &mut rdata);
        if spec.kind.is_name(&rdata) {
            short.extend((0xc000 | message.len() as u16).to_be_bytes());
            message.extend_from_slice(&rdata[start..]);
        } else {
            short.extend_from_slice(&rdata[start..]);
        }
    }
    let start = message.len();
    message.extend(short);
    let range = start..message.len();
    (rdata, message, range)
}

#[test]
fn every_line_of_the_corpus_is_read_from_a_message() {
    for (rtype, rdata, _) in corpus() {
        let Ok(octets) = wire(rtype, rdata) else { continue };
        let message = [&[0; 12][..], &octets, b"and more"].concat();
        assert_eq!(read_in(&message, 12..12 + octets.len(), rtype.parse().unwrap()), Ok(octets), "{rtype} {rdata}");
    }
}

#[test]
fn names_that_do_not_end_in_the_data_are_refused() {
    // CVE-2026-10822: the name goes on after the end that RDLENGTH gives.
    let message = b"\0\0\0\0\0\0\0\0\0\0\0\0\x03www\x02ex\0";
    assert_eq!(read_in(message, 12..20, Rtype::CNAME).unwrap(), b"\x03www\x02ex\0");
    for end in 12..20 {
        assert!(read_in(message, 12..end, Rtype::CNAME).is_err(), "{end}");
    }
    for (rdata, why) in [
        (&b"\xc0\x0c"[..], "a pointer to itself"),
        (b"\xc0\x0e\0", "a pointer forward, into the data"),
        (b"\xc0\xff", "a pointer out of the message"),
        (b"\x01a\xc0\x0c", "a loop"),
        (b"\xc0", "half a pointer"),
        (b"\xc0\x00\0", "an octet too many"),
        (b"\x80a\0", "no type of label"),
    ] {
        let message = [&[0; 12], rdata, b"\0\0\0\0"].concat();
        assert!(read_in(&message, 12..12 + rdata.len(), Rtype::CNAME).is_err(), "{why}");
    }
    assert!(read_in(message, 12..99, Rtype::CNAME).is_err(), "a range beyond the message");
}

#[test]
fn data_that_grows_beyond_the_limit_is_refused() {
    let name = [&[63][..], &[b'a'; 63], &[63], &[b'b'; 63], &[63], &[b'c'; 63], b"\0"].concat();
    let fixed = [0; 18];
    let message = [&[0; 12][..], &name, &fixed, b"\xc0\x0c", &vec![7; MAX_RDATA - 20]].concat();
    let start = 12 + name.len();
    assert!(read_in(&message, start..message.len(), Rtype::RRSIG).unwrap_err().message.contains("over 65535"));
    assert!(read_in(&message, start..message.len() - 200, Rtype::RRSIG).is_ok());
}

proptest::proptest! {
    #[test]
    fn compressed_names_come_back_whole(entropy in proptest::collection::vec(proptest::num::u8::ANY, 400..800)) {
        for row in all().filter(|row| row.usage == Usage::Data && !row.fields.is_empty()) {
            let (rdata, message, at) = compressed(row, &entropy);
            assert_eq!(read_in(&message, at, row.rtype), Ok(rdata), "{} {message:x?}", row.mnemonic);
        }
    }

    #[test]
    fn what_is_read_is_valid(
        entropy in proptest::collection::vec(proptest::num::u8::ANY, 400..800),
        place in proptest::num::usize::ANY,
        octet in proptest::num::u8::ANY,
        cut in 0_usize..4,
    ) {
        for row in all().filter(|row| row.usage == Usage::Data && !row.fields.is_empty()) {
            let (_, mut message, at) = compressed(row, &entropy);
            let place = place % message.len();
            message[place] = octet;
            let at = at.start..at.end.saturating_sub(cut).max(at.start);
            if let Ok(rdata) = read_in(&message, at, row.rtype) {
                assert_eq!(validate(row.rtype, &rdata), Ok(()), "{} {rdata:x?}", row.mnemonic);
            }
        }
    }
}
