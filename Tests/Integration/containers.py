"""Services that are containers and compose files, on a real Docker Engine."""

import os
import random
import secrets
import signal
import time

from kit.chance import any_seed
from kit.check import Stopwatch, equal, expect, stays, wait_for
from kit.engine import Engine
from kit.images import compose, container, release
from kit.registry import scenario
from kit.world import Load, Up

SECONDS = 300


def spec(kind, **fields):
    return {
        "kind": kind,
        "run_command": None,
        "strip_path": True,
        "health_check": {"path": "/healthz", "interval": "1s", "grace": "30s"},
        **fields,
    }


def visible_in_ps(text):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if text.encode() in file.read() and int(pid) != os.getpid():
                    return True
        except OSError:
            continue
    return False


def clients(world):
    """Docker clients that run containers of this world."""
    return {pid: line for pid, line in world.folder_processes().items() if " run --rm " in line or " up --no-build" in line}


def shims(world):
    return [pid for pid, line in world.folder_processes().items() if " shim " in line and "/app." in line]


def gone(engine, service, seconds=40):
    wait_for("the containers are gone", lambda: not engine.containers(service), seconds)


@scenario("containers.life", seconds=SECONDS)
def life(world):
    """A Dockerfile from git: live, its secret where it belongs, deployed under load, rolled back, crashed, removed."""
    with Engine(world) as engine:
        up = Up(world)
        repository = world.repository("box", container())
        value = "s3cr3t-" + secrets.token_hex(12)
        watch = Stopwatch()
        service = up.live(
            "box",
            repository,
            **spec(
                "container",
                port=8080,
                memory_max="48M",
                cpu_quota=0.5,
                env={"TOKEN": {"value": value, "secret": True}, "GREETING": "good day\nin two lines"},
            ),
        )
        world.note(f"live after {watch.ms} ms")
        expect(up.serves("/box/version.txt", "version=1"), "version 1 is not served")
        inside = up.fetch("/box/cgi-bin/env").text
        expect(f"TOKEN={value}" in inside, "the secret is not in the container")
        expect("GREETING=good day\nin two lines" in inside and "PORT=8080" in inside, f"environment: {inside}")
        expect("DOCKER_" not in inside and "/root" not in inside, f"the client's own environment came along: {inside}")
        expect(not visible_in_ps(value), "the secret is in the process list")
        [name] = engine.containers(service)
        facts = engine.inspect(name)["HostConfig"]
        equal(facts["Memory"], 48 << 20, "memory limit")
        equal(facts["MemorySwap"], 48 << 20, "memory and swap")
        equal(facts["NanoCpus"], 500_000_000, "CPU limit")
        bound = {entry["HostIp"] for entries in facts["PortBindings"].values() for entry in entries}
        equal(bound, {"127.0.0.1"}, "addresses that the port is published on")
        wait_for("its output is at the hub", lambda: "container starts version=1" in logs(up, service), 20)
        deploy_under_load(up, engine, service, repository)
        crash(world, up, engine, service)
        up.hub.ok("DELETE", f"/services/{service['id']}")
        gone(engine, service)
        wait_for("its images are gone", lambda: not engine.images(service), 30)


def logs(up, service):
    return up.hub.ask("GET", f"/services/{service['id']}/logs").text


def deploy_under_load(up, engine, service, repository):
    first = up.hub.deployments(service["id"])[0]
    with Load(f"{up.edge_url}/box/version.txt", 50, "version=") as load:
        for version in ("2", "3"):
            repository.commit(release(version))
            up.hub.deploy(service["id"])
            up.hub.active(service["id"])
            expect(up.serves("/box/version.txt", f"version={version}"), f"version {version} is not served")
        wait_for("the old containers are gone", lambda: len(engine.containers(service)) == 1, 40)
        equal(len(engine.images(service)), 3, "images that are kept for a rollback")
        watch = Stopwatch()
        up.hub.ok("POST", f"/deployments/{first['id']}/rollback")
        up.hub.active(service["id"])
        expect(up.serves("/box/version.txt", "version=1"), "version 1 is not back")
        result = load.end_without_failure()
    up.world.note(f"rollback {watch.ms} ms; {result['sent']} requests under 3 deployments, none failed")


def crash(world, up, engine, service):
    """The container ends; the client and its shim are killed while the container lives on."""
    wait_for("one container is left", lambda: len(engine.containers(service)) == 1, 40)
    [name] = engine.containers(service)
    engine.ask("kill", name)
    wait_for("the crash is told", lambda: any("137" in event["message"] for event in up.hub.events()), 30)
    wait_for("it serves again", lambda: up.serves("/box/version.txt", "version=1"), 30)
    for victims in (lambda: list(clients(world)), lambda: shims(world) + list(clients(world))):
        before = engine.ids(service)
        pids = victims()
        expect(pids, "there is no process to kill")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

        def replaced():
            now = engine.ids(service)
            return len(now) == 1 and not before & now

        wait_for("another container has taken its place", replaced, 30)
        wait_for("it serves again", lambda: up.serves("/box/version.txt", "version=1"), 30)


def limits_of_builds(up, service, repository, good):
    """Docker's own processes are held to the limits of a build, and none is left behind."""
    path = f"/services/{service['id']}"
    up.hub.ok("PUT", path, {"build_memory_max": "32M"})
    repository.commit({"Dockerfile": good + "RUN tail /dev/zero\n"})
    up.hub.deploy(service["id"])
    message = up.hub.failed(service["id"])["status_message"]
    expect("137" in message, f"above the build's memory limit: {message}")
    nap = f"sleep {random.randrange(20_000, 90_000)}"
    up.hub.ok("PUT", path, {"build_timeout": "4s"})
    repository.commit({"Dockerfile": good + f"RUN {nap}\n"})
    up.hub.deploy(service["id"])
    message = up.hub.failed(service["id"])["status_message"]
    expect("4s" in message or "4 s" in message, f"above the build's time limit: {message}")
    wait_for("what the build ran is gone", lambda: not visible_in_ps(nap.replace(" ", "\0")), 30)
    up.hub.ok("PUT", path, {"build_memory_max": None, "build_timeout": None})


@scenario("containers.failures", seconds=SECONDS)
def failures(world):
    """What cannot be built, does not become healthy, or wants too much memory, fails; the old release goes on."""
    with Engine(world) as engine:
        up = Up(world)
        repository = world.repository("box", container())
        service = up.live("box", repository, **spec("container", health_check={"interval": "1s", "grace": "8s"}))
        with Load(f"{up.edge_url}/box/version.txt", 50, "version=1") as load:
            good = container()["Dockerfile"]
            repository.commit({"Dockerfile": good + "RUN echo the reason; exit 3\n"})
            up.hub.deploy(service["id"])
            message = up.hub.failed(service["id"])["status_message"]
            expect("the reason" in message, f"the build's words are not in the message: {message}")
            limits_of_builds(up, service, repository, good)
            # A forwarder accepts connections for it, and nobody answers: this check is a plain connect.
            repository.commit({"Dockerfile": good, "www/late": "60\n", **release("2")})
            up.hub.deploy(service["id"])
            message = up.hub.failed(service["id"])["status_message"]
            expect("not healthy within 8s" in message, f"late: {message}")
            up.hub.ok(
                "PUT",
                f"/services/{service['id']}",
                {"run_command": "echo eats; exec tail /dev/zero", "memory_max": "16M"},
            )
            message = up.hub.failed(service["id"])["status_message"]
            expect("137" in message and "16.0 MiB" in message, f"above the memory limit: {message}")
            load.end_without_failure()
        gone_but_one = lambda: len(engine.containers(service)) == 1  # noqa: E731
        wait_for("what failed is gone", gone_but_one, 40)
        equal(up.hub.service(service["id"])["status"], "active", "status of the service")
        missing = up.service("none", world.repository("none", {"README": "x\n"}), **spec("container"))
        message = up.hub.failed(missing["id"])["status_message"]
        expect("Dockerfile" in message, f"without a Dockerfile: {message}")


@scenario("containers.kills", seconds=SECONDS)
def kills(world):
    """The agent is killed at random moments of deployments: in the end one container runs, of the newest version."""
    with Engine(world) as engine:
        up = Up(world)
        repository = world.repository("box", container("0"))
        service = up.live("box", repository, **spec("container"))
        seed = any_seed()
        world.note(f"seed {seed}")
        chance = random.Random(seed)
        with Load(f"{up.edge_url}/box/version.txt", 50, "version=") as load:
            for version in range(1, 6):
                repository.commit(release(version))
                up.hub.deploy(service["id"])
                time.sleep(chance.uniform(0, 2.5))
                up.kill()
                up.start()
                up.hub.active(service["id"], 90)
                expect(up.serves("/box/version.txt", f"version={version}"), f"version {version} is not served")
            load.end_without_failure()
        wait_for("one container is left", lambda: len(engine.containers(service)) == 1, 40)
        stays("it stays one", lambda: len(engine.containers(service)) == 1, 3)
        equal(len(clients(world)), 1, "clients")
        equal(up.terminate(60), 0, "exit status after TERM")
        gone(engine, service)


@scenario("containers.engine", seconds=SECONDS)
def engine_away(world):
    """A Docker that is away is said and waited for; a server without Docker fails the deployment with a hint."""
    with Engine(world) as engine:
        up = Up(world)
        repository = world.repository("box", container())
        service = up.live("box", repository, **spec("container"))
        other = up.live("other", world.repository())
        engine.stop()
        try:
            repository.commit(release("2"))
            up.hub.deploy(service["id"])

            def is_told():
                reports = up.hub.items("/nodes")[0].get("services") or []
                mine = [one for one in reports if one["name"] == service["name"]]
                return mine and "Docker" in (mine[0].get("last_error") or "")

            wait_for("the server says that Docker does not answer", is_told, 60)
            expect(up.serves("/other", "version=1"), "another service is harmed")
            equal(up.hub.deployments(service["id"])[0]["status"], "provisioning", "status of the deployment")
            up.hub.ok("DELETE", f"/services/{other['id']}")
        finally:
            engine.start()
        up.hub.active(service["id"], 120)
        expect(up.serves("/box/version.txt", "version=2"), "version 2 is not served after the engine came back")
        wait_for("one container is left", lambda: len(engine.containers(service)) == 1, 60)
        up.terminate(60)
        world.hidden = [path for path in ("/usr/local/bin/docker", "/usr/bin/docker") if os.path.exists(path)]
        up.start()
        lonely = up.service("lonely", repository, **spec("container"))
        message = up.hub.failed(lonely["id"])["status_message"]
        expect("not installed" in message and "Install Docker" in message, f"without docker: {message}")


@scenario("containers.compose", seconds=SECONDS)
def composed(world):
    """A compose file of two services and a volume: deployed under load, the volume survives, all else goes."""
    with Engine(world) as engine:
        up = Up(world)
        repository = world.repository("shop", compose())
        value = "s3cr3t-" + secrets.token_hex(12)
        watch = Stopwatch()
        service = up.live(
            "shop", repository, **spec("compose", env={"TOKEN": {"value": value, "secret": True}})
        )
        world.note(f"live after {watch.ms} ms")
        equal(len(engine.containers(service)), 2, "containers")
        expect(f"TOKEN={value}" in up.fetch("/shop/cgi-bin/env").text, "the secret is not in the container")
        expect(not visible_in_ps(value), "the secret is in the process list")
        equal(up.fetch("/shop/cgi-bin/append?before").text, "before\n", "the volume")
        with Load(f"{up.edge_url}/shop/version.txt", 50, "version=") as load:
            repository.commit(release("2"))
            up.hub.deploy(service["id"])
            up.hub.active(service["id"])
            expect(up.serves("/shop/version.txt", "version=2"), "version 2 is not served")
            equal(up.fetch("/shop/cgi-bin/append?after").text, "before\nafter\n", "the volume after a deployment")
            equal(up.fetch("/shop/cgi-bin/peer").text, "before\nafter\n", "the volume as the other service sees it")
            load.end_without_failure()
        wait_for("the old containers are gone", lambda: len(engine.containers(service)) == 2, 60)
        equal(len(engine.images(service)), 2, "images that are kept for a rollback")
        before = engine.ids(service)
        for pid in shims(world) + list(clients(world)):
            os.kill(pid, signal.SIGKILL)
        wait_for("others have taken their place", lambda: not before & engine.ids(service), 60)
        wait_for("nothing is there twice", lambda: len(engine.containers(service)) == 2, 40)
        wait_for("it serves again", lambda: up.serves("/shop/cgi-bin/append", "after"), 60)
        broken = compose()["compose.yaml"].replace("${PORT}", "8099")
        repository.commit({"compose.yaml": broken})
        up.hub.deploy(service["id"])
        message = up.hub.failed(service["id"])["status_message"]
        expect("fixed port 8099" in message, f"a fixed port in the file: {message}")
        expect(up.serves("/shop/version.txt", "version=2"), "version 2 does not go on")
        up.hub.ok("DELETE", f"/services/{service['id']}")
        gone(engine, service, 60)
        wait_for("its images are gone", lambda: not engine.images(service), 30)
        for what, count in (("network", 0), ("volume", 1)):
            found = engine.ask(what, "ls", "--quiet", "--filter", f"name={service['name']}").stdout.split()
            equal(len(found), count, f"{what}s after the removal: {found}")
