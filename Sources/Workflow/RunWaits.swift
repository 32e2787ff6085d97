import Host
import Model
import Synchronization

/// Waiting: in memory for moments, in the journal for longer.
extension RunExecution {
    func sleep(_ name: String, _ scope: String, _ duration: Duration) async throws {
        _ = try await performed(.timer, name, scope, .waiting) { record, isNew in
            if isNew {
                record.wakeAt = record.startedAt.advanced(by: max(duration, .zero))
                try await journal(&record)
            }
            if record.state == .waiting {
                if let wakeAt = record.wakeAt { try await wait(until: wakeAt) }
                try await finish(&record, result: nil)
            }
        }
    }

    private func finish(_ record: inout StepRecord, result: JSONValue?, taking signal: String? = nil) async throws {
        record.state = .succeeded
        record.result = result
        record.wakeAt = nil
        record.attempts = 1
        record.finishedAt = surroundings.clock.now()
        try await journal(&record, taking: signal)
    }

    func signal(_ name: String, _ scope: String, timeout: Duration?) async throws -> JSONValue? {
        let record = try await performed(.signal, name, scope, .waiting) { record, isNew in
            if isNew {
                record.wakeAt = timeout.map { record.startedAt.advanced(by: $0) }
                if try await !take(name, &record) { try await journal(&record) }
            }
            while record.state == .waiting {
                if try await take(name, &record) { break }
                if let wakeAt = record.wakeAt, wakeAt <= surroundings.clock.now() {
                    try await finish(&record, result: nil)
                } else {
                    try await wait(until: record.wakeAt, forMail: true)
                }
            }
        }
        return record.result.flatMap { $0["payload"] }
    }

    /// Takes a signal out of the mailbox into the journal, in one transaction.
    private func take(_ name: String, _ record: inout StepRecord) async throws -> Bool {
        if state.withLock({ $0.machine.hasMail }) {
            let mailbox = try await surroundings.journal.mailbox(of: runId)
            state.withLock { $0.machine.read(mailbox) }
        }
        let found = state.withLock { state -> SignalRecord? in
            guard let found = state.machine.signal(named: name) else { return nil }
            state.machine.forget(signal: found.id)
            return found
        }
        guard let found else { return false }
        try await finish(&record, result: ["id": .string(found.id), "payload": found.payload], taking: found.id)
        return true
    }

    /// Waits until a time, or until there is mail. Puts the run aside when all of its branches wait for long.
    /// - Throws: `cancelled`, ``Interruption``.
    func wait(until: Timestamp?, forMail: Bool = false) async throws {
        let wake = Signal()
        let clock = surroundings.clock
        // A signal often comes soon; a time is known.
        let lingersUntil = forMail ? clock.now().advanced(by: surroundings.parkAfter) : nil
        let number = state.withLock { state -> UInt64 in
            state.nextWait += 1
            state.busyBranches -= 1
            state.waits[state.nextWait] = Wait(until: until, wake: wake, isWillingToPark: false)
            return state.nextWait
        }
        defer {
            state.withLock { state in
                state.waits[number] = nil
                state.busyBranches += 1
            }
        }
        while true {
            let now = clock.now()
            try state.withLock { state in
                if state.isLost { throw Interruption.lost }
                if state.parking != nil { throw Interruption.parked }
                if state.machine.seesCancel() { throw RunMachine.cancelled }
            }
            if Task.isCancelled { throw CancellationError() }
            if let until, until <= now { return }
            if forMail, state.withLock({ $0.machine.hasMail }) { return }
            let isFar = until.map { $0.since(now) > surroundings.parkAfter } ?? true
            let isWilling = isFar && (lingersUntil.map { $0 <= now } ?? true)
            state.withLock { $0.waits[number]?.isWillingToPark = isWilling }
            parkIfAllWait()
            if state.withLock({ $0.parking != nil }) { continue }
            let next = [until, isWilling ? nil : lingersUntil].compactMap { $0 }.min()
            if let next { await wake.wait(atMost: next.since(now), clock) } else { await wake.wait() }
        }
    }

    /// Puts the run aside if every branch waits, and for long.
    func parkIfAllWait() {
        let wakes = state.withLock { state -> [Signal] in
            guard state.parking == nil, state.busyBranches == 0, !state.waits.isEmpty,
                state.waits.values.allSatisfy(\.isWillingToPark)
            else { return [] }
            state.parking = .some(state.waits.values.compactMap(\.until).min())
            return state.waits.values.map(\.wake)
        }
        for wake in wakes { wake.notify() }
    }
}
