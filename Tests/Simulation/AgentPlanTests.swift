import Model
import Node
import TestSupport
import Testing

/// A look at what an agent has to do, beside it or after its death; changing anything would throw.
@Suite struct AgentPlanTests {
    private static let url = "https://git.example.org/app.git"

    private static func live<Result: Sendable>(
        _ body: @escaping @Sendable (World, SimulatedMachine, _ stack: String, _ service: String) async throws -> Result
    ) throws -> Result {
        let random = SeededRandom(13)
        let clock = VirtualTime(random: random.fork())
        return try clock.run {
            let world = try World(clock: clock, random: random)
            try await world.startHub()
            let stack = try await world.createStack("default")
            let machine = try await world.addMachine(stackId: stack)
            world.startAgent(machine)
            world.source.push(url, commit: String(repeating: "a", count: 40), SimulatedApplication())
            let service = try await world.createService("web", stackId: stack, url: url, ["build_command": "make"])
            try await world.updateStack(stack, ["security_mode": "daemon-port"])
            try await clock.sleep(for: .seconds(30))
            let result = try await body(world, machine, stack, service)
            await world.shutDown()
            return result
        }
    }

    private static func steps(_ plan: AgentPlan) -> [String] {
        plan.parts.flatMap { part in part.steps.map { "\(part.name): \($0)" } }
    }

    @Test func `a server that is as declared has nothing to do`() throws {
        let plan = try Self.live { world, machine, _, _ in try await world.plan(machine) }
        #expect(Self.steps(plan) == [])
        #expect(plan.server == "node-1" && plan.stack == "default" && plan.generation > 0)
    }

    @Test func `what vanished is to be put back`() throws {
        let (unit, plan) = try Self.live { world, machine, _, _ in
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

    @Test func `a deployment under way shows the steps that are left`() throws {
        let plan = try Self.live { world, machine, _, service in
            let slow = SimulatedApplication(buildTime: .seconds(60))
            world.source.push(Self.url, commit: String(repeating: "b", count: 40), slow)
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
