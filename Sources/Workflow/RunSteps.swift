import Host
import Model
import Synchronization

/// Steps: what the program asks for, against the journal.
extension RunExecution {
    func enter(_ kind: StepKind, _ name: String, _ scope: String) throws -> RunMachine.Call {
        let isInterrupted = Task.isCancelled
        return try state.withLock { state in
            if state.isLost { throw Interruption.lost }
            if state.parking != nil { throw Interruption.parked }
            if let failure = state.failure { throw failure }
            return try state.machine.begin(kind, name, scope: scope, isInterrupted: isInterrupted)
        }
    }

    func leave(_ scope: String, at time: Timestamp?) { state.withLock { $0.machine.end(scope: scope, at: time) } }

    /// One call of the program, from its record in the journal on, or from a new one in this state.
    /// - Parameter body: brings the record to its end; is told whether the journal has it not yet.
    func performed(
        _ kind: StepKind, _ name: String, _ scope: String, _ state: StepState,
        _ body: (inout StepRecord, _ isNew: Bool) async throws -> Void
    ) async throws -> StepRecord {
        let call = try enter(kind, name, scope)
        var ended: Timestamp?
        defer { leave(scope, at: ended) }
        var record: StepRecord
        switch call {
        case .known(let known):
            record = known
            try await body(&record, false)
        case .new(let path):
            record = StepRecord(
                path: path, sequence: 0, kind: kind, name: name, state: state, startedAt: surroundings.clock.now())
            try await body(&record, true)
        }
        ended = record.finishedAt
        return record
    }

    private func register(_ undo: UndoBody?, _ plan: StepPlan, _ path: String) {
        guard let undo else { return }
        state.withLock { $0.undos[path] = (plan, undo) }
    }

    func step(
        _ plan: StepPlan, _ scope: String, _ body: @escaping StepBody, undo: () -> UndoBody?
    ) async throws -> JSONValue {
        let record = try await performed(.step, plan.name, scope, .retrying) { record, _ in
            while record.state == .retrying { try await tryOnce(plan, &record, body) }
        }
        if let error = record.error, record.state == .failed { throw error }
        register(undo(), plan, record.path)
        return record.result ?? .null
    }

    /// One attempt, and its line in the journal.
    private func tryOnce(_ plan: StepPlan, _ record: inout StepRecord, _ body: @escaping StepBody) async throws {
        if let wakeAt = record.wakeAt { try await wait(until: wakeAt) }
        state.withLock { $0.current = plan.name }
        record.attempts += 1
        record.wakeAt = nil
        do {
            let attempt = attempt(record.path, record.attempts)
            let result = try await limited(plan) { try await body(attempt) }
            try WorkflowLimits.check(result, "result of the step \"\(plan.name)\"")
            record.state = .succeeded
            record.result = result
            record.error = nil
        } catch {
            if Task.isCancelled {
                _ = state.withLock { $0.machine.seesCancel() }
                throw error
            }
            let problem = Problem(wrapping: error, doing: "The step \"\(plan.name)\"")
            record.error = problem
            let unit = surroundings.random.unit()
            if let wait = plan.retry.wait(afterAttempts: record.attempts, problem, unit: unit) {
                record.wakeAt = surroundings.clock.now().advanced(by: wait)
            } else {
                record.state = .failed
            }
        }
        if record.state != .retrying { record.finishedAt = surroundings.clock.now() }
        try await journal(&record)
    }

    func journal(_ record: inout StepRecord, taking signal: String? = nil) async throws {
        record.sequence = state.withLock { $0.machine.sequence() }
        try await commit(JournalWrite(hold: hold, steps: [record], takenSignal: signal))
    }

    private enum AttemptEnd: Sendable {
        case result(JSONValue)
        case timedOut
        /// The timer was cancelled along with the rest; how the body took it counts.
        case interrupted
    }

    /// Cancels the body at its timeout, and waits for it whatever happens: two attempts never overlap, and a deed that
    /// was done is never taken for one that was not.
    func limited(
        _ plan: StepPlan, _ body: @escaping @Sendable () async throws -> JSONValue
    ) async throws -> JSONValue {
        let clock = surroundings.clock
        return try await withThrowingTaskGroup(of: AttemptEnd.self) { group in
            group.addTask { .result(try await body()) }
            group.addTask {
                do { try await clock.sleep(for: plan.timeout) } catch { return .interrupted }
                return .timedOut
            }
            defer { group.cancelAll() }
            var isLate = false
            do {
                while let next = try await group.next() {
                    if case .result(let value) = next { return value }
                    if case .timedOut = next {
                        isLate = true
                        group.cancelAll()
                    }
                }
            } catch  where !isLate {
                throw error
            } catch {}  // How it took being cancelled says less than why it was.
            throw Problem(
                .timeout, "\"\(plan.name)\" took longer than \(plan.timeout.milliseconds) ms and was stopped.")
        }
    }

    func onUndo(_ name: String, _ scope: String, _ body: @escaping UndoBody) async throws {
        let call = try enter(.undo, name, scope)
        var ended: Timestamp?
        defer { leave(scope, at: ended) }
        let path: String
        switch call {
        case .known(let known):
            path = known.path
            ended = known.finishedAt
        case .new(let new):
            path = new
            var record = instant(new, .undo, name)
            ended = record.finishedAt
            try await journal(&record)
        }
        register(body, StepPlan(name: name, retry: .patient, timeout: .seconds(60)), path)
    }

    private func instant(_ path: String, _ kind: StepKind, _ name: String, _ result: JSONValue? = nil) -> StepRecord {
        let now = surroundings.clock.now()
        return StepRecord(
            path: path, sequence: 0, kind: kind, name: name, state: .succeeded, attempts: 1, result: result,
            startedAt: now, finishedAt: now)
    }

    // MARK: groups

    func group(
        _ name: String, _ scope: String, _ body: (String) async throws -> JSONValue
    ) async throws -> JSONValue {
        let call = try enter(.group, name, scope)
        var ended: Timestamp?
        defer { leave(scope, at: ended) }
        let started = surroundings.clock.now()
        switch call {
        case .known(let known):
            let result = try await body(known.path + ".")
            ended = known.finishedAt
            return result
        case .new(let path):
            let result = try await body(path + ".")
            ended = try await endGroup(path, .group, name, started, result: nil)
            return result
        }
    }

    private func endGroup(
        _ path: String, _ kind: StepKind, _ name: String, _ started: Timestamp, result: JSONValue?
    ) async throws -> Timestamp? {
        let isInterrupted = Task.isCancelled
        try state.withLock { try $0.machine.checkThatNewIsAllowed(isInterrupted: isInterrupted) }
        var record = instant(path, kind, name, result)
        record.startedAt = started
        try await journal(&record)
        return record.finishedAt
    }

    func parallel(
        _ name: String, _ scope: String, count: Int, limit: Int,
        _ body: @escaping @Sendable (Int, String) async throws -> JSONValue
    ) async throws -> [JSONValue] {
        guard count <= WorkflowLimits.branchesMax else {
            throw Problem(.tooLarge, "\"\(name)\" has \(count) branches; \(WorkflowLimits.branchesMax) are allowed.")
        }
        let call = try enter(.parallel, name, scope)
        var ended: Timestamp?
        defer { leave(scope, at: ended) }
        let started = surroundings.clock.now()
        let size = JSONValue.int(Int64(count))
        let limit = min(max(limit, 1), WorkflowLimits.branchesAtOnceMax)
        switch call {
        case .known(let known):
            guard known.result == size else {
                throw state.withLock { $0.machine.fail("\"\(name)\" had another number of branches.") }
            }
            ended = known.finishedAt
            return try await branches(known.path, count, limit, body)
        case .new(let path):
            let results = try await branches(path, count, limit, body)
            ended = try await endGroup(path, .parallel, name, started, result: size)
            return results
        }
    }

    private func branches(
        _ path: String, _ count: Int, _ limit: Int, _ body: @escaping @Sendable (Int, String) async throws -> JSONValue
    ) async throws -> [JSONValue] {
        // While the branches run, this one only waits for them.
        state.withLock { $0.busyBranches -= 1 }
        var live = 0
        defer { state.withLock { [live] in $0.busyBranches += 1 - live } }
        return try await withThrowingTaskGroup(of: (Int, JSONValue).self) { group in
            var results = [JSONValue](repeating: .null, count: count)
            var next = 0
            func add() {
                let index = next
                next += 1
                group.addTask { (index, try await body(index, "\(path).\(index + 1).")) }
            }
            while next < min(limit, count) {
                state.withLock { $0.busyBranches += 1 }
                live += 1
                add()
            }
            while let (index, value) = try await group.next() {
                results[index] = value
                if next < count {
                    add()
                } else {
                    live -= 1
                    state.withLock { $0.busyBranches -= 1 }
                    parkIfAllWait()
                }
            }
            return results
        }
    }
}
