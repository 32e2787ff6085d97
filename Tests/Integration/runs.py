"""Workflows of the real program: a server that is retired, and hubs that die in the middle of it."""

import json
import os

from kit.agent import Agent, HubProcess
from kit.check import Stopwatch, equal, expect, wait_for
from kit.pair import Page, PostgresHub
from kit.postgres import Postgres
from kit.registry import scenario


def ended(api, run, seconds=60):
    """The run with its steps once nothing more happens to it."""
    done = ("succeeded", "failed", "cancelled", "stalled")
    return wait_for(
        f"run {run} ends", lambda: next(iter([x for x in [api.get(f"/workflow-runs/{run}")] if x["status"] in done]), None),
        seconds, 0.1,
    )


def retire(api, node, **fields):
    answer = api.ok("POST", f"/nodes/{node}/retire", fields)
    equal(answer["status"], "deleting", "status right after the wish to retire")
    return answer["run_id"]


@scenario("runs.retire", quick=True)
def retired(world):
    """A server is retired in order: what it runs is stopped, then it is gone; cancelled, it gets everything back."""
    hub = HubProcess(world)
    agent = Agent(world, hub, "one")
    agent.join(hub.token())
    agent.start()
    service = hub.live("app", world.repository())
    node = agent.identity["node_id"]
    # An agent that is away stops nothing: the run waits, and can be taken back.
    agent.kill()
    planned = hub.api.ok("POST", f"/nodes/{node}/retire?plan=true")
    expect(planned["nodes"], f"the plan names no server: {planned}")
    equal(hub.api.items("/workflow-runs"), [], "runs after a plan")
    equal(hub.api.ask("GET", f"/workflow-runs?workflow={'x' * 201}").status, 400, "a name that no workflow has")
    run = retire(hub.api, node)
    waiting = wait_for(
        "the run waits for the server",
        lambda: [x for x in hub.api.get(f"/workflow-runs/{run}")["steps"] if x["status"] == "retrying"], 20,
    )
    equal(waiting[0]["name"], "wait until it runs nothing", "the step that waits")
    expect(hub.api.ask("DELETE", f"/nodes/{node}").status == 202, "a deletion on top of it")
    listed = json.loads(hub.cli("run", "list", "--workflow", "retire-server", "--json").stdout)
    equal([one["id"] for one in listed], [run], "runs that the command line lists")
    expect("wait until it runs nothing" in hub.cli("run", "show", run).stdout, "the command line shows no steps")
    planned = hub.api.ok("POST", f"/workflow-runs/{run}/cancel?plan=true")
    equal([line["id"] for line in planned["plan"]], [run], "the plan of a cancellation")
    equal(hub.api.ok("POST", f"/workflow-runs/{run}/retry?plan=true")["plan"], [], "the plan of a retry that is none")
    hub.cli("run", "cancel", run, "--yes")
    cancelled = run
    equal(ended(hub.api, run)["status"], "cancelled", "the cancelled run")
    agent.start()
    wait_for("the application answers again", lambda: "version=1" in agent.fetch("/app").text, 30)
    wait_for("the server is active", lambda: hub.api.get(f"/nodes/{node}")["status"] == "active", 20)
    # Now in earnest; the hub is killed on the way.
    run = retire(hub.api, node)
    hub.kill()
    hub.start()
    done = ended(hub.api, run)
    equal(done["status"], "succeeded", f"the run: {done['status_message']}")
    equal([step["name"] for step in done["steps"]],
          ["take its services off it", "wait until it runs nothing", "remove it"], "steps")
    equal(agent.app_pids(service), set(), "processes of the application")
    equal(hub.api.ask("GET", f"/nodes/{node}").status, 404, "the server after its run")
    expect(agent.signed("GET", "/api/v1/agent/desired-state?wait=0").status in (401, 403), "its credentials work")
    audit = [entry["action"] for entry in hub.api.items(f"/audit-logs?resource={cancelled}")]
    expect("cancel" in audit, f"the cancellation is not in the audit log: {audit}")


@scenario("runs.time-out", quick=True)
def timed_out(world):
    """A server that does not stop in time is put back to work; the failed run can be tried again."""
    hub = HubProcess(world)
    agent = Agent(world, hub, "one")
    agent.join(hub.token())
    agent.start()
    hub.live("app", world.repository())
    node = agent.identity["node_id"]
    os.kill(agent.process.pid, 19)
    run = retire(hub.api, node, stop_timeout="10s")
    failed = ended(hub.api, run)
    equal(failed["status"], "failed", "the run")
    equal(failed["error"]["code"], "unavailable", "why it failed")
    equal(failed["steps"][0]["undo"]["status"], "done", "its first step is undone")
    os.kill(agent.process.pid, 18)
    wait_for("the application answers", lambda: "version=1" in agent.fetch("/app").text, 20)
    wait_for("the server is active", lambda: hub.api.get(f"/nodes/{node}")["status"] == "active", 20)
    hub.cli("run", "retry", run)
    equal(ended(hub.api, run)["status"], "succeeded", "the run that was tried again")


@scenario("runs.takeover", seconds=150, quick=True)
def takeover(world):
    """Two hubs on one PostgreSQL: the killed one's run goes on in the other, also when the database was restarted."""
    postgres = Postgres(world)
    first = PostgresHub(world, postgres, "first")
    second = PostgresHub(world, postgres, "second", master=first)
    first.api.ok("POST", "/stacks", {"name": "default", "poll_interval": "2s"})
    token = second.api.ok("POST", "/install-tokens", {"stack_id": second.api.stack()["id"]})["token"]
    agent = Agent(world, second, "one")
    agent.join(token)
    agent.start()
    node = agent.identity["node_id"]
    wait_for("the server is heard of", lambda: second.api.get(f"/nodes/{node}")["generation"] is not None, 20)
    os.kill(agent.process.pid, 19)
    pages = [Page(hub, "workflow-run", "node") for hub in (first, second)]
    run = retire(first.api, node)
    read = lambda hub: hub.api.get(f"/workflow-runs/{run}")
    wait_for("the run waits", lambda: any(x["status"] == "retrying" for x in read(second)["steps"]), 20)
    for number, page in enumerate(pages):
        wait_for(f"page {number} hears of the run", lambda: "workflow-run" in page.kinds, 20)
    hubs = {"first": first, "second": second}
    # Whoever works on it dies, and the other one has it within the lease; then the database goes down as well.
    holder = wait_for("a hub holds the run", lambda: read(second)["hub"], 20)
    name = open(f"{first.data}/hub/name").read().strip()
    dead, alive = (first, second) if holder == name else (second, first)
    dead.kill()
    watch = Stopwatch()
    wait_for("the other hub has the run", lambda: read(alive)["hub"] not in (None, holder), 60)
    world.note(f"taken over in {watch.ms / 1000:.1f} s")
    postgres.restart()
    wait_for("the hub answers again", lambda: alive.api.ask("GET", f"/workflow-runs/{run}").status == 200, 60)
    if dead is second:
        second.start()
    os.kill(agent.process.pid, 18)
    done = ended(alive.api, run, 90)
    equal(done["status"], "succeeded", f"the run: {done['status_message']}")
    equal(alive.api.ask("GET", f"/nodes/{node}").status, 404, "the server after its run")
    removed = [e for e in alive.api.events() if e["kind"] == "security" and "was removed" in e["message"]]
    equal(len(removed), 1, "events of the removal")
