// swift-format-ignore-file
// Written by examples/embed.py from examples/sample. Change the files there, then run `make examples`.

enum SampleFiles {
    static let repositories: [String: [String: String]] = [
        "api": [
            "server.py":
                #"""
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

"""#,
        ],
        "site": [
            "build.sh":
                #"""
#!/bin/sh
# Turns notes.txt into public/index.html: the build command of the static service of the sample stack.
set -eu

rm -rf public
mkdir -p public

# Text, not markup: what HTML gives a meaning is escaped, then an empty line begins a paragraph.
escape() { sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g'; }
title=$(head -n 1 notes.txt | escape)
body=$(tail -n +2 notes.txt | escape | awk 'BEGIN { RS = "" } { print "<p>" $0 "</p>" }')
built=$(date -u '+%Y-%m-%d %H:%M:%S UTC')

sed -e '/{{body}}/,$d' -e "s|{{title}}|$title|g" page.html > public/index.html
printf '%s\n' "$body" >> public/index.html
sed -e '1,/{{body}}/d' -e "s|{{built}}|$built|g" page.html >> public/index.html
echo "built public/index.html, $(wc -c < public/index.html) bytes"

"""#,
            "notes.txt":
                #"""
A page that a command built

Roost fetched this repository, ran its build command in a clean environment, and now serves the folder that came out of
it. There is no process behind this page.

Change notes.txt, commit, and push: the next release is built beside this one and takes its place in one step. If the
build fails, this page stays.

"""#,
            "page.html":
                #"""
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{title}}</title>
<style>
:root { color-scheme: light dark; --ink: #1d2328; --soft: #5c6770; --page: #f6f4ef; --mark: #b4541f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ece8df; --soft: #a4a99f; --page: #16191b; --mark: #f0935a; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 1.05rem/1.65 system-ui, sans-serif; }
main { max-width: 40rem; margin: 12vh auto 4rem; padding: 0 1.25rem; }
h1 { font-size: 2.4rem; line-height: 1.15; letter-spacing: -0.02em; margin: 0 0 1rem; }
footer { color: var(--soft); border-top: 1px solid; margin-top: 2.5rem; padding-top: .75rem; font-size: .9rem; }
a { color: var(--mark); }
</style>
</head>
<body>
<main>
<h1>{{title}}</h1>
{{body}}
<footer>Built {{built}}. <a href="/">Back to the front page</a></footer>
</main>
</body>
</html>

"""#,
        ],
        "web": [
            "server.js":
                #"""
// The front page of the sample stack: Node's standard library alone, so that nothing has to be installed.
'use strict';

const http = require('node:http');

const started = process.hrtime.bigint();
const port = Number(process.env.PORT || 3000);
const apiURL = process.env.SERVICE_API_URL || '';
const greeting = process.env.GREETING || 'Hello from Roost';
let stopping = false;

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text) => String(text).replace(/[&<>"']/g, (character) => escapes[character]);

async function askAPI() {
  if (!apiURL) return { error: 'SERVICE_API_URL is not set: the stack has no service named api.' };
  try {
    const answer = await fetch(new URL('/info', apiURL), { signal: AbortSignal.timeout(2000) });
    if (!answer.ok) return { error: `the api answered ${answer.status}` };
    return await answer.json();
  } catch (error) {
    return { error: `the api did not answer: ${error.message}` };
  }
}

function page(api) {
  const rows = Object.entries(api)
    .map(([name, value]) => `<tr><th scope="row">${escape(name)}</th><td>${escape(value)}</td></tr>`)
    .join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(greeting)}</title>
<style>
:root { color-scheme: light dark; --ink: #1d2328; --soft: #5c6770; --page: #f6f4ef; --card: #fff; --line: #ddd8cc;
  --mark: #b4541f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ece8df; --soft: #a4a99f; --page: #16191b; --card: #1f2426; --line: #353b3d; --mark: #f0935a; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 1.05rem/1.6 system-ui, sans-serif; }
main { max-width: 40rem; margin: 12vh auto 4rem; padding: 0 1.25rem; }
h1 { font-size: 2.4rem; line-height: 1.15; letter-spacing: -0.02em; margin: 0 0 .5rem; }
p { color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: .5rem 1.25rem 1rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; padding: .3rem 1rem .3rem 0; vertical-align: top; white-space: nowrap; }
td { padding: .3rem 0; word-break: break-word; }
a { color: var(--mark); }
</style>
</head>
<body>
<main>
<h1>${escape(greeting)}</h1>
<p>This page is a Node process. What follows it asked of the <code>api</code> service just now, by the name that the
stack gives it.</p>
<section aria-label="Answer of the api">
<table>
${rows}
</table>
</section>
<p><a href="/api/info">The API itself</a> · <a href="/site/">The static page</a></p>
</main>
</body>
</html>
`;
}

function send(response, status, type, body) {
  const headers = { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body), 'Cache-Control': 'no-store' };
  if (stopping) headers.Connection = 'close';
  response.writeHead(status, headers);
  response.end(body);
}

const server = http.createServer(async (request, response) => {
  const path = request.url.split('?')[0];
  if (path === '/healthz') return send(response, 200, 'text/plain; charset=utf-8', 'ok\n');
  if (path === '/') return send(response, 200, 'text/html; charset=utf-8', page(await askAPI()));
  return send(response, 404, 'text/plain; charset=utf-8', 'There is nothing here.\n');
});

// Requests under way are answered; connections that only wait are closed.
function stop(signal) {
  if (stopping) return;
  stopping = true;
  console.log(`${signal}: finishing requests`);
  server.close(() => {
    console.log('stopped');
    process.exit(0);
  });
  server.closeIdleConnections();
  setInterval(() => server.closeIdleConnections(), 50).unref();
}

process.on('SIGTERM', stop);
process.on('SIGINT', stop);
server.keepAliveTimeout = 75_000;
server.listen(port, '127.0.0.1', () => {
  console.log(`web listens on ${port} after ${Number((process.hrtime.bigint() - started) / 1_000_000n)} ms`);
});

"""#,
        ],
    ]
}
