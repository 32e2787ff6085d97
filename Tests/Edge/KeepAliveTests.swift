import Edge
import Glibc
import Model
import Synchronization
import Testing

/// The race between an upstream that closes an idle connection and a request that is just sent over it.
@Suite(.serialized, .exclusive)
struct KeepAliveTests {
    @Test func anUpstreamThatClosesAfterEachResponseLosesNothing() async throws {
        let upstream = try RawUpstream(
            script: RawUpstream.answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", thenClose: true))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            try await steady(edge, count: 500)
            #expect(upstream.connections >= 500)
        }
    }

    @Test func anUpstreamThatAnnouncesItsCloseIsNotAskedTwice() async throws {
        let upstream = try RawUpstream(
            script: RawUpstream.answering(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", thenClose: false))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            try await steady(edge, count: 20)
            #expect(upstream.connections == 20)
        }
    }

    @Test func theUpstreamsOwnTimeoutIsRespected() async throws {
        let answer = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 2\r\n\r\nok"
        let upstream = try RawUpstream(script: RawUpstream.answering(answer))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            try await steady(edge, count: 1)
            // A second before the upstream would end it, and long before the edge does of itself.
            try await Task.sleep(for: .milliseconds(1800))
            try await steady(edge, count: 1)
            #expect(upstream.connections == 2)
        }
    }

    /// Closes without a word as the second request arrives.
    private static let closingOnReuse: RawUpstream.Script = { connection, upstream in
        _ = try upstream.read(connection)
        try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        _ = try connection.receive(max: 1)
    }

    @Test(arguments: ["GET", "PUT", "DELETE", "HEAD"])
    func aRequestThatMayBeRepeatedIs(method: String) async throws {
        let upstream = try RawUpstream(script: Self.closingOnReuse)
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                let body = method == "PUT" ? "Content-Length: 5\r\n\r\nhello" : "\r\n"
                for _ in 0..<50 {
                    try client.send("\(method) / HTTP/1.1\r\nHost: a\r\n\(body)")
                    let response = try client.response(toHead: method == "HEAD")
                    #expect(response?.status == 200)
                }
            }
            #expect(upstream.requests.count == 50)
        }
    }

    /// A request that must not be sent twice never meets a connection that could be dead.
    @Test func aRequestThatMustNotBeRepeatedGetsAFreshConnection() async throws {
        let upstream = try RawUpstream(script: Self.closingOnReuse)
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                for _ in 0..<50 {
                    try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
                    let response = try client.response()
                    #expect(response?.status == 200)
                }
            }
            #expect(upstream.requests.count == 50)
        }
    }

    /// The end of a connection that came together with an answer is known when the next request is read.
    @Test func aRequestBehindTheLastAnswerGetsAFreshConnection() async throws {
        let isTorn = SharedFlag()
        let upstream = try RawUpstream { connection, upstream in
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            while let request = try upstream.read(connection) {
                guard request.line.contains("/last") else {
                    try connection.send(answer)
                    continue
                }
                if try !connection.sendWithEnd(answer) { isTorn.value = true }
            }
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                for _ in 0..<20 {
                    for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", post] {
                        try client.send(request)
                        #expect(try client.response()?.status == 200)
                    }
                    try client.send("GET /last HTTP/1.1\r\nHost: a\r\n\r\n" + post)
                    #expect(try client.response()?.status == 200)
                    let behind = try client.response()?.status
                    if behind != 200, isTorn.isSetSoon() { return }
                    #expect(behind == 200)
                }
            }
            #expect(upstream.requests.count == 80 || isTorn.value)
        }
    }

    /// Closes each connection after a while of silence, at every distance from the next request.
    @Test(.timeLimit(.minutes(5)))
    func anUpstreamThatClosesWhenIdleLosesNothing() async throws {
        let upstream = try RawUpstream { connection, upstream in
            var patienceMs: Int32 = 5000
            while true {
                var poll = pollfd(fd: connection.descriptor, events: Int16(POLLIN), revents: 0)
                guard Glibc.poll(&poll, 1, patienceMs) == 1, try upstream.read(connection) != nil else { return }
                patienceMs = 20
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            }
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            let failures = try await blocking {
                var failures = 0
                let client = try RawSocket(port: port)
                for step in 0..<400 {
                    usleep(UInt32(19_000 + step * 5))
                    let method = step % 2 == 0 ? "GET" : "DELETE"
                    try client.send("\(method) / HTTP/1.1\r\nHost: a\r\n\r\n")
                    if try client.response()?.status != 200 { failures += 1 }
                }
                return failures
            }
            #expect(failures == 0)
        }
    }

    private func steady(_ edge: EdgeFixture, count: Int) async throws {
        let port = edge.port
        let statuses = try await blocking {
            let client = try RawSocket(port: port)
            return try (0..<count).map { _ in
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                return try client.response()?.status
            }
        }
        #expect(statuses.allSatisfy { $0 == 200 })
    }
}
