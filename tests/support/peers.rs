//! Other servers at their defaults, each on a loopback port of its own and in a folder that is deleted with it.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    message::{Query, Response, Rr},
    name::Name,
    ports::free_port,
    zone::Zone,
};

/// Reads a message from a TCP connection; `None` at its end.
pub fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// A running server, which ends when this is dropped.
pub struct Peer {
    process: Child,
    /// The server's address.
    pub addr: SocketAddr,
    socket: UdpSocket,
    folder: PathBuf,
}

/// How to start one kind of server.
#[derive(Clone, Copy)]
pub struct Maker {
    /// The name of the program, also used in error messages.
    pub program: &'static str,
    /// Writes the configuration for these zone files and this port into the folder, and returns the program's
    /// arguments.
    configure: fn(&Site) -> Vec<String>,
}

impl PartialEq for Maker {
    fn eq(&self, other: &Maker) -> bool {
        self.program == other.program
    }
}

/// What a configuration is made from.
struct Site<'a> {
    folder: &'a str,
    port: u16,
    /// The origin and zone file of each zone.
    zones: Vec<(String, String)>,
    /// The primary that the zones come from; `None` if the server is the primary.
    primary: Option<SocketAddr>,
}

/// BIND at the defaults of `named -C`, except that recursion is off (there is nobody to ask), and zones are not
/// rejected for what they say about other names, so that more zones can be compared.
pub const NAMED: Maker = Maker {
    program: "named",
    configure: |site| {
        let Site { folder, port, .. } = site;
        let mut conf = format!(
            "options {{ directory \"{folder}\"; pid-file none; session-keyfile none; recursion no; notify no;\n\
             listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
             check-integrity no; check-names primary ignore; }};\ncontrols {{ }};\n"
        );
        let role = site.primary.map_or("type primary;".into(), |primary| {
            conf = conf.replacen(
                "options {",
                "options { transfers-in 1000; transfers-per-ns 1000; serial-query-rate 1000;",
                1,
            );
            format!("type secondary; primaries {{ {} port {}; }};", primary.ip(), primary.port())
        });
        for (origin, file) in &site.zones {
            writeln!(conf, "zone \"{origin}\" {{ {role} file \"{file}\"; }};").expect("a string takes all");
        }
        let path = format!("{folder}/named.conf");
        fs::write(&path, conf).expect("the folder is ours");
        ["-g", "-n", "1", "-c", &path].map(String::from).to_vec()
    },
};

/// BIND at the defaults of `named -C`, for updates: by everybody, except where the zone's name has rules in
/// [`update_policy`].
pub const UPDATED: Maker = Maker {
    program: "named",
    configure: |site| {
        let Site { folder, port, .. } = site;
        let mut conf = format!(
            "options {{ directory \"{folder}\"; pid-file none; session-keyfile none; recursion no; notify no;\n\
             listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; }};\ncontrols {{ }};\n"
        );
        for key in ["k1", "k2", "a.policy", "host.policy"] {
            let secret = data_encoding::BASE64.encode(b"secret");
            writeln!(conf, "key {key} {{ algorithm hmac-sha256; secret \"{secret}\"; }};").expect("a string takes all");
        }
        for (origin, file) in &site.zones {
            let policy = update_policy(origin);
            writeln!(conf, "zone \"{origin}\" {{ type primary; file \"{file}\"; {policy} }};")
                .expect("a string takes all");
        }
        let path = format!("{folder}/named.conf");
        fs::write(&path, conf).expect("the folder is ours");
        ["-g", "-n", "1", "-c", &path].map(String::from).to_vec()
    },
};

/// What the statement of a zone says about its updates.
fn update_policy(origin: &str) -> &'static str {
    match origin {
        "small." => "allow-update { any; }; max-records 20; max-records-per-type 3; max-types-per-name 0;",
        "few." => "allow-update { any; }; max-types-per-name 2;",
        "policy." => {
            "update-policy {\n\
             deny k1 name c.policy. A; grant k1 subdomain b.policy. A TXT(2) PTR; grant k1 wildcard *.d.policy. ANY;\n\
             grant k1 name ns.policy.; deny k2 subdomain d.policy.; grant k2 zonesub ANY(2);\n\
             grant *.policy. self . A AAAA; grant *.policy. selfsub . TXT; grant host.policy. selfwild . SRV; };"
        }
        "127.in-addr.arpa." => "update-policy { grant *.in-addr.arpa. tcp-self . PTR(1) TXT; };",
        "2.0.0.2.ip6.arpa." => "update-policy { grant *.ip6.arpa. 6to4-self . NS; };",
        _ => "allow-update { any; };",
    }
}

/// NSD at its defaults, without the rate limit, which would suppress answers.
pub const NSD: Maker = Maker {
    program: "nsd",
    configure: |site| {
        let Site { folder, port, .. } = site;
        let mut conf = format!(
            "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n chroot: \"\"\n zonesdir: \"{folder}\"\n\
             database: \"\"\n pidfile: \"{folder}/nsd.pid\"\n xfrdfile: \"{folder}/xfrd\"\n\
             zonelistfile: \"{folder}/zones\"\n xfrdir: \"{folder}\"\n rrl-ratelimit: 0\n\
             remote-control:\n control-enable: no\n"
        );
        for (origin, file) in &site.zones {
            writeln!(conf, "zone:\n name: \"{origin}\"\n zonefile: \"{file}\"").expect("a string takes all");
        }
        let path = format!("{folder}/nsd.conf");
        fs::write(&path, conf).expect("the folder is ours");
        ["-d", "-c", &path].map(String::from).to_vec()
    },
};

/// The name and the secret of the HMAC-SHA256 key that primaries know.
pub const TRANSFER_KEY: (&str, &str) = ("transfer.", "c2VjcmV0IG9mIHRyYW5zZmVycw==");

/// BIND as a primary that gives its zones to all, signed or not, with the changes between versions of their files.
pub const NAMED_PRIMARY: Maker = Maker {
    program: "named",
    configure: |site| {
        let arguments = (NAMED.configure)(site);
        let path = format!("{}/named.conf", site.folder);
        let conf = fs::read_to_string(&path).expect("it has just been written");
        let more = "options { allow-transfer { any; }; ixfr-from-differences yes; max-ixfr-ratio unlimited;";
        let (name, secret) = TRANSFER_KEY;
        let key = format!("key \"{name}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n");
        fs::write(&path, key + &conf.replacen("options {", more, 1)).expect("the folder is ours");
        arguments
    },
};

/// Knot as such a primary.
pub const KNOT_PRIMARY: Maker = Maker {
    program: "knotd",
    configure: |site| {
        let Site { folder, port, .. } = site;
        let (name, secret) = TRANSFER_KEY;
        let mut conf = format!(
            "server:\n    listen: 127.0.0.1@{port}\n    rundir: {folder}\nlog:\n  - target: stderr\n    any: info\n\
             database:\n    storage: {folder}\n\
             key:\n  - id: {name}\n    algorithm: hmac-sha256\n    secret: {secret}\n\
             acl:\n  - id: all\n    action: transfer\n  - id: signed\n    key: {name}\n    action: transfer\n\
             template:\n  - id: default\n    storage: {folder}\n    acl: [all, signed]\n    zonefile-load: difference\n\
             zone:\n"
        );
        for (origin, file) in &site.zones {
            writeln!(conf, "  - domain: \"{origin}\"\n    file: {file}").expect("a string takes all");
        }
        let path = format!("{folder}/knot.conf");
        fs::write(&path, conf).expect("the folder is ours");
        ["-c", &path].map(String::from).to_vec()
    },
};

/// NSD as such a primary.
pub const NSD_PRIMARY: Maker = Maker {
    program: "nsd",
    configure: |site| {
        let arguments = (NSD.configure)(site);
        let path = format!("{}/nsd.conf", site.folder);
        let conf = fs::read_to_string(&path).expect("it has just been written");
        let (name, secret) = TRANSFER_KEY;
        let more = format!(
            "zone:\n provide-xfr: 127.0.0.1 {name}\n provide-xfr: 127.0.0.1 NOKEY\n store-ixfr: yes\n create-ixfr: yes\n"
        );
        let key = format!("key:\n name: {name}\n algorithm: hmac-sha256\n secret: {secret}\n");
        fs::write(&path, key + &conf.replace("zone:\n", &more)).expect("the folder is ours");
        arguments
    },
};

impl Peer {
    /// Starts a server with these zones and waits until it answers.
    pub fn start<'a>(maker: Maker, zones: impl IntoIterator<Item = &'a Zone>) -> Peer {
        let texts: Vec<_> = zones.into_iter().map(|zone| (zone.origin.to_string(), Some(zone.text()))).collect();
        Peer::start_with(maker, texts, None)
    }

    /// Starts BIND as a secondary of zones, all of the same primary, and waits until it answers.
    pub fn follow(primary: SocketAddr, origins: &[String]) -> Peer {
        Peer::start_with(NAMED, origins.iter().map(|origin| (origin.clone(), None)).collect(), Some(primary))
    }

    fn start_with(maker: Maker, zones: Vec<(String, Option<String>)>, primary: Option<SocketAddr>) -> Peer {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("bindy-{}-{}-{port}", maker.program, std::process::id()));
        fs::create_dir_all(&folder).expect("the folder for temporary files takes one more");
        let write = |(i, (origin, text)): (usize, (String, Option<String>))| {
            let file = folder.join(format!("{i}.zone"));
            text.map_or(Ok(()), |text| fs::write(&file, text)).expect("the folder is ours");
            (origin, file.display().to_string())
        };
        let zones = zones.into_iter().enumerate().map(write).collect();
        let arguments = (maker.configure)(&Site { folder: &folder.display().to_string(), port, zones, primary });
        let log = fs::File::create(folder.join("log")).expect("the folder is ours");
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let process = Command::new(maker.program)
            .env("PATH", path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; scripts/install-test-tools installs it", maker.program));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        socket.connect(addr).expect("loopback is there");
        let mut peer = Peer { process, addr, socket, folder };
        peer.wait();
        peer
    }

    /// Asks over UDP; returns the response's octets.
    pub fn ask_udp(&self, request: &[u8]) -> Vec<u8> {
        self.try_udp(request, Duration::from_secs(5)).expect("no response within 5 s")
    }

    /// Asks over UDP; `None` if there is no response within `patience`.
    pub fn try_udp(&self, request: &[u8], patience: Duration) -> Option<Vec<u8>> {
        self.socket.set_read_timeout(Some(patience)).expect("not zero");
        self.socket.send(request).ok()?;
        let mut response = vec![0; 65_535];
        loop {
            let length = self.socket.recv(&mut response).ok()?;
            // A late answer to an earlier question that was given up is skipped.
            if response[..length].get(..2) == request.get(..2) {
                response.truncate(length);
                return Some(response);
            }
        }
    }

    /// Asks over a new TCP connection; returns the response's octets.
    pub fn ask_tcp(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.addr).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("not zero");
        let length = u16::try_from(request.len()).expect("a message").to_be_bytes();
        stream.write_all(&[&length, request].concat()).expect("the server reads");
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a response within 5 s");
        let mut response = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut response).expect("a whole response");
        response
    }

    /// Transfers a zone; returns its records, the SOA once.
    pub fn transfer(&self, origin: &Name) -> Vec<Rr> {
        use crate::zone::types::{AXFR, SOA};
        let mut stream = TcpStream::connect(self.addr).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("not zero");
        let query = Query { name: origin.clone(), qtype: AXFR, recursion_desired: false, edns: None }.wire(1, 0);
        stream.write_all(&[&(query.len() as u16).to_be_bytes(), &*query].concat()).expect("the server reads");
        let mut records: Vec<Rr> = Vec::new();
        while records.len() < 2 || records.last().is_none_or(|last| last.rtype != SOA) {
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a message within 5 s");
            let mut message = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut message).expect("a whole message");
            let message = Response::read(&message).unwrap_or_else(|error| panic!("{origin}: {error}"));
            assert_eq!(message.rcode(), 0, "{origin} is transferred");
            records.extend(message.answer);
        }
        records.pop();
        records
    }

    /// Asks a question over UDP, and again over TCP if the response is truncated. ANY goes over TCP at once, since over
    /// UDP a server may choose one RRset of several (RFC 8482 4.1).
    pub fn ask(&self, query: &Query, id: u16) -> Response {
        let request = query.wire(id, 0);
        let read = |wire: &[u8]| Response::read(wire).unwrap_or_else(|error| panic!("{query:?}: {error}: {wire:x?}"));
        if query.qtype == crate::zone::types::ANY {
            return read(&self.ask_tcp(&request));
        }
        let response = read(&self.ask_udp(&request));
        if response.has(crate::message::flags::TC) { read(&self.ask_tcp(&request)) } else { response }
    }

    /// The configuration, of a server that has it in `named.conf`.
    pub fn configuration(&self) -> String {
        fs::read_to_string(self.folder.join("named.conf")).expect("the server was started with it")
    }

    /// Replaces the text of a zone, by its number in the order of [`Self::start`], and has the server read it again.
    pub fn rewrite(&self, zone: usize, text: &str) {
        let path = self.folder.join(format!("{zone}.zone"));
        let new = path.with_extension("new");
        fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).expect("the folder is ours");
        self.reload();
    }

    /// Has the server read its files again.
    pub fn reload(&self) {
        let _ = Command::new("kill").args(["-HUP", &self.process.id().to_string()]).status();
    }

    /// The log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        // `version.bind CH TXT` is answered, even if only with a refusal, once the server has loaded its zones.
        let probe = b"\0\x07\0\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";
        while self.try_udp(probe, Duration::from_millis(100)).is_none() {
            let ended = self.process.try_wait().expect("a child can be waited for");
            assert!(ended.is_none() && Instant::now() < deadline, "the server did not start:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // NSD's child processes end only if it can signal them.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
