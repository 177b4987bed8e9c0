"""cert-manager's RFC 2136 solver presents a DNS-01 challenge and cleans up, with every kind of key it may have."""
from testbed import KEYS, WRONG_SECRET

# Key, algorithm, secret, protocol, whether that is enough. By default the solver signs with HMAC-MD5 and uses UDP.
ATTEMPTS = [
    ("old", "", KEYS["old"][1], "", True),
    ("acme", "HMACSHA512", KEYS["acme"][1], "TCP", True),
    ("writer", "HMACSHA256", KEYS["writer"][1], "UDP", True),
    ("writer", "HMACSHA256", WRONG_SECRET, "", False),
    ("writer", "HMACSHA512", KEYS["writer"][1], "", False),
    ("nobody", "HMACSHA256", WRONG_SECRET, "", False),
    ("observer", "HMACSHA256", KEYS["observer"][1], "", False),
    ("", "", "", "", False),
]


def run(bed):
    for key, algorithm, secret, protocol, succeeds in ATTEMPTS:
        for domain in ("example.test", "deep.below.example.test", "fixed.test", "elsewhere.test"):
            # Only "writer" may change other names than the challenge of the zone itself.
            is_writer = key == "writer" and domain == "deep.below.example.test"
            allowed = succeeds and (domain == "example.test" or is_writer)
            bed.note(f"{domain} with {key}, {algorithm}, {protocol}")
            output = bed.run(
                "cert-manager", f"-nameserver=127.0.0.1:{bed.port}", f"-domain={domain}", f"-protocol={protocol}",
                f"-tsig-key-name={key}", f"-tsig-algorithm={algorithm}", f"-tsig-secret={secret}",
                expect=0 if allowed else 1,
            )
            bed.note(*output.splitlines())
            bed.note_zones()
    bed.expect(absent=["_acme-challenge."])
