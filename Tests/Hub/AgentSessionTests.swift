import AgentProtocol
import Catalog
import Crypto
import Host
import HubCore
import HubStore
import LinuxHost
import Model
import NIOHTTP1
import ResourceKit
import Testing

/// Requests that are proven by a session's key, and everybody else's attempts at it.
@Suite struct AgentSessionTests {
    private let fixture: HubFixture
    private let hubKey: String
    private let agent = SigningAgent()
    private let other = SigningAgent()

    init() async throws {
        fixture = try HubFixture(kinds: Catalog.kinds)
        hubKey = try await fixture.hub.ensureSigningKey()
        try await agent.join(fixture.store, name: "web-1")
        try await other.join(fixture.store, name: "web-2")
    }

    /// What became of a request: `passed`, or the code and why it was refused.
    private func send(_ proof: RequestSignature, to hub: Hub? = nil, body: [UInt8] = []) async throws -> String {
        try await Self.outcome(of: proof, hub ?? fixture.hub, body)
    }

    private static func outcome(of proof: RequestSignature, _ hub: Hub, _ body: [UInt8]) async throws -> String {
        do {
            let key = try await hub.nodeKey(proof.nodeId)
            let id = try await hub.authenticateAgent(proof, with: key, method: "GET", path: "/x", body: body)
            #expect(id == proof.nodeId)
            return "passed"
        } catch let problem as Problem {
            return problem.code == .sessionRefused ? "session refused" : problem.message
        }
    }

    private func open(_ agent: SigningAgent) async throws -> AgentSession {
        try await agent.open(fixture.hub, hubKey: hubKey)
    }

    private func proof(
        _ session: AgentSession, _ number: UInt64, of nodeId: String? = nil, at time: Timestamp? = nil,
        key: SymmetricKey? = nil
    ) -> RequestSignature {
        RequestSignature.authenticate(
            method: "GET", path: "/x", body: [], nodeId: nodeId ?? agent.nodeId, time: time ?? fixture.clock.now(),
            nonce: SessionNonce(session: session.id, number: number), key: key ?? session.key)
    }

    @Test func `each number passes once, in any order that is not far off`() async throws {
        let session = try await open(agent)
        var taken: Set<UInt64> = []
        var highest: UInt64 = 0
        // By ones, in jumps over one word and over all of the window, and back.
        let numbers: [UInt64] =
            [1, 2, 2, 5, 4, 5, 3, 70, 69, 6, 6, 1, 261, 6, 5, 69, 70, 261, 262, 6, 7, 300, 290, 290, 2000, 300]
            + [1999, 1745, 1744, 1745, 2064, 2000, 1999, 1936, 1937, 1936, 1 << 40, 2064, (1 << 40) - 255]
            + [(1 << 40) - 255, (1 << 40) - 256, .max, .max, .max - 1, 1 << 40, 0]
        for number in numbers {
            let expected =
                number == 0 || (highest > number && highest - number >= 256)
                ? "session refused" : taken.contains(number) ? "This signed request was received before." : "passed"
            #expect(try await send(proof(session, number)) == expected, "\(number) after \(highest)")
            taken.insert(number)
            highest = max(highest, number)
        }
    }

    @Test func `of equal requests at once one passes`() async throws {
        let session = try await open(agent)
        let proofs = (1...50).map { proof(session, $0) }
        let hub = fixture.hub
        let outcomes = try await withThrowingTaskGroup(of: String.self) { group in
            for proof in proofs + proofs + proofs { group.addTask { try await Self.outcome(of: proof, hub, []) } }
            return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        #expect(outcomes == ["passed": 50, "This signed request was received before.": 100])
    }

    @Test func `nobody passes with less than the key, the server, the time and the request`() async throws {
        let session = try await open(agent)
        let foreign = try await open(other)
        let now = fixture.clock.now()
        #expect(try await send(proof(foreign, 1)) == "session refused")
        #expect(try await send(proof(session, 1, of: other.nodeId)) == "session refused")
        #expect(try await send(proof(session, 1, key: foreign.key)) == "session refused")
        #expect(try await send(proof(session, 1, key: SymmetricKey(size: .bits256))) == "session refused")
        for seconds in [-301, 301] {
            let time = now.advanced(by: .seconds(seconds))
            #expect(try await send(proof(session, 1, at: time)) == "session refused")
        }
        #expect(try await send(proof(session, 1), body: [1]) == "session refused")
        guard case .sessionMAC(let code) = proof(session, 1).proof, let raw = Base64.decode(code) else {
            throw SigningAgent.NoSession()
        }
        for bytes in [[], Array(raw.prefix(1)), Array(raw.prefix(31)), raw + [0], raw.map { $0 ^ 1 }] {
            var forged = proof(session, 1)
            forged.proof = .sessionMAC(Base64.encode(bytes))
            #expect(try await send(forged) == "session refused")
        }
        for nonce in [
            "", SessionNonce(session: session.id, number: 2).text, proof(session, 1).nonce.uppercased() + "0",
        ] {
            var forged = proof(session, 1)
            forged.nonce = nonce
            #expect(try await send(forged) == "session refused")
        }
        for timeMs in [Int64.min, .max, 0] {
            for proven in [RequestSignature.Proof.sessionMAC(code), .signature(code)] {
                var forged = proof(session, 1)
                forged.timeMs = timeMs
                forged.proof = proven
                #expect(try await send(forged) != "passed")
            }
        }
        var swapped = proof(session, 1)
        swapped.proof = .signature(code)
        #expect(try await send(swapped) == Hub.refusedAgent.message)
        // None of it used the number up.
        #expect(try await send(proof(session, 1)) == "passed")
    }

    @Test func `a session is known to one hub, for an hour, and beside the one after it`() async throws {
        let first = try await open(agent)
        let elsewhere = HubFixture.hub(fixture.store, Catalog.kinds, fixture.clock)
        #expect(try await send(proof(first, 1), to: elsewhere) == "session refused")
        let second = try await open(agent)
        #expect(try await send(proof(first, 1)) == "passed")
        #expect(try await send(proof(second, 1)) == "passed")
        let third = try await open(agent)
        #expect(try await send(proof(first, 2)) == "session refused")
        #expect(try await send(proof(second, 2)) == "passed")
        fixture.clock.move(.seconds(3599))
        #expect(try await send(proof(third, 1)) == "passed")
        fixture.clock.move(.seconds(1))
        #expect(try await send(proof(third, 2)) == "session refused")
    }

    @Test func `a session ends with its server, also when another hub removes it`() async throws {
        let session = try await open(agent)
        #expect(try await send(proof(session, 1)) == "passed")
        let id = agent.nodeId
        let elsewhere = HubFixture.hub(fixture.store, Catalog.kinds, fixture.clock)
        let node = try await fixture.store.read { try $0.get("node", id) }
        _ = try await elsewhere.write { try $0.remove("node", id) }
        #expect(try await send(proof(session, 2)) == Hub.refusedAgent.message)
        // It does not come back with a server of the same id.
        _ = try await elsewhere.write { try $0.put(try #require(node)) }
        #expect(try await send(proof(session, 3)) == "session refused")
    }

    @Test func `only the pinned hub's answer to this question makes a session`() async throws {
        await #expect(throws: SigningAgent.NoSession.self) {
            _ = try await agent.open(fixture.hub, hubKey: agent.publicKey)
        }
        let foreign = agent.publicKey
        let alterations: [(inout SessionResponse) -> Void] = [
            { $0.publicKey = foreign }, { $0.lifetimeMs += 1 }, { $0.sessionId = "0123456789abcdef" },
            { $0.signature = "" },
        ]
        for alter in alterations {
            await #expect(throws: SigningAgent.NoSession.self) {
                _ = try await agent.open(fixture.hub, hubKey: hubKey, alter: alter)
            }
        }
        // Keys with which everybody knows the outcome (RFC 7748 section 6.1), and no keys at all.
        for raw in [[UInt8](repeating: 0, count: 32), [1] + [UInt8](repeating: 0, count: 31), [1, 2, 3], []] {
            let request = SessionRequest(publicKey: Base64.encode(raw))
            let refused = try await problem { _ = try await fixture.hub.openSession(request, nodeId: agent.nodeId) }
            #expect(refused.code == .invalid)
        }
    }

    @Test func `over HTTP a session is opened with a signature, and with no other session`() async throws {
        try await ServerFixture.run { server in
            let agent = try await JoinedAgent(server, stack: try await server.make("stacks", ["name": "a"]))
            let own = Curve25519.KeyAgreement.PrivateKey()
            let agentKey = Base64.encode(Array(own.publicKey.rawRepresentation))
            let body = try WireCoding.encode(SessionRequest(publicKey: agentKey)).canonicalBytes
            let answer = try await agent.send(.POST, "agent/sessions", body)
            try #require(answer.status == 201, "\(answer.text)")
            let response = try WireCoding.decode(SessionResponse.self, from: try answer.json)
            let session = try AgentSession(
                id: response.sessionId, own: own, agentKey: agentKey, hubKey: response.publicKey,
                nodeId: agent.nodeId)
            func status(_ method: String, _ path: String, _ number: UInt64, body: [UInt8]) async throws -> JSONValue {
                let proof = RequestSignature.authenticate(
                    method: method, path: "/api/v1/\(path)", body: body, nodeId: agent.nodeId,
                    time: LiveClock().now(), nonce: SessionNonce(session: session.id, number: number),
                    key: session.key)
                let answer = try await server.send(
                    method == "GET" ? .GET : .POST, path, raw: method == "GET" ? nil : body,
                    headers: .init(proof.headers.map { ($0.name, $0.value) }), anonymous: true)
                return answer.status < 400 ? .int(Int64(answer.status)) : try answer.json["code"] ?? .null
            }
            #expect(try await status("GET", "agent/desired-state", 1, body: []) == 200)
            #expect(try await status("GET", "agent/desired-state", 1, body: []) == "unauthenticated")
            #expect(try await status("POST", "agent/sessions", 2, body: body) == "session_refused")
            #expect(try await server.send(.POST, "agent/sessions", try JSONParser.parse(body)).status == 401)
            // A heartbeat, the ordinary way and then the short one.
            for number in [3, 4] as [UInt64] {
                let beat = Heartbeat(
                    sequence: Int64(number), agentVersion: "1", protocolVersion: protocolVersion, generation: 0,
                    hash: "", converged: true, services: [], machine: [:], eventsPending: 0)
                let bytes = try WireCoding.encode(beat).canonicalBytes
                #expect(try await status("POST", "agent/heartbeat", number, body: bytes) == 204)
                #expect(try await status("POST", "agent/heartbeat", number, body: bytes) == "unauthenticated")
            }
            #expect(try await server.send(.DELETE, "nodes/\(agent.nodeId)").status == 202)
            #expect(try await status("GET", "agent/desired-state", 5, body: []) == "unauthenticated")
        }
    }
}
