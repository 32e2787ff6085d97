import Glibc
import Model
import NIOCore
import Synchronization
import Testing

@testable import Edge

/// Endpoints that are given by name. What the system's resolver says stands in for by a list of ports of this machine.
@Suite(.serialized, .exclusive)
struct NameLookupTests {
    private final class Answers: Sendable {
        private let ports: Mutex<[Int]>
        private let asked = Atomic<Int>(0)

        init(_ ports: Int...) { self.ports = Mutex(ports) }

        var count: Int { asked.load(ordering: .relaxed) }

        func change(to new: Int...) { ports.withLock { $0 = new } }

        var lookup: NameLookup {
            NameLookup { _, _ in
                self.asked.add(1, ordering: .relaxed)
                return self.ports.withLock { $0 }.compactMap { port in
                    // Never fails: it is an address.
                    try? SocketAddress(ipAddress: "127.0.0.1", port: port)
                }
            }
        }
    }

    private static func table(_ change: (inout EdgeTable) -> Void = { _ in }) -> EdgeTable {
        var table = EdgeTable.single(80)
        table.upstreams[0].endpoints[0].host = "app.test"
        change(&table)
        return table
    }

    /// Answers with its port, to what is slow when it is told to.
    private static func upstream(slowEnds: SharedFlag = SharedFlag(true)) throws -> RawUpstream {
        try RawUpstream { connection, upstream in
            while let request = try upstream.read(connection) {
                if request.line.contains("/slow") { try slowEnds.wait() }
                let text = "\(upstream.port)"
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)")
            }
        }
    }

    @Test func requestsFollowTheNameAndTheConnectionsInUseStay() async throws {
        let slowEnds = SharedFlag()
        let (old, new) = (try Self.upstream(slowEnds: slowEnds), try Self.upstream())
        let answers = Answers(old.port)
        var limits = EdgeLimits()
        limits.lookupInterval = .milliseconds(100)
        try await EdgeFixture.with(Self.table(), limits: limits, names: answers.lookup) { edge in
            #expect(try await edge.get("/").text == "\(old.port)")
            async let slow = edge.get("/slow")
            #expect(try await eventually { old.requests.count == 2 })
            answers.change(to: new.port)
            // Asked all the time, so that its idle connections have no time to grow old.
            #expect(try await eventually { try await edge.get("/").text == "\(new.port)" })
            for _ in 0..<20 { #expect(try await edge.get("/").text == "\(new.port)") }
            slowEnds.value = true
            let answer = try await slow
            #expect(answer.status == 200 && answer.text == "\(old.port)")
            // A name that nobody knows for a while keeps its address.
            let before = answers.count
            answers.change()
            #expect(try await eventually { answers.count >= before + 3 })
            #expect(try await edge.get("/").text == "\(new.port)")
        }
    }

    @Test func eachTableAsksAgain() async throws {
        let (old, new) = (try Self.upstream(), try Self.upstream())
        let answers = Answers(old.port)
        try await EdgeFixture.with(Self.table(), names: answers.lookup) { edge in
            #expect(try await edge.get("/").text == "\(old.port)")
            answers.change(to: new.port)
            // The same table, too, which is how a site is tried again.
            try await edge.control.apply(Self.table())
            #expect(try await eventually { try await edge.get("/").text == "\(new.port)" })
            answers.change(to: old.port)
            try await edge.control.apply(Self.table { $0.upstreams[0].name = "renamed" })
            #expect(try await eventually { try await edge.get("/").text == "\(old.port)" })
        }
    }

    /// As `localhost` may be `::1` for the system and `127.0.0.1` for who listens.
    @Test(arguments: [nil, EdgeProtocol.h2c])
    func theNextAddressIsTriedWhenOneRefuses(spoken: EdgeProtocol?) async throws {
        let closed = try ClosedPort()
        let upstream = try Self.upstream()
        let answers = Answers(closed.port, upstream.port)
        let table = Self.table { table in
            table.upstreams[0].protocol = spoken
            table.upstreams.append(EdgeUpstream(id: "judge", name: "judge", endpoints: table.upstreams[0].endpoints))
            // Asked before the upstream is.
            let access = EdgeAccess(forward: EdgeForwardAuth(upstreamId: "judge"))
            table.routes[0].access = spoken == nil ? access : nil
        }
        try await EdgeFixture.with(table, names: answers.lookup) { edge in
            _ = try await edge.get("/")
            if spoken == .h2c {
                // It does not speak that, but was reached.
                #expect(upstream.connections >= 1)
            } else {
                for _ in 0..<3 { #expect(try await edge.get("/").text == "\(upstream.port)") }
            }
        }
    }

    @Test func theSystemSaysAllAddresses() {
        let found = NameLookup.system("localhost", 81)
        #expect(found.contains { $0.ipAddress == "127.0.0.1" && $0.port == 81 })
        #expect(Set(found.map(\.description)).count == found.count)
        #expect(NameLookup.system("no.such.name.invalid", 80).isEmpty)
    }

    /// A resolver that does not answer holds up no table for long, and none at all that has an address already.
    @Test func aSilentResolverIsNotWaitedFor() async throws {
        let upstream = try Self.upstream()
        let isSilent = SharedFlag()
        let answers = SharedFlag()
        let lookup = NameLookup { _, _ in
            do {
                if isSilent.value { try answers.wait() }
            } catch {
                Issue.record(error)
            }
            // Never fails: it is an address.
            return (try? SocketAddress(ipAddress: "127.0.0.1", port: upstream.port)).map { [$0] } ?? []
        }
        try await EdgeFixture.with(Self.table(), names: lookup) { edge in
            isSilent.value = true
            let clock = ContinuousClock()
            let known = try await clock.measure {
                try await edge.control.apply(Self.table { $0.upstreams[0].name = "renamed" })
            }
            #expect(known < .seconds(NameLookup.waitSeconds))
            try await edge.control.apply(Self.table { $0.upstreams[0].endpoints[0].host = "other.test" })
            answers.value = true
            #expect(try await eventually { try await edge.get("/").status == 200 })
        }
    }
}
