#!/usr/bin/env python3
"""Compares servers whose zones move: whole transfers, updates, and the way from an update to a secondary's answer.

  axfr out    a transfer of the large zone to a client that only reads it: seconds, and how much the memory grows (MiB)
  axfr in     a secondary that gets the large zone from Bindy: seconds until it answers, MiB at its peak and afterwards
  updates     signed by nobody, one record each, over UDP: how many a second by one client and by sixteen (dnsperf -u)
  replication from the moment at which an update is sent to the primary until the secondary, the same program, gives
              the new answer: median and 95th percentile in milliseconds, of 200 updates
  answers     the average time in microseconds to answer 10,000 queries a second for another zone, alone and while the
              large zone is transferred again and again
  members     a server without zones follows a catalog of --members small ones at Bindy: seconds until they all answer

NSD takes no updates, and no catalogs. The servers that are compared take turns; results are medians of the rounds.
"""
import argparse
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from compare import ask, name_of, read

SMALL = "$TTL 300\n@ SOA ns hostmaster 1 3600 900 604800 300\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n"
LARGE, UPDATED, CATALOG = "example.com", "updated.test", "catalog.test"


class Server:
    """A server with zones (origin, file, primary port or None) that notifies these ports, and follows the catalog of the
    primary at a port if that is given. Subclasses configure it."""

    def __init__(self, args, folder, port, zones, notifies=(), catalog=None):
        self.args, self.folder, self.port, self.zones, self.notifies = args, folder, port, zones, notifies
        self.catalog = catalog
        folder.mkdir(parents=True)

    def __enter__(self):
        self.log = open(self.folder / "log", "w")
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log, start_new_session=True)
        return self

    def __exit__(self, *_):
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, how)
                self.process.wait(20)
                break
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def ready(self, name, patience=120):
        """Waits until there is an address at the name; returns how many seconds that took."""
        begun = time.monotonic()
        while not ask(self.port, name):
            if self.process.poll() is not None or time.monotonic() - begun > patience:
                raise RuntimeError(f"{self.name} does not answer for {name}:\n" + (self.folder / "log").read_text()[-800:])
            time.sleep(0.002)
        return time.monotonic() - begun

    def tree(self):
        """The numbers of all its processes."""
        todo = [self.process.pid]
        while todo:
            pid = todo.pop()
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                todo += map(int, read(children).split())
            yield pid

    def forget_peak(self):
        """Lets the peak of the memory be that from now on (proc(5), clear_refs)."""
        for pid in self.tree():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")

    def memory(self):
        """Now, and at its peak, in MiB, of all processes."""
        total, peak = 0, 0
        for pid in self.tree():
            total += figure(read(f"/proc/{pid}/smaps_rollup"), "Pss:")
            peak += figure(read(f"/proc/{pid}/status"), "VmHWM:")
        return total / 1024, peak / 1024


class Named(Server):
    name, program, extra = "bind", "named", "dnssec-validation no; notify-delay 0; serial-query-rate 5000;"

    def command(self):
        also = "".join(f"127.0.0.1 port {port}; " for port in self.notifies)
        conf = (
            f'options {{ directory "{self.folder}"; listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};'
            f" recursion no; pid-file none; session-keyfile none; minimal-responses yes; allow-transfer {{ any; }};"
            f" notify explicit; {f'also-notify {{ {also} }};' if also else ''} {self.extra} "
        )
        if self.catalog:
            conf += f'catalog-zones {{ zone "{CATALOG}" default-primaries {{ 127.0.0.1 port {self.catalog}; }}; }};'
        conf += " };\ncontrols { };\n"
        for origin, file, primary in self.zones:
            kind = f"secondary; primaries {{ 127.0.0.1 port {primary}; }}" if primary else "primary"
            kind += "; allow-update { any; }" if origin == UPDATED and not primary else ""
            conf += f'zone "{origin}" {{ type {kind}; file "{file}"; }};\n'
        return [self.program, "-g", "-n", "1", "-c", self.write("named.conf", conf)]


class Bindy(Named):
    name, extra = "bindy", ""

    @property
    def program(self):
        return str(self.args.bindyd.resolve())


class Knot(Server):
    name = "knot"

    def command(self):
        primaries = sorted({primary for _, _, primary in self.zones if primary} | {self.catalog} - {None})
        conf = (
            f"server:\n  rundir: {self.folder}\n  listen: 127.0.0.1@{self.port}\n  udp-workers: 1\n  tcp-workers: 1\n"
            f"  background-workers: 1\ndatabase:\n  storage: {self.folder}\nremote:\n"
        )
        conf += "".join(f"  - id: r{port}\n    address: 127.0.0.1@{port}\n" for port in [*primaries, *self.notifies] or [9])
        conf += "acl:\n  - id: all\n    address: 127.0.0.0/8\n    action: [transfer, notify, update]\n"
        if self.catalog:
            conf += f"template:\n  - id: member\n    storage: {self.folder}\n    acl: all\n    master: r{self.catalog}\n"
        conf += "zone:\n"
        for origin, file, primary in self.zones:
            conf += f"  - domain: {origin}\n    file: {file}\n    acl: all\n    zonefile-sync: -1\n"
            conf += "    catalog-role: interpret\n    catalog-template: member\n" if origin == CATALOG else ""
            conf += f"    master: r{primary}\n" if primary else "".join(f"    notify: r{port}\n" for port in self.notifies)
        return ["knotd", "-c", self.write("knot.conf", conf)]


class Nsd(Server):
    name = "nsd"

    def command(self):
        conf = (
            f'server:\n server-count: 1\n ip-address: 127.0.0.1@{self.port}\n username: ""\n chroot: ""\n'
            f' zonesdir: "{self.folder}"\n database: ""\n pidfile: "{self.folder}/pid"\n xfrdfile: "{self.folder}/xfrd"\n'
            f' zonelistfile: "{self.folder}/list"\n xfrdir: "{self.folder}"\n rrl-ratelimit: 0\n minimal-responses: yes\n'
            " xfrd-reload-timeout: 0\nremote-control:\n control-enable: no\n"
        )
        for origin, file, primary in self.zones:
            conf += f"zone:\n name: {origin}\n zonefile: {file}\n provide-xfr: 127.0.0.0/8 NOKEY\n"
            conf += f" request-xfr: 127.0.0.1@{primary} NOKEY\n allow-notify: 127.0.0.1 NOKEY\n" if primary else ""
        return ["nsd", "-d", "-c", self.write("nsd.conf", conf)]


SERVERS = {maker.name: maker for maker in (Bindy, Nsd, Knot, Named)}


def update(port, name, octets):
    """Adds an address, and returns the response code."""
    message = struct.pack("!6H", random.randrange(65536), 0x2800, 1, 0, 1, 0) + name_of(UPDATED) + b"\0\6\0\1"
    message += name_of(name) + struct.pack("!HHIH", 1, 1, 60, 4) + octets
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.send(message)
        return client.recv(4096)[3] & 15


def transfer(port, soa):
    """Reads a transfer of the large zone, to the end of a message with these octets: those of the numbers in its SOA."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
        request = struct.pack("!6H", 7, 0, 1, 0, 0, 0) + name_of(LARGE) + b"\0\xfc\0\1"
        client.sendall(struct.pack("!H", len(request)) + request)
        stream, message, is_first = client.makefile("rb", 1 << 18), b"", True
        while is_first or not message.endswith(soa):
            message = stream.read(struct.unpack("!H", stream.read(2))[0])
            is_first = is_first and message.count(soa) < 2 and not message.endswith(soa)
            if message[3] & 15:
                raise RuntimeError(f"the transfer was refused with response code {message[3] & 15}")


def transfer_on_and_on(port, soa):
    while True:
        transfer(port, soa)


def figure(text, label):
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(label))


def axfr_out(args, maker, folder, port):
    with maker(args, folder, port, [(LARGE, args.large, None)]) as server:
        server.ready("h1." + LARGE)
        server.forget_peak()
        _, before = server.memory()
        times = []
        for _ in range(3):
            begun = time.monotonic()
            transfer(port, args.soa)
            times.append(time.monotonic() - begun)
        _, peak = server.memory()
        return {"axfr out s": statistics.median(times), "grows MiB": peak - before}


def axfr_in(args, maker, folder, port):
    with Bindy(args, folder / "p", port + 1, [(LARGE, args.large, None)]) as primary:
        primary.ready("h1." + LARGE)
        with maker(args, folder / "s", port, [(LARGE, folder / "copy", port + 1)]) as server:
            took = server.ready("h1." + LARGE)
            time.sleep(2)
            now, peak = server.memory()
            return {"axfr in s": took, "peak MiB": peak, "MiB": now}


def updates(args, maker, folder, port):
    folder.mkdir(parents=True)
    (folder / "zone").write_text(SMALL)
    lines = "".join(f"{UPDATED}\nadd h{i} 60 A 192.0.2.{i % 250}\nsend\n" for i in range(20000))
    (folder / "updates").write_text(lines)
    rates = {}
    for clients in (1, 16):
        with maker(args, folder / str(clients), port, [(UPDATED, folder / "zone", None)]) as server:
            server.ready("www." + UPDATED)
            command = ["dnsperf", "-u", "-s", "127.0.0.1", "-p", str(port), "-d", str(folder / "updates"), "-l", "5"]
            command += ["-c", "1", "-T", "1", "-q", str(clients)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            if "NOERROR" not in said:
                raise RuntimeError(said)
            rates[f"updates/s x{clients}"] = float(re.search(r"Updates per second:\s+([\d.]+)", said).group(1))
        (folder / "zone").write_text(SMALL)
        for left in folder.glob("zone.*"):
            left.unlink()
    return rates


def replication(args, maker, folder, port):
    folder.mkdir(parents=True)
    (folder / "zone").write_text(SMALL)
    primary = maker(args, folder / "p", port, [(UPDATED, folder / "zone", None)], [port + 1])
    secondary = maker(args, folder / "s", port + 1, [(UPDATED, folder / "copy", port)])
    took = []
    with primary:
        primary.ready("www." + UPDATED)
        with secondary:
            secondary.ready("www." + UPDATED)
            time.sleep(1)
            for i in range(200):
                begun = time.monotonic()
                if update(port, f"n{i}.{UPDATED}", bytes([10, 0, i // 250, i % 250])):
                    raise RuntimeError("an update was refused")
                while not ask(port + 1, f"n{i}.{UPDATED}"):
                    if time.monotonic() - begun > 30:
                        raise RuntimeError(f"{maker.name}: the secondary does not follow")
                took.append((time.monotonic() - begun) * 1e3)
                time.sleep(0.02)
    took.sort()
    return {"replication ms": statistics.median(took), "95 % ms": took[len(took) * 95 // 100]}


def answers(args, maker, folder, port):
    folder.mkdir(parents=True)
    (folder / "zone").write_text(SMALL)
    (folder / "queries").write_text(f"www.{UPDATED} A\n")
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(folder / "queries"), "-l", "5", "-Q", "10000"]
    with maker(args, folder / "s", port, [(LARGE, args.large, None), (UPDATED, folder / "zone", None)]) as server:
        server.ready("h1." + LARGE)
        latencies = []
        for busy in (False, True):
            reader = multiprocessing.Process(target=transfer_on_and_on, args=(port, args.soa))
            if busy:
                reader.start()
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            latencies.append(float(re.search(r"Average Latency \(s\):\s+([\d.]+)", said).group(1)) * 1e6)
            if busy:
                reader.kill()
                reader.join()
        return {"alone us": latencies[0], "beside us": latencies[1]}


def members(args, maker, folder, port):
    folder.mkdir(parents=True)
    (folder / "zone").write_text(SMALL)
    names = [f"m{i}.test" for i in range(args.members)]
    catalog = "$TTL 0\n@ SOA invalid. invalid. 1 3600 600 2147483646 0\n@ NS invalid.\nversion TXT \"2\"\n"
    (folder / "catalog").write_text(catalog + "".join(f"u{i}.zones PTR {name}.\n" for i, name in enumerate(names)))
    zones = [(CATALOG, folder / "catalog", None), *((name, folder / "zone", None) for name in names)]
    with Bindy(args, folder / "p", port + 1, zones) as producer:
        producer.ready("www." + names[-1])
        begun = time.monotonic()
        with maker(args, folder / "s", port, [(CATALOG, folder / "copy", port + 1)], catalog=port + 1) as consumer:
            for name in names[::7]:
                consumer.ready("www." + name)
            return {"members s": time.monotonic() - begun}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, help="made by gen.py")
    parser.add_argument("--bindyd", type=pathlib.Path, default=pathlib.Path("target/release/bindyd"))
    parser.add_argument("--only", default=",".join(SERVERS), help="names, separated by commas (%(default)s)")
    parser.add_argument("--what", default=",".join(MEASURES), help="measures, separated by commas (%(default)s)")
    parser.add_argument("--members", type=int, default=10_000, help="zones in the catalog (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    args.large = (args.data / "zones.txt").read_text().split()[1]
    with open(args.large) as text:
        numbers = next(line.split()[-5:] for line in text if " SOA " in line)
    args.soa = struct.pack("!5I", *map(int, numbers))
    rows = {name: {} for name in args.only.split(",")}
    work = pathlib.Path(tempfile.mkdtemp(prefix="moving-"))
    try:
        for what in args.what.split(","):
            for turn in range(args.rounds):
                for i, (name, row) in enumerate(rows.items()):
                    if (name, what) in CANNOT:
                        continue
                    print(f"{what}: {name}, round {turn + 1} of {args.rounds}", file=sys.stderr)
                    measured = MEASURES[what](args, SERVERS[name], work / f"{what}-{turn}-{name}", 15400 + 10 * i)
                    for column, value in measured.items():
                        row.setdefault(column, []).append(value)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    print("| server | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns))
    for name, row in rows.items():
        shown = (f"{statistics.median(row[column]):,.3g}" if column in row else "–" for column in columns)
        print(f"| {name} | " + " | ".join(shown) + " |")


MEASURES = {
    "axfr-out": axfr_out,
    "axfr-in": axfr_in,
    "updates": updates,
    "replication": replication,
    "answers": answers,
    "members": members,
}
CANNOT = {("nsd", "updates"), ("nsd", "replication"), ("nsd", "members")}

if __name__ == "__main__":
    main()
