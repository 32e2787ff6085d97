import Host
import HubCore
import HubStore
import Model
import ResourceKit
import Synchronization

/// A stack on many servers under changes, bad weather and crashes; then calm; then everything must be as declared.
public struct FleetScenario: Sendable {
    /// Servers; nil: fifty for every twentieth seed, two to nine for the others.
    public var nodes: Int?
    public var services: Int
    /// What happens before the calm; nil: three things to fifty servers or more, six to fewer.
    public var changes: Int?

    public init(nodes: Int? = nil, services: Int = 2, changes: Int? = nil) {
        self.nodes = nodes
        self.services = services
        self.changes = changes
    }

    /// What a run found.
    public struct Outcome: Sendable {
        /// Empty when all is well.
        public var violations: [String] = []
        public var exchanges = 0
        public var hubDeaths = 0
        public var agentDeaths = 0
        /// Equal for equal runs.
        public var trace: UInt64 = 0
    }

    /// What should be true of a service in the end.
    private struct Expectation: Sendable {
        var id: String
        var name: String
        var url: String
        /// Newest commit that can work; nil when none could.
        var goodCommit: String?
        var isLatestGood = true
        var pushes = 0
    }

    /// How many servers a seed has.
    public func nodeCount(seed: UInt64) -> Int { nodes ?? (seed % 20 == 0 ? 50 : 2 + Int(seed % 8)) }

    /// Runs the whole life of a world.
    public func run(seed: UInt64) async -> Outcome {
        let random = SeededRandom(seed)
        let clock = VirtualTime(random: random.fork())
        do {
            return try await clock.run { try await live(seed: seed, random: random, clock: clock) }
        } catch {
            return Outcome(violations: ["the run ended with \(error)"])
        }
    }

    private func live(seed: UInt64, random: SeededRandom, clock: VirtualTime) async throws -> Outcome {
        let world = try World(clock: clock, random: random)
        try await world.startHub()
        let stack = try await world.createStack("default")
        world.network.setWeather(
            .init(
                latencyMax: .milliseconds(10 + random.below(300)), lossProbability: random.unit() * 0.2,
                repeatProbability: random.unit() * 0.2))
        for _ in 0..<nodeCount(seed: seed) { world.startAgent(try await world.addMachine(stackId: stack)) }
        var expectations: [Expectation] = []
        for number in 0..<services {
            expectations.append(try await addService(number, stack, world, random))
        }
        for _ in 0..<(changes ?? (world.machines.count < 50 ? 6 : 3)) {
            try await clock.sleep(for: .milliseconds(random.below(8000)))
            try await change(&expectations, stack, world, random)
        }
        return try await calmDown(expectations, stack, world, isLong: seed % 25 == 0)
    }

    private func addService(
        _ number: Int, _ stack: String, _ world: World, _ random: SeededRandom
    ) async throws -> Expectation {
        let url = "https://git.example.org/s\(number).git"
        var expectation = Expectation(id: "", name: "s\(number)", url: url)
        push(&expectation, world, random, isGood: true)
        var more: [String: JSONValue] = [:]
        if random.chance(0.6) { more["build_command"] = "make" }
        if random.chance(0.15) {
            more["kind"] = "static"
            more["run_command"] = .null
        } else if random.chance(0.2) {
            more["port"] = .int(Int64(9000 + number))
        }
        expectation.id = try await world.createService("s\(number)", stackId: stack, url: url, more)
        return expectation
    }

    private func push(_ expectation: inout Expectation, _ world: World, _ random: SeededRandom, isGood: Bool) {
        expectation.pushes += 1
        let commit = random.hex(20)
        var application = SimulatedApplication(
            buildTime: .milliseconds(100 + random.below(3000)), startTime: .milliseconds(10 + random.below(1500)))
        if !isGood {
            switch random.below(2) {
            case 0: application.startTime = nil
            default: application.endsAfter = .milliseconds(100 + random.below(500))
            }
        }
        world.source.push(expectation.url, commit: commit, application)
        expectation.isLatestGood = isGood
        if isGood { expectation.goodCommit = commit }
    }

    private func change(
        _ expectations: inout [Expectation], _ stack: String, _ world: World, _ random: SeededRandom
    ) async throws {
        let index = random.below(expectations.count)
        let machine = world.machines[random.below(world.machines.count)]
        switch random.below(10) {
        case 0, 1, 2:
            push(&expectations[index], world, random, isGood: true)
            try await world.deploy(expectations[index].id)
        case 3:
            try await world.updateService(
                expectations[index].id, ["env": ["VALUE": .string(random.hex(4))]])
        case 4: world.killHub()
        case 5:
            for _ in 0..<(1 + random.below(10)) { world.killAgent(world.machines[random.below(world.machines.count)]) }
        case 6: world.network.cut(machine.name)
        case 7: world.network.heal(machine.name)
        case 8:
            guard expectations.count > 1 else { return }
            try await world.deleteService(expectations[index].id)
            expectations.remove(at: index)
        default: world.killAgent(machine)
        }
    }

    private func calmDown(
        _ expectations: [Expectation], _ stack: String, _ world: World, isLong: Bool
    ) async throws -> Outcome {
        world.network.setWeather(.init())
        for machine in world.machines { world.network.heal(machine.name) }
        try await settle(expectations, world, isLong: isLong)
        var outcome = Outcome(
            violations: world.machines.flatMap(\.violations), exchanges: world.exchanges, hubDeaths: world.hubDeaths,
            agentDeaths: world.agentDeaths, trace: world.trace)
        if world.network.replaysAccepted > 0 { outcome.violations.append("a replayed request was accepted") }
        if world.network.forgeriesAccepted > 0 { outcome.violations.append("an altered request was accepted") }
        outcome.violations += try await deviations(expectations, world)
        await world.shutDown()
        return outcome
    }

    /// Waits until all is as declared, and as long again, so that what does not last is found; 100 s at most. A long
    /// calm takes all of them, for what comes late.
    private func settle(_ expectations: [Expectation], _ world: World, isLong: Bool) async throws {
        let limit = 100
        guard !isLong else { return try await world.clock.sleep(for: .seconds(limit)) }
        for waited in stride(from: 5, through: limit, by: 5) {
            try await world.clock.sleep(for: .seconds(5))
            guard try await deviations(expectations, world).isEmpty else { continue }
            return try await world.clock.sleep(for: .seconds(min(waited, limit - waited)))
        }
    }

    private func deviations(_ expectations: [Expectation], _ world: World) async throws -> [String] {
        var found: [String] = []
        for expectation in expectations { found += try await check(expectation, world) }
        let names = Set(expectations.map(\.name))
        for machine in world.machines { found += check(machine, names) }
        return try await found + checkEvents(world)
    }

    private func check(_ expectation: Expectation, _ world: World) async throws -> [String] {
        let service = try await world.show("service", expectation.id)
        var found: [String] = []
        if service["status"] != "active" {
            found.append("\(expectation.name) is \(service["status"]!), not active: \(service["status_message"]!)")
            found += try await world.deployments(of: expectation.id).map { "  \($0.canonicalText)" }
        }
        if service["commit"]?.stringValue != expectation.goodCommit {
            found.append(
                "\(expectation.name) has commit \(service["commit"]!), not \(expectation.goodCommit ?? "none")")
        }
        for machine in world.machines {
            let upstream = machine.table.upstreams.first { $0.id == expectation.id }
            if upstream?.mode != .serve { found.append("\(machine.name) does not serve \(expectation.name)") }
            for endpoint in upstream?.endpoints ?? []
            where machine.commit(atPort: endpoint.port) != expectation.goodCommit {
                found.append("\(machine.name) serves another commit of \(expectation.name)")
            }
        }
        return found
    }

    /// Nothing runs that is not wanted, and nothing runs twice.
    private func check(_ machine: SimulatedMachine, _ names: Set<String>) -> [String] {
        var found: [String] = []
        var seen: Set<String> = []
        for unit in machine.unitIds where unit != "edge" && !unit.hasPrefix("edge.") {
            let parts = unit.split(separator: ".")
            if parts[0] != "app" { found.append("\(machine.name): \(unit) is still there") }
            if !names.contains(String(parts[1])) { found.append("\(machine.name): \(unit) should be gone") }
            if !seen.insert(String(parts[1])).inserted { found.append("\(machine.name): \(parts[1]) runs twice") }
        }
        return found
    }

    /// Each server's events are there once, none is missing, and none waits.
    private func checkEvents(_ world: World) async throws -> [String] {
        try await world.withHub { hub in
            try await hub.read { transaction in
                var found: [String] = []
                for (node, last) in try transaction.cells("event_receipt") {
                    let events = try transaction.events(.init(nodeId: node, limit: 100_000))
                    let own = events.filter { $0.serviceId != nil || $0.kind == "security" }
                    guard Int64(own.count) != last.intValue ?? 0 else { continue }
                    found.append("\(node) reported \(last) events, and \(own.count) arrived")
                }
                return found
            }
        }
    }
}

extension SimulatedMachine {
    /// Commit of the application that listens on a port.
    func commit(atPort port: Int) -> String? {
        state.withLock { state in
            state.units.values.first { $0.spec.environment["PORT"] == String(port) && $0.spec.id.hasPrefix("app.") }
                .flatMap { disk.text("\($0.spec.workingDirectory)/COMMIT") }
        }
    }
}
