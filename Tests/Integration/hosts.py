"""Real Debian hosts with systemd: joined by one line, cut off, powered off, and deployed to under load."""

import json
import os
import random
import threading

from kit.chance import any_seed
from kit.check import Stopwatch, equal, expect, wait_for
from kit.hub import request
from kit.lab import Lab
from kit.registry import scenario
from kit.repository import Repository
from kit.world import HERE, Load

EXAMPLE = f"{HERE}/../../examples/sample/web/server.js"


def node_repository(world, version="1"):
    """The sample's Node application, with a page that says its version."""
    with open(EXAMPLE) as file:
        source = file.read()
    marked = source.replace(
        "if (path === '/healthz')",
        "if (path.endsWith('/version')) return send(response, 200, 'text/plain', `version=${version}\\n`);\n"
        "  if (path === '/healthz')",
        1,
    ).replace(
        "const http =",
        "const version = require('node:fs').readFileSync('version.txt', 'utf8').trim();\nconst http =",
        1,
    )
    expect(marked.count("version.txt") == 1 and "/version" in marked, "the sample has changed; the marks are not in")
    return Repository(world.path("repos", "web"), {"server.js": marked, "version.txt": version + "\n"})


def web(lab, repository, **fields):
    spec = {
        "git_url": lab.url(repository),
        "run_command": "exec node server.js",
        "path": "/",
        "health_check": {"path": "/healthz", "interval": "1s", "grace": "30s"},
        **fields,
    }
    service = lab.hub.service("web", repository, **spec)
    lab.hub.api.active(service["id"], 90)
    return service


def fetch(host, path="/version"):
    try:
        return request(f"http://{host.address}:80", "GET", path, timeout=5).text
    except OSError as error:
        return f"{error}"


@scenario("hosts.life", seconds=300, lab=True)
def life(world):
    """Two hosts joined by the install line: units, commits, a cut cable, a power cut."""
    with Lab(world, "ab") as lab:
        hub, (one, two) = lab.hub, lab.hosts
        hub.api.ok("PUT", f"/stacks/{hub.stack()['id']}", {"poll_interval": "1s"})
        watch = Stopwatch()
        tokens = [lab.join(host) for host in (one, two)]
        world.note(f"two hosts joined in {watch.ms} ms")
        repository = node_repository(world)
        service = web(lab, repository)
        name = service["name"]
        for host in (one, two):
            wait_for("served", lambda: "version=1" in fetch(host), 10)
            equal(host.sh("systemctl is-active roost-agent roost-edge"), "active\nactive", f"units of {host.name}")
            units = host.sh(
                "systemctl list-units --plain --no-legend --type=service 'roost-app.*' | cut -d' ' -f1"
            ).split()
            equal(len(units), 1, f"units of the application: {units}")
            equal(host.sh("systemctl is-enabled roost-agent"), "enabled", "roost-agent starts with the machine")
            user = host.sh("ps -o user:40= -p $(pgrep -f '^node server.js' | tail -1)")
            equal(user, f"roost-{name}", "account of the application")
            expect(
                not any(token in host.sh("cat /proc/*/cmdline | tr '\\0' ' '") for token in tokens),
                "a token is in a process list",
            )
            equal(
                host.sh(f"getent ahostsv4 {name}.svc.internal | head -1 | cut -d' ' -f1"), "127.53.0.1", "internal name"
            )
        repository.version("2")
        hub.api.deploy(service["id"])
        hub.api.active(service["id"], 90)
        commits = {node["services"][0]["commit"] for node in hub.api.items("/nodes")}
        equal(commits, {repository.head}, "commits on both")

        # The cable out for more than three heartbeats.
        first = lab.node(one)["id"]
        one.cut()
        watch = Stopwatch()
        wait_for("the cut host is shown as silent", lambda: hub.api.get(f"/nodes/{first}")["is_silent"], 20)
        world.note(f"silent after {watch.ms} ms")
        expect("version=2" in one.sh("curl -fsS http://127.0.0.1/version"), "the application of the cut host")
        one.sh("pkill -KILL -f '^node server.js'")
        one.sh("systemctl restart roost-agent")
        wait_for("it is started again", lambda: "version=2" in one.sh("curl -fsS http://127.0.0.1/version || true"), 20)
        expect("version=2" in fetch(two), "the other host")
        before = len([event for event in hub.api.events() if event["kind"] == "crash"])
        one.heal()
        wait_for(
            "the events arrive",
            lambda: len([event for event in hub.api.events() if event["kind"] == "crash"]) > before,
            60,
        )
        wait_for("it is heard of again", lambda: not hub.api.get(f"/nodes/{first}")["is_silent"], 40)
        wait_for("active", lambda: hub.api.service(service["id"])["status"] == "active", 20)

        # The power off, and on again.
        two.power_off()
        watch = Stopwatch()
        two.up()
        wait_for("the application is back after a power cut", lambda: "version=2" in fetch(two), 60)
        world.note(f"back {watch.ms} ms after power on")
        wait_for("converged", lambda: lab.node(two)["is_converged"], 30)
        equal(two.sh("pgrep -fc '^node server.js'"), "1", "processes after the power cut")
        repository.version("3")
        hub.api.deploy(service["id"])
        hub.api.active(service["id"], 90)
        for host in (one, two):
            wait_for("version 3", lambda: "version=3" in fetch(host), 10)
        hub.api.ok("DELETE", f"/services/{service['id']}")
        for host in (one, two):
            wait_for(
                "nothing is left",
                lambda: host.sh(
                    "systemctl list-unit-files 'roost-app*' --no-legend; ls /var/lib/roost/agent/services; "
                    f"id -u roost-{name} 2>/dev/null; true"
                )
                == "",
                20,
            )


@scenario("hosts.deploys", seconds=400, lab=True)
def deploys(world):
    """Deploys of a Node server under 200 requests/s, the agent killed at random moments: no request fails."""
    count = int(os.environ.get("ROOST_TEST_DEPLOYS") or (100 if os.environ.get("ROOST_TEST_LONG") else 25))
    with Lab(world, "d") as lab:
        hub, host = lab.hub, lab.hosts[0]
        lab.join(host)
        repository = node_repository(world, "0")
        service = web(lab, repository)
        wait_for("served", lambda: "version=0" in fetch(host), 10)
        seed = any_seed()
        chance = random.Random(seed)
        kills, ended = [0], threading.Event()

        def kill_agent():
            kill = "systemctl kill --kill-whom=main --signal=KILL roost-agent.service && echo hit"
            # systemd takes a second to start it again; now and then there is time for the longest step.
            while not ended.wait(chance.uniform(0.3, 2.5) if chance.random() < 0.8 else 6):
                kills[0] += "hit" in host.sh(kill, check=False)

        killer = threading.Thread(target=kill_agent)
        with Load(f"http://{host.address}/version", 200, "version=") as load:
            killer.start()
            try:
                watch = Stopwatch()
                for number in range(1, count + 1):
                    repository.version(str(number))
                    hub.api.deploy(service["id"])
                    deployment = hub.api.settled(service["id"], 60)
                    equal(deployment["status"], "active", f"deploy {number}: {deployment['status_message']}")
                    expect(f"version={number}" in fetch(host), f"deploy {number} is not what is served: {fetch(host)}")
                took = watch.ms
            finally:
                ended.set()
                killer.join()
                result = load.end()
        world.note(
            f"{count} deploys in {took / 1000:.0f} s, agent killed {kills[0]} times (seed {seed}): "
            f"{result['failed']} failed of {result['sent']} requests, p50 {result['latency_ms']['p50']} ms, "
            f"p99 {result['latency_ms']['p99']} ms, max {result['latency_ms']['max']} ms"
        )
        equal(result["failed"], 0, json.dumps(result))
        restarts = host.sh("systemctl show -p NRestarts --value roost-agent")
        expect(int(restarts) >= kills[0] // 2, f"systemd restarted the agent {restarts} times of {kills[0]} kills")
        wait_for("one process in the end", lambda: host.sh("pgrep -fc '^node server.js'", check=False) == "1", 20)
