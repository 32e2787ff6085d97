"""The API of the sample stack: Python's standard library alone, so that nothing has to be installed."""

import json
import os
import platform
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STARTED = time.monotonic()


class Requests:
    """How many requests are under way, so that a stop can wait for them."""

    def __init__(self):
        self.count = 0
        self.total = 0
        self.changed = threading.Condition()

    def __enter__(self):
        with self.changed:
            self.count += 1
            self.total += 1

    def __exit__(self, *_):
        with self.changed:
            self.count -= 1
            self.changed.notify_all()

    def wait_for_none(self, timeout):
        with self.changed:
            self.changed.wait_for(lambda: self.count == 0, timeout)


REQUESTS = Requests()
STOPPING = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave in one packet: without this a kept-alive answer waits for a delayed acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 75

    def do_GET(self):
        with REQUESTS:
            path = self.path.split("?")[0]
            if path == "/healthz":
                self.answer(200, {"status": "ok"})
            elif path in ("/", "/info"):
                self.answer(200, self.info())
            else:
                self.answer(404, {"error": "There is nothing here.", "code": "not_found"})

    def info(self):
        return {
            "service": "api",
            "language": f"Python {platform.python_version()}",
            "process": os.getpid(),
            "up for seconds": round(time.monotonic() - STARTED, 1),
            "requests answered": REQUESTS.total,
        }

    def answer(self, status, value):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if STOPPING.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        """The edge writes the access log; a second one here would only cost time."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


def main():
    port = int(os.environ.get("PORT", "8000"))
    server = Server(("127.0.0.1", port), Handler)

    def stop(number, _):
        STOPPING.set()
        print(f"{signal.Signals(number).name}: finishing requests", flush=True)
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"api listens on {port} after {round((time.monotonic() - STARTED) * 1000)} ms", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    REQUESTS.wait_for_none(timeout=10)
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
