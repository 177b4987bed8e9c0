//! Sessions of nsupdate with `named` and with `bindyd`, compared step by step: what nsupdate prints, its exit code, and
//! the zone that each step leaves.

use std::{
    fmt::Write as _,
    io::Write,
    net::{TcpStream, UdpSocket},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use bindy_tests::{
    peers::read_message,
    ports::free_port,
    tsig,
    update::{Line, message},
};
use zonefmt::Name;

use super::{
    server::{PATIENCE, Prepared, Server, dig},
    transfers::{KEY, SIGN},
};

const BINDYD: &str = env!("CARGO_BIN_EXE_bindyd");

const ZONE: &str = "$TTL 300\n@ SOA ns hostmaster 1 3600 900 604800 300\n@ NS ns\n@ NS ns2\n@ MX 10 mail\n\
                    ns A 192.0.2.53\nns2 A 192.0.2.54\nmail A 192.0.2.25\nwww A 192.0.2.1\nwww A 192.0.2.2\nwww TXT w\n\
                    alias CNAME www\n*.wild TXT wild\nsub NS ns.sub\nns.sub A 192.0.2.55\na.b.c A 192.0.2.3\n\
                    old DNAME elsewhere.test.\nttl 60 A 192.0.2.4\nTTL 60 A 192.0.2.5\n";

/// Who may update what: a list, rules, the session key.
const ZONES: &str = "zone \"example.com\" { type primary; file \"example.zone\"; allow-update { key k; }; };\n\
                     zone \"rules.test\" { type primary; file \"rules.zone\"; update-policy {\
                     deny k name fixed.rules.test ANY; grant k subdomain acme.rules.test TXT; grant k self . A;\
                     grant k wildcard *.hosts.rules.test A AAAA; grant k zonesub CAA(2); }; };\n\
                     zone \"local.test\" { type primary; file \"local.zone\"; update-policy local; };\n\
                     zone \"fixed.test\" { type primary; file \"fixed.zone\"; };\n";

/// A server, and what nsupdate and dig see of it.
struct Peer {
    server: Server,
    port: u16,
}

impl Peer {
    fn start(program: &str) -> Peer {
        let port = free_port();
        let options =
            "recursion no; dnssec-validation no; notify no; session-keyfile \"session.key\"; allow-transfer { any; };";
        let files = ["example.zone", "rules.zone", "local.zone", "fixed.zone"].map(|file| (file, ZONE));
        let mut prepared = Prepared::new(options, "", &files);
        prepared.listen_on(&format!("port {port} {{ 127.0.0.1; }}"));
        let unknown = KEY.replace("key k ", "key other ");
        prepared.configure(&format!("{KEY}{unknown}{ZONES}"));
        let server = prepared.run_until(program, "all zones loaded");
        server.runs();
        Peer { server, port }
    }

    /// What nsupdate prints for these lines, and its exit code.
    fn run(&self, arguments: &[&str], script: &str) -> String {
        let mut command = Command::new("nsupdate");
        command.args(["-t", "20"]).args(arguments).current_dir(self.server.folder());
        let server = if arguments.contains(&"-l") {
            command.args(["-p", &self.port.to_string()]);
            String::new()
        } else {
            format!("server 127.0.0.1 {}\n", self.port)
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nsupdate is installed: run scripts/install-test-tools");
        let input = format!("{server}{script}\n");
        // It ends before it has read all, where a line is wrong.
        let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("it was started");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        // Lines with a time and an address in memory are nsupdate's own.
        let said = said.lines().filter(|line| !line.contains("dns_rdata_fromtext")).collect::<Vec<_>>().join("\n");
        format!("{:?} {}", output.status.code(), said.replace(&self.port.to_string(), "PORT"))
    }

    /// The response to a message.
    fn exchange(&self, message: &[u8], over_tcp: bool) -> Vec<u8> {
        let server = ("127.0.0.1", self.port);
        if over_tcp {
            let mut stream = TcpStream::connect(server).expect("it listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
            let length = (message.len() as u16).to_be_bytes();
            stream.write_all(&[&length, message].concat()).expect("it reads");
            return read_message(&mut stream).expect("it responds");
        }
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        socket.send_to(message, server).expect("it listens");
        let mut response = [0; 4096];
        let length = socket.recv(&mut response).expect("it responds");
        response[..length].to_vec()
    }

    /// The records of all zones that can be updated, in small letters: in named, a name gets the letters of the last
    /// record that is added, and here it keeps those of the first one.
    fn records(&self) -> Vec<String> {
        let mut records = Vec::new();
        for zone in ["example.com", "rules.test", "local.test"] {
            let answer = dig("127.0.0.1", self.port, &["+onesoa", "+nocomments", "+nocmd", "+nostats", zone, "AXFR"]);
            assert!(answer.contains("SOA"), "{answer}");
            let lines = answer.lines().filter(|line| !line.starts_with(';'));
            records
                .extend(lines.map(|line| line.to_lowercase().split_ascii_whitespace().collect::<Vec<_>>().join(" ")));
        }
        records.sort();
        records
    }
}

/// Who sends the update: arguments of nsupdate.
#[derive(Clone, Copy)]
enum By {
    /// Whoever has the key that may update the zone.
    Key,
    Nobody,
    With(&'static [&'static str]),
}

use By::{Key, Nobody, With};

/// To this machine's server, with its session key, which lies elsewhere than usual.
const LOCALLY: By = With(&["-l", "-k", "session.key"]);

/// A step: what it is about, who sends it, and the script, which is complete if it says `send`, and otherwise is about
/// example.com.
type Step = (&'static str, By, &'static str);

#[rustfmt::skip]
const STEPS: &[Step] = &[
    // Operations, in all their forms.
    ("add", Key, "update add one.example.com 60 A 192.0.2.7"),
    ("add what is there", Key, "add one.example.com 60 A 192.0.2.7"),
    ("add with another TTL", Key, "add one.example.com 90 A 192.0.2.8"),
    ("add with the class", Key, "add two.example.com 60 IN A 192.0.2.7"),
    ("add with another class", Key, "add ch.example.com 60 CH TXT x"),
    ("add without a TTL", Key, "add none.example.com A 192.0.2.7"),
    ("add with the TTL of the script", Key, "ttl 77\nadd d.example.com A 192.0.2.7"),
    ("add with a TTL of a time", Key, "add t.example.com 1h A 192.0.2.7"),
    ("add with the largest TTL", Key, "add m.example.com 2147483647 A 192.0.2.7"),
    ("add with a TTL of 0", Key, "add z.example.com 0 A 192.0.2.7"),
    ("add other letters", Key, "add ONE.Example.Com 90 A 192.0.2.9"),
    ("delete a record", Key, "update delete one.example.com A 192.0.2.8"),
    ("delete a record with TTL and class", Key, "del one.example.com 5 IN A 192.0.2.9"),
    ("delete an RRset", Key, "del www.example.com TXT"),
    ("delete a name", Key, "del one.example.com"),
    ("delete a name as ANY", Key, "del two.example.com ANY"),
    ("delete what is not there", Key, "del nothing.example.com"),
    ("delete a record that is not there", Key, "del www.example.com A 192.0.2.99"),
    ("delete and add again", Key, "del www.example.com A 192.0.2.1\nadd www.example.com 300 A 192.0.2.1"),
    ("replace an RRset", Key, "del www.example.com A\nadd www.example.com 60 A 192.0.2.77"),
    ("many at once", Key, "add m1.example.com 60 A 192.0.2.1\nadd m2.example.com 60 AAAA 2001:db8::1\n\
        del d.example.com\nadd m3.example.com 60 MX 5 m1.example.com."),
    ("several messages", Key, "zone example.com\nadd s1.example.com 60 A 192.0.2.1\nsend\n\
        add s2.example.com 60 A 192.0.2.1\nsend\nzone example.com\ndel s1.example.com\nsend"),
    ("nothing", Key, ""),
    ("prerequisites only", Key, "prereq yxdomain www.example.com"),
    // Types.
    ("types", Key, "add srv.example.com 60 SRV 1 2 5060 www.example.com.\n\
        add caa.example.com 60 CAA 0 issue \"ca.test\"\n\
        add tlsa.example.com 60 TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n\
        add sshfp.example.com 60 SSHFP 1 1 0123456789abcdef0123456789abcdef01234567\n\
        add svcb.example.com 60 HTTPS 1 . alpn=h2\n\
        add naptr.example.com 60 NAPTR 1 2 \"u\" \"E2U+sip\" \"!x!y!\" ."),
    ("an unknown type", Key, "add odd.example.com 60 TYPE65280 \\# 3 010203"),
    ("delete an unknown type", Key, "del odd.example.com TYPE65280"),
    ("strings", Key, "add txt.example.com 60 TXT \"a b\" \"\" \"\\\"\" \"\\200\""),
    ("odd names", Key, "add a\\.b.example.com 60 A 192.0.2.1\nadd \\000.example.com 60 A 192.0.2.1\n\
        add _x._y.example.com 60 TXT y"),
    ("a name that is too long", Key, "\
        add aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg.example.com 60 A 192.0.2.1"),
    ("wrong data", Key, "add bad.example.com 60 A 192.0.2.256"),
    ("a type of questions", Key, "add bad.example.com 60 AXFR x"),
    // CNAME, DNAME, delegations, wildcards.
    ("a CNAME beside others", Key, "add www.example.com 60 CNAME mail.example.com."),
    ("others beside a CNAME", Key, "add alias.example.com 60 A 192.0.2.9"),
    ("another CNAME", Key, "add alias.example.com 60 CNAME mail.example.com."),
    ("a CNAME at the apex", Key, "add example.com 60 CNAME mail.example.com."),
    ("a CNAME in place of others", Key, "del mail.example.com\nadd mail.example.com 60 CNAME www.example.com."),
    ("another DNAME", Key, "add old.example.com 60 DNAME other.test."),
    ("below a DNAME", Key, "add x.old.example.com 60 A 192.0.2.1"),
    ("below a delegation", Key, "add host.sub.example.com 60 A 192.0.2.1\n\
        add sub.example.com 60 DS 1 13 2 0011223344556677889900112233445566778899001122334455667788990011"),
    ("a delegation goes", Key, "del sub.example.com NS"),
    ("a wildcard", Key, "add *.wild.example.com 60 A 192.0.2.9\nadd *.example.com 60 TXT any"),
    ("a wildcard goes", Key, "del *.example.com"),
    ("an empty node goes", Key, "del a.b.c.example.com"),
    // The apex.
    ("a name server", Key, "add example.com 300 NS ns3.elsewhere.test."),
    ("a name server goes", Key, "del example.com NS ns2.example.com."),
    ("all name servers", Key, "del example.com NS"),
    ("all but one, then the last", Key, "del example.com NS ns3.elsewhere.test.\ndel example.com NS ns.example.com."),
    ("the apex", Key, "del example.com"),
    ("the SOA goes", Key, "del example.com SOA"),
    ("a later SOA", Key, "add example.com 600 SOA ns.example.com. admin.example.com. 1000 1 2 3 4"),
    ("an earlier SOA", Key, "add example.com 300 SOA ns.example.com. other.example.com. 5 3600 900 604800 300"),
    ("a later SOA with others", Key, "add example.com 300 SOA ns.example.com. admin.example.com. 2000 1 2 3 4\n\
        add soa.example.com 60 A 192.0.2.1"),
    ("an SOA elsewhere", Key, "add www.example.com 300 SOA ns.example.com. admin.example.com. 3000 1 2 3 4"),
    // Prerequisites.
    ("yxdomain", Key, "prereq yxdomain www.example.com\nadd p1.example.com 60 A 192.0.2.1"),
    ("yxdomain fails", Key, "prereq yxdomain no.example.com\nadd p2.example.com 60 A 192.0.2.1"),
    ("yxdomain of a name between", Key, "zone example.com\nadd x.between.example.com 60 A 192.0.2.1\nsend\n\
        prereq yxdomain between.example.com\nadd p3.example.com 60 A 192.0.2.1\nsend"),
    ("yxdomain of what a wildcard makes", Key, "prereq yxdomain x.wild.example.com\nadd p4.example.com 60 A 192.0.2.1"),
    ("nxdomain", Key, "prereq nxdomain no.example.com\nadd p5.example.com 60 A 192.0.2.1"),
    ("nxdomain fails", Key, "prereq nxdomain www.example.com\nadd p6.example.com 60 A 192.0.2.1"),
    ("yxrrset", Key, "prereq yxrrset www.example.com A\nadd p7.example.com 60 A 192.0.2.1"),
    ("yxrrset fails", Key, "prereq yxrrset www.example.com AAAA\nadd p8.example.com 60 A 192.0.2.1"),
    ("yxrrset with data", Key, "prereq yxrrset www.example.com A 192.0.2.77\nadd p9.example.com 60 A 192.0.2.1"),
    ("yxrrset with other data", Key, "prereq yxrrset www.example.com A 192.0.2.78\nadd pa.example.com 60 A 192.0.2.1"),
    ("yxrrset with too much", Key, "prereq yxrrset www.example.com A 192.0.2.77\n\
        prereq yxrrset www.example.com A 192.0.2.78\nadd pb.example.com 60 A 192.0.2.1"),
    ("yxrrset with too little", Key, "prereq yxrrset ttl.example.com A 192.0.2.4\nadd pc.example.com 60 A 192.0.2.1"),
    ("yxrrset with all", Key, "prereq yxrrset ttl.example.com A 192.0.2.5\n\
        prereq yxrrset TTL.example.com A 192.0.2.4\nadd pd.example.com 60 A 192.0.2.1"),
    ("nxrrset", Key, "prereq nxrrset www.example.com AAAA\nadd pe.example.com 60 A 192.0.2.1"),
    ("nxrrset fails", Key, "prereq nxrrset www.example.com A\nadd pf.example.com 60 A 192.0.2.1"),
    ("several, the last fails", Key, "prereq yxdomain www.example.com\nprereq nxrrset www.example.com TXT\n\
        prereq nxdomain www.example.com\nadd pg.example.com 60 A 192.0.2.1"),
    ("outside the zone", Key, "prereq nxdomain www.elsewhere.test\nadd ph.example.com 60 A 192.0.2.1"),
    // Zones that are found, named wrongly, or cannot be updated.
    ("no zone", Key, "update add found.example.com 60 A 192.0.2.1\nsend"),
    ("no zone for a name below one that is not there", Key, "update add x.y.z.example.com 60 A 192.0.2.1\nsend"),
    ("no zone for a name below an alias", Key, "update add x.alias.example.com 60 A 192.0.2.1\nsend"),
    ("no zone that is served", Key, "update add x.elsewhere.test 60 A 192.0.2.1\nsend"),
    ("a name outside the zone", Key, "add x.elsewhere.test 60 A 192.0.2.1"),
    ("a zone that is not served", Key, "zone elsewhere.test\nupdate add x.elsewhere.test 60 A 192.0.2.1\nsend"),
    ("a name in place of a zone", Key, "zone www.example.com\nupdate add x.www.example.com 60 A 192.0.2.1\nsend"),
    ("a zone that is not updated", Key, "zone fixed.test\nupdate add x.fixed.test 60 A 192.0.2.1\nsend"),
    ("another class", Key, "class CH\nzone example.com\nupdate add x.example.com 60 TXT x\nsend"),
    // Addresses, transports, keys.
    ("from another address", Key, "local 127.0.0.2\nzone example.com\nupdate add l.example.com 60 A 192.0.2.1\nsend"),
    ("over TCP", With(&["-v", SIGN[0], SIGN[1]]), "update add v.example.com 60 A 192.0.2.1"),
    ("over TCP, refused", With(&["-v", SIGN[0], SIGN[1]]), "prereq nxdomain v.example.com\n\
        add w.example.com 60 A 192.0.2.1"),
    ("the key in the script", Nobody, "key hmac-sha256:k MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n\
        zone example.com\nupdate add k.example.com 60 A 192.0.2.1\nsend"),
    ("without a key", Nobody, "add n.example.com 60 A 192.0.2.1"),
    ("without a key, a prerequisite fails", Nobody, "prereq nxdomain www.example.com\n\
        add n.example.com 60 A 192.0.2.1"),
    ("without a key, without any change", Nobody, "prereq yxdomain www.example.com"),
    ("a key of others", With(&["-y", "hmac-sha256:other:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]), "\
        add n.example.com 60 A 192.0.2.1"),
    ("an unknown key", With(&["-y", "hmac-sha256:unknown:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]), "\
        add n.example.com 60 A 192.0.2.1"),
    ("another secret", With(&["-y", "hmac-sha256:k:YW5vdGhlciBzZWNyZXQgb2YgMzIgb2N0ZXRzIHRoYXQgaXM="]), "\
        add n.example.com 60 A 192.0.2.1"),
    ("another algorithm", With(&["-y", "hmac-sha512:k:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]), "\
        add n.example.com 60 A 192.0.2.1"),
    ("the session key", With(&["-k", "session.key"]), "zone local.test\nupdate add s.local.test 60 A 192.0.2.1\nsend"),
    ("the session key elsewhere", With(&["-k", "session.key"]), "add s.example.com 60 A 192.0.2.1"),
    ("nsupdate -l", LOCALLY, "update add l.local.test 60 A 192.0.2.1\nsend"),
    ("nsupdate -l again", LOCALLY, "update add m.local.test 60 A 192.0.2.1\nupdate delete l.local.test\nsend"),
    ("nsupdate -l elsewhere", LOCALLY, "update add l.example.com 60 A 192.0.2.1\nsend"),
    ("nsupdate -l with a server", LOCALLY, "server 127.0.0.1\nupdate add n.local.test 60 A 192.0.2.1\nsend"),
    ("another key than the session key", Key, "zone local.test\nupdate add s.local.test 60 A 192.0.2.2\nsend"),
    // update-policy.
    ("a rule denies", Key, "zone rules.test\nupdate add fixed.rules.test 60 TXT x\nsend"),
    ("a rule grants a type", Key, "zone rules.test\nupdate add a.acme.rules.test 60 TXT x\nsend"),
    ("a rule does not grant another type", Key, "zone rules.test\nupdate add a.acme.rules.test 60 A 192.0.2.1\nsend"),
    ("a rule for names like this", Key, "zone rules.test\nupdate add a.hosts.rules.test 60 AAAA 2001:db8::1\n\
        update add b.hosts.rules.test 60 A 192.0.2.1\nsend"),
    ("one of two is not granted", Key, "zone rules.test\nupdate add c.hosts.rules.test 60 A 192.0.2.1\n\
        update add www.rules.test 60 A 192.0.2.1\nsend"),
    ("at most two", Key, "zone rules.test\nupdate add c.rules.test 60 CAA 0 issue \"a\"\n\
        update add c.rules.test 60 CAA 0 issue \"b\"\nsend"),
    ("more than two", Key, "zone rules.test\nupdate add c.rules.test 60 CAA 0 issue \"c\"\nsend"),
    ("delete what is granted", Key, "zone rules.test\nupdate delete a.acme.rules.test TXT\nsend"),
    ("delete a name of which a part is granted", Key, "zone rules.test\nupdate delete www.rules.test\nsend"),
    ("delete a name of which all is granted", Key, "zone rules.test\nupdate delete b.hosts.rules.test\nsend"),
];

#[test]
fn each_step_of_a_session_is_as_with_named() {
    let (ours, named) = (Peer::start(BINDYD), Peer::start("named"));
    let mut differences = String::new();
    for &(what, by, script) in STEPS {
        let arguments = match by {
            Key => &SIGN,
            Nobody => &[][..],
            With(arguments) => arguments,
        };
        let script = if script.contains("send") { script.into() } else { format!("zone example.com\n{script}\nsend") };
        let [said, expected] = [&ours, &named].map(|peer| peer.run(arguments, &script));
        if said != expected {
            let _ = writeln!(differences, "{what}: {script}\n  said {said}\n  named {expected}");
        }
        let [has, expected] = [&ours, &named].map(Peer::records);
        for (who, one, other) in [("more", &has, &expected), ("less", &expected, &has)] {
            for record in one.iter().filter(|record| !other.contains(record)) {
                let _ = writeln!(differences, "{what}: {who}: {record}");
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Updates of clients whose clock is wrong, or whose code is too short or made with another secret.
#[test]
fn updates_with_signatures_that_are_not_valid_are_answered_as_by_named() {
    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    let zone = Name::from_ascii("example.com").expect("it is a name");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let (ours, named) = (Peer::start(BINDYD), Peer::start("named"));
    let cases = [
        ("right", SECRET, 0, 32),
        ("late", SECRET, -400, 32),
        ("early", SECRET, 400, 32),
        ("short", SECRET, 0, 16),
        ("late and short", SECRET, -400, 16),
        ("another secret", b"another secret", 0, 32),
        ("late, with another secret", b"another secret", -400, 32),
    ];
    for (id, (what, secret, ahead, octets)) in (1..).zip(cases) {
        let line = Line::read(&format!("add signed{id} 60 A 192.0.2.7"), zone.as_ref());
        let key = tsig::Key::new("k.", secret);
        let mut update = message(&zone, id, &[line]);
        let code = key.sign(&mut update, now.saturating_add_signed(ahead), octets);
        for over_tcp in [false, true] {
            let [said, expected] = [&ours, &named].map(|peer| {
                let mut response = peer.exchange(&update, over_tcp);
                let signature = key.take(&mut response, &code).expect("it has a TSIG record");
                // Without the TSIG record: what else it has is compared as it is.
                (response, signature)
            });
            assert_eq!(said, expected, "{what}, over TCP: {over_tcp}");
            let is_late = what.starts_with("late") && secret == SECRET || what == "early";
            assert_eq!((said.1.error == 18, said.1.other), (is_late, if is_late { 6 } else { 0 }), "{what}");
        }
    }
    assert_eq!(ours.records(), named.records());
}

/// As much as one message holds, which goes over TCP, and more than that.
#[test]
fn large_updates_are_made_as_by_named() {
    let (ours, named) = (Peer::start(BINDYD), Peer::start("named"));
    let text = "x".repeat(250);
    let add = |names: std::ops::Range<u32>| -> String {
        let lines = names.map(|i| format!("update add big{i}.example.com 60 TXT \"{text}\" \"{text}\"\n"));
        lines.collect::<String>() + "send\n"
    };
    let strings = format!(" \"{text}\"").repeat(250);
    let scripts = [
        add(0..1),
        add(1..60),
        add(60..180),
        format!("update add huge.example.com 60 TXT{strings}\nsend"),
        format!("{}{}", add(0..100).replace("send", ""), add(100..200)),
        (0..60).map(|i| format!("update delete big{i}.example.com TXT\n")).collect::<Vec<_>>().concat() + "send",
    ];
    for script in scripts {
        let script = format!("zone example.com\n{script}");
        let start = script.chars().take(100).collect::<String>();
        let [said, expected] = [&ours, &named].map(|peer| peer.run(&SIGN, &script));
        assert_eq!(said, expected, "{start}");
        assert!(ours.records() == named.records(), "{start}");
    }
}
