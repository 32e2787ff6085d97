import Edge
import Model
import Testing

/// What the body of one request may have.
@Suite(.serialized, .exclusive)
struct BodyLimitTests {
    private static func table(_ upstream: RawUpstream, _ most: Int) -> EdgeTable {
        var table = EdgeTable.single(upstream.port)
        table.routes[0].limits = EdgeRouteLimits(maxBodyBytes: most)
        return table
    }

    private static let behind = "GET /behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    /// Before a byte of it is read.
    @Test func aLongerLengthIsRefusedAtOnce() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(Self.table(upstream, 10)) { edge in
            let port = edge.port
            let head = "POST / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nContent-Length: 11\r\n\r\n"
            let (answer, rest) = try await blocking {
                let client = try RawSocket(port: port)
                try client.send(head)
                let answer = try client.response()
                // The edge is closing, and what comes is thrown away.
                do { try client.send("hello world" + Self.behind) } catch {}
                return (answer, try client.receiveAll())
            }
            #expect(answer?.status == 413 && answer?.field("connection") == "close" && rest.isEmpty)
            #expect(try JSONParser.parse(answer?.body ?? [])["code"] == "too_large")
            #expect(upstream.requests.isEmpty)
            let fits = try await edge.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789")
            #expect(fits.text == "POST / HTTP/1.1|10")
        }
    }

    @Test func chunksAreCountedAsTheyPass() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(Self.table(upstream, 10)) { edge in
            let port = edge.port
            let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            // Of the frame around the content nothing counts.
            let extended = "1;\(String(repeating: "x", count: 99))\r\na\r\n"
            let fits = try await edge.ask(head + extended + "9\r\n123456789\r\n0\r\n\r\n")
            #expect(fits.status == 200)
            upstream.forget()
            let (whole, last) = ("b\r\nhello world\r\n", "0\r\n\r\n")
            for chunks in [[whole + last], ["5\r\nhello\r\n", "6\r\n world\r\n", last]] {
                let answers = try await blocking {
                    let client = try RawSocket(port: port)
                    try client.send(head)
                    // The edge may be closing by the last of them.
                    for chunk in chunks { do { try client.send(chunk) } catch {} }
                    do { try client.send(Self.behind) } catch {}
                    var answers: [RawResponse] = []
                    while let answer = try client.response() { answers.append(answer) }
                    return answers
                }
                #expect(answers.map(\.status) == [413] && answers.first?.field("connection") == "close")
            }
            #expect(try await edge.get("/next").status == 200)
            #expect(upstream.requests.map(\.line) == ["GET /next HTTP/1.1"])
        }
    }

    /// With the length of the body and without.
    @Test func theSameInHTTP2() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(Self.table(upstream, 10)) { edge in
            let script = """
                c = Client()
                for body, more in ((b'x' * 11, [('content-length', '11')]), (b'x' * 11, []), (b'x' * 10, [])):
                    stream = c.headers('/', 'POST', more, end=False)
                    c.flush()
                    c.h2.send_data(stream, body, end_stream=True)
                    status, text, trailers, end = c.answer(stream)
                    print(status, text if status == '200' else '')
                """
            let result = try await edge.python(HTTP2Scripts.client + script)
            #expect(result.text == "413 \n413 \n200 POST / HTTP/1.1|20\n", "\(result.text)")
            #expect(upstream.requests.count == 1)
        }
    }

    @Test func withoutALimitThereIsNone() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let body = String(repeating: "x", count: 3 << 20)
            let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            let answer = try await edge.ask(request)
            #expect(answer.text == "POST / HTTP/1.1|\(body.utf8.count)")
        }
    }
}
