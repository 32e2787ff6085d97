import AgentProtocol
import Catalog
import CertificateReading
import Certificates
public import Host
public import HubCore
import HubStore
import Logging
import Model
public import Node
import ResourceKit
import Synchronization

/// A hub and its agents on virtual time. Everything but the machines, the network and git is the real program.
public final class World: Sendable {
    public let clock: VirtualTime
    public let random: SeededRandom
    public let source = SimulatedSource()
    let network: SimulatedNetwork
    private let database: SQLiteStore
    private let hubWorld: HubWorld

    private struct State {
        var hub: Hub?
        var power: WriteCut?
        var hubTask: Task<Void, Never>?
        var machines: [SimulatedMachine] = []
        var agents: [String: Running] = [:]
        var hubDeaths = 0
        var agentDeaths = 0
    }

    private struct Running {
        var gate: CuttingGate
        var task: Task<Void, Never>
    }

    private let state = Mutex(State())

    /// Whether the hub works on runs of workflows; it looks for them twice a second.
    private let runsWorkflows: Bool

    public init(clock: VirtualTime, random: SeededRandom, runsWorkflows: Bool = false) throws {
        self.clock = clock
        self.runsWorkflows = runsWorkflows
        self.random = random
        network = SimulatedNetwork(clock: clock, random: random.fork())
        let hubRandom = random.fork()
        database = try SQLiteStore(inMemory: Catalog.kinds, clock: clock, random: hubRandom)
        hubWorld = HubWorld(
            git: SimulatedGit(source: source, disk: nil, clock: clock), uploads: SimulatedUploads(),
            callbacks: NoCallbacks(), clock: clock,
            random: hubRandom,
            secrets: FileSecretBox(key: hubRandom.bytes(32), random: hubRandom),
            certificates: PEMCertificateReader())
    }

    public var machines: [SimulatedMachine] { state.withLock { $0.machines } }
    public var hubDeaths: Int { state.withLock { $0.hubDeaths } }
    public var agentDeaths: Int { state.withLock { $0.agentDeaths } }
    public var exchanges: Int { network.exchanges }
    /// Requests that were proven by a session and let through.
    public var sessionRequests: Int { network.sessionRequests }
    /// Repeated and altered requests that the hub took; must stay 0.
    public var requestsWronglyTaken: Int { network.replaysAccepted + network.forgeriesAccepted }

    /// Has somebody on the way who sends this share of all requests again, as they were and altered.
    public func setHostility(_ share: Double) { network.setWeather(.init(repeatProbability: share)) }
    /// Hash over all requests, their times and senders: equal runs have equal traces.
    public var trace: UInt64 { network.trace }

    // MARK: hub

    /// Starts the hub, or does nothing while one runs.
    ///
    /// - Parameter cutAt: number of the store's write at which it dies; it is started again a second later.
    public func startHub(cutAt: Int? = nil, _ moment: CuttingGate.Moment = .before) async throws {
        guard state.withLock({ $0.hub == nil }) else { return }
        let power = WriteCut(cutAt: cutAt, moment) { [weak self] in self?.hubDied() }
        let hub = Hub(
            store: CuttingStore(inner: database, power: power), world: hubWorld, kinds: Catalog.kinds,
            logger: Self.silent)
        state.withLock {
            $0.hub = hub
            $0.power = power
        }
        do {
            _ = try await hub.ensureSigningKey()
        } catch is PowerCut {
            return
        }
        let runsWorkflows = runsWorkflows
        if runsWorkflows { hub.openWorkflows(journal: CuttingJournal(inner: database, power: power), name: "hub") }
        let task = Task(executorPreference: clock) {
            guard runsWorkflows else { return await hub.runFleet() }
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await hub.runFleet() }
                group.addTask { await hub.runWorkflows() }
            }
        }
        state.withLock { $0.hubTask = task }
        network.setHub(hub)
    }

    private func hubDied() {
        network.setHub(nil)
        let task = state.withLock { state -> Task<Void, Never>? in
            state.hubDeaths += 1
            state.hub = nil
            defer { state.hubTask = nil }
            return state.hubTask
        }
        task?.cancel()
        Task(executorPreference: clock) { [self] in
            try await clock.sleep(for: .seconds(1))
            try await startHub()
        }
    }

    /// Kills the hub, as `kill -9` does; it is back a second later.
    public func killHub() {
        guard let power = state.withLock({ $0.hub == nil ? nil : $0.power }) else { return }
        power.cut()
        hubDied()
    }

    /// Number of writes of the hub that runs.
    public var hubWrites: Int { state.withLock { $0.power?.writes ?? 0 } }

    /// Does something with the hub as an operator; waits while it is down, and tries again when it dies meanwhile.
    public func withHub<Result: Sendable>(
        _ body: @Sendable (Hub) async throws -> Result
    ) async throws -> Result {
        while true {
            if let hub = state.withLock({ $0.hub }) {
                do {
                    return try await body(hub)
                } catch {
                    // When it died, whatever it said says nothing: the operator tries again.
                    if state.withLock({ $0.hub === hub }) { throw error }
                }
            }
            try await clock.sleep(for: .milliseconds(200))
        }
    }

    // MARK: agents

    /// Adds a machine and joins it to a stack.
    public func addMachine(stackId: String) async throws -> SimulatedMachine {
        let number = state.withLock { $0.machines.count + 1 }
        let machine = SimulatedMachine(name: "node-\(number)", source: source, clock: clock, random: random.fork())
        state.withLock { $0.machines.append(machine) }
        let token = try await withHub { hub in
            let kind = hub.kind("install-token")!
            let answer = try await hub.create(
                kind, parentId: nil, body: ["stack_id": .string(stackId)], options: MutationOptions(), as: .local)
            return answer.body["token"]!.stringValue!
        }
        let host = machine.host(gate: OpenGate())
        while true {
            do {
                _ = try await Joining.join(
                    hubURL: "http://hub", token: token, hubKey: nil, hostname: machine.name, agentVersion: "1",
                    dataFolder: "/roost", host: host, link: SimulatedLink(network: network, machine: machine.name))
                return machine
            } catch let problem as Problem where problem.code == .unavailable {
                try await clock.sleep(for: .milliseconds(300))
            }
        }
    }

    /// Starts a machine's agent.
    ///
    /// - Parameter cutAt: number of the effect at which it dies; it is started again a second later.
    public func startAgent(_ machine: SimulatedMachine, cutAt: Int? = nil, _ moment: CuttingGate.Moment = .before) {
        let gate = CuttingGate(cutAt: cutAt, moment) { [weak self] in self?.agentDied(machine) }
        let task = Task(executorPreference: clock) { [self] in
            do {
                let host = machine.host(gate: gate)
                guard let identity = try await Joining.identity(dataFolder: "/roost", host: host) else {
                    fatalError("\(machine.name) has not joined")
                }
                try await agent(machine, identity, host).run()
            } catch is PowerCut {
                // It is started again by whoever cut the power.
            } catch is CancellationError {
            } catch {
                machine.note("the agent ended: \(error)")
            }
        }
        state.withLock { $0.agents[machine.name] = Running(gate: gate, task: task) }
    }

    private func agent(_ machine: SimulatedMachine, _ identity: AgentIdentity, _ host: Host) -> Agent {
        Agent(
            options: AgentOptions(
                dataFolder: "/roost", program: "/usr/bin/roost", edgeAddress: nil, agentVersion: "1"),
            identity: identity, host: host, link: SimulatedLink(network: network, machine: machine.name),
            authorities: AuthorityAccess(transports: NoAuthority()), logger: Self.silent)
    }

    /// What `roost agent plan` says on a machine: a second agent looks, beside the one that may run.
    public func plan(_ machine: SimulatedMachine) async throws -> AgentPlan {
        let host = machine.host(gate: LookOnlyGate())
        guard let identity = try await Joining.identity(dataFolder: "/roost", host: host) else {
            throw Problem(.notFound, "\(machine.name) has not joined.")
        }
        return try await agent(machine, identity, host).plan()
    }

    private func agentDied(_ machine: SimulatedMachine) {
        let running = state.withLock { state -> Running? in
            state.agentDeaths += 1
            return state.agents.removeValue(forKey: machine.name)
        }
        running?.task.cancel()
        Task(executorPreference: clock) { [self] in
            try await clock.sleep(for: .seconds(1))
            startAgent(machine)
        }
    }

    /// Kills an agent, as `kill -9` does; it is back a second later.
    public func killAgent(_ machine: SimulatedMachine) { state.withLock { $0.agents[machine.name] }?.gate.cut() }

    /// Pulls a machine's network cable, and plugs it in again.
    public func setCable(_ machine: SimulatedMachine, isIn: Bool) {
        if isIn { network.heal(machine.name) } else { network.cut(machine.name) }
    }

    /// From now on requests and answers get lost with this probability, and requests come twice with the same.
    public func setLoss(_ probability: Double) {
        network.setWeather(.init(lossProbability: probability, repeatProbability: probability))
    }

    /// A log as the hub has it.
    public func log(_ source: String, _ id: String, of node: String) async throws -> String {
        try await withHub { hub in
            try await hub.read { transaction in
                let name = LogName(source: source, id: id, nodeId: node)
                return try transaction.log(name, from: 0, bytesMax: 4_194_304).text
            }
        }
    }

    /// Ends an agent in order; it does not come back.
    public func stopAgent(_ machine: SimulatedMachine) async {
        let running = state.withLock { $0.agents.removeValue(forKey: machine.name) }
        running?.task.cancel()
        await running?.task.value
    }

    /// Labels of the effects of the agent that runs.
    public func effects(_ machine: SimulatedMachine) -> [EffectLabel] {
        state.withLock { $0.agents[machine.name] }?.gate.labels ?? []
    }

    /// Stops everything, so that virtual time can end.
    public func shutDown() async {
        let tasks = state.withLock { state -> [Task<Void, Never>] in
            let tasks = state.agents.values.map(\.task) + [state.hubTask].compactMap { $0 }
            state.agents = [:]
            state.hubTask = nil
            return tasks
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    private static let silent = Logger(label: "simulation", factory: { _ in SwiftLogNoOpLogHandler() })
}

/// A network without certificate authorities.
private struct NoAuthority: ACMETransports, ACMETransport {
    func transport(rootsPEM: String?) async throws -> any ACMETransport { self }
    func send(_ url: String, body: [UInt8]?) async throws -> ACMEReply {
        throw Problem(.unavailable, "The certificate authority cannot be reached.")
    }
}

extension SimulatedMachine {
    func note(_ violation: String) { state.withLock { $0.violations.append("\(name): \(violation)") } }
}
