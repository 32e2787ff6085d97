import AgentProtocol
import Crypto
import Host
import HubCore
import LinuxHost
import Model
import NIOHTTP1
import TestSupport
import Testing

/// Joining, and requests that are signed with a node's key.
@Suite struct AgentEndpointTests {
    @Test func desiredStateIsSignedAndAnswersTags() async throws {
        try await ServerFixture.run { server in
            let stack = try await server.make("stacks", ["name": "a"])
            let agent = try await JoinedAgent(server, stack: stack)
            let first = try await agent.send(.GET, "agent/desired-state")
            #expect(first.status == 200, "\(first.text)")
            let envelope = try DesiredStateEnvelope(json: try first.json)
            #expect(sha256Hex(envelope.document.canonicalBytes) == envelope.hash)
            let tag: HTTPHeaders = ["If-None-Match": "\"\(envelope.hash)\""]
            #expect(try await agent.send(.GET, "agent/desired-state", extra: tag).status == 304)
            // A long poll ends with the change, long before its time.
            let start = ContinuousClock.now
            async let waiting = agent.send(.GET, "agent/desired-state?wait=30", extra: tag)
            try await Task.sleep(for: .milliseconds(300))
            _ = try await server.send(.PUT, "stacks/\(stack)", ["poll_interval": 33])
            let second = try await waiting
            #expect(second.status == 200 && ContinuousClock.now - start < .seconds(20))
            #expect(try DesiredStateEnvelope(json: try second.json).hash != envelope.hash)
            #expect(try await agent.send(.GET, "agent/desired-state?wait=61").status == 400)
        }
    }

    @Test func refusesEveryWrongSignature() async throws {
        try await ServerFixture.run { server in
            let stack = try await server.make("stacks", ["name": "a"])
            let agent = try await JoinedAgent(server, stack: stack)
            let path = "agent/desired-state"
            func status(_ headers: HTTPHeaders, _ path: String = "agent/desired-state") async throws -> Int {
                try await server.send(.GET, path, headers: headers, anonymous: true).status
            }
            let now = LiveClock().now()
            #expect(try await status([:]) == 401)
            #expect(try await status(try agent.headers("POST", path, [])) == 401)
            #expect(try await status(try agent.headers("GET", "agent/heartbeat", [])) == 401)
            #expect(try await status(try agent.headers("GET", path, []), path + "?wait=1") == 401)
            #expect(try await status(try agent.headers("GET", path, [1])) == 401)
            for seconds in [-400, 400] {
                let headers = try agent.headers("GET", path, [], at: now.advanced(by: .seconds(seconds)))
                #expect(try await status(headers) == 401)
            }
            #expect(try await status(try agent.headers("GET", path, [], at: now.advanced(by: .seconds(-200)))) == 200)
            for (name, value) in [
                (RequestSignature.nodeHeader, "other"),
                (RequestSignature.nonceHeader, String(repeating: "0", count: 32)),
                (RequestSignature.timeHeader, "x"), (RequestSignature.signatureHeader, "AAAA"),
                (RequestSignature.signatureHeader, ""),
            ] {
                var headers = try agent.headers("GET", path, [])
                headers.replaceOrAdd(name: name, value: value)
                #expect(try await status(headers) == 401, "\(name): \(value)")
            }
            // An administrator's key is no signature.
            #expect(try await server.send(.GET, path).status == 401)
        }
    }

    @Test func refusesReplaysAlsoAfterARestart() async throws {
        let folder = TemporaryFolder()
        var headers: HTTPHeaders = [:]
        try await ServerFixture.run(folder: folder) { server in
            let agent = try await JoinedAgent(server, stack: try await server.make("stacks", ["name": "a"]))
            headers = try agent.headers("GET", "agent/desired-state", [])
            #expect(try await server.send(.GET, "agent/desired-state", headers: headers, anonymous: true).status == 200)
            #expect(try await server.send(.GET, "agent/desired-state", headers: headers, anonymous: true).status == 401)
            // Many at once: one gets through.
            let sent = try agent.headers("GET", "agent/desired-state", [])
            let passed = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        try await server.send(.GET, "agent/desired-state", headers: sent, anonymous: true).status
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 == 200 ? 1 : 0 }
            }
            #expect(passed == 1)
        }
        let replayed = headers
        try await ServerFixture.run(folder: folder) { server in
            let answer = try await server.send(.GET, "agent/desired-state", headers: replayed, anonymous: true)
            #expect(answer.status == 401 && answer.text.contains("received before"))
        }
    }

    @Test func takesReportsAndRefusesNonsense() async throws {
        try await ServerFixture.run { server in
            let agent = try await JoinedAgent(server, stack: try await server.make("stacks", ["name": "a"]))
            let beat = Heartbeat(
                sequence: 1, agentVersion: "1", protocolVersion: protocolVersion, generation: 0, hash: "",
                converged: true,
                services: [], machine: [:], eventsPending: 0)
            let bytes = try WireCoding.encode(beat).canonicalBytes
            #expect(try await agent.send(.POST, "agent/heartbeat", bytes).status == 204)
            let event = AgentEvent(sequence: 1, time: LiveClock().now(), kind: "run", message: "started")
            let batch = try WireCoding.encode(EventBatch(events: [event])).canonicalBytes
            for _ in 0..<2 {
                let receipt = try await agent.send(.POST, "agent/events", batch)
                #expect(try receipt.json["acknowledged"] == 1)
            }
            let events = try await server.send(.GET, "nodes/\(agent.nodeId)/events").json["items"]?.arrayValue ?? []
            #expect(events.filter { $0["message"] == "started" }.count == 1)
            for path in ["agent/heartbeat", "agent/events", "agent/logs"] {
                for nonsense in ["", "{", "[]", "null", "{}", "{\"events\":1}", "{\"chunks\":[{\"offset\":-1}]}"] {
                    let answer = try await agent.send(.POST, path, Array(nonsense.utf8))
                    #expect((400..<500).contains(answer.status), "\(path) \(nonsense): \(answer.status)")
                }
            }
            // A removed server's key is void at once.
            #expect(try await server.send(.DELETE, "nodes/\(agent.nodeId)").status == 202)
            #expect(try await agent.send(.GET, "agent/desired-state").status == 401)
        }
    }

    @Test func refusesForgedTokens() async throws {
        try await ServerFixture.run { server in
            let agent = try await JoinedAgent(server, stack: try await server.make("stacks", ["name": "a"]))
            for token in [
                "", "x", "rit_x_y", "rit_\(String(repeating: "0", count: 32))_\(String(repeating: "0", count: 64))",
            ] {
                let answer = try await agent.register(token)
                #expect((400..<404).contains(answer.status), "\(token): \(answer.status)")
            }
            for body: JSONValue in [[:], [], "x", ["token": 1], ["token": "x", "public_key": "!"]] {
                let answer = try await server.send(.POST, "agent/register", body, anonymous: true)
                #expect((400..<404).contains(answer.status))
            }
        }
    }
}
