#!/usr/bin/env python3
"""Time from `git push` to live, in parts, and what the idle processes weigh.

push_to_live.py [--pushes N] [--memory-only]

A post-receive hook of a real repository calls the service's webhook. Live is the moment at which a request through the
edge is answered by the new version. Roost's own share is what is left after the time that the application's build
command takes by itself, and the time from the start of its process to the moment at which it listens.
"""

import argparse
import json
import os
import statistics
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../Tests/Integration")
sys.dont_write_bytecode = True

from kit.agent import Agent, HubProcess  # noqa: E402
from kit.check import wait_for  # noqa: E402
from kit.repository import Repository  # noqa: E402
from kit.world import PROGRAM, Up, World  # noqa: E402

SAMPLES = f"{HERE}/../examples/sample"
HOOK = """#!/usr/bin/env python3
import hashlib, hmac, sys, time, urllib.request
old, new, ref = sys.stdin.readline().split()
body = ('{"ref":"%s","after":"%s"}' % (ref, new)).encode()
code = hmac.new(b"@SECRET@", body, hashlib.sha256).hexdigest()
request = urllib.request.Request("@URL@", body, {"Content-Type": "application/json", "X-GitHub-Event": "push",
    "X-Hub-Signature-256": "sha256=" + code})
open("@MARK@", "w").write(repr(time.monotonic()))
urllib.request.urlopen(request, timeout=30).read()
open("@MARK@.answered", "w").write(repr(time.monotonic()))
"""


def node_sample():
    """The sample's Node application; it says its version, and writes down when it began and when it listened."""
    with open(f"{SAMPLES}/web/server.js") as file:
        source = file.read()
    source = source.replace(
        "const http =",
        "const fs = require('node:fs');\nconst version = fs.readFileSync('version.txt', 'utf8').trim();\n"
        "const http =",
        1,
    )
    source = source.replace(
        "if (path === '/healthz')",
        "if (path.endsWith('/version')) return send(response, 200, 'text/plain', `version=${version}\\n`);\n"
        "  if (path === '/times') return send(response, 200, 'text/plain', JSON.stringify(times));\n"
        "  if (path === '/healthz')",
        1,
    )
    source = source.replace(
        "server.listen(port, '127.0.0.1', () => {",
        "const times = {};\nserver.listen(port, '127.0.0.1', () => {\n"
        "  times.listens = Number(process.hrtime.bigint()) / 1e9;\n"
        "  times.startup = process.uptime();\n",
        1,
    )
    return source


def memory(world):
    """PSS and RSS in KiB of each kind of process of this world."""
    found = {}
    for pid, line in world.folder_processes().items():
        words = line.split()
        if "roost" not in os.path.basename(words[0]):
            continue
        kind = words[1] if words[1] != "agent" else "agent"
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                fields = dict(row.split(":", 1) for row in file if ":" in row)
        except OSError:
            continue
        size = {name: int(fields[name].split()[0]) for name in ("Pss", "Rss", "Private_Dirty", "Private_Clean")}
        entry = found.setdefault(kind, {"count": 0, "pss_kib": [], "rss_kib": [], "private_kib": []})
        entry["count"] += 1
        entry["pss_kib"].append(size["Pss"])
        entry["rss_kib"].append(size["Rss"])
        entry["private_kib"].append(size["Private_Dirty"] + size["Private_Clean"])
    return {
        kind: {name: value if name == "count" else round(statistics.mean(value)) for name, value in entry.items()}
        for kind, entry in sorted(found.items())
    }


def push_times(pushes):
    world = World()
    try:
        up = Up(world)
        repository = Repository(world.path("repos", "web"), {"server.js": node_sample(), "version.txt": "0\n"})
        service = up.service(
            "web",
            repository,
            path="/",
            run_command="exec node server.js",
            build_command="node --check server.js",
            health_check={"path": "/healthz", "interval": "2s"},
        )
        up.hub.active(service["id"])
        hook = f"{repository.bare}/hooks/post-receive"
        mark = world.path("mark")
        with open(hook, "w") as file:
            file.write(
                HOOK.replace("@SECRET@", service["webhook_secret"])
                .replace("@URL@", up.url + service["webhook_path"])
                .replace("@MARK@", mark)
            )
        os.chmod(hook, 0o755)
        rows = []
        for number in range(1, pushes + 1):
            repository.commit({"version.txt": f"{number}\n"}, push=False)
            began = time.monotonic()
            pusher = threading.Thread(target=repository.push)
            pusher.start()
            wait_for("live", lambda: up.serves("/version", f"version={number}\n"), 60, 0.002)
            live = time.monotonic()
            pusher.join()
            with open(mark) as file:
                hooked = float(file.read())
            phases = up.hub.active(service["id"])["durations_ms"]
            startup = json.loads(up.fetch("/times").text)["startup"] * 1000
            total = (live - hooked) * 1000
            rows.append(
                {
                    "push_to_live": (live - began) * 1000,
                    "hook_to_live": total,
                    "build": phases.get("building", 0),
                    "startup": startup,
                    "own": total - phases.get("building", 0) - startup,
                    **{f"phase_{k}": v for k, v in phases.items()},
                }
            )
            time.sleep(1)
        return rows
    finally:
        world.close()


def idle_memory():
    world = World()
    try:
        hub = HubProcess(world)
        agent = Agent(world, hub, "one")
        agent.join(hub.token())
        agent.start()
        hub.live("app", world.repository())
        time.sleep(20)
        return memory(world)
    finally:
        world.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=20)
    parser.add_argument("--memory-only", action="store_true")
    arguments = parser.parse_args()
    print(f"program: {PROGRAM}")
    if not arguments.memory_only:
        rows = push_times(arguments.pushes)
        print(f"{len(rows)} pushes, in ms:            median      best     worst")
        for name in dict.fromkeys(name for row in rows for name in row):
            values = [row[name] for row in rows if name in row]
            print(f"  {name:22} {statistics.median(values):14.1f} {min(values):9.1f} {max(values):9.1f}")
    print("idle for 20 s, one service, in KiB:")
    for kind, sizes in idle_memory().items():
        print(
            f"  {kind:6} x{sizes['count']}  PSS {sizes['pss_kib']}  RSS {sizes['rss_kib']}"
            f"  private {sizes['private_kib']}"
        )


if __name__ == "__main__":
    main()
