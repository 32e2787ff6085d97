"""A hub of its own for a test script: the real program on a free port and in a folder that goes with it."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "Fixtures"))
import ending  # noqa: E402, F401
from free_port import free_port  # noqa: E402

PROGRAM = os.path.abspath(os.environ.get("ROOST_BIN") or f"{HERE}/../../.build/debug/roost")


class RealHub:
    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="roost-hub-")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(f"{self.folder}/hub.log", "wb")
        self.start()
        return self

    def start(self):
        self.process = subprocess.Popen(
            [PROGRAM, "hub", "--data", f"{self.folder}/data", "--listen", f"127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/healthz", timeout=5).read()
                break
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, self.read_log()
                time.sleep(0.1)
        with open(f"{self.folder}/data/admin.key") as file:
            self.key = file.read().strip()

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def __exit__(self, *_):
        self.stop()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def read_log(self):
        with open(f"{self.folder}/hub.log", errors="replace") as file:
            return file.read()[-4000:]

    def ask(self, method, path, body=None, key=None, headers=None):
        """Status and JSON of a request to the API."""
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}", method=method, data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            text, status = error.read(), error.code
        return status, json.loads(text) if text else None

    def ok(self, method, path, body=None, key=None, headers=None):
        status, answer = self.ask(method, path, body, key, headers)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer


def wait_for(condition, seconds=60):
    """Asks again and again until the answer is something true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


def run(cases, *arguments):
    """Runs the cases one after the other; the last line says how many passed."""
    import sys
    import traceback

    passed = failed = 0
    for case in cases:
        try:
            case(*arguments)
        except BaseException as error:  # every case is told of; an interrupt ends the run
            failed += 1
            print(f"FAILED  {case.__doc__}")
            traceback.print_exception(error, limit=-6)
            if isinstance(error, KeyboardInterrupt):
                break
        else:
            passed += 1
            print(f"ok      {case.__doc__}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
