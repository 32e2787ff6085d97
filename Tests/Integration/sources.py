"""Where releases come from besides a repository on the same machine: https, uploads, branches and pull requests."""

import io
import os
import ssl
import subprocess
import tarfile
import threading
import urllib.parse
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kit.check import equal, expect, wait_for
from kit.registry import scenario
from kit.world import Load, Up


class SmartGit(BaseHTTPRequestHandler):
    """git-http-backend(1) behind HTTPS, with a user name and password when asked for."""

    protocol_version = "HTTP/1.1"
    root = ""

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        parts = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environment = {
            "PATH": "/usr/bin:/bin",
            "GIT_PROJECT_ROOT": self.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, timeout=60)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def serve_git(world):
    pem, key = world.certificate()
    handler = type("Handler", (SmartGit,), {"root": world.path("repos")})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, pem


@scenario("sources.https", quick=True)
def https(world):
    """A repository behind https: refused while its certificate is not trusted, and live once it is."""
    repository = world.repository()
    server, pem = serve_git(world)
    repository_url = f"https://127.0.0.1:{server.server_port}/app.git"
    up = Up(world)
    service = up.service("app", repository, git_url=repository_url)
    failed = up.hub.failed(service["id"])
    expect("certificate" in failed["status_message"], f"an untrusted certificate: {failed['status_message']}")
    up.kill()
    # The system's own list of authorities is what git goes by.
    world.trust(pem)
    up.start()
    up.hub.deploy(service["id"])
    equal(up.hub.active(service["id"])["commit"], repository.head, "commit")
    expect(up.serves("/app", "version=1"), "the application does not answer")
    commit = repository.version("2")
    up.hub.deploy(service["id"])
    equal(up.hub.active(service["id"])["commit"], commit, "commit after the second deploy")
    server.shutdown()


def archive(kind, files):
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as package:
            for name, text in files.items():
                package.writestr(name, text)
        return out.getvalue()
    with tarfile.open(fileobj=out, mode="w:gz" if kind == "tar.gz" else "w") as package:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            package.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


@scenario("sources.upload", quick=True)
def upload(world):
    """A site from tar, tar.gz and zip under load; an agent that dies in between; rollback; what is no archive."""
    up = Up(world)
    name = world.name("site")
    spec = {"name": name, "kind": "static", "path": "/"}
    service = up.hub.create_service(spec)
    equal(service["status"], "pending", "status before the first upload")

    def send(body):
        headers = {"Content-Type": "application/octet-stream"}
        return up.hub.ask("PUT", f"/services/{service['id']}/upload", body, headers)

    for version, kind in enumerate(["tar", "tar.gz", "zip"], 1):
        files = {"index.html": f"site {version}", "a/b.txt": "x" * 100_000}
        equal(send(archive(kind, files)).status, 202, f"upload of a {kind}")
        up.hub.active(service["id"])
        expect(up.serves("/", f"site {version}"), f"the {kind} is not served")
    with Load(f"{up.edge_url}/", 100, "site ") as load:
        for version in (4, 5):
            equal(send(archive("tar.gz", {"index.html": f"site {version}"})).status, 202, "upload under load")
            up.kill()
            up.start()
            up.hub.active(service["id"])
            wait_for("new site", lambda: up.serves("/", f"site {version}"), 10)
        load.end_without_failure()
    for body in (b"", b"nonsense", archive("tar", {"../outside": "x"}), archive("tar.gz", {"a": "b"})[:40]):
        answer = send(body)
        equal(answer.status, 400, f"an upload of {body[:20]}")
    expect(up.serves("/", "site 5"), "a refused upload changed what is served")
    oldest = [one for one in up.hub.deployments(service["id"]) if one["status"] == "active"][-1]
    up.hub.ok("POST", f"/deployments/{oldest['id']}/rollback")
    up.hub.active(service["id"])
    expect(up.serves("/", "site 1"), "the rollback is not served")
    folder = world.path("dist")
    os.makedirs(folder)
    with open(f"{folder}/index.html", "w") as file:
        file.write("site cli")
    up.cli("upload", name, folder)
    expect(up.serves("/", "site cli"), "what the command uploaded is not served")


@scenario("sources.preview", quick=True)
def preview(world):
    """A branch and a pull request beside the service, under names of their own; gone without a trace when removed."""
    up = Up(world)
    repository = world.repository()
    service = up.live("app", repository, hostnames=["app.example.org"], path="/")
    repository.git("checkout", "-q", "-b", "feature/x")
    commit = repository.commit({"version.txt": "feature\n"}, push=False)
    repository.push("feature/x")
    repository.git("push", "-q", "origin", "HEAD:refs/pull/7/head")
    previews = f"/services/{service['id']}/previews"
    made = [up.hub.ok("POST", previews, {"branch": "feature/x"}), up.hub.ok("POST", previews, {"pull_request": 7})]
    for one in made:
        world.names.append(up.hub.service(up.hub.get(f"/previews/{one['id']}")["preview_service_id"])["name"])

    def answers(host, text):
        answer = up.fetch("/", {"Host": host})
        return answer.status == 200 and text in answer.text

    for one in made:
        wait_for(
            "preview is live", lambda: up.hub.get(f"/previews/{one['id']}")["status"] == "active", 30
        )
        shown = up.hub.get(f"/previews/{one['id']}")
        equal(shown["commit"], commit, "commit of the preview")
        expect(answers(shown["hostname"], "version=feature"), f"{shown['hostname']} does not answer")
    expect(answers("app.example.org", "version=1"), "the service itself changed")
    up.hub.ok("DELETE", f"{previews}?pull_request=7")
    up.hub.ok("DELETE", f"/previews/{made[0]['id']}")
    equal(len(up.hub.items(previews)), 0, "previews left")
    folder = up.agent_folder("services")
    wait_for("previews are gone from the server", lambda: os.listdir(folder) == [service["name"]], 20)
