#!/usr/bin/env python3
"""What the edge withstands, as a real process. Small by default; the long runs are asked for by hand:

    ROOST_BIN=… Tests/Endurance/test-endurance.py --volume 10G --connections 18000 --requests 10000000 [CASE…]
"""
import argparse
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ["PATH"] += ":/usr/sbin"
from edge import Client, Edge, Nginx, Upstream  # noqa: E402

MB = 1 << 20
# What a run may add to the memory of an edge that has warmed up.
GROWTH_MAX = 12 * MB


def answering(client):
    """200 with a short body, for ever."""
    while True:
        client.head()
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Peak:
    """The highest memory of a process while a block runs."""

    def __init__(self, edge):
        self.edge, self.bytes, self.ended = edge, 0, threading.Event()

    def __enter__(self):
        self.before = self.edge.memory()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.ended.wait(0.05):
            self.bytes = max(self.bytes, self.edge.memory())

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.growth = max(self.bytes, self.edge.memory()) - self.before


def expect(holds, what):
    if not holds:
        raise AssertionError(what)


def out_of_descriptors(options):
    """Upstreams take the last descriptors: the other requests wait for them, and each is served in the end."""
    release = threading.Event()

    def script(client):
        while True:
            client.head()
            release.wait(60)
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    upstream, edge = Upstream(script), None
    try:
        edge = Edge(upstream.port, files=200)
        release.set()
        old = edge.connect()
        expect(old.get()[0] == 200, "a first answer")
        release.clear()
        old.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        clients = [edge.connect() for _ in range(180)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.5)
        before = edge.cpu_seconds()
        time.sleep(1)
        busy = edge.cpu_seconds() - before
        expect(busy < 0.5, f"waiting for descriptors takes {busy} s of CPU in a second")
        release.set()
        expect(old.response()[0] == 200, "a connection that was there goes on")
        statuses = {}
        for client in clients:
            status = client.response()[0]
            statuses[status] = statuses.get(status, 0) + 1
            client.close()
        expect(set(statuses) == {200}, f"answers under pressure: {statuses}")
        for _ in range(50):
            fresh = edge.connect()
            expect(fresh.get()[0] == 200, "all is well afterwards")
            fresh.close()
        return f"{statuses} with 200 descriptors, then 50 of 50 well"
    finally:
        release.set()
        upstream.stop()
        edge and edge.stop()


def room_for_new_ones(options):
    """With more idle connections than there is room for, the longest idle make room and every request is served."""
    upstream, edge = Upstream(answering), None
    try:
        edge = Edge(upstream.port, files=400)
        clients = []
        for _ in range(600):
            client = edge.connect()
            expect(client.get()[0] == 200, "a new connection is served")
            clients.append(client)
        expect(edge.descriptors() < 400, "the limit was not reached")
        return f"600 connections in turn, {edge.descriptors()} descriptors at the end"
    finally:
        upstream.stop()
        edge and edge.stop()


def idle_connections(options):
    """Many connections that did something and now do nothing: small, alive, and no burden for the others."""
    upstream, edge = Nginx(), None
    try:
        edge = Edge(upstream.port)
        warm = edge.connect()
        warm.get("/1k")
        before = edge.memory()
        clients = []
        while len(clients) < options.connections:
            # Many at a time: the first must not have been idle for too long when the last one comes.
            some = [edge.connect() for _ in range(min(100, options.connections - len(clients)))]
            for client in [warm, *some]:
                client.ask("/1k")
            for client in [warm, *some]:
                expect(client.response()[0] == 200, f"one of the first {len(clients) + 100} connections")
            clients += some
        time.sleep(1)
        each = (edge.memory() - before) / len(clients)
        expect(each < 8192, f"an idle connection takes {each:.0f} bytes")
        expect(warm.get("/1k")[0] == 200, "another connection beside them")
        for client in clients[::max(1, len(clients) // 200)]:
            expect(client.get("/1k")[0] == 200, "an idle connection is alive")
        held = edge.descriptors()
        expect(held >= options.connections, f"{held} descriptors")
        for client in clients:
            client.close()
        edge.wait(lambda: edge.descriptors() < 400)
        return f"{len(clients)} connections, {held} descriptors, {each:.0f} bytes each"
    finally:
        upstream.stop()
        edge and edge.stop()


def volume(options):
    """A large download, a large file and a large upload with flat memory."""
    block = bytes(1 << 18)

    def script(client):
        while True:
            status = client.until(b"\r\n\r\n")
            if status.startswith(b"GET"):
                client.send(f"HTTP/1.1 200 OK\r\nContent-Length: {options.volume}\r\n\r\n")
                left = options.volume
                while left > 0:
                    client.socket.sendall(block[:left])
                    left -= min(left, len(block))
                continue
            left = options.volume - len(client.buffer)
            client.buffer = b""
            space = bytearray(1 << 18)
            while left > 0:
                got = client.socket.recv_into(space, min(left, len(space)))
                if got == 0:
                    return
                left -= got
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    def fetch(path):
        client.ask(path)
        expect(client.head()[0] == 200, f"{path} is there")
        got, space = len(client.buffer), bytearray(1 << 18)
        client.buffer = b""
        while got < options.volume:
            count = client.socket.recv_into(space)
            expect(count > 0, f"{path} ended after {got} bytes")
            if got < options.volume // 2 <= got + count:
                # What comes meanwhile must not pile up.
                time.sleep(0.3)
            got += count

    def store():
        client.send(f"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {options.volume}\r\n\r\n")
        left = options.volume
        while left > 0:
            client.socket.sendall(block[:left])
            left -= min(left, len(block))
        expect(client.response()[2] == b"done", "the upload was answered")

    upstream, edge = Upstream(script), None
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        with open(f"{folder}/hole", "wb") as hole:
            hole.truncate(options.volume)
        try:
            edge = Edge(upstream.port, static=folder)
            edge.connect().close()
            client = edge.connect(120)
            began, peaks = time.monotonic(), []
            for what in (lambda: fetch("/"), lambda: fetch("/static/hole"), store):
                with Peak(edge) as peak:
                    what()
                peaks.append(peak.growth)
            expect(max(peaks) < GROWTH_MAX, f"growth {peaks} bytes")
            seconds = time.monotonic() - began
            return (f"{options.volume >> 20} MiB down, of a file and up in {seconds:.1f} s, growth"
                    f" {', '.join(f'{peak / MB:.1f}' for peak in peaks)} MiB")
        finally:
            upstream.stop()
            edge and edge.stop()


def closed_connections(options):
    """A connection that ended leaves no descriptor behind, on either side."""
    upstream, edge = Upstream(answering), None
    try:
        edge = Edge(upstream.port)
        edge.connect().get()
        before = edge.descriptors()
        for _ in range(2000):
            client = edge.connect()
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            expect(client.response()[0] == 200, "each is answered")
            client.close()
        edge.wait(lambda: edge.descriptors() <= before + 8)
        return f"2000 connections, {before} descriptors before and {edge.descriptors()} after"
    finally:
        upstream.stop()
        edge and edge.stop()


def server_sent_events(options):
    """Each event arrives when it is sent, not when a buffer is full."""
    def script(client):
        client.head()
        client.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while True:
            client.send(f"data: {time.monotonic()}\n\n")
            time.sleep(0.1)

    upstream, edge = Upstream(script), None
    try:
        edge = Edge(upstream.port)
        client = edge.connect()
        client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
        expect(client.head()[0] == 200, "the stream begins")
        lags = []
        for _ in range(20):
            sent = float(re.search(rb"data: ([\d.]+)", client.until(b"\n\n"))[1])
            lags.append(time.monotonic() - sent)
        expect(sorted(lags)[10] < 0.09, f"events are late: {lags}")
        return f"20 events, median {sorted(lags)[10] * 1000:.1f} ms late, last {max(lags) * 1000:.1f}"
    finally:
        upstream.stop()
        edge and edge.stop()


def handover(options):
    """Processes follow each other under load, and no request fails."""
    upstream, edge = Nginx(), None
    edges = []
    try:
        edges.append(Edge(upstream.port))
        urls = [f"http://127.0.0.1:{edges[0].port}/1k", f"https://127.0.0.1:{edges[0].tls_port}/1k"]
        loads = [
            subprocess.Popen(["wrk", "-t1", "-c32", "-d12s", "--timeout", "20s", *more, url], stdout=subprocess.PIPE,
                             text=True)
            for url in urls for more in ([], ["-H", "Connection: close"])]
        time.sleep(1)
        for generation in range(1, 6):
            edges.append(Edge(upstream.port, generation=generation, after=edges[-1]))
            expect(edges[-2].process.poll() is None, "the former process waits for its supervisor")
            time.sleep(1)
            stopper = threading.Thread(target=edges[-2].stop)
            stopper.start()
        texts = [load.communicate()[0] for load in loads]
        for text in texts:
            expect("requests in" in text, text)
            expect("Non-2xx" not in text and "Socket errors" not in text, text)
        for former in edges[:-1]:
            expect(former.process.wait(40) == 0, "a former process ends well")
        counts = [re.search(r"(\d+) requests in", text)[1] for text in texts]
        return (f"5 handovers, {counts[0]} requests over kept connections and {counts[1]} over new ones, with TLS"
                f" {counts[2]} and {counts[3]}, none failed")
    finally:
        upstream.stop()
        for edge in edges:
            edge.stop()


def one_turn(options):
    """An answer and what its client does beside it, read in one turn of the loop in either order: it is not lost."""
    arrived, released = threading.Semaphore(0), threading.Semaphore(0)

    def script(client):
        while True:
            client.until(b"\r\n\r\n")
            arrived.release()
            released.acquire()
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            arrived.release()

    posts = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream, edge = Upstream(script), None
    try:
        edge = Edge(upstream.port)
        for number in range(40):
            ends, answers_first = number % 2 == 0, number % 4 < 2
            client = edge.connect()
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" if ends else posts)
            arrived.acquire()
            edge.process.send_signal(signal.SIGSTOP)
            edge.wait(lambda: set(edge.thread_states()) == {"T"})

            def answer():
                released.release()
                arrived.acquire()

            def act():
                client.socket.shutdown(socket.SHUT_WR) if ends else client.send("no chunk\r\n")

            for step in (answer, act) if answers_first else (act, answer):
                step()
            time.sleep(0.01)
            edge.process.send_signal(signal.SIGCONT)
            status, body = client.response()[0::2]
            expect((status, body) == (200, b"ok"), f"{number}: {'an end' if ends else 'no chunk'}: {status} {body[:80]}")
        return "40 answers beside an end or a broken body"
    finally:
        upstream.stop()
        edge and edge.stop()


def steady_memory(options):
    """Memory and descriptors stay where they are, however many requests are served."""
    upstream, edge = Nginx(), None
    try:
        edge = Edge(upstream.port)

        def load(seconds):
            done = subprocess.run(
                ["wrk", "-t1", "-c64", f"-d{seconds}s", f"http://127.0.0.1:{edge.port}/1k"], capture_output=True,
                text=True, check=True).stdout
            expect("Non-2xx" not in done and "Socket errors" not in done, done)
            return int(re.search(r"(\d+) requests in", done)[1])

        load(3)
        time.sleep(1)
        before, served, seen = edge.memory(), 0, []
        while served < options.requests:
            served += load(options.slice)
            time.sleep(0.5)
            seen.append(edge.memory())
            if options.requests > 1_000_000:
                print(f"    {served} requests, {seen[-1] / MB:.2f} MiB", flush=True)
        growth = max(seen) - before
        expect(growth < 4 * MB, f"{growth} bytes more after {served} requests")
        expect(edge.descriptors() < 400, f"{edge.descriptors()} descriptors")
        return f"{served} requests, {before / MB:.2f} MiB before, {seen[-1] / MB:.2f} after"
    finally:
        upstream.stop()
        edge and edge.stop()


CASES = [
    out_of_descriptors, room_for_new_ones, idle_connections, closed_connections, volume, server_sent_events, handover,
    one_turn, steady_memory]


def size(text):
    return int(text.rstrip("GM")) * {"G": 1 << 30, "M": MB}.get(text[-1], 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=", ".join(case.__name__ for case in CASES))
    parser.add_argument("--volume", type=size, default=1024 * MB)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--slice", type=int, default=5, help="seconds of load between looks at the memory")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    passed = failed = 0
    for case in CASES:
        if options.cases and case.__name__ not in options.cases:
            continue
        try:
            print(f"ok      {case.__name__}: {case(options)}", flush=True)
            passed += 1
        except Exception:
            failed += 1
            print(f"FAILED  {case.__name__}", flush=True)
            traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
