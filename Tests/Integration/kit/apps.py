"""Applications that the scenarios deploy. The standard library alone, so that nothing is installed."""

# Answers with its version; the paths below / let a test look inside and misbehave on demand.
PYTHON = r"""
import base64, hashlib, http.server, os, signal, sys, threading, time, urllib.parse, urllib.request

version = open("version.txt").read().strip() if os.path.exists("version.txt") else "none"
home = os.environ.get("HOME", "/tmp")
if os.path.exists(f"{home}/broken"):
    print("broken since it was told so", flush=True)
    sys.exit(7)
under_way = 0
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def reply(self, body, status=200, **fields):
        data = body.encode()
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        global under_way
        with lock:
            under_way += 1
        try:
            self.answer()
        finally:
            with lock:
                under_way -= 1

    def answer(self):
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        name = parts.path.rsplit("/", 1)[-1]
        if name == "env":
            value = os.environ.get(query["name"])
            return self.reply("absent" if value is None else hashlib.sha256(value.encode()).hexdigest())
        if name == "plain":
            return self.reply(os.environ.get(query["name"], "absent"))
        if name == "path":
            return self.reply(self.path)
        if name == "field":
            return self.reply(self.headers.get(query["name"], "absent"))
        if name == "door":
            user = self.headers.get("Cookie", "")
            return self.reply("", 200 if user else 403, X_User=user)
        if name == "peer":
            try:
                with urllib.request.urlopen(query["url"], timeout=5) as answer:
                    return self.reply(answer.read().decode())
            except OSError as error:
                return self.reply(f"{error}", 502)
        if name == "status":
            return self.reply(query["code"], int(query["code"]))
        if name == "slow":
            time.sleep(float(query["s"]))
        if name == "break":
            open(f"{home}/broken", "w").close()
            self.reply("broken from now on")
            self.wfile.flush()
            os._exit(9)
        if name == "echo" and self.headers.get("Upgrade", "").lower() == "websocket":
            return self.websocket()
        if name == "flood":
            line = ("x" * 1023 + "\n").encode() * 1024
            for _ in range(int(query["mib"])):
                os.write(1, line)
        self.reply(f"version={version} pid={os.getpid()}\n")

    def websocket(self):
        accept = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode())
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept.digest()).decode())
        self.end_headers()
        self.wfile.flush()
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                self.close_connection = True
                return
            size = head[1] & 127
            mask, data = self.rfile.read(4), self.rfile.read(size)
            data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
            self.wfile.write(bytes([0x81, size]) + data)
            self.wfile.flush()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def stop(*_):
    def finish():
        server.shutdown()
        end = time.monotonic() + 5
        while under_way and time.monotonic() < end:
            time.sleep(0.01)
        os._exit(0)
    threading.Thread(target=finish).start()


server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, signal.SIG_IGN if os.environ.get("DEAF") else stop)
print("app starts", version, flush=True)
server.serve_forever(poll_interval=0.02)
time.sleep(10)
"""

# Leaves its starter behind, as old daemons do.
DAEMON = r"""
import os, sys
if os.fork():
    sys.exit(0)
os.setsid()
if os.fork():
    os._exit(0)
exec(open("app.py").read())
"""


def python(version="1"):
    return {"app.py": PYTHON, "daemon.py": DAEMON, "version.txt": version + "\n"}
