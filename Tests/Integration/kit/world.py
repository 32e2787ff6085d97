"""A world: real processes of Roost in a temporary folder, and their end."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from free_port import free_port

from .apps import python
from .check import Failure, expect, wait_for
from .hub import Hub, request
from .repository import Repository

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.abspath(os.environ.get("ROOST_BIN") or f"{HERE}/../../.build/debug/roost")


# Where Debian keeps the authorities that every program trusts.
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


class Load:
    """load.py beside the scenario, as a process of its own so that neither slows the other."""

    def __init__(self, url, rate=100, expect_text="", connect=None):
        command = [sys.executable, f"{HERE}/load.py", url, "--rate", str(rate), "--expect", expect_text]
        if connect:
            command += ["--connect", connect]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        time.sleep(0.3)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def end(self):
        out, _ = self.process.communicate(timeout=60)
        return json.loads(out)

    def end_without_failure(self):
        result = self.end()
        expect(result["sent"] > 0 and result["failed"] == 0, lambda: f"requests failed: {result}")
        return result


class World:
    """Everything that one scenario starts. `close` ends only that."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="roost-it-")
        # Accounts of services must reach their folders through it.
        os.chmod(self.root, 0o755)
        self.token = "".join(random.choices("abcdefghijkmnpqrstuvwxyz23456789", k=4))
        self.internal = f"127.53.{random.randint(10, 250)}.{random.randint(2, 250)}"
        self.processes = []
        self.names = []
        self.mounts = []
        self.endings = []
        # Programs that Roost is not to find.
        self.hidden = []
        self.notes = []
        # Internal names go into a hosts file of this world's own, so that worlds do not write over each other's.
        self.hosts = f"{self.root}/hosts"
        shutil.copyfile("/etc/hosts", self.hosts)
        self.authorities = f"{self.root}/authorities.pem"
        with open(self.hosts) as file:
            text = file.read()
        if "# BEGIN roost" in text:
            with open(self.hosts, "w") as file:
                file.write(text.split("# BEGIN roost")[0])

    def certificate(self):
        """A certificate for 127.0.0.1 that signs itself; answers its path and its key's."""
        paths = self.path("own.pem"), self.path("own.key")
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", paths[0], "-keyout", paths[1]]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return paths

    def trust(self, certificate):
        """Adds a certificate to what the programs of this world trust, from their next start on."""
        with open(self.authorities, "w") as out:
            for path in (AUTHORITIES, certificate):
                with open(path) as file:
                    out.write(file.read())
        os.environ["TRUSTED_BY_SCENARIO"] = self.authorities

    def at_end(self, body):
        """Something to do before the folder goes."""
        self.endings.append(body)

    def note(self, text):
        """Something worth reading beside the scenario's name, a figure say."""
        self.notes.append(text)

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def name(self, base):
        """A service name that no other world uses: accounts are the machine's."""
        name = f"{base}-{self.token}"
        if name not in self.names:
            self.names.append(name)
        return name

    def repository(self, name="app", files=None):
        return Repository(self.path("repos", name), files or python())

    # Processes

    def spawn(self, log, *arguments, environment=None, isolated=True):
        """Roost with these arguments, in a mount namespace whose /etc/hosts is this world's."""
        command = [PROGRAM, *arguments]
        if isolated and os.geteuid() == 0:
            command = self.inside(command)
        with open(self.path(log), "ab") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env={**clean_environment(), **(environment or {})},
            )
        self.processes.append(process)
        return process

    def run(self, *arguments, check=True, environment=None, text_in=None, timeout=120):
        """Roost as a command: answers what it did."""
        command = [PROGRAM, *arguments]
        done = subprocess.run(
            self.inside(command) if os.path.exists(self.authorities) else command,
            capture_output=True,
            text=True,
            timeout=timeout,
            input=text_in,
            env={**clean_environment(), **(environment or {})},
        )
        if check and done.returncode != 0:
            raise Failure(f"roost {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def inside(self, command):
        """The command in a mount namespace with this world's names and authorities."""
        mounts = 'mount --bind "$0" /etc/hosts && '
        if os.path.exists(self.authorities):
            mounts += f"mount --bind {self.authorities} {AUTHORITIES} && "
        mounts += "".join(f"mount --bind /dev/null {path} && " for path in self.hidden)
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts + 'exec "$@"', self.hosts, *command]

    def log(self, name):
        with open(self.path(name), errors="replace") as file:
            return file.read()

    def folder_processes(self, below=None):
        """pid → command line of what works in this world's folder, or a part of it."""
        folder = self.path(below) if below else self.root
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                line = b" ".join(words).decode("utf-8", "replace").strip()
                inside = os.readlink(f"/proc/{pid}/cwd")
            except OSError:
                continue
            if int(pid) != os.getpid() and (f"{folder}/" in line or f"{inside}/".startswith(f"{folder}/")):
                found[int(pid)] = line
        return found

    def close(self, keep=False):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for body in reversed(self.endings):
            body()
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
            left = self.folder_processes()
            for pid in left:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            end = time.monotonic() + (5 if number == signal.SIGTERM else 1)
            while left and time.monotonic() < end and self.folder_processes():
                time.sleep(0.05)
        for mount in reversed(self.mounts):
            subprocess.run(["umount", "-l", mount], check=False)
        if os.geteuid() == 0:
            for name in self.names:
                account = f"roost-{name}"
                if subprocess.run(["id", "-u", account], capture_output=True).returncode == 0:
                    subprocess.run(["userdel", account], capture_output=True)
        if not keep:
            shutil.rmtree(self.root, ignore_errors=True)


def clean_environment():
    return {key: value for key, value in os.environ.items() if not key.startswith("ROOST_")}


class Up:
    """`roost up` of a world."""

    def __init__(self, world, *arguments, environment=None, data="data"):
        self.world = world
        self.data = world.path(data)
        self.port, self.edge_port = free_port(), free_port()
        self.url, self.edge_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.edge_port}"
        self.arguments = [
            "up",
            "--data",
            self.data,
            "--listen",
            f"127.0.0.1:{self.port}",
            "--edge",
            f"127.0.0.1:{self.edge_port}",
            "--internal-host",
            world.internal,
            *arguments,
        ]
        self.start(environment)

    def start(self, environment=None):
        self.process = self.world.spawn("up.log", *self.arguments, environment=environment)
        wait_for("hub answers", self.is_up, 60)
        self.hub = Hub(self.url, read_key(self.data))

    def is_up(self):
        expect(self.process.poll() is None, lambda: f"roost up ended: {self.world.log('up.log')[-2000:]}")
        return answers(self.url) and os.path.exists(f"{self.data}/admin.key")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self, seconds=30):
        self.process.terminate()
        return self.process.wait(seconds)

    def cli(self, *arguments, **options):
        environment = {"ROOST_URL": self.url, "ROOST_API_KEY": self.hub.key, "HOME": self.world.root}
        return self.world.run(*arguments, environment=environment, **options)

    def fetch(self, path, headers=None, timeout=10):
        return request(self.edge_url, "GET", path, headers, timeout=timeout)

    def serves(self, path, text):
        """Whether the edge answers this path with 200 and the text."""
        try:
            answer = self.fetch(path)
        except OSError:
            return False
        return answer.status == 200 and text in answer.text

    def service(self, name, repository, **fields):
        """Makes a Python service below its own path; answers the service as the hub created it."""
        spec = {
            "name": self.world.name(name),
            "git_url": repository.url,
            "run_command": "exec python3 app.py",
            "path": f"/{name}",
            "health_check": {"path": "/healthz", "interval": "1s", "grace": "20s"},
            **fields,
        }
        spec = {key: value for key, value in spec.items() if value is not None}
        return self.hub.create_service(spec)

    def live(self, name, repository, **fields):
        service = self.service(name, repository, **fields)
        self.hub.active(service["id"])
        return service

    def agent_folder(self, *parts):
        return os.path.join(self.data, "agent", *parts)

    def app_pids(self, service):
        """Processes of a service's releases."""
        return set(
            self.world.folder_processes(
                os.path.relpath(self.agent_folder("services", service["name"], "releases"), self.world.root)
            )
        )

    def releases(self, service):
        folder = self.agent_folder("services", service["name"], "releases")
        return sorted(name[:-5] for name in os.listdir(folder) if name.endswith(".json"))


def answers(url):
    try:
        return request(url, "GET", "/healthz", timeout=2).status == 200
    except OSError:
        return False


def read_key(data):
    with open(f"{data}/admin.key") as file:
        return file.read().strip()
