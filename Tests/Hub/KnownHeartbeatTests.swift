import AgentProtocol
import Catalog
import Glibc
import Host
import HubStore
import LinuxHost
import Model
import NIOHTTP1
import ResourceKit
import TestSupport
import Testing

@testable import HubAPI
@testable import HubCore

/// Heartbeats that say what the one before said.
@Suite struct KnownHeartbeatTests {
    private static let path = "agent/heartbeat"

    func body(_ sequence: Int64, memory: Int64 = 1, state: String = "running") throws -> [UInt8] {
        let service = ServiceReport(
            serviceId: "s1", name: "web", state: state, servingDeploymentId: nil, commit: nil, release: nil,
            ports: [80],
            restarts: 0, lastError: nil, memoryBytes: nil, deployment: nil)
        return try WireCoding.encode(
            Heartbeat(
                sequence: sequence, agentVersion: "1", protocolVersion: protocolVersion, generation: 0, hash: "",
                converged: true, services: [service], machine: ["load1": .int(sequence)], eventsPending: 0,
                memoryBytes: ["s1": memory])
        ).canonicalBytes
    }

    private func request(_ agent: JoinedAgent, _ body: [UInt8], _ headers: HTTPHeaders? = nil) throws -> String {
        let headers = try headers ?? agent.headers("POST", Self.path, body)
        let fields = headers.map { "\($0.name): \($0.value)\r\n" }.joined()
        return "POST /api/v1/\(Self.path) HTTP/1.1\r\nHost: hub\r\nContent-Length: \(body.count)\r\n\(fields)\r\n"
            + String(decoding: body, as: UTF8.self)
    }

    @Test func `are answered in the order of all requests of a connection, once each`() async throws {
        try await ServerFixture.run { server in
            let agent = try await JoinedAgent(server, stack: try await server.make("stacks", ["name": "a"]))
            #expect(try await agent.send(.POST, Self.path, try body(1)).status == 204)
            let third = try body(3)
            let signed = try agent.headers("POST", Self.path, third)
            let health = "GET /healthz HTTP/1.1\r\nHost: hub\r\n"
            let answers = try await server.sendRaw(
                try request(agent, try body(2)) + health + "\r\n" + request(agent, third, signed)
                    + request(agent, third, signed) + request(agent, try body(4), signed) + request(agent, try body(5))
                    + health + "Connection: close\r\n\r\n")
            let statuses = answers.split(separator: "HTTP/1.1 ").map { $0.prefix(3) }
            #expect(statuses == ["204", "200", "204", "401", "401", "204", "200"], "\(answers)")
            let shown = try await server.send(.GET, "nodes/\(agent.nodeId)").json
            #expect(shown["facts"] == ["load1": 5])
        }
    }

    @Test func `are taken wherever a request may begin, in one piece or several`() async throws {
        try await ServerFixture.run { server in
            let agent = try await JoinedAgent(server, stack: try await server.make("stacks", ["name": "a"]))
            #expect(try await agent.send(.POST, Self.path, try body(1)).status == 204)
            let health = "GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n"
            let login = "POST /api/v1/agent/register HTTP/1.1\r\nHost: hub\r\n"
            let long = login + "Content-Length: 5000\r\n\r\n" + String(repeating: " ", count: 5000)
            let chunked = login + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
            func beat(_ sequence: Int64) throws -> String { try request(agent, try body(sequence)) }
            let sent = [
                try beat(2), health, try beat(3), long, try beat(4), health + health, health, try beat(5), chunked,
                try beat(6),
            ]
            let port = server.port
            let statuses = try await RawConnection.apart {
                let connection = try RawConnection(port)
                return sent.enumerated().map { index, text in
                    let cuts = index % 2 == 0 ? [0, text.count] : [0, 3, 20, text.count - 1, text.count]
                    for (start, end) in zip(cuts, cuts.dropFirst()) {
                        connection.send(String(text.dropFirst(start).prefix(end - start)))
                        if end < text.count { usleep(30_000) }
                    }
                    return connection.answer().split(separator: " ").dropFirst().first.map(String.init) ?? "none"
                }
            }
            // Two requests at once have two answers, and what follows is behind by one.
            #expect(statuses == ["204", "200", "204", "400", "204", "200", "200", "200", "204", "400"])
            let metrics = try await server.send(.GET, "/metrics", anonymous: true).text
            // Not any more after two requests at once.
            #expect(metrics.contains("roost_known_heartbeats_total 3\n"), "\(metrics)")
        }
    }

    @Test(arguments: [
        "CONNECT a:1 HTTP/1.1\r\n", "GET /healthz HTTP/1.1\r\nConnection: x, Upgrade\r\nUpgrade: x\r\n",
        "GET /healthz HTTP/1.0\r\n", "GET /healthz HTTP/1.1\r\nConnection: Close\r\n",
    ])
    func `are not taken behind the last request of a connection`(last: String) async throws {
        try await ServerFixture.run { server in
            let agent = try await JoinedAgent(server, stack: try await server.make("stacks", ["name": "a"]))
            #expect(try await agent.send(.POST, Self.path, try body(1)).status == 204)
            let beat = try request(agent, try body(2))
            let port = server.port
            let (answer, rest) = try await RawConnection.apart {
                let connection = try RawConnection(port)
                connection.send(last + "Host: hub\r\n\r\n")
                let answer = connection.answer()
                connection.send(beat)
                return (answer, connection.rest())
            }
            #expect(answer.lowercased().contains("connection: close\r\n") && rest == "", "\(answer)\(rest)")
            let shown = try await server.send(.GET, "nodes/\(agent.nodeId)").json
            #expect(shown["facts"] == ["load1": 1])
        }
    }

    @Test func `are known by a head that has one meaning`() {
        let path = "POST \(HeartbeatHead.path) HTTP/1.1\r\n"
        let fields = [
            "Host: hub", "Roost-Node: n", "roost-time:1", "ROOST-NONCE: \t x ", "Roost-Mac: m", "Content-Length: 2",
        ]
        func outcome(_ lines: [String], _ line: String = path) -> String {
            outcome(of: Array((line + lines.map { $0 + "\r\n" }.joined() + "\r\n{}").utf8))
        }
        func outcome(of bytes: [UInt8]) -> String {
            bytes.withUnsafeBytes { bytes in
                switch HeartbeatHead.read(bytes) {
                case .other: "other"
                case .incomplete: "incomplete"
                case .complete(let head): "\(head.signature.nonce) \(bytes.count - head.byteCount) \(head.bodyBytes)"
                }
            }
        }
        #expect(outcome(fields) == "x 2 2")
        #expect(outcome(fields + ["User-Agent: a: b", "X-Forwarded-For: ::1"]) == "x 2 2")
        let whole = Array((path + fields.map { $0 + "\r\n" }.joined() + "\r\n").utf8)
        for count in whole.indices { #expect(outcome(of: Array(whole.prefix(count))) == "incomplete", "\(count)") }
        for missing in fields.indices {
            #expect(outcome(Array(fields[..<missing] + fields[(missing + 1)...])) == "other", "\(fields[missing])")
            #expect(outcome(fields + [fields[missing]]) == "other", "\(fields[missing]) twice")
        }
        for line in [
            "Connection: close", "Expect: 100-continue", "Transfer-Encoding: chunked", "Upgrade: x",
            "Roost-Signature: s", "no colon", ": no name", "space : x", " folded: x", "a: \u{0}", "a: \u{7F}", "a: ü",
            "a: b\nc: d", "a: b\rc: d", "a: " + String(repeating: "b", count: 4096),
        ] {
            #expect(outcome(fields + [line]) == "other", "\(line)")
        }
        for length in ["", "-1", "+2", "2 2", "0x2", "65537", "9999999999999999"] {
            #expect(outcome(fields.dropLast() + ["Content-Length: \(length)"]) == "other", "\(length)")
        }
        for line in ["GET \(HeartbeatHead.path) HTTP/1.1\r\n", "POST \(HeartbeatHead.path)?a HTTP/1.1\r\n"] {
            #expect(outcome(fields, line) == "other", "\(line)")
        }
    }

    @Test func `take no road of their own when they say something new or may not be said`() async throws {
        try await ServerFixture.run { server in
            let agent = try await JoinedAgent(server, stack: try await server.make("stacks", ["name": "a"]))
            #expect(try await agent.send(.POST, Self.path, try body(1)).status == 204)
            #expect(try await agent.send(.POST, Self.path, try body(2, memory: 7)).status == 204)
            func service() async throws -> JSONValue? {
                try await server.send(.GET, "nodes/\(agent.nodeId)").json["services"]?.arrayValue?.first
            }
            #expect(try await service()?["memory_bytes"] == 7)
            #expect(try await agent.send(.POST, Self.path, try body(3, state: "failed")).status == 204)
            #expect(try await service()?["state"] == "failed")
            for nonsense in ["{}", "{\"sequence\":4}", "[]"] {
                #expect(try await agent.send(.POST, Self.path, Array(nonsense.utf8)).status == 400)
            }
            #expect(try await server.send(.DELETE, "nodes/\(agent.nodeId)").status == 202)
            #expect(try await agent.send(.POST, Self.path, try body(4, state: "failed")).status == 401)
        }
    }

    @Test func `say in parts what they say in whole`() throws {
        var beat = try WireCoding.decode(Heartbeat.self, from: try JSONParser.parse(try body(7, memory: 9)))
        beat.traffic = [
            "s1": TrafficReport(requestsPerSecond: 2, errorsPerSecond: 0.5, p50Ms: 1, p95Ms: 2.5, p99Ms: 4),
            "s2": TrafficReport(requestsPerSecond: 0, errorsPerSecond: 0),
        ]
        beat.requests = ["s1": 3]
        let parts = try #require(HeartbeatParts(try WireCoding.encode(beat).canonicalBytes))
        #expect(parts.traffic == beat.traffic && parts.memoryBytes == beat.memoryBytes && parts.sequence == 7)
        #expect(parts.machine == beat.machine && parts.requests == ["s1": 3])
        #expect(parts.lasting == HeartbeatParts(try body(8))?.lasting)
        #expect(parts.lasting != HeartbeatParts(try body(8, state: "failed"))?.lasting)
    }

    @Test func `are taken at once, and refused when the server is removed elsewhere`() async throws {
        let folder = TemporaryFolder()
        let store = try SQLiteStore(
            path: "\(folder.path)/hub.sqlite", kinds: Catalog.kinds, clock: LiveClock(), random: LiveRandom())
        let (hub, other) = (
            HubFixture.hub(store, Catalog.kinds, LiveClock()), HubFixture.hub(store, Catalog.kinds, LiveClock())
        )
        let agent = SigningAgent()
        try await agent.join(store)
        let first = try body(1)
        _ = try await hub.nodeKey(agent.nodeId)
        #expect(try await agent.take(first, hub) == nil)
        let beat = try WireCoding.decode(Heartbeat.self, from: try JSONParser.parse(first))
        try await hub.heartbeat(beat, HeartbeatParts(first), nodeId: agent.nodeId)
        for sequence in 2...4 { #expect(try await agent.take(try body(Int64(sequence)), hub) == "taken") }
        #expect(try await agent.take(try body(5, state: "failed"), hub) == nil)
        #expect(try await agent.take(try body(6), hub, altered: try body(7)) == nil)
        let id = agent.nodeId
        _ = try await other.write { try $0.remove("node", id) }
        #expect(try await agent.take(try body(8), hub) == "passed")
        try await store.close()
    }

    @Test func `are written once a minute, and not for a server that is gone by then`() async throws {
        let clock = SteppedClock()
        let store = try SQLiteStore(inMemory: Catalog.kinds, clock: clock, random: LiveRandom())
        let hub = HubFixture.hub(store, Catalog.kinds, clock)
        let agent = SigningAgent()
        try await agent.join(store)
        let id = agent.nodeId
        @Sendable func node() async throws -> ResourceRecord? { try await store.read { try $0.get("node", id) } }
        _ = try await hub.nodeKey(id)
        let first = try body(1)
        let beat = try WireCoding.decode(Heartbeat.self, from: try JSONParser.parse(first))
        try await hub.heartbeat(beat, HeartbeatParts(first), nodeId: id)
        let writer = Task { await hub.writeSightings() }
        let version = try #require(try await node()).version
        var sequence: Int64 = 1
        func beats(_ count: Int) async throws {
            for _ in 0..<count {
                clock.move(.seconds(10))
                sequence += 1
                #expect(try await agent.take(try body(sequence), hub, at: clock.now()) == "taken")
            }
        }
        for minute in 1...2 as ClosedRange<Int64> {
            try await beats(5)
            #expect(try await node()?.version == version + minute - 1)
            try await beats(1)
            try await until { clock.sleepers == 1 }
            // Others would be written together with this one.
            #expect(try await node()?.version == version + minute - 1)
            clock.move(.seconds(1))
            try await until { try await node()?.version != version + minute - 1 }
            let stored = try #require(try await node())
            #expect(stored.version == version + minute && stored.state["facts"] == ["load1": .int(sequence)])
        }
        try await beats(6)
        try await until { clock.sleepers == 1 }
        _ = try await hub.write { try $0.remove("node", id) }
        clock.move(.seconds(1))
        // What was known of it is forgotten.
        try await until {
            clock.move(.milliseconds(100))
            return try await agent.take(try body(sequence + 1), hub, at: clock.now()) == nil
        }
        #expect(try await node() == nil)
        writer.cancel()
        await writer.value
        try await store.close()
    }

    func until(_ isSo: () async throws -> Bool) async throws {
        for _ in 0..<3000 where try await !isSo() { try await Task.sleep(for: .milliseconds(10)) }
        try #require(try await isSo())
    }
}
