import Edge
import Glibc
import Model
import Testing

@Suite(.serialized, .exclusive)
struct ProxyTests {
    @Test func claimsOfStrangersAreReplaced() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let lies = """
                X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: bank.example\r\n\
                X-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: mine\r\n\
                X_Forwarded_For: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\nProxy-Authorization: a\r\nTE: trailers\r\n\
                Connection: keep-alive, X-Gone\r\nX-Gone: a\r\nKeep-Alive: timeout=5\r\nX-Kept: yes\r\n
                """
            _ = try await edge.get("/a", fields: lies)
            let request = try #require(upstream.requests.first)
            #expect(request.fields("x-forwarded-for") == ["127.0.0.1"])
            #expect(request.fields("x-forwarded-proto") == ["http"])
            #expect(request.fields("forwarded") == ["for=127.0.0.1;proto=http"])
            #expect(request.fields("x-forwarded-host") == ["example.com"])
            #expect(request.fields("x-request-id").first?.count == 32)
            #expect(request.fields("x-kept") == ["yes"])
            #expect(request.fields("host") == ["example.com"])
            for gone in [
                "x-forwarded-port", "x-real-ip", "x_forwarded_for", "x_real_ip", "proxy-authorization",
                "te", "connection", "x-gone", "keep-alive",
            ] { #expect(request.fields(gone).isEmpty, "\(gone)") }
        }
    }

    @Test func manyRequestsShareConnections() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                for number in 0..<50 {
                    try client.send("GET /\(number) HTTP/1.1\r\nHost: a\r\n\r\n")
                    #expect(try client.response()?.text == "GET /\(number) HTTP/1.1|0")
                }
            }
            #expect(upstream.connections == 1)
        }
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                let requests = (0..<200).map { number in
                    number % 3 == 0
                        ? "POST /\(number) HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                        : "GET /\(number) HTTP/1.1\r\nHost: a\r\n\r\n"
                }
                try client.send(requests.joined())
                for number in 0..<200 {
                    let expected = number % 3 == 0 ? "POST /\(number) HTTP/1.1|3" : "GET /\(number) HTTP/1.1|0"
                    #expect(try client.response()?.text == expected)
                }
            }
        }
    }

    @Test func pipelinedMissesDoNotDeepenTheStack() async throws {
        try await EdgeFixture.with(EdgeTable()) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                try client.send(String(repeating: request, count: 2000))
                for _ in 0..<2000 { #expect(try client.response()?.status == 404) }
            }
        }
    }

    @Test func chunksAndTrailersPassBothWays() async throws {
        let answer =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n"
            + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n"
        let upstream = try RawUpstream(script: RawUpstream.answering(answer))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let body = "5\r\nhello\r\n0\r\nSum: 1\r\n\r\n"
            let response = try await edge.ask(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(body)")
            #expect(response.text == "abcde")
            #expect(response.trailer == "A: b\r\n\r\n")
            #expect(upstream.requests.first?.body == Array(body.utf8))
        }
    }

    @Test func oldClientsGetTheirChunksUnwrapped() async throws {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        let upstream = try RawUpstream(script: RawUpstream.answering(answer))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let response = try await edge.ask("GET / HTTP/1.0\r\n\r\n")
            #expect(response.text == "abcde")
            #expect(response.field("transfer-encoding") == nil)
            #expect(response.field("connection") == "close")
        }
    }

    @Test func aBodyUntilCloseKeepsTheClientConnection() async throws {
        let upstream = try RawUpstream(script: RawUpstream.answering("HTTP/1.0 200 OK\r\n\r\nhello", thenClose: true))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                for _ in 0..<3 {
                    try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    #expect(try client.response()?.text == "hello")
                }
            }
        }
    }

    @Test(arguments: [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "100"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", nil),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", "100"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", nil),
    ])
    func responsesWithoutBody(method: String, answer: String, length: String?) async throws {
        let upstream = try RawUpstream(script: RawUpstream.answering(answer))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                for _ in 0..<3 {
                    try client.send("\(method) / HTTP/1.1\r\nHost: a\r\n\r\n")
                    let response = try client.response(toHead: true)
                    #expect(response?.field("content-length") == length)
                }
            }
            #expect(upstream.connections == 1)
        }
    }

    @Test func continueIsPassedOn() async throws {
        let upstream = try RawUpstream { connection, upstream in
            let head = try connection.receive(until: "\r\n\r\n")
            #expect(head.contains("Expect: 100-continue\r\n"))
            try connection.send("HTTP/1.1 100 Continue\r\n\r\n")
            let body = try connection.receive(max: 5)
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n")
            try connection.send(body)
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
                #expect(try client.response()?.status == 100)
                try client.send("hello")
                #expect(try client.response()?.text == "hello")
            }
        }
    }

    @Test func earlyHintsArePassedOn() async throws {
        let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        let upstream = try RawUpstream(script: RawUpstream.answering(answer))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try client.response()?.field("link") == "</a>")
                #expect(try client.response()?.text == "ok")
            }
            #expect(try await edge.ask("GET / HTTP/1.0\r\n\r\n").status == 200)
        }
    }

    /// The end that came with an answer is behind what is read before the answer is served.
    @Test func anUpstreamThatEndsWithItsAnswerIsNotUsedAgain() async throws {
        let isTorn = SharedFlag()
        let upstream = try RawUpstream { connection, upstream in
            func answer(_ count: Int) -> String {
                "HTTP/1.1 200 OK\r\nContent-Length: \(count)\r\n\r\n" + String(repeating: "x", count: count)
            }
            for _ in 0..<2 {
                guard try upstream.read(connection) != nil else { return }
                try connection.send(answer(2))
            }
            guard try upstream.read(connection) != nil else { return }
            if try !connection.sendWithEnd(answer(20_000)) { isTorn.value = true }
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
                for round in 0..<30 {
                    try client.send(get + get + get + post + get + get)
                    for number in 0..<6 {
                        let status = try client.response()?.status
                        if status != 200, isTorn.isSetSoon() { return }
                        #expect(status == 200, "\(round), \(number)")
                    }
                }
            }
        }
    }

    @Test func eventsAreNotBuffered() async throws {
        let isRead = SharedFlag()
        let upstream = try RawUpstream { connection, upstream in
            _ = try upstream.read(connection)
            try connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            try connection.send("data: first\n\n")
            try isRead.wait()
            try connection.send("data: second\n\n")
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try client.receive(until: "\r\n\r\n")
                #expect(try client.receive(until: "\n\n").contains("data: first"))
                isRead.value = true
                #expect(try client.receive(until: "\n\n").contains("data: second"))
            }
        }
    }
}
