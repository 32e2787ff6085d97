import Host
import Model
import Synchronization

/// Undoing, last step first.
extension RunExecution {
    func undoAll(_ problem: Problem) async throws -> RunOutcome {
        let (records, undos) = state.withLock { state in
            (state.machine.standing(Set(state.undos.keys)), state.undos)
        }
        for var record in records {
            guard let (plan, body) = undos[record.path] else { continue }
            while record.undo != .done {
                do {
                    try await undoOnce(&record, plan, body)
                } catch Interruption.parked {
                    guard let parking = state.withLock({ $0.parking }) else { throw Interruption.parked }
                    return try await park(parking)
                }
                guard record.undo == .failed else { continue }
                let why = record.undoError?.message ?? ""
                return try await end(
                    .stalled,
                    error: Problem(
                        problem.code, "\(problem.message) \"\(record.name)\" could not be undone: \(why)",
                        hint: "Put right what hinders it, then let the run try again.", context: problem.context))
            }
        }
        return try await end(problem.code == .cancelled ? .cancelled : .failed, error: problem)
    }

    private func undoOnce(_ record: inout StepRecord, _ plan: StepPlan, _ body: @escaping UndoBody) async throws {
        if let wakeAt = record.wakeAt { try await wait(until: wakeAt) }
        state.withLock { $0.current = "undo \(plan.name)" }
        record.undoAttempts += 1
        record.wakeAt = nil
        let attempt = attempt("\(record.path)/undo", record.undoAttempts)
        let result = record.result ?? .null
        do {
            _ = try await limited(plan) {
                try await body(result, attempt)
                return .null
            }
            record.undo = .done
            record.undoError = nil
        } catch {
            if Task.isCancelled { throw error }
            let problem = Problem(wrapping: error, doing: "Undoing \"\(plan.name)\"")
            record.undoError = problem
            let unit = surroundings.random.unit()
            let wait = RetryPolicy.patient.wait(afterAttempts: record.undoAttempts, problem, unit: unit)
            record.undo = wait == nil ? .failed : .retrying
            record.wakeAt = wait.map { surroundings.clock.now().advanced(by: $0) }
        }
        // The order in which steps were done stays.
        try await commit(JournalWrite(hold: hold, steps: [record]))
    }
}
