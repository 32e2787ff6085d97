import Host
import Model
import TestSupport
import Testing

/// Cuts the power at every effect of a deploy, on either side, and compares the end with that of an undisturbed run.
@Suite struct CrashWalkTests {
    /// What must be the same however often agent or hub died on the way.
    struct EndState: Equatable, Sendable {
        var units: [String]
        var files: [String]
        var accounts: [String]
        var endpointCounts: [String: Int]
        var violations: [String]
        var statuses: [String]
    }

    enum Cut: Sendable, Equatable {
        case nothing
        case agent(Int, CuttingGate.Moment)
        case hub(Int, CuttingGate.Moment)
    }

    /// The life that is walked: build and start, a second release, a fixed port, a failed build, a removal.
    private static func live(_ cut: Cut) throws -> (end: EndState, effects: [EffectLabel], writes: Int) {
        let random = SeededRandom(7)
        let clock = VirtualTime(random: random.fork())
        return try clock.run {
            let world = try World(clock: clock, random: random)
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
            let url = "https://git.example.org/app.git"
            func push(_ digit: String, _ application: SimulatedApplication = .init()) {
                world.source.push(url, commit: String(repeating: digit, count: 40), application)
            }
            push("a")
            let web = try await world.createService("web", stackId: stack, url: url, ["build_command": "make"])
            let fixed = try await world.createService("fixed", stackId: stack, url: url, ["port": 9000])
            let gone = try await world.createService("gone", stackId: stack, url: url)
            try await clock.sleep(for: .seconds(30))
            push("b")
            try await world.deploy(web)
            try await world.deploy(fixed)
            try await world.deleteService(gone)
            try await clock.sleep(for: .seconds(30))
            push("c", SimulatedApplication(buildExitCode: 2))
            try await world.deploy(web)
            try await clock.sleep(for: .seconds(60))
            var statuses: [String] = []
            for id in [web, fixed] {
                let service = try await world.show("service", id)
                let message = service["status_message"]?.stringValue?.prefix(30) ?? ""
                statuses.append("\(service["status"]!) \(service["commit"]!) \(message)")
            }
            let effects = world.effects(machine)
            let writes = world.hubWrites
            let end = EndState(
                units: machine.unitIds, files: machine.files, accounts: machine.accounts,
                endpointCounts: Dictionary(
                    uniqueKeysWithValues: machine.table.upstreams.map { ($0.name, $0.endpoints.count) }),
                violations: machine.violations, statuses: statuses)
            await world.shutDown()
            return (end, effects, writes)
        }
    }

    @Test func `an undisturbed life ends as declared`() throws {
        let (end, effects, _) = try Self.live(.nothing)
        #expect(end.violations == [])
        #expect(end.units.filter { $0.hasPrefix("app.web.") }.count == 1)
        #expect(end.units.filter { $0.hasPrefix("app.fixed.") }.count == 1)
        #expect(end.units.count == 3)
        #expect(end.endpointCounts == ["web": 1, "fixed": 1])
        #expect(Set(effects.map(\.text)).isSuperset(of: ["git.fetch", "build.start", "unit.start", "edge.apply", "unit.stop"]))
    }

    @Test func `an agent killed at any effect ends in the same state`() throws {
        let (expected, effects, _) = try Self.live(.nothing)
        for number in effects.indices {
            for moment in [CuttingGate.Moment.before, .after] {
                let (end, _, _) = try Self.live(.agent(number, moment))
                #expect(end == expected, "killed \(moment) effect \(number), \(effects[number])")
            }
        }
        print("agent: \(effects.count) effects, killed before and after each")
    }

    @Test func `a hub killed at any write ends in the same state`() throws {
        let (expected, _, writes) = try Self.live(.nothing)
        for number in 0..<writes {
            for moment in [CuttingGate.Moment.before, .after] {
                let (end, _, _) = try Self.live(.hub(number, moment))
                #expect(end == expected, "killed \(moment) write \(number)")
            }
        }
        print("hub: \(writes) writes, killed before and after each")
    }
}
