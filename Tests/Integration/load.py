#!/usr/bin/env python3
"""A constant load of HTTP requests, keep-alive and fresh connections in turn.

load.py URL [--rate N] [--seconds S] [--expect TEXT]

Runs until standard input ends or the seconds are over, then prints one line of JSON: what was sent, what failed, and
how long answers took. A failed request is any that did not get a complete 200 answer within the time limit; nothing is
asked twice, except that an idle connection that the server closed before anything was sent on it is opened again.
"""

import argparse
import asyncio
import collections
import json
import sys
import time
import urllib.parse

KEEP_ALIVE_CONNECTIONS = 16
REQUEST_TIMEOUT_SECONDS = 30


class Load:
    def __init__(self, arguments):
        parts = urllib.parse.urlsplit(arguments.url)
        self.address = (arguments.connect or parts.hostname, parts.port or 80)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.head = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: roost-load\r\n"
        self.expected = arguments.expect.encode()
        self.rate = arguments.rate
        self.sent = 0
        self.failures = collections.Counter()
        self.failed_at = []
        self.reopened = 0
        self.latencies = []
        self.versions = collections.Counter()
        self.idle = collections.deque()
        self.open = 0
        self.began = time.monotonic()

    async def run(self, seconds, ended):
        tasks = set()
        number = 0
        while not ended.is_set() and time.monotonic() - self.began < seconds:
            due = self.began + number / self.rate
            delay = due - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
            task = asyncio.create_task(self.one(is_fresh=number % 2 == 1))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        if tasks:
            await asyncio.wait(tasks, timeout=REQUEST_TIMEOUT_SECONDS + 5)
        for _, writer in self.idle:
            writer.close()

    async def one(self, is_fresh):
        self.sent += 1
        began = time.monotonic()
        try:
            await asyncio.wait_for(self.exchange(is_fresh), REQUEST_TIMEOUT_SECONDS)
            self.latencies.append(time.monotonic() - began)
        except Exception as error:
            kind = "fresh" if is_fresh else "keep-alive"
            self.failures[f"{kind}: {type(error).__name__}: {error}"[:200]] += 1
            self.failed_at.append(round(began - self.began, 3))

    async def connection(self, is_fresh):
        while self.idle and not is_fresh:
            reader, writer = self.idle.popleft()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
            self.reopened += 1
        return await asyncio.open_connection(*self.address)

    async def exchange(self, is_fresh):
        reader, writer = await self.connection(is_fresh)
        keep = False
        try:
            writer.write((self.head + ("Connection: close\r\n" if is_fresh else "") + "\r\n").encode())
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
            }
            if "content-length" in headers:
                body = await reader.readexactly(int(headers["content-length"]))
            elif headers.get("transfer-encoding") == "chunked":
                body = await self.chunks(reader)
            else:
                body = await reader.read()
            if status != 200:
                raise ValueError(f"status {status}: {body[:80]!r}")
            if self.expected not in body:
                raise ValueError(f"unexpected body {body[:60]!r}")
            self.versions[body.split(b" ")[0].decode("latin-1")[:40].strip()] += 1
            keep = not is_fresh and headers.get("connection", "").lower() != "close"
        finally:
            if keep and len(self.idle) < KEEP_ALIVE_CONNECTIONS:
                self.idle.append((reader, writer))
            else:
                writer.close()

    @staticmethod
    async def chunks(reader):
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
        return body

    def result(self):
        ordered = sorted(self.latencies)

        def rank(part):
            return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1000, 2) if ordered else None

        return {
            "sent": self.sent,
            "ok": len(ordered),
            "failed": self.sent - len(ordered),
            "failures": dict(self.failures),
            "failed_at_s": self.failed_at[:20],
            "reopened": self.reopened,
            "seconds": round(time.monotonic() - self.began, 1),
            "versions": len(self.versions),
            "latency_ms": {"p50": rank(0.5), "p99": rank(0.99), "max": rank(1)},
        }


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--expect", default="", help="text that a good answer has")
    parser.add_argument("--connect", help="address to connect to instead of the URL's host")
    load = Load(parser.parse_args())
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def watch_input():
        await loop.run_in_executor(None, sys.stdin.read)
        ended.set()

    arguments = parser.parse_args()
    watcher = asyncio.create_task(watch_input()) if not sys.stdin.isatty() and arguments.seconds == 3600 else None
    await load.run(arguments.seconds, ended)
    print(json.dumps(load.result()), flush=True)
    if watcher:
        watcher.cancel()


if __name__ == "__main__":
    asyncio.run(main())
