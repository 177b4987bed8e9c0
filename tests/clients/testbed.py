"""What a client meets: a server with three zones on a port of 127.0.0.1, and a folder for the client's own files.

`named` and `bindyd` are started with the same named.conf, in the same folder and on the same port, one after the other.
So whatever a client is configured with is the same to the octet. A testbed keeps the transcript by which the two are
compared: the exit codes of commands, what a client says of its work, and the zones.
"""
import os
import pathlib
import random
import shutil
import socket
import subprocess
import time

PATIENCE_S = 60
ENVIRONMENT = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}

# Name: algorithm, secret. "writer" may change everything, "acme" only what the challenge DNS-01 needs, "old" is of the
# algorithm that cert-manager takes by default, "observer" reads zones for the comparison.
KEYS = {
    "writer": ("hmac-sha256", "d3JpdGVyIHdyaXRlciB3cml0ZXIgd3JpdGVyIHdyaXQ="),
    "acme": ("hmac-sha512", "YWNtZSBhY21lIGFjbWUgYWNtZSBhY21lIGFjbWUgYWM="),
    "old": ("hmac-md5", "b2xkIG9sZCBvbGQgb2xkIA=="),
    "observer": ("hmac-sha256", "b2JzZXJ2ZXIgb2JzZXJ2ZXIgb2JzZXJ2ZXIgb2JzZXI="),
}
# A secret that no server knows.
WRONG_SECRET = "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3I="

HEAD = "$TTL 300\n@ SOA ns.example.test. hostmaster 1 3600 900 604800 60\n@ NS ns.example.test.\n"
# Origin: zone file, what named.conf says of changes.
ZONES = {
    "example.test": (
        HEAD + "ns A 192.0.2.53\nwww A 192.0.2.80\n",
        "update-policy { grant writer zonesub ANY; grant acme name _acme-challenge.example.test TXT;"
        " grant old name _acme-challenge.example.test TXT; };",
    ),
    "2.0.192.in-addr.arpa": (HEAD, "allow-update { key writer; };"),
    "fixed.test": (HEAD, ""),
}


class Failure(Exception):
    """A client or a server has not done what it has to do."""


class Testbed:
    """A running server, and the folder that clients run in; both last as long as the `with` block."""

    def __init__(self, server, folder, ports):
        """`server` is the program to start, or the port at which one is already."""
        self.folder = pathlib.Path(folder)
        # The server's port; the others are the client's to use.
        self.port, *self.ports = ports
        self.program = None if isinstance(server, int) else server
        if self.program is None:
            self.port = server
        # What serials count from, by the names of zones.
        self.serials = {}
        self.transcript, self.processes = [], []

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        try:
            if self.program is not None:
                for origin, (text, _) in ZONES.items():
                    self.write(f"{origin}.zone", text)
                self.write("named.conf", configuration(self.folder, self.port))
                self.start(self.program, "-g", "-n", "1", "-c", "named.conf")
            self.wait_until(self.serves_its_zones, "its zones are served")
            # Who was there before has made other changes already.
            soas = (record.split() for record in self.records() if " SOA " in record)
            self.serials = {soa[0]: int(soa[6]) - 1 for soa in soas}
        except BaseException:
            self.__exit__()
            raise
        return self

    def serves_its_zones(self):
        return sum(" SOA " in record for record in self.records()) == len(ZONES)

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    def start(self, program, *arguments, **environment):
        """Starts a process that ends with the testbed; its output goes to PROGRAM.log."""
        with open(self.log(program), "wb") as log:
            process = subprocess.Popen(
                [program, *arguments], cwd=self.folder, env={**ENVIRONMENT, **environment},
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def log(self, program):
        return self.folder / f"{pathlib.Path(program).name}.log"

    def logs(self):
        """The ends of the logs of all processes, for error messages."""
        lines = []
        for program in (process.args[0] for process in self.processes):
            log = self.log(program).read_text(errors="replace").splitlines()
            lines += [f"--- {program}", *[line for line in log if "observer" not in line][-30:]]
        return "\n".join(lines)

    def run(self, *command, stdin="", expect=0, **environment):
        """Runs a command to its end, which the transcript records, and returns its output, errors included."""
        done = subprocess.run(
            command, cwd=self.folder, env={**ENVIRONMENT, **environment}, input=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S,
        )
        self.note(f"{pathlib.Path(command[0]).name}: exit code {done.returncode}")
        if done.returncode != expect:
            raise Failure(f"{' '.join(command)}: exit code {done.returncode} instead of {expect}\n{done.stdout}")
        return done.stdout

    def note(self, *lines):
        self.transcript.extend(lines)

    def note_zones(self):
        self.note(*self.records())

    def records(self):
        """The records of all zones; none of a zone that the server does not give."""
        algorithm, secret = KEYS["observer"]
        command = ["dig", "+noall", "+answer", "+onesoa", "+time=5", "+tries=1", "+nocookie"]
        asking = ["@127.0.0.1", "-p", str(self.port), "-y", f"{algorithm}:observer:{secret}", "-t", "AXFR"]
        for origin in ZONES:
            command += [*asking, "-q", origin]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_S)
        records = (line.split() for line in done.stdout.splitlines() if line[:1] not in ("", ";"))
        return sorted(" ".join(self.counted(record)) for record in records)

    def counted(self, record):
        """A record as it is noted: if it is an SOA, with the serial that it would have if there was none before."""
        if record[3] == "SOA":
            record[6] = str(int(record[6]) - self.serials.get(record[0], 0))
        return record

    def expect(self, *records, absent=()):
        """Demands that the zones have these records, and none that begins as one of `absent`."""
        found = self.records()
        missing = [record for record in records if record not in found]
        surplus = [record for record in found if record.startswith(tuple(absent))]
        if missing or surplus:
            raise Failure(f"missing: {missing}\nsurplus: {surplus}\nfound:\n" + "\n".join(found))

    def wait_until(self, is_so, what):
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            ended = [process.args[0] for process in self.processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise Failure(f"{what}: not within {PATIENCE_S} s" if not ended else f"{what}: {ended[0]} has ended")
            time.sleep(0.05)


def configuration(folder, port):
    """named.conf, without anything of the machine's."""
    keys = "".join(f'key "{key}" {{ algorithm {KEYS[key][0]}; secret "{KEYS[key][1]}"; }};\n' for key in KEYS)
    zones = "".join(
        f'zone "{origin}" {{ type primary; file "{origin}.zone"; {changes} }};\n'
        for origin, (_, changes) in ZONES.items()
    )
    return (
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n'
        "pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no;\n"
        "allow-transfer { key writer; key observer; }; };\n"
        f"controls {{ }};\n{keys}{zones}"
    )


def free_ports():
    """Three ports that are free for TCP and UDP, below those that outgoing connections take from."""
    ports = []
    while len(ports) < 3:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports
