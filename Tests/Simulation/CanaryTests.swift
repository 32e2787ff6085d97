import HubCore
import HubStore
import Model
import ResourceKit
import TestSupport
import Testing

/// A canary on simulated servers with the real hub: its share, its promotion and its end.
@Suite struct CanaryTests {
    private static func live<Result: Sendable>(
        _ body: @escaping @Sendable (World, SimulatedMachine, _ service: String) async throws -> Result
    ) async throws -> Result {
        try await Simulation.withService(seed: 11, ["instances": 2]) { world, machine, _, service in
            let result = try await body(world, machine, service)
            #expect(machine.violations == [])
            return result
        }
    }

    private static func start(
        _ world: World, _ service: String, _ digit: String, _ application: SimulatedApplication = .init()
    ) async throws -> String {
        world.source.push(Simulation.url, commit: String(repeating: digit, count: 40), application)
        let id = try await world.withHub { hub in
            try await hub.create(
                hub.kind("canary")!, parentId: service, body: ["git_ref": "next", "percent": 20],
                options: MutationOptions(), as: .local
            ).body["id"]!.stringValue!
        }
        try await world.clock.sleep(for: .seconds(20))
        return id
    }

    private static func act(_ world: World, _ name: String, _ id: String) async throws {
        try await world.withHub { hub in
            let kind = hub.kind("canary")!
            if name == "delete" {
                _ = try await hub.delete(kind, id: id, as: .local)
            } else {
                let action = kind.actions.first { $0.name == name }!
                _ = try await hub.perform(action, on: kind, id: id, as: .local)
            }
        }
        try await world.clock.sleep(for: .seconds(30))
    }

    /// Weights by group of the service's endpoints.
    private static func weights(_ machine: SimulatedMachine) -> [String: Int] {
        let upstream = machine.table.upstreams.first { $0.name == "web" }
        return (upstream?.endpoints ?? []).reduce(into: [:]) { sums, endpoint in
            sums[endpoint.group ?? "own", default: 0] += endpoint.weight ?? 1
        }
    }

    @Test func `it gets its share and no route, and its end takes both`() async throws {
        try await Self.live { world, machine, service in
            let routes = machine.table.routes
            let canary = try await Self.start(world, service, "b")
            #expect(try await world.show("canary", canary)["status"] == "active")
            let weights = Self.weights(machine)
            #expect(weights["canary"]! * 4 == weights["own"]!)
            #expect(machine.table.routes == routes)
            try await Self.act(world, "delete", canary)
            #expect(Self.weights(machine) == ["own": 2])
            #expect(machine.table.upstreams.map(\.name) == ["web"])
            #expect(machine.unitIds.filter { $0.hasPrefix("app.") }.count == 2)
        }
    }

    @Test func `promoted, the service runs its commit, and it is gone`() async throws {
        try await Self.live { world, machine, service in
            let canary = try await Self.start(world, service, "b")
            try await Self.act(world, "promote", canary)
            let shown = try await world.show("service", service)
            #expect(shown["commit"]?.stringValue?.hasPrefix("bbb") == true && shown["status"] == "active")
            #expect(machine.table.upstreams.map(\.name) == ["web"])
            #expect(Self.weights(machine) == ["own": 2])
            let left = try await world.withHub { try await $0.list($0.kind("canary")!, .init(), as: .local).items }
            #expect(left.isEmpty)
        }
    }

    @Test func `one that does not become healthy gets nothing and cannot be promoted`() async throws {
        try await Self.live { world, machine, service in
            let canary = try await Self.start(world, service, "c", SimulatedApplication(startTime: nil))
            #expect(Self.weights(machine) == ["own": 2])
            #expect(try await world.show("canary", canary)["status"] == "failed")
            await #expect(throws: Problem.self) { try await Self.act(world, "promote", canary) }
            try await Self.act(world, "delete", canary)
            #expect(machine.table.upstreams.map(\.name) == ["web"])
        }
    }
}
