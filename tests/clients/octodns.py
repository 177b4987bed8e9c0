"""octodns, with octodns-bind, makes a zone what its files say: it reads the zone by AXFR, plans, and updates."""
import re

from testbed import KEYS, WRONG_SECRET, Failure

CONFIG = """
providers:
  files: {{class: octodns.provider.yaml.YamlProvider, directory: ./zones, default_ttl: 300, enforce_order: false}}
  server: {{class: octodns_bind.Rfc2136Provider, host: 127.0.0.1, port: {port},
    key_name: {key}., key_secret: "{secret}", key_algorithm: {algorithm}}}
zones:
  {zone}.: {{sources: [files], targets: [server]}}
"""
# What the zone's file says at first, and then.
WANTED = [
    """
'': [{type: NS, value: ns.example.test.}, {type: MX, value: {preference: 10, exchange: mail.example.test.}},
  {type: CAA, value: {flags: 0, tag: issue, value: ca.example.net}}, {type: TXT, value: v=spf1 mx -all}]
ns: {type: A, value: 192.0.2.53}
www: [{type: A, values: [192.0.2.80, 192.0.2.81]}, {type: AAAA, ttl: 60, value: 2001:db8::80}]
mail: {type: A, value: 192.0.2.25}
'*.wild': {type: CNAME, value: www.example.test.}
_sip._tcp: {type: SRV, value: {priority: 1, weight: 2, port: 5060, target: www.example.test.}}
key: {type: SSHFP, value: {algorithm: 4, fingerprint_type: 2,
  fingerprint: 123456789abcdef67890123456789abcdef67890123456789abcdef123456789}}
sub: {type: NS, values: [ns.example.test., ns.example.net.]}
""",
    """
'': [{type: NS, values: [ns.example.test., ns2.example.test.]}, {type: TXT, values: ['v=spf1 -all', 'a \\; b']}]
ns: {type: A, value: 192.0.2.53}
ns2: {type: A, value: 192.0.2.54}
www: {type: A, ttl: 60, value: 192.0.2.81}
mail: {type: CNAME, value: www.example.test.}
'*.wild': {type: A, value: 192.0.2.99}
""",
]

NOTHING = "No changes were planned"


def run(bed):
    for text in WANTED:
        bed.write("zones/example.test.yaml", f"---{text}")
        for key, secret in (("nobody", WRONG_SECRET), ("writer", WRONG_SECRET)):
            sync(bed, key, secret, expect=1)
        # This key may read the zone, but change nothing.
        sync(bed, "observer", KEYS["observer"][1], "--force", "--doit", expect=1)
        for arguments in (["--force"], ["--force", "--doit"], []):
            plan = sync(bed, "writer", KEYS["writer"][1], *arguments)
        if NOTHING not in plan:
            raise Failure(f"there is still something to change:\n{plan}")
    for zone in ("fixed.test", "elsewhere.test"):
        bed.write(f"zones/{zone}.yaml", "---\n'': {type: NS, value: ns2.example.test.}\n")
        sync(bed, "writer", KEYS["writer"][1], "--force", "--doit", zone=zone, expect=1)
    bed.expect("*.wild.example.test. 300 IN A 192.0.2.99", "mail.example.test. 300 IN CNAME www.example.test.",
               absent=["key.", "sub.", "_sip."])


def sync(bed, key, secret, *arguments, zone="example.test", expect=0):
    algorithm = KEYS.get(key, KEYS["writer"])[0]
    bed.write("octodns.yaml", CONFIG.format(zone=zone, port=bed.port, key=key, secret=secret, algorithm=algorithm))
    output = bed.run("octodns-sync", "--config-file", "octodns.yaml", *arguments, expect=expect)
    bed.note(*re.findall(rf"^\*   .*|^octodns_bind.*|{NOTHING}", output, re.MULTILINE))
    bed.note_zones()
    return output
