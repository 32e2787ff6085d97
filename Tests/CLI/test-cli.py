#!/usr/bin/env python3
"""Drives the built program from a shell's point of view: a hub with an agent, and the commands of docs/cli.md."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Fixtures"))
import ending  # noqa: E402, F401
from free_port import free_port  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("ROOST_BIN", ROOT / ".build" / "debug" / "roost"))
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="roost-cli-test-"))
APP = """import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("%s " + os.environ.get("KEY", "")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
print("version %s starts", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

results = []


HUB, EDGE = free_port(), free_port()
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": str(FOLDER), "ROOST_URL": f"http://127.0.0.1:{HUB}"}


def roost(*words, given="", status=0, **variables):
    """Runs a command and answers its standard output; fails when the exit status is another than the expected."""
    done = subprocess.run(
        [PROGRAM, *words], input=given, capture_output=True, text=True, timeout=120, env={**ENVIRONMENT, **variables})
    assert done.returncode == status, f"roost {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if status == 0 else done.stderr


def page(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{EDGE}{path}", timeout=10) as answer:
        return answer.read().decode()


def commit(version, text=None):
    (FOLDER / "app" / "app.py").write_text(text or APP % (version, version))
    for words in (["add", "."], ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", version]):
        subprocess.run(["git", "-C", FOLDER / "app", *words], check=True)


def check(function):
    started = time.monotonic()
    try:
        function()
    except Exception as error:
        print(f"FAILED  {function.__doc__}: {error}")
        results.append(False)
    else:
        print(f"ok      {function.__doc__} ({time.monotonic() - started:.1f} s)")
        results.append(True)


def errors():
    """errors are one sentence and a hint, with the right status"""
    assert roost("servce", status=64).startswith("There is no command servce. Did you mean service?")
    assert "--json" in roost("service", "list", "--jsn", status=64)
    assert "Run `roost login`" in roost("stack", "list", status=1)
    nowhere = roost("stack", "list", "--url", f"http://127.0.0.1:{free_port()}", status=1)
    assert nowhere.startswith("Error: No hub answers at ") and "roost up" in nowhere
    assert "--health-check-path" in roost("service", "create", "--help")


def login():
    """login stores the key for its owner alone, and refuses a wrong one"""
    assert "does not know this key" in roost("login", given="roost_wrong\n", status=1)
    key = (FOLDER / "data" / "admin.key").read_text()
    roost("login", given=key)
    assert (FOLDER / ".config/roost/profiles.json").stat().st_mode & 0o777 == 0o600
    assert "default" in roost("stack", "list")
    assert key.strip() not in roost("status")


def create():
    """a service is created, built and served, with its output shown"""
    commit("one")
    plan = roost(
        "service", "create", "app", "--git-url", f"file://{FOLDER}/app", "--run-command", "python3 app.py", "--path",
        "/app", "--plan")
    assert "+ service app" in plan and json.loads(roost("service", "list", "--json")) == []
    done = subprocess.run(
        [PROGRAM, "service", "create", "app", "--git-url", f"file://{FOLDER}/app", "--run-command", "python3 app.py",
         "--build-command", "echo building it", "--path", "/app", "--secret-env", "KEY=-"],
        input="s3cret\n", capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "building it" in done.stderr and "s3cret" not in done.stdout + done.stderr
    assert page("/app") == "one s3cret"
    assert "s3cret" not in roost("service", "show", "app", "--json")


def deploy():
    """deploy follows the newest commit, does nothing twice, and rolls back"""
    commit("two")
    roost("deploy", "app")
    assert page("/app") == "two s3cret"
    assert "Nothing to do" in roost("deploy", "app")
    roost("rollback", "app")
    assert page("/app") == "one s3cret"


def failure():
    """a failed deployment is a failed command, and the old release serves on"""
    commit("three", "raise SystemExit('boom')\n")
    message = roost("deploy", "app", status=1)
    assert "boom" in message, message
    assert page("/app") == "one s3cret"
    commit("four")
    roost("deploy", "app")
    assert page("/app") == "four s3cret"


def update():
    """an update changes what is named and keeps the rest, secrets included"""
    roost("service", "update", "app", "--env", "EXTRA=1")
    assert page("/app") == "four s3cret"
    assert json.loads(roost("service", "show", "app", "--json"))["env"] == {"EXTRA": "1", "KEY": {"secret": True}}
    roost("service", "update", "app", "--unset", "env.EXTRA")
    assert json.loads(roost("service", "show", "app", "--json"))["env"] == {"KEY": {"secret": True}}
    assert "Nothing to change" in roost("service", "update", "app", status=64)
    assert "between 1 and 65535" in roost("service", "update", "app", "--port", "70000", status=1)


def apply():
    """apply makes a stack what a file says, and a second time changes nothing"""
    file = FOLDER / "stack.yaml"
    text = f"""name: default
services:
  app:
    git_url: file://{FOLDER}/app
    run_command: python3 app.py
    path: /app
    env: {{KEY: {{secret: true, from_env: APP_KEY}}}}
  other:
    git_url: file://{FOLDER}/app
    run_command: python3 app.py
    path: /other
    env: {{KEY: plain}}
"""
    file.write_text(text)
    assert "APP_KEY is not set" in roost("plan", "-f", str(file), status=1)
    before = roost("stack", "show", "default", "--json")
    assert "+ service other" in roost("plan", "-f", str(file), APP_KEY="x")
    assert roost("stack", "show", "default", "--json") == before
    roost("apply", "-f", str(file), APP_KEY="x")
    assert page("/other") == "four plain"
    assert roost("apply", "-f", str(file), APP_KEY="x") == "No changes.\n"
    file.write_text(text.replace("path: /other", "pth: /other"))
    assert "stack.yaml:11: services.other.pth is not a known field. Did you mean path?" in roost(
        "apply", "-f", str(file), status=1, APP_KEY="x")
    changed = text.replace("KEY: plain", "KEY: changed")
    file.write_text(changed)
    planned = roost("plan", "-f", str(file), APP_KEY="x")
    assert "On server local:" in planned and "other: drain and stop 1 instance" in planned, planned
    file.write_text(changed.replace("path: /other", "path: /other\n    git_ref: nowhere"))
    for _ in range(2):
        # Applied again, there is nothing to change, and still it does not run.
        assert "has no branch or tag nowhere" in roost("apply", "-f", str(file), status=1, APP_KEY="x")
    file.write_text(text[: text.index("  other:")])
    assert "--yes" in roost("apply", "-f", str(file), "--prune", status=1, APP_KEY="x")
    roost("apply", "-f", str(file), "--prune", "--yes", APP_KEY="x")
    assert [one["name"] for one in json.loads(roost("service", "list", "--json"))] == ["app"]


def sites():
    """a domain is put up whole and taken down whole, and its secrets are on no command line"""
    assert "--upstream" in roost("site", "provision", "a.example.org", status=64)
    refused = roost("site", "provision", "a.example.org", "--upstream", "app", "--user", "ada:pl4in", status=64)
    assert "command line" in refused and "pl4in" not in refused
    assert "no service of the stack (app)" in roost("site", "provision", "a.example.org", "--upstream", "ap", status=1)
    plan = roost("site", "provision", "a.example.org", "--upstream", "app", "--plan")
    assert "+ site a.example.org" in plan and "route a.example.org" in plan, plan
    secret = FOLDER / "password"
    secret.write_text("battery staple\n")
    roost("site", "provision", "a.example.org", "--upstream", "app", "--user", "ada", "--user", f"eve:@{secret}",
          "--no-wait", given="correct horse\n")
    users = json.loads(roost("site-user", "list", "--site", "a.example.org", "--json"))
    assert sorted(one["username"] for one in users) == ["ada", "eve"]
    assert "horse" not in json.dumps(users) and "$2b$" not in json.dumps(users)
    assert "taken already" in roost("site", "provision", "A.example.org.", "--upstream", "app", status=1)
    roost("site", "provision", "b.example.org", "--upstream", "app", "--token", "-", "--no-wait", given="t0ken" * 4)
    listed = json.loads(roost("site", "list", "--json"))
    assert {one["domain"]: one["auth"] for one in listed} == {"a.example.org": "basic", "b.example.org": "token"}
    assert "a.example.org" in roost("service", "delete", "app", "--yes", status=1)
    assert "--yes" in roost("site", "unprovision", "a.example.org", status=1)
    assert roost("site", "unprovision", "a.example.org", "--yes") == "Removed site a.example.org.\n"
    roost("site", "unprovision", "b.example.org", "--yes")
    assert json.loads(roost("site-user", "list", "--json")) == []
    file = FOLDER / "stack.yaml"
    text = file.read_text() + "sites:\n  c.example.org: {upstream: app, rate_limit: {concurrent: 5}, hsts: {}}\n"
    file.write_text(text)
    roost("apply", "-f", str(file), "--no-wait", APP_KEY="x")
    assert roost("apply", "-f", str(file), APP_KEY="x") == "No changes.\n"
    file.write_text(text.replace("upstream: app", "upstream: nobody"))
    assert "site c.example.org: upstream" in roost("apply", "-f", str(file), status=1, APP_KEY="x")
    file.write_text(text[: text.index("sites:")])
    assert "- site c.example.org" in roost("plan", "-f", str(file), "--prune", APP_KEY="x")
    roost("apply", "-f", str(file), "--prune", "--yes", APP_KEY="x")
    assert json.loads(roost("site", "list", "--json", "--status", "active")) == []


def observe():
    """status, events, logs, audit and search show what happened"""
    assert "local" in roost("status") and "app" in roost("status", "--json")
    assert "is live" in roost("events", "--limit", "200")
    assert [one["kind"] for one in json.loads(roost("event", "list", "--limit", "3", "--json"))]
    assert "version four starts" in roost("logs", "app") and "version four starts" in roost("service", "logs", "app")
    newest = json.loads(roost("deployment", "list", "--json"))[0]["id"]
    roost("deployment", "logs", newest)
    assert "key:" in roost("audit", "--limit", "5")
    assert "service" in roost("search", "app")
    line = roost("server", "add")
    assert line.startswith("curl ") and "rit_" in line


def follow():
    """what happens is shown as it comes, behind what was there"""
    commit("five", APP.replace("starts", "starts anew") % ("five", "five"))
    # What is there, and what comes.
    awaited = {
        ("log", "list", "--service", "app"): ("four starts", "five starts anew"),
        ("log", "list", "--type", "service", "--json"): ("four starts", "five starts anew"),
        ("events",): ("is live", "is live"),
    }
    followers = {
        words: subprocess.Popen([PROGRAM, *words, "--follow"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, env=ENVIRONMENT)
        for words in awaited
    }
    try:
        shown = {words: read_until(follower, awaited[words][0]) for words, follower in followers.items()}
        roost("deploy", "app")
        for words, follower in followers.items():
            text = read_until(follower, awaited[words][1])
            starts = [line for line in (shown[words] + text).splitlines() if "starts" in line]
            assert len(starts) == len(set(starts)), f"{words} shows twice what was there: {starts}"
            if "--json" in words:
                assert json.loads(text.splitlines()[-1])["service_id"], text
    finally:
        for follower in followers.values():
            follower.terminate()
            follower.communicate(timeout=60)


def read_until(follower, awaited):
    """The lines of a command up to the one with these words."""
    watch = threading.Timer(60, follower.kill)
    watch.start()
    try:
        lines = []
        for line in follower.stdout:
            lines.append(line)
            if awaited in line:
                return "".join(lines)
        raise AssertionError(f"it ended without {awaited}: {''.join(lines)}")
    finally:
        watch.cancel()


def delete():
    """deletion asks first, and leaves nothing behind"""
    assert "--yes" in roost("service", "delete", "app", status=1)
    roost("service", "delete", "app", "--yes")
    assert "There is no service app" in roost("service", "show", "app", status=1)
    assert json.loads(roost("service", "list", "--json")) == []


def main():
    # Services run under accounts of their own, which must get through to their releases.
    FOLDER.chmod(0o755)
    subprocess.run(["git", "init", "-q", "-b", "main", FOLDER / "app"], check=True)
    hub = subprocess.Popen(
        [PROGRAM, "up", "--data", FOLDER / "data", "--listen", f"127.0.0.1:{HUB}", "--edge", f"127.0.0.1:{EDGE}",
         "--internal-host", f"127.53.{os.getpid() >> 8 & 255}.{os.getpid() % 253 + 1}"],
        stdin=subprocess.DEVNULL, stdout=open(FOLDER / "up.log", "w"), stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while not (FOLDER / "data" / "admin.key").exists() or not listens(HUB) or not listens(EDGE):
            assert hub.poll() is None and time.monotonic() < deadline, (FOLDER / "up.log").read_text()
            time.sleep(0.05)
        for function in (errors, login, create, deploy, failure, update, apply, sites, observe, follow, delete):
            check(function)
    finally:
        hub.send_signal(signal.SIGTERM)
        try:
            hub.wait(timeout=60)
        except subprocess.TimeoutExpired:
            hub.kill()
            results.append(False)
            print("FAILED  the hub ends when it is asked to")
        end_leftovers()
        shutil.rmtree(FOLDER, ignore_errors=True)
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    sys.exit(0 if results and all(results) else 1)


def end_leftovers():
    """A hub that died leaves its applications running, as it should; these are known by the folder of this test."""
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
            if str(FOLDER) in words or str(FOLDER) in os.readlink(entry / "cwd"):
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            # It ended by itself.
            continue


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
