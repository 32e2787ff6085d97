import Model
import Node
import TestSupport
import Testing

/// A look at what an agent has to do, beside it or after its death; changing anything would throw.
@Suite struct AgentPlanTests {
    private static func live<Result: Sendable>(
        _ body: @escaping @Sendable (World, SimulatedMachine, _ service: String) async throws -> Result
    ) async throws -> Result {
        try await Simulation.withService(seed: 13) { world, machine, stack, service in
            try await world.updateStack(stack, ["security_mode": "daemon-port"])
            try await world.clock.sleep(for: .seconds(10))
            return try await body(world, machine, service)
        }
    }

    private static func steps(_ plan: AgentPlan) -> [String] {
        plan.parts.flatMap { part in part.steps.map { "\(part.name): \($0)" } }
    }

    @Test func `a server that is as declared has nothing to do`() async throws {
        let plan = try await Self.live { world, machine, _ in try await world.plan(machine) }
        #expect(Self.steps(plan) == [])
        #expect(plan.server == "node-1" && plan.stack == "default" && plan.generation > 0)
    }

    @Test func `what vanished is to be put back`() async throws {
        let (unit, plan) = try await Self.live { world, machine, _ in
            let unit = try #require(machine.unitIds.first { $0.hasPrefix("app.") })
            await world.stopAgent(machine)
            machine.drift()
            return (unit, try await world.plan(machine))
        }
        let steps = Self.steps(plan)
        #expect(steps.contains("web: start \(unit)"))
        #expect(steps.contains { $0.hasPrefix("edge: ") })
        #expect(steps.contains("firewall: put the rules back: they were changed"))
    }

    @Test func `a deployment under way shows the steps that are left`() async throws {
        let plan = try await Self.live { world, machine, service in
            let slow = SimulatedApplication(buildTime: .seconds(60))
            world.source.push(Simulation.url, commit: String(repeating: "b", count: 40), slow)
            try await world.deploy(service)
            try await world.clock.sleep(for: .seconds(10))
            return try await world.plan(machine)
        }
        let steps = Self.steps(plan)
        #expect(steps.first == "web: fetch bbbbbbbbbbbb")
        #expect(steps.contains { $0.hasPrefix("web: build release bbbbbbbb-") })
        #expect(steps.contains { $0.hasPrefix("web: switch requests to release bbbbbbbb-") })
    }
}
