"""`roost hub` and `roost agent` as processes of their own."""

import base64
import json
import os
import secrets
import hashlib
import subprocess
import time

from free_port import free_port

from .check import expect, wait_for
from .hub import Hub, request
from .world import answers, read_key

PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")


class HubProcess:
    """`roost hub`."""

    def __init__(self, world, data="hubdata", address="127.0.0.1", port=None, tls=None):
        self.world = world
        self.data = world.path(data)
        self.port = port or free_port(address)
        self.url = f"{'https' if tls else 'http'}://{address}:{self.port}"
        self.options = ["--tls-certificate", tls[0], "--tls-key", tls[1]] if tls else []
        self.listen = f"{address}:{self.port}"
        self.start()
        self.ensure_stack()

    def start(self):
        self.process = self.world.spawn("hub.log", "hub", "--data", self.data, "--listen", self.listen, *self.options, isolated=False)
        wait_for("hub answers", self.is_up, 60)
        self.api = Hub(self.url, read_key(self.data))

    def is_up(self):
        expect(self.process.poll() is None, lambda: f"roost hub ended: {self.world.log('hub.log')[-2000:]}")
        return answers(self.url) and os.path.exists(f"{self.data}/admin.key")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ensure_stack(self, **fields):
        if not self.api.items("/stacks"):
            self.api.ok("POST", "/stacks", {"name": "default", "poll_interval": "2s", **fields})

    def stack(self):
        return self.api.stack()

    def token(self, **fields):
        """The text of a new install token."""
        return self.api.ok("POST", "/install-tokens", {"stack_id": self.stack()["id"], **fields})["token"]

    def cli(self, *arguments, **options):
        environment = {"ROOST_URL": self.url, "ROOST_API_KEY": self.api.key, "HOME": self.world.root}
        return self.world.run(*arguments, environment=environment, **options)

    def service(self, name, repository, **fields):
        spec = {
            "name": self.world.name(name),
            "git_url": repository.url,
            "run_command": "exec python3 app.py",
            "path": f"/{name}",
            "health_check": {"path": "/healthz", "interval": "1s", "grace": "20s"},
            **fields,
        }
        return self.api.create_service({key: value for key, value in spec.items() if value is not None})

    def live(self, name, repository, **fields):
        service = self.service(name, repository, **fields)
        self.api.active(service["id"])
        return service


class Agent:
    """`roost agent`, with an edge and an internal address of its own."""

    count = 0

    def __init__(self, world, hub, name, url=None):
        Agent.count += 1
        self.world, self.hub, self.name = world, hub, name
        self.url = url or hub.url
        self.data = world.path(f"agent-{name}")
        first, second, third, fourth = world.internal.split(".")
        self.internal = f"{first}.{second}.{third}.{(int(fourth) + Agent.count) % 250 + 2}"
        self.edge_port = free_port()
        self.edge_url = f"http://127.0.0.1:{self.edge_port}"
        self.process = None

    def path(self, *parts):
        return os.path.join(self.data, *parts)

    def try_join(self, token, *arguments):
        """Whatever comes of it; the token goes through the environment, as in the install line."""
        return self.world.run(
            "agent",
            "join",
            self.url,
            "--data",
            self.data,
            *arguments,
            check=False,
            environment={"ROOST_TOKEN": token},
            text_in="",
        )

    def join(self, token):
        done = self.try_join(token)
        expect(done.returncode == 0, f"agent join: {done.stdout}{done.stderr}")

    @property
    def identity(self):
        with open(self.path("identity.json")) as file:
            return json.load(file)

    def start(self, environment=None, more=()):
        self.process = self.world.spawn(
            f"agent-{self.name}.log",
            "agent",
            "run",
            "--data",
            self.data,
            "--edge",
            f"127.0.0.1:{self.edge_port}",
            "--internal-host",
            self.internal,
            "--log-level",
            "debug",
            *more,
            environment=environment,
        )

    def kill(self):
        self.process.kill()
        self.process.wait()

    def fetch(self, path):
        try:
            return request(self.edge_url, "GET", path, timeout=10)
        except OSError:
            return NoAnswer()

    def app_pids(self, service):
        return set(
            self.world.folder_processes(
                os.path.relpath(self.path("services", service["name"], "releases"), self.world.root)
            )
        )

    # Requests as the agent signs them

    def sign(self, method, path, body=b"", time_ms=None, nonce=None):
        """Headers of a signed request, made by openssl with the agent's own key."""
        identity = self.identity
        time_ms = int(time.time() * 1000) if time_ms is None else time_ms
        nonce = nonce or secrets.token_hex(16)
        text = "\n".join(
            [
                "roost request v1",
                method,
                path,
                identity["node_id"],
                str(time_ms),
                nonce,
                hashlib.sha256(body).hexdigest(),
            ]
        )
        key, message = self.world.path("signing.der"), self.world.path("signing.txt")
        with open(key, "wb") as file:
            file.write(PKCS8_ED25519 + base64.b64decode(identity["private_key"]))
        with open(message, "w") as file:
            file.write(text)
        signature = subprocess.run(
            ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-keyform", "DER", "-in", message],
            check=True,
            capture_output=True,
        ).stdout
        return {
            "Roost-Node": identity["node_id"],
            "Roost-Time": str(time_ms),
            "Roost-Nonce": nonce,
            "Roost-Signature": base64.b64encode(signature).decode(),
        }

    def signed(self, method, path, body=b"", headers=None, **options):
        headers = {**self.sign(method, path, body, **options), **(headers or {})}
        if body:
            headers.setdefault("Content-Type", "application/json")
        return request(self.hub.url, method, path, headers, body or None)


class NoAnswer:
    status, text = 0, ""
