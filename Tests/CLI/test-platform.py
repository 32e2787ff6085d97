#!/usr/bin/env python3
"""The platform from the command line: a real hub, clusters and seeds from files, the audit log, and logins of people."""
import base64
import hmac
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "Fixtures"))
from free_port import free_port  # noqa: E402

EXAMPLES = HERE.parent.parent / "examples"
PROGRAM = os.environ.get("ROOST_BIN", str(HERE.parent.parent / ".build/debug/roost"))
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="roost-platform-"))

PORT = free_port()
URL = f"http://127.0.0.1:{PORT}"
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": str(FOLDER), "ROOST_URL": URL}
results = []


def roost(*words, given="", status=0, **variables):
    """Runs a command and answers its output; fails when the exit status is another than the expected."""
    environment = {**ENVIRONMENT, **variables}
    done = subprocess.run(
        [PROGRAM, *words], input=given, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == status, f"roost {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if status == 0 else done.stderr


def call(path, body, token=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"{URL}/api/v1{path}", json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def code(secret, step):
    """A code of an authenticator app (RFC 6238)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", step), "sha1").digest()
    offset = digest[19] & 15
    return f"{(struct.unpack('>I', digest[offset:offset + 4])[0] & 0x7FFFFFFF) % 1000000:06d}"


def check(function):
    try:
        function()
    except Exception as error:  # the next ones still run
        print(f"FAILED  {function.__doc__}: {error}")
        results.append(False)
    else:
        print(f"ok      {function.__doc__}")
        results.append(True)


def cluster_file():
    """a cluster is made from a file, planned first, and again without a change"""
    path = str(EXAMPLES / "cluster.yaml")
    plan = roost("cluster", "apply", "-f", path, "--plan")
    assert "+ cluster eu-1-a" in plan and plan.count("+") == 9, plan
    assert json.loads(roost("region", "list", "--json")) == []
    roost("cluster", "apply", "-f", path)
    shards = json.loads(roost("shard", "list", "--json"))
    assert {(s["name"], s["status"]) for s in shards} == {("web-1", "active"), ("db-1", "active")}, shards
    again = roost("cluster", "apply", "-f", path)
    assert "+" not in again and "~" not in again, again
    changed = pathlib.Path(path).read_text().replace("lb_backend: web-1", "lb_backend: web-one")
    assert "~ shard web-1: lb_backend" in roost("cluster", "apply", "-f", "-", given=changed)
    web = next(s["id"] for s in json.loads(roost("shard", "list", "--json")) if s["name"] == "web-1")
    roost("shard", "converge", web)


def seed_file():
    """a seed is planted once, and waited for"""
    path = str(EXAMPLES / "seed.yaml")
    assert "= region eu-1" in roost("seed", "-f", path, "--plan")
    roost("seed", "-f", path)
    tenants = json.loads(roost("tenant", "list", "--json"))
    assert len(tenants) == 1 and tenants[0]["status"] == "active" and tenants[0]["id"].startswith("t_"), tenants
    again = roost("seed", "-f", path)
    assert "+" not in again, again
    assert json.loads(roost("platform-config", "show", "--json"))["base_domain"] == "hosting.example.org"
    roost("tenant", "suspend", "first", "--reason", "Unpaid.")
    assert "suspended" in roost("tenant", "show", "first")
    error = roost("seed", "-f", "-", given="brands:\n  - nme: x\n", status=1)
    assert "standard input:2" in error and "nme" in error, error


def hostile_files():
    """hostile values in files are refused with their place or planned as text, and nothing else happens"""
    before = roost("region", "list", "--json"), roost("brand", "list", "--json")
    brand = {"base_hostname": "b.example.org", "primary_ns": "ns1.b.example.org", "secondary_ns": "ns2.b.example.org",
             "hostmaster_email": "h@b.example.org"}
    path = FOLDER / "hostile.yaml"
    refused = ["../../etc", "a\0b", "a\r\nb", "\x1b[31mred", "a\u202eb", "$(id)", "-x", "é", "a" * 100_000, " "]
    taken = ["$(id); rm -rf /", "<script>alert(1)</script>", "{{x}}", "'; DROP TABLE resources; --", "e\u0301\U0001f4a5"]
    documents = [({"regions": [{"name": value}]}, 1) for value in refused]
    documents += [({"brands": [{**brand, "name": value}]}, 1) for value in refused[1:5]]
    documents += [({"brands": [{**brand, "name": value}]}, 0) for value in taken]
    raw = [b"regions:\n  - name: \xff\xfe\n", b"regions:\n  - name: a\0b\n", b"[" * 100_000, b"a: &a [*a, *a]\n",
           b"regions: !!python/object:os.system {}\n", b"- x\n", b"regions: x\n", b'regions:\n  - name: "\\ud800"\n']
    runs = [(json.dumps(document, ensure_ascii=False).encode(), status, ["seed", "-f", str(path), "--plan"]) for document, status in documents]
    runs += [(content, 1, ["seed", "-f", str(path)]) for content in raw]
    runs += [(content, 1, ["cluster", "apply", "-f", str(path)]) for content in raw]
    for content, status, words in runs:
        path.write_bytes(content)
        done = subprocess.run([PROGRAM, *words], capture_output=True, timeout=60, env=ENVIRONMENT)
        said = done.stdout + done.stderr
        assert done.returncode == status, f"{content[:100]} {words}: {done.returncode} {said[:500]}"
        assert said.strip() and b"\x1b[31m" not in said and b"internal" not in said and len(said) < 10_000, said[:500]
    assert before == (roost("region", "list", "--json"), roost("brand", "list", "--json"))


def views_and_links():
    """what a kind declares to be shown or linked is a command"""
    summary = roost("tenant", "resource-summary", "first")
    assert "kinds.tenant" not in summary and "total" in summary and "tenant_id" in summary, summary
    usage = json.loads(roost("tenant", "resource-usage", "first", "--json"))
    assert usage["disk_quota_bytes"] == 0 and usage["counts"] == {}, usage
    assert json.loads(roost("brand", "clusters", "acme", "--json"))["cluster_ids"] == []
    roost("brand", "set-clusters", "acme", status=64)
    assert "eu-1-a" in roost("brand", "set-clusters", "acme", "--cluster", "eu-1-a")
    assert json.loads(roost("brand", "clusters", "acme", "--json"))["cluster_ids"] == ["eu-1-a"]
    roost("brand", "set-clusters", "acme", "--none", "--plan")
    assert "eu-1-a" in roost("brand", "clusters", "acme")
    assert json.loads(roost("brand", "set-clusters", "acme", "--none", "--json"))["cluster_ids"] == []


def audit_log():
    """the audit log is verified and exported, and a change in the past is found"""
    assert "whole" in roost("audit", "verify")
    lines = [json.loads(line) for line in roost("audit", "export").splitlines()]
    assert [line["id"] for line in lines] == list(range(1, len(lines) + 1)) and len(lines) > 10
    assert "tenant" in roost("audit", "--resource", "tenant")
    import sqlite3

    with sqlite3.connect(FOLDER / "data/hub/roost.db", timeout=30) as database:
        database.execute("UPDATE audit SET actor = 'nobody' WHERE id = 3")
    assert "entry 3" in roost("audit", "verify", status=1)


def people():
    """a person logs in with a password and a code"""
    roost("user", "create", "ada@example.org", "--role", "operator", "--password", "-", given="correct horse")
    roost("login", URL, "--email", "ada@example.org", given="correct horse\n", ROOST_API_KEY="")
    assert "first" in roost("tenant", "list", ROOST_API_KEY="")
    profiles = json.loads((FOLDER / ".config/roost/profiles.json").read_text())
    token = profiles["profiles"]["default"]["key"]
    secret = call("/account/totp", {}, token)["secret"]
    step = int(time.time()) // 30
    recovery = call("/account/totp/confirm", {"code": code(secret, step)}, token)["recovery_codes"]
    wrong = roost(
        "login", URL, "--email", "ada@example.org", given="correct horse\n000000\n", status=1, ROOST_API_KEY="")
    assert "code" in wrong, wrong
    roost("login", URL, "--email", "ada@example.org", given=f"correct horse\n{recovery[0]}\n", ROOST_API_KEY="")
    assert "first" in roost("tenant", "list", ROOST_API_KEY="")


def main():
    log = open(FOLDER / "hub.log", "w")
    hub = subprocess.Popen(
        [PROGRAM, "hub", "--data", str(FOLDER / "data"), "--listen", f"127.0.0.1:{PORT}"], stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{URL}/healthz", timeout=5)
                break
            except OSError:
                time.sleep(0.1)
        ENVIRONMENT["ROOST_API_KEY"] = (FOLDER / "data/admin.key").read_text().strip()
        for function in (cluster_file, seed_file, hostile_files, views_and_links, people, audit_log):
            check(function)
    finally:
        hub.terminate()
        hub.wait()
        log.close()
    failed = results.count(False)
    if failed:
        print((FOLDER / "hub.log").read_text()[-3000:])
    shutil.rmtree(FOLDER)
    print(f"{results.count(True)} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
