"""Kea's DHCP-DDNS server registers leases, and leaves names alone that other clients own (DHCID, RFC 4703).

Requests come as a Kea DHCP server sends them: JSON in a UDP datagram, behind the length as two octets.
"""
import json
import re
import socket
import struct

from testbed import KEYS, WRONG_SECRET, Failure

ADD, REMOVE = 0, 1
LAPTOP, PHONE = "0101" + "1a" * 33, "0201" + "2b" * 33
# Each request: add or remove, name, address, whose lease it is, more fields; whether it is fulfilled.
REQUESTS = [
    (ADD, "host.example.test.", "192.0.2.100", LAPTOP, {}, True),
    (ADD, "host.example.test.", "192.0.2.101", PHONE, {}, False),
    (ADD, "host.example.test.", "192.0.2.102", LAPTOP, {}, True),
    (ADD, "host.example.test.", "2001:db8::100", LAPTOP, {"reverse-change": False}, True),
    # A name without a DHCID belongs to no client.
    (ADD, "www.example.test.", "192.0.2.103", LAPTOP, {}, False),
    (REMOVE, "host.example.test.", "192.0.2.102", PHONE, {}, False),
    # The address goes. The name keeps its other address, which Kea calls a failure.
    (REMOVE, "host.example.test.", "192.0.2.102", LAPTOP, {}, False),
    (ADD, "host.example.test.", "192.0.2.104", PHONE, {}, False),
    (REMOVE, "host.example.test.", "2001:db8::100", LAPTOP, {"reverse-change": False}, True),
    (ADD, "host.example.test.", "192.0.2.104", PHONE, {}, True),
    (ADD, "host.example.test.", "192.0.2.105", LAPTOP, {"use-conflict-resolution": False}, True),
    (REMOVE, "host.example.test.", "192.0.2.105", LAPTOP, {"forward-change": False}, True),
    (ADD, "host.fixed.test.", "192.0.2.106", LAPTOP, {}, False),
    (ADD, "host.elsewhere.test.", "192.0.2.106", LAPTOP, {}, False),
    (ADD, "host.unknown.example.test.", "192.0.2.106", LAPTOP, {}, False),
    (ADD, "host.forged.example.test.", "192.0.2.106", LAPTOP, {}, False),
]
OUTCOME = re.compile(r"DHCP_DDNS_(?:ADD|REMOVE)_(SUCCEEDED|FAILED) ")


def run(bed):
    (port, _) = bed.ports
    bed.write("kea.json", json.dumps(configuration(bed.port, port)))
    # The packaged folders of the PID file and the lock need not exist.
    bed.start("kea-dhcp-ddns", "-c", "kea.json", KEA_PIDFILE_DIR=str(bed.folder), KEA_LOCKFILE_DIR="none")
    log = bed.log("kea-dhcp-ddns")
    bed.wait_until(lambda: "DHCP_DDNS_STARTED" in log.read_text(), "Kea has started")
    for number, (change, name, address, owner, more, succeeds) in enumerate(REQUESTS):
        request = {
            "change-type": change, "fqdn": name, "ip-address": address, "dhcid": owner, "forward-change": True,
            "reverse-change": True, "use-conflict-resolution": True, "lease-expires-on": "20360101000000",
            "lease-length": 1800, **more,
        }
        octets = json.dumps(request).encode()
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.sendto(struct.pack("!H", len(octets)) + octets, ("127.0.0.1", port))
        bed.wait_until(lambda: len(OUTCOME.findall(log.read_text())) > number, f"{request} has an outcome")
        if OUTCOME.findall(log.read_text())[-1] != ("SUCCEEDED" if succeeds else "FAILED"):
            raise Failure(f"{request} has another outcome")
        bed.note(json.dumps(request))
        bed.note_zones()
    bed.note(*log.read_text().splitlines()[1:])
    bed.expect("host.example.test. 1800 IN A 192.0.2.105", absent=["host.fixed.", "host.unknown.", "105."])


def configuration(dns, port):
    keys = {"writer": KEYS["writer"][1], "nobody": WRONG_SECRET, "observer": WRONG_SECRET}
    domain = lambda name, key="writer": {
        "name": name, "key-name": key, "dns-servers": [{"ip-address": "127.0.0.1", "port": dns}],
    }
    forward = [domain("example.test."), domain("fixed.test."), domain("elsewhere.test."),
               domain("unknown.example.test.", "nobody"), domain("forged.example.test.", "observer")]
    output = {"output": "stdout", "pattern": "%-5p %m\n"}
    return {"DhcpDdns": {
        "ip-address": "127.0.0.1", "port": port, "dns-server-timeout": 10_000,  # in milliseconds
        "tsig-keys": [{"name": name, "algorithm": "HMAC-SHA256", "secret": keys[name]} for name in keys],
        "forward-ddns": {"ddns-domains": forward},
        "reverse-ddns": {"ddns-domains": [domain("2.0.192.in-addr.arpa.")]},
        "loggers": [{"name": "kea-dhcp-ddns", "severity": "INFO", "output_options": [output]}],
    }}
