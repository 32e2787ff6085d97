import AgentProtocol
import Catalog
import Host
import HubCore
import HubStore
import Model
import ResourceKit
import Testing

/// When a server counts as silent, with a poll interval of ten seconds.
@Suite struct SilenceTests {
    private let fixture: HubFixture
    private let nodeId: String

    init() async throws {
        fixture = try HubFixture(kinds: Catalog.kinds)
        let stack = try await fixture.make("stack", ["name": "a", "poll_interval": 10])
        let node = try await fixture.store.write { transaction in
            try transaction.put(
                ResourceRecord(
                    kind: "node", id: transaction.random.uuid(), status: .provisioning,
                    spec: ["name": "web-1", "stack_id": .string(stack)], state: ["is_silent": false],
                    createdAt: transaction.now, updatedAt: transaction.now))
        }
        nodeId = node.id
    }

    private var otherHub: Hub { HubFixture.hub(fixture.store, Catalog.kinds, fixture.clock) }

    private func beat(_ sequence: Int64, _ hub: Hub) async throws {
        try await hub.heartbeat(
            Heartbeat(
                sequence: sequence, agentVersion: "1", protocolVersion: protocolVersion, generation: 0, hash: "",
                converged: true, services: [], machine: ["load1": .int(sequence)], eventsPending: 0),
            nodeId: nodeId)
    }

    private func node() async throws -> ResourceRecord {
        let id = nodeId
        return try #require(try await fixture.store.read { try $0.get("node", id) })
    }

    private func isSilent() async throws -> Bool { try await node().state["is_silent"] == true }

    @Test func `silent after three missing heartbeats, and heard of again with the next`() async throws {
        try await beat(1, fixture.hub)
        for seconds in [20, 10] {
            fixture.clock.move(.seconds(seconds))
            try await fixture.hub.markSilentNodes()
            #expect(try await !isSilent())
        }
        fixture.clock.move(.seconds(1))
        try await fixture.hub.markSilentNodes()
        #expect(try await isSilent())
        #expect(try await node().status == .failed)
        try await beat(2, fixture.hub)
        #expect(try await !isSilent())
        #expect(try await node().status == .active)
    }

    @Test func `what says nothing new is written once a minute, and shown at once`() async throws {
        let kind = try fixture.kind("node")
        try await beat(1, fixture.hub)
        let version = try await node().version
        for sequence in 2...6 {
            fixture.clock.move(.seconds(10))
            try await beat(Int64(sequence), fixture.hub)
            try await fixture.hub.markSilentNodes()
        }
        let stored = try await node()
        #expect(stored.version == version)
        let shown = fixture.hub.rendered(stored, kind)
        #expect(shown["facts"] == ["load1": 6])
        #expect(shown["last_heartbeat_at"] == .string(fixture.clock.now().rfc3339))
        fixture.clock.move(.seconds(10))
        try await beat(7, fixture.hub)
        #expect(try await node().version == version + 1)
        #expect(try await node().state["facts"] == ["load1": 7])
        // An older one changes nothing.
        try await beat(3, fixture.hub)
        #expect(try await node().version == version + 1)
    }

    @Test func `a hub that starts waits for what may not be stored yet`() async throws {
        try await beat(1, fixture.hub)
        fixture.clock.move(.seconds(600))
        let started = otherHub
        for seconds in [0, 45, 45] {
            fixture.clock.move(.seconds(seconds))
            try await started.markSilentNodes()
            #expect(try await !isSilent())
        }
        fixture.clock.move(.seconds(1))
        try await started.markSilentNodes()
        #expect(try await isSilent())
    }

    @Test func `a hub leaves alone what another hub hears`() async throws {
        let other = otherHub
        try await beat(1, other)
        for sequence in 2...60 {
            fixture.clock.move(.seconds(10))
            try await beat(Int64(sequence), fixture.hub)
            try await fixture.hub.markSilentNodes()
            try await other.markSilentNodes()
            #expect(try await !isSilent(), "after heartbeat \(sequence)")
        }
        // Once nobody hears it, it is silent for both.
        fixture.clock.move(.seconds(160))
        try await other.markSilentNodes()
        fixture.clock.move(.seconds(91))
        try await other.markSilentNodes()
        #expect(try await isSilent())
    }

    /// Whoever waits for the server must not wait until the hub happens to look again.
    @Test func `a removed server is a change of its stack`() async throws {
        try await beat(1, fixture.hub)
        let stack = try #require(try await node().spec["stack_id"]?.stringValue)
        let node = try await node()
        try await fixture.store.write { transaction in
            var keyed = node
            keyed.state["public_key"] = "x"
            _ = try transaction.put(keyed)
        }
        let changes = fixture.hub.changes.subscribe(to: .changes([HubChange(kind: "stack", id: stack)]))
        _ = try await fixture.hub.delete(try fixture.kind("node"), id: nodeId, as: .local)
        let first = await changes.first { _ in true }
        #expect(first == HubChange(kind: "stack", id: stack))
    }
}
