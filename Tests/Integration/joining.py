"""Hub and agent as processes of their own: tokens, removal, time without the hub."""

import http.client
import json
import os
import time

from kit.agent import Agent, HubProcess
from kit.check import Stopwatch, equal, expect, stays, wait_for
from kit.hub import request
from kit.registry import scenario
from kit.world import Load


@scenario("joining.line", quick=True)
def line(world):
    """The install line names the hub as servers reach it, wherever it was asked for; without that, as it was asked."""
    hub = HubProcess(world)
    made = hub.cli("server", "add", "--stack", "default").stdout
    expect(made.startswith(f"curl -fsSL {hub.url}/install.sh | ROOST_TOKEN=rit_"), f"the line is {made}")
    hub.kill()
    hub.options = ["--public-url", "https://hub.example.org:7600/"]
    hub.start()
    made = hub.cli("server", "add", "--stack", "default").stdout
    expect(
        made.startswith("curl -fsSL https://hub.example.org:7600/install.sh | ROOST_TOKEN=rit_"),
        f"the line is {made}",
    )


@scenario("joining.tokens", quick=True)
def tokens(world):
    """A token works once, in time, and only as it was given; nothing of it is stored in the clear."""
    hub = HubProcess(world)
    token = hub.token()
    agent = Agent(world, hub, "one")
    agent.join(token)
    refused = Agent(world, hub, "two")
    for what, bad in (
        ("used", token),
        ("forged", token[:-6] + "abcdef"),
        ("unknown", "rit_" + "0" * 32 + "_" + "0" * 64),
        ("no", "nonsense"),
        ("empty", ""),
    ):
        done = refused.try_join(bad)
        expect(done.returncode != 0, f"a {what} token was taken: {done.stdout}")
        expect(token not in done.stdout + done.stderr, "the token is in the output")
    late = hub.token(expires_in="1s")
    time.sleep(1.2)
    expect(refused.try_join(late).returncode != 0, "an expired token was taken")
    equal(len(hub.api.items("/nodes")), 1, "servers after refused tokens")
    # Not with another key for the hub than the install line says.
    done = refused.try_join(hub.token(), "--hub-key", "A" * 43 + "=")
    expect(done.returncode != 0 and "key" in done.stderr, f"a hub with another key was believed: {done.stderr}")
    again = agent.try_join(hub.token())
    expect(again.returncode != 0 and "joined" in again.stderr, f"joined twice: {again.stderr}")
    expect(
        token not in world.log("hub.log") and token not in hub.api.ask("GET", "/audit-logs?limit=200").text,
        "the token is in log or audit",
    )
    with open(f"{hub.data}/hub/roost.db", "rb") as file:
        expect(token.encode() not in file.read(), "the token is in the database")
    equal(os.stat(agent.path("identity.json")).st_mode & 0o777, 0o600, "mode of the agent's identity")
    several = hub.token(uses=2)
    for name in ("three", "four"):
        Agent(world, hub, name).join(several)
    expect(Agent(world, hub, "five").try_join(several).returncode != 0, "a token for two let a third in")
    names = sorted(node["name"] for node in hub.api.items("/nodes"))
    equal(len(set(names)), len(names), "names of servers are unique")


@scenario("joining.tls", quick=True)
def tls(world):
    """A hub with a certificate: joined, asked and reported to by TLS alone; cookies that never go in the clear."""
    pem, key = world.certificate()
    world.trust(pem)
    hub = HubProcess(world, tls=(pem, key))
    script = request(hub.url, "GET", "/install.sh").text
    expect(f"hub='{hub.url}'" in script, "the install script does not name the hub by https")
    try:
        plain = request(hub.url.replace("https", "http"), "GET", "/healthz", timeout=5)
        expect(False, f"the hub answered plain HTTP with {plain.status}")
    except (OSError, http.client.HTTPException):
        pass
    agent = Agent(world, hub, "one")
    agent.join(hub.token())
    agent.start()
    hub.live("app", world.repository())
    wait_for("application answers", lambda: "version=1" in agent.fetch("/app").text, 20)
    login = hub.api.ask("POST", "/login", {"key": hub.api.key})
    expect("Secure" in (login.headers["Set-Cookie"] or ""), f"cookie: {login.headers['Set-Cookie']}")
    # A hub whose certificate nobody vouches for is not joined.
    token = hub.token()
    os.remove(world.authorities)
    done = Agent(world, hub, "two").try_join(token)
    expect(done.returncode != 0, "a hub with an unknown certificate was joined")


@scenario("joining.removed", quick=True)
def removed(world):
    """A removed server: its credentials die at once, its applications go on."""
    hub = HubProcess(world)
    agent = Agent(world, hub, "one")
    agent.join(hub.token())
    agent.start()
    service = hub.live("app", world.repository())
    pids = agent.app_pids(service)
    before = agent.signed("GET", "/api/v1/agent/desired-state?wait=0")
    equal(before.status, 200, "a signed question before the removal")
    with Load(f"{agent.edge_url}/app", 50, "version=1") as load:
        hub.api.ok("DELETE", f"/nodes/{agent.identity['node_id']}")
        after = agent.signed("GET", "/api/v1/agent/desired-state?wait=0")
        expect(after.status in (401, 403), f"a signed question right after the removal: {after.status}")
        stays("the application runs", lambda: agent.app_pids(service) == pids, 2)
        agent.kill()
        agent.start()
        stays("the application runs after a restart of the agent", lambda: agent.app_pids(service) == pids, 2)
        load.end_without_failure()
    told = [event for event in hub.api.events() if event["kind"] == "security" and "removed" in event["message"]]
    equal(len(told), 1, "events of the removal")


@scenario("joining.hub-away", quick=True)
def hub_away(world):
    """The hub away: the agent's restart keeps all running; events arrive once and in order when it is back."""
    hub = HubProcess(world)
    agent = Agent(world, hub, "one")
    agent.join(hub.token())
    agent.start()
    repository = world.repository()
    one, two = hub.live("one", repository), hub.live("two", repository)
    node = agent.identity["node_id"]
    pids = agent.app_pids(one), agent.app_pids(two)
    hub.kill()
    with Load(f"{agent.edge_url}/one", 50, "version=1") as load:
        for _ in range(2):
            agent.kill()
            agent.start()
            time.sleep(1.5)
        equal((agent.app_pids(one), agent.app_pids(two)), pids, "processes after the agent's restarts without a hub")
        # Events of the time without the hub, in a known order.
        def told():
            with open(agent.path("services", two["name"], "memory.json")) as file:
                return max((one.get("told") or {}).get("restarts", 0) for one in json.load(file)["instances"])

        for count in (1, 2, 3):
            for pid in agent.app_pids(two):
                os.kill(pid, 9)
            wait_for("it is started again", lambda: agent.fetch("/two").status == 200, 20)
            # Units that run are looked at once a second; crashes in between make one event. An agent that dies before
            # it remembers that it told of one tells of it again.
            wait_for(f"crash {count} is told of", lambda number=count: told() == number, 20)
        agent.kill()
        agent.start()
        time.sleep(1)
        hub.start()
        wait_for("the server is heard of", lambda: hub.api.get(f"/nodes/{node}")["is_silent"] is False, 20)
        crashes = wait_for(
            "the events arrive",
            lambda: at_least(3, [event for event in hub.api.events() if event["kind"] == "crash"]),
            60,
        )
        time.sleep(2)
        load.end_without_failure()
    crashes = [event for event in hub.api.events() if event["kind"] == "crash"]
    equal(len(crashes), 3, f"crash events {[event['message'] for event in crashes]}")
    times = [event["time"] for event in hub.api.events() if event.get("node_id") == node]
    equal(times, sorted(times), "events of the server are in order")
    repository.version("2")
    hub.api.deploy(one["id"])
    hub.api.active(one["id"])
    expect("version=2" in agent.fetch("/one").text, "no deploy after the hub is back")


def at_least(count, found):
    return found if len(found) >= count else None


@scenario("joining.silent")
def silent(world):
    """A server that is not heard of for three intervals is shown as such, and heard of again."""
    hub = HubProcess(world)
    hub.api.ok("PUT", f"/stacks/{hub.stack()['id']}", {"poll_interval": "1s"})
    agent = Agent(world, hub, "one")
    agent.join(hub.token())
    agent.start()
    service = hub.live("app", world.repository())
    node = agent.identity["node_id"]
    agent.kill()
    watch = Stopwatch()
    wait_for("silent", lambda: hub.api.get(f"/nodes/{node}")["is_silent"], 30)
    expect(agent.fetch("/app").status == 200, "the application of a silent server")
    status = hub.cli("status", check=False)
    expect(status.returncode != 0 and "silent" in status.stdout.lower(), f"roost status: {status.stdout}")
    agent.start()
    wait_for("heard of", lambda: not hub.api.get(f"/nodes/{node}")["is_silent"], 10)
    wait_for("service is active", lambda: hub.api.service(service["id"])["status"] == "active", 10)
    world.note(f"silent after {watch.ms} ms")


@scenario("joining.many", quick=True)
def many(world):
    """Several servers of one stack run identical commits; one that fails fails the deployment, by name."""
    hub = HubProcess(world)
    token = hub.token(uses=3)
    agents = [Agent(world, hub, name) for name in ("a", "b", "c")]
    for agent in agents:
        agent.join(token)
        agent.start()
    repository = world.repository()
    # One machine here, so the names of accounts are shared; folders, ports and processes are not.
    service = hub.live("app", repository)
    for number in ("2", "3"):
        repository.version(number)
        hub.api.deploy(service["id"])
        deployment = hub.api.active(service["id"])
        equal(deployment["commit"], repository.head, "commit of the deployment")
        reports = {node["services"][0]["commit"] for node in hub.api.items("/nodes")}
        equal(reports, {repository.head}, "commits on the servers")
        for agent in agents:
            expect(
                f"version={number}" in agent.fetch("/app").text, f"server {agent.name} does not serve version {number}"
            )
    equal(len({json.dumps(sorted(node["services"][0]["commit"] for node in hub.api.items("/nodes")))}), 1, "one commit")
