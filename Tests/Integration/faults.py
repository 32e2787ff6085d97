"""kill -9 of the agent right before and right after its labelled effects: the end is the same as without."""

import functools
import os
import random
import re
import signal

from free_port import free_port
from kit.agent import Agent, HubProcess
from kit.chance import any_seed
from kit.check import equal, expect, wait_for
from kit.registry import scenario
from kit.world import HERE

SOURCES = f"{HERE}/../../Sources/Node/Reconciler"
SAMPLE = 12
IS_LONG = bool(os.environ.get("ROOST_TEST_LONG"))
# The long version is an hour of waiting; its parts run side by side.
PARTS = 6 if IS_LONG else 1
LABEL = re.compile(r'(?:effect|remember)\("([a-z.]+)"')
# Effects that this course does not come to: joining and leaving, the firewall (`hosts`), containers (`containers.kills`),
# uploads, submodules, sleep, and what only a change of the machine or of the program brings. `roost-simulate --walk` cuts
# at them all.
OUTSIDE = re.compile(
    r"(identity|leave|firewall|compose|containers|images|upload)\.|git\.submodule\.|service\.(sleep|wake)\."
    r"|(build\.stop\.stale|epoch\.write|release\.unseal\.imageless|edge\.retire)$"
)


def labels():
    found = set()
    for name in os.listdir(SOURCES):
        if name.endswith(".swift"):
            with open(f"{SOURCES}/{name}") as file:
                found |= set(LABEL.findall(file.read()))
    return sorted(label for label in found if not OUTSIDE.match(label))


class Course:
    """Something of everything that an agent does, in a fixed order, each step followed until it is done."""

    def __init__(self, world, hub, agent, number):
        self.world, self.hub, self.agent, self.number = world, hub, agent, number
        self.repository = world.repository(f"app{number}")
        self.fault_hits = 0
        self.port = free_port()

    def alive(self):
        """Starts the agent again when the fault ended it."""
        if self.agent.process.poll() is not None:
            expect(
                self.agent.process.returncode == -signal.SIGKILL,
                lambda: (
                    f"the agent ended with {self.agent.process.returncode}: "
                    + self.world.log(f"agent-{self.agent.name}.log")[-1500:]
                ),
            )
            self.fault_hits += 1
            self.agent.start()

    def until(self, what, condition, seconds=40):
        def check():
            self.alive()
            return condition()

        return wait_for(f"{self.number}: {what}", check, seconds)

    def settled(self, service, status):
        def newest():
            found = self.hub.api.deployments(service["id"])[0]
            return found["status"] == status and found

        return self.until(f"deployment of {service['name']} is {status}", newest)

    def run(self):
        api = self.hub.api
        check = {"path": "/healthz", "interval": "200ms", "grace": "20s"}
        one = self.hub.service(
            f"f{self.number}",
            self.repository,
            build_command="echo built > built.txt",
            retain=2,
            health_check=check,
        )
        fixed = self.hub.service(
            f"p{self.number}",
            self.repository,
            port=self.port,
            health_check=check,
        )
        still = self.hub.service(
            f"s{self.number}", self.repository, kind="static", run_command=None, health_check=None, public_folder="."
        )
        for service in (one, fixed, still):
            self.settled(service, "active")
        for number in ("2", "3", "4"):
            self.repository.version(number)
            for service in (one, fixed):
                api.deploy(service["id"])
                self.settled(service, "active")
        mute = {"run_command": "exec sleep 100", "health_check": {**check, "grace": "2s"}}
        for service, bad in ((one, {"build_command": "echo no; exit 1"}), (fixed, mute)):
            api.ok("PUT", f"/services/{service['id']}", bad)
            self.settled(service, "failed")
        self.until("the fixed one is back", lambda: "version=4" in self.agent.fetch(f"/p{self.number}").text)
        api.ok("DELETE", f"/services/{fixed['id']}")
        api.ok("DELETE", f"/services/{still['id']}")
        services = self.agent.path("services")
        self.until(
            "removed services are gone",
            lambda: not any(os.path.exists(f"{services}/{service['name']}") for service in (fixed, still)),
        )
        node = self.agent.identity["node_id"]
        self.until("all is as it should be", lambda: api.get(f"/nodes/{node}")["is_converged"])
        self.judge(one)
        api.ok("DELETE", f"/services/{one['id']}")
        self.until("nothing is left", lambda: not os.listdir(services))
        units = [unit for unit in os.listdir(self.agent.path("units")) if unit.split(".")[0] != "edge"]
        equal(units, [], f"{self.number}: units in the end")

    def judge(self, service):
        """One process of the right version, whole releases only, nothing else."""
        equal(len(self.agent.app_pids(service)), 1, f"{self.number}: processes of the service")
        expect("version=4" in self.agent.fetch(f"/f{self.number}").text, f"{self.number}: another version serves")
        folder = self.agent.path("services", service["name"], "releases")
        names = os.listdir(folder)
        sealed = {name[:-5] for name in names if name.endswith(".json")}
        trees = {name for name in names if not name.endswith(".json")}
        equal(trees, sealed, f"{self.number}: half releases")
        expect(len(sealed) <= 2, f"{self.number}: releases {sealed}")
        for name in sealed:
            expect(
                os.path.exists(f"{folder}/{name}/built.txt"),
                f"{self.number}: release {name} was sealed before it was built",
            )
        units = sorted(os.listdir(self.agent.path("units")))
        equal(len(units), 2, f"{self.number}: units {units}")


def chosen_cuts(seed):
    """Numbered, since each course has names and a port of its own."""
    cuts = [(label, nth, side) for label in labels() for nth in (1, 2) for side in ("before", "after")]
    wanted = os.environ.get("ROOST_TEST_FAULT")
    if wanted:
        cuts = [tuple(wanted.split(":"))]
    elif not IS_LONG:
        cuts = random.Random(seed).sample(cuts, SAMPLE)
    return list(enumerate(cuts))


def walk(world, part):
    """A sample of effects by default, printed with its seed; in the long version all of them, this part's share."""
    seed = any_seed()
    hub = HubProcess(world)
    hub.api.ok("PUT", f"/stacks/{hub.stack()['id']}", {"poll_interval": "1s"})
    chosen = [cut for cut in chosen_cuts(seed) if cut[0] % PARTS == part]
    killed, missed = 0, []
    for number, (label, nth, side) in chosen:
        agent = Agent(world, hub, f"n{number}")
        agent.join(hub.token())
        agent.start({"ROOST_FAULT": f"{label}:{nth}:{side}"})
        course = Course(world, hub, agent, number)
        try:
            course.run()
        except BaseException:
            print(f"fault {label}:{nth}:{side}, seed {seed}")
            raise
        if course.fault_hits:
            killed += 1
        else:
            missed.append(f"{label}:{nth}")
        hub.api.ok("DELETE", f"/nodes/{agent.identity['node_id']}")
        agent.kill()
        end_units(agent)
    world.note(
        f"seed {seed}: {killed} of {len(chosen)} faults hit"
        + (f"; not reached: {sorted(set(missed))}" if missed else "")
    )


for share in range(PARTS):
    scenario("faults.effects" if PARTS == 1 else f"faults.effects.{share + 1}", seconds=420)(
        functools.partial(walk, part=share)
    )


def end_units(agent):
    """The edge of an agent that is done with, by its own process ids."""
    for pid in agent.world.folder_processes(os.path.relpath(agent.data, agent.world.root)):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
