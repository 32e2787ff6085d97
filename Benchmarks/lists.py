#!/usr/bin/env python3
"""How long pages of lists, searches and the dashboard take as the number of tenants grows.

    Benchmarks/lists.py [ROWS...]          1000 10000 100000 when absent

A hub of its own on SQLite (ROOST_BIN says which program), filled over the API by 16 clients at once: so many tenants, and
two domain names for each. Each figure is of 200 requests, one after the other, on one connection; beside the times, the
CPU time of the hub for each, which also says something on a machine that is busy.
"""
import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM = os.environ.get("ROOST_BIN", ".build/release/roost")
REQUESTS = 200


class Client:
    def __init__(self, port, headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = headers

    def send(self, method, path, body=None):
        headers = dict(self.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:300]}")
        return data, answer


def made(client, path, body):
    return json.loads(client.send("POST", "/api/v1" + path, body)[0])["id"]


def fill(port, headers, place, first, last):
    def work(numbers):
        client = Client(port, headers)
        for number in numbers:
            made(client, "/tenants", {
                **place, "name": f"shop-{number}", "customer_id": f"customer {number * 7919 % 99991}",
                "fqdns": [{"fqdn": f"{label}{number}.example.net"} for label in ("www.shop", "shop")],
            })

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(work, [range(first + part, last, 16) for part in range(16)]))


def cpu_s(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(client, path, hub):
    spans, before = [], cpu_s(hub)
    for _ in range(REQUESTS):
        started = time.perf_counter()
        client.send("GET", path)
        spans.append((time.perf_counter() - started) * 1000)
    spans.sort()
    return spans[len(spans) // 2], spans[int(len(spans) * 0.99)], (cpu_s(hub) - before) / REQUESTS * 1000


def main():
    rows = [int(word) for word in sys.argv[1:]] or [1000, 10_000, 100_000]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="roost-lists-"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    log = open(folder / "hub.log", "w")
    hub = subprocess.Popen(
        [PROGRAM, "hub", "--data", str(folder / "data"), "--listen", f"127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                Client(port, {}).send("GET", "/healthz")
                break
            except OSError:
                time.sleep(0.1)
        key = (folder / "data/admin.key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        client = Client(port, headers)
        client.send("PUT", "/api/v1/api-keys/" + key.split("_")[1], {"rate_limit": 1_000_000})
        brand = made(client, "/brands", {
            "name": "acme", "base_hostname": "a.example.org", "primary_ns": "ns1.example.org",
            "secondary_ns": "ns2.example.org", "hostmaster_email": "h@example.org"})
        region = made(client, "/regions", {"name": "eu-1"})
        cluster = made(client, f"/regions/{region}/clusters", {"name": "a"})
        shard = made(client, f"/clusters/{cluster}/shards", {"name": "web-1", "role": "web"})
        place = {"brand_id": brand, "region_id": region, "cluster_id": cluster, "shard_id": shard}
        own = made(client, "/api-keys", {"name": "brand", "scopes": ["*:*"], "brands": [brand]})
        _, login = Client(port, {}).send("POST", "/api/v1/login", {"key": key})
        pages = Client(port, {"Cookie": login.headers["Set-Cookie"].split(";")[0]})
        print(f"{'tenants':>8}  {'what':<34} {'median ms':>9} {'p99 ms':>8} {'CPU ms':>7}")
        done = 0
        for count in rows:
            started = time.perf_counter()
            fill(port, headers, place, done, count)
            rate = (count - done) / max(0.001, time.perf_counter() - started)
            done = count
            # The hub closes connections that say nothing for as long as that took.
            client.connection.close()
            pages.connection.close()
            cursor, path = None, "/api/v1/tenants?limit=200"
            for _ in range(min(50, count // 400)):
                cursor = json.loads(client.send("GET", path)[0])["next_cursor"]
                path = f"/api/v1/tenants?limit=200&cursor={cursor}"
            deep = f"/api/v1/tenants?limit=50" + (f"&cursor={json.loads(client.send('GET', '/api/v1/tenants?limit=50')[0])['next_cursor']}")
            tenant = json.loads(client.send("GET", "/api/v1/tenants?limit=1")[0])["items"][0]["id"]
            # What settles in the background would be counted as the first lists' time.
            for _ in range(600):
                if not json.loads(client.send("GET", "/api/v1/fqdns?status=pending&limit=1")[0])["items"]:
                    break
                time.sleep(0.5)
            for what, where, who in [
                ("list, first page of 50", "/api/v1/tenants", client), ("list, a later page", deep, client),
                ("list by name, descending", "/api/v1/tenants?sort=name&order=desc", client),
                ("list, active", "/api/v1/tenants?status=active", client),
                ("list, search for one", f"/api/v1/tenants?search=shop-{count - 1}", client),
                ("list, search for many", "/api/v1/tenants?search=shop", client),
                ("search across kinds", f"/api/v1/search?q=shop-{count // 2}", client),
                ("FQDNs, first page of 50", "/api/v1/fqdns", client),
                ("FQDNs by name, descending", "/api/v1/fqdns?sort=fqdn&order=desc", client),
                ("FQDNs, search for one", f"/api/v1/fqdns?search=shop{count - 1}.example", client),
                ("FQDNs, search for many", "/api/v1/fqdns?search=example.net", client),
                ("FQDNs of a tenant", f"/api/v1/tenants/{tenant}/fqdns", client),
                ("numbers of the dashboard", "/api/v1/dashboard/stats", client),
                ("dashboard, list of tenants", "/tenants", pages),
                ("dashboard, list of FQDNs", "/fqdns", pages), ("dashboard, overview", "/", pages),
            ]:
                median, slow, cpu = timed(who, where, hub)
                print(f"{count:>8}  {what:<34} {median:>9.2f} {slow:>8.2f} {cpu:>7.2f}", flush=True)
            print(f"{count:>8}  created at {rate:.0f} a second", flush=True)
    finally:
        hub.terminate()
        hub.wait()
        shutil.rmtree(folder)


main()
