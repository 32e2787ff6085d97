import Edge
import Glibc
import Model
import NIOCore
import Synchronization
import Testing

/// Tables that change under load: switching, holding, draining.
@Suite(.serialized, .exclusive)
struct SwitchTests {
    /// Keeps asking on several connections until told to stop; counts what was not a 200.
    private final class Load: Sendable {
        struct Counts { var sent = 0, failed = 0 }
        let counts = Mutex(Counts())
        let isStopped = Atomic<Bool>(false)
        let port: Int

        init(port: Int) { self.port = port }

        func run(_ request: String) async throws {
            let port = port
            try await blocking { [self] in
                var client = try RawSocket(port: port)
                while !isStopped.load(ordering: .relaxed) {
                    try? client.send(request)
                    let status = try? client.response()?.status
                    counts.withLock {
                        $0.sent += 1
                        if status != 200 { $0.failed += 1 }
                    }
                    if status != 200 { client = try RawSocket(port: port) }
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func twoHundredSwitchesUnderLoadFailNothing() async throws {
        let upstreams = try (0..<2).map { _ in try RawUpstream() }
        try await EdgeFixture.with(.single(upstreams[0].port)) { edge in
            let load = Load(port: edge.port)
            try await withThrowingTaskGroup(of: Void.self) { group in
                // Whatever happens: the group waits for the load.
                defer { load.isStopped.store(true, ordering: .relaxed) }
                for _ in 0..<3 { group.addTask { try await load.run("GET /a HTTP/1.1\r\nHost: a\r\n\r\n") } }
                group.addTask {
                    try await load.run("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
                }
                for swap in 0..<200 {
                    let next = upstreams[(swap + 1) % 2].port
                    let former = "127.0.0.1:\(upstreams[swap % 2].port)"
                    try await edge.control.apply(.single(next))
                    let isDrained = try await eventually {
                        try await edge.control.status().requestsInFlight[former] == nil
                    }
                    #expect(isDrained)
                }
                load.isStopped.store(true, ordering: .relaxed)
                try await group.waitForAll()
            }
            let counts = load.counts.withLock { $0 }
            #expect(counts.failed == 0, "\(counts)")
            #expect(counts.sent > 500)
        }
    }

    @Test func requestsUnderWayFinishOnARemovedEndpoint() async throws {
        let goesOn = SharedFlag()
        let old = try RawUpstream { connection, upstream in
            _ = try upstream.read(connection)
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
            try goesOn.wait()
            try connection.send("half")
        }
        let new = try RawUpstream()
        try await EdgeFixture.with(.single(old.port)) { edge in
            async let slow = edge.get("/slow")
            #expect(try await eventually { old.requests.count == 1 })
            try await edge.control.apply(.single(new.port))
            let status = try await edge.control.status()
            #expect(status.requestsInFlight == ["127.0.0.1:\(old.port)": 1])
            let fresh = try await edge.get("/new")
            #expect(fresh.text == "GET /new HTTP/1.1|0")
            goesOn.value = true
            let finished = try await slow
            #expect(finished.text == "halfhalf")
            #expect(try await eventually { try await edge.control.status().requestsInFlight.isEmpty })
        }
    }

    @Test func idleConnectionsToARemovedEndpointAreClosed() async throws {
        let isClosed = Mutex(false)
        let old = try RawUpstream { connection, upstream in
            while try upstream.read(connection) != nil {
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            }
            isClosed.withLock { $0 = true }
        }
        let new = try RawUpstream()
        try await EdgeFixture.with(.single(old.port)) { edge in
            _ = try await edge.get("/")
            #expect(!isClosed.withLock { $0 })
            try await edge.control.apply(.single(new.port))
            #expect(try await eventually(.seconds(10)) { isClosed.withLock { $0 } })
        }
    }

    @Test func heldRequestsWaitForTheNextTable() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port, mode: .hold)) { edge in
            try await withThrowingTaskGroup(of: RawResponse.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        try await edge.ask(
                            "POST /\(number) HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
                    }
                }
                let areHeld = try await eventually { try await edge.control.status().requestsHeld["web"] ?? 0 > 0 }
                #expect(areHeld)
                #expect(upstream.requests.isEmpty)
                // A table that still holds changes nothing for them.
                var other = EdgeTable.single(upstream.port, mode: .hold)
                other.routes.append(EdgeRoute(hosts: ["x.com"], upstreamId: "web"))
                try await edge.control.apply(other)
                try await Task.sleep(for: .milliseconds(100))
                #expect(upstream.requests.isEmpty)
                try await edge.control.apply(.single(upstream.port))
                for try await response in group { #expect(response.text.hasSuffix("|5")) }
            }
            let status = try await edge.control.status()
            #expect(status.requestsHeld.isEmpty)
            #expect(status.requestsTotal["web"] == 20)
        }
    }

    @Test func holdingEndsInTime() async throws {
        var limits = EdgeLimits()
        limits.holdTimeout = .seconds(1)
        try await EdgeFixture.with(.single(1, mode: .hold), limits: limits) { edge in
            let response = try await edge.get("/")
            #expect(response.status == 503)
            #expect(response.field("retry-after") == "2")
            let status = try await edge.control.status()
            #expect(status.requestsHeld.isEmpty)
        }
    }

    @Test func onlySoManyAreHeld() async throws {
        var limits = EdgeLimits()
        limits.heldMax = 5
        limits.holdTimeout = .seconds(30)
        try await EdgeFixture.with(.single(1, mode: .hold), limits: limits) { edge in
            let port = edge.port
            let clients = try await blocking {
                try (0..<5).map { _ in
                    let client = try RawSocket(port: port)
                    try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    return client
                }
            }
            #expect(try await eventually { try await edge.control.status().requestsHeld["web"] == 5 })
            let clock = ContinuousClock()
            let start = clock.now
            let refused = try await edge.get("/")
            #expect(refused.status == 503)
            #expect(refused.field("retry-after") != nil)
            #expect(clock.now - start < .seconds(10))
            #expect(clients.count == 5)
        }
    }

    @Test func aHeldClientThatLeavesIsNoLongerCounted() async throws {
        try await EdgeFixture.with(.single(1, mode: .hold)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
                usleep(100_000)
            }
            #expect(try await eventually { try await edge.control.status().requestsHeld.isEmpty })
        }
    }

    @Test func heldRequestsFollowTheirRouteInTheNewTable() async throws {
        let folder = try EdgeFixture.temporaryFolder()
        try writeFile(folder + "/index.html", "from disk")
        try await EdgeFixture.with(.single(1, mode: .hold)) { edge in
            async let held = edge.get("/")
            #expect(try await eventually { try await edge.control.status().requestsHeld["web"] == 1 })
            try await edge.control.apply(.single(staticFolder: folder))
            let response = try await held
            #expect(response.text == "from disk")
        }
    }

    @Test func stoppingFinishesWhatIsUnderWay() async throws {
        let goesOn = SharedFlag()
        let upstream = try RawUpstream { connection, upstream in
            let request = try upstream.read(connection)
            if request?.line.contains("/slow") == true { try goesOn.wait() }
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            // So many that each loop has one.
            let idle = try await blocking {
                try (0..<32 * System.coreCount).map { _ in
                    let client = try RawSocket(port: port)
                    try client.send("GET /idle HTTP/1.1\r\nHost: a\r\n\r\n")
                    #expect(try client.response()?.status == 200)
                    return client
                }
            }
            async let slow = edge.get("/slow")
            #expect(try await eventually { upstream.requests.contains { $0.line.contains("/slow") } })
            edge.server.cancel()
            let isRefused = try await eventually {
                do {
                    _ = try await edge.get("/new")
                    return false
                } catch is SocketFailure {
                    return true
                }
            }
            #expect(isRefused)
            // A loop that was told ends what is idle.
            let rest = try await blocking { try idle.map { try $0.receiveAll() } }
            #expect(rest.allSatisfy { $0.isEmpty })
            goesOn.value = true
            let response = try await slow
            #expect(response.status == 200)
            #expect(response.field("connection") == "close")
            try await edge.server.value
        }
    }
}

func writeFile(_ path: String, _ text: String) throws { try writeFile(path, Array(text.utf8)) }

func writeFile(_ path: String, _ bytes: [UInt8]) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    guard descriptor >= 0, write(descriptor, bytes, bytes.count) == bytes.count else { throw SocketFailure(path) }
    close(descriptor)
}
