import Edge
import Glibc
import Model
import Testing

/// Upstreams that misbehave and clients that vanish.
@Suite(.serialized, .exclusive)
struct FailureTests {
    /// Short where a test waits for it; the neighbour must not meet it.
    private static func limits(_ short: [WritableKeyPath<EdgeLimits, Duration>]) -> EdgeLimits {
        var limits = EdgeLimits()
        for limit in short { limits[keyPath: limit] = .seconds(1) }
        return limits
    }

    /// Whatever the first upstream does, a healthy neighbour is served as if nothing were.
    private func withNeighbour(
        short: [WritableKeyPath<EdgeLimits, Duration>] = [], _ script: @escaping RawUpstream.Script,
        _ body: (EdgeFixture, RawUpstream) async throws -> Void
    ) async throws {
        let bad = try RawUpstream(script: script)
        let good = try RawUpstream()
        var table = EdgeTable.single(bad.port)
        table.upstreams.append(
            EdgeUpstream(id: "good", name: "good", endpoints: [EdgeEndpoint(host: "127.0.0.1", port: good.port)]))
        table.routes.append(EdgeRoute(pathPrefix: "/good", upstreamId: "good"))
        try await EdgeFixture.with(table, limits: Self.limits(short)) { edge in
            try await body(edge, bad)
            let neighbour = try await edge.get("/good")
            #expect(neighbour.status == 200)
            #expect(try await eventually { try await edge.control.status().requestsInFlight.isEmpty })
        }
    }

    @Test(arguments: [
        "garbage\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \u{0}\r\n\r\n", "HTTP/1.1 600 Odd\r\n\r\n", "",
    ])
    func garbageIsABadGateway(answer: String) async throws {
        try await withNeighbour(RawUpstream.answering(answer, thenClose: true)) { edge, _ in
            for method in ["GET", "POST"] {
                let response = try await edge.ask("\(method) / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(response.status == 502)
                #expect(response.text.contains("web"))
            }
        }
    }

    @Test func anEndlessHeadIsABadGateway() async throws {
        let script: RawUpstream.Script = { connection, upstream in
            _ = try upstream.read(connection)
            try connection.send("HTTP/1.1 200 OK\r\n")
            for _ in 0..<1000 { try connection.send("A: \(String(repeating: "b", count: 1000))\r\n") }
        }
        try await withNeighbour(script) { edge, _ in
            let response = try await edge.get("/")
            #expect(response.status == 502)
        }
    }

    @Test func aSilentUpstreamTimesOut() async throws {
        let isGivenUp = SharedFlag()
        let script: RawUpstream.Script = { connection, upstream in
            _ = try upstream.read(connection)
            try isGivenUp.wait()
        }
        try await withNeighbour(short: [\.responseHeadTimeout], script) { edge, _ in
            let response = try await edge.get("/", fields: "Accept: application/json\r\n")
            #expect(response.status == 504)
            #expect(response.text.contains("upstream_timeout"))
            isGivenUp.value = true
        }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ])
    func aBodyCutShortIsNotMadeWhole(answer: String) async throws {
        try await withNeighbour(RawUpstream.answering(answer, thenClose: true)) { edge, _ in
            let port = edge.port
            let raw = try await blocking {
                let client = try RawSocket(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                return String(decoding: try client.receiveAll(), as: UTF8.self)
            }
            #expect(raw.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(!raw.hasSuffix("0\r\n\r\n"))
        }
    }

    @Test func aStalledBodyIsGivenUp() async throws {
        let isGivenUp = SharedFlag()
        let script: RawUpstream.Script = { connection, upstream in
            _ = try upstream.read(connection)
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            try isGivenUp.wait()
        }
        try await withNeighbour(short: [\.bodyIdleTimeout], script) { edge, _ in
            let port = edge.port
            let raw = try await blocking {
                let client = try RawSocket(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                return try client.receiveAll()
            }
            #expect(raw.suffix(4).elementsEqual("half".utf8))
            isGivenUp.value = true
        }
    }

    @Test func bytesBehindAResponseAreNotTheNextOne() async throws {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nextra"
        try await withNeighbour(RawUpstream.answering(answer)) { edge, upstream in
            for _ in 0..<5 {
                let response = try await edge.get("/")
                #expect(response.text == "ok")
            }
            #expect(upstream.connections == 5)
        }
    }

    @Test func anUpstreamThatTricklesIsPassedOn() async throws {
        let script: RawUpstream.Script = { connection, upstream in
            while try upstream.read(connection) != nil {
                for byte in "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n".utf8 {
                    try connection.send([byte])
                    usleep(2000)
                }
            }
        }
        try await withNeighbour(script) { edge, _ in
            let response = try await edge.get("/")
            #expect(response.text == "abc")
            #expect(response.trailer == "A: b\r\n\r\n")
        }
    }

    @Test func anAnswerBeforeTheRequestEndedIsPassedOn() async throws {
        let script: RawUpstream.Script = { connection, _ in
            _ = try connection.receive(until: "\r\n\r\n")
            try connection.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        }
        try await withNeighbour(script) { edge, _ in
            let port = edge.port
            let response = try await blocking {
                let client = try RawSocket(port: port)
                try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
                let block = [UInt8](repeating: 0, count: 65_536)
                // The edge closes at some point, which is right.
                for _ in 0..<20 { try? client.send(block) }
                return try client.response()
            }
            #expect(response?.status == 413)
            #expect(response?.field("connection") == "close")
        }
    }

    @Test func aClientThatVanishesFreesItsUpstream() async throws {
        let script: RawUpstream.Script = { connection, upstream in
            _ = try upstream.read(connection)
            try connection.send("HTTP/1.1 200 OK\r\n\r\n")
            while true {
                try connection.send("tick\n")
                usleep(10_000)
            }
        }
        try await withNeighbour(script) { edge, upstream in
            let port = edge.port
            for _ in 0..<20 {
                try await blocking {
                    let client = try RawSocket(port: port)
                    try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    _ = try client.receive()
                }
            }
            #expect(upstream.connections == 20)
        }
    }

    @Test func aSlowHeadIsGivenUp() async throws {
        try await withNeighbour(short: [\.requestHeadTimeout, \.keepAliveTimeout], RawUpstream.echo) { edge, upstream in
            let port = edge.port
            let (answer, silent) = try await blocking {
                let slow = try RawSocket(port: port)
                let mute = try RawSocket(port: port)
                for byte in "GET / HTTP/1.1\r\nHost: a\r\nA: bbbbbbbbbbbbbbbbbbbbbbbbbbb".utf8 {
                    do { try slow.send([byte]) } catch { break }
                    usleep(40_000)
                }
                return (try slow.response(), try mute.receiveAll())
            }
            #expect(answer?.status == 408)
            #expect(silent.isEmpty)
            #expect(upstream.requests.isEmpty)
        }
    }

    @Test func anIdleConnectionIsClosed() async throws {
        try await withNeighbour(short: [\.keepAliveTimeout], RawUpstream.echo) { edge, _ in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try client.response()?.status == 200)
                let rest = try client.receiveAll()
                #expect(rest.isEmpty)
            }
        }
    }

    @Test func aSlowReaderIsGivenUp() async throws {
        let upstreamHasBegun = SharedFlag()
        let script: RawUpstream.Script = { connection, upstream in
            _ = try upstream.read(connection)
            upstreamHasBegun.value = true
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            let block = [UInt8](repeating: 0, count: 65_536)
            while true { try connection.send(block) }
        }
        try await withNeighbour(short: [\.bodyIdleTimeout], script) { edge, _ in
            let port = edge.port
            let client = try await blocking {
                let client = try RawSocket(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                return client
            }
            #expect(try await eventually { upstreamHasBegun.value })
            #expect(try await eventually { try await edge.control.status().requestsInFlight.isEmpty })
            withExtendedLifetime(client) {}
        }
    }

    /// The end of an answer is still in the edge when the upstream is done with it.
    @Test func theLastOfAnAnswerGoesOutToASlowReader() async throws {
        let count = 12 << 20
        let isSent = SharedFlag(false)
        let upstream = try RawUpstream { connection, upstream in
            while try upstream.read(connection) != nil {
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(count)\r\n\r\n")
                try connection.send([UInt8](repeating: 7, count: count))
                isSent.value = true
            }
        }
        var limits = EdgeLimits()
        limits.keepAliveTimeout = .milliseconds(200)
        limits.bodyIdleTimeout = .seconds(5)
        try await EdgeFixture.with(.single(upstream.port), limits: limits) { edge in
            let port = edge.port
            let got = try await blocking {
                let client = try RawSocket(port: port)
                var size: Int32 = 16_384
                setsockopt(client.descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try client.receive(until: "\r\n\r\n")
                var got = 0
                var slowReads = 20
                while got < count {
                    let part = try client.receive(max: 65_536)
                    if part.isEmpty { break }
                    got += part.count
                    guard isSent.value, slowReads > 0 else { continue }
                    // As slow as a telephone for some seconds: many times what the edge keeps a connection for.
                    slowReads -= 1
                    usleep(150_000)
                }
                return got
            }
            #expect(got == count)
        }
    }

    @Test func aClosedPortIsNamedInThePage() async throws {
        let gone = try ClosedPort()
        try await EdgeFixture.with(.single(gone.port, id: "shop")) { edge in
            let page = try await edge.get("/")
            #expect(page.status == 502)
            #expect(page.text.contains("shop") && page.text.contains("Since <time"))
            let json = try await edge.get("/", fields: "Accept: application/json\r\n")
            #expect(json.field("content-type") == "application/json")
            #expect(json.text.contains("\"service\":\"shop\"") && json.text.contains("\"since\""))
            let both = try await edge.get("/", fields: "Accept: text/html, application/json\r\n")
            #expect(both.field("content-type") == "text/html; charset=utf-8")
        }
    }

    @Test func theNextEndpointIsTried() async throws {
        let gone = try ClosedPort()
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(gone.port, upstream.port)) { edge in
            for _ in 0..<20 {
                let response = try await edge.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
                #expect(response.status == 200)
            }
            #expect(upstream.requests.count == 20)
        }
    }

    @Test func theEndpointWithFewestRequestsIsChosen() async throws {
        let goesOn = SharedFlag()
        let slow = try RawUpstream { connection, upstream in
            _ = try upstream.read(connection)
            try goesOn.wait()
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        }
        let fast = try RawUpstream()
        try await EdgeFixture.with(.single(slow.port, fast.port)) { edge in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3 { group.addTask { _ = try await edge.get("/") } }
                #expect(try await eventually { slow.requests.count >= 1 && fast.requests.count >= 1 })
                for _ in 0..<20 { _ = try await edge.get("/") }
                goesOn.value = true
                try await group.waitForAll()
            }
            #expect(slow.requests.count <= 2)
            #expect(fast.requests.count >= 21)
        }
    }
}
