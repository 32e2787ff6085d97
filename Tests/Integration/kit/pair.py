"""Hubs that share a PostgreSQL, and what their dashboards hear."""

import http.client
import json
import os
import shutil
import threading
import urllib.parse

from free_port import free_port

from .check import wait_for
from .hub import Hub
from .world import answers, read_key


class Page:
    """The event stream of a dashboard, as a browser reads it."""

    def __init__(self, hub, *topics):
        login = hub.api.ask("POST", "/login", {"key": hub.api.key})
        cookie = login.headers["Set-Cookie"].split(";")[0]
        parts = urllib.parse.urlsplit(hub.url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
        self.connection.request("GET", f"/live?topics={'+'.join(topics)}", headers={"Cookie": cookie})
        self.kinds = set()
        self.answer = self.connection.getresponse()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for line in self.answer:
                if line.startswith(b"data: "):
                    self.kinds |= set(json.loads(line[6:])["kinds"])
        except (OSError, http.client.HTTPException, ValueError):
            pass  # its hub was killed


class PostgresHub:
    """A hub of several on one database."""

    def __init__(self, world, postgres, name, master=None):
        self.world, self.postgres, self.name = world, postgres, name
        self.data = world.path(f"hub-{name}")
        if master:
            os.makedirs(f"{self.data}/hub", mode=0o700)
            shutil.copy(f"{master.data}/hub/master.key", f"{self.data}/hub/master.key")
            shutil.copy(f"{master.data}/admin.key", f"{self.data}/admin.key")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.process = self.world.spawn(
            f"hub-{self.name}.log", "hub", "--data", self.data, "--listen", f"127.0.0.1:{self.port}",
            "--store", self.postgres.url, isolated=False,
        )
        wait_for(f"hub {self.name} answers", lambda: answers(self.url), 60)
        self.api = Hub(self.url, read_key(self.data))

    def kill(self):
        self.process.kill()
        self.process.wait()
