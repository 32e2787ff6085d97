import Edge
import Glibc
import Model
import TestSupport
import Testing

/// Streams that an HTTP/2 upstream refuses: it did nothing with their requests, which others get then.
@Suite(.serialized, .exclusive)
struct RefusedStreamTests {
    /// Refuses the first request for each path in the way that the path says, and answers all others with the number of
    /// those that it took, and the body.
    private static let server = """
        import socket, struct, sys, threading
        import h2.config, h2.connection, h2.events
        seen, taken, kept = set(), {}, []

        def away(last): return struct.pack('>I', 8)[1:] + bytes([7, 0]) + struct.pack('>III', 0, last, 0)

        def answer(h, stream, path, body):
            taken[path] = taken.get(path, 0) + 1
            h.send_headers(stream, [(':status', '200')])
            h.send_data(stream, b'%d %s' % (taken[path], body), end_stream=True)

        def refuse(connection, h, stream, path):
            if path == '/reset': h.reset_stream(stream, error_code=7)
            if path == '/cancelled': h.reset_stream(stream, error_code=8)
            if path == '/away': connection.sendall(h.data_to_send() + away(stream - 2 if stream > 1 else 0))
            if path.startswith('/dies'): connection.shutdown(socket.SHUT_RDWR)
            if path == '/gone':
                connection.sendall(h.data_to_send() + away(0))
                connection.shutdown(socket.SHUT_RDWR)
            # Only now are those answered that came before.
            for kept_stream, kept_path in kept: answer(h, kept_stream, kept_path, b'')
            kept.clear()

        def serve(connection):
            h = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding='utf-8'))
            h.initiate_connection()
            paths, bodies, refused = {}, {}, set()
            while True:
                connection.sendall(h.data_to_send())
                data = connection.recv(65536)
                if not data: return
                for event in h.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        path = paths[event.stream_id] = dict(event.headers)[':path']
                        bodies[event.stream_id] = b''
                        if path not in seen and path not in ('/', '/kept'):
                            seen.add(path)
                            refused.add(event.stream_id)
                            refuse(connection, h, event.stream_id, path)
                    if isinstance(event, h2.events.DataReceived): bodies[event.stream_id] += event.data
                    if isinstance(event, h2.events.StreamEnded) and event.stream_id not in refused:
                        stream, path = event.stream_id, paths[event.stream_id]
                        if path == '/kept': kept.append((stream, path))
                        else: answer(h, stream, path, bodies[stream])

        listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
        """

    private static func with(_ body: (EdgeFixture) async throws -> Void) async throws {
        let port = try FreePorts.take(1)[0]
        let process = try spawn("/usr/bin/env", ["python3", "-c", server, String(port)])
        defer {
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
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
        try await EdgeFixture.with(table, body)
    }

    @Test(arguments: ["/reset", "/away", "/gone"])
    func refusedRequestsAreSentAgain(path: String) async throws {
        try await Self.with { (edge: EdgeFixture) async throws in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                // Its body comes before and after the refusal.
                try client.send("POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
                usleep(300_000)
                try client.send("again")
                let answer = try client.response()
                #expect(answer?.status == 200 && answer?.text == "1 helloagain", "\(answer?.head ?? "none")")
            }
        }
    }

    @Test func whatCameBeforeStays() async throws {
        try await Self.with { (edge: EdgeFixture) async throws in
            let result = try await edge.python(
                HTTP2Scripts.client + """
                    client = Client()
                    kept, away = client.headers('/kept'), client.headers('/away')
                    print(client.answer(kept)[:2], client.answer(away)[:2])
                    """)
            #expect(result.text == "('200', '1 ') ('200', '1 ')\n")
        }
    }

    /// As with one that was kept idle: what may be asked twice is, and the rest is not.
    @Test func aSharedConnectionMayDieWithoutAWord() async throws {
        try await Self.with { (edge: EdgeFixture) async throws in
            let port = edge.port
            try await blocking {
                // Each event loop has connections of its own.
                let client = try RawSocket(port: port)
                func ask(_ method: String, _ path: String) throws -> String {
                    try client.send("\(method) \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
                    let answer = try client.response()
                    return answer?.status == 200 ? answer?.text ?? "" : "\(answer?.status ?? 0)"
                }
                #expect(try ask("GET", "/dies-first") == "502", "nothing says that it was well before")
                #expect(try ask("GET", "/") == "1 hi")
                #expect(try ask("PUT", "/dies") == "1 hi")
                #expect(try ask("POST", "/dies-again") == "502")
                #expect(try ask("POST", "/dies-again") == "1 hi")
            }
        }
    }

    /// The upstream may have done something with it.
    @Test func aCancelledRequestIsNotSentAgain() async throws {
        try await Self.with { (edge: EdgeFixture) async throws in
            let request = "POST /cancelled HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
            #expect(try await edge.ask(request).status == 502)
            #expect(try await edge.ask(request).text == "1 hi")
        }
    }
}
