public import Host
import Model

/// A life of a server in which everything happens once: build and start, a second release, a fixed port that changes
/// hands, a failed build, a removal. It is lived again with the power cut at every effect of the agent and every write
/// of the hub, on either side, and must end the same.
public enum CrashWalk {
    /// What must be the same however often agent or hub died on the way.
    public struct EndState: Equatable, Sendable {
        public var units: [String]
        public var files: [String]
        public var accounts: [String]
        public var endpointCounts: [String: Int]
        public var violations: [String]
        public var statuses: [String]
    }

    /// What happens in a life.
    public enum Story: String, Sendable, CaseIterable {
        /// Three services side by side.
        case together
        /// One service after the other: no worker does in passing what another forgot.
        case alone
    }

    /// Where the power is cut.
    public enum Cut: Sendable, Equatable {
        case nothing
        /// Number of the effect, from 0.
        case agent(Int, CuttingGate.Moment)
        /// Number of the write, from 0.
        case hub(Int, CuttingGate.Moment)
    }

    /// How a life went.
    public struct Life: Sendable {
        public var end: EndState
        public var effects: [EffectLabel]
        public var hubWrites: Int
    }

    /// All places where the power can be cut in an undisturbed life.
    public static func cuts(in life: Life) -> [Cut] {
        let moments: [CuttingGate.Moment] = [.before, .after]
        return life.effects.indices.flatMap { number in moments.map { .agent(number, $0) } }
            + (0..<life.hubWrites).flatMap { number in moments.map { .hub(number, $0) } }
    }

    /// - Throws: when the life cannot go on at all.
    public static func live(_ story: Story, _ cut: Cut) async throws -> Life {
        let random = SeededRandom(7)
        let clock = VirtualTime(random: random.fork())
        return try await clock.run { try await live(story, cut, World(clock: clock, random: random)) }
    }

    private static let url = "https://git.example.org/app.git"

    private static func live(_ story: Story, _ cut: Cut, _ world: World) async throws -> Life {
        let (stack, machine) = try await begin(cut, world)
        let statuses =
            switch story {
            case .together: try await together(world, stack)
            case .alone: try await alone(world, stack, machine)
            }
        let life = Life(
            end: endState(machine, statuses), effects: world.effects(machine), hubWrites: world.hubWrites)
        await world.shutDown()
        return life
    }

    /// A hub, a stack and one server with its agent, of which one will be cut off.
    static func begin(_ cut: Cut, _ world: World) async throws -> (stack: String, machine: SimulatedMachine) {
        if case .hub(let number, let moment) = cut {
            try await world.startHub(cutAt: number, moment)
        } else {
            try await world.startHub()
        }
        let stack = try await world.createStack("default")
        let machine = try await world.addMachine(stackId: stack)
        if case .agent(let number, let moment) = cut {
            world.startAgent(machine, cutAt: number, moment)
        } else {
            world.startAgent(machine)
        }
        return (stack, machine)
    }

    private static func together(_ world: World, _ stack: String) async throws -> [String] {
        push("a", world)
        let web = try await world.createService("web", stackId: stack, url: url, ["build_command": "make"])
        let fixed = try await world.createService("fixed", stackId: stack, url: url, ["port": 9000])
        let gone = try await world.createService("gone", stackId: stack, url: url)
        try await world.clock.sleep(for: .seconds(30))
        push("b", world)
        try await world.deploy(web)
        try await world.deploy(fixed)
        try await world.deleteService(gone)
        try await world.clock.sleep(for: .seconds(30))
        push("c", world, SimulatedApplication(buildExitCode: 2))
        try await world.deploy(web)
        try await world.clock.sleep(for: .seconds(60))
        var statuses: [String] = []
        for id in [web, fixed] {
            let service = try await world.show("service", id)
            let message = service["status_message"]?.stringValue?.prefix(30) ?? ""
            let words = [service["status"], service["commit"]].map { $0?.stringValue ?? "none" }
            statuses.append("\(words.joined(separator: " ")) \(message)")
        }
        return statuses
    }

    private static func alone(_ world: World, _ stack: String, _ machine: SimulatedMachine) async throws -> [String] {
        for fields: [String: JSONValue] in [[:], ["port": 9000], ["idle_timeout": "20s"]] {
            push("a", world)
            let id = try await world.createService("web", stackId: stack, url: url, fields)
            try await world.clock.sleep(for: .seconds(25))
            push("b", world)
            try await world.deploy(id)
            try await world.clock.sleep(for: .seconds(50))
            _ = machine.ask("web")
            try await world.clock.sleep(for: .seconds(10))
            try await world.deleteService(id)
            try await world.clock.sleep(for: .seconds(20))
        }
        return []
    }

    private static func push(_ digit: String, _ world: World, _ application: SimulatedApplication = .init()) {
        world.source.push(url, commit: String(repeating: digit, count: 40), application)
    }

    private static func endState(_ machine: SimulatedMachine, _ statuses: [String]) -> EndState {
        EndState(
            units: machine.unitIds, files: machine.files, accounts: machine.accounts,
            endpointCounts: Dictionary(
                uniqueKeysWithValues: machine.table.upstreams.map { ($0.name, $0.endpoints.count) }),
            violations: machine.violations, statuses: statuses)
    }
}
