import Host
import HubCore
import HubStore
import Model
import ResourceKit
import Workflow

/// A server that runs a service is retired, with the power cut at every write of the hub and every effect of the agent
/// from the wish on. It must end the same: nothing runs there, the hub knows it no more, and that was done once.
public enum RetirementWalk {
    /// What must be the same however often agent or hub died on the way.
    public struct EndState: Equatable, Sendable {
        public var units: [String]
        public var violations: [String]
        public var nodes: Int
        public var runs: [String]
        public var removals: Int
    }

    /// How a life went.
    public struct Life: Sendable {
        public var end: EndState
        /// Counted from the wish on.
        public var effects: Range<Int>
        public var hubWrites: Range<Int>
    }

    /// All places where the power can be cut in an undisturbed life.
    public static func cuts(in life: Life) -> [CrashWalk.Cut] {
        let moments: [CuttingGate.Moment] = [.before, .after]
        return life.effects.flatMap { number in moments.map { .agent(number, $0) } }
            + life.hubWrites.flatMap { number in moments.map { .hub(number, $0) } }
    }

    /// - Throws: when the life cannot go on at all.
    public static func live(_ cut: CrashWalk.Cut, seed: UInt64 = 11) async throws -> Life {
        let random = SeededRandom(seed)
        let clock = VirtualTime(random: random.fork())
        return try await clock.run {
            try await live(cut, World(clock: clock, random: random, runsWorkflows: true))
        }
    }

    private static func live(_ cut: CrashWalk.Cut, _ world: World) async throws -> Life {
        let (stack, machine) = try await CrashWalk.begin(cut, world)
        let url = "https://git.example.org/app.git"
        world.source.push(url, commit: String(repeating: "a", count: 40), SimulatedApplication())
        _ = try await world.createService("web", stackId: stack, url: url)
        try await world.clock.sleep(for: .seconds(30))
        let (effects, writes) = (world.effects(machine).count, world.hubWrites)
        try await retire(world)
        try await world.clock.sleep(for: .seconds(90))
        let end = try await endState(machine, world)
        let life = Life(
            end: end, effects: effects..<max(effects, world.effects(machine).count),
            hubWrites: writes..<max(writes, world.hubWrites))
        await world.shutDown()
        return life
    }

    private static func retire(_ world: World) async throws {
        try await world.withHub { hub in
            guard let kind = hub.kind("node"), let action = kind.actions.first(where: { $0.name == "retire" }) else {
                throw Problem(.internalError, "Servers cannot be retired.")
            }
            // Whoever asks twice because the first answer got lost finds it gone, or on its way.
            guard let node = try await hub.list(kind, as: .local).items.first,
                node["status"]?.stringValue != "deleting", let id = node["id"]?.stringValue
            else { return }
            _ = try await hub.perform(action, on: kind, id: id, as: .local)
        }
    }

    private static func endState(_ machine: SimulatedMachine, _ world: World) async throws -> EndState {
        try await world.withHub { hub in
            let nodes = try await hub.read { try $0.all("node", parentId: nil).count }
            let events = try await hub.read { try $0.events(.init(kind: "security", limit: 200)) }
            let runs = try await hub.workflowRuns(RunFilter(), as: .local)
            return EndState(
                units: machine.unitIds, violations: machine.violations, nodes: nodes,
                runs: runs.map { "\($0.workflow) \($0.state.rawValue)" },
                removals: events.count { $0.message.contains("was removed") })
        }
    }
}
