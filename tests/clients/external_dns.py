"""ExternalDNS brings a zone to what is desired, as its controller does: it reads by AXFR, and updates in batches."""
import json
import re

from testbed import KEYS, WRONG_SECRET, Failure


def endpoint(name, rtype, *targets, zone="example.test", ttl=0):
    return {"dnsName": f"{name}.{zone}", "recordType": rtype, "targets": targets, "recordTTL": ttl}


MANY = [endpoint(f"h{number}", "A", f"192.0.2.{number}") for number in range(120)]
# Lists of the endpoints that are desired, one after the other.
DESIRED = [
    [
        endpoint("app", "A", "192.0.2.1", "192.0.2.2", ttl=60),
        endpoint("app", "AAAA", "2001:db8::1"),
        endpoint("*.wild", "CNAME", "app.example.test"),
        endpoint("text", "TXT", "words"),
        endpoint("sub", "NS", "ns.example.net"),
        # Somebody else's, who has left no TXT record of ExternalDNS beside it.
        endpoint("www", "A", "192.0.2.99"),
        *MANY,
    ],
    [
        endpoint("app", "A", "192.0.2.2", "192.0.2.3", ttl=120),
        endpoint("*.wild", "A", "192.0.2.4"),
        endpoint("text", "TXT", "c"),
        *MANY[:60],
    ],
    [],
]
TYPES = ["A", "AAAA", "CNAME", "TXT", "NS"]


def run(bed):
    # The last of these keys may read the zone, but change nothing.
    for key, secret in (("nobody", WRONG_SECRET), ("writer", WRONG_SECRET), ("observer", KEYS["observer"][1])):
        sync(bed, DESIRED[0], key, secret, expect=1)
    for zone in ("fixed.test", "elsewhere.test"):
        sync(bed, [endpoint("app", "A", "192.0.2.1", zone=zone)], "writer", KEYS["writer"][1], zone=zone, expect=1)
    for desired in DESIRED:
        # The second round has nothing to do, except where a CNAME had to go before other records could come.
        rounds = (sync(bed, desired, "writer", KEYS["writer"][1]) for _ in range(3))
        if not any("create 0, update 0, delete 0" in output for output in rounds):
            raise Failure("there is still something to change after three rounds")
    bed.expect("www.example.test. 300 IN A 192.0.2.80", absent=["app.", "*.", "text.", "sub.", "h"])


def sync(bed, desired, key, secret, zone="example.test", expect=0):
    output = bed.run(
        "external-dns", "--provider=rfc2136", "--source=service", "--policy=sync", "--registry=txt",
        "--txt-owner-id=tests", f"--domain-filter={zone}", f"--rfc2136-zone={zone}",
        "--rfc2136-host=127.0.0.1", f"--rfc2136-port={bed.port}", "--rfc2136-axfr", f"--rfc2136-tsig-keyname={key}",
        f"--rfc2136-tsig-secret={secret}", "--rfc2136-tsig-secret-alg=hmac-sha256",
        *(f"--managed-record-types={rtype}" for rtype in TYPES), stdin=json.dumps(desired), expect=expect,
    )
    bed.note(*re.findall(r"^create .*", output, re.MULTILINE))
    # Batches may be sent in any order.
    bed.note(*sorted(set(re.findall(r"AXFR error: [\w: ]+|bad return code: \w+|dns: bad \w+", output))))
    bed.note_zones()
    return output
