"""Disks that fill up: under a build, under the agent, under the hub's database."""

import os
import subprocess
import time

from kit.check import equal, expect, wait_for
from kit.registry import scenario
from kit.world import Up

from failures import Bystander, fails


def mount(world, path, size):
    os.makedirs(path, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", path], check=True)
    world.mounts.append(path)


def fill(path):
    """Takes all that is left; answers the file that holds it."""
    ballast = os.path.join(path, "ballast")
    with open(ballast, "wb", buffering=0) as file:
        for piece in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * piece)
            except OSError:
                continue
    return ballast


@scenario("storage.build", quick=True)
def build(world):
    """A build that fills the disk fails, its tree goes, and all else goes on."""
    mount(world, world.path("data", "agent"), "48m")
    os.chmod(world.path("data"), 0o755)
    up = Up(world)
    service = up.live("app", world.repository())
    with Bystander(up):
        up.hub.ok("PUT", f"/services/{service['id']}", {"build_command": "head -c 200M /dev/zero > big"})
        failed = fails(up, service, seconds=60)
        expect("No space" in failed["status_message"] or "full" in failed["status_message"], failed["status_message"])
        free = os.statvfs(world.path("data", "agent"))
        expect(free.f_bavail * free.f_bsize > 20 << 20, "the tree of the failed build is still there")
        up.hub.ok("PUT", f"/services/{service['id']}", {"build_command": "true"})
        up.hub.active(service["id"])


@scenario("storage.agent", quick=True)
def agent(world):
    """A full disk under the agent: what runs goes on; a deploy goes through once there is room."""
    mount(world, world.path("data", "agent"), "48m")
    up = Up(world)
    repository = world.repository()
    service = up.live("app", repository)
    with Bystander(up):
        ballast = fill(world.path("data", "agent"))
        repository.version("2")
        up.hub.deploy(service["id"])
        time.sleep(3)
        expect(up.fetch("/app").status == 200, "the application does not answer with a full disk")
        shown = up.hub.deployments(service["id"])[0]
        world.note(f"meanwhile {shown['status']}: {(shown['status_message'] or '')[:100]!r}")
        expect(shown["status"] != "active", "a deployment on a full disk is said to be active")
        os.unlink(ballast)
        if up.hub.settled(service["id"], 40)["status"] == "failed":
            up.hub.ok("POST", f"/services/{service['id']}/retry")
        up.hub.active(service["id"], 40)
        expect(up.serves("/app", "version=2"), "version 2 is not served once there is room")


@scenario("storage.hub-full", quick=True)
def hub_full(world):
    """A full disk under the hub's database: the API says so, applications go on, and it recovers by itself."""
    mount(world, world.path("data", "hub"), "24m")
    up = Up(world)
    repository = world.repository()
    service = up.live("app", repository)
    stack = up.hub.stack()
    with Bystander(up):
        ballast = fill(world.path("data", "hub"))
        answer = wait_for("the API refuses to write", lambda: writes(up, stack), 30)
        equal((answer.status, answer.json["code"]), (503, "storage_failed"), f"answer of a write: {answer.text}")
        equal(up.hub.ask("GET", f"/services/{service['id']}").status, 200, "reading with a full disk")
        expect(up.process.poll() is None, "roost up ended")
        time.sleep(2)
        os.unlink(ballast)
        wait_for(
            "it takes writes again",
            lambda: up.hub.ask("PUT", f"/stacks/{stack['id']}", {"poll_interval": 11}).status == 202,
            20,
        )
        repository.version("2")
        up.hub.deploy(service["id"])
        up.hub.active(service["id"])
        expect(up.serves("/app", "version=2"), "no deploy after the disk has room again")


def writes(up, stack):
    """The refusal of a write, or nothing as long as writes still find room."""
    answer = up.hub.ask(
        "PUT", f"/stacks/{stack['id']}", {"ssh_allow": [f"192.0.2.0/{24 + int(time.monotonic() * 10) % 8}"]}
    )
    return answer if answer.status >= 400 else None


@scenario("storage.hub-read-only", quick=True)
def hub_read_only(world):
    """The database can no longer be written: the API says so, all that runs goes on, and it recovers by itself."""
    up = Up(world)
    repository = world.repository()
    service = up.live("app", repository)
    stack = up.hub.stack()
    pids = up.app_pids(service)
    # Not the -shm file: it is memory that SQLite shares with itself, and the kernel ends a program that writes to a mapped
    # page of an immutable file (SIGBUS), which is nothing that a disk does.
    files = [
        world.path("data", "hub", name)
        for name in os.listdir(world.path("data", "hub"))
        if name.startswith("roost.db") and not name.endswith("-shm")
    ]
    with Bystander(up):
        # Not even root writes to an immutable file, also not through a descriptor that is open.
        subprocess.run(["chattr", "+i", *files], check=True)
        try:
            answer = wait_for("a write is refused", lambda: writes(up, stack), 20)
            equal((answer.status, answer.json["code"]), (503, "storage_failed"), f"answer of a write: {answer.text}")
            equal(up.hub.ask("GET", f"/services/{service['id']}").status, 200, "reading from a read-only database")
            time.sleep(2)
            equal(up.app_pids(service), pids, "processes of the application")
        finally:
            subprocess.run(["chattr", "-i", *files], check=True)
        wait_for("writes are taken again", lambda: not writes(up, stack), 20)
        repository.version("2")
        wait_for(
            "a deploy is taken again", lambda: up.hub.ask("POST", f"/services/{service['id']}/deploy").status == 202, 20
        )
        up.hub.active(service["id"])
