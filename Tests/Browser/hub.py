"""A real hub with its own data folder, ports and repositories, for the browser tests."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Fixtures"))
from free_port import free_port  # noqa: E402

APP = '''
import http.server, os, sys
text = open("version.txt").read().strip()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        secret = os.environ.get("SHOP_SECRET", "")
        body = f"{text} secret-length={len(secret)}\\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        print("asked for", self.path, flush=True)
print("shop starts", text, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''


def wait_for(what, condition, seconds=60.0, pause=0.2):
    """Calls `condition` until it answers something true; raises with `what` when time is up."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)


class Repository:
    """A git repository whose application says its version."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)
        self.git("init", "-q", "-b", "main")
        with open(f"{folder}/app.py", "w") as file:
            file.write(APP)

    @property
    def url(self):
        return f"file://{self.folder}"

    def git(self, *arguments):
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *identity, "-C", self.folder, *arguments], check=True, capture_output=True, text=True).stdout

    def commit(self, version):
        with open(f"{self.folder}/version.txt", "w") as file:
            file.write(version + "\n")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", version)
        return self.git("rev-parse", "HEAD").strip()


class Hub:
    """`roost up --example` in a temporary folder."""

    def __init__(self, program):
        self.program = program
        self.folder = tempfile.mkdtemp(prefix="roost-browser-")
        os.chmod(self.folder, 0o755)
        self.port, self.edge = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.edge_url = f"http://127.0.0.1:{self.edge}"
        self.log = open(f"{self.folder}/roost.log", "ab")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "up", "--data", f"{self.folder}/data", "--listen", f"127.0.0.1:{self.port}",
             "--edge", f"127.0.0.1:{self.edge}", "--example",
             "--internal-host", f"127.53.{os.getpid() >> 8 & 255}.{os.getpid() % 253 + 1}"],
            stdout=self.log, stderr=self.log, start_new_session=True)
        wait_for("the hub answers", self.is_up, seconds=60)
        key_file = f"{self.folder}/data/admin.key"
        wait_for("the administrator's key is written", lambda: os.path.exists(key_file), seconds=20)
        with open(key_file) as file:
            self.key = file.read().strip()

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the hub ended with status {self.process.returncode}; see {self.folder}/roost.log")
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def end(self):
        """Ends the hub as an administrator would; answers how long that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - began

    def remove(self, keep):
        if self.process and self.process.poll() is None:
            self.end()
        self.log.close()
        self.end_leftovers()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def end_leftovers(self):
        """Ends what a crashed hub left running in this folder, and nothing else."""
        own = []
        for number in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{number}/cmdline", "rb") as file:
                    if self.folder.encode() in file.read():
                        own.append(int(number))
            except OSError:
                continue  # it ended by itself
        for number in own:
            try:
                os.kill(number, signal.SIGTERM)
            except ProcessLookupError:
                continue

    def api(self, method, path, body=None):
        """One API request as the administrator; answers (status, JSON)."""
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}", method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def service(self, name):
        items = self.api("GET", "/services")[1]["items"]
        return next((item for item in items if item["name"] == name), None)

    def fetch(self, path, host=None):
        """What a visitor gets at the edge; None when there is no answer."""
        request = urllib.request.Request(f"{self.edge_url}{path}", headers={"Host": host} if host else {})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None
