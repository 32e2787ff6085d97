"""Many creates at once while hubs and their database die: each is accepted once, and comes to an end."""

import http.client
import json
import threading
import time
import uuid

from kit.agent import HubProcess
from kit.check import Stopwatch, equal, expect, wait_for
from kit.pair import Page, PostgresHub
from kit.postgres import Postgres
from kit.powerdns import PowerDNS
from kit.registry import scenario

CLIENTS = 32
TENANTS, ZONES, RECORDS = 400, 50, 550


class Platform:
    """What tenants need before the first one can be."""

    def __init__(self, api, dns):
        api.ok("PUT", "/platform/config", {
            "dns_api_url": dns.url, "dns_api_key": dns.key, "base_domain": "provider.example",
            "primary_ns": "ns1.provider.example", "secondary_ns": "ns2.provider.example",
        })  # fmt: skip
        brand = api.ok("POST", "/brands", {
            "name": "acme", "base_hostname": "acme.example", "primary_ns": "ns1.acme.example",
            "secondary_ns": "ns2.acme.example", "hostmaster_email": "dns@acme.example",
        })["id"]  # fmt: skip
        region = api.ok("POST", "/regions", {"name": "eu"})["id"]
        cluster = api.ok("POST", f"/regions/{region}/clusters", {"name": "eu-a"})["id"]
        api.ok("POST", f"/clusters/{cluster}/lb-addresses", {"address": "192.0.2.10"})
        shard = api.ok("POST", f"/clusters/{cluster}/shards", {"name": "web", "role": "web"})["id"]
        self.place = {"brand_id": brand, "region_id": region, "cluster_id": cluster, "shard_id": shard}
        self.zone = api.ok("POST", "/zones", {"name": "many.example", "brand_id": brand})["id"]

    def jobs(self):
        """Path and body of each create, in the order in which they are made."""
        tenants = [
            ("/tenants", {**self.place, "name": f"t-{n}", "fqdns": [{"fqdn": f"t-{n}.many.example"}]})
            for n in range(TENANTS)
        ]
        zones = [("/zones", {"name": f"z-{n}.example", "brand_id": self.place["brand_id"]}) for n in range(ZONES)]
        records = [
            (f"/zones/{self.zone}/records", {"type": "A", "name": f"r-{n}", "content": "192.0.2.1"})
            for n in range(RECORDS)
        ]
        mixed = []
        while tenants or zones or records:
            mixed += [group.pop() for group in (tenants, zones, records) if group]
        return mixed


class Clients:
    """Clients that try again with the same key until somebody says yes."""

    def __init__(self, hubs, jobs):
        self.hubs, self.lock = hubs, threading.Lock()
        self.waiting = list(reversed(jobs))
        self.accepted, self.refused, self.again = [], [], 0
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def work(self, turn):
        connections = {}
        while True:
            with self.lock:
                if not self.waiting:
                    return
                path, body = self.waiting.pop()
            key, end = str(uuid.uuid4()), time.monotonic() + 60
            while True:
                hub = self.hubs[turn % len(self.hubs)]
                answer = self.ask(connections, hub, path, body, key)
                if answer and answer[0] < 500:
                    break
                expect(time.monotonic() < end, f"{path} finds no hub: {answer}")
                # Another hub of them may be there.
                turn += 1
                with self.lock:
                    self.again += 1
                time.sleep(0.1)
            with self.lock:
                into = self.accepted if answer[0] in (201, 202) else self.refused
                into.append((path, body, answer[1]["id"] if answer[0] < 300 else answer))

    @staticmethod
    def ask(connections, hub, path, body, key):
        """Status and body, or nothing when the hub went away."""
        connection = connections.get(hub.port) or http.client.HTTPConnection("127.0.0.1", hub.port, timeout=20)
        connections[hub.port] = connection
        headers = {
            "Authorization": f"Bearer {hub.api.key}", "Content-Type": "application/json", "Idempotency-Key": key,
        }  # fmt: skip
        try:
            connection.request("POST", f"/api/v1{path}", json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            connection.close()
            return None

    def wait(self, count):
        """Until so many were accepted."""
        wait_for(f"{count} creates are accepted", lambda: len(self.accepted) >= count or self.refused, 90, 0.01)

    def end(self):
        for thread in self.threads:
            thread.join(120)
        expect(not self.refused, lambda: f"{len(self.refused)} refused: {self.refused[:3]}")
        equal(len(self.accepted), TENANTS + ZONES + RECORDS, "accepted creates")


def judge(world, api, platform, dns, clients):
    """None lost, none twice, all at an end, and the name server has exactly that."""
    accepted = {identifier for _, _, identifier in clients.accepted}
    equal(len(accepted), len(clients.accepted), "different resources answered")

    def left():
        busy = ("pending", "provisioning", "deleting")
        return [s for kind in ("tenants", "fqdns", "zones", "zone-records") for s in busy if unended(kind, s)]

    def unended(kind, status):
        path = f"/zones/{platform.zone}/records" if kind == "zone-records" else f"/{kind}"
        return api.get(f"{path}?status={status}&limit=1")["items"]

    wait_for("all is at an end", lambda: not left(), 60, 0.2)
    records = api.items(f"/zones/{platform.zone}/records")
    for what, items, name, count in (
        ("tenants", api.items("/tenants"), "name", TENANTS),
        ("zones", api.items("/zones"), "name", ZONES + 1),
        ("names", api.items("/fqdns"), "fqdn", TENANTS),
        ("records", [one for one in records if one["managed_by"] == "user"], "name", RECORDS),
        ("records of names", [one for one in records if one["managed_by"] == "auto"], "name", TENANTS),
    ):
        equal((len(items), len({one[name] for one in items})), (count, count), f"{what}, and different ones")
        failed = [one for one in items if one["status"] != "active"]
        expect(not failed, lambda: f"{len(failed)} {what} did not come up: {failed[:2]}")
        if what in ("tenants", "zones"):
            accepted -= {one["id"] for one in items}
    accepted -= {one["id"] for one in records}
    expect(not accepted, lambda: f"{len(accepted)} accepted resources are lost: {sorted(accepted)[:5]}")
    served = dns.records("many.example")
    equal(len([1 for name, kind in served if kind == "A"]), TENANTS + RECORDS, "records on the name server")
    created = [one for one in audit(api) if one["outcome"] == "ok"]
    equal(len(created), len({one["resource_id"] for one in created}), "entries of creates in the audit log")
    equal(len(created), TENANTS + ZONES + RECORDS + 1, "creates in the audit log")
    world.note(f"{clients.again} tries again")


def audit(api):
    entries = api.items("/audit-logs?action=create")
    return [one for one in entries if one["resource_kind"] in ("tenant", "zone", "zone-record")]


@scenario("creates.killed", seconds=150, quick=True)
def killed(world):
    """One hub on SQLite, killed twice in the midst of a thousand creates."""
    dns = PowerDNS(world)
    hub = HubProcess(world)
    platform = Platform(hub.api, dns)
    watch = Stopwatch()
    clients = Clients([hub], platform.jobs())
    for count in (200, 600):
        clients.wait(count)
        hub.kill()
        hub.start()
    clients.end()
    world.note(f"accepted in {watch.ms / 1000:.1f} s")
    judge(world, hub.api, platform, dns, clients)
    world.note(f"at an end after {watch.ms / 1000:.1f} s")


def names_hub(postgres, hubs):
    """The hub that keeps the name servers up to date."""
    found = postgres.query("SELECT value FROM cells WHERE space = 'lease' AND key = 'names'")
    holder = json.loads(found[0])["holder"] if found else None
    for hub in hubs:
        with open(f"{hub.data}/hub/name") as file:
            if file.read().strip() == holder:
                return hub


@scenario("creates.two-hubs", seconds=180, quick=True)
def two_hubs(world):
    """Two hubs on PostgreSQL: the one that works on names is killed, then the database; all goes on in the other."""
    dns, postgres = PowerDNS(world), Postgres(world)
    first = PostgresHub(world, postgres, "first")
    second = PostgresHub(world, postgres, "second", master=first)
    platform = Platform(first.api, dns)
    pages = [Page(hub, "tenant", "fqdn") for hub in (first, second)]
    watch = Stopwatch()
    clients = Clients([first, second], platform.jobs())
    clients.wait(200)
    for number, page in enumerate(pages):
        wait_for(f"page {number} hears of tenants and names", lambda: {"tenant", "fqdn"} <= page.kinds, 30)
    dead = wait_for("a hub works on names", lambda: names_hub(postgres, [first, second]), 20)
    alive = second if dead is first else first
    dead.kill()
    killed = Stopwatch()
    clients.wait(600)
    postgres.restart()
    clients.end()
    world.note(f"accepted in {watch.ms / 1000:.1f} s")
    wait_for("the other hub works on names", lambda: names_hub(postgres, [first, second]) is alive, 60)
    world.note(f"names taken over in {killed.ms / 1000:.1f} s")
    judge(world, alive.api, platform, dns, clients)
    world.note(f"at an end after {watch.ms / 1000:.1f} s")
