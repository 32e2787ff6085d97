package import Host
import Model
import Synchronization

/// How a hub's work on a run ended.
package enum RunOutcome: Sendable {
    /// It is over, or stalled.
    case ended(RunRecord)
    /// It waits for something, and no hub holds it.
    case parked
    /// Another hub has it, or may have it.
    case lost
    /// The hub stops, or its store does not work; whoever takes the run next goes on from the journal.
    case stopped(any Error)
}

/// Runs one workflow from its journal on: a ``RunMachine`` with a lock around it, and the effects that it asks for.
package final class RunExecution: Sendable {
    /// What the execution works with.
    package struct Surroundings: Sendable {
        package var journal: any WorkflowJournal
        package var clock: any HostClock
        package var random: any RandomSource
        /// A run whose every branch waits for longer than this is put aside.
        package var parkAfter: Duration

        package init(
            journal: any WorkflowJournal, clock: any HostClock, random: any RandomSource, parkAfter: Duration
        ) {
            self.journal = journal
            self.clock = clock
            self.random = random
            self.parkAfter = parkAfter
        }
    }

    struct Wait {
        var until: Timestamp?
        var wake: Signal
        var isWillingToPark: Bool
    }

    struct State {
        var machine: RunMachine
        var undos: [String: (plan: StepPlan, body: UndoBody)] = [:]
        /// Branches that do something right now.
        var busyBranches = 1
        var waits: [UInt64: Wait] = [:]
        var nextWait: UInt64 = 0
        /// Set once: when the run shall be taken up again.
        var parking: Timestamp??
        var isLost = false
        var failure: (any Error)?
        var current: String?
    }

    let definition: WorkflowDefinition
    let surroundings: Surroundings
    let hold: RunHold
    let seed: Int64
    private let round: Int
    let state: Mutex<State>
    private let cancelled = Signal()

    /// - Parameter history: as claimed: the run names its owner.
    package init(_ definition: WorkflowDefinition, _ history: RunHistory, _ surroundings: Surroundings) {
        self.definition = definition
        self.surroundings = surroundings
        hold = RunHold(runId: history.run.id, owner: history.run.owner ?? "", fence: history.run.fence)
        seed = history.run.seed
        round = history.run.round
        state = Mutex(State(machine: RunMachine(history)))
    }

    init(checking history: RunHistory, _ definition: WorkflowDefinition, _ surroundings: Surroundings) {
        self.definition = definition
        self.surroundings = surroundings
        hold = RunHold(runId: history.run.id, owner: "", fence: 0)
        seed = history.run.seed
        round = history.run.round
        state = Mutex(State(machine: RunMachine(history, isCheck: true)))
    }

    var runId: String { hold.runId }
    /// Name of the step that is under way.
    package var currentStep: String? { state.withLock { $0.current } }

    func now(scope: String) -> Timestamp { state.withLock { $0.machine.now(scope: scope) } }
    func attempt(_ path: String, _ number: Int) -> StepAttempt {
        StepAttempt(runId: runId, key: "\(runId)/\(path)/\(round)", number: number)
    }

    /// Tells the execution that there is mail; it looks into its mailbox.
    package func deliver(_ mail: RunMail) {
        let (wakes, isCancelled) = state.withLock { state -> ([Signal], Bool) in
            state.machine.take(mail)
            let isCancelled = state.machine.run.isCancelRequested
            return (isCancelled || state.machine.hasMail ? state.waits.values.map(\.wake) : [], isCancelled)
        }
        if isCancelled { cancelled.notify() }
        for wake in wakes { wake.notify() }
    }

    /// Tells the execution that another hub may have the run: it stops where it is.
    package func lose() {
        let wakes = state.withLock { state -> [Signal] in
            state.isLost = true
            return state.waits.values.map(\.wake)
        }
        cancelled.notify()
        for wake in wakes { wake.notify() }
    }

    // MARK: the whole run

    /// Works on the run until it is over or cannot go on here.
    package func execute() async -> RunOutcome {
        do {
            if let outcome = try await putAsideWhatNeverGetsFurther() { return outcome }
            let result = await runBody()
            return try await conclude(result)
        } catch {
            return outcome(of: error)
        }
    }

    private func outcome(of error: any Error) -> RunOutcome {
        let (isLost, failure) = state.withLock { ($0.isLost, $0.failure) }
        if isLost { return .lost }
        return .stopped(failure ?? error)
    }

    private func putAsideWhatNeverGetsFurther() async throws -> RunOutcome? {
        let starts = state.withLock { $0.machine.run.idleStarts }
        guard starts > WorkflowLimits.idleStartsMax else { return nil }
        return try await end(
            .stalled,
            error: Problem(
                .internalError, "The run was begun \(starts) times and each time the hub ended before it got further.",
                hint: "Look for what ends the hub, then let the run try again."))
    }

    /// The body runs in a child task, so that a wish to cancel can stop what it does.
    private func runBody() async -> Result<JSONValue, any Error> {
        let input = state.withLock { $0.machine.run.input }
        let context = WorkflowContext(execution: self, scope: "")
        return await withTaskGroup(of: Result<JSONValue, any Error>?.self) { group in
            group.addTask {
                do { return .success(try await self.definition.body(context, input)) } catch { return .failure(error) }
            }
            group.addTask {
                await self.cancelled.wait()
                return nil
            }
            var result: Result<JSONValue, any Error>?
            while let next = await group.next() {
                if let next { result = next }
                group.cancelAll()
            }
            return result ?? .failure(CancellationError())
        }
    }

    private func conclude(_ result: Result<JSONValue, any Error>) async throws -> RunOutcome {
        let snapshot = state.withLock { $0 }
        if snapshot.isLost { return .lost }
        if let failure = snapshot.failure { return .stopped(failure) }
        if let fault = snapshot.machine.fault { return try await end(.stalled, error: fault) }
        if let parking = snapshot.parking { return try await park(parking) }
        if let undoing = snapshot.machine.undoing { return try await undoAll(undoing) }
        switch result {
        case .success(let output) where !snapshot.machine.hasSeenCancel:
            do {
                try state.withLock { try $0.machine.checkEnd() }
            } catch let fault as Problem {
                return try await end(.stalled, error: fault)
            }
            do { try WorkflowLimits.check(output, "output") } catch let problem as Problem {
                return try await fail(problem)
            }
            return try await end(.succeeded, output: output)
        case .success: return try await fail(RunMachine.cancelled)
        case .failure(let error):
            if snapshot.machine.hasSeenCancel || snapshot.machine.run.isCancelRequested {
                return try await fail(RunMachine.cancelled)
            }
            if Task.isCancelled { return .stopped(error) }
            return try await fail(Problem(wrapping: error, doing: "The workflow"))
        }
    }

    private func fail(_ problem: Problem) async throws -> RunOutcome {
        if definition.onFailure == .wait, problem.code != .cancelled { return try await end(.stalled, error: problem) }
        guard state.withLock({ !$0.undos.isEmpty }) else {
            return try await end(problem.code == .cancelled ? .cancelled : .failed, error: problem)
        }
        try await commit(JournalWrite(hold: hold, change: .undoing(problem)))
        return try await undoAll(problem)
    }

    func end(_ end: RunState, output: JSONValue? = nil, error: Problem? = nil) async throws -> RunOutcome {
        try await commit(JournalWrite(hold: hold, change: .end(end, output: output, error: error)))
        var run = state.withLock { $0.machine.run }
        run.state = end
        run.output = output
        run.error = error
        run.owner = nil
        run.updatedAt = surroundings.clock.now()
        run.finishedAt = end.isFinal ? run.updatedAt : nil
        return .ended(run)
    }

    func park(_ wakeAt: Timestamp?) async throws -> RunOutcome {
        let (mailbox, isUndoing) = state.withLock { ($0.machine.run.mailbox, $0.machine.undoing != nil) }
        try await commit(
            JournalWrite(
                hold: hold, change: .park(wakeAt: wakeAt, mailboxSeen: mailbox, isUndoing: isUndoing)))
        return .parked
    }

    /// Lets go of a run that was stopped here, so that it is taken up again at once.
    package func letGo() async throws {
        let isUndoing = state.withLock { $0.machine.undoing != nil }
        let change = RunChange.park(wakeAt: surroundings.clock.now(), mailboxSeen: 0, isUndoing: isUndoing)
        do {
            _ = try await surroundings.journal.write(JournalWrite(hold: hold, change: change))
        } catch let problem as Problem where problem.code == .leaseLost {
            // Somebody else has it already, which is what letting go is for.
        }
    }

    // MARK: the journal

    /// Writes, and keeps trying while the store is away: repeating a write changes nothing.
    func commit(_ write: JournalWrite) async throws {
        var write = write
        var delay = Duration.milliseconds(50)
        if write.change == nil, state.withLock({ $0.machine.run.idleStarts > 0 }) { write.change = .progress }
        while true {
            try state.withLock { state in
                if state.isLost { throw Interruption.lost }
                if let failure = state.failure { throw failure }
            }
            do {
                let mail = try await surroundings.journal.write(write)
                state.withLock { state in
                    for step in write.steps { state.machine.keep(step) }
                    if let change = write.change { state.machine.keep(change) }
                }
                deliver(mail)
                return
            } catch let problem as Problem where problem.code == .unavailable || problem.code == .storage {
                do { try await surroundings.clock.sleep(for: delay) } catch { throw stop(with: problem) }
                delay = min(delay * 2, .seconds(5))
            } catch let problem as Problem where problem.code == .leaseLost {
                state.withLock { $0.isLost = true }
                throw Interruption.lost
            } catch {
                throw stop(with: error)
            }
        }
    }

    private func stop(with error: any Error) -> any Error {
        state.withLock { $0.failure = $0.failure ?? error }
        return error
    }
}
