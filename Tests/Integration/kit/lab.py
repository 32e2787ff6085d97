"""Throw-away Debian hosts with systemd, by Tests/Fixtures/host.sh, and the network that they are in."""

import ctypes
import glob
import os
import random
import shutil
import subprocess

from free_port import free_port

from .check import Failure, expect, wait_for
from .world import HERE, PROGRAM

SCRIPT = os.path.abspath(f"{HERE}/../Fixtures/host.sh")
GATEWAY = "10.78.0.1"
CLONE_NEWNET = 0x40000000
LAB = os.environ.get("ROOST_LAB_DIR", "/var/cache/roost-lab")


def script(*arguments, timeout=300, check=True, environment=None):
    done = subprocess.run(
        [SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    if check and done.returncode != 0:
        raise Failure(
            f"host.sh {' '.join(arguments)} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done


def enter_lab():
    """Moves this process, and all that it will start, into the hosts' network."""
    script("lab", "true")
    with open("/run/netns/roost-lab") as space:
        if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def binds(base):
    """What the hosts see of this machine, as there is no network to install it from: the runtime of the program under
    test, Node, and the standard library of Python."""
    found = {}
    for program in (PROGRAM, shutil.which("node")):
        for line in subprocess.run(
            ["ldd", os.path.realpath(program)], capture_output=True, text=True
        ).stdout.splitlines():
            path = line.split("=>")[-1].split("(")[0].strip()
            if not path.startswith("/"):
                continue
            if "/swift/linux/" in path:
                found[os.path.dirname(path)] = os.path.dirname(path)
            elif not os.path.exists(base + path) and not os.path.exists(f"{base}/usr{path}"):
                found[os.path.realpath(path)] = path if path.startswith("/usr") else f"/usr{path}"
    found[os.path.realpath(shutil.which("node"))] = "/usr/bin/node"
    if os.path.isdir("/usr/lib/python3.11"):
        found["/usr/lib/python3.11"] = "/usr/lib/python3.11"
    return " ".join(f"{out}:{inside}" for out, inside in found.items())


class LabHost:
    """One host; `close` of the world removes it."""

    taken = []

    def __init__(self, world, letter):
        self.world = world
        self.name = f"it-{world.token}-{letter}"
        while True:
            self.address = f"10.78.0.{random.randint(100, 250)}"
            if self.address not in LabHost.taken:
                break
        LabHost.taken.append(self.address)
        self.up()

    def up(self):
        bases = sorted(glob.glob(f"{LAB}/base-*/.ready"), key=os.path.getmtime)
        if not bases:
            # The first of all makes the image; what is missing there is known afterwards.
            script("up", self.name, self.address)
            script("rm", self.name)
            bases = glob.glob(f"{LAB}/base-*/.ready")
        script("up", self.name, self.address, environment={"ROOST_LAB_BIND": binds(os.path.dirname(bases[-1]))})

    def sh(self, command, check=True, timeout=120):
        """A shell command on the host; answers its output."""
        done = script("exec", self.name, "/bin/sh", "-c", command, check=False, timeout=timeout)
        if check and done.returncode != 0:
            raise Failure(
                f"{self.name}: {command!r} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        return done.stdout.strip()

    def cut(self):
        script("cut", self.name)

    def heal(self):
        script("heal", self.name)

    def power_off(self):
        script("kill", self.name)

    def remove(self):
        script("rm", self.name, check=False)


class Lab:
    """A hub on the lab's address, a git server, and hosts; removed at the end."""

    def __init__(self, world, letters):
        from .agent import HubProcess

        self.world = world
        self.hosts = []
        self.hub = HubProcess(world, address=GATEWAY)
        os.makedirs(world.path("repos"), exist_ok=True)

        self.git_port = free_port(GATEWAY)
        with open(world.path("git-daemon.log"), "ab") as out:
            world.processes.append(
                subprocess.Popen(
                    [
                        "git",
                        "daemon",
                        f"--listen={GATEWAY}",
                        f"--port={self.git_port}",
                        "--export-all",
                        "--reuseaddr",
                        f"--base-path={world.path('repos')}",
                        world.path("repos"),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                )
            )
        self.letters = letters

    def __enter__(self):
        try:
            for letter in self.letters:
                self.hosts.append(LabHost(self.world, letter))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, kind=None, *_):
        if kind is not None:
            for host in self.hosts:
                with open(self.world.path(f"{host.name}.log"), "w") as file:
                    try:
                        file.write(
                            host.sh(
                                "journalctl -u roost-agent -n 60 --no-pager; systemctl list-units 'roost-*' --no-pager",
                                check=False,
                                timeout=20,
                            )
                        )
                    except (Failure, subprocess.TimeoutExpired) as error:
                        file.write(f"{error}")
        for host in self.hosts:
            host.remove()

    def join(self, host):
        """By the one line that `roost server add` prints."""
        out = self.hub.cli("server", "add", "--stack", "default").stdout
        line = next(line.strip() for line in out.splitlines() if "curl" in line)
        expect(self.hub.url in line, f"the install line names another hub: {line}")
        host.sh(line)
        token = line.split("ROOST_TOKEN=")[1].split()[0]
        self.node(host)
        return token

    def node(self, host):
        return wait_for(
            f"{host.name} has joined",
            lambda: next((node for node in self.hub.api.items("/nodes") if node["hostname"] == host.name), None),
            30,
        )

    def url(self, repository):
        return f"git://{GATEWAY}:{self.git_port}/{os.path.basename(repository.bare)}"
