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
