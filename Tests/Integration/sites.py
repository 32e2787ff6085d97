"""Sites: domains in front of addresses and services, with certificates, on a real agent and edge."""

import http.server
import json
import os
import shutil
import subprocess
import threading

from free_port import free_port

from kit.agent import Agent
from kit.authority import Authority, make_certificate, served
from kit.check import equal, expect, wait_for
from kit.documents import Documents
from kit.registry import scenario
from kit.world import Load, Up


# bcrypt of "open sesame", of cost 4.
OPEN_SESAME = "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"


class Backend:
    """What the sites are in front of."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                body = f"backend proto={self.headers.get('X-Forwarded-Proto')}".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Visitor:
    """Resolves every name to this machine's front doors."""

    def __init__(self, *ports):
        self.ports = ports

    def curl(self, url, *arguments, root=None):
        """Body and status of an answer, with the place that it sends to."""
        host = url.split("/")[2].split(":")[0]
        command = ["curl", "-sS", "--max-time", "10", "-w", "\n%{http_code} %{redirect_url}"]
        for port in self.ports:
            command += ["--resolve", f"{host}:{port}:127.0.0.1"]
        done = subprocess.run(
            [*command, *(["--cacert", root] if root else []), *arguments, url], capture_output=True, text=True
        )
        if done.returncode != 0:
            return f"curl {done.returncode}: {done.stderr.strip()}", ""
        body, _, last = done.stdout.rpartition("\n")
        return body, last.strip()


class Server:
    """An agent that is told by a source of documents, with two front doors."""

    def __init__(self, world):
        self.world = world
        self.documents = Documents(world)
        self.agent = Agent(world, None, "one", url=self.documents.url)
        self.tls_port = free_port()
        self.backend = Backend()
        os.mkdir(self.agent.data)
        with open(self.agent.path("identity.json"), "w") as file:
            json.dump(self.documents.identity(), file)
        os.chmod(self.agent.path("identity.json"), 0o600)

    def start(self, environment=None):
        self.agent.start(environment=environment, more=["--edge-tls", f"127.0.0.1:{self.tls_port}"])

    def site(self, domain, mode="off", redirect=True, **members):
        tls = {"mode": mode, "redirects_clear_text": redirect, **members.pop("tls", {})}
        target = {"host": "127.0.0.1", "port": self.backend.port}
        return {"id": f"id-{domain}", "domain": domain, "aliases": [], "target": target, "tls": tls, **members}

    def publish(self, *sites, authority=None, **members):
        more = {"authority": authority.wire} if authority else {}
        self.documents.publish(sites=list(sites), **more, **members)

    def state(self, domain, state, seconds=30):
        site_id = f"id-{domain}"
        try:
            return wait_for(
                f"{domain} is {state}",
                lambda: self.documents.site(site_id).get("state") == state and self.documents.site(site_id),
                seconds,
            )
        except AssertionError as error:
            raise AssertionError(f"{error} {self.documents.site(site_id)}") from None

    def curl(self, url, *arguments, root=None):
        return Visitor(self.agent.edge_port, self.tls_port).curl(url, *arguments, root=root)

    def plain(self, domain, *arguments, path="/"):
        return self.curl(f"http://{domain}:{self.agent.edge_port}{path}", *arguments)

    def secure(self, domain, *arguments, path="/", root=None):
        return self.curl(f"https://{domain}:{self.tls_port}{path}", *arguments, root=root)

    def traces(self, domain, access=True):
        """Files of the agent that name the domain; of logs only the access log, and that if asked for."""
        found = subprocess.run(["grep", "-rlF", domain, self.agent.data], capture_output=True, text=True).stdout
        logs, wanted = self.agent.path("logs"), self.agent.path("logs", "edge.access")
        return [
            line for line in found.splitlines() if not line.startswith(logs) or (access and line.startswith(wanted))
        ]

    def gone(self, domain, seconds=30):
        """Waits until nothing is left of a site that was removed."""
        try:
            wait_for(f"no trace of {domain}", lambda: not self.traces(domain) and not self.keys(), seconds)
        except AssertionError as error:
            left = subprocess.run(["grep", "-hF", domain, *self.traces(domain)], capture_output=True, text=True).stdout
            raise AssertionError(f"{error}: {self.traces(domain)} {self.keys()}\n{left[:2000]}") from None

    def keys(self):
        folder = self.agent.path("certificates")
        if not os.path.isdir(folder):
            return []
        return [os.path.join(path, name) for path, _, names in os.walk(folder) for name in names if name != "account.key"]


@scenario("sites.acme", quick=True)
def acme(world):
    """A certificate from an authority; clear text is sent on; nothing is left after the end, and leave takes the rest."""
    server = Server(world)
    authority = Authority(world, server.agent.edge_port)
    server.start()
    server.publish(server.site("shop.test", "acme", aliases=["store.test"]), authority=authority)
    report = server.state("shop.test", "active", 60)
    expect(report.get("certificate_not_after"), f"no end of the certificate in {report}")
    for name in ("shop.test", "store.test"):
        equal(server.secure(name, root=authority.root)[0], "backend proto=https", f"https://{name}")
    body, last = server.plain("shop.test", path="/a?b=c")
    equal(last, f"308 https://shop.test:{server.tls_port}/a?b=c", f"clear text: {body}")
    folder = server.agent.path("certificates")
    equal(os.stat(folder).st_mode & 0o777, 0o700, "mode of the certificates' folder")
    expect(server.keys(), "no certificate is kept")
    for path in server.keys():
        equal(os.stat(path).st_mode & 0o777, 0o600, f"mode of {path}")
    # The account is made again at an authority that was set up anew, with another root.
    root = shutil.copy(authority.root, world.path("first-root.pem"))
    authority.forget()
    shop, more = server.site("shop.test", "acme", aliases=["store.test"]), ["one.test", "two.test", "six.test"]
    server.publish(shop, *[server.site(domain, "acme") for domain in more], authority=authority)
    for domain in more:
        server.state(domain, "active", 60)
    server.publish(shop, authority=authority)
    wait_for("no trace of the others", lambda: not any(map(server.traces, more)))
    # An agent that finds nobody to tell it anything serves as before.
    server.agent.kill()
    server.documents.close()
    server.start()
    wait_for("the agent is back", lambda: "agent runs" in world.log("agent-one.log"))
    equal(server.secure("shop.test", root=root)[0], "backend proto=https", "with its hub away")
    equal(subprocess.run(["ls", server.agent.path("challenges")], capture_output=True, text=True).stdout, "", "challenges")
    server.agent.kill()
    done = world.run("agent", "leave", "--data", server.agent.data, "--yes")
    expect("has left" in done.stdout, done.stdout + done.stderr)
    equal(server.traces("shop.test", access=False), [], "files that name the site after leaving")
    equal(server.keys(), [], "certificates after leaving")


@scenario("sites.life", quick=True)
def life(world):
    """Self-signed and uploaded certificates, passwords, www; the first TLS site drops no connection; no trace after."""
    server = Server(world)
    server.start()
    server.publish(server.site("plain.test"))
    server.state("plain.test", "active")
    equal(server.plain("plain.test"), ("backend proto=http", "200"), "a site in clear text")
    expect("curl 7" in server.secure("plain.test")[0], "TLS is listened for, and nobody asked for it")
    users = {"basic": {"realm": "shop", "users": [{"name": "ada", "password_hash": OPEN_SESAME}]}}
    url = f"http://plain.test:{server.agent.edge_port}/"
    with Load(url, rate=150, expect_text="backend", connect="127.0.0.1") as load:
        server.publish(
            server.site("plain.test"),
            server.site("own.test", "self-signed", redirect=False, www_redirect="apex", access=users),
        )
        server.state("own.test", "active")
        load_result = load.end_without_failure()
    world.note(f"{load_result['sent']} requests while TLS began")
    equal(server.secure("own.test", "-k")[1].split()[0], "401", "without a password")
    equal(server.secure("own.test", "-k", "-u", "ada:wrong")[1].split()[0], "401", "with another password")
    equal(server.secure("own.test", "-k", "-u", "ada:open sesame"), ("backend proto=https", "200"), "with the password")
    equal(server.plain("own.test", "-u", "ada:open sesame")[0], "backend proto=http", "in clear text")
    own = served(server, "own.test")
    expect("DNS:own.test" in own and "DNS:www.own.test" in own, f"names of the certificate: {own}")
    equal(
        server.secure("www.own.test", "-k", path="/x")[1], f"308 https://own.test:{server.tls_port}/x", "the other form"
    )
    chain, key = make_certificate(world, "own.test")
    with open(chain) as one, open(key) as other:
        upload = {"certificate_pem": one.read(), "key_pem": other.read()}
    server.publish(server.site("plain.test"), server.site("own.test", "upload", redirect=False, tls=upload))
    server.state("own.test", "active")
    wait_for("the uploaded certificate", lambda: server.secure("own.test", root=chain)[0] == "backend proto=https")
    bad = {"certificate_pem": upload["certificate_pem"], "key_pem": "none"}
    server.publish(server.site("plain.test"), server.site("own.test", "upload", redirect=False, tls=bad))
    wait_for("the refusal is told", lambda: "key" in (server.documents.site("id-own.test").get("message") or ""))
    equal(server.secure("own.test", root=chain)[0], "backend proto=https", "after a bad upload")
    # A key that lies open, as of a backup that lost the modes: the next edge does not take it, until it is mended.
    keys = [path for path in server.keys() if path.endswith(".key")]
    for mode, state in ((0o644, "failed"), (0o600, "active")):
        for path in keys:
            os.chmod(path, mode)
        if state == "failed":
            for pid in [pid for pid, line in world.folder_processes().items() if " edge --config " in line]:
                os.kill(pid, 9)
        words = {"failed": "cannot show the certificate", "active": ""}[state]
        wait_for(
            f"the key's mode is noticed: {state}",
            lambda: server.state("own.test", state) and words in str(server.documents.site("id-own.test")),
        )
    wait_for("it is shown again", lambda: server.secure("own.test", root=chain)[0] == "backend proto=https")
    # One that the edge refuses keeps no other from being served.
    server.publish(
        server.site("plain.test"), server.site("new.test"),
        server.site("bad.test", access={"basic": {"users": [{"name": "a", "password_hash": "none"}]}}),
    )  # fmt: skip
    refused = server.state("bad.test", "failed")
    expect("password_hash" in refused["message"], f"message of a refused site: {refused}")
    server.state("new.test", "active")
    equal(server.plain("new.test")[1], "200", "beside a refused site")
    server.gone("own.test")
    equal(server.plain("own.test")[1], "404", "a site that is gone")
    wait_for("TLS is no longer listened for", lambda: "curl 7" in server.secure("own.test")[0])


@scenario("sites.killed", seconds=240)
def killed(world):
    """The agent is killed at each effect of getting a certificate, and ends with a site and no trace of it after."""
    server = Server(world)
    authority = Authority(world, server.agent.edge_port)
    labels = [
        "certificate-account.write", "certificate-folders.make", "certificate-record.write", "certificate-key.write",
        "certificate-order.create", "certificate-challenge.write", "certificate-challenge.respond",
        "certificate-order.finalize", "certificate-chain.write", "edge.apply",
    ]  # fmt: skip
    for number, label in enumerate(labels):
        domain = f"cut{number}.test"
        server.start({"ROOST_FAULT": f"{label}:1:after"})
        server.publish(server.site(domain, "acme"), authority=authority)
        wait_for(f"the agent dies at {label}", lambda: server.agent.process.poll() is not None, 20)
        server.start()
        server.state(domain, "active", 60)
        equal(server.secure(domain, root=authority.root)[0], "backend proto=https", f"after a death at {label}")
        server.publish()
        server.gone(domain)
        server.agent.kill()


@scenario("sites.whole", quick=True)
def whole(world):
    """From the API to the browser's side: a service behind a domain that first leads elsewhere, and the site's end."""
    tls_port = free_port()
    up = Up(world, "--edge-tls", f"127.0.0.1:{tls_port}")
    authority = Authority(world, up.edge_port)
    stack = up.hub.stack()
    wire = authority.wire
    up.hub.ok(
        "PUT",
        f"/stacks/{stack['id']}",
        {"acme": {"directory_url": wire["directory_url"], "roots_pem": wire["roots_pem"], "contacts": ["a@roost.test"]}},
    )
    service = up.live("app", world.repository(), path=None)
    authority.lead("shop.test", "127.0.0.9")
    site = up.hub.ok(
        "POST", f"/stacks/{stack['id']}/sites", {"domain": "shop.test", "upstream": service["name"], "tls": "acme"}
    )

    def wait(status):
        try:
            shown = lambda: up.hub.get(f"/sites/{site['id']}")  # noqa: E731
            return wait_for(f"the site is {status}", lambda: shown()["status"] == status and shown(), 60)
        except AssertionError as error:
            raise AssertionError(f"{error} {shown()}") from None

    for words in ("port 80", "next attempt is at"):
        wait_for(f"it says {words}", lambda text=words: text in (wait("failed")["status_message"] or ""), 60)
    authority.lead("shop.test")
    up.cli("site", "retry", "shop.test")
    expect(wait("active")["certificate_not_after"], "the end of the certificate is not shown")
    visitor = Visitor(up.edge_port, tls_port)
    body, last = visitor.curl(f"https://shop.test:{tls_port}/", root=authority.root)
    expect("version=1" in body and last == "200", f"https: {body} {last}")
    equal(visitor.curl(f"http://shop.test:{up.edge_port}/")[1], f"308 https://shop.test:{tls_port}/", "clear text")
    up.hub.ok("DELETE", f"/sites/{site['id']}")
    wait_for("the site is gone", lambda: up.hub.ask("GET", f"/sites/{site['id']}").status == 404, 30)
    left = subprocess.run(["grep", "-rlF", "shop.test", up.agent_folder()], capture_output=True, text=True).stdout
    logs = up.agent_folder("logs")
    access = up.agent_folder("logs", "edge.access")
    told = [line for line in left.splitlines() if not line.startswith(logs) or line.startswith(access)]
    equal(told, [], "files that name the site")
    equal(visitor.curl(f"http://shop.test:{up.edge_port}/")[1], "404", "a site that is gone")


@scenario("sites.front", seconds=120)
def front(world):
    """What a site can be told, from the API to a client: paths, proxies in front, access, limits, header rules."""
    tls_port = free_port()
    up = Up(world, "--edge-tls", f"127.0.0.1:{tls_port}")
    stack = up.hub.stack()
    repository = world.repository()
    names = {who: up.live(who, repository, path=None, env={"WHO": who})["name"] for who in ("web", "api", "door")}
    up.hub.ok("PUT", f"/stacks/{stack['id']}", {"poll_interval": 1})
    site = up.hub.ok(
        "POST",
        f"/stacks/{stack['id']}/sites",
        {
            "domain": "shop.test", "upstream": names["web"], "tls": "self-signed", "hsts": {"max_age": "1h"},
            "paths": {"/api": names["api"], "/kept": names["api"]}, "strip_paths": ["/api"],
        },
    )  # fmt: skip
    visitor = Visitor(up.edge_port, tls_port)

    def settled():
        wait_for("the sites are active", lambda: all(one["status"] == "active" for one in up.hub.items("/sites")), 30)

    def change(**fields):
        up.hub.ok("PUT", f"/sites/{site['id']}", fields)
        settled()

    def get(path, *arguments):
        return visitor.curl(f"https://shop.test:{tls_port}{path}", "-k", *arguments)

    settled()
    for path, who in (("/", "web"), ("/api/", "api"), ("/kept/", "api"), ("/apis/", "web")):
        equal(get(f"{path}plain?name=WHO"), (who, "200"), f"who answers {path}")
    equal((get("/api/path")[0], get("/kept/a/path")[0]), ("/path", "/kept/a/path"), "paths that reach the application")
    head = get("/api/path", "-D", "-", "-o", "/dev/null")[0].lower()
    expect("strict-transport-security: max-age=3600" in head and "x-frame-options" in head, f"header fields: {head}")
    service = next(one for one in up.hub.items("/services") if one["name"] == names["api"])
    refused = up.hub.ask("DELETE", f"/services/{service['id']}")
    expect(refused.status == 409 and "shop.test" in refused.text, f"deleting what a path leads to: {refused.text}")

    # A proxy in front is believed as soon as it is named, and not before.
    change(deny_networks=["203.0.113.0/24"])
    claim = ("-H", "X-Forwarded-For: 203.0.113.9")
    equal(get("/", *claim)[1], "200", "an address that a stranger claims")
    up.hub.ok("PUT", f"/stacks/{stack['id']}", {"proxy": {"trusted_networks": ["127.0.0.0/8"]}})
    wait_for("the proxy is believed", lambda: get("/", *claim)[1] == "403", 20)
    equal(get("/api/", *claim)[1], "403", "the same below a path")
    change(deny_networks=[])

    change(auth="token", tokens=["an-open-secret-of-shop"])
    equal(get("/api/")[1], "401", "without the token")
    equal(get("/api/", "-H", "Authorization: Bearer an-open-secret-of-shop")[1], "200", "with the token")
    change(auth="allow", forward_auth={"service": names["door"], "path": "/door", "copied_headers": ["X-User"]})
    equal(get("/api/field?name=X-User")[1], "403", "whom the service does not let pass")
    equal(get("/api/field?name=X-User", "-H", "Cookie: ada"), ("ada", "200"), "whom it lets pass, by name")
    change(forward_auth={"service": None, "copied_headers": []}, rate_limit={"requests_per_second": 0.1, "burst": 3})
    codes = [get("/api/")[1] for _ in range(5)]
    equal(codes, ["200"] * 3 + ["429"] * 2, "requests beyond the limit")
    change(rate_limit={"requests_per_second": None, "burst": None}, request_headers={"X-From": "edge"})
    equal(get("/field?name=X-From")[0], "edge", "a field for the upstream")

    metrics = {"domain": "metrics.test", "upstream": "edge:metrics", "auth": "token", "tokens": ["for-prometheus-only"]}
    up.hub.ok("POST", f"/stacks/{stack['id']}/sites", metrics)
    settled()
    url = f"http://metrics.test:{up.edge_port}/"
    equal(visitor.curl(url)[1], "401", "metrics without the token")
    text, status = visitor.curl(url, "-H", "X-Token: for-prometheus-only")
    expect(status == "200" and 'route="shop.test/api"' in text, f"metrics: {status} {text[:500]}")
    equal(visitor.curl(url, "-X", "POST", "-H", "X-Token: for-prometheus-only")[1], "405", "metrics cannot be posted to")
    traffic = wait_for("the site's traffic is told", lambda: up.hub.get(f"/sites/{site['id']}").get("traffic"), 20)
    expect(traffic["requests_per_second"] > 0 and traffic["p99_ms"] > 0, f"traffic: {traffic}")


@scenario("sites.files")
def files(world):
    """Static files without any options: what was compressed before is used, and dotfiles are not there."""
    up = Up(world)
    build = "mkdir out && cd out && echo 'let a = 1' > app.js && gzip -k app.js && echo no > .env && echo hi > index.html\n"
    repository = world.repository("site", {"build.sh": build})
    up.live(
        "site", repository, kind="static", run_command=None, health_check=None, build_command="sh build.sh",
        public_folder="out",
    )  # fmt: skip
    packed = up.fetch("/site/app.js", {"Accept-Encoding": "gzip"})
    equal((packed.status, packed.headers.get("Content-Encoding")), (200, "gzip"), "a file that was compressed before")
    equal(up.fetch("/site/app.js").text, "let a = 1\n", "for who cannot read that")
    equal(up.fetch("/site/.env").status, 404, "a dotfile")
