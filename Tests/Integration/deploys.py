"""Deploys under load: settings, fixed ports, concurrent ones, instances."""

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from free_port import free_port

from kit.check import equal, expect, wait_for
from kit.registry import scenario
from kit.world import Load, Up


@scenario("deploys.settings", quick=True)
def settings(world):
    """A changed variable, count of instances or restart rolls without a gap, and stays on the same commit."""
    up = Up(world)
    repository = world.repository()
    service = up.live("app", repository, env={"COLOR": "red"})
    commit = up.hub.deployments(service["id"])[0]["commit"]
    repository.version("2")
    with Load(f"{up.edge_url}/app", 100, "version=1") as load:
        for change in ({"env": {"COLOR": "blue"}}, {"instances": 3}, {"memory_max": "256M"}, {"instances": 1}):
            up.hub.ok("PUT", f"/services/{service['id']}", change)
            equal(up.hub.active(service["id"])["commit"], commit, f"commit after {change}")
        equal(up.fetch("/app/plain?name=COLOR").text, "blue", "the changed variable")
        before = up.app_pids(service)
        up.hub.ok("POST", f"/services/{service['id']}/restart")
        up.hub.active(service["id"])
        wait_for("new processes after a restart", lambda: not before & up.app_pids(service), 10)
        result = load.end_without_failure()
    world.note(f"{result['sent']} requests, p99 {result['latency_ms']['p99']} ms")
    up.hub.ok("PUT", f"/services/{service['id']}", {"path": "/elsewhere"})
    wait_for("the route follows", lambda: up.serves("/elsewhere", "version=1") and up.fetch("/app").status == 404, 10)
    wait_for("active again", lambda: up.hub.service(service["id"])["status"] == "active", 10)


@scenario("deploys.fixed-port", quick=True)
def fixed_port(world):
    """A service with a port of its own: requests are held while it changes hands, and none fails."""
    up = Up(world)
    repository = world.repository()
    port = free_port()
    service = up.live("app", repository, port=port)
    with Load(f"{up.edge_url}/app", 100, "version=") as load:
        for number in range(2, 6):
            repository.version(str(number))
            up.hub.deploy(service["id"])
            up.hub.active(service["id"])
            equal(up.hub.items("/nodes")[0]["services"][0]["ports"], [port], "port of the service")
        result = load.end_without_failure()
    expect(up.serves("/app", "version=5"), "the last version is not served")
    world.note(f"{result['sent']} requests, longest held {result['latency_ms']['max']} ms")
    # One that fails gives the port back to the release before.
    up.hub.ok(
        "PUT",
        f"/services/{service['id']}",
        {"run_command": "exec sleep 100", "health_check": {"path": "/healthz", "interval": "1s", "grace": "2s"}},
    )
    with Load(f"{up.edge_url}/app", 50, "version=5") as load:
        up.hub.failed(service["id"])
        wait_for("the release before is back", lambda: up.serves("/app", "version=5"), 15)
        load.end_without_failure()


@scenario("deploys.newest-wins", quick=True)
def newest_wins(world):
    """Many deploys asked for at once: one at a time on the server, the newest is what stays, all others say so."""
    up = Up(world)
    repository = world.repository()
    service = up.live("app", repository, build_command="sleep 0.5")
    with Load(f"{up.edge_url}/app", 50, "version=") as load:
        for number in range(2, 8):
            repository.version(str(number))
            threads = [
                threading.Thread(target=up.hub.ask, args=("POST", f"/services/{service['id']}/deploy"))
                for _ in range(3)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            time.sleep(0.2)
        final = up.hub.active(service["id"])
        load.end_without_failure()
    equal(final["commit"], repository.head, "commit in the end")
    expect(up.serves("/app", "version=7"), "the newest version is not served")
    others = up.hub.deployments(service["id"])[1:]
    expect(all(one["status"] in ("active", "failed") for one in others), f"left open: {[o['status'] for o in others]}")
    expect(
        all("uperseded" in one["status_message"] for one in others if one["status"] == "failed"),
        lambda: f"messages: {[one['status_message'] for one in others]}",
    )
    commits = [one["commit"] for one in up.hub.deployments(service["id"])]
    equal(len(commits), len(set(commits)), "deployments with one commit each")
    # The one before may still be on its way out.
    wait_for("one process in the end", lambda: len(up.app_pids(service)) == 1, 15)


@scenario("deploys.references")
def references(world):
    """Branches, tags, commits and the default branch are resolved to exact commits; an unknown one harms nothing."""
    up = Up(world)
    repository = world.repository()
    first = repository.head
    repository.git("tag", "-a", "v1", "-m", "one")
    repository.push("v1")
    repository.git("checkout", "-q", "-b", "side")
    repository.commit({"version.txt": "side\n"}, push=False)
    repository.push("side")
    side = repository.head
    repository.git("checkout", "-q", "main")
    main = repository.version("2")
    service = up.live("app", repository)
    equal(up.hub.deployments(service["id"])[0]["commit"], main, "commit of the default branch")
    for ref, commit in (
        ("side", side),
        ("v1", first),
        (first, first),
        (first[:10], first),
        ("main", main),
        ("refs/heads/side", side),
    ):
        answer = up.hub.ask("PUT", f"/services/{service['id']}", {"git_ref": ref})
        equal(answer.status, 202, f"git_ref {ref}: {answer.text}")
        deployment = up.hub.settled(service["id"])
        if ref == first[:10] and deployment["status"] == "failed":
            continue
        equal(
            (deployment["status"], deployment["commit"]), ("active", commit), f"{ref}: {deployment['status_message']}"
        )
    up.hub.ok("PUT", f"/services/{service['id']}", {"git_ref": "no-such-branch"})
    failed = up.hub.failed(service["id"])
    expect("no-such-branch" in failed["status_message"], f"message: {failed['status_message']}")
    answer = up.hub.ask("POST", f"/services/{service['id']}/deploy")
    expect(400 <= answer.status < 500 and "no-such-branch" in answer.text, f"deploy: {answer.status} {answer.text}")
    expect(up.serves("/app", "version=side"), "the release before does not serve on")
    equal(up.hub.service(service["id"])["status"], "active", "status of a service that serves on")


@scenario("deploys.apply")
def apply(world):
    """A whole stack as a file: --plan changes nothing, apply makes it so, a second apply does nothing."""
    up = Up(world)
    repository = world.repository()
    one, two = world.name("one"), world.name("two")
    text = f"""
name: default
services:
  {one}:
    git_url: {repository.url}
    run_command: exec python3 app.py
    path: /one
    health_check:
      path: /healthz
  {two}:
    git_url: {repository.url}
    run_command: exec python3 app.py
    path: /two
    env:
      COLOR: red
"""
    with open(world.path("stack.yaml"), "w") as file:
        file.write(text)
    planned = up.cli("apply", "-f", world.path("stack.yaml"), "--plan")
    expect(one in planned.stdout and up.hub.items("/services") == [], f"--plan: {planned.stdout}")
    up.cli("apply", "-f", world.path("stack.yaml"))
    expect(up.serves("/one", "version=1") and up.serves("/two", "version=1"), "not served after apply")
    before = {name["id"]: len(up.hub.deployments(name["id"])) for name in up.hub.items("/services")}
    up.cli("apply", "-f", world.path("stack.yaml"))
    equal(
        {name["id"]: len(up.hub.deployments(name["id"])) for name in up.hub.items("/services")},
        before,
        "deployments after applying the same file again",
    )
    with open(world.path("stack.yaml"), "w") as file:
        file.write(
            text.replace("red", "blue").split(f"  {one}:")[0]
            + f"  {two}:"
            + text.split(f"  {two}:")[1].replace("red", "blue")
        )
    up.cli("apply", "-f", world.path("stack.yaml"), "--prune", "--yes")
    names = [service["name"] for service in up.hub.items("/services")]
    equal(names, [two], "services after --prune")
    wait_for("the change is live", lambda: up.fetch("/two/plain?name=COLOR").text == "blue", 20)


def shares(up, count):
    """How many of so many requests over kept connections each version answered."""
    found = {}
    connection = http.client.HTTPConnection("127.0.0.1", up.edge_port, timeout=20)
    for _ in range(count):
        connection.request("GET", "/app")
        answer = connection.getresponse()
        text = answer.read().decode()
        equal(answer.status, 200, "an answer")
        version = text.split("version=")[1].split()[0]
        found[version] = found.get(version, 0) + 1
    connection.close()
    return found


@scenario("deploys.canary", quick=True)
def canary(world):
    """A canary gets its share of requests; taking it away and promoting it lose none."""
    up = Up(world)
    repository = world.repository()
    service = up.live("app", repository, instances=2)
    repository.git("checkout", "-q", "-b", "next")
    commit = repository.commit({"version.txt": "2\n"}, push=False)
    repository.push("next")
    name = service["name"]
    up.cli("service", "canary", name, "--ref", "next", "--percent", "20")
    wait_for("the canary is asked", lambda: "2" in shares(up, 10), 10)
    found = shares(up, 1000)
    expect(150 <= found["2"] <= 250, f"shares at 20 %: {found}")
    world.note(f"{found['2']} of 1000 requests at 20 %")
    with Load(f"{up.edge_url}/app", 100, "version=") as load:
        up.cli("service", "canary", name, "--percent", "60")
        wait_for("the share grows", lambda: shares(up, 100).get("2", 0) >= 50, 10)
        up.cli("service", "canary", name, "--abort")
        wait_for("only the service answers", lambda: shares(up, 50) == {"1": 50}, 10)
        equal(len(up.hub.items("/services")), 1, "services after the canary was taken away")
        up.cli("service", "canary", name, "--ref", commit)
        up.cli("service", "canary", name, "--promote")
        wait_for("only the new version answers", lambda: shares(up, 50) == {"2": 50}, 10)
        result = load.end_without_failure()
    equal(up.hub.service(service["id"])["commit"], commit, "commit of the service")
    equal(up.hub.items("/canaries"), [], "canaries after the promotion")
    traffic = wait_for("traffic is told", lambda: up.hub.service(service["id"]).get("traffic"), 20)
    expect(traffic["requests_per_second"] > 1 and traffic["p50_ms"] <= traffic["p99_ms"], f"traffic: {traffic}")
    world.note(f"{result['sent']} requests meanwhile")


@scenario("deploys.sleep")
def sleep(world):
    """A service that nobody asks for is stopped; the next requests wait, start it once, and are all served."""
    up = Up(world)
    service = up.live("app", world.repository(), idle_timeout="10s")
    expect(up.app_pids(service), "it does not run")
    wait_for("it sleeps", lambda: not up.app_pids(service), 40)
    wait_for("the hub says so", lambda: "Asleep" in up.cli("status").stdout, 20)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: up.fetch("/app/", timeout=30), range(8)))
    equal([answer.status for answer in answers], [200] * 8, "requests while it slept")
    equal(len({answer.text for answer in answers}), 1, "instances that were started")
    wait_for("it sleeps again", lambda: not up.app_pids(service), 40)
    page = up.fetch("/app/", {"Accept": "text/html"}, timeout=30)
    expect(page.status == 200 or "is starting" in page.text, f"a browser's visit: {page.status} {page.text}")
    wait_for("it is awake", lambda: up.serves("/app/", "version=1"), 20)


@scenario("deploys.spread")
def spread(world):
    """Instances get requests in turn, a browser stays with its own, and a service that only fails is given a rest."""
    up = Up(world)
    service = up.live(
        "app", world.repository(), instances=2, balance={"policy": "round-robin", "sticky": True},
        breaker={"failures": 5, "rest": "15s"})
    answers = [up.fetch("/app/") for _ in range(10)]
    texts = [answer.text for answer in answers]
    equal([texts.count(text) for text in set(texts)], [5, 5], "answers of each instance")
    cookie = answers[0].headers["Set-Cookie"].split(";")[0]
    equal({up.fetch("/app/", {"Cookie": cookie}).text for _ in range(10)}, {texts[0]}, "answers to one browser")
    equal([up.fetch("/app/status?code=503").text for _ in range(5)], ["503"] * 5, "failures of the service itself")
    refused = up.fetch("/app/", {"Accept": "application/json"})
    expect(refused.status == 503 and "given a rest" in refused.text, f"while it rests: {refused.status} {refused.text}")
    wait_for("it is tried again", lambda: up.serves("/app/", "version=1"), 40)
    up.cli("service", "update", service["name"], "--unset", "breaker.failures", "--no-balance-sticky")
    for _ in range(7):
        up.fetch("/app/status?code=503")
    answer = up.fetch("/app/")
    equal((answer.status, answer.headers.get("Set-Cookie")), (200, None), "without breaker and cookie")
