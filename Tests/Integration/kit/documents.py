"""A source of desired states for an agent. It stands in for the hub where a scenario is about what a server makes of a
document: it signs whatever it is told to, and keeps the last heartbeat."""

import base64
import hashlib
import http.server
import json
import os
import subprocess
import threading

PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")


class Documents:
    NODE = "11111111-1111-4111-8111-111111111111"

    def __init__(self, world):
        self.world = world
        self.key = os.urandom(32)
        self.generation = 0
        self.envelope = None
        self.beat = {}
        self.changed = threading.Condition()
        source = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, value, status=200):
                body = json.dumps(value).encode() if value is not None else b""
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # an agent that was killed waits for no answer

            def do_GET(self):
                known = self.headers.get("If-None-Match", "").strip('"')
                with source.changed:
                    source.changed.wait_for(lambda: source.envelope and source.envelope["hash"] != known, timeout=2)
                    envelope = source.envelope
                if envelope is None or envelope["hash"] == known:
                    return self.answer(None, 304)
                self.answer(envelope)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
                if self.path.endswith("/heartbeat"):
                    source.beat = body
                last = max((event["sequence"] for event in body.get("events", [])), default=0)
                self.answer({"acknowledged": last})

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", "pkey" if "-pubout" in arguments else "pkeyutl", *arguments],
                              check=True, capture_output=True)
        return done.stdout

    def _key_file(self):
        path = self.world.path("documents.der")
        with open(path, "wb") as file:
            file.write(PKCS8_ED25519 + self.key)
        return path

    @property
    def public_key(self):
        der = self._openssl("-in", self._key_file(), "-inform", "DER", "-pubout", "-outform", "DER")
        return base64.b64encode(der[-32:]).decode()

    def identity(self):
        """What an agent that joined here would keep."""
        return {
            "hub_url": self.url, "node_id": self.NODE, "node_name": "one",
            "private_key": base64.b64encode(os.urandom(32)).decode(), "hub_public_key": self.public_key,
        }  # fmt: skip

    def publish(self, **members):
        """Signs a document of the next generation with these members."""
        self.generation += 1
        document = {
            "node_id": self.NODE, "stack_id": "s", "stack_name": "default", "generation": self.generation,
            "poll_interval_ms": 1000, "proxy": {"bind": "127.0.0.1", "port": 80}, "dns": {"suffix": "svc.internal"},
            "security_mode": "open", "peers": [], "services": [], **members,
        }  # fmt: skip
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(text.encode()).hexdigest()
        message = self.world.path("document.txt")
        with open(message, "w") as file:
            file.write(f"roost desired state v1\n{self.NODE}\n{self.generation}\n{digest}")
        signature = self._openssl("-sign", "-rawin", "-inkey", self._key_file(), "-keyform", "DER", "-in", message)
        with self.changed:
            self.envelope = {
                "document": document, "hash": digest, "signature": base64.b64encode(signature).decode(),
            }  # fmt: skip
            self.changed.notify_all()

    def site(self, site_id):
        """The agent's last report of a site, or an empty one."""
        return next((one for one in self.beat.get("sites") or [] if one["site_id"] == site_id), {})
