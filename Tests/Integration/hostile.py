"""Hostile input to every endpoint: a clear 4xx, nothing changed, never a 5xx."""

import os
import random
import socket
import string

from kit.chance import any_seed
from kit.check import equal, expect
from kit.hub import request
from kit.registry import scenario
from kit.world import Up

NAMES = [
    "../x",
    "a/b",
    "a\nb",
    "a\0b",
    "",
    "-a",
    "a-",
    "A",
    "a b",
    "a;b",
    "$(id)",
    "`id`",
    "a" * 64,
    "a" * 100_000,
    "ünï",
    "х",
    "a.b",
    "..",
    ".",
    "/",
    "%2e%2e",
    "a\u202eb",
    "\ud83d\ude00",
    None,
    7,
    True,
    [],
    {},
    "a\r\nX: y",
    "--help",
]
URLS = [
    "-oProxyCommand=touch /tmp/roost-evil",
    "--upload-pack=touch /tmp/roost-evil",
    "ext::sh -c 'touch /tmp/roost-evil'",
    "fd::17",
    "ssh://-oProxyCommand=touch%20/tmp/roost-evil/x",
    "ssh://host:-1/x",
    "git@-oProxyCommand=x:y",
    "-u:x",
    "file:///etc\n/x",
    "https://x\0y/z",
    "https://",
    "",
    " ",
    "javascript:alert(1)",
    "http://[::1",
    "\\\\x\\y",
    "transport::address",
    "https://u:p@host\r\n/x",
    "a" * 100_000,
    "ftp://x/y",
    "../../etc",
    "/etc/passwd",
    5,
    {},
]
REFS = [
    "--upload-pack=x",
    "-oX",
    "a..b",
    "a b",
    "a\nb",
    "a\0b",
    "a~1",
    "a^",
    "a:b",
    "a?",
    "a*",
    "a[",
    "a\\b",
    ".lock",
    "x.lock",
    "/a",
    "a/",
    "a//b",
    "@{",
    "a@{1}",
    "",
    " ",
    "a" * 100_000,
    5,
    {},
]
FOLDERS = ["../x", "/etc", "a/../../b", "a\0b", "", "a\nb", "..", "a" * 100_000, 5]
PATHS = ["x", "../x", "/../x", "/a\nb", "/a b", "/a\0b", "/a?b", "/a#b", "/" + "a" * 100_000, "", 5]
HOSTS = [
    ["a b"],
    ["-x.example"],
    ["a..b"],
    ["a\nb"],
    [""],
    ["a" * 64 + ".x"],
    "x.example",
    [5],
    ["*.*.x"],
    ["a.x", "a.x"],
]
ENVIRONMENTS = [
    {"A=B": "x"},
    {"": "x"},
    {"A\0": "x"},
    {"A": "x\0y"},
    {"PORT": "1"},
    {"SERVICE_X_URL": "y"},
    {"1A": "x"},
    {"A\nB": "x"},
    {"A": 5},
    {"A": ["x"]},
    {"A": {"value": "x", "secret": "yes"}},
    ["A"],
    "A=B",
    {"A": "x" * 2_000_000},
]
NUMBERS = {
    "instances": [0, -1, 33, 1.5, "2", 10**30, []],
    "port": [0, -1, 65536, "80", 1.5],
    "retain": [0, -5, 10**20],
    "cpu_quota": [0, -1, "x", 10**9],
}
SPANS = ["", "-1s", "x", "1e9s", "9" * 400 + "s", -1, 10**30, {}]
SIZES = ["", "-1M", "x", "1", "9" * 400 + "G", -1, {}, "1Z"]
COMMANDS = ["\0", "x" * 9000, 5, [], {}]


def cases():
    for value in NAMES:
        yield {"name": value}
    for field, values in (
        ("git_url", URLS),
        ("git_ref", REFS),
        ("public_folder", FOLDERS),
        ("path", PATHS),
        ("hostnames", HOSTS),
        ("env", ENVIRONMENTS),
        ("build_timeout", SPANS),
        ("stop_grace", SPANS),
        ("memory_max", SIZES),
        ("run_command", COMMANDS),
        ("build_command", COMMANDS),
        ("stop_signal", ["KILL", "9", "", 9, "TERM\n"]),
        ("kind", ["x", "", 5, "container\n"]),
        ("auto_deploy", ["yes", 1, {}]),
        *NUMBERS.items(),
    ):
        for value in values:
            yield {field: value}
    for check in (
        {"path": "x"},
        {"path": "/a b"},
        {"path": "/\n"},
        {"interval": "0s"},
        {"timeout": "-1s"},
        {"healthy_threshold": 0},
        {"unknown": 1},
        [],
        "x",
        {"path": "/x\r\nHost: evil"},
    ):
        yield {"health_check": check}
    yield {"unknown_field": 1}
    yield {"__proto__": 1}
    yield {"id": "x"}
    yield {"status": "active"}


@scenario("hostile.services", seconds=150, quick=True)
def services(world):
    """Every field of a service with values that try to escape: on create, on update, and in a plan."""
    up = Up(world)
    service = up.live("app", world.repository())
    stack = service["stack_id"]
    before = up.hub.service(service["id"])
    base = {"name": world.name("bad"), "git_url": service["git_url"], "run_command": "true"}
    count, wrong = 0, []
    for case in cases():
        is_static = "public_folder" in case
        create = {**base, **({"kind": "static"} if is_static else {}), **case}
        if is_static:
            create.pop("run_command")
        for method, path, body in (
            ("POST", f"/stacks/{stack}/services", create),
            ("POST", f"/stacks/{stack}/services?plan=true", create),
            ("PUT", f"/services/{service['id']}", case),
        ):
            # null puts a default back, and the same name is no change.
            if method == "PUT" and list(case.values()) == [None]:
                continue
            answer = up.hub.ask(method, path, body)
            count += 1
            if not 400 <= answer.status < 500 or answer.status == 422 or not (answer.json or {}).get("error"):
                wrong.append((method, str(case)[:120], answer.status, answer.text[:200]))
                if answer.status in (201, 202) and method == "POST" and "plan" not in path:
                    up.hub.ask("DELETE", f"/services/{answer.json['id']}")
    expect(not wrong, lambda: "\n".join(map(str, [f"{len(wrong)} of {count}"] + wrong[:40])))
    after = up.hub.service(service["id"])
    equal(
        {key: after[key] for key in after if key not in ("updated_at", "revision")},
        {key: before[key] for key in before if key not in ("updated_at", "revision")},
        "the service after all refused changes",
    )
    equal(len(up.hub.items("/services")), 1, "services after refused creates")
    expect(not os.path.exists("/tmp/roost-evil"), "a command in a URL was run")
    world.note(f"{count} refused")


@scenario("hostile.endpoints", seconds=150, quick=True)
def endpoints(world):
    """Every documented endpoint with strange ids, bodies, queries and headers."""
    up = Up(world)
    service = up.live("app", world.repository())
    document = request(up.url, "GET", "/docs/openapi.json").json
    ids = [
        "..",
        "%2e%2e%2f",
        "x",
        "%00",
        "%0a",
        "a" * 5000,
        "%ff",
        "' OR 1=1--",
        service["id"] + "%00",
        "-1",
        "%F0%9F%98%80",
        "null",
        "00000000-0000-0000-0000-000000000000",
    ]
    bodies = [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"5",
        b"\xff\xfe",
        b'{"a":' * 3000,
        b"[" * 100_000,
        b'{"name":"a","name":"b"}',
        b"{}" + b" " * 10,
        b'{"x":1e999}',
        b'{"name":"\\ud800"}',
        b'{"":{}}',
        b"{}" * 600_000,
    ]
    queries = [
        "?limit=0",
        "?limit=-1",
        "?limit=99999999999999999999",
        "?limit=x",
        "?cursor=x",
        "?cursor=%00",
        "?sort=%27",
        "?order=up",
        "?status=x%00",
        "?search=" + "%25" * 500,
        "?plan=maybe",
        "?follow=maybe",
        "?offset=-1",
        "?since=x",
        "?q=",
        "?q=%00",
        "?" + "a=b&" * 2000,
        "?%ff=%ff",
        "?wait=x",
    ]
    count, wrong = 0, []

    def judge(method, path, answer, what, may_work=True):
        nonlocal count
        count += 1
        good = 400 <= answer.status < 500 and answer.status != 422
        if not good and not (may_work and answer.status < 300):
            wrong.append((method, path[:90], what, answer.status, answer.text[:160]))

    for path, operations in document["paths"].items():
        # Logging out works without a session and takes no body.
        if not path.startswith("/api/v1") or "agent/" in path or path.endswith("/logout"):
            continue
        short = path[len("/api/v1") :]
        for method in (verb.upper() for verb in operations if verb in ("get", "post", "put", "patch", "delete")):
            for identifier in ids if "{" in short else []:
                concrete = short.replace("{id}", identifier.replace(" ", "%20").replace("'", "%27"))
                judge(
                    method,
                    concrete,
                    up.hub.ask(method, concrete, {} if method in ("POST", "PUT") else None),
                    "id",
                    False,
                )
            concrete = short.replace(
                "{id}", service["id"] if short.startswith("/services/") else "00000000-0000-0000-0000-000000000000"
            )
            if method in ("POST", "PUT"):
                # Actions with an empty body would do something; strange bodies must not.
                for body in bodies[1:]:
                    judge(
                        method,
                        concrete,
                        up.hub.ask(method, concrete, body),
                        f"body {body[:20]!r} of {len(body)}",
                        may_work=body in (b"null", b"{}          "),
                    )
            if method == "GET":
                for query in queries:
                    judge(
                        method,
                        concrete,
                        (
                            up.hub.ask(method, concrete + query, headers={"Connection": "close"})
                            if "follow" not in query
                            else up.hub.ask(method, concrete + query, timeout=5)
                        ),
                        f"query {query[:30]}",
                    )
            for key in (
                {"Authorization": "Bearer x"},
                {"Authorization": "Bearer " + "x" * 7000},
                {"Authorization": "Basic %%"},
                {"Authorization": ""},
            ):
                answer = up.hub.ask(method, concrete, headers=key)
                count += 1
                # What is for anyone says so in the description.
                is_open = operations[method.lower()].get("security") == []
                if answer.status not in (401, 429, 431, 400) and not (is_open and answer.status == 200):
                    wrong.append((method, concrete, str(key)[:40], answer.status, answer.text[:100]))
        for verb in ("TRACE", "PROPFIND", "OPTIONS", "DELETE" if "delete" not in operations else "TRACE"):
            judge(verb, short, up.hub.ask(verb, short.replace("{id}", "x")), "verb")
    expect(not wrong, lambda: "\n".join(map(str, [f"{len(wrong)} of {count}"] + wrong[:40])))
    expect(up.serves("/app", "version=1") and len(up.hub.items("/services")) == 1, "something was changed")
    world.note(f"{count} requests")


@scenario("hostile.bytes", quick=True)
def raw_bytes(world):
    """Bytes that are no HTTP, to hub and edge: an answer or an end, and both go on."""
    up = Up(world)
    up.live("app", world.repository())
    seed = any_seed()
    world.note(f"seed {seed}")
    chance = random.Random(seed)
    heads = [
        b"GET",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 4096,
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /app HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /app HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST /app HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"GET /app HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 200_000 + b"\r\n\r\n",
        b"GET /app HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET http://evil/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /app HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n",
        b"GET /app HTTP/1.1\r\n folded: x\r\n\r\n",
    ]
    heads += [bytes(chance.choices(range(256), k=chance.randrange(1, 3000))) for _ in range(60)]
    heads += [
        b"GET /app HTTP/1.1\r\nHost: x\r\n" + bytes(chance.choices(string.printable.encode(), k=200)) + b"\r\n\r\n"
        for _ in range(60)
    ]
    for port in (up.port, up.edge_port):
        for head in heads:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.settimeout(0.15)
                try:
                    connection.sendall(head)
                    connection.shutdown(socket.SHUT_WR)
                    answer = connection.recv(65536)
                    expect(
                        not answer.startswith(b"HTTP/1.1 5") or answer[9:12] in (b"501", b"502", b"503", b"505"),
                        lambda: f"{head[:60]!r} to {port}: {answer[:200]!r}",
                    )
                except OSError:
                    pass
    expect(up.serves("/app", "version=1") and up.is_up(), "one of both does not answer any more")
