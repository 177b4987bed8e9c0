#!/usr/bin/env python3
"""Compares Bindy with other DNS servers: the same zones, the same questions, one core each.

The server runs on core 0 and the generator (dnsperf) on core 1. Each round measures all servers in turn, so that other
activity of the machine affects them all alike; results are medians of the rounds. All servers are configured for minimal
responses and one worker, and otherwise use their defaults. NAME+guards is a server with a rate limit that is never
reached, DNS cookies, and a fairly long address list to check before each answer; if one of these takes part, all
questions carry a client cookie.

  answers/s   answers per second, at saturation or at the offered rate
  CPU us      CPU time of the server per answer, and the part of it outside the kernel
  MiB         memory: proportional set size of the whole process tree, now and at its peak (VmHWM)
  start s     from the start of the process to its first correct answer
  reload ms   after a change of one record in the large zone's file: from the signal to the new answer, and the CPU time
"""
import argparse
import json
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

FIRST = ("h1.example.com.", "10.0.0.1")
# The address list of servers with guards; the clients' network comes last.
CLIENTS = [f"10.{i}.0.0/16" for i in range(20)] + ["127.0.0.0/8"]
MEANS = ["answers/s", "CPU us", "user us", "MiB", "peak MiB", "start s", "reload ms", "reload CPU ms", "lost"]


class Server:
    """A server. Its subclass says how it is configured and reloaded; everything else is the same for all."""

    reloads = True

    def __init__(self, args, zones, folder, port, guards):
        self.args, self.zones, self.folder, self.port, self.guards = args, zones, folder, port, guards
        self.process = self.start_s = None
        self.rounds, self.reload = [], (None, None)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def start(self):
        command = ["taskset", "-c", "0", *self.command()]
        log = open(self.folder / "log", "w")
        begun = time.monotonic()
        self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        while ask(self.port, FIRST[0]) != FIRST[1]:
            if self.process.poll() is not None or time.monotonic() - begun > 120:
                raise RuntimeError(f"{self.name} did not start:\n" + (self.folder / "log").read_text()[-800:])
            time.sleep(0.005)
        self.start_s = time.monotonic() - begun

    def round(self):
        args = self.args
        before = self.cpu()
        generator = ["taskset", "-c", "1", "dnsperf", "-m", args.mode, "-s", "127.0.0.1", "-p", str(self.port)]
        generator += ["-d", str(args.data / "queries.txt"), "-l", str(args.seconds), "-c", "16", "-T", "1", "-q", "1000"]
        generator += ["-Q", str(args.rate)] if args.rate else []
        generator += ["-E", "10:0102030405060708"] if args.cookies else []
        report = subprocess.run(generator, capture_output=True, text=True, check=True).stdout
        user, system = (after - then for after, then in zip(self.cpu(), before))

        def figure(label):
            return float(re.search(label + r":\s+([\d.]+)", report).group(1))

        answers = max(figure("Queries completed"), 1)
        rate, lost = figure("Queries per second"), figure("Queries lost")
        self.rounds.append((rate, (user + system) * 1e6 / answers, user * 1e6 / answers, lost))

    def measure_reload(self, text, path):
        """Changes the first host's address in the large zone's file and back, and measures the reloads."""
        took = []
        for serial, address in ((2, "10.9.9.9"), (3, FIRST[1])):
            # Some servers compare the file's modification time in whole seconds.
            time.sleep(1.1)
            changed = text.replace("hostmaster 1 ", f"hostmaster {serial} ", 1)
            path.write_text(changed.replace(f"\nh1 IN A {FIRST[1]}\n", f"\nh1 IN A {address}\n", 1))
            before, begun = sum(self.cpu()), time.monotonic()
            self.process.send_signal(signal.SIGHUP)
            while ask(self.port, FIRST[0]) != address:
                if time.monotonic() - begun > 120:
                    return
                time.sleep(0.001)
            elapsed = time.monotonic() - begun
            time.sleep(1)  # what it still has to tidy up counts, too
            took.append((elapsed * 1e3, (sum(self.cpu()) - before) * 1e3))
        self.reload = tuple(statistics.mean(x) for x in zip(*took))

    def stop(self):
        for how, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            try:
                os.killpg(self.process.pid, how)
                self.process.wait(patience)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass

    def tree(self):
        todo, found = [self.process.pid], []
        while todo:
            pid = todo.pop()
            found.append(pid)
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                todo += map(int, read(children).split())
        return found

    def cpu(self):
        """User and system time in seconds of all processes together, including those that have been waited for."""
        stats = [read(f"/proc/{pid}/stat").rsplit(")", 1)[-1].split() for pid in self.tree()]
        tick = os.sysconf("SC_CLK_TCK")
        return [sum(int(stat[own]) + int(stat[ended]) for stat in stats if stat) / tick for own, ended in ((11, 13), (12, 14))]

    def memory(self):
        def sum_of(file, label):
            lines = (line for pid in self.tree() for line in read(f"/proc/{pid}/{file}").splitlines())
            return sum(int(line.split()[1]) for line in lines if line.startswith(label)) / 1024

        return sum_of("smaps_rollup", "Pss:"), sum_of("status", "VmHWM:")

    def row(self):
        rate, cpu, user, lost = (statistics.median(column) for column in zip(*self.rounds))
        return dict(zip(MEANS, [rate, cpu, user, *self.memory(), self.start_s, *self.reload, lost]))


class Named(Server):
    name = "bind"
    program = ["named"]

    def command(self):
        conf = (
            f'options {{ directory "{self.folder}"; listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n'
            "recursion no; notify no; minimal-responses yes; pid-file none; session-keyfile none;\n"
        )
        # 1000 is the highest limit there is, and answers from a wildcard exceed it together: count, but let them pass.
        limits = "responses-per-second 1000; nodata-per-second 0; nxdomains-per-second 0; errors-per-second 0; log-only yes;"
        guarded = f"rate-limit {{ {limits} }}; allow-query {{ {'; '.join(CLIENTS)}; }}; }};\n"
        conf += guarded if self.guards else "answer-cookie no; };\n"
        conf += "controls { };\n" if self.program == ["named"] else ""
        conf += "".join(f'zone "{origin}" {{ type primary; file "{path}"; }};\n' for origin, path in self.zones)
        return [*self.program, "-g", "-n", "1", "-c", self.write("named.conf", conf)]


class Bindy(Named):
    name = "bindy"

    @property
    def program(self):
        return [str(self.args.bindyd.resolve())]


class Nsd(Server):
    name = "nsd"

    def command(self):
        folder = self.folder
        limit, cookies = (2_000_000, "yes") if self.guards else (0, "no")
        conf = (
            f'server:\n server-count: 1\n ip-address: 127.0.0.1@{self.port}\n username: ""\n chroot: ""\n'
            f' zonesdir: "{folder}"\n database: ""\n pidfile: "{folder}/pid"\n xfrdfile: "{folder}/xfrd"\n'
            f' zonelistfile: "{folder}/list"\n xfrdir: "{folder}"\n rrl-ratelimit: {limit}\n minimal-responses: yes\n'
            f" answer-cookie: {cookies}\n"
            "remote-control:\n control-enable: no\n"
        )
        clients = "".join(f" allow-query: {network} NOKEY\n" for network in CLIENTS if self.guards)
        conf += "".join(f"zone:\n name: {origin}\n zonefile: {path}\n{clients}" for origin, path in self.zones)
        return ["nsd", "-d", "-c", self.write("nsd.conf", conf)]


class Knot(Server):
    name = "knot"

    def command(self):
        folder = self.folder
        conf = (
            f"server:\n  rundir: {folder}\n  listen: 127.0.0.1@{self.port}\n  udp-workers: 1\n  tcp-workers: 1\n"
            f"  background-workers: 1\ndatabase:\n  storage: {folder}\n"
        )
        if self.guards:
            conf += f"mod-rrl:\n  - id: all\n    rate-limit: 2000000\nmod-queryacl:\n  - id: all\n    address: [{', '.join(CLIENTS)}]\n"
        conf += "template:\n  - id: default\n"
        conf += "    global-module: [mod-rrl/all, mod-queryacl/all, mod-cookies]\n" if self.guards else ""
        conf += "    zonefile-sync: -1\n    zonefile-load: whole\n    journal-content: none\nzone:\n"
        conf += "".join(f"  - domain: {origin}\n    file: {path}\n" for origin, path in self.zones)
        return ["knotd", "-c", self.write("knot.conf", conf)]


class PowerDns(Server):
    name = "pdns"
    reloads = False  # SIGHUP ends it

    def command(self):
        zones = "".join(f'zone "{origin[:-1]}" {{ type master; file "{path}"; }};\n' for origin, path in self.zones)
        named = self.write("named.conf", f'options {{ directory "{self.folder}"; }};\n{zones}')
        self.write(
            "pdns.conf",
            f"launch=bind\nbind-config={named}\nlocal-address=127.0.0.1\nlocal-port={self.port}\n"
            f"socket-dir={self.folder}\nreceiver-threads=1\ndistributor-threads=1\nguardian=no\ndaemon=no\n"
            "security-poll-suffix=\nwebserver=no\nbind-check-interval=1\n",
        )
        return ["pdns_server", f"--config-dir={self.folder}"]


SERVERS = {maker.name: maker for maker in (Bindy, Nsd, Knot, Named, PowerDns)}


def name_of(text):
    """A name as a message has it."""
    return b"".join(bytes([len(label)]) + label for label in text.rstrip(".").encode().split(b".")) + b"\0"


def ask(port, name):
    """The address in the response, or None."""
    number = random.randrange(65536)
    request = struct.pack("!6H", number, 0, 1, 0, 0, 0) + name_of(name) + b"\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.connect(("127.0.0.1", port))
        try:
            client.send(request)
            response = client.recv(4096)
        except OSError:
            return None
    answered = response[:2] == request[:2] and response[6:8] == b"\0\1"
    return socket.inet_ntoa(response[len(request) + 12 : len(request) + 16]) if answered else None


def read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def table(rows):
    def shown(value):
        return "–" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.2f}" if value < 100 else f"{value:.0f}"

    lines = ["| server | " + " | ".join(MEANS) + " |", "|---|" + "---:|" * len(MEANS)]
    lines += [f"| {name} | " + " | ".join(shown(row[mean]) for mean in MEANS) + " |" for name, row in rows.items()]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, help="made by gen.py")
    parser.add_argument("--bindyd", type=pathlib.Path, default=pathlib.Path("target/release/bindyd"))
    parser.add_argument("--only", default=",".join(SERVERS), help="names, separated by commas (%(default)s); NAME+guards: see above")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each round")
    parser.add_argument("--mode", choices=["udp", "tcp"], default="udp")
    parser.add_argument("--rate", type=int, help="queries offered a second; without it, as many as dnsperf can")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there as well")
    args = parser.parse_args()
    names = args.only.split(",")
    args.cookies = any("+" in name for name in names)
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("error: one core for the server and one for the generator are needed; this machine gives one")
    work = pathlib.Path(tempfile.mkdtemp(prefix="compare-"))
    zones = [line.split() for line in (args.data / "zones.txt").read_text().splitlines()]
    large = pathlib.Path(zones[0][1])
    text = large.read_text()
    # Work on a copy, because the reload changes the file.
    copy = work / "example.com.zone"
    copy.write_text(text)
    zones[0][1] = str(copy)
    servers = []
    try:
        for i, name in enumerate(names):
            folder = work / name
            folder.mkdir()
            maker, _, guards = name.partition("+")
            server = SERVERS[maker](args, zones, folder, 15300 + i, bool(guards))
            servers.append(server)
            server.start()
        for _ in range(args.rounds):
            for server in servers:
                server.round()
        for server in filter(lambda server: server.reloads, servers):
            server.measure_reload(text, copy)
        rows = {name: server.row() for name, server in zip(names, servers)}
    finally:
        for server in servers:
            if server.process:
                server.stop()
        shutil.rmtree(work, ignore_errors=True)
    offered = f"{args.rate:,} offered a second" if args.rate else "saturated"
    print(f"\n{len(zones):,} zones, {args.mode.upper()}, {offered}, median of {args.rounds} rounds of {args.seconds} s\n")
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
