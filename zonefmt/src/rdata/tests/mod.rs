//! Every type by example: its text, the text that is printed, and what is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Command,
};

use super::{field::Field, *};
use crate::Name;

mod read;

/// Splits a line as the zone parser does, as far as these tests need: blanks, quotes, escapes kept.
fn tokens(line: &str) -> Vec<Token<'_>> {
    let text = line.as_bytes();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < text.len() {
        if text[at] == b' ' {
            at += 1;
            continue;
        }
        let quoted = text[at] == b'"';
        let start = at + usize::from(quoted);
        let mut inside = quoted;
        at = start;
        while at < text.len() && (inside || text[at] != b' ') {
            match text[at] {
                b'\\' => at += 1,
                b'"' if quoted => break,
                b'"' if text[at - 1] == b'=' || inside => inside = !inside,
                _ => {}
            }
            at += 1;
        }
        at = at.min(text.len());
        tokens.push(Token { text: &text[start..at], quoted, at: start });
        at += usize::from(quoted);
    }
    tokens
}

fn wire(rtype: &str, text: &str) -> Result<Vec<u8>, RdataError> {
    let origin = Name::from_ascii("ex.").unwrap();
    let rtype =
        rtype.parse::<Rtype>().map_err(|error| RdataError { at: None, message: error.to_string(), help: None })?;
    let mut out = b"before".to_vec();
    let result = parse(rtype, &mut Fields::new(&tokens(text)), origin.as_ref(), &mut out);
    let rdata = out.split_off(6);
    assert!(result.is_ok() || rdata.is_empty(), "an error leaves the output as it was");
    result.map(|()| rdata)
}

fn text(rtype: &str, wire: &[u8]) -> String {
    let mut out = String::new();
    write_text(rtype.parse().unwrap(), wire, &Style::FULL, &mut out);
    out
}

/// Lines of the corpus: type, rdata, and whether we differ from BIND on purpose.
fn corpus() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    include_str!("corpus.txt").lines().filter(|line| !line.starts_with(';')).map(|line| {
        let differs = line.starts_with("! ");
        let line = if differs { line[2..].split(" ; ").next().unwrap() } else { line };
        let (rtype, rdata) = line.split_once(' ').unwrap_or((line, ""));
        (rtype, rdata, differs)
    })
}

/// Runs named-compilezone, whose verdict counts.
struct Judge {
    folder: PathBuf,
}

impl Judge {
    /// The rdata of the owners `r0`, `r1`, … as named-compilezone prints it, and its error messages.
    fn compile(&self, records: &str) -> (BTreeMap<usize, String>, String) {
        const HEAD: &str = "$TTL 3600\n@ SOA ns root 1 3600 3600 3600 3600\n@ NS ns\nns A 127.0.0.1\n";
        let file = self.folder.join("zone");
        std::fs::write(&file, format!("{HEAD}{records}")).unwrap();
        let run = Command::new("named-compilezone")
            .args(["-k", "ignore", "-i", "none", "-s", "full", "-o", "-", "ex"])
            .arg(&file)
            .output()
            .expect("named-compilezone runs (Debian package bind9-utils)");
        let printed = String::from_utf8(run.stdout).unwrap();
        let records = printed.lines().filter_map(|line| {
            let (owner, rest) = line.split_once('.')?;
            let (_, record) = rest.split_once(" IN ")?;
            let rdata = record.split_once(['\t', ' ']).map_or("", |(_, rdata)| rdata.trim_start_matches('\t'));
            Some((owner.strip_prefix('r')?.parse().ok()?, rdata.to_string()))
        });
        (records.collect(), String::from_utf8(run.stderr).unwrap())
    }

    /// The lines of `records` that are refused, counted from 0.
    fn refused(&self, records: &str) -> BTreeSet<usize> {
        let (_, complaints) = self.compile(records);
        complaints
            .lines()
            .filter(|line| !line.contains("old style DNSSEC") && !line.contains("signature has expired"))
            .filter_map(|line| line.split_once("/zone:")?.1.split(':').next()?.parse::<usize>().ok()?.checked_sub(5))
            .collect()
    }
}

#[test]
fn bind_accepts_and_prints_the_same() {
    let folder = std::env::temp_dir().join(format!("zonefmt-corpus-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let judge = Judge { folder };
    let mut differences = Vec::new();

    let line = |(i, (rtype, rdata, _))| format!("r{i} {rtype} {rdata}\n");
    let refused = judge.refused(&corpus().enumerate().map(line).collect::<String>());
    let taken: String = corpus().enumerate().filter(|(i, _)| !refused.contains(i)).map(line).collect();
    let (printed, complaints) = judge.compile(&taken);
    assert!(printed.len() > 300, "{complaints}");

    for (i, (rtype, rdata, differs)) in corpus().enumerate() {
        let ours = wire(rtype, rdata).map(|octets| text(rtype, &octets));
        let theirs = printed.get(&i);
        if (ours.as_ref().ok() == theirs) == differs {
            differences.push(format!("{rtype} {rdata}\n  ours:   {ours:?}\n  theirs: {theirs:?}"));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));

    // Our wire form, in hexadecimal, means the same to named-compilezone.
    let generic = |i: &usize| {
        let (rtype, rdata, _) = corpus().nth(*i).unwrap();
        let octets = wire(rtype, rdata).ok()?;
        Some(format!("r{i} {rtype} \\# {} {}\n", octets.len(), data_encoding::HEXUPPER.encode(&octets)))
    };
    let (again, complaints) = judge.compile(&printed.keys().filter_map(generic).collect::<String>());
    assert!(again.len() > 300, "{complaints}");
    for (i, text) in again {
        assert_eq!(Some(&text), printed.get(&i));
    }
    std::fs::remove_dir_all(&judge.folder).unwrap();
}

/// SOA times accept units, and its names may be relative.
#[test]
fn soa_takes_units() {
    let octets = wire("SOA", "ns @ 4294967295 1w 1d2h 3600 0").unwrap();
    assert_eq!(text("SOA", &octets), "ns.ex. ex. 4294967295 604800 93600 3600 0");
    for bad in ["ns @ 1d 1 1 1 1", "ns @ 1 1h30 1 1 1", "ns @ 1 h 1 1 1", "ns @ 1 1 1 1 4294967296", "ns @ 1 1 1 1"] {
        assert!(wire("SOA", bad).is_err(), "{bad}");
    }
    assert_eq!(seconds(b"1W1d1H1m1S"), Some(604_800 + 86_400 + 3_600 + 60 + 1));
    assert_eq!(seconds(b"7102w"), None);
    assert_eq!(seconds(b""), None);
}

#[test]
fn errors_say_what_and_where() {
    for (rtype, input, at, message) in [
        ("MX", "70000 mail", 0, "MX preference: `70000` is over 65535"),
        ("MX", "10", 1, "MX exchange: missing"),
        ("MX", "10 a b", 2, "MX: `b` follows the last field"),
        ("NS", "\"a\"", 0, "NS server: a name in quotes"),
        ("A", "2001:db8::1", 0, "A address: `2001:db8::1` is no IPv4 address"),
        ("NSEC", "a A BOGUS", 2, "NSEC types: `BOGUS` is no record type"),
        ("DS", "1 8 2 AABB", 3, "DS digest: has not the length that its type demands"),
        (
            "TXT",
            r"a \999",
            1,
            r"TXT text: `\\999`: bad escape: write \DDD with three digits up to 255, or \ and one character",
        ),
        ("SVCB", "1 . port=x", 2, "SVCB parameters: port: `x` is no number"),
        ("A", r"\# 3 010203", 0, "A: address is cut short"),
        ("A", r"\# 4 010203", 2, r"A in \# form: the length says 4 octets, the data has 3"),
    ] {
        let error = wire(rtype, input).unwrap_err();
        assert_eq!((error.at, error.message.as_str()), (Some(at), message));
    }
    assert!(wire("ANY", r"\# 0").unwrap_err().message.contains("no data"));
    assert!(wire("MD", "a").unwrap_err().message.contains("obsolete"));
    assert!(wire("TYPE65280", "a").unwrap_err().help.unwrap().contains(r"\#"));
}

#[test]
fn mnemonics_round_trip() {
    for row in all() {
        assert_eq!(row.mnemonic.to_lowercase().parse(), Ok(row.rtype));
        assert_eq!(row.rtype.to_string(), row.mnemonic);
        assert_eq!(format!("type{}", row.rtype.0).parse(), Ok(row.rtype));
    }
    for number in 0..=u16::MAX {
        assert_eq!(Rtype(number).to_string().parse(), Ok(Rtype(number)));
        assert_eq!(crate::Class(number).to_string().parse(), Ok(crate::Class(number)));
    }
    for bad in ["", "TYPE", "TYPE65536", "TYPE-1", "TYPE+1", "AA", "NSEC3PARAMS", "type 1"] {
        assert_eq!(Rtype::from_text(bad.as_bytes()), None, "{bad}");
    }
    assert_eq!("chaos".parse(), Ok(crate::Class::CH));
    assert_eq!(format!("{:>6}", Rtype::MX), "    MX");
}

/// Only the types of RFC 1035 are compressed (RFC 3597 4), and only those listed in RFC 4034 6.2 are folded.
#[test]
fn names_have_their_roles() {
    let roles = |rtype: &str, input: &str| {
        let octets = wire(rtype, input).unwrap();
        names(rtype.parse().unwrap(), &octets)
            .map(|name| (NameRef::from_wire(&octets[name.range]).unwrap().to_string(), name.compress, name.additional))
            .collect::<Vec<_>>()
    };
    let one = |name: &str, compress, additional| vec![(name.to_string(), compress, additional)];
    assert_eq!(roles("NS", "a"), one("a.ex.", true, Additional::Address));
    assert_eq!(roles("MX", "1 a"), one("a.ex.", true, Additional::Mail));
    assert_eq!(roles("SRV", "1 2 443 a"), one("a.ex.", false, Additional::Service { port: 443 }));
    assert_eq!(roles("CNAME", "a"), one("a.ex.", true, Additional::None));
    assert_eq!(roles("DNAME", "a"), one("a.ex.", false, Additional::None));
    assert_eq!(roles("SOA", "a b 1 2 3 4 5").len(), 2);
    assert_eq!(roles("NAPTR", "1 2 S x \"\" a"), one("a.ex.", false, Additional::Srv));
    assert_eq!(roles("NAPTR", "1 2 a x \"\" a"), one("a.ex.", false, Additional::Address));
    assert_eq!(roles("NAPTR", "1 2 u x \"\" a"), one("a.ex.", false, Additional::None));
    assert_eq!(roles("HTTPS", "0 a"), one("a.ex.", false, Additional::SvcbAlias));
    assert_eq!(roles("HTTPS", "1 . alpn=h2"), one(".", false, Additional::SvcbTarget));
    assert_eq!(roles("TXT", "a"), []);

    let compressed = all().filter(|row| row.fields.iter().any(|spec| matches!(spec.kind, Field::Name(_))));
    let compressed = compressed.filter(|row| names(row.rtype, &[0; 64]).any(|name| name.compress));
    let numbers: Vec<u16> = compressed.map(|row| row.rtype.0).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15]);

    let folded = all()
        .filter(|row| row.fields.iter().any(|spec| spec.kind.folds_from(&[0; 64]).is_some()))
        .map(|row| row.rtype.0);
    let canonical_text = |rtype, input| {
        let mut folded = Vec::new();
        canonical(rtype, &wire(&rtype.to_string(), input).unwrap(), &mut folded);
        text(&rtype.to_string(), &folded)
    };
    assert_eq!(canonical_text(Rtype(38), "64 ::4142:4344:4546:4748 A"), "64 ::4142:4344:4546:4748 a.ex.");
    assert_eq!(canonical_text(Rtype::MX, "16705 A"), "16705 a.ex.");
    assert_eq!(canonical_text(Rtype::NSEC, "A A"), "A.ex. A");
    assert_eq!(canonical_text(Rtype::TXT, "A"), "\"A\"");
    let listed = [2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 17, 18, 21, 24, 26, 30, 33, 35, 36, 38, 39, 46];
    assert_eq!(folded.collect::<Vec<_>>(), listed);
}

#[test]
fn letters_are_judged_as_check_names_does() {
    let judge = |letters: Letters, name: &str| letters.allow(Name::from_ascii(name).unwrap().as_ref());
    for (name, host, mailbox) in [
        ("a-1.ex.", true, true),
        (".", true, true),
        ("a_b.ex.", false, true),
        ("a.b_c.", false, false),
        ("-a.ex.", false, true),
        ("a.b-.", false, false),
        (r"a\.b.ex.", false, true),
        (r"a\032b.ex.", false, false),
        ("*.ex.", false, true),
    ] {
        assert_eq!((judge(Letters::Host, name), judge(Letters::Mailbox, name)), (host, mailbox), "{name}");
    }
}

#[test]
fn relative_names_are_cut_between_labels_and_keep_their_case() {
    let origin = Name::from_ascii("Ex.").unwrap();
    let print = |name: &str, origin: NameRef<'_>| {
        let mut out = "x".to_string();
        Style::FULL.relative_to(origin).write_name(Name::from_ascii(name).unwrap().as_ref(), &mut out);
        out
    };
    for (name, relative) in [
        ("A.Ex.", "xA"),
        ("Ex.", "x@"),
        ("a.ex.", "xa.ex."),
        ("EX.", "xEX."),
        ("aEx.", "xaEx."),
        ("a\\.Ex.", "xa\\.Ex."),
        (".", "x."),
    ] {
        assert_eq!(print(name, origin.as_ref()), relative);
    }
    assert_eq!(print("a.b.", NameRef::ROOT), "xa.b");
    assert_eq!(print(".", NameRef::ROOT), "x@");
}

/// Octets to build wire form from. Once they are used up, zeros follow.
struct Entropy<'a>(&'a [u8]);

impl Entropy<'_> {
    fn octet(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn octets(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.octet()).collect()
    }

    fn some(&mut self, most: u8) -> Vec<u8> {
        let len = 1 + self.octet() % most;
        self.octets(len.into())
    }

    fn string(&mut self) -> Vec<u8> {
        let string = self.some(40);
        [&[string.len() as u8], &string[..]].concat()
    }

    fn name(&mut self) -> Vec<u8> {
        let labels = self.octet() % 4;
        let mut name: Vec<u8> = (0..labels).flat_map(|_| self.string()).collect();
        name.push(0);
        name
    }

    fn one_of<'c>(&mut self, choices: &[&'c [u8]]) -> &'c [u8] {
        choices[usize::from(self.octet()) % choices.len()]
    }

    /// Appends a well-formed field to `rdata`.
    fn field(&mut self, kind: Field, rdata: &mut Vec<u8>) {
        let octets = match kind {
            Field::Name(_) => self.name(),
            Field::U8 => match rdata.len() {
                // Gateway types, digest types and hash algorithms are known ones.
                1 | 5 => vec![self.octet() % 4],
                _ => vec![self.octet()],
            },
            Field::U16 | Field::Octal | Field::KeyFlags | Field::Type | Field::OldType => self.octets(2),
            Field::Zero => vec![0, 0],
            Field::U32 | Field::Ttl | Field::Time | Field::Ipv4 => self.octets(4),
            Field::U64 | Field::Groups => self.octets(8),
            Field::Ipv6 => self.octets(16),
            Field::Named(registry) => self.octets(registry.octets),
            Field::Eui(len) => self.octets(len.into()),
            Field::CharString | Field::MaybeCharString | Field::Salt => self.string(),
            Field::CharStrings => [self.string(), self.string()].concat(),
            Field::Digits => b"\x051234".iter().copied().chain([b'0' + self.octet() % 10]).collect(),
            Field::Regexp => self.one_of(&[b"\0", b"\x05!a!b!", b"\x08/(.)/\\1/"]).to_vec(),
            Field::Tag => self.one_of(&[b"\x05issue", b"\x01X"]).to_vec(),
            Field::KeyData if registry::has_no_key(rdata) => Vec::new(),
            Field::KeyData
            | Field::Nsap
            | Field::Text
            | Field::QuotedText
            | Field::Hex
            | Field::MaybeBase64
            | Field::Base64OrDash
            | Field::Base64 => self.some(100),
            Field::Digest(_) => {
                let lens = [20, 32, 48, 64, 13];
                let at = rdata.len();
                let zeros: Vec<Vec<u8>> = lens.iter().map(|&len| [&rdata[..], &vec![0; len]].concat()).collect();
                let len = zeros.iter().find(|whole| kind.end(whole, at).is_ok()).map_or(20, |whole| whole.len() - at);
                self.octets(len)
            }
            Field::Types | Field::SomeTypes => [&[0, 1, self.octet() | 1], &[7, 2, self.octet(), 0x80][..]].concat(),
            Field::OldTypes => vec![self.octet() & 0x7F, self.octet() | 1],
            Field::RelayType => vec![self.octet() & 0x83],
            Field::Gateway | Field::Relay => match rdata[1] & 0x7F {
                0 => Vec::new(),
                1 => self.octets(4),
                2 => self.octets(16),
                _ => self.name(),
            },
            Field::Hash => [&[20][..], &self.octets(20)].concat(),
            Field::Hip => [&[2, self.octet(), 0, 3][..], &self.octets(5), &self.name(), &self.name()].concat(),
            Field::A6 => [&[60, self.octet() & 0xF][..], &self.octets(8), &self.name()].concat(),
            Field::Loc => [
                &[0, 0x10 + self.octet() % 10, 0x99, 0, 0x80][..],
                &self.octets(3),
                &[0x80],
                &self.octets(3),
                &self.octets(4),
            ]
            .concat(),
            Field::Apl => [&[0, 1, self.octet() % 33, 0x81, self.octet() | 1, 0, 2, 128, 2][..], &[0, 9]].concat(),
            Field::Atm => [&[0][..], &self.some(20)].concat(),
            Field::Wks => [&[self.octet()][..], &self.octets(4), &[8]].concat(),
            Field::SvcParams => {
                let alpn = self.string();
                let opaque = self.some(30);
                let hint = self.octets(4);
                [&[0, 0, 0, 2, 0, 1, 0, 1, 0, alpn.len() as u8][..], &alpn, &[0, 4, 0, 4], &hint]
                    .concat()
                    .into_iter()
                    .chain([self.octet() | 1, 9, 0, opaque.len() as u8])
                    .chain(opaque)
                    .collect()
            }
        };
        rdata.extend(octets);
    }
}

proptest::proptest! {
    #[test]
    fn wire_to_text_to_wire(entropy in proptest::collection::vec(proptest::num::u8::ANY, 400..800)) {
        for row in all().filter(|row| row.usage == Usage::Data && !row.fields.is_empty()) {
            let mut entropy = Entropy(&entropy);
            let mut rdata = Vec::new();
            for spec in row.fields {
                entropy.field(spec.kind, &mut rdata);
            }
            validate(row.rtype, &rdata).unwrap_or_else(|error| panic!("{error}: {rdata:x?}"));
            let printed = text(row.mnemonic, &rdata);
            assert!(!printed.starts_with("\\# "), "{} {printed}", row.mnemonic);
            assert_eq!(wire(row.mnemonic, &printed).as_ref(), Ok(&rdata), "{} {printed}", row.mnemonic);

            // Relative names are read back with the origin that they are relative to.
            let origin = Name::from_ascii("ex.").unwrap();
            let mut relative = String::new();
            write_text(row.rtype, &rdata, &Style::FULL.relative_to(origin.as_ref()), &mut relative);
            assert_eq!(wire(row.mnemonic, &relative).as_ref(), Ok(&rdata), "{} {relative}", row.mnemonic);

            let mut folded = Vec::new();
            canonical(row.rtype, &rdata, &mut folded);
            assert!(folded.eq_ignore_ascii_case(&rdata));
            for embedded in names(row.rtype, &rdata) {
                NameRef::from_wire(&rdata[embedded.range]).unwrap();
            }
        }
    }

    #[test]
    fn no_octets_panic(rtype in 0_u16..300, octets in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
        let rtype = Rtype(rtype);
        let printed = text(&rtype.to_string(), &octets);
        names(rtype, &octets).count();
        canonical(rtype, &octets, &mut Vec::new());
        if validate(rtype, &octets).is_ok() && is_zone_data(rtype) {
            assert_eq!(wire(&rtype.to_string(), &printed), Ok(octets), "{rtype} {printed}");
        }
    }

    #[test]
    fn no_text_panics(rtype in 0_u16..300, text in "[ -~]{0,60}", digits in "[-0-9a-fA-F.:/ ]{0,60}") {
        for text in [text, digits] {
            if let Ok(octets) = wire(&Rtype(rtype).to_string(), &text) {
                validate(Rtype(rtype), &octets).unwrap();
            }
        }
    }
}
