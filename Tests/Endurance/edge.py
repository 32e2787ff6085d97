"""A real edge process and the peers around it, for tests of what only shows from outside: memory, descriptors, time."""
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Fixtures"))
import ending  # noqa: E402, F401
from free_port import free_port  # noqa: E402


class Edge:
    """Starts `roost edge` on ports of its own, or after the one that has them. Below /static it serves a folder."""

    def __init__(self, upstream_port, files=None, generation=None, after=None, static=None):
        self.folder = after.folder if after else tempfile.mkdtemp(prefix="edge-endurance-")
        self.port = after.port if after else free_port()
        self.tls_port = after.tls_port if after else free_port()
        self.listeners = {
            "public_address": f"127.0.0.1:{self.port}", "tls_address": f"127.0.0.1:{self.tls_port}",
            "control_socket": f"{self.folder}/edge.sock",
            "table_path": f"{self.folder}/table.json", "log_folder": f"{self.folder}/log"}
        if generation is not None:
            self.listeners["generation"] = generation
        if not after:
            endpoint = {"host": "127.0.0.1", "port": upstream_port}
            upstream = {"id": "web", "name": "web", "mode": "serve", "endpoints": [endpoint]}
            route = {"hosts": [], "path_prefix": "/", "strip_prefix": False, "upstream_id": "web"}
            routes, upstreams = [route], [upstream]
            if static:
                routes.append({**route, "path_prefix": "/static", "strip_prefix": True, "upstream_id": "static"})
                upstreams.append(
                    {"id": "static", "name": "static", "mode": "serve", "endpoints": [], "static_folder": static})
            write(f"{self.folder}/table.json", json.dumps({
                "routes": routes, "internal_names": {}, "internal_suffix": "svc.internal", "upstreams": upstreams}))
        config = f"{self.folder}/edge-{generation or 0}.json"
        write(config, json.dumps(self.listeners))

        def limit():
            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        self.log = f"{self.folder}/edge-{generation or 0}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [os.environ["ROOST_BIN"], "edge", "--log-level", "warning", "--config", config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=limit)
        self.wait(lambda: self.status().get("generation") == generation)

    def thread_states(self):
        """A letter for each thread: T for one that is stopped."""
        tasks = f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/stat") as file:
                yield file.read().rpartition(")")[2].split()[0]

    def wait(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                if condition():
                    return
            except (OSError, ValueError):
                pass
            time.sleep(0.02)
        with open(self.log) as log:
            raise AssertionError(f"the edge did not come to what was waited for: {log.read()[-1000:]}")

    def status(self):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(5)
            control.connect(self.listeners["control_socket"])
            control.sendall(b'{"status":true}\n')
            return json.loads(control.makefile().readline())["ok"]

    def memory(self):
        """Without the program's file, whose pages come in and go as they are used."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as rollup:
            return sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss_Anon:"))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def connect(self, timeout=30):
        return Client(self.port, timeout)


class Client:
    """One connection, with the plainest reading of answers."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def ask(self, path="/", host="a"):
        self.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")

    def get(self, path="/", host="a"):
        self.ask(path, host)
        return self.response()

    def until(self, end):
        while end not in self.buffer:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("the connection ended")
            self.buffer += more
        found, self.buffer = self.buffer.split(end, 1)
        return found

    def head(self):
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        # A request has its target in the place of the status.
        second = lines[0].split()[1]
        return int(second) if second.isdigit() else second, fields

    def response(self):
        status, fields = self.head()
        length = int(fields.get("content-length", 0))
        while len(self.buffer) < length:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("the body ended early")
            self.buffer += more
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return status, fields, body

    def close(self):
        self.socket.close()


class Upstream:
    """A server on threads; `script(client)` is what a connection does, a Client of its own."""

    def __init__(self, script):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.script = script
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        client = Client.__new__(Client)
        client.socket, client.buffer = connection, b""
        try:
            self.script(client)
        except (OSError, ConnectionError):
            pass  # A peer that goes away is what many of these tests are about.
        finally:
            connection.close()

    def stop(self):
        self.listener.close()


class Nginx:
    """An upstream that is fast enough for load."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="edge-endurance-nginx-")
        os.chmod(self.folder, 0o755)
        self.port = free_port()
        write(f"{self.folder}/1k", "x" * 1024)
        temporary = " ".join(f"{name}_temp_path {self.folder}/{name};"
                             for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        write(f"{self.folder}/nginx.conf", f"""worker_processes 1; daemon off; pid {self.folder}/pid;
error_log {self.folder}/error.log; events {{ worker_connections 8192; }}
http {{ access_log off; open_file_cache max=10; keepalive_requests 1000000000; keepalive_timeout 1h; {temporary}
  server {{ listen 127.0.0.1:{self.port} backlog=4096; root {self.folder}; }} }}""")
        self.process = subprocess.Popen(["nginx", "-c", f"{self.folder}/nginx.conf"], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("nginx did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
