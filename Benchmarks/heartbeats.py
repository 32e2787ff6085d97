#!/usr/bin/env python3
"""What a hub spends on many agents: signed heartbeats every ten seconds, each agent over a connection of its own.

heartbeats.py [--agents N] [--seconds S] [--polls] [--signatures] [--store ADDRESS]

Starts a hub of its own (ROOST_BIN, else .build/release/roost), lets N agents join, and prints the hub's CPU time as a
share of one core, beside what the same number of requests for /healthz cost it. With --polls every agent also waits
for its desired state, as real ones do. With --signatures no agent opens a session, as those of earlier versions. Then
the hub is killed and started again, and how long it takes until every agent was heard of is printed. Needs
`cryptography` from PyPI.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import os
import pathlib
import random
import resource
import socket
import subprocess
import tempfile
import time
import urllib.request

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

INTERVAL_S = 10
TICKS = os.sysconf("SC_CLK_TCK")
SERVICES = [
    {
        "service_id": f"00000000-0000-4000-8000-00000000000{number}", "name": f"app{number}", "state": "running",
        "ports": [20000 + number], "restarts": 0,
    }
    for number in range(3)
]


class Hub:
    def __init__(self, store):
        self.program = os.environ.get("ROOST_BIN", ".build/release/roost")
        self.folder = tempfile.mkdtemp(prefix="roost-heartbeats-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.store = ["--store", store] if store else []
        self.start()
        self.key = pathlib.Path(self.folder, "admin.key").read_text().strip()

    def start(self):
        with open(f"{self.folder}/hub.log", "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "hub", "--data", self.folder, "--listen", f"127.0.0.1:{self.port}", *self.store],
                stdout=log, stderr=log,
            )
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(pathlib.Path(self.folder, "hub.log").read_text())

    def kill(self):
        self.process.kill()
        self.process.wait()

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024

    def ask(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1{path}", method=method, data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


class Agent:
    """One agent: a key, a number that grows, and a connection that is opened again when it breaks."""

    def __init__(self, hub):
        self.hub = hub
        self.key = Ed25519PrivateKey.generate()
        self.sequence = int(time.time()) << 32
        self.streams = {}
        self.heard_at = 0.0
        self.session = None
        self.opens_at = float("inf")

    def public_key(self):
        return base64.b64encode(self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    def proven(self, method, path, body):
        """Headers that prove a request: by the session, or by a signature."""
        session = self.session
        if session:
            session["number"] += 1
            nonce = f"{session['id']}{session['number']:016x}"
            return self.headers(method, path, body, nonce, "Mac", lambda text: hmac.digest(session["key"], text, "sha256"))
        return self.signed(method, path, body)

    def signed(self, method, path, body):
        return self.headers(method, path, body, os.urandom(16).hex(), "Signature", self.key.sign)

    def headers(self, method, path, body, nonce, name, prove):
        now, digest = int(time.time() * 1000), hashlib.sha256(body).hexdigest()
        text = f"roost request v1\n{method}\n{path}\n{self.node}\n{now}\n{nonce}\n{digest}".encode()
        proof = base64.b64encode(prove(text)).decode()
        return f"Roost-Node: {self.node}\r\nRoost-Time: {now}\r\nRoost-Nonce: {nonce}\r\nRoost-{name}: {proof}\r\n"

    async def open_session(self):
        """As the real agent does after a heartbeat, when it is time."""
        if time.monotonic() < self.opens_at:
            return
        own = X25519PrivateKey.generate()
        raw = own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        body = json.dumps({"public_key": base64.b64encode(raw).decode()}).encode()
        path = "/api/v1/agent/sessions"
        status, answer = await self.exchange("beat", "POST", path, body, self.signed("POST", path, body))
        if status != 201:
            # A hub of an earlier version.
            self.opens_at = float("inf")
            return
        answer = json.loads(answer)
        other = base64.b64decode(answer["public_key"])
        info = f"roost session v1\n{self.node}\n{answer['session_id']}".encode()
        shared = own.exchange(X25519PublicKey.from_public_bytes(other))
        key = HKDF(algorithm=SHA256(), length=32, salt=raw + other, info=info).derive(shared)
        self.session = {"id": answer["session_id"], "number": 0, "key": key}
        self.opens_at = time.monotonic() + answer["lifetime_ms"] / 1000 * (0.5 + 0.4 * random.random())

    def end_session(self):
        if self.session:
            self.session = None
            self.opens_at = time.monotonic() + 60 + 120 * random.random()

    async def exchange(self, channel, method, path, body=b"", headers=""):
        stream = self.streams.pop(channel, None) or await asyncio.open_connection("127.0.0.1", self.hub.port)
        reader, writer = stream
        try:
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: hub\r\n{headers}{length}\r\n".encode() + body)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            answer = b""
            if "content-length: " in head:
                answer = await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
        except BaseException:
            writer.close()
            raise
        self.streams[channel] = stream
        return int(head.split(" ")[1]), answer

    async def register(self, token):
        body = json.dumps({
            "token": token, "public_key": self.public_key(), "hostname": f"host-{id(self):x}", "agent_version": "0",
            "protocol_version": 1,
        }).encode()
        status, answer = await self.exchange("beat", "POST", "/api/v1/agent/register", body)
        assert status == 201, answer
        self.node = json.loads(answer)["node_id"]

    async def beat(self):
        self.sequence += 1
        body = json.dumps({
            "sequence": self.sequence, "agent_version": "0", "protocol_version": 1, "generation": 0, "hash": "",
            "converged": True, "services": SERVICES, "events_pending": 0, "requests": {},
            "memory_bytes": {service["service_id"]: random.randrange(1 << 28) for service in SERVICES},
            "machine": {"load1": random.random(), "memory_available_bytes": random.randrange(1 << 33)},
        }).encode()
        path = "/api/v1/agent/heartbeat"
        status, answer = await self.exchange("beat", "POST", path, body, self.proven("POST", path, body))
        if status != 204:
            raise RuntimeError(f"heartbeat: {status} {answer[:200]}")
        self.heard_at = time.monotonic()
        await self.open_session()

    async def poll(self, known):
        path = "/api/v1/agent/desired-state?wait=25"
        headers = f'If-None-Match: "{known}"\r\n' if known else ""
        status, answer = await self.exchange("poll", "GET", path, b"", headers + self.proven("GET", path, b""))
        return json.loads(answer)["hash"] if status == 200 else known


class Fleet:
    def __init__(self, agents):
        self.agents = agents
        self.sent = 0
        self.failed = 0
        self.reasons = {}
        self.late_s = []

    async def keep_beating(self, agent):
        failures = 0
        await asyncio.sleep(random.random() * INTERVAL_S)
        while True:
            began = time.monotonic()
            try:
                await agent.beat()
                self.sent += 1
                self.late_s.append(time.monotonic() - began)
                failures = 0
                await asyncio.sleep(max(0, INTERVAL_S - (time.monotonic() - began)))
            except (OSError, EOFError, RuntimeError) as error:
                # Without an answer, it may be another hub that is asked next.
                agent.end_session()
                self.failed += 1
                self.reasons[str(error)[:120]] = self.reasons.get(str(error)[:120], 0) + 1
                failures += 1
                # As the real agent does: doubled, at most fifteen seconds, with jitter.
                await asyncio.sleep(min(0.1 * 2 ** min(failures, 8), 15) * (0.5 + random.random()))

    async def keep_polling(self, agent):
        known = ""
        await asyncio.sleep(random.random() * INTERVAL_S)
        while True:
            try:
                known = await agent.poll(known)
            except (OSError, EOFError, RuntimeError, KeyError):
                agent.end_session()
                await asyncio.sleep(5 * random.random())


async def measure(hub, fleet, seconds):
    before, began, sent = hub.cpu_s(), time.monotonic(), fleet.sent
    await asyncio.sleep(seconds)
    took, cpu, count = time.monotonic() - began, hub.cpu_s() - before, fleet.sent - sent
    return cpu / took, cpu / max(count, 1) * 1e6, count / took


async def plain(hub, rate, seconds):
    """The same rate of the cheapest requests there are, over 100 connections."""
    agents = [Agent(hub) for _ in range(100)]

    async def ask(agent):
        while True:
            await agent.exchange("plain", "GET", "/healthz")
            await asyncio.sleep(len(agents) / rate)

    tasks = [asyncio.create_task(ask(agent)) for agent in agents]
    await asyncio.sleep(1)
    before, began = hub.cpu_s(), time.monotonic()
    await asyncio.sleep(seconds)
    share = (hub.cpu_s() - before) / (time.monotonic() - began)
    for task in tasks:
        task.cancel()
    return share


async def run(arguments):
    hub = Hub(arguments.store)
    try:
        stack = hub.ask("POST", "/stacks", {"name": "fleet"})["id"]
        agents = [Agent(hub) for _ in range(arguments.agents)]
        began = time.monotonic()
        for first in range(0, len(agents), 1000):
            token = hub.ask("POST", "/install-tokens", {"stack_id": stack, "uses": 1000})["token"]
            part = agents[first : first + 1000]
            for index in range(0, len(part), 50):
                await asyncio.gather(*(agent.register(token) for agent in part[index : index + 50]))
        print(f"{len(agents)} agents joined in {time.monotonic() - began:.1f} s", flush=True)
        fleet = Fleet(agents)
        if not arguments.signatures:
            for agent in agents:
                agent.opens_at = time.monotonic() + 15 * random.random()
        tasks = [asyncio.create_task(fleet.keep_beating(agent)) for agent in agents]
        if arguments.polls:
            tasks += [asyncio.create_task(fleet.keep_polling(agent)) for agent in agents]
        await asyncio.sleep(3 * INTERVAL_S)
        print(f"{sum(agent.session is not None for agent in agents)} sessions are open", flush=True)
        fleet.late_s.clear()
        share, each_us, rate = await measure(hub, fleet, arguments.seconds)
        late = sorted(fleet.late_s)
        print(
            f"{rate:.0f} heartbeats/s: {share:.3f} of a core, {each_us:.0f} µs each, "
            f"p50 {late[len(late) // 2] * 1e3:.1f} ms, p99 {late[int(len(late) * 0.99)] * 1e3:.1f} ms, "
            f"{fleet.failed} failed {fleet.reasons or ''}, "
            f"hub {hub.memory_mb():.0f} MB", flush=True,
        )
        print(f"beside it, {rate:.0f} requests/s for /healthz more: {await plain(hub, rate, 5):.3f} of a core in all")
        await restart(hub, fleet, agents)
        for task in tasks:
            task.cancel()
    finally:
        hub.kill()


async def restart(hub, fleet, agents):
    hub.kill()
    await asyncio.sleep(3)
    failed = fleet.failed
    hub.start()
    began, cpu = time.monotonic(), hub.cpu_s()
    while any(agent.heard_at < began for agent in agents) and time.monotonic() - began < 120:
        await asyncio.sleep(0.2)
    took = time.monotonic() - began
    missing = sum(agent.heard_at < began for agent in agents)
    silent = sum(1 for node in hub.ask("GET", "/nodes?status=failed&limit=200")["items"])
    print(
        f"after kill -9 and a restart: all but {missing} heard of within {took:.1f} s, "
        f"{hub.cpu_s() - cpu:.1f} s of CPU, "
        f"{fleet.failed - failed} attempts failed, {silent} servers called silent"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--polls", action="store_true")
    parser.add_argument("--signatures", action="store_true")
    parser.add_argument("--store")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
