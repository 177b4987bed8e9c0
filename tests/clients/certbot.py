"""certbot, with certbot-dns-rfc2136, obtains a certificate by DNS-01; its questions are signed or not."""
import re

import acme
from testbed import KEYS, WRONG_SECRET

# Key, secret, whether questions are signed, whether all this is enough for a certificate.
ATTEMPTS = [
    ("nobody", WRONG_SECRET, "false", False),
    ("acme", WRONG_SECRET, "false", False),
    ("acme", WRONG_SECRET, "true", False),
    ("observer", KEYS["observer"][1], "false", False),
    ("acme", KEYS["acme"][1], "false", True),
    ("acme", KEYS["acme"][1], "true", True),
]


def run(bed):
    pebble = acme.Pebble(bed)
    for number, (key, secret, signs, succeeds) in enumerate(ATTEMPTS):
        algorithm = KEYS.get(key, KEYS["acme"])[0].upper()
        settings = {"server": "127.0.0.1", "port": bed.port, "name": f"{key}.", "secret": secret,
                    "algorithm": algorithm, "sign_query": signs}
        bed.write("rfc2136.ini", "".join(f"dns_rfc2136_{name} = {value}\n" for name, value in settings.items()))
        output = bed.run(
            "certbot", "certonly", "--non-interactive", "--agree-tos", "--email", acme.MAIL,
            "--server", pebble.directory, "--config-dir", "certbot", "--work-dir", "certbot", "--logs-dir", "certbot",
            "--cert-name", f"try{number}",
            "--dns-rfc2136", "--dns-rfc2136-credentials", "rfc2136.ini", "--dns-rfc2136-propagation-seconds", "0",
            *(f"--domain={domain}" for domain in acme.DOMAINS),
            expect=0 if succeeds else 1, REQUESTS_CA_BUNDLE=str(pebble.certificate),
        )
        bed.note(*re.findall(r"Encountered .*|Received .*|Successfully .*", output))
        bed.note_zones()
        if succeeds:
            acme.note_names(bed, f"certbot/live/try{number}/cert.pem")
    bed.expect(absent=["_acme-challenge."])
