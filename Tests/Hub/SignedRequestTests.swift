import AgentProtocol
import Catalog
import Crypto
import Host
import HubCore
import HubStore
import LinuxHost
import Model
import ResourceKit
import Testing

/// Signed requests get through once, whichever of two hubs on one database hears them.
@Suite struct SignedRequestTests {
    private let key = Curve25519.Signing.PrivateKey()
    private let fixture: HubFixture
    private let hubs: [Hub]
    private let nodeId: String

    init() async throws {
        fixture = try HubFixture(kinds: Catalog.kinds)
        hubs = [fixture.hub, HubFixture.hub(fixture.store, Catalog.kinds, fixture.clock)]
        let raw = Base64.encode(Array(key.publicKey.rawRepresentation))
        let node = try await fixture.store.write { transaction in
            try transaction.put(
                ResourceRecord(
                    kind: "node", id: transaction.random.uuid(), status: .active, spec: ["name": "web-1"],
                    state: ["public_key": .string(raw)], createdAt: transaction.now, updatedAt: transaction.now))
        }
        nodeId = node.id
    }

    private func signed() throws -> RequestSignature {
        try RequestSignature.sign(
            method: "GET", path: "/x", body: [], nodeId: nodeId, time: fixture.clock.now(), nonce: LiveRandom().hex(16),
            key: key)
    }

    /// What became of a request: `passed`, or why it was refused.
    private func send(_ signature: RequestSignature, to hub: Hub) async throws -> String {
        do {
            let key = try await hub.nodeKey(signature.nodeId)
            let id = try await hub.authenticateAgent(signature, with: key, method: "GET", path: "/x", body: [])
            #expect(id == nodeId)
            return "passed"
        } catch let problem as Problem where problem.code == .unauthenticated {
            return problem.message
        }
    }

    @Test func `of equal requests at both hubs one passes, and all others do`() async throws {
        let signatures = try (0..<100).map { _ in try signed() }
        var passed: [String: Int] = [:]
        try await withThrowingTaskGroup(of: (String, String).self) { group in
            for signature in signatures {
                for hub in hubs + hubs {
                    group.addTask { (signature.nonce, try await send(signature, to: hub)) }
                }
            }
            for try await (nonce, outcome) in group {
                if outcome == "passed" {
                    passed[nonce, default: 0] += 1
                } else {
                    #expect(outcome == "This signed request was received before.")
                }
            }
        }
        #expect(passed.count == 100)
        #expect(passed.values.allSatisfy { $0 == 1 })
    }

    @Test func `a server that one hub removes is refused by the other at once`() async throws {
        for hub in hubs { #expect(try await send(try signed(), to: hub) == "passed") }
        try await setStatus(.deleting, runId: "run")
        #expect(try await send(try signed(), to: hubs[1]) == "passed")
        try await setStatus(.deleting, runId: nil)
        #expect(try await send(try signed(), to: hubs[1]) == Hub.refusedAgent.message)
        try await setStatus(.active, runId: nil)
        for hub in hubs { #expect(try await send(try signed(), to: hub) == "passed") }
        let id = nodeId
        _ = try await hubs[0].write { try $0.remove("node", id) }
        for hub in hubs { #expect(try await send(try signed(), to: hub) == Hub.refusedAgent.message) }
    }

    private func setStatus(_ status: ResourceStatus, runId: String?) async throws {
        let id = nodeId
        _ = try await hubs[0].write { transaction in
            var node = try #require(try transaction.get("node", id))
            node.status = status
            node.state["run_id"] = runId.map { .string($0) }
            _ = try transaction.put(node)
        }
    }

    @Test func `a nonce is 32 hexadecimal digits`() async throws {
        for nonce in ["", "ab", String(repeating: "x", count: 32), String(repeating: "ab", count: 15) + "\u{e9}"] {
            let signature = try RequestSignature.sign(
                method: "GET", path: "/x", body: [], nodeId: nodeId, time: fixture.clock.now(), nonce: nonce, key: key)
            #expect(try await send(signature, to: hubs[0]) == Hub.refusedAgent.message)
        }
    }
}
