"""Runs the cases in turn over the peers and prints the tables. Started by ../edge.sh, which installs what it needs."""
import argparse
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

from peers import FILES, HOST, PEERS, Upstream


class Case:
    """One load. Others add theirs to CASES: `scheme` names a port of each peer that has it."""

    def __init__(self, name, path, connections, host=HOST, scheme="http", peers=tuple(PEERS), onlyFiles=False):
        self.name, self.path, self.connections, self.host = name, path, connections, host
        self.scheme, self.peers, self.onlyFiles = scheme, peers, onlyFiles

    def suits(self, peer):
        return peer.name in self.peers and self.scheme in peer.ports and (peer.servesFiles or not self.onlyFiles)


CASES = [
    Case("1 KiB, 64 connections", "/1k", 64),
    Case("1 KiB, 1,000 connections", "/1k", 1000),
    Case("64 KiB, 64 connections", "/64k", 64),
    Case("64 KiB, 1,000 connections", "/64k", 1000),
    Case("file of 10 KiB, 64 connections", "/10k", 64, host=FILES, onlyFiles=True),
]


class Sample:
    def __init__(self, cpu, p99, rate):
        self.cpu, self.p99, self.rate = cpu, p99, rate


UNITS = {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}


def load(peer, case, seconds):
    """CPU microseconds per request of all the peer's processes, p99 in milliseconds, requests a second."""
    url = f"{case.scheme}://127.0.0.1:{peer.ports[case.scheme]}{case.path}"
    before = peer.process.cpu_seconds()
    done = subprocess.run(
        ["wrk", "-t1", f"-c{case.connections}", f"-d{seconds}s", "--latency", "-H", f"Host: {case.host}", url],
        capture_output=True, text=True, check=True)
    used = peer.process.cpu_seconds() - before
    text = done.stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"{peer.name}, {case.name}: the load had errors\n{text}")
    requests = int(re.search(r"(\d+) requests in", text)[1])
    if requests == 0:
        raise SystemExit(f"{peer.name}, {case.name}: no answer in {seconds} s\n{text}")
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", text).groups()
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    return Sample(used * 1e6 / requests, float(value) * UNITS[unit], rate)


def compare(peers, cases, rounds, seconds):
    """Median of the rounds, one peer after the other in each, so that a noisy minute meets all of them."""
    samples = {}
    for case in cases:
        suited = [peer for peer in peers if case.suits(peer)]
        for peer in suited:
            load(peer, case, 1)
        for _ in range(rounds):
            for peer in suited:
                samples.setdefault((case.name, peer.name), []).append(load(peer, case, seconds))
    return {key: Sample(*(statistics.median(getattr(one, part) for one in all) for part in ("cpu", "p99", "rate")))
            for key, all in samples.items()}


def print_loads(cases, peers, results):
    print("| load | server | CPU µs/request | edge ÷ it | p99 ms | edge ÷ it | requests/s |")
    print("|---|---|---|---|---|---|---|")
    for case in cases:
        edge = results.get((case.name, "edge"))
        for peer in peers:
            one = results.get((case.name, peer.name))
            if one is None:
                continue
            cpu, p99 = (f"{edge.cpu / one.cpu:.2f}", f"{edge.p99 / one.p99:.2f}") if edge else ("–", "–")
            print(f"| {case.name} | {peer.name} | {one.cpu:.1f} | {cpu} | {one.p99:.2f} | {p99} | {one.rate:.0f} |")


IDLE = 5000


def idle_cost(peer, host=HOST):
    """Bytes of memory for each of many connections that made one request and stay open."""
    sockets = []
    request = f"GET /1k HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()

    def connect():
        one = socket.create_connection(("127.0.0.1", peer.port), 10)
        one.sendall(request)
        got = 0
        while got < 1024:
            got += len(one.recv(65536))
        sockets.append(one)

    # The first few bring the code in that serves them, which is not theirs.
    for _ in range(20):
        connect()
    before = peer.process.pss_bytes()
    for _ in range(IDLE):
        connect()
    time.sleep(1)
    cost = (peer.process.pss_bytes() - before) / IDLE
    for one in sockets:
        one.close()
    return cost


def print_memory(memory):
    print(f"\n| server | idle with 1,000 routes, MB (PSS) | KB per idle connection ({IDLE} of them) |")
    print("|---|---|---|")
    for name, (idle, each) in memory.items():
        print(f"| {name} | {idle / 1e6:.1f} | {each / 1e3:.2f} |")


def print_lookups(edge, rounds, seconds):
    """Ten routes and ten thousand, in turn in one and the same process."""
    counts = {10: [], 10_000: []}
    case = Case("", "/1k", 64, host="host5.example.com")
    for _ in range(rounds):
        for count, samples in counts.items():
            edge.use(count)
            samples.append(load(edge, case, seconds).cpu)
    few, many = (statistics.median(samples) for samples in counts.values())
    print("\n| routes | CPU µs/request | ratio |\n|---|---|---|")
    print(f"| 10 | {few:.2f} | 1 |\n| 10,000 | {many:.2f} | {many / few:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(PEERS), help="names, the edge among them")
    parser.add_argument("--cases", default="", help="parts of names, with ; between")
    parser.add_argument("--only-load", action="store_true", help="neither memory nor lookups")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    words = [word for word in options.cases.split(";") if word]
    cases = [case for case in CASES if not words or any(word in case.name for word in words)]
    work = tempfile.mkdtemp(prefix="edge-bench-")
    os.chmod(work, 0o755)
    running = []
    try:
        upstream = Upstream(work)
        running.append(upstream)
        peers = []
        for name in options.peers.split(","):
            peers.append(PEERS[name](work, upstream))
            running.append(peers[-1])
        time.sleep(1)
        print(", ".join(peer.version() for peer in peers), f"– {os.cpu_count()} cores;",
              f"median of {options.rounds} rounds of {options.seconds} s\n")
        # Before any load, since what a load leaves in the heap would hold the connections.
        memory = {peer.name: (peer.process.pss_bytes(), idle_cost(peer)) for peer in peers if not options.only_load}
        print_loads(cases, peers, compare(peers, cases, options.rounds, options.seconds))
        if not options.only_load:
            print_memory(memory)
            for peer in peers:
                if peer.name == "edge":
                    print_lookups(peer, options.rounds, options.seconds)
    finally:
        for one in running:
            one.process.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
