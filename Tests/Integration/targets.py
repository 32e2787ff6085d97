"""Sites in front of real containers, and names that are proved through DNS."""

import os
import subprocess

from kit.authority import Authority
from kit.check import equal, expect, wait_for
from kit.engine import IMAGE, Engine
from kit.registry import scenario
from sites import Server

# Answers with its name.
BOX = "mkdir -p /www; echo {name} > /www/index.html; exec httpd -f -p {port} -h /www"


@scenario("targets.containers", seconds=240)
def containers(world):
    """Sites follow a container through stop, start and replacement, by its address and by its published port."""
    with Engine(world) as engine:
        server = Server(world)
        server.start()
        inner, outer = f"inner-{world.token}", f"outer-{world.token}"

        def run(name, says, port, *options):
            command = ["sh", "-c", BOX.format(name=says, port=port)]
            engine.ask("run", "--detach", "--init", "--name", name, *options, IMAGE, *command)

        def target(container, port):
            return {"container": container, "port": port}

        def serves(domain, text):
            wait_for(f"{domain} says {text}", lambda: server.plain(domain) == (f"{text}\n", "200"), 30)

        run(inner, "inner", 80)
        run(outer, "outer", 8080, "--publish", "127.0.0.1::8080")
        address = engine.inspect(inner)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        sites = [
            {**server.site("inner.test"), "target": target(inner, 80)},
            {**server.site("outer.test"), "target": target(outer, 8080)},
            {**server.site("address.test"), "target": {"host": address, "port": 80}},
            {**server.site("none.test"), "target": target(f"none-{world.token}", 80)},
        ]
        server.publish(*sites)
        for domain, text in (("inner.test", "inner"), ("outer.test", "outer"), ("address.test", "inner")):
            server.state(domain, "active")
            serves(domain, text)
        expect("There is no container" in server.state("none.test", "failed")["message"], "of a missing container")
        equal(server.plain("none.test")[1], "503", "a site without its container")
        engine.ask("stop", "--time", "1", inner)
        expect("does not run" in server.state("inner.test", "failed")["message"], "of a stopped container")
        page, status = server.plain("inner.test", "-H", "Accept: application/json")
        equal(status, "503", "the site of a stopped container")
        expect("inner.test" in page, f"the page does not say what is down: {page}")
        # Another container of this name, at another port and most likely at another address.
        engine.ask("rm", "--force", outer)
        run(outer, "second", 8080, "--publish", "127.0.0.1::8080")
        engine.ask("start", inner)
        server.state("inner.test", "active")
        serves("inner.test", "inner")
        serves("outer.test", "second")
        # An agent that starts anew finds them again.
        server.agent.kill()
        server.start()
        for domain, text in (("inner.test", "inner"), ("outer.test", "second")):
            serves(domain, text)
        server.publish()
        wait_for("no trace of the sites", lambda: not any(server.traces(site["domain"]) for site in sites), 30)


HOOK = """#!/bin/sh
echo "$*" >> {log}
test -e {broken} && echo "the zone is locked" >&2 && exit 1
if [ "$1" = present ]; then verb=set-txt; else verb=clear-txt; fi
exec curl -fsS -d "{{\\"host\\":\\"$2.\\",\\"value\\":\\"$3\\"}}" http://127.0.0.1:{port}/$verb
"""


@scenario("targets.wildcard", seconds=150)
def wildcard(world):
    """A wildcard is proved through the DNS hook; without one, or without authority, the site says why."""
    server = Server(world)
    authority = Authority(world, server.agent.edge_port)
    server.start()
    site = server.site("*.wild.test", "acme", aliases=["wild.test"])
    server.publish(site, authority=authority)
    message = server.state("*.wild.test", "failed", 60)["message"]
    expect("dns-hook" in message, f"without a hook: {message}")
    body, _ = server.secure("shop.wild.test", "-k")
    equal(body, "backend proto=https", "with the edge's own certificate until then")
    expect("curl 60" in server.secure("shop.wild.test", root=authority.root)[0], "nobody vouches for it")
    # A failed attempt waits for minutes; a site that is new does not. The hook may come at any time.
    log, broken, hook = world.path("hook.log"), world.path("broken"), server.agent.path("dns-hook")
    with open(hook, "w") as file:
        file.write(HOOK.format(log=log, broken=broken, port=authority.names_management))
    os.chmod(hook, 0o700)
    open(broken, "w").close()
    locked = server.site("locked.test", "acme")
    server.publish(site, locked, authority=authority)
    message = server.state("locked.test", "failed", 60)["message"]
    expect("DNS hook" in message, f"with a hook that fails: {message}")
    expect("the zone is locked" in world.log("agent-one.log"), "the hook's words are not in the agent's log")
    os.remove(broken)
    server.publish(server.site("*.other.test", "acme", aliases=["other.test"]), authority=authority)
    server.state("*.other.test", "active", 60)
    for name in ("other.test", "shop.other.test", "api.other.test"):
        equal(server.secure(name, root=authority.root)[0], "backend proto=https", f"https://{name}")
    expect("curl 60" in server.secure("a.b.other.test", root=authority.root)[0], "a wildcard is of one label")
    with open(log) as file:
        calls = [line.split() for line in file]
    others = [call for call in calls if call[1].endswith(".other.test")]
    equal({call[1] for call in others}, {"_acme-challenge.other.test"}, "names that the hook was asked for")
    presented = {call[2] for call in others if call[0] == "present"}
    equal(presented, {call[2] for call in others if call[0] == "withdraw"}, "what was presented is withdrawn")
    equal(len(presented), 2, "values of one name, for the wildcard and for itself")
    # An authority that is away is told, and takes nothing from what is there.
    authority.stop()
    other = server.site("*.other.test", "acme", aliases=["other.test"])
    server.publish(other, server.site("late.test", "acme"), authority=authority)
    message = server.state("late.test", "failed", 60)["message"]
    expect("cannot be reached" in message, f"without an authority: {message}")
    equal(server.secure("shop.other.test", root=authority.root)[0], "backend proto=https", "without an authority")
    found = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=shown(server, "late.test"),
                           capture_output=True, text=True).stdout  # fmt: skip
    expect("other.test" not in found, f"a site without a certificate shows another one's: {found}")
    server.publish()
    wait_for("no trace", lambda: not server.keys() and not any(map(server.traces, ("other.test", "late.test"))), 30)


def shown(server, name):
    """The certificate that is shown for a name, in PEM form."""
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.tls_port}", "-servername", name],
        input="", capture_output=True, text=True, timeout=20,
    ).stdout  # fmt: skip
