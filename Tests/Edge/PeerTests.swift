import Edge
import Glibc
import Model
import TestSupport
import Testing

/// Programs that others wrote, behind the edge.
@Suite(.serialized, .exclusive)
struct PeerTests {
    /// Starts a program, waits until its port answers, and ends it with `body`.
    private func withPeer(
        _ path: String, _ arguments: [String], port: Int, _ body: (EdgeFixture) async throws -> Void
    ) async throws {
        let process = try spawn(path, arguments)
        do {
            let answers = try await eventually(.seconds(10)) {
                do {
                    _ = try RawSocket(port: port)
                    return true
                } catch { return false }
            }
            #expect(answers, "\(path) did not start")
            try await EdgeFixture.with(.single(port)) { try await body($0) }
        } catch {
            stop(process)
            throw error
        }
        stop(process)
    }

    private func stop(_ process: pid_t) {
        kill(process, SIGKILL)
        waitpid(process, nil, 0)
    }

    /// What every server must do the same through the edge; smuggled requests would show as further answers.
    private func exercise(_ edge: EdgeFixture, echoes: Bool) async throws {
        let port = edge.port
        try await blocking {
            let client = try RawSocket(port: port)
            for number in 0..<100 {
                try client.send("GET /index.html?n=\(number) HTTP/1.1\r\nHost: a\r\n\r\n")
                let response = try client.response()
                #expect(response?.status == 200)
                try client.send("HEAD /index.html HTTP/1.1\r\nHost: a\r\n\r\n")
                let head = try client.response(toHead: true)
                #expect(head?.status == 200)
                guard echoes else { continue }
                let body = String(repeating: "x", count: number * 100)
                try client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
                let echo = try client.response()
                #expect(echo?.text == body)
                try client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                try client.send("5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nA: b\r\n\r\n")
                let chunked = try client.response()
                #expect(chunked?.text == "hello world")
            }
        }
        for row in RequestTable.all where !row.goesOn && row.upstreamLines.isEmpty {
            let bytes = row.bytes + Array(RequestTableTests.behind.utf8)
            let statuses = try await blocking { try RequestTableTests.send(bytes, port: port).map(\.status) }
            #expect(statuses == row.statuses, "\(row.name)")
        }
    }

    /// What the edge accepts and writes anew must be for the peer what it was for the edge: each row with a marked
    /// request behind it, and in the peer's own log those requests, no more and no fewer.
    ///
    /// A request that the peer turns down by itself need not be in its log, and may end the connection.
    private func sendAccepted(_ edge: EdgeFixture, log: String) async throws {
        let port = edge.port
        for (number, row) in RequestTable.accepted.enumerated() {
            let before = readFile(log).utf8.count
            let marker = "GET /index.html?marker=\(number) HTTP/1.1"
            let behind = row.goesOn ? "\(marker)\r\nHost: a\r\nConnection: close\r\n\r\n" : ""
            let bytes = row.bytes + Array(behind.utf8)
            // An answer to HEAD is none of these, so each has a body that its head tells the length of.
            let answers = try await blocking { try RequestTableTests.send(bytes, port: port) }
            // An old client is told the end of an answer by that of its connection, when the peer knows no other.
            let goesOn = row.goesOn && answers.first?.field("connection") != "close"
            #expect(answers.count == row.statuses.count + (goesOn ? 1 : 0), "answers to: \(row.name)")
            if goesOn { #expect(answers.last?.status == 200, "behind: \(row.name)") }
            // From another connection, so that all before it is in the log.
            let end = "/index.html?end=\(number)"
            #expect(try await edge.get(end).status == 200)
            #expect(try await eventually(.seconds(5)) { readFile(log).contains("\(end) ") })
            let lines = String(decoding: Array(readFile(log).utf8.dropFirst(before)), as: UTF8.self)
                .split(separator: "\n").map(String.init).filter { !$0.contains(end) }
            let isRefused = answers.first.map { $0.status >= 400 } ?? true
            let expected = row.upstreamLines + (goesOn ? [marker] : [])
            let isAsMeant = lines.sorted() == expected.sorted() || isRefused && lines == (goesOn ? [marker] : [])
            #expect(isAsMeant, "\(row.name): \(lines.map { $0.prefix(200) })")
        }
    }

    @Test func nginx() async throws {
        let folder = try EdgeFixture.temporaryFolder()
        let port = try FreePorts.take(1)[0]
        try writeFile(folder + "/index.html", "<h1>nginx</h1>")
        chmod(folder, 0o755)
        try writeFile(
            folder + "/nginx.conf",
            """
            daemon off; master_process off; pid \(folder)/pid; error_log \(folder)/error.log;
            events { worker_connections 256; }
            http { log_format line '$request'; access_log \(folder)/access.log line;
              large_client_header_buffers 8 64k; client_body_temp_path \(folder)/body; proxy_temp_path \(folder)/proxy;
              fastcgi_temp_path \(folder)/f; uwsgi_temp_path \(folder)/u; scgi_temp_path \(folder)/s;
              keepalive_requests 7; keepalive_timeout 1s;
              server { listen 127.0.0.1:\(port); root \(folder); } }
            """)
        try await withPeer("/usr/sbin/nginx", ["-c", folder + "/nginx.conf"], port: port) {
            try await exercise($0, echoes: false)
            try await sendAccepted($0, log: folder + "/access.log")
        }
    }

    @Test func node() async throws {
        let log = try EdgeFixture.temporaryFolder() + "/requests"
        let port = try FreePorts.take(1)[0]
        let script = """
            const http = require('http'), crypto = require('crypto'), fs = require('fs');
            const server = http.createServer((q, r) => {
              fs.appendFileSync('\(log)', q.method + ' ' + q.url + ' HTTP/' + q.httpVersion + '\\n');
              if (q.method === 'POST') { q.pipe(r); return; }
              r.setHeader('content-type', 'text/plain'); r.end('node');
            });
            server.on('upgrade', (q, s, early) => {
              const key = q.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
              const accept = crypto.createHash('sha1').update(key).digest('base64');
              s.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n' +
                'Sec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n');
              s.on('data', d => {
                const n = d[1] & 127, mask = d.subarray(2, 6), text = Buffer.from(d.subarray(6, 6 + n));
                for (let i = 0; i < n; i++) text[i] ^= mask[i & 3];
                if ((d[0] & 15) === 8) { s.end(Buffer.from([0x88, 0])); return; }
                s.write(Buffer.concat([Buffer.from([0x81, n]), text]));
              });
              s.on('error', () => {});
            });
            server.listen(\(port), '127.0.0.1');
            """
        try await withPeer("/usr/bin/env", ["node", "-e", script], port: port) { edge in
            try await exercise(edge, echoes: true)
            try await sendAccepted(edge, log: log)
            try await webSocket(edge)
        }
    }

    /// RFC 6455 with the key and accept of its own example.
    private func webSocket(_ edge: EdgeFixture) async throws {
        let port = edge.port
        try await blocking {
            let client = try RawSocket(port: port)
            try client.send(
                "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                    + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
            let response = try client.response()
            #expect(response?.status == 101)
            #expect(response?.field("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            for number in 0..<100 {
                let text = Array("message \(number)".utf8)
                let mask: [UInt8] = [1, 2, 3, 4]
                let masked = text.enumerated().map { $1 ^ mask[$0 & 3] }
                try client.send([0x81, 0x80 | UInt8(text.count)] + mask + masked)
                var frame: [UInt8] = []
                while frame.count < text.count + 2 { frame += try client.receive(max: text.count + 2 - frame.count) }
                #expect(frame == [0x81, UInt8(text.count)] + text)
            }
            try client.send([0x88, 0x80, 0, 0, 0, 0])
            let rest = try client.receiveAll()
            #expect(rest == [0x88, 0])
        }
        #expect(try await eventually { try await edge.control.status().requestsInFlight.isEmpty })
    }

    @Test(arguments: ["HTTP/1.0", "HTTP/1.1"])
    func python(version: String) async throws {
        let log = try EdgeFixture.temporaryFolder() + "/requests"
        let port = try FreePorts.take(1)[0]
        let script = """
            from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
            class H(BaseHTTPRequestHandler):
                protocol_version = '\(version)'
                def log_message(self, *a): pass
                def log_request(self, *a):
                    with open('\(log)', 'a') as log: log.write(self.requestline + '\\n')
                def answer(self, body):
                    self.send_response(200)
                    if self.protocol_version == 'HTTP/1.1': self.send_header('Content-Length', str(len(body)))
                    self.end_headers()
                    if self.command != 'HEAD': self.wfile.write(body)
                def do_GET(self):
                    self.rfile.read(int(self.headers.get('Content-Length', 0)))
                    self.answer(b'python')
                do_HEAD = do_GET
                def do_POST(self):
                    if self.headers.get('Transfer-Encoding') == 'chunked':
                        body = b''
                        while True:
                            size = int(self.rfile.readline().split(b';')[0], 16)
                            if size == 0:
                                while self.rfile.readline() not in (b'\\r\\n', b''): pass
                                break
                            body += self.rfile.read(size); self.rfile.readline()
                    else: body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
                    self.answer(body)
            class S(ThreadingHTTPServer):
                request_queue_size = 128
            S(('127.0.0.1', \(port)), H).serve_forever()
            """
        try await withPeer("/usr/bin/env", ["python3", "-c", script], port: port) {
            try await exercise($0, echoes: true)
            try await sendAccepted($0, log: log)
        }
    }
}

/// Starts a program with nothing of ours but its standard error.
func spawn(_ path: String, _ arguments: [String]) throws -> pid_t {
    var process = pid_t()
    var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    defer { for pointer in argv { free(pointer) } }
    guard posix_spawn(&process, path, nil, nil, &argv, environ) == 0 else { throw SocketFailure("spawn \(path)") }
    return process
}
