import AgentProtocol
public import Host
public import Model
import Synchronization

/// A server: what outlives its agent. Units go on running, the disk keeps its content, the edge its table. It also
/// watches over what must never happen, and notes it as a violation.
public final class SimulatedMachine: Sendable {
    struct Unit {
        var spec: UnitSpec
        var startedAt: Duration
        var application: SimulatedApplication?
    }

    struct State {
        var units: [String: Unit] = [:]
        var table = EdgeTable() {
            didSet { tableHash = nil }
        }
        /// Of the table, once somebody has asked for it.
        var tableHash: String?
        var nextPort = 20_000
        var accounts: Set<String> = []
        var names: [String] = []
        var firewall: FirewallRules?
        /// Why the machine cannot have a firewall.
        var firewallFlaw: String?
        var violations: [String] = []
        /// Upstreams that have served; from then on they must always have someone to answer.
        var hasServed: Set<String> = []
        /// When each upstream was asked last, and which are waited for.
        var askedAt: [String: Timestamp] = [:]
        var wakeRequested: Set<String> = []
        var wakeSerial = 0
    }

    public let name: String
    let disk = SimulatedDisk()
    let source: SimulatedSource
    let clock: VirtualTime
    let state = Mutex(State())
    private let random: SeededRandom

    public init(name: String, source: SimulatedSource, clock: VirtualTime, random: SeededRandom) {
        self.name = name
        self.source = source
        self.clock = clock
        self.random = random
    }

    /// The machine as an agent sees it.
    public func host(gate: any EffectGate) -> Host {
        Host(
            files: disk, git: SimulatedGit(source: source, disk: disk, clock: clock),
            archives: SimulatedArchives(disk: disk, clock: clock), supervisor: self, edge: self, accounts: self,
            names: self, firewall: SimulatedFirewall(machine: self), probes: self, facts: self, clock: clock,
            random: random, effects: gate)
    }

    public var violations: [String] { state.withLock { $0.violations } }
    public var table: EdgeTable { state.withLock { $0.table } }
    public var unitIds: [String] { state.withLock { $0.units.keys.sorted() } }
    public var accounts: [String] { state.withLock { $0.accounts.sorted() } }

    /// What of the disk must be the same however often the agent died on the way; contents that hold times, counters
    /// and generated ids are left out by naming files only.
    public var files: [String] { paths(below: "/roost/services") }

    /// Files below a folder.
    public func paths(below folder: String) -> [String] { disk.paths(below: folder) }

    /// An application prints something.
    public func print(_ text: String, unit: String) async throws {
        let folder = state.withLock { $0.units[unit]?.spec.logFolder }
        guard let folder else { return }
        try await disk.append("\(folder)/current.log", Array(text.utf8), mode: 0o644)
    }

    /// From now on the agent's disk takes nothing, or does again.
    public func setDiskFull(_ isFull: Bool) { disk.setFull(isFull) }

    /// Things go wrong behind the agent's back: a unit vanishes, the edge forgets its table.
    public func drift() {
        state.withLock { state in
            state.hasServed = []
            if let unit = state.units.keys.filter({ $0.hasPrefix("app.") }).min() {
                state.units.removeValue(forKey: unit)
            }
            state.table = EdgeTable()
            state.firewall = nil
        }
    }

    /// The rules that are in force.
    public var firewall: FirewallRules? { state.withLock { $0.firewall } }

    /// From now on the machine has no firewall, for this reason.
    public func breakFirewall(_ why: String?) {
        state.withLock { state in
            state.firewallFlaw = why
            if why != nil { state.firewall = nil }
        }
    }

    private func port(_ unit: Unit) -> Int? { unit.spec.environment["PORT"].flatMap { Int($0) } }

    private func isListening(_ unit: Unit, _ now: Duration) -> Bool {
        guard let application = unit.application, let start = application.startTime else { return false }
        return now - unit.startedAt >= start && application.endsAfter == nil
    }

    /// Every endpoint of a serving upstream must be up: called after each change that could break it.
    private func checkServing(_ state: inout State, _ what: String) {
        let now = clock.monotonic()
        for upstream in state.table.upstreams where upstream.mode == .serve && upstream.staticFolder == nil {
            let answers = upstream.endpoints.contains { endpoint in
                state.units.values.contains { port($0) == endpoint.port && isListening($0, now) }
            }
            if answers {
                state.hasServed.insert(upstream.id)
            } else if state.hasServed.contains(upstream.id) {
                state.violations.append("\(name): \(upstream.name) serves nobody after \(what)")
            }
        }
    }
}

extension SimulatedMachine: UnitSupervisor {
    public func list() async throws -> [UnitStatus] {
        let now = clock.monotonic()
        return state.withLock { $0.units.values.map { status($0, now) } }.sorted { $0.id < $1.id }
    }

    private func status(_ unit: Unit, _ now: Duration) -> UnitStatus {
        var status = UnitStatus(id: unit.spec.id, state: .running, pid: 1)
        guard let application = unit.application else { return status }
        let age = now - unit.startedAt
        if unit.spec.restart == .never {
            if age >= application.buildTime {
                status.state = .exited
                status.exitCode = application.buildExitCode
                status.lastError = "exited with code \(application.buildExitCode)"
            }
        } else if let ends = application.endsAfter, age >= ends {
            status.state = age >= ends * 6 ? .crashLoop : .backoff
            status.restarts = Int(age / ends)
            status.lastError = "exited with code 1"
        }
        return status
    }

    public func start(_ spec: UnitSpec) async throws {
        let commit = disk.text("\(spec.workingDirectory)/COMMIT")
        let isSealed = disk.contains("\(spec.workingDirectory).json")
        state.withLock { state in
            guard state.units[spec.id] == nil else { return }
            if spec.id.hasPrefix("app."), !isSealed || commit == nil {
                state.violations.append("\(name): \(spec.id) was started from half a release")
            }
            if let port = spec.environment["PORT"], spec.id.hasPrefix("app."),
                state.units.values.contains(where: { $0.spec.environment["PORT"] == port })
            {
                state.violations.append("\(name): \(spec.id) was started on a port that is taken")
            }
            state.units[spec.id] = Unit(
                spec: spec, startedAt: clock.monotonic(), application: commit.flatMap { source.application($0) })
        }
        if spec.id.hasPrefix("build.") { disk.put("\(spec.logFolder)/current.log", Array("building\n".utf8)) }
    }

    public func stop(_ id: String) async throws {
        guard state.withLock({ $0.units[id] != nil }) else { return }
        try await clock.sleep(for: .milliseconds(30))
        state.withLock { state in
            state.units.removeValue(forKey: id)
            checkServing(&state, "stopping \(id)")
        }
    }
}

extension SimulatedMachine: EdgeControl {
    public func apply(_ table: EdgeTable) async throws {
        state.withLock { state in
            state.table = table
            state.hasServed.formIntersection(table.upstreams.map(\.id))
            state.wakeRequested.formIntersection(table.upstreams.filter { $0.mode == .wake }.map(\.id))
            checkServing(&state, "a new table")
        }
    }

    public func status() async throws -> EdgeStatus {
        let (known, table) = state.withLock { ($0.tableHash, $0.table) }
        let hash = try known ?? sha256Hex(try WireCoding.encode(table).canonicalBytes)
        var status = EdgeStatus(tableHash: hash)
        // The latest generation that runs answers, as it takes the sockets over from those before.
        let units = state.withLock { $0.units.keys.filter { $0 == "edge" || $0.hasPrefix("edge.") } }
        status.generation = units.map { $0 == "edge" ? 1 : Int($0.dropFirst("edge.".count)) ?? 0 }.max()
        state.withLock { state in
            if state.table == table { state.tableHash = hash }
            status.wakeRequested = state.wakeRequested.sorted()
            status.wakeSerial = state.wakeSerial
            status.upstreams = state.askedAt.mapValues { EdgeUpstreamStatus(lastRequestAt: $0) }
        }
        return status
    }

    /// Looks again every tenth of a second of virtual time.
    public func status(afterWake serial: Int, wait: Duration) async throws -> EdgeStatus {
        let end = clock.monotonic() + wait
        while state.withLock({ $0.wakeSerial }) <= serial, clock.monotonic() < end {
            try await clock.sleep(for: .milliseconds(100))
        }
        return try await status()
    }

    public func metrics() async throws -> String { "" }

    /// Somebody asks for a service.
    /// - Returns: whether it was answered; otherwise the request waits, and the agent can hear of it.
    public func ask(_ serviceName: String) -> Bool {
        let now = clock.now()
        return state.withLock { state in
            guard let upstream = state.table.upstreams.first(where: { $0.name == serviceName }) else { return false }
            state.askedAt[upstream.id] = now
            if upstream.mode == .wake, state.wakeRequested.insert(upstream.id).inserted { state.wakeSerial += 1 }
            return upstream.mode == .serve
        }
    }
}

extension SimulatedMachine: Accounts, InternalNames, Probes, Facts {
    public func ensure(_ name: String) async throws -> String? {
        state.withLock { _ = $0.accounts.insert(name) }
        return name
    }

    public func remove(_ name: String) async throws { state.withLock { _ = $0.accounts.remove(name) } }

    public func apply(names: [String], suffix: String, address: String, dnsAddress: String) async throws {
        state.withLock { $0.names = names }
    }

    public func remove() async throws { state.withLock { $0.names = [] } }

    public func http(host: String, port: Int, path: String, timeout: Duration) async throws -> Int {
        try await tcp(host: host, port: port, timeout: timeout)
        return 200
    }

    public func tcp(host: String, port: Int, timeout: Duration) async throws {
        try await clock.sleep(for: .milliseconds(1))
        let now = clock.monotonic()
        let isUp = state.withLock { state in
            state.units.values.contains { self.port($0) == port && isListening($0, now) }
        }
        guard isUp else { throw Problem(.unavailable, "the port does not answer") }
    }

    public func listeningPorts() async throws -> [ListeningPort] {
        [ListeningPort(protocol: "tcp", address: "0.0.0.0", port: 80)]
    }

    public func steadyTCP(host: String, port: Int, timeout: Duration) async throws {
        try await tcp(host: host, port: port, timeout: timeout)
    }

    public func freePort(excluding taken: Set<Int>) async throws -> Int {
        state.withLock { state in
            repeat { state.nextPort += 1 } while taken.contains(state.nextPort)
            return state.nextPort
        }
    }

    public func machine() async throws -> MachineFacts {
        MachineFacts(
            hostname: name, os: "simulated", kernel: "0", cpus: 2, load1: 0, memoryTotalBytes: 1 << 32,
            memoryAvailableBytes: 1 << 31, diskTotalBytes: 1 << 41, diskFreeBytes: 1 << 40, supervisor: "simulated",
            uptimeSeconds: 1)
    }
}
