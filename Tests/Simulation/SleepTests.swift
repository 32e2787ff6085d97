import Model
import TestSupport
import Testing

/// A service that nobody asks for is stopped, and started by the next request, whatever dies meanwhile.
@Suite struct SleepTests {
    private static func live<Result: Sendable>(
        seed: UInt64 = 5,
        _ body: @escaping @Sendable (World, SimulatedMachine, _ service: String) async throws -> Result
    ) async throws -> Result {
        try await Simulation.withService(seed: seed, ["idle_timeout": "1m"]) { world, machine, _, service in
            let result = try await body(world, machine, service)
            #expect(machine.violations == [])
            return result
        }
    }

    private static func applications(_ machine: SimulatedMachine) -> [String] {
        machine.unitIds.filter { $0.hasPrefix("app.") }
    }

    /// Asks every tenth of a second until there is an answer.
    private static func isAnswered(_ machine: SimulatedMachine, _ clock: VirtualTime, within limit: Duration)
        async throws -> Bool
    {
        let end = clock.monotonic() + limit
        while clock.monotonic() < end {
            if machine.ask("web") { return true }
            try await clock.sleep(for: .milliseconds(100))
        }
        return false
    }

    @Test func `it sleeps when nobody asks, and the next request is answered`() async throws {
        try await Self.live { world, machine, service in
            #expect(Self.applications(machine).count == 1)
            for _ in 0..<12 {
                #expect(machine.ask("web"), "it is asked for, and so it runs")
                try await world.clock.sleep(for: .seconds(15))
            }
            try await world.clock.sleep(for: .seconds(90))
            #expect(Self.applications(machine) == [])
            #expect(machine.table.upstreams.map(\.mode) == [.wake])
            #expect(!machine.ask("web"), "the first request waits")
            #expect(try await Self.isAnswered(machine, world.clock, within: .seconds(20)))
            #expect(Self.applications(machine).count == 1)
            #expect(try await world.show("service", service)["status"] == "active")
        }
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func `the death of the agent, and a hub that is away, change nothing of that`(seed: UInt64) async throws {
        try await Self.live(seed: seed) { world, machine, _ in
            try await world.clock.sleep(for: .seconds(30 + Int(seed) * 11))
            world.killAgent(machine)
            world.setCable(machine, isIn: false)
            try await world.clock.sleep(for: .seconds(150))
            #expect(Self.applications(machine) == [])
            world.killAgent(machine)
            #expect(!machine.ask("web"))
            #expect(try await Self.isAnswered(machine, world.clock, within: .seconds(30)))
            world.killAgent(machine)
            world.setCable(machine, isIn: true)
            try await world.clock.sleep(for: .seconds(10))
            #expect(machine.ask("web"), "an agent's death does not put it to sleep")
        }
    }

    @Test func `a deployment wakes it, and what it brings serves`() async throws {
        try await Self.live { world, machine, service in
            try await world.clock.sleep(for: .seconds(120))
            #expect(Self.applications(machine) == [])
            world.source.push(Simulation.url, commit: String(repeating: "b", count: 40), SimulatedApplication())
            try await world.deploy(service)
            try await world.clock.sleep(for: .seconds(20))
            #expect(try await world.show("service", service)["commit"]?.stringValue?.hasPrefix("bbb") == true)
            #expect(machine.ask("web"))
        }
    }
}
