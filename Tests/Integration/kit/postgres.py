"""A PostgreSQL of a scenario's own, with the disk synced as in earnest."""

import glob
import os
import shutil
import subprocess

from free_port import free_port

from .check import expect


class Postgres:
    def __init__(self, world):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
        expect(found, "no PostgreSQL server is installed")
        self.programs = os.path.dirname(found[-1])
        self.folder = world.path("postgres")
        self.port = free_port()
        os.makedirs(self.folder)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        self.call("initdb", "-D", self.data, "-U", "roost", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        self.control("start")
        world.at_end(lambda: self.control("stop"))
        self.url = f"postgres://roost@127.0.0.1:{self.port}/postgres"

    @property
    def data(self):
        return f"{self.folder}/data"

    def call(self, program, *arguments):
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        subprocess.run(
            [*user, f"{self.programs}/{program}", *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            cwd="/",
        )

    def control(self, *words):
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=on"
        self.call("pg_ctl", "-D", self.data, "-l", f"{self.folder}/log", "-w", "-o", options, "-m", "immediate", *words)

    def query(self, text):
        """What psql answers: one row a line."""
        command = [f"{self.programs}/psql", "-Atc", text, self.url]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()

    def restart(self):
        """As after a power cut: no goodbye to anybody."""
        self.control("restart")
