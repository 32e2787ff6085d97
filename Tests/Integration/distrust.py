"""What hub and agent do not believe: replays, old requests, forged and older documents."""

import http.client
import http.server
import json
import os
import threading
import time
import urllib.parse

from kit.agent import Agent, HubProcess
from kit.check import equal, expect, stays, wait_for
from kit.registry import scenario


@scenario("distrust.requests", quick=True)
def requests(world):
    """Signed requests: refused when replayed (also after the hub's restart), old, altered, or of somebody else."""
    hub = HubProcess(world)
    agent, other = Agent(world, hub, "one"), Agent(world, hub, "two")
    agent.join(hub.token())
    other.join(hub.token())
    path = "/api/v1/agent/desired-state?wait=0"
    nonce = "ab" * 16
    now = int(time.time() * 1000)
    replay = {"time_ms": now, "nonce": nonce}
    equal(agent.signed("GET", path, **replay).status, 200, "a fresh request")
    equal(agent.signed("GET", path, **replay).status, 401, "the same request again")
    hub.kill()
    hub.start()
    equal(agent.signed("GET", path, **replay).status, 401, "the same request after the hub's restart")
    equal(agent.signed("GET", path, time_ms=now - 600_000).status, 401, "a request of ten minutes ago")
    equal(agent.signed("GET", path, time_ms=now + 600_000).status, 401, "a request of the future")
    headers = agent.sign("GET", path)
    for name, value in (
        ("Roost-Node", other.identity["node_id"]),
        ("Roost-Time", str(now + 1)),
        ("Roost-Nonce", "cd" * 16),
        ("Roost-Signature", headers["Roost-Signature"][:-4] + "AAA="),
        ("Roost-Node", "x" * 3000),
        ("Roost-Time", "9" * 40),
        ("Roost-Nonce", ""),
    ):
        answer = agent.signed("GET", path, headers={name: value})
        equal(answer.status, 401, f"a request with another {name}: {answer.text[:200]}")
    equal(
        agent.signed("GET", "/api/v1/agent/desired-state?wait=0", headers={"Roost-Signature": ""}).status,
        401,
        "no signature",
    )
    # The path and the body are under the signature.
    signature = agent.sign("POST", "/api/v1/agent/events", b'{"events":[]}')
    answer = agent.signed("POST", "/api/v1/agent/events", b'{"events":[ ]}', headers=signature)
    equal(answer.status, 401, "a body that was altered")
    equal(
        agent.signed(
            "POST",
            "/api/v1/agent/logs",
            b'{"chunks":[]}',
            headers=agent.sign("POST", "/api/v1/agent/events", b'{"chunks":[]}'),
        ).status,
        401,
        "a signature for another path",
    )
    strange = [
        b"[]",
        b"{",
        b"null",
        b'{"events":[{"sequence":-1,"time":"x","kind":"k","message":"m"}]}',
        b'{"events":[{"sequence":2,"time":"2026-01-01T00:00:00Z","kind":"k","message":"m"},'
        b'{"sequence":1,"time":"2026-01-01T00:00:00Z","kind":"k","message":"m"}]}',
        b'{"chunks":[{"source":"service","id":"x","offset":9223372036854775807,"text":"x"}]}',
        b'{"sequence":9223372036854775807}',
        b'{"events":' + b"[" * 5000,
    ]
    for body in strange:
        for end in ("events", "logs", "heartbeat"):
            answer = agent.signed("POST", f"/api/v1/agent/{end}", body)
            expect(answer.status < 500, f"{end} with {body[:60]!r}: {answer.status} {answer.text[:200]}")
    expect(hub.is_up(), "the hub does not answer any more")
    # A server may not speak for services of another stack.
    stack = hub.api.ok("POST", "/stacks", {"name": "other"})
    secret = hub.api.create_service(
        {"name": world.name("foreign"), "git_url": "file:///nowhere/x", "run_command": "true"}, stack
    )
    chunk = json.dumps({"chunks": [{"source": "service", "id": secret["id"], "offset": 0, "text": "forged"}]}).encode()
    agent.signed("POST", "/api/v1/agent/logs", chunk)
    expect("forged" not in hub.api.ask("GET", f"/services/{secret['id']}/logs").text, "a log was forged across stacks")


class Middle:
    """A man in the middle: passes requests on to the hub, and lets a function alter desired states."""

    def __init__(self, hub_url):
        self.alter = None
        middle = self
        target = urllib.parse.urlsplit(hub_url)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                connection = http.client.HTTPConnection(target.hostname, target.port, timeout=60)
                headers = {
                    name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")
                }
                if middle.alter and "desired-state" in self.path:
                    headers = {name: value for name, value in headers.items() if name.lower() != "if-none-match"}
                try:
                    connection.request(self.command, self.path, body or None, headers)
                    answer = connection.getresponse()
                    data, status = answer.read(), answer.status
                except OSError:
                    data, status = b"", 502
                finally:
                    connection.close()
                if middle.alter and "desired-state" in self.path and status == 200:
                    data = middle.alter(data)
                try:
                    self.send_response(status)
                    if status != 304:
                        self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    if status != 304:
                        self.wfile.write(data)
                except OSError:
                    # The agent is gone; it was killed, or gave up.
                    self.close_connection = True

            do_GET = do_POST = pass_on

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@scenario("distrust.documents", quick=True)
def documents(world):
    """Documents with another hash, another signature, of another server or an older generation change nothing."""
    hub = HubProcess(world)
    middle = Middle(hub.url)
    agent, other = Agent(world, hub, "one", url=middle.url), Agent(world, hub, "two")
    agent.join(hub.token())
    other.join(hub.token())
    agent.start()
    other.start()
    repository = world.repository()
    service = hub.live("app", repository)
    old = agent.signed("GET", "/api/v1/agent/desired-state?wait=0").json
    foreign = other.signed("GET", "/api/v1/agent/desired-state?wait=0").json
    other.process.terminate()
    repository.version("2")
    hub.api.deploy(service["id"])
    wait_for("version 2", lambda: "version=2" in agent.fetch("/app").text, 20)
    # The one before may still be on its way out.
    wait_for("one process", lambda: len(agent.app_pids(service)) == 1, 20)
    pids = agent.app_pids(service)

    def swapped(change):
        def alter(data):
            document = json.loads(data)
            change(document)
            return json.dumps(document).encode()

        return alter

    def evil(document):
        document["document"]["services"][0]["run_command"] = "touch /tmp/roost-evil-was-here; exec python3 app.py"

    attempts = [
        ("a command put in", swapped(evil), "hash"),
        ("another hash", swapped(lambda d: d.update(hash="0" * 64)), "hash"),
        ("another signature", swapped(lambda d: d.update(signature="A" * 86 + "==")), "signature"),
        ("an older generation", lambda _: json.dumps(old).encode(), "generation"),
        ("a document of another server", lambda _: json.dumps(foreign).encode(), "another server"),
        ("nonsense", lambda _: b"{]", None),
        ("an empty object", lambda _: b"{}", None),
        ("no services", swapped(lambda d: d["document"].update(services=[])), "hash"),
    ]
    seen = 0
    for what, alter, word in attempts:
        # A fresh agent each time: one that goes on tells the same refusal once, and asks ever more seldom.
        agent.kill()
        middle.alter = alter
        agent.start()
        if word:
            told = wait_for(
                f"{what}: an event",
                lambda: [
                    event
                    for event in hub.api.events()
                    if event["kind"] == "security" and word in event["message"] and event["id"] > seen
                ],
                40,
            )
            seen = told[-1]["id"]
        else:
            time.sleep(2)
        expect(agent.app_pids(service) == pids and "version=2" in agent.fetch("/app").text, f"{what} changed what runs")
    expect(not os.path.exists("/tmp/roost-evil-was-here"), "an altered command was run")
    agent.kill()
    middle.alter = None
    agent.start()
    repository.version("3")
    hub.api.deploy(service["id"])
    wait_for("version 3 once the documents are right again", lambda: "version=3" in agent.fetch("/app").text, 60)
    wait_for("one process", lambda: len(agent.app_pids(service)) == 1, 20)
    # A document that was altered on the server's own disk is not believed either.
    agent.kill()
    with open(agent.path("desired.json")) as file:
        stored = json.load(file)
    evil(stored)
    with open(agent.path("desired.json"), "w") as file:
        json.dump(stored, file)
    hub.kill()
    pids = agent.app_pids(service)
    agent.start()
    stays("what runs", lambda: agent.app_pids(service) == pids, 3)
    hub.start()
    wait_for(
        "an event of the stored document",
        lambda: [event for event in hub.api.events() if event["kind"] == "security" and "stored" in event["message"]],
        60,
    )
    expect(not os.path.exists("/tmp/roost-evil-was-here"), "an altered command was run")
