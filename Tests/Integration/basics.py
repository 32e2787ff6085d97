"""The life of a stack on one machine with `roost up`: first run, services, push, rollback, end."""

import hashlib
import hmac
import json
import os
import secrets
import subprocess
import time

from free_port import free_port

from kit.check import Stopwatch, equal, expect, stays, wait_for
from kit.hub import request
from kit.registry import scenario
from kit.world import Load, Up


@scenario("basics.example", quick=True)
def example(world):
    """The first run: three services of the sample live, reachable through the edge, and found by each other."""
    watch = Stopwatch()
    up = Up(world, "--example")
    equal(os.stat(f"{up.data}/admin.key").st_mode & 0o777, 0o600, "mode of admin.key")
    stack = up.hub.stack()
    wait_for("three services", lambda: len(up.hub.items(f"/stacks/{stack['id']}/services")) == 3)
    services = up.hub.items(f"/stacks/{stack['id']}/services")
    for service in services:
        up.hub.active(service["id"], 90)
    world.note(f"all live after {watch.ms} ms")
    node = up.hub.items("/nodes")[0]
    equal(node["name"], "local", "name of this machine's server")
    expect(up.serves("/site/", "<"), "the static page is not served")
    info = up.fetch("/api/info")
    expect(info.status == 200 and info.json, f"api answers {info.status} {info.text}")
    page = up.fetch("/").text
    expect(
        all(str(name) in page for name in info.json), f"the page does not show what the api says by its name: {page}"
    )
    out = wait_for(
        "the URLs are printed", lambda: world.log("up.log").count("http://127.0.0.1") >= 4 and world.log("up.log")
    )
    expect(f"Dashboard: {up.url}" in out, "the dashboard's URL is not printed")
    equal(up.terminate(), 0, "exit status after TERM")


@scenario("basics.names", quick=True)
def names(world):
    """Added by CLI and by API; SERVICE_<NAME>_URL and http://NAME.svc.internal work from inside an application."""
    up = Up(world)
    repository = world.repository()
    api = up.live("api", repository)
    name = world.name("web")
    done = up.cli(
        "service",
        "create",
        name,
        "--git-url",
        repository.url,
        "--run-command",
        "exec python3 app.py",
        "--path",
        "/web",
        "--health-check-path",
        "/healthz",
        "--env",
        "GREETING=good day",
    )
    web = next(one for one in up.hub.items("/services") if one["name"] == name)
    equal(web["status"], "active", f"status after the command ended ({done.stdout}{done.stderr})")
    expect(up.serves("/api", "version=1") and up.serves("/web", "version=1"), "not served through the edge")
    variable = f"SERVICE_{api['name'].upper().replace('-', '_')}_URL"
    url = up.fetch(f"/web/plain?name={variable}").text
    equal(url, f"http://{api['name']}.svc.internal", variable)
    answer = up.fetch(f"/web/peer?url={url}/x")
    expect(answer.status == 200 and "version=1" in answer.text, f"{url} from inside: {answer.status} {answer.text}")
    equal(up.fetch("/web/plain?name=GREETING").text, "good day", "environment of the application")
    equal(up.fetch("/nothing").status, 404, "a path that nobody has")
    listing = json.loads(up.cli("service", "list", "--json").stdout)
    equal(len(listing["items"] if isinstance(listing, dict) else listing), 2, "services of `service list --json`")
    # A name resolver of its own, for programs that ask it.
    asked = subprocess.run(
        ["dig", "+short", "+time=2", f"@{world.internal}", f"{api['name']}.svc.internal"],
        capture_output=True,
        text=True,
    )
    if asked.returncode == 0:
        equal(asked.stdout.strip(), world.internal, "answer of the DNS responder")


def sign(kind, secret, body):
    if kind == "gitlab":
        return {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": secret}
    code = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if kind == "github":
        return {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={code}"}
    return {"X-Gitea-Event": "push", "X-Gitea-Signature": code}


def payload(kind, commit, ref="refs/heads/main"):
    body = {"ref": ref, "before": "0" * 40, "after": commit}
    if kind == "gitlab":
        body |= {"object_kind": "push", "checkout_sha": commit, "project": {"default_branch": "main"}}
    else:
        body |= {"repository": {"default_branch": "main", "full_name": "ada/app"}, "commits": [{"id": commit}]}
    return json.dumps(body).encode()


@scenario("basics.push", quick=True)
def push(world):
    """Deploy by action and by signed webhooks of three hosts; what is running already deploys nothing."""
    up = Up(world)
    repository = world.repository()
    service = up.live("app", repository)
    path, secret = service["webhook_path"], service["webhook_secret"]
    repository.version("2")
    up.hub.deploy(service["id"])
    up.hub.active(service["id"])
    expect(up.serves("/app", "version=2"), "version 2 is not served after the deploy action")
    count = len(up.hub.deployments(service["id"]))
    again = up.hub.deploy(service["id"])
    equal(again["status"], "active", "deploy of an unchanged commit answers the running deployment")
    equal(len(up.hub.deployments(service["id"])), count, "deployments after deploying what runs already")
    took = []
    for number, kind in enumerate(["github", "gitlab", "gitea"], 3):
        commit = repository.version(str(number))
        body = payload(kind, commit)
        watch = Stopwatch()
        answer = request(up.url, "POST", path, {**sign(kind, secret, body), "Content-Type": "application/json"}, body)
        equal(answer.status, 202, f"{kind} webhook: {answer.text}")
        wait_for(f"version {number}", lambda: up.serves("/app", f"version={number}"), 20, 0.01)
        took.append(watch.ms)
        up.hub.active(service["id"])
        again = request(up.url, "POST", path, {**sign(kind, secret, body), "Content-Type": "application/json"}, body)
        expect(again.status == 202, f"the same push again: {again.status}")
    equal(len(up.hub.deployments(service["id"])), count + 3, "deployments after three pushes, each told twice")
    world.note(f"push to live {took} ms")
    body = payload("github", "a" * 40)
    headers = {"Content-Type": "application/json"}
    bad = [
        {},
        sign("github", "wrong", body),
        sign("gitlab", "wrong", body),
        sign("gitea", "", body),
        {"X-GitHub-Event": "push", "X-Hub-Signature-256": "sha256=zz"},
    ]
    for signature in bad:
        equal(request(up.url, "POST", path, {**headers, **signature}, body).status, 401, f"webhook with {signature}")
    other = payload("github", "b" * 40, "refs/heads/other")
    answer = request(up.url, "POST", path, {**headers, **sign("github", secret, other)}, other)
    expect("ignored" in answer.text, f"push of another branch: {answer.text}")
    equal(len(up.hub.deployments(service["id"])), count + 3, "deployments after refused pushes")


@scenario("basics.secrets", quick=True)
def secret_values(world):
    """A secret reaches the application and is nowhere else: process list, logs, API, audit, readable files."""
    up = Up(world)
    repository = world.repository()
    value = "s3cr3t-" + secrets.token_hex(12)
    service = up.live(
        "app", repository, env={"TOKEN": {"value": value, "secret": True}, "PLAIN": "seen"}, build_command="true"
    )
    equal(
        up.fetch("/app/env?name=TOKEN").text,
        hashlib.sha256(value.encode()).hexdigest(),
        "the secret in the application",
    )
    update = up.hub.ask(
        "PUT", f"/services/{service['id']}", {"env": {"TOKEN": {"value": value, "secret": True}, "PLAIN": "new"}}
    )
    expect(update.status == 202 and value not in update.text, f"update: {update.text}")
    up.hub.active(service["id"])
    for path in [
        f"/services/{service['id']}",
        "/services",
        f"/services/{service['id']}/deployments",
        "/audit-logs?limit=200",
        "/events?limit=200",
        f"/stacks/{service['stack_id']}/desired-state",
        f"/services/{service['id']}/logs",
        f"/deployments/{up.hub.deployments(service['id'])[0]['id']}/logs",
        f"/search?q={value[:20]}",
    ]:
        expect(value not in up.hub.ask("GET", path).text, f"the secret is in {path}")
    expect(
        up.hub.service(service["id"])["env"]["PLAIN"] in ("new", {"value": "new"}), "a plain value cannot be read back"
    )
    shown = up.cli("service", "show", service["name"]).stdout + up.cli("audit").stdout
    expect(value not in shown, "the secret is in what the command line shows")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                expect(value.encode() not in file.read(), f"the secret is on the command line of {pid}")
        except OSError:
            continue
    expect(value not in world.log("up.log"), "the secret is in the log of roost up")
    readable = []
    for folder, _, files in os.walk(up.data):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            try:
                with open(path, "rb") as file:
                    holds, mode = value.encode() in file.read(), os.fstat(file.fileno()).st_mode & 0o777
            except FileNotFoundError:  # the copy of a write that was under way
                continue
            if holds:
                readable.append((os.path.relpath(path, up.data), oct(mode)))
    expect(all(mode == "0o600" for _, mode in readable), f"others may read files with the secret: {readable}")
    expect(
        not any(path.startswith("hub/") for path, _ in readable), f"the hub keeps the secret in the clear: {readable}"
    )


@scenario("basics.releases")
def releases(world):
    """Only five releases stay; a rollback to a kept one takes a moment and builds nothing."""
    up = Up(world)
    repository = world.repository()
    service = up.live("app", repository, build_command="date +%s%N > built.txt")
    for number in range(2, 9):
        repository.version(str(number))
        up.hub.deploy(service["id"])
        up.hub.active(service["id"])
    wait_for("five releases are left", lambda: len(up.releases(service)) == 5, 15)
    history = [one for one in up.hub.deployments(service["id"]) if one["status"] == "active"]
    target = history[3]
    watch = Stopwatch()
    up.hub.ok("POST", f"/deployments/{target['id']}/rollback")
    wait_for("the old version serves", lambda: up.serves("/app", "version=5"), 30, 0.01)
    took = watch.ms
    deployment = up.hub.active(service["id"])
    equal(deployment["commit"], target["commit"], "commit after the rollback")
    expect("building" not in deployment["durations_ms"], f"the rollback built: {deployment['durations_ms']}")
    up.cli("rollback", service["name"])
    expect(up.serves("/app", "version=8"), "`roost rollback` did not go back to the deployment before")
    stays("releases", lambda: len(up.releases(service)) == 5, 1)
    world.note(f"rollback {took} ms")


@scenario("basics.static")
def static(world):
    """A static service: built by a command, replaced in one step, with nothing missing meanwhile."""
    up = Up(world)
    repository = world.repository("site", {"build.sh": "mkdir -p out && echo site one > out/index.html\n"})
    service = up.live(
        "site",
        repository,
        kind="static",
        run_command=None,
        health_check=None,
        build_command="sh build.sh",
        public_folder="out",
        files={"fallback": "index.html", "cache_control": "max-age=7"},
        strip_path=True,
    )
    expect(up.serves("/site/", "site one"), "the page is not served")
    page = up.fetch("/site/orders/7", {"Accept": "text/html"})
    equal((page.status, page.text, page.headers["Cache-Control"]), (200, "site one\n", "max-age=7"), "the fallback")
    equal(up.fetch("/site/app.js", {"Accept": "*/*"}).status, 404, "a file that is not there")
    with Load(f"{up.edge_url}/site/", 100, "site ") as load:
        for text in ("two", "three"):
            repository.commit({"build.sh": f"mkdir -p out && echo site {text} > out/index.html\n"})
            up.hub.deploy(service["id"])
            up.hub.active(service["id"])
            wait_for(text, lambda: up.serves("/site/", f"site {text}"), 5)
        load.end_without_failure()
    repository.commit({"build.sh": "mkdir -p elsewhere\n"})
    up.hub.deploy(service["id"])
    failed = up.hub.failed(service["id"])
    expect("out" in failed["status_message"], f"message of a build without the folder: {failed['status_message']}")
    expect(up.serves("/site/", "site three"), "the release before does not serve after a failed one")
    for path in ("/site/../../etc/passwd", "/site/%2e%2e/%2e%2e/etc/passwd", "/site/..%2f..%2fetc/passwd"):
        expect("root:" not in up.fetch(path).text, f"{path} leaves the folder")


@scenario("basics.websocket")
def websocket(world):
    """A WebSocket through the edge stays open across a deploy of the service until it is drained."""
    import socket

    up = Up(world)
    up.live("app", world.repository())
    with socket.create_connection(("127.0.0.1", up.edge_port), timeout=10) as connection:
        connection.sendall(
            b"GET /app/echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        expect(b" 101 " in head and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, f"no upgrade: {head!r}")
        for text in (b"hello", b"again"):
            mask = b"\1\2\3\4"
            connection.sendall(
                bytes([0x81, 0x80 | len(text)]) + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
            )
            equal(connection.recv(100), bytes([0x81, len(text)]) + text, "echo of the WebSocket")


@scenario("basics.removal")
def removal(world):
    """A removed service leaves nothing: units, processes, folders, account, names, routes."""
    up = Up(world)
    repository = world.repository()
    kept, gone = up.live("kept", repository), up.live("gone", repository, build_command="true")
    name = gone["name"]
    equal(subprocess.run(["id", "-u", f"roost-{name}"], capture_output=True).returncode, 0, "account of the service")
    wait_for("name in the hosts file", lambda: f"{name}.svc.internal" in world.log("hosts"), 10)
    up.hub.ok("DELETE", f"/services/{gone['id']}")
    equal(up.hub.ask("GET", f"/services/{gone['id']}").status, 404, "reading the removed service")
    wait_for("the folder is gone", lambda: not os.path.exists(up.agent_folder("services", name)), 20)
    expect(not up.app_pids(gone), "a process of the removed service runs")
    units = [unit for unit in os.listdir(up.agent_folder("units")) if name in unit]
    equal(units, [], "units of the removed service")
    equal([log for log in os.listdir(up.agent_folder("logs")) if name in log], [], "logs of the removed service")
    equal(subprocess.run(["id", "-u", f"roost-{name}"], capture_output=True).returncode, 1, "account is gone")
    wait_for("no name in the hosts file", lambda: f"{name}.svc.internal" not in world.log("hosts"), 10)
    wait_for("no route", lambda: up.fetch("/gone").status == 404, 10)
    expect(
        f"{kept['name']}.svc.internal" in world.log("hosts") and up.serves("/kept", "version=1"),
        "the other one suffered",
    )
    again = up.live("gone", repository)
    expect(
        up.serves("/gone", "version=1") and again["id"] != gone["id"], "a service of the same name cannot be made again"
    )


@scenario("basics.end")
def end(world):
    """TERM ends applications, edge and hub, in order, and takes the names out of the hosts file."""
    up = Up(world)
    service = up.live("app", world.repository())
    expect(up.app_pids(service), "the application does not run")
    watch = Stopwatch()
    equal(up.terminate(), 0, "exit status after TERM")
    world.note(f"ended in {watch.ms} ms")
    equal(world.folder_processes(), {}, "processes left")
    expect("svc.internal" not in world.log("hosts"), "names are left in the hosts file")
    up.start()
    wait_for("it serves again after the next start", lambda: up.serves("/app", "version=1"), 30)


def second_start_is_refused(world, up):
    """Another roost on the same folder, or on addresses in use, ends before it touches anything, and says why."""
    others = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    for data, listen, edge, words in (
        (up.data, *others, ("works on", "--data")),
        (world.path("data2"), f"127.0.0.1:{up.port}", others[1], ("listens on", "--listen")),
        (world.path("data3"), others[0], f"127.0.0.1:{up.edge_port}", ("listens on", "--edge")),
    ):
        done = world.run("up", "--data", data, "--listen", listen, "--edge", edge, check=False)
        expect(done.returncode != 0 and all(word in done.stderr for word in words), f"{done.returncode}: {done.stderr}")


@scenario("basics.kill", quick=True)
def kill(world):
    """kill -9 of roost up and a restart: the same processes, none twice, and no request fails."""
    up = Up(world)
    repository = world.repository()
    services = [up.live("one", repository), up.live("two", repository, instances=2)]
    before = [up.app_pids(service) for service in services]
    equal([len(pids) for pids in before], [1, 2], "processes per service")
    with Load(f"{up.edge_url}/two", 100, "version=1") as load:
        second_start_is_refused(world, up)
        for _ in range(3):
            up.kill()
            time.sleep(0.5)
            expect(up.serves("/one", "version=1"), "the application does not answer while roost is dead")
            up.start()
            node = wait_for(
                "server is converged", lambda: next((n for n in up.hub.items("/nodes") if n["is_converged"]), None), 20
            )
            equal([up.app_pids(service) for service in services], before, "processes after the restart")
        load.end_without_failure()
    equal(node["services"][0]["restarts"] + node["services"][1]["restarts"], 0, "restarts")
    repository.version("2")
    for service in services:
        up.hub.deploy(service["id"])
        up.hub.active(service["id"])
    wait_for(
        "old processes are gone",
        lambda: not set().union(*before) & up.app_pids(services[0]) | (set().union(*before) & up.app_pids(services[1])),
        15,
    )
    expect(up.serves("/one", "version=2") and up.serves("/two", "version=2"), "deploys do not work after the restart")


@scenario("basics.logs", quick=True)
def logs(world):
    """What a service prints reaches the hub once, across a restart of everything but the service."""
    up = Up(world)
    service = up.live("app", world.repository())

    def starts():
        return up.hub.ask("GET", f"/services/{service['id']}/logs").text.count("app starts")

    wait_for("the output is at the hub", lambda: starts() == 1, 10)
    # How far it was sent is kept every two seconds.
    time.sleep(3)
    up.kill()
    up.start()
    stays("the output is there once", lambda: starts() == 1, 3)
    up.hub.ok("POST", f"/services/{service['id']}/restart")
    wait_for("the output of the next instance", lambda: starts() == 2, 15)
    expect("app starts 1" in up.cli("logs", service["name"]).stdout, "`roost logs` does not show it")
