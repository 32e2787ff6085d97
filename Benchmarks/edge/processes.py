"""Processes that are measured: starting and stopping them, their CPU time and their memory."""
import os
import signal
import socket
import subprocess
import time

HERTZ = os.sysconf("SC_CLK_TCK")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Process:
    """A server and all of its children."""

    def __init__(self, argv, log, env=None):
        self.log = log
        with open(log, "ab") as output:
            self.child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, **(env or {})})

    def pids(self):
        found, look = [], [self.child.pid]
        while look:
            pid = look.pop()
            found.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children") as children:
                        look += [int(child) for child in children.read().split()]
            except FileNotFoundError:
                pass
        return found

    def cpu_seconds(self):
        total = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
            except FileNotFoundError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / HERTZ

    def pss_bytes(self):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                total += sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))
        return total

    def wait_for(self, port, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.child.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        with open(self.log, errors="replace") as log:
            raise SystemExit(f"{self.child.args[0]} does not answer on port {port}:\n{log.read()[-2000:]}")

    def stop(self):
        if self.child.poll() is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(self.child.pid, number)
            try:
                self.child.wait(5)
                return
            except subprocess.TimeoutExpired:
                continue
