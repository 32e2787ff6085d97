import Model
import TestSupport

/// What a test in virtual time begins with.
enum Simulation {
    /// The repository of the service that is there.
    static let url = "https://git.example.org/app.git"

    /// Runs a body in a world of its own, in which a hub runs.
    static func withHub<Result: Sendable>(
        seed: UInt64, _ body: @escaping @Sendable (World) async throws -> Result
    ) async throws -> Result {
        let random = SeededRandom(seed)
        let clock = VirtualTime(random: random.fork())
        return try await clock.run {
            let world = try World(clock: clock, random: random)
            try await world.startHub()
            let result = try await body(world)
            await world.shutDown()
            return result
        }
    }

    /// The same with one server, whose agent was just started.
    static func withServer<Result: Sendable>(
        seed: UInt64,
        _ body: @escaping @Sendable (World, SimulatedMachine, _ stack: String) async throws -> Result
    ) async throws -> Result {
        try await withHub(seed: seed) { world in
            let stack = try await world.createStack("default")
            let machine = try await world.addMachine(stackId: stack)
            world.startAgent(machine)
            return try await body(world, machine, stack)
        }
    }

    /// The same with a service that serves.
    static func withService<Result: Sendable>(
        seed: UInt64, _ fields: [String: JSONValue] = ["build_command": "make"],
        _ body: @escaping @Sendable (World, SimulatedMachine, _ stack: String, _ service: String) async throws -> Result
    ) async throws -> Result {
        try await withServer(seed: seed) { world, machine, stack in
            world.source.push(url, commit: String(repeating: "a", count: 40), SimulatedApplication())
            let service = try await world.createService("web", stackId: stack, url: url, fields)
            try await world.clock.sleep(for: .seconds(20))
            return try await body(world, machine, stack, service)
        }
    }
}
