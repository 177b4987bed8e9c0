#!/usr/bin/env python3
"""Generates the zones and questions for the side-by-side runs of compare.py.

One large zone, example.com., with hosts (one or two addresses), aliases, mail exchangers, delegations with glue and a
wildcard, and many small zones. The same arguments always give the same files.

DIR/zones.txt has a line "origin file" for each zone, DIR/zones/ the files, DIR/queries.txt the input of dnsperf.
"""
import argparse
import pathlib
import random

QUERIES = 400_000


def large(hosts):
    yield head("example.com.")
    yield "@ IN MX 10 mail\n@ IN TXT \"v=spf1 mx -all\"\nmail IN A 192.0.2.25\n*.wild IN A 192.0.2.99\n"
    for i in range(hosts):
        yield f"h{i} IN A 10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}\n"
        if i % 2 == 0:
            yield f"h{i} IN AAAA 2001:db8:1::{i >> 16:x}:{i & 65535:x}\n"
        if i % 10 == 0:
            yield f"c{i} IN CNAME h{i}\n"
        if i % 20 == 0:
            yield f"m{i} IN MX 10 h{i}\nm{i} IN MX 20 mail\n"
        if i % 50 == 0:
            yield f"d{i} IN NS ns1.d{i}\nd{i} IN NS ns2.d{i}\n"
            yield f"ns1.d{i} IN A 198.51.100.{i % 250}\nns2.d{i} IN A 203.0.113.{i % 250}\n"


def small(rng, origin):
    yield head(origin)
    for name in ("@", "www", "mail", "api", "db"):
        yield f"{name} IN A 192.0.2.{rng.randrange(1, 250)}\n"
    yield "@ IN MX 10 mail\n"


def head(origin):
    return (
        f"$ORIGIN {origin}\n$TTL 3600\n@ IN SOA ns1 hostmaster 1 3600 900 1209600 300\n@ IN NS ns1\n@ IN NS ns2\n"
        "ns1 IN A 192.0.2.1\nns1 IN AAAA 2001:db8::1\nns2 IN A 192.0.2.2\nns2 IN AAAA 2001:db8::2\n"
    )


def question(rng, hosts, zones):
    """One question, in the proportions of a busy zone: mostly hits, some NXDOMAIN and some referrals."""
    i = rng.randrange(hosts)
    kinds = [
        (45, lambda: f"h{i}.example.com. A"),
        (15, lambda: f"h{i - i % 2}.example.com. AAAA"),
        (5, lambda: f"c{i - i % 10}.example.com. A"),
        (5, lambda: f"m{i - i % 20}.example.com. MX"),
        (5, lambda: f"x{rng.randrange(10**9)}.wild.example.com. A"),
        (5, lambda: f"host.d{i - i % 50}.example.com. A"),
        (10, lambda: f"nx{rng.randrange(10**9)}.example.com. A"),
        (10, lambda: f"{rng.choice(['www', 'mail', 'api'])}.z{rng.randrange(zones)}.test. A"),
    ]
    return rng.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])[0]()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--hosts", type=int, default=100_000, help="in the large zone; a host makes about 1.8 records")
    parser.add_argument("--zones", type=int, default=200, help="small zones")
    args = parser.parse_args()
    rng = random.Random(1035)
    (args.dir / "zones").mkdir(parents=True, exist_ok=True)
    listing = []

    def write(origin, lines):
        path = args.dir.resolve() / "zones" / f"{origin}zone"
        path.write_text("".join(lines))
        listing.append(f"{origin} {path}\n")

    write("example.com.", large(args.hosts))
    for i in range(args.zones):
        write(f"z{i}.test.", small(rng, f"z{i}.test."))
    (args.dir / "zones.txt").write_text("".join(listing))
    with open(args.dir / "queries.txt", "w") as queries:
        queries.writelines(question(rng, args.hosts, args.zones) + "\n" for _ in range(QUERIES))


if __name__ == "__main__":
    main()
