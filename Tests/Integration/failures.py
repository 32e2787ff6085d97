"""What goes wrong with builds, applications and repositories: each ends in a stated status, and nobody else suffers."""

import os
import signal
import socket
import subprocess
import threading
import time

from free_port import free_port

from kit.apps import python
from kit.check import Stopwatch, equal, expect, stays, wait_for
from kit.registry import scenario
from kit.world import Load, Up


class Bystander:
    """Another service under constant requests, none of which may fail."""

    def __init__(self, up, rate=50):
        self.up = up
        self.service = up.live("bystander", up.world.repository("bystander", python("calm")))
        self.pids = up.app_pids(self.service)
        self.load = Load(f"{up.edge_url}/bystander", rate, "version=calm")

    def __enter__(self):
        self.load.__enter__()
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                result = self.load.end_without_failure()
                equal(self.up.app_pids(self.service), self.pids, "processes of the service beside it")
                self.up.world.note(f"beside it {result['sent']} requests, p99 {result['latency_ms']['p99']} ms")
        finally:
            self.load.__exit__()


def fails(up, service, *texts, seconds=60, serves=True):
    """The deployment under way fails with these words; the release before goes on serving."""
    failed = up.hub.failed(service["id"], seconds)
    for text in texts:
        expect(text in failed["status_message"], lambda: f"message without {text!r}: {failed['status_message']}")
    if serves:
        expect(up.serves("/app", "version=1"), "the release before does not serve on")
        wait_for("service is active again", lambda: up.hub.service(service["id"])["status"] == "active", 10)
    return failed


def change(up, service, **fields):
    up.hub.ok("PUT", f"/services/{service['id']}", fields)


GOOD = {"run_command": "exec python3 app.py", "build_command": None}
# For what is to fail; what is to be live may take its time.
QUICK_CHECK = {"path": "/healthz", "interval": "200ms", "grace": "2s"}
PATIENT_CHECK = {**QUICK_CHECK, "grace": "20s"}


@scenario("failures.build", quick=True)
def build(world):
    """A build that fails says its last lines; one that never ends is ended; so is one above its memory limit."""
    up = Up(world)
    service = up.live("app", world.repository())
    with Bystander(up):
        change(up, service, build_command="seq 1 500; echo the reason stands here >&2; exit 3")
        failed = fails(up, service, "exited with code 3", "the reason stands here", "500")
        expect("\n1\n" not in failed["status_message"], "the message holds the whole output")
        log = f"/deployments/{failed['id']}/logs"
        wait_for("the end of the output", lambda: "the reason stands here" in up.hub.ask("GET", log).text, 30)
        expect("250" in up.hub.ask("GET", log).text, "the middle of the output is missing")
        change(up, service, build_command="echo going to wait; sleep 1000 & sleep 1000", build_timeout="2s")
        fails(up, service, "2 s", "going to wait")
        expect("sleep 1000" not in " ".join(world.folder_processes().values()), "processes of the ended build are left")
        change(
            up,
            service,
            build_command="python3 -c 'x = bytearray(300 << 20); x[::4096] = b\"1\" * len(x[::4096])'; sleep 5",
            build_memory_max="64M",
            build_timeout="30s",
        )
        fails(up, service, "memory")
        change(up, service, **GOOD)
        up.hub.active(service["id"])
    expect(
        not [
            name
            for name in os.listdir(up.agent_folder("services", service["name"], "releases"))
            if not name.endswith(".json")
            and f"{name}.json" not in os.listdir(up.agent_folder("services", service["name"], "releases"))
        ],
        "half releases are left",
    )


@scenario("failures.start", quick=True)
def start(world):
    """Applications that crash at once, never listen, listen late, or leave as a daemon."""
    up = Up(world)
    service = up.live("app", world.repository(), health_check=PATIENT_CHECK)
    with Bystander(up):
        change(up, service, run_command="echo boom at the start >&2; exit 5")
        fails(up, service, "exited with code 5", "boom at the start")
        change(up, service, run_command="echo never listens; exec sleep 1000", health_check=QUICK_CHECK)
        fails(up, service, "not healthy within 2s", "never listens")
        wait_for(
            "the application that failed has ended",
            lambda: "sleep 1000" not in " ".join(world.folder_processes().values()), 10
        )
        change(up, service, run_command="exec python3 daemon.py")
        fails(up, service, "before it was healthy")
        wait_for(
            "nothing of the daemon is left", lambda: "daemon.py" not in " ".join(world.folder_processes().values()), 10
        )
        change(up, service, run_command="exec ./no-such-program")
        fails(up, service, "127")
        # Late, but within its grace.
        change(up, service, run_command="sleep 1.2; exec python3 app.py", health_check=PATIENT_CHECK)
        up.hub.active(service["id"])
        # A release that never gets healthy in the first deployment of all: failed, and nothing served.
        first = up.service("first", world.repository("first"), run_command="exit 1", health_check=QUICK_CHECK)
        up.hub.failed(first["id"])
        equal(up.hub.service(first["id"])["status"], "failed", "status of a service that never was live")
        # The route follows the failure within a moment.
        wait_for("a service that never was live answers 503", lambda: up.fetch("/first").status in (502, 503), 5)
        change(up, first, run_command="exec python3 app.py", health_check=PATIENT_CHECK)
        up.hub.active(first["id"])


@scenario("failures.crash-loop", quick=True)
def crash_loop(world):
    """An application that goes on crashing later is shown as such, with events, and heals when it is put right."""
    up = Up(world)
    service = up.live("app", world.repository(), health_check=PATIENT_CHECK)
    with Bystander(up):
        up.fetch("/app/break")
        wait_for(
            "crash loop is shown", lambda: "crash loop" in (up.hub.service(service["id"])["status_message"] or ""), 30
        )
        equal(up.hub.service(service["id"])["status"], "failed", "status")
        expect("exited with code 7" in up.hub.service(service["id"])["status_message"], "the reason is not shown")

        def crashes():
            return [event for event in up.hub.events() if event["kind"] == "crash"]

        wait_for("an event tells of it", lambda: any("crash loop" in event["message"] for event in crashes()), 10)
        expect(len(crashes()) <= 12, lambda: f"{len(crashes())} crash events")
        expect(up.fetch("/app").status in (502, 503), "answer while it does not run")
        logs = up.hub.ask("GET", f"/services/{service['id']}/logs").text
        expect("broken since it was told so" in logs, "its output is not in the log")
        os.unlink(up.agent_folder("services", service["name"], "home", "broken"))
        up.hub.ok("POST", f"/services/{service['id']}/restart")
        up.hub.active(service["id"])
        expect(up.serves("/app", "version=1"), "it does not serve after the restart")


@scenario("failures.edge")
def edge(world):
    """An edge that is killed again and again is soon back each time, with all its routes, and the end is told."""
    up = Up(world)
    up.live("app", world.repository())
    longest = 0.0
    for _ in range(7):
        for pid in [pid for pid, line in world.folder_processes().items() if " edge --config " in line]:
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        # An application would be left alone for 30 s after so many ends.
        wait_for("the edge is back", lambda: up.serves("/app", "version=1"), 10, pause=0.01)
        longest = max(longest, time.monotonic() - began)
    wait_for(
        "the end is told",
        lambda: any(one["kind"] == "crash" and "edge" in one["message"] for one in up.hub.events()),
        15,
    )
    world.note(f"away for {longest * 1000:.0f} ms at most")


@scenario("failures.deaf", quick=True)
def deaf(world):
    """An application that ignores TERM is killed after its grace, and its deploy loses no request."""
    up = Up(world)
    repository = world.repository()
    service = up.live("app", repository, env={"DEAF": "1"}, stop_grace="1s")
    before = up.app_pids(service)
    with Load(f"{up.edge_url}/app", 50, "version=") as load:
        repository.version("2")
        up.hub.deploy(service["id"])
        up.hub.active(service["id"])
        wait_for("the old one is gone", lambda: not before & up.app_pids(service), 10)
        load.end_without_failure()
    equal(up.terminate(20), 0, "exit status of roost up with a deaf application")


@scenario("failures.flood")
def flood(world):
    """1 GiB of log: it stays bounded on disk and at the hub, and nobody else waits."""
    up = Up(world)
    service = up.live("app", world.repository())
    with Bystander(up):
        watch = Stopwatch()
        answer = up.fetch("/app/flood?mib=1024", timeout=120)
        equal(answer.status, 200, "answer after 1 GiB of output")
        world.note(f"1 GiB in {watch.ms} ms")
        folder = up.agent_folder("logs")
        kept = sum(os.path.getsize(os.path.join(base, file)) for base, _, files in os.walk(folder) for file in files)
        expect(kept < 80 << 20, f"{kept >> 20} MiB of logs are kept")
        time.sleep(2)
        database = sum(
            os.path.getsize(os.path.join(base, file)) for base, _, files in os.walk(f"{up.data}/hub") for file in files
        )
        expect(database < 64 << 20, f"the hub keeps {database >> 20} MiB")
        equal(up.hub.service(service["id"])["status"], "active", "status of the one that floods")
    equal(up.hub.items("/nodes")[0]["services"][0]["restarts"], 0, "restarts")


class DeafListener:
    """Accepts connections and never answers."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.kept = []
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def accept(self):
        while True:
            try:
                self.kept.append(self.socket.accept()[0])
            except OSError:
                return

    def __exit__(self, *_):
        self.socket.close()
        for connection in self.kept:
            connection.close()

    @property
    def port(self):
        return self.socket.getsockname()[1]


@scenario("failures.repository", seconds=150, quick=True)
def repository(world):
    """Repositories that are not there, that never answer, or that lack the reference."""
    up = Up(world)
    service = up.live("app", world.repository())
    url = service["git_url"]
    with Bystander(up), DeafListener() as deaf_listener:
        for bad in (
            f"http://127.0.0.1:{free_port()}/x.git",
            f"git://127.0.0.1:{free_port()}/x.git",
            f"ssh://git@127.0.0.1:{free_port()}/x.git",
            f"file://{world.root}/nothing.git",
        ):
            change(up, service, git_url=bad)
            fails(up, service)
        for scheme in ("http", "git", "ssh"):
            watch = Stopwatch()
            change(up, service, git_url=f"{scheme}://127.0.0.1:{deaf_listener.port}/x.git")
            fails(up, service, seconds=40)
            expect(watch.ms < 30_000, f"a repository that never answers took {watch.ms} ms")
        change(up, service, git_url=url, git_ref="nowhere")
        fails(up, service, "nowhere")
        change(up, service, git_ref="f" * 40)
        failed = fails(up, service)
        world.note(f"unknown commit: {failed['status_message'][:90]!r}")
        change(up, service, git_ref=None)
        up.hub.active(service["id"])
        # Gone after the commit was resolved: the servers say so.
        other = world.repository("other")
        second = up.live("second", other)
        commit = other.version("2")
        os.rename(other.bare, f"{other.bare}.away")
        answer = up.hub.ask("POST", f"/services/{second['id']}/deploy")
        expect(
            400 <= answer.status < 500 or answer.status == 503,
            f"deploy from a repository that is away: {answer.status}",
        )
        expect(up.serves("/second", "version=1"), "the release before does not serve on")
        os.rename(f"{other.bare}.away", other.bare)
        up.hub.deploy(second["id"])
        equal(up.hub.active(second["id"])["commit"], commit, "commit after the repository is back")
        waiting = subprocess.run(
            ["pgrep", "-af", f"127.0.0.1:{deaf_listener.port}"], capture_output=True, text=True
        ).stdout
        equal(waiting, "", "processes that wait for the repository that never answers")


@scenario("failures.later", quick=True)
def later(world):
    """A service that turns unhealthy without ending is shown so, and healthy again when it is."""
    up = Up(world)
    service = up.live(
        "app",
        world.repository(),
        health_check={"path": "/healthz", "interval": "200ms", "timeout": "300ms", "unhealthy_threshold": 2},
    )
    pid = next(iter(up.app_pids(service)))
    with Bystander(up):
        os.kill(pid, 19)
        wait_for(
            "unhealthy is shown", lambda: "unhealthy" in (up.hub.service(service["id"])["status_message"] or ""), 20
        )
        os.kill(pid, 18)
        wait_for("active again", lambda: up.hub.service(service["id"])["status"] == "active", 20)
        os.kill(pid, 9)
        wait_for("started again", lambda: up.app_pids(service) - {pid} and up.serves("/app", "version=1"), 20)
    wait_for("the crash is told", lambda: any(event["kind"] == "crash" for event in up.hub.events()), 10)
    kinds = [event["kind"] for event in up.hub.events()]
    expect(kinds.count("health") >= 2 and kinds.count("crash") == 1, f"events: {kinds}")
    stays("one process", lambda: len(up.app_pids(service)) == 1, 1)
