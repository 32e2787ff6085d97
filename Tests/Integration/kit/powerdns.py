"""A PowerDNS of a scenario's own."""

import json
import subprocess

from free_port import free_port

from .check import wait_for
from .hub import request

SCHEMA = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"


class PowerDNS:
    key = "scenario"

    def __init__(self, world):
        database = world.path("pdns.db")
        subprocess.run(["sqlite3", database, f".read {SCHEMA}"], check=True, timeout=60)
        self.port, self.dns_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = {
            "launch": "gsqlite3", "gsqlite3-database": database, "gsqlite3-pragma-synchronous": 0,
            "local-address": "127.0.0.1", "local-port": self.dns_port, "api": "yes", "api-key": self.key,
            "webserver": "yes", "webserver-address": "127.0.0.1", "webserver-port": self.port,
            "webserver-allow-from": "127.0.0.0/8", "socket-dir": world.root, "setuid": "", "setgid": "",
            "cache-ttl": 0, "query-cache-ttl": 0, "negquery-cache-ttl": 0, "zone-cache-refresh-interval": 0,
        }  # fmt: skip
        with open(world.path("pdns.conf"), "w") as file:
            file.writelines(f"{name}={value}\n" for name, value in settings.items())
        with open(world.path("pdns.log"), "wb") as out:
            process = subprocess.Popen(
                ["/usr/sbin/pdns_server", f"--config-dir={world.root}", "--daemon=no", "--guardian=no",
                 "--disable-syslog=yes", "--write-pid=no"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        world.processes.append(process)
        wait_for("PowerDNS answers", self.is_up, 30)

    def is_up(self):
        try:
            return self.get("").status == 200
        except OSError:
            return False

    def get(self, path):
        return request(self.url, path=f"/api/v1/servers/localhost{path}", headers={"X-API-Key": self.key})

    def records(self, zone):
        """(name, type) → contents, of a zone that is there."""
        sets = json.loads(self.get(f"/zones/{zone}.").body)["rrsets"]
        return {(one["name"].rstrip("."), one["type"]): [x["content"] for x in one["records"]] for one in sets}
