"""An ACME server, pebble, that checks DNS-01 challenges by asking the server under test; for the clients of ACME."""
import json
import ssl
import urllib.request

# A wildcard and its parent have their two challenges at the same name.
DOMAINS = ["*.example.test", "example.test"]
MAIL = "hostmaster@example.test"


class Pebble:
    """A running pebble: the URL of its directory, and the file of the certificate that its clients have to trust."""

    def __init__(self, bed):
        self.certificate, (port, management) = bed.folder / "pebble.crt", bed.ports
        self.directory = f"https://localhost:{port}/dir"
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        bed.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject,
                "-keyout", "pebble.key", "-out", "pebble.crt")
        bed.write("pebble.json", json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{port}", "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": "pebble.crt", "privateKey": "pebble.key", "httpPort": 1, "tlsPort": 1,
        }}))
        # Neither sleeps nor refuses nonces at random, nor lets one client profit from the challenges of another.
        bed.start("pebble", "-config", "pebble.json", "-dnsserver", f"127.0.0.1:{bed.port}",
                  PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0", PEBBLE_AUTHZREUSE="0")
        bed.wait_until(self.answers, "pebble answers")

    def answers(self):
        context = ssl.create_default_context(cafile=self.certificate)
        try:
            with urllib.request.urlopen(self.directory, context=context, timeout=5) as response:
                return response.status == 200
        except OSError:
            return False


def note_names(bed, certificate):
    """Notes the names of a certificate."""
    bed.note(bed.run("openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"))
