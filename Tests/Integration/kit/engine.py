"""A Docker Engine for the scenarios: the one that answers already, or one of our own that is installed and started.

As a program, `engine.py` sets the engine up and says how to reach it.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tarfile
import time

from .check import Failure, expect, wait_for

ROOT = "/var/tmp/roost-test-docker"
SOCKET = f"{ROOT}/docker.sock"
IMAGE = "roost-test/busybox:1"
APT = ["-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-unsafe-io"]


def run(*command, check=True, timeout=300, environment=None):
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env={**os.environ, **(environment or {})}
    )
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(command)} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}")
    return done


class Engine:
    """The engine, for one scenario at a time: some of them stop it. `environment` is what clients need to find it."""

    def __init__(self, world=None):
        os.makedirs(ROOT, mode=0o711, exist_ok=True)
        self.world = world
        self.lock = open(f"{ROOT}/fixture.lock", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.environment = {}
        if not self.answers():
            self.environment = {"DOCKER_HOST": f"unix://{SOCKET}"}
        self.is_ours = bool(self.environment)
        if not self.answers():
            self.install()
            self.start()
        expect(self.ask("compose", "version", check=False).returncode == 0, "docker has no compose plugin")
        self.make_image()

    def __enter__(self):
        os.environ.update(self.environment)
        return self

    def __exit__(self, *_):
        """Whatever a failed scenario left. Names of services hold the token of their world."""
        if self.answers():
            for what, remove in (("ps --all", "rm --force"), ("network ls", "network rm"), ("volume ls", "volume rm")):
                names = self.ask(*what.split(), "--quiet", "--filter", f"name={self.world.token}").stdout.split()
                if names:
                    self.ask(*remove.split(), *names, check=False)
            images = self.ask("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
            images = [name for name in images if f"-{self.world.token}-" in name]
            if images:
                self.ask("rmi", "--force", *images, check=False)
        self.lock.close()

    def ask(self, *arguments, check=True, timeout=120):
        return run("docker", *arguments, check=check, timeout=timeout, environment=self.environment)

    def answers(self):
        if not shutil.which("docker"):
            return False
        done = self.ask("version", "--format", "{{.Server.Version}}", check=False, timeout=20)
        return done.returncode == 0 and bool(done.stdout.strip())

    # Installing

    def install(self):
        if not shutil.which("busybox") or not os.path.exists("/usr/sbin/dockerd"):
            run("apt-get", "update", "-qq")
        packages = ["docker.io", "docker-cli", "docker-compose", "docker-buildx"]
        if os.path.exists("/usr/sbin/dockerd") and self.has_plugins():
            return
        known = run("apt-cache", "show", "docker-buildx", check=False).stdout
        if known:
            run("apt-get", "install", *APT, *packages, timeout=600)
            return
        # Debian 12 has no compose plugin; the next release's packages need nothing else of it.
        config = self.private_apt()
        environment = {"APT_CONFIG": config, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "update", "-qq", environment=environment)
        run("apt-get", "install", *APT, *(f"{name}/trixie" for name in packages), timeout=600, environment=environment)

    def has_plugins(self):
        return run("docker", "compose", "version", check=False).returncode == 0

    def private_apt(self):
        """Settings of apt that know the next release as well, without touching the machine's own."""
        base = f"{ROOT}/apt"
        for folder in ("sources.list.d", "preferences.d", "lists/partial", "cache/archives/partial"):
            os.makedirs(f"{base}/{folder}", exist_ok=True)
        shutil.copyfile("/etc/apt/sources.list.d/debian.sources", f"{base}/sources.list.d/debian.sources")
        with open("/etc/apt/sources.list.d/debian.sources") as file:
            mirror = next(line.split()[1] for line in file if line.startswith("URIs:"))
        write(
            f"{base}/sources.list.d/trixie.sources",
            f"Types: deb\nURIs: {mirror}\nSuites: trixie\nComponents: main\n"
            "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
        )
        write(f"{base}/preferences.d/trixie", "Package: *\nPin: release n=trixie\nPin-Priority: 50\n")
        write(
            f"{base}/apt.conf",
            f'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "{base}/sources.list.d";\n'
            f'Dir::Etc::preferencesparts "{base}/preferences.d";\nDir::State::lists "{base}/lists";\n'
            f'Dir::Cache "{base}/cache";\nAcquire::Languages "none";\nAPT::Sandbox::User "root";\n',
        )
        return f"{base}/apt.conf"

    # Running

    def start(self):
        if not self.is_ours:
            run("systemctl", "start", "docker.service")
            return
        mount_control_groups()
        settings = {
            "data-root": f"{ROOT}/data",
            "exec-root": f"{ROOT}/exec",
            "pidfile": f"{ROOT}/dockerd.pid",
            "hosts": [f"unix://{SOCKET}"],
        }
        write(f"{ROOT}/daemon.json", json.dumps(settings))
        # One that was killed leaves its number behind, which may be another process's by now.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{ROOT}/dockerd.pid")
        with open(f"{ROOT}/dockerd.log", "ab") as log:
            daemon = subprocess.Popen(
                ["/usr/sbin/dockerd", "--config-file", f"{ROOT}/daemon.json"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        def is_up():
            if daemon.poll() is not None:
                with open(f"{ROOT}/dockerd.log", errors="replace") as file:
                    raise Failure(f"dockerd ended: {file.read()[-1500:]}")
            return self.answers()

        wait_for("dockerd answers", is_up, 90, 0.2)

    def stop(self):
        """Ends the daemon, with its containers."""
        if not self.is_ours:
            run("systemctl", "stop", "docker.socket", "docker.service")
            return
        with open(f"{ROOT}/dockerd.pid") as file:
            pid = int(file.read())
        os.kill(pid, 15)
        wait_for("dockerd ends", lambda: not os.path.exists(f"/proc/{pid}") or is_zombie(pid), 60, 0.1)

    def make_image(self):
        """An image of a single static program with a shell and a web server, since there may be no registry."""
        if self.ask("image", "inspect", IMAGE, check=False).returncode == 0:
            return
        if not os.path.exists("/bin/busybox"):
            run("apt-get", "install", *APT, "busybox-static", timeout=300)
        archive = f"{ROOT}/busybox.tar"
        names = run("/bin/busybox", "--list").stdout.split()
        with tarfile.open(archive, "w") as tar:
            for folder in ("bin", "tmp", "etc", "www", "www/cgi-bin", "data"):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o777 if folder in ("tmp", "data") else 0o755
                tar.addfile(entry)
            tar.add("/bin/busybox", "bin/busybox")
            for name in names:
                if name != "busybox":
                    entry = tarfile.TarInfo(f"bin/{name}")
                    entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                    tar.addfile(entry)
        self.ask("import", "--change", "ENV PATH=/bin", "--change", 'CMD ["sh"]', archive, IMAGE)

    # Looking

    def containers(self, service):
        """Names of the containers of a service, those that have ended included."""
        label = f"label=roost.service={service['id']}"
        return sorted(self.ask("ps", "--all", "--filter", label, "--format", "{{.Names}}").stdout.split())

    def ids(self, service):
        label = f"label=roost.service={service['id']}"
        return set(self.ask("ps", "--all", "--quiet", "--filter", label).stdout.split())

    def images(self, service):
        out = self.ask("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
        return sorted(name for name in out if name.startswith(f"roost/{service['name']}-"))

    def inspect(self, name):
        return json.loads(self.ask("inspect", name).stdout)[0]


def is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def mount_control_groups():
    """What an init system does elsewhere; nothing where it has been done."""
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return
    if not os.path.ismount("/sys/fs/cgroup"):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/sys/fs/cgroup")
    for controller in ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"):
        folder = f"/sys/fs/cgroup/{controller}"
        if not os.path.ismount(folder):
            os.makedirs(folder, exist_ok=True)
            run("mount", "-t", "cgroup", "-o", controller, "cgroup", folder, check=False)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


if __name__ == "__main__":
    began = time.monotonic()
    engine = Engine()
    print(f"ready after {time.monotonic() - began:.1f} s: {engine.environment}")
