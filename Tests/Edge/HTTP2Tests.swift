import Edge
import Glibc
import Model
import TestSupport
import Testing

@Suite(.serialized, .exclusive)
struct HTTP2Tests {
    private func h2(_ edge: EdgeFixture, _ script: String) async throws -> String {
        let result = try await edge.python(HTTP2Scripts.client + script)
        #expect(result.status == 0, "\(result.text)")
        return result.text
    }

    @Test func passesBodiesAndTrailersBothWays() async throws {
        let answer =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n"
        let upstream = try RawUpstream(script: RawUpstream.answering(answer))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let text = try await h2(
                edge,
                """
                c = Client()
                s = c.headers('/x?y=z', 'POST', [('cookie', 'a=1'), ('cookie', 'b=2'), ('x-c', 'd')], end=False)
                c.h2.send_data(s, b'hello '); c.h2.send_data(s, b'world'); c.flush()
                c.h2.send_headers(s, [('x-check', 'ok')], end_stream=True); c.flush()
                print(c.answer(s))
                s = c.headers('/length', 'PUT', [('content-length', '5')], end=False)
                c.h2.send_data(s, b'12345', end_stream=True); c.flush()
                print(c.answer(s)[:2])
                """)
            #expect(text == "('200', 'abcde', [('x-sum', '5')], 'ended')\n('200', 'abcde')\n")
            let requests = upstream.requests
            #expect(requests.map(\.line) == ["POST /x?y=z HTTP/1.1", "PUT /length HTTP/1.1"])
            #expect(requests[0].fields("cookie") == ["a=1; b=2"])
            #expect(requests[0].fields("x-c") == ["d"] && requests[0].fields("host") == ["a"])
            #expect(requests[0].fields("x-forwarded-proto") == ["https"])
            let body = String(decoding: requests[0].body, as: UTF8.self)
            #expect(body.contains("hello ") && body.contains("world") || body == "hello world")
            #expect(requests[1].fields("content-length") == ["5"] && requests[1].body == Array("12345".utf8))
        }
    }

    @Test func framesAnswersWithoutABody() async throws {
        let upstream = try RawUpstream { connection, upstream in
            while let request = try upstream.read(connection) {
                switch request.line.split(separator: " ")[1] {
                case "/204": try connection.send("HTTP/1.1 204 No Content\r\n\r\n")
                case "/304": try connection.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n")
                case "/empty": try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                case "/early":
                    try connection.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
                    try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                case "/close":
                    try connection.send("HTTP/1.1 200 OK\r\n\r\nuntil the end")
                    return
                case "/cut":
                    try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                    return
                default: try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
                }
            }
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let text = try await h2(
                edge,
                """
                c = Client()
                for path in ('/204', '/304', '/empty', '/early', '/close', '/cut'): print(c.answer(c.headers(path)))
                print(c.answer(c.headers('/head', 'HEAD')))
                print(len(c.of(7, h2.events.InformationalResponseReceived)))
                """)
            #expect(
                text == """
                    ('204', '', [], 'ended')
                    ('304', '', [], 'ended')
                    ('200', '', [], 'ended')
                    ('200', 'ok', [], 'ended')
                    ('200', 'until the end', [], 'ended')
                    ('200', 'half', [], 'reset')
                    ('200', '', [], 'ended')
                    1

                    """)
        }
    }

    /// Nothing that is no request in HTTP/2 may become one, or two, in HTTP/1.1.
    @Test func refusesWhatWouldBeReadDifferently() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let text = try await h2(
                edge,
                """
                bad = {
                    'line end in a value': dict(more=[('x', 'a\\r\\nGET /smuggled HTTP/1.1')]),
                    'nul in a value': dict(more=[('x', 'a\\0b')]),
                    'line end in a name': dict(more=[('x: y\\r\\nz', 'a')]),
                    'capitals in a name': dict(more=[('X-Y', 'a')]),
                    'space in the path': dict(path='/a HTTP/1.1\\r\\nx: y'),
                    'another request in the path': dict(path='/a HTTP/1.1\\r\\n\\r\\nGET /smuggled'),
                    'absolute path': dict(path='http://b/'),
                    'empty path': dict(path=''),
                    'space in the method': dict(method='GET /x HTTP/1.1\\r\\nGET'),
                    'line end in the authority': dict(authority='a\\r\\nx: y'),
                    'transfer-encoding': dict(more=[('transfer-encoding', 'chunked')]),
                    'connection': dict(more=[('connection', 'x')]),
                    'upgrade': dict(more=[('upgrade', 'websocket')]),
                    'another host': dict(more=[('host', 'b')]),
                    'no path': dict(drop=[':path']),
                    'no method': dict(drop=[':method']),
                    'two lengths': dict(method='POST', more=[('content-length', '1'), ('content-length', '2')]),
                    'a length that is none': dict(method='POST', more=[('content-length', '+1')]),
                    'a length without a body': dict(method='POST', more=[('content-length', '5')]),
                    'an unknown pseudo-header': dict(more=[(':x', 'y')]),
                }
                for name, arguments in bad.items():
                    c = Client()
                    try:
                        s = c.headers(**arguments); c.flush()
                        status, _, _, end = c.answer(s)
                    except h2.exceptions.ProtocolError: status, end = 'connection', ''
                    if status == '200': print(name, status, end)
                for body, length in ((b'12345678GET /smuggled HTTP/1.1', 8), (b'123', 8)):
                    c = Client()
                    s = c.headers('/length', 'POST', [('content-length', str(length))], end=False)
                    c.h2.send_data(s, body, end_stream=True); c.flush()
                    if c.answer(s)[0] == '200': print(length, 'was taken')
                c, d = Client(), Client()
                connect, trace = c.answer(c.headers('/', 'CONNECT'))[0], d.answer(d.headers('/', 'TRACE'))[0]
                print(connect in ('-', '405'), trace, alive())
                """)
            #expect(text == "True 405 200\n")
            #expect(Set(upstream.requests.map(\.line)).isSubset(of: ["GET /alive HTTP/1.1", "POST /length HTTP/1.1"]))
            #expect(upstream.leftovers.allSatisfy { !String(decoding: $0, as: UTF8.self).contains("smuggled") })
        }
    }

    @Test func endsFloods() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let text = try await h2(
                edge,
                """
                def flood(name, send, count, limit=20):
                    c = Client()
                    c.pump(lambda: c.events)
                    try:
                        for number in range(count): send(c, number)
                        c.pump(lambda: c.closed, limit)
                    except (ConnectionError, ssl.SSLError, socket.timeout): c.closed = True
                    print(name, 'closed' if c.closed else 'open', alive())

                def rapid(c, n):
                    s = c.headers('/slow', more=[('x', 'y')])
                    c.h2.reset_stream(s); c.flush()
                flood('rapid reset', rapid, 3000)
                def continuation(c, n):
                    if n == 0: c.socket.sendall(frame(1, 0, 1, b'\\x82\\x87\\x84'))
                    c.socket.sendall(frame(9, 0, 1, b'\\x00\\x01a\\x01b'))
                flood('continuation', continuation, 20000)
                flood('ping', lambda c, n: c.socket.sendall(frame(6, 0, 0, b'12345678') * 10), 2000)
                flood('settings', lambda c, n: c.socket.sendall(frame(4, 0, 0) * 10), 2000)
                def empty(c, n):
                    if n == 0: c.headers('/', 'POST', end=False); c.flush()
                    c.socket.sendall(frame(0, 0, 1) * 10)
                flood('empty data', empty, 1000)
                flood('priority', lambda c, n: c.socket.sendall(frame(2, 0, 2 * n + 1, b'\\0\\0\\0\\0\\1') * 10), 2000)
                c = Client()
                try:
                    s = c.headers('/', more=[('x-%d' % n, 'y' * 1000) for n in range(60)]); c.flush()
                    print('large head', c.answer(s)[0] in ('431', '-'), alive())
                except h2.exceptions.ProtocolError: print('large head', True, alive())
                c = Client()
                c.pump(lambda: any(isinstance(e, h2.events.RemoteSettingsChanged) for e in c.events))
                print(c.h2.remote_settings.max_concurrent_streams, c.h2.remote_settings.max_header_list_size)
                """)
            #expect(
                text == """
                    rapid reset closed 200
                    continuation closed 200
                    ping closed 200
                    settings closed 200
                    empty data closed 200
                    priority closed 200
                    large head True 200
                    128 32768

                    """)
        }
    }

    /// What the client may send stays bounded while the upstream reads nothing, and the other way round.
    @Test func flowControlReachesFromEndToEnd() async throws {
        let stall = try EdgeFixture.temporaryFolder() + "/stall"
        let upstream = try RawUpstream { connection, _ in
            let head = try connection.receive(until: "\r\n\r\n")
            if head.hasPrefix("POST") {
                // Reads nothing until the client may send no more, then all of it.
                for _ in 0..<6000 where access(stall, F_OK) != 0 { usleep(10_000) }
                var end = [UInt8]()
                while !end.suffix(5).elementsEqual("0\r\n\r\n".utf8) {
                    let more = try connection.receive()
                    if more.isEmpty { return }
                    end = (end + more).suffix(5)
                }
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            } else {
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\n")
                for _ in 0..<600 { try connection.send([UInt8](repeating: 120, count: 100_000)) }
            }
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let text = try await h2(
                edge,
                """
                c = Client()
                s = c.headers('/', 'POST', end=False); c.flush()
                sent, stalled, total, end = 0, 0, 30_000_000, time.time() + 60
                c.socket.settimeout(0.2)
                while sent < total and time.time() < end:
                    room = min(c.h2.local_flow_control_window(s), c.h2.max_outbound_frame_size, total - sent)
                    if room > 0:
                        try:
                            c.h2.send_data(s, b'x' * room)
                            c.socket.settimeout(20); c.flush(); c.socket.settimeout(0.2)
                            sent += room
                        except (ConnectionError, ssl.SSLError): break
                        continue
                    try:
                        for event in c.h2.receive_data(c.socket.recv(65536)): c.events.append(event)
                        c.flush()
                    except socket.timeout:
                        stalled = stalled or sent
                        open('\(stall)', 'w').close()
                c.h2.end_stream(s); c.socket.settimeout(20); c.flush()
                print(0 < stalled < 16_000_000, sent == total, c.answer(s)[0])
                c = Client()
                s = c.headers('/'); c.flush()
                time.sleep(2)
                c.pump(lambda: c.ended(s), 60)
                print(sum(len(e.data) for e in c.of(s, h2.events.DataReceived)))
                """)
            #expect(text == "True True 200\n60000000\n")
        }
    }

    @Test func answersEarlyAndServesManyAtOnce() async throws {
        let upstream = try RawUpstream { connection, upstream in
            let head = try connection.receive(until: "\r\n\r\n")
            if head.hasPrefix("POST") {
                try connection.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
                sleep(1)
            } else {
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            }
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let text = try await h2(
                edge,
                """
                c = Client()
                s = c.headers('/', 'POST', end=False)
                c.h2.send_data(s, b'x' * 1000); c.flush()
                print(c.answer(s)[:2])
                streams = [c.headers('/%d' % n) for n in range(100)]
                c.flush()
                print(set(c.answer(s)[:2] for s in streams))
                print(c.closed)
                """)
            #expect(text == "('413', 'big')\n{('200', 'ok')}\nFalse\n")
            #expect(try await eventually { try await edge.control.status().requestsInFlight.isEmpty })
        }
    }

    @Test func theRulesAreThoseOfHTTP1() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with { edge in
            var table = EdgeTable.single(upstream.port)
            table.routes[0].hosts = ["a.test"]
            try await edge.control.apply(table)
            let fallback = edge.folder + "/fallback.crt"
            let unknown = try await edge.curl("localhost", trusting: fallback, "--http2", "-w", "%{http_code}")
            #expect(unknown.text.hasSuffix("404"))
            // Held until the next table, which serves it.
            table.upstreams[0].mode = .hold
            try await edge.control.apply(table)
            async let held = edge.curl("localhost", "/held", trusting: fallback, "--http2", "-H", "Host: a.test")
            #expect(try await eventually { try await edge.control.status().requestsHeld["web"] == 1 })
            table.upstreams[0].mode = .serve
            try await edge.control.apply(table)
            #expect(try await held.text == "GET /held HTTP/1.1|0")
            table.upstreams[0].mode = .down
            try await edge.control.apply(table)
            let down = try await edge.curl(
                "localhost", trusting: fallback, "--http2", "-H", "Host: a.test", "-w", "%{http_code} %{http_version}")
            #expect(down.text.hasSuffix("503 2"))
        }
    }

    @Test(.timeLimit(.minutes(2))) func gRPC() async throws {
        let port = try FreePorts.take(1)[0]
        let server = try spawn("/usr/bin/env", ["python3", "-c", HTTP2Scripts.grpcServer, String(port)])
        defer {
            kill(server, SIGKILL)
            waitpid(server, nil, 0)
        }
        let answers = try await eventually(.seconds(20)) {
            do {
                _ = try RawSocket(port: port)
                return true
            } catch { return false }
        }
        #expect(answers)
        var table = EdgeTable.single(port)
        table.upstreams[0].protocol = .h2c
        try await EdgeFixture.with(table) { edge in
            let result = try await edge.python(HTTP2Scripts.grpcClient, edge.folder + "/fallback.crt")
            #expect(
                result.text == """
                    b'olleh' 5
                    FAILED_PRECONDITION as asked
                    True
                    500 True
                    b'2000000'
                    [b'ONE', b'TWO', b'THREE']
                    True

                    """)
            #expect(try await eventually { try await edge.control.status().requestsInFlight.isEmpty })
        }
    }

    /// HTTP/1.1 clients of an upstream that speaks HTTP/2.
    @Test func passesHTTP1RequestsToHTTP2() async throws {
        let port = try FreePorts.take(1)[0]
        let script = """
            const http2 = require('http2');
            http2.createServer((q, r) => {
              if (q.url === '/304') { r.statusCode = 304; r.end(); return; }
              const parts = []; q.on('data', d => parts.push(d));
              q.on('end', () => {
                r.setHeader('x-method', q.method); r.setHeader('x-authority', q.authority || '');
                if (q.url === '/trailers') { r.write('part'); r.addTrailers({'x-sum': 'four'}); r.end(); return; }
                r.end(Buffer.concat(parts));
              });
            }).listen(\(port), '127.0.0.1');
            """
        let server = try spawn("/usr/bin/env", ["node", "-e", script])
        defer {
            kill(server, SIGKILL)
            waitpid(server, nil, 0)
        }
        #expect(
            try await eventually(.seconds(20)) {
                do {
                    _ = try RawSocket(port: port)
                    return true
                } catch { return false }
            })
        var table = EdgeTable.single(port)
        table.upstreams[0].protocol = .h2c
        try await EdgeFixture.with(table) { edge in
            let publicPort = edge.port
            try await blocking {
                let client = try RawSocket(port: publicPort)
                for number in 0..<50 {
                    let body = String(repeating: "x", count: number * 997)
                    try client.send(
                        "POST /echo HTTP/1.1\r\nHost: h.test\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
                    let echo = try client.response()
                    #expect(echo?.text == body && echo?.field("x-authority") == "h.test")
                    try client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                    try client.send("5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nA: b\r\n\r\n")
                    let chunked = try client.response()
                    #expect(chunked?.text == "hello world")
                    try client.send("GET /trailers HTTP/1.1\r\nHost: a\r\n\r\n")
                    let trailers = try client.response()
                    #expect(trailers?.text == "part" && trailers?.trailer.contains("x-sum: four") == true)
                    try client.send("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\nGET /304 HTTP/1.1\r\nHost: a\r\n\r\n")
                    let head = try client.response(toHead: true)
                    #expect(head?.status == 200 && head?.field("x-method") == "HEAD")
                    let unchanged = try client.response()
                    #expect(unchanged?.status == 304)
                }
            }
            #expect(try await eventually { try await edge.control.status().requestsInFlight.isEmpty })
        }
    }
}
