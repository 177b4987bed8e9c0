"""knsupdate, Knot's nsupdate: every kind of prerequisite and operation, and every way to be refused."""
import re

from testbed import KEYS, WRONG_SECRET, Failure

# Zone, key, commands, the status that is due.
STEPS = [
    ("example.test", "writer", ["nxdomain new", "add new 60 A 192.0.2.1", 'add new 60 TXT "a b" c'], "NOERROR"),
    ("example.test", "writer", ["add new 30 A 192.0.2.2", "add m 60 MX 10 new", "add *.wild 60 CNAME new"], "NOERROR"),
    ("example.test", "writer", ["nxdomain new", "add other 60 A 192.0.2.3"], "YXDOMAIN"),
    ("example.test", "writer", ["yxdomain none", "add other 60 A 192.0.2.3"], "NXDOMAIN"),
    ("example.test", "writer", ["nxrrset new A", "add other 60 A 192.0.2.3"], "YXRRSET"),
    ("example.test", "writer", ["yxrrset new AAAA", "add other 60 A 192.0.2.3"], "NXRRSET"),
    ("example.test", "writer", ["yxrrset new A 192.0.2.1", "add other 60 A 192.0.2.3"], "NXRRSET"),
    ("example.test", "writer", ["yxdomain new", "yxrrset new A", "nxrrset new AAAA", "nxdomain none",
                                "yxrrset new A 192.0.2.1", "yxrrset new A 192.0.2.2",
                                "del new A 192.0.2.1"], "NOERROR"),
    ("example.test", "writer", ["del m MX", "del new"], "NOERROR"),
    # Ignored by the server: the last NS record and the SOA stay, and no CNAME comes beside other data.
    ("example.test", "writer", ["del example.test. NS", "del example.test. SOA", "add www 60 CNAME ns"], "NOERROR"),
    ("example.test", "writer", ["add host.elsewhere.test. 60 A 192.0.2.1"], "NOTZONE"),
    ("elsewhere.test", "writer", ["add host 60 A 192.0.2.1"], "NOTAUTH"),
    ("sub.example.test", "writer", ["add host 60 A 192.0.2.1"], "NOTAUTH"),
    ("fixed.test", "writer", ["add host 60 A 192.0.2.1"], "REFUSED"),
    ("example.test", "acme", ["add _acme-challenge 60 TXT token"], "NOERROR"),
    ("example.test", "acme", ["add _acme-challenge 60 A 192.0.2.1"], "REFUSED"),
    ("example.test", "acme", ["add www 60 TXT token"], "REFUSED"),
    ("example.test", "old", ["del _acme-challenge TXT"], "NOERROR"),
    ("example.test", None, ["add host 60 A 192.0.2.1"], "REFUSED"),
    ("example.test", "nobody", ["add host 60 A 192.0.2.1"], "BADKEY"),
    ("example.test", "writer with a wrong secret", ["add host 60 A 192.0.2.1"], "BADSIG"),
]
PREREQUISITES = ("nxdomain", "yxdomain", "nxrrset", "yxrrset")


def run(bed):
    for transport in ([], ["-v"]):
        for zone, key, commands, status in STEPS:
            lines = [f"server 127.0.0.1 {bed.port}", f"zone {zone}.", f"origin {zone}."]
            lines += [f"prereq {line}" if line.startswith(PREREQUISITES) else line for line in commands]
            stdin = "\n".join([*lines, "send", "answer", ""])
            bed.note(f"{zone}, {key}, {'tcp' if transport else 'udp'}: {'; '.join(commands)}")
            output = bed.run("knsupdate", *transport, *signature(key), stdin=stdin, expect=int(status != "NOERROR"))
            if f" status: {status};" not in output:
                raise Failure(f"{stdin}has another status than {status}:\n{output}")
            bed.note(*without_id_time_and_mac(output).splitlines())
            bed.note_zones()
        bed.expect("*.wild.example.test. 60 IN CNAME new.example.test.", "www.example.test. 300 IN A 192.0.2.80",
                   absent=["new.", "m.", "other.", "host.", "_acme-challenge."])


def signature(key):
    if key is None:
        return []
    name, _, wrong = key.partition(" ")
    algorithm, secret = KEYS.get(name, ("hmac-sha256", WRONG_SECRET))
    return ["-y", f"{algorithm}:{name}:{WRONG_SECRET if wrong else secret}"]


def without_id_time_and_mac(output):
    output = re.sub(r"; id: \d+", "", output)
    return re.sub(r"(\tTSIG\t\S+) \d+ 300 (\d+)( \S+==?| \S{40,})? \d+ ", r"\1 300 \2 ", output)
