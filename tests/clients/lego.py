"""lego obtains a certificate by DNS-01 with a key that may change nothing but the names of challenges."""
import re

import acme
from testbed import KEYS, WRONG_SECRET

# Key, secret, whether it is enough for a certificate.
ATTEMPTS = [
    ("nobody", WRONG_SECRET, False),
    ("acme", WRONG_SECRET, False),
    ("observer", KEYS["observer"][1], False),
    ("acme", KEYS["acme"][1], True),
]


def run(bed):
    pebble = acme.Pebble(bed)
    for key, secret, succeeds in ATTEMPTS:
        output = bed.run(
            "lego", "--server", pebble.directory, "--accept-tos", "--email", acme.MAIL, "--path", "lego",
            "--dns", "rfc2136", "--dns.disable-cp", "--dns.resolvers", f"127.0.0.1:{bed.port}",
            *(f"--domains={domain}" for domain in acme.DOMAINS), "run",
            expect=0 if succeeds else 1,
            LEGO_CA_CERTIFICATES=str(pebble.certificate),
            RFC2136_NAMESERVER=f"127.0.0.1:{bed.port}",
            RFC2136_TSIG_KEY=f"{key}.",
            RFC2136_TSIG_SECRET=secret,
            RFC2136_TSIG_ALGORITHM=f"{KEYS.get(key, KEYS['acme'])[0]}.",
            # In seconds; a minute passes between the two challenges by default.
            RFC2136_SEQUENCE_INTERVAL="1",
            RFC2136_POLLING_INTERVAL="1",
        )
        bed.note(*sorted(re.findall(r"error presenting token: .*", output)))
        bed.note_zones()
    acme.note_names(bed, "lego/certificates/_.example.test.crt")
    bed.expect(absent=["_acme-challenge."])
