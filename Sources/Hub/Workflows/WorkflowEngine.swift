public import Host
public import Logging
import Model
import Synchronization
public import Workflow

/// Runs workflows for one hub. Several hubs may share a store: each run is held by one of them, and when that one is
/// silent for longer than its lease, another goes on from the journal.
public final class WorkflowEngine: Sendable {
    /// Times and sizes that an operator may want to change.
    public struct Options: Sendable {
        /// Names this hub in leases. A hub that keeps its name takes its own runs up again at once when it starts.
        public var hub: String
        public var lease: Duration = .seconds(15)
        /// How often is looked for runs that other hubs left or that timers woke.
        public var pollInterval: Duration = .milliseconds(500)
        /// Runs in memory at once.
        public var runsMax = 512
        /// Waits that are longer give the memory back.
        public var parkAfter: Duration = .seconds(5)
        /// How long ended runs are kept; asked before each look for those that are older.
        public var retention: @Sendable () async throws -> Duration = { .seconds(30 * 86_400) }

        public init(hub: String) { self.hub = hub }
    }

    struct State {
        var isServing = false
        var executions: [String: RunExecution] = [:]
        var waiters: [String: [UInt64: CheckedContinuation<RunRecord?, Never>]] = [:]
        var nextWaiter: UInt64 = 0
        /// Runs that this hub holds but could not go on with.
        var dropped: [RunExecution] = []
    }

    let journal: any WorkflowJournal
    let definitions: [String: [Int: WorkflowDefinition]]
    let options: Options
    let clock: any HostClock
    let random: any RandomSource
    let logger: Logger
    let state = Mutex(State())
    let claimed: AsyncStream<RunHistory>.Continuation
    let claims: AsyncStream<RunHistory>
    let alarm = Signal()

    public init(
        journal: any WorkflowJournal, definitions: [WorkflowDefinition], options: Options, clock: any HostClock,
        random: any RandomSource, logger: Logger
    ) {
        self.journal = journal
        self.options = options
        self.clock = clock
        self.random = random
        self.logger = logger
        var byName: [String: [Int: WorkflowDefinition]] = [:]
        for definition in definitions {
            let old = byName[definition.name, default: [:]].updateValue(definition, forKey: definition.version)
            precondition(old == nil, "\(definition.name) version \(definition.version) is registered twice")
        }
        self.definitions = byName
        (claims, claimed) = AsyncStream.makeStream()
    }

    /// Looks for runs that are due, without waiting for the next time.
    public func lookNow() { alarm.notify() }

    /// Whether this hub works on a run.
    public func holds(_ runId: String) -> Bool { state.withLock { $0.executions[runId] != nil } }

    /// Runs that are in memory, for the metrics.
    public var activeRuns: Int { state.withLock { $0.executions.count } }

    // MARK: starting and waiting

    /// Starts a run, or answers the one with this id: starting twice starts once.
    /// - Throws: `invalid`, `too_large`; `conflict` when the id belongs to a run of something else.
    @discardableResult
    public func start(_ workflow: String, id: String, input: some WorkflowValue) async throws -> RunRecord {
        guard let newest = definitions[workflow]?.keys.max() else {
            throw Problem(.notFound, "There is no workflow \(workflow).")
        }
        let input = try input.journaled()
        let isFree = state.withLock { $0.isServing && $0.executions.count < options.runsMax }
        let new = try NewRun(
            id: id, workflow: workflow, version: newest, input: input, seed: Int64(bitPattern: seed()),
            owner: isFree ? options.hub : nil)
        let started = try await journal.start(new)
        guard started.isNew else {
            guard started.run.workflow == workflow, started.run.input == input else {
                throw Problem(.conflict, "There is another run with the id \(id).")
            }
            return started.run
        }
        if isFree { take(RunHistory(run: started.run, steps: [], signals: [])) } else { alarm.notify() }
        return started.run
    }

    private func seed() -> UInt64 { random.bytes(8).reduce(0) { $0 << 8 | UInt64($1) } }

    /// Waits until a run has ended or stalled.
    /// - Throws: `not_found`, `timeout`.
    public func end(of id: String, timeout: Duration) async throws -> RunRecord {
        let deadline = clock.monotonic() + timeout
        while true {
            // Only what this hub works on tells of its end; else it is found by looking.
            if state.withLock({ $0.executions[id] }) == nil {
                guard let run = try await journal.run(id) else {
                    throw Problem(.notFound, "There is no run \(id).")
                }
                if run.state.isFinal || run.state == .stalled { return run }
            }
            let left = deadline - clock.monotonic()
            guard left > .zero else { throw Problem(.timeout, "The run \(id) has not ended yet.") }
            if let run = await waitForEnd(of: id, min(left, options.pollInterval)) { return run }
            if Task.isCancelled { throw CancellationError() }
        }
    }

    private func waitForEnd(of id: String, _ duration: Duration) async -> RunRecord? {
        let number = state.withLock { state -> UInt64 in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        return await withTaskGroup(of: RunRecord?.self) { group in
            group.addTask { [self] in
                await withTaskCancellationHandler {
                    await withCheckedContinuation { continuation in
                        let isReady = state.withLock { state -> Bool in
                            // It may have ended since the caller looked.
                            if Task.isCancelled || state.executions[id] == nil { return true }
                            state.waiters[id, default: [:]][number] = continuation
                            return false
                        }
                        if isReady { continuation.resume(returning: nil) }
                    }
                } onCancel: {
                    state.withLock { $0.waiters[id]?.removeValue(forKey: number) }?.resume(returning: nil)
                }
            }
            group.addTask { [clock] in
                // Only cancellation ends it early, and the caller looks for that.
                try? await clock.sleep(for: duration)
                return nil
            }
            let isHere = state.withLock { $0.executions[id] != nil }
            var run = await group.next() ?? nil
            // A run that is not here is looked at again after a while, not at once.
            if run == nil, !isHere { run = await group.next() ?? nil }
            group.cancelAll()
            return run
        }
    }

    func tellWaiters(of id: String, _ run: RunRecord?) {
        let waiters = state.withLock { $0.waiters.removeValue(forKey: id) }
        for waiter in waiters?.values.map({ $0 }) ?? [] { waiter.resume(returning: run) }
    }

    // MARK: what people do with runs

    /// Puts a signal into a run's mailbox, where it waits until the run takes it.
    /// - Parameter signalId: a second signal with the same id is dropped.
    /// - Throws: `not_found`, `conflict`, `too_large`.
    public func signal(
        _ runId: String, _ name: String, _ payload: some WorkflowValue = Nothing(), signalId: String? = nil
    ) async throws {
        let signal = SignalRecord(
            id: signalId ?? random.hex(16), name: name, payload: try payload.journaled(), sentAt: clock.now())
        try signal.check()
        guard try await journal.send(signal, to: runId) else { return }
        try await nudge(runId)
    }

    /// Asks a run to stop and to undo what it did.
    /// - Throws: `not_found`, `conflict`.
    public func cancel(_ runId: String) async throws {
        try await journal.cancel(runId)
        try await nudge(runId)
    }

    /// Ends a run at once and leaves everything as it is.
    /// - Throws: `not_found`, `conflict`.
    public func abandon(_ runId: String) async throws {
        try await journal.abandon(runId)
        tellWaiters(of: runId, nil)
    }

    /// Lets a failed or stalled run go on from the step that failed; what was undone is done again.
    /// - Throws: `not_found`, `conflict`.
    public func retry(_ runId: String) async throws {
        try await journal.retry(runId)
        alarm.notify()
    }

    /// Runs, newest first.
    public func runs(_ filter: RunFilter = RunFilter()) async throws -> [RunRecord] { try await journal.runs(filter) }

    /// A run with all of its steps.
    /// - Throws: `not_found`.
    public func history(of runId: String) async throws -> RunHistory {
        guard let history = try await journal.history(of: runId) else {
            throw Problem(.notFound, "There is no run \(runId).")
        }
        return history
    }

    /// Name of the step that a run of this hub does right now.
    public func currentStep(of runId: String) -> String? { state.withLock { $0.executions[runId] }?.currentStep }

    private func nudge(_ runId: String) async throws {
        if let execution = state.withLock({ $0.executions[runId] }) {
            execution.deliver(try await journal.mailbox(of: runId).mail)
        }
        alarm.notify()
    }
}
