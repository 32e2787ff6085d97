import Host
import HubStore
import HubWorkflows
import Logging
import Model
import Synchronization
import TestSupport
import Workflow

/// What the steps of the sample workflows do to the world: entries that are made and taken away by key.
final class Ledger: Sendable {
    private struct State {
        var standing: Set<String> = []
        var log: [String] = []
    }

    private let state = Mutex(State())

    var standing: [String] { state.withLock { $0.standing.sorted() } }
    var log: [String] { state.withLock { $0.log } }
    func count(_ entry: String) -> Int { log.count { $0 == entry } }

    func make(_ name: String) {
        state.withLock { state in
            state.standing.insert(name)
            state.log.append("+\(name)")
        }
    }

    func remove(_ name: String) {
        state.withLock { state in
            state.standing.remove(name)
            state.log.append("-\(name)")
        }
    }
}

/// Hubs on one store in virtual time; the power of the first one can be cut at any effect and any write.
final class WorkflowWorld: Sendable {
    enum Cut: Sendable, Equatable, CustomStringConvertible {
        case nothing
        case effect(Int, CuttingGate.Moment)
        case write(Int, CuttingGate.Moment)

        var description: String {
            switch self {
            case .nothing: "nothing"
            case .effect(let number, let moment): "\(moment) effect \(number)"
            case .write(let number, let moment): "\(moment) write \(number)"
            }
        }
    }

    private struct State {
        var engine: WorkflowEngine?
        var power: WriteCut?
        var gate = CuttingGate()
        var task: Task<Void, Never>?
        var lives = 0
    }

    let clock: VirtualTime
    let random: SeededRandom
    let ledger = Ledger()
    let store: SQLiteStore
    private let state = Mutex(State())
    private let definitions: @Sendable (WorkflowWorld) -> [WorkflowDefinition]
    /// Whether the hub that comes after a cut is another one, which has to wait for the lease.
    private let isTakenOver: Bool
    /// May change while a hub works.
    let retention = Mutex<Duration>(.seconds(30 * 86_400))

    init(
        _ clock: VirtualTime, _ random: SeededRandom, isTakenOver: Bool = false,
        _ definitions: @escaping @Sendable (WorkflowWorld) -> [WorkflowDefinition]
    ) throws {
        self.clock = clock
        self.random = random
        self.isTakenOver = isTakenOver
        self.definitions = definitions
        store = try SQLiteStore(inMemory: [], clock: clock, random: random)
    }

    var writes: Int { state.withLock { $0.power?.writes ?? 0 } }
    var effects: Int { state.withLock { $0.gate.labels.count } }
    var lives: Int { state.withLock { $0.lives } }

    /// An effect of a step.
    func effect(_ name: String, _ body: () -> Void) async throws {
        let gate = state.withLock { $0.gate }
        try await gate.before(EffectLabel(stringLiteral: name))
        body()
        try await gate.after(EffectLabel(stringLiteral: name))
    }

    func make(_ name: String) async throws { try await effect("make", { ledger.make(name) }) }
    func remove(_ name: String) async throws { try await effect("remove", { ledger.remove(name) }) }

    func engine(_ hub: String, _ journal: any WorkflowJournal) -> WorkflowEngine {
        var options = WorkflowEngine.Options(hub: hub)
        options.pollInterval = .seconds(5)
        options.retention = { [weak self] in self?.retention.withLock { $0 } ?? .seconds(600) }
        return WorkflowEngine(
            journal: journal, definitions: definitions(self), options: options, clock: clock, random: random,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    func startHub(_ cut: Cut = .nothing) {
        let dies: @Sendable () -> Void = { [weak self] in self?.die() }
        var gate = CuttingGate(onCut: dies)
        var power = WriteCut(onCut: dies)
        switch cut {
        case .nothing: break
        case .effect(let number, let moment): gate = CuttingGate(cutAt: number, moment, onCut: dies)
        case .write(let number, let moment): power = WriteCut(cutAt: number, moment, onCut: dies)
        }
        let life = state.withLock { state -> Int in
            state.lives += 1
            return state.lives
        }
        let engine = engine(isTakenOver ? "hub-\(life)" : "hub", CuttingJournal(inner: store, power: power))
        let task = Task(executorPreference: clock) { await engine.run() }
        state.withLock { state in
            state.gate = gate
            state.power = power
            state.engine = engine
            state.task = task
        }
    }

    private func die() {
        let (task, power, gate) = state.withLock { state in
            defer {
                state.engine = nil
                state.task = nil
            }
            return (state.task, state.power, state.gate)
        }
        guard let task else { return }
        task.cancel()
        power?.cut()
        gate.cut()
        Task(executorPreference: clock) { [self] in
            try await clock.sleep(for: .seconds(1))
            startHub()
        }
    }

    /// Does something as an operator, again and again until a hub that lives has done it.
    @discardableResult
    func operate<Result: Sendable>(_ body: (WorkflowEngine) async throws -> Result) async throws -> Result {
        while true {
            if let engine = state.withLock({ $0.engine }) {
                do { return try await body(engine) } catch is PowerCut {}
            }
            try await clock.sleep(for: .milliseconds(100))
        }
    }

    /// Waits in virtual time until a run has ended or stalled.
    func end(of id: String) async throws -> RunHistory {
        while true {
            if let run = try await store.run(id), run.state.isFinal || run.state == .stalled,
                let history = try await store.history(of: id)
            {
                return history
            }
            try await clock.sleep(for: .seconds(1))
        }
    }

    func stop() async {
        let task = state.withLock { $0.task }
        task?.cancel()
        await task?.value
    }

    /// Runs a body in a world of its own.
    static func run<Result: Sendable>(
        seed: UInt64 = 7, isTakenOver: Bool = false,
        _ definitions: @escaping @Sendable (WorkflowWorld) -> [WorkflowDefinition],
        _ body: @escaping @Sendable (WorkflowWorld) async throws -> Result
    ) async throws -> Result {
        let random = SeededRandom(seed)
        let clock = VirtualTime(random: random.fork())
        return try await clock.run {
            let world = try WorkflowWorld(clock, random.fork(), isTakenOver: isTakenOver, definitions)
            let result = try await body(world)
            await world.stop()
            return result
        }
    }
}
