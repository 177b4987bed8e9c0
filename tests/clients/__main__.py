#!/usr/bin/env python3
"""Runs programs that people use with BIND against BIND, then against bindyd, configured the same to the octet.

Each module that CLIENTS lists is one client. Its `run(bed)` goes through what the client is used for, with refusals,
first with `named` and then with `bindyd`. Both have to do what the client expects, and the two transcripts have to be
equal: exit codes, what the client says, and the zones after each step, to the serial.

With --port the second server is one that is there already, in a cluster: it has the same zones, and knows the same keys.

scripts/test-clients installs the clients and runs this program. `make test` leaves out those in Go, which take minutes
to build; `make test-clients` runs all. A client that is missing is a failure. Nothing leaves this machine.
"""
import argparse
import difflib
import importlib
import pathlib
import subprocess
import sys
import tempfile
import time

from testbed import Failure, Testbed, free_ports

# Module of the client: whether it is built from Go sources here.
CLIENTS = {
    "knsupdate": False,
    "lego": False,
    "certbot": False,
    "octodns": False,
    "kea": False,
    "external_dns": True,
    "cert_manager": True,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tested = parser.add_mutually_exclusive_group(required=True)
    tested.add_argument("--bindyd", type=pathlib.Path, help="the program to test")
    tested.add_argument("--port", type=int, help="the port of 127.0.0.1 at which the server to test is")
    parser.add_argument("--go", action="store_true", help="run those in Go too")
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=f"only these: {', '.join(CLIENTS)}")
    args = parser.parse_args()
    names = args.clients or [name for name, is_go in CLIENTS.items() if args.go or not is_go]
    tested = args.port or str(args.bindyd.resolve())
    failed = [name for name in names if not succeeds(name, tested)]
    print(f"clients: {len(names) - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


def succeeds(name, tested):
    """Runs a client against both servers and reports the result. `tested` is a program, or the port of a server."""
    client, ports, began = importlib.import_module(name), free_ports(), time.monotonic()
    transcripts = []
    with tempfile.TemporaryDirectory(prefix=f"bindy-{name}-") as folder:
        for server in ("named", tested):
            bed = Testbed(server, pathlib.Path(folder, "testbed"), ports)
            try:
                with bed:
                    client.run(bed)
            except (Failure, OSError, subprocess.TimeoutExpired) as failure:
                print(f"{name} with {server}: {failure}\n{bed.logs()}", file=sys.stderr)
                return False
            transcripts.append(bed.transcript)
        difference = "\n".join(difflib.unified_diff(*transcripts, "named", "bindyd", lineterm=""))
        if difference:
            print(f"{name}: not as with named\n{difference}\n{bed.logs()}", file=sys.stderr)
            return False
    print(f"{name}: as with named, {len(transcripts[0])} lines compared, {time.monotonic() - began:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    main()
